//! Moves conditions down to where their columns come from.
//!
//! ```text
//! Filter a.x = 1 and a.k = b.k            Join on a.k = b.k
//!   Join                          ──>       Scan a  [a.x = 1]
//!     Scan a, Scan b                        Scan b
//! ```
//!
//! A condition with a subquery stays where it is: the operator that computes the subquery's result
//! stands right below. An OR gives away what all its branches demand (`factor`). A LEFT JOIN whose missing rows a condition
//! would throw away anyway becomes an inner one. What a semi join asks of one side goes to that side, what an anti join asks
//! of its second input, too.

use super::factor::{factor, holds, implied};
use super::plan::{Join, JoinKind, Lateral, Plan, SUBQUERY, Subqueries, columns_of, subqueries_of};
use crate::expr::{CompareOp, Expr, ExprKind, build};

/// The plan with every condition as deep as it can stand.
pub fn push_conditions(plan: Plan, subqueries: &Subqueries) -> Plan {
    push(plan, Vec::new(), subqueries)
}

/// The plan with these conditions over its output added, as deep as they can stand.
pub(super) fn push(plan: Plan, conjuncts: Vec<Expr>, subqueries: &Subqueries) -> Plan {
    match plan {
        Plan::OneRow | Plan::Rows { .. } | Plan::Shared { .. } => filter(plan, conjuncts),
        Plan::Scan(mut scan) => {
            let (stay, go) = split(conjuncts, |expr| !subqueries_of(expr).is_empty());
            let columns = scan.columns.clone();
            for expr in &go {
                let expr = expr.map_columns(&|c| if c < SUBQUERY { columns[c] } else { c });
                // What an OR implies comes once more whenever conditions are pushed.
                if !expr.is_steady() || !holds(&scan.conjuncts, &expr) {
                    scan.conjuncts.push(expr);
                }
            }
            filter(Plan::Scan(scan), stay)
        }
        Plan::Filter { input, conjuncts: mut own } => {
            own.extend(conjuncts);
            let own = factor(own);
            let (stay, go) = split(own, |expr| !subqueries_of(expr).is_empty());
            filter(push(*input, go, subqueries), stay)
        }
        Plan::Project { input, exprs } => {
            let (go, stay) = split(conjuncts, |expr| {
                subqueries_of(expr).is_empty()
                    && columns_of(expr, subqueries).iter().all(|&c| is_simple(&exprs[c]))
            });
            let go = go.iter().map(|expr| through(expr, &exprs)).collect();
            let input = Box::new(push(*input, go, subqueries));
            filter(Plan::Project { input, exprs }, stay)
        }
        Plan::Join(join) => push_join(*join, conjuncts, subqueries),
        Plan::Lateral(lateral) => {
            let width = lateral.input.width();
            let (go, stay) = split(conjuncts, |expr| {
                subqueries_of(expr).is_empty()
                    && columns_of(expr, subqueries).iter().all(|&column| column < width)
            });
            let input = push(lateral.input, go, subqueries);
            filter(Plan::Lateral(Box::new(Lateral { input, ..*lateral })), stay)
        }
        Plan::Aggregate { input, keys, aggregates } => {
            let (go, stay) = split(conjuncts, |expr| {
                let columns = columns_of(expr, subqueries);
                subqueries_of(expr).is_empty()
                    && !columns.is_empty()
                    && columns.iter().all(|&c| c < keys.len() && is_simple(&keys[c]))
            });
            let go = go.iter().map(|expr| through(expr, &keys)).collect();
            let input = Box::new(push(*input, go, subqueries));
            filter(Plan::Aggregate { input, keys, aggregates }, stay)
        }
        Plan::Distinct { input } => {
            Plan::Distinct { input: Box::new(push(*input, conjuncts, subqueries)) }
        }
        Plan::Sort { input, keys } => {
            Plan::Sort { input: Box::new(push(*input, conjuncts, subqueries)), keys }
        }
        Plan::Limit { input, offset, count } => {
            let input = Box::new(push(*input, Vec::new(), subqueries));
            filter(Plan::Limit { input, offset, count }, conjuncts)
        }
        Plan::Window { input, window } => {
            // A row that goes would change the windows of the others.
            let input = Box::new(push(*input, Vec::new(), subqueries));
            filter(Plan::Window { input, window }, conjuncts)
        }
        Plan::Union { inputs, types } => {
            let (stay, go) = split(conjuncts, |expr| !subqueries_of(expr).is_empty());
            let inputs =
                inputs.into_iter().map(|input| push(input, go.clone(), subqueries)).collect();
            filter(Plan::Union { inputs, types }, stay)
        }
    }
}

fn push_join(mut join: Join, conjuncts: Vec<Expr>, subqueries: &Subqueries) -> Plan {
    let width = join.left.width();
    if join.kind == JoinKind::Left && conjuncts.iter().any(|expr| rejects_missing(expr, width)) {
        join.kind = JoinKind::Inner;
    }
    let on_left = |expr: &Expr| columns_of(expr, subqueries).iter().all(|&column| column < width);
    let on_right = |expr: &Expr| {
        let columns = columns_of(expr, subqueries);
        !columns.is_empty() && columns.iter().all(|&column| column >= width)
    };
    let to_right = |expr: &Expr| expr.map_columns(&|c| if c < SUBQUERY { c - width } else { c });
    let (mut above, rest) = split(conjuncts, |expr| !subqueries_of(expr).is_empty());
    let (left, rest) = split(rest, on_left);
    let own = factor(std::mem::take(&mut join.on));
    let right = match join.kind {
        JoinKind::Semi => {
            let (own_left, own) = split(own, on_left);
            let (right, both) = split(own, on_right);
            above.extend(rest);
            join.on = both;
            let left = own_left.into_iter().chain(left).collect();
            join.left = push(join.left, left, subqueries);
            right
        }
        JoinKind::Inner => {
            let (stay, own) = split(own, |expr| !subqueries_of(expr).is_empty());
            above.extend(stay);
            let (own_left, own) = split(own, on_left);
            let (right, both) = split(own.into_iter().chain(rest).collect(), on_right);
            let of_left = implied(&both, subqueries, |column| column < width);
            let of_right = implied(&both, subqueries, |column| column >= width);
            join.on = both;
            let left = own_left.into_iter().chain(left).chain(of_left).collect();
            join.left = push(join.left, left, subqueries);
            right.into_iter().chain(of_right).collect()
        }
        JoinKind::Left | JoinKind::Anti => {
            above.extend(rest);
            let (right, both) = split(own, |expr| on_right(expr) && subqueries_of(expr).is_empty());
            join.on = both;
            join.left = push(join.left, left, subqueries);
            right
        }
    };
    let right = right.iter().map(to_right).collect();
    join.right = push(join.right, right, subqueries);
    filter(Plan::Join(Box::new(join)), above)
}

fn filter(input: Plan, conjuncts: Vec<Expr>) -> Plan {
    if conjuncts.is_empty() { input } else { Plan::Filter { input: Box::new(input), conjuncts } }
}

fn split(exprs: Vec<Expr>, test: impl Fn(&Expr) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    exprs.into_iter().partition(|expr| test(expr))
}

/// Whether computing it twice costs nothing and gives the same.
fn is_simple(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Column(column) => *column < SUBQUERY,
        ExprKind::Literal(_) => true,
        ExprKind::Call { args, .. } => build::is_shown_column(expr) && args.iter().all(is_simple),
        ExprKind::Cast { arg, .. } => is_simple(arg),
        _ => false,
    }
}

/// A condition over computed columns as one over what they are computed from.
fn through(expr: &Expr, exprs: &[Expr]) -> Expr {
    expr.substitute(&|column| (column < SUBQUERY).then(|| exprs[column].clone()))
}

/// Whether a condition is never true when all columns from `first` on are NULL.
fn rejects_missing(expr: &Expr, first: usize) -> bool {
    match &expr.kind {
        ExprKind::Compare { op, args, .. } => {
            *op != CompareOp::NullSafeEqual && args.iter().any(|arg| passes_null(arg, first))
        }
        ExprKind::IsNull { arg, negated: true } => passes_null(arg, first),
        ExprKind::InList { arg, .. } | ExprKind::Like { arg, .. } => passes_null(arg, first),
        ExprKind::And(args) => args.iter().any(|arg| rejects_missing(arg, first)),
        ExprKind::Or(args) => args.iter().all(|arg| rejects_missing(arg, first)),
        _ => false,
    }
}

/// Whether an expression is NULL when the columns from `first` on are.
fn passes_null(expr: &Expr, first: usize) -> bool {
    match &expr.kind {
        ExprKind::Column(column) => (first..SUBQUERY).contains(column),
        ExprKind::Cast { arg, .. } => passes_null(arg, first),
        ExprKind::Arithmetic { args, .. } => args.iter().any(|arg| passes_null(arg, first)),
        ExprKind::Call { args, .. } => build::is_shown_column(expr) && passes_null(&args[0], first),
        _ => false,
    }
}
