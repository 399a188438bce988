//! The partitions of an input one after the other: what UNION ALL promises its readers.

use super::operator::{operator, properties};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// One partition made of many, in order.
#[derive(Debug)]
pub struct ChainExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl ChainExec {
    /// The partitions of `input`, the first one first.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> ChainExec {
        let properties = properties(input.schema());
        ChainExec { input, properties }
    }

    fn describe(&self) -> String {
        "ChainExec".to_string()
    }

    fn run(
        &self,
        _: usize,
        task: Arc<TaskContext>,
    ) -> datafusion_common::Result<SendableRecordBatchStream> {
        let count = self.input.output_partitioning().partition_count();
        let input = self.input.clone();
        // An input starts when the ones before it have ended.
        let batches = futures::stream::iter(0..count)
            .map(move |partition| input.execute(partition, task.clone()))
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), batches)))
    }
}

operator!(
    ChainExec,
    "ChainExec",
    |this| vec![&this.input],
    |_this, inputs| match inputs.into_iter().next() {
        Some(input) => Ok(Arc::new(ChainExec::new(input))),
        None => datafusion_common::internal_err!("a chain without input"),
    },
    execute run
);
