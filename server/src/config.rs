//! A node's settings: one TOML file, then PRECINCT_ environment variables, then flags; the later wins.
//!
//! This is the only place of the product that reads configuration; other crates are handed values.

use base::NodeId;
use base::limits::{
    DEAD_AFTER_DEFAULT, DISK_RESERVE_BYTES, RETENTION_DEFAULT, RETENTION_S,
    SNAPSHOT_BYTES_PER_SECOND, SPLIT_BYTES_DEFAULT, SPLIT_CPU_PERCENT_DEFAULT,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use txn::TransactionSizes;

/// Shards of user data that a new cluster starts with.
pub const DATA_SHARDS_DEFAULT: u32 = 8;
/// Replicas of each shard.
pub const REPLICATION_DEFAULT: u32 = 3;

/// What `tdsql_sets` may be.
const TDSQL_SETS: RangeInclusive<u32> = 1..=64;
/// `tdsql_sets` when the file says nothing.
const TDSQL_SETS_DEFAULT: u32 = 4;
/// What `memory_mib` may be.
const TRANSACTION_MEMORY_MIB: RangeInclusive<u64> = 1..=512;
/// What `max_transaction_gib` may be.
const TRANSACTION_GIB: RangeInclusive<u64> = 1..=65_536;
/// Largest `split_cpu_percent`: ten cores.
const SPLIT_CPU_PERCENT_MAX: u32 = 1000;
/// Largest `split_gib`.
const SPLIT_GIB_MAX: u64 = 65_536;
/// Fastest `rebuild_mib_per_s`.
const REBUILD_MIB_PER_S_MAX: u64 = 10_240;

/// The TOML file, all optional. Unknown names are refused, so that a typing error is noticed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// `[node]`
    pub node: NodeSection,
    /// `[listen]`
    pub listen: ListenSection,
    /// `[cluster]`
    pub cluster: ClusterSection,
    /// `[tls]`
    pub tls: TlsSection,
    /// `[storage]`
    pub storage: StorageSection,
    /// `[shards]`
    pub shards: ShardsSection,
    /// `[transactions]`
    pub transactions: TransactionsSection,
    /// `[sql]`
    pub sql: SqlSection,
}

/// Who this node is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSection {
    /// Its number in the cluster, from 1.
    pub id: Option<u64>,
    /// Its data folder.
    pub data: Option<PathBuf>,
    /// What fails together with it: `zone` or `city/zone`.
    pub zone: Option<String>,
}

/// Where it listens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenSection {
    /// MySQL clients, `address:port`.
    pub sql: Option<SocketAddr>,
    /// MySQL clients of this machine: path of a Unix socket.
    pub socket: Option<PathBuf>,
    /// Other nodes, `address:port`.
    pub node: Option<SocketAddr>,
    /// Metrics and health, `address:port`.
    pub http: Option<SocketAddr>,
}

/// The cluster it belongs to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// A name that all its nodes share; nodes of another name are refused.
    pub name: Option<String>,
    /// All nodes: number → `host:port` where it listens for nodes.
    pub nodes: BTreeMap<String, String>,
    /// Shards of user data in a new cluster.
    pub shards: Option<u32>,
    /// Replicas of each shard in a new cluster.
    pub replication: Option<u32>,
    /// Members to ask to be let in, `host:port`; for a node with an empty data folder.
    pub join: Vec<String>,
    /// Seconds that a silent node is waited for before its replicas are replaced.
    pub dead_after_s: Option<u64>,
    /// Where other nodes reach this one, `host:port`, when it is not the address it listens on.
    pub advertise: Option<String>,
    /// Accept that links between nodes are neither encrypted nor authenticated.
    pub insecure_links: Option<bool>,
}

/// Certificates for MySQL clients.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSection {
    /// Certificate chain, PEM. Without one the node makes its own and keeps it in its data folder.
    pub cert: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
}

/// Storage budgets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    /// Block cache shared by all replicas of the node, MiB.
    pub block_cache_mib: Option<u64>,
    /// Memtables of all replicas of the node together, MiB.
    pub write_buffer_mib: Option<u64>,
    /// Free space of the data folder's disk below which new writes are refused, MiB.
    pub reserve_mib: Option<u64>,
    /// Seconds that versions of rows are kept which newer ones have replaced.
    pub retention_s: Option<u64>,
    /// Raft snapshots sent per second, all together, and as much received, MiB.
    pub rebuild_mib_per_s: Option<u64>,
}

/// When shards are split.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShardsSection {
    /// Size above which a shard is split by itself, GiB; 0: not for its size.
    pub split_gib: Option<u64>,
    /// CPU above which a shard is split by itself, percent of a core; 0: not for its load.
    pub split_cpu_percent: Option<u32>,
}

/// How large transactions may become.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransactionsSection {
    /// Writes of one transaction that a node keeps in memory before it sends them to the shards, MiB.
    pub memory_mib: Option<u64>,
    /// Keys and values that one transaction may write, GiB.
    pub max_transaction_gib: Option<u64>,
}

/// SQL settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqlSection {
    /// Whether LOAD DATA LOCAL is allowed.
    pub local_infile: Option<bool>,
    /// Number of sets, the equal parts of the slots that statements of TDSQL name; the same on every node.
    pub tdsql_sets: Option<u32>,
}

/// Flags of `precinct start`, each with its environment variable.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StartFlags {
    /// Configuration file (TOML)
    #[arg(long, env = "PRECINCT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// This node's number in the cluster, from 1
    #[arg(long, env = "PRECINCT_NODE_ID", value_name = "N")]
    pub node_id: Option<u64>,
    /// Data folder
    #[arg(long, env = "PRECINCT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What fails together with this node: ZONE or CITY/ZONE; replicas of a shard keep apart by it
    #[arg(long, env = "PRECINCT_ZONE", value_name = "ZONE")]
    pub zone: Option<String>,
    /// Where MySQL clients connect
    #[arg(long, env = "PRECINCT_LISTEN_SQL", value_name = "ADDRESS:PORT")]
    pub listen_sql: Option<SocketAddr>,
    /// Unix socket for MySQL clients of this machine
    #[arg(long, env = "PRECINCT_SOCKET", value_name = "FILE")]
    pub socket: Option<PathBuf>,
    /// Where other nodes connect
    #[arg(long, env = "PRECINCT_LISTEN_NODE", value_name = "ADDRESS:PORT")]
    pub listen_node: Option<SocketAddr>,
    /// Where metrics and health are served
    #[arg(long, env = "PRECINCT_LISTEN_HTTP", value_name = "ADDRESS:PORT")]
    pub listen_http: Option<SocketAddr>,
    /// Name that all nodes of the cluster share
    #[arg(long, env = "PRECINCT_CLUSTER", value_name = "NAME")]
    pub cluster: Option<String>,
    /// All nodes of the cluster: 1=host:port,2=host:port,3=host:port
    #[arg(long, env = "PRECINCT_NODES", value_name = "LIST", value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// Members to ask to be let in, host:port,…: for a node with an empty data folder
    #[arg(long, env = "PRECINCT_JOIN", value_name = "LIST", value_delimiter = ',')]
    pub join: Vec<String>,
    /// Where other nodes reach this one, when it is not the address it listens on
    #[arg(long, env = "PRECINCT_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Seconds that a silent node is waited for before its replicas are replaced
    #[arg(long, env = "PRECINCT_DEAD_AFTER", value_name = "SECONDS")]
    pub dead_after: Option<u64>,
    /// Seconds that versions of rows are kept which newer ones have replaced
    #[arg(long, env = "PRECINCT_RETENTION", value_name = "SECONDS")]
    pub retention: Option<u64>,
    /// Shards of user data, when the cluster is new
    #[arg(long, env = "PRECINCT_SHARDS", value_name = "N")]
    pub shards: Option<u32>,
    /// Replicas of each shard, when the cluster is new
    #[arg(long, env = "PRECINCT_REPLICATION", value_name = "N")]
    pub replication: Option<u32>,
    /// Accept unencrypted, unauthenticated links between nodes on other than loopback addresses
    #[arg(long, env = "PRECINCT_INSECURE_LINKS")]
    pub insecure_links: bool,
    /// File that moves the wall clock, for drills
    #[arg(long, env = "PRECINCT_CLOCK_OFFSET_FILE", value_name = "FILE", hide = true)]
    pub clock_offset_file: Option<PathBuf>,
    /// Stop when standard input closes: for supervisors that start nodes as children
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

/// A node's settings, complete and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is. A node that was let in has its number in its data folder; `node_given` says whether a
    /// number was asked for.
    pub node: NodeId,
    /// Whether flags or file name a number.
    pub node_given: bool,
    /// Members to ask to be let in.
    pub join: Vec<String>,
    /// Where other nodes reach this one.
    pub advertise: Option<String>,
    /// How long a silent node is waited for before its replicas are replaced.
    pub dead_after: Duration,
    /// Its data folder.
    pub data: PathBuf,
    /// What fails together with it: `zone` or `city/zone`; empty when nobody says.
    pub zone: String,
    /// MySQL clients.
    pub listen_sql: SocketAddr,
    /// MySQL clients of this machine.
    pub socket: Option<PathBuf>,
    /// Other nodes.
    pub listen_node: SocketAddr,
    /// Metrics and health.
    pub listen_http: SocketAddr,
    /// Cluster name.
    pub cluster: String,
    /// All nodes.
    pub nodes: BTreeMap<NodeId, String>,
    /// Data shards of a new cluster.
    pub shards: u32,
    /// Replicas per shard of a new cluster; at most the number of nodes.
    pub replication: u32,
    /// Certificate and key, if not self-made.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Block cache, bytes.
    pub block_cache_bytes: usize,
    /// Write buffers, bytes.
    pub write_buffer_bytes: usize,
    /// Free disk space below which new writes are refused, bytes.
    pub reserve_bytes: u64,
    /// How long versions of rows are kept which newer ones have replaced.
    pub retention: Duration,
    /// Bytes of Raft snapshots per second in each direction.
    pub rebuild_bytes_per_second: u64,
    /// Size above which a shard is split by itself, bytes; none: not for its size.
    pub split_bytes: Option<u64>,
    /// CPU above which it is, thousandths of a core; none: not for its load.
    pub split_cpu: Option<u32>,
    /// How large transactions may become.
    pub transaction_sizes: TransactionSizes,
    /// LOAD DATA LOCAL allowed.
    pub local_infile: bool,
    /// Number of sets.
    pub tdsql_sets: u32,
    /// File that moves the wall clock in drills.
    pub clock_offset_file: Option<PathBuf>,
}

impl Config {
    /// Puts file, environment and flags together.
    ///
    /// # Errors
    /// One sentence that names the setting, what is wrong, and what to write instead.
    pub fn load(flags: &StartFlags) -> Result<Config, String> {
        let file = match &flags.config {
            Some(path) => read_file(path)?,
            None => ConfigFile::default(),
        };
        Config::assemble(flags, file)
    }

    fn assemble(flags: &StartFlags, file: ConfigFile) -> Result<Config, String> {
        let asked = flags.node_id.or(file.node.id);
        let node = NodeId(asked.unwrap_or(1));
        if node.0 == 0 || node.0 > 999 {
            return Err(format!("node id {} is not in 1..=999 (--node-id)", node.0));
        }
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listen_node = flags.listen_node.or(file.listen.node).unwrap_or(local(7800));
        let join = if flags.join.is_empty() { file.cluster.join } else { flags.join.clone() };
        if let Some(bad) = join.iter().find(|address| !address.contains(':')) {
            return Err(format!("--join: '{bad}' is not HOST:PORT"));
        }
        let advertise = flags.advertise.clone().or(file.cluster.advertise);
        let mut nodes = parse_nodes(&flags.nodes, &file.cluster.nodes)?;
        if !join.is_empty() && !nodes.is_empty() {
            return Err(
                "--nodes is for the first nodes of a new cluster and --join for a node that comes later; give one of \
                 them"
                    .into(),
            );
        }
        if nodes.is_empty() {
            let address = advertise.clone().unwrap_or_else(|| listen_node.to_string());
            nodes.insert(node, address);
        }
        if !nodes.contains_key(&node) {
            return Err(format!(
                "the list of nodes does not name this node, {}; add {}=host:port to --nodes or [cluster] nodes",
                node.0, node.0
            ));
        }
        let insecure = flags.insecure_links || file.cluster.insecure_links.unwrap_or(false);
        if (nodes.len() > 1 || !join.is_empty()) && !listen_node.ip().is_loopback() && !insecure {
            return Err(format!(
                "links between nodes are neither encrypted nor authenticated in this version, and {listen_node} can be reached from \
                 other machines; use a closed network and say --insecure-links, or listen on a loopback address"
            ));
        }
        let wanted = flags.replication.or(file.cluster.replication);
        let replication = match wanted {
            Some(0) => return Err("--replication must be at least 1".into()),
            Some(count) if count as usize > nodes.len() => {
                return Err(format!(
                    "--replication {count} needs {count} nodes, but the cluster has {}",
                    nodes.len()
                ));
            }
            Some(count) => count,
            None => REPLICATION_DEFAULT.min(nodes.len() as u32),
        };
        let shards = flags.shards.or(file.cluster.shards).unwrap_or(DATA_SHARDS_DEFAULT);
        if !(1..=1024).contains(&shards) {
            return Err(format!("--shards {shards} is not in 1..=1024"));
        }
        let dead_after = match flags.dead_after.or(file.cluster.dead_after_s) {
            Some(0) => return Err("--dead-after must be at least 1 second".into()),
            Some(seconds) => Duration::from_secs(seconds),
            None => DEAD_AFTER_DEFAULT,
        };
        let tls = match (file.tls.cert, file.tls.key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err("[tls] needs both cert and key".into()),
        };
        let data = flags.data.clone().or(file.node.data);
        let write_buffer_mib = file.storage.write_buffer_mib.unwrap_or(64);
        let write_buffer_bytes = mebibytes(write_buffer_mib)?;
        Ok(Config {
            node,
            node_given: asked.is_some(),
            join,
            advertise,
            dead_after,
            data: data.unwrap_or_else(|| PathBuf::from("precinct-data")),
            zone: zone(flags.zone.clone().or(file.node.zone))?,
            listen_sql: flags.listen_sql.or(file.listen.sql).unwrap_or(local(4000)),
            socket: flags.socket.clone().or(file.listen.socket),
            listen_node,
            listen_http: flags.listen_http.or(file.listen.http).unwrap_or(local(8800)),
            cluster: flags.cluster.clone().or(file.cluster.name).unwrap_or("precinct".into()),
            nodes,
            shards,
            replication,
            tls,
            block_cache_bytes: mebibytes(file.storage.block_cache_mib.unwrap_or(64))?,
            write_buffer_bytes,
            reserve_bytes: reserve(file.storage.reserve_mib, write_buffer_mib)?,
            retention: retention(flags.retention.or(file.storage.retention_s))?,
            rebuild_bytes_per_second: rebuild_rate(file.storage.rebuild_mib_per_s)?,
            split_bytes: split_bytes(file.shards.split_gib)?,
            split_cpu: split_cpu(file.shards.split_cpu_percent)?,
            transaction_sizes: transaction_sizes(&file.transactions)?,
            local_infile: file.sql.local_infile.unwrap_or(true),
            tdsql_sets: sets(file.sql.tdsql_sets)?,
            clock_offset_file: flags.clock_offset_file.clone(),
        })
    }

    /// Where other nodes reach this one.
    pub fn advertised_node(&self) -> String {
        let listed = || self.nodes.get(&self.node).cloned().filter(|_| self.join.is_empty());
        let advertised = self.advertise.clone().or_else(listed);
        advertised.unwrap_or_else(|| self.listen_node.to_string())
    }

    /// The cluster's number in identity files, and in frames until its own is known: a hash of its name.
    pub fn cluster_id(&self) -> u64 {
        hash(self.cluster.as_bytes())
    }
}

/// FNV-1a (draft-eastlake-fnv): 64 bits that never change.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Into how many sets the slots are cut.
fn sets(wanted: Option<u32>) -> Result<u32, String> {
    match wanted.unwrap_or(TDSQL_SETS_DEFAULT) {
        count if TDSQL_SETS.contains(&count) => Ok(count),
        count => Err(format!(
            "[sql] tdsql_sets = {count} is not in {} to {}",
            TDSQL_SETS.start(),
            TDSQL_SETS.end()
        )),
    }
}

/// What fails together with the node.
fn zone(wanted: Option<String>) -> Result<String, String> {
    let zone = wanted.unwrap_or_default();
    let named = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    let is_path = zone.split('/').count() <= 2 && zone.split('/').all(named);
    if zone.is_empty() || (is_path && zone.len() <= 64) {
        return Ok(zone);
    }
    Err(format!(
        "--zone ([node] zone) = '{zone}' is not ZONE or CITY/ZONE without spaces, at most 64 bytes"
    ))
}

/// How long old versions are kept.
fn retention(wanted_s: Option<u64>) -> Result<Duration, String> {
    match wanted_s {
        None => Ok(RETENTION_DEFAULT),
        Some(seconds) if RETENTION_S.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(seconds) => Err(format!(
            "--retention ([storage] retention_s) = {seconds} is not in {} to {}",
            RETENTION_S.start(),
            RETENTION_S.end()
        )),
    }
}

/// How large transactions may become.
fn transaction_sizes(wanted: &TransactionsSection) -> Result<TransactionSizes, String> {
    let mut sizes = TransactionSizes::default();
    match wanted.memory_mib {
        None => {}
        Some(mib) if TRANSACTION_MEMORY_MIB.contains(&mib) => {
            sizes.buffered_max = (mib as usize) << 20
        }
        Some(mib) => {
            let (from, to) = (*TRANSACTION_MEMORY_MIB.start(), *TRANSACTION_MEMORY_MIB.end());
            return Err(format!("[transactions] memory_mib = {mib} is not in {from} to {to}"));
        }
    }
    match wanted.max_transaction_gib {
        None => {}
        Some(gib) if TRANSACTION_GIB.contains(&gib) => sizes.total_max = gib << 30,
        Some(gib) => {
            let (from, to) = (*TRANSACTION_GIB.start(), *TRANSACTION_GIB.end());
            return Err(format!(
                "[transactions] max_transaction_gib = {gib} is not in {from} to {to}"
            ));
        }
    }
    Ok(sizes)
}

/// Size above which a shard is split by itself, bytes.
fn split_bytes(wanted_gib: Option<u64>) -> Result<Option<u64>, String> {
    match wanted_gib {
        None => Ok(Some(SPLIT_BYTES_DEFAULT)),
        Some(0) => Ok(None),
        Some(gib) if gib <= SPLIT_GIB_MAX => Ok(Some(gib << 30)),
        Some(gib) => Err(format!(
            "[shards] split_gib = {gib} is not in 0 to {SPLIT_GIB_MAX}; 0 splits only by command"
        )),
    }
}

/// CPU above which a shard is split by itself, thousandths of a core.
fn split_cpu(wanted_percent: Option<u32>) -> Result<Option<u32>, String> {
    match wanted_percent {
        None => Ok(Some(SPLIT_CPU_PERCENT_DEFAULT * 10)),
        Some(0) => Ok(None),
        Some(percent) if percent <= SPLIT_CPU_PERCENT_MAX => Ok(Some(percent * 10)),
        Some(percent) => Err(format!(
            "[shards] split_cpu_percent = {percent} is not in 0 to {SPLIT_CPU_PERCENT_MAX}; 0 splits no shard for its load"
        )),
    }
}

/// How fast Raft snapshots may travel, bytes per second.
fn rebuild_rate(wanted_mib: Option<u64>) -> Result<u64, String> {
    match wanted_mib {
        None => Ok(SNAPSHOT_BYTES_PER_SECOND),
        Some(mib) if (1..=REBUILD_MIB_PER_S_MAX).contains(&mib) => Ok(mib << 20),
        Some(mib) => Err(format!(
            "[storage] rebuild_mib_per_s = {mib} is not in 1 to {REBUILD_MIB_PER_S_MAX}"
        )),
    }
}

/// The reserve of disk space, bytes. At half of it the node takes no entries any more, and all that is in
/// memory must still fit.
fn reserve(wanted_mib: Option<u64>, write_buffer_mib: u64) -> Result<u64, String> {
    let least = write_buffer_mib.saturating_mul(2);
    let usual = (DISK_RESERVE_BYTES >> 20).max(least.saturating_mul(2));
    let mib = wanted_mib.unwrap_or(usual);
    if mib < least || mib > 1 << 20 {
        return Err(format!(
            "[storage] reserve_mib = {mib} is not in {least} to 1048576: it must be at least twice \
             write_buffer_mib ({write_buffer_mib}), so that what is in memory fits when the disk is nearly full"
        ));
    }
    Ok(mib << 20)
}

fn mebibytes(count: u64) -> Result<usize, String> {
    usize::try_from(count)
        .ok()
        .filter(|count| (8..=1 << 20).contains(count))
        .map(|count| count << 20)
        .ok_or_else(|| format!("[storage] sizes are in MiB, 8 to 1048576, not {count}"))
}

fn read_file(path: &Path) -> Result<ConfigFile, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read configuration {}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse_nodes(
    flags: &[String],
    file: &BTreeMap<String, String>,
) -> Result<BTreeMap<NodeId, String>, String> {
    let from_flags = flags.iter().map(|item| {
        item.split_once('=').ok_or_else(|| format!("--nodes: '{item}' is not NUMBER=HOST:PORT"))
    });
    let from_file = file.iter().map(|(id, address)| Ok((id.as_str(), address.as_str())));
    let items: Vec<Result<(&str, &str), String>> =
        if flags.is_empty() { from_file.collect() } else { from_flags.collect() };
    let mut nodes = BTreeMap::new();
    for item in items {
        let (id, address) = item?;
        let id: u64 = id
            .trim()
            .parse()
            .ok()
            .filter(|id| (1..=999).contains(id))
            .ok_or_else(|| format!("node number '{id}' is not in 1..=999"))?;
        if !address.contains(':') {
            return Err(format!("address '{address}' of node {id} is not HOST:PORT"));
        }
        nodes.insert(NodeId(id), address.trim().to_string());
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(flags: StartFlags, toml: &str) -> Result<Config, String> {
        Config::assemble(&flags, toml::from_str(toml).map_err(|error| error.to_string())?)
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let flags = StartFlags { node_id: Some(2), ..Default::default() };
        let toml = "[node]\nid = 1\n[cluster.nodes]\n1 = 'a:1'\n2 = 'b:1'\n3 = 'c:1'";
        let config = assemble(flags, toml).unwrap();
        assert_eq!((config.node, config.nodes.len(), config.replication), (NodeId(2), 3, 3));
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(assemble(StartFlags::default(), "[node]\nnumber = 1").is_err());
    }

    #[test]
    fn open_links_need_consent() {
        let flags = StartFlags {
            listen_node: Some("0.0.0.0:7800".parse().unwrap()),
            nodes: vec!["1=a:1".into(), "2=b:1".into()],
            ..Default::default()
        };
        assert!(assemble(flags.clone(), "").unwrap_err().contains("--insecure-links"));
        assert!(assemble(StartFlags { insecure_links: true, ..flags }, "").is_ok());
    }

    #[test]
    fn the_retention_has_bounds() {
        let retention = |toml: &str| {
            assemble(StartFlags::default(), toml).map(|config| config.retention.as_secs())
        };
        assert_eq!(retention(""), Ok(3600));
        assert_eq!(retention("[storage]\nretention_s = 86400"), Ok(86_400));
        for wrong in ["0", "9", "31536001"] {
            let error = retention(&format!("[storage]\nretention_s = {wrong}")).unwrap_err();
            assert!(error.contains("retention_s"), "{error}");
        }
    }

    #[test]
    fn the_sizes_of_transactions_have_bounds() {
        let sizes = |toml: &str| {
            assemble(StartFlags::default(), toml).map(|config| {
                let sizes = config.transaction_sizes;
                (sizes.buffered_max >> 20, sizes.total_max >> 30)
            })
        };
        assert_eq!(sizes(""), Ok((32, 100)));
        let given = "[transactions]\nmemory_mib = 1\nmax_transaction_gib = 4096";
        assert_eq!(sizes(given), Ok((1, 4096)));
        for wrong in ["memory_mib = 0", "memory_mib = 513", "max_transaction_gib = 0"] {
            let error = sizes(&format!("[transactions]\n{wrong}")).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn the_size_at_which_shards_are_split_has_bounds() {
        let size = |toml: &str| {
            assemble(StartFlags::default(), toml)
                .map(|config| config.split_bytes.map(|bytes| bytes >> 30))
        };
        assert_eq!(size(""), Ok(Some(16)));
        assert_eq!(size("[shards]\nsplit_gib = 64"), Ok(Some(64)));
        assert_eq!(size("[shards]\nsplit_gib = 0"), Ok(None));
        let error = size("[shards]\nsplit_gib = 70000").unwrap_err();
        assert!(error.contains("split_gib = 70000"), "{error}");
        let cpu = |toml: &str| assemble(StartFlags::default(), toml).map(|config| config.split_cpu);
        assert_eq!(cpu(""), Ok(Some(500)));
        assert_eq!(cpu("[shards]\nsplit_cpu_percent = 75"), Ok(Some(750)));
        assert_eq!(cpu("[shards]\nsplit_cpu_percent = 0"), Ok(None));
        let error = cpu("[shards]\nsplit_cpu_percent = 2000").unwrap_err();
        assert!(error.contains("split_cpu_percent = 2000"), "{error}");
    }

    #[test]
    fn the_rate_of_rebuilds_has_bounds() {
        let rate = |toml: &str| {
            assemble(StartFlags::default(), toml)
                .map(|config| config.rebuild_bytes_per_second >> 20)
        };
        assert_eq!(rate(""), Ok(128));
        assert_eq!(rate("[storage]\nrebuild_mib_per_s = 400"), Ok(400));
        for wrong in ["0", "20000"] {
            let error = rate(&format!("[storage]\nrebuild_mib_per_s = {wrong}")).unwrap_err();
            assert!(error.contains("rebuild_mib_per_s"), "{error}");
        }
    }

    #[test]
    fn the_reserve_holds_what_is_in_memory() {
        let bytes =
            |toml: &str| assemble(StartFlags::default(), toml).map(|c| c.reserve_bytes >> 20);
        assert_eq!(bytes(""), Ok(256));
        assert_eq!(bytes("[storage]\nwrite_buffer_mib = 512"), Ok(2048));
        assert_eq!(bytes("[storage]\nwrite_buffer_mib = 8\nreserve_mib = 16"), Ok(16));
        let error = bytes("[storage]\nreserve_mib = 127").unwrap_err();
        assert!(error.contains("not in 128 to"), "{error}");
    }

    #[test]
    fn a_node_joins_or_founds_but_not_both() {
        let join = StartFlags { join: vec!["a:7800".into()], ..Default::default() };
        let config = assemble(join.clone(), "").unwrap();
        assert_eq!((config.join.len(), config.node_given), (1, false));
        assert_eq!(config.advertised_node(), "127.0.0.1:7800");
        let both = StartFlags { nodes: vec!["1=a:1".into()], ..join.clone() };
        assert!(assemble(both, "").unwrap_err().contains("give one of them"));
        let bad = StartFlags { join: vec!["somewhere".into()], ..Default::default() };
        assert!(assemble(bad, "").unwrap_err().contains("'somewhere' is not HOST:PORT"));
        let open = StartFlags { listen_node: Some("0.0.0.0:7800".parse().unwrap()), ..join };
        assert!(assemble(open, "").unwrap_err().contains("--insecure-links"));
    }

    #[test]
    fn a_zone_is_a_name_or_a_city_and_a_name() {
        let zone = |toml: &str| assemble(StartFlags::default(), toml).map(|c| c.zone);
        assert_eq!(zone(""), Ok(String::new()));
        assert_eq!(zone("[node]\nzone = 'east/hall-2'"), Ok("east/hall-2".into()));
        let flags = StartFlags { zone: Some("west".into()), ..Default::default() };
        assert_eq!(assemble(flags, "[node]\nzone = 'east'").map(|c| c.zone), Ok("west".into()));
        for bad in ["a/b/c", "/a", "a/", "two words"] {
            let error = zone(&format!("[node]\nzone = '{bad}'")).unwrap_err();
            assert!(error.contains("is not ZONE or CITY/ZONE"), "{error}");
        }
    }

    #[test]
    fn more_replicas_than_nodes_are_refused() {
        let flags = StartFlags { replication: Some(3), ..Default::default() };
        assert!(assemble(flags, "").unwrap_err().contains("needs 3 nodes"));
    }
}
