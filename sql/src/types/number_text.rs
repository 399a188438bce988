//! Numbers as MySQL shows them, and numbers at the start of texts.

use super::{DECIMALS_NOT_FIXED, SqlType, TypeKind};

/// Doubles show at most this many digits before and zeros after the point; beyond, an exponent.
const FIXED_DIGITS_MAX: i32 = 15;
/// A FLOAT shows six significant digits.
const FLOAT_DIGITS: usize = 6;

/// Appends an integer.
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(value.unsigned_abs(), out);
}

/// Appends an unsigned integer.
pub fn write_u64(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Characters of an integer, its sign included.
pub fn digits_i64(value: i64) -> u32 {
    digits_u64(value.unsigned_abs()) + u32::from(value < 0)
}

/// Characters of an unsigned integer.
pub fn digits_u64(value: u64) -> u32 {
    value.checked_ilog10().map_or(1, |log| log + 1)
}

/// Appends a FLOAT or DOUBLE as MySQL shows it.
pub fn write_double(value: f64, ty: &SqlType, out: &mut Vec<u8>) {
    if ty.is_floating() && ty.decimals < DECIMALS_NOT_FIXED {
        out.extend_from_slice(fixed(value, usize::from(ty.decimals)).as_bytes());
    } else if ty.kind == TypeKind::Float {
        out.extend_from_slice(float_text(value).as_bytes());
    } else {
        out.extend_from_slice(double_text(value).as_bytes());
    }
}

/// A number with a fixed count of fraction digits; no "-0.00".
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|b| matches!(b, b'0' | b'.')) => rest.to_owned(),
        _ => text,
    }
}

/// The shortest text that reads as this DOUBLE.
pub fn double_text(value: f64) -> String {
    arrange(&format!("{value:e}"))
}

/// A FLOAT with six significant digits.
pub fn float_text(value: f64) -> String {
    arrange(&format!("{:.*e}", FLOAT_DIGITS - 1, value))
}

/// Rust's `d.ddde±x` in MySQL's form: plain digits when few enough, else `d.ddde±x`.
fn arrange(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let negative = mantissa.starts_with('-');
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return "0".to_owned();
    }
    // The point stands after `point` digits.
    let point = exponent + 1;
    let sign = if negative { "-" } else { "" };
    let count = digits.len() as i32;
    if !(-FIXED_DIGITS_MAX + 1..=FIXED_DIGITS_MAX).contains(&point) {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        return format!("{sign}{first}{dot}{rest}e{exponent}");
    }
    if point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    }
    if point >= count {
        return format!("{sign}{digits}{}", "0".repeat((point - count) as usize));
    }
    let (whole, fraction) = digits.split_at(point as usize);
    format!("{sign}{whole}.{fraction}")
}

/// A DOUBLE read from the start of a text: its value and the bytes it takes, leading blanks
/// included; 0 bytes when there is none. Too large numbers give the largest double.
pub fn parse_double(text: &[u8]) -> (f64, usize) {
    let mut at = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let start = at;
    if matches!(text.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    let digits_from = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits_from(at);
    at += whole;
    let mut fraction = 0;
    if text.get(at) == Some(&b'.') {
        fraction = digits_from(at + 1);
        if whole + fraction > 0 {
            at += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return (0.0, 0);
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let mut digits_at = at + 1;
        if matches!(text.get(digits_at), Some(b'-' | b'+')) {
            digits_at += 1;
        }
        let exponent = text.get(digits_at..).map_or(0, |_| digits_from(digits_at));
        if exponent > 0 {
            at = digits_at + exponent;
        }
    }
    let number = std::str::from_utf8(&text[start..at]).unwrap_or("0");
    let value: f64 = number.trim_end_matches('.').parse().unwrap_or(0.0);
    (value.clamp(f64::MIN, f64::MAX), at)
}

/// An integer read from the start of a text, as CAST(… AS SIGNED) reads it: digits only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedInteger {
    /// The number, clamped to what 64 bits hold with either sign.
    pub value: i128,
    /// Bytes it takes, leading blanks included; 0 when there is none.
    pub consumed: usize,
    /// Whether it was clamped.
    pub overflow: bool,
}

/// Reads blanks, a sign and digits.
pub fn parse_integer(text: &[u8]) -> ParsedInteger {
    let mut at = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let negative = text.get(at) == Some(&b'-');
    if matches!(text.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    let limit = if negative { i128::from(i64::MIN).unsigned_abs() } else { u128::from(u64::MAX) };
    let (mut magnitude, mut count, mut overflow) = (0_u128, 0, false);
    while let Some(digit) = text.get(at).filter(|b| b.is_ascii_digit()) {
        magnitude = magnitude * 10 + u128::from(digit - b'0');
        if magnitude > limit {
            magnitude = limit;
            overflow = true;
        }
        count += 1;
        at += 1;
    }
    if count == 0 {
        return ParsedInteger { value: 0, consumed: 0, overflow: false };
    }
    let value = if negative { -(magnitude as i128) } else { magnitude as i128 };
    ParsedInteger { value, consumed: at, overflow }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_show_as_in_mysql() {
        for (value, wanted) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.5, "1.5"),
            (-1.5, "-1.5"),
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (123_456_789_012_345_678.0, "1.2345678901234568e17"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::MAX, "1.7976931348623157e308"),
        ] {
            assert_eq!(double_text(value), wanted);
        }
        assert_eq!(float_text(f64::from(16_777_216_f32)), "16777200");
        assert_eq!(float_text(f64::from(1.1_f32)), "1.1");
    }

    #[test]
    fn numbers_at_the_start_of_texts() {
        assert_eq!(parse_double(b"1abc"), (1.0, 1));
        assert_eq!(parse_double(b" -1.5e2x"), (-150.0, 7));
        assert_eq!(parse_double(b"1e"), (1.0, 1));
        assert_eq!(parse_double(b"."), (0.0, 0));
        assert_eq!(parse_double(b"5."), (5.0, 2));
        assert_eq!(parse_double(b"1e999"), (f64::MAX, 5));
        assert_eq!(parse_integer(b"-12x").value, -12);
        assert!(parse_integer(b"99999999999999999999").overflow);
    }
}
