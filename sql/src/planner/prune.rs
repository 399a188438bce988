//! Takes away columns that nobody reads, so that scans decode and joins carry only what is needed.

use super::plan::{
    Aggregate, Join, Lateral, Plan, SUBQUERY, Scan, SortKey, Subqueries, columns_of, move_columns,
};
use crate::binder::subquery::column_expr;
use crate::expr::{Expr, ExprKind};
use std::collections::BTreeSet;

/// The same plan with the same output and no column that is not needed for it.
pub fn prune(plan: Plan, subqueries: &mut Subqueries) -> Plan {
    let width = plan.width();
    let types = plan.types();
    let all: BTreeSet<usize> = (0..width).collect();
    let (plan, kept) = keep(plan, &all, subqueries);
    if kept.iter().copied().eq(0..width) {
        return plan;
    }
    let place = Places(&kept);
    let exprs = (0..width).map(|column| column_expr(place.of(column), types[column], "")).collect();
    Plan::Project { input: Box::new(plan), exprs }
}

/// Where columns stand after pruning: the n-th kept column stands at n.
struct Places<'a>(&'a [usize]);

impl Places<'_> {
    fn of(&self, column: usize) -> usize {
        // Every column that an expression reads was asked to be kept.
        self.0.iter().position(|&kept| kept == column).unwrap_or(column)
    }

    fn expr(&self, expr: &Expr, subqueries: &mut Subqueries) -> Expr {
        move_columns(expr, &|column| self.of(column), subqueries)
    }

    fn exprs(&self, exprs: &[Expr], subqueries: &mut Subqueries) -> Vec<Expr> {
        exprs.iter().map(|expr| self.expr(expr, subqueries)).collect()
    }
}

/// Whether an expression sets a user variable.
fn assigns(expr: &Expr) -> bool {
    expr.any(&|part| matches!(part.kind, ExprKind::AssignUserVariable { .. }))
}

fn with_columns<'a>(
    needed: &BTreeSet<usize>,
    exprs: impl IntoIterator<Item = &'a Expr>,
    subqueries: &Subqueries,
) -> BTreeSet<usize> {
    let mut all = needed.clone();
    for expr in exprs {
        all.extend(columns_of(expr, subqueries));
    }
    all
}

/// The plan with at least the needed columns, and which of its columns are left, in order.
fn keep(plan: Plan, needed: &BTreeSet<usize>, subqueries: &mut Subqueries) -> (Plan, Vec<usize>) {
    match plan {
        Plan::OneRow => (Plan::OneRow, Vec::new()),
        Plan::Rows { .. } | Plan::Shared { .. } => {
            let all = (0..plan.width()).collect();
            (plan, all)
        }
        Plan::Scan(scan) => {
            let kept: Vec<usize> = needed.iter().copied().collect();
            let columns = kept.iter().map(|&column| scan.columns[column]).collect();
            (Plan::Scan(Scan { columns, ..scan }), kept)
        }
        Plan::Filter { input, conjuncts } => {
            let wanted = with_columns(needed, &conjuncts, subqueries);
            let (input, kept) = keep(*input, &wanted, subqueries);
            let conjuncts = Places(&kept).exprs(&conjuncts, subqueries);
            (Plan::Filter { input: Box::new(input), conjuncts }, kept)
        }
        Plan::Project { input, exprs } => {
            // `(SELECT @n := 0) x` is there for what it does, not for its column.
            let is_kept = |column: &usize| needed.contains(column) || assigns(&exprs[*column]);
            let kept: Vec<usize> = (0..exprs.len()).filter(is_kept).collect();
            let exprs: Vec<Expr> = kept.iter().map(|&column| exprs[column].clone()).collect();
            let wanted = with_columns(&BTreeSet::new(), &exprs, subqueries);
            let (input, inner) = keep(*input, &wanted, subqueries);
            let exprs = Places(&inner).exprs(&exprs, subqueries);
            (Plan::Project { input: Box::new(input), exprs }, kept)
        }
        Plan::Join(join) => {
            let width = join.left.width();
            let wanted = with_columns(needed, &join.on, subqueries);
            let left: BTreeSet<usize> = wanted.range(..width).copied().collect();
            let right: BTreeSet<usize> =
                wanted.range(width..SUBQUERY).map(|column| column - width).collect();
            let (left, mut kept) = keep(join.left, &left, subqueries);
            let (right, right_kept) = keep(join.right, &right, subqueries);
            kept.extend(right_kept.iter().map(|column| column + width));
            let on = Places(&kept).exprs(&join.on, subqueries);
            let (kind, straight) = (join.kind, join.straight);
            if !kind.shows_right() {
                kept.truncate(left.width());
            }
            (Plan::Join(Box::new(Join { left, right, kind, on, straight })), kept)
        }
        Plan::Lateral(lateral) => {
            let Lateral { input, call, name, types, kind, on } = *lateral;
            let width = input.width();
            let exprs = std::iter::once(&call).chain(&on);
            let wanted = with_columns(needed, exprs, subqueries);
            let left: BTreeSet<usize> = wanted.range(..width).copied().collect();
            let (input, mut kept) = keep(input, &left, subqueries);
            kept.extend(width..width + types.len());
            let places = Places(&kept);
            let call = places.expr(&call, subqueries);
            let on = places.exprs(&on, subqueries);
            (Plan::Lateral(Box::new(Lateral { input, call, name, types, kind, on })), kept)
        }
        Plan::Aggregate { input, keys, aggregates } => {
            // All keys stay, they make the groups; aggregates that nobody reads go. Without keys one
            // stays, so that there is something to aggregate.
            let count = keys.len();
            let aggregates: Vec<(usize, Aggregate)> = aggregates
                .into_iter()
                .enumerate()
                .map(|(i, aggregate)| (count + i, aggregate))
                .filter(|(column, _)| needed.contains(column) || *column == 0)
                .collect();
            let args = aggregates.iter().flat_map(|(_, aggregate)| &aggregate.args);
            let wanted = with_columns(&BTreeSet::new(), keys.iter().chain(args), subqueries);
            let (input, inner) = keep(*input, &wanted, subqueries);
            let places = Places(&inner);
            let keys = places.exprs(&keys, subqueries);
            let kept = (0..count).chain(aggregates.iter().map(|(column, _)| *column)).collect();
            let aggregates = aggregates
                .into_iter()
                .map(|(_, aggregate)| {
                    let args = places.exprs(&aggregate.args, subqueries);
                    Aggregate { args, ..aggregate }
                })
                .collect();
            (Plan::Aggregate { input: Box::new(input), keys, aggregates }, kept)
        }
        Plan::Distinct { input } => {
            let all: Vec<usize> = (0..input.width()).collect();
            (Plan::Distinct { input: Box::new(prune(*input, subqueries)) }, all)
        }
        Plan::Sort { input, keys } => {
            let wanted = with_columns(needed, keys.iter().map(|key| &key.expr), subqueries);
            let (input, kept) = keep(*input, &wanted, subqueries);
            let places = Places(&kept);
            let keys = keys
                .iter()
                .map(|key| SortKey { expr: places.expr(&key.expr, subqueries), ..key.clone() })
                .collect();
            (Plan::Sort { input: Box::new(input), keys }, kept)
        }
        Plan::Window { input, mut window } => {
            // Functions that nobody reads go; one stays, so that there is a window.
            let width = input.width();
            let is_read = |place: usize| needed.contains(&(width + place));
            let mut read: Vec<usize> = (0..window.calls.len()).filter(|i| is_read(*i)).collect();
            if read.is_empty() {
                read.push(0);
            }
            let mut place = 0;
            window.calls.retain(|_| {
                place += 1;
                read.contains(&(place - 1))
            });
            let mut wanted: BTreeSet<usize> = needed.range(..width).copied().collect();
            wanted.extend(window.columns());
            let (input, mut kept) = keep(*input, &wanted, subqueries);
            let places = Places(&kept);
            window.columns_mut(&mut |column| *column = places.of(*column));
            kept.extend(read.into_iter().map(|place| width + place));
            (Plan::Window { input: Box::new(input), window }, kept)
        }
        Plan::Limit { input, offset, count } => {
            let (input, kept) = keep(*input, needed, subqueries);
            (Plan::Limit { input: Box::new(input), offset, count }, kept)
        }
        Plan::Union { inputs, types } => {
            let kept: Vec<usize> = needed.iter().copied().collect();
            let inputs = inputs
                .into_iter()
                .map(|input| {
                    let types = input.types();
                    let (input, inner) = keep(input, needed, subqueries);
                    if inner == kept {
                        return input;
                    }
                    let places = Places(&inner);
                    let exprs = kept
                        .iter()
                        .map(|&column| column_expr(places.of(column), types[column], ""))
                        .collect();
                    Plan::Project { input: Box::new(input), exprs }
                })
                .collect();
            let types = kept.iter().map(|&column| types[column]).collect();
            (Plan::Union { inputs, types }, kept)
        }
    }
}
