//! Splitting a shard: one entry of the parent's log that every replica applies at exactly its place.
//!
//! ```text
//! entry 41     written
//! entry 42     split ─┬─ copy of the engine, `other` in it ──> folder of the child's replica, log empty
//!                     └─ `own` ──> the parent goes on
//! entry 43     …
//! ```
//!
//! The child's group begins as one that `initialize` has begun: its first entry, index 0 of term 0, is in the
//! state, and the membership is the parent's with the replica ids that the command gives. No replica of it has
//! promised anything before its first vote, so it needs no vote gate then.
//!
//! Invariants:
//! 1. A replica makes the child's folder as of the entry, or not at all: one that gets a Raft snapshot from behind
//!    the entry makes none, and the child's leader brings its replica up.
//! 2. The folder is complete before the parent's change is written. Applied again after a crash, the entry leaves
//!    a child alone that is there, or was there and was removed.
//! 3. An entry that does not fit the membership at its place changes nothing on any replica.
//!
//! Not here: which keys belong to whom. `own` and `other` are commands of the state machine.

use crate::command::{OWN_TAG, OwnCommand};
use crate::replica::Replica;
use crate::replica_group::ProposeError;
use crate::type_config::{Membership, StoredMembership, first_log_id};
use base::{ReplicaId, ShardId, limits};
use bytes::{Buf, BufMut, Bytes};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Format of a split's bytes.
const FORMAT: u8 = 1;

/// A split, as the parent's log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitCommand {
    /// The child.
    pub child: ShardId,
    /// For each of the parent's replicas the child's replica on the same node. All voters must be named; a
    /// learner may be, and is the child's learner then.
    pub replicas: Vec<(ReplicaId, ReplicaId)>,
    /// Version of the cluster's state that first knows the child's replicas.
    pub since: u64,
    /// The state machine's command for the parent.
    pub own: Bytes,
    /// The state machine's command for the child's copy.
    pub other: Bytes,
}

impl SplitCommand {
    /// Adds the command's bytes, without the two that say that it is a split.
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        bytes.put_u8(FORMAT);
        bytes.put_u64(self.child.0);
        bytes.put_u64(self.since);
        bytes.put_u16(self.replicas.len() as u16);
        for (parent, child) in &self.replicas {
            bytes.put_u64(parent.0);
            bytes.put_u64(child.0);
        }
        for command in [&self.own, &self.other] {
            bytes.put_u32(command.len() as u32);
            bytes.put_slice(command);
        }
    }

    /// The command in bytes from the log, without the first two.
    ///
    /// # Errors
    /// A sentence, when they are not what [`SplitCommand::put`] gives.
    pub(crate) fn take(mut bytes: Bytes) -> Result<SplitCommand, String> {
        let format = take(&mut bytes, 1, "its format")?.get_u8();
        if format != FORMAT {
            return Err(format!(
                "a split of format {format}, of a newer program; run that program"
            ));
        }
        let child = ShardId(take(&mut bytes, 8, "the child")?.get_u64());
        let since = take(&mut bytes, 8, "the version")?.get_u64();
        let count = take(&mut bytes, 2, "the number of replicas")?.get_u16();
        let mut replicas = Vec::new();
        for _ in 0..count {
            let mut pair = take(&mut bytes, 16, "the replicas")?;
            replicas.push((ReplicaId(pair.get_u64()), ReplicaId(pair.get_u64())));
        }
        let own = take_command(&mut bytes, "the parent's command")?;
        let other = take_command(&mut bytes, "the child's command")?;
        if !bytes.is_empty() {
            return Err(format!("a split with {} bytes behind its end", bytes.len()));
        }
        let split = SplitCommand { child, replicas, since, own, other };
        split.check()?;
        Ok(split)
    }

    /// What can be said without knowing the parent.
    fn check(&self) -> Result<(), String> {
        let count = self.replicas.len();
        if count == 0 || count > limits::SPLIT_REPLICAS_MAX {
            let max = limits::SPLIT_REPLICAS_MAX;
            return Err(format!("a split names {count} replicas, expected 1 to {max}"));
        }
        let parents: BTreeSet<_> = self.replicas.iter().map(|(parent, _)| parent).collect();
        let children: BTreeSet<_> = self.replicas.iter().map(|(_, child)| child).collect();
        if parents.len() != count || children.len() != count {
            return Err("a split names a replica twice".to_string());
        }
        let own_tag = |command: &Bytes| command.first() == Some(&OWN_TAG);
        if own_tag(&self.own) || own_tag(&self.other) {
            return Err("a split carries a command that is Raft's own".to_string());
        }
        Ok(())
    }

    /// The child's replica on the node of one of the parent's, if that one takes part.
    pub fn child_of(&self, parent: ReplicaId) -> Option<ReplicaId> {
        self.replicas.iter().find(|(named, _)| *named == parent).map(|(_, child)| *child)
    }

    /// The child's first membership, when the parent `shard` has these members.
    ///
    /// # Errors
    /// A sentence: why this split does not fit them.
    pub fn membership(
        &self,
        shard: ShardId,
        parent: &Membership,
    ) -> Result<StoredMembership, String> {
        if self.child == shard {
            return Err(format!("shard {shard} cannot be its own child"));
        }
        let [voters] = &parent.get_joint_config()[..] else {
            return Err("a change of the members is under way".to_string());
        };
        let mapped = |voter: &u64| match self.child_of(ReplicaId(*voter)) {
            Some(child) => Ok(child.0),
            None => Err(format!("replica {} has a vote and is not named", ReplicaId(*voter))),
        };
        let voters = voters.iter().map(mapped).collect::<Result<BTreeSet<u64>, String>>()?;
        let mut members = BTreeMap::new();
        for (named, child) in &self.replicas {
            let home = parent.get_node(&named.0);
            let home = home.ok_or_else(|| format!("replica {named} is named and is no member"))?;
            members.insert(child.0, *home);
        }
        let membership =
            Membership::new(vec![voters], members).map_err(|error| error.to_string())?;
        Ok(StoredMembership::new(Some(first_log_id()), membership))
    }
}

/// The next bytes of a split.
fn take(bytes: &mut Bytes, count: usize, what: &str) -> Result<Bytes, String> {
    if bytes.len() < count {
        return Err(format!("a split that ends inside {what}"));
    }
    Ok(bytes.split_to(count))
}

/// A command of the state machine inside a split.
fn take_command(bytes: &mut Bytes, what: &str) -> Result<Bytes, String> {
    let length = take(bytes, 4, what)?.get_u32();
    take(bytes, length as usize, what)
}

/// Learns which children have been made on this node.
pub trait ChildSink: Send + Sync + 'static {
    /// A split has been applied here, and the child's replica has a folder: it may be started. Comes again when the
    /// entry is applied again after a crash. Called by the parent's state machine, so it must not wait.
    fn child_made(&self, shard: ShardId, replica: ReplicaId);
}

/// Tells nobody.
pub struct NoSink;

impl ChildSink for NoSink {
    fn child_made(&self, _shard: ShardId, _replica: ReplicaId) {}
}

/// What a node's replicas share about children.
pub struct Children {
    /// Whom to tell.
    pub sink: Arc<dyn ChildSink>,
    /// Held while the folder of a new replica is made, by a split or empty: the two must not meet.
    pub folders: Mutex<()>,
    /// Folder of the marks of replicas that were removed.
    pub gone: PathBuf,
}

impl Children {
    /// Children of which somebody is told.
    pub fn new(sink: Arc<dyn ChildSink>, gone: PathBuf) -> Children {
        Children { sink, folders: Mutex::new(()), gone }
    }
}

impl Replica {
    /// As `ReplicaGroup::propose_split`.
    pub(crate) async fn propose_split_at(
        &self,
        term: u64,
        split: SplitCommand,
    ) -> Result<(), ProposeError> {
        split.check().map_err(ProposeError::Refused)?;
        // From here to the entry's place in the log the members stay as they are.
        let Ok(_turn) = self.changing.try_lock() else {
            return Err(ProposeError::Refused("a change of the members is under way".to_string()));
        };
        let progress = self.group_progress().filter(|progress| progress.term == term);
        let progress = progress.ok_or(ProposeError::NotLeader)?;
        if !progress.settled {
            return Err(ProposeError::Refused("a change of the members is under way".to_string()));
        }
        let fits = self.with_metrics(|metrics| {
            split.membership(self.key.0, metrics.membership_config.membership()).map(|_| ())
        });
        fits.map_err(ProposeError::Refused)?;
        let command = OwnCommand::Split(split).encode();
        if command.len() > limits::ENTRY_BYTES_MAX {
            let (bytes, max) = (command.len(), limits::ENTRY_BYTES_MAX);
            let what = format!("a split of {bytes} bytes is above the limit of {max}");
            return Err(ProposeError::Refused(what));
        }
        let index = self.replicate(term, command).await?;
        match &*self.context.void_split.lock() {
            Some((at, why)) if *at == index => Err(ProposeError::Refused(why.clone())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::type_config::Home;
    use base::NodeId;

    fn split(pairs: &[(u64, u64)]) -> SplitCommand {
        SplitCommand {
            child: ShardId(9),
            replicas: pairs.iter().map(|(p, c)| (ReplicaId(*p), ReplicaId(*c))).collect(),
            since: 7,
            own: Bytes::from_static(b"ab"),
            other: Bytes::from_static(b""),
        }
    }

    fn decode(bytes: Vec<u8>) -> Result<SplitCommand, String> {
        match OwnCommand::decode(&bytes.into())? {
            Some(OwnCommand::Split(split)) => Ok(split),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_bytes_of_a_split_never_change() {
        let bytes = OwnCommand::Split(split(&[(3, 0x0102)])).encode();
        let mut wanted = vec![0xff, b'S', 1];
        wanted.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1]);
        wanted.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 2]);
        wanted.extend_from_slice(&[0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0]);
        assert_eq!(bytes, wanted);
        assert!(OwnCommand::is_split(&bytes));
        assert_eq!(decode(wanted), Ok(split(&[(3, 0x0102)])));
    }

    #[test]
    fn bytes_that_are_no_split_are_refused() {
        let bytes = OwnCommand::Split(split(&[(1, 11), (2, 12)])).encode().to_vec();
        for end in 2..bytes.len() {
            let why = decode(bytes[..end].to_vec()).unwrap_err();
            assert!(why.contains("ends inside"), "{end}: {why}");
        }
        let refused = |bytes: Vec<u8>, wanted: &str| {
            let why = decode(bytes).unwrap_err();
            assert!(why.contains(wanted), "{why}");
        };
        refused([&bytes[..], &[0]].concat(), "1 bytes behind its end");
        let mut newer = bytes.clone();
        newer[2] = 2;
        refused(newer, "newer program");
        let encoded = |split| OwnCommand::Split(split).encode().to_vec();
        refused(encoded(split(&[])), "names 0 replicas");
        let many: Vec<(u64, u64)> = (0..65).map(|id| (id, id + 100)).collect();
        refused(encoded(split(&many)), "names 65 replicas");
        refused(encoded(split(&[(1, 11), (1, 12)])), "twice");
        refused(encoded(split(&[(1, 11), (2, 11)])), "twice");
        let own = Bytes::from_static(&[OWN_TAG]);
        refused(encoded(SplitCommand { own, ..split(&[(1, 11)]) }), "Raft's own");
    }

    #[test]
    fn the_childs_members_are_the_parents_under_other_ids() {
        let members = (1..=4).map(|id| (id, Home { node: NodeId(id * 10) }));
        let members: BTreeMap<u64, Home> = members.collect();
        let three = vec![BTreeSet::from([1, 2, 3])];
        let parent = Membership::new(three, members.clone()).unwrap();
        let all = [(3, 33), (1, 31), (2, 32)];
        let child = split(&all).membership(ShardId(1), &parent).unwrap();
        assert_eq!(*child.log_id(), Some(first_log_id()));
        assert_eq!(child.voter_ids().collect::<Vec<_>>(), [31, 32, 33]);
        assert_eq!(child.membership().get_node(&32), Some(&Home { node: NodeId(20) }));
        assert_eq!(child.membership().nodes().count(), 3, "a learner that is not named");

        let with_learner = [&all[..], &[(4, 34)]].concat();
        let child = split(&with_learner).membership(ShardId(1), &parent).unwrap();
        assert_eq!(child.voter_ids().collect::<Vec<_>>(), [31, 32, 33]);
        assert_eq!(child.membership().get_node(&34), Some(&Home { node: NodeId(40) }));

        let why = |pairs: &[(u64, u64)], shard, parent: &Membership| {
            split(pairs).membership(ShardId(shard), parent).unwrap_err()
        };
        assert!(why(&all[..2], 1, &parent).contains("replica r2 has a vote"));
        assert!(why(&[&all[..], &[(5, 35)]].concat(), 1, &parent).contains("r5 is named"));
        assert!(why(&all, 9, &parent).contains("its own child"));
        let joint = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 2, 4])];
        let joint = Membership::new(joint, members).unwrap();
        assert!(why(&with_learner, 1, &joint).contains("under way"));
    }
}
