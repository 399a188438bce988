//! The members of ENUM and SET types.
//!
//! ```text
//! ENUM('PG','R')        stored 0 ''  1 'PG'  2 'R'              (0: a value that was none)
//! SET('a','b','c')      stored bits  1 'a'   2 'b'   4 'c'      5: 'a,c'
//! ```
//!
//! Rows, keys and columns of operators have the number; expressions see the text (`function::members`).
//!
//! A type is copied everywhere, so a list of members is kept once for the life of the process, however many columns
//! have it. What was ever defined or loaded stays in memory: a list is at most 64 KiB of a table's definition.

use crate::collation::CollationId;
use parking_lot::Mutex;
use std::collections::BTreeSet;

/// Most members of an ENUM.
pub const ENUM_MEMBERS_MAX: usize = 65_535;
/// Most members of a SET: one bit each.
pub const SET_MEMBERS_MAX: usize = 64;
/// Most characters of a member.
pub const MEMBER_CHARS_MAX: usize = 255;

static KNOWN: Mutex<BTreeSet<&'static [String]>> = Mutex::new(BTreeSet::new());

/// The members of a type, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Members(&'static [String]);

impl Members {
    /// The list of these names.
    pub fn new(names: Vec<String>) -> Members {
        let mut known = KNOWN.lock();
        if let Some(list) = known.get(names.as_slice()).copied() {
            return Members(list);
        }
        let list: &'static [String] = Vec::leak(names);
        known.insert(list);
        Members(list)
    }

    /// Their names.
    pub fn names(self) -> &'static [String] {
        self.0
    }

    /// The text of an ENUM's number; empty for 0 and for a number that no member has.
    pub fn of_enum(self, number: u64) -> &'static str {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        place.and_then(|place| self.0.get(place)).map_or("", String::as_str)
    }

    /// The text of a SET's bits.
    pub fn of_set(self, bits: u64) -> String {
        let names = self.0.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
        names.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The number of the member that is equal to a text, from 1.
    pub fn number(self, text: &str, collation: CollationId) -> Option<u64> {
        let text = text.trim_end_matches(' ');
        let place = self.0.iter().position(|name| collation.compare(name, text).is_eq());
        place.map(|place| place as u64 + 1)
    }

    /// The bits of a SET's text, and whether all of it are members.
    pub fn bits(self, text: &str, collation: CollationId) -> (u64, bool) {
        let text = text.trim_end_matches(' ');
        let (mut bits, mut all) = (0, true);
        if text.is_empty() {
            return (bits, all);
        }
        for name in text.split(',') {
            match self.number(name, collation) {
                Some(number) => bits |= 1 << (number - 1),
                None => all = false,
            }
        }
        (bits, all)
    }

    /// The bits of all members of a SET.
    pub fn all_bits(self) -> u64 {
        match self.0.len() {
            64.. => u64::MAX,
            count => (1 << count) - 1,
        }
    }

    /// Characters of the longest text: of an ENUM its longest member, of a SET all of them with commas.
    pub fn length(self, is_set: bool) -> u32 {
        let lengths = self.0.iter().map(|name| name.chars().count() as u32);
        match is_set {
            true => lengths.sum::<u32>() + (self.0.len() as u32).saturating_sub(1),
            false => lengths.max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CI: CollationId = CollationId::UTF8MB3_GENERAL_CI;

    fn members(names: &[&str]) -> Members {
        Members::new(names.iter().map(|name| name.to_string()).collect())
    }

    #[test]
    fn equal_lists_are_one() {
        let (one, two) = (members(&["a", "b"]), members(&["a", "b"]));
        assert!(std::ptr::eq(one.names(), two.names()));
        assert_ne!(one, members(&["b", "a"]));
    }

    #[test]
    fn numbers_and_texts() {
        let rating = members(&["G", "PG", "PG-13"]);
        assert_eq!((rating.number("pg ", CI), rating.number("x", CI)), (Some(2), None));
        assert_eq!((rating.of_enum(0), rating.of_enum(3), rating.of_enum(4)), ("", "PG-13", ""));
        assert_eq!((rating.length(false), rating.length(true)), (5, 10));
    }

    #[test]
    fn bits_and_texts() {
        let set = members(&["a", "b", "c"]);
        assert_eq!(set.bits("C,a,c", CI), (5, true));
        assert_eq!(set.bits("a,x", CI), (1, false));
        assert_eq!(set.bits("", CI), (0, true));
        assert_eq!((set.of_set(5).as_str(), set.of_set(0).as_str()), ("a,c", ""));
        assert_eq!(set.all_bits(), 7);
        let full: Vec<String> = (0..64).map(|place| format!("m{place}")).collect();
        assert_eq!(Members::new(full).all_bits(), u64::MAX);
    }
}
