//! CONVERT(… USING ascii) and USING latin1: texts of character sets that are smaller than Unicode.
//!
//! Texts are UTF-8 inside. One of ASCII is the same bytes in all three sets, so it is kept as it is. What ASCII lacks becomes a
//! question mark, as in MySQL. What latin1 has beyond ASCII would have other bytes there (HEX, LENGTH, MD5): that is refused,
//! until there are columns of latin1.

use super::{Function, bound, pure};
use crate::Error;
use crate::value::Value;

/// The function behind USING ascii, by a name that no statement can write.
pub(crate) const ASCII_TEXT: &str = "ascii text";
/// The function behind USING latin1.
pub(crate) const LATIN1_TEXT: &str = "latin1 text";

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure(ASCII_TEXT, 1, 1, |args, _| {
        let ty = args[0].ty;
        Ok(bound(ty, args, |call| {
            Ok(match &call.args[0] {
                Value::Text(text) if !text.is_ascii() => {
                    Value::Text(text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect())
                }
                other => other.clone(),
            })
        }))
    }),
    pure(LATIN1_TEXT, 1, 1, |args, _| {
        let ty = args[0].ty;
        Ok(bound(ty, args, |call| match &call.args[0] {
            Value::Text(text) if !text.is_ascii() => Err(Error::not_supported(
                "characters beyond ASCII in latin1: leave the conversion out, or convert to utf8mb4",
            )),
            other => Ok(other.clone()),
        }))
    }),
];

/// The function that a conversion to this character set goes through, if it does.
pub(crate) fn name_of(charset: &str) -> Option<&'static str> {
    match charset.to_ascii_lowercase().as_str() {
        "ascii" => Some(ASCII_TEXT),
        "latin1" => Some(LATIN1_TEXT),
        _ => None,
    }
}
