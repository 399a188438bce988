//! Views: their statements. What a stored object is executed as (`SqlSecurity`) holds for routines, too.

use super::{AccountName, Query, TableName};

/// CREATE, ALTER or DROP VIEW.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewStatement {
    /// CREATE VIEW.
    Create {
        /// OR REPLACE.
        or_replace: bool,
        /// What it is to be.
        view: ViewDefinition,
    },
    /// ALTER VIEW: the whole definition anew.
    Alter(ViewDefinition),
    /// DROP VIEW.
    Drop {
        /// IF EXISTS.
        if_exists: bool,
        /// The views.
        names: Vec<TableName>,
    },
}

/// What a view is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewDefinition {
    /// ALGORITHM; UNDEFINED when it is not said.
    pub algorithm: Option<ViewAlgorithm>,
    /// DEFINER; whoever creates it when it is not said.
    pub definer: Option<AccountName>,
    /// SQL SECURITY; DEFINER when it is not said.
    pub security: Option<SqlSecurity>,
    /// The view.
    pub name: TableName,
    /// Names of its columns; the query's own when empty.
    pub columns: Vec<String>,
    /// What it shows.
    pub query: Box<Query>,
    /// WITH CHECK OPTION.
    pub check: Option<CheckOption>,
}

/// How a view is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewAlgorithm {
    /// As the server likes.
    Undefined,
    /// As a part of the query that names it.
    Merge,
    /// As a table that is filled first.
    TempTable,
}

impl ViewAlgorithm {
    /// All of them.
    pub const ALL: [ViewAlgorithm; 3] =
        [ViewAlgorithm::Undefined, ViewAlgorithm::Merge, ViewAlgorithm::TempTable];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            ViewAlgorithm::Undefined => "UNDEFINED",
            ViewAlgorithm::Merge => "MERGE",
            ViewAlgorithm::TempTable => "TEMPTABLE",
        }
    }
}

/// Which rows may be written through a view: those that it shows afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOption {
    /// This view's condition, and those below that say so themselves.
    Local,
    /// The conditions of all views below, too; what WITH CHECK OPTION alone means.
    Cascaded,
}

/// Whose privileges count when a stored object is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlSecurity {
    /// Those of its definer.
    Definer,
    /// Those of whoever uses it.
    Invoker,
}

impl SqlSecurity {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            SqlSecurity::Definer => "DEFINER",
            SqlSecurity::Invoker => "INVOKER",
        }
    }
}
