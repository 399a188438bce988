//! What a job that changes indexes does next: from the table's definition and the job's record alone. A change of the sharding
//! key has steps of its own (`rekey_steps`).
//!
//! ```text
//! add    absent ──> delete only ──> write only ──(filled)──> public
//! drop   public ──> write only ──> delete only ──> absent
//! ```
//!
//! A statement adds all its indexes together, and drops those that it drops in the step that publishes them: the table has
//! the old indexes or the new ones. What fails or is cancelled before that goes back the way it came.
//!
//! Pure: nothing is read or written here. Whoever makes a step waits first until nobody uses the table as it was before the
//! last one (`index_job`).

use super::{create_table, rekey_steps};
use crate::catalog::index_jobs::{IndexJob, JobOutcome, WalkPosition, Wish};
use crate::catalog::{IndexDef, IndexState, TableDef};
use base::IndexId;

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// The definition and the record change.
    Step(Box<(TableDef, IndexJob)>),
    /// Somebody has paused the job.
    Pause,
    /// Rows get their entries, or a copy in the new layout.
    Fill,
    /// Entries of indexes that are no more are removed.
    Remove,
    /// Nothing: the record says so.
    Over,
}

/// What comes next for a job, at a time in Unix seconds.
pub(super) fn next(table: &TableDef, job: &IndexJob, now_unix: u64) -> Next {
    if job.rekey.is_some() {
        return rekey_steps::next(table, job, now_unix);
    }
    let mut step = Step { table: table.clone(), job: job.clone(), now_unix };
    if job.outcome != JobOutcome::Open {
        return if job.garbage.is_empty() { Next::Over } else { Next::Remove };
    }
    let is_begun = is_begun(table, job);
    if !is_begun && (job.wish == Wish::Cancel || job.error.is_some()) {
        step.end(JobOutcome::Failed);
        return step.made();
    }
    if job.wish == Wish::Pause && job.error.is_none() && !is_past_return(table, job) {
        return Next::Pause;
    }
    match is_past_return(table, job) {
        true => step.drop_further(),
        false if job.wish == Wish::Cancel || job.error.is_some() => step.take_back(),
        false if !is_begun && !job.added.is_empty() => step.add(),
        false => match added_state(table, job) {
            Some(IndexState::DeleteOnly) => step.set_added(IndexState::WriteOnly),
            Some(IndexState::WriteOnly) if !job.is_filled => return Next::Fill,
            Some(_) | None => step.publish(),
        },
    }
    step.made()
}

/// The job's step that shuts out writers of before the last state, wherever they are.
pub(super) fn fence(table: &TableDef, job: &IndexJob) -> Next {
    let mut step = Step { table: table.clone(), job: job.clone(), now_unix: 0 };
    step.job.is_fenced = true;
    step.made()
}

/// Whether the table knows an index that the job adds, or no longer has one that it drops.
fn is_begun(table: &TableDef, job: &IndexJob) -> bool {
    job.added.iter().any(|added| table.all_indexes().any(|index| index.id == added.id))
        || is_past_return(table, job)
}

/// Whether the table has the indexes that are added, and those that are dropped are on their way, or has the new sharding key:
/// that is finished.
pub(super) fn is_past_return(table: &TableDef, job: &IndexJob) -> bool {
    if job.rekey.is_some() {
        return table.rebuild.as_ref().is_some_and(|rebuild| rebuild.is_past_cut_over());
    }
    job.dropped.iter().any(|id| !table.indexes.iter().any(|index| index.id == *id))
}

/// The state of the indexes that are added, while they are not public.
fn added_state(table: &TableDef, job: &IndexJob) -> Option<IndexState> {
    let mut added = table.unpublished.iter().filter(|index| is_added(job, index.id));
    added.next().map(|index| index.state)
}

/// Whether the record tells that nobody uses the table as it was before the last step: rows get entries only then.
pub(super) fn is_settled(table: &TableDef, job: &IndexJob) -> bool {
    let is_begun = job.is_filled || job.rows > 0 || job.filled != WalkPosition::default();
    is_begun && added_state(table, job) == Some(IndexState::WriteOnly)
}

fn is_added(job: &IndexJob, id: IndexId) -> bool {
    job.added.iter().any(|added| added.id == id)
}

/// A step under way.
struct Step {
    table: TableDef,
    job: IndexJob,
    now_unix: u64,
}

impl Step {
    fn made(mut self) -> Next {
        self.table.index_version += 1;
        Next::Step(Box::new((self.table, self.job)))
    }

    fn end(&mut self, outcome: JobOutcome) {
        self.job.outcome = outcome;
        self.job.ended_unix = self.now_unix;
    }

    fn add(&mut self) {
        let state = IndexState::DeleteOnly;
        let added = self.job.added.iter().map(|index| IndexDef { state, ..index.clone() });
        self.table.unpublished.extend(added);
    }

    fn set_added(&mut self, state: IndexState) {
        for index in &mut self.table.unpublished {
            if is_added(&self.job, index.id) {
                index.state = state;
            }
        }
    }

    /// One state back; the last one ends the job.
    fn take_back(&mut self) {
        match added_state(&self.table, &self.job) {
            Some(IndexState::WriteOnly) => self.set_added(IndexState::DeleteOnly),
            Some(_) | None => {
                let job = &self.job;
                self.table.unpublished.retain(|index| !is_added(job, index.id));
                self.job.garbage = self.job.added.iter().map(|index| index.id).collect();
                self.end(JobOutcome::Failed);
            }
        }
    }

    /// Makes the new indexes public and begins to drop the others.
    fn publish(&mut self) {
        let TableDef { indexes, unpublished, .. } = &mut self.table;
        let (added, others): (Vec<_>, Vec<_>) = std::mem::take(unpublished)
            .into_iter()
            .partition(|index| is_added(&self.job, index.id));
        *unpublished = others;
        indexes
            .extend(added.into_iter().map(|index| IndexDef { state: IndexState::Public, ..index }));
        let (dropped, kept): (Vec<_>, Vec<_>) = std::mem::take(indexes)
            .into_iter()
            .partition(|index| self.job.dropped.contains(&index.id));
        *indexes = kept;
        let state = IndexState::WriteOnly;
        unpublished.extend(dropped.into_iter().map(|index| IndexDef { state, ..index }));
        let mut indexes = std::mem::take(&mut self.table.indexes);
        let table = &self.table;
        indexes.sort_by_key(|index| {
            (!index.primary, index.implicit, create_table::rank(index, table))
        });
        self.table.indexes = indexes;
        if self.job.dropped.is_empty() {
            self.end(JobOutcome::Done);
        }
    }

    /// One state further on the way out; the last one ends the job.
    fn drop_further(&mut self) {
        let job = &self.job;
        let of_job = |index: &IndexDef| job.dropped.contains(&index.id);
        let mut dropped =
            self.table.unpublished.iter_mut().filter(|index| of_job(index)).peekable();
        if dropped.peek().is_some_and(|index| index.state == IndexState::WriteOnly) {
            dropped.for_each(|index| index.state = IndexState::DeleteOnly);
            return;
        }
        self.table.unpublished.retain(|index| !of_job(index));
        self.job.garbage = self.job.dropped.clone();
        self.end(JobOutcome::Done);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::catalog::{IndexColumn, Sharding};
    use crate::collation::CollationId;
    use base::{TableId, Timestamp};
    use txn::command::LockOwner;

    fn index(id: u32) -> IndexDef {
        IndexDef {
            id: IndexId(id),
            name: format!("i{id}"),
            unique: id == 0,
            columns: Vec::<IndexColumn>::new(),
            included: Vec::new(),
            global: false,
            primary: id == 0,
            implicit: false,
            comment: String::new(),
            state: IndexState::Public,
            public_since: Timestamp::ZERO,
            ignored: false,
        }
    }

    pub(in crate::ddl) fn table(ids: &[u32]) -> TableDef {
        TableDef {
            id: TableId(1000),
            rows: TableId(1000),
            database: "d".into(),
            name: "t".into(),
            columns: Vec::new(),
            next_ordinal: 0,
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: ids.iter().map(|id| index(*id)).collect(),
            unpublished: Vec::new(),
            declared: Vec::new(),
            next_index_id: 0,
            index_version: 0,
            sharding: Sharding::Single,
            sharding_declared: false,
            distributed_by: false,
            partitioning: None,
            collation: CollationId::DEFAULT,
            comment: String::new(),
            auto_increment_start: 0,
            created_unix: 0,
            options: String::new(),
            retention_s: 0,
            placement: String::new(),
            rebuild: None,
        }
    }

    pub(in crate::ddl) fn job(added: &[u32], dropped: &[u32]) -> IndexJob {
        IndexJob {
            id: 1,
            table: TableId(1000),
            name: "d.t".into(),
            statement: String::new(),
            added: added.iter().map(|id| index(*id)).collect(),
            dropped: dropped.iter().map(|id| IndexId(*id)).collect(),
            owner: LockOwner(1),
            begun_unix: 0,
            ended_unix: 0,
            wish: Wish::Run,
            outcome: JobOutcome::Open,
            error: None,
            filled: WalkPosition::default(),
            rows: 0,
            is_filled: false,
            is_fenced: false,
            garbage: Vec::new(),
            removed: WalkPosition::default(),
            is_over: false,
            rekey: None,
        }
    }

    /// The indexes of a table after each step, with the state of those that are not public, until nothing changes by
    /// itself.
    fn walk(table: &mut TableDef, job: &mut IndexJob) -> Vec<String> {
        let mut seen = Vec::new();
        while let Next::Step(made) = next(table, job, 5) {
            (*table, *job) = *made;
            let name = |index: &IndexDef| match index.state {
                IndexState::Public => format!("{}", index.id.0),
                IndexState::WriteOnly => format!("{}w", index.id.0),
                IndexState::DeleteOnly => format!("{}d", index.id.0),
            };
            seen.push(table.all_indexes().map(name).collect::<Vec<_>>().join(" "));
        }
        seen
    }

    #[test]
    fn an_index_is_filled_between_write_only_and_public() {
        let (mut table, mut job) = (table(&[0, 1]), job(&[2], &[1]));
        assert_eq!(walk(&mut table, &mut job), ["0 1 2d", "0 1 2w"]);
        assert_eq!(next(&table, &job, 5), Next::Fill);
        job.is_filled = true;
        assert_eq!(walk(&mut table, &mut job), ["0 2 1w", "0 2 1d", "0 2"]);
        assert_eq!((job.outcome, job.garbage.clone()), (JobOutcome::Done, vec![IndexId(1)]));
        assert_eq!(next(&table, &job, 5), Next::Remove);
        assert_eq!(table.index_version, 5);
    }

    #[test]
    fn a_definition_reads_under_those_next_to_it() {
        let (mut table, mut job) = (table(&[0, 1]), job(&[2], &[1]));
        walk(&mut table, &mut job);
        job.is_filled = true;
        let mut seen = vec![table.clone()];
        while let Next::Step(made) = next(&table, &job, 5) {
            (table, job) = *made;
            for index in table.indexes.iter_mut().filter(|index| index.id == IndexId(2)) {
                index.public_since = Timestamp(10);
            }
            seen.push(table.clone());
        }
        // Write only, public and the other write only, delete only, absent.
        let [filled, public, leaving, gone] = &seen[..] else { panic!("four definitions") };
        let reads = |now: &TableDef, then: &TableDef, ts| now.has_entries_of(then, Timestamp(ts));
        // The index was filled before its definition was committed, not earlier.
        assert!(reads(public, filled, 10) && !reads(public, filled, 9));
        // The old one is dropped, which whoever reads it does not know yet; one step later it must.
        assert!(reads(filled, public, 11));
        assert!(!reads(filled, leaving, 11) && !reads(filled, gone, 11));
        assert!(reads(public, leaving, 11) && reads(leaving, public, 11));
    }

    #[test]
    fn who_takes_over_a_filling_waits_for_nobody() {
        let (mut table, mut job) = (table(&[0, 1]), job(&[2], &[1]));
        walk(&mut table, &mut job);
        assert!(!is_settled(&table, &job));
        job.filled.from = 1;
        assert!(is_settled(&table, &job));
        job.is_filled = true;
        assert!(is_settled(&table, &job));
        // Published: whoever has not heard of that still reads the other index.
        let Next::Step(made) = next(&table, &job, 5) else { panic!("a step") };
        assert!(!is_settled(&made.0, &made.1));
        job.error = Some((1062, String::new()));
        let Next::Step(made) = next(&table, &job, 5) else { panic!("a step") };
        assert!(!is_settled(&made.0, &made.1));
    }

    #[test]
    fn what_fails_goes_back_and_drops_nothing() {
        let (mut table, mut job) = (table(&[0, 1]), job(&[2], &[1]));
        walk(&mut table, &mut job);
        job.error = Some((1062, String::new()));
        assert_eq!(walk(&mut table, &mut job), ["0 1 2d", "0 1"]);
        assert_eq!((job.outcome, job.garbage), (JobOutcome::Failed, vec![IndexId(2)]));
    }

    #[test]
    fn what_is_cancelled_before_it_began_changes_nothing() {
        for (added, dropped) in [(&[2][..], &[][..]), (&[][..], &[1][..])] {
            let (mut table, mut job) = (table(&[0, 1]), job(added, dropped));
            job.wish = Wish::Cancel;
            assert_eq!(walk(&mut table, &mut job), ["0 1"]);
            assert_eq!((job.outcome, job.garbage), (JobOutcome::Failed, Vec::new()));
        }
    }

    #[test]
    fn dropping_is_finished_once_it_has_begun() {
        let (mut table, mut job) = (table(&[0, 1]), job(&[], &[1]));
        let Next::Step(made) = next(&table, &job, 5) else { panic!("a step") };
        (table, job) = *made;
        job.wish = Wish::Cancel;
        assert_eq!(walk(&mut table, &mut job), ["0 1d", "0"]);
        assert_eq!(job.outcome, JobOutcome::Done);
    }

    #[test]
    fn a_paused_job_goes_on_when_it_is_resumed() {
        let (table, mut job) = (table(&[0]), job(&[1], &[]));
        job.wish = Wish::Pause;
        assert_eq!(next(&table, &job, 5), Next::Pause);
        job.wish = Wish::Run;
        assert!(matches!(next(&table, &job, 5), Next::Step(_)));
    }
}
