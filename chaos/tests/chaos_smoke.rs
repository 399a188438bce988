//! A short soak: every workload, every kind of fault that works on this machine and that a cluster must
//! survive by itself, then final reads and all checkers.

use chaos::soak::{self, Plan};
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn no_history_is_violated_by_a_minute_of_faults() {
    let scratch = tempfile::tempdir().unwrap();
    let plan = Plan {
        binary: PathBuf::from(std::env::var_os("PRECINCT_BIN").expect("PRECINCT_BIN")),
        nodes: 3,
        length: Duration::from_secs(60),
        fault: Duration::from_secs(4),
        quiet: Duration::from_secs(2),
        seed: 20_261_122,
        rate: 10,
        kinds: Vec::new(),
        folder: scratch.path().to_path_buf(),
        workloads: Vec::new(),
    };
    let outcome = soak::run(&plan, &mut |line| println!("{line}")).unwrap();
    println!("{outcome}");
    let violations = outcome.violations();
    if !violations.is_empty() {
        let kept = scratch.keep();
        panic!("histories are kept in {}\n{}", kept.display(), violations.join("\n"));
    }
    assert!(outcome.windows.len() >= 4, "only {} faults in a minute", outcome.windows.len());
    assert!(outcome.operations() > 500, "only {} operations", outcome.operations());
    let loss = outcome.ledger_loss().expect("the ledger is counted");
    assert!(loss.acknowledged > 50 && loss.missing == 0, "{loss:?}");
}
