//! Which nodes' disks have been full for too long to be a change's target, and for how long they stay that after there is room.
//!
//! ```text
//! disk    ok ─── full ────────────────────── ok ───────────────────────── full ──────────── ok ──────────
//! barred  ·           ├── TARGET_FULL_WAIT ──█████████ TARGET_BACK_OFF ·       ├──██████████ twice as long ·
//! ```
//!
//! A node that fills up for a moment keeps what is under way towards it. One that stays full is *barred*: it gets nothing, and
//! what is on its way there is taken back (`repair`). It gets replicas again when its disk has not been full for the back-off
//! without a break; each time that it fills up again the back-off is twice as long, up to `TARGET_BACK_OFF_MAX`.
//! A disk that was full counts as full until the reserve and an eighth of it are free; the node says so itself.
//!
//! Not here: what is kept. Every node watches for itself, so a coordinator that takes over knows it; one that has just started
//! has seen nothing, which costs one more copy to a disk that was full until lately at most.

use base::NodeId;
use base::limits::{TARGET_BACK_OFF, TARGET_BACK_OFF_MAX, TARGET_FULL_WAIT};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What has been seen of a node's disk.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// Since when it has been as it is, full or not.
    since: Duration,
    /// Whether it is full.
    full: bool,
    /// Whether its node gets nothing.
    barred: bool,
    /// How often that was so.
    times: u32,
}

/// Which nodes get nothing.
#[derive(Clone, Debug, Default)]
pub struct Fitness {
    /// Nodes whose disks are full, or were until lately.
    tracks: BTreeMap<NodeId, Track>,
}

impl Fitness {
    /// Takes note of the disks that are full now, at a monotonic time.
    pub fn look(&mut self, now: Duration, full: &BTreeSet<NodeId>) {
        for node in full {
            let track =
                self.tracks.entry(*node).or_insert(Track { since: now, ..Track::default() });
            if !track.full {
                (track.full, track.since) = (true, now);
            }
            if !track.barred && now.saturating_sub(track.since) >= TARGET_FULL_WAIT {
                (track.barred, track.times) = (true, track.times.saturating_add(1));
            }
        }
        self.tracks.retain(|node, track| {
            if full.contains(node) {
                return true;
            }
            if track.full {
                (track.full, track.since) = (false, now);
            }
            let well_for = now.saturating_sub(track.since);
            if track.barred && well_for >= back_off(track.times) {
                track.barred = false;
            }
            // What has been well for the longest back-off begins anew.
            track.times > 0 && (track.barred || well_for < TARGET_BACK_OFF_MAX)
        });
    }

    /// Nodes that get nothing, and lose what is on its way.
    pub fn barred(&self) -> BTreeSet<NodeId> {
        let barred = self.tracks.iter().filter(|(_, track)| track.barred);
        barred.map(|(node, _)| *node).collect()
    }
}

/// How long a disk must not be full before its node gets something again, after so many times.
fn back_off(times: u32) -> Duration {
    let doubled = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    TARGET_BACK_OFF.saturating_mul(doubled).min(TARGET_BACK_OFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(4);

    /// Looks once at the end of each of these spans, during which the disk is full or not. Whether the node is barred then.
    fn after(fitness: &mut Fitness, now: &mut Duration, spans: &[(bool, Duration)]) -> bool {
        for (is_full, span) in spans {
            let full = if *is_full { BTreeSet::from([NODE]) } else { BTreeSet::new() };
            fitness.look(*now, &full);
            *now += *span;
            fitness.look(*now, &full);
        }
        fitness.barred() == BTreeSet::from([NODE])
    }

    #[test]
    fn a_disk_that_is_full_for_a_moment_bars_nobody() {
        let (mut fitness, mut now) = (Fitness::default(), Duration::from_secs(5));
        let moment = TARGET_FULL_WAIT - Duration::from_millis(1);
        let second = Duration::from_secs(1);
        for _ in 0..10 {
            let flickers = [(true, moment), (false, second)];
            assert!(!after(&mut fitness, &mut now, &flickers));
        }
        assert!(fitness.tracks.is_empty(), "{fitness:?}");
        assert!(after(&mut fitness, &mut now, &[(true, TARGET_FULL_WAIT)]));
    }

    #[test]
    fn a_node_is_a_target_again_after_the_back_off_without_a_break() {
        let (mut fitness, mut now) = (Fitness::default(), Duration::ZERO);
        let nearly = TARGET_BACK_OFF - Duration::from_millis(1);
        let moment = Duration::from_millis(1);
        assert!(after(&mut fitness, &mut now, &[(true, TARGET_FULL_WAIT), (false, nearly)]));
        // A relapse, though it is short: the time begins anew.
        assert!(after(&mut fitness, &mut now, &[(true, moment), (false, nearly)]));
        assert!(!after(&mut fitness, &mut now, &[(false, moment)]));
    }

    #[test]
    fn the_back_off_doubles_up_to_its_limit_and_is_forgotten_at_last() {
        let (mut fitness, mut now) = (Fitness::default(), Duration::ZERO);
        let mut expected = TARGET_BACK_OFF;
        for _ in 0..40 {
            let nearly = expected - Duration::from_millis(1);
            assert!(after(&mut fitness, &mut now, &[(true, TARGET_FULL_WAIT), (false, nearly)]));
            assert!(!after(&mut fitness, &mut now, &[(false, Duration::from_millis(1))]));
            if expected == TARGET_BACK_OFF_MAX {
                // This long without a break is enough to begin anew.
                expected = TARGET_BACK_OFF;
                assert!(fitness.tracks.is_empty(), "{fitness:?}");
            } else {
                expected = (expected * 2).min(TARGET_BACK_OFF_MAX);
            }
        }
        assert_eq!(back_off(1), TARGET_BACK_OFF);
        assert_eq!(back_off(u32::MAX), TARGET_BACK_OFF_MAX);
    }
}
