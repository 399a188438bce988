//! Many simulated runs of transactions, each decided by its seed, and the defects that they must find.
//!
//! An ordinary run takes `SEEDS` seeds and three of them twice, then a sample of the defects that changes from day to
//! day; `PRECINCT_SEEDS` and `PRECINCT_FIRST_SEED` choose others, `PRECINCT_BUG=all` takes every defect (`make bugs`).
//! To replay a seed: `PRECINCT_SEED=<seed> cargo test --release --workspace --test transactions -- --nocapture`.
//!
//! The points of the defects are in the sources of `txn` (`txn/src/defect.rs`). Why a second build:
//! docs/decisions/0006-defects-in-a-second-build.md.

mod sim;

use chaos::seeds::{self, Outcome, Report};

/// Seeds of an ordinary run.
const SEEDS: u64 = 300;
/// How many seeds are run twice.
const TWICE: u64 = 3;

/// Defects, and the seeds within which each must be found.
const DEFECTS: [(&str, u64); 25] = [
    ("newest-read-passes-pending", 400),
    ("commit-point-before-prewrites", 100),
    ("answered-before-the-primary", 100),
    ("expectations-unchecked", 100),
    ("rollback-leaves-no-record", 400),
    ("undecided-is-rolled-back", 100),
    ("locks-not-loaded", 100),
    ("latches-of-nobody", 100),
    ("reads-pass-locks", 100),
    ("keys-not-tracked", 100),
    ("ranges-not-tracked", 200),
    ("locked-rows-unchecked", 200),
    ("stale-is-fresh", 100),
    ("first-read-unconfirmed", 200),
    ("async-prewrite-unseen", 400),
    ("async-commit-at-the-first", 400),
    ("async-commit-rolled-back", 400),
    ("async-error-before-rollback", 400),
    ("missing-lock-leaves-no-record", 2000),
    ("records-collected-before-locks", 400),
    ("late-prewrite-accepted", 2000),
    ("own-round-unseen", 100),
    ("first-round-stays", 100),
    ("large-locks-passed", 400),
    ("split-unfenced", 200),
];

fn main() {
    let tests: &[(&str, fn())] = &[
        ("the_second_build_has_the_dependencies_of_the_first", same_dependencies),
        ("no_history_is_violated_and_equal_seeds_give_equal_runs", many_seeds),
        ("every_defect_is_found", every_defect),
    ];
    seeds::main(sim::run, tests);
}

fn many_seeds() {
    let count = number("PRECINCT_SEEDS").unwrap_or(SEEDS);
    let first = number("PRECINCT_FIRST_SEED").unwrap_or(1);
    let (mut total, mut failures) = (Report::default(), Vec::new());
    seeds::run_seeds(first..first + count, None, |_, outcome| {
        match outcome {
            Outcome::Held(report) => total.add(&report),
            Outcome::Broken { text, .. } => failures.push(text),
        }
        failures.len() < 3
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    for seed in first..first + TWICE.min(count) {
        let twice = [seeds::run_seed(seed, None), seeds::run_seed(seed, None)];
        assert_eq!(twice[0], twice[1], "seed {seed} gave two different runs");
    }
    println!("{count} seeds\nfaults: {}\nchecks: {}", total.line("fault:"), total.line("check:"));
}

fn every_defect() {
    let mut missed = Vec::new();
    for &(name, budget) in seeds::defects::chosen(&DEFECTS, |(name, _)| name) {
        let (mut caught, mut tried) = (None, 0);
        seeds::run_seeds(1..=budget, Some(name), |seed, outcome| {
            tried += 1;
            if let Outcome::Broken { invariant, .. } = outcome
                && invariant != "process"
            {
                caught = caught.take().or(Some((seed, invariant)));
            }
            caught.is_none()
        });
        match caught {
            Some((seed, by)) => println!("{name}: found by \"{by}\" at seed {seed}, {tried} tried"),
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not found within their budgets: {missed:?}");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// The second build must not drift from the first.
fn same_dependencies() {
    seeds::defects::assert_same_dependencies(
        include_str!("../../../txn/Cargo.toml"),
        include_str!("../../../defects/txn/Cargo.toml"),
        include_str!("../../../Cargo.toml"),
    );
}
