//! Points in the order of transactions, handed out by the timestamp oracle.

use std::fmt;

/// Bits of a timestamp below its millisecond part.
pub const LOGICAL_BITS: u32 = 18;

/// A point in the total order of transactions.
///
/// ```text
/// 63                    18 17            0
/// ├ Unix milliseconds (46) ┼ counter (18) ┤
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before every transaction; also "no timestamp yet".
    pub const ZERO: Timestamp = Timestamp(0);
    /// After every transaction: a read at this point sees the newest committed version.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The first timestamp of a Unix millisecond.
    pub fn from_unix_ms(ms: u64) -> Timestamp {
        Timestamp(ms << LOGICAL_BITS)
    }

    /// The last timestamp of a Unix millisecond; `MAX` when no timestamp reaches that far.
    pub fn last_of_unix_ms(ms: u64) -> Timestamp {
        match ms.saturating_add(1) {
            next if next >> (u64::BITS - LOGICAL_BITS) == 0 => Timestamp::from_unix_ms(next).prev(),
            _ => Timestamp::MAX,
        }
    }

    /// The Unix millisecond this timestamp falls into.
    pub fn unix_ms(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The timestamp right after this one. `MAX` stays `MAX`.
    pub fn next(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1))
    }

    /// The timestamp right before this one. `ZERO` stays `ZERO`.
    pub fn prev(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Timestamp::MAX => f.write_str("max"),
            Timestamp(ts) => write!(f, "{ts}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_round_trip() {
        let ts = Timestamp::from_unix_ms(1_795_253_219_123);
        assert_eq!(ts.unix_ms(), 1_795_253_219_123);
        assert_eq!(ts.next().unix_ms(), ts.unix_ms());
        assert!(ts.prev() < ts);
    }

    #[test]
    fn the_last_timestamp_of_a_millisecond_is_followed_by_the_next_millisecond() {
        let last = Timestamp::last_of_unix_ms(7);
        assert_eq!((last.unix_ms(), last.next()), (7, Timestamp::from_unix_ms(8)));
        assert_eq!(Timestamp::last_of_unix_ms((1 << 46) - 1), Timestamp::MAX);
        assert_eq!(Timestamp::last_of_unix_ms(u64::MAX), Timestamp::MAX);
    }
}
