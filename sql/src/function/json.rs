//! JSON: what a document holds.
//!
//! There are the functions whose result is no document. A text is read as a document, a value of type JSON is one.
//!
//! Not here: functions that return documents (`json_document`), documents themselves (`types::json`), `->>` and MEMBER OF as syntax (`binder::expr`).
//!
//! Reference: MySQL 8.4 manual, 14.17 "JSON Functions".

use super::{Bound, Call, Function, MANY, bound, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::types::json::parse::{Fault, parse, string_at_start};
use crate::types::json::path::Path;
use crate::types::json::{Json, quoted};
use crate::value::Value;
use crate::{Error, Result};

/// Characters of JSON_TYPE's result, as MySQL declares it.
const TYPE_NAME_LENGTH: u32 = 51;
/// Characters of JSON_VALUE's result without RETURNING.
const VALUE_LENGTH: u32 = 512;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("json_valid", 1, 1, valid),
    pure("json_type", 1, 1, type_name),
    pure("json_depth", 1, 1, |args, ctx| number(args, ctx, "json_depth", 1, depth)),
    pure("json_length", 1, 2, |args, ctx| number(args, ctx, "json_length", 1, length)),
    pure("json_contains", 2, 3, |args, ctx| number(args, ctx, "json_contains", 2, contains)),
    pure("json_contains_path", 3, MANY, |args, ctx| {
        number(args, ctx, "json_contains_path", 1, contains_path)
    }),
    pure("json_overlaps", 2, 2, |args, ctx| number(args, ctx, "json_overlaps", 2, overlaps)),
    pure("json_quote", 1, 1, quote),
    pure("json_unquote", 1, 1, unquote),
    pure("json_pretty", 1, 1, pretty),
    pure("json_value", 2, 2, value),
];

/// `column ->> path`.
pub static TEXT_AT: Function = pure("json_unquote", 2, 2, text_at);

/// `value MEMBER OF (array)`.
pub static MEMBER_OF: Function = pure("member of", 2, 2, member_of);

/// Arguments as documents: the first `documents` of them must be texts, the others become strings.
fn texts(args: Vec<Expr>, ctx: &EvalContext, name: &str, documents: usize) -> Result<Vec<Expr>> {
    let text = |(place, arg): (usize, Expr)| {
        if place >= documents || build::is_null_literal(&arg) || arg.ty.is_text() {
            return Ok(build::as_string(arg, ctx));
        }
        match arg.ty.is_string() {
            true => Err(Error::json_of_binary()),
            false => Err(Error::json_argument_type(place + 1, name)),
        }
    };
    args.into_iter().enumerate().map(text).collect()
}

/// A function whose result is a number. NULL anywhere, and what is not there, is NULL.
fn number(
    args: Vec<Expr>,
    ctx: &EvalContext,
    name: &str,
    documents: usize,
    eval: super::Eval,
) -> Result<Bound> {
    Ok(bound(SqlType::bigint(), texts(args, ctx, name, documents)?, eval))
}

/// The document that an argument is.
pub(super) fn document(call: &Call<'_>, place: usize) -> Result<Json> {
    parse(call.text(place)).map_err(|fault| error_of(fault, place, call.name))
}

pub(super) fn error_of(fault: Fault, place: usize, name: &str) -> Error {
    match fault {
        Fault::Text(what, at) => Error::invalid_json_text(place + 1, name, what, at),
        Fault::Deep => Error::json_too_deep(),
    }
}

/// The path that an argument is.
pub(super) fn path(call: &Call<'_>, place: usize) -> Result<Path> {
    // A path that is no text is none from its start on.
    let text = call.args.get(place).and_then(Value::as_text).unwrap_or_default();
    Path::parse(text).map_err(Error::invalid_json_path)
}

/// The path that an argument is, where it must mean one value at most.
pub(super) fn single_path(call: &Call<'_>, place: usize) -> Result<Path> {
    match path(call, place)? {
        path if path.is_multiple() => Err(Error::json_path_wildcard()),
        path => Ok(path),
    }
}

fn valid(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = args.swap_remove(0);
    if !arg.ty.is_text() && !build::is_null_literal(&arg) {
        // A number is no document, and neither are bytes.
        return Ok(bound(SqlType::bigint(), vec![arg], |call| {
            Ok(if call.any_null() { Value::Null } else { Value::Int(0) })
        }));
    }
    Ok(bound(SqlType::bigint(), vec![build::as_string(arg, ctx)], |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        match parse(call.text(0)) {
            Ok(_) => Ok(Value::Int(1)),
            Err(Fault::Text(..)) => Ok(Value::Int(0)),
            Err(fault @ Fault::Deep) => Err(error_of(fault, 0, call.name)),
        }
    }))
}

fn type_name(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let ty = SqlType::varchar(TYPE_NAME_LENGTH, CollationId::UTF8MB4_BIN);
    Ok(bound(ty, texts(args, ctx, "json_type", 1)?, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        Ok(Value::text(document(call, 0)?.type_name()))
    }))
}

fn count(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn depth(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    Ok(count(document(call, 0)?.depth()))
}

fn length(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let document = document(call, 0)?;
    if call.args.len() == 1 {
        return Ok(count(document.length()));
    }
    let path = single_path(call, 1)?;
    Ok(path.find(&document).first().map_or(Value::Null, |found| count(found.length())))
}

fn contains(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let (target, wanted) = (document(call, 0)?, document(call, 1)?);
    if call.args.len() == 2 {
        return Ok(Value::boolean(target.contains(&wanted)));
    }
    let path = single_path(call, 2)?;
    let found = path.find(&target).first().map(|found| found.contains(&wanted));
    Ok(Value::truth(found))
}

fn contains_path(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let document = document(call, 0)?;
    let all = match call.args[1].as_text() {
        Some(word) if word.eq_ignore_ascii_case("all") => true,
        Some(word) if word.eq_ignore_ascii_case("one") => false,
        _ => return Err(Error::json_one_or_all(call.name)),
    };
    let mut found = Vec::with_capacity(call.args.len() - 2);
    for place in 2..call.args.len() {
        found.push(!path(call, place)?.find(&document).is_empty());
    }
    let truth = if all { !found.contains(&false) } else { found.contains(&true) };
    Ok(Value::boolean(truth))
}

fn overlaps(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    Ok(Value::boolean(document(call, 0)?.overlaps(&document(call, 1)?)))
}

fn quote(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    if let Some(arg) = args.first()
        && !arg.ty.is_text()
        && !build::is_null_literal(arg)
    {
        return Err(Error::incorrect_json_quote_type());
    }
    let args = texts(args, ctx, "json_quote", 0)?;
    // Each character may need six.
    let length = args.first().map_or(0, |arg| arg.ty.length).saturating_mul(6).saturating_add(2);
    let ty = SqlType::sized_string(length, CollationId::UTF8MB4_BIN, false);
    Ok(bound(ty, args, |call| {
        Ok(if call.any_null() { Value::Null } else { Value::Text(quoted(call.text(0))) })
    }))
}

fn unquote(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let ty = SqlType::longtext(CollationId::UTF8MB4_BIN);
    Ok(bound(ty, texts(args, ctx, "json_unquote", 0)?, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let text = match &call.args[0] {
            Value::Text(text) => text.clone(),
            other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()).into_owned(),
        };
        if text.len() < 2 || !text.starts_with('"') || !text.ends_with('"') {
            return Ok(Value::Text(text));
        }
        match string_at_start(&text) {
            Ok((string, length)) if length == text.len() => Ok(Value::Text(string)),
            Ok((_, length)) => {
                let what = "The document root must not be followed by other values.";
                Err(Error::invalid_json_text(1, call.name, what, length))
            }
            Err(fault) => Err(error_of(fault, 0, call.name)),
        }
    }))
}

fn pretty(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let ty = SqlType::longtext(CollationId::UTF8MB4_BIN);
    Ok(bound(ty, texts(args, ctx, "json_pretty", 1)?, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        Ok(Value::Text(document(call, 0)?.pretty()))
    }))
}

/// A value as text: strings without quotes.
fn plain_text(value: &Json) -> String {
    match value {
        Json::Text(text) => text.clone(),
        value => value.to_string(),
    }
}

/// JSON_VALUE without RETURNING: NULL for what is no scalar, is not there or is too long.
fn value(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let ty = SqlType::varchar(VALUE_LENGTH, CollationId::UTF8MB4_BIN);
    Ok(bound(ty, texts(args, ctx, "json_value", 1)?, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let document = document(call, 0)?;
        let path = path(call, 1)?;
        let found = path.find(&document);
        let [found] = found.as_slice() else { return Ok(Value::Null) };
        Ok(match found {
            Json::Null | Json::Array(_) | Json::Object(_) => Value::Null,
            scalar => {
                let text = plain_text(scalar);
                let fits = text.chars().count() <= VALUE_LENGTH as usize;
                if fits { Value::Text(text) } else { Value::Null }
            }
        })
    }))
}

fn text_at(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let ty = SqlType::longtext(CollationId::UTF8MB4_BIN);
    Ok(bound(ty, texts(args, ctx, "json_extract", 1)?, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let document = parse(call.text(0)).map_err(|fault| error_of(fault, 0, "json_extract"))?;
        let path = path(call, 1)?;
        let found = path.find(&document);
        Ok(match found.as_slice() {
            [] => Value::Null,
            [found] if !path.is_multiple() => Value::Text(plain_text(found)),
            // A path that may mean several values gives an array, also of one.
            found => {
                let all = found.iter().copied().cloned().collect();
                Value::Text(Json::Array(all).to_string())
            }
        })
    }))
}

fn member_of(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let Some(array) = args.pop() else { return Err(Error::wrong_parameter_count("member of")) };
    if !build::is_null_literal(&array) && !array.ty.is_text() {
        return Err(Error::json_argument_type(2, "member of"));
    }
    args.push(build::as_string(array, ctx));
    Ok(bound(SqlType::bigint(), args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let array = document(call, 1)?;
        let wanted = match &call.args[0] {
            Value::Int(number) => Json::Int(*number),
            Value::UInt(number) => Json::UInt(*number),
            Value::Double(number) => Json::Double(*number),
            Value::Text(text) => Json::Text(text.clone()),
            // A decimal is looked for as the number that its text is.
            Value::Decimal(_) => {
                let text = call.args[0].to_text(&call.exprs[0].ty).unwrap_or_default();
                parse(&text).map_err(|fault| error_of(fault, 0, call.name))?
            }
            // Dates and bytes are in no text.
            _ => return Ok(Value::Int(0)),
        };
        let found = match &array {
            Json::Array(elements) => elements.contains(&wanted),
            one => *one == wanted,
        };
        Ok(Value::boolean(found))
    }))
}
