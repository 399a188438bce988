//! Loops over Arrow arrays, one per domain.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Decimal256Builder, Float64Builder,
    Int64Builder, UInt64Builder,
};
use arrow::datatypes::{Decimal256Type, Float64Type, Int64Type, UInt64Type};

use super::Operand;
use crate::Result;
use crate::expr::arithmetic::out_of_range;
use crate::expr::{ArithmeticOp, CompareOp, Expr};
use crate::types::datetime::Date;
use crate::types::decimal::Decimal;
use crate::types::{Domain, SqlType, TypeKind, array_value};
use crate::value::Value;

/// Truth of `a op b` for each row; `order` compares two values that are not NULL.
fn compare_rows(
    op: CompareOp,
    a: &Operand,
    b: &Operand,
    rows: usize,
    order: impl Fn(usize, usize) -> Ordering,
) -> BooleanArray {
    let mut truth = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        match (a.is_null(row), b.is_null(row)) {
            (false, false) => truth.append_value(op.holds(order(a.at(row), b.at(row)))),
            (x, y) if op == CompareOp::NullSafeEqual => truth.append_value(x && y),
            _ => truth.append_null(),
        }
    }
    truth.finish()
}

/// A comparison; both operands are of `domain`.
pub(super) fn compare(
    op: CompareOp,
    domain: Domain,
    a: &Operand,
    b: &Operand,
    types: [&SqlType; 2],
    rows: usize,
) -> BooleanArray {
    let [left, right] = types;
    match domain {
        Domain::Integer if left.unsigned == right.unsigned && !left.unsigned => {
            let (x, y) = (a.array.as_primitive::<Int64Type>(), b.array.as_primitive::<Int64Type>());
            compare_rows(op, a, b, rows, |i, j| x.value(i).cmp(&y.value(j)))
        }
        Domain::Time => {
            let (x, y) = (a.array.as_primitive::<Int64Type>(), b.array.as_primitive::<Int64Type>());
            compare_rows(op, a, b, rows, |i, j| x.value(i).cmp(&y.value(j)))
        }
        Domain::Integer if left.unsigned && right.unsigned => unsigned(op, a, b, rows),
        Domain::Date | Domain::DateTime => unsigned(op, a, b, rows),
        Domain::Integer => {
            let number = |operand: &Operand, ty: &SqlType, at: usize| {
                if ty.unsigned {
                    i128::from(operand.array.as_primitive::<UInt64Type>().value(at))
                } else {
                    i128::from(operand.array.as_primitive::<Int64Type>().value(at))
                }
            };
            compare_rows(op, a, b, rows, |i, j| number(a, left, i).cmp(&number(b, right, j)))
        }
        Domain::Decimal => {
            let x = a.array.as_primitive::<Decimal256Type>();
            let y = b.array.as_primitive::<Decimal256Type>();
            if left.decimals == right.decimals {
                return compare_rows(op, a, b, rows, |i, j| x.value(i).cmp(&y.value(j)));
            }
            compare_rows(op, a, b, rows, |i, j| {
                let (x, y) = (x.value(i), y.value(j));
                Decimal::new(x, left.decimals).cmp(&Decimal::new(y, right.decimals))
            })
        }
        Domain::Double => {
            let x = a.array.as_primitive::<Float64Type>();
            let y = b.array.as_primitive::<Float64Type>();
            compare_rows(op, a, b, rows, |i, j| {
                let (x, y) = (x.value(i), y.value(j));
                x.partial_cmp(&y).unwrap_or_else(|| x.total_cmp(&y))
            })
        }
        Domain::Text => {
            let (x, y) = (a.array.as_string::<i32>(), b.array.as_string::<i32>());
            let collation = left.collation;
            compare_rows(op, a, b, rows, |i, j| collation.compare(x.value(i), y.value(j)))
        }
        Domain::Bytes => {
            let (x, y) = (a.array.as_binary::<i32>(), b.array.as_binary::<i32>());
            compare_rows(op, a, b, rows, |i, j| x.value(i).cmp(y.value(j)))
        }
        Domain::Null => compare_rows(op, a, b, rows, |_, _| Ordering::Equal),
    }
}

fn unsigned(op: CompareOp, a: &Operand, b: &Operand, rows: usize) -> BooleanArray {
    let (x, y) = (a.array.as_primitive::<UInt64Type>(), b.array.as_primitive::<UInt64Type>());
    compare_rows(op, a, b, rows, |i, j| x.value(i).cmp(&y.value(j)))
}

/// `+ - *`; both operands are of `domain`.
pub(super) fn arithmetic(
    op: ArithmeticOp,
    domain: Domain,
    a: &Operand,
    b: &Operand,
    expr: &Expr,
    rows: usize,
) -> Result<ArrayRef> {
    match domain {
        Domain::Integer => integers(op, a, b, expr, rows),
        Domain::Decimal => decimals(op, a, b, expr, rows),
        _ => doubles(op, a, b, expr, rows),
    }
}

fn integers(
    op: ArithmeticOp,
    a: &Operand,
    b: &Operand,
    expr: &Expr,
    rows: usize,
) -> Result<ArrayRef> {
    let both_signed =
        [a, b].iter().all(|operand| operand.array.as_primitive_opt::<Int64Type>().is_some());
    if both_signed && !expr.ty.unsigned {
        let (x, y) = (a.array.as_primitive::<Int64Type>(), b.array.as_primitive::<Int64Type>());
        let mut out = Int64Builder::with_capacity(rows);
        for row in 0..rows {
            if a.is_null(row) || b.is_null(row) {
                out.append_null();
                continue;
            }
            let (x, y) = (x.value(a.at(row)), y.value(b.at(row)));
            let result = match op {
                ArithmeticOp::Add => x.checked_add(y),
                ArithmeticOp::Subtract => x.checked_sub(y),
                _ => x.checked_mul(y),
            };
            out.append_value(result.ok_or_else(|| out_of_range(expr))?);
        }
        return Ok(Arc::new(out.finish()));
    }
    let number = |operand: &Operand, row: usize| -> i128 {
        match operand.array.as_primitive_opt::<UInt64Type>() {
            Some(array) => i128::from(array.value(operand.at(row))),
            None => i128::from(operand.array.as_primitive::<Int64Type>().value(operand.at(row))),
        }
    };
    let mut unsigned = UInt64Builder::new();
    let mut signed = Int64Builder::new();
    for row in 0..rows {
        if a.is_null(row) || b.is_null(row) {
            unsigned.append_null();
            signed.append_null();
            continue;
        }
        let (x, y) = (number(a, row), number(b, row));
        let result = match op {
            ArithmeticOp::Add => Some(x + y),
            ArithmeticOp::Subtract => Some(x - y),
            _ => x.checked_mul(y),
        };
        match crate::expr::arithmetic::fit_integer(result, &expr.ty) {
            Some(Value::UInt(number)) => unsigned.append_value(number),
            Some(Value::Int(number)) => signed.append_value(number),
            _ => return Err(out_of_range(expr)),
        }
    }
    Ok(if expr.ty.unsigned { Arc::new(unsigned.finish()) } else { Arc::new(signed.finish()) })
}

fn decimals(
    op: ArithmeticOp,
    a: &Operand,
    b: &Operand,
    expr: &Expr,
    rows: usize,
) -> Result<ArrayRef> {
    let (x, y) =
        (a.array.as_primitive::<Decimal256Type>(), b.array.as_primitive::<Decimal256Type>());
    let scale_of = |operand: &Operand| match operand.array.data_type() {
        arrow::datatypes::DataType::Decimal256(_, scale) => *scale as u8,
        _ => 0,
    };
    let (scale_a, scale_b) = (scale_of(a), scale_of(b));
    let mut out = Decimal256Builder::with_capacity(rows).with_data_type(expr.ty.arrow());
    for row in 0..rows {
        if a.is_null(row) || b.is_null(row) {
            out.append_null();
            continue;
        }
        let x = Decimal::new(x.value(a.at(row)), scale_a);
        let y = Decimal::new(y.value(b.at(row)), scale_b);
        let result = match op {
            ArithmeticOp::Add => x.add(&y),
            ArithmeticOp::Subtract => x.subtract(&y),
            _ => x.multiply(&y),
        };
        let scaled = result.and_then(|result| result.rescale(expr.ty.decimals));
        out.append_value(scaled.ok_or_else(|| out_of_range(expr))?.unscaled());
    }
    Ok(Arc::new(out.finish()))
}

fn doubles(
    op: ArithmeticOp,
    a: &Operand,
    b: &Operand,
    expr: &Expr,
    rows: usize,
) -> Result<ArrayRef> {
    let (x, y) = (a.array.as_primitive::<Float64Type>(), b.array.as_primitive::<Float64Type>());
    let mut out = Float64Builder::with_capacity(rows);
    for row in 0..rows {
        if a.is_null(row) || b.is_null(row) {
            out.append_null();
            continue;
        }
        let (x, y) = (x.value(a.at(row)), y.value(b.at(row)));
        let result = match op {
            ArithmeticOp::Add => x + y,
            ArithmeticOp::Subtract => x - y,
            _ => x * y,
        };
        if !result.is_finite() {
            return Err(out_of_range(expr));
        }
        out.append_value(result);
    }
    Ok(Arc::new(out.finish()))
}

/// Whether every value of `from` has its exact or nearest value in `to`, without warning.
pub(super) fn is_widening(from: &SqlType, to: &SqlType) -> bool {
    match (from.domain(), to.domain()) {
        (Domain::Integer | Domain::Decimal, Domain::Double) => to.kind == TypeKind::Double,
        (Domain::Integer, Domain::Decimal) => {
            to.decimals == 0 && to.length >= from.precision().min(65)
        }
        (Domain::Date, Domain::DateTime) => true,
        _ => false,
    }
}

/// A column under a wider type.
pub(super) fn widen(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
    let rows = array.len();
    if (from.domain(), to.domain()) == (Domain::Date, Domain::DateTime) {
        let dates = array.as_primitive::<UInt64Type>();
        let mut out = UInt64Builder::with_capacity(rows);
        for date in dates {
            out.append_option(date.map(|date| Date::from_packed(date).midnight().packed()));
        }
        return Ok(Arc::new(out.finish()));
    }
    if to.domain() == Domain::Decimal {
        let mut out = Decimal256Builder::with_capacity(rows).with_data_type(to.arrow());
        for row in 0..rows {
            match array_value(array, row, from).as_integer() {
                Some(number) => out.append_value(Decimal::from_i128(number, 0).unscaled()),
                None => out.append_null(),
            }
        }
        return Ok(Arc::new(out.finish()));
    }
    let mut out = Float64Builder::with_capacity(rows);
    for row in 0..rows {
        match array_value(array, row, from) {
            Value::Int(number) => out.append_value(number as f64),
            Value::UInt(number) => out.append_value(number as f64),
            Value::Decimal(number) => out.append_value(number.to_f64()),
            _ => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}
