//! Isolation of transactions that append to lists and read them (Elle: Kingsbury and Alvaro, VLDB 2020).
//!
//! A list shows its own history: whoever reads `[1, 5, 2]` knows in which order the three appends took
//! effect. From the longest list of each key follow the dependencies between transactions:
//!
//! ```text
//! ww   T1 appended 1, T2 appended the next element 5        T1 took effect before T2
//! wr   T3 read a list that ends with T2's 5                 T2 took effect before T3 read
//! rw   T3 read a list that T4's 2 follows                   T3 read before T4 took effect
//! time T1 was answered before T5 was called                 T1 took effect before T5 began
//! ```
//!
//! A cycle of them is an anomaly (Adya 1999). Snapshot isolation gives each transaction two moments, *begin*
//! (all reads) and *commit* (all writes), and permits exactly the cycles in which two rw edges follow each
//! other. So the graph has two nodes per transaction: ww, wr and time go from commit to begin, rw from
//! begin to commit, and every cycle that is left is forbidden. For Serializable rw goes from commit to
//! begin like the others.
//!
//! Some anomalies need no cycle and are found directly: reads of failed transactions (G1a), of unfinished
//! ones (G1b), of elements out of nothing, lists that do not extend each other, a transaction that
//! contradicts itself, an acknowledged append that no later read shows.
//!
//! Sound: an edge is drawn only when every explanation has it. A transaction of unknown outcome counts only
//! when somebody has seen one of its appends, and nothing comes after it in time.

mod cycle;
mod direct;
mod graph;
mod lists;

use super::{Checked, Verdict};
use crate::history::{Event, Op, Phase, operations};
use lists::{Lists, Transaction};

/// What isolation is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Snapshot isolation, and what was answered is seen by whoever begins later.
    Snapshot,
    /// Serializable, in the order of real time.
    Serializable,
}

/// Judges transactions of appends and reads. All lists are empty at the start.
pub fn append(history: &[Event], level: Level) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let transactions: Vec<Transaction<'_>> = operations
        .iter()
        .filter_map(|operation| match operation.op {
            Op::Txn { actions } => Some(Transaction {
                process: operation.process,
                call: operation.call,
                answer: operation.answer,
                outcome: operation.outcome,
                actions,
            }),
            _ => None,
        })
        .collect();
    let lists = match Lists::of(&transactions) {
        Ok(lists) => lists,
        Err(why) => return Verdict::Unknown { why },
    };
    let mut violations = direct::violations(history, &transactions, &lists);
    violations.extend(cycle::violations(history, &transactions, &lists, level));

    let mut checked = Checked::default();
    let mut reads = 0;
    for transaction in transactions.iter().filter(|txn| txn.outcome != Phase::Fail) {
        checked.operations += 1;
        let name = if transaction.outcome == Phase::Ok { "committed" } else { "unknown outcomes" };
        *checked.figures.entry(name).or_default() += 1;
        reads += transaction.lists_read().count() as u64;
    }
    checked.figures.insert("lists read", reads);
    checked.figures.insert("keys", lists.key_count() as u64);
    if level == Level::Snapshot {
        let skews = cycle::count(&transactions, &lists, Level::Serializable);
        checked.figures.insert("groups with write skew (permitted)", skews);
    }
    if violations.is_empty() && reads == 0 && !transactions.is_empty() {
        return Verdict::Unknown { why: "no list was read".into() };
    }
    Verdict::of(violations, checked)
}
