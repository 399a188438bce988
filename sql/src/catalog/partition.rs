//! Partitions: a table's rows divided among several physical tables, each with an id of its own.
//!
//! ```text
//! row ──method──> partition ──id──> keys of the row and of all its index entries
//!                                   id │ index │ columns │ slot        (the table's own id: never a row)
//! ```
//!
//! Slots and shards know nothing of partitions: a row lies in the shard that its sharding key says, in whatever partition.
//! So a partition is dropped or emptied by a change of the catalog alone, as a table is.
//!
//! Invariants:
//! 1. A partition's id is never reused, neither as a table's nor as a partition's.
//! 2. Every unique key holds all columns that choose the partition (1503), so it is unique in the table when it is unique in
//!    each partition.
//! 3. Which partition a row belongs to depends on the row and the definition alone: not on a session's modes or time zone.
//!
//! Not here: checks of new definitions (`ddl::partition`), which partitions a query reads (`access::prune`), which ones a table
//! lacks that asks for those of the future (`future`).

mod function;
pub(crate) mod future;
pub(super) mod record;

use super::{ColumnDef, TableDef};
use crate::expr::{key_bytes, put_key};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};
use base::TableId;
use engine::key::KeyBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use function::{Monotone, MonotoneKind, PartitionFunction};

/// How a table is partitioned.
#[derive(Clone, Debug)]
pub struct Partitioning {
    /// What chooses the partition.
    pub method: PartitionMethod,
    /// The partitions, in order.
    pub partitions: Vec<PartitionDef>,
    /// Whether only their number was declared: then SHOW CREATE TABLE prints that.
    pub numbered: bool,
    /// Whether it was written TDSQL_PARTITION BY.
    pub tdsql: bool,
    /// How many partitions of the future are added by themselves (AUTO_PARTITION); 0 for none.
    pub auto: u32,
    /// Columns that choose the partition, ascending.
    columns: Vec<usize>,
    /// How a value's partition is found.
    finder: Finder,
    /// The partitions that a statement has named, by position; `None` for all. Never part of a definition.
    selected: Option<BTreeSet<usize>>,
}

/// What chooses a row's partition.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionMethod {
    /// RANGE of an expression.
    Range(PartitionFunction),
    /// LIST of an expression.
    List(PartitionFunction),
    /// HASH: the expression modulo the number of partitions.
    Hash {
        /// The expression.
        function: PartitionFunction,
        /// LINEAR.
        linear: bool,
    },
    /// RANGE COLUMNS.
    RangeColumns(Vec<usize>),
    /// LIST COLUMNS.
    ListColumns(Vec<usize>),
    /// KEY: a hash of columns.
    Key {
        /// The columns.
        columns: Vec<usize>,
        /// Whether they were named; else they are those of the primary key.
        named: bool,
        /// LINEAR.
        linear: bool,
    },
}

/// A partition.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionDef {
    /// Identity, first four bytes of its keys; new after TRUNCATE.
    pub id: TableId,
    /// Name.
    pub name: String,
    /// VALUES.
    pub values: PartitionValues,
    /// COMMENT.
    pub comment: String,
}

/// VALUES of a partition: integers for an expression, values of their types for columns.
#[derive(Clone, Debug, PartialEq)]
pub enum PartitionValues {
    /// None: HASH and KEY.
    None,
    /// LESS THAN, one per column; `None` is MAXVALUE.
    LessThan(Vec<Option<Value>>),
    /// IN: of each item one value per column.
    In(Vec<Vec<Value>>),
}

/// A value of a partitioning as something that has an order: NULL first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Edge {
    /// A value.
    At(Vec<u8>),
    /// MAXVALUE.
    Max,
}

/// How a value's partition is found.
#[derive(Clone, Debug)]
enum Finder {
    /// The bounds of the partitions, ascending, none included.
    Bounds(Vec<Vec<Edge>>),
    /// Positions by value.
    Values(BTreeMap<Vec<Edge>, usize>),
    /// By a hash.
    Hash,
}

impl PartialEq for Partitioning {
    /// Whether the definitions are equal: what a statement has named is no part of them.
    fn eq(&self, other: &Partitioning) -> bool {
        self.method == other.method
            && self.partitions == other.partitions
            && self.numbered == other.numbered
            && self.tdsql == other.tdsql
            && self.auto == other.auto
    }
}

impl PartitionMethod {
    /// The expression, when it is one.
    pub fn function(&self) -> Option<&PartitionFunction> {
        match self {
            PartitionMethod::Range(function)
            | PartitionMethod::List(function)
            | PartitionMethod::Hash { function, .. } => Some(function),
            PartitionMethod::RangeColumns(_)
            | PartitionMethod::ListColumns(_)
            | PartitionMethod::Key { .. } => None,
        }
    }

    /// The columns in the order in which they were declared; none for an expression.
    pub fn listed_columns(&self) -> &[usize] {
        match self {
            PartitionMethod::RangeColumns(columns)
            | PartitionMethod::ListColumns(columns)
            | PartitionMethod::Key { columns, .. } => columns,
            PartitionMethod::Range(_) | PartitionMethod::List(_) | PartitionMethod::Hash { .. } => {
                &[]
            }
        }
    }

    /// RANGE, LIST, HASH and so on, as information_schema prints it.
    pub fn name(&self) -> &'static str {
        match self {
            PartitionMethod::Range(_) => "RANGE",
            PartitionMethod::List(_) => "LIST",
            PartitionMethod::Hash { linear: false, .. } => "HASH",
            PartitionMethod::Hash { linear: true, .. } => "LINEAR HASH",
            PartitionMethod::RangeColumns(_) => "RANGE COLUMNS",
            PartitionMethod::ListColumns(_) => "LIST COLUMNS",
            PartitionMethod::Key { linear: false, .. } => "KEY",
            PartitionMethod::Key { linear: true, .. } => "LINEAR KEY",
        }
    }

    /// Whether each partition says which values it holds: RANGE and LIST.
    pub fn has_values(&self) -> bool {
        !matches!(self, PartitionMethod::Hash { .. } | PartitionMethod::Key { .. })
    }

    /// Types of a partition's values.
    pub(crate) fn value_types(&self, columns: &[ColumnDef]) -> Vec<SqlType> {
        match self.function() {
            Some(function) => vec![function.value_type()],
            None => self.listed_columns().iter().map(|column| columns[*column].ty).collect(),
        }
    }
}

impl Partitioning {
    /// A partitioning of a table with these columns.
    pub fn new(
        method: PartitionMethod,
        partitions: Vec<PartitionDef>,
        columns: &[ColumnDef],
    ) -> Partitioning {
        let types = method.value_types(columns);
        let of_function = method.function().is_some();
        let edge = |value: &Value, at: usize| match (of_function, types.get(at)) {
            (false, Some(ty)) => edge_of(value, ty),
            _ => edge_of_number(value.as_integer()),
        };
        let mut bounds: Vec<Vec<Edge>> = Vec::new();
        let mut values: BTreeMap<Vec<Edge>, usize> = BTreeMap::new();
        for (position, partition) in partitions.iter().enumerate() {
            match &partition.values {
                PartitionValues::None => {}
                PartitionValues::LessThan(bound) => {
                    let bound = bound.iter().enumerate();
                    let bound = bound.map(|(at, value)| match value {
                        Some(value) => edge(value, at),
                        None => Edge::Max,
                    });
                    bounds.push(bound.collect());
                }
                PartitionValues::In(items) => {
                    for item in items {
                        let item = item.iter().enumerate().map(|(at, value)| edge(value, at));
                        values.insert(item.collect(), position);
                    }
                }
            }
        }
        let finder = match &method {
            PartitionMethod::Range(_) | PartitionMethod::RangeColumns(_) => Finder::Bounds(bounds),
            PartitionMethod::List(_) | PartitionMethod::ListColumns(_) => Finder::Values(values),
            PartitionMethod::Hash { .. } | PartitionMethod::Key { .. } => Finder::Hash,
        };
        let columns: BTreeSet<usize> = match method.function() {
            Some(function) => function.columns().iter().copied().collect(),
            None => method.listed_columns().iter().copied().collect(),
        };
        Partitioning {
            columns: columns.into_iter().collect(),
            method,
            partitions,
            numbered: false,
            tdsql: false,
            auto: 0,
            finder,
            selected: None,
        }
    }

    /// The same method with other partitions, of a table with these columns.
    #[must_use]
    pub fn with_partitions(
        &self,
        partitions: Vec<PartitionDef>,
        columns: &[ColumnDef],
    ) -> Partitioning {
        let Partitioning { numbered, tdsql, auto, .. } = *self;
        let other = Partitioning::new(self.method.clone(), partitions, columns);
        Partitioning { numbered, tdsql, auto, ..other }
    }

    /// Columns that choose the partition, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The position of the partition with this name, in any case.
    pub fn position_of(&self, name: &str) -> Option<usize> {
        self.partitions.iter().position(|partition| partition.name.eq_ignore_ascii_case(name))
    }

    /// Whether a statement reads and writes the partition at this position.
    pub fn is_selected(&self, position: usize) -> bool {
        self.selected.as_ref().is_none_or(|selected| selected.contains(&position))
    }

    /// The position of the partition that a row belongs to; `None` when none fits. Only the columns that choose it are
    /// looked at.
    pub(crate) fn find(&self, columns: &[ColumnDef], row: &[Value]) -> Result<Option<usize>> {
        let count = self.partitions.len();
        match (&self.method, &self.finder) {
            (PartitionMethod::Hash { function, linear }, _) => {
                let value = function.value(row)?.unwrap_or(0);
                Ok(Some(hashed(value, count, *linear)))
            }
            (PartitionMethod::Key { columns: key, linear, .. }, _) => {
                let mut hash = KeyBuilder::columns();
                for column in key {
                    put_key(&mut hash, value_at(row, *column)?, &columns[*column].ty);
                }
                Ok(Some(hashed(i128::from(hash.slot().0), count, *linear)))
            }
            (_, Finder::Bounds(bounds)) => {
                let point = self.point(columns, row)?;
                let position = bounds.partition_point(|bound| *bound <= point);
                Ok((position < count).then_some(position))
            }
            (_, Finder::Values(values)) => Ok(values.get(&self.point(columns, row)?).copied()),
            (_, Finder::Hash) => Err(Error::internal("a hash of ranges or lists")),
        }
    }

    /// What RANGE and LIST compare, of a row.
    fn point(&self, columns: &[ColumnDef], row: &[Value]) -> Result<Vec<Edge>> {
        if let Some(function) = self.method.function() {
            return Ok(vec![edge_of_number(function.value(row)?)]);
        }
        let listed = self.method.listed_columns().iter();
        listed.map(|column| Ok(edge_of(value_at(row, *column)?, &columns[*column].ty))).collect()
    }

    /// The bounds of RANGE partitions, ascending, none included.
    pub(crate) fn bounds(&self) -> Option<&[Vec<Edge>]> {
        match &self.finder {
            Finder::Bounds(bounds) => Some(bounds),
            Finder::Values(_) | Finder::Hash => None,
        }
    }

    /// The values of LIST partitions, with the position of each one's partition.
    pub(crate) fn values(&self) -> Option<&BTreeMap<Vec<Edge>, usize>> {
        match &self.finder {
            Finder::Values(values) => Some(values),
            Finder::Bounds(_) | Finder::Hash => None,
        }
    }

    /// 1526 for a row that fits no partition.
    fn no_partition_for(&self, row: &[Value]) -> Error {
        match self.method.function().map(|function| function.value(row)) {
            Some(Ok(Some(value))) => Error::no_partition_for(value),
            Some(Ok(None)) => Error::no_partition_for("NULL"),
            Some(Err(error)) => error,
            None => Error::no_partition_for("from column_list"),
        }
    }
}

/// An integer as something that has an order; `None` is NULL.
pub(crate) fn edge_of_number(value: Option<i128>) -> Edge {
    let Some(value) = value else { return Edge::At(Vec::new()) };
    // With the sign's bit turned, the order of the bytes is that of the numbers.
    let ordered = value.cast_unsigned() ^ (1 << 127);
    Edge::At(ordered.to_be_bytes().to_vec())
}

/// A column's value as something that has an order.
pub(crate) fn edge_of(value: &Value, ty: &SqlType) -> Edge {
    Edge::At(key_bytes(value, ty))
}

fn value_at(row: &[Value], column: usize) -> Result<&Value> {
    row.get(column).ok_or_else(|| Error::internal(format!("a row without column {column}")))
}

/// The position that a hash gives among so many partitions, as MySQL computes it.
fn hashed(value: i128, count: usize, linear: bool) -> usize {
    let count = count.max(1);
    let position = if linear {
        let mask = count.next_power_of_two() as i128 - 1;
        let position = value & mask;
        if position < count as i128 { position } else { value & (mask >> 1) }
    } else {
        (value % count as i128).abs()
    };
    // Both are smaller than the number of partitions.
    usize::try_from(position).unwrap_or(0)
}

impl TableDef {
    /// The ids under which its rows are read: that of its layout, or those of all its partitions.
    pub fn key_ids(&self) -> Vec<TableId> {
        match &self.partitioning {
            None => vec![self.rows],
            Some(partitioning) => {
                partitioning.partitions.iter().map(|partition| partition.id).collect()
            }
        }
    }

    /// Columns that choose a row's partition.
    pub fn partition_columns(&self) -> &[usize] {
        self.partitioning.as_ref().map_or(&[][..], |partitioning| partitioning.columns())
    }

    /// The name of the partition whose keys begin with this id.
    pub fn partition_of_id(&self, id: TableId) -> Option<&str> {
        let mut partitions = self.partitioning.iter().flat_map(|by| &by.partitions);
        partitions.find(|partition| partition.id == id).map(|partition| partition.name.as_str())
    }

    /// The id under which a row stands.
    ///
    /// # Errors
    /// 1526 when no partition fits, 1748 when it is none of those that the statement has named.
    pub fn id_of_row(&self, row: &[Value]) -> Result<TableId> {
        let Some(partitioning) = &self.partitioning else { return Ok(self.rows) };
        match partitioning.find(&self.columns, row)? {
            None => Err(partitioning.no_partition_for(row)),
            Some(position) if !partitioning.is_selected(position) => {
                Err(Error::row_outside_partitions())
            }
            Some(position) => Ok(partitioning.partitions[position].id),
        }
    }

    /// The id under which rows with these values stand. When there cannot be any, because no partition fits or the statement
    /// has not named it, the table's own, under which no row of a partitioned table ever stands.
    pub(crate) fn id_of_values<'a>(
        &self,
        value: impl Fn(usize) -> Option<&'a Value>,
    ) -> Result<TableId> {
        let Some(partitioning) = &self.partitioning else { return Ok(self.rows) };
        let mut row = vec![Value::Null; self.columns.len()];
        for column in partitioning.columns() {
            let known = value(*column).ok_or_else(|| {
                Error::internal(format!("a key of {} without its partition", self.name))
            })?;
            row[*column].clone_from(known);
        }
        let found = partitioning.find(&self.columns, &row)?;
        let found = found.filter(|position| partitioning.is_selected(*position));
        Ok(found.map_or(self.id, |position| partitioning.partitions[position].id))
    }

    /// The table as a statement sees it that names some of its partitions; no names stand for all.
    ///
    /// # Errors
    /// 1747 for a table without partitions, 1735 for a name that it does not have.
    pub(crate) fn select_partitions(
        self: &Arc<TableDef>,
        names: &[String],
    ) -> Result<Arc<TableDef>> {
        if names.is_empty() {
            return Ok(self.clone());
        }
        let Some(partitioning) = &self.partitioning else {
            return Err(Error::partition_clause_on_plain_table());
        };
        let position = |name: &String| {
            let position = partitioning.position_of(name);
            position.ok_or_else(|| Error::unknown_partition(name, &self.name))
        };
        let selected = names.iter().map(position).collect::<Result<_>>()?;
        let partitioning =
            Partitioning { selected: Some(selected), ..Partitioning::clone(partitioning) };
        let partitioning = Some(Arc::new(partitioning));
        Ok(Arc::new(TableDef { partitioning, ..TableDef::clone(self) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order_and_null_comes_first() {
        let values = [None, Some(-300), Some(-1), Some(0), Some(1), Some(i128::from(u64::MAX))];
        let edges: Vec<Edge> = values.into_iter().map(edge_of_number).collect();
        assert!(edges.is_sorted() && edges.iter().all(|edge| *edge < Edge::Max));
    }

    #[test]
    fn hashes_fall_where_mysql_lets_them_fall() {
        assert_eq!(hashed(2005, 4, false), 1);
        assert_eq!(hashed(-7, 4, false), 3);
        // The manual's example: YEAR() of 2003 and of 1998 among six partitions.
        assert_eq!(hashed(2003, 6, true), 3);
        assert_eq!(hashed(1998, 6, true), 2);
    }
}
