//! The ledger: every acknowledged version of a row is there at the end, and nothing that nobody wrote.
//!
//! The versions of a row are written by one process, one after the other, so the row must show the last
//! acknowledged one, or a later one whose outcome is unknown. What the last read of each table lacks is
//! counted: the recovery point of a disaster as a number of rows.

use super::{Checked, Verdict, Violation};
use crate::history::{Event, Op, Operation, Phase, operations};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one kind that are told one by one.
const TOLD_MAX: usize = 8;

/// How many acknowledged rows a final read lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Rows that were acknowledged.
    pub acknowledged: u64,
    /// Of those, rows that are missing or older than acknowledged.
    pub missing: u64,
}

/// Row → its puts, in order.
type Puts<'a> = BTreeMap<i64, Vec<&'a Operation<'a>>>;

/// A read of a whole table.
struct Reading<'a> {
    table: &'a str,
    operation: &'a Operation<'a>,
    answer: usize,
    rows: BTreeMap<i64, i64>,
    /// A row that it shows more than once.
    twice: Option<i64>,
}

struct Book<'a> {
    tables: BTreeMap<&'a str, Puts<'a>>,
    readings: Vec<Reading<'a>>,
}

/// Judges puts and reads of whole tables.
pub fn ledger(history: &[Event]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let book = Book::of(&operations);
    let mut checked = Checked::default();
    let mut violations = Vec::new();
    for reading in &book.readings {
        let none = BTreeMap::new();
        let puts = book.tables.get(reading.table).unwrap_or(&none);
        violations.extend(judge(history, reading, puts));
    }
    let puts: usize = book.tables.values().flat_map(|rows| rows.values()).map(Vec::len).sum();
    checked.operations = (puts + book.readings.len()) as u64;
    checked.figures.insert("puts", puts as u64);
    checked.figures.insert("reads of a table", book.readings.len() as u64);
    let loss = match book.loss() {
        Ok(loss) => loss,
        Err(why) if violations.is_empty() => return Verdict::Unknown { why },
        Err(_) => Loss::default(),
    };
    checked.figures.insert("rows acknowledged", loss.acknowledged);
    checked.figures.insert("rows missing at the end", loss.missing);
    Verdict::of(violations, checked)
}

/// Counts what the last read of each table lacks: the recovery point as rows.
///
/// # Errors
/// When a table was never read after its last acknowledgement, or the history is not one.
pub fn loss(history: &[Event]) -> Result<Loss, String> {
    Book::of(&operations(history)?).loss()
}

impl<'a> Book<'a> {
    fn of(operations: &'a [Operation<'a>]) -> Book<'a> {
        let mut book = Book { tables: BTreeMap::new(), readings: Vec::new() };
        for operation in operations {
            match (operation.op, operation.outcome, operation.answer) {
                (Op::Put { table, key, .. }, ..) => {
                    let rows = book.tables.entry(table).or_default();
                    rows.entry(*key).or_default().push(operation);
                }
                (Op::ReadRows { table, rows: Some(rows) }, Phase::Ok, Some(answer)) => {
                    let mut versions = BTreeMap::new();
                    let mut twice = None;
                    for (row, version) in rows {
                        if versions.insert(*row, *version).is_some() {
                            twice = Some(*row);
                        }
                    }
                    let rows = versions;
                    book.readings.push(Reading { table, operation, answer, rows, twice });
                }
                _ => {}
            }
        }
        book
    }

    fn loss(&self) -> Result<Loss, String> {
        let mut loss = Loss::default();
        for (table, puts) in &self.tables {
            let reading = self.readings.iter().rfind(|reading| reading.table == *table);
            let Some(reading) = reading else {
                return Err(format!("table {table} was not read at the end"));
            };
            for (row, puts) in puts {
                let last = last_acknowledged(puts, usize::MAX);
                if last.is_some_and(|put| put.answer > Some(reading.operation.call)) {
                    let why =
                        format!("table {table}: row {row} was acknowledged after the last read");
                    return Err(why);
                }
                let Some(version) = last.map(version_of) else { continue };
                loss.acknowledged += 1;
                if reading.rows.get(row).is_none_or(|found| *found < version) {
                    loss.missing += 1;
                }
            }
        }
        Ok(loss)
    }
}

fn judge(history: &[Event], reading: &Reading<'_>, puts: &Puts<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    let table = reading.table;
    if let Some(row) = reading.twice {
        let what = format!(
            "table {table}: row {row} is shown twice (read on line {})",
            reading.answer + 1
        );
        let events = vec![history[reading.operation.call].clone()];
        violations.push(Violation { anomaly: "duplicate", what, events });
    }
    let all: BTreeSet<i64> = puts.keys().chain(reading.rows.keys()).copied().collect();
    for row in all {
        let puts = puts.get(&row).map(Vec::as_slice).unwrap_or_default();
        let last = last_acknowledged(puts, reading.operation.call);
        let found = reading.rows.get(&row);
        let (anomaly, what, put) = match (last, found) {
            (Some(put), None) => ("lost row", "is missing, though acknowledged".to_string(), put),
            (Some(put), Some(found)) if *found < version_of(put) => {
                let version = version_of(put);
                let what = format!("is at version {found}, though {version} was acknowledged");
                ("lost version", what, put)
            }
            (_, Some(found)) => {
                let sent = puts.iter().find(|put| version_of(put) == *found);
                match sent {
                    Some(put) if put.outcome == Phase::Fail => {
                        let what = format!("is at version {found}, though that put failed");
                        ("refused but there", what, *put)
                    }
                    Some(put) if put.call > reading.answer => {
                        let what = format!("is at version {found} before that was sent");
                        ("never sent", what, *put)
                    }
                    Some(_) => continue,
                    None => {
                        let what = format!("is at version {found}, which nobody sent");
                        ("never sent", what, reading.operation)
                    }
                }
            }
            (None, None) => continue,
        };
        let count = told.entry(anomaly).or_default();
        *count += 1;
        if *count <= TOLD_MAX as u64 {
            // The read itself is too long to show.
            let mut lines = vec![put.call];
            lines.extend(put.answer.filter(|_| put.call != reading.operation.call));
            lines.push(reading.operation.call);
            lines.sort_unstable();
            lines.dedup();
            let events = lines.into_iter().map(|line| history[line].clone()).collect();
            let answer = reading.answer + 1;
            let what = format!("table {table}: row {row} {what} (read on line {answer})");
            violations.push(Violation { anomaly, what, events });
        }
    }
    for (anomaly, count) in told.into_iter().filter(|(_, count)| *count > TOLD_MAX as u64) {
        let what =
            format!("table {table}: {count} rows in all (read on line {})", reading.answer + 1);
        violations.push(Violation { anomaly, what, events: Vec::new() });
    }
    violations
}

/// The last put of a row that was acknowledged before a line.
fn last_acknowledged<'a>(puts: &[&'a Operation<'a>], before: usize) -> Option<&'a Operation<'a>> {
    let acknowledged =
        |put: &&Operation<'_>| put.outcome == Phase::Ok && put.answer.is_some_and(|at| at < before);
    puts.iter().copied().rfind(|put| acknowledged(put))
}

fn version_of(put: &Operation<'_>) -> i64 {
    match put.op {
        Op::Put { version, .. } => *version,
        _ => 0,
    }
}
