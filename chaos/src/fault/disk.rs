//! Where a node keeps its data: a plain folder, or an ext4 file system of its own in an image file, which
//! can be filled up, frozen, or lose its power without harm to anything else.

use super::error::Error;
use super::journal::{Journal, Undo, is_mounted};
use super::kernel;
use super::tool;
use parking_lot::Mutex;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// File that takes all free space of a full disk.
const FILLER: &str = "filler";
/// Bytes written at once to the filler.
const FILL_BYTES: usize = 1 << 20;
/// Times that unmounting is tried: the last files of a killed process may close a moment later.
const UNMOUNT_TRIES_MAX: u32 = 100;
/// Pause between two tries.
const UNMOUNT_PAUSE: Duration = Duration::from_millis(50);

/// A node's storage.
#[derive(Debug)]
pub enum Disk {
    /// A folder of the machine's own file system.
    Folder {
        /// Where.
        path: PathBuf,
    },
    /// A mounted image.
    Image(Image),
}

/// An ext4 file system in a file.
#[derive(Debug)]
pub struct Image {
    file: PathBuf,
    mount_point: PathBuf,
    /// The mount's number in the journal while it is mounted.
    mounted: Option<u64>,
    /// The freeze's number in the journal while it is frozen.
    frozen: Option<u64>,
    journal: Arc<Mutex<Journal>>,
}

/// Whether images can be mounted here; if not, why.
///
/// # Errors
/// `Unavailable`.
pub fn probe() -> Result<(), Error> {
    if !kernel::is_root() {
        return Err(Error::unavailable("disk images", "this process is not root"));
    }
    tool::need("mkfs.ext4", "e2fsprogs")?;
    tool::need("mount", "mount")?;
    if Path::new("/dev/loop-control").exists() {
        Ok(())
    } else {
        Err(Error::unavailable(
            "disk images",
            "the kernel offers no loop devices (/dev/loop-control)",
        ))
    }
}

impl Disk {
    /// A folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(path: PathBuf) -> Result<Disk, Error> {
        std::fs::create_dir_all(&path)
            .map_err(|error| Error::system(format!("folder {}", path.display()), error))?;
        Ok(Disk::Folder { path })
    }

    /// A new file system of this size in `folder`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn image(
        folder: &Path,
        name: &str,
        bytes: u64,
        journal: &Arc<Mutex<Journal>>,
    ) -> Result<Disk, Error> {
        let file = folder.join(format!("{name}.img"));
        let mount_point = folder.join(name);
        let what = |error| Error::system(format!("image {}", file.display()), error);
        // A hole: only what is written takes space.
        File::create(&file).and_then(|image| image.set_len(bytes)).map_err(what)?;
        std::fs::create_dir_all(&mount_point).map_err(what)?;
        let path = file.to_string_lossy();
        // No reserve for root (-m 0): the node itself runs as root here and must meet the end of the disk.
        tool::run("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0", &path])?;
        let mut image =
            Image { file, mount_point, mounted: None, frozen: None, journal: journal.clone() };
        image.mount()?;
        Ok(Disk::Image(image))
    }

    /// Where the node's data folder is.
    pub fn data(&self) -> PathBuf {
        match self {
            Disk::Folder { path } => path.clone(),
            Disk::Image(image) => image.mount_point.join("data"),
        }
    }

    /// The image.
    ///
    /// # Errors
    /// `Unavailable` when the data lies in a plain folder.
    pub fn as_image(&mut self) -> Result<&mut Image, Error> {
        match self {
            Disk::Image(image) => Ok(image),
            Disk::Folder { .. } => Err(Error::unavailable(
                "this disk fault",
                "the node's data lies in a plain folder; it needs an image, hence root",
            )),
        }
    }
}

impl Image {
    /// Mounts it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn mount(&mut self) -> Result<(), Error> {
        if self.mounted.is_some() {
            return Ok(());
        }
        let made = self.journal.lock().made(Undo::Mount { path: self.mount_point.clone() })?;
        tool::run("mount", &["-o", "loop", &text(&self.file), &text(&self.mount_point)])?;
        self.mounted = Some(made);
        Ok(())
    }

    /// Unmounts it; the node must be gone.
    ///
    /// # Errors
    /// When it stays busy for 5 s.
    pub fn unmount(&mut self) -> Result<(), Error> {
        let Some(made) = self.mounted else { return Ok(()) };
        for attempt in 1..=UNMOUNT_TRIES_MAX {
            match tool::run("umount", &[&text(&self.mount_point)]) {
                Err(error) if is_mounted(&self.mount_point) => {
                    if attempt == UNMOUNT_TRIES_MAX {
                        return Err(error);
                    }
                    std::thread::sleep(UNMOUNT_PAUSE);
                }
                _ => break,
            }
        }
        self.mounted = None;
        self.journal.lock().gone(made)
    }

    /// Cuts its power: what is not on the disk yet never gets there.
    ///
    /// # Errors
    /// When the file system does not know the call.
    pub fn cut_power(&mut self) -> Result<(), Error> {
        kernel::cut_power(&self.mount_point).map_err(|error| {
            Error::system(format!("cutting the power of {}", self.mount_point.display()), error)
        })
    }

    /// Power is back: mounted again, which replays the file system's own journal. The node must be gone.
    ///
    /// # Errors
    /// When it cannot be unmounted or mounted.
    pub fn power_on(&mut self) -> Result<(), Error> {
        self.unmount()?;
        self.mount()
    }

    /// Writes a file until nothing more fits; returns its bytes.
    ///
    /// # Errors
    /// Any other error than a full disk.
    pub fn fill(&mut self) -> Result<u64, Error> {
        let path = self.mount_point.join(FILLER);
        let what = |error| Error::system(format!("filling {}", path.display()), error);
        let mut file = File::create(&path).map_err(what)?;
        let block = vec![0x5a; FILL_BYTES];
        let mut step = FILL_BYTES;
        let mut bytes = 0;
        // Ever smaller pieces, so that the last block goes too.
        while step >= 512 {
            match file.write(&block[..step]) {
                Ok(written) => bytes += written as u64,
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => step /= 2,
                Err(error) => return Err(what(error)),
            }
        }
        // A full disk may refuse this too; the space is taken either way.
        let _ = file.sync_all();
        Ok(bytes)
    }

    /// Removes the filler.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn free(&mut self) -> Result<(), Error> {
        let path = self.mount_point.join(FILLER);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::system(format!("removing {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Freezes it: each write and sync waits until it is thawed, as on a disk that stalls.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn freeze(&mut self) -> Result<(), Error> {
        if self.frozen.is_some() {
            return Ok(());
        }
        let made = self.journal.lock().made(Undo::Freeze { path: self.mount_point.clone() })?;
        tool::run("fsfreeze", &["--freeze", &text(&self.mount_point)])?;
        self.frozen = Some(made);
        Ok(())
    }

    /// Thaws it; nothing when it is not frozen.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn thaw(&mut self) -> Result<(), Error> {
        match self.frozen.take() {
            Some(made) => self.journal.lock().undo(made),
            None => Ok(()),
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
