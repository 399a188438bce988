//! Calls over a third node, for when two nodes cannot reach each other but others reach both.
//!
//! ```text
//!  gateway ──✕── leader            Relay{to: leader, call}
//!     └──────> third node ─────────────> leader
//! ```
//!
//! Invariants:
//! 1. The third node uses its own link only: a call never wanders.
//! 2. Only a call that surely was not executed is tried over another node.

use super::{CallError, Peers};
use base::NodeId;
use base::limits::{COMPARE_TIME_MAX, RELAY_MARGIN, RELAYS_TRIED_MAX};
use proto::node as pb;
use proto::node::relayed::Outcome;
use std::time::Duration;

/// Longest wait for a call of another node: that of the longest call there is.
const RELAY_WAIT_MAX: Duration = COMPARE_TIME_MAX;

impl Peers {
    /// Sends a call to `node` over this node's own link, or over a third node while that link is down;
    /// waits at most `wait_max` and a little.
    pub async fn call_any_way(
        &self,
        node: NodeId,
        request: pb::call::Request,
        wait_max: Duration,
    ) -> Result<pb::answer::Response, CallError> {
        match self.way(node)?.state.why_down() {
            None => self.call(node, request, wait_max).await,
            Some(why) => self.call_around(node, request, wait_max, why).await,
        }
    }

    /// Tries third nodes in turn; fails with `why` when none of them could pass the call on.
    async fn call_around(
        &self,
        node: NodeId,
        request: pb::call::Request,
        wait_max: Duration,
        why: String,
    ) -> Result<pb::answer::Response, CallError> {
        let call = pb::Call { seq: 0, request: Some(request) };
        let wait_ms = wait_max.as_millis() as u64;
        for third in self.reachable_but(node) {
            let relay = pb::Relay { to: node.0, wait_ms, call: Some(Box::new(call.clone())) };
            let relay = pb::call::Request::Relay(Box::new(relay));
            match self.call(third, relay, wait_max + RELAY_MARGIN).await {
                Ok(pb::answer::Response::Relayed(relayed)) => match relayed.outcome {
                    Some(Outcome::Answer(answer)) => {
                        let lost = || CallError::Lost(format!("node {third} passed nothing back"));
                        return answer.response.ok_or_else(lost);
                    }
                    Some(Outcome::Lost(why)) => return Err(CallError::Lost(why)),
                    Some(Outcome::NotSent(_)) | None => {}
                },
                // A node that is starting, or too old to pass calls on, has not executed it.
                Ok(_) | Err(CallError::NotSent(_)) => {}
                Err(lost) => return Err(lost),
            }
        }
        Err(CallError::NotSent(why))
    }

    /// Other nodes whose links are not known to be down.
    fn reachable_but(&self, node: NodeId) -> Vec<NodeId> {
        let others = self.others().into_iter().filter(|other| *other != node);
        let stands =
            |other: &NodeId| self.way(*other).is_ok_and(|way| way.state.why_down().is_none());
        others.filter(stands).take(RELAYS_TRIED_MAX).collect()
    }

    /// Passes on a call of another node, and its answer back.
    pub async fn pass_on(&self, relay: pb::Relay) -> pb::Relayed {
        let node = NodeId(relay.to);
        let outcome = match relay.call.and_then(|call| call.request) {
            None | Some(pb::call::Request::Relay(_)) => {
                Outcome::NotSent("calls are passed on once, and not without content".into())
            }
            Some(request) => {
                let wait_max = Duration::from_millis(relay.wait_ms).min(RELAY_WAIT_MAX);
                match self.call(node, request, wait_max).await {
                    Ok(response) => {
                        Outcome::Answer(Box::new(pb::Answer { seq: 0, response: Some(response) }))
                    }
                    Err(CallError::NotSent(why)) => Outcome::NotSent(why),
                    Err(CallError::Lost(why)) => Outcome::Lost(why),
                }
            }
        };
        pb::Relayed { outcome: Some(outcome) }
    }
}
