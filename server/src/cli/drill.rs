//! `precinct drill`: rehearsed disasters on a throw-away cluster of this machine.

mod placement;

use super::{EXIT_REFUSED, Failure};
use chaos::drill::index::{self, Line};
use chaos::drill::report::{JSON_FILE, PAGE_FILE, Report};
use chaos::drill::scenario::Scenario;
use chaos::drill::{catalogue, run};
use chaos::fault::error::Error;
use chaos::fault::kind::Kind;
use chaos::fault::{deadman, journal};
use chaos::soak;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `precinct drill`.
#[derive(Debug, Args)]
pub struct DrillArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the drills
    Ls,
    /// Run a drill and write its report
    Run {
        /// Its name or number; see 'precinct drill ls'
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        name: Option<String>,
        /// Run all of them, one after the other
        #[arg(long)]
        all: bool,
        /// Decides whatever is random; drawn and printed when not given
        #[arg(long)]
        seed: Option<u64>,
        #[command(flatten)]
        place: Place,
    },
    /// List reports, or show one
    Report {
        /// Its id or the beginning of it; 'last' for the newest
        id: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Show which faults work on this machine and how to get the others
    Doctor,
    /// Undo what drills left behind that did not end by themselves
    Abort,
    /// Simulate how replicas are placed in a large cluster: nothing is started, nothing is broken
    Placement(placement::PlacementArgs),
    /// Run every workload under random faults and judge the histories
    #[command(hide = true)]
    Soak(SoakArgs),
    /// Undo a drill's changes when its runner falls silent
    #[command(hide = true)]
    Deadman {
        /// Process id of the runner
        #[arg(long)]
        runner: u32,
        /// Folder of its journal
        #[arg(long)]
        journals: PathBuf,
    },
}

#[derive(Clone, Debug, Args)]
struct Place {
    /// Where reports are kept
    #[arg(long, env = "PRECINCT_DRILLS", value_name = "DIR", default_value = "precinct-drills")]
    reports: PathBuf,
}

#[derive(Debug, Args)]
struct SoakArgs {
    /// How long faults go on
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(3..=9))]
    nodes: u64,
    /// Decides faults and targets; drawn and printed when not given
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds that a fault lasts
    #[arg(long, default_value_t = 20)]
    fault_seconds: u64,
    /// Quiet seconds between two faults
    #[arg(long, default_value_t = 10)]
    quiet_seconds: u64,
    /// Operations per second of each client
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Only these kinds of faults, separated by commas; see 'precinct drill doctor'
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// Only these workloads, separated by commas: append, bank, ddl … (each with its variants)
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Where histories and logs are kept
    #[arg(long, value_name = "DIR", default_value = "precinct-drills/soak")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: DrillArgs) -> Result<(), Failure> {
    match args.action {
        Action::Ls => list(),
        Action::Run { name, seed, place, .. } => run_drills(name.as_deref(), seed, &place.reports),
        Action::Report { id, place } => report(id.as_deref(), &place.reports),
        Action::Doctor => doctor(),
        Action::Abort => abort(),
        Action::Placement(args) => placement::simulate(&args),
        Action::Soak(args) => run_soak(args),
        Action::Deadman { runner, journals } => {
            deadman::watch(std::io::stdin(), runner, &journals).map_err(failure)
        }
    }
}

fn list() -> Result<(), Failure> {
    println!("{:<5} {:<26} What", "No", "Name");
    for drill in catalogue::all().map_err(failure)? {
        let meta = &drill.meta;
        println!("{:<5} {:<26} {}  {}", meta.id, meta.name, meta.title, meta.title_zh);
    }
    println!("\nRun one with 'precinct drill run NAME'.");
    Ok(())
}

fn run_drills(name: Option<&str>, seed: Option<u64>, reports: &Path) -> Result<(), Failure> {
    let drills = match name {
        Some(name) => vec![catalogue::named(name).map_err(failure)?],
        None => catalogue::all().map_err(failure)?,
    };
    let options = run::Options {
        binary: own_binary()?,
        journals: journal::default_folder(),
        reports: reports.to_path_buf(),
        seed: seed.unwrap_or_else(any_seed),
    };
    let alone = drills.len() == 1;
    let mut summary = Summary::default();
    for drill in &drills {
        match run::run(drill, &options, &mut |line| println!("{line}")) {
            Ok((report, folder)) => {
                print_report(&report);
                println!("report: {}\n", folder.join(PAGE_FILE).display());
                summary.ended(&report);
            }
            Err(error) if alone => return Err(failure(error)),
            // It has taken back what it changed, or the next one does; the others are run all the same.
            Err(error) => {
                println!("{error}\n");
                summary.failed(drill, &error);
            }
        }
    }
    let all = index::write(&options.reports).map_err(failure)?;
    if !alone {
        println!("{}\nall reports: {}", summary.lines.join("\n"), all.display());
    }
    match (summary.bad, alone) {
        (0, _) => Ok(()),
        (_, true) => Err("the drill was not passed".to_string().into()),
        (bad, false) => Err(format!("{bad} of {} drills were not passed", drills.len()).into()),
    }
}

/// What came of several drills.
struct Summary {
    /// A table, line by line.
    lines: Vec<String>,
    /// Drills that were not passed, or could not be run to their end.
    bad: usize,
}

impl Default for Summary {
    fn default() -> Summary {
        Summary { lines: vec![Summary::line("No", "Name", "Verdict", "RTO", "Rows lost")], bad: 0 }
    }
}

impl Summary {
    fn line(number: &str, name: &str, verdict: &str, rto: &str, rpo: &str) -> String {
        format!("{number:<5} {name:<26} {verdict:<11} {rto:>8}  {rpo}")
    }

    fn ended(&mut self, report: &Report) {
        let verdict = if report.passed { "passed" } else { "NOT PASSED" };
        let line = Line::from(report);
        let (meta, rto, rpo) = (&report.drill, line.rto(), line.rpo());
        self.lines.push(Summary::line(&meta.id, &meta.name, verdict, &rto, &rpo));
        if !report.passed {
            self.bad += 1;
            self.lines.extend(line.missed.iter().map(|missed| format!("      ✘ {missed}")));
        }
    }

    fn failed(&mut self, drill: &Scenario, error: &Error) {
        // One that this machine cannot do has not failed.
        let verdict = match error {
            Error::Unavailable { .. } => "not run",
            _ => {
                self.bad += 1;
                "FAILED"
            }
        };
        self.lines.push(Summary::line(&drill.meta.id, &drill.meta.name, verdict, "–", "–"));
        let text = error.to_string();
        self.lines.push(format!("      {}", text.lines().next().unwrap_or_default()));
    }
}

fn print_report(report: &Report) {
    if let Some(why) = &report.aborted {
        println!("  broken off: {why}");
    }
    for expectation in &report.expectations {
        let mark = if expectation.passed { '✔' } else { '✘' };
        let (what, bar, measured) = (expectation.what, &expectation.bar, &expectation.measured);
        println!("  {mark} {what:<34} expected {bar:<12} measured {measured}");
    }
    println!("  {}", if report.passed { "passed" } else { "NOT PASSED" });
}

fn report(id: Option<&str>, reports: &Path) -> Result<(), Failure> {
    let lines = index::lines(reports).map_err(failure)?;
    let Some(wanted) = id else {
        for line in &lines {
            let verdict = if line.passed { "passed" } else { "NOT PASSED" };
            println!("{:<44} {verdict:<11} {:>8}  {}", line.id, line.rto(), line.rpo());
        }
        if lines.is_empty() {
            println!(
                "no reports in {}; make one with 'precinct drill run NAME'",
                reports.display()
            );
        }
        return Ok(());
    };
    let ids: Vec<&String> = lines.iter().map(|line| &line.id).collect();
    let found = match wanted {
        "last" => ids.last().copied(),
        _ => ids.iter().copied().find(|id| id.starts_with(wanted)),
    };
    let Some(id) = found else {
        return Err(format!("no report '{wanted}' in {}", reports.display()).into());
    };
    let json = read_report(reports, id)?;
    let lines = json["expectations"].as_array().cloned().unwrap_or_default();
    println!("{id}: {}", json["drill"]["title"].as_str().unwrap_or_default());
    for line in lines {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_string();
        let mark = if line["passed"].as_bool() == Some(true) { '✔' } else { '✘' };
        println!(
            "  {mark} {:<34} expected {:<12} measured {}",
            text("what"),
            text("bar"),
            text("measured")
        );
    }
    println!("page: {}", reports.join(id).join(PAGE_FILE).display());
    println!("JSON: {}", reports.join(id).join(JSON_FILE).display());
    Ok(())
}

fn read_report(reports: &Path, id: &str) -> Result<serde_json::Value, Failure> {
    let path = reports.join(id).join(JSON_FILE);
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::from(format!("{} is damaged: {error}", path.display())))
}

fn doctor() -> Result<(), Failure> {
    println!("{:<16} {:<34} {:<20} Here", "Fault", "What", "故障");
    for kind in Kind::ALL {
        let state = match kind.probe() {
            Ok(()) => "works".to_string(),
            Err(Error::Unavailable { why, .. }) => format!("no: {why}"),
            Err(error) => format!("no: {error}"),
        };
        // Chinese letters are two columns wide.
        let wide = kind.chinese().chars().count();
        let space = " ".repeat(20_usize.saturating_sub(wide * 2));
        println!("{:<16} {:<34} {}{space} {state}", kind.name(), kind.what(), kind.chinese());
    }
    let journals = journal::default_folder();
    let running = journal::running(&journals).map_err(failure)?;
    println!("\njournals: {} ({} drills run now)", journals.display(), running.len());
    Ok(())
}

fn abort() -> Result<(), Failure> {
    let journals = journal::default_folder();
    let mut failures = Vec::new();
    for left in journal::recover(&journals).map_err(failure)? {
        println!("{}: {} changes undone", left.journal.display(), left.undone);
        failures.extend(left.failures.iter().map(ToString::to_string));
    }
    for running in journal::running(&journals).map_err(failure)? {
        println!("{}: its runner lives; stop it with Ctrl-C, the rest follows", running.display());
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

fn run_soak(args: SoakArgs) -> Result<(), Failure> {
    let named = |name: &String| {
        Kind::named(name)
            .ok_or_else(|| Failure::from(format!("no fault '{name}'; see 'precinct drill doctor'")))
    };
    let plan = soak::Plan {
        binary: own_binary()?,
        nodes: args.nodes,
        length: Duration::from_secs(args.minutes * 60),
        fault: Duration::from_secs(args.fault_seconds),
        quiet: Duration::from_secs(args.quiet_seconds),
        seed: args.seed.unwrap_or_else(any_seed),
        rate: args.rate,
        kinds: args.faults.iter().map(named).collect::<Result<_, _>>()?,
        folder: args.out,
        workloads: args.workloads,
    };
    println!("soak: seed {}", plan.seed);
    let outcome = soak::run(&plan, &mut |line| println!("{line}")).map_err(failure)?;
    println!("\n{outcome}");
    println!("histories: {}", plan.folder.display());
    match outcome.violations().len() {
        0 => Ok(()),
        count => Err(format!("{count} violations").into()),
    }
}

fn own_binary() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| format!("the path of this program: {error}").into())
}

fn any_seed() -> u64 {
    // Short enough to be typed again.
    base::Rng::from_entropy().below(1_000_000)
}

fn failure(error: Error) -> Failure {
    let code = match &error {
        Error::Refused(_) | Error::Unavailable { .. } => EXIT_REFUSED,
        Error::System { .. } | Error::Node { .. } => super::EXIT_FAILED,
    };
    Failure { code, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_that_cannot_be_done_here_is_no_failure_and_a_broken_one_is() {
        let drill = catalogue::named("D1").map_err(failure).expect("the first drill");
        let mut summary = Summary::default();
        summary.failed(&drill, &Error::unavailable("namespaces", "this process is not root"));
        assert_eq!(summary.bad, 0);
        assert!(summary.lines[1].contains("not run"), "{:?}", summary.lines);
        summary.failed(&drill, &Error::Refused("another drill runs\nand more".into()));
        assert_eq!(summary.bad, 1);
        assert!(summary.lines[3].contains("FAILED"), "{:?}", summary.lines);
        assert!(summary.lines[4].ends_with("another drill runs"), "{:?}", summary.lines);
    }
}
