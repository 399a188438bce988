//! Time zones: offsets from UTC, and places with rules of their own.
//!
//! ```text
//! Europe/Berlin, UTC ──────────────┬────────────────────────────┬──────────────> moments
//!                     31 March 01:00                27 October 01:00
//! local          01:59:59 │ 03:00:00              02:59:59 │ 02:00:00          what people write
//!                         └ a gap: 02:30 is 03:00          └ a fold: 02:30 is the first of the two
//! ```
//!
//! Both as MySQL has it. Each moment has one local time; the other way round is what [`TimeZone::is_plain`] asks.
//!
//! The rules are those of the IANA database that `chrono-tz` carries, the same on every node, whatever its system has. Names are
//! read in any case, as MySQL's tables are. `SYSTEM` is UTC on every node.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{Offset, TimeZone as _};
use chrono_tz::Tz;

use super::{DAY, DateTime, SECOND, TIMESTAMP_MAX, UNIX_EPOCH_DAYS, parse};
use crate::{Error, Result};

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeZone {
    rule: Rule,
    /// Whether it was named SYSTEM.
    system: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    /// Seconds east of UTC.
    Offset(i32),
    /// A place.
    Place(Tz),
}

/// What a local time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Local {
    /// One second, since 1970 in UTC.
    Once(i64),
    /// Two; this is the first.
    Twice(i64),
    /// None; this is the one in which clocks went on.
    Never(i64),
}

/// Names of places, in small letters.
static PLACES: LazyLock<BTreeMap<String, Tz>> = LazyLock::new(|| {
    chrono_tz::TZ_VARIANTS.iter().map(|tz| (tz.name().to_ascii_lowercase(), *tz)).collect()
});

/// Seconds within which a place's clocks change once at most.
const AROUND: i64 = 24 * 3_600;

impl TimeZone {
    /// UTC.
    pub const UTC: TimeZone = TimeZone { rule: Rule::Offset(0), system: false };
    /// SYSTEM, which is UTC.
    pub const SYSTEM: TimeZone = TimeZone { rule: Rule::Offset(0), system: true };

    /// Reads `SYSTEM`, `UTC`, `+08:00`, `-3:30`, `Europe/Berlin`; 1298 for what is none.
    pub fn parse(text: &str) -> Result<TimeZone> {
        if text.eq_ignore_ascii_case("SYSTEM") {
            return Ok(TimeZone::SYSTEM);
        }
        if text.eq_ignore_ascii_case("UTC") {
            return Ok(TimeZone::UTC);
        }
        let rule = match parse::offset_seconds(text.as_bytes()) {
            Some(seconds) => Rule::Offset(seconds),
            None => match PLACES.get(text.to_ascii_lowercase().as_str()) {
                Some(place) => Rule::Place(*place),
                None => return Err(Error::unknown_time_zone(text)),
            },
        };
        Ok(TimeZone { rule, system: false })
    }

    /// Whether it is a place, which has a name of its own.
    pub fn is_place(self) -> bool {
        matches!(self.rule, Rule::Place(_))
    }

    /// Seconds east of UTC at a second since 1970.
    fn offset_at(self, seconds: i64) -> i64 {
        match self.rule {
            Rule::Offset(offset) => i64::from(offset),
            Rule::Place(tz) => chrono::DateTime::from_timestamp(seconds, 0).map_or(0, |moment| {
                let offset = tz.offset_from_utc_datetime(&moment.naive_utc());
                i64::from(offset.fix().local_minus_utc())
            }),
        }
    }

    /// What the second is that is written so, as seconds since 1970 would be in UTC.
    fn local(self, written: i64) -> Local {
        let (before, after) = match self.rule {
            Rule::Offset(offset) => return Local::Once(written - i64::from(offset)),
            Rule::Place(_) => (self.offset_at(written - AROUND), self.offset_at(written + AROUND)),
        };
        let (early, late) = (written - before, written - after);
        match (self.offset_at(early) == before, self.offset_at(late) == after) {
            (true, true) if early != late => Local::Twice(early.min(late)),
            (true, _) => Local::Once(early),
            (false, true) => Local::Once(late),
            (false, false) => {
                // Between the two the clocks went on: at the first second that has another offset.
                let (mut low, mut high) = (late.min(early), late.max(early));
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if self.offset_at(middle) == before {
                        low = middle;
                    } else {
                        high = middle;
                    }
                }
                Local::Never(high)
            }
        }
    }

    /// The moment as people in this zone write it.
    pub fn from_unix_micros(self, micros: i64) -> DateTime {
        let local = micros + self.offset_at(micros.div_euclid(SECOND)) * SECOND;
        DateTime::from_micros(local + UNIX_EPOCH_DAYS * DAY).unwrap_or(DateTime::ZERO)
    }

    /// Microseconds since 1970 of a moment written in this zone. Zero parts count as MySQL counts
    /// them in TO_DAYS.
    pub fn to_unix_micros(self, local: DateTime) -> i64 {
        let written = local.to_micros() - UNIX_EPOCH_DAYS * DAY;
        let (seconds, micros) = (written.div_euclid(SECOND), written.rem_euclid(SECOND));
        match self.local(seconds) {
            Local::Once(seconds) | Local::Twice(seconds) => seconds * SECOND + micros,
            Local::Never(seconds) => seconds * SECOND,
        }
    }

    /// Whether exactly one moment is written so: not where clocks are put on or back.
    pub fn is_plain(self, local: DateTime) -> bool {
        matches!(self.rule, Rule::Offset(_)) || matches!(self.local_of(local), Local::Once(_))
    }

    /// Whether no moment is written so, because clocks were put on.
    pub fn is_skipped(self, local: DateTime) -> bool {
        matches!(self.local_of(local), Local::Never(_))
    }

    fn local_of(self, local: DateTime) -> Local {
        self.local((local.to_micros() - UNIX_EPOCH_DAYS * DAY).div_euclid(SECOND))
    }

    /// A stored TIMESTAMP (UTC) in this zone; 0000-00-00 stays.
    pub fn from_utc(self, stored: DateTime) -> DateTime {
        if stored.is_zero() || self.rule == Rule::Offset(0) {
            return stored;
        }
        self.from_unix_micros(TimeZone::UTC.to_unix_micros(stored))
    }

    /// A moment written in this zone as a TIMESTAMP stores it; `None` outside of 1970–2038.
    pub fn to_utc(self, local: DateTime) -> Option<DateTime> {
        if local.is_zero() {
            return Some(local);
        }
        let micros = self.unix_micros_within(local, TIMESTAMP_MAX)?;
        Some(TimeZone::UTC.from_unix_micros(micros))
    }

    /// Microseconds since 1970 of a moment written in this zone; `None` before the first second, after
    /// second `last`, and for days that no calendar has.
    pub fn unix_micros_within(self, local: DateTime, last: i64) -> Option<i64> {
        if local.date().has_zero_part() {
            return None;
        }
        let micros = self.to_unix_micros(local);
        (SECOND..(last + 1) * SECOND).contains(&micros).then_some(micros)
    }
}

impl std::fmt::Display for TimeZone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.system {
            return f.write_str("SYSTEM");
        }
        match self.rule {
            Rule::Place(tz) => f.write_str(tz.name()),
            Rule::Offset(seconds) => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::datetime::Date;

    fn at(day: u32, month: u32, hour: u32, minute: u32) -> DateTime {
        DateTime::new(Date::new(2024, month, day), hour, minute, 0, 0)
    }

    #[test]
    fn gaps_and_folds_are_those_of_mysql() {
        let berlin = TimeZone::parse("europe/berlin").unwrap();
        assert_eq!(berlin.to_string(), "Europe/Berlin");
        let utc = |local| berlin.to_utc(local).unwrap().to_string();
        assert_eq!(utc(at(1, 1, 12, 0)), "2024-01-01 11:00:00");
        assert_eq!(utc(at(31, 3, 1, 59)), "2024-03-31 00:59:00");
        assert_eq!(utc(at(31, 3, 2, 30)), "2024-03-31 01:00:00");
        assert_eq!(utc(at(31, 3, 3, 0)), "2024-03-31 01:00:00");
        assert_eq!(utc(at(27, 10, 2, 30)), "2024-10-27 00:30:00");
        assert_eq!(utc(at(27, 10, 3, 0)), "2024-10-27 02:00:00");
        assert!(berlin.is_skipped(at(31, 3, 2, 30)) && !berlin.is_plain(at(31, 3, 2, 30)));
        assert!(!berlin.is_skipped(at(27, 10, 2, 30)) && !berlin.is_plain(at(27, 10, 2, 30)));
        assert!(berlin.is_plain(at(1, 7, 2, 30)));
    }

    #[test]
    fn every_hour_of_a_year_comes_back() {
        for name in ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe"] {
            let zone = TimeZone::parse(name).unwrap();
            for hour in 0..366 * 24 {
                let micros = (1_704_067_200 + hour * 3_600) * SECOND;
                let back = zone.to_unix_micros(zone.from_unix_micros(micros));
                // The second time of a fold is taken for the first.
                assert!(back == micros || micros - back <= 3_600 * SECOND, "{name} {hour}");
                assert!(back <= micros, "{name} {hour}");
            }
        }
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for text in ["", "Mars", "+14:01", "Europe", "MET/x"] {
            assert_eq!(TimeZone::parse(text).unwrap_err().code, 1298, "{text}");
        }
    }
}
