//! Strings: joining, lengths, case.

use super::{Bound, Call, Function, any_nullable, bound, fits_packet, pure, string_args};
use crate::Result;
use crate::context::EvalContext;
use crate::expr::{Expr, build, coercibility};
use crate::types::SqlType;
use crate::value::Value;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("concat", 1, super::MANY, concat),
    pure("concat_ws", 2, super::MANY, concat_ws),
    pure("length", 1, 1, |args, ctx| length(args, ctx, |c| count(c, byte_count))),
    pure("octet_length", 1, 1, |args, ctx| length(args, ctx, |c| count(c, byte_count))),
    pure("bit_length", 1, 1, |args, ctx| length(args, ctx, |c| count(c, |v| byte_count(v) * 8))),
    pure("char_length", 1, 1, |args, ctx| length(args, ctx, |c| count(c, char_count))),
    pure("character_length", 1, 1, |args, ctx| length(args, ctx, |c| count(c, char_count))),
    pure("upper", 1, 1, |args, ctx| letter_case(args, ctx, upper)),
    pure("ucase", 1, 1, |args, ctx| letter_case(args, ctx, upper)),
    pure("lower", 1, 1, |args, ctx| letter_case(args, ctx, lower)),
    pure("lcase", 1, 1, |args, ctx| letter_case(args, ctx, lower)),
    pure("soundex", 1, 1, |args, ctx| letter_case(args, ctx, soundex)),
];

/// The type of strings joined, cut or filled to `length` characters.
pub(super) fn string_type(length: u32, like: &SqlType, nullable: bool) -> SqlType {
    SqlType::sized_string(length, like.collation, false).with_nullable(nullable)
}

fn concat(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let (collation, firmness, args) = string_args(args, "concat", ctx)?;
    let length = args.iter().fold(0_u32, |sum, arg| sum.saturating_add(arg.ty.length));
    let ty = SqlType::sized_string(length, collation, false).with_nullable(any_nullable(&args));
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            let total = (0..call.args.len()).map(|index| call.bytes(index).len()).sum();
            if !fits_packet(call, total as u64) {
                return Ok(Value::Null);
            }
            let mut out = Vec::with_capacity(total);
            (0..call.args.len()).for_each(|index| out.extend_from_slice(call.bytes(index)));
            Ok(call.string(out))
        })
    })
}

fn concat_ws(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let (collation, firmness, args) = string_args(args, "concat_ws", ctx)?;
    let separators = args[0].ty.length.saturating_mul(args.len() as u32 - 2);
    let length = args[1..].iter().fold(separators, |sum, arg| sum.saturating_add(arg.ty.length));
    let ty = SqlType::sized_string(length, collation, false).with_nullable(args[0].ty.nullable);
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.args[0].is_null() {
                return Ok(Value::Null);
            }
            // NULLs are skipped, their separators, too.
            let parts: Vec<&[u8]> = (1..call.args.len())
                .filter(|index| !call.args[*index].is_null())
                .map(|index| call.bytes(index))
                .collect();
            let total = parts.iter().map(|part| part.len() + call.bytes(0).len()).sum::<usize>();
            if !fits_packet(call, total as u64) {
                return Ok(Value::Null);
            }
            Ok(call.string(parts.join(call.bytes(0))))
        })
    })
}

fn length(mut args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let arg = build::as_string(args.swap_remove(0), ctx);
    let ty = SqlType::bigint_width(10).with_nullable(arg.ty.nullable);
    Ok(bound(ty, vec![arg], eval))
}

fn count(call: &Call<'_>, measure: impl Fn(&Value) -> usize) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    Ok(Value::Int(measure(&call.args[0]) as i64))
}

fn byte_count(value: &Value) -> usize {
    value.as_bytes().map_or(0, <[u8]>::len)
}

fn char_count(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.chars().count(),
        other => byte_count(other),
    }
}

fn letter_case(mut args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let arg = build::as_string(args.swap_remove(0), ctx);
    let firmness = arg.coercibility.min(coercibility::COERCIBLE);
    let ty = arg.ty;
    Ok(Bound { coercibility: Some(firmness), ..bound(ty, vec![arg], eval) })
}

/// One character per character: mappings that make several (ß) keep the character.
fn each_char(call: &Call<'_>, map: impl Fn(char) -> Option<char>) -> Result<Value> {
    Ok(match &call.args[0] {
        Value::Text(text) => Value::Text(text.chars().map(|c| map(c).unwrap_or(c)).collect()),
        // Byte strings have no case.
        other => other.clone(),
    })
}

fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next();
    if mapped.next().is_some() { None } else { first }
}

fn upper(call: &Call<'_>) -> Result<Value> {
    each_char(call, |c| single(c.to_uppercase()))
}

fn lower(call: &Call<'_>) -> Result<Value> {
    each_char(call, |c| single(c.to_lowercase()))
}

/// SOUNDEX: the first letter and the codes of the others, without repeats, at least four characters.
fn soundex(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let code = |c: char| match c {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        _ => '0',
    };
    let text = String::from_utf8_lossy(call.bytes(0)).into_owned();
    let letters =
        text.chars().filter(|c| c.is_alphabetic()).map(|c| single(c.to_uppercase()).unwrap_or(c));
    let mut out = String::new();
    let mut last = '0';
    for letter in letters {
        let digit = code(letter);
        if out.is_empty() {
            out.push(letter);
            last = digit;
            continue;
        }
        // H and W do not part equal codes; vowels do.
        if matches!(letter, 'H' | 'W') {
            continue;
        }
        if digit != '0' && digit != last {
            out.push(digit);
        }
        last = digit;
    }
    while !out.is_empty() && out.chars().count() < 4 {
        out.push('0');
    }
    Ok(call.string(out.into_bytes()))
}
