//! What window functions see in their partition or frame.

use super::Partition;
use super::frame::Frames;
use crate::context::EvalContext;
use crate::exec::aggregate::Running;
use crate::planner::plan::{Bound, WindowCall, WindowFunction};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};
use std::sync::Arc;

/// A window function over the columns that are read.
pub(super) struct Function {
    call: WindowCall,
    types: Vec<SqlType>,
    ctx: Arc<EvalContext>,
}

impl Function {
    pub(super) fn new(call: &WindowCall, types: &[SqlType], ctx: &Arc<EvalContext>) -> Function {
        Function { call: call.clone(), types: types.to_vec(), ctx: ctx.clone() }
    }

    /// Its value for each row of a partition, in their order.
    pub(super) fn run(
        &self,
        partition: &Partition,
        ctx: &EvalContext,
        out: &mut dyn FnMut(Value),
    ) -> Result<()> {
        let count = partition.rows.len();
        match &self.call.function {
            WindowFunction::RowNumber => (1..=count).for_each(|number| out(unsigned(number))),
            WindowFunction::Rank => {
                self.by_peers(partition, &mut |start, _, _| unsigned(start + 1), out);
            }
            WindowFunction::DenseRank => {
                self.by_peers(partition, &mut |_, _, group| unsigned(group + 1), out);
            }
            WindowFunction::PercentRank => {
                let others = count.saturating_sub(1).max(1) as f64;
                let share = &mut |start, _, _| Value::Double(start as f64 / others);
                self.by_peers(partition, share, out);
            }
            WindowFunction::CumeDist => {
                let share = &mut |_, end, _| Value::Double(end as f64 / count as f64);
                self.by_peers(partition, share, out);
            }
            WindowFunction::Ntile => self.ntile(partition, out)?,
            WindowFunction::Shift { back } => self.shift(partition, *back, out)?,
            WindowFunction::First | WindowFunction::Last | WindowFunction::Nth => {
                let frames = Frames::new(&self.call.frame, partition, &self.types);
                for at in 0..count {
                    let frame = frames.of(at)?;
                    let place = match self.call.function {
                        WindowFunction::Last => frame.end.checked_sub(1),
                        WindowFunction::Nth => {
                            let n = self.positive(partition, at, 1, "nth_value")?;
                            n.map(|n| frame.start.saturating_add(n - 1))
                        }
                        _ => Some(frame.start),
                    };
                    let place = place.filter(|place| frame.contains(place));
                    let value = place.map(|place| partition.rows[place][self.call.args[0]].clone());
                    out(value.unwrap_or_default());
                }
            }
            WindowFunction::Aggregate(_) => self.aggregate(partition, ctx, out)?,
        }
        Ok(())
    }

    /// A value for each group of peers: from where it starts and ends, and its number.
    fn by_peers(
        &self,
        partition: &Partition,
        value: &mut dyn FnMut(usize, usize, usize) -> Value,
        out: &mut dyn FnMut(Value),
    ) {
        for (group, start) in partition.peers.iter().enumerate() {
            let end = partition.peers.get(group + 1).copied().unwrap_or(partition.rows.len());
            let value = value(*start, end, group);
            (*start..end).for_each(|_| out(value.clone()));
        }
    }

    /// The first rows' parts have one row more when the rows do not divide evenly.
    fn ntile(&self, partition: &Partition, out: &mut dyn FnMut(Value)) -> Result<()> {
        let count = partition.rows.len();
        for at in 0..count {
            let Some(parts) = self.positive(partition, at, 0, "ntile")? else {
                out(Value::Null);
                continue;
            };
            let (small, larger) = (count / parts, count % parts);
            let in_larger = larger * (small + 1);
            let part = match at < in_larger {
                true => at / (small + 1),
                false => larger + (at - in_larger) / small.max(1),
            };
            out(unsigned(part + 1));
        }
        Ok(())
    }

    fn shift(&self, partition: &Partition, back: bool, out: &mut dyn FnMut(Value)) -> Result<()> {
        let args = &self.call.args;
        let name = if back { "lag" } else { "lead" };
        for (at, row) in partition.rows.iter().enumerate() {
            let distance = match args.get(1).map(|column| &row[*column]) {
                None => 1,
                Some(distance) => {
                    let distance = distance.as_integer().filter(|distance| *distance >= 0);
                    let distance = distance.ok_or_else(|| Error::wrong_arguments(name))?;
                    usize::try_from(distance).unwrap_or(usize::MAX)
                }
            };
            let place = if back { at.checked_sub(distance) } else { at.checked_add(distance) };
            let found = place.and_then(|place| partition.rows.get(place));
            out(match (found, args.get(2)) {
                (Some(found), _) => found[args[0]].clone(),
                (None, Some(default)) => row[*default].clone(),
                (None, None) => Value::Null,
            });
        }
        Ok(())
    }

    /// An argument that is a positive whole number, or NULL.
    fn positive(
        &self,
        partition: &Partition,
        at: usize,
        arg: usize,
        name: &str,
    ) -> Result<Option<usize>> {
        let value = &partition.rows[at][self.call.args[arg]];
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_integer().and_then(|number| usize::try_from(number).ok());
        number.filter(|number| *number > 0).map(Some).ok_or_else(|| Error::wrong_arguments(name))
    }

    /// Frames that begin with the partition grow from row to row; others are summed up anew.
    fn aggregate(
        &self,
        partition: &Partition,
        ctx: &EvalContext,
        out: &mut dyn FnMut(Value),
    ) -> Result<()> {
        let WindowFunction::Aggregate(function) = &self.call.function else {
            return Err(Error::internal("an aggregate of a window that is none"));
        };
        let types = self.call.args.iter().map(|column| self.types[*column]).collect();
        let new = || Running::new(function.clone(), Vec::clone(&types), self.call.ty, &self.ctx);
        let frames = Frames::new(&self.call.frame, partition, &self.types);
        let grows = self.call.frame.start == Bound::Unbounded;
        let mut running = new();
        let mut seen = 0..0;
        let mut value: Option<Value> = None;
        for at in 0..partition.rows.len() {
            ctx.check_cancel()?;
            let frame = frames.of(at)?;
            if value.is_some() && frame == seen {
                out(value.clone().unwrap_or_default());
                continue;
            }
            if !grows || frame.end < seen.end || frame.start != seen.start {
                running = new();
                seen = frame.start..frame.start;
            }
            for row in &partition.rows[seen.end..frame.end.max(seen.end)] {
                let args: Vec<Value> =
                    self.call.args.iter().map(|column| row[*column].clone()).collect();
                running.add(&args)?;
            }
            seen = frame;
            let result = running.value()?;
            out(result.clone());
            value = Some(result);
        }
        Ok(())
    }
}

fn unsigned(number: usize) -> Value {
    Value::UInt(number as u64)
}
