//! Calls and answers joined to operations.

use super::{Event, Op, Phase};
use std::collections::BTreeMap;

/// One operation of one process.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// Who.
    pub process: u64,
    /// Line of the call in the history, from 0.
    pub call: usize,
    /// Line of the answer; `None` when there was none or it was `info`: it may happen at any later time.
    pub answer: Option<usize>,
    /// `Info` when there was no answer.
    pub outcome: Phase,
    /// The operation; with what was read when `outcome` is `Ok`.
    pub op: &'a Op,
}

/// The operations of a history in the order of their calls.
///
/// # Errors
/// When a process calls twice at once or is answered without a call: such a history proves nothing.
pub fn operations(events: &[Event]) -> Result<Vec<Operation<'_>>, String> {
    let mut all: Vec<Operation<'_>> = Vec::with_capacity(events.len() / 2);
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    for (line, event) in events.iter().enumerate() {
        let process = event.process;
        if event.phase == Phase::Invoke {
            if open.insert(process, all.len()).is_some() {
                let number = line + 1;
                return Err(format!("line {number}: process {process} has an operation under way"));
            }
            let outcome = Phase::Info;
            all.push(Operation { process, call: line, answer: None, outcome, op: &event.op });
            continue;
        }
        let Some(at) = open.remove(&process) else {
            return Err(format!("line {}: process {process} called nothing", line + 1));
        };
        let operation = &mut all[at];
        operation.outcome = event.phase;
        if event.phase == Phase::Ok {
            operation.op = &event.op;
        }
        if event.phase != Phase::Info {
            operation.answer = Some(line);
        }
    }
    Ok(all)
}
