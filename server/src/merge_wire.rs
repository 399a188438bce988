//! Questions and answers between the leaders of two shards that become one, as messages.

use crate::activity_wire::{held_from_pb, held_to_pb};
use base::{ShardId, SlotRange};
use bytes::Bytes;
use proto::node as pb;
use txn::merge::{CopyId, MergeAnswer, MergeAsk};

/// What a message lacks.
type Result<T> = std::result::Result<T, String>;

fn copy_to_pb(copy: CopyId) -> Option<pb::MergeCopy> {
    Some(pb::MergeCopy { term: copy.term, number: copy.number })
}

fn copy_from_pb(copy: Option<pb::MergeCopy>) -> Result<CopyId> {
    let pb::MergeCopy { term, number } = copy.ok_or("it names no copy")?;
    Ok(CopyId { term, number })
}

/// A question to its message.
pub fn ask_to_pb(shard: ShardId, ask: MergeAsk) -> pb::MergeAsk {
    use pb::merge_ask::Ask;
    let ask = match ask {
        MergeAsk::Open { merge, slots } => {
            let SlotRange { start, end } = slots;
            Ask::Open(pb::MergeOpen { merge, first_slot: start, end_slot: end })
        }
        MergeAsk::Piece { copy, from } => {
            Ask::Piece(pb::MergePiece { copy: copy_to_pb(copy), from })
        }
        MergeAsk::Changes { copy, turn } => {
            Ask::Changes(pb::MergeChanges { copy: copy_to_pb(copy), turn })
        }
        MergeAsk::Freeze { copy, merge } => {
            Ask::Freeze(pb::MergeFreeze { copy: copy_to_pb(copy), merge })
        }
        MergeAsk::Rest { copy } => {
            Ask::Rest(pb::MergeCopy { term: copy.term, number: copy.number })
        }
        MergeAsk::Thaw { merge } => Ask::Thaw(merge),
    };
    pb::MergeAsk { shard: shard.0, ask: Some(ask) }
}

/// A question from its message.
///
/// # Errors
/// A sentence: what it lacks.
pub fn ask_from_pb(message: pb::MergeAsk) -> Result<(ShardId, MergeAsk)> {
    use pb::merge_ask::Ask;
    let ask = match message.ask.ok_or("it asks nothing that this program knows")? {
        Ask::Open(open) => {
            let slots = SlotRange { start: open.first_slot, end: open.end_slot };
            MergeAsk::Open { merge: open.merge, slots }
        }
        Ask::Piece(piece) => MergeAsk::Piece { copy: copy_from_pb(piece.copy)?, from: piece.from },
        Ask::Changes(changes) => {
            MergeAsk::Changes { copy: copy_from_pb(changes.copy)?, turn: changes.turn }
        }
        Ask::Freeze(freeze) => {
            MergeAsk::Freeze { copy: copy_from_pb(freeze.copy)?, merge: freeze.merge }
        }
        Ask::Rest(copy) => MergeAsk::Rest { copy: copy_from_pb(Some(copy))? },
        Ask::Thaw(merge) => MergeAsk::Thaw { merge },
    };
    Ok((ShardId(message.shard), ask))
}

/// An answer to its message.
pub fn answer_to_pb(answer: MergeAnswer) -> pb::MergeAnswer {
    use pb::merge_answer::Answer;
    let answer = match answer {
        MergeAnswer::Opened { copy, frozen } => {
            Answer::Opened(pb::MergeOpened { copy: copy_to_pb(copy), frozen })
        }
        MergeAnswer::Piece { entries, next } => {
            // No engine key is empty.
            Answer::Entries(pb::MergeEntries { entries, next: next.unwrap_or_default() })
        }
        MergeAnswer::Changes { changes, left } => {
            Answer::Changed(pb::MergeChanged { changes, left })
        }
        MergeAnswer::Rest { entries, locks } => {
            let locks = locks.into_iter().map(held_to_pb).collect();
            Answer::Rest(pb::MergeRest { entries, locks })
        }
        MergeAnswer::Done => Answer::Done(pb::MergeDone {}),
    };
    pb::MergeAnswer { answer: Some(answer) }
}

/// An answer from its message.
///
/// # Errors
/// A sentence: what it lacks.
pub fn answer_from_pb(message: pb::MergeAnswer) -> Result<MergeAnswer> {
    use pb::merge_answer::Answer;
    Ok(match message.answer.ok_or("it answers nothing that this program knows")? {
        Answer::Opened(opened) => {
            MergeAnswer::Opened { copy: copy_from_pb(opened.copy)?, frozen: opened.frozen }
        }
        Answer::Entries(pb::MergeEntries { entries, next }) => {
            MergeAnswer::Piece { entries, next: Some(next).filter(|next: &Bytes| !next.is_empty()) }
        }
        Answer::Changed(pb::MergeChanged { changes, left }) => {
            MergeAnswer::Changes { changes, left }
        }
        Answer::Rest(pb::MergeRest { entries, locks }) => {
            MergeAnswer::Rest { entries, locks: locks.into_iter().map(held_from_pb).collect() }
        }
        Answer::Done(pb::MergeDone {}) => MergeAnswer::Done,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::NodeId;
    use txn::command::{LockMode, LockOwner};
    use txn::row_locks::HeldLock;

    #[test]
    fn questions_and_answers_survive_the_wire() {
        let copy = CopyId { term: 7, number: 3 };
        let asks = [
            MergeAsk::Open { merge: 9, slots: SlotRange { start: 5, end: 65_536 } },
            MergeAsk::Piece { copy, from: Bytes::from_static(b"d") },
            MergeAsk::Changes { copy, turn: 2 },
            MergeAsk::Freeze { copy, merge: 9 },
            MergeAsk::Rest { copy },
            MergeAsk::Thaw { merge: 9 },
        ];
        for ask in asks {
            let message = ask_to_pb(ShardId(4), ask.clone());
            assert_eq!(ask_from_pb(message), Ok((ShardId(4), ask)));
        }
        let entries = Bytes::from_static(b"entries");
        let lock = HeldLock {
            key: Bytes::from_static(b"key"),
            owner: LockOwner::new(NodeId(2), 5),
            mode: LockMode::Exclusive,
        };
        let answers = [
            MergeAnswer::Opened { copy, frozen: true },
            MergeAnswer::Piece { entries: entries.clone(), next: None },
            MergeAnswer::Piece { entries: entries.clone(), next: Some(entries.clone()) },
            MergeAnswer::Changes { changes: entries.clone(), left: 8 },
            MergeAnswer::Rest { entries, locks: vec![lock] },
            MergeAnswer::Done,
        ];
        for answer in answers {
            assert_eq!(answer_from_pb(answer_to_pb(answer.clone())), Ok(answer));
        }
        assert!(answer_from_pb(pb::MergeAnswer { answer: None }).is_err());
        assert!(ask_from_pb(pb::MergeAsk { shard: 1, ask: None }).is_err());
    }
}
