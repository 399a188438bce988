//! Linearizability of registers, key by key (Wing and Gong 1993; Lowe 2017, "just in time").
//!
//! The answers of a key are taken in the order of time. Beside them goes the set of all *configurations*
//! that the database could be in: the key's value and which of the open operations have taken effect. At an
//! answer, each configuration in which the operation has not taken effect is extended by open operations
//! until it has; what cannot be extended is dropped. When nothing is left, no order explains that answer.
//!
//! ```text
//! write 1  ├──────────────┤                 answers:      read→1          write 1
//! read →1      ├───┤                        before: {absent, none done}
//! read →0         ├─────── (no answer)      after:  {1, write and read done}  {1, write done}
//! ```
//!
//! An operation of unknown outcome never answers: it stays open to the end and may take effect at any time
//! or never. Of two configurations that differ only in such operations, the one that used fewer can do all
//! that the other can, so the other is dropped; this keeps the set small.
//!
//! The memory is bounded by `CONFIGURATIONS_MAX`. Beyond it the history is judged once more with less to
//! explain (without compare-and-swaps that did not match); if even that is impossible the history is bad,
//! otherwise the verdict is `Unknown`.

mod search;

use super::{Checked, Verdict, Violation};
use crate::history::{Event, Op, Operation, Phase, operations};
use search::{Effect, Search, Step, Stuck};
use std::collections::{BTreeMap, BTreeSet};

/// Judges reads, writes and compare-and-swaps. All keys are absent at the start.
pub fn register(history: &[Event]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let mut checked = Checked::default();
    let mut keys: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for operation in &operations {
        let Some(key) = key_of(operation.op) else { continue };
        let effect = match effect_of(operation) {
            Ok(Some(effect)) => effect,
            Ok(None) => continue,
            Err(why) => return Verdict::Unknown { why },
        };
        checked.operations += 1;
        let figure = match effect {
            Effect::Read(_) => "reads",
            Effect::Write(_) | Effect::Swap { .. } => "writes",
            Effect::Mismatch(_) => "mismatches",
        };
        *checked.figures.entry(figure).or_default() += 1;
        if operation.answer.is_none() {
            *checked.figures.entry("unknown outcomes").or_default() += 1;
        }
        let step = Step { call: operation.call, answer: operation.answer, effect };
        keys.entry(key).or_default().push(step);
    }
    checked.figures.insert("keys", keys.len() as u64);

    let mut violations = Vec::new();
    let mut undecided = Vec::new();
    for (key, steps) in &keys {
        match judge(steps) {
            Ok(()) => {}
            Err(Stuck::At { line, states, from }) => {
                violations.push(describe(history, *key, steps, line, &states, from));
            }
            Err(Stuck::TooMany) => undecided.push(*key),
        }
    }
    if violations.is_empty() && !undecided.is_empty() {
        let few = &undecided[..undecided.len().min(5)];
        let why = format!(
            "{} keys have more possible orders than fit in memory: {few:?}",
            undecided.len()
        );
        return Verdict::Unknown { why };
    }
    Verdict::of(violations, checked)
}

fn key_of(op: &Op) -> Option<i64> {
    match op {
        Op::Read { key, .. } | Op::Write { key, .. } | Op::Cas { key, .. } => Some(*key),
        _ => None,
    }
}

/// What an operation does or shows; `None` when that is nothing.
fn effect_of(operation: &Operation<'_>) -> Result<Option<Effect>, String> {
    let effect = match (operation.op, operation.outcome) {
        (_, Phase::Fail) | (Op::Read { .. }, Phase::Info | Phase::Invoke) => return Ok(None),
        (Op::Read { value, .. }, Phase::Ok) => Effect::Read(*value),
        (Op::Write { value, .. }, _) => Effect::Write(*value),
        (Op::Cas { from, to, swapped, .. }, outcome) => match (swapped, outcome) {
            (None, Phase::Ok) => {
                return Err(format!("line {}: a swap without a result", operation.call + 1));
            }
            (Some(false), Phase::Ok) => Effect::Mismatch(*from),
            _ => Effect::Swap { from: *from, to: *to },
        },
        _ => return Ok(None),
    };
    Ok(Some(effect))
}

/// Whether the steps of one key can be ordered.
fn judge(steps: &[Step]) -> Result<(), Stuck> {
    let needed = without_invisible(steps.to_vec());
    match Search::new(&needed).run() {
        Err(Stuck::TooMany) => {}
        Err(Stuck::At { line, states, .. }) => return Err(shorten(&needed, line, states)),
        Ok(()) => return Ok(()),
    }
    // Fewer observations can be explained by every order that explains all of them.
    let relaxed: Vec<Step> =
        steps.iter().filter(|step| !matches!(step.effect, Effect::Mismatch(_))).cloned().collect();
    match Search::new(&without_invisible(relaxed)).run() {
        Err(Stuck::At { line, states, .. }) => Err(Stuck::At { line, states, from: 0 }),
        Ok(()) | Err(Stuck::TooMany) => Err(Stuck::TooMany),
    }
}

/// Leaves out writes of unknown outcome that nothing can have seen: no read or swap found their value, and
/// no mismatch needs another value to have been there.
fn without_invisible(mut steps: Vec<Step>) -> Vec<Step> {
    let last_mismatch = steps
        .iter()
        .filter(|step| matches!(step.effect, Effect::Mismatch(_)))
        .filter_map(|step| step.answer)
        .max();
    loop {
        let seen: BTreeSet<i64> = steps
            .iter()
            .filter_map(|step| match step.effect {
                Effect::Read(value) => value,
                Effect::Swap { from, .. } => Some(from),
                Effect::Write(_) | Effect::Mismatch(_) => None,
            })
            .collect();
        let before = steps.len();
        steps.retain(|step| {
            let value = match step.effect {
                Effect::Write(value) | Effect::Swap { to: value, .. } => value,
                Effect::Read(_) | Effect::Mismatch(_) => return true,
            };
            let blocks = last_mismatch.is_some_and(|line| line > step.call);
            step.answer.is_some() || blocks || seen.contains(&value)
        });
        if steps.len() == before {
            return steps;
        }
    }
}

/// Finds the latest moment without open operations from which on the steps up to `line` cannot be ordered,
/// whatever the value was then.
fn shorten(steps: &[Step], line: usize, states: Vec<Option<i64>>) -> Stuck {
    let ended = |step: &Step| step.answer.is_some_and(|answer| answer < line);
    let mut quiet: Vec<usize> = steps
        .iter()
        .map(|step| step.call)
        .filter(|at| *at < line)
        .filter(|at| {
            !steps.iter().any(|step| step.call < *at && step.answer.is_some_and(|end| end > *at))
        })
        .collect();
    quiet.sort_unstable();
    for from in quiet.into_iter().rev() {
        let window: Vec<Step> = steps
            .iter()
            .filter(|step| step.answer.is_none() || step.call >= from)
            .filter(|step| step.answer.is_none() || ended(step) || step.answer == Some(line))
            .cloned()
            .collect();
        if let Err(Stuck::At { line, .. }) = Search::from_any_value(&window).run() {
            return Stuck::At { line, states, from };
        }
    }
    Stuck::At { line, states, from: 0 }
}

fn describe(
    history: &[Event],
    key: i64,
    steps: &[Step],
    line: usize,
    states: &[Option<i64>],
    from: usize,
) -> Violation {
    let concerns = |at: usize| {
        steps.iter().any(|step| {
            let whole = step.call >= from || step.answer.is_none_or(|answer| answer >= from);
            whole && step.call <= line && (step.call == at || step.answer == Some(at))
        })
    };
    let events: Vec<Event> =
        (0..=line).filter(|at| concerns(*at)).map(|at| history[at].clone()).collect();
    let states: Vec<String> = states
        .iter()
        .map(|state| state.map_or("absent".to_string(), |value| value.to_string()))
        .collect();
    let what = format!(
        "key {key}: no order of the operations on lines {} to {} explains the answer on line {}; \
         before it the key could only be {}",
        from + 1,
        line + 1,
        line + 1,
        states.join(" or ")
    );
    Violation { anomaly: "not linearizable", what, events }
}

#[cfg(test)]
mod tests;
