//! JSON functions whose result is a document.
//!
//! ```text
//! JSON_SET(doc, path, value)     doc: a JSON value, or a text that is read    value: as its type says
//!                                                     JSON value ── as it is · text ── a string · number ── a number
//!                                                     date ── a string · comparison ── true, false · NULL ── null
//! ```
//!
//! A document is kept and handed on as its text, in MySQL's order of members; so decimals and dates in it are numbers and
//! strings like others.
//!
//! Not here: functions that answer of a document (`json`), the documents themselves (`types::json`).
//!
//! Reference: MySQL 8.4 manual, 14.17 "JSON Functions".

use super::json::{document, error_of, path, single_path};
use super::{Bound, Call, Eval, Function, MANY, bound, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::like::Pattern;
use crate::expr::{Expr, ExprKind, build};
use crate::types::json::change::{self, Writes};
use crate::types::json::parse::parse;
use crate::types::json::{Json, quoted};
use crate::types::{SqlType, TypeKind};
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("json_array", 0, MANY, |args, _| values(args, array)),
    pure("json_object", 0, MANY, object),
    pure("json_extract", 2, MANY, |args, ctx| changes(args, ctx, "json_extract", extract)),
    pure("json_keys", 1, 2, |args, ctx| changes(args, ctx, "json_keys", keys)),
    pure("json_search", 3, MANY, |args, ctx| changes(args, ctx, "json_search", search)),
    pure("json_set", 3, MANY, |args, ctx| in_pairs(args, ctx, "json_set", |c| set(c, Writes::All))),
    pure("json_insert", 3, MANY, |args, ctx| {
        in_pairs(args, ctx, "json_insert", |c| set(c, Writes::New))
    }),
    pure("json_replace", 3, MANY, |args, ctx| {
        in_pairs(args, ctx, "json_replace", |c| set(c, Writes::Old))
    }),
    pure("json_array_append", 3, MANY, |args, ctx| {
        in_pairs(args, ctx, "json_array_append", array_append)
    }),
    pure("json_array_insert", 3, MANY, |args, ctx| {
        in_pairs(args, ctx, "json_array_insert", array_insert)
    }),
    pure("json_remove", 2, MANY, |args, ctx| changes(args, ctx, "json_remove", remove)),
    pure("json_merge", 2, MANY, |args, ctx| documents(args, ctx, "json_merge", merge_preserve)),
    pure("json_merge_preserve", 2, MANY, |args, ctx| {
        documents(args, ctx, "json_merge_preserve", merge_preserve)
    }),
    pure("json_merge_patch", 2, MANY, |args, ctx| {
        documents(args, ctx, "json_merge_patch", merge_patch)
    }),
];

/// `column -> path`.
pub(crate) static EXTRACT: Function =
    pure("json_extract", 2, 2, |args, ctx| changes(args, ctx, "json_extract", extract));

/// CAST(… AS JSON): a text is read.
pub(crate) static PARSED: Function = pure("cast_as_json", 1, 1, parsed);

/// A value as a document; a text is a string in it.
static VALUE: Function = pure("json value", 1, 1, |args, _| {
    Ok(bound(SqlType::json(), args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        Ok(text_of(&json_of(call, 0)?))
    }))
});

/// What a document is to numbers and dates: a string without its quotes, 1 and 0 for true and false.
static SCALAR: Function = pure("json scalar", 1, 1, |args, _| {
    Ok(bound(SqlType::longtext(CollationId::UTF8MB4_BIN), args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        Ok(Value::Text(match document(call, 0)? {
            Json::Text(text) => text,
            Json::Bool(truth) => u8::from(truth).to_string(),
            other => other.to_string(),
        }))
    }))
});

/// An expression as a document, for comparisons with one.
pub(crate) fn as_document(expr: Expr, ctx: &EvalContext) -> Result<Expr> {
    if expr.ty.kind == TypeKind::Json || build::is_null_literal(&expr) {
        return Ok(expr);
    }
    build::call_function(&VALUE, vec![expr], ctx)
}

/// A document as what numbers and dates are read from; any other expression as it is.
pub(crate) fn as_scalar(expr: Expr, ctx: &EvalContext) -> Expr {
    if expr.ty.kind != TypeKind::Json {
        return expr;
    }
    let plain = expr.clone();
    build::call_function(&SCALAR, vec![expr], ctx).unwrap_or(plain)
}

/// The literal `true` or `false` in an argument of a JSON function.
pub(crate) fn boolean(truth: bool) -> Expr {
    build::literal_typed(
        Value::text(if truth { "true" } else { "false" }),
        SqlType::json().not_null(),
    )
}

fn text_of(json: &Json) -> Value {
    Value::Text(json.to_string())
}

/// Arguments of which each is a value.
fn values(args: Vec<Expr>, eval: Eval) -> Result<Bound> {
    Ok(bound(SqlType::json(), args, eval))
}

/// Arguments that are a document and then texts, such as paths.
fn changes(args: Vec<Expr>, ctx: &EvalContext, name: &str, eval: Eval) -> Result<Bound> {
    let args = args.into_iter().enumerate().map(|(place, arg)| match place {
        0 => document_argument(arg, place, name),
        _ => Ok(build::as_string(arg, ctx)),
    });
    Ok(bound(SqlType::json(), args.collect::<Result<_>>()?, eval))
}

/// Arguments that are a document and then paths and values in turn.
fn in_pairs(args: Vec<Expr>, ctx: &EvalContext, name: &'static str, eval: Eval) -> Result<Bound> {
    if args.len().is_multiple_of(2) {
        return Err(Error::wrong_parameter_count(name));
    }
    let args = args.into_iter().enumerate().map(|(place, arg)| match place {
        0 => document_argument(arg, place, name),
        _ if place % 2 == 1 => Ok(build::as_string(arg, ctx)),
        _ => Ok(arg),
    });
    Ok(bound(SqlType::json(), args.collect::<Result<_>>()?, eval))
}

/// Arguments that are all documents.
fn documents(args: Vec<Expr>, _: &EvalContext, name: &str, eval: Eval) -> Result<Bound> {
    let args = args.into_iter().enumerate().map(|(place, arg)| document_argument(arg, place, name));
    Ok(bound(SqlType::json(), args.collect::<Result<_>>()?, eval))
}

fn document_argument(arg: Expr, place: usize, name: &str) -> Result<Expr> {
    if build::is_null_literal(&arg) || arg.ty.is_text() {
        return Ok(arg);
    }
    match arg.ty.is_string() {
        true => Err(Error::json_of_binary()),
        false => Err(Error::json_argument_type(place + 1, name)),
    }
}

/// The value that an argument is in a document.
fn json_of(call: &Call<'_>, place: usize) -> Result<Json> {
    let (value, expr) = (&call.args[place], &call.exprs[place]);
    Ok(match value {
        Value::Null => Json::Null,
        Value::Text(text) if expr.ty.kind == TypeKind::Json => {
            parse(text).map_err(|fault| error_of(fault, place, call.name))?
        }
        Value::Text(text) => Json::Text(text.clone()),
        Value::Int(number) if is_condition(expr) => Json::Bool(*number != 0),
        Value::Int(number) => Json::Int(*number),
        Value::UInt(number) => i64::try_from(*number).map_or(Json::UInt(*number), Json::Int),
        Value::Double(number) => Json::Double(*number),
        Value::Decimal(_) => {
            let text = value.to_text(&expr.ty).unwrap_or_default();
            Json::Double(text.parse().unwrap_or_default())
        }
        Value::Date(_) => Json::Text(value.to_text(&expr.ty).unwrap_or_default()),
        // All six digits of the fraction, whatever the type shows.
        Value::Time(_) => Json::Text(value.to_text(&SqlType::time(6)).unwrap_or_default()),
        Value::DateTime(_) => Json::Text(value.to_text(&SqlType::datetime(6)).unwrap_or_default()),
        Value::Bytes(_) => return Err(Error::json_of_binary()),
    })
}

/// Whether an expression is true or false, and no number.
fn is_condition(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Compare { .. } | ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_)
    )
}

fn parsed(mut args: Vec<Expr>, _: &EvalContext) -> Result<Bound> {
    let arg = args.swap_remove(0);
    if arg.ty.is_bytes() {
        return Err(Error::json_of_binary());
    }
    Ok(bound(SqlType::json(), vec![arg], |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        if !call.exprs[0].ty.is_text() {
            return Ok(text_of(&json_of(call, 0)?));
        }
        Ok(text_of(&document(call, 0)?))
    }))
}

fn array(call: &Call<'_>) -> Result<Value> {
    let elements = (0..call.args.len()).map(|place| json_of(call, place));
    Ok(text_of(&Json::Array(elements.collect::<Result<_>>()?)))
}

fn object(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::wrong_parameter_count("json_object"));
    }
    let args = args.into_iter().enumerate().map(|(place, arg)| match place % 2 {
        0 => build::as_string(arg, ctx),
        _ => arg,
    });
    Ok(bound(SqlType::json().not_null(), args.collect(), |call| {
        let mut members = Vec::with_capacity(call.args.len() / 2);
        for place in (0..call.args.len()).step_by(2) {
            if call.args[place].is_null() {
                return Err(Error::json_null_name());
            }
            members.push((call.text(place).to_string(), json_of(call, place + 1)?));
        }
        Ok(text_of(&Json::object(members)))
    }))
}

fn extract(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let document = document(call, 0)?;
    let mut is_multiple = call.args.len() > 2;
    let mut found = Vec::new();
    for place in 1..call.args.len() {
        let path = path(call, place)?;
        is_multiple |= path.is_multiple();
        found.extend(path.find(&document).into_iter().cloned());
    }
    Ok(match (found.pop(), is_multiple) {
        (None, _) => Value::Null,
        (Some(one), false) => text_of(&one),
        (Some(last), true) => {
            found.push(last);
            text_of(&Json::Array(found))
        }
    })
}

fn keys(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let document = document(call, 0)?;
    let found = match call.args.len() {
        1 => Some(&document),
        _ => single_path(call, 1)?.find(&document).first().copied(),
    };
    Ok(match found {
        Some(Json::Object(members)) => {
            let names = members.iter().map(|(name, _)| Json::Text(name.clone()));
            text_of(&Json::Array(names.collect()))
        }
        _ => Value::Null,
    })
}

fn search(call: &Call<'_>) -> Result<Value> {
    // The escape alone may be NULL.
    if call.args.iter().enumerate().any(|(place, arg)| arg.is_null() && place != 3) {
        return Ok(Value::Null);
    }
    let document = document(call, 0)?;
    let all = match call.text(1) {
        word if word.eq_ignore_ascii_case("all") => true,
        word if word.eq_ignore_ascii_case("one") => false,
        _ => return Err(Error::json_one_or_all(call.name)),
    };
    let mut letters = call.text(3).chars();
    let escape = match (letters.next(), letters.next()) {
        (escape, None) => escape.or(Some('\\')),
        _ => return Err(Error::json_escape()),
    };
    let pattern = Pattern::new(call.text(2), escape, CollationId::UTF8MB4_BIN);
    let mut roots = Vec::new();
    for place in 4..call.args.len() {
        roots
            .extend(path(call, place)?.find(&document).into_iter().map(std::ptr::from_ref::<Json>));
    }
    let mut walk = Search { pattern, roots, found: Vec::new() };
    let everywhere = call.args.len() <= 4;
    walk.walk(&document, &mut "$".to_string(), everywhere);
    let mut found = walk.found;
    if !all {
        found.truncate(1);
    }
    Ok(match found.len() {
        0 => Value::Null,
        1 => text_of(&found.remove(0)),
        _ => text_of(&Json::Array(found)),
    })
}

/// JSON_SEARCH under way.
struct Search {
    pattern: Pattern,
    /// Where it looks, and in all that is there.
    roots: Vec<*const Json>,
    /// Paths of what it has found.
    found: Vec<Json>,
}

impl Search {
    /// Looks at a value whose path is this, and at all that is in it.
    fn walk(&mut self, value: &Json, path: &mut String, inside: bool) {
        let inside = inside || self.roots.contains(&std::ptr::from_ref::<Json>(value));
        if let Json::Text(text) = value {
            let letters: Vec<char> = text.chars().collect();
            if inside && self.pattern.matches(&letters) {
                self.found.push(Json::Text(path.clone()));
            }
        }
        let length = path.len();
        for (place, child) in value.children().enumerate() {
            match value {
                Json::Object(members) => path.push_str(&leg(&members[place].0)),
                _ => path.push_str(&format!("[{place}]")),
            }
            self.walk(child, path, inside);
            path.truncate(length);
        }
    }
}

/// The leg of a path to a member.
fn leg(name: &str) -> String {
    let is_plain = name.chars().enumerate().all(|(at, c)| {
        c.is_ascii_alphabetic() || c == '_' || c == '$' || (at > 0 && c.is_ascii_digit())
    });
    if is_plain && !name.is_empty() { format!(".{name}") } else { format!(".{}", quoted(name)) }
}

/// Changes a document at each path in turn. `None` when an argument that must be there is NULL.
fn at_paths(
    call: &Call<'_>,
    mut work: impl FnMut(&mut Json, usize) -> Result<()>,
) -> Result<Value> {
    if call.args[0].is_null() {
        return Ok(Value::Null);
    }
    let mut changed = document(call, 0)?;
    for place in (1..call.args.len()).step_by(2) {
        if call.args[place].is_null() {
            return Ok(Value::Null);
        }
        work(&mut changed, place)?;
    }
    if changed.depth() > base::limits::JSON_DEPTH_MAX {
        return Err(Error::json_too_deep());
    }
    Ok(text_of(&changed))
}

fn set(call: &Call<'_>, writes: Writes) -> Result<Value> {
    at_paths(call, |document, place| {
        let path = single_path(call, place)?;
        change::set(document, &path, json_of(call, place + 1)?, writes);
        Ok(())
    })
}

fn array_append(call: &Call<'_>) -> Result<Value> {
    at_paths(call, |document, place| {
        let path = single_path(call, place)?;
        change::append(document, &path, json_of(call, place + 1)?);
        Ok(())
    })
}

fn array_insert(call: &Call<'_>) -> Result<Value> {
    at_paths(call, |document, place| {
        let path = single_path(call, place)?;
        match change::insert_before(document, &path, json_of(call, place + 1)?) {
            true => Ok(()),
            false => Err(Error::json_path_of_no_cell()),
        }
    })
}

fn remove(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let mut document = document(call, 0)?;
    for place in 1..call.args.len() {
        let path = single_path(call, place)?;
        if path.is_root() {
            return Err(Error::json_vacuous_path());
        }
        change::remove(&mut document, &path);
    }
    Ok(text_of(&document))
}

fn merge_preserve(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let mut merged = document(call, 0)?;
    for place in 1..call.args.len() {
        merged = change::merge_preserve(merged, document(call, place)?);
    }
    Ok(text_of(&merged))
}

fn merge_patch(call: &Call<'_>) -> Result<Value> {
    // NULL makes NULL, until something comes that is no object and takes the place of all.
    let mut merged: Option<Json> = None;
    for place in 0..call.args.len() {
        if call.args[place].is_null() {
            merged = None;
            continue;
        }
        let next = document(call, place)?;
        merged = match (place, merged, &next) {
            (0, _, _) => Some(next),
            (_, None, Json::Object(_)) => None,
            (_, None, _) => Some(next),
            (_, Some(before), _) => Some(change::merge_patch(before, next)),
        };
    }
    Ok(merged.as_ref().map_or(Value::Null, text_of))
}
