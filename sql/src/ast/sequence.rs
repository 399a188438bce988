//! Sequences: their statements, and the functions that ask them.

use super::TableName;

/// CREATE, ALTER or DROP SEQUENCE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceStatement {
    /// CREATE SEQUENCE.
    Create {
        /// OR REPLACE.
        or_replace: bool,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The sequence.
        name: TableName,
        /// What it is to be.
        options: SequenceOptions,
    },
    /// ALTER SEQUENCE.
    Alter {
        /// IF EXISTS.
        if_exists: bool,
        /// The sequence.
        name: TableName,
        /// What is changed.
        options: SequenceOptions,
    },
    /// DROP SEQUENCE.
    Drop {
        /// IF EXISTS.
        if_exists: bool,
        /// The sequences.
        names: Vec<TableName>,
    },
}

/// Options of a sequence; `None` where one is not named. Numbers may be larger than a sequence can hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceOptions {
    /// `AS type`.
    pub of: Option<SequenceType>,
    /// START WITH.
    pub start: Option<i128>,
    /// INCREMENT BY.
    pub increment: Option<i128>,
    /// MINVALUE; NO MINVALUE is `Some(None)`.
    pub min: Option<Option<i128>>,
    /// MAXVALUE; NO MAXVALUE is `Some(None)`.
    pub max: Option<Option<i128>>,
    /// CACHE; NOCACHE is 0.
    pub cache: Option<u64>,
    /// CYCLE or NOCYCLE.
    pub cycle: Option<bool>,
    /// RESTART of ALTER SEQUENCE, and the value behind it.
    pub restart: Option<Option<i128>>,
}

/// The type of a sequence's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceType {
    /// TINYINT, SMALLINT, MEDIUMINT, INT, INTEGER or BIGINT.
    pub name: &'static str,
    /// UNSIGNED.
    pub unsigned: bool,
}

/// What is asked of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceFunction {
    /// NEXTVAL or NEXT VALUE FOR.
    Next,
    /// LASTVAL or PREVIOUS VALUE FOR.
    Last,
    /// SETVAL.
    Set,
}

impl SequenceFunction {
    /// As it is written before parentheses.
    pub fn name(self) -> &'static str {
        match self {
            SequenceFunction::Next => "NEXTVAL",
            SequenceFunction::Last => "LASTVAL",
            SequenceFunction::Set => "SETVAL",
        }
    }
}
