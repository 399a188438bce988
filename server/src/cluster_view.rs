//! The cluster as SQL sees it: SHOW SHARDS, SHOW NODES, what runs where, announcements of the catalog.

use crate::activity_wire;
use crate::cluster_client::ClusterClient;
use crate::compare::Comparer;
use crate::coordinator::Coordinator;
use crate::directory::Directory;
use crate::gossip::{Gossip, Led};
use crate::leader_move;
use crate::local_shards::LocalShards;
use crate::lock_survey::LockSurvey;
use crate::members::Members;
use crate::meta_store::MetaStore;
use crate::node_control;
use crate::peers::Peers;
use crate::placement_control;
use crate::rebalance_control;
use crate::replicas::Replicas;
use crate::shard_merge::{Asked, Merger};
use crate::shard_split::Splitter;
use base::limits::{ACTIVITY_WAIT_MAX, CATALOG_LEASE, CONNECTION_COUNTER_BITS, STATUS_WAIT_MAX};
use base::{NodeId, ShardId, Slot, SlotRange};
use proto::node as pb;
use shard_router::load::{ShardLoad, Verdict};
use shard_router::{ClusterState, NodeState, ShardInfo, policy};
use sql::activity::{ActivityPart, NodeActivity};
use sql::ast::{NodeAction, RebalanceAction};
use sql::instance::{
    Cluster, ComparisonRow, HotSlotRow, LoadFinding, MergeRow, NodePlanRow, NodeRow, OperationRow,
    RebalancePlanRow, RebalanceRow, ShardLoadRow, ShardRow, SplitRow, TableUsers, TableWanted,
};
use sql::placement::{PlacementAnswer, PlacementChange, PlacementRefusal, PlacementView};
use std::collections::BTreeSet;
use std::sync::Arc;
use txn::RowLocks;
use txn::command::LockOwner;

/// What the view looks at.
pub struct ClusterView {
    /// Who leads.
    pub client: Arc<ClusterClient>,
    /// Replicas of this node.
    pub local: Arc<LocalShards>,
    /// Those of them that cannot run.
    pub replicas: Arc<Replicas>,
    /// Ways to other nodes.
    pub peers: Arc<Peers>,
    /// The newest state.
    pub directory: Arc<Directory>,
    /// How nodes are.
    pub gossip: Arc<Gossip>,
    /// The cluster's records.
    pub meta: MetaStore,
    /// The way to leaders.
    pub members: Arc<Members>,
    /// What shards wait for, where this node coordinates.
    pub coordinator: Arc<Coordinator>,
    /// Splits shards.
    pub splitter: Arc<Splitter>,
    /// Merges shards.
    pub merger: Arc<Merger>,
    /// Who holds locks.
    pub lock_survey: Arc<LockSurvey>,
}

impl ClusterView {
    /// Who leads a shard: by this node's own replica or last request, else as the others say.
    fn leader(&self, shard: ShardId) -> Option<NodeId> {
        let told = || self.gossip.leader_of(shard).map(|led| led.node);
        self.client.leader(shard).or_else(told)
    }

    /// What is going on in a shard, in a few words; `ok` when nothing is.
    fn shard_state(
        &self,
        state: &ClusterState,
        info: &ShardInfo,
        alive: &BTreeSet<NodeId>,
    ) -> String {
        let mut parts = Vec::new();
        let lost = self.gossip.lost();
        for ((_, replica), (node, why)) in lost.iter().filter(|((shard, _), _)| *shard == info.id) {
            parts.push(format!("replica {} of node {} cannot run: {why}", replica.0, node.0));
        }
        if self.leader(info.id).is_none() {
            parts.push("no leader".to_string());
        }
        let down: Vec<String> = info
            .replicas
            .iter()
            .filter(|(_, node)| !alive.contains(node))
            .map(|(_, node)| node.0.to_string())
            .collect();
        if !down.is_empty() {
            let verb = if down.len() == 1 { "does" } else { "do" };
            let noun = if down.len() == 1 { "node" } else { "nodes" };
            parts.push(format!("{noun} {} {verb} not answer", down.join(", ")));
        }
        let note = self.coordinator.notes().get(&info.id).cloned();
        if let Some(job) = state.splits.get(&info.id) {
            let why = note.as_ref().map_or(String::new(), |note| format!(": {note}"));
            parts.push(format!(
                "is being split: shard {} gets its slots from {} on{why}",
                job.child.0, job.at
            ));
        }
        if let Some(doing) = state.merging(info.id) {
            let why = note.as_ref().map_or(String::new(), |note| format!(": {note}"));
            parts.push(format!("{doing}{why}"));
        }
        match state.jobs.get(&info.id) {
            Some(job) => {
                let (replica, node) = job.add;
                let old = job.remove.map_or(String::new(), |old| format!(" for {}", old.0));
                let back = if job.cancelled { ", being taken back" } else { "" };
                parts.push(format!(
                    "replica {} comes to node {}{old}: {}{back}",
                    replica.0,
                    node.0,
                    note.unwrap_or_else(|| job.step.name().to_string())
                ));
            }
            None if state.splits.contains_key(&info.id) => {}
            None if state.merging(info.id).is_some() => {}
            None => parts.extend(note),
        }
        if parts.is_empty() {
            parts.push("ok".to_string());
        }
        // Evidence on this node's disk, for whoever wants to know what happened.
        parts.extend(self.replicas.set_aside().get(&info.id).cloned());
        parts.join("; ")
    }

    fn node_state(&self, state: &ClusterState, node: NodeId, alive: &BTreeSet<NodeId>) -> String {
        let wanted = state.node_state(node);
        if wanted == NodeState::Left {
            return "left".to_string();
        }
        let mut parts = Vec::new();
        if !alive.contains(&node) {
            parts.push(format!("does not answer for {} s", self.gossip.silent_for(node).as_secs()));
        } else if wanted == NodeState::Active {
            parts.push("up".to_string());
        }
        if let Some(disk) = self.gossip.disk(node).filter(|_| alive.contains(&node)) {
            parts.push(format!("disk {disk}"));
        }
        if wanted != NodeState::Active {
            parts.push(wanted.name().to_string());
        }
        parts.join(", ")
    }
}

/// What a leader says of its shard's load, for SQL.
fn load_row(shard: ShardId, led: &Led, load: &ShardLoad) -> ShardLoadRow {
    ShardLoadRow {
        shard,
        leader: led.node,
        bytes: led.size.bytes,
        reads: load.reads,
        scans: load.scans,
        rows_scanned: load.rows_scanned,
        keys_read: load.keys_read,
        writes: load.writes,
        bytes_written: load.bytes_written,
        cpu_permille: load.cpu,
        samples: load.samples,
        hottest: load.hottest.map(|hot| HotSlotRow {
            slot: hot.slot,
            permille: hot.permille,
            table: hot.table,
            by_writes: hot.by_writes,
        }),
        table: load.table,
        finding: match load.verdict() {
            Verdict::Unknown => LoadFinding::Unknown,
            Verdict::OneSlot(_) => LoadFinding::OneSlot,
            Verdict::Scans(_) => LoadFinding::Scans,
            Verdict::Even(_) => LoadFinding::Even,
        },
    }
}

/// Splits and changes of members that are under way, in the order of their shards.
fn operations(state: &ClusterState) -> Vec<OperationRow> {
    let splits = state.splits.iter().map(|(shard, job)| OperationRow {
        shard: *shard,
        what: "split",
        from: None,
        to: None,
        new_shard: Some(job.child),
        reason: "it is to be two shards".to_string(),
        state: format!("shard {} gets its slots from {} on", job.child.0, job.at),
        started_unix_ms: job.started_unix_ms,
    });
    let jobs = state.jobs.iter().map(|(shard, job)| {
        let replicas = state.map.shard(*shard).map_or(&[][..], |info| info.replicas.as_slice());
        let gone = replicas.iter().find(|(replica, _)| Some(*replica) == job.remove);
        let back = if job.cancelled { ", being taken back" } else { "" };
        OperationRow {
            shard: *shard,
            what: if job.reason.repairs() { "replace" } else { "move" },
            from: gone.map(|(_, node)| *node),
            to: Some(job.add.1),
            new_shard: None,
            reason: job.reason.name().to_string(),
            state: format!("{}{back}", job.step.name()),
            started_unix_ms: job.started_unix_ms,
        }
    });
    let mut rows: Vec<OperationRow> = splits.chain(jobs).collect();
    rows.sort_by_key(|row| row.shard);
    rows
}

#[async_trait::async_trait]
impl Cluster for ClusterView {
    async fn announce_catalog(&self, version: u64) -> bool {
        let asked = self.peers.others().into_iter().map(|node| {
            let request = pb::call::Request::AnnounceCatalog(pb::AnnounceCatalog { version });
            self.peers.call_any_way(node, request, CATALOG_LEASE)
        });
        futures::future::join_all(asked).await.into_iter().all(|answer| {
            matches!(answer, Ok(pb::answer::Response::CatalogLoaded(loaded)) if loaded.version >= version)
        })
    }

    async fn announce_table_locks(&self, version: u64, wanted: &[TableWanted]) -> TableUsers {
        let tables: Vec<pb::TableWanted> = wanted
            .iter()
            .map(|wanted| pb::TableWanted {
                table: wanted.table.0,
                write: wanted.write,
                older_than: wanted.older_than.unwrap_or(0),
            })
            .collect();
        let asked = self.peers.others().into_iter().map(async |node| {
            let changed = pb::TableLocksChanged { version, tables: tables.clone() };
            let request = pb::call::Request::TableLocksChanged(changed);
            (node, self.peers.call_any_way(node, request, CATALOG_LEASE).await)
        });
        let mut users = TableUsers::default();
        for (node, answer) in futures::future::join_all(asked).await {
            match answer {
                Ok(pb::answer::Response::TablesUsed(told)) if told.version >= version => {
                    users.used |= told.used;
                }
                Ok(_) | Err(_) => {
                    users.silent.insert(node);
                }
            }
        }
        users
    }

    async fn kill(&self, id: u32, connection: bool) -> Option<bool> {
        // An id names its node by a remainder: more than one node can have it.
        let nodes = 1_u64 << (32 - CONNECTION_COUNTER_BITS);
        let home = u64::from(id >> CONNECTION_COUNTER_BITS);
        let homes = self.peers.others().into_iter().filter(|node| node.0 % nodes == home);
        let asked = homes.map(async |node| {
            let kill = pb::KillSession { connection_id: id, connection };
            let request = pb::call::Request::KillSession(kill);
            match self.peers.call_any_way(node, request, STATUS_WAIT_MAX).await {
                Ok(pb::answer::Response::SessionKilled(killed)) => Some(killed.found),
                Ok(_) | Err(_) => None,
            }
        });
        let answers = futures::future::join_all(asked).await;
        match answers.contains(&Some(true)) {
            true => Some(true),
            false => (!answers.contains(&None)).then_some(false),
        }
    }

    async fn lock_owner_lives(&self, owner: LockOwner) -> Option<bool> {
        self.lock_survey.lives(owner).await
    }

    fn row_locks(&self) -> Option<Arc<RowLocks>> {
        Some(self.local.row_locks().clone())
    }

    async fn activities(&self, part: ActivityPart) -> Vec<(NodeId, Option<NodeActivity>)> {
        let sessions_only = part == ActivityPart::Sessions;
        let asked = self.peers.others().into_iter().map(async |node| {
            let request = pb::call::Request::Activity(pb::ActivityRequest { sessions_only });
            match self.peers.call_any_way(node, request, ACTIVITY_WAIT_MAX).await {
                Ok(pb::answer::Response::Activity(told)) => {
                    (node, Some(activity_wire::activity_from_pb(told)))
                }
                // One that is starting or of an older version does not tell either.
                Ok(_) | Err(_) => (node, None),
            }
        });
        futures::future::join_all(asked).await
    }

    fn shards(&self) -> Vec<ShardRow> {
        let state = self.directory.state();
        let alive = self.gossip.alive();
        let shards = state.map.shards().iter();
        shards
            .map(|info| {
                let status = self.local.get(info.id).map(|local| local.group.status());
                let led = self.gossip.leader_of(info.id);
                let is_meta = info.id == ShardId::META;
                ShardRow {
                    shard: info.id,
                    epoch: info.epoch,
                    slots: if is_meta { SlotRange { start: 0, end: 0 } } else { info.slots },
                    leader: self.leader(info.id),
                    replicas: info.replicas.iter().map(|(_, node)| *node).collect(),
                    state: self.shard_state(&state, info, &alive),
                    applied_index: match (&status, led) {
                        (Some(status), _) => status.applied_index,
                        (None, led) => led.map_or(0, |led| led.applied),
                    },
                    term: match (&status, led) {
                        (Some(status), _) => status.term,
                        (None, led) => led.map_or(0, |led| led.term),
                    },
                }
            })
            .collect()
    }

    fn shard_loads(&self) -> Vec<ShardLoadRow> {
        let led = self.gossip.led();
        led.iter()
            .filter_map(|(shard, led)| Some(load_row(*shard, led, led.load.as_ref()?)))
            .collect()
    }

    fn why_shard(&self, shard: ShardId) -> Result<Vec<(&'static str, String)>, String> {
        let state = self.directory.state();
        let lines = self.coordinator.why(&state, shard)?;
        let mut lines: Vec<_> = lines.into_iter().map(|line| (line.topic, line.text)).collect();
        if let Some(info) = state.map.shard(shard) {
            if let Some((name, policy)) = state.placement.of(info.slots) {
                let unmet = policy::unmet(&state, &self.coordinator.health(&state));
                let why = unmet.get(&shard).map_or(String::new(), |why| format!("; {why}"));
                let said = policy.options_text();
                lines.push((
                    "policy",
                    format!("it is under placement policy '{name}': {said}{why}"),
                ));
            }
            lines.push(("state", self.shard_state(&state, info, &self.gossip.alive())));
        }
        Ok(lines)
    }

    fn operations(&self) -> Vec<OperationRow> {
        operations(&self.directory.state())
    }

    async fn alter_node(
        &self,
        node: NodeId,
        action: NodeAction,
        dry_run: bool,
    ) -> Result<Vec<NodePlanRow>, String> {
        let health = self.coordinator.health(&self.directory.state());
        node_control::alter(&self.meta, &self.gossip, &health, node, action, dry_run).await
    }

    async fn transfer_leader(&self, shard: ShardId, to: NodeId) -> Result<NodeId, String> {
        leader_move::transfer(&self.directory.state(), &self.gossip, &self.members, shard, to).await
    }

    async fn move_replica(&self, shard: ShardId, from: NodeId, to: NodeId) -> Result<(), String> {
        let state = self.directory.state();
        let health = self.coordinator.health(&state);
        let now = self.coordinator.clock.unix_ms();
        let wanted = (shard, from, to);
        rebalance_control::move_replica(&self.meta, &self.gossip, &state, &health, wanted, now)
            .await
    }

    async fn alter_rebalance(&self, action: RebalanceAction) -> Result<(), String> {
        rebalance_control::alter(&self.meta, &self.gossip, action).await
    }

    fn rebalance(&self) -> Option<RebalanceRow> {
        let state = self.directory.state();
        let (plan, policies) =
            (self.coordinator.rebalance(&state), self.coordinator.for_policies(&state));
        Some(rebalance_control::standing(&state, &plan, &policies))
    }

    fn rebalance_plan(&self) -> Vec<RebalancePlanRow> {
        let state = self.directory.state();
        let plan = self.coordinator.rebalance(&state);
        rebalance_control::plan_rows(&state, plan, self.coordinator.for_policies(&state))
    }

    async fn alter_placement(
        &self,
        change: PlacementChange,
    ) -> Result<PlacementAnswer, PlacementRefusal> {
        placement_control::alter(&self.meta, &self.gossip, &change).await
    }

    fn placement(&self) -> PlacementView {
        let state = self.directory.state();
        placement_control::view(&state, &self.coordinator.health(&state))
    }

    async fn split_shard(&self, shard: ShardId, at: Option<Slot>) -> Result<SplitRow, String> {
        let asked = self.splitter.split(shard, at).await?;
        let note = || self.coordinator.notes().get(&shard).cloned();
        let state = match asked.done {
            true => "done".to_string(),
            false => note().map_or("under way".to_string(), |note| format!("under way: {note}")),
        };
        Ok(SplitRow { shard, slot: asked.job.at, new_shard: asked.job.child, state })
    }

    async fn merge_shard(&self, shard: ShardId) -> Result<MergeRow, String> {
        let (merged, asked) = self.merger.merge(shard).await?;
        let note = || self.coordinator.notes().get(&shard).cloned();
        let state = match asked {
            Asked::Done => "done".to_string(),
            Asked::Undone => {
                return Err(format!(
                    "shard {} was not merged: a leader changed or did not answer in its last moment; ask again",
                    shard.0
                ));
            }
            Asked::UnderWay => {
                note().map_or("under way".to_string(), |note| format!("under way: {note}"))
            }
        };
        Ok(MergeRow { shard, merged, state })
    }

    async fn compare_shards(&self) -> Vec<ComparisonRow> {
        let comparer = Comparer {
            node: self.directory.node(),
            client: self.client.clone(),
            local: self.local.clone(),
            peers: self.peers.clone(),
            gossip: self.gossip.clone(),
        };
        comparer.compare_all().await
    }

    fn nodes(&self) -> Vec<NodeRow> {
        let state = self.directory.state();
        let alive = self.gossip.alive();
        let count = |holds: &dyn Fn(&ShardInfo) -> bool| {
            state.map.shards().iter().filter(|info| holds(info)).count() as u32
        };
        let nodes = state.nodes.iter();
        nodes
            .map(|(node, info)| NodeRow {
                node: *node,
                sql_address: match info.sql_address.as_str() {
                    "" => "-".to_string(),
                    address => address.to_string(),
                },
                peer_address: info.address.clone(),
                state: self.node_state(&state, *node, &alive),
                leaders: count(&|info| self.leader(info.id) == Some(*node)),
                replicas: count(&|info| info.is_on(*node)),
            })
            .collect()
    }
}
