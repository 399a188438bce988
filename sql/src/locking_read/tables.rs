//! Which tables a query locks, and how: its locking clauses beside the names in FROM.
//!
//! ```text
//! FROM a JOIN (SELECT … FROM b JOIN c) AS d JOIN e    FOR UPDATE OF a, d FOR SHARE OF e NOWAIT
//!      a exclusive    b, c exclusive, as d    e shared, without waiting
//! ```
//!
//! The tables of a plan stand in the order of FROM, the sides of a RIGHT JOIN exchanged, so the n-th name belongs to
//! the n-th table. The tables inside of a derived table or a view go by its name, however deep they stand.
//!
//! Invariant: a table is locked by one clause at most (3569).
//!
//! Not here: tables of subqueries outside of FROM, which are never locked.

use crate::ast::{self, JoinKind, LockStrength, LockWait, QueryBody, TableName, TableRef};
use crate::catalog::Catalog;
use crate::planner::plan::Plan;
use crate::session::locking::{Locking, WriteView};
use crate::{Error, Result, view};
use std::time::Duration;
use txn::RowLock;
use txn::command::{LockMode, Patience};

/// A locking clause of a query.
pub(crate) struct Clause<'q> {
    /// The names after OF; every table when there are none.
    tables: &'q [TableName],
    /// How their rows are locked.
    pub(crate) locking: Locking,
}

/// The locking clauses of a query. All have the same view.
pub(crate) fn clauses(query: &ast::Query, view: WriteView, wait: Duration) -> Vec<Clause<'_>> {
    let mut clauses = Vec::with_capacity(query.locks.len());
    for clause in &query.locks {
        let mode = match clause.strength {
            LockStrength::Update => LockMode::Exclusive,
            LockStrength::Share => LockMode::Shared,
        };
        let patience = match clause.wait {
            LockWait::Wait => Patience::Wait(wait),
            LockWait::NoWait => Patience::NoWait,
            LockWait::SkipLocked => Patience::Skip,
        };
        let locking = Locking { lock: RowLock { mode, patience }, view };
        clauses.push(Clause { tables: &clause.tables, locking });
    }
    clauses
}

/// How each table of a plan is locked, in the plan's order; `None` for those that are only read. Tables of
/// information_schema have nothing to lock.
///
/// # Errors
/// 3568 for a name that is not in FROM, 3569 for a table of several clauses.
pub(super) fn locks_of(
    query: &ast::Query,
    plan: &Plan,
    clauses: &[Clause<'_>],
    known: Known<'_>,
) -> Result<Vec<Option<Locking>>> {
    let (mut names, mut tables) = (Vec::new(), Vec::new());
    names_of_body(&query.body, None, known, &mut names)?;
    tables_of(plan, &mut tables);
    if names.len() != tables.len() {
        return Err(Error::internal("a plan with other tables than its FROM"));
    }
    let mut locks: Vec<Option<Locking>> = vec![None; tables.len()];
    for clause in clauses {
        let mut places: Vec<usize> = Vec::new();
        if clause.tables.is_empty() {
            places.extend(0..tables.len());
        }
        for wanted in clause.tables {
            let known = places.len();
            let fits = |place: &usize| {
                names[*place].eq_ignore_ascii_case(&wanted.name)
                    && is_of_database(tables[*place], wanted.database.as_deref())
            };
            places.extend((0..tables.len()).filter(fits));
            if places.len() == known {
                return Err(Error::unresolved_lock_table(&wanted.name));
            }
        }
        for place in places {
            if locks[place].replace(clause.locking).is_some() {
                return Err(Error::duplicate_lock_table(&names[place]));
            }
        }
    }
    for (lock, table) in locks.iter_mut().zip(&tables) {
        if matches!(table, Plan::Rows { .. }) {
            *lock = None;
        }
    }
    Ok(locks)
}

fn is_of_database(table: &Plan, database: Option<&str>) -> bool {
    match (database, table) {
        (None, _) => true,
        (Some(database), Plan::Scan(scan)) => scan.table.database.eq_ignore_ascii_case(database),
        (Some(_), _) => false,
    }
}

/// Adds the tables of a plan in its order: scans, and rows that are known already.
pub(super) fn tables_of<'p>(plan: &'p Plan, tables: &mut Vec<&'p Plan>) {
    if matches!(plan, Plan::Scan(_) | Plan::Rows { .. }) {
        tables.push(plan);
    }
    for input in plan.inputs() {
        tables_of(input, tables);
    }
}

/// What names in FROM are looked up in.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// The definitions.
    pub(super) catalog: &'a Catalog,
    /// The default database.
    pub(super) database: Option<&'a str>,
}

/// Adds what the tables of a query go by, in the order of its plan. `alias` is that of the derived table or view it stands in.
fn names_of_body(
    body: &QueryBody,
    alias: Option<&str>,
    known: Known<'_>,
    names: &mut Vec<String>,
) -> Result<()> {
    match body {
        QueryBody::Select(select) => {
            select.from.iter().try_for_each(|table| names_of_table(table, alias, known, names))
        }
        QueryBody::SetOperation { left, right, .. } => {
            names_of_body(left, alias, known, names)?;
            names_of_body(right, alias, known, names)
        }
        QueryBody::Table(table) => {
            names_of_source(table, alias.unwrap_or(&table.name), known, names)
        }
        QueryBody::Query(query) => names_of_body(&query.body, alias, known, names),
        QueryBody::Values(_) => Ok(()),
    }
}

fn names_of_table(
    table: &TableRef,
    alias: Option<&str>,
    known: Known<'_>,
    names: &mut Vec<String>,
) -> Result<()> {
    match table {
        TableRef::Table(source) => {
            let own = source.alias.as_deref().unwrap_or(&source.name.name);
            names_of_source(&source.name, alias.unwrap_or(own), known, names)
        }
        TableRef::Derived { lateral: true, .. } => Err(Error::not_supported(
            "FOR UPDATE and FOR SHARE beside LATERAL: lock the rows of each table with a SELECT of its own",
        )),
        TableRef::Derived { query, alias: own, .. } => {
            names_of_body(&query.body, Some(alias.unwrap_or(own)), known, names)
        }
        TableRef::Join { kind: JoinKind::Right, left, right, .. } => {
            names_of_table(right, alias, known, names)?;
            names_of_table(left, alias, known, names)
        }
        TableRef::Join { left, right, .. } => {
            names_of_table(left, alias, known, names)?;
            names_of_table(right, alias, known, names)
        }
    }
}

/// Adds the name of a table, or that of a view for each table in it.
fn names_of_source(
    source: &TableName,
    name: &str,
    known: Known<'_>,
    names: &mut Vec<String>,
) -> Result<()> {
    let database = source.database.as_deref().or(known.database);
    match database.and_then(|database| known.catalog.view(database, &source.name)) {
        Some(found) => names_of_body(&view::query_of(found)?.body, Some(name), known, names),
        None => {
            names.push(name.to_string());
            Ok(())
        }
    }
}
