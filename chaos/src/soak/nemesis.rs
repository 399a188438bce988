//! Chooses faults and targets from the seed, injects and restores them, and watches what the nodes do.

use crate::fault::error::Error;
use crate::fault::inject::Fault;
use crate::fault::kind::Kind;
use crate::fault::lab::{Lab, NodeState, READY_WAIT_MAX};
use crate::fault::view::View;
use base::{Clock, Rng, SystemClock};
use std::sync::Arc;
use std::time::Duration;

/// How often nodes are looked at while a fault acts.
const WATCH_PAUSE: Duration = Duration::from_millis(100);
/// Chance that a fault that may hit all nodes does.
const ALL_CHANCE: f64 = 0.25;
/// Chance that the target is the leader of most shards.
const BUSIEST_CHANCE: f64 = 0.5;

/// Faults that a cluster must survive without help, whatever they hit.
const SURVIVABLE: [Kind; 16] = [
    Kind::Kill,
    Kind::Hold,
    Kind::Partition,
    Kind::DropIn,
    Kind::DropOut,
    Kind::Bridge,
    Kind::Loss,
    Kind::Delay,
    Kind::PowerCut,
    Kind::DiskFull,
    Kind::DiskStall,
    Kind::DiskSlow,
    Kind::SyncError,
    Kind::ClockJump,
    Kind::LeaderMove,
    Kind::ShardChange,
];

/// One fault that acted.
#[derive(Clone, Debug)]
pub struct Window {
    /// What.
    pub kind: Kind,
    /// Nodes it hit.
    pub nodes: Vec<u64>,
    /// What exactly was done.
    pub told: Vec<String>,
    /// When it was injected, by the soak's clock.
    pub from: Duration,
    /// When it was taken out.
    pub until: Duration,
    /// When every node answered again; `None` when one did not within a minute.
    pub well: Option<Duration>,
    /// Nodes whose process ended by itself though the fault gives no reason to.
    pub died: Vec<String>,
}

/// Kinds that work here, and the others with the reason. `wanted` empty: all that are survivable.
pub fn candidates(wanted: &[Kind]) -> (Vec<Kind>, Vec<(Kind, String)>) {
    let mut usable = Vec::new();
    let mut unavailable = Vec::new();
    let asked = if wanted.is_empty() { &SURVIVABLE[..] } else { wanted };
    for kind in asked {
        match kind.probe() {
            Ok(()) => usable.push(*kind),
            Err(why) => unavailable.push((*kind, why.to_string())),
        }
    }
    (usable, unavailable)
}

/// Who injects.
pub(super) struct Nemesis {
    pub(super) kinds: Vec<Kind>,
    pub(super) rng: Rng,
    pub(super) clock: Arc<SystemClock>,
    /// Zero of the times that are told.
    pub(super) begin: Duration,
    /// Kinds that have not come in this round: each comes once before any comes again.
    pub(super) round: Vec<Kind>,
}

impl Nemesis {
    /// One fault from injection until every node answers again.
    pub(super) fn one(
        &mut self,
        lab: &mut Lab,
        length: Duration,
        say: &mut dyn FnMut(&str),
    ) -> Result<Window, Error> {
        let kind = self.kind();
        let nodes = self.targets(lab, kind);
        let from = self.clock.monotonic();
        let injected = Fault { kind, nodes: nodes.clone() }.inject(lab, &mut self.rng)?;
        let names: Vec<String> = nodes.iter().map(u64::to_string).collect();
        let at = (from - self.begin).as_secs_f64();
        say(&format!("{at:>6.1} s  {:<16} node {}", kind.name(), names.join(", ")));
        let mut died = Vec::new();
        while self.clock.monotonic() < from + length {
            std::thread::sleep(WATCH_PAUSE);
            for node in 1..=lab.nodes() {
                if let NodeState::Ended(status) = lab.state(node)?
                    && !(may_die(kind) && nodes.contains(&node))
                {
                    died.push(format!("node {node} ended with {status}: {}", lab.log_end(node)));
                    lab.spawn(node)?;
                }
            }
        }
        let mut told = injected.told.clone();
        let until = self.clock.monotonic();
        told.extend(injected.restore(lab)?);
        told.iter().for_each(|line| say(&format!("          {line}")));
        let mut well = true;
        for node in 1..=lab.nodes() {
            let mut answers = lab.await_sql(node, READY_WAIT_MAX);
            // One that gave up on a disk that hangs ends only when the disk goes on, after the restore looked.
            if answers.is_err()
                && may_die(kind)
                && nodes.contains(&node)
                && matches!(lab.state(node)?, NodeState::Ended(_))
            {
                lab.spawn(node)?;
                answers = lab.await_sql(node, READY_WAIT_MAX);
            }
            if let Err(why) = answers {
                say(&format!("          {why}"));
                well = false;
            }
        }
        let now = self.clock.monotonic();
        let told_well = if well {
            format!("all nodes answer after {:.1} s", (now - until).as_secs_f64())
        } else {
            "NOT well".into()
        };
        say(&format!("{:>6.1} s  restored; {told_well}", (until - self.begin).as_secs_f64()));
        Ok(Window { kind, nodes, told, from, until, well: well.then_some(now), died })
    }

    fn kind(&mut self) -> Kind {
        if self.round.is_empty() {
            self.round.clone_from(&self.kinds);
        }
        let at = self.rng.below(self.round.len() as u64) as usize;
        self.round.swap_remove(at)
    }

    fn targets(&mut self, lab: &Lab, kind: Kind) -> Vec<u64> {
        let nodes = lab.nodes();
        if matches!(kind, Kind::Kill | Kind::PowerCut) && self.rng.chance(ALL_CHANCE) {
            return (1..=nodes).collect();
        }
        if kind == Kind::ClockJump && self.rng.chance(ALL_CHANCE) {
            return (1..=nodes).collect();
        }
        if matches!(kind, Kind::LeaderMove | Kind::ShardChange) {
            // Every shard may change, and of leaders the meta shard's too.
            return (1..=nodes).collect();
        }
        let busiest = self.rng.chance(BUSIEST_CHANCE);
        let one = match View::of(lab).and_then(|view| view.busiest()) {
            Some(busiest_node) if busiest => busiest_node,
            _ => 1 + self.rng.below(nodes),
        };
        let minority = nodes.saturating_sub(1) / 2;
        let more = kind == Kind::Bridge || (minority > 1 && self.rng.chance(0.5));
        if !more {
            return vec![one];
        }
        let other = 1 + (one + self.rng.below(nodes - 1)) % nodes;
        vec![one, other]
    }
}

/// Whether a fault is a good reason for a node's process to end by itself.
fn may_die(kind: Kind) -> bool {
    // A failed sync must end the process; a stalled disk may, after the limit that operators know.
    matches!(kind, Kind::SyncError | Kind::DiskStall | Kind::PowerCut)
}

/// Waits until every shard has a leader.
pub(super) fn settle(lab: &Lab, clock: &SystemClock, wait: Duration) -> Result<(), String> {
    let deadline = clock.monotonic() + wait;
    loop {
        let view = View::of(lab);
        if view.as_ref().is_some_and(|view| !view.shards.is_empty() && view.leaderless() == 0) {
            return Ok(());
        }
        if clock.monotonic() > deadline {
            return Err(match view {
                Some(view) => format!("{} shards have no leader after {wait:?}", view.leaderless()),
                None => format!("no node answers SHOW SHARDS after {wait:?}"),
            });
        }
        std::thread::sleep(WATCH_PAUSE);
    }
}
