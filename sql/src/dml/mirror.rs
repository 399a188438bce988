//! The other layout of a table whose sharding key is being changed: who writes a row writes it there, too.
//!
//! ```text
//!               delete only                write only
//! new row       -                          put, with its entries
//! changed row   removed                    put where it belongs now, with its entries; behind the cut-over those that differ
//! removed row   removed                    removed
//! ```
//!
//! Everything is checked in the layout that is read: the same keys are unique in both, so a copy stands in nobody's way.
//! Still what is new there is expected to be absent, since at the cut-over somebody else may check the same key in the other
//! layout. For the same reason statements that lock take the copies' keys as well, as long as both layouts are written.
//!
//! Not here: states and their order (`ddl::rekey_steps`).

use super::duplicate;
use crate::Result;
use crate::catalog::{Rebuild, TableDef};
use crate::context::EvalContext;
use crate::session::locking::Locking;
use crate::table_codec::{self, IndexEntry};
use crate::value::Value;
use bytes::Bytes;
use txn::Transaction;
use txn::command::Expect;

/// A row's copy in the other layout.
struct Twin<'a> {
    mirror: &'a TableDef,
    key: Bytes,
    entries: Vec<IndexEntry>,
}

impl<'a> Twin<'a> {
    fn of(mirror: &'a TableDef, row: &[Value]) -> Result<Twin<'a>> {
        let key = table_codec::row_key(mirror, row)?;
        Ok(Twin { mirror, key, entries: table_codec::index_entries(mirror, row)? })
    }

    /// The copy of a row that is there; `None` for one that the former layout has no place for: it was written when that
    /// was not written any more.
    fn of_old(rebuild: &'a Rebuild, row: &[Value]) -> Result<Option<Twin<'a>>> {
        match Twin::of(&rebuild.mirror, row) {
            Err(error) if error.code == NO_PLACE && !rebuild.is_added_to() => Ok(None),
            copy => copy.map(Some),
        }
    }

    /// The keys that nobody else may write meanwhile.
    fn keys(&self) -> impl Iterator<Item = Bytes> {
        let unique = self.entries.iter().filter(|entry| entry.unique);
        std::iter::once(&self.key).chain(unique.map(|entry| &entry.key)).cloned()
    }

    /// Buffers the row in its place, which must be free when the row is new there.
    fn put_row(
        &self,
        txn: &mut Transaction,
        row: &[Value],
        is_new: bool,
        ctx: &EvalContext,
    ) -> Result<()> {
        let value = table_codec::encode_row(self.mirror, row)?;
        self.put(txn, (&self.key, value, is_new), 0, row, ctx)
    }

    fn put_entry(
        &self,
        txn: &mut Transaction,
        entry: &IndexEntry,
        row: &[Value],
        ctx: &EvalContext,
    ) -> Result<()> {
        let what = (&entry.key, entry.value.clone(), entry.unique);
        self.put(txn, what, entry.index, row, ctx)
    }

    fn put(
        &self,
        txn: &mut Transaction,
        (key, value, is_absent): (&Bytes, Bytes, bool),
        index: usize,
        row: &[Value],
        ctx: &EvalContext,
    ) -> Result<()> {
        let expect = if is_absent { Expect::Absent } else { Expect::Any };
        match txn.put(key.clone(), value, expect) {
            Err(txn::Error::AlreadyExists { .. }) => {
                Err(duplicate::error(self.mirror, index, row, ctx))
            }
            other => Ok(other?),
        }
    }

    fn remove(&self, txn: &mut Transaction) -> Result<()> {
        txn.delete(self.key.clone(), Expect::Any)?;
        for entry in &self.entries {
            txn.delete(entry.key.clone(), Expect::Any)?;
        }
        Ok(())
    }
}

/// The number of the error for a row that no set takes.
const NO_PLACE: u16 = 1526;

/// Checks that the former layout, which others may still read, has a place for a row that is written.
///
/// # Errors
/// 1526 when it has none.
pub(super) fn check_place(table: &TableDef, row: &[Value]) -> Result<()> {
    match table.rebuild.as_deref().filter(|rebuild| rebuild.is_added_to()) {
        Some(rebuild) => table_codec::slot_of_row(&rebuild.mirror, row).map(drop),
        None => Ok(()),
    }
}

/// The key of a row's copy, as long as it is to be locked with the row: somebody else may know the row by that key alone.
pub(crate) fn key_of(table: &TableDef, row: &[Value]) -> Result<Option<Bytes>> {
    match table.rebuild.as_deref().filter(|rebuild| rebuild.is_added_to()) {
        Some(rebuild) => table_codec::row_key(&rebuild.mirror, row).map(Some),
        None => Ok(None),
    }
}

/// Buffers the copy of a new row, whose place was checked.
pub(super) fn put_new(
    txn: &mut Transaction,
    table: &TableDef,
    row: &[Value],
    ctx: &EvalContext,
) -> Result<()> {
    let Some(rebuild) = table.rebuild.as_deref().filter(|rebuild| rebuild.is_added_to()) else {
        return Ok(());
    };
    let copy = Twin::of(&rebuild.mirror, row)?;
    copy.put_row(txn, row, true, ctx)?;
    copy.entries.iter().try_for_each(|entry| copy.put_entry(txn, entry, row, ctx))
}

/// Buffers the removal of a row's copy.
pub(super) async fn remove(
    txn: &mut Transaction,
    table: &TableDef,
    row: &[Value],
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<()> {
    let Some(rebuild) = table.rebuild.as_deref() else { return Ok(()) };
    let Some(copy) = Twin::of_old(rebuild, row)? else { return Ok(()) };
    lock(txn, rebuild, copy.keys().collect(), locking, ctx).await?;
    copy.remove(txn)
}

/// Buffers the change of a row's copy, whose new place was checked.
pub(super) async fn change(
    txn: &mut Transaction,
    table: &TableDef,
    (old, new): (&[Value], &[Value]),
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<()> {
    let Some(rebuild) = table.rebuild.as_deref() else { return Ok(()) };
    if !rebuild.is_added_to() {
        return remove(txn, table, old, locking, ctx).await;
    }
    let before = Twin::of(&rebuild.mirror, old)?;
    let after = Twin::of(&rebuild.mirror, new)?;
    lock(txn, rebuild, before.keys().chain(after.keys()).collect(), locking, ctx).await?;
    let moved = before.key != after.key;
    if moved {
        txn.delete(before.key.clone(), Expect::Any)?;
    }
    after.put_row(txn, new, moved, ctx)?;
    for (gone, entry) in before.entries.iter().zip(&after.entries) {
        // Before the cut-over the row may have moved, in the layout that is read, behind the fill: nobody else writes the
        // entries of its copy then, so they are written whether or not they differ.
        if gone == entry && rebuild.is_past_cut_over() {
            continue;
        }
        if gone.key == entry.key {
            // The key stays, and may lead to another place when the row has moved.
            txn.put(entry.key.clone(), entry.value.clone(), Expect::Any)?;
            continue;
        }
        txn.delete(gone.key.clone(), Expect::Any)?;
        after.put_entry(txn, entry, new, ctx)?;
    }
    Ok(())
}

async fn lock(
    txn: &mut Transaction,
    rebuild: &Rebuild,
    mut keys: Vec<Bytes>,
    locking: Option<&Locking>,
    ctx: &EvalContext,
) -> Result<()> {
    let Some(locking) = locking.filter(|_| rebuild.is_added_to()) else { return Ok(()) };
    keys.sort_unstable();
    keys.dedup();
    locking.take_any(txn, &keys, ctx).await.map(drop)
}
