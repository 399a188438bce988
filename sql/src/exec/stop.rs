//! Rows of an operator of DataFusion's that may put out many without reading any: it ends when the statement is killed.

use super::Environment;
use super::error::wrap;
use super::operator::{operator, properties};
use datafusion_common::Result;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};
use futures::StreamExt;
use std::sync::Arc;

/// Looks at the cancel flag before every batch.
#[derive(Debug)]
pub struct StopExec {
    input: Arc<dyn ExecutionPlan>,
    environment: Environment,
    properties: Arc<PlanProperties>,
}

impl StopExec {
    /// The rows of an operator of one partition.
    pub fn new(input: Arc<dyn ExecutionPlan>, environment: Environment) -> StopExec {
        let properties = properties(input.schema());
        StopExec { input, environment, properties }
    }

    fn describe(&self) -> String {
        "StopExec".to_string()
    }

    fn run(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, task)?;
        Ok(until_killed(rows, &self.environment))
    }
}

operator!(
    StopExec,
    "StopExec",
    |this| vec![&this.input],
    |this, inputs| match inputs.into_iter().next() {
        Some(input) => Ok(Arc::new(StopExec::new(input, this.environment.clone()))),
        None => datafusion_common::internal_err!("a stop without input"),
    },
    execute run
);

/// The same rows until the statement is killed.
pub(super) fn until_killed(
    rows: SendableRecordBatchStream,
    environment: &Environment,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let ctx = environment.ctx.clone();
    let rows = rows.map(move |batch| {
        ctx.check_cancel().map_err(wrap)?;
        batch
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}
