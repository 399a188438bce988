//! FOREIGN KEY, REFERENCES and CHECK.

use super::{Expr, TableName};

/// FOREIGN KEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub constraint: Option<String>,
    /// Name of the index.
    pub index: Option<String>,
    /// The columns.
    pub columns: Vec<String>,
    /// What they refer to.
    pub reference: Reference,
}

/// REFERENCES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The table.
    pub table: TableName,
    /// Its columns.
    pub columns: Vec<String>,
    /// MATCH FULL, PARTIAL or SIMPLE.
    pub matching: Option<String>,
    /// ON DELETE.
    pub on_delete: Option<ReferenceAction>,
    /// ON UPDATE.
    pub on_update: Option<ReferenceAction>,
}

/// What happens to rows that refer to a changed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceAction {
    /// RESTRICT.
    Restrict,
    /// CASCADE.
    Cascade,
    /// SET NULL.
    SetNull,
    /// NO ACTION.
    NoAction,
    /// SET DEFAULT.
    SetDefault,
}

/// CHECK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Name of the constraint.
    pub name: Option<String>,
    /// The condition.
    pub expr: Expr,
    /// NOT ENFORCED is false.
    pub enforced: bool,
}
