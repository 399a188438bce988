//! Errors of shards as messages between nodes.

use base::{NodeId, ShardId, Timestamp};
use proto::node as pb;
use txn::Error;

/// An error as a message.
pub fn failure_to_pb(error: Error) -> pb::Failure {
    use pb::failure::Kind;
    let what = error.to_string();
    let mut failure = pb::Failure { what, ..Default::default() };
    match error {
        Error::KeyLocked { key, start_ts, primary, large } => {
            failure.large = large;
            failure.set_kind(Kind::KeyLocked);
            failure.key = key;
            failure.start_ts = start_ts.0;
            failure.primary = primary;
        }
        Error::RowLocked { key } => {
            failure.set_kind(Kind::RowLocked);
            failure.key = key;
        }
        Error::LockWaitTimeout { key } => {
            failure.set_kind(Kind::LockWaitTimeout);
            failure.key = key;
        }
        Error::LockNotAvailable { key } => {
            failure.set_kind(Kind::LockNotAvailable);
            failure.key = key;
        }
        Error::Deadlock { key } => {
            failure.set_kind(Kind::Deadlock);
            failure.key = key;
        }
        // Never leaves the node that runs the transaction; a conflict is what it comes to.
        Error::Stale { key, .. } | Error::WriteConflict { key } => {
            failure.set_kind(Kind::WriteConflict);
            failure.key = key;
        }
        Error::AlreadyExists { key } => {
            failure.set_kind(Kind::AlreadyExists);
            failure.key = key;
        }
        Error::RolledBack { start_ts } => {
            failure.set_kind(Kind::RolledBack);
            failure.start_ts = start_ts.0;
        }
        Error::NotServing { shard, leader } => {
            failure.set_kind(Kind::NotServing);
            failure.shard = shard.0;
            failure.leader_node = leader.map_or(0, |node| node.0);
        }
        Error::Moved { shard } => {
            failure.set_kind(Kind::Moved);
            failure.shard = shard.0;
        }
        Error::NoFollower { shard, what } => {
            failure.set_kind(Kind::NoFollower);
            failure.shard = shard.0;
            failure.what = what;
        }
        Error::Unavailable { shard, what } => {
            failure.set_kind(Kind::Unavailable);
            failure.shard = shard.0;
            failure.what = what;
        }
        Error::OutcomeUnknown { shard } => {
            failure.set_kind(Kind::OutcomeUnknown);
            failure.shard = shard.0;
        }
        Error::TooLarge { what } => {
            failure.set_kind(Kind::TooLarge);
            failure.what = what;
        }
        Error::DiskFull { what } => {
            failure.set_kind(Kind::DiskFull);
            failure.what = what;
        }
        Error::SnapshotTooOld { shard, ts, safe_point } => {
            failure.set_kind(Kind::SnapshotTooOld);
            failure.shard = shard.0;
            failure.ts = ts.0;
            failure.safe_point = safe_point.0;
        }
        // No shard answers these: they are said by the node that runs the transaction.
        Error::NotUndoable | Error::ReadPointInFuture { .. } => failure.set_kind(Kind::BadCall),
        // Nor this: a shard says it with a status, and the coordinator makes an error of it.
        Error::Forgotten { .. } => failure.set_kind(Kind::OutcomeUnknown),
        Error::Engine { what } => {
            failure.set_kind(Kind::Engine);
            failure.what = what;
        }
    }
    failure
}

/// A message as an error.
pub fn failure_from_pb(failure: pb::Failure) -> Error {
    use pb::failure::Kind;
    let shard = ShardId(failure.shard);
    match Kind::try_from(failure.kind) {
        Ok(Kind::KeyLocked) => Error::KeyLocked {
            key: failure.key,
            start_ts: Timestamp(failure.start_ts),
            primary: failure.primary,
            large: failure.large,
        },
        Ok(Kind::RowLocked) => Error::RowLocked { key: failure.key },
        Ok(Kind::LockWaitTimeout) => Error::LockWaitTimeout { key: failure.key },
        Ok(Kind::LockNotAvailable) => Error::LockNotAvailable { key: failure.key },
        Ok(Kind::Deadlock) => Error::Deadlock { key: failure.key },
        Ok(Kind::WriteConflict) => Error::WriteConflict { key: failure.key },
        Ok(Kind::AlreadyExists) => Error::AlreadyExists { key: failure.key },
        Ok(Kind::RolledBack) => Error::RolledBack { start_ts: Timestamp(failure.start_ts) },
        Ok(Kind::NotServing) => Error::NotServing {
            shard,
            leader: (failure.leader_node != 0).then_some(NodeId(failure.leader_node)),
        },
        Ok(Kind::Moved) => Error::Moved { shard },
        Ok(Kind::NoFollower) => Error::NoFollower { shard, what: failure.what },
        Ok(Kind::Unavailable) => Error::Unavailable { shard, what: failure.what },
        Ok(Kind::OutcomeUnknown) => Error::OutcomeUnknown { shard },
        Ok(Kind::TooLarge) => Error::TooLarge { what: failure.what },
        Ok(Kind::DiskFull) => Error::DiskFull { what: failure.what },
        Ok(Kind::SnapshotTooOld) => Error::SnapshotTooOld {
            shard,
            ts: Timestamp(failure.ts),
            safe_point: Timestamp(failure.safe_point),
        },
        Ok(Kind::Engine) => Error::Engine { what: failure.what },
        Ok(Kind::BadCall) | Ok(Kind::Unspecified) | Err(_) => {
            Error::Unavailable { shard, what: failure.what }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

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
            Error::NoFollower { shard: ShardId(2), what: "it lags".into() },
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
}
