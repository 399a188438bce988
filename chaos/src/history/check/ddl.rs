//! Rows and definitions: an acknowledged row of a table that is still there is not lost, nothing is half done, an
//! index says what the table says, and a table is there from the answer of its CREATE to the call of its DROP.
//!
//! ```text
//! definer   ├ create 7 ┤                       ├ truncate 7 ┤                  ├ drop 7 ┤
//! insert                 ├ a ┤   ├─ b ─┤   ├──── c ────┤      ├ d ┤    ├ e ┤             ├ f: 1146 ┤
//! read                                                                      ├ d, perhaps c; not a, b ┤
//! ```
//!
//! An element has two halves, inserted by one transaction; half of the transactions put them into two tables. An
//! element is *known* from the first moment when somebody was told that it is there. A read that was called later must
//! show all of it, unless something emptied the table that was not over before the element's insertion was called.

mod tables;

use super::{Checked, Verdict, Violation};
use crate::history::{Change, Event, Op, Operation, Phase, operations};
use std::collections::{BTreeMap, BTreeSet};
use tables::{Tables, answered_before};

/// Violations of one kind that are told one by one; more say nothing new.
const TOLD_MAX: usize = 8;
/// MySQL's numbers for a table that does not exist: of a statement, and of DROP.
const NO_SUCH_TABLE: [u16; 2] = [1146, 1051];

/// What was inserted.
struct Insert<'a> {
    operation: &'a Operation<'a>,
    tables: [i64; 2],
    /// Line in which somebody was told that it is there.
    known: Option<usize>,
}

/// A read of a table that was there.
struct Read<'a> {
    call: usize,
    answer: usize,
    table: i64,
    root: i64,
    rows: &'a [(i64, i64)],
    index: &'a [(i64, i64)],
    /// The rows, each once.
    shown: BTreeSet<(i64, i64)>,
}

/// Element → its insertion.
type Inserts<'a> = BTreeMap<i64, Insert<'a>>;

/// Judges definitions, insertions and reads. No table is there at the start.
pub fn ddl(history: &[Event]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let gathered = Tables::of(&operations).and_then(|tables| {
        let inserts = inserts(&operations)?;
        Ok((tables, inserts))
    });
    let (tables, mut inserts) = match gathered {
        Ok(gathered) => gathered,
        Err(why) => return Verdict::Unknown { why },
    };
    let reads = reads(&operations, &tables);
    for read in &reads {
        for (element, half) in &read.shown {
            let insert =
                inserts.get_mut(element).filter(|insert| insert.is_in(*half, read, &tables));
            if let Some(insert) = insert {
                insert.known = Some(insert.known.map_or(read.answer, |line| line.min(read.answer)));
            }
        }
    }
    let judge = Judge { history, tables: &tables, inserts: &inserts };
    let mut violations: Vec<Violation> =
        operations.iter().filter_map(|operation| judge.existence(operation)).collect();
    let mut by_root: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
    for (element, insert) in &inserts {
        for (half, table) in (0..).zip(insert.tables) {
            by_root.entry(tables.root(table)).or_default().push((*element, half));
        }
    }
    for read in &reads {
        violations.extend(judge.content(read));
        for (element, half) in by_root.get(&read.root).into_iter().flatten() {
            violations.extend(judge.half(read, *element, *half));
        }
    }
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    violations.retain(|violation| {
        let count = told.entry(violation.anomaly).or_default();
        *count += 1;
        *count <= TOLD_MAX
    });
    let checked = figures(&operations);
    let told_nothing = reads.iter().all(|read| {
        !inserts.values().any(|insert| insert.known.is_some_and(|line| line < read.call))
    });
    if violations.is_empty() && told_nothing {
        return Verdict::Unknown { why: "no table was read after an acknowledged insert".into() };
    }
    Verdict::of(violations, checked)
}

fn figures(operations: &[Operation<'_>]) -> Checked {
    let mut checked = Checked::default();
    for operation in operations.iter().filter(|operation| operation.outcome != Phase::Fail) {
        let name = match operation.op {
            Op::Define { .. } => "definitions",
            Op::InsertHalves { .. } => "inserts",
            Op::ReadTable { .. } => "reads",
            _ => continue,
        };
        checked.operations += 1;
        *checked.figures.entry(name).or_default() += 1;
    }
    checked
}

fn inserts<'a>(operations: &'a [Operation<'a>]) -> Result<Inserts<'a>, String> {
    let mut inserts = Inserts::new();
    for operation in operations {
        let Op::InsertHalves { tables, element } = operation.op else { continue };
        let known = operation.answer.filter(|_| operation.outcome == Phase::Ok);
        let insert = Insert { operation, tables: *tables, known };
        if inserts.insert(*element, insert).is_some() {
            return Err(format!("element {element} is inserted twice"));
        }
    }
    Ok(inserts)
}

fn reads<'a>(operations: &'a [Operation<'a>], tables: &Tables<'_>) -> Vec<Read<'a>> {
    let answered = operations.iter().filter(|operation| operation.outcome == Phase::Ok);
    answered
        .filter_map(|operation| {
            let Op::ReadTable { table, rows: Some(rows), index } = operation.op else {
                return None;
            };
            Some(Read {
                call: operation.call,
                answer: operation.answer?,
                table: *table,
                root: tables.root(*table),
                rows,
                index: index.as_deref().unwrap_or_default(),
                shown: rows.iter().copied().collect(),
            })
        })
        .collect()
}

impl Insert<'_> {
    /// Whether this half of it belongs into the table of a read.
    fn is_in(&self, half: i64, read: &Read<'_>, tables: &Tables<'_>) -> bool {
        let table = usize::try_from(half).ok().and_then(|half| self.tables.get(half));
        table.is_some_and(|table| tables.root(*table) == read.root)
    }
}

/// What all judgements need.
struct Judge<'a> {
    history: &'a [Event],
    tables: &'a Tables<'a>,
    inserts: &'a Inserts<'a>,
}

impl Judge<'_> {
    /// Whether an operation met a table that was not there, or missed one that was.
    fn existence(&self, operation: &Operation<'_>) -> Option<Violation> {
        let answer = operation.answer?;
        let named = named(operation.op);
        let error = self.history[answer].error.as_ref().map(|error| error.code);
        let missed = match (operation.outcome, operation.op) {
            (Phase::Ok, Op::ReadTable { rows: None, .. }) => true,
            (Phase::Fail, _) => error.is_some_and(|code| NO_SUCH_TABLE.contains(&code)),
            _ => false,
        };
        let there = |table: &i64| self.tables.surely_there(*table, operation.call, answer);
        let absent = |table: &&i64| self.tables.surely_absent(**table, operation.call, answer);
        let (anomaly, what, table) = if missed {
            let table = named.first().filter(|_| named.iter().all(there))?;
            (
                "table missing",
                format!("table {table} is there, a client was told that it is not"),
                table,
            )
        } else if operation.outcome == Phase::Ok {
            let table = named.iter().find(absent)?;
            let what = format!("table {table} is not there, a client was told that it used it");
            ("absent but there", what, table)
        } else {
            return None;
        };
        let lines = lines_of(operation).chain(self.tables.lines_of(*table));
        Some(self.violation(anomaly, what, lines))
    }

    /// What is wrong with a read by itself.
    fn content(&self, read: &Read<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        let table = read.table;
        let sorted = |rows: &[(i64, i64)]| {
            let mut rows = rows.to_vec();
            rows.sort_unstable();
            rows
        };
        let (rows, index) = (sorted(read.rows), sorted(read.index));
        if rows != index {
            let shown: BTreeSet<(i64, i64)> = index.iter().copied().collect();
            let differ: Vec<_> = read.shown.symmetric_difference(&shown).take(TOLD_MAX).collect();
            let what = format!(
                "table {table} shows {} rows, its index {}; only one of them has, for example, {differ:?}",
                rows.len(),
                index.len()
            );
            violations.push(self.violation("index differs", what, [read.call, read.answer]));
        }
        if let Some(twice) = rows.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!("table {table} shows {:?} twice", twice[0]);
            violations.push(self.violation("duplicate", what, [read.call, read.answer]));
        }
        for (element, half) in &read.shown {
            let insert = self.inserts.get(element);
            let what = match insert {
                None => "that nobody inserted",
                Some(insert) if insert.operation.outcome == Phase::Fail => "whose insertion failed",
                Some(insert) if insert.operation.call > read.answer => "before it was inserted",
                Some(insert) if !insert.is_in(*half, read, self.tables) => "of another table",
                Some(_) => continue,
            };
            let what = format!("table {table} shows half {half} of element {element} {what}");
            let lines = insert.map(|insert| lines_of(insert.operation));
            let lines = lines.into_iter().flatten().chain([read.call, read.answer]);
            violations.push(self.violation("out of nothing", what, lines));
        }
        violations
    }

    /// What a read that shows or lacks this half of an element proves.
    fn half(&self, read: &Read<'_>, element: i64, half: i64) -> Option<Violation> {
        let insert = self.inserts.get(&element)?;
        let (table, operation) = (read.table, insert.operation);
        let truncated = self.tables.truncated(read.root);
        let lines = lines_of(operation).chain([read.call, read.answer]);
        if read.shown.contains(&(element, half)) {
            let emptied = truncated.iter().find(|truncate| {
                insert.known.is_some_and(|known| known < truncate.call)
                    && answered_before(truncate, read.call)
            })?;
            let what = format!(
                "table {table} shows half {half} of element {element}, which was there before the table was emptied"
            );
            return Some(self.violation("resurrected", what, lines.chain(lines_of(emptied))));
        }
        let other = 1 - half;
        if read.shown.contains(&(element, other)) && insert.is_in(other, read, self.tables) {
            let what = format!(
                "table {table} shows half {other} of element {element} without half {half}, one transaction inserted both"
            );
            return Some(self.violation("partial", what, lines));
        }
        let known = insert.known.filter(|known| *known < read.call)?;
        let kept = truncated
            .iter()
            .all(|one| one.call > read.answer || answered_before(one, operation.call));
        if !kept {
            return None;
        }
        let (anomaly, what) = if operation.outcome == Phase::Ok {
            ("lost row", "was acknowledged")
        } else {
            ("partial", "was seen, at least one half of it")
        };
        let what = format!(
            "element {element} {what}; a read of table {table} called afterwards lacks its half {half}"
        );
        let more = truncated.iter().flat_map(|one| lines_of(one)).chain([known]);
        Some(self.violation(anomaly, what, lines.chain(more)))
    }

    fn violation(
        &self,
        anomaly: &'static str,
        what: String,
        lines: impl IntoIterator<Item = usize>,
    ) -> Violation {
        let lines: BTreeSet<usize> = lines.into_iter().collect();
        let events = lines.into_iter().map(|line| self.history[line].clone()).collect();
        Violation { anomaly, what, events }
    }
}

/// The tables that an operation needs.
fn named(op: &Op) -> Vec<i64> {
    match op {
        Op::Define {
            change: Change::Drop(table) | Change::Truncate(table) | Change::Rename(table, _),
        }
        | Op::ReadTable { table, .. } => vec![*table],
        Op::InsertHalves { tables, .. } => tables.to_vec(),
        _ => Vec::new(),
    }
}

/// Lines of the call and the answer of an operation.
fn lines_of(operation: &Operation<'_>) -> impl Iterator<Item = usize> + use<> {
    std::iter::once(operation.call).chain(operation.answer)
}
