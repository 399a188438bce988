//! Raft snapshots between whole nodes, and by hand: broken transfers, bad links, writes meanwhile.

use super::*;
use crate::codec::encode_applied;
use crate::transport::refusal::Reason;
use crate::type_config::{Membership, StoredMembership, log_id};
use engine::{CheckpointFile, EngineFactory};
use proto::raft as wire;
use proto::raft::raft_client::RaftClient;
use proto::raft::snapshot_answer::Answer;
use proto::raft::snapshot_part::Part;
use std::collections::BTreeSet;
use std::path::Path;
use tonic::{Status, Streaming};

/// What a sender has: a checkpoint made by hand, as if node 9 led with replica 109.
struct Source {
    files: Vec<CheckpointFile>,
    factory: SimFactory,
    membership: StoredMembership,
}

const SENDER: u64 = 109;
const LAST: (u64, u64) = (4, 50);

impl Source {
    /// A checkpoint of about `bytes` bytes.
    fn new(bytes: usize) -> Source {
        let factory = SimFactory::new(SimDisk::new());
        let homes = [(SENDER, 9), (101, 1)].map(|(id, node)| (id, Home { node: NodeId(node) }));
        let members = Membership::new(vec![BTreeSet::from([SENDER])], BTreeMap::from(homes));
        let membership = StoredMembership::new(Some(log_id(4, 3)), members.unwrap());
        let engine = factory.open(Path::new("/source")).unwrap();
        let mut batch = WriteBatch::new();
        batch.put("kbig", vec![7; bytes]);
        batch.put(APPLIED_KEY, encode_applied(Some(&log_id(LAST.0, LAST.1)), &membership));
        engine.write(batch).unwrap();
        engine.checkpoint(Path::new("/checkpoint")).unwrap();
        let files = factory.checkpoint_files(Path::new("/checkpoint")).unwrap();
        Source { files, factory, membership }
    }

    fn head(&self) -> wire::SnapshotHead {
        wire::SnapshotHead {
            shard: SHARD.0,
            from: SENDER,
            to: 101,
            vote: Some(wire::Vote { term: LAST.0, voted_for: SENDER, committed: true }),
            last_log_id: Some(wire::LogId { term: LAST.0, index: LAST.1 }),
            membership: Some(crate::codec::stored_membership_to_wire(&self.membership)),
            files: self
                .files
                .iter()
                .map(|file| wire::SnapshotFile { name: file.name.clone(), bytes: file.bytes })
                .collect(),
            hello: Some(
                Identity { cluster: ClusterId::new(CLUSTER), node: NodeId(9) }.hello(NodeId(1)),
            ),
            checkpoint: 5,
        }
    }

    /// Everything after the head, from byte `offset` of the one file on.
    fn parts(&self, offset: u64) -> Vec<Part> {
        let file = &self.files[0];
        let dir = Path::new("/checkpoint");
        let all = self.factory.read_file(dir, &file.name, 0, file.bytes as usize).unwrap();
        let mut parts = Vec::new();
        let mut at = offset as usize;
        while at < all.len() {
            let data = all.slice(at..(at + 1024).min(all.len()));
            let (offset, crc) = (at as u64, crc32fast::hash(&data));
            at += data.len();
            parts.push(Part::Chunk(wire::SnapshotChunk { file: 0, offset, crc, data }));
        }
        parts.push(Part::FileEnd(wire::SnapshotFileEnd { file: 0, crc: crc32fast::hash(&all) }));
        parts
    }
}

/// A transfer by hand.
struct Transfer {
    parts: mpsc::Sender<wire::SnapshotPart>,
    answers: Streaming<wire::SnapshotAnswer>,
}

impl Transfer {
    async fn begin(cluster: &Cluster, head: wire::SnapshotHead) -> Transfer {
        let dialer = WireDialer { wires: cluster.wires.clone(), from: NodeId(9) };
        let mut client = RaftClient::new(dialer.dial(NodeId(1)).await.unwrap());
        let (parts, outgoing) = mpsc::channel(64);
        parts.try_send(wire::SnapshotPart { part: Some(Part::Head(head)) }).unwrap();
        let answers = client.snapshot(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
        Transfer { parts, answers }
    }

    async fn send(&self, part: Part) {
        // A transfer that was refused takes nothing more; the answer says so.
        let _ = self.parts.send(wire::SnapshotPart { part: Some(part) }).await;
    }

    async fn answer(&mut self) -> std::result::Result<Answer, Status> {
        let answer = self.answers.message().await?;
        Ok(answer.expect("the stream ended").answer.expect("an empty answer"))
    }

    async fn have(&mut self) -> wire::SnapshotHave {
        match self.answer().await.unwrap() {
            Answer::Have(have) => have,
            Answer::Done(done) => panic!("done at once: {done:?}"),
        }
    }

    /// What was sent arrives, then the connection breaks.
    async fn broken(self, cluster: &Cluster) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.cut(0, true);
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.cut(0, false);
    }

    /// Ends well.
    async fn finish(mut self) -> wire::Vote {
        drop(self.parts);
        match self.answers.message().await.unwrap().unwrap().answer.unwrap() {
            Answer::Done(done) => done.vote.unwrap(),
            Answer::Have(have) => panic!("still wants something: {have:?}"),
        }
    }
}

/// A node whose one replica waits to become a member of somebody's group.
async fn waiting_node() -> Cluster {
    crate::runtime::seed_thread(42);
    let node = Node {
        id: NodeId(1),
        replica: ReplicaId(101),
        engines: SimDisk::new(),
        disk: SimLogDisk::new(),
        host: None,
    };
    let mut cluster = Cluster {
        nodes: vec![node],
        wires: Arc::default(),
        clock: TestClock::shared(),
        rng: Rng::seeded(9),
        snapshots: small_pieces(),
        told: Told::default(),
    };
    cluster.boot(0).await.unwrap();
    cluster
}

#[tokio::test(start_paused = true)]
async fn a_transfer_goes_on_where_it_broke_at_every_message() {
    let source = Source::new(9000);
    let messages = source.parts(0).len();
    assert!(messages > 8);
    for broken_after in 0..messages {
        let cluster = waiting_node().await;
        let mut first = Transfer::begin(&cluster, source.head()).await;
        assert_eq!(first.have().await, wire::SnapshotHave { file: 0, offset: 0 });
        for part in source.parts(0).into_iter().take(broken_after) {
            first.send(part).await;
        }
        first.broken(&cluster).await;
        assert_eq!(cluster.get(0, "big"), None, "a part was installed");
        let mut second = Transfer::begin(&cluster, source.head()).await;
        let have = second.have().await;
        let came = (broken_after as u64 * 1024).min(source.files[0].bytes);
        assert_eq!(have, wire::SnapshotHave { file: 0, offset: came });
        for part in source.parts(have.offset) {
            second.send(part).await;
        }
        assert_eq!(second.finish().await.term, LAST.0);
        assert_eq!(cluster.get(0, "big").unwrap().len(), 9000);
        let metrics = cluster.host(0).metrics();
        assert_eq!(metrics.transfers.installed, 1);
        assert_eq!(metrics.transfers.received_bytes, source.files[0].bytes);
        assert_eq!(metrics.transfers.receiving, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_ends_after_its_last_byte_is_installed_without_sending_it_again() {
    let (source, cluster) = (Source::new(3000), waiting_node().await);
    let mut first = Transfer::begin(&cluster, source.head()).await;
    first.have().await;
    for part in source.parts(0) {
        first.send(part).await;
    }
    first.broken(&cluster).await;
    let mut second = Transfer::begin(&cluster, source.head()).await;
    let have = second.have().await;
    assert_eq!((have.file, have.offset), (1, 0));
    second.finish().await;
    assert_eq!(cluster.get(0, "big").unwrap().len(), 3000);
}

#[tokio::test(start_paused = true)]
async fn another_checkpoint_begins_anew() {
    let (source, cluster) = (Source::new(3000), waiting_node().await);
    let mut first = Transfer::begin(&cluster, source.head()).await;
    first.have().await;
    first.send(source.parts(0).remove(0)).await;
    first.broken(&cluster).await;
    let other = wire::SnapshotHead { checkpoint: 6, ..source.head() };
    let mut second = Transfer::begin(&cluster, other).await;
    assert_eq!(second.have().await, wire::SnapshotHave { file: 0, offset: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_never_comes_is_given_up() {
    let (source, cluster) = (Source::new(3000), waiting_node().await);
    let mut first = Transfer::begin(&cluster, source.head()).await;
    first.have().await;
    first.send(source.parts(0).remove(0)).await;
    first.broken(&cluster).await;
    tokio::time::sleep(limits::SNAPSHOT_PART_KEEP + limits::SNAPSHOT_SWEEP_INTERVAL * 3).await;
    let mut second = Transfer::begin(&cluster, source.head()).await;
    assert_eq!(second.have().await, wire::SnapshotHave { file: 0, offset: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_second_sender_ends_the_first_unless_its_term_is_older() {
    let (source, cluster) = (Source::new(3000), waiting_node().await);
    let mut first = Transfer::begin(&cluster, source.head()).await;
    first.have().await;
    first.send(source.parts(0).remove(0)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let vote = Some(wire::Vote { term: LAST.0 - 1, voted_for: SENDER, committed: true });
    let older = wire::SnapshotHead { vote, ..source.head() };
    let mut older = Transfer::begin(&cluster, older).await;
    let refused = older.answer().await.unwrap_err();
    assert!(refused.message().contains("a newer leader sends"), "{refused}");
    let mut second = Transfer::begin(&cluster, source.head()).await;
    assert_eq!(second.have().await, wire::SnapshotHave { file: 0, offset: 1024 });
    let ended = first.answer().await.unwrap_err();
    assert!(ended.message().contains("another Raft snapshot was begun"), "{ended}");
    // Who says nothing more is given up.
    let silent = second.answer().await.unwrap_err();
    assert!(silent.message().contains("stopped coming"), "{silent}");
    assert_eq!(cluster.host(0).metrics().transfers.receiving, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_refused_with_a_sentence_and_the_rest_goes_on() {
    let (source, cluster) = (Source::new(3000), waiting_node().await);
    let head = source.head();
    let file = |name: &str| vec![wire::SnapshotFile { name: name.into(), bytes: 1 }];
    let heads = [
        (wire::SnapshotHead { files: file("../../NODE"), ..head.clone() }, "is not the name of"),
        (wire::SnapshotHead { vote: None, ..head.clone() }, "without a vote"),
        (wire::SnapshotHead { from: 103, ..head.clone() }, "that does not lead"),
        (wire::SnapshotHead { to: 999, ..head.clone() }, "unknown replica"),
        (wire::SnapshotHead { hello: None, ..head.clone() }, "does not begin with who speaks"),
    ];
    for (head, words) in heads {
        let mut transfer = Transfer::begin(&cluster, head).await;
        let refused = transfer.answer().await.unwrap_err();
        assert!(refused.message().contains(words), "{refused}");
    }
    let Part::Chunk(chunk) = source.parts(0).remove(0) else { panic!("the first part") };
    let pieces = [
        (Part::Chunk(wire::SnapshotChunk { crc: 1, ..chunk.clone() }), "a damaged piece"),
        (Part::Chunk(wire::SnapshotChunk { file: 9, ..chunk.clone() }), "was not announced"),
        (Part::Chunk(wire::SnapshotChunk { offset: 7, ..chunk.clone() }), "for byte 7 came when"),
        (Part::FileEnd(wire::SnapshotFileEnd { file: 0, crc: 0 }), "bytes of CONTENT came"),
        (Part::Head(source.head()), "a second head"),
    ];
    for (piece, words) in pieces {
        let mut transfer = Transfer::begin(&cluster, source.head()).await;
        transfer.have().await;
        transfer.send(piece).await;
        let refused = transfer.answer().await.unwrap_err();
        assert!(refused.message().contains(words), "{refused}");
    }
    assert!(cluster.host(0).refusals.of(Reason::Snapshot) >= 8);
    let mut transfer = Transfer::begin(&cluster, source.head()).await;
    let have = transfer.have().await;
    for part in source.parts(have.offset) {
        transfer.send(part).await;
    }
    transfer.finish().await;
    // A leader of an older term learns it before it sends anything.
    let vote = Some(wire::Vote { term: LAST.0 - 1, voted_for: SENDER, committed: true });
    let mut late = Transfer::begin(&cluster, wire::SnapshotHead { vote, ..source.head() }).await;
    let Answer::Done(done) = late.answer().await.unwrap() else { panic!("it was let in") };
    assert_eq!(done.vote.unwrap().term, LAST.0);
}

#[tokio::test(start_paused = true)]
async fn a_bad_link_costs_attempts_but_no_byte_twice() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    cluster.crash(follower).await;
    for number in 0..40 {
        cluster.set(&format!("a{number}"), &"x".repeat(10_000)).await;
    }
    cluster.purge_all().await;
    let id = cluster.nodes[follower].id;
    // Enough for a few dozen pieces of the 400; every connection breaks.
    cluster.wires.lock().weak.insert(id, 60_000);
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "a39", &"x".repeat(10_000)).await;
    cluster.wires.lock().weak.clear();
    let received = cluster.host(follower).metrics().transfers;
    assert_eq!(received.installed, 1);
    assert!(received.received_bytes > 400_000);
    let sender = cluster.leader().await;
    let sent = cluster.host(sender).metrics().transfers;
    assert!(sent.resumed_bytes > 0, "{sent:?}");
    // What was in flight when a connection broke may go twice, the rest not.
    assert!(sent.sent_bytes < received.received_bytes * 3 / 2, "{sent:?} {received:?}");
    cluster.set("later", "1").await;
    cluster.wait_for(follower, "later", "1").await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_engine_has_rotted_stops_and_a_sound_one_sends() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    cluster.crash(follower).await;
    for number in 0..40 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    // Before there is a checkpoint: its engine is read once, whether anybody listens or not.
    let folder = cluster.host(leader).registry.get(SHARD).unwrap().context.folder.clone();
    cluster.nodes[leader].engines.damage(&folder.join(engine::folder::ENGINE_FOLDER), b"ka33");
    cluster.purge_all().await;
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "a39", "x").await;
    cluster.wait_for(follower, "a33", "x").await;
    let role = cluster.group(leader).status().role;
    assert!(role.starts_with("stopped: ") && role.contains("ka33"), "{role}");
    assert_ne!(cluster.leader().await, leader);
    // What the damaged one may have sent meanwhile lacks its end.
    assert_eq!(cluster.host(follower).metrics().transfers.installed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_keeps_to_its_rate() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    cluster.crash(follower).await;
    let options =
        SnapshotOptions { bytes_per_second: 50_000, chunk_bytes: 1 << 10, ..Default::default() };
    for number in 0..20 {
        cluster.set(&format!("a{number}"), &"x".repeat(10_000)).await;
    }
    cluster.purge_all().await;
    cluster.snapshots = options;
    // The receiver's pace holds the sender back: its window of bytes in flight is small.
    let begin = cluster.clock.monotonic();
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "a19", &"x".repeat(10_000)).await;
    let took = cluster.clock.monotonic() - begin;
    assert!(took > Duration::from_millis(3900), "200 kB came in {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_and_a_wiped_one_catch_up_while_writes_go_on() {
    let mut cluster = Cluster::start(4).await;
    let leader = cluster.leader().await;
    let (lagging, wiped) = ((leader + 1) % 4, (leader + 2) % 4);
    cluster.crash(lagging).await;
    for number in 0..20 {
        cluster.set(&format!("a{number}"), &"x".repeat(3000)).await;
    }
    cluster.purge_all().await;
    // All that node had is gone; its replica comes back under another id.
    cluster.crash(wiped).await;
    let node = &mut cluster.nodes[wiped];
    let (old, id) = (node.replica.0, node.id);
    (node.replica, node.engines, node.disk) = (ReplicaId(200), SimDisk::new(), SimLogDisk::new());
    cluster.boot(lagging).await.unwrap();
    cluster.boot(wiped).await.unwrap();
    let replica = cluster.host(cluster.leader().await).registry.get(SHARD).unwrap();
    replica.raft.add_learner(200, Home { node: id }, false).await.unwrap();
    for number in 0..40 {
        cluster.set(&format!("b{number}"), "y").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.wait_for(lagging, "b39", "y").await;
    cluster.wait_for(wiped, "b39", "y").await;
    let voters: BTreeSet<u64> = cluster.nodes.iter().map(|node| node.replica.0).collect();
    assert!(!voters.contains(&old));
    replica.raft.change_membership(voters.clone(), false).await.unwrap();
    for number in 0..20 {
        cluster.set(&format!("c{number}"), "z").await;
    }
    for position in [lagging, wiped] {
        cluster.wait_for(position, "c19", "z").await;
        for number in 0..20 {
            assert_eq!(cluster.get(position, &format!("a{number}")).unwrap().len(), 3000);
        }
        assert_eq!(cluster.host(position).metrics().transfers.installed, 1);
        assert_eq!(cluster.group(position).status().voters.len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_goes_a_while_after_its_last_use() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    cluster.crash(follower).await;
    for number in 0..10 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    cluster.purge_all().await;
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "a9", "x").await;
    assert_eq!(cluster.host(leader).metrics().transfers.checkpoints, 1);
    tokio::time::sleep(limits::SNAPSHOT_KEEP + limits::SNAPSHOT_SWEEP_INTERVAL * 3).await;
    assert_eq!(cluster.host(leader).metrics().transfers.checkpoints, 0);
    let replica = cluster.host(leader).registry.get(SHARD).unwrap();
    assert!(replica.context.sending.reuse(cluster.clock.monotonic()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_large_memtable_is_flushed_before_the_cut() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = (leader + 1) % 3;
    cluster.crash(follower).await;
    cluster.set("first", "1").await;
    cluster.purge_all().await;
    let value = "x".repeat(100_000);
    for number in 0..50 {
        cluster.set(&format!("a{number}"), &value).await;
    }
    let engine = cluster.group(leader).engine();
    assert!(engine.unflushed_bytes() > limits::SNAPSHOT_CUT_UNFLUSHED_MAX);
    // One was cut for the follower before there was much to flush, and would do.
    drop(cluster.host(leader).registry.get(SHARD).unwrap().context.sending.clear());
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "a49", &value).await;
    cluster.wait_for(follower, "first", "1").await;
    assert!(engine.unflushed_bytes() < limits::SNAPSHOT_CUT_UNFLUSHED_MAX);
    assert_eq!(cluster.host(follower).metrics().transfers.installed, 1);
}
