//! Days, moments, durations: packed so that integer order is time order.
//!
//! ```text
//! Date      year*13+month (17 bits) │ day (5)
//! DateTime  Date (22 bits) │ hour (5) │ minute (6) │ second (6) │ microsecond (20)
//! Time      signed microseconds, −838:59:59 … 838:59:59
//! ```
//!
//! The packed form can hold what no calendar has and MySQL allows: 0000-00-00, 2020-00-15, and with
//! ALLOW_INVALID_DATES 2020-02-31. It serves rows, keys, Arrow columns and comparison alike.
//!
//! Not here: reading texts (`datetime/parse.rs`), time zones (`datetime/zone.rs`), conversions with warnings (`convert`).

pub mod parse;
pub mod zone;

use crate::context::SqlMode;

pub use zone::TimeZone;

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub const DAY: i64 = 86_400 * SECOND;
/// The longest TIME: 838:59:59.
pub const TIME_MAX: i64 = (838 * 3600 + 59 * 60 + 59) * SECOND;
/// TO_DAYS('1970-01-01').
const UNIX_EPOCH_DAYS: i64 = 719_528;
/// TO_DAYS('9999-12-31').
pub const DAYS_MAX: i64 = 3_652_424;
/// The last moment of UNIX_TIMESTAMP(), FROM_UNIXTIME() and CONVERT_TZ(), 3001-01-18 23:59:59 UTC, in
/// seconds.
pub const UNIX_SECONDS_MAX: i64 = 32_536_771_199;
/// The last moment of a TIMESTAMP, 2038-01-19 03:14:07 UTC, in seconds.
pub const TIMESTAMP_MAX: i64 = 0x7fff_ffff;

/// A day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

/// A day and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(u64);

/// A duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Date {
    /// 0000-00-00.
    pub const ZERO: Date = Date(0);

    /// From its parts, unchecked: each must lie within its field.
    pub fn new(year: u32, month: u32, day: u32) -> Date {
        Date(((year * 13 + month) << 5) | day)
    }

    /// From the packed form.
    pub fn from_packed(packed: u64) -> Date {
        Date(packed as u32)
    }

    /// The packed form.
    pub fn packed(self) -> u64 {
        u64::from(self.0)
    }

    /// Year.
    pub fn year(self) -> u32 {
        (self.0 >> 5) / 13
    }

    /// Month; 0 in dates like 2020-00-15.
    pub fn month(self) -> u32 {
        (self.0 >> 5) % 13
    }

    /// Day; 0 in dates like 2020-01-00.
    pub fn day(self) -> u32 {
        self.0 & 31
    }

    /// Whether this is 0000-00-00.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether month or day is 0.
    pub fn has_zero_part(self) -> bool {
        self.month() == 0 || self.day() == 0
    }

    /// Whether sql_mode allows this date to exist.
    pub fn is_valid(self, mode: SqlMode) -> bool {
        if self.is_zero() {
            return !mode.contains(SqlMode::NO_ZERO_DATE);
        }
        if self.year() > 9999 || self.month() > 12 || self.day() > 31 {
            return false;
        }
        if self.has_zero_part() && mode.contains(SqlMode::NO_ZERO_IN_DATE) {
            return false;
        }
        mode.contains(SqlMode::ALLOW_INVALID_DATES)
            || self.month() == 0
            || self.day() <= days_in_month(self.year(), self.month())
    }

    /// MySQL's TO_DAYS: days since year 0.
    pub fn to_days(self) -> i64 {
        days_of(i64::from(self.year()), i64::from(self.month()), i64::from(self.day()))
    }

    /// The inverse of TO_DAYS; 0000-00-00 outside of years 1 to 9999 (and for days up to 365).
    pub fn from_days(days: i64) -> Date {
        if !(366..=DAYS_MAX).contains(&days) {
            return Date::ZERO;
        }
        let (mut year, mut rest) = (days * 100 / 36_525, 0);
        // The estimate is off by at most one; step to the year that holds the day.
        for _ in 0..3 {
            rest = days - days_of(year, 1, 1) + 1;
            if rest < 1 {
                year -= 1;
            } else if rest > days_in_year(year) {
                year += 1;
            } else {
                break;
            }
        }
        let mut month = 1;
        while rest > i64::from(days_in_month(year as u32, month)) {
            rest -= i64::from(days_in_month(year as u32, month));
            month += 1;
        }
        Date::new(year as u32, month, rest as u32)
    }

    /// 0 = Monday … 6 = Sunday.
    pub fn weekday(self) -> u32 {
        ((self.to_days() + 5) % 7) as u32
    }

    /// 1 … 366.
    pub fn day_of_year(self) -> i64 {
        self.to_days() - days_of(i64::from(self.year()), 1, 1) + 1
    }

    /// YYYYMMDD as a number.
    pub fn to_number(self) -> i64 {
        i64::from(self.year()) * 10_000 + i64::from(self.month()) * 100 + i64::from(self.day())
    }

    /// Midnight of this day.
    pub fn midnight(self) -> DateTime {
        DateTime(u64::from(self.0) << 37)
    }

    /// Appends YYYY-MM-DD.
    pub fn write_text(self, out: &mut Vec<u8>) {
        put_digits(self.year(), 4, out);
        out.push(b'-');
        put_digits(self.month(), 2, out);
        out.push(b'-');
        put_digits(self.day(), 2, out);
    }
}

impl DateTime {
    /// 0000-00-00 00:00:00.
    pub const ZERO: DateTime = DateTime(0);

    /// From a day and the parts of the time, unchecked: each must lie within its field.
    pub fn new(date: Date, hour: u32, minute: u32, second: u32, micro: u32) -> DateTime {
        let time = u64::from(hour) << 32
            | u64::from(minute) << 26
            | u64::from(second) << 20
            | u64::from(micro);
        DateTime(u64::from(date.0) << 37 | time)
    }

    /// From a day and the microseconds since its midnight.
    pub fn at(date: Date, micros: i64) -> DateTime {
        let seconds = micros / SECOND;
        DateTime::new(
            date,
            (seconds / 3600) as u32,
            (seconds / 60 % 60) as u32,
            (seconds % 60) as u32,
            (micros % SECOND) as u32,
        )
    }

    /// From the packed form.
    pub fn from_packed(packed: u64) -> DateTime {
        DateTime(packed)
    }

    /// The packed form.
    pub fn packed(self) -> u64 {
        self.0
    }

    /// The day.
    pub fn date(self) -> Date {
        Date((self.0 >> 37) as u32)
    }

    /// Hour.
    pub fn hour(self) -> u32 {
        (self.0 >> 32 & 31) as u32
    }

    /// Minute.
    pub fn minute(self) -> u32 {
        (self.0 >> 26 & 63) as u32
    }

    /// Second.
    pub fn second(self) -> u32 {
        (self.0 >> 20 & 63) as u32
    }

    /// Microsecond.
    pub fn micro(self) -> u32 {
        (self.0 & 0xf_ffff) as u32
    }

    /// Microseconds since midnight.
    pub fn micros_of_day(self) -> i64 {
        let seconds = i64::from(self.hour()) * 3600
            + i64::from(self.minute()) * 60
            + i64::from(self.second());
        seconds * SECOND + i64::from(self.micro())
    }

    /// The time of day.
    pub fn time(self) -> Time {
        Time(self.micros_of_day())
    }

    /// Whether this is 0000-00-00 00:00:00.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Fraction digits that are needed to show it exactly.
    pub fn fraction_digits(self) -> u8 {
        fraction_digits(self.micro())
    }

    /// YYYYMMDDHHMMSS as a number, without the fraction.
    pub fn to_number(self) -> i64 {
        self.date().to_number() * 1_000_000
            + i64::from(self.hour()) * 10_000
            + i64::from(self.minute()) * 100
            + i64::from(self.second())
    }

    /// Microseconds since day 0 of TO_DAYS.
    pub fn to_micros(self) -> i64 {
        self.date().to_days() * DAY + self.micros_of_day()
    }

    /// The inverse of [`DateTime::to_micros`]; `None` outside of years 1 to 9999.
    pub fn from_micros(micros: i64) -> Option<DateTime> {
        let date = Date::from_days(micros.div_euclid(DAY));
        (!date.is_zero()).then(|| DateTime::at(date, micros.rem_euclid(DAY)))
    }

    /// Rounded (or cut) to this many fraction digits; `None` when rounding leaves year 9999.
    pub fn round(self, digits: u8, cut: bool) -> Option<DateTime> {
        let step = fraction_step(digits);
        let excess = i64::from(self.micro()) % step;
        if excess == 0 {
            return Some(self);
        }
        let micro = i64::from(self.micro()) - excess;
        if cut || excess * 2 < step {
            return Some(DateTime(self.0 & !0xf_ffff | micro as u64));
        }
        if micro + step < SECOND {
            return Some(DateTime(self.0 & !0xf_ffff | (micro + step) as u64));
        }
        if self.date().has_zero_part() {
            // Carrying into a day that no calendar has is not possible; within the day it is.
            let next = self.micros_of_day() - excess + step;
            return (next < DAY).then(|| DateTime::at(self.date(), next));
        }
        DateTime::from_micros(self.to_micros() - excess + step)
    }

    /// Appends YYYY-MM-DD HH:MM:SS[.ffffff].
    pub fn write_text(self, digits: u8, out: &mut Vec<u8>) {
        self.date().write_text(out);
        out.push(b' ');
        write_clock(self.hour(), self.minute(), self.second(), self.micro(), digits, out);
    }
}

impl Time {
    /// 00:00:00.
    pub const ZERO: Time = Time(0);

    /// From microseconds, clamped to ±838:59:59.
    pub fn from_micros(micros: i64) -> Time {
        Time(micros.clamp(-TIME_MAX, TIME_MAX))
    }

    /// From microseconds; `None` beyond ±838:59:59.
    pub fn checked(micros: i64) -> Option<Time> {
        (micros.abs() <= TIME_MAX).then_some(Time(micros))
    }

    /// From its parts.
    pub fn new(negative: bool, hours: u32, minutes: u32, seconds: u32, micro: u32) -> Time {
        let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds);
        let micros = seconds * SECOND + i64::from(micro);
        Time::from_micros(if negative { -micros } else { micros })
    }

    /// Signed microseconds; also the packed form.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Hours, without sign.
    pub fn hours(self) -> u32 {
        (self.0.abs() / SECOND / 3600) as u32
    }

    /// Minutes of the hour.
    pub fn minutes(self) -> u32 {
        (self.0.abs() / SECOND / 60 % 60) as u32
    }

    /// Seconds of the minute.
    pub fn seconds(self) -> u32 {
        (self.0.abs() / SECOND % 60) as u32
    }

    /// Microseconds of the second.
    pub fn micro(self) -> u32 {
        (self.0.abs() % SECOND) as u32
    }

    /// Fraction digits that are needed to show it exactly.
    pub fn fraction_digits(self) -> u8 {
        fraction_digits(self.micro())
    }

    /// HHMMSS as a number, signed, without the fraction.
    pub fn to_number(self) -> i64 {
        let number = i64::from(self.hours()) * 10_000
            + i64::from(self.minutes()) * 100
            + i64::from(self.seconds());
        if self.is_negative() { -number } else { number }
    }

    /// Rounded (or cut) to this many fraction digits.
    pub fn round(self, digits: u8, cut: bool) -> Time {
        let step = fraction_step(digits);
        let magnitude = self.0.abs();
        let excess = magnitude % step;
        let up = !cut && excess * 2 >= step;
        let rounded = magnitude - excess + if up { step } else { 0 };
        Time::from_micros(rounded * self.0.signum())
    }

    /// Appends [-]HH:MM:SS[.ffffff], hours with at least two digits.
    pub fn write_text(self, digits: u8, out: &mut Vec<u8>) {
        if self.is_negative() {
            out.push(b'-');
        }
        write_clock(self.hours(), self.minutes(), self.seconds(), self.micro(), digits, out);
    }
}

macro_rules! display_exact {
    ($type:ty, $value:ident => $digits:expr) => {
        impl std::fmt::Display for $type {
            /// As MySQL shows it, with the fraction digits that are not zero.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $value = *self;
                let mut out = Vec::with_capacity(26);
                $digits(&mut out);
                f.write_str(&String::from_utf8_lossy(&out))
            }
        }
    };
}
display_exact!(Date, value => |out: &mut Vec<u8>| value.write_text(out));
display_exact!(Time, value => |out: &mut Vec<u8>| value.write_text(value.fraction_digits(), out));
display_exact!(DateTime, value => |out: &mut Vec<u8>| value.write_text(value.fraction_digits(), out));

/// Whether a year has 366 days.
pub fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || (year.is_multiple_of(400) && year > 0))
}

fn days_in_year(year: i64) -> i64 {
    if is_leap(year as u32) { 366 } else { 365 }
}

/// Days of a month, 1–12; 31 for month 0.
pub fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// MySQL's day number: year 0 has 365 days and 0000-01-01 is day 1; 0000-00-00 is 0.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    if year == 0 && month == 0 {
        return 0;
    }
    let mut days = 365 * year + 31 * (month - 1) + day;
    let mut leap_year = year;
    if month <= 2 {
        leap_year -= 1;
    } else {
        // Months before this one that are shorter than 31 days took this much less.
        days -= (month * 4 + 23) / 10;
    }
    let centuries_without = (leap_year / 100 + 1) * 3 / 4;
    days + leap_year / 4 - centuries_without
}

/// Microseconds of one unit of the last of `digits` fraction digits.
fn fraction_step(digits: u8) -> i64 {
    10_i64.pow(6 - u32::from(digits.min(6)))
}

fn fraction_digits(micro: u32) -> u8 {
    let mut digits = 6;
    let mut rest = micro;
    while digits > 0 && rest.is_multiple_of(10) {
        rest /= 10;
        digits -= 1;
    }
    digits
}

fn put_digits(value: u32, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    crate::types::number_text::write_u64(u64::from(value), out);
    let written = out.len() - start;
    for _ in written..width {
        out.insert(start, b'0');
    }
}

fn write_clock(hour: u32, minute: u32, second: u32, micro: u32, digits: u8, out: &mut Vec<u8>) {
    put_digits(hour, 2, out);
    out.push(b':');
    put_digits(minute, 2, out);
    out.push(b':');
    put_digits(second, 2, out);
    let digits = digits.min(6);
    if digits > 0 {
        out.push(b'.');
        put_digits(micro / fraction_step(digits) as u32, usize::from(digits), out);
    }
}

#[cfg(test)]
#[path = "datetime_tests.rs"]
mod tests;
