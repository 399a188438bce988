//! The cluster's records in the meta shard: reading them, and changing them as one transaction.
//!
//! ```text
//! table 106  (kind)   → counters: 2 node, 3 replica, 4 shard ids     never handed out twice
//! table 110  ()       → version, replication, settings, placement policies   written by every change
//! table 111  (node)   → node
//! table 112  (shard)  → shard: epoch, slots, replicas, where it comes from
//! table 113  (shard)  → change of members under way
//! table 118  (shard)  → split under way
//! table 119  (shard)  → merge under way
//! ```
//!
//! Every change reads the version in its transaction and writes the next one. So of two changes at once
//! one is redone, and a coordinator that has been replaced without knowing it changes nothing: what it
//! bases its write on is no longer the version.

use crate::cluster_wire as cw;
use base::limits::{COORDINATE_PAUSE, META_CHANGE_RETRIES_MAX};
use base::{IndexId, KeyRange, NodeId, ReplicaId, ShardId, Slot, TableId, Timestamp};
use bytes::Bytes;
use engine::key::{KeyBuilder, table_prefix};
use engine::{Engine, WriteBatch, mvcc};
use prost::Message;
use proto::node as pb;
use shard_router::{ClusterState, ShardMap};
use std::collections::BTreeMap;
use std::sync::Arc;
use txn::command::{Expect, WriteRequest, WriteResponse};
use txn::transaction::{Mode, ScanOptions};
use txn::{Error, ShardClient, Transaction};

const COUNTERS: TableId = TableId(106);
const CLUSTER: TableId = TableId(110);
const NODES: TableId = TableId(111);
const SHARDS: TableId = TableId(112);
const JOBS: TableId = TableId(113);
const SPLITS: TableId = TableId(118);
const MERGES: TableId = TableId(119);

/// Kind of the counter of node ids.
const NODE_IDS: u64 = 2;
/// Kind of the counter of replica ids.
const REPLICA_IDS: u64 = 3;
/// Kind of the counter of shard ids.
const SHARD_IDS: u64 = 4;

fn key(table: TableId, id: Option<u64>) -> Bytes {
    let mut key = KeyBuilder::new(table, IndexId::PRIMARY);
    if let Some(id) = id {
        key.put_u64(id);
    }
    key.finish(Slot(0))
}

fn corrupt(what: impl std::fmt::Display) -> Error {
    Error::Engine { what: format!("corrupt cluster record in the meta shard: {what}") }
}

/// The records.
#[derive(Clone)]
pub struct MetaStore {
    /// The way to the meta shard.
    client: Arc<dyn ShardClient>,
}

impl MetaStore {
    /// The records, reached through `client`.
    pub fn new(client: Arc<dyn ShardClient>) -> MetaStore {
        MetaStore { client }
    }

    /// The version now; `None` before the records were first written.
    ///
    /// # Errors
    /// As the meta shard says.
    pub async fn version(&self) -> txn::Result<Option<u64>> {
        let mut txn = Transaction::begin(self.client.clone(), Mode::Latest);
        let value = txn.get(&key(CLUSTER, None)).await?;
        value
            .map(|value| Ok(pb::ClusterRecord::decode(value).map_err(corrupt)?.version))
            .transpose()
    }

    /// Everything, at one point in time; `None` before it was first written.
    ///
    /// # Errors
    /// As the meta shard says.
    pub async fn load(&self) -> txn::Result<Option<ClusterState>> {
        let mut txn = Transaction::begin(self.client.clone(), Mode::Snapshot);
        load_in(&mut txn).await
    }

    /// Writes the first records. Another node may have been faster: then that is what stays.
    ///
    /// # Errors
    /// As the meta shard says.
    pub async fn bootstrap(&self, state: &ClusterState) -> txn::Result<()> {
        let mut txn = Transaction::begin(self.client.clone(), Mode::Snapshot);
        let record = record_of(state);
        txn.put(key(CLUSTER, None), record.encode_to_vec(), Expect::Absent)?;
        let nothing = Records::default();
        nothing.write_change(&Records::of(state), &mut txn)?;
        match txn.commit().await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads everything, lets `edit` change it, and commits the difference under the next version. `edit`
    /// runs again when somebody else changed something meanwhile; when it changes nothing, nothing is
    /// written. Answers the state as it then is.
    ///
    /// # Errors
    /// `Refused` with `edit`'s own sentence; else as the meta shard says.
    pub async fn change(
        &self,
        mut edit: impl FnMut(&mut ClusterState) -> Result<(), String>,
    ) -> Result<ClusterState, ChangeError> {
        let mut attempt = 0;
        loop {
            match self.try_change(&mut edit).await {
                Err(ChangeError::Meta(
                    Error::WriteConflict { .. }
                    | Error::RowLocked { .. }
                    | Error::KeyLocked { .. }
                    | Error::RolledBack { .. },
                )) if attempt < META_CHANGE_RETRIES_MAX => attempt += 1,
                // The coordinator of a cluster that has just begun writes them in a moment.
                Err(ChangeError::NotBegun) if attempt < META_CHANGE_RETRIES_MAX => {
                    attempt += 1;
                    self.client.pause(COORDINATE_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_change(
        &self,
        edit: &mut impl FnMut(&mut ClusterState) -> Result<(), String>,
    ) -> Result<ClusterState, ChangeError> {
        let mut txn = Transaction::begin(self.client.clone(), Mode::Snapshot);
        let Some(before) = load_in(&mut txn).await? else {
            return Err(ChangeError::NotBegun);
        };
        let mut after = before.clone();
        edit(&mut after).map_err(ChangeError::Refused)?;
        if after == before {
            return Ok(before);
        }
        after.version = before.version + 1;
        let shards = after.map.shards().to_vec();
        let map = ShardMap::new(after.version, shards)
            .map_err(|error| ChangeError::Refused(error.to_string()))?;
        after.map = Arc::new(map);
        let version = key(CLUSTER, None);
        let expect = txn.expect_unchanged(&version);
        let record = record_of(&after);
        txn.put(version, record.encode_to_vec(), expect)?;
        Records::of(&before).write_change(&Records::of(&after), &mut txn)?;
        txn.commit().await?;
        Ok(after)
    }

    /// A node id that no node ever had; `known` are those in the records.
    ///
    /// # Errors
    /// As the meta shard says.
    pub async fn new_node_id(&self, state: &ClusterState) -> txn::Result<NodeId> {
        let known = state.nodes.keys().next_back().map_or(0, |node| node.0);
        Ok(NodeId(self.bump(NODE_IDS, known + 1).await?))
    }

    /// A replica id that no replica ever had.
    ///
    /// # Errors
    /// As the meta shard says.
    pub async fn new_replica_id(&self, state: &ClusterState) -> txn::Result<ReplicaId> {
        let held = state.map.shards().iter().flat_map(|info| info.replicas.iter());
        let coming = state.jobs.values().map(|job| &job.add);
        let held = held.chain(coming).map(|(replica, _)| replica.0);
        let split = state.splits.values().flat_map(|job| job.replicas.iter());
        let known = held.chain(split.map(|(_, child)| child.0)).max().unwrap_or(0);
        Ok(ReplicaId(self.bump(REPLICA_IDS, known + 1).await?))
    }

    /// A shard id that no shard ever had.
    ///
    /// # Errors
    /// As the meta shard says.
    pub async fn new_shard_id(&self, state: &ClusterState) -> txn::Result<ShardId> {
        let shards = state.map.shards().iter().map(|info| info.id.0);
        let known = shards.chain(state.splits.values().map(|job| job.child.0)).max().unwrap_or(0);
        Ok(ShardId(self.bump(SHARD_IDS, known + 1).await?))
    }

    /// Makes sure that no shard's and no replica's id of a state is handed out again when it leaves the map. The counters may
    /// not have come to ids that were given when the cluster was founded.
    ///
    /// # Errors
    /// As the meta shard says.
    pub async fn retire_ids(&self, state: &ClusterState) -> txn::Result<()> {
        self.new_shard_id(state).await?;
        self.new_replica_id(state).await?;
        Ok(())
    }

    /// Takes the next number of a counter, at least `at_least`.
    async fn bump(&self, kind: u64, at_least: u64) -> txn::Result<u64> {
        let key = key(COUNTERS, Some(kind));
        let route = self.client.locate(&key)?;
        match self.client.write(route, WriteRequest::Bump { key, by: 1, at_least }).await? {
            WriteResponse::Counter(number) => Ok(number),
            WriteResponse::Done { .. } | WriteResponse::Status(_) => {
                let what = "a bump was not answered with a counter".to_string();
                Err(Error::Unavailable { shard: ShardId::META, what })
            }
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It makes no sense; a sentence for people.
    #[error("{0}")]
    Refused(String),
    /// There are no records yet. Try again in a moment.
    #[error("the cluster has only just begun and has no records yet")]
    NotBegun,
    /// The meta shard did not take it.
    #[error("{0}")]
    Meta(#[from] Error),
}

/// Everything as rows: key to value.
#[derive(Default, PartialEq, Eq)]
struct Records(BTreeMap<Bytes, Vec<u8>>);

impl Records {
    /// The rows of a state, but for the version.
    fn of(state: &ClusterState) -> Records {
        let nodes = state
            .nodes
            .iter()
            .map(|(id, info)| (key(NODES, Some(id.0)), cw::node_to_pb(*id, info).encode_to_vec()));
        let shards = state.map.shards().iter();
        let shards = shards.map(|info| {
            let record = cw::shard_to_pb(info, state.origins.get(&info.id));
            (key(SHARDS, Some(info.id.0)), record.encode_to_vec())
        });
        let jobs = state.jobs.iter().map(|(shard, job)| {
            (key(JOBS, Some(shard.0)), cw::job_to_pb(*shard, job).encode_to_vec())
        });
        let splits = state.splits.iter().map(|(shard, job)| {
            (key(SPLITS, Some(shard.0)), cw::split_to_pb(*shard, job).encode_to_vec())
        });
        let merges = state.merges.iter().map(|(shard, job)| {
            (key(MERGES, Some(shard.0)), cw::merge_to_pb(*shard, job).encode_to_vec())
        });
        Records(nodes.chain(shards).chain(jobs).chain(splits).chain(merges).collect())
    }

    /// Writes what differs. The version guards all of it.
    fn write_change(&self, after: &Records, txn: &mut Transaction) -> txn::Result<()> {
        for (key, value) in &after.0 {
            if self.0.get(key) != Some(value) {
                txn.put(key.clone(), value.clone(), Expect::Any)?;
            }
        }
        for key in self.0.keys().filter(|key| !after.0.contains_key(*key)) {
            txn.delete(key.clone(), Expect::Any)?;
        }
        Ok(())
    }
}

/// Everything, in the engine of a meta replica whose node is stopped; `None` before it was first written.
///
/// # Errors
/// A sentence, when a record cannot be read.
pub fn load_stopped(engine: &dyn Engine) -> Result<Option<ClusterState>, String> {
    let cluster = rows_stopped::<pb::ClusterRecord>(engine, CLUSTER)?;
    let Some(record) = cluster.into_iter().next() else { return Ok(None) };
    let state = pb::ClusterState {
        id: record.id,
        version: record.version,
        replication: record.replication,
        rebalance: record.rebalance,
        placement: record.placement,
        nodes: rows_stopped(engine, NODES)?,
        shards: rows_stopped(engine, SHARDS)?,
        jobs: rows_stopped(engine, JOBS)?,
        splits: rows_stopped(engine, SPLITS)?,
        merges: rows_stopped(engine, MERGES)?,
    };
    cw::state_from_pb(state).map(Some).map_err(|error| corrupt(error).to_string())
}

/// Puts `after` in the place of `before` in a meta replica whose node is stopped, as of the timestamp `point`,
/// which nobody else has.
pub fn replace_stopped(
    before: Option<&ClusterState>,
    after: &ClusterState,
    point: Timestamp,
    batch: &mut WriteBatch,
) {
    let record = record_of(after);
    mvcc::put_version(batch, &key(CLUSTER, None), point, Some(&record.encode_to_vec()));
    let (before, after) = (before.map(Records::of).unwrap_or_default(), Records::of(after));
    for (key, value) in &after.0 {
        mvcc::put_version(batch, key, point, Some(value));
    }
    for key in before.0.keys().filter(|key| !after.0.contains_key(*key)) {
        mvcc::put_version(batch, key, point, None);
    }
}

fn rows_stopped<T: Message + Default>(
    engine: &dyn Engine,
    table: TableId,
) -> Result<Vec<T>, String> {
    let range = KeyRange::prefix(table_prefix(table));
    let mut rows = Vec::new();
    mvcc::scan(engine, &range, Timestamp::MAX, false, |_, _, value| {
        rows.push(Bytes::copy_from_slice(value));
        Ok(true)
    })
    .map_err(|error| error.to_string())?;
    let decoded = rows.into_iter().map(T::decode);
    decoded.collect::<Result<_, _>>().map_err(|error| corrupt(error).to_string())
}

/// The row that every change writes.
fn record_of(state: &ClusterState) -> pb::ClusterRecord {
    let (id, version, replication) = (state.id, state.version, state.replication);
    let rebalance = cw::rebalance_to_pb(state.rebalance);
    let placement = cw::placement_to_pb(&state.placement);
    pb::ClusterRecord { id, version, replication, rebalance, placement }
}

async fn load_in(txn: &mut Transaction) -> txn::Result<Option<ClusterState>> {
    let Some(value) = txn.get(&key(CLUSTER, None)).await? else { return Ok(None) };
    let record = pb::ClusterRecord::decode(value).map_err(corrupt)?;
    let state = pb::ClusterState {
        id: record.id,
        version: record.version,
        replication: record.replication,
        rebalance: record.rebalance,
        placement: record.placement,
        nodes: rows(txn, NODES).await?,
        shards: rows(txn, SHARDS).await?,
        jobs: rows(txn, JOBS).await?,
        splits: rows(txn, SPLITS).await?,
        merges: rows(txn, MERGES).await?,
    };
    cw::state_from_pb(state).map(Some).map_err(corrupt)
}

async fn rows<T: Message + Default>(txn: &mut Transaction, table: TableId) -> txn::Result<Vec<T>> {
    let options =
        ScanOptions { shard: Some(key(table, None)), ordered: true, ..ScanOptions::default() };
    let mut scan = txn.scan(KeyRange::prefix(table_prefix(table)), options).await?;
    let mut rows = Vec::new();
    while let Some(page) = scan.next_page().await? {
        for (_, value) in page {
            rows.push(T::decode(value).map_err(corrupt)?);
        }
    }
    Ok(rows)
}

#[cfg(test)]
#[path = "meta_store_tests.rs"]
mod tests;
