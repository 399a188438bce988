//! Expressions: every form of the syntax tree to a bound expression.
//!
//! Types, casts and collations are decided by `expr::build`; names, aggregates and subqueries here.

use super::BindContext;
use crate::ast::{self, BinaryOp, ExprKind as Ast, VariableScope};
use crate::context::Scope;
use crate::expr::{CompareOp, Expr, build};
use crate::function;
use crate::value::Value;
use crate::{Error, Result};

impl BindContext<'_> {
    /// An expression with one value.
    pub(crate) fn expr(&mut self, expr: &ast::Expr) -> Result<Expr> {
        self.deeper(|bind| bind.expr_kind(expr))
    }

    fn exprs(&mut self, exprs: &[ast::Expr]) -> Result<Vec<Expr>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr_kind(&mut self, expr: &ast::Expr) -> Result<Expr> {
        let ctx = self.ctx;
        match &expr.kind {
            Ast::Literal(literal) => build::ast_literal(literal, ctx),
            Ast::Param(number) => Ok(build::param_of_context(*number, ctx)),
            Ast::Column(name) => match self.local(name) {
                Some(local) => Ok(local),
                None => self.resolve(name),
            },
            Ast::UserVariable(name) => Ok(build::user_variable(name, ctx)),
            Ast::SystemVariable { scope, name } => {
                let scope = match scope {
                    None => None,
                    Some(VariableScope::Global) => Some(Scope::Global),
                    Some(VariableScope::Session) => Some(Scope::Session),
                    Some(VariableScope::Persist | VariableScope::PersistOnly) => {
                        return Err(Error::syntax(format!("@@persist.{name}"), 1));
                    }
                };
                build::system_variable(scope, name, ctx)
            }
            Ast::Assign { name, value } => Ok(build::assign(name, self.expr(value)?, ctx)),
            Ast::Unary { op, operand } => build::unary(*op, self.expr(operand)?, ctx),
            Ast::Binary { op, left, right } => self.binary(*op, left, right),
            Ast::Between { negated, operand, low, high } => {
                let operand = self.expr(operand)?;
                build::between(*negated, operand, self.expr(low)?, self.expr(high)?, ctx)
            }
            Ast::InList { negated, operand, list } => self.in_list(*negated, operand, list),
            Ast::InSubquery { negated, operand, query } => {
                self.in_subquery(operand, query, *negated)
            }
            Ast::Like { negated, operand, pattern, escape } => {
                let (operand, pattern) = (self.expr(operand)?, self.expr(pattern)?);
                let escape = escape.as_ref().map(|escape| self.expr(escape)).transpose()?;
                build::like(*negated, operand, pattern, escape, ctx)
            }
            Ast::Regexp { negated, operand, pattern } => {
                build::regexp(*negated, self.expr(operand)?, self.expr(pattern)?, ctx)
            }
            Ast::Is { negated, operand, test } => {
                Ok(build::is(*negated, self.expr(operand)?, *test, ctx))
            }
            Ast::Case { operand, whens, otherwise } => {
                let operand = operand.as_ref().map(|operand| self.expr(operand)).transpose()?;
                let whens = whens
                    .iter()
                    .map(|(when, then)| Ok((self.expr(when)?, self.expr(then)?)))
                    .collect::<Result<Vec<_>>>()?;
                let otherwise =
                    otherwise.as_ref().map(|otherwise| self.expr(otherwise)).transpose()?;
                build::case(operand, whens, otherwise, ctx)
            }
            Ast::Cast { operand, to } => build::cast_as(self.expr(operand)?, to, ctx),
            Ast::ConvertUsing { operand, charset } => {
                build::convert_using(self.expr(operand)?, charset, ctx)
            }
            Ast::Collate { operand, collation } => {
                build::collate(self.expr(operand)?, collation, ctx)
            }
            Ast::Function { database: Some(database), name, args } => {
                match self.stored_function(database, name, args)? {
                    Some(call) => Ok(call),
                    None => Err(Error::unknown_function(format!("{database}.{name}"))),
                }
            }
            // AVG is no reserved name: the grammar reads it as any other function.
            Ast::Function { database: None, name, args } if name.eq_ignore_ascii_case("avg") => {
                self.aggregate(&ast::Aggregate {
                    kind: ast::AggregateKind::Avg,
                    distinct: false,
                    args: args.clone(),
                    order_by: Vec::new(),
                    separator: None,
                })
            }
            Ast::Function { database: None, name, args }
                if name.eq_ignore_ascii_case("any_value") =>
            {
                let [arg] = args.as_slice() else {
                    return Err(Error::wrong_parameter_count("any_value"));
                };
                Ok(super::group::any_value(self.expr(arg)?))
            }
            Ast::Function { database: None, name, args } => {
                if let Some(parts) = text_at(name, args) {
                    let args = self.exprs(parts)?;
                    return build::call_function(&function::json::TEXT_AT, args, ctx);
                }
                if let Some(database) = self.database.clone()
                    && function::find(&name.to_ascii_lowercase()).is_none()
                    && let Some(call) = self.stored_function(&database, name, args)?
                {
                    return Ok(call);
                }
                let args = match name.to_ascii_lowercase().starts_with("json_") {
                    true => self.json_arguments(args)?,
                    false => self.exprs(args)?,
                };
                build::call(name, args, ctx)
            }
            Ast::Aggregate(call) => self.aggregate(call),
            Ast::Extract { unit, operand } => build::extract(*unit, self.expr(operand)?, ctx),
            Ast::DateArithmetic { subtract, operand, amount, unit } => {
                let (operand, amount) = (self.expr(operand)?, self.expr(amount)?);
                build::date_arithmetic(*subtract, operand, amount, *unit, ctx)
            }
            Ast::TimestampDiff { unit, from, to } => {
                build::timestamp_diff(*unit, self.expr(from)?, self.expr(to)?, ctx)
            }
            Ast::Trim { side, what, operand } => {
                let what = what.as_ref().map(|what| self.expr(what)).transpose()?;
                build::trim(*side, what, self.expr(operand)?, ctx)
            }
            Ast::Char { args, charset } => {
                let args = self.exprs(args)?;
                build::char_function(args, charset.as_deref(), ctx)
            }
            Ast::Row(_) => Err(Error::operand_columns(1)),
            Ast::Subquery(query) => self.scalar_subquery(query),
            Ast::Exists(query) => self.exists_subquery(query),
            Ast::Quantified { left, op, all, query } => {
                self.quantified_subquery(left, *op, *all, query)
            }
            Ast::Default(Some(name)) => self.default_of(name),
            Ast::Default(None) => Err(Error::not_supported(
                "DEFAULT inside of an expression; write DEFAULT(column) or DEFAULT alone",
            )),
            // Only ON DUPLICATE KEY UPDATE has a new row, and names its columns before it binds.
            Ast::Values(name) => {
                let column = self.resolve(name)?;
                Ok(build::literal_typed(Value::Null, column.ty))
            }
            Ast::Sequence { .. } => build::call("nextval", Vec::new(), self.ctx),
            Ast::Window { function, over } => self.windowed(function, over),
            Ast::Grouping(args) => self.grouping(args),
            Ast::MemberOf { value, array } => {
                let args = vec![self.expr(value)?, self.expr(array)?];
                build::call_function(&function::json::MEMBER_OF, args, self.ctx)
            }
            Ast::GetFormat { kind, operand } => {
                let kind = build::literal(Value::text(kind));
                build::call("get_format", vec![kind, self.expr(operand)?], ctx)
            }
            Ast::JsonPath { column, path, unquote: true } => {
                let args = vec![self.resolve(column)?, build::literal(Value::text(path.as_str()))];
                build::call_function(&function::json::TEXT_AT, args, self.ctx)
            }
            Ast::JsonPath { column, path, unquote: false } => {
                let args = vec![self.resolve(column)?, build::literal(Value::text(path.as_str()))];
                build::call_function(&function::json_document::EXTRACT, args, self.ctx)
            }
            Ast::WeightString { operand, as_type } => {
                build::weight_string(self.expr(operand)?, as_type.as_ref(), ctx)
            }
            Ast::Match { .. } => Err(Error::not_supported("MATCH … AGAINST; use LIKE or REGEXP")),
        }
    }

    /// Arguments of a JSON function, to which TRUE and FALSE are no numbers.
    fn json_arguments(&mut self, args: &[ast::Expr]) -> Result<Vec<Expr>> {
        let bound = args.iter().map(|arg| match arg.kind {
            Ast::Literal(ast::Literal::Bool(truth)) => Ok(function::json_document::boolean(truth)),
            _ => {
                let bound = self.expr(arg)?;
                // Of constants only the number is left.
                let known = bound.as_literal().and_then(Value::as_integer);
                Ok(match known.filter(|_| is_condition(arg)) {
                    Some(truth) => function::json_document::boolean(truth != 0),
                    None => bound,
                })
            }
        });
        bound.collect()
    }

    /// Chains of AND and OR are walked without recursion: programs write them thousands long.
    fn binary(&mut self, op: BinaryOp, left: &ast::Expr, right: &ast::Expr) -> Result<Expr> {
        let ctx = self.ctx;
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let mut operands = vec![right];
            let mut rest = left;
            loop {
                match &rest.kind {
                    Ast::Binary { op: same, left, right } if *same == op => {
                        operands.push(right);
                        rest = left;
                    }
                    _ => break,
                }
            }
            operands.push(rest);
            operands.reverse();
            let operands = operands
                .into_iter()
                .map(|operand| self.expr(operand))
                .collect::<Result<Vec<_>>>()?;
            return Ok(if op == BinaryOp::And {
                build::and(operands)
            } else {
                build::or(operands)
            });
        }
        if let (Ast::Row(left), Ast::Row(right)) = (&left.kind, &right.kind)
            && let Some(op) = compare_op(op)
        {
            let (left, right) = (self.exprs(left)?, self.exprs(right)?);
            return build::row_compare(op, left, right, ctx);
        }
        if let (Ast::Row(_), Ast::Subquery(query), BinaryOp::Equal) = (&left.kind, &right.kind, op)
        {
            // A row that equals the one row of a subquery is one of its rows.
            return self.quantified_subquery(left, op, false, query);
        }
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        build::binary(op, left, right, ctx)
    }

    fn in_list(&mut self, negated: bool, operand: &ast::Expr, list: &[ast::Expr]) -> Result<Expr> {
        let ctx = self.ctx;
        if let Ast::Row(operand) = &operand.kind {
            let width = operand.len();
            let operand = self.exprs(operand)?;
            let mut rows = Vec::with_capacity(list.len());
            for member in list {
                let Ast::Row(member) = &member.kind else {
                    return Err(Error::operand_columns(width));
                };
                rows.push(self.exprs(member)?);
            }
            return build::row_in_list(negated, operand, rows, ctx);
        }
        let operand = self.expr(operand)?;
        let list = self.exprs(list)?;
        build::in_list(negated, operand, list, ctx)
    }

    /// `DEFAULT(column)`.
    fn default_of(&mut self, name: &ast::ColumnName) -> Result<Expr> {
        use crate::catalog::DefaultValue;
        let level = self.level()?;
        let position = level.scope.find(name, level.clause)?;
        let origin = position.and_then(|position| level.scope.columns[position].origin.clone());
        let Some((table, column)) = origin else {
            return Err(Error::unknown_column(super::scope::display(name), "field list"));
        };
        let definition = &table.columns[column];
        match &definition.default {
            Some(DefaultValue::Literal(value)) => {
                let ty = &definition.ty;
                let value = function::members::shown(value, ty);
                Ok(build::literal_typed(value, ty.shown()))
            }
            Some(DefaultValue::Now) => build::call("now", Vec::new(), self.ctx),
            None if definition.ty.nullable => Ok(build::null()),
            Some(DefaultValue::Expression(_)) => Err(Error::not_supported(
                "DEFAULT(column) of a column whose default is an expression; write the expression",
            )),
            None => Err(Error::no_default(&definition.name)),
        }
    }
}

fn compare_op(op: BinaryOp) -> Option<CompareOp> {
    Some(match op {
        BinaryOp::Equal => CompareOp::Equal,
        BinaryOp::NullSafeEqual => CompareOp::NullSafeEqual,
        BinaryOp::NotEqual => CompareOp::NotEqual,
        BinaryOp::Less => CompareOp::Less,
        BinaryOp::LessEqual => CompareOp::LessEqual,
        BinaryOp::Greater => CompareOp::Greater,
        BinaryOp::GreaterEqual => CompareOp::GreaterEqual,
        _ => return None,
    })
}

/// Whether an expression says true or false.
fn is_condition(expr: &ast::Expr) -> bool {
    match &expr.kind {
        Ast::Binary { op, .. } => matches!(
            op,
            BinaryOp::Or
                | BinaryOp::Xor
                | BinaryOp::And
                | BinaryOp::Equal
                | BinaryOp::NullSafeEqual
                | BinaryOp::NotEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
        ),
        Ast::Unary { op, .. } => *op == ast::UnaryOp::Not,
        Ast::Between { .. } | Ast::InList { .. } | Ast::Like { .. } | Ast::Is { .. } => true,
        _ => false,
    }
}

/// The document and the path of `JSON_UNQUOTE(JSON_EXTRACT(document, path))`, which is what `->>` says.
fn text_at<'e>(name: &str, args: &'e [ast::Expr]) -> Option<&'e [ast::Expr]> {
    let [ast::Expr { kind: Ast::Function { database: None, name: inner, args }, .. }] = args else {
        return None;
    };
    let is_it = name.eq_ignore_ascii_case("json_unquote")
        && inner.eq_ignore_ascii_case("json_extract")
        && args.len() == 2;
    is_it.then_some(args.as_slice())
}
