//! Strings and numbers in other notations: HEX, BIN, CONV, BASE64, character codes.

use super::{Bound, Call, Function, any_nullable, bound, fits_packet, pure};
use crate::Result;
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::types::number_text::parse_double;
use crate::value::Value;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("hex", 1, 1, hex),
    pure("unhex", 1, 1, unhex),
    pure("bin", 1, 1, |args, ctx| in_base(args, ctx, |call| digits_of_integer(call, 2))),
    pure("oct", 1, 1, |args, ctx| in_base(args, ctx, |call| digits_of_integer(call, 8))),
    pure("conv", 3, 3, conv),
    pure("ascii", 1, 1, |args, ctx| code(args, ctx, ascii)),
    pure("ord", 1, 1, |args, ctx| code(args, ctx, ord)),
    pure("char", 1, super::MANY, char_of_codes),
    pure("to_base64", 1, 1, to_base64),
    pure("from_base64", 1, 1, from_base64),
];

/// Hexadecimal digits in capitals.
pub(super) fn hex_text(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let nibbles = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(nibbles).collect()
}

fn ascii_type(length: u32, ctx: &EvalContext) -> SqlType {
    SqlType::sized_string(length, build::text_collation(ctx), false)
}

fn hex(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = build::bits_as_number(args.swap_remove(0));
    let (arg, length) = if arg.ty.is_numeric() {
        (build::as_integer(arg, ctx), 16)
    } else {
        let arg = build::as_string(arg, ctx);
        let bytes = arg.ty.length.saturating_mul(arg.ty.collation.bytes_per_char());
        (arg, bytes.saturating_mul(2))
    };
    let ty = ascii_type(length, ctx).with_nullable(arg.ty.nullable);
    Ok(bound(ty, vec![arg], |call| {
        Ok(match &call.args[0] {
            Value::Null => Value::Null,
            Value::Int(_) | Value::UInt(_) => {
                call.string(format!("{:X}", call.bits(0)).into_bytes())
            }
            other => {
                let bytes = other.as_bytes().unwrap_or_default();
                if !fits_packet(call, bytes.len() as u64 * 2) {
                    return Ok(Value::Null);
                }
                call.string(hex_text(bytes))
            }
        })
    }))
}

fn unhex(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = build::as_string(args.swap_remove(0), ctx);
    let ty = SqlType::sized_string(arg.ty.length.div_ceil(2), CollationId::BINARY, false);
    Ok(bound(ty, vec![arg], |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let mut nibbles = Vec::with_capacity(call.bytes(0).len() + 1);
        if !call.bytes(0).len().is_multiple_of(2) {
            nibbles.push(0);
        }
        for byte in call.bytes(0) {
            match char::from(*byte).to_digit(16) {
                Some(digit) => nibbles.push(digit as u8),
                None => {
                    let shown = crate::types::convert::shown(call.bytes(0));
                    call.ctx.warn(crate::Error::incorrect_function_value("string", shown, "unhex"));
                    return Ok(Value::Null);
                }
            }
        }
        Ok(Value::Bytes(nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
    }))
}

fn in_base(mut args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let arg = build::bits_as_number(args.swap_remove(0));
    let arg =
        if arg.ty.is_numeric() { build::as_integer(arg, ctx) } else { build::as_string(arg, ctx) };
    let ty = ascii_type(64, ctx).with_nullable(arg.ty.nullable);
    Ok(bound(ty, vec![arg], eval))
}

/// The 64 bits that an argument means in base 10.
fn integer_bits(value: &Value) -> Option<u64> {
    match value {
        Value::Null => None,
        Value::Int(number) => Some(*number as u64),
        Value::UInt(number) => Some(*number),
        other => {
            let (number, _) = parse_double(other.as_bytes().unwrap_or_default());
            Some(if number < 0.0 { number as i64 as u64 } else { number as u64 })
        }
    }
}

fn digits_of_integer(call: &Call<'_>, base: u32) -> Result<Value> {
    Ok(match integer_bits(&call.args[0]) {
        None => Value::Null,
        Some(bits) => call.string(digits(bits, base).into_bytes()),
    })
}

fn digits(mut number: u64, base: u32) -> String {
    let mut out = Vec::new();
    loop {
        let digit = (number % u64::from(base)) as u32;
        out.push(char::from_digit(digit, base).unwrap_or('0').to_ascii_uppercase());
        number /= u64::from(base);
        if number == 0 {
            return out.iter().rev().collect();
        }
    }
}

/// CONV(number, from, to): a negative base reads or writes signed numbers.
fn conv(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let number = build::as_string(build::bits_as_number(args[0].clone()), ctx);
    let from = build::as_integer(args[1].clone(), ctx);
    let to = build::as_integer(args[2].clone(), ctx);
    Ok(bound(ascii_type(64, ctx), vec![number, from, to], |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let (from, to) = (call.int(1), call.int(2));
        let good = |base: i64| (2..=36).contains(&base.unsigned_abs());
        if !good(from) || !good(to) || call.bytes(0).is_empty() {
            return Ok(Value::Null);
        }
        let text = call.bytes(0).trim_ascii_start();
        let (negative, text) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        let base = from.unsigned_abs() as u32;
        let mut magnitude = 0_u64;
        for byte in text {
            let Some(digit) = char::from(*byte).to_digit(base) else { break };
            magnitude = match magnitude
                .checked_mul(u64::from(base))
                .and_then(|m| m.checked_add(u64::from(digit)))
            {
                Some(magnitude) => magnitude,
                None => {
                    magnitude = u64::MAX;
                    break;
                }
            };
        }
        let bits = if negative { magnitude.wrapping_neg() } else { magnitude };
        let base = to.unsigned_abs() as u32;
        let signed = bits as i64;
        let shown = if to < 0 && signed < 0 {
            format!("-{}", digits(signed.unsigned_abs(), base))
        } else {
            digits(bits, base)
        };
        Ok(call.string(shown.into_bytes()))
    }))
}

fn code(mut args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let arg = build::as_string(args.swap_remove(0), ctx);
    let ty = SqlType::bigint_width(21).with_nullable(arg.ty.nullable);
    Ok(bound(ty, vec![arg], eval))
}

fn ascii(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    Ok(Value::Int(call.bytes(0).first().copied().map_or(0, i64::from)))
}

/// ORD: the bytes of the first character as one number.
fn ord(call: &Call<'_>) -> Result<Value> {
    Ok(match &call.args[0] {
        Value::Null => Value::Null,
        Value::Text(text) => {
            let width = text.chars().next().map_or(0, char::len_utf8);
            let number = text.as_bytes()[..width].iter().fold(0_i64, |n, b| n << 8 | i64::from(*b));
            Value::Int(number)
        }
        other => {
            let first = other.as_bytes().unwrap_or_default().first().copied();
            Value::Int(first.map_or(0, i64::from))
        }
    })
}

/// CHAR(n, …): the numbers' bytes without leading zeros; NULLs are skipped.
fn char_of_codes(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let args: Vec<Expr> = args.into_iter().map(|arg| build::as_integer(arg, ctx)).collect();
    let length = (args.len() as u32).saturating_mul(4);
    let ty = SqlType::sized_string(length, CollationId::BINARY, false).not_null();
    Ok(bound(ty, args, |call| {
        let mut out = Vec::new();
        for (index, value) in call.args.iter().enumerate() {
            if value.is_null() {
                continue;
            }
            let bytes = (call.bits(index) as u32).to_be_bytes();
            let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(3);
            out.extend_from_slice(&bytes[first..]);
        }
        Ok(Value::Bytes(out))
    }))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// MySQL breaks lines after this many characters.
const BASE64_LINE: usize = 76;

fn to_base64(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = build::as_string(args.swap_remove(0), ctx);
    let bytes = arg.ty.length.saturating_mul(arg.ty.collation.bytes_per_char());
    let length = bytes.div_ceil(3).saturating_mul(4);
    let length = length.saturating_add(length / BASE64_LINE as u32);
    let ty = ascii_type(length, ctx).with_nullable(any_nullable(std::slice::from_ref(&arg)));
    Ok(bound(ty, vec![arg], |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let bytes = call.bytes(0);
        if !fits_packet(call, bytes.len() as u64 / 3 * 4 + 4) {
            return Ok(Value::Null);
        }
        let mut out = Vec::with_capacity(bytes.len() / 3 * 4 + 4);
        let mut line = 0;
        for chunk in bytes.chunks(3) {
            if line == BASE64_LINE {
                out.push(b'\n');
                line = 0;
            }
            let group =
                chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
            for index in 0..4 {
                let letter = BASE64[(group >> (18 - 6 * index) & 63) as usize];
                out.push(if index <= chunk.len() { letter } else { b'=' });
            }
            line += 4;
        }
        Ok(call.string(out))
    }))
}

fn from_base64(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = build::as_string(args.swap_remove(0), ctx);
    let ty = SqlType::sized_string(arg.ty.length / 4 * 3 + 3, CollationId::BINARY, false);
    Ok(bound(ty, vec![arg], |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        Ok(decode_base64(call.bytes(0)).map_or(Value::Null, Value::Bytes))
    }))
}

fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    if !letters.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(letters.len() / 4 * 3);
    let groups = letters.len() / 4;
    for (number, chunk) in letters.chunks_exact(4).enumerate() {
        let padding = chunk.iter().rev().take_while(|b| **b == b'=').count();
        if padding > 2 || (padding > 0 && number + 1 < groups) {
            return None;
        }
        let mut group = 0_u32;
        for letter in &chunk[..4 - padding] {
            let value = BASE64.iter().position(|known| known == letter)?;
            group = group << 6 | value as u32;
        }
        group <<= 6 * padding;
        let bytes = group.to_be_bytes();
        out.extend_from_slice(&bytes[1..4 - padding]);
    }
    Some(out)
}
