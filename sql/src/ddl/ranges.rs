//! SHARD BY RANGE, and ALTER TABLE … SPLIT RANGE AT and MERGE RANGES AT.
//!
//! ```text
//! values  ──────┤ 1000 ├──────────────┤ 5000 ├─────────▶
//! slots     s           s + 1/3 of all        s + 2/3 of all       evenly spread, from a place that the table's id gives
//!
//! SPLIT RANGE AT (9000):              ┤ 5000 ├──────┤ 9000 ├───▶   the new range gets the middle of the widest gap
//!                                       keeps its slot
//! ```
//!
//! A row's slot is part of its key. Where no row moves, since the part above a new bound is empty, the definition alone
//! changes; that is looked at while the table is locked as TRUNCATE locks it. Anything else is a job that copies the whole
//! table into a layout with the new ranges while it is used (`rekey`); their slots are spread evenly anew.
//!
//! Not here: where a row's value finds its range (`catalog::distribution`).

use super::change::{Before, Touched, change_after};
use super::create_table::{check_distribution_type, distribution_value};
use super::{database_of, indexes, rekey};
use crate::access::{self, Access, ReadOptions, term::Range};
use crate::ast;
use crate::catalog::index_jobs::Rekey;
use crate::catalog::{Distribution, ItemValue, ItemValues, SetItem, Sharding, TableDef};
use crate::context::EvalContext;
use crate::dml::find_table;
use crate::expr::key_bytes;
use crate::instance::Instance;
use crate::printer;
use crate::session::{Outcome, Session};
use crate::{Error, Result};
use base::limits::KEY_RANGES_MAX;
use base::{SLOT_COUNT, Slot, SlotRange};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use txn::Transaction;
use txn::transaction::Mode;

/// The ranges of a table, each with a slot.
pub(super) fn define(
    table: &TableDef,
    columns: &[usize],
    bounds: &[ast::Expr],
    ctx: &EvalContext,
) -> Result<Distribution> {
    let [column] = columns else {
        return Err(Error::not_supported(
            "SHARD BY RANGE of several columns: name the first one, rows with the same value of it stay together",
        ));
    };
    check_distribution_type(&table.columns[*column], "SHARD BY RANGE")?;
    check_count(bounds.len() + 1)?;
    Ok(evenly(table, *column, bounds_of(bounds, table, *column, ctx)?))
}

/// Ranges between bounds, which rise, with slots that lie as far from each other as can be.
fn evenly(table: &TableDef, column: usize, bounds: Vec<ItemValue>) -> Distribution {
    let first = u32::from(Slot::of(&table.id.0.to_be_bytes()).0);
    let places = SlotRange::even(bounds.len() as u32 + 1);
    let ends = bounds.into_iter().map(ItemValues::Below).chain([ItemValues::Rest]);
    let items = places.into_iter().zip(ends).map(|(place, values)| {
        let slot = (first + place.start) % SLOT_COUNT;
        SetItem::of_slot(Slot(slot as u16), values)
    });
    Distribution { column, spread: vec![column], items: items.collect() }
}

fn check_count(ranges: usize) -> Result<()> {
    if ranges > KEY_RANGES_MAX {
        return Err(Error::not_supported(format!(
            "SHARD BY RANGE with more than {KEY_RANGES_MAX} ranges: take wider ones, or shard the table by a hash"
        )));
    }
    Ok(())
}

/// Values between ranges, which must rise.
fn bounds_of(
    exprs: &[ast::Expr],
    table: &TableDef,
    column: usize,
    ctx: &EvalContext,
) -> Result<Vec<ItemValue>> {
    let column = &table.columns[column];
    let name = &column.name;
    let mut bounds: Vec<ItemValue> = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let bound = distribution_value(expr, column, ctx).map_err(|error| {
            let is_other = error != Error::wrong_set_value();
            if is_other { error } else { Error::range_bound_type(name, printer::expr(expr)) }
        })?;
        if bound.value.is_null() {
            return Err(Error::range_bound_null(name));
        }
        if bounds.last().is_some_and(|before| bound.key() <= before.key()) {
            return Err(Error::range_bound_order(name, printer::expr(expr)));
        }
        bounds.push(bound);
    }
    Ok(bounds)
}

/// The ranges of a table.
fn ranges_of<'t>(table: &'t TableDef, statement: &str) -> Result<&'t Distribution> {
    match &table.sharding {
        Sharding::Keys(by) => Ok(by),
        _ => Err(Error::not_supported(format!(
            "{statement} of a table without ranges: give it some with ALTER TABLE … SHARD BY RANGE"
        ))),
    }
}

/// Whether one of some values is this one.
fn has<'v>(values: impl IntoIterator<Item = &'v ItemValue>, value: &ItemValue) -> bool {
    values.into_iter().any(|known| known.key() == value.key())
}

/// Position of the range that a bound, which is none of theirs, lies in.
fn position_of(by: &Distribution, bound: &ItemValue) -> usize {
    by.bounds().take_while(|known| known.key() < bound.key()).count()
}

/// The middle of the widest gap between the slots of ranges.
fn free_slot(items: &[SetItem]) -> Slot {
    let mut slots: Vec<u32> = items.iter().map(|item| item.slots.start).collect();
    slots.sort_unstable();
    let around = slots.first().map(|first| first + SLOT_COUNT);
    let ends = slots.iter().copied().skip(1).chain(around);
    let (mut widest, mut slot) = (0, 0);
    for (start, end) in slots.iter().copied().zip(ends) {
        if end - start > widest {
            widest = end - start;
            slot = (start + widest / 2) % SLOT_COUNT;
        }
    }
    Slot(slot as u16)
}

/// 1235 for SPLIT RANGE or MERGE RANGES beside other parts of ALTER TABLE.
pub(super) fn check_alone(changes: &[ast::TableChange]) -> Result<()> {
    use ast::TableChange::{MergeRanges, SplitRange};
    let of_ranges = |change: &ast::TableChange| matches!(change, SplitRange(_) | MergeRanges(_));
    if changes.len() > 1 && changes.iter().any(of_ranges) {
        return Err(Error::not_supported(
            "SPLIT RANGE or MERGE RANGES together with other changes: use one ALTER TABLE for each",
        ));
    }
    Ok(())
}

/// ALTER TABLE … SPLIT RANGE AT: at once where no row moves, else by a job.
pub(super) async fn split(
    session: &mut Session,
    name: &ast::TableName,
    bounds: &[ast::Expr],
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, name)?.to_string();
    let default = session.database.clone();
    let meets_rows = AtomicBool::new(false);
    let division = Division { name, default, bounds, ctx: &ctx, meets_rows };
    let instance = session.instance.clone();
    // Looked at before the table is locked: who divides a range that has rows holds up nobody.
    if division.is_free(&instance).await? {
        let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
        let made = change_after(session, touched, Some(Before::Division(&division)), |change| {
            let table = find_table(name, division.default.as_deref(), &change.catalog)?;
            indexes::check_no_rekey(&change.index_jobs, &table)?;
            change.put_table(&division.divide(&table)?)?;
            Ok(true)
        })
        .await;
        match made {
            Ok(()) => return Ok(Outcome::done()),
            // They came meanwhile.
            Err(_) if division.meets_rows.load(Ordering::Acquire) => {}
            Err(error) => return Err(error),
        }
    }
    rekey::begin(session, name, |table, rows| {
        let (by, added) = division.place(table)?;
        let mut bounds: Vec<ItemValue> = by.bounds().cloned().chain(added).collect();
        bounds.sort_by(|a, b| a.key().cmp(b.key()));
        Ok(Rekey::of_ranges(rows, evenly(table, by.column, bounds)))
    })
    .await
}

/// ALTER TABLE … MERGE RANGES AT: a job copies the rows into the ranges that are left.
pub(super) async fn merge(
    session: &mut Session,
    name: &ast::TableName,
    bounds: &[ast::Expr],
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    rekey::begin(session, name, |table, rows| {
        let by = ranges_of(table, "MERGE RANGES")?;
        let gone = bounds_of(bounds, table, by.column, &ctx)?;
        let mut named = bounds.iter().zip(&gone);
        if let Some((expr, _)) = named.find(|(_, bound)| !has(by.bounds(), bound)) {
            let column = &table.columns[by.column].name;
            return Err(Error::range_bound_unknown(column, printer::expr(expr)));
        }
        let left = by.bounds().filter(|bound| !has(&gone, bound)).cloned().collect();
        Ok(Rekey::of_ranges(rows, evenly(table, by.column, left)))
    })
    .await
}

/// Ranges that are to be divided at once.
pub(super) struct Division<'a> {
    name: &'a ast::TableName,
    /// The session's database.
    default: Option<std::sync::Arc<str>>,
    bounds: &'a [ast::Expr],
    ctx: &'a EvalContext,
    /// Whether rows were met above a bound while the table was locked.
    meets_rows: AtomicBool,
}

impl Division<'_> {
    /// The table's ranges, and the new bounds.
    fn place<'t>(&self, table: &'t TableDef) -> Result<(&'t Distribution, Vec<ItemValue>)> {
        let by = ranges_of(table, "SPLIT RANGE")?;
        let bounds = bounds_of(self.bounds, table, by.column, self.ctx)?;
        let mut named = self.bounds.iter().zip(&bounds);
        if let Some((expr, _)) = named.find(|(_, bound)| has(by.bounds(), bound)) {
            let column = &table.columns[by.column].name;
            return Err(Error::range_bound_known(column, printer::expr(expr)));
        }
        check_count(by.items.len() + bounds.len())?;
        Ok((by, bounds))
    }

    /// The table with its ranges divided; the lowest part of each keeps the slot.
    fn divide(&self, table: &TableDef) -> Result<TableDef> {
        let (by, bounds) = self.place(table)?;
        let mut by = by.clone();
        for bound in bounds {
            let position = position_of(&by, &bound);
            let values = by.items[position].values.clone();
            let upper = SetItem::of_slot(free_slot(&by.items), values);
            by.items[position].values = ItemValues::Below(bound);
            by.items.insert(position + 1, upper);
        }
        Ok(TableDef { sharding: Sharding::Keys(by), ..table.clone() })
    }

    /// Refuses to divide a range that has rows above the bound. The table is locked: nobody adds any.
    pub(super) async fn check_empty(&self, instance: &Instance) -> Result<()> {
        if self.is_free(instance).await? {
            return Ok(());
        }
        self.meets_rows.store(true, Ordering::Release);
        Err(Error::table_changed())
    }

    /// Whether an index tells that no row moves: none lies above the lowest new bound of its range.
    async fn is_free(&self, instance: &Instance) -> Result<bool> {
        let catalog = instance.catalog.current().await?;
        let table = find_table(self.name, self.default.as_deref(), &catalog)?;
        let (by, bounds) = self.place(&table)?;
        let mut divided = None;
        for bound in &bounds {
            let position = position_of(by, bound);
            let is_lowest = divided.replace(position) != Some(position);
            if is_lowest && !self.is_empty_above(instance, &table, (by, position), bound).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a range has no row from a bound on. Without an index that says so quickly it may have some.
    async fn is_empty_above(
        &self,
        instance: &Instance,
        table: &Arc<TableDef>,
        (by, position): (&Distribution, usize),
        bound: &ItemValue,
    ) -> Result<bool> {
        let column = by.column;
        let upper = match &by.items[position].values {
            ItemValues::Below(end) => Some((end.value.clone(), false)),
            ItemValues::Rest | ItemValues::In(_) => None,
        };
        let lower = Some((bound.value.clone(), true));
        let range = Range { lower, upper, ..Range::default() };
        let choice = access::of_range(table, column, range, self.ctx)?;
        if matches!(choice.access, Access::Full | Access::Partitions(_)) {
            return Ok(false);
        }
        let mut transaction = Transaction::begin(instance.config.client.clone(), Mode::Snapshot);
        let (shard, slots) = (choice.shard, choice.slots);
        let options = ReadOptions { shard, slots, ..ReadOptions::default() };
        let mut rows =
            access::read(&choice.access, table, &[column], options, &mut transaction).await?;
        while let Some(page) = rows.next_page(&mut transaction).await? {
            for (_, row) in &page {
                let key = key_bytes(&row[column], &table.columns[column].ty);
                if key.as_slice() >= bound.key() && by.item_of(&key) == by.items.get(position) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_slot(slots: &[u16]) -> u16 {
        let items: Vec<SetItem> =
            slots.iter().map(|slot| SetItem::of_slot(Slot(*slot), ItemValues::Rest)).collect();
        free_slot(&items).0
    }

    #[test]
    fn a_new_range_goes_where_most_room_is() {
        assert_eq!(next_slot(&[100]), 32_868, "half around");
        assert_eq!(next_slot(&[40_000]), 7232, "over the end");
        assert_eq!(next_slot(&[0, 32_768]), 16_384);
        assert_eq!(next_slot(&[32_768, 0, 16_384]), 49_152);
        assert_eq!(next_slot(&[65_535, 10]), 32_772);
    }

    #[test]
    fn there_is_room_for_all_ranges() {
        let mut slots = vec![7];
        while slots.len() < KEY_RANGES_MAX {
            let slot = next_slot(&slots);
            assert!(!slots.contains(&slot), "{slot}");
            slots.push(slot);
        }
    }
}
