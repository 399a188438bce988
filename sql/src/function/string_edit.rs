//! Strings: cutting, filling, replacing. Positions count characters from 1.

use super::string::string_type;
use super::{
    Bound, Call, Function, any_nullable, bound, char_offsets, fits_packet, pure,
    string_and_integers, string_args,
};
use crate::Result;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("substring", 2, 3, |args, ctx| cutting(args, ctx, substring)),
    pure("substr", 2, 3, |args, ctx| cutting(args, ctx, substring)),
    pure("mid", 2, 3, |args, ctx| cutting(args, ctx, substring)),
    pure("left", 2, 2, |args, ctx| cutting(args, ctx, left)),
    pure("right", 2, 2, |args, ctx| cutting(args, ctx, right)),
    pure("repeat", 2, 2, repeat),
    pure("space", 1, 1, space),
    pure("reverse", 1, 1, |args, ctx| cutting(args, ctx, reverse)),
    pure("trim", 1, 2, |args, ctx| trimming(args, ctx, |call| trim(call, true, true))),
    pure("ltrim", 1, 2, |args, ctx| trimming(args, ctx, |call| trim(call, true, false))),
    pure("rtrim", 1, 2, |args, ctx| trimming(args, ctx, |call| trim(call, false, true))),
    pure("lpad", 3, 3, |args, ctx| padding(args, ctx, |call| pad(call, true))),
    pure("rpad", 3, 3, |args, ctx| padding(args, ctx, |call| pad(call, false))),
    pure("replace", 3, 3, replacing),
    pure("insert", 4, 4, inserting),
    pure("substring_index", 3, 3, substring_index),
    pure("quote", 1, 1, quote),
];

fn cutting(args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let args = string_and_integers(args, ctx);
    let firmness = args[0].coercibility;
    let ty = args[0].ty.with_nullable(any_nullable(&args));
    let ty = string_type(ty.length, &ty, ty.nullable);
    Ok(Bound { coercibility: Some(firmness), ..bound(ty, args, eval) })
}

/// Characters `from..to` of the first argument.
fn slice(call: &Call<'_>, from: usize, to: usize) -> Value {
    let offsets = char_offsets(&call.args[0]);
    let last = offsets.len() - 1;
    let (from, to) = (from.min(last), to.min(last));
    if from >= to {
        return call.string(Vec::new());
    }
    call.string(call.bytes(0)[offsets[from]..offsets[to]].to_vec())
}

fn char_count(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.chars().count(),
        other => other.as_bytes().map_or(0, <[u8]>::len),
    }
}

fn substring(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let count = char_count(&call.args[0]) as i64;
    let position = call.int(1);
    let start = match position {
        0 => return Ok(call.string(Vec::new())),
        1.. => position - 1,
        _ => count.saturating_add(position),
    };
    if start < 0 || start >= count {
        return Ok(call.string(Vec::new()));
    }
    let length = if call.args.len() > 2 { call.int(2).max(0) } else { count };
    let end = start.saturating_add(length).min(count);
    Ok(slice(call, start as usize, end as usize))
}

fn left(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    Ok(slice(call, 0, call.int(1).max(0) as usize))
}

fn right(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let count = char_count(&call.args[0]);
    let wanted = call.int(1).max(0) as usize;
    Ok(slice(call, count.saturating_sub(wanted), count))
}

fn repeat(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let args = string_and_integers(args, ctx);
    let firmness = args[0].coercibility;
    let times = match args[1].as_literal().and_then(Value::as_integer) {
        Some(times) => u32::try_from(times.max(0)).unwrap_or(u32::MAX),
        None => 65_535,
    };
    let ty = string_type(args[0].ty.length.saturating_mul(times), &args[0].ty, true);
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            let times = call.int(1).max(0) as u64;
            if !fits_packet(call, (call.bytes(0).len() as u64).saturating_mul(times)) {
                return Ok(Value::Null);
            }
            Ok(call.string(call.bytes(0).repeat(times as usize)))
        })
    })
}

fn space(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let count = build::as_integer(args.swap_remove(0), ctx);
    let length = match count.as_literal().and_then(Value::as_integer) {
        Some(count) => u32::try_from(count.max(0)).unwrap_or(u32::MAX),
        None => 65_535,
    };
    let ty = SqlType::sized_string(length, build::text_collation(ctx), false);
    Ok(bound(ty, vec![count], |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let count = call.int(0).max(0) as u64;
        if !fits_packet(call, count) {
            return Ok(Value::Null);
        }
        Ok(call.string(vec![b' '; count as usize]))
    }))
}

fn reverse(call: &Call<'_>) -> Result<Value> {
    Ok(match &call.args[0] {
        Value::Text(text) => Value::Text(text.chars().rev().collect()),
        Value::Bytes(bytes) => Value::Bytes(bytes.iter().rev().copied().collect()),
        _ => Value::Null,
    })
}

fn trimming(args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let (_, firmness, args) = string_args(args, "trim", ctx)?;
    let ty = string_type(args[0].ty.length, &args[0].ty, any_nullable(&args));
    Ok(Bound { coercibility: Some(firmness), ..bound(ty, args, eval) })
}

/// Removes the second argument (blanks without one), byte by byte equal, from the ends.
fn trim(call: &Call<'_>, leading: bool, trailing: bool) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let what = if call.args.len() > 1 { call.bytes(1) } else { b" " };
    let mut rest = call.bytes(0);
    if !what.is_empty() {
        while leading && rest.starts_with(what) {
            rest = &rest[what.len()..];
        }
        while trailing && rest.ends_with(what) {
            rest = &rest[..rest.len() - what.len()];
        }
    }
    Ok(call.string(rest.to_vec()))
}

fn padding(mut args: Vec<Expr>, ctx: &EvalContext, eval: super::Eval) -> Result<Bound> {
    let length = build::as_integer(args.remove(1), ctx);
    let (_, firmness, mut args) = string_args(args, "lpad", ctx)?;
    let wanted = match length.as_literal().and_then(Value::as_integer) {
        Some(length) => u32::try_from(length.max(0)).unwrap_or(u32::MAX),
        None => 65_535,
    };
    let ty = string_type(wanted, &args[0].ty, true);
    args.insert(1, length);
    Ok(Bound { coercibility: Some(firmness), ..bound(ty, args, eval) })
}

fn pad(call: &Call<'_>, left: bool) -> Result<Value> {
    if call.any_null() || call.int(1) < 0 {
        return Ok(Value::Null);
    }
    let wanted = call.int(1) as u64;
    let count = char_count(&call.args[0]) as u64;
    if wanted <= count {
        return Ok(slice(call, 0, wanted as usize));
    }
    let fill = call.bytes(2);
    if fill.is_empty() {
        return Ok(call.string(Vec::new()));
    }
    if !fits_packet(call, wanted.saturating_mul(4).max(wanted)) {
        return Ok(Value::Null);
    }
    let offsets = char_offsets(&call.args[2]);
    let per_fill = offsets.len() - 1;
    let missing = (wanted - count) as usize;
    let mut filler = fill.repeat(missing / per_fill);
    filler.extend_from_slice(&fill[..offsets[missing % per_fill]]);
    let mut out = Vec::with_capacity(filler.len() + call.bytes(0).len());
    if left {
        out.extend_from_slice(&filler);
        out.extend_from_slice(call.bytes(0));
    } else {
        out.extend_from_slice(call.bytes(0));
        out.extend_from_slice(&filler);
    }
    Ok(call.string(out))
}

/// Where `needle` begins in `text`, byte by byte equal, from `from` on.
fn find(text: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    if needle.is_empty() || needle.len() > rest.len() {
        return None;
    }
    rest.windows(needle.len()).position(|window| window == needle).map(|at| at + from)
}

fn replacing(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let (_, firmness, args) = string_args(args, "replace", ctx)?;
    // Each character may be replaced by a longer text.
    let factor = args[2].ty.length.max(1);
    let ty =
        string_type(args[0].ty.length.saturating_mul(factor), &args[0].ty, any_nullable(&args));
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.args[0].is_null() || call.args[1].is_null() {
                return Ok(Value::Null);
            }
            let (text, from) = (call.bytes(0), call.bytes(1));
            if from.is_empty() {
                // Nothing is looked for, so nobody asks what would take its place.
                return Ok(call.string(text.to_vec()));
            }
            if call.args[2].is_null() {
                return Ok(Value::Null);
            }
            let to = call.bytes(2);
            let mut out = Vec::with_capacity(text.len());
            let mut at = 0;
            while let Some(found) = find(text, from, at) {
                out.extend_from_slice(&text[at..found]);
                out.extend_from_slice(to);
                at = found + from.len();
                if !fits_packet(call, out.len() as u64) {
                    return Ok(Value::Null);
                }
            }
            out.extend_from_slice(&text[at..]);
            Ok(call.string(out))
        })
    })
}

/// INSERT(text, position, length, new).
fn inserting(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let (position, length) =
        (build::as_integer(args[1].clone(), ctx), build::as_integer(args[2].clone(), ctx));
    let (_, firmness, strings) =
        string_args(vec![args[0].clone(), args[3].clone()], "insert", ctx)?;
    let total = strings[0].ty.length.saturating_add(strings[1].ty.length);
    let args = vec![strings[0].clone(), position, length, strings[1].clone()];
    let ty = string_type(total, &args[0].ty, any_nullable(&args));
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            let offsets = char_offsets(&call.args[0]);
            let count = (offsets.len() - 1) as i64;
            let position = call.int(1);
            if position < 1 || position > count {
                return Ok(call.args[0].clone());
            }
            let start = position - 1;
            let length = call.int(2);
            let end = if length < 0 { count } else { start.saturating_add(length).min(count) };
            let text = call.bytes(0);
            let mut out = text[..offsets[start as usize]].to_vec();
            out.extend_from_slice(call.bytes(3));
            out.extend_from_slice(&text[offsets[end as usize]..]);
            Ok(call.string(out))
        })
    })
}

fn substring_index(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let count = build::as_integer(args[2].clone(), ctx);
    let (_, firmness, mut args) = string_args(args[..2].to_vec(), "substring_index", ctx)?;
    args.push(count);
    let ty = string_type(args[0].ty.length, &args[0].ty, any_nullable(&args));
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            let (text, delimiter, count) = (call.bytes(0), call.bytes(1), call.int(2));
            if count == 0 || delimiter.is_empty() {
                return Ok(call.string(Vec::new()));
            }
            let mut found = Vec::new();
            let mut at = 0;
            while let Some(place) = find(text, delimiter, at) {
                found.push(place);
                at = place + delimiter.len();
            }
            let wanted = count.unsigned_abs() as usize;
            let part = if wanted > found.len() {
                text
            } else if count > 0 {
                &text[..found[wanted - 1]]
            } else {
                &text[found[found.len() - wanted] + delimiter.len()..]
            };
            Ok(call.string(part.to_vec()))
        })
    })
}

/// QUOTE: a literal that reads as the text; NULL becomes the word.
fn quote(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let (_, firmness, args) = string_args(args, "quote", ctx)?;
    let length = args[0].ty.length.saturating_mul(2).saturating_add(2);
    let ty = string_type(length.max(4), &args[0].ty, false);
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            if call.any_null() {
                return Ok(call.string(b"NULL".to_vec()));
            }
            let mut out = vec![b'\''];
            for byte in call.bytes(0) {
                match byte {
                    b'\'' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                    0 => out.extend_from_slice(b"\\0"),
                    0x1a => out.extend_from_slice(b"\\Z"),
                    other => out.push(*other),
                }
            }
            out.push(b'\'');
            Ok(call.string(out))
        })
    })
}
