//! What the leader of a shard asks of the leader of its right neighbour while it takes that one in.
//!
//! ```text
//! left's leader                         right's leader
//!  Open ───────────────────────────────► notes from now on which entries change
//!  Piece, Piece, … ────────────────────► its content, step by step; it serves as ever
//!  Changes, Changes, … ────────────────► what has changed since it was copied
//!  Freeze ─────────────────────────────► serves nobody any more, under any leader
//!  Changes, Rest ──────────────────────► the last of it
//!  Thaw (the merge is undone) ─────────► serves again
//! ```
//!
//! Every question may come twice: an answer that was lost is given again. A copy belongs to one term of right's leader; under
//! another one it begins anew.
//!
//! Not here: what left does with the answers (`shard::merger`), and how they travel (`server`).

use crate::Result;
use crate::row_locks::HeldLock;
use base::SlotRange;
use bytes::Bytes;

/// A copy of a shard that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyId {
    /// The term of the copied shard's leader.
    pub term: u64,
    /// Tells it from earlier ones of that term.
    pub number: u64,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeAsk {
    /// Begin a copy; the one before, if there is one, is over.
    Open {
        /// The merge's number.
        merge: u64,
        /// The slots of the asked shard, as the map has them.
        slots: SlotRange,
    },
    /// The content from an engine key on (empty: from the first).
    Piece {
        /// The copy.
        copy: CopyId,
        /// The engine key.
        from: Bytes,
    },
    /// What has changed.
    Changes {
        /// The copy.
        copy: CopyId,
        /// Counts these questions, from 1 on: the one before is answered, and its answer has come.
        turn: u64,
    },
    /// Serve nobody any more.
    Freeze {
        /// The copy.
        copy: CopyId,
        /// The merge's number.
        merge: u64,
    },
    /// What a shard has once; it is frozen.
    Rest {
        /// The copy.
        copy: CopyId,
    },
    /// The merge is undone: serve again, and never begin it again.
    Thaw {
        /// The merge's number.
        merge: u64,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeAnswer {
    /// A copy has begun.
    Opened {
        /// The copy.
        copy: CopyId,
        /// Whether the shard is frozen by this merge already.
        frozen: bool,
    },
    /// Content.
    Piece {
        /// An encoded write batch that puts the entries.
        entries: Bytes,
        /// The engine key to go on from; `None` at the end.
        next: Option<Bytes>,
    },
    /// Changes.
    Changes {
        /// An encoded write batch.
        changes: Bytes,
        /// How many entries have changed that are not in it.
        left: u64,
    },
    /// What a shard has once.
    Rest {
        /// An encoded write batch that puts the entries.
        entries: Bytes,
        /// The row locks of its leadership, which are not held there any more.
        locks: Vec<HeldLock>,
    },
    /// It is done.
    Done,
}

/// The way to the leader of the right shard, wherever it is.
#[async_trait::async_trait]
pub trait MergeSource: Send + Sync + 'static {
    /// Asks it.
    ///
    /// # Errors
    /// As the shard says; `Unavailable` when nobody answers. It may have done what was asked.
    async fn ask(&self, ask: MergeAsk) -> Result<MergeAnswer>;
}

/// How far a merge has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeProgress {
    /// It goes on when it is asked for again.
    UnderWay {
        /// Bytes copied since this leader began.
        copied: u64,
    },
    /// Left owns all slots.
    Taken,
    /// It will never happen; right is to be thawed.
    Undone,
}
