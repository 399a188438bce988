//! What a lab shall be.

use crate::fault::{disk, journal, network};
use std::path::PathBuf;

/// Ports of labs on loopback.
const LOOPBACK_FIRST: u16 = 14_000;
/// The last of them.
const LOOPBACK_LAST: u16 = 15_000;

/// Where nodes keep their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disks {
    /// Plain folders.
    Folders,
    /// An ext4 image of this size each.
    Images {
        /// Bytes of each.
        bytes: u64,
    },
}

/// How nodes are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// A namespace each; fails without root.
    Namespaces,
    /// Ports of loopback from this one on.
    Loopback {
        /// SQL port of node 1.
        port: u16,
    },
}

/// What a lab shall be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `precinct` binary.
    pub binary: PathBuf,
    /// Number of nodes.
    pub nodes: u64,
    /// Shards of user data.
    pub shards: u32,
    /// Where nodes keep their data.
    pub disks: Disks,
    /// How they are joined.
    pub links: Links,
    /// Where the lab's folder is made.
    pub folder: PathBuf,
    /// Where journals lie.
    pub journals: PathBuf,
}

impl Plan {
    /// Namespaces and folders if this process is root, else loopback.
    pub fn best(binary: PathBuf, nodes: u64) -> Plan {
        let links = match network::probe() {
            Ok(()) => Links::Namespaces,
            Err(_) => Links::Loopback { port: free_port() },
        };
        Plan {
            binary,
            nodes,
            shards: 8,
            disks: Disks::Folders,
            links,
            folder: std::env::temp_dir(),
            journals: journal::default_folder(),
        }
    }

    /// With an image per node, where that works.
    #[must_use]
    pub fn with_images(mut self, bytes: u64) -> Plan {
        if disk::probe().is_ok() {
            self.disks = Disks::Images { bytes };
        }
        self
    }
}

/// First port of a hundred that no other lab seems to use.
fn free_port() -> u16 {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (LOOPBACK_FIRST..LOOPBACK_LAST).step_by(100).find(free).unwrap_or(LOOPBACK_FIRST)
}
