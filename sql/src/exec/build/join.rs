//! Joins: by lookup, by hash, by nested loops, and those of co-located tables partition by partition.
//!
//! Not here: which join comes first (`planner::join_order`), which ones are local (`planner::locality`).

use super::{Builder, Division, Operator, Wish};
use crate::exec::error;
use crate::exec::expression::{condition, weight, weight_type};
use crate::exec::hash_join::SpillingJoinExec;
use crate::exec::local::LocalExec;
use crate::exec::lookup::{self, LookupJoinExec};
use crate::exec::stop::StopExec;
use crate::expr::{CompareOp, Expr, ExprKind};
use crate::planner::plan::{Join, JoinKind, SUBQUERY, Subqueries, columns_of, subqueries_of};
use crate::planner::{estimate, locality};
use crate::types::{Domain, SqlType};
use crate::{Error, Result};
use arrow::datatypes::{Field, Schema};
use base::SlotRange;
use datafusion_common::{JoinSide, JoinType, NullEquality};
use datafusion_physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion_physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Builder<'_> {
    pub(super) fn join(&self, join: &Join) -> Result<Operator> {
        if join.on.iter().any(|expr| !subqueries_of(expr).is_empty()) {
            return Err(Error::not_supported(
                "a correlated subquery in ON of an outer join; move it to WHERE or a derived table",
            ));
        }
        if let Some(lookup) = lookup::plan(join, self.subqueries, self.environment)? {
            let left = self.plan(&join.left, &Wish::default())?.operator;
            let types = join.left.types();
            let operator = LookupJoinExec::new(left, types, lookup, self.environment.clone());
            return Ok(Arc::new(operator));
        }
        if self.division.is_none()
            && locality::is_divisible(join, self.subqueries, self.environment)?
        {
            let parts = self.environment.slots_by_shard()?;
            if parts.len() > 1 {
                return self.divided(join, parts);
            }
        }
        let left = self.plan(&join.left, &Wish::default())?.operator;
        let right = self.plan(&join.right, &Wish::default())?.operator;
        let (left_width, right_width) = (join.left.width(), join.right.width());
        let mut keys: Vec<(Expr, Expr)> = Vec::new();
        let mut rest: Vec<Expr> = Vec::new();
        for condition in &join.on {
            match equality(condition, left_width, self.subqueries) {
                Some(pair) => keys.push(pair),
                None => rest.push(condition.clone()),
            }
        }
        // The second input is built into memory and the first one streams, so that rows keep its
        // order; the other way round when the first one promises to be small.
        let build_left = join.kind == JoinKind::Inner && self.is_left_smaller(join)?;
        let (build, probe, build_width) =
            if build_left { (left, right, left_width) } else { (right, left, right_width) };
        let side = |column: usize| {
            let is_left = column < left_width;
            let index = if is_left { column } else { column - left_width };
            let side = if is_left == build_left { JoinSide::Left } else { JoinSide::Right };
            ColumnIndex { index, side }
        };
        let filter = self.join_filter(&rest, &build, &probe, &side);
        let kind = match join.kind {
            JoinKind::Inner => JoinType::Inner,
            // The probe side is the one whose rows all stay.
            JoinKind::Left => JoinType::Right,
            JoinKind::Semi => JoinType::RightSemi,
            JoinKind::Anti => JoinType::RightAnti,
        };
        let output: Option<Vec<usize>> = if build_left || !join.kind.shows_right() {
            None
        } else {
            let probe_first = build_width..build_width + left_width;
            Some(probe_first.chain(0..build_width).collect())
        };
        if keys.is_empty() {
            let operator = NestedLoopJoinExec::try_new(build, probe, filter, &kind, None)
                .map_err(error::unwrap)?;
            let environment = self.environment.clone();
            let operator: Operator = Arc::new(StopExec::new(Arc::new(operator), environment));
            return match output {
                Some(columns) => self.pick(operator, &columns),
                None => Ok(operator),
            };
        }
        let ctx = &self.environment.ctx;
        let (build_schema, probe_schema) = (build.schema(), probe.schema());
        let on = keys
            .iter()
            .map(|(left, right)| {
                let (build, probe) = if build_left { (left, right) } else { (right, left) };
                (weight(build, &build_schema, ctx), weight(probe, &probe_schema, ctx))
            })
            .collect();
        let operator: Operator = match self.division {
            Some(_) => {
                let operator = HashJoinExec::try_new(
                    build,
                    probe,
                    on,
                    filter,
                    &kind,
                    None,
                    PartitionMode::Partitioned,
                    NullEquality::NullEqualsNothing,
                    false,
                );
                Arc::new(operator.map_err(error::unwrap)?)
            }
            None => {
                let environment = self.environment.clone();
                let operator = SpillingJoinExec::new(build, probe, on, filter, kind, environment);
                Arc::new(operator.map_err(error::unwrap)?)
            }
        };
        match output {
            Some(columns) => self.pick(operator, &columns),
            None => Ok(operator),
        }
    }

    /// Whether the first input is built into memory: it is expected to have fewer rows than the second, or, when nothing is known of
    /// them, it promises to be small.
    fn is_left_smaller(&self, join: &Join) -> Result<bool> {
        let ctx = &self.environment.ctx;
        match (estimate::rows(&join.left, ctx)?, estimate::rows(&join.right, ctx)?) {
            (Some(left), Some(right)) => Ok(left < right),
            _ => lookup::is_small(&join.left, self.environment),
        }
    }

    /// A join of co-located tables, each partition of it on its own.
    pub(super) fn divided(&self, join: &Join, parts: Arc<[SlotRange]>) -> Result<Operator> {
        let division = Division { parts, scans: RefCell::default() };
        let inside = Builder {
            subqueries: self.subqueries,
            environment: self.environment,
            division: Some(&division),
            meter: self.meter,
        };
        let operator = inside.join(join)?;
        let scans = division.scans.into_inner();
        Ok(Arc::new(LocalExec::new(operator, scans, self.environment.clone())))
    }

    fn join_filter(
        &self,
        conditions: &[Expr],
        build: &Operator,
        probe: &Operator,
        side: &dyn Fn(usize) -> ColumnIndex,
    ) -> Option<JoinFilter> {
        if conditions.is_empty() {
            return None;
        }
        let mut columns = BTreeSet::new();
        for condition in conditions {
            columns.extend(columns_of(condition, self.subqueries));
        }
        let columns: Vec<usize> = columns.into_iter().collect();
        let indices: Vec<ColumnIndex> = columns.iter().map(|&column| side(column)).collect();
        let fields: Vec<Field> = indices
            .iter()
            .map(|index| {
                let schema =
                    if index.side == JoinSide::Left { build.schema() } else { probe.schema() };
                schema.field(index.index).clone()
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let place = |column: usize| columns.binary_search(&column).unwrap_or(column);
        let conditions: Vec<Expr> =
            conditions.iter().map(|condition| condition.map_columns(&place)).collect();
        let predicate = condition(&conditions, &schema, &self.environment.ctx);
        Some(JoinFilter::new(predicate, indices, schema))
    }
}

/// Both sides of an equality between the inputs of a join, each over its own input, when they can be
/// keys of a hash table.
pub(crate) fn equality(
    condition: &Expr,
    left_width: usize,
    subqueries: &Subqueries,
) -> Option<(Expr, Expr)> {
    let ExprKind::Compare { op: CompareOp::Equal, domain, args } = &condition.kind else {
        return None;
    };
    let columns = [columns_of(&args[0], subqueries), columns_of(&args[1], subqueries)];
    let is_left = |columns: &BTreeSet<usize>| {
        !columns.is_empty() && columns.iter().all(|&column| column < left_width)
    };
    let is_right = |columns: &BTreeSet<usize>| {
        !columns.is_empty() && columns.iter().all(|&column| column >= left_width)
    };
    let (left, right) = if is_left(&columns[0]) && is_right(&columns[1]) {
        (&args[0], &args[1])
    } else if is_left(&columns[1]) && is_right(&columns[0]) {
        (&args[1], &args[0])
    } else {
        return None;
    };
    let right = right.map_columns(&|c| if c < SUBQUERY { c - left_width } else { c });
    let (mut left, mut right) = (left.clone(), right);
    match domain {
        Domain::Text => {
            // Both are compared under the collation of the left operand of `=`.
            let collation = args[0].ty.collation;
            left.ty.is_text().then_some(())?;
            right.ty.is_text().then_some(())?;
            if left.ty.collation != collation || right.ty.collation != collation {
                return None;
            }
        }
        Domain::Integer if left.ty.unsigned != right.ty.unsigned => {
            let exact = SqlType::decimal(20, 0);
            left = crate::expr::build::cast(left, exact);
            right = crate::expr::build::cast(right, exact);
        }
        Domain::Decimal => {
            let scale = left.ty.scale().max(right.ty.scale());
            let exact = SqlType::decimal(65, scale);
            left = crate::expr::build::cast(left, exact);
            right = crate::expr::build::cast(right, exact);
        }
        _ => {}
    }
    (weight_type(&left.ty) == weight_type(&right.ty)).then_some((left, right))
}
