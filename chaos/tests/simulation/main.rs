//! Many simulated runs of a cluster, each decided by its seed, in processes of their own.
//!
//! An ordinary run takes the seeds 1 to 200 and three of them twice: the same seed must give the same run.
//! `PRECINCT_SEEDS` is another number of seeds, `PRECINCT_FIRST_SEED` another first one (`make sim SEEDS=2000`).
//! To replay one: `PRECINCT_SEED=<seed> cargo test --release --workspace --test simulation -- --nocapture`; with
//! `PRECINCT_TRACE=1` it prints every event. How it works: docs/explanation/simulation.md.
//!
//! The clock and entropy of the whole process are the simulation's (mad-turmoil), so this must be a test
//! binary of its own.

mod sim;

use chaos::seeds::{self, Outcome, Report};
use std::collections::BTreeSet;

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;
/// Seeds of a soak.
const SOAK_SEEDS: u64 = 2000;
/// How many seeds are run twice.
const TWICE: u64 = 3;
/// Seeds between two lines of progress.
const PROGRESS_EVERY: u64 = 50;
/// Seeds that fail before the rest is not run any more.
const FAILURES_MAX: usize = 5;
/// Enough seeds that every fault and every invariant must have had its turn.
const SEEDS_FOR_ALL: u64 = 100;

#[test]
fn no_invariant_breaks_and_the_same_seed_gives_the_same_run() {
    if let Some(seed) = seeds::own_seed() {
        println!("{}{}", seeds::REPORT, sim::run(seed));
        return;
    }
    let count = number("PRECINCT_SEEDS").unwrap_or(match std::env::var_os("PRECINCT_SOAK") {
        Some(_) => SOAK_SEEDS,
        None => SEEDS,
    });
    let first = number("PRECINCT_FIRST_SEED").unwrap_or(1);
    let (mut total, mut failures, mut hashes) = (Report::default(), Vec::new(), BTreeSet::new());
    let mut done = 0;
    seeds::run_seeds(first..first + count, None, |seed, outcome| {
        done += 1;
        match outcome {
            Outcome::Held(report) => {
                total.add(&report);
                let fresh = hashes.insert(report.hash);
                assert!(fresh, "seed {seed} gave the run of another seed: seeds decide nothing");
            }
            Outcome::Broken { text, .. } => {
                println!("{text}");
                failures.push(seed);
            }
        }
        if done % PROGRESS_EVERY == 0 {
            println!("{done} of {count} seeds, {} failed", failures.len());
        }
        failures.len() < FAILURES_MAX
    });
    println!(
        "{done} seeds, {} simulated seconds",
        total.counts.get("simulated seconds").unwrap_or(&0)
    );
    println!("faults: {}", total.line("fault:"));
    println!("checks: {}", total.line("check:"));
    println!("acknowledged writes: {}", total.counts.get("acknowledged writes").unwrap_or(&0));
    assert!(failures.is_empty(), "failed seeds: {failures:?}; replay lines are above");
    if count >= SEEDS_FOR_ALL {
        every_invariant_was_checked(&total);
    }
    for seed in first..first + TWICE.min(count) {
        let (one, two) = (seeds::run_seed(seed, None), seeds::run_seed(seed, None));
        assert_eq!(one, two, "seed {seed} gave two different runs");
    }
}

/// A check that never met what it checks proves nothing.
fn every_invariant_was_checked(total: &Report) {
    for invariant in [
        "acknowledged is durable",
        "committed never changes",
        "election safety",
        "fence",
        "former replica is silent",
        "leader completeness",
        "lease safety",
        "liveness",
        "log matching",
        "promises survive",
        "recovering never votes",
        "state-machine safety",
    ] {
        let count = total.counts.get(&format!("check: {invariant}")).copied().unwrap_or(0);
        assert!(count > 0, "{invariant} was never checked on anything");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
