//! Regular expressions: REGEXP, REGEXP_LIKE, REGEXP_INSTR, REGEXP_SUBSTR, REGEXP_REPLACE.
//!
//! The syntax is that of the `regex` crate: MySQL's (ICU's) without look-around and back-references,
//! which are refused with 3692, because they cannot be matched in linear time. Case counts as the
//! collation says; a `c` or `i` in the match type overrides it.

use std::collections::VecDeque;
use std::sync::LazyLock;

use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};

use super::{Call, Function, any_nullable, bound, pure, string_args};
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// Compiled patterns that are kept; a query's pattern is the same for all of its rows.
const KEPT_MAX: usize = 32;
/// Most bytes of a compiled pattern.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("regexp_like", 2, 3, |args, ctx| {
        let args = texts(args, 2, ctx)?;
        let ty = SqlType::boolean().with_nullable(any_nullable(&args));
        Ok(bound(ty, args, like))
    }),
    pure("regexp_instr", 2, 6, |args, ctx| {
        let args = texts(args, 2, ctx)?;
        let ty = SqlType::bigint_width(21).with_nullable(any_nullable(&args));
        Ok(bound(ty, args, instr))
    }),
    pure("regexp_substr", 2, 5, |args, ctx| {
        let args = texts(args, 2, ctx)?;
        let ty = SqlType::sized_string(args[0].ty.length, args[0].ty.collation, false);
        Ok(bound(ty, args, substr))
    }),
    pure("regexp_replace", 3, 6, |args, ctx| {
        let args = texts(args, 3, ctx)?;
        let length = args[0].ty.length.saturating_mul(args[2].ty.length.max(1));
        let ty = SqlType::sized_string(length, args[0].ty.collation, false);
        Ok(bound(ty, args, replace))
    }),
];

/// The first `strings` arguments as texts of one collation, a last one beyond the integers as text
/// (the match type), integers between.
fn texts(args: Vec<Expr>, strings: usize, ctx: &EvalContext) -> Result<Vec<Expr>> {
    let mut args = args;
    let rest = args.split_off(strings);
    let (collation, _, mut args) = string_args(args, "regexp", ctx)?;
    if collation == crate::collation::CollationId::BINARY {
        return Err(Error::not_supported(
            "regular expressions over byte strings; convert them with CONVERT(… USING utf8mb4)",
        ));
    }
    let is_like = strings == 2 && rest.len() == 1;
    let count = rest.len();
    for (index, arg) in rest.into_iter().enumerate() {
        let match_type =
            index + 1 == count && arg.ty.is_string() || (is_like && arg.ty.is_string());
        args.push(if match_type { arg } else { build::as_integer(arg, ctx) });
    }
    Ok(args)
}

/// A compiled pattern and what it was compiled from.
struct Kept {
    pattern: String,
    ignore_case: bool,
    match_type: String,
    regex: Regex,
}

static KEPT: LazyLock<Mutex<VecDeque<Kept>>> = LazyLock::new(|| Mutex::new(VecDeque::new()));

/// The compiled pattern of a call.
fn compile(call: &Call<'_>) -> Result<Regex> {
    let pattern = call.text(1);
    let match_type = match call.args.last() {
        Some(Value::Text(text)) if call.args.len() > 2 && call.name == "regexp_like" => {
            text.as_str()
        }
        Some(Value::Text(text)) if call.args.len() > 4 => text.as_str(),
        _ => "",
    };
    let mut ignore_case = !call.exprs[0].ty.collation.is_binary_order();
    let (mut multi_line, mut dot_newline) = (false, false);
    for flag in match_type.chars() {
        match flag {
            'c' => ignore_case = false,
            'i' => ignore_case = true,
            'm' => multi_line = true,
            'n' => dot_newline = true,
            'u' => {}
            _ => return Err(Error::wrong_arguments(call.name)),
        }
    }
    let mut kept = KEPT.lock();
    let hit = kept.iter().find(|known| {
        known.pattern == pattern
            && known.ignore_case == ignore_case
            && known.match_type == match_type
    });
    if let Some(hit) = hit {
        return Ok(hit.regex.clone());
    }
    let regex = RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .multi_line(multi_line)
        .dot_matches_new_line(dot_newline)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Error::invalid_regexp(format!("{reason} in '{pattern}'"))
        })?;
    if kept.len() >= KEPT_MAX {
        kept.pop_back();
    }
    kept.push_front(Kept {
        pattern: pattern.to_owned(),
        ignore_case,
        match_type: match_type.to_owned(),
        regex: regex.clone(),
    });
    Ok(regex)
}

fn like(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    Ok(Value::boolean(compile(call)?.is_match(call.text(0))))
}

/// The text from the character position on, which the argument at `index` says, and the bytes before.
fn from_position<'a>(call: &'a Call<'_>, index: usize) -> Result<(&'a str, usize)> {
    let text = call.text(0);
    let position = if has_integer(call, index) { call.int(index) } else { 1 };
    let start = usize::try_from(position - 1).map_err(|_| Error::wrong_arguments(call.name))?;
    let count = text.chars().count();
    if start > count {
        return Err(Error::invalid_regexp("Index out of bounds in regular expression search."));
    }
    let at = text.char_indices().nth(start).map_or(text.len(), |(at, _)| at);
    Ok((text, at))
}

fn has_integer(call: &Call<'_>, index: usize) -> bool {
    matches!(call.args.get(index), Some(Value::Int(_) | Value::UInt(_)))
}

/// Start and end, in bytes, of the occurrence that the argument at `index` says (from 1).
fn occurrence(call: &Call<'_>, at: usize, index: usize) -> Result<Option<(usize, usize)>> {
    let regex = compile(call)?;
    let wanted = if has_integer(call, index) { call.int(index).max(1) } else { 1 };
    let text = call.text(0);
    let found = regex.find_iter(&text[at..]).nth(wanted as usize - 1);
    Ok(found.map(|found| (found.start() + at, found.end() + at)))
}

fn instr(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let (text, at) = from_position(call, 2)?;
    let after = has_integer(call, 4) && call.int(4) == 1;
    let found = occurrence(call, at, 3)?;
    let place = found.map_or(0, |(start, end)| {
        let bytes = if after { end } else { start };
        text[..bytes].chars().count() as i64 + 1
    });
    Ok(Value::Int(place))
}

fn substr(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let (text, at) = from_position(call, 2)?;
    Ok(occurrence(call, at, 3)?.map_or(Value::Null, |(start, end)| Value::text(&text[start..end])))
}

/// REGEXP_REPLACE(text, pattern, new[, position[, occurrence[, match type]]]); `$1` takes a group.
fn replace(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let (text, at) = from_position(call, 3)?;
    let regex = compile(call)?;
    let wanted = if has_integer(call, 4) { call.int(4).max(0) as usize } else { 0 };
    let mut out = text[..at].to_owned();
    let mut done = at;
    for (number, groups) in regex.captures_iter(&text[at..]).enumerate() {
        let Some(whole) = groups.get(0) else { continue };
        if wanted != 0 && number + 1 != wanted {
            continue;
        }
        out.push_str(&text[done..at + whole.start()]);
        expand(&groups, call.text(2), &mut out);
        done = at + whole.end();
    }
    out.push_str(&text[done..]);
    Ok(Value::Text(out))
}

/// `$n` is the n-th group, `\x` is x.
fn expand(groups: &regex::Captures<'_>, template: &str, out: &mut String) {
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '$' => {
                let digit = chars.peek().and_then(|next| next.to_digit(10));
                match digit {
                    Some(digit) => {
                        chars.next();
                        out.push_str(groups.get(digit as usize).map_or("", |group| group.as_str()));
                    }
                    None => out.push('$'),
                }
            }
            other => out.push(other),
        }
    }
}
