//! Steps of a chain: whoever sees a later one sees the earlier ones afterwards.
//!
//! ```text
//! writer   ├ step 0 ┤  ├ step 1 ┤  ├ step 2 ┤         each when the one before was acknowledged
//! reader                     ├ 2? no ─ 1? yes ─ 0? ┤   0 must be there: 1 was inserted after it
//! ```
//!
//! A read looks for the steps from the last to the first, each by a statement of its own. So a step that it finds
//! proves all steps that were acknowledged before that one was called, for everything it looks for afterwards. Beside
//! that, a step that was acknowledged before the read was called must be there.

use super::{Checked, Verdict, Violation};
use crate::history::{Event, Op, Operation, Phase, operations};
use std::collections::{BTreeMap, BTreeSet};

/// (chain, step) → its insertion.
type Steps<'a> = BTreeMap<(i64, i64), &'a Operation<'a>>;

/// Judges steps and reads of them. All chains are empty at the start.
pub fn sequential(history: &[Event]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let mut checked = Checked::default();
    let mut steps = Steps::new();
    for operation in &operations {
        let Op::Step { key, step } = operation.op else { continue };
        if steps.insert((*key, *step), operation).is_some() {
            let why = format!("key {key}: step {step} was inserted twice");
            return Verdict::Unknown { why };
        }
        if operation.outcome != Phase::Fail {
            checked.operations += 1;
            *checked.figures.entry("steps").or_default() += 1;
        }
    }
    let mut violations = Vec::new();
    for operation in &operations {
        let Op::ReadSteps { key, steps: asked, found: Some(found) } = operation.op else {
            continue;
        };
        let (Phase::Ok, Some(answer)) = (operation.outcome, operation.answer) else { continue };
        checked.operations += 1;
        *checked.figures.entry("reads").or_default() += 1;
        let read = Read { key: *key, call: operation.call, answer, asked, found };
        let wrong = [read.out_of_nothing(&steps), read.missing(&steps), read.skipped(&steps)];
        for (anomaly, what, about) in wrong.into_iter().flatten() {
            let mut lines = BTreeSet::from([read.call, answer]);
            for step in about {
                let insertion = steps.get(&(*key, step));
                lines.extend(insertion.map(|insertion| insertion.call));
                lines.extend(insertion.and_then(|insertion| insertion.answer));
            }
            let events = lines.into_iter().map(|line| history[line].clone()).collect();
            violations.push(Violation { anomaly, what, events });
        }
    }
    if violations.is_empty() && !checked.figures.contains_key("reads") {
        return Verdict::Unknown { why: "no chain was read".into() };
    }
    Verdict::of(violations, checked)
}

/// An answered read.
struct Read<'a> {
    key: i64,
    call: usize,
    answer: usize,
    asked: &'a [i64],
    found: &'a [i64],
}

/// Name, words, and the steps that prove it.
type Wrong = (&'static str, String, Vec<i64>);

impl Read<'_> {
    fn out_of_nothing(&self, steps: &Steps<'_>) -> Option<Wrong> {
        let nowhere = |step: &&i64| match steps.get(&(self.key, **step)) {
            None => true,
            Some(insertion) => insertion.outcome == Phase::Fail || insertion.call > self.answer,
        };
        let step = self.found.iter().find(nowhere)?;
        let key = self.key;
        let what = format!("key {key}: a read shows step {step}, which nobody had inserted");
        Some(("out of nothing", what, vec![*step]))
    }

    fn missing(&self, steps: &Steps<'_>) -> Option<Wrong> {
        let known = |step: &&i64| {
            acknowledged(steps, self.key, **step).is_some_and(|answer| answer < self.call)
        };
        let step = self.lacks().find(known)?;
        let key = self.key;
        let what = format!(
            "key {key}: step {step} was acknowledged, a read called afterwards does not show it"
        );
        Some(("missing", what, vec![*step]))
    }

    fn skipped(&self, steps: &Steps<'_>) -> Option<Wrong> {
        let mut seen: Vec<i64> = Vec::new();
        for step in self.asked {
            if self.found.contains(step) {
                seen.push(*step);
                continue;
            }
            let Some(answer) = acknowledged(steps, self.key, *step) else { continue };
            let later = seen.iter().find(|seen| {
                steps.get(&(self.key, **seen)).is_some_and(|insertion| insertion.call > answer)
            });
            if let Some(later) = later {
                let key = self.key;
                let what = format!(
                    "key {key}: a read shows step {later} and then does not show step {step}, which was acknowledged before step {later} was called"
                );
                return Some(("skipped", what, vec![*step, *later]));
            }
        }
        None
    }

    fn lacks(&self) -> impl Iterator<Item = &i64> {
        self.asked.iter().filter(move |step| !self.found.contains(step))
    }
}

/// Line in which the insertion of a step was acknowledged.
fn acknowledged(steps: &Steps<'_>, key: i64, step: i64) -> Option<usize> {
    steps.get(&(key, step)).filter(|insertion| insertion.outcome == Phase::Ok)?.answer
}
