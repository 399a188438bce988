//! LOAD DATA LOCAL: lines of a file become rows of one transaction.
//!
//! ```text
//! chunk ─ line_reader ─> fields ─┬─ no @variables, no SET: straight into columns
//!                                └─ else: columns and variables, then SET left to right
//!        ─> assign, defaults ─> batch ─> store (unique keys) ─> write buffer
//! ```
//!
//! The whole file is one transaction, of any size that the node allows (`[transactions] max_transaction_gib`); it is never
//! cut into pieces that commit by themselves. LOCAL makes errors of single rows warnings, as IGNORE does,
//! because the client cannot be stopped in the middle of its file.
//!
//! Not here: files of the server (1290), LOAD XML (1235).

use super::auto_increment::Numbers;
use super::line_reader::{Field, LineReader};
use super::reference::{self, References};
use super::row::{RowMaker, null_in};
use super::store::{self, Assignment, OnDuplicate, Store};
use super::trigger::{self, Triggers};
use super::{Changes, Check, Info, bind, find_writable};
use crate::ast::{self, LoadDuplicates, LoadField, TriggerEvent};
use crate::binder::Scope;
use crate::catalog::TableDef;
use crate::collation;
use crate::context::EvalContext;
use crate::session::Session;
use crate::session::statement::StatementContext;
use crate::session::transaction::SharedTransaction;
use crate::temporary::is_temporary;
use crate::types::assign::implicit_default;
use crate::types::{TypeKind, assign};
use crate::value::{Row, Value};
use crate::{Error, Result};
use std::borrow::Cow;
use std::sync::Arc;
use txn::transaction::{Mode, Savepoint};

/// Rows that are stored together.
const BATCH_ROWS: usize = 1024;

/// Where a field goes.
enum Target {
    /// Into a column.
    Column(usize),
    /// Into a user variable.
    Variable(String),
}

/// A LOAD DATA LOCAL that is under way.
pub(crate) struct Infile {
    env: StatementContext,
    txn: SharedTransaction,
    /// Start of the statement inside an open transaction; `None` under autocommit.
    savepoint: Option<Savepoint>,
    table: Arc<TableDef>,
    maker: RowMaker,
    reader: LineReader,
    targets: Vec<Target>,
    /// Which columns get a value from the file or from SET.
    given: Vec<bool>,
    assignments: Vec<Assignment>,
    on_duplicate: OnDuplicate,
    /// Foreign keys of the table and to it, when they are checked.
    references: Option<References>,
    /// On what triggers wait that may run.
    events: &'static [TriggerEvent],
    check: Check,
    /// No column has a value yet.
    nothing_given: Vec<bool>,
    batch: Vec<Row>,
    numbers: Numbers,
    changes: Changes,
    records: u64,
    duplicates: u64,
    deleted: u64,
    skipped: u64,
}

/// Checks a LOAD DATA statement and prepares for its file.
pub(crate) async fn begin(session: &mut Session, load: &ast::LoadData) -> Result<Infile> {
    if load.xml {
        return Err(Error::not_supported("LOAD XML: convert the file and use LOAD DATA"));
    }
    if !load.local {
        return Err(Error::file_priv());
    }
    if !session.instance.config.local_infile {
        return Err(Error::local_infile_off());
    }
    if let Some(charset) = &load.charset {
        // Bytes are read as UTF-8, or as they are.
        collation::connection_charset(charset)?;
        if charset.eq_ignore_ascii_case("latin1") {
            return Err(Error::unknown_charset(charset));
        }
    }
    let reader = LineReader::new(&load.format, load.ignore_lines)?;
    let inside = session.statement_transaction().await?;
    let check = if inside.is_some() { Check::Now } else { Check::AtCommit };
    let txn = match &inside {
        Some(txn) => txn.clone(),
        None => session.own_transaction(Mode::Latest),
    };
    // LOCAL behaves as IGNORE.
    let ctx = session.dml_context(Vec::new(), true);
    let catalog = session.instance.catalog.current().await?;
    let mut env = StatementContext {
        catalog,
        ctx,
        locking: inside.is_some().then(|| session.exclusive_locking()),
        with: None,
    };
    let table = find_writable(&load.table, None, "LOAD", session, &env.catalog)?;
    if is_temporary(table.id) {
        return Err(Error::not_supported(
            "LOAD DATA into a temporary table: load an ordinary one, then INSERT … SELECT",
        ));
    }
    let table = table.select_partitions(&load.partitions)?;
    let mut given = vec![false; table.columns.len()];
    let mut targets = Vec::with_capacity(load.fields.len());
    if load.fields.is_empty() {
        for (column, _) in table.shown_columns() {
            given[column] = true;
            targets.push(Target::Column(column));
        }
    }
    for field in &load.fields {
        targets.push(match field {
            LoadField::Column(name) => {
                let column = bind::target(name, &table, &table.name, "field list")?;
                given[column] = true;
                Target::Column(column)
            }
            LoadField::Variable(name) => Target::Variable(name.clone()),
        });
    }
    let scope = Scope::of_table(&table, &table.name);
    let mut assignments = Vec::with_capacity(load.assignments.len());
    for assignment in &load.assignments {
        let name = &assignment.column;
        let column = bind::target(name, &table, &table.name, "field list")?;
        given[column] = true;
        let value = if bind::is_default(&assignment.value, &name.column) {
            None
        } else {
            let list = [&assignment.value];
            bind::exprs(session, &list, &scope, "field list", &env, &txn).await?.into_iter().next()
        };
        assignments.push(Assignment { column, value });
    }
    let is_bound = reference::is_bound(&table, &env.catalog);
    let fires = trigger::has_some(&table, events_of(load.duplicates), &env);
    if (is_bound || fires) && env.locking.is_none() {
        env.locking = Some(session.exclusive_locking());
    }
    let references = References::of(&table, &env)?;
    let has_unique = table.row_id().is_none() || table.all_indexes().skip(1).any(|i| i.unique);
    let on_duplicate = match load.duplicates {
        // Without a unique key nothing can be a duplicate, and no lookup is needed. Rows that fit no partition are left out.
        _ if !has_unique && table.partitioning.is_none() && !is_bound => OnDuplicate::Error,
        LoadDuplicates::Replace => OnDuplicate::Replace,
        LoadDuplicates::Ignore | LoadDuplicates::Default => OnDuplicate::Ignore,
    };
    let mut maker = RowMaker::new(&table, &env.ctx)?;
    let events = events_of(load.duplicates);
    if let Some(triggers) = Triggers::of(&table, events, session, &env, &txn).await? {
        maker = maker.deferring(triggers.assigned_columns());
    }
    let others = references.as_ref().map_or_else(Vec::new, References::others);
    // Nothing can fail any more: a savepoint that is made is also released.
    let savepoint = match &inside {
        Some(txn) => Some(txn.lock().await.savepoint()),
        None => None,
    };
    Ok(Infile {
        nothing_given: vec![false; maker.width()],
        maker,
        changes: Changes { table: Some(table.clone()), others, ..Changes::default() },
        references,
        env,
        txn,
        savepoint,
        table,
        reader,
        targets,
        given,
        assignments,
        on_duplicate,
        events,
        check,
        batch: Vec::with_capacity(BATCH_ROWS),
        numbers: Numbers::default(),
        records: 0,
        duplicates: 0,
        deleted: 0,
        skipped: 0,
    })
}

impl Infile {
    /// The transaction that is written.
    pub(crate) fn transaction(&self) -> SharedTransaction {
        self.txn.clone()
    }

    /// Where the statement began inside an open transaction.
    pub(crate) fn savepoint(&self) -> Option<Savepoint> {
        self.savepoint
    }

    /// Definitions and modes of the statement.
    pub(crate) fn env(&self) -> &StatementContext {
        &self.env
    }

    /// Takes a piece of the file.
    pub(crate) async fn chunk(&mut self, session: &Session, chunk: &[u8]) -> Result<()> {
        self.reader.feed(chunk);
        self.lines(session, false).await
    }

    /// Takes the end of the file.
    pub(crate) async fn finish(&mut self, session: &Session) -> Result<Changes> {
        self.lines(session, true).await?;
        self.store(session).await?;
        session.instance.auto_increment.settle(&self.table, &mut self.numbers).await?;
        let mut changes = std::mem::take(&mut self.changes);
        changes.all_generated = changes.first_id.is_some() && self.numbers.last_given().is_none();
        changes.info =
            Info::Load { records: self.records, deleted: self.deleted, skipped: self.skipped };
        Ok(changes)
    }

    async fn lines(&mut self, session: &Session, at_end: bool) -> Result<()> {
        loop {
            // A line may lack fields, so any column may need its default.
            self.maker.prepare(&self.nothing_given, session, &self.env).await?;
            // Rows are made while the line is borrowed from the reader, and stored afterwards.
            let full = {
                let Infile { reader, batch, .. } = self;
                let Some(fields) = reader.next_line(at_end)? else { return Ok(()) };
                self.records += 1;
                self.env.ctx.set_row(self.records);
                let row = make_row(
                    fields,
                    &Making {
                        table: &self.table,
                        maker: &self.maker,
                        targets: &self.targets,
                        given: &self.given,
                        assignments: &self.assignments,
                        number: self.records,
                        ctx: &self.env.ctx,
                    },
                )?;
                batch.push(row);
                batch.len() == BATCH_ROWS
            };
            if full {
                self.store(session).await?;
            }
        }
    }

    async fn store(&mut self, session: &Session) -> Result<()> {
        self.env.ctx.check_cancel()?;
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH_ROWS));
        let ctx = &self.env.ctx;
        let (env, txn) = (&self.env, &self.txn);
        let triggers = Triggers::of(&self.table, self.events, session, env, txn).await?;
        let triggers = triggers.as_ref();
        let mut store = Store {
            triggers,
            table: self.table.clone(),
            references: self.references.as_ref(),
            ctx: &self.env.ctx,
            check: self.check,
            locking: self.env.locking,
            on_duplicate: self.on_duplicate.clone(),
            defaults: &self.maker,
            counters: &session.instance.auto_increment,
            memory: None,
            changes: std::mem::take(&mut self.changes),
            duplicates: self.duplicates,
            deleted: self.deleted,
            skipped: self.skipped,
            // Nothing is assigned to rows that exist.
            lifted: None,
        };
        let mut rows = Vec::with_capacity(batch.len());
        for row in batch {
            let mut row = session.complete_row(&self.maker, row, &mut self.numbers, ctx).await?;
            if let Some(triggers) = triggers {
                triggers.before_insert(&mut row, false).await?;
            }
            match self.maker.check(&row.values, ctx) {
                Ok(()) => rows.push(row),
                Err(error) => {
                    ctx.warn(error);
                    store.skipped += 1;
                }
            }
            if triggers.is_some() {
                // The triggers of a row run when those before it are stored.
                store.put(txn, std::mem::take(&mut rows)).await?;
            }
        }
        let result = store.put(txn, rows).await;
        let Store { mut changes, duplicates, deleted, skipped, .. } = store;
        for table in triggers.map_or_else(Vec::new, Triggers::others) {
            if changes.others.iter().all(|known| known.id != table.id) {
                changes.others.push(table);
            }
        }
        self.changes = changes;
        (self.duplicates, self.deleted, self.skipped) = (duplicates, deleted, skipped);
        result
    }
}

/// On what triggers of LOAD DATA wait.
fn events_of(duplicates: LoadDuplicates) -> &'static [TriggerEvent] {
    match duplicates {
        LoadDuplicates::Replace => &[TriggerEvent::Insert, TriggerEvent::Delete],
        LoadDuplicates::Ignore | LoadDuplicates::Default => &[TriggerEvent::Insert],
    }
}

/// What a row is made with.
struct Making<'a> {
    table: &'a TableDef,
    maker: &'a RowMaker,
    targets: &'a [Target],
    given: &'a [bool],
    assignments: &'a [Assignment],
    number: u64,
    ctx: &'a EvalContext,
}

fn make_row(fields: Vec<Field<'_>>, making: &Making<'_>) -> Result<Row> {
    let Making { table, maker, targets, given, assignments, number, ctx } = making;
    let mut row: Row = vec![Value::Null; maker.width()];
    maker.fill(&mut row, given, ctx)?;
    let count = fields.len();
    // A separator at the end of a line begins no field.
    let is_empty = |field: &Field<'_>| matches!(field, Field::Bytes(bytes) if bytes.is_empty());
    let ends_early = count == targets.len() + 1 && fields.last().is_some_and(is_empty);
    if count > targets.len() && !ends_early {
        ctx.bad_value(Error::too_many_fields(number))?;
    }
    let mut fields = fields.into_iter();
    for target in *targets {
        match (target, fields.next()) {
            (Target::Column(column), Some(Field::Null)) => {
                let definition = &table.columns[*column];
                row[*column] = if definition.ty.nullable || definition.auto_increment {
                    Value::Null
                } else {
                    ctx.bad_value(Error::null_to_not_null(&definition.name, number))?;
                    implicit_default(&definition.ty)
                };
            }
            (Target::Column(column), Some(Field::Bytes(bytes))) => {
                let definition = &table.columns[*column];
                let value = value_of(bytes, definition.ty.is_bytes());
                row[*column] = assign(value, &definition.ty, &definition.name, *number, ctx)?;
            }
            (Target::Column(column), None) => {
                ctx.bad_value(Error::too_few_fields(number))?;
                let definition = &table.columns[*column];
                row[*column] = missing(maker, table, *column, ctx)?;
                if row[*column].is_null() && !definition.ty.nullable && !definition.auto_increment {
                    row[*column] = null_in(definition, false, ctx)?;
                }
            }
            (Target::Variable(name), Some(Field::Bytes(bytes))) => {
                ctx.vars.set_user(name, value_of(bytes, false));
            }
            (Target::Variable(name), Some(Field::Null) | None) => {
                ctx.vars.set_user(name, Value::Null);
            }
        }
    }
    if !assignments.is_empty() {
        store::apply(table, &mut row, assignments, maker, ctx)?;
    }
    Ok(row)
}

/// A column whose field the line does not have: its default, or the zero of its type.
fn missing(maker: &RowMaker, table: &TableDef, column: usize, ctx: &EvalContext) -> Result<Value> {
    let definition = &table.columns[column];
    let has_default = definition.default.is_some() || definition.auto_increment;
    if has_default || definition.ty.nullable {
        return maker.default_for(column, ctx);
    }
    if definition.ty.kind == TypeKind::Timestamp {
        return Ok(super::row::now_for(&definition.ty, ctx));
    }
    Ok(implicit_default(&definition.ty))
}

/// Text where the bytes are UTF-8, else bytes, which `assign` refuses for text columns.
fn value_of(bytes: Cow<'_, [u8]>, as_bytes: bool) -> Value {
    if as_bytes {
        return Value::Bytes(bytes.into_owned());
    }
    match bytes {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_string()),
            Err(_) => Value::Bytes(bytes.to_vec()),
        },
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::Text(text),
            Err(error) => Value::Bytes(error.into_bytes()),
        },
    }
}
