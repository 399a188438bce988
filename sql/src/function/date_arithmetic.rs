//! Dates and times: intervals, differences, and dates made of numbers.

use super::date::{day_argument, moment_argument, moment_value, time_argument};
use super::{Bound, Call, Eval, Function, bound, per_statement, pure};
use crate::ast::IntervalUnit;
use crate::context::{EvalContext, SqlMode};
use crate::expr::{Expr, build};
use crate::types::datetime::{
    DAY, DAYS_MAX, Date, DateTime, SECOND, Time, TimeZone, UNIX_SECONDS_MAX, days_in_month, parse,
};
use crate::types::{SqlType, TypeKind, convert};
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    per_statement("+ interval", 3, 3, |args, ctx| interval(args, ctx, |call| add(call, 1))),
    per_statement("- interval", 3, 3, |args, ctx| interval(args, ctx, |call| add(call, -1))),
    // ADDDATE(date, days) and SUBDATE(date, days).
    per_statement("adddate", 2, 2, |args, ctx| days(args, ctx, |call| add(call, 1))),
    per_statement("subdate", 2, 2, |args, ctx| days(args, ctx, |call| add(call, -1))),
    pure("extract", 2, 2, extract),
    pure("timestampdiff", 3, 3, timestamp_diff),
    pure("datediff", 2, 2, datediff),
    per_statement("timediff", 2, 2, timediff),
    per_statement("addtime", 2, 2, |args, ctx| add_time(args, ctx, |call| shift(call, 1))),
    per_statement("subtime", 2, 2, |args, ctx| add_time(args, ctx, |call| shift(call, -1))),
    per_statement("timestamp", 1, 2, timestamp),
    pure("from_days", 1, 1, |mut args, ctx| {
        let arg = build::as_integer(args.swap_remove(0), ctx);
        Ok(bound(SqlType::date(), vec![arg], |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            Ok(Value::Date(Date::from_days(call.int(0))))
        }))
    }),
    pure("makedate", 2, 2, |args, ctx| {
        let args = args.into_iter().map(|arg| build::as_integer(arg, ctx)).collect();
        Ok(bound(SqlType::date(), args, makedate))
    }),
    pure("maketime", 3, 3, maketime),
    pure("sec_to_time", 1, 1, sec_to_time),
    pure("convert_tz", 3, 3, convert_tz),
    pure("period_add", 2, 2, |args, ctx| {
        let args = args.into_iter().map(|arg| build::as_integer(arg, ctx)).collect();
        Ok(bound(SqlType::bigint_width(6), args, period_add))
    }),
    pure("period_diff", 2, 2, |args, ctx| {
        let args = args.into_iter().map(|arg| build::as_integer(arg, ctx)).collect();
        Ok(bound(SqlType::bigint_width(6), args, period_diff))
    }),
];

/// The unit in an operand that `build` put there.
fn unit_of(value: Option<&Value>) -> IntervalUnit {
    match value {
        Some(Value::Int(position)) => usize::try_from(*position)
            .ok()
            .and_then(|position| IntervalUnit::ALL.get(position))
            .map_or(IntervalUnit::Day, |(unit, _)| *unit),
        _ => IntervalUnit::Day,
    }
}

fn has_micro(unit: IntervalUnit) -> bool {
    use IntervalUnit::*;
    matches!(
        unit,
        Microsecond | SecondMicrosecond | MinuteMicrosecond | HourMicrosecond | DayMicrosecond
    )
}

fn has_time(unit: IntervalUnit) -> bool {
    use IntervalUnit::*;
    !matches!(unit, Day | Week | Month | Quarter | Year | YearMonth)
}

fn has_days(unit: IntervalUnit) -> bool {
    use IntervalUnit::*;
    matches!(
        unit,
        Day | Week
            | Month
            | Quarter
            | Year
            | YearMonth
            | DayHour
            | DayMinute
            | DaySecond
            | DayMicrosecond
    )
}

/// An interval: months, and days and time together in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Interval {
    months: i64,
    micros: i64,
    /// Whole days, kept apart because they are added to dates without a time.
    days: i64,
}

impl Interval {
    fn times(self, sign: i64) -> Interval {
        Interval { months: self.months * sign, micros: self.micros * sign, days: self.days * sign }
    }
}

/// Numbers beyond this give NULL in any unit: they leave the years 0 to 9999 anyway, and no product
/// below overflows.
const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// The interval of an amount; `None` when it is too large or unreadable.
fn read_interval(amount: &Value, unit: IntervalUnit) -> Option<Interval> {
    use IntervalUnit::*;
    let number = match amount {
        Value::Int(number) => *number,
        Value::UInt(number) => i64::try_from(*number).ok()?,
        Value::Decimal(number) => {
            // Only seconds come as decimals.
            let micros = number.rescale(6)?.unscaled().to_i128()?;
            return Some(Interval { micros: i64::try_from(micros).ok()?, ..Interval::default() });
        }
        other => return read_compound(other.as_text()?, unit),
    };
    let micros = |per_unit: i64| {
        number.checked_mul(per_unit).map(|micros| Interval { micros, ..Interval::default() })
    };
    if number.abs() > AMOUNT_MAX && unit != Microsecond {
        return None;
    }
    match unit {
        Microsecond => micros(1),
        Second => micros(SECOND),
        Minute => micros(60 * SECOND),
        Hour => number
            .checked_mul(3600)?
            .checked_mul(SECOND)
            .map(|micros| Interval { micros, ..Interval::default() }),
        Day => Some(Interval { days: number, ..Interval::default() }),
        Week => Some(Interval { days: number * 7, ..Interval::default() }),
        Month => Some(Interval { months: number, ..Interval::default() }),
        Quarter => Some(Interval { months: number * 3, ..Interval::default() }),
        Year => Some(Interval { months: number * 12, ..Interval::default() }),
        _ => None,
    }
}

/// `'1:30'` for MINUTE_SECOND and the like: groups of digits with anything between them. Missing
/// groups are the larger units; a leading minus turns all of it.
fn read_compound(text: &str, unit: IntervalUnit) -> Option<Interval> {
    use IntervalUnit::*;
    let negative = text.trim_start().starts_with('-');
    let mut groups: Vec<(i64, usize)> = Vec::new();
    let mut rest = text.as_bytes();
    while let Some(start) = rest.iter().position(u8::is_ascii_digit) {
        let digits = rest[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        let number = rest[start..start + digits]
            .iter()
            .fold(0_i64, |n, b| (n * 10 + i64::from(b - b'0')).min(AMOUNT_MAX));
        groups.push((number, digits));
        rest = &rest[start + digits..];
    }
    let factors: &[i64] = match unit {
        SecondMicrosecond => &[SECOND, 1],
        MinuteMicrosecond => &[60 * SECOND, SECOND, 1],
        MinuteSecond => &[60 * SECOND, SECOND],
        HourMicrosecond => &[3600 * SECOND, 60 * SECOND, SECOND, 1],
        HourSecond => &[3600 * SECOND, 60 * SECOND, SECOND],
        HourMinute => &[3600 * SECOND, 60 * SECOND],
        DayMicrosecond => &[DAY, 3600 * SECOND, 60 * SECOND, SECOND, 1],
        DaySecond => &[DAY, 3600 * SECOND, 60 * SECOND, SECOND],
        DayMinute => &[DAY, 3600 * SECOND, 60 * SECOND],
        DayHour => &[DAY, 3600 * SECOND],
        YearMonth => &[12, 1],
        _ => return None,
    };
    if groups.len() > factors.len() {
        return None;
    }
    if has_micro(unit)
        && let Some((number, digits)) = groups.last_mut()
        && *digits < 6
    {
        // The last group is a fraction: '1.5' is 500000 microseconds.
        *number *= 10_i64.pow(6 - *digits as u32);
    }
    let used = &factors[factors.len() - groups.len()..];
    let mut total = 0_i64;
    for ((number, _), factor) in groups.iter().zip(used) {
        total = total.checked_add(number.checked_mul(*factor)?)?;
    }
    let total = if negative { -total } else { total };
    Some(if unit == YearMonth {
        Interval { months: total, ..Interval::default() }
    } else {
        Interval { micros: total, ..Interval::default() }
    })
}

/// The type of `operand ± INTERVAL`, and the operand cast for it.
fn interval(mut args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let unit = unit_of(args[2].as_literal());
    let amount = &args[1].ty;
    let digits = if has_micro(unit) {
        6
    } else if unit == IntervalUnit::Second {
        amount.scale().min(6)
    } else {
        0
    };
    let operand = args[0].clone();
    let ty = match operand.ty.kind {
        TypeKind::Date if !has_time(unit) => SqlType::date(),
        TypeKind::Date => SqlType::datetime(digits),
        TypeKind::Time if !has_days(unit) => SqlType::time(operand.ty.decimals.max(digits)),
        TypeKind::Time => SqlType::datetime(operand.ty.decimals.max(digits)),
        TypeKind::DateTime | TypeKind::Timestamp => {
            SqlType::datetime(operand.ty.decimals.max(digits))
        }
        // A text stays a text: with a time only when one is needed to show the result.
        _ => SqlType::varchar(29, build::text_collation(ctx)),
    };
    if operand.ty.kind == TypeKind::Time && ty.is_datetime() {
        args[0] = build::cast_in(
            operand,
            SqlType::datetime(ty.decimals),
            crate::expr::CastMode::Convert,
            ctx,
        );
    } else if !operand.ty.is_temporal() {
        args[0] = build::as_string(operand, ctx);
    }
    Ok(bound(ty, args, eval))
}

/// ADDDATE and SUBDATE with a number of days.
fn days(mut args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    args[1] = build::as_integer(args[1].clone(), ctx);
    let day = IntervalUnit::ALL.iter().position(|(unit, _)| *unit == IntervalUnit::Day);
    args.push(build::literal(Value::Int(day.unwrap_or(0) as i64)));
    interval(args, ctx, eval)
}

fn add(call: &Call<'_>, sign: i64) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let unit = unit_of(call.args.get(2));
    let overflow = || {
        call.ctx.bad_value(Error::datetime_overflow("datetime"))?;
        Ok(Value::Null)
    };
    let Some(interval) = read_interval(&call.args[1], unit) else { return overflow() };
    let interval = interval.times(sign);
    if let (Value::Time(time), TypeKind::Time) = (&call.args[0], call.ty.kind) {
        let sum = time.micros().checked_add(interval.micros).and_then(Time::checked);
        return match sum {
            Some(time) => Ok(Value::Time(time)),
            None => {
                call.ctx.bad_value(Error::datetime_overflow("time"))?;
                Ok(Value::Null)
            }
        };
    }
    let mut shows_time = true;
    let moment = match &call.args[0] {
        Value::Text(text) => {
            // Days that sql_mode forbids are no base for arithmetic.
            let days = call.ctx.sql_mode.union(SqlMode::NO_ZERO_IN_DATE);
            let parsed = parse::datetime(text, days.union(SqlMode::NO_ZERO_DATE));
            match parsed {
                Some(parsed) => {
                    shows_time = parsed.has_time || has_time(unit);
                    Some(parsed.moment)
                }
                None => {
                    let shown = convert::shown(text.as_bytes());
                    call.ctx.bad_value(Error::incorrect_temporal("datetime", shown))?;
                    return Ok(Value::Null);
                }
            }
        }
        other => moment_value(other),
    };
    let Some(moment) = moment.filter(|moment| !moment.date().has_zero_part()) else {
        return Ok(Value::Null);
    };
    let Some(sum) = shifted(moment, interval) else { return overflow() };
    Ok(match call.ty.kind {
        TypeKind::Date => Value::Date(sum.date()),
        TypeKind::DateTime => Value::DateTime(sum),
        _ if shows_time => {
            let mut text = Vec::new();
            let digits = if sum.micro() == 0 { 0 } else { 6 };
            sum.write_text(digits, &mut text);
            call.string(text)
        }
        _ => call.string(sum.date().to_string().into_bytes()),
    })
}

/// A moment moved by an interval; days beyond a month's end become its last day.
fn shifted(moment: DateTime, interval: Interval) -> Option<DateTime> {
    let mut moment = moment;
    if interval.months != 0 {
        let date = moment.date();
        let months = i64::from(date.year()) * 12 + i64::from(date.month()) - 1;
        let months = months.checked_add(interval.months)?;
        if !(0..10_000 * 12).contains(&months) {
            return None;
        }
        let (year, month) = ((months / 12) as u32, (months % 12) as u32 + 1);
        let day = date.day().min(days_in_month(year, month));
        moment = DateTime::at(Date::new(year, month, day), moment.micros_of_day());
    }
    if interval.days == 0 && interval.micros == 0 {
        return Some(moment);
    }
    let days = interval.days.checked_mul(DAY)?;
    let micros = moment.to_micros().checked_add(days)?.checked_add(interval.micros)?;
    if micros.div_euclid(DAY) > DAYS_MAX {
        return None;
    }
    DateTime::from_micros(micros)
}

/// EXTRACT(unit FROM x).
fn extract(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let unit = unit_of(args[1].as_literal());
    let arg = args[0].clone();
    let only_time = !has_days(unit);
    args[0] = if arg.ty.kind == TypeKind::Time || only_time {
        time_argument(arg, ctx)
    } else {
        moment_argument(arg, ctx)
    };
    Ok(bound(SqlType::bigint_width(20), args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        Ok(part(&call.args[0], unit_of(call.args.get(1))).map_or(Value::Null, Value::Int))
    }))
}

fn part(value: &Value, unit: IntervalUnit) -> Option<i64> {
    use IntervalUnit::*;
    // Days stand before hours in the combined numbers; of a duration hours count on.
    let (date, time, sign) = match value {
        Value::Time(time) => (Date::ZERO, *time, if time.is_negative() { -1 } else { 1 }),
        other => {
            let moment = moment_value(other)?;
            (moment.date(), moment.time(), 1)
        }
    };
    let (day, hour, minute, second, micro) = (
        i64::from(date.day()),
        i64::from(time.hours()),
        i64::from(time.minutes()),
        i64::from(time.seconds()),
        i64::from(time.micro()),
    );
    let clock = hour * 10_000 + minute * 100 + second;
    let number = match unit {
        Microsecond => micro,
        Second => second,
        Minute => minute,
        Hour => hour,
        Day => day,
        Week => super::date::week_of(date, 0).1,
        Month => i64::from(date.month()),
        Quarter => i64::from(date.month().div_ceil(3)),
        Year => i64::from(date.year()),
        SecondMicrosecond => second * 1_000_000 + micro,
        MinuteMicrosecond => (minute * 100 + second) * 1_000_000 + micro,
        MinuteSecond => minute * 100 + second,
        HourMicrosecond => clock * 1_000_000 + micro,
        HourSecond => clock,
        HourMinute => hour * 100 + minute,
        DayMicrosecond => (day * 1_000_000 + clock) * 1_000_000 + micro,
        DaySecond => day * 1_000_000 + clock,
        DayMinute => day * 10_000 + hour * 100 + minute,
        DayHour => day * 100 + hour,
        YearMonth => i64::from(date.year()) * 100 + i64::from(date.month()),
    };
    Some(number * sign)
}

/// TIMESTAMPDIFF(unit, from, to): whole units between.
fn timestamp_diff(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let unit = args[2].clone();
    let from = moment_argument(args[0].clone(), ctx);
    let to = moment_argument(args[1].clone(), ctx);
    Ok(bound(SqlType::bigint_width(21), vec![from, to, unit], |call| {
        let pair = moment_value(&call.args[0]).zip(moment_value(&call.args[1]));
        let Some((from, to)) = pair else { return Ok(Value::Null) };
        if from.date().has_zero_part() || to.date().has_zero_part() {
            return Ok(Value::Null);
        }
        use IntervalUnit::*;
        let micros = to.to_micros() - from.to_micros();
        let number = match unit_of(call.args.get(2)) {
            Microsecond => micros,
            Second => micros / SECOND,
            Minute => micros / (60 * SECOND),
            Hour => micros / (3600 * SECOND),
            Day => micros / DAY,
            Week => micros / (7 * DAY),
            Month => months_between(from, to),
            Quarter => months_between(from, to) / 3,
            _ => months_between(from, to) / 12,
        };
        Ok(Value::Int(number))
    }))
}

/// Whole months from one moment to another, signed.
fn months_between(from: DateTime, to: DateTime) -> i64 {
    if from > to {
        return -months_between(to, from);
    }
    let count =
        |moment: DateTime| i64::from(moment.date().year()) * 12 + i64::from(moment.date().month());
    let rest = |moment: DateTime| (moment.date().day(), moment.micros_of_day());
    count(to) - count(from) - i64::from(rest(to) < rest(from))
}

fn datediff(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let args = args.into_iter().map(|arg| day_argument(arg, ctx)).collect();
    Ok(bound(SqlType::bigint_width(7), args, |call| {
        let real =
            |index: usize| convert::date_of(&call.args[index]).filter(|date| !date.has_zero_part());
        Ok(match real(0).zip(real(1)) {
            Some((a, b)) => Value::Int(a.to_days() - b.to_days()),
            None => Value::Null,
        })
    }))
}

/// TIMEDIFF of two durations or of two moments; NULL when they differ in kind.
fn timediff(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let mut digits = 0;
    let args: Vec<Expr> = args
        .into_iter()
        .map(|arg| {
            let arg = if arg.ty.is_temporal() || arg.ty.is_string() {
                arg
            } else {
                time_argument(arg, ctx)
            };
            digits = digits.max(super::date::constant_fraction(&arg));
            arg
        })
        .collect();
    Ok(bound(SqlType::time(digits.min(6)), args, |call| {
        let read = |index: usize| -> Result<Option<(i64, bool)>> {
            Ok(match &call.args[index] {
                Value::Null => None,
                Value::Text(text) => match parse::datetime(text, SqlMode::EMPTY) {
                    Some(parsed) if parsed.has_time && text.contains('-') => {
                        Some((parsed.moment.to_micros(), true))
                    }
                    _ => convert::to_time(&call.args[index], call.ctx)?
                        .map(|time| (time.micros(), false)),
                },
                Value::Time(time) => Some((time.micros(), false)),
                other => moment_value(other).map(|moment| (moment.to_micros(), true)),
            })
        };
        let (Some((a, a_is_moment)), Some((b, b_is_moment))) = (read(0)?, read(1)?) else {
            return Ok(Value::Null);
        };
        if a_is_moment != b_is_moment {
            return Ok(Value::Null);
        }
        let difference = Time::from_micros(a - b);
        if difference.micros() != a - b {
            call.ctx.bad_value(Error::truncated_wrong_value("time", difference))?;
        }
        Ok(Value::Time(difference.round(call.ty.decimals, true)))
    }))
}

/// ADDTIME(moment or duration, duration).
fn add_time(args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let time = time_argument(args[1].clone(), ctx);
    let base = args[0].clone();
    let digits = super::date::constant_fraction(&base).max(time.ty.decimals).min(6);
    let (base, ty) = match base.ty.kind {
        TypeKind::Time => (base, SqlType::time(digits)),
        TypeKind::Date => {
            let ty = SqlType::datetime(digits);
            (moment_argument(base, ctx), ty)
        }
        TypeKind::DateTime | TypeKind::Timestamp => (base, SqlType::datetime(digits)),
        _ => (build::as_string(base, ctx), SqlType::varchar(29, build::text_collation(ctx))),
    };
    Ok(bound(ty, vec![base, time], eval))
}

/// A time that is a text: with all digits of its fraction or with none.
fn text_of(call: &Call<'_>, micro: u32, write: impl FnOnce(u8, &mut Vec<u8>)) -> Value {
    let mut text = Vec::new();
    write(if micro == 0 { 0 } else { 6 }, &mut text);
    call.string(text)
}

fn shift(call: &Call<'_>, sign: i64) -> Result<Value> {
    let Value::Time(by) = &call.args[1] else { return Ok(Value::Null) };
    let by = by.micros() * sign;
    let moved = |moment: DateTime| {
        DateTime::from_micros(moment.to_micros() + by).filter(|_| !moment.date().has_zero_part())
    };
    Ok(match &call.args[0] {
        Value::Time(time) => Value::Time(Time::from_micros(time.micros() + by)),
        Value::Text(text) => match parse::datetime(text, SqlMode::NO_ZERO_IN_DATE) {
            Some(parsed) if parsed.has_time && text.contains('-') => moved(parsed.moment)
                .map_or(Value::Null, |m| {
                    text_of(call, m.micro(), |digits, out| m.write_text(digits, out))
                }),
            _ => match convert::to_time(&call.args[0], call.ctx)? {
                Some(time) => {
                    let sum = Time::from_micros(time.micros() + by);
                    let micro = sum.micros() % 1_000_000;
                    text_of(call, micro as u32, |digits, out| sum.write_text(digits, out))
                }
                None => Value::Null,
            },
        },
        other => moment_value(other).and_then(moved).map_or(Value::Null, Value::DateTime),
    })
}

/// TIMESTAMP(x) and TIMESTAMP(x, time).
fn timestamp(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    args[0] = moment_argument(args[0].clone(), ctx);
    let mut digits = args[0].ty.decimals;
    if let Some(time) = args.get(1).cloned() {
        args[1] = time_argument(time, ctx);
        digits = digits.max(args[1].ty.decimals);
    }
    Ok(bound(SqlType::datetime(digits), args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let Some(moment) = moment_value(&call.args[0]) else { return Ok(Value::Null) };
        Ok(match call.args.get(1) {
            Some(Value::Time(time)) if time.micros() != 0 => {
                DateTime::from_micros(moment.to_micros() + time.micros())
                    .map_or(Value::Null, Value::DateTime)
            }
            _ => Value::DateTime(moment),
        })
    }))
}

fn makedate(call: &Call<'_>) -> Result<Value> {
    let (year, day) = (call.int(0), call.int(1));
    if call.any_null() || day <= 0 || !(0..=9999).contains(&year) {
        return Ok(Value::Null);
    }
    let year = match year {
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        _ => year,
    };
    let date = Date::from_days((Date::new(year as u32, 1, 1).to_days() - 1).saturating_add(day));
    Ok(if date.is_zero() { Value::Null } else { Value::Date(date) })
}

fn maketime(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let second = build::as_decimal(args[2].clone(), ctx);
    let digits = if args[2].ty.is_string() { 6 } else { second.ty.decimals.min(6) };
    let hour = build::as_integer(args[0].clone(), ctx);
    let minute = build::as_integer(args[1].clone(), ctx);
    let args = vec![hour, minute, second];
    let ty = SqlType::time(digits);
    Ok(bound(ty, args, |call| {
        let Value::Decimal(second) = &call.args[2] else { return Ok(Value::Null) };
        let micros = second.rescale(6).and_then(|s| s.unscaled().to_i128());
        let (hour, minute) = (call.int(0), call.int(1));
        let micros = micros.and_then(|m| i64::try_from(m).ok());
        let Some(micros) = micros.filter(|micros| (0..60 * SECOND).contains(micros)) else {
            return Ok(Value::Null);
        };
        if call.any_null() || !(0..60).contains(&minute) {
            return Ok(Value::Null);
        }
        let hours = hour.clamp(-1000, 1000);
        let magnitude = (hours.abs() * 3600 + minute * 60) * SECOND + micros;
        let signed = if hour < 0 { -magnitude } else { magnitude };
        let time = Time::from_micros(signed);
        if time.micros() != signed {
            call.ctx
                .bad_value(Error::truncated_wrong_value("time", format!("{hour}:{minute:02}")))?;
        }
        Ok(Value::Time(time))
    }))
}

fn sec_to_time(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = args.swap_remove(0);
    let digits = match arg.ty.kind {
        TypeKind::Decimal => arg.ty.decimals.min(6),
        _ if arg.ty.is_integer() => 0,
        _ => 6,
    };
    let arg = build::as_decimal(arg, ctx);
    Ok(bound(SqlType::time(digits), vec![arg], |call| {
        let Value::Decimal(seconds) = &call.args[0] else { return Ok(Value::Null) };
        let exact = seconds.rescale(6).and_then(|s| s.unscaled().to_i128());
        let micros = exact.and_then(|m| i64::try_from(m).ok());
        let time = Time::from_micros(micros.unwrap_or(i64::MAX));
        if micros != Some(time.micros()) {
            call.ctx.bad_value(Error::truncated_wrong_value("time", seconds))?;
        }
        Ok(Value::Time(time))
    }))
}

/// CONVERT_TZ; NULL for what is no zone.
fn convert_tz(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let moment = moment_argument(args[0].clone(), ctx);
    let ty = SqlType::datetime(moment.ty.decimals);
    let from = build::as_string(args[1].clone(), ctx);
    let to = build::as_string(args[2].clone(), ctx);
    Ok(bound(ty, vec![moment, from, to], |call| {
        let zones = TimeZone::parse(call.text(1)).ok().zip(TimeZone::parse(call.text(2)).ok());
        let moment = moment_value(&call.args[0]).filter(|moment| !moment.date().has_zero_part());
        Ok(match (moment, zones) {
            // Outside of the range the moment is left as it is.
            (Some(moment), Some((from, to))) if !call.any_null() => {
                match from.unix_micros_within(moment, UNIX_SECONDS_MAX) {
                    Some(micros) => Value::DateTime(to.from_unix_micros(micros)),
                    None => Value::DateTime(moment),
                }
            }
            _ => Value::Null,
        })
    }))
}

/// Months since year 0 of YYMM or YYYYMM.
fn period_months(period: i64) -> Option<i64> {
    let (year, month) = (period / 100, period % 100);
    if period <= 0 || !(1..=12).contains(&month) {
        return None;
    }
    let year = match year {
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        _ => year,
    };
    Some(year * 12 + month - 1)
}

fn period_add(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    match period_months(call.int(0)).and_then(|months| months.checked_add(call.int(1))) {
        Some(months) if months >= 0 => Ok(Value::Int(months / 12 * 100 + months % 12 + 1)),
        _ => Err(Error::wrong_arguments("period_add")),
    }
}

fn period_diff(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    match period_months(call.int(0)).zip(period_months(call.int(1))) {
        Some((a, b)) => Ok(Value::Int(a - b)),
        None => Err(Error::wrong_arguments("period_diff")),
    }
}
