//! Opening, sending and installing a replica's engine without naming RocksDB.
//!
//! A replica's engine lives in `<replica folder>/db`. A replica that lags too far gets a checkpoint of
//! the leader's engine, file by file, and installs it in place of its own:
//!
//! ```text
//! sender     checkpoint(sending/x) ─ checkpoint_files ─ read_file …
//! receiver   receive_file(incoming/x) …     files in incoming/x.part, not synced
//!            finish_receive(incoming/x)     files synced, then renamed: incoming/x is complete
//!            install(replica, incoming/x)   db → db.old, incoming/x → db, db.old removed
//! ```
//!
//! A split copies a replica's engine into the folder of another replica on the same node, the child's:
//!
//! ```text
//! make_child     replicas/3-17/child/db      the copy; then its own changes, synced, and its identity
//!                replicas/3-17/child ──renamed──> replicas/9-40
//! ```
//!
//! Invariants:
//! 1. `incoming/x` exists only complete; what is not complete is called `incoming/x.part`.
//! 2. At every moment of an install there is `db`, or `db.old` together with a complete checkpoint.
//!    `recover` finishes or undoes it, whatever the moment of the crash.
//! 3. Every step may be repeated.
//! 4. A name that comes from a peer is a plain file name, or it is refused.
//! 5. A child's folder exists only complete, and a replica that was removed is never made again.
//!
//! Not here: checksums of chunks and what a checkpoint means (`raft`).

mod gone;

use crate::folder::{
    self, CHILD_FOLDER, ENGINE_FOLDER, INCOMING_FOLDER, ReplicaIdentity, SENDING_FOLDER,
    has_suffix, io_error, with_suffix,
};
use crate::mvcc::{decode_batch, encode_batch};
use crate::sim::{ChildStep, Store};
use crate::{Engine, Error, Mutation, Result, RocksEngine, RocksShared, SimDisk, WriteBatch};
use bytes::Bytes;
use rustix::fs::Advice;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ending of a folder whose checkpoint is not complete.
const PART_SUFFIX: &str = ".part";
/// Ending of the engine's folder that an install is about to replace.
const OLD_SUFFIX: &str = ".old";
/// The one file of a simulated checkpoint.
const SIM_FILE: &str = "CONTENT";

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Its name inside the checkpoint's folder; never a path.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
}

/// Makes the engines of a node's replicas. Folders are full paths; the factory decides what they mean.
pub trait EngineFactory: Send + Sync + 'static {
    /// Opens the engine of a replica folder, creating it when there is none.
    fn open(&self, replica_folder: &Path) -> Result<Arc<dyn Engine>>;

    /// Opens a complete checkpoint for reading: to learn which log id it holds.
    fn open_checkpoint(&self, dir: &Path) -> Result<Arc<dyn Engine>>;

    /// The files of a checkpoint, sorted by name.
    fn checkpoint_files(&self, dir: &Path) -> Result<Vec<CheckpointFile>>;

    /// Up to `max_len` bytes of a checkpoint's file from `offset` on; empty at its end.
    fn read_file(&self, dir: &Path, name: &str, offset: u64, max_len: usize) -> Result<Bytes>;

    /// Writes a piece of a file that is being received for `dir`. Pieces come in order; one may come
    /// again.
    fn receive_file(&self, dir: &Path, name: &str, offset: u64, data: &[u8]) -> Result<()>;

    /// Declares a received checkpoint complete: all it holds is synced, then it gets its name `dir`.
    fn finish_receive(&self, dir: &Path) -> Result<()>;

    /// Puts a complete checkpoint in place of a replica's engine, of which nothing may be open. May be
    /// repeated after a crash.
    fn install(&self, replica_folder: &Path, incoming: &Path) -> Result<()>;

    /// Makes the replica folder of `child` beside a parent's, `replica_folder`: the content of the parent's
    /// open engine with `changes`, all of it synced before the folder gets its name. Says whether the folder
    /// is there now: one that was there stays as it is, and one that has a mark in `gone` is not made again. May
    /// be repeated after a crash or an error.
    fn make_child(
        &self,
        parent: &dyn Engine,
        replica_folder: &Path,
        gone: &Path,
        child: &ReplicaIdentity,
        changes: WriteBatch,
    ) -> Result<bool>;

    /// Before a replica folder is opened: finishes or undoes a half-done install, removes what was
    /// being sent or received, and a child that was being made.
    fn recover(&self, replica_folder: &Path) -> Result<()>;

    /// Removes a checkpoint, a half-received one, or a whole replica folder, which may be made again. Absent is
    /// no error.
    fn remove(&self, dir: &Path) -> Result<()>;

    /// Removes a replica folder for ever and leaves its mark in `gone`, so that [`EngineFactory::make_child`] does
    /// not make it again. Absent is no error. May be repeated after a crash.
    fn destroy(&self, replica_folder: &Path, gone: &Path) -> Result<()>;

    /// Finishes what [`EngineFactory::destroy`] began before a crash.
    fn clear_gone(&self, gone: &Path) -> Result<()>;

    /// Moves a replica folder below `aside`, where nothing opens it again, and says where it is now; `None`
    /// when there is none. Leaves its mark in `gone`. May be repeated after a crash.
    fn set_aside(
        &self,
        replica_folder: &Path,
        aside: &Path,
        gone: &Path,
    ) -> Result<Option<PathBuf>>;

    /// Says which replica a replica folder holds, creating the folder.
    fn put_identity(&self, replica_folder: &Path, identity: &ReplicaIdentity) -> Result<()>;

    /// The replica folders below a folder with their identities, sorted by path. Finishes removals
    /// that a crash interrupted; a folder without an identity was never used and is left out.
    fn replica_folders(&self, replicas: &Path) -> Result<Vec<(PathBuf, ReplicaIdentity)>>;
}

/// Engines on RocksDB in real folders.
pub struct RocksFactory {
    /// What the node's instances share.
    shared: Arc<RocksShared>,
}

impl RocksFactory {
    /// A factory whose engines share cache, buffers and threads.
    pub fn new(shared: Arc<RocksShared>) -> RocksFactory {
        RocksFactory { shared }
    }
}

impl EngineFactory for RocksFactory {
    fn open(&self, replica_folder: &Path) -> Result<Arc<dyn Engine>> {
        // Listing folders goes by names where this file is damaged: here it is found out, for one replica.
        ReplicaIdentity::read(replica_folder)?;
        Ok(Arc::new(RocksEngine::open(&self.shared, &replica_folder.join(ENGINE_FOLDER))?))
    }

    fn open_checkpoint(&self, dir: &Path) -> Result<Arc<dyn Engine>> {
        Ok(Arc::new(RocksEngine::open_checkpoint(&self.shared, dir)?))
    }

    fn checkpoint_files(&self, dir: &Path) -> Result<Vec<CheckpointFile>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|error| io_error(dir, &error))? {
            let entry = entry.map_err(|error| io_error(dir, &error))?;
            let metadata = entry.metadata().map_err(|error| io_error(&entry.path(), &error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // LOG and LOCK tell of the process that opened the folder, not of its data.
            if metadata.is_file() && !name.starts_with("LOG") && name != "LOCK" {
                files.push(CheckpointFile { name, bytes: metadata.len() });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn read_file(&self, dir: &Path, name: &str, offset: u64, max_len: usize) -> Result<Bytes> {
        let path = dir.join(plain(dir, name)?);
        let file = File::open(&path).map_err(|error| io_error(&path, &error))?;
        let mut data = vec![0; max_len];
        let mut filled = 0;
        while filled < max_len {
            match file.read_at(&mut data[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error(&path, &error)),
            }
        }
        data.truncate(filled);
        Ok(data.into())
    }

    fn receive_file(&self, dir: &Path, name: &str, offset: u64, data: &[u8]) -> Result<()> {
        let part = with_suffix(dir, PART_SUFFIX);
        let path = part.join(plain(dir, name)?);
        folder::create_folder(&part)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| io_error(&path, &error))?;
        let present = file.metadata().map_err(|error| io_error(&path, &error))?.len();
        check_offset(&path, offset, present)?;
        file.write_all_at(data, offset).map_err(|error| io_error(&path, &error))?;
        // The kernel begins to write it now and forgets it. Left alone it would collect until `finish_receive`, and
        // that one big sync would hold up every sync of the Raft log on the same disk. Only advice: a file system
        // that does not take it is slower and not wrong.
        if let Some(length) = NonZeroU64::new(data.len() as u64) {
            let _ = rustix::fs::fadvise(&file, offset, Some(length), Advice::DontNeed);
        }
        Ok(())
    }

    fn finish_receive(&self, dir: &Path) -> Result<()> {
        let part = with_suffix(dir, PART_SUFFIX);
        if dir.is_dir() && !part.exists() {
            return Ok(());
        }
        for file in self.checkpoint_files(&part)? {
            let path = part.join(file.name);
            let file = File::open(&path).map_err(|error| io_error(&path, &error))?;
            file.sync_all().map_err(|error| io_error(&path, &error))?;
        }
        folder::sync_folder(&part)?;
        folder::rename(&part, dir)
    }

    fn install(&self, replica_folder: &Path, incoming: &Path) -> Result<()> {
        let db = replica_folder.join(ENGINE_FOLDER);
        let old = with_suffix(&db, OLD_SUFFIX);
        if incoming.is_dir() {
            if db.is_dir() {
                // With both of them there, `db.old` is left from an install that was complete.
                folder::remove_folder(&old)?;
                folder::rename(&db, &old)?;
            }
            folder::rename(incoming, &db)?;
        } else if !db.is_dir() {
            return Err(no_checkpoint(incoming));
        }
        folder::remove_folder(&old)
    }

    fn make_child(
        &self,
        parent: &dyn Engine,
        replica_folder: &Path,
        gone: &Path,
        child: &ReplicaIdentity,
        changes: WriteBatch,
    ) -> Result<bool> {
        let target = replica_folder.with_file_name(child.folder_name());
        if gone::is_there(&target)? {
            return Ok(true);
        }
        if gone::mark_of(&target, gone).is_some_and(|mark| mark.is_dir()) {
            return Ok(false);
        }
        let staged = replica_folder.join(CHILD_FOLDER);
        folder::remove_folder(&staged)?;
        let db = staged.join(ENGINE_FOLDER);
        parent.checkpoint(&db)?;
        let engine = RocksEngine::open(&self.shared, &db)?;
        engine.write(changes)?;
        engine.flush()?;
        drop(engine);
        child.write(&staged)?;
        // One without an identity was never used.
        folder::remove_folder(&target)?;
        folder::rename(&staged, &target)?;
        Ok(true)
    }

    fn recover(&self, replica_folder: &Path) -> Result<()> {
        let db = replica_folder.join(ENGINE_FOLDER);
        let old = with_suffix(&db, OLD_SUFFIX);
        let incoming = replica_folder.join(INCOMING_FOLDER);
        folder::remove_trash(replica_folder)?;
        if !db.is_dir() {
            match complete(folder::subfolders(&incoming)?) {
                Some(checkpoint) => self.install(replica_folder, &checkpoint)?,
                None if old.is_dir() => folder::rename(&old, &db)?,
                None => {}
            }
        }
        folder::remove_folder(&old)?;
        folder::remove_folder(&incoming)?;
        folder::remove_folder(&replica_folder.join(CHILD_FOLDER))?;
        folder::remove_folder(&replica_folder.join(SENDING_FOLDER))
    }

    fn remove(&self, dir: &Path) -> Result<()> {
        folder::remove_folder(&with_suffix(dir, PART_SUFFIX))?;
        folder::remove_folder(dir)
    }

    fn destroy(&self, replica_folder: &Path, gone: &Path) -> Result<()> {
        gone::destroy(replica_folder, gone)
    }

    fn clear_gone(&self, gone: &Path) -> Result<()> {
        gone::clear(gone)
    }

    fn set_aside(
        &self,
        replica_folder: &Path,
        aside: &Path,
        gone: &Path,
    ) -> Result<Option<PathBuf>> {
        let Some(name) = replica_folder.file_name() else { return Ok(None) };
        let kept = aside.join(name);
        if replica_folder.is_dir() {
            folder::create_folder(aside)?;
            folder::rename(replica_folder, &kept)?;
        }
        gone::note(replica_folder, gone)?;
        Ok(kept.is_dir().then_some(kept))
    }

    fn put_identity(&self, replica_folder: &Path, identity: &ReplicaIdentity) -> Result<()> {
        identity.write(replica_folder)
    }

    fn replica_folders(&self, replicas: &Path) -> Result<Vec<(PathBuf, ReplicaIdentity)>> {
        folder::remove_trash(replicas)?;
        let mut found = Vec::new();
        for path in folder::subfolders(replicas)? {
            let identity = match ReplicaIdentity::read(&path) {
                // One damaged file says nothing about the node's other replicas.
                Err(error @ Error::Corrupt { .. }) => {
                    Some(ReplicaIdentity::from_folder_name(&path).ok_or(error)?)
                }
                other => other?,
            };
            if let Some(identity) = identity {
                found.push((path, identity));
            }
        }
        Ok(found)
    }
}

/// Engines on a simulated disk. Renames there cannot be half done, so there is little to recover.
pub struct SimFactory {
    /// The node's disk.
    disk: Arc<SimDisk>,
}

impl SimFactory {
    /// A factory of engines on this disk.
    pub fn new(disk: Arc<SimDisk>) -> SimFactory {
        SimFactory { disk }
    }

    /// The bytes of a checkpoint's one file.
    fn file(&self, dir: &Path) -> Result<Bytes> {
        let store = self.disk.content.lock().stores.get(dir).cloned();
        let store = store.ok_or_else(|| no_checkpoint(dir))?;
        let mut batch = WriteBatch::new();
        for (key, value) in store.entries() {
            batch.put(key, value);
        }
        Ok(encode_batch(&batch))
    }
}

impl EngineFactory for SimFactory {
    fn open(&self, replica_folder: &Path) -> Result<Arc<dyn Engine>> {
        Ok(Arc::new(self.disk.open(&replica_folder.join(ENGINE_FOLDER))?))
    }

    fn open_checkpoint(&self, dir: &Path) -> Result<Arc<dyn Engine>> {
        Ok(Arc::new(self.disk.open_checkpoint(dir)?))
    }

    fn checkpoint_files(&self, dir: &Path) -> Result<Vec<CheckpointFile>> {
        let bytes = self.file(dir)?.len() as u64;
        Ok(vec![CheckpointFile { name: SIM_FILE.into(), bytes }])
    }

    fn read_file(&self, dir: &Path, name: &str, offset: u64, max_len: usize) -> Result<Bytes> {
        plain(dir, name)?;
        let file = self.file(dir)?;
        let start = usize::try_from(offset).map_or(file.len(), |offset| offset.min(file.len()));
        Ok(file.slice(start..start.saturating_add(max_len).min(file.len())))
    }

    fn receive_file(&self, dir: &Path, name: &str, offset: u64, data: &[u8]) -> Result<()> {
        plain(dir, name)?;
        let mut content = self.disk.content.lock();
        let files = content.received.entry(dir.to_path_buf()).or_default();
        let file = files.entry(name.to_string()).or_default();
        check_offset(&dir.join(name), offset, file.len() as u64)?;
        let start = offset as usize;
        let overlap = data.len().min(file.len() - start);
        file[start..start + overlap].copy_from_slice(&data[..overlap]);
        file.extend_from_slice(&data[overlap..]);
        Ok(())
    }

    fn finish_receive(&self, dir: &Path) -> Result<()> {
        let mut content = self.disk.content.lock();
        let Some(files) = content.received.remove(dir) else {
            return match content.stores.contains_key(dir) {
                true => Ok(()),
                false => Err(no_checkpoint(dir)),
            };
        };
        let file = files.get(SIM_FILE).ok_or_else(|| no_checkpoint(dir))?;
        let mut entries = BTreeMap::new();
        for mutation in decode_batch(file)?.into_mutations() {
            if let Mutation::Put { key, value } = mutation {
                entries.insert(key, value);
            }
        }
        content.stores.insert(dir.to_path_buf(), Store::of(entries));
        Ok(())
    }

    fn install(&self, replica_folder: &Path, incoming: &Path) -> Result<()> {
        let db = replica_folder.join(ENGINE_FOLDER);
        let mut content = self.disk.content.lock();
        if content.stores.get(&db).is_some_and(|store| store.is_open()) {
            return Err(Error::Io { path: db, what: "it is open; close it before".into() });
        }
        match content.stores.remove(incoming) {
            Some(store) => {
                content.stores.insert(db, store);
                Ok(())
            }
            None if content.stores.contains_key(&db) => Ok(()),
            None => Err(no_checkpoint(incoming)),
        }
    }

    fn make_child(
        &self,
        parent: &dyn Engine,
        replica_folder: &Path,
        gone: &Path,
        child: &ReplicaIdentity,
        changes: WriteBatch,
    ) -> Result<bool> {
        let target = replica_folder.with_file_name(child.folder_name());
        let (is_there, is_gone) = {
            let content = self.disk.content.lock();
            let mark = gone.join(child.folder_name());
            (content.identities.contains_key(&target), content.gone.contains(&mark))
        };
        if is_there {
            return self.disk.stumble(ChildStep::Placed, &target).map(|()| true);
        }
        if is_gone {
            return Ok(false);
        }
        let staged = replica_folder.join(CHILD_FOLDER);
        self.remove(&staged)?;
        let db = staged.join(ENGINE_FOLDER);
        parent.checkpoint(&db)?;
        self.disk.stumble(ChildStep::Copied, &db)?;
        let engine = self.disk.open(&db)?;
        engine.write(changes)?;
        engine.flush()?;
        drop(engine);
        self.remove(&target)?;
        {
            let mut content = self.disk.content.lock();
            let store = content.stores.remove(&db).ok_or_else(|| no_checkpoint(&db))?;
            content.stores.insert(target.join(ENGINE_FOLDER), store);
            content.identities.insert(target.clone(), *child);
        }
        self.disk.stumble(ChildStep::Placed, &target)?;
        Ok(true)
    }

    fn recover(&self, replica_folder: &Path) -> Result<()> {
        let db = replica_folder.join(ENGINE_FOLDER);
        let incoming = replica_folder.join(INCOMING_FOLDER);
        let found = {
            let content = self.disk.content.lock();
            let missing = !content.stores.contains_key(&db);
            let inside = content.stores.keys().filter(|path| path.starts_with(&incoming));
            missing.then(|| complete(inside.cloned().collect())).flatten()
        };
        if let Some(checkpoint) = found {
            self.install(replica_folder, &checkpoint)?;
        }
        self.remove(&incoming)?;
        self.remove(&replica_folder.join(CHILD_FOLDER))?;
        self.remove(&replica_folder.join(SENDING_FOLDER))
    }

    fn remove(&self, dir: &Path) -> Result<()> {
        let mut content = self.disk.content.lock();
        content.stores.retain(|path, _| !path.starts_with(dir));
        content.received.retain(|path, _| !path.starts_with(dir));
        content.identities.retain(|path, _| !path.starts_with(dir));
        Ok(())
    }

    fn destroy(&self, replica_folder: &Path, gone: &Path) -> Result<()> {
        self.remove(replica_folder)?;
        self.disk.content.lock().gone.extend(gone::mark_of(replica_folder, gone));
        Ok(())
    }

    fn clear_gone(&self, _gone: &Path) -> Result<()> {
        Ok(())
    }

    fn set_aside(
        &self,
        replica_folder: &Path,
        aside: &Path,
        gone: &Path,
    ) -> Result<Option<PathBuf>> {
        let Some(name) = replica_folder.file_name() else { return Ok(None) };
        let kept = aside.join(name);
        let mut content = self.disk.content.lock();
        let below = |path: &PathBuf| path.starts_with(replica_folder);
        let moved: Vec<PathBuf> =
            content.stores.keys().filter(|path| below(path)).cloned().collect();
        for path in moved {
            let Ok(rest) = path.strip_prefix(replica_folder) else { continue };
            let to = kept.join(rest);
            if let Some(store) = content.stores.remove(&path) {
                content.stores.insert(to, store);
            }
        }
        content.received.retain(|path, _| !path.starts_with(replica_folder));
        if let Some(identity) = content.identities.remove(replica_folder) {
            content.identities.insert(kept.clone(), identity);
        }
        content.gone.insert(gone.join(name));
        Ok(content.identities.contains_key(&kept).then_some(kept))
    }

    fn put_identity(&self, replica_folder: &Path, identity: &ReplicaIdentity) -> Result<()> {
        self.disk.content.lock().identities.insert(replica_folder.to_path_buf(), *identity);
        Ok(())
    }

    fn replica_folders(&self, replicas: &Path) -> Result<Vec<(PathBuf, ReplicaIdentity)>> {
        let content = self.disk.content.lock();
        let inside = content.identities.iter().filter(|(path, _)| path.parent() == Some(replicas));
        Ok(inside.map(|(path, identity)| (path.clone(), *identity)).collect())
    }
}

/// The one complete checkpoint among folders. With several nobody can say which was being installed,
/// and none is: the old engine is as good, and the leader sends again.
fn complete(folders: Vec<PathBuf>) -> Option<PathBuf> {
    let mut complete = folders.into_iter().filter(|path| !has_suffix(path, PART_SUFFIX));
    let first = complete.next()?;
    complete.next().is_none().then_some(first)
}

/// The name, when it is a plain file name: it comes from a peer and must not leave the folder.
fn plain<'a>(dir: &Path, name: &'a str) -> Result<&'a str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(allowed) {
        return Err(Error::Folder {
            path: dir.to_path_buf(),
            what: format!("{name:?} is not the name of a checkpoint's file"),
        });
    }
    Ok(name)
}

/// Pieces of a file come in order: a gap would leave bytes that nobody sent.
fn check_offset(path: &Path, offset: u64, present: u64) -> Result<()> {
    if offset > present {
        return Err(Error::Folder {
            path: path.to_path_buf(),
            what: format!("a piece for offset {offset} came when {present} bytes were there"),
        });
    }
    Ok(())
}

fn no_checkpoint(dir: &Path) -> Error {
    Error::Folder { path: dir.to_path_buf(), what: "there is no complete checkpoint in it".into() }
}

#[cfg(test)]
mod tests;
