//! SELECT and what it reads from.

use super::{
    ColumnName, Expr, ExprKind, Literal, OrderItem, SourceText, Span, TableName, WindowSpec,
};

/// A query with the clauses that belong to the whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// WITH.
    pub with: Option<With>,
    /// SELECT, UNION, VALUES, TABLE or a query in parentheses.
    pub body: QueryBody,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// LIMIT.
    pub limit: Option<Limit>,
    /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE.
    pub locks: Vec<LockClause>,
    /// INTO.
    pub into: Option<SelectInto>,
    /// Where it stands.
    pub span: Span,
}

/// WITH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct With {
    /// RECURSIVE.
    pub recursive: bool,
    /// The named queries.
    pub tables: Vec<CommonTable>,
}

/// One named query of WITH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonTable {
    /// Its name.
    pub name: String,
    /// Names of its columns; the query's own when empty.
    pub columns: Vec<String>,
    /// The query.
    pub query: Box<Query>,
}

/// What produces a query's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryBody {
    /// SELECT.
    Select(Box<Select>),
    /// UNION, INTERSECT, EXCEPT.
    SetOperation {
        /// Which.
        op: SetOperator,
        /// ALL: duplicates stay.
        all: bool,
        /// Left side.
        left: Box<QueryBody>,
        /// Right side.
        right: Box<QueryBody>,
    },
    /// `VALUES ROW(…), …`.
    Values(Vec<Vec<Expr>>),
    /// `TABLE t`.
    Table(TableName),
    /// A query in parentheses that has clauses of its own.
    Query(Box<Query>),
}

/// Operators between queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperator {
    /// UNION.
    Union,
    /// INTERSECT; binds tighter.
    Intersect,
    /// EXCEPT.
    Except,
}

/// SELECT up to its WINDOW clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// DISTINCT.
    pub distinct: bool,
    /// STRAIGHT_JOIN, SQL_NO_CACHE, …
    pub options: SelectOptions,
    /// The select list.
    pub items: Vec<SelectItem>,
    /// FROM; several when separated by commas; empty without FROM and for DUAL.
    pub from: Vec<TableRef>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// GROUP BY; `descending` is never set, as MySQL 8 has no direction here.
    pub group_by: Vec<OrderItem>,
    /// WITH ROLLUP.
    pub rollup: bool,
    /// HAVING.
    pub having: Option<Expr>,
    /// WINDOW.
    pub windows: Vec<(String, WindowSpec)>,
    /// Text of the optimizer hints `/*+ … */`; empty when there are none.
    pub hints: String,
}

/// Words between SELECT and the select list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelectOptions {
    /// HIGH_PRIORITY.
    pub high_priority: bool,
    /// STRAIGHT_JOIN.
    pub straight_join: bool,
    /// SQL_SMALL_RESULT.
    pub small_result: bool,
    /// SQL_BIG_RESULT.
    pub big_result: bool,
    /// SQL_BUFFER_RESULT.
    pub buffer_result: bool,
    /// SQL_NO_CACHE.
    pub no_cache: bool,
    /// SQL_CALC_FOUND_ROWS.
    pub calc_found_rows: bool,
}

/// One item of the select list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectItem {
    /// `*`.
    Wildcard,
    /// `table.*`, `database.table.*`.
    TableWildcard(TableName),
    /// An expression.
    Expr {
        /// The expression.
        expr: Expr,
        /// Its alias.
        alias: Option<String>,
        /// Its text as written, which names it when there is no alias.
        text: SourceText,
    },
}

impl SelectItem {
    /// The name of the result column; `None` for wildcards.
    pub fn name(&self) -> Option<String> {
        let SelectItem::Expr { expr, alias, text } = self else { return None };
        if let Some(alias) = alias {
            return Some(alias.clone());
        }
        Some(match &expr.kind {
            ExprKind::Column(ColumnName { column, .. }) => column.clone(),
            ExprKind::Literal(Literal::String { first, charset: None, .. }) => {
                // MySQL drops leading blanks and control characters of a name.
                first.0.trim_start_matches(|c: char| c <= ' ').to_string()
            }
            ExprKind::Function { name, args, .. } if name.eq_ignore_ascii_case("name_const") => {
                match args.first().map(|arg| &arg.kind) {
                    Some(ExprKind::Literal(Literal::String { value, .. })) => value.clone(),
                    _ => text.0.trim().to_string(),
                }
            }
            ExprKind::Literal(Literal::Null) => "NULL".to_string(),
            ExprKind::Literal(Literal::Bool(value)) => {
                if *value { "TRUE" } else { "FALSE" }.to_string()
            }
            _ => text.0.trim().to_string(),
        })
    }
}

/// Something rows are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableRef {
    /// A table.
    Table(Box<TableSource>),
    /// A query in parentheses.
    Derived {
        /// LATERAL.
        lateral: bool,
        /// The query.
        query: Box<Query>,
        /// Its alias.
        alias: String,
        /// Names of its columns; the query's own when empty.
        columns: Vec<String>,
    },
    /// A join.
    Join {
        /// Which.
        kind: JoinKind,
        /// Left side.
        left: Box<TableRef>,
        /// Right side.
        right: Box<TableRef>,
        /// What rows must agree in.
        constraint: JoinConstraint,
    },
}

/// A table in FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSource {
    /// The table.
    pub name: TableName,
    /// PARTITION (…).
    pub partitions: Vec<String>,
    /// Its alias.
    pub alias: Option<String>,
    /// AS OF TIMESTAMP: when it is read; now when `None`.
    pub as_of: Option<Box<Expr>>,
    /// USE / FORCE / IGNORE INDEX.
    pub hints: Vec<IndexHint>,
    /// Where the name stands.
    pub span: Span,
}

/// How two sides are joined. MySQL's CROSS JOIN is INNER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// `,`, JOIN, INNER JOIN, CROSS JOIN.
    Inner,
    /// STRAIGHT_JOIN: inner, the left side is read first.
    Straight,
    /// LEFT JOIN.
    Left,
    /// RIGHT JOIN.
    Right,
}

/// What rows of both sides must agree in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinConstraint {
    /// Every pair.
    None,
    /// ON condition.
    On(Expr),
    /// USING (columns).
    Using(Vec<String>),
    /// NATURAL.
    Natural,
}

/// USE INDEX and its relatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexHint {
    /// USE, FORCE or IGNORE.
    pub action: IndexHintAction,
    /// FOR JOIN, FOR ORDER BY, FOR GROUP BY; everything when `None`.
    pub purpose: Option<IndexHintPurpose>,
    /// Names of indexes.
    pub indexes: Vec<String>,
}

/// What an index hint asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexHintAction {
    /// USE.
    Use,
    /// FORCE.
    Force,
    /// IGNORE.
    Ignore,
}

/// What an index hint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexHintPurpose {
    /// FOR JOIN.
    Join,
    /// FOR ORDER BY.
    OrderBy,
    /// FOR GROUP BY.
    GroupBy,
}

/// LIMIT; both are unsigned integers, `?` or variables of a routine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// At most so many rows.
    pub count: Expr,
    /// After leaving out so many.
    pub offset: Option<Expr>,
}

/// FOR UPDATE or FOR SHARE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockClause {
    /// UPDATE or SHARE.
    pub strength: LockStrength,
    /// OF tables; all when empty.
    pub tables: Vec<TableName>,
    /// What happens at a locked row.
    pub wait: LockWait,
}

/// Strength of a locking read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockStrength {
    /// FOR UPDATE.
    Update,
    /// FOR SHARE, LOCK IN SHARE MODE.
    Share,
}

/// What a locking read does at a locked row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Waits.
    Wait,
    /// NOWAIT: error 3572.
    NoWait,
    /// SKIP LOCKED.
    SkipLocked,
}

/// Where a value goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntoTarget {
    /// A user variable, without `@`.
    User(String),
    /// A variable of a stored program.
    Local(String),
}

/// INTO of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectInto {
    /// Variables.
    Variables(Vec<IntoTarget>),
    /// INTO OUTFILE.
    Outfile {
        /// The file.
        file: String,
        /// CHARACTER SET.
        charset: Option<String>,
        /// FIELDS and LINES.
        format: super::FileFormat,
    },
    /// INTO DUMPFILE.
    Dumpfile(String),
}
