//! Cuts the text of a statement into tokens.
//!
//! A token is a kind and a span; strings and quoted names are decoded only when the parser takes them
//! ([`string_value`], [`identifier_value`]). Comments vanish here, except that the inside of a version
//! comment `/*!80000 … */` is read when this server is not older than its number, and that of
//! `/*!999998 … */` always; what comments before a statement say of where it runs is read apart ([`hint`]).
//!
//! ```text
//! SELECT /*!40001 SQL_NO_CACHE */ t.order FROM `t`;
//! Word   Word                     Word Dot Word Word Quoted Semicolon
//! ```
//!
//! Modes ([`ParseMode`]) are the flags of sql_mode that change how text is read. Which words are
//! reserved depends on their surroundings, as in MySQL: a word directly before `.name` or after a dot is
//! a name, whatever it is; `COUNT` and its like are reserved only directly before `(`.
//!
//! Invariants:
//! 1. Spans ascend and do not overlap; each lies on character boundaries.
//! 2. The last token is `Semicolon` or `End`; there is exactly one of them, unless the body of a stored program reads on.
//!
//! Not here: what tokens mean (`parser`); the text with literals taken out ([`digest`]).

pub mod digest;
pub mod hint;
pub mod raw;
mod words;

pub use words::{is_charset, is_reserved};
pub(crate) use words::{is_function_word, is_plain_function_word};

use crate::ast::Span;

/// The version this server announces, in MySQL's numbering; version comments up to it are read.
pub const VERSION_NUMBER: u32 = 80046;
/// The number of version comments that this server reads and others skip. Not 999999, which MariaDB's dumps begin with.
pub const OWN_VERSION_NUMBER: u32 = 999_998;

/// Flags of sql_mode that change how text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ParseMode {
    /// `"x"` is a name.
    pub ansi_quotes: bool,
    /// `||` concatenates.
    pub pipes_as_concat: bool,
    /// `\` is an ordinary character of strings.
    pub no_backslash_escapes: bool,
    /// NOT binds like `!`.
    pub high_not_precedence: bool,
    /// Blanks may stand between a function's name and `(`.
    pub ignore_space: bool,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "operators are named by what they look like")]
pub enum TokenKind {
    /// A word without quotes that is no reserved word here.
    Word,
    /// A reserved word.
    Reserved,
    /// A name in backticks (or double quotes under ANSI_QUOTES).
    Quoted,
    /// A string.
    String,
    /// `N'…'`.
    National,
    /// `x'…'` or `0x…`.
    Hex,
    /// `b'…'` or `0b…`.
    Bits,
    /// Digits.
    Integer,
    /// Digits and a point.
    Decimal,
    /// With an exponent.
    Double,
    /// `@name`, with or without quotes.
    UserVariable,
    /// `?`.
    Parameter,
    /// `/*+ … */` where hints may stand.
    Hint,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    Comma,
    Dot,
    Star,
    Plus,
    Minus,
    Slash,
    Percent,
    Caret,
    Tilde,
    Bang,
    Ampersand,
    AmpersandAmpersand,
    Pipe,
    PipePipe,
    Equal,
    NullSafeEqual,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    ShiftLeft,
    ShiftRight,
    Assign,
    Arrow,
    LongArrow,
    At,
    AtAt,
    Colon,
    /// `;`.
    Semicolon,
    /// The end of the text.
    End,
    /// Something that is no token, for example a string without its end.
    Invalid,
}

/// A token.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: Span,
}

/// Tokens of the first statement of `text`, up to and including its semicolon or the end.
pub fn tokens(text: &str, mode: &ParseMode) -> Vec<Token> {
    first_tokens(text, mode).1
}

/// The same, and the lexer that can read on: the body of a stored program has semicolons.
pub(crate) fn first_tokens<'a>(text: &'a str, mode: &ParseMode) -> (Lexer<'a>, Vec<Token>) {
    let mut lexer = Lexer::new(text, *mode);
    let mut tokens = Vec::with_capacity(text.len().min(1 << 20) / 5 + 4);
    lexer.statement(&mut tokens);
    (lexer, tokens)
}

/// Where the statement after `offset` starts, when there is one: the offset of its first token.
pub fn rest(text: &str, offset: usize, mode: &ParseMode) -> Option<usize> {
    let tail = text.get(offset..)?;
    let token = Lexer::new(tail, *mode).next();
    (token.kind != TokenKind::End).then_some(offset)
}

/// Takes tokens off a text.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
    mode: ParseMode,
    /// Inside `/*! … */` whose content is read.
    in_version_comment: bool,
    /// The last token was a dot directly before a name: that name is no keyword.
    after_dot: bool,
    /// The last token was a name, so `.5` after it would be a member, not a number.
    after_name: bool,
    /// The last token was a word that a hint may follow.
    hint_allowed: bool,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, mode: ParseMode) -> Lexer<'a> {
        Lexer {
            text,
            bytes: text.as_bytes(),
            position: 0,
            mode,
            in_version_comment: false,
            after_dot: false,
            after_name: false,
            hint_allowed: false,
        }
    }

    /// Adds the tokens up to the next semicolon or the end, which is the last of them.
    pub(crate) fn statement(&mut self, tokens: &mut Vec<Token>) {
        loop {
            let token = self.next();
            tokens.push(token);
            match token.kind {
                // After an invalid token the parser has to stop in any case; an end keeps invariant 2.
                TokenKind::Invalid => {
                    let end = self.text.len() as u32;
                    tokens.push(Token { kind: TokenKind::End, span: Span { start: end, end } });
                    return;
                }
                TokenKind::Semicolon | TokenKind::End => return,
                _ => {}
            }
        }
    }

    /// The byte `ahead` of the position; 0 behind the end (a NUL in the text is no token either).
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.position + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Token {
        use TokenKind::*;
        let hint = self.skip_blanks();
        let start = self.position;
        let (after_dot, after_name) = (self.after_dot, self.after_name);
        (self.after_dot, self.after_name, self.hint_allowed) = (false, false, false);
        let kind = match hint {
            Some(Gap::Hint { end }) => {
                self.position = end;
                Hint
            }
            Some(Gap::Unterminated) => {
                self.position = self.bytes.len();
                Invalid
            }
            None if start >= self.bytes.len() => {
                if self.in_version_comment {
                    Invalid
                } else {
                    End
                }
            }
            None => self.token(after_dot, after_name),
        };
        Token { kind, span: Span { start: start as u32, end: self.position as u32 } }
    }

    fn token(&mut self, after_dot: bool, after_name: bool) -> TokenKind {
        use TokenKind::*;
        let byte = self.peek(0);
        match byte {
            b'\'' => self.quoted(b'\'', String),
            b'"' if self.mode.ansi_quotes => self.name(b'"'),
            b'"' => self.quoted(b'"', String),
            b'`' => self.name(b'`'),
            b'x' | b'X' if self.peek(1) == b'\'' => self.prefixed(|b| b.is_ascii_hexdigit(), Hex),
            b'b' | b'B' if self.peek(1) == b'\'' => self.prefixed(|b| b == b'0' || b == b'1', Bits),
            b'n' | b'N' if self.peek(1) == b'\'' => {
                self.position += 1;
                self.quoted(b'\'', National)
            }
            b'0'..=b'9' if after_dot => self.word(true),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_ascii_digit() && !after_name => self.number(),
            b'.' => {
                self.after_dot = is_word_byte(self.peek(1));
                self.take(1, Dot)
            }
            b'@' => self.at(),
            _ if is_word_byte(byte) => self.word(after_dot),
            _ => self.operator(byte),
        }
    }

    fn take(&mut self, bytes: usize, kind: TokenKind) -> TokenKind {
        self.position += bytes;
        kind
    }

    fn operator(&mut self, byte: u8) -> TokenKind {
        use TokenKind::*;
        let (next, third) = (self.peek(1), self.peek(2));
        match (byte, next, third) {
            (b'<', b'=', b'>') => self.take(3, NullSafeEqual),
            (b'<', b'=', _) => self.take(2, LessEqual),
            (b'<', b'>', _) | (b'!', b'=', _) => self.take(2, NotEqual),
            (b'<', b'<', _) => self.take(2, ShiftLeft),
            (b'<', ..) => self.take(1, Less),
            (b'>', b'=', _) => self.take(2, GreaterEqual),
            (b'>', b'>', _) => self.take(2, ShiftRight),
            (b'>', ..) => self.take(1, Greater),
            (b'-', b'>', b'>') => self.take(3, LongArrow),
            (b'-', b'>', _) => self.take(2, Arrow),
            (b'-', ..) => self.take(1, Minus),
            (b'&', b'&', _) => self.take(2, AmpersandAmpersand),
            (b'&', ..) => self.take(1, Ampersand),
            (b'|', b'|', _) => self.take(2, PipePipe),
            (b'|', ..) => self.take(1, Pipe),
            (b':', b'=', _) => self.take(2, Assign),
            (b':', ..) => self.take(1, Colon),
            (b'=', ..) => self.take(1, Equal),
            (b'!', ..) => self.take(1, Bang),
            (b'(', ..) => self.take(1, LeftParen),
            (b')', ..) => self.take(1, RightParen),
            (b'{', ..) => self.take(1, LeftBrace),
            (b'}', ..) => self.take(1, RightBrace),
            (b',', ..) => self.take(1, Comma),
            (b'*', ..) => self.take(1, Star),
            (b'+', ..) => self.take(1, Plus),
            (b'/', ..) => self.take(1, Slash),
            (b'%', ..) => self.take(1, Percent),
            (b'^', ..) => self.take(1, Caret),
            (b'~', ..) => self.take(1, Tilde),
            (b'?', ..) => self.take(1, Parameter),
            (b';', ..) => self.take(1, Semicolon),
            // Only ASCII arrives here (bytes above are word bytes), so this stays on a boundary.
            _ => self.take(1, Invalid),
        }
    }

    /// A string in `quote`; the position stands on the opening quote.
    fn quoted(&mut self, quote: u8, kind: TokenKind) -> TokenKind {
        let escapes = kind != TokenKind::Quoted && !self.mode.no_backslash_escapes;
        let mut at = self.position + 1;
        while let Some(&byte) = self.bytes.get(at) {
            if byte == quote {
                if self.bytes.get(at + 1) != Some(&quote) {
                    self.position = at + 1;
                    return kind;
                }
                at += 2;
            } else if byte == b'\\' && escapes {
                at += 2;
            } else {
                at += 1;
            }
        }
        // MySQL names the whole unterminated string in its error.
        self.position = self.bytes.len();
        TokenKind::Invalid
    }

    fn name(&mut self, quote: u8) -> TokenKind {
        let kind = self.quoted(quote, TokenKind::Quoted);
        self.after_name = true;
        kind
    }

    /// `x'…'` and `b'…'`.
    fn prefixed(&mut self, accepts: fn(u8) -> bool, kind: TokenKind) -> TokenKind {
        let digits = self.bytes[self.position + 2..].iter().take_while(|b| accepts(**b)).count();
        let end = self.position + 2 + digits;
        let odd = kind == TokenKind::Hex && digits % 2 == 1;
        if self.bytes.get(end) != Some(&b'\'') || odd {
            return self.take(1, TokenKind::Invalid);
        }
        self.position = end + 1;
        kind
    }

    /// A number, or a name that starts with digits.
    fn number(&mut self) -> TokenKind {
        let run = |from: usize, accepts: fn(&u8) -> bool| {
            from + self.bytes[from..].iter().take_while(|b| accepts(b)).count()
        };
        let start = self.position;
        let at = |position: usize| self.bytes.get(position).copied().unwrap_or(0);
        let word_end = run(start, |b| is_word_byte(*b));
        if at(start) == b'0' && word_end > start + 2 {
            let digits = &self.bytes[start + 2..word_end];
            if at(start + 1) == b'x' && digits.iter().all(u8::is_ascii_hexdigit) {
                self.position = word_end;
                return TokenKind::Hex;
            }
            if at(start + 1) == b'b' && digits.iter().all(|b| *b == b'0' || *b == b'1') {
                self.position = word_end;
                return TokenKind::Bits;
            }
        }
        let mut end = run(start, u8::is_ascii_digit);
        let mut kind = TokenKind::Integer;
        if at(end) == b'.' {
            end = run(end + 1, u8::is_ascii_digit);
            kind = TokenKind::Decimal;
        }
        if matches!(at(end), b'e' | b'E') {
            let sign = usize::from(matches!(at(end + 1), b'+' | b'-'));
            let exponent = run((end + 1 + sign).min(self.bytes.len()), u8::is_ascii_digit);
            if exponent > end + 1 + sign {
                self.position = exponent;
                if sign == 1 || kind == TokenKind::Decimal || !is_word_byte(at(exponent)) {
                    return TokenKind::Double;
                }
                self.position = start;
                return self.word(true);
            }
        }
        if kind == TokenKind::Integer && is_word_byte(at(end)) {
            return self.word(true);
        }
        self.position = end;
        kind
    }

    /// A word without quotes; `is_name` when it can be no keyword.
    fn word(&mut self, is_name: bool) -> TokenKind {
        let start = self.position;
        while is_word_byte(self.peek(0)) {
            self.position += 1;
        }
        self.after_name = true;
        let word = &self.text[start..self.position];
        let member_follows = self.peek(0) == b'.' && is_word_byte(self.peek(1));
        if is_name || member_follows {
            return TokenKind::Word;
        }
        if is_reserved(word) || (is_function_word(word) && self.parenthesis_follows()) {
            self.hint_allowed = words::HINTED.iter().any(|w| w.eq_ignore_ascii_case(word));
            // `SELECT .5` is a number; only a name can have members.
            self.after_name = false;
            return TokenKind::Reserved;
        }
        TokenKind::Word
    }

    fn parenthesis_follows(&self) -> bool {
        let mut at = self.position;
        if self.mode.ignore_space {
            while self.bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
                at += 1;
            }
        }
        self.bytes.get(at) == Some(&b'(')
    }

    /// `@name`, `@'name'`, `@@`, `@`.
    fn at(&mut self) -> TokenKind {
        use TokenKind::*;
        self.position += 1;
        match self.peek(0) {
            b'@' => self.take(1, AtAt),
            quote @ (b'\'' | b'"') => self.quoted(quote, UserVariable),
            b'`' => match self.quoted(b'`', Quoted) {
                Quoted => UserVariable,
                other => other,
            },
            byte if is_variable_byte(byte) => {
                while is_variable_byte(self.peek(0)) {
                    self.position += 1;
                }
                UserVariable
            }
            _ => At,
        }
    }

    /// Skips blanks and comments.
    fn skip_blanks(&mut self) -> Option<Gap> {
        loop {
            let byte = *self.bytes.get(self.position)?;
            match (byte, self.peek(1)) {
                (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, _) => self.position += 1,
                (b'#', _) => self.skip_line(),
                (b'-', b'-') if self.peek(2) <= b' ' || self.peek(2) == 0x7f => self.skip_line(),
                (b'*', b'/') if self.in_version_comment => {
                    self.in_version_comment = false;
                    self.position += 2;
                }
                (b'/', b'*') => match self.peek(2) {
                    b'!' => {
                        if !self.version_comment() {
                            return Some(Gap::Unterminated);
                        }
                    }
                    b'+' if self.hint_allowed => {
                        let Some(end) = self.comment_end(self.position + 3, false) else {
                            return Some(Gap::Unterminated);
                        };
                        return Some(Gap::Hint { end });
                    }
                    _ => match self.comment_end(self.position + 2, false) {
                        Some(end) => self.position = end,
                        None => return Some(Gap::Unterminated),
                    },
                },
                _ => return None,
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.bytes[self.position..];
        self.position += rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |n| n + 1);
    }

    /// Enters or skips `/*!NNNNN … */`; false when a skipped one has no end.
    fn version_comment(&mut self) -> bool {
        let from = self.position + 3;
        let digits = self.bytes[from..].iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        // Fewer than five digits are no version but content.
        let digits = if digits < 5 { 0 } else { digits };
        let version = self.text[from..from + digits].parse().unwrap_or(0u32);
        if version <= VERSION_NUMBER || version == OWN_VERSION_NUMBER {
            self.position = from + digits;
            self.in_version_comment = true;
            return true;
        }
        match self.comment_end(from, true) {
            Some(end) => {
                self.position = end;
                true
            }
            None => false,
        }
    }

    /// The offset after `*/`, when there is one. A skipped version comment may hold plain comments.
    fn comment_end(&self, from: usize, nested: bool) -> Option<usize> {
        let mut at = from;
        let mut depth = 1;
        while at + 1 < self.bytes.len() {
            match (self.bytes[at], self.bytes[at + 1]) {
                (b'*', b'/') => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                (b'/', b'*') if nested => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        None
    }
}

/// What `skip_blanks` met that is neither blank nor token.
enum Gap {
    /// An optimizer hint that ends at `end`.
    Hint { end: usize },
    /// A comment without end.
    Unterminated,
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn is_variable_byte(byte: u8) -> bool {
    is_word_byte(byte) || byte == b'.'
}

/// The value of a string token's text, quotes included.
pub fn string_value(source: &str, mode: &ParseMode) -> String {
    let quote = source.chars().next().unwrap_or('\'');
    let inside = source.get(1..source.len().saturating_sub(1)).unwrap_or("");
    let escapes = !mode.no_backslash_escapes;
    let plain = !inside.contains(quote) && (!escapes || !inside.contains('\\'));
    if plain {
        return inside.to_string();
    }
    let mut value = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        if character == quote {
            // Its double.
            characters.next();
            value.push(quote);
        } else if character == '\\' && escapes {
            match characters.next() {
                Some('0') => value.push('\0'),
                Some('b') => value.push('\u{8}'),
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some('Z') => value.push('\u{1a}'),
                // LIKE reads these two itself.
                Some(wildcard @ ('%' | '_')) => value.extend(['\\', wildcard]),
                Some(other) => value.push(other),
                None => {}
            }
        } else {
            value.push(character);
        }
    }
    value
}

/// The name in a quoted token's text.
pub fn identifier_value(source: &str) -> String {
    let quote = source.get(..1).unwrap_or("`");
    let inside = source.get(1..source.len().saturating_sub(1)).unwrap_or("");
    inside.replace(&quote.repeat(2), quote)
}

/// The name in a user variable's text.
pub fn variable_value(source: &str, mode: &ParseMode) -> String {
    let name = source.get(1..).unwrap_or("");
    match name.as_bytes().first() {
        Some(b'\'' | b'"') => string_value(name, mode),
        Some(b'`') => identifier_value(name),
        _ => name.to_string(),
    }
}

/// The bytes of `x'…'`, `0x…`, `b'…'` or `0b…`; bits and odd digits are filled up at the front.
pub fn bytes_value(source: &str, bits: bool) -> Vec<u8> {
    let digits = source.get(2..).unwrap_or("").trim_end_matches('\'').as_bytes();
    let (per_byte, bits_per_digit) = if bits { (8, 1) } else { (2, 4) };
    digits
        .rchunks(per_byte)
        .rev()
        .map(|chunk| {
            chunk.iter().fold(0u8, |byte, digit| {
                let value = (*digit as char).to_digit(16).unwrap_or(0) as u8;
                (byte << bits_per_digit) | value
            })
        })
        .collect()
}
