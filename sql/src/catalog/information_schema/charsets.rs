//! CHARACTER_SETS, COLLATIONS and COLLATION_CHARACTER_SET_APPLICABILITY.

use super::{VirtualTable, name_type, number, table, text};
use crate::collation::{CHARSETS, COLLATIONS, CollationId};
use crate::types::SqlType;
use crate::value::{Row, Value};

pub(super) fn character_sets() -> VirtualTable {
    let rows = CHARSETS
        .iter()
        .map(|charset| {
            vec![
                text(charset.name),
                text(charset.default.name()),
                text(charset.description),
                Value::UInt(u64::from(charset.bytes_per_char)),
            ]
        })
        .collect();
    table(
        &[
            ("CHARACTER_SET_NAME", name_type()),
            ("DEFAULT_COLLATE_NAME", name_type()),
            ("DESCRIPTION", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("MAXLEN", number()),
        ],
        rows,
    )
}

/// The rows of COLLATIONS, which SHOW COLLATION shows as they are.
pub(crate) fn collation_rows() -> Vec<Row> {
    COLLATIONS
        .iter()
        .map(|collation| {
            vec![
                text(collation.name),
                text(collation.charset),
                Value::UInt(u64::from(collation.id.0)),
                text(if collation.is_default { "Yes" } else { "" }),
                text("Yes"),
                Value::UInt(u64::from(collation.sort_length)),
                text(if collation.pad_space { "PAD SPACE" } else { "NO PAD" }),
            ]
        })
        .collect()
}

pub(super) fn collations() -> VirtualTable {
    let rows = collation_rows();
    table(
        &[
            ("COLLATION_NAME", name_type()),
            ("CHARACTER_SET_NAME", name_type()),
            ("ID", number()),
            ("IS_DEFAULT", name_type()),
            ("IS_COMPILED", name_type()),
            ("SORTLEN", number()),
            ("PAD_ATTRIBUTE", name_type()),
        ],
        rows,
    )
}

pub(super) fn applicability() -> VirtualTable {
    let rows = COLLATIONS.iter().map(|c| vec![text(c.name), text(c.charset)]).collect();
    table(&[("COLLATION_NAME", name_type()), ("CHARACTER_SET_NAME", name_type())], rows)
}
