//! Hash join that goes on when its memory is full.
//!
//! ```text
//! build rows ── fit ──────────> kept: one hash join with the probe rows
//!          └─── do not fit ───> JOIN_SPILL_FILES files, by hash of the keys
//!                               probe rows likewise ──> file by file: one hash join
//! ```
//!
//! Rows with equal keys are in files of one number, so partners meet. Rows then come file by file, in no order that anybody
//! promised.
//!
//! Invariants:
//! 1. The kinds of join are those that put out probe rows or pairs: Inner, Right, RightSemi, RightAnti. Where there are no probe
//!    rows there is no output.
//! 2. Build rows have all been read before the first probe row is asked for.
//!
//! A file that does not fit into memory by itself, because one key has so many rows, is 1038. Not here: joins without a key.

use super::Environment;
use super::error::wrap;
use super::operator::{operator, properties};
use super::stop::until_killed;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use base::limits::{JOIN_BUILD_BYTES_MAX, JOIN_ROW_BYTES, JOIN_SPILL_FILES};
use datafusion_common::{DataFusionError, JoinType, NullEquality, Result, internal_err};
use datafusion_execution::memory_pool::MemoryConsumer;
use datafusion_execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::joins::utils::JoinFilter;
use datafusion_physical_plan::joins::{HashJoinExec, JoinOn, PartitionMode};
use datafusion_physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics, Time};
use datafusion_physical_plan::repartition::BatchPartitioner;
use datafusion_physical_plan::spill::{SpillManager, get_record_batch_memory_size};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{EmptyRecordBatchStream, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use std::sync::Arc;

/// Joins by a hash table of the build rows.
#[derive(Clone, Debug)]
pub struct SpillingJoinExec {
    build: Arc<dyn ExecutionPlan>,
    probe: Arc<dyn ExecutionPlan>,
    /// Keys over build and probe rows.
    on: JoinOn,
    /// Condition on a pair.
    filter: Option<JoinFilter>,
    kind: JoinType,
    environment: Environment,
    properties: Arc<PlanProperties>,
}

impl SpillingJoinExec {
    /// Joins two inputs.
    pub fn new(
        build: Arc<dyn ExecutionPlan>,
        probe: Arc<dyn ExecutionPlan>,
        on: JoinOn,
        filter: Option<JoinFilter>,
        kind: JoinType,
        environment: Environment,
    ) -> Result<SpillingJoinExec> {
        let schema =
            hash_join(build.clone(), probe.clone(), on.clone(), filter.clone(), kind)?.schema();
        let properties = properties(schema);
        Ok(SpillingJoinExec { build, probe, on, filter, kind, environment, properties })
    }

    fn describe(&self) -> String {
        format!("SpillingJoinExec: {:?} on {} keys", self.kind, self.on.len())
    }

    fn run(&self, _: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let opened = self.clone().open(task);
        let batches = stream::once(opened).try_flatten();
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
        Ok(until_killed(rows, &self.environment))
    }

    /// Reads the build rows and starts the join.
    async fn open(self, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("SpillingJoinExec").register(task.memory_pool());
        let mut input = self.build.execute(0, task.clone())?;
        let mut kept: Vec<RecordBatch> = Vec::new();
        let mut kept_bytes = 0;
        let mut fits = true;
        while fits && let Some(batch) = input.try_next().await? {
            self.environment.ctx.check_cancel().map_err(wrap)?;
            let bytes = get_record_batch_memory_size(&batch) + batch.num_rows() * JOIN_ROW_BYTES;
            kept_bytes += bytes;
            kept.push(batch);
            fits = kept_bytes <= JOIN_BUILD_BYTES_MAX && memory.try_grow(bytes).is_ok();
        }
        let kept = stream::iter(kept.into_iter().map(Ok::<_, DataFusionError>));
        let schema = self.build.schema();
        if fits {
            // The hash table takes the memory over.
            drop(memory);
            let rows: SendableRecordBatchStream =
                Box::pin(RecordBatchStreamAdapter::new(schema, kept));
            return self.join(rows, self.probe.clone())?.execute(0, task);
        }
        let (build_keys, probe_keys) = self.on.iter().cloned().unzip();
        let build = self.divide(kept.chain(input), schema, build_keys, &task).await?;
        drop(memory);
        let probe = self.probe.execute(0, task.clone())?;
        let probe = self.divide(probe, self.probe.schema(), probe_keys, &task).await?;
        let files = build.files.into_iter().zip(probe.files);
        // Numbers without a probe row have no output.
        let pairs: Vec<_> = files.filter_map(|(build, probe)| Some((build, probe?))).collect();
        let (build_files, probe_files) = (build.manager, probe.manager);
        let out = self.schema();
        let joins = stream::iter(pairs).map(move |(build, probe)| {
            let build: SendableRecordBatchStream = match build {
                Some(file) => build_files.read_spill_as_stream_unbuffered(file, None)?,
                None => Box::pin(EmptyRecordBatchStream::new(build_files.schema().clone())),
            };
            let probe = probe_files.read_spill_as_stream_unbuffered(probe, None)?;
            self.join(build, Arc::new(ReplayExec::new(probe)))?.execute(0, task.clone())
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(out, joins.try_flatten())))
    }

    fn join(
        &self,
        build: SendableRecordBatchStream,
        probe: Arc<dyn ExecutionPlan>,
    ) -> Result<HashJoinExec> {
        let build = Arc::new(ReplayExec::new(build));
        hash_join(build, probe, self.on.clone(), self.filter.clone(), self.kind)
    }

    /// Writes rows into files by the hash of their keys.
    async fn divide(
        &self,
        mut rows: impl Stream<Item = Result<RecordBatch>> + Send + Unpin,
        schema: SchemaRef,
        keys: Vec<Arc<dyn PhysicalExpr>>,
        task: &Arc<TaskContext>,
    ) -> Result<Divided> {
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let manager = SpillManager::new(task.runtime_env(), metrics, schema);
        let mut partitioner =
            BatchPartitioner::new_hash_partitioner(keys, JOIN_SPILL_FILES, Time::new())?;
        let mut open: Vec<Option<_>> = (0..JOIN_SPILL_FILES).map(|_| None).collect();
        while let Some(batch) = rows.try_next().await? {
            self.environment.ctx.check_cancel().map_err(wrap)?;
            partitioner.partition(batch, |part, batch| {
                let file = match open[part].take() {
                    Some(file) => file,
                    None => manager.create_in_progress_file("rows of a join")?,
                };
                open[part].insert(file).append_batch(&batch)?;
                Ok(())
            })?;
        }
        let files = open
            .into_iter()
            .map(|file| match file {
                Some(mut file) => file.finish(),
                None => Ok(None),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Divided { manager, files })
    }
}

operator!(
    SpillingJoinExec,
    "SpillingJoinExec",
    |this| vec![&this.build, &this.probe],
    |this, inputs| match <[Arc<dyn ExecutionPlan>; 2]>::try_from(inputs) {
        Ok([build, probe]) => Ok(Arc::new(SpillingJoinExec { build, probe, ..(*this).clone() })),
        Err(_) => internal_err!("a join without two inputs"),
    },
    execute run
);

/// Rows in files.
struct Divided {
    manager: SpillManager,
    /// The file of each number; `None` when no row has it.
    files: Vec<Option<Arc<dyn SpillFile>>>,
}

fn hash_join(
    build: Arc<dyn ExecutionPlan>,
    probe: Arc<dyn ExecutionPlan>,
    on: JoinOn,
    filter: Option<JoinFilter>,
    kind: JoinType,
) -> Result<HashJoinExec> {
    HashJoinExec::try_new(
        build,
        probe,
        on,
        filter,
        &kind,
        None,
        PartitionMode::CollectLeft,
        NullEquality::NullEqualsNothing,
        false,
    )
}

/// Rows that come once.
struct ReplayExec {
    rows: Mutex<Option<SendableRecordBatchStream>>,
    properties: Arc<PlanProperties>,
}

impl std::fmt::Debug for ReplayExec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplayExec")
    }
}

impl ReplayExec {
    fn new(rows: SendableRecordBatchStream) -> ReplayExec {
        let properties = properties(rows.schema());
        ReplayExec { rows: Mutex::new(Some(rows)), properties }
    }

    fn describe(&self) -> String {
        "ReplayExec".into()
    }

    fn run(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.rows.lock().take() {
            Some(rows) => Ok(rows),
            None => internal_err!("rows of a join are read twice"),
        }
    }
}

operator!(
    ReplayExec,
    "ReplayExec",
    |_this| Vec::new(),
    |this, _inputs| Ok(this),
    execute run
);
