//! `utf8mb4_unicode_ci` and `utf8mb4_unicode_520_ci`: primary weights of the Unicode Collation Algorithm 4.0.0 and 5.2.0, as
//! MySQL has them.
//!
//! ```text
//! text ──> weights of each character ──> padded: the shorter text goes on with blanks
//! ```
//!
//! No contractions; Hangul syllables and what the tables lack have two implicit weights. 4.0.0 knows nothing beyond the Basic
//! Multilingual Plane: all of that weighs the same. The tables are made by `sql/tools/make_uca_legacy.py`.
//!
//! Data: Unicode, Inc., under the Unicode License v3, see `sql/NOTICE`.

use super::uca::{self, Table};
use super::{compare_padded_with, padded_beginning, put_padded_with};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Most weights of a character.
const WEIGHTS_MAX: usize = 8;
/// What characters beyond the Basic Multilingual Plane weigh in 4.0.0.
const SUPPLEMENTARY: u16 = 0xfffd;

/// A version of the algorithm.
pub(super) struct Version {
    table: Table,
    /// The weight of a blank.
    blank: u16,
    /// Whether characters beyond the Basic Multilingual Plane have weights of their own.
    knows_all_planes: bool,
}

static V0400: LazyLock<Version> = LazyLock::new(|| Version {
    table: uca::read(include_bytes!("uca_0400.bin")),
    blank: 0x0209,
    knows_all_planes: false,
});

static V0520: LazyLock<Version> = LazyLock::new(|| Version {
    table: uca::read(include_bytes!("uca_0520.bin")),
    blank: 0x020a,
    knows_all_planes: true,
});

/// That of `utf8mb4_unicode_ci`.
pub(super) fn v0400() -> &'static Version {
    &V0400
}

/// That of `utf8mb4_unicode_520_ci`.
pub(super) fn v0520() -> &'static Version {
    &V0520
}

impl Version {
    fn put_char(&self, c: char, put: &mut impl FnMut(u16)) {
        let point = u32::from(c);
        if self.table.put_entry(point, put) {
            return;
        }
        if point > 0xffff && !self.knows_all_planes {
            return put(SUPPLEMENTARY);
        }
        let base = match point {
            0x4e00..=0x9fa5 => 0xfb40,
            0x3400..=0x4db5 => 0xfb80,
            _ => 0xfbc0,
        };
        put(base + (point >> 15) as u16);
        put((point & 0x7fff) as u16 | 0x8000);
    }

    /// The weights of a text.
    pub(super) fn weights_of(&self, text: &str) -> Vec<u16> {
        let mut weights = Vec::with_capacity(text.len());
        for c in text.chars() {
            self.put_char(c, &mut |weight| weights.push(weight));
        }
        weights
    }

    fn key_of(&self, weights: &[u16]) -> Vec<u8> {
        let mut out = Vec::with_capacity(weights.len() * 2 + 4);
        put_padded_with(self.blank, weights.iter().copied(), true, &mut out);
        out
    }

    /// Appends the weight key.
    pub(super) fn put_weights(&self, text: &str, out: &mut Vec<u8>) {
        put_padded_with(self.blank, self.weights_of(text).into_iter(), true, out);
    }

    /// See [`super::CollationId::beginning`].
    pub(super) fn beginning(&self, start: &str) -> Vec<u8> {
        padded_beginning(self.blank, self.weights_of(start).into_iter(), true)
    }

    /// See [`super::CollationId::cut_weights`]: the weights of a beginning of an equal text are a beginning of the weights.
    pub(super) fn cut_weights(&self, text: &str, length: usize) -> Vec<Vec<u8>> {
        let weights = self.weights_of(text);
        let most = weights.len().min(length.saturating_mul(WEIGHTS_MAX));
        let found: BTreeSet<Vec<u8>> = (0..=most).map(|end| self.key_of(&weights[..end])).collect();
        found.into_iter().collect()
    }

    /// Compares two texts.
    pub(super) fn compare(&self, a: &str, b: &str) -> Ordering {
        compare_padded_with(
            self.blank,
            self.weights_of(a).into_iter(),
            self.weights_of(b).into_iter(),
        )
    }

    /// Whether both characters have the same weights.
    pub(super) fn same_char(&self, a: char, b: char) -> bool {
        let weights = |c: char| self.weights_of(c.encode_utf8(&mut [0; 4]));
        weights(a) == weights(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(version: &Version, text: &str) -> String {
        version.weights_of(text).iter().map(|weight| format!("{weight:04X}")).collect()
    }

    #[test]
    fn known_weights() {
        // As WEIGHT_STRING() shows them.
        assert_eq!(hex(v0400(), "가a ß龍"), "FBC1AC000E3302090FEA0FEAFB419F8D");
        assert_eq!(hex(v0520(), "가a ß龍😀"), "FBC1AC00120F020A14101410FB419F8DFBC3F600");
        assert_eq!(hex(v0400(), "😀"), "FFFD");
    }

    #[test]
    fn no_character_has_more_weights_than_a_cut_looks_at() {
        for version in [v0400(), v0520()] {
            for c in (0..=0x10_ffff).filter_map(char::from_u32) {
                let mut count = 0;
                version.put_char(c, &mut |_| count += 1);
                assert!(count <= WEIGHTS_MAX, "{c:?} has {count} weights");
            }
        }
    }

    #[test]
    fn beginnings_of_equal_texts_are_found() {
        for version in [v0400(), v0520()] {
            for (asked, written) in
                [("ss", "ß"), ("strasse", "straße  "), ("a b", "A B"), ("", "  ")]
            {
                assert_eq!(version.compare(asked, written), Ordering::Equal);
                for length in 0..=written.chars().count() {
                    let start: String = written.chars().take(length).collect();
                    let found = version.cut_weights(asked, length.max(1));
                    assert!(
                        found.contains(&version.key_of(&version.weights_of(&start))),
                        "{written:?} {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn keys_are_ordered_as_texts_are() {
        let texts = [
            "", " ", "a", "a ", "a b", "a\t", "A\u{301}", "ab", "ß", "ss", "s s", "龍", "\u{a0}",
            "!",
        ];
        for version in [v0400(), v0520()] {
            for a in texts {
                for b in texts {
                    let keys = version
                        .key_of(&version.weights_of(a))
                        .cmp(&version.key_of(&version.weights_of(b)));
                    assert_eq!(keys, version.compare(a, b), "{a:?} {b:?}");
                }
            }
        }
    }
}
