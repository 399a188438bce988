//! The real code of commits, resolvers and prepared transactions, in every order of messages within bounds, and the
//! defects that this must find.
//!
//! A scenario (`scenario`) is a few coordinators and readers over two shards in memory. Each of their messages waits until
//! the explorer (`explorer`) lets it go on. What must be true of every run is in `judge`. One process explores one
//! scenario. An ordinary run takes `ORDINARY`, `PRECINCT_SOAK=1` takes `SOAK`. To see a schedule again:
//! `PRECINCT_SEED=<scenario> PRECINCT_SCHEDULE=<schedule> cargo test --release --workspace --test interleavings -- --nocapture`.
//!
//! The other way round, long random runs: `chaos/tests/transactions`.

mod explorer;
mod judge;
mod parties;
mod scenario;
mod stage;
mod steps;
mod story;

use chaos::seeds::{self, BROKEN, BROKEN_STATUS, DEFECT_VARIABLE, Outcome, Report};
use explorer::{Bounds, Budget, Explored, Found};
use scenario::{SCENARIOS, Scenario};

/// How far an ordinary run goes.
const ORDINARY: Bounds =
    Bounds { depth: 2, budget: Budget { deviations: 2, faults: 1 }, schedules: 12_000 };
/// How far it goes to find a defect. It ends with the first schedule that shows it.
const DEFECT: Bounds = Bounds { schedules: 40_000, ..ORDINARY };
/// How far a long run goes.
const SOAK: Bounds =
    Bounds { depth: 3, budget: Budget { deviations: 3, faults: 2 }, schedules: 150_000 };
/// Names the schedule to run instead of all.
const SCHEDULE_VARIABLE: &str = "PRECINCT_SCHEDULE";

/// Defects, and the scenario that must find each.
const DEFECTS: [(&str, u64); 11] = [
    ("async-commit-rolled-back", 2),
    ("missing-lock-leaves-no-record", 1),
    ("async-error-before-rollback", 1),
    ("async-commit-at-the-first", 1),
    ("answered-before-the-primary", 5),
    ("commit-point-before-prewrites", 5),
    ("expectations-unchecked", 4),
    ("undecided-is-rolled-back", 1),
    ("reads-pass-locks", 1),
    ("locks-not-loaded", 8),
    ("look-misses-a-lock", 10),
];

fn main() {
    let tests: &[(&str, fn())] = &[
        ("no_schedule_breaks_an_invariant", every_scenario),
        ("equal_schedules_give_equal_runs", equal_runs),
        ("coordinator_dies_at_every_step", steps::coordinator_dies_at_every_step),
        ("every_defect_is_found", every_defect),
    ];
    seeds::main(run, tests);
}

/// Explores the scenario of this number and returns its report, one line of JSON.
fn run(number: u64) -> String {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // In a task a panic would go by unseen.
        usual(panic);
        println!("\n{BROKEN}panic: {panic}");
        std::process::exit(BROKEN_STATUS);
    }));
    let scenario = numbered(number);
    let bounds = match (std::env::var_os("PRECINCT_SOAK"), std::env::var_os(DEFECT_VARIABLE)) {
        (_, Some(_)) => DEFECT,
        (Some(_), None) => SOAK,
        (None, None) => ORDINARY,
    };
    if let Ok(schedule) = std::env::var(SCHEDULE_VARIABLE) {
        let schedule = schedule.parse().expect("PRECINCT_SCHEDULE is a schedule");
        print!("{}", describe(scenario, &explorer::show(scenario, schedule, bounds.budget)));
        return report(&Explored::default());
    }
    match explorer::explore(scenario, bounds) {
        Ok(explored) => report(&explored),
        Err(found) => {
            println!("{BROKEN}{}: {}", found.broken.invariant, describe(scenario, &found));
            println!("again: {DEFECT_VARIABLE}=<if any> {}={number} ", seeds::SEED_VARIABLE);
            println!("  {SCHEDULE_VARIABLE}={} and this test", found.schedule);
            std::process::exit(BROKEN_STATUS);
        }
    }
}

fn every_scenario() {
    let (mut total, mut failures) = (Report::default(), Vec::new());
    seeds::run_seeds(1..=SCENARIOS.len() as u64, None, |number, outcome| {
        match outcome {
            Outcome::Held(report) => {
                let name = numbered(number).name;
                let count = |what: &str| report.counts.get(what).copied().unwrap_or_default();
                let (run, left) = (count("schedules"), count("left out"));
                println!("{number} {name}: {run} schedules, {left} left out");
                total.add(&report);
            }
            Outcome::Broken { text, .. } => failures.push(text),
        }
        true
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    for met in ["told: committed", "told: refused", "told: unknown", "check: snapshots"] {
        assert!(total.counts.get(met).is_some_and(|count| *count > 0), "never met: {met}");
    }
    println!("told: {}\nchecks: {}", total.line("told:"), total.line("check:"));
}

fn equal_runs() {
    for scenario in &SCENARIOS {
        let few = Bounds { schedules: 50, ..ORDINARY };
        let twice = [(); 2].map(|()| explorer::explore(scenario, few).ok());
        assert!(twice[0].is_some(), "{}: an invariant is broken", scenario.name);
        assert_eq!(twice[0], twice[1], "{}", scenario.name);
    }
}

fn every_defect() {
    let mut missed = Vec::new();
    for &(name, number) in seeds::defects::chosen(&DEFECTS, |(name, _)| name) {
        match seeds::run_seed(number, Some(name)) {
            Outcome::Broken { invariant, .. } if invariant != "process" && invariant != "panic" => {
                println!("{name}: found by \"{invariant}\" in \"{}\"", numbered(number).name);
            }
            Outcome::Broken { text, .. } => missed.push(format!("{name}: {text}")),
            Outcome::Held(report) => {
                let run = report.counts.get("schedules").copied().unwrap_or_default();
                missed.push(format!("{name}: not found in {run} schedules"));
            }
        }
    }
    assert!(missed.is_empty(), "not found as they must be:\n{}", missed.join("\n"));
}

fn numbered(number: u64) -> &'static Scenario {
    const ALL: &[Scenario] = &SCENARIOS;
    let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    place.and_then(|place| ALL.get(place)).expect("a scenario has this number")
}

fn describe(scenario: &Scenario, found: &Found) -> String {
    let (name, what, trace) = (scenario.name, &found.broken.what, found.trace.join("\n"));
    format!("{name}, schedule {}\n{what}\n{trace}\n", found.schedule)
}

fn report(explored: &Explored) -> String {
    let counts = explored.counts.iter().map(|(what, count)| format!("\"{what}\":{count}"));
    let counts = counts.collect::<Vec<_>>().join(",");
    format!(r#"{{"hash":"{:016x}","counts":{{{counts}}}}}"#, explored.hash)
}
