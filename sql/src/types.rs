//! MySQL's column and expression types.

use crate::collation::CollationId;

/// The kind of a value, as a column declares it or an expression yields it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeKind {
    /// The type of a bare NULL.
    Null,
    /// 1 byte. BOOL is TINYINT(1).
    TinyInt,
    /// 2 bytes.
    SmallInt,
    /// 3 bytes.
    MediumInt,
    /// 4 bytes.
    Int,
    /// 8 bytes.
    BigInt,
    /// DECIMAL(length, decimals): exact, up to 65 digits, up to 30 after the point.
    Decimal,
    /// 4-byte floating point.
    Float,
    /// 8-byte floating point.
    Double,
    /// CHAR(length), or BINARY(length) with the binary collation.
    Char,
    /// VARCHAR(length), or VARBINARY(length) with the binary collation.
    Varchar,
    /// TINYTEXT / TINYBLOB: up to 255 bytes.
    TinyText,
    /// TEXT / BLOB: up to 65,535 bytes.
    Text,
    /// MEDIUMTEXT / MEDIUMBLOB: up to 16 MiB.
    MediumText,
    /// LONGTEXT / LONGBLOB: up to a row (`base::limits::ROW_BYTES_MAX`).
    LongText,
    /// A day.
    Date,
    /// A duration, ±838:59:59.
    Time,
    /// A day and time without zone, `decimals` fraction digits.
    DateTime,
    /// A moment, stored in UTC, shown in the session's time zone, `decimals` fraction digits.
    Timestamp,
    /// A year, 1901–2155 and 0.
    Year,
    /// ENUM: the number of a member, from 1; 0 for a value that was none. Only of columns: expressions see its text.
    Enum,
    /// SET: a bit for each member. Only of columns, like ENUM.
    Set,
    /// BIT(length): a number below 2^length. Only of columns: expressions see its bytes.
    Bit,
    /// JSON: the document's text as it is shown, under a collation that orders documents.
    Json,
    /// GEOMETRY and its kinds, of which `decimals` has the number: bytes, see `geometry`.
    Geometry,
}

/// A complete type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlType {
    /// Kind.
    pub kind: TypeKind,
    /// UNSIGNED; only for numbers.
    pub unsigned: bool,
    /// Display width of integers, precision of DECIMAL, characters of strings (bytes when binary), as
    /// MySQL reports it before multiplying by the bytes per character.
    pub length: u32,
    /// Digits after the point (DECIMAL), of the fraction of a second (dates); 31 = not fixed (DOUBLE).
    pub decimals: u8,
    /// Collation of strings; `CollationId::BINARY` for byte strings and everything else.
    pub collation: CollationId,
    /// Whether NULL may occur.
    pub nullable: bool,
    /// Of ENUM and SET, whose `length` and `collation` are those of their texts.
    pub members: Option<Members>,
}

pub mod arrow_form;
pub mod assign;
pub mod convert;
pub mod datetime;
pub mod decimal;
pub mod geometry;
pub mod json;
pub mod members;
pub mod number_text;

pub use arrow_form::{array_value, values_to_array};
pub use assign::assign;
pub use members::Members;

/// Digits after the point that mean "not fixed": DOUBLE and FLOAT without (M,D).
pub const DECIMALS_NOT_FIXED: u8 = 31;

/// The width, in characters, that a text without a known length gets.
pub const TEXT_LENGTH_UNKNOWN: u32 = 65_535;

/// What a type is compared and computed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Only NULL.
    Null,
    /// 64-bit integers, signed and unsigned mixed.
    Integer,
    /// Exact decimals.
    Decimal,
    /// Binary floating point.
    Double,
    /// Text under a collation.
    Text,
    /// Byte strings.
    Bytes,
    /// A day.
    Date,
    /// A duration.
    Time,
    /// A day and time, with or without zone.
    DateTime,
}

impl SqlType {
    fn plain(kind: TypeKind, length: u32) -> SqlType {
        let collation = CollationId::BINARY;
        SqlType {
            kind,
            unsigned: false,
            length,
            decimals: 0,
            collation,
            nullable: true,
            members: None,
        }
    }

    /// ENUM.
    pub fn enumeration(members: Members, collation: CollationId) -> SqlType {
        SqlType {
            unsigned: true,
            collation,
            members: Some(members),
            ..SqlType::plain(TypeKind::Enum, members.length(false))
        }
    }

    /// SET.
    pub fn set(members: Members, collation: CollationId) -> SqlType {
        SqlType {
            kind: TypeKind::Set,
            length: members.length(true),
            ..SqlType::enumeration(members, collation)
        }
    }

    /// GEOMETRY, or a kind of it.
    pub fn geometry(kind: geometry::Kind) -> SqlType {
        SqlType { decimals: kind as u8, ..SqlType::plain(TypeKind::Geometry, u32::MAX) }
    }

    /// JSON.
    pub fn json() -> SqlType {
        SqlType { collation: CollationId::JSON, ..SqlType::plain(TypeKind::Json, u32::MAX) }
    }

    /// BIT(bits).
    pub fn bit(bits: u32) -> SqlType {
        SqlType { unsigned: true, ..SqlType::plain(TypeKind::Bit, bits) }
    }

    /// Whether a column's values are numbers that expressions see in another form: ENUM, SET and BIT.
    pub fn is_number_of_another(&self) -> bool {
        self.has_members() || self.kind == TypeKind::Bit
    }

    /// Whether this is the type of a column of numbers that stand for texts: ENUM and SET.
    pub fn has_members(&self) -> bool {
        matches!(self.kind, TypeKind::Enum | TypeKind::Set)
    }

    /// Whether a character set belongs to it: text, ENUM and SET.
    pub fn has_charset(&self) -> bool {
        (self.is_text() && self.kind != TypeKind::Json) || self.has_members()
    }

    /// The type of a column's values in expressions: of ENUM and SET that of their texts, of BIT that of its bytes.
    pub fn shown(self) -> SqlType {
        let shown = match self.kind {
            TypeKind::Enum | TypeKind::Set => SqlType::char(self.length, self.collation),
            TypeKind::Bit => SqlType::char(self.length.div_ceil(8), CollationId::BINARY),
            _ => return self,
        };
        shown.with_nullable(self.nullable)
    }

    /// The type of a bare NULL.
    pub fn null() -> SqlType {
        SqlType::plain(TypeKind::Null, 0)
    }

    /// TINYINT(1): what comparisons and logic yield is `boolean()`, a BIGINT(1) in MySQL.
    pub fn boolean() -> SqlType {
        SqlType { nullable: true, ..SqlType::plain(TypeKind::BigInt, 1) }
    }

    /// TINYINT.
    pub fn tinyint() -> SqlType {
        SqlType::plain(TypeKind::TinyInt, 4)
    }

    /// SMALLINT.
    pub fn smallint() -> SqlType {
        SqlType::plain(TypeKind::SmallInt, 6)
    }

    /// MEDIUMINT.
    pub fn mediumint() -> SqlType {
        SqlType::plain(TypeKind::MediumInt, 9)
    }

    /// INT.
    pub fn int() -> SqlType {
        SqlType::plain(TypeKind::Int, 11)
    }

    /// BIGINT.
    pub fn bigint() -> SqlType {
        SqlType::plain(TypeKind::BigInt, 20)
    }

    /// BIGINT with another display width.
    pub fn bigint_width(length: u32) -> SqlType {
        SqlType::plain(TypeKind::BigInt, length)
    }

    /// The UNSIGNED form of an integer type, with its display width.
    pub fn unsigned(self) -> SqlType {
        let length = match self.kind {
            TypeKind::TinyInt if self.length == 4 => 3,
            TypeKind::SmallInt if self.length == 6 => 5,
            TypeKind::MediumInt if self.length == 9 => 8,
            TypeKind::Int if self.length == 11 => 10,
            _ => self.length,
        };
        SqlType { unsigned: true, length, ..self }
    }

    /// DECIMAL(precision, scale); both are clamped to MySQL's limits.
    pub fn decimal(precision: u32, scale: u8) -> SqlType {
        let scale = scale.min(decimal::SCALE_MAX);
        let length = precision.max(u32::from(scale)).clamp(1, u32::from(decimal::PRECISION_MAX));
        SqlType { decimals: scale, ..SqlType::plain(TypeKind::Decimal, length) }
    }

    /// FLOAT.
    pub fn float() -> SqlType {
        SqlType { decimals: DECIMALS_NOT_FIXED, ..SqlType::plain(TypeKind::Float, 12) }
    }

    /// DOUBLE.
    pub fn double() -> SqlType {
        SqlType { decimals: DECIMALS_NOT_FIXED, ..SqlType::plain(TypeKind::Double, 22) }
    }

    /// DOUBLE shown with a fixed number of digits after the point (DOUBLE(M,D), ROUND(x, d)).
    pub fn double_fixed(decimals: u8) -> SqlType {
        if decimals >= DECIMALS_NOT_FIXED {
            return SqlType::double();
        }
        SqlType { decimals, ..SqlType::plain(TypeKind::Double, 17 + u32::from(decimals)) }
    }

    fn string(kind: TypeKind, length: u32, collation: CollationId) -> SqlType {
        SqlType { collation, decimals: DECIMALS_NOT_FIXED, ..SqlType::plain(kind, length) }
    }

    /// CHAR(length), or BINARY(length) with the binary collation.
    pub fn char(length: u32, collation: CollationId) -> SqlType {
        SqlType::string(TypeKind::Char, length, collation)
    }

    /// VARCHAR(length), or VARBINARY(length) with the binary collation.
    pub fn varchar(length: u32, collation: CollationId) -> SqlType {
        SqlType::string(TypeKind::Varchar, length, collation)
    }

    /// TINYTEXT or TINYBLOB.
    pub fn tinytext(collation: CollationId) -> SqlType {
        SqlType::string(TypeKind::TinyText, 255, collation)
    }

    /// TEXT or BLOB.
    pub fn text(collation: CollationId) -> SqlType {
        SqlType::string(TypeKind::Text, 65_535, collation)
    }

    /// MEDIUMTEXT or MEDIUMBLOB.
    pub fn mediumtext(collation: CollationId) -> SqlType {
        SqlType::string(TypeKind::MediumText, (1 << 24) - 1, collation)
    }

    /// LONGTEXT or LONGBLOB.
    pub fn longtext(collation: CollationId) -> SqlType {
        SqlType::string(TypeKind::LongText, u32::MAX, collation)
    }

    /// VARBINARY(length).
    pub fn varbinary(length: u32) -> SqlType {
        SqlType::varchar(length, CollationId::BINARY)
    }

    /// DATE.
    pub fn date() -> SqlType {
        SqlType::plain(TypeKind::Date, 10)
    }

    fn fraction_width(fraction_digits: u8) -> u32 {
        if fraction_digits == 0 { 0 } else { u32::from(fraction_digits) + 1 }
    }

    /// TIME(fraction_digits).
    pub fn time(fraction_digits: u8) -> SqlType {
        let length = 10 + SqlType::fraction_width(fraction_digits);
        SqlType { decimals: fraction_digits, ..SqlType::plain(TypeKind::Time, length) }
    }

    /// DATETIME(fraction_digits).
    pub fn datetime(fraction_digits: u8) -> SqlType {
        let length = 19 + SqlType::fraction_width(fraction_digits);
        SqlType { decimals: fraction_digits, ..SqlType::plain(TypeKind::DateTime, length) }
    }

    /// TIMESTAMP(fraction_digits).
    pub fn timestamp(fraction_digits: u8) -> SqlType {
        SqlType { kind: TypeKind::Timestamp, ..SqlType::datetime(fraction_digits) }
    }

    /// YEAR.
    pub fn year() -> SqlType {
        SqlType { unsigned: true, ..SqlType::plain(TypeKind::Year, 4) }
    }

    /// The same type, NULL excluded.
    pub fn not_null(self) -> SqlType {
        SqlType { nullable: false, ..self }
    }

    /// The same type with this nullability.
    pub fn with_nullable(self, nullable: bool) -> SqlType {
        SqlType { nullable, ..self }
    }

    /// The same type with another collation.
    pub fn with_collation(self, collation: CollationId) -> SqlType {
        SqlType { collation, ..self }
    }

    /// TINYINT … BIGINT and YEAR.
    pub fn is_integer(&self) -> bool {
        matches!(
            self.kind,
            TypeKind::TinyInt
                | TypeKind::SmallInt
                | TypeKind::MediumInt
                | TypeKind::Int
                | TypeKind::BigInt
                | TypeKind::Year
        )
    }

    /// FLOAT and DOUBLE.
    pub fn is_floating(&self) -> bool {
        matches!(self.kind, TypeKind::Float | TypeKind::Double)
    }

    /// Integers, DECIMAL, FLOAT, DOUBLE.
    pub fn is_numeric(&self) -> bool {
        self.is_integer() || self.is_floating() || self.kind == TypeKind::Decimal
    }

    /// CHAR … LONGTEXT and their binary forms.
    pub fn is_string(&self) -> bool {
        matches!(
            self.kind,
            TypeKind::Char
                | TypeKind::Varchar
                | TypeKind::TinyText
                | TypeKind::Text
                | TypeKind::MediumText
                | TypeKind::LongText
                | TypeKind::Json
                | TypeKind::Geometry
        )
    }

    /// A string with a character set: its values are `Value::Text`.
    pub fn is_text(&self) -> bool {
        self.is_string() && self.collation != CollationId::BINARY
    }

    /// A byte string: its values are `Value::Bytes`.
    pub fn is_bytes(&self) -> bool {
        self.is_string() && self.collation == CollationId::BINARY
    }

    /// TINYTEXT … LONGTEXT and the BLOBs.
    pub fn is_blob(&self) -> bool {
        self.is_string() && !matches!(self.kind, TypeKind::Char | TypeKind::Varchar)
    }

    /// DATE, TIME, DATETIME, TIMESTAMP.
    pub fn is_temporal(&self) -> bool {
        matches!(
            self.kind,
            TypeKind::Date | TypeKind::Time | TypeKind::DateTime | TypeKind::Timestamp
        )
    }

    /// DATETIME or TIMESTAMP.
    pub fn is_datetime(&self) -> bool {
        matches!(self.kind, TypeKind::DateTime | TypeKind::Timestamp)
    }

    /// What values of this type are compared and computed as.
    pub fn domain(&self) -> Domain {
        match self.kind {
            TypeKind::Null => Domain::Null,
            TypeKind::Decimal => Domain::Decimal,
            TypeKind::Float | TypeKind::Double => Domain::Double,
            TypeKind::Date => Domain::Date,
            TypeKind::Time => Domain::Time,
            TypeKind::DateTime | TypeKind::Timestamp => Domain::DateTime,
            TypeKind::Enum | TypeKind::Set | TypeKind::Bit => Domain::Integer,
            _ if self.is_integer() => Domain::Integer,
            _ if self.is_bytes() => Domain::Bytes,
            _ => Domain::Text,
        }
    }

    /// Smallest and largest value of an integer type.
    pub fn integer_range(&self) -> (i128, i128) {
        let bits = match self.kind {
            TypeKind::TinyInt => 8,
            TypeKind::SmallInt => 16,
            TypeKind::MediumInt => 24,
            TypeKind::Int => 32,
            TypeKind::Year => return (0, 2155),
            _ => 64,
        };
        if self.unsigned {
            (0, (1_i128 << bits) - 1)
        } else {
            (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
        }
    }

    /// Decimal digits an integer or decimal value of this type can have.
    pub fn precision(&self) -> u32 {
        match self.kind {
            TypeKind::Decimal => self.length,
            TypeKind::TinyInt => 3,
            TypeKind::SmallInt => 5,
            TypeKind::MediumInt => 8 - u32::from(!self.unsigned),
            TypeKind::Int => 10,
            TypeKind::Year => 4,
            // Narrow results such as boolean() say so in their width.
            TypeKind::BigInt => self.length.clamp(1, 20 - u32::from(!self.unsigned)),
            TypeKind::Date => 8,
            TypeKind::Time => 7 + u32::from(self.decimals),
            TypeKind::DateTime | TypeKind::Timestamp => 14 + u32::from(self.decimals),
            _ => 65,
        }
    }

    /// Digits after the point of a number made from this type.
    pub fn scale(&self) -> u8 {
        match self.kind {
            TypeKind::Decimal | TypeKind::Time | TypeKind::DateTime | TypeKind::Timestamp => {
                self.decimals
            }
            _ => 0,
        }
    }

    /// The most characters a value of this type takes as text.
    pub fn display_length(&self) -> u32 {
        match self.kind {
            TypeKind::Decimal => {
                self.length + u32::from(self.decimals > 0) + u32::from(!self.unsigned)
            }
            TypeKind::Null => 0,
            _ => self.length,
        }
    }

    /// The Arrow type of a column of this type.
    pub fn arrow(&self) -> arrow::datatypes::DataType {
        arrow_form::data_type(self)
    }

    /// MySQL's name of the kind, as in `cast(x as …)` and error texts: "INTEGER", "DOUBLE", …
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            TypeKind::Null => "NULL",
            TypeKind::TinyInt => "TINYINT",
            TypeKind::SmallInt => "SMALLINT",
            TypeKind::MediumInt => "MEDIUMINT",
            TypeKind::Int => "INT",
            TypeKind::BigInt => "BIGINT",
            TypeKind::Decimal => "DECIMAL",
            TypeKind::Float => "FLOAT",
            TypeKind::Double => "DOUBLE",
            TypeKind::Date => "DATE",
            TypeKind::Time => "TIME",
            TypeKind::DateTime => "DATETIME",
            TypeKind::Timestamp => "TIMESTAMP",
            TypeKind::Year => "YEAR",
            TypeKind::Enum => "ENUM",
            TypeKind::Set => "SET",
            TypeKind::Bit => "BIT",
            TypeKind::Json => "JSON",
            TypeKind::Geometry => "GEOMETRY",
            TypeKind::Char if self.is_bytes() => "BINARY",
            TypeKind::Varchar if self.is_bytes() => "VARBINARY",
            TypeKind::TinyText if self.is_bytes() => "TINYBLOB",
            TypeKind::Text if self.is_bytes() => "BLOB",
            TypeKind::MediumText if self.is_bytes() => "MEDIUMBLOB",
            TypeKind::LongText if self.is_bytes() => "LONGBLOB",
            TypeKind::Char => "CHAR",
            TypeKind::Varchar => "VARCHAR",
            TypeKind::TinyText => "TINYTEXT",
            TypeKind::Text => "TEXT",
            TypeKind::MediumText => "MEDIUMTEXT",
            TypeKind::LongText => "LONGTEXT",
        }
    }

    /// One type that holds the values of both: CASE, COALESCE, UNION, IN lists.
    ///
    /// Equal domains widen; numbers with text become text; dates with other dates become DATETIME.
    /// The collation of text is the first one's; the binder reconciles collations beforehand
    /// (`expr::build::aggregate_collation`).
    pub fn unify(self, other: SqlType) -> SqlType {
        let nullable = self.nullable || other.nullable;
        self.unify_kind(other).with_nullable(nullable)
    }

    fn unify_kind(self, other: SqlType) -> SqlType {
        if self.kind == TypeKind::Null {
            return other;
        }
        if other.kind == TypeKind::Null || (self == other.with_nullable(self.nullable)) {
            return self;
        }
        let (a, b) = (self, other);
        if a.is_numeric() && b.is_numeric() {
            return SqlType::unify_numbers(a, b);
        }
        if a.is_temporal() && b.is_temporal() {
            let decimals = a.decimals.max(b.decimals);
            return match (a.kind, b.kind) {
                (TypeKind::Time, TypeKind::Time) => SqlType::time(decimals),
                (TypeKind::Timestamp, TypeKind::Timestamp) => SqlType::timestamp(decimals),
                _ => SqlType::datetime(decimals),
            };
        }
        // A string is involved, or a number meets a date: text that holds both.
        let length = a.display_length().max(b.display_length());
        let collation = if a.is_bytes() || b.is_bytes() {
            CollationId::BINARY
        } else if a.is_text() {
            a.collation.of_text()
        } else if b.is_text() {
            b.collation.of_text()
        } else {
            CollationId::DEFAULT
        };
        if a.kind == TypeKind::Char && b.kind == TypeKind::Char && !a.is_bytes() {
            return SqlType::char(length, collation);
        }
        if a.is_blob() || b.is_blob() {
            return SqlType::sized_string(length, collation, true);
        }
        SqlType::sized_string(length, collation, false)
    }

    /// VARCHAR when the length allows it, else the smallest TEXT; `blob` always takes a TEXT.
    pub fn sized_string(length: u32, collation: CollationId, blob: bool) -> SqlType {
        match length {
            0..=16_383 if !blob => SqlType::varchar(length, collation),
            0..=65_535 => SqlType::string(TypeKind::Text, length, collation),
            65_536..=0x00ff_ffff => SqlType::string(TypeKind::MediumText, length, collation),
            _ => SqlType::longtext(collation),
        }
    }

    fn unify_numbers(a: SqlType, b: SqlType) -> SqlType {
        if a.is_floating() || b.is_floating() {
            let fixed = a.decimals < DECIMALS_NOT_FIXED && b.decimals < DECIMALS_NOT_FIXED;
            return if a.kind == TypeKind::Float && b.kind == TypeKind::Float {
                SqlType::float()
            } else if fixed {
                SqlType::double_fixed(a.decimals.max(b.decimals))
            } else {
                SqlType::double()
            };
        }
        let mixed_sign = a.unsigned != b.unsigned;
        let reaches_64_bits = |t: &SqlType| t.kind == TypeKind::BigInt;
        if a.is_integer() && b.is_integer() {
            let (low_a, high_a) = a.integer_range();
            let (low_b, high_b) = b.integer_range();
            let (low, high) = (low_a.min(low_b), high_a.max(high_b));
            if mixed_sign
                && ((a.unsigned && reaches_64_bits(&a)) || (b.unsigned && reaches_64_bits(&b)))
            {
                return SqlType::decimal(20, 0);
            }
            let candidates = [
                SqlType::tinyint(),
                SqlType::smallint(),
                SqlType::mediumint(),
                SqlType::int(),
                SqlType::bigint(),
            ];
            for candidate in candidates {
                let candidate =
                    if a.unsigned && b.unsigned { candidate.unsigned() } else { candidate };
                let (min, max) = candidate.integer_range();
                if min <= low && high <= max {
                    let length = if a.kind == b.kind && !mixed_sign {
                        a.length.max(b.length)
                    } else {
                        candidate.length
                    };
                    return SqlType { length, ..candidate };
                }
            }
            return SqlType::bigint();
        }
        let scale = a.scale().max(b.scale());
        let whole = (a.precision() - u32::from(a.scale()).min(a.precision()))
            .max(b.precision() - u32::from(b.scale()).min(b.precision()));
        SqlType::decimal(whole + u32::from(scale), scale)
    }
}

/// The aggregate functions whose result type follows from their argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggKind {
    /// COUNT.
    Count,
    /// SUM.
    Sum,
    /// AVG.
    Avg,
    /// MIN.
    Min,
    /// MAX.
    Max,
}

/// The type of an aggregate over an argument of type `arg`.
///
/// SUM and AVG of integers and decimals are exact; of anything else they are DOUBLE.
/// `div_precision_increment` counts for AVG.
pub fn agg_type(kind: AggKind, arg: &SqlType, div_precision_increment: u8) -> SqlType {
    match kind {
        AggKind::Count => SqlType::bigint().not_null(),
        AggKind::Min | AggKind::Max => arg.with_nullable(true),
        AggKind::Sum | AggKind::Avg => {
            let exact = arg.is_integer() || arg.kind == TypeKind::Decimal || arg.is_temporal();
            if !exact {
                let fixed = arg.is_floating() && arg.decimals < DECIMALS_NOT_FIXED;
                return match kind {
                    AggKind::Avg if fixed => {
                        SqlType::double_fixed((arg.decimals + div_precision_increment).min(30))
                    }
                    _ if fixed => SqlType::double_fixed(arg.decimals),
                    _ => SqlType::double(),
                };
            }
            let (precision, scale) = (arg.precision(), arg.scale());
            if kind == AggKind::Sum {
                SqlType::decimal(precision + 22, scale)
            } else {
                let wider = scale + div_precision_increment;
                SqlType::decimal(precision + u32::from(div_precision_increment), wider)
            }
        }
    }
}
