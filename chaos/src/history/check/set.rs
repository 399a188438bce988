//! Elements of sets: lost, stale, resurrected, out of nothing.
//!
//! ```text
//!          add e ├────┤ ok = known        remove e ├────┤ ok
//! read with e may be here    must be here      may be    must not be
//! ```
//!
//! An element is *known* from the first moment when somebody was told that it is there: the answer of its
//! add, or of a read that showed it. A read that was called later must show it, until its removal was
//! called. It is *gone* from the first moment when somebody was told so, and no later read may show it.
//!
//! A read of rows and index counts as two reads, and both must show the same.

use super::{Checked, Verdict, Violation};
use crate::history::{Event, Op, Operation, Phase, operations};
use std::collections::BTreeMap;

/// Violations of one kind that are told one by one for a key; more say nothing new.
const TOLD_PER_KEY_MAX: usize = 4;

/// One set's operations.
#[derive(Default)]
struct Set<'a> {
    adds: BTreeMap<i64, &'a Operation<'a>>,
    removes: BTreeMap<i64, &'a Operation<'a>>,
    reads: Vec<Read>,
}

struct Read {
    call: usize,
    answer: usize,
    /// Sorted.
    elements: Vec<i64>,
}

/// Judges adds, removals and reads. All sets are empty at the start.
pub fn set(history: &[Event]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let mut violations = Vec::new();
    let mut sets: BTreeMap<i64, Set<'_>> = BTreeMap::new();
    for operation in &operations {
        match (operation.op, operation.outcome, operation.answer) {
            (Op::Add { key, element }, ..) => {
                let set = sets.entry(*key).or_default();
                if set.adds.insert(*element, operation).is_some() {
                    let why = format!("key {key}: element {element} was added twice");
                    return Verdict::Unknown { why };
                }
            }
            (Op::Remove { key, element }, ..) => {
                // A removal that failed may be tried again.
                let removes = &mut sets.entry(*key).or_default().removes;
                let before = removes.insert(*element, operation);
                if before.is_some_and(|before| before.outcome != Phase::Fail) {
                    let why = format!("key {key}: element {element} was removed twice");
                    return Verdict::Unknown { why };
                }
            }
            (Op::ReadSet { key, elements: Some(elements) }, Phase::Ok, Some(answer)) => {
                let (read, twice) = Read::of(*key, elements, operation.call, answer, history);
                violations.extend(twice);
                sets.entry(*key).or_default().reads.push(read);
            }
            (
                Op::ReadSetBoth { key, rows: Some(rows), index: Some(index) },
                Phase::Ok,
                Some(answer),
            ) => {
                let reads = [rows, index]
                    .map(|found| Read::of(*key, found, operation.call, answer, history));
                if reads[0].0.elements != reads[1].0.elements {
                    let what = format!("key {key}: the rows show {rows:?}, their index {index:?}");
                    let lines = vec![operation.call, answer];
                    violations.push(violation(history, "index differs", what, lines));
                }
                let set = sets.entry(*key).or_default();
                for (read, twice) in reads {
                    violations.extend(twice);
                    set.reads.push(read);
                }
            }
            _ => {}
        }
    }

    let mut checked = Checked::default();
    let mut never_read = 0;
    for (key, set) in &sets {
        checked.operations += (set.adds.len() + set.removes.len() + set.reads.len()) as u64;
        for (name, count) in
            [("adds", set.adds.len()), ("removals", set.removes.len()), ("reads", set.reads.len())]
        {
            *checked.figures.entry(name).or_default() += count as u64;
        }
        let mut found = out_of_nothing(history, *key, set);
        for (element, add) in &set.adds {
            let life = Life::of(set, *element, add);
            if life.acknowledged_unread(set, add) {
                never_read += 1;
            }
            found.extend(life.violations(history, *key, *element, add, set));
        }
        let mut told: BTreeMap<&str, usize> = BTreeMap::new();
        found.retain(|violation| {
            let count = told.entry(violation.anomaly).or_default();
            *count += 1;
            *count <= TOLD_PER_KEY_MAX
        });
        violations.extend(found);
    }
    checked.figures.insert("never read", never_read);
    let adds = checked.figures.get("adds").copied().unwrap_or_default();
    if violations.is_empty() && adds > 0 && never_read == adds {
        return Verdict::Unknown { why: "no read came after any acknowledged add".into() };
    }
    Verdict::of(violations, checked)
}

/// Elements that a read shows although nobody had added them, or their add surely failed.
fn out_of_nothing(history: &[Event], key: i64, set: &Set<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for read in &set.reads {
        for element in &read.elements {
            let add = set.adds.get(element);
            let what = match add {
                None => "that nobody added",
                Some(add) if add.call > read.answer => "before it was added",
                Some(add) if add.outcome == Phase::Fail => "whose add failed",
                Some(_) => continue,
            };
            let what = format!("key {key}: a read shows element {element} {what}");
            let mut lines = vec![read.answer];
            lines.extend(add.iter().flat_map(|add| lines_of(add)));
            violations.push(violation(history, "out of nothing", what, lines));
        }
    }
    violations
}

/// When an element was surely there and surely gone, in lines of the history.
struct Life<'a> {
    /// Somebody was told that it is there.
    known: Option<usize>,
    /// Its removal, unless that surely failed.
    remove: Option<&'a Operation<'a>>,
    /// Somebody was told that it is gone, after its removal was called.
    gone: Option<usize>,
}

impl<'a> Life<'a> {
    fn of(set: &Set<'a>, element: i64, add: &Operation<'_>) -> Life<'a> {
        let acknowledged = if add.outcome == Phase::Ok { add.answer } else { None };
        let seen =
            set.reads.iter().filter(|read| read.shows(element)).map(|read| read.answer).min();
        let known = acknowledged.into_iter().chain(seen).min();
        let remove =
            set.removes.get(&element).copied().filter(|remove| remove.outcome != Phase::Fail);
        let gone = remove.and_then(|remove| {
            let told = if remove.outcome == Phase::Ok { remove.answer } else { None };
            let missed = set
                .reads
                .iter()
                .filter(|read| read.answer > remove.call && !read.shows(element))
                // Before it was known its absence says nothing about the removal.
                .filter(|read| known.is_some_and(|known| read.call > known))
                .map(|read| read.answer)
                .min();
            told.into_iter().chain(missed).min()
        });
        Life { known, remove, gone }
    }

    /// Whether nobody looked after its add was acknowledged.
    fn acknowledged_unread(&self, set: &Set<'_>, add: &Operation<'_>) -> bool {
        let Some(answer) = add.answer.filter(|_| add.outcome == Phase::Ok) else { return false };
        !set.reads.iter().any(|read| read.call > answer)
    }

    fn violations(
        &self,
        history: &[Event],
        key: i64,
        element: i64,
        add: &Operation<'_>,
        set: &Set<'_>,
    ) -> Vec<Violation> {
        let mut violations = Vec::new();
        let missing = set.reads.iter().find(|read| {
            self.known.is_some_and(|known| read.call > known)
                && self.remove.is_none_or(|remove| remove.call > read.answer)
                && !read.shows(element)
        });
        if let Some(read) = missing {
            let again =
                set.reads.iter().find(|later| later.call > read.answer && later.shows(element));
            let mut lines: Vec<usize> = lines_of(add).collect();
            lines.extend(self.known);
            lines.extend([read.call, read.answer]);
            lines.extend(again.map(|again| again.answer));
            let (anomaly, what) = match again {
                Some(_) => ("stale", "a later read shows it again"),
                None => ("lost", "and no later read shows it"),
            };
            let what = format!(
                "key {key}: element {element} was known to be there, a read called afterwards lacks it, {what}"
            );
            violations.push(violation(history, anomaly, what, lines));
        }
        let risen = set
            .reads
            .iter()
            .find(|read| self.gone.is_some_and(|gone| read.call > gone) && read.shows(element));
        if let (Some(read), Some(remove)) = (risen, self.remove) {
            let mut lines: Vec<usize> = lines_of(remove).collect();
            lines.extend(self.gone);
            lines.extend([read.call, read.answer]);
            let what = format!(
                "key {key}: element {element} was known to be gone, a read called afterwards shows it"
            );
            violations.push(violation(history, "resurrected", what, lines));
        }
        violations
    }
}

impl Read {
    /// A read of these elements, and what is wrong when one stands there twice.
    fn of(
        key: i64,
        found: &[i64],
        call: usize,
        answer: usize,
        history: &[Event],
    ) -> (Read, Option<Violation>) {
        let mut elements = found.to_vec();
        elements.sort_unstable();
        let twice = elements.windows(2).find(|pair| pair[0] == pair[1]).map(|twice| Violation {
            anomaly: "duplicate",
            what: format!("key {key}: a read shows element {} twice", twice[0]),
            events: vec![history[answer].clone()],
        });
        elements.dedup();
        (Read { call, answer, elements }, twice)
    }

    fn shows(&self, element: i64) -> bool {
        self.elements.binary_search(&element).is_ok()
    }
}

fn lines_of(operation: &Operation<'_>) -> impl Iterator<Item = usize> {
    std::iter::once(operation.call).chain(operation.answer)
}

fn violation(
    history: &[Event],
    anomaly: &'static str,
    what: String,
    mut lines: Vec<usize>,
) -> Violation {
    lines.sort_unstable();
    lines.dedup();
    let events = lines.into_iter().map(|line| history[line].clone()).collect();
    Violation { anomaly, what, events }
}
