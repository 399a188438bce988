//! Whole nodes whose disks are full, slow or rotten.

use super::*;

/// Enough entries that segments are sealed and the watermark has passed them.
async fn fill_segments(cluster: &Cluster) {
    for number in 0..80 {
        cluster.set(&format!("a{number}"), &"x".repeat(3000)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.set("last", "1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_scrub_reads_everything_and_finds_nothing_wrong() {
    let cluster = Cluster::start(1).await;
    fill_segments(&cluster).await;
    let host = cluster.host(0);
    assert!(host.log.sealed_segments().len() >= 2);
    let begin = cluster.clock.monotonic();
    scrub::pass(&host.registry, &host.log, &host.scrubs, 100_000).await;
    let found = host.metrics().scrub;
    assert_eq!((found.passes, found.damaged), (1, 0));
    // Log and engine hold the same values once each.
    assert!(found.bytes > 80 * 3000 * 3 / 2, "{found:?}");
    let least = Duration::from_secs(found.bytes / 100_000);
    assert!(cluster.clock.monotonic() - begin >= least, "it keeps its rate");
    assert!(cluster.group(0).serving_term().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_scrub_stops_the_replica_whose_log_has_rotted() {
    let cluster = Cluster::start(3).await;
    fill_segments(&cluster).await;
    let follower = (cluster.leader().await + 1) % 3;
    let host = cluster.host(follower);
    let segment = host.log.sealed_segments()[0];
    let name = crate::log::segment::segment_name(segment);
    cluster.nodes[follower].disk.corrupt(&name, 30_000, 0x01);
    scrub::pass(&host.registry, &host.log, &host.scrubs, u64::MAX).await;
    assert_eq!(host.metrics().scrub.damaged, 1);
    let role = cluster.group(follower).status().role;
    assert!(role.starts_with("stopped: corrupt Raft log record in "), "{role}");
    assert!(role.contains(&name) && role.contains("at byte"), "{role}");
    cluster.set("after", "1").await;
}

#[tokio::test(start_paused = true)]
async fn a_scrub_rewrites_a_vote_whose_record_has_rotted() {
    let mut cluster = Cluster::start(1).await;
    fill_segments(&cluster).await;
    let host = cluster.host(0).clone();
    let segment = host.log.sealed_segments()[0];
    let name = crate::log::segment::segment_name(segment);
    let file = cluster.nodes[0].disk.open(&name).unwrap();
    let mut content = vec![0; file.length().unwrap() as usize];
    file.read_at(0, &mut content).unwrap();
    let content = Bytes::from(content);
    let mut at = crate::log::segment::SEGMENT_HEADER_BYTES;
    while let Some((record, next)) = crate::log::record::decode(&content, at, segment)
        && record.kind != crate::log::record::Kind::Vote
    {
        at = next;
    }
    cluster.nodes[0].disk.corrupt(&name, at + 29, 0x01);
    scrub::pass(&host.registry, &host.log, &host.scrubs, u64::MAX).await;
    assert_eq!(host.metrics().scrub.damaged, 1);
    assert!(cluster.group(0).serving_term().is_some(), "no entry is concerned");
    let vote = host.log.vote(&(SHARD, cluster.nodes[0].replica));
    drop(host);
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.crash(0).await;
    cluster.boot(0).await.unwrap();
    let host = cluster.host(0);
    assert!(host.log.vote(&(SHARD, cluster.nodes[0].replica)) >= vote);
    assert!(host.metrics().log_damage.is_some_and(|place| place.contains(&name)));
}

#[tokio::test(start_paused = true)]
async fn a_scrub_stops_the_replica_whose_engine_has_rotted() {
    let cluster = Cluster::start(1).await;
    fill_segments(&cluster).await;
    let host = cluster.host(0);
    let replica = host.registry.get(SHARD).unwrap();
    let db = replica.context.folder.join(engine::folder::ENGINE_FOLDER);
    cluster.nodes[0].engines.damage(&db, b"ka33");
    scrub::pass(&host.registry, &host.log, &host.scrubs, u64::MAX).await;
    assert_eq!(host.metrics().scrub.damaged, 1);
    let role = cluster.group(0).status().role;
    assert!(role.starts_with("stopped: ") && role.contains("ka33"), "{role}");
}

#[tokio::test(start_paused = true)]
async fn a_follower_with_a_full_disk_holds_up_nobody_and_comes_back() {
    let cluster = Cluster::start(3).await;
    cluster.set("before", "1").await;
    let follower = (cluster.leader().await + 1) % 3;
    cluster.wait_for(follower, "before", "1").await;
    let disk = &cluster.nodes[follower].disk;
    disk.set_capacity(Some(disk.used_bytes() + (1 << 20)));
    tokio::time::sleep(limits::DISK_SPACE_INTERVAL * 2).await;
    assert_eq!(cluster.host(follower).disk_health().state, crate::DiskState::Full);
    for number in 0..40 {
        cluster.set(&format!("a{number}"), &"x".repeat(8000)).await;
    }
    assert_ne!(cluster.leader().await, follower);
    assert_eq!(cluster.get(follower, "a39"), None, "it takes no more than it must");
    disk.set_capacity(None);
    cluster.wait_for(follower, "a39", &"x".repeat(8000)).await;
    assert_eq!(cluster.host(follower).disk_health().state, crate::DiskState::Ok);
    assert_eq!(cluster.group(follower).status().role, "follower");
}

#[tokio::test(start_paused = true)]
async fn a_leader_with_a_full_disk_says_so_serves_reads_and_ends_what_was_begun() {
    let cluster = Cluster::start(1).await;
    cluster.set("a", "1").await;
    let group = cluster.group(0);
    assert_eq!(group.refuses_writes(), None);
    let disk = &cluster.nodes[0].disk;
    disk.set_capacity(Some(disk.used_bytes() + (64 << 20)));
    tokio::time::sleep(limits::DISK_SPACE_INTERVAL * 2).await;
    let why = group.refuses_writes().unwrap();
    assert!(why.starts_with("node 1 takes no new writes: its disk has "), "{why}");
    assert!(group.serving_term().is_some());
    cluster.set("commit", "1").await;
    disk.set_capacity(None);
    tokio::time::sleep(limits::DISK_SPACE_INTERVAL * 2).await;
    assert_eq!(group.refuses_writes(), None);
}

#[tokio::test(start_paused = true)]
async fn the_purge_driver_shortens_a_log_that_pins_old_segments() {
    let cluster = Cluster::start(1).await;
    let host = cluster.host(0);
    let mut most = 0;
    for number in 0..600 {
        cluster.set(&format!("a{number}"), &"x".repeat(8000)).await;
        most = most.max(host.metrics().log.segments);
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    // 600 × 8 kB are 75 segments of 64 KiB.
    assert!(most < 40, "{most} segments");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(host.metrics().log.segments <= limits::LOG_SEGMENTS_PINNED_MAX);
    assert_eq!(cluster.get(0, "a0").map(|value| value.len()), Some(8000));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_sync_hangs_serves_nothing_until_it_returns() {
    let cluster = Cluster::start(1).await;
    cluster.set("a", "1").await;
    let (group, host) = (cluster.group(0), cluster.host(0));
    let term = group.serving_term().unwrap();
    cluster.nodes[0].disk.set_sync_time(Duration::from_secs(6));
    let begin = cluster.clock.monotonic();
    let slow = tokio::spawn({
        let group = group.clone();
        async move { group.propose(term, Bytes::from_static(b"b=2")).await }
    });
    let since = |wanted: u64| {
        let end = begin + Duration::from_millis(wanted);
        tokio::time::sleep(end.saturating_sub(cluster.clock.monotonic()))
    };
    since(400).await;
    assert_eq!(host.disk_health().state, crate::DiskState::Ok);
    since(1000).await;
    assert_eq!(host.disk_health().state, crate::DiskState::Slow);
    assert_eq!(group.serving_term(), Some(term), "slow is not dead");
    since(3500).await;
    assert_eq!(host.disk_health().state, crate::DiskState::Stalled);
    assert_eq!((group.serving_term(), group.confirm_term().await), (None, None));
    cluster.nodes[0].disk.set_sync_time(Duration::ZERO);
    since(7000).await;
    assert_eq!(group.serving_term(), Some(term));
    assert_eq!(host.disk_health().state, crate::DiskState::Slow, "for a while");
    // Its outcome was unknown for longer than anyone waits; it was not lost.
    assert_eq!(slow.await.unwrap(), Err(ProposeError::Unknown));
    cluster.wait_for(0, "b", "2").await;
    since(7000 + limits::DISK_SLOW_HOLD.as_millis() as u64).await;
    assert_eq!(host.disk_health().state, crate::DiskState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_serves_when_every_disk_is_full() {
    let cluster = Cluster::start(3).await;
    for number in 0..20 {
        cluster.set(&format!("a{number}"), &"x".repeat(3000)).await;
    }
    for position in 0..3 {
        cluster.wait_for(position, "a19", &"x".repeat(3000)).await;
        let disk = &cluster.nodes[position].disk;
        disk.set_capacity(Some(disk.used_bytes() + (1 << 20)));
    }
    tokio::time::sleep(limits::DISK_SPACE_INTERVAL * 2).await;
    let old = cluster.leader().await;
    let target = (old + 1) % 3;
    cluster.group(old).transfer_leader(cluster.nodes[target].id).await.unwrap();
    // It finds out what the others have by sending it again, and has an entry of its own to commit.
    assert_eq!(cluster.leader().await, target);
    assert!(cluster.group(target).refuses_writes().is_some());
}
