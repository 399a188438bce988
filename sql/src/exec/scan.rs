//! Reading tables, and rows that are known already.

use super::decode::Decoder;
use super::operator::{batch, operator, properties, schema_of, stream};
use super::{BATCH_ROWS, Environment};
use crate::access::{self, Access, ReadOptions, RowReader};
use crate::catalog::TableDef;
use crate::types::{SqlType, values_to_array};
use crate::value::Row;
use crate::{Error, Result};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};
use std::collections::VecDeque;
use std::sync::Arc;

/// Reads columns of a table by an access path.
#[derive(Debug)]
pub struct TableScanExec {
    table: Arc<TableDef>,
    columns: Vec<usize>,
    access: Access,
    options: ReadOptions,
    environment: Environment,
    properties: Arc<PlanProperties>,
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
        TableScanExec { table, columns, access, options, environment, properties }
    }

    fn describe(&self) -> String {
        format!("TableScanExec: {}", self.table.qualified_name())
    }

    fn run(&self, _: Arc<TaskContext>) -> datafusion_common::Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let state = ScanState {
            table: self.table.clone(),
            decoder: Decoder::new(self.table.clone(), self.columns.clone(), schema.clone()),
            access: self.access.clone(),
            options: self.options.clone(),
            environment: self.environment.clone(),
            reader: None,
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
    /// `None` before the first batch.
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

    fn run(&self, _: Arc<TaskContext>) -> datafusion_common::Result<SendableRecordBatchStream> {
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
