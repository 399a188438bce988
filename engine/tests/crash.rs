//! What a crash may take from an engine: a suffix of the un-flushed batches, and nothing else.

use base::{KeyRange, Rng};
use engine::{
    Engine, Error, RocksEngine, RocksOptions, RocksShared, SimDisk, SimEngine, WriteBatch,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn content(engine: &dyn Engine) -> Content {
    let mut content = Content::new();
    engine
        .scan(&KeyRange::default(), &mut |key, value| {
            content.insert(key.to_vec(), value.to_vec());
            Ok(true)
        })
        .unwrap();
    content
}

/// Writes a random batch over few keys; deletes now and then.
fn write_one(engine: &dyn Engine, rng: &mut Rng) {
    let mut batch = WriteBatch::new();
    for _ in 0..=rng.below(3) {
        let key = vec![b'k', rng.below(6) as u8];
        if rng.chance(0.3) {
            batch.delete(key);
        } else {
            batch.put(key, rng.next_u64().to_be_bytes().to_vec());
        }
    }
    engine.write(batch).unwrap();
}

/// Runs random writes, flushes, snapshots and crashes, and checks every invariant on the way. Answers
/// the content after each crash.
fn run(seed: u64) -> Vec<Content> {
    let mut rng = Rng::seeded(seed);
    let disk: Arc<SimDisk> = SimDisk::new();
    let dir = Path::new("replicas/1-1/db");
    let mut engine: SimEngine = disk.open(dir).unwrap();
    // Content after the last flush and after each batch since.
    let mut states = vec![Content::new()];
    let mut snapshots = Vec::new();
    let mut survived = Vec::new();
    for _ in 0..300 {
        match rng.below(20) {
            0 => {
                engine.flush().unwrap();
                states = vec![content(&engine)];
                assert_eq!(engine.unflushed_bytes(), 0);
            }
            1 => {
                disk.crash(&mut rng);
                assert!(matches!(engine.get(b"k"), Err(Error::Io { .. })), "dead after a crash");
                engine = disk.open(dir).unwrap();
                let left = content(&engine);
                assert!(states.contains(&left), "seed {seed}: not a prefix: {left:?}");
                survived.push(left.clone());
                states = vec![left];
                snapshots.clear();
            }
            2 => snapshots.push((engine.snapshot(), content(&engine))),
            3 if !snapshots.is_empty() => {
                let (snapshot, expected) =
                    snapshots.swap_remove(rng.below(snapshots.len() as u64) as usize);
                let mut seen = Content::new();
                snapshot
                    .scan_reverse(&KeyRange::default(), &mut |key, value| {
                        seen.insert(key.to_vec(), value.to_vec());
                        Ok(true)
                    })
                    .unwrap();
                assert_eq!(seen, expected, "seed {seed}: a snapshot changed");
            }
            _ => {
                write_one(&engine, &mut rng);
                states.push(content(&engine));
            }
        }
        for key in 0..6 {
            let flushed = engine.get_flushed(&[b'k', key]).unwrap();
            assert_eq!(flushed.as_deref(), states[0].get(&[b'k', key][..]).map(Vec::as_slice));
        }
    }
    survived
}

#[test]
fn a_simulated_crash_leaves_a_prefix_and_all_that_was_flushed() {
    let mut crashes = 0;
    for seed in 0..40 {
        crashes += run(seed).len();
    }
    assert!(crashes > 100, "only {crashes} crashes were tried");
}

#[test]
fn equal_seeds_crash_alike() {
    assert_eq!(run(7), run(7));
}

#[test]
fn a_crash_may_take_nothing_all_or_a_part() {
    let mut left = [0; 4];
    for seed in 0..200 {
        let disk = SimDisk::new();
        let engine = disk.open(Path::new("db")).unwrap();
        for i in 0..3 {
            let mut batch = WriteBatch::new();
            batch.put(vec![i], vec![i]);
            engine.write(batch).unwrap();
        }
        engine.crash(&mut Rng::seeded(seed));
        left[content(&disk.open(Path::new("db")).unwrap()).len()] += 1;
    }
    assert!(left.iter().all(|count| *count > 10), "{left:?}");
}

#[test]
fn an_engine_is_open_once() {
    let disk = SimDisk::new();
    let engine = disk.open(Path::new("db")).unwrap();
    assert!(matches!(disk.open(Path::new("db")), Err(Error::Io { .. })));
    drop(engine);
    disk.open(Path::new("db")).unwrap();
}

#[test]
fn a_damaged_value_is_corrupt_wherever_it_is_met() {
    let disk = SimDisk::new();
    let engine = disk.open(Path::new("db")).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&b"a"[..], &b"1"[..]);
    batch.put(&b"b"[..], &b"2"[..]);
    engine.write(batch).unwrap();
    disk.damage(Path::new("db"), b"b");
    assert_eq!(engine.get(b"a").unwrap().unwrap(), "1");
    assert!(matches!(engine.get(b"b"), Err(Error::Corrupt { .. })));
    assert!(matches!(engine.seek_prefix(b"b", b"b"), Err(Error::Corrupt { .. })));
    let scan = engine.scan(&KeyRange::default(), &mut |_, _| Ok(true));
    assert!(matches!(scan, Err(Error::Corrupt { .. })));
}

/// The files as a crash would find them: copied while the engine is open.
fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn the_files_of_an_open_rocks_engine_hold_what_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let shared = RocksShared::new(RocksOptions::default()).unwrap();
    let engine = RocksEngine::open(&shared, &folder.path().join("db")).unwrap();
    let mut rng = Rng::seeded(3);
    for round in 0..3 {
        (0..20).for_each(|_| write_one(&engine, &mut rng));
        engine.flush().unwrap();
        let flushed = content(&engine);
        (0..20).for_each(|_| write_one(&engine, &mut rng));
        assert!(engine.unflushed_bytes() > 0);

        let copy = folder.path().join(format!("copy-{round}"));
        copy_files(&folder.path().join("db"), &copy);
        assert_eq!(content(&RocksEngine::open(&shared, &copy).unwrap()), flushed);
        for key in 0..6 {
            let read = engine.get_flushed(&[b'k', key]).unwrap();
            assert_eq!(read.as_deref(), flushed.get(&[b'k', key][..]).map(Vec::as_slice));
        }
    }
}
