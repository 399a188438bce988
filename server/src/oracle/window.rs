//! How far ahead the oracle's window reaches.
//!
//! ```text
//!  wall clock leads        next ≈ now ─────────────────── end = now + reach
//!                                            └ low: less than half of it is left
//!
//!  oracle leads (a new leader began at the old end, or the wall clock went back)
//!        now ············· next ── end = next + step
//!                            └ stands still, counting, until the wall clock has come up
//! ```
//!
//! Timestamps count up inside of a millisecond, so while the oracle is ahead of the wall clock it needs no room but for the
//! counter: a small step. A change of the leader therefore puts the oracle ahead by one reach at most, and the next one before
//! the clock has come up adds one step and not another reach.
//!
//! Invariants:
//! 1. `next <= end`.
//! 2. [`Window::longer`] is never less than `end`, and a window that ends there is not low and has room for what was asked.

use base::Timestamp;
use base::limits::{
    ORACLE_IDLE_MS, ORACLE_STEP_MS, ORACLE_WINDOW_MAX_MS, ORACLE_WINDOW_MS, ORACLE_WINDOW_RENEWALS,
};

/// What the leader remembers.
#[derive(Default)]
pub(super) struct Window {
    /// Term in which `next` and `end` are valid.
    pub(super) term: u64,
    /// The next timestamp to hand out.
    pub(super) next: u64,
    /// First timestamp that may not be handed out.
    pub(super) end: u64,
    /// How long renewals have taken lately, milliseconds.
    renewal_ms: u64,
}

impl Window {
    /// Hands out `count` timestamps, if they fit: the first of them.
    pub(super) fn take(&mut self, now_ms: u64, count: u32) -> Option<Timestamp> {
        let first = self.next.max(first_of(now_ms));
        let end = first.checked_add(u64::from(count))?;
        if end > self.end {
            return None;
        }
        self.next = end;
        Some(Timestamp(first))
    }

    /// Whether [`Window::take`] would hand them out.
    pub(super) fn has_room(&self, now_ms: u64, count: u32) -> bool {
        self.next.max(first_of(now_ms)).saturating_add(u64::from(count)) <= self.end
    }

    /// Whether it should be renewed before somebody has to wait for that. One that nobody uses may run out.
    pub(super) fn is_low(&self, now_ms: u64) -> bool {
        let unused_ms = now_ms.saturating_sub(Timestamp(self.next).unix_ms());
        let by_counter = self.next.saturating_add(first_of(ORACLE_STEP_MS) / 2);
        unused_ms <= ORACLE_IDLE_MS && self.end < by_counter.max(self.low_by_clock(now_ms))
    }

    /// The end that a renewal gives it, with room for `count` timestamps at once.
    pub(super) fn longer(&self, now_ms: u64, count: u32) -> u64 {
        let step = self.next.saturating_add(first_of(ORACLE_STEP_MS));
        let end = match step < self.low_by_clock(now_ms) {
            true => first_of(now_ms + self.reach_ms()),
            false => step,
        };
        end.saturating_add(u64::from(count)).max(self.end)
    }

    /// A renewal took so long.
    pub(super) fn renewed_in(&mut self, took_ms: u64) {
        self.renewal_ms = took_ms.max(self.renewal_ms / 2);
    }

    /// An end before this is low by the wall clock.
    fn low_by_clock(&self, now_ms: u64) -> u64 {
        first_of(now_ms + self.reach_ms() / 2)
    }

    /// How far beyond the wall clock it reaches: farther where renewals are slow.
    fn reach_ms(&self) -> u64 {
        let slow = self.renewal_ms.saturating_mul(ORACLE_WINDOW_RENEWALS);
        slow.clamp(ORACLE_WINDOW_MS, ORACLE_WINDOW_MAX_MS)
    }
}

/// The first timestamp of a Unix millisecond.
fn first_of(unix_ms: u64) -> u64 {
    Timestamp::from_unix_ms(unix_ms).0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_767_323_045_678;
    const MANY: u32 = 4_000_000;

    /// A window that a leader begins with, at the replicated end.
    fn begun(stored: u64) -> Window {
        Window { term: 1, next: stored, end: stored, renewal_ms: 0 }
    }

    fn renewed(mut window: Window, now_ms: u64, count: u32) -> Window {
        let end = window.longer(now_ms, count);
        assert!(end >= window.end);
        window.end = end;
        assert!(!window.is_low(now_ms) && window.has_room(now_ms, count), "{now_ms} {count}");
        window
    }

    #[test]
    fn a_renewed_window_has_room_and_is_not_low_wherever_the_oracle_stands() {
        for ahead_ms in [-5000, -1, 0, 1, 400, 490, 499, 500, 501, 999, 1000, 60_000] {
            for count in [0, 1, MANY] {
                let stored = first_of(NOW_MS.saturating_add_signed(ahead_ms));
                let mut window = renewed(begun(stored), NOW_MS, count);
                let first = window.take(NOW_MS, count).expect("there is room");
                assert!(first.0 >= stored, "never back");
                assert!(window.next <= window.end);
            }
        }
    }

    #[test]
    fn takeovers_in_a_row_add_a_step_each_and_no_reach() {
        let mut window = renewed(begun(0), NOW_MS, 1);
        for takeover in 1..=10 {
            let stored = window.end;
            window = renewed(begun(stored), NOW_MS, 1);
            let first = window.take(NOW_MS, 1).expect("there is room");
            assert!(first.0 >= stored, "never back");
            let ahead_ms = first.unix_ms() - NOW_MS;
            assert!(ahead_ms <= ORACLE_WINDOW_MS + takeover * ORACLE_STEP_MS, "{ahead_ms} ms");
        }
    }

    #[test]
    fn takeovers_every_half_second_leave_the_oracle_ahead_by_one_reach_at_most() {
        let (mut now_ms, mut window) = (NOW_MS, renewed(begun(0), NOW_MS, 1));
        for _ in 0..100 {
            now_ms += 500;
            if window.is_low(now_ms) {
                window = renewed(window, now_ms, 0);
            }
            window = renewed(begun(window.end), now_ms, 1);
            let first = window.take(now_ms, 1).expect("there is room");
            let ahead_ms = first.unix_ms() - now_ms;
            assert!(ahead_ms <= ORACLE_WINDOW_MS + ORACLE_STEP_MS, "{ahead_ms} ms");
        }
    }

    #[test]
    fn while_it_is_ahead_only_what_is_handed_out_moves_it() {
        let ahead = first_of(NOW_MS + 60_000);
        let mut window = renewed(begun(ahead), NOW_MS, 1);
        assert_eq!(window.end, ahead + first_of(ORACLE_STEP_MS) + 1);
        assert_eq!(window.take(NOW_MS + 30_000, 1), Some(Timestamp(ahead)));
        assert_eq!(window.take(NOW_MS + 50_000, 1), Some(Timestamp(ahead + 1)));
        assert!(!window.is_low(NOW_MS + 50_000));
        assert!(window.is_low(NOW_MS + 60_000), "the wall clock has come up");
    }

    #[test]
    fn a_window_that_nobody_uses_runs_out() {
        let mut window = renewed(begun(0), NOW_MS, 1);
        assert!(window.take(NOW_MS, 1).is_some());
        assert!(!window.is_low(NOW_MS + ORACLE_WINDOW_MS / 2 - 1));
        assert!(window.is_low(NOW_MS + ORACLE_WINDOW_MS / 2 + 1));
        assert!(window.is_low(NOW_MS + ORACLE_IDLE_MS));
        let later_ms = NOW_MS + ORACLE_IDLE_MS + 1;
        assert!(!window.is_low(later_ms) && !window.has_room(later_ms, 1));
    }

    #[test]
    fn slow_renewals_lengthen_it_and_fast_ones_shorten_it_again() {
        let mut window = renewed(begun(0), NOW_MS, 0);
        assert_eq!(window.end, first_of(NOW_MS + ORACLE_WINDOW_MS));
        window.renewed_in(500);
        assert_eq!(window.longer(NOW_MS, 0), first_of(NOW_MS + 500 * ORACLE_WINDOW_RENEWALS));
        window.renewed_in(60_000);
        assert_eq!(window.longer(NOW_MS, 0), first_of(NOW_MS + ORACLE_WINDOW_MAX_MS));
        for _ in 0..16 {
            window.renewed_in(1);
        }
        let later_ms = NOW_MS + ORACLE_WINDOW_MS;
        assert_eq!(window.longer(later_ms, 0), first_of(later_ms + ORACLE_WINDOW_MS));
    }
}
