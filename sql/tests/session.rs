//! Statements against a session over four shards in memory: golden scripts in `src/testscripts/session`.
//!
//! A command is a statement after `>`; a prefix names the session that runs it (`b:> …`), the default one
//! is `main`. The session `far` is at another node, which knows the tables that there are when it is used first.
//! The tag `[prepared]` prepares it and executes it with the parameters after ` -- params: `,
//! separated by commas: integers, NULL, or text. The tag `[columns]` prints the result's columns.
//! The tag `[patient]` lets time pass until the statement ends, for one that waits for nobody but takes steps.
//! LOAD DATA LOCAL reads its file's *content* from the place of the file name.
//!
//! A statement that cannot go on without another session answers "waits"; `b:> await` shows what it came to, and lets
//! time pass if nothing else helps. `b:> bye` closes a session. `> later 1500` moves the clock,
//! `> oracle-ahead 800` puts the cluster's clock so many milliseconds before the node's,
//! `> collect` drops versions of rows that nobody can see from now on, `> remove-dropped` removes what tables that were
//! dropped until now have left, `> counters` tells how many counters there are, `> memory 0` lets writes of transactions leave memory
//! at once.
//!
//! Scripts whose names begin with `far_` run on a node that leads no shard: what a session asked for goes on at the leader when
//! the session has given up.
//!
//! `> lose-quorum SHARD` lets the outcome of each write be unknown, `> elect SHARD kept|lost` makes the shard serve again, with
//! those writes or without them; `data` stands for all shards but the meta shard, 0. Tokens of transactions are shown as
//! `token-1` and so on, in the order in which they first appear, and may be written so.
//!
//! `> follow` gives each data shard a second replica, `> close` closes a timestamp for all of them, and `> catch-up` lets them
//! apply what they lack. `> entries` tells how many entries the data shards have written since it was asked last, and how many
//! shards; `> split` cuts every data shard in two, `> add-partitions` adds what AUTO_PARTITION asks for. `> lose entry t.by_phone` removes the first entry of an index of a table of `d` behind
//! everybody's back, `> lose row t.PRIMARY` the first row, `> misdirect t.by_phone` lets the first entry lead where the last one does,
//! `> spoil t.by_phone` turns the last bit of what it carries.
//!
//! Output is what a client would show: rows, affected rows, errors, and warnings when there are any.

use base::{Clock, KeyRange, NodeId, ShardEpoch, ShardId, Slot, SlotRange, TableId, Timestamp};
use bytes::Bytes;
use engine::mvcc::SafePoints;
use goldenscript::{Command, Context, Runner};
use parking_lot::Mutex;
use sql::catalog::CatalogCache;
use sql::instance::{
    Cluster, HotSlotRow, Instance, InstanceConfig, LoadFinding, NodeRow, OperationRow,
    ShardLoadRow, ShardRow,
};
use sql::placement::{
    PlaceRow, PlacementAnswer, PlacementChange, PlacementRefusal, PlacementView, PolicyRow,
    PutPolicy,
};
use sql::session::{ColumnMeta, Outcome, Session, SessionInfo};
use sql::table_codec;
use sql::value::{Row, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use txn::command::Expect;
use txn::testing::{Cancels, FarClient, MemoryCluster, Unconfirmed};
use txn::transaction::{Mode, ScanOptions};
use txn::{RowLocks, ShardClient, Transaction, TransactionSizes};

test_each_file::test_each_path! { in "sql/src/testscripts/session" as scripts => script }

fn script(path: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let clock = Arc::new(ScriptClock::default());
    let cluster = {
        let _inside = runtime.enter();
        MemoryCluster::new(SHARDS, clock.clone()).expect("a cluster in memory")
    };
    let is_far = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("far_"));
    let client: Arc<dyn ShardClient> = match is_far {
        true => FarClient::new(cluster.clone(), Cancels::Arrive),
        false => cluster.clone(),
    };
    let instance = runtime.block_on(instance(cluster.clone(), client, clock.clone(), NodeId(1)));
    let mut sessions = Sessions {
        runtime,
        clock,
        cluster,
        instance,
        far: None,
        sessions: BTreeMap::new(),
        tokens: Vec::new(),
        entries: BTreeMap::new(),
    };
    goldenscript::run(&mut sessions, path).expect("the script runs");
}

/// 2026-01-02 03:04:05.678 UTC, standing still unless a script moves it.
#[derive(Default)]
struct ScriptClock {
    /// Milliseconds that the script let pass.
    later_ms: AtomicU64,
}

impl Clock for ScriptClock {
    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn unix_micros(&self) -> u64 {
        1_767_323_045_678_000 + self.later_ms.load(Ordering::Relaxed) * 1000
    }
}

/// A cluster of one node, which keeps placement policies and meets those without REGIONS.
struct Alone {
    announced: AtomicU64,
    placement: Mutex<PlacementView>,
    shards: Arc<MemoryCluster>,
}

#[async_trait::async_trait]
impl Cluster for Alone {
    async fn announce_catalog(&self, version: u64) -> bool {
        self.announced.store(version, Ordering::Relaxed);
        true
    }

    fn shards(&self) -> Vec<ShardRow> {
        let row = |shard, leader, replicas: &[u64], state: &str| ShardRow {
            shard: ShardId(shard),
            epoch: ShardEpoch(1),
            slots: SlotRange::ALL,
            leader,
            replicas: replicas.iter().copied().map(NodeId).collect(),
            state: state.to_string(),
            applied_index: 0,
            term: 1,
        };
        vec![row(2, Some(NodeId(1)), &[3, 1], "ok"), row(9, None, &[1], "no leader")]
    }

    fn shard_loads(&self) -> Vec<ShardLoadRow> {
        use LoadFinding::{Even, OneSlot, Scans, Unknown};
        // Reads and writes; then the slot, its part, the table, and whether it is by writes.
        type Hot = (u16, u32, u32, bool);
        let row = |shard: u64, cpu: u32, finding: LoadFinding, requests: (u64, u64), hot: Hot| {
            let ((reads, writes), (slot, permille, table, by_writes)) = (requests, hot);
            let (slot, table) = (Slot(slot), TableId(table));
            ShardLoadRow {
                shard: ShardId(shard),
                leader: NodeId(1),
                bytes: 1 << 30,
                reads,
                scans: 10,
                rows_scanned: 16_000,
                keys_read: reads,
                writes,
                bytes_written: writes * 100,
                cpu_permille: cpu,
                samples: if finding == Unknown { 12 } else { 300 },
                hottest: Some(HotSlotRow { slot, permille, table, by_writes }),
                table: Some((table, permille)),
                finding,
            }
        };
        vec![
            row(1, 120, Even, (300, 20), (7, 30, 1000, false)),
            row(2, 910, OneSlot, (40, 900), (4711, 830, 1000, true)),
            row(3, 640, Scans, (10, 0), (9, 40, 1001, false)),
            row(4, 20, Unknown, (5, 0), (9, 400, 1001, false)),
            row(5, 500, OneSlot, (80, 0), (77, 990, 1001, false)),
            row(6, 400, OneSlot, (0, 60), (8, 1000, 1002, true)),
            row(7, 0, Unknown, (0, 0), (8, 1000, 1002, true)),
            row(8, 450, OneSlot, (80, 0), (9, 1000, 4000, false)),
        ]
    }

    fn why_shard(&self, shard: ShardId) -> Result<Vec<(&'static str, String)>, String> {
        match shard.0 {
            2 => Ok(vec![("size", "it holds 1 GiB".to_string())]),
            _ => Err(format!("there is no shard {}; the last one is 8", shard.0)),
        }
    }

    fn operations(&self) -> Vec<OperationRow> {
        vec![OperationRow {
            shard: ShardId(2),
            what: "split",
            from: None,
            to: None,
            new_shard: Some(ShardId(10)),
            reason: "it is to be two shards".to_string(),
            state: "asked".to_string(),
            started_unix_ms: 90_000,
        }]
    }

    fn nodes(&self) -> Vec<NodeRow> {
        Vec::new()
    }

    async fn alter_placement(
        &self,
        change: PlacementChange,
    ) -> Result<PlacementAnswer, PlacementRefusal> {
        let mut view = self.placement.lock();
        let mut answer = PlacementAnswer::default();
        let known = |view: &PlacementView, name: &str| match view.policy(name) {
            Some(row) => Ok(row.state.clone()),
            None => Err(PlacementRefusal::Unknown),
        };
        match change {
            PlacementChange::Put { name, options, how } => {
                match (how, view.policy(&name).is_some()) {
                    (PutPolicy::New, true) => return Err(PlacementRefusal::Exists),
                    (PutPolicy::Old, false) => return Err(PlacementRefusal::Unknown),
                    _ => {}
                }
                let state = match &options.regions {
                    Some(regions) => format!("no node is in {regions}"),
                    None => "ok".to_string(),
                };
                answer.warnings.extend((state != "ok").then(|| state.clone()));
                view.policies.retain(|row| row.name != name);
                view.policies.push(PolicyRow { name, options, state });
                view.policies.sort_by(|one, other| one.name.cmp(&other.name));
            }
            PlacementChange::Drop { name } => {
                known(&view, &name)?;
                if let Some(place) = view.places.iter().find(|row| row.policy == name) {
                    return Err(PlacementRefusal::InUse(place.slots));
                }
                view.policies.retain(|row| row.name != name);
            }
            PlacementChange::Assign { slots, policy } => {
                let state = policy.as_deref().map(|name| known(&view, name)).transpose()?;
                view.places.retain(|row| row.slots != slots);
                let place = policy.zip(state);
                let place = place.map(|(policy, state)| PlaceRow { slots, policy, state });
                view.places.extend(place);
                view.places.sort_by_key(|row| row.slots.start);
            }
            PlacementChange::Use { policy, sets } => {
                let state = known(&view, &policy)?;
                let own = view.places.iter().find(|row| row.policy == policy).map(|row| row.slots);
                let free = |set: &&SlotRange| view.places_in(**set).next().is_none();
                let slots = match own {
                    Some(slots) => slots,
                    None => *sets.iter().rev().find(free).ok_or(PlacementRefusal::NoSet)?,
                };
                answer.taken = own.is_none();
                answer.slots = Some(slots);
                if answer.taken {
                    view.places.push(PlaceRow { slots, policy, state });
                    view.places.sort_by_key(|row| row.slots.start);
                }
            }
        }
        Ok(answer)
    }

    fn placement(&self) -> PlacementView {
        self.placement.lock().clone()
    }

    fn row_locks(&self) -> Option<Arc<RowLocks>> {
        Some(self.shards.row_locks().clone())
    }
}

/// Data shards of the cluster.
const SHARDS: u32 = 4;

async fn instance(
    shards: Arc<MemoryCluster>,
    client: Arc<dyn ShardClient>,
    clock: Arc<ScriptClock>,
    node: NodeId,
) -> Arc<Instance> {
    let instance = Instance::new(InstanceConfig {
        client,
        cluster: Arc::new(Alone {
            announced: AtomicU64::new(0),
            placement: Mutex::default(),
            shards,
        }),
        clock,
        node,
        version: "8.0.46-PrecinctDB".into(),
        temp_dir: std::env::temp_dir().join("precinct-sql-tests"),
        local_infile: true,
        variables: BTreeMap::new(),
    });
    instance.bootstrap().await.expect("bootstrap");
    instance
}

struct Sessions {
    runtime: tokio::runtime::Runtime,
    clock: Arc<ScriptClock>,
    cluster: Arc<MemoryCluster>,
    instance: Arc<Instance>,
    /// The node of the session `far`, once it was used.
    far: Option<Arc<Instance>>,
    sessions: BTreeMap<String, Client>,
    /// Tokens that were shown.
    tokens: Vec<String>,
    /// Entries that data shards had written when that was asked last.
    entries: BTreeMap<ShardId, u64>,
}

/// What is done to the first key of an index.
#[derive(Clone, Copy)]
enum Damage {
    /// It goes.
    Lose,
    /// It leads where the last one leads.
    Misdirect,
    /// The last bit of its value is another one.
    Spoil,
}

/// A session at rest, or the statement that it runs.
enum Client {
    Idle(Box<Session>),
    Busy(tokio::task::JoinHandle<(Box<Session>, String)>),
}

/// Turns of other tasks that a statement gets before it counts as waiting.
const TURNS: usize = 20_000;

impl Runner for Sessions {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        if let Some(ms) = command.name.strip_prefix("later ") {
            self.clock.later_ms.fetch_add(ms.parse()?, Ordering::Relaxed);
            return Ok("ok".into());
        }
        if let Some(ms) = command.name.strip_prefix("oracle-ahead ") {
            self.cluster.set_oracle_ahead(Duration::from_millis(ms.parse()?));
            return Ok("ok".into());
        }
        if let Some(bytes) = command.name.strip_prefix("memory ") {
            let buffered_max = bytes.parse()?;
            let sizes = TransactionSizes { buffered_max, ..TransactionSizes::default() };
            self.cluster.set_transaction_sizes(sizes);
            return Ok("ok".into());
        }
        if command.name == "collect" {
            return Ok(format!("dropped {}", self.runtime.block_on(collect(&self.cluster))?));
        }
        if command.name == "remove-dropped" {
            return self.remove_dropped();
        }
        if command.name == "counters" {
            return self.runtime.block_on(counters(self.cluster.clone()));
        }
        if self.moves_shards(&command.name)? || self.follows(&command.name)? {
            return Ok("ok".into());
        }
        if command.name == "entries" {
            return self.new_entries();
        }
        if self.damages(&command.name)? {
            return Ok("ok".into());
        }
        if command.name == "add-partitions" {
            return self.add_partitions();
        }
        if command.name == "split" {
            return self.split().map(|shards| format!("{shards} shards"));
        }
        let name = context.prefix.clone().unwrap_or_else(|| "main".into());
        if name == "far" && self.far.is_none() {
            let far =
                instance(self.cluster.clone(), self.cluster.clone(), self.clock.clone(), NodeId(2));
            self.far = Some(self.runtime.block_on(far));
        }
        let Sessions { runtime, sessions, tokens, .. } = self;
        let instance = match &self.far {
            Some(far) if name == "far" => far,
            _ => &self.instance,
        };
        let next_id = sessions.len() as u32 + 1;
        let client = sessions.remove(&name).unwrap_or_else(|| {
            Client::Idle(Box::new(instance.session(SessionInfo {
                connection_id: next_id,
                user: "root".into(),
                host: "localhost".into(),
                found_rows: false,
                interactive: false,
            })))
        });
        let prepared = context.tags.contains("prepared");
        let columns = context.tags.contains("columns");
        let patient = context.tags.contains("patient");
        let (client, out) = match (client, command.name.as_str()) {
            (Client::Busy(step), "await") => {
                let (session, out) = runtime.block_on(step)?;
                (Client::Idle(session), out)
            }
            (Client::Busy(_), _) => return Err("it is still busy".into()),
            (Client::Idle(_), "await") => return Err("no statement is running".into()),
            (Client::Idle(session), "bye") => {
                let _inside = runtime.enter();
                drop(session);
                return Ok("bye".into());
            }
            (Client::Idle(mut session), sql) => {
                let mut sql = sql.to_string();
                for (number, token) in tokens.iter().enumerate() {
                    sql = sql.replace(&format!("token-{}", number + 1), token);
                }
                let mut step = runtime.spawn(async move {
                    let out = run(&mut session, &sql, prepared, columns).await;
                    (session, out)
                });
                runtime.block_on(async {
                    for _ in 0..TURNS {
                        if step.is_finished() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                });
                match patient || step.is_finished() {
                    true => {
                        let (session, out) = runtime.block_on(&mut step)?;
                        (Client::Idle(session), out)
                    }
                    false => (Client::Busy(step), "waits".into()),
                }
            }
        };
        sessions.insert(name, client);
        Ok(self.without_chance(&out))
    }
}

impl Sessions {
    /// Entries of data shards since this was asked last.
    fn new_entries(&mut self) -> Result<String, Box<dyn Error>> {
        let (mut all, mut shards) = (0, 0);
        for id in self.cluster.data_shard_ids() {
            let entries = self.cluster.shard(id)?.replication.entries();
            let new = entries - self.entries.insert(id, entries).unwrap_or(0);
            all += new;
            shards += u32::from(new > 0);
        }
        Ok(format!("{all} in {shards} shards"))
    }

    /// Runs a command that damages an index or loses a row, if it is one.
    fn damages(&self, command: &str) -> Result<bool, Box<dyn Error>> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let [how @ .., target] = &words[..] else { return Ok(false) };
        let how = match how {
            ["lose", "entry" | "row"] => Damage::Lose,
            ["misdirect"] => Damage::Misdirect,
            ["spoil"] => Damage::Spoil,
            _ => return Ok(false),
        };
        let (table, index) = target.split_once('.').ok_or("it takes table.index")?;
        let client: Arc<dyn ShardClient> = self.cluster.clone();
        let catalog = CatalogCache::new(client.clone(), self.clock.clone());
        self.runtime.block_on(async {
            let catalog = catalog.current().await?;
            let table = catalog.table("d", table).ok_or("no such table in d")?;
            let index = table.indexes.iter().find(|found| found.name == index);
            let index = index.ok_or("no such index")?;
            let mut txn = Transaction::begin(client, Mode::Snapshot);
            let mut entries = Vec::new();
            for id in table.key_ids() {
                let range = KeyRange::prefix(table_codec::key_prefix(table, id, index, &[])?);
                let options = ScanOptions { ordered: true, ..ScanOptions::default() };
                let mut scan = txn.scan(range, options).await?;
                while let Some(page) = scan.next_page().await? {
                    entries.extend(page);
                }
            }
            let (first, value) = entries.first().cloned().ok_or("it has no entries")?;
            match (how, entries.last()) {
                (Damage::Misdirect, Some((_, value))) => {
                    txn.put(first, value.clone(), Expect::Any)?;
                }
                (Damage::Spoil, _) => {
                    let mut value = value.to_vec();
                    *value.last_mut().ok_or("it has no value")? ^= 1;
                    txn.put(first, value, Expect::Any)?;
                }
                (Damage::Lose | Damage::Misdirect, _) => txn.delete(first, Expect::Any)?,
            }
            txn.commit().await?;
            Ok::<bool, Box<dyn Error>>(true)
        })
    }

    /// What AUTO_PARTITION adds now, as statements.
    fn add_partitions(&self) -> Result<String, Box<dyn Error>> {
        let resting = BTreeSet::new();
        let adding = self.instance.add_future_partitions(&resting);
        let additions = self.runtime.block_on(adding)?.into_iter().map(|addition| {
            let outcome = addition.result.map_or_else(|error| error.to_string(), |()| "ok".into());
            format!("{}: {outcome}", addition.statement)
        });
        let lines: Vec<String> = additions.collect();
        Ok(if lines.is_empty() { "nothing".into() } else { lines.join("\n") })
    }

    /// Cuts every data shard in two; how many there are then.
    fn split(&mut self) -> Result<usize, Box<dyn Error>> {
        for route in self.cluster.data_shards()? {
            let middle = Slot(((route.slots.start + route.slots.end) / 2) as u16);
            self.runtime.block_on(self.cluster.split(route.shard, middle))?;
        }
        Ok(self.cluster.data_shard_ids().len())
    }

    /// Runs a command that changes how shards do, if it is one.
    fn moves_shards(&self, command: &str) -> Result<bool, Box<dyn Error>> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (shard, unconfirmed) = match words[..] {
            ["lose-quorum", shard] => (shard, None),
            ["elect", shard, "kept"] => (shard, Some(Unconfirmed::Kept)),
            ["elect", shard, "lost"] => (shard, Some(Unconfirmed::Lost)),
            _ => return Ok(false),
        };
        let shards: Vec<u64> = match shard {
            "data" => (1..=u64::from(SHARDS)).collect(),
            id => vec![id.parse()?],
        };
        for shard in shards {
            let replication = &self.cluster.shard(ShardId(shard))?.replication;
            match unconfirmed {
                None => replication.lose_quorum(),
                Some(unconfirmed) => replication.elect(unconfirmed)?,
            }
        }
        Ok(true)
    }

    /// Removes rows of dropped tables, shard by shard; what went, and how many tables are not known to be gone.
    fn remove_dropped(&self) -> Result<String, Box<dyn Error>> {
        let (dropped, left) = self.runtime.block_on(async {
            let now = self.cluster.timestamp().await?;
            let safe_points = SafePoints::from(now);
            let mut dropped = 0;
            for route in self.cluster.data_shards()? {
                let shard = &self.cluster.shard(route.shard)?.shard;
                for table in self.instance.dropped_before(now).await? {
                    if table.is_gone_from(route.slots) {
                        continue;
                    }
                    let mut is_empty = true;
                    let mut from = Some(Bytes::new());
                    while let Some(at) = from {
                        let found = shard.find_leftover(table.id, &at)?;
                        is_empty &= found.keys.is_empty() && !found.locked;
                        dropped += shard.drop_leftover(found.keys, &safe_points).await?;
                        from = found.next;
                    }
                    if is_empty {
                        self.instance.note_empty(table.id, route.slots).await?;
                    }
                }
            }
            let left = self.instance.dropped_before(now).await?.len();
            Ok::<_, Box<dyn Error>>((dropped, left))
        })?;
        Ok(format!("dropped {dropped}, {left} tables left"))
    }

    /// Runs a command about second replicas, if it is one.
    fn follows(&self, command: &str) -> Result<bool, Box<dyn Error>> {
        let mut shards = (1..=u64::from(SHARDS)).map(ShardId);
        match command {
            "follow" => shards.try_for_each(|id| self.cluster.follow(id))?,
            "catch-up" => shards.try_for_each(|id| self.cluster.catch_up(id))?,
            "close" => {
                self.runtime.block_on(self.cluster.close_all())?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// An output that does not depend on what was numbered before: tokens, commit timestamps, and the shard of a row.
    fn without_chance(&mut self, out: &str) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let mut shown = String::new();
        let mut rest = out;
        while !rest.is_empty() {
            let (word, after) =
                rest.split_at(rest.find(|c: char| !is_part(c)).unwrap_or(rest.len()));
            let (between, after) = after.split_at(after.find(is_part).unwrap_or(after.len()));
            shown.push_str(&self.word_without_chance(word));
            shown.push_str(between);
            rest = after;
        }
        for shard in 1..=SHARDS {
            for whose in ["a quorum of", "No follower of"] {
                let (this, any) =
                    (format!("{whose} shard s{shard} "), format!("{whose} shard sN "));
                shown = shown.replace(&this, &any);
            }
        }
        shown
    }

    fn word_without_chance(&mut self, word: &str) -> String {
        if is_token(word) {
            let known = self.tokens.iter().position(|token| token == word);
            let number = known.unwrap_or_else(|| {
                self.tokens.push(word.to_string());
                self.tokens.len() - 1
            });
            return format!("token-{}", number + 1);
        }
        let started = Timestamp::from_unix_ms(ScriptClock::default().unix_ms()).0;
        let day = Timestamp::from_unix_ms(24 * 3600 * 1000).0;
        match word.parse::<u64>() {
            Ok(number) if (started..started + day).contains(&number) => "TIMESTAMP".into(),
            _ => word.to_string(),
        }
    }
}

/// Whether a word looks as tokens of transactions do.
fn is_token(word: &str) -> bool {
    let is_hex = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_hexdigit());
    let Some(rest) = word.strip_prefix(['c', 't']) else { return false };
    match rest.split('-').collect::<Vec<_>>()[..] {
        [node, count, time] => node.parse::<u16>().is_ok() && is_hex(count) && time.len() == 11,
        _ => false,
    }
}

/// How many counters of tables and of sequences the meta shard has.
async fn counters(client: Arc<dyn ShardClient>) -> Result<String, Box<dyn Error>> {
    let mut txn = Transaction::begin(client, Mode::Snapshot);
    let mut counts = Vec::new();
    for counters in [TableId(105), TableId(141)] {
        let range = KeyRange::prefix(engine::key::table_prefix(counters));
        let first = engine::key::KeyBuilder::new(counters, base::IndexId::PRIMARY).finish(Slot(0));
        let options = ScanOptions { shard: Some(first), ..ScanOptions::default() };
        let mut scan = txn.scan(range, options).await?;
        let mut count = 0;
        while let Some(page) = scan.next_page().await? {
            count += page.len();
        }
        counts.push(count);
    }
    Ok(format!("{} of tables, {} of sequences", counts[0], counts[1]))
}

/// Drops what no read from now on can see, on the data shards.
async fn collect(cluster: &MemoryCluster) -> txn::Result<u64> {
    let safe_points = SafePoints::from(cluster.timestamp().await?);
    let mut dropped = 0;
    for id in 1..=u64::from(SHARDS) {
        let shard = &cluster.shard(ShardId(id))?.shard;
        let mut from = Bytes::new();
        loop {
            let dead = shard.find_dead(&from, &safe_points)?;
            if !dead.keys.is_empty() {
                dropped += shard.drop_dead(dead.keys, &safe_points).await?;
            }
            match dead.next {
                Some(next) => from = next,
                None => break,
            }
        }
    }
    Ok(dropped)
}

async fn run(session: &mut Session, sql: &str, prepared: bool, show_columns: bool) -> String {
    let mut out = String::new();
    let mut rest = Some(sql);
    while let Some(text) = rest.take() {
        let (result, next) = match prepared {
            true => (execute_prepared(session, text).await, None),
            false => session.execute(text).await,
        };
        let result = match result {
            Ok(Outcome::LocalInfile { file_name }) => load(session, &file_name).await,
            other => other,
        };
        match result {
            Ok(outcome) => print(&mut out, outcome, show_columns).await,
            Err(error) => writeln!(out, "{error}").expect("a String takes everything"),
        }
        rest = next.map(|at| &text[at..]);
    }
    let is_show = sql.trim_start().to_ascii_uppercase().starts_with("SHOW");
    if session.status().warnings > 0 && !is_show {
        let (warnings, _) = session.execute("SHOW WARNINGS").await;
        if let Ok(Outcome::Rows { rows, .. }) = warnings {
            for row in rows.collect().await.expect("warnings are in memory") {
                if row[0] != Value::Text("Error".into()) {
                    let texts: Vec<String> = row.iter().map(shown).collect();
                    writeln!(out, "{}", texts.join(" ")).expect("a String takes everything");
                }
            }
        }
    }
    out
}

async fn execute_prepared(session: &mut Session, text: &str) -> sql::Result<Outcome> {
    let (sql, params) = text.split_once(" -- params: ").unwrap_or((text, ""));
    let params = params.split(',').map(str::trim).filter(|param| !param.is_empty());
    let params = params
        .map(|param| match param.parse() {
            Ok(number) => Value::Int(number),
            Err(_) if param == "NULL" => Value::Null,
            Err(_) => Value::Text(param.to_string()),
        })
        .collect();
    let prepared = session.prepare(sql).await?;
    let outcome = session.execute_prepared(prepared.id, params).await;
    session.close_prepared(prepared.id);
    outcome
}

async fn load(session: &mut Session, content: &str) -> sql::Result<Outcome> {
    // Odd chunks, so that lines and escapes are cut anywhere.
    for chunk in content.as_bytes().chunks(7) {
        session.infile_data(chunk).await?;
    }
    session.infile_end().await.map(Outcome::Ok)
}

async fn print(out: &mut String, outcome: Outcome, show_columns: bool) {
    match outcome {
        Outcome::Ok(ok) => {
            write!(out, "ok, {} affected", ok.affected_rows).expect("a String takes everything");
            if ok.last_insert_id != 0 {
                write!(out, ", id {}", ok.last_insert_id).expect("a String takes everything");
            }
            if !ok.info.is_empty() {
                write!(out, ", {}", ok.info).expect("a String takes everything");
            }
            out.push('\n');
        }
        Outcome::Rows { columns, rows } => {
            if show_columns {
                for column in columns.iter() {
                    writeln!(out, "{}", described(column)).expect("a String takes everything");
                }
            }
            match rows.collect().await {
                Ok(rows) => print_rows(out, &columns, rows),
                Err(error) => writeln!(out, "{error}").expect("a String takes everything"),
            }
        }
        Outcome::Many { results, end } => {
            for (columns, rows) in results {
                print_rows(out, &columns, rows);
            }
            match end {
                Ok(ok) => writeln!(out, "ok, {} affected", ok.affected_rows),
                Err(error) => writeln!(out, "{error}"),
            }
            .expect("a String takes everything");
        }
        Outcome::LocalInfile { file_name } => {
            writeln!(out, "wants {file_name}").expect("a String takes everything");
        }
    }
}

fn described(column: &ColumnMeta) -> String {
    format!(
        "{}.{}.{} {:?}({}) flags {:#x}",
        column.database,
        column.org_table,
        column.org_name,
        column.ty.kind,
        column.ty.length,
        column.flags.0
    )
}

fn print_rows(out: &mut String, columns: &[ColumnMeta], rows: Vec<Row>) {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    writeln!(out, "{}", names.join(" | ")).expect("a String takes everything");
    for row in rows {
        let texts: Vec<String> = row
            .iter()
            .zip(columns)
            .map(|(value, column)| value.to_text(&column.ty).unwrap_or_else(|| "NULL".into()))
            .collect();
        writeln!(out, "{}", texts.join(" | ")).expect("a String takes everything");
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::UInt(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn futures_of_a_session_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let check = |session: &mut Session| {
        is_send(&session.execute(""));
        is_send(&session.execute_prepared(1, Vec::new()));
        is_send(&session.infile_data(b""));
    };
    let _ = check;
}
