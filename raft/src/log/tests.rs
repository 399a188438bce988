//! The log as a whole: restarts, power cuts, damage.

use super::disk::{FileDisk, LogDisk, SimLogDisk};
use super::record::{self, Key};
use super::segment::{SEGMENT_HEADER_BYTES, segment_name, segment_number};
use super::{FlushMode, LogOptions, SharedLog};
use crate::type_config::{Command, Entry, LogId, Vote, log_id, term_of};
use base::{ReplicaId, Rng, ShardId, SystemClock};
use bytes::Bytes;
use openraft::EntryPayload;
use std::sync::Arc;
use std::time::Duration;

pub(super) const A: Key = (ShardId(1), ReplicaId(11));
pub(super) const B: Key = (ShardId(2), ReplicaId(21));
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    let command = Command(Bytes::from(vec![index as u8; bytes]));
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(command) }
}

pub(super) fn options(segment_bytes: u64, watermark_interval: Duration) -> LogOptions {
    LogOptions { segment_bytes, watermark_interval, ..LogOptions::default() }
}

pub(super) fn open(disk: &SimLogDisk, options: LogOptions) -> SharedLog {
    let disk: Arc<dyn LogDisk> = Arc::new(disk.clone());
    SharedLog::open(disk, options, FlushMode::Task, SystemClock::shared()).unwrap()
}

/// Appends and waits for the sync.
pub(super) async fn append(log: &SharedLog, key: Key, entries: Vec<Entry>) {
    let (sender, synced) = tokio::sync::oneshot::channel();
    let done = Box::new(move || _ = sender.send(()));
    log.append(key, entries, done).await.unwrap();
    synced.await.unwrap();
}

/// Log ids of all entries.
pub(super) fn ids(log: &SharedLog, key: Key) -> Vec<(u64, u64)> {
    let entries = log.read(&key, 0, u64::MAX, usize::MAX).unwrap();
    entries.iter().map(|entry| (term_of(&entry.log_id), entry.log_id.index)).collect()
}

/// Ends the flusher task: it has written its watermark when this returns.
pub(super) async fn close(log: &SharedLog, disk: &SimLogDisk) {
    log.close();
    while Arc::strong_count(&log.shared) > 1 {
        tokio::task::yield_now().await;
    }
    let _ = disk;
}

/// The last segment that has records: its name, and begin and end of its last record.
fn last_record(disk: &SimLogDisk) -> (String, u64, u64) {
    let mut found = None;
    for name in disk.list().unwrap() {
        let Some(number) = segment_number(&name) else { continue };
        let file = disk.open(&name).unwrap();
        let mut content = vec![0; file.length().unwrap() as usize];
        file.read_at(0, &mut content).unwrap();
        let content = Bytes::from(content);
        let mut offset = SEGMENT_HEADER_BYTES;
        while let Some((_, next)) = record::decode(&content, offset, number) {
            found = Some((name.clone(), offset, next));
            offset = next;
        }
    }
    found.unwrap()
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let disk = SimLogDisk::new();
    let log = open(&disk, options(1 << 16, HOUR));
    log.save_vote(A, Vote::new_committed(3, 11)).wait().await.unwrap();
    append(&log, A, (0..10).map(|index| entry(2, index, 50)).collect()).await;
    log.truncate_after(A, Some(log_id(2, 6))).wait().await.unwrap();
    append(&log, A, vec![entry(3, 7, 50)]).await;
    log.purge(A, log_id(2, 2)).wait().await.unwrap();
    log.save_committed(A, Some(log_id(3, 7)));
    append(&log, A, vec![entry(3, 8, 50)]).await;
    append(&log, B, vec![entry(1, 0, 50)]).await;
    close(&log, &disk).await;

    let log = open(&disk, options(1 << 16, HOUR));
    assert_eq!(log.vote(&A), Some(Vote::new_committed(3, 11)));
    assert_eq!(log.bounds(&A), (Some(log_id(2, 2)), Some(log_id(3, 8))));
    assert_eq!(ids(&log, A), [(2, 3), (2, 4), (2, 5), (2, 6), (3, 7), (3, 8)]);
    assert_eq!(log.committed(&A), Some(log_id(3, 7)));
    assert_eq!(log.read(&A, 7, 8, 1).unwrap(), vec![entry(3, 7, 50)]);
    assert_eq!(ids(&log, B), [(1, 0)]);
    assert_eq!(log.shortfall(&A), None);
}

#[tokio::test]
async fn a_real_folder_and_a_flusher_thread_keep_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let disk = Arc::new(FileDisk::open(&folder.path().join("log")).unwrap());
        let options = options(1 << 16, HOUR);
        SharedLog::open(disk, options, FlushMode::Thread, SystemClock::shared()).unwrap()
    };
    let log = open();
    log.save_vote(A, Vote::new_committed(3, 11)).wait().await.unwrap();
    for index in 0..100 {
        append(&log, A, vec![entry(2, index, 2000)]).await;
    }
    log.purge(A, log_id(2, 50)).wait().await.unwrap();
    assert!(log.metrics().syncs >= 100);
    log.close();
    let log = open();
    assert_eq!(log.vote(&A), Some(Vote::new_committed(3, 11)));
    assert_eq!(ids(&log, A), (51..100).map(|index| (2, index)).collect::<Vec<_>>());
    assert_eq!(log.shortfall(&A), None);
    log.close();
}

#[tokio::test]
async fn an_unsynced_tail_is_cut_wherever_it_is_torn() {
    let disk = SimLogDisk::new();
    let log = open(&disk, options(1 << 12, HOUR));
    append(&log, A, (0..4).map(|index| entry(1, index, 20)).collect()).await;
    close(&log, &disk).await;
    let log = open(&disk, options(1 << 12, HOUR));
    append(&log, A, vec![entry(1, 4, 20)]).await;
    append(&log, A, vec![entry(1, 5, 20)]).await;
    let (name, begin, end) = last_record(&disk);
    for at in begin..end {
        for torn in [true, false] {
            let copy = disk.fork();
            if torn {
                copy.cut(&name, at);
            } else {
                copy.corrupt(&name, at, 0x10);
            }
            let again = open(&copy, options(1 << 12, HOUR));
            let found = ids(&again, A);
            assert_eq!(again.shortfall(&A), None, "byte {at}");
            // Changed or missing padding behind the record is no damage.
            let whole = found.len() == 6;
            assert!(whole || found == (0..5).map(|index| (1, index)).collect::<Vec<_>>());
            assert!(!whole || at >= begin + record::HEADER_BYTES as u64 + 20);
            // The log goes on behind the cut, and nothing torn comes back.
            append(&again, A, vec![entry(2, found.len() as u64, 3)]).await;
            let third = open(&copy, options(1 << 12, HOUR));
            assert_eq!(ids(&third, A).last(), Some(&(2, found.len() as u64)), "byte {at}");
        }
    }
}

#[tokio::test]
async fn damage_before_the_watermark_is_reported_and_never_cut() {
    let disk = SimLogDisk::new();
    let log = open(&disk, options(1 << 16, HOUR));
    log.save_vote(A, Vote::new(1, 11)).wait().await.unwrap();
    append(&log, A, (0..3).map(|index| entry(1, index, 40)).collect()).await;
    let (name, begin, _) = last_record(&disk);
    append(&log, B, vec![entry(1, 0, 40)]).await;
    append(&log, A, vec![entry(1, 3, 40)]).await;
    append(&log, B, vec![entry(1, 1, 40)]).await;
    close(&log, &disk).await;

    disk.corrupt(&name, begin + 40, 1);
    for restart in 0..2 {
        let log = open(&disk, options(1 << 16, HOUR));
        let shortfall = log.shortfall(&A).unwrap_or_else(|| panic!("restart {restart}"));
        assert!(shortfall.place.contains(&name), "{}", shortfall.place);
        assert!(shortfall.place.contains(&format!("byte {begin}")), "{}", shortfall.place);
        assert!(shortfall.hole || shortfall.acknowledged.last_log_id == Some(log_id(1, 3)));
        assert_eq!(log.shortfall(&B), None);
        assert_eq!(ids(&log, B), [(1, 0), (1, 1)]);
        append(&log, B, vec![]).await;
        close(&log, &disk).await;
    }
}

#[tokio::test]
async fn a_lost_vote_and_a_lost_tail_are_noticed() {
    let disk = SimLogDisk::new();
    let log = open(&disk, options(1 << 16, HOUR));
    append(&log, A, vec![entry(1, 0, 40)]).await;
    append(&log, B, vec![entry(1, 0, 40)]).await;
    log.save_vote(A, Vote::new(2, 11)).wait().await.unwrap();
    let (name, vote, _) = last_record(&disk);
    append(&log, B, vec![entry(1, 1, 40)]).await;
    close(&log, &disk).await;

    let lost_tail = disk.fork();
    lost_tail.cut(&name, vote);
    let log = open(&lost_tail, options(1 << 16, HOUR));
    assert!(log.shortfall(&A).is_some_and(|shortfall| shortfall.vote_lost));
    let shortfall = log.shortfall(&B).unwrap();
    assert_eq!(shortfall.acknowledged.last_log_id, Some(log_id(1, 1)));

    disk.corrupt(&name, vote + 30, 1);
    let log = open(&disk, options(1 << 16, HOUR));
    assert!(log.shortfall(&A).is_some_and(|shortfall| shortfall.vote_lost));
    assert_eq!(log.shortfall(&B), None);
}

#[tokio::test]
async fn a_truncation_behind_the_watermark_is_no_loss() {
    let disk = SimLogDisk::new();
    let log = open(&disk, options(1 << 16, HOUR));
    append(&log, A, (0..5).map(|index| entry(1, index, 40)).collect()).await;
    close(&log, &disk).await;
    let log = open(&disk, options(1 << 16, HOUR));
    log.save_vote(A, Vote::new(2, 12)).wait().await.unwrap();
    log.truncate_after(A, Some(log_id(1, 1))).wait().await.unwrap();
    let copy = disk.fork();
    let log = open(&copy, options(1 << 16, HOUR));
    assert_eq!(log.shortfall(&A), None);
    assert_eq!(log.bounds(&A).1, Some(log_id(1, 1)));
}

#[tokio::test]
async fn segments_are_recycled_and_their_old_records_stay_dead() {
    let disk = SimLogDisk::new();
    let small = || options(4096, Duration::ZERO);
    let log = open(&disk, small());
    log.save_vote(B, Vote::new(1, 21)).wait().await.unwrap();
    for index in 0..200 {
        append(&log, A, vec![entry(1, index, 300)]).await;
        if index % 5 == 4 {
            log.purge(A, log_id(1, index - 2)).wait().await.unwrap();
        }
    }
    // Segments are freed when the watermark has been written: once more.
    append(&log, A, vec![entry(1, 200, 1)]).await;
    append(&log, A, vec![entry(1, 201, 1)]).await;
    let names = disk.list().unwrap();
    assert!(names.len() < 12, "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("spare.")), "{names:?}");
    assert!(!names.contains(&segment_name(1)));
    let copy = disk.fork();
    let log = open(&copy, small());
    assert_eq!(ids(&log, A), (198..202).map(|index| (1, index)).collect::<Vec<_>>()[..]);
    assert_eq!(log.vote(&B), Some(Vote::new(1, 21)));
    assert_eq!((log.shortfall(&A), log.shortfall(&B)), (None, None));
}

#[tokio::test]
async fn an_evicted_entry_is_read_from_its_record() {
    let disk = SimLogDisk::new();
    let log = open(&disk, LogOptions { cache_bytes_max: 0, ..options(1 << 16, HOUR) });
    append(&log, A, (0..20).map(|index| entry(1, index, 500)).collect()).await;
    assert_eq!(log.metrics().cached_bytes, 0);
    assert_eq!(log.read(&A, 7, 9, usize::MAX).unwrap(), [entry(1, 7, 500), entry(1, 8, 500)]);
    let (name, begin, _) = last_record(&disk);
    disk.corrupt(&name, begin + 100, 1);
    let error = log.read(&A, 7, 9, usize::MAX).unwrap_err();
    assert!(error.to_string().contains(&format!("{name} at byte {begin}")), "{error}");
}

#[tokio::test]
async fn a_destroyed_replica_is_forgotten() {
    let disk = SimLogDisk::new();
    let log = open(&disk, options(1 << 16, Duration::ZERO));
    append(&log, A, vec![entry(1, 0, 10)]).await;
    log.destroy(A).wait().await.unwrap();
    append(&log, B, vec![entry(1, 0, 10)]).await;
    let log = open(&disk.fork(), options(1 << 16, HOUR));
    assert_eq!(log.replicas(), [B]);
    assert_eq!(log.shortfall(&A), None);
}

#[tokio::test]
async fn a_hole_is_refused() {
    let log = open(&SimLogDisk::new(), options(1 << 16, HOUR));
    append(&log, A, vec![entry(1, 0, 10)]).await;
    let error = log.append(A, vec![entry(1, 2, 10)], Box::new(|| {})).await.unwrap_err();
    assert_eq!(error.to_string(), "entry 2 appended where 1 was expected");
}

/// What a log should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    vote: Option<Vote>,
    purged: Option<LogId>,
    entries: Vec<(u64, u64)>,
}

impl Model {
    fn next(&self) -> u64 {
        let purged = self.purged.map_or(0, |purged| purged.index + 1);
        self.entries.last().map_or(purged, |(_, index)| index + 1)
    }

    fn of(log: &SharedLog, key: Key) -> Model {
        Model { vote: log.vote(&key), purged: log.bounds(&key).0, entries: ids(log, key) }
    }
}

/// One random operation on log and model. Returns what tells of its sync.
async fn random_operation(
    rng: &mut Rng,
    log: &SharedLog,
    key: Key,
    model: &mut Model,
    term: &mut u64,
) -> tokio::sync::oneshot::Receiver<()> {
    let (sender, synced) = tokio::sync::oneshot::channel();
    let waits = match rng.below(10) {
        0 => {
            *term += 1;
            model.vote = Some(Vote::new(*term, key.1.0));
            log.save_vote(key, Vote::new(*term, key.1.0))
        }
        1 if !model.entries.is_empty() => {
            let at = rng.below(model.entries.len() as u64) as usize;
            let (last_term, last) = model.entries[at];
            model.entries.truncate(at + 1);
            *term += 1;
            log.truncate_after(key, Some(log_id(last_term, last)))
        }
        2 | 3 if !model.entries.is_empty() => {
            let at = rng.below(model.entries.len() as u64) as usize;
            let (upto_term, upto) = model.entries[at];
            model.entries.drain(..=at);
            model.purged = Some(log_id(upto_term, upto));
            log.purge(key, log_id(upto_term, upto))
        }
        _ => {
            let first = model.next();
            let entries: Vec<Entry> = (first..first + 1 + rng.below(4))
                .map(|index| entry(*term, index, rng.below(700) as usize))
                .collect();
            model.entries.extend(entries.iter().map(|entry| (*term, entry.log_id.index)));
            let done = Box::new(move || _ = sender.send(()));
            log.append(key, entries, done).await.unwrap();
            return synced;
        }
    };
    tokio::spawn(async move {
        waits.wait().await.unwrap();
        let _ = sender.send(());
    });
    synced
}

/// Random operations, power cut in the middle of a random flush: what was acknowledged is there, nothing
/// is there that was never queued, and nobody is told that he lost something.
#[tokio::test]
async fn a_power_cut_takes_only_a_suffix_of_what_was_not_acknowledged() {
    for seed in 0..300 {
        let mut rng = Rng::seeded(seed);
        let disk = SimLogDisk::new();
        let interval = if rng.chance(0.5) { Duration::ZERO } else { HOUR };
        let log = open(&disk, options(4096, interval));
        disk.copy_before_sync(rng.below(40));
        let keys = [A, B];
        let mut models = [Model::default(), Model::default()];
        let mut terms = [1, 1];
        // The states after each operation, and how many operations were acknowledged.
        let mut states = vec![models.clone()];
        let mut acknowledged = 0;
        let copy = loop {
            let mut last = None;
            for _ in 0..1 + rng.below(5) {
                let who = rng.below(2) as usize;
                let (model, term) = (&mut models[who], &mut terms[who]);
                last = Some(random_operation(&mut rng, &log, keys[who], model, term).await);
                states.push(models.clone());
            }
            last.unwrap().await.unwrap();
            if let Some(copy) = disk.take_copy() {
                break copy;
            }
            acknowledged = states.len() - 1;
        };
        copy.crash(&mut rng);
        let log = open(&copy, options(4096, HOUR));
        for key in keys {
            assert_eq!(log.shortfall(&key), None, "seed {seed}");
        }
        let found = keys.map(|key| Model::of(&log, key));
        let position = states.iter().rposition(|state| *state == found);
        let Some(position) = position else {
            panic!("seed {seed}: {found:?} never was; acknowledged {:?}", states[acknowledged])
        };
        assert!(position >= acknowledged, "seed {seed}: {position} < {acknowledged}");
    }
}
