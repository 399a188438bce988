//! Statements that change rows.

use super::{ColumnName, Expr, Limit, OrderItem, Query, TableName, TableRef, TableSource, With};

/// INSERT or REPLACE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert {
    /// REPLACE.
    pub replace: bool,
    /// IGNORE.
    pub ignore: bool,
    /// LOW_PRIORITY, DELAYED, HIGH_PRIORITY.
    pub priority: Option<Priority>,
    /// The table.
    pub table: TableName,
    /// PARTITION (…).
    pub partitions: Vec<String>,
    /// The columns that are given; all when `None`. `INSERT t () VALUES ()` has an empty list.
    pub columns: Option<Vec<ColumnName>>,
    /// Where the rows come from.
    pub source: InsertSource,
    /// `AS alias (columns)` of the new row.
    pub row_alias: Option<RowAlias>,
    /// ON DUPLICATE KEY UPDATE; empty when there is none.
    pub on_duplicate: Vec<Assignment>,
}

/// LOW_PRIORITY and its relatives: read and without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// LOW_PRIORITY.
    Low,
    /// DELAYED.
    Delayed,
    /// HIGH_PRIORITY.
    High,
    /// CONCURRENT (LOAD DATA).
    Concurrent,
}

/// Where inserted rows come from. `SET a = 1` is columns and one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertSource {
    /// VALUES; `DEFAULT` is [`super::ExprKind::Default`] with `None`.
    Values(Vec<Vec<Expr>>),
    /// A query.
    Query(Box<Query>),
}

/// Name of the row that INSERT tried to insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowAlias {
    /// The name.
    pub name: String,
    /// New names of its columns; the table's when empty.
    pub columns: Vec<String>,
}

/// `column = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The column.
    pub column: ColumnName,
    /// Its new value; may be the bare word DEFAULT.
    pub value: Expr,
}

/// UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// WITH.
    pub with: Option<With>,
    /// LOW_PRIORITY.
    pub low_priority: bool,
    /// IGNORE.
    pub ignore: bool,
    /// The tables; one without joins is the single-table form.
    pub tables: Vec<TableRef>,
    /// SET.
    pub assignments: Vec<Assignment>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// ORDER BY; refused for several tables.
    pub order_by: Vec<OrderItem>,
    /// LIMIT; refused for several tables.
    pub limit: Option<Limit>,
}

/// DELETE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// WITH.
    pub with: Option<With>,
    /// LOW_PRIORITY.
    pub low_priority: bool,
    /// QUICK.
    pub quick: bool,
    /// IGNORE.
    pub ignore: bool,
    /// What is deleted from.
    pub target: DeleteTarget,
    /// WHERE.
    pub filter: Option<Expr>,
    /// ORDER BY; only in the single-table form.
    pub order_by: Vec<OrderItem>,
    /// LIMIT; only in the single-table form.
    pub limit: Option<Limit>,
}

/// What DELETE works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteTarget {
    /// `DELETE FROM t [AS a] …`.
    Single(Box<TableSource>),
    /// `DELETE a, b FROM …` and `DELETE FROM a, b USING …`.
    Multi {
        /// Tables (or aliases) that lose rows.
        targets: Vec<TableName>,
        /// What is joined to find them.
        from: Vec<TableRef>,
    },
}

/// LOAD DATA or LOAD XML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadData {
    /// LOAD XML.
    pub xml: bool,
    /// LOW_PRIORITY or CONCURRENT.
    pub priority: Option<Priority>,
    /// LOCAL: the client sends the file.
    pub local: bool,
    /// The file.
    pub file: String,
    /// REPLACE or IGNORE of duplicates.
    pub duplicates: LoadDuplicates,
    /// The table.
    pub table: TableName,
    /// PARTITION (…).
    pub partitions: Vec<String>,
    /// CHARACTER SET.
    pub charset: Option<String>,
    /// FIELDS and LINES.
    pub format: FileFormat,
    /// ROWS IDENTIFIED BY of LOAD XML.
    pub rows_identified_by: Option<String>,
    /// IGNORE n LINES.
    pub ignore_lines: u64,
    /// Where fields go; all columns in order when empty.
    pub fields: Vec<LoadField>,
    /// SET.
    pub assignments: Vec<Assignment>,
}

/// What LOAD DATA does with a duplicate key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadDuplicates {
    /// An error, or IGNORE when LOCAL.
    Default,
    /// REPLACE.
    Replace,
    /// IGNORE.
    Ignore,
}

/// Where a field of a line goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadField {
    /// Into a column.
    Column(ColumnName),
    /// Into a user variable, without `@`.
    Variable(String),
}

/// FIELDS and LINES of LOAD DATA and INTO OUTFILE, with MySQL's defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFormat {
    /// FIELDS TERMINATED BY, default tab.
    pub fields_terminated_by: String,
    /// FIELDS ENCLOSED BY: none or one character.
    pub fields_enclosed_by: String,
    /// OPTIONALLY: only strings are enclosed (INTO OUTFILE).
    pub optionally_enclosed: bool,
    /// FIELDS ESCAPED BY: none or one character, default backslash.
    pub fields_escaped_by: String,
    /// LINES STARTING BY, default none.
    pub lines_starting_by: String,
    /// LINES TERMINATED BY, default line feed.
    pub lines_terminated_by: String,
}

impl Default for FileFormat {
    fn default() -> FileFormat {
        FileFormat {
            fields_terminated_by: "\t".to_string(),
            fields_enclosed_by: String::new(),
            optionally_enclosed: false,
            fields_escaped_by: "\\".to_string(),
            lines_starting_by: String::new(),
            lines_terminated_by: "\n".to_string(),
        }
    }
}
