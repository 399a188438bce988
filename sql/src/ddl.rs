//! Statements that define things: databases, tables, sequences, views, placement policies, accounts.
//!
//! ```text
//! lock its tables ──> check ──> schema change (one transaction on the meta shard) ──> announce to all nodes
//!    ▲                  ▲         │ two at once: one conflicts and starts again         │ a silent node: wait for its lease
//!    │                  └─ wait ──┤ somebody else has locked the name of a new table
//!    └────────────────────────────┘ a table has come that is not locked
//! ```
//!
//! What takes tables away from their users (DROP, TRUNCATE, RENAME) locks them first as LOCK TABLES … WRITE does: it waits
//! for transactions and statements that use them, and nobody uses them under an old definition afterwards. The record goes
//! with the change itself. CREATE takes nothing away and locks nothing; it waits for locks of its name.
//!
//! A schema change is acknowledged when no node can run a statement against the old catalog any more.
//! Dropping or truncating a table removes its definition; its rows stay under an id that is never used
//! again, recorded in the meta shard until they are removed (`catalog::dropped`).
//!
//! Indexes are added and dropped, and the sharding key is changed, while the table is used: a schema change begins a job, and
//! the statement waits for it (`indexes`, `rekey`).
//!
//! Parts: `change` (how a schema change is made), `database`, `table` (CREATE TABLE, CREATE TABLE … LIKE), `create_select`, `temporary` (temporary tables), `alter`, `drop` (DROP, TRUNCATE,
//! RENAME), and a file for each other kind of definition.
//!
//! Not here: all of ALTER TABLE but columns as long as no row is written anew, indexes, the sharding key, the retention, AUTO_INCREMENT, ENABLE KEYS (which has nothing to do)
//! and those changes of partitions and ranges that move no row (`partition`, `future_partitions`, `ranges`): refused with 1235.

pub(crate) mod account;
mod alter;
mod change;
pub(crate) mod column_type;
pub(crate) mod create_select;
pub(crate) mod create_table;
mod database;
mod deprecated;
mod drop;
mod foreign_key;
pub mod future_partitions;
mod index_fill;
pub(crate) mod index_job;
mod index_steps;
pub(crate) mod indexes;
mod partition;
pub(crate) mod password;
pub(crate) mod placement;
mod ranges;
mod rekey;
mod rekey_steps;
mod routine;
mod rule;
mod sequence;
pub(crate) mod setting;
pub(crate) mod statistics;
mod table;
pub(crate) mod temporary;
mod trigger;
mod view;

use crate::ast::{self, Statement};
use crate::binder::{self, BindContext, Scope};
use crate::catalog::{Catalog, DatabaseDef, information_schema};
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::session::{Outcome, Session};
use crate::value::Value;
use crate::{Error, Result, parser};
use std::sync::Arc;

/// Runs a statement that defines something. The open transaction has been committed.
pub(crate) async fn run(session: &mut Session, statement: &Statement) -> Result<Outcome> {
    match statement {
        Statement::CreateDatabase(create) => database::create(session, create).await,
        Statement::DropDatabase { if_exists, name } => {
            database::drop(session, name, *if_exists).await
        }
        Statement::CreateTable(create) => table::create(session, create).await,
        Statement::CreateTableLike(create) => table::create_like(session, create).await,
        Statement::DropTable(drop) => drop::tables(session, drop).await,
        Statement::TruncateTable { name } => drop::truncate(session, name).await,
        Statement::RenameTable(pairs) => drop::rename(session, pairs).await,
        Statement::Sequence(statement) => sequence::run(session, statement).await,
        Statement::View(statement) => view::run(session, statement).await,
        Statement::Program(statement) => routine::run(session, statement).await,
        Statement::Account(account) => account::run(session, account).await,
        Statement::Placement(statement) => placement::run(session, statement).await,
        Statement::AlterDatabase(alter) => database::alter(session, alter).await,
        Statement::AlterTable(alter) => alter::table(session, alter).await,
        Statement::CreateIndex(create) => indexes::create(session, create).await,
        Statement::DropIndex(drop) => indexes::drop(session, drop).await,
        _ => Err(Error::internal("not a statement that defines something")),
    }
}

/// The value of an expression that reads no table and no column.
pub(crate) fn constant(expr: &ast::Expr, ctx: &EvalContext) -> Result<Value> {
    constant_expr(expr, ctx)?.eval(&[], ctx)
}

/// Binds an expression that reads no table and no column.
pub(crate) fn constant_expr(expr: &ast::Expr, ctx: &EvalContext) -> Result<Expr> {
    let mut bind = BindContext::new(Arc::default(), None, ctx);
    let bound = binder::bind_expr(expr, &Scope::default(), &mut bind)?;
    if bind.subqueries.is_empty() {
        Ok(bound)
    } else {
        Err(Error::not_supported("a subquery here: write the value"))
    }
}

/// The expression of a column's DEFAULT (…).
pub(crate) fn default_ast(text: &str) -> Result<ast::Expr> {
    let statement =
        parser::parse_statement(&format!("DO ({text})"), &parser::ParseMode::default())?;
    match statement {
        Statement::Do(mut exprs) if exprs.len() == 1 => Ok(exprs.swap_remove(0)),
        _ => Err(Error::storage(format!("corrupt default expression {text}"))),
    }
}

/// The database of a name, which must be one that can be changed.
fn database_of<'a>(session: &'a Session, name: &'a ast::TableName) -> Result<&'a str> {
    let database = name.database.as_deref().or(session.database.as_deref());
    let database = database.ok_or_else(Error::no_database)?;
    check_own(session, database)?;
    Ok(database)
}

fn check_own(session: &Session, database: &str) -> Result<()> {
    if information_schema::is_schema(database) {
        let user = format!("'{}'@'{}'", session.info.user, session.info.host);
        return Err(Error::access_denied_database(user, database));
    }
    Ok(())
}

fn existing_database<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<DatabaseDef>> {
    catalog.database(name).ok_or_else(|| Error::unknown_database(name))
}
