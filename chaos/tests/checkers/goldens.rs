//! Every history of `tests/histories` gets the verdict that its name says.

use chaos::history::check::{self, Bank, Level, Verdict};
use chaos::history::{Event, read};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every anomaly that a checker can name: each has at least one history.
const ANOMALIES: [(&str, &[&str]); 10] = [
    ("register", &["not linearizable"]),
    ("set", &["lost", "stale", "resurrected", "out of nothing", "duplicate", "index differs"]),
    ("bank", &["wrong total", "wrong accounts", "wrong balance", "overdrawn"]),
    ("counter", &["went back", "lost increment", "counted twice"]),
    ("ledger", &["lost row", "lost version", "refused but there", "never sent", "duplicate"]),
    ("monotonic", &["went back", "against time", "gap", "duplicate", "out of nothing"]),
    ("sequential", &["skipped", "missing", "out of nothing"]),
    (
        "ddl",
        &[
            "lost row",
            "partial",
            "resurrected",
            "out of nothing",
            "duplicate",
            "index differs",
            "table missing",
            "absent but there",
        ],
    ),
    (
        "append",
        &[
            "G0",
            "G1a",
            "G1b",
            "G1c",
            "G1c-realtime",
            "G-single",
            "G-single-realtime",
            "G-nonadjacent",
            "long fork",
            "lost update",
            "lost append",
            "internal",
            "incompatible order",
            "duplicate",
            "out of nothing",
        ],
    ),
    ("serializable", &["G2-item", "G2-item-realtime"]),
];

fn judge(checker: &str, history: &[Event]) -> Verdict {
    match checker {
        "register" => check::register(history),
        "set" => check::set(history),
        "bank" => check::bank(history, Bank { accounts: 3, opening: 10, overdraft: false }),
        "counter" => check::counter(history),
        "ledger" => check::ledger(history),
        "monotonic" => check::monotonic(history),
        "sequential" => check::sequential(history),
        "ddl" => check::ddl(history),
        "append" => check::append(history, Level::Snapshot),
        "serializable" => check::append(history, Level::Serializable),
        other => panic!("no checker {other}"),
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn name(file: &Path) -> (&str, &str) {
    file.file_stem().unwrap().to_str().unwrap().split_once('-').unwrap()
}

#[test]
fn every_history_gets_the_verdict_of_its_name() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for file in files() {
        let (checker, expected) = name(&file);
        let history = read(&file).unwrap();
        let verdict = judge(checker, &history);
        judged += 1;
        let found: BTreeSet<String> =
            verdict.violations().iter().map(|v| v.anomaly.replace(' ', "-")).collect();
        let right = match expected.strip_prefix("valid") {
            Some(_) => verdict.is_valid(),
            None => found.contains(expected),
        };
        if !right {
            wrong.push(format!("{}: {verdict}", file.display()));
        }
        for violation in verdict.violations() {
            assert!(!violation.what.is_empty());
            assert!(
                violation.events.iter().all(|event| history.contains(event)),
                "{}: evidence that is not in the history",
                file.display()
            );
        }
    }
    assert!(wrong.is_empty(), "{} of {judged} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_anomaly_has_a_history_and_every_checker_a_valid_one() {
    let files = files();
    let names: BTreeSet<(&str, &str)> = files.iter().map(|file| name(file)).collect();
    let mut missing = Vec::new();
    for (checker, anomalies) in ANOMALIES {
        for anomaly in anomalies.iter() {
            if !names.contains(&(checker, anomaly.replace(' ', "-").as_str())) {
                missing.push(format!("{checker}-{anomaly}"));
            }
        }
        if !names.iter().any(|(of, what)| *of == checker && what.starts_with("valid")) {
            missing.push(format!("{checker}-valid"));
        }
    }
    assert!(missing.is_empty(), "no history for: {missing:?}");
}
