//! `utf8mb4_0900_ai_ci`: primary weights of the Unicode Collation Algorithm 9.0.0.
//!
//! The table is made by `sql/tools/make_uca.py`, which draws its layout. A weight is two bytes,
//! big-endian; characters without a primary weight (accents, controls) have none. Code points that
//! the table lacks get implicit weights as the algorithm says (UTS #10, section 10.1.3); Hangul
//! syllables are taken apart into their jamo.
//!
//! Contractions (Thai, Lao and other scripts whose vowels are written before their consonant) are
//! matched where their code points follow each other directly.
//!
//! Data: Unicode, Inc., under the Unicode License v3, see `sql/NOTICE`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

static BYTES: &[u8] = include_bytes!("uca_0900.bin");

const BLOCKS: usize = 0x1100;
const NO_ENTRY: u16 = 0xffff;
const EXPANSION: u16 = 0x8000;
/// Most weights of a character, and of a contraction.
const WEIGHTS_MAX: usize = 18;

/// Weights by code point.
pub(super) struct Table {
    /// Page of each block of 256 code points.
    index: Vec<u16>,
    /// Cells, 256 per page.
    cells: Vec<u16>,
    /// Counts and weights.
    words: Vec<u16>,
    /// Code points (third 0 when there are two) and where their weights stand in `words`.
    contractions: BTreeMap<[u32; 3], usize>,
    /// Whether a code point starts a contraction: its block and low byte, as a set of first points.
    starts: BTreeMap<u32, bool>,
    /// Weights of ASCII, 0 for ignorable characters.
    ascii: [u16; 128],
}

// The file is part of the binary; `table_is_complete` checks its shape.
static TABLE: LazyLock<Table> = LazyLock::new(|| read(BYTES));

/// Reads a table as `sql/tools/make_uca.py` draws it.
pub(super) fn read(bytes: &[u8]) -> Table {
    let mut words = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let mut next = || words.next().unwrap_or(NO_ENTRY);
    let (_, _) = (next(), next());
    let (pages, word_count, contraction_count, _) = (next(), next(), next(), next());
    let index: Vec<u16> = (0..BLOCKS).map(|_| next()).collect();
    let cells: Vec<u16> = (0..usize::from(pages) * 256).map(|_| next()).collect();
    let expansion: Vec<u16> = (0..word_count).map(|_| next()).collect();
    let mut contractions = BTreeMap::new();
    let mut starts = BTreeMap::new();
    for _ in 0..contraction_count {
        let mut point = || u32::from(next()) | u32::from(next()) << 16;
        let points = [point(), point(), point()];
        contractions.insert(points, usize::from(next()));
        starts.insert(points[0], true);
    }
    let mut ascii = [0; 128];
    for (point, weight) in ascii.iter_mut().enumerate() {
        *weight = cells[usize::from(index[0]) * 256 + point];
    }
    Table { index, cells, words: expansion, contractions, starts, ascii }
}

/// Weights of the characters that start contractions. ASCII starts none (`Table::walk`).
static STARTS: LazyLock<BTreeSet<Vec<u16>>> = LazyLock::new(|| {
    let starts = TABLE.starts.keys().filter(|point| **point >= 128);
    starts.map(|point| TABLE.weights_of(*point)).collect()
});

/// A contraction that ends before it is whole.
struct Cut {
    /// The weights of the whole.
    whole: Vec<u16>,
    /// Those of its first characters without the others.
    cut: Vec<u16>,
}

/// What becomes of contractions that are cut, by the first weight of the whole; none is without weight.
static CUTS: LazyLock<BTreeMap<u16, Vec<Cut>>> = LazyLock::new(|| {
    let mut cuts: BTreeMap<u16, Vec<Cut>> = BTreeMap::new();
    for (points, offset) in TABLE.contractions.iter().filter(|(points, _)| points[0] >= 128) {
        let whole = TABLE.expansion(*offset);
        let Some(first) = whole.first() else { continue };
        let chars = points.iter().filter(|point| **point != 0).count();
        for left in 1..chars {
            let points = points[..left].iter();
            let text: String = points.filter_map(|point| char::from_u32(*point)).collect();
            let cut = Cut { whole: whole.to_vec(), cut: words_of(&text) };
            cuts.entry(*first).or_default().push(cut);
        }
    }
    cuts
});

impl Table {
    /// The weights of a character that stands alone.
    fn weights_of(&self, point: u32) -> Vec<u16> {
        let mut weights = Vec::new();
        self.put_char(point, &mut |weight| weights.push(weight));
        weights
    }

    fn cell(&self, point: u32) -> u16 {
        match self.index.get((point >> 8) as usize) {
            Some(page) if *page != NO_ENTRY => {
                self.cells[usize::from(*page) * 256 + (point & 0xff) as usize]
            }
            _ => NO_ENTRY,
        }
    }

    fn expansion(&self, offset: usize) -> &[u16] {
        let count = usize::from(self.words[offset]);
        &self.words[offset + 1..offset + 1 + count]
    }

    /// Gives the weights of one character to `put`.
    fn put_char(&self, point: u32, put: &mut impl FnMut(u16)) {
        if !self.put_entry(point, put) {
            self.put_missing(point, put);
        }
    }

    /// Gives the weights that the table has for a character to `put`; false when it has none.
    pub(super) fn put_entry(&self, point: u32, put: &mut impl FnMut(u16)) -> bool {
        match self.cell(point) {
            0 => {}
            NO_ENTRY => return false,
            cell if cell >= EXPANSION => {
                self.expansion(usize::from(cell - EXPANSION)).iter().for_each(|w| put(*w));
            }
            weight => put(weight),
        }
        true
    }

    fn put_missing(&self, point: u32, put: &mut impl FnMut(u16)) {
        if (0xac00..=0xd7a3).contains(&point) {
            // A Hangul syllable: leading consonant, vowel, maybe a trailing consonant.
            let syllable = point - 0xac00;
            self.put_char(0x1100 + syllable / 588, put);
            self.put_char(0x1161 + syllable % 588 / 28, put);
            if !syllable.is_multiple_of(28) {
                self.put_char(0x11a7 + syllable % 28, put);
            }
            return;
        }
        if (0x17000..=0x18aff).contains(&point) {
            put(0xfb00);
            put((point - 0x17000) as u16 | 0x8000);
            return;
        }
        let core = (0x4e00..=0x9fd5).contains(&point)
            || matches!(
                point,
                0xfa0e
                    | 0xfa0f
                    | 0xfa11
                    | 0xfa13
                    | 0xfa14
                    | 0xfa1f
                    | 0xfa21
                    | 0xfa23
                    | 0xfa24
                    | 0xfa27..=0xfa29
            );
        let extension = matches!(
            point,
            0x3400..=0x4db5 | 0x20000..=0x2a6d6 | 0x2a700..=0x2b734 | 0x2b740..=0x2b81d
                | 0x2b820..=0x2cea1
        );
        let base = if core {
            0xfb40
        } else if extension {
            0xfb80
        } else {
            0xfbc0
        };
        put(base + (point >> 15) as u16);
        put((point & 0x7fff) as u16 | 0x8000);
    }

    /// Gives the weights of a text to `put`, which answers whether to go on.
    fn walk(&self, text: &str, put: &mut impl FnMut(u16) -> bool) {
        let mut chars = text.chars();
        let mut pending: [u16; 32];
        while let Some(first) = chars.next() {
            let point = u32::from(first);
            if point < 128 {
                let weight = self.ascii[point as usize];
                if weight != 0 && !put(weight) {
                    return;
                }
                continue;
            }
            if self.starts.contains_key(&point)
                && let Some((offset, length)) = self.contraction(point, chars.as_str())
            {
                if !self.expansion(offset).iter().all(|weight| put(*weight)) {
                    return;
                }
                for _ in 0..length {
                    chars.next();
                }
                continue;
            }
            // No character has more than `WEIGHTS_MAX` primary weights.
            pending = [0; 32];
            let mut count = 0;
            self.put_char(point, &mut |weight| {
                if let Some(cell) = pending.get_mut(count) {
                    *cell = weight;
                    count += 1;
                }
            });
            if !pending[..count].iter().all(|weight| put(*weight)) {
                return;
            }
        }
    }

    /// The longest contraction of `first` with what follows: its weights' offset and how many
    /// further characters it takes.
    fn contraction(&self, first: u32, rest: &str) -> Option<(usize, usize)> {
        let mut follow = rest.chars().map(u32::from);
        let second = follow.next()?;
        if let Some(third) = follow.next()
            && let Some(offset) = self.contractions.get(&[first, second, third])
        {
            return Some((*offset, 2));
        }
        self.contractions.get(&[first, second, 0]).map(|offset| (*offset, 1))
    }
}

/// Appends the weights, two bytes each.
pub(super) fn put_weights(text: &str, out: &mut Vec<u8>) {
    TABLE.walk(text, &mut |weight| {
        out.extend_from_slice(&weight.to_be_bytes());
        true
    });
}

/// The weights that all texts begin with whose first characters are the same as these, one by one. It ends before a character
/// that has the weights of one that starts a contraction: with what follows it may weigh something else.
pub(super) fn beginning(start: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(start.len() * 2);
    for c in start.chars() {
        let weights = TABLE.weights_of(u32::from(c));
        if STARTS.contains(&weights) {
            break;
        }
        out.extend(weights.into_iter().flat_map(u16::to_be_bytes));
    }
    out
}

/// The weights that the first `length` characters can have of a text that is equal to this one: all that there are, each
/// once, and some that no text has.
///
/// Texts are equal when their weights are, whatever characters these come from: several of one, one of several, none of
/// an accent. So a beginning of such a text weighs what some beginning of the weights says. Only the characters of a
/// contraction that is cut weigh something else than the whole begins with.
pub(super) fn cut_weights(text: &str, length: usize) -> Vec<Vec<u8>> {
    let words = words_of(text);
    let most = words.len().min(length.saturating_mul(WEIGHTS_MAX));
    let mut found = BTreeSet::new();
    for end in 0..=most {
        let (before, rest) = words.split_at(end);
        found.insert(bytes_of(before));
        let cuts = rest.first().and_then(|first| CUTS.get(first));
        for contraction in cuts.into_iter().flatten() {
            if rest.starts_with(&contraction.whole) {
                found.insert([bytes_of(before), bytes_of(&contraction.cut)].concat());
            }
        }
    }
    found.into_iter().collect()
}

fn words_of(text: &str) -> Vec<u16> {
    let mut words = Vec::with_capacity(text.len());
    TABLE.walk(text, &mut |weight| {
        words.push(weight);
        true
    });
    words
}

fn bytes_of(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Compares by weights.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let table = &*TABLE;
    if a.is_ascii() && b.is_ascii() {
        // Most comparisons end within a few characters: go byte by byte, without a buffer.
        let mut left = a.bytes().map(|b| table.ascii[usize::from(b)]).filter(|w| *w != 0);
        let mut right = b.bytes().map(|b| table.ascii[usize::from(b)]).filter(|w| *w != 0);
        loop {
            match (left.next(), right.next()) {
                (None, None) => return Ordering::Equal,
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
                (Some(x), Some(y)) if x != y => return x.cmp(&y),
                _ => {}
            }
        }
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    put_weights(a, &mut left);
    put_weights(b, &mut right);
    left.cmp(&right)
}

/// Whether both characters have the same weights.
pub(super) fn same_char(a: char, b: char) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return TABLE.ascii[a as usize] == TABLE.ascii[b as usize];
    }
    TABLE.weights_of(u32::from(a)) == TABLE.weights_of(u32::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_complete() {
        assert_eq!(&BYTES[..4], b"PUCA");
        let table = &*TABLE;
        let used = 12
            + 2 * (table.index.len() + table.cells.len() + table.words.len())
            + 14 * table.contractions.len();
        assert_eq!(used, BYTES.len());
        assert_eq!(table.contractions.len(), 868);
    }

    #[test]
    fn every_character_fits_the_buffer_of_a_walk() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let mut count = 0;
            TABLE.put_char(u32::from(c), &mut |_| count += 1);
            assert!(count <= WEIGHTS_MAX, "{c:?} has {count} weights");
        }
        for (points, offset) in &TABLE.contractions {
            let count = TABLE.expansion(*offset).len();
            assert!((1..=WEIGHTS_MAX).contains(&count), "{points:?} has {count} weights");
        }
    }

    /// Checks that every beginning of `written`, which is equal to `asked`, is among those that are looked for.
    fn finds_all_beginnings(asked: &str, written: &str) {
        assert_eq!(compare(asked, written), Ordering::Equal, "{asked:?} {written:?}");
        for length in 1..=written.chars().count() + 1 {
            let start: String = written.chars().take(length).collect();
            let mut weights = Vec::new();
            put_weights(&start, &mut weights);
            let found = cut_weights(asked, length);
            assert!(found.contains(&weights), "{asked:?} {written:?} {length}");
        }
    }

    #[test]
    fn beginnings_of_equal_texts_are_found() {
        let families: [&[&str]; 6] = [
            &["ss", "ß", "sS", "\u{200d}ß", "s\u{301}s\u{301}", "\u{301}\u{301}ss\u{200d}"],
            &["office", "oﬃce", "oﬀice", "ofﬁce", "o\u{200d}f\u{200d}fi\u{308}ce"],
            &["aeon", "æon", "Æon", "\u{301}æ\u{301}on"],
            &["й", "и\u{306}", "Й", "\u{200d}и\u{306}"],
            &["", "\u{200d}", "\u{301}\u{200d}\u{301}"],
            &["中国", "\u{200d}中\u{301}国"],
        ];
        for family in families {
            for asked in family {
                family.iter().for_each(|written| finds_all_beginnings(asked, written));
            }
        }
    }

    #[test]
    fn beginnings_that_cut_a_contraction_are_found() {
        for points in TABLE.contractions.keys().filter(|points| points[0] >= 128) {
            let chars = points.iter().filter(|point| **point != 0);
            let text: String = chars.filter_map(|point| char::from_u32(*point)).collect();
            for text in [text.clone(), format!("ß{text}"), format!("{text}{text}a")] {
                finds_all_beginnings(&text, &text);
            }
        }
    }

    #[test]
    fn few_beginnings_are_looked_for() {
        assert_eq!(cut_weights("abc", 2).len(), 4, "as many as it has weights, and none");
        assert_eq!(cut_weights(&"a".repeat(100), 1).len(), 1 + WEIGHTS_MAX);
    }

    #[test]
    fn no_contraction_starts_in_a_beginning() {
        for points in TABLE.contractions.keys().filter(|points| points[0] >= 128) {
            let chars = points.iter().filter(|point| **point != 0);
            let text: String = chars.filter_map(|point| char::from_u32(*point)).collect();
            assert!(beginning(&text).is_empty(), "{text:?}");
            let text = format!("ab{text}");
            assert_eq!(beginning(&text), beginning("ab"), "{text:?}");
        }
        assert_eq!(beginning("ab").len(), 4, "letters are no such characters");
    }

    #[test]
    fn every_character_alone_begins_as_it_weighs() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let (mut own, start) = (Vec::new(), beginning(c.encode_utf8(&mut [0; 4])));
            put_weights(c.encode_utf8(&mut [0; 4]), &mut own);
            assert!(start.is_empty() || start == own, "{c:?}");
        }
    }

    #[test]
    fn known_weights() {
        // WEIGHT_STRING('a') and of a CJK ideograph in MySQL 8.0.
        let mut out = Vec::new();
        put_weights("aA", &mut out);
        assert_eq!(out, [0x1c, 0x47, 0x1c, 0x47]);
        out.clear();
        put_weights("\u{4e00}", &mut out);
        assert_eq!(out, [0xfb, 0x40, 0xce, 0x00]);
    }
}
