//! A row lock's key as people read it: table, index and values.
//!
//! Text stands in keys as collation weights, which text cannot be told from; it is shown as their hexadecimal digits (those
//! of `WEIGHT_STRING`, of the collations that keep no text). Everything else is shown as its value.
//!
//! Not here: who holds the lock (`activity`).

use crate::Result;
use crate::catalog::{Catalog, IndexDef, TableDef};
use crate::collation::CollationId;
use crate::types::{SqlType, TypeKind};
use crate::value::{Date, DateTime, Decimal, Time, Value};
use arrow::datatypes::i256;
use base::IndexId;
use bytes::Bytes;
use engine::key::{self, KeyReader, SLOT_BYTES, decimal_width};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use txn::command::{LockMode, LockOwner};

/// Longest text of a key's values, characters: MySQL's `LOCK_DATA`.
const DATA_CHARS_MAX: usize = 8192;
/// What MySQL calls the rows of a table without a primary key.
const HIDDEN_PRIMARY: &str = "GEN_CLUST_INDEX";

/// A lock's table, index and values. Nothing is known of a table that this node's catalog does not have.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LockName {
    /// The table.
    pub(crate) table: Option<Arc<TableDef>>,
    /// The partition, of a table that has any.
    pub(crate) partition: Option<String>,
    /// The index, as MySQL names it.
    pub(crate) index: Option<String>,
    /// The key's values, with commas between.
    pub(crate) data: Option<String>,
}

/// The name of a lock's key.
pub(crate) fn lock_name(catalog: &Catalog, engine_key: &[u8]) -> LockName {
    let Ok(table_id) = key::table_of_key(engine_key) else { return LockName::default() };
    let Some(table) = catalog.table_by_id(table_id) else { return LockName::default() };
    let id = key::index_of_key(engine_key).ok();
    let index = table.all_indexes().find(|index| Some(index.id) == id);
    let name = index.map(|index| match index.name.as_str() {
        "" => HIDDEN_PRIMARY.to_string(),
        name => name.to_string(),
    });
    // Bytes that do not fit the table as it is now have no values to show.
    let values = index.and_then(|index| key_values(table, index, engine_key).ok());
    let data = values.map(|values| values.join(", ").chars().take(DATA_CHARS_MAX).collect());
    let partition = table.partition_of_id(table_id).map(str::to_string);
    LockName { table: Some(table.clone()), partition, index: name, data }
}

/// The number of a lock in a column ENGINE_LOCK_ID: the same for the same owner, key and mode.
pub(crate) fn lock_id(owner: LockOwner, engine_key: &Bytes, mode: LockMode) -> String {
    let mut hasher = DefaultHasher::new();
    engine_key.hash(&mut hasher);
    let table = key::table_of_key(engine_key).map_or(0, |table| table.0);
    let index = key::index_of_key(engine_key).map_or(0, |index| index.0);
    let mode = match mode {
        LockMode::Shared => 'S',
        LockMode::Exclusive => 'X',
    };
    format!("{owner}:{table}:{index}:{:016x}:{mode}", hasher.finish())
}

/// A mode as MySQL writes it: of the row, and no gap before it.
pub(crate) fn mode_name(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Shared => "S,REC_NOT_GAP",
        LockMode::Exclusive => "X,REC_NOT_GAP",
    }
}

/// The values of a key as text, those of the primary key too where an index entry ends with them.
pub(crate) fn key_values(
    table: &TableDef,
    index: &IndexDef,
    engine_key: &[u8],
) -> Result<Vec<String>> {
    let mut reader = KeyReader::new(engine_key)?;
    let mut values = Vec::new();
    let mut parts = index.columns.iter().map(|part| part.column).collect::<Vec<_>>();
    if index.id != IndexId::PRIMARY && !index.implicit {
        parts.extend(table.primary().columns.iter().map(|part| part.column));
    }
    for column in parts {
        // The entry of a unique index ends before the primary key.
        if reader.remaining().len() <= SLOT_BYTES {
            break;
        }
        values.push(take_value(&mut reader, &table.columns[column].ty)?);
    }
    Ok(values)
}

/// Takes one column off a key, as text: the counterpart of `expr::put_key`.
fn take_value(reader: &mut KeyReader<'_>, ty: &SqlType) -> Result<String> {
    let value = match ty.kind {
        TypeKind::Null => reader.take_u64()?.map(Value::UInt),
        TypeKind::Float | TypeKind::Double => reader.take_f64()?.map(Value::Double),
        TypeKind::Decimal => {
            let found = reader.take_decimal(decimal_width(ty.length))?;
            found.map(|(negative, magnitude)| decimal(negative, &magnitude, ty.decimals))
        }
        TypeKind::Date => reader.take_u64()?.map(|day| Value::Date(Date::from_packed(day))),
        TypeKind::DateTime | TypeKind::Timestamp => {
            reader.take_u64()?.map(|moment| Value::DateTime(DateTime::from_packed(moment)))
        }
        TypeKind::Time => reader.take_i64()?.map(|time| Value::Time(Time::from_micros(time))),
        _ if ty.is_string() => {
            return Ok(reader
                .take_bytes()?
                .map_or_else(|| "NULL".to_string(), |bytes| text_of(&bytes, ty)));
        }
        // As a number: its bytes are no text.
        TypeKind::Bit => {
            let bits = reader.take_u64()?;
            return Ok(bits.map_or_else(|| "NULL".to_string(), |bits| bits.to_string()));
        }
        _ if ty.unsigned => reader.take_u64()?.map(Value::UInt),
        _ => reader.take_i64()?.map(Value::Int),
    };
    let quoted = ty.is_temporal() || ty.has_members();
    Ok(match value.and_then(|value| value.to_text(ty)) {
        None => "NULL".to_string(),
        Some(text) if quoted => format!("'{text}'"),
        Some(text) => text,
    })
}

fn decimal(negative: bool, magnitude_be: &[u8], scale: u8) -> Value {
    let mut wide = [0; 32];
    let digits = &magnitude_be[magnitude_be.len().saturating_sub(wide.len())..];
    let start = wide.len() - digits.len();
    wide[start..].copy_from_slice(digits);
    let unscaled = i256::from_be_bytes(wide);
    let unscaled = if negative { unscaled.wrapping_neg() } else { unscaled };
    Value::Decimal(Decimal::new(unscaled, scale))
}

/// A string column of a key: text where the collation keeps it, else hexadecimal digits.
fn text_of(weights: &[u8], ty: &SqlType) -> String {
    let text = match ty.collation {
        CollationId::UTF8MB4_0900_BIN => std::str::from_utf8(weights).ok(),
        _ => None,
    };
    match text {
        Some(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        None => {
            let digits: Vec<String> = weights.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("0x{}", digits.concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::put_key;
    use engine::key::KeyBuilder;

    fn shown(value: &Value, ty: &SqlType) -> String {
        let mut key = KeyBuilder::columns();
        put_key(&mut key, value, ty);
        take_value(&mut KeyReader::columns(key.as_slice()), ty).unwrap()
    }

    #[test]
    fn values_are_shown_as_they_went_into_the_key() {
        let decimal = |text: &str| Value::Decimal(Decimal::from_text(text).unwrap());
        let text = |text: &str| Value::Text(text.to_string());
        let varchar = |collation| SqlType::varchar(10, collation);
        assert_eq!(shown(&Value::Int(-5), &SqlType::int()), "-5");
        assert_eq!(
            shown(&Value::UInt(u64::MAX), &SqlType::bigint().unsigned()),
            "18446744073709551615"
        );
        assert_eq!(shown(&Value::Null, &SqlType::int()), "NULL");
        assert_eq!(shown(&decimal("-12.50"), &SqlType::decimal(10, 2)), "-12.50");
        assert_eq!(shown(&decimal("0.07"), &SqlType::decimal(10, 2)), "0.07");
        assert_eq!(shown(&Value::Date(Date::new(2026, 1, 2)), &SqlType::date()), "'2026-01-02'");
        assert_eq!(shown(&text("o'b"), &varchar(CollationId::UTF8MB4_0900_BIN)), "'o\\'b'");
        assert_eq!(shown(&text("a"), &varchar(CollationId::UTF8MB4_0900_AI_CI)), "0x1C47");
        assert_eq!(shown(&Value::Bytes(vec![0, 255]), &varchar(CollationId::BINARY)), "0x00FF");
    }

    #[test]
    fn a_lock_has_one_id_per_owner_key_and_mode() {
        let key = Bytes::from_static(b"\0\0\x03\xe8\0\0\0\0\x01k\0\0");
        let id = lock_id(LockOwner(5), &key, LockMode::Shared);
        assert_eq!(id, lock_id(LockOwner(5), &key, LockMode::Shared));
        assert!(id.starts_with("5:1000:0:") && id.ends_with(":S"), "{id}");
        assert_ne!(id, lock_id(LockOwner(5), &key, LockMode::Exclusive));
        assert_ne!(id, lock_id(LockOwner(6), &key, LockMode::Shared));
    }
}
