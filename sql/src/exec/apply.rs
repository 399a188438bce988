//! Apply: adds a column with the result of a correlated subquery to every row.
//!
//! The subquery is planned and run per row with the row's outer values as constants, so that it can
//! use indexes by them; equal outer values run once.

use super::Environment;
use super::operator::{batch, operator, properties, stream};
use super::subquery::Evaluator;
use crate::planner::plan::{Subqueries, SubqueryKind};
use crate::types::{SqlType, array_value, values_to_array};
use crate::value::Value;
use crate::{Error, Result};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};
use futures::StreamExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Adds one column per subquery.
#[derive(Debug)]
pub struct ApplyExec {
    input: Arc<dyn ExecutionPlan>,
    /// Types of the input's columns.
    types: Vec<SqlType>,
    /// Numbers of the subqueries.
    numbers: Vec<usize>,
    subqueries: Subqueries,
    environment: Environment,
    properties: Arc<PlanProperties>,
}

impl ApplyExec {
    /// Adds the results of these subqueries to the rows of `input`.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        types: Vec<SqlType>,
        numbers: Vec<usize>,
        subqueries: Subqueries,
        environment: Environment,
    ) -> ApplyExec {
        let mut fields: Vec<Field> =
            input.schema().fields().iter().map(|field| (**field).clone()).collect();
        for number in &numbers {
            let ty = result_type(&subqueries, *number);
            fields.push(Field::new(format!("c{}", fields.len()), ty.arrow(), true));
        }
        let properties = properties(Arc::new(Schema::new(fields)));
        ApplyExec { input, types, numbers, subqueries, environment, properties }
    }

    fn describe(&self) -> String {
        format!("ApplyExec: {} subqueries", self.numbers.len())
    }

    fn run(
        &self,
        _: usize,
        task: Arc<TaskContext>,
    ) -> datafusion_common::Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let mut needed = BTreeSet::new();
        let mut columns = Vec::with_capacity(self.numbers.len());
        for number in &self.numbers {
            self.subqueries[*number].columns(&mut needed);
            let evaluator = Evaluator::new(*number, &self.subqueries, &self.environment)
                .map_err(super::error::wrap)?;
            columns.push((result_type(&self.subqueries, *number), evaluator));
        }
        let state = ApplyState {
            input: self.input.execute(0, task)?,
            types: self.types.clone(),
            needed: needed.into_iter().filter(|column| *column < self.types.len()).collect(),
            columns,
            environment: self.environment.clone(),
            schema: schema.clone(),
        };
        let batches = futures::stream::try_unfold(state, |mut state| async move {
            Ok(state.next_batch().await?.map(|batch| (batch, state)))
        });
        Ok(stream(schema, batches))
    }
}

operator!(
    ApplyExec,
    "ApplyExec",
    |this| vec![&this.input],
    |this, inputs| match inputs.into_iter().next() {
        Some(input) => Ok(Arc::new(ApplyExec::new(
            input,
            this.types.clone(),
            this.numbers.clone(),
            this.subqueries.clone(),
            this.environment.clone(),
        ))),
        None => datafusion_common::internal_err!("an apply without input"),
    },
    execute run
);

/// The type of a subquery's result.
pub(crate) fn result_type(subqueries: &Subqueries, number: usize) -> SqlType {
    let subquery = &subqueries[number];
    match subquery.kind {
        SubqueryKind::Scalar | SubqueryKind::Function(_) => {
            subquery.plan.types().first().map_or_else(SqlType::null, |ty| ty.with_nullable(true))
        }
        SubqueryKind::Exists
        | SubqueryKind::Quantified { .. }
        | SubqueryKind::Table(_)
        | SubqueryKind::Lateral
        | SubqueryKind::Working => SqlType::boolean(),
    }
}

struct ApplyState {
    input: SendableRecordBatchStream,
    types: Vec<SqlType>,
    /// Columns that any of the subqueries reads.
    needed: Vec<usize>,
    columns: Vec<(SqlType, Evaluator)>,
    environment: Environment,
    schema: arrow::datatypes::SchemaRef,
}

impl ApplyState {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(input) = self.input.next().await else { return Ok(None) };
        let input = input.map_err(super::error::unwrap)?;
        let mut results: Vec<Vec<Value>> =
            self.columns.iter().map(|_| Vec::with_capacity(input.num_rows())).collect();
        let mut row = vec![Value::Null; self.types.len()];
        for place in 0..input.num_rows() {
            self.environment.ctx.check_cancel()?;
            for &column in &self.needed {
                row[column] = array_value(input.column(column), place, &self.types[column]);
            }
            for ((_, evaluator), results) in self.columns.iter_mut().zip(&mut results) {
                results.push(evaluator.value(&row).await?);
            }
        }
        let mut columns = input.columns().to_vec();
        for ((ty, _), results) in self.columns.iter().zip(&results) {
            columns.push(values_to_array(ty, results)?);
        }
        let rows = input.num_rows();
        batch(self.schema.clone(), columns, rows)
            .map(Some)
            .map_err(|error| Error::internal(format!("result of a subquery: {}", error.message)))
    }
}
