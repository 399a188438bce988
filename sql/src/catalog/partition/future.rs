//! Partitions of the future: which ones a table with AUTO_PARTITION lacks.
//!
//! ```text
//! AUTO_PARTITION = 3 by months, on a day of July 2026
//!   … p202606 │ p202607 │ p202608  p202609  p202610
//!               of today    three of the future
//! ```
//!
//! Invariant: what is added lies behind all partitions that there are, so no row changes its partition.
//!
//! Not here: how they are added (`ddl::future_partitions`).

use super::{MonotoneKind, PartitionMethod, PartitionValues, Partitioning};
use crate::types::datetime::Date;
use base::limits::PARTITIONS_FILLED_IN;

/// What one partition by the calendar holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    /// `year(d)`.
    Year,
    /// `month(d)` of the calendar.
    Month,
    /// `day(d)` of the calendar.
    Day,
}

impl Period {
    /// What partitions of this method hold; `None` when it does not count periods of the calendar.
    pub(crate) fn of(method: &PartitionMethod) -> Option<Period> {
        let PartitionMethod::Range(function) = method else { return None };
        match function.monotone()?.kind {
            MonotoneKind::Year => Some(Period::Year),
            MonotoneKind::Month => Some(Period::Month),
            MonotoneKind::Day if function.calendar => Some(Period::Day),
            MonotoneKind::Day
            | MonotoneKind::Column
            | MonotoneKind::Second
            | MonotoneKind::DatedSecond => None,
        }
    }

    /// The method's number for the period so many ones after that of a day.
    fn number(self, day: Date, ahead: i64) -> i64 {
        match self {
            Period::Year => i64::from(day.year()) + ahead,
            Period::Month => {
                let months = i64::from(day.year()) * 12 + i64::from(day.month()) - 1 + ahead;
                months.div_euclid(12) * 100 + months.rem_euclid(12) + 1
            }
            Period::Day => {
                let day = Date::from_days(day.to_days() + ahead);
                i64::from(day.year()) * 10_000 + i64::from(day.month() * 100 + day.day())
            }
        }
    }
}

/// A partition that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Its name.
    pub(crate) name: String,
    /// What its values are less than.
    pub(crate) bound: i64,
}

/// What a table lacks on a day, in order. Periods in which nobody has added partitions are filled in; when they are more than
/// `PARTITIONS_FILLED_IN`, the first partition has the older ones, too.
pub(crate) fn missing(partitioning: &Partitioning, today: Date) -> Vec<Missing> {
    let Some(period) = Period::of(&partitioning.method).filter(|_| partitioning.auto > 0) else {
        return Vec::new();
    };
    let last = partitioning.partitions.last().and_then(|last| match &last.values {
        PartitionValues::LessThan(bound) => bound.first()?.as_ref()?.as_integer(),
        PartitionValues::None | PartitionValues::In(_) => None,
    });
    // Behind MAXVALUE there is nothing.
    let Some(last) = last else { return Vec::new() };
    let mut missing = Vec::new();
    let mut ahead = i64::from(partitioning.auto);
    while ahead >= -PARTITIONS_FILLED_IN {
        let bound = period.number(today, ahead + 1);
        if i128::from(bound) <= last {
            break;
        }
        let name = free_name(partitioning, period.number(today, ahead));
        missing.push(Missing { name, bound });
        ahead -= 1;
    }
    missing.reverse();
    missing
}

/// `p202607`, or with a letter behind it when somebody has taken that.
fn free_name(partitioning: &Partitioning, number: i64) -> String {
    let plain = format!("p{number}");
    let others = ('b'..='z').map(|letter| format!("p{number}{letter}"));
    let mut names = std::iter::once(plain.clone()).chain(others);
    names.find(|name| partitioning.position_of(name).is_none()).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_go_on_over_the_end_of_a_year() {
        let day = Date::new(2026, 11, 30);
        let numbers = |period: Period| [-11, 0, 1, 2].map(|ahead| period.number(day, ahead));
        assert_eq!(numbers(Period::Year), [2015, 2026, 2027, 2028]);
        assert_eq!(numbers(Period::Month), [202_512, 202_611, 202_612, 202_701]);
        assert_eq!(numbers(Period::Day), [20_261_119, 20_261_130, 20_261_201, 20_261_202]);
    }
}
