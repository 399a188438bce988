//! How busy the shards are that this node leads, as rates over the last while.
//!
//! ```text
//! txn::load: totals  ──every LOAD_STEP──>  what was done since  ──the last LOAD_RATE_STEPS──>  rates
//!            samples ───────────────────────────────────────────────────────────────────────>  hottest slot, cuts
//! ```
//!
//! A leadership begins without a past: its first rates come after a step. What a leader says is taken as it is; who plans by
//! it looks at the least of many steps.
//!
//! How much a shard's rows are is counted by the collector's walks, and what is written later is added: every write makes a
//! version that stays for a while. So it does not matter whether they lie in memory or on disk, how well they compress, or
//! whether storage has given back what was dropped. After a split or a merge it is not known until the next walk.
//!
//! Not here: counting (`txn::load`), what is made of it (`shard_router::load`), telling it (`gossip`).

use crate::local_shards::{LocalShard, LocalShards};
use base::limits::{LOAD_RATE_STEPS, LOAD_STEP, SPLIT_CPU_STEPS};
use base::{ShardId, SharedClock, Slot, SlotRange, TableId};
use parking_lot::Mutex;
use proto::node as pb;
use shard_router::load::{self, Cut, HotSlot, KindLoad, Sample, ShardLoad};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use txn::load::{LoadKind, LoadSamples, LoadTotals};

/// A node's meter.
pub struct LoadMeter {
    clock: SharedClock,
    state: Mutex<State>,
}

/// What it has seen.
#[derive(Default)]
struct State {
    /// When it last looked, monotonic.
    looked: Option<Duration>,
    /// Shards that are led here.
    shards: BTreeMap<ShardId, History>,
    /// The last walks over their rows: when they began, and bytes of versions that stay.
    walks: BTreeMap<ShardId, (Moment, u64)>,
}

/// How a replica is at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its term.
    term: u64,
    /// The slots that it owns, if it has said.
    bounds: Option<SlotRange>,
    /// Bytes that were written by it as a leader.
    written: u64,
}

impl Moment {
    /// How a replica is now.
    pub fn of(local: &LocalShard) -> Moment {
        Moment {
            term: local.group.status().term,
            bounds: local.shard.bounds().ok().flatten(),
            written: local.shard.load_totals().bytes_written,
        }
    }

    /// The slots that the shard owns, if it has said.
    pub fn bounds(&self) -> Option<SlotRange> {
        self.bounds
    }
}

/// A leadership.
struct History {
    /// Its term.
    term: u64,
    /// What was done by the last look.
    totals: LoadTotals,
    /// What was done in the last steps.
    steps: VecDeque<Step>,
    /// What that comes to, once there is a step.
    load: Option<ShardLoad>,
}

/// What was done between two looks.
#[derive(Clone, Copy, Debug)]
struct Step {
    took: Duration,
    done: LoadTotals,
}

impl LoadMeter {
    /// Has seen nothing yet.
    pub fn new(clock: SharedClock) -> LoadMeter {
        LoadMeter { clock, state: Mutex::default() }
    }

    /// Looks at the shards of this node, if the last look is long enough ago.
    pub fn look(&self, local: &LocalShards) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let took = state.looked.map(|looked| now.saturating_sub(looked));
        if took.is_some_and(|took| took < LOAD_STEP) {
            return;
        }
        state.looked = Some(now);
        let mut walks = std::mem::take(&mut state.walks);
        let mut before = std::mem::take(&mut state.shards);
        for local in local.all() {
            let status = local.group.status();
            if status.role != "leader" {
                continue;
            }
            let totals = local.shard.load_totals();
            let known = before.remove(&status.shard).filter(|known| known.term == status.term);
            let history = match (known, took) {
                (Some(mut known), Some(took)) => {
                    known.steps.push_back(Step { took, done: totals.since(&known.totals) });
                    if known.steps.len() > SPLIT_CPU_STEPS {
                        known.steps.pop_front();
                    }
                    let steps = known.steps.make_contiguous();
                    let load = Some(load_of(steps, &local.shard.load_samples(), slots(&local)));
                    History { totals, load, ..known }
                }
                _ => {
                    let (term, steps) = (status.term, VecDeque::with_capacity(SPLIT_CPU_STEPS + 1));
                    History { term, totals, steps, load: None }
                }
            };
            state.shards.insert(status.shard, history);
        }
        walks.retain(|shard, _| state.shards.contains_key(shard));
        state.walks = walks;
    }

    /// Takes a walk over all rows of a shard in: how the leader was when it began, and bytes of versions that stay.
    pub fn walked(&self, shard: ShardId, began: Moment, bytes: u64) {
        self.state.lock().walks.insert(shard, (began, bytes));
    }

    /// Bytes of a shard's rows, with all versions that stay, if the leader of now has walked over them.
    pub fn row_bytes(&self, shard: ShardId, now: Moment) -> Option<u64> {
        let walk = self.state.lock().walks.get(&shard).copied()?;
        grown(walk, now)
    }

    /// How busy a shard is, if it is led here in this term and has been for a while.
    pub fn load(&self, shard: ShardId, term: u64) -> Option<ShardLoad> {
        let state = self.state.lock();
        state.shards.get(&shard).filter(|known| known.term == term)?.load
    }
}

/// What a walk has found, and what was written since; `None` when it was another leadership, or other slots.
fn grown((began, bytes): (Moment, u64), now: Moment) -> Option<u64> {
    let same = (began.term, began.bounds) == (now.term, now.bounds);
    same.then(|| bytes + now.written.saturating_sub(began.written))
}

/// The slots that a replica has, as far as it knows.
fn slots(local: &LocalShard) -> SlotRange {
    // Without bounds, or when they cannot be read now: what was sampled was its own when it was.
    local.shard.bounds().ok().flatten().unwrap_or(SlotRange::ALL)
}

/// What some steps, the last one last, and samples come to.
fn load_of(steps: &[Step], samples: &LoadSamples, slots: SlotRange) -> ShardLoad {
    let recent = &steps[steps.len().saturating_sub(LOAD_RATE_STEPS)..];
    let took: Duration = recent.iter().map(|step| step.took).sum();
    let rate = |of: fn(&LoadTotals) -> u64| {
        let done: u64 = recent.iter().map(|step| of(&step.done)).sum();
        per_second(done, took)
    };
    let cpu_by_kind: [u64; 3] = LoadKind::ALL.map(|kind| {
        let micros: u64 = recent.iter().map(|step| step.done.busy_micros[kind as usize]).sum();
        per_second(micros, took)
    });
    let permille = |micros_per_s: u64| u32::try_from(micros_per_s / 1000).unwrap_or(u32::MAX);
    let cpu_of = |step: &Step| per_second(step.done.busy_micros.iter().sum(), step.took);
    let least = steps.iter().map(cpu_of).min().filter(|_| steps.len() >= SPLIT_CPU_STEPS);
    let kinds: Vec<KindLoad> = LoadKind::ALL
        .into_iter()
        .map(|kind| KindLoad {
            busy: cpu_by_kind[kind as usize],
            writes: kind == LoadKind::Writes,
            samples: samples
                .keys
                .iter()
                .filter(|sample| sample.kind == kind)
                .map(|s| Sample { slot: s.slot, table: s.table, weight: s.weight })
                .collect(),
        })
        .collect();
    let spread = load::spread(slots, &kinds);
    ShardLoad {
        reads: rate(|done| done.reads + done.scans),
        scans: rate(|done| done.scans),
        rows_scanned: rate(|done| done.rows_scanned),
        keys_read: rate(|done| done.keys_read),
        writes: rate(|done| done.writes),
        bytes_written: rate(|done| done.bytes_written),
        cpu: permille(cpu_by_kind.iter().sum()),
        scan_cpu: permille(cpu_by_kind[LoadKind::Ranges as usize]),
        write_cpu: permille(cpu_by_kind[LoadKind::Writes as usize]),
        cpu_least: permille(least.unwrap_or_default()),
        samples: spread.samples,
        hottest: spread.hottest,
        table: spread.table,
        cut: spread.cut,
        data_cut: load::data_cut(slots, &samples.data),
    }
}

fn per_second(count: u64, took: Duration) -> u64 {
    let micros = took.as_micros().max(1);
    // Rounded, so that one in two seconds is not none.
    let rate = (u128::from(count) * 1_000_000 + micros / 2) / micros;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// A load as a message.
pub fn load_to_pb(load: &ShardLoad) -> pb::ShardLoad {
    let cut = |cut: Cut| pb::ShardCut { slot: u32::from(cut.at.0), below: cut.below };
    let (table, table_part) = load.table.map_or((0, 0), |(table, part)| (table.0, part));
    pb::ShardLoad {
        reads: load.reads,
        scans: load.scans,
        rows_scanned: load.rows_scanned,
        keys_read: load.keys_read,
        writes: load.writes,
        bytes_written: load.bytes_written,
        cpu: load.cpu,
        scan_cpu: load.scan_cpu,
        write_cpu: load.write_cpu,
        cpu_least: load.cpu_least,
        samples: load.samples,
        hottest: load.hottest.map(|hot| pb::HotSlot {
            slot: u32::from(hot.slot.0),
            part: hot.permille,
            table: hot.table.0,
            by_writes: hot.by_writes,
        }),
        table,
        table_part,
        cut: load.cut.map(cut),
        data_cut: load.data_cut.map(cut),
    }
}

/// A message as a load. What makes no sense in it is left out.
pub fn load_from_pb(load: &pb::ShardLoad) -> ShardLoad {
    let slot = |number: u32| u16::try_from(number).ok().map(Slot);
    let cut = |cut: &pb::ShardCut| Some(Cut { at: slot(cut.slot)?, below: cut.below });
    let hottest = |hot: &pb::HotSlot| {
        Some(HotSlot {
            slot: slot(hot.slot)?,
            permille: hot.part,
            table: TableId(hot.table),
            by_writes: hot.by_writes,
        })
    };
    ShardLoad {
        reads: load.reads,
        scans: load.scans,
        rows_scanned: load.rows_scanned,
        keys_read: load.keys_read,
        writes: load.writes,
        bytes_written: load.bytes_written,
        cpu: load.cpu,
        scan_cpu: load.scan_cpu,
        write_cpu: load.write_cpu,
        cpu_least: load.cpu_least,
        samples: load.samples,
        hottest: load.hottest.as_ref().and_then(hottest),
        table: (load.table != 0).then_some((TableId(load.table), load.table_part)),
        cut: load.cut.as_ref().and_then(cut),
        data_cut: load.data_cut.as_ref().and_then(cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use txn::load::LoadSample;

    /// A step of five seconds, busy for so many thousandths of it with writes, and with as much of reads.
    fn step(permille: u64) -> Step {
        let micros = permille * 5 * 1000;
        let done = LoadTotals {
            reads: 50,
            writes: 10,
            bytes_written: 5000,
            busy_micros: [micros, 0, micros],
            ..LoadTotals::default()
        };
        Step { took: LOAD_STEP, done }
    }

    #[test]
    fn rates_are_of_the_last_steps_and_the_least_is_of_all() {
        let mut steps = vec![step(100); SPLIT_CPU_STEPS - LOAD_RATE_STEPS];
        steps.extend(vec![step(200); LOAD_RATE_STEPS]);
        let load = load_of(&steps, &LoadSamples::default(), SlotRange::ALL);
        assert_eq!((load.reads, load.writes, load.bytes_written), (10, 2, 1000));
        assert_eq!((load.cpu, load.write_cpu, load.cpu_least), (400, 200, 200));
        let young = load_of(&steps[1..], &LoadSamples::default(), SlotRange::ALL);
        assert_eq!(young.cpu_least, 0, "not known for long enough");
    }

    #[test]
    fn rows_are_what_a_walk_has_found_and_what_was_written_since() {
        let moment = |term, bounds, written| Moment { term, bounds, written };
        let walk = (moment(3, None, 1000), 500);
        assert_eq!(grown(walk, moment(3, None, 1000)), Some(500));
        assert_eq!(grown(walk, moment(3, None, 1070)), Some(570));
        assert_eq!(grown(walk, moment(4, None, 1000)), None, "others wrote in between, maybe");
        assert_eq!(grown(walk, moment(3, Some(SlotRange::ALL), 1000)), None, "it was split");
        let meter = LoadMeter::new(base::SystemClock::shared());
        assert_eq!(meter.row_bytes(ShardId(1), walk.0), None);
        meter.walked(ShardId(1), walk.0, 500);
        assert_eq!(meter.row_bytes(ShardId(1), walk.0), Some(500));
    }

    #[test]
    fn a_load_goes_over_the_wire_as_it_is() {
        let keys = (0..100_u16).map(|at| LoadSample {
            kind: LoadKind::Writes,
            slot: Slot(at * 100),
            table: TableId(1000),
            weight: 1,
        });
        let data = (0..100).map(|at| (Slot(at), 1)).collect();
        let samples = LoadSamples { keys: keys.collect(), data };
        let load = load_of(&[step(100)], &samples, SlotRange::ALL);
        assert!(load.cut.is_some() && load.data_cut.is_some() && load.hottest.is_some());
        assert_eq!(load_from_pb(&load_to_pb(&load)), load);
        assert_eq!(load_from_pb(&load_to_pb(&ShardLoad::default())), ShardLoad::default());
        let wrong = pb::ShardLoad {
            cut: Some(pb::ShardCut { slot: 70_000, below: 500 }),
            ..pb::ShardLoad::default()
        };
        assert_eq!(load_from_pb(&wrong), ShardLoad::default());
    }
}
