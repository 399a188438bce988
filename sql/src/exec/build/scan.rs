//! Scans: how a table is read, the conditions that this leaves over, and the columns that go up.
//!
//! Not here: which access is taken (`access`), what the scan does (`exec::scan`).

use super::{Builder, Built, Operator, Wish};
use crate::Result;
use crate::access::{self, Access, Choice, ReadOptions};
use crate::context::EvalContext;
use crate::exec::scan::TableScanExec;
use crate::expr::Expr;
use crate::planner::plan::Scan;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Builder<'_> {
    pub(super) fn scan(&self, scan: &Scan, wish: &Wish) -> Result<Built> {
        let table = &scan.table;
        let (choice, walk) = scan_access(scan, &scan.conjuncts, wish, &self.environment.ctx)?;
        let residual: Vec<Expr> = scan
            .conjuncts
            .iter()
            .enumerate()
            .filter(|(i, _)| !choice.covered.contains(i))
            .map(|(_, conjunct)| conjunct.clone())
            .collect();
        let ordered = walk.is_some();
        let options = ReadOptions {
            ordered,
            reverse: walk.unwrap_or(false),
            // A sort above must see every row.
            limit: wish.limit.filter(|_| residual.is_empty() && (ordered || wish.order.is_empty())),
            shard: choice.shard.clone(),
            slots: choice.slots.clone(),
            near: self.environment.ctx.reads_near(),
            carried: access::carries(table, &choice.access, &scan.read_columns()),
        };
        // Columns that only conditions read are decoded, too, and dropped after the conditions.
        let mut read: BTreeSet<usize> = scan.columns.iter().copied().collect();
        for conjunct in &residual {
            conjunct.columns(&mut read);
        }
        let read: Vec<usize> = read.into_iter().collect();
        let place = |column: usize| read.binary_search(&column).unwrap_or(column);
        let scan_exec = TableScanExec::new(
            table.clone(),
            read.clone(),
            choice.access,
            options,
            self.environment.clone(),
        );
        let operator: Operator = match self.division {
            Some(division) => {
                let scan_exec = Arc::new(scan_exec.divided(division.parts.clone()));
                division.scans.borrow_mut().push(scan_exec.clone());
                scan_exec
            }
            None => Arc::new(scan_exec),
        };
        let residual: Vec<Expr> =
            residual.iter().map(|conjunct| conjunct.map_columns(&place)).collect();
        let output: Vec<usize> = scan.columns.iter().map(|&column| place(column)).collect();
        let operator = self.filter_to(operator, &residual, &output)?;
        Ok(Built { operator, ordered })
    }
}

/// How a table is read, and whether its rows then come in the order that was wished for: the
/// direction of the walk that gives it.
pub(super) fn scan_access(
    scan: &Scan,
    conjuncts: &[Expr],
    wish: &Wish,
    ctx: &EvalContext,
) -> Result<(Choice, Option<bool>)> {
    let table = &scan.table;
    let mut choice = access::plan_for(table, conjuncts, &scan.read_columns(), ctx)?;
    if wish.order.is_empty() {
        return Ok((choice, None));
    }
    let keys: Vec<(usize, bool)> =
        wish.order.iter().map(|(column, down)| (scan.columns[*column], *down)).collect();
    let mut walk = access::walk_order(table, &choice.access, &choice.fixed, &keys);
    if walk.is_none() && choice.access == Access::Full && wish.limit.is_some() {
        // An index in that order gives the first rows without reading all of them.
        for index in 1..table.indexes.len() {
            let whole = access::whole_index(table, index)?;
            walk = access::walk_order(table, &whole, &choice.fixed, &keys);
            if walk.is_some() {
                choice.access = whole;
                choice.covered.clear();
                break;
            }
        }
    }
    Ok((choice, walk))
}
