//! Between openraft's types and our protobuf, both ways.
//!
//! Decoding checks what the types demand: bytes from disk or from another node may be anything.

use crate::type_config::{
    Command, Entry, Home, LogId, Membership, Payload, StoredMembership, TypeConfig, Vote, log_id,
    term_of,
};
use base::NodeId;
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use prost::Message;
use proto::raft as wire;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes that do not say what they should. Display names what was being decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

fn missing(what: &str) -> DecodeError {
    DecodeError(format!("{what} is missing"))
}

/// Log id to wire.
pub fn log_id_to_wire(log_id: &LogId) -> wire::LogId {
    wire::LogId { term: term_of(log_id), index: log_id.index }
}

/// Log id from wire.
pub fn log_id_from_wire(message: &wire::LogId) -> LogId {
    log_id(message.term, message.index)
}

/// Vote to wire.
pub fn vote_to_wire(vote: &Vote) -> wire::Vote {
    wire::Vote {
        term: vote.leader_id.term,
        voted_for: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

/// Vote from wire.
pub fn vote_from_wire(message: &wire::Vote) -> Vote {
    let mut vote = Vote::new(message.term, message.voted_for);
    vote.committed = message.committed;
    vote
}

/// Membership to wire.
pub fn membership_to_wire(membership: &Membership) -> wire::Membership {
    wire::Membership {
        voters: membership
            .get_joint_config()
            .iter()
            .map(|set| wire::VoterSet { replicas: set.iter().copied().collect() })
            .collect(),
        members: membership
            .nodes()
            .map(|(replica, home)| wire::Member { replica: *replica, node: home.node.0 })
            .collect(),
    }
}

/// Membership from wire.
pub fn membership_from_wire(message: &wire::Membership) -> Result<Membership, DecodeError> {
    let voters: Vec<BTreeSet<u64>> =
        message.voters.iter().map(|set| set.replicas.iter().copied().collect()).collect();
    let members: BTreeMap<u64, Home> = message
        .members
        .iter()
        .map(|member| (member.replica, Home { node: NodeId(member.node) }))
        .collect();
    if voters.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(voters, members).map_err(|error| DecodeError(format!("membership: {error}")))
}

/// Stored membership to wire.
pub fn stored_membership_to_wire(membership: &StoredMembership) -> wire::StoredMembership {
    wire::StoredMembership {
        log_id: membership.log_id().as_ref().map(log_id_to_wire),
        membership: Some(membership_to_wire(membership.membership())),
    }
}

/// Stored membership from wire.
pub fn stored_membership_from_wire(
    message: Option<&wire::StoredMembership>,
) -> Result<StoredMembership, DecodeError> {
    let Some(message) = message else { return Ok(StoredMembership::default()) };
    let membership = message.membership.as_ref().ok_or_else(|| missing("membership"))?;
    Ok(StoredMembership::new(
        message.log_id.as_ref().map(log_id_from_wire),
        membership_from_wire(membership)?,
    ))
}

/// Entry to wire. The command's bytes are shared, not copied.
pub fn entry_to_wire(entry: &Entry) -> wire::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(command) => Some(wire::entry::Payload::Command(command.0.clone())),
        EntryPayload::Membership(membership) => {
            Some(wire::entry::Payload::Membership(membership_to_wire(membership)))
        }
    };
    wire::Entry { term: term_of(&entry.log_id), index: entry.log_id.index, payload }
}

/// Entry from wire.
pub fn entry_from_wire(message: wire::Entry) -> Result<Entry, DecodeError> {
    let payload: Payload = match message.payload {
        None => EntryPayload::Blank,
        Some(wire::entry::Payload::Command(command)) => EntryPayload::Normal(Command(command)),
        Some(wire::entry::Payload::Membership(membership)) => {
            EntryPayload::Membership(membership_from_wire(&membership)?)
        }
    };
    Ok(Entry { log_id: log_id(message.term, message.index), payload })
}

/// Bytes an entry takes in memory and on disk, roughly.
pub fn entry_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Blank => 16,
        EntryPayload::Normal(command) => 16 + command.0.len(),
        EntryPayload::Membership(membership) => 16 + 24 * membership.nodes().count(),
    }
}

/// Entries as a log record holds them, without what stood before them.
pub fn encode_entries(entries: &[Entry]) -> Vec<u8> {
    encode_entry_batch(None, entries)
}

/// Payload of a log record of type Entries. `prev` is what stood before the first of them.
pub fn encode_entry_batch(prev: Option<&LogId>, entries: &[Entry]) -> Vec<u8> {
    wire::EntryBatch {
        entries: entries.iter().map(entry_to_wire).collect(),
        prev: prev.map(log_id_to_wire),
    }
    .encode_to_vec()
}

/// Entries of a log record.
pub fn decode_entries(payload: Bytes) -> Result<Vec<Entry>, DecodeError> {
    decode_entry_batch(payload).map(|(_, entries)| entries)
}

/// Entries of a log record, and what stood before them.
pub fn decode_entry_batch(payload: Bytes) -> Result<(Option<LogId>, Vec<Entry>), DecodeError> {
    let batch = wire::EntryBatch::decode(payload)
        .map_err(|error| DecodeError(format!("entries: {error}")))?;
    let entries = batch.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?;
    Ok((batch.prev.as_ref().map(log_id_from_wire), entries))
}

/// Value of the applied key.
pub fn encode_applied(applied: Option<&LogId>, membership: &StoredMembership) -> Vec<u8> {
    wire::Applied {
        log_id: applied.map(log_id_to_wire),
        membership: Some(stored_membership_to_wire(membership)),
    }
    .encode_to_vec()
}

/// Value of the applied key, decoded.
pub fn decode_applied(value: Bytes) -> Result<(Option<LogId>, StoredMembership), DecodeError> {
    let message = wire::Applied::decode(value)
        .map_err(|error| DecodeError(format!("applied record: {error}")))?;
    Ok((
        message.log_id.as_ref().map(log_id_from_wire),
        stored_membership_from_wire(message.membership.as_ref())?,
    ))
}

/// AppendEntries to wire.
pub fn append_to_wire(request: &AppendEntriesRequest<TypeConfig>) -> wire::AppendRequest {
    wire::AppendRequest {
        vote: Some(vote_to_wire(&request.vote)),
        prev: request.prev_log_id.as_ref().map(log_id_to_wire),
        entries: request.entries.iter().map(entry_to_wire).collect(),
        committed: request.leader_commit.as_ref().map(log_id_to_wire),
    }
}

/// Whether entries follow `prev` and each other: a log that took others would have a hole.
fn check_order(prev: Option<&wire::LogId>, entries: &[wire::Entry]) -> Result<(), DecodeError> {
    let (mut term, mut next) = prev.map_or((0, 0), |prev| (prev.term, prev.index.wrapping_add(1)));
    for entry in entries {
        if entry.index != next || entry.term < term {
            return Err(DecodeError(format!(
                "an append with entry {}-{} where index {next} of term {term} or later belongs",
                entry.term, entry.index
            )));
        }
        (term, next) = (entry.term, next.wrapping_add(1));
    }
    Ok(())
}

/// AppendEntries from wire.
pub fn append_from_wire(
    message: wire::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, DecodeError> {
    check_order(message.prev.as_ref(), &message.entries)?;
    Ok(AppendEntriesRequest {
        vote: vote_from_wire(message.vote.as_ref().ok_or_else(|| missing("vote"))?),
        prev_log_id: message.prev.as_ref().map(log_id_from_wire),
        entries: message
            .entries
            .into_iter()
            .map(entry_from_wire)
            .collect::<Result<Vec<_>, DecodeError>>()?,
        leader_commit: message.committed.as_ref().map(log_id_from_wire),
    })
}

/// Answer to AppendEntries to wire.
pub fn append_reply_to_wire(reply: &AppendEntriesResponse<TypeConfig>) -> wire::AppendReply {
    use wire::append_reply::Outcome;
    let (outcome, partial, higher_vote) = match reply {
        AppendEntriesResponse::Success => (Outcome::Success, None, None),
        AppendEntriesResponse::PartialSuccess(upto) => {
            (Outcome::Partial, upto.as_ref().map(log_id_to_wire), None)
        }
        AppendEntriesResponse::Conflict => (Outcome::Conflict, None, None),
        AppendEntriesResponse::HigherVote(vote) => {
            (Outcome::HigherVote, None, Some(vote_to_wire(vote)))
        }
    };
    wire::AppendReply { outcome: outcome.into(), partial, higher_vote }
}

/// Answer to AppendEntries from wire.
pub fn append_reply_from_wire(
    message: &wire::AppendReply,
) -> Result<AppendEntriesResponse<TypeConfig>, DecodeError> {
    use wire::append_reply::Outcome;
    match message.outcome() {
        Outcome::Unknown => Err(DecodeError("append reply without an outcome".to_string())),
        Outcome::Success => Ok(AppendEntriesResponse::Success),
        Outcome::Partial => Ok(AppendEntriesResponse::PartialSuccess(
            message.partial.as_ref().map(log_id_from_wire),
        )),
        Outcome::Conflict => Ok(AppendEntriesResponse::Conflict),
        Outcome::HigherVote => {
            let vote = message.higher_vote.as_ref().ok_or_else(|| missing("higher vote"))?;
            Ok(AppendEntriesResponse::HigherVote(vote_from_wire(vote)))
        }
    }
}

/// Vote or PreVote to wire.
pub fn vote_request_to_wire(request: &VoteRequest<TypeConfig>) -> wire::VoteRequest {
    wire::VoteRequest {
        vote: Some(vote_to_wire(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(log_id_to_wire),
        leadership_transfer: request.leadership_transfer,
    }
}

/// Vote or PreVote from wire.
pub fn vote_request_from_wire(
    message: &wire::VoteRequest,
) -> Result<VoteRequest<TypeConfig>, DecodeError> {
    let vote = vote_from_wire(message.vote.as_ref().ok_or_else(|| missing("vote"))?);
    let mut request = VoteRequest::new(vote, message.last_log_id.as_ref().map(log_id_from_wire));
    request.leadership_transfer = message.leadership_transfer;
    Ok(request)
}

/// Answer to Vote or PreVote to wire.
pub fn vote_reply_to_wire(reply: &VoteResponse<TypeConfig>) -> wire::VoteReply {
    wire::VoteReply {
        vote: Some(vote_to_wire(&reply.vote)),
        granted: reply.vote_granted,
        last_log_id: reply.last_log_id.as_ref().map(log_id_to_wire),
    }
}

/// Answer to Vote or PreVote from wire.
pub fn vote_reply_from_wire(
    message: &wire::VoteReply,
) -> Result<VoteResponse<TypeConfig>, DecodeError> {
    let vote = vote_from_wire(message.vote.as_ref().ok_or_else(|| missing("vote"))?);
    Ok(VoteResponse::new(vote, message.last_log_id.as_ref().map(log_id_from_wire), message.granted))
}

/// TransferLeader to wire.
pub fn transfer_to_wire(request: &TransferLeaderRequest<TypeConfig>) -> wire::TransferRequest {
    wire::TransferRequest {
        from_leader: Some(vote_to_wire(request.from_leader())),
        to: *request.to_node_id(),
        last_log_id: request.last_log_id().map(log_id_to_wire),
    }
}

/// TransferLeader from wire.
pub fn transfer_from_wire(
    message: &wire::TransferRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, DecodeError> {
    let vote = vote_from_wire(message.from_leader.as_ref().ok_or_else(|| missing("vote"))?);
    Ok(TransferLeaderRequest::new(
        vote,
        message.to,
        message.last_log_id.as_ref().map(log_id_from_wire),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Membership {
        let homes = [(1, Home { node: NodeId(10) }), (2, Home { node: NodeId(20) })];
        Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2])], BTreeMap::from(homes))
            .unwrap()
    }

    #[test]
    fn entries_survive_a_round_trip() {
        let entries = vec![
            Entry { log_id: log_id(0, 0), payload: EntryPayload::Membership(members()) },
            Entry { log_id: log_id(1, 1), payload: EntryPayload::Blank },
            Entry {
                log_id: log_id(1, 2),
                payload: EntryPayload::Normal(Command(Bytes::from_static(b"abc"))),
            },
        ];
        for prev in [None, Some(log_id(0, 0)), Some(log_id(4, 2))] {
            let payload = encode_entry_batch(prev.as_ref(), &entries);
            assert_eq!(decode_entry_batch(payload.into()).unwrap(), (prev, entries.clone()));
        }
        assert_eq!(decode_entries(encode_entries(&entries).into()).unwrap(), entries);
    }

    #[test]
    fn applied_record_survives_a_round_trip() {
        let membership = StoredMembership::new(Some(log_id(0, 0)), members());
        let value = encode_applied(Some(&log_id(3, 9)), &membership);
        assert_eq!(decode_applied(value.into()).unwrap(), (Some(log_id(3, 9)), membership));
    }

    #[test]
    fn an_append_without_a_vote_is_refused() {
        let error = append_from_wire(wire::AppendRequest::default()).unwrap_err();
        assert_eq!(error.to_string(), "vote is missing");
    }

    #[test]
    fn an_append_with_a_hole_or_an_older_term_is_refused() {
        let entry = |term, index| wire::Entry { term, index, payload: None };
        let append = |prev: Option<(u64, u64)>, entries: Vec<wire::Entry>| wire::AppendRequest {
            vote: Some(wire::Vote { term: 3, voted_for: 1, committed: true }),
            prev: prev.map(|(term, index)| wire::LogId { term, index }),
            entries,
            committed: None,
        };
        assert!(append_from_wire(append(Some((2, 4)), vec![entry(2, 5), entry(3, 6)])).is_ok());
        assert!(append_from_wire(append(None, vec![entry(0, 0)])).is_ok());
        for wrong in [
            append(Some((2, 4)), vec![entry(2, 6)]),
            append(Some((2, 4)), vec![entry(2, 5), entry(2, 5)]),
            append(Some((2, 4)), vec![entry(1, 5)]),
            append(None, vec![entry(1, 1)]),
            append(Some((2, u64::MAX)), vec![entry(2, 5)]),
        ] {
            let error = append_from_wire(wrong).unwrap_err();
            assert!(error.to_string().contains("an append with entry"), "{error}");
        }
    }

    #[test]
    fn a_voter_that_is_no_member_is_refused() {
        let message = wire::Membership {
            voters: vec![wire::VoterSet { replicas: vec![7] }],
            members: vec![wire::Member { replica: 1, node: 1 }],
        };
        assert!(membership_from_wire(&message).is_err());
    }
}
