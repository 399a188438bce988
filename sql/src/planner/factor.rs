//! Takes out of an OR what all its branches demand, and what they demand of one input of a join.
//!
//! ```text
//! (a.k = b.k AND b.x = 1) OR (a.k = b.k AND b.x = 2)     factor    a.k = b.k, (b.x = 1 OR b.x = 2)
//! (a.n = 1 AND b.n = 2) OR (a.n = 2 AND b.n = 1)         implied   of a: a.n = 1 OR a.n = 2
//! ```
//!
//! Without this a join whose only condition is an OR has no equality to go by, and pairs every row with every row (TPC-H,
//! query 19).
//!
//! Both hold in three-valued logic: (A AND B) OR (A AND C) is A AND (B OR C), and where a whole is true, so is what each of its
//! branches implies. An implied condition is added; the whole stays.
//!
//! Only conditions that give the same each time they are computed for a row are touched, and none with a subquery.

use super::plan::{Subqueries, columns_of, subqueries_of};
use crate::expr::{Expr, ExprKind, build};

/// The conditions, with those that all branches of an OR share as conditions of their own.
pub fn factor(conjuncts: Vec<Expr>) -> Vec<Expr> {
    conjuncts.into_iter().flat_map(factor_one).collect()
}

fn factor_one(conjunct: Expr) -> Vec<Expr> {
    let Some(mut branches) = branches_of(&conjunct) else { return vec![conjunct] };
    let first = branches[0].clone();
    let shared: Vec<Expr> = first
        .into_iter()
        .filter(|part| branches[1..].iter().all(|branch| holds(branch, part)))
        .collect();
    if shared.is_empty() {
        return vec![conjunct];
    }
    for branch in &mut branches {
        branch.retain(|part| !holds(&shared, part));
    }
    let mut found = shared;
    // A branch that demands nothing else makes the rest true.
    if branches.iter().all(|branch| !branch.is_empty()) {
        found.push(build::or(branches.into_iter().map(build::and).collect()));
    }
    found
}

/// What ORs among the conditions demand of the rows that `test` names by their columns.
pub fn implied(
    conjuncts: &[Expr],
    subqueries: &Subqueries,
    test: impl Fn(usize) -> bool,
) -> Vec<Expr> {
    let about = |part: &Expr| {
        let columns = columns_of(part, subqueries);
        !columns.is_empty() && columns.into_iter().all(&test)
    };
    let demanded = |conjunct: &Expr| {
        let branches = branches_of(conjunct)?;
        let parts = branches.into_iter().map(|branch| {
            let parts: Vec<Expr> = branch.into_iter().filter(&about).collect();
            (!parts.is_empty()).then(|| build::and(parts))
        });
        Some(build::or(parts.collect::<Option<Vec<Expr>>>()?))
    };
    conjuncts.iter().filter_map(demanded).collect()
}

/// The parts of each branch of an OR; `None` for every other condition, and for one that may not be moved.
fn branches_of(conjunct: &Expr) -> Option<Vec<Vec<Expr>>> {
    let ExprKind::Or(args) = &conjunct.kind else { return None };
    let may_move = conjunct.is_steady() && subqueries_of(conjunct).is_empty();
    may_move.then(|| args.iter().map(Expr::conjuncts).collect())
}

/// Whether a condition is among these.
pub fn holds(conjuncts: &[Expr], wanted: &Expr) -> bool {
    conjuncts.iter().any(|own| same(own, wanted))
}

/// Whether two expressions certainly compute the same.
fn same(a: &Expr, b: &Expr) -> bool {
    let alike = match (&a.kind, &b.kind) {
        (ExprKind::Column(a), ExprKind::Column(b)) | (ExprKind::Param(a), ExprKind::Param(b)) => {
            a == b
        }
        (ExprKind::Literal(a), ExprKind::Literal(b)) => a == b,
        (
            ExprKind::Arithmetic { op: a, domain: of_a, .. },
            ExprKind::Arithmetic { op: b, domain: of_b, .. },
        ) => a == b && of_a == of_b,
        (
            ExprKind::Compare { op: a, domain: of_a, .. },
            ExprKind::Compare { op: b, domain: of_b, .. },
        ) => a == b && of_a == of_b,
        (ExprKind::And(_), ExprKind::And(_))
        | (ExprKind::Or(_), ExprKind::Or(_))
        | (ExprKind::Not(_), ExprKind::Not(_)) => true,
        (ExprKind::IsNull { negated: a, .. }, ExprKind::IsNull { negated: b, .. }) => a == b,
        (
            ExprKind::InList { set: a, negated: of_a, .. },
            ExprKind::InList { set: b, negated: of_b, .. },
        ) => a == b && of_a == of_b,
        (ExprKind::Like { escape: a, .. }, ExprKind::Like { escape: b, .. }) => a == b,
        (ExprKind::Cast { mode: a, .. }, ExprKind::Cast { mode: b, .. }) => a == b,
        (ExprKind::Call { function: a, .. }, ExprKind::Call { function: b, .. }) => {
            std::ptr::eq(*a, *b)
        }
        _ => false,
    };
    if !alike || a.ty != b.ty {
        return false;
    }
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    a.operands(&mut |operand| of_a.push(operand.clone()));
    b.operands(&mut |operand| of_b.push(operand.clone()));
    of_a.len() == of_b.len() && of_a.iter().zip(&of_b).all(|(a, b)| same(a, b))
}
