//! Values of which each is one more than the highest before: they grow with real time, and with the cluster's
//! timestamps.
//!
//! ```text
//! next      ├─ 1 ─┤   ├─ 2 ─┤                 ├─ 3 ─┤
//! read                         ├─ 1, 2 ─┤               ├─ 1, 2, 3 ─┤
//! read of the past, at      t = 10: 1      t = 20: 1, 2, 3
//! ```
//!
//! Whoever inserts a value has seen the one before, and no two insert the same. So every snapshot shows 1 … n
//! without a gap; what begins later in real time sees no smaller n; and of two reads of the past the one at the later
//! timestamp sees no smaller n, whichever was made first. What is read of the past is there now too.
//!
//! The value that a transaction of unknown outcome inserted is not known: a read may show as many values without an
//! owner as there are such transactions.

use super::{Checked, Verdict, Violation};
use crate::history::{Event, Op, Operation, Phase, operations};
use std::collections::{BTreeMap, BTreeSet};

/// One series while the history is gone through.
#[derive(Default)]
struct Series {
    /// Highest value that somebody was told to be there, and the line of that answer.
    highest: Option<(i64, usize)>,
    /// Value → line of the answer of whoever inserted it.
    answered: BTreeMap<i64, usize>,
    past: Vec<Past>,
}

/// A read of the past.
struct Past {
    at: u64,
    highest: i64,
    answer: usize,
}

/// Who inserts what, over the whole history.
#[derive(Default)]
struct Owners {
    /// (series, value) → line of the call.
    known: BTreeMap<(i64, i64), usize>,
    /// Series → lines of the calls whose value and outcome nobody knows.
    unknown: BTreeMap<i64, Vec<usize>>,
}

/// Judges insertions and reads. All series are empty at the start.
pub fn monotonic(history: &[Event]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let owners = Owners::of(&operations);
    let mut calls = BTreeMap::new();
    let mut answers = BTreeMap::new();
    for operation in &operations {
        calls.insert(operation.call, operation);
        answers.extend(operation.answer.map(|answer| (answer, operation)));
    }
    let mut checked = Checked::default();
    let mut violations = Vec::new();
    let mut all: BTreeMap<i64, Series> = BTreeMap::new();
    // Highest value and its line as they were when an operation was called.
    let mut at_call: BTreeMap<usize, (i64, usize)> = BTreeMap::new();
    for line in 0..history.len() {
        if let Some(operation) = calls.get(&line)
            && let Some(highest) = key_of(operation.op).and_then(|key| all.get(&key)?.highest)
        {
            at_call.insert(line, highest);
        }
        let Some(operation) = answers.get(&line).filter(|one| one.outcome == Phase::Ok) else {
            continue;
        };
        let before = at_call.remove(&operation.call);
        let (call, events) = (operation.call, |lines: &[usize]| events_of(history, lines));
        match operation.op {
            Op::Next { key, value: Some(value) } => {
                count(&mut checked, "values");
                let series = all.entry(*key).or_default();
                if let Some(first) = series.answered.insert(*value, line) {
                    let what = format!("key {key}: two transactions inserted {value}");
                    violations.push(Violation {
                        anomaly: "duplicate",
                        what,
                        events: events(&[first, call, line]),
                    });
                }
                if let Some((highest, told)) = before.filter(|(highest, _)| value <= highest) {
                    let what = format!(
                        "key {key}: {value} was inserted as the next one after line {} told of {highest}",
                        told + 1
                    );
                    violations.push(Violation {
                        anomaly: "went back",
                        what,
                        events: events(&[told, call, line]),
                    });
                }
                series.saw(*value, line);
            }
            Op::ReadValues { key, at, values: Some(values) } => {
                count(&mut checked, if at.is_some() { "reads of the past" } else { "reads" });
                let shown: BTreeSet<i64> = values.iter().copied().collect();
                let wrong = wrong_with(*key, values, &shown, &owners, line);
                violations.extend(wrong.into_iter().map(|(anomaly, what)| Violation {
                    anomaly,
                    what,
                    events: events(&[call, line]),
                }));
                let most = shown.last().copied().unwrap_or(0);
                let series = all.entry(*key).or_default();
                match (at, before) {
                    (Some(at), _) => {
                        series.past.push(Past { at: *at, highest: most, answer: line });
                    }
                    (None, Some((highest, told))) if most < highest => {
                        let what = format!(
                            "key {key}: a read shows at most {most} after line {} told of {highest}",
                            told + 1
                        );
                        violations.push(Violation {
                            anomaly: "went back",
                            what,
                            events: events(&[told, call, line]),
                        });
                    }
                    (None, _) => {}
                }
                series.saw(most, line);
            }
            _ => {}
        }
    }
    for (key, series) in &mut all {
        violations.extend(series.against_time(history, *key));
    }
    let reads = ["reads", "reads of the past"];
    if violations.is_empty() && !reads.iter().any(|name| checked.figures.contains_key(name)) {
        return Verdict::Unknown { why: "no value was read".into() };
    }
    Verdict::of(violations, checked)
}

fn count(checked: &mut Checked, name: &'static str) {
    checked.operations += 1;
    *checked.figures.entry(name).or_default() += 1;
}

fn key_of(op: &Op) -> Option<i64> {
    match op {
        Op::Next { key, .. } | Op::ReadValues { key, .. } => Some(*key),
        _ => None,
    }
}

/// What is wrong with the values of a read, whatever others were told.
fn wrong_with(
    key: i64,
    values: &[i64],
    shown: &BTreeSet<i64>,
    owners: &Owners,
    answer: usize,
) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    if shown.len() < values.len() {
        wrong.push(("duplicate", format!("key {key}: a read shows a value twice: {values:?}")));
    }
    let first = (1_i64..).zip(shown).find(|(expected, value)| expected != *value);
    if let Some((expected, value)) = first.filter(|(expected, value)| *value > expected) {
        let what = format!(
            "key {key}: a read shows {value} without {expected}, which had to be there before it"
        );
        wrong.push(("gap", what));
    }
    let mut ownerless = Vec::new();
    for value in shown {
        match owners.known.get(&(key, *value)) {
            Some(call) if *call > answer => {
                let what = format!("key {key}: a read shows {value} before it was inserted");
                wrong.push(("out of nothing", what));
            }
            Some(_) => {}
            None => ownerless.push(*value),
        }
    }
    let unknown = owners.unknown.get(&key).map_or(0, |calls| {
        // Sorted: operations come in the order of their calls.
        calls.partition_point(|call| *call < answer)
    });
    if ownerless.len() > unknown {
        let what = format!(
            "key {key}: a read shows {ownerless:?}, which nobody inserted; {unknown} transactions of unknown outcome could have inserted one each"
        );
        wrong.push(("out of nothing", what));
    }
    wrong
}

fn events_of(history: &[Event], lines: &[usize]) -> Vec<Event> {
    let lines: BTreeSet<usize> = lines.iter().copied().collect();
    lines.into_iter().map(|line| history[line].clone()).collect()
}

impl Owners {
    fn of(operations: &[Operation<'_>]) -> Owners {
        let mut owners = Owners::default();
        for operation in operations {
            let Op::Next { key, value } = operation.op else { continue };
            match (operation.outcome, value) {
                (Phase::Ok, Some(value)) => {
                    owners.known.entry((*key, *value)).or_insert(operation.call);
                }
                (Phase::Fail, _) => {}
                _ => owners.unknown.entry(*key).or_default().push(operation.call),
            }
        }
        owners
    }
}

impl Series {
    /// Somebody was told that this value is there.
    fn saw(&mut self, value: i64, line: usize) {
        if value > 0 && self.highest.is_none_or(|(highest, _)| value > highest) {
            self.highest = Some((value, line));
        }
    }

    /// The first read of the past that shows less than one at an earlier timestamp.
    fn against_time(&mut self, history: &[Event], key: i64) -> Option<Violation> {
        self.past.sort_unstable_by_key(|past| past.at);
        let mut earlier: Option<&Past> = None;
        // Two reads at one point may differ: the point may have been now.
        for same in self.past.chunk_by(|one, other| one.at == other.at) {
            let less = |past: &&Past| earlier.is_some_and(|before| past.highest < before.highest);
            if let (Some(past), Some(before)) = (same.iter().find(less), earlier) {
                let what = format!(
                    "key {key}: at {} a read shows values up to {}, at the later {} only up to {}",
                    before.at, before.highest, past.at, past.highest
                );
                let events = events_of(history, &[before.answer, past.answer]);
                return Some(Violation { anomaly: "against time", what, events });
            }
            let most = same.iter().max_by_key(|past| past.highest);
            earlier = [earlier, most].into_iter().flatten().max_by_key(|past| past.highest);
        }
        None
    }
}
