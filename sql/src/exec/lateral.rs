//! LATERAL: for each row of an input, the rows of a query that reads that row.
//!
//! The query is planned and run per row with the row's values as constants, so that it can use indexes by them; a row that
//! gives it the same values as the row before gets the same rows.

use super::error::unwrap;
use super::operator::{batch, operator, properties, schema_of, stream};
use super::subquery::Evaluator;
use super::{BATCH_ROWS, Environment};
use crate::planner::plan::{JoinKind, Lateral, Plan, Subqueries, subqueries_of};
use crate::types::{SqlType, array_value, values_to_array};
use crate::value::{Row, Value};
use crate::{Error, Result};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};
use futures::StreamExt;
use std::sync::Arc;

/// Joins each row of an input with the rows of a query.
#[derive(Debug)]
pub struct LateralExec {
    input: Arc<dyn ExecutionPlan>,
    lateral: Arc<Lateral>,
    subqueries: Subqueries,
    environment: Environment,
    properties: Arc<PlanProperties>,
}

impl LateralExec {
    /// `input` are the operators of what stands before the query.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        lateral: Arc<Lateral>,
        subqueries: Subqueries,
        environment: Environment,
    ) -> LateralExec {
        let types = Plan::Lateral(Box::new((*lateral).clone())).types();
        let properties = properties(schema_of(&types));
        LateralExec { input, lateral, subqueries, environment, properties }
    }

    fn describe(&self) -> String {
        format!("LateralExec: {}", self.lateral.name)
    }

    fn run(
        &self,
        _: usize,
        task: Arc<TaskContext>,
    ) -> datafusion_common::Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let Some(number) = subqueries_of(&self.lateral.call).pop_first() else {
            return datafusion_common::internal_err!("a lateral join without its query");
        };
        let evaluator = Evaluator::new(number, &self.subqueries, &self.environment)
            .map_err(super::error::wrap)?;
        let left_types = self.lateral.input.types();
        let state = State {
            input: self.input.execute(0, task)?,
            lateral: self.lateral.clone(),
            evaluator,
            environment: self.environment.clone(),
            left_width: left_types.len(),
            types: left_types.into_iter().chain(self.lateral.types.iter().copied()).collect(),
            rows: None,
            schema: schema.clone(),
        };
        let batches = futures::stream::try_unfold(state, |mut state| async move {
            Ok(state.next_batch().await?.map(|batch| (batch, state)))
        });
        Ok(stream(schema, batches))
    }
}

operator!(
    LateralExec,
    "LateralExec",
    |this| vec![&this.input],
    |this, inputs| match inputs.into_iter().next() {
        Some(input) => Ok(Arc::new(LateralExec::new(
            input,
            this.lateral.clone(),
            this.subqueries.clone(),
            this.environment.clone(),
        ))),
        None => datafusion_common::internal_err!("a lateral join without input"),
    },
    execute run
);

/// A lateral join that runs.
struct State {
    input: SendableRecordBatchStream,
    lateral: Arc<Lateral>,
    evaluator: Evaluator,
    environment: Environment,
    left_width: usize,
    /// Types of the columns of both sides.
    types: Vec<SqlType>,
    /// Rows of the input, and how many of them are done.
    rows: Option<(RecordBatch, usize)>,
    schema: SchemaRef,
}

impl State {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut out: Vec<Row> = Vec::new();
        while out.len() < BATCH_ROWS {
            self.environment.ctx.check_cancel()?;
            let Some((rows, done)) = self.rows.take() else {
                match self.input.next().await {
                    Some(rows) => self.rows = Some((rows.map_err(unwrap)?, 0)),
                    None => break,
                }
                continue;
            };
            if done == rows.num_rows() {
                continue;
            }
            let left: Row = (0..self.left_width)
                .map(|column| array_value(rows.column(column), done, &self.types[column]))
                .collect();
            self.rows = Some((rows, done + 1));
            self.join(left, &mut out).await?;
        }
        if out.is_empty() {
            return Ok(None);
        }
        let columns = self
            .types
            .iter()
            .enumerate()
            .map(|(i, ty)| values_to_array(ty, out.iter().map(|row| &row[i])))
            .collect::<Result<Vec<_>>>()?;
        batch(self.schema.clone(), columns, out.len()).map(Some)
    }

    /// Adds the pairs of a row.
    async fn join(&mut self, left: Row, out: &mut Vec<Row>) -> Result<()> {
        let rows = self.evaluator.rows(&left).await?;
        let ctx = self.environment.ctx.clone();
        let before = out.len();
        for row in rows.iter() {
            let pair: Row = left.iter().chain(row).cloned().collect();
            let mut fits = true;
            for condition in &self.lateral.on {
                fits = fits && condition.truth(&pair, &ctx)? == Some(true);
            }
            if fits {
                out.push(pair);
            }
        }
        if out.len() == before && self.lateral.kind == JoinKind::Left {
            let missing = self.types.len().checked_sub(left.len());
            let missing = missing.ok_or_else(|| Error::internal("a row wider than its join"))?;
            out.push(left.into_iter().chain(vec![Value::Null; missing]).collect());
        }
        Ok(())
    }
}
