//! Golden scripts of transactions over a cluster in memory: `scripts/*`.
//!
//! ```text
//! t1: begin [latest|tracking|serializable] [sending]   "sending": every write leaves memory at once
//! t1: begin far [deaf]                    on a node that leads no shard | whose cancels of lock requests are lost
//! t1: begin follower [only] [at=T]        reads at followers, at T or else at the newest closed timestamp | and nowhere else
//! t1: put a1=x [expect=absent|unchanged]
//! t1: begin at=T | at=T ms=n              as of a timestamp, or of the end of a millisecond n later
//! t1: lock a1 b2 [shared] [nowait|skip] [wait=ms] [fresh]   "fresh": fails when it was read at an older version
//! t1: advance | newest | read-point
//! t1: get a1 b2                           t1: delete a1 [expect=…]
//! t1: scan [a c] [limit=n] [shard=a1] [reverse] [ordered]
//! t1: commit | rollback | savepoint s | rollback-to s | fail-to s   "fail-to": as a statement that fails
//! t1: settle                              what became of its commit
//! t1: await                               what a step that "waits" came to
//! t1: give-up                             ends a step that "waits", as KILL does
//! prewrite T a1=x b2=y primary=a1 [round=n]   raw steps of a transaction T whose coordinator the script plays
//! commit T a1 | rollback T a1 | check T primary=a1 | heartbeat T primary=a1
//! identify T | commit-now T a1=x | settle-now T primary=a1   a commit of one entry that may be late
//! put a1=x | read a1 [ts=T] | collect 1 ts=T [second=T] | bump c by=10 at_least=5
//! drop-second 1 ts=T                      what the second table has left, as if it had been dropped before T
//! hold-prepared t1 | commit-prepared t1 | rollback-prepared t1   what t1 has prepared; from then on also a raw transaction
//! collect-records before=T | records      of transactions that began before T, on all shards | all that are left
//! hold 1 [after=n] | lose-quorum 1 | heal 1 | depose 1 | elect 1 [lost]   "after": n entries come through before
//! hand-over 1                             the row locks of the leader are sent to the next one, before "depose"
//! split 1 [at=slot]                       splits a shard, at slot 16384 unless told otherwise: keys that end in 3 go to shard 3
//! split-begin 1 | split-end               the same; what cannot go on without another step "waits" in between
//! merge 1                                 has a shard take its right neighbour in: "merged", or "undone"
//! merge-begin 1 | merge-end               the same; what cannot go on without another step "waits" in between
//! drop-foreign                            on all shards, what is left of keys of other slots
//! follow 1 | catch-up 1                   gives a shard a second replica | which applies what it lacks
//! close 1 [T]                             tells that replica what its leader closes: now, or T
//! follower-reads                          how many reads second replicas have answered
//! entries | state | row-locks | survey | advance ms=n
//! ```
//!
//! A key is a name that ends in the number of its shard: `a1`, `b2`. `A1` lies in a second table. Those that end in 3 are on
//! shard 1 until it is split. Time stands still; a step that cannot go on without time or another step answers "waits".

mod content;
mod words;

use base::{KeyRange, ShardId, Slot, Timestamp};
use bytes::Bytes;
use engine::mvcc::SafePoints;
use goldenscript::{Argument, Command, Context, Runner};
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use txn::command::{
    CommitId, Expect, LockMode, LockedKey, Patience, ReadRequest, ReadResponse, Round, TxnStatus,
    WriteRequest, WriteResponse,
};
use txn::replication::Replication;
use txn::testing::{Cancels, CollectedRecords, FarClient, MemoryCluster, PausedClock, Unconfirmed};
use txn::{
    FollowerClient, Mode, Otherwise, PreparedTransaction, RowLock, Savepoint, ScanOptions, Settled,
    ShardClient, Transaction, TransactionSizes,
};
use words::{
    SECOND_TABLE, SPLIT_AT, TABLE, bound_of, describe, key_of, merged, name_of, writes_of,
};

test_each_file::test_each_path! { in "txn/tests/scripts" => script }

fn script(path: &Path) {
    let mut runner = ScriptRunner::new();
    goldenscript::run(&mut runner, path).expect("the script runs");
}

/// Yields that let every task run until it needs time or another step.
const SETTLE_YIELDS: usize = 200;
/// Steps of a second that "await" lets pass, and no more.
const AWAIT_MAX: Duration = Duration::from_secs(60);

/// An argument: `value` or `key=value`.
struct Arg {
    key: Option<String>,
    value: String,
}

fn args_of(command: &Command) -> Result<Vec<Arg>, Box<dyn Error>> {
    command
        .args
        .iter()
        .map(|arg| match arg {
            Argument::Positional(value) => Ok(Arg { key: None, value: value.clone() }),
            Argument::KeyValue(key, value) => {
                Ok(Arg { key: Some(key.clone()), value: value.clone() })
            }
            _ => Err("unknown kind of argument".into()),
        })
        .collect()
}

/// What a step of a transaction answers.
type Answer = Result<String, txn::Error>;

/// A transaction of the script.
#[derive(Default)]
struct Session {
    /// At rest; `None` while a step runs.
    txn: Option<Transaction>,
    /// The running step.
    step: Option<tokio::task::JoinHandle<(Transaction, Answer)>>,
    /// Ends it early.
    give_up: Option<tokio::sync::oneshot::Sender<()>>,
    /// Its savepoints.
    savepoints: BTreeMap<String, Savepoint>,
}

struct ScriptRunner {
    runtime: tokio::runtime::Runtime,
    cluster: Arc<MemoryCluster>,
    sessions: BTreeMap<String, Session>,
    /// What sessions have prepared.
    prepared: Arc<Mutex<BTreeMap<String, PreparedTransaction>>>,
    /// Start and commit timestamps of raw transactions.
    raw: BTreeMap<String, (Timestamp, Option<Timestamp>)>,
    /// Identities of raw commits of one entry.
    ids: BTreeMap<String, CommitId>,
    /// A split that was begun.
    split: Option<tokio::task::JoinHandle<Result<ShardId, txn::Error>>>,
    /// A merge that was begun.
    merge: Option<tokio::task::JoinHandle<Result<bool, txn::Error>>>,
}

impl ScriptRunner {
    fn new() -> ScriptRunner {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let cluster = {
            let _inside = runtime.enter();
            MemoryCluster::new(2, Arc::new(PausedClock::start())).expect("a cluster")
        };
        ScriptRunner {
            runtime,
            cluster,
            sessions: BTreeMap::new(),
            prepared: Arc::default(),
            raw: BTreeMap::new(),
            ids: BTreeMap::new(),
            split: None,
            merge: None,
        }
    }

    /// Starts a step of a session and lets it run as far as it can.
    fn start<F>(&mut self, name: &str, step: F) -> Result<String, Box<dyn Error>>
    where
        F: for<'t> FnOnce(&'t mut Transaction) -> Pin<Box<dyn Future<Output = Answer> + Send + 't>>
            + Send
            + 'static,
    {
        let session = self.sessions.get_mut(name).ok_or("begin first")?;
        let mut txn = session.txn.take().ok_or("it is still busy")?;
        let (give_up, given_up) = tokio::sync::oneshot::channel();
        session.give_up = Some(give_up);
        session.step = Some(self.runtime.spawn(async move {
            let answer = tokio::select! {
                biased;
                Ok(()) = given_up => Ok("given up".to_string()),
                answer = step(&mut txn) => answer,
            };
            (txn, answer)
        }));
        self.settle();
        self.outcome(name)
    }

    /// Lets all tasks run without letting time pass.
    fn settle(&self) {
        self.runtime.block_on(async {
            for _ in 0..SETTLE_YIELDS {
                tokio::task::yield_now().await;
            }
        });
    }

    /// What a session's step came to, or that it waits.
    fn outcome(&mut self, name: &str) -> Result<String, Box<dyn Error>> {
        let session = self.sessions.get_mut(name).ok_or("begin first")?;
        let step = session.step.as_mut().ok_or("no step is running")?;
        if !step.is_finished() {
            return Ok("waits".into());
        }
        let (txn, answer) = self.runtime.block_on(step)?;
        session.txn = Some(txn);
        session.step = None;
        Ok(answer.unwrap_or_else(describe))
    }

    /// Runs a future to its end; time passes if it must.
    fn run_now<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends a write to the shard of a key.
    fn write(&self, at: &Bytes, request: WriteRequest) -> String {
        let answer = self.run_now(async {
            let route = self.cluster.locate(at)?;
            self.cluster.write(route, request).await
        });
        match answer {
            Ok(WriteResponse::Done { .. }) => "ok".into(),
            Ok(WriteResponse::Status(TxnStatus::Alive)) => "alive".into(),
            Ok(WriteResponse::Status(TxnStatus::Open)) => "open".into(),
            Ok(WriteResponse::Status(TxnStatus::Committed { .. })) => "committed".into(),
            Ok(WriteResponse::Status(TxnStatus::Prewritten { secondaries, .. })) => {
                format!("prewritten, {} others", secondaries.len())
            }
            Ok(WriteResponse::Status(TxnStatus::RolledBack)) => "rolled back".into(),
            Ok(WriteResponse::Status(TxnStatus::Forgotten)) => "forgotten".into(),
            Ok(WriteResponse::Counter(before)) => format!("before {before}"),
            Err(error) => describe(error),
        }
    }

    fn start_ts(&self, name: &str) -> Result<Timestamp, Box<dyn Error>> {
        Ok(self.raw.get(name).ok_or("no such transaction")?.0)
    }

    fn expires(&self) -> u64 {
        self.cluster.unix_ms() + base::limits::LOCK_TTL.as_millis() as u64
    }

    fn shard_command(
        &self,
        id: Option<&String>,
        lever: impl FnOnce(&MemoryCluster, ShardId) -> txn::Result<()>,
    ) -> Result<String, Box<dyn Error>> {
        let id = id.ok_or("which shard?")?.parse()?;
        lever(&self.cluster, ShardId(id))?;
        self.settle();
        Ok("ok".into())
    }
}

impl Runner for ScriptRunner {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        // The clock stands still only inside the runtime.
        let handle = self.runtime.handle().clone();
        let _inside = handle.enter();
        match context.prefix.clone() {
            Some(name) => self.session_command(&name, command),
            None => self.cluster_command(command),
        }
    }
}

impl ScriptRunner {
    fn session_command(&mut self, name: &str, command: &Command) -> Result<String, Box<dyn Error>> {
        let args = args_of(command)?;
        let flag = |wanted: &str| args.iter().any(|a| a.key.is_none() && a.value == wanted);
        let option = |wanted: &str| {
            args.iter().find(|a| a.key.as_deref() == Some(wanted)).map(|a| a.value.clone())
        };
        match command.name.as_str() {
            "begin" if flag("follower") => {
                let fail = Otherwise::Fail { lag_max: Duration::from_secs(10) };
                let otherwise = if flag("only") { fail } else { Otherwise::Leader };
                let ts = match option("at") {
                    Some(name) => self.start_ts(&name)?,
                    None => self.cluster.closed_timestamp().ok_or("nothing is closed")?,
                };
                let client = FollowerClient::new(self.cluster.clone(), otherwise);
                let session =
                    Session { txn: Some(Transaction::at_known(client, ts)), ..Session::default() };
                self.sessions.insert(name.to_string(), session);
                Ok("ok".into())
            }
            "begin" if option("at").is_some() => {
                let ts = self.start_ts(&option("at").ok_or("at what?")?)?;
                let ts = match option("ms") {
                    Some(ms) => Timestamp::last_of_unix_ms(ts.unix_ms() + ms.parse::<u64>()?),
                    None => ts,
                };
                let txn = match self.run_now(Transaction::at(self.cluster.clone(), ts)) {
                    Ok(txn) => txn,
                    Err(error) => return Ok(describe(error)),
                };
                let session = Session { txn: Some(txn), ..Session::default() };
                self.sessions.insert(name.to_string(), session);
                Ok("ok".into())
            }
            "begin" => {
                let mode = if flag("latest") { Mode::Latest } else { Mode::Snapshot };
                let cluster = self.cluster.clone();
                let client: Arc<dyn ShardClient> = match (flag("far"), flag("deaf")) {
                    (false, _) => cluster,
                    (true, false) => FarClient::new(cluster, Cancels::Arrive),
                    (true, true) => FarClient::new(cluster, Cancels::Lost),
                };
                let txn = Transaction::begin(client, mode);
                let txn = if flag("serializable") {
                    txn.serializable()
                } else if flag("tracking") {
                    txn.tracking_reads()
                } else {
                    txn
                };
                let txn = if flag("sending") {
                    txn.sized(TransactionSizes { buffered_max: 0, ..Default::default() })
                } else {
                    txn
                };
                let session = Session { txn: Some(txn), ..Session::default() };
                self.sessions.insert(name.to_string(), session);
                Ok("ok".into())
            }
            "pin" => self.start(name, |txn| {
                Box::pin(async move { txn.pin().await.map(|_| "ok".to_string()) })
            }),
            "get" => {
                let names: Vec<String> = args.iter().map(|a| a.value.clone()).collect();
                self.start(name, move |txn| {
                    Box::pin(async move {
                        let keys: Vec<Bytes> = names.iter().map(|name| key_of(name)).collect();
                        let values = match &keys[..] {
                            [key] => vec![txn.get(key).await?],
                            keys => txn.multi_get(keys).await?,
                        };
                        let show = |(name, value): (&String, Option<Bytes>)| match value {
                            Some(value) => format!("{name}={}", value.escape_ascii()),
                            None => format!("{name} absent"),
                        };
                        Ok(names.iter().zip(values).map(show).collect::<Vec<_>>().join("\n"))
                    })
                })
            }
            "lock" => {
                let flags = ["shared", "nowait", "skip", "fresh"];
                let names: Vec<String> = args
                    .iter()
                    .filter(|a| a.key.is_none() && !flags.contains(&a.value.as_str()))
                    .map(|a| a.value.clone())
                    .collect();
                let mode = if flag("shared") { LockMode::Shared } else { LockMode::Exclusive };
                let wait = option("wait").map_or(Ok(50_000), |ms| ms.parse())?;
                let patience = match (flag("nowait"), flag("skip")) {
                    (true, _) => Patience::NoWait,
                    (_, true) => Patience::Skip,
                    _ => Patience::Wait(Duration::from_millis(wait)),
                };
                let fresh = flag("fresh");
                self.start(name, move |txn| {
                    Box::pin(async move {
                        let keys: Vec<Bytes> = names.iter().map(|name| key_of(name)).collect();
                        let outcomes = txn.lock(&keys, RowLock { mode, patience }).await?;
                        let mut shown = Vec::new();
                        for ((name, key), outcome) in names.iter().zip(&keys).zip(outcomes) {
                            if fresh {
                                txn.check_fresh(key, outcome)?;
                            }
                            shown.push(match outcome {
                                LockedKey::Held { exists: true, .. } => format!("{name} locked"),
                                LockedKey::Held { exists: false, .. } => {
                                    format!("{name} locked, absent")
                                }
                                LockedKey::Own { exists: true } => format!("{name} own"),
                                LockedKey::Own { exists: false } => format!("{name} own, absent"),
                                LockedKey::Skipped => format!("{name} skipped"),
                            });
                        }
                        Ok(shown.join("\n"))
                    })
                })
            }
            "advance" => self.start(name, |txn| {
                Box::pin(async move {
                    let moved = txn.advance().await?;
                    Ok(if moved { "moved" } else { "stays" }.to_string())
                })
            }),
            "newest" => self.start(name, |txn| {
                Box::pin(async move { txn.read_newest().await.map(|()| "ok".to_string()) })
            }),
            "read-point" => self.start(name, |txn| {
                Box::pin(async move {
                    txn.read_at_read_point();
                    Ok("ok".into())
                })
            }),
            "put" | "delete" => {
                let expect = option("expect");
                let deletes = command.name == "delete";
                let writes: Vec<(String, Option<String>)> = args
                    .iter()
                    .filter(|a| a.key.as_deref() != Some("expect"))
                    .map(|a| match (&a.key, deletes) {
                        (Some(key), false) => (key.clone(), Some(a.value.clone())),
                        (_, _) => (a.value.clone(), None),
                    })
                    .collect();
                self.start(name, move |txn| {
                    Box::pin(async move {
                        for (name, value) in writes {
                            let key = key_of(&name);
                            let expect = match expect.as_deref() {
                                Some("absent") => Expect::Absent,
                                Some("unchanged") => txn.expect_unchanged(&key),
                                _ => Expect::Any,
                            };
                            match value {
                                Some(value) => txn.put(key, value, expect)?,
                                None => txn.delete(key, expect)?,
                            }
                        }
                        txn.make_room().await?;
                        Ok("ok".into())
                    })
                })
            }
            "scan" => {
                let flags = ["reverse", "ordered"];
                let bounds: Vec<&str> = args
                    .iter()
                    .filter(|a| a.key.is_none() && !flags.contains(&a.value.as_str()))
                    .map(|a| a.value.as_str())
                    .collect();
                let range = match bounds[..] {
                    [from, to] => KeyRange::new(bound_of(from), bound_of(to)),
                    _ => KeyRange::prefix(engine::key::table_prefix(TABLE)),
                };
                let options = ScanOptions {
                    reverse: flag("reverse"),
                    ordered: flag("ordered"),
                    limit: option("limit").map(|limit| limit.parse()).transpose()?,
                    shard: option("shard").map(|name| key_of(&name)),
                    slots: None,
                };
                self.start(name, move |txn| Box::pin(scan(txn, range, options)))
            }
            "commit" => self.start(name, |txn| {
                Box::pin(async move { txn.commit().await.map(|_| "committed".to_string()) })
            }),
            "prepare" => {
                let (prepared, name_of_it) = (self.prepared.clone(), name.to_string());
                self.start(name, move |txn| {
                    Box::pin(async move {
                        let Some(done) = txn.prepare().await? else { return Ok("nothing".into()) };
                        let keys = [&done.keys[..], &done.kept].map(<[Bytes]>::len);
                        prepared.lock().expect("nobody panics").insert(name_of_it, done);
                        Ok(format!("{} written, {} kept", keys[0], keys[1]))
                    })
                })
            }
            "settle" => {
                let client: Arc<dyn ShardClient> = self.cluster.clone();
                self.start(name, move |txn| {
                    Box::pin(async move {
                        let Some(identity) = txn.identity() else { return Ok("nothing".into()) };
                        let outcome = match txn::settle(&client, identity).await? {
                            Settled::Committed { .. } => "committed",
                            Settled::RolledBack => "rolled back",
                            Settled::Running => "running",
                            Settled::Forgotten => "forgotten",
                        };
                        Ok(outcome.into())
                    })
                })
            }
            "rollback" => self.start(name, |txn| {
                Box::pin(async move {
                    txn.rollback();
                    Ok("ok".into())
                })
            }),
            "savepoint" | "rollback-to" | "fail-to" => {
                let session = self.sessions.get_mut(name).ok_or("begin first")?;
                let txn = session.txn.as_mut().ok_or("it is still busy")?;
                let mark = args.first().ok_or("which savepoint?")?.value.clone();
                if command.name == "savepoint" {
                    session.savepoints.insert(mark, txn.savepoint());
                } else {
                    let mark = *session.savepoints.get(&mark).ok_or("no such savepoint")?;
                    let undone = match command.name == "fail-to" {
                        true => self.runtime.block_on(txn.fail_statement(mark)),
                        false => self.runtime.block_on(txn.rollback_and_unlock_to(mark)),
                    };
                    if let Err(error) = undone {
                        return Ok(describe(error));
                    }
                }
                Ok("ok".into())
            }
            "await" => {
                let session = self.sessions.get_mut(name).ok_or("begin first")?;
                let step = session.step.as_mut().ok_or("no step is running")?;
                let (txn, answer) = self
                    .runtime
                    .block_on(async { tokio::time::timeout(AWAIT_MAX, step).await })??;
                session.txn = Some(txn);
                session.step = None;
                Ok(answer.unwrap_or_else(describe))
            }
            "give-up" => {
                let session = self.sessions.get_mut(name).ok_or("begin first")?;
                let give_up = session.give_up.take().ok_or("no step is running")?;
                give_up.send(()).map_err(|()| "the step is over")?;
                self.settle();
                self.outcome(name)
            }
            other => Err(format!("unknown command {other}").into()),
        }
    }

    fn cluster_command(&mut self, command: &Command) -> Result<String, Box<dyn Error>> {
        let args = args_of(command)?;
        let words: Vec<String> =
            args.iter().filter(|a| a.key.is_none()).map(|a| a.value.clone()).collect();
        let options: BTreeMap<String, String> =
            args.iter().filter_map(|a| Some((a.key.clone()?, a.value.clone()))).collect();
        let named = || words.first().cloned().ok_or("which transaction?");
        match command.name.as_str() {
            "put" => {
                let writes = writes_of(&options, Expect::Any);
                let at = writes.first().ok_or("put what?")?.key.clone();
                Ok(self.write(&at, WriteRequest::CommitNow { writes, owner: None, id: None }))
            }
            "identify" => {
                let since = self.run_now(self.cluster.timestamp())?;
                let number = self.cluster.lock_owners().number();
                self.ids.insert(named()?, CommitId { number, since });
                Ok("ok".into())
            }
            "commit-now" | "settle-now" => {
                let id = *self.ids.get(&named()?).ok_or("identify it first")?;
                if command.name == "settle-now" {
                    let primary = key_of(options.get("primary").ok_or("primary?")?);
                    let at = primary.clone();
                    return Ok(self.write(&at, WriteRequest::SettleNow { id, primary }));
                }
                let writes = writes_of(&options, Expect::Any);
                let at = writes.first().ok_or("commit what?")?.key.clone();
                let request = WriteRequest::CommitNow { writes, owner: None, id: Some(id) };
                Ok(self.write(&at, request))
            }
            "read" => {
                let keys: Vec<Bytes> = words.iter().map(|name| key_of(name)).collect();
                let ts = match options.get("ts") {
                    Some(name) => self.start_ts(name)?,
                    None => Timestamp::MAX,
                };
                let at = keys.first().ok_or("read what?")?.clone();
                let answer = self.run_now(async {
                    let route = self.cluster.locate(&at)?;
                    self.cluster.read(route, ReadRequest::Get { keys, ts, known: Vec::new() }).await
                });
                let show = |version: Option<txn::command::Version>| {
                    version.map_or("absent".into(), |v| v.value.escape_ascii().to_string())
                };
                Ok(match answer {
                    Ok(ReadResponse::Values(values)) => {
                        values.into_iter().map(show).collect::<Vec<String>>().join(" ")
                    }
                    Ok(_) => return Err("no values".into()),
                    Err(error) => describe(error),
                })
            }
            "collect" => {
                let id = ShardId(words.first().ok_or("which shard?")?.parse()?);
                let safe_point = self.start_ts(options.get("ts").ok_or("which safe point?")?)?;
                let mut safe_points = SafePoints::from(safe_point);
                if let Some(name) = options.get("second") {
                    safe_points = safe_points.with_table(SECOND_TABLE, self.start_ts(name)?);
                }
                let cluster = self.cluster.clone();
                let dropped = self.run_now(async {
                    let shard = &cluster.shard(id)?.shard;
                    let (mut from, mut dropped) = (Bytes::new(), 0);
                    loop {
                        let dead = shard.find_dead(&from, &safe_points)?;
                        if !dead.keys.is_empty() {
                            dropped += shard.drop_dead(dead.keys, &safe_points).await?;
                        }
                        match dead.next {
                            Some(next) => from = next,
                            None => return Ok(dropped),
                        }
                    }
                });
                Ok(dropped.map_or_else(describe, |dropped: u64| format!("dropped {dropped}")))
            }
            "drop-second" => {
                let id = ShardId(words.first().ok_or("which shard?")?.parse()?);
                let ts = self.start_ts(options.get("ts").ok_or("which safe point?")?)?;
                let (cluster, safe_points) = (self.cluster.clone(), SafePoints::from(ts));
                let dropped = self.run_now(async {
                    let shard = &cluster.shard(id)?.shard;
                    let found = shard.find_leftover(SECOND_TABLE, b"")?;
                    Ok((shard.drop_leftover(found.keys, &safe_points).await?, found.locked))
                });
                let show = |(dropped, locked): (u64, bool)| {
                    format!("dropped {dropped}{}", if locked { ", locked" } else { "" })
                };
                Ok(dropped.map_or_else(describe, show))
            }
            "collect-records" => {
                let before = options.get("before").ok_or("before which transaction?")?;
                let before = self.start_ts(before)?;
                let round = self.run_now(self.cluster.collect_records(&*self.cluster, before));
                let show = |CollectedRecords { resolved, dropped }| {
                    format!("resolved {resolved}, dropped {dropped}")
                };
                Ok(round.map_or_else(describe, show))
            }
            "records" => content::records(&self.cluster),
            "timestamp" => {
                let ts = self.run_now(self.cluster.timestamp())?;
                self.raw.insert(named()?, (ts, None));
                Ok("ok".into())
            }
            "prewrite" => {
                let name = named()?;
                if !self.raw.contains_key(&name) {
                    let ts = self.run_now(self.cluster.timestamp())?;
                    self.raw.insert(name.clone(), (ts, None));
                }
                let start_ts = self.start_ts(&name)?;
                let mut options = options;
                let primary = key_of(&options.remove("primary").ok_or("primary?")?);
                let expect = match options.remove("expect").as_deref() {
                    Some("absent") => Expect::Absent,
                    Some("unchanged") => Expect::NotNewerThan(start_ts),
                    _ => Expect::Any,
                };
                let others = options.remove("others");
                let round = options.remove("round").map(|number| number.parse()).transpose()?;
                let round =
                    round.map(|number| Round { number, oldest_scan: u32::MAX, newest_scan: 0 });
                let writes = writes_of(&options, expect);
                let at = writes.first().ok_or("prewrite what?")?.key.clone();
                let expires_unix_ms = self.expires();
                let secondaries = others.map(|others| {
                    others.split(',').filter(|name| !name.is_empty()).map(key_of).collect()
                });
                let request = WriteRequest::Prewrite {
                    start_ts,
                    primary,
                    expires_unix_ms,
                    writes,
                    owner: None,
                    secondaries,
                    round,
                };
                Ok(self.write(&at, request))
            }
            "check-locks" => {
                let start_ts = self.start_ts(&named()?)?;
                let keys: Vec<Bytes> = words[1..].iter().map(|name| key_of(name)).collect();
                let at = keys.first().ok_or("check what?")?.clone();
                Ok(self.write(&at, WriteRequest::CheckLocks { start_ts, keys }))
            }
            "hold-prepared" | "commit-prepared" | "rollback-prepared" => {
                let prepared = self.prepared.lock().expect("nobody panics");
                let prepared = prepared.get(&named()?).ok_or("it has prepared nothing")?;
                let client: Arc<dyn ShardClient> = self.cluster.clone();
                let outcome = self.run_now(async {
                    match command.name.as_str() {
                        "hold-prepared" => txn::hold_prepared(&client, prepared).await,
                        "commit-prepared" => {
                            txn::commit_prepared(&client, prepared).await.map(|_| ())
                        }
                        _ => txn::roll_back_prepared(&client, prepared).await,
                    }
                });
                self.raw.entry(named()?).or_insert((prepared.start_ts, None));
                Ok(outcome.map_or_else(describe, |()| "ok".into()))
            }
            "commit" => {
                let name = named()?;
                let (start_ts, commit_ts) = *self.raw.get(&name).ok_or("no such transaction")?;
                let commit_ts = match commit_ts {
                    Some(commit_ts) => commit_ts,
                    None => self.run_now(self.cluster.timestamp())?,
                };
                self.raw.insert(name, (start_ts, Some(commit_ts)));
                let keys: Vec<Bytes> = words[1..].iter().map(|name| key_of(name)).collect();
                let at = keys.first().ok_or("commit what?")?.clone();
                let kept = Vec::new();
                Ok(self.write(&at, WriteRequest::Commit { start_ts, commit_ts, keys, kept }))
            }
            "rollback" => {
                let start_ts = self.start_ts(&named()?)?;
                let keys: Vec<Bytes> = words[1..].iter().map(|name| key_of(name)).collect();
                let at = keys.first().ok_or("roll back what?")?.clone();
                Ok(self.write(&at, WriteRequest::Rollback { start_ts, keys }))
            }
            "check" | "heartbeat" => {
                let start_ts = self.start_ts(&named()?)?;
                let primary = key_of(options.get("primary").ok_or("primary?")?);
                let at = primary.clone();
                let now_unix_ms = self.cluster.unix_ms();
                let expires_unix_ms = self.expires();
                let request = match command.name.as_str() {
                    "check" => WriteRequest::CheckStatus { start_ts, primary, now_unix_ms },
                    _ => WriteRequest::Heartbeat { start_ts, primary, expires_unix_ms },
                };
                Ok(self.write(&at, request))
            }
            "row-locks" => {
                let name = |owner: txn::command::LockOwner| {
                    let holds = |session: &Session| {
                        session.txn.as_ref().and_then(Transaction::lock_owner) == Some(owner)
                    };
                    let holder = self.sessions.iter().find(|(_, session)| holds(session));
                    // A step that waits has taken its transaction with it.
                    holder.map_or("one that waits".into(), |(name, _)| name.clone())
                };
                let show = |info: txn::row_locks::RowLockInfo| {
                    let waits = if info.waits_for.is_empty() { "holds" } else { "waits for" };
                    let key = name_of(&info.key);
                    format!("{} {waits} {key} {:?}", name(info.owner), info.mode)
                };
                let list = self.cluster.row_locks().list(100).into_iter().map(show);
                Ok(list.collect::<Vec<_>>().join("\n"))
            }
            "survey" => {
                self.cluster.survey_locks();
                self.settle();
                Ok("ok".into())
            }
            "bump" => {
                let number = |name: &str| options.get(name).map_or(Ok(0), |n| n.parse());
                let key = key_of(words.first().ok_or("bump what?")?);
                let (by, at_least) = (number("by")?, number("at_least")?);
                let at = key.clone();
                Ok(self.write(&at, WriteRequest::Bump { key, by, at_least }))
            }
            "hold" => {
                let after = options.get("after").map_or(Ok(0), |after| after.parse())?;
                self.shard_command(words.first(), |cluster, id| {
                    cluster.shard(id)?.replication.hold(after);
                    Ok(())
                })
            }
            "lose-quorum" => self.shard_command(words.first(), |cluster, id| {
                cluster.shard(id)?.replication.lose_quorum();
                Ok(())
            }),
            "heal" => self.shard_command(words.first(), |cluster, id| {
                cluster.shard(id)?.replication.heal();
                Ok(())
            }),
            "depose" => self.shard_command(words.first(), |cluster, id| {
                cluster.shard(id)?.replication.depose();
                Ok(())
            }),
            "hand-over" => self.shard_command(words.first(), |cluster, id| {
                let led = cluster.shard(id)?;
                let term = led.replication.serving_term().unwrap_or(0);
                let (locks, _) = led.shard.locks_to_hand_over(term);
                led.shard.keep_locks_aside(term, locks);
                Ok(())
            }),
            "elect" => {
                let lost = words.iter().any(|word| word == "lost");
                let limbo = if lost { Unconfirmed::Lost } else { Unconfirmed::Kept };
                self.shard_command(words.first(), |cluster, id| {
                    cluster.shard(id)?.replication.elect(limbo)
                })
            }
            "split" => {
                let id = ShardId(words.first().ok_or("which shard?")?.parse()?);
                let at = options.get("at").map_or(Ok(SPLIT_AT), |at| at.parse())?;
                let split = self.run_now(self.cluster.split(id, Slot(at)));
                Ok(split.map_or_else(describe, |child| format!("shard {}", child.0)))
            }
            "split-begin" => {
                let id = ShardId(words.first().ok_or("which shard?")?.parse()?);
                let cluster = self.cluster.clone();
                let split = async move { cluster.split(id, Slot(SPLIT_AT)).await };
                self.split = Some(self.runtime.spawn(split));
                self.settle();
                Ok("ok".into())
            }
            "split-end" => {
                self.settle();
                let split = self.split.take().ok_or("no split was begun")?;
                if !split.is_finished() {
                    self.split = Some(split);
                    return Ok("waits".into());
                }
                let split = self.run_now(split)?;
                Ok(split.map_or_else(describe, |child| format!("shard {}", child.0)))
            }
            "merge" => {
                let id = ShardId(words.first().ok_or("which shard?")?.parse()?);
                let merge = self.run_now(self.cluster.merge(id));
                Ok(merge.map_or_else(describe, merged))
            }
            "merge-begin" => {
                let id = ShardId(words.first().ok_or("which shard?")?.parse()?);
                let cluster = self.cluster.clone();
                self.merge = Some(self.runtime.spawn(async move { cluster.merge(id).await }));
                self.settle();
                Ok("ok".into())
            }
            "merge-end" => {
                self.settle();
                let merge = self.merge.take().ok_or("no merge was begun")?;
                if !merge.is_finished() {
                    self.merge = Some(merge);
                    return Ok("waits".into());
                }
                Ok(self.run_now(merge)?.map_or_else(describe, merged))
            }
            "drop-foreign" => {
                let cluster = self.cluster.clone();
                let dropped = self.run_now(async {
                    let mut dropped = 0;
                    for id in cluster.data_shard_ids() {
                        let shard = &cluster.shard(id)?.shard;
                        let Some(bounds) = shard.bounds()? else { continue };
                        let merges = shard.merges_over()?;
                        let mut from = Some(Bytes::new());
                        while let Some(at) = from {
                            let foreign = shard.find_foreign(&at)?;
                            dropped += shard.drop_foreign(foreign.keys).await?;
                            from = foreign.next;
                        }
                        shard.forget_foreign(bounds, merges).await?;
                        assert!(!shard.has_foreign()?, "nothing was split meanwhile");
                    }
                    Ok(dropped)
                });
                Ok(dropped.map_or_else(describe, |dropped: u64| format!("dropped {dropped}")))
            }
            "follow" => self.shard_command(words.first(), |cluster, id| cluster.follow(id)),
            "catch-up" => self.shard_command(words.first(), |cluster, id| cluster.catch_up(id)),
            "close" => {
                let id = ShardId(words.first().ok_or("which shard?")?.parse()?);
                let ts = match words.get(1) {
                    Some(name) => self.start_ts(name)?,
                    None => self.run_now(self.cluster.timestamp())?,
                };
                let closed = self.run_now(self.cluster.close(id, ts));
                Ok(closed.map_or_else(describe, |()| "ok".into()))
            }
            "follower-reads" => Ok(self.cluster.follower_reads().to_string()),
            "entries" => {
                let count = |id| -> Result<u64, txn::Error> {
                    Ok(self.cluster.shard(ShardId(id))?.replication.entries())
                };
                Ok(format!("shard 1: {}\nshard 2: {}", count(1)?, count(2)?))
            }
            "state" => {
                self.settle();
                content::state(&self.cluster)
            }
            "advance" => {
                let ms = options.get("ms").ok_or("how far?")?.parse()?;
                self.run_now(tokio::time::advance(Duration::from_millis(ms)));
                self.settle();
                Ok("ok".into())
            }
            other => Err(format!("unknown command {other}").into()),
        }
    }
}

/// Runs a scan to its end.
async fn scan(txn: &mut Transaction, range: KeyRange, options: ScanOptions) -> Answer {
    let sorted = !options.ordered;
    let mut scan = txn.scan(range, options).await?;
    let mut rows = Vec::new();
    while let Some(page) = scan.next_page().await? {
        let show =
            |(key, value): (Bytes, Bytes)| format!("{}={}", name_of(&key), value.escape_ascii());
        rows.extend(page.into_iter().map(show));
    }
    if sorted {
        rows.sort_unstable();
    }
    Ok(rows.join("\n"))
}
