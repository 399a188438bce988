//! What a checker says.

use crate::history::Event;
use std::collections::BTreeMap;
use std::fmt;

/// Violations that a verdict tells in full; more are only counted.
const VIOLATIONS_TOLD_MAX: usize = 8;
/// Events that a violation shows in full.
const EVENTS_TOLD_MAX: usize = 24;

/// Whether a correct database could have given this history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It could.
    Valid(Checked),
    /// It could not.
    Invalid {
        /// What went wrong, the gravest first; never empty.
        violations: Vec<Violation>,
        /// What was looked at.
        checked: Checked,
    },
    /// Not decided.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// How much a checker looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Operations with a known or unknown outcome, without those that failed.
    pub operations: u64,
    /// Further figures by name: reads, transactions, cycles of a permitted kind …
    pub figures: BTreeMap<&'static str, u64>,
}

/// One thing that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name: `lost`, `G1a`, `not linearizable` …
    pub anomaly: &'static str,
    /// What happened, in words.
    pub what: String,
    /// The exact events that prove it, in the order of time.
    pub events: Vec<Event>,
}

impl Verdict {
    /// The verdict over what was found.
    pub fn of(violations: Vec<Violation>, checked: Checked) -> Verdict {
        if violations.is_empty() {
            Verdict::Valid(checked)
        } else {
            Verdict::Invalid { violations, checked }
        }
    }

    /// Whether the history was found to be good.
    pub fn is_valid(&self) -> bool {
        matches!(self, Verdict::Valid(_))
    }

    /// The violations; none when the verdict is another.
    pub fn violations(&self) -> &[Violation] {
        match self {
            Verdict::Invalid { violations, .. } => violations,
            Verdict::Valid(_) | Verdict::Unknown { .. } => &[],
        }
    }

    /// Whether a violation of this name was found.
    pub fn has(&self, anomaly: &str) -> bool {
        self.violations().iter().any(|violation| violation.anomaly == anomaly)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operations", self.operations)?;
        for (name, count) in &self.figures {
            write!(f, ", {count} {name}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Valid(checked) => write!(f, "valid: {checked}"),
            Verdict::Unknown { why } => write!(f, "unknown: {why}"),
            Verdict::Invalid { violations, checked } => {
                writeln!(f, "INVALID: {} violations in {checked}", violations.len())?;
                for violation in violations.iter().take(VIOLATIONS_TOLD_MAX) {
                    write!(f, "{violation}")?;
                }
                if violations.len() > VIOLATIONS_TOLD_MAX {
                    writeln!(f, "… and {} more", violations.len() - VIOLATIONS_TOLD_MAX)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.anomaly, self.what)?;
        for event in self.events.iter().take(EVENTS_TOLD_MAX) {
            writeln!(f, "    {event}")?;
        }
        if self.events.len() > EVENTS_TOLD_MAX {
            writeln!(f, "    … and {} more events", self.events.len() - EVENTS_TOLD_MAX)?;
        }
        Ok(())
    }
}
