//! One simulated run of transactions: coordinators of `txn` over shards in memory, decided by a seed.
//!
//! ```text
//! clients ── lists: append, read ──► Transaction ──► RoughClient ──► shards in memory
//!    │                                    messages late or lost,        │ held up, without quorum,
//!    ▼                                    coordinators that die         ▼ deposed with or without their last entries
//! history ──► Elle's checker
//! ```
//!
//! Even seeds mix every way to use transactions, and snapshot isolation is demanded; odd seeds use only what promises to be
//! serializable, and that is demanded. Every fourth seed loses nothing but holds shards up, and its transactions are
//! short: so that what is slow on one shard is overtaken on another. Every third seed collects records of ended transactions
//! all the time, and much sooner than in the product; not all seeds, for what comes late is then refused and can do no other
//! harm. Every fifth seed splits shards while clients work, and merges some. Time is simulated; one process runs one seed.

use base::{Clock, IndexId, KeyRange, Rng, ShardId, Slot, TableId, Timestamp};
use bytes::Bytes;
use chaos::history::check::{self, Level, Verdict};
use chaos::history::{Action, Event, Failure, Op, Phase};
use chaos::seeds::{BROKEN, BROKEN_STATUS};
use engine::key::{KeyBuilder, KeyReader, table_prefix};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use txn::command::{Expect, LockMode, Patience};
use txn::testing::{MemoryCluster, PausedClock, RoughClient, Roughness, Unconfirmed};
use txn::{Error, Mode, Result, RowLock, ScanOptions, ShardClient, Transaction, TransactionSizes};

/// Data shards.
const SHARDS: u32 = 3;
/// Splits of shards in a run, at most.
const SPLITS_MAX: u64 = 6;
/// Longest pause between two splits, milliseconds.
const SPLIT_PAUSE_MAX_MS: u64 = 1500;
/// Lists; they lie on all shards in turn.
const LISTS: u64 = 6;
/// Lists where transactions overtake each other: few, so that they meet.
const LISTS_OVERTAKING: u64 = 2;
/// Clients.
const CLIENTS: u64 = 6;
/// Transactions of each.
const TRANSACTIONS: u64 = 45;
/// The same where transactions overtake each other.
const TRANSACTIONS_OVERTAKING: u64 = 300;
/// Actions of a transaction, at most.
const ACTIONS_MAX: u64 = 4;
/// How often a locking action chooses a newer read point before the client gives up.
const RENEWALS_MAX: u32 = 8;
/// Longest pause between two collections of transaction records, milliseconds.
const COLLECT_PAUSE_MAX_MS: u64 = 400;
/// Shortest and longest age of transactions whose records are collected, milliseconds.
const RECORD_AGE_MS: (u64, u64) = (500, 5000);
/// How rough the way to the shards is.
const ROUGH: Roughness = Roughness { loss: 0.01, late: 0.004, death: 0.05, stall: 0.02 };
/// The same where only shards are slow.
const SMOOTH: Roughness = Roughness { loss: 0.0, late: 0.0, death: 0.0, stall: 0.0 };

/// How a transaction works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Reads at a point, conflicts at the commit.
    Optimistic,
    /// One statement that reads the newest versions.
    Latest,
    /// Locks what it appends to; the read point moves when it may.
    Locking,
    /// Locks what it reads, too.
    LockingReads,
    /// Reads at a point, checks its reads at the commit.
    Serializable,
    /// As `Optimistic`; each write leaves memory at once.
    Sending,
    /// As `LockingReads`; each write leaves memory at once.
    SendingReads,
}

const SNAPSHOT: [Style; 7] = [
    Style::Optimistic,
    Style::Latest,
    Style::Locking,
    Style::LockingReads,
    Style::Serializable,
    Style::Sending,
    Style::SendingReads,
];
const STRICT: [Style; 3] = [Style::LockingReads, Style::Serializable, Style::SendingReads];

impl Style {
    /// Whether it locks what it appends to.
    fn locks_writes(self) -> bool {
        self == Style::Locking || self.locks_reads()
    }

    /// Whether it locks what it reads, too.
    fn locks_reads(self) -> bool {
        matches!(self, Style::LockingReads | Style::SendingReads)
    }

    /// Whether its writes leave memory at once.
    fn sends(self) -> bool {
        matches!(self, Style::Sending | Style::SendingReads)
    }
}

/// Runs a seed and returns its report, one line of JSON.
pub fn run(seed: u64) -> String {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // In a task a panic would go by unseen.
        usual(panic);
        println!("\n{BROKEN}panic: {panic}");
        std::process::exit(BROKEN_STATUS);
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let level = if seed.is_multiple_of(2) { Level::Snapshot } else { Level::Serializable };
    let (history, counts) = runtime.block_on(simulate(seed, level));
    let committed = history.iter().filter(|event| event.phase == Phase::Ok).count();
    match check::append(&history, level) {
        Verdict::Valid(_) => {}
        Verdict::Invalid { violations, .. } => {
            let first = violations.first().map(ToString::to_string).unwrap_or_default();
            println!("{BROKEN}isolation: seed {seed}, {level:?}\n{first}");
            std::process::exit(BROKEN_STATUS);
        }
        Verdict::Unknown { why } => panic!("seed {seed}: the history says nothing: {why}"),
    }
    let mut hasher = DefaultHasher::new();
    for event in &history {
        format!("{event:?}").hash(&mut hasher);
    }
    let hash = hasher.finish();
    let Counts { faults, disturbed, collected, split } = counts;
    format!(
        r#"{{"hash":"{hash:016x}","counts":{{"check: committed":{committed},"check: records dropped":{collected},"check: shards split":{split},"fault: messages and coordinators":{faults},"fault: shards":{disturbed}}}}}"#
    )
}

/// What clients were told, in order.
#[derive(Clone, Default)]
struct History(Arc<Mutex<Vec<Event>>>);

impl History {
    fn note(&self, clock: &PausedClock, process: u64, phase: Phase, actions: Vec<Action>) {
        let time = clock.monotonic().as_micros() as u64;
        let why = || Failure { code: 0, message: String::new() };
        let error = matches!(phase, Phase::Fail | Phase::Info).then(why);
        let event = Event { time, process, phase, op: Op::Txn { actions }, error };
        self.0.lock().expect("no client panics").push(event);
    }
}

/// How much happened.
struct Counts {
    /// Messages lost or late, coordinators dead or asleep.
    faults: u64,
    /// Shards held up, cut off or deposed.
    disturbed: u64,
    /// Transaction records dropped while clients worked.
    collected: u64,
    /// Shards split.
    split: u64,
}

async fn simulate(seed: u64, level: Level) -> (Vec<Event>, Counts) {
    #[allow(clippy::disallowed_methods)] // The one reader of paused time.
    let clock = Arc::new(PausedClock::start());
    let cluster = MemoryCluster::new(SHARDS, clock.clone()).expect("a cluster");
    let overtaking = seed.is_multiple_of(4);
    let roughness = if overtaking { SMOOTH } else { ROUGH };
    let client = RoughClient::new(cluster.clone(), Rng::seeded(seed), roughness);
    let history = History::default();
    let over = Arc::new(AtomicBool::new(false));
    let disturber =
        tokio::spawn(disturb(cluster.clone(), Rng::seeded(seed ^ 0xd15), over.clone(), overtaking));
    let collects = seed.is_multiple_of(3);
    let (rng, clients_over) = (Rng::seeded(seed ^ 0xc01), over.clone());
    let (shards, way) = (cluster.clone(), client.clone());
    let collector = tokio::spawn(async move {
        if collects { collect(shards, way, rng, clients_over).await } else { 0 }
    });
    let splits = seed.is_multiple_of(5);
    let (rng, clients_over, shards) = (Rng::seeded(seed ^ 0x591), over.clone(), cluster.clone());
    let splitter =
        tokio::spawn(
            async move { if splits { split(shards, rng, clients_over).await } else { 0 } },
        );
    let styles: &'static [Style] = match level {
        Level::Snapshot if overtaking => &SNAPSHOT[..2],
        Level::Snapshot => &SNAPSHOT,
        Level::Serializable => &STRICT,
    };
    let (actions_max, lists, transactions) = match overtaking {
        true => (2, LISTS_OVERTAKING, TRANSACTIONS_OVERTAKING),
        false => (ACTIONS_MAX, LISTS, TRANSACTIONS),
    };
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let (client, clock, history) = (client.clone(), clock.clone(), history.clone());
        let mut rng = Rng::seeded(seed ^ (0x100 + number));
        clients.push(tokio::spawn(async move {
            for count in 0..transactions {
                let style = *rng.pick(styles).expect("there are some");
                let element = (1 + count) * CLIENTS * ACTIONS_MAX + number * ACTIONS_MAX;
                let mut actions = draw(&mut rng, element, actions_max, lists);
                history.note(&clock, number, Phase::Invoke, actions.clone());
                let scans = rng.chance(0.3);
                let outcome = transact(&client, style, scans, &mut actions).await;
                let phase = match outcome {
                    Ok(()) => Phase::Ok,
                    Err(Error::OutcomeUnknown { .. }) => Phase::Info,
                    Err(_) => Phase::Fail,
                };
                history.note(&clock, number, phase, actions);
                if phase == Phase::Info {
                    // What it may still become is settled before this client goes on.
                    tokio::time::sleep(Duration::from_millis(rng.below(50))).await;
                }
            }
        }));
    }
    for client in clients {
        client.await.expect("no client panics");
    }
    over.store(true, Ordering::SeqCst);
    let disturbed = disturber.await.expect("the disturber does not panic");
    let collected = collector.await.expect("the collector does not panic");
    let split = splitter.await.expect("the splitter does not panic");
    let faults = client.faults();
    client.calm_down();
    // Once all is well every lock can be resolved.
    tokio::time::sleep(base::limits::LOCK_TTL * 4).await;
    cluster.survey_locks();
    assert!(
        cluster.row_locks().is_empty(),
        "row locks of nobody: {:?}",
        cluster.row_locks().list(9)
    );
    let now = client.timestamp().await.expect("the oracle answers");
    cluster.collect_records(&*client, now).await.expect("all shards answer");
    assert!(!cluster.has_records().expect("the engines work"), "records that nobody asks for stay");
    let mut actions: Vec<Action> = (0..LISTS).map(|list| Action::Read(list as i64, None)).collect();
    history.note(&clock, CLIENTS, Phase::Invoke, actions.clone());
    while transact(&client, Style::Optimistic, true, &mut actions).await.is_err() {}
    history.note(&clock, CLIENTS, Phase::Ok, actions);
    let events = std::mem::take(&mut *history.0.lock().expect("nobody panicked"));
    (events, Counts { faults, disturbed, collected, split })
}

/// What a transaction is to do. `element` is the first of a few numbers that nobody else appends.
fn draw(rng: &mut Rng, element: u64, actions_max: u64, lists: u64) -> Vec<Action> {
    (0..1 + rng.below(actions_max))
        .map(|at| {
            let list = rng.below(lists) as i64;
            match rng.chance(0.5) {
                true => Action::Append(list, (element + at) as i64),
                false => Action::Read(list, None),
            }
        })
        .collect()
}

/// Collects records of ended transactions at random, and returns how many went.
async fn collect(
    cluster: Arc<MemoryCluster>,
    client: Arc<RoughClient>,
    mut rng: Rng,
    over: Arc<AtomicBool>,
) -> u64 {
    let mut collected = 0;
    while !over.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(rng.below(COLLECT_PAUSE_MAX_MS))).await;
        let (youngest, oldest) = RECORD_AGE_MS;
        let age = youngest + rng.below(oldest - youngest);
        let Ok(now) = client.timestamp().await else { continue };
        let before = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(age));
        // A shard that does not answer breaks a round off; another one follows.
        let round = cluster.collect_records(&*client, before).await.unwrap_or_default();
        collected += round.dropped;
    }
    collected
}

/// Splits shards at random between the slots of their lists, drops what is foreign, and returns how many splits there were.
async fn split(cluster: Arc<MemoryCluster>, mut rng: Rng, over: Arc<AtomicBool>) -> u64 {
    let mut count = 0;
    while !over.load(Ordering::SeqCst) && count < SPLITS_MAX {
        tokio::time::sleep(Duration::from_millis(rng.below(SPLIT_PAUSE_MAX_MS))).await;
        let list = rng.below(LISTS) as i64;
        let slot = slot_of(list);
        let Ok(route) = cluster.locate(&key_of(list)) else { continue };
        // The list's own slot begins the child.
        if route.slots.start == u32::from(slot.0) {
            continue;
        }
        // Ends when the disturber has healed the shard.
        cluster.split_at_last(route.shard, slot).await.expect("the slot is inside");
        count += 1;
        if rng.chance(0.5) {
            // A shard without a quorum keeps it.
            let _ = drop_foreign(&cluster, route.shard).await;
        }
        if rng.chance(0.5) {
            merge(&cluster, &mut rng).await;
        }
    }
    count
}

/// Merges a random shard with its right neighbour, if it has one.
async fn merge(cluster: &MemoryCluster, rng: &mut Rng) {
    tokio::time::sleep(Duration::from_millis(rng.below(SPLIT_PAUSE_MAX_MS))).await;
    let shards = cluster.data_shard_ids();
    let Some((_, but_last)) = shards.split_last() else { return };
    let Some(left) = rng.pick(but_last).copied() else { return };
    // Ends when the disturber has healed both shards; some are undone.
    cluster.merge_at_last(left).await.expect("there is a right neighbour");
}

/// Drops what a shard holds of other slots.
async fn drop_foreign(cluster: &MemoryCluster, id: ShardId) -> Result<()> {
    let shard = &cluster.shard(id)?.shard;
    let Some(bounds) = shard.bounds()? else { return Ok(()) };
    let merges = shard.merges_over()?;
    let mut from = Some(Bytes::new());
    while let Some(at) = from {
        let foreign = shard.find_foreign(&at)?;
        shard.drop_foreign(foreign.keys).await?;
        from = foreign.next;
    }
    shard.forget_foreign(bounds, merges).await
}

/// Holds up, cuts off and deposes shards at random, and looks after locks, as nodes do.
async fn disturb(
    cluster: Arc<MemoryCluster>,
    mut rng: Rng,
    over: Arc<AtomicBool>,
    only_slow: bool,
) -> u64 {
    let mut count = 0;
    while !over.load(Ordering::SeqCst) {
        let shards = cluster.data_shard_ids();
        let shard = *rng.pick(&shards).expect("there are some");
        let replication = &cluster.shard(shard).expect("it exists").replication;
        let deposed = match if only_slow { 0 } else { rng.below(4) } {
            0 => {
                replication.hold(0);
                false
            }
            1 => {
                replication.lose_quorum();
                false
            }
            _ => {
                replication.depose();
                true
            }
        };
        count += 1;
        tokio::time::sleep(Duration::from_millis(rng.below(60))).await;
        if deposed || (!only_slow && rng.chance(0.5)) {
            let limbo = if rng.chance(0.5) { Unconfirmed::Kept } else { Unconfirmed::Lost };
            replication.elect(limbo).expect("the engine works");
        }
        replication.heal();
        cluster.survey_locks();
        tokio::time::sleep(Duration::from_millis(rng.below(120))).await;
    }
    count
}

fn slot_of(list: i64) -> Slot {
    let list = list as u32;
    // Lists of a shard lie apart, so that it can be split between them.
    Slot(((list % SHARDS) * (65_536 / SHARDS) + 100 * (1 + list / SHARDS)) as u16)
}

fn key_of(list: i64) -> Bytes {
    let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
    key.put_u64(list as u64);
    key.finish(slot_of(list))
}

fn elements(value: Option<&Bytes>) -> Vec<i64> {
    let text = value.map_or("", |value| std::str::from_utf8(value).expect("as it was written"));
    text.split(',').skip(1).map(|element| element.parse().expect("as it was written")).collect()
}

/// Runs actions as one transaction and fills in what they read.
async fn transact(
    client: &Arc<RoughClient>,
    style: Style,
    scans: bool,
    actions: &mut [Action],
) -> Result<()> {
    let txn = match style {
        Style::Latest => Transaction::begin(client.clone(), Mode::Latest),
        Style::Serializable => Transaction::begin(client.clone(), Mode::Snapshot).serializable(),
        _ => Transaction::begin(client.clone(), Mode::Snapshot).tracking_reads(),
    };
    let mut txn = match style.sends() {
        true => txn.sized(TransactionSizes { buffered_max: 0, ..TransactionSizes::default() }),
        false => txn,
    };
    for action in actions {
        match action {
            Action::Read(list, read) => {
                let key = key_of(*list);
                if style.locks_reads() {
                    lock(&mut txn, &key, LockMode::Shared).await?;
                }
                let value = match scans && !style.locks_reads() {
                    true => find(&mut txn, *list).await?,
                    false => txn.get(&key).await?,
                };
                *read = Some(elements(value.as_ref()));
            }
            Action::Append(list, element) => {
                let key = key_of(*list);
                if style.locks_writes() {
                    lock(&mut txn, &key, LockMode::Exclusive).await?;
                }
                let value = txn.get(&key).await?;
                let mut text = value.map_or(Vec::new(), |value| value.to_vec());
                text.extend_from_slice(format!(",{element}").as_bytes());
                let expect = match txn.expect_unchanged(&key) {
                    Expect::Any => Expect::Absent,
                    expect => expect,
                };
                txn.put(key, text, expect)?;
                txn.make_room().await?;
            }
        }
    }
    txn.commit().await.map(|_| ())
}

/// The value of a list, found among all of them.
async fn find(txn: &mut Transaction, list: i64) -> Result<Option<Bytes>> {
    let range = KeyRange::prefix(table_prefix(TableId::FIRST_USER));
    let mut scan = txn.scan(range, ScanOptions::default()).await?;
    let mut found = None;
    while let Some(page) = scan.next_page().await? {
        for (key, value) in page {
            if KeyReader::new(&key)?.take_u64()? == Some(list as u64) {
                found = Some(value);
            }
        }
    }
    Ok(found)
}

/// Locks a row, with a newer read point when it has changed.
async fn lock(txn: &mut Transaction, key: &Bytes, mode: LockMode) -> Result<()> {
    let patience = Patience::Wait(Duration::from_secs(2));
    for _ in 0..RENEWALS_MAX {
        let outcomes = txn.lock(std::slice::from_ref(key), RowLock { mode, patience }).await?;
        match txn.check_fresh(key, outcomes[0]) {
            Err(Error::Stale { .. }) => {
                if !txn.advance().await? {
                    return Err(Error::WriteConflict { key: key.clone() });
                }
            }
            outcome => return outcome,
        }
    }
    Err(Error::WriteConflict { key: key.clone() })
}
