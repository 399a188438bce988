//! The row locks that a transaction holds, wherever they are.
//!
//! ```text
//!  lock(keys) ─► one request per shard ─┬─ held, with the newest version's timestamp ─► remembered
//!                      ▲                ├─ KeyLocked: finish that commit or wait for it ─┐
//!                      └────────────────┴────────────────────────────────────────────────┘
//!  lock() given up ─► cancel at every shard that has not answered
//!  dropped ─► release at every shard that was asked
//! ```
//!
//! Who waits for a large transaction asks again in pauses; its leader counts that as a wait, and may answer `Deadlock`.
//!
//! Who does not wait (NOWAIT, SKIP LOCKED) takes a row for taken only when its transaction is not decided yet: what was
//! committed and answered is finished on the spot.
//!
//! A shard counts as asked before the first message leaves, so nothing that may have been granted is forgotten.

use super::owners::{Moves, owners, unless_moved};
use super::resolve::{self, Left};
use crate::command::{
    Change, Expect, KeyWrite, LockCancel, LockMode, LockOwner, LockRequest, LockedKey, Patience,
};
use crate::defect;
use crate::lock_owners::OwnerGuard;
use crate::progress::{HeldUp, Progress};
use crate::shard_client::{Route, ShardClient};
use crate::{Error, Result};
use base::{Timestamp, limits};
use bytes::Bytes;
use futures::future::{join_all, select, try_join_all};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How rows are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLock {
    /// Shared or exclusive.
    pub mode: LockMode,
    /// What to do about other owners.
    pub patience: Patience,
}

/// A transaction's row locks.
pub(super) struct HeldLocks {
    client: Arc<dyn ShardClient>,
    guard: OwnerGuard,
    /// What is held.
    keys: BTreeMap<Bytes, Held>,
    /// Keys without a row that the statement at hand has locked.
    vacant: Vec<Bytes>,
    /// Shards that may hold locks of this owner.
    asked: BTreeSet<Route>,
}

/// One lock.
#[derive(Clone, Copy)]
struct Held {
    mode: LockMode,
    /// Of the newest version when it was locked.
    commit_ts: Timestamp,
    /// Whether that was a row.
    exists: bool,
    /// Whether it stays although there is no row: somebody has asked for the row that is not there.
    guards: bool,
}

impl Held {
    fn outcome(self) -> LockedKey {
        LockedKey::Held { commit_ts: self.commit_ts, exists: self.exists, waited: false }
    }

    /// What a write that relies on the lock expects, should the lock be lost with its leader.
    fn expect(self) -> Expect {
        Expect::NotNewerThan(if self.exists { self.commit_ts } else { Timestamp::ZERO })
    }
}

impl HeldLocks {
    /// None yet.
    pub(super) fn new(client: Arc<dyn ShardClient>) -> HeldLocks {
        let guard = client.lock_owners().begin();
        let (keys, vacant, asked) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        HeldLocks { client, guard, keys, vacant, asked }
    }

    /// Who holds them.
    pub(super) fn owner(&self) -> LockOwner {
        self.guard.owner()
    }

    /// How many are held.
    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    /// What a write of a key that is locked expects.
    pub(super) fn expect(&self, key: &[u8]) -> Option<Expect> {
        self.keys.get(key).map(|held| held.expect())
    }

    /// Locks keys; the outcome of each in their order. `own` is the transaction's identity once it is a large one.
    /// `progress` is told what the request waits for, when it is a replicated lock. May be dropped at any time: what was
    /// under way is cancelled.
    pub(super) async fn lock(
        &mut self,
        keys: &[Bytes],
        lock: RowLock,
        (weight, own): (u64, Timestamp),
        progress: Option<&Progress>,
    ) -> Result<Vec<LockedKey>> {
        let mut outcomes = vec![LockedKey::Skipped; keys.len()];
        let mut left = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            match self.keys.get(key).filter(|held| held.mode >= lock.mode) {
                Some(held) => outcomes[index] = held.outcome(),
                None => left.push(index),
            }
        }
        if left.is_empty() {
            return Ok(outcomes);
        }
        let (client, owner) = (&self.client, self.guard.owner());
        let under_way = self.guard.begin_request();
        let number = under_way.number();
        let weight = weight + self.keys.len() as u64;
        let begun_ms = client.unix_ms();
        let (mut again, mut moves) = (false, Moves::default());
        while !left.is_empty() {
            let mut groups: BTreeMap<Route, Vec<usize>> = BTreeMap::new();
            for index in std::mem::take(&mut left) {
                groups.entry(client.locate(&keys[index])?).or_default().push(index);
            }
            self.asked.extend(groups.keys());
            let requests = groups.iter().flat_map(|(route, indexes)| {
                indexes.chunks(limits::GET_KEYS_MAX).map(|part| (*route, part))
            });
            let waited = Duration::from_millis(client.unix_ms().saturating_sub(begun_ms));
            let patience = match lock.patience {
                Patience::Wait(longest) if again => Patience::Wait(longest.saturating_sub(waited)),
                patience => patience,
            };
            let mode = lock.mode;
            let answers = try_join_all(requests.map(async |(route, part)| {
                let keys = part.iter().map(|index| keys[*index].clone()).collect();
                let request = LockRequest { owner, number, weight, keys, own, mode, patience };
                let answer = lock_at(client, route, request, progress).await;
                Ok::<_, Error>((route, part, unless_moved(answer)?))
            }))
            .await?;
            let mut moved = None;
            for (route, part, answered) in answers {
                let Some(answered) = answered else {
                    moved = Some(route.shard);
                    left.extend_from_slice(part);
                    continue;
                };
                for (index, mut outcome) in part.iter().zip(answered) {
                    // The request before this one may have waited for others.
                    if again {
                        outcome.set_waited();
                    }
                    outcomes[*index] = outcome;
                    if let LockedKey::Held { commit_ts, exists, .. } = outcome {
                        let key = &keys[*index];
                        let guards = self.keys.get(key).is_some_and(|held| held.guards);
                        let held = Held { mode: lock.mode, commit_ts, exists, guards };
                        self.keys.insert(key.clone(), held);
                        if !exists {
                            self.vacant.push(key.clone());
                        }
                    }
                }
            }
            again = true;
            moved.map_or(Ok(()), |shard| moves.again(shard))?;
        }
        Ok(outcomes)
    }

    /// Locked keys that are not among `written`, as changes that keep them: what was read under a lock must still be
    /// so at the commit.
    pub(super) fn kept(&self, written: impl Fn(&[u8]) -> bool) -> Vec<KeyWrite> {
        self.keys
            .iter()
            .filter(|(key, _)| !written(key) && !defect::active("locked-rows-unchecked"))
            .map(|(key, held)| KeyWrite {
                key: key.clone(),
                change: Change::Keep,
                expect: held.expect(),
            })
            .collect()
    }

    /// Forgets keys that have replicated locks now; the shards have given up their row locks.
    pub(super) fn forget(&mut self, writes: &[KeyWrite]) {
        for write in writes {
            self.keys.remove(&write.key);
        }
    }

    /// Gives up the lock of one key.
    pub(super) async fn unlock(&mut self, key: &Bytes) -> Result<()> {
        if self.keys.remove(key).is_some() {
            let route = self.client.locate(key)?;
            self.client.release(route, self.guard.owner(), vec![key.clone()]).await;
        }
        Ok(())
    }

    /// Keeps the lock of a key also when a row is inserted there and undone.
    pub(super) fn guard_absent(&mut self, key: &Bytes) {
        if let Some(held) = self.keys.get_mut(key) {
            held.guards = true;
        }
    }

    /// A statement begins.
    pub(super) fn begin_statement(&mut self) {
        self.vacant = Vec::new();
    }

    /// Keys without a row that the statement at hand has locked, perhaps to insert there.
    pub(super) fn take_vacant(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.vacant)
    }

    /// Gives up the locks of keys that have no write any more, where there was no row before and none was asked for.
    pub(super) async fn unlock_undone(&mut self, keys: Vec<Bytes>) {
        let mut groups: BTreeMap<Route, Vec<Bytes>> = BTreeMap::new();
        for key in keys {
            let is_new = self.keys.get(&key).is_some_and(|held| !held.exists && !held.guards);
            // A lock that cannot be given up now goes with the transaction.
            if is_new && let Ok(route) = self.client.locate(&key) {
                self.keys.remove(&key);
                groups.entry(route).or_default().push(key);
            }
        }
        for (route, keys) in groups {
            for part in keys.chunks(limits::GET_KEYS_MAX) {
                self.client.release(route, self.guard.owner(), part.to_vec()).await;
            }
        }
    }

    /// Gives up all of them and waits until the shards have heard of it, but not for long.
    pub(super) async fn release(mut self) {
        let (told, heard) = oneshot::channel();
        self.give_up(Some(told));
        let client = self.client.clone();
        // The sender goes when all have heard.
        drop(select(heard, client.pause(limits::ROW_LOCK_RELEASE_WAIT_MAX)).await);
    }

    /// Tells every shard that was asked, behind the caller; drops `heard` afterwards.
    fn give_up(&mut self, heard: Option<oneshot::Sender<()>>) {
        let (client, owner) = (self.client.clone(), self.guard.owner());
        let asked = std::mem::take(&mut self.asked);
        if asked.is_empty() {
            return;
        }
        self.client.spawn(Box::pin(async move {
            let told = everywhere(&*client, asked).into_iter();
            let releases = told.map(|route| client.release(route, owner, Vec::new()));
            join_all(releases).await;
            drop(heard);
        }));
    }

    /// A shard that has released them by itself.
    pub(super) fn released(&mut self, route: Route) {
        self.asked.remove(&route);
    }
}

impl Drop for HeldLocks {
    fn drop(&mut self) {
        self.give_up(None);
    }
}

/// Shards that were asked, and those that were split off them since: row locks go along.
fn everywhere(client: &dyn ShardClient, asked: BTreeSet<Route>) -> BTreeSet<Route> {
    let mut all = BTreeMap::new();
    for route in &asked {
        all.insert(route.shard, *route);
        // Without a map nobody else is known; a leader that hears nothing finds out that the owner is gone.
        let owners = owners(client, route.slots).unwrap_or_default();
        all.extend(owners.into_iter().map(|route| (route.shard, route)));
    }
    all.into_values().collect()
}

/// A request to one shard that has no answer yet. Dropped then, it is cancelled.
struct Asking<'a> {
    client: &'a Arc<dyn ShardClient>,
    route: Route,
    owner: LockOwner,
    number: u64,
    /// All keys that were asked for.
    keys: Vec<Bytes>,
    /// Whether the leader has said how it ended.
    answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let keys = std::mem::take(&mut self.keys);
        let cancel = LockCancel { owner: self.owner, number: self.number, keys };
        let (client, route) = (self.client.clone(), self.route);
        self.client.spawn(Box::pin(async move { client.cancel_lock(route, cancel).await }));
    }
}

/// Locks keys of one shard.
async fn lock_at(
    client: &Arc<dyn ShardClient>,
    route: Route,
    request: LockRequest,
    progress: Option<&Progress>,
) -> Result<Vec<LockedKey>> {
    let (owner, number, keys) = (request.owner, request.number, request.keys.clone());
    let mut asking = Asking { client, route, owner, number, keys, answered: false };
    let outcome = lock_resolving(&**client, route, request, &asking.keys, progress).await;
    // After these nobody knows whether the request still waits somewhere.
    let unclear = matches!(
        outcome,
        Err(Error::Unavailable { .. } | Error::NotServing { .. } | Error::OutcomeUnknown { .. })
    );
    asking.answered = !unclear;
    outcome
}

/// Locks `all` keys of a request, resolving the unfinished commits it meets.
async fn lock_resolving(
    client: &dyn ShardClient,
    route: Route,
    mut request: LockRequest,
    all: &[Bytes],
    progress: Option<&Progress>,
) -> Result<Vec<LockedKey>> {
    let tell = |by| {
        if let Some(progress) = progress {
            progress.is_held_up(by);
        }
    };
    let mut skipped: BTreeSet<Bytes> = BTreeSet::new();
    let mut pause = limits::LOCK_RETRY_PAUSE_MIN;
    // Whether an earlier round of this request was held up.
    let mut waited_before = false;
    // Transactions that were not decided when they were met first: not worth as close a look again.
    let mut undecided: BTreeSet<Timestamp> = BTreeSet::new();
    let mut outcomes = loop {
        if request.keys.is_empty() {
            break Vec::new();
        }
        match client.lock(route, request.clone()).await {
            Ok(outcomes) => break outcomes,
            Err(Error::KeyLocked { key, start_ts, primary, .. }) => {
                let is_known = undecided.contains(&start_ts);
                let found = match request.patience {
                    Patience::Skip if is_known => Left::Lock,
                    Patience::Wait(_) if is_known => {
                        resolve::finish(client, &key, start_ts, &primary).await?
                    }
                    Patience::Wait(_) | Patience::NoWait | Patience::Skip => {
                        resolve::finish_at_once(client, &key, start_ts, &primary).await?
                    }
                };
                if found == Left::Nothing {
                    tell(None);
                    waited_before = true;
                    continue;
                }
                undecided.insert(start_ts);
                match &mut request.patience {
                    Patience::NoWait => return Err(Error::LockNotAvailable { key }),
                    Patience::Skip => {
                        request.keys.retain(|other| *other != key);
                        skipped.insert(key);
                    }
                    Patience::Wait(left) if left.is_zero() => {
                        // Its row lock was granted before the replicated one was met; whoever does not get the row keeps
                        // nobody else from it.
                        client.release(route, request.owner, vec![key.clone()]).await;
                        return Err(Error::LockWaitTimeout { key });
                    }
                    Patience::Wait(left) => {
                        waited_before = true;
                        tell(Some(HeldUp { key, by: start_ts }));
                        client.pause(pause).await;
                        *left = left.saturating_sub(pause);
                        pause = (pause * 2).min(limits::LOCK_RETRY_PAUSE_MAX);
                    }
                }
            }
            Err(Error::LockWaitTimeout { key }) => match &mut request.patience {
                // The shard lets nobody wait longer in one request.
                Patience::Wait(left) if *left > limits::ROW_LOCK_ROUND_MAX => {
                    *left = left.saturating_sub(limits::ROW_LOCK_ROUND_MAX);
                    waited_before = true;
                }
                _ => return Err(Error::LockWaitTimeout { key }),
            },
            Err(error) => return Err(error),
        }
    };
    if waited_before {
        outcomes.iter_mut().for_each(LockedKey::set_waited);
    }
    if skipped.is_empty() {
        return Ok(outcomes);
    }
    let mut outcomes = outcomes.into_iter();
    let outcome_of = |key: &Bytes| match skipped.contains(key) {
        true => LockedKey::Skipped,
        false => outcomes.next().unwrap_or(LockedKey::Skipped),
    };
    Ok(all.iter().map(outcome_of).collect())
}
