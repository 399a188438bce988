//! Tests of engine factories: installs that a crash cut short.

use super::*;
use crate::{RocksOptions, RocksShared};
use base::{ReplicaId, ShardId};

fn rocks() -> RocksFactory {
    RocksFactory::new(RocksShared::new(RocksOptions::default()).unwrap())
}

fn set(engine: &dyn Engine, value: &str) {
    let mut batch = WriteBatch::new();
    batch.put(&b"k"[..], value.to_string());
    engine.write(batch).unwrap();
}

fn value(factory: &dyn EngineFactory, replica: &Path) -> Option<Bytes> {
    factory.open(replica).unwrap().get(b"k").unwrap()
}

/// A replica folder with `old` in its engine and a complete checkpoint of `new` in `incoming/x`.
fn ready_to_install(factory: &dyn EngineFactory, data: &Path) -> (PathBuf, PathBuf) {
    let (sender, replica) = (data.join("1-1"), data.join("1-2"));
    set(&*factory.open(&replica).unwrap(), "old");
    let engine = factory.open(&sender).unwrap();
    set(&*engine, "new");
    let sending = sender.join("sending/x");
    engine.checkpoint(&sending).unwrap();
    let incoming = replica.join("incoming/x");
    for file in factory.checkpoint_files(&sending).unwrap() {
        let data = factory.read_file(&sending, &file.name, 0, file.bytes as usize).unwrap();
        assert_eq!(data.len() as u64, file.bytes);
        factory.receive_file(&incoming, &file.name, 0, &data).unwrap();
        // A piece may come again.
        factory.receive_file(&incoming, &file.name, 0, &data).unwrap();
    }
    assert!(factory.open_checkpoint(&incoming).is_err(), "not complete yet");
    factory.finish_receive(&incoming).unwrap();
    factory.finish_receive(&incoming).unwrap();
    (replica, incoming)
}

fn identity(shard: u64, replica: u64) -> ReplicaIdentity {
    ReplicaIdentity::new(ShardId(shard), ReplicaId(replica))
}

fn both(test: impl Fn(&dyn EngineFactory, &Path)) {
    let data = tempfile::tempdir().unwrap();
    test(&rocks(), data.path());
    let data = tempfile::tempdir().unwrap();
    test(&SimFactory::new(SimDisk::new()), data.path());
}

#[test]
fn a_checkpoint_replaces_the_engine() {
    both(|factory, data| {
        let (replica, incoming) = ready_to_install(factory, data);
        let checkpoint = factory.open_checkpoint(&incoming).unwrap();
        assert_eq!(checkpoint.get(b"k").unwrap().unwrap(), "new");
        drop(checkpoint);
        factory.install(&replica, &incoming).unwrap();
        factory.install(&replica, &incoming).unwrap();
        assert_eq!(value(factory, &replica).unwrap(), "new");
        factory.recover(&replica).unwrap();
        assert_eq!(value(factory, &replica).unwrap(), "new");
    });
}

#[test]
fn what_was_not_installed_is_removed_at_start() {
    both(|factory, data| {
        let (replica, incoming) = ready_to_install(factory, data);
        let second = replica.join("incoming/y");
        factory.receive_file(&second, "000001.sst", 0, b"half a fi").unwrap();
        factory.recover(&replica).unwrap();
        assert_eq!(value(factory, &replica).unwrap(), "old");
        assert!(factory.open_checkpoint(&incoming).is_err());
        assert!(factory.finish_receive(&second).is_err());
    });
}

#[test]
fn an_install_is_finished_or_undone_after_a_crash_at_any_step() {
    let data = tempfile::tempdir().unwrap();
    let factory = rocks();

    // Between the two renames: the checkpoint is complete, so it is finished.
    let (replica, _) = ready_to_install(&factory, &data.path().join("a"));
    std::fs::rename(replica.join("db"), replica.join("db.old")).unwrap();
    factory.recover(&replica).unwrap();
    assert_eq!(value(&factory, &replica).unwrap(), "new");
    assert_eq!(folder::subfolders(&replica).unwrap(), [replica.join("db")]);

    // The same, repeated by the caller instead.
    let (replica, incoming) = ready_to_install(&factory, &data.path().join("b"));
    std::fs::rename(replica.join("db"), replica.join("db.old")).unwrap();
    factory.install(&replica, &incoming).unwrap();
    assert_eq!(value(&factory, &replica).unwrap(), "new");

    // After both renames: only the old engine is left to remove.
    let (replica, incoming) = ready_to_install(&factory, &data.path().join("c"));
    std::fs::rename(replica.join("db"), replica.join("db.old")).unwrap();
    std::fs::rename(&incoming, replica.join("db")).unwrap();
    factory.recover(&replica).unwrap();
    assert_eq!(value(&factory, &replica).unwrap(), "new");
    assert_eq!(folder::subfolders(&replica).unwrap(), [replica.join("db")]);

    // The checkpoint is gone: back to the old engine.
    let (replica, incoming) = ready_to_install(&factory, &data.path().join("d"));
    std::fs::rename(replica.join("db"), replica.join("db.old")).unwrap();
    std::fs::remove_dir_all(&incoming).unwrap();
    factory.recover(&replica).unwrap();
    assert_eq!(value(&factory, &replica).unwrap(), "old");
}

#[test]
fn a_name_from_a_peer_stays_inside_the_folder() {
    both(|factory, data| {
        for name in ["", ".", "..", "../NODE", "a/b", "/etc/passwd", ".hidden", "a\0b"] {
            let refused = factory.receive_file(&data.join("x"), name, 0, b"bytes");
            assert!(matches!(refused, Err(Error::Folder { .. })), "{name:?}");
            assert!(factory.read_file(&data.join("x"), name, 0, 1).is_err(), "{name:?}");
        }
    });
}

#[test]
fn a_gap_in_a_received_file_is_refused() {
    both(|factory, data| {
        let incoming = data.join("incoming/x");
        factory.receive_file(&incoming, "CONTENT", 0, b"0123").unwrap();
        factory.receive_file(&incoming, "CONTENT", 4, b"45").unwrap();
        let refused = factory.receive_file(&incoming, "CONTENT", 7, b"7");
        assert!(matches!(refused, Err(Error::Folder { .. })));
    });
}

#[test]
fn replica_folders_are_found_and_removed_with_all_they_hold() {
    both(|factory, data| {
        let identities = [(1, 10), (2, 20)].map(|(shard, replica)| identity(shard, replica));
        for identity in &identities {
            let replica = data.join(identity.folder_name());
            factory.put_identity(&replica, identity).unwrap();
            set(&*factory.open(&replica).unwrap(), "x");
        }
        let found = factory.replica_folders(data).unwrap();
        let expected = identities.map(|identity| (data.join(identity.folder_name()), identity));
        assert_eq!(found, expected);
        factory.remove(&data.join("1-10")).unwrap();
        factory.remove(&data.join("1-10")).unwrap();
        assert_eq!(factory.replica_folders(data).unwrap(), expected[1..]);
        assert_eq!(value(factory, &data.join("1-10")), None, "a new, empty engine");
    });
}

#[test]
fn a_damaged_identity_takes_out_its_own_replica_and_a_newer_one_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let shared = RocksShared::new(RocksOptions::default()).unwrap();
    let factory = RocksFactory::new(shared);
    let identities = [(1, 10), (2, 20)].map(|(shard, replica)| identity(shard, replica));
    for identity in &identities {
        let replica = data.path().join(identity.folder_name());
        factory.put_identity(&replica, identity).unwrap();
        set(&*factory.open(&replica).unwrap(), "x");
    }
    let file = data.path().join("1-10").join("REPLICA");
    let sound = std::fs::read(&file).unwrap();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        let found = factory.replica_folders(data.path()).unwrap();
        assert_eq!(found.iter().map(|(_, identity)| *identity).collect::<Vec<_>>(), identities);
        let refused = factory.open(&data.path().join("1-10"));
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "byte {at}");
    }
    assert_eq!(value(&factory, &data.path().join("2-20")).as_deref(), Some(&b"x"[..]));
    let mut newer = sound.clone();
    newer[8] += 2;
    let end = newer.len() - 4;
    let crc = crc32fast::hash(&newer[..end]).to_le_bytes();
    newer[end..].copy_from_slice(&crc);
    std::fs::write(&file, &newer).unwrap();
    let refused = factory.replica_folders(data.path()).unwrap_err().to_string();
    assert!(refused.contains("start it with the program that wrote it"), "{refused}");
}

/// A parent's folder with `old` in its open engine.
fn parent(factory: &dyn EngineFactory, data: &Path) -> (PathBuf, Arc<dyn Engine>) {
    let folder = data.join("1-10");
    factory.put_identity(&folder, &identity(1, 10)).unwrap();
    let engine = factory.open(&folder).unwrap();
    set(&*engine, "old");
    (folder, engine)
}

fn setting(key: &'static str, value: &'static str) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(key.as_bytes(), value.as_bytes());
    batch
}

const CHILD: ReplicaIdentity =
    ReplicaIdentity { shard: ShardId(2), replica: ReplicaId(20), since: 7 };

#[test]
fn a_child_has_what_the_parent_had_and_both_go_on_apart() {
    both(|factory, data| {
        let (folder, engine) = parent(factory, data);
        let make = |changes| {
            factory.make_child(&*engine, &folder, &data.join("gone"), &CHILD, changes).unwrap()
        };
        assert!(make(setting("c", "new")));
        set(&*engine, "parent's");
        let found = factory.replica_folders(data).unwrap();
        let child = data.join("2-20");
        assert_eq!(found, [(folder.clone(), identity(1, 10)), (child.clone(), CHILD)]);
        let opened = factory.open(&child).unwrap();
        assert_eq!(opened.get_flushed(b"k").unwrap().unwrap(), "old");
        assert_eq!(opened.get_flushed(b"c").unwrap().unwrap(), "new");
        set(&*opened, "child's");
        assert_eq!(engine.get(b"k").unwrap().unwrap(), "parent's");
        assert_eq!(engine.get(b"c").unwrap(), None);
        // Made again, it stays as it is, though it is open.
        assert!(make(setting("c", "newer")));
        assert_eq!(opened.get(b"c").unwrap().unwrap(), "new");
        assert_eq!(opened.get(b"k").unwrap().unwrap(), "child's");
    });
}

#[test]
fn a_child_that_was_removed_is_not_made_again() {
    both(|factory, data| {
        let (folder, engine) = parent(factory, data);
        let (aside, gone) = (data.join("set-aside"), data.join("gone"));
        let make = |replica: u64| {
            let child = ReplicaIdentity { replica: ReplicaId(replica), ..CHILD };
            factory.make_child(&*engine, &folder, &gone, &child, WriteBatch::new()).unwrap()
        };
        assert!(make(20) && make(21));
        factory.destroy(&data.join("2-20"), &gone).unwrap();
        factory.destroy(&data.join("2-20"), &gone).unwrap();
        let (away, place) = (data.join("2-21"), Some(aside.join("2-21")));
        assert_eq!(factory.set_aside(&away, &aside, &gone).unwrap(), place);
        assert_eq!(factory.set_aside(&away, &aside, &gone).unwrap(), place);
        assert!(!make(20) && !make(21));
        // Nor one that never was here and is known to be gone.
        factory.destroy(&data.join("2-22"), &gone).unwrap();
        assert!(!make(22));
        let here = factory.replica_folders(data).unwrap();
        assert_eq!(here, [(folder.clone(), identity(1, 10))]);
        assert!(make(23));
    });
}

#[test]
fn a_crash_at_any_step_leaves_no_child_or_a_whole_one() {
    let data = tempfile::tempdir().unwrap();
    let factory = rocks();
    let replicas = data.path().join("replicas");
    let (folder, engine) = parent(&factory, &replicas);
    let (child, gone) = (replicas.join("2-20"), data.path().join("gone"));
    let staged = folder.join(CHILD_FOLDER);
    let make = |engine: &dyn Engine| {
        factory.make_child(engine, &folder, &gone, &CHILD, WriteBatch::new()).unwrap()
    };
    // Half a copy, with an identity already; and a folder that was begun and never used.
    folder::create_folder(&staged.join(ENGINE_FOLDER)).unwrap();
    CHILD.write(&staged).unwrap();
    folder::create_folder(&child).unwrap();
    assert_eq!(factory.replica_folders(&replicas).unwrap().len(), 1);
    assert!(make(&*engine));
    assert!(!staged.exists());
    assert_eq!(value(&factory, &child).unwrap(), "old");
    // The parent's next start removes what no attempt will go on with.
    folder::create_folder(&staged.join(ENGINE_FOLDER)).unwrap();
    drop(engine);
    factory.recover(&folder).unwrap();
    assert!(!staged.exists());

    // A removal that ends after its rename.
    let mark = gone.join("2-20");
    folder::create_folder(&gone).unwrap();
    folder::rename(&child, &mark).unwrap();
    assert_eq!(factory.replica_folders(&replicas).unwrap().len(), 1);
    factory.clear_gone(&gone).unwrap();
    assert_eq!(std::fs::read_dir(&mark).unwrap().count(), 0);
    assert!(!make(&*factory.open(&folder).unwrap()));
}

#[test]
fn only_the_newest_removed_replicas_are_remembered() {
    let data = tempfile::tempdir().unwrap();
    let gone = data.path().join("gone");
    for replica in 1..=base::limits::GONE_REPLICAS_MAX {
        std::fs::create_dir_all(gone.join(format!("1-{replica}"))).unwrap();
    }
    rocks().destroy(&data.path().join("replicas/1-5000"), &gone).unwrap();
    let marked = |name: &str| gone.join(name).is_dir();
    assert!(!marked("1-1") && marked("1-2") && marked("1-5000"));
}
