//! Getting a shard back that has lost the majority of its replicas, on the stopped node of a survivor.
//!
//! ```text
//! survivor 102      engine (applied 90) ─ log (… 95)          voters 101 102 103
//!      │ checkpoint          │ entries 91–95 applied
//!      ▼                     ▼
//! replica 201       engine (applied 95, voters 201) ─ log (empty, vote of the last entry's term)
//! ```
//!
//! The new replica is its group's only voter, so it leads as soon as it starts; other replicas are added to
//! it as to any group. It has a **new** id: the lost majority may come back one day, and must not find one
//! of its own among those who decided without it.
//!
//! What this cannot know: whether the lost replicas had acknowledged entries after the survivor's last one
//! (they are lost), and whether the survivor's last entries had been acknowledged at all (they are kept).
//! So it is for people to decide, with [`inspect`] before them.
//!
//! Invariants:
//! 1. The survivor's folder and log stay as they are until the new replica is complete and synced; then its
//!    log record ends, and its folder is set aside as evidence.
//! 2. Every step may be repeated after a crash.
//! 3. A split among the survivor's last entries leaves its replica of the child here too, to recover from.
//! 4. A replica that lost what it had acknowledged, is damaged or was found to differ is no survivor.

use crate::applier::read_applied;
use crate::codec::encode_applied;
use crate::command::OwnCommand;
use crate::compare::diverged_before;
use crate::error::{Error, Result};
use crate::host::{GONE_FOLDER, REPLICAS_FOLDER, SET_ASIDE_FOLDER, replica_folder};
use crate::log::SharedLog;
use crate::log::record::Key;
use crate::snapshot::incoming_dir;
use crate::split::SplitCommand;
use crate::state_machine::StateMachine;
use crate::type_config::{
    Entry, Home, LogId, Membership, StoredMembership, Vote, first_log_id, term_of,
};
use base::{NodeId, ReplicaId, ShardId, limits};
use engine::folder::ReplicaIdentity;
use engine::mvcc::APPLIED_KEY;
use engine::{Engine, EngineFactory, WriteBatch};
use openraft::EntryPayload;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A stopped node.
pub struct StoppedNode {
    /// The node.
    pub node: NodeId,
    /// Its data folder.
    pub data_dir: PathBuf,
    /// Opens its engines.
    pub factory: Arc<dyn EngineFactory>,
    /// Its log. Nothing else may have it open.
    pub log: SharedLog,
}

/// Where an entry stands: its term and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Term of the leader that made it.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// What a replica of a stopped node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The shard.
    pub shard: ShardId,
    /// The replica.
    pub replica: ReplicaId,
    /// Last entry in its state; none when it is empty.
    pub applied: Option<Position>,
    /// Last entry that it has at all, in its log or in its state.
    pub last: Option<Position>,
    /// The members as it knows them: replica and node.
    pub members: Vec<(ReplicaId, NodeId)>,
    /// Which of them vote.
    pub voters: Vec<ReplicaId>,
    /// Why it cannot be recovered from; none when it can.
    pub unusable: Option<String>,
}

/// What became of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The replica that takes its place.
    pub replica: ReplicaId,
    /// Last entry in its state.
    pub last: Position,
    /// Entries that were in the survivor's log only: they may never have been acknowledged. 0 when an attempt
    /// before this one had applied them.
    pub unconfirmed: u64,
    /// Where the survivor's folder is now.
    pub evidence: Option<PathBuf>,
}

fn position(log_id: LogId) -> Position {
    Position { term: term_of(&log_id), index: log_id.index }
}

/// What every replica of a stopped node has. Changes nothing but what any start would: half-done installs
/// are finished or undone.
///
/// # Errors
/// When the replica folders cannot be listed.
pub fn inspect(node: &StoppedNode) -> Result<Vec<Survivor>> {
    let folders = node.factory.replica_folders(&node.data_dir.join(REPLICAS_FOLDER))?;
    Ok(folders.into_iter().map(|(folder, identity)| look_at(node, &folder, identity)).collect())
}

fn look_at(node: &StoppedNode, folder: &Path, identity: ReplicaIdentity) -> Survivor {
    let key = (identity.shard, identity.replica);
    let mut survivor = Survivor {
        shard: key.0,
        replica: key.1,
        applied: None,
        last: node.log.bounds(&key).1.map(position),
        members: Vec::new(),
        voters: Vec::new(),
        unusable: None,
    };
    match Source::open(node, folder, key) {
        Ok(source) => {
            let membership = source.membership.membership();
            survivor.applied = source.applied.map(position);
            survivor.last = source.last().map(position);
            survivor.members =
                membership.nodes().map(|(id, home)| (ReplicaId(*id), home.node)).collect();
            survivor.voters = membership.voter_ids().map(ReplicaId).collect();
            survivor.unusable = survivor.last.is_none().then(|| "it is empty".to_string());
        }
        Err(error) => survivor.unusable = Some(error.to_string()),
    }
    survivor
}

/// A replica to recover from.
struct Source {
    /// Its engine.
    engine: Arc<dyn Engine>,
    /// Last entry in the engine.
    applied: Option<LogId>,
    /// The newest members, in the state or in the log after it.
    membership: StoredMembership,
    /// Last entry of the log, when the log goes on from the engine's state.
    log_end: Option<LogId>,
}

impl Source {
    fn open(node: &StoppedNode, folder: &Path, key: Key) -> Result<Source> {
        let lost = |what: String| Error::Recovering {
            shard: key.0,
            replica: key.1,
            what,
            place: folder.display().to_string(),
        };
        node.factory.recover(folder)?;
        let engine = node.factory.open(folder)?;
        if let Some(why) = diverged_before(engine.as_ref())? {
            return Err(lost(why));
        }
        let (applied, membership) = read_applied(engine.get(APPLIED_KEY))
            .map_err(|error| Error::raft(key, format!("applied record: {error}")))?;
        let (purged, last) = node.log.bounds(&key);
        if purged.is_some_and(|purged| Some(purged) > applied) {
            return Err(lost("state up to what its log was purged to".to_string()));
        }
        if let Some(shortfall) = node.log.shortfall(&key)
            && (shortfall.hole || last.max(applied) < shortfall.acknowledged.last_log_id)
        {
            return Err(lost(format!("entries of its log, see {}", shortfall.place)));
        }
        // Entries above `applied` count only when they follow on it: others were superseded.
        let follows = match applied {
            None => true,
            Some(applied) => {
                let same = node.log.log_id_at(&key, applied.index) == Some(applied);
                purged == Some(applied) || same
            }
        };
        let log_end = last.filter(|last| follows && Some(*last) > applied);
        let mut source = Source { engine, applied, membership, log_end };
        let mut newest = None;
        source.read_tail(node, key, |entry| {
            if let EntryPayload::Membership(members) = &entry.payload {
                newest = Some(StoredMembership::new(Some(entry.log_id), members.clone()));
            }
            Ok(())
        })?;
        if let Some(newest) = newest {
            source.membership = newest;
        }
        Ok(source)
    }

    /// Looks at every entry that only the log holds, in order.
    fn read_tail(
        &self,
        node: &StoppedNode,
        key: Key,
        mut look: impl FnMut(&Entry) -> Result<()>,
    ) -> Result<u64> {
        let Some(end) = self.log_end else { return Ok(0) };
        let missing = |index: u64| Error::raft(key, format!("entry {index} is missing"));
        let begin = self.applied.map_or(0, |applied| applied.index + 1);
        let mut next = begin;
        while next <= end.index {
            let read = node.log.read(&key, next, end.index + 1, limits::APPEND_BYTES_MAX);
            let entries = read.map_err(|error| Error::raft(key, error))?;
            if entries.is_empty() {
                return Err(missing(next));
            }
            for entry in &entries {
                if entry.log_id.index != next {
                    return Err(missing(next));
                }
                next += 1;
                look(entry)?;
            }
        }
        Ok(next - begin)
    }

    /// The last entry there is.
    fn last(&self) -> Option<LogId> {
        self.log_end.or(self.applied)
    }
}

/// Makes a new group of one replica from a survivor, on its node: the shard goes on with what the survivor
/// has, entries in its log included. Whatever other replicas had beyond that is lost.
///
/// # Errors
/// When the survivor has nothing to go on from, or a folder or the log refuses. Repeating it is safe.
pub async fn rebuild(
    node: &StoppedNode,
    survivor: (ShardId, ReplicaId),
    replica: ReplicaId,
    state_machine: &dyn StateMachine,
) -> Result<Rebuilt> {
    let (old, new) = (survivor, (survivor.0, replica));
    let (old_folder, new_folder) =
        (replica_folder(&node.data_dir, old), replica_folder(&node.data_dir, new));
    if old == new {
        return Err(Error::raft(old, "a recovered replica needs a new id"));
    }
    let known = node.factory.replica_folders(&node.data_dir.join(REPLICAS_FOLDER))?;
    if !known.iter().any(|(_, found)| (found.shard, found.replica) == old) {
        return Err(Error::Unknown(old.0));
    }
    let (last, unconfirmed) = match node.log.vote(&new) {
        // Complete since an attempt before, which a crash ended below. The survivor's log may be gone.
        Some(_) => (last_of(node, &new_folder, new)?, 0),
        None => build(node, (old, &old_folder), (new, &new_folder), state_machine).await?,
    };
    // From here on the new replica is complete; the old one must never start again.
    let synced = node.log.destroy(old).wait().await;
    synced.map_err(|error| Error::raft(old, error))?;
    let aside = node.data_dir.join(SET_ASIDE_FOLDER);
    let gone = node.data_dir.join(GONE_FOLDER);
    let evidence = node.factory.set_aside(&old_folder, &aside, &gone)?;
    Ok(Rebuilt { replica: new.1, last: position(last), unconfirmed, evidence })
}

/// Builds the new replica beside the survivor. Its vote is written last: who has one is complete.
async fn build(
    node: &StoppedNode,
    (old, old_folder): (Key, &Path),
    (new, new_folder): (Key, &Path),
    state_machine: &dyn StateMachine,
) -> Result<(LogId, u64)> {
    let source = Source::open(node, old_folder, old)?;
    let last = source.last().ok_or_else(|| Error::raft(old, "it is empty"))?;

    // Whatever an attempt before left; the survivor is still there.
    node.factory.remove(new_folder)?;
    let identity = ReplicaIdentity::new(new.0, new.1);
    node.factory.put_identity(new_folder, &identity)?;
    let incoming = incoming_dir(new_folder, &last);
    source.engine.checkpoint(&incoming)?;
    node.factory.install(new_folder, &incoming)?;
    let engine = node.factory.open(new_folder)?;
    let to = (new_folder, engine.as_ref());
    let unconfirmed = apply_tail(node, old, &source, to, state_machine)?;
    put_membership(engine.as_ref(), last, new.1, node.node)?;
    engine.flush()?;
    drop((engine, source));

    // Its first election must have a higher term than any entry it has.
    let vote = Vote::new(term_of(&last), new.1.0);
    let synced = node.log.save_vote(new, vote).wait().await;
    synced.map_err(|error| Error::raft(new, error))?;
    Ok((last, unconfirmed))
}

/// The last entry in the state of a replica that is complete.
fn last_of(node: &StoppedNode, folder: &Path, key: Key) -> Result<LogId> {
    node.factory.recover(folder)?;
    let (applied, _) = read_applied(node.factory.open(folder)?.get(APPLIED_KEY))
        .map_err(|error| Error::raft(key, format!("applied record: {error}")))?;
    applied.ok_or_else(|| Error::raft(key, "it is empty"))
}

/// Applies what the survivor has in its log only. Returns how many entries.
fn apply_tail(
    node: &StoppedNode,
    old: Key,
    source: &Source,
    (folder, engine): (&Path, &dyn Engine),
    state_machine: &dyn StateMachine,
) -> Result<u64> {
    let (_, mut members) = read_applied(engine.get(APPLIED_KEY))
        .map_err(|error| Error::raft(old, format!("applied record: {error}")))?;
    source.read_tail(node, old, |entry| {
        let (mut batch, index) = (WriteBatch::new(), entry.log_id.index);
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(command) => match OwnCommand::decode(&command.0) {
                Ok(None) => state_machine.apply(index, &command.0, &mut batch)?,
                Ok(Some(OwnCommand::Compare { .. })) => {}
                Ok(Some(OwnCommand::Split(split))) => {
                    // One that does not fit the members changes nothing, as where it is applied.
                    if let Ok(first) = split.membership(old.0, members.membership()) {
                        let mut changes = WriteBatch::new();
                        state_machine.apply(index, &split.other, &mut changes)?;
                        changes.put(APPLIED_KEY, encode_applied(Some(&first_log_id()), &first));
                        make_child(node, old, &split, (folder, engine), changes)?;
                        state_machine.apply(index, &split.own, &mut batch)?;
                    }
                }
                Err(why) => return Err(Error::raft(old, why)),
            },
            EntryPayload::Membership(changed) => {
                members = StoredMembership::new(Some(entry.log_id), changed.clone());
            }
        }
        batch.put(APPLIED_KEY, encode_applied(Some(&entry.log_id), &source.membership));
        Ok(engine.write(batch)?)
    })
}

/// Makes the survivor's replica of a child, if the split names the survivor.
fn make_child(
    node: &StoppedNode,
    old: Key,
    split: &SplitCommand,
    (folder, engine): (&Path, &dyn Engine),
    changes: WriteBatch,
) -> Result<()> {
    let Some(replica) = split.child_of(old.1) else { return Ok(()) };
    let identity = ReplicaIdentity { shard: split.child, replica, since: split.since };
    let gone = node.data_dir.join(GONE_FOLDER);
    node.factory.make_child(engine, folder, &gone, &identity, changes)?;
    Ok(())
}

/// Writes that the new replica is the only member.
fn put_membership(
    engine: &dyn Engine,
    last: LogId,
    replica: ReplicaId,
    node: NodeId,
) -> Result<()> {
    let voters = vec![BTreeSet::from([replica.0])];
    let members = BTreeMap::from([(replica.0, Home { node })]);
    let membership = Membership::new(voters, members)
        .map_err(|error| Error::raft((ShardId(0), replica), error))?;
    let membership = StoredMembership::new(Some(last), membership);
    let mut batch = WriteBatch::new();
    batch.put(APPLIED_KEY, encode_applied(Some(&last), &membership));
    Ok(engine.write(batch)?)
}
