//! Whoever works on a split or a merge dies, once at each place: the leader of a shard at each entry of its log, the coordinator
//! behind each.
//!
//! ```text
//! leader       entry ─ entry ─ … ─ the n-th: in no log │ in a log, kept or lost │ applied ─ dead ─ ELECTION ─ its heir
//! coordinator  entry ─ entry ─ … ─ the n-th waits ─ dead ─ another one asks ─ the n-th goes on     n = 0, 1, 2 … to the end
//! clients      rows all the time, of one shard and of several
//! ```
//!
//! Then the operation is over in `OVER_MAX`, done or undone. The map covers all slots once, and each shard knows its own. All
//! rows that were acknowledged are there once, and of each transaction all rows or none. The next operation finds nothing in
//! its way. The entries of clients count as well: so the n-th is now one of the operation's, now one beside it.
//!
//! Not here: copies on several nodes (`raft/src/host_split_tests.rs`), the coordinator's records (`server/src/two_planners_tests.rs`).

use base::{IndexId, KeyRange, ShardId, Slot, TableId};
use bytes::Bytes;
use engine::key::{KeyBuilder, table_prefix};
use engine::mvcc;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use txn::command::Expect;
use txn::replication::Replication;
use txn::testing::{Death, MemoryCluster, PausedClock, Unconfirmed};
use txn::{Mode, Result, ScanOptions, ShardClient, Transaction};

/// Two shards: slots below 32,768, and the others.
const LEFT: ShardId = ShardId(1);
const RIGHT: ShardId = ShardId(2);
/// Where the left one is split.
const SPLIT_AT: Slot = Slot(16_384);
/// Slots of rows: in both halves of the left shard, and in the right one.
const SLOTS: [u16; 3] = [100, 20_000, 40_000];
/// Transactions before the operation begins.
const BEFORE: u64 = 16;
/// Transactions between two breaks of a client, and such a break.
const BURST: u64 = 12;
const BREAK: Duration = Duration::from_millis(100);
/// How long a shard has no leader.
const ELECTION: Duration = Duration::from_millis(1000);
/// How often somebody looks whether it has one.
const LOOK: Duration = Duration::from_millis(20);
/// How long a held entry waits: shorter than a freeze may be, and longer.
const HELD: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(5000)];
/// An operation is over by then, whoever dies once.
const OVER_MAX: Duration = Duration::from_secs(30);
/// Entries of one shard while an operation goes on undisturbed, at most.
const ENTRIES_MAX: usize = 200;
/// All ways to die at an entry.
const DEATHS: [(Death, Unconfirmed); 4] = [
    (Death::Before, Unconfirmed::Lost),
    (Death::Unconfirmed, Unconfirmed::Lost),
    (Death::Unconfirmed, Unconfirmed::Kept),
    (Death::Applied, Unconfirmed::Lost),
];

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Split,
    Merge,
}

/// Carries it out. Whether it was done; otherwise it was undone.
async fn carry_out(cluster: Arc<MemoryCluster>, operation: Operation) -> Result<bool> {
    match operation {
        Operation::Split => cluster.split_at_last(LEFT, SPLIT_AT).await.map(|_| true),
        Operation::Merge => cluster.merge_at_last(LEFT).await,
    }
}

/// The rows of a transaction: one, or one at each slot.
fn rows_of(number: u64) -> Vec<Bytes> {
    let row = |slot: u16| {
        let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
        key.put_u64(number);
        key.put_u64(u64::from(slot));
        key.finish(Slot(slot))
    };
    match SLOTS.get((number % 4) as usize) {
        Some(slot) => vec![row(*slot)],
        None => SLOTS.into_iter().map(row).collect(),
    }
}

/// Writes a transaction's rows, none of which is there.
async fn insert(cluster: &Arc<MemoryCluster>, number: u64) -> Result<()> {
    let mut txn = Transaction::begin(cluster.clone(), Mode::Snapshot);
    for row in rows_of(number) {
        txn.put(row, number.to_be_bytes().to_vec(), Expect::Absent)?;
    }
    txn.commit().await.map(|_| ())
}

/// A client: writes until it is told to stop. Which transactions were acknowledged.
async fn write(cluster: Arc<MemoryCluster>, stop: Arc<AtomicBool>) -> BTreeMap<u64, bool> {
    let mut written = BTreeMap::new();
    let mut number = BEFORE;
    while !stop.load(Ordering::SeqCst) {
        let is_acknowledged = insert(&cluster, number).await.is_ok();
        written.insert(number, is_acknowledged);
        number += 1;
        match number % BURST {
            0 => sleep(BREAK).await,
            _ => tokio::task::yield_now().await,
        }
    }
    written
}

/// Gives a shard a new leader some time after it has lost one, for ever.
async fn elect_heirs(cluster: Arc<MemoryCluster>, shard: ShardId, unconfirmed: Unconfirmed) {
    let replication = &cluster.shard(shard).expect("it exists").replication;
    loop {
        sleep(LOOK).await;
        if replication.serving_term().is_none() {
            sleep(ELECTION).await;
            replication.elect(unconfirmed).expect("the engine works");
        }
    }
}

/// A cluster with rows, and a client that writes more.
struct World {
    cluster: Arc<MemoryCluster>,
    stop: Arc<AtomicBool>,
    client: JoinHandle<BTreeMap<u64, bool>>,
}

impl World {
    /// Begins one. `disturb` comes before the client's first row.
    async fn begin(disturb: impl FnOnce(&MemoryCluster)) -> World {
        let clock = Arc::new(PausedClock::start());
        let cluster = MemoryCluster::new(2, clock).expect("a cluster");
        for number in 0..BEFORE {
            insert(&cluster, number).await.expect("nothing is disturbed yet");
        }
        // Their rows of several shards are finished in the background.
        sleep(LOOK).await;
        disturb(&cluster);
        let stop = Arc::new(AtomicBool::new(false));
        let client = tokio::spawn(write(cluster.clone(), stop.clone()));
        World { cluster, stop, client }
    }

    /// Ends the client. What it has written, and what was there before.
    async fn stop(self) -> (Arc<MemoryCluster>, BTreeMap<u64, bool>) {
        self.stop.store(true, Ordering::SeqCst);
        let mut written = self.client.await.expect("the client does not panic");
        written.extend((0..BEFORE).map(|number| (number, true)));
        (self.cluster, written)
    }
}

/// Looks at everything once an operation is over, then does what was not done, and looks again.
async fn check(
    cluster: Arc<MemoryCluster>,
    mut written: BTreeMap<u64, bool>,
    operation: Operation,
    is_done: bool,
    what: &str,
) {
    // Then every lock of a transaction that has failed can be resolved.
    sleep(base::limits::LOCK_TTL * 2).await;
    look(&cluster, &written, what).await;
    if !is_done {
        let again = timeout(OVER_MAX, carry_out(cluster.clone(), operation)).await;
        let again = again.unwrap_or_else(|_| panic!("{what}: it does not end at the second time"));
        assert!(again.expect("there is a right neighbour"), "{what}: undone again");
    }
    let shards = if operation == Operation::Split { 3 } else { 1 };
    assert_eq!(cluster.data_shard_ids().len(), shards, "{what}");
    // Shards serve: rows at all slots, one by one and together.
    let next = written.keys().next_back().map_or(0, |number| number + 1);
    for number in next..next + 4 {
        let outcome = insert(&cluster, number).await;
        outcome.unwrap_or_else(|error| panic!("{what}: a row is not taken afterwards: {error}"));
        written.insert(number, true);
    }
    look(&cluster, &written, what).await;
}

/// The map is whole, shards know their slots, and rows are there once.
async fn look(cluster: &Arc<MemoryCluster>, written: &BTreeMap<u64, bool>, what: &str) {
    let mut next = 0;
    for route in cluster.data_shards().expect("a map") {
        assert_eq!(route.slots.start, next, "{what}: a gap or an overlap");
        next = route.slots.end;
        let shard = cluster.shard(route.shard).expect("it exists");
        let bounds = mvcc::bounds(&*shard.engine).expect("the engine works");
        // One that was never split or merged was not told.
        assert!(bounds.is_none_or(|bounds| bounds == route.slots), "{what}: {route:?}, {bounds:?}");
        let merges = mvcc::merge_state(&*shard.engine).expect("the engine works");
        assert!(!merges.is_frozen(), "{what}: {route:?} is frozen");
    }
    assert_eq!(next, 65_536, "{what}: the last slots have no shard");

    let mut found: BTreeMap<Bytes, u64> = BTreeMap::new();
    let mut txn = Transaction::begin(cluster.clone(), Mode::Snapshot);
    let range = KeyRange::prefix(table_prefix(TableId::FIRST_USER));
    let scan = txn.scan(range, ScanOptions::default()).await;
    let mut scan = scan.unwrap_or_else(|error| panic!("{what}: {error}"));
    while let Some(page) = scan.next_page().await.unwrap_or_else(|error| panic!("{what}: {error}"))
    {
        for (key, _) in page {
            *found.entry(key).or_default() += 1;
        }
    }
    for (number, is_acknowledged) in written {
        let rows = rows_of(*number);
        let times: Vec<u64> = rows.iter().map(|row| found.remove(row).unwrap_or(0)).collect();
        let [all, none] = [1, 0].map(|wanted| times.iter().all(|times| *times == wanted));
        let words = if *is_acknowledged { "was acknowledged" } else { "has failed" };
        assert!(all || (none && !is_acknowledged), "{what}: {number} {words}, found {times:?}");
    }
    assert!(found.is_empty(), "{what}: rows that nobody has written: {found:?}");
}

/// Runs something in virtual time of its own.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

/// The leader of a shard dies at an entry. Whether it did, and whether the operation was done.
async fn leader_dies(
    operation: Operation,
    victim: ShardId,
    after: usize,
    (death, unconfirmed): (Death, Unconfirmed),
) -> (bool, bool) {
    let what = format!("{operation:?}, {victim} dies after {after}: {death:?}, {unconfirmed:?}");
    let replication =
        |cluster: &MemoryCluster| cluster.shard(victim).expect("it exists").replication.clone();
    let world = World::begin(|cluster| replication(cluster).die_at(after, death)).await;
    let heirs = tokio::spawn(elect_heirs(world.cluster.clone(), victim, unconfirmed));
    let over = timeout(OVER_MAX, carry_out(world.cluster.clone(), operation)).await;
    let over = over.unwrap_or_else(|_| panic!("{what}: it is not over in time"));
    let is_done = over.unwrap_or_else(|error| panic!("{what}: {error}"));
    let (cluster, written) = world.stop().await;
    heirs.abort();
    let replication = replication(&cluster);
    replication.heal();
    if replication.serving_term().is_none() {
        replication.elect(unconfirmed).expect("the engine works");
    }
    let has_died = replication.serving_term() != Some(1);
    check(cluster, written, operation, is_done, &what).await;
    (has_died, is_done)
}

/// The coordinator dies while an entry of a shard waits, and another one takes over. Whether it died, and whether the operation
/// was done.
async fn coordinator_dies(
    operation: Operation,
    held: ShardId,
    after: usize,
    waits: Duration,
) -> (bool, bool) {
    let what = format!("{operation:?}, its coordinator dies, {held} waits {waits:?} after {after}");
    let replication =
        |cluster: &MemoryCluster| cluster.shard(held).expect("it exists").replication.clone();
    let world = World::begin(|cluster| replication(cluster).hold(after)).await;
    let first = tokio::spawn(carry_out(world.cluster.clone(), operation));
    sleep(LOOK).await;
    if first.is_finished() {
        replication(&world.cluster).heal();
        let is_done = first.await.expect("it does not panic").expect("a right neighbour");
        let (cluster, written) = world.stop().await;
        check(cluster, written, operation, is_done, &what).await;
        return (false, is_done);
    }
    first.abort();
    let second = tokio::spawn(carry_out(world.cluster.clone(), operation));
    sleep(waits).await;
    replication(&world.cluster).heal();
    let over = timeout(OVER_MAX, second).await;
    let over = over.unwrap_or_else(|_| panic!("{what}: it is not over in time"));
    let is_done =
        over.expect("it does not panic").unwrap_or_else(|error| panic!("{what}: {error}"));
    let (cluster, written) = world.stop().await;
    check(cluster, written, operation, is_done, &what).await;
    (true, is_done)
}

/// What came of all places: how often the operation was done, and undone.
#[derive(Debug, Default)]
struct Outcomes {
    done: usize,
    undone: usize,
}

/// Goes through the places until nobody dies any more.
fn at_every_entry(at: impl Fn(usize) -> (bool, bool)) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for after in 0..ENTRIES_MAX {
        let (has_died, is_done) = at(after);
        if !has_died {
            assert!(is_done, "undone although nobody has died, after {after}");
            return outcomes;
        }
        match is_done {
            true => outcomes.done += 1,
            false => outcomes.undone += 1,
        }
    }
    panic!("somebody dies after {ENTRIES_MAX} entries, too");
}

#[test]
fn a_split_is_done_whichever_entry_its_leader_dies_at() {
    for death in DEATHS {
        let outcomes =
            at_every_entry(|after| run(leader_dies(Operation::Split, LEFT, after, death)));
        assert!(outcomes.done > 0 && outcomes.undone == 0, "{death:?}: {outcomes:?}");
    }
}

#[test]
fn a_merge_is_done_or_undone_whichever_entry_the_left_leader_dies_at() {
    for death in DEATHS {
        let outcomes =
            at_every_entry(|after| run(leader_dies(Operation::Merge, LEFT, after, death)));
        // The beginning, the copy and the entry that moves the bounds.
        assert!(outcomes.done + outcomes.undone >= 4, "{death:?}: {outcomes:?}");
        // Behind the freeze another leader gives up, unless the last entry is in its log.
        let last_is_lost = matches!(death, (Death::Before | Death::Unconfirmed, Unconfirmed::Lost));
        assert!(outcomes.undone > 0 || !last_is_lost, "{death:?}: {outcomes:?}");
        assert!(outcomes.done > 0, "{death:?}: {outcomes:?}");
    }
}

#[test]
fn a_merge_is_done_or_undone_whichever_entry_the_right_leader_dies_at() {
    for death in DEATHS {
        let outcomes =
            at_every_entry(|after| run(leader_dies(Operation::Merge, RIGHT, after, death)));
        // The entry that freezes it is one of them.
        assert!(outcomes.undone > 0, "{death:?}: {outcomes:?}");
    }
}

#[test]
fn an_operation_is_over_whichever_entry_its_coordinator_dies_behind() {
    for (operation, held) in
        [(Operation::Split, LEFT), (Operation::Merge, LEFT), (Operation::Merge, RIGHT)]
    {
        for waits in HELD {
            let outcomes =
                at_every_entry(|after| run(coordinator_dies(operation, held, after, waits)));
            let deaths = outcomes.done + outcomes.undone;
            assert!(deaths > 0, "{operation:?}, {held}: {outcomes:?}");
            let undone = if operation == Operation::Split { outcomes.undone } else { 0 };
            assert_eq!(undone, 0, "a split takes nothing back: {outcomes:?}");
        }
    }
}
