//! Rows and index entries of a table as engine keys and values.
//!
//! ```text
//! row                table │ 0     │ primary key columns │ slot of the sharding columns → all columns, by `ColumnDef::ordinal`
//! local index entry  table │ index │ index columns (│ primary key columns) │ slot of the row → place
//! global index entry table │ index │ index columns (│ primary key columns) │ slot of the index columns → place
//! place = offset (2 BE) │ slot of the row (2 BE) (│ length (4 BE) │ carried columns) │ primary key columns, unless the key
//!         holds them at offset
//! ```
//!
//! Only entries of an index with INCLUDE carry columns (`TableDef::carried_columns`), as a row of those.
//!
//! In the keys of a partitioned table, the id of the row's partition stands where `table` stands here.
//!
//! Invariants:
//! 1. Text stands in keys as collation weights: equal text has one key. Text itself is only in the row.
//! 2. An entry of an index that is not unique, or that has a NULL, ends with the primary key, so keys
//!    never collide and no NULL is ever refused as a duplicate.
//! 3. A row whose sharding value no item of its table takes is never written (1526), so whoever looks for one may look
//!    anywhere.
//! 4. From an entry alone the key of its row can be built, without knowing any type.
//! 5. Keys of a broadcast table are those of its first copy.
//!
//! Not here: versions and locks of these keys (`engine::mvcc`), checks of values (`types::assign`), other copies (`broadcast`).

use crate::broadcast;
use crate::catalog::{self, ColumnDef, IndexDef, IndexState, Sharding, TableDef};
use crate::collation::first_chars;
use crate::expr::{key_bytes, put_key};
use crate::types::{SqlType, TypeKind};
use crate::value::{Date, DateTime, Decimal, Time, Value};
use crate::{Error, Result};
use base::{IndexId, Slot, TableId};
use bytes::Bytes;
use engine::key::{self, HEAD_BYTES, KeyBuilder, SLOT_BYTES};
use engine::row::{RowReader, RowWriter};
use std::borrow::Borrow;

/// An index entry of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Position of the index among all of the table (`TableDef::index_at`).
    pub index: usize,
    /// Engine key with its slot.
    pub key: Bytes,
    /// Where the row is, and what the entry carries of it.
    pub value: Bytes,
    /// Whether the key must be absent when the entry is added: a unique index, and no NULL in it.
    pub unique: bool,
    /// The state of its index.
    pub state: IndexState,
}

impl IndexEntry {
    /// Whether a row that is written gets the entry.
    pub fn is_added(&self) -> bool {
        self.state != IndexState::DeleteOnly
    }
}

/// Bytes of a place before the primary key.
const PLACE_BYTES: usize = 4;
/// Bytes of the length of carried columns.
const CARRIED_LENGTH_BYTES: usize = 4;

/// The key of a row.
pub fn row_key(table: &TableDef, row: &[Value]) -> Result<Bytes> {
    let slot = slot_of_row(table, row)?;
    let mut builder = KeyBuilder::new(table.id_of_row(row)?, IndexId::PRIMARY);
    for part in &table.primary().columns {
        put_key(&mut builder, value_at(row, part.column)?, &table.columns[part.column].ty);
    }
    Ok(builder.finish(slot))
}

/// The key of the row with these primary key values, in the order of the key's columns; `None` when
/// they do not decide the slot.
pub fn row_key_of_primary(table: &TableDef, values: &[Value]) -> Result<Option<Bytes>> {
    let primary = table.primary();
    if values.len() != primary.columns.len() || !table.primary_decides_slot() {
        return Ok(None);
    }
    let id = table.id_of_values(|column| {
        let at = primary.columns.iter().position(|part| part.column == column);
        at.map(|at| &values[at])
    })?;
    let mut builder = KeyBuilder::new(id, IndexId::PRIMARY);
    for (part, value) in primary.columns.iter().zip(values) {
        put_key(&mut builder, value, &table.columns[part.column].ty);
    }
    let hashes_key = match &table.sharding {
        Sharding::Hash(columns) => {
            columns.len() == primary.columns.len()
                && columns.iter().zip(&primary.columns).all(|(column, part)| *column == part.column)
        }
        Sharding::Range(_)
        | Sharding::List(_)
        | Sharding::Keys(_)
        | Sharding::Single
        | Sharding::Broadcast(_) => false,
    };
    let slot = if hashes_key {
        Slot::of(&builder.as_slice()[HEAD_BYTES..])
    } else {
        slot_to_look_at(table, |column| {
            let at = primary.columns.iter().position(|part| part.column == column);
            at.map(|at| &values[at])
        })?
    };
    Ok(Some(builder.finish(slot)))
}

/// The slot that a row's sharding columns decide.
///
/// # Errors
/// 1526 when no set takes the row.
pub fn slot_of_row(table: &TableDef, row: &[Value]) -> Result<Slot> {
    let slot = slot_by(table, |column| row.get(column))?;
    slot.ok_or_else(|| {
        let column = table.sharding.distribution().map(|by| by.column);
        let value = column.and_then(|column| row.get(column)?.to_text(&table.columns[column].ty));
        Error::no_set_for_value(value.as_deref().unwrap_or("NULL"))
    })
}

/// The slot of rows with these sharding column values, in the order of the sharding columns.
pub fn slot_of_sharding(table: &TableDef, values: &[Value]) -> Result<Slot> {
    let columns = table.sharding_columns();
    slot_to_look_at(table, |column| {
        columns.iter().position(|other| *other == column).and_then(|at| values.get(at))
    })
}

/// Where a row with these values of the sharding columns is, if there is one.
fn slot_to_look_at<'a>(
    table: &TableDef,
    value: impl Fn(usize) -> Option<&'a Value>,
) -> Result<Slot> {
    Ok(slot_by(table, value)?.unwrap_or_else(|| slot_of_table(table)))
}

/// The slot that values of the sharding columns decide; `None` when no item takes them.
fn slot_by<'a>(
    table: &TableDef,
    value: impl Fn(usize) -> Option<&'a Value>,
) -> Result<Option<Slot>> {
    match &table.sharding {
        Sharding::Hash(columns) => Ok(Some(slot_of_values(table, columns, value)?)),
        Sharding::Range(by) | Sharding::List(by) | Sharding::Keys(by) => {
            let own = value(by.column).ok_or_else(|| missing(table, by.column))?;
            match by.item_of(&key_bytes(own, &table.columns[by.column].ty)) {
                Some(item) => Ok(Some(item.slot(slot_of_values(table, &by.spread, value)?))),
                None => Ok(None),
            }
        }
        Sharding::Single | Sharding::Broadcast(_) => Ok(Some(slot_of_table(table))),
    }
}

/// Some key of the table in this slot: names the shard for `ScanOptions::shard`.
pub fn key_in_slot(table: &TableDef, slot: Slot) -> Bytes {
    KeyBuilder::new(table.id, IndexId::PRIMARY).finish(slot)
}

/// The slot of a table that is kept in one; of a broadcast table that of its first copy.
fn slot_of_table(table: &TableDef) -> Slot {
    let first = broadcast::slots(table).next();
    first.unwrap_or_else(|| Slot::of(&table.id.0.to_be_bytes()))
}

fn slot_of_values<'a>(
    table: &TableDef,
    columns: &[usize],
    value: impl Fn(usize) -> Option<&'a Value>,
) -> Result<Slot> {
    let mut builder = KeyBuilder::columns();
    for column in columns {
        let value = value(*column).ok_or_else(|| missing(table, *column))?;
        put_key(&mut builder, value, &table.columns[*column].ty);
    }
    Ok(builder.slot())
}

/// A row as bytes: every column in its place, the hidden row id too.
pub fn encode_row(table: &TableDef, row: &[Value]) -> Result<Bytes> {
    if row.len() != table.columns.len() {
        return Err(Error::internal(format!(
            "a row of {} values for the {} columns of {}",
            row.len(),
            table.columns.len(),
            table.qualified_name()
        )));
    }
    let in_order = table.columns.iter().enumerate().all(|(at, column)| column.ordinal == at);
    if in_order && row.len() == table.next_ordinal {
        return Ok(encode_values(row));
    }
    // Columns were dropped, or stand elsewhere than they did: each keeps its place.
    let mut stored = vec![&NOTHING; table.next_ordinal];
    for (value, column) in row.iter().zip(&table.columns) {
        stored[column.ordinal] = value;
    }
    Ok(encode_each(&stored))
}

/// What stands in a row in the place of a column that was dropped.
static NOTHING: Value = Value::Null;

/// Values as bytes, in the layout of a row.
pub fn encode_values(values: &[Value]) -> Bytes {
    encode_each(values)
}

fn encode_each<V: Borrow<Value>>(values: &[V]) -> Bytes {
    let mut writer = RowWriter::new(values.len());
    for value in values {
        let value: &Value = value.borrow();
        match value {
            Value::Null => writer.push_null(),
            Value::Int(number) => writer.push_i64(*number),
            Value::UInt(number) => writer.push_u64(*number),
            Value::Double(number) => writer.push_f64(*number),
            Value::Text(text) => writer.push_bytes(text.as_bytes()),
            Value::Bytes(bytes) => writer.push_bytes(bytes),
            Value::Decimal(decimal) => {
                let mut bytes = [0; 33];
                writer.push_bytes(decimal_bytes(decimal, &mut bytes));
            }
            Value::Date(date) => writer.push_u64(date.packed()),
            Value::DateTime(moment) => writer.push_u64(moment.packed()),
            Value::Time(time) => writer.push_i64(time.micros()),
        }
    }
    writer.finish()
}

/// Scale, then the unscaled value in as few big-endian bytes as hold it with its sign.
fn decimal_bytes<'a>(decimal: &Decimal, buffer: &'a mut [u8; 33]) -> &'a [u8] {
    let wide = decimal.unscaled().to_be_bytes();
    let sign = if decimal.is_negative() { 0xff } else { 0 };
    let mut start = 0;
    while start < 31 && wide[start] == sign && (wide[start + 1] ^ sign) & 0x80 == 0 {
        start += 1;
    }
    let length = wide.len() - start;
    buffer[0] = decimal.scale();
    buffer[1..=length].copy_from_slice(&wide[start..]);
    &buffer[..=length]
}

fn decimal_of_bytes(bytes: &[u8]) -> Option<Decimal> {
    let (scale, unscaled) = bytes.split_first()?;
    let first = unscaled.first()?;
    let mut wide = [if first & 0x80 != 0 { 0xff } else { 0 }; 32];
    let start = wide.len().checked_sub(unscaled.len())?;
    wide[start..].copy_from_slice(unscaled);
    Some(Decimal::new(arrow::datatypes::i256::from_be_bytes(wide), *scale))
}

/// The wanted columns of a row, in a vector as wide as the table; all others are NULL.
pub fn decode_row(table: &TableDef, bytes: &[u8], wanted: &[usize]) -> Result<Vec<Value>> {
    let mut row = vec![Value::Null; table.columns.len()];
    let reader = RowReader::new(bytes)?;
    for column in wanted {
        row[*column] = decode_stored(table, &reader, *column)?;
    }
    Ok(row)
}

/// The wanted columns of a row, in the order of `wanted`, appended to `out`.
pub fn decode_row_to(
    table: &TableDef,
    bytes: &[u8],
    wanted: &[usize],
    out: &mut Vec<Value>,
) -> Result<()> {
    let reader = RowReader::new(bytes)?;
    for column in wanted {
        out.push(decode_stored(table, &reader, *column)?);
    }
    Ok(())
}

/// All columns of a row.
pub fn decode_all(table: &TableDef, bytes: &[u8]) -> Result<Vec<Value>> {
    let reader = RowReader::new(bytes)?;
    (0..table.columns.len()).map(|column| decode_stored(table, &reader, column)).collect()
}

fn decode_stored(table: &TableDef, reader: &RowReader<'_>, column: usize) -> Result<Value> {
    let definition = &table.columns[column];
    match reader.has_column(definition.ordinal) {
        true => decode_column(reader, definition.ordinal, &definition.ty),
        false => absent_value(table, reader, column),
    }
}

/// The value of a column in a row that was written before it was added.
pub fn absent_value(table: &TableDef, reader: &RowReader<'_>, column: usize) -> Result<Value> {
    let definition = &table.columns[column];
    if let Some(generated) = &definition.generated {
        let mut row = vec![Value::Null; table.columns.len()];
        for other in generated.rule.columns() {
            row[*other] = decode_stored(table, reader, *other)?;
        }
        return table.computed(column, &row);
    }
    lacking(definition, reader)?.ok_or_else(|| {
        let table = table.qualified_name();
        Error::storage(format!("a row of {table} lacks column {}", definition.name))
    })
}

/// What a row has of a column whose place it lacks: a value of what the column was, or the one for old rows.
fn lacking(column: &ColumnDef, reader: &RowReader<'_>) -> Result<Option<Value>> {
    let Some(former) = &column.former else { return Ok(column.absent.clone()) };
    let value = match reader.has_column(former.ordinal) {
        true => Some(decode_column(reader, former.ordinal, &former.ty)?),
        false => lacking(former, reader)?,
    };
    value.map(|value| catalog::converted(column, former, value)).transpose()
}

/// One value that [`encode_values`] wrote alone.
pub fn decode_value(bytes: &[u8], ty: &SqlType) -> Result<Value> {
    decode_column(&RowReader::new(bytes)?, 0, ty)
}

/// A column of a row as its value.
pub fn decode_column(reader: &RowReader<'_>, column: usize, ty: &SqlType) -> Result<Value> {
    let broken = |what: &str| Error::storage(format!("corrupt {what} in column {column} of a row"));
    Ok(match ty.kind {
        TypeKind::Null => Value::Null,
        TypeKind::Float | TypeKind::Double => {
            reader.f64(column)?.map_or(Value::Null, Value::Double)
        }
        TypeKind::Decimal => match reader.column(column)? {
            None => Value::Null,
            Some(bytes) => {
                Value::Decimal(decimal_of_bytes(bytes).ok_or_else(|| broken("decimal"))?)
            }
        },
        TypeKind::Date => match reader.u64(column)? {
            None => Value::Null,
            Some(packed) => Value::Date(Date::from_packed(packed)),
        },
        TypeKind::DateTime | TypeKind::Timestamp => match reader.u64(column)? {
            None => Value::Null,
            Some(packed) => Value::DateTime(DateTime::from_packed(packed)),
        },
        TypeKind::Time => match reader.i64(column)? {
            None => Value::Null,
            Some(packed) => Value::Time(Time::from_micros(packed)),
        },
        _ if ty.is_bytes() => match reader.column(column)? {
            None => Value::Null,
            Some(bytes) => Value::Bytes(bytes.to_vec()),
        },
        _ if ty.is_string() => match reader.column(column)? {
            None => Value::Null,
            Some(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| broken("text"))?;
                Value::Text(text.to_string())
            }
        },
        _ if ty.unsigned => reader.u64(column)?.map_or(Value::Null, Value::UInt),
        _ => reader.i64(column)?.map_or(Value::Null, Value::Int),
    })
}

/// Every index entry that a row may have (the row itself, index 0, aside), whatever the states of the indexes.
pub fn index_entries(table: &TableDef, row: &[Value]) -> Result<Vec<IndexEntry>> {
    let count = table.indexes.len() + table.unpublished.len();
    if count == 1 {
        return Ok(Vec::new());
    }
    let place = (table.id_of_row(row)?, slot_of_row(table, row)?);
    let primary = primary_columns(table, row)?;
    (1..count).map(|index| entry_of(table, index, row, place, &primary)).collect()
}

/// The index entries that a new row gets.
pub fn new_entries(table: &TableDef, row: &[Value]) -> Result<Vec<IndexEntry>> {
    let mut entries = index_entries(table, row)?;
    entries.retain(IndexEntry::is_added);
    Ok(entries)
}

/// One index entry of a row.
pub fn index_entry(table: &TableDef, index: usize, row: &[Value]) -> Result<IndexEntry> {
    let primary = primary_columns(table, row)?;
    let place = (table.id_of_row(row)?, slot_of_row(table, row)?);
    entry_of(table, index, row, place, &primary)
}

fn primary_columns(table: &TableDef, row: &[Value]) -> Result<KeyBuilder> {
    let mut primary = KeyBuilder::columns();
    for part in &table.primary().columns {
        put_key(&mut primary, value_at(row, part.column)?, &table.columns[part.column].ty);
    }
    Ok(primary)
}

fn entry_of(
    table: &TableDef,
    position: usize,
    row: &[Value],
    (id, row_slot): (TableId, Slot),
    primary: &KeyBuilder,
) -> Result<IndexEntry> {
    let index = table.index_at(position);
    let mut builder = KeyBuilder::new(id, index.id);
    let mut has_null = false;
    for part in &index.columns {
        let value = value_at(row, part.column)?;
        has_null |= value.is_null();
        put_part(&mut builder, value, &table.columns[part.column].ty, part.prefix);
    }
    let slot = if index.global { Slot::of(&builder.as_slice()[HEAD_BYTES..]) } else { row_slot };
    let unique = index.unique && !has_null;
    let offset = if unique {
        0
    } else {
        let offset = u16::try_from(builder.as_slice().len())
            .map_err(|_| Error::too_large("an index entry is longer than 65,535 bytes"))?;
        builder.put_columns(primary.as_slice());
        offset
    };
    let mut place = Vec::with_capacity(PLACE_BYTES + primary.as_slice().len());
    place.extend_from_slice(&offset.to_be_bytes());
    place.extend_from_slice(&row_slot.0.to_be_bytes());
    if !index.included.is_empty() {
        let carried = carried_values(table, index, row)?;
        let length = u32::try_from(carried.len())
            .map_err(|_| Error::too_large("an index entry carries more than 4 GiB"))?;
        place.extend_from_slice(&length.to_be_bytes());
        place.extend_from_slice(&carried);
    }
    if unique {
        place.extend_from_slice(primary.as_slice());
    }
    let (key, value, state) = (builder.finish(slot), place.into(), index.state);
    Ok(IndexEntry { index: position, key, value, unique, state })
}

fn carried_values(table: &TableDef, index: &IndexDef, row: &[Value]) -> Result<Bytes> {
    let carried = table.carried_columns(index).into_iter();
    let values = carried.map(|column| value_at(row, column).cloned());
    Ok(encode_values(&values.collect::<Result<Vec<Value>>>()?))
}

/// The value of an index entry in its parts.
struct Place<'a> {
    /// Where the primary key columns stand in the entry's key; 0: they are in `primary`.
    offset: usize,
    /// The slot of the row.
    slot: Slot,
    /// A row of the carried columns; empty when the index carries none.
    carried: &'a [u8],
    /// Primary key columns, when `offset` is 0.
    primary: &'a [u8],
}

impl<'a> Place<'a> {
    fn of(table: &TableDef, index: &IndexDef, value: &'a [u8]) -> Result<Place<'a>> {
        let broken = || corrupt_entry(table, index);
        let (&[o0, o1, s0, s1], mut primary) =
            value.split_first_chunk::<PLACE_BYTES>().ok_or_else(broken)?;
        let mut carried: &[u8] = &[];
        if !index.included.is_empty() {
            let (length, rest) =
                primary.split_first_chunk::<CARRIED_LENGTH_BYTES>().ok_or_else(broken)?;
            let length = u32::from_be_bytes(*length) as usize;
            (carried, primary) = rest.split_at_checked(length).ok_or_else(broken)?;
        }
        let offset = usize::from(u16::from_be_bytes([o0, o1]));
        Ok(Place { offset, slot: Slot(u16::from_be_bytes([s0, s1])), carried, primary })
    }
}

fn corrupt_entry(table: &TableDef, index: &IndexDef) -> Error {
    let table = table.qualified_name();
    Error::storage(format!("corrupt entry of index {} of {table}", index.name))
}

/// For each column of a table its place among those that entries of an index carry.
pub fn carried_places(table: &TableDef, index: &IndexDef) -> Vec<Option<usize>> {
    let carried = table.carried_columns(index);
    let place_of = |column: usize| carried.iter().position(|other| *other == column);
    (0..table.columns.len()).map(place_of).collect()
}

/// What an entry carries of its row, in the form of a row of the table: all other columns are NULL. `places` are those of
/// [`carried_places`].
pub fn carried_row(
    table: &TableDef,
    index: &IndexDef,
    places: &[Option<usize>],
    value: &[u8],
) -> Result<Bytes> {
    let carried = RowReader::new(Place::of(table, index, value)?.carried)?;
    let mut in_row = vec![None; table.next_ordinal];
    for (place, column) in places.iter().zip(&table.columns) {
        in_row[column.ordinal] = *place;
    }
    let mut row = RowWriter::new(in_row.len());
    for place in in_row {
        let bytes = match place {
            Some(place) => carried.column(place)?,
            None => None,
        };
        match bytes {
            Some(bytes) => row.push_bytes(bytes),
            None => row.push_null(),
        }
    }
    Ok(row.finish())
}

/// The first `values.len()` columns of an index as the beginning of its keys, without a slot. `id` is the table's, or that of
/// one of its partitions.
pub fn key_prefix(
    table: &TableDef,
    id: TableId,
    index: &IndexDef,
    values: &[Value],
) -> Result<Vec<u8>> {
    if values.len() > index.columns.len() {
        return Err(Error::internal(format!("{} values for index {}", values.len(), index.name)));
    }
    let mut builder = KeyBuilder::new(id, index.id);
    for (part, value) in index.columns.iter().zip(values) {
        put_part(&mut builder, value, &table.columns[part.column].ty, part.prefix);
    }
    Ok(builder.as_slice().to_vec())
}

/// The beginnings, none twice, of all keys of an index, under this id, whose rows have values in its leading columns that are
/// equal to these. It is one unless the index holds only the first characters of a column: texts may be equal without beginning
/// alike (`ß` and `ss`). Keys of other rows may begin so, too.
pub fn key_prefixes(
    table: &TableDef,
    id: TableId,
    index: &IndexDef,
    values: &[Value],
) -> Result<Vec<Vec<u8>>> {
    if !values.iter().zip(&index.columns).any(|(_, part)| part.prefix.is_some()) {
        return Ok(vec![key_prefix(table, id, index, values)?]);
    }
    let mut heads = vec![key_prefix(table, id, index, &[])?];
    for (part, value) in index.columns.iter().zip(values) {
        let parts = equal_parts(value, &table.columns[part.column].ty, part.prefix);
        heads = heads
            .iter()
            .flat_map(|head| {
                parts.iter().map(move |part| [head.as_slice(), part.as_slice()].concat())
            })
            .collect();
    }
    Ok(heads)
}

/// What an index can hold of a column whose value is equal to this one, each once; `prefix` is the index's for the column.
pub fn equal_parts(value: &Value, ty: &SqlType, prefix: Option<u32>) -> Vec<Vec<u8>> {
    match (value, prefix) {
        (Value::Text(text), Some(length)) => {
            let cuts = ty.collation.cut_weights(text, length);
            cuts.iter().map(|weights| key_part(|part| part.put_bytes(weights))).collect()
        }
        _ => vec![key_part(|part| put_part(part, value, ty, prefix))],
    }
}

/// What is put, alone.
fn key_part(put: impl FnOnce(&mut KeyBuilder)) -> Vec<u8> {
    let mut builder = KeyBuilder::columns();
    put(&mut builder);
    builder.as_slice().to_vec()
}

/// Whether what an index holds of a column is ordered as the column's values are, or is equal.
pub fn keeps_order(ty: &SqlType, prefix: Option<u32>) -> bool {
    prefix.is_none() || !ty.is_text() || ty.collation.cuts_evenly()
}

/// How all keys of an index begin, under this id, whose leading columns have these values and whose next column begins, to LIKE,
/// with the characters or bytes of `start`.
pub fn key_beginning(
    table: &TableDef,
    id: TableId,
    index: &IndexDef,
    values: &[Value],
    start: &Value,
) -> Result<Vec<u8>> {
    let Some(part) = index.columns.get(values.len()) else {
        return Err(Error::internal(format!("{} values for index {}", values.len(), index.name)));
    };
    let mut builder = KeyBuilder::new(id, index.id);
    for (part, value) in index.columns.iter().zip(values) {
        put_part(&mut builder, value, &table.columns[part.column].ty, part.prefix);
    }
    match start {
        Value::Text(text) => {
            let text = part.prefix.map_or(text.as_str(), |length| first_chars(text, length));
            let collation = table.columns[part.column].ty.collation;
            builder.put_beginning(&collation.beginning(text));
        }
        Value::Bytes(bytes) => {
            let length = part.prefix.map_or(bytes.len(), |length| length as usize);
            builder.put_beginning(&bytes[..bytes.len().min(length)]);
        }
        _ => return Err(Error::internal("a beginning that is no string")),
    }
    Ok(builder.as_slice().to_vec())
}

/// The whole key of the entry that a unique index has for these values (one per column of it); `None`
/// when it cannot be known: not unique, a NULL, a prefix, or the values do not decide the slot.
pub fn unique_entry_key(
    table: &TableDef,
    index: &IndexDef,
    values: &[Value],
) -> Result<Option<Bytes>> {
    let known = index.unique
        && values.len() == index.columns.len()
        && !values.iter().any(Value::is_null)
        && index.columns.iter().all(|part| part.prefix.is_none());
    if !known {
        return Ok(None);
    }
    // A unique index of a partitioned table holds all columns that choose the partition.
    let id = table.id_of_values(|column| {
        let at = index.columns.iter().position(|part| part.column == column);
        at.map(|at| &values[at])
    })?;
    let mut builder = KeyBuilder::new(id, index.id);
    for (part, value) in index.columns.iter().zip(values) {
        put_key(&mut builder, value, &table.columns[part.column].ty);
    }
    let slot = if index.global {
        Slot::of(&builder.as_slice()[HEAD_BYTES..])
    } else {
        if !table.sharding_columns().iter().all(|column| index.covers(*column)) {
            return Ok(None);
        }
        slot_to_look_at(table, |column| {
            let at = index.columns.iter().position(|part| part.column == column);
            at.map(|at| &values[at])
        })?
    };
    Ok(Some(builder.finish(slot)))
}

/// The key of the row that an index entry belongs to.
pub fn row_key_from_index_entry(
    table: &TableDef,
    index: &IndexDef,
    entry: &[u8],
    value: &[u8],
) -> Result<Bytes> {
    let broken = || corrupt_entry(table, index);
    let place = Place::of(table, index, value)?;
    let primary = match place.offset {
        0 => place.primary,
        offset => {
            let end = entry.len().checked_sub(SLOT_BYTES).ok_or_else(broken)?;
            entry.get(offset..end).ok_or_else(broken)?
        }
    };
    // An entry and its row stand under one id.
    let mut builder = KeyBuilder::new(key::table_of_key(entry)?, IndexId::PRIMARY);
    builder.put_columns(primary);
    Ok(builder.finish(place.slot))
}

fn put_part(builder: &mut KeyBuilder, value: &Value, ty: &SqlType, prefix: Option<u32>) {
    let Some(length) = prefix else { return put_key(builder, value, ty) };
    match value {
        Value::Text(text) => {
            put_key(builder, &Value::Text(first_chars(text, length).to_string()), ty);
        }
        Value::Bytes(bytes) => {
            let end = bytes.len().min(length as usize);
            put_key(builder, &Value::Bytes(bytes[..end].to_vec()), ty);
        }
        _ => put_key(builder, value, ty),
    }
}

fn value_at(row: &[Value], column: usize) -> Result<&Value> {
    row.get(column).ok_or_else(|| Error::internal(format!("a row without column {column}")))
}

fn missing(table: &TableDef, column: usize) -> Error {
    Error::internal(format!("no value for column {column} of {}", table.qualified_name()))
}

#[cfg(test)]
mod tests;
