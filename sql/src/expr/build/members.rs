//! References to ENUM and SET columns: the text, and the number behind it.

use super::is_from_utc;
use crate::Result;
use crate::expr::{Expr, ExprKind, coercibility};
use crate::function::{self, members};

/// A stored ENUM or SET as its text: what reading such a column yields.
pub(crate) fn member_text(stored: Expr) -> Result<Expr> {
    let function = function::find(members::MEMBER_TEXT)
        .ok_or_else(|| crate::Error::internal("no function for members"))?;
    let (ty, name) = (stored.ty.shown(), stored.name.clone());
    let eval = members::member_text;
    let kind = ExprKind::Call { function, eval, args: [stored].into() };
    Ok(Expr { ty, kind, coercibility: coercibility::IMPLICIT, name })
}

/// Whether this is an ENUM or SET column as [`member_text`] wraps it.
pub(crate) fn is_member_text(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call { function, .. } if function.name == members::MEMBER_TEXT)
}

/// The ENUM or SET column that [`member_text`] has wrapped, in its stored form.
pub(crate) fn stored_member(expr: &Expr) -> Option<Expr> {
    match &expr.kind {
        ExprKind::Call { args, .. } if is_member_text(expr) => Some(args[0].clone()),
        _ => None,
    }
}

/// Whether this is a column whose stored form is another one: TIMESTAMP, ENUM, SET. NULL stays NULL.
pub(crate) fn is_shown_column(expr: &Expr) -> bool {
    is_from_utc(expr) || is_member_text(expr)
}
