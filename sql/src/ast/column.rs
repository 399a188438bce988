//! Columns of tables: their types, defaults and attributes.

use super::{Check, Expr, Reference};

/// A column of CREATE TABLE or ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// The name.
    pub name: String,
    /// The type.
    pub ty: DataType,
    /// NULL or NOT NULL, when it is said.
    pub nullable: Option<bool>,
    /// DEFAULT.
    pub default: Option<DefaultValue>,
    /// ON UPDATE CURRENT_TIMESTAMP(n): the digits n.
    pub on_update_now: Option<u8>,
    /// AUTO_INCREMENT.
    pub auto_increment: bool,
    /// PRIMARY KEY.
    pub primary_key: bool,
    /// UNIQUE.
    pub unique: bool,
    /// COMMENT.
    pub comment: Option<String>,
    /// GENERATED ALWAYS AS.
    pub generated: Option<Generated>,
    /// CHECK.
    pub checks: Vec<Check>,
    /// REFERENCES (parsed and without effect in MySQL, too).
    pub references: Option<Reference>,
    /// INVISIBLE.
    pub invisible: bool,
}

/// A generated column's expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The expression.
    pub expr: Expr,
    /// STORED; else VIRTUAL.
    pub stored: bool,
}

/// DEFAULT of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// A literal, perhaps with a sign, or NULL.
    Literal(Expr),
    /// CURRENT_TIMESTAMP(n): the digits n.
    Now(u8),
    /// An expression in parentheses.
    Expression(Expr),
}

/// A column's type as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataType {
    /// Which type.
    pub kind: DataTypeKind,
    /// Display width, precision, characters, bytes, or digits of a second's fraction.
    pub length: Option<u32>,
    /// Digits after the point.
    pub decimals: Option<u32>,
    /// UNSIGNED (ZEROFILL implies it).
    pub unsigned: bool,
    /// ZEROFILL.
    pub zerofill: bool,
    /// CHARACTER SET; ASCII is `latin1`, UNICODE `ucs2`, BYTE `binary`, NATIONAL `utf8mb3`.
    pub charset: Option<String>,
    /// COLLATE.
    pub collation: Option<String>,
    /// The attribute BINARY: the `_bin` collation of the character set.
    pub binary: bool,
    /// Members of ENUM and SET.
    pub members: Vec<String>,
    /// SRID of a geometry.
    pub srid: Option<u32>,
}

/// Types by name; synonyms are resolved (INTEGER is Int, NUMERIC is Decimal, BOOL is TinyInt(1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are MySQL's")]
pub enum DataTypeKind {
    TinyInt,
    SmallInt,
    MediumInt,
    Int,
    BigInt,
    Decimal,
    Float,
    Double,
    Bit,
    Char,
    Varchar,
    Binary,
    Varbinary,
    TinyText,
    Text,
    MediumText,
    LongText,
    TinyBlob,
    Blob,
    MediumBlob,
    LongBlob,
    Date,
    Time,
    DateTime,
    Timestamp,
    Year,
    Json,
    Enum,
    Set,
    Geometry,
    Point,
    LineString,
    Polygon,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
    GeometryCollection,
}

impl DataTypeKind {
    /// The name in capitals.
    pub fn name(self) -> &'static str {
        use DataTypeKind::*;
        match self {
            TinyInt => "TINYINT",
            SmallInt => "SMALLINT",
            MediumInt => "MEDIUMINT",
            Int => "INT",
            BigInt => "BIGINT",
            Decimal => "DECIMAL",
            Float => "FLOAT",
            Double => "DOUBLE",
            Bit => "BIT",
            Char => "CHAR",
            Varchar => "VARCHAR",
            Binary => "BINARY",
            Varbinary => "VARBINARY",
            TinyText => "TINYTEXT",
            Text => "TEXT",
            MediumText => "MEDIUMTEXT",
            LongText => "LONGTEXT",
            TinyBlob => "TINYBLOB",
            Blob => "BLOB",
            MediumBlob => "MEDIUMBLOB",
            LongBlob => "LONGBLOB",
            Date => "DATE",
            Time => "TIME",
            DateTime => "DATETIME",
            Timestamp => "TIMESTAMP",
            Year => "YEAR",
            Json => "JSON",
            Enum => "ENUM",
            Set => "SET",
            Geometry => "GEOMETRY",
            Point => "POINT",
            LineString => "LINESTRING",
            Polygon => "POLYGON",
            MultiPoint => "MULTIPOINT",
            MultiLineString => "MULTILINESTRING",
            MultiPolygon => "MULTIPOLYGON",
            GeometryCollection => "GEOMETRYCOLLECTION",
        }
    }
}
