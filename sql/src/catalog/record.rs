//! Bytes of catalog records: protobuf messages, so that later versions add fields and old ones skip
//! them. Field numbers are never reused. `docs/formats.md`, "Catalog", lists them.

use super::foreign_key::{self, ForeignKeyRecord};
use super::layout_record::{self, LayoutsRecord};
use super::partition::record::{self as partition_record, PartitioningRecord};
use super::{
    CheckDef, ColumnDef, DatabaseDef, DeclaredKey, DeclaredKind, DefaultValue, Distribution,
    Generated, IndexColumn, IndexDef, IndexState, ItemValue, ItemValues, Rule, SetItem, Sharding,
    TableDef,
};
use crate::collation::{COLLATIONS, CollationId};
use crate::types::members::{ENUM_MEMBERS_MAX, SET_MEMBERS_MAX};
use crate::types::{Members, SqlType, TypeKind};
use crate::{Error, Result, table_codec};
use base::limits::ROW_PLACES_MAX;
use base::{DatabaseId, IndexId, SLOT_COUNT, Slot, SlotRange, TableId, Timestamp};
use prost::Message;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A database.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DatabaseRecord {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(uint32, tag = "3")]
    collation: u32,
    /// Empty for none.
    #[prost(string, tag = "4")]
    placement: String,
}

/// A table.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TableRecord {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    database: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(message, repeated, tag = "4")]
    columns: Vec<ColumnRecord>,
    #[prost(message, repeated, tag = "5")]
    indexes: Vec<IndexRecord>,
    /// 0 hash of `sharding_columns`, 1 single, 2 broadcast, 3 range, 4 list: those have the column and the columns of
    /// the hash in `sharding_columns`, and `sets`; 5 by ranges of keys: the column, and `ranges`.
    #[prost(uint32, tag = "6")]
    sharding: u32,
    #[prost(uint32, repeated, tag = "7")]
    sharding_columns: Vec<u32>,
    #[prost(bool, tag = "8")]
    sharding_declared: bool,
    #[prost(uint32, tag = "9")]
    collation: u32,
    #[prost(string, tag = "10")]
    comment: String,
    #[prost(uint64, tag = "11")]
    auto_increment_start: u64,
    #[prost(uint64, tag = "12")]
    created_unix: u64,
    #[prost(string, tag = "13")]
    options: String,
    /// 0: the cluster's.
    #[prost(uint64, tag = "14")]
    retention_s: u64,
    #[prost(message, repeated, tag = "20")]
    sets: Vec<SetRecord>,
    #[prost(bool, tag = "21")]
    distributed_by: bool,
    /// Indexes that are being added or dropped.
    #[prost(message, repeated, tag = "30")]
    unpublished: Vec<IndexRecord>,
    /// 0: one above the highest.
    #[prost(uint32, tag = "31")]
    next_index_id: u32,
    #[prost(message, repeated, tag = "40")]
    foreign_keys: Vec<ForeignKeyRecord>,
    /// CHECK constraints.
    #[prost(message, repeated, tag = "41")]
    checks: Vec<CheckRecord>,
    /// Place of the next column in stored rows; 0: as many as there are columns.
    #[prost(uint32, tag = "42")]
    next_ordinal: u32,
    /// FULLTEXT and SPATIAL keys.
    #[prost(message, repeated, tag = "45")]
    declared: Vec<IndexRecord>,
    #[prost(uint64, tag = "32")]
    index_version: u64,
    /// Of a table whose sharding key was, or is being, changed.
    #[prost(message, optional, tag = "27")]
    layouts: Option<LayoutsRecord>,
    /// Of a table with partitions.
    #[prost(message, optional, tag = "22")]
    partitioning: Option<PartitioningRecord>,
    /// Of a broadcast table, at least one.
    #[prost(uint32, tag = "26")]
    copies: u32,
    /// Placement policy; empty for none. With one, `sharding` is 3 and `sets` has one item, MAXVALUE.
    #[prost(string, tag = "24")]
    placement: String,
    /// Of a table that is sharded by ranges of keys, in their order.
    #[prost(message, repeated, tag = "28")]
    ranges: Vec<RangeRecord>,
}

/// A range of keys.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RangeRecord {
    #[prost(uint32, tag = "1")]
    slot: u32,
    /// Its end, as a row of one column; the last range has none.
    #[prost(bytes = "vec", optional, tag = "2")]
    below: Option<Vec<u8>>,
}

/// What goes to a set.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SetRecord {
    #[prost(uint32, tag = "1")]
    set: u32,
    #[prost(uint32, tag = "2")]
    slot_start: u32,
    #[prost(uint32, tag = "3")]
    slot_end: u32,
    /// Each as a row of one column. Of a range the bound; none: MAXVALUE.
    #[prost(bytes = "vec", repeated, tag = "4")]
    values: Vec<Vec<u8>>,
}

/// A column.
#[derive(Clone, PartialEq, Message)]
struct ColumnRecord {
    #[prost(string, tag = "1")]
    name: String,
    /// Position in `KINDS`.
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(bool, tag = "3")]
    unsigned: bool,
    #[prost(uint32, tag = "4")]
    length: u32,
    #[prost(uint32, tag = "5")]
    decimals: u32,
    #[prost(uint32, tag = "6")]
    collation: u32,
    #[prost(bool, tag = "7")]
    nullable: bool,
    /// 0 none, 1 literal, 2 now, 3 expression.
    #[prost(uint32, tag = "8")]
    default_kind: u32,
    /// The literal as a row of one column, or the expression's text.
    #[prost(bytes = "vec", tag = "9")]
    default: Vec<u8>,
    #[prost(bool, tag = "10")]
    auto_increment: bool,
    #[prost(bool, tag = "11")]
    on_update_now: bool,
    #[prost(bool, tag = "12")]
    zerofill: bool,
    #[prost(string, tag = "13")]
    comment: String,
    #[prost(bool, tag = "14")]
    hidden: bool,
    #[prost(string, tag = "15")]
    type_text: String,
    #[prost(bool, tag = "16")]
    collation_declared: bool,
    /// Place in stored rows, plus 1; 0: its position.
    #[prost(uint32, tag = "17")]
    ordinal: u32,
    /// What it is computed from; empty for none.
    #[prost(string, tag = "18")]
    generated: String,
    #[prost(bool, tag = "19")]
    stored: bool,
    #[prost(bool, tag = "20")]
    invisible: bool,
    /// What rows have that lack it, as a row of one column.
    #[prost(bytes = "vec", optional, tag = "24")]
    absent: Option<Vec<u8>>,
    /// What it was before its type changed.
    #[prost(message, optional, boxed, tag = "25")]
    former: Option<Box<ColumnRecord>>,
    /// Of ENUM and SET, in the order of their numbers.
    #[prost(string, repeated, tag = "21")]
    members: Vec<String>,
}

/// A CHECK constraint.
#[derive(Clone, PartialEq, Message)]
struct CheckRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(bool, tag = "3")]
    not_enforced: bool,
}

/// An index.
#[derive(Clone, PartialEq, Message)]
pub(super) struct IndexRecord {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bool, tag = "3")]
    unique: bool,
    #[prost(uint32, repeated, tag = "4")]
    columns: Vec<u32>,
    /// One per column; 0 for a whole column.
    #[prost(uint32, repeated, tag = "5")]
    prefixes: Vec<u32>,
    #[prost(bool, tag = "6")]
    global: bool,
    #[prost(bool, tag = "7")]
    primary: bool,
    #[prost(bool, tag = "8")]
    implicit: bool,
    #[prost(string, tag = "9")]
    comment: String,
    /// 0 public, 1 delete-only, 2 write-only.
    #[prost(uint32, tag = "10")]
    state: u32,
    #[prost(uint64, tag = "11")]
    public_since: u64,
    /// Columns that entries carry besides.
    #[prost(uint32, repeated, tag = "12")]
    included: Vec<u32>,
    /// Which of `columns` are DESC, by their places there.
    #[prost(uint32, repeated, tag = "13")]
    descending: Vec<u32>,
    /// 0 an index; of a table's declared keys 1 FULLTEXT, 2 SPATIAL.
    #[prost(uint32, tag = "14")]
    kind: u32,
}

/// Type kinds by their number on disk. Append only.
const KINDS: [Option<TypeKind>; 25] = [
    Some(TypeKind::Null),
    Some(TypeKind::TinyInt),
    Some(TypeKind::SmallInt),
    Some(TypeKind::MediumInt),
    Some(TypeKind::Int),
    Some(TypeKind::BigInt),
    Some(TypeKind::Decimal),
    Some(TypeKind::Float),
    Some(TypeKind::Double),
    Some(TypeKind::Char),
    Some(TypeKind::Varchar),
    Some(TypeKind::TinyText),
    Some(TypeKind::Text),
    Some(TypeKind::MediumText),
    Some(TypeKind::LongText),
    Some(TypeKind::Date),
    Some(TypeKind::Time),
    Some(TypeKind::DateTime),
    Some(TypeKind::Timestamp),
    Some(TypeKind::Year),
    Some(TypeKind::Bit),
    Some(TypeKind::Enum),
    Some(TypeKind::Set),
    Some(TypeKind::Json),
    Some(TypeKind::Geometry),
];

pub(super) fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::storage(format!("corrupt catalog record: {what}"))
}

pub(super) fn encode_database(database: &DatabaseDef) -> Vec<u8> {
    DatabaseRecord {
        id: database.id.0,
        name: database.name.clone(),
        collation: u32::from(database.collation.0),
        placement: database.placement.clone(),
    }
    .encode_to_vec()
}

pub(super) fn decode_database(bytes: &[u8]) -> Result<DatabaseDef> {
    let record = DatabaseRecord::decode(bytes).map_err(corrupt)?;
    let collation = decode_collation(record.collation)?;
    let DatabaseRecord { id, name, placement, .. } = record;
    Ok(DatabaseDef { id: DatabaseId(id), name, collation, placement })
}

pub(super) fn encode_table(table: &TableDef) -> Result<Vec<u8>> {
    let ShardingRecord { sharding, columns, sets, copies, ranges } =
        encode_sharding(&table.sharding);
    let record = TableRecord {
        id: table.id.0,
        database: table.database.clone(),
        name: table.name.clone(),
        columns: table.columns.iter().map(encode_column).collect::<Result<_>>()?,
        indexes: table.indexes.iter().map(encode_index).collect(),
        sharding,
        sharding_columns: columns,
        sharding_declared: table.sharding_declared,
        collation: u32::from(table.collation.0),
        comment: table.comment.clone(),
        auto_increment_start: table.auto_increment_start,
        created_unix: table.created_unix,
        options: table.options.clone(),
        retention_s: table.retention_s,
        sets,
        distributed_by: table.distributed_by,
        unpublished: table.unpublished.iter().map(encode_index).collect(),
        declared: table.declared.iter().map(encode_declared).collect(),
        next_index_id: table.next_index_id,
        foreign_keys: table.foreign_keys.iter().map(foreign_key::encode).collect(),
        checks: table.checks.iter().map(encode_check).collect(),
        next_ordinal: table.next_ordinal as u32,
        index_version: table.index_version,
        layouts: layout_record::encode(table),
        partitioning: table.partitioning.as_deref().map(partition_record::encode),
        copies,
        placement: table.placement.clone(),
        ranges,
    };
    Ok(record.encode_to_vec())
}

/// How rows find their slot, as a table's record has it.
pub(super) struct ShardingRecord {
    /// Its number, see `TableRecord`.
    pub(super) sharding: u32,
    /// Its columns, as there.
    pub(super) columns: Vec<u32>,
    /// Its sets, as there.
    pub(super) sets: Vec<SetRecord>,
    /// Its copies, as there.
    pub(super) copies: u32,
    /// Its ranges of keys, as there.
    pub(super) ranges: Vec<RangeRecord>,
}

pub(super) fn encode_sharding(sharding: &Sharding) -> ShardingRecord {
    let (number, columns) = match sharding {
        Sharding::Hash(columns) => (0, columns.clone()),
        Sharding::Single => (1, Vec::new()),
        Sharding::Broadcast(_) => (2, Vec::new()),
        Sharding::Range(by) => (3, distribution_columns(by)),
        Sharding::List(by) => (4, distribution_columns(by)),
        Sharding::Keys(by) => (5, vec![by.column]),
    };
    let items = sharding.distribution().map_or(&[][..], |by| by.items.as_slice());
    let (sets, ranges) = match sharding {
        Sharding::Keys(_) => (&[][..], items),
        _ => (items, &[][..]),
    };
    let copies = match sharding {
        Sharding::Broadcast(copies) => *copies,
        Sharding::Hash(_)
        | Sharding::Single
        | Sharding::Range(_)
        | Sharding::List(_)
        | Sharding::Keys(_) => 0,
    };
    ShardingRecord {
        sharding: number,
        columns: columns.iter().map(|column| *column as u32).collect(),
        sets: sets.iter().map(encode_set).collect(),
        copies,
        ranges: ranges.iter().map(encode_range).collect(),
    }
}

/// The sharding of a table with these columns.
pub(super) fn decode_sharding(record: ShardingRecord, columns: &[ColumnDef]) -> Result<Sharding> {
    let width = columns.len();
    let position = |column: &u32| match *column as usize {
        column if column < width => Ok(column),
        column => Err(corrupt(format!("column {column} of {width}"))),
    };
    let of_columns = record.columns.iter().map(position).collect::<Result<Vec<usize>>>()?;
    Ok(match record.sharding {
        0 => Sharding::Hash(of_columns),
        1 => Sharding::Single,
        2 if (1..=SLOT_COUNT).contains(&record.copies) => Sharding::Broadcast(record.copies),
        2 => return Err(corrupt(format!("{} copies of a table", record.copies))),
        3 => Sharding::Range(decode_distribution(of_columns, record.sets, columns, true)?),
        4 => Sharding::List(decode_distribution(of_columns, record.sets, columns, false)?),
        5 => Sharding::Keys(decode_ranges(&of_columns, record.ranges, columns)?),
        other => return Err(corrupt(format!("sharding {other}"))),
    })
}

/// The column of a distribution, then those of its hash.
fn distribution_columns(by: &Distribution) -> Vec<usize> {
    std::iter::once(by.column).chain(by.spread.iter().copied()).collect()
}

fn encode_set(item: &SetItem) -> SetRecord {
    let values = match &item.values {
        ItemValues::Below(bound) => std::slice::from_ref(bound),
        ItemValues::Rest => &[],
        ItemValues::In(values) => values.as_slice(),
    };
    let bytes =
        |value: &ItemValue| table_codec::encode_values(std::slice::from_ref(&value.value)).to_vec();
    SetRecord {
        set: item.set,
        slot_start: item.slots.start,
        slot_end: item.slots.end,
        values: values.iter().map(bytes).collect(),
    }
}

fn encode_range(item: &SetItem) -> RangeRecord {
    let below = match &item.values {
        ItemValues::Below(bound) => Some(std::slice::from_ref(&bound.value)),
        ItemValues::Rest | ItemValues::In(_) => None,
    };
    let below = below.map(|bound| table_codec::encode_values(bound).to_vec());
    RangeRecord { slot: item.slots.start, below }
}

/// The ranges of keys of a column.
fn decode_ranges(
    columns: &[usize],
    ranges: Vec<RangeRecord>,
    types: &[ColumnDef],
) -> Result<Distribution> {
    let [column] = columns else { return Err(corrupt("ranges of not one column")) };
    let ty = &types[*column].ty;
    let mut items: Vec<SetItem> = Vec::with_capacity(ranges.len());
    let mut slots = BTreeSet::new();
    for range in ranges {
        if range.slot >= SLOT_COUNT || !slots.insert(range.slot) {
            return Err(corrupt(format!("slot {} of a range", range.slot)));
        }
        let values = match range.below {
            Some(bytes) => {
                ItemValues::Below(ItemValue::new(table_codec::decode_value(&bytes, ty)?, ty))
            }
            None => ItemValues::Rest,
        };
        let rises = match (items.last().map(|before| &before.values), &values) {
            (Some(ItemValues::Below(before)), ItemValues::Below(bound)) => {
                before.key() < bound.key()
            }
            (before, _) => before != Some(&ItemValues::Rest),
        };
        if !rises {
            return Err(corrupt("ranges whose bounds do not rise"));
        }
        items.push(SetItem::of_slot(Slot(range.slot as u16), values));
    }
    if !matches!(items.last(), Some(SetItem { values: ItemValues::Rest, .. })) {
        return Err(corrupt("ranges without a last one"));
    }
    Ok(Distribution { column: *column, spread: vec![*column], items })
}

/// A distribution from its columns (see [`distribution_columns`]) and sets; `by_range` or by list.
fn decode_distribution(
    columns: Vec<usize>,
    sets: Vec<SetRecord>,
    types: &[ColumnDef],
    by_range: bool,
) -> Result<Distribution> {
    let (column, spread) = columns.split_first().ok_or_else(|| corrupt("sets of no column"))?;
    let ty = &types[*column].ty;
    let mut items = Vec::with_capacity(sets.len());
    for set in sets {
        if set.slot_start >= set.slot_end || set.slot_end > SLOT_COUNT {
            return Err(corrupt(format!("slots {} to {}", set.slot_start, set.slot_end)));
        }
        let decode = |bytes: &Vec<u8>| -> Result<ItemValue> {
            Ok(ItemValue::new(table_codec::decode_value(bytes, ty)?, ty))
        };
        let mut values = set.values.iter().map(decode).collect::<Result<Vec<_>>>()?;
        let values = match by_range {
            true => values.pop().map_or(ItemValues::Rest, ItemValues::Below),
            false => ItemValues::In(values),
        };
        let slots = SlotRange { start: set.slot_start, end: set.slot_end };
        items.push(SetItem { set: set.set, slots, values });
    }
    Ok(Distribution { column: *column, spread: spread.to_vec(), items })
}

pub(super) fn decode_table(bytes: &[u8]) -> Result<TableDef> {
    let record = TableRecord::decode(bytes).map_err(corrupt)?;
    let columns = record.columns.into_iter().enumerate();
    let columns = columns.map(|(position, column)| decode_column(column, position));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let width = columns.len();
    let next_ordinal = match record.next_ordinal as usize {
        0 => width,
        next_ordinal => next_ordinal,
    };
    check_ordinals(&columns, next_ordinal)?;
    let sharding = ShardingRecord {
        sharding: record.sharding,
        columns: record.sharding_columns,
        sets: record.sets,
        copies: record.copies,
        ranges: record.ranges,
    };
    let sharding = decode_sharding(sharding, &columns)?;
    let decode = |index| decode_index(index, width);
    let indexes = record.indexes.into_iter().map(decode).collect::<Result<Vec<_>>>()?;
    let unpublished = record.unpublished.into_iter().map(decode).collect::<Result<Vec<_>>>()?;
    let declared = record.declared.into_iter().map(|key| decode_declared(key, width));
    let declared = declared.collect::<Result<Vec<_>>>()?;
    if indexes.is_empty() {
        return Err(corrupt(format!("table {} has no index", record.name)));
    }
    let foreign_keys = record.foreign_keys.into_iter().map(foreign_key::decode);
    let table = TableDef {
        id: TableId(record.id),
        rows: TableId(record.id),
        database: record.database,
        name: record.name,
        columns,
        next_ordinal,
        indexes,
        unpublished,
        declared,
        checks: record.checks.into_iter().map(decode_check).collect(),
        foreign_keys: foreign_keys.collect::<Result<_>>()?,
        next_index_id: record.next_index_id,
        index_version: record.index_version,
        sharding,
        sharding_declared: record.sharding_declared,
        distributed_by: record.distributed_by,
        collation: decode_collation(record.collation)?,
        comment: record.comment,
        auto_increment_start: record.auto_increment_start,
        created_unix: record.created_unix,
        options: record.options,
        retention_s: record.retention_s,
        placement: record.placement,
        partitioning: None,
        rebuild: None,
    };
    let table = table.with_rules_bound()?;
    let table = match record.layouts {
        Some(layouts) => layout_record::decode(layouts, table)?,
        None => table,
    };
    let Some(partitioning) = record.partitioning else { return Ok(table) };
    let table = Arc::new(table);
    let partitioning = partition_record::decode(partitioning, &table)?;
    Ok(TableDef { partitioning: Some(Arc::new(partitioning)), ..Arc::unwrap_or_clone(table) })
}

fn encode_column(column: &ColumnDef) -> Result<ColumnRecord> {
    let (default_kind, default) = match &column.default {
        None => (0, Vec::new()),
        Some(DefaultValue::Literal(value)) => {
            (1, table_codec::encode_values(std::slice::from_ref(value)).to_vec())
        }
        Some(DefaultValue::Now) => (2, Vec::new()),
        Some(DefaultValue::Expression(text)) => (3, text.clone().into_bytes()),
    };
    let ty = &column.ty;
    let kind = KINDS.iter().position(|kind| *kind == Some(ty.kind));
    Ok(ColumnRecord {
        name: column.name.clone(),
        kind: kind.ok_or_else(|| Error::internal("a type without a number on disk"))? as u32,
        unsigned: ty.unsigned,
        length: ty.length,
        decimals: u32::from(ty.decimals),
        collation: u32::from(ty.collation.of_text().0),
        nullable: ty.nullable,
        default_kind,
        default,
        auto_increment: column.auto_increment,
        on_update_now: column.on_update_now,
        zerofill: column.zerofill,
        comment: column.comment.clone(),
        hidden: column.hidden,
        type_text: column.type_text.clone(),
        collation_declared: column.collation_declared,
        ordinal: column.ordinal as u32 + 1,
        former: column.former.as_deref().map(encode_column).transpose()?.map(Box::new),
        generated: column.generated.as_ref().map_or_else(String::new, |by| by.rule.text.clone()),
        stored: column.generated.as_ref().is_some_and(|by| by.stored),
        invisible: column.invisible,
        absent: column
            .absent
            .as_ref()
            .map(|value| table_codec::encode_values(std::slice::from_ref(value)).to_vec()),
        members: ty.members.map_or_else(Vec::new, |members| members.names().to_vec()),
    })
}

/// The members of a type, which ENUM and SET have and no other.
fn decode_members(kind: TypeKind, names: Vec<String>) -> Result<Option<Members>> {
    let most = match kind {
        TypeKind::Enum => ENUM_MEMBERS_MAX,
        TypeKind::Set => SET_MEMBERS_MAX,
        _ => 0,
    };
    match names.len() {
        0 if most == 0 => Ok(None),
        count if (1..=most).contains(&count) => Ok(Some(Members::new(names))),
        count => Err(corrupt(format!("{count} members of a column"))),
    }
}

/// Refuses columns that share a place in stored rows, or have one that is still to be given.
fn check_ordinals(columns: &[ColumnDef], next_ordinal: usize) -> Result<()> {
    let mut taken = BTreeSet::new();
    let is_own = |column: &ColumnDef| column.ordinal < next_ordinal && taken.insert(column.ordinal);
    match columns.iter().all(is_own) && next_ordinal <= ROW_PLACES_MAX {
        true => Ok(()),
        false => Err(corrupt("columns without a place of their own in rows")),
    }
}

/// The column at a position.
fn decode_column(record: ColumnRecord, position: usize) -> Result<ColumnDef> {
    let kind = KINDS.get(record.kind as usize).copied().flatten();
    let kind = kind.ok_or_else(|| corrupt(format!("type number {}", record.kind)))?;
    let members = decode_members(kind, record.members)?;
    let ty = SqlType {
        kind,
        unsigned: record.unsigned,
        length: record.length,
        decimals: u8::try_from(record.decimals).map_err(corrupt)?,
        collation: match kind {
            TypeKind::Json => CollationId::JSON,
            _ => decode_collation(record.collation)?,
        },
        nullable: record.nullable,
        members,
    };
    let default = match record.default_kind {
        0 => None,
        1 => Some(DefaultValue::Literal(table_codec::decode_value(&record.default, &ty)?)),
        2 => Some(DefaultValue::Now),
        3 => Some(DefaultValue::Expression(String::from_utf8(record.default).map_err(corrupt)?)),
        other => return Err(corrupt(format!("default kind {other}"))),
    };
    let former = record.former.map(|former| decode_column(*former, position));
    let absent = record.absent.as_deref().map(|bytes| table_codec::decode_value(bytes, &ty));
    Ok(ColumnDef {
        name: record.name,
        ty,
        default,
        auto_increment: record.auto_increment,
        on_update_now: record.on_update_now,
        zerofill: record.zerofill,
        comment: record.comment,
        hidden: record.hidden,
        type_text: record.type_text,
        collation_declared: record.collation_declared,
        ordinal: (record.ordinal as usize).checked_sub(1).unwrap_or(position),
        absent: absent.transpose()?,
        former: former.transpose()?.map(Box::new),
        generated: (!record.generated.is_empty())
            .then(|| Generated { rule: Rule::new(record.generated), stored: record.stored }),
        invisible: record.invisible,
    })
}

pub(super) fn encode_index(index: &IndexDef) -> IndexRecord {
    IndexRecord {
        id: index.id.0,
        name: index.name.clone(),
        unique: index.unique,
        columns: index.columns.iter().map(|c| c.column as u32).collect(),
        prefixes: index.columns.iter().map(|c| c.prefix.unwrap_or(0)).collect(),
        descending: (0..)
            .zip(&index.columns)
            .filter(|(_, c)| c.descending)
            .map(|(at, _)| at)
            .collect(),
        global: index.global,
        primary: index.primary,
        implicit: index.implicit,
        comment: index.comment.clone(),
        state: match index.state {
            IndexState::Public => 0,
            IndexState::DeleteOnly => 1,
            IndexState::WriteOnly => 2,
        },
        public_since: index.public_since.0,
        included: index.included.iter().map(|column| *column as u32).collect(),
        kind: 0,
    }
}

fn encode_check(check: &CheckDef) -> CheckRecord {
    CheckRecord {
        name: check.name.clone(),
        text: check.rule.text.clone(),
        not_enforced: !check.enforced,
    }
}

fn decode_check(record: CheckRecord) -> CheckDef {
    let CheckRecord { name, text, not_enforced } = record;
    CheckDef { name, rule: Rule::new(text), enforced: !not_enforced }
}

fn encode_declared(key: &DeclaredKey) -> IndexRecord {
    IndexRecord {
        name: key.name.clone(),
        columns: key.columns.iter().map(|column| *column as u32).collect(),
        comment: key.comment.clone(),
        kind: match key.kind {
            DeclaredKind::Fulltext => 1,
            DeclaredKind::Spatial => 2,
        },
        ..IndexRecord::default()
    }
}

/// The declared key of a table with `width` columns.
fn decode_declared(record: IndexRecord, width: usize) -> Result<DeclaredKey> {
    let kind = match record.kind {
        1 => DeclaredKind::Fulltext,
        2 => DeclaredKind::Spatial,
        other => return Err(corrupt(format!("kind {other} of a declared key"))),
    };
    let columns: Vec<usize> = record.columns.iter().map(|column| *column as usize).collect();
    if columns.is_empty() || columns.iter().any(|column| *column >= width) {
        return Err(corrupt(format!("columns of the key {} of {width} columns", record.name)));
    }
    Ok(DeclaredKey { name: record.name, kind, columns, comment: record.comment })
}

/// The index of a table with `width` columns.
pub(super) fn decode_index(record: IndexRecord, width: usize) -> Result<IndexDef> {
    let known = |column: u32| match column as usize {
        column if column < width => Ok(column),
        column => Err(corrupt(format!("column {column} of {width}"))),
    };
    let mut columns = Vec::with_capacity(record.columns.len());
    for (at, column) in record.columns.iter().enumerate() {
        let prefix = record.prefixes.get(at).copied().filter(|length| *length > 0);
        let descending = record.descending.contains(&(at as u32));
        columns.push(IndexColumn { column: known(*column)?, prefix, descending });
    }
    let included = record.included.iter().map(|column| known(*column)).collect::<Result<_>>()?;
    Ok(IndexDef {
        id: IndexId(record.id),
        name: record.name,
        unique: record.unique,
        columns,
        included,
        global: record.global,
        primary: record.primary,
        implicit: record.implicit,
        comment: record.comment,
        state: match record.state {
            0 => IndexState::Public,
            1 => IndexState::DeleteOnly,
            2 => IndexState::WriteOnly,
            other => return Err(corrupt(format!("index state {other}"))),
        },
        public_since: Timestamp(record.public_since),
        ignored: false,
    })
}

fn decode_collation(id: u32) -> Result<CollationId> {
    let id = CollationId(u16::try_from(id).map_err(corrupt)?);
    match COLLATIONS.iter().any(|known| known.id == id) {
        true => Ok(id),
        false => Err(corrupt(format!("collation {}", id.0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of a table that is sharded so.
    fn record(sharding: u32, copies: u32) -> TableRecord {
        let primary = IndexRecord { primary: true, unique: true, ..IndexRecord::default() };
        let collation = u32::from(CollationId::DEFAULT.0);
        let name = "kind".to_string();
        let indexes = vec![primary];
        TableRecord { id: 1000, name, sharding, copies, collation, indexes, ..Default::default() }
    }

    #[test]
    fn a_broadcast_table_keeps_its_number_of_copies() {
        let table = decode_table(&record(2, 5).encode_to_vec()).unwrap();
        assert_eq!(table.sharding, Sharding::Broadcast(5));
        assert_eq!(decode_table(&encode_table(&table).unwrap()).unwrap(), table);
    }

    /// A table `t (a INT NOT NULL PRIMARY KEY)` as it was written before types had members.
    const BEFORE_MEMBERS: &[u8] = b"\x08\xe8\x07\x1a\x01t\
        \x22\x0e\x0a\x01a\x10\x04\x20\x0b\x30\x3f\x7a\x03int\
        \x2a\x0a\x18\x01\x22\x01\x00\x2a\x01\x00\x38\x01\
        \x30\x01\x48\xff\x01";

    #[test]
    fn records_without_members_are_read() {
        let table = decode_table(BEFORE_MEMBERS).unwrap();
        let column = &table.columns[0];
        assert_eq!((column.name.as_str(), column.type_text.as_str()), ("a", "int"));
        assert_eq!(column.ty, SqlType::int().not_null());
        assert!(table.declared.is_empty());
        assert_eq!((column.ordinal, table.next_ordinal), (0, 1));
    }

    #[test]
    fn places_and_rules_are_kept() {
        let mut table = decode_table(BEFORE_MEMBERS).unwrap();
        let former = Some(Box::new(table.columns[0].clone()));
        let absent = Some(crate::value::Value::Int(3));
        let rule = Rule::new("(`a` + 1)".into());
        let generated = Some(Generated { rule, stored: true });
        let computed =
            ColumnDef { name: "g".into(), ordinal: 7, generated, ..table.columns[0].clone() };
        table.columns.push(computed);
        table.columns[0] = ColumnDef { ordinal: 5, absent, former, ..table.columns[0].clone() };
        table.next_ordinal = 8;
        let rule = Rule::new("(`a` > 0)".into());
        table.checks = vec![CheckDef { name: "c".into(), rule, enforced: false }];
        assert_eq!(decode_table(&encode_table(&table).unwrap()).unwrap(), table);
        table.next_ordinal = 7;
        assert!(decode_table(&encode_table(&table).unwrap()).is_err());
    }

    #[test]
    fn members_are_kept() {
        let mut table = decode_table(BEFORE_MEMBERS).unwrap();
        let members = Members::new(vec!["PG".into(), "it's".into()]);
        for ty in [
            SqlType::enumeration(members, CollationId::UTF8MB3_GENERAL_CI),
            SqlType::set(members, CollationId::DEFAULT),
        ] {
            table.columns[0].ty = ty;
            assert_eq!(decode_table(&encode_table(&table).unwrap()).unwrap(), table);
        }
        for kind in [DeclaredKind::Fulltext, DeclaredKind::Spatial] {
            let (name, comment) = ("words".to_string(), "why".to_string());
            table.declared = vec![DeclaredKey { name, kind, columns: vec![0], comment }];
            assert_eq!(decode_table(&encode_table(&table).unwrap()).unwrap(), table);
        }
        table.declared[0].columns = vec![1];
        assert!(decode_table(&encode_table(&table).unwrap()).is_err());
    }

    #[test]
    fn types_and_members_that_do_not_go_together_are_corrupt() {
        let column = |kind: u32, members: usize| ColumnRecord {
            kind,
            members: (0..members).map(|place| place.to_string()).collect(),
            collation: u32::from(CollationId::BINARY.0),
            ..ColumnRecord::default()
        };
        for (kind, members) in [(4, 1), (21, 0), (21, 65_536), (22, 65), (20, 1), (23, 1), (25, 0)]
        {
            let error = decode_column(column(kind, members), 0).unwrap_err();
            assert!(error.message.contains("corrupt catalog record"), "{kind} {members}");
        }
        assert!(decode_column(column(22, 64), 0).is_ok());
    }

    #[test]
    fn copies_that_have_no_slot_each_are_corrupt() {
        for copies in [0, SLOT_COUNT + 1] {
            let error = decode_table(&record(2, copies).encode_to_vec()).unwrap_err();
            let what = format!("corrupt catalog record: {copies} copies of a table");
            assert!(error.message.contains(&what), "{}", error.message);
        }
        // Tables of other kinds have none.
        assert_eq!(decode_table(&record(1, 0).encode_to_vec()).unwrap().sharding, Sharding::Single);
    }
}
