//! Runs many seeds of a simulation, each in a process of its own, some at once, and adds up what they report.
//!
//! The test binary calls itself: the child finds its seed in `PRECINCT_SEED`, prints one line that begins with
//! [`REPORT`], or one that begins with [`BROKEN`] and ends with [`BROKEN_STATUS`].
//!
//! Such a binary has no harness of the usual kind but [`main`]: where the clock is the simulation's, the usual one
//! would wait for its tests in a busy loop.

pub mod defects;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;

/// Names the seed of a child.
pub const SEED_VARIABLE: &str = "PRECINCT_SEED";
/// Names the defect that a child switches on.
pub const DEFECT_VARIABLE: &str = "PRECINCT_DEFECT";
/// Before the report of a run that went well: one line of JSON.
pub const REPORT: &str = "report: ";
/// Before the name of a broken invariant and what was seen.
pub const BROKEN: &str = "broken invariant: ";
/// How a process ends that saw a broken invariant.
pub const BROKEN_STATUS: i32 = 3;
/// Runs at once, at most.
const WORKERS_MAX: usize = 16;

/// How one seed went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every invariant held.
    Held(Report),
    /// One was broken.
    Broken {
        /// Which.
        invariant: String,
        /// What was seen, and how to see it again.
        text: String,
    },
}

/// What a run that went well says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Over every event of the run.
    pub hash: String,
    /// How often what happened.
    pub counts: BTreeMap<String, u64>,
}

impl Report {
    /// Reads a line of JSON.
    fn parse(line: &str) -> Option<Report> {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let counts = value.get("counts")?.as_object()?;
        let counts: Option<BTreeMap<String, u64>> =
            counts.iter().map(|(what, count)| Some((what.clone(), count.as_u64()?))).collect();
        Some(Report { hash: value.get("hash")?.as_str()?.to_string(), counts: counts? })
    }

    /// Adds another report's counts.
    pub fn add(&mut self, other: &Report) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
    }

    /// The counts whose names begin with `kind`, in one line.
    pub fn line(&self, kind: &str) -> String {
        let of_kind = self.counts.iter().filter_map(|(what, count)| {
            let what = what.strip_prefix(kind)?;
            Some(format!("{} {count}", what.trim_start()))
        });
        of_kind.collect::<Vec<_>>().join(", ")
    }
}

/// The `main` of a test binary without the usual harness: a child runs its seed by `run`; else these tests run one
/// after the other, as far as the command line's filters choose them, and their end is reported as usual.
///
/// # Panics
/// When a test does, or when `PRECINCT_SEED` is no number.
pub fn main(run: fn(u64) -> String, tests: &[(&str, fn())]) {
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        println!("{REPORT}{}", run(seed.parse().expect("PRECINCT_SEED is a number")));
        return;
    }
    let filters: Vec<String> = std::env::args().skip(1).collect();
    if filters.iter().any(|flag| flag == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let filters: Vec<&String> = filters.iter().filter(|word| !word.starts_with('-')).collect();
    let (chosen, others): (Vec<_>, Vec<_>) = tests.iter().partition(|(name, _)| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    });
    println!("\nrunning {} tests of {}", chosen.len(), tests.len());
    for (name, test) in &chosen {
        test();
        println!("test {name} ... ok");
    }
    let (passed, left) = (chosen.len(), others.len());
    println!(
        "\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; {left} filtered out\n"
    );
}

/// Runs one seed in a child, with a defect or without.
///
/// # Panics
/// When the test binary cannot run itself.
pub fn run_seed(seed: u64, defect: Option<&str>) -> Outcome {
    let this = std::env::current_exe().expect("a test knows its own path");
    let mut command = Command::new(this);
    command.env(SEED_VARIABLE, seed.to_string());
    match defect {
        Some(defect) => command.env(DEFECT_VARIABLE, defect),
        None => command.env_remove(DEFECT_VARIABLE),
    };
    let output = command.output().expect("the test runs itself");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = |mark: &str| text.lines().find_map(|line| line.split_once(mark));
    if let Some((_, broken)) = found(BROKEN) {
        let invariant = broken.split(':').next().unwrap_or_default().to_string();
        let from = text.find(BROKEN).unwrap_or_default();
        return Outcome::Broken { invariant, text: format!("seed {seed}: {}", &text[from..]) };
    }
    let report = found(REPORT).and_then(|(_, report)| Report::parse(report));
    match report.filter(|_| output.status.success()) {
        Some(report) => Outcome::Held(report),
        None => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let text = format!("seed {seed}: the run ended with {}\n{text}{errors}", output.status);
            Outcome::Broken { invariant: "process".to_string(), text }
        }
    }
}

/// Runs seeds in order, one child per core at once, until `on_outcome` returns false. Outcomes come in
/// any order.
pub fn run_seeds(
    seeds: impl Iterator<Item = u64> + Send,
    defect: Option<&str>,
    on_outcome: impl FnMut(u64, Outcome) -> bool + Send,
) {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let seeds = Mutex::new(Some(seeds));
    let on_outcome = Mutex::new(on_outcome);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next =
                        seeds.lock().expect("no worker panics").as_mut().and_then(Iterator::next);
                    let Some(seed) = next else { return };
                    let outcome = run_seed(seed, defect);
                    let mut on_outcome = on_outcome.lock().expect("no worker panics");
                    if !on_outcome(seed, outcome) {
                        *seeds.lock().expect("no worker panics") = None;
                    }
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_add_up_and_are_told_by_kind() {
        let line = r#"{"hash":"ab","counts":{"fault: rot":2,"check: fence":7}}"#;
        let mut total = Report::parse(line).unwrap();
        total.add(&Report::parse(line).unwrap());
        assert_eq!(total.line("fault:"), "rot 4");
        assert_eq!(total.line("check:"), "fence 14");
        assert_eq!(Report::parse("{}"), None);
    }
}
