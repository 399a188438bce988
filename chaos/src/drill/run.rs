//! Runs one drill from an empty lab to its report.
//!
//! ```text
//! lab │ workloads, probe, watch │ warm-up │ steady? │ guard │ steps … │ heal │ whole? │ steady? │ read │ report
//!                                                             └ every second: readings, abort conditions
//! ```
//!
//! Invariants:
//! 1. Nothing is broken before the guard has looked at every step.
//! 2. Whatever happens in between, the lab is closed at the end: by this function, by dropping it, or by the dead
//!    man's switch.

use super::guard::{self, Targets};
use super::metric::{Metric, Reading};
use super::report::{Materials, Replicated, Report, StateCheck, StepDone};
use super::scenario::{Mode, Scenario, SteadyState, Step};
use super::stop::Look;
use super::watch::Watch;
use crate::fault::deadman::Switch;
use crate::fault::error::Error;
use crate::fault::health;
use crate::fault::inject::{Fault, Injected};
use crate::fault::lab::{Lab, NodeState, Plan};
use crate::fault::view::View;
use crate::history::Failure;
use crate::workload::ballast::{Ballast, Found};
use crate::workload::probe::{Lane, Probe};
use crate::workload::{self, Run, Target};
use base::{Rng, SharedClock, SystemClock};
use std::path::PathBuf;
use std::time::Duration;

/// Quiet work before the first look at the steady state.
const WARM_UP: Duration = Duration::from_secs(4);
/// Quiet work after everything is healed, before the last look.
const COOL_DOWN: Duration = Duration::from_secs(3);
/// How often due steps are looked for.
const TICK: Duration = Duration::from_millis(50);
/// How often figures are read and conditions judged.
const READING: Duration = Duration::from_secs(1);
/// Longest wait for the final reads and the checkers.
const FINAL_WAIT_MAX: Duration = Duration::from_secs(180);
/// Pause between two looks whether the cluster is whole.
const WHOLE_PAUSE: Duration = Duration::from_millis(200);
/// Size of a node's disk when a fault needs one.
const IMAGE_BYTES: u64 = 2 << 30;

/// How to run a drill.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `precinct` binary, for the nodes and for the dead man's switch.
    pub binary: PathBuf,
    /// Where journals and the lock lie.
    pub journals: PathBuf,
    /// Where the drill's own folder (report, histories, logs) is made.
    pub reports: PathBuf,
    /// Decides whatever is random.
    pub seed: u64,
}

/// What runs beside the steps.
struct Running {
    run: Run,
    probe: Probe,
    watch: Watch,
    clock: SharedClock,
    /// Figures of the last second.
    reading: Reading,
    last: Totals,
    /// Rows that only lie there, and how to read them.
    ballast: Option<(Ballast, Target)>,
}

#[derive(Clone, Copy, Default)]
struct Totals {
    at: Duration,
    ok: u64,
    bad: u64,
    ok_at: Duration,
}

/// Runs it. `say` hears what happens, line by line.
///
/// # Errors
/// `Refused` or `Unavailable` before anything is broken; otherwise when the runner itself fails. What the
/// database does wrong is in the report.
pub fn run(
    scenario: &Scenario,
    options: &Options,
    say: &mut dyn FnMut(&str),
) -> Result<(Report, PathBuf), Error> {
    let _turn = guard::take_turn(&options.journals)?;
    let kinds = scenario.kinds();
    kinds.iter().try_for_each(|kind| kind.probe())?;
    let clock = SystemClock::shared();
    let id = format!("{}-{}", compact_time(clock.unix_ms()), scenario.meta.name);
    let folder = options.reports.join(&id);
    std::fs::create_dir_all(&folder)
        .map_err(|error| Error::system(format!("folder {}", folder.display()), error))?;
    let mut plan = Plan::best(options.binary.clone(), scenario.scope.nodes);
    plan.journals.clone_from(&options.journals);
    if kinds.iter().any(|kind| kind.needs_images()) {
        plan = plan.with_images(IMAGE_BYTES);
    }
    say(&format!("{} {}: {}", scenario.meta.id, scenario.meta.name, scenario.meta.title));
    let mut lab = Lab::start(plan)?;
    let switch = Switch::arm(&options.binary, &options.journals)?;
    let outcome = in_lab(scenario, options, &mut lab, &clock, (&id, &folder), say);
    for node in 1..=lab.nodes() {
        // Kept for whoever reads the report; a drill is not judged by its logs.
        let _ = std::fs::copy(lab.log_path(node), folder.join(format!("node-{node}.log")));
    }
    let closed = lab.close();
    switch.disarm();
    let report = outcome?;
    closed?;
    report.write(&folder)?;
    Ok((report, folder))
}

fn in_lab(
    scenario: &Scenario,
    options: &Options,
    lab: &mut Lab,
    clock: &SharedClock,
    (id, folder): (&str, &std::path::Path),
    say: &mut dyn FnMut(&str),
) -> Result<Report, Error> {
    let (mut running, lanes) = start(scenario, lab, clock, folder)?;
    let begin = clock.monotonic();
    let started_unix_ms = clock.unix_ms();
    let mut checks = Vec::new();
    let mut breaks = Breaks::default();
    running.work(lab, clock.monotonic() + WARM_UP)?;
    say(&format!("  steady: {:.0} operations/s", running.reading.ok_per_second));
    look(scenario, Mode::Edge, "before", lab, &running.reading, &mut checks)?;

    let view = View::of(lab).ok_or_else(|| Error::Refused("no node answers SHOW SHARDS".into()))?;
    let first = lanes.first().ok_or_else(|| Error::Refused("the probe has no lane".into()))?;
    let shard = first.name.trim_start_matches("shard ").parse().unwrap_or_default();
    let gateway = 1 + first.key.unsigned_abs() % lab.nodes();
    let targets = guard::targets(scenario, &view, shard, gateway)?;
    let decided = guard::check(scenario, &targets, &view)?;
    let mut aborted = None;
    if checks.iter().any(|check: &StateCheck| !check.passed) {
        aborted = Some("the steady state does not hold before the first step".to_string());
    } else {
        let mut rng = Rng::seeded(options.seed);
        let mut steps = Steps { scenario, targets: &targets, rng: &mut rng, say };
        aborted = steps.run(lab, &mut running, &mut breaks, &mut checks)?.or(aborted);
    }
    let healed = clock.monotonic();
    if let Err(why) = lab.heal() {
        breaks.notes.push(format!("healing: {why}"));
    }
    let whole = whole_again(lab, clock, scenario.restore.wait);
    let whole_after = clock.monotonic() - healed;
    match &whole {
        Ok(()) => {
            say(&format!("  whole again {:.1} s after the last fault", whole_after.as_secs_f64()))
        }
        Err(why) => say(&format!("  NOT whole: {why}")),
    }
    let replicated = scenario.expect.full_replication.map(|wait| {
        let lost = breaks.steps.first().map_or(healed, |step| step.from);
        let outcome = fully_replicated(lab, clock, lost + wait, &view);
        let since = |from: Duration| clock.monotonic().saturating_sub(from);
        match outcome {
            Ok(()) => {
                let (loss, healed) = (since(lost), since(healed));
                say(&format!(
                    "  all replicas there {:.1} s after the loss, {:.1} s after the machine was back",
                    loss.as_secs_f64(),
                    healed.as_secs_f64()
                ));
                Ok(Replicated { since_loss: loss, since_back: healed })
            }
            Err(why) => {
                say(&format!("  NOT all replicas there: {why}"));
                Err(why)
            }
        }
    });
    running.work(lab, clock.monotonic() + COOL_DOWN)?;
    look(scenario, Mode::Edge, "after", lab, &running.reading, &mut checks)?;
    say("  final reads and checks");
    let ballast = running.read_ballast(lab);
    let Running { run, probe, watch, .. } = running;
    let end = clock.monotonic();
    let (probe, finished, changes) = lab.call(async move {
        let (probe, changes) = (probe.finish().await, watch.finish().await);
        (probe, tokio::time::timeout(FINAL_WAIT_MAX, run.finish()).await, changes)
    });
    let finished = finished.unwrap_or_else(|_| {
        // Shards that nobody serves any more: then nothing can be judged, and no verdict is made up.
        breaks.notes.push(format!("the final reads did not end within {FINAL_WAIT_MAX:?}"));
        Vec::new()
    });
    Report::of(Materials {
        id,
        scenario,
        seed: options.seed,
        binary: &options.binary,
        started_unix_ms,
        begin,
        end,
        targets: &targets.scope,
        decided,
        steps: breaks.steps,
        ended: breaks.ended,
        notes: breaks.notes,
        aborted,
        whole: whole.map(|()| whole_after),
        replicated,
        look: breaks.look,
        ballast,
        checks,
        probe,
        finished,
        changes,
        links: format!("{:?}", lab.plan().links),
        disks: format!("{:?}", lab.plan().disks),
    })
}

fn start(
    scenario: &Scenario,
    lab: &Lab,
    clock: &SharedClock,
    folder: &std::path::Path,
) -> Result<(Running, Vec<Lane>), Error> {
    let nodes = (1..=lab.nodes()).map(|node| lab.opts(node)).collect();
    let mut target = Target::new(nodes, clock.clone());
    target.rate = scenario.workload.rate;
    let wanted = &scenario.workload.names;
    let workloads: Vec<_> = workload::all()
        .into_iter()
        .filter(|one| wanted.is_empty() || wanted.iter().any(|name| name == one.name()))
        .collect();
    if workloads.len() < wanted.len() {
        return Err(Error::Refused(format!("not all workloads of {wanted:?} exist")));
    }
    let ballast_mib = scenario.workload.ballast_mib;
    let (lanes_max, folder) = (scenario.workload.probe_lanes, folder.to_path_buf());
    let started = lab.call(async move {
        let run = Run::start(workloads, &target, &folder).await?;
        let mut lanes = Probe::lane_per_shard(&target).await?;
        lanes.truncate(lanes_max);
        let ballast = match ballast_mib {
            0 => None,
            mib => Some((Ballast::write(&target, mib).await?, target.clone())),
        };
        let probe = Probe::start(&target, lanes.clone()).await?;
        Ok::<_, Failure>((run, probe, lanes, ballast))
    });
    let (run, probe, lanes, ballast) =
        started.map_err(|error| Error::system("starting the workloads", error))?;
    let watch = Watch::start(lab, clock);
    let now = clock.monotonic();
    let running = Running {
        run,
        probe,
        watch,
        clock: clock.clone(),
        reading: Reading::default(),
        last: Totals { at: now, ok_at: now, ..Totals::default() },
        ballast,
    };
    Ok((running, lanes))
}

impl Running {
    /// Reads all ballast rows, whatever the cluster is like; `None` when there is no ballast.
    fn read_ballast(&self, lab: &Lab) -> Option<Found> {
        let (ballast, target) = self.ballast.clone()?;
        Some(lab.call(async move { ballast.read(&target).await }))
    }

    /// Lets the workloads work until then, reading figures every second.
    fn work(&mut self, lab: &mut Lab, until: Duration) -> Result<(), Error> {
        while self.clock.monotonic() < until {
            std::thread::sleep(TICK);
            self.read(lab)?;
        }
        Ok(())
    }

    /// Reads the figures when a second has passed; true when it did.
    fn read(&mut self, lab: &mut Lab) -> Result<bool, Error> {
        let now = self.clock.monotonic();
        let passed = now.saturating_sub(self.last.at);
        if passed < READING {
            return Ok(false);
        }
        let (mut ok, mut bad) = (0, 0);
        for (_, counts) in self.run.counts() {
            ok += counts.ok;
            bad += counts.fail + counts.info;
        }
        let (new_ok, new_bad) = (ok - self.last.ok, bad - self.last.bad);
        let ok_at = if new_ok > 0 { now } else { self.last.ok_at };
        let mut down = 0;
        for node in 1..=lab.nodes() {
            down += u64::from(matches!(lab.state(node)?, NodeState::Down | NodeState::Ended(_)));
        }
        self.reading = Reading {
            ok_per_second: new_ok as f64 / passed.as_secs_f64(),
            error_ratio: new_bad as f64 / (new_ok + new_bad).max(1) as f64,
            no_answer_s: (now - ok_at).as_secs_f64(),
            shards_without_leader: self.watch.leaderless() as f64,
            nodes_down: down as f64,
        };
        self.last = Totals { at: now, ok, bad, ok_at };
        Ok(true)
    }
}

/// What the steps left for the report.
#[derive(Default)]
struct Breaks {
    steps: Vec<StepDone>,
    /// Nodes whose process ended by itself, and how.
    ended: Vec<(u64, String)>,
    notes: Vec<String>,
    /// What was seen of a damaged cluster with ballast before the damage was taken out.
    look: Option<Look>,
}

struct Steps<'a> {
    scenario: &'a Scenario,
    targets: &'a Targets,
    rng: &'a mut Rng,
    say: &'a mut dyn FnMut(&str),
}

impl Steps<'_> {
    /// Runs all steps; the reason when it was broken off.
    fn run(
        &mut self,
        lab: &mut Lab,
        running: &mut Running,
        breaks: &mut Breaks,
        checks: &mut Vec<StateCheck>,
    ) -> Result<Option<String>, Error> {
        let begin = running.clock.monotonic();
        let mut waiting: Vec<&Step> = self.scenario.step.iter().collect();
        waiting.sort_by_key(|step| step.at);
        waiting.reverse();
        // A fault that acts, its place in `breaks.steps`, and when it is taken out.
        let mut acting: Vec<(Injected, usize, Duration)> = Vec::new();
        while !waiting.is_empty() || !acting.is_empty() {
            let now = running.clock.monotonic();
            if let Some(at) = acting.iter().position(|(_, _, until)| now >= *until) {
                let (injected, place, _) = acting.remove(at);
                (self.say)(&format!(
                    "  {:>5.1} s  {} taken out",
                    (now - begin).as_secs_f64(),
                    injected.fault.kind.name()
                ));
                if injected.fault.kind.rots()
                    && let Some(found) = running.read_ballast(lab)
                {
                    let look = Look::at(lab, found);
                    (self.say)(&format!("           {}", look.judge().1));
                    breaks.look = Some(look);
                }
                let told = injected.restore(lab)?;
                told.iter().for_each(|line| (self.say)(&format!("           {line}")));
                breaks.steps[place].told.extend(told);
                breaks.steps[place].until = running.clock.monotonic();
            }
            if waiting.last().is_some_and(|step| now >= begin + step.at)
                && let Some(step) = waiting.pop()
            {
                let nodes = guard::nodes_of(step.target, self.targets);
                (self.say)(&format!(
                    "  {:>5.1} s  {} on nodes {nodes:?}: {}",
                    (now - begin).as_secs_f64(),
                    step.fault.name(),
                    step.fault.what()
                ));
                let fault = Fault { kind: step.fault, nodes: nodes.clone() };
                let injected = fault.inject(lab, self.rng)?;
                breaks.steps.push(StepDone {
                    kind: step.fault,
                    nodes,
                    told: injected.told.clone(),
                    from: now,
                    until: now,
                });
                acting.push((injected, breaks.steps.len() - 1, now + step.length));
            }
            self.note_ends(lab, breaks)?;
            if running.read(lab)? {
                look(self.scenario, Mode::Continuous, "during", lab, &running.reading, checks)?;
                let reading = running.reading;
                if let Some(hit) = self.scenario.abort.any.iter().find(|one| one.holds(&reading)) {
                    let why = format!("abort condition: {hit}");
                    (self.say)(&format!("  {why}"));
                    for (injected, place, _) in acting {
                        injected.restore(lab)?;
                        breaks.steps[place].until = running.clock.monotonic();
                    }
                    return Ok(Some(why));
                }
            }
            std::thread::sleep(TICK);
        }
        Ok(None)
    }

    fn note_ends(&mut self, lab: &mut Lab, breaks: &mut Breaks) -> Result<(), Error> {
        for node in 1..=lab.nodes() {
            if let NodeState::Ended(status) = lab.state(node)?
                && !breaks.ended.iter().any(|(known, _)| *known == node)
            {
                let last = lab.log_end(node);
                let last = last.lines().last().unwrap_or_default().trim().to_string();
                (self.say)(&format!("           node {node} ended by itself ({status}): {last}"));
                breaks.ended.push((node, format!("{status}: {last}")));
            }
        }
        Ok(())
    }
}

/// Looks at the steady states of a mode. Continuous ones are noted only when they fail.
fn look(
    scenario: &Scenario,
    mode: Mode,
    when: &'static str,
    lab: &Lab,
    reading: &Reading,
    checks: &mut Vec<StateCheck>,
) -> Result<(), Error> {
    for state in scenario.steady_state.iter().filter(|state| state.mode == mode) {
        let value = value_of(state, lab, reading);
        let passed = value.as_ref().is_ok_and(|value| {
            state.min.is_none_or(|min| *value >= min) && state.max.is_none_or(|max| *value <= max)
        });
        if mode == Mode::Edge || !passed {
            let name = state.name.clone();
            let told = value.map_or_else(|why| why, |value| format!("{value:.1}"));
            checks.push(StateCheck { name, when, told, passed });
        }
    }
    Ok(())
}

fn value_of(state: &SteadyState, lab: &Lab, reading: &Reading) -> Result<f64, String> {
    if let Some(metric) = &state.metric {
        return Metric::named(metric).map(|metric| metric.of(reading));
    }
    let sql = state.sql.clone().unwrap_or_default();
    let mut why = "no node answers".to_string();
    for node in 1..=lab.nodes() {
        match lab.ask(node, &sql) {
            Ok(rows) => {
                let first = rows.first().and_then(|row| row.get_opt::<f64, _>(0));
                return first
                    .and_then(Result::ok)
                    .ok_or_else(|| format!("{sql}: the first value is no number"));
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

/// Waits until every node answers, every shard has a leader and every replica runs.
fn whole_again(lab: &mut Lab, clock: &SharedClock, wait: Duration) -> Result<(), String> {
    let deadline = clock.monotonic() + wait;
    loop {
        let why = match whole(lab) {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        if clock.monotonic() > deadline {
            return Err(format!("after {wait:?}: {why}"));
        }
        std::thread::sleep(WHOLE_PAUSE);
    }
}

fn whole(lab: &mut Lab) -> Result<(), String> {
    for node in 1..=lab.nodes() {
        if !lab.answers(node) {
            return Err(format!("node {node} does not answer"));
        }
        health::of(lab, node)?;
    }
    let view = View::of(lab).ok_or("no node answers SHOW SHARDS")?;
    match view.leaderless() {
        0 => Ok(()),
        count => Err(format!("{count} shards have no leader that any node knows")),
    }
}

/// Waits until some node says of every shard that nothing is the matter with it, and that it has as many replicas
/// as it had before.
fn fully_replicated(
    lab: &Lab,
    clock: &SharedClock,
    deadline: Duration,
    before: &View,
) -> Result<(), String> {
    loop {
        let mut why = "no node answers SHOW SHARDS".to_string();
        for view in (1..=lab.nodes()).filter_map(|node| View::from(lab, node)) {
            match view.lacks_replicas(before) {
                None => return Ok(()),
                Some(lack) => why = lack,
            }
        }
        if clock.monotonic() > deadline {
            return Err(why);
        }
        std::thread::sleep(WHOLE_PAUSE);
    }
}

/// `20261122-031502`
fn compact_time(unix_ms: u64) -> String {
    let (days, seconds) = (unix_ms / 86_400_000, unix_ms / 1000 % 86_400);
    let (year, month, day) = civil(days as i64);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// Days since 1970-01-01 as a date (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(super) fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drills_id_begins_with_its_time() {
        assert_eq!(compact_time(0), "19700101-000000");
        assert_eq!(compact_time(1_795_313_580_000), "20261122-021300");
        assert_eq!(compact_time(1_709_251_199_000), "20240229-235959");
    }
}
