//! Members come and go in whole nodes in one process, while writes go on.

use super::*;
use crate::replica_group::{GroupProgress, MemberRole, MembershipError, MembershipVersion};

impl Cluster {
    /// Starts a node that is no member yet; its replica waits.
    async fn join(&mut self) -> usize {
        let id = self.nodes.len() as u64 + 1;
        self.nodes.push(Node {
            id: NodeId(id),
            replica: ReplicaId(100 + id),
            engines: SimDisk::new(),
            disk: SimLogDisk::new(),
            host: None,
        });
        self.boot(self.nodes.len() - 1).await.unwrap();
        self.nodes.len() - 1
    }

    /// What the leader says of the group.
    async fn progress(&self) -> (usize, GroupProgress) {
        for _ in 0..100 {
            let leader = self.leader().await;
            if let Some(progress) = self.group(leader).progress() {
                return (leader, progress);
            }
        }
        panic!("nobody leads");
    }

    /// Adds a node's replica and gives it a vote when it has caught up.
    async fn add(&self, position: usize) {
        let (id, node) = (self.nodes[position].replica, self.nodes[position].id);
        self.until(async |group, progress| group.add_learner(progress.version, id, node).await)
            .await;
        let (_, progress) = self.progress().await;
        let added = progress.members.iter().find(|member| member.replica == id).unwrap();
        assert_eq!(added.role, MemberRole::Learner);
        self.until(async |group, progress| {
            let voters = progress.voters().into_iter().chain([id]).collect();
            group.change_voters(progress.version, voters).await
        })
        .await;
    }

    /// Takes a replica's vote and then its membership.
    async fn remove(&self, id: ReplicaId) {
        self.until(async |group, progress| {
            let voters = progress.voters().into_iter().filter(|voter| *voter != id).collect();
            group.change_voters(progress.version, voters).await
        })
        .await;
        self.until(async |group, progress| group.remove_member(progress.version, id).await).await;
    }

    /// Repeats a call to the leader until it is done, as a coordinator would.
    async fn until(
        &self,
        call: impl AsyncFn(
            Arc<dyn ReplicaGroup>,
            GroupProgress,
        ) -> std::result::Result<(), MembershipError>,
    ) {
        let mut last = None;
        for _ in 0..500 {
            let (leader, progress) = self.progress().await;
            match call(self.group(leader), progress).await {
                Ok(()) => return,
                Err(MembershipError::Refused(what)) if what.contains("transfer leadership") => {
                    let (_, progress) = self.progress().await;
                    let me = self.nodes[leader].id;
                    let other = progress.members.iter().find(|member| {
                        member.node != me
                            && member.role == MemberRole::Voter
                            && progress.keeps_up(member)
                    });
                    if let Some(other) = other {
                        // A lagging target is refused; the loop comes back.
                        let _ = self.group(leader).transfer_leader(other.node).await;
                    }
                }
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never done: {last:?}");
    }

    /// The replicas with a vote.
    async fn voters(&self) -> Vec<u64> {
        let (_, progress) = self.progress().await;
        progress.voters().into_iter().map(|voter| voter.0).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn three_four_three_replicas_under_writes() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..30 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    let fourth = cluster.join().await;
    let change = async {
        cluster.add(fourth).await;
        assert_eq!(cluster.voters().await, [101, 102, 103, 104]);
        cluster.remove(cluster.nodes[0].replica).await;
        assert_eq!(cluster.voters().await, [102, 103, 104]);
    };
    let writes = async {
        for number in 0..200 {
            cluster.set(&format!("b{number}"), "x").await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(change, writes);
    cluster.host(0).destroy_replica(SHARD, cluster.nodes[0].replica).await.unwrap();
    for position in 1..4 {
        for number in 0..200 {
            cluster.wait_for(position, &format!("b{number}"), "x").await;
        }
        cluster.wait_for(position, "a29", "x").await;
        assert_eq!(cluster.group(position).status().voters.len(), 3);
    }
    assert_eq!(cluster.host(0).log.replicas(), []);
}

#[tokio::test(start_paused = true)]
async fn a_leader_is_removed_only_after_it_gave_leadership_away() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("a", "1").await;
    let fourth = cluster.join().await;
    cluster.add(fourth).await;
    let (old, progress) = cluster.progress().await;
    let id = cluster.nodes[old].replica;
    let without = progress.voters().into_iter().filter(|voter| *voter != id).collect();
    let refused = cluster.group(old).change_voters(progress.version, without).await.unwrap_err();
    assert!(refused.to_string().contains("transfer leadership first"), "{refused}");
    cluster.remove(id).await;
    assert_ne!(cluster.leader().await, old);
    assert_eq!(cluster.group(old).serving_term(), None);
    cluster.set("b", "2").await;
    cluster.wait_for(fourth, "b", "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_learner_that_dies_does_not_become_a_voter() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("a", "1").await;
    let fourth = cluster.join().await;
    let (id, node) = (cluster.nodes[fourth].replica, cluster.nodes[fourth].id);
    cluster
        .until(async |group, progress| group.add_learner(progress.version, id, node).await)
        .await;
    cluster.wait_for(fourth, "a", "1").await;
    cluster.crash(fourth).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (leader, progress) = cluster.progress().await;
    let voters: BTreeSet<ReplicaId> = progress.voters().into_iter().chain([id]).collect();
    let behind = cluster.group(leader).change_voters(progress.version, voters).await;
    assert!(matches!(behind, Err(MembershipError::Behind { replica, .. }) if replica == id));
    cluster.set("b", "2").await;
    // It is given up, and another replica takes its place.
    cluster.until(async |group, progress| group.remove_member(progress.version, id).await).await;
    let fifth = cluster.join().await;
    cluster.add(fifth).await;
    assert_eq!(cluster.voters().await, [101, 102, 103, 105]);
    cluster.wait_for(fifth, "b", "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_id_is_never_used_twice() {
    let mut cluster = Cluster::start(3).await;
    let fourth = cluster.join().await;
    let (leader, progress) = cluster.progress().await;
    let taken = cluster.nodes[(leader + 1) % 3].replica;
    let refused = cluster
        .group(leader)
        .add_learner(progress.version, taken, cluster.nodes[fourth].id)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("never used twice"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_change_based_on_an_old_membership_is_refused() {
    let mut cluster = Cluster::start(3).await;
    let fourth = cluster.join().await;
    let (_, before) = cluster.progress().await;
    cluster.add(fourth).await;
    let (leader, now) = cluster.progress().await;
    let group = cluster.group(leader);
    let late = group.remove_member(before.version, cluster.nodes[fourth].replica).await;
    assert_eq!(late, Err(MembershipError::Busy));
    let follower = cluster.group((leader + 1) % 4);
    let asked = follower.remove_member(now.version, cluster.nodes[fourth].replica).await;
    assert_eq!(asked, Err(MembershipError::NotLeader));
    let none = MembershipVersion::default();
    assert_eq!(group.remove_member(none, ReplicaId(999)).await, Err(MembershipError::Busy));
    assert_eq!(
        group.remove_member(now.version, ReplicaId(999)).await,
        Ok(()),
        "absent is no error"
    );
    let voter = group.remove_member(now.version, cluster.nodes[fourth].replica).await;
    assert!(voter.unwrap_err().to_string().contains("has a vote"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_voter_is_replaced_on_its_own_node_under_a_new_id() {
    let mut cluster = Cluster::start(3).await;
    cluster.set("a", "1").await;
    let dead = (cluster.leader().await + 1) % 3;
    let (old, new) = (cluster.nodes[dead].replica, ReplicaId(200));
    cluster.wait_for(dead, "a", "1").await;
    let host = cluster.host(dead).clone();
    let kept = host.set_aside_replica(SHARD, old).await.unwrap().unwrap();
    assert!(kept.ends_with("set-aside/7-10".to_string() + &(dead + 1).to_string()), "{kept:?}");
    assert_eq!(host.set_aside_replica(SHARD, old).await.unwrap(), Some(kept), "again");
    assert_eq!(host.local_replicas().unwrap(), []);
    cluster.set("b", "2").await;
    host.start_replica(SHARD, new, Arc::new(Settings)).await.unwrap();
    cluster.nodes[dead].replica = new;
    cluster.add(dead).await;
    cluster.remove(old).await;
    cluster.wait_for(dead, "b", "2").await;
    // The new replica is as good as the old one: it may lead.
    let target = cluster.nodes[dead].id;
    cluster
        .until(async |group, _| match group.transfer_leader(target).await {
            Ok(()) => Ok(()),
            Err(error) => Err(MembershipError::Stopped(error.to_string())),
        })
        .await;
    assert_eq!(cluster.leader().await, dead);
    cluster.set("c", "3").await;
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_gets_a_checkpoint_when_the_log_begins_too_late() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..30 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    for position in 0..3 {
        cluster.wait_for(position, "a29", "x").await;
        let replica = cluster.host(position).registry.get(SHARD).unwrap();
        let applied = replica.with_metrics(|metrics| metrics.last_applied.unwrap().index);
        replica.raft.trigger().snapshot().await.unwrap();
        while replica.with_metrics(|metrics| metrics.purged.is_none()) {
            replica.raft.trigger().purge_log(applied).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let fourth = cluster.join().await;
    cluster.add(fourth).await;
    cluster.wait_for(fourth, "a0", "x").await;
    cluster.wait_for(fourth, "a29", "x").await;
    let replica = cluster.host(fourth).registry.get(SHARD).unwrap();
    assert!(replica.with_metrics(|metrics| metrics.snapshot.is_some()));
    // It comes back after a crash like any other.
    cluster.crash(fourth).await;
    cluster.set("later", "2").await;
    cluster.boot(fourth).await.unwrap();
    cluster.wait_for(fourth, "later", "2").await;
}

/// A replica that comes for another one.
#[derive(Clone, Debug)]
struct Replacement {
    new: (ReplicaId, NodeId),
    old: ReplicaId,
    /// The voters afterwards.
    wanted: BTreeSet<ReplicaId>,
}

impl Replacement {
    /// Its steps: a learner comes, the voters change, the old one goes.
    const STEPS: usize = 3;

    async fn take(
        self,
        step: usize,
        group: Arc<dyn ReplicaGroup>,
        progress: GroupProgress,
    ) -> std::result::Result<(), MembershipError> {
        match step {
            0 => group.add_learner(progress.version, self.new.0, self.new.1).await,
            1 => group.change_voters(progress.version, self.wanted).await,
            _ => group.remove_member(progress.version, self.old).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_dies_in_every_step_of_a_replacement_and_the_next_one_ends_it() {
    for dies_in in 0..Replacement::STEPS {
        // How long the step has been under way by then, in turns of the tasks: no time passes meanwhile.
        for turns in [1, 10, 40, 160, 640] {
            let what = format!("step {dies_in}, {turns} turns");
            let mut cluster = Cluster::start(3).await;
            cluster.set("a", "1").await;
            let fourth = cluster.join().await;
            let gone = (cluster.leader().await + 1) % 3;
            let old = cluster.nodes[gone].replica;
            let replicas = cluster.nodes.iter().map(|node| node.replica);
            let wanted: BTreeSet<ReplicaId> = replicas.filter(|replica| *replica != old).collect();
            let new = (cluster.nodes[fourth].replica, cluster.nodes[fourth].id);
            let plan = Replacement { new, old, wanted };
            for step in 0..Replacement::STEPS {
                if step == dies_in {
                    let (leader, progress) = cluster.progress().await;
                    let call = plan.clone().take(step, cluster.group(leader), progress);
                    let call = tokio::spawn(call);
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                    cluster.crash(leader).await;
                    call.abort();
                    cluster.set("b", "2").await;
                    cluster.boot(leader).await.unwrap();
                }
                cluster
                    .until(async |group, progress| plan.clone().take(step, group, progress).await)
                    .await;
                if step == 0 {
                    cluster.wait_for(fourth, "a", "1").await;
                    // The leader knows of it by then.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            let (_, progress) = cluster.progress().await;
            let members = progress.members.iter().map(|member| member.replica);
            assert_eq!(members.collect::<BTreeSet<_>>(), plan.wanted, "{what}");
            assert_eq!(progress.voters(), plan.wanted, "{what}");
            cluster.set("c", "3").await;
            for position in (0..=fourth).filter(|position| *position != gone) {
                for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
                    cluster.wait_for(position, key, value).await;
                }
            }
        }
    }
}
