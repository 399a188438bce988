//! Clients beside a node: they write and read wherever it says that it serves, and watch it.

use super::clock::world_time;
use super::invariant;
use super::node::{encode, register_key};
use super::world::{World, Write};
use base::{NodeId, Rng};
use raft::replica_group::ReplicaGroup;
use std::sync::Arc;
use std::time::Duration;

/// Pause between two writes of one node.
const WRITE_PAUSE: Duration = Duration::from_millis(25);
/// Pause between two reads of one node.
const READ_PAUSE: Duration = Duration::from_millis(20);
/// Pause between two looks at a node.
const WATCH_PAUSE: Duration = Duration::from_millis(10);
/// How often a look goes through the whole state.
const STATE_CHECK_EVERY: u64 = 200;
/// Number of registers.
const REGISTERS: u64 = 4;
/// How long a reader may dwell between the steps of what it does, milliseconds.
const READER_DWELL_MS_MAX: u64 = 1600;
/// The same for a writer: long enough that its node may have lost leadership and won it again.
const WRITER_DWELL_MS_MAX: u64 = 15_000;

/// Runs until the node's power is cut.
pub async fn run(node: u64, world: Arc<World>, group: Arc<dyn ReplicaGroup>) {
    tokio::join!(
        write(node, world.clone(), group.clone()),
        read(node, world.clone(), group.clone()),
        watch(node, world, group),
    );
}

/// Waits as a thread would that is not scheduled for a while; mostly not at all.
async fn dwell(rng: &mut Rng, chance: f64, ms_max: u64) {
    if rng.chance(chance) {
        tokio::time::sleep(Duration::from_millis(rng.below(ms_max))).await;
    }
}

async fn write(node: u64, world: Arc<World>, group: Arc<dyn ReplicaGroup>) {
    let mut rng = world.draw();
    loop {
        tokio::time::sleep(WRITE_PAUSE).await;
        let Some(term) = group.serving_term() else { continue };
        invariant::election_safety::serving(&world, node, term, &group);
        let write = {
            let mut observed = world.observed.lock();
            if observed.quiet {
                continue;
            }
            observed.last_write += 1;
            let number = observed.last_write;
            observed.sent.insert(number);
            Write { number, register: rng.below(REGISTERS), term }
        };
        let plan = &world.plan;
        let padding =
            if plan.equal_commands { plan.padding_max } else { rng.below(plan.padding_max + 1) };
        let mut slow = Rng::seeded(rng.next_u64());
        let (world, group) = (world.clone(), group.clone());
        // Writes overlap, so that several are on their way when the power goes.
        tokio::spawn(async move {
            // What was evaluated in a term must be in no log of another, however late it is proposed.
            dwell(&mut slow, 0.05, WRITER_DWELL_MS_MAX).await;
            let outcome = group.propose(term, encode(&write, padding)).await;
            let now = world_time();
            world.event(&format!("{now:?} node {node} {write:?}: {outcome:?}"));
            if outcome.is_ok() {
                invariant::lease_safety::acknowledged(&world, &write);
                world.observed.lock().acknowledged.insert(write.number, now);
            }
        });
    }
}

async fn read(node: u64, world: Arc<World>, group: Arc<dyn ReplicaGroup>) {
    let mut rng = world.draw();
    loop {
        tokio::time::sleep(READ_PAUSE).await;
        let register = rng.below(REGISTERS);
        let (asks_quorum, mut slow) = (rng.chance(0.1), Rng::seeded(rng.next_u64()));
        let (world, group) = (world.clone(), group.clone());
        tokio::spawn(async move {
            let term = async || match group.serving_term() {
                None if asks_quorum => group.confirm_term().await,
                term => term,
            };
            let read = invariant::lease_safety::Read::begin(&world, register);
            // As `txn` reads: the term, the state, the term again.
            let Some(before) = term().await else { return };
            let snapshot = group.engine().snapshot();
            dwell(&mut slow, 0.1, READER_DWELL_MS_MAX).await;
            if term().await != Some(before) {
                return;
            }
            match snapshot.get(&register_key(register)) {
                Ok(found) => read.end(&world, node, before, found),
                // The engine is being replaced by a Raft snapshot: no answer.
                Err(engine::Error::Folder { .. }) => {}
                Err(error) => world.fail("integrity", format!("node {node}: {error}")),
            }
        });
    }
}

/// Looks at what the node shows to others, and gives leadership away when the schedule says so.
async fn watch(node: u64, world: Arc<World>, group: Arc<dyn ReplicaGroup>) {
    for round in 1u64.. {
        tokio::time::sleep(WATCH_PAUSE).await;
        invariant::promises_survive::shown(&world, node, &group.status());
        if round.is_multiple_of(STATE_CHECK_EVERY) {
            invariant::committed_never_changes::check(&world, node, &group);
        }
        let transfer = {
            let mut observed = world.observed.lock();
            let position = observed.transfers.iter().position(|(from, _)| *from == node);
            position.map(|position| observed.transfers.remove(position))
        };
        if let Some((_, to)) = transfer {
            let (world, group) = (world.clone(), group.clone());
            tokio::spawn(async move {
                let outcome = group.transfer_leader(NodeId(to)).await;
                world.event(&format!("transfer from {node} to {to}: {outcome:?}"));
                if outcome.is_ok() {
                    world.count("fault: leadership transferred", 1);
                }
            });
        }
    }
}
