//! Who speaks on a stream: the first message in both directions.
//!
//! ```text
//! node 2 ── hello: cluster, I am 2, I want 3, protocol 1 ──> node 3
//!        <─ hello: cluster, I am 3, I want 2, protocol 1 ──
//! ```
//!
//! A wrong entry in an address book, a node of another cluster on a port that once was ours, a newer
//! program: each ends here with a sentence, before any message reaches a replica.

use super::refusal::Reason;
use base::{ClusterId, NodeId};
use proto::raft as wire;

/// Version of the protocol between replicas. Counts up with every change that an older node would
/// misunderstand.
pub const PROTOCOL_VERSION: u32 = 1;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its cluster.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
}

/// Why a stream is refused.
pub type Refusal = (Reason, String);

impl Identity {
    /// What this node says first to another.
    pub fn hello(&self, to: NodeId) -> wire::Hello {
        wire::Hello {
            cluster: self.cluster.get(),
            from_node: self.node.0,
            to_node: to.0,
            protocol: PROTOCOL_VERSION,
        }
    }

    /// Checks what another node said first. Returns who it is.
    ///
    /// # Errors
    /// Why nothing more is said, for people on the other side.
    pub fn check(&self, hello: Option<&wire::Hello>) -> Result<NodeId, Refusal> {
        let Some(hello) = hello else {
            let what = "the stream does not begin with who speaks".to_string();
            return Err((Reason::NoHello, what));
        };
        let (from, node) = (hello.from_node, self.node.0);
        if hello.cluster != self.cluster.get() {
            let what = format!(
                "node {node} belongs to another cluster than node {from}; correct the address"
            );
            return Err((Reason::WrongCluster, what));
        }
        if hello.to_node != node {
            let what = format!(
                "this is node {node}, but node {from} wants node {}; correct its address",
                hello.to_node
            );
            return Err((Reason::WrongNode, what));
        }
        if hello.protocol != PROTOCOL_VERSION {
            let what = format!(
                "node {from} speaks version {} of the Raft protocol, node {node} speaks version \
                 {PROTOCOL_VERSION}; run the same program on both",
                hello.protocol
            );
            return Err((Reason::WrongVersion, what));
        }
        if from == 0 {
            let what = format!("a node that calls itself {from} speaks to node {node}");
            return Err((Reason::WrongNode, what));
        }
        Ok(NodeId(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_speaker_is_let_in() {
        let here = Identity { cluster: ClusterId::new(7), node: NodeId(3) };
        let there = Identity { cluster: ClusterId::new(7), node: NodeId(2) };
        let good = there.hello(NodeId(3));
        assert_eq!(here.check(Some(&good)), Ok(NodeId(2)));
        let cases = [
            (None, Reason::NoHello, "does not begin"),
            (Some(wire::Hello { cluster: 8, ..good }), Reason::WrongCluster, "another cluster"),
            (Some(there.hello(NodeId(4))), Reason::WrongNode, "wants node 4"),
            (Some(wire::Hello { protocol: 9, ..good }), Reason::WrongVersion, "speaks version 9"),
            (Some(wire::Hello { from_node: 0, ..good }), Reason::WrongNode, "calls itself 0"),
        ];
        for (hello, reason, words) in cases {
            let (why, what) = here.check(hello.as_ref()).unwrap_err();
            assert_eq!(why, reason);
            assert!(what.contains(words), "{what}");
        }
    }
}
