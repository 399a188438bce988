//! Comparing replicas: a value changed behind Raft's back is found, and its replica stops for good.

use super::*;
use crate::compare::{Comparison, Finding, Verdict};

/// Changes a value in a stopped node's engine, without Raft.
fn tamper(cluster: &Cluster, position: usize, key: &str, value: &str) {
    let node = &cluster.nodes[position];
    let factory = SimFactory::new(node.engines.clone());
    let name = format!("/node{}/replicas/{}-{}", node.id.0, SHARD.0, node.replica.0);
    let engine = factory.open(std::path::Path::new(&name)).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(format!("k{key}"), value.to_string());
    engine.write(batch).unwrap();
    engine.flush().unwrap();
}

impl Cluster {
    /// Stops a node in order.
    async fn halt(&mut self, position: usize) {
        self.cut(position, true);
        let host = self.nodes[position].host.take().unwrap();
        host.shutdown().await;
        self.wires.lock().listeners.remove(&self.nodes[position].id);
        self.cut(position, false);
    }

    async fn compare(&self) -> Comparison {
        for _ in 0..20 {
            if let Ok(comparison) = self.group(self.leader().await).compare().await {
                return comparison;
            }
        }
        panic!("it cannot be compared");
    }
}

/// A group with some content that every replica has.
async fn filled() -> Cluster {
    let cluster = Cluster::start(3).await;
    for number in 0..50 {
        cluster.set(&format!("a{number}"), &"x".repeat(100)).await;
    }
    for position in 0..3 {
        cluster.wait_for(position, "a49", &"x".repeat(100)).await;
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn sound_replicas_are_equal_also_while_writes_go_on() {
    let cluster = filled().await;
    let writes = async {
        for number in 0..30 {
            cluster.set(&format!("b{number}"), "y").await;
        }
    };
    let (comparison, ()) = tokio::join!(cluster.compare(), writes);
    assert_eq!(comparison.verdict, Verdict::Equal);
    assert_eq!(comparison.replicas.len(), 3);
    for member in &comparison.replicas {
        let Finding::Holds(digest) = &member.finding else { panic!("{member:?}") };
        assert!(digest.keys >= 50);
    }
    let again = cluster.compare().await;
    assert!(again.index > comparison.index);
    assert_eq!(again.verdict, Verdict::Equal);
}

#[tokio::test(start_paused = true)]
async fn a_follower_with_a_flipped_value_is_found_named_and_stopped_for_good() {
    let mut cluster = filled().await;
    let bad = (cluster.leader().await + 1) % 3;
    cluster.halt(bad).await;
    tamper(&cluster, bad, "a17", "flipped");
    cluster.boot(bad).await.unwrap();
    cluster.set("later", "1").await;
    cluster.wait_for(bad, "later", "1").await;

    let comparison = cluster.compare().await;
    let name = cluster.nodes[bad].replica;
    assert_eq!(comparison.verdict, Verdict::Different(vec![name]));
    let role = cluster.group(bad).status().role;
    assert!(role.starts_with("stopped: its content at entry"), "{role}");
    assert!(role.contains("differs from the majority's"), "{role}");
    assert!(cluster.host(bad).registry.find((SHARD, name)).is_none(), "it still takes messages");

    // The shard goes on, and the next comparison finds nobody but the silent one.
    cluster.set("after", "2").await;
    assert_eq!(cluster.compare().await.verdict, Verdict::Unknown(vec![name]));

    // A restart does not bring it back; the folder is there.
    cluster.halt(bad).await;
    let error = cluster.boot(bad).await.unwrap_err();
    assert!(matches!(error, Error::Recovering { .. }), "{error}");
    assert!(error.to_string().contains("differs from the majority's"), "{error}");
    let host = cluster.nodes[bad].host.as_ref().unwrap();
    assert_eq!(host.local_replicas().unwrap(), [(SHARD, name)]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_with_a_flipped_value_stops_too() {
    let mut cluster = filled().await;
    let bad = (cluster.leader().await + 1) % 3;
    cluster.halt(bad).await;
    tamper(&cluster, bad, "a17", "flipped");
    cluster.boot(bad).await.unwrap();
    cluster.set("later", "1").await;
    cluster.wait_for(bad, "later", "1").await;
    tokio::time::sleep(VOTE_GATE * 2).await;
    let leader = cluster.leader().await;
    cluster.group(leader).transfer_leader(cluster.nodes[bad].id).await.unwrap();
    assert_eq!(cluster.leader().await, bad);
    let comparison = cluster.group(bad).compare().await.unwrap();
    assert_eq!(comparison.verdict, Verdict::Different(vec![cluster.nodes[bad].replica]));
    assert_eq!(cluster.group(bad).serving_term(), None);
    assert_ne!(cluster.leader().await, bad);
    cluster.set("after", "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_replica_is_unknown_and_two_that_differ_are_left_alone() {
    let mut cluster = filled().await;
    let leader = cluster.leader().await;
    let (bad, silent) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.halt(bad).await;
    tamper(&cluster, bad, "a17", "flipped");
    cluster.boot(bad).await.unwrap();
    cluster.cut(silent, true);
    cluster.set("later", "1").await;
    cluster.wait_for(bad, "later", "1").await;
    let comparison = cluster.compare().await;
    assert_eq!(comparison.verdict, Verdict::Undecided);
    let of = |position: usize| {
        let name = cluster.nodes[position].replica;
        let found = comparison.replicas.iter().find(|member| member.replica == name);
        found.unwrap().finding.clone()
    };
    assert!(matches!(of(silent), Finding::Unknown(_)));
    assert_ne!(of(leader), of(bad));
    assert!(!cluster.group(bad).status().role.starts_with("stopped"));
    cluster.cut(silent, false);
    cluster.wait_for(silent, "later", "1").await;
    let comparison = cluster.compare().await;
    assert_eq!(comparison.verdict, Verdict::Different(vec![cluster.nodes[bad].replica]));
}

#[tokio::test(start_paused = true)]
async fn nobody_stops_on_a_claim_that_its_own_digest_does_not_support() {
    let cluster = filled().await;
    let comparison = cluster.compare().await;
    let Finding::Holds(digest) = comparison.replicas[0].finding else { panic!("{comparison:?}") };
    let replica = cluster.host(0).registry.get(SHARD).unwrap();
    let claim = |comparison| proto::raft::Diverged {
        comparison,
        hash_high: (digest.hash >> 64) as u64,
        hash_low: digest.hash as u64,
        keys: digest.keys,
    };
    assert!(replica.diverged(&claim(1)).unwrap_err().contains("does not know"));
    assert!(replica.diverged(&claim(comparison.id)).unwrap_err().contains("does not differ"));
    assert!(!replica.context.health.stopped());
}

#[tokio::test(start_paused = true)]
async fn a_command_of_a_state_machine_never_begins_with_our_byte() {
    let cluster = Cluster::start(1).await;
    let group = cluster.group(cluster.leader().await);
    let term = group.serving_term().unwrap();
    let refused = group.propose(term, Bytes::from_static(&[0xff, b'C'])).await;
    assert!(matches!(refused, Err(ProposeError::Stopped(_))));
    cluster.set("a", "1").await;
}
