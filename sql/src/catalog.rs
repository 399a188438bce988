//! The catalog: which databases, tables, columns and indexes exist.
//!
//! ```text
//! meta shard (rows under table ids < 1000)
//!      │  store: read and written by ordinary transactions
//!      ▼
//! Catalog ── immutable snapshot, one `Arc` per version ──> every statement binds against one
//!      ▲
//!      └── cache: snapshot + lease, renewed in the background; under the same lease who has locked which tables
//! ```
//!
//! Invariants:
//! 1. A `Catalog` never changes; a schema change makes a new one with a higher version.
//! 2. A node answers from its snapshot only while its lease runs; a schema change is acknowledged
//!    only when every node has the new version or its lease has run out.
//! 3. A table id is never reused, so rows of a dropped table can never appear in another one.
//! 4. Keys of a partitioned table begin with its partitions' ids, never with its own (`partition`). Those of a table whose
//!    sharding key was changed begin with an id that came with the change (`layout`).
//! 5. `TableDef::indexes[0]` is the primary key, or the hidden row id of a table without one.
//! 6. Each column has a place of its own in stored rows (`columns`), below `TableDef::next_ordinal` and never reused.
//! 7. `TableDef::indexes` can be read: every row has its entries. Those in `unpublished` are only written (`ddl::indexes`).
//!
//! Definitions with a name in a database, other than tables, are kept alike (`object`).
//!
//! Names of databases, tables, sequences and views are case-sensitive, those of columns and indexes are not.
//!
//! Not here: checks of new definitions (`ddl`), bytes of rows (`table_codec`).

pub mod cache;
mod columns;
pub mod distribution;
pub(crate) mod dropped;
pub(crate) mod foreign_key;
pub(crate) mod index_jobs;
pub mod information_schema;
mod innodb_trx;
pub mod layout;
mod layout_record;
mod object;
pub mod partition;
pub mod performance_schema;
mod precinct_tables;
mod record;
mod routine;
mod rules;
mod sequence;
mod setting;
mod statistics;
pub mod store;
pub(crate) mod table_locks;
mod trigger;
mod view;

use crate::Error;
use crate::ast::RoutineKind;
use crate::collation::CollationId;
use crate::types::SqlType;
use crate::value::Value;
use base::{DatabaseId, IndexId, TableId, Timestamp};
use object::Objects;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use cache::CatalogCache;
pub(crate) use columns::NewColumn;
pub use distribution::{Distribution, ItemValue, ItemValues, SetItem};
pub use dropped::DroppedTable;
pub use foreign_key::{ForeignKeyDef, ReferenceAction};
pub use information_schema::{VirtualTable, virtual_table};
pub use layout::{Layout, Rebuild};
pub use partition::Partitioning;
pub use routine::RoutineDef;
pub(crate) use rules::converted;
pub use rules::{CheckDef, Generated, Rule};
pub use sequence::SequenceDef;
pub use setting::{Setting, Settings};
pub use statistics::{AllStatistics, ColumnStatistics, IndexStatistics, TableStatistics};
pub use trigger::TriggerDef;
pub use view::ViewDef;

/// Everything that is defined, at one version. Immutable.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Grows with every schema change; part of the key of every cached plan.
    pub version: u64,
    /// A point in time at which it was so; zero when nothing is known of that.
    pub read_ts: Timestamp,
    /// Databases by exact name.
    databases: BTreeMap<String, Arc<DatabaseDef>>,
    /// Tables by exact database name, then exact table name.
    tables: BTreeMap<String, BTreeMap<String, Arc<TableDef>>>,
    /// Those with foreign keys, by their parents as `tables` has them.
    children: BTreeMap<String, BTreeMap<String, Vec<Arc<TableDef>>>>,
    /// The same tables by id.
    tables_by_id: BTreeMap<TableId, Arc<TableDef>>,
    /// Since when the youngest index, or layout of a table that has another one, can be read.
    newest_index: Timestamp,
    /// Tables by the ids under which their rows stand, where those are not their own.
    tables_by_rows: BTreeMap<TableId, Arc<TableDef>>,
    /// Sequences.
    sequences: Objects<SequenceDef>,
    /// Views.
    views: Objects<ViewDef>,
    /// Global values of variables.
    settings: Arc<Settings>,
    /// Procedures and functions.
    routines: Objects<RoutineDef>,
    /// Triggers.
    triggers: Objects<TriggerDef>,
    /// The same by their tables.
    triggers_by_table: trigger::ByTable,
    /// What ANALYZE TABLE has found.
    statistics: Arc<AllStatistics>,
}

impl Catalog {
    /// A catalog of these definitions. Tables whose database is missing are left out.
    pub fn new(version: u64, databases: Vec<DatabaseDef>, tables: Vec<TableDef>) -> Catalog {
        let databases: BTreeMap<_, _> = databases
            .into_iter()
            .map(|database| (database.name.clone(), database.into()))
            .collect();
        let mut catalog = Catalog { version, databases, ..Catalog::default() };
        for table in tables {
            if catalog.databases.contains_key(&table.database) {
                let since = table.indexes.iter().map(|index| index.public_since);
                let since = since.chain(table.rebuild.iter().map(|rebuild| rebuild.since));
                catalog.newest_index = since.fold(catalog.newest_index, Timestamp::max);
                let table = Arc::new(table);
                catalog.add_child(&table);
                catalog.tables_by_id.insert(table.id, table.clone());
                let ids = table.stored_ids().into_iter().filter(|id| *id != table.id);
                catalog.tables_by_rows.extend(ids.map(|id| (id, table.clone())));
                let tables = catalog.tables.entry(table.database.clone()).or_default();
                tables.insert(table.name.clone(), table);
            }
        }
        catalog
    }

    /// The same definitions for reads at an earlier time: without the indexes that have no entries of then.
    pub fn at(self: &Arc<Self>, ts: Timestamp) -> Arc<Catalog> {
        if ts >= self.newest_index {
            return self.clone();
        }
        let databases = self.databases.values().map(|database| DatabaseDef::clone(database));
        let tables = self.tables_by_id.values().map(|table| table.at(ts));
        let mut then = Catalog::new(self.version, databases.collect(), tables.collect());
        then.sequences = self.sequences.clone();
        then.views = self.views.clone();
        then.settings = self.settings.clone();
        then.routines = self.routines.clone();
        then.triggers = self.triggers.clone();
        then.triggers_by_table = self.triggers_by_table.clone();
        then.statistics = self.statistics.clone();
        Arc::new(then)
    }

    /// The catalog with these sequences. Those whose database is missing are left out.
    pub fn with_sequences(mut self, sequences: Vec<SequenceDef>) -> Catalog {
        let is_known = |sequence: &SequenceDef| self.databases.contains_key(&sequence.database);
        self.sequences = sequences.into_iter().filter(is_known).collect();
        self
    }

    /// The catalog with these views. Those whose database is missing are left out.
    pub fn with_views(mut self, views: Vec<ViewDef>) -> Catalog {
        let is_known = |view: &ViewDef| self.databases.contains_key(&view.database);
        self.views = views.into_iter().filter(is_known).collect();
        self
    }

    /// The catalog with these global values of variables.
    pub fn with_settings(mut self, settings: Settings) -> Catalog {
        self.settings = Arc::new(settings);
        self
    }

    /// Global values of variables that were set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The catalog with these statistics about its tables.
    pub fn with_statistics(mut self, statistics: AllStatistics) -> Catalog {
        self.statistics = Arc::new(statistics);
        self
    }

    /// What ANALYZE TABLE has found, by the tables' ids.
    pub fn statistics(&self) -> &Arc<AllStatistics> {
        &self.statistics
    }

    /// The catalog with these procedures and functions. Those whose database is missing are left out.
    pub fn with_routines(mut self, routines: Vec<RoutineDef>) -> Catalog {
        let is_known = |routine: &RoutineDef| self.databases.contains_key(&routine.database);
        self.routines = routines.into_iter().filter(is_known).collect();
        self
    }

    /// The catalog with these triggers. Those whose table is missing are left out.
    pub fn with_triggers(mut self, triggers: Vec<TriggerDef>) -> Catalog {
        let is_known =
            |trigger: &TriggerDef| self.table(&trigger.database, &trigger.table).is_some();
        self.triggers = triggers.into_iter().filter(is_known).collect();
        let all = self.databases.keys().flat_map(|database| self.triggers.of(database));
        self.triggers_by_table = trigger::ByTable::of(all);
        self
    }

    /// A database by its exact name. System schemas are not in here.
    pub fn database(&self, name: &str) -> Option<&Arc<DatabaseDef>> {
        self.databases.get(name)
    }

    /// Whether a name is a database or a system schema that can be used.
    pub fn has_database(&self, name: &str) -> bool {
        self.databases.contains_key(name) || information_schema::is_schema(name)
    }

    /// All databases, by name. System schemas are not in here.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<DatabaseDef>> {
        self.databases.values()
    }

    /// A table by the exact names of its database and itself.
    pub fn table(&self, database: &str, name: &str) -> Option<&Arc<TableDef>> {
        self.tables.get(database)?.get(name)
    }

    /// A sequence by the exact names of its database and itself.
    pub fn sequence(&self, database: &str, name: &str) -> Option<&Arc<SequenceDef>> {
        self.sequences.get(database, name)
    }

    /// The sequences of a database, by name.
    pub fn sequences(&self, database: &str) -> impl Iterator<Item = &Arc<SequenceDef>> {
        self.sequences.of(database)
    }

    /// A view by the exact names of its database and itself.
    pub fn view(&self, database: &str, name: &str) -> Option<&Arc<ViewDef>> {
        self.views.get(database, name)
    }

    /// The views of a database, by name.
    pub fn views(&self, database: &str) -> impl Iterator<Item = &Arc<ViewDef>> {
        self.views.of(database)
    }

    /// A procedure or function by the exact name of its database and its own in any case.
    pub fn routine(
        &self,
        database: &str,
        kind: RoutineKind,
        name: &str,
    ) -> Option<&Arc<RoutineDef>> {
        self.routines.get(database, &routine::key_of(kind, name))
    }

    /// The functions of a database, by name, and then its procedures.
    pub fn routines(&self, database: &str) -> impl Iterator<Item = &Arc<RoutineDef>> {
        self.routines.of(database)
    }

    /// A trigger by the exact names of its database and itself.
    pub fn trigger(&self, database: &str, name: &str) -> Option<&Arc<TriggerDef>> {
        self.triggers.get(database, name)
    }

    /// The triggers of a database, by name.
    pub fn triggers(&self, database: &str) -> impl Iterator<Item = &Arc<TriggerDef>> {
        self.triggers.of(database)
    }

    /// The triggers of a table, in the order in which they run.
    pub fn triggers_of(&self, database: &str, table: &str) -> &[Arc<TriggerDef>] {
        self.triggers_by_table.get(database, table)
    }

    /// Whether a table, a sequence or a view has this name: they share their names.
    pub fn is_name_taken(&self, database: &str, name: &str) -> bool {
        self.table(database, name).is_some()
            || self.sequence(database, name).is_some()
            || self.view(database, name).is_some()
    }

    /// Why a name is no table: it names a sequence or a view, or nothing.
    pub(crate) fn no_table(&self, database: &str, name: &str) -> Error {
        let full = format!("{database}.{name}");
        match self.sequence(database, name).is_some() || self.view(database, name).is_some() {
            true => Error::wrong_object(full, "BASE TABLE"),
            false => Error::no_such_table(full),
        }
    }

    /// A table by its id, or by one under which its rows stand: that of a partition, or of a layout.
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<TableDef>> {
        self.tables_by_id.get(&id).or_else(|| self.tables_by_rows.get(&id))
    }

    /// How long replaced versions of rows are kept, of the tables where that is not `usual`, the cluster's retention.
    /// Definitions are kept as long as any rows: a read of the past compares them.
    pub fn retentions(&self, usual: Duration) -> BTreeMap<TableId, Duration> {
        let own = self.tables_by_id.values().filter(|table| table.retention_s > 0);
        let own = own.flat_map(|table| {
            let retention = Duration::from_secs(table.retention_s);
            table.stored_ids().into_iter().map(move |id| (id, retention))
        });
        let mut retentions: BTreeMap<TableId, Duration> = own.collect();
        let longest = retentions.values().copied().max().filter(|longest| *longest > usual);
        retentions.extend(longest.map(|longest| (store::TABLES, longest)));
        retentions
    }

    /// How many tables have a retention of their own; each partition counts as one.
    pub fn own_retentions(&self) -> usize {
        let own = self.tables_by_id.values().filter(|table| table.retention_s > 0);
        own.map(|table| table.key_ids().len()).sum()
    }

    /// The tables of a database, by name.
    pub fn tables(&self, database: &str) -> impl Iterator<Item = &Arc<TableDef>> {
        self.tables.get(database).into_iter().flat_map(|tables| tables.values())
    }
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseDef {
    /// Identity, never reused.
    pub id: DatabaseId,
    /// Exact name.
    pub name: String,
    /// Collation of new tables that name none.
    pub collation: CollationId,
    /// Placement policy of new tables that name none; empty for none.
    pub placement: String,
}

/// What a key would be for that is only declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredKind {
    /// Search for words.
    Fulltext,
    /// Search for places.
    Spatial,
}

impl DeclaredKind {
    /// As SHOW has it.
    pub fn name(self) -> &'static str {
        match self {
            DeclaredKind::Fulltext => "FULLTEXT",
            DeclaredKind::Spatial => "SPATIAL",
        }
    }
}

/// A key that has no entries: statements that would use it read the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredKey {
    /// Exact name.
    pub name: String,
    /// What it would be for.
    pub kind: DeclaredKind,
    /// Positions of its columns.
    pub columns: Vec<usize>,
    /// COMMENT.
    pub comment: String,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDef {
    /// Identity; never reused, new after TRUNCATE.
    pub id: TableId,
    /// First four bytes of every key unless it has partitions: its own id until its sharding key is changed.
    pub rows: TableId,
    /// Exact name of its database.
    pub database: String,
    /// Exact name.
    pub name: String,
    /// Columns in order; a hidden row id, when there is one, stands last.
    pub columns: Vec<ColumnDef>,
    /// Place of the next column in stored rows; all that it has are below.
    pub next_ordinal: usize,
    /// Indexes; the first one is PRIMARY or the hidden row id.
    pub indexes: Vec<IndexDef>,
    /// Indexes that are being added or dropped: written as their states say, never read.
    pub unpublished: Vec<IndexDef>,
    /// FULLTEXT and SPATIAL keys: shown, never written, never read.
    pub declared: Vec<DeclaredKey>,
    /// CHECK constraints, by name.
    pub checks: Vec<CheckDef>,
    /// Foreign keys, by name.
    pub foreign_keys: Vec<ForeignKeyDef>,
    /// Id of the next index; those below were given once. 0 stands for the one after the highest that there is.
    pub next_index_id: u32,
    /// Grows with every change of the state of an index or a layout.
    pub index_version: u64,
    /// How rows find their slot.
    pub sharding: Sharding,
    /// Whether the sharding was declared: then SHOW CREATE TABLE prints it back.
    pub sharding_declared: bool,
    /// Whether it was declared as TDSQL_DISTRIBUTED BY, not as shardkey=.
    pub distributed_by: bool,
    /// Default collation of its text columns.
    pub collation: CollationId,
    /// COMMENT of the table.
    pub comment: String,
    /// Lowest AUTO_INCREMENT value, asked for by the table option; 0 when none was.
    pub auto_increment_start: u64,
    /// Unix seconds when it was created.
    pub created_unix: u64,
    /// ROW_FORMAT and the like as SHOW CREATE TABLE prints them back, such as ` ROW_FORMAT=DYNAMIC`.
    pub options: String,
    /// Seconds that replaced versions of its rows are kept; 0: as long as the cluster says.
    pub retention_s: u64,
    /// Its placement policy, whose slots `sharding` names as one set with all values; empty for none.
    pub placement: String,
    /// How its rows are divided among partitions, if they are.
    pub partitioning: Option<Arc<Partitioning>>,
    /// Its other layout, as long as its sharding key is being changed.
    pub rebuild: Option<Arc<Rebuild>>,
}

impl TableDef {
    /// The column of this name in any case, hidden ones aside.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| !c.hidden && c.name.eq_ignore_ascii_case(name))
    }

    /// Its options beyond those that have columns of their own in lists of tables.
    pub fn create_options(&self) -> String {
        let mut options = self.options.trim_start().to_string();
        if self.retention_s > 0 {
            if !options.is_empty() {
                options.push(' ');
            }
            options.push_str(&format!("RETENTION_SECONDS={}", self.retention_s));
        }
        if self.partitioning.is_some() {
            if !options.is_empty() {
                options.push(' ');
            }
            options.push_str("partitioned");
        }
        options
    }

    /// Whether rows of this table can be read as of a time when `then` was its definition. An index that was no index
    /// then has no entries of then.
    pub fn reads_as(&self, then: &TableDef, ts: Timestamp) -> bool {
        let apart = |table: &TableDef| TableDef {
            retention_s: 0,
            auto_increment_start: 0,
            ..table.without_indexes()
        };
        self.has_entries_of(then, ts) && apart(self) == apart(then)
    }

    /// Whether each of its indexes was one in an older definition.
    pub fn has_indexes_of(&self, then: &TableDef) -> bool {
        self.indexes.iter().all(|index| then.indexes.iter().any(|older| older.id == index.id))
    }

    /// Whether each of its indexes has all entries of a time when `then` was its definition: it was read then, or was one
    /// state from that. It is filled before it is public, from `public_since` on, and one that is being dropped is
    /// written for another state.
    pub fn has_entries_of(&self, then: &TableDef, ts: Timestamp) -> bool {
        self.indexes.iter().all(|index| {
            let older = then.all_indexes().find(|older| older.id == index.id);
            older.is_some_and(|older| match older.state {
                IndexState::Public => true,
                IndexState::WriteOnly => index.public_since <= ts,
                IndexState::DeleteOnly => false,
            })
        })
    }

    /// Whether what was written under this definition may be committed under a newer one: all but its indexes and layouts
    /// is the same, and of those no state is more than one step further.
    pub fn may_commit_under(&self, now: &TableDef) -> bool {
        now.index_version.abs_diff(self.index_version) <= 1 && self.is_in_step_with(now)
    }

    /// Whether it differs from another definition of its id at most in what the steps of a job change: indexes and layouts.
    pub fn is_in_step_with(&self, other: &TableDef) -> bool {
        if self.rows == other.rows {
            // One layout: another sharding of it is a range that was divided (`ddl::ranges`), no step of a job.
            return self.without_indexes() == other.without_indexes();
        }
        let apart = |table: &TableDef| TableDef {
            rows: TableId(0),
            sharding: Sharding::Single,
            sharding_declared: false,
            distributed_by: false,
            placement: String::new(),
            ..table.without_indexes()
        };
        apart(self) == apart(other)
    }

    /// The same for reads at an earlier time: indexes that have no entries of then are only written, and so is a layout that
    /// was not read then, as long as the former one is written, too.
    pub fn at(&self, ts: Timestamp) -> TableDef {
        let is_young = |rebuild: &Arc<Rebuild>| rebuild.since > ts && rebuild.is_added_to();
        let mut table = match self.rebuild.as_ref().is_some_and(is_young) {
            true => self.with_layouts_swapped(Timestamp::MAX),
            false => self.clone(),
        };
        let (young, old): (Vec<_>, Vec<_>) =
            table.indexes.into_iter().partition(|index| index.public_since > ts);
        table.indexes = old;
        let state = IndexState::WriteOnly;
        table.unpublished.extend(young.into_iter().map(|index| IndexDef { state, ..index }));
        table
    }

    /// The definition apart from its indexes and its other layout.
    pub fn without_indexes(&self) -> TableDef {
        TableDef {
            indexes: Vec::new(),
            unpublished: Vec::new(),
            next_index_id: 0,
            index_version: 0,
            rebuild: None,
            ..self.clone()
        }
    }

    /// Its indexes, then those that are only written. Positions of index entries count these.
    pub fn all_indexes(&self) -> impl Iterator<Item = &IndexDef> {
        self.indexes.iter().chain(&self.unpublished)
    }

    /// The index at a position among all of them.
    pub fn index_at(&self, position: usize) -> &IndexDef {
        match position.checked_sub(self.indexes.len()) {
            None => &self.indexes[position],
            Some(position) => &self.unpublished[position],
        }
    }

    /// An id that no index of the table has had.
    pub fn free_index_id(&self) -> u32 {
        let used = self.all_indexes().filter(|index| !index.implicit).map(|index| index.id.0);
        self.next_index_id.max(used.max().map_or(0, |highest| highest + 1))
    }

    /// The columns whose values entries of an index carry, in their order there: with INCLUDE the whole columns of its key, the
    /// included ones, and those of the primary key; none without.
    pub fn carried_columns(&self, index: &IndexDef) -> Vec<usize> {
        if index.included.is_empty() {
            return Vec::new();
        }
        let whole = index.columns.iter().filter(|part| part.prefix.is_none());
        let own = whole.map(|part| part.column).chain(index.included.iter().copied());
        let primary = self.primary().columns.iter().map(|part| part.column);
        let mut carried = Vec::new();
        for column in own.chain(primary) {
            if !carried.contains(&column) {
                carried.push(column);
            }
        }
        carried
    }

    /// The primary key, or the hidden row id's index.
    pub fn primary(&self) -> &IndexDef {
        &self.indexes[0]
    }

    /// The position of the hidden row id, for a table without a primary key.
    pub fn row_id(&self) -> Option<usize> {
        self.columns.iter().rposition(|c| c.hidden)
    }

    /// The position of the AUTO_INCREMENT column.
    pub fn auto_increment(&self) -> Option<usize> {
        self.columns.iter().position(|c| c.auto_increment)
    }

    /// The columns a client sees, with their positions.
    pub fn visible_columns(&self) -> impl Iterator<Item = (usize, &ColumnDef)> {
        self.columns.iter().enumerate().filter(|(_, column)| !column.hidden)
    }

    /// The columns that `*` and INSERT without a list mean, with their positions.
    pub fn shown_columns(&self) -> impl Iterator<Item = (usize, &ColumnDef)> {
        self.visible_columns().filter(|(_, column)| !column.invisible)
    }

    /// Column positions whose values decide a row's slot.
    pub fn sharding_columns(&self) -> &[usize] {
        match &self.sharding {
            Sharding::Hash(columns) => columns,
            Sharding::Range(by) | Sharding::List(by) | Sharding::Keys(by) => &by.spread,
            Sharding::Single | Sharding::Broadcast(_) => &[],
        }
    }

    /// `database.table`, as errors print it.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Whether the primary key's columns decide the slot, so that a primary key alone gives the row key.
    pub fn primary_decides_slot(&self) -> bool {
        let primary = self.primary();
        self.sharding_columns().iter().all(|column| primary.covers(*column))
    }
}

/// How the rows of a table find their slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Sharding {
    /// The hash of these columns.
    Hash(Vec<usize>),
    /// All rows in the slot of the table's id.
    Single,
    /// All rows in so many copies, each in a slot of its own (`broadcast`).
    Broadcast(u32),
    /// The set of the range that a column's value lies in, then a hash.
    Range(Distribution),
    /// The set of the list that has a column's value, then a hash.
    List(Distribution),
    /// SHARD BY RANGE: the one slot of the range that a column's value lies in.
    Keys(Distribution),
}

impl Sharding {
    /// What goes to which slots, of a table by RANGE or LIST of sets, or by ranges of keys.
    pub fn distribution(&self) -> Option<&Distribution> {
        match self {
            Sharding::Range(by) | Sharding::List(by) | Sharding::Keys(by) => Some(by),
            Sharding::Hash(_) | Sharding::Single | Sharding::Broadcast(_) => None,
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    /// Name as declared.
    pub name: String,
    /// Type, with `nullable` set from NULL / NOT NULL.
    pub ty: SqlType,
    /// DEFAULT; `None` when none was declared (NULL for a nullable column, an error for others).
    pub default: Option<DefaultValue>,
    /// AUTO_INCREMENT.
    pub auto_increment: bool,
    /// ON UPDATE CURRENT_TIMESTAMP.
    pub on_update_now: bool,
    /// ZEROFILL: numbers are padded with zeros to the display width.
    pub zerofill: bool,
    /// COMMENT.
    pub comment: String,
    /// The row id of a table without a primary key: never shown, never named.
    pub hidden: bool,
    /// The declared type as SHOW CREATE TABLE prints it, such as `varchar(20)`.
    pub type_text: String,
    /// Whether SHOW CREATE TABLE must print the collation although the table has the same.
    pub collation_declared: bool,
    /// Its place in stored rows, whatever its position among the columns.
    pub ordinal: usize,
    /// What rows have that were written before there was the column; `None` for one that is as old as its table.
    pub absent: Option<Value>,
    /// What it was before its type changed: rows that lack its place have values of that.
    pub former: Option<Box<ColumnDef>>,
    /// How it is computed from other columns, if it is.
    pub generated: Option<Generated>,
    /// INVISIBLE: only statements that name it see it.
    pub invisible: bool,
}

/// What a column gets when a statement gives it nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum DefaultValue {
    /// A literal, already of the column's type.
    Literal(Value),
    /// CURRENT_TIMESTAMP with as many fraction digits as the column has.
    Now,
    /// An expression in parentheses, as the printer writes it; bound again for each statement.
    Expression(String),
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDef {
    /// Identity within the table; 0 is the rows themselves.
    pub id: IndexId,
    /// Name; `PRIMARY` for the primary key, empty for the hidden row id.
    pub name: String,
    /// Whether equal values are refused (NULLs never equal each other).
    pub unique: bool,
    /// Columns in order.
    pub columns: Vec<IndexColumn>,
    /// INCLUDE: positions of columns that entries carry besides, as declared. Empty: entries carry nothing.
    pub included: Vec<usize>,
    /// Entries are placed by the index's own columns, not with their rows.
    pub global: bool,
    /// Whether it is the primary key (or the hidden row id).
    pub primary: bool,
    /// Not declared: the global entries that keep a primary key unique whose columns do not decide
    /// the slot. Never shown, but good for lookups.
    pub implicit: bool,
    /// COMMENT.
    pub comment: String,
    /// How far it is added, or still there.
    pub state: IndexState,
    /// Reads at this time and later find all entries; zero for one that is as old as its table.
    pub public_since: Timestamp,
    /// A hint of the statement keeps its reads from it (`access::hint`); false in the catalog. Writes do not ask.
    pub ignored: bool,
}

/// How statements treat an index. Added, it goes from the first to the last; dropped, back again. At any time all
/// statements of the cluster are at most one step apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexState {
    /// Entries are removed with their rows and never added, so that what others add does not outlive its row.
    DeleteOnly,
    /// Entries are added and removed as those of any index, and unique ones are checked.
    WriteOnly,
    /// It is read, too.
    #[default]
    Public,
}

impl IndexDef {
    /// Whether the whole of a column (no prefix) is part of the index.
    pub fn covers(&self, column: usize) -> bool {
        self.columns.iter().any(|c| c.column == column && c.prefix.is_none())
    }
}

/// A column of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexColumn {
    /// Position in the table.
    pub column: usize,
    /// Only this many characters (bytes for binary columns) are indexed.
    pub prefix: Option<u32>,
    /// DESC, which is kept and shown: entries ascend whatever it is, and are walked from either end.
    pub descending: bool,
}
