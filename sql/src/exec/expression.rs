//! Our expressions as DataFusion's `PhysicalExpr`.
//!
//! An operator sees a leaf with the columns it reads as children, so that DataFusion may move an
//! expression over another column order but never looks inside it: types, coercions and comparisons
//! are decided by the binder.
//!
//! ```text
//! value      the expression's value, in the Arrow type of its SQL type
//! weight     its comparison key: collation weights for text, the value for everything else
//! condition  all conjuncts true (NULL counts as false)
//! ```
//!
//! Not here: how an expression is evaluated (`expr`).

use super::error::wrap;
use crate::Result;
use crate::context::EvalContext;
use crate::expr::{Expr, weight_array};
use crate::types::SqlType;
use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_common::DataFusionError;
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What an operator gets from an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// The value.
    Value,
    /// The comparison key.
    Weight,
    /// Whether all conjuncts are true.
    Condition,
}

/// One or more expressions of ours, as an operator evaluates them.
#[derive(Clone)]
pub struct Expression {
    /// What is handed out.
    form: Form,
    /// One expression; for a condition any number of conjuncts.
    exprs: Vec<Part>,
    /// The columns they read, as DataFusion's expressions.
    children: Vec<Arc<dyn PhysicalExpr>>,
    /// The statement's context.
    ctx: Arc<EvalContext>,
}

/// An expression and the columns it reads.
#[derive(Clone)]
struct Part {
    /// Over the columns of the whole batch.
    whole: Expr,
    /// Over `columns` alone.
    narrow: Expr,
    /// Positions in the batch, ascending.
    columns: Vec<usize>,
}

impl Part {
    fn new(expr: Expr) -> Part {
        let mut columns = BTreeSet::new();
        expr.columns(&mut columns);
        let columns: Vec<usize> = columns.into_iter().collect();
        let narrow = expr.map_columns(&|column| columns.binary_search(&column).unwrap_or(column));
        Part { whole: expr, narrow, columns }
    }
}

/// The value of an expression over the columns of `schema`.
pub fn value(expr: &Expr, schema: &Schema, ctx: &Arc<EvalContext>) -> Arc<dyn PhysicalExpr> {
    if let Some(column) = super::plain_column(expr)
        && schema.field(column).data_type() == &expr.ty.arrow()
    {
        return Arc::new(Column::new(schema.field(column).name(), column));
    }
    Arc::new(Expression::new(Form::Value, vec![expr.clone()], schema, ctx))
}

/// The comparison key of an expression over the columns of `schema`.
pub fn weight(expr: &Expr, schema: &Schema, ctx: &Arc<EvalContext>) -> Arc<dyn PhysicalExpr> {
    if !has_weight(&expr.ty) {
        return value(expr, schema, ctx);
    }
    Arc::new(Expression::new(Form::Weight, vec![expr.clone()], schema, ctx))
}

/// Whether all conjuncts are true.
pub fn condition(
    conjuncts: &[Expr],
    schema: &Schema,
    ctx: &Arc<EvalContext>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(Expression::new(Form::Condition, conjuncts.to_vec(), schema, ctx))
}

/// Whether values of this type are compared by a key that is not the value.
pub fn has_weight(ty: &SqlType) -> bool {
    ty.is_text()
}

/// The Arrow type of a comparison key.
pub fn weight_type(ty: &SqlType) -> DataType {
    if has_weight(ty) { DataType::Binary } else { ty.arrow() }
}

impl Expression {
    fn new(form: Form, exprs: Vec<Expr>, schema: &Schema, ctx: &Arc<EvalContext>) -> Expression {
        let mut columns = BTreeSet::new();
        exprs.iter().for_each(|expr| expr.columns(&mut columns));
        let children = columns
            .into_iter()
            .map(|column| {
                Arc::new(Column::new(schema.field(column).name(), column)) as Arc<dyn PhysicalExpr>
            })
            .collect();
        let exprs = exprs.into_iter().map(Part::new).collect();
        Expression { form, exprs, children, ctx: ctx.clone() }
    }

    fn array(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        match self.form {
            Form::Value => self.exprs[0].whole.eval_batch(batch, &self.ctx),
            Form::Weight => {
                let expr = &self.exprs[0].whole;
                Ok(weight_array(&expr.eval_batch(batch, &self.ctx)?, &expr.ty))
            }
            Form::Condition => Ok(Arc::new(self.truth(batch)?)),
        }
    }

    /// Evaluates each conjunct only on rows that passed the ones before it: a row that is out
    /// anyway must not raise an error or a warning.
    fn truth(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let mut passed: Option<BooleanArray> = None;
        for part in &self.exprs {
            passed = Some(match passed {
                None => definite(part.whole.truth_batch(batch, &self.ctx)?),
                Some(before) if before.false_count() == 0 => {
                    definite(part.whole.truth_batch(batch, &self.ctx)?)
                }
                Some(before) if before.true_count() == 0 => return Ok(before),
                Some(before) => {
                    let rest = select(batch, &part.columns, &before)?;
                    let truth = definite(part.narrow.truth_batch(&rest, &self.ctx)?);
                    scatter(&before, &truth)
                }
            });
        }
        Ok(passed.unwrap_or_else(|| BooleanArray::from(vec![true; batch.num_rows()])))
    }
}

/// NULL becomes false.
fn definite(truth: BooleanArray) -> BooleanArray {
    match truth.nulls() {
        None => truth,
        Some(nulls) => BooleanArray::new(truth.values() & nulls.inner(), None),
    }
}

/// Some columns of the selected rows.
fn select(batch: &RecordBatch, columns: &[usize], rows: &BooleanArray) -> Result<RecordBatch> {
    let narrow = batch.project(columns).map_err(internal)?;
    if columns.is_empty() {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.true_count()));
        return RecordBatch::try_new_with_options(narrow.schema(), Vec::new(), &options)
            .map_err(internal);
    }
    arrow::compute::filter_record_batch(&narrow, rows).map_err(internal)
}

/// Puts the truth of selected rows back to where the rows stand.
fn scatter(rows: &BooleanArray, truth: &BooleanArray) -> BooleanArray {
    let mut out = BooleanBuilder::with_capacity(rows.len());
    let mut next = truth.values().iter();
    for selected in rows.values() {
        out.append_value(selected && next.next().unwrap_or(false));
    }
    out.finish()
}

fn internal(error: arrow::error::ArrowError) -> crate::Error {
    crate::Error::internal(format!("batch of a condition: {error}"))
}

impl PhysicalExpr for Expression {
    fn data_type(&self, _: &Schema) -> datafusion_common::Result<DataType> {
        Ok(match self.form {
            Form::Value => self.exprs[0].whole.ty.arrow(),
            Form::Weight => weight_type(&self.exprs[0].whole.ty),
            Form::Condition => DataType::Boolean,
        })
    }

    fn nullable(&self, _: &Schema) -> datafusion_common::Result<bool> {
        Ok(self.form != Form::Condition)
    }

    fn return_field(&self, schema: &Schema) -> datafusion_common::Result<FieldRef> {
        // The default would print the whole expression for a name that nobody reads.
        Ok(Arc::new(Field::new("", self.data_type(schema)?, self.nullable(schema)?)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> datafusion_common::Result<ColumnarValue> {
        // A join may look at many pairs before it puts any out.
        self.ctx.check_cancel().map_err(wrap)?;
        self.array(batch).map(ColumnarValue::Array).map_err(wrap)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.children.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> datafusion_common::Result<Arc<dyn PhysicalExpr>> {
        let place = |expr: &Arc<dyn PhysicalExpr>| {
            expr.downcast_ref::<Column>().map(Column::index).ok_or_else(|| {
                DataFusionError::Internal(format!("{expr} stands where a column must stand"))
            })
        };
        let old = self.children.iter().map(place).collect::<datafusion_common::Result<Vec<_>>>()?;
        let new = children.iter().map(place).collect::<datafusion_common::Result<Vec<_>>>()?;
        let moved = |column: usize| {
            old.iter().position(|&before| before == column).map_or(column, |i| new[i])
        };
        let exprs =
            self.exprs.iter().map(|part| Part::new(part.whole.map_columns(&moved))).collect();
        Ok(Arc::new(Expression { form: self.form, exprs, children, ctx: self.ctx.clone() }))
    }

    fn is_volatile_node(&self) -> bool {
        // User variables and RAND() differ from call to call; nothing of ours may be merged.
        true
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.exprs.iter().enumerate() {
            if i > 0 {
                f.write_str(" and ")?;
            }
            write!(f, "{:?}", part.whole)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.form)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        // Two expressions that only look alike may be told apart: nothing depends on it.
        std::ptr::eq(self, other)
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.form.hash(state);
        for part in &self.exprs {
            part.columns.hash(state);
        }
    }
}
