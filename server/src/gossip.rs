//! What nodes tell each other every second: how they are, and which version of the cluster's state they have.
//!
//! ```text
//! this node ── "I am n4, at …, version 17" ──> every other node     (a lower version there: it asks for 17)
//!           <── its replicas, its version, what it cannot run ──      (a higher one: this node asks for it)
//! ```
//!
//! A node also learns here that it may not take part: it left, or its disk is not the one it had.

use crate::cluster_wire as cw;
use crate::directory::{Directory, FIRST_VERSION};
use crate::disks::Disks;
use crate::load_meter::{LoadMeter, Moment, load_from_pb, load_to_pb};
use crate::local_shards::LocalShards;
use crate::peers::Peers;
use crate::replicas::Replicas;
use crate::twin::{self, Twins};
use base::limits::{READER_HOLD_MAX, STATUS_PAUSE, STATUS_WAIT_MAX};
use base::{NodeId, ReplicaId, ShardId, SharedClock, Timestamp};
use parking_lot::Mutex;
use proto::node as pb;
use shard_router::load::ShardLoad;
use shard_router::split::ShardSize;
use shard_router::{ClusterState, NodeInfo, NodeState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use txn::ReadPoints;

/// What is known of another node.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Monotonic time of its last answer, or of this node's start.
    pub at: Duration,
    /// Whether the last question was answered.
    pub answers: bool,
    /// Replicas that cannot run there, and why.
    pub lost: BTreeMap<ShardId, (ReplicaId, String)>,
    /// Shards that it says to lead.
    pub leads: BTreeMap<ShardId, Led>,
    /// Oldest read point of its transactions.
    pub oldest_read: Option<Timestamp>,
}

/// What a leader said of its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Led {
    /// The leader's node.
    pub node: NodeId,
    /// Its term.
    pub term: u64,
    /// The last entry that it had applied.
    pub applied: u64,
    /// How large it is there.
    pub size: ShardSize,
    /// How busy it is there, once that is known.
    pub load: Option<ShardLoad>,
    /// Bytes of its rows, once it has walked over them.
    pub row_bytes: Option<u64>,
}

/// This node's part in the talk.
pub struct Gossip {
    /// The newest state, and who this node is.
    directory: Arc<Directory>,
    /// Ways to other nodes.
    peers: Arc<Peers>,
    /// Replicas that serve.
    local: Arc<LocalShards>,
    /// Replicas that cannot; set once there are any.
    replicas: OnceLock<Arc<Replicas>>,
    /// How the nodes' disks do.
    disks: Arc<Disks>,
    /// How busy the shards are that this node leads.
    meter: LoadMeter,
    /// Bytes of shards' rows, as they were last told.
    row_bytes: Mutex<BTreeMap<ShardId, u64>>,
    /// Time.
    clock: SharedClock,
    /// Others, as they answered.
    heard: Mutex<BTreeMap<NodeId, Heard>>,
    /// Others, as they introduced themselves when they asked; a node that moved is found by that.
    introduced: Mutex<BTreeMap<NodeId, NodeInfo>>,
    /// Drawn when this process started.
    process: u64,
    /// What this node's transactions read.
    read_points: Arc<ReadPoints>,
    /// Whether two processes use one node's number.
    twins: Twins,
    /// Wakes the talk: this node has something new to tell.
    news: Notify,
    /// Why this node may not take part.
    refused: watch::Sender<Option<String>>,
}

impl Gossip {
    /// Silent until it runs.
    pub fn new(
        directory: Arc<Directory>,
        peers: Arc<Peers>,
        local: Arc<LocalShards>,
        disks: Arc<Disks>,
        clock: SharedClock,
        read_points: Arc<ReadPoints>,
        process: u64,
    ) -> Arc<Gossip> {
        Arc::new(Gossip {
            directory,
            peers,
            local,
            replicas: OnceLock::new(),
            disks,
            meter: LoadMeter::new(clock.clone()),
            row_bytes: Mutex::default(),
            clock,
            heard: Mutex::default(),
            introduced: Mutex::default(),
            process,
            read_points,
            twins: Twins::default(),
            news: Notify::new(),
            refused: watch::channel(None).0,
        })
    }

    /// Says who knows of replicas that cannot run. Only the first call counts.
    pub fn set_replicas(&self, replicas: Arc<Replicas>) {
        let _ = self.replicas.set(replicas);
    }

    /// Resolves with the reason when this node may not take part any more.
    pub fn refused(&self) -> watch::Receiver<Option<String>> {
        self.refused.subscribe()
    }

    /// Nodes that answered last time, this one included.
    pub fn alive(&self) -> BTreeSet<NodeId> {
        let heard = self.heard.lock();
        let others = heard.iter().filter(|(_, heard)| heard.answers).map(|(node, _)| *node);
        others.chain([self.directory.node()]).collect()
    }

    /// How a node's disk does, unless it is well.
    pub fn disk(&self, node: NodeId) -> Option<String> {
        self.disks.text(node)
    }

    /// Whether a node's disk is full, as it said last.
    pub fn is_full(&self, node: NodeId) -> bool {
        self.disks.is_full(node)
    }

    /// Of the nodes that answer those that had better lead: whose disks are well, or all when none is.
    pub fn well(&self) -> BTreeSet<NodeId> {
        self.disks.well(&self.alive())
    }

    /// How long a node has been silent. A node that never answered is silent since this node's start.
    pub fn silent_for(&self, node: NodeId) -> Duration {
        if node == self.directory.node() {
            return Duration::ZERO;
        }
        let now = self.clock.monotonic();
        let mut heard = self.heard.lock();
        let known = heard.entry(node).or_insert_with(|| Heard {
            at: now,
            answers: false,
            lost: BTreeMap::new(),
            leads: BTreeMap::new(),
            oldest_read: None,
        });
        if known.answers { Duration::ZERO } else { now.saturating_sub(known.at) }
    }

    /// Nodes as they want to be known, this one included.
    pub fn details(&self) -> BTreeMap<NodeId, NodeInfo> {
        let mut details = self.introduced.lock().clone();
        details.insert(self.directory.node(), self.directory.myself().clone());
        details
    }

    /// Replicas that cannot run, on every node that answers.
    pub fn lost(&self) -> BTreeMap<(ShardId, ReplicaId), (NodeId, String)> {
        let mut all = BTreeMap::new();
        for (node, heard) in self.heard.lock().iter().filter(|(_, heard)| heard.answers) {
            for (shard, (replica, why)) in &heard.lost {
                all.insert((*shard, *replica), (*node, why.clone()));
            }
        }
        let me = self.directory.node();
        for (shard, lost) in self.replicas.get().map(|replicas| replicas.lost()).unwrap_or_default()
        {
            all.insert((shard, lost.replica), (me, lost.why));
        }
        all
    }

    /// Who says to lead a shard, as of the last answers: for shards without a replica here.
    pub fn leader_of(&self, shard: ShardId) -> Option<Led> {
        let heard = self.heard.lock();
        let told = heard.values().filter(|heard| heard.answers);
        told.filter_map(|heard| heard.leads.get(&shard)).max_by_key(|led| led.term).copied()
    }

    /// How large shards are, as their leaders say that answer, this node included.
    pub fn sizes(&self) -> BTreeMap<ShardId, ShardSize> {
        self.led().into_iter().map(|(shard, led)| (shard, led.size)).collect()
    }

    /// Bytes of shards' rows. While a new leader has not walked over them yet, what the last one has said.
    pub fn row_bytes(&self) -> BTreeMap<ShardId, u64> {
        let (state, led) = (self.directory.state(), self.led());
        let mut known = self.row_bytes.lock();
        known.retain(|shard, _| state.map.shard(*shard).is_some());
        known.extend(led.into_iter().filter_map(|(shard, led)| Some((shard, led.row_bytes?))));
        known.clone()
    }

    /// Takes a walk over all rows of a shard in, which this node leads.
    pub fn walked(&self, shard: ShardId, began: Moment, bytes: u64) {
        self.meter.walked(shard, began, bytes);
    }

    /// How busy shards are, as far as their leaders know that answer, this node included.
    pub fn loads(&self) -> BTreeMap<ShardId, ShardLoad> {
        let led = self.led().into_iter();
        led.filter_map(|(shard, led)| Some((shard, led.load?))).collect()
    }

    /// What the leaders of shards say, of those that answer, this node included; of several the newest.
    pub fn led(&self) -> BTreeMap<ShardId, Led> {
        let mut newest = leads(self.directory.node(), &self.replica_statuses());
        for heard in self.heard.lock().values().filter(|heard| heard.answers) {
            for (shard, led) in &heard.leads {
                let known = newest.entry(*shard).or_insert(*led);
                if known.term < led.term {
                    *known = *led;
                }
            }
        }
        newest
    }

    /// The oldest read point of a transaction on any node that answers, this one included.
    pub fn oldest_read(&self) -> Option<Timestamp> {
        let heard = self.heard.lock();
        let others = heard.values().filter(|heard| heard.answers);
        others.filter_map(|heard| heard.oldest_read).chain(self.oldest_read_here()).min()
    }

    /// The oldest read point of this node's transactions, of those that are still waited for. A clock that runs ahead
    /// leaves out too many: their readers are refused, not misled.
    fn oldest_read_here(&self) -> Option<Timestamp> {
        let hold_ms = u64::try_from(READER_HOLD_MAX.as_millis()).unwrap_or(u64::MAX);
        let since = self.clock.unix_ms().saturating_sub(hold_ms);
        self.read_points.oldest(Timestamp::from_unix_ms(since))
    }

    /// Tells everybody now instead of in a moment.
    pub fn tell(&self) {
        self.news.notify_one();
    }

    /// Talks for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.round().await;
            let pause = tokio::time::sleep(STATUS_PAUSE);
            tokio::select! {
                () = self.news.notified() => {}
                () = pause => {}
            }
        }
    }

    /// Asks everybody once.
    async fn round(&self) {
        self.meter.look(&self.local);
        let request = || {
            pb::call::Request::Status(pb::StatusRequest {
                sender: Some(self.myself()),
                cluster_version: self.directory.state().version,
                process: self.process,
            })
        };
        let asked = self.peers.others().into_iter().map(|node| async move {
            (node, self.peers.call(node, request(), STATUS_WAIT_MAX).await)
        });
        let began = self.clock.monotonic();
        let mut newest: Option<(u64, NodeId)> = None;
        for (node, answer) in futures::future::join_all(asked).await {
            // At the address of a node that lost its disk another one may answer.
            let status = match answer {
                Ok(pb::answer::Response::Status(status)) if status.node == node.0 => Some(status),
                _ => None,
            };
            let Some(status) = status else {
                self.silent_for(node);
                if let Some(heard) = self.heard.lock().get_mut(&node) {
                    heard.answers = false;
                }
                continue;
            };
            if !status.refused.is_empty() {
                self.refused.send_replace(Some(status.refused.clone()));
            }
            newest = newest.max(Some((status.cluster_version, node)));
            self.twins.answered(node, status.process, began);
            self.remember(node, status);
        }
        if let Some((version, node)) = newest {
            self.catch_up(version, node).await;
        }
    }

    fn myself(&self) -> pb::NodeRecord {
        cw::node_to_pb(self.directory.node(), self.directory.myself())
    }

    fn remember(&self, node: NodeId, status: pb::Status) {
        self.disks.heard(node, &status.disk);
        let lost = status
            .lost
            .into_iter()
            .map(|lost| (ShardId(lost.shard), (ReplicaId(lost.replica), lost.why)));
        let heard = Heard {
            at: self.clock.monotonic(),
            answers: true,
            lost: lost.collect(),
            leads: leads(node, &status.replicas),
            oldest_read: (status.oldest_read != 0).then_some(Timestamp(status.oldest_read)),
        };
        self.heard.lock().insert(node, heard);
    }

    /// Takes over a newer state that another node has.
    async fn catch_up(&self, version: u64, node: NodeId) {
        if version <= self.directory.state().version.max(FIRST_VERSION) {
            return;
        }
        let request = pb::call::Request::Cluster(pb::ClusterRequest {});
        let answer = self.peers.call(node, request, STATUS_WAIT_MAX).await;
        let Ok(pb::answer::Response::Cluster(message)) = answer else { return };
        match cw::state_from_pb(message) {
            Ok(state) => self.adopt(state),
            Err(error) => tracing::error!(%node, %error, "a node's cluster state is unreadable"),
        }
    }

    /// Takes over a state and, when it was news, tells the others.
    pub fn adopt(&self, state: ClusterState) {
        match self.directory.adopt(state) {
            Ok(true) => self.tell(),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the cluster's state cannot be kept"),
        }
        if self.directory.state().node_state(self.directory.node()) == NodeState::Left {
            self.refused.send_replace(Some(left(self.directory.node())));
        }
    }

    /// Answers another node's question, and remembers who asked.
    pub fn answer(self: &Arc<Self>, request: &pb::StatusRequest) -> pb::Status {
        let state = self.directory.state();
        let sender = request.sender.clone().and_then(|sender| cw::node_from_pb(sender).ok());
        let mut answer = pb::Status {
            node: self.directory.node().0,
            replicas: self.replica_statuses(),
            cluster_version: state.version,
            sender: Some(self.myself()),
            lost: self.lost_here(),
            your_incarnation: 0,
            refused: String::new(),
            disk: self.disks.text(self.directory.node()).unwrap_or_default(),
            process: self.process,
            oldest_read: self.oldest_read_here().map_or(0, |oldest| oldest.0),
        };
        if let Some((node, info)) = sender {
            answer.your_incarnation = state.nodes.get(&node).map_or(0, |known| known.incarnation);
            let twin = self.twins.speaks(node, request.process, self.clock.monotonic());
            let address = || state.nodes.get(&node).map_or("", |known| known.address.as_str());
            answer.refused = refusal(&state, node, &info, request.cluster_version)
                .or_else(|| twin.then(|| twin::sentence(node, address())))
                .unwrap_or_default();
            // A node that moved is believed when nobody answers any more where it was.
            let answers = self.heard.lock().get(&node).is_some_and(|heard| heard.answers);
            let elsewhere = answers && self.twins.other_answered(node, request.process);
            if answer.refused.is_empty() && !elsewhere {
                self.introduced.lock().insert(node, info);
            }
            if answer.refused.is_empty() && request.cluster_version > state.version {
                let (gossip, version) = (self.clone(), request.cluster_version);
                tokio::spawn(async move { gossip.catch_up(version, node).await });
            }
        }
        answer
    }

    fn replica_statuses(&self) -> Vec<pb::ReplicaStatus> {
        let all = self.local.all().into_iter();
        all.map(|local| {
            let status = local.group.status();
            let leads = status.role == "leader";
            pb::ReplicaStatus {
                bytes: if leads { local.group.engine().stored_bytes() } else { 0 },
                // What cannot be read now may have some: then the shard is not split again.
                has_foreign: leads && local.shard.has_foreign().unwrap_or(true),
                load: match leads {
                    true => self.meter.load(status.shard, status.term).as_ref().map(load_to_pb),
                    false => None,
                },
                row_bytes: match leads {
                    true => self.meter.row_bytes(status.shard, Moment::of(&local)),
                    false => None,
                },
                shard: status.shard.0,
                replica: status.replica.0,
                leader_node: status.leader.map_or(0, |node| node.0),
                term: status.term,
                last_log_index: status.last_log_index,
                applied_index: status.applied_index,
                role: status.role,
            }
        })
        .collect()
    }

    fn lost_here(&self) -> Vec<pb::LostReplica> {
        let lost = self.replicas.get().map(|replicas| replicas.lost()).unwrap_or_default();
        let lost = lost.into_iter();
        lost.map(|(shard, lost)| pb::LostReplica {
            shard: shard.0,
            replica: lost.replica.0,
            why: lost.why,
        })
        .collect()
    }
}

/// What a node says of the shards that it leads.
fn leads(node: NodeId, replicas: &[pb::ReplicaStatus]) -> BTreeMap<ShardId, Led> {
    let led = replicas.iter().filter(|replica| replica.role == "leader");
    led.map(|replica| {
        let size = ShardSize { bytes: replica.bytes, has_foreign: replica.has_foreign };
        let (term, applied) = (replica.term, replica.applied_index);
        let load = replica.load.as_ref().map(load_from_pb);
        let row_bytes = replica.row_bytes;
        (ShardId(replica.shard), Led { node, term, applied, size, load, row_bytes })
    })
    .collect()
}

/// Why a node that has this version of the state may not take part, if it may not.
pub fn refusal(
    state: &ClusterState,
    node: NodeId,
    info: &NodeInfo,
    version: u64,
) -> Option<String> {
    if state.version <= FIRST_VERSION {
        return None;
    }
    let Some(known) = state.nodes.get(&node) else {
        if version > state.version {
            // It was let in by somebody who knows more than this node.
            return None;
        }
        return Some(format!(
            "the cluster has no node {}; start it with an empty data folder and --join, and it gets a number",
            node.0
        ));
    };
    if known.state == NodeState::Left {
        return Some(left(node));
    }
    let other = known.incarnation != 0 && known.incarnation != info.incarnation;
    other.then(|| wiped(node))
}

/// The sentence for a node that left.
pub fn left(node: NodeId) -> String {
    format!(
        "node {} has left the cluster, and its number is not used again; if it was decommissioned its data folder can be \
         removed; if the cluster was recovered without it (precinct recover-quorum) keep the folder: it may hold \
         acknowledged rows that nobody else has; to add this machine again start with an empty data folder and --join",
        node.0
    )
}

/// The sentence for a node whose folder is not the one the cluster knows.
pub fn wiped(node: NodeId) -> String {
    format!(
        "the cluster knows node {} by another data folder than this one: its disk was lost or replaced, or another \
         machine has that number; a node without its old data must not vote under its old number; start it with an \
         empty data folder and --join, and decommission node {}",
        node.0, node.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use shard_router::RebalanceSettings;

    #[test]
    fn who_may_not_take_part_is_told_what_to_do() {
        let ids: Vec<NodeId> = (1..=3).map(NodeId).collect();
        let map = Arc::new(shard_router::initial(&ids, 2, 3).unwrap().map);
        let known = NodeInfo { incarnation: 7, ..NodeInfo::default() };
        let gone = NodeInfo { state: NodeState::Left, ..known.clone() };
        let nodes = BTreeMap::from([(NodeId(1), known.clone()), (NodeId(2), gone)]);
        let mut state = ClusterState {
            id: 4,
            version: 2,
            replication: 3,
            nodes,
            map,
            jobs: BTreeMap::new(),
            rebalance: RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: shard_router::Placement::default(),
        };
        assert_eq!(refusal(&state, NodeId(1), &known, 2), None);
        let other = NodeInfo { incarnation: 8, ..known.clone() };
        assert!(refusal(&state, NodeId(1), &other, 2).unwrap().contains("must not vote"));
        assert!(refusal(&state, NodeId(2), &known, 9).unwrap().contains("has left"));
        assert!(refusal(&state, NodeId(9), &known, 2).unwrap().contains("has no node 9"));
        assert_eq!(refusal(&state, NodeId(9), &known, 3), None, "somebody newer let it in");
        state.version = FIRST_VERSION;
        assert_eq!(refusal(&state, NodeId(9), &known, 0), None, "nobody knows anything yet");
    }
}
