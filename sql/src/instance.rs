//! A node's SQL side: what all its sessions share.
//!
//! Holds the catalog cache, the AUTO_INCREMENT ranges this node has taken, the list of sessions, and
//! the ways out: shards (`ShardClient`) and the other nodes (`Cluster`).
//!
//! Not here: what one session remembers (`session`), sockets.

use crate::activity::{ActivityPart, NodeActivity, Watched};
use crate::ast::{NodeAction, RebalanceAction};
use crate::catalog::cache::CatalogCache;
use crate::catalog::{DroppedTable, dropped};
use crate::ddl::future_partitions::{self, Addition};
use crate::ddl::index_job::{self, JobSignal};
use crate::dml::auto_increment::AutoIncrement;
use crate::dml::sequences::Sequences;
use crate::placement::{PlacementAnswer, PlacementChange, PlacementRefusal, PlacementView};
use crate::session::commits::Commits;
use crate::session::table_uses::TableUses;
use crate::session::token::KeptTokens;
use crate::session::xa::ReservedXids;
use crate::session::{Session, SessionInfo};
use crate::silence::{OwnerState, Silences};
use crate::sysvar::{self, GlobalValues, SystemVariable};
use crate::value::Value;
use crate::{Error, Result, catalog};
use base::limits::CONNECTION_COUNTER_BITS;
use base::{NodeId, Rng, ShardEpoch, ShardId, SharedClock, Slot, SlotRange, TableId, Timestamp};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use txn::command::LockOwner;
use txn::{RowLocks, ShardClient};

/// What a node gives its SQL side.
pub struct InstanceConfig {
    /// The way to shards.
    pub client: Arc<dyn ShardClient>,
    /// The way to other nodes.
    pub cluster: Arc<dyn Cluster>,
    /// Time.
    pub clock: SharedClock,
    /// This node.
    pub node: NodeId,
    /// Version announced to clients, such as `8.0.46-PrecinctDB`.
    pub version: String,
    /// Where operators spill. Its content is worthless after a restart.
    pub temp_dir: PathBuf,
    /// Whether LOAD DATA LOCAL is allowed.
    pub local_infile: bool,
    /// Other values for system variables (`port`, `hostname`, `datadir`, `socket`, …), by name.
    pub variables: BTreeMap<String, String>,
}

/// What SQL asks of the cluster's other nodes. `server` implements it.
#[async_trait::async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Tells all other live nodes that the catalog has this version now. True when every one of them
    /// has loaded it; false when some node stays silent.
    async fn announce_catalog(&self, version: u64) -> bool;

    /// Tells all other live nodes that the table locks have this version now, and asks whether their sessions use these
    /// tables. A node answers once it has loaded that version, or a later one.
    async fn announce_table_locks(&self, version: u64, wanted: &[TableWanted]) -> TableUsers {
        let _ = (version, wanted);
        TableUsers::default()
    }

    /// All shards, for SHOW SHARDS.
    fn shards(&self) -> Vec<ShardRow>;

    /// What shards have to do whose leaders tell it, for SHOW HOT SHARDS; none where nobody counts.
    fn shard_loads(&self) -> Vec<ShardLoadRow> {
        Vec::new()
    }

    /// What the planners think of a shard, for SHOW SHARD … WHY: a word and a sentence each.
    ///
    /// # Errors
    /// A sentence for people.
    fn why_shard(
        &self,
        shard: ShardId,
    ) -> std::result::Result<Vec<(&'static str, String)>, String> {
        Err(format!("there is no shard {} here: this server is not part of a cluster", shard.0))
    }

    /// Splits and changes of members that are under way, for information_schema.PRECINCT_OPERATIONS.
    fn operations(&self) -> Vec<OperationRow> {
        Vec::new()
    }

    /// Compares the replicas of every shard, for ADMIN CHECKSUM CLUSTER. Takes as long as reading every
    /// replica at a limited rate does. A cluster without replicas has nothing to compare.
    async fn compare_shards(&self) -> Vec<ComparisonRow> {
        Vec::new()
    }

    /// All nodes, for SHOW NODES.
    fn nodes(&self) -> Vec<NodeRow>;

    /// Whether a transaction or session of any node that holds locks still lives; `None` when its node does not say.
    async fn lock_owner_lives(&self, owner: LockOwner) -> Option<bool> {
        let _ = owner;
        None
    }

    /// Stops a statement, or ends a session, of another node: whether there is such a session; `None` when its node does
    /// not answer.
    async fn kill(&self, id: u32, connection: bool) -> Option<bool> {
        let _ = (id, connection);
        Some(false)
    }

    /// Row locks of the shards that this node leads; `None` when it leads none and never will.
    fn row_locks(&self) -> Option<Arc<RowLocks>> {
        None
    }

    /// What runs on every other node; `None` for one that does not answer.
    async fn activities(&self, part: ActivityPart) -> Vec<(NodeId, Option<NodeActivity>)> {
        let _ = part;
        Vec::new()
    }

    /// Says what is wanted of a node, for ALTER NODE. Answers the shards that have to move; with `dry_run`
    /// nothing else happens. The work itself goes on in the cluster.
    ///
    /// # Errors
    /// A sentence for people.
    async fn alter_node(
        &self,
        node: NodeId,
        action: NodeAction,
        dry_run: bool,
    ) -> std::result::Result<Vec<NodePlanRow>, String> {
        let _ = (action, dry_run);
        Err(format!("there is no node {} here: this server is not part of a cluster", node.0))
    }

    /// Lets another node lead a shard, for ALTER SHARD … TRANSFER LEADER; answers once it leads. The node that led
    /// before.
    ///
    /// # Errors
    /// A sentence for people.
    async fn transfer_leader(
        &self,
        shard: ShardId,
        to: NodeId,
    ) -> std::result::Result<NodeId, String> {
        let _ = to;
        Err(format!("there is no shard {} here: this server is not part of a cluster", shard.0))
    }

    /// Begins to move a replica of a shard to another node, for ALTER SHARD … MOVE REPLICA. The work itself goes on in
    /// the cluster.
    ///
    /// # Errors
    /// A sentence for people.
    async fn move_replica(
        &self,
        shard: ShardId,
        from: NodeId,
        to: NodeId,
    ) -> std::result::Result<(), String> {
        let _ = (from, to);
        Err(format!("there is no shard {} here: this server is not part of a cluster", shard.0))
    }

    /// Changes how the cluster may even nodes out, for ALTER REBALANCE.
    ///
    /// # Errors
    /// A sentence for people.
    async fn alter_rebalance(&self, action: RebalanceAction) -> std::result::Result<(), String> {
        let _ = action;
        Err("nothing is evened out here: this server is not part of a cluster".to_string())
    }

    /// How even nodes are, for SHOW REBALANCE; `None` when there is no cluster.
    fn rebalance(&self) -> Option<RebalanceRow> {
        None
    }

    /// What happens next to even nodes out, and why, for SHOW REBALANCE PLAN.
    fn rebalance_plan(&self) -> Vec<RebalancePlanRow> {
        Vec::new()
    }

    /// Changes placement policies, or which slots are under them.
    ///
    /// # Errors
    /// Why nothing was changed.
    async fn alter_placement(
        &self,
        change: PlacementChange,
    ) -> std::result::Result<PlacementAnswer, PlacementRefusal> {
        let _ = change;
        let why = "there are no placement policies here: this server is not part of a cluster";
        Err(PlacementRefusal::Other(why.to_string()))
    }

    /// Placement policies and what is under them, as this node knows it.
    fn placement(&self) -> PlacementView {
        PlacementView::default()
    }

    /// Splits a shard at a slot, or in the middle, for ALTER SHARD … SPLIT; answers once it is done, or after a while, when
    /// the cluster goes on with it.
    ///
    /// # Errors
    /// A sentence for people.
    async fn split_shard(
        &self,
        shard: ShardId,
        at: Option<Slot>,
    ) -> std::result::Result<SplitRow, String> {
        let _ = at;
        Err(format!("there is no shard {} here: this server is not part of a cluster", shard.0))
    }

    /// Has a shard take its right neighbour in, for ALTER SHARD … MERGE; answers once it is done, or after a while, when the
    /// cluster goes on with it.
    ///
    /// # Errors
    /// A sentence for people.
    async fn merge_shard(&self, shard: ShardId) -> std::result::Result<MergeRow, String> {
        Err(format!("there is no shard {} here: this server is not part of a cluster", shard.0))
    }
}

/// The line of ALTER SHARD … MERGE's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRow {
    /// The shard that stays.
    pub shard: ShardId,
    /// Its right neighbour, which goes.
    pub merged: ShardId,
    /// `done`, or how far it has come.
    pub state: String,
}

/// The line of ALTER SHARD … SPLIT's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitRow {
    /// The shard that was split.
    pub shard: ShardId,
    /// First slot of the new one.
    pub slot: Slot,
    /// The new one.
    pub new_shard: ShardId,
    /// `done`, or what it waits for.
    pub state: String,
}

/// A table that LOCK TABLES is to have, and how; or one whose users of before are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableWanted {
    /// The table; 0 stands for all of them, against changes that are under way.
    pub table: TableId,
    /// Nobody else may read it either.
    pub write: bool,
    /// Only users count, readers too, under an older version of its indexes than this.
    pub older_than: Option<u64>,
}

/// What other nodes say of the tables that LOCK TABLES wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableUsers {
    /// A session uses one in a way that is not allowed any more.
    pub used: bool,
    /// Nodes that do not say.
    pub silent: BTreeSet<NodeId>,
}

/// A line of ALTER NODE's answer: a shard that has to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlanRow {
    /// The shard.
    pub shard: ShardId,
    /// Where its replica goes, when that is known.
    pub target: Option<NodeId>,
    /// Why it cannot go; empty when it can.
    pub blocked: String,
}

/// A line of SHOW SHARDS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRow {
    /// The shard.
    pub shard: ShardId,
    /// Version of its bounds and members.
    pub epoch: ShardEpoch,
    /// Its slots; empty for the meta shard.
    pub slots: SlotRange,
    /// Leader, when this node knows it.
    pub leader: Option<NodeId>,
    /// Nodes that hold a replica.
    pub replicas: Vec<NodeId>,
    /// `ok`, or what is wrong.
    pub state: String,
    /// Last applied log index at this node, 0 when it holds no replica.
    pub applied_index: u64,
    /// Raft term at this node, 0 when it holds no replica.
    pub term: u64,
}

/// What a shard has to do, as its leader says. Rates are per second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardLoadRow {
    /// The shard.
    pub shard: ShardId,
    /// Its leader.
    pub leader: NodeId,
    /// Bytes of the leader's replica.
    pub bytes: u64,
    /// Requests that read keys, and pages of ranges.
    pub reads: u64,
    /// Pages of ranges among them.
    pub scans: u64,
    /// Rows of those pages.
    pub rows_scanned: u64,
    /// Keys that were asked for.
    pub keys_read: u64,
    /// Requests that write.
    pub writes: u64,
    /// Keys and values of those, bytes.
    pub bytes_written: u64,
    /// CPU that requests take, thousandths of a core.
    pub cpu_permille: u32,
    /// Samples that tell where that is.
    pub samples: u32,
    /// The slot that bears most.
    pub hottest: Option<HotSlotRow>,
    /// The table that bears most, and its part in thousandths.
    pub table: Option<(TableId, u32)>,
    /// What that comes to.
    pub finding: LoadFinding,
}

/// The slot that bears most of a shard's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotSlotRow {
    /// The slot.
    pub slot: Slot,
    /// Its part of the load, thousandths.
    pub permille: u32,
    /// The table that bears most of that.
    pub table: TableId,
    /// Whether most of it are writes.
    pub by_writes: bool,
}

/// Where a shard's load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadFinding {
    /// Too few samples to say.
    Unknown,
    /// One slot bears so much that no split helps.
    OneSlot,
    /// Over its slots, and most of it reads long ranges.
    Scans,
    /// Over its slots.
    Even,
}

/// A line of information_schema.PRECINCT_OPERATIONS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// The shard.
    pub shard: ShardId,
    /// `split`, `replace` or `move`.
    pub what: &'static str,
    /// The node whose replica goes.
    pub from: Option<NodeId>,
    /// The node that gets one.
    pub to: Option<NodeId>,
    /// The shard that comes of a split.
    pub new_shard: Option<ShardId>,
    /// Why.
    pub reason: String,
    /// How far it is.
    pub state: String,
    /// When it began, Unix milliseconds.
    pub started_unix_ms: u64,
}

/// The line of SHOW REBALANCE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebalanceRow {
    /// `even`, `moving`, `waiting` or `paused`.
    pub state: String,
    /// Replicas that move at once, at most.
    pub moves_at_once: u32,
    /// Replicas that move now.
    pub moves_under_way: u32,
    /// Replicas that must move after those.
    pub replicas_left: u64,
    /// Shards that get another preferred leader next.
    pub leaders_left: u64,
    /// Whether neighbours that are cold become one shard by themselves.
    pub auto_merge: bool,
    /// What is waited for; empty when nothing is.
    pub why: String,
}

/// A line of SHOW REBALANCE PLAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebalancePlanRow {
    /// `under way`, `replica`, `leader` or `held`.
    pub what: &'static str,
    /// The shard.
    pub shard: ShardId,
    /// The node that gives.
    pub from: Option<NodeId>,
    /// The node that gets.
    pub to: Option<NodeId>,
    /// Why, in a sentence.
    pub why: String,
}

/// A line of ADMIN CHECKSUM CLUSTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparisonRow {
    /// The shard.
    pub shard: ShardId,
    /// The log index at which all replicas were looked at; none when they could not be.
    pub index: Option<u64>,
    /// What each replica holds.
    pub replicas: String,
    /// `equal`, or what is wrong.
    pub verdict: String,
}

/// A line of SHOW NODES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// The node.
    pub node: NodeId,
    /// Where its MySQL port listens.
    pub sql_address: String,
    /// Where other nodes reach it.
    pub peer_address: String,
    /// `up`, or what is wrong.
    pub state: String,
    /// Shards it leads.
    pub leaders: u32,
    /// Replicas it holds.
    pub replicas: u32,
}

/// Who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User name.
    pub user: String,
    /// Host pattern: `%`, `localhost`, or text with `%` and `_`.
    pub host: String,
    /// `caching_sha2_password` or `mysql_native_password`.
    pub plugin: String,
    /// What the plugin checks a password against; empty for an empty password.
    pub authentication_string: Vec<u8>,
}

impl Account {
    /// Whether this is the account's password. Slow by design for `caching_sha2_password`: keep what
    /// the fast path needs.
    pub fn accepts(&self, password: &str) -> bool {
        crate::ddl::password::is_password(&self.plugin, &self.authentication_string, password)
    }
}

/// A line of SHOW PROCESSLIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Connection id.
    pub id: u32,
    /// User.
    pub user: String,
    /// Host and port of the client.
    pub host: String,
    /// Default database.
    pub database: Option<String>,
    /// `Query` while a statement runs, else `Sleep`.
    pub command: &'static str,
    /// Seconds in this state.
    pub seconds: u64,
    /// What the statement does or waits for, in MySQL's words; empty when none runs.
    pub state: String,
    /// The statement that runs.
    pub statement: Option<String>,
}

/// What the instance keeps about a session.
#[derive(Debug)]
pub(crate) struct SessionEntry {
    /// Connection id.
    pub id: u32,
    /// What changes while the session lives.
    pub state: Mutex<SessionEntryState>,
    /// Raised to stop the statement that runs.
    pub cancel: Arc<AtomicBool>,
    /// Raised with it by KILL; a lost connection raises only the other one.
    pub stopped: AtomicBool,
    /// Raised to end the connection after the statement.
    pub killed: Arc<AtomicBool>,
    /// The tables that it uses now.
    pub uses: Arc<TableUses>,
    /// How its transactions were committed.
    pub commits: Commits,
}

/// The changing part of a [`SessionEntry`].
#[derive(Debug)]
pub(crate) struct SessionEntryState {
    /// User.
    pub user: String,
    /// Client's host.
    pub host: String,
    /// Default database.
    pub database: Option<String>,
    /// Statement that runs now.
    pub statement: Option<String>,
    /// Monotonic time of the last change between running and idle.
    pub since: std::time::Duration,
    /// What the statement waits for, in MySQL's words.
    pub waits: Option<&'static str>,
    /// Owners of the table locks that it has.
    pub table_locks: Vec<LockOwner>,
    /// Its transactions; those that are over go when the next one begins.
    pub transactions: Vec<Watched>,
    /// Transactions begun since the login.
    pub transactions_begun: u64,
}

impl SessionEntry {
    /// Its line in SHOW PROCESSLIST at this monotonic time.
    pub(crate) fn process(&self, now: std::time::Duration) -> Process {
        let state = self.state.lock();
        let runs = state.statement.is_some();
        Process {
            id: self.id,
            user: state.user.clone(),
            host: state.host.clone(),
            database: state.database.clone(),
            command: if runs { "Query" } else { "Sleep" },
            seconds: now.saturating_sub(state.since).as_secs(),
            state: if runs {
                state.waits.unwrap_or("executing").to_string()
            } else {
                String::new()
            },
            statement: state.statement.clone(),
        }
    }
}

/// A node's SQL side. One per node, shared by its sessions.
pub struct Instance {
    /// What the node gave.
    pub(crate) config: InstanceConfig,
    /// Global values of system variables.
    pub(crate) globals: GlobalValues,
    /// Snapshot of the catalog and its lease.
    pub(crate) catalog: CatalogCache,
    /// AUTO_INCREMENT ranges taken by this node.
    pub(crate) auto_increment: AutoIncrement,
    /// Values of sequences taken by this node.
    pub(crate) sequences: Sequences,
    /// Live sessions by connection id.
    pub(crate) sessions: Mutex<BTreeMap<u32, Arc<SessionEntry>>>,
    /// Names of XA transactions that sessions of this node are in.
    pub(crate) xids: Arc<ReservedXids>,
    /// Tokens of commits with an unknown outcome.
    pub(crate) tokens: Arc<KeptTokens>,
    /// Tells when jobs that change indexes have an outcome.
    pub(crate) index_jobs: JobSignal,
    /// Other nodes that do not say whether owners of locks live.
    silences: Silences,
    /// Statements executed since the start.
    pub(crate) questions: AtomicU64,
    /// Sessions opened since the start.
    pub(crate) connections: AtomicU64,
    /// How transactions were committed since the start.
    pub(crate) commits: Commits,
    /// Monotonic time of the start.
    pub(crate) started: std::time::Duration,
    /// Seeds of the random streams of statements.
    seeds: Mutex<Rng>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("node", &self.config.node).finish_non_exhaustive()
    }
}

impl Instance {
    /// The SQL side of a node. Nothing is read before the first statement or [`Self::bootstrap`].
    pub fn new(config: InstanceConfig) -> Arc<Instance> {
        let started = config.clock.monotonic();
        let mut variables = config.variables.clone();
        let own = [
            ("version", config.version.clone()),
            ("local_infile", (if config.local_infile { "1" } else { "0" }).to_string()),
            ("server_id", config.node.0.to_string()),
            ("tmpdir", config.temp_dir.display().to_string()),
        ];
        for (name, value) in own {
            variables.entry(name.to_string()).or_insert(value);
        }
        Arc::new(Instance {
            globals: GlobalValues::new(&variables),
            seeds: Mutex::new(Rng::from_entropy()),
            catalog: CatalogCache::new(config.client.clone(), config.clock.clone()),
            auto_increment: AutoIncrement::new(config.client.clone(), config.clock.clone()),
            sequences: Sequences::new(config.client.clone()),
            sessions: Mutex::default(),
            xids: Arc::default(),
            tokens: Arc::default(),
            index_jobs: JobSignal::default(),
            silences: Silences::default(),
            questions: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            commits: Commits::default(),
            started,
            config,
        })
    }

    /// A session for a client that has logged in.
    pub fn session(self: &Arc<Self>, info: SessionInfo) -> Session {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(SessionEntry {
            id: info.connection_id,
            state: Mutex::new(SessionEntryState {
                user: info.user.clone(),
                host: info.host.clone(),
                database: None,
                statement: None,
                since: self.config.clock.monotonic(),
                waits: None,
                table_locks: Vec::new(),
                transactions: Vec::new(),
                transactions_begun: 0,
            }),
            cancel: Arc::default(),
            stopped: AtomicBool::new(false),
            killed: Arc::default(),
            uses: Arc::default(),
            commits: Commits::default(),
        });
        self.sessions.lock().insert(entry.id, entry.clone());
        Session::new(self.clone(), info, entry)
    }

    /// The account that a user of this host logs in with. The most specific host pattern wins.
    pub async fn account(&self, user: &str, host: &str) -> Result<Option<Account>> {
        crate::ddl::account::find(&self.config.client, user, host).await
    }

    /// Creates what a new cluster needs: the first catalog version and `root` with an empty password.
    /// Repeating it changes nothing.
    pub async fn bootstrap(&self) -> Result<()> {
        catalog::store::bootstrap(&self.config.client).await?;
        self.catalog.renew().await
    }

    /// The global value of a variable: what SET GLOBAL has set as far as this node knows, else its configuration's.
    pub(crate) fn global(&self, variable: &SystemVariable) -> Value {
        match self.catalog.known().settings().get(variable.stored_name()) {
            Some(setting) => variable.value_of_setting(setting.value.as_deref()),
            None => self.globals.get(variable),
        }
    }

    /// The global values that differ from the variables' defaults and that sessions begin with.
    pub(crate) fn begin_values(&self) -> BTreeMap<&'static str, Value> {
        let mut values = self.globals.overridden();
        for setting in self.catalog.known().settings().values() {
            if let Some(variable) = sysvar::find(&setting.name) {
                let value = variable.value_of_setting(setting.value.as_deref());
                values.insert(variable.name, value);
            }
        }
        values
    }

    /// Renews the catalog's lease; the server calls it every `base::limits::CATALOG_RENEW`.
    pub async fn renew_catalog(&self) -> Result<()> {
        self.catalog.renew().await
    }

    /// How long replaced versions of rows are kept, of the tables where that is not `usual`, the cluster's retention.
    pub async fn retentions(&self, usual: Duration) -> Result<BTreeMap<TableId, Duration>> {
        Ok(self.catalog.current().await?.retentions(usual))
    }

    /// Tables and partitions that were dropped before a safe point and whose rows may still be there.
    ///
    /// # Errors
    /// 9006 when the meta shard has dropped its past up to later: a later safe point will do.
    pub async fn dropped_before(&self, safe_point: Timestamp) -> Result<Vec<DroppedTable>> {
        dropped::before(&self.config.client, safe_point).await
    }

    /// Notes that slots have no row of a dropped table. Repeating it changes nothing.
    ///
    /// # Errors
    /// 1213 when another shard's slots are noted at the same time, and the like: nothing was noted.
    pub async fn note_empty(&self, table: TableId, slots: SlotRange) -> Result<()> {
        dropped::note_empty(&self.config.client, table, slots).await
    }

    /// Takes over jobs that change indexes and whose nodes are gone; the server calls it every
    /// `base::limits::INDEX_JOBS_WATCH`.
    ///
    /// # Errors
    /// 9001 and the like: nothing was taken over, the next look tries again.
    pub async fn watch_index_jobs(self: &Arc<Self>) -> Result<()> {
        index_job::watch(self).await
    }

    /// Adds the partitions of the future that tables lack (AUTO_PARTITION), but to those that rest.
    pub async fn add_future_partitions(
        self: &Arc<Self>,
        resting: &BTreeSet<TableId>,
    ) -> Result<Vec<Addition>> {
        future_partitions::add(self, resting).await
    }

    /// Loads the catalog at least at this version: another node's schema change was announced.
    pub async fn catalog_announced(&self, version: u64) -> Result<()> {
        self.catalog.announced(version).await
    }

    /// Makes this node keep to the table locks of this version: another node's session has locked tables. Whether sessions
    /// here still use what it wants.
    pub async fn table_locks_announced(
        &self,
        version: u64,
        wanted: &[TableWanted],
    ) -> Result<bool> {
        self.catalog.table_locks_announced(version).await?;
        Ok(self.uses_tables(wanted))
    }

    /// Whether sessions of this node use tables in the way of who wants them.
    pub(crate) fn uses_tables(&self, wanted: &[TableWanted]) -> bool {
        let entries: Vec<_> = self.sessions.lock().values().cloned().collect();
        entries.iter().any(|entry| entry.uses.conflict(wanted))
    }

    /// What is known of an owner of locks: its node is asked.
    pub(crate) async fn owner_state(&self, owner: LockOwner) -> OwnerState {
        let (node, clock) = (owner.node(), &self.config.clock);
        let asked = clock.monotonic();
        let lives = match node == self.config.node {
            true => Some(self.config.client.lock_owners().is_alive(owner)),
            false => self.config.cluster.lock_owner_lives(owner).await,
        };
        if lives.is_some() {
            self.silences.answered(node);
        }
        match lives {
            Some(true) => OwnerState::Lives,
            Some(false) => OwnerState::Gone,
            None => OwnerState::Silent(self.silences.unanswered(node, asked, clock.monotonic())),
        }
    }

    /// Whether an owner of locks still lives; `None` when its node does not say, and has not for a short time only.
    pub(crate) async fn owner_lives(&self, owner: LockOwner) -> Option<bool> {
        self.owner_state(owner).await.lives()
    }

    /// Version of the catalog snapshot this node holds now.
    pub fn catalog_version(&self) -> u64 {
        self.catalog.version()
    }

    /// The sessions of this node.
    pub fn processes(&self) -> Vec<Process> {
        let now = self.config.clock.monotonic();
        let entries: Vec<_> = self.sessions.lock().values().cloned().collect();
        entries.iter().map(|entry| entry.process(now)).collect()
    }

    /// Stops the statement of a session of this node; with `connection`, ends the session too.
    /// 1094 when there is no such session.
    pub fn kill(&self, id: u32, connection: bool) -> Result<()> {
        let entry =
            self.sessions.lock().get(&id).cloned().ok_or_else(|| Error::no_such_thread(id))?;
        if connection {
            entry.killed.store(true, Ordering::Release);
        }
        entry.stopped.store(true, Ordering::Release);
        entry.cancel.store(true, Ordering::Release);
        Ok(())
    }

    /// The same for a session of any node.
    ///
    /// # Errors
    /// 1094 when there is no such session; 9001 when its node does not answer.
    pub async fn kill_anywhere(&self, id: u32, connection: bool) -> Result<()> {
        let node = |id: u64| id % (1 << (32 - CONNECTION_COUNTER_BITS));
        let home = u64::from(id >> CONNECTION_COUNTER_BITS);
        if home == node(self.config.node.0) || self.sessions.lock().contains_key(&id) {
            return self.kill(id, connection);
        }
        match self.config.cluster.kill(id, connection).await {
            Some(true) => Ok(()),
            Some(false) => Err(Error::no_such_thread(id)),
            None => Err(Error::unavailable(format!("the node of connection {id} does not answer"))),
        }
    }

    /// A seed for the random stream of a statement.
    pub(crate) fn next_seed(&self) -> u64 {
        self.seeds.lock().next_u64()
    }

    /// Statements executed and sessions opened since the start.
    pub fn counters(&self) -> (u64, u64) {
        (self.questions.load(Ordering::Relaxed), self.connections.load(Ordering::Relaxed))
    }

    /// The version string that clients see.
    pub fn version(&self) -> &str {
        &self.config.version
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.config.node
    }

    /// Forgets a session that has ended.
    pub(crate) fn session_ended(&self, id: u32) {
        self.sessions.lock().remove(&id);
    }
}
