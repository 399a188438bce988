//! The files under the log: real ones, and simulated ones that forget what was not synced.
//!
//! This is the seam between the log and a disk: whole-file names in one folder, reads and writes at
//! offsets, a sync per file and one for the folder's names. Nothing above it touches a file.

use base::Rng;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A folder of log files.
pub trait LogDisk: Send + Sync + 'static {
    /// Names of all files, in byte order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading and writing; creates an empty one if there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;

    /// Gives a file another name, in place of a file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the folder's names durable.
    fn sync(&self) -> io::Result<()>;

    /// Bytes that can still be written before the disk is full.
    fn free_bytes(&self) -> io::Result<u64>;

    /// How to name a file to people.
    fn place(&self, name: &str) -> String;

    /// How long the next sync takes on a disk that is simulated: the flusher task waits for that long before
    /// it writes.
    fn sync_time(&self) -> Duration {
        Duration::ZERO
    }
}

/// An open file of a [`LogDisk`].
pub trait LogFile: Send + Sync + 'static {
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset` on; fewer bytes only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; the file grows when it must.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything written to this file durable.
    fn sync(&self) -> io::Result<()>;
}

/// Log files in a real folder.
#[derive(Debug)]
pub struct FileDisk {
    /// The folder.
    folder: PathBuf,
}

impl FileDisk {
    /// The log files of this folder, which is created if there is none.
    pub fn open(folder: &Path) -> io::Result<FileDisk> {
        std::fs::create_dir_all(folder)?;
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(FileDisk { folder: folder.to_path_buf() })
    }
}

impl LogDisk for FileDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            // A name that is no UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let path = self.folder.join(name);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.folder.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.folder)?;
        // What the system keeps for its administrator is not ours.
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn place(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

impl LogFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Log files in memory that behave like a disk when the power goes: a synced write stays, of the
/// others a random beginning stays, and the last one that stays may be torn.
///
/// Names (create, rename, remove) are durable at once: the log syncs the folder after each of them.
#[derive(Clone, Debug, Default)]
pub struct SimLogDisk {
    /// What every handle shares.
    state: Arc<Mutex<SimState>>,
}

/// Content of a [`SimLogDisk`].
#[derive(Debug, Default)]
struct SimState {
    /// Files by name.
    files: BTreeMap<String, Arc<Mutex<SimFile>>>,
    /// Syncs until a copy is kept, with the copy once it is.
    copy: Option<(u64, Option<SimLogDisk>)>,
    /// Bytes it holds; `None` is without end.
    capacity: Option<u64>,
    /// How long a sync takes.
    sync_time: Duration,
}

/// Content of one simulated file.
#[derive(Debug, Default)]
struct SimFile {
    /// What a read sees.
    content: Vec<u8>,
    /// What is durable.
    synced: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(u64, Vec<u8>)>,
    /// Counts crashes: a handle from before one reaches nothing any more.
    life: u64,
}

/// A handle on a simulated file.
struct SimHandle {
    /// The disk.
    disk: SimLogDisk,
    /// The file.
    file: Arc<Mutex<SimFile>>,
    /// The life of the file in which it was opened.
    life: u64,
}

impl SimLogDisk {
    /// An empty disk.
    pub fn new() -> SimLogDisk {
        SimLogDisk::default()
    }

    /// Power cut: un-synced writes are lost from a random one on, and the last that is kept may be
    /// torn. Handles from before read and write nothing.
    pub fn crash(&self, rng: &mut Rng) {
        for file in self.state.lock().files.values() {
            let file = &mut *file.lock();
            let mut content = std::mem::take(&mut file.synced);
            let keep = rng.below(file.pending.len() as u64 + 1) as usize;
            for (position, (offset, bytes)) in file.pending.drain(..).take(keep).enumerate() {
                let torn = position + 1 == keep && rng.chance(0.5);
                let length =
                    if torn { rng.below(bytes.len() as u64 + 1) } else { bytes.len() as u64 };
                overwrite(&mut content, offset, &bytes[..length as usize]);
            }
            file.synced = content.clone();
            file.content = content;
            file.life += 1;
        }
    }

    /// Flips bits of one byte: rot, which no sync prevents.
    pub fn corrupt(&self, name: &str, offset: u64, mask: u8) {
        if let Some(file) = self.state.lock().files.get(name) {
            let file = &mut *file.lock();
            for content in [&mut file.content, &mut file.synced] {
                if let Some(byte) = content.get_mut(offset as usize) {
                    *byte ^= mask;
                }
            }
        }
    }

    /// Shortens a file, as a torn write would.
    pub fn cut(&self, name: &str, length: u64) {
        if let Some(file) = self.state.lock().files.get(name) {
            let file = &mut *file.lock();
            file.content.truncate(length as usize);
            file.synced.truncate(length as usize);
        }
    }

    /// Gives the disk a size: files that would grow beyond it fail to.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        let state = self.state.lock();
        state.files.values().map(|file| file.lock().content.len() as u64).sum()
    }

    /// Bytes left of the size it was given.
    fn left(&self) -> u64 {
        let capacity = self.state.lock().capacity;
        capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()))
    }

    /// From now on a sync takes this long.
    pub fn set_sync_time(&self, sync_time: Duration) {
        self.state.lock().sync_time = sync_time;
    }

    /// Keeps a copy of the disk as it is right before the sync after the next `syncs`: to cut the power
    /// in the middle of a flush.
    pub fn copy_before_sync(&self, syncs: u64) {
        self.state.lock().copy = Some((syncs, None));
    }

    /// The copy, once it has been made.
    pub fn take_copy(&self) -> Option<SimLogDisk> {
        self.state.lock().copy.as_mut().and_then(|(_, copy)| copy.take())
    }

    /// Counts a sync, and keeps the copy when it is time.
    fn before_sync(&self) {
        let due = match &mut self.state.lock().copy {
            Some((left @ 1.., None)) => {
                *left -= 1;
                false
            }
            Some((0, None)) => true,
            _ => false,
        };
        if due {
            let fork = self.fork();
            // Counted down for good: one copy per request.
            self.state.lock().copy = Some((u64::MAX, Some(fork)));
        }
    }

    /// A copy with a life of its own.
    pub fn fork(&self) -> SimLogDisk {
        let copy = SimLogDisk::new();
        for (name, file) in &self.state.lock().files {
            let file = file.lock();
            let twin = SimFile {
                content: file.content.clone(),
                synced: file.synced.clone(),
                pending: file.pending.clone(),
                life: 0,
            };
            copy.state.lock().files.insert(name.clone(), Arc::new(Mutex::new(twin)));
        }
        copy
    }
}

/// Writes into a growing buffer.
fn overwrite(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = offset as usize;
    let end = start + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

impl LogDisk for SimLogDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let file = self.state.lock().files.entry(name.to_string()).or_default().clone();
        let life = file.lock().life;
        Ok(Arc::new(SimHandle { disk: self.clone(), file, life }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_string(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state.lock().files.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.left())
    }

    fn place(&self, name: &str) -> String {
        format!("log/{name}")
    }

    fn sync_time(&self) -> Duration {
        self.state.lock().sync_time
    }
}

impl LogFile for SimHandle {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.lock().content.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.file.lock();
        let start = (offset as usize).min(file.content.len());
        let count = buffer.len().min(file.content.len() - start);
        buffer[..count].copy_from_slice(&file.content[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let grows = (offset + bytes.len() as u64).saturating_sub(self.length()?);
        if grows > 0 && grows > self.disk.left() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut file = self.file.lock();
        if file.life == self.life {
            overwrite(&mut file.content, offset, bytes);
            file.pending.push((offset, bytes.to_vec()));
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.before_sync();
        let file = &mut *self.file.lock();
        if file.life == self.life {
            for (offset, bytes) in file.pending.drain(..) {
                overwrite(&mut file.synced, offset, &bytes);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_synced_writes_and_loses_a_suffix_of_the_others() {
        for seed in 0..50 {
            let disk = SimLogDisk::new();
            let file = disk.open("a").unwrap();
            file.write_at(0, b"kept").unwrap();
            file.sync().unwrap();
            file.write_at(4, b"1111").unwrap();
            file.write_at(8, b"2222").unwrap();
            disk.crash(&mut Rng::seeded(seed));
            let mut content = vec![0; 12];
            let count = disk.open("a").unwrap().read_at(0, &mut content).unwrap();
            assert!(b"kept11112222".starts_with(&content[..count]));
            assert!(count >= 4);
        }
    }

    #[test]
    fn a_full_disk_takes_what_lies_in_a_file_and_nothing_more() {
        let disk = SimLogDisk::new();
        let file = disk.open("a").unwrap();
        file.write_at(0, &[0; 100]).unwrap();
        disk.set_capacity(Some(120));
        assert_eq!(disk.free_bytes().unwrap(), 20);
        file.write_at(40, &[1; 60]).unwrap();
        let error = file.write_at(90, &[1; 31]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disk.set_capacity(None);
        file.write_at(90, &[1; 31]).unwrap();
    }

    #[test]
    fn a_real_disk_tells_its_free_space() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(&folder.path().join("log")).unwrap();
        assert!(disk.free_bytes().unwrap() > 0);
    }

    #[test]
    fn a_handle_from_before_a_crash_writes_nothing() {
        let disk = SimLogDisk::new();
        let old = disk.open("a").unwrap();
        disk.crash(&mut Rng::seeded(1));
        old.write_at(0, b"ghost").unwrap();
        old.sync().unwrap();
        assert_eq!(disk.open("a").unwrap().length().unwrap(), 0);
    }
}
