//! What a seed decides before the run begins.
//!
//! Every run leaves out some kinds of faults (Groce and others, "Swarm Testing", ISSTA 2012): a fault that is
//! always there hides what only happens without it.

use base::Rng;
use std::collections::BTreeMap;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Power cut of one node.
    PowerCut,
    /// Power cut of all nodes at once.
    PowerCutOfAll,
    /// Power cut in the middle of a sync, of some nodes.
    PowerCutInSync,
    /// One node is without power for so long that the log it needs is purged.
    LongOutage,
    /// Two nodes do not reach each other.
    Partition,
    /// A node reaches nobody.
    Isolation,
    /// Messages pass in one direction only.
    OneWay,
    /// Messages of a node are held and come late, all of them.
    Freeze,
    /// A node's syncs take long.
    SlowDisk,
    /// Leadership is given away, and then the links of the old leader may break.
    Transfer,
    /// The leader loses its followers one by one, and the last one forgets its promise in a power cut.
    Betrayal,
    /// The leader is isolated while its clients go on, loses power, and comes back isolated.
    OldLeader,
    /// A synced record of the log changes, once in a run.
    Rot,
    /// A node loses its disks, once in a run, and comes back with a new replica id.
    Wipe,
    /// No fault: all links heal.
    Repair,
}

/// All kinds with their weights.
const FAULTS: [(Fault, u64); 15] = [
    (Fault::PowerCut, 6),
    (Fault::PowerCutOfAll, 2),
    (Fault::PowerCutInSync, 4),
    (Fault::LongOutage, 3),
    (Fault::Partition, 4),
    (Fault::Isolation, 3),
    (Fault::OneWay, 3),
    (Fault::Freeze, 2),
    (Fault::SlowDisk, 3),
    (Fault::Transfer, 4),
    (Fault::Betrayal, 3),
    (Fault::OldLeader, 3),
    (Fault::Rot, 2),
    (Fault::Wipe, 1),
    (Fault::Repair, 6),
];

/// How far apart clocks may run: the lease's margin covers 10 % on either side.
const CLOCK_RATE_MAX: f64 = 1.2;

/// What is fixed for a run.
pub struct Plan {
    /// Number of nodes.
    pub nodes: u64,
    /// How fast each node's clock runs; the slowest is 1.
    pub clock_rates: BTreeMap<u64, f64>,
    /// Longest way of a message, milliseconds.
    pub latency_ms_max: u64,
    /// Size of a log segment: small, so that segments are freed and used again.
    pub segment_bytes: u64,
    /// Bytes added to commands, at most.
    pub padding_max: u64,
    /// Whether all commands are of one size: then records of a recycled segment stand where old ones stood.
    pub equal_commands: bool,
    /// Longest ordinary sync, milliseconds.
    pub sync_ms_max: u64,
    /// How often a message of a lane comes late, with all that follow it.
    pub late: f64,
    /// How often a message of a lane comes a second time.
    pub twice: f64,
    /// Faults of this run with their weights.
    pub faults: Vec<(Fault, u64)>,
    /// Faults in the unsafe phase.
    pub rounds: u64,
}

impl Plan {
    /// Draws a plan.
    pub fn draw(rng: &mut Rng) -> Plan {
        let nodes = if rng.chance(0.25) { 5 } else { 3 };
        let drifts = rng.chance(0.6);
        let rate = |rng: &mut Rng| match (drifts, rng.below(3)) {
            (false, _) | (true, 0) => 1.0,
            (true, 1) => CLOCK_RATE_MAX,
            (true, _) => 1.0 + rng.unit() * (CLOCK_RATE_MAX - 1.0),
        };
        let clock_rates = (1..=nodes).map(|node| (node, rate(rng))).collect();
        let mut faults: Vec<_> = FAULTS
            .into_iter()
            .filter(|(fault, _)| *fault == Fault::Repair || rng.chance(0.6))
            .collect();
        if faults.len() < 4 {
            faults = FAULTS.to_vec();
        }
        let mail = rng.chance(0.5);
        Plan {
            nodes,
            clock_rates,
            latency_ms_max: [5, 20, 20, 60][rng.below(4) as usize],
            segment_bytes: [4, 8, 16, 64][rng.below(4) as usize] << 10,
            padding_max: [0, 100, 300, 600][rng.below(4) as usize],
            equal_commands: rng.chance(0.5),
            sync_ms_max: [0, 3, 3, 20][rng.below(4) as usize],
            late: if mail { 0.004 } else { 0.0 },
            twice: if mail { 0.03 } else { 0.0 },
            faults,
            rounds: 16 + rng.below(12),
        }
    }

    /// The next fault.
    pub fn fault(&self, rng: &mut Rng) -> Fault {
        let total: u64 = self.faults.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.below(total);
        for (fault, weight) in &self.faults {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *fault,
            }
        }
        Fault::Repair
    }
}
