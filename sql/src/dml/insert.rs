//! INSERT and REPLACE, from VALUES, SET or a query.

use super::auto_increment::Numbers;
use super::bind;
use super::reference::References;
use super::row::{NewRow, RowMaker};
use super::store::{Assignment, OnDuplicate, Store};
use super::trigger::Triggers;
use super::view::{self, Checks, Seen};
use super::{Changes, Check, Info, stored_table};
use crate::ast::{self, InsertSource, QueryBody, SelectItem, TriggerEvent};
use crate::binder::{Scope, ScopeColumn};
use crate::catalog::TableDef;
use crate::context::EvalContext;
use crate::expr::Expr;
use crate::session::RowSource;
use crate::session::Session;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::temporary::is_temporary;
use crate::value::{Row, Value};
use crate::{Error, Result, printer};
use futures::StreamExt;
use std::sync::Arc;

/// The number of the error for a column that nobody knows.
const UNKNOWN_COLUMN: u16 = 1054;
/// Rows that are stored together.
const BATCH_ROWS: usize = 512;
/// The name under which ON DUPLICATE KEY UPDATE finds the new row when none is given. No table can have
/// it: it is too long.
const NEW_ROW: &str =
    "new row of INSERT … ON DUPLICATE KEY UPDATE, as the function VALUES() of MySQL names it";

/// Where a VALUES row's value comes from.
enum Given {
    /// A constant.
    Value(Value),
    /// Evaluated over the columns before it.
    Expr(Expr),
    /// DEFAULT.
    Default,
}

/// Runs INSERT or REPLACE.
pub(crate) async fn run(
    session: &Session,
    insert: &ast::Insert,
    env: &StatementContext,
    txn: &SharedTransaction,
    check: Check,
) -> Result<Changes> {
    let ctx = &env.ctx;
    let partitions = insert.partitions.as_slice();
    let seen = view::find(&insert.table, None, partitions, "INSERT", session, &env.catalog)?;
    if seen.is_view() && !insert.on_duplicate.is_empty() {
        return Err(Error::not_supported(
            "ON DUPLICATE KEY UPDATE through a view: INSERT into the table itself",
        ));
    }
    let table = seen.table.clone();
    let columns = target_columns(insert, &seen)?;
    let checks = seen.conditions(session, env, txn).await?.checks;
    let events = match (insert.replace, insert.on_duplicate.is_empty()) {
        (true, _) => &[TriggerEvent::Insert, TriggerEvent::Delete][..],
        (false, false) => &[TriggerEvent::Insert, TriggerEvent::Update],
        (false, true) => &[TriggerEvent::Insert],
    };
    let triggers = Triggers::of(&table, events, session, env, txn).await?;
    let triggers = triggers.as_ref();
    let deferred = triggers.map_or_else(Vec::new, Triggers::assigned_columns);
    let maker = RowMaker::new(&table, ctx)?.deferring(deferred);
    let (warnings, mut widened) = (ctx.warnings.count(), None);
    let on_duplicate = match on_duplicate(session, insert, &seen, None, env, txn).await {
        Err(error) if error.code == UNKNOWN_COLUMN => {
            ctx.warnings.forget_after(warnings);
            widened = Widened::of(session, insert, &table, env).await?;
            let Some(Widened { columns, .. }) = &widened else { return Err(error) };
            on_duplicate(session, insert, &seen, Some(columns), env, txn).await?
        }
        other => other?,
    };
    let references = References::of(&table, env)?;
    let references = references.as_ref();
    let others = match &on_duplicate {
        OnDuplicate::Replace | OnDuplicate::Update(_) => {
            references.map_or_else(Vec::new, References::others)
        }
        OnDuplicate::Error | OnDuplicate::Ignore => Vec::new(),
    };
    let mut store = Store {
        table: table.clone(),
        references,
        triggers,
        ctx,
        check,
        locking: env.locking,
        on_duplicate,
        defaults: &maker,
        counters: &session.instance.auto_increment,
        memory: session.memory_of(&table),
        changes: Changes { table: stored_table(&table), others, ..Changes::default() },
        duplicates: 0,
        deleted: 0,
        skipped: 0,
        lifted: None,
    };
    let mut numbers = Numbers::default();
    let (ignore, maker) = (insert.ignore, &maker);
    let (seen, columns, checks) = (&seen, columns.as_slice(), &checks);
    let mut source = Source { session, env, txn, maker, seen, columns, checks, triggers, ignore };
    let records = match &insert.source {
        InsertSource::Values(rows) => source.values(rows, &mut store, &mut numbers).await?,
        InsertSource::Query(query) => {
            let (query, read): (&ast::Query, usize) = match &widened {
                Some(Widened { query, columns }) => (query, columns.columns.len()),
                None => (query.as_ref(), 0),
            };
            source.query(query, read, &mut store, &mut numbers).await?
        }
    };
    let several = matches!(&insert.source, InsertSource::Values(rows) if rows.len() > 1)
        || matches!(insert.source, InsertSource::Query(_));
    let Store { mut changes, duplicates, lifted, .. } = store;
    lifted.into_iter().for_each(|value| numbers.lift(value));
    if !is_temporary(table.id) {
        session.instance.auto_increment.settle(&table, &mut numbers).await?;
    }
    changes.others.extend(triggers.map_or_else(Vec::new, Triggers::others));
    changes.explicit_id = numbers.last_given();
    changes.all_generated = changes.first_id.is_some() && numbers.last_given().is_none();
    if several {
        changes.info = Info::Records { records, duplicates };
    }
    Ok(changes)
}

/// Stores the rows of a query in a table that nobody else knows yet.
pub(crate) async fn fill(
    session: &Session,
    table: &Arc<TableDef>,
    columns: &[usize],
    (query, on_duplicate): (&ast::Query, OnDuplicate),
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<Changes> {
    let ctx = &env.ctx;
    let seen = Seen::own(table.clone(), &table.name);
    let (maker, checks) = (RowMaker::new(table, ctx)?, Checks::default());
    let ignore = matches!(on_duplicate, OnDuplicate::Ignore);
    let mut store = Store {
        table: table.clone(),
        // Nobody knows the table, and it has no foreign keys (`ddl::create_select`).
        references: None,
        triggers: None,
        ctx,
        check: Check::AtCommit,
        locking: None,
        on_duplicate,
        defaults: &maker,
        counters: &session.instance.auto_increment,
        memory: session.memory_of(table),
        changes: Changes { table: stored_table(table), ..Changes::default() },
        duplicates: 0,
        deleted: 0,
        skipped: 0,
        lifted: None,
    };
    let mut numbers = Numbers::default();
    let (maker, seen, checks, triggers) = (&maker, &seen, &checks, None);
    let mut source = Source { session, env, txn, maker, seen, columns, checks, triggers, ignore };
    let records = source.query(query, 0, &mut store, &mut numbers).await?;
    let Store { mut changes, duplicates, .. } = store;
    if !is_temporary(table.id) {
        session.instance.auto_increment.settle(table, &mut numbers).await?;
    }
    changes.info = Info::Records { records, duplicates };
    Ok(changes)
}

fn target_columns(insert: &ast::Insert, seen: &Seen) -> Result<Vec<usize>> {
    let Some(names) = &insert.columns else { return Ok(seen.columns()) };
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let column = seen.column(name)?;
        if columns.contains(&column) {
            return Err(Error::column_twice(&seen.table.columns[column].name));
        }
        columns.push(column);
    }
    Ok(columns)
}

async fn on_duplicate(
    session: &Session,
    insert: &ast::Insert,
    seen: &Seen,
    read: Option<&Scope>,
    env: &StatementContext,
    txn: &SharedTransaction,
) -> Result<OnDuplicate> {
    if insert.replace {
        return Ok(OnDuplicate::Replace);
    }
    if insert.on_duplicate.is_empty() {
        return Ok(if insert.ignore { OnDuplicate::Ignore } else { OnDuplicate::Error });
    }
    let table = &seen.table;
    let (alias, names) = match &insert.row_alias {
        Some(alias) => (alias.name.as_str(), new_names(alias, insert, seen)?),
        None => (NEW_ROW, Vec::new()),
    };
    let mut scope = bind::scope_with_new_row(table, alias, &names);
    if let Some(read) = read {
        scope.append(read.clone(), false);
    }
    let mut assignments = Vec::with_capacity(insert.on_duplicate.len());
    for assignment in &insert.on_duplicate {
        let column = bind::target(&assignment.column, table, &table.name, "field list")?;
        if bind::is_default(&assignment.value, &assignment.column.column) {
            assignments.push(Assignment { column, value: None });
            continue;
        }
        let mut value = assignment.value.clone();
        bind::replace_values(&mut value, &mut |name| {
            let position = table.column(&name.column);
            let column = position.and_then(|position| names.get(position)).unwrap_or(&name.column);
            ast::ColumnName {
                database: None,
                table: Some(alias.to_string()),
                column: column.clone(),
            }
        });
        if printer::expr(&value).contains("VALUES(`") {
            return Err(Error::not_supported(
                "VALUES() inside of a subquery in ON DUPLICATE KEY UPDATE: name the new row with AS before it",
            ));
        }
        let bound = bind::exprs(session, &[&value], &scope, "field list", env, txn).await?;
        assignments.push(Assignment { column, value: bound.into_iter().next() });
    }
    Ok(OnDuplicate::Update(assignments))
}

/// A query that answers all columns of its tables behind its own, for ON DUPLICATE KEY UPDATE.
struct Widened {
    query: ast::Query,
    /// The columns behind its own.
    columns: Scope,
}

impl Widened {
    /// `None` when the rows of the statement are not those of tables, one for one.
    async fn of(
        session: &Session,
        insert: &ast::Insert,
        table: &TableDef,
        env: &StatementContext,
    ) -> Result<Option<Widened>> {
        let InsertSource::Query(query) = &insert.source else { return Ok(None) };
        let mut wide = ast::Query::clone(query);
        let QueryBody::Select(select) = &mut wide.body else { return Ok(None) };
        if select.distinct
            || select.from.is_empty()
            || !select.group_by.is_empty()
            || select.having.is_some()
        {
            return Ok(None);
        }
        select.items.push(SelectItem::Wildcard);
        // It is bound once more to run, and warns then.
        let warnings = env.ctx.warnings.count();
        let own = session.bind_to_run(query, env).await?.columns.len();
        // Aggregates without GROUP BY do not go with columns.
        let Ok(bound) = session.bind_to_run(&wide, env).await else { return Ok(None) };
        env.ctx.warnings.forget_after(warnings);
        let columns = bound.columns.into_iter().skip(own);
        let columns = columns.map(|meta| ScopeColumn {
            database: meta.database.clone(),
            table: meta.table.clone(),
            name: meta.name.clone(),
            ty: meta.ty,
            // A name alone means the table's own column where there is one.
            hidden: table.column(&meta.name).is_some(),
            meta,
            origin: None,
            invisible: false,
            utc: false,
            place: 0,
        });
        let columns = Scope { columns: columns.collect(), star: Vec::new() };
        Ok(Some(Widened { query: wide, columns }))
    }
}

fn new_names(alias: &ast::RowAlias, insert: &ast::Insert, seen: &Seen) -> Result<Vec<String>> {
    if alias.columns.is_empty() {
        return Ok(Vec::new());
    }
    let columns = target_columns(insert, seen)?;
    if columns.len() != alias.columns.len() {
        return Err(Error::wrong_value_count(1));
    }
    let own = seen.table.columns.iter().map(|column| column.name.clone());
    let mut names: Vec<String> = own.collect();
    for (column, name) in columns.into_iter().zip(&alias.columns) {
        names[column].clone_from(name);
    }
    Ok(names)
}

/// Makes rows and hands them to the store.
struct Source<'a> {
    session: &'a Session,
    env: &'a StatementContext,
    txn: &'a SharedTransaction,
    maker: &'a RowMaker,
    /// The table as the statement sees it.
    seen: &'a Seen,
    columns: &'a [usize],
    /// What views ask of new rows.
    checks: &'a Checks,
    /// What is done before a row is stored.
    triggers: Option<&'a Triggers<'a>>,
    /// A row that they refuse is left out with a warning.
    ignore: bool,
}

impl Source<'_> {
    async fn values(
        &mut self,
        rows: &[Vec<ast::Expr>],
        store: &mut Store<'_>,
        numbers: &mut Numbers,
    ) -> Result<u64> {
        let ctx = &self.env.ctx;
        // A single bad row fails whatever sql_mode says, as in MySQL.
        let strict_null = rows.len() == 1 && !matches!(store.on_duplicate, OnDuplicate::Ignore);
        let mut batch = Vec::with_capacity(rows.len().min(BATCH_ROWS));
        let nothing_given = vec![false; self.maker.width()];
        let mut is_given = nothing_given.clone();
        for column in self.columns {
            is_given[*column] = true;
        }
        for (at, exprs) in rows.iter().enumerate() {
            let number = at as u64 + 1;
            ctx.set_row(number);
            // `VALUES ()` is a row of defaults.
            let of_defaults = exprs.is_empty() && rows.iter().all(Vec::is_empty);
            if exprs.len() != self.columns.len() && !of_defaults {
                return Err(Error::wrong_value_count(number));
            }
            let mut row: Row = vec![Value::Null; self.maker.width()];
            let given = self.given(&store.table, exprs).await?;
            let defaults = of_defaults || given.iter().any(|given| matches!(given, Given::Default));
            let known = if defaults { &nothing_given } else { &is_given };
            self.maker.prepare(known, self.session, self.env).await?;
            if given.iter().any(|given| matches!(given, Given::Expr(_))) {
                self.maker.prefill(&mut row);
            }
            if of_defaults {
                self.maker.fill(&mut row, &nothing_given, ctx)?;
            } else {
                self.maker.fill(&mut row, &is_given, ctx)?;
            }
            for (column, given) in self.columns.iter().zip(given) {
                let value = match given {
                    Given::Value(value) => value,
                    Given::Expr(expr) => expr.eval(&row, ctx)?,
                    Given::Default => {
                        row[*column] = self.maker.default_for(*column, ctx)?;
                        continue;
                    }
                };
                self.maker.give(&mut row, *column, value, number, strict_null, ctx)?;
            }
            numbers.rows_left = (rows.len() - at) as u64;
            let mut row = self.session.complete_row(self.maker, row, numbers, ctx).await?;
            if let Some(triggers) = self.triggers {
                triggers.before_insert(&mut row, strict_null).await?;
            }
            if self.accepts(&row)? {
                batch.push(row);
            }
            if batch.len() >= self.batch_rows() {
                ctx.check_cancel()?;
                store.put(self.txn, std::mem::take(&mut batch)).await?;
            }
        }
        store.put(self.txn, batch).await?;
        Ok(rows.len() as u64)
    }

    /// Rows that are stored together. The triggers of a row run when those before it are stored.
    fn batch_rows(&self) -> usize {
        if self.triggers.is_some() { 1 } else { BATCH_ROWS }
    }

    async fn given(&self, table: &Arc<TableDef>, exprs: &[ast::Expr]) -> Result<Vec<Given>> {
        let ctx = &self.env.ctx;
        let mut given = Vec::with_capacity(exprs.len());
        for (expr, column) in exprs.iter().zip(self.columns) {
            given.push(if let Some(value) = bind::literal(expr, ctx) {
                Given::Value(value)
            } else if bind::is_default(expr, &table.columns[*column].name) {
                Given::Default
            } else {
                let scope = self.seen.scope();
                let (session, env) = (self.session, self.env);
                let numbered = session.numbered(expr, None, &env.catalog, ctx).await?;
                let expr = numbered.as_ref().unwrap_or(expr);
                let bound =
                    bind::exprs(session, &[expr], scope, "field list", env, self.txn).await?;
                match bound.into_iter().next() {
                    Some(expr) => Given::Expr(expr),
                    None => return Err(Error::internal("an expression without its binding")),
                }
            });
        }
        Ok(given)
    }

    /// Rows of a query; the last `read` columns are not to be inserted.
    async fn query(
        &mut self,
        query: &ast::Query,
        read: usize,
        store: &mut Store<'_>,
        numbers: &mut Numbers,
    ) -> Result<u64> {
        let ctx = &self.env.ctx;
        let target = store.table.id;
        let (columns, rows) = self.session.query_rows(query, self.env, self.txn, target).await?;
        if columns.len() != self.columns.len() + read {
            return Err(Error::wrong_value_count(1));
        }
        let mut records = 0;
        let mut take = async |page: Vec<Row>, store: &mut Store<'_>| -> Result<()> {
            let mut batch = Vec::with_capacity(page.len());
            for mut values in page {
                records += 1;
                ctx.set_row(records);
                let read = values.split_off(self.columns.len());
                let mut row = self.row_of(values, records, numbers).await?;
                if let Some(triggers) = self.triggers {
                    triggers.before_insert(&mut row, false).await?;
                }
                if self.accepts(&row)? {
                    batch.push(NewRow { read, ..row });
                }
                if batch.len() >= self.batch_rows() {
                    ctx.check_cancel()?;
                    store.put(self.txn, std::mem::take(&mut batch)).await?;
                }
            }
            ctx.check_cancel()?;
            store.put(self.txn, batch).await
        };
        match rows {
            RowSource::Ready(rows) => take(rows, store).await?,
            RowSource::Stream(mut pages) => {
                while let Some(page) = pages.next().await {
                    take(page?, store).await?;
                }
            }
        }
        Ok(records)
    }

    /// Whether a row is one that CHECK allows and a view would show; 3819 and 1369 unless such rows are ignored.
    fn accepts(&self, row: &NewRow) -> Result<bool> {
        let ctx = &self.env.ctx;
        let checked = self.maker.check(&row.values, ctx);
        match checked.and_then(|()| self.checks.check(&row.values, ctx)) {
            Ok(()) => Ok(true),
            Err(error) if self.ignore => {
                ctx.warn(error);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn row_of(&self, values: Row, number: u64, numbers: &mut Numbers) -> Result<NewRow> {
        let ctx = &self.env.ctx;
        let mut row: Row = vec![Value::Null; self.maker.width()];
        let mut is_given = vec![false; row.len()];
        for (column, value) in self.columns.iter().zip(values) {
            is_given[*column] = true;
            self.maker.give(&mut row, *column, value, number, false, ctx)?;
        }
        self.maker.prepare(&is_given, self.session, self.env).await?;
        self.maker.fill(&mut row, &is_given, ctx)?;
        self.session.complete_row(self.maker, row, numbers, ctx).await
    }
}

impl Session {
    /// Fills generated columns of a row.
    pub(crate) async fn complete_row(
        &self,
        maker: &RowMaker,
        row: Row,
        numbers: &mut Numbers,
        ctx: &EvalContext,
    ) -> Result<NewRow> {
        if let Some(tables) = self.memory_of(maker.table()) {
            let number = maker.asks_for_number(&row).is_none().then(|| maker.given_number(&row));
            number.flatten().into_iter().for_each(|number| numbers.give(number));
            return maker.complete_in_memory(row, &tables, ctx);
        }
        maker.complete(row, &self.instance.auto_increment, numbers, ctx).await
    }
}
