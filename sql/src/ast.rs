//! What a statement says, as a tree: the parser's output and the printer's input.
//!
//! One node type per statement; names are not resolved and types are not derived here. A tree keeps
//! what the binder needs and nothing about the layout of the text: two texts that mean the same give
//! equal trees, because spans and source texts compare equal to each other ([`Span`], [`SourceText`]).
//!
//! ```text
//! text ──lexer──> tokens ──parser──> Statement ──binder──> typed expressions, plans
//!                                        └──printer──> text that parses to the same Statement
//! ```
//!
//! Parts: `expression` (values), `query` (SELECT and what it reads), `change` (INSERT, UPDATE, DELETE,
//! LOAD DATA), `database`, `definition` (tables, of `column`, `key`, `constraint`, `table_options`, `sharding` and `partition`), `alter` (ALTER TABLE),
//! `sequence` (sequences), `placement` (placement policies), `program` (stored programs), `transaction`, `xa` (transactions of an outside manager), `variable` (SET), `show`,
//! `view` (views), `account` (accounts, privileges), `administration`, `session` (EXPLAIN, PREPARE, parts of the cluster).
//!
//! Not here: parentheses (the tree's shape says them), comments, upper or lower case of keywords.

mod account;
mod administration;
mod alter;
mod change;
mod column;
mod constraint;
mod database;
mod definition;
mod expression;
mod key;
mod partition;
mod placement;
mod program;
mod query;
mod sequence;
mod session;
mod sharding;
mod show;
mod table_options;
mod transaction;
mod variable;
mod view;
mod xa;

pub use account::*;
pub use administration::*;
pub use alter::*;
pub use change::*;
pub use column::*;
pub use constraint::*;
pub use database::*;
pub use definition::*;
pub use expression::*;
pub use key::*;
pub use partition::*;
pub use placement::*;
pub use program::*;
pub use query::*;
pub use sequence::*;
pub use session::*;
pub use sharding::*;
pub use show::*;
pub use table_options::*;
pub use transaction::*;
pub use variable::*;
pub use view::*;
pub use xa::*;

/// Bytes `start..end` of the statement's text. All spans are equal: where something stands is no part
/// of what it means.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The part of `text` that this span covers; empty when `text` is another text.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }

    /// From the start of this span to the end of `last`.
    pub fn to(self, last: Span) -> Span {
        Span { start: self.start, end: last.end.max(self.start) }
    }
}

impl PartialEq for Span {
    fn eq(&self, _: &Span) -> bool {
        true
    }
}

impl Eq for Span {}

/// The text something was read from, kept for names. All source texts are equal, like spans.
#[derive(Clone, Debug, Default)]
pub struct SourceText(pub String);

impl PartialEq for SourceText {
    fn eq(&self, _: &SourceText) -> bool {
        true
    }
}

impl Eq for SourceText {}

/// `name` or `database.name`, as written (case kept, quotes removed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The database, when it is named.
    pub database: Option<String>,
    /// The table.
    pub name: String,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// SELECT, TABLE, VALUES, UNION … in any nesting.
    Query(Box<Query>),
    /// INSERT or REPLACE.
    Insert(Box<Insert>),
    /// UPDATE of one or several tables.
    Update(Box<Update>),
    /// DELETE from one or several tables.
    Delete(Box<Delete>),
    /// LOAD DATA or LOAD XML.
    LoadData(Box<LoadData>),
    /// `DO expr, …`: evaluates and forgets.
    Do(Vec<Expr>),
    /// `CALL name(args)`.
    Call {
        /// The procedure.
        name: TableName,
        /// Its arguments.
        args: Vec<Expr>,
    },

    /// CREATE DATABASE.
    CreateDatabase(CreateDatabase),
    /// ALTER DATABASE.
    AlterDatabase(AlterDatabase),
    /// DROP DATABASE.
    DropDatabase {
        /// IF EXISTS.
        if_exists: bool,
        /// The database.
        name: String,
    },
    /// `USE name`.
    Use {
        /// The new default database.
        database: String,
    },
    /// CREATE TABLE with its columns (and perhaps a query).
    CreateTable(Box<CreateTable>),
    /// CREATE TABLE … LIKE.
    CreateTableLike(CreateTableLike),
    /// ALTER TABLE.
    AlterTable(Box<AlterTable>),
    /// DROP TABLE.
    DropTable(DropTable),
    /// TRUNCATE TABLE.
    TruncateTable {
        /// The table.
        name: TableName,
    },
    /// RENAME TABLE.
    RenameTable(
        /// Pairs of old and new name.
        Vec<(TableName, TableName)>,
    ),
    /// CREATE INDEX.
    CreateIndex(Box<CreateIndex>),
    /// DROP INDEX.
    DropIndex(DropIndex),
    /// CREATE, ALTER or DROP SEQUENCE.
    Sequence(Box<SequenceStatement>),
    /// CREATE, ALTER or DROP VIEW.
    View(Box<ViewStatement>),
    /// CREATE, ALTER or DROP of procedures, functions, triggers and events; SIGNAL, RESIGNAL, GET DIAGNOSTICS.
    Program(Box<ProgramStatement>),
    /// CREATE, ALTER or DROP PLACEMENT POLICY, ALTER SET.
    Placement(Box<PlacementStatement>),

    /// BEGIN or START TRANSACTION.
    Begin(Begin),
    /// COMMIT.
    Commit(Completion),
    /// ROLLBACK.
    Rollback(Completion),
    /// SAVEPOINT name.
    Savepoint(String),
    /// ROLLBACK TO name.
    RollbackTo(String),
    /// RELEASE SAVEPOINT name.
    ReleaseSavepoint(String),
    /// XA: transactions that an outside manager prepares and ends.
    Xa(XaStatement),

    /// SET of variables, names, transaction properties, passwords.
    Set(Vec<SetItem>),
    /// SHOW …
    Show(Show),
    /// `DESCRIBE table [column]`.
    Describe {
        /// The table.
        table: TableName,
        /// A column name or a pattern.
        column: Option<String>,
    },
    /// EXPLAIN of a statement.
    Explain(Explain),
    /// ON SETS (…) and its relatives: a statement that looks at a part of the cluster.
    OnSets(Box<OnSets>),
    /// `ADMIN CHECKSUM CLUSTER`: compare the replicas of every shard.
    ChecksumCluster,
    /// ADMIN CHECK TABLE, ADMIN CHECK INDEX: compare rows and index entries.
    AdminCheck(AdminCheck),
    /// `ADMIN PAUSE | RESUME | CANCEL DDL JOBS 1, 2`.
    DdlJobs {
        /// What is wanted.
        action: JobAction,
        /// Of which jobs.
        jobs: Vec<u64>,
    },
    /// `HELP 'word'`.
    Help(String),

    /// PREPARE name FROM text.
    Prepare {
        /// Name of the prepared statement.
        name: String,
        /// Where its text comes from.
        from: PrepareSource,
    },
    /// EXECUTE name USING variables.
    Execute {
        /// Name of the prepared statement.
        name: String,
        /// User variables, without `@`.
        using: Vec<String>,
    },
    /// DEALLOCATE PREPARE or DROP PREPARE.
    Deallocate(String),

    /// KILL.
    Kill {
        /// Only the running statement (KILL QUERY), not the connection.
        query_only: bool,
        /// The connection id.
        id: Expr,
    },
    /// ALTER NODE: what is wanted of a node of the cluster.
    AlterNode {
        /// The node.
        node: u64,
        /// What is wanted.
        action: NodeAction,
        /// Only say what would happen.
        dry_run: bool,
    },
    /// ALTER SHARD … TRANSFER LEADER TO: another node shall lead a shard.
    TransferLeader {
        /// The shard.
        shard: u64,
        /// The node that shall lead it.
        to: u64,
    },
    /// ALTER SHARD … MOVE REPLICA: a replica shall be on another node.
    MoveReplica {
        /// The shard.
        shard: u64,
        /// The node that holds a replica.
        from: u64,
        /// The node that shall hold one instead.
        to: u64,
    },
    /// ALTER REBALANCE: how the cluster may even nodes out.
    AlterRebalance(RebalanceAction),
    /// ALTER SHARD … SPLIT: a shard becomes two.
    SplitShard {
        /// The shard.
        shard: u64,
        /// The new shard's first slot; the middle one when none is given.
        at: Option<u64>,
    },
    /// ALTER SHARD … MERGE: a shard takes its right neighbour in.
    MergeShard {
        /// The shard.
        shard: u64,
    },
    /// CREATE, ALTER, DROP, RENAME of accounts and roles.
    Account(AccountStatement),
    /// GRANT.
    Grant(Grant),
    /// REVOKE.
    Revoke(Revoke),
    /// FLUSH.
    Flush(Flush),
    /// LOCK TABLES.
    LockTables(Vec<TableLock>),
    /// UNLOCK TABLES.
    UnlockTables,
    /// ANALYZE, OPTIMIZE, CHECK, REPAIR, CHECKSUM TABLE.
    TableAdministration(TableAdministration),

    /// A statement that MySQL has and this grammar only recognises by its first words.
    Unsupported(Unsupported),
}

/// A statement that is known by name only: whoever executes it answers error 1235 with `what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The statement's name in capitals, for example `CREATE SERVER`.
    pub what: String,
    /// Its whole text, trimmed.
    pub text: String,
}
