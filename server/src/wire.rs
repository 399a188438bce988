//! Between `txn`'s words and the messages of `node.proto`. Bytes from the wire are never trusted: a
//! message that makes no sense becomes an error, not a guess.

mod failure;
mod scans;

pub use failure::{failure_from_pb, failure_to_pb};
pub use scans::{maybe_page_to_pb, pages_from_pb, scans_to_pb};

use base::{KeyRange, NodeId, ShardEpoch, ShardId, SlotRange, Timestamp};
use proto::node as pb;
use std::time::Duration;
use txn::command::{
    Change, CommitId, Expect, Fate, KeyWrite, KnownTransaction, LockCancel, LockMode, LockOwner,
    LockRequest, LockWaiting, LockedKey, Patience, ReadRequest, ReadResponse, Round, TxnStatus,
    Version, WriteRequest, WriteResponse,
};
use txn::{Error, Route};

/// Where a request goes, from its numbers: shard, epoch, first slot, end slot.
fn route_from_pb(shard: u64, epoch: u64, start: u32, end: u32) -> Route {
    let (shard, epoch) = (ShardId(shard), ShardEpoch(epoch));
    Route { shard, epoch, slots: SlotRange { start, end } }
}

/// A read as a message.
pub fn read_to_pb(route: Route, request: ReadRequest) -> pb::ShardRead {
    let to = pb::ShardRead {
        shard: route.shard.0,
        epoch: route.epoch.0,
        slot_start: route.slots.start,
        slot_end: route.slots.end,
        ..Default::default()
    };
    match request {
        ReadRequest::Get { keys, ts, known } => {
            pb::ShardRead { ts: ts.0, keys, known: known_to_pb(known), ..to }
        }
        ReadRequest::Changed { keys, ranges, since, ts, own, known } => pb::ShardRead {
            known: known_to_pb(known),
            ts: ts.0,
            keys,
            changed: true,
            since: since.0,
            own: own.0,
            ranges: ranges.into_iter().map(range_to_pb).collect(),
            ..to
        },
        ReadRequest::OldestLock { before } => pb::ShardRead { no_locks_before: before.0, ..to },
        ReadRequest::Scan { range, ts, reverse, limit, known } => pb::ShardRead {
            known: known_to_pb(known),
            ts: ts.0,
            scan: Some(pb::Scan {
                start: range.start,
                end: range.end,
                reverse,
                limit: limit as u64,
            }),
            ..to
        },
    }
}

fn known_to_pb(known: Vec<KnownTransaction>) -> Vec<pb::KnownTransaction> {
    use pb::known_transaction::Fate as PbFate;
    let one = |KnownTransaction { start_ts, fate }| {
        let (fate, commit_ts, round) = match fate {
            Fate::Passed => (PbFate::Passed, 0, 0),
            Fate::Committed { commit_ts } => (PbFate::Committed, commit_ts.0, 0),
            Fate::Own { round } => (PbFate::Own, 0, round),
        };
        pb::KnownTransaction { start_ts: start_ts.0, fate: fate as i32, commit_ts, round }
    };
    known.into_iter().map(one).collect()
}

/// What is of an unknown kind is left out: its locks are met again, and asked about.
fn known_from_pb(known: Vec<pb::KnownTransaction>) -> Vec<KnownTransaction> {
    use pb::known_transaction::Fate as PbFate;
    let one = |known: pb::KnownTransaction| {
        let fate = match PbFate::try_from(known.fate).ok()? {
            PbFate::Passed => Fate::Passed,
            PbFate::Committed => Fate::Committed { commit_ts: Timestamp(known.commit_ts) },
            PbFate::Own => Fate::Own { round: known.round },
        };
        Some(KnownTransaction { start_ts: Timestamp(known.start_ts), fate })
    };
    known.into_iter().filter_map(one).collect()
}

fn range_to_pb(range: KeyRange) -> pb::Range {
    pb::Range { start: range.start, end: range.end }
}

fn range_from_pb(range: pb::Range) -> KeyRange {
    KeyRange { start: range.start, end: range.end }
}

/// A message as a read.
pub fn read_from_pb(message: pb::ShardRead) -> (Route, ReadRequest) {
    let route = route_from_pb(message.shard, message.epoch, message.slot_start, message.slot_end);
    let ts = Timestamp(message.ts);
    let known = known_from_pb(message.known);
    let request = match message.scan {
        None if message.changed => ReadRequest::Changed {
            keys: message.keys,
            ranges: message.ranges.into_iter().map(range_from_pb).collect(),
            since: Timestamp(message.since),
            ts,
            own: Timestamp(message.own),
            known,
        },
        None if message.no_locks_before != 0 => {
            ReadRequest::OldestLock { before: Timestamp(message.no_locks_before) }
        }
        None => ReadRequest::Get { keys: message.keys, ts, known },
        Some(scan) => ReadRequest::Scan {
            range: KeyRange { start: scan.start, end: scan.end },
            ts,
            reverse: scan.reverse,
            limit: usize::try_from(scan.limit).unwrap_or(usize::MAX),
            known,
        },
    };
    (route, request)
}

/// The outcome of a read as a message.
pub fn read_answer_to_pb(outcome: txn::Result<ReadResponse>) -> pb::answer::Response {
    match outcome {
        Ok(ReadResponse::Values(values)) => pb::answer::Response::Values(pb::Values {
            values: values
                .into_iter()
                .map(|value| match value {
                    None => pb::MaybeVersion::default(),
                    Some(version) => pb::MaybeVersion {
                        present: true,
                        commit_ts: version.commit_ts.0,
                        value: version.value,
                    },
                })
                .collect(),
        }),
        Ok(ReadResponse::Page { rows, rest }) => {
            pb::answer::Response::Page(scans::page_to_pb(rows, rest))
        }
        Ok(ReadResponse::Changed { key, rest }) => pb::answer::Response::Changed(pb::Changed {
            found: key.is_some(),
            key: key.unwrap_or_default(),
            rest: rest.into_iter().map(range_to_pb).collect(),
        }),
        Ok(ReadResponse::OldestLock { floor, oldest }) => {
            let oldest = oldest.unwrap_or_default().0;
            pb::answer::Response::OldestLock(pb::OldestLock { floor: floor.0, oldest })
        }
        Err(error) => pb::answer::Response::Failure(failure_to_pb(error)),
    }
}

/// A message as the outcome of a read.
pub fn read_answer_from_pb(
    shard: ShardId,
    response: pb::answer::Response,
) -> txn::Result<ReadResponse> {
    match response {
        pb::answer::Response::Values(values) => Ok(ReadResponse::Values(
            values
                .values
                .into_iter()
                .map(|value| {
                    value.present.then_some(Version {
                        commit_ts: Timestamp(value.commit_ts),
                        value: value.value,
                    })
                })
                .collect(),
        )),
        pb::answer::Response::Page(page) => Ok(scans::page_from_pb(page)),
        pb::answer::Response::Changed(changed) => Ok(ReadResponse::Changed {
            key: changed.found.then_some(changed.key),
            rest: changed.rest.into_iter().map(range_from_pb).collect(),
        }),
        pb::answer::Response::OldestLock(answer) => Ok(ReadResponse::OldestLock {
            floor: Timestamp(answer.floor),
            oldest: (answer.oldest != 0).then_some(Timestamp(answer.oldest)),
        }),
        other => Err(unexpected(shard, other)),
    }
}

/// A write as a message.
pub fn write_to_pb(route: Route, request: WriteRequest) -> pb::ShardWrite {
    use pb::shard_write::Kind;
    let mut message = pb::ShardWrite {
        shard: route.shard.0,
        epoch: route.epoch.0,
        slot_start: route.slots.start,
        slot_end: route.slots.end,
        ..Default::default()
    };
    match request {
        WriteRequest::CommitNow { writes, owner, id } => {
            message.owner = owner.map_or(0, |owner| owner.0);
            message.id = id.map_or(0, |id| id.number);
            message.since = id.map_or(0, |id| id.since.0);
            message.set_kind(Kind::CommitNow);
            message.writes = writes.into_iter().map(key_write_to_pb).collect();
        }
        WriteRequest::Prewrite {
            start_ts,
            primary,
            expires_unix_ms,
            writes,
            owner,
            secondaries,
            round,
        } => {
            if let Some(Round { number, oldest_scan, newest_scan }) = round {
                (message.round, message.oldest_scan) = (number, oldest_scan);
                message.newest_scan = newest_scan;
            }
            message.async_commit = secondaries.is_some();
            message.keys = secondaries.unwrap_or_default();
            message.owner = owner.map_or(0, |owner| owner.0);
            message.set_kind(Kind::Prewrite);
            message.start_ts = start_ts.0;
            message.primary = primary;
            message.unix_ms = expires_unix_ms;
            message.writes = writes.into_iter().map(key_write_to_pb).collect();
        }
        WriteRequest::Commit { start_ts, commit_ts, keys, kept } => {
            message.kept = kept;
            message.set_kind(Kind::Commit);
            message.start_ts = start_ts.0;
            message.commit_ts = commit_ts.0;
            message.keys = keys;
        }
        WriteRequest::Rollback { start_ts, keys } => {
            message.set_kind(Kind::Rollback);
            message.start_ts = start_ts.0;
            message.keys = keys;
        }
        WriteRequest::CheckStatus { start_ts, primary, now_unix_ms } => {
            message.set_kind(Kind::CheckStatus);
            message.start_ts = start_ts.0;
            message.primary = primary;
            message.unix_ms = now_unix_ms;
        }
        WriteRequest::CheckLocks { start_ts, keys } => {
            message.set_kind(Kind::CheckLocks);
            message.start_ts = start_ts.0;
            message.keys = keys;
        }
        WriteRequest::LookAtLocks { start_ts, keys } => {
            message.set_kind(Kind::LookAtLocks);
            message.start_ts = start_ts.0;
            message.keys = keys;
        }
        WriteRequest::Decide { start_ts, primary } => {
            message.set_kind(Kind::Decide);
            message.start_ts = start_ts.0;
            message.primary = primary;
        }
        WriteRequest::FinishAll { start_ts, primary, commit_ts } => {
            message.set_kind(Kind::FinishAll);
            message.start_ts = start_ts.0;
            message.primary = primary;
            message.commit_ts = commit_ts.map_or(0, |ts| ts.0);
        }
        WriteRequest::Heartbeat { start_ts, primary, expires_unix_ms } => {
            message.set_kind(Kind::Heartbeat);
            message.start_ts = start_ts.0;
            message.primary = primary;
            message.unix_ms = expires_unix_ms;
        }
        WriteRequest::SettleNow { id, primary } => {
            message.set_kind(Kind::SettleNow);
            message.id = id.number;
            message.since = id.since.0;
            message.primary = primary;
        }
        WriteRequest::Bump { key, by, at_least } => {
            message.set_kind(Kind::Bump);
            message.primary = key;
            message.by = by;
            message.at_least = at_least;
        }
    }
    message
}

/// A message as a write; `None` when its kind is unknown here.
pub fn write_from_pb(message: pb::ShardWrite) -> Option<(Route, WriteRequest)> {
    use pb::shard_write::Kind;
    let route = route_from_pb(message.shard, message.epoch, message.slot_start, message.slot_end);
    let kind = Kind::try_from(message.kind).ok()?;
    let start_ts = Timestamp(message.start_ts);
    let writes = |writes: Vec<pb::KeyWrite>| -> Option<Vec<KeyWrite>> {
        writes.into_iter().map(key_write_from_pb).collect()
    };
    let owner = (message.owner != 0).then_some(LockOwner(message.owner));
    let id = CommitId { number: message.id, since: Timestamp(message.since) };
    let request = match kind {
        Kind::CommitNow => WriteRequest::CommitNow {
            writes: writes(message.writes)?,
            owner,
            id: (message.id != 0).then_some(id),
        },
        Kind::SettleNow => WriteRequest::SettleNow { id, primary: message.primary },
        Kind::Prewrite => WriteRequest::Prewrite {
            start_ts,
            primary: message.primary,
            expires_unix_ms: message.unix_ms,
            writes: writes(message.writes)?,
            owner,
            secondaries: message.async_commit.then_some(message.keys),
            round: (message.round != 0).then_some(Round {
                number: message.round,
                oldest_scan: message.oldest_scan,
                newest_scan: message.newest_scan,
            }),
        },
        Kind::Commit => WriteRequest::Commit {
            start_ts,
            commit_ts: Timestamp(message.commit_ts),
            keys: message.keys,
            kept: message.kept,
        },
        Kind::Rollback => WriteRequest::Rollback { start_ts, keys: message.keys },
        Kind::CheckStatus => WriteRequest::CheckStatus {
            start_ts,
            primary: message.primary,
            now_unix_ms: message.unix_ms,
        },
        Kind::CheckLocks => WriteRequest::CheckLocks { start_ts, keys: message.keys },
        Kind::LookAtLocks => WriteRequest::LookAtLocks { start_ts, keys: message.keys },
        Kind::Decide => WriteRequest::Decide { start_ts, primary: message.primary },
        Kind::FinishAll => WriteRequest::FinishAll {
            start_ts,
            primary: message.primary,
            commit_ts: (message.commit_ts != 0).then_some(Timestamp(message.commit_ts)),
        },
        Kind::Heartbeat => WriteRequest::Heartbeat {
            start_ts,
            primary: message.primary,
            expires_unix_ms: message.unix_ms,
        },
        Kind::Bump => {
            WriteRequest::Bump { key: message.primary, by: message.by, at_least: message.at_least }
        }
    };
    Some((route, request))
}

/// The outcome of a write as a message.
pub fn write_answer_to_pb(outcome: txn::Result<WriteResponse>) -> pb::answer::Response {
    use pb::written::Kind;
    let mut keys = Vec::new();
    let (kind, commit_ts, counter) = match outcome {
        Ok(WriteResponse::Done { commit_ts }) => (Kind::Done, commit_ts.0, 0),
        Ok(WriteResponse::Counter(before)) => (Kind::Counter, 0, before),
        Ok(WriteResponse::Status(TxnStatus::Alive)) => (Kind::Alive, 0, 0),
        Ok(WriteResponse::Status(TxnStatus::Open)) => (Kind::Open, 0, 0),
        Ok(WriteResponse::Status(TxnStatus::Committed { commit_ts })) => {
            (Kind::Committed, commit_ts.0, 0)
        }
        Ok(WriteResponse::Status(TxnStatus::Prewritten { commit_from, secondaries })) => {
            keys = secondaries;
            (Kind::Prewritten, commit_from.0, 0)
        }
        Ok(WriteResponse::Status(TxnStatus::RolledBack)) => (Kind::RolledBack, 0, 0),
        Ok(WriteResponse::Status(TxnStatus::Forgotten)) => (Kind::Forgotten, 0, 0),
        Err(error) => return pb::answer::Response::Failure(failure_to_pb(error)),
    };
    pb::answer::Response::Written(pb::Written { kind: kind as i32, commit_ts, counter, keys })
}

/// A message as the outcome of a write.
pub fn write_answer_from_pb(
    shard: ShardId,
    response: pb::answer::Response,
) -> txn::Result<WriteResponse> {
    use pb::written::Kind;
    let written = match response {
        pb::answer::Response::Written(written) => written,
        other => return Err(unexpected(shard, other)),
    };
    let commit_ts = Timestamp(written.commit_ts);
    match Kind::try_from(written.kind) {
        Ok(Kind::Done) => Ok(WriteResponse::Done { commit_ts }),
        Ok(Kind::Counter) => Ok(WriteResponse::Counter(written.counter)),
        Ok(Kind::Alive) => Ok(WriteResponse::Status(TxnStatus::Alive)),
        Ok(Kind::Open) => Ok(WriteResponse::Status(TxnStatus::Open)),
        Ok(Kind::Committed) => Ok(WriteResponse::Status(TxnStatus::Committed { commit_ts })),
        Ok(Kind::Prewritten) => Ok(WriteResponse::Status(TxnStatus::Prewritten {
            commit_from: commit_ts,
            secondaries: written.keys,
        })),
        Ok(Kind::RolledBack) => Ok(WriteResponse::Status(TxnStatus::RolledBack)),
        Ok(Kind::Forgotten) => Ok(WriteResponse::Status(TxnStatus::Forgotten)),
        // The write happened, but what it answered cannot be read.
        Err(_) => Err(Error::OutcomeUnknown { shard }),
    }
}

/// A lock request as a message.
pub fn lock_to_pb(route: Route, request: LockRequest) -> pb::ShardLock {
    use pb::shard_lock::Patience as PbPatience;
    let (patience, wait) = match request.patience {
        Patience::Wait(wait) => (PbPatience::Wait, wait),
        Patience::NoWait => (PbPatience::NoWait, Duration::ZERO),
        Patience::Skip => (PbPatience::Skip, Duration::ZERO),
    };
    pb::ShardLock {
        shard: route.shard.0,
        epoch: route.epoch.0,
        owner: request.owner.0,
        weight: request.weight,
        keys: request.keys,
        own: request.own.0,
        exclusive: request.mode == LockMode::Exclusive,
        patience: patience as i32,
        wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        number: request.number,
        slot_start: route.slots.start,
        slot_end: route.slots.end,
    }
}

/// A cancel of a lock request as a message.
pub fn lock_cancel_to_pb(shard: ShardId, cancel: LockCancel) -> pb::LockCancel {
    let LockCancel { owner, number, keys } = cancel;
    pb::LockCancel { shard: shard.0, owner: owner.0, number, keys }
}

/// A message as a cancel of a lock request.
pub fn lock_cancel_from_pb(message: pb::LockCancel) -> (ShardId, LockCancel) {
    let pb::LockCancel { shard, owner, number, keys } = message;
    (ShardId(shard), LockCancel { owner: LockOwner(owner), number, keys })
}

/// A question about owners of a node, and about requests of theirs, as a message.
pub fn lock_owners_to_pb(
    owners: Vec<LockOwner>,
    waiting: Vec<(LockOwner, u64)>,
) -> pb::LockOwnersRequest {
    let owners = owners.into_iter().map(|owner| owner.0).collect();
    pb::LockOwnersRequest { owners, waiting: lock_requests_to_pb(waiting) }
}

/// Lock requests, by their owners and numbers, as messages.
pub fn lock_requests_to_pb(requests: Vec<(LockOwner, u64)>) -> Vec<pb::LockRequestName> {
    let name = |(owner, number): (LockOwner, u64)| pb::LockRequestName { owner: owner.0, number };
    requests.into_iter().map(name).collect()
}

/// Messages as lock requests, by their owners and numbers.
pub fn lock_requests_from_pb(names: Vec<pb::LockRequestName>) -> Vec<(LockOwner, u64)> {
    names.into_iter().map(|name| (LockOwner(name.owner), name.number)).collect()
}

/// A message as a lock request; `None` when its patience is of an unknown kind.
pub fn lock_from_pb(message: pb::ShardLock) -> Option<(Route, LockRequest)> {
    use pb::shard_lock::Patience as PbPatience;
    let route = route_from_pb(message.shard, message.epoch, message.slot_start, message.slot_end);
    let patience = match PbPatience::try_from(message.patience).ok()? {
        PbPatience::Wait => Patience::Wait(Duration::from_millis(message.wait_ms)),
        PbPatience::NoWait => Patience::NoWait,
        PbPatience::Skip => Patience::Skip,
    };
    let mode = if message.exclusive { LockMode::Exclusive } else { LockMode::Shared };
    let (owner, weight, keys) = (LockOwner(message.owner), message.weight, message.keys);
    let (own, number) = (Timestamp(message.own), message.number);
    Some((route, LockRequest { owner, number, weight, keys, own, mode, patience }))
}

/// The outcome of a lock request as a message.
pub fn lock_answer_to_pb(outcome: txn::Result<Vec<LockedKey>>) -> pb::answer::Response {
    let key = |key: LockedKey| match key {
        LockedKey::Skipped => pb::LockedKey { skipped: true, ..Default::default() },
        LockedKey::Held { commit_ts, exists, waited } => {
            pb::LockedKey { commit_ts: commit_ts.0, exists, waited, ..Default::default() }
        }
        LockedKey::Own { exists } => pb::LockedKey { own: true, exists, ..Default::default() },
    };
    match outcome {
        Ok(keys) => {
            pb::answer::Response::Locked(pb::Locked { keys: keys.into_iter().map(key).collect() })
        }
        Err(error) => pb::answer::Response::Failure(failure_to_pb(error)),
    }
}

/// A message as the outcome of a lock request for so many keys.
pub fn lock_answer_from_pb(
    shard: ShardId,
    count: usize,
    response: pb::answer::Response,
) -> txn::Result<Vec<LockedKey>> {
    match response {
        pb::answer::Response::Locked(locked) if locked.keys.len() == count => Ok(locked
            .keys
            .into_iter()
            .map(|key| match (key.skipped, key.own) {
                (true, _) => LockedKey::Skipped,
                (false, true) => LockedKey::Own { exists: key.exists },
                (false, false) => {
                    let (commit_ts, exists) = (Timestamp(key.commit_ts), key.exists);
                    LockedKey::Held { commit_ts, exists, waited: key.waited }
                }
            })
            .collect()),
        other => Err(unexpected(shard, other)),
    }
}

/// Waits for row locks as a message.
pub fn waits_to_pb(node: NodeId, waits: Vec<LockWaiting>) -> pb::LockWaits {
    let wait = |waiting: LockWaiting| pb::LockWait {
        owner: waiting.owner.0,
        weight: waiting.weight,
        blockers: waiting.blockers.into_iter().map(|owner| owner.0).collect(),
    };
    pb::LockWaits { node: node.0, waits: waits.into_iter().map(wait).collect() }
}

/// A message as waits for row locks.
pub fn waits_from_pb(message: pb::LockWaits) -> (NodeId, Vec<LockWaiting>) {
    let waiting = |wait: pb::LockWait| LockWaiting {
        owner: LockOwner(wait.owner),
        weight: wait.weight,
        blockers: wait.blockers.into_iter().map(LockOwner).collect(),
    };
    (NodeId(message.node), message.waits.into_iter().map(waiting).collect())
}

fn unexpected(shard: ShardId, response: pb::answer::Response) -> Error {
    match response {
        pb::answer::Response::Failure(failure) => failure_from_pb(failure),
        _ => Error::Unavailable { shard, what: "a peer gave an answer of the wrong kind".into() },
    }
}

fn key_write_to_pb(write: KeyWrite) -> pb::KeyWrite {
    use pb::key_write::Expect as PbExpect;
    let (expect, expect_ts) = match write.expect {
        Expect::Any => (PbExpect::Any, 0),
        Expect::Absent => (PbExpect::Absent, 0),
        Expect::NotNewerThan(ts) => (PbExpect::NotNewerThan, ts.0),
    };
    let (is_delete, keep) = (write.change == Change::Delete, write.change == Change::Keep);
    let value = match write.change {
        Change::Put(value) => value,
        Change::Delete | Change::Keep => Default::default(),
    };
    pb::KeyWrite { key: write.key, is_delete, keep, value, expect: expect as i32, expect_ts }
}

fn key_write_from_pb(write: pb::KeyWrite) -> Option<KeyWrite> {
    use pb::key_write::Expect as PbExpect;
    let expect = match PbExpect::try_from(write.expect).ok()? {
        PbExpect::Any => Expect::Any,
        PbExpect::Absent => Expect::Absent,
        PbExpect::NotNewerThan => Expect::NotNewerThan(Timestamp(write.expect_ts)),
    };
    let change = match (write.keep, write.is_delete) {
        (true, _) => Change::Keep,
        (false, true) => Change::Delete,
        (false, false) => Change::Put(write.value),
    };
    Some(KeyWrite { key: write.key, change, expect })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn route() -> Route {
        let slots = SlotRange { start: 4, end: 65_536 };
        Route { shard: ShardId(3), epoch: ShardEpoch(9), slots }
    }

    #[test]
    fn writes_survive_the_wire() {
        let write = |change, expect| KeyWrite { key: Bytes::from_static(b"k"), change, expect };
        let writes = vec![
            write(Change::Put(Bytes::from_static(b"v")), Expect::Absent),
            write(Change::Delete, Expect::NotNewerThan(Timestamp(7))),
            write(Change::Put(Bytes::new()), Expect::Any),
            write(Change::Keep, Expect::NotNewerThan(Timestamp(8))),
        ];
        let id = CommitId { number: 11, since: Timestamp(12) };
        for request in [
            WriteRequest::CommitNow { writes: writes.clone(), owner: None, id: None },
            WriteRequest::CommitNow { writes: writes.clone(), owner: None, id: Some(id) },
            WriteRequest::SettleNow { id, primary: Bytes::from_static(b"p") },
            WriteRequest::Commit {
                start_ts: Timestamp(1),
                commit_ts: Timestamp(2),
                keys: vec![Bytes::from_static(b"a")],
                kept: vec![Bytes::from_static(b"b")],
            },
            WriteRequest::Prewrite {
                start_ts: Timestamp(1),
                primary: Bytes::from_static(b"p"),
                expires_unix_ms: 5,
                writes: writes.clone(),
                owner: Some(LockOwner::new(NodeId(2), 7)),
                secondaries: None,
                round: Some(Round { number: 3, oldest_scan: 1, newest_scan: 2 }),
            },
            WriteRequest::Prewrite {
                start_ts: Timestamp(1),
                primary: Bytes::from_static(b"p"),
                expires_unix_ms: 5,
                writes,
                owner: None,
                secondaries: Some(vec![Bytes::from_static(b"s")]),
                round: None,
            },
            WriteRequest::Decide { start_ts: Timestamp(1), primary: Bytes::from_static(b"p") },
            WriteRequest::FinishAll {
                start_ts: Timestamp(1),
                primary: Bytes::from_static(b"p"),
                commit_ts: Some(Timestamp(2)),
            },
            WriteRequest::FinishAll {
                start_ts: Timestamp(1),
                primary: Bytes::from_static(b"p"),
                commit_ts: None,
            },
            WriteRequest::CheckLocks {
                start_ts: Timestamp(9),
                keys: vec![Bytes::from_static(b"a")],
            },
            WriteRequest::LookAtLocks {
                start_ts: Timestamp(9),
                keys: vec![Bytes::from_static(b"b")],
            },
            WriteRequest::Bump { key: Bytes::from_static(b"c"), by: 2, at_least: 3 },
        ] {
            let back = write_from_pb(write_to_pb(route(), request.clone()));
            assert_eq!(back, Some((route(), request)));
        }
    }

    #[test]
    fn what_became_of_a_transaction_survives_the_wire() {
        for status in [
            TxnStatus::Alive,
            TxnStatus::Open,
            TxnStatus::Committed { commit_ts: Timestamp(5) },
            TxnStatus::Prewritten {
                commit_from: Timestamp(4),
                secondaries: vec![Bytes::from_static(b"s")],
            },
            TxnStatus::RolledBack,
            TxnStatus::Forgotten,
        ] {
            let answer = WriteResponse::Status(status);
            let back = write_answer_from_pb(ShardId(3), write_answer_to_pb(Ok(answer.clone())));
            assert_eq!(back.expect("as sent"), answer);
        }
    }

    #[test]
    fn lock_requests_and_their_outcomes_survive_the_wire() {
        for patience in [Patience::Wait(Duration::from_secs(3)), Patience::NoWait, Patience::Skip] {
            let request = LockRequest {
                owner: LockOwner::new(NodeId(2), 7),
                number: 3,
                weight: 4,
                keys: vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")],
                own: Timestamp(6),
                mode: LockMode::Shared,
                patience,
            };
            let back = lock_from_pb(lock_to_pb(route(), request.clone()));
            assert_eq!(back, Some((route(), request)));
        }
        let keys = vec![Bytes::from_static(b"a")];
        let cancel = LockCancel { owner: LockOwner::new(NodeId(2), 7), number: 3, keys };
        let back = lock_cancel_from_pb(lock_cancel_to_pb(ShardId(3), cancel.clone()));
        assert_eq!(back, (ShardId(3), cancel));
        let outcomes = vec![
            LockedKey::Skipped,
            LockedKey::Held { commit_ts: Timestamp(5), exists: true, waited: true },
            LockedKey::Own { exists: true },
        ];
        let there = lock_answer_to_pb(Ok(outcomes.clone()));
        let back = lock_answer_from_pb(ShardId(3), 3, there.clone());
        assert_eq!(back.expect("as sent"), outcomes);
        assert!(lock_answer_from_pb(ShardId(3), 4, there).is_err(), "one key without an outcome");
    }

    #[test]
    fn a_question_about_changes_survives_the_wire() {
        let request = ReadRequest::Changed {
            keys: vec![Bytes::from_static(b"a")],
            ranges: vec![KeyRange::new("b", ""), KeyRange::new("c", "d")],
            since: Timestamp(3),
            ts: Timestamp(9),
            own: Timestamp(7),
            known: Vec::new(),
        };
        assert_eq!(read_from_pb(read_to_pb(route(), request.clone())), (route(), request));
        let answer = ReadResponse::Changed { key: None, rest: vec![KeyRange::new("c", "d")] };
        let back = read_answer_from_pb(ShardId(3), read_answer_to_pb(Ok(answer.clone())));
        assert_eq!(back.expect("as sent"), answer);
    }

    #[test]
    fn a_question_for_the_oldest_lock_survives_the_wire() {
        let request = ReadRequest::OldestLock { before: Timestamp(7) };
        assert_eq!(read_from_pb(read_to_pb(route(), request.clone())), (route(), request));
        for oldest in [None, Some(Timestamp(5))] {
            let answer = ReadResponse::OldestLock { floor: Timestamp(9), oldest };
            let back = read_answer_from_pb(ShardId(3), read_answer_to_pb(Ok(answer.clone())));
            assert_eq!(back.expect("as sent"), answer);
        }
    }

    #[test]
    fn what_a_reader_knows_survives_the_wire() {
        let fates =
            [Fate::Own { round: 3 }, Fate::Committed { commit_ts: Timestamp(5) }, Fate::Passed];
        let known = |fate| KnownTransaction { start_ts: Timestamp(4), fate };
        let request = ReadRequest::Scan {
            range: KeyRange::new("a", "b"),
            ts: Timestamp(9),
            reverse: true,
            limit: 7,
            known: fates.into_iter().map(known).collect(),
        };
        assert_eq!(read_from_pb(read_to_pb(route(), request.clone())), (route(), request));
    }

    #[test]
    fn an_unknown_kind_of_write_is_refused() {
        assert!(write_from_pb(pb::ShardWrite { kind: 99, ..Default::default() }).is_none());
    }
}
