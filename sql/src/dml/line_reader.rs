//! Cuts the bytes of a LOAD DATA file into lines and fields.
//!
//! ```text
//! chunk ─> buffer ─> [skip IGNORE n LINES] ─> [skip up to LINES STARTING BY] ─> fields ─> line
//!             └ the unfinished last line stays until the next chunk
//! ```
//!
//! A field is enclosed when it begins with the enclosing character. In it, a doubled enclosing character
//! is one, and only an enclosing character before a terminator ends it. The escape character works in
//! both kinds of fields.
//!
//! Invariants:
//! 1. How the file is cut into chunks changes nothing in the lines.
//! 2. The buffer holds at most one unfinished line beside a chunk, and no line longer than a row.

use crate::ast::FileFormat;
use crate::{Error, Result};
use base::limits::ROW_BYTES_MAX;
use std::borrow::Cow;

/// A field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    /// `\N`, or the bare word NULL when fields can be enclosed.
    Null,
    /// Anything else, escapes resolved.
    Bytes(Cow<'a, [u8]>),
}

/// The format, as bytes.
#[derive(Clone, Debug)]
struct Format {
    field_end: Vec<u8>,
    line_end: Vec<u8>,
    line_start: Vec<u8>,
    enclosed: Option<u8>,
    escape: Option<u8>,
}

/// Reads lines from chunks.
#[derive(Debug)]
pub(crate) struct LineReader {
    format: Format,
    /// Lines still to be left out.
    ignore_lines: u64,
    /// Bytes that are not read yet.
    buffer: Vec<u8>,
    /// How much of `buffer` is read.
    read: usize,
}

/// What was found at a place of the buffer.
enum Found<'a> {
    /// A whole line and where the next one begins.
    Line(Vec<Field<'a>>, usize),
    /// Nothing more until another chunk comes.
    More,
}

fn single(text: &str) -> Result<Option<u8>> {
    match text.as_bytes() {
        [] => Ok(None),
        [byte] => Ok(Some(*byte)),
        _ => Err(Error::wrong_field_terminators()),
    }
}

impl LineReader {
    /// A reader for this format. The fixed-width format is refused.
    pub(crate) fn new(format: &FileFormat, ignore_lines: u64) -> Result<LineReader> {
        let enclosed = single(&format.fields_enclosed_by)?;
        let escape = single(&format.fields_escaped_by)?;
        if format.fields_terminated_by.is_empty() && enclosed.is_none() {
            return Err(Error::not_supported(
                "the fixed-width format of LOAD DATA: name FIELDS TERMINATED BY",
            ));
        }
        if format.lines_terminated_by.is_empty() || format.fields_terminated_by.is_empty() {
            return Err(Error::not_supported(
                "LOAD DATA without terminators: name FIELDS TERMINATED BY and LINES TERMINATED BY",
            ));
        }
        Ok(LineReader {
            format: Format {
                field_end: format.fields_terminated_by.clone().into_bytes(),
                line_end: format.lines_terminated_by.clone().into_bytes(),
                line_start: format.lines_starting_by.clone().into_bytes(),
                enclosed,
                escape,
            },
            ignore_lines,
            buffer: Vec::new(),
            read: 0,
        })
    }

    /// Adds a piece of the file.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line. `at_end`: no chunk follows, so what is left is a line, too. `None`: feed
    /// more, or the end.
    pub(crate) fn next_line(&mut self, at_end: bool) -> Result<Option<Vec<Field<'_>>>> {
        while self.ignore_lines > 0 {
            let rest = &self.buffer[self.read..];
            match find(rest, &self.format.line_end) {
                Some(at) => {
                    self.read += at + self.format.line_end.len();
                    self.ignore_lines -= 1;
                }
                None => {
                    if at_end {
                        self.read = self.buffer.len();
                    }
                    return Ok(None);
                }
            }
        }
        let Some(start) = self.line_start(at_end) else { return Ok(None) };
        if start == self.buffer.len() && at_end {
            return Ok(None);
        }
        match self.format.line(&self.buffer, start, at_end) {
            Found::Line(fields, next) => {
                self.read = next;
                Ok(Some(fields))
            }
            Found::More if self.buffer.len() - start > ROW_BYTES_MAX => Err(Error::too_large(
                format!("a line is longer than {ROW_BYTES_MAX} bytes; check LINES TERMINATED BY"),
            )),
            Found::More => Ok(None),
        }
    }

    /// Where the line's fields begin: behind LINES STARTING BY.
    fn line_start(&mut self, at_end: bool) -> Option<usize> {
        let prefix = &self.format.line_start;
        if prefix.is_empty() {
            return Some(self.read);
        }
        match find(&self.buffer[self.read..], prefix) {
            Some(at) => Some(self.read + at + prefix.len()),
            None => {
                // Only the last bytes can be the beginning of a prefix that the next chunk completes.
                let keep = if at_end { 0 } else { prefix.len() - 1 };
                self.read = self.read.max(self.buffer.len().saturating_sub(keep));
                None
            }
        }
    }
}

impl Format {
    /// Reads a line that begins at `at`.
    fn line<'a>(&self, buffer: &'a [u8], mut at: usize, at_end: bool) -> Found<'a> {
        let mut fields = Vec::with_capacity(16);
        loop {
            let (field, end, ends_line) = match self.field(buffer, at, at_end) {
                Some(found) => found,
                None => return Found::More,
            };
            fields.push(field);
            at = end;
            if ends_line {
                return Found::Line(fields, at);
            }
        }
    }

    /// The field at `at`, where the next one begins, and whether it was the line's last. `None` when the
    /// buffer ends before it is sure.
    fn field<'a>(
        &self,
        buffer: &'a [u8],
        at: usize,
        at_end: bool,
    ) -> Option<(Field<'a>, usize, bool)> {
        match buffer.get(at) {
            None if !at_end => return None,
            None => return Some((Field::Bytes(Cow::Borrowed(&[])), at, true)),
            Some(byte) if Some(*byte) == self.enclosed => {
                return self.enclosed_field(buffer, at + 1, at_end);
            }
            Some(_) => {}
        }
        // Plain fields without escapes are the rule: they are cut out without a copy.
        let mut owned: Option<Vec<u8>> = None;
        let mut copied = at;
        let mut only_null = false;
        let mut place = at;
        loop {
            let Some(&byte) = buffer.get(place) else {
                if !at_end {
                    return None;
                }
                let field = self.finish(buffer, at, place, owned, copied, only_null);
                return Some((field, place, true));
            };
            if Some(byte) == self.escape && self.escape != self.enclosed {
                let Some(&next) = buffer.get(place + 1) else {
                    if !at_end {
                        return None;
                    }
                    place += 1;
                    continue;
                };
                let text = owned.get_or_insert_with(Vec::new);
                text.extend_from_slice(&buffer[copied..place]);
                only_null = next == b'N' && text.is_empty();
                text.push(unescape(next));
                place += 2;
                copied = place;
                continue;
            }
            match self.terminator(buffer, place, at_end) {
                Terminator::None => place += 1,
                Terminator::Unsure => return None,
                Terminator::Field => {
                    let field = self.finish(buffer, at, place, owned, copied, only_null);
                    return Some((field, place + self.field_end.len(), false));
                }
                Terminator::Line => {
                    let field = self.finish(buffer, at, place, owned, copied, only_null);
                    return Some((field, place + self.line_end.len(), true));
                }
            }
        }
    }

    fn finish<'a>(
        &self,
        buffer: &'a [u8],
        start: usize,
        end: usize,
        owned: Option<Vec<u8>>,
        copied: usize,
        only_null: bool,
    ) -> Field<'a> {
        match owned {
            None => match &buffer[start..end] {
                b"NULL" if self.enclosed.is_some() => Field::Null,
                bytes => Field::Bytes(Cow::Borrowed(bytes)),
            },
            Some(_) if only_null && copied == end && end == start + 2 => Field::Null,
            Some(mut text) => {
                text.extend_from_slice(&buffer[copied..end]);
                Field::Bytes(Cow::Owned(text))
            }
        }
    }

    fn enclosed_field<'a>(
        &self,
        buffer: &'a [u8],
        at: usize,
        at_end: bool,
    ) -> Option<(Field<'a>, usize, bool)> {
        let mut owned: Option<Vec<u8>> = None;
        let mut copied = at;
        let mut place = at;
        let take = |owned: Option<Vec<u8>>, copied: usize, end: usize| match owned {
            None => Field::Bytes(Cow::Borrowed(&buffer[copied..end])),
            Some(mut text) => {
                text.extend_from_slice(&buffer[copied..end]);
                Field::Bytes(Cow::Owned(text))
            }
        };
        loop {
            let Some(&byte) = buffer.get(place) else {
                // A quote that is never closed takes the rest of the file.
                return at_end.then(|| (take(owned, copied, place), place, true));
            };
            if Some(byte) == self.escape && self.escape != self.enclosed {
                let Some(&next) = buffer.get(place + 1) else {
                    if !at_end {
                        return None;
                    }
                    place += 1;
                    continue;
                };
                let text = owned.get_or_insert_with(Vec::new);
                text.extend_from_slice(&buffer[copied..place]);
                text.push(unescape(next));
                place += 2;
                copied = place;
                continue;
            }
            if Some(byte) != self.enclosed {
                place += 1;
                continue;
            }
            let next = place + 1;
            match buffer.get(next) {
                None if !at_end => return None,
                None => return Some((take(owned, copied, place), next, true)),
                Some(after) if Some(*after) == self.enclosed => {
                    let text = owned.get_or_insert_with(Vec::new);
                    text.extend_from_slice(&buffer[copied..next]);
                    place = next + 1;
                    copied = place;
                }
                Some(_) => match self.terminator(buffer, next, at_end) {
                    Terminator::Unsure => return None,
                    Terminator::Field => {
                        let end = next + self.field_end.len();
                        return Some((take(owned, copied, place), end, false));
                    }
                    Terminator::Line => {
                        let end = next + self.line_end.len();
                        return Some((take(owned, copied, place), end, true));
                    }
                    // A quote in the middle is an ordinary character.
                    Terminator::None => place = next,
                },
            }
        }
    }

    fn terminator(&self, buffer: &[u8], at: usize, at_end: bool) -> Terminator {
        let rest = &buffer[at..];
        if rest.starts_with(&self.field_end) {
            return Terminator::Field;
        }
        if rest.starts_with(&self.line_end) {
            return Terminator::Line;
        }
        let may_become = |end: &[u8]| rest.len() < end.len() && end.starts_with(rest);
        if !at_end && (may_become(&self.field_end) || may_become(&self.line_end)) {
            return Terminator::Unsure;
        }
        Terminator::None
    }
}

/// What stands at a place.
enum Terminator {
    /// The end of a field.
    Field,
    /// The end of a line.
    Line,
    /// Neither.
    None,
    /// The buffer ends in the middle of what may be one.
    Unsure,
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 26,
        other => other,
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn csv() -> FileFormat {
        FileFormat {
            fields_terminated_by: ",".into(),
            fields_enclosed_by: "\"".into(),
            lines_terminated_by: "\r\n".into(),
            ..FileFormat::default()
        }
    }

    fn read(format: &FileFormat, ignore: u64, chunks: &[&[u8]]) -> Vec<Vec<Option<String>>> {
        let mut reader = LineReader::new(format, ignore).unwrap();
        let mut lines = Vec::new();
        for at in 0..=chunks.len() {
            let at_end = at == chunks.len();
            if !at_end {
                reader.feed(chunks[at]);
            }
            while let Some(line) = reader.next_line(at_end).unwrap() {
                let text = |field: &Field<'_>| match field {
                    Field::Null => None,
                    Field::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
                };
                lines.push(line.iter().map(text).collect());
            }
        }
        lines
    }

    fn texts(fields: &[&str]) -> Vec<Option<String>> {
        fields.iter().map(|field| Some((*field).to_string())).collect()
    }

    #[test]
    fn quotes_may_hold_terminators_and_doubled_quotes() {
        let lines = read(&csv(), 1, &[b"a,b\r\n\"x,\r\n\"\"y\",2\r\n", b"3,\"4\""]);
        assert_eq!(lines, [texts(&["x,\r\n\"y", "2"]), texts(&["3", "4"])]);
    }

    #[test]
    fn null_is_the_escape_or_the_bare_word() {
        let lines = read(&csv(), 0, &[b"\\N,NULL,\"NULL\",\\Nx\r\n"]);
        let expected = [None, None, Some("NULL".to_string()), Some("Nx".to_string())];
        assert_eq!(lines, [expected.to_vec()]);
        let tabs = read(&FileFormat::default(), 0, &[b"NULL\t\\N\ta\\tb\\\nc\n"]);
        let expected = [Some("NULL".to_string()), None, Some("a\tb\nc".to_string())];
        assert_eq!(tabs, [expected.to_vec()]);
    }

    #[test]
    fn lines_without_their_prefix_are_left_out() {
        let format = FileFormat { lines_starting_by: "xxx".into(), ..FileFormat::default() };
        let lines = read(&format, 0, &[b"xxxabc\t1\nsomething xx", b"xdef\t2\nghi\t3\n"]);
        assert_eq!(lines, [texts(&["abc", "1"]), texts(&["def", "2"])]);
    }

    #[test]
    fn empty_line_is_one_empty_field() {
        assert_eq!(read(&FileFormat::default(), 0, &[b"\n"]), [texts(&[""])]);
        assert!(read(&FileFormat::default(), 0, &[b""]).is_empty());
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "[ab,\"\\\\\r\nN]{0,40}", cut in 0..41_usize) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let whole = read(&csv(), 0, &[bytes]);
            prop_assert_eq!(read(&csv(), 0, &[&bytes[..cut], &bytes[cut..]]), whole);
        }
    }
}
