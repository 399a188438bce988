//! SHOW PROXY, as TDSQL's proxy answers `/*proxy*/help`, `/*proxy*/show config` and `/*proxy*/show status`.
//!
//! What TDSQL tells of a set's machines is told here of the shard that has the set's first slot: a set has no machines of its
//! own. `docs/reference/tdsql.md` says what each row means.

use super::{Listing, text, text_column};
use crate::ast::ProxyListing;
use crate::instance::{NodeRow, ShardRow};
use crate::session::Session;
use crate::sets::{self, Sets};
use crate::{Result, sysvar};
use base::{NodeId, SLOT_COUNT, Slot, SlotRange};

/// Statements about sets, and what they do.
const HELP: [(&str, &str); 9] = [
    ("/*proxy*/help", "lists these statements; also SHOW PROXY HELP"),
    ("/*proxy*/show config", "shows settings that matter to sets; also SHOW PROXY CONFIG"),
    ("/*proxy*/show status", "shows the sets and their slots; also SHOW PROXY STATUS"),
    (
        "/*proxy*/show table with shardkey",
        "lists tables whose rows are spread; also SHOW TABLE WITH SHARDKEY",
    ),
    (
        "/*proxy*/show table with noshardkey_allset",
        "lists broadcast tables; also SHOW TABLE WITH NOSHARDKEY_ALLSET",
    ),
    (
        "/*proxy*/show table without shardkey",
        "lists tables in one slot; also SHOW TABLE WITHOUT SHARDKEY",
    ),
    (
        "/*sets:set_1,set_2*/ statement",
        "runs it on sets by name, /*sets:allsets*/ on all; also ON SETS (set_1, set_2) statement",
    ),
    (
        "/*shardkey:10*/ statement",
        "runs it on the set of a sharding key's value; also ON SHARDKEY (10) statement",
    ),
    (
        "/*shardkey_hash:10*/ statement",
        "runs it on the set of a slot; also ON SHARDKEY_HASH (10) statement",
    ),
];

/// Runs SHOW PROXY.
pub(super) fn list(session: &Session, listing: ProxyListing) -> Result<Listing> {
    let (names, rows) = match listing {
        ProxyListing::Help => (("command", "description"), help()),
        ProxyListing::Config => (("config_name", "value"), config(session)),
        ProxyListing::Status => (("status_name", "value"), status(session)?),
    };
    let columns = vec![text_column(names.0, 64), text_column(names.1, 1024)];
    let rows = rows.into_iter().map(|(name, value)| vec![text(name), text(value)]).collect();
    Ok(Listing { columns, rows })
}

fn help() -> Vec<(String, String)> {
    HELP.iter().map(|(name, what)| (name.to_string(), what.to_string())).collect()
}

fn config(session: &Session) -> Vec<(String, String)> {
    let variables =
        ["tdsql_cluster", "tdsql_sets", "tdsql_show_create", "tdsql_explain_info", "version"];
    let mut rows: Vec<(String, String)> =
        variables.into_iter().map(|name| (name.to_string(), shown(session, name))).collect();
    rows.push(("charset".to_string(), "utf8mb4".to_string()));
    rows.push(("slots".to_string(), SLOT_COUNT.to_string()));
    rows
}

/// A variable's value as SHOW VARIABLES has it.
fn shown(session: &Session, name: &str) -> String {
    let variable = sysvar::find(name);
    variable.map_or_else(String::new, |variable| session.variables.shown(variable, false))
}

fn status(session: &Session) -> Result<Vec<(String, String)>> {
    let sets = Sets::of(&*session.variables)?;
    let cluster = &session.instance.config.cluster;
    let (shards, nodes) = (cluster.shards(), cluster.nodes());
    let mut rows = vec![("cluster".to_string(), shown(session, "tdsql_cluster"))];
    for number in sets.numbers() {
        let Some(slots) = sets.slots(number) else { continue };
        let name = sets::name(number);
        rows.push((format!("{name}:ip"), addresses(slots, &shards, &nodes)));
        rows.push((format!("{name}:alias"), sets::alias(number)));
        rows.push((format!("{name}:hash_range"), format!("{}---{}", slots.start, slots.end - 1)));
    }
    let all: Vec<u32> = sets.numbers().collect();
    rows.push(("set".to_string(), sets::names(&all)));
    Ok(rows)
}

/// Where the shard with the first slot is led, then its other replicas, as TDSQL writes them:
/// `leader;s1@follower@1@IDC_1@0,s2@…`. Empty when nobody knows.
fn addresses(slots: SlotRange, shards: &[ShardRow], nodes: &[NodeRow]) -> String {
    let first = Slot(slots.start as u16);
    let Some(shard) = shards.iter().find(|shard| shard.slots.contains(first)) else {
        return String::new();
    };
    let address = |node: NodeId| {
        let row = nodes.iter().find(|row| row.node == node);
        row.map_or_else(String::new, |row| row.sql_address.clone())
    };
    let leader = shard.leader.map_or_else(String::new, address);
    let followers = shard.replicas.iter().filter(|node| Some(**node) != shard.leader);
    let followers: Vec<String> = followers
        .enumerate()
        .map(|(at, node)| format!("s{}@{}@1@IDC_1@0", at + 1, address(*node)))
        .collect();
    match followers.is_empty() {
        true => leader,
        false => format!("{leader};{}", followers.join(",")),
    }
}
