//! Regular expressions: REGEXP, REGEXP_LIKE, REGEXP_INSTR, REGEXP_SUBSTR, REGEXP_REPLACE.
//!
//! The syntax is that of the `regex` crate, which matches in linear time: MySQL's (ICU's) without look-around, back-references
//! and possessive repetition. Patterns that have these go to `backtrack`, whose steps are limited. Case counts as the collation
//! says; a `c` or `i` in the match type overrides it.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};

use super::backtrack::{self, Flags, Groups, Program};
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
    matcher: Matcher,
}

/// A compiled pattern.
#[derive(Clone)]
enum Matcher {
    /// In linear time.
    Linear(Regex),
    /// With look-around or back-references.
    Bounded(Arc<Program>),
}

impl Matcher {
    /// The first match that begins at `from` or later.
    fn find_at(&self, text: &str, from: usize) -> Result<Option<Groups>> {
        match self {
            Matcher::Linear(regex) => Ok(regex.captures_at(text, from).map(|found| {
                let groups = found.iter();
                groups.map(|group| group.map(|group| (group.start(), group.end()))).collect()
            })),
            Matcher::Bounded(program) => program.find_at(text, from),
        }
    }

    /// The first `most` matches. None begins where an empty one would follow another directly.
    fn find_all(&self, text: &str, most: usize) -> Result<Vec<Groups>> {
        let (mut all, mut from, mut last) = (Vec::new(), 0, None);
        while all.len() < most && from <= text.len() {
            let Some(groups) = self.find_at(text, from)? else { break };
            let Some((start, end)) = groups[0] else { break };
            let is_empty = start == end;
            if !(is_empty && last == Some(end)) {
                last = Some(end);
                all.push(groups);
            }
            let step = text[end..].chars().next().map_or(1, char::len_utf8);
            from = if is_empty { end + step } else { end };
        }
        Ok(all)
    }
}

static KEPT: LazyLock<Mutex<VecDeque<Kept>>> = LazyLock::new(|| Mutex::new(VecDeque::new()));

/// The compiled pattern of a call.
fn compile(call: &Call<'_>) -> Result<Matcher> {
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
        return Ok(hit.matcher.clone());
    }
    let matcher = if backtrack::is_needed(pattern) {
        let flags = Flags { ignore_case, multi_line, dot_newline };
        Matcher::Bounded(Arc::new(Program::new(pattern, flags)?))
    } else {
        linear(pattern, ignore_case, multi_line, dot_newline).map(Matcher::Linear)?
    };
    if kept.len() >= KEPT_MAX {
        kept.pop_back();
    }
    kept.push_front(Kept {
        pattern: pattern.to_owned(),
        ignore_case,
        match_type: match_type.to_owned(),
        matcher: matcher.clone(),
    });
    Ok(matcher)
}

fn linear(pattern: &str, ignore_case: bool, multi_line: bool, dot_newline: bool) -> Result<Regex> {
    RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .multi_line(multi_line)
        .dot_matches_new_line(dot_newline)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Error::invalid_regexp(format!("{reason} in '{pattern}'"))
        })
}

fn like(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let is_match = match compile(call)? {
        Matcher::Linear(regex) => regex.is_match(call.text(0)),
        Matcher::Bounded(program) => program.find_at(call.text(0), 0)?.is_some(),
    };
    Ok(Value::boolean(is_match))
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
    let matcher = compile(call)?;
    let wanted = if has_integer(call, index) { call.int(index).max(1) as usize } else { 1 };
    let found = matcher.find_all(&call.text(0)[at..], wanted)?;
    let whole = found.get(wanted - 1).and_then(|groups| groups[0]);
    Ok(whole.map(|(start, end)| (start + at, end + at)))
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
    let matcher = compile(call)?;
    let wanted = if has_integer(call, 4) { call.int(4).max(0) as usize } else { 0 };
    let mut out = text[..at].to_owned();
    let mut done = at;
    let most = if wanted == 0 { usize::MAX } else { wanted };
    for (number, groups) in matcher.find_all(&text[at..], most)?.iter().enumerate() {
        let Some((start, end)) = groups[0] else { continue };
        if wanted != 0 && number + 1 != wanted {
            continue;
        }
        out.push_str(&text[done..at + start]);
        expand(groups, &text[at..], call.text(2), &mut out);
        done = at + end;
    }
    out.push_str(&text[done..]);
    Ok(Value::Text(out))
}

/// `$n` is the n-th group, `\x` is x.
fn expand(groups: &[Option<(usize, usize)>], text: &str, template: &str, out: &mut String) {
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '$' => {
                let digit = chars.peek().and_then(|next| next.to_digit(10));
                match digit {
                    Some(digit) => {
                        chars.next();
                        let group = groups.get(digit as usize).copied().flatten();
                        out.push_str(group.map_or("", |(start, end)| &text[start..end]));
                    }
                    None => out.push('$'),
                }
            }
            other => out.push(other),
        }
    }
}
