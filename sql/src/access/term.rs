//! What conjuncts say about single columns.
//!
//! ```text
//! a = 1, a IN (1, 2), a = 1 OR a = 2, a IS NULL, a <=> 1   points
//! a > 1, a >= 1, a < 9, a <= 9 (BETWEEN is two of them)     ranges
//! a LIKE 'abc%'                                             ranges: the beginning
//! ```
//!
//! A constant is turned into a value of the column's type. When that changes it (`int_column > 1.5`)
//! the bound is widened, or an equality can never hold.
//!
//! LIKE compares characters one by one, an index the weights of whole texts. So a beginning brings all rows that LIKE accepts,
//! and others: it is never the whole of what a conjunct says. How much of it keys have in common is the collation's to tell
//! (`CollationId::beginning`).

use super::after;
use crate::Result;
use crate::catalog::{IndexDef, TableDef};
use crate::context::EvalContext;
use crate::expr::{CompareOp, Expr, ExprKind, build, like};
use crate::table_codec;
use crate::types::{Domain, SqlType};
use crate::value::{Date, DateTime, Decimal, Value};
use arrow::datatypes::i256;
use base::{KeyRange, TableId};
use std::collections::{BTreeMap, BTreeSet};

/// What is known about the columns of a table.
#[derive(Debug, Default)]
pub struct Terms {
    /// Columns that can only have one of some values.
    pub points: BTreeMap<usize, Points>,
    /// Columns with bounds.
    pub ranges: BTreeMap<usize, Range>,
    /// A conjunct can never be true.
    pub never: bool,
}

/// The values that a column can have.
#[derive(Debug)]
pub struct Points {
    /// Values of the column's type, none twice; NULL stands for IS NULL.
    pub values: Vec<Value>,
    /// The conjuncts that say exactly this.
    pub conjuncts: Vec<usize>,
}

/// Bounds of a column; values of the column's type.
#[derive(Debug, Default)]
pub struct Range {
    /// Lower bound and whether it is inside.
    pub lower: Option<(Value, bool)>,
    /// Upper bound and whether it is inside.
    pub upper: Option<(Value, bool)>,
    /// The text or bytes that it begins with, to LIKE.
    pub start: Option<Value>,
    /// The conjuncts that say exactly this.
    pub conjuncts: Vec<usize>,
}

/// A constant as a value of a column's type.
enum Converted {
    /// The same value.
    Exact(Value),
    /// Lies between two values of the type: this one is the next smaller (`None`: below all).
    Above(Option<Value>),
    /// Lies above all values of the type.
    AboveAll,
    /// The type's order is not the comparison's.
    Unusable,
}

impl Terms {
    /// What the conjuncts say.
    pub fn of(table: &TableDef, conjuncts: &[Expr], ctx: &EvalContext) -> Result<Terms> {
        let mut terms = Terms::default();
        for (number, conjunct) in conjuncts.iter().enumerate() {
            if conjunct.is_constant() {
                terms.never |= conjunct.truth(&[], ctx)? != Some(true);
                continue;
            }
            if let Some((column, values)) = points_of(table, conjunct, ctx)? {
                if values.is_empty() {
                    terms.never = true;
                }
                // Two lists for one column: the shorter one, the other is checked on the rows.
                let known = terms.points.get(&column);
                if known.is_none_or(|points| values.len() < points.values.len()) {
                    let points = Points { values, conjuncts: vec![number] };
                    terms.points.insert(column, points);
                }
            } else if let Some((column, op, constant)) = comparison(table, conjunct) {
                terms.bound(table, number, column, op, constant, ctx)?;
            } else if let ExprKind::Like { arg, pattern, escape } = &conjunct.kind
                && let Some((column, _)) = column_of(table, arg)
                && pattern.is_constant()
            {
                let pattern = pattern.eval(&[], ctx)?;
                terms.begins(table, column, arg, like::beginning(&pattern, *escape));
            }
        }
        Ok(terms)
    }

    fn bound(
        &mut self,
        table: &TableDef,
        number: usize,
        column: usize,
        op: CompareOp,
        constant: Constant<'_>,
        ctx: &EvalContext,
    ) -> Result<()> {
        let value = constant.expr.eval(&[], ctx)?;
        if value.is_null() {
            self.never = true;
            return Ok(());
        }
        let is_lower = matches!(op, CompareOp::Greater | CompareOp::GreaterEqual);
        let closed = matches!(op, CompareOp::GreaterEqual | CompareOp::LessEqual);
        let ty = &table.columns[column].ty;
        let (bound, exact) = match convert(value, &constant, ty, ctx) {
            Converted::Exact(value) => (Some((value, closed)), true),
            // a > 1.5 is a > 1, and a < 1.5 is a <= 1.
            Converted::Above(Some(below)) => (Some((below, !is_lower)), true),
            Converted::Above(None) if is_lower => (None, true),
            Converted::AboveAll if !is_lower => (None, true),
            Converted::Above(None) | Converted::AboveAll => {
                self.never = true;
                return Ok(());
            }
            Converted::Unusable => return Ok(()),
        };
        let range = self.ranges.entry(column).or_default();
        let side = if is_lower { &mut range.lower } else { &mut range.upper };
        // Of two bounds on one side the first is kept; the other one is checked on the rows.
        if side.is_none()
            && exact
            && let Some(bound) = bound
        {
            *side = Some(bound);
            range.conjuncts.push(number);
        }
        Ok(())
    }

    /// `arg LIKE` a pattern with this beginning; NULL accepts nothing.
    fn begins(&mut self, table: &TableDef, column: usize, arg: &Expr, start: Option<Value>) {
        let Some(start) = start else {
            self.never = true;
            return;
        };
        let ty = &table.columns[column].ty;
        let says_something = match (ty.domain(), &start) {
            (Domain::Text, Value::Text(start)) => {
                arg.ty.collation == ty.collation && !ty.collation.beginning(start).is_empty()
            }
            (Domain::Bytes, Value::Bytes(start)) => {
                arg.ty.domain() == Domain::Bytes && !start.is_empty()
            }
            _ => false,
        };
        if says_something {
            // Of two beginnings the first is kept; the other one is checked on the rows.
            self.ranges.entry(column).or_default().start.get_or_insert(start);
        }
    }
}

impl Range {
    /// Whether it says how values compare with others, not only how they begin.
    pub(super) fn is_bounded(&self) -> bool {
        self.lower.is_some() || self.upper.is_some()
    }

    /// Keys of an index, under this id, whose leading columns have the `known` values and whose next column lies in this
    /// range. `truncated`: the index holds only the beginning of that column. Where that is not ordered as the column is, bounds
    /// say nothing.
    pub fn key_range(
        &self,
        table: &TableDef,
        id: TableId,
        index: &IndexDef,
        known: &[Value],
        truncated: bool,
    ) -> Result<KeyRange> {
        let prefix = |value: &Value| {
            let mut values = known.to_vec();
            values.push(value.clone());
            table_codec::key_prefix(table, id, index, &values)
        };
        let ordered = index.columns.get(known.len()).is_none_or(|part| {
            table_codec::keeps_order(&table.columns[part.column].ty, part.prefix)
        });
        let start = match self.lower.as_ref().filter(|_| ordered) {
            Some((value, closed)) if *closed || truncated => prefix(value)?.into(),
            Some((value, _)) => after(&prefix(value)?),
            // NULL stands before every value and satisfies no comparison.
            None => after(&prefix(&Value::Null)?),
        };
        let end = match self.upper.as_ref().filter(|_| ordered) {
            Some((value, closed)) if *closed || truncated => after(&prefix(value)?),
            Some((value, _)) => prefix(value)?.into(),
            None => after(&table_codec::key_prefix(table, id, index, known)?),
        };
        let Some(text) = &self.start else { return Ok(KeyRange { start, end }) };
        // No bound is empty: all these keys begin with a table's id, and none is the last one.
        let begins = KeyRange::prefix(table_codec::key_beginning(table, id, index, known, text)?);
        Ok(KeyRange { start: start.max(begins.start), end: end.min(begins.end) })
    }
}

/// The other side of a comparison.
struct Constant<'a> {
    expr: &'a Expr,
    /// What the comparison works on.
    domain: Domain,
    /// Type of the column's side as it is compared: its collation counts.
    compared_as: SqlType,
    /// The column holds UTC and is compared in the session's time zone.
    utc: bool,
}

/// `column op constant` in either order.
fn comparison<'a>(table: &TableDef, expr: &'a Expr) -> Option<(usize, CompareOp, Constant<'a>)> {
    let ExprKind::Compare { op, domain, args } = &expr.kind else { return None };
    let sides = [(&args[0], &args[1], *op), (&args[1], &args[0], op.swapped())];
    for (side, other, op) in sides {
        if let Some((column, utc)) = column_of(table, side)
            && other.is_constant()
            && op != CompareOp::NotEqual
        {
            let constant = Constant { expr: other, domain: *domain, compared_as: args[0].ty, utc };
            return Some((column, op, constant));
        }
    }
    None
}

/// The column that an expression is, or is a widening of; and whether it is shown in the session's
/// time zone.
fn column_of(table: &TableDef, expr: &Expr) -> Option<(usize, bool)> {
    match &expr.kind {
        ExprKind::Column(position) if *position < table.columns.len() => Some((*position, false)),
        ExprKind::Call { args, .. } if build::is_from_utc(expr) => match args[0].kind {
            ExprKind::Column(position) => Some((position, true)),
            _ => None,
        },
        // A number or date widened for the comparison keeps its order.
        ExprKind::Cast { arg, .. } => {
            let widened = (arg.ty.is_numeric() && expr.ty.is_numeric())
                || (arg.ty.domain() == Domain::Date && expr.ty.domain() == Domain::DateTime)
                || (arg.ty.is_datetime() && expr.ty.is_datetime());
            let narrowed = expr.ty.is_integer()
                || (expr.ty.is_temporal() && expr.ty.decimals < arg.ty.decimals)
                || (arg.ty.domain() == Domain::Decimal
                    && expr.ty.domain() == Domain::Decimal
                    && expr.ty.decimals < arg.ty.decimals);
            if widened && !narrowed { column_of(table, arg) } else { None }
        }
        _ => None,
    }
}

/// The column that a condition gives some values to, and these values.
fn points_of(
    table: &TableDef,
    expr: &Expr,
    ctx: &EvalContext,
) -> Result<Option<(usize, Vec<Value>)>> {
    match &expr.kind {
        ExprKind::Compare { op: CompareOp::Equal | CompareOp::NullSafeEqual, .. } => {
            let Some((column, op, constant)) = comparison(table, expr) else { return Ok(None) };
            let value = constant.expr.eval(&[], ctx)?;
            if value.is_null() {
                let matches_null = op == CompareOp::NullSafeEqual;
                return Ok(Some((column, if matches_null { vec![value] } else { Vec::new() })));
            }
            let ty = &table.columns[column].ty;
            Ok(match convert(value, &constant, ty, ctx) {
                Converted::Exact(value) => Some((column, vec![value])),
                Converted::Above(_) | Converted::AboveAll => Some((column, Vec::new())),
                Converted::Unusable => None,
            })
        }
        ExprKind::IsNull { arg, negated: false } => {
            Ok(column_of(table, arg).map(|(column, _)| (column, vec![Value::Null])))
        }
        ExprKind::InList { arg, list, set, negated: false } => {
            let Some((column, utc)) = column_of(table, arg) else { return Ok(None) };
            // A set alone has only keys of comparison, from which no value can be had.
            if list.is_empty() && set.as_ref().is_some_and(|set| !set.is_empty()) {
                return Ok(None);
            }
            let mut values = Vec::with_capacity(list.len());
            for member in list.iter() {
                if !member.is_constant() {
                    return Ok(None);
                }
                values.push(member.eval(&[], ctx)?);
            }
            let ty = &table.columns[column].ty;
            let mut points = Vec::with_capacity(values.len());
            for value in values.into_iter().filter(|value| !value.is_null()) {
                let constant =
                    Constant { expr: arg, domain: arg.ty.domain(), compared_as: arg.ty, utc };
                match convert(value, &constant, ty, ctx) {
                    Converted::Exact(value) => points.push(value),
                    Converted::Above(_) | Converted::AboveAll => {}
                    Converted::Unusable => return Ok(None),
                }
            }
            Ok(Some((column, distinct(points))))
        }
        ExprKind::Or(branches) => {
            let mut all: Option<(usize, Vec<Value>)> = None;
            for branch in branches.iter() {
                let Some((column, values)) = points_of(table, branch, ctx)? else {
                    return Ok(None);
                };
                match &mut all {
                    None => all = Some((column, values)),
                    Some((same, points)) if *same == column => points.extend(values),
                    Some(_) => return Ok(None),
                }
            }
            Ok(all.map(|(column, values)| (column, distinct(values))))
        }
        _ => Ok(None),
    }
}

fn distinct(values: Vec<Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    values.into_iter().filter(|value| seen.insert(format!("{value:?}"))).collect()
}

fn convert(value: Value, constant: &Constant<'_>, ty: &SqlType, ctx: &EvalContext) -> Converted {
    use Converted::{Exact, Unusable};
    match (ty.domain(), value) {
        (Domain::Integer, value) => to_integer(&value, ty),
        (Domain::Decimal, Value::Decimal(value)) => to_decimal(value, ty),
        (Domain::Decimal, value) => match value.as_integer() {
            Some(integer) => to_decimal(Decimal::from_i128(integer, 0), ty),
            None => Unusable,
        },
        // A FLOAT column holds fewer digits than a constant of the comparison.
        (Domain::Double, value) if ty.kind == crate::types::TypeKind::Double => match value {
            Value::Double(value) => Exact(Value::Double(value)),
            Value::Decimal(value) => Exact(Value::Double(value.to_f64())),
            value => match value.as_integer() {
                Some(integer) => Exact(Value::Double(integer as f64)),
                None => Unusable,
            },
        },
        (Domain::Text, Value::Text(text))
            if constant.domain == Domain::Text
                && constant.compared_as.collation == ty.collation =>
        {
            Exact(Value::Text(text))
        }
        (Domain::Bytes, Value::Bytes(bytes)) if constant.domain == Domain::Bytes => {
            Exact(Value::Bytes(bytes))
        }
        (Domain::Date, Value::Date(date)) => Exact(Value::Date(date)),
        (Domain::Date, Value::DateTime(moment)) => date_of(moment),
        (Domain::DateTime, Value::Date(date)) => moment_of(date.midnight(), constant, ctx),
        (Domain::DateTime, Value::DateTime(moment)) => moment_of(moment, constant, ctx),
        (Domain::Time, Value::Time(time)) => Exact(Value::Time(time)),
        _ => Unusable,
    }
}

fn date_of(moment: DateTime) -> Converted {
    let date: Date = moment.date();
    if moment.micros_of_day() == 0 {
        Converted::Exact(Value::Date(date))
    } else {
        Converted::Above(Some(Value::Date(date)))
    }
}

fn moment_of(moment: DateTime, constant: &Constant<'_>, ctx: &EvalContext) -> Converted {
    if !constant.utc {
        return Converted::Exact(Value::DateTime(moment));
    }
    // Where clocks are put on or back, the order of local times is not that of moments.
    let plain = ctx.time_zone.is_plain(moment);
    match ctx.time_zone.to_utc(moment).filter(|_| plain) {
        Some(moment) => Converted::Exact(Value::DateTime(moment)),
        None => Converted::Unusable,
    }
}

fn to_integer(value: &Value, ty: &SqlType) -> Converted {
    let (whole, exact) = match value {
        Value::Int(value) => (i128::from(*value), true),
        Value::UInt(value) => (i128::from(*value), true),
        Value::Decimal(value) => {
            let floor = value.floor();
            match floor.to_integer() {
                Some(whole) => {
                    (whole, floor == *value || floor.rescale(value.scale()) == Some(*value))
                }
                None if value.is_negative() => (i128::MIN, false),
                None => (i128::MAX, false),
            }
        }
        // Above 2^53 several integers are one double: the comparison cannot tell them apart.
        Value::Double(value) if value.abs() < 9e15 => (value.floor() as i128, value.fract() == 0.0),
        _ => return Converted::Unusable,
    };
    let (low, high) = if ty.unsigned {
        (0, i128::from(u64::MAX))
    } else {
        (i128::from(i64::MIN), i128::from(i64::MAX))
    };
    if whole < low {
        return Converted::Above(None);
    }
    if whole > high {
        return Converted::AboveAll;
    }
    let value = if ty.unsigned {
        u64::try_from(whole).map(Value::UInt)
    } else {
        i64::try_from(whole).map(Value::Int)
    };
    match value {
        Ok(value) if exact => Converted::Exact(value),
        Ok(value) => Converted::Above(Some(value)),
        Err(_) => Converted::Unusable,
    }
}

fn to_decimal(value: Decimal, ty: &SqlType) -> Converted {
    match value.rescale(ty.decimals) {
        Some(scaled) if scaled.fits(ty.length, ty.decimals) => {
            let same = scaled.subtract(&value).is_some_and(|rest| rest.unscaled() == i256::ZERO);
            if same { Converted::Exact(Value::Decimal(scaled)) } else { Converted::Unusable }
        }
        _ => Converted::Unusable,
    }
}
