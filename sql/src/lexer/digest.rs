//! The text of a statement with its literals taken out.
//!
//! Two statements that differ only in literals, blanks, comments and the case of keywords have the same
//! template. The template is a statement itself, with parameters where literals stood, so a plan that
//! was prepared from it can be kept and run with other literals:
//!
//! ```text
//! select * from t where id=7 and name='x'   literals 7, 'x'
//! SELECT * FROM t WHERE id = ? AND name = ?
//! ```
//!
//! [`Template::digest_text`] also collapses lists, which is what statistics group by.
//!
//! Not here: whether a literal may become a parameter without changing the meaning. `ORDER BY 1`,
//! names of select items and types' lengths do change; whoever keeps plans checks that.

use super::{Lexer, ParseMode, TokenKind, bytes_value, is_function_word, string_value};
use crate::ast::{Literal, SourceText};

/// A statement without its literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The text, `?` for each literal, one blank between tokens (none where it would matter),
    /// keywords in capitals.
    pub text: String,
    /// What the `?`s stood for, in order. Parameters of the statement itself are not in here.
    pub literals: Vec<Literal>,
    /// The statement has parameters of its own, so counting `?`s does not count literals.
    pub has_parameters: bool,
    /// Bytes of the statement, its semicolon included.
    pub consumed: usize,
}

/// The template of the first statement of `sql`; `None` when it cannot be cut into tokens.
pub fn template(sql: &str, mode: &ParseMode) -> Option<Template> {
    let mut lexer = Lexer::new(sql, *mode);
    let mut template = Template {
        text: String::with_capacity(sql.len()),
        literals: Vec::new(),
        has_parameters: false,
        consumed: sql.len(),
    };
    let mut after_string = false;
    let mut previous = Previous::Other;
    loop {
        let token = lexer.next();
        let source = token.span.of(sql);
        match token.kind {
            TokenKind::End => return Some(template),
            TokenKind::Semicolon => {
                template.consumed = token.span.end as usize;
                return Some(template);
            }
            TokenKind::Invalid => return None,
            TokenKind::String if after_string => {
                if let Some(Literal::String { value, .. }) = template.literals.last_mut() {
                    value.push_str(&string_value(source, mode));
                }
                continue;
            }
            kind => {
                if !template.text.is_empty() && !joins(previous, kind) {
                    template.text.push(' ');
                }
                match literal(kind, source, mode) {
                    Some(literal) => {
                        template.literals.push(literal);
                        template.text.push('?');
                    }
                    None if kind == TokenKind::Reserved => {
                        template.text.extend(source.chars().map(|c| c.to_ascii_uppercase()));
                    }
                    None => {
                        template.has_parameters |= kind == TokenKind::Parameter;
                        template.text.push_str(source);
                    }
                }
            }
        }
        after_string = token.kind == TokenKind::String;
        previous = match token.kind {
            TokenKind::Dot | TokenKind::AtAt => Previous::Sign,
            TokenKind::Reserved if is_function_word(source) => Previous::Function,
            _ => Previous::Other,
        };
    }
}

/// What stood before, as far as a blank after it would change the meaning.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Previous {
    /// `.` or `@@`.
    Sign,
    /// A function's name that is reserved only directly before a parenthesis.
    Function,
    Other,
}

/// Whether a token stands directly after what was before it.
fn joins(previous: Previous, kind: TokenKind) -> bool {
    match previous {
        Previous::Sign => true,
        Previous::Function => kind == TokenKind::LeftParen,
        Previous::Other => kind == TokenKind::Dot,
    }
}

/// The literal that a token is; `None` for every other token.
pub fn literal(kind: TokenKind, source: &str, mode: &ParseMode) -> Option<Literal> {
    Some(match kind {
        TokenKind::Integer => match source.parse() {
            Ok(value) => Literal::Integer(value),
            Err(_) => Literal::Decimal(source.to_string()),
        },
        TokenKind::Decimal => Literal::Decimal(source.to_string()),
        TokenKind::Double => Literal::Double(source.to_string()),
        TokenKind::String => {
            let value = string_value(source, mode);
            Literal::String { first: SourceText(value.clone()), value, charset: None }
        }
        TokenKind::National => {
            let value = string_value(source.get(1..)?, mode);
            let charset = Some("utf8mb3".to_string());
            Literal::String { first: SourceText(value.clone()), value, charset }
        }
        TokenKind::Hex | TokenKind::Bits => {
            let bits = kind == TokenKind::Bits;
            Literal::Bytes { value: bytes_value(source, bits), charset: None, bits }
        }
        _ => return None,
    })
}

/// The text by which MySQL groups statements: `?` for literals, lists of them collapsed, names in backticks, one blank between
/// tokens. `None` when it cannot be cut into tokens.
pub fn statement_digest(sql: &str, mode: &ParseMode) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for token in super::tokens(sql, mode) {
        let source = token.span.of(sql);
        match token.kind {
            TokenKind::End | TokenKind::Semicolon => break,
            TokenKind::Invalid => return None,
            TokenKind::Hint => {}
            TokenKind::Word => parts.push(format!("`{}`", source.replace('`', "``"))),
            TokenKind::Quoted => {
                let name = super::identifier_value(source);
                parts.push(format!("`{}`", name.replace('`', "``")));
            }
            TokenKind::Parameter => put_value(&mut parts),
            kind if literal(kind, source, mode).is_some() => {
                if !matches!(kind, TokenKind::String | TokenKind::National) {
                    drop_signs(&mut parts);
                }
                put_value(&mut parts);
            }
            TokenKind::Reserved if source.eq_ignore_ascii_case("NULL") => {
                match parts.last().map(String::as_str) {
                    Some("IS" | "NOT") => parts.push("NULL".to_string()),
                    _ => put_value(&mut parts),
                }
            }
            TokenKind::Reserved => parts.push(source.to_ascii_uppercase()),
            TokenKind::RightParen => {
                parts.push(source.to_string());
                collapse_rows(&mut parts);
            }
            _ => parts.push(source.to_string()),
        }
    }
    Some(parts.join(" "))
}

/// Signs that belong to a number go with it.
fn drop_signs(parts: &mut Vec<String>) {
    while let [.., before, sign] = parts.as_slice() {
        let is_operand = before.starts_with(['`', '?', '@', ')']);
        if !matches!(sign.as_str(), "+" | "-") || is_operand {
            break;
        }
        parts.pop();
    }
}

/// A literal: `?`, or `?, ...` when it is one of several.
fn put_value(parts: &mut Vec<String>) {
    let goes_on = match parts.as_slice() {
        [.., values, comma] => comma == "," && matches!(values.as_str(), "?" | "?, ..."),
        _ => false,
    };
    if goes_on {
        parts.truncate(parts.len() - 2);
        parts.push("?, ...".to_string());
    } else {
        parts.push("?".to_string());
    }
}

/// `( ? )` is a row of one value, `( ?, ... )` one of several, and rows of a kind behind each other are one.
fn collapse_rows(parts: &mut Vec<String>) {
    let row = match parts.as_slice() {
        [.., open, values, _] if open == "(" && values == "?" => "(?)",
        [.., open, values, _] if open == "(" && values == "?, ..." => "(...)",
        _ => return,
    };
    parts.truncate(parts.len() - 3);
    let many = format!("{row} /* , ... */");
    let goes_on = match parts.as_slice() {
        [.., rows, comma] => comma == "," && (rows == row || *rows == many),
        _ => false,
    };
    if goes_on {
        parts.truncate(parts.len() - 2);
        parts.push(many);
    } else {
        parts.push(row.to_string());
    }
}

impl Template {
    /// The text with lists collapsed: `IN (?, ?, ?)` → `IN (...)`, several rows → one.
    pub fn digest_text(&self) -> String {
        let mut tokens: Vec<&str> = Vec::new();
        for token in self.text.split(' ') {
            tokens.push(token);
            // `( ? , ? )` with at least one literal becomes `(...)`.
            if token == ")" {
                let values = tokens[..tokens.len() - 1]
                    .iter()
                    .rev()
                    .take_while(|part| matches!(**part, "?" | "," | "-"))
                    .count();
                let open = tokens.len() - 1 - values;
                if values > 1 && open > 0 && tokens[open - 1] == "(" {
                    tokens.truncate(open - 1);
                    tokens.push("(...)");
                }
            }
            if let [.., "(...)", ",", "(...)"] | [.., "(...) /* , ... */", ",", "(...)"] =
                tokens[..]
            {
                tokens.truncate(tokens.len() - 3);
                tokens.push("(...) /* , ... */");
            }
        }
        tokens.join(" ")
    }
}
