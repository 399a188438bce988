//! Counters: reads never go back, and every acknowledged increment counts once.
//!
//! A read shows at least the increments acknowledged before it was called, and at most those called before
//! it was answered that did not surely fail. A read that was called after another one was answered does not
//! show less.

use super::{Checked, Verdict, Violation};
use crate::history::{Event, Op, Phase, operations};
use std::collections::BTreeMap;

/// One counter while the history is gone through.
#[derive(Default)]
struct Counter {
    acknowledged: i64,
    called: i64,
    /// Highest value that an answered read showed, and the line of that answer.
    highest: Option<(i64, usize)>,
    /// Lines of increments, the latest last.
    lines: Vec<usize>,
}

/// What was known when a read was called.
struct Before {
    acknowledged: i64,
    highest: Option<(i64, usize)>,
}

/// Judges increments and reads. All counters are 0 at the start.
pub fn counter(history: &[Event]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let mut calls = BTreeMap::new();
    let mut answers = BTreeMap::new();
    for operation in &operations {
        calls.insert(operation.call, operation);
        answers.extend(operation.answer.map(|answer| (answer, operation)));
    }
    let mut checked = Checked::default();
    let mut violations = Vec::new();
    let mut counters: BTreeMap<i64, Counter> = BTreeMap::new();
    let mut under_way: BTreeMap<usize, Before> = BTreeMap::new();
    for line in 0..history.len() {
        if let Some(operation) = calls.get(&line) {
            match operation.op {
                Op::Increment { key } if operation.outcome != Phase::Fail => {
                    let counter = counters.entry(*key).or_default();
                    counter.called += 1;
                    counter.lines.push(line);
                    checked.operations += 1;
                    *checked.figures.entry("increments").or_default() += 1;
                }
                Op::ReadCounter { key, .. } => {
                    let counter = counters.entry(*key).or_default();
                    let Counter { acknowledged, highest, .. } = *counter;
                    under_way.insert(line, Before { acknowledged, highest });
                }
                _ => {}
            }
        }
        let Some(operation) = answers.get(&line) else { continue };
        if operation.outcome != Phase::Ok {
            continue;
        }
        match operation.op {
            Op::Increment { key } => {
                let counter = counters.entry(*key).or_default();
                counter.acknowledged += 1;
                counter.lines.push(line);
            }
            Op::ReadCounter { key, value } => {
                let Some(before) = under_way.remove(&operation.call) else { continue };
                checked.operations += 1;
                *checked.figures.entry("reads").or_default() += 1;
                let counter = counters.entry(*key).or_default();
                // A counter without a row has counted nothing.
                let value = value.unwrap_or(0);
                violations.extend(judge(*key, value, &before, counter).map(|(anomaly, what)| {
                    let mut lines: Vec<usize> =
                        counter.lines.iter().rev().take(SHOWN).copied().collect();
                    lines.extend(before.highest.map(|(_, line)| line));
                    lines.extend([operation.call, line]);
                    lines.sort_unstable();
                    let events = lines.into_iter().map(|line| history[line].clone()).collect();
                    Violation { anomaly, what, events }
                }));
                if counter.highest.is_none_or(|(highest, _)| value > highest) {
                    counter.highest = Some((value, line));
                }
            }
            _ => {}
        }
    }
    if violations.is_empty() && !checked.figures.contains_key("reads") {
        return Verdict::Unknown { why: "no counter was read".into() };
    }
    Verdict::of(violations, checked)
}

/// Increments shown with a violation.
const SHOWN: usize = 16;

fn judge(
    key: i64,
    value: i64,
    before: &Before,
    counter: &Counter,
) -> Option<(&'static str, String)> {
    if let Some((highest, line)) = before.highest.filter(|(highest, _)| value < *highest) {
        let what =
            format!("key {key}: a read shows {value} after line {} showed {highest}", line + 1);
        return Some(("went back", what));
    }
    if value < before.acknowledged {
        let known = before.acknowledged;
        let what = format!("key {key}: a read shows {value} after {known} acknowledged increments");
        return Some(("lost increment", what));
    }
    if value > counter.called {
        let called = counter.called;
        let what =
            format!("key {key}: a read shows {value}, but at most {called} increments happened");
        return Some(("counted twice", what));
    }
    None
}
