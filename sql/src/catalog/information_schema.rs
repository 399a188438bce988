//! information_schema: tables that are computed from the catalog when a query names them.
//!
//! Some tell what runs on all nodes (`activity`), and TABLES tells the next AUTO_INCREMENT values, which the meta shard counts.
//! Both are asked for after a statement has been bound once and has named such a table; then it is bound again over the
//! answers.
//!
//! Names of these tables and of their schema are read in any case, as MySQL reads them. A table that is
//! not here is refused (1109), never empty without reason. Tables for things that cannot exist here yet
//! (views, triggers, routines, …) are rightly empty.
//!
//! Not here: SHOW (`show`), which prints the same facts in other words.

use super::{
    Catalog, ColumnDef, DefaultValue, IndexDef, SequenceDef, TableDef, innodb_trx,
    performance_schema, precinct_tables,
};
use crate::activity::{Activity, ActivityPart};
use crate::binder::{VirtualRows, VirtualTables};
use crate::collation::{CHARSETS, COLLATIONS, CollationId};
use crate::context::EvalContext;
use crate::instance::{Cluster, Instance};
use crate::session::variables::SessionVariables;
use crate::types::{SqlType, TypeKind};
use crate::value::{DateTime, Row, Value};
use crate::{Error, Result, show, sysvar};
use base::TableId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
            _ => virtual_table(database, name, &self.catalog)
                .ok_or_else(|| Error::unknown_system_table(name))?,
        };
        Ok(Some(table))
    }
}

/// A table of information_schema that the catalog alone gives; TABLES without AUTO_INCREMENT values.
pub fn virtual_table(database: &str, name: &str, catalog: &Catalog) -> Option<VirtualTable> {
    if !database.eq_ignore_ascii_case(NAME) {
        return None;
    }
    Some(match name.to_ascii_lowercase().as_str() {
        "schemata" => schemata(catalog),
        "tables" => tables(catalog, &BTreeMap::new()),
        "sequences" => sequences(catalog),
        "columns" => columns(catalog),
        "statistics" => statistics(catalog),
        "key_column_usage" => key_column_usage(catalog),
        "table_constraints" => table_constraints(catalog),
        "character_sets" => character_sets(),
        "collations" => collations(),
        "collation_character_set_applicability" => applicability(),
        "engines" => engines(),
        "referential_constraints" => empty(
            "CONSTRAINT_CATALOG,CONSTRAINT_SCHEMA,CONSTRAINT_NAME,UNIQUE_CONSTRAINT_CATALOG,\
             UNIQUE_CONSTRAINT_SCHEMA,UNIQUE_CONSTRAINT_NAME,MATCH_OPTION,UPDATE_RULE,DELETE_RULE,\
             TABLE_NAME,REFERENCED_TABLE_NAME",
        ),
        "check_constraints" => {
            empty("CONSTRAINT_CATALOG,CONSTRAINT_SCHEMA,CONSTRAINT_NAME,CHECK_CLAUSE")
        }
        "views" => empty(
            "TABLE_CATALOG,TABLE_SCHEMA,TABLE_NAME,VIEW_DEFINITION,CHECK_OPTION,IS_UPDATABLE,DEFINER,\
             SECURITY_TYPE,CHARACTER_SET_CLIENT,COLLATION_CONNECTION",
        ),
        "triggers" => empty(
            "TRIGGER_CATALOG,TRIGGER_SCHEMA,TRIGGER_NAME,EVENT_MANIPULATION,EVENT_OBJECT_CATALOG,\
             EVENT_OBJECT_SCHEMA,EVENT_OBJECT_TABLE,ACTION_ORDER,ACTION_CONDITION,ACTION_STATEMENT,\
             ACTION_ORIENTATION,ACTION_TIMING,CREATED,SQL_MODE,DEFINER",
        ),
        "routines" => empty(
            "SPECIFIC_NAME,ROUTINE_CATALOG,ROUTINE_SCHEMA,ROUTINE_NAME,ROUTINE_TYPE,DATA_TYPE,\
             ROUTINE_BODY,ROUTINE_DEFINITION,IS_DETERMINISTIC,SECURITY_TYPE,CREATED,LAST_ALTERED,\
             SQL_MODE,ROUTINE_COMMENT,DEFINER",
        ),
        "parameters" => empty(
            "SPECIFIC_CATALOG,SPECIFIC_SCHEMA,SPECIFIC_NAME,ORDINAL_POSITION,PARAMETER_MODE,\
             PARAMETER_NAME,DATA_TYPE,DTD_IDENTIFIER,ROUTINE_TYPE",
        ),
        "events" => empty(
            "EVENT_CATALOG,EVENT_SCHEMA,EVENT_NAME,DEFINER,TIME_ZONE,EVENT_BODY,EVENT_DEFINITION,\
             EVENT_TYPE,EXECUTE_AT,INTERVAL_VALUE,INTERVAL_FIELD,SQL_MODE,STARTS,ENDS,STATUS",
        ),
        "partitions" => partitions(catalog),
        "files" => empty(
            "FILE_ID,FILE_NAME,FILE_TYPE,TABLESPACE_NAME,LOGFILE_GROUP_NAME,ENGINE,INITIAL_SIZE,\
             EXTENT_SIZE,TOTAL_EXTENTS,EXTRA",
        ),
        "column_statistics" => empty("SCHEMA_NAME,TABLE_NAME,COLUMN_NAME,HISTOGRAM"),
        "column_privileges" => empty(
            "GRANTEE,TABLE_CATALOG,TABLE_SCHEMA,TABLE_NAME,COLUMN_NAME,PRIVILEGE_TYPE,IS_GRANTABLE",
        ),
        "table_privileges" => {
            empty("GRANTEE,TABLE_CATALOG,TABLE_SCHEMA,TABLE_NAME,PRIVILEGE_TYPE,IS_GRANTABLE")
        }
        "schema_privileges" => {
            empty("GRANTEE,TABLE_CATALOG,TABLE_SCHEMA,PRIVILEGE_TYPE,IS_GRANTABLE")
        }
        "plugins" => empty(
            "PLUGIN_NAME,PLUGIN_VERSION,PLUGIN_STATUS,PLUGIN_TYPE,PLUGIN_LIBRARY,PLUGIN_LICENSE,\
             LOAD_OPTION",
        ),
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

fn schemata(catalog: &Catalog) -> VirtualTable {
    let row = |name: &str, collation: CollationId| {
        vec![
            text("def"),
            text(name),
            text(collation.charset()),
            text(collation.name()),
            Value::Null,
            text("NO"),
        ]
    };
    let system = [NAME, performance_schema::NAME];
    let mut rows: Vec<Row> =
        system.into_iter().map(|name| row(name, CollationId::UTF8MB4_GENERAL_CI)).collect();
    rows.extend(catalog.databases().map(|database| row(&database.name, database.collation)));
    table(
        &[
            ("CATALOG_NAME", name_type()),
            ("SCHEMA_NAME", name_type()),
            ("DEFAULT_CHARACTER_SET_NAME", name_type()),
            ("DEFAULT_COLLATION_NAME", name_type()),
            ("SQL_PATH", SqlType::varchar(512, CollationId::DEFAULT)),
            ("DEFAULT_ENCRYPTION", name_type()),
        ],
        rows,
    )
}

fn all_tables(catalog: &Catalog) -> impl Iterator<Item = &Arc<TableDef>> {
    catalog.databases().flat_map(|database| catalog.tables(&database.name))
}

fn all_sequences(catalog: &Catalog) -> impl Iterator<Item = &Arc<SequenceDef>> {
    catalog.databases().flat_map(|database| catalog.sequences(&database.name))
}

/// A Unix time as DATETIME in UTC.
pub(crate) fn moment(unix: u64) -> Value {
    let zone = crate::types::datetime::TimeZone::UTC;
    let moment: DateTime = zone.from_unix_micros(unix as i64 * 1_000_000);
    Value::DateTime(moment)
}

fn tables(catalog: &Catalog, numbers: &BTreeMap<TableId, u64>) -> VirtualTable {
    let tables = all_tables(catalog).map(|table| {
        let number = numbers.get(&table.id).map_or(Value::Null, |next| Value::UInt(*next));
        let mut row = vec![text("def"), text(&table.database), text(&table.name)];
        row.extend([text("BASE TABLE"), text("InnoDB"), Value::UInt(10), text("Dynamic")]);
        // Sizes are not counted.
        row.extend(vec![Value::Null; 6]);
        row.extend([number, moment(table.created_unix), Value::Null, Value::Null]);
        row.extend([text(table.collation.name()), Value::Null]);
        row.extend([text(table.create_options()), text(&table.comment)]);
        row
    });
    let sequences = all_sequences(catalog).map(|sequence| {
        let mut row = vec![text("def"), text(&sequence.database), text(&sequence.name)];
        row.extend([text("SEQUENCE"), text("InnoDB"), Value::UInt(10), Value::Null]);
        row.extend(vec![Value::Null; 7]);
        row.extend([moment(sequence.created_unix), Value::Null, Value::Null]);
        row.extend([Value::Null, Value::Null, text(""), text("")]);
        row
    });
    let rows = tables.chain(sequences).collect();
    self::table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("TABLE_TYPE", name_type()),
            ("ENGINE", name_type()),
            ("VERSION", number()),
            ("ROW_FORMAT", name_type()),
            ("TABLE_ROWS", number()),
            ("AVG_ROW_LENGTH", number()),
            ("DATA_LENGTH", number()),
            ("MAX_DATA_LENGTH", number()),
            ("INDEX_LENGTH", number()),
            ("DATA_FREE", number()),
            ("AUTO_INCREMENT", number()),
            ("CREATE_TIME", SqlType::datetime(0)),
            ("UPDATE_TIME", SqlType::datetime(0)),
            ("CHECK_TIME", SqlType::datetime(0)),
            ("TABLE_COLLATION", name_type()),
            ("CHECKSUM", number()),
            ("CREATE_OPTIONS", SqlType::varchar(256, CollationId::DEFAULT)),
            ("TABLE_COMMENT", long_text()),
        ],
        rows,
    )
}

/// One row for each partition, and one for each table without any. Sizes are not counted.
fn partitions(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        let row = |own: [Value; 5], comment: Value| -> Row {
            let [name, position, method, expression, description] = own;
            let mut row = vec![text("def"), text(&table.database), text(&table.name)];
            row.extend([name, Value::Null, position, Value::Null, method, Value::Null]);
            row.extend([expression, Value::Null, description]);
            row.extend(vec![Value::Null; 6]);
            row.extend([moment(table.created_unix), Value::Null, Value::Null, Value::Null]);
            row.extend([comment, Value::Null, Value::Null]);
            row
        };
        let Some(partitioning) = &table.partitioning else {
            rows.push(row([const { Value::Null }; 5], text("")));
            continue;
        };
        for (position, partition) in partitioning.partitions.iter().enumerate() {
            let description = show::partition::description(table, partitioning, partition);
            let own = [
                text(&partition.name),
                Value::UInt(position as u64 + 1),
                text(partitioning.method.name()),
                text(show::partition::expression(table, &partitioning.method)),
                description.map_or(Value::Null, text),
            ];
            rows.push(row(own, text(&partition.comment)));
        }
    }
    table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("PARTITION_NAME", name_type()),
            ("SUBPARTITION_NAME", name_type()),
            ("PARTITION_ORDINAL_POSITION", number()),
            ("SUBPARTITION_ORDINAL_POSITION", number()),
            ("PARTITION_METHOD", SqlType::varchar(13, CollationId::DEFAULT)),
            ("SUBPARTITION_METHOD", SqlType::varchar(13, CollationId::DEFAULT)),
            ("PARTITION_EXPRESSION", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("SUBPARTITION_EXPRESSION", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("PARTITION_DESCRIPTION", long_text()),
            ("TABLE_ROWS", number()),
            ("AVG_ROW_LENGTH", number()),
            ("DATA_LENGTH", number()),
            ("MAX_DATA_LENGTH", number()),
            ("INDEX_LENGTH", number()),
            ("DATA_FREE", number()),
            ("CREATE_TIME", SqlType::datetime(0)),
            ("UPDATE_TIME", SqlType::datetime(0)),
            ("CHECK_TIME", SqlType::datetime(0)),
            ("CHECKSUM", number()),
            ("PARTITION_COMMENT", long_text()),
            ("NODEGROUP", name_type()),
            ("TABLESPACE_NAME", name_type()),
        ],
        rows,
    )
}

/// Sequences, with the columns that TiDB gives them.
fn sequences(catalog: &Catalog) -> VirtualTable {
    let row = |sequence: &Arc<SequenceDef>| {
        vec![
            text("def"),
            text(&sequence.database),
            text(&sequence.name),
            Value::Int(i64::from(sequence.cache > 0)),
            Value::Int(i64::try_from(sequence.cache).unwrap_or(i64::MAX)),
            Value::Int(i64::from(sequence.cycle)),
            Value::Int(sequence.increment),
            Value::Int(sequence.max),
            Value::Int(sequence.min),
            Value::Int(sequence.start),
            text(""),
        ]
    };
    let rows = all_sequences(catalog).map(row);
    self::table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("SEQUENCE_SCHEMA", name_type()),
            ("SEQUENCE_NAME", name_type()),
            ("CACHE", SqlType::bigint()),
            ("CACHE_VALUE", SqlType::bigint()),
            ("CYCLE", SqlType::bigint()),
            ("INCREMENT", SqlType::bigint()),
            ("MAX_VALUE", SqlType::bigint()),
            ("MIN_VALUE", SqlType::bigint()),
            ("START", SqlType::bigint()),
            ("COMMENT", name_type()),
        ],
        rows.collect(),
    )
}

/// `PRI`, `UNI`, `MUL` or nothing, as SHOW COLUMNS prints it.
pub(crate) fn column_key(table: &TableDef, column: usize) -> &'static str {
    let declared = || table.indexes.iter().filter(|index| !index.implicit);
    if declared().any(|i| i.primary && i.columns.iter().any(|c| c.column == column)) {
        return if table.columns[column].hidden { "" } else { "PRI" };
    }
    let first = |index: &&IndexDef| index.columns.first().is_some_and(|c| c.column == column);
    let alone = |index: &IndexDef| index.unique && index.columns.len() == 1;
    if declared().filter(first).any(alone) {
        "UNI"
    } else if declared().any(|index| first(&index)) {
        "MUL"
    } else {
        ""
    }
}

/// What SHOW COLUMNS prints in its column Extra.
pub(crate) fn column_extra(column: &ColumnDef) -> String {
    let mut extra = Vec::new();
    if column.auto_increment {
        extra.push("auto_increment".to_string());
    }
    if matches!(column.default, Some(DefaultValue::Now | DefaultValue::Expression(_))) {
        extra.push("DEFAULT_GENERATED".to_string());
    }
    if column.on_update_now {
        extra.push(format!("on update {}", now_text(&column.ty)));
    }
    extra.join(" ")
}

/// `CURRENT_TIMESTAMP` with the column's digits.
pub(crate) fn now_text(ty: &SqlType) -> String {
    match ty.decimals {
        0 => "CURRENT_TIMESTAMP".to_string(),
        digits => format!("CURRENT_TIMESTAMP({digits})"),
    }
}

/// The default as text; `None` without one.
pub(crate) fn column_default(column: &ColumnDef) -> Option<String> {
    match &column.default {
        None => None,
        Some(DefaultValue::Literal(value)) => value.to_text(&column.ty),
        Some(DefaultValue::Now) => Some(now_text(&column.ty)),
        Some(DefaultValue::Expression(text)) => Some(text.clone()),
    }
}

/// The type's name without length, as information_schema prints it.
fn data_type(column: &ColumnDef) -> String {
    column.type_text.split(['(', ' ']).next().unwrap_or("").to_string()
}

fn columns(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        for (position, column) in table.visible_columns() {
            rows.push(column_row(table, position, column));
        }
    }
    table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("COLUMN_NAME", name_type()),
            ("ORDINAL_POSITION", number()),
            ("COLUMN_DEFAULT", long_text()),
            ("IS_NULLABLE", name_type()),
            ("DATA_TYPE", long_text()),
            ("CHARACTER_MAXIMUM_LENGTH", number()),
            ("CHARACTER_OCTET_LENGTH", number()),
            ("NUMERIC_PRECISION", number()),
            ("NUMERIC_SCALE", number()),
            ("DATETIME_PRECISION", number()),
            ("CHARACTER_SET_NAME", name_type()),
            ("COLLATION_NAME", name_type()),
            ("COLUMN_TYPE", long_text()),
            ("COLUMN_KEY", name_type()),
            ("EXTRA", SqlType::varchar(256, CollationId::DEFAULT)),
            ("PRIVILEGES", SqlType::varchar(154, CollationId::DEFAULT)),
            ("COLUMN_COMMENT", long_text()),
            ("GENERATION_EXPRESSION", long_text()),
            ("SRS_ID", number()),
        ],
        rows,
    )
}

fn column_row(table: &TableDef, position: usize, column: &ColumnDef) -> Row {
    let ty = &column.ty;
    let or_null = |value: Option<u64>| value.map_or(Value::Null, Value::UInt);
    let length = ty.is_string().then(|| u64::from(ty.length));
    let octets = length.map(|length| {
        let per_char = if ty.is_blob() { 1 } else { u64::from(ty.collation.bytes_per_char()) };
        length * per_char
    });
    let precision = match ty.kind {
        TypeKind::BigInt if !ty.unsigned => Some(19),
        TypeKind::BigInt => Some(20),
        TypeKind::Float => Some(12),
        TypeKind::Double => Some(22),
        TypeKind::Year => None,
        _ if ty.is_numeric() => Some(u64::from(ty.precision())),
        _ => None,
    };
    let scale = match ty.kind {
        TypeKind::Decimal => Some(u64::from(ty.decimals)),
        _ if ty.is_integer() && ty.kind != TypeKind::Year => Some(0),
        _ => None,
    };
    let digits = (ty.is_temporal() && ty.kind != TypeKind::Date).then(|| u64::from(ty.decimals));
    let (charset, collation) = if ty.is_text() {
        (text(ty.collation.charset()), text(ty.collation.name()))
    } else {
        (Value::Null, Value::Null)
    };
    vec![
        text("def"),
        text(&table.database),
        text(&table.name),
        text(&column.name),
        Value::UInt(position as u64 + 1),
        column_default(column).map_or(Value::Null, text),
        text(if ty.nullable { "YES" } else { "NO" }),
        text(data_type(column)),
        or_null(length),
        or_null(octets),
        or_null(precision),
        or_null(scale),
        or_null(digits),
        charset,
        collation,
        text(&column.type_text),
        text(column_key(table, position)),
        text(column_extra(column)),
        text("select,insert,update,references"),
        text(&column.comment),
        text(""),
        Value::Null,
    ]
}

/// The rows of STATISTICS for one table: one per column of each index.
pub(crate) fn statistics_rows(table: &TableDef) -> Vec<Row> {
    let mut rows = Vec::new();
    for index in shown_indexes(table) {
        let included = included_text(table, index);
        for (sequence, part) in index.columns.iter().enumerate() {
            let column = &table.columns[part.column];
            rows.push(vec![
                text("def"),
                text(&table.database),
                text(&table.name),
                Value::Int(i64::from(!index.unique)),
                text(&table.database),
                text(&index.name),
                Value::UInt(sequence as u64 + 1),
                text(&column.name),
                text("A"),
                Value::Null,
                part.prefix.map_or(Value::Null, |length| Value::UInt(u64::from(length))),
                Value::Null,
                text(if column.ty.nullable { "YES" } else { "" }),
                text("BTREE"),
                text(&included),
                text(&index.comment),
                text("YES"),
                Value::Null,
            ]);
        }
    }
    rows
}

/// What the column COMMENT says of an index: its included columns are no parts of its key and have no rows.
fn included_text(table: &TableDef, index: &IndexDef) -> String {
    let names = index.included.iter().map(|column| table.columns[*column].name.as_str());
    match names.collect::<Vec<_>>().join(",") {
        names if names.is_empty() => names,
        names => format!("INCLUDE ({names})"),
    }
}

fn statistics(catalog: &Catalog) -> VirtualTable {
    let rows = all_tables(catalog).flat_map(|table| statistics_rows(table)).collect();
    table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("NON_UNIQUE", SqlType::int()),
            ("INDEX_SCHEMA", name_type()),
            ("INDEX_NAME", name_type()),
            ("SEQ_IN_INDEX", number()),
            ("COLUMN_NAME", name_type()),
            ("COLLATION", name_type()),
            ("CARDINALITY", number()),
            ("SUB_PART", number()),
            ("PACKED", name_type()),
            ("NULLABLE", name_type()),
            ("INDEX_TYPE", name_type()),
            ("COMMENT", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("INDEX_COMMENT", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("IS_VISIBLE", name_type()),
            ("EXPRESSION", long_text()),
        ],
        rows,
    )
}

/// Indexes as they were declared: without a hidden row id and implicit entries.
pub(crate) fn shown_indexes(table: &TableDef) -> impl Iterator<Item = &IndexDef> {
    table.indexes.iter().filter(|index| !index.implicit && !index.name.is_empty())
}

fn key_column_usage(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        for index in shown_indexes(table).filter(|index| index.unique) {
            for (sequence, part) in index.columns.iter().enumerate() {
                rows.push(vec![
                    text("def"),
                    text(&table.database),
                    text(&index.name),
                    text("def"),
                    text(&table.database),
                    text(&table.name),
                    text(&table.columns[part.column].name),
                    Value::UInt(sequence as u64 + 1),
                    Value::Null,
                    Value::Null,
                    Value::Null,
                    Value::Null,
                ]);
            }
        }
    }
    table(
        &[
            ("CONSTRAINT_CATALOG", name_type()),
            ("CONSTRAINT_SCHEMA", name_type()),
            ("CONSTRAINT_NAME", name_type()),
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("COLUMN_NAME", name_type()),
            ("ORDINAL_POSITION", number()),
            ("POSITION_IN_UNIQUE_CONSTRAINT", number()),
            ("REFERENCED_TABLE_SCHEMA", name_type()),
            ("REFERENCED_TABLE_NAME", name_type()),
            ("REFERENCED_COLUMN_NAME", name_type()),
        ],
        rows,
    )
}

fn table_constraints(catalog: &Catalog) -> VirtualTable {
    let mut rows = Vec::new();
    for table in all_tables(catalog) {
        for index in shown_indexes(table).filter(|index| index.unique) {
            rows.push(vec![
                text("def"),
                text(&table.database),
                text(&index.name),
                text(&table.database),
                text(&table.name),
                text(if index.primary { "PRIMARY KEY" } else { "UNIQUE" }),
                text("YES"),
            ]);
        }
    }
    table(
        &[
            ("CONSTRAINT_CATALOG", name_type()),
            ("CONSTRAINT_SCHEMA", name_type()),
            ("CONSTRAINT_NAME", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("CONSTRAINT_TYPE", name_type()),
            ("ENFORCED", name_type()),
        ],
        rows,
    )
}

fn character_sets() -> VirtualTable {
    let rows = CHARSETS
        .iter()
        .map(|charset| {
            vec![
                text(charset.name),
                text(charset.default.name()),
                text(charset.description),
                Value::UInt(u64::from(charset.bytes_per_char)),
            ]
        })
        .collect();
    table(
        &[
            ("CHARACTER_SET_NAME", name_type()),
            ("DEFAULT_COLLATE_NAME", name_type()),
            ("DESCRIPTION", SqlType::varchar(2048, CollationId::DEFAULT)),
            ("MAXLEN", number()),
        ],
        rows,
    )
}

/// The rows of COLLATIONS, which SHOW COLLATION shows as they are.
pub(crate) fn collation_rows() -> Vec<Row> {
    COLLATIONS
        .iter()
        .map(|collation| {
            vec![
                text(collation.name),
                text(collation.charset),
                Value::UInt(u64::from(collation.id.0)),
                text(if collation.is_default { "Yes" } else { "" }),
                text("Yes"),
                Value::UInt(u64::from(collation.sort_length)),
                text(if collation.pad_space { "PAD SPACE" } else { "NO PAD" }),
            ]
        })
        .collect()
}

fn collations() -> VirtualTable {
    let rows = collation_rows();
    table(
        &[
            ("COLLATION_NAME", name_type()),
            ("CHARACTER_SET_NAME", name_type()),
            ("ID", number()),
            ("IS_DEFAULT", name_type()),
            ("IS_COMPILED", name_type()),
            ("SORTLEN", number()),
            ("PAD_ATTRIBUTE", name_type()),
        ],
        rows,
    )
}

fn applicability() -> VirtualTable {
    let rows = COLLATIONS.iter().map(|c| vec![text(c.name), text(c.charset)]).collect();
    table(&[("COLLATION_NAME", name_type()), ("CHARACTER_SET_NAME", name_type())], rows)
}

fn engines() -> VirtualTable {
    table(
        &[
            ("ENGINE", name_type()),
            ("SUPPORT", name_type()),
            ("COMMENT", SqlType::varchar(80, CollationId::DEFAULT)),
            ("TRANSACTIONS", name_type()),
            ("XA", name_type()),
            ("SAVEPOINTS", name_type()),
        ],
        vec![show::engine_row()],
    )
}

/// The sessions of all nodes.
pub(super) fn processlist(tables: &SystemTables) -> VirtualTable {
    let rows = tables.running(|activity, _| {
        let sessions = activity.sessions().into_iter();
        sessions.map(|session| show::process_row(&session.process, true)).collect()
    });
    table(
        &[
            ("ID", number()),
            ("USER", name_type()),
            ("HOST", SqlType::varchar(261, CollationId::DEFAULT)),
            ("DB", name_type()),
            ("COMMAND", name_type()),
            ("TIME", SqlType::int()),
            ("STATE", name_type()),
            ("INFO", long_text()),
        ],
        rows,
    )
}

fn variables(values: &SessionVariables, global: bool) -> VirtualTable {
    let rows = sysvar::all()
        .iter()
        .filter(|variable| !global || variable.scope != sysvar::VariableScope::Session)
        .map(|variable| vec![text(variable.name), text(values.shown(variable, global))])
        .collect();
    table(&[("VARIABLE_NAME", name_type()), ("VARIABLE_VALUE", long_text())], rows)
}
