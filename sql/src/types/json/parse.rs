//! From text to a document, with the faults that MySQL's reader names.

use super::Json;
use base::limits::JSON_DEPTH_MAX;

/// Why a text is no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What is wrong, and the byte where.
    Text(&'static str, usize),
    /// More arrays and objects inside each other than may be.
    Deep,
}

type Read<T> = std::result::Result<T, Fault>;

/// The document that a text is.
pub fn parse(text: &str) -> Read<Json> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    if reader.peek().is_none() {
        return Err(reader.fault("The document is empty."));
    }
    let value = reader.value(0)?;
    reader.space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.fault("The document root must not be followed by other values.")),
    }
}

/// The string at the start of a text, in quotes, and how many bytes it takes.
pub fn string_at_start(text: &str) -> Read<(String, usize)> {
    let mut reader = Reader { text, at: 0 };
    let string = reader.string()?;
    Ok((string, reader.at))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn fault(&self, what: &'static str) -> Fault {
        Fault::Text(what, self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes on if this byte is next.
    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Read<Json> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Read<Json> {
        let words =
            [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))];
        for (word, value) in words {
            let rest = &self.text.as_bytes()[self.at..];
            let same = rest.iter().zip(word.as_bytes()).take_while(|(a, b)| a == b).count();
            self.at += same;
            match same {
                0 => {}
                _ if same == word.len() => return Ok(value),
                _ => break,
            }
        }
        Err(self.fault("Invalid value."))
    }

    fn array(&mut self, depth: usize) -> Read<Json> {
        if depth > JSON_DEPTH_MAX {
            return Err(Fault::Deep);
        }
        self.at += 1;
        let mut elements = Vec::new();
        self.space();
        if self.accept(b']') {
            return Ok(Json::Array(elements));
        }
        loop {
            self.space();
            elements.push(self.value(depth)?);
            self.space();
            if self.accept(b']') {
                return Ok(Json::Array(elements));
            }
            if !self.accept(b',') {
                return Err(self.fault("Missing a comma or ] after an array element."));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Read<Json> {
        if depth > JSON_DEPTH_MAX {
            return Err(Fault::Deep);
        }
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.accept(b'}') {
            return Ok(Json::Object(Vec::new()));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.fault("Missing a name for object member."));
            }
            let name = self.string()?;
            self.space();
            if !self.accept(b':') {
                return Err(self.fault("Missing a colon after a name of object member."));
            }
            self.space();
            members.push((name, self.value(depth)?));
            self.space();
            if self.accept(b'}') {
                return Ok(Json::object(members));
            }
            if !self.accept(b',') {
                return Err(self.fault("Missing a comma or } after an object member."));
            }
        }
    }

    /// A string; the quote that opens it is next.
    fn string(&mut self) -> Read<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(end) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') else {
                self.at = self.text.len();
                return Err(self.fault("Missing a closing quotation mark in string."));
            };
            out.push_str(&rest[..end]);
            self.at += end;
            match rest.as_bytes()[end] {
                b'"' => {
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => out.push(self.escape()?),
                _ => return Err(self.fault("Invalid encoding in string.")),
            }
        }
    }

    /// The character that an escape stands for.
    fn escape(&mut self) -> Read<char> {
        let escape = self.at;
        let kind = self.text.as_bytes().get(escape + 1).copied();
        self.at += 2;
        let c = match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit(escape)?;
                let code = match first {
                    0xd800..0xdc00 => {
                        let pair = self.accept(b'\\') && self.accept(b'u');
                        let second = if pair { self.unit(escape)? } else { 0 };
                        if !(0xdc00..0xe000).contains(&second) {
                            return Err(broken_pair(escape));
                        }
                        0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    code => code,
                };
                return char::from_u32(code).ok_or(broken_pair(escape));
            }
            _ => {
                self.at = escape;
                return Err(self.fault("Invalid escape character in string."));
            }
        };
        Ok(c)
    }

    /// Four hexadecimal digits.
    fn unit(&mut self, escape: usize) -> Read<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let value = digits.and_then(|digits| {
            digits
                .iter()
                .try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
        });
        self.at += 4;
        value.ok_or(Fault::Text("Incorrect hex digit after \\u escape in string.", escape))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Read<Json> {
        let start = self.at;
        let negative = self.accept(b'-');
        // A leading zero stands alone.
        if !self.accept(b'0') && self.digits() == 0 {
            return Err(self.fault("Invalid value."));
        }
        let mut whole = true;
        if self.accept(b'.') {
            whole = false;
            if self.digits() == 0 {
                return Err(self.fault("Miss fraction part in number."));
            }
        }
        if self.accept(b'e') || self.accept(b'E') {
            whole = false;
            if !self.accept(b'-') {
                self.accept(b'+');
            }
            if self.digits() == 0 {
                return Err(self.fault("Miss exponent in number."));
            }
        }
        let text = &self.text[start..self.at];
        if whole && text != "-0" {
            if let Ok(number) = text.parse() {
                return Ok(Json::Int(number));
            }
            if !negative && let Ok(number) = text.parse() {
                return Ok(Json::UInt(number));
            }
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Json::Double(number)),
            _ => Err(Fault::Text("Number too big to be stored in double.", start)),
        }
    }
}

fn broken_pair(escape: usize) -> Fault {
    Fault::Text("The surrogate pair in string is invalid.", escape)
}
