//! EXPLAIN ANALYZE: how many rows each operator of a plan gave, and when.
//!
//! ```text
//! node of the plan ──build──> operator ──> MeasureExec ──> what is above it
//!       │                                      │
//!       └────────── Meter: figures by node <───┘
//! ```
//!
//! A node is known by its place in memory: what is measured and what is shown is the same plan, which stays where it is. Times are
//! those between the start of an operator and its rows, so they hold those of the operators below, as in MySQL.
//!
//! Not here: plans of subqueries that run per row; they are part of the operator that runs them.

use super::Environment;
use super::build::Operator;
use super::operator::{operator, properties_of};
use crate::planner::plan::Plan;
use arrow::record_batch::RecordBatch;
use datafusion_common::Result;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What an operator has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// How often it was started; the partitions of a local join count once.
    pub loops: u64,
    /// Rows that it gave in all.
    pub rows: u64,
    /// Bytes of memory of these rows.
    pub bytes: u64,
    /// Time to the first batch of rows, of the first one that had any.
    pub first: Option<Duration>,
    /// Time to the end of the rows, the longest.
    pub last: Duration,
}

type Shared = Arc<Mutex<Figures>>;

/// Figures of the nodes of a plan.
#[derive(Debug, Default)]
pub struct Meter {
    nodes: Mutex<BTreeMap<usize, Shared>>,
}

impl Meter {
    fn place(plan: &Plan) -> usize {
        std::ptr::from_ref(plan).addr()
    }

    /// What the operator of a node has done; `None` when it was never built by itself.
    pub fn figures(&self, plan: &Plan) -> Option<Figures> {
        let nodes = self.nodes.lock();
        nodes.get(&Meter::place(plan)).map(|figures| *figures.lock())
    }

    /// The same operator, measured.
    pub(super) fn measured(
        &self,
        plan: &Plan,
        operator: Operator,
        environment: &Environment,
    ) -> Operator {
        let figures = self.nodes.lock().entry(Meter::place(plan)).or_default().clone();
        Arc::new(MeasureExec::new(operator, figures, environment.clone()))
    }
}

/// The rows of an operator, counted.
#[derive(Debug)]
struct MeasureExec {
    input: Arc<dyn ExecutionPlan>,
    figures: Shared,
    environment: Environment,
    properties: Arc<PlanProperties>,
}

impl MeasureExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        figures: Shared,
        environment: Environment,
    ) -> MeasureExec {
        let properties = properties_of(&input);
        MeasureExec { input, figures, environment, properties }
    }

    fn describe(&self) -> String {
        "MeasureExec".to_string()
    }

    fn run(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let clock = self.environment.ctx.clock.clone();
        let start = clock.monotonic();
        if partition == 0 {
            self.figures.lock().loops += 1;
        }
        let rows = self.input.execute(partition, task)?;
        let schema = rows.schema();
        let (counted, ended) = (self.figures.clone(), self.figures.clone());
        let ending = clock.clone();
        let rows = rows.inspect(move |batch: &Result<RecordBatch>| {
            let Ok(batch) = batch else { return };
            let mut figures = counted.lock();
            figures.rows += batch.num_rows() as u64;
            figures.bytes += batch.get_array_memory_size() as u64;
            // Who has enough rows never asks for the end.
            let now = clock.monotonic().saturating_sub(start);
            figures.last = figures.last.max(now);
            if batch.num_rows() > 0 {
                figures.first.get_or_insert(now);
            }
        });
        let end = stream::poll_fn(move |_| {
            let mut figures = ended.lock();
            figures.last = figures.last.max(ending.monotonic().saturating_sub(start));
            Poll::Ready(None)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.chain(end))))
    }
}

operator!(
    MeasureExec,
    "MeasureExec",
    |this| vec![&this.input],
    |this, inputs| match inputs.into_iter().next() {
        Some(input) => {
            let (figures, environment) = (this.figures.clone(), this.environment.clone());
            Ok(Arc::new(MeasureExec::new(input, figures, environment)))
        }
        None => datafusion_common::internal_err!("a measure without input"),
    },
    execute run
);
