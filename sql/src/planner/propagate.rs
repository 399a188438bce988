//! What is known of a column holds for every column that equals it.
//!
//! ```text
//! Join on o.person_id = p.person_id            Join on o.person_id = p.person_id
//!   Scan p  [p.person_id = 5]            ──>     Scan p  [p.person_id = 5]
//!   Scan o                                       Scan o  [o.person_id = 5]: one shard, perhaps an index
//! ```
//!
//! The new condition is the old one about another column. That says the same only where both columns have one type as far as
//! comparisons go, and where the condition compares in that type's own way (`locality::compares_as`): `varchar = 5` compares
//! numbers, and texts that are equal under a collation may be different numbers.
//!
//! Into the second input of a LEFT JOIN or of an anti join conditions go, out of it none come: its rows may be missing.

use super::locality::{compares_as, equal_columns};
use super::plan::{Join, JoinKind, Lateral, Plan, SUBQUERY, Subqueries};
use super::push::push;
use crate::exec::plain_column;
use crate::expr::{CompareOp, Expr, ExprKind};
use crate::types::{Domain, SqlType};
use std::collections::BTreeMap;

/// Output columns that have one value in all rows, each with the condition that says so: the column equals a constant.
type Known = BTreeMap<usize, Expr>;

/// The plan with conditions added where equalities carry them.
pub fn propagate(plan: Plan, subqueries: &Subqueries) -> Plan {
    spread(plan, subqueries).0
}

fn spread(plan: Plan, subqueries: &Subqueries) -> (Plan, Known) {
    let none = Known::new();
    match plan {
        Plan::OneRow | Plan::Rows { .. } | Plan::Shared { .. } => (plan, none),
        Plan::Scan(scan) => {
            let mut known = none;
            for conjunct in &scan.conjuncts {
                let Some(column) = fixed_column(conjunct) else { continue };
                if let Some(place) = scan.columns.iter().position(|&other| other == column) {
                    known.entry(place).or_insert_with(|| conjunct.map_columns(&|_| place));
                }
            }
            (Plan::Scan(scan), known)
        }
        Plan::Filter { input, conjuncts } => {
            let (input, mut known) = spread(*input, subqueries);
            for conjunct in &conjuncts {
                if let Some(column) = fixed_column(conjunct) {
                    known.entry(column).or_insert_with(|| conjunct.clone());
                }
            }
            (Plan::Filter { input: Box::new(input), conjuncts }, known)
        }
        Plan::Project { input, exprs } => {
            let (input, inner) = spread(*input, subqueries);
            let known = exprs.iter().enumerate().filter_map(|(place, expr)| {
                let condition = inner.get(&plain_column(expr)?)?;
                Some((place, condition.map_columns(&|_| place)))
            });
            let known = known.collect();
            (Plan::Project { input: Box::new(input), exprs }, known)
        }
        Plan::Join(join) => spread_join(*join, subqueries),
        Plan::Lateral(lateral) => {
            let (input, known) = spread(lateral.input, subqueries);
            (Plan::Lateral(Box::new(Lateral { input, ..*lateral })), known)
        }
        Plan::Aggregate { input, keys, aggregates } => {
            let input = Box::new(spread(*input, subqueries).0);
            (Plan::Aggregate { input, keys, aggregates }, none)
        }
        Plan::Distinct { input } => {
            let (input, known) = spread(*input, subqueries);
            (Plan::Distinct { input: Box::new(input) }, known)
        }
        Plan::Sort { input, keys } => {
            let (input, known) = spread(*input, subqueries);
            (Plan::Sort { input: Box::new(input), keys }, known)
        }
        Plan::Limit { input, offset, count } => {
            let (input, known) = spread(*input, subqueries);
            (Plan::Limit { input: Box::new(input), offset, count }, known)
        }
        Plan::Window { input, window } => {
            let (input, known) = spread(*input, subqueries);
            (Plan::Window { input: Box::new(input), window }, known)
        }
        Plan::Union { inputs, types } => {
            let inputs = inputs.into_iter().map(|input| spread(input, subqueries).0).collect();
            (Plan::Union { inputs, types }, none)
        }
    }
}

fn spread_join(join: Join, subqueries: &Subqueries) -> (Plan, Known) {
    let Join { left, right, kind, on, straight } = join;
    let width = left.width();
    let types: Vec<SqlType> = left.types().into_iter().chain(right.types()).collect();
    let (mut left, mut left_known) = spread(left, subqueries);
    let (mut right, mut right_known) = spread(right, subqueries);
    // Each round adds a column of which nothing was known.
    loop {
        let (mut to_left, mut to_right) = (Known::new(), Known::new());
        for condition in &on {
            let Some((a, b)) = equal_columns(condition, width) else { continue };
            if !compares_as(condition, (&types[a], &types[width + b])) {
                continue;
            }
            match (left_known.get(&a), right_known.get(&b)) {
                (Some(known), None) => {
                    to_right.insert(b, about(known, condition, width + b, b));
                }
                (None, Some(known)) if matches!(kind, JoinKind::Inner | JoinKind::Semi) => {
                    to_left.insert(a, about(known, condition, a, a));
                }
                _ => {}
            }
        }
        if to_left.is_empty() && to_right.is_empty() {
            break;
        }
        (left, left_known) = add(left, left_known, to_left, subqueries);
        (right, right_known) = add(right, right_known, to_right, subqueries);
    }
    let mut known = left_known;
    if kind == JoinKind::Inner {
        let moved = |(column, condition): (usize, Expr)| {
            (width + column, condition.map_columns(&|_| width + column))
        };
        known.extend(right_known.into_iter().map(moved));
    }
    (Plan::Join(Box::new(Join { left, right, kind, on, straight })), known)
}

/// An input with more conditions, and what is known of its columns then.
fn add(plan: Plan, mut known: Known, new: Known, subqueries: &Subqueries) -> (Plan, Known) {
    if new.is_empty() {
        return (plan, known);
    }
    let conditions = new.values().cloned().collect();
    let (plan, found) = spread(push(plan, conditions, subqueries), subqueries);
    known.extend(new);
    known.extend(found);
    (plan, known)
}

/// What is known of one column as a condition on the column at `from` in an equality, which stands at `to` in its own input.
fn about(known: &Expr, equality: &Expr, from: usize, to: usize) -> Expr {
    let mut column = None;
    equality.operands(&mut |operand| {
        if plain_column(operand) == Some(from) {
            column = Some(Expr { kind: ExprKind::Column(to), ..operand.clone() });
        }
    });
    known.substitute(&|_| column.clone())
}

/// The column that a condition makes equal to a constant, compared as values of the column are.
fn fixed_column(condition: &Expr) -> Option<usize> {
    let ExprKind::Compare { op: CompareOp::Equal, domain, args } = &condition.kind else {
        return None;
    };
    let sides = [(&args[0], &args[1]), (&args[1], &args[0])];
    sides.into_iter().find_map(|(side, other)| {
        let column = plain_column(side).filter(|column| *column < SUBQUERY)?;
        let collation = args[0].ty.collation;
        let is_its_own = *domain == side.ty.domain()
            && (*domain != Domain::Text || side.ty.collation == collation);
        (is_its_own && other.is_constant()).then_some(column)
    })
}
