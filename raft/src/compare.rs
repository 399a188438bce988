//! Whether the replicas of a shard hold the same, at exactly the same entry of the log.
//!
//! ```text
//! leader ── compare (a command in the log) ──> every replica: view inside apply, digest afterwards
//!        <─ digests, asked for until they are there ─────────┘
//! judge: equal │ different: the minority stops, its folder stays │ unknown: someone is silent
//! ```
//!
//! Invariants:
//! 1. A silent replica is unknown, never equal.
//! 2. A replica is in the minority only when more than half of *all* members agree on another digest.
//! 3. A replica that was found to differ stops and says so in its engine, so that a restart does not bring it
//!    back: it is replaced under a new replica id. Nothing with that mark is ever sent to another replica.
//!
//! Not here: when comparisons run, and replacing the replica (`server`).

pub mod digest;

use crate::command::OwnCommand;
use crate::replica::Replica;
use crate::replica_group::{ProposeError, ReplicaGroup};
use crate::transport::network::item;
use base::{NodeId, ReplicaId, ShardId, limits};
use bytes::Bytes;
use digest::{Digest, Progress};
use engine::{Engine, WriteBatch};
use futures::future::join_all;
use proto::raft as wire;
use proto::raft::item::Body;
use std::collections::BTreeMap;
use std::fmt;

/// The engine key under which a replica keeps what was found wrong with it.
pub const DIVERGED_KEY: &[u8] = b"a/diverged";

/// What one replica holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Its digest.
    Holds(Digest),
    /// It did not answer, or could not say; why.
    Unknown(String),
}

/// One replica in a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The replica.
    pub replica: ReplicaId,
    /// Its node.
    pub node: NodeId,
    /// What it holds.
    pub finding: Finding,
}

/// What a comparison says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All replicas hold the same.
    Equal,
    /// These differ from the majority. They are told to stop.
    Different(Vec<ReplicaId>),
    /// Replicas differ, and no majority says which is right. Nobody is stopped.
    Undecided,
    /// Those who answered hold the same, but these did not answer.
    Unknown(Vec<ReplicaId>),
}

/// A comparison of a shard's replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Tells this comparison from any other.
    pub id: u64,
    /// The shard.
    pub shard: ShardId,
    /// The entry at which all were looked at.
    pub index: u64,
    /// All members.
    pub replicas: Vec<Compared>,
    /// What follows.
    pub verdict: Verdict,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |replicas: &[ReplicaId]| {
            let names: Vec<String> = replicas.iter().map(|id| id.0.to_string()).collect();
            names.join(", ")
        };
        match self {
            Verdict::Equal => write!(f, "equal"),
            Verdict::Different(minority) => {
                write!(f, "different: replica {} told to stop", list(minority))
            }
            Verdict::Undecided => write!(f, "different: no majority, nobody stopped"),
            Verdict::Unknown(silent) => write!(f, "unknown: replica {} silent", list(silent)),
        }
    }
}

/// Judges what the members of a group said.
pub fn judge(members: &[Compared]) -> Verdict {
    let mut votes: BTreeMap<Digest, usize> = BTreeMap::new();
    for member in members {
        if let Finding::Holds(digest) = member.finding {
            *votes.entry(digest).or_default() += 1;
        }
    }
    let such = |wanted: &dyn Fn(&Finding) -> bool| -> Vec<ReplicaId> {
        let found = members.iter().filter(|member| wanted(&member.finding));
        found.map(|member| member.replica).collect()
    };
    if votes.len() > 1 {
        let majority = votes.into_iter().find(|(_, count)| *count * 2 > members.len());
        let Some((majority, _)) = majority else { return Verdict::Undecided };
        return Verdict::Different(such(
            &|finding| matches!(finding, Finding::Holds(digest) if *digest != majority),
        ));
    }
    match such(&|finding| matches!(finding, Finding::Unknown(_))) {
        silent if silent.is_empty() => Verdict::Equal,
        silent => Verdict::Unknown(silent),
    }
}

/// The digest that more than half of all members hold.
fn majority_of(members: &[Compared]) -> Option<Digest> {
    let digests = members.iter().filter_map(|member| match member.finding {
        Finding::Holds(digest) => Some(digest),
        Finding::Unknown(_) => None,
    });
    let agree = |digest: &Digest| {
        let same = members.iter().filter(|other| other.finding == Finding::Holds(*digest));
        same.count() * 2 > members.len()
    };
    digests.clone().find(agree)
}

impl Replica {
    /// As `ReplicaGroup::compare`.
    pub(crate) async fn compare_members(&self) -> Result<Comparison, ProposeError> {
        let term = self.confirm_term().await.ok_or(ProposeError::NotLeader)?;
        let Ok(_one) = self.comparing.try_lock() else {
            let what = "another comparison of this shard runs; try again later";
            return Err(ProposeError::Stopped(what.to_string()));
        };
        let id = self.context.transfers.next_id();
        let index = self.replicate(term, OwnCommand::Compare { id }.encode()).await?;
        let members = self.with_metrics(|metrics| {
            let members = metrics.membership_config.membership().nodes();
            members.map(|(id, home)| (ReplicaId(*id), home.node)).collect::<Vec<_>>()
        });
        let replicas = join_all(members.into_iter().map(|(replica, node)| async move {
            let finding = self.finding_of(replica, node, id, index).await;
            Compared { replica, node, finding }
        }))
        .await;
        let comparison =
            Comparison { id, shard: self.key.0, index, verdict: judge(&replicas), replicas };
        if let (Verdict::Different(minority), Some(majority)) =
            (&comparison.verdict, majority_of(&comparison.replicas))
        {
            self.stop_minority(&comparison, minority, majority, id).await;
        }
        Ok(comparison)
    }

    /// Asks a replica for its digest until it has one, falls silent, or takes too long.
    async fn finding_of(&self, replica: ReplicaId, node: NodeId, id: u64, index: u64) -> Finding {
        let clock = &self.context.clock;
        let begin = clock.monotonic();
        let mut heard = begin;
        loop {
            let why = match self.ask_digest(replica, node, id).await {
                Ok(Some((at, _))) if at != index => {
                    return Finding::Unknown(format!("it looked at entry {at}, not {index}"));
                }
                Ok(Some((_, Progress::Done(digest)))) => return Finding::Holds(digest),
                Ok(Some((_, Progress::Failed(why)))) => return Finding::Unknown(why),
                Ok(Some((_, Progress::Running))) => {
                    heard = clock.monotonic();
                    "it is still reading".to_string()
                }
                Ok(None) => "it has not come to the entry yet".to_string(),
                Err(why) => why,
            };
            let now = clock.monotonic();
            let silent = now.saturating_sub(heard) > limits::COMPARE_SILENCE_MAX;
            if silent || now.saturating_sub(begin) > limits::COMPARE_TIME_MAX {
                return Finding::Unknown(why);
            }
            tokio::time::sleep(limits::COMPARE_ASK_PAUSE).await;
        }
    }

    /// What a replica says of a comparison; `None` when it has not come to it.
    async fn ask_digest(
        &self,
        replica: ReplicaId,
        node: NodeId,
        id: u64,
    ) -> Result<Option<(u64, Progress)>, String> {
        if replica == self.key.1 {
            return Ok(self.context.digests.get(id));
        }
        let request = Body::Digest(wire::DigestRequest { comparison: id });
        match self.ask_peer(replica, node, request).await? {
            Body::DigestReply(reply) => Ok(progress_from_wire(&reply)),
            _ => Err("it answers something else".to_string()),
        }
    }

    /// Asks another replica on the liveness lane.
    async fn ask_peer(&self, replica: ReplicaId, node: NodeId, body: Body) -> Result<Body, String> {
        let lane = self.peers.liveness(node, self.key.0);
        let reply = lane.call(item(self.key, replica.0, body));
        let waited: Result<Body, _> = async { reply?.wait(limits::COMPARE_REPLY_WAIT).await }.await;
        waited.map_err(|error| error.to_string())
    }

    /// Answers what is known of a comparison.
    pub(crate) fn digest_reply(&self, request: &wire::DigestRequest) -> Body {
        Body::DigestReply(progress_to_wire(self.context.digests.get(request.comparison)))
    }

    /// Tells the minority. Whoever is not reached is told by the next comparison.
    async fn stop_minority(
        &self,
        comparison: &Comparison,
        minority: &[ReplicaId],
        majority: Digest,
        id: u64,
    ) {
        let (high, low) = halves(majority.hash);
        let diverged =
            wire::Diverged { comparison: id, hash_high: high, hash_low: low, keys: majority.keys };
        for member in &comparison.replicas {
            if !minority.contains(&member.replica) || member.replica == self.key.1 {
                continue;
            }
            let told = self.ask_peer(member.replica, member.node, Body::Diverged(diverged)).await;
            if let Err(why) = told {
                let (shard, replica) = (self.key.0, member.replica);
                tracing::warn!(%shard, %replica, %why, "a replica that differs could not be told");
            }
        }
        // This one last: it ends here.
        if minority.contains(&self.key.1)
            && let Err(why) = self.diverged(&diverged)
        {
            tracing::error!(shard = %self.key.0, %why, "a replica that differs goes on");
        }
    }

    /// Stops this replica, which differs from the majority, with the evidence in its folder.
    ///
    /// # Errors
    /// A sentence, when its own digest does not say that it differs.
    pub(crate) fn diverged(&self, found: &wire::Diverged) -> Result<(), String> {
        let majority = Digest { hash: whole(found.hash_high, found.hash_low), keys: found.keys };
        let (index, own) = match self.context.digests.get(found.comparison) {
            Some((index, Progress::Done(own))) if own != majority => (index, own),
            Some(_) => return Err("its digest does not differ".to_string()),
            None => return Err("it does not know of that comparison".to_string()),
        };
        let reason = format!(
            "its content at entry {index} differs from the majority's: digest {:032x} of {} keys, \
             theirs {:032x} of {}; its folder {} is kept, replace it under a new replica id",
            own.hash,
            own.keys,
            majority.hash,
            majority.keys,
            self.context.folder.display()
        );
        let mut mark = WriteBatch::new();
        mark.put(Bytes::from_static(DIVERGED_KEY), reason.clone());
        // Stopped before it is marked: a checkpoint with the mark must not reach another replica. A crash in
        // between leaves what the next comparison finds again.
        self.context.health.stop(reason);
        let marked = self.slot().write(mark).and_then(|()| self.slot().flush());
        marked.map_err(|error| format!("its folder could not be marked: {error}"))
    }
}

/// What a start finds of an earlier comparison: why the replica must not run.
pub fn diverged_before(engine: &dyn Engine) -> engine::Result<Option<String>> {
    let mark = engine.get(DIVERGED_KEY)?;
    Ok(mark.map(|mark| String::from_utf8_lossy(&mark).into_owned()))
}

fn halves(hash: u128) -> (u64, u64) {
    ((hash >> 64) as u64, hash as u64)
}

fn whole(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

fn progress_to_wire(known: Option<(u64, Progress)>) -> wire::DigestReply {
    use wire::digest_reply::State;
    let Some((index, progress)) = known else {
        return wire::DigestReply { state: State::Unknown.into(), ..Default::default() };
    };
    let reply = wire::DigestReply { index, ..Default::default() };
    match progress {
        Progress::Running => wire::DigestReply { state: State::Running.into(), ..reply },
        Progress::Failed(why) => wire::DigestReply { state: State::Failed.into(), why, ..reply },
        Progress::Done(digest) => {
            let (hash_high, hash_low) = halves(digest.hash);
            let (state, keys) = (State::Done.into(), digest.keys);
            wire::DigestReply { state, hash_high, hash_low, keys, ..reply }
        }
    }
}

fn progress_from_wire(reply: &wire::DigestReply) -> Option<(u64, Progress)> {
    use wire::digest_reply::State;
    let progress = match reply.state() {
        State::Unknown => return None,
        State::Running => Progress::Running,
        State::Failed => Progress::Failed(reply.why.clone()),
        State::Done => {
            let hash = whole(reply.hash_high, reply.hash_low);
            Progress::Done(Digest { hash, keys: reply.keys })
        }
    };
    Some((reply.index, progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(hashes: &[Option<u128>]) -> Vec<Compared> {
        let finding = |hash: &Option<u128>| match hash {
            Some(hash) => Finding::Holds(Digest { hash: *hash, keys: 1 }),
            None => Finding::Unknown("silent".to_string()),
        };
        let member = |(position, hash)| Compared {
            replica: ReplicaId(position as u64 + 1),
            node: NodeId(1),
            finding: finding(hash),
        };
        hashes.iter().enumerate().map(member).collect()
    }

    #[test]
    fn verdicts() {
        let ids = |ids: &[u64]| ids.iter().copied().map(ReplicaId).collect::<Vec<_>>();
        for (hashes, wanted) in [
            (&[Some(1), Some(1), Some(1)][..], Verdict::Equal),
            (&[Some(1)], Verdict::Equal),
            (&[Some(1), Some(1), None], Verdict::Unknown(ids(&[3]))),
            (&[Some(1), None, None], Verdict::Unknown(ids(&[2, 3]))),
            (&[Some(1), Some(2), Some(1)], Verdict::Different(ids(&[2]))),
            (&[Some(1), Some(2), None], Verdict::Undecided),
            (&[Some(1), Some(2)], Verdict::Undecided),
            (&[Some(1), Some(2), Some(3)], Verdict::Undecided),
            (&[Some(1), Some(1), Some(2), None], Verdict::Undecided),
            (&[Some(1), Some(1), Some(1), Some(2), None], Verdict::Different(ids(&[4]))),
        ] {
            let members = members(hashes);
            let verdict = judge(&members);
            assert_eq!(verdict, wanted, "{hashes:?}");
            let decided = matches!(verdict, Verdict::Different(_));
            assert!(!decided || majority_of(&members).is_some());
        }
    }

    #[test]
    fn progress_survives_the_wire() {
        let digest = Digest { hash: u128::MAX - 5, keys: 7 };
        for progress in
            [Progress::Running, Progress::Done(digest), Progress::Failed("it rained".to_string())]
        {
            let known = Some((9, progress));
            assert_eq!(progress_from_wire(&progress_to_wire(known.clone())), known);
        }
        assert_eq!(progress_from_wire(&progress_to_wire(None)), None);
    }
}
