//! UUIDs: made, tested, and as 16 bytes.
//!
//! ```text
//! 6ccd780c-baba-1026-9564-5b8c656024db     as text: five groups of 8, 4, 4, 4 and 12 digits
//! └──low─┘ └mid┘└hi┘
//! hi mid low …                             the bytes with the swap flag: UUIDs of one maker in order of time
//! ```

use super::{Call, Function, bound, per_row, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    per_row("uuid", 0, 0, |args, ctx| {
        let ty = SqlType::varchar(36, build::text_collation(ctx)).not_null();
        Ok(bound(ty, args, |call| Ok(call.string(text_of(random(call)).into_bytes()))))
    }),
    per_row("uuid_short", 0, 0, |args, _| {
        let ty = SqlType::bigint().unsigned().not_null();
        Ok(bound(ty, args, uuid_short))
    }),
    pure("is_uuid", 1, 1, |mut args, ctx| {
        let arg = build::as_string(args.swap_remove(0), ctx);
        let ty = SqlType::boolean().with_nullable(arg.ty.nullable);
        Ok(bound(ty, vec![arg], |call| {
            let is = Value::boolean(of_text(call.bytes(0)).is_some());
            Ok(if call.any_null() { Value::Null } else { is })
        }))
    }),
    pure("uuid_to_bin", 1, 2, |args, ctx| {
        let args = with_flag(args, ctx);
        Ok(bound(SqlType::varchar(16, CollationId::BINARY), args, |call| {
            if call.args[0].is_null() {
                return Ok(Value::Null);
            }
            let wrong = || Error::incorrect_function_value("string", shown(call), call.name);
            let mut bytes = of_text(call.bytes(0)).ok_or_else(wrong)?;
            if call.bits(1) != 0 {
                // low mid hi → hi mid low: what changes slowest stands first.
                bytes[..8].rotate_left(4);
                bytes[..4].rotate_left(2);
            }
            Ok(Value::Bytes(bytes.to_vec()))
        }))
    }),
    pure("bin_to_uuid", 1, 2, |args, ctx| {
        let args = with_flag(args, ctx);
        Ok(bound(SqlType::varchar(36, build::text_collation(ctx)), args, |call| {
            if call.args[0].is_null() {
                return Ok(Value::Null);
            }
            let wrong = |_| Error::incorrect_function_value("string", shown(call), call.name);
            let mut bytes: [u8; 16] = call.bytes(0).try_into().map_err(wrong)?;
            if call.bits(1) != 0 {
                bytes[..4].rotate_left(2);
                bytes[..8].rotate_left(4);
            }
            Ok(call.string(text_of(bytes).into_bytes()))
        }))
    }),
];

fn with_flag(args: Vec<Expr>, ctx: &EvalContext) -> Vec<Expr> {
    super::string_and_integers(args, ctx)
}

fn shown(call: &Call<'_>) -> String {
    crate::types::convert::shown(call.bytes(0))
}

/// A random (version 4) UUID.
fn random(call: &Call<'_>) -> [u8; 16] {
    let mut rng = call.ctx.rng.lock();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
    bytes[8..].copy_from_slice(&rng.next_u64().to_be_bytes());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// 64 bits that no other call draws but by chance: MySQL's counter would have to be one of all nodes.
fn uuid_short(call: &Call<'_>) -> Result<Value> {
    // The highest bit stays free, as in MySQL, so that a signed column takes it.
    Ok(Value::UInt(call.ctx.rng.lock().next_u64() >> 1))
}

/// Five groups of digits with or without dashes, in braces or not.
fn of_text(text: &[u8]) -> Option<[u8; 16]> {
    let text = match text {
        [b'{', inner @ .., b'}'] if inner.len() == 36 => inner,
        other => other,
    };
    let dashed = match text.len() {
        36 => true,
        32 => false,
        _ => return None,
    };
    let mut bytes = [0; 16];
    let mut digits = 0_usize;
    for (place, letter) in text.iter().enumerate() {
        if dashed && matches!(place, 8 | 13 | 18 | 23) {
            if *letter != b'-' {
                return None;
            }
            continue;
        }
        let digit = char::from(*letter).to_digit(16)? as u8;
        bytes[digits / 2] |= if digits.is_multiple_of(2) { digit << 4 } else { digit };
        digits += 1;
    }
    Some(bytes)
}

fn text_of(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes_are_the_same_uuid() {
        let text = "6ccd780c-baba-1026-9564-5b8c656024db";
        let bytes = of_text(text.as_bytes()).unwrap();
        assert_eq!(text_of(bytes), text);
        assert_eq!(of_text(text.replace('-', "").as_bytes()), Some(bytes));
        assert_eq!(of_text(format!("{{{text}}}").as_bytes()), Some(bytes));
        for bad in ["", "x", &text[1..], &text.replace('c', "g"), &text.replace('-', "_")] {
            assert_eq!(of_text(bad.as_bytes()), None, "{bad}");
        }
    }
}
