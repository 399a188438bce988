//! Golden scripts over versions, locks and records. Each script runs on both engines and must give the
//! same output on both.

use super::*;
use crate::{RocksEngine, RocksOptions, RocksShared, SimDisk, WriteBatch};
use base::Timestamp;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use test_each_file::test_each_path;

test_each_path! { in "engine/src/testscripts/mvcc" as scripts => both_engines }

fn both_engines(path: &Path) {
    let mut sim = Script::new(Arc::new(SimDisk::new().open(Path::new("db")).unwrap()));
    goldenscript::run(&mut sim, path).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let shared = RocksShared::new(RocksOptions::default()).unwrap();
    let mut rocks = Script::new(Arc::new(RocksEngine::open(&shared, folder.path()).unwrap()));
    goldenscript::run(&mut rocks, path).unwrap();
}

/// What a script's command gives.
type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

/// Runs a script's commands on an engine.
struct Script {
    engine: Arc<dyn Engine>,
    /// The engine snapshot that `snapshot` took; `old=true` reads it.
    snapshot: Option<Arc<dyn EngineSnapshot>>,
}

impl Script {
    fn new(engine: Arc<dyn Engine>) -> Script {
        Script { engine, snapshot: None }
    }

    fn write(&self, fill: impl FnOnce(&mut WriteBatch)) -> Outcome<()> {
        let mut batch = WriteBatch::new();
        fill(&mut batch);
        // As a replica does: what is applied went through the bytes of a command.
        self.engine.write(decode_batch(&encode_batch(&batch))?)?;
        Ok(())
    }

    /// The engine snapshot, when the command asks for it.
    fn old(&self, old: bool) -> Outcome<Option<&dyn EngineSnapshot>> {
        match &self.snapshot {
            None if old => Err("no snapshot was taken".into()),
            snapshot => Ok(snapshot.as_deref().filter(|_| old)),
        }
    }
}

/// A script's commands.
#[derive(goldenscript::Command)]
enum Command {
    /// `put KEY=VALUE at=TS [by=N]`: sets a version, which may name its commit.
    Put {
        #[arg(key)]
        at: At,
        #[arg(key)]
        by: Option<u64>,
        #[arg(key, many)]
        values: Vec<(String, String)>,
    },
    /// `delete KEY at=TS [by=N]`: sets a tombstone, which may name its commit.
    Delete {
        key: Raw,
        #[arg(key)]
        at: At,
        #[arg(key)]
        by: Option<u64>,
    },
    /// `find_commit KEY by=N after=TS until=TS [steps=N]`: the version that names a commit.
    FindCommit {
        key: Raw,
        #[arg(key)]
        by: u64,
        #[arg(key)]
        after: At,
        #[arg(key)]
        until: At,
        #[arg(key)]
        steps: Option<usize>,
    },
    /// `refuse N until=TS`: refuses a commit.
    Refuse {
        commit: u64,
        #[arg(key)]
        until: At,
    },
    /// `admit N`: refuses it no more.
    Admit { commit: u64 },
    /// `refusals`: all of them.
    Refusals,
    /// `fill KEY from=TS to=TS`: sets a version at each timestamp; its value is the timestamp.
    Fill {
        key: Raw,
        #[arg(key)]
        from: u64,
        #[arg(key)]
        to: u64,
    },
    /// `get KEY at=TS [old=true]`: one key, of the engine or of the engine snapshot.
    Get {
        key: Raw,
        #[arg(key)]
        at: At,
        #[arg(key, optional)]
        old: bool,
    },
    /// `scan [START [END]] at=TS [reverse=true] [limit=N] [old=true]`.
    Scan {
        #[arg(optional)]
        start: Raw,
        #[arg(optional)]
        end: Raw,
        #[arg(key)]
        at: At,
        #[arg(key, optional)]
        reverse: bool,
        #[arg(key)]
        limit: Option<usize>,
        #[arg(key, optional)]
        old: bool,
    },
    /// `lock KEY start_ts=TS primary=KEY [value=VALUE] [keep=true] [expires=MS] [expect=absent|TS] [commit_from=TS]
    /// [secondary=KEY]`.
    Lock {
        key: Raw,
        #[arg(key)]
        start_ts: u64,
        #[arg(key)]
        primary: Raw,
        #[arg(key)]
        value: Option<String>,
        #[arg(key, optional)]
        keep: bool,
        #[arg(key, optional)]
        expires: u64,
        #[arg(key)]
        expect: Option<String>,
        #[arg(key)]
        commit_from: Option<u64>,
        #[arg(key)]
        secondary: Option<Raw>,
    },
    /// `unlock KEY`.
    Unlock { key: Raw },
    /// `get_lock KEY`.
    GetLock { key: Raw },
    /// `locks`: all of them.
    Locks,
    /// `record PRIMARY start_ts=TS [commit_ts=TS]`: committed, or rolled back.
    Record {
        primary: Raw,
        #[arg(key)]
        start_ts: u64,
        #[arg(key)]
        commit_ts: Option<u64>,
    },
    /// `get_record PRIMARY start_ts=TS`.
    GetRecord {
        primary: Raw,
        #[arg(key)]
        start_ts: u64,
    },
    /// `raw KEY VALUE`: writes an engine entry as it is.
    Raw { key: Raw, value: Raw },
    /// `snapshot`: takes the engine snapshot that `old=true` reads.
    Snapshot,
    /// `flush`.
    Flush,
    /// `dump`: all engine entries.
    Dump,
}

impl goldenscript::Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &goldenscript::Context) -> Outcome<String> {
        let mut out = String::new();
        match command {
            Command::Put { at, by, values } => self.write(|batch| {
                for (key, value) in values {
                    put(batch, &unescape(key), at.0, Some(value.as_bytes()), *by);
                }
            })?,
            Command::Delete { key, at, by } => {
                self.write(|batch| put(batch, &key.0, at.0, None, *by))?
            }
            Command::FindCommit { key, by, after, until, steps } => {
                let steps_max = steps.unwrap_or(usize::MAX);
                let between = (after.0, until.0);
                let found = find_commit(&*self.engine, &key.0, *by, between, steps_max)?;
                writeln!(out, "{key} → {found:?}")?;
            }
            Command::Refuse { commit, until } => {
                self.write(|batch| put_refusal(batch, *commit, until.0))?
            }
            Command::Admit { commit } => self.write(|batch| delete_refusal(batch, *commit))?,
            Command::Refusals => {
                for (commit, until) in refusals(&*self.engine)? {
                    assert_eq!(get_refusal(&*self.engine, commit)?, Some(until));
                    writeln!(out, "{commit} until {until}")?;
                }
            }
            Command::Fill { key, from, to } => self.write(|batch| {
                for ts in *from..=*to {
                    put_version(batch, &key.0, Timestamp(ts), Some(ts.to_string().as_bytes()));
                }
            })?,
            Command::Get { key, at, old } => {
                let found = match self.old(*old)? {
                    Some(snapshot) => get(snapshot, &key.0, at.0)?,
                    None => get(&*self.engine, &key.0, at.0)?,
                };
                let found = found.map(|found| (found.value, found.commit_ts));
                match found {
                    None => writeln!(out, "{key} → nothing")?,
                    Some((None, ts)) => writeln!(out, "{key} → tombstone @{ts}")?,
                    Some((Some(value), ts)) => {
                        writeln!(out, "{key} → {} @{ts}", value.escape_ascii())?
                    }
                }
            }
            Command::Scan { start, end, at, reverse, limit, old } => {
                let range = KeyRange::new(start.0.clone(), end.0.clone());
                let mut rows = 0;
                let mut visit = |key: &[u8], ts: Timestamp, value: &[u8]| {
                    let (key, value) = (key.escape_ascii(), value.escape_ascii());
                    out.push_str(&format!("{key} = {value} @{ts}\n"));
                    rows += 1;
                    Ok(limit.is_none_or(|limit| rows < limit))
                };
                match self.old(*old)? {
                    Some(snapshot) => scan(snapshot, &range, at.0, *reverse, &mut visit)?,
                    None => scan(&*self.engine, &range, at.0, *reverse, &mut visit)?,
                }
            }
            Command::Lock {
                key,
                start_ts,
                primary,
                value,
                keep,
                expires,
                expect,
                commit_from,
                secondary,
            } => {
                let lock = Lock {
                    start_ts: Timestamp(*start_ts),
                    primary: primary.0.clone().into(),
                    expires_unix_ms: *expires,
                    change: match value {
                        Some(value) => Change::Put(Bytes::from(value.clone())),
                        None if *keep => Change::Keep,
                        None => Change::Delete,
                    },
                    expect: match expect.as_deref() {
                        None => LockExpect::Any,
                        Some("absent") => LockExpect::Absent,
                        Some(ts) => LockExpect::NotNewerThan(Timestamp(ts.parse()?)),
                    },
                    async_commit: commit_from.map(|ts| AsyncCommit {
                        commit_from: Timestamp(ts),
                        secondaries: secondary.iter().map(|key| key.0.clone().into()).collect(),
                    }),
                    rounds: None,
                };
                self.write(|batch| put_lock(batch, &key.0, &lock))?;
            }
            Command::Unlock { key } => self.write(|batch| delete_lock(batch, &key.0))?,
            Command::GetLock { key } => match get_lock(&*self.engine, &key.0)? {
                Some(lock) => writeln!(out, "{key} → {}", describe(&lock))?,
                None => writeln!(out, "{key} → no lock")?,
            },
            Command::Locks => {
                for (key, lock) in all_locks(&*self.engine)? {
                    writeln!(out, "{}: {}", key.escape_ascii(), describe(&lock))?;
                }
            }
            Command::Record { primary, start_ts, commit_ts } => {
                let record = match commit_ts {
                    Some(ts) => TxnRecord::Committed { commit_ts: Timestamp(*ts) },
                    None => TxnRecord::RolledBack,
                };
                self.write(|batch| {
                    put_txn_record(batch, &primary.0, Timestamp(*start_ts), record)
                })?;
            }
            Command::GetRecord { primary, start_ts } => {
                let record = get_txn_record(&*self.engine, &primary.0, Timestamp(*start_ts))?;
                writeln!(out, "{primary} → {record:?}")?;
            }
            Command::Raw { key, value } => {
                self.write(|batch| batch.put(key.0.clone(), value.0.clone()))?
            }
            Command::Snapshot => self.snapshot = Some(self.engine.snapshot()),
            Command::Flush => self.engine.flush()?,
            Command::Dump => self.engine.scan(&KeyRange::default(), &mut |key, value| {
                out.push_str(&format!("{} = {}\n", key.escape_ascii(), value.escape_ascii()));
                Ok(true)
            })?,
        }
        Ok(out)
    }
}

/// A key or value in a script; `\xNN` stands for a byte.
#[derive(Default)]
struct Raw(Vec<u8>);

impl std::str::FromStr for Raw {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Raw, Self::Err> {
        Ok(Raw(unescape(text)))
    }
}

impl std::fmt::Display for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

/// A timestamp in a script: a number or `max`.
struct At(Timestamp);

impl std::str::FromStr for At {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> std::result::Result<At, Self::Err> {
        if text == "max" { Ok(At(Timestamp::MAX)) } else { Ok(At(Timestamp(text.parse()?))) }
    }
}

/// Adds a version that names its commit or not.
fn put(batch: &mut WriteBatch, key: &[u8], at: Timestamp, value: Option<&[u8]>, by: Option<u64>) {
    match by {
        Some(commit) => put_version_by(batch, key, at, value, commit),
        None => put_version(batch, key, at, value),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'\\', b'x', hex @ ..] => hex
                .get(..2)
                .and_then(|hex| std::str::from_utf8(hex).ok())
                .and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &rest[4..] } else { after };
    }
    bytes
}

fn describe(lock: &Lock) -> String {
    let commit = lock.async_commit.as_ref().map(|AsyncCommit { commit_from, secondaries }| {
        let keys: Vec<_> = secondaries.iter().map(|key| key.escape_ascii().to_string()).collect();
        format!(" commit_from={commit_from} secondaries={}", keys.join(","))
    });
    format!(
        "start_ts={} primary={} expires={} expect={:?} value={}{}",
        lock.start_ts,
        lock.primary.escape_ascii(),
        lock.expires_unix_ms,
        lock.expect,
        match &lock.change {
            Change::Put(value) => value.escape_ascii().to_string(),
            Change::Delete => "(delete)".into(),
            Change::Keep => "(keep)".into(),
        },
        commit.unwrap_or_default(),
    )
}
