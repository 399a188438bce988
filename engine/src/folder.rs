//! What lies around an engine on disk: identity files, the lock of a data folder, careful file work.
//!
//! ```text
//! data/
//!   LOCK                       held by the one process that uses the folder
//!   NODE                       cluster id, node id, format version
//!   gone/<shard>-<replica>/    empty: that replica was here and must not be made again
//!   replicas/<shard>-<replica>/
//!     REPLICA                  shard id, replica id, for a child its `since`, format version
//!     db/                      the engine
//!     db.old/                  the engine before an install; gone once the install is complete
//!     sending/<name>/          checkpoints being sent (hard links)
//!     incoming/<name>.part/    a checkpoint being received; without `.part` once complete
//!     child/                   the replica folder of a child being made by a split, not complete
//! ```
//!
//! Invariants:
//! 1. An identity file is there whole or not at all: written aside, synced, renamed, folder synced.
//! 2. A file of another format version, with a bad checksum or of another length is an error, never
//!    a guess.
//! 3. Two processes never use one data folder: the lock dies with its process, so a crash needs no
//!    clean-up.
//!
//! Not here: the bytes (`docs/formats.md`), the log's files (`raft`).

use crate::{Error, Result};
use base::{NodeId, ReplicaId, ShardId};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Name of the file that says which node a data folder belongs to.
pub const NODE_FILE: &str = "NODE";
/// Name of the file that says which replica a replica folder holds.
pub const REPLICA_FILE: &str = "REPLICA";
/// Name of the file whose lock keeps a second process out of a data folder.
pub const LOCK_FILE: &str = "LOCK";
/// Name of the engine's folder inside a replica folder.
pub const ENGINE_FOLDER: &str = "db";
/// Name of the folder of checkpoints being sent, inside a replica folder.
pub const SENDING_FOLDER: &str = "sending";
/// Name of the folder of checkpoints being received, inside a replica folder.
pub const INCOMING_FOLDER: &str = "incoming";
/// Name of the folder in which a split makes a child's replica folder, inside the parent's.
pub const CHILD_FOLDER: &str = "child";

/// Format version of an identity file with two ids.
const TWO_IDS: u32 = 1;
/// Format version of an identity file with three; only `REPLICA` has it.
const THREE_IDS: u32 = 2;
/// First bytes of a NODE file.
const NODE_MAGIC: &[u8; 8] = b"PRCTNODE";
/// First bytes of a REPLICA file.
const REPLICA_MAGIC: &[u8; 8] = b"PRCTREPL";
/// Bytes of an identity file before its ids: magic and version.
const IDENTITY_HEAD_BYTES: usize = 8 + 4;

/// Whose data folder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The cluster: a hash of its name. Nodes of two clusters never talk.
    pub cluster: u64,
    /// The node.
    pub node: NodeId,
}

impl NodeIdentity {
    /// Reads `NODE` of a data folder; `None` when the folder has none yet.
    pub fn read(data_folder: &Path) -> Result<Option<NodeIdentity>> {
        let ids = read_identity(&data_folder.join(NODE_FILE), NODE_MAGIC, TWO_IDS)?;
        Ok(ids.map(|[cluster, node, _]| NodeIdentity { cluster, node: NodeId(node) }))
    }

    /// Writes `NODE` of a data folder, creating the folder when needed.
    pub fn write(&self, data_folder: &Path) -> Result<()> {
        let bytes = identity_bytes(NODE_MAGIC, TWO_IDS, &[self.cluster, self.node.0]);
        create_folder(data_folder)?;
        write_atomically(&data_folder.join(NODE_FILE), &bytes)
    }
}

/// Which replica a replica folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaIdentity {
    /// The shard.
    pub shard: ShardId,
    /// The replica.
    pub replica: ReplicaId,
    /// Of a replica that a split has made: the version of the cluster's state that first knew it. An older
    /// state says nothing about it. 0 of any other replica.
    pub since: u64,
}

impl ReplicaIdentity {
    /// The identity of a replica that no split has made.
    pub fn new(shard: ShardId, replica: ReplicaId) -> ReplicaIdentity {
        ReplicaIdentity { shard, replica, since: 0 }
    }

    /// Reads `REPLICA` of a replica folder; `None` when the folder has none.
    pub fn read(replica_folder: &Path) -> Result<Option<ReplicaIdentity>> {
        let ids = read_identity(&replica_folder.join(REPLICA_FILE), REPLICA_MAGIC, THREE_IDS)?;
        Ok(ids.map(|[shard, replica, since]| ReplicaIdentity {
            shard: ShardId(shard),
            replica: ReplicaId(replica),
            since,
        }))
    }

    /// Writes `REPLICA` of a replica folder, creating the folder when needed.
    pub fn write(&self, replica_folder: &Path) -> Result<()> {
        let ids = [self.shard.0, self.replica.0, self.since];
        let bytes = match self.since {
            // As any program before splits wrote it.
            0 => identity_bytes(REPLICA_MAGIC, TWO_IDS, &ids[..2]),
            _ => identity_bytes(REPLICA_MAGIC, THREE_IDS, &ids),
        };
        create_folder(replica_folder)?;
        write_atomically(&replica_folder.join(REPLICA_FILE), &bytes)
    }

    /// What the name of a replica folder says; `None` when it is no such name.
    pub fn from_folder_name(replica_folder: &Path) -> Option<ReplicaIdentity> {
        let (shard, replica) = replica_folder.file_name()?.to_str()?.split_once('-')?;
        let (shard, replica) = (shard.parse().ok()?, replica.parse().ok()?);
        Some(ReplicaIdentity::new(ShardId(shard), ReplicaId(replica)))
    }

    /// The replica folder's name below `replicas/`.
    pub fn folder_name(&self) -> String {
        format!("{}-{}", self.shard.0, self.replica.0)
    }
}

/// The lock of a data folder; held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    /// The locked file; closing it gives the lock back.
    _file: File,
}

impl FolderLock {
    /// Takes the lock of a data folder, creating the folder when needed.
    ///
    /// # Errors
    /// `Folder` when another process holds it.
    pub fn acquire(data_folder: &Path) -> Result<FolderLock> {
        create_folder(data_folder)?;
        let path = data_folder.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| io_error(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Folder {
                path: data_folder.to_path_buf(),
                what: "another process uses this data folder; stop it, or choose another folder"
                    .into(),
            }),
            Err(TryLockError::Error(error)) => Err(io_error(&path, &error)),
        }
    }
}

/// Writes a file so that a crash leaves the old content or the new, never a mixture.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = with_suffix(path, ".tmp");
    let mut file = File::create(&aside).map_err(|error| io_error(&aside, &error))?;
    file.write_all(bytes).map_err(|error| io_error(&aside, &error))?;
    file.sync_all().map_err(|error| io_error(&aside, &error))?;
    rename(&aside, path)
}

/// Creates a folder with its parents and makes its name durable. An existing one stays as it is.
pub fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_folder(parent)?;
    }
    match std::fs::create_dir(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error(path, &error)),
    }
}

/// Renames a file or folder and makes the new name durable, in both parents when they differ.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| io_error(from, &error))?;
    sync_parent(to)?;
    if from.parent() != to.parent() { sync_parent(from) } else { Ok(()) }
}

/// Removes a folder with all it holds. It is renamed first, so that a crash never leaves half a folder
/// under its name. An absent folder is no error.
pub fn remove_folder(path: &Path) -> Result<()> {
    let trash = with_suffix(path, TRASH_SUFFIX);
    remove_tree(&trash)?;
    match std::fs::rename(path, &trash) {
        Ok(()) => sync_parent(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(path, &error)),
    }
    remove_tree(&trash)
}

/// Finishes removals that a crash interrupted: deletes what `remove_folder` renamed inside `parent`.
pub fn remove_trash(parent: &Path) -> Result<()> {
    for path in subfolders(parent)? {
        if has_suffix(&path, TRASH_SUFFIX) {
            remove_tree(&path)?;
        }
    }
    Ok(())
}

/// The folders directly inside a folder, sorted by name; none when it does not exist.
pub fn subfolders(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(parent, &error)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| io_error(parent, &error))?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Makes the names inside a folder durable.
pub fn sync_folder(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(|error| io_error(path, &error))?;
    folder.sync_all().map_err(|error| io_error(path, &error))
}

/// The path with something appended to its last name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether the last name of a path ends in `suffix`.
pub fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(suffix.as_bytes()))
}

/// The system's refusal as our error.
pub fn io_error(path: &Path, error: &std::io::Error) -> Error {
    let (path, what) = (path.to_path_buf(), error.to_string());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::NoSpace { path, what },
        _ => Error::Io { path, what },
    }
}

/// Ending of a folder that waits for its deletion.
const TRASH_SUFFIX: &str = ".trash";

/// Makes the name of `path` durable in its parent.
fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// Deletes a folder with all it holds; an absent one is no error.
fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(path, &error)),
        _ => Ok(()),
    }
}

/// The bytes of an identity file.
fn identity_bytes(magic: &[u8; 8], version: u32, ids: &[u64]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    for id in ids {
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The ids of an identity file, the third 0 when it has two; `None` when there is no such file.
fn read_identity(path: &Path, magic: &[u8; 8], version_max: u32) -> Result<Option<[u64; 3]>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, &error)),
    };
    let corrupt = |what: String| Error::corrupt(path.display().to_string(), what);
    let found = bytes.len();
    let head = bytes.split_last_chunk::<4>().filter(|(head, _)| head.len() >= IDENTITY_HEAD_BYTES);
    let Some((head, crc)) = head else {
        return Err(corrupt(format!("{found} bytes are no identity")));
    };
    let (stored, computed) = (u32::from_le_bytes(*crc), crc32fast::hash(head));
    if stored != computed {
        return Err(corrupt(format!("checksum {stored:08x} stored, {computed:08x} computed")));
    }
    if &head[..8] != magic {
        return Err(corrupt(format!(
            "begins with {:?}, expected {:?}",
            head[..8].escape_ascii().to_string(),
            magic.escape_ascii().to_string()
        )));
    }
    let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    let count = match version {
        TWO_IDS => 2,
        THREE_IDS if version_max >= THREE_IDS => 3,
        _ => {
            return Err(Error::Folder {
                path: path.to_path_buf(),
                what: format!(
                    "it has format version {version}, this program reads up to {version_max}; \
                     start it with the program that wrote it"
                ),
            });
        }
    };
    let (stored, rest) = head[IDENTITY_HEAD_BYTES..].as_chunks::<8>();
    if stored.len() != count || !rest.is_empty() {
        return Err(corrupt(format!("{found} bytes, but {count} ids in format version {version}")));
    }
    let mut ids = [0; 3];
    for (id, stored) in ids.iter_mut().zip(stored) {
        *id = u64::from_le_bytes(*stored);
    }
    Ok(Some(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_round_trip_and_are_absent_before_they_are_written() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("replicas/7-42");
        assert_eq!(ReplicaIdentity::read(&folder).unwrap(), None);
        let replica = ReplicaIdentity::new(ShardId(7), ReplicaId(42));
        replica.write(&folder).unwrap();
        assert_eq!(ReplicaIdentity::read(&folder).unwrap(), Some(replica));
        assert_eq!(replica.folder_name(), "7-42");
        assert_eq!(std::fs::read(folder.join(REPLICA_FILE)).unwrap().len(), 32, "as before splits");

        let child = ReplicaIdentity { since: 9, ..replica };
        child.write(&folder).unwrap();
        assert_eq!(ReplicaIdentity::read(&folder).unwrap(), Some(child));
        let path = folder.join(REPLICA_FILE);
        let head = [&REPLICA_MAGIC[..], &THREE_IDS.to_le_bytes(), &[0; 16]].concat();
        let crc = crc32fast::hash(&head);
        std::fs::write(&path, [&head[..], &crc.to_le_bytes()].concat()).unwrap();
        assert!(matches!(ReplicaIdentity::read(&folder), Err(Error::Corrupt { .. })), "an id less");

        let node = NodeIdentity { cluster: 0xfeed, node: NodeId(3) };
        assert_eq!(NodeIdentity::read(data.path()).unwrap(), None);
        node.write(data.path()).unwrap();
        assert_eq!(NodeIdentity::read(data.path()).unwrap(), Some(node));
    }

    #[test]
    fn every_flipped_bit_of_an_identity_is_noticed() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(NODE_FILE);
        NodeIdentity { cluster: 1, node: NodeId(2) }.write(data.path()).unwrap();
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            let error = NodeIdentity::read(data.path()).unwrap_err();
            assert!(error.to_string().contains(NODE_FILE), "{error}");
        }
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(matches!(NodeIdentity::read(data.path()), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn an_identity_of_another_version_says_what_to_do() {
        let data = tempfile::tempdir().unwrap();
        for version in [THREE_IDS, 9] {
            let bytes = identity_bytes(NODE_MAGIC, version, &[1, 2]);
            std::fs::write(data.path().join(NODE_FILE), &bytes).unwrap();
            let error = NodeIdentity::read(data.path()).unwrap_err();
            assert!(matches!(error, Error::Folder { .. }), "{error}");
            assert!(error.to_string().contains(&format!("format version {version}")), "{error}");
        }
    }

    #[test]
    fn a_data_folder_has_one_user_at_a_time() {
        let data = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(data.path()).unwrap();
        let error = FolderLock::acquire(data.path()).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
        drop(lock);
        FolderLock::acquire(data.path()).unwrap();
    }

    #[test]
    fn an_interrupted_removal_is_finished_later() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("1-1");
        create_folder(&folder.join("db")).unwrap();
        std::fs::rename(&folder, with_suffix(&folder, TRASH_SUFFIX)).unwrap();
        remove_trash(data.path()).unwrap();
        assert_eq!(subfolders(data.path()).unwrap(), Vec::<PathBuf>::new());
        remove_folder(&folder).unwrap();
    }
}
