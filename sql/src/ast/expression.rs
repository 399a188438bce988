//! Expressions as written.

use super::{Query, SequenceFunction, SourceText, Span, TableName};

/// An expression and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, without the parentheses around it.
    pub span: Span,
}

/// A column, perhaps with its table and database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnName {
    /// The database, when it is named; then the table is, too.
    pub database: Option<String>,
    /// The table or its alias.
    pub table: Option<String>,
    /// The column.
    pub column: String,
}

/// What an expression can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// The n-th `?` of the statement, from 0.
    Param(usize),
    /// A column.
    Column(ColumnName),
    /// `@name`, without `@`.
    UserVariable(String),
    /// `@@name`, `@@global.name`, `@@session.name`.
    SystemVariable {
        /// The scope, when it is named.
        scope: Option<VariableScope>,
        /// The name; a component's variable keeps its dots.
        name: String,
    },
    /// `@name := value`.
    Assign {
        /// The user variable, without `@`.
        name: String,
        /// Its new value.
        value: Box<Expr>,
    },
    /// A prefix operator.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// What it works on.
        operand: Box<Expr>,
    },
    /// An infix operator.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left side.
        left: Box<Expr>,
        /// Right side.
        right: Box<Expr>,
    },
    /// `operand [NOT] BETWEEN low AND high`.
    Between {
        /// NOT stands before BETWEEN.
        negated: bool,
        /// The value that is checked.
        operand: Box<Expr>,
        /// Lower bound, included.
        low: Box<Expr>,
        /// Upper bound, included.
        high: Box<Expr>,
    },
    /// `operand [NOT] IN (list)`; the list is not empty.
    InList {
        /// NOT stands before IN.
        negated: bool,
        /// The value that is looked for.
        operand: Box<Expr>,
        /// Where it is looked for.
        list: Vec<Expr>,
    },
    /// `operand [NOT] IN (SELECT …)`.
    InSubquery {
        /// NOT stands before IN.
        negated: bool,
        /// The value (or row) that is looked for.
        operand: Box<Expr>,
        /// Where it is looked for.
        query: Box<Query>,
    },
    /// `operand [NOT] LIKE pattern [ESCAPE escape]`.
    Like {
        /// NOT stands before LIKE.
        negated: bool,
        /// The text.
        operand: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// The escape character, when it is named.
        escape: Option<Box<Expr>>,
    },
    /// `operand [NOT] REGEXP pattern` (or RLIKE).
    Regexp {
        /// NOT stands before REGEXP.
        negated: bool,
        /// The text.
        operand: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
    },
    /// `operand IS [NOT] NULL | TRUE | FALSE | UNKNOWN`.
    Is {
        /// NOT stands after IS.
        negated: bool,
        /// What is tested.
        operand: Box<Expr>,
        /// For what.
        test: IsTest,
    },
    /// `value MEMBER OF (array)`.
    MemberOf {
        /// The value that is looked for.
        value: Box<Expr>,
        /// The JSON array.
        array: Box<Expr>,
    },
    /// CASE.
    Case {
        /// The value that the WHENs are compared with; without it each WHEN is a condition.
        operand: Option<Box<Expr>>,
        /// WHEN and THEN.
        whens: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// `CAST(operand AS to)`, `CONVERT(operand, to)`; `BINARY operand` is a cast to BINARY.
    Cast {
        /// What is converted.
        operand: Box<Expr>,
        /// Into what.
        to: CastType,
    },
    /// `CONVERT(operand USING charset)`.
    ConvertUsing {
        /// What is converted.
        operand: Box<Expr>,
        /// Into which character set.
        charset: String,
    },
    /// `operand COLLATE collation`.
    Collate {
        /// The text.
        operand: Box<Expr>,
        /// The collation's name.
        collation: String,
    },
    /// `name(args)`, also functions that may stand without parentheses (CURRENT_TIMESTAMP) and special
    /// forms that only differ in punctuation: `SUBSTRING(a FROM b FOR c)` is `substring(a, b, c)`,
    /// `POSITION(a IN b)` is `locate(a, b)`, `a SOUNDS LIKE b` is `soundex(a) = soundex(b)`, and
    /// `a || b` under PIPES_AS_CONCAT is `concat(a, b)`.
    Function {
        /// A database for a stored function.
        database: Option<String>,
        /// The name as written.
        name: String,
        /// The arguments.
        args: Vec<Expr>,
    },
    /// COUNT, SUM, …
    Aggregate(Box<Aggregate>),
    /// `function OVER (…)`: an aggregate or a window function.
    Window {
        /// The function before OVER.
        function: Box<Expr>,
        /// What follows OVER.
        over: Over,
    },
    /// `GROUPING(a, b)`.
    Grouping(Vec<Expr>),
    /// `EXTRACT(unit FROM operand)`.
    Extract {
        /// The unit.
        unit: IntervalUnit,
        /// A date or time.
        operand: Box<Expr>,
    },
    /// `operand ± INTERVAL amount unit`, DATE_ADD, DATE_SUB, ADDDATE, SUBDATE, TIMESTAMPADD.
    DateArithmetic {
        /// Minus instead of plus.
        subtract: bool,
        /// A date or time.
        operand: Box<Expr>,
        /// How many.
        amount: Box<Expr>,
        /// Of what.
        unit: IntervalUnit,
    },
    /// `TIMESTAMPDIFF(unit, from, to)`.
    TimestampDiff {
        /// The unit.
        unit: IntervalUnit,
        /// The first moment.
        from: Box<Expr>,
        /// The second moment.
        to: Box<Expr>,
    },
    /// `GET_FORMAT(DATE, 'USA')`; `kind` is DATE, TIME or DATETIME.
    GetFormat {
        /// DATE, TIME or DATETIME.
        kind: String,
        /// The place.
        operand: Box<Expr>,
    },
    /// `TRIM([side] [what] FROM operand)`.
    Trim {
        /// Which end.
        side: TrimSide,
        /// What is removed; blanks when it is not named.
        what: Option<Box<Expr>>,
        /// The text.
        operand: Box<Expr>,
    },
    /// `CHAR(args USING charset)`.
    Char {
        /// Character codes.
        args: Vec<Expr>,
        /// The character set, when it is named.
        charset: Option<String>,
    },
    /// `WEIGHT_STRING(operand [AS CHAR(n) | AS BINARY(n)])`.
    WeightString {
        /// The text.
        operand: Box<Expr>,
        /// The type it is padded or cut to.
        as_type: Option<CastType>,
    },
    /// `VALUES(column)` in ON DUPLICATE KEY UPDATE.
    Values(ColumnName),
    /// `DEFAULT(column)`; in a list of values also the bare word DEFAULT (then `None`).
    Default(Option<ColumnName>),
    /// `NEXTVAL(name)`, `LASTVAL(name)` or `SETVAL(name, args)`.
    Sequence {
        /// Which of them.
        function: SequenceFunction,
        /// The sequence.
        name: TableName,
        /// What stands behind the name; only SETVAL has any.
        args: Vec<Expr>,
    },
    /// `(a, b)` or `ROW(a, b)`: at least two members.
    Row(Vec<Expr>),
    /// `(SELECT …)`.
    Subquery(Box<Query>),
    /// `EXISTS (SELECT …)`.
    Exists(Box<Query>),
    /// `left op ANY|SOME|ALL (SELECT …)`.
    Quantified {
        /// Left side.
        left: Box<Expr>,
        /// A comparison.
        op: BinaryOp,
        /// ALL instead of ANY.
        all: bool,
        /// The right side.
        query: Box<Query>,
    },
    /// `MATCH (columns) AGAINST (text …)`.
    Match {
        /// The columns.
        columns: Vec<ColumnName>,
        /// The words.
        against: Box<Expr>,
        /// The modifier in capitals, for example `IN BOOLEAN MODE`; empty when there is none.
        modifier: String,
    },
    /// `column -> path`, `column ->> path`.
    JsonPath {
        /// A JSON column.
        column: ColumnName,
        /// The path.
        path: String,
        /// `->>`.
        unquote: bool,
    },
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// NULL.
    Null,
    /// TRUE, FALSE: integers 1 and 0.
    Bool(bool),
    /// An integer that fits 64 bits; a minus before it is a unary operator.
    Integer(u64),
    /// An exact number: digits with a point, or an integer of more than 64 bits.
    Decimal(String),
    /// A number with an exponent: its text, which a finite `f64` can hold.
    Double(String),
    /// A string.
    String {
        /// The text, escapes resolved, adjacent strings joined.
        value: String,
        /// The introducer (`_utf8mb4` without its underscore), `utf8mb3` for `N'…'`.
        charset: Option<String>,
        /// What names a select item: the first of adjacent strings.
        first: SourceText,
    },
    /// `x'41'`, `0x41`, `b'01'`, `0b01`.
    Bytes {
        /// The bytes.
        value: Vec<u8>,
        /// The introducer.
        charset: Option<String>,
        /// Written in bits, for naming and printing.
        bits: bool,
    },
    /// `DATE '…'`.
    Date(String),
    /// `TIME '…'`.
    Time(String),
    /// `TIMESTAMP '…'`: a DATETIME.
    Timestamp(String),
}

/// A prefix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-a`.
    Minus,
    /// `+a`.
    Plus,
    /// `~a`.
    BitNot,
    /// `NOT a`, `!a`.
    Not,
}

/// An infix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// OR (and `||` unless PIPES_AS_CONCAT).
    Or,
    /// XOR.
    Xor,
    /// AND, `&&`.
    And,
    /// `=`.
    Equal,
    /// `<=>`.
    NullSafeEqual,
    /// `<>`, `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterEqual,
    /// `|`.
    BitOr,
    /// `&`.
    BitAnd,
    /// `<<`.
    ShiftLeft,
    /// `>>`.
    ShiftRight,
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// DIV.
    IntegerDivide,
    /// `%`, MOD.
    Modulo,
    /// `^`.
    BitXor,
}

impl BinaryOp {
    /// Whether this compares (and so may stand before ANY and ALL).
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Equal | NullSafeEqual | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }
}

/// What IS tests for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsTest {
    /// IS NULL.
    Null,
    /// IS TRUE.
    True,
    /// IS FALSE.
    False,
    /// IS UNKNOWN: like NULL, but of a truth value.
    Unknown,
}

/// Where a system variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableScope {
    /// GLOBAL.
    Global,
    /// SESSION or LOCAL.
    Session,
    /// PERSIST: global, and kept over a restart.
    Persist,
    /// PERSIST_ONLY: kept for the next start, without effect now.
    PersistOnly,
}

/// Which end TRIM works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimSide {
    /// Both ends.
    Both,
    /// The start.
    Leading,
    /// The end.
    Trailing,
}

/// A type that a cast can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CastType {
    /// SIGNED [INTEGER].
    Signed,
    /// UNSIGNED [INTEGER].
    Unsigned,
    /// CHAR(length) CHARACTER SET charset.
    Char {
        /// Characters, when they are limited.
        length: Option<u32>,
        /// Character set; `binary` for BYTE.
        charset: Option<String>,
    },
    /// BINARY(length).
    Binary {
        /// Bytes, when they are limited.
        length: Option<u32>,
    },
    /// DATE.
    Date,
    /// TIME(decimals).
    Time {
        /// Digits of the fraction of a second.
        decimals: u8,
    },
    /// DATETIME(decimals).
    DateTime {
        /// Digits of the fraction of a second.
        decimals: u8,
    },
    /// DECIMAL(precision, scale); MySQL's default is (10, 0).
    Decimal {
        /// Digits in all; values beyond 65 are refused by the binder with error 1426.
        precision: u32,
        /// Digits after the point.
        scale: u32,
    },
    /// FLOAT.
    Float,
    /// DOUBLE, REAL.
    Double,
    /// YEAR.
    Year,
    /// JSON.
    Json,
}

/// Units of intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are MySQL's")]
pub enum IntervalUnit {
    Microsecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    SecondMicrosecond,
    MinuteMicrosecond,
    MinuteSecond,
    HourMicrosecond,
    HourSecond,
    HourMinute,
    DayMicrosecond,
    DaySecond,
    DayMinute,
    DayHour,
    YearMonth,
}

impl IntervalUnit {
    /// All units with their names.
    pub const ALL: [(IntervalUnit, &'static str); 20] = [
        (IntervalUnit::Microsecond, "MICROSECOND"),
        (IntervalUnit::Second, "SECOND"),
        (IntervalUnit::Minute, "MINUTE"),
        (IntervalUnit::Hour, "HOUR"),
        (IntervalUnit::Day, "DAY"),
        (IntervalUnit::Week, "WEEK"),
        (IntervalUnit::Month, "MONTH"),
        (IntervalUnit::Quarter, "QUARTER"),
        (IntervalUnit::Year, "YEAR"),
        (IntervalUnit::SecondMicrosecond, "SECOND_MICROSECOND"),
        (IntervalUnit::MinuteMicrosecond, "MINUTE_MICROSECOND"),
        (IntervalUnit::MinuteSecond, "MINUTE_SECOND"),
        (IntervalUnit::HourMicrosecond, "HOUR_MICROSECOND"),
        (IntervalUnit::HourSecond, "HOUR_SECOND"),
        (IntervalUnit::HourMinute, "HOUR_MINUTE"),
        (IntervalUnit::DayMicrosecond, "DAY_MICROSECOND"),
        (IntervalUnit::DaySecond, "DAY_SECOND"),
        (IntervalUnit::DayMinute, "DAY_MINUTE"),
        (IntervalUnit::DayHour, "DAY_HOUR"),
        (IntervalUnit::YearMonth, "YEAR_MONTH"),
    ];

    /// The unit of this name, in any case; `SQL_TSI_` names count, too.
    pub fn from_name(name: &str) -> Option<IntervalUnit> {
        let name = match name.get(..8) {
            Some(prefix) if prefix.eq_ignore_ascii_case("SQL_TSI_") => &name[8..],
            _ => name,
        };
        Self::ALL.iter().find(|(_, word)| word.eq_ignore_ascii_case(name)).map(|(unit, _)| *unit)
    }

    /// The name in capitals.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(unit, _)| *unit == self).map_or("", |(_, name)| name)
    }
}

/// An aggregate function's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Which function.
    pub kind: AggregateKind,
    /// DISTINCT.
    pub distinct: bool,
    /// Arguments; empty for `COUNT(*)`. COUNT(DISTINCT) and GROUP_CONCAT may have several.
    pub args: Vec<Expr>,
    /// ORDER BY of GROUP_CONCAT.
    pub order_by: Vec<OrderItem>,
    /// SEPARATOR of GROUP_CONCAT.
    pub separator: Option<String>,
}

/// Aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are MySQL's")]
pub enum AggregateKind {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    GroupConcat,
    BitAnd,
    BitOr,
    BitXor,
    StdDevPop,
    StdDevSamp,
    VarPop,
    VarSamp,
    JsonArrayAgg,
    JsonObjectAgg,
}

impl AggregateKind {
    /// Every spelling; the first one of a kind is printed.
    pub const NAMES: [(AggregateKind, &'static str); 18] = [
        (AggregateKind::Count, "COUNT"),
        (AggregateKind::Sum, "SUM"),
        (AggregateKind::Avg, "AVG"),
        (AggregateKind::Min, "MIN"),
        (AggregateKind::Max, "MAX"),
        (AggregateKind::GroupConcat, "GROUP_CONCAT"),
        (AggregateKind::BitAnd, "BIT_AND"),
        (AggregateKind::BitOr, "BIT_OR"),
        (AggregateKind::BitXor, "BIT_XOR"),
        (AggregateKind::StdDevPop, "STDDEV_POP"),
        (AggregateKind::StdDevPop, "STDDEV"),
        (AggregateKind::StdDevPop, "STD"),
        (AggregateKind::StdDevSamp, "STDDEV_SAMP"),
        (AggregateKind::VarPop, "VAR_POP"),
        (AggregateKind::VarPop, "VARIANCE"),
        (AggregateKind::VarSamp, "VAR_SAMP"),
        (AggregateKind::JsonArrayAgg, "JSON_ARRAYAGG"),
        (AggregateKind::JsonObjectAgg, "JSON_OBJECTAGG"),
    ];

    /// The function of this name, in any case.
    pub fn from_name(name: &str) -> Option<AggregateKind> {
        Self::NAMES.iter().find(|(_, word)| word.eq_ignore_ascii_case(name)).map(|(kind, _)| *kind)
    }

    /// The name in capitals.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// What follows OVER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// A window of the WINDOW clause.
    Name(String),
    /// A window of its own.
    Spec(WindowSpec),
}

/// A window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowSpec {
    /// The window it extends.
    pub base: Option<String>,
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// ROWS or RANGE.
    pub frame: Option<Frame>,
}

/// ROWS or RANGE of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// ROWS; else RANGE.
    pub rows: bool,
    /// Where it starts.
    pub start: FrameBound,
    /// Where it ends; the current row when it is not said.
    pub end: Option<FrameBound>,
}

/// A bound of a window's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameBound {
    /// UNBOUNDED PRECEDING.
    UnboundedPreceding,
    /// `n PRECEDING`.
    Preceding(FrameOffset),
    /// CURRENT ROW.
    CurrentRow,
    /// `n FOLLOWING`.
    Following(FrameOffset),
    /// UNBOUNDED FOLLOWING.
    UnboundedFollowing,
}

/// A distance in a window's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameOffset {
    /// How far.
    pub amount: Box<Expr>,
    /// The unit of `INTERVAL amount unit`.
    pub unit: Option<IntervalUnit>,
}

/// One expression of ORDER BY or GROUP BY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderItem {
    /// What is ordered by; an integer literal is a position of the select list, from 1.
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
}

impl Expr {
    /// An expression without a place in a text.
    pub fn new(kind: ExprKind) -> Expr {
        Expr { kind, span: Span::default() }
    }

    /// Whether this is an aggregate call itself (not: contains one).
    pub fn is_aggregate(&self) -> bool {
        matches!(self.kind, ExprKind::Aggregate(_))
    }
}

impl ColumnName {
    /// A column without table and database.
    pub fn bare(column: impl Into<String>) -> ColumnName {
        ColumnName { database: None, table: None, column: column.into() }
    }
}

impl std::fmt::Display for ColumnName {
    /// As error messages name it: `table.column`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in [&self.database, &self.table].into_iter().flatten() {
            write!(f, "{part}.")?;
        }
        f.write_str(&self.column)
    }
}

impl std::fmt::Display for TableName {
    /// As error messages name it: `database.table`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}.")?;
        }
        f.write_str(&self.name)
    }
}
