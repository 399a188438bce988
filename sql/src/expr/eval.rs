//! The row form: one row in, one value out.

use std::borrow::Cow;

use super::{Expr, ExprKind, arithmetic, like};
use crate::context::EvalContext;
use crate::function::Call;
use crate::function::members::MEMBER_TEXT;
use crate::types::convert;
use crate::types::{Domain, TypeKind};
use crate::value::Value;
use crate::{Error, Result};

/// Arguments of a call that need no allocation.
const ARGS_INLINE: usize = 3;

impl Expr {
    /// Evaluates for one row.
    pub fn eval(&self, row: &[Value], ctx: &EvalContext) -> Result<Value> {
        let value = self.inner(row, ctx)?.into_owned();
        Ok(self.at_scale(value))
    }

    /// A decimal leaves its expression with exactly its type's scale.
    fn at_scale(&self, value: Value) -> Value {
        match value {
            Value::Decimal(number)
                if self.ty.kind == TypeKind::Decimal && number.scale() != self.ty.decimals =>
            {
                Value::Decimal(number.round(i32::from(self.ty.decimals)))
            }
            other => other,
        }
    }

    /// MySQL's truth of the value: not zero. `None` is NULL.
    pub fn truth(&self, row: &[Value], ctx: &EvalContext) -> Result<Option<bool>> {
        if let ExprKind::Call { function, args, .. } = &self.kind
            && function.name == MEMBER_TEXT
        {
            // An ENUM, SET or BIT is true by its number.
            return args[0].truth(row, ctx);
        }
        truth_of(&*self.inner(row, ctx)?, ctx)
    }

    /// Evaluates; columns and literals are lent.
    pub(crate) fn inner<'a>(
        &'a self,
        row: &'a [Value],
        ctx: &'a EvalContext,
    ) -> Result<Cow<'a, Value>> {
        Ok(Cow::Owned(match &self.kind {
            ExprKind::Column(index) => {
                return row.get(*index).map(Cow::Borrowed).ok_or_else(|| {
                    Error::internal(format!("column {index} of a row of {}", row.len()))
                });
            }
            ExprKind::Literal(value) => return Ok(Cow::Borrowed(value)),
            ExprKind::Param(index) => return self.parameter(*index, ctx),
            ExprKind::Call { function, eval, args } => {
                if args.len() <= ARGS_INLINE {
                    let mut values = [const { Value::Null }; ARGS_INLINE];
                    for (value, arg) in values.iter_mut().zip(args.iter()) {
                        *value = arg.inner(row, ctx)?.into_owned();
                    }
                    eval(&Call {
                        args: &values[..args.len()],
                        exprs: args,
                        ty: &self.ty,
                        name: function.name,
                        ctx,
                    })?
                } else {
                    let values = args
                        .iter()
                        .map(|arg| Ok(arg.inner(row, ctx)?.into_owned()))
                        .collect::<Result<Vec<_>>>()?;
                    eval(&Call {
                        args: &values,
                        exprs: args,
                        ty: &self.ty,
                        name: function.name,
                        ctx,
                    })?
                }
            }
            ExprKind::Arithmetic { op, domain, args } => {
                let (a, b) = (args[0].inner(row, ctx)?, args[1].inner(row, ctx)?);
                arithmetic::apply(*op, *domain, &a, &b, self, ctx)?
            }
            ExprKind::Compare { op, args, .. } => {
                let (a, b) = (args[0].inner(row, ctx)?, args[1].inner(row, ctx)?);
                Value::truth(op.apply(&a, &b, args[0].ty.collation))
            }
            ExprKind::And(args) => {
                let mut unknown = false;
                for arg in args.iter() {
                    match arg.truth(row, ctx)? {
                        Some(false) => return Ok(Cow::Owned(Value::Int(0))),
                        Some(true) => {}
                        None => unknown = true,
                    }
                }
                Value::truth((!unknown).then_some(true))
            }
            ExprKind::Or(args) => {
                let mut unknown = false;
                for arg in args.iter() {
                    match arg.truth(row, ctx)? {
                        Some(true) => return Ok(Cow::Owned(Value::Int(1))),
                        Some(false) => {}
                        None => unknown = true,
                    }
                }
                Value::truth((!unknown).then_some(false))
            }
            ExprKind::Xor(args) => {
                let (a, b) = (args[0].truth(row, ctx)?, args[1].truth(row, ctx)?);
                Value::truth(a.zip(b).map(|(a, b)| a != b))
            }
            ExprKind::Not(arg) => Value::truth(arg.truth(row, ctx)?.map(|truth| !truth)),
            ExprKind::IsNull { arg, negated } => {
                Value::boolean(arg.inner(row, ctx)?.is_null() != *negated)
            }
            ExprKind::IsTruth { arg, expected, negated } => {
                Value::boolean((arg.truth(row, ctx)? == Some(*expected)) != *negated)
            }
            ExprKind::If(args) => {
                let branch = if args[0].truth(row, ctx)? == Some(true) { 1 } else { 2 };
                return args[branch].inner(row, ctx);
            }
            ExprKind::Case { whens, otherwise } => {
                for (when, then) in whens.iter() {
                    if when.truth(row, ctx)? == Some(true) {
                        return then.inner(row, ctx);
                    }
                }
                match otherwise {
                    Some(otherwise) => return otherwise.inner(row, ctx),
                    None => Value::Null,
                }
            }
            ExprKind::Coalesce(args) => {
                for arg in args.iter() {
                    let value = arg.inner(row, ctx)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Value::Null
            }
            ExprKind::InList { arg, list, set, negated } => {
                let value = arg.inner(row, ctx)?;
                let found = self.in_list(&value, arg, list, set.as_deref(), row, ctx)?;
                Value::truth(found.map(|found| found != *negated))
            }
            ExprKind::Like { arg, pattern, escape } => {
                let (text, pattern) = (arg.inner(row, ctx)?, pattern.inner(row, ctx)?);
                Value::truth(like::like(&text, &pattern, *escape, arg.ty.collation))
            }
            ExprKind::Cast { arg, mode } => {
                let value = arg.inner(row, ctx)?.into_owned();
                let value = if self.ty.is_string() { arg.at_scale(value) } else { value };
                convert::convert(value, &arg.ty, &self.ty, *mode, ctx)?
            }
            ExprKind::SystemVariable { scope, name } => {
                let value = ctx.vars.system(*scope, name)?;
                self.of_own_type(value, ctx)?
            }
            ExprKind::UserVariable { name } => {
                let value = ctx.vars.user(name);
                self.of_own_type(value, ctx)?
            }
            ExprKind::AssignUserVariable { name, value } => {
                let value = value.eval(row, ctx)?;
                ctx.vars.set_user(name, value.clone());
                value
            }
        }))
    }

    fn in_list(
        &self,
        value: &Value,
        arg: &Expr,
        list: &[Expr],
        set: Option<&super::ValueSet>,
        row: &[Value],
        ctx: &EvalContext,
    ) -> Result<Option<bool>> {
        if value.is_null() {
            let empty = list.is_empty() && set.is_none_or(super::ValueSet::is_empty);
            return Ok(empty.then_some(false));
        }
        let mut unknown = false;
        if let Some(set) = set {
            match set.contains(value) {
                Some(true) => return Ok(Some(true)),
                Some(false) => {}
                None => unknown = true,
            }
        }
        for member in list {
            let member = member.inner(row, ctx)?;
            match super::CompareOp::Equal.apply(value, &member, arg.ty.collation) {
                Some(true) => return Ok(Some(true)),
                Some(false) => {}
                None => unknown = true,
            }
        }
        Ok((!unknown).then_some(false))
    }

    fn parameter<'a>(&'a self, index: usize, ctx: &'a EvalContext) -> Result<Cow<'a, Value>> {
        let value = ctx.params.get(index).ok_or_else(|| Error::wrong_arguments("EXECUTE"))?;
        if value.is_null() || is_variant_of(value, self) {
            return Ok(Cow::Borrowed(value));
        }
        Ok(Cow::Owned(self.of_own_type(value.clone(), ctx)?))
    }

    /// A value from outside, made one of this expression's type.
    fn of_own_type(&self, value: Value, ctx: &EvalContext) -> Result<Value> {
        if value.is_null() || is_variant_of(&value, self) {
            return Ok(value);
        }
        let from = value.natural_type();
        convert::convert(value, &from, &self.ty, super::CastMode::Convert, ctx)
    }
}

/// Whether the value is of the variant that the expression's type fixes.
fn is_variant_of(value: &Value, expr: &Expr) -> bool {
    match (value, expr.ty.domain()) {
        (Value::Int(_), Domain::Integer) => !expr.ty.unsigned,
        (Value::UInt(_), Domain::Integer) => expr.ty.unsigned,
        (Value::Decimal(_), Domain::Decimal)
        | (Value::Double(_), Domain::Double)
        | (Value::Text(_), Domain::Text)
        | (Value::Bytes(_), Domain::Bytes)
        | (Value::Date(_), Domain::Date)
        | (Value::Time(_), Domain::Time)
        | (Value::DateTime(_), Domain::DateTime)
        | (Value::Null, _) => true,
        _ => false,
    }
}

/// MySQL's truth of a value: numbers that are not 0; texts and dates as numbers.
pub fn truth_of(value: &Value, ctx: &EvalContext) -> Result<Option<bool>> {
    Ok(match value {
        Value::Null => None,
        Value::Int(number) => Some(*number != 0),
        Value::UInt(number) => Some(*number != 0),
        Value::Decimal(number) => Some(!number.is_zero()),
        Value::Double(number) => Some(*number != 0.0),
        Value::Date(date) => Some(!date.is_zero()),
        Value::DateTime(moment) => Some(!moment.is_zero()),
        Value::Time(time) => Some(time.micros() != 0),
        Value::Text(_) | Value::Bytes(_) => Some(convert::to_double(value, ctx)? != 0.0),
    })
}
