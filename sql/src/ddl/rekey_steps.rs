//! What a job that changes a sharding key or a placement policy does next: from the table's definition and the job's
//! record alone.
//!
//! ```text
//! new layout   absent ──> delete only ──> write only ──(filled)──> read
//! old layout   read ─────────────────────────── cut-over: one step ──> write only ──> delete only ──> absent
//! ```
//!
//! The cut-over is one step as any other: who is before it reads the old layout, who is behind it the new one, and both
//! write both. What is cancelled before it goes back the way it came; behind it the job ends soon.
//!
//! Pure, as `index_steps`.

use super::create_table;
use super::index_steps::Next;
use crate::Result;
use crate::catalog::index_jobs::{IndexJob, JobOutcome, Rekey, Wish};
use crate::catalog::{IndexState, Layout, Rebuild, TableDef};
use base::Timestamp;

/// Stands for the time of the cut-over in a definition that is yet to be stored.
pub(super) const UNKNOWN: Timestamp = Timestamp::MAX;

/// What comes next for a job, at a time in Unix seconds.
pub(super) fn next(table: &TableDef, job: &IndexJob, now_unix: u64) -> Next {
    let Some(rekey) = &job.rekey else { return Next::Over };
    if job.outcome != JobOutcome::Open {
        return Next::Over;
    }
    let (mut table, mut job) = (table.clone(), job.clone());
    let is_back = job.wish == Wish::Cancel || job.error.is_some();
    let rebuild = table.rebuild.clone();
    let end = |job: &mut IndexJob, outcome| {
        job.outcome = outcome;
        job.ended_unix = now_unix;
    };
    table = match rebuild.as_deref() {
        Some(other) if other.is_past_cut_over() && other.is_added_to() => {
            with_state(&table, other, IndexState::DeleteOnly)
        }
        Some(other) if other.is_past_cut_over() => {
            end(&mut job, JobOutcome::Done);
            TableDef { rebuild: None, ..table }
        }
        None if is_back => {
            end(&mut job, JobOutcome::Failed);
            table
        }
        Some(other) if is_back && other.is_added_to() => {
            with_state(&table, other, IndexState::DeleteOnly)
        }
        Some(_) if is_back => {
            end(&mut job, JobOutcome::Failed);
            TableDef { rebuild: None, ..table }
        }
        _ if job.wish == Wish::Pause => return Next::Pause,
        None => match layout_of(&table, rekey) {
            Ok(layout) => table.with_other_layout(&layout, IndexState::DeleteOnly, Timestamp::ZERO),
            Err(error) => {
                job.error = Some((error.code, error.message));
                end(&mut job, JobOutcome::Failed);
                table
            }
        },
        Some(other) if !other.is_added_to() => with_state(&table, other, IndexState::WriteOnly),
        Some(_) if !job.is_filled => return Next::Fill,
        Some(_) => table.with_layouts_swapped(UNKNOWN),
    };
    table.index_version += 1;
    Next::Step(Box::new((table, job)))
}

fn with_state(table: &TableDef, other: &Rebuild, state: IndexState) -> TableDef {
    table.with_other_layout(&other.mirror.layout(), state, other.since)
}

/// The layout of a table under a new sharding key or placement policy: a unique index places its entries by itself as long as
/// its columns do not decide the slot, and any other one as it was declared.
///
/// # Errors
/// When the record does not fit the table.
pub(super) fn layout_of(table: &TableDef, rekey: &Rekey) -> Result<Layout> {
    let mut new = table.in_layout(&table.layout());
    // What it was given because of the old sharding key, it is given again when it needs that.
    let placed: Vec<_> =
        new.indexes.iter().map(|index| create_table::places(index, table)).collect();
    for (index, placed) in new.indexes.iter_mut().zip(placed) {
        index.global &= !placed;
    }
    new.indexes.retain(|index| !index.implicit);
    new.rows = rekey.rows;
    new.sharding = rekey.sharding(table)?;
    match &rekey.policy {
        Some(policy) => new.placement = policy.name().to_string(),
        None => new.sharding_declared = true,
    }
    new.distributed_by = rekey.distributed_by;
    create_table::place_indexes(&mut new);
    Ok(new.layout())
}

#[cfg(test)]
mod tests {
    use super::super::index_steps::tests as indexes;
    use super::*;
    use crate::catalog::Sharding;
    use base::TableId;

    fn job() -> IndexJob {
        let (rows, ranges) = (TableId(1001), Vec::new());
        let rekey = Rekey { rows, columns: None, distributed_by: false, ranges, policy: None };
        IndexJob { rekey: Some(rekey), ..indexes::job(&[], &[]) }
    }

    /// The layouts after each step, the one that is read first, until nothing changes by itself.
    fn walk(table: &mut TableDef, job: &mut IndexJob) -> Vec<String> {
        let mut seen = Vec::new();
        while let Next::Step(made) = next(table, job, 5) {
            let version = table.index_version;
            (*table, *job) = *made;
            assert_eq!(table.index_version, version + 1);
            let other = table.rebuild.as_ref().map_or(String::new(), |other| {
                let state = if other.is_added_to() { "w" } else { "d" };
                format!(" {}{state}", other.mirror.rows.0)
            });
            seen.push(format!("{}{other}", table.rows.0));
        }
        seen
    }

    #[test]
    fn layouts_change_places_when_the_new_one_is_filled() {
        let (mut table, mut job) = (indexes::table(&[0, 1]), job());
        assert_eq!(walk(&mut table, &mut job), ["1000 1001d", "1000 1001w"]);
        assert_eq!(next(&table, &job, 5), Next::Fill);
        let before = table.clone();
        job.is_filled = true;
        let Next::Step(made) = next(&table, &job, 5) else { panic!("a step") };
        (table, job) = *made;
        // Who is one step behind reads as before, and may commit; a read at an earlier time does the same.
        assert!(before.may_commit_under(&table));
        assert_eq!((table.rows, table.at(Timestamp(7)).rows), (TableId(1001), TableId(1000)));
        job.wish = Wish::Cancel;
        assert_eq!(walk(&mut table, &mut job), ["1001 1000d", "1001"]);
        assert_eq!((job.outcome, job.ended_unix), (JobOutcome::Done, 5));
        assert_eq!(next(&table, &job, 5), Next::Over);
        assert!(!before.may_commit_under(&table));
    }

    #[test]
    fn what_is_cancelled_before_the_cut_over_goes_back() {
        let (mut table, mut job) = (indexes::table(&[0]), job());
        walk(&mut table, &mut job);
        job.is_filled = true;
        job.wish = Wish::Cancel;
        assert_eq!(walk(&mut table, &mut job), ["1000 1001d", "1000"]);
        assert_eq!(job.outcome, JobOutcome::Failed);
    }

    #[test]
    fn a_policy_is_that_of_the_layout_that_is_read() {
        let (mut table, mut job) = (indexes::table(&[0]), job());
        let by_hash = Sharding::Hash(Vec::new());
        job.rekey = Some(Rekey::of_policy(TableId(1001), &table, "eu", &by_hash));
        assert_eq!(walk(&mut table, &mut job), ["1000 1001d", "1000 1001w"]);
        let coming = table.rebuild.as_ref().unwrap().mirror.placement.as_str();
        assert_eq!((table.placement.as_str(), coming), ("", "eu"));
        let before = table.clone();
        job.is_filled = true;
        let Next::Step(made) = next(&table, &job, 5) else { panic!("a step") };
        (table, job) = *made;
        assert!(before.may_commit_under(&table));
        assert_eq!(walk(&mut table, &mut job), ["1001 1000d", "1001"]);
        assert_eq!((table.placement.as_str(), &table.sharding), ("eu", &by_hash));
        // A sharding that nobody declared is not declared by that.
        assert!(!table.sharding_declared);
    }

    #[test]
    fn a_record_that_does_not_fit_its_table_fails() {
        let (mut table, mut job) = (indexes::table(&[0]), job());
        let before = table.clone();
        job.rekey.as_mut().unwrap().columns = Some(vec![usize::from(u16::MAX)]);
        assert_eq!(walk(&mut table, &mut job), ["1000"]);
        assert_eq!(job.outcome, JobOutcome::Failed);
        assert_eq!((job.error.unwrap().0, table.rebuild), (1030, before.rebuild));
    }

    #[test]
    fn a_paused_job_waits_only_before_the_cut_over() {
        let (mut table, mut job) = (indexes::table(&[0]), job());
        job.wish = Wish::Pause;
        assert_eq!(next(&table, &job, 5), Next::Pause);
        job.wish = Wish::Run;
        walk(&mut table, &mut job);
        job.is_filled = true;
        let Next::Step(made) = next(&table, &job, 5) else { panic!("a step") };
        (table, job) = *made;
        job.wish = Wish::Pause;
        assert_eq!(walk(&mut table, &mut job), ["1001 1000d", "1001"]);
    }
}
