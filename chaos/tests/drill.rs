//! The drill runner from an empty lab to its report: a node loses its disk, is refused under its old number, joins as
//! a new one and gets its replicas, all of it judged and written down.
//!
//! `PRECINCT_DRILL=helix` runs that drill of the catalogue instead.

use chaos::drill::report::{JSON_FILE, PAGE_FILE};
use chaos::drill::scenario::Scenario;
use chaos::drill::{catalogue, index, run};
use chaos::fault::journal;
use std::path::PathBuf;

/// The shortest way through everything that a drill can do.
const SHORT: &str = "
    [meta]
    id = 'D26'
    name = 'short'
    title = 'A node loses its disk'
    title_zh = '节点磁盘丢失'
    why = 'A test of the runner.'
    [scope]
    select = 'follower'
    [workload]
    names = ['ledger', 'register']
    ballast_mib = 1
    [[steady_state]]
    name = 'operations per second'
    metric = 'ok_per_second'
    min = 1
    [[step]]
    at = '+500ms'
    fault = 'data.wipe'
    for = '2s'
    [expect]
    rto = '15s'
    node_ends = true
    full_replication = '50s'
";

#[test]
fn a_drill_breaks_restores_judges_and_reports() {
    let scratch = tempfile::tempdir().unwrap();
    let (drill, reports) = match std::env::var("PRECINCT_DRILL") {
        // Kept, for whoever asked.
        Ok(name) => (catalogue::named(&name).unwrap(), PathBuf::from("precinct-drills")),
        Err(_) => (Scenario::parse(SHORT, "short").unwrap(), scratch.path().join("reports")),
    };
    let options = run::Options {
        binary: PathBuf::from(std::env::var_os("PRECINCT_BIN").expect("PRECINCT_BIN")),
        // Its own, so that a drill elsewhere on the machine is neither waited for nor disturbed.
        journals: scratch.path().join("journals"),
        reports: reports.clone(),
        seed: 1,
    };
    let (report, folder) = run::run(&drill, &options, &mut |line| println!("{line}")).unwrap();
    for one in &report.expectations {
        println!("{} {}: {}", if one.passed { '✔' } else { '✘' }, one.what, one.measured);
    }
    assert!(report.passed, "{:?} {:#?}", report.aborted, report.expectations);
    let page = std::fs::read_to_string(folder.join(PAGE_FILE)).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    let json = std::fs::read_to_string(folder.join(JSON_FILE)).unwrap();
    assert!(json.contains("\"schema_version\""));
    let listed = index::lines(&reports).unwrap();
    assert!(listed.iter().any(|line| line.id == report.id && line.passed), "{listed:?}");
    // Nothing is left on the machine.
    assert_eq!(journal::running(&options.journals).unwrap(), Vec::<PathBuf>::new());
    if drill.meta.name == "short" {
        assert!(
            report.ended.iter().any(|how| how.contains("exit status: 7")),
            "{:?}",
            report.ended
        );
        let joined = report.faults[0].told.iter().any(|line| line.contains("it is node 4 now"));
        assert!(joined, "{:?}", report.faults[0].told);
        assert!(report.full_replication_s.is_some_and(|seconds| seconds > 2.0));
        assert!(report.rpo.acknowledged > 4, "four ballast rows and those of the ledger");
    }
}
