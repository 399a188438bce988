//! Dates and times: now, and their parts.

use super::{Bound, Call, Eval, Function, any_nullable, bound, per_row, per_statement, pure};
use crate::context::EvalContext;
use crate::expr::{CastMode, Expr, build};
use crate::types::datetime::{Date, DateTime, SECOND, TimeZone, days_in_month};
use crate::types::{SqlType, TypeKind, convert};
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    per_statement("now", 0, 1, |args, ctx| moment(args, ctx, now)),
    per_statement("current_timestamp", 0, 1, |args, ctx| moment(args, ctx, now)),
    per_statement("localtime", 0, 1, |args, ctx| moment(args, ctx, now)),
    per_statement("localtimestamp", 0, 1, |args, ctx| moment(args, ctx, now)),
    per_statement("utc_timestamp", 0, 1, |args, ctx| moment(args, ctx, utc_now)),
    per_row("sysdate", 0, 1, |args, ctx| moment(args, ctx, sysdate)),
    per_statement("curdate", 0, 0, |args, _| {
        today(args, |call| Ok(Value::Date(call.ctx.now().date())))
    }),
    per_statement("current_date", 0, 0, |args, _| {
        today(args, |call| Ok(Value::Date(call.ctx.now().date())))
    }),
    per_statement("utc_date", 0, 0, |args, _| {
        today(args, |call| Ok(Value::Date(in_utc(call).date())))
    }),
    per_statement("curtime", 0, 1, |args, ctx| clock(args, ctx, |call| time_of(call, now))),
    per_statement("current_time", 0, 1, |args, ctx| clock(args, ctx, |call| time_of(call, now))),
    per_statement("utc_time", 0, 1, |args, ctx| clock(args, ctx, |call| time_of(call, utc_now))),
    pure("date", 1, 1, |mut args, ctx| {
        let arg = day_argument(args.swap_remove(0), ctx);
        Ok(bound(SqlType::date(), vec![arg], |call| {
            Ok(convert::date_of(&call.args[0]).map_or(Value::Null, Value::Date))
        }))
    }),
    pure("time", 1, 1, |mut args, ctx| {
        let arg = time_argument(args.swap_remove(0), ctx);
        let ty = SqlType::time(arg.ty.decimals.min(6));
        Ok(bound(ty, vec![arg], |call| Ok(call.args[0].clone())))
    }),
    pure("year", 1, 1, |args, ctx| {
        part(args, ctx, 4, |call| of_date(call, |d| Some(d.year().into())))
    }),
    pure("month", 1, 1, |args, ctx| part(args, ctx, 2, |c| of_date(c, |d| Some(d.month().into())))),
    pure("day", 1, 1, |args, ctx| part(args, ctx, 2, |c| of_date(c, |d| Some(d.day().into())))),
    pure("dayofmonth", 1, 1, |args, ctx| {
        part(args, ctx, 2, |c| of_date(c, |d| Some(d.day().into())))
    }),
    pure("quarter", 1, 1, |args, ctx| {
        part(args, ctx, 1, |c| of_date(c, |d| Some(d.month().div_ceil(3).into())))
    }),
    pure("dayofweek", 1, 1, |args, ctx| {
        part(args, ctx, 1, |c| of_real_date(c, |d| i64::from((d.weekday() + 1) % 7 + 1)))
    }),
    pure("weekday", 1, 1, |args, ctx| {
        part(args, ctx, 1, |c| of_real_date(c, |d| i64::from(d.weekday())))
    }),
    pure("dayofyear", 1, 1, |args, ctx| part(args, ctx, 3, |c| of_real_date(c, Date::day_of_year))),
    pure("week", 1, 2, |args, ctx| part(args, ctx, 2, |c| weeks(c, false))),
    pure("yearweek", 1, 2, |args, ctx| part(args, ctx, 6, |c| weeks(c, true))),
    pure("weekofyear", 1, 1, |args, ctx| {
        part(args, ctx, 2, |c| of_real_date(c, |d| week_of(d, 3).1))
    }),
    pure("to_days", 1, 1, |args, ctx| part(args, ctx, 8, |c| of_real_date(c, Date::to_days))),
    pure("to_seconds", 1, 1, |mut args, ctx| {
        let arg = moment_argument(args.swap_remove(0), ctx);
        Ok(bound(SqlType::bigint(), vec![arg], |call| {
            Ok(moment_value(&call.args[0])
                .map_or(Value::Null, |m| Value::Int(m.to_micros() / SECOND)))
        }))
    }),
    pure("last_day", 1, 1, |mut args, ctx| {
        let arg = day_argument(args.swap_remove(0), ctx);
        Ok(bound(SqlType::date(), vec![arg], last_day))
    }),
    pure("hour", 1, 1, time_part),
    pure("minute", 1, 1, time_part),
    pure("second", 1, 1, time_part),
    pure("microsecond", 1, 1, time_part),
    pure("time_to_sec", 1, 1, |mut args, ctx| {
        let arg = time_argument(args.swap_remove(0), ctx);
        Ok(bound(SqlType::bigint_width(10), vec![arg], |call| {
            Ok(match &call.args[0] {
                Value::Time(time) => Value::Int(time.micros() / SECOND),
                _ => Value::Null,
            })
        }))
    }),
    per_statement("from utc", 1, 1, |args, _| stored(args, from_utc)),
    per_statement("to utc", 1, 1, |args, _| stored(args, to_utc)),
];

/// Fraction digits that a constant argument asks for; 1426 above six.
fn fraction(args: &[Expr], name: &str) -> Result<u8> {
    let Some(digits) = args.first() else { return Ok(0) };
    let digits = digits.as_literal().and_then(Value::as_integer).unwrap_or(0);
    match u8::try_from(digits) {
        Ok(digits) if digits <= 6 => Ok(digits),
        _ => Err(Error::too_big_precision(digits, name, 6)),
    }
}

fn moment(args: Vec<Expr>, _: &EvalContext, eval: Eval) -> Result<Bound> {
    let digits = fraction(&args, "now")?;
    Ok(bound(SqlType::datetime(digits).not_null(), args, eval))
}

fn clock(args: Vec<Expr>, _: &EvalContext, eval: Eval) -> Result<Bound> {
    let digits = fraction(&args, "curtime")?;
    Ok(bound(SqlType::time(digits).not_null(), args, eval))
}

fn today(args: Vec<Expr>, eval: Eval) -> Result<Bound> {
    Ok(bound(SqlType::date().not_null(), args, eval))
}

fn cut(call: &Call<'_>, moment: DateTime) -> Value {
    moment.round(call.ty.decimals, true).map_or(Value::Null, Value::DateTime)
}

fn now(call: &Call<'_>) -> Result<Value> {
    Ok(cut(call, call.ctx.now()))
}

fn in_utc(call: &Call<'_>) -> DateTime {
    TimeZone::UTC.from_unix_micros(call.ctx.now_unix_micros as i64)
}

fn utc_now(call: &Call<'_>) -> Result<Value> {
    Ok(cut(call, in_utc(call)))
}

fn sysdate(call: &Call<'_>) -> Result<Value> {
    let micros = call.ctx.clock.unix_micros() as i64;
    Ok(cut(call, call.ctx.time_zone.from_unix_micros(micros)))
}

fn time_of(call: &Call<'_>, moment: Eval) -> Result<Value> {
    Ok(match moment(call)? {
        Value::DateTime(moment) => Value::Time(moment.time()),
        other => other,
    })
}

/// An argument of which only the day counts.
pub(super) fn day_argument(arg: Expr, ctx: &EvalContext) -> Expr {
    if matches!(arg.ty.kind, TypeKind::Date | TypeKind::DateTime | TypeKind::Timestamp) {
        return arg;
    }
    build::cast_in(arg, SqlType::date(), CastMode::Part, ctx)
}

/// An argument that is a day and time.
pub(super) fn moment_argument(arg: Expr, ctx: &EvalContext) -> Expr {
    if matches!(arg.ty.kind, TypeKind::Date | TypeKind::DateTime | TypeKind::Timestamp) {
        return arg;
    }
    let digits = constant_fraction(&arg);
    build::cast_in(arg, SqlType::datetime(digits), CastMode::Part, ctx)
}

/// An argument that is a duration or a time of day.
pub(super) fn time_argument(arg: Expr, ctx: &EvalContext) -> Expr {
    if arg.ty.kind == TypeKind::Time {
        return arg;
    }
    let digits = constant_fraction(&arg);
    build::cast_in(arg, SqlType::time(digits), CastMode::Part, ctx)
}

/// Fraction digits an argument has: of its type, of a constant text, else all six.
pub(super) fn constant_fraction(arg: &Expr) -> u8 {
    if arg.ty.is_temporal() {
        return arg.ty.decimals;
    }
    if arg.ty.is_integer() || arg.ty.kind == TypeKind::Null {
        return 0;
    }
    if arg.ty.kind == TypeKind::Decimal {
        return arg.ty.decimals.min(6);
    }
    match arg.as_literal().and_then(Value::as_text) {
        Some(text) => match text.rsplit_once('.') {
            Some((_, digits)) => digits.bytes().take_while(u8::is_ascii_digit).count().min(6) as u8,
            None => 0,
        },
        None => 6,
    }
}

/// The moment of a value that is one.
pub(super) fn moment_value(value: &Value) -> Option<DateTime> {
    match value {
        Value::Date(date) => Some(date.midnight()),
        Value::DateTime(moment) => Some(*moment),
        _ => None,
    }
}

fn part(mut args: Vec<Expr>, ctx: &EvalContext, width: u32, eval: Eval) -> Result<Bound> {
    args[0] = day_argument(args[0].clone(), ctx);
    if let Some(mode) = args.get(1).cloned() {
        args[1] = build::as_integer(mode, ctx);
    }
    Ok(bound(SqlType::bigint_width(width), args, eval))
}

fn of_date(call: &Call<'_>, f: impl Fn(Date) -> Option<i64>) -> Result<Value> {
    let number = convert::date_of(&call.args[0]).and_then(f);
    Ok(number.map_or(Value::Null, Value::Int))
}

/// Of days that a calendar has; NULL for others.
fn of_real_date(call: &Call<'_>, f: impl Fn(Date) -> i64) -> Result<Value> {
    let real = convert::date_of(&call.args[0]).filter(|date| !date.has_zero_part());
    Ok(real.map_or(Value::Null, |date| Value::Int(f(date))))
}

/// A part of a time; the call's name says which.
fn time_part(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = time_argument(args.swap_remove(0), ctx);
    Ok(bound(SqlType::bigint_width(6), vec![arg], |call| {
        let Value::Time(time) = &call.args[0] else { return Ok(Value::Null) };
        let number = match call.name {
            "hour" => time.hours(),
            "minute" => time.minutes(),
            "second" => time.seconds(),
            _ => time.micro(),
        };
        Ok(Value::Int(i64::from(number)))
    }))
}

fn last_day(call: &Call<'_>) -> Result<Value> {
    let real = convert::date_of(&call.args[0]).filter(|date| date.month() > 0);
    Ok(real.map_or(Value::Null, |date| {
        let last = days_in_month(date.year(), date.month());
        Value::Date(Date::new(date.year(), date.month(), last))
    }))
}

/// Weeks begin on Monday.
const MONDAY_FIRST: i64 = 1;
/// The week belongs to the year that holds most of it, so week 0 never occurs.
const WEEK_YEAR: i64 = 2;
/// Week 1 is the first that begins in the year; else the first with four or more days in it.
const FIRST_WEEKDAY: i64 = 4;

/// Year and week of a day, for a mode of WEEK().
pub(super) fn week_of(date: Date, mode: i64) -> (i64, i64) {
    let mode = if mode & MONDAY_FIRST == 0 { (mode & 7) ^ FIRST_WEEKDAY } else { mode & 7 };
    let monday_first = mode & MONDAY_FIRST != 0;
    let first_weekday = mode & FIRST_WEEKDAY != 0;
    let mut week_year = mode & WEEK_YEAR != 0;
    let mut year = i64::from(date.year());
    let day = date.to_days();
    let mut first_day = Date::new(date.year(), 1, 1).to_days();
    let mut weekday = (first_day + 5 + i64::from(!monday_first)) % 7;
    let year_days = |year: i64| {
        if year >= 0 && crate::types::datetime::is_leap(year as u32) { 366 } else { 365 }
    };
    // Whether week 1 begins behind the week that holds January 1st.
    let starts_later =
        |weekday: i64| (first_weekday && weekday != 0) || (!first_weekday && weekday >= 4);
    if date.month() == 1 && i64::from(date.day()) <= 7 - weekday {
        if !week_year && starts_later(weekday) {
            return (year, 0);
        }
        week_year = true;
        year -= 1;
        let days = year_days(year);
        first_day -= days;
        weekday = (weekday + 53 * 7 - days) % 7;
    }
    let days = if starts_later(weekday) {
        day - (first_day + (7 - weekday))
    } else {
        day - (first_day - weekday)
    };
    if week_year && days >= 52 * 7 {
        weekday = (weekday + year_days(year)) % 7;
        if !starts_later(weekday) {
            return (year + 1, 1);
        }
    }
    (year, days / 7 + 1)
}

fn weeks(call: &Call<'_>, with_year: bool) -> Result<Value> {
    let mode = match call.args.len() {
        0 | 1 if with_year => 0,
        0 | 1 => i64::from(call.ctx.default_week_format),
        _ => call.int(1),
    };
    if call.any_null() {
        return Ok(Value::Null);
    }
    of_real_date(call, |date| {
        if with_year {
            let (year, week) = week_of(date, mode | WEEK_YEAR);
            year * 100 + week
        } else {
            week_of(date, mode).1
        }
    })
}

fn stored(args: Vec<Expr>, eval: Eval) -> Result<Bound> {
    let ty = args[0].ty.with_nullable(any_nullable(&args));
    Ok(bound(ty, args, eval))
}

/// A stored TIMESTAMP in the session's time zone.
pub(crate) fn from_utc(call: &Call<'_>) -> Result<Value> {
    Ok(match &call.args[0] {
        Value::DateTime(moment) => Value::DateTime(call.ctx.time_zone.from_utc(*moment)),
        other => other.clone(),
    })
}

/// A moment of the session's time zone as a TIMESTAMP stores it.
pub(crate) fn to_utc(call: &Call<'_>) -> Result<Value> {
    Ok(match &call.args[0] {
        Value::DateTime(moment) => {
            call.ctx.time_zone.to_utc(*moment).map_or(Value::Null, Value::DateTime)
        }
        other => other.clone(),
    })
}
