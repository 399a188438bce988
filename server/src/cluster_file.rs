//! The file CLUSTER: what a node knows of its cluster before it has spoken to anyone.
//!
//! ```text
//! CLUSTER = format(4 LE) │ length(4 LE) │ crc32(4 LE) │ message ClusterFile (node.proto)
//! ```
//!
//! Written aside, synced, renamed: a crash leaves the old or the new one. The truth is in the meta shard;
//! this is a copy of one version of it, and a copy is written before the node acts on it: so a node never
//! starts with an older view than the one it acted on.

use crate::cluster_wire;
use prost::Message;
use proto::node as pb;
use shard_router::ClusterState;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The file's name in the data folder.
pub const NAME: &str = "CLUSTER";

/// Format of the file.
const FORMAT: u32 = 1;
/// Bytes before the message.
const HEAD_BYTES: usize = 12;

/// What a node remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFile {
    /// Number drawn when the data folder was made.
    pub incarnation: u64,
    /// The cluster; absent while the node waits to be let in.
    pub state: Option<ClusterState>,
}

/// Reads the file; `None` when the folder has none yet.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn read(data: &Path) -> Result<Option<ClusterFile>, String> {
    let path = data.join(NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let damaged = |what: &str| format!("{} is damaged: {what}", path.display());
    let (head, body) =
        bytes.split_at_checked(HEAD_BYTES).ok_or_else(|| damaged("it is too short"))?;
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(0) != FORMAT {
        return Err(format!(
            "{} has format {}, this program reads {FORMAT}; start the node with the program that wrote it",
            path.display(),
            number(0)
        ));
    }
    if number(4) as usize != body.len() || number(8) != crc32fast::hash(body) {
        return Err(damaged("its checksum does not match"));
    }
    let message = pb::ClusterFile::decode(body).map_err(|error| damaged(&error.to_string()))?;
    let state = message.state.map(cluster_wire::state_from_pb).transpose();
    let state = state.map_err(|what| damaged(&what))?;
    Ok(Some(ClusterFile { incarnation: message.incarnation, state }))
}

/// Writes the file durably.
///
/// # Errors
/// A sentence that names the file.
pub fn write(data: &Path, file: &ClusterFile) -> Result<(), String> {
    let (path, aside) = (data.join(NAME), data.join("CLUSTER.part"));
    let body = pb::ClusterFile {
        incarnation: file.incarnation,
        state: file.state.as_ref().map(cluster_wire::state_to_pb),
    }
    .encode_to_vec();
    let mut bytes = FORMAT.to_le_bytes().to_vec();
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)?;
        File::open(data)?.sync_all()
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::NodeId;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn what_is_written_is_read_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        assert_eq!(read(data).unwrap(), None);
        let map = Arc::new(shard_router::initial(&[NodeId(1)], 2, 1).unwrap().map);
        let state = ClusterState {
            id: 3,
            version: 1,
            replication: 1,
            nodes: BTreeMap::new(),
            map,
            jobs: BTreeMap::new(),
            rebalance: shard_router::RebalanceSettings::default(),
            splits: BTreeMap::new(),
            merges: BTreeMap::new(),
            origins: BTreeMap::new(),
            placement: shard_router::Placement::default(),
        };
        for state in [None, Some(state)] {
            let file = ClusterFile { incarnation: 7, state };
            write(data, &file).unwrap();
            assert_eq!(read(data).unwrap(), Some(file));
        }
        let good = std::fs::read(data.join(NAME)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(data.join(NAME), &bad).unwrap();
            let error = read(data).unwrap_err();
            assert!(error.contains(NAME), "{error}");
        }
        std::fs::write(data.join(NAME), &good[..5]).unwrap();
        assert!(read(data).unwrap_err().contains("too short"));
    }
}
