//! Questions to the server, and what it says of bytes, times, passwords and statements.
//!
//! Not here: who is asking (`information`).

use aws_lc_rs::digest::{self, SHA256};

use super::{Bound, Call, Eval, Function, bound, per_row, per_statement, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, ExprKind, build, coercibility};
use crate::lexer::digest::statement_digest;
use crate::parser::parse_statement;
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};
use base::limits::BENCHMARK_LOOPS_MAX;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    per_statement("current_role", 0, 0, |args, _| {
        // No role is ever active: accounts have their privileges themselves.
        system_text(64, args, |_| Ok(Value::text("NONE")))
    }),
    per_statement("roles_graphml", 0, 0, |args, _| {
        system_text(64, args, |_| Ok(Value::text("<graphml />")))
    }),
    per_statement("icu_version", 0, 0, |args, _| {
        // Of the syntax of regular expressions, which is ICU's as MySQL 8.4 has it; the engine is our own.
        system_text(16, args, |_| Ok(Value::text("73.1")))
    }),
    per_statement("load_file", 1, 1, |args, ctx| {
        // secure_file_priv is NULL: no file of the server is read.
        let args = args.into_iter().map(|arg| build::as_string(arg, ctx)).collect();
        Ok(bound(SqlType::longtext(CollationId::BINARY), args, |_| Ok(Value::Null)))
    }),
    per_statement("ps_current_thread_id", 0, 0, |args, _| {
        let ty = SqlType::bigint().unsigned();
        Ok(bound(ty, args, |call| Ok(Value::UInt(call.ctx.connection_id))))
    }),
    per_statement("ps_thread_id", 1, 1, |mut args, ctx| {
        let arg = build::as_integer(args.swap_remove(0), ctx);
        Ok(bound(SqlType::bigint().unsigned(), vec![arg], |call| {
            // Threads have their connections' numbers; of others' this node need not know.
            let own = !call.any_null() && call.bits(0) == call.ctx.connection_id;
            Ok(if own { Value::UInt(call.bits(0)) } else { Value::Null })
        }))
    }),
    pure("format_bytes", 1, 1, |args, ctx| of_double(args, ctx, |call| scaled(call, BYTES))),
    pure("format_pico_time", 1, 1, |args, ctx| of_double(args, ctx, |call| scaled(call, TIMES))),
    per_row("benchmark", 2, 2, |mut args, ctx| {
        args[0] = build::as_integer(args[0].clone(), ctx);
        if args[1].any(&|expr| matches!(expr.kind, ExprKind::Column(_))) {
            return Err(Error::not_supported("BENCHMARK() of columns: give it constants"));
        }
        Ok(bound(SqlType::bigint_width(1), args, benchmark))
    }),
    pure("name_const", 2, 2, |mut args, _| {
        if args.iter().any(|arg| arg.as_literal().is_none()) {
            return Err(Error::wrong_arguments("NAME_CONST"));
        }
        let value = args.remove(1);
        let (ty, firmness) = (value.ty, value.coercibility);
        let bound = bound(ty, vec![value], |call| Ok(call.args[0].clone()));
        Ok(Bound { coercibility: Some(firmness), ..bound })
    }),
    per_statement("statement_digest_text", 1, 1, |args, ctx| {
        of_text(SqlType::longtext(build::text_collation(ctx)), args, ctx, |call| {
            Ok(digest_text(call)?.map_or(Value::Null, Value::Text))
        })
    }),
    per_statement("statement_digest", 1, 1, |args, ctx| {
        of_text(SqlType::varchar(64, build::text_collation(ctx)), args, ctx, |call| {
            let Some(text) = digest_text(call)? else { return Ok(Value::Null) };
            let hash = digest::digest(&SHA256, text.as_bytes());
            let mut digits = super::encoding::hex_text(hash.as_ref());
            digits.make_ascii_lowercase();
            Ok(call.string(digits))
        })
    }),
    pure("validate_password_strength", 1, 1, |args, ctx| {
        of_text(SqlType::bigint_width(10), args, ctx, |call| {
            Ok(if call.any_null() { Value::Null } else { Value::Int(strength(call.text(0))) })
        })
    }),
];

/// Text that the system makes: firmer than a literal, weaker than a column.
fn system_text(length: u32, args: Vec<Expr>, eval: Eval) -> Result<Bound> {
    let ty = SqlType::varchar(length, CollationId::DEFAULT);
    Ok(Bound { coercibility: Some(coercibility::SYSTEM), ..bound(ty, args, eval) })
}

fn of_double(args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let args = args.into_iter().map(|arg| build::as_double(arg, ctx)).collect();
    Ok(bound(SqlType::varchar(32, build::text_collation(ctx)), args, eval))
}

/// The arguments as text, whatever they are.
fn of_text(ty: SqlType, args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let mut cast = Vec::with_capacity(args.len());
    for arg in args {
        let arg = build::as_string(arg, ctx);
        cast.push(if arg.ty.is_bytes() { build::convert_using(arg, "utf8mb4", ctx)? } else { arg });
    }
    Ok(bound(ty, cast, eval))
}

/// Units, the largest first; the last one is whole.
type Units = &'static [(f64, &'static str)];

const KIB: f64 = 1024.0;
const BYTES: Units = &[
    (KIB * KIB * KIB * KIB * KIB * KIB, "EiB"),
    (KIB * KIB * KIB * KIB * KIB, "PiB"),
    (KIB * KIB * KIB * KIB, "TiB"),
    (KIB * KIB * KIB, "GiB"),
    (KIB * KIB, "MiB"),
    (KIB, "KiB"),
    (1.0, "bytes"),
];

const SECOND: f64 = 1e12;
const TIMES: Units = &[
    (SECOND * 86_400.0, "d"),
    (SECOND * 3_600.0, "h"),
    (SECOND * 60.0, "min"),
    (SECOND, "s"),
    (1e9, "ms"),
    (1e6, "us"),
    (1e3, "ns"),
    (1.0, "ps"),
];

/// A number with the largest unit that is not more than it.
fn scaled(call: &Call<'_>, units: Units) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let number = call.double(0);
    let largest = units.iter().find(|(size, _)| *size > 1.0 && number.abs() >= *size);
    let text = match largest {
        Some((size, unit)) if (number / size).abs() >= 100_000.0 => {
            format!("{} {unit}", scientific(number / size, 2))
        }
        Some((size, unit)) => format!("{:.2} {unit}", number / size),
        // MySQL gives bytes four places and picoseconds three.
        None if units.len() == BYTES.len() => format!("{:4} bytes", number as i64),
        None => format!("{:3} ps", number as i64),
    };
    Ok(call.string(text.into_bytes()))
}

/// `%.2e` of C, or with other digits: two of the exponent at least.
pub(super) fn scientific(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// BENCHMARK(count, expression): 0, after as many evaluations.
fn benchmark(call: &Call<'_>) -> Result<Value> {
    if call.args[0].is_null() || call.int(0) < 0 {
        return Ok(Value::Null);
    }
    if call.bits(0) > BENCHMARK_LOOPS_MAX {
        return Err(Error::not_supported(format!(
            "BENCHMARK() of more than {BENCHMARK_LOOPS_MAX} rounds: measure from a client"
        )));
    }
    for _ in 0..call.bits(0) {
        call.ctx.check_cancel()?;
        call.exprs[1].eval(&[], call.ctx)?;
    }
    Ok(Value::Int(0))
}

/// The text of a statement without its literals: 3676 when it is none.
fn digest_text(call: &Call<'_>) -> Result<Option<String>> {
    if call.any_null() {
        return Ok(None);
    }
    let (text, mode) = (call.text(0), call.ctx.sql_mode.parse_mode());
    parse_statement(text, &mode).map_err(|error| Error::undigestible(error.message))?;
    Ok(statement_digest(text, &mode))
}

/// Fewest characters of a password that is one, and of a good one.
const PASSWORD_CHARS_MIN: usize = 4;
const PASSWORD_CHARS_GOOD: usize = 8;

/// How good a password is by the defaults of MySQL's `validate_password`: 0, 25, 50 (long enough) or 100 (has all kinds of
/// characters; there is no dictionary that could leave it at 75).
fn strength(password: &str) -> i64 {
    let has = |kind: fn(char) -> bool| password.chars().any(kind);
    let mixed = has(char::is_lowercase) && has(char::is_uppercase);
    let all_kinds = mixed && has(|c| c.is_ascii_digit()) && has(|c| !c.is_alphanumeric());
    match password.chars().count() {
        0..PASSWORD_CHARS_MIN => 0,
        PASSWORD_CHARS_MIN..PASSWORD_CHARS_GOOD => 25,
        _ if all_kinds => 100,
        _ => 50,
    }
}
