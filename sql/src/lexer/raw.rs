//! Statement bytes that are not text: string literals with raw bytes inside.
//!
//! Drivers that put parameters into the statement themselves (PyMySQL, Connector/J) write a byte string as `_binary'` + its
//! bytes + `'`, only escaped, whatever bytes those are. mysqldump and mariadb-dump write BLOBs so, the latter without the
//! introducer. The grammar works on text, so such a literal becomes a hexadecimal one of the same value before anything else
//! looks at it, and is shown as that in lists and errors.
//!
//! ```text
//! _binary'…'                          _binary x'…'
//! '…', whose value is no UTF-8        _binary x'…', and the statement warns (1300)
//! '…', whose value is, for all that   _utf8mb4 x'…'
//! ```
//!
//! Adjacent literals are one. Bytes of comments are nobody's value: what is no text there is replaced.
//!
//! Invariant: a statement that is UTF-8 is not touched.

use super::{ParseMode, is_charset, is_word_byte};
use crate::Error;
use std::borrow::Cow;
use std::fmt::Write;

/// Bytes that a warning shows.
const SHOWN: usize = 3;

/// A statement as text.
#[derive(Debug)]
pub struct StatementText<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// String literals that are no text, in order.
    pub invalid: Vec<InvalidLiteral>,
}

/// A string literal that is not text; its value is its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLiteral {
    /// Where it begins in the text.
    pub at: usize,
    /// The first bytes that are no text, and how many of them there are.
    first: [u8; SHOWN],
    count: u8,
}

impl InvalidLiteral {
    fn new(at: usize, bad: &[u8]) -> InvalidLiteral {
        let mut first = [0; SHOWN];
        let mut count = 0;
        for (place, byte) in first.iter_mut().zip(bad) {
            *place = *byte;
            count += 1;
        }
        InvalidLiteral { at, first, count }
    }

    /// What the statement is warned of.
    pub fn warning(&self) -> Error {
        let bad = self.first.iter().take(usize::from(self.count));
        Error::invalid_text("utf8mb4", bad.map(|byte| format!("{byte:02X}")).collect::<String>())
    }
}

/// The statement as text. Bytes outside string literals and comments must be valid UTF-8.
///
/// # Errors
/// The bytes that are not text, from the first one on.
pub fn statement_text<'a>(
    bytes: &'a [u8],
    mode: &ParseMode,
) -> Result<StatementText<'a>, &'a [u8]> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Ok(StatementText { text: Cow::Borrowed(text), invalid: Vec::new() });
    }
    let text = String::with_capacity(bytes.len() * 2);
    let mut rewriter = Rewriter { mode: *mode, text, invalid: Vec::new() };
    let mut at = 0;
    while at < bytes.len() {
        at += rewriter.piece(&bytes[at..])?;
    }
    Ok(StatementText { text: Cow::Owned(rewriter.text), invalid: rewriter.invalid })
}

/// Makes text of a statement.
struct Rewriter {
    mode: ParseMode,
    text: String,
    invalid: Vec<InvalidLiteral>,
}

impl Rewriter {
    /// Takes what `rest` begins with; its length.
    fn piece<'a>(&mut self, rest: &'a [u8]) -> Result<usize, &'a [u8]> {
        if let Some(length) = comment_length(rest) {
            self.text.push_str(&String::from_utf8_lossy(&rest[..length]));
            return Ok(length);
        }
        let length = match rest[0] {
            byte if self.opens_string(byte) => match self.literals(rest) {
                Some((value, length)) => {
                    if let Ok(text) = str::from_utf8(&rest[..length]) {
                        self.text.push_str(text);
                    } else {
                        self.push_bytes(&value);
                    }
                    return Ok(length);
                }
                None => rest.len(),
            },
            quote @ (b'"' | b'`') => quoted_length(rest, quote, false).unwrap_or(rest.len()),
            byte if is_word_byte(byte) => {
                let word = rest.iter().take_while(|byte| is_word_byte(**byte)).count();
                if let Some((value, length)) = self.binary_literal(rest, word) {
                    self.push_hexadecimal("_binary", &value);
                    return Ok(length);
                }
                self.with_its_literal(rest, word)
            }
            b'@' if rest.get(1).is_some_and(|byte| self.opens_string(*byte)) => {
                1 + self.string_length(&rest[1..]).unwrap_or(rest.len() - 1)
            }
            _ => 1,
        };
        let piece = &rest[..length];
        self.text.push_str(str::from_utf8(piece).map_err(|error| &rest[error.valid_up_to()..])?);
        Ok(length)
    }

    /// A literal whose bytes, as they stand in the statement, are no text.
    fn push_bytes(&mut self, value: &[u8]) {
        match str::from_utf8(value) {
            // Its characters have backslashes inside them.
            Ok(_) => self.push_hexadecimal("_utf8mb4", value),
            Err(error) => {
                let bad = &value[error.valid_up_to()..];
                self.invalid.push(InvalidLiteral::new(self.text.len(), bad));
                self.push_hexadecimal("_binary", value);
            }
        }
    }

    fn push_hexadecimal(&mut self, introducer: &str, value: &[u8]) {
        self.text.push_str(introducer);
        self.text.push_str(" x'");
        for byte in value {
            // Writing to a string cannot fail.
            let _ = write!(self.text, "{byte:02x}");
        }
        self.text.push('\'');
    }

    /// The value of the literals behind `_binary`, when that is the word at the beginning, and where they end.
    fn binary_literal(&self, rest: &[u8], word: usize) -> Option<(Vec<u8>, usize)> {
        if !rest[..word].eq_ignore_ascii_case(b"_binary") {
            return None;
        }
        let start = word + blanks(&rest[word..]);
        let (value, length) = self.literals(&rest[start..])?;
        Some((value, start + length))
    }

    /// The end of a word, or of the literal that it says something of (`_latin1'…'`, `N'…'`, `x'…'`), which must be text.
    fn with_its_literal(&self, rest: &[u8], word: usize) -> usize {
        let text = str::from_utf8(&rest[..word]).unwrap_or_default();
        let start = match text {
            "n" | "N" | "x" | "X" | "b" | "B" => word,
            _ if text.strip_prefix('_').is_some_and(is_charset) => word + blanks(&rest[word..]),
            _ => return word,
        };
        let literal = &rest[start..];
        match literal.first().is_some_and(|byte| self.opens_string(*byte)) {
            true => start + self.string_length(literal).unwrap_or(literal.len()),
            false => word,
        }
    }

    fn opens_string(&self, byte: u8) -> bool {
        byte == b'\'' || (byte == b'"' && !self.mode.ansi_quotes)
    }

    fn string_length(&self, bytes: &[u8]) -> Option<usize> {
        quoted_length(bytes, *bytes.first()?, !self.mode.no_backslash_escapes)
    }

    /// The value of adjacent string literals at the beginning of `bytes`, and where the last one ends; `None` when there is
    /// none, or one that is not closed.
    fn literals(&self, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
        let mut value = Vec::new();
        let (mut start, mut end) = (0, None);
        while bytes.get(start).is_some_and(|byte| self.opens_string(*byte)) {
            let length = self.string_length(&bytes[start..])?;
            self.append_value(&bytes[start..start + length], &mut value);
            end = Some(start + length);
            start += length + blanks(&bytes[start + length..]);
        }
        Some((value, end?))
    }

    /// Appends the value of a literal, given with its quotes.
    fn append_value(&self, literal: &[u8], value: &mut Vec<u8>) {
        let Some((quote, inside)) = literal.split_first() else { return };
        let inside = &inside[..inside.len().saturating_sub(1)];
        let mut inside = inside.iter().copied();
        while let Some(byte) = inside.next() {
            match byte {
                b'\\' if !self.mode.no_backslash_escapes => match inside.next() {
                    Some(b'0') => value.push(0),
                    Some(b'b') => value.push(8),
                    Some(b'n') => value.push(b'\n'),
                    Some(b'r') => value.push(b'\r'),
                    Some(b't') => value.push(b'\t'),
                    Some(b'Z') => value.push(0x1a),
                    // LIKE reads these two itself.
                    Some(wildcard @ (b'%' | b'_')) => value.extend([b'\\', wildcard]),
                    Some(other) => value.push(other),
                    None => {}
                },
                byte => {
                    if byte == *quote {
                        // Its double.
                        inside.next();
                    }
                    value.push(byte);
                }
            }
        }
    }
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count()
}

/// Length of a comment at the beginning of `bytes`. Those whose inside may be read (`/*!`) are none, nor are those without an
/// end.
fn comment_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'#', ..] | [b'-', b'-'] | [b'-', b'-', 0..=b' ' | 0x7f, ..] => {
            Some(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()))
        }
        [b'/', b'*', b'!', ..] => None,
        [b'/', b'*', inside @ ..] => {
            inside.windows(2).position(|end| end == b"*/").map(|length| length + 4)
        }
        _ => None,
    }
}

/// Length of a quoted literal with both quotes; `None` when it is not closed.
fn quoted_length(bytes: &[u8], quote: u8, backslash_escapes: bool) -> Option<usize> {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if backslash_escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8]) -> String {
        statement_text(bytes, &ParseMode::default()).unwrap().text.into_owned()
    }

    #[test]
    fn text_stays_as_it_is() {
        let text = statement_text("SELECT '伟'".as_bytes(), &ParseMode::default()).unwrap();
        assert!(matches!(text.text, Cow::Borrowed(_)));
        assert!(text.invalid.is_empty());
    }

    #[test]
    fn raw_bytes_behind_the_introducer_become_hexadecimal() {
        let statement = b"INSERT INTO t VALUES ('_binary', _binary '\xff\\'\\0''\x80', `b_`)";
        let text = statement_text(statement, &ParseMode::default()).unwrap();
        assert_eq!(text.text, "INSERT INTO t VALUES ('_binary', _binary x'ff27002780', `b_`)");
        assert!(text.invalid.is_empty(), "that is what the introducer is for");
    }

    #[test]
    fn raw_bytes_in_a_string_become_hexadecimal_with_a_warning() {
        let statement =
            b"INSERT INTO t VALUES (1,'a\xff\\'\\0\\\\\\Z\\%''\xfe'),(2,\"\x80\"),(3,'b')";
        let text = statement_text(statement, &ParseMode::default()).unwrap();
        let expected =
            "INSERT INTO t VALUES (1,_binary x'61ff27005c1a5c2527fe'),(2,_binary x'80'),(3,'b')";
        assert_eq!(text.text, expected);
        let warnings: Vec<String> =
            text.invalid.iter().map(|literal| literal.warning().message).collect();
        let begins = ["FF2700", "80"];
        let begins = begins.map(|bytes| format!("Invalid utf8mb4 character string: '{bytes}'"));
        assert_eq!(warnings, begins);
        assert!(
            text.invalid.iter().all(|literal| expected[literal.at..].starts_with("_binary x'"))
        );
    }

    #[test]
    fn adjacent_strings_are_one() {
        assert_eq!(text_of(b"SELECT 'a' \n'\xff', 'b' 'c'"), "SELECT _binary x'61ff', 'b' 'c'");
    }

    #[test]
    fn characters_with_backslashes_inside_are_text() {
        assert_eq!(text_of(b"SELECT '\xc3\\\xa9'"), "SELECT _utf8mb4 x'c3a9'");
    }

    #[test]
    fn modes_say_what_a_string_is() {
        let no_escapes = ParseMode { no_backslash_escapes: true, ..ParseMode::default() };
        let text = statement_text(b"SELECT '\\\xff\\', 1", &no_escapes).unwrap();
        assert_eq!(text.text, "SELECT _binary x'5cff5c', 1");
        let ansi = ParseMode { ansi_quotes: true, ..ParseMode::default() };
        assert!(statement_text(b"SELECT \"\xff\"", &ansi).is_err(), "a name");
    }

    #[test]
    fn comments_end_no_string_and_begin_none() {
        assert_eq!(
            text_of(b"/* it's */ SELECT -- '\n'\xff' # \xff'"),
            "/* it's */ SELECT -- '\n_binary x'ff' # \u{fffd}'"
        );
        assert_eq!(text_of(b"/*!40000 SELECT '\xff' */"), "/*!40000 SELECT _binary x'ff' */");
    }

    #[test]
    fn raw_bytes_elsewhere_are_refused() {
        let refused =
            |bytes: &'static [u8]| statement_text(bytes, &ParseMode::default()).unwrap_err();
        assert_eq!(refused(b"SELECT `\xff`"), b"\xff`");
        assert_eq!(refused(b"SELECT \xff, 1"), b"\xff, 1");
        assert_eq!(refused(b"SELECT _utf8mb4 '\xff'"), b"\xff'");
        assert_eq!(refused(b"SELECT N'\xff'"), b"\xff'");
        assert_eq!(refused(b"SELECT @'\xff'"), b"\xff'");
        assert_eq!(refused(b"SELECT '\xff"), b"\xff", "not closed");
        assert_eq!(refused(b"SELECT _binary '\xff"), b"\xff", "not closed");
    }
}
