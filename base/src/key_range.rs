//! Spans of keys.

use bytes::Bytes;
use std::fmt;

/// Keys `start..end` in byte order, half-open. An empty `end` means "no upper bound".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// First key inside.
    pub start: Bytes,
    /// First key outside; empty for no bound.
    pub end: Bytes,
}

impl KeyRange {
    /// A range from `start` up to but without `end`.
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> KeyRange {
        KeyRange { start: start.into(), end: end.into() }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> KeyRange {
        let start = prefix.into();
        let end = prefix_end(&start);
        KeyRange { start, end }
    }

    /// Whether the key lies inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_ref() && (self.end.is_empty() || key < self.end.as_ref())
    }

    /// Whether no key can lie inside.
    pub fn is_empty(&self) -> bool {
        !self.end.is_empty() && self.start >= self.end
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start.escape_ascii(), self.end.escape_ascii())
    }
}

/// The smallest key above every key that begins with `prefix`; empty when there is none.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end.into();
        }
        end.pop();
    }
    Bytes::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_range_holds_the_prefix_and_nothing_else() {
        let range = KeyRange::prefix(vec![1, 0xff]);
        assert!(range.contains(&[1, 0xff]) && range.contains(&[1, 0xff, 0xff]));
        assert!(!range.contains(&[1, 0xfe]) && !range.contains(&[2]));
        assert!(KeyRange::prefix(vec![0xff]).end.is_empty());
    }
}
