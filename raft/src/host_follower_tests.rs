//! Reads on followers: they see all that was acknowledged, or they fail and say why.

use super::*;
use crate::follower_read::FollowerReadError;

const WAIT: Duration = Duration::from_millis(1500);

/// Reads a key on a node through a follower snapshot.
async fn read(
    cluster: &Cluster,
    position: usize,
    key: &str,
) -> std::result::Result<Option<Bytes>, FollowerReadError> {
    let snapshot = cluster.group(position).follower_snapshot(WAIT).await?;
    Ok(snapshot.view.get(format!("k{key}").as_bytes()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn every_replica_sees_what_was_acknowledged_before() {
    let cluster = Cluster::start(3).await;
    for number in 0..20 {
        let value = number.to_string();
        cluster.set("x", &value).await;
        for position in 0..3 {
            let seen = read(&cluster, position, "x").await.unwrap();
            assert_eq!(seen.as_deref(), Some(value.as_bytes()), "node {position}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_lags_answers_only_when_it_has_caught_up() {
    let cluster = Cluster::start(3).await;
    for number in 0..5 {
        let value = number.to_string();
        let follower = (cluster.leader().await + 1) % 3;
        cluster.cut(follower, true);
        cluster.set("x", &value).await;
        assert_ne!(cluster.get(follower, "x").as_deref(), Some(value.as_bytes()));
        cluster.cut(follower, false);
        let mut answered = false;
        for _ in 0..200 {
            if let Ok(seen) = read(&cluster, follower, "x").await {
                assert_eq!(seen.as_deref(), Some(value.as_bytes()));
                answered = true;
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(answered, "it never answered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_is_cut_off_says_so_in_time() {
    let cluster = Cluster::start(3).await;
    cluster.set("x", "old").await;
    let follower = (cluster.leader().await + 1) % 3;
    cluster.wait_for(follower, "x", "old").await;
    cluster.cut(follower, true);
    cluster.set("x", "new").await;
    for _ in 0..5 {
        let begin = cluster.clock.monotonic();
        let error = read(&cluster, follower, "x").await.unwrap_err();
        assert!(matches!(error, FollowerReadError::NoLeader(_)), "{error}");
        assert!(error.to_string().contains("how far a read must reach"), "{error}");
        assert!(cluster.clock.monotonic() - begin < WAIT + Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    cluster.cut(follower, false);
    for _ in 0..100 {
        match read(&cluster, follower, "x").await {
            Ok(seen) => return assert_eq!(seen.as_deref(), Some(&b"new"[..])),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("it never came back");
}

#[tokio::test(start_paused = true)]
async fn a_minority_with_its_old_leader_answers_nothing_stale() {
    let cluster = Cluster::start(5).await;
    cluster.set("x", "old").await;
    let old = cluster.leader().await;
    let companion = (old + 1) % 5;
    cluster.wait_for(companion, "x", "old").await;
    assert_eq!(read(&cluster, companion, "x").await.unwrap().as_deref(), Some(&b"old"[..]));
    cluster.partition(&[old, companion]);
    // Nobody of the minority may answer once the majority can have acknowledged something.
    let mut new = None;
    for _ in 0..400 {
        new = (0..5).find(|position| {
            ![old, companion].contains(position)
                && cluster.group(*position).serving_term().is_some()
        });
        if new.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let group = cluster.group(new.expect("the majority elects nobody"));
    let term = group.serving_term().unwrap();
    group.propose(term, Bytes::from_static(b"x=new")).await.unwrap();
    for position in [companion, old] {
        let error = read(&cluster, position, "x").await.unwrap_err();
        assert!(matches!(error, FollowerReadError::NoLeader(_)), "{error}");
        assert_eq!(cluster.get(position, "x").as_deref(), Some(&b"old"[..]), "it has heard");
    }
    cluster.partition(&[]);
    cluster.wait_for(companion, "x", "new").await;
    cluster.wait_for(old, "x", "new").await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hands_over_names_no_index() {
    let cluster = Cluster::start(3).await;
    cluster.set("x", "1").await;
    let old = cluster.leader().await;
    let target = (old + 1) % 3;
    cluster.wait_for(target, "x", "1").await;
    let replica = cluster.host(old).registry.get(SHARD).unwrap();
    replica.read_index().await.unwrap();
    cluster.group(old).transfer_leader(cluster.nodes[target].id).await.unwrap();
    replica.read_index().await.unwrap_err();
    assert_eq!(cluster.leader().await, target);
    cluster.set("x", "2").await;
    assert_eq!(read(&cluster, old, "x").await.unwrap().as_deref(), Some(&b"2"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_replica_answers_no_read() {
    let cluster = Cluster::start(3).await;
    cluster.set("x", "1").await;
    let follower = (cluster.leader().await + 1) % 3;
    let replica = cluster.host(follower).registry.get(SHARD).unwrap();
    replica.context.health.stop("for a test".to_string());
    let error = read(&cluster, follower, "x").await.unwrap_err();
    assert_eq!(error, FollowerReadError::Stopped("for a test".to_string()));
    let view = cluster.group(follower).applied_view();
    assert!(matches!(view, Err(FollowerReadError::Stopped(_))), "nor one of what is there");
}

#[tokio::test(start_paused = true)]
async fn a_view_says_how_far_it_reaches() {
    let cluster = Cluster::start(3).await;
    cluster.set("x", "old").await;
    let follower = (cluster.leader().await + 1) % 3;
    cluster.wait_for(follower, "x", "old").await;
    let before = cluster.group(follower).applied_view().unwrap();
    cluster.cut(follower, true);
    cluster.set("x", "new").await;
    let leader = cluster.leader().await;
    let now = cluster.group(leader).applied_view().unwrap().index;
    assert!(now > before.index);
    assert!(!cluster.group(follower).wait_applied(now, WAIT).await, "it is cut off");
    cluster.cut(follower, false);
    cluster.wait_for(follower, "x", "new").await;
    assert!(cluster.group(follower).wait_applied(now, WAIT).await);
    let after = cluster.group(follower).applied_view().unwrap();
    assert!(after.index >= now);
    assert_eq!(after.view.get(b"kx").unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(before.view.get(b"kx").unwrap().as_deref(), Some(&b"old"[..]), "it is frozen");
}
