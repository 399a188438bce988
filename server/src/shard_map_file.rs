//! The shard map in data folders of versions before the file CLUSTER: read once, when such a folder is taken
//! over (`founding`).
//!
//! ```text
//! SHARDMAP = length(4 LE) │ crc32(4 LE) │ shard map (shard_router::shard_map encoding)
//! ```

use shard_router::ShardMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The file's name in the data folder.
pub const NAME: &str = "SHARDMAP";

/// Reads the map; `None` when the folder has none yet.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn read(data: &Path) -> Result<Option<ShardMap>, String> {
    let path = path(data);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let damaged = |what: &str| format!("{} is damaged: {what}", path.display());
    let (head, body) = bytes.split_at_checked(8).ok_or_else(|| damaged("it is too short"))?;
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(0) as usize != body.len() || number(4) != crc32fast::hash(body) {
        return Err(damaged("its checksum does not match"));
    }
    ShardMap::decode(body).map(Some).map_err(|error| damaged(&error.to_string()))
}

fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}
