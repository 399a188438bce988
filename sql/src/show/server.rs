//! SHOW about what runs: variables, status, sessions, shards, nodes, accounts.

use super::{Listing, number_column, text, text_column, text_columns};
use crate::activity::{Activity, ActivityPart};
use crate::ast::{AccountName, Expr, TableName, VariableScope};
use crate::catalog::information_schema::collation_rows;
use crate::catalog::{Sharding, TableDef};
use crate::collation::{CHARSETS, CollationId};
use crate::ddl::{self, account};
use crate::dml::find_table;
use crate::instance::Process;
use crate::session::token::Status;
use crate::session::{ColumnMeta, Session};
use crate::types::{SqlType, assign};
use crate::value::{Row, Value};
use crate::{Error, Result, broadcast, sysvar, table_codec};
use base::{ShardId, SlotFilter, TableId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Characters of a statement that SHOW PROCESSLIST without FULL prints.
const INFO_CHARS: usize = 100;

/// SHOW VARIABLES.
pub(super) fn variables(session: &Session, scope: Option<VariableScope>) -> Listing {
    let global = scope == Some(VariableScope::Global);
    let rows = sysvar::all()
        .iter()
        .filter(|variable| !global || variable.scope != sysvar::VariableScope::Session)
        .map(|variable| vec![text(variable.name), text(session.variables.shown(variable, global))])
        .collect();
    Listing { columns: vec![text_column("Variable_name", 64), text_column("Value", 1024)], rows }
}

/// SHOW STATUS: what this node counts; commits are the session's own, unless GLOBAL is said.
pub(super) fn status(session: &Session, scope: Option<VariableScope>) -> Listing {
    let instance = &session.instance;
    let uptime = instance.config.clock.monotonic().saturating_sub(instance.started).as_secs();
    let sessions = instance.sessions.lock().len();
    let running = instance.processes().iter().filter(|p| p.command == "Query").count();
    let questions = instance.questions.load(Ordering::Relaxed);
    let commits = match scope {
        Some(VariableScope::Global) => &instance.commits,
        _ => &session.entry.commits,
    };
    let [many_shards, one_shard] = commits.lines();
    let values = [
        ("Connections", instance.connections.load(Ordering::Relaxed).to_string()),
        ("Follower_reads", instance.config.client.follower_reads().to_string()),
        ("Precinct_catalog_version", instance.catalog_version().to_string()),
        many_shards,
        one_shard,
        ("Precinct_node", instance.node().0.to_string()),
        ("Queries", questions.to_string()),
        ("Questions", questions.to_string()),
        ("Threads_connected", sessions.to_string()),
        ("Threads_running", running.to_string()),
        ("Uptime", uptime.to_string()),
        ("Uptime_since_flush_status", uptime.to_string()),
    ];
    let rows = values.into_iter().map(|(name, value)| vec![text(name), text(value)]).collect();
    Listing { columns: vec![text_column("Variable_name", 64), text_column("Value", 1024)], rows }
}

/// A line of SHOW PROCESSLIST.
pub(crate) fn process_row(process: &Process, full: bool) -> Row {
    let info = process.statement.as_ref().map(|statement| {
        if full { statement.clone() } else { statement.chars().take(INFO_CHARS).collect() }
    });
    vec![
        Value::UInt(u64::from(process.id)),
        text(&process.user),
        text(&process.host),
        process.database.as_ref().map_or(Value::Null, text),
        text(process.command),
        Value::Int(process.seconds as i64),
        text(&process.state),
        info.map_or(Value::Null, text),
    ]
}

/// SHOW PROCESSLIST: the sessions of all nodes.
pub(super) async fn process_list(session: &mut Session, full: bool) -> Listing {
    let ctx = session.context(Vec::new());
    let activity = Activity::gather(&session.instance, ActivityPart::Sessions, &ctx).await;
    let sessions = activity.sessions().into_iter();
    let rows = sessions.map(|session| process_row(&session.process, full)).collect();
    let columns = vec![
        number_column("Id"),
        text_column("User", 32),
        text_column("Host", 261),
        text_column("db", 64),
        text_column("Command", 16),
        ColumnMeta::computed("Time", SqlType::int()),
        text_column("State", 64),
        text_column("Info", 1024),
    ];
    Listing { columns, rows }
}

/// SHOW OPEN TABLES: all tables, and how many sessions use, have locked or want to lock each.
pub(super) async fn open_tables(session: &mut Session, database: Option<&str>) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let ctx = session.context(Vec::new());
    let activity = Activity::gather(&session.instance, ActivityPart::Sessions, &ctx).await;
    let mut users: BTreeMap<TableId, BTreeSet<u32>> = BTreeMap::new();
    for row in activity.sessions() {
        for (table, _) in &row.uses {
            users.entry(*table).or_default().insert(row.process.id);
        }
    }
    let locks = session.instance.catalog.table_locks().await?;
    for holder in &locks.holders {
        for (database, name, _) in holder.tables() {
            if let Some(table) = catalog.table(database, name) {
                users.entry(table.id).or_default().insert(holder.connection);
            }
        }
    }
    let databases = catalog.databases().filter(|own| database.is_none_or(|name| own.name == name));
    let tables = databases.flat_map(|database| catalog.tables(&database.name));
    let rows = tables.map(|table| {
        let in_use = users.get(&table.id).map_or(0, BTreeSet::len);
        vec![text(&table.database), text(&table.name), Value::UInt(in_use as u64), Value::UInt(0)]
    });
    let columns = vec![
        text_column("Database", 64),
        text_column("Table", 64),
        number_column("In_use"),
        number_column("Name_locked"),
    ];
    Ok(Listing { columns, rows: rows.collect() })
}

/// SHOW TRANSACTION STATUS: what became of the transaction that a token names.
pub(super) async fn transaction_status(session: &mut Session, token: &str) -> Result<Listing> {
    let (instance, ctx) = (session.instance.clone(), session.context(Vec::new()));
    let status = instance.transaction_status(token, &ctx).await?;
    let (commit_ts, time) = match status {
        Status::Committed { commit_ts } => {
            let micros = commit_ts.unix_ms() as i64 * 1000;
            let time = ctx.time_zone.from_unix_micros(micros);
            (Value::UInt(commit_ts.0), Value::DateTime(time))
        }
        Status::RolledBack | Status::Running | Status::Unknown => (Value::Null, Value::Null),
    };
    let columns = vec![
        text_column("Token", 64),
        text_column("Status", 16),
        number_column("Commit_ts"),
        ColumnMeta::computed("Commit_time", SqlType::datetime(3)),
    ];
    let rows = vec![vec![text(token), text(status.name()), commit_ts, time]];
    Ok(Listing { columns, rows })
}

/// The one line of SHOW ENGINES.
pub(crate) fn engine_row() -> Row {
    ["InnoDB", "DEFAULT", "Replicated, sharded tables with transactions", "YES", "YES", "YES"]
        .into_iter()
        .map(text)
        .collect()
}

/// SHOW ENGINES.
pub(super) fn engines() -> Listing {
    let columns = text_columns("Engine,Support,Comment,Transactions,XA,Savepoints");
    Listing { columns, rows: vec![engine_row()] }
}

/// SHOW COLLATION.
pub(super) fn collations() -> Listing {
    let columns = vec![
        text_column("Collation", 64),
        text_column("Charset", 64),
        number_column("Id"),
        text_column("Default", 3),
        text_column("Compiled", 3),
        number_column("Sortlen"),
        text_column("Pad_attribute", 9),
    ];
    Listing { columns, rows: collation_rows() }
}

/// SHOW CHARACTER SET.
pub(super) fn character_sets() -> Listing {
    let rows = CHARSETS
        .iter()
        .map(|charset| {
            vec![
                text(charset.name),
                text(charset.description),
                text(charset.default.name()),
                Value::UInt(u64::from(charset.bytes_per_char)),
            ]
        })
        .collect();
    let columns = vec![
        text_column("Charset", 64),
        text_column("Description", 2048),
        text_column("Default collation", 64),
        number_column("Maxlen"),
    ];
    Listing { columns, rows }
}

/// SHOW GRANTS: every account has all privileges today.
pub(super) async fn grants(
    session: &mut Session,
    account: Option<&AccountName>,
) -> Result<Listing> {
    let client = &session.instance.config.client;
    let (user, host) = match account {
        Some(AccountName { user: Some(user), host }) => {
            let found = account::exists(client, user, host).await?;
            if !found {
                return Err(Error::no_such_grant(user, host));
            }
            (user.clone(), host.clone())
        }
        _ => {
            let found = account::find(client, &session.info.user, &session.info.host).await?;
            match found {
                Some(account) => (account.user, account.host),
                None => (session.info.user.clone(), session.info.host.clone()),
            }
        }
    };
    let title = format!("Grants for {user}@{host}");
    let quote = |name: &str| name.replace('`', "``");
    let grant = format!(
        "GRANT ALL PRIVILEGES ON *.* TO `{}`@`{}` WITH GRANT OPTION",
        quote(&user),
        quote(&host)
    );
    Ok(Listing { columns: vec![text_column(title, 1024)], rows: vec![vec![text(grant)]] })
}

/// SHOW SHARDS: all of them, those that a table has rows in, or the one of a table's rows with a sharding key.
pub(super) async fn shards(
    session: &mut Session,
    table: Option<&TableName>,
    key: &[Expr],
) -> Result<Listing> {
    let mut only: Option<BTreeSet<ShardId>> = None;
    if let Some(name) = table {
        let catalog = session.instance.catalog.current().await?;
        let table = find_table(name, session.database.as_deref(), &catalog)?;
        let client = session.instance.config.client.clone();
        let mut shards: BTreeSet<ShardId> = BTreeSet::new();
        match &table.sharding {
            Sharding::Single => {
                let slot = table_codec::slot_of_sharding(&table, &[])?;
                shards.insert(client.locate(&table_codec::key_in_slot(&table, slot))?.shard);
            }
            Sharding::Hash(columns) if !key.is_empty() => {
                let values = sharding_values(session, &table, columns, key)?;
                let slot = table_codec::slot_of_sharding(&table, &values)?;
                shards.insert(client.locate(&table_codec::key_in_slot(&table, slot))?.shard);
            }
            Sharding::Range(by) | Sharding::List(by) | Sharding::Keys(by) => {
                let slots = match key.is_empty() {
                    true => by.items.iter().map(|item| item.slots).collect(),
                    false => {
                        let values = sharding_values(session, &table, &[by.column], key)?;
                        by.slots_of_values(&values, &table.columns[by.column].ty)
                    }
                };
                let slots = SlotFilter::new(slots);
                let routes = client.data_shards()?.into_iter();
                let routes = routes.filter(|route| slots.meets(route.slots));
                shards.extend(routes.map(|route| route.shard));
            }
            Sharding::Broadcast(_) => {
                for slot in broadcast::slots(&table) {
                    shards.insert(client.locate(&table_codec::key_in_slot(&table, slot))?.shard);
                }
            }
            Sharding::Hash(_) => {
                shards.extend(client.data_shards()?.into_iter().map(|route| route.shard));
            }
        }
        only = Some(shards);
    }
    let rows = session
        .instance
        .config
        .cluster
        .shards()
        .into_iter()
        .filter(|shard| only.as_ref().is_none_or(|only| only.contains(&shard.shard)))
        .map(|shard| {
            let replicas: Vec<String> =
                shard.replicas.iter().map(|node| node.0.to_string()).collect();
            vec![
                Value::UInt(shard.shard.0),
                Value::UInt(u64::from(shard.slots.start)),
                Value::UInt(u64::from(shard.slots.end)),
                Value::UInt(shard.epoch.0),
                shard.leader.map_or(Value::Null, |node| Value::UInt(node.0)),
                text(replicas.join(",")),
                text(&shard.state),
                Value::UInt(shard.applied_index),
                Value::UInt(shard.term),
            ]
        })
        .collect();
    let columns = vec![
        number_column("Shard"),
        number_column("Slot_start"),
        number_column("Slot_end"),
        number_column("Epoch"),
        number_column("Leader"),
        text_column("Replicas", 256),
        text_column("State", 64),
        number_column("Applied_index"),
        number_column("Term"),
    ];
    Ok(Listing { columns, rows })
}

/// Values for the columns by which a table's rows are spread, as they would be stored.
fn sharding_values(
    session: &mut Session,
    table: &TableDef,
    columns: &[usize],
    key: &[Expr],
) -> Result<Vec<Value>> {
    if key.len() != columns.len() {
        let names: Vec<&str> =
            columns.iter().map(|column| table.columns[*column].name.as_str()).collect();
        let name = table.qualified_name();
        return Err(Error::wrong_arguments(format!(
            "FOR: the rows of {name} are spread by ({})",
            names.join(", ")
        )));
    }
    let ctx = session.dml_context(Vec::new(), false);
    let value = |(column, expr): (&usize, &Expr)| {
        let column = &table.columns[*column];
        assign(ddl::constant(expr, &ctx)?, &column.ty, &column.name, 1, &ctx)
    };
    columns.iter().zip(key).map(value).collect()
}

/// ADMIN CHECKSUM CLUSTER.
pub(super) async fn comparisons(session: &Session) -> Listing {
    let found = session.instance.config.cluster.compare_shards().await;
    let rows = found
        .into_iter()
        .map(|row| {
            vec![
                Value::UInt(row.shard.0),
                row.index.map_or(Value::Null, Value::UInt),
                text(&row.replicas),
                text(&row.verdict),
            ]
        })
        .collect();
    Listing { columns: comparison_columns(), rows }
}

/// The columns of ADMIN CHECKSUM CLUSTER.
pub(super) fn comparison_columns() -> Vec<ColumnMeta> {
    vec![
        number_column("Shard"),
        number_column("Log_index"),
        text_column("Replicas", 1024),
        text_column("Verdict", 256),
    ]
}

/// SHOW NODES.
pub(super) fn nodes(session: &Session) -> Listing {
    let rows = session
        .instance
        .config
        .cluster
        .nodes()
        .into_iter()
        .map(|node| {
            vec![
                Value::UInt(node.node.0),
                text(&node.sql_address),
                text(&node.peer_address),
                text(&node.state),
                Value::UInt(u64::from(node.leaders)),
                Value::UInt(u64::from(node.replicas)),
            ]
        })
        .collect();
    let wide = |name: &str| ColumnMeta::computed(name, SqlType::varchar(261, CollationId::DEFAULT));
    let columns = vec![
        number_column("Node"),
        wide("Sql_address"),
        wide("Peer_address"),
        text_column("State", 64),
        number_column("Leaders"),
        number_column("Replicas"),
    ];
    Listing { columns, rows }
}
