//! The lives of tables, as far as answers prove them.
//!
//! ```text
//!          create ├─────┤ ok         drop ├─────┤ ok
//! there           │ maybe  surely         │ maybe  surely not
//! ```
//!
//! RENAME ends one number and begins another one; the rows go along. So tables have a *root*: the number with which
//! their rows began.

use crate::history::{Change, Op, Operation, Phase};
use std::collections::BTreeMap;

/// All tables that a history defines.
pub(super) struct Tables<'a> {
    numbers: BTreeMap<i64, Life<'a>>,
    /// Root → what emptied it or may have done so.
    truncated: BTreeMap<i64, Vec<&'a Operation<'a>>>,
}

/// The life of a number.
struct Life<'a> {
    root: i64,
    made: &'a Operation<'a>,
    /// DROP and RENAME that did not surely fail.
    ended: Vec<&'a Operation<'a>>,
}

impl<'a> Tables<'a> {
    /// Gathers all definitions.
    ///
    /// # Errors
    /// When a number is used twice: then its rows do not tell whose they are.
    pub(super) fn of(operations: &'a [Operation<'a>]) -> Result<Tables<'a>, String> {
        let mut tables = Tables { numbers: BTreeMap::new(), truncated: BTreeMap::new() };
        for operation in operations {
            let Op::Define { change } = operation.op else { continue };
            let failed = operation.outcome == Phase::Fail;
            match *change {
                Change::Create(table) => tables.begin(table, table, operation)?,
                Change::Drop(table) if !failed => tables.end(table, operation),
                Change::Truncate(table) if !failed => {
                    let root = tables.root(table);
                    tables.truncated.entry(root).or_default().push(operation);
                }
                Change::Rename(from, to) => {
                    let root = tables.root(from);
                    tables.begin(to, root, operation)?;
                    if !failed {
                        tables.end(from, operation);
                    }
                }
                Change::Drop(_) | Change::Truncate(_) => {}
            }
        }
        Ok(tables)
    }

    fn begin(&mut self, table: i64, root: i64, made: &'a Operation<'a>) -> Result<(), String> {
        match self.numbers.insert(table, Life { root, made, ended: Vec::new() }) {
            Some(_) => Err(format!("table {table} is made twice")),
            None => Ok(()),
        }
    }

    fn end(&mut self, table: i64, operation: &'a Operation<'a>) {
        if let Some(life) = self.numbers.get_mut(&table) {
            life.ended.push(operation);
        }
    }

    /// The number with which the rows of a table began.
    pub(super) fn root(&self, table: i64) -> i64 {
        self.numbers.get(&table).map_or(table, |life| life.root)
    }

    /// What emptied the tables of a root, or may have done so.
    pub(super) fn truncated(&self, root: i64) -> &[&'a Operation<'a>] {
        self.truncated.get(&root).map_or(&[][..], Vec::as_slice)
    }

    /// Whether the table was there at every moment between two lines.
    pub(super) fn surely_there(&self, table: i64, from: usize, to: usize) -> bool {
        self.numbers.get(&table).is_some_and(|life| {
            answered_before(life.made, from) && life.ended.iter().all(|end| end.call > to)
        })
    }

    /// Whether the table was there at no moment between two lines.
    pub(super) fn surely_absent(&self, table: i64, from: usize, to: usize) -> bool {
        self.numbers.get(&table).is_none_or(|life| {
            let never = life.made.outcome == Phase::Fail || life.made.call > to;
            never || life.ended.iter().any(|end| answered_before(end, from))
        })
    }

    /// Lines of the definitions of a table.
    pub(super) fn lines_of(&self, table: i64) -> impl Iterator<Item = usize> + use<'a> {
        let life = self.numbers.get(&table);
        let made = life.map(|life| life.made);
        let ended = life.map(|life| life.ended.clone()).unwrap_or_default();
        made.into_iter().chain(ended).flat_map(super::lines_of)
    }
}

/// Whether an operation surely happened before a line.
pub(super) fn answered_before(operation: &Operation<'_>, line: usize) -> bool {
    operation.outcome == Phase::Ok && operation.answer.is_some_and(|answer| answer < line)
}
