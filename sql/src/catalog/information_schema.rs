//! information_schema: tables that are computed from the catalog when a query names them.
//!
//! Some tell what runs on all nodes (`activity`), and TABLES tells the next AUTO_INCREMENT values, which the meta shard counts.
//! Both are asked for after a statement has been bound once and has named such a table; then it is bound again over the
//! answers.
//!
//! Names of these tables and of their schema are read in any case, as MySQL reads them. A table that is
//! not here is refused (1109), never empty without reason. Tables for things that cannot exist here yet
//! (triggers, routines, …) are rightly empty.
//!
//! This file finds a table by its name and knows what tables are made of; each part holds the tables about one kind of thing.
//!
//! Not here: SHOW (`show`), which prints the same facts in other words.

mod charsets;
mod column_statistics;
mod columns;
mod constraints;
mod events;
mod indexes;
mod privileges;
mod routines;
mod schemas;
mod server;
mod tables;
mod triggers;
mod views;

use super::{
    Catalog, SequenceDef, TableDef, ViewDef, innodb_trx, performance_schema, precinct_tables,
};
use crate::activity::{Activity, ActivityPart};
use crate::binder::view::columns_of;
use crate::binder::{VirtualRows, VirtualTables};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::instance::{Cluster, Instance};
use crate::session::variables::SessionVariables;
use crate::types::SqlType;
use crate::value::{DateTime, Row, Value};
use crate::{Error, Result};
use base::TableId;
use charsets::{applicability, character_sets, collations};
use column_statistics::column_statistics;
use columns::{ColumnsOfView, columns};
use constraints::{
    check_constraints, key_column_usage, referential_constraints, table_constraints,
};
use events::events;
use indexes::statistics;
use privileges::{column_privileges, schema_privileges, table_privileges};
use routines::{parameters, routines};
use schemas::schemata;
use server::{engines, files, plugins, variables};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tables::{partitions, sequences, tables};
pub(crate) use triggers::created;
use triggers::triggers;
use views::views;

pub(crate) use charsets::collation_rows;
pub(crate) use columns::{column_default, column_extra, column_key, now_text, view_column};
pub(crate) use indexes::{shown_indexes, statistics_rows};
pub(super) use server::processlist;

/// A computed table.
pub type VirtualTable = VirtualRows;

/// The name of the schema.
pub const NAME: &str = "information_schema";

/// Whether a name is a schema of the system: it can be used but not changed.
pub fn is_schema(name: &str) -> bool {
    ["information_schema", "mysql", "performance_schema", "sys"]
        .iter()
        .any(|schema| schema.eq_ignore_ascii_case(name))
}

/// What computed tables are made of.
pub struct SystemTables {
    instance: Arc<Instance>,
    catalog: Arc<Catalog>,
    variables: Arc<SessionVariables>,
    /// What runs in the cluster, once nodes were asked.
    activity: Option<Activity>,
    /// Whether a table of what runs was named while it is not known: it has columns then, but no rows.
    lacks_activity: AtomicBool,
    /// The next AUTO_INCREMENT value of each table that has such a column, once they were read.
    numbers: Option<BTreeMap<TableId, u64>>,
    /// Whether TABLES was named while they are not known.
    lacks_numbers: AtomicBool,
}

impl SystemTables {
    /// The tables as this session sees them now.
    pub(crate) fn new(
        instance: &Arc<Instance>,
        catalog: &Arc<Catalog>,
        variables: &Arc<SessionVariables>,
    ) -> SystemTables {
        SystemTables {
            instance: instance.clone(),
            catalog: catalog.clone(),
            variables: variables.clone(),
            activity: None,
            lacks_activity: AtomicBool::new(false),
            numbers: None,
            lacks_numbers: AtomicBool::new(false),
        }
    }

    /// The cluster, as this node sees it.
    pub(super) fn cluster(&self) -> &dyn Cluster {
        &*self.instance.config.cluster
    }

    /// What is defined.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Whether something of a table that was named is not known yet.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.lacks_activity.load(Ordering::Relaxed) || self.lacks_numbers.load(Ordering::Relaxed)
    }

    /// The same tables with what the ones that were named lack: what runs on all nodes, with warnings of nodes that do not
    /// answer, and the next AUTO_INCREMENT values.
    pub(crate) async fn completed(self, ctx: &EvalContext) -> Result<SystemTables> {
        let SystemTables { mut activity, mut numbers, .. } = self;
        if self.lacks_activity.into_inner() {
            activity = Some(Activity::gather(&self.instance, ActivityPart::All, ctx).await);
        }
        if self.lacks_numbers.into_inner() {
            let tables: Vec<Arc<TableDef>> = all_tables(&self.catalog).cloned().collect();
            numbers = Some(self.instance.auto_increment.peek_all(&tables).await?);
        }
        Ok(SystemTables {
            instance: self.instance,
            catalog: self.catalog,
            variables: self.variables,
            activity,
            lacks_activity: AtomicBool::new(false),
            numbers,
            lacks_numbers: AtomicBool::new(false),
        })
    }

    /// The next AUTO_INCREMENT values; none while they are not known.
    fn numbers(&self) -> BTreeMap<TableId, u64> {
        self.numbers.clone().unwrap_or_else(|| {
            self.lacks_numbers.store(true, Ordering::Relaxed);
            BTreeMap::new()
        })
    }

    /// The columns of all views, bound now; those of views whose queries fail are left out, as in MySQL.
    fn columns_of_views(&self) -> Vec<ColumnsOfView> {
        let rng = base::Rng::seeded(self.instance.next_seed());
        let clock = self.instance.config.clock.clone();
        let ctx = EvalContext::new(self.variables.clone(), clock, rng);
        // Views over these very tables are bound over empty ones: only columns are asked for.
        let empty = SystemTables::new(&self.instance, &Arc::default(), &self.variables);
        let columns = |view: &Arc<ViewDef>| {
            let columns = columns_of(view, &self.catalog, &ctx, &empty).ok()?;
            Some((view.clone(), columns))
        };
        all_views(&self.catalog).filter_map(columns).collect()
    }

    /// The rows of a table of what runs.
    pub(super) fn running(&self, rows: impl FnOnce(&Activity, &Catalog) -> Vec<Row>) -> Vec<Row> {
        match &self.activity {
            Some(activity) => rows(activity, &self.catalog),
            None => {
                self.lacks_activity.store(true, Ordering::Relaxed);
                Vec::new()
            }
        }
    }
}

impl VirtualTables for SystemTables {
    fn table(&self, database: &str, name: &str) -> Result<Option<VirtualRows>> {
        if !is_schema(database) {
            return Ok(None);
        }
        let lower = name.to_ascii_lowercase();
        if !database.eq_ignore_ascii_case(NAME) {
            let known = database.eq_ignore_ascii_case(performance_schema::NAME);
            let table = known.then(|| performance_schema::table(&lower, self)).flatten();
            let unknown = || Error::no_such_table(format!("{database}.{name}"));
            return Ok(Some(table.ok_or_else(unknown)?));
        }
        let table = match lower.as_str() {
            "innodb_trx" => innodb_trx::table(self),
            "precinct_shards" => precinct_tables::shards(self),
            "precinct_replicas" => precinct_tables::replicas(self),
            "precinct_operations" => precinct_tables::operations(self),
            "placement_policies" => precinct_tables::placement_policies(self),
            "processlist" => processlist(self),
            "session_variables" | "global_variables" => {
                variables(&self.variables, lower == "global_variables")
            }
            "tables" => tables(&self.catalog, &self.numbers()),
            "columns" => columns(&self.catalog, &self.columns_of_views()),
            _ => virtual_table(database, name, &self.catalog)
                .ok_or_else(|| Error::unknown_system_table(name))?,
        };
        Ok(Some(table))
    }
}

/// A table of information_schema that the catalog alone gives; TABLES without AUTO_INCREMENT values, COLUMNS without those of
/// views.
pub fn virtual_table(database: &str, name: &str, catalog: &Catalog) -> Option<VirtualTable> {
    if !database.eq_ignore_ascii_case(NAME) {
        return None;
    }
    Some(match name.to_ascii_lowercase().as_str() {
        "schemata" => schemata(catalog),
        "tables" => tables(catalog, &BTreeMap::new()),
        "sequences" => sequences(catalog),
        "columns" => columns(catalog, &[]),
        "statistics" => statistics(catalog),
        "key_column_usage" => key_column_usage(catalog),
        "table_constraints" => table_constraints(catalog),
        "character_sets" => character_sets(),
        "collations" => collations(),
        "collation_character_set_applicability" => applicability(),
        "engines" => engines(),
        "referential_constraints" => referential_constraints(catalog),
        "check_constraints" => check_constraints(catalog),
        "views" => views(catalog),
        "triggers" => triggers(catalog),
        "routines" => routines(catalog),
        "parameters" => parameters(catalog),
        "events" => events(catalog),
        "partitions" => partitions(catalog),
        "files" => files(),
        "column_statistics" => column_statistics(catalog),
        "column_privileges" => column_privileges(),
        "table_privileges" => table_privileges(),
        "schema_privileges" => schema_privileges(),
        "plugins" => plugins(),
        _ => return None,
    })
}

/// Text of up to 64 characters, as names are.
pub(super) fn name_type() -> SqlType {
    SqlType::varchar(64, CollationId::UTF8MB4_GENERAL_CI)
}

fn long_text() -> SqlType {
    SqlType::longtext(CollationId::UTF8MB4_GENERAL_CI)
}

pub(super) fn number() -> SqlType {
    SqlType::bigint().unsigned()
}

fn empty(columns: &str) -> VirtualTable {
    let columns = columns.split(',').map(|name| (name.to_string(), name_type())).collect();
    VirtualTable { columns, rows: Vec::new() }
}

pub(super) fn table(columns: &[(&str, SqlType)], rows: Vec<Row>) -> VirtualTable {
    let columns = columns.iter().map(|(name, ty)| ((*name).to_string(), *ty)).collect();
    VirtualTable { columns, rows }
}

pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn all_tables(catalog: &Catalog) -> impl Iterator<Item = &Arc<TableDef>> {
    catalog.databases().flat_map(|database| catalog.tables(&database.name))
}

fn all_sequences(catalog: &Catalog) -> impl Iterator<Item = &Arc<SequenceDef>> {
    catalog.databases().flat_map(|database| catalog.sequences(&database.name))
}

fn all_views(catalog: &Catalog) -> impl Iterator<Item = &Arc<ViewDef>> {
    catalog.databases().flat_map(|database| catalog.views(&database.name))
}

/// A Unix time as DATETIME in UTC.
pub(crate) fn moment(unix: u64) -> Value {
    let zone = crate::types::datetime::TimeZone::UTC;
    let moment: DateTime = zone.from_unix_micros(unix as i64 * 1_000_000);
    Value::DateTime(moment)
}
