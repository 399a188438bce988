//! Transfers between accounts on several shards while replication and clients misbehave.
//!
//! Invariant: money is neither made nor lost, and no reader ever sees a transfer half done. Each seed decides
//! all waits, faults and lost answers; time is simulated, so a run takes no time.

use base::{IndexId, KeyRange, NodeId, Rng, ShardId, Slot, TableId};
use bytes::Bytes;
use engine::key::{KeyBuilder, table_prefix};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use txn::testing::{MemoryCluster, PausedClock, RoughClient, Roughness, Unconfirmed};
use txn::{Error, Mode, Result, ScanOptions, ShardClient, Transaction};

/// Accounts; they lie on all shards in turn.
const ACCOUNTS: u16 = 9;
/// What each holds in the beginning.
const BALANCE: i64 = 100;
/// Data shards.
const SHARDS: u32 = 3;

fn account(number: u16) -> Bytes {
    let slot = (u32::from(number) % SHARDS) * (65_536 / SHARDS) + 100;
    let mut key = KeyBuilder::new(TableId::FIRST_USER, IndexId::PRIMARY);
    key.put_u64(u64::from(number));
    key.finish(Slot(slot as u16))
}

fn encode(balance: i64) -> Bytes {
    Bytes::copy_from_slice(&balance.to_be_bytes())
}

fn decode(value: Option<Bytes>) -> i64 {
    i64::from_be_bytes(value.expect("the account exists")[..].try_into().expect("8 bytes"))
}

async fn transfer(client: &Arc<RoughClient>, rng: &mut Rng, mode: Mode) -> Result<()> {
    let from = rng.below(u64::from(ACCOUNTS)) as u16;
    let to = (from + 1 + rng.below(u64::from(ACCOUNTS) - 1) as u16) % ACCOUNTS;
    let amount = 1 + rng.below(5) as i64;
    let mut txn = Transaction::begin(client.clone(), mode);
    let (from, to) = (account(from), account(to));
    // One round or two, so that a statement in mode Latest has to confirm what it read.
    let (a, b) = if rng.chance(0.5) {
        let mut values = txn.multi_get(&[from.clone(), to.clone()]).await?;
        let b = values.pop().flatten();
        (values.pop().flatten(), b)
    } else {
        (txn.get(&from).await?, txn.get(&to).await?)
    };
    let (expect_from, expect_to) = (txn.expect_unchanged(&from), txn.expect_unchanged(&to));
    txn.put(from, encode(decode(a) - amount), expect_from)?;
    txn.put(to, encode(decode(b) + amount), expect_to)?;
    txn.commit().await.map(|_| ())
}

async fn total(client: &Arc<RoughClient>, rng: &mut Rng) -> Result<i64> {
    let mode = if rng.chance(0.5) { Mode::Snapshot } else { Mode::Latest };
    let mut txn = Transaction::begin(client.clone(), mode);
    let keys: Vec<Bytes> = (0..ACCOUNTS).map(account).collect();
    match rng.below(4) {
        0 => return Ok(txn.multi_get(&keys).await?.into_iter().map(decode).sum()),
        1 => {
            // One after the other: in mode Latest the first is read without a timestamp.
            let mut sum = 0;
            for key in &keys {
                sum += decode(txn.get(key).await?);
            }
            return Ok(sum);
        }
        _ => {}
    }
    let options =
        ScanOptions { reverse: rng.chance(0.5), ordered: rng.chance(0.5), ..Default::default() };
    let range = KeyRange::prefix(table_prefix(TableId::FIRST_USER));
    let (mut scan, mut sum, mut rows) = (txn.scan(range, options).await?, 0, 0);
    while let Some(page) = scan.next_page().await? {
        rows += page.len();
        sum += page.into_iter().map(|(_, value)| decode(Some(value))).sum::<i64>();
    }
    assert_eq!(rows, usize::from(ACCOUNTS), "a row is missing or came twice");
    Ok(sum)
}

/// Holds up, cuts off and deposes shards at random.
async fn disturb(cluster: Arc<MemoryCluster>, mut rng: Rng, over: Arc<AtomicBool>) {
    while !over.load(Ordering::SeqCst) {
        let shard = ShardId(1 + rng.below(u64::from(SHARDS)));
        let replication = &cluster.shard(shard).expect("it exists").replication;
        match rng.below(3) {
            0 => replication.hold(0),
            1 => replication.lose_quorum(),
            _ => replication.depose(),
        }
        tokio::time::sleep(Duration::from_millis(rng.below(400))).await;
        if rng.chance(0.5) || base_leader(&cluster, shard).is_none() {
            let limbo = if rng.chance(0.5) { Unconfirmed::Kept } else { Unconfirmed::Lost };
            replication.elect(limbo).expect("the engine works");
        }
        replication.heal();
        tokio::time::sleep(Duration::from_millis(rng.below(400))).await;
    }
}

fn base_leader(cluster: &MemoryCluster, shard: ShardId) -> Option<NodeId> {
    use txn::replication::Replication;
    cluster.shard(shard).expect("it exists").replication.leader()
}

#[allow(clippy::disallowed_methods)] // The one reader of paused time.
async fn run(seed: u64) -> (u64, u64, u64) {
    let clock = Arc::new(PausedClock::start());
    let cluster = MemoryCluster::new(SHARDS, clock).expect("a cluster");
    let roughness = Roughness { loss: 0.01, late: 0.0, death: 0.05, stall: 0.02 };
    let client = RoughClient::new(cluster.clone(), Rng::seeded(seed), roughness);
    let mut setup = Transaction::begin(cluster.clone(), Mode::Snapshot);
    for number in 0..ACCOUNTS {
        setup.put(account(number), encode(BALANCE), txn::command::Expect::Absent).expect("small");
    }
    setup.commit().await.expect("nothing is disturbed yet");
    let over = Arc::new(AtomicBool::new(false));
    let (committed, read) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let disturber = tokio::spawn(disturb(cluster, Rng::seeded(seed + 1), over.clone()));
    let mut clients = Vec::new();
    for number in 0..6 {
        let (client, committed) = (client.clone(), committed.clone());
        let mut rng = Rng::seeded(seed + 100 + number);
        let mode = if number % 2 == 0 { Mode::Snapshot } else { Mode::Latest };
        clients.push(tokio::spawn(async move {
            for _ in 0..40 {
                let done = transfer(&client, &mut rng, mode).await.is_ok();
                committed.fetch_add(u64::from(done), Ordering::SeqCst);
            }
        }));
    }
    for number in 0..2 {
        let (client, read) = (client.clone(), read.clone());
        let mut rng = Rng::seeded(seed + 200 + number);
        clients.push(tokio::spawn(async move {
            for _ in 0..60 {
                if let Ok(sum) = total(&client, &mut rng).await {
                    assert_eq!(sum, i64::from(ACCOUNTS) * BALANCE, "seed {seed}");
                    read.fetch_add(1, Ordering::SeqCst);
                }
            }
        }));
    }
    for client in clients {
        client.await.expect("no client panics");
    }
    over.store(true, Ordering::SeqCst);
    disturber.await.expect("the disturber does not panic");
    client.calm_down();
    // Once all is well every lock can be resolved.
    tokio::time::sleep(base::limits::LOCK_TTL * 2).await;
    let mut rng = Rng::seeded(seed + 3);
    let sum = loop {
        match total(&client, &mut rng).await {
            Ok(sum) => break sum,
            Err(Error::WriteConflict { .. }) => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
    };
    assert_eq!(sum, i64::from(ACCOUNTS) * BALANCE, "seed {seed}");
    let now = client.unix_ms();
    (committed.load(Ordering::SeqCst), read.load(Ordering::SeqCst), now)
}

fn simulate(seed: u64) -> (u64, u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(run(seed))
}

#[test]
fn money_is_neither_made_nor_lost() {
    for seed in 0..40 {
        let (committed, read, _) = simulate(seed * 1000);
        assert!(committed > 20, "seed {seed}: only {committed} transfers");
        assert!(read > 20, "seed {seed}: only {read} readers");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(simulate(7), simulate(7));
}
