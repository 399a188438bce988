//! What the runner has changed on this machine and how to undo it, in a file, so that nothing is left
//! behind even when the runner dies.
//!
//! ```text
//! {"id":1,"made":{"namespace":{"name":"pd-3fa1c2-0"}}}    before it is made
//! {"id":2,"made":{"process":{"pid":4711,"started":99}}}
//! {"id":2,"undone":true}                                   after it is gone
//! ```
//!
//! Invariants:
//! 1. A line is written before the change, so that a crash between the two leaves a line too many, never
//!    a change too many. Undoing what was never made is no error. (Only a process is written right after
//!    its start, when its number is known; it ends by itself with its parent.)
//! 2. The runner holds a lock on its file. A file that can be locked belongs to a dead runner, and
//!    whoever locks it may undo.
//! 3. Undoing goes backwards: processes before the mounts they use, mounts before folders.
//! 4. Only what carries this module's prefix is ever removed.

use super::error::Error;
use super::kernel::{self, Signal};
use super::process::ProcessId;
use super::tool;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// First letters of each namespace and folder that a runner makes.
pub const PREFIX: &str = "pd-";

/// One change and its undoing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// A process to be killed.
    Process(ProcessId),
    /// A network namespace to be deleted, with all its links and rules.
    Namespace {
        /// Its name.
        name: String,
    },
    /// A mounted image to be unmounted.
    Mount {
        /// Where.
        path: PathBuf,
    },
    /// A frozen file system to be thawed.
    Freeze {
        /// Where it is mounted.
        path: PathBuf,
    },
    /// A folder to be removed with everything in it.
    Folder {
        /// Where.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
struct Line {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<Undo>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    undone: bool,
}

/// A runner's journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    next: u64,
    /// Changes that stand, by number.
    standing: BTreeMap<u64, Undo>,
}

/// Where journals lie when nobody says otherwise. Gone after a reboot, like the namespaces and mounts
/// that they describe.
pub fn default_folder() -> PathBuf {
    if kernel::is_root() {
        return PathBuf::from("/run/precinct-drill");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) => PathBuf::from(folder).join("precinct-drill"),
        None => std::env::temp_dir().join(format!("precinct-drill-{}", kernel::user())),
    }
}

impl Journal {
    /// Begins a journal of this name in the folder and locks it.
    ///
    /// # Errors
    /// When the folder cannot be written, or a living runner uses the name.
    pub fn create(folder: &Path, name: &str) -> Result<Journal, Error> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(folder)
            .map_err(|error| Error::system(format!("folder {}", folder.display()), error))?;
        let path = folder.join(format!("{name}.journal"));
        let what = || format!("journal {}", path.display());
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(|error| Error::system(what(), error))?;
        file.try_lock().map_err(|error| Error::system(what(), error))?;
        Ok(Journal { file, path, next: 1, standing: BTreeMap::new() })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down a change that is about to be made; the number undoes it.
    ///
    /// # Errors
    /// When the line cannot be written: then the change must not be made.
    pub fn made(&mut self, undo: Undo) -> Result<u64, Error> {
        let id = self.next;
        self.next += 1;
        self.append(&Line { id, made: Some(undo.clone()), undone: false })?;
        self.standing.insert(id, undo);
        Ok(id)
    }

    /// Undoes one change. Undoing twice is no error.
    ///
    /// # Errors
    /// When the system refuses; the change stays in the journal.
    pub fn undo(&mut self, id: u64) -> Result<(), Error> {
        let Some(undo) = self.standing.get(&id) else { return Ok(()) };
        undo.run()?;
        self.gone(id)
    }

    /// Writes down that a change has gone without our doing, such as a process that ended.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn gone(&mut self, id: u64) -> Result<(), Error> {
        if self.standing.remove(&id).is_some() {
            self.append(&Line { id, made: None, undone: true })?;
        }
        Ok(())
    }

    /// Undoes everything, newest first, and removes the journal. Returns what could not be undone; the
    /// journal stays then.
    pub fn close(&mut self) -> Vec<Error> {
        let ids: Vec<u64> = self.standing.keys().rev().copied().collect();
        let failures: Vec<Error> = ids.into_iter().filter_map(|id| self.undo(id).err()).collect();
        if failures.is_empty() {
            // Without the file the next start has nothing to do; with it, it would do nothing again.
            let _ = std::fs::remove_file(&self.path);
        }
        failures
    }

    fn append(&mut self, line: &Line) -> Result<(), Error> {
        let what = || format!("journal {}", self.path.display());
        let mut text = serde_json::to_vec(line).map_err(|error| Error::system(what(), error))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(|error| Error::system(what(), error))
    }

    /// Takes over the journal of a dead runner; `None` when its runner lives.
    fn take_over(path: &Path) -> Result<Option<Journal>, Error> {
        let what = || format!("journal {}", path.display());
        let opened = OpenOptions::new().read(true).append(true).open(path);
        let mut file = match opened {
            Ok(file) => file,
            // Its runner removed it just now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::system(what(), error)),
        };
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| Error::system(what(), error))?;
        let mut standing = BTreeMap::new();
        let mut next = 1;
        for line in text.lines() {
            // The last line of a runner that died while writing it; its change was not made.
            let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
            next = next.max(line.id + 1);
            match line.made {
                Some(undo) => standing.insert(line.id, undo),
                None => standing.remove(&line.id),
            };
        }
        Ok(Some(Journal { file, path: path.to_path_buf(), next, standing }))
    }
}

/// What was done about one dead runner's leavings.
#[derive(Debug)]
pub struct Recovered {
    /// Its journal.
    pub journal: PathBuf,
    /// Changes that were undone.
    pub undone: usize,
    /// Changes that could not be undone; the journal stays for the next try.
    pub failures: Vec<Error>,
}

/// Undoes what dead runners left behind. Journals of living runners are left alone.
///
/// # Errors
/// When the folder or a journal cannot be read.
pub fn recover(folder: &Path) -> Result<Vec<Recovered>, Error> {
    let mut recovered = Vec::new();
    for path in journals(folder)? {
        let Some(mut journal) = Journal::take_over(&path)? else { continue };
        let undone = journal.standing.len();
        let failures = journal.close();
        recovered.push(Recovered { journal: path, undone: undone - failures.len(), failures });
    }
    Ok(recovered)
}

/// Journals whose runners live.
///
/// # Errors
/// When the folder or a journal cannot be read.
pub fn running(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut running = Vec::new();
    for path in journals(folder)? {
        let Ok(file) = File::open(&path) else { continue };
        if file.try_lock().is_err() {
            running.push(path);
        }
    }
    Ok(running)
}

fn journals(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::system(format!("folder {}", folder.display()), error)),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    paths.sort();
    Ok(paths)
}

impl Undo {
    fn run(&self) -> Result<(), Error> {
        match self {
            Undo::Process(process) => {
                // A stopped process dies of SIGKILL all the same.
                process
                    .kill()
                    .map_err(|error| Error::system(format!("killing {}", process.pid), error))
            }
            Undo::Namespace { name } => {
                ours(name)?;
                if !Path::new("/run/netns").join(name).exists() {
                    return Ok(());
                }
                tool::run("ip", &["netns", "del", name]).map(drop)
            }
            Undo::Mount { path } => {
                if !is_mounted(path) {
                    return Ok(());
                }
                tool::run("umount", &["--lazy", &path.to_string_lossy()]).map(drop)
            }
            Undo::Freeze { path } => {
                if !is_mounted(path) {
                    return Ok(());
                }
                match tool::run("fsfreeze", &["--unfreeze", &path.to_string_lossy()]) {
                    // Not frozen (any more).
                    Err(Error::System { why, .. }) if why.contains("Invalid argument") => Ok(()),
                    other => other.map(drop),
                }
            }
            Undo::Folder { path } => {
                ours(&path.file_name().unwrap_or_default().to_string_lossy())?;
                match std::fs::remove_dir_all(path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        Err(Error::system(format!("removing {}", path.display()), error))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Refuses names that no runner gives, whatever a damaged journal says.
fn ours(name: &str) -> Result<(), Error> {
    if name.starts_with(PREFIX) {
        return Ok(());
    }
    Err(Error::Refused(format!("'{name}' was not made by a drill; look at it yourself")))
}

/// Whether something is mounted at this path.
pub fn is_mounted(path: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let wanted = path.to_string_lossy();
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(wanted.as_ref()))
}

/// Wakes a stopped process; nothing when it is gone.
///
/// # Errors
/// When it belongs to somebody else.
pub fn wake(process: ProcessId) -> Result<(), Error> {
    process
        .signal(Signal::Continue)
        .map_err(|error| Error::system(format!("waking {}", process.pid), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_dead_runners_leavings_are_undone_and_a_living_ones_are_not() {
        let scratch = tempfile::tempdir().unwrap();
        let journals = scratch.path().join("journals");
        let left = scratch.path().join("pd-left");
        std::fs::create_dir(&left).unwrap();
        let mut child =
            Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep runs");
        let process = ProcessId::of(child.id()).unwrap();
        let mut dead = Journal::create(&journals, "dead").unwrap();
        dead.made(Undo::Folder { path: left.clone() }).unwrap();
        dead.made(Undo::Process(process)).unwrap();
        dead.file.write_all(b"{\"id\":3,\"ma").unwrap();
        assert!(recover(&journals).unwrap().is_empty(), "its runner lives");
        assert_eq!(running(&journals).unwrap().len(), 1);
        drop(dead);

        let recovered = recover(&journals).unwrap();
        assert_eq!((recovered.len(), recovered[0].undone), (1, 2), "{recovered:?}");
        assert!(!left.exists() && !process.is_alive());
        child.wait().unwrap();
        assert!(recover(&journals).unwrap().is_empty());
    }

    #[test]
    fn a_folder_of_another_name_is_never_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("precious");
        std::fs::create_dir(&path).unwrap();
        let mut journal = Journal::create(&scratch.path().join("journals"), "x").unwrap();
        journal.made(Undo::Folder { path: path.clone() }).unwrap();
        let file = journal.path().to_path_buf();
        assert_eq!(journal.close().len(), 1);
        assert!(path.exists() && file.exists());
    }
}
