//! Two processes under one number: a data folder was copied, and both copies run.
//!
//! Each process draws a number when it starts, and says it when it asks and when it answers:
//!
//! ```text
//! "I am n2, process a"   from somewhere            remembered: a speaks for n2 since t
//! "I am n2, process b"   from n2's known address   asked after t: two processes live at the same time
//! ```
//!
//! A restart looks like one process after the other: the old one answers nothing that was asked after the new one
//! spoke. So whoever speaks for a node whose address is answered by another process is refused. The process at the
//! known address stays: it is the one that the others talk to.

use base::NodeId;
use base::limits::STATUS_WAIT_MAX;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who spoke for which node, and since when; and who answered for it.
#[derive(Default)]
pub struct Twins {
    /// The process that asked last, and when it was first heard.
    spoke: Mutex<BTreeMap<NodeId, (u64, Duration)>>,
    /// The process that answered last at the node's address, and when.
    answered: Mutex<BTreeMap<NodeId, (u64, Duration)>>,
}

impl Twins {
    /// A process answered at a node's address; 0 is one of an older version, which says no number.
    pub fn answered(&self, node: NodeId, process: u64, now: Duration) {
        self.answered.lock().insert(node, (process, now));
    }

    /// Whether another process than this one answered last for a node.
    pub fn other_answered(&self, node: NodeId, process: u64) -> bool {
        self.answered.lock().get(&node).is_some_and(|(other, _)| ![0, process].contains(other))
    }

    /// A process speaks for a node. Answers whether another one is known to live at the same time.
    pub fn speaks(&self, node: NodeId, process: u64, now: Duration) -> bool {
        if process == 0 {
            return false;
        }
        let since = {
            let mut spoke = self.spoke.lock();
            let known = spoke.entry(node).or_insert((process, now));
            if known.0 != process {
                *known = (process, now);
            }
            known.1
        };
        let answered = self.answered.lock().get(&node).copied();
        // Asked after the first word of this process, so that one that ended before it cannot have answered.
        answered.is_some_and(|(other, at)| {
            other != 0 && other != process && at > since + STATUS_WAIT_MAX
        })
    }
}

/// The sentence for a process whose node's number another process uses.
pub fn sentence(node: NodeId, address: &str) -> String {
    format!(
        "another process runs as node {} and answers at {address}: two copies of one data folder must not run at the \
         same time; stop the other process, or start this one with an empty data folder and --join",
        node.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(2);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_restart_is_no_twin() {
        let twins = Twins::default();
        assert!(!twins.speaks(NODE, 7, s(1)));
        twins.answered(NODE, 7, s(10));
        assert!(!twins.speaks(NODE, 7, s(11)));
        assert!(
            !twins.speaks(NODE, 8, s(12)),
            "the old one may have ended between its answer and this"
        );
        twins.answered(NODE, 8, s(20));
        assert!(!twins.speaks(NODE, 8, s(21)));
    }

    #[test]
    fn an_answer_on_its_way_when_the_process_ended_is_no_twin() {
        let twins = Twins::default();
        assert!(!twins.speaks(NODE, 8, s(10)));
        twins.answered(NODE, 7, s(10) + STATUS_WAIT_MAX);
        assert!(!twins.speaks(NODE, 8, s(11)));
    }

    #[test]
    fn who_speaks_while_another_answers_is_a_twin() {
        let twins = Twins::default();
        assert!(!twins.speaks(NODE, 7, s(1)));
        twins.answered(NODE, 7, s(10));
        assert!(!twins.speaks(NODE, 8, s(11)));
        twins.answered(NODE, 7, s(12));
        assert!(twins.speaks(NODE, 8, s(13)));
        assert!(!twins.speaks(NodeId(3), 8, s(13)), "another node");
    }

    #[test]
    fn a_process_of_an_older_version_says_no_number_and_is_left_alone() {
        let twins = Twins::default();
        assert!(!twins.speaks(NODE, 0, s(1)));
        twins.answered(NODE, 0, s(5));
        assert!(!twins.speaks(NODE, 8, s(6)));
        twins.answered(NODE, 0, s(9));
        assert!(!twins.speaks(NODE, 8, s(10)));
    }
}
