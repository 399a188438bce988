//! information_schema.PRECINCT_SHARDS, PRECINCT_REPLICAS and PRECINCT_OPERATIONS: the cluster as tables.
//!
//! What SHOW SHARDS, SHOW HOT SHARDS and SHOW REBALANCE PLAN show, for queries that join and count. Rates are per second, of the
//! last half minute; NULL where nobody knows, as of a shard without a leader.
//!
//! Not here: where the figures come from (`instance::Cluster`).

use super::information_schema::{
    SystemTables, VirtualTable, moment, name_type, number, table as computed, text,
};
use crate::collation::CollationId;
use crate::instance::{LoadFinding, ShardLoadRow};
use crate::show::hot;
use crate::types::SqlType;
use crate::value::{Row, Value};
use base::{NodeId, ShardId};
use std::collections::BTreeMap;

fn sentence() -> SqlType {
    SqlType::varchar(1024, CollationId::UTF8MB4_GENERAL_CI)
}

fn node(node: Option<NodeId>) -> Value {
    node.map_or(Value::Null, |node| Value::UInt(node.0))
}

/// PRECINCT_SHARDS: a row per shard, the meta shard included.
pub(super) fn shards(tables: &SystemTables) -> VirtualTable {
    let cluster = tables.cluster();
    let mut loads: BTreeMap<ShardId, ShardLoadRow> =
        cluster.shard_loads().into_iter().map(|row| (row.shard, row)).collect();
    let rows = cluster.shards().into_iter().map(|shard| {
        let load = loads.remove(&shard.shard);
        let mut row = vec![
            Value::UInt(shard.shard.0),
            Value::UInt(u64::from(shard.slots.start)),
            Value::UInt(u64::from(shard.slots.end)),
            Value::UInt(shard.epoch.0),
            node(shard.leader),
            Value::UInt(shard.replicas.len() as u64),
            text(shard.state),
        ];
        row.extend(load_values(load.as_ref(), tables));
        row
    });
    computed(
        &[
            ("SHARD_ID", number().not_null()),
            ("SLOT_START", number().not_null()),
            ("SLOT_END", number().not_null()),
            ("EPOCH", number().not_null()),
            ("LEADER_NODE", number()),
            ("REPLICAS", number().not_null()),
            ("STATE", sentence().not_null()),
            ("DATA_BYTES", number()),
            ("READS_PER_SECOND", number()),
            ("WRITES_PER_SECOND", number()),
            ("SCANS_PER_SECOND", number()),
            ("ROWS_SCANNED_PER_SECOND", number()),
            ("KEYS_READ_PER_SECOND", number()),
            ("BYTES_WRITTEN_PER_SECOND", number()),
            ("CPU_PERCENT", number()),
            ("HOTTEST_SLOT", number()),
            ("HOTTEST_SLOT_PERCENT", number()),
            ("HOTTEST_TABLE", sentence()),
            ("HOTTEST_TABLE_PERCENT", number()),
            ("VERDICT", sentence()),
        ],
        rows.collect(),
    )
}

/// What is known of a shard's load.
fn load_values(load: Option<&ShardLoadRow>, tables: &SystemTables) -> Row {
    let catalog = tables.catalog();
    let rate = |of: fn(&ShardLoadRow) -> u64| load.map_or(Value::Null, |row| Value::UInt(of(row)));
    let told = load.filter(|row| row.finding != LoadFinding::Unknown);
    let hottest = told.and_then(|row| row.hottest);
    let table = told.and_then(|row| row.table);
    vec![
        rate(|row| row.bytes),
        rate(|row| row.reads),
        rate(|row| row.writes),
        rate(|row| row.scans),
        rate(|row| row.rows_scanned),
        rate(|row| row.keys_read),
        rate(|row| row.bytes_written),
        load.map_or(Value::Null, |row| hot::percent(row.cpu_permille)),
        hottest.map_or(Value::Null, |hot| Value::UInt(u64::from(hot.slot.0))),
        hottest.map_or(Value::Null, |hot| hot::percent(hot.permille)),
        table.map_or(Value::Null, |(table, _)| text(hot::table_name(catalog, table))),
        table.map_or(Value::Null, |(_, permille)| hot::percent(permille)),
        load.map_or(Value::Null, |row| text(hot::verdict(row, catalog))),
    ]
}

/// PRECINCT_REPLICAS: a row per replica of the shard map.
pub(super) fn replicas(tables: &SystemTables) -> VirtualTable {
    let mut rows = Vec::new();
    for shard in tables.cluster().shards() {
        for (position, replica) in shard.replicas.iter().enumerate() {
            rows.push(vec![
                Value::UInt(shard.shard.0),
                Value::UInt(replica.0),
                text(if shard.leader == Some(*replica) { "leader" } else { "follower" }),
                text(if position == 0 { "YES" } else { "NO" }),
            ]);
        }
    }
    computed(
        &[
            ("SHARD_ID", number().not_null()),
            ("NODE_ID", number().not_null()),
            ("ROLE", name_type().not_null()),
            ("PREFERRED_LEADER", name_type().not_null()),
        ],
        rows,
    )
}

/// PLACEMENT_POLICIES, with the columns of TiDB's that mean something here.
pub(super) fn placement_policies(tables: &SystemTables) -> VirtualTable {
    let said = |value: Option<String>| text(value.unwrap_or_default());
    let rows = tables.cluster().placement().policies.into_iter().map(|row| {
        let followers = row.options.followers.map_or(Value::Null, Value::UInt);
        vec![
            text("def"),
            text(row.name),
            said(row.options.primary_region),
            said(row.options.regions),
            said(row.options.constraints),
            said(row.options.leader_constraints),
            followers,
            text(row.state),
        ]
    });
    computed(
        &[
            ("CATALOG_NAME", name_type().not_null()),
            ("POLICY_NAME", name_type().not_null()),
            ("PRIMARY_REGION", sentence()),
            ("REGIONS", sentence()),
            ("CONSTRAINTS", sentence()),
            ("LEADER_CONSTRAINTS", sentence()),
            ("FOLLOWERS", number()),
            ("STATE", sentence()),
        ],
        rows.collect(),
    )
}

/// PRECINCT_OPERATIONS: a row per split and per change of members that is under way.
pub(super) fn operations(tables: &SystemTables) -> VirtualTable {
    let rows = tables.cluster().operations().into_iter().map(|row| {
        vec![
            Value::UInt(row.shard.0),
            text(row.what),
            node(row.from),
            node(row.to),
            row.new_shard.map_or(Value::Null, |shard| Value::UInt(shard.0)),
            text(row.reason),
            text(row.state),
            moment(row.started_unix_ms / 1000),
        ]
    });
    computed(
        &[
            ("SHARD_ID", number().not_null()),
            ("OPERATION", name_type().not_null()),
            ("FROM_NODE", number()),
            ("TO_NODE", number()),
            ("NEW_SHARD", number()),
            ("REASON", sentence().not_null()),
            ("STATE", sentence().not_null()),
            ("STARTED", SqlType::datetime(0).not_null()),
        ],
        rows.collect(),
    )
}
