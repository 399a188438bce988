//! A session: what one client's connection has in its hands.
//!
//! ```text
//! text ──parse──> statement ──┬─ point plan ──────────────┐
//!                             ├─ query (binder, exec) ────┼──> Outcome
//!                             ├─ dml, ddl, show, set ─────┘
//! ```
//!
//! Reading order: this file (what the gateway calls), `statement` (dispatch), `transaction` (what
//! BEGIN, COMMIT and autocommit mean), `past`, `replica_read` (reads at followers), `xa` (transactions that an outside manager ends), `token` (what became of
//! one), `commits` (how they were committed, counted), `table_gate` (what keeps to LOCK TABLES), `table_locks`, `younger` (definitions that changed meanwhile),
//! `variables` (what a session remembers), `prepared`, `query`, `on_sets` (statements on a part of the cluster).
//!
//! Invariants:
//! 1. A statement that fails changes nothing, also inside a transaction.
//! 2. Only an autocommit statement that certainly did nothing is redone.
//! 3. Every statement runs against one catalog version; a transaction that wrote under another version of the same table is
//!    refused with 1412 or 1213 (of its indexes, only when they are more than one state further), and a statement that reads a table younger than its read point with 1412.
//!
//! Not here: packets, passwords, Raft.

mod call;
pub(crate) mod commits;
pub mod connection;
mod found_rows;
pub mod infile;
pub(crate) mod kill;
pub(crate) mod locking;
mod on_sets;
pub(crate) mod past;
pub mod prepared;
pub mod query;
pub(crate) mod replica_read;
pub(crate) mod sequences;
pub(crate) mod sleep;
pub mod statement;
pub(crate) mod table_gate;
pub(crate) mod table_locks;
pub(crate) mod table_uses;
mod temporary;
pub(crate) mod token;
pub mod transaction;
pub(crate) mod user_locks;
pub mod variables;
pub(crate) mod xa;
mod younger;

use crate::Result;
use crate::types::SqlType;
use crate::value::Row;
use futures::stream::Stream;
use std::pin::Pin;
use std::sync::Arc;

pub use connection::{Session, SessionInfo, SessionStatus};
pub use prepared::Prepared;
pub use xa::oldest_prepared;

/// A column of a result, as the protocol describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnMeta {
    /// Database of the original column; empty for expressions.
    pub database: String,
    /// Alias of its table.
    pub table: String,
    /// Name of its table.
    pub org_table: String,
    /// Name in the result.
    pub name: String,
    /// Name in its table.
    pub org_name: String,
    /// Type.
    pub ty: SqlType,
    /// MySQL's column flags.
    pub flags: ColumnFlags,
    /// Default value as text; only COM_FIELD_LIST sends it.
    pub default: Option<String>,
}

impl ColumnMeta {
    /// A column that stands in no table.
    pub fn computed(name: impl Into<String>, ty: SqlType) -> ColumnMeta {
        ColumnMeta {
            database: String::new(),
            table: String::new(),
            org_table: String::new(),
            name: name.into(),
            org_name: String::new(),
            // MySQL calls numbers that are computed binary, those of columns not.
            flags: match ty.is_numeric() {
                true => ColumnFlags::of_type(&ty).with(ColumnFlags::BINARY),
                false => ColumnFlags::of_type(&ty),
            },
            ty,
            default: None,
        }
    }
}

/// MySQL's column flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnFlags(pub u16);

impl ColumnFlags {
    /// Never NULL.
    pub const NOT_NULL: ColumnFlags = ColumnFlags(1);
    /// Part of the primary key.
    pub const PRI_KEY: ColumnFlags = ColumnFlags(2);
    /// A unique key by itself.
    pub const UNIQUE_KEY: ColumnFlags = ColumnFlags(4);
    /// First column of a key that allows equal values.
    pub const MULTIPLE_KEY: ColumnFlags = ColumnFlags(8);
    /// BLOB or TEXT.
    pub const BLOB: ColumnFlags = ColumnFlags(16);
    /// UNSIGNED.
    pub const UNSIGNED: ColumnFlags = ColumnFlags(32);
    /// ZEROFILL.
    pub const ZEROFILL: ColumnFlags = ColumnFlags(64);
    /// Binary collation.
    pub const BINARY: ColumnFlags = ColumnFlags(128);
    /// ENUM.
    pub const ENUM: ColumnFlags = ColumnFlags(256);
    /// AUTO_INCREMENT.
    pub const AUTO_INCREMENT: ColumnFlags = ColumnFlags(512);
    /// TIMESTAMP.
    pub const TIMESTAMP: ColumnFlags = ColumnFlags(1024);
    /// SET.
    pub const SET: ColumnFlags = ColumnFlags(2048);
    /// NOT NULL without a default.
    pub const NO_DEFAULT_VALUE: ColumnFlags = ColumnFlags(4096);
    /// ON UPDATE CURRENT_TIMESTAMP.
    pub const ON_UPDATE_NOW: ColumnFlags = ColumnFlags(8192);
    /// Part of some key.
    pub const PART_KEY: ColumnFlags = ColumnFlags(16384);
    /// A number.
    pub const NUM: ColumnFlags = ColumnFlags(32768);

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: ColumnFlags) -> ColumnFlags {
        ColumnFlags(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    pub fn contains(self, other: ColumnFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// What a type alone says.
    pub fn of_type(ty: &SqlType) -> ColumnFlags {
        use crate::collation::CollationId;
        use crate::types::TypeKind::*;
        let mut flags = ColumnFlags::default();
        if !ty.nullable {
            flags = flags.with(ColumnFlags::NOT_NULL);
        }
        if (ty.unsigned && !ty.has_members()) || ty.kind == Year {
            flags = flags.with(ColumnFlags::UNSIGNED);
        }
        match ty.kind {
            TinyInt | SmallInt | MediumInt | Int | BigInt | Decimal | Float | Double => {
                flags = flags.with(ColumnFlags::NUM);
            }
            Year => {
                flags = flags.with(ColumnFlags::NUM).with(ColumnFlags::ZEROFILL);
            }
            TinyText | Text | MediumText | LongText | Geometry => {
                flags = flags.with(ColumnFlags::BLOB)
            }
            Json => flags = flags.with(ColumnFlags::BLOB).with(ColumnFlags::BINARY),
            Date | Time | DateTime | Timestamp | Null => flags = flags.with(ColumnFlags::BINARY),
            Enum => flags = flags.with(ColumnFlags::ENUM),
            Set => flags = flags.with(ColumnFlags::SET),
            Char | Varchar | Bit => {}
        }
        if ty.kind == Timestamp {
            flags = flags.with(ColumnFlags::TIMESTAMP);
        }
        if ty.is_string() && ty.collation == CollationId::BINARY {
            flags = flags.with(ColumnFlags::BINARY);
        }
        flags
    }
}

/// Pages of rows that come as the client takes them.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<Vec<Row>>> + Send>>;

/// The rows of a result.
pub enum RowSource {
    /// All of them.
    Ready(Vec<Row>),
    /// Pages of them, produced while the client reads.
    Stream(RowStream),
}

impl std::fmt::Debug for RowSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RowSource::Ready(rows) => write!(f, "Ready({} rows)", rows.len()),
            RowSource::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl RowSource {
    /// Every row, in memory.
    pub async fn collect(self) -> Result<Vec<Row>> {
        use futures::StreamExt;
        match self {
            RowSource::Ready(rows) => Ok(rows),
            RowSource::Stream(mut pages) => {
                let mut rows = Vec::new();
                while let Some(page) = pages.next().await {
                    rows.append(&mut page?);
                }
                Ok(rows)
            }
        }
    }
}

/// What an OK packet says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OkResult {
    /// Rows changed (matched, when the client asked for found rows).
    pub affected_rows: u64,
    /// First AUTO_INCREMENT value of the statement.
    pub last_insert_id: u64,
    /// Readable line, such as `Records: 3  Duplicates: 0  Warnings: 0`.
    pub info: String,
}

/// What a statement answers.
#[derive(Debug)]
pub enum Outcome {
    /// Done.
    Ok(OkResult),
    /// A result set.
    Rows {
        /// Its columns.
        columns: Arc<[ColumnMeta]>,
        /// Its rows.
        rows: RowSource,
    },
    /// What CALL answers: the result sets of the procedure, and then how it ended.
    Many {
        /// The result sets, in order.
        results: Vec<(Arc<[ColumnMeta]>, Vec<Row>)>,
        /// OK, or the error that ended it.
        end: Result<OkResult>,
    },
    /// The client is to send this file; `Session::infile_data` and `infile_end` take it.
    LocalInfile {
        /// The name as the statement gave it.
        file_name: String,
    },
}

impl Outcome {
    /// An OK without anything to tell.
    pub fn done() -> Outcome {
        Outcome::Ok(OkResult::default())
    }

    /// A result set that is in memory.
    pub fn rows(columns: Vec<ColumnMeta>, rows: Vec<Row>) -> Outcome {
        Outcome::Rows { columns: columns.into(), rows: RowSource::Ready(rows) }
    }
}
