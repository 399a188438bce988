//! Bytes of a table's layouts, within its record: the id under which its rows stand, and its other layout.

use super::record::{self, IndexRecord, SetRecord, ShardingRecord, corrupt};
use super::{IndexState, Layout, TableDef};
use crate::Result;
use base::{TableId, Timestamp};
use prost::Message;

/// The layouts of a table whose sharding key was, or is being, changed.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LayoutsRecord {
    /// The id under which its rows stand.
    #[prost(uint32, tag = "1")]
    rows: u32,
    /// The other layout, while there is one.
    #[prost(message, optional, tag = "2")]
    other: Option<LayoutRecord>,
}

/// A layout that is written, not read. Sharding as in a table's record.
#[derive(Clone, PartialEq, Message)]
struct LayoutRecord {
    #[prost(uint32, tag = "1")]
    rows: u32,
    #[prost(uint32, tag = "2")]
    sharding: u32,
    #[prost(uint32, repeated, tag = "3")]
    sharding_columns: Vec<u32>,
    #[prost(bool, tag = "4")]
    sharding_declared: bool,
    #[prost(bool, tag = "5")]
    distributed_by: bool,
    #[prost(message, repeated, tag = "6")]
    sets: Vec<SetRecord>,
    #[prost(message, repeated, tag = "7")]
    indexes: Vec<IndexRecord>,
    /// 1 delete-only, 2 write-only.
    #[prost(uint32, tag = "8")]
    state: u32,
    /// When it became the former one; 0: it is the one to come.
    #[prost(uint64, tag = "9")]
    since: u64,
}

/// `None` for a table whose sharding key was never changed.
pub(super) fn encode(table: &TableDef) -> Option<LayoutsRecord> {
    if table.rows == table.id && table.rebuild.is_none() {
        return None;
    }
    let other = table.rebuild.as_ref().map(|rebuild| {
        let mirror = &rebuild.mirror;
        let ShardingRecord { sharding, columns, sets } = record::encode_sharding(&mirror.sharding);
        LayoutRecord {
            rows: mirror.rows.0,
            sharding,
            sharding_columns: columns,
            sharding_declared: mirror.sharding_declared,
            distributed_by: mirror.distributed_by,
            sets,
            indexes: mirror.indexes.iter().map(record::encode_index).collect(),
            state: if rebuild.is_added_to() { 2 } else { 1 },
            since: rebuild.since.0,
        }
    });
    Some(LayoutsRecord { rows: table.rows.0, other })
}

/// The table with the layouts of its record.
pub(super) fn decode(record: LayoutsRecord, table: TableDef) -> Result<TableDef> {
    let table = TableDef { rows: TableId(record.rows), ..table };
    let Some(other) = record.other else { return Ok(table) };
    let state = match other.state {
        1 => IndexState::DeleteOnly,
        2 => IndexState::WriteOnly,
        state => return Err(corrupt(format!("state {state} of a layout"))),
    };
    let sharding = ShardingRecord {
        sharding: other.sharding,
        columns: other.sharding_columns,
        sets: other.sets,
    };
    let width = table.columns.len();
    let indexes = other.indexes.into_iter().map(|index| record::decode_index(index, width));
    let layout = Layout {
        rows: TableId(other.rows),
        sharding: record::decode_sharding(sharding, &table.columns)?,
        sharding_declared: other.sharding_declared,
        distributed_by: other.distributed_by,
        indexes: indexes.collect::<Result<_>>()?,
    };
    if layout.indexes.is_empty() {
        return Err(corrupt(format!("a layout of {} has no index", table.name)));
    }
    Ok(table.with_other_layout(&layout, state, Timestamp(other.since)))
}
