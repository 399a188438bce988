//! Reading tables, and rows that are known already.

use super::decode::Decoder;
use super::operator::{batch, divided_properties, operator, properties, schema_of, stream};
use super::{BATCH_ROWS, Environment};
use crate::access::{self, Access, ReadOptions, RowReader};
use crate::catalog::TableDef;
use crate::types::{SqlType, values_to_array};
use crate::value::Row;
use crate::{Error, Result};
use arrow::record_batch::RecordBatch;
use base::{SlotFilter, SlotRange};
use bytes::Bytes;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use txn::Transaction;

/// Reads columns of a table by an access path.
#[derive(Debug)]
pub struct TableScanExec {
    table: Arc<TableDef>,
    columns: Vec<usize>,
    access: Access,
    options: ReadOptions,
    /// The slots of each partition; `None`: one partition of all rows.
    parts: Option<Arc<[SlotRange]>>,
    opened: Opened,
    environment: Environment,
    properties: Arc<PlanProperties>,
}

/// Readers that were opened before their partitions start, by partition.
#[derive(Default)]
struct Opened(Mutex<BTreeMap<usize, RowReader>>);

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

impl TableScanExec {
    /// Reads these columns; TIMESTAMP in UTC.
    pub fn new(
        table: Arc<TableDef>,
        columns: Vec<usize>,
        access: Access,
        options: ReadOptions,
        environment: Environment,
    ) -> TableScanExec {
        let types: Vec<SqlType> = columns.iter().map(|&c| table.columns[c].ty).collect();
        let properties = properties(schema_of(&types));
        let opened = Opened::default();
        TableScanExec {
            table,
            columns,
            access,
            options,
            parts: None,
            opened,
            environment,
            properties,
        }
    }

    /// The same with a partition for each of these ranges of slots.
    #[must_use]
    pub fn divided(mut self, parts: Arc<[SlotRange]>) -> TableScanExec {
        self.properties = divided_properties(self.schema(), parts.len());
        self.parts = Some(parts);
        self
    }

    /// Whether its readers need no transaction once they are open.
    pub fn reads_alone(&self) -> bool {
        match &self.access {
            Access::Full | Access::Partitions(_) => true,
            Access::PrimaryRange(ranges) => access::read::scans_at_once(&self.table, ranges.len()),
            Access::Nothing
            | Access::Rows(_)
            | Access::Index { .. }
            | Access::IndexRange { .. } => false,
        }
    }

    /// Opens the readers of all partitions. Sends no message, once the transaction has its read point.
    pub async fn open(&self, transaction: &mut Transaction) -> Result<()> {
        let count = self.parts.as_ref().map_or(1, |parts| parts.len());
        for partition in 0..count {
            let options = self.options_of(partition);
            let reader = access::read(&self.access, &self.table, &[], options, transaction).await?;
            self.opened.0.lock().insert(partition, reader);
        }
        Ok(())
    }

    fn options_of(&self, partition: usize) -> ReadOptions {
        let options = self.options.clone();
        let Some(part) = self.parts.as_ref().and_then(|parts| parts.get(partition).copied()) else {
            return options;
        };
        let part = SlotFilter::new([part]);
        let slots =
            options.slots.as_ref().map_or_else(|| part.clone(), |slots| slots.within(&part));
        ReadOptions { slots: Some(slots), ..options }
    }

    fn describe(&self) -> String {
        format!("TableScanExec: {}", self.table.qualified_name())
    }

    fn run(
        &self,
        partition: usize,
        _: Arc<TaskContext>,
    ) -> datafusion_common::Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let state = ScanState {
            table: self.table.clone(),
            decoder: Decoder::new(self.table.clone(), self.columns.clone(), schema.clone()),
            access: self.access.clone(),
            options: self.options_of(partition),
            environment: self.environment.clone(),
            reader: self.opened.0.lock().remove(&partition),
            page: VecDeque::new(),
        };
        let batches = futures::stream::try_unfold(state, |mut state| async move {
            Ok(state.next_batch().await?.map(|batch| (batch, state)))
        });
        Ok(stream(schema, batches))
    }
}

operator!(
    TableScanExec,
    "TableScanExec",
    |_this| Vec::new(),
    |this, _inputs| Ok(this),
    execute run
);

/// A scan that runs.
struct ScanState {
    table: Arc<TableDef>,
    decoder: Decoder,
    access: Access,
    options: ReadOptions,
    environment: Environment,
    /// `None` before the first batch, unless it was opened ahead.
    reader: Option<RowReader>,
    /// Rows that have been read and not handed on.
    page: VecDeque<(Bytes, Bytes)>,
}

impl ScanState {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        self.environment.ctx.check_cancel()?;
        if self.reader.is_none() {
            let mut transaction = self.environment.transaction.lock().await;
            let options = self.options.clone();
            let reader =
                access::read(&self.access, &self.table, &[], options, &mut transaction).await?;
            self.reader = Some(reader);
        }
        let Some(reader) = &mut self.reader else {
            return Err(Error::internal("a scan without its reader"));
        };
        while self.page.is_empty() {
            let page = if reader.needs_transaction() {
                let mut transaction = self.environment.transaction.lock().await;
                reader.next_encoded(Some(&mut transaction)).await?
            } else {
                reader.next_encoded(None).await?
            };
            match page {
                Some(rows) => self.page = rows.into(),
                None => return Ok(None),
            }
        }
        let rows = self.page.len().min(BATCH_ROWS);
        let batch = self.decoder.decode(self.page.drain(..rows).map(|(_, value)| value))?;
        Ok(Some(batch))
    }
}

/// Rows that are known already: one row without columns, or a computed table.
#[derive(Debug)]
pub struct RowsExec {
    types: Vec<SqlType>,
    rows: Arc<Vec<Row>>,
    properties: Arc<PlanProperties>,
}

impl RowsExec {
    /// These rows.
    pub fn new(types: Vec<SqlType>, rows: Arc<Vec<Row>>) -> RowsExec {
        let properties = properties(schema_of(&types));
        RowsExec { types, rows, properties }
    }

    fn describe(&self) -> String {
        format!("RowsExec: {} rows", self.rows.len())
    }

    fn run(
        &self,
        _: usize,
        _: Arc<TaskContext>,
    ) -> datafusion_common::Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let (types, rows) = (self.types.clone(), self.rows.clone());
        let out = schema.clone();
        let batches = (0..rows.len()).step_by(BATCH_ROWS).map(move |start| {
            let page = &rows[start..rows.len().min(start + BATCH_ROWS)];
            let columns = types
                .iter()
                .enumerate()
                .map(|(i, ty)| values_to_array(ty, page.iter().map(|row| &row[i])))
                .collect::<Result<Vec<_>>>()?;
            batch(out.clone(), columns, page.len())
        });
        Ok(stream(schema, futures::stream::iter(batches)))
    }
}

operator!(
    RowsExec,
    "RowsExec",
    |_this| Vec::new(),
    |this, _inputs| Ok(this),
    execute run
);
