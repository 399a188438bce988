//! Messages come back from the wire as they went in.

use super::*;
use bytes::Bytes;

fn route() -> Route {
    let slots = SlotRange { start: 7, end: 65_536 };
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
        WriteRequest::CheckLocks { start_ts: Timestamp(9), keys: vec![Bytes::from_static(b"a")] },
        WriteRequest::LookAtLocks { start_ts: Timestamp(9), keys: vec![Bytes::from_static(b"b")] },
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
    let fates = [Fate::Own { round: 3 }, Fate::Committed { commit_ts: Timestamp(5) }, Fate::Passed];
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
fn errors_survive_the_wire() {
    for error in [
        Error::KeyLocked {
            key: Bytes::from_static(b"k"),
            start_ts: Timestamp(7),
            primary: Bytes::from_static(b"p"),
            large: true,
        },
        Error::NotServing { shard: ShardId(2), leader: Some(NodeId(1)) },
        Error::Moved { shard: ShardId(2) },
        Error::OutcomeUnknown { shard: ShardId(2) },
        Error::AlreadyExists { key: Bytes::from_static(b"k") },
        Error::RowLocked { key: Bytes::from_static(b"k") },
        Error::LockWaitTimeout { key: Bytes::from_static(b"k") },
        Error::LockNotAvailable { key: Bytes::from_static(b"k") },
        Error::Deadlock { key: Bytes::from_static(b"k") },
        Error::DiskFull { what: "node 3 takes no new writes".into() },
        Error::SnapshotTooOld { shard: ShardId(2), ts: Timestamp(7), safe_point: Timestamp(9) },
    ] {
        let back = failure_from_pb(failure_to_pb(error.clone()));
        assert_eq!(format!("{back:?}"), format!("{error:?}"));
    }
}

#[test]
fn an_unknown_kind_of_write_is_refused() {
    assert!(write_from_pb(pb::ShardWrite { kind: 99, ..Default::default() }).is_none());
}
