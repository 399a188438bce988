//! Queries of WITH: each runs once, and its rows are kept for all that read it.
//!
//! ```text
//! plain        plan ──> rows
//! recursive    seed ──> round 1 reads the seed's rows ──> round 2 reads those of round 1 ──> … ──> a round without new rows
//! ```
//!
//! Invariants:
//! 1. The values of all rounds have the types of the seed; what does not fit is an error or a warning, as in INSERT.
//! 2. Rounds end: after `cte_max_recursion_depth` of them with 3636, beyond the query's memory with 1038, and at KILL.
//!
//! Reference: MySQL 8.4 manual, 15.2.20 "WITH (Common Table Expressions)".

use super::{Environment, collect_plan};
use crate::expr::{Expr, key_bytes};
use crate::planner::plan::{Recursion, Subqueries, Subquery};
use crate::types::{SqlType, assign};
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::limits::QUERY_BYTES_MAX;
use std::collections::HashSet;
use std::sync::Arc;

/// The rows of a query of WITH. Those that it reads have run.
pub(super) async fn rows_of(
    subquery: &Subquery,
    recursion: Option<&Recursion>,
    subqueries: &Subqueries,
    environment: &Environment,
) -> Result<Vec<Row>> {
    let plan = (*subquery.plan).clone();
    let types: Vec<SqlType> = plan.types().into_iter().map(|ty| ty.with_nullable(true)).collect();
    let first = collect_plan(plan, subqueries.clone(), environment, usize::MAX).await?;
    match recursion {
        None => Ok(first),
        Some(recursion) => rounds(recursion, &types, first, subqueries, environment).await,
    }
}

async fn rounds(
    recursion: &Recursion,
    types: &[SqlType],
    first: Vec<Row>,
    subqueries: &Subqueries,
    environment: &Environment,
) -> Result<Vec<Row>> {
    let ctx = &environment.ctx;
    let number = |expr: &Option<Expr>| -> Result<Option<usize>> {
        let Some(expr) = expr else { return Ok(None) };
        Ok(match expr.eval(&[], ctx)? {
            Value::UInt(number) => Some(usize::try_from(number).unwrap_or(usize::MAX)),
            Value::Int(number) => Some(usize::try_from(number).unwrap_or(0)),
            _ => None,
        })
    };
    let offset = number(&recursion.offset)?.unwrap_or(0);
    let enough = number(&recursion.count)?.map(|count| count.saturating_add(offset));
    let mut known = recursion.distinct.then(HashSet::new);
    let mut bytes = 0;
    let mut all: Vec<Row> = Vec::new();
    let mut last = Vec::new();
    for row in first {
        keep(row, types, &mut known, &mut last, &mut bytes)?;
    }
    let mut subqueries = subqueries.clone();
    let mut round = 0;
    loop {
        all.extend(last.iter().cloned());
        if last.is_empty() || enough.is_some_and(|enough| all.len() >= enough) {
            break;
        }
        if round >= ctx.cte_max_recursion_depth {
            return Err(Error::recursion_depth(round + 1));
        }
        round += 1;
        let mut working = (*subqueries[recursion.working]).clone();
        working.rows = Some(Arc::new(std::mem::take(&mut last)));
        subqueries[recursion.working] = Arc::new(working);
        for step in &recursion.steps {
            ctx.check_cancel()?;
            let own = step.types();
            let rows =
                collect_plan(step.clone(), subqueries.clone(), environment, usize::MAX).await?;
            for (i, row) in rows.into_iter().enumerate() {
                let row = as_seed(row, &own, types, &recursion.names, i as u64 + 1, environment)?;
                keep(row, types, &mut known, &mut last, &mut bytes)?;
            }
        }
    }
    if let Some(enough) = enough {
        all.truncate(enough);
    }
    all.drain(..offset.min(all.len()));
    Ok(all)
}

/// A row with the types of the first round.
fn as_seed(
    row: Row,
    own: &[SqlType],
    types: &[SqlType],
    names: &[String],
    number: u64,
    environment: &Environment,
) -> Result<Row> {
    let ctx = &environment.ctx;
    let fits = |own: &SqlType, ty: &SqlType| own.with_nullable(true) == ty.with_nullable(true);
    let values = row.into_iter().zip(own.iter().zip(types)).zip(names);
    let seed = |((value, (own, ty)), name): ((Value, (&SqlType, &SqlType)), &String)| {
        if fits(own, ty) {
            return Ok(value);
        }
        let warnings = ctx.warnings.count();
        let value = assign(value, ty, name, number, ctx)?;
        // In strict mode what does not fit is an error here, too, though nothing is stored.
        match ctx.sql_mode.is_strict() && ctx.warnings.count() > warnings {
            true if ty.is_string() || ty.is_bytes() => Err(Error::too_long(name, number)),
            true => Err(Error::out_of_range(name, number)),
            false => Ok(value),
        }
    };
    values.map(seed).collect()
}

/// Adds a row, unless it is known and equal rows count once.
fn keep(
    row: Row,
    types: &[SqlType],
    known: &mut Option<HashSet<Vec<u8>>>,
    rows: &mut Vec<Row>,
    bytes: &mut usize,
) -> Result<()> {
    if let Some(known) = known {
        let mut key = Vec::new();
        for (value, ty) in row.iter().zip(types) {
            let part = key_bytes(value, ty);
            key.extend((part.len() as u64).to_be_bytes());
            key.extend(part);
        }
        *bytes += key.len();
        if !known.insert(key) {
            return Ok(());
        }
    }
    *bytes += row.iter().map(size_of_value).sum::<usize>();
    if *bytes > QUERY_BYTES_MAX {
        return Err(Error::out_of_memory(
            "a recursive query of WITH returns too many rows; add a condition or LIMIT",
        ));
    }
    rows.push(row);
    Ok(())
}

fn size_of_value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
}
