//! Collations: a text becomes a weight key; texts are equal or ordered as their keys are.
//!
//! ```text
//! text ──weights──> bytes      memcmp(weights(a), weights(b)) = a compared with b
//! ```
//!
//! So keys, groups, sorts, joins and hashes never see a bare text, only its weights. The tables are
//! part of the disk format and of placement: they are versioned, never edited.
//!
//! | collation | weights | trailing blanks |
//! |---|---|---|
//! | `utf8mb4_0900_ai_ci` (255, default) | UCA 9.0.0 primary weights, two bytes each | count (NO PAD) |
//! | `utf8mb4_0900_bin` (309) | the bytes | count |
//! | `utf8mb4_bin` (46) | the bytes, padded as below | do not count (PAD SPACE) |
//! | `utf8mb4_general_ci` (45) | one two-byte weight per character, padded | do not count |
//! | `utf8mb4_unicode_ci` (224) | UCA 4.0.0 primary weights, padded | do not count |
//! | `utf8mb4_unicode_520_ci` (246) | UCA 5.2.0 primary weights, padded | do not count |
//! | `utf8mb3_unicode_ci` (192), `utf8mb3_unicode_520_ci` (214) | as those of `utf8mb4` | do not count |
//! | `utf8mb3_bin` (83) | as `utf8mb4_bin` | do not count |
//! | `utf8mb3_general_ci` (33) | as `utf8mb4_general_ci` | do not count |
//! | `binary` (63) | the bytes | count |
//!
//! Text of `utf8mb3` has only characters of the Basic Multilingual Plane, three bytes at most; storing sees to that
//! (`types::assign`). `utf8` is its alias, in names of collations too.
//!
//! PAD SPACE compares as if the shorter text went on with blanks for ever. As a key, every blank
//! carries a byte that says how the first other character behind it compares with a blank, and the
//! text ends with such a blank: then plain byte order is padded order (`put_padded`).
//!
//! Other collations that MySQL has are refused with 1273, not approximated. A *connection*, however,
//! may announce them (drivers do in the handshake): [`connection_collation`].

pub mod general;
mod uca;
mod uca_legacy;

use std::cmp::Ordering;

use crate::types::json;
use crate::{Error, Result};

/// MySQL's number of a collation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollationId(pub u16);

impl CollationId {
    /// `binary`: byte strings, and everything that is no text.
    pub const BINARY: CollationId = CollationId(63);
    /// `utf8mb4_bin`
    pub const UTF8MB4_BIN: CollationId = CollationId(46);
    /// `utf8mb4_general_ci`
    pub const UTF8MB4_GENERAL_CI: CollationId = CollationId(45);
    /// `utf8mb3_bin`
    pub const UTF8MB3_BIN: CollationId = CollationId(83);
    /// `utf8mb3_general_ci`
    pub const UTF8MB3_GENERAL_CI: CollationId = CollationId(33);
    /// `utf8mb4_unicode_ci`
    pub const UTF8MB4_UNICODE_CI: CollationId = CollationId(224);
    /// `utf8mb4_unicode_520_ci`
    pub const UTF8MB4_UNICODE_520_CI: CollationId = CollationId(246);
    /// `utf8mb3_unicode_ci`
    pub const UTF8MB3_UNICODE_CI: CollationId = CollationId(192);
    /// `utf8mb3_unicode_520_ci`
    pub const UTF8MB3_UNICODE_520_CI: CollationId = CollationId(214);
    /// `utf8mb4_0900_ai_ci`
    pub const UTF8MB4_0900_AI_CI: CollationId = CollationId(255);
    /// `utf8mb4_0900_bin`
    pub const UTF8MB4_0900_BIN: CollationId = CollationId(309);
    /// Of JSON documents: to everybody else it is `utf8mb4_bin`, but documents are ordered as documents (`types::json::order`).
    /// The number is none of MySQL's.
    pub const JSON: CollationId = CollationId(u16::MAX);
    /// What texts have when nothing else is said.
    pub const DEFAULT: CollationId = CollationId::UTF8MB4_0900_AI_CI;
}

/// What is known of a collation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collation {
    /// MySQL's number.
    pub id: CollationId,
    /// Its name.
    pub name: &'static str,
    /// Its character set.
    pub charset: &'static str,
    /// Whether it is its character set's default.
    pub is_default: bool,
    /// Whether trailing blanks do not count.
    pub pad_space: bool,
    /// `Sortlen` of SHOW COLLATION.
    pub sort_length: u32,
}

/// What is known of a character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset {
    /// Its name.
    pub name: &'static str,
    /// As SHOW CHARACTER SET describes it.
    pub description: &'static str,
    /// Its default collation.
    pub default: CollationId,
    /// Most bytes of a character.
    pub bytes_per_char: u32,
}

const fn collation(
    id: CollationId,
    name: &'static str,
    charset: &'static str,
    is_default: bool,
    pad_space: bool,
    sort_length: u32,
) -> Collation {
    Collation { id, name, charset, is_default, pad_space, sort_length }
}

/// All collations, by name.
pub static COLLATIONS: &[Collation] = &[
    collation(CollationId::BINARY, "binary", "binary", true, false, 1),
    collation(CollationId::UTF8MB3_BIN, "utf8mb3_bin", "utf8mb3", false, true, 1),
    collation(CollationId::UTF8MB3_GENERAL_CI, "utf8mb3_general_ci", "utf8mb3", true, true, 1),
    collation(
        CollationId::UTF8MB3_UNICODE_520_CI,
        "utf8mb3_unicode_520_ci",
        "utf8mb3",
        false,
        true,
        8,
    ),
    collation(CollationId::UTF8MB3_UNICODE_CI, "utf8mb3_unicode_ci", "utf8mb3", false, true, 8),
    collation(CollationId::UTF8MB4_0900_AI_CI, "utf8mb4_0900_ai_ci", "utf8mb4", true, false, 0),
    collation(CollationId::UTF8MB4_0900_BIN, "utf8mb4_0900_bin", "utf8mb4", false, false, 1),
    collation(CollationId::UTF8MB4_BIN, "utf8mb4_bin", "utf8mb4", false, true, 1),
    collation(CollationId::UTF8MB4_GENERAL_CI, "utf8mb4_general_ci", "utf8mb4", false, true, 1),
    collation(
        CollationId::UTF8MB4_UNICODE_520_CI,
        "utf8mb4_unicode_520_ci",
        "utf8mb4",
        false,
        true,
        8,
    ),
    collation(CollationId::UTF8MB4_UNICODE_CI, "utf8mb4_unicode_ci", "utf8mb4", false, true, 8),
];

/// All character sets, by name.
pub static CHARSETS: &[Charset] = &[
    Charset {
        name: "binary",
        description: "Binary pseudo charset",
        default: CollationId::BINARY,
        bytes_per_char: 1,
    },
    Charset {
        name: "utf8mb3",
        description: "UTF-8 Unicode",
        default: CollationId::UTF8MB3_GENERAL_CI,
        bytes_per_char: 3,
    },
    Charset {
        name: "utf8mb4",
        description: "UTF-8 Unicode",
        default: CollationId::UTF8MB4_0900_AI_CI,
        bytes_per_char: 4,
    },
];

/// The place of `CollationId::DEFAULT` in [`COLLATIONS`].
const DEFAULT_AT: usize = 5;

/// The collation of this name, in any case, `utf8_` meaning `utf8mb3_`; 1273 when there is none.
pub fn by_name(name: &str) -> Result<&'static Collation> {
    let lower = name.to_ascii_lowercase();
    let full = match lower.strip_prefix("utf8_") {
        Some(rest) => format!("utf8mb3_{rest}"),
        None => lower,
    };
    COLLATIONS
        .iter()
        .find(|collation| collation.name == full)
        .ok_or_else(|| Error::unknown_collation(name))
}

/// Whether this is the name by which MySQL calls `utf8mb3` until it means `utf8mb4` by it.
pub fn is_utf8_alias(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("utf8")
}

/// The character set of this name, in any case, `utf8` meaning `utf8mb3`; 1115 when there is none.
pub fn charset_by_name(name: &str) -> Result<&'static Charset> {
    let full = if is_utf8_alias(name) { "utf8mb3" } else { name };
    CHARSETS
        .iter()
        .find(|charset| charset.name.eq_ignore_ascii_case(full))
        .ok_or_else(|| Error::unknown_charset(name))
}

/// What a connection that announces this collation id works with; `None` when its bytes could not be
/// read as UTF-8.
///
/// Drivers announce a fixed id in the handshake long before they know the server, most often that of
/// `latin1_swedish_ci` (8), `utf8_general_ci` (33), `utf8mb4_general_ci` (45), `utf8mb4_unicode_ci`
/// (224) or `utf8mb4_0900_ai_ci` (255). All of Unicode's are served with the announced collation when we
/// have it, else with the default one of utf8mb4. ASCII (11, 65) is a part of UTF-8; a latin1
/// connection is served as utf8mb4, too, and its bytes beyond ASCII are refused with error 1300
/// unless they are UTF-8. Id 63 sends bytes.
pub fn connection_collation(id: u16) -> Option<CollationId> {
    match id {
        63 => Some(CollationId::BINARY),
        46 => Some(CollationId::UTF8MB4_BIN),
        83 => Some(CollationId::UTF8MB3_BIN),
        45 => Some(CollationId::UTF8MB4_GENERAL_CI),
        33 => Some(CollationId::UTF8MB3_GENERAL_CI),
        309 => Some(CollationId::UTF8MB4_0900_BIN),
        224 => Some(CollationId::UTF8MB4_UNICODE_CI),
        246 => Some(CollationId::UTF8MB4_UNICODE_520_CI),
        192 => Some(CollationId::UTF8MB3_UNICODE_CI),
        214 => Some(CollationId::UTF8MB3_UNICODE_520_CI),
        // latin1, ascii, utf8mb3, utf8mb4 in their other collations.
        5 | 8 | 15 | 31 | 47 | 48 | 49 | 94 | 11 | 65 => Some(CollationId::DEFAULT),
        76 | 192..=215 | 223 | 224..=247 | 255..=323 => Some(CollationId::DEFAULT),
        _ => None,
    }
}

/// Whether this is the id of a latin1 collation.
pub fn is_latin1(id: u16) -> bool {
    matches!(id, 5 | 8 | 15 | 31 | 47 | 48 | 49 | 94)
}

/// The character set a client may name in SET NAMES and SET CHARACTER SET, and the collation its
/// texts get: utf8mb4, utf8 and utf8mb3, ascii, binary, latin1 as in [`connection_collation`].
pub fn connection_charset(name: &str) -> Result<CollationId> {
    match name.to_ascii_lowercase().as_str() {
        "utf8mb4" | "ascii" | "latin1" => Ok(CollationId::DEFAULT),
        "utf8" | "utf8mb3" => Ok(CollationId::UTF8MB3_GENERAL_CI),
        "binary" => Ok(CollationId::BINARY),
        _ => Err(Error::unknown_charset(name)),
    }
}

impl CollationId {
    /// What is known of it; the default collation's facts for an id that is not ours.
    pub fn info(self) -> &'static Collation {
        let id = self.of_text();
        COLLATIONS.iter().find(|collation| collation.id == id).unwrap_or(&COLLATIONS[DEFAULT_AT])
    }

    /// The collation of the texts that it orders: of documents that of their text.
    pub fn of_text(self) -> CollationId {
        if self == CollationId::JSON { CollationId::UTF8MB4_BIN } else { self }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// Its character set's name.
    pub fn charset(self) -> &'static str {
        self.info().charset
    }

    /// Most bytes of a character.
    pub fn bytes_per_char(self) -> u32 {
        match self {
            CollationId::BINARY => 1,
            CollationId::UTF8MB3_BIN
            | CollationId::UTF8MB3_GENERAL_CI
            | CollationId::UTF8MB3_UNICODE_CI
            | CollationId::UTF8MB3_UNICODE_520_CI => 3,
            _ => 4,
        }
    }

    /// Whether its character set has this character.
    pub fn has_char(self, c: char) -> bool {
        c.len_utf8() <= self.bytes_per_char() as usize
    }

    /// Whether trailing blanks do not count.
    pub fn pad_space(self) -> bool {
        self.info().pad_space
    }

    /// Whether texts are equal only when their bytes are (but for trailing blanks).
    pub fn is_binary_order(self) -> bool {
        matches!(
            self,
            CollationId::BINARY
                | CollationId::UTF8MB4_BIN
                | CollationId::UTF8MB4_0900_BIN
                | CollationId::UTF8MB3_BIN
                | CollationId::JSON
        )
    }

    /// The older version of Unicode's algorithm that it follows, if it does.
    fn legacy(self) -> Option<&'static uca_legacy::Version> {
        match self {
            CollationId::UTF8MB4_UNICODE_CI | CollationId::UTF8MB3_UNICODE_CI => {
                Some(uca_legacy::v0400())
            }
            CollationId::UTF8MB4_UNICODE_520_CI | CollationId::UTF8MB3_UNICODE_520_CI => {
                Some(uca_legacy::v0520())
            }
            _ => None,
        }
    }

    /// The weight key of a text.
    pub fn weights(self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() * 2 + 2);
        self.put_weights(text, &mut out);
        out
    }

    /// The weights as WEIGHT_STRING shows them: without what a weight key adds for the blanks at the end of a text.
    pub fn weight_string(self, text: &str) -> Vec<u8> {
        let point = |c: char| u32::from(c).to_be_bytes();
        match self {
            CollationId::UTF8MB4_GENERAL_CI | CollationId::UTF8MB3_GENERAL_CI => {
                general::weights_of(text).flat_map(u16::to_be_bytes).collect()
            }
            CollationId::UTF8MB4_BIN => {
                text.chars().flat_map(|c| point(c).into_iter().skip(1)).collect()
            }
            CollationId::UTF8MB3_BIN => {
                text.chars().flat_map(|c| point(c).into_iter().skip(2)).collect()
            }
            _ => match self.legacy() {
                Some(version) => {
                    version.weights_of(text).into_iter().flat_map(u16::to_be_bytes).collect()
                }
                None => self.weights(text),
            },
        }
    }

    /// Appends the weight key of a text.
    pub fn put_weights(self, text: &str, out: &mut Vec<u8>) {
        match self {
            CollationId::UTF8MB4_0900_AI_CI => uca::put_weights(text, out),
            CollationId::UTF8MB4_GENERAL_CI | CollationId::UTF8MB3_GENERAL_CI => {
                general::put_weights(text, out)
            }
            CollationId::UTF8MB4_BIN | CollationId::UTF8MB3_BIN => {
                put_padded(text.bytes().map(u16::from), false, out)
            }
            CollationId::JSON => json::order::put_weights(text, out),
            _ => match self.legacy() {
                Some(version) => version.put_weights(text, out),
                None => out.extend_from_slice(text.as_bytes()),
            },
        }
    }

    /// How the weight keys of all texts begin whose first characters are those of `start`, one by one, to LIKE
    /// ([`Self::same_char`]). It may be shorter than the weights of `start`: what comes next in a text may change the
    /// weights of a character (blanks under PAD SPACE, contractions), and from there on nothing is said.
    pub fn beginning(self, start: &str) -> Vec<u8> {
        match self {
            CollationId::UTF8MB4_0900_AI_CI => uca::beginning(start),
            CollationId::UTF8MB4_GENERAL_CI | CollationId::UTF8MB3_GENERAL_CI => {
                padded_beginning(BLANK, general::weights_of(start), true)
            }
            CollationId::UTF8MB4_BIN | CollationId::UTF8MB3_BIN => {
                padded_beginning(BLANK, start.bytes().map(u16::from), false)
            }
            // Nothing is known of the order of texts that begin alike.
            CollationId::JSON => Vec::new(),
            _ => match self.legacy() {
                Some(version) => version.beginning(start),
                None => start.as_bytes().to_vec(),
            },
        }
    }

    /// Whether the first characters of two texts are ordered as the texts are, or are equal: each character has one weight.
    pub fn cuts_evenly(self) -> bool {
        self != CollationId::UTF8MB4_0900_AI_CI && self.legacy().is_none()
    }

    /// The weight keys that the first `length` characters can have of a text that is equal to this one: all that there
    /// are, each once, and maybe others. One where [`Self::cuts_evenly`]; else `ß` and `ss` are equal, their first
    /// characters are not.
    pub fn cut_weights(self, text: &str, length: u32) -> Vec<Vec<u8>> {
        if self.cuts_evenly() {
            return vec![self.weights(first_chars(text, length))];
        }
        match self.legacy() {
            Some(version) => version.cut_weights(text, length as usize),
            None => uca::cut_weights(text, length as usize),
        }
    }

    /// Compares two texts.
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        match self {
            CollationId::UTF8MB4_0900_AI_CI => uca::compare(a, b),
            CollationId::UTF8MB4_GENERAL_CI | CollationId::UTF8MB3_GENERAL_CI => {
                compare_padded(general::weights_of(a), general::weights_of(b))
            }
            CollationId::UTF8MB4_BIN | CollationId::UTF8MB3_BIN => {
                compare_padded(a.bytes().map(u16::from), b.bytes().map(u16::from))
            }
            CollationId::JSON => self.weights(a).cmp(&self.weights(b)),
            _ => match self.legacy() {
                Some(version) => version.compare(a, b),
                None => a.as_bytes().cmp(b.as_bytes()),
            },
        }
    }

    /// Whether two characters are the same to LIKE, LOCATE and the like.
    pub fn same_char(self, a: char, b: char) -> bool {
        a == b
            || match self {
                CollationId::UTF8MB4_0900_AI_CI => uca::same_char(a, b),
                CollationId::UTF8MB4_GENERAL_CI | CollationId::UTF8MB3_GENERAL_CI => {
                    general::weight(a) == general::weight(b)
                }
                _ => self.legacy().is_some_and(|version| version.same_char(a, b)),
            }
    }
}

/// The first characters of a text.
pub(crate) fn first_chars(text: &str, length: u32) -> &str {
    let end = text.char_indices().nth(length as usize).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The weight of a blank in padded collations, but for those of `uca_legacy`.
const BLANK: u16 = 0x20;

/// Appends weights so that byte order is padded order; see the module's header.
///
/// Behind each blank stands 1, 2 or 3: the first weight behind the run of blanks is below a blank,
/// there is none, it is above. The text ends with a blank and 2.
pub(crate) fn put_padded(
    weights: impl DoubleEndedIterator<Item = u16>,
    wide: bool,
    out: &mut Vec<u8>,
) {
    put_padded_with(BLANK, weights, wide, out);
}

/// The same where a blank has another weight.
fn put_padded_with(
    blank: u16,
    weights: impl DoubleEndedIterator<Item = u16>,
    wide: bool,
    out: &mut Vec<u8>,
) {
    const BELOW: u8 = 1;
    const END: u8 = 2;
    const ABOVE: u8 = 3;
    let start = out.len();
    let mut put = |weight: u16| {
        if wide {
            out.extend_from_slice(&weight.to_le_bytes());
        } else {
            out.push(weight as u8);
        }
    };
    // Written backwards, because a blank must know what follows its run, and reversed at the end:
    // little-endian weights become big-endian.
    let mut follows = END;
    let mut trailing = true;
    put(u16::from(END));
    put(blank);
    for weight in weights.rev() {
        if weight == blank {
            if trailing {
                continue;
            }
            put(u16::from(follows));
            put(blank);
        } else {
            trailing = false;
            follows = if weight < blank { BELOW } else { ABOVE };
            put(weight);
        }
    }
    out[start..].reverse();
}

/// What padded keys have in common whose weights begin with these: without the blanks at the end, since it is not known what
/// follows them, and without the blank that ends a text.
fn padded_beginning(
    blank: u16,
    weights: impl DoubleEndedIterator<Item = u16>,
    wide: bool,
) -> Vec<u8> {
    let mut out = Vec::new();
    put_padded_with(blank, weights, wide, &mut out);
    let end = if wide { 4 } else { 2 };
    out.truncate(out.len() - end);
    out
}

/// Compares as if the shorter side went on with blanks.
pub(crate) fn compare_padded(
    a: impl Iterator<Item = u16>,
    b: impl Iterator<Item = u16>,
) -> Ordering {
    compare_padded_with(BLANK, a, b)
}

/// The same where a blank has another weight.
fn compare_padded_with(
    blank: u16,
    mut a: impl Iterator<Item = u16>,
    mut b: impl Iterator<Item = u16>,
) -> Ordering {
    loop {
        let (x, y) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) => (x.unwrap_or(blank), y.unwrap_or(blank)),
        };
        if x != y {
            return x.cmp(&y);
        }
    }
}

#[cfg(test)]
#[path = "collation/tests.rs"]
mod tests;
