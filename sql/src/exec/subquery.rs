//! Subqueries at run time.
//!
//! ```text
//! uncorrelated   runs once, before its query is planned ──> a constant, an IN list, or kept rows
//! query of WITH  runs once before what reads it ──> kept rows (`shared`)
//! LATERAL        per row of what stands before it, likewise ──> its rows (`lateral`)
//! correlated     per row: outer values become literals ──> planned, run ──> its value (cached)
//! function       per row: outer values are its arguments ──> called; once when DETERMINISTIC, of constants
//! ```
//!
//! Invariants:
//! 1. After [`resolve`] every placeholder left in a plan is correlated or has its rows.
//! 2. The value for a row depends on nothing but the outer values and the left side, so it may be
//!    cached by them; subqueries with RAND() or user variables are an exception MySQL makes, too, for
//!    uncorrelated ones only. Correlated ones of that kind are not cached.

use super::{Environment, collect_plan, shared};
use crate::binder::rewrite::rewrite;
use crate::expr::{Expr, ExprKind, ValueSet, build, key_bytes};
use crate::planner::plan::{
    OUTER, Plan, SUBQUERY, Subqueries, Subquery, SubqueryKind, subqueries_of,
};
use crate::types::SqlType;
use crate::value::{Row, Value};
use crate::{Error, Result};
use base::limits::SUBQUERY_CACHE_BYTES_MAX;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rows of an uncorrelated IN subquery that become an IN list, with which an index can be used.
const IN_LIST_MAX: usize = 1024;
/// Values of correlated subqueries that are remembered per operator.
const CACHE_ENTRIES_MAX: usize = 65_536;

/// Runs the subqueries that need no outer value and puts their results into the plan.
pub async fn resolve(
    plan: Plan,
    subqueries: &mut Subqueries,
    environment: &Environment,
) -> Result<Plan> {
    let mut known: BTreeMap<usize, Expr> = BTreeMap::new();
    let mut used = BTreeSet::new();
    collect_numbers(&plan, subqueries, &mut used);
    // Nested subqueries have smaller numbers: they are known when their enclosing one runs.
    for number in used {
        let mut subquery = (*subqueries[number]).clone();
        subquery.map_enclosing(&mut |expr| replace(expr, &known));
        subquery.rewrite_plans(&|expr| constant(expr, &known));
        // A DETERMINISTIC function of constants is one: with it an index can be used.
        if let SubqueryKind::Function(call) = &subquery.kind
            && call.is_deterministic()
            && subquery.outer.iter().all(Expr::is_constant)
        {
            let args = subquery.outer.iter().map(|expr| expr.eval(&[], &environment.ctx));
            let args = args.collect::<Result<Vec<Value>>>()?;
            let value = call.run(args, environment).await?;
            known.insert(number, literal(call.ty(), value));
            continue;
        }
        let is_working = matches!(subquery.kind, SubqueryKind::Working);
        if is_working || !subquery.is_uncorrelated() {
            subqueries[number] = Arc::new(subquery);
            continue;
        }
        if let SubqueryKind::Table(recursion) = &subquery.kind {
            if subquery.rows.is_none() {
                let recursion = recursion.as_ref();
                let rows = shared::rows_of(&subquery, recursion, subqueries, environment).await?;
                subquery.rows = Some(Arc::new(rows));
            }
            subqueries[number] = Arc::new(subquery);
            continue;
        }
        let limit = rows_wanted(&subquery.kind);
        let plan = (*subquery.plan).clone();
        let rows = collect_plan(plan, subqueries.clone(), environment, limit).await?;
        match &subquery.kind {
            SubqueryKind::Scalar | SubqueryKind::Exists => {
                let ty = match subquery.kind {
                    SubqueryKind::Scalar => subquery.plan.types()[0].with_nullable(true),
                    _ => SqlType::boolean(),
                };
                let value = single_value(&subquery.kind, rows)?;
                known.insert(number, literal(ty, value));
            }
            SubqueryKind::Quantified { left, equality: true, all: false, .. }
                if left.len() == 1 && !rows.is_empty() && rows.len() <= IN_LIST_MAX =>
            {
                let ty = subquery.plan.types()[0];
                // A list keeps its values, so that an index can be asked for them.
                let values = rows.into_iter().flatten().map(|value| literal(ty, value)).collect();
                let list = build::in_list(false, left[0].clone(), values, &environment.ctx)?;
                known.insert(number, list);
            }
            SubqueryKind::Quantified { .. }
            | SubqueryKind::Table(_)
            | SubqueryKind::Lateral
            | SubqueryKind::Working => {
                subquery.rows = Some(Arc::new(rows));
            }
            SubqueryKind::Function(_) => {
                return Err(Error::internal("a function is called for each row"));
            }
        }
        subqueries[number] = Arc::new(subquery);
    }
    Ok(plan.rewrite(&|expr| constant(expr, &known)))
}

/// The same for expressions that stand outside of a query: values of INSERT, conditions of UPDATE.
/// Correlated subqueries in them keep their placeholders; [`Evaluator`] computes those per row.
pub async fn resolve_exprs(
    exprs: Vec<Expr>,
    subqueries: &mut Subqueries,
    environment: &Environment,
) -> Result<Vec<Expr>> {
    if subqueries.is_empty() {
        return Ok(exprs);
    }
    let plan = Plan::Project { input: Box::new(Plan::OneRow), exprs };
    match resolve(plan, subqueries, environment).await? {
        Plan::Project { exprs, .. } => Ok(exprs),
        _ => Err(Error::internal("a list of expressions became another plan")),
    }
}

/// Rows of a subquery that are enough to know what it means.
fn rows_wanted(kind: &SubqueryKind) -> usize {
    match kind {
        SubqueryKind::Scalar => 2,
        SubqueryKind::Exists => 1,
        SubqueryKind::Quantified { .. }
        | SubqueryKind::Table(_)
        | SubqueryKind::Lateral
        | SubqueryKind::Working
        | SubqueryKind::Function(_) => usize::MAX,
    }
}

fn constant(expr: &Expr, known: &BTreeMap<usize, Expr>) -> Option<Expr> {
    match expr.kind {
        ExprKind::Column(column) if (SUBQUERY..OUTER).contains(&column) => {
            known.get(&(column - SUBQUERY)).cloned()
        }
        _ => None,
    }
}

fn replace(expr: &Expr, known: &BTreeMap<usize, Expr>) -> Expr {
    rewrite(expr, &|expr| constant(expr, known))
}

/// A constant that stands where an expression of this type stood.
pub(crate) fn literal(ty: SqlType, value: Value) -> Expr {
    let coercibility = crate::expr::coercibility::IMPLICIT;
    Expr { ty, kind: ExprKind::Literal(value), coercibility, name: None }
}

fn single_value(kind: &SubqueryKind, rows: Vec<Row>) -> Result<Value> {
    match kind {
        SubqueryKind::Exists => Ok(Value::boolean(!rows.is_empty())),
        _ if rows.len() > 1 => Err(Error::subquery_rows()),
        _ => Ok(rows.into_iter().flatten().next().unwrap_or_default()),
    }
}

/// Computes the value of one placeholder for row after row.
pub struct Evaluator {
    number: usize,
    subquery: Arc<Subquery>,
    subqueries: Subqueries,
    environment: Environment,
    /// The plan with conditions in place, before outer values are known.
    plan: Plan,
    /// Values by the key of what they depend on.
    cache: BTreeMap<Vec<u8>, Value>,
    /// Bytes of them.
    cached_bytes: usize,
    cacheable: bool,
    /// Key and rows of the row before, of a query in FROM.
    last: Option<(Vec<u8>, Arc<Vec<Row>>)>,
    /// Members of an uncorrelated IN, when a set can answer it.
    set: Option<(Expr, ValueSet)>,
    /// What the arguments of a function wait for, where no Apply has computed it before.
    nested: BTreeMap<usize, Evaluator>,
}

impl Evaluator {
    /// For the subquery of this number. `subqueries` have been through [`resolve`].
    pub fn new(
        number: usize,
        subqueries: &Subqueries,
        environment: &Environment,
    ) -> Result<Evaluator> {
        let subquery = subqueries
            .get(number)
            .cloned()
            .ok_or_else(|| Error::internal(format!("no subquery {number}")))?;
        let plan = (*subquery.plan).clone();
        let set = membership(&subquery, environment)?;
        let cacheable = match &subquery.kind {
            SubqueryKind::Function(call) => call.is_deterministic(),
            _ => !is_volatile(&plan),
        };
        let mut nested = BTreeMap::new();
        if matches!(subquery.kind, SubqueryKind::Function(_)) {
            for number in subquery.outer.iter().flat_map(subqueries_of) {
                nested.insert(number, Evaluator::new(number, subqueries, environment)?);
            }
        }
        Ok(Evaluator {
            number,
            nested,
            subqueries: subqueries.clone(),
            environment: environment.clone(),
            plan,
            cache: BTreeMap::new(),
            cached_bytes: 0,
            cacheable,
            last: None,
            set,
            subquery,
        })
    }

    /// The type of its value.
    fn ty(&self) -> SqlType {
        super::apply::result_type(&self.subqueries, self.number)
    }

    /// Whether its value is another one for another row of the enclosing query.
    pub(crate) fn depends_on_row(&self) -> bool {
        let mut columns = BTreeSet::new();
        self.subquery.columns(&mut columns);
        columns.iter().any(|column| *column < SUBQUERY)
            || self.nested.values().any(Evaluator::depends_on_row)
    }

    /// Its value for a row of the enclosing query.
    pub async fn value(&mut self, row: &[Value]) -> Result<Value> {
        let ctx = self.environment.ctx.clone();
        if let Some((left, set)) = &self.set {
            let left = left.eval(row, &ctx)?;
            return Ok(Value::truth(set.contains(&left)));
        }
        let (outer, mut key) = self.outer_values(row).await?;
        let mut left_values = Vec::new();
        if let SubqueryKind::Quantified { left, .. } = &self.subquery.kind {
            for expr in left {
                let value = expr.eval(row, &ctx)?;
                key.extend(key_bytes(&value, &expr.ty));
                left_values.push(value);
            }
        }
        if self.cacheable
            && let Some(value) = self.cache.get(&key)
        {
            return Ok(value.clone());
        }
        let value = self.run(outer, left_values).await?;
        let bytes = self.cached_bytes + key.len() + value.heap_bytes();
        let fits = self.cache.len() < CACHE_ENTRIES_MAX && bytes <= SUBQUERY_CACHE_BYTES_MAX;
        if self.cacheable && fits {
            self.cached_bytes = bytes;
            self.cache.insert(key, value.clone());
        }
        Ok(value)
    }

    /// The rows for a row of what stands before a query in FROM.
    pub async fn rows(&mut self, row: &[Value]) -> Result<Arc<Vec<Row>>> {
        let (outer, key) = self.outer_values(row).await?;
        if self.cacheable
            && let Some((known, rows)) = &self.last
            && *known == key
        {
            return Ok(rows.clone());
        }
        let rows = self.rows_with(&outer).await?;
        self.last = Some((key, rows.clone()));
        Ok(rows)
    }

    /// Outer values as constants, and the key of what they are.
    async fn outer_values(&mut self, row: &[Value]) -> Result<(Vec<Expr>, Vec<u8>)> {
        let ctx = self.environment.ctx.clone();
        let mut key = Vec::new();
        let mut outer = Vec::with_capacity(self.subquery.outer.len());
        let mut inner = BTreeMap::new();
        for (number, evaluator) in &mut self.nested {
            let value = Box::pin(evaluator.value(row)).await?;
            inner.insert(*number, literal(evaluator.ty(), value));
        }
        for expr in &self.subquery.outer {
            let value = match inner.is_empty() {
                true => expr.eval(row, &ctx)?,
                false => replace(expr, &inner).eval(row, &ctx)?,
            };
            key.extend(key_bytes(&value, &expr.ty));
            // Equal keys are not equal texts: 'a' and 'A' may be two different outer values.
            if let Some(text) = value.as_text() {
                key.extend(text.as_bytes());
                key.push(0);
            }
            outer.push(literal(expr.ty, value));
        }
        Ok((outer, key))
    }

    /// As many rows as are wanted.
    async fn rows_with(&self, outer: &[Expr]) -> Result<Arc<Vec<Row>>> {
        if let Some(rows) = &self.subquery.rows {
            return Ok(rows.clone());
        }
        let limit = rows_wanted(&self.subquery.kind);
        let (plan, mut subqueries) = with_outer(&self.plan, &self.subqueries, outer);
        // Nested subqueries that only needed these values run once now.
        let plan = Box::pin(resolve_new(plan, &mut subqueries, &self.environment)).await?;
        Ok(Arc::new(collect_plan(plan, subqueries, &self.environment, limit).await?))
    }

    async fn run(&self, outer: Vec<Expr>, left: Vec<Value>) -> Result<Value> {
        let ctx = &self.environment.ctx;
        if let SubqueryKind::Function(call) = &self.subquery.kind {
            let args = outer.into_iter().map(|expr| match expr.kind {
                ExprKind::Literal(value) => Ok(value),
                _ => Err(Error::internal("an argument of a function without its value")),
            });
            return call.run(args.collect::<Result<Vec<Value>>>()?, &self.environment).await;
        }
        let rows = self.rows_with(&outer).await?;
        match &self.subquery.kind {
            SubqueryKind::Quantified { condition, all, .. } => {
                // ANY is an OR over the rows, ALL an AND; NULL is neither true nor false.
                let mut unknown = false;
                let mut row = left;
                let width = row.len();
                for inner in rows.iter() {
                    row.truncate(width);
                    row.extend(inner.iter().cloned());
                    match condition.truth(&row, ctx)? {
                        Some(truth) if truth != *all => return Ok(Value::boolean(truth)),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                Ok(if unknown { Value::Null } else { Value::boolean(*all) })
            }
            kind => single_value(kind, rows.to_vec()),
        }
    }
}

/// The set behind an uncorrelated `left IN (SELECT …)` of one column.
fn membership(subquery: &Subquery, environment: &Environment) -> Result<Option<(Expr, ValueSet)>> {
    let (Some(rows), SubqueryKind::Quantified { left, condition, equality: true, all: false }) =
        (&subquery.rows, &subquery.kind)
    else {
        return Ok(None);
    };
    let ([left], ExprKind::Compare { args, .. }) = (left.as_slice(), &condition.kind) else {
        return Ok(None);
    };
    // Both sides as the comparison casts them: columns 0 and 1 of `condition`.
    let probe = args[0].substitute(&|column| (column == 0).then(|| left.clone()));
    let mut members = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let pair = [Value::Null, row[0].clone()];
        members.push(args[1].eval(&pair, &environment.ctx)?);
    }
    let ty = args[1].ty.with_collation(args[0].ty.collation);
    Ok(Some((probe, ValueSet::new(ty, members))))
}

/// The plan of a subquery with its outer values in place, and the subqueries nested in it likewise.
fn with_outer(plan: &Plan, subqueries: &Subqueries, outer: &[Expr]) -> (Plan, Subqueries) {
    let numbered = RefCell::new(subqueries.clone());
    let plan = plan.clone().rewrite(&|expr| put_outer(expr, outer, &numbered));
    (plan, numbered.into_inner())
}

fn put_outer(expr: &Expr, outer: &[Expr], subqueries: &RefCell<Subqueries>) -> Option<Expr> {
    match expr.kind {
        ExprKind::Column(column) if column >= OUTER => outer.get(column - OUTER).cloned(),
        ExprKind::Column(column) if column >= SUBQUERY => {
            let mut nested = (*subqueries.borrow()[column - SUBQUERY]).clone();
            nested.map_enclosing(&mut |part| {
                rewrite(part, &|part| put_outer(part, outer, subqueries))
            });
            let mut subqueries = subqueries.borrow_mut();
            subqueries.push(Arc::new(nested));
            let kind = ExprKind::Column(SUBQUERY + subqueries.len() - 1);
            Some(Expr { kind, ..expr.clone() })
        }
        _ => None,
    }
}

/// Runs nested subqueries whose outer values have all become constants.
async fn resolve_new(
    plan: Plan,
    subqueries: &mut Subqueries,
    environment: &Environment,
) -> Result<Plan> {
    let mut known = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    numbers_of(&plan, &mut numbers);
    for number in numbers {
        let subquery = subqueries[number].clone();
        let constant_outer = subquery.outer.iter().all(Expr::is_constant);
        if subquery.rows.is_some()
            || !constant_outer
            || matches!(subquery.kind, SubqueryKind::Quantified { .. } | SubqueryKind::Lateral)
        {
            continue;
        }
        let mut evaluator = Evaluator::new(number, subqueries, environment)?;
        let value = Box::pin(evaluator.value(&[])).await?;
        let ty = match subquery.kind {
            SubqueryKind::Scalar | SubqueryKind::Function(_) => {
                subquery.plan.types()[0].with_nullable(true)
            }
            _ => SqlType::boolean(),
        };
        known.insert(number, literal(ty, value));
    }
    Ok(plan.rewrite(&|expr| constant(expr, &known)))
}

/// Subqueries of a plan's own expressions.
fn numbers_of(plan: &Plan, out: &mut BTreeSet<usize>) {
    plan.for_each_expr(&mut |expr| out.extend(subqueries_of(expr)));
    for input in plan.inputs() {
        numbers_of(input, out);
    }
}

/// Queries of WITH that a plan reads.
fn shared_of(plan: &Plan, out: &mut BTreeSet<usize>) {
    if let Plan::Shared { number, .. } = plan {
        out.insert(*number);
    }
    for input in plan.inputs() {
        shared_of(input, out);
    }
}

/// Subqueries of a plan, and those nested in them.
fn collect_numbers(plan: &Plan, subqueries: &Subqueries, out: &mut BTreeSet<usize>) {
    let mut found = BTreeSet::new();
    numbers_of(plan, &mut found);
    shared_of(plan, &mut found);
    while let Some(number) = found.pop_first() {
        if !out.insert(number) {
            continue;
        }
        let subquery = &subqueries[number];
        subquery.for_each_enclosing(&mut |expr| found.extend(subqueries_of(expr)));
        subquery.plans().for_each(|plan| collect_numbers(plan, subqueries, out));
    }
}

/// Whether two runs with the same outer values may differ.
pub(crate) fn is_volatile(plan: &Plan) -> bool {
    let mut volatile = false;
    plan.for_each_expr(&mut |expr| {
        // A constant expression that is not constant for a statement: RAND(), @v.
        volatile |= expr.any(&|part| {
            let mut operands = 0;
            part.operands(&mut |_| operands += 1);
            let is_leaf = operands == 0;
            is_leaf && !part.is_constant() && !matches!(part.kind, ExprKind::Column(_))
        });
    });
    volatile || plan.inputs().into_iter().any(is_volatile)
}
