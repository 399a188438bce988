//! Who, where and what: VERSION, DATABASE, USER, LAST_INSERT_ID, CHARSET …

use std::sync::atomic::Ordering;

use super::{Bound, Eval, Function, bound, per_row, per_statement, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build, coercibility};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    per_statement("version", 0, 0, |args, _| {
        system_text(args, 64, |call| Ok(Value::text(&call.ctx.version)))
    }),
    per_statement("database", 0, 0, |args, _| system_text(args, 64, database)),
    per_statement("schema", 0, 0, |args, _| system_text(args, 64, database)),
    per_statement("user", 0, 0, |args, _| system_text(args, 288, user)),
    per_statement("session_user", 0, 0, |args, _| system_text(args, 288, user)),
    per_statement("system_user", 0, 0, |args, _| system_text(args, 288, user)),
    per_statement("current_user", 0, 0, |args, _| {
        system_text(args, 288, |call| Ok(Value::text(&call.ctx.current_user)))
    }),
    per_statement("connection_id", 0, 0, |args, _| {
        let ty = SqlType::bigint_width(10).unsigned().not_null();
        Ok(bound(ty, args, |call| Ok(Value::UInt(call.ctx.connection_id))))
    }),
    per_row("last_insert_id", 0, 1, |args, ctx| {
        let args = args.into_iter().map(|arg| build::as_integer(arg, ctx)).collect();
        Ok(bound(SqlType::bigint_width(21).unsigned(), args, last_insert_id))
    }),
    per_statement("found_rows", 0, 0, |args, _| {
        let ty = SqlType::bigint_width(21).not_null();
        Ok(bound(ty, args, |call| {
            Ok(Value::Int(i64::try_from(call.ctx.found_rows).unwrap_or(i64::MAX)))
        }))
    }),
    per_statement("row_count", 0, 0, |args, _| {
        let ty = SqlType::bigint_width(21).not_null();
        Ok(bound(ty, args, |call| Ok(Value::Int(call.ctx.row_count))))
    }),
    pure("charset", 1, 1, |args, _| {
        system_text(args, 64, |call| Ok(Value::text(call.exprs[0].ty.collation.charset())))
    }),
    pure("collation", 1, 1, |args, _| {
        system_text(args, 64, |call| Ok(Value::text(call.exprs[0].ty.collation.name())))
    }),
    pure("coercibility", 1, 1, |args, _| {
        let ty = SqlType::bigint_width(10).not_null();
        Ok(bound(ty, args, |call| Ok(Value::Int(i64::from(call.exprs[0].coercibility)))))
    }),
    per_row("get_lock", 2, 2, user_lock),
    per_row("release_lock", 1, 1, user_lock),
    per_row("release_all_locks", 0, 0, user_lock),
    per_row("is_free_lock", 1, 1, user_lock),
    per_row("is_used_lock", 1, 1, user_lock),
    per_row("gtid", 0, 0, token),
    per_row("gtid_state", 1, 1, token),
    per_row("nextval", 0, 0, sequence),
    per_row("sleep", 1, 1, sleep),
];

/// Run before the statement where it may stand (`session::user_locks`); an error anywhere else.
fn user_lock(args: Vec<Expr>, _: &EvalContext) -> Result<Bound> {
    let ty = SqlType::bigint_width(1);
    Ok(bound(ty, args, |_| {
        Err(Error::not_supported(
            "GET_LOCK and its family in a query of tables: use SELECT without FROM, DO or SET",
        ))
    }))
}

/// Stands for NEXTVAL and its family, which are run before the statement where they may stand (`session::sequences`); an
/// error anywhere else.
fn sequence(args: Vec<Expr>, _: &EvalContext) -> Result<Bound> {
    Ok(bound(SqlType::bigint(), args, |_| {
        Err(Error::not_supported(
            "NEXTVAL and its family here: use INSERT … VALUES, a column's DEFAULT (NEXTVAL(…)), SELECT without FROM, DO or SET",
        ))
    }))
}

/// Shorter times are no time for SLEEP, as in MySQL.
pub(crate) const SLEEP_SECONDS_MIN: f64 = 0.000_01;

/// Run before the statement where it may wait (`session::sleep`); elsewhere an error, unless there is nothing to wait for.
fn sleep(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let ty = SqlType::bigint_width(21).not_null();
    let args = args.into_iter().map(|arg| build::as_double(arg, ctx)).collect();
    Ok(bound(ty, args, |call| match &call.args[0] {
        Value::Double(seconds) if *seconds >= 0.0 => match *seconds < SLEEP_SECONDS_MIN {
            true => Ok(Value::Int(0)),
            false => Err(Error::not_supported(
                "SLEEP() within an expression or for rows: use SELECT SLEEP(n), DO SLEEP(n) or SET @x = SLEEP(n)",
            )),
        },
        _ if call.ctx.sql_mode.is_strict() => Err(Error::wrong_arguments("sleep.")),
        _ => {
            call.ctx.warn(Error::wrong_arguments("sleep."));
            Ok(Value::Int(0))
        }
    }))
}

/// Run before the statement where it may stand (`session::token`); an error anywhere else.
fn token(args: Vec<Expr>, _: &EvalContext) -> Result<Bound> {
    let ty = SqlType::varchar(64, CollationId::DEFAULT);
    Ok(bound(ty, args, |_| {
        Err(Error::not_supported(
            "GTID() and GTID_STATE() in a query of tables: use SELECT without FROM, DO or SET",
        ))
    }))
}

/// Text that the system makes: firmer than a literal, weaker than a column.
fn system_text(args: Vec<Expr>, length: u32, eval: Eval) -> Result<Bound> {
    let ty = SqlType::varchar(length, CollationId::DEFAULT);
    Ok(Bound { coercibility: Some(coercibility::SYSTEM), ..bound(ty, args, eval) })
}

fn database(call: &super::Call<'_>) -> Result<Value> {
    Ok(call.ctx.database.as_ref().map_or(Value::Null, Value::text))
}

fn user(call: &super::Call<'_>) -> Result<Value> {
    Ok(Value::text(&call.ctx.user))
}

fn last_insert_id(call: &super::Call<'_>) -> Result<Value> {
    if call.args.is_empty() {
        return Ok(Value::UInt(call.ctx.last_insert_id));
    }
    if call.any_null() {
        call.ctx.last_insert_id_set.store(0, Ordering::Relaxed);
        return Ok(Value::Null);
    }
    call.ctx.last_insert_id_set.store(call.bits(0), Ordering::Relaxed);
    Ok(Value::UInt(call.bits(0)))
}
