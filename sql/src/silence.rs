//! Since when other nodes do not say whether owners of locks live.
//!
//! ```text
//! asked      x     x   x      x      x        (x: no answer)
//! silent for 0 s   1   1.8    2.6    3.4 s    one answer, or nobody asks for SILENCE_GAP_MAX: 0 again
//! ```
//!
//! All that ask on a node share what they find out: who asks next need not wait as long again. A gap counts as nothing known:
//! the node may have answered meanwhile, or this one was frozen itself.

use base::NodeId;
use base::limits::{LOCK_OWNER_SILENCE_MAX, SILENCE_GAP_MAX};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// Other nodes that did not answer when they were asked last.
#[derive(Debug, Default)]
pub(crate) struct Silences {
    nodes: Mutex<BTreeMap<NodeId, Silence>>,
}

/// Monotonic times of questions without an answer.
#[derive(Clone, Copy, Debug)]
struct Silence {
    first: Duration,
    last: Duration,
}

/// What is known of an owner of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerState {
    /// It lives.
    Lives,
    /// Its node says that it is gone.
    Gone,
    /// Its node says nothing, for so long.
    Silent(Duration),
}

impl Silences {
    /// Notes that a node has answered.
    pub(crate) fn answered(&self, node: NodeId) {
        self.nodes.lock().remove(&node);
    }

    /// Notes that a node was asked, and then had not answered until now; for how long it has been silent.
    pub(crate) fn unanswered(&self, node: NodeId, asked: Duration, now: Duration) -> Duration {
        // One that took so long: this node may have been frozen meanwhile.
        let asked = if now >= asked + SILENCE_GAP_MAX { now } else { asked };
        let mut nodes = self.nodes.lock();
        let silence = nodes.entry(node).or_insert(Silence { first: asked, last: asked });
        if asked >= silence.last + SILENCE_GAP_MAX {
            silence.first = asked;
        }
        silence.last = silence.last.max(now);
        now.saturating_sub(silence.first)
    }
}

impl OwnerState {
    /// Whether it lives; an owner whose node has been silent for long does not. `None` when nobody knows.
    pub(crate) fn lives(self) -> Option<bool> {
        match self {
            OwnerState::Lives => Some(true),
            OwnerState::Gone => Some(false),
            OwnerState::Silent(silence) => (silence >= LOCK_OWNER_SILENCE_MAX).then_some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_of_a_node_and_ends_with_an_answer_or_a_gap() {
        let (silences, ms) = (Silences::default(), Duration::from_millis);
        let ask = |node, asked| silences.unanswered(NodeId(node), ms(asked), ms(asked + 100));
        assert_eq!([ask(1, 5000), ask(1, 6000), ask(2, 6500)], [ms(100), ms(1100), ms(100)]);
        assert_eq!(ask(1, 7500), ms(2600));
        silences.answered(NodeId(2));
        assert_eq!([ask(2, 8000), ask(1, 8500)], [ms(100), ms(3600)]);
        let after_gap = 8600 + SILENCE_GAP_MAX.as_millis() as u64;
        assert_eq!(ask(1, after_gap), ms(100));
    }

    #[test]
    fn an_owner_is_given_up_after_a_long_silence_only() {
        let silent = |silence| OwnerState::Silent(silence).lives();
        assert_eq!(silent(LOCK_OWNER_SILENCE_MAX), Some(false));
        assert_eq!(silent(LOCK_OWNER_SILENCE_MAX - Duration::from_millis(1)), None);
        assert_eq!(OwnerState::Lives.lives(), Some(true));
        assert_eq!(OwnerState::Gone.lives(), Some(false));
    }
}
