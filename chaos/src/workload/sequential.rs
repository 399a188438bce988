//! Chains: a client inserts the steps of a chain one after the other, each by a statement of its own and on a shard of
//! its own; others look for the last steps, the latest first, in turn at two nodes.
//!
//! Whoever has seen a step must afterwards see the steps before it, wherever it asks.

use super::client::{Client, Steady, Trouble};
use super::{Setup, Stop, Target, Workload};
use crate::history::check::{self, Verdict};
use crate::history::{Event, Failure, Op, Recorder};
use async_trait::async_trait;
use base::Rng;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Clients that insert.
const WRITERS: u64 = 2;
/// Clients.
const CLIENTS: u64 = 4;
/// Steps of a chain.
const LENGTH: i64 = 40;
/// Steps that a read looks for.
const LOOK_BACK: i64 = 4;
/// No step was inserted yet.
const NONE: i64 = -1;
/// First process of the final reads; one per node.
const FINAL: u64 = 1000;

static SETUP: Setup = Setup {
    name: "sequential",
    clients: CLIENTS,
    drop: "DROP TABLE IF EXISTS chaos.steps",
    create: "CREATE TABLE chaos.steps (k BIGINT NOT NULL, step BIGINT NOT NULL, PRIMARY KEY (k, step))",
};
/// Chain, step.
const INSERT: &str = "INSERT INTO chaos.steps (k, step) VALUES (?, ?)";
/// Chain, step.
const READ: &str = "SELECT step FROM chaos.steps WHERE k = ? AND step = ?";
/// Chain.
const READ_ALL: &str = "SELECT step FROM chaos.steps WHERE k = ?";

/// The workload.
pub(super) struct Sequential {
    /// What each writer is inserting: chain · `LENGTH` + step.
    under_way: [AtomicI64; WRITERS as usize],
    /// All chains that were begun.
    chains: Mutex<BTreeSet<i64>>,
}

impl Sequential {
    /// Nothing inserted yet.
    pub(super) fn new() -> Sequential {
        Sequential {
            under_way: std::array::from_fn(|_| AtomicI64::new(NONE)),
            chains: Mutex::default(),
        }
    }

    fn chains(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let mut connection = Client::new(target, client);
        let under_way = &self.under_way[client as usize];
        let (mut key, mut step) = (client as i64, 0);
        while connection.turn(stop).await {
            self.chains().insert(key);
            under_way.store(key * LENGTH + step, Ordering::Release);
            let op = Op::Step { key, step };
            recorder.invoke(client, &op);
            let answer = connection.change(INSERT, (key, step)).await;
            // After a failure the chain ends: its next step would say nothing about this one.
            if answer.is_ok() && step + 1 < LENGTH {
                step += 1;
            } else {
                (key, step) = (key + WRITERS as i64, 0);
            }
            let answer = answer.map(|_| op.clone()).map_err(Trouble::committing);
            connection.settle(recorder, client, &op, answer).await;
        }
    }

    async fn read(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        let mut connection = Client::new(target, client);
        let mut another = Client::new(target, client + 1);
        let mut rng = Rng::seeded(client);
        while connection.turn(stop).await {
            let Some(under_way) = rng.pick(&self.under_way) else { continue };
            let last = under_way.load(Ordering::Acquire);
            if last == NONE {
                continue;
            }
            let (key, last) = (last / LENGTH, last % LENGTH);
            let steps: Vec<i64> = ((last + 1 - LOOK_BACK).max(0)..=last).rev().collect();
            let called = Op::ReadSteps { key, steps: steps.clone(), found: None };
            recorder.invoke(client, &called);
            let mut found = Vec::new();
            let mut failed = None;
            for (number, step) in steps.iter().enumerate() {
                let asked = if number % 2 == 0 { &mut connection } else { &mut another };
                match asked.rows::<i64>(READ, (key, *step)).await {
                    Ok(rows) => found.extend(rows),
                    Err(failure) => {
                        failed = Some((failure, number % 2 == 0));
                        break;
                    }
                }
            }
            let (answer, first) = match failed {
                Some((failure, first)) => (Err(Trouble::before_commit(failure)), first),
                None => (Ok(Op::ReadSteps { key, steps, found: Some(found) }), true),
            };
            let asked = if first { &mut connection } else { &mut another };
            asked.settle(recorder, client, &called, answer).await;
        }
    }
}

#[async_trait]
impl Workload for Sequential {
    fn setup(&self) -> &'static Setup {
        &SETUP
    }

    fn begin(&self) -> Option<String> {
        self.chains().clear();
        self.under_way.iter().for_each(|one| one.store(NONE, Ordering::Release));
        None
    }

    async fn run(&self, client: u64, target: &Target, recorder: &Recorder, stop: &Stop) {
        if client < WRITERS {
            self.write(client, target, recorder, stop).await;
        } else {
            self.read(client, target, recorder, stop).await;
        }
    }

    async fn final_read(&self, target: &Target, recorder: &Recorder) -> Result<(), Failure> {
        let chains: Vec<i64> = self.chains().iter().copied().collect();
        let steps: Vec<i64> = (0..LENGTH).rev().collect();
        for node in 0..target.nodes.len() {
            let mut steady = Steady::new(target, node);
            let process = FINAL + node as u64;
            for key in &chains {
                let (key, steps) = (*key, steps.clone());
                recorder.invoke(process, &Op::ReadSteps { key, steps: steps.clone(), found: None });
                let found = Some(steady.rows(READ_ALL, (key,)).await?);
                recorder.ok(process, &Op::ReadSteps { key, steps, found });
            }
        }
        Ok(())
    }

    fn check(&self, history: &[Event]) -> Verdict {
        check::sequential(history)
    }
}
