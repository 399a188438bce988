//! What came of a soak: figures, verdicts, and whether anything was violated.

use super::nemesis::Window;
use crate::fault::kind::Kind;
use crate::history::check::{Loss, loss};
use crate::history::read;
use crate::workload::Finished;
use crate::workload::probe::Report;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Time after a fault's end in which an outage still counts as its doing.
const AFTERMATH: Duration = Duration::from_secs(5);

/// Everything about a finished soak.
pub struct Outcome {
    /// What decided the faults.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: u64,
    /// How long faults went on, healing included.
    pub length: Duration,
    /// The faults.
    pub windows: Vec<Window>,
    /// The workloads with their verdicts.
    pub finished: Vec<Finished>,
    /// What the probe measured.
    pub probe: Report,
    /// Why the cluster was not whole at the end, if it was not.
    pub unsettled: Option<String>,
    /// Kinds of faults that do not work here, and why.
    pub unavailable: Vec<(Kind, String)>,
}

/// Figures of one kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind {
    /// Times injected.
    pub count: u64,
    /// Longest time between two good answers of a lane around it.
    pub p_max: Duration,
    /// Longest time from its end until every node answered; `None` when one did not.
    pub well_max: Option<Duration>,
}

impl Outcome {
    /// Figures by kind of fault.
    pub fn per_kind(&self) -> BTreeMap<Kind, PerKind> {
        let mut kinds: BTreeMap<Kind, PerKind> = BTreeMap::new();
        for window in &self.windows {
            let first = PerKind { well_max: Some(Duration::ZERO), ..PerKind::default() };
            let figures = kinds.entry(window.kind).or_insert(first);
            figures.count += 1;
            let end = window.well.unwrap_or(window.until) + AFTERMATH;
            figures.p_max = figures.p_max.max(self.probe.p_max_between(window.from, end));
            let well = window.well.map(|well| well.saturating_sub(window.until));
            figures.well_max = figures.well_max.zip(well).map(|(one, other)| one.max(other));
        }
        kinds
    }

    /// Operations that checkers looked at: those that were answered or whose outcome is unknown.
    pub fn operations(&self) -> u64 {
        self.finished.iter().map(|part| part.counts.ok + part.counts.info).sum()
    }

    /// Missing rows of all ledgers; `None` when one could not be counted.
    pub fn ledger_loss(&self) -> Option<Loss> {
        let mut sum = Loss::default();
        for part in self.finished.iter().filter(|part| part.name.starts_with("ledger")) {
            let part = read(&part.path).ok().and_then(|history| loss(&history).ok())?;
            sum.acknowledged += part.acknowledged;
            sum.missing += part.missing;
        }
        Some(sum)
    }

    /// What must not have happened, one line each. An undecided verdict counts: it proves nothing.
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for part in &self.finished {
            if !part.verdict.is_valid() {
                found.push(format!("{}: {}", part.name, part.verdict));
            }
        }
        if self.finished.is_empty() {
            found.push("no workload ran: nothing was checked".into());
        }
        for window in &self.windows {
            let kind = window.kind.name();
            if window.well.is_none() {
                found.push(format!("{kind} on {:?}: a node did not come back", window.nodes));
            }
            found.extend(window.died.iter().map(|died| format!("{kind}: {died}")));
        }
        found.extend(self.unsettled.clone());
        found
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.length.as_secs_f64();
        writeln!(f, "soak: seed {}, {} nodes, {seconds:.0} s", self.seed, self.nodes)?;
        writeln!(f, "\n{:<16} {:>6} {:>9} {:>12}", "fault", "times", "pMax", "nodes back")?;
        for (kind, figures) in self.per_kind() {
            let back = match figures.well_max {
                Some(well) => format!("{:.1} s", well.as_secs_f64()),
                None => "no".into(),
            };
            let p_max = format!("{:.2} s", figures.p_max.as_secs_f64());
            writeln!(f, "{:<16} {:>6} {p_max:>9} {back:>12}", kind.name(), figures.count)?;
        }
        writeln!(f, "\n{:<26} {:>8} {:>8} {:>8}  verdict", "workload", "ok", "failed", "unknown")?;
        for part in &self.finished {
            let counts = &part.counts;
            let verdict = part.verdict.to_string();
            let verdict = verdict.lines().next().unwrap_or_default();
            let name = part.name;
            writeln!(
                f,
                "{name:<26} {:>8} {:>8} {:>8}  {verdict}",
                counts.ok, counts.fail, counts.info
            )?;
        }
        writeln!(f, "\nfaults injected       {}", self.windows.len())?;
        writeln!(f, "operations checked    {}", self.operations())?;
        writeln!(f, "pMax over the run     {:.2} s", self.probe.p_max().as_secs_f64())?;
        match self.ledger_loss() {
            Some(loss) => writeln!(
                f,
                "ledger                {} rows acknowledged, {} missing",
                loss.acknowledged, loss.missing
            )?,
            None => writeln!(f, "ledger                not counted")?,
        }
        let violations = self.violations();
        if violations.is_empty() {
            return writeln!(f, "no violation");
        }
        writeln!(f, "\n{} VIOLATIONS", violations.len())?;
        violations.iter().try_for_each(|violation| writeln!(f, "- {violation}"))
    }
}
