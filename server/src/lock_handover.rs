//! Gives a shard's leadership to another node on purpose, its row locks first.
//!
//! ```text
//!  this node, which leads                       next leader
//!  reads, writes and locks end
//!  row locks, in parts ── LockHandover ───────► kept aside
//!  asks it to lead (raft) ────────────────────► elected ─► takes them in ─► reads, writes, locks
//!  forgets its own; who waits asks there                      └─► asks which of their owners still live
//! ```
//!
//! Every leadership that is moved by command, by the balancer, by a drain or off a sick disk goes this way. Who releases a
//! lock meanwhile is told by this node that it does not lead, and tells the next one as well.
//!
//! Invariants:
//! 1. Locks are sent after this node has ended to serve: none is granted behind them. A release that comes behind them is
//!    repeated at the next leader; locks of a commit that was just being answered go when their owner's node is asked.
//! 2. They hold the transfer up for `LOCK_HANDOVER_WAIT_MAX` at most; what has not arrived by then is left behind. A lock
//!    that is left behind may cost a transaction a retry (1213), never an update: commits check what they rely on.
//! 3. A transfer that fails before the other one is asked to lead leaves this node's locks as they were.
//!
//! Not here: who shall lead (`leader_move`, `balancer`, `disks`, `coordinator`), what fits at the next leader
//! (`txn::row_locks`).

use crate::activity_wire::{held_from_pb, held_to_pb};
use crate::local_shards::{LocalShard, LocalShards};
use crate::lock_survey::LockSurvey;
use crate::peers::{CallError, Peers};
use base::limits::{
    LOCK_HANDOVER_KEEP, LOCK_HANDOVER_LOOK, LOCK_HANDOVER_PART_BYTES, LOCK_HANDOVER_WAIT_MAX,
};
use base::{NodeId, ShardId, SharedClock};
use proto::node as pb;
use raft::ProposeError;
use std::sync::Arc;
use tokio::time::timeout;
use txn::row_locks::HeldLock;
use txn::shard::Shard;

/// Bytes that a lock takes in a message beside its key.
const LOCK_BYTES: usize = 32;

/// This node's part in moving leaders.
pub struct LockHandover {
    local: Arc<LocalShards>,
    peers: Arc<Peers>,
    survey: Arc<LockSurvey>,
    clock: SharedClock,
}

impl LockHandover {
    /// Over the node's own parts.
    pub fn new(
        local: Arc<LocalShards>,
        peers: Arc<Peers>,
        survey: Arc<LockSurvey>,
        clock: SharedClock,
    ) -> Arc<LockHandover> {
        Arc::new(LockHandover { local, peers, survey, clock })
    }

    /// Asks a shard's group to let another node lead, and sends that node the row locks before. Returns once it is asked.
    ///
    /// # Errors
    /// As `ReplicaGroup::transfer_leader`.
    pub async fn transfer_leader(
        &self,
        replica: &LocalShard,
        to: NodeId,
    ) -> Result<(), ProposeError> {
        let Some(term) = replica.group.serving_term() else {
            // It knows why.
            return replica.group.transfer_leader(to).await;
        };
        let farewell = send(self.peers.clone(), replica.shard.clone(), term, to);
        replica.group.transfer_leader_after(to, Box::pin(farewell)).await?;
        replica.shard.forget_locks(term).await;
        Ok(())
    }

    /// Keeps what another node hands over, until this one leads.
    pub fn receive(self: &Arc<Self>, message: pb::LockHandover) -> pb::LocksKept {
        let Some(replica) = self.local.get(ShardId(message.shard)) else {
            return pb::LocksKept { count: 0 };
        };
        let locks = message.locks.into_iter().map(held_from_pb).collect();
        let count = replica.shard.keep_locks_aside(message.term, locks);
        if count > 0 {
            tokio::spawn(self.clone().take_in(replica));
        }
        pb::LocksKept { count: count as u64 }
    }

    /// Takes in what was kept as soon as this node leads, whether anybody asks for the shard or not: it may be about to
    /// hand the leadership on.
    async fn take_in(self: Arc<Self>, replica: LocalShard) {
        let give_up = self.clock.monotonic() + LOCK_HANDOVER_KEEP;
        while replica.shard.take_in_locks().await.is_err() {
            if self.clock.monotonic() >= give_up {
                self.local.row_locks().forget_stale();
                return;
            }
            tokio::time::sleep(LOCK_HANDOVER_LOOK).await;
        }
        // Some may have committed just before the old leader ended to serve.
        self.survey.release_ended().await;
    }
}

/// Sends the row locks of a leadership that has ended to serve to the next leader.
async fn send(peers: Arc<Peers>, shard: Arc<Shard>, term: u64, to: NodeId) {
    let (locks, beyond) = shard.locks_to_hand_over(term);
    if locks.is_empty() {
        return;
    }
    let (shard, all) = (shard.id(), (locks.len() + beyond) as u64);
    let mut kept = 0;
    let sending = async {
        for part in parts(shard, term, locks) {
            let call = pb::call::Request::LockHandover(part);
            match peers.call_any_way(to, call, LOCK_HANDOVER_WAIT_MAX).await {
                Ok(pb::answer::Response::LocksKept(answer)) => kept += answer.count,
                // A node of an older version does not know them.
                Ok(_) => return Err("it does not take them".to_string()),
                Err(CallError::NotSent(why) | CallError::Lost(why)) => return Err(why),
            }
        }
        Ok(())
    };
    let outcome = timeout(LOCK_HANDOVER_WAIT_MAX, sending).await;
    let left = all.saturating_sub(kept);
    match outcome {
        Ok(Ok(())) => tracing::info!(%shard, %to, term, kept, left, "row locks handed over"),
        Ok(Err(why)) => {
            tracing::info!(%shard, %to, term, kept, left, %why, "row locks left behind");
        }
        Err(_) => {
            let why = "there was no more time";
            tracing::info!(%shard, %to, term, kept, left, %why, "row locks left behind");
        }
    }
}

/// The messages that carry these locks.
fn parts(shard: ShardId, term: u64, locks: Vec<HeldLock>) -> Vec<pb::LockHandover> {
    let mut parts: Vec<pb::LockHandover> = Vec::new();
    let mut room = 0;
    for lock in locks {
        let bytes = lock.key.len() + LOCK_BYTES;
        if bytes > room || parts.is_empty() {
            parts.push(pb::LockHandover { shard: shard.0, term, locks: Vec::new() });
            room = LOCK_HANDOVER_PART_BYTES;
        }
        room = room.saturating_sub(bytes);
        if let Some(part) = parts.last_mut() {
            part.locks.push(held_to_pb(lock));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use txn::command::{LockMode, LockOwner};

    #[test]
    fn locks_are_sent_in_parts_and_arrive_as_they_were() {
        let lock = |byte: u8, mode| HeldLock {
            key: Bytes::from(vec![byte; LOCK_HANDOVER_PART_BYTES / 2 - LOCK_BYTES]),
            owner: LockOwner::new(NodeId(2), u64::from(byte)),
            mode,
        };
        let mode =
            |byte: u8| if byte.is_multiple_of(2) { LockMode::Shared } else { LockMode::Exclusive };
        let locks: Vec<HeldLock> = (0..5).map(|byte| lock(byte, mode(byte))).collect();
        let parts = parts(ShardId(3), 7, locks.clone());
        let counts: Vec<usize> = parts.iter().map(|part| part.locks.len()).collect();
        assert_eq!(counts, [2, 2, 1]);
        assert!(parts.iter().all(|part| (part.shard, part.term) == (3, 7)));
        let came = parts.into_iter().flat_map(|part| part.locks).map(held_from_pb);
        assert_eq!(came.collect::<Vec<_>>(), locks);
    }
}
