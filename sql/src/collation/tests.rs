//! Tests of collations.

use super::*;
use proptest::prelude::*;

const AI_CI: CollationId = CollationId::UTF8MB4_0900_AI_CI;
const BIN: CollationId = CollationId::UTF8MB4_BIN;
const GENERAL: CollationId = CollationId::UTF8MB4_GENERAL_CI;

fn equal(collation: CollationId, a: &str, b: &str) -> bool {
    collation.compare(a, b) == Ordering::Equal
}

#[test]
fn accents_and_case_do_not_count_in_ai_ci() {
    for (a, b) in [("Résumé", "resume"), ("STRASSE", "straße"), ("Ａ", "a"), ("e\u{301}", "é")]
    {
        assert!(equal(AI_CI, a, b), "{a} {b}");
    }
    assert!(!equal(AI_CI, "a", "b"));
    assert!(!equal(AI_CI, "a", "a "), "0900 collations do not pad");
    assert!(equal(AI_CI, "가", "\u{1100}\u{1161}"), "Hangul syllables are their jamo");
}

#[test]
fn ai_ci_orders_letters_after_digits_after_punctuation() {
    let mut texts = ["b", "Á", "z", "1", "_", "ab", "龍", " "];
    texts.sort_by(|a, b| AI_CI.compare(a, b));
    assert_eq!(texts, [" ", "_", "1", "Á", "ab", "b", "z", "龍"]);
}

#[test]
fn thai_vowels_sort_behind_their_consonant() {
    // The vowel SARA E is written before its consonant but sorts behind it.
    assert_eq!(AI_CI.compare("เก", "ขก"), Ordering::Less);
}

#[test]
fn trailing_blanks_do_not_count_under_pad_space() {
    for collation in [BIN, GENERAL] {
        assert!(equal(collation, "a", "a   "));
        assert!(equal(collation, "", " "));
        assert_eq!(collation.compare("a", "a\t"), Ordering::Greater);
        assert_eq!(collation.compare("a", "a b"), Ordering::Less);
        assert!(!equal(collation, "a", " a"));
    }
    assert!(!equal(BIN, "a", "A"));
    assert!(equal(GENERAL, "Äß", "as"));
}

#[test]
fn unknown_collations_are_refused() {
    assert_eq!(by_name("utf8mb4_czech_ci").unwrap_err().code, 1273);
    assert_eq!(by_name("UTF8MB4_BIN").unwrap().id, BIN);
    assert_eq!(charset_by_name("gbk").unwrap_err().code, 1115);
    assert_eq!(connection_collation(224), Some(CollationId::UTF8MB4_UNICODE_CI));
    assert_eq!(connection_collation(234), Some(CollationId::DEFAULT), "utf8mb4_czech_ci");
    assert_eq!(connection_collation(28), None, "gbk");
}

#[test]
fn utf8_is_utf8mb3() {
    assert_eq!(charset_by_name("UTF8").unwrap().name, "utf8mb3");
    assert_eq!(by_name("utf8_general_ci").unwrap().id, CollationId::UTF8MB3_GENERAL_CI);
    assert_eq!(by_name("utf8_unicode_ci").unwrap().id, CollationId::UTF8MB3_UNICODE_CI);
    assert!(CollationId::UTF8MB3_BIN.has_char('龍') && !CollationId::UTF8MB3_BIN.has_char('😀'));
    for (three, four) in
        [(CollationId::UTF8MB3_GENERAL_CI, GENERAL), (CollationId::UTF8MB3_BIN, BIN)]
    {
        assert_eq!(three.weights("Ünder  x "), four.weights("Ünder  x "));
        assert!(three.same_char('a', 'A') == four.same_char('a', 'A'));
    }
    assert_eq!(COLLATIONS[DEFAULT_AT].id, CollationId::DEFAULT);
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            'a', 'A', 'b', 'é', 'ß', ' ', '\t', '\u{0}', '!', 'เ', 'ก', '가', '😀',
        ]),
        0..8,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn weights_order_as_texts_do(a in text(), b in text()) {
        for collation in COLLATIONS {
            let id = collation.id;
            prop_assert_eq!(id.weights(&a).cmp(&id.weights(&b)), id.compare(&a, &b), "{}", collation.name);
        }
    }

    #[test]
    fn any_text_has_weights(a in "\\PC*", b in "\\PC*") {
        for collation in COLLATIONS {
            let id = collation.id;
            prop_assert_eq!(id.weights(&a).cmp(&id.weights(&b)), id.compare(&a, &b));
        }
    }
}

/// Two texts that are equal under `utf8mb4_0900_ai_ci`, each piece written in the one or the other way.
fn equals() -> impl Strategy<Value = (String, String)> {
    let pieces = prop::sample::select(vec![
        ("ss", "ß"),
        ("fi", "ﬁ"),
        ("ae", "Æ"),
        ("e", "e\u{301}"),
        ("a", "\u{200d}A"),
        ("й", "и\u{306}"),
        ("เก", "เก"),
        ("가", "\u{1100}\u{1161}"),
        ("", "\u{200d}"),
        (" ", " "),
    ]);
    prop::collection::vec((pieces, any::<bool>(), any::<bool>()), 0..6).prop_map(|pieces| {
        let (mut one, mut two) = (String::new(), String::new());
        for ((plain, other), swaps_one, swaps_two) in pieces {
            one.push_str(if swaps_one { other } else { plain });
            two.push_str(if swaps_two { other } else { plain });
        }
        (one, two)
    })
}

proptest! {
    #[test]
    fn first_characters_of_equal_texts_are_looked_for((asked, written) in equals(), length in 1_u32..8) {
        prop_assert!(equal(AI_CI, &asked, &written));
        let start = AI_CI.weights(first_chars(&written, length));
        prop_assert!(AI_CI.cut_weights(&asked, length).contains(&start));
    }

    #[test]
    fn first_characters_keep_the_order_where_it_is_said(a in text(), b in text(), length in 1_u32..8) {
        for collation in COLLATIONS.iter().filter(|collation| collation.id.cuts_evenly()) {
            let id = collation.id;
            let (first, second) = (first_chars(&a, length), first_chars(&b, length));
            let cut = id.weights(first).cmp(&id.weights(second));
            prop_assert!(cut == Ordering::Equal || cut == id.compare(&a, &b), "{}", collation.name);
            prop_assert_eq!(id.cut_weights(&a, length), vec![id.weights(first)]);
        }
    }
}

#[test]
fn keys_of_texts_begin_as_their_first_characters_say() {
    let chars =
        ['a', 'Á', 'b', ' ', '\t', '\0', 'ß', '\u{301}', 'и', '\u{306}', 'เ', 'ก', '가', '😀'];
    let legacy = [CollationId::UTF8MB4_UNICODE_CI, CollationId::UTF8MB4_UNICODE_520_CI];
    let others = [AI_CI, BIN, GENERAL, CollationId::UTF8MB4_0900_BIN];
    for collation in others.into_iter().chain(legacy) {
        for first in chars {
            for second in chars {
                let beginning = collation.beginning(&format!("{first}{second}"));
                let same = |c: &char, wanted: char| collation.same_char(*c, wanted);
                for one in chars.iter().filter(|c| same(c, first)) {
                    for two in chars.iter().filter(|c| same(c, second)) {
                        for rest in ["", " ", "\0", "b", "\u{301}", "\u{306}", "ก", " a", " \t"] {
                            let key = collation.weights(&format!("{one}{two}{rest}"));
                            assert!(key.starts_with(&beginning), "{one:?}{two:?}{rest:?}");
                        }
                    }
                }
            }
        }
        assert!(!collation.beginning("ab").is_empty());
    }
    assert_eq!(GENERAL.beginning("a "), GENERAL.beginning("a"));
    assert!(BIN.beginning("  ").is_empty());
}
