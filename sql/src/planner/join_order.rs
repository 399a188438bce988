//! The order of inner joins.
//!
//! A run of inner joins is a set of inputs and a list of conditions. It starts with the input that is
//! read by the best access path (the first one of equals) and goes on with inputs that an equality
//! ties to what is joined already, in the order in which they were written. So `FROM a, b, c WHERE
//! a.x = c.x AND b.y = c.y` never builds the product of `a` and `b`.
//!
//! Where the rows of all inputs can be estimated (`estimate`), it starts with the input that has the fewest, and goes on with the tied
//! input that has the fewest rows for each row so far.
//!
//! STRAIGHT_JOIN and LEFT JOIN keep their places.

use super::estimate;
use super::plan::{Join, JoinKind, Lateral, Plan, SUBQUERY, Subqueries, columns_of, move_columns};
use crate::Result;
use crate::access::{self, Access};
use crate::binder::subquery::column_expr;
use crate::context::EvalContext;
use crate::expr::{CompareOp, Expr, ExprKind};
use std::collections::BTreeSet;

/// The plan with its inner joins in order.
pub fn order_joins(plan: Plan, subqueries: &mut Subqueries, ctx: &EvalContext) -> Result<Plan> {
    Ok(match plan {
        Plan::Join(join) if join.kind == JoinKind::Inner && !join.straight => {
            order(*join, subqueries, ctx)?
        }
        Plan::Join(mut join) => {
            join.left = order_joins(join.left, subqueries, ctx)?;
            join.right = order_joins(join.right, subqueries, ctx)?;
            Plan::Join(join)
        }
        Plan::Lateral(lateral) => {
            let input = order_joins(lateral.input, subqueries, ctx)?;
            Plan::Lateral(Box::new(Lateral { input, ..*lateral }))
        }
        Plan::Filter { input, conjuncts } => {
            Plan::Filter { input: Box::new(order_joins(*input, subqueries, ctx)?), conjuncts }
        }
        Plan::Project { input, exprs } => {
            Plan::Project { input: Box::new(order_joins(*input, subqueries, ctx)?), exprs }
        }
        Plan::Aggregate { input, keys, aggregates } => Plan::Aggregate {
            input: Box::new(order_joins(*input, subqueries, ctx)?),
            keys,
            aggregates,
        },
        Plan::Distinct { input } => {
            Plan::Distinct { input: Box::new(order_joins(*input, subqueries, ctx)?) }
        }
        Plan::Window { input, window } => {
            Plan::Window { input: Box::new(order_joins(*input, subqueries, ctx)?), window }
        }
        Plan::Sort { input, keys } => {
            Plan::Sort { input: Box::new(order_joins(*input, subqueries, ctx)?), keys }
        }
        Plan::Limit { input, offset, count } => {
            Plan::Limit { input: Box::new(order_joins(*input, subqueries, ctx)?), offset, count }
        }
        Plan::Union { inputs, types } => Plan::Union {
            inputs: inputs
                .into_iter()
                .map(|input| order_joins(input, subqueries, ctx))
                .collect::<Result<_>>()?,
            types,
        },
        Plan::OneRow | Plan::Rows { .. } | Plan::Shared { .. } | Plan::Scan(_) => plan,
    })
}

/// An input of a run of inner joins.
struct Input {
    plan: Plan,
    /// Position of its first column in the run as written.
    first: usize,
    width: usize,
    /// How many rows it has, if statistics tell.
    rows: Option<f64>,
}

fn order(join: Join, subqueries: &mut Subqueries, ctx: &EvalContext) -> Result<Plan> {
    let mut inputs = Vec::new();
    let mut conditions = Vec::new();
    flatten(Plan::Join(Box::new(join)), 0, &mut inputs, &mut conditions, subqueries, ctx)?;
    let types: Vec<_> = inputs.iter().flat_map(|input: &Input| input.plan.types()).collect();
    let sizes: Option<Vec<f64>> = inputs.iter().map(|input| input.rows).collect();
    let start = match &sizes {
        Some(sizes) => least(sizes.iter().copied().enumerate()).unwrap_or(0),
        None => best_ranked(&inputs, ctx)?,
    };
    let first = inputs.remove(start);
    // For each column of the rows so far: its position in the run as written.
    let mut columns: Vec<usize> = (first.first..first.first + first.width).collect();
    let mut plan = first.plan;
    while !inputs.is_empty() {
        let joined: BTreeSet<usize> = columns.iter().copied().collect();
        let tied = |input: &Input| {
            conditions.iter().any(|condition| ties(condition, &joined, input, subqueries))
        };
        let next = match sizes {
            Some(_) => {
                let of = |input: &Input| growth(input, &conditions, &joined, subqueries, ctx);
                let tied = inputs.iter().enumerate().filter(|(_, input)| tied(input));
                least(tied.map(|(place, input)| (place, of(input))))
            }
            None => inputs.iter().position(tied),
        };
        let next = next.unwrap_or(0);
        let next = inputs.remove(next);
        columns.extend(next.first..next.first + next.width);
        let reachable: BTreeSet<usize> = columns.iter().copied().collect();
        let (ready, later): (Vec<Expr>, Vec<Expr>) = conditions
            .into_iter()
            .partition(|condition| columns_of(condition, subqueries).is_subset(&reachable));
        conditions = later;
        let place =
            |column: usize| columns.iter().position(|&known| known == column).unwrap_or(column);
        let on =
            ready.iter().map(|condition| move_columns(condition, &place, subqueries)).collect();
        plan = Plan::Join(Box::new(Join {
            left: plan,
            right: next.plan,
            kind: JoinKind::Inner,
            on,
            straight: false,
        }));
    }
    if columns.iter().copied().eq(0..columns.len()) {
        return Ok(plan);
    }
    let exprs = (0..columns.len())
        .map(|column| {
            let place = columns.iter().position(|&known| known == column).unwrap_or(column);
            column_expr(place, types[column], "")
        })
        .collect();
    Ok(Plan::Project { input: Box::new(plan), exprs })
}

fn flatten(
    plan: Plan,
    first: usize,
    inputs: &mut Vec<Input>,
    conditions: &mut Vec<Expr>,
    subqueries: &mut Subqueries,
    ctx: &EvalContext,
) -> Result<()> {
    match plan {
        Plan::Join(join) if join.kind == JoinKind::Inner && !join.straight => {
            let width = join.left.width();
            for condition in &join.on {
                let moved = |column: usize| column + first;
                conditions.push(move_columns(condition, &moved, subqueries));
            }
            flatten(join.left, first, inputs, conditions, subqueries, ctx)?;
            flatten(join.right, first + width, inputs, conditions, subqueries, ctx)
        }
        plan => {
            let plan = order_joins(plan, subqueries, ctx)?;
            let width = plan.width();
            let rows = estimate::rows(&plan, ctx)?;
            inputs.push(Input { plan, first, width, rows });
            Ok(())
        }
    }
}

/// The place of the smallest number, the first one of equals.
fn least(numbers: impl Iterator<Item = (usize, f64)>) -> Option<usize> {
    let smaller =
        |best: (usize, f64), next: (usize, f64)| if next.1 < best.1 { next } else { best };
    numbers.reduce(smaller).map(|(place, _)| place)
}

/// The input with the best access path, the first one of equals.
fn best_ranked(inputs: &[Input], ctx: &EvalContext) -> Result<usize> {
    let mut start = 0;
    let mut best = rank(&inputs[0].plan, ctx)?;
    for (place, input) in inputs.iter().enumerate().skip(1) {
        let rank = rank(&input.plan, ctx)?;
        if rank > best {
            (start, best) = (place, rank);
        }
    }
    Ok(start)
}

/// Rows of an input for each row that is joined already: those with one value in a column that an equality ties.
fn growth(
    input: &Input,
    conditions: &[Expr],
    joined: &BTreeSet<usize>,
    subqueries: &Subqueries,
    ctx: &EvalContext,
) -> f64 {
    let rows = input.rows.unwrap_or(f64::MAX);
    let Plan::Scan(scan) = &input.plan else { return rows };
    let tied = conditions.iter().filter(|condition| ties(condition, joined, input, subqueries));
    let mut least = rows;
    for condition in tied {
        let ExprKind::Compare { args, .. } = &condition.kind else { continue };
        for arg in args.iter() {
            let ExprKind::Column(column) = arg.kind else { continue };
            let Some(column) = column.checked_sub(input.first) else { continue };
            if let Some(distinct) = estimate::distinct(scan, column, ctx) {
                least = least.min(rows / distinct.max(1) as f64);
            }
        }
    }
    least
}

/// Whether an equality ties an input to rows that are joined already.
fn ties(
    condition: &Expr,
    joined: &BTreeSet<usize>,
    input: &Input,
    subqueries: &Subqueries,
) -> bool {
    let ExprKind::Compare { op: CompareOp::Equal, args, .. } = &condition.kind else {
        return false;
    };
    let own = |columns: &BTreeSet<usize>| {
        !columns.is_empty()
            && columns
                .iter()
                .all(|column| (input.first..input.first + input.width).contains(column))
    };
    let known = |columns: &BTreeSet<usize>| !columns.is_empty() && columns.is_subset(joined);
    let left = columns_of(&args[0], subqueries);
    let right = columns_of(&args[1], subqueries);
    (own(&left) && known(&right)) || (own(&right) && known(&left))
}

/// How few rows an input promises to have; more is better.
fn rank(plan: &Plan, ctx: &EvalContext) -> Result<u8> {
    Ok(match plan {
        Plan::Scan(scan) => {
            // Values of an enclosing query are constants by the time the plan runs.
            let known = scan.conjuncts.iter().filter(|conjunct| {
                let mut columns = BTreeSet::new();
                conjunct.columns(&mut columns);
                columns.range(SUBQUERY..).next().is_none()
            });
            let known: Vec<Expr> = known.cloned().collect();
            match access::plan(&scan.table, &known, ctx)?.access {
                Access::Nothing | Access::Rows(_) => 4,
                Access::Index { .. } => 3,
                Access::IndexRange { .. } | Access::PrimaryRange(_) => 2,
                Access::Full | Access::Partitions(_) => 0,
            }
        }
        Plan::OneRow => 5,
        Plan::Limit { .. } => 1,
        Plan::Project { input, .. } | Plan::Filter { input, .. } => rank(input, ctx)?,
        _ => 0,
    })
}
