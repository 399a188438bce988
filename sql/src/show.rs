//! SHOW and DESCRIBE.
//!
//! ```text
//! rows in memory ──LIKE on the first column, or WHERE over all columns──> result
//! ```
//!
//! LIKE becomes a condition like any other, so both filters follow the expression library's rules.
//!
//! Reading order: this file (dispatch, filters, warnings), `tables` (what is defined), `server` (what
//! runs), `jobs` (that change indexes), `rebalance` (how nodes are evened out), `hot` (what shards have to do), `engine_status` (row
//! locks and transactions as a text), `create_table`, `create_view` and `routine` (their texts), `check`
//! (whether indexes fit their rows), `proxy` (sets, as TDSQL's proxy tells of them).

mod check;
mod checksum;
pub(crate) mod create_table;
mod create_view;
mod engine_status;
pub(crate) mod hot;
pub(crate) mod jobs;
pub(crate) mod partition;
mod placement;
mod proxy;
pub(crate) mod rebalance;
mod routine;
mod server;
mod tables;
mod trigger;

pub(crate) use check::admin_check;
pub(crate) use server::{engine_row, process_row};

use crate::ast::{self, RoutineKind, Show, ShowFilter, Statement};
use crate::binder::{BoundColumn, Scope};
use crate::collation::CollationId;
use crate::context::Level;
use crate::dml::bind;
use crate::session::statement::StatementContext;
use crate::session::{ColumnMeta, Outcome, RowSource, Session};
use crate::types::SqlType;
use crate::value::{Row, Value};
use crate::{Error, Result};
use txn::transaction::Mode;

/// A result that is being put together.
pub(crate) struct Listing {
    columns: Vec<ColumnMeta>,
    rows: Vec<Row>,
}

/// A column of text.
fn text_column(name: impl Into<String>, length: u32) -> ColumnMeta {
    ColumnMeta::computed(name, SqlType::varchar(length, CollationId::DEFAULT))
}

/// A column of whole numbers.
fn number_column(name: impl Into<String>) -> ColumnMeta {
    ColumnMeta::computed(name, SqlType::bigint().unsigned())
}

/// Columns of text by their names, separated by commas.
fn text_columns(names: &str) -> Vec<ColumnMeta> {
    names.split(',').map(|name| text_column(name.trim(), 256)).collect()
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// Runs SHOW.
pub(crate) async fn run(session: &mut Session, show: &Show) -> Result<Outcome> {
    let (listing, filter) = list(session, show).await?;
    let mut listing = filtered(session, listing, filter).await?;
    if let Show::DdlJobs { limit: Some(limit), .. } = show {
        let (offset, count) = bounds_of(limit)?;
        listing.rows = listing.rows.into_iter().skip(offset).take(count).collect();
    }
    if matches!(show, Show::TablesBySharding(_)) && listing.rows.is_empty() {
        // TDSQL answers so, and programs look for it.
        session.variables.set_row_count(0);
        return Ok(Outcome::done());
    }
    session.variables.set_row_count(-1);
    session.variables.set_found_rows(listing.rows.len() as u64);
    Ok(Outcome::rows(listing.columns, listing.rows))
}

async fn list<'a>(
    session: &mut Session,
    show: &'a Show,
) -> Result<(Listing, Option<std::borrow::Cow<'a, ShowFilter>>)> {
    use std::borrow::Cow::{Borrowed, Owned};
    let like = |filter: &'a Option<ShowFilter>| filter.as_ref().map(Borrowed);
    Ok(match show {
        Show::Databases(filter) => {
            (tables::databases(session, pattern(filter)).await?, like(filter))
        }
        Show::Tables { full, database, filter, .. } => {
            let database = database.as_deref();
            (tables::tables(session, database, *full, pattern(filter)).await?, like(filter))
        }
        Show::TableStatus { database, filter } => {
            (tables::table_status(session, database.as_deref()).await?, like(filter))
        }
        Show::OpenTables { database, filter } => {
            // As in MySQL, LIKE is about the second column.
            let filter = filter.as_ref().map(|filter| match filter {
                ShowFilter::Like(pattern) => {
                    Owned(ShowFilter::Where(self::like("Table", pattern.clone())))
                }
                ShowFilter::Where(_) => Borrowed(filter),
            });
            (server::open_tables(session, database.as_deref()).await?, filter)
        }
        Show::Columns { full, table, filter, .. } => {
            (tables::columns(session, table, *full).await?, like(filter))
        }
        Show::Index { table, filter, .. } => {
            let filter = filter.as_ref().map(|expr| Owned(ShowFilter::Where(expr.clone())));
            (tables::indexes(session, table).await?, filter)
        }
        Show::CreateTable(table) => (tables::create_table(session, table).await?, None),
        Show::CreatePlacementPolicy(name) => (placement::create(session, name)?, None),
        Show::Placement(target) => (placement::list(session, target).await?, None),
        Show::CreateSequence(name) => (tables::create_sequence(session, name).await?, None),
        Show::CreateDatabase { if_not_exists, name } => {
            (tables::create_database(session, name, *if_not_exists).await?, None)
        }
        Show::CreateUser(_) => {
            return Err(Error::not_supported("SHOW CREATE USER: accounts are in SHOW GRANTS"));
        }
        Show::CreateObject { kind, name } if kind == "VIEW" => {
            (create_view::named(session, name).await?, None)
        }
        Show::CreateObject { kind, name } if kind == "PROCEDURE" => {
            (routine::create(session, RoutineKind::Procedure, name).await?, None)
        }
        Show::CreateObject { kind, name } if kind == "FUNCTION" => {
            (routine::create(session, RoutineKind::Function, name).await?, None)
        }
        Show::CreateObject { kind, name } if kind == "TRIGGER" => {
            (trigger::create(session, name).await?, None)
        }
        Show::CreateObject { kind, name } => {
            return Err(Error::no_such_object(kind, name));
        }
        Show::Warnings(_) | Show::Errors(_) | Show::CountWarnings | Show::CountErrors => {
            return Err(Error::internal("SHOW WARNINGS is answered before the statement begins"));
        }
        Show::Variables { scope, filter } => (server::variables(session, *scope), like(filter)),
        Show::Status { scope, filter } => (server::status(session, *scope), like(filter)),
        Show::ProcessList { full } => (server::process_list(session, *full).await, None),
        Show::Engines => (server::engines(), None),
        Show::Engine { name, what } => (engine_status::engine(session, name, what).await?, None),
        Show::Collation(filter) => (server::collations(), like(filter)),
        Show::CharacterSet(filter) => (server::character_sets(), like(filter)),
        Show::Plugins => (nothing("Name,Status,Type,Library,License"), None),
        Show::Privileges => (nothing("Privilege,Context,Comment"), None),
        Show::Grants { account, .. } => (server::grants(session, account.as_ref()).await?, None),
        Show::Triggers { database, filter } => {
            // As in MySQL, LIKE is about the table.
            let filter = filter.as_ref().map(|filter| match filter {
                ShowFilter::Like(pattern) => {
                    Owned(ShowFilter::Where(self::like("Table", pattern.clone())))
                }
                ShowFilter::Where(_) => Borrowed(filter),
            });
            (trigger::list(session, database.as_deref()).await?, filter)
        }
        Show::Events { filter, .. } => (
            nothing(
                "Db,Name,Definer,Time zone,Type,Execute at,Interval value,Interval field,Starts,Ends,\
                 Status,Originator,character_set_client,collation_connection,Database Collation",
            ),
            like(filter),
        ),
        Show::RoutineStatus { function, filter } => {
            let kind = if *function { RoutineKind::Function } else { RoutineKind::Procedure };
            // As in MySQL, LIKE is about the second column.
            let filter = filter.as_ref().map(|filter| match filter {
                ShowFilter::Like(pattern) => {
                    Owned(ShowFilter::Where(self::like("Name", pattern.clone())))
                }
                ShowFilter::Where(_) => Borrowed(filter),
            });
            (routine::status(session, kind).await?, filter)
        }
        Show::BinaryLogStatus => {
            (nothing("File,Position,Binlog_Do_DB,Binlog_Ignore_DB,Executed_Gtid_Set"), None)
        }
        Show::BinaryLogs => return Err(Error::no_binary_log()),
        Show::BinlogEvents => return Err(Error::no_binary_log()),
        Show::ReplicaStatus { .. } | Show::Replicas => (nothing("Replica"), None),
        Show::Profiles | Show::Profile => {
            return Err(Error::not_supported("SHOW PROFILE: use EXPLAIN"));
        }
        Show::Shards { table, key, filter } => {
            (server::shards(session, table.as_ref(), key).await?, like(filter))
        }
        Show::HotShards(filter) => (hot::shards(session).await?, like(filter)),
        Show::ShardWhy(shard) => (hot::why(session, *shard).await?, None),
        Show::Nodes(filter) => (server::nodes(session), like(filter)),
        Show::Rebalance { plan: false } => (rebalance::standing(session), None),
        Show::Rebalance { plan: true } => (rebalance::plan(session), None),
        Show::Proxy { listing, filter } => (proxy::list(session, *listing)?, like(filter)),
        Show::TablesBySharding(class) => (tables::by_sharding(session, *class).await?, None),
        Show::DdlJobs { filter, .. } => {
            // The first column is a number.
            let filter = filter.as_ref().map(|filter| match filter {
                ShowFilter::Like(pattern) => {
                    Owned(ShowFilter::Where(self::like("Table", pattern.clone())))
                }
                ShowFilter::Where(_) => Borrowed(filter),
            });
            (jobs::list(session).await?, filter)
        }
        Show::TransactionStatus(token) => (server::transaction_status(session, token).await?, None),
    })
}

fn pattern(filter: &Option<ShowFilter>) -> Option<&str> {
    match filter {
        Some(ShowFilter::Like(pattern)) => Some(pattern),
        _ => None,
    }
}

/// A result that is rightly empty: there are no such things here.
fn nothing(columns: &str) -> Listing {
    Listing { columns: text_columns(columns), rows: Vec::new() }
}

async fn filtered(
    session: &mut Session,
    listing: Listing,
    filter: Option<std::borrow::Cow<'_, ShowFilter>>,
) -> Result<Listing> {
    let Some(filter) = filter else { return Ok(listing) };
    let Listing { columns, rows } = listing;
    let condition = match filter.into_owned() {
        ShowFilter::Where(expr) => expr,
        ShowFilter::Like(pattern) => like(&columns[0].name, pattern),
    };
    let bound: Vec<BoundColumn> =
        columns.iter().map(|column| BoundColumn { meta: column.clone(), ty: column.ty }).collect();
    let scope = Scope::of_columns("", "", &bound);
    let catalog = session.instance.catalog.current().await?;
    // Warnings of the rows stay.
    let ctx = match session.diagnostics.current() {
        Some(ctx) => ctx,
        None => session.context(Vec::new()),
    };
    let env = StatementContext { catalog, ctx, locking: None, with: None };
    let txn = session.own_transaction(Mode::Snapshot);
    let list = [&condition];
    let bound = bind::exprs(session, &list, &scope, "where clause", &env, &txn).await?;
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let mut accepted = true;
        for expr in &bound {
            accepted &= expr.truth(&row, &env.ctx)? == Some(true);
        }
        if accepted {
            kept.push(row);
        }
    }
    Ok(Listing { columns, rows: kept })
}

/// `name LIKE 'pattern'` without regard to case.
fn like(name: &str, pattern: String) -> ast::Expr {
    let literal = ast::Literal::String {
        first: ast::SourceText(pattern.clone()),
        value: pattern,
        charset: None,
    };
    let column = ast::ColumnName::bare(name);
    ast::Expr::new(ast::ExprKind::Like {
        negated: false,
        operand: Box::new(ast::Expr::new(ast::ExprKind::Column(column))),
        pattern: Box::new(ast::Expr::new(ast::ExprKind::Literal(literal))),
        escape: None,
    })
}

/// DESCRIBE.
pub(crate) async fn describe(
    session: &mut Session,
    table: &ast::TableName,
    column: Option<&str>,
) -> Result<Outcome> {
    let filter = column.map(|pattern| ShowFilter::Like(pattern.to_string()));
    let show = Show::Columns { extended: false, full: false, table: table.clone(), filter };
    run(session, &show).await
}

/// ADMIN CHECKSUM CLUSTER: compares the replicas of every shard; one row per shard.
pub(crate) async fn checksum_cluster(session: &mut Session) -> Result<Outcome> {
    let listing = server::comparisons(session).await;
    session.variables.set_row_count(-1);
    session.variables.set_found_rows(listing.rows.len() as u64);
    Ok(Outcome::rows(listing.columns, listing.rows))
}

/// The columns of a SHOW or DESCRIBE, for a client that prepares it.
pub(crate) async fn columns(
    session: &mut Session,
    statement: &Statement,
) -> Result<Vec<ColumnMeta>> {
    let outcome = match statement {
        Statement::Show(
            Show::Warnings(_) | Show::Errors(_) | Show::CountWarnings | Show::CountErrors,
        ) => diagnostics(session, statement)?,
        Statement::Show(show) => run(session, show).await?,
        Statement::Describe { table, column } => {
            describe(session, table, column.as_deref()).await?
        }
        Statement::ChecksumCluster => return Ok(server::comparison_columns()),
        Statement::AdminCheck(_) => return Ok(check::columns()),
        Statement::DdlJobs { .. } => return Ok(jobs::answer_columns()),
        _ => return Ok(Vec::new()),
    };
    match outcome {
        Outcome::Rows { columns, .. } => Ok(columns.to_vec()),
        Outcome::Ok(_) | Outcome::LocalInfile { .. } | Outcome::Many { .. } => Ok(Vec::new()),
    }
}

/// How many rows a LIMIT of SHOW leaves out, and how many it takes.
fn bounds_of(limit: &ast::Limit) -> Result<(usize, usize)> {
    let number = |expr: &ast::Expr| match &expr.kind {
        ast::ExprKind::Literal(ast::Literal::Integer(number)) => Ok(*number as usize),
        _ => Err(Error::wrong_arguments("LIMIT")),
    };
    Ok((limit.offset.as_ref().map_or(Ok(0), number)?, number(&limit.count)?))
}

/// SHOW WARNINGS, SHOW ERRORS and their counts: the only statements that leave the list as it is.
pub(crate) fn diagnostics(session: &mut Session, statement: &Statement) -> Result<Outcome> {
    let list = session.diagnostics.list();
    let (limit, errors_only) = match statement {
        Statement::Show(Show::Warnings(limit)) => (limit, false),
        Statement::Show(Show::Errors(limit)) => (limit, true),
        Statement::Show(Show::CountWarnings) => {
            let column = number_column("@@session.warning_count");
            return Ok(Outcome::rows(
                vec![column],
                vec![vec![Value::UInt(session.diagnostics.count())]],
            ));
        }
        _ => {
            let column = number_column("@@session.error_count");
            return Ok(Outcome::rows(
                vec![column],
                vec![vec![Value::UInt(session.diagnostics.errors())]],
            ));
        }
    };
    let (offset, count) = limit.as_ref().map_or(Ok((0, usize::MAX)), bounds_of)?;
    let rows = list
        .into_iter()
        .filter(|warning| !errors_only || warning.level == Level::Error)
        .skip(offset)
        .take(count)
        .map(|warning| {
            vec![
                text(warning.level.name()),
                Value::UInt(u64::from(warning.code)),
                text(warning.message),
            ]
        })
        .collect();
    let columns = vec![text_column("Level", 7), number_column("Code"), text_column("Message", 512)];
    Ok(Outcome::rows(columns, rows))
}

/// ANALYZE TABLE and its relatives.
pub(crate) async fn administration(
    session: &mut Session,
    what: &ast::TableAdministration,
) -> Result<Outcome> {
    use ast::AdministrationAction::{Analyze, Check, Checksum, Optimize, Repair};
    let (operation, kind, message) = match what.action {
        Analyze => ("analyze", "status", "OK"),
        Optimize => ("optimize", "note", "Storage is compacted in the background"),
        Check => return check::check_tables(session, &what.tables).await,
        Checksum => return checksum::checksum_tables(session, what).await,
        // As MySQL's InnoDB, which has nothing to repair either.
        Repair => ("repair", "note", "The storage engine for the table doesn't support repair"),
    };
    if what.action == Analyze && !what.options.is_empty() {
        return Err(Error::not_supported(
            "ANALYZE TABLE with UPDATE or DROP HISTOGRAM: distinct values of all columns are counted without it",
        ));
    }
    let catalog = session.instance.catalog.current().await?;
    let mut rows = Vec::with_capacity(what.tables.len());
    for name in &what.tables {
        let database = name.database.as_deref().or(session.database.as_deref());
        if let Some(view) = database.and_then(|database| catalog.view(database, &name.name)) {
            // As in MySQL the other tables of the list are worked on.
            let full = view.qualified_name();
            let message = Error::wrong_object(&full, "BASE TABLE").message;
            rows.push(vec![text(&full), text(operation), text("Error"), text(message)]);
            rows.push(vec![text(&full), text(operation), text("status"), text("Operation failed")]);
            continue;
        }
        let table = crate::dml::find_table(name, session.database.as_deref(), &catalog)?;
        session.table_locks.check_table(&table.database, &table.name, what.action == Optimize)?;
        if what.action == Analyze {
            crate::ddl::statistics::analyze(session, &table).await?;
        }
        rows.push(vec![text(table.qualified_name()), text(operation), text(kind), text(message)]);
    }
    let columns = text_columns("Table,Op,Msg_type,Msg_text");
    Ok(Outcome::Rows { columns: columns.into(), rows: RowSource::Ready(rows) })
}

/// ALTER NODE: a row per shard that has to move, and where it goes or why it cannot.
pub(crate) async fn alter_node(
    session: &mut Session,
    node: u64,
    action: ast::NodeAction,
    dry_run: bool,
) -> Result<Outcome> {
    let cluster = session.instance.config.cluster.clone();
    let plan = cluster.alter_node(base::NodeId(node), action, dry_run).await;
    let plan = plan.map_err(Error::cluster_refuses)?;
    let rows = plan.into_iter().map(|row| {
        vec![
            Value::UInt(row.shard.0),
            row.target.map_or(Value::Null, |target| Value::UInt(target.0)),
            text(row.blocked),
        ]
    });
    let columns =
        vec![number_column("Shard"), number_column("Target"), text_column("Blocked", 1024)];
    Ok(Outcome::rows(columns, rows.collect()))
}

/// ALTER SHARD … TRANSFER LEADER: a row with who led and who leads.
pub(crate) async fn transfer_leader(session: &mut Session, shard: u64, to: u64) -> Result<Outcome> {
    let cluster = session.instance.config.cluster.clone();
    let moved = cluster.transfer_leader(base::ShardId(shard), base::NodeId(to)).await;
    let from = moved.map_err(Error::cluster_refuses)?;
    let row = vec![Value::UInt(shard), Value::UInt(from.0), Value::UInt(to)];
    let columns =
        vec![number_column("Shard"), number_column("Old_leader"), number_column("New_leader")];
    Ok(Outcome::rows(columns, vec![row]))
}

/// ALTER SHARD … SPLIT: a row with the new shard and its first slot, and whether it is done.
pub(crate) async fn split_shard(
    session: &mut Session,
    shard: u64,
    at: Option<u64>,
) -> Result<Outcome> {
    let cluster = session.instance.config.cluster.clone();
    let slot = |number: u64| match u16::try_from(number) {
        Ok(number) => Ok(base::Slot(number)),
        Err(_) => Err(Error::cluster_refuses(format!(
            "there is no slot {number}; the last one is {}",
            base::SLOT_COUNT - 1
        ))),
    };
    let split = cluster.split_shard(base::ShardId(shard), at.map(slot).transpose()?).await;
    let split = split.map_err(Error::cluster_refuses)?;
    let row = vec![
        Value::UInt(split.shard.0),
        Value::UInt(u64::from(split.slot.0)),
        Value::UInt(split.new_shard.0),
        text(split.state),
    ];
    let columns = vec![
        number_column("Shard"),
        number_column("Slot"),
        number_column("New_shard"),
        text_column("State", 1024),
    ];
    Ok(Outcome::rows(columns, vec![row]))
}

/// ALTER SHARD … MERGE: a row with the shard that goes, and whether it is done.
pub(crate) async fn merge_shard(session: &mut Session, shard: u64) -> Result<Outcome> {
    let cluster = session.instance.config.cluster.clone();
    let merged = cluster.merge_shard(base::ShardId(shard)).await;
    let merged = merged.map_err(Error::cluster_refuses)?;
    let row = vec![Value::UInt(merged.shard.0), Value::UInt(merged.merged.0), text(merged.state)];
    let columns =
        vec![number_column("Shard"), number_column("Merged_shard"), text_column("State", 1024)];
    Ok(Outcome::rows(columns, vec![row]))
}

/// COM_FIELD_LIST.
pub(crate) async fn field_list(
    session: &mut Session,
    table: &str,
    wildcard: &str,
) -> Result<Vec<ColumnMeta>> {
    tables::field_list(session, table, wildcard).await
}
