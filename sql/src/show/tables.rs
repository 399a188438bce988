//! SHOW about what is defined: databases, tables, columns, indexes.

use super::create_table::{self, ShardingStyle, quoted};
use super::{Listing, create_view, number_column, text, text_column, text_columns};
use crate::ast::{ShardingClass, TableName};
use crate::binder::scope::table_column_meta;
use crate::binder::view::{ViewColumn, columns_of};
use crate::binder::{VirtualRows, VirtualTables};
use crate::catalog::information_schema::{
    self, column_default, column_extra, column_key, moment, statistics_rows, view_column,
};
use crate::catalog::{Catalog, ColumnDef, Sharding, TableDef, ViewDef, performance_schema};
use crate::collation::CollationId;
use crate::dml::find_table;
use crate::lexer::OWN_VERSION_NUMBER;
use crate::session::{ColumnFlags, ColumnMeta, Session};
use crate::temporary::is_temporary;
use crate::types::SqlType;
use crate::value::{Row, Value};
use crate::{Error, Result};
use std::sync::Arc;

fn with_pattern(name: &str, pattern: Option<&str>) -> String {
    pattern.map_or_else(|| name.to_string(), |pattern| format!("{name} ({pattern})"))
}

/// SHOW DATABASES.
pub(super) async fn databases(session: &mut Session, pattern: Option<&str>) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let mut names =
        vec![information_schema::NAME.to_string(), performance_schema::NAME.to_string()];
    names.extend(catalog.databases().map(|database| database.name.clone()));
    names.sort();
    let rows = names.into_iter().map(|name| vec![text(name)]).collect();
    Ok(Listing { columns: vec![text_column(with_pattern("Database", pattern), 64)], rows })
}

/// The database of a SHOW … FROM, which must exist.
fn database_of(session: &Session, database: Option<&str>, catalog: &Catalog) -> Result<String> {
    let name = database.or(session.database.as_deref()).ok_or_else(Error::no_database)?;
    if catalog.has_database(name) {
        Ok(name.to_string())
    } else {
        Err(Error::unknown_database(name))
    }
}

/// SHOW TABLES.
pub(super) async fn tables(
    session: &mut Session,
    database: Option<&str>,
    full: bool,
    pattern: Option<&str>,
) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = database_of(session, database, &catalog)?;
    let title = with_pattern(&format!("Tables_in_{database}"), pattern);
    let mut columns = vec![text_column(title, 64)];
    if full {
        columns.push(text_column("Table_type", 11));
    }
    let names: Vec<(&str, &str)> = match database.eq_ignore_ascii_case(performance_schema::NAME) {
        true => performance_schema::TABLES.iter().map(|name| (*name, "BASE TABLE")).collect(),
        false => {
            let tables = catalog.tables(&database).map(|table| (&*table.name, "BASE TABLE"));
            let sequences = catalog.sequences(&database).map(|found| (&*found.name, "SEQUENCE"));
            let views = catalog.views(&database).map(|view| (&*view.name, "VIEW"));
            let mut names: Vec<_> = tables.chain(sequences).chain(views).collect();
            names.sort_unstable();
            names
        }
    };
    let rows = names
        .into_iter()
        .map(|(name, kind)| {
            let mut row = vec![text(name)];
            if full {
                row.push(text(kind));
            }
            row
        })
        .collect();
    Ok(Listing { columns, rows })
}

/// SHOW TABLE STATUS.
pub(super) async fn table_status(session: &mut Session, database: Option<&str>) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = database_of(session, database, &catalog)?;
    let found: Vec<Arc<TableDef>> = catalog.tables(&database).cloned().collect();
    let next = session.instance.auto_increment.peek_all(&found).await?;
    let mut rows = Vec::with_capacity(found.len());
    for table in found {
        let next = next.get(&table.id).map_or(Value::Null, |next| Value::UInt(*next));
        let mut row = vec![text(&table.name), text("InnoDB"), Value::UInt(10), text("Dynamic")];
        let known = catalog.statistics().get(&table.id);
        row.push(known.map_or(Value::Null, |known| Value::UInt(known.rows)));
        // Bytes are not counted.
        row.extend(vec![Value::Null; 5]);
        row.push(next);
        row.extend([moment(table.created_unix), Value::Null, Value::Null]);
        row.extend([text(table.collation.name()), Value::Null]);
        row.extend([text(table.create_options()), text(&table.comment)]);
        rows.push(row);
    }
    for view in catalog.views(&database) {
        let mut row = vec![text(&view.name)];
        row.extend(vec![Value::Null; 10]);
        row.push(moment(view.created_unix));
        row.extend(vec![Value::Null; 5]);
        row.push(text("VIEW"));
        rows.push(row);
    }
    rows.sort_by(|a, b| a[0].as_text().cmp(&b[0].as_text()));
    let number = |name: &str| number_column(name);
    let date = |name: &str| ColumnMeta::computed(name, SqlType::datetime(0));
    let columns = vec![
        text_column("Name", 64),
        text_column("Engine", 64),
        number("Version"),
        text_column("Row_format", 10),
        number("Rows"),
        number("Avg_row_length"),
        number("Data_length"),
        number("Max_data_length"),
        number("Index_length"),
        number("Data_free"),
        number("Auto_increment"),
        date("Create_time"),
        date("Update_time"),
        date("Check_time"),
        text_column("Collation", 64),
        number("Checksum"),
        text_column("Create_options", 256),
        text_column("Comment", 2048),
    ];
    Ok(Listing { columns, rows })
}

/// A stored table, a view, or a computed table of a system schema.
enum Shown {
    Stored(Arc<TableDef>),
    View(Arc<ViewDef>),
    Computed(VirtualRows),
}

fn shown(session: &Session, name: &TableName, catalog: &Arc<Catalog>) -> Result<Shown> {
    if let Some(table) = session.temporary_table(name) {
        return Ok(Shown::Stored(table));
    }
    let database = name.database.as_deref().or(session.database.as_deref());
    if let Some(database) = database
        && information_schema::is_schema(database)
        && catalog.database(database).is_none()
        && let Some(table) = session.virtual_tables(catalog).table(database, &name.name)?
    {
        return Ok(Shown::Computed(table));
    }
    if let Some(view) = database.and_then(|database| catalog.view(database, &name.name)) {
        return Ok(Shown::View(view.clone()));
    }
    find_table(name, session.database.as_deref(), catalog).map(Shown::Stored)
}

/// SHOW COLUMNS.
pub(super) async fn columns(
    session: &mut Session,
    name: &TableName,
    full: bool,
) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let names = if full {
        "Field,Type,Collation,Null,Key,Default,Extra,Privileges,Comment"
    } else {
        "Field,Type,Null,Key,Default,Extra"
    };
    let rows: Vec<Row> = match shown(session, name, &catalog)? {
        Shown::Stored(table) => table
            .visible_columns()
            .map(|(position, column)| {
                let key = column_key(&table, position);
                column_row(column, column_default(column), key, full)
            })
            .collect(),
        Shown::View(view) => {
            let ctx = session.context(Vec::new());
            let computed = session.virtual_tables(&catalog);
            let columns = columns_of(&view, &catalog, &ctx, &computed)?;
            let row = |column: &ViewColumn| {
                let (column, default) = view_column(column);
                column_row(&column, default, "", full)
            };
            columns.iter().map(row).collect()
        }
        Shown::Computed(table) => table
            .columns
            .iter()
            .map(|(name, ty)| {
                let mut row = vec![text(name), text(computed_type(ty))];
                if full {
                    row.push(if ty.is_text() { text(ty.collation.name()) } else { Value::Null });
                }
                row.extend([text("YES"), text(""), Value::Null, text("")]);
                if full {
                    row.extend([text("select"), text("")]);
                }
                row
            })
            .collect(),
    };
    Ok(Listing { columns: text_columns(names), rows })
}

/// A row of SHOW COLUMNS.
fn column_row(column: &ColumnDef, default: Option<String>, key: &str, full: bool) -> Row {
    let mut row = vec![text(&column.name), text(&column.type_text)];
    if full {
        row.push(match column.ty.has_charset() {
            true => text(column.ty.collation.name()),
            false => Value::Null,
        });
    }
    let null = text(if column.ty.nullable { "YES" } else { "NO" });
    let default = default.map_or(Value::Null, text);
    row.extend([null, text(key), default, text(column_extra(column))]);
    if full {
        row.push(text("select,insert,update,references"));
        row.push(text(&column.comment));
    }
    row
}

fn computed_type(ty: &SqlType) -> String {
    let name = ty.kind_name().to_ascii_lowercase();
    if ty.is_string() && !ty.is_blob() {
        format!("{name}({})", ty.length)
    } else if ty.unsigned {
        format!("{name} unsigned")
    } else {
        name
    }
}

/// SHOW INDEX.
pub(super) async fn indexes(session: &mut Session, name: &TableName) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let rows = match shown(session, name, &catalog)? {
        Shown::Stored(table) => {
            let known = catalog.statistics().get(&table.id);
            statistics_rows(&table, known).into_iter().map(without_schema_columns).collect()
        }
        _ => Vec::new(),
    };
    let columns = vec![
        text_column("Table", 64),
        ColumnMeta::computed("Non_unique", SqlType::int()),
        text_column("Key_name", 64),
        number_column("Seq_in_index"),
        text_column("Column_name", 64),
        text_column("Collation", 1),
        number_column("Cardinality"),
        number_column("Sub_part"),
        text_column("Packed", 10),
        text_column("Null", 3),
        text_column("Index_type", 11),
        text_column("Comment", 2048),
        text_column("Index_comment", 2048),
        text_column("Visible", 3),
        text_column("Expression", 2048),
    ];
    Ok(Listing { columns, rows })
}

/// A row of information_schema.STATISTICS as SHOW INDEX has it: without catalog and schemas.
fn without_schema_columns(row: Row) -> Row {
    const LEFT_OUT: [usize; 3] = [0, 1, 4];
    let kept = row.into_iter().enumerate().filter(|(column, _)| !LEFT_OUT.contains(column));
    kept.map(|(_, value)| value).collect()
}

/// SHOW CREATE SEQUENCE.
pub(super) async fn create_sequence(session: &mut Session, name: &TableName) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = name.database.as_deref().or(session.database.as_deref());
    let database = database.ok_or_else(Error::no_database)?;
    let Some(sequence) = catalog.sequence(database, &name.name) else {
        crate::dml::find_table(name, session.database.as_deref(), &catalog)?;
        return Err(Error::not_a_sequence(format!("{database}.{}", name.name)));
    };
    let columns = vec![text_column("Sequence", 64), text_column("Create Sequence", 1024)];
    let row = vec![text(&sequence.name), text(sequence.create_text())];
    Ok(Listing { columns, rows: vec![row] })
}

/// SHOW CREATE TABLE; of a sequence what creates that, as others answer it.
pub(super) async fn create_table(session: &mut Session, name: &TableName) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = name.database.as_deref().or(session.database.as_deref());
    if let Some(sequence) = database.and_then(|database| catalog.sequence(database, &name.name)) {
        let columns = vec![text_column("Table", 64), text_column("Create Table", 1024)];
        let row = vec![text(&sequence.name), text(sequence.create_text())];
        return Ok(Listing { columns, rows: vec![row] });
    }
    let shown = shown(session, name, &catalog)?;
    let (name, statement) = match shown {
        Shown::View(view) => return create_view::listing(session, &view, &catalog),
        Shown::Stored(table) => {
            let next = match table.auto_increment() {
                Some(_) if is_temporary(table.id) => Some(session.temporary.peek_number(table.id)?),
                Some(_) => Some(session.instance.auto_increment.peek(&table).await?),
                None => None,
            };
            let ctx = session.context(Vec::new());
            let style = ShardingStyle::of(&session.variables.text("tdsql_show_create"));
            let text = create_table::text(&table, next, ctx.time_zone, style);
            let text = match is_temporary(table.id) {
                true => text.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1),
                false => text,
            };
            (table.name.clone(), text)
        }
        Shown::Computed(table) => {
            let database = name.database.as_deref().or(session.database.as_deref());
            let is_performance =
                database.is_some_and(|name| name.eq_ignore_ascii_case(performance_schema::NAME));
            let (words, engine) = match is_performance {
                true => ("CREATE TABLE", "PERFORMANCE_SCHEMA"),
                false => ("CREATE TEMPORARY TABLE", "MEMORY"),
            };
            let columns = computed_columns(&table);
            let text = format!("{words} {} (\n{columns}\n) ENGINE={engine}", quoted(&name.name));
            (name.name.clone(), text + " DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci")
        }
    };
    let columns = vec![text_column("Table", 64), text_column("Create Table", 1024)];
    Ok(Listing { columns, rows: vec![vec![text(name), text(statement)]] })
}

/// Columns of a computed table as SHOW CREATE TABLE has them. It has no keys.
fn computed_columns(table: &VirtualRows) -> String {
    let lines = table.columns.iter().map(|(name, ty)| {
        let mut line = format!("  {} {}", quoted(name), computed_type(ty));
        if ty.is_text() && ty.collation != CollationId::UTF8MB4_GENERAL_CI {
            line.push_str(&format!(" COLLATE {}", ty.collation.name()));
        }
        if !ty.nullable {
            line.push_str(" NOT NULL");
        } else if !ty.is_blob() {
            line.push_str(" DEFAULT NULL");
        }
        line
    });
    lines.collect::<Vec<_>>().join(",\n")
}

/// SHOW CREATE DATABASE.
pub(super) async fn create_database(
    session: &mut Session,
    name: &str,
    if_not_exists: bool,
) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = catalog.database(name).ok_or_else(|| Error::unknown_database(name))?;
    let mut collate = String::new();
    let info = database.collation.info();
    if !info.is_default || info.charset == "utf8mb4" {
        collate = format!(" COLLATE {}", info.name);
    }
    let placement = match database.placement.as_str() {
        "" => String::new(),
        policy => format!(" /*!{OWN_VERSION_NUMBER} PLACEMENT POLICY={} */", quoted(policy)),
    };
    let exists = if if_not_exists { "/*!32312 IF NOT EXISTS*/ " } else { "" };
    let statement = format!(
        "CREATE DATABASE {exists}{} /*!40100 DEFAULT CHARACTER SET {}{collate} */ \
         /*!80016 DEFAULT ENCRYPTION='N' */{placement}",
        quoted(name),
        info.charset
    );
    let columns = vec![text_column("Database", 64), text_column("Create Database", 1024)];
    Ok(Listing { columns, rows: vec![vec![text(name), text(statement)]] })
}

/// SHOW TABLE WITH SHARDKEY and its relatives.
pub(super) async fn by_sharding(session: &mut Session, class: ShardingClass) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = database_of(session, None, &catalog)?;
    let fits = |table: &&Arc<TableDef>| match class {
        ShardingClass::Sharded => {
            matches!(table.sharding, Sharding::Hash(_)) || table.sharding.distribution().is_some()
        }
        ShardingClass::Broadcast => matches!(table.sharding, Sharding::Broadcast(_)),
        ShardingClass::Single => table.sharding == Sharding::Single,
    };
    let mut columns = vec![text_column("db_table", 129)];
    if class != ShardingClass::Single {
        columns.push(text_column("info", 1024));
    }
    let rows = catalog.tables(&database).filter(fits).map(|table| {
        let mut row = vec![text(table.qualified_name())];
        match class {
            ShardingClass::Sharded => row.push(text(format!("shardkey:{}", sharding_key(table)))),
            ShardingClass::Broadcast => row.push(text("shardkey:noshardkey_allset")),
            ShardingClass::Single => {}
        }
        row
    });
    Ok(Listing { columns, rows: rows.collect() })
}

/// The columns that place a table's rows, with commas between.
fn sharding_key(table: &TableDef) -> String {
    let columns = match &table.sharding {
        Sharding::Range(by) | Sharding::List(by) | Sharding::Keys(by) => {
            std::slice::from_ref(&by.column)
        }
        Sharding::Hash(columns) => columns.as_slice(),
        Sharding::Single | Sharding::Broadcast(_) => &[],
    };
    let names = columns.iter().map(|column| table.columns[*column].name.as_str());
    names.collect::<Vec<_>>().join(",")
}

/// COM_FIELD_LIST.
pub(super) async fn field_list(
    session: &mut Session,
    table: &str,
    wildcard: &str,
) -> Result<Vec<ColumnMeta>> {
    let catalog = session.instance.catalog.current().await?;
    let name = TableName { database: None, name: table.to_string() };
    let columns: Vec<ColumnMeta> = match shown(session, &name, &catalog)? {
        Shown::Stored(table) => table
            .visible_columns()
            .map(|(position, _)| table_column_meta(&table, position, &table.name))
            .collect(),
        Shown::View(view) => {
            let ctx = session.context(Vec::new());
            let computed = session.virtual_tables(&catalog);
            let columns = columns_of(&view, &catalog, &ctx, &computed)?;
            let meta = |column: ViewColumn| ColumnMeta {
                database: view.database.clone(),
                table: view.name.clone(),
                org_table: view.name.clone(),
                org_name: column.name.clone(),
                flags: ColumnFlags::of_type(&column.ty),
                ..ColumnMeta::computed(column.name, column.ty)
            };
            columns.into_iter().map(meta).collect()
        }
        Shown::Computed(rows) => rows
            .columns
            .iter()
            .map(|(column, ty)| ColumnMeta {
                database: session.database.as_deref().unwrap_or_default().to_string(),
                table: table.to_string(),
                org_table: table.to_string(),
                org_name: column.clone(),
                flags: ColumnFlags::of_type(ty),
                ..ColumnMeta::computed(column.clone(), *ty)
            })
            .collect(),
    };
    if wildcard.is_empty() {
        return Ok(columns);
    }
    let rows = columns.iter().map(|column| vec![text(&column.name)]).collect();
    let listing = Listing { columns: vec![text_column("Field", 64)], rows };
    let filter = crate::ast::ShowFilter::Like(wildcard.to_string());
    let kept = super::filtered(session, listing, Some(std::borrow::Cow::Owned(filter))).await?;
    let is_kept = |column: &ColumnMeta| {
        kept.rows.iter().any(|row| row[0].as_text() == Some(column.name.as_str()))
    };
    Ok(columns.into_iter().filter(is_kept).collect())
}
