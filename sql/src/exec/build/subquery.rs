//! Subqueries that run per row: their results become columns behind those of an input.
//!
//! Not here: how they run (`exec::apply`).

use super::{Builder, Operator};
use crate::Result;
use crate::exec::apply::{ApplyExec, result_type};
use crate::expr::Expr;
use crate::planner::plan::{Plan, SUBQUERY, subqueries_of};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Builder<'_> {
    /// Adds the results of the subqueries that expressions read; the expressions over them.
    pub(super) fn with_subqueries(
        &self,
        input: Operator,
        plan: &Plan,
        exprs: &[Expr],
    ) -> Result<(Operator, Vec<Expr>)> {
        let numbers: BTreeSet<usize> = exprs.iter().flat_map(subqueries_of).collect();
        if numbers.is_empty() {
            return Ok((input, exprs.to_vec()));
        }
        // An operand of IN may hold a subquery itself: that one is computed first.
        let mut inner: Vec<Expr> = Vec::new();
        for number in &numbers {
            self.subqueries[*number].for_each_enclosing(&mut |expr| inner.push(expr.clone()));
        }
        let width = plan.width();
        let mut types = plan.types();
        let mut operator = input;
        let mut subqueries = self.subqueries.clone();
        let nested: BTreeSet<usize> = inner.iter().flat_map(subqueries_of).collect();
        let mut places: Vec<usize> = Vec::new();
        if !nested.is_empty() {
            let (with_nested, _) = self.with_subqueries(operator, plan, &inner)?;
            operator = with_nested;
            places = self.order_of_apply(&inner);
            types.extend(places.iter().map(|number| result_type(&subqueries, *number)));
        }
        let known = |places: &[usize], column: usize| match column.checked_sub(SUBQUERY) {
            Some(number) => places
                .iter()
                .position(|&place| place == number)
                .map_or(column, |place| width + place),
            None => column,
        };
        for number in &numbers {
            let subquery = Arc::make_mut(&mut subqueries[*number]);
            subquery.map_enclosing(&mut |expr| expr.map_columns(&|c| known(&places, c)));
        }
        let list: Vec<usize> = numbers.iter().copied().collect();
        let operator: Operator = Arc::new(ApplyExec::new(
            operator,
            types,
            list.clone(),
            subqueries,
            self.environment.clone(),
        ));
        places.extend(list);
        let exprs = exprs.iter().map(|expr| expr.map_columns(&|c| known(&places, c))).collect();
        Ok((operator, exprs))
    }

    /// The order in which [`Self::with_subqueries`] appends columns for these expressions.
    fn order_of_apply(&self, exprs: &[Expr]) -> Vec<usize> {
        let numbers: BTreeSet<usize> = exprs.iter().flat_map(subqueries_of).collect();
        let mut inner: Vec<Expr> = Vec::new();
        for number in &numbers {
            self.subqueries[*number].for_each_enclosing(&mut |expr| inner.push(expr.clone()));
        }
        let mut places = if inner.iter().all(|expr| subqueries_of(expr).is_empty()) {
            Vec::new()
        } else {
            self.order_of_apply(&inner)
        };
        places.extend(numbers);
        places
    }
}
