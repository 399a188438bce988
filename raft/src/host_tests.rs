//! Whole nodes in one process: simulated disks, connections in memory, paused time.
//!
//! Time stands still while anything can run and jumps when nothing can, so a test that waits for an
//! election takes milliseconds and gives the same run every time.

use super::*;
use crate::log::disk::SimLogDisk;
use crate::replica_group::ProposeError;
use base::{Clock, Rng};
use bytes::Bytes;
use engine::{SimDisk, SimFactory, WriteBatch};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Server};

const SHARD: ShardId = ShardId(7);
const CLUSTER: u64 = 0xc1;

/// The runtime's clock, which stands while the test runs.
struct TestClock(tokio::time::Instant);

#[allow(clippy::disallowed_methods)] // A clock for tests.
impl TestClock {
    fn shared() -> SharedClock {
        Arc::new(TestClock(tokio::time::Instant::now()))
    }
}

impl Clock for TestClock {
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_micros(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

/// `key=value` sets a key; `corrupt` is a command that cannot be executed.
struct Settings;

impl StateMachine for Settings {
    fn apply(&self, _: u64, command: &[u8], batch: &mut WriteBatch) -> engine::Result<()> {
        let text = String::from_utf8_lossy(command);
        match text.split_once('=') {
            Some((key, value)) => batch.put(format!("k{key}"), value.to_string()),
            None => return Err(engine::Error::corrupt("000012.sst", "a block fails its check")),
        }
        Ok(())
    }
}

/// Children of which nodes were told: node, shard and replica.
type Told = Arc<Mutex<Vec<(NodeId, ShardId, ReplicaId)>>>;

/// Notes of which children a node is told.
struct Note {
    node: NodeId,
    told: Told,
}

impl ChildSink for Note {
    fn child_made(&self, shard: ShardId, replica: ReplicaId) {
        self.told.lock().push((self.node, shard, replica));
    }
}

/// Connections in memory that can be cut.
#[derive(Default)]
struct Wires {
    listeners: BTreeMap<NodeId, mpsc::Sender<DuplexStream>>,
    cut: BTreeSet<NodeId>,
    /// Pairs that do not reach each other, both ways.
    apart: BTreeSet<(NodeId, NodeId)>,
    /// A connection to such a node breaks after so many bytes.
    weak: BTreeMap<NodeId, u64>,
    open: Vec<(NodeId, NodeId, AbortHandle)>,
}

struct WireDialer {
    wires: Arc<Mutex<Wires>>,
    from: NodeId,
}

impl Dialer for WireDialer {
    fn dial(&self, node: NodeId) -> BoxFuture<'static, std::result::Result<Channel, String>> {
        let (wires, from) = (self.wires.clone(), self.from);
        Box::pin(async move {
            let (near, mut near_end) = tokio::io::duplex(1 << 16);
            let (mut far_end, far) = tokio::io::duplex(1 << 16);
            let (listener, weak) = {
                let wires = wires.lock();
                let apart = wires.apart.contains(&(from, node));
                if apart || wires.cut.contains(&node) || wires.cut.contains(&from) {
                    return Err("cut".to_string());
                }
                let listener = wires.listeners.get(&node).cloned().ok_or("nobody listens")?;
                (listener, wires.weak.get(&node).copied())
            };
            listener.send(far).await.map_err(|_| "nobody listens")?;
            let carry = tokio::spawn(async move {
                let Some(bytes) = weak else {
                    let _ = tokio::io::copy_bidirectional(&mut near_end, &mut far_end).await;
                    return;
                };
                let (from_near, mut to_near) = tokio::io::split(near_end);
                let (mut from_far, mut to_far) = tokio::io::split(far_end);
                let mut from_near = tokio::io::AsyncReadExt::take(from_near, bytes);
                tokio::select! {
                    _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
                    _ = tokio::io::copy(&mut from_far, &mut to_near) => {}
                }
            });
            wires.lock().open.push((from, node, carry.abort_handle()));
            let near = Mutex::new(Some(near));
            let connector = tower::service_fn(move |_: tonic::transport::Uri| {
                let near = near.lock().take().ok_or(std::io::ErrorKind::NotConnected);
                async move { Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(near?)) }
            });
            let endpoint = Endpoint::from_static("http://memory");
            endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())
        })
    }
}

/// One node: its disks outlive its host.
struct Node {
    id: NodeId,
    replica: ReplicaId,
    engines: Arc<SimDisk>,
    disk: SimLogDisk,
    host: Option<Arc<Host>>,
}

/// Nodes 1, 2, … with one replica each.
struct Cluster {
    nodes: Vec<Node>,
    wires: Arc<Mutex<Wires>>,
    clock: SharedClock,
    rng: Rng,
    /// For nodes that boot from now on.
    snapshots: SnapshotOptions,
    /// Children that were made.
    told: Told,
}

/// Small pieces, so that a small checkpoint has many.
fn small_pieces() -> SnapshotOptions {
    SnapshotOptions { chunk_bytes: 1 << 10, ..SnapshotOptions::default() }
}

impl Cluster {
    async fn start(count: u64) -> Cluster {
        crate::runtime::seed_thread(42);
        let node = |id| Node {
            id: NodeId(id),
            replica: ReplicaId(100 + id),
            engines: SimDisk::new(),
            disk: SimLogDisk::new(),
            host: None,
        };
        let mut cluster = Cluster {
            nodes: (1..=count).map(node).collect(),
            wires: Arc::default(),
            clock: TestClock::shared(),
            rng: Rng::seeded(9),
            snapshots: small_pieces(),
            told: Told::default(),
        };
        for position in 0..cluster.nodes.len() {
            cluster.boot(position).await.unwrap();
        }
        let members = cluster.nodes.iter().map(|node| (node.replica, node.id)).collect();
        cluster.host(0).bootstrap(SHARD, members).await.unwrap();
        cluster
    }

    fn host(&self, position: usize) -> &Arc<Host> {
        self.nodes[position].host.as_ref().unwrap()
    }

    fn group(&self, position: usize) -> Arc<dyn ReplicaGroup> {
        self.host(position).group(SHARD).unwrap()
    }

    async fn boot(&mut self, position: usize) -> Result<()> {
        let (wires, clock) = (self.wires.clone(), self.clock.clone());
        let snapshots = self.snapshots.clone();
        let node = &mut self.nodes[position];
        let config = HostConfig {
            cluster: ClusterId::new(CLUSTER),
            flush_mode: FlushMode::Task,
            log: LogOptions { segment_bytes: 1 << 16, ..LogOptions::default() },
            snapshots,
            child_sink: Arc::new(Note { node: node.id, told: self.told.clone() }),
            ..HostConfig::new(node.id, format!("/node{}", node.id.0), clock)
        };
        let factory = Arc::new(SimFactory::new(node.engines.clone()));
        let dialer = Arc::new(WireDialer { wires: wires.clone(), from: node.id });
        let host = Host::open(config, factory, Arc::new(node.disk.clone()), dialer)?;
        let (listener, incoming) = mpsc::channel(16);
        wires.lock().listeners.insert(node.id, listener);
        let router = Server::builder().add_service(host.service());
        tokio::spawn(
            router.serve_with_incoming(ReceiverStream::new(incoming).map(Ok::<_, std::io::Error>)),
        );
        node.host = Some(host.clone());
        host.start_replica(SHARD, node.replica, Arc::new(Settings)).await?;
        Ok(())
    }

    /// Cuts or mends all connections of a node.
    fn cut(&self, position: usize, cut: bool) {
        let id = self.nodes[position].id;
        let mut wires = self.wires.lock();
        match cut {
            true => wires.cut.insert(id),
            false => wires.cut.remove(&id),
        };
        wires.open.retain(|(from, to, carry)| {
            let concerned = *from == id || *to == id;
            if concerned {
                carry.abort();
            }
            !concerned
        });
    }

    /// Cuts these nodes off from the others, but not from each other; all are together with none.
    fn partition(&self, minority: &[usize]) {
        let mut wires = self.wires.lock();
        wires.apart.clear();
        let apart = |a: usize, b: usize| minority.contains(&a) != minority.contains(&b);
        for (from, one) in self.nodes.iter().enumerate() {
            let others = self.nodes.iter().enumerate().filter(|(to, _)| apart(from, *to));
            wires.apart.extend(others.map(|(_, other)| (one.id, other.id)));
        }
        let Wires { apart, open, .. } = &mut *wires;
        open.retain(|(from, to, carry)| {
            let concerned = apart.contains(&(*from, *to));
            if concerned {
                carry.abort();
            }
            !concerned
        });
    }

    /// Power cut of one node.
    async fn crash(&mut self, position: usize) {
        self.cut(position, true);
        let node = &mut self.nodes[position];
        if let Some(host) = node.host.take() {
            host.peers.close();
            for replica in host.registry.all() {
                replica.context.health.end("crashed");
                replica.shutdown().await;
            }
            node.disk.crash(&mut self.rng);
            node.engines.crash(&mut self.rng);
        }
        self.wires.lock().listeners.remove(&self.nodes[position].id);
        self.cut(position, false);
    }

    /// The node that serves, when one does.
    async fn leader(&self) -> usize {
        for _ in 0..2000 {
            for (position, node) in self.nodes.iter().enumerate() {
                let group = node.host.as_ref().and_then(|host| host.group(SHARD));
                if group.is_some_and(|group| group.serving_term().is_some()) {
                    return position;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody serves");
    }

    /// Sets a key through whoever leads.
    async fn set(&self, key: &str, value: &str) {
        for _ in 0..20 {
            let group = self.group(self.leader().await);
            let Some(term) = group.serving_term() else { continue };
            if group.propose(term, Bytes::from(format!("{key}={value}"))).await.is_ok() {
                return;
            }
        }
        panic!("{key} cannot be set");
    }

    fn get(&self, position: usize, key: &str) -> Option<Bytes> {
        self.group(position).engine().get(format!("k{key}").as_bytes()).unwrap()
    }

    /// What the purge driver does on every node that runs, without waiting for megabytes.
    async fn purge_all(&self) {
        for node in &self.nodes {
            let Some(host) = &node.host else { continue };
            let replica = host.registry.get(SHARD).unwrap();
            let applied = replica.with_metrics(|metrics| metrics.last_applied.unwrap().index);
            let purged = |replica: &Replica| {
                replica.with_metrics(|metrics| metrics.purged.map(|purged| purged.index))
            };
            while purged(&replica) < Some(applied) {
                replica.raft.trigger().snapshot().await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
                replica.raft.trigger().purge_log(applied).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Waits until a node has a key.
    async fn wait_for(&self, position: usize, key: &str, value: &str) {
        for _ in 0..3000 {
            if self.get(position, key).as_deref() == Some(value.as_bytes()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("node {position} never got {key}={value}: {:?}", self.group(position).status());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_proposed_reaches_every_replica() {
    let cluster = Cluster::start(3).await;
    for number in 0..20 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    for position in 0..3 {
        cluster.wait_for(position, "a19", "x").await;
        let status = cluster.group(position).status();
        assert_eq!(status.voters.len(), 3);
        assert_eq!(status.leader, Some(cluster.nodes[cluster.leader().await].id));
    }
    assert!(cluster.host(0).metrics().log.entries >= 20);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_follower_comes_back_and_catches_up() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("before", "1").await;
    let follower = (cluster.leader().await + 1) % 3;
    cluster.crash(follower).await;
    cluster.set("meanwhile", "2").await;
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "before", "1").await;
    cluster.wait_for(follower, "meanwhile", "2").await;
}

#[tokio::test(start_paused = true)]
async fn another_leads_when_the_leader_is_gone_and_nothing_is_lost() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("before", "1").await;
    let old = cluster.leader().await;
    cluster.crash(old).await;
    let new = cluster.leader().await;
    assert_ne!(new, old);
    assert_eq!(cluster.get(new, "before").as_deref(), Some(&b"1"[..]));
    cluster.set("after", "2").await;
    cluster.boot(old).await.unwrap();
    cluster.wait_for(old, "after", "2").await;
}

#[tokio::test(start_paused = true)]
async fn timers_stand_still_while_the_leader_speaks_and_run_when_it_is_gone() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("before", "1").await;
    let leader = cluster.leader().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let ticks = |cluster: &Cluster, position: usize| {
        cluster.host(position).registry.get(SHARD).is_some_and(|replica| replica.ticks())
    };
    for position in 0..3 {
        assert!(!ticks(&cluster, position), "node {position}, 30 s after the last write");
    }
    assert_eq!(cluster.leader().await, leader, "heartbeats have kept the lease");
    assert!(cluster.group(leader).serving_term().is_some());
    cluster.crash(leader).await;
    tokio::time::sleep(crate::pacer::LEADER_HEARD_MAX * 2).await;
    for position in (0..3).filter(|position| *position != leader) {
        assert!(ticks(&cluster, position), "node {position}, without its leader");
    }
    assert_ne!(cluster.leader().await, leader);
    cluster.set("after", "2").await;
}

#[tokio::test(start_paused = true)]
async fn every_group_hears_its_leader_however_many_a_node_leads() {
    // More than the 128 messages that tokio lets a task send at one go.
    const MORE: u64 = 140;
    let cluster = Cluster::start(3).await;
    let shards: Vec<ShardId> = (100..100 + MORE).map(ShardId).collect();
    for shard in &shards {
        let members = (0..3).map(|position: u64| {
            (ReplicaId(shard.0 * 10 + position), cluster.host(position as usize).node())
        });
        let members: Vec<_> = members.collect();
        for (position, (replica, _)) in members.iter().enumerate() {
            let started =
                cluster.host(position).start_replica(*shard, *replica, Arc::new(Settings));
            started.await.unwrap();
        }
        cluster.host(0).bootstrap(*shard, members).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let host = cluster.host(0);
    let terms = || -> Vec<Option<u64>> {
        shards.iter().map(|shard| host.group(*shard).unwrap().serving_term()).collect()
    };
    let before = terms();
    assert!(before.iter().all(Option::is_some), "one node leads them all: {before:?}");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(terms(), before);
}

#[tokio::test(start_paused = true)]
async fn all_nodes_lose_power_at_once_and_keep_what_was_acknowledged() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..50 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    for position in 0..3 {
        cluster.crash(position).await;
    }
    for position in 0..3 {
        cluster.boot(position).await.unwrap();
    }
    let leader = cluster.leader().await;
    for number in 0..50 {
        assert_eq!(cluster.get(leader, &format!("a{number}")).as_deref(), Some(&b"x"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_quorum_stops_serving_and_answers_in_time() {
    let cluster = Cluster::start(3).await;
    cluster.set("before", "1").await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    let term = group.serving_term().unwrap();
    for position in 0..3 {
        cluster.cut(position, true);
    }
    let begin = cluster.clock.monotonic();
    let outcome = group.propose(term, Bytes::from_static(b"lost=1")).await;
    assert_eq!(outcome, Err(ProposeError::Unknown));
    assert!(cluster.clock.monotonic() - begin < Duration::from_secs(5));
    assert_eq!(group.serving_term(), None);
    assert_eq!(group.confirm_term().await, None);
    let again = group.propose(term, Bytes::from_static(b"lost=2")).await;
    assert_eq!(again, Err(ProposeError::NotLeader));
    for position in 0..3 {
        cluster.cut(position, false);
    }
    cluster.set("after", "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_proposal_of_an_older_term_is_refused() {
    let cluster = Cluster::start(3).await;
    let group = cluster.group(cluster.leader().await);
    let term = group.serving_term().unwrap();
    let outcome = group.propose(term - 1, Bytes::from_static(b"old=1")).await;
    assert_eq!(outcome, Err(ProposeError::NotLeader));
}

#[tokio::test(start_paused = true)]
async fn a_single_replica_serves_at_once_also_after_a_crash() {
    let mut cluster = Cluster::start(1).await;
    let begin = cluster.clock.monotonic();
    cluster.set("a", "1").await;
    cluster.crash(0).await;
    cluster.boot(0).await.unwrap();
    cluster.leader().await;
    assert_eq!(cluster.get(0, "a").as_deref(), Some(&b"1"[..]));
    assert!(cluster.clock.monotonic() - begin < Duration::from_millis(500));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(cluster.group(0).serving_term().is_some(), "it renews its lease by itself");
}

#[tokio::test(start_paused = true)]
async fn bootstrapping_twice_changes_nothing() {
    let cluster = Cluster::start(1).await;
    cluster.set("a", "1").await;
    let members = vec![(cluster.nodes[0].replica, cluster.nodes[0].id)];
    cluster.host(0).bootstrap(SHARD, members).await.unwrap();
    assert_eq!(cluster.get(0, "a").as_deref(), Some(&b"1"[..]));
    let unknown = cluster.host(0).bootstrap(ShardId(99), Vec::new()).await;
    assert!(matches!(unknown, Err(Error::Unknown(ShardId(99)))));
}

#[tokio::test(start_paused = true)]
async fn a_follower_behind_the_purge_point_gets_a_checkpoint() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("before", "1").await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    cluster.crash(follower).await;
    for number in 0..30 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    cluster.purge_all().await;
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "a29", "x").await;
    cluster.wait_for(follower, "before", "1").await;
    let replica = cluster.host(follower).registry.get(SHARD).unwrap();
    assert!(replica.with_metrics(|metrics| metrics.snapshot.is_some()));
    cluster.set("later", "2").await;
    cluster.wait_for(follower, "later", "2").await;
    // The installed state is a start like any other.
    cluster.crash(follower).await;
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "later", "2").await;
}

#[tokio::test(start_paused = true)]
async fn leadership_moves_on_request() {
    let cluster = Cluster::start(3).await;
    cluster.set("a", "1").await;
    let old = cluster.leader().await;
    let target = (old + 1) % 3;
    cluster.wait_for(target, "a", "1").await;
    cluster.group(old).transfer_leader(cluster.nodes[target].id).await.unwrap();
    assert_eq!(cluster.group(old).serving_term(), None, "it stops before anyone else starts");
    assert_eq!(cluster.leader().await, target);
    cluster.set("b", "2").await;
    let asked = cluster.group(old).transfer_leader(cluster.nodes[target].id).await;
    assert_eq!(asked, Err(ProposeError::NotLeader));
}

#[tokio::test(start_paused = true)]
async fn a_farewell_runs_while_nobody_serves() {
    let cluster = Cluster::start(3).await;
    cluster.set("a", "1").await;
    let old = cluster.leader().await;
    let target = (old + 1) % 3;
    cluster.wait_for(target, "a", "1").await;
    let (groups, id) = ([old, target].map(|node| cluster.group(node)), cluster.nodes[target].id);
    let (say, said) = tokio::sync::oneshot::channel();
    let farewell = async move {
        say.send(groups.map(|group| group.serving_term())).expect("it is listened to");
    };
    cluster.group(old).transfer_leader_after(id, Box::pin(farewell)).await.unwrap();
    assert_eq!(said.await, Ok([None, None]));
    assert_eq!(cluster.leader().await, target);
    let (say, said) = tokio::sync::oneshot::channel();
    let farewell = async move { say.send(()).expect("it is listened to") };
    let asked = cluster.group(old).transfer_leader_after(id, Box::pin(farewell)).await;
    assert_eq!(asked, Err(ProposeError::NotLeader));
    assert!(said.await.is_err(), "it is not run when the transfer is refused at once");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lost_its_log_does_not_start() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("a", "1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.crash(2).await;
    for name in cluster.nodes[2].disk.list().unwrap() {
        if name.ends_with(".seg") {
            cluster.nodes[2].disk.remove(&name).unwrap();
        }
    }
    let error = cluster.boot(2).await.unwrap_err();
    assert!(matches!(error, Error::Recovering { .. }), "{error}");
    assert!(error.to_string().contains(".seg"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_cannot_execute_a_command_stops_and_says_why() {
    let cluster = Cluster::start(1).await;
    cluster.leader().await;
    let group = cluster.group(0);
    let term = group.serving_term().unwrap();
    let outcome = group.propose(term, Bytes::from_static(b"corrupt")).await;
    assert!(matches!(outcome, Err(ProposeError::Unknown | ProposeError::Stopped(_))));
    assert_eq!(group.serving_term(), None);
    let role = group.status().role;
    assert!(role.starts_with("stopped: ") && role.contains("000012.sst"), "{role}");
    let again = group.propose(term, Bytes::from_static(b"a=1")).await;
    assert!(matches!(again, Err(ProposeError::Stopped(_))));
}

#[tokio::test(start_paused = true)]
async fn a_destroyed_replica_leaves_nothing() {
    let cluster = Cluster::start(1).await;
    cluster.set("a", "1").await;
    let host = cluster.host(0).clone();
    host.destroy_replica(SHARD, cluster.nodes[0].replica).await.unwrap();
    assert!(host.group(SHARD).is_none());
    assert_eq!(host.local_replicas().unwrap(), []);
    assert_eq!(host.log.replicas(), []);
}

#[tokio::test(start_paused = true)]
async fn a_clean_shutdown_leaves_nothing_to_replay() {
    let mut cluster = Cluster::start(1).await;
    cluster.set("a", "1").await;
    let host = cluster.nodes[0].host.take().unwrap();
    host.shutdown().await;
    cluster.nodes[0].engines.crash(&mut cluster.rng);
    cluster.boot(0).await.unwrap();
    assert_eq!(cluster.get(0, "a").as_deref(), Some(&b"1"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_replica_votes_only_when_its_gate_has_opened() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("a", "1").await;
    assert!(cluster.host(0).registry.get(SHARD).unwrap().gate.passes(false), "it was new");
    let follower = (cluster.leader().await + 1) % 3;
    cluster.wait_for(follower, "a", "1").await;
    cluster.crash(follower).await;
    cluster.boot(follower).await.unwrap();
    let replica = cluster.host(follower).registry.get(SHARD).unwrap();
    assert!(!replica.gate.passes(false));
    tokio::time::sleep(VOTE_GATE).await;
    assert!(replica.gate.passes(false));
}

#[tokio::test(start_paused = true)]
async fn a_log_record_that_rots_stops_the_replica_that_needs_it() {
    let mut cluster = Cluster::start(1).await;
    for number in 0..20 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    // The engine forgets what it has not flushed, so the entries are needed again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.crash(0).await;
    let disk = &cluster.nodes[0].disk;
    let name = disk.list().unwrap().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    for at in 600..640 {
        disk.corrupt(&name, at, 0xff);
    }
    let error = cluster.boot(0).await.unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
}

/// The same seed gives the same elections, to the millisecond.
#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let mut cluster = Cluster::start(3).await;
            let mut trace = Vec::new();
            for round in 0..4 {
                cluster.set(&format!("a{round}"), "x").await;
                let leader = cluster.leader().await;
                trace.push((leader, cluster.group(leader).status(), cluster.clock.monotonic()));
                cluster.crash(leader).await;
                cluster.set(&format!("b{round}"), "x").await;
                cluster.boot(leader).await.unwrap();
                cluster.wait_for(leader, &format!("b{round}"), "x").await;
            }
            trace
        })
    };
    assert_eq!(run(), run());
}

/// RocksDB, files, threads and sockets: the shape of a real node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_disks_and_sockets_carry_a_group_and_a_checkpoint() {
    use crate::log::disk::FileDisk;
    use crate::transport::dialer::TcpDialer;
    use engine::{RocksFactory, RocksOptions, RocksShared};

    let folder = tempfile::tempdir().unwrap();
    let dialer = Arc::new(TcpDialer::default());
    let clock = base::SystemClock::shared();
    let start = async |id: u64| {
        let dir = folder.path().join(id.to_string());
        let shared = RocksShared::new(RocksOptions::default()).unwrap();
        let disk = FileDisk::open(&dir.join("log")).unwrap();
        let config = HostConfig::new(NodeId(id), dir, clock.clone());
        let factory = Arc::new(RocksFactory::new(shared));
        let host = Host::open(config, factory, Arc::new(disk), dialer.clone()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        dialer.set_address(NodeId(id), listener.local_addr().unwrap().to_string());
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let router = Server::builder().add_service(host.service());
        tokio::spawn(async move {
            tokio::select! {
                served = router.serve_with_incoming(incoming) => served.unwrap(),
                _ = stopped => {}
            }
        });
        let group = host.start_replica(SHARD, ReplicaId(id), Arc::new(Settings)).await.unwrap();
        (host, group, stop)
    };
    let wait = async |what: &str, done: &dyn Fn() -> bool| {
        for _ in 0..3000 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    };
    let has = |group: &Arc<dyn ReplicaGroup>, key: &str| {
        matches!(group.engine().get(key.as_bytes()), Ok(Some(_)))
    };
    let (one, leader, _stop_one) = start(1).await;
    let (two, second, _stop_two) = start(2).await;
    let (three, third, stop_three) = start(3).await;
    let members = (1..=3).map(|id| (ReplicaId(id), NodeId(id))).collect();
    one.bootstrap(SHARD, members).await.unwrap();
    wait("a leader", &|| leader.serving_term().is_some()).await;
    let term = leader.serving_term().unwrap();
    for number in 0..100 {
        leader.propose(term, Bytes::from(format!("a{number}=x"))).await.unwrap();
    }
    wait("two followers", &|| has(&second, "ka99") && has(&third, "ka99")).await;
    three.shutdown().await;
    drop((three, third, stop_three));
    for number in 0..100 {
        leader.propose(term, Bytes::from(format!("b{number}=x"))).await.unwrap();
    }
    let replica = one.registry.get(SHARD).unwrap();
    replica.raft.trigger().snapshot().await.unwrap();
    while replica.with_metrics(|metrics| metrics.purged.is_none()) {
        let applied = replica.with_metrics(|metrics| metrics.last_applied.unwrap().index);
        replica.raft.trigger().purge_log(applied).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (three, third, _stop_three) = start(3).await;
    wait("the checkpoint", &|| has(&third, "kb99") && has(&third, "ka0")).await;
    assert!(three.registry.get(SHARD).unwrap().with_metrics(|metrics| metrics.snapshot.is_some()));
    // Before the folder goes: a log that cannot write stops the process.
    for host in [one, two, three] {
        host.shutdown().await;
    }
}

#[path = "host_transfer_tests.rs"]
mod transfers;

#[path = "host_stranger_tests.rs"]
mod strangers;

#[path = "host_follower_tests.rs"]
mod followers;

#[path = "host_compare_tests.rs"]
mod comparisons;

#[path = "host_split_tests.rs"]
mod splits;

#[path = "disk_tests.rs"]
mod disk;
#[path = "membership_tests.rs"]
mod membership;

#[path = "host_recovery_tests.rs"]
mod recovered;
