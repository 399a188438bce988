//! Bytes of a table's layouts, within its record: the id under which its rows stand, and its other layout.

use super::record::{self, IndexRecord, RangeRecord, SetRecord, ShardingRecord, corrupt};
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
    /// Ranges of keys, as in a table's record.
    #[prost(message, repeated, tag = "10")]
    ranges: Vec<RangeRecord>,
    /// Placement policy, as in a table's record; none in records from before it could be changed.
    #[prost(string, tag = "11")]
    placement: String,
}

/// `None` for a table whose sharding key was never changed.
pub(super) fn encode(table: &TableDef) -> Option<LayoutsRecord> {
    if table.rows == table.id && table.rebuild.is_none() {
        return None;
    }
    let other = table.rebuild.as_ref().map(|rebuild| {
        let mirror = &rebuild.mirror;
        // Copies no layout has: such tables keep their sharding (`ddl::rekey`).
        let ShardingRecord { sharding, columns, sets, ranges, .. } =
            record::encode_sharding(&mirror.sharding);
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
            ranges,
            placement: mirror.placement.clone(),
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
        copies: 0,
        ranges: other.ranges,
    };
    let width = table.columns.len();
    let indexes = other.indexes.into_iter().map(|index| record::decode_index(index, width));
    let layout = Layout {
        rows: TableId(other.rows),
        sharding: record::decode_sharding(sharding, &table.columns)?,
        sharding_declared: other.sharding_declared,
        distributed_by: other.distributed_by,
        placement: other.placement,
        indexes: indexes.collect::<Result<_>>()?,
    };
    if layout.indexes.is_empty() {
        return Err(corrupt(format!("a layout of {} has no index", table.name)));
    }
    Ok(table.with_other_layout(&layout, state, Timestamp(other.since)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{
        ColumnDef, Distribution, IndexDef, ItemValue, ItemValues, SetItem, Sharding,
    };
    use crate::collation::CollationId;
    use crate::types::SqlType;
    use crate::value::Value;
    use base::{IndexId, Slot};

    fn table() -> TableDef {
        let primary = IndexDef {
            id: IndexId::PRIMARY,
            name: "PRIMARY".into(),
            unique: true,
            columns: Vec::new(),
            included: Vec::new(),
            global: false,
            primary: true,
            implicit: false,
            comment: String::new(),
            state: IndexState::Public,
            public_since: Timestamp::ZERO,
            ignored: false,
        };
        TableDef {
            id: TableId(1000),
            rows: TableId(1000),
            database: "d".into(),
            name: "t".into(),
            columns: Vec::new(),
            next_ordinal: 0,
            indexes: vec![primary],
            unpublished: Vec::new(),
            declared: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            next_index_id: 1,
            index_version: 3,
            sharding: Sharding::Hash(Vec::new()),
            sharding_declared: false,
            distributed_by: false,
            collation: CollationId::DEFAULT,
            comment: String::new(),
            auto_increment_start: 0,
            created_unix: 0,
            options: String::new(),
            retention_s: 0,
            placement: String::new(),
            partitioning: None,
            rebuild: None,
        }
    }

    /// A table with a column that gets another layout, by ranges with these slots and ends.
    fn with_ranges(ranges: &[(u16, Option<i64>)]) -> TableDef {
        let ty = SqlType::int();
        let items = ranges.iter().map(|(slot, end)| {
            let values = match end {
                Some(end) => ItemValues::Below(ItemValue::new(Value::Int(*end), &ty)),
                None => ItemValues::Rest,
            };
            SetItem::of_slot(Slot(*slot), values)
        });
        let by = Distribution { column: 0, spread: vec![0], items: items.collect() };
        let column = ColumnDef {
            name: "id".into(),
            ty,
            default: None,
            auto_increment: false,
            on_update_now: false,
            zerofill: false,
            comment: String::new(),
            hidden: false,
            type_text: "int".into(),
            collation_declared: false,
            ordinal: 0,
            absent: None,
            former: None,
            generated: None,
            invisible: false,
        };
        let table = TableDef { columns: vec![column], next_ordinal: 1, ..table() };
        let (rows, sharding) = (TableId(1007), Sharding::Keys(by));
        let layout = Layout { rows, sharding, sharding_declared: true, ..table.layout() };
        table.with_other_layout(&layout, IndexState::WriteOnly, Timestamp::ZERO)
    }

    #[test]
    fn ranges_that_tell_values_apart_no_more_are_corrupt() {
        for ranges in [
            &[(1, Some(5)), (2, Some(5)), (3, None)][..],
            &[(1, Some(5)), (1, None)],
            &[(1, None), (2, Some(5)), (3, None)],
            &[(1, Some(5))],
            &[],
        ] {
            let bytes = record::encode_table(&with_ranges(ranges)).unwrap();
            let error = record::decode_table(&bytes).unwrap_err();
            assert!(error.message.contains("corrupt catalog record"), "{}", error.message);
        }
    }

    #[test]
    fn layouts_come_back() {
        let table = table();
        assert_eq!(encode(&table), None);
        let layout = Layout {
            rows: TableId(1007),
            sharding: Sharding::Single,
            sharding_declared: true,
            distributed_by: false,
            placement: "eu".into(),
            indexes: table.indexes.clone(),
        };
        let adding = table.with_other_layout(&layout, IndexState::DeleteOnly, Timestamp::ZERO);
        let dropping = adding.with_layouts_swapped(Timestamp(9));
        assert_eq!((dropping.rows, dropping.stored_ids().len()), (TableId(1007), 2));
        assert_eq!((adding.placement.as_str(), dropping.placement.as_str()), ("", "eu"));
        // The policy is one of the layout: who is a step behind may commit.
        assert!(adding.is_in_step_with(&dropping));
        let changed = TableDef { rebuild: None, ..dropping.clone() };
        let to_ranges = with_ranges(&[(9, Some(-5)), (70, Some(100)), (3, None)]);
        let from_ranges = to_ranges.with_layouts_swapped(Timestamp(9));
        for table in [table, adding, dropping, changed, to_ranges, from_ranges] {
            let bytes = record::encode_table(&table).unwrap();
            assert_eq!(record::decode_table(&bytes).unwrap(), table);
        }
    }
}
