//! The bug bank: defects that were put back into `raft` on purpose, and the proof that the simulation finds
//! each of them.
//!
//! For each defect: some seed within its budget breaks one of the invariants named here, and the seeds that
//! were tried break nothing without it. An ordinary run takes a sample that changes from day to day
//! (`PRECINCT_BUG_ROUND` is another day); `make bugs` takes all. The points in the sources:
//! `raft/src/defect.rs`. Why a second build: docs/decisions/0006-defects-in-a-second-build.md.

#[path = "../simulation/sim/mod.rs"]
mod sim;

use chaos::seeds::{self, Outcome};
use std::collections::BTreeSet;

/// A defect and how it must be found.
struct Defect {
    /// As the sources name it.
    name: &'static str,
    /// Invariants that may find it.
    invariants: &'static [&'static str],
    /// Seeds until one of them does, at most.
    budget: u64,
}

const fn defect(name: &'static str, budget: u64, invariants: &'static [&'static str]) -> Defect {
    Defect { name, invariants, budget }
}

const DEFECTS: [Defect; 19] = [
    defect("acknowledge-before-sync", 100, &["durability", "leader completeness"]),
    defect("vote-before-sync", 100, &["promises survive"]),
    defect("vote-while-recovering", 200, &["recovering"]),
    defect("truncate-at-bad-checksum", 200, &["recovering"]),
    defect("no-vote-gate", 400, &["lease safety"]),
    defect("lease-without-margin", 400, &["lease safety"]),
    defect("lease-without-end", 100, &["lease safety"]),
    defect("read-index-skipped", 100, &["lease safety"]),
    defect("reads-during-transfer", 400, &["lease safety"]),
    defect("silence-is-acknowledgement", 100, &["durability", "leader completeness"]),
    defect("unknown-is-acknowledged", 100, &["durability", "leader completeness"]),
    defect("no-fence", 400, &["fence"]),
    defect("applied-apart", 100, &["committed never changes"]),
    defect("purge-past-flushed", 100, &["recovering"]),
    defect("snapshot-meta-without-content", 100, &["committed never changes"]),
    defect("former-replica-answers", 200, &["former replica"]),
    defect("recycled-records-accepted", 200, &["recovering", "promises survive", "log matching"]),
    defect("timers-stay-off", 100, &["liveness"]),
    defect("whole-log-taken-for-committed", 200, &["state-machine safety"]),
];

fn main() {
    let tests: &[(&str, fn())] = &[
        ("the_second_build_has_the_dependencies_of_the_first", same_dependencies),
        ("every_defect_is_found", every_defect),
    ];
    seeds::main(sim::run, tests);
}

fn every_defect() {
    let mut missed = Vec::new();
    for defect in seeds::defects::chosen(&DEFECTS, |defect| defect.name) {
        if let Err(why) = find(defect) {
            println!("{}: {why}", defect.name);
            missed.push(defect.name);
        }
    }
    assert!(missed.is_empty(), "not found as they must be: {missed:?}");
}

/// The second build must not drift from the first.
fn same_dependencies() {
    seeds::defects::assert_same_dependencies(
        include_str!("../../../raft/Cargo.toml"),
        include_str!("../../../defects/Cargo.toml"),
        include_str!("../../../Cargo.toml"),
    );
}

/// Looks for a defect, and for what its seeds do without it.
fn find(defect: &Defect) -> Result<(), String> {
    let (mut caught, mut other, mut tried) = (None, None, BTreeSet::new());
    seeds::run_seeds(1..=defect.budget, Some(defect.name), |seed, outcome| {
        tried.insert(seed);
        if let Outcome::Broken { invariant, text } = outcome {
            match defect.invariants.contains(&invariant.as_str()) {
                true => caught = caught.take().or(Some((seed, invariant))),
                false => other = other.take().or(Some(text)),
            }
        }
        caught.is_none()
    });
    let Some((seed, invariant)) = caught else {
        let other = other.map_or(String::new(), |text| format!("; something else broke:\n{text}"));
        return Err(format!("not found in {} seeds{other}", defect.budget));
    };
    println!("{}: found by \"{invariant}\" at seed {seed}, {} tried", defect.name, tried.len());
    let mut innocent = Ok(());
    seeds::run_seeds(tried.into_iter(), None, |_, outcome| {
        if let Outcome::Broken { text, .. } = outcome {
            innocent = Err(format!("without the defect the seed fails too:\n{text}"));
        }
        innocent.is_ok()
    });
    innocent
}
