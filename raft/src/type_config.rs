//! openraft's types, chosen for us.
//!
//! ```text
//! openraft NodeId      = our ReplicaId (u64, unique in the cluster, never reused)
//! openraft Node        = the node a replica lives on
//! openraft LeaderId    = the standard one: at most one leader per term, so a term is a fence by itself
//! openraft D           = an opaque command
//! ```
//!
//! None of these types leaves this crate, and none is serialised: `codec` turns them into our own
//! protobuf.

use crate::runtime::Runtime;
use base::NodeId;
use bytes::Bytes;
use openraft::async_runtime::OneshotSender;
use openraft::type_config::TypeConfigExt;
use openraft::type_config::alias::{OneshotReceiverOf, OneshotSenderOf};
use openraft::vote::RaftLeaderId;
use std::fmt;

/// An opaque command: what `ReplicaGroup::propose` was given.
#[derive(Clone, PartialEq, Eq)]
pub struct Command(pub Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

/// Where a replica lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// The node. Its address is in the dialer's address book, never in a membership: addresses change.
    pub node: NodeId,
}

/// Tells a proposer how its command ended. The proposer may have left; then nobody is told.
pub struct Answer<T: Send + 'static> {
    /// The waiting proposer.
    sender: OneshotSenderOf<TypeConfig, T>,
}

impl<T: Send + 'static> Answer<T> {
    /// An answer and the end at which to wait for it.
    pub fn pair() -> (Answer<T>, OneshotReceiverOf<TypeConfig, T>) {
        let (sender, receiver) = TypeConfig::oneshot();
        (Answer { sender }, receiver)
    }
}

impl<T: Send + 'static> openraft::raft::responder::Responder<TypeConfig, T> for Answer<T> {
    fn on_complete(self, result: T) {
        // A proposer that timed out has reported "unknown outcome" already.
        let _ = self.sender.send(result);
    }
}

/// The types every group of this node runs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

impl openraft::RaftTypeConfig for TypeConfig {
    type D = Command;
    type R = ();
    type NodeId = u64;
    type Node = Home;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Command, u64, Home>;
    type Entry = openraft::Entry<Term, Self::Payload>;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Answer<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// Position of an entry: term and index.
pub type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
/// What a replica has promised.
pub type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
/// One entry of a log.
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
/// Payload of an entry.
pub type Payload = openraft::type_config::alias::PayloadOf<TypeConfig>;
/// Members of a group.
pub type Membership = openraft::Membership<u64, Home>;
/// Members of a group and the entry that made it so.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
/// What identifies the leader of a committed term: the term.
pub type Term = <openraft::impls::leader_id_std::LeaderId<u64, u64> as RaftLeaderId>::Committed;

/// The log id of an entry.
pub fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(Term::new(term), index)
}

/// The log id of a group's first entry, which its first members got without an election.
pub fn first_log_id() -> LogId {
    log_id(0, 0)
}

/// The term of a log id.
pub fn term_of(log_id: &LogId) -> u64 {
    *log_id.leader_id
}
