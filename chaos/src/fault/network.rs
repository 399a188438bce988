//! A network of its own for every lab: one namespace per node, joined by a bridge in a namespace where
//! also the clients run. Nothing of it touches the machine's own network.
//!
//! ```text
//!  pd-3fa1c2-0 (clients)         10.99.0.254
//!  ┌───────── bridge sw0 ─────────┐
//!  n1           n2           n3
//!  │            │            │
//!  eth0         eth0         eth0
//!  pd-…-1       pd-…-2       pd-…-3
//!  10.99.0.1    10.99.0.2    10.99.0.3
//! ```
//!
//! **How a link is cut.** Each node knows the hardware address of each other node by a permanent entry
//! of its neighbour table; there is no ARP between nodes. Cutting the link from a to b replaces a's entry
//! for b by an address that nobody has: a's frames reach nobody, without any error at a, and b's frames still
//! reach a. One direction of one pair at a time, and no packet filter, no kernel module and no tool
//! but `ip` is needed. (Tried and lost: blackhole routes tell the sender; `tc` filters need classifiers
//! that small kernels lack; iptables is often not installed.)
//!
//! Without root the nodes listen on loopback ports, and links cannot be cut.

use super::error::Error;
use super::journal::{Journal, PREFIX, Undo};
use super::kernel;
use super::tool;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where `ip netns` keeps namespaces.
const NAMESPACES: &str = "/run/netns";
/// Port for MySQL clients in a namespace.
const SQL_PORT: u16 = 4000;
/// Port for other nodes in a namespace.
const NODE_PORT: u16 = 7800;
/// Port for metrics in a namespace.
const HTTP_PORT: u16 = 8800;
/// Address of the clients on the bridge.
const CLIENTS: u8 = 254;

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The node that sends.
    pub from: u64,
    /// The node that receives.
    pub to: u64,
}

/// How nodes reach each other and clients reach them.
#[derive(Debug)]
pub enum Network {
    /// A namespace per node.
    Namespaces(Namespaces),
    /// Ports of 127.0.0.1, counted from this one.
    Loopback {
        /// SQL port of node 1; HTTP and node ports follow 20 and 40 above.
        port: u16,
    },
}

/// The namespaces of one lab.
#[derive(Debug)]
pub struct Namespaces {
    /// Name of the lab, part of each namespace's name.
    lab: String,
    /// Number of nodes.
    nodes: u64,
    /// Namespace of the bridge and the clients.
    clients: File,
    /// Directions that are cut now.
    cut: BTreeSet<Link>,
}

/// Whether this process may make namespaces here; if not, why.
///
/// # Errors
/// `Unavailable`.
pub fn probe() -> Result<(), Error> {
    if !kernel::is_root() {
        return Err(Error::unavailable("network namespaces", "this process is not root"));
    }
    tool::need("ip", "iproute2")?;
    tool::need("nsenter", "util-linux")?;
    // Several threads may probe at once; none may take another's half-made namespace for a refusal.
    static PROBES: AtomicU64 = AtomicU64::new(0);
    let probe = PROBES.fetch_add(1, Ordering::Relaxed);
    let name = format!("{PREFIX}probe-{}-{probe}", std::process::id());
    let made = tool::run("ip", &["netns", "add", &name]);
    let bridge = made.and_then(|_| {
        tool::run("ip", &["-n", &name, "link", "add", "name", "sw0", "type", "bridge"])?;
        tool::run("ip", &["-n", &name, "link", "add", "name", "n1", "type", "veth"])
    });
    // Also when only half of it worked; that it may not exist is no matter.
    let _ = tool::run("ip", &["netns", "del", &name]);
    bridge.map(drop).map_err(|error| Error::unavailable("network namespaces", error))
}

impl Network {
    /// Makes namespaces for this many nodes.
    ///
    /// # Errors
    /// When the system refuses; what was made is in the journal.
    pub fn namespaces(
        lab: &str,
        nodes: u64,
        journal: &Arc<Mutex<Journal>>,
    ) -> Result<Network, Error> {
        assert!((1..=9).contains(&nodes), "hardware addresses are written for 1 to 9 nodes");
        for node in 0..=nodes {
            let name = namespace(lab, node);
            journal.lock().made(Undo::Namespace { name: name.clone() })?;
            tool::run("ip", &["netns", "add", &name])?;
        }
        let switch = namespace(lab, 0);
        ip(&switch, "link set dev lo up")?;
        ip(&switch, "link add name sw0 type bridge")?;
        ip(&switch, "link set dev sw0 up")?;
        ip(&switch, &format!("addr add {}/24 dev sw0", address(CLIENTS)))?;
        for node in 1..=nodes {
            let inside = namespace(lab, node);
            let hardware = hardware(node);
            ip(
                &switch,
                &format!(
                    "link add name n{node} type veth peer name eth0 address {hardware} netns {inside}"
                ),
            )?;
            ip(&switch, &format!("link set dev n{node} master sw0 up"))?;
            ip(&inside, "link set dev lo up")?;
            ip(&inside, &format!("addr add {}/24 dev eth0", address(node as u8)))?;
            ip(&inside, "link set dev eth0 up")?;
        }
        let path = format!("{NAMESPACES}/{switch}");
        let clients = File::open(&path).map_err(|error| Error::system(path, error))?;
        let mut namespaces =
            Namespaces { lab: lab.to_string(), nodes, clients, cut: BTreeSet::new() };
        for link in namespaces.all_links() {
            namespaces.set(link, &hardware(link.to))?;
        }
        Ok(Network::Namespaces(namespaces))
    }

    /// Where a node, from 1, serves MySQL clients.
    pub fn sql(&self, node: u64) -> SocketAddr {
        self.socket(node, SQL_PORT, 0)
    }

    /// Where a node serves metrics.
    pub fn http(&self, node: u64) -> SocketAddr {
        self.socket(node, HTTP_PORT, 20)
    }

    /// Where a node serves other nodes.
    pub fn node(&self, node: u64) -> SocketAddr {
        self.socket(node, NODE_PORT, 40)
    }

    fn socket(&self, node: u64, port: u16, above: u16) -> SocketAddr {
        match self {
            Network::Namespaces(_) => SocketAddr::new(address(node as u8), port),
            Network::Loopback { port: first } => {
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), first + above + node as u16 - 1)
            }
        }
    }

    /// A command that will run where the node is.
    pub fn command(&self, node: u64, program: &std::path::Path) -> Command {
        match self {
            Network::Namespaces(namespaces) => {
                let name = namespace(&namespaces.lab, node);
                let mut command = Command::new("nsenter");
                // It becomes the program, so the process number stays.
                command.arg(format!("--net={NAMESPACES}/{name}")).arg("--").arg(program);
                command
            }
            Network::Loopback { .. } => Command::new(program),
        }
    }

    /// Moves the calling thread, and threads it starts later, to where the clients are.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn join(&self) -> Result<(), Error> {
        match self {
            Network::Namespaces(namespaces) => kernel::join_network(&namespaces.clients)
                .map_err(|error| Error::system("joining the clients' namespace", error)),
            Network::Loopback { .. } => Ok(()),
        }
    }

    /// Cuts links; links that are cut already stay cut.
    ///
    /// # Errors
    /// `Unavailable` on loopback ports; otherwise when the system refuses.
    pub fn cut(&mut self, links: impl IntoIterator<Item = Link>) -> Result<(), Error> {
        let namespaces = self.with_links()?;
        for link in links {
            namespaces.set(link, "02:00:00:00:ff:ff")?;
            namespaces.cut.insert(link);
        }
        Ok(())
    }

    /// Mends links.
    ///
    /// # Errors
    /// As [`Network::cut`].
    pub fn mend(&mut self, links: impl IntoIterator<Item = Link>) -> Result<(), Error> {
        let namespaces = self.with_links()?;
        for link in links {
            namespaces.set(link, &hardware(link.to))?;
            namespaces.cut.remove(&link);
        }
        Ok(())
    }

    /// Mends every link that is cut.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn mend_all(&mut self) -> Result<(), Error> {
        let cut = match self {
            Network::Namespaces(namespaces) => namespaces.cut.clone(),
            Network::Loopback { .. } => return Ok(()),
        };
        self.mend(cut)
    }

    /// Links that are cut now.
    pub fn cut_links(&self) -> Vec<Link> {
        match self {
            Network::Namespaces(namespaces) => namespaces.cut.iter().copied().collect(),
            Network::Loopback { .. } => Vec::new(),
        }
    }

    fn with_links(&mut self) -> Result<&mut Namespaces, Error> {
        match self {
            Network::Namespaces(namespaces) => Ok(namespaces),
            Network::Loopback { .. } => Err(Error::unavailable(
                "cutting links",
                "the nodes share the machine's loopback; run as root for namespaces",
            )),
        }
    }
}

impl Namespaces {
    /// The name of a node's namespace; 0 is the clients'.
    pub fn name(&self, node: u64) -> String {
        namespace(&self.lab, node)
    }

    fn all_links(&self) -> Vec<Link> {
        (1..=self.nodes)
            .flat_map(|from| (1..=self.nodes).map(move |to| Link { from, to }))
            .filter(|link| link.from != link.to)
            .collect()
    }

    fn set(&mut self, link: Link, hardware: &str) -> Result<(), Error> {
        let to = address(link.to as u8);
        ip(
            &namespace(&self.lab, link.from),
            &format!("neigh replace {to} lladdr {hardware} dev eth0 nud permanent"),
        )
    }
}

/// Both directions between one group and the rest.
pub fn between(group: &[u64], nodes: u64) -> Vec<Link> {
    let rest: Vec<u64> = (1..=nodes).filter(|node| !group.contains(node)).collect();
    let mut links = Vec::new();
    for inside in group {
        for outside in &rest {
            links.push(Link { from: *inside, to: *outside });
            links.push(Link { from: *outside, to: *inside });
        }
    }
    links
}

fn namespace(lab: &str, node: u64) -> String {
    format!("{PREFIX}{lab}-{node}")
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 99, 0, last).into()
}

/// A locally administered address per node.
fn hardware(node: u64) -> String {
    format!("02:00:00:00:00:{node:02x}")
}

fn ip(namespace: &str, words: &str) -> Result<(), Error> {
    let mut arguments = vec!["-n", namespace];
    arguments.extend(words.split(' '));
    tool::run("ip", &arguments).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_cuts_both_directions_between_the_groups_only() {
        let links = between(&[1], 3);
        let pairs: Vec<_> = links.iter().map(|link| (link.from, link.to)).collect();
        assert_eq!(pairs, [(1, 2), (2, 1), (1, 3), (3, 1)]);
        assert!(between(&[1, 2, 3], 3).is_empty());
    }
}
