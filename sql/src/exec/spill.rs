//! Spill files of operators.
//!
//! The folder for them is made when the first is needed, not by the first query: on a full disk, queries that fit
//! into memory go on, and one that does not gets 1021.

use datafusion_common::Result;
use datafusion_execution::disk_manager::{DiskManager, DiskManagerMode};
use datafusion_execution::{SpillFile, TempFileFactory};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;

/// Makes spill files below a folder.
pub(super) struct SpillFolder {
    /// The node's folder for temporary files.
    temp_dir: PathBuf,
    /// Who makes them, once there was one.
    manager: Mutex<Option<Arc<DiskManager>>>,
}

impl SpillFolder {
    /// Makes nothing yet.
    pub(super) fn new(temp_dir: PathBuf) -> SpillFolder {
        SpillFolder { temp_dir, manager: Mutex::default() }
    }

    fn manager(&self) -> Result<Arc<DiskManager>> {
        let mut manager = self.manager.lock();
        if let Some(manager) = &*manager {
            return Ok(manager.clone());
        }
        let folders = DiskManagerMode::Directories(vec![self.temp_dir.clone()]);
        let made = Arc::new(DiskManager::builder().with_mode(folders).build()?);
        *manager = Some(made.clone());
        Ok(made)
    }
}

impl TempFileFactory for SpillFolder {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>> {
        self.manager()?.create_tmp_file(description)
    }
}
