//! Two processes under one number: a data folder was copied, and both copies run.
//!
//! Each process draws a number when it starts, and says it when it asks and when it answers:
//!
//! ```text
//! "I am n2, process a"  from somewhere                       first heard at t
//! "I am n2, process b"  the answer at n2's known address to  what was asked after t: both live at the same time
//! ```
//!
//! A restart looks like one process after the other: the old one answers nothing that was asked after the new one
//! spoke, and speaks no more. So whoever speaks for a node whose address another process answers is refused, however
//! often both of them speak. The process at the known address stays: it is the one that the others talk to.

use base::NodeId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Processes remembered per node: of two that speak by turns neither is forgotten.
const PROCESSES_MAX: usize = 8;

/// Who spoke for which node, and since when; and who answered for it.
#[derive(Default)]
pub struct Twins {
    /// Processes that asked, and when each was first heard, oldest first.
    spoke: Mutex<BTreeMap<NodeId, VecDeque<(u64, Duration)>>>,
    /// The process that answered last at the node's address, and when it was asked.
    answered: Mutex<BTreeMap<NodeId, (u64, Duration)>>,
}

impl Twins {
    /// A process answered at a node's address what it was asked at a time; 0 is one of an older version, which says
    /// no number.
    pub fn answered(&self, node: NodeId, process: u64, asked: Duration) {
        self.answered.lock().insert(node, (process, asked));
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
        let first_heard = {
            let mut spoke = self.spoke.lock();
            let known = spoke.entry(node).or_default();
            match known.iter().find(|(other, _)| *other == process) {
                Some((_, first_heard)) => *first_heard,
                None => {
                    if known.len() >= PROCESSES_MAX {
                        known.pop_front();
                    }
                    known.push_back((process, now));
                    now
                }
            }
        };
        let answered = self.answered.lock().get(&node).copied();
        answered.is_some_and(|(other, asked)| ![0, process].contains(&other) && asked > first_heard)
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
        twins.answered(NODE, 7, s(10));
        assert!(!twins.speaks(NODE, 8, s(11)), "asked before the new one spoke");
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
    fn two_that_speak_by_turns_are_told_apart_and_the_one_that_does_not_answer_is_refused() {
        let twins = Twins::default();
        let mut refused = (0, 0);
        for second in 1..20 {
            refused.0 += u32::from(twins.speaks(NODE, 7, s(second)));
            refused.1 += u32::from(twins.speaks(NODE, 8, s(second) + Duration::from_millis(500)));
            twins.answered(NODE, 7, s(second) + Duration::from_millis(700));
        }
        assert_eq!(refused, (0, 18), "8 from its second word on");
    }

    #[test]
    fn an_original_that_wakes_up_after_its_copy_took_over_is_refused() {
        let twins = Twins::default();
        assert!(!twins.speaks(NODE, 7, s(1)));
        twins.answered(NODE, 7, s(2));
        // It hangs. The copy comes, and the others talk to it from now on.
        assert!(!twins.speaks(NODE, 8, s(10)));
        twins.answered(NODE, 8, s(12));
        assert!(!twins.speaks(NODE, 8, s(13)));
        assert!(twins.speaks(NODE, 7, s(14)));
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
