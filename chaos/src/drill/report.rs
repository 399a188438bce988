//! A drill's report: what was measured against what was expected, as JSON for programs and as one page for
//! people (`page`).

use super::page;
use super::run::civil;
use super::scenario::{Meta, Scenario};
use super::stop::Look;
use super::watch::Change;
use crate::fault::error::Error;
use crate::fault::kind::Kind;
use crate::history::check::loss;
use crate::history::read;
use crate::workload::Finished;
use crate::workload::ballast::Found;
use crate::workload::probe;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;
/// Name of the JSON file in a drill's folder.
pub const JSON_FILE: &str = "report.json";
/// Name of the page in a drill's folder.
pub const PAGE_FILE: &str = "report.html";
/// Time after a step in which a lane's outage still counts as its doing.
const AFTERMATH: Duration = Duration::from_secs(10);
/// Longest statement of the probe: an outage whose first statement began this long before a fault is due to it.
const STATEMENT_MAX: Duration = Duration::from_secs(2);
/// Lines of a verdict that are kept.
const VERDICT_LINES_MAX: usize = 12;

/// What a report does not prove, printed in each.
const LIMITS: [&str; 4] = [
    "All nodes ran on one machine and shared its processors, memory bus and kernel: times show the logic, not \
     a network between sites.",
    "Times are a client's: the probe writes and reads one row per lane every 10 ms, so nothing shorter than that \
     is seen.",
    "The split of the recovery time comes from SHOW SHARDS of every node, asked every 50 ms.",
    "One run is one sample. A percentile needs many runs of the same drill.",
];

/// Everything that a report is made of.
pub(super) struct Materials<'a> {
    pub(super) id: &'a str,
    pub(super) scenario: &'a Scenario,
    pub(super) seed: u64,
    pub(super) binary: &'a Path,
    pub(super) started_unix_ms: u64,
    pub(super) begin: Duration,
    pub(super) end: Duration,
    pub(super) targets: &'a [u64],
    pub(super) decided: Vec<String>,
    pub(super) steps: Vec<StepDone>,
    pub(super) ended: Vec<(u64, String)>,
    pub(super) notes: Vec<String>,
    pub(super) aborted: Option<String>,
    pub(super) whole: Result<Duration, String>,
    /// `None` when the scenario does not ask for it.
    pub(super) replicated: Option<Result<Replicated, String>>,
    /// What was seen of a damaged cluster before the damage was taken out.
    pub(super) look: Option<Look>,
    /// What a read of all ballast rows found at the end; `None` without ballast.
    pub(super) ballast: Option<Found>,
    pub(super) checks: Vec<StateCheck>,
    pub(super) probe: probe::Report,
    pub(super) finished: Vec<Finished>,
    pub(super) changes: Vec<Change>,
    pub(super) links: String,
    pub(super) disks: String,
}

/// How long it took until every shard had all its replicas again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replicated {
    /// Since replicas were lost.
    pub(super) since_loss: Duration,
    /// Since the machine was back with an empty disk.
    pub(super) since_back: Duration,
}

/// A step as it happened. Times by the drill's clock.
#[derive(Clone, Debug)]
pub(super) struct StepDone {
    pub(super) kind: Kind,
    pub(super) nodes: Vec<u64>,
    pub(super) told: Vec<String>,
    pub(super) from: Duration,
    pub(super) until: Duration,
}

/// One look at a steady state.
#[derive(Clone, Debug, Serialize)]
pub struct StateCheck {
    /// Its name in the scenario.
    pub name: String,
    /// `before`, `during` or `after`.
    pub when: &'static str,
    /// The value, or why there is none.
    pub told: String,
    /// Whether it lay within its bounds.
    pub passed: bool,
}

/// A finished drill. Times are in seconds from the start of its work.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this structure.
    pub schema_version: u32,
    /// Time and name.
    pub id: String,
    /// What was drilled.
    pub drill: Meta,
    /// When, for people.
    pub started: String,
    /// Whether every expectation was met.
    pub passed: bool,
    /// Why it was broken off, if it was.
    pub aborted: Option<String>,
    /// What was expected and what came.
    pub expectations: Vec<Expectation>,
    /// The recovery time.
    pub rto: Rto,
    /// From the loss of replicas until every shard had all of them again; `None` when the drill loses none or
    /// they did not come back.
    pub full_replication_s: Option<f64>,
    /// Longest time between two good answers of a lane.
    pub p_max_s: f64,
    /// Missing rows.
    pub rpo: Rpo,
    /// The faults.
    pub faults: Vec<FaultDone>,
    /// Nodes whose process ended by itself.
    pub ended: Vec<String>,
    /// Failed statements of the probe by MySQL's number.
    pub errors: BTreeMap<u16, u64>,
    /// Latency of the probe's statements, milliseconds.
    pub latency_ms: Latency,
    /// The workloads.
    pub workloads: Vec<WorkloadDone>,
    /// Looks at the steady states.
    pub steady_states: Vec<StateCheck>,
    /// Leaders as the nodes named them.
    pub leaders: Vec<LeaderChange>,
    /// Answers of the probe, 100 ms each.
    pub ticks: Vec<Tick>,
    /// What the guards decided.
    pub guards: Vec<String>,
    /// Anything else that a reader should know.
    pub notes: Vec<String>,
    /// What it ran on.
    pub setting: Setting,
    /// What this report does not prove.
    pub limits: Vec<&'static str>,
}

/// One expectation.
#[derive(Clone, Debug, Serialize)]
pub struct Expectation {
    /// Of what.
    pub what: &'static str,
    /// The same in Chinese.
    pub what_zh: &'static str,
    /// The bar.
    pub bar: String,
    /// What came.
    pub measured: String,
    /// Whether it was met.
    pub passed: bool,
}

/// The recovery time of the worst outage and its parts, seconds from what caused it; later parts include earlier
/// ones.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rto {
    /// When what caused it happened, from the start of the drill's work.
    pub cause_s: f64,
    /// Until every lane answers without failure; `None` when one never did.
    pub total_s: Option<f64>,
    /// Until the fault was taken out, if clients had not recovered by then.
    pub fault_out_s: Option<f64>,
    /// Until a node no longer named an old leader.
    pub detect_s: Option<f64>,
    /// Until every shard that changed had a leader again.
    pub elect_s: Option<f64>,
    /// Until a lane that had failed got its first good answer.
    pub route_s: Option<f64>,
}

/// The recovery point as counted rows.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rpo {
    /// Rows that were acknowledged.
    pub acknowledged: u64,
    /// Of these, rows that are missing or too old; `None` when it could not be counted.
    pub missing: Option<u64>,
}

/// One fault.
#[derive(Clone, Debug, Serialize)]
pub struct FaultDone {
    /// Its name.
    pub fault: &'static str,
    /// What it does.
    pub what: &'static str,
    /// The same in Chinese.
    pub what_zh: &'static str,
    /// Whom it hit.
    pub nodes: Vec<u64>,
    /// What exactly was done.
    pub told: Vec<String>,
    /// When it was injected.
    pub from_s: f64,
    /// When it was taken out.
    pub until_s: f64,
}

/// Latencies, milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Longest.
    pub max: f64,
}

/// One workload.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadDone {
    /// Its name.
    pub name: &'static str,
    /// Operations that succeeded.
    pub ok: u64,
    /// Operations that certainly did not happen.
    pub failed: u64,
    /// Operations of unknown outcome.
    pub unknown: u64,
    /// The checker's words.
    pub verdict: String,
    /// Whether the history is good.
    pub valid: bool,
}

/// A leader as a node named it first.
#[derive(Clone, Debug, Serialize)]
pub struct LeaderChange {
    /// When.
    pub at_s: f64,
    /// The shard.
    pub shard: u64,
    /// Its leader; `None` when the node knew none.
    pub leader: Option<u64>,
    /// Who said so.
    pub node: u64,
}

/// A tenth of a second of the probe.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tick {
    /// Good answers.
    pub ok: u32,
    /// Failures.
    pub errors: u32,
    /// Longest good answer, milliseconds.
    pub latency_ms_max: f64,
}

/// What a drill ran on.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Number of nodes.
    pub nodes: u64,
    /// The targets of its scope.
    pub targets: Vec<u64>,
    /// How they were joined.
    pub links: String,
    /// Where they stored.
    pub disks: String,
    /// The binary's SHA-256.
    pub binary_sha256: String,
    /// The seed of what was random.
    pub seed: u64,
    /// Length of the whole, seconds.
    pub length_s: f64,
}

impl Report {
    /// Puts a report together.
    ///
    /// # Errors
    /// When the binary cannot be read.
    pub(super) fn of(from: Materials<'_>) -> Result<Report, Error> {
        let begin = from.begin;
        let seconds = |time: Duration| time.as_secs_f64() - begin.as_secs_f64();
        let rto = recovery(&from);
        let rpo = lost_rows(&from.finished, from.ballast.as_ref());
        let expectations = expectations(&from, &rto, &rpo);
        // The last of `pick`s: no expectation at all would mean that nothing was looked at.
        let passed = from.aborted.is_none()
            && !expectations.is_empty()
            && expectations.iter().all(|expectation| expectation.passed);
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
        Ok(Report {
            schema_version: SCHEMA_VERSION,
            id: from.id.to_string(),
            drill: from.scenario.meta.clone(),
            started: readable_time(from.started_unix_ms),
            passed,
            aborted: from.aborted,
            expectations,
            rto,
            full_replication_s: match &from.replicated {
                Some(Ok(times)) => Some(times.since_loss.as_secs_f64()),
                _ => None,
            },
            p_max_s: from.probe.p_max().as_secs_f64(),
            rpo,
            faults: from
                .steps
                .iter()
                .map(|step| FaultDone {
                    fault: step.kind.name(),
                    what: step.kind.what(),
                    what_zh: step.kind.chinese(),
                    nodes: step.nodes.clone(),
                    told: step.told.clone(),
                    from_s: seconds(step.from),
                    until_s: seconds(step.until),
                })
                .collect(),
            ended: from.ended.iter().map(|(node, how)| format!("node {node}: {how}")).collect(),
            errors: from.probe.errors.clone(),
            latency_ms: Latency {
                p50: milliseconds(from.probe.latencies.quantile(0.5)),
                p99: milliseconds(from.probe.latencies.quantile(0.99)),
                max: milliseconds(from.probe.latencies.max()),
            },
            workloads: from.finished.iter().map(workload_done).collect(),
            steady_states: from.checks,
            leaders: from
                .changes
                .iter()
                .map(|change| LeaderChange {
                    at_s: seconds(change.at),
                    shard: change.shard,
                    leader: change.leader,
                    node: change.node,
                })
                .collect(),
            ticks: from
                .probe
                .ticks
                .iter()
                .map(|tick| Tick {
                    ok: tick.ok,
                    errors: tick.errors,
                    latency_ms_max: milliseconds(tick.latency_max),
                })
                .collect(),
            guards: from.decided,
            notes: from.notes,
            setting: Setting {
                nodes: from.scenario.scope.nodes,
                targets: from.targets.to_vec(),
                links: from.links,
                disks: from.disks,
                binary_sha256: sha256(from.binary)?,
                seed: from.seed,
                length_s: seconds(from.end),
            },
            limits: LIMITS.to_vec(),
        })
    }

    /// Writes JSON and page into the drill's folder.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| Error::system("the report as JSON", error))?;
        for (name, text) in [(JSON_FILE, json), (PAGE_FILE, page::render(self))] {
            let path = folder.join(name);
            std::fs::write(&path, text)
                .map_err(|error| Error::system(format!("report {}", path.display()), error))?;
        }
        Ok(())
    }
}

/// The worst outage, measured from the event that caused it: a fault that came or was taken out.
fn recovery(from: &Materials<'_>) -> Rto {
    let mut events: Vec<Duration> =
        from.steps.iter().flat_map(|step| [step.from, step.until]).collect();
    events.sort_unstable();
    let Some((first, last)) = events.first().zip(events.last()) else { return Rto::default() };
    let outages = from.probe.outages_between(*first, *last + AFTERMATH);
    if outages.iter().any(|(_, outage)| outage.until.is_none()) {
        return Rto::default();
    }
    let timed = outages.iter().filter_map(|(_, outage)| {
        let (cause, until) = (cause_of(&events, outage.from), outage.until?);
        Some((until.saturating_sub(cause), cause, until))
    });
    let Some((total, cause, until)) = timed.max() else {
        return Rto { total_s: Some(0.0), ..Rto::default() };
    };
    let since = |time: Duration| time.saturating_sub(cause).as_secs_f64();
    let route = outages
        .iter()
        .filter(|(_, outage)| cause_of(&events, outage.from) == cause)
        .filter_map(|(_, outage)| outage.until)
        .min();
    let (detect, elect) = leaders_between(&from.changes, cause, until);
    let mut caused_by = from.steps.iter().filter(|step| step.from == cause);
    let fault_out = caused_by.find(|step| step.until < until).map(|step| step.until);
    Rto {
        cause_s: cause.saturating_sub(from.begin).as_secs_f64(),
        total_s: Some(total.as_secs_f64()),
        fault_out_s: fault_out.map(since),
        detect_s: detect.map(since),
        elect_s: elect.map(since),
        route_s: route.map(since),
    }
}

/// The event that an outage is due to: the one during its first statement, else the last before it.
fn cause_of(events: &[Duration], outage: Duration) -> Duration {
    let during = events.iter().find(|event| **event >= outage && **event <= outage + STATEMENT_MAX);
    let before = events.iter().rev().find(|event| **event <= outage);
    during.or(before).copied().unwrap_or(outage)
}

/// When a node first named another leader than before, and when each shard that changed had one again.
fn leaders_between(
    changes: &[Change],
    from: Duration,
    until: Duration,
) -> (Option<Duration>, Option<Duration>) {
    let mut said: BTreeMap<(u64, u64), Option<u64>> = BTreeMap::new();
    let mut led: BTreeMap<u64, Option<Duration>> = BTreeMap::new();
    let mut detect = None;
    for change in changes.iter().take_while(|change| change.at <= until) {
        let before = said.insert((change.node, change.shard), change.leader);
        if change.at < from || before.is_none_or(|before| before == change.leader) {
            continue;
        }
        detect = detect.or(Some(change.at));
        let led = led.entry(change.shard).or_default();
        if led.is_none() && change.leader.is_some() {
            *led = Some(change.at);
        }
    }
    (detect, led.into_values().flatten().max())
}

fn lost_rows(finished: &[Finished], ballast: Option<&Found>) -> Rpo {
    let mut rpo = Rpo::default();
    if let Some(found) = ballast {
        rpo.acknowledged = found.good + found.wrong + found.refused;
        // A row that nobody can read is not known to be lost, and not known to be there.
        if found.refused > 0 {
            return rpo;
        }
        rpo.missing = Some(found.wrong);
    }
    if finished.is_empty() {
        return Rpo { missing: None, ..rpo };
    }
    let ledgers = finished.iter().filter(|part| part.name.starts_with("ledger"));
    for part in ledgers {
        match read(&part.path).map_err(|error| error.to_string()).and_then(|all| loss(&all)) {
            Ok(loss) => {
                rpo.acknowledged += loss.acknowledged;
                *rpo.missing.get_or_insert_default() += loss.missing;
            }
            Err(_) => return Rpo { missing: None, ..rpo },
        }
    }
    rpo
}

fn expectations(from: &Materials<'_>, rto: &Rto, rpo: &Rpo) -> Vec<Expectation> {
    let expect = &from.scenario.expect;
    let mut all = Vec::new();
    let mut add = |what, what_zh, bar: String, measured: String, passed| {
        all.push(Expectation { what, what_zh, bar, measured, passed });
    };
    add(
        "recovery time (RTO)",
        "恢复时间",
        format!("≤ {:.1} s", expect.rto.as_secs_f64()),
        rto.total_s.map_or("never".into(), |total| format!("{total:.2} s")),
        rto.total_s.is_some_and(|total| total <= expect.rto.as_secs_f64()),
    );
    add(
        "missing acknowledged rows (RPO)",
        "丢失行数",
        format!("≤ {}", expect.rpo_rows),
        rpo.missing.map_or("not counted".into(), |lost| format!("{lost} of {}", rpo.acknowledged)),
        rpo.missing.is_some_and(|lost| lost <= expect.rpo_rows) && rpo.acknowledged > 0,
    );
    let bad: Vec<&str> = from
        .finished
        .iter()
        .filter(|part| !part.verdict.is_valid())
        .map(|part| part.name)
        .collect();
    add(
        "histories judged valid",
        "一致性检验",
        "all".into(),
        match (bad.is_empty(), from.finished.len()) {
            (_, 0) => "none was judged".to_string(),
            (true, all) => format!("all {all}"),
            (false, _) => format!("not: {}", bad.join(", ")),
        },
        bad.is_empty() && !from.finished.is_empty(),
    );
    if let Some(limit) = expect.errors_max {
        let errors: u64 = from.probe.errors.values().sum();
        add(
            "failed statements of the probe",
            "失败语句",
            format!("≤ {limit}"),
            errors.to_string(),
            errors <= limit,
        );
    }
    if expect.whole_again {
        let wait = from.scenario.restore.wait.as_secs_f64();
        let kinds = from.scenario.kinds();
        let by_itself = !kinds.contains(&Kind::Wipe) && !kinds.contains(&Kind::Helix);
        let (what, what_zh) = match by_itself {
            true => ("whole again by itself", "自行恢复完整"),
            false => ("whole again", "恢复完整"),
        };
        add(
            what,
            what_zh,
            format!("≤ {wait:.0} s"),
            match &from.whole {
                Ok(after) => format!("{:.1} s", after.as_secs_f64()),
                Err(why) => why.clone(),
            },
            from.whole.is_ok(),
        );
    }
    if let Some(look) = &from.look {
        let (passed, measured) = look.judge();
        let (what, bar) = ("loses nothing or stops loudly", "no wrong row".into());
        add(what, "不丢数据，或明确停机", bar, measured, passed);
    }
    if let Some((bar, came)) = expect.full_replication.zip(from.replicated.as_ref()) {
        add(
            "every shard has all its replicas",
            "副本全部补齐",
            format!("≤ {:.0} s", bar.as_secs_f64()),
            match came {
                Ok(times) => format!(
                    "{:.1} s after the loss, {:.1} s after the machine was back",
                    times.since_loss.as_secs_f64(),
                    times.since_back.as_secs_f64()
                ),
                Err(why) => why.clone(),
            },
            came.as_ref().is_ok_and(|times| times.since_loss <= bar),
        );
    }
    let ended: Vec<String> = from.ended.iter().map(|(node, _)| node.to_string()).collect();
    let ended_text = if ended.is_empty() { "none".to_string() } else { ended.join(", ") };
    let must = expect.node_ends;
    add(
        "nodes that end by themselves",
        "自行退出的节点",
        if must { "a target".into() } else { "none".into() },
        ended_text,
        if must {
            !from.ended.is_empty() && from.ended.iter().all(|(node, _)| from.targets.contains(node))
        } else {
            from.ended.is_empty()
        },
    );
    let failed = from.checks.iter().filter(|check| !check.passed).count();
    add(
        "steady states",
        "稳态检查",
        "all hold".into(),
        if failed == 0 {
            format!("{} held", from.checks.len())
        } else {
            format!("{failed} did not hold")
        },
        failed == 0,
    );
    all
}

fn workload_done(part: &Finished) -> WorkloadDone {
    let verdict = part.verdict.to_string();
    WorkloadDone {
        name: part.name,
        ok: part.counts.ok,
        failed: part.counts.fail,
        unknown: part.counts.info,
        verdict: verdict.lines().take(VERDICT_LINES_MAX).collect::<Vec<_>>().join("\n"),
        valid: part.verdict.is_valid(),
    }
}

/// `2026-11-22 03:15:02 UTC`
fn readable_time(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000 % 86_400;
    let (year, month, day) = civil((unix_ms / 86_400_000) as i64);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// SHA-256 of a file by the system's own tool.
fn sha256(path: &Path) -> Result<String, Error> {
    let said = crate::fault::tool::run("sha256sum", &[&path.to_string_lossy()])?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::check::{Checked, Verdict};

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_outage_is_due_to_the_event_it_begins_with() {
        let events = [s(10), s(30)];
        assert_eq!(cause_of(&events, s(9)), s(10), "its first statement was under way");
        assert_eq!(cause_of(&events, s(12)), s(10));
        assert_eq!(cause_of(&events, s(29)), s(30));
        assert_eq!(cause_of(&events, s(33)), s(30));
    }

    #[test]
    fn rows_that_nobody_can_read_are_not_counted_as_lost_or_as_there() {
        let found = |wrong, refused| Found { good: 5, wrong, refused, error: None };
        let one = || {
            let verdict = Verdict::Valid(Checked::default());
            let counts = crate::history::Counts::default();
            Finished { name: "set", path: "set.jsonl".into(), counts, verdict }
        };
        let rows = |finished: &[Finished], found: Found| {
            let rpo = lost_rows(finished, Some(&found));
            (rpo.acknowledged, rpo.missing)
        };
        assert_eq!(rows(&[one()], found(0, 0)), (5, Some(0)));
        assert_eq!(rows(&[one()], found(2, 0)), (7, Some(2)));
        assert_eq!(rows(&[one()], found(2, 1)), (8, None));
        assert_eq!(rows(&[], found(0, 0)), (5, None), "the final reads did not end");
    }

    #[test]
    fn an_election_is_seen_in_what_nodes_say() {
        let change = |at, shard, leader, node| Change { at: s(at), shard, leader, node };
        let changes = [
            change(1, 1, Some(1), 2),
            change(1, 2, Some(2), 2),
            change(11, 1, None, 2),
            change(13, 1, Some(3), 2),
            change(14, 1, Some(3), 3),
            change(50, 2, Some(3), 2),
        ];
        assert_eq!(leaders_between(&changes, s(10), s(20)), (Some(s(11)), Some(s(13))));
        assert_eq!(leaders_between(&changes, s(2), s(5)), (None, None));
    }
}
