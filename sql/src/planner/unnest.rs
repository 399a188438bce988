//! Subqueries that would run per row become joins.
//!
//! ```text
//! Filter exists (b: b.x = a.x)          Semi join on a.x = b.x        NOT EXISTS, NOT IN, > ALL: Anti join
//!   Scan a                       ──>      Scan a
//!                                         Scan b
//!
//! Filter a.y < (avg(b.y): b.x = a.x)    Filter a.y < avg
//!   Scan a                       ──>      Left join on a.x = b.x
//!                                           Scan a
//!                                           Aggregate by b.x: avg(b.y)
//!
//! Compute (b.y: b.id = a.x)             Compute b.y
//!   Scan a                       ──>      Left join on a.x = b.id       at most one row, by a unique key
//!                                           Scan a
//!                                           Scan b
//! ```
//!
//! What the subquery asks of the outer row is taken out of its plan and becomes the condition of the join.
//!
//! Invariants:
//! 1. A join has at least one equality that can be the key of a hash table; without one the subquery stays.
//! 2. A condition that must not be NULL (NOT IN, ALL) is asked with IS TRUE or IS FALSE, so that NULL decides as it does per row.
//! 3. A value is computed over the joined row, not in the group, so it is computed for the rows for which the subquery would be.
//!    What is computed for every group, or every row of the second input, cannot fail or warn (`is_calm`).
//! 4. Where few outer rows are promised and the subquery could be asked by key, it stays.
//!
//! A subquery that needs no outer value has run before (`exec::subquery`). What IN has found then, when it is too much for a list,
//! is the second input of a semi join.
//!
//! Not here: how joins are run (`exec::build`).

use super::plan::{
    Aggregate, AggregateFunction, Join, JoinKind, OUTER, Plan, SUBQUERY, Scan, Subqueries,
    Subquery, SubqueryKind, columns_of, is_outer, reads_outer, subqueries_of,
};
use super::push::push_conditions;
use super::switch::Switches;
use crate::Result;
use crate::access::{self, Access};
use crate::binder::rewrite::rewrite;
use crate::binder::subquery::column_expr;
use crate::catalog::IndexDef;
use crate::context::EvalContext;
use crate::exec::build::equality;
use crate::exec::subquery::is_volatile;
use crate::expr::{ArithmeticOp, Expr, ExprKind, build};
use crate::types::{Domain, SqlType};
use crate::value::{Row, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The plan with joins in the place of subqueries, where they say the same.
pub fn unnest(plan: Plan, subqueries: &Subqueries, ctx: &EvalContext) -> Result<Plan> {
    if !subqueries.iter().any(|subquery| is_candidate(subquery) || subquery.rows.is_some()) {
        return Ok(plan);
    }
    Unnest { subqueries, ctx, switches: Switches::of(ctx) }.walk(plan, false)
}

/// Whether a subquery runs per row.
fn is_candidate(subquery: &Subquery) -> bool {
    let is_value = match subquery.kind {
        SubqueryKind::Scalar | SubqueryKind::Exists | SubqueryKind::Quantified { .. } => true,
        SubqueryKind::Table(_)
        | SubqueryKind::Lateral
        | SubqueryKind::Working
        | SubqueryKind::Function(_) => false,
    };
    is_value && !subquery.is_uncorrelated() && subquery.rows.is_none()
}

struct Unnest<'a> {
    subqueries: &'a Subqueries,
    ctx: &'a EvalContext,
    switches: Switches,
}

impl Unnest<'_> {
    /// `limited`: only the first rows are wanted.
    fn walk(&self, mut plan: Plan, limited: bool) -> Result<Plan> {
        let below = match &plan {
            Plan::Limit { .. } => true,
            Plan::Filter { .. } | Plan::Project { .. } => limited,
            _ => false,
        };
        for input in plan.inputs_mut() {
            let inner = std::mem::replace(input, Plan::OneRow);
            *input = self.walk(inner, below)?;
        }
        match plan {
            Plan::Filter { input, conjuncts } => self.filter(*input, conjuncts, limited),
            Plan::Project { input, exprs } => {
                let (input, exprs) = self.with_values(*input, exprs, limited)?;
                Ok(Plan::Project { input: Box::new(input), exprs })
            }
            Plan::Aggregate { input, keys, aggregates } => {
                let args = aggregates.iter().flat_map(|aggregate| &aggregate.args);
                let exprs: Vec<Expr> = keys.iter().chain(args).cloned().collect();
                let (input, mut exprs) = self.with_values(*input, exprs, false)?;
                let mut args = exprs.split_off(keys.len()).into_iter();
                let aggregates = aggregates
                    .into_iter()
                    .map(|aggregate| {
                        let own = args.by_ref().take(aggregate.args.len()).collect();
                        Aggregate { args: own, ..aggregate }
                    })
                    .collect();
                Ok(Plan::Aggregate { input: Box::new(input), keys: exprs, aggregates })
            }
            plan => Ok(plan),
        }
    }

    fn filter(&self, input: Plan, conjuncts: Vec<Expr>, limited: bool) -> Result<Plan> {
        let (mut later, first): (Vec<Expr>, Vec<Expr>) =
            conjuncts.into_iter().partition(|expr| !subqueries_of(expr).is_empty());
        let mut plan = filtered(input, first);
        let width = plan.width();
        if self.switches.semijoin && later.iter().any(|expr| placeholder(expr).is_some()) {
            let is_small = self.is_small(&plan)?;
            let mut rest = Vec::with_capacity(later.len());
            for conjunct in later {
                let join = match placeholder(&conjunct) {
                    Some((number, holds)) => {
                        self.partners(&self.subqueries[number], holds, width, is_small)?
                    }
                    None => None,
                };
                plan = match join {
                    Some((right, kind, on)) => {
                        Plan::Join(Box::new(Join { left: plan, right, kind, on, straight: false }))
                    }
                    None => {
                        rest.push(conjunct);
                        plan
                    }
                };
            }
            later = rest;
        }
        let types = plan.types();
        let (plan, later) = self.with_values(plan, later, limited)?;
        let is_wider = plan.width() > width;
        let plan = filtered(plan, later);
        if !is_wider {
            return Ok(plan);
        }
        let exprs = types.iter().enumerate().map(|(i, ty)| column_expr(i, *ty, "")).collect();
        Ok(Plan::Project { input: Box::new(plan), exprs })
    }

    /// The second input, kind and condition of the join that keeps the rows for which a condition on rows of a subquery holds,
    /// or for which it is false.
    fn partners(
        &self,
        subquery: &Subquery,
        holds: bool,
        width: usize,
        is_small: bool,
    ) -> Result<Option<(Plan, JoinKind, Vec<Expr>)>> {
        if let Some(rows) = &subquery.rows {
            return Ok(self.members(subquery, rows, holds, width));
        }
        if !self.is_movable(subquery) {
            return Ok(None);
        }
        let mut plan = (*subquery.plan).clone();
        if let (SubqueryKind::Exists, Plan::Limit { input, offset: None, count }) =
            (&subquery.kind, &plan)
        {
            // Whether there is any row does not depend on how many are asked for.
            let count = count.as_ref().and_then(Expr::as_literal).and_then(Value::as_integer);
            if count.is_none_or(|count| count < 1) {
                return Ok(None);
            }
            plan = (**input).clone();
        }
        while let Plan::Distinct { input } | Plan::Sort { input, .. } = plan {
            plan = *input;
        }
        let (input, exprs) = match plan {
            Plan::Project { input, exprs } => (*input, exprs),
            _ => return Ok(None),
        };
        let Some((right, taken)) = self.take_out(input) else { return Ok(None) };
        let over = |expr: &Expr| over_pair(expr, width, &subquery.outer);
        let mut on: Vec<Expr> = taken.iter().map(over).collect();
        let kind = match &subquery.kind {
            SubqueryKind::Exists if holds => JoinKind::Semi,
            SubqueryKind::Exists => JoinKind::Anti,
            SubqueryKind::Quantified { left, condition, all, .. } => {
                if left.iter().chain(&exprs).any(|expr| !subqueries_of(expr).is_empty()) {
                    return Ok(None);
                }
                let right: Vec<Expr> = exprs.iter().map(over).collect();
                let side = |column: usize| left.iter().chain(&right).nth(column).cloned();
                let condition = condition.substitute(&side);
                match (*all, holds) {
                    (false, true) => {
                        on.extend(condition.conjuncts());
                        JoinKind::Semi
                    }
                    (false, false) if is_never_null(&condition) => {
                        on.extend(condition.conjuncts());
                        JoinKind::Anti
                    }
                    (false, false) => {
                        on.push(truth(condition, false, true));
                        JoinKind::Anti
                    }
                    (true, false) => {
                        on.push(truth(condition, false, false));
                        JoinKind::Semi
                    }
                    (true, true) => {
                        on.push(truth(condition, true, true));
                        JoinKind::Anti
                    }
                }
            }
            SubqueryKind::Scalar
            | SubqueryKind::Table(_)
            | SubqueryKind::Lateral
            | SubqueryKind::Working
            | SubqueryKind::Function(_) => return Ok(None),
        };
        let has_key = on.iter().any(|expr| equality(expr, width, self.subqueries).is_some());
        if !has_key || (is_small && table_of(&right).is_none()) {
            return Ok(None);
        }
        Ok(Some((self.walk(right, false)?, kind, on)))
    }

    /// The same for IN with rows that are there already: they are the second input.
    fn members(
        &self,
        subquery: &Subquery,
        rows: &Arc<Vec<Row>>,
        holds: bool,
        width: usize,
    ) -> Option<(Plan, JoinKind, Vec<Expr>)> {
        let SubqueryKind::Quantified { left, condition, equality: true, all: false } =
            &subquery.kind
        else {
            return None;
        };
        if left.iter().any(|expr| !subqueries_of(expr).is_empty()) {
            return None;
        }
        let condition = rewrite(condition, &|part| match part.kind {
            ExprKind::Column(column) => left.get(column).cloned().or_else(|| {
                let kind = ExprKind::Column(width + column - left.len());
                Some(Expr { kind, ..part.clone() })
            }),
            _ => None,
        });
        let kind = match holds {
            true => JoinKind::Semi,
            false if is_never_null(&condition) => JoinKind::Anti,
            false => return None,
        };
        let on = condition.conjuncts();
        let has_key = on.iter().any(|expr| equality(expr, width, self.subqueries).is_some());
        let (name, types) = ("subquery".to_string(), subquery.plan.types());
        has_key.then(|| (Plan::Rows { name, types, rows: rows.clone() }, kind, on))
    }

    /// An input with the values behind its columns that subqueries in expressions have, as far as they are aggregates or columns
    /// of a row that a unique key finds; the expressions over it.
    fn with_values(
        &self,
        input: Plan,
        mut exprs: Vec<Expr>,
        limited: bool,
    ) -> Result<(Plan, Vec<Expr>)> {
        let is_value = |number: &usize| {
            let subquery = &self.subqueries[*number];
            is_candidate(subquery) && matches!(subquery.kind, SubqueryKind::Scalar)
        };
        let numbers: BTreeSet<usize> =
            exprs.iter().flat_map(subqueries_of).filter(is_value).collect();
        let is_wanted = self.switches.subquery_to_derived && !limited && !numbers.is_empty();
        if !is_wanted {
            return Ok((input, exprs));
        }
        let is_small = self.is_small(&input)?;
        let mut plan = input;
        for number in numbers {
            let (subquery, width) = (&self.subqueries[number], plan.width());
            let groups = if is_small { None } else { self.groups(subquery, width) };
            let Some((right, on, value)) = groups.or_else(|| self.row_by_key(subquery, width))
            else {
                continue;
            };
            let right = self.walk(right, false)?;
            let kind = JoinKind::Left;
            plan = Plan::Join(Box::new(Join { left: plan, right, kind, on, straight: false }));
            let put = |column: usize| (column == SUBQUERY + number).then(|| value.clone());
            exprs = exprs.iter().map(|expr| expr.substitute(&put)).collect();
        }
        Ok((plan, exprs))
    }

    /// The groups that a subquery of one aggregated row looks at, the condition that finds the one of an outer row, and the value
    /// over the outer row and its group.
    fn groups(&self, subquery: &Subquery, width: usize) -> Option<(Plan, Vec<Expr>, Expr)> {
        if !self.is_movable(subquery) {
            return None;
        }
        let Plan::Project { input, exprs } = &*subquery.plan else { return None };
        let ([value], Plan::Aggregate { input, keys, aggregates }) = (exprs.as_slice(), &**input)
        else {
            return None;
        };
        let is_plain = |expr: &Expr| is_calm(expr) && !is_outer(expr, self.subqueries);
        let args = || aggregates.iter().flat_map(|aggregate| &aggregate.args);
        if !keys.is_empty()
            || !subqueries_of(value).is_empty()
            || !args().all(is_plain)
            || aggregates.iter().any(|aggregate| !is_null_of_nothing(&aggregate.function))
        {
            return None;
        }
        let (input, taken) = self.take_out((**input).clone())?;
        if taken.is_empty() || !is_calm_plan(&input) {
            return None;
        }
        let mut keys = Vec::with_capacity(taken.len());
        let mut on = Vec::with_capacity(taken.len());
        for condition in &taken {
            let condition = over_pair(condition, width, &subquery.outer);
            equality(&condition, width, self.subqueries)?;
            let ExprKind::Compare { op, domain, args } = &condition.kind else { return None };
            // 0.0 and -0.0 are one value in a comparison and two in a group.
            if *domain == Domain::Double {
                return None;
            }
            let columns = columns_of(&args[0], self.subqueries);
            let inner = usize::from(columns.iter().any(|&column| column < width));
            let key = args[inner].map_columns(&|c| if c < SUBQUERY { c - width } else { c });
            if !is_calm(&key) {
                return None;
            }
            let ty = key.ty.with_nullable(true);
            let kind = ExprKind::Column(width + keys.len());
            let column = Expr { ty, kind, ..key.clone() };
            let mut args = (**args).clone();
            args[inner] = column;
            let kind = ExprKind::Compare { op: *op, domain: *domain, args: Arc::new(args) };
            on.push(Expr { kind, ..condition.clone() });
            keys.push(key);
        }
        let first = width + keys.len();
        let value = value.substitute(&|column| match column {
            OUTER.. => subquery.outer.get(column - OUTER).cloned(),
            SUBQUERY..OUTER => None,
            _ => Some(result_of_group(&aggregates[column], first + column)),
        });
        let aggregates = aggregates.clone();
        Some((Plan::Aggregate { input: Box::new(input), keys, aggregates }, on, value))
    }

    /// The table of which a subquery takes one row by a unique key, the condition that finds it, and the value over the outer row
    /// and that one.
    fn row_by_key(&self, subquery: &Subquery, width: usize) -> Option<(Plan, Vec<Expr>, Expr)> {
        if !self.is_movable(subquery) {
            return None;
        }
        let Plan::Project { input, exprs } = &*subquery.plan else { return None };
        let [value] = exprs.as_slice() else { return None };
        let (right, taken) = self.take_out((**input).clone())?;
        let scan = table_of(&right)?;
        if !subqueries_of(value).is_empty() || !is_calm_plan(&right) {
            return None;
        }
        let over = |expr: &Expr| over_pair(expr, width, &subquery.outer);
        let on: Vec<Expr> = taken.iter().map(over).collect();
        // Columns of the table that equal something of the outer row, compared as their values are.
        let mut known: BTreeMap<usize, Expr> = BTreeMap::new();
        for condition in &on {
            let ExprKind::Compare { domain, args, .. } = &condition.kind else { continue };
            if equality(condition, width, self.subqueries).is_none() || *domain == Domain::Double {
                continue;
            }
            for arg in args.iter().filter(|arg| arg.ty.domain() == *domain) {
                if let ExprKind::Column(column) = arg.kind
                    && (width..SUBQUERY).contains(&column)
                {
                    known.insert(scan.columns[column - width], arg.clone());
                }
            }
        }
        let is_found = |index: &&IndexDef| {
            let mut parts = index.columns.iter();
            let is_unique = index.unique && !index.columns.is_empty();
            is_unique && parts.all(|c| c.prefix.is_none() && known.contains_key(&c.column))
        };
        let index = scan.table.indexes.iter().find(is_found)?;
        let key = known.get(&index.columns.first()?.column)?;
        let value = over(value);
        let ty = value.ty.with_nullable(true);
        let value = match value.kind {
            ExprKind::Column(column) if (width..SUBQUERY).contains(&column) => Expr { ty, ..value },
            _ => {
                // Without a row it is NULL, whatever it makes of NULL.
                let key = Expr { ty: key.ty.with_nullable(true), ..key.clone() };
                let kind = ExprKind::IsNull { arg: Arc::new(key), negated: false };
                let missing = Expr::new(SqlType::boolean().not_null(), kind);
                let firmness = value.coercibility;
                let null = build::literal_typed(Value::Null, ty);
                let kind = ExprKind::If(Arc::new([missing, null, value]));
                Expr::new(ty, kind).with_coercibility(firmness)
            }
        };
        Some((right, on, value))
    }

    /// Whether a subquery reads nothing of the outer row that is a subquery itself, and gives the same each time.
    fn is_movable(&self, subquery: &Subquery) -> bool {
        is_candidate(subquery)
            && subquery.outer.iter().all(|expr| subqueries_of(expr).is_empty())
            && !is_volatile(&subquery.plan)
    }

    /// A plan without its conditions on outer values, and those conditions over its columns. `None` where outer values are read by
    /// anything else.
    fn take_out(&self, plan: Plan) -> Option<(Plan, Vec<Expr>)> {
        match plan {
            Plan::Filter { input, conjuncts } => {
                let (input, mut taken) = self.take_out(*input)?;
                let (outer, own) = self.split(conjuncts)?;
                taken.extend(outer);
                Some((filtered(input, own), taken))
            }
            Plan::Join(join) if join.kind == JoinKind::Inner => {
                let Join { left, right, kind, on, straight } = *join;
                let width = left.width();
                let (left, mut taken) = self.take_out(left)?;
                let (right, of_right) = self.take_out(right)?;
                let (outer, on) = self.split(on)?;
                let moved = |expr: &Expr| {
                    expr.map_columns(&|column| {
                        if column < SUBQUERY { column + width } else { column }
                    })
                };
                taken.extend(of_right.iter().map(moved));
                taken.extend(outer);
                Some((Plan::Join(Box::new(Join { left, right, kind, on, straight })), taken))
            }
            Plan::Join(join) if join.kind == JoinKind::Left => {
                let Join { left, right, kind, on, straight } = *join;
                let is_outer = |expr: &Expr| is_outer(expr, self.subqueries);
                if on.iter().any(is_outer) || reads_outer(&right, self.subqueries) {
                    return None;
                }
                let (left, taken) = self.take_out(left)?;
                Some((Plan::Join(Box::new(Join { left, right, kind, on, straight })), taken))
            }
            plan => (!reads_outer(&plan, self.subqueries)).then(|| (plan, Vec::new())),
        }
    }

    /// Conditions that read outer values, and those that do not. `None` when a subquery in one of them does.
    fn split(&self, conditions: Vec<Expr>) -> Option<(Vec<Expr>, Vec<Expr>)> {
        let (outer, own): (Vec<Expr>, Vec<Expr>) =
            conditions.into_iter().partition(|expr| is_outer(expr, self.subqueries));
        outer.iter().all(|expr| subqueries_of(expr).is_empty()).then_some((outer, own))
    }

    /// Whether a plan promises few rows: some table of it is asked by key, and the others follow.
    fn is_small(&self, plan: &Plan) -> Result<bool> {
        self.starts_small(&push_conditions(plan.clone(), self.subqueries))
    }

    fn starts_small(&self, plan: &Plan) -> Result<bool> {
        Ok(match plan {
            Plan::OneRow | Plan::Limit { .. } => true,
            Plan::Scan(scan) => self.is_small_scan(scan)?,
            Plan::Filter { input, .. }
            | Plan::Project { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Window { input, .. }
            | Plan::Distinct { input } => self.starts_small(input)?,
            Plan::Join(join) => {
                self.starts_small(&join.left)?
                    || (join.kind == JoinKind::Inner && self.starts_small(&join.right)?)
            }
            Plan::Lateral(lateral) => self.starts_small(&lateral.input)?,
            Plan::Rows { .. }
            | Plan::Shared { .. }
            | Plan::Aggregate { .. }
            | Plan::Union { .. } => false,
        })
    }

    fn is_small_scan(&self, scan: &Scan) -> Result<bool> {
        let is_known = |expr: &&Expr| {
            let mut columns = BTreeSet::new();
            expr.columns(&mut columns);
            columns.range(SUBQUERY..).next().is_none()
        };
        let known: Vec<Expr> = scan.conjuncts.iter().filter(is_known).cloned().collect();
        let choice = access::plan(&scan.table, &known, self.ctx)?;
        Ok(matches!(choice.access, Access::Nothing | Access::Rows(_) | Access::Index { .. })
            || choice.known_columns > 0)
    }
}

/// The subquery whose result a condition is, or the negation of it; whether it is the result.
fn placeholder(expr: &Expr) -> Option<(usize, bool)> {
    match &expr.kind {
        ExprKind::Column(column) if (SUBQUERY..OUTER).contains(column) => {
            Some((column - SUBQUERY, true))
        }
        ExprKind::Not(arg) => placeholder(arg).map(|(number, holds)| (number, !holds)),
        _ => None,
    }
}

/// An expression of a subquery over the columns of the outer row, `width` of them, with those of the subquery's row behind.
fn over_pair(expr: &Expr, width: usize, outer: &[Expr]) -> Expr {
    let moved = expr.map_columns(&|column| if column < SUBQUERY { column + width } else { column });
    moved.substitute(&|column| column.checked_sub(OUTER).and_then(|i| outer.get(i).cloned()))
}

/// `expr IS [NOT] TRUE`, `expr IS [NOT] FALSE`.
fn truth(expr: Expr, expected: bool, negated: bool) -> Expr {
    let kind = ExprKind::IsTruth { arg: Arc::new(expr), expected, negated };
    Expr::new(SqlType::boolean().not_null(), kind)
}

/// What a group has for a column of its aggregates; a row without group has what an aggregate of no rows is.
fn result_of_group(aggregate: &Aggregate, column: usize) -> Expr {
    let value = column_expr(column, aggregate.ty.with_nullable(true), "");
    if aggregate.function != AggregateFunction::Count {
        return value;
    }
    let zero = if aggregate.ty.unsigned { Value::UInt(0) } else { Value::Int(0) };
    let zero = build::literal_typed(zero, aggregate.ty);
    Expr::new(aggregate.ty, ExprKind::Coalesce(Arc::from([value, zero])))
}

/// Whether an aggregate of no rows is NULL, or 0 for COUNT.
fn is_null_of_nothing(function: &AggregateFunction) -> bool {
    match function {
        AggregateFunction::Count
        | AggregateFunction::Sum
        | AggregateFunction::Avg
        | AggregateFunction::Min
        | AggregateFunction::Max
        | AggregateFunction::First
        | AggregateFunction::Deviation { .. }
        | AggregateFunction::Json { .. }
        | AggregateFunction::GroupConcat { .. } => true,
        AggregateFunction::BitAnd | AggregateFunction::BitOr | AggregateFunction::BitXor => false,
    }
}

/// Whether a comparison is never NULL.
fn is_never_null(condition: &Expr) -> bool {
    let is_sure = |expr: &Expr| match expr.kind {
        ExprKind::Column(column) => column < SUBQUERY && !expr.ty.nullable,
        _ => false,
    };
    match &condition.kind {
        ExprKind::Compare { args, .. } => args.iter().all(is_sure),
        ExprKind::And(args) => args.iter().all(is_never_null),
        _ => false,
    }
}

/// Whether an expression can neither fail nor warn, whatever the row.
fn is_calm(expr: &Expr) -> bool {
    let own = match &expr.kind {
        ExprKind::Column(_)
        | ExprKind::Literal(_)
        | ExprKind::Compare { .. }
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Not(_)
        | ExprKind::IsNull { .. }
        | ExprKind::InList { .. }
        | ExprKind::Like { .. } => true,
        ExprKind::Call { .. } => build::is_shown_column(expr),
        ExprKind::Arithmetic { op, domain: Domain::Decimal, .. } => {
            matches!(op, ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Multiply)
        }
        ExprKind::Cast { arg, .. } => matches!(
            (arg.ty.domain(), expr.ty.domain()),
            (Domain::Integer | Domain::Decimal, Domain::Decimal | Domain::Double)
                | (Domain::Date, Domain::DateTime)
                | (Domain::Text, Domain::Text)
        ),
        _ => false,
    };
    if !own {
        return expr.is_constant();
    }
    let mut is_calm_below = true;
    expr.operands(&mut |operand| is_calm_below = is_calm_below && is_calm(operand));
    is_calm_below
}

fn is_calm_plan(plan: &Plan) -> bool {
    let mut is_calm_here = true;
    plan.for_each_expr(&mut |expr| is_calm_here = is_calm_here && is_calm(expr));
    is_calm_here && plan.inputs().into_iter().all(is_calm_plan)
}

/// The table that a plan is, with conditions or without.
fn table_of(plan: &Plan) -> Option<&Scan> {
    match plan {
        Plan::Scan(scan) => Some(scan),
        Plan::Filter { input, conjuncts } => {
            let is_plain = conjuncts.iter().all(|expr| subqueries_of(expr).is_empty());
            if is_plain { table_of(input) } else { None }
        }
        _ => None,
    }
}

fn filtered(plan: Plan, conjuncts: Vec<Expr>) -> Plan {
    if conjuncts.is_empty() {
        return plan;
    }
    Plan::Filter { input: Box::new(plan), conjuncts }
}
