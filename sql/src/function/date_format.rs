//! Dates and times as texts and back: DATE_FORMAT, STR_TO_DATE, UNIX_TIMESTAMP, names.

use super::date::{constant_fraction, moment_argument, moment_value, time_argument, week_of};
use super::locale::english;
use super::{Bound, Call, Function, bound, per_statement, pure};
use crate::context::{EvalContext, SqlMode};
use crate::expr::{Expr, build};
use crate::types::datetime::{Date, DateTime, SECOND, Time, UNIX_SECONDS_MAX};
use crate::types::decimal::Decimal;
use crate::types::{SqlType, convert};
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("date_format", 2, 2, |args, ctx| {
        let format = build::as_string(args[1].clone(), ctx);
        let length = format.ty.length.saturating_mul(11).min(65_535);
        let ty = SqlType::sized_string(length, build::text_collation(ctx), false);
        let moment = moment_argument(args[0].clone(), ctx);
        Ok(bound(ty, vec![moment, format], |call| {
            let Some(moment) = moment_value(&call.args[0]) else { return Ok(Value::Null) };
            formatted(call, moment.date(), moment.time())
        }))
    }),
    pure("time_format", 2, 2, |args, ctx| {
        let format = build::as_string(args[1].clone(), ctx);
        let length = format.ty.length.saturating_mul(11).min(65_535);
        let ty = SqlType::sized_string(length, build::text_collation(ctx), false);
        let time = time_argument(args[0].clone(), ctx);
        Ok(bound(ty, vec![time, format], |call| {
            let Value::Time(time) = &call.args[0] else { return Ok(Value::Null) };
            formatted(call, Date::ZERO, *time)
        }))
    }),
    pure("dayname", 1, 1, name),
    pure("monthname", 1, 1, name),
    per_statement("str_to_date", 2, 2, str_to_date),
    per_statement("unix_timestamp", 0, 1, unix_timestamp),
    per_statement("from_unixtime", 1, 2, from_unixtime),
    pure("get_format", 2, 2, |args, ctx| {
        let args = args.into_iter().map(|arg| build::as_string(arg, ctx)).collect();
        Ok(bound(SqlType::varchar(17, build::text_collation(ctx)), args, get_format))
    }),
];

/// DAYNAME and MONTHNAME; the call's name says which.
fn name(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let arg = super::date::day_argument(args.swap_remove(0), ctx);
    let names = ctx.time_names.days.iter().chain(&ctx.time_names.months);
    let longest = names.map(|name| name.chars().count()).max().unwrap_or_default();
    let ty = SqlType::varchar(longest as u32, build::text_collation(ctx));
    Ok(bound(ty, vec![arg], |call| {
        let Some(date) = convert::date_of(&call.args[0]) else { return Ok(Value::Null) };
        let locale = call.ctx.time_names;
        let name = if call.name == "dayname" {
            (!date.has_zero_part()).then(|| locale.days[date.weekday() as usize])
        } else {
            let month = (date.month() as usize).checked_sub(1);
            month.and_then(|month| locale.months.get(month).copied())
        };
        Ok(name.map_or(Value::Null, Value::text))
    }))
}

/// 12 for midnight and noon.
fn hour_of_half(hour: u32) -> u32 {
    (hour + 11) % 12 + 1
}

fn formatted(call: &Call<'_>, date: Date, time: Time) -> Result<Value> {
    if call.args[1].is_null() {
        return Ok(Value::Null);
    }
    let format = String::from_utf8_lossy(call.bytes(1)).into_owned();
    let mut out = String::with_capacity(format.len() * 2);
    let mut chars = format.chars();
    let (hour, minute, second) = (time.hours(), time.minutes(), time.seconds());
    let locale = call.ctx.time_names;
    let half = if hour % 24 < 12 { "AM" } else { "PM" };
    if time.is_negative() {
        out.push('-');
    }
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(code) = chars.next() else { break };
        let real = !date.has_zero_part();
        match code {
            'a' | 'W' | 'w' | 'j' | 'U' | 'u' | 'V' | 'v' | 'X' | 'x' if !real => {
                return Ok(Value::Null);
            }
            'M' | 'b' if date.month() == 0 => return Ok(Value::Null),
            'a' => out.push_str(locale.short_days[date.weekday() as usize]),
            'b' => out.push_str(locale.short_months[date.month() as usize - 1]),
            'c' => out.push_str(&date.month().to_string()),
            'D' => {
                let day = date.day();
                let suffix = match (day % 10, day / 10) {
                    (1, ten) if ten != 1 => "st",
                    (2, ten) if ten != 1 => "nd",
                    (3, ten) if ten != 1 => "rd",
                    _ => "th",
                };
                out.push_str(&format!("{day}{suffix}"));
            }
            'd' => out.push_str(&format!("{:02}", date.day())),
            'e' => out.push_str(&date.day().to_string()),
            'f' => out.push_str(&format!("{:06}", time.micro())),
            'H' => out.push_str(&format!("{hour:02}")),
            'h' | 'I' => out.push_str(&format!("{:02}", hour_of_half(hour % 24))),
            'i' => out.push_str(&format!("{minute:02}")),
            'j' => out.push_str(&format!("{:03}", date.day_of_year())),
            'k' => out.push_str(&hour.to_string()),
            'l' => out.push_str(&hour_of_half(hour % 24).to_string()),
            'M' => out.push_str(locale.months[date.month() as usize - 1]),
            'm' => out.push_str(&format!("{:02}", date.month())),
            'p' => out.push_str(half),
            'r' => {
                let hour = hour_of_half(hour % 24);
                out.push_str(&format!("{hour:02}:{minute:02}:{second:02} {half}"));
            }
            'S' | 's' => out.push_str(&format!("{second:02}")),
            'T' => out.push_str(&format!("{hour:02}:{minute:02}:{second:02}")),
            'U' => out.push_str(&format!("{:02}", week_of(date, 0).1)),
            'u' => out.push_str(&format!("{:02}", week_of(date, 1).1)),
            'V' => out.push_str(&format!("{:02}", week_of(date, 2).1)),
            'v' => out.push_str(&format!("{:02}", week_of(date, 3).1)),
            'W' => out.push_str(locale.days[date.weekday() as usize]),
            'w' => out.push_str(&((date.weekday() + 1) % 7).to_string()),
            'X' => out.push_str(&format!("{:04}", week_of(date, 2).0)),
            'x' => out.push_str(&format!("{:04}", week_of(date, 3).0)),
            'Y' => out.push_str(&format!("{:04}", date.year())),
            'y' => out.push_str(&format!("{:02}", date.year() % 100)),
            other => out.push(other),
        }
    }
    Ok(call.string(out.into_bytes()))
}

/// STR_TO_DATE: the type follows from a constant format.
fn str_to_date(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let text = build::as_string(args[0].clone(), ctx);
    let format = build::as_string(args[1].clone(), ctx);
    let ty = match format.as_literal().and_then(Value::as_text) {
        Some(format) => {
            let has = |codes: &str| {
                format
                    .as_bytes()
                    .windows(2)
                    .any(|pair| pair[0] == b'%' && codes.as_bytes().contains(&pair[1]))
            };
            let (date, time) = (has("abcDdejMmUuVvWwXxYy"), has("fHhIiklprSsT"));
            let digits = if has("f") { 6 } else { 0 };
            match (date, time) {
                (true, false) => SqlType::date(),
                (false, true) => SqlType::time(digits),
                _ => SqlType::datetime(digits),
            }
        }
        None => SqlType::datetime(6),
    };
    Ok(bound(ty, vec![text, format], |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let text = String::from_utf8_lossy(call.bytes(0)).into_owned();
        let format = String::from_utf8_lossy(call.bytes(1)).into_owned();
        let read = read_by_format(&text, &format).filter(|read| {
            call.ty.domain() == crate::types::Domain::Time
                || read.0.is_valid(call.ctx.sql_mode.union(SqlMode::NO_ZERO_IN_DATE))
        });
        let Some((date, micros, rest)) = read else {
            let kind = if call.ty.is_datetime() { "datetime" } else { "date" };
            let shown = convert::shown(text.as_bytes());
            call.ctx.bad_value(Error::incorrect_function_value(kind, shown, "str_to_date"))?;
            return Ok(Value::Null);
        };
        if rest > 0 {
            let shown = convert::shown(text.as_bytes());
            call.ctx.bad_value(Error::truncated_wrong_value("datetime", shown))?;
        }
        Ok(match call.ty.domain() {
            crate::types::Domain::Date => Value::Date(date),
            crate::types::Domain::Time => Value::Time(Time::from_micros(micros)),
            _ => Value::DateTime(DateTime::at(date, micros)),
        })
    }))
}

/// Digits at the start, at most `width`: their value and count; `None` without any.
fn number(text: &[u8], width: usize) -> Option<(i64, usize)> {
    let count = text.iter().take(width).take_while(|b| b.is_ascii_digit()).count();
    let value = text[..count].iter().fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    (count > 0).then_some((value, count))
}

/// The name at the start of a text, in any case, whole or its first three letters.
fn named(text: &str, names: &[&str], short: bool) -> Option<(i64, usize)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if short { &name[..3] } else { name };
        let found = text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        found.then_some((index as i64, name.len()))
    })
}

/// What a text says by a format: day, microseconds of the day, and bytes left over.
fn read_by_format(text: &str, format: &str) -> Option<(Date, i64, usize)> {
    let mut rest = text.trim_start();
    let (mut year, mut month, mut day) = (0, 0, 0);
    let (mut hour, mut minute, mut second, mut micro) = (0, 0, 0, 0);
    let mut day_of_year = None;
    let mut afternoon = None;
    let mut uses_half = false;
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            if c.is_whitespace() {
                rest = rest.trim_start();
                continue;
            }
            if rest.is_empty() {
                // What the text leaves out stays zero.
                break;
            }
            rest = rest.strip_prefix(c)?;
            continue;
        }
        let code = chars.next()?;
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let mut take = |width: usize| -> Option<i64> {
            let (value, used) = number(rest.as_bytes(), width)?;
            rest = &rest[used..];
            Some(value)
        };
        match code {
            'Y' => {
                let digits = number(rest.as_bytes(), 4)?;
                year = digits.0;
                if digits.1 == 2 {
                    year += if year < 70 { 2000 } else { 1900 };
                }
                rest = &rest[digits.1..];
            }
            'y' => {
                year = take(2)?;
                year += if year < 70 { 2000 } else { 1900 };
            }
            'm' | 'c' => month = take(2)?,
            'd' | 'e' => day = take(2)?,
            'D' => {
                day = take(2)?;
                let letters = rest.bytes().take(2).take_while(u8::is_ascii_alphabetic).count();
                rest = &rest[letters..];
            }
            'H' | 'k' => hour = take(2)?,
            'h' | 'I' | 'l' => {
                hour = take(2)?;
                uses_half = true;
            }
            'i' => minute = take(2)?,
            's' | 'S' => second = take(2)?,
            'f' => {
                let (value, used) = number(rest.as_bytes(), 6)?;
                micro = value * 10_i64.pow(6 - used as u32);
                rest = &rest[used..];
            }
            'j' => day_of_year = Some(take(3)?),
            'M' | 'b' => {
                let months = &english().months;
                let (index, used) =
                    named(rest, months, code == 'b').or_else(|| named(rest, months, true))?;
                month = index + 1;
                rest = &rest[used..];
            }
            'W' | 'a' => {
                let (_, used) = named(rest, &english().days, code == 'a')?;
                rest = &rest[used..];
            }
            'w' => {
                take(1)?;
            }
            'p' => {
                let (index, used) = named(rest, &["AM ", "PM "], false)
                    .or_else(|| named(rest, &["AM", "PM"], false))?;
                afternoon = Some(index == 1);
                rest = &rest[used.min(2)..];
            }
            'T' | 'r' => {
                hour = take(2)?;
                rest = rest.strip_prefix(':')?;
                let (value, used) = number(rest.as_bytes(), 2)?;
                minute = value;
                rest = rest[used..].strip_prefix(':')?;
                let (value, used) = number(rest.as_bytes(), 2)?;
                second = value;
                rest = &rest[used..];
                if code == 'r' {
                    uses_half = true;
                    let (index, used) = named(rest.trim_start(), &["AM", "PM"], false)?;
                    afternoon = Some(index == 1);
                    rest = &rest.trim_start()[used..];
                }
            }
            '%' => rest = rest.strip_prefix('%')?,
            // %U, %V, %X and the like would need a week's day; MySQL reads them only together.
            _ => return None,
        }
    }
    if uses_half {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if afternoon == Some(true) { 12 } else { 0 };
    }
    if hour > 23 || minute > 59 || second > 59 || month > 12 || day > 31 {
        return None;
    }
    let mut date = Date::new(year as u32, month as u32, day as u32);
    if let Some(days) = day_of_year {
        date = Date::from_days(Date::new(year as u32, 1, 1).to_days() - 1 + days);
        if date.is_zero() {
            return None;
        }
    }
    let micros = ((hour * 60 + minute) * 60 + second) * SECOND + micro;
    Some((date, micros, rest.trim().len()))
}

/// UNIX_TIMESTAMP([x]): seconds since 1970 of a moment of the session's time zone, with its fraction.
fn unix_timestamp(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    if args.is_empty() {
        let ty = SqlType::bigint_width(11).unsigned().not_null();
        return Ok(bound(ty, args, |call| Ok(Value::UInt(call.ctx.now_unix_micros / 1_000_000))));
    }
    let digits = constant_fraction(&args[0]).min(6);
    let arg = moment_argument(args.swap_remove(0), ctx);
    let ty = if digits == 0 {
        SqlType::bigint_width(11)
    } else {
        SqlType::decimal(11 + u32::from(digits), digits)
    };
    Ok(bound(ty, vec![arg], |call| {
        let Some(moment) = moment_value(&call.args[0]) else { return Ok(Value::Null) };
        // Outside of the range the answer is 0.
        let micros = call.ctx.time_zone.unix_micros_within(moment, UNIX_SECONDS_MAX).unwrap_or(0);
        Ok(if call.ty.is_integer() {
            Value::Int(micros / SECOND)
        } else {
            Value::Decimal(
                Decimal::from_i128(i128::from(micros), 6).truncate(i32::from(call.ty.decimals)),
            )
        })
    }))
}

/// FROM_UNIXTIME(seconds[, format]).
fn from_unixtime(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let seconds = args[0].clone();
    let digits = match seconds.ty.domain() {
        crate::types::Domain::Integer => 0,
        crate::types::Domain::Decimal => seconds.ty.decimals.min(6),
        _ => 6,
    };
    let seconds = build::as_decimal(seconds, ctx);
    let moment = super::Bound {
        ty: SqlType::datetime(digits),
        args: vec![seconds],
        eval: |call| {
            let Value::Decimal(seconds) = &call.args[0] else { return Ok(Value::Null) };
            let micros = seconds.rescale(6).and_then(|s| s.unscaled().to_i128());
            let in_range = micros
                .and_then(|micros| i64::try_from(micros).ok())
                .filter(|micros| (0..(UNIX_SECONDS_MAX + 1) * SECOND).contains(micros));
            let moment = in_range.map(|micros| call.ctx.time_zone.from_unix_micros(micros));
            Ok(moment
                .and_then(|moment| moment.round(call.ty.decimals, false))
                .map_or(Value::Null, Value::DateTime))
        },
        coercibility: None,
    };
    let Some(format) = args.get(1) else { return Ok(moment) };
    // With a format it is DATE_FORMAT of the moment.
    let inner = build::call("from_unixtime", vec![args[0].clone()], ctx)?;
    let Some(outer) = super::find("date_format") else { return Ok(moment) };
    (outer.bind)(vec![inner, format.clone()], ctx)
}

/// GET_FORMAT(kind, place).
fn get_format(call: &Call<'_>) -> Result<Value> {
    let place = call.text(1).to_ascii_uppercase();
    let format = match (call.text(0).to_ascii_uppercase().as_str(), place.as_str()) {
        ("DATE", "USA") => "%m.%d.%Y",
        ("DATE", "JIS" | "ISO") => "%Y-%m-%d",
        ("DATE", "EUR") => "%d.%m.%Y",
        ("DATE", "INTERNAL") => "%Y%m%d",
        ("TIME", "USA") => "%h:%i:%s %p",
        ("TIME", "JIS" | "ISO") => "%H:%i:%s",
        ("TIME", "EUR") => "%H.%i.%s",
        ("TIME", "INTERNAL") => "%H%i%s",
        ("DATETIME", "USA" | "EUR") => "%Y-%m-%d %H.%i.%s",
        ("DATETIME", "JIS" | "ISO") => "%Y-%m-%d %H:%i:%s",
        ("DATETIME", "INTERNAL") => "%Y%m%d%H%i%s",
        _ => return Ok(Value::Null),
    };
    Ok(Value::text(format))
}
