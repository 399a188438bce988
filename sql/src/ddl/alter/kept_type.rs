//! Whether the values that a column has are, byte for byte, values of its new type as well: in rows, and in the keys of indexes.
//!
//! | type | may become |
//! |---|---|
//! | integers | wider ones of the same sign |
//! | VARCHAR, VARBINARY, CHAR | longer ones of the same collation |
//! | TEXT and BLOB | longer ones of the same collation |
//! | DECIMAL(p, s) | of more digits before the point; in an index, not |
//! | TIME, DATETIME, TIMESTAMP | with more digits of a second's fraction |
//! | ENUM, SET | with members added at the end |
//! | any | NULL for NOT NULL; NOT NULL for NULL, if no row has a NULL (`row_check`) |
//!
//! Any other change gives the column another place, and rows are converted when they are read (`catalog::columns`), unless the column
//! is in a unique key, says where rows stand, or is computed or read by one that is.
//!
//! Not here: who asks (`column_list`).

use super::modifiers::Cost;
use crate::catalog::{ColumnDef, IndexDef, TableDef};
use crate::types::{SqlType, TypeKind};
use crate::{Error, Result};
use base::limits::COLUMN_CONVERSIONS_MAX;

/// Whether the values of a column are stored in another way under its new definition.
///
/// # Errors
/// 1235 where they cannot be converted when they are read.
pub(super) fn converts(table: &TableDef, position: usize, new: &ColumnDef) -> Result<bool> {
    let old = &table.columns[position];
    let is_key = table.all_indexes().any(|index| {
        let carried = index.included.contains(&position);
        carried || index.columns.iter().any(|part| part.column == position)
    });
    let by = table.sharding.distribution().map(|by| by.column);
    let is_key = is_key
        || by == Some(position)
        || table.sharding_columns().contains(&position)
        || table.partition_columns().contains(&position);
    // What an earlier conversion has cut off does not come back.
    let is_same = (SqlType { nullable: new.ty.nullable, ..old.ty }) == new.ty;
    if is_same || old.former.is_none() && keeps_values(&old.ty, &new.ty, is_key) {
        return Ok(false);
    }
    let is_unique = |index: &IndexDef| {
        let holds = index.columns.iter().any(|part| part.column == position);
        index.unique && (holds || index.included.contains(&position))
    };
    let places = by == Some(position)
        || table.sharding_columns().contains(&position)
        || table.partition_columns().contains(&position);
    let is_read = |column: &ColumnDef| {
        let generated = column.generated.as_ref();
        generated.is_some_and(|generated| generated.rule.columns().contains(&position))
    };
    let is_refused = places
        || table.all_indexes().any(is_unique)
        || old.generated.is_some()
        || table.columns.iter().any(is_read)
        || old.conversions() >= COLUMN_CONVERSIONS_MAX
        || !is_convertible(&old.ty, &new.ty);
    match is_refused {
        true => Err(rebuild(&old.name, &new.type_text)),
        false => Ok(true),
    }
}

/// What MySQL does to change one type into another that keeps values as they are stored.
pub(super) fn cost(old: &SqlType, new: &SqlType) -> Cost {
    let same = SqlType { nullable: new.nullable, length: new.length, members: new.members, ..*old };
    let bytes = |ty: &SqlType| u64::from(ty.length) * u64::from(ty.collation.bytes_per_char());
    // A length in one byte, or in two.
    let is_short = |ty: &SqlType| bytes(ty) < 256;
    match same == *new {
        true if old.kind == TypeKind::Varchar && old.length != new.length => {
            if is_short(old) == is_short(new) { Cost::InPlace } else { Cost::CopyForType }
        }
        true if old.is_integer() || old.has_members() || old.length == new.length => Cost::Instant,
        _ => Cost::CopyForType,
    }
}

/// Whether a value of one type says alone what it is in the other: a moment in time and bits need more.
fn is_convertible(old: &SqlType, new: &SqlType) -> bool {
    let needs_more =
        |kind: TypeKind| matches!(kind, TypeKind::Timestamp | TypeKind::Bit | TypeKind::Geometry);
    old.kind == new.kind && old.kind != TypeKind::Geometry
        || !needs_more(old.kind) && !needs_more(new.kind)
}

fn rebuild(column: &str, what: &str) -> Error {
    Error::not_supported(format!(
        "changing the column {column} to {what}, which its rows would have to be written anew for: add a column, UPDATE it from the \
         old one, then drop that and rename the new one"
    ))
}

/// How wide an integer is.
fn width(kind: TypeKind) -> Option<u8> {
    Some(match kind {
        TypeKind::TinyInt => 1,
        TypeKind::SmallInt => 2,
        TypeKind::MediumInt => 3,
        TypeKind::Int => 4,
        TypeKind::BigInt => 8,
        _ => return None,
    })
}

/// How long a text without a length of its own may be.
fn text_rank(kind: TypeKind) -> Option<u8> {
    Some(match kind {
        TypeKind::TinyText => 1,
        TypeKind::Text => 2,
        TypeKind::MediumText => 3,
        TypeKind::LongText => 4,
        _ => return None,
    })
}

/// Whether values of one type are stored as values of another one. NULL is not looked at.
fn keeps_values(old: &SqlType, new: &SqlType, is_key: bool) -> bool {
    if (SqlType { nullable: new.nullable, ..*old }) == *new {
        return true;
    }
    if let (Some(from), Some(to)) = (width(old.kind), width(new.kind)) {
        return from <= to && old.unsigned == new.unsigned;
    }
    if let (Some(from), Some(to)) = (text_rank(old.kind), text_rank(new.kind)) {
        return from <= to && old.collation == new.collation;
    }
    if old.kind != new.kind || old.unsigned != new.unsigned || old.collation != new.collation {
        return false;
    }
    match old.kind {
        TypeKind::Varchar => old.length <= new.length,
        // Byte strings are filled up to their length.
        TypeKind::Char => old.is_text() && old.length <= new.length,
        TypeKind::Decimal => !is_key && old.decimals == new.decimals && old.length <= new.length,
        TypeKind::Time | TypeKind::DateTime | TypeKind::Timestamp => old.decimals <= new.decimals,
        TypeKind::Enum | TypeKind::Set => match (old.members, new.members) {
            (Some(old), Some(new)) => new.names().starts_with(old.names()),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collation::CollationId;
    use crate::types::Members;

    #[test]
    fn only_values_that_are_stored_alike_are_kept() {
        let text = |length| SqlType::varchar(length, CollationId::DEFAULT);
        let bytes = |length| SqlType::varchar(length, CollationId::BINARY);
        let members = |names: &[&str]| {
            let members = Members::new(names.iter().map(ToString::to_string).collect());
            SqlType::enumeration(members, CollationId::DEFAULT)
        };
        let (int, bigint) = (SqlType::int(), SqlType::bigint());
        for (old, new, is_kept) in [
            (int, bigint, true),
            (int.not_null(), bigint, true),
            (bigint, int, false),
            (int, bigint.unsigned(), false),
            (text(10), text(20), true),
            (text(20), text(10), false),
            (text(10), bytes(20), false),
            (text(10), int, false),
            (members(&["a"]), members(&["a", "b"]), true),
            (members(&["a", "b"]), members(&["b", "a", "c"]), false),
        ] {
            assert_eq!(keeps_values(&old, &new, false), is_kept, "{old:?} to {new:?}");
        }
    }
}
