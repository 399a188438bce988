//! Statements that look at a part of the cluster: `ON SETS (…)` and TDSQL's comments.
//!
//! ```text
//! SELECT, ANALYZE …        once for each set: its rows, each with the set's name in a last column `info`
//! INSERT, UPDATE, DELETE   once, over the rows of all the sets together: what it changes it changes whole
//! ```
//!
//! A statement sees the rows whose slots lie in its sets, whichever index leads to them, in subqueries too, and writes no
//! other row (1748). Unique keys hold over the whole cluster all the same. Tables that are computed (`information_schema`)
//! are the same in each set, and so are broadcast tables: a statement sees and changes all of their rows, whatever its sets.
//!
//! Invariant: the part ends with the statement; what the session runs afterwards sees everything.
//!
//! Not here: where the filter is applied (`access`, `dml::store`).

use super::{ColumnMeta, Outcome, RowSource, RowStream, Session};
use crate::ast::{self, ClusterPart, OnSets, QueryBody, Statement, TableName, TableRef};
use crate::catalog::{Sharding, TableDef};
use crate::collation::CollationId;
use crate::expr::key_bytes;
use crate::sets::{self, Sets};
use crate::types::{SqlType, assign};
use crate::value::{Row, Value};
use crate::{Error, Result, show, table_codec};
use base::{SLOT_COUNT, Slot, SlotFilter};
use futures::StreamExt;
use std::sync::Arc;

/// The column that says which set a row comes from.
pub(crate) fn info_column() -> ColumnMeta {
    ColumnMeta::computed("info", SqlType::varchar(64, CollationId::DEFAULT))
}

impl Session {
    /// Runs a statement on a part of the cluster.
    pub(crate) async fn run_on_sets(&mut self, on: &OnSets, params: Vec<Value>) -> Result<Outcome> {
        let sets = Sets::of(&*self.variables)?;
        let numbers = self.sets_of_part(on, &sets).await?;
        match &on.statement {
            Statement::Query(query) if query.into.is_some() => Err(Error::not_supported(
                "SELECT … INTO on sets: a set's answer has a column more; select it without INTO",
            )),
            Statement::Query(_) | Statement::TableAdministration(_) => {
                self.run_on_each(&on.statement, &sets, &numbers, params).await
            }
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
                if numbers.len() > 1 && has_limit(&on.statement) {
                    return Err(Error::not_supported(
                        "UPDATE and DELETE with LIMIT on several sets: name one set",
                    ));
                }
                self.look_at(&sets, &numbers);
                let outcome = self.run_change(&on.statement, params).await;
                self.part = None;
                outcome
            }
            _ => Err(Error::not_supported(
                "this statement on sets: only SELECT, INSERT, REPLACE, UPDATE, DELETE and ANALYZE TABLE look at a part of the \
                 cluster, all others mean the whole; leave the sets out",
            )),
        }
    }

    /// Narrows what the next statement sees to some sets.
    fn look_at(&mut self, sets: &Sets, numbers: &[u32]) {
        let ranges: Vec<_> = numbers.iter().filter_map(|number| sets.slots(*number)).collect();
        self.part = Some(SlotFilter::new(ranges));
    }

    /// Runs a statement that answers rows on one set after the other.
    async fn run_on_each(
        &mut self,
        statement: &Statement,
        sets: &Sets,
        numbers: &[u32],
        params: Vec<Value>,
    ) -> Result<Outcome> {
        let mut all: Option<Vec<ColumnMeta>> = None;
        let mut sources = Vec::with_capacity(numbers.len());
        for number in numbers {
            self.look_at(sets, std::slice::from_ref(number));
            let outcome = match statement {
                Statement::Query(query) => self.run_query(query, params.clone()).await,
                Statement::TableAdministration(what) => show::administration(self, what).await,
                _ => Err(Error::internal("a statement without rows on each set")),
            };
            self.part = None;
            let Outcome::Rows { columns, rows } = outcome? else {
                return Err(Error::internal("a set's answer without rows"));
            };
            all.get_or_insert_with(|| columns.to_vec());
            sources.push(with_name(rows, sets::name(*number)));
        }
        let mut columns = all.unwrap_or_default();
        columns.push(info_column());
        let rows = one_after_the_other(sources);
        if let RowSource::Ready(rows) = &rows {
            self.variables.set_found_rows(rows.len() as u64);
        }
        Ok(Outcome::Rows { columns: columns.into(), rows })
    }

    /// The numbers of the sets that a statement is to look at.
    ///
    /// # Errors
    /// 1210 for a part that there is not; 1526 for a value that no set takes.
    async fn sets_of_part(&mut self, on: &OnSets, sets: &Sets) -> Result<Vec<u32>> {
        match &on.part {
            ClusterPart::Sets(names) => sets.by_names(names),
            ClusterPart::Slot(number) => match u16::try_from(*number) {
                Ok(slot) => Ok(vec![sets.of_slot(Slot(slot))]),
                Err(_) => Err(Error::wrong_arguments(format!(
                    "shardkey_hash: there is no slot {number}; the last one is {}",
                    SLOT_COUNT - 1
                ))),
            },
            ClusterPart::ShardKey(value) => {
                let catalog = self.instance.catalog.current().await?;
                let table = first_table(&on.statement).and_then(|name| {
                    let database = name.database.as_deref().or(self.database.as_deref())?;
                    catalog.table(database, &name.name).cloned()
                });
                match table {
                    Some(table) => self.sets_of_value(&table, value, sets),
                    None => Ok(vec![sets.of_slot(slot_of_text(value))]),
                }
            }
        }
    }

    /// The sets of a table's rows with this value of their sharding key.
    fn sets_of_value(
        &mut self,
        table: &Arc<TableDef>,
        value: &str,
        sets: &Sets,
    ) -> Result<Vec<u32>> {
        let column = match &table.sharding {
            Sharding::Range(by) | Sharding::List(by) | Sharding::Keys(by) => by.column,
            Sharding::Hash(columns) => match columns.as_slice() {
                [column] if !table.columns[*column].hidden => *column,
                _ => {
                    return Err(Error::wrong_arguments(format!(
                        "shardkey: the rows of {} are not spread by one column; name the sets",
                        table.qualified_name()
                    )));
                }
            },
            // Of a broadcast table each set shows all rows, so any is right.
            Sharding::Single | Sharding::Broadcast(_) => {
                let slot = table_codec::slot_of_sharding(table, &[])?;
                return Ok(vec![sets.of_slot(slot)]);
            }
        };
        let (ty, name) = (&table.columns[column].ty, &table.columns[column].name);
        let ctx = self.dml_context(Vec::new(), false);
        // Rounding would look at another value's rows.
        let is_between = ty.is_integer() && has_fraction(value);
        if is_between {
            return Err(Error::wrong_arguments(format!(
                "shardkey: {value} is no value of the column '{name}', whose values are whole numbers"
            )));
        }
        let value = assign(Value::text(value), ty, name, 1, &ctx)?;
        match table.sharding.distribution() {
            Some(by) => {
                let found = sets.that_meet(&by.slots_of_values([&value], ty));
                if found.is_empty() {
                    let text = value.to_text(ty).unwrap_or_default();
                    return Err(Error::no_set_for_value(text));
                }
                Ok(found)
            }
            None => {
                let slot = table_codec::slot_of_sharding(table, std::slice::from_ref(&value))?;
                Ok(vec![sets.of_slot(slot)])
            }
        }
    }
}

/// The slot of a value of no table: a whole number where it is one, else text.
fn slot_of_text(text: &str) -> Slot {
    let key = match text.parse::<i64>() {
        Ok(number) => key_bytes(&Value::Int(number), &SqlType::bigint()),
        Err(_) => key_bytes(&Value::text(text), &SqlType::varchar(255, CollationId::DEFAULT)),
    };
    Slot::of(&key)
}

/// Whether a number, as text, is no whole one. Digits are looked at, not a double, which has 53 bits of them.
fn has_fraction(number: &str) -> bool {
    let number = number.trim();
    if number.contains(['e', 'E']) {
        return number.parse::<f64>().is_ok_and(|number| number.fract() != 0.0);
    }
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    match digits.split_once('.') {
        Some((whole, rest)) => {
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            digits(whole) && digits(rest) && rest.bytes().any(|byte| byte != b'0')
        }
        None => false,
    }
}

/// Whether UPDATE or DELETE stops after some rows.
fn has_limit(statement: &Statement) -> bool {
    match statement {
        Statement::Update(update) => update.limit.is_some(),
        Statement::Delete(delete) => delete.limit.is_some(),
        _ => false,
    }
}

/// The table that a statement names first.
fn first_table(statement: &Statement) -> Option<&TableName> {
    match statement {
        Statement::Query(query) => first_of_query(query),
        Statement::Insert(insert) => Some(&insert.table),
        Statement::Update(update) => update.tables.first().and_then(first_of_from),
        Statement::Delete(delete) => match &delete.target {
            ast::DeleteTarget::Single(source) => Some(&source.name),
            ast::DeleteTarget::Multi { from, .. } => from.first().and_then(first_of_from),
        },
        Statement::TableAdministration(what) => what.tables.first(),
        _ => None,
    }
}

/// A name of WITH stands for the table that its own query names first, which may be a name before it.
fn first_of_query(query: &ast::Query) -> Option<&TableName> {
    let mut name = first_of_body(&query.body)?;
    for table in query.with.iter().flat_map(|with| &with.tables).rev() {
        if name.database.is_none() && table.name == name.name {
            name = first_of_body(&table.query.body)?;
        }
    }
    Some(name)
}

fn first_of_body(body: &QueryBody) -> Option<&TableName> {
    match body {
        QueryBody::Select(select) => select.from.first().and_then(first_of_from),
        QueryBody::SetOperation { left, .. } => first_of_body(left),
        QueryBody::Values(_) => None,
        QueryBody::Table(name) => Some(name),
        QueryBody::Query(query) => first_of_query(query),
    }
}

fn first_of_from(table: &TableRef) -> Option<&TableName> {
    match table {
        TableRef::Table(source) => Some(&source.name),
        TableRef::Derived { query, .. } => first_of_query(query),
        TableRef::Join { left, .. } => first_of_from(left),
    }
}

/// Rows with a name behind each.
fn with_name(rows: RowSource, name: String) -> RowSource {
    let named = move |mut rows: Vec<Row>| {
        rows.iter_mut().for_each(|row| row.push(Value::text(name.clone())));
        rows
    };
    match rows {
        RowSource::Ready(rows) => RowSource::Ready(named(rows)),
        RowSource::Stream(pages) => {
            RowSource::Stream(Box::pin(pages.map(move |page| page.map(&named))))
        }
    }
}

/// The rows of all, in memory when they are all there.
fn one_after_the_other(sources: Vec<RowSource>) -> RowSource {
    let mut streams: Vec<RowStream> = Vec::new();
    let mut ready = Vec::new();
    for source in sources {
        match source {
            RowSource::Ready(mut rows) => ready.append(&mut rows),
            RowSource::Stream(pages) => {
                if !ready.is_empty() {
                    let page: Result<Vec<Row>> = Ok(std::mem::take(&mut ready));
                    streams.push(Box::pin(futures::stream::iter([page])));
                }
                streams.push(pages);
            }
        }
    }
    if streams.is_empty() {
        return RowSource::Ready(ready);
    }
    if !ready.is_empty() {
        let page: Result<Vec<Row>> = Ok(ready);
        streams.push(Box::pin(futures::stream::iter([page])));
    }
    RowSource::Stream(Box::pin(futures::stream::iter(streams).flatten()))
}
