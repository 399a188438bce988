//! The vector form: a batch in, a column out.
//!
//! Hot kinds have kernels over Arrow arrays: comparisons, AND/OR/NOT, `+ - *`, IS NULL, LIKE with a
//! constant pattern, casts between numbers. Everything else runs the row form row by row, over only
//! the columns it reads.
//!
//! A kernel computes an operand for all rows before the next operand. That is only the same as the row
//! form when no order shows: so an operand that may warn or fail stands at most once in a kernel, and
//! what AND and OR may skip must be *total* (neither warns nor fails). A decimal operand must already
//! have its type's scale in every row, since a column rounds and the row form does not.

mod kernel;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Int64Builder};
use arrow::compute::{and_kleene, not, or_kleene};
use arrow::datatypes::{Int64Type, UInt64Type};
use arrow::record_batch::RecordBatch;

use super::{ArithmeticOp, Expr, ExprKind};
use crate::context::EvalContext;
use crate::types::{Domain, SqlType, TypeKind, array_value, values_to_array};
use crate::value::Value;
use crate::{Error, Result};

/// An operand of a kernel: a column, or one value for all rows.
pub(super) struct Operand {
    array: ArrayRef,
    constant: bool,
}

impl Operand {
    /// Where the operand's value for this row stands in its array.
    fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.at(row))
    }
}

impl Expr {
    /// Evaluates for all rows of a batch.
    pub fn eval_batch(&self, batch: &RecordBatch, ctx: &EvalContext) -> Result<ArrayRef> {
        match &self.kind {
            ExprKind::Column(index) => {
                let column = batch.columns().get(*index).ok_or_else(|| {
                    let count = batch.num_columns();
                    Error::internal(format!("column {index} of a batch of {count}"))
                })?;
                if column.data_type() != &self.ty.arrow() {
                    let (found, wanted) = (column.data_type(), self.ty.arrow());
                    let what = format!("column {index} is {found}, not {wanted}");
                    return Err(Error::internal(what));
                }
                return Ok(column.clone());
            }
            ExprKind::Literal(value) => {
                let values = std::iter::repeat_n(value, batch.num_rows());
                return values_to_array(&self.ty, values);
            }
            _ => {}
        }
        if let Some(truth) = self.boolean_kernel(batch, ctx) {
            return Ok(integers(&truth?));
        }
        if let Some(array) = self.value_kernel(batch, ctx) {
            return array;
        }
        let mut values = Vec::with_capacity(batch.num_rows());
        self.each_row(batch, |row| {
            values.push(self.eval(row, ctx)?);
            Ok(())
        })?;
        values_to_array(&self.ty, &values)
    }

    /// MySQL's truth for all rows of a batch; null is NULL.
    pub fn truth_batch(&self, batch: &RecordBatch, ctx: &EvalContext) -> Result<BooleanArray> {
        if let Some(truth) = self.boolean_kernel(batch, ctx) {
            return truth;
        }
        if self.ty.domain() == Domain::Integer && self.is_vector(batch) {
            let array = self.eval_batch(batch, ctx)?;
            return Ok(if self.ty.unsigned {
                array.as_primitive::<UInt64Type>().iter().map(|n| n.map(|n| n != 0)).collect()
            } else {
                array.as_primitive::<Int64Type>().iter().map(|n| n.map(|n| n != 0)).collect()
            });
        }
        let mut truth = BooleanBuilder::with_capacity(batch.num_rows());
        self.each_row(batch, |row| {
            truth.append_option(self.truth(row, ctx)?);
            Ok(())
        })?;
        Ok(truth.finish())
    }

    /// Whether the value comes as a column without the row form.
    fn is_vector(&self, batch: &RecordBatch) -> bool {
        match &self.kind {
            ExprKind::Column(index) => {
                batch.columns().get(*index).is_some_and(|c| c.data_type() == &self.ty.arrow())
            }
            _ => matches!(self.kind, ExprKind::Literal(_)) || self.has_value_kernel(),
        }
    }

    /// Runs the row form over every row, decoding only what it reads.
    fn each_row(
        &self,
        batch: &RecordBatch,
        mut visit: impl FnMut(&[Value]) -> Result<()>,
    ) -> Result<()> {
        let mut columns: Vec<(usize, SqlType)> = Vec::new();
        self.column_types(&mut columns);
        let width = columns.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        let mut row = vec![Value::Null; width];
        for (index, ty) in &columns {
            let found = batch.columns().get(*index).map(|column| column.data_type());
            if found != Some(&ty.arrow()) {
                let what = format!("column {index} is {found:?}, not {}", ty.arrow());
                return Err(Error::internal(what));
            }
        }
        for number in 0..batch.num_rows() {
            for (index, ty) in &columns {
                row[*index] = array_value(batch.column(*index), number, ty);
            }
            visit(&row)?;
        }
        Ok(())
    }

    fn column_types(&self, out: &mut Vec<(usize, SqlType)>) {
        if let ExprKind::Column(index) = self.kind
            && !out.iter().any(|(known, _)| *known == index)
        {
            out.push((index, self.ty));
        }
        self.operands(&mut |operand| operand.column_types(out));
    }

    /// Whether evaluation neither warns nor fails, whatever the row.
    pub(crate) fn is_total(&self) -> bool {
        let own = match &self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) => true,
            ExprKind::Compare { .. }
            | ExprKind::IsNull { .. }
            | ExprKind::Coalesce(_)
            | ExprKind::InList { .. }
            | ExprKind::Like { .. } => true,
            // Truth of a text reads it as a number, which may warn.
            ExprKind::And(args) | ExprKind::Or(args) => args.iter().all(Expr::has_quiet_truth),
            ExprKind::Xor(args) => args.iter().all(Expr::has_quiet_truth),
            ExprKind::Not(arg) | ExprKind::IsTruth { arg, .. } => arg.has_quiet_truth(),
            ExprKind::If(args) => args[0].has_quiet_truth(),
            ExprKind::Case { whens, .. } => whens.iter().all(|(when, _)| when.has_quiet_truth()),
            ExprKind::Cast { arg, .. } => kernel::is_widening(&arg.ty, &self.ty),
            _ => false,
        };
        let mut total = own;
        self.operands(&mut |operand| total = total && operand.is_total());
        total
    }

    fn has_quiet_truth(&self) -> bool {
        !self.ty.is_string()
    }

    /// Whether every row's decimal already has the type's scale (true for other types).
    fn has_fixed_scale(&self) -> bool {
        if self.ty.kind != TypeKind::Decimal {
            return true;
        }
        match &self.kind {
            ExprKind::Column(_) | ExprKind::Cast { .. } => true,
            ExprKind::Literal(Value::Decimal(number)) => number.scale() == self.ty.decimals,
            ExprKind::Literal(_) => true,
            ExprKind::Arithmetic { .. } => self.is_decimal_kernel(),
            _ => false,
        }
    }

    /// Whether this is `+ - *` on decimals whose result has exactly the type's scale.
    fn is_decimal_kernel(&self) -> bool {
        let ExprKind::Arithmetic { op, domain: Domain::Decimal, args } = &self.kind else {
            return false;
        };
        let (a, b) = (&args[0].ty, &args[1].ty);
        let exact = match op {
            ArithmeticOp::Add | ArithmeticOp::Subtract => {
                self.ty.decimals == a.decimals.max(b.decimals)
            }
            ArithmeticOp::Multiply => {
                u32::from(self.ty.decimals) == u32::from(a.decimals) + u32::from(b.decimals)
            }
            _ => false,
        };
        exact && args.iter().all(|arg| arg.ty.kind == TypeKind::Decimal && arg.has_fixed_scale())
    }

    /// Whether at most one of the operands may warn or fail.
    fn order_hidden(args: &[Expr]) -> bool {
        args.iter().filter(|arg| !arg.is_total()).count() <= 1
    }

    fn has_boolean_kernel(&self) -> bool {
        match &self.kind {
            ExprKind::Compare { domain, args, .. } => {
                *domain != Domain::Null
                    && args.iter().all(|arg| arg.ty.domain() == *domain && arg.has_fixed_scale())
                    && Expr::order_hidden(&args[..])
            }
            ExprKind::And(args) | ExprKind::Or(args) => {
                args.iter().skip(1).all(|arg| arg.is_total() && arg.has_quiet_truth())
            }
            ExprKind::Not(_) | ExprKind::IsNull { .. } | ExprKind::IsTruth { .. } => true,
            ExprKind::Like { arg, pattern, .. } => {
                arg.ty.is_text() && matches!(pattern.as_literal(), Some(Value::Text(_)))
            }
            _ => false,
        }
    }

    fn has_value_kernel(&self) -> bool {
        match &self.kind {
            ExprKind::Arithmetic { op, domain, args } => {
                let simple = matches!(
                    op,
                    ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Multiply
                );
                let fits = match domain {
                    Domain::Decimal => self.is_decimal_kernel(),
                    _ => args.iter().all(|arg| arg.ty.domain() == *domain),
                };
                simple && fits && Expr::order_hidden(&args[..])
            }
            ExprKind::Cast { arg, .. } => {
                kernel::is_widening(&arg.ty, &self.ty) && arg.has_fixed_scale()
            }
            _ => self.has_boolean_kernel(),
        }
    }

    fn operand(&self, batch: &RecordBatch, ctx: &EvalContext) -> Result<Operand> {
        match self.as_literal() {
            Some(value) => {
                Ok(Operand { array: values_to_array(&self.ty, [value])?, constant: true })
            }
            None => Ok(Operand { array: self.eval_batch(batch, ctx)?, constant: false }),
        }
    }

    /// The kernel of a kind that yields 1, 0 or NULL.
    fn boolean_kernel(
        &self,
        batch: &RecordBatch,
        ctx: &EvalContext,
    ) -> Option<Result<BooleanArray>> {
        if !self.has_boolean_kernel() {
            return None;
        }
        Some(self.run_boolean_kernel(batch, ctx))
    }

    fn run_boolean_kernel(&self, batch: &RecordBatch, ctx: &EvalContext) -> Result<BooleanArray> {
        let rows = batch.num_rows();
        let failed = |error: arrow::error::ArrowError| Error::internal(error);
        match &self.kind {
            ExprKind::Compare { op, domain, args } => {
                let (a, b) = (args[0].operand(batch, ctx)?, args[1].operand(batch, ctx)?);
                Ok(kernel::compare(*op, *domain, &a, &b, [&args[0].ty, &args[1].ty], rows))
            }
            ExprKind::And(args) | ExprKind::Or(args) => {
                let mut result = args[0].truth_batch(batch, ctx)?;
                for arg in &args[1..] {
                    let next = arg.truth_batch(batch, ctx)?;
                    result = if matches!(self.kind, ExprKind::And(_)) {
                        and_kleene(&result, &next).map_err(failed)?
                    } else {
                        or_kleene(&result, &next).map_err(failed)?
                    };
                }
                Ok(result)
            }
            ExprKind::Not(arg) => not(&arg.truth_batch(batch, ctx)?).map_err(failed),
            ExprKind::IsNull { arg, negated } => {
                let array = arg.eval_batch(batch, ctx)?;
                Ok((0..rows).map(|row| Some(array.is_null(row) != *negated)).collect())
            }
            ExprKind::IsTruth { arg, expected, negated } => {
                let truth = arg.truth_batch(batch, ctx)?;
                Ok(truth.iter().map(|t| Some((t == Some(*expected)) != *negated)).collect())
            }
            ExprKind::Like { arg, pattern, escape } => {
                let texts = arg.eval_batch(batch, ctx)?;
                let pattern = match pattern.as_literal() {
                    Some(Value::Text(pattern)) => pattern.as_str(),
                    _ => "",
                };
                let pattern = super::like::Pattern::new(pattern, *escape, arg.ty.collation);
                let mut text = Vec::new();
                let matched = texts.as_string::<i32>().iter().map(|value| {
                    value.map(|value| {
                        text.clear();
                        text.extend(value.chars());
                        pattern.matches(&text)
                    })
                });
                Ok(matched.collect())
            }
            _ => Err(Error::internal("no kernel for this kind")),
        }
    }

    fn value_kernel(&self, batch: &RecordBatch, ctx: &EvalContext) -> Option<Result<ArrayRef>> {
        if !self.has_value_kernel() {
            return None;
        }
        let rows = batch.num_rows();
        match &self.kind {
            ExprKind::Arithmetic { op, domain, args } => Some((|| {
                let (a, b) = (args[0].operand(batch, ctx)?, args[1].operand(batch, ctx)?);
                kernel::arithmetic(*op, *domain, &a, &b, self, rows)
            })()),
            ExprKind::Cast { arg, .. } => Some(
                arg.eval_batch(batch, ctx)
                    .and_then(|array| kernel::widen(&array, &arg.ty, &self.ty)),
            ),
            _ => None,
        }
    }

    /// The columns this expression reads, as positions.
    pub fn column_set(&self) -> BTreeSet<usize> {
        let mut columns = BTreeSet::new();
        self.columns(&mut columns);
        columns
    }
}

/// Truth as MySQL's BIGINT.
fn integers(truth: &BooleanArray) -> ArrayRef {
    let mut integers = Int64Builder::with_capacity(truth.len());
    for value in truth {
        integers.append_option(value.map(i64::from));
    }
    Arc::new(integers.finish())
}
