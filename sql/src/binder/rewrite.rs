//! Replacing parts of bound expressions.

use crate::expr::Expr;

/// What stands for an expression; `None` keeps it and goes on with its operands.
pub type Rewrite<'a> = dyn Fn(&Expr) -> Option<Expr> + 'a;

/// The expression with its topmost replaceable parts replaced.
pub fn rewrite(expr: &Expr, f: &Rewrite<'_>) -> Expr {
    f(expr).unwrap_or_else(|| expr.map_operands(&mut |operand| rewrite(operand, f)))
}

/// Whether two expressions are the same text after binding: they yield the same value of a row.
pub fn same(a: &Expr, b: &Expr) -> bool {
    std::mem::discriminant(&a.kind) == std::mem::discriminant(&b.kind)
        && a.ty == b.ty
        && format!("{:?}", a.kind) == format!("{:?}", b.kind)
}
