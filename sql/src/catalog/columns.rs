//! Other columns for a table that there is.
//!
//! ```text
//! position (statements, indexes, sharding)     0    1    2
//! column                                       id   new  name        ALTER TABLE … DROP age, ADD new AFTER id
//! ordinal (rows)                               0    3    1           2 was age's and is nobody's any more
//! ```
//!
//! Positions change with the definition; a column's place in rows is given once. So neither adding nor dropping a column
//! touches a row: what lacks a place was written before the column was there and has the column's `absent` value, and what
//! has a place of a dropped column is read without it.
//!
//! A column whose type changes so that its values are stored in another way gets another place, and keeps what it was (`former`).
//! A row that lacks the new place has a value in the old one, which is converted whenever it is read. The statement has tried that
//! for all rows (`ddl::alter::row_check`).
//!
//! Not here: which columns a statement makes (`ddl::alter`), how rows are read (`table_codec`).

use super::partition::{PartitionFunction, PartitionMethod, Partitioning};
use super::{ColumnDef, DeclaredKey, Distribution, IndexColumn, IndexDef, Sharding, TableDef};
use crate::context::EvalContext;
use crate::types::assign::implicit_default;
use crate::types::{SqlType, assign};
use crate::value::Value;
use crate::{Error, Result};
use std::sync::Arc;

/// A column of a changed table.
#[derive(Clone, Debug)]
pub(crate) struct NewColumn {
    /// Its position before; `None` for one that is new.
    pub(crate) was: Option<usize>,
    /// Its values are stored in another way: it gets another place, and rows that lack that are converted when they are read.
    pub(crate) converts: bool,
    /// Its definition. A new one gets its place in rows here.
    pub(crate) column: ColumnDef,
}

impl NewColumn {
    /// A column that is stored as it was.
    pub(crate) fn kept(was: usize, column: ColumnDef) -> NewColumn {
        NewColumn { was: Some(was), converts: false, column }
    }
}

impl ColumnDef {
    /// How often its type has changed so that values are converted when they are read.
    pub(crate) fn conversions(&self) -> usize {
        self.former.as_ref().map_or(0, |former| 1 + former.conversions())
    }

    /// A value of what it was, as one of what it is.
    pub(crate) fn convert(&self, value: Value, from: &SqlType, ctx: &EvalContext) -> Result<Value> {
        let to = &self.ty;
        if value.is_null() {
            return Ok(if to.nullable { value } else { implicit_default(to) });
        }
        let seen = match &value {
            Value::Bytes(_) => value,
            _ if to.is_string() || to.has_members() => {
                Value::Text(value.to_text(from).unwrap_or_default())
            }
            _ => value,
        };
        assign(seen, to, &self.name, ctx.row(), ctx)
    }
}

/// Where columns are after a change, by their positions before.
struct Moves(Vec<Option<usize>>);

impl Moves {
    fn of(&self, column: usize) -> Result<usize> {
        let moved = self.0.get(column).copied().flatten();
        moved.ok_or_else(|| Error::internal(format!("column {column} goes and is still used")))
    }

    fn all(&self, columns: &[usize]) -> Result<Vec<usize>> {
        columns.iter().map(|column| self.of(*column)).collect()
    }

    fn distribution(&self, by: &Distribution) -> Result<Distribution> {
        let (column, spread) = (self.of(by.column)?, self.all(&by.spread)?);
        Ok(Distribution { column, spread, items: by.items.clone() })
    }

    fn sharding(&self, sharding: &Sharding) -> Result<Sharding> {
        Ok(match sharding {
            Sharding::Hash(columns) => Sharding::Hash(self.all(columns)?),
            Sharding::Single => Sharding::Single,
            Sharding::Broadcast(copies) => Sharding::Broadcast(*copies),
            Sharding::Range(by) => Sharding::Range(self.distribution(by)?),
            Sharding::List(by) => Sharding::List(self.distribution(by)?),
            Sharding::Keys(by) => Sharding::Keys(self.distribution(by)?),
        })
    }

    fn index(&self, index: &IndexDef) -> Result<IndexDef> {
        let moved = |part: &IndexColumn| -> Result<IndexColumn> {
            Ok(IndexColumn { column: self.of(part.column)?, ..*part })
        };
        let columns = index.columns.iter().map(moved).collect::<Result<_>>()?;
        Ok(IndexDef { columns, included: self.all(&index.included)?, ..index.clone() })
    }

    fn indexes(&self, indexes: &[IndexDef]) -> Result<Vec<IndexDef>> {
        indexes.iter().map(|index| self.index(index)).collect()
    }

    fn declared(&self, key: &DeclaredKey) -> Result<DeclaredKey> {
        Ok(DeclaredKey { columns: self.all(&key.columns)?, ..key.clone() })
    }

    /// The method of a table that has its columns already.
    fn method(&self, method: &PartitionMethod, table: &Arc<TableDef>) -> Result<PartitionMethod> {
        let bound = |function: &PartitionFunction| {
            PartitionFunction::new(&function.text, function.calendar, table)
        };
        Ok(match method {
            PartitionMethod::Range(function) => PartitionMethod::Range(bound(function)?),
            PartitionMethod::List(function) => PartitionMethod::List(bound(function)?),
            PartitionMethod::Hash { function, linear } => {
                PartitionMethod::Hash { function: bound(function)?, linear: *linear }
            }
            PartitionMethod::RangeColumns(columns) => {
                PartitionMethod::RangeColumns(self.all(columns)?)
            }
            PartitionMethod::ListColumns(columns) => {
                PartitionMethod::ListColumns(self.all(columns)?)
            }
            PartitionMethod::Key { columns, named, linear } => {
                let (named, linear) = (*named, *linear);
                PartitionMethod::Key { columns: self.all(columns)?, named, linear }
            }
        })
    }
}

impl TableDef {
    /// The same table with these columns in this order; a hidden row id stays last. Columns that go must be in no index,
    /// and neither the sharding nor the partitioning may need them. A table with two layouts has none of this.
    pub(crate) fn with_columns(&self, new: Vec<NewColumn>) -> Result<TableDef> {
        if self.rebuild.is_some() {
            return Err(Error::internal("other columns for a table with two layouts"));
        }
        let hidden = self.columns.iter().enumerate().filter(|(_, column)| column.hidden);
        let hidden = hidden.map(|(at, column)| NewColumn::kept(at, column.clone()));
        let mut moves = Moves(vec![None; self.columns.len()]);
        let mut next_ordinal = self.next_ordinal;
        let mut columns = Vec::with_capacity(new.len() + 1);
        for NewColumn { was, converts, mut column } in new.into_iter().chain(hidden) {
            let old = was.map(|was| &self.columns[was]);
            if let Some(was) = was {
                moves.0[was] = Some(columns.len());
            }
            match old {
                Some(old) if !converts => {
                    column.ordinal = old.ordinal;
                    column.absent.clone_from(&old.absent);
                    column.former.clone_from(&old.former);
                }
                Some(old) => {
                    column.ordinal = next_ordinal;
                    column.former = Some(Box::new(old.clone()));
                    next_ordinal += 1;
                }
                None => {
                    column.ordinal = next_ordinal;
                    next_ordinal += 1;
                }
            }
            columns.push(column);
        }
        let declared = self.declared.iter().map(|key| moves.declared(key));
        let table = TableDef {
            columns,
            next_ordinal,
            indexes: moves.indexes(&self.indexes)?,
            unpublished: moves.indexes(&self.unpublished)?,
            declared: declared.collect::<Result<_>>()?,
            sharding: moves.sharding(&self.sharding)?,
            partitioning: None,
            ..self.clone()
        };
        let table = Arc::new(table.with_rules_bound()?);
        let Some(by) = &self.partitioning else { return Ok(Arc::unwrap_or_clone(table)) };
        let method = moves.method(&by.method, &table)?;
        let mut moved = Partitioning::new(method, by.partitions.clone(), &table.columns);
        (moved.numbered, moved.tdsql, moved.auto) = (by.numbered, by.tdsql, by.auto);
        let partitioning = Some(Arc::new(moved));
        Ok(TableDef { partitioning, ..Arc::unwrap_or_clone(table) })
    }
}
