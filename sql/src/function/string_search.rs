//! Strings: finding and comparing, under the arguments' collation.

use super::{Bound, Call, Function, any_nullable, bound, pure, string_args};
use crate::Result;
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build, compare_values};
use crate::types::{Domain, SqlType, TypeKind};
use crate::value::Value;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    // INSTR(text, needle), LOCATE(needle, text[, from]).
    pure("instr", 2, 2, |mut args, ctx| {
        args.swap(0, 1);
        locating(args, ctx)
    }),
    pure("locate", 2, 3, locating),
    pure("position", 2, 2, locating),
    pure("strcmp", 2, 2, strcmp),
    pure("find_in_set", 2, 2, find_in_set),
    pure("field", 2, super::MANY, field),
    pure("elt", 2, super::MANY, elt),
];

/// The place of `needle` in `text` from character `from` on (both from 0), under a collation.
fn locate(text: &Value, needle: &Value, from: usize, collation: CollationId) -> Option<usize> {
    match (text, needle) {
        (Value::Text(text), Value::Text(needle)) => {
            let (text, needle): (Vec<char>, Vec<char>) =
                (text.chars().collect(), needle.chars().collect());
            place(&text, &needle, from, |a, b| collation.same_char(a, b))
        }
        (text, needle) => place(
            text.as_bytes().unwrap_or_default(),
            needle.as_bytes().unwrap_or_default(),
            from,
            |a, b| a == b,
        ),
    }
}

fn place<T: Copy>(
    text: &[T],
    needle: &[T],
    from: usize,
    same: impl Fn(T, T) -> bool,
) -> Option<usize> {
    if needle.is_empty() {
        return (from <= text.len()).then_some(from);
    }
    (from..(text.len() + 1).saturating_sub(needle.len()))
        .find(|at| needle.iter().zip(&text[*at..]).all(|(a, b)| same(*a, *b)))
}

fn locating(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let from = (args.len() > 2).then(|| build::as_integer(args.remove(2), ctx));
    let (_, _, mut args) = string_args(args, "locate", ctx)?;
    args.extend(from);
    let ty = SqlType::bigint_width(11).with_nullable(any_nullable(&args));
    Ok(bound(ty, args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let from = if call.args.len() > 2 { call.int(2) } else { 1 };
        if from < 1 {
            return Ok(Value::Int(0));
        }
        let collation = call.exprs[0].ty.collation;
        let found = locate(&call.args[1], &call.args[0], from as usize - 1, collation);
        Ok(Value::Int(found.map_or(0, |at| at as i64 + 1)))
    }))
}

fn strcmp(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let (_, _, args) = string_args(args, "strcmp", ctx)?;
    let ty = SqlType::bigint_width(2).with_nullable(any_nullable(&args));
    Ok(bound(ty, args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let collation = call.exprs[0].ty.collation;
        Ok(Value::Int(compare_values(&call.args[0], &call.args[1], collation) as i64))
    }))
}

/// Whether two parts of strings are equal under the arguments' collation.
fn equal(call: &Call<'_>, a: &[u8], b: &[u8]) -> bool {
    match (std::str::from_utf8(a), std::str::from_utf8(b)) {
        (Ok(a), Ok(b)) if call.exprs[0].ty.is_text() => {
            call.exprs[0].ty.collation.compare(a, b).is_eq()
        }
        _ => a == b,
    }
}

fn find_in_set(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let (_, _, args) = string_args(args, "find_in_set", ctx)?;
    let ty = SqlType::bigint_width(3).with_nullable(any_nullable(&args));
    Ok(bound(ty, args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let (wanted, set) = (call.bytes(0), call.bytes(1));
        if set.is_empty() || wanted.contains(&b',') {
            return Ok(Value::Int(0));
        }
        let found = set.split(|byte| *byte == b',').position(|part| equal(call, wanted, part));
        Ok(Value::Int(found.map_or(0, |at| at as i64 + 1)))
    }))
}

/// FIELD(value, …): the place of the value among the others, compared as strings when all are (NULL is one), as
/// integers when all are, else as doubles; 0 when it is not there.
fn field(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let ty = SqlType::bigint_width(3).not_null();
    let is_text = |arg: &Expr| arg.ty.is_string() || arg.ty.kind == TypeKind::Null;
    let args = if args.iter().all(is_text) {
        string_args(args, "field", ctx)?.2
    } else if args.iter().all(|arg| arg.ty.domain() == Domain::Integer) {
        args
    } else {
        args.into_iter().map(|arg| build::as_double(arg, ctx)).collect()
    };
    Ok(bound(ty, args, |call| {
        let wanted = &call.args[0];
        if wanted.is_null() {
            return Ok(Value::Int(0));
        }
        let collation = call.exprs[0].ty.collation;
        let found = call.args[1..]
            .iter()
            .position(|value| !value.is_null() && compare_values(wanted, value, collation).is_eq());
        Ok(Value::Int(found.map_or(0, |at| at as i64 + 1)))
    }))
}

/// ELT(n, …): the n-th string.
fn elt(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let number = build::as_integer(args.remove(0), ctx);
    let (collation, firmness, strings) = string_args(args, "elt", ctx)?;
    let length = strings.iter().map(|arg| arg.ty.length).max().unwrap_or(0);
    let ty = SqlType::sized_string(length, collation, false);
    let mut args = vec![number];
    args.extend(strings);
    Ok(Bound {
        coercibility: Some(firmness),
        ..bound(ty, args, |call| {
            let number = call.int(0);
            if call.args[0].is_null() || number < 1 {
                return Ok(Value::Null);
            }
            Ok(call.args.get(number as usize).cloned().unwrap_or(Value::Null))
        })
    })
}
