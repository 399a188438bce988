//! Names of enclosing queries, and subqueries inside expressions.
//!
//! ```text
//! stack:  level 0 │ frame │ level 1 │ frame │ level 2      a name of level 0, used in level 2,
//!                   └ outer[i] = column of level 0         passes both frames:
//!                                       └ outer[j] = OUTER + i of level 1's frame
//! ```

use super::scope::display;
use super::{BindContext, BoundColumn, Entry, Level, rewrite};
use crate::ast::{self, ColumnName, RoutineKind};
use crate::exec::subquery::literal;
use crate::expr::{Expr, ExprKind, build, coercibility};
use crate::planner::plan::{OUTER, Plan, SUBQUERY, Subquery, SubqueryKind};
use crate::program::function::Call;
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};
use std::sync::Arc;

impl BindContext<'_> {
    /// The column that a name means, in this query block or an enclosing one.
    pub(crate) fn resolve(&mut self, name: &ColumnName) -> Result<Expr> {
        let clause = self.level()?.clause;
        let mut found = None;
        for (place, entry) in self.stack.iter().enumerate().rev() {
            if let Entry::Level(level) = entry
                && self.is_visible(place)
                && let Some(expr) = self.look_up(level, name, clause)?
            {
                found = Some((place, expr));
                break;
            }
        }
        let Some((place, mut expr)) = found else {
            return Err(Error::unknown_column(display(name), clause));
        };
        for entry in &mut self.stack[place + 1..] {
            if let Entry::Frame { outer } = entry {
                expr = outer_value(outer, expr);
            }
        }
        Ok(expr)
    }

    fn look_up(&self, level: &Level, name: &ColumnName, clause: &str) -> Result<Option<Expr>> {
        let column = |position: usize| self.scope_column(level, position);
        if level.aliases_first && name.table.is_none() {
            if let Ok(Some(position)) = level.scope.find(name, clause)
                && level.grouped.contains(&position)
            {
                return column(position).map(Some);
            }
            if let Some(expr) = find_alias(level, &name.column, clause)? {
                return Ok(Some(expr));
            }
        }
        if let Some(position) = level.scope.find(name, clause)? {
            return column(position).map(Some);
        }
        if name.table.is_none() && !level.in_aggregate {
            return find_alias(level, &name.column, clause);
        }
        Ok(None)
    }

    /// The value of a column of FROM; a TIMESTAMP in the session's time zone, of an ENUM or SET the text, of a BIT the bytes.
    pub(crate) fn scope_column(&self, level: &Level, position: usize) -> Result<Expr> {
        let column = &level.scope.columns[position];
        let expr = column_expr(position, column.ty, &column_name(column));
        match column.utc {
            true => build::from_utc(expr),
            false if column.ty.is_number_of_another() => build::member_text(expr),
            false => Ok(expr),
        }
    }

    /// Binds a query as a subquery of the expression that is being bound: its plan, its columns, and
    /// the outer values it needs.
    pub(super) fn frame(
        &mut self,
        query: &ast::Query,
    ) -> Result<(Plan, Vec<BoundColumn>, Vec<Expr>)> {
        super::query::refuse_inner_locks(query)?;
        self.deeper(|bind| {
            bind.stack.push(Entry::Frame { outer: Vec::new() });
            let result = bind.query(query);
            match (bind.stack.pop(), result) {
                (Some(Entry::Frame { outer }), Ok((plan, columns))) => Ok((plan, columns, outer)),
                (_, Err(error)) => Err(error),
                (_, Ok(_)) => Err(Error::internal("a subquery did not end where it began")),
            }
        })
    }

    fn placeholder(&mut self, subquery: Subquery, ty: SqlType) -> Expr {
        self.subqueries.push(Arc::new(subquery));
        column_expr(SUBQUERY + self.subqueries.len() - 1, ty, "(subquery)")
    }

    /// The variable of the stored program around the statement that a bare name means, or a column of NEW or OLD of the trigger
    /// around it: they win over columns.
    pub(crate) fn local(&self, name: &ColumnName) -> Option<Expr> {
        let locals = self.ctx.locals.as_ref().filter(|_| name.database.is_none())?;
        let local = match &name.table {
            None => locals.find(&name.column)?,
            Some(row) => locals.find_row(row, &name.column)?,
        };
        Some(literal(local.ty, local.value.clone()))
    }

    /// A call of a stored function; `None` when there is none of this name.
    ///
    /// # Errors
    /// 1318 for another number of arguments, 1424 when it is running.
    pub(crate) fn stored_function(
        &mut self,
        database: &str,
        name: &str,
        args: &[ast::Expr],
    ) -> Result<Option<Expr>> {
        let routine = self.catalog.routine(database, RoutineKind::Function, name).cloned();
        let Some(routine) = routine else { return Ok(None) };
        let running =
            self.ctx.locals.as_ref().map_or(&[][..], |locals| locals.functions.as_slice());
        let call = Call::of(&routine, &self.catalog, running)?;
        if args.len() != call.arguments() {
            return Err(Error::wrong_argument_count(
                "FUNCTION",
                call.name(),
                call.arguments(),
                args.len(),
            ));
        }
        let mut outer = Vec::with_capacity(args.len());
        for arg in args {
            outer.push(self.expr(arg)?);
        }
        let ty = call.ty();
        let result = literal(ty, Value::Null);
        let plan = Plan::Project { input: Box::new(Plan::OneRow), exprs: vec![result] };
        let kind = SubqueryKind::Function(Arc::new(call));
        Ok(Some(self.placeholder(Subquery::new(kind, plan, outer), ty)))
    }

    /// `(SELECT …)` as a value.
    pub(crate) fn scalar_subquery(&mut self, query: &ast::Query) -> Result<Expr> {
        let (plan, columns, outer) = self.frame(query)?;
        let [column] = columns.as_slice() else { return Err(Error::operand_columns(1)) };
        let ty = column.ty.with_nullable(true);
        let kind = SubqueryKind::Scalar;
        Ok(self.placeholder(Subquery::new(kind, plan, outer), ty))
    }

    /// `EXISTS (SELECT …)`.
    pub(crate) fn exists_subquery(&mut self, query: &ast::Query) -> Result<Expr> {
        let (plan, _, outer) = self.frame(query)?;
        let kind = SubqueryKind::Exists;
        let subquery = Subquery::new(kind, plan, outer);
        Ok(self.placeholder(subquery, SqlType::boolean().not_null()))
    }

    /// `left op ANY (SELECT …)` or `left op ALL (SELECT …)`.
    pub(crate) fn quantified_subquery(
        &mut self,
        left: &ast::Expr,
        op: ast::BinaryOp,
        all: bool,
        query: &ast::Query,
    ) -> Result<Expr> {
        let left = match &left.kind {
            ast::ExprKind::Row(members) => {
                members.iter().map(|member| self.expr(member)).collect::<Result<Vec<_>>>()?
            }
            _ => vec![self.expr(left)?],
        };
        let (plan, columns, outer) = self.frame(query)?;
        if columns.len() != left.len() {
            return Err(Error::operand_columns(left.len()));
        }
        let width = left.len();
        if width > 1 && !matches!(op, ast::BinaryOp::Equal | ast::BinaryOp::NotEqual) {
            return Err(Error::operand_columns(1));
        }
        let mut condition: Option<Expr> = None;
        for (i, (value, column)) in left.iter().zip(&columns).enumerate() {
            let a = Expr { kind: ExprKind::Column(i), name: None, ..value.clone() };
            let b = column_expr(width + i, column.ty, "");
            let part = build::binary(op, a, b, self.ctx)?;
            // Rows are unequal when one pair of members is.
            let join = match op {
                ast::BinaryOp::NotEqual => ast::BinaryOp::Or,
                _ => ast::BinaryOp::And,
            };
            condition = Some(match condition {
                None => part,
                Some(before) => build::binary(join, before, part, self.ctx)?,
            });
        }
        let condition = condition.ok_or_else(|| Error::operand_columns(1))?;
        let equality = op == ast::BinaryOp::Equal;
        let kind = SubqueryKind::Quantified { left, condition, equality, all };
        Ok(self.placeholder(Subquery::new(kind, plan, outer), SqlType::boolean()))
    }

    /// `left IN (SELECT …)`; NOT IN is `left <> ALL (SELECT …)`, the negation of `= ANY`.
    pub(crate) fn in_subquery(
        &mut self,
        left: &ast::Expr,
        query: &ast::Query,
        negated: bool,
    ) -> Result<Expr> {
        let found = self.quantified_subquery(left, ast::BinaryOp::Equal, false, query)?;
        if negated { build::unary(ast::UnaryOp::Not, found, self.ctx) } else { Ok(found) }
    }
}

/// The value as the inside of a frame sees it.
fn outer_value(outer: &mut Vec<Expr>, expr: Expr) -> Expr {
    let number = match outer.iter().position(|known| rewrite::same(known, &expr)) {
        Some(number) => number,
        None => {
            outer.push(expr.clone());
            outer.len() - 1
        }
    };
    Expr { kind: ExprKind::Column(OUTER + number), ..expr }
}

fn find_alias(level: &Level, name: &str, clause: &str) -> Result<Option<Expr>> {
    let mut found: Option<&Expr> = None;
    for (alias, expr) in &level.aliases {
        if !alias.eq_ignore_ascii_case(name) {
            continue;
        }
        if found.is_some_and(|known| !rewrite::same(known, expr)) {
            return Err(Error::ambiguous_column(name, clause));
        }
        found = Some(expr);
    }
    Ok(found.cloned())
}

/// A column of the row.
pub(crate) fn column_expr(position: usize, ty: SqlType, name: &str) -> Expr {
    let coercibility = if ty.is_string() { coercibility::IMPLICIT } else { coercibility::NUMERIC };
    let name = (!name.is_empty()).then(|| Arc::from(name));
    Expr { ty, kind: ExprKind::Column(position), coercibility, name }
}

/// A column as error texts show it: `` `db`.`table`.`column` ``.
fn column_name(column: &super::ScopeColumn) -> String {
    let parts = [column.database.as_str(), column.table.as_str(), column.name.as_str()];
    let quoted: Vec<String> =
        parts.iter().filter(|part| !part.is_empty()).map(|part| format!("`{part}`")).collect();
    quoted.join(".")
}
