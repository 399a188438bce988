//! A join of co-located tables, shard by shard.
//!
//! ```text
//!   LocalExec ── slots 0..16384 ──> HashJoin ─┬─ rows of person there
//!       │                                     └─ rows of offence there
//!       └─────── slots 16384..32768 ──> …         LOCAL_JOIN_SHARDS_MAX of them at a time
//! ```
//!
//! Rows with equal sharding keys are in one slot, so partners are in one range of slots: each partition joins its own and no row
//! goes from one to another. A partition is a range of slots, not a shard: it stays what it is when its shard is split or moves
//! while the query runs, and both inputs agree on it. A broadcast table that is joined with one of them is read whole in each partition.
//!
//! Invariants:
//! 1. The ranges cover all slots, none twice.
//! 2. Partitions run at the same time only when none of their readers needs the transaction: whoever waits for it while nobody
//!    polls it would keep it from the operators above.
//!
//! Not here: which joins are local (`planner::locality`).

use super::Environment;
use super::error::wrap;
use super::operator::{operator, properties};
use super::scan::TableScanExec;
use base::limits::LOCAL_JOIN_SHARDS_MAX;
use datafusion_common::DataFusionError;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// One partition made of those of an input, as they come.
#[derive(Debug)]
pub struct LocalExec {
    input: Arc<dyn ExecutionPlan>,
    /// The scans below the input.
    scans: Vec<Arc<TableScanExec>>,
    environment: Environment,
    properties: Arc<PlanProperties>,
}

impl LocalExec {
    /// The partitions of `input`, which reads by these scans.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        scans: Vec<Arc<TableScanExec>>,
        environment: Environment,
    ) -> LocalExec {
        let properties = properties(input.schema());
        LocalExec { input, scans, environment, properties }
    }

    fn describe(&self) -> String {
        format!("LocalExec: {} tables", self.scans.len())
    }

    fn run(
        &self,
        _: usize,
        task: Arc<TaskContext>,
    ) -> datafusion_common::Result<SendableRecordBatchStream> {
        let count = self.input.output_partitioning().partition_count();
        let at_once = match self.scans.iter().all(|scan| scan.reads_alone()) {
            true => LOCAL_JOIN_SHARDS_MAX,
            false => 1,
        };
        let (input, scans) = (self.input.clone(), self.scans.clone());
        let environment = self.environment.clone();
        let opened = async move {
            let mut transaction = environment.transaction.lock().await;
            for scan in &scans {
                scan.open(&mut transaction).await.map_err(wrap)?;
            }
            drop(transaction);
            let partitions =
                stream::iter(0..count).map(move |partition| input.execute(partition, task.clone()));
            Ok::<_, DataFusionError>(partitions.try_flatten_unordered(at_once))
        };
        let batches = stream::once(opened).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

operator!(
    LocalExec,
    "LocalExec",
    |this| vec![&this.input],
    |this, inputs| match inputs.into_iter().next() {
        Some(input) => Ok(Arc::new(LocalExec::new(
            input,
            this.scans.clone(),
            this.environment.clone(),
        ))),
        None => datafusion_common::internal_err!("a local join without input"),
    },
    execute run
);
