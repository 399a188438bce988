//! One shard becomes two, in whole nodes in one process: power cuts at every step, laggards, and what must not
//! come back.

use super::*;
use crate::command::OwnCommand;
use crate::compare::Verdict;
use crate::split::SplitCommand;
use engine::ChildStep;

pub(super) const CHILD: ShardId = ShardId(8);

/// The child's replica on the node of one of the parent's.
fn child_of(parent: ReplicaId) -> ReplicaId {
    ReplicaId(parent.0 + 100)
}

impl Cluster {
    /// A split that names the replicas of these nodes. It notes itself on both sides.
    pub(super) fn split_of(&self, positions: &[usize]) -> SplitCommand {
        let pair = |position: &usize| {
            let parent = self.nodes[*position].replica;
            (parent, child_of(parent))
        };
        SplitCommand {
            child: CHILD,
            replicas: positions.iter().map(pair).collect(),
            since: 5,
            own: Bytes::from_static(b"bounds=own"),
            other: Bytes::from_static(b"bounds=other"),
        }
    }

    /// Splits the shard through whoever leads.
    pub(super) async fn split(&self) -> std::result::Result<(), ProposeError> {
        let group = self.group(self.leader().await);
        let term = group.serving_term().unwrap();
        group.propose_split(term, self.split_of(&[0, 1, 2])).await
    }

    /// Whether a node has a folder of its replica of the child.
    fn has_child(&self, position: usize) -> bool {
        let child = child_of(self.nodes[position].replica);
        self.host(position).local_replicas().unwrap().contains(&(CHILD, child))
    }

    /// How often a node was told of its replica of the child.
    fn told_of_child(&self, position: usize) -> usize {
        let node = &self.nodes[position];
        let wanted = (node.id, CHILD, child_of(node.replica));
        self.told.lock().iter().filter(|told| **told == wanted).count()
    }

    async fn start_child(&self, position: usize) -> Arc<dyn ReplicaGroup> {
        let child = child_of(self.nodes[position].replica);
        let started = self.host(position).start_replica(CHILD, child, Arc::new(Settings));
        started.await.unwrap()
    }

    /// The child's replica that serves, when one does.
    async fn child_leader(&self) -> Arc<dyn ReplicaGroup> {
        for _ in 0..2000 {
            let hosts = self.nodes.iter().filter_map(|node| node.host.as_ref());
            let mut groups = hosts.filter_map(|host| host.group(CHILD));
            if let Some(leader) = groups.find(|group| group.serving_term().is_some()) {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody serves the child");
    }

    /// Sets a key of the child through whoever leads it.
    async fn set_in_child(&self, key: &str, value: &str) {
        for _ in 0..20 {
            let group = self.child_leader().await;
            let Some(term) = group.serving_term() else { continue };
            if group.propose(term, Bytes::from(format!("{key}={value}"))).await.is_ok() {
                return;
            }
        }
        panic!("{key} cannot be set in the child");
    }

    async fn wait_for_in_child(&self, position: usize, key: &str, value: &str) {
        for _ in 0..3000 {
            let group = self.host(position).group(CHILD).unwrap();
            if in_group(&group, key).as_deref() == Some(value.as_bytes()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("node {position} never got {key}={value} in the child");
    }

    /// A follower of the shard.
    async fn follower(&self) -> usize {
        (self.leader().await + 1) % 3
    }
}

fn in_group(group: &Arc<dyn ReplicaGroup>, key: &str) -> Option<Bytes> {
    group.engine().get(format!("k{key}").as_bytes()).unwrap()
}

/// A group of three with `a0` to `a29`.
async fn filled() -> Cluster {
    let cluster = Cluster::start(3).await;
    for number in 0..30 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    cluster
}

/// Whether a replica of the child began with what the parent had at the entry, and nothing else.
fn assert_as_of_the_entry(child: &Arc<dyn ReplicaGroup>) {
    for number in 0..30 {
        let value = in_group(child, &format!("a{number}"));
        assert_eq!(value.as_deref(), Some(&b"x"[..]), "a{number}");
    }
    assert_eq!(in_group(child, "after"), None, "written to the parent behind the entry");
    assert_eq!(in_group(child, "bounds").as_deref(), Some(&b"other"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_split_makes_two_groups_that_both_serve() {
    let cluster = filled().await;
    cluster.split().await.unwrap();
    cluster.set("after", "1").await;
    for position in 0..3 {
        cluster.wait_for(position, "after", "1").await;
        assert_eq!(cluster.get(position, "bounds").as_deref(), Some(&b"own"[..]));
        assert!(cluster.has_child(position));
        assert_eq!(cluster.told_of_child(position), 1);
        let identities = cluster.host(position).local_identities().unwrap();
        let since: Vec<_> = identities.iter().map(|found| (found.shard, found.since)).collect();
        assert_eq!(since, [(SHARD, 0), (CHILD, 5)]);
    }
    let mut children = Vec::new();
    for position in 0..3 {
        let child = cluster.start_child(position).await;
        assert_as_of_the_entry(&child);
        children.push(child);
    }
    let (begin, first) = (cluster.clock.monotonic(), cluster.leader().await);
    children[first].campaign().await.unwrap();
    let leader = cluster.child_leader().await;
    assert_eq!(leader.replica(), children[first].replica());
    let waited = cluster.clock.monotonic() - begin;
    assert!(waited < limits::ELECTION_TIMEOUT_MIN, "no gate and no timer: {waited:?}");

    cluster.set_in_child("b", "2").await;
    cluster.set("c", "3").await;
    for (position, child) in children.iter().enumerate() {
        cluster.wait_for_in_child(position, "b", "2").await;
        cluster.wait_for(position, "c", "3").await;
        assert_eq!(cluster.get(position, "b"), None);
        assert_eq!(in_group(child, "c"), None);
    }
    let voters: Vec<_> = cluster.nodes.iter().map(|n| (child_of(n.replica), n.id)).collect();
    assert_eq!(leader.status().voters, voters);
    assert_eq!(leader.compare().await.unwrap().verdict, Verdict::Equal);
    let parent = cluster.group(cluster.leader().await);
    assert_eq!(parent.compare().await.unwrap().verdict, Verdict::Equal);
    // It has its members already.
    cluster.host(0).bootstrap(CHILD, voters.clone()).await.unwrap();
    assert_eq!(leader.status().voters, voters);
}

#[tokio::test(start_paused = true)]
async fn a_split_that_comes_twice_leaves_the_child_alone() {
    let cluster = filled().await;
    cluster.split().await.unwrap();
    for position in 0..3 {
        cluster.wait_for(position, "bounds", "own").await;
        cluster.start_child(position).await;
    }
    cluster.set_in_child("b", "2").await;
    cluster.split().await.unwrap();
    cluster.set("after", "1").await;
    for position in 0..3 {
        cluster.wait_for(position, "after", "1").await;
        assert_eq!(cluster.told_of_child(position), 2, "it may be started, as before");
    }
    cluster.set_in_child("b", "3").await;
    assert_eq!(in_group(&cluster.child_leader().await, "after"), None);
}

#[tokio::test(start_paused = true)]
async fn all_nodes_lose_power_around_a_split() {
    for seed in 0..6 {
        let mut cluster = filled().await;
        cluster.rng = Rng::seeded(seed);
        cluster.split().await.unwrap();
        cluster.set("after", "1").await;
        for position in 0..3 {
            cluster.crash(position).await;
        }
        for position in 0..3 {
            cluster.boot(position).await.unwrap();
        }
        for position in 0..3 {
            cluster.wait_for(position, "after", "1").await;
            assert_eq!(cluster.get(position, "bounds").as_deref(), Some(&b"own"[..]));
            assert!(cluster.has_child(position), "seed {seed}, node {position}");
            assert_as_of_the_entry(&cluster.start_child(position).await);
        }
        cluster.set_in_child("b", "2").await;
        for position in 0..3 {
            cluster.wait_for_in_child(position, "b", "2").await;
        }
        // And once more, with a child that has voted.
        for position in 0..3 {
            cluster.crash(position).await;
        }
        for position in 0..3 {
            cluster.boot(position).await.unwrap();
            let child = cluster.start_child(position).await;
            assert!(matches!(child.campaign().await, Err(ProposeError::Refused(_))), "its gate");
        }
        for position in 0..3 {
            cluster.wait_for_in_child(position, "b", "2").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_loses_power_at_every_step_of_making_the_child() {
    for step in [ChildStep::Copied, ChildStep::Placed] {
        let mut cluster = filled().await;
        let follower = cluster.follower().await;
        cluster.nodes[follower].engines.stumble_after(Some(step));
        cluster.split().await.unwrap();
        cluster.set("after", "1").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(cluster.get(follower, "bounds"), None, "the child comes first");
        assert_eq!(cluster.has_child(follower), step == ChildStep::Placed);
        assert_eq!(cluster.told_of_child(follower), 0);
        cluster.crash(follower).await;
        cluster.nodes[follower].engines.stumble_after(None);
        cluster.boot(follower).await.unwrap();
        cluster.wait_for(follower, "after", "1").await;
        assert_eq!(cluster.get(follower, "bounds").as_deref(), Some(&b"own"[..]));
        assert!(cluster.has_child(follower));
        assert_eq!(cluster.told_of_child(follower), 1);
        assert_as_of_the_entry(&cluster.start_child(follower).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_runs_before_its_parent_has_written_the_split_goes_on() {
    for crash in [false, true] {
        let mut cluster = filled().await;
        let follower = cluster.follower().await;
        cluster.nodes[follower].engines.stumble_after(Some(ChildStep::Placed));
        cluster.split().await.unwrap();
        cluster.set("after", "1").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        for position in 0..3 {
            assert!(cluster.has_child(position));
            cluster.start_child(position).await;
        }
        cluster.set_in_child("b", "2").await;
        cluster.wait_for_in_child(follower, "b", "2").await;
        assert_eq!(cluster.get(follower, "bounds"), None);
        if crash {
            cluster.crash(follower).await;
            cluster.nodes[follower].engines.stumble_after(None);
            cluster.boot(follower).await.unwrap();
            cluster.start_child(follower).await;
        }
        cluster.nodes[follower].engines.stumble_after(None);
        cluster.wait_for(follower, "after", "1").await;
        assert_eq!(cluster.get(follower, "bounds").as_deref(), Some(&b"own"[..]));
        cluster.wait_for_in_child(follower, "b", "2").await;
        assert_as_of_the_entry(&cluster.host(follower).group(CHILD).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_delays_a_child_and_stops_nobody() {
    let cluster = filled().await;
    let follower = cluster.follower().await;
    cluster.nodes[follower].engines.stumble_after(Some(ChildStep::Copied));
    cluster.split().await.unwrap();
    cluster.set("after", "1").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.group(follower).status().role, "follower");
    assert!(!cluster.has_child(follower));
    cluster.nodes[follower].engines.stumble_after(None);
    cluster.wait_for(follower, "after", "1").await;
    assert!(cluster.has_child(follower));
    assert_as_of_the_entry(&cluster.start_child(follower).await);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_follower_makes_the_child_as_of_the_entry_and_catches_up() {
    let cluster = filled().await;
    let follower = cluster.follower().await;
    cluster.cut(follower, true);
    cluster.split().await.unwrap();
    cluster.set("after", "1").await;
    for position in (0..3).filter(|position| *position != follower) {
        cluster.wait_for(position, "after", "1").await;
        cluster.start_child(position).await;
    }
    cluster.set_in_child("b", "2").await;
    assert!(!cluster.has_child(follower));
    cluster.cut(follower, false);
    cluster.wait_for(follower, "after", "1").await;
    assert!(cluster.has_child(follower));
    assert_as_of_the_entry(&cluster.start_child(follower).await);
    cluster.wait_for_in_child(follower, "b", "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_gets_a_snapshot_from_behind_the_split_makes_no_child() {
    let mut cluster = filled().await;
    let follower = cluster.follower().await;
    cluster.crash(follower).await;
    cluster.split().await.unwrap();
    cluster.set("after", "1").await;
    for position in (0..3).filter(|position| *position != follower) {
        cluster.wait_for(position, "after", "1").await;
        cluster.start_child(position).await;
    }
    cluster.set_in_child("b", "2").await;
    cluster.purge_all().await;
    cluster.boot(follower).await.unwrap();
    cluster.wait_for(follower, "after", "1").await;
    assert_eq!(cluster.get(follower, "bounds").as_deref(), Some(&b"own"[..]));
    let parent = cluster.host(follower).registry.get(SHARD).unwrap();
    assert!(parent.with_metrics(|metrics| metrics.snapshot.is_some()));
    assert!(!cluster.has_child(follower));
    assert_eq!(cluster.told_of_child(follower), 0);
    // Started empty, it is brought up by the child's leader.
    cluster.start_child(follower).await;
    cluster.wait_for_in_child(follower, "b", "2").await;
    assert_as_of_the_entry(&cluster.host(follower).group(CHILD).unwrap());
    cluster.set_in_child("b", "3").await;
    cluster.wait_for_in_child(follower, "b", "3").await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_was_removed_does_not_come_back() {
    for crash in [false, true] {
        let mut cluster = filled().await;
        let follower = cluster.follower().await;
        let child = child_of(cluster.nodes[follower].replica);
        cluster.nodes[follower].engines.stumble_after(Some(ChildStep::Placed));
        cluster.split().await.unwrap();
        cluster.set("after", "1").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.start_child(follower).await;
        cluster.host(follower).destroy_replica(CHILD, child).await.unwrap();
        if crash {
            cluster.crash(follower).await;
            cluster.boot(follower).await.unwrap();
        }
        cluster.wait_for(follower, "after", "1").await;
        assert_eq!(cluster.get(follower, "bounds").as_deref(), Some(&b"own"[..]));
        assert!(!cluster.has_child(follower));
        assert_eq!(cluster.told_of_child(follower), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_learner_makes_a_child_only_when_it_is_named() {
    let cluster = filled().await;
    let leader = cluster.leader().await;
    let (other, learner) = ((leader + 1) % 3, (leader + 2) % 3);
    let group = cluster.group(leader);
    let voters = [leader, other].map(|position| cluster.nodes[position].replica);
    for attempt in 0.. {
        let seen = group.progress().unwrap().version;
        match group.change_voters(seen, BTreeSet::from(voters)).await {
            Ok(()) => break,
            Err(error) => assert!(attempt < 100, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let term = group.serving_term().unwrap();
    group.propose_split(term, cluster.split_of(&[leader, other])).await.unwrap();
    cluster.set("after", "1").await;
    cluster.wait_for(learner, "after", "1").await;
    assert_eq!(cluster.get(learner, "bounds").as_deref(), Some(&b"own"[..]));
    assert!(!cluster.has_child(learner));
    for position in [leader, other] {
        cluster.wait_for(position, "after", "1").await;
        cluster.start_child(position).await;
    }
    assert_eq!(cluster.child_leader().await.status().voters.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_split_that_does_not_fit_is_refused_and_changes_nothing() {
    let cluster = filled().await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    let term = group.serving_term().unwrap();
    let all = cluster.split_of(&[0, 1, 2]);
    let refused = async |split: SplitCommand, wanted: &str| {
        let outcome = group.propose_split(term, split).await;
        let Err(ProposeError::Refused(why)) = &outcome else { panic!("{outcome:?}") };
        assert!(why.contains(wanted), "{why}");
    };
    refused(cluster.split_of(&[0, 1]), "has a vote and is not named").await;
    refused(SplitCommand { child: SHARD, ..all.clone() }, "its own child").await;
    refused(cluster.split_of(&[0, 1, 1]), "twice").await;
    let own = Bytes::from(vec![b'='; limits::ENTRY_BYTES_MAX]);
    refused(SplitCommand { own, ..all.clone() }, "above the limit").await;
    let outcome = group.propose_split(term - 1, all).await;
    assert_eq!(outcome, Err(ProposeError::NotLeader));
    assert_eq!(
        cluster.group((leader + 1) % 3).propose_split(term, cluster.split_of(&[0, 1, 2])).await,
        Err(ProposeError::NotLeader)
    );

    // One that comes to its place in the log all the same is void there, everywhere.
    let replica = cluster.host(leader).registry.get(SHARD).unwrap();
    let command = OwnCommand::Split(cluster.split_of(&[0, 1])).encode();
    let index = replica.replicate(term, command).await.unwrap();
    let void = replica.context.void_split.lock().clone();
    assert_eq!(void.map(|(at, _)| at), Some(index));
    cluster.set("after", "1").await;
    for position in 0..3 {
        cluster.wait_for(position, "after", "1").await;
        assert_eq!(cluster.get(position, "bounds"), None);
        assert!(!cluster.has_child(position));
    }
    assert!(cluster.told.lock().is_empty());
}
