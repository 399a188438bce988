//! How documents are ordered: the weights of the collation that columns and expressions of type JSON have.
//!
//! ```text
//! null < numbers < strings < objects < arrays < booleans         (13.5, "Comparison and Ordering of JSON Values", lowest first)
//! ```
//!
//! Numbers are ordered by value, strings by their bytes, arrays by their first different element and then by length. Objects
//! that are equal have equal weights; MySQL leaves the order of others open: here the number of members counts, then names and
//! values.
//!
//! Invariant: equal weights mean equal documents, so groups and DISTINCT keep those apart that are different.
//!
//! Reference: MySQL 8.4 manual, 13.5 "The JSON Data Type".

use super::Json;
use super::parse::parse;

const NULL: u8 = 1;
const NUMBER: u8 = 2;
const STRING: u8 = 3;
const OBJECT: u8 = 4;
const ARRAY: u8 = 5;
const BOOLEAN: u8 = 6;
/// Ends the elements of an array: below every value.
const END: u8 = 0;

/// Appends the weights of the document that a text is. What is none has its bytes, above all documents.
pub fn put_weights(text: &str, out: &mut Vec<u8>) {
    match parse(text) {
        Ok(document) => put(&document, out),
        Err(_) => {
            out.push(u8::MAX);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn put(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.push(NULL),
        Json::Bool(truth) => out.extend_from_slice(&[BOOLEAN, u8::from(*truth)]),
        Json::Int(number) => put_number(*number as f64, i128::from(*number), out),
        Json::UInt(number) => put_number(*number as f64, i128::from(*number), out),
        Json::Double(number) => {
            let whole =
                if number.fract() == 0.0 && number.abs() < 1e21 { *number as i128 } else { 0 };
            put_number(*number, whole, out);
        }
        Json::Text(text) => {
            out.push(STRING);
            put_text(text, out);
        }
        Json::Object(members) => {
            out.push(OBJECT);
            out.extend_from_slice(&u32::try_from(members.len()).unwrap_or(u32::MAX).to_be_bytes());
            for (name, value) in members {
                put_text(name, out);
                put(value, out);
            }
        }
        Json::Array(elements) => {
            out.push(ARRAY);
            elements.iter().for_each(|element| put(element, out));
            out.push(END);
        }
    }
}

/// A number: as a double, and behind it the integer that it is, so that large integers are told apart.
fn put_number(number: f64, whole: i128, out: &mut Vec<u8>) {
    // 0.0 and -0.0 are equal.
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.push(NUMBER);
    out.extend_from_slice(&ordered.to_be_bytes());
    out.extend_from_slice(&(whole ^ i128::MIN).to_be_bytes());
}

/// A text that ends where it ends: a zero byte in it is followed by 255, its end is two zero bytes.
fn put_text(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(u8::MAX);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_weights(text, &mut out);
        out
    }

    #[test]
    fn documents_are_in_mysqls_order() {
        let ascending = [
            "null",
            "-1e300",
            "-2",
            "-1.5",
            "0",
            "1",
            "1.5",
            "2",
            "9007199254740992",
            "9007199254740993",
            "1e300",
            r#""""#,
            r#""A""#,
            r#""B""#,
            r#""BB""#,
            r#""a""#,
            "{}",
            r#"{"a": 1}"#,
            r#"{"a": 2}"#,
            "[]",
            "[1]",
            "[1, 1]",
            "[2]",
            r#"["a"]"#,
            "false",
            "true",
        ];
        for pair in ascending.windows(2) {
            assert!(weights(pair[0]) < weights(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn equal_documents_have_equal_weights() {
        assert_eq!(weights("1"), weights("1.0"));
        assert_eq!(weights("0"), weights("-0.0"));
        assert_eq!(weights(r#"{"b": 1, "a": 2}"#), weights(r#"{"a":2,"b":1}"#));
        assert_ne!(weights(r#""1""#), weights("1"));
    }
}
