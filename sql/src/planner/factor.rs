//! Conditions that all terms of an OR have in common stand before it.
//!
//! ```text
//! (p.k = l.k and l.q < 5 and p.b = 1) or (p.k = l.k and l.q < 9 and p.b = 2)
//!    ──>  p.k = l.k  and  ((l.q < 5 and p.b = 1) or (l.q < 9 and p.b = 2))
//! ```
//!
//! So the equality is the key of a join. That says the same with NULL, too: AND distributes over OR in three values.
//!
//! Invariant: what changes from row to row by itself (RAND(), user variables) is left alone.

use super::plan::Plan;
use crate::binder::rewrite::same;
use crate::expr::{Expr, ExprKind, build};
use crate::function::Volatility;
use base::limits::OR_FACTOR_TERMS_MAX;

/// The plan with common conditions taken out of every OR that filters or joins.
pub fn factor(mut plan: Plan) -> Plan {
    for input in plan.inputs_mut() {
        let inner = std::mem::replace(input, Plan::OneRow);
        *input = factor(inner);
    }
    match &mut plan {
        Plan::Filter { conjuncts, .. } => factor_all(conjuncts),
        Plan::Join(join) => factor_all(&mut join.on),
        _ => {}
    }
    plan
}

fn factor_all(conjuncts: &mut Vec<Expr>) {
    if conjuncts.iter().any(|expr| matches!(expr.kind, ExprKind::Or(_))) {
        *conjuncts = conjuncts.iter().flat_map(factored).collect();
    }
}

/// A condition as conditions that must all be true.
fn factored(expr: &Expr) -> Vec<Expr> {
    let ExprKind::Or(terms) = &expr.kind else { return vec![expr.clone()] };
    if terms.len() > OR_FACTOR_TERMS_MAX || expr.any(&is_unsteady) {
        return vec![expr.clone()];
    }
    let mut terms: Vec<Vec<Expr>> = terms.iter().map(Expr::conjuncts).collect();
    let has_few = |term: &Vec<Expr>| term.len() <= OR_FACTOR_TERMS_MAX;
    let Some((first, others)) = terms.split_first() else { return vec![expr.clone()] };
    if !has_few(first) || !others.iter().all(has_few) {
        return vec![expr.clone()];
    }
    let is_everywhere = |condition: &&Expr| {
        others.iter().all(|term| term.iter().any(|other| same(condition, other)))
    };
    let mut common: Vec<Expr> = first.iter().filter(is_everywhere).cloned().collect();
    if common.is_empty() {
        return vec![expr.clone()];
    }
    for term in &mut terms {
        term.retain(|condition| !common.iter().any(|other| same(condition, other)));
    }
    // A term that has nothing else is true wherever the common conditions are.
    if !terms.iter().any(Vec::is_empty) {
        common.push(build::or(terms.into_iter().map(build::and).collect()));
    }
    common
}

/// Whether the value may differ from row to row without any column.
fn is_unsteady(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call { function, .. } => function.volatility == Volatility::Row,
        ExprKind::UserVariable { .. } | ExprKind::AssignUserVariable { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binder::subquery::column_expr;
    use crate::types::SqlType;

    fn column(number: usize) -> Expr {
        column_expr(number, SqlType::boolean(), "")
    }

    #[test]
    fn what_all_terms_have_stands_before_the_or() {
        let term = |other| build::and(vec![column(0), column(other)]);
        let parts = factored(&build::or(vec![term(1), term(2)]));
        let [common, rest] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert!(same(common, &column(0)));
        assert!(same(rest, &build::or(vec![column(1), column(2)])));
    }

    #[test]
    fn a_term_that_is_common_alone_makes_the_or_needless() {
        let both = build::and(vec![column(0), column(1)]);
        let parts = factored(&build::or(vec![column(0), both]));
        let [common] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert!(same(common, &column(0)));
    }

    #[test]
    fn an_or_without_anything_common_stays() {
        let or = build::or(vec![column(0), column(1)]);
        let parts = factored(&or);
        let [stayed] = parts.as_slice() else { panic!("{} parts", parts.len()) };
        assert!(same(stayed, &or));
    }
}
