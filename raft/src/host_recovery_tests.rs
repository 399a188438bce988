//! A group that lost its majority goes on from a survivor, under a new replica id.

use super::*;
use crate::recovery::{self, StoppedNode};

impl Cluster {
    /// A node's folders without its process.
    fn stopped(&self, position: usize) -> StoppedNode {
        let node = &self.nodes[position];
        let options = LogOptions { segment_bytes: 1 << 16, ..LogOptions::default() };
        let disk = Arc::new(node.disk.clone());
        let log = SharedLog::open(disk, options, FlushMode::Task, self.clock.clone()).unwrap();
        StoppedNode {
            node: node.id,
            data_dir: format!("/node{}", node.id.0).into(),
            factory: Arc::new(SimFactory::new(node.engines.clone())),
            log,
        }
    }

    /// Stops all nodes at once; returns a follower of which the others are then held to be lost.
    async fn lose_majority(&mut self) -> usize {
        let left = (self.leader().await + 1) % 3;
        for position in 0..3 {
            self.crash(position).await;
        }
        left
    }
}

const NEW: ReplicaId = ReplicaId(900);

#[tokio::test(start_paused = true)]
async fn a_survivor_goes_on_with_all_it_has() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..40 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    let follower = (cluster.leader().await + 1) % 3;
    cluster.wait_for(follower, "a39", "x").await;
    let before = cluster.group(follower).status();
    let left = cluster.lose_majority().await;
    assert_eq!(left, follower);
    let stopped = cluster.stopped(left);
    let old = cluster.nodes[left].replica;

    let survivors = recovery::inspect(&stopped).unwrap();
    let [survivor] = &survivors[..] else { panic!("{survivors:?}") };
    assert_eq!((survivor.shard, survivor.replica), (SHARD, old));
    assert_eq!(survivor.unusable, None);
    // Also those that only the log knows: nothing of its engine was flushed.
    let members: Vec<_> = cluster.nodes.iter().map(|node| (node.replica, node.id)).collect();
    assert_eq!(survivor.members, members);
    assert_eq!(survivor.last.unwrap().index, before.last_log_index);
    assert!(survivor.applied <= survivor.last);
    let rebuilt = recovery::rebuild(&stopped, (SHARD, old), NEW, &Settings).await.unwrap();
    assert_eq!(rebuilt.last, survivor.last.unwrap());
    let unflushed = survivor.last.unwrap().index - survivor.applied.map_or(0, |at| at.index);
    assert!(rebuilt.unconfirmed >= unflushed);
    assert!(rebuilt.evidence.unwrap().to_string_lossy().contains("set-aside"));
    stopped.log.close();
    drop(stopped);

    cluster.nodes[left].replica = NEW;
    cluster.boot(left).await.unwrap();
    assert_eq!(cluster.leader().await, left);
    for number in 0..40 {
        let value = cluster.get(left, &format!("a{number}"));
        assert_eq!(value.as_deref(), Some(&b"x"[..]), "a{number}");
    }
    let status = cluster.group(left).status();
    assert_eq!(status.voters, [(NEW, cluster.nodes[left].id)]);
    assert!(status.term > before.term);
    // The group grows again as any other.
    cluster.set("after", "1").await;
    let replica = cluster.host(left).registry.get(SHARD).unwrap();
    let other = (left + 1) % 3;
    let node = &mut cluster.nodes[other];
    let id = node.id;
    (node.replica, node.engines, node.disk) = (ReplicaId(901), SimDisk::new(), SimLogDisk::new());
    cluster.boot(other).await.unwrap();
    replica.raft.add_learner(901, Home { node: id }, true).await.unwrap();
    cluster.wait_for(other, "after", "1").await;
    cluster.wait_for(other, "a0", "x").await;
    // A clean restart changes nothing.
    cluster.crash(left).await;
    cluster.boot(left).await.unwrap();
    cluster.leader().await;
    assert_eq!(cluster.get(left, "after").as_deref(), Some(&b"1"[..]));
}

#[tokio::test(start_paused = true)]
async fn repeating_it_after_a_crash_anywhere_gives_the_same() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..10 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    let left = cluster.lose_majority().await;
    let old = cluster.nodes[left].replica;
    let stopped = cluster.stopped(left);
    // What an attempt leaves that ended after its checkpoint: a folder with an identity and half a state.
    let folder = crate::host::replica_folder(&stopped.data_dir, (SHARD, NEW));
    let identity = ReplicaIdentity::new(SHARD, NEW);
    stopped.factory.put_identity(&folder, &identity).unwrap();
    stopped.factory.open(&folder).unwrap();
    let first = recovery::rebuild(&stopped, (SHARD, old), NEW, &Settings).await.unwrap();
    assert!(first.last.index >= 10);
    // The survivor is gone now, so a second attempt says so instead of beginning from nothing.
    let again = recovery::rebuild(&stopped, (SHARD, old), NEW, &Settings).await;
    assert!(matches!(again, Err(Error::Unknown(SHARD))));
    let names: Vec<ReplicaId> =
        recovery::inspect(&stopped).unwrap().iter().map(|found| found.replica).collect();
    assert_eq!(names, [NEW]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_with_a_hole_is_no_survivor() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..10 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let left = cluster.lose_majority().await;
    for name in cluster.nodes[left].disk.list().unwrap() {
        if name.ends_with(".seg") {
            cluster.nodes[left].disk.remove(&name).unwrap();
        }
    }
    let (old, stopped) = (cluster.nodes[left].replica, cluster.stopped(left));
    let why = recovery::inspect(&stopped).unwrap().remove(0).unusable.unwrap();
    assert!(why.contains("lost what it had acknowledged"), "{why}");
    let refused = recovery::rebuild(&stopped, (SHARD, old), NEW, &Settings).await.unwrap_err();
    assert!(matches!(refused, Error::Recovering { .. }), "{refused}");
    let same = recovery::rebuild(&stopped, (SHARD, old), old, &Settings).await.unwrap_err();
    assert!(same.to_string().contains("needs a new id"), "{same}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_survivor_is_set_aside_loses_nothing() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..10 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    let left = cluster.lose_majority().await;
    let (old, stopped) = (cluster.nodes[left].replica, cluster.stopped(left));
    let wanted = recovery::inspect(&stopped).unwrap().remove(0);
    let first = recovery::rebuild(&stopped, (SHARD, old), NEW, &Settings).await.unwrap();
    assert_eq!(Some(first.last), wanted.last);
    // The survivor's log has been forgotten, its folder is still there.
    let folder = crate::host::replica_folder(&stopped.data_dir, (SHARD, old));
    let identity = ReplicaIdentity::new(SHARD, old);
    stopped.factory.put_identity(&folder, &identity).unwrap();
    let again = recovery::rebuild(&stopped, (SHARD, old), NEW, &Settings).await.unwrap();
    assert_eq!(again.last, first.last);
    let names: Vec<ReplicaId> =
        recovery::inspect(&stopped).unwrap().iter().map(|found| found.replica).collect();
    assert_eq!(names, [NEW]);
    stopped.log.close();
    drop(stopped);
    cluster.nodes[left].replica = NEW;
    cluster.boot(left).await.unwrap();
    cluster.leader().await;
    for number in 0..10 {
        let value = cluster.get(left, &format!("a{number}"));
        assert_eq!(value.as_deref(), Some(&b"x"[..]), "a{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_split_that_only_the_survivors_log_has_leaves_a_child_to_recover_from() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..10 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    let left = (cluster.leader().await + 1) % 3;
    cluster.nodes[left].engines.stumble_after(Some(engine::ChildStep::Copied));
    cluster.split().await.unwrap();
    cluster.set("after", "1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for position in 0..3 {
        cluster.crash(position).await;
    }
    cluster.nodes[left].engines.stumble_after(None);
    let (old, stopped) = (cluster.nodes[left].replica, cluster.stopped(left));
    recovery::rebuild(&stopped, (SHARD, old), NEW, &Settings).await.unwrap();
    let survivors = recovery::inspect(&stopped).unwrap();
    let names: Vec<_> = survivors.iter().map(|found| (found.shard, found.replica)).collect();
    let child = cluster.split_of(&[left]).replicas[0].1;
    assert_eq!(names, [(SHARD, NEW), (splits::CHILD, child)]);
    assert_eq!(survivors[1].unusable, None);
    let split = cluster.split_of(&[0, 1, 2]);
    let children: Vec<ReplicaId> = split.replicas.iter().map(|(_, child)| *child).collect();
    assert_eq!(survivors[1].voters, children);
    // The child has lost its majority as its parent had.
    let new_child = ReplicaId(901);
    let rebuilt = recovery::rebuild(&stopped, (splits::CHILD, child), new_child, &Settings).await;
    assert_eq!(rebuilt.unwrap().unconfirmed, 0);
    stopped.log.close();
    drop(stopped);

    cluster.nodes[left].replica = NEW;
    cluster.boot(left).await.unwrap();
    cluster.leader().await;
    assert_eq!(cluster.get(left, "bounds").as_deref(), Some(&b"own"[..]));
    assert_eq!(cluster.get(left, "after").as_deref(), Some(&b"1"[..]));
    let started = cluster.host(left).start_replica(splits::CHILD, new_child, Arc::new(Settings));
    let group = started.await.unwrap();
    let value = |key: &str| group.engine().get(key.as_bytes()).unwrap();
    assert_eq!(value("kbounds").as_deref(), Some(&b"other"[..]));
    assert_eq!(value("ka9").as_deref(), Some(&b"x"[..]));
    assert_eq!(value("kafter"), None);
}
