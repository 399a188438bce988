//! SHARD BY RANGE of CREATE TABLE, and ALTER TABLE … SPLIT RANGE AT.
//!
//! ```text
//! values  ──────┤ 1000 ├──────────────┤ 5000 ├─────────▶
//! slots     s           s + 1/3 of all        s + 2/3 of all       evenly spread, from a place that the table's id gives
//!
//! SPLIT RANGE AT (9000):              ┤ 5000 ├──────┤ 9000 ├───▶   the new range gets the middle of the widest gap
//!                                       keeps its slot
//! ```
//!
//! A row's slot is part of its key, so a range is divided only where no row moves: the part above the new bound must be
//! empty. That is looked at while the table is locked as TRUNCATE locks it.
//!
//! Not here: where a row's value finds its range (`catalog::distribution`).

use super::create_table::{check_distribution_type, distribution_value};
use super::{Touched, change_after, database_of};
use crate::access::{self, Access, ReadOptions, term::Range};
use crate::ast;
use crate::catalog::{Distribution, ItemValue, ItemValues, SetItem, Sharding, TableDef};
use crate::context::EvalContext;
use crate::dml::find_table;
use crate::expr::key_bytes;
use crate::instance::Instance;
use crate::session::{Outcome, Session};
use crate::{Error, Result};
use base::limits::KEY_RANGES_MAX;
use base::{SLOT_COUNT, Slot, SlotRange};
use txn::Transaction;
use txn::transaction::Mode;

/// The ranges of a new table, each with a slot.
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
    let mut ends: Vec<ItemValues> = Vec::with_capacity(bounds.len() + 1);
    for bound in bounds {
        let bound = bound_of(bound, table, *column, ctx)?;
        if let Some(ItemValues::Below(before)) = ends.last()
            && bound.key() <= before.key()
        {
            return Err(Error::range_not_increasing());
        }
        ends.push(ItemValues::Below(bound));
    }
    ends.push(ItemValues::Rest);
    let first = u32::from(Slot::of(&table.id.0.to_be_bytes()).0);
    let places = SlotRange::even(ends.len() as u32);
    let items = places.into_iter().zip(ends).map(|(place, values)| {
        let slot = (first + place.start) % SLOT_COUNT;
        SetItem::of_slot(Slot(slot as u16), values)
    });
    Ok(Distribution { column: *column, spread: vec![*column], items: items.collect() })
}

fn check_count(ranges: usize) -> Result<()> {
    if ranges > KEY_RANGES_MAX {
        return Err(Error::not_supported(format!(
            "SHARD BY RANGE with more than {KEY_RANGES_MAX} ranges: take wider ones, or shard the table by a hash"
        )));
    }
    Ok(())
}

/// A value between two ranges.
fn bound_of(
    expr: &ast::Expr,
    table: &TableDef,
    column: usize,
    ctx: &EvalContext,
) -> Result<ItemValue> {
    let bound = distribution_value(expr, &table.columns[column], ctx)?;
    if bound.value.is_null() {
        return Err(Error::null_bound());
    }
    Ok(bound)
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

/// ALTER TABLE … SPLIT RANGE AT.
pub(super) async fn split(
    session: &mut Session,
    name: &ast::TableName,
    bound: &ast::Expr,
) -> Result<Outcome> {
    let ctx = session.dml_context(Vec::new(), false);
    let database = database_of(session, name)?.to_string();
    let division = Division { name, default: session.database.clone(), bound, ctx: &ctx };
    let touched = Touched::Tables(vec![(database.as_str(), name.name.as_str())]);
    change_after(session, touched, Some(&division), |change| {
        let table = find_table(name, division.default.as_deref(), &change.catalog)?;
        change.put_table(&division.divide(&table)?)?;
        Ok(true)
    })
    .await?;
    Ok(Outcome::done())
}

/// A range that is to be divided.
pub(super) struct Division<'a> {
    name: &'a ast::TableName,
    /// The session's database.
    default: Option<std::sync::Arc<str>>,
    bound: &'a ast::Expr,
    ctx: &'a EvalContext,
}

impl Division<'_> {
    /// The table's ranges, the position of the one that the bound lies in, and the bound.
    fn place<'t>(&self, table: &'t TableDef) -> Result<(&'t Distribution, usize, ItemValue)> {
        let Sharding::Keys(by) = &table.sharding else {
            return Err(Error::not_supported(
                "SPLIT RANGE of a table without ranges: create one with SHARD BY RANGE and INSERT … SELECT into it",
            ));
        };
        let bound = bound_of(self.bound, table, by.column, self.ctx)?;
        if by.bounds().any(|known| known.key() == bound.key()) {
            return Err(Error::range_not_increasing());
        }
        check_count(by.items.len() + 1)?;
        let position = by.bounds().take_while(|known| known.key() < bound.key()).count();
        Ok((by, position, bound))
    }

    /// The table with one range more.
    fn divide(&self, table: &TableDef) -> Result<TableDef> {
        let (by, position, bound) = self.place(table)?;
        let mut items = by.items.clone();
        let upper = SetItem::of_slot(free_slot(&items), items[position].values.clone());
        items[position].values = ItemValues::Below(bound);
        items.insert(position + 1, upper);
        let sharding = Sharding::Keys(Distribution { items, ..by.clone() });
        Ok(TableDef { sharding, ..table.clone() })
    }

    /// Refuses to divide a range that has rows above the bound. The table is locked: nobody adds any.
    pub(super) async fn check_empty(&self, instance: &Instance) -> Result<()> {
        let catalog = instance.catalog.current().await?;
        let table = find_table(self.name, self.default.as_deref(), &catalog)?;
        let (by, position, bound) = self.place(&table)?;
        let column = by.column;
        let upper = match &by.items[position].values {
            ItemValues::Below(end) => Some((end.value.clone(), false)),
            ItemValues::Rest | ItemValues::In(_) => None,
        };
        let lower = Some((bound.value.clone(), true));
        let range = Range { lower, upper, conjuncts: Vec::new() };
        let choice = access::of_range(&table, column, range, self.ctx)?;
        let definition = &table.columns[column];
        if matches!(choice.access, Access::Full | Access::Partitions(_)) {
            return Err(Error::not_supported(format!(
                "SPLIT RANGE without an index that begins with '{}': it would read the whole range; add an index first",
                definition.name
            )));
        }
        let mut transaction = Transaction::begin(instance.config.client.clone(), Mode::Snapshot);
        let (shard, slots) = (choice.shard, choice.slots);
        let options = ReadOptions { shard, slots, ..ReadOptions::default() };
        let mut rows =
            access::read(&choice.access, &table, &[column], options, &mut transaction).await?;
        while let Some(page) = rows.next_page(&mut transaction).await? {
            for (_, row) in &page {
                let key = key_bytes(&row[column], &definition.ty);
                if key.as_slice() >= bound.key() && by.item_of(&key) == by.items.get(position) {
                    return Err(Error::not_supported(
                        "SPLIT RANGE below rows that are there: choose a value above the highest of the range, or create a \
                         table with these ranges and INSERT … SELECT into it",
                    ));
                }
            }
        }
        Ok(())
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
