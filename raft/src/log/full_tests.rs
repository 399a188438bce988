//! The log on a full disk: it waits, acknowledges nothing, and goes on by itself.

use super::disk::SimLogDisk;
use super::health::DiskState;
use super::segment::BALLAST;
use super::tests::{A, B, HOUR, append, close, entry, ids, open, options};
use super::{LogDisk, LogOptions, Pressure, SharedLog};
use crate::type_config::{Vote, log_id};
use std::time::Duration;
use tokio::sync::oneshot;

fn small() -> LogOptions {
    LogOptions { reserve_bytes: 0, ballast_bytes: 0, ..options(4096, HOUR) }
}

/// Queues an entry that does not fit what the segments have left.
async fn queue(log: &SharedLog, index: u64) -> oneshot::Receiver<()> {
    let (sender, synced) = oneshot::channel();
    let done = Box::new(move || _ = sender.send(()));
    log.append(A, vec![entry(1, index, 3000)], done).await.unwrap();
    synced
}

/// Whether an entry of this index and size is taken from a leader.
fn takes(log: &SharedLog, index: u64, bytes: usize) -> bool {
    log.takes_entries(&A, &[entry(1, index, bytes)]) && log.takes_entries(&A, &[])
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_delays_and_loses_nothing() {
    let disk = SimLogDisk::new();
    let log = open(&disk, small());
    append(&log, A, vec![entry(1, 0, 3000)]).await;
    disk.set_capacity(Some(disk.used_bytes()));
    let mut first = queue(&log, 1).await;
    let mut second = queue(&log, 2).await;
    let vote = log.save_vote(B, Vote::new(2, 21));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(first.try_recv().is_err() && second.try_recv().is_err(), "nothing is acknowledged");
    assert_eq!(log.disk_health().state, DiskState::Full);
    assert!(log.refuses_writes().unwrap().contains("waits for space"));
    assert!(takes(&log, 0, 1) && !takes(&log, 9, 1), "only heartbeats and what is there");
    assert_eq!(log.read(&A, 1, 2, 1).unwrap(), vec![entry(1, 1, 3000)], "reads go on");

    // A crash now loses what was not acknowledged, and nothing else.
    let copy = disk.fork();
    copy.set_capacity(None);
    let after_crash = open(&copy, small());
    assert_eq!(ids(&after_crash, A), [(1, 0)]);
    assert_eq!(after_crash.shortfall(&A), None);

    disk.set_capacity(None);
    first.await.unwrap();
    second.await.unwrap();
    vote.wait().await.unwrap();
    assert_eq!((log.disk_health().state, log.refuses_writes()), (DiskState::Ok, None));
    assert_eq!(log.metrics().no_space, 1);
    close(&log, &disk).await;
    let log = open(&disk, small());
    assert_eq!(ids(&log, A), [(1, 0), (1, 1), (1, 2)]);
    assert_eq!(log.vote(&B), Some(Vote::new(2, 21)));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_does_not_keep_the_log_from_being_closed() {
    let disk = SimLogDisk::new();
    let log = open(&disk, small());
    append(&log, A, vec![entry(1, 0, 3000)]).await;
    disk.set_capacity(Some(disk.used_bytes()));
    let synced = queue(&log, 1).await;
    close(&log, &disk).await;
    assert!(synced.await.is_err(), "never acknowledged");
}

#[tokio::test(start_paused = true)]
async fn the_ballast_makes_room_for_votes() {
    let disk = SimLogDisk::new();
    let log = open(&disk, LogOptions { ballast_bytes: 4096, ..small() });
    append(&log, A, vec![entry(1, 0, 3000)]).await;
    log.look_at_space().unwrap();
    assert!(disk.list().unwrap().contains(&BALLAST.to_string()));
    disk.set_capacity(Some(disk.used_bytes()));
    for term in 1..20 {
        log.save_vote(B, Vote::new(term, 21)).wait().await.unwrap();
        // Enough of them to need the next segment.
        append(&log, B, vec![entry(term, term - 1, 40)]).await;
    }
    assert!(!disk.list().unwrap().contains(&BALLAST.to_string()), "it was given up");
    assert_eq!(log.refuses_writes(), None, "nobody has waited");
    // It comes back when there is space again, and not before.
    log.look_at_space().unwrap();
    assert!(!disk.list().unwrap().contains(&BALLAST.to_string()));
    disk.set_capacity(None);
    log.look_at_space().unwrap();
    assert_eq!(disk.open(BALLAST).unwrap().length().unwrap(), 4096);
}

#[tokio::test(start_paused = true)]
async fn a_watermark_that_finds_no_space_lags() {
    let disk = SimLogDisk::new();
    let watermark =
        |disk: &SimLogDisk| disk.list().unwrap().iter().any(|name| name == "watermark.b");
    let log = open(&disk, LogOptions { watermark_interval: Duration::from_secs(1), ..small() });
    append(&log, A, vec![entry(1, 0, 10)]).await;
    assert!(!watermark(&disk));
    disk.set_capacity(Some(disk.used_bytes()));
    append(&log, A, vec![entry(1, 1, 10)]).await;
    close(&log, &disk).await;
    disk.set_capacity(None);
    let log = open(&disk, LogOptions { watermark_interval: Duration::ZERO, ..small() });
    assert_eq!(ids(&log, A), [(1, 0), (1, 1)]);
    assert_eq!(log.shortfall(&A), None);
    append(&log, A, vec![entry(1, 2, 10)]).await;
    tokio::task::yield_now().await;
    assert!(watermark(&disk));
}

#[tokio::test(start_paused = true)]
async fn below_the_reserve_new_writes_are_refused_and_what_runs_may_end() {
    let disk = SimLogDisk::new();
    let reserve = 64 << 20;
    let owner = "node 3".to_string();
    let log = open(&disk, LogOptions { reserve_bytes: reserve, owner, ..small() });
    let free = |bytes: u64| {
        disk.set_capacity(Some(disk.used_bytes() + bytes));
        log.look_at_space().unwrap();
    };
    free(reserve);
    assert_eq!(log.refuses_writes(), None);
    free(reserve - 1);
    let sentence = log.refuses_writes().unwrap();
    assert!(
        sentence.starts_with("node 3 takes no new writes: its disk has 63 MiB left"),
        "{sentence}"
    );
    append(&log, A, vec![entry(1, 0, 10)]).await;
    assert!(takes(&log, 900, 1 << 20));
    free(reserve / 2 - 1);
    assert!(!takes(&log, 900, 1 << 20));
    assert!(takes(&log, 900, 100), "a commit, a timestamp window");
    free(reserve);
    assert!(log.refuses_writes().is_some(), "a little more is wanted first");
    free(reserve + reserve / 8);
    assert_eq!(log.refuses_writes(), None);
}

#[tokio::test(start_paused = true)]
async fn a_log_at_its_limit_refuses_new_writes_until_it_is_purged() {
    let disk = SimLogDisk::new();
    let limits = LogOptions { bytes_max: 16 * 4096, watermark_interval: Duration::ZERO, ..small() };
    let log = open(&disk, limits);
    for index in 0..16 {
        assert_eq!(log.refuses_writes(), None, "entry {index}");
        append(&log, A, vec![entry(1, index, 3500)]).await;
    }
    assert_eq!(log.pressure(), Pressure::Reached);
    assert!(log.refuses_writes().unwrap().contains("its limit of"));
    assert!(takes(&log, 900, 1 << 20), "what was begun elsewhere may end");
    for index in 16..19 {
        append(&log, A, vec![entry(1, index, 3500)]).await;
    }
    assert!(!takes(&log, 900, 1 << 20));
    log.purge(A, log_id(1, 17)).wait().await.unwrap();
    append(&log, A, vec![entry(1, 19, 10)]).await;
    tokio::task::yield_now().await;
    assert_eq!((log.refuses_writes(), takes(&log, 900, 1 << 20)), (None, true));
}

#[tokio::test(start_paused = true)]
async fn a_node_starts_on_a_full_disk() {
    let disk = SimLogDisk::new();
    let log = open(&disk, LogOptions { ballast_bytes: 4096, ..small() });
    append(&log, A, vec![entry(1, 0, 3900)]).await;
    log.look_at_space().unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    // A crash without a seal, right at the end of what was filled.
    let copy = disk.fork();
    copy.set_capacity(Some(copy.used_bytes()));
    let log = open(&copy, LogOptions { ballast_bytes: 4096, ..small() });
    assert_eq!(ids(&log, A), [(1, 0)]);
    log.save_vote(A, Vote::new(3, 11)).wait().await.unwrap();
}
