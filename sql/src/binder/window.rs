//! Window functions: they leave a placeholder column and an entry in their query block.
//!
//! ```text
//! SELECT SUM(x) OVER (PARTITION BY a ORDER BY b) …
//! bound      placeholder, and an entry: SUM, x, a, b, the frame         over the columns of FROM, aggregates among them
//! grouped    the entry's expressions over keys and aggregates           (`group`)
//! made       Project (x, a, b, bounds) ─ Sort (a, b) ─ Window           one for each way of dividing and ordering
//! ```
//!
//! Not here: which rows a frame holds and what is computed (`exec::window`).

use super::rewrite::{rewrite, same};
use super::subquery::column_expr;
use super::{BindContext, Level};
use crate::ast::{self, ExprKind as Ast, FrameBound, FrameOffset, Over, WindowSpec};
use crate::expr::{Expr, ExprKind, build};
use crate::planner::plan::{Bound, Frame, Plan, SortKey, Window, WindowCall, WindowFunction};
use crate::types::{SqlType, TypeKind};
use crate::{Error, Result};

/// First column position that stands for a window function of the query block.
pub(crate) const WINDOW: usize = 1 << 44;

/// A window function over the columns of a query block.
#[derive(Clone, Debug)]
pub(crate) struct Windowed {
    function: WindowFunction,
    args: Vec<Expr>,
    partition: Vec<Expr>,
    order: Vec<SortKey>,
    frame: BoundFrame,
    ty: SqlType,
}

/// A frame whose bounds are expressions.
#[derive(Clone, Debug)]
struct BoundFrame {
    rows: bool,
    start: Side,
    end: Side,
    /// RANGE with distances: what the bounds are compared with.
    key: Option<(Expr, bool)>,
}

#[derive(Clone, Debug)]
enum Side {
    Unbounded,
    Current,
    Preceding(Expr),
    Following(Expr),
}

impl Windowed {
    /// The same with its expressions rewritten.
    pub(crate) fn map(&mut self, f: &mut dyn FnMut(&Expr) -> Result<Expr>) -> Result<()> {
        for expr in self.args.iter_mut().chain(&mut self.partition) {
            *expr = f(expr)?;
        }
        for key in &mut self.order {
            key.expr = f(&key.expr)?;
        }
        for side in [&mut self.frame.start, &mut self.frame.end] {
            if let Side::Preceding(expr) | Side::Following(expr) = side {
                *expr = f(expr)?;
            }
        }
        if let Some((key, _)) = &mut self.frame.key {
            *key = f(key)?;
        }
        Ok(())
    }

    fn is_beside(&self, other: &Windowed) -> bool {
        let exprs =
            |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
        let keys = |a: &[SortKey], b: &[SortKey]| {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.descending == b.descending && same(&a.expr, &b.expr))
        };
        exprs(&self.partition, &other.partition) && keys(&self.order, &other.order)
    }
}

/// Checks the WINDOW clause.
///
/// # Errors
/// 3591 for a name that it has twice.
pub(crate) fn check_names(windows: &[(String, WindowSpec)]) -> Result<()> {
    for (i, (name, _)) in windows.iter().enumerate() {
        if windows[..i].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(Error::duplicate_window(name));
        }
    }
    Ok(())
}

/// Whether an expression holds the result of a window function.
pub(crate) fn has_window(expr: &Expr) -> bool {
    expr.any(&|part| matches!(part.kind, ExprKind::Column(column) if column >= WINDOW))
}

impl BindContext<'_> {
    /// `function OVER …`.
    pub(crate) fn windowed(&mut self, function: &ast::Expr, over: &Over) -> Result<Expr> {
        let name = name_of(function);
        let level = self.level()?;
        if level.in_aggregate || level.in_window || level.windows.is_none() {
            return Err(Error::window_function_misplaced(name));
        }
        level.in_window = true;
        let bound = self.window_call(function, over);
        let level = self.level()?;
        level.in_window = false;
        let windowed = bound?;
        let ty = windowed.ty;
        let windows = level.windows.get_or_insert_default();
        windows.push(windowed);
        Ok(column_expr(WINDOW + windows.len() - 1, ty, ""))
    }

    fn window_call(&mut self, function: &ast::Expr, over: &Over) -> Result<Windowed> {
        let (name, spec) = match over {
            Over::Name(name) => (name.clone(), self.named_window(name, 0)?),
            Over::Spec(spec) => ("<unnamed window>".to_string(), self.whole_window(spec, 0)?),
        };
        let (function, args, ty) = self.window_function(function)?;
        let partition =
            spec.partition_by.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
        let mut order = Vec::with_capacity(spec.order_by.len());
        for item in &spec.order_by {
            let expr = self.expr(&item.expr)?;
            order.push(SortKey { expr, descending: item.descending });
        }
        let frame = self.window_frame(&name, spec.frame.as_ref(), &order)?;
        Ok(Windowed { function, args, partition, order, frame, ty })
    }

    /// A window of the WINDOW clause, with what it extends.
    fn named_window(&mut self, name: &str, depth: usize) -> Result<WindowSpec> {
        let windows = &self.level()?.named_windows;
        if depth > windows.len() {
            return Err(Error::circular_windows());
        }
        let found = windows.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, spec) = found.cloned().ok_or_else(|| Error::no_such_window(name))?;
        self.whole_window(&spec, depth)
    }

    fn whole_window(&mut self, spec: &WindowSpec, depth: usize) -> Result<WindowSpec> {
        let Some(name) = &spec.base else { return Ok(spec.clone()) };
        let base = self.named_window(name, depth + 1)?;
        if !spec.partition_by.is_empty() {
            return Err(Error::window_partitions_again());
        }
        if base.frame.is_some() {
            return Err(Error::window_inherits_frame(name));
        }
        if !base.order_by.is_empty() && !spec.order_by.is_empty() {
            return Err(Error::window_orders_again("<unnamed window>", name));
        }
        let order_by = match base.order_by.is_empty() {
            true => spec.order_by.clone(),
            false => base.order_by,
        };
        let (partition_by, frame) = (base.partition_by, spec.frame.clone());
        Ok(WindowSpec { base: None, partition_by, order_by, frame })
    }

    fn window_function(
        &mut self,
        function: &ast::Expr,
    ) -> Result<(WindowFunction, Vec<Expr>, SqlType)> {
        let unsigned = SqlType::bigint().unsigned().not_null();
        let share = SqlType::double().not_null();
        let (name, args) = match &function.kind {
            Ast::Aggregate(call) => return self.window_aggregate(call),
            Ast::Function { database: None, name, args } if name.eq_ignore_ascii_case("avg") => {
                return self.window_aggregate(&ast::Aggregate {
                    kind: ast::AggregateKind::Avg,
                    distinct: false,
                    args: args.clone(),
                    order_by: Vec::new(),
                    separator: None,
                });
            }
            Ast::Function { database: None, name, args } => (name.to_ascii_lowercase(), args),
            _ => return Err(Error::not_supported("OVER behind what is no window function")),
        };
        let bound = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let count = |least: usize, most: usize| match (least..=most).contains(&bound.len()) {
            true => Ok(()),
            false => Err(Error::wrong_parameter_count(&name)),
        };
        let (function, ty) = match name.as_str() {
            "row_number" => (WindowFunction::RowNumber, unsigned),
            "rank" => (WindowFunction::Rank, unsigned),
            "dense_rank" => (WindowFunction::DenseRank, unsigned),
            "percent_rank" => (WindowFunction::PercentRank, share),
            "cume_dist" => (WindowFunction::CumeDist, share),
            "ntile" => {
                count(1, 1)?;
                (WindowFunction::Ntile, unsigned.with_nullable(true))
            }
            "first_value" | "last_value" | "nth_value" => {
                let args = if name == "nth_value" { 2 } else { 1 };
                count(args, args)?;
                let function = match name.as_str() {
                    "first_value" => WindowFunction::First,
                    "last_value" => WindowFunction::Last,
                    _ => WindowFunction::Nth,
                };
                (function, bound[0].ty.with_nullable(true))
            }
            "lead" | "lag" => {
                count(1, 3)?;
                let default = bound.get(2).map(|default| default.ty);
                let ty = default.map_or(bound[0].ty, |default| bound[0].ty.unify(default));
                (WindowFunction::Shift { back: name == "lag" }, ty.with_nullable(true))
            }
            _ => return Err(Error::not_supported(format!("{name}() as a window function"))),
        };
        if bound.is_empty() || !matches!(function, WindowFunction::Shift { .. }) {
            let none = [
                WindowFunction::RowNumber,
                WindowFunction::Rank,
                WindowFunction::DenseRank,
                WindowFunction::PercentRank,
                WindowFunction::CumeDist,
            ];
            if none.contains(&function) {
                count(0, 0)?;
            }
            return Ok((function, bound, ty));
        }
        // The value and its default have one type.
        let cast = |(i, arg): (usize, Expr)| match i {
            1 => arg,
            _ if arg.ty.with_nullable(true) == ty => arg,
            _ => build::cast(arg, ty),
        };
        let bound = bound.into_iter().enumerate().map(cast).collect();
        Ok((function, bound, ty))
    }

    fn window_aggregate(
        &mut self,
        call: &ast::Aggregate,
    ) -> Result<(WindowFunction, Vec<Expr>, SqlType)> {
        let gathers = matches!(
            call.kind,
            ast::AggregateKind::GroupConcat
                | ast::AggregateKind::JsonArrayAgg
                | ast::AggregateKind::JsonObjectAgg
        );
        if call.distinct || gathers {
            return Err(Error::not_supported(format!(
                "{}{} as a window function: join with a grouped query instead",
                call.kind.name(),
                if call.distinct { "(DISTINCT …)" } else { "()" }
            )));
        }
        let bound = self.aggregate_call(call)?;
        let nullable = !matches!(
            call.kind,
            ast::AggregateKind::Count
                | ast::AggregateKind::BitAnd
                | ast::AggregateKind::BitOr
                | ast::AggregateKind::BitXor
        );
        let ty = bound.ty.with_nullable(nullable);
        Ok((WindowFunction::Aggregate(bound.function), bound.args, ty))
    }

    /// The frame: without one the partition, up to the row's peers when there is an order.
    fn window_frame(
        &mut self,
        name: &str,
        frame: Option<&ast::Frame>,
        order: &[SortKey],
    ) -> Result<BoundFrame> {
        let Some(frame) = frame else {
            let end = if order.is_empty() { Side::Unbounded } else { Side::Current };
            return Ok(BoundFrame { rows: false, start: Side::Unbounded, end, key: None });
        };
        let end = frame.end.as_ref().unwrap_or(&FrameBound::CurrentRow);
        if frame.start == FrameBound::UnboundedFollowing {
            return Err(Error::window_frame_start(name));
        }
        let backwards = matches!(
            (&frame.start, end),
            (FrameBound::CurrentRow, FrameBound::Preceding(_))
                | (FrameBound::Following(_), FrameBound::Preceding(_) | FrameBound::CurrentRow)
        );
        if *end == FrameBound::UnboundedPreceding || backwards {
            return Err(Error::window_frame_end(name));
        }
        let mut key = None;
        let start = self.side(name, frame.rows, &frame.start, order, &mut key)?;
        let end = self.side(name, frame.rows, end, order, &mut key)?;
        Ok(BoundFrame { rows: frame.rows, start, end, key })
    }

    fn side(
        &mut self,
        name: &str,
        rows: bool,
        bound: &FrameBound,
        order: &[SortKey],
        key: &mut Option<(Expr, bool)>,
    ) -> Result<Side> {
        let (offset, follows) = match bound {
            FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => {
                return Ok(Side::Unbounded);
            }
            FrameBound::CurrentRow => return Ok(Side::Current),
            FrameBound::Preceding(offset) => (offset, false),
            FrameBound::Following(offset) => (offset, true),
        };
        let value = match rows {
            true => self.row_count(name, offset)?,
            false => self.range_value(name, offset, follows, order, key)?,
        };
        Ok(if follows { Side::Following(value) } else { Side::Preceding(value) })
    }

    fn row_count(&mut self, name: &str, offset: &FrameOffset) -> Result<Expr> {
        let amount = self.expr(&offset.amount)?;
        let counts = amount.is_constant() && (amount.ty.is_integer() || is_parameter(offset));
        match offset.unit.is_none() && counts {
            true => Ok(amount),
            false => Err(Error::window_frame_value(name)),
        }
    }

    /// The value of the order that lies so far from the row's own.
    fn range_value(
        &mut self,
        name: &str,
        offset: &FrameOffset,
        follows: bool,
        order: &[SortKey],
        key: &mut Option<(Expr, bool)>,
    ) -> Result<Expr> {
        let [SortKey { expr, descending }] = order else {
            return Err(Error::window_range_order(name));
        };
        let amount = self.expr(&offset.amount)?;
        if !amount.is_constant() {
            return Err(Error::window_bound_not_constant(name));
        }
        // Behind in the order is more, unless it descends.
        let subtracts = follows == *descending;
        let ctx = self.ctx;
        let (own, value) = if expr.ty.is_temporal() {
            let Some(unit) = offset.unit else { return Err(Error::window_needs_interval(name)) };
            let ty = match expr.ty.kind {
                TypeKind::Time => SqlType::time(6),
                _ => SqlType::datetime(6),
            };
            let value = build::date_arithmetic(subtracts, expr.clone(), amount, unit, ctx)?;
            (build::cast(expr.clone(), ty), build::cast(value, ty))
        } else if expr.ty.is_numeric() {
            if offset.unit.is_some() {
                return Err(Error::window_needs_number(name));
            }
            // Unsigned values have others below them here.
            let own = match expr.ty.is_floating() {
                true => expr.clone(),
                false => build::cast(
                    expr.clone(),
                    SqlType::decimal(expr.ty.precision().max(20), expr.ty.scale()),
                ),
            };
            let op = if subtracts { ast::BinaryOp::Subtract } else { ast::BinaryOp::Add };
            let value = build::binary(op, own.clone(), amount, ctx)?;
            let ty = own.ty.unify(value.ty);
            (build::cast(own, ty), build::cast(value, ty))
        } else {
            return Err(Error::window_range_order(name));
        };
        *key = Some((own, *descending));
        Ok(value)
    }

    /// The stage of windows: a column more for each function, in the order of the functions.
    ///
    /// Answers the plan and the column of each.
    pub(crate) fn window_stage(
        &mut self,
        mut plan: Plan,
        windows: Vec<Windowed>,
    ) -> Result<(Plan, Vec<usize>)> {
        let mut columns = vec![0; windows.len()];
        let mut left: Vec<(usize, Windowed)> = windows.into_iter().enumerate().collect();
        while let Some((_, first)) = left.first().cloned() {
            let (now, later) = left.into_iter().partition(|(_, other)| first.is_beside(other));
            left = later;
            plan = window_of(plan, now, &mut columns);
        }
        Ok((plan, columns))
    }
}

/// Window functions over one way of dividing and ordering a plan's rows.
fn window_of(plan: Plan, calls: Vec<(usize, Windowed)>, columns: &mut [usize]) -> Plan {
    let types = plan.types();
    let mut exprs: Vec<Expr> =
        types.iter().enumerate().map(|(i, ty)| column_expr(i, *ty, "")).collect();
    let mut place = |expr: Expr| match exprs.iter().position(|known| same(known, &expr)) {
        Some(place) => place,
        None => {
            exprs.push(expr);
            exprs.len() - 1
        }
    };
    let mut window = Window { partition: Vec::new(), order: Vec::new(), calls: Vec::new() };
    let mut descending = Vec::new();
    let mut numbers = Vec::with_capacity(calls.len());
    for (number, call) in calls {
        if numbers.is_empty() {
            window.partition = call.partition.into_iter().map(&mut place).collect();
            for key in call.order {
                window.order.push(place(key.expr));
                descending.push(key.descending);
            }
        }
        let args = call.args.into_iter().map(&mut place).collect();
        let mut bound = |side: Side| match side {
            Side::Unbounded => Bound::Unbounded,
            Side::Current => Bound::Current,
            Side::Preceding(value) => Bound::Preceding(place(value)),
            Side::Following(value) => Bound::Following(place(value)),
        };
        let (start, end) = (bound(call.frame.start), bound(call.frame.end));
        let key = call.frame.key.map(|(key, descending)| (place(key), descending));
        let frame = Frame { rows: call.frame.rows, start, end, key };
        window.calls.push(WindowCall { function: call.function, args, frame, ty: call.ty });
        numbers.push(number);
    }
    let mut plan = match exprs.len() == types.len() {
        true => plan,
        false => Plan::Project { input: Box::new(plan), exprs: exprs.clone() },
    };
    let key = |column: usize, descending: bool| SortKey {
        expr: column_expr(column, exprs[column].ty, ""),
        descending,
    };
    let partition = window.partition.iter().map(|column| key(*column, false));
    let order = window.order.iter().zip(&descending).map(|(column, down)| key(*column, *down));
    let keys: Vec<SortKey> = partition.chain(order).collect();
    if !keys.is_empty() {
        plan = Plan::Sort { input: Box::new(plan), keys };
    }
    for (i, number) in numbers.iter().enumerate() {
        columns[*number] = exprs.len() + i;
    }
    Plan::Window { input: Box::new(plan), window }
}

/// The expression with the results of window functions in place.
pub(crate) fn with_results(expr: &Expr, columns: &[usize]) -> Expr {
    rewrite(expr, &|part| match part.kind {
        ExprKind::Column(column) if column >= WINDOW => {
            let place = columns.get(column - WINDOW).copied().unwrap_or(column);
            Some(Expr { kind: ExprKind::Column(place), ..part.clone() })
        }
        _ => None,
    })
}

/// Whether a distance is a parameter, whose value is looked at when it is known.
fn is_parameter(offset: &FrameOffset) -> bool {
    matches!(offset.amount.kind, Ast::Param(_))
}

fn name_of(function: &ast::Expr) -> String {
    match &function.kind {
        Ast::Aggregate(call) => call.kind.name().to_ascii_lowercase(),
        Ast::Function { name, .. } => name.to_ascii_lowercase(),
        _ => "window function".to_string(),
    }
}

impl Level {
    /// Takes the window functions found so far; none may be named from here on.
    pub(crate) fn take_windows(&mut self) -> Vec<Windowed> {
        self.windows.take().unwrap_or_default()
    }
}
