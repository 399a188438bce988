//! Window functions: adds a column per function to rows that come partition by partition, in the window's order.
//!
//! ```text
//! batches ──> values of a partition's rows, until the next partition begins ──> results ──> batches that are complete go on
//! ```
//!
//! Rows pass as they came; only what the functions read is taken from them, and is kept until their partition is complete.
//!
//! Invariants:
//! 1. What is kept is counted in the query's memory: a partition beyond it is 1038.
//! 2. Rows with equal comparison keys in the order columns are peers.
//!
//! Parts: `frame` (which rows a row looks at), `function` (what it sees there).
//!
//! Reference: MySQL 8.4 manual, 14.20 "Window Functions".

mod frame;
mod function;

use super::operator::{batch, operator, properties, stream};
use super::{Environment, error};
use crate::expr::key_bytes;
use crate::planner::plan::Window;
use crate::types::{SqlType, array_value, values_to_array};
use crate::value::{Row, Value};
use crate::{Error, Result};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};
use function::Function;
use futures::StreamExt;
use std::collections::VecDeque;
use std::sync::Arc;

/// Adds one column per window function.
#[derive(Debug)]
pub struct WindowExec {
    input: Arc<dyn ExecutionPlan>,
    /// Types of the input's columns.
    types: Vec<SqlType>,
    window: Window,
    environment: Environment,
    properties: Arc<PlanProperties>,
}

/// The rows of one partition: of each the values of the columns that are read, and the key of its peers.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// Values by position among the columns read.
    rows: Vec<Row>,
    /// Where each group of peers begins, ascending.
    peers: Vec<usize>,
}

impl WindowExec {
    /// Adds the functions of a window to the rows of `input`, which have these types.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        types: Vec<SqlType>,
        window: &Window,
        environment: &Environment,
    ) -> Result<WindowExec> {
        let known = input.schema();
        let mut fields: Vec<Field> = known.fields().iter().map(|field| (**field).clone()).collect();
        // Columns that a subquery has added below are nobody's.
        fields.truncate(types.len());
        for call in &window.calls {
            fields.push(Field::new(format!("c{}", fields.len()), call.ty.arrow(), true));
        }
        let properties = properties(Arc::new(Schema::new(fields)));
        let (window, environment) = (window.clone(), environment.clone());
        Ok(WindowExec { input, types, window, environment, properties })
    }

    fn describe(&self) -> String {
        format!("WindowExec: {} functions", self.window.calls.len())
    }

    fn run(
        &self,
        _: usize,
        task: Arc<TaskContext>,
    ) -> datafusion_common::Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let memory = MemoryConsumer::new("WindowExec").register(task.memory_pool());
        let read: Vec<usize> = self.window.columns().into_iter().collect();
        let place = |column: &mut usize| {
            *column = read.iter().position(|known| known == column).unwrap_or(*column);
        };
        let mut window = self.window.clone();
        window.columns_mut(&mut |column| place(column));
        let types: Vec<SqlType> = read.iter().map(|column| self.types[*column]).collect();
        let ctx = &self.environment.ctx;
        let functions = window.calls.iter().map(|call| Function::new(call, &types, ctx)).collect();
        let state = WindowState {
            input: self.input.execute(0, task)?,
            width: self.types.len(),
            read,
            types,
            window,
            functions,
            results: Vec::new(),
            waiting: VecDeque::new(),
            partition: Partition::default(),
            partition_key: None,
            peer_key: Vec::new(),
            ended: false,
            memory,
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
    WindowExec,
    "WindowExec",
    |this| vec![&this.input],
    |this, inputs| match inputs.into_iter().next() {
        Some(input) => {
            let types = this.types.clone();
            WindowExec::new(input, types, &this.window, &this.environment)
                .map(|window| Arc::new(window) as Arc<dyn ExecutionPlan>)
                .map_err(error::wrap)
        }
        None => datafusion_common::internal_err!("a window without input"),
    },
    execute run
);

struct WindowState {
    input: SendableRecordBatchStream,
    /// Columns of the input that go on.
    width: usize,
    /// Columns that functions read …
    read: Vec<usize>,
    /// … and their types.
    types: Vec<SqlType>,
    /// The window over the columns read.
    window: Window,
    functions: Vec<Function>,
    /// For each function the results of rows that have not gone on.
    results: Vec<VecDeque<Value>>,
    /// Batches whose rows have no results yet.
    waiting: VecDeque<RecordBatch>,
    partition: Partition,
    partition_key: Option<Vec<u8>>,
    peer_key: Vec<u8>,
    ended: bool,
    memory: MemoryReservation,
    environment: Environment,
    schema: SchemaRef,
}

impl WindowState {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(done) = self.complete()? {
                return Ok(Some(done));
            }
            if self.ended {
                return Ok(None);
            }
            self.environment.ctx.check_cancel()?;
            match self.input.next().await {
                Some(input) => self.take(input.map_err(error::unwrap)?)?,
                None => {
                    self.ended = true;
                    self.end_partition()?;
                }
            }
        }
    }

    /// The first batch that waits, once all its rows have results.
    fn complete(&mut self) -> Result<Option<RecordBatch>> {
        let Some(first) = self.waiting.front() else { return Ok(None) };
        let rows = first.num_rows();
        if self.results.iter().any(|results| results.len() < rows)
            || (self.results.is_empty() && !self.ended)
        {
            return Ok(None);
        }
        let Some(first) = self.waiting.pop_front() else { return Ok(None) };
        let mut columns = first.columns()[..self.width].to_vec();
        for (results, call) in self.results.iter_mut().zip(&self.window.calls) {
            let values: Vec<Value> = results.drain(..rows).collect();
            columns.push(values_to_array(&call.ty, &values)?);
        }
        batch(self.schema.clone(), columns, rows).map(Some)
    }

    /// Takes the values of a batch's rows.
    fn take(&mut self, input: RecordBatch) -> Result<()> {
        if self.results.is_empty() {
            self.results = self.functions.iter().map(|_| VecDeque::new()).collect();
        }
        let key_of = |row: &Row, columns: &[usize]| {
            let mut key = Vec::new();
            for column in columns {
                let part = key_bytes(&row[*column], &self.types[*column]);
                key.extend((part.len() as u64).to_be_bytes());
                key.extend(part);
            }
            key
        };
        let mut taken = Vec::with_capacity(input.num_rows());
        for place in 0..input.num_rows() {
            let read = self.read.iter().zip(&self.types);
            let row: Row =
                read.map(|(column, ty)| array_value(input.column(*column), place, ty)).collect();
            let partition = key_of(&row, &self.window.partition);
            let peer = key_of(&row, &self.window.order);
            taken.push((row, partition, peer));
        }
        for (row, partition, peer) in taken {
            if self.partition_key.as_ref() != Some(&partition) {
                self.end_partition()?;
                self.partition_key = Some(partition);
            }
            if self.partition.rows.is_empty() || self.peer_key != peer {
                self.partition.peers.push(self.partition.rows.len());
                self.peer_key = peer;
            }
            let bytes = size_of::<Row>()
                + row.iter().map(|value| size_of::<Value>() + value.heap_bytes()).sum::<usize>();
            self.memory.try_grow(bytes).map_err(|_| too_large())?;
            self.partition.rows.push(row);
        }
        self.waiting.push_back(input);
        Ok(())
    }

    /// Computes the results of the partition's rows.
    fn end_partition(&mut self) -> Result<()> {
        let partition = std::mem::take(&mut self.partition);
        for (function, results) in self.functions.iter().zip(&mut self.results) {
            function
                .run(&partition, &self.environment.ctx, &mut |value| results.push_back(value))?;
        }
        self.memory.free();
        Ok(())
    }
}

fn too_large() -> Error {
    Error::out_of_memory(
        "a partition of a window has too many rows; divide it further with PARTITION BY, or select fewer columns",
    )
}
