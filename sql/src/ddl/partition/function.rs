//! The expression of RANGE, LIST and HASH: what may stand in it, and the text that MySQL prints of it.

use crate::ast::{BinaryOp, ColumnName, Expr, ExprKind, Literal, UnaryOp};
use crate::catalog::partition::PartitionFunction;
use crate::catalog::{ColumnDef, TableDef};
use crate::printer::identifier as quoted;
use crate::types::TypeKind;
use crate::{Error, Result};
use std::sync::Arc;

/// The expression of RANGE. In tables of TDSQL's spelling the month and the day of a date are those of the calendar.
pub(super) fn of_range(expr: &Expr, table: &Arc<TableDef>) -> Result<PartitionFunction> {
    if table.sharding_declared
        && let ExprKind::Function { name, args, .. } = &expr.kind
        && let [Expr { kind: ExprKind::Column(column), .. }] = args.as_slice()
        && (name.eq_ignore_ascii_case("month") || name.eq_ignore_ascii_case("day"))
    {
        let column = column_of(column, table)?;
        check_kind(column, &DATES)?;
        let text = format!("{}({})", name.to_ascii_lowercase(), quoted(&column.name));
        return PartitionFunction::new(&text, true, table);
    }
    of(expr, table)
}

/// The expression of LIST and HASH, and of RANGE in MySQL's meaning.
pub(super) fn of(expr: &Expr, table: &Arc<TableDef>) -> Result<PartitionFunction> {
    if let ExprKind::Column(name) = &expr.kind {
        let column = column_of(name, table)?;
        if column.ty.is_blob() {
            return Err(Error::partition_blob());
        }
        if !column.ty.is_integer() {
            return Err(Error::partition_column_type(&column.name));
        }
    }
    PartitionFunction::new(&text_of(expr, table)?, false, table)
}

/// Types whose date is theirs in every time zone.
const DATES: [TypeKind; 2] = [TypeKind::Date, TypeKind::DateTime];
/// The same of their time.
const TIMES: [TypeKind; 2] = [TypeKind::Time, TypeKind::DateTime];

fn column_of<'t>(name: &ColumnName, table: &'t TableDef) -> Result<&'t ColumnDef> {
    let is_own = name.table.as_ref().is_none_or(|named| *named == table.name);
    let position = if is_own { table.column(&name.column) } else { None };
    let position = position.ok_or_else(|| Error::unknown_column(name, "partition function"))?;
    Ok(&table.columns[position])
}

/// 1486 for a column whose part of a date would depend on a session.
fn check_kind(column: &ColumnDef, kinds: &[TypeKind]) -> Result<()> {
    match kinds.contains(&column.ty.kind) {
        true => Ok(()),
        false => Err(Error::partition_function_unsteady()),
    }
}

fn text_of(expr: &Expr, table: &TableDef) -> Result<String> {
    match &expr.kind {
        ExprKind::Column(name) => {
            let column = column_of(name, table)?;
            if column.ty.is_blob() {
                return Err(Error::partition_blob());
            }
            Ok(quoted(&column.name))
        }
        ExprKind::Literal(Literal::Integer(number)) => Ok(number.to_string()),
        ExprKind::Unary { op: UnaryOp::Minus, operand } => match &operand.kind {
            ExprKind::Literal(Literal::Integer(number)) => Ok(format!("-{number}")),
            _ => Ok(format!("-({})", text_of(operand, table)?)),
        },
        ExprKind::Unary { op: UnaryOp::Plus, operand } => text_of(operand, table),
        ExprKind::Binary { op, left, right } => {
            let sign = match op {
                BinaryOp::Add => "+",
                BinaryOp::Subtract => "-",
                BinaryOp::Multiply => "*",
                BinaryOp::IntegerDivide => "DIV",
                BinaryOp::Modulo => "%",
                _ => return Err(Error::partition_function_not_allowed()),
            };
            Ok(format!("({} {sign} {})", text_of(left, table)?, text_of(right, table)?))
        }
        ExprKind::Extract { unit, operand } => {
            let ExprKind::Column(name) = &operand.kind else {
                return Err(Error::partition_function_unsteady());
            };
            let column = column_of(name, table)?;
            check_kind(column, &[TypeKind::Date, TypeKind::DateTime, TypeKind::Time])?;
            let unit = unit.name().to_ascii_lowercase();
            Ok(format!("extract({unit} from {})", quoted(&column.name)))
        }
        ExprKind::Function { database: None, name, args } => {
            call_text(&name.to_ascii_lowercase(), args, table)
        }
        _ => Err(Error::partition_function_not_allowed()),
    }
}

fn call_text(name: &str, args: &[Expr], table: &TableDef) -> Result<String> {
    // The type that the dates and times among the arguments must have; none for numbers.
    let kinds: &[TypeKind] = match name {
        "abs" | "ceiling" | "ceil" | "floor" | "mod" => &[],
        "datediff" | "day" | "dayofmonth" | "dayofweek" | "dayofyear" | "month" | "quarter"
        | "to_days" | "to_seconds" | "weekday" | "year" | "yearweek" => &DATES,
        "hour" | "microsecond" | "minute" | "second" | "time_to_sec" => &TIMES,
        "unix_timestamp" => &[TypeKind::Timestamp],
        _ => return Err(Error::partition_function_not_allowed()),
    };
    let dated = if name == "yearweek" { 1 } else { args.len() };
    if !kinds.is_empty() {
        if args.is_empty() {
            return Err(Error::partition_function_unsteady());
        }
        for arg in &args[..dated.min(args.len())] {
            let ExprKind::Column(column) = &arg.kind else {
                return Err(Error::partition_function_unsteady());
            };
            check_kind(column_of(column, table)?, kinds)?;
        }
    }
    let mut texts = args.iter().map(|arg| text_of(arg, table)).collect::<Result<Vec<String>>>()?;
    match (name, texts.as_slice()) {
        ("mod", [left, right]) => return Ok(format!("({left} % {right})")),
        // Without a mode it would be the session's.
        ("yearweek", [_]) => texts.push("0".to_string()),
        _ => {}
    }
    let name = match name {
        "day" => "dayofmonth",
        "ceil" => "ceiling",
        name => name,
    };
    Ok(format!("{name}({})", texts.join(",")))
}
