//! TDSQL_DISTRIBUTED BY RANGE and LIST: rows go to the set that the value of a column names. SHARD BY RANGE: they go to the one
//! slot of their range of values, so that rows that are near each other lie in one shard.
//!
//! ```text
//! column's value ──item──> set, a range of slots ──hash of the spread columns──> slot
//!                  └─────> range of keys ──> its slot
//! ```
//!
//! Invariants:
//! 1. An item keeps the slots that its set had when the table was made: a cluster that counts its sets anew moves no row.
//! 2. Values are told apart by their keys of comparison, so that equal text has one item.
//! 3. `spread` has the column, and nothing besides but columns of the primary key.
//! 4. Ranges of keys stand in the order of their bounds, no two in the same slot, and the last one has no end: each value
//!    has a range.
//!
//! Not here: what sets there are (`sets`), how ranges come about (`ddl::ranges`), where a row's key gets its slot (`table_codec`).

use crate::expr::key_bytes;
use crate::types::SqlType;
use crate::value::Value;
use base::{Slot, SlotRange};

/// How a RANGE or LIST table's rows find their slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Position of the column whose value names the set.
    pub column: usize,
    /// Columns whose hash chooses the slot within the set.
    pub spread: Vec<usize>,
    /// What goes where, in the order of the declaration; of RANGE that is the order of values.
    pub items: Vec<SetItem>,
}

/// Values that go to a set.
#[derive(Clone, Debug, PartialEq)]
pub struct SetItem {
    /// Number of the set, from 1: SHOW CREATE TABLE prints it back. 0 for a range of keys, which has none.
    pub set: u32,
    /// Its slots.
    pub slots: SlotRange,
    /// The values.
    pub values: ItemValues,
}

/// Values of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemValues {
    /// VALUES LESS THAN (value): what is smaller, and in no item before. NULL is smaller than all.
    Below(ItemValue),
    /// VALUES LESS THAN (MAXVALUE): all that is in no item before.
    Rest,
    /// VALUES IN (values).
    In(Vec<ItemValue>),
}

/// A value with its key of comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemValue {
    /// The value, of the column's type.
    pub value: Value,
    /// What it is compared by.
    key: Vec<u8>,
}

impl ItemValue {
    /// A value of a column's type.
    pub fn new(value: Value, ty: &SqlType) -> ItemValue {
        let key = key_bytes(&value, ty);
        ItemValue { value, key }
    }

    /// What it is compared by.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

impl SetItem {
    /// A range of keys, in its slot.
    pub fn of_slot(slot: Slot, values: ItemValues) -> SetItem {
        let start = u32::from(slot.0);
        SetItem { set: 0, slots: SlotRange { start, end: start + 1 }, values }
    }

    /// The slot of this item's set that a hash chooses.
    pub fn slot(&self, hash: Slot) -> Slot {
        let SlotRange { start, end } = self.slots;
        Slot((start + u32::from(hash.0) % end.saturating_sub(start).max(1)) as u16)
    }
}

impl Distribution {
    /// The ends of ranges, ascending.
    pub fn bounds(&self) -> impl Iterator<Item = &ItemValue> {
        self.items.iter().filter_map(|item| match &item.values {
            ItemValues::Below(bound) => Some(bound),
            ItemValues::Rest | ItemValues::In(_) => None,
        })
    }

    /// The item of a value, given its key of comparison.
    pub fn item_of(&self, key: &[u8]) -> Option<&SetItem> {
        self.items.iter().find(|item| match &item.values {
            ItemValues::Below(bound) => key < bound.key(),
            ItemValues::Rest => true,
            ItemValues::In(values) => values.iter().any(|value| value.key() == key),
        })
    }

    /// Slots of rows whose column has one of these values.
    pub fn slots_of_values<'a>(
        &self,
        values: impl IntoIterator<Item = &'a Value>,
        ty: &SqlType,
    ) -> Vec<SlotRange> {
        let values = values.into_iter();
        values.filter_map(|value| Some(self.item_of(&key_bytes(value, ty))?.slots)).collect()
    }

    /// Slots of rows whose column is not NULL and lies between two values, both inside; `None` is no bound.
    pub fn slots_between(
        &self,
        lower: Option<&Value>,
        upper: Option<&Value>,
        ty: &SqlType,
    ) -> Vec<SlotRange> {
        let (lower, upper) = (lower.map(|v| key_bytes(v, ty)), upper.map(|v| key_bytes(v, ty)));
        let is_above = |key: &[u8]| lower.as_deref().is_none_or(|lower| key >= lower);
        let is_below = |key: &[u8]| upper.as_deref().is_none_or(|upper| key <= upper);
        let mut slots = Vec::new();
        let mut start: Option<&[u8]> = None;
        for item in &self.items {
            let has_some = match &item.values {
                ItemValues::Below(bound) => {
                    let begins = start.is_none_or(is_below);
                    start = Some(bound.key());
                    // What is smaller than the bound and not below the lower end.
                    begins && lower.as_deref().is_none_or(|lower| lower < bound.key())
                }
                ItemValues::Rest => start.is_none_or(is_below),
                ItemValues::In(values) => {
                    values.iter().any(|value| is_above(value.key()) && is_below(value.key()))
                }
            };
            if has_some {
                slots.push(item.slots);
            }
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_range() -> Distribution {
        let ty = SqlType::int();
        let item = |set: u32, values| SetItem {
            set,
            slots: SlotRange { start: (set - 1) * 100, end: set * 100 },
            values,
        };
        let below = |number| ItemValues::Below(ItemValue::new(Value::Int(number), &ty));
        let items = vec![item(1, below(-5)), item(2, below(100)), item(3, ItemValues::Rest)];
        Distribution { column: 0, spread: vec![0], items }
    }

    fn set_of(value: Value) -> Option<u32> {
        by_range().item_of(&key_bytes(&value, &SqlType::int())).map(|item| item.set)
    }

    #[test]
    fn bounds_belong_to_the_next_item_and_null_to_the_first() {
        let sets = [Value::Null, Value::Int(-6), Value::Int(-5), Value::Int(99), Value::Int(100)];
        let sets = sets.map(set_of);
        assert_eq!(sets, [Some(1), Some(1), Some(2), Some(2), Some(3)]);
    }

    #[test]
    fn a_range_of_values_meets_the_items_that_have_some_of_them() {
        let between = |lower: Option<i64>, upper: Option<i64>| {
            let (lower, upper) = (lower.map(Value::Int), upper.map(Value::Int));
            let found = by_range();
            let found = found.slots_between(lower.as_ref(), upper.as_ref(), &SqlType::int());
            found.into_iter().map(|slots| slots.start / 100 + 1).collect::<Vec<_>>()
        };
        assert_eq!(between(None, Some(-6)), [1]);
        assert_eq!(between(None, Some(-5)), [1, 2]);
        assert_eq!(between(Some(-5), Some(99)), [2]);
        assert_eq!(between(Some(100), None), [3]);
        assert_eq!(between(None, None), [1, 2, 3]);
    }

    #[test]
    fn slots_stay_in_their_set() {
        let distribution = by_range();
        for hash in [0, 99, 100, u16::MAX] {
            let slot = distribution.items[1].slot(Slot(hash));
            assert!((100..200).contains(&slot.0), "{hash}");
        }
    }
}
