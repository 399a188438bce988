//! Sets: fixed equal parts of the slots, for statements that name a part of the cluster as TDSQL's do.
//!
//! ```text
//! slots 0 ──────── 16384 ──────── 32768 ──────── 49152 ──────── 65536
//!          set_1    │     set_2    │     set_3    │     set_4
//! ```
//!
//! A set is no machine and no shard: shards are split and moved beneath it, and its rows stay its own. `tdsql_sets` says how
//! many there are. Names are `set_1` and so on, or `s1`; `allsets` is all of them.
//!
//! Sets may be under placement policies (`placement`), which say where their replicas are.
//!
//! Not here: which rows a table sends to a set (`catalog::distribution`), how a statement runs on sets (`session::on_sets`).

use crate::context::{EvalContext, Scope, VariableSource};
use crate::value::Value;
use crate::{Error, Result};
use base::{Slot, SlotRange};

/// The variable that says how many there are.
pub(crate) const VARIABLE: &str = "tdsql_sets";
/// Most sets there can be.
pub(crate) const SETS_MAX: u32 = 64;
/// The name of all of them.
pub(crate) const ALL: &str = "allsets";

/// The sets of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Sets {
    /// Their slots, in order.
    ranges: Vec<SlotRange>,
}

impl Sets {
    /// As many as the configuration says.
    pub(crate) fn of(variables: &dyn VariableSource) -> Result<Sets> {
        let count = match variables.system(Some(Scope::Global), VARIABLE)? {
            Value::UInt(count) => u32::try_from(count).unwrap_or(SETS_MAX),
            _ => return Err(Error::internal("tdsql_sets is no number")),
        };
        Ok(Sets { ranges: SlotRange::even(count.clamp(1, SETS_MAX)) })
    }

    /// Those that a statement's context knows.
    pub(crate) fn of_context(ctx: &EvalContext) -> Result<Sets> {
        Sets::of(&*ctx.vars)
    }

    /// Numbers of all sets, from 1.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.ranges.len() as u32
    }

    /// The slots of a set.
    pub(crate) fn slots(&self, number: u32) -> Option<SlotRange> {
        self.ranges.get((number as usize).checked_sub(1)?).copied()
    }

    /// The set that has a slot.
    pub(crate) fn of_slot(&self, slot: Slot) -> u32 {
        let place = self.ranges.iter().position(|range| range.contains(slot));
        place.map_or(1, |place| place as u32 + 1)
    }

    /// The sets that have some of these slots.
    pub(crate) fn that_meet(&self, ranges: &[SlotRange]) -> Vec<u32> {
        let meets = |number: &u32| {
            let own = self.slots(*number);
            own.is_some_and(|own| ranges.iter().any(|r| r.start < own.end && own.start < r.end))
        };
        self.numbers().filter(meets).collect()
    }

    /// The set of a name, in any case.
    ///
    /// # Errors
    /// 1210 with the names that there are.
    pub(crate) fn by_name(&self, text: &str) -> Result<u32> {
        let named = |number: &u32| {
            name(*number).eq_ignore_ascii_case(text) || alias(*number).eq_ignore_ascii_case(text)
        };
        self.numbers().find(named).ok_or_else(|| {
            let last = self.ranges.len();
            Error::wrong_arguments(format!(
                "sets: there is no set '{text}'; there are set_1 to set_{last}, or s1 to s{last}"
            ))
        })
    }

    /// The sets of some names, in the order of their numbers.
    ///
    /// # Errors
    /// As [`Sets::by_name`].
    pub(crate) fn by_names(&self, names: &[String]) -> Result<Vec<u32>> {
        if names.iter().any(|name| name.eq_ignore_ascii_case(ALL)) {
            return Ok(self.numbers().collect());
        }
        let mut numbers =
            names.iter().map(|name| self.by_name(name)).collect::<Result<Vec<_>>>()?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}

/// The name of a set.
pub(crate) fn name(number: u32) -> String {
    format!("set_{number}")
}

/// The short name of a set, as CREATE TABLE has it.
pub(crate) fn alias(number: u32) -> String {
    format!("s{number}")
}

/// Names of sets with commas between.
pub(crate) fn names(numbers: &[u32]) -> String {
    numbers.iter().map(|number| name(*number)).collect::<Vec<_>>().join(",")
}
