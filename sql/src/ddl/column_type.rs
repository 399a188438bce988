//! Declared column types: what the grammar read becomes an `SqlType` and the text that SHOW prints.
//!
//! Not here: values, defaults (`create_table`).

use crate::ast::{DataType, DataTypeKind};
use crate::collation::{self, CollationId};
use crate::show::create_table::string;
use crate::types::geometry::Kind;
use crate::types::members::{ENUM_MEMBERS_MAX, MEMBER_CHARS_MAX, SET_MEMBERS_MAX};
use crate::types::{Members, SqlType};
use crate::{Error, Result};
use std::collections::BTreeSet;

/// A column's type and what SHOW CREATE TABLE says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnType {
    /// The type, nullable.
    pub ty: SqlType,
    /// `varchar(20)`, `int unsigned`, …
    pub text: String,
    /// A character set or collation was written.
    pub collation_declared: bool,
}

/// Longest CHAR, in characters.
const CHAR_LENGTH_MAX: u32 = 255;
/// Longest VARBINARY, in bytes; VARCHAR is this through the bytes of its widest character.
const VARBINARY_LENGTH_MAX: u32 = 65_535;
/// Widest display width of a number.
const DISPLAY_WIDTH_MAX: u32 = 255;
/// Most bits of a BIT.
const BIT_LENGTH_MAX: u32 = 64;
/// Digits of a second's fraction.
const FRACTION_DIGITS_MAX: u32 = 6;

/// The collation that a character set and a collation name together mean; `inherited` when neither is
/// named.
pub(crate) fn choose_collation(
    charset: Option<&str>,
    name: Option<&str>,
    inherited: CollationId,
) -> Result<CollationId> {
    let of_charset = match charset {
        Some(name) => Some(collation::charset_by_name(name)?.default),
        None => None,
    };
    let Some(name) = name else { return Ok(of_charset.unwrap_or(inherited)) };
    let id = collation::by_name(name)?.id;
    match of_charset {
        Some(default) if default.charset() != id.charset() => {
            Err(Error::collation_charset_mismatch(id.name(), default.charset()))
        }
        _ => Ok(id),
    }
}

/// Resolves a declared type. `inherited` is the table's collation.
pub(crate) fn resolve(column: &str, ty: &DataType, inherited: CollationId) -> Result<ColumnType> {
    use DataTypeKind::*;
    let plain = |ty: SqlType, text: String| ColumnType { ty, text, collation_declared: false };
    Ok(match ty.kind {
        TinyInt | SmallInt | MediumInt | Int | BigInt => integer(column, ty)?,
        Decimal => decimal(column, ty)?,
        Float | Double => floating(column, ty)?,
        Char | Varchar | TinyText | Text | MediumText | LongText => text(column, ty, inherited)?,
        Enum | Set => members(column, ty, inherited)?,
        Binary | Varbinary | TinyBlob | Blob | MediumBlob | LongBlob => bytes(column, ty)?,
        Date => plain(SqlType::date(), "date".into()),
        Time => {
            let digits = fraction_digits(column, ty)?;
            plain(SqlType::time(digits), with_digits("time", digits))
        }
        DateTime => {
            let digits = fraction_digits(column, ty)?;
            plain(SqlType::datetime(digits), with_digits("datetime", digits))
        }
        Timestamp => {
            let digits = fraction_digits(column, ty)?;
            plain(SqlType::timestamp(digits), with_digits("timestamp", digits))
        }
        Year => match ty.length {
            None | Some(4) => plain(SqlType::year(), "year".into()),
            Some(_) => return Err(Error::invalid_year_width()),
        },
        Geometry | Point | LineString | Polygon | MultiPoint | MultiLineString | MultiPolygon
        | GeometryCollection => geometry(ty)?,
        Bit => match ty.length.unwrap_or(1) {
            0 => return Err(Error::invalid_field_size(column)),
            bits @ 1..=BIT_LENGTH_MAX => plain(SqlType::bit(bits), format!("bit({bits})")),
            _ => return Err(Error::too_big_display_width(column, BIT_LENGTH_MAX)),
        },
        Json => plain(SqlType::json(), "json".into()),
    })
}

fn integer(column: &str, ty: &DataType) -> Result<ColumnType> {
    let (base, name) = match ty.kind {
        DataTypeKind::TinyInt => (SqlType::tinyint(), "tinyint"),
        DataTypeKind::SmallInt => (SqlType::smallint(), "smallint"),
        DataTypeKind::MediumInt => (SqlType::mediumint(), "mediumint"),
        DataTypeKind::Int => (SqlType::int(), "int"),
        _ => (SqlType::bigint(), "bigint"),
    };
    let unsigned = ty.unsigned || ty.zerofill;
    let mut resolved = if unsigned { base.unsigned() } else { base };
    if let Some(width) = ty.length {
        if width > DISPLAY_WIDTH_MAX {
            return Err(Error::too_big_display_width(column, DISPLAY_WIDTH_MAX));
        }
        if width > 0 {
            resolved.length = width;
        }
    }
    // MySQL 8.0 prints a width only where it means something: ZEROFILL, and TINYINT(1) for BOOL.
    let shows_width =
        ty.zerofill || (ty.kind == DataTypeKind::TinyInt && ty.length == Some(1) && !unsigned);
    let mut text = name.to_string();
    if shows_width {
        text.push_str(&format!("({})", resolved.length));
    }
    push_sign(&mut text, ty);
    Ok(ColumnType { ty: resolved, text, collation_declared: false })
}

fn push_sign(text: &mut String, ty: &DataType) {
    if ty.unsigned || ty.zerofill {
        text.push_str(" unsigned");
    }
    if ty.zerofill {
        text.push_str(" zerofill");
    }
}

fn decimal(column: &str, ty: &DataType) -> Result<ColumnType> {
    // DECIMAL(0) is DECIMAL(10), as in MySQL.
    let precision = ty.length.filter(|digits| *digits > 0).unwrap_or(10);
    let scale = ty.decimals.unwrap_or(0);
    if scale > 30 {
        return Err(Error::too_big_scale(scale, column, 30));
    }
    if precision > 65 {
        return Err(Error::too_big_precision(precision, column, 65));
    }
    if scale > precision {
        return Err(Error::scale_above_precision(column));
    }
    let mut resolved = SqlType::decimal(precision, scale as u8);
    resolved.unsigned = ty.unsigned || ty.zerofill;
    let mut text = format!("decimal({precision},{scale})");
    push_sign(&mut text, ty);
    Ok(ColumnType { ty: resolved, text, collation_declared: false })
}

fn floating(column: &str, ty: &DataType) -> Result<ColumnType> {
    let mut double = ty.kind == DataTypeKind::Double;
    let name = |double: bool| if double { "double" } else { "float" };
    let (mut resolved, mut text);
    match (ty.length, ty.decimals) {
        (Some(length), Some(decimals)) => {
            if decimals > 30 {
                return Err(Error::too_big_scale(decimals, column, 30));
            }
            if length > DISPLAY_WIDTH_MAX {
                return Err(Error::too_big_display_width(column, DISPLAY_WIDTH_MAX));
            }
            if decimals > length {
                return Err(Error::scale_above_precision(column));
            }
            resolved = if double { SqlType::double() } else { SqlType::float() };
            resolved.length = length;
            resolved.decimals = decimals as u8;
            text = format!("{}({length},{decimals})", name(double));
        }
        (precision, _) => {
            // FLOAT(p) only chooses between 4 and 8 bytes.
            if let Some(precision) = precision {
                if precision > 53 {
                    return Err(Error::wrong_column_specifier(column));
                }
                double |= precision > 24;
            }
            resolved = if double { SqlType::double() } else { SqlType::float() };
            text = name(double).to_string();
        }
    }
    resolved.unsigned = ty.unsigned || ty.zerofill;
    push_sign(&mut text, ty);
    Ok(ColumnType { ty: resolved, text, collation_declared: false })
}

/// The collation of a column's texts.
fn declared_collation(ty: &DataType, inherited: CollationId) -> Result<CollationId> {
    let id = choose_collation(ty.charset.as_deref(), ty.collation.as_deref(), inherited)?;
    if ty.binary && ty.collation.is_none() && id != CollationId::BINARY {
        let name = format!("{}_bin", id.charset());
        return Ok(collation::by_name(&name)?.id);
    }
    Ok(id)
}

/// GEOMETRY and its kinds.
fn geometry(ty: &DataType) -> Result<ColumnType> {
    use DataTypeKind::*;
    if ty.srid.is_some() {
        return Err(Error::not_supported("SRID of a column: leave it out, each value has its own"));
    }
    let (kind, text) = match ty.kind {
        Point => (Kind::Point, "point"),
        LineString => (Kind::LineString, "linestring"),
        Polygon => (Kind::Polygon, "polygon"),
        MultiPoint => (Kind::MultiPoint, "multipoint"),
        MultiLineString => (Kind::MultiLineString, "multilinestring"),
        MultiPolygon => (Kind::MultiPolygon, "multipolygon"),
        GeometryCollection => (Kind::Collection, "geomcollection"),
        _ => (Kind::Any, "geometry"),
    };
    let (ty, text) = (SqlType::geometry(kind), text.to_string());
    Ok(ColumnType { ty, text, collation_declared: false })
}

/// ENUM and SET.
fn members(column: &str, ty: &DataType, inherited: CollationId) -> Result<ColumnType> {
    let is_set = ty.kind == DataTypeKind::Set;
    let id = declared_collation(ty, inherited)?;
    if id == CollationId::BINARY {
        return Err(Error::not_supported(format!(
            "{} of CHARACTER SET binary: name another character set",
            ty.kind.name()
        )));
    }
    let trimmed = |name: &String| name.trim_end_matches(' ').to_string();
    let names: Vec<String> = ty.members.iter().map(trimmed).collect();
    if is_set && names.len() > SET_MEMBERS_MAX {
        return Err(Error::too_many_set_members(column));
    }
    if names.len() > ENUM_MEMBERS_MAX {
        return Err(Error::too_many_enum_members(column));
    }
    let mut seen = BTreeSet::new();
    for name in &names {
        if name.chars().count() > MEMBER_CHARS_MAX {
            return Err(Error::member_too_long(column));
        }
        if is_set && name.contains(',') {
            return Err(Error::comma_in_set_member(name));
        }
        if !seen.insert(id.weights(name)) {
            return Err(Error::duplicate_member(column, name, ty.kind.name()));
        }
    }
    let shown: Vec<String> = names.iter().map(|name| string(name)).collect();
    let word = if is_set { "set" } else { "enum" };
    let members = Members::new(names);
    let build = if is_set { SqlType::set } else { SqlType::enumeration };
    Ok(ColumnType {
        ty: build(members, id),
        text: format!("{word}({})", shown.join(",")),
        collation_declared: ty.charset.is_some() || ty.collation.is_some() || ty.binary,
    })
}

fn text(column: &str, ty: &DataType, inherited: CollationId) -> Result<ColumnType> {
    let id = declared_collation(ty, inherited)?;
    if id == CollationId::BINARY {
        // CHARACTER SET binary turns text types into their byte forms, as in MySQL.
        let kind = match ty.kind {
            DataTypeKind::Char => DataTypeKind::Binary,
            DataTypeKind::Varchar => DataTypeKind::Varbinary,
            DataTypeKind::TinyText => DataTypeKind::TinyBlob,
            DataTypeKind::Text => DataTypeKind::Blob,
            DataTypeKind::MediumText => DataTypeKind::MediumBlob,
            _ => DataTypeKind::LongBlob,
        };
        return bytes(column, &DataType { kind, ..ty.clone() });
    }
    let widest = id.bytes_per_char();
    let (resolved, text) = match ty.kind {
        DataTypeKind::Char => {
            let length = ty.length.unwrap_or(1);
            if length > CHAR_LENGTH_MAX {
                return Err(Error::too_big_length(column, CHAR_LENGTH_MAX));
            }
            (SqlType::char(length, id), format!("char({length})"))
        }
        DataTypeKind::Varchar => {
            let length = ty.length.unwrap_or(0);
            let max = VARBINARY_LENGTH_MAX / widest;
            if length > max {
                return Err(Error::too_big_length(column, max));
            }
            (SqlType::varchar(length, id), format!("varchar({length})"))
        }
        kind => {
            let bytes = ty.length.map(|length| u64::from(length) * u64::from(widest));
            match sized(kind, bytes) {
                Size::Tiny => (SqlType::tinytext(id), "tinytext".to_string()),
                Size::Plain => (SqlType::text(id), "text".to_string()),
                Size::Medium => (SqlType::mediumtext(id), "mediumtext".to_string()),
                Size::Long => (SqlType::longtext(id), "longtext".to_string()),
            }
        }
    };
    let collation_declared = ty.charset.is_some() || ty.collation.is_some() || ty.binary;
    Ok(ColumnType { ty: resolved, text, collation_declared })
}

fn bytes(column: &str, ty: &DataType) -> Result<ColumnType> {
    let binary = CollationId::BINARY;
    let (resolved, text) = match ty.kind {
        DataTypeKind::Binary => {
            let length = ty.length.unwrap_or(1);
            if length > CHAR_LENGTH_MAX {
                return Err(Error::too_big_length(column, CHAR_LENGTH_MAX));
            }
            (SqlType::char(length, binary), format!("binary({length})"))
        }
        DataTypeKind::Varbinary => {
            let length = ty.length.unwrap_or(0);
            if length > VARBINARY_LENGTH_MAX {
                return Err(Error::too_big_length(column, VARBINARY_LENGTH_MAX));
            }
            (SqlType::varbinary(length), format!("varbinary({length})"))
        }
        kind => match sized(kind, ty.length.map(u64::from)) {
            Size::Tiny => (SqlType::tinytext(binary), "tinyblob".to_string()),
            Size::Plain => (SqlType::text(binary), "blob".to_string()),
            Size::Medium => (SqlType::mediumtext(binary), "mediumblob".to_string()),
            Size::Long => (SqlType::longtext(binary), "longblob".to_string()),
        },
    };
    Ok(ColumnType { ty: resolved, text, collation_declared: false })
}

/// The four sizes of TEXT and BLOB.
enum Size {
    Tiny,
    Plain,
    Medium,
    Long,
}

/// TEXT(n) and BLOB(n) become the smallest type that holds n; the other names say their size.
fn sized(kind: DataTypeKind, bytes: Option<u64>) -> Size {
    use DataTypeKind::*;
    match (kind, bytes) {
        (TinyText | TinyBlob, _) => Size::Tiny,
        (MediumText | MediumBlob, _) => Size::Medium,
        (LongText | LongBlob, _) => Size::Long,
        (_, None) => Size::Plain,
        (_, Some(0..=255)) => Size::Tiny,
        (_, Some(256..=65_535)) => Size::Plain,
        (_, Some(65_536..=0x00ff_ffff)) => Size::Medium,
        _ => Size::Long,
    }
}

fn fraction_digits(column: &str, ty: &DataType) -> Result<u8> {
    match ty.length.unwrap_or(0) {
        digits if digits > FRACTION_DIGITS_MAX => {
            Err(Error::too_big_precision(digits, column, FRACTION_DIGITS_MAX))
        }
        digits => Ok(digits as u8),
    }
}

fn with_digits(name: &str, digits: u8) -> String {
    if digits == 0 { name.to_string() } else { format!("{name}({digits})") }
}
