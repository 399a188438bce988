//! What a table asks of its rows beyond types: columns that are computed from others, and CHECK.
//!
//! ```text
//! record: text ──parsed and bound once, when the definition is made or read──> expression over the table's columns
//!                                                                               │ rows that are written: the statement's modes
//!                                                                               └ rows from before a column was added: CONTEXT
//! ```
//!
//! Invariants:
//! 1. A generated column reads columns that are not generated, and generated ones that stand before it.
//! 2. Values of generated columns stand in rows, those of VIRTUAL ones too. A row that was written before the column was added lacks
//!    it, and whoever reads the row computes it.
//! 3. No rule depends on anything but the row and the statement's modes.
//!
//! Not here: which expressions may be rules (`ddl::rule`), who applies them (`dml::row`).

use super::{ColumnDef, TableDef};
use crate::binder::{self, BindContext, Scope};
use crate::context::{EvalContext, SqlMode};
use crate::expr::Expr;
use crate::types::assign;
use crate::value::Value;
use crate::{Error, Result, ddl};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// What columns of old rows are computed with: no mode makes an error of a value.
static CONTEXT: LazyLock<EvalContext> = LazyLock::new(|| {
    let mut ctx = EvalContext::detached(0);
    ctx.sql_mode = SqlMode::EMPTY;
    ctx
});

/// An expression over the rows of a table.
#[derive(Clone, Debug)]
pub struct Rule {
    /// As SHOW CREATE TABLE prints it, without the parentheses around it.
    pub text: String,
    bound: Option<Arc<Bound>>,
}

#[derive(Debug)]
struct Bound {
    expr: Expr,
    /// The columns that it reads, ascending.
    columns: Vec<usize>,
}

impl PartialEq for Rule {
    /// What it is bound to follows from the text and the table.
    fn eq(&self, other: &Rule) -> bool {
        self.text == other.text
    }
}

impl Rule {
    /// A rule that is bound when its table is (`with_rules_bound`).
    pub fn new(text: String) -> Rule {
        Rule { text, bound: None }
    }

    /// The columns that it reads, ascending.
    pub fn columns(&self) -> &[usize] {
        self.bound.as_ref().map_or(&[][..], |bound| bound.columns.as_slice())
    }

    fn bind(&mut self, table: &Arc<TableDef>, clause: &'static str) -> Result<()> {
        let written = ddl::default_ast(&self.text)?;
        let mut bind = BindContext::new(Arc::default(), None, &CONTEXT);
        let scope = Scope::of_table(table, &table.name);
        let expr = binder::bind_expr_in(&written, &scope, clause, &mut bind)?;
        let mut columns = BTreeSet::new();
        expr.columns(&mut columns);
        if !bind.subqueries.is_empty() || columns.iter().any(|at| *at >= table.columns.len()) {
            return Err(Error::storage(format!("corrupt rule {} of {}", self.text, table.name)));
        }
        let columns = columns.into_iter().collect();
        self.bound = Some(Arc::new(Bound { expr, columns }));
        Ok(())
    }

    fn expr(&self) -> Result<&Expr> {
        let bound = self.bound.as_ref();
        bound.map(|bound| &bound.expr).ok_or_else(|| Error::internal("a rule that is not bound"))
    }
}

/// How a column is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// From what.
    pub rule: Rule,
    /// STORED; else VIRTUAL.
    pub stored: bool,
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckDef {
    /// Its name, one of its kind in the database.
    pub name: String,
    /// What is false of no row.
    pub rule: Rule,
    /// ENFORCED.
    pub enforced: bool,
}

impl TableDef {
    /// The same table with its rules bound to its columns.
    ///
    /// # Errors
    /// 1054 for a column that it does not have; 3107 for a generated column that reads one behind it.
    pub(crate) fn with_rules_bound(self) -> Result<TableDef> {
        if self.checks.is_empty() && self.columns.iter().all(|column| column.generated.is_none()) {
            return Ok(self);
        }
        let mut bound = self.clone();
        let table = Arc::new(self);
        for (position, column) in bound.columns.iter_mut().enumerate() {
            let Some(generated) = &mut column.generated else { continue };
            generated.rule.bind(&table, "generated column function")?;
            let is_late =
                |column: &usize| *column >= position && table.columns[*column].generated.is_some();
            if generated.rule.columns().iter().any(is_late) {
                return Err(Error::generated_not_prior());
            }
        }
        for check in &mut bound.checks {
            check.rule.bind(&table, "check constraint")?;
        }
        Ok(bound)
    }

    /// Computes the generated columns of a row that is written.
    pub(crate) fn generate(&self, row: &mut [Value], ctx: &EvalContext) -> Result<()> {
        for (position, column) in self.columns.iter().enumerate() {
            if let Some(generated) = &column.generated {
                let value = generated.rule.expr()?.eval(row, ctx)?;
                row[position] = assign(value, &column.ty, &column.name, ctx.row(), ctx)?;
            }
        }
        Ok(())
    }

    /// Refuses a row of which a constraint is false.
    ///
    /// # Errors
    /// 3819.
    pub(crate) fn check_row(&self, row: &[Value], ctx: &EvalContext) -> Result<()> {
        for check in self.checks.iter().filter(|check| check.enforced) {
            if check.rule.expr()?.truth(row, ctx)? == Some(false) {
                return Err(Error::check_violated(&check.name));
            }
        }
        Ok(())
    }

    /// What a generated column has in a row that lacks it; `row` has at least the columns that its rule reads.
    pub(crate) fn computed(&self, column: usize, row: &[Value]) -> Result<Value> {
        let definition = &self.columns[column];
        let Some(generated) = &definition.generated else {
            return Err(Error::internal("a column that is not generated"));
        };
        let value = generated.rule.expr()?.eval(row, &CONTEXT)?;
        assign(value, &definition.ty, &definition.name, 1, &CONTEXT)
    }
}

/// A value that a row has of what a column was before its type changed, as one of now.
pub(crate) fn converted(column: &ColumnDef, former: &ColumnDef, value: Value) -> Result<Value> {
    column.convert(value, &former.ty, &CONTEXT)
}
