//! References to ENUM, SET and BIT columns: the text or the bytes, and the number behind them.

use super::{is_from_utc, literal, number_of_bytes};
use crate::Result;
use crate::expr::{CompareOp, Expr, ExprKind, coercibility};
use crate::function::{self, members};
use crate::types::TypeKind;
use crate::value::Value;

/// A stored ENUM or SET as its text, a BIT as its bytes: what reading such a column yields.
pub(crate) fn member_text(stored: Expr) -> Result<Expr> {
    let function = function::find(members::MEMBER_TEXT)
        .ok_or_else(|| crate::Error::internal("no function for members"))?;
    let (ty, name) = (stored.ty.shown(), stored.name.clone());
    let eval = members::member_text;
    let kind = ExprKind::Call { function, eval, args: [stored].into() };
    Ok(Expr { ty, kind, coercibility: coercibility::IMPLICIT, name })
}

/// Whether this is such a column as [`member_text`] wraps it.
pub(crate) fn is_member_text(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call { function, .. } if function.name == members::MEMBER_TEXT)
}

/// The column that [`member_text`] has wrapped, in its stored form.
pub(crate) fn stored_member(expr: &Expr) -> Option<Expr> {
    match &expr.kind {
        ExprKind::Call { args, .. } if is_member_text(expr) => Some(args[0].clone()),
        _ => None,
    }
}

/// What to compare instead of a column of numbers and another operand, so that the column stays bare: a BIT is compared as the
/// number that it is, an ENUM that is to equal a constant text as that member's number.
pub(crate) fn as_numbers(op: Option<CompareOp>, left: Expr, right: Expr) -> (Expr, Expr) {
    let (left, right) = (bits_as_number(left), bits_as_number(right));
    let is_equality =
        matches!(op, Some(CompareOp::Equal | CompareOp::NullSafeEqual | CompareOp::NotEqual));
    if !is_equality {
        return (left, right);
    }
    if let (Some(column), Some(number)) = (number_of_bytes(&left), number_named(&left, &right)) {
        return (column, number);
    }
    match (number_named(&right, &left), number_of_bytes(&right)) {
        (Some(number), Some(column)) => (number, column),
        _ => (left, right),
    }
}

/// A BIT column as its number, which most things take; any other expression as it is.
pub(crate) fn bits_as_number(expr: Expr) -> Expr {
    match stored_member(&expr) {
        Some(stored) if stored.ty.kind == TypeKind::Bit => number_of_bytes(&expr).unwrap_or(expr),
        _ => expr,
    }
}

/// The number of the member of an ENUM column that a literal names, under the column's collation.
fn number_named(column: &Expr, constant: &Expr) -> Option<Expr> {
    let stored = stored_member(column).filter(|stored| stored.ty.kind == TypeKind::Enum)?;
    let ExprKind::Literal(Value::Text(text)) = &constant.kind else { return None };
    // Blanks at the end may count or not; the empty member is equal to what was no member, which has another number.
    if constant.coercibility <= coercibility::IMPLICIT || text.ends_with(' ') || text.is_empty() {
        return None;
    }
    let members = stored.ty.members?;
    let number = members.number(text, stored.ty.collation);
    let number = number.filter(|number| !members.of_enum(*number).is_empty())?;
    Some(literal(Value::UInt(number)))
}

/// Whether this is a column whose stored form is another one: TIMESTAMP, ENUM, SET, BIT. NULL stays NULL.
pub(crate) fn is_shown_column(expr: &Expr) -> bool {
    is_from_utc(expr) || is_member_text(expr)
}
