//! Statement bytes that are not text: `_binary'…'` literals with raw bytes inside.
//!
//! Drivers that put parameters into the statement themselves (PyMySQL, Connector/J) write a byte string
//! as `_binary'` + its bytes + `'`, only escaped, whatever bytes those are. The grammar works on text, so
//! such a literal becomes the hexadecimal literal of the same value before anything else looks at it.

use std::borrow::Cow;
use std::fmt::Write;

/// The statement as text. Bytes outside `_binary` literals must be valid UTF-8.
///
/// # Errors
/// The bytes that are not text, from the first one on.
pub fn statement_text(bytes: &[u8], backslash_escapes: bool) -> Result<Cow<'_, str>, &[u8]> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Ok(Cow::Borrowed(text));
    }
    let mut text = String::with_capacity(bytes.len() * 2);
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if let Some((value, length)) = binary_literal(rest, backslash_escapes) {
            text.push_str("x'");
            for byte in value {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\'');
            at += length;
            continue;
        }
        let length = match rest[0] {
            quote @ (b'\'' | b'"' | b'`') => {
                quoted_length(rest, quote, backslash_escapes && quote != b'`').unwrap_or(rest.len())
            }
            b'_' => 1,
            _ => rest
                .iter()
                .position(|byte| matches!(byte, b'\'' | b'"' | b'`' | b'_'))
                .unwrap_or(rest.len()),
        };
        text.push_str(
            str::from_utf8(&rest[..length]).map_err(|error| &rest[error.valid_up_to()..])?,
        );
        at += length;
    }
    Ok(Cow::Owned(text))
}

/// A `_binary` literal at the beginning of `bytes`: its value and its length in the statement.
fn binary_literal(bytes: &[u8], backslash_escapes: bool) -> Option<(Vec<u8>, usize)> {
    const INTRODUCER: &[u8] = b"_binary";
    let head = bytes.get(..INTRODUCER.len())?;
    if !head.eq_ignore_ascii_case(INTRODUCER) {
        return None;
    }
    let blanks =
        bytes[INTRODUCER.len()..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let start = INTRODUCER.len() + blanks;
    let quote = *bytes.get(start).filter(|byte| matches!(byte, b'\'' | b'"'))?;
    let length = quoted_length(&bytes[start..], quote, backslash_escapes)?;
    let mut inside = bytes[start + 1..start + length - 1].iter().copied();
    let mut value = Vec::with_capacity(length);
    while let Some(byte) = inside.next() {
        let byte = match byte {
            b'\\' if backslash_escapes => match inside.next()? {
                b'0' => 0,
                b'b' => 8,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'Z' => 0x1a,
                other => other,
            },
            byte if byte == quote => inside.next()?,
            byte => byte,
        };
        value.push(byte);
    }
    Some((value, start + length))
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

    #[test]
    fn text_stays_as_it_is() {
        assert!(matches!(statement_text("SELECT '伟'".as_bytes(), true), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn raw_bytes_behind_the_introducer_become_hexadecimal() {
        let statement = b"INSERT INTO t VALUES ('_binary', _binary '\xff\\'\\0''\x80', `b_`)";
        assert_eq!(
            statement_text(statement, true).unwrap(),
            "INSERT INTO t VALUES ('_binary', x'ff27002780', `b_`)"
        );
    }

    #[test]
    fn raw_bytes_elsewhere_are_refused() {
        assert_eq!(statement_text(b"SELECT '\xff'", true), Err(&b"\xff'"[..]));
        assert!(statement_text(b"SELECT _binary '\xff", true).is_err(), "not closed");
        assert!(statement_text(b"_binary'", true).is_ok());
    }
}
