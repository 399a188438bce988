//! JSON documents.
//!
//! ```text
//! text ── parse ──> Json ── path::Path::find ──> values in it ── Display ──> MySQL's text
//!                     └ contains, overlaps, ==
//! ```
//!
//! Invariants:
//! 1. Members of an object are in MySQL's order: shorter names first, names of one length by their bytes; each name once.
//! 2. No document is deeper than `base::limits::JSON_DEPTH_MAX`, so that walking one needs little stack.
//!
//! Parts: `parse`, `path`, `change` (documents with other parts), `order` (weights). Not here: functions (`function::json`).
//!
//! Reference: MySQL 8.4 manual, 13.5 "The JSON Data Type".

pub mod change;
pub mod order;
pub mod parse;
pub mod path;

use crate::types::number_text;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

/// A value in a document, or a whole one.
#[derive(Clone, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// An integer that fits 64 bits with sign.
    Int(i64),
    /// A larger one that fits without.
    UInt(u64),
    /// Any other number.
    Double(f64),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// Members in their order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// An object. Of members with one name the last one counts.
    pub fn object(members: impl IntoIterator<Item = (String, Json)>) -> Json {
        let ordered: BTreeMap<(usize, String), Json> =
            members.into_iter().map(|(name, value)| ((name.len(), name), value)).collect();
        Json::Object(ordered.into_iter().map(|((_, name), value)| (name, value)).collect())
    }

    /// The member of an object that has this name.
    pub fn member(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        let wanted = (name.len(), name);
        let found =
            members.binary_search_by(|(known, _)| (known.len(), known.as_str()).cmp(&wanted));
        found.ok().map(|place| &members[place].1)
    }

    /// What JSON_TYPE calls it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "NULL",
            Json::Bool(_) => "BOOLEAN",
            Json::Int(_) => "INTEGER",
            Json::UInt(_) => "UNSIGNED INTEGER",
            Json::Double(_) => "DOUBLE",
            Json::Text(_) => "STRING",
            Json::Array(_) => "ARRAY",
            Json::Object(_) => "OBJECT",
        }
    }

    /// What JSON_LENGTH counts: elements, members, and 1 for what has none.
    pub fn length(&self) -> usize {
        match self {
            Json::Array(elements) => elements.len(),
            Json::Object(members) => members.len(),
            _ => 1,
        }
    }

    /// What JSON_DEPTH counts: 1 for what has nothing in it.
    pub fn depth(&self) -> usize {
        let below = self.children().map(Json::depth).max();
        below.unwrap_or(0) + 1
    }

    /// Elements or members, in order.
    pub fn children(&self) -> impl Iterator<Item = &Json> {
        let (elements, members): (&[Json], &[(String, Json)]) = match self {
            Json::Array(elements) => (elements, &[]),
            Json::Object(members) => (&[], members),
            _ => (&[], &[]),
        };
        elements.iter().chain(members.iter().map(|(_, value)| value))
    }

    /// Whether JSON_CONTAINS finds `wanted` in it.
    pub fn contains(&self, wanted: &Json) -> bool {
        match (self, wanted) {
            (Json::Array(_), Json::Array(all)) => all.iter().all(|one| self.has_element(one)),
            (Json::Array(_), one) => self.has_element(one),
            (Json::Object(_), Json::Object(all)) => all
                .iter()
                .all(|(name, value)| self.member(name).is_some_and(|found| found.contains(value))),
            (own, one) => own == one,
        }
    }

    fn has_element(&self, wanted: &Json) -> bool {
        self.children().any(|element| element.contains(wanted))
    }

    /// Whether JSON_OVERLAPS finds something that both have: an element, a member; what is no array is an array of one.
    pub fn overlaps(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Array(own), Json::Array(others)) => own.iter().any(|one| others.contains(one)),
            (Json::Array(elements), one) | (one, Json::Array(elements)) => elements.contains(one),
            (Json::Object(own), Json::Object(_)) => {
                own.iter().any(|(name, value)| other.member(name) == Some(value))
            }
            (own, other) => own == other,
        }
    }

    /// JSON_PRETTY's text.
    pub fn pretty(&self) -> String {
        let mut text = String::new();
        self.write_pretty(0, &mut text);
        text
    }

    fn write_pretty(&self, depth: usize, out: &mut String) {
        let (open, close) = match self {
            Json::Array(elements) if !elements.is_empty() => ('[', ']'),
            Json::Object(members) if !members.is_empty() => ('{', '}'),
            // Writing to a String cannot fail.
            _ => return write!(out, "{self}").unwrap_or_default(),
        };
        let indent = |depth: usize, out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', depth * 2));
        };
        out.push(open);
        for (place, child) in self.children().enumerate() {
            if place > 0 {
                out.push(',');
            }
            indent(depth + 1, out);
            if let Json::Object(members) = self {
                out.push_str(&quoted(&members[place].0));
                out.push_str(": ");
            }
            child.write_pretty(depth + 1, out);
        }
        indent(depth, out);
        out.push(close);
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Null, Json::Null) => true,
            (Json::Bool(a), Json::Bool(b)) => a == b,
            (Json::Text(a), Json::Text(b)) => a == b,
            (Json::Array(a), Json::Array(b)) => a == b,
            (Json::Object(a), Json::Object(b)) => a == b,
            (Json::Double(a), Json::Double(b)) => a == b,
            (Json::Double(double), number) | (number, Json::Double(double)) => {
                // An integer that a double says exactly is below 2^70.
                let whole =
                    (double.fract() == 0.0 && double.abs() < 1e21).then_some(*double as i128);
                whole.is_some() && number.integer() == whole
            }
            (a, b) => a.integer().is_some() && a.integer() == b.integer(),
        }
    }
}

impl Json {
    fn integer(&self) -> Option<i128> {
        match self {
            Json::Int(number) => Some(i128::from(*number)),
            Json::UInt(number) => Some(i128::from(*number)),
            _ => None,
        }
    }
}

impl Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(truth) => write!(f, "{truth}"),
            Json::Int(number) => write!(f, "{number}"),
            Json::UInt(number) => write!(f, "{number}"),
            // Texts of doubles outside documents have no sign of zero.
            Json::Double(number) if *number == 0.0 && number.is_sign_negative() => {
                f.write_str("-0.0")
            }
            Json::Double(number) => {
                let text = number_text::double_text(*number);
                f.write_str(&text)?;
                // A number without a fraction is told from an integer.
                if text.contains(['.', 'e']) { Ok(()) } else { f.write_str(".0") }
            }
            Json::Text(text) => f.write_str(&quoted(text)),
            Json::Array(elements) => {
                f.write_char('[')?;
                for (place, element) in elements.iter().enumerate() {
                    if place > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{element}")?;
                }
                f.write_char(']')
            }
            Json::Object(members) => {
                f.write_char('{')?;
                for (place, (name, value)) in members.iter().enumerate() {
                    if place > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{}: {value}", quoted(name))?;
                }
                f.write_char('}')
            }
        }
    }
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::parse::{Fault, parse};
    use super::path::Path;

    fn found(document: &str, path: &str) -> Vec<String> {
        let document = parse(document).unwrap();
        Path::parse(path).unwrap().find(&document).into_iter().map(ToString::to_string).collect()
    }

    #[test]
    fn documents_are_shown_as_mysql_shows_them() {
        let shown = [
            (r#" { "bb" : 1 , "a" : [ ] , "a" : {} } "#, r#"{"a": {}, "bb": 1}"#),
            ("[1.0, -0, 18446744073709551615, 1e2]", "[1.0, -0.0, 18446744073709551615, 100.0]"),
            (r#""\u0041\ud83d\ude00\u0001\/""#, "\"A\u{1f600}\\u0001/\""),
            ("[true,false,null]", "[true, false, null]"),
        ];
        for (text, wanted) in shown {
            assert_eq!(parse(text).unwrap().to_string(), wanted);
        }
        let pretty = parse(r#"{"a":[1,{}]}"#).unwrap().pretty();
        assert_eq!(pretty, "{\n  \"a\": [\n    1,\n    {}\n  ]\n}");
    }

    #[test]
    fn a_fault_has_its_place() {
        let faults = [
            ("[1, 2", "Missing a comma or ] after an array element.", 5),
            ("{1: 2}", "Missing a name for object member.", 1),
            (r#""abc"#, "Missing a closing quotation mark in string.", 4),
            (r#""\ud800""#, "The surrogate pair in string is invalid.", 1),
            ("say", "Invalid value.", 0),
            ("nope", "Invalid value.", 1),
            ("1 2", "The document root must not be followed by other values.", 2),
        ];
        for (text, what, at) in faults {
            assert_eq!(parse(text).unwrap_err(), Fault::Text(what, at), "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(100)).is_ok());
        assert_eq!(parse(&nested(101)).unwrap_err(), Fault::Deep);
    }

    #[test]
    fn paths_find_values_once_and_in_order() {
        let document = r#"{"a": [1, [2, 3], {"b": 4}], "b": {"b": 5}}"#;
        assert_eq!(found(document, "$**.b"), [r#"{"b": 5}"#, "4", "5"]);
        assert_eq!(found(document, "$.a[last-2 to 1]"), ["1", "[2, 3]"]);
        assert!(found(document, "$.a[5 to last]").is_empty());
        assert_eq!(found(document, "$.*[0]"), ["1", r#"{"b": 5}"#]);
        assert_eq!(found(document, "$.a[*][*]"), ["2", "3"]);
        assert_eq!(found(document, r#"$."b".b"#), ["5"]);
        let faults = [("", 0), ("x", 1), ("$.", 2), ("$**", 3), ("$[1", 3), ("$[2 to 1]", 8)];
        for (text, at) in faults {
            assert_eq!(Path::parse(text).unwrap_err(), at, "{text}");
        }
    }
}
