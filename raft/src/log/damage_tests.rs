//! Damage at every byte: before the watermark it is reported and nothing is cut, behind it it is a torn tail.

use super::disk::{LogDisk, SimLogDisk};
use super::record::{self, HEADER_BYTES, Key, Kind};
use super::segment::{SEGMENT_HEADER_BYTES, newer_header, segment_number};
use super::tests::{A, B, HOUR, append, close, entry, ids, open, options};
use super::{FlushMode, LogOptions, SharedLog};
use crate::type_config::{Vote, log_id};
use base::{ReplicaId, ShardId};
use bytes::Bytes;
use std::sync::Arc;

const GONE: Key = (ShardId(3), ReplicaId(31));

fn small() -> LogOptions {
    options(4096, HOUR)
}

/// A record on a disk.
#[derive(Clone, Debug)]
struct Found {
    name: String,
    kind: Kind,
    begin: u64,
    /// Without padding.
    bytes: u64,
    end: u64,
}

fn content(disk: &SimLogDisk, name: &str) -> Bytes {
    let file = disk.open(name).unwrap();
    let mut content = vec![0; file.length().unwrap() as usize];
    file.read_at(0, &mut content).unwrap();
    content.into()
}

/// All records, in order.
fn records(disk: &SimLogDisk) -> Vec<Found> {
    let mut found = Vec::new();
    for name in disk.list().unwrap() {
        let Some(number) = segment_number(&name) else { continue };
        let content = content(disk, &name);
        let mut begin = SEGMENT_HEADER_BYTES;
        while let Some((record, end)) = record::decode(&content, begin, number) {
            let bytes = (HEADER_BYTES + record.payload.len()) as u64;
            found.push(Found { name: name.clone(), kind: record.kind, begin, bytes, end });
            begin = end;
        }
    }
    found
}

/// Vote and entries of a replica.
type Seen = (Option<Vote>, Vec<(u64, u64)>);

fn seen(log: &SharedLog, key: Key) -> Seen {
    (log.vote(&key), ids(log, key))
}

/// A log with a record of every kind, closed: the watermark stands at its end.
async fn full_log() -> (SimLogDisk, Vec<(Key, Seen)>) {
    let disk = SimLogDisk::new();
    let log = open(&disk, small());
    append(&log, GONE, vec![entry(1, 0, 20)]).await;
    log.save_vote(A, Vote::new(1, 11)).wait().await.unwrap();
    append(&log, A, (0..5).map(|index| entry(1, index, 20)).collect()).await;
    append(&log, B, (0..3).map(|index| entry(1, index, 20)).collect()).await;
    log.destroy(GONE).wait().await.unwrap();
    // A new leader replaces two entries.
    log.save_vote(A, Vote::new_committed(2, 12)).wait().await.unwrap();
    log.truncate_after(A, Some(log_id(1, 2))).wait().await.unwrap();
    log.save_committed(A, Some(log_id(1, 2)));
    append(&log, A, vec![entry(2, 3, 20)]).await;
    append(&log, A, vec![entry(2, 4, 20)]).await;
    log.purge(B, log_id(1, 0)).wait().await.unwrap();
    append(&log, B, vec![entry(1, 3, 20)]).await;
    log.save_vote(B, Vote::new(4, 21)).wait().await.unwrap();
    append(&log, A, vec![entry(2, 5, 20)]).await;
    let state = [A, B].map(|key| (key, seen(&log, key))).to_vec();
    close(&log, &disk).await;
    (disk, state)
}

/// Nothing is cut, and every replica either has all it had or is reported. Of what a lost purge or
/// truncation removed something may be back: it was in the log once, and Raft replaces it again.
fn check_reported(
    disk: &SimLogDisk,
    all: &[Found],
    state: &[(Key, Seen)],
    what: &str,
) -> SharedLog {
    let bytes = || -> Vec<Bytes> {
        let of = |found: &Found| {
            content(disk, &found.name).slice(found.begin as usize..found.end as usize)
        };
        all.iter().map(of).collect()
    };
    let before = bytes();
    let log = open(disk, small());
    assert!(bytes() == before, "{what}: the log has been changed");
    for (key, (vote, entries)) in state {
        let (found_vote, found) = seen(&log, *key);
        let whole = found_vote == *vote && entries.iter().all(|entry| found.contains(entry));
        let consecutive = found.windows(2).all(|pair| pair[0].1 + 1 == pair[1].1);
        assert!(consecutive, "{what}: {found:?}");
        let reported = log.shortfall(key).is_some();
        assert!(
            whole || reported,
            "{what}: {key:?} has {found_vote:?} {found:?} and nobody says so"
        );
    }
    log
}

#[tokio::test]
async fn a_segment_of_a_newer_program_is_refused_and_nothing_is_changed() {
    let (disk, _) = full_log().await;
    let names = disk.list().unwrap();
    let name = names.iter().rfind(|name| segment_number(name).is_some()).unwrap();
    let header = newer_header(segment_number(name).unwrap());
    disk.open(name).unwrap().write_at(0, &header).unwrap();
    let before: Vec<Bytes> = names.iter().map(|name| content(&disk, name)).collect();
    let shared: Arc<dyn LogDisk> = Arc::new(disk.clone());
    let opened = SharedLog::open(shared, small(), FlushMode::Task, base::SystemClock::shared());
    let why = opened.err().expect("a newer format").to_string();
    assert!(why.contains("format version 2") && why.contains("newer program"), "{why}");
    assert_eq!(disk.list().unwrap(), names);
    let after: Vec<Bytes> = names.iter().map(|name| content(&disk, name)).collect();
    assert!(before == after, "the log has been changed");
}

#[tokio::test]
async fn every_damaged_byte_before_the_watermark_is_reported() {
    let (disk, state) = full_log().await;
    let all = records(&disk);
    for kind in [
        Kind::Entries,
        Kind::Vote,
        Kind::TruncateAfter,
        Kind::PurgeUpto,
        Kind::Destroy,
        Kind::CommitHint,
    ] {
        assert!(all.iter().any(|found| found.kind == kind), "{kind:?} is not covered");
    }
    for found in &all {
        for at in found.begin..found.end {
            let copy = disk.fork();
            copy.corrupt(&found.name, at, 0x10);
            let what = format!("{:?} at {} byte {at}", found.kind, found.begin);
            let log = check_reported(&copy, &all, &state, &what);
            let place = format!("{} at byte {}", found.name, found.begin);
            // Padding is covered by no check, and means nothing.
            match at < found.begin + found.bytes {
                true => assert!(log.damage().is_some_and(|told| told.contains(&place)), "{what}"),
                false => assert_eq!(log.damage(), None, "{what}"),
            }
            assert_eq!(log.shortfall(&GONE), None, "{what}");
            assert_eq!(ids(&log, GONE), [], "{what}: a removed replica is back");
        }
    }
}

/// A bad sector takes neighbours together: a truncation and what followed it, for one.
#[tokio::test]
async fn records_that_are_damaged_together_are_reported_together() {
    let (disk, state) = full_log().await;
    let all = records(&disk);
    for first in 0..all.len() {
        for last in first + 1..all.len() {
            let copy = disk.fork();
            for found in &all[first..=last] {
                copy.corrupt(&found.name, found.begin + 4, 0xff);
            }
            check_reported(&copy, &all, &state, &format!("records {first} to {last}"));
        }
    }
}

#[tokio::test]
async fn an_unsynced_tail_of_many_records_ends_before_the_first_torn_one() {
    let disk = SimLogDisk::new();
    let log = open(&disk, small());
    append(&log, A, (0..3).map(|index| entry(1, index, 20)).collect()).await;
    append(&log, B, (0..3).map(|index| entry(1, index, 20)).collect()).await;
    close(&log, &disk).await;

    // Behind the watermark, one record each: after n of them the state is `states[n]`.
    let log = open(&disk, small());
    let old = records(&disk).len();
    let state = |log: &SharedLog| [seen(log, A), seen(log, B)];
    let mut states = vec![state(&log)];
    append(&log, A, vec![entry(1, 3, 20)]).await;
    states.push(state(&log));
    log.save_vote(B, Vote::new(3, 21)).wait().await.unwrap();
    states.push(state(&log));
    log.truncate_after(B, Some(log_id(1, 1))).wait().await.unwrap();
    states.push(state(&log));
    append(&log, B, vec![entry(3, 2, 20)]).await;
    states.push(state(&log));
    log.purge(A, log_id(1, 1)).wait().await.unwrap();
    states.push(state(&log));
    let tail = records(&disk).split_off(old);
    assert_eq!(tail.len() + 1, states.len());
    for (position, found) in tail.iter().enumerate() {
        for at in found.begin..found.begin + found.bytes {
            for cut in [true, false] {
                let copy = disk.fork();
                match cut {
                    true => copy.cut(&found.name, at),
                    false => copy.corrupt(&found.name, at, 0x10),
                }
                let what = format!("record {position} byte {at} cut {cut}");
                let log = open(&copy, small());
                assert_eq!(state(&log), states[position], "{what}");
                assert_eq!((log.shortfall(&A), log.shortfall(&B)), (None, None), "{what}");
                assert_eq!(log.damage(), None, "{what}");
            }
        }
    }
}
