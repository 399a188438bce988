//! CREATE TABLE … SELECT.
//!
//! ```text
//! bind the query ─> columns: those declared only, then those of the query ─> definition, with ids of its own
//!                                                                              │ nobody knows it yet
//! one transaction:  rows of the query ─> … ─> record of the table, version of the catalog ─> commit
//! ```
//!
//! So a reader sees the table with all its rows, or none; a statement that fails, or whose node dies, leaves nothing. A schema
//! change of somebody else at the moment of the commit is a conflict: the statement begins again.
//!
//! Not here: what a definition becomes (`create_table`), how rows are stored (`dml`).

use super::change::{Touched, announce, publish};
use super::table::define_new;
use super::{column_type, database_of, deprecated, existing_database, partition, placement};
use crate::ast::{self, LoadDuplicates, Statement};
use crate::catalog::table_locks::Change;
use crate::catalog::{Catalog, ColumnDef, DefaultValue, store};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::dml::store::OnDuplicate;
use crate::dml::{self, insert};
use crate::parser::{self, ParseMode};
use crate::session::statement::{StatementContext, is_conflict};
use crate::session::{ColumnMeta, Outcome, Session};
use crate::show::create_table::{column_line, quoted};
use crate::types::{SqlType, TypeKind};
use crate::value::Value;
use crate::{Error, Result};
use base::limits::CONFLICT_RETRIES_MAX;
use std::sync::Arc;
use txn::transaction::Mode;

/// Strings of expressions that may be longer become TEXT, as in MySQL.
const VARCHAR_CHARS_MAX: u32 = 512;
/// Integers of expressions with as many characters become BIGINT, as in MySQL.
const BIGINT_CHARS: u32 = 10;

/// Runs CREATE TABLE … SELECT. The open transaction has been committed.
pub(crate) async fn run(
    session: &mut Session,
    create: &ast::CreateTable,
    params: Vec<Value>,
) -> Result<Outcome> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match once(session, create, params.clone()).await {
            Err(error) if error.is_table_blocked() && attempt < CONFLICT_RETRIES_MAX => {
                session.wait_for_tables().await?;
            }
            Err(error) if is_conflict(&error) && attempt < CONFLICT_RETRIES_MAX => {
                session.entry.uses.leave();
            }
            outcome => return outcome,
        }
        session.check_cancel()?;
    }
}

async fn once(
    session: &mut Session,
    create: &ast::CreateTable,
    params: Vec<Value>,
) -> Result<Outcome> {
    let Some(select) = &create.query else {
        return Err(Error::internal("CREATE TABLE … SELECT without its query"));
    };
    if !create.foreign_keys.is_empty() {
        return Err(Error::not_supported(
            "CREATE TABLE … SELECT with FOREIGN KEY: create the table, then INSERT … SELECT into it",
        ));
    }
    session.enter_changes(Change::New).await?;
    let database = database_of(session, &create.name)?.to_string();
    let touched = Touched::NewTable(&database, &create.name.name);
    touched.check_own_locks(&session.table_locks)?;
    let (on_duplicate, ignore) = match select.duplicates {
        LoadDuplicates::Default => (OnDuplicate::Error, false),
        LoadDuplicates::Replace => (OnDuplicate::Replace, false),
        LoadDuplicates::Ignore => (OnDuplicate::Ignore, true),
    };
    let ctx = session.dml_context(params, ignore);
    let catalog = session.instance.catalog.current().await?;
    existing_database(&catalog, &database)?;
    if catalog.is_name_taken(&database, &create.name.name) {
        let error = Error::table_exists(&create.name.name);
        if !create.if_not_exists {
            return Err(error);
        }
        ctx.note(error);
        return Ok(Outcome::done());
    }
    let env =
        StatementContext { catalog: catalog.clone(), ctx: ctx.clone(), locking: None, with: None };
    let (create, places) = merged(session, create, &select.query, &database, &env).await?;
    let client = session.instance.config.client.clone();
    let partitions = create.partition_by.as_deref().map_or(0, partition::declared_count);
    let ids = store::new_table_ids(&client, 1 + partitions).await?;
    let mut set = None;
    if let Some(wanted) = placement::of_new_table(session, &create, &database, &ctx).await? {
        let warnings = ctx.warnings.count();
        define_new(&create, &database, &ids, &catalog, Some(&wanted.anywhere()), &ctx)?;
        ctx.warnings.forget_after(warnings);
        set = Some(placement::take_set(session, &wanted, &ctx).await?);
    }
    let table = define_new(&create, &database, &ids, &catalog, set.as_ref(), &ctx)?;
    let table = Arc::new(table);
    let txn = session.own_transaction(Mode::Snapshot);
    let source = (&*select.query, on_duplicate);
    let changes = insert::fill(session, &table, &places, source, &env, &txn).await?;
    let still = |now: &Catalog| {
        existing_database(now, &database)?;
        if now.is_name_taken(&database, &create.name.name) {
            return Err(Error::table_exists(&create.name.name));
        }
        let warnings = ctx.warnings.count();
        let defined = define_new(&create, &database, &ids, now, set.as_ref(), &ctx)?;
        // It has been said once.
        ctx.warnings.forget_after(warnings);
        match defined == *table {
            true => Ok(()),
            // What it inherits from the database is another thing now.
            false => Err(Error::deadlock()),
        }
    };
    let made = publish(session, &touched, &txn, &table, still).await?;
    let identity = txn.lock().await.identity().cloned();
    match made {
        Ok(version) => {
            session.count_commit(identity.as_ref());
            announce(&session.instance, version).await;
        }
        Err(txn::Error::AlreadyExists { key }) => {
            return Err(dml::duplicate::describe(&client, &table, &key, &changes.rows, &ctx).await);
        }
        Err(error) => return Err(session.instance.commit_error(error, identity, None).await),
    }
    deprecated::warn_of_table(&create, &ctx)?;
    placement::warn_of_global(&table.placement, &table.indexes, &ctx);
    Ok(session.finish_change(changes))
}

/// The table as it would be created without the query, and where the query's columns are in it: those that are only declared
/// come first, then the columns of the query, with the definitions of those that are declared as well.
pub(super) async fn merged(
    session: &Session,
    create: &ast::CreateTable,
    query: &ast::Query,
    database: &str,
    env: &StatementContext,
) -> Result<(ast::CreateTable, Vec<usize>)> {
    let ctx = &env.ctx;
    // It is bound once more to run, and warns then.
    let warnings = ctx.warnings.count();
    let columns = session.bind_to_run(query, env).await?.columns;
    ctx.warnings.forget_after(warnings);
    let options = &create.options;
    let inherited = column_type::choose_collation(
        options.charset.as_deref(),
        options.collation.as_deref(),
        existing_database(&env.catalog, database)?.collation,
    )?;
    let mut declared: Vec<Option<&ast::ColumnDefinition>> =
        create.columns.iter().map(Some).collect();
    let mut own = Vec::with_capacity(columns.len());
    for meta in &columns {
        let same = declared.iter_mut().find(|column| {
            column.is_some_and(|column| column.name.eq_ignore_ascii_case(&meta.name))
        });
        own.push(match same.and_then(Option::take) {
            Some(definition) => definition.clone(),
            None => definition_of(meta, &env.catalog, inherited, ctx)?,
        });
    }
    let mut merged = ast::CreateTable { query: None, ..create.clone() };
    merged.columns = declared.into_iter().flatten().cloned().collect();
    let first = merged.columns.len();
    merged.columns.extend(own);
    Ok((merged, (first..first + columns.len()).collect()))
}

/// A column of a query as CREATE TABLE would declare it: one of a table as it is there, without AUTO_INCREMENT and ON UPDATE.
fn definition_of(
    meta: &ColumnMeta,
    catalog: &Catalog,
    inherited: CollationId,
    ctx: &EvalContext,
) -> Result<ast::ColumnDefinition> {
    let base = catalog.table(&meta.database, &meta.org_table);
    let base = base.and_then(|table| Some((table, &table.columns[table.column(&meta.org_name)?])));
    let (ty, line) = match base {
        Some((table, column)) => {
            let ty = column.ty.with_nullable(meta.ty.nullable);
            let zero = column.auto_increment.then_some(DefaultValue::Literal(Value::Int(0)));
            let column = ColumnDef {
                name: "c".into(),
                ty,
                default: zero.or_else(|| column.default.clone()),
                auto_increment: false,
                on_update_now: false,
                generated: None,
                invisible: false,
                ..column.clone()
            };
            (ty, column_line(table, &column, ctx.time_zone))
        }
        None => (meta.ty, format!("`c` {}{}", type_text(meta), default_text(&meta.ty))),
    };
    let text = format!("CREATE TABLE {} ({line})", quoted("t"));
    let mut parsed = match parser::parse_statement(&text, &ParseMode::default()) {
        Ok(Statement::CreateTable(parsed)) => parsed.columns,
        Ok(_) | Err(_) => Vec::new(),
    };
    let Some(mut definition) = parsed.pop() else {
        return Err(Error::internal(format!("no column of {}", meta.name)));
    };
    definition.name.clone_from(&meta.name);
    definition.nullable = (!ty.nullable).then_some(false);
    if is_null(&definition.default) {
        // It may yet become part of a primary key.
        definition.default = None;
    }
    if ty.has_charset() {
        definition.ty.charset = None;
        let other = (ty.collation != inherited).then(|| ty.collation.name().to_string());
        definition.ty.collation = other;
    }
    Ok(definition)
}

fn is_null(default: &Option<ast::DefaultValue>) -> bool {
    let Some(ast::DefaultValue::Literal(expr)) = default else { return false };
    matches!(expr.kind, ast::ExprKind::Literal(ast::Literal::Null))
}

/// The type of a column that is computed, or comes from a derived table.
fn type_text(meta: &ColumnMeta) -> String {
    let ty = &meta.ty;
    let is_computed = meta.org_name.is_empty();
    let is_binary = ty.collation == CollationId::BINARY;
    let text = match ty.kind {
        TypeKind::Null => "binary(0)".into(),
        TypeKind::TinyInt => "tinyint".into(),
        TypeKind::SmallInt => "smallint".into(),
        TypeKind::MediumInt => "mediumint".into(),
        TypeKind::BigInt if is_computed && ty.length < BIGINT_CHARS => "int".into(),
        TypeKind::Int => "int".into(),
        TypeKind::BigInt => "bigint".into(),
        TypeKind::Decimal => format!("decimal({},{})", ty.length, ty.decimals),
        TypeKind::Float => "float".into(),
        TypeKind::Double => "double".into(),
        TypeKind::Varchar | TypeKind::Char | TypeKind::Enum | TypeKind::Set
            if is_computed && ty.length > VARCHAR_CHARS_MAX =>
        {
            long_text(ty)
        }
        TypeKind::Char if is_binary => format!("binary({})", ty.length),
        TypeKind::Char => format!("char({})", ty.length),
        TypeKind::Varchar if ty.length == 0 && is_binary => "binary(0)".into(),
        TypeKind::Varchar if ty.length == 0 => "char(0)".into(),
        TypeKind::Varchar if is_binary => format!("varbinary({})", ty.length),
        TypeKind::Varchar | TypeKind::Enum | TypeKind::Set => format!("varchar({})", ty.length),
        TypeKind::TinyText if is_binary => "tinyblob".into(),
        TypeKind::TinyText => "tinytext".into(),
        TypeKind::Text if is_binary => "blob".into(),
        TypeKind::Text => "text".into(),
        TypeKind::MediumText if is_binary => "mediumblob".into(),
        TypeKind::MediumText => "mediumtext".into(),
        TypeKind::LongText if is_binary => "longblob".into(),
        TypeKind::LongText => "longtext".into(),
        TypeKind::Date => "date".into(),
        TypeKind::Time => fraction("time", ty),
        TypeKind::DateTime => fraction("datetime", ty),
        TypeKind::Timestamp => fraction("timestamp", ty),
        TypeKind::Year => "year".into(),
        TypeKind::Bit => format!("bit({})", ty.length),
        TypeKind::Json => "json".into(),
        TypeKind::Geometry => "geometry".into(),
    };
    match ty.unsigned && ty.is_numeric() && ty.kind != TypeKind::Year {
        true => format!("{text} unsigned"),
        false => text,
    }
}

/// The smallest TEXT or BLOB that takes as many characters.
fn long_text(ty: &SqlType) -> String {
    let bytes = u64::from(ty.length) * u64::from(ty.collation.bytes_per_char());
    let size = match bytes {
        0..=0xff => "tiny",
        0x100..=0xffff => "",
        0x1_0000..=0xff_ffff => "medium",
        _ => "long",
    };
    let kind = if ty.collation == CollationId::BINARY { "blob" } else { "text" };
    format!("{size}{kind}")
}

fn fraction(name: &str, ty: &SqlType) -> String {
    match ty.decimals {
        0 => name.to_string(),
        digits => format!("{name}({digits})"),
    }
}

/// What a column that is never NULL gets when it is not given.
fn default_text(ty: &SqlType) -> &'static str {
    match ty.kind {
        _ if ty.nullable => "",
        TypeKind::TinyInt
        | TypeKind::SmallInt
        | TypeKind::MediumInt
        | TypeKind::Int
        | TypeKind::BigInt
        | TypeKind::Decimal
        | TypeKind::Float
        | TypeKind::Double => " NOT NULL DEFAULT '0'",
        TypeKind::Char | TypeKind::Varchar | TypeKind::Enum | TypeKind::Set
            if ty.length <= VARCHAR_CHARS_MAX =>
        {
            " NOT NULL DEFAULT ''"
        }
        _ => " NOT NULL",
    }
}
