//! Column definitions: what a client learns of a result's columns.
//!
//! Numbers follow MySQL: all TEXT and BLOB types are announced as BLOB and told apart by length;
//! lengths of text are bytes in the result's character set.
//!
//! Not here: values (`row`).

use super::{put_length, put_length_bytes};
use mysql_common::constants::ColumnType;
use sql::session::{ColumnFlags, ColumnMeta};
use sql::types::{SqlType, TypeKind};

/// Collation id of text in results: utf8mb4_0900_ai_ci. Results are always UTF-8.
const TEXT_COLLATION: u16 = 255;
/// Collation id of everything that is no text.
const BINARY_COLLATION: u16 = 63;
/// Bytes of a character of utf8mb4, at most.
const CHARACTER_BYTES_MAX: u64 = 4;
/// Bytes of the fixed part of a definition.
const FIXED_BYTES: u64 = 12;

/// The protocol's number of a type.
pub fn column_type(ty: &SqlType) -> ColumnType {
    match ty.kind {
        TypeKind::Null => ColumnType::MYSQL_TYPE_NULL,
        TypeKind::TinyInt => ColumnType::MYSQL_TYPE_TINY,
        TypeKind::SmallInt => ColumnType::MYSQL_TYPE_SHORT,
        TypeKind::MediumInt => ColumnType::MYSQL_TYPE_INT24,
        TypeKind::Int => ColumnType::MYSQL_TYPE_LONG,
        TypeKind::BigInt => ColumnType::MYSQL_TYPE_LONGLONG,
        TypeKind::Decimal => ColumnType::MYSQL_TYPE_NEWDECIMAL,
        TypeKind::Float => ColumnType::MYSQL_TYPE_FLOAT,
        TypeKind::Double => ColumnType::MYSQL_TYPE_DOUBLE,
        // Flags tell them apart.
        TypeKind::Char | TypeKind::Enum | TypeKind::Set => ColumnType::MYSQL_TYPE_STRING,
        TypeKind::Varchar => ColumnType::MYSQL_TYPE_VAR_STRING,
        TypeKind::TinyText | TypeKind::Text | TypeKind::MediumText | TypeKind::LongText => {
            ColumnType::MYSQL_TYPE_BLOB
        }
        TypeKind::Date => ColumnType::MYSQL_TYPE_DATE,
        TypeKind::Time => ColumnType::MYSQL_TYPE_TIME,
        TypeKind::DateTime => ColumnType::MYSQL_TYPE_DATETIME,
        TypeKind::Timestamp => ColumnType::MYSQL_TYPE_TIMESTAMP,
        TypeKind::Bit => ColumnType::MYSQL_TYPE_BIT,
        TypeKind::Json => ColumnType::MYSQL_TYPE_JSON,
        TypeKind::Geometry => ColumnType::MYSQL_TYPE_GEOMETRY,
        TypeKind::Year => ColumnType::MYSQL_TYPE_YEAR,
    }
}

/// Appends a column definition.
pub fn put_column(out: &mut Vec<u8>, column: &ColumnMeta) {
    put_length_bytes(out, b"def");
    for name in [&column.database, &column.table, &column.org_table, &column.name, &column.org_name]
    {
        put_length_bytes(out, name.as_bytes());
    }
    put_length(out, FIXED_BYTES);
    let is_text = column.ty.is_text() && column.ty.kind != TypeKind::Json;
    let collation = if is_text { TEXT_COLLATION } else { BINARY_COLLATION };
    out.extend_from_slice(&collation.to_le_bytes());
    out.extend_from_slice(&length_bytes(&column.ty).to_le_bytes());
    out.push(column_type(&column.ty) as u8);
    out.extend_from_slice(&(column.flags.0 & !ColumnFlags::NUM.0).to_le_bytes());
    out.push(decimals(column));
    out.extend_from_slice(&[0, 0]);
}

/// Appends a column definition as COM_FIELD_LIST wants it: with the default value.
pub fn put_column_with_default(out: &mut Vec<u8>, column: &ColumnMeta) {
    put_column(out, column);
    match &column.default {
        Some(default) => put_length_bytes(out, default.as_bytes()),
        None => out.push(0xfb),
    }
}

/// The longest value in bytes, as MySQL announces it.
fn length_bytes(ty: &SqlType) -> u32 {
    let length = u64::from(ty.display_length());
    let bytes = if ty.is_text() { length * CHARACTER_BYTES_MAX } else { length };
    bytes.min(u32::MAX.into()) as u32
}

/// Digits after the point. Text of a table's column says 0, computed text 31 ("not fixed").
fn decimals(column: &ColumnMeta) -> u8 {
    if column.ty.is_string() && !column.org_name.is_empty() { 0 } else { column.ty.decimals }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::io::ParseBuf;
    use mysql_common::packets::Column;
    use mysql_common::proto::MyDeserialize;
    use sql::collation::CollationId;

    fn read_back(ty: SqlType) -> Column {
        let mut out = Vec::new();
        put_column(&mut out, &ColumnMeta::computed("c", ty));
        Column::deserialize((), &mut ParseBuf(&out)).unwrap()
    }

    #[test]
    fn column_bytes() {
        let column = ColumnMeta {
            database: "d".into(),
            table: "a".into(),
            org_table: "t".into(),
            name: "n".into(),
            org_name: "o".into(),
            ty: SqlType::int().unsigned().not_null(),
            flags: ColumnFlags::NOT_NULL.with(ColumnFlags::PRI_KEY).with(ColumnFlags::UNSIGNED),
            default: Some("7".into()),
        };
        let mut out = Vec::new();
        put_column_with_default(&mut out, &column);
        assert_eq!(
            out,
            b"\x03def\x01d\x01a\x01t\x01n\x01o\x0c\x3f\x00\x0a\0\0\0\x03\x23\x00\x00\0\0\x017"
        );
    }

    #[test]
    fn numbers_of_members_bits_and_geometries() {
        use sql::types::{Members, geometry};
        let members = Members::new(vec!["ab".into(), "c".into()]);
        let collation = CollationId::DEFAULT;
        for ty in [SqlType::enumeration(members, collation), SqlType::set(members, collation)] {
            assert_eq!(column_type(&ty), ColumnType::MYSQL_TYPE_STRING);
            let flags = ColumnFlags::of_type(&ty);
            assert!(flags.contains(ColumnFlags::ENUM) != flags.contains(ColumnFlags::SET));
            assert!(!flags.contains(ColumnFlags::UNSIGNED));
        }
        let shown = read_back(SqlType::enumeration(members, collation).shown());
        assert_eq!((shown.column_length(), shown.character_set()), (8, 255));
        assert_eq!(column_type(&SqlType::bit(3)), ColumnType::MYSQL_TYPE_BIT);
        let place = read_back(SqlType::geometry(geometry::Kind::Point));
        assert_eq!(place.column_type(), ColumnType::MYSQL_TYPE_GEOMETRY);
        assert_eq!(place.character_set(), 63);
    }

    #[test]
    fn text_is_a_blob_of_characters_times_four() {
        let text = read_back(SqlType::text(CollationId::DEFAULT));
        assert_eq!(text.column_type(), ColumnType::MYSQL_TYPE_BLOB);
        assert_eq!((text.column_length(), text.character_set()), (262_140, 255));
        let blob = read_back(SqlType::text(CollationId::BINARY));
        assert_eq!((blob.column_length(), blob.character_set()), (65_535, 63));
        let long = read_back(SqlType::longtext(CollationId::DEFAULT));
        assert_eq!(long.column_length(), u32::MAX);
    }

    #[test]
    fn decimal_counts_sign_and_point() {
        let decimal = read_back(SqlType::decimal(10, 2));
        assert_eq!(decimal.column_type(), ColumnType::MYSQL_TYPE_NEWDECIMAL);
        assert_eq!((decimal.column_length(), decimal.decimals()), (12, 2));
    }

    #[test]
    fn computed_text_has_no_fixed_decimals() {
        assert_eq!(read_back(SqlType::varchar(3, CollationId::DEFAULT)).decimals(), 31);
        assert_eq!(read_back(SqlType::bigint()).decimals(), 0);
    }
}
