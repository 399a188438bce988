//! Bits as lists of strings: EXPORT_SET, MAKE_SET. (ENUM and SET columns: `members`.)

use super::{Bound, Call, Function, any_nullable, bound, fits_packet, pure, string_args};
use crate::Result;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;

/// Bits of a number.
const BITS: i64 = 64;

/// This family.
pub static FUNCTIONS: &[Function] =
    &[pure("export_set", 3, 5, export_set), pure("make_set", 2, super::MANY, make_set)];

/// EXPORT_SET(bits, on, off[, separator[, count]]): a word for each bit, the lowest first.
fn export_set(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let count = if args.len() > 4 { Some(build::as_integer(args.remove(4), ctx)) } else { None };
    let bits = build::as_integer(args.remove(0), ctx);
    let (collation, firmness, mut strings) = string_args(args, "export_set", ctx)?;
    let word = strings[0].ty.length.max(strings[1].ty.length);
    let separator = strings.get(2).map_or(1, |separator| separator.ty.length);
    let length = word.saturating_mul(64).saturating_add(separator.saturating_mul(63));
    let mut args = vec![bits];
    args.append(&mut strings);
    args.extend(count);
    let ty = SqlType::sized_string(length, collation, false).with_nullable(any_nullable(&args));
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            // More than all bits are all, and so are fewer than none.
            let count = match call.args.len() {
                5 if (0..BITS).contains(&call.int(4)) => call.int(4),
                _ => BITS,
            };
            let separator = if call.args.len() > 3 { call.bytes(3) } else { &b","[..] };
            let words: Vec<&[u8]> =
                (0..count).map(|bit| call.bytes(2 - (call.bits(0) >> bit & 1) as usize)).collect();
            joined(call, &words, separator)
        })
    })
}

/// MAKE_SET(bits, string, …): the strings whose bits are set; NULLs are left out.
fn make_set(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let bits = build::as_integer(args.remove(0), ctx);
    let (collation, firmness, mut strings) = string_args(args, "make_set", ctx)?;
    let length = strings.iter().fold(0_u32, |sum, arg| sum.saturating_add(arg.ty.length));
    let length = length.saturating_add(strings.len() as u32 - 1);
    let mut args = vec![bits];
    args.append(&mut strings);
    let ty = SqlType::sized_string(length, collation, false).with_nullable(args[0].ty.nullable);
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.args[0].is_null() {
                return Ok(Value::Null);
            }
            let words: Vec<&[u8]> = (1..call.args.len().min(BITS as usize + 1))
                .filter(|place| call.bits(0) >> (place - 1) & 1 == 1)
                .filter(|place| !call.args[*place].is_null())
                .map(|place| call.bytes(place))
                .collect();
            joined(call, &words, b",")
        })
    })
}

fn joined(call: &Call<'_>, words: &[&[u8]], separator: &[u8]) -> Result<Value> {
    let total: usize = words.iter().map(|word| word.len() + separator.len()).sum();
    if !fits_packet(call, total as u64) {
        return Ok(Value::Null);
    }
    Ok(call.string(words.join(separator)))
}
