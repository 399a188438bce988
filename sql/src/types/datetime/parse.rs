//! Dates and times read from texts and numbers, as leniently as MySQL reads them.
//!
//! Any punctuation may stand between the parts, parts may have fewer digits, years may have two
//! (70–99 are 19xx, 00–69 are 20xx), and everything may come without delimiters
//! (`20200131`, `200131235959`). What stands behind a readable value is *cut*, which the caller
//! reports.

use super::{Date, DateTime, SECOND, Time};
use crate::context::SqlMode;

/// A value read from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The value, its fraction rounded to microseconds.
    pub value: T,
    /// Whether something behind it was ignored, or the value was clamped.
    pub cut: bool,
}

/// What a date text said besides the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTimeText {
    /// The moment.
    pub moment: DateTime,
    /// Whether something behind it was ignored.
    pub cut: bool,
    /// Whether a time of day was written.
    pub has_time: bool,
    /// Seconds east of UTC, when an offset was written behind it.
    pub offset_seconds: Option<i32>,
}

/// Seconds east of UTC from `±H:MM`; MySQL allows −13:59 to +14:00.
pub fn offset_seconds(text: &[u8]) -> Option<i32> {
    let (sign, rest) = match text.split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let colon = rest.iter().position(|b| *b == b':')?;
    let (hours, minutes) = (&rest[..colon], &rest[colon + 1..]);
    let number = |digits: &[u8], widths: std::ops::RangeInclusive<usize>| {
        let good = widths.contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        good.then(|| digits.iter().fold(0, |n, d| n * 10 + i32::from(d - b'0')))
    };
    let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2)?);
    let offset = sign * (hours * 3600 + minutes * 60);
    (minutes < 60 && (-(13 * 3600 + 59 * 60)..=14 * 3600).contains(&offset)).then_some(offset)
}

/// Reads a DATE or DATETIME. `None` when it is none, or when `mode` forbids the day.
pub fn datetime(text: &str, mode: SqlMode) -> Option<DateTimeText> {
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes
        && first.is_ascii_whitespace()
    {
        bytes = rest;
    }
    let run = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if run == 0 {
        return None;
    }
    let digits_and_t = bytes.iter().take_while(|b| b.is_ascii_digit() || **b == b'T').count();
    let compact = matches!(bytes.get(digits_and_t), None | Some(b'.')) && digits_and_t >= 5;
    let fields = if compact { compact_fields(bytes) } else { delimited_fields(bytes) }?;
    let Fields { parts, mut rest, count, year_digits, fraction } = fields;
    let [mut year, month, day, hour, minute, second] = parts;
    if count < 3 {
        return None;
    }
    if year_digits <= 2 {
        let any = parts.iter().any(|part| *part != 0);
        if any {
            year += if year < 70 { 2000 } else { 1900 };
        }
    }
    if month > 12 || day > 31 || year > 9999 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::new(year, month, day);
    let has_time = count > 3;
    let midnight = hour == 0 && minute == 0 && second == 0 && fraction.micro == 0;
    if date.is_zero() {
        if mode.contains(SqlMode::NO_ZERO_DATE) && midnight {
            return None;
        }
    } else if !date.is_valid(mode) {
        return None;
    }
    let mut moment = DateTime::new(date, hour, minute, second, fraction.micro);
    if fraction.round_up {
        moment = add_micro(moment)?;
    }
    let mut offset = None;
    if has_time && matches!(rest.first(), Some(b'+' | b'-')) {
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        offset = offset_seconds(&rest[..end]);
        if offset.is_some() {
            rest = &rest[end..];
        }
    }
    let cut = rest.iter().any(|b| !b.is_ascii_whitespace());
    Some(DateTimeText { moment, cut, has_time, offset_seconds: offset })
}

fn add_micro(moment: DateTime) -> Option<DateTime> {
    let next = moment.micros_of_day() + 1;
    if next < super::DAY {
        return Some(DateTime::at(moment.date(), next));
    }
    if moment.date().has_zero_part() {
        return None;
    }
    DateTime::from_micros(moment.to_micros() + 1)
}

struct Fields<'a> {
    parts: [u32; 6],
    rest: &'a [u8],
    count: usize,
    year_digits: usize,
    fraction: Fraction,
}

#[derive(Clone, Copy, Default)]
struct Fraction {
    micro: u32,
    /// The seventh digit says so.
    round_up: bool,
}

/// `.ffffff…` at the start of `bytes`: the fraction and the bytes it takes.
fn fraction(bytes: &[u8]) -> (Fraction, usize) {
    let Some((b'.', digits)) = bytes.split_first() else { return (Fraction::default(), 0) };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let micro = digits[..count]
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(6)
        .fold(0, |micro, digit| micro * 10 + u32::from(digit - b'0'));
    let round_up = count > 6 && digits[6] >= b'5';
    (Fraction { micro, round_up }, count + 1)
}

/// YYYYMMDD, YYMMDD, YYYYMMDDHHMMSS, YYMMDDHHMMSS and what is shorter, maybe with a T and a fraction.
fn compact_fields(bytes: &[u8]) -> Option<Fields<'_>> {
    let run = bytes.iter().take_while(|b| b.is_ascii_digit() || **b == b'T').count();
    let digits = bytes[..run].iter().filter(|b| b.is_ascii_digit()).count();
    let year_digits = if digits == 8 || digits >= 14 { 4 } else { 2 };
    let mut parts = [0; 6];
    let (mut at, mut count) = (0, 0);
    while count < 6 && at < run {
        if count == 3 && bytes[at] == b'T' {
            at += 1;
            continue;
        }
        let width = if count == 0 { year_digits } else { 2 };
        let end = (at + width).min(run);
        let field = &bytes[at..end];
        if !field.iter().all(u8::is_ascii_digit) {
            break;
        }
        parts[count] = field.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0'));
        count += 1;
        at = end;
    }
    let mut fields =
        Fields { parts, rest: &bytes[at..], count, year_digits, fraction: Fraction::default() };
    if count == 6 && fields.rest.first() == Some(&b'.') {
        let (value, used) = fraction(fields.rest);
        fields.fraction = value;
        fields.rest = &fields.rest[used..];
    }
    Some(fields)
}

/// Parts with any punctuation between them; blanks or a T between day and hour.
fn delimited_fields(bytes: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields {
        parts: [0; 6],
        rest: bytes,
        count: 0,
        year_digits: 0,
        fraction: Fraction::default(),
    };
    while fields.count < 6 {
        let width = fields.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if width == 0 {
            break;
        }
        if width > 6 {
            return None;
        }
        let value = fields.rest[..width].iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'));
        fields.parts[fields.count] = value;
        if fields.count == 0 {
            fields.year_digits = width;
        }
        fields.count += 1;
        fields.rest = &fields.rest[width..];
        if fields.count == 6 {
            let (value, used) = fraction(fields.rest);
            fields.fraction = value;
            fields.rest = &fields.rest[used..];
            break;
        }
        let before = fields.rest;
        let mut after = before;
        if fields.count == 3 {
            if let [b'T', rest @ ..] = after {
                after = rest;
            } else {
                while let [first, rest @ ..] = after
                    && (first.is_ascii_whitespace() || first.is_ascii_punctuation())
                {
                    after = rest;
                }
            }
        } else {
            while let [first, rest @ ..] = after
                && first.is_ascii_punctuation()
            {
                after = rest;
            }
        }
        let follows = after.first().is_some_and(u8::is_ascii_digit) && after.len() < before.len();
        // An offset behind HH:MM is no further part.
        let offset = fields.count >= 5 && matches!(before.first(), Some(b'+' | b'-'));
        if !follows || offset {
            break;
        }
        fields.rest = after;
    }
    Some(fields)
}

/// Reads a number as a DATETIME: YYMMDD, YYYYMMDD, YYMMDDHHMMSS or YYYYMMDDHHMMSS.
pub fn datetime_of_number(number: i64, mode: SqlMode) -> Option<DateTime> {
    if number == 0 {
        return (!mode.contains(SqlMode::NO_ZERO_DATE)).then_some(DateTime::ZERO);
    }
    let full = match number {
        ..=100 => return None,
        101..=691_231 => (number + 20_000_000) * 1_000_000,
        691_232..=700_100 => return None,
        700_101..=991_231 => (number + 19_000_000) * 1_000_000,
        991_232..=10_000_100 => return None,
        10_000_101..=99_991_231 => number * 1_000_000,
        99_991_232..=100_999_999 => return None,
        101_000_000..=691_231_235_959 => number + 20_000_000_000_000,
        691_231_235_960..=700_100_999_999 => return None,
        700_101_000_000..=991_231_235_959 => number + 19_000_000_000_000,
        _ => number,
    };
    let (days, clock) = (full / 1_000_000, full % 1_000_000);
    let (year, month, day) = (days / 10_000, days / 100 % 100, days % 100);
    let (hour, minute, second) = (clock / 10_000, clock / 100 % 100, clock % 100);
    if year > 9999 || month > 12 || day > 31 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::new(year as u32, month as u32, day as u32);
    let moment = DateTime::new(date, hour as u32, minute as u32, second as u32, 0);
    date.is_valid(mode).then_some(moment)
}

/// Reads a TIME: `[-][D ]HH:MM[:SS[.ffffff]]`, `HHMMSS`, `SS`, or a whole DATETIME. `None` when it is
/// none; beyond ±838:59:59 it is clamped and cut.
pub fn time(text: &str) -> Option<Parsed<Time>> {
    let trimmed = text.trim_start();
    let (negative, body) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed),
    };
    if body.len() >= 12
        && !negative
        && let Some(moment) = datetime(body, SqlMode::EMPTY)
        && moment.has_time
    {
        return Some(Parsed { value: moment.moment.time(), cut: moment.cut });
    }
    let bytes = body.as_bytes();
    let (mut number, mut at) = digits(bytes, 0)?;
    let mut days = 0;
    let mut blanks_end = at;
    while bytes.get(blanks_end).is_some_and(u8::is_ascii_whitespace) {
        blanks_end += 1;
    }
    if blanks_end > at
        && let Some((hours, end)) = digits(bytes, blanks_end)
    {
        days = number;
        number = hours;
        at = end;
        return clock(bytes, at, days, number, true).map(|parsed| signed(parsed, negative));
    }
    clock(bytes, at, days, number, false).map(|parsed| signed(parsed, negative))
}

fn signed(parsed: Parsed<Time>, negative: bool) -> Parsed<Time> {
    if negative {
        Parsed { value: Time::from_micros(-parsed.value.micros()), ..parsed }
    } else {
        parsed
    }
}

/// Digits at `at`: their value (clamped) and where they end; `None` without any.
fn digits(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let count = bytes.get(at..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    let value = bytes[at..at + count]
        .iter()
        .fold(0_u64, |n, d| (n * 10 + u64::from(d - b'0')).min(1_000_000_000_000_000));
    (count > 0).then_some((value, at + count))
}

/// The rest of a TIME after its first number, which is hours when a colon (or days) says so.
fn clock(
    bytes: &[u8],
    mut at: usize,
    days: u64,
    number: u64,
    is_hours: bool,
) -> Option<Parsed<Time>> {
    let (mut hours, mut minutes, mut seconds) = (number, 0, 0);
    let colon = |at: usize| bytes.get(at) == Some(&b':');
    if colon(at)
        && let Some((value, end)) = digits(bytes, at + 1)
    {
        minutes = value;
        at = end;
        if colon(at)
            && let Some((value, end)) = digits(bytes, at + 1)
        {
            seconds = value;
            at = end;
        }
    } else if !is_hours {
        (hours, minutes, seconds) = (number / 10_000, number / 100 % 100, number % 100);
    }
    let (part, used) = fraction(&bytes[at.min(bytes.len())..]);
    at += used;
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let total = ((days.min(100_000) * 24 + hours.min(10_000_000)) * 3600 + minutes * 60 + seconds)
        as i64
        * SECOND
        + i64::from(part.micro)
        + i64::from(part.round_up);
    let value = Time::from_micros(total);
    let cut = value.micros() != total
        || bytes.get(at..).is_some_and(|rest| rest.iter().any(|b| !b.is_ascii_whitespace()));
    Some(Parsed { value, cut })
}

/// Reads a number as a TIME: HHMMSS, or a whole YYYYMMDDHHMMSS. `None` when minutes or seconds are
/// above 59; beyond ±838:59:59 it is clamped and cut.
pub fn time_of_number(number: i64, micro: u32) -> Option<Parsed<Time>> {
    let magnitude = number.unsigned_abs();
    if magnitude >= 10_000_000_000
        && number > 0
        && let Some(moment) = datetime_of_number(number, SqlMode::EMPTY)
    {
        return Some(Parsed { value: moment.time(), cut: false });
    }
    if magnitude > 8_385_959 {
        let value = Time::from_micros(if number < 0 { i64::MIN / 2 } else { i64::MAX / 2 });
        return Some(Parsed { value, cut: true });
    }
    let (hours, minutes, seconds) =
        ((magnitude / 10_000) as u32, (magnitude / 100 % 100) as u32, (magnitude % 100) as u32);
    if minutes > 59 || seconds > 59 {
        return None;
    }
    Some(Parsed { value: Time::new(number < 0, hours, minutes, seconds, micro), cut: false })
}
