//! Blocks of a running program: variables, conditions, handlers and cursors by their names.

use crate::ast::{HandlerCondition, Query, Step};
use crate::collation::CollationId;
use crate::context::{EvalContext, Local, Locals};
use crate::ddl::column_type;
use crate::function::members::shown;
use crate::types::assign::assign;
use crate::types::{SqlType, TypeKind};
use crate::value::{Row, Value};
use crate::{Error, Result, ast};
use std::collections::VecDeque;
use std::sync::Arc;

/// A variable of a program.
pub(super) struct Variable {
    name: String,
    /// What it takes.
    declared: SqlType,
    /// Its value as expressions see it.
    value: Value,
}

impl Variable {
    /// A variable without value.
    pub(super) fn new(name: &str, ty: &ast::DataType, collation: CollationId) -> Result<Variable> {
        Ok(Variable {
            name: name.to_string(),
            declared: declared_type(name, ty, collation)?,
            value: Value::Null,
        })
    }

    /// A column of NEW or OLD with its value as expressions see it.
    pub(super) fn column(name: String, ty: &SqlType, value: Value) -> Variable {
        Variable { name, declared: in_session(ty.with_nullable(true)), value }
    }

    /// A variable of the interpreter itself, of the type that its value has.
    pub(super) fn hidden(name: &str, value: Value) -> Variable {
        Variable {
            name: name.to_string(),
            declared: value.natural_type().with_nullable(true),
            value,
        }
    }
}

/// The type of a variable or of RETURNS. A TIMESTAMP is a moment in the session's time zone, as a DATETIME: it is not stored.
pub(crate) fn declared_type(
    name: &str,
    ty: &ast::DataType,
    collation: CollationId,
) -> Result<SqlType> {
    Ok(in_session(column_type::resolve(name, ty, collation)?.ty.with_nullable(true)))
}

/// The type of a variable for values of a type of columns.
fn in_session(ty: SqlType) -> SqlType {
    match ty.kind {
        TypeKind::Timestamp => SqlType::datetime(ty.decimals),
        _ => ty,
    }
}

/// The value of a variable of this type, as expressions see it.
///
/// # Errors
/// In strict mode, what a column of the type would not take.
pub(crate) fn taken(value: Value, ty: &SqlType, name: &str, ctx: &EvalContext) -> Result<Value> {
    let mut strict = ctx.under(ctx.connection_collation);
    strict.strict_dml = ctx.sql_mode.is_strict();
    let taken = assign(value, ty, name, 1, &strict);
    for warning in strict.warnings.to_vec() {
        ctx.warnings.push(warning.level, warning.code, warning.message);
    }
    Ok(shown(&taken?, ty))
}

/// A handler.
#[derive(Clone, Copy)]
pub(super) struct Handler<'a> {
    /// EXIT.
    pub(super) exit: bool,
    pub(super) conditions: &'a [HandlerCondition],
    pub(super) step: &'a Step,
}

/// A cursor.
pub(super) struct Cursor<'a> {
    name: &'a str,
    pub(super) query: &'a Query,
    /// Its width and the rows to come, while it is open.
    pub(super) rows: Option<(usize, VecDeque<Row>)>,
}

/// A block.
#[derive(Default)]
pub(super) struct Scope<'a> {
    variables: Vec<Variable>,
    pub(super) conditions: Vec<(&'a str, &'a HandlerCondition)>,
    pub(super) handlers: Vec<Handler<'a>>,
    cursors: Vec<Cursor<'a>>,
    /// Handlers of a block around it are running: its names are not seen.
    pub(super) hidden: usize,
    /// A handler of it, or of a block around it, is running: its handlers handle nothing.
    pub(super) unhandling: usize,
}

/// The blocks, the innermost last.
#[derive(Default)]
pub(super) struct Frame<'a> {
    pub(super) scopes: Vec<Scope<'a>>,
}

impl<'a> Frame<'a> {
    /// Declares a variable in the innermost block.
    pub(super) fn declare(&mut self, variable: Variable) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.variables.push(variable);
        }
    }

    /// Declares a cursor in the innermost block.
    pub(super) fn declare_cursor(&mut self, name: &'a str, query: &'a Query) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.cursors.push(Cursor { name, query, rows: None });
        }
    }

    /// What a statement sees.
    pub(super) fn locals(&self, functions: &[String]) -> Arc<Locals> {
        let seen = self.scopes.iter().filter(|scope| scope.hidden == 0);
        let variables = seen.flat_map(|scope| &scope.variables).map(|variable| Local {
            name: variable.name.clone(),
            ty: variable.declared.shown(),
            value: variable.value.clone(),
        });
        Arc::new(Locals { variables: variables.collect(), functions: functions.to_vec() })
    }

    fn variable(&mut self, name: &str) -> Option<&mut Variable> {
        let seen = self.scopes.iter_mut().rev().filter(|scope| scope.hidden == 0);
        seen.flat_map(|scope| scope.variables.iter_mut().rev())
            .find(|variable| variable.name.eq_ignore_ascii_case(name))
    }

    /// Whether a variable of this name is seen.
    pub(super) fn has(&mut self, name: &str) -> bool {
        self.variable(name).is_some()
    }

    /// Sets a variable.
    ///
    /// # Errors
    /// 1327 when there is none; what its type does not take.
    pub(super) fn set(&mut self, name: &str, value: Value, ctx: &EvalContext) -> Result<()> {
        let variable = self.variable(name).ok_or_else(|| Error::undeclared_variable(name))?;
        variable.value = taken(value, &variable.declared, &variable.name, ctx)?;
        Ok(())
    }

    /// The value of a variable.
    pub(super) fn get(&mut self, name: &str) -> Option<Value> {
        self.variable(name).map(|variable| variable.value.clone())
    }

    /// A cursor by its name.
    ///
    /// # Errors
    /// 1324.
    pub(super) fn cursor(&mut self, name: &str) -> Result<&mut Cursor<'a>> {
        let seen = self.scopes.iter_mut().rev().filter(|scope| scope.hidden == 0);
        seen.flat_map(|scope| scope.cursors.iter_mut())
            .find(|cursor| cursor.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| Error::undefined_cursor(name))
    }

    /// What a declared condition stands for.
    pub(super) fn condition(&self, name: &str) -> Option<HandlerCondition> {
        let seen = self.scopes.iter().rev().filter(|scope| scope.hidden == 0);
        seen.flat_map(|scope| &scope.conditions)
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, condition)| (*condition).clone())
    }
}
