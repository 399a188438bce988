//! Lookup join: for each batch of the first input, fetches the matching rows of a table by key.
//!
//! ```text
//! batch of left rows ─ key values ─ distinct ─ row keys or index entries ─ rows of the table
//!        └────────────────────────── pairs by key ── conditions ── output, in the order of the left rows
//! ```
//!
//! Taken when the first input promises few rows and the table has its primary key or an index on the
//! columns of the equality; a hash join would read the whole table. Where the keys decide the shard of the rows that are looked
//! up, nobody else is asked for them.

use super::Environment;
use super::build::equality;
use super::decode::Decoder;
use super::operator::{batch, operator, properties, schema_of, stream};
use crate::access::{self, Access, PlacedRange, ReadOptions};
use crate::catalog::TableDef;
use crate::expr::{Expr, ExprKind, key_bytes};
use crate::planner::estimate;
use crate::planner::plan::{Join, JoinKind, Plan, SUBQUERY, Scan, Subqueries};
use crate::types::{Domain, SqlType, array_value};
use crate::value::Value;
use crate::{Error, Result, table_codec};
use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use base::TableId;
use base::limits::LOOKUP_LEFT_ROWS_MAX;
use bytes::Bytes;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a table is looked up.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The table.
    table: Arc<TableDef>,
    /// Output columns of the table.
    columns: Vec<usize>,
    /// Conditions on a row of the table alone, over all its columns.
    conjuncts: Vec<Expr>,
    /// Position of the index whose leading columns are known from the left row.
    index: usize,
    /// For each of these columns: position in the table, and the value over the left row.
    keys: Vec<(usize, Expr)>,
    /// Conditions on a pair: left columns, then `columns`.
    rest: Vec<Expr>,
    /// What becomes of left rows without a partner.
    kind: JoinKind,
    /// The ids under which rows of the table can stand: its own, or those of partitions.
    ids: Vec<TableId>,
}

impl Lookup {
    /// The index that is used and how many of its columns are known.
    pub fn key(&self) -> (usize, usize) {
        (self.index, self.keys.len())
    }

    /// Whether the keys decide the shard of what is looked up, entries and rows.
    pub fn knows_shards(&self) -> bool {
        let is_known = |column: &usize| self.keys.iter().any(|(known, _)| known == column);
        !self.table.indexes[self.index].global && self.table.sharding_columns().iter().all(is_known)
    }

    /// Whether entries of the index carry all that is read of the table: then rows are not looked up.
    pub fn is_carried(&self) -> bool {
        access::index_carries(&self.table, self.index, &self.read_columns())
    }

    /// The columns of the table that the output, the keys and the conditions read.
    fn read_columns(&self) -> BTreeSet<usize> {
        let mut columns: BTreeSet<usize> = self.columns.iter().copied().collect();
        columns.extend(self.keys.iter().map(|(column, _)| *column));
        for conjunct in &self.conjuncts {
            conjunct.columns(&mut columns);
        }
        columns
    }

    /// The partitions in which rows are looked up, for EXPLAIN; `None` for a table without any.
    pub fn partitions(&self) -> Option<Vec<&str>> {
        self.table.partitioning.as_ref()?;
        Some(self.ids.iter().filter_map(|id| self.table.partition_of_id(*id)).collect())
    }
}

/// Whether an input promises few rows: it starts at an access by key.
pub fn is_small(plan: &Plan, environment: &Environment) -> Result<bool> {
    Ok(match plan {
        Plan::OneRow => true,
        Plan::Limit { .. } => true,
        Plan::Scan(scan) => {
            let choice = access::plan(&scan.table, &scan.conjuncts, &environment.ctx)?;
            // A range bounded on one side may be most of the table.
            matches!(choice.access, Access::Nothing | Access::Rows(_) | Access::Index { .. })
                || choice.known_columns > 0
                || estimate::of_choice(&scan.table, &scan.conjuncts, &choice, &environment.ctx)
                    .is_some_and(|rows| rows <= f64::from(LOOKUP_LEFT_ROWS_MAX))
        }
        Plan::Filter { input, .. }
        | Plan::Project { input, .. }
        | Plan::Sort { input, .. }
        | Plan::Window { input, .. }
        | Plan::Distinct { input } => is_small(input, environment)?,
        Plan::Join(join) => is_small(&join.left, environment)?,
        Plan::Lateral(lateral) => is_small(&lateral.input, environment)?,
        Plan::Rows { .. } | Plan::Shared { .. } | Plan::Aggregate { .. } | Plan::Union { .. } => {
            false
        }
    })
}

/// The lookup that answers a join, if one does and pays.
pub fn plan(
    join: &Join,
    subqueries: &Subqueries,
    environment: &Environment,
) -> Result<Option<Lookup>> {
    let Plan::Scan(scan) = &join.right else { return Ok(None) };
    if !is_small(&join.left, environment)? {
        return Ok(None);
    }
    let width = join.left.width();
    // Columns of the table that an equality ties to the left row.
    let mut known: BTreeMap<usize, Expr> = BTreeMap::new();
    for condition in &join.on {
        let Some((left, right)) = equality(condition, width, subqueries) else { continue };
        let ExprKind::Column(place) = right.kind else { continue };
        let column = scan.columns[place];
        let ty = &scan.table.columns[column].ty;
        if is_key_of(&left.ty, ty) {
            known.entry(column).or_insert(left);
        }
    }
    let read = scan.read_columns();
    let mut best: Option<(usize, usize, bool, bool)> = None;
    for (position, index) in scan.table.indexes.iter().enumerate() {
        if index.ignored {
            continue;
        }
        let length = index
            .columns
            .iter()
            .take_while(|part| part.prefix.is_none() && known.contains_key(&part.column))
            .count();
        let whole = length == index.columns.len() && index.unique;
        // Rows that are found by the primary key are there already.
        let alone = index.primary || access::index_carries(&scan.table, position, &read);
        let is_better = |(_, other, unique, carried): (usize, usize, bool, bool)| {
            (whole, length, alone) > (unique, other, carried)
        };
        if length > 0 && best.is_none_or(is_better) {
            best = Some((position, length, whole, alone));
        }
    }
    let Some((index, length, _, _)) = best else { return Ok(None) };
    let keys = scan.table.indexes[index].columns[..length]
        .iter()
        .filter_map(|part| known.remove(&part.column).map(|expr| (part.column, expr)))
        .collect();
    Ok(Some(Lookup {
        table: scan.table.clone(),
        columns: scan.columns.clone(),
        conjuncts: scan.conjuncts.clone(),
        index,
        keys,
        rest: join.on.clone(),
        kind: join.kind,
        ids: partitions(scan, environment)?,
    }))
}

/// The ids under which the rows of a scan stand, as far as its constants tell; values of subqueries are not known here.
fn partitions(scan: &Scan, environment: &Environment) -> Result<Vec<TableId>> {
    if scan.table.partitioning.is_none() {
        return Ok(vec![scan.table.rows]);
    }
    let known = scan.conjuncts.iter().filter(|conjunct| {
        let mut columns = BTreeSet::new();
        conjunct.columns(&mut columns);
        columns.range(SUBQUERY..).next().is_none()
    });
    let known: Vec<Expr> = known.cloned().collect();
    access::ids(&scan.table, &known, &environment.ctx)
}

/// Whether values of one type are keys of a column of another one as they are.
fn is_key_of(value: &SqlType, column: &SqlType) -> bool {
    match (value.domain(), column.domain()) {
        (Domain::Integer, Domain::Integer) => value.unsigned == column.unsigned,
        (Domain::Text, Domain::Text) => value.collation == column.collation,
        (Domain::Decimal, Domain::Decimal) => value.decimals == column.decimals,
        (Domain::Double, Domain::Double) => column.kind == crate::types::TypeKind::Double,
        (a, b) => a == b && a != Domain::Null,
    }
}

/// Joins by looking up.
#[derive(Debug)]
pub struct LookupJoinExec {
    input: Arc<dyn ExecutionPlan>,
    /// Types of the input's columns.
    types: Vec<SqlType>,
    lookup: Arc<Lookup>,
    environment: Environment,
    /// Columns of a pair.
    pairs: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl LookupJoinExec {
    /// Joins the rows of `input` with those of a table.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        types: Vec<SqlType>,
        lookup: Lookup,
        environment: Environment,
    ) -> LookupJoinExec {
        let mut all = types.clone();
        all.extend(lookup.columns.iter().map(|&column| lookup.table.columns[column].ty));
        let pairs = schema_of(&all);
        let output = if lookup.kind.shows_right() { pairs.clone() } else { schema_of(&types) };
        let properties = properties(output);
        LookupJoinExec { input, types, lookup: Arc::new(lookup), environment, pairs, properties }
    }

    fn describe(&self) -> String {
        let table = &self.lookup.table;
        let index = &table.indexes[self.lookup.index].name;
        format!("LookupJoinExec: {} by {index}", table.qualified_name())
    }

    fn run(
        &self,
        _: usize,
        task: Arc<TaskContext>,
    ) -> datafusion_common::Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let state = LookupState {
            input: self.input.execute(0, task)?,
            types: self.types.clone(),
            lookup: self.lookup.clone(),
            environment: self.environment.clone(),
            pairs: self.pairs.clone(),
            schema: schema.clone(),
        };
        let batches = futures::stream::try_unfold(state, |mut state| async move {
            Ok(state.next_batch().await?.map(|batch| (batch, state)))
        });
        Ok(stream(schema, batches))
    }
}

operator!(
    LookupJoinExec,
    "LookupJoinExec",
    |this| vec![&this.input],
    |this, inputs| match inputs.into_iter().next() {
        Some(input) => Ok(Arc::new(LookupJoinExec {
            input,
            types: this.types.clone(),
            lookup: this.lookup.clone(),
            environment: this.environment.clone(),
            pairs: this.pairs.clone(),
            properties: this.properties.clone(),
        })),
        None => datafusion_common::internal_err!("a lookup without input"),
    },
    execute run
);

struct LookupState {
    input: SendableRecordBatchStream,
    types: Vec<SqlType>,
    lookup: Arc<Lookup>,
    environment: Environment,
    /// Columns of a pair.
    pairs: SchemaRef,
    /// Columns of the output: of a pair, or of a left row.
    schema: SchemaRef,
}

impl LookupState {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(left) = self.input.next().await else { return Ok(None) };
        let left = left.map_err(super::error::unwrap)?;
        self.environment.ctx.check_cancel()?;
        // Each left row's key, and the distinct keys with their values.
        let mut row_keys: Vec<Option<Vec<u8>>> = Vec::with_capacity(left.num_rows());
        let mut wanted: BTreeMap<Vec<u8>, Vec<Value>> = BTreeMap::new();
        let key_columns = self
            .lookup
            .keys
            .iter()
            .map(|(_, expr)| expr.eval_batch(&left, &self.environment.ctx))
            .collect::<Result<Vec<ArrayRef>>>()?;
        for row in 0..left.num_rows() {
            let mut key = Vec::new();
            let mut values = Vec::with_capacity(key_columns.len());
            for (array, (column, expr)) in key_columns.iter().zip(&self.lookup.keys) {
                let value = array_value(array, row, &expr.ty);
                key.extend(key_bytes(&value, &self.lookup.table.columns[*column].ty));
                values.push(value);
            }
            if values.iter().any(Value::is_null) {
                row_keys.push(None);
                continue;
            }
            wanted.entry(key.clone()).or_insert(values);
            row_keys.push(Some(key));
        }
        let (right, partners) = self.fetch(wanted).await?;
        self.pair(&left, &row_keys, &right, &partners).map(Some)
    }

    /// Rows of the table for these keys: a batch of the output columns, and its rows by key.
    async fn fetch(
        &mut self,
        wanted: BTreeMap<Vec<u8>, Vec<Value>>,
    ) -> Result<(RecordBatch, BTreeMap<Vec<u8>, Vec<u32>>)> {
        let lookup = &self.lookup;
        let access = access_of(lookup, wanted.into_values())?;
        let columns: Vec<usize> = lookup.read_columns().into_iter().collect();
        let place = |column: usize| columns.binary_search(&column).unwrap_or(column);
        let types: Vec<SqlType> =
            columns.iter().map(|&column| lookup.table.columns[column].ty).collect();
        let schema = schema_of(&types);
        let decoder = Decoder::new(lookup.table.clone(), columns.clone(), schema.clone());
        let mut batches = Vec::new();
        let mut transaction = self.environment.transaction.lock().await;
        let (slots, near) = (self.environment.ctx.slots.clone(), self.environment.ctx.reads_near());
        // An access that knows rows by the primary key reads them.
        let carried = lookup.is_carried();
        let options = ReadOptions { slots, near, carried, ..ReadOptions::default() };
        let mut reader =
            access::read(&access, &lookup.table, &[], options, &mut transaction).await?;
        while let Some(page) = reader.next_encoded(Some(&mut transaction)).await? {
            self.environment.ctx.check_cancel()?;
            let values: Vec<Bytes> = page.into_iter().map(|(_, value)| value).collect();
            batches.push(decoder.decode(values.into_iter())?);
        }
        drop(transaction);
        let mut right = concat_batches(&schema, &batches).map_err(internal)?;
        for conjunct in &lookup.conjuncts {
            let truth = conjunct.map_columns(&place).truth_batch(&right, &self.environment.ctx)?;
            right = filter_record_batch(&right, &truth).map_err(internal)?;
        }
        let mut partners: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        for row in 0..right.num_rows() {
            let mut key = Vec::new();
            for (column, _) in &lookup.keys {
                let ty = &lookup.table.columns[*column].ty;
                key.extend(key_bytes(&array_value(right.column(place(*column)), row, ty), ty));
            }
            partners.entry(key).or_default().push(row as u32);
        }
        let output: Vec<usize> = lookup.columns.iter().map(|&column| place(column)).collect();
        Ok((right.project(&output).map_err(internal)?, partners))
    }

    fn pair(
        &self,
        left: &RecordBatch,
        row_keys: &[Option<Vec<u8>>],
        right: &RecordBatch,
        partners: &BTreeMap<Vec<u8>, Vec<u32>>,
    ) -> Result<RecordBatch> {
        let mut left_rows: Vec<u32> = Vec::new();
        let mut right_rows: Vec<u32> = Vec::new();
        for (row, key) in row_keys.iter().enumerate() {
            for &partner in key.iter().filter_map(|key| partners.get(key)).flatten() {
                left_rows.push(row as u32);
                right_rows.push(partner);
            }
        }
        let pairs = self.output(left, &left_rows, right, right_rows.iter().copied().map(Some))?;
        let mut passed = vec![true; pairs.num_rows()];
        for condition in &self.lookup.rest {
            let truth: BooleanArray = condition.truth_batch(&pairs, &self.environment.ctx)?;
            for (passed, truth) in passed.iter_mut().zip(truth.iter()) {
                *passed &= truth == Some(true);
            }
        }
        match self.lookup.kind {
            JoinKind::Inner => {
                return filter_record_batch(&pairs, &BooleanArray::from(passed)).map_err(internal);
            }
            JoinKind::Semi | JoinKind::Anti => return self.select(left, &left_rows, &passed),
            JoinKind::Left => {}
        }
        // Left rows in their order: with their partners, or alone.
        let mut rows: Vec<(u32, Option<u32>)> = Vec::with_capacity(left.num_rows());
        let mut next = 0;
        for row in 0..left.num_rows() as u32 {
            let before = rows.len();
            while next < left_rows.len() && left_rows[next] == row {
                if passed[next] {
                    rows.push((row, Some(right_rows[next])));
                }
                next += 1;
            }
            if rows.len() == before {
                rows.push((row, None));
            }
        }
        let left_rows: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
        self.output(left, &left_rows, right, rows.iter().map(|(_, partner)| *partner))
    }

    /// The left rows of which a pair passed, or those of which none did.
    fn select(
        &self,
        left: &RecordBatch,
        left_rows: &[u32],
        passed: &[bool],
    ) -> Result<RecordBatch> {
        let mut has_partner = vec![false; left.num_rows()];
        for (&row, &passed) in left_rows.iter().zip(passed) {
            has_partner[row as usize] |= passed;
        }
        let wanted = self.lookup.kind == JoinKind::Semi;
        let rows: UInt32Array = (0..left.num_rows() as u32)
            .filter(|row| has_partner[*row as usize] == wanted)
            .collect::<Vec<u32>>()
            .into();
        let columns = left
            .columns()
            .iter()
            .map(|column| take(column, &rows, None).map_err(internal))
            .collect::<Result<Vec<ArrayRef>>>()?;
        batch(self.schema.clone(), columns, rows.len())
    }

    /// Pairs of rows.
    fn output(
        &self,
        left: &RecordBatch,
        left_rows: &[u32],
        right: &RecordBatch,
        right_rows: impl Iterator<Item = Option<u32>>,
    ) -> Result<RecordBatch> {
        let left_rows = UInt32Array::from(left_rows.to_vec());
        let right_rows: UInt32Array = right_rows.collect();
        let mut columns = Vec::with_capacity(self.pairs.fields().len());
        debug_assert_eq!(left.num_columns(), self.types.len());
        for column in left.columns() {
            columns.push(take(column, &left_rows, None).map_err(internal)?);
        }
        for column in right.columns() {
            columns.push(take(column, &right_rows, None).map_err(internal)?);
        }
        batch(self.pairs.clone(), columns, left_rows.len())
    }
}

/// The rows of a table that have any of these values in the leading columns of the index.
fn access_of(lookup: &Lookup, keys: impl Iterator<Item = Vec<Value>>) -> Result<Access> {
    let table = &lookup.table;
    let index = &table.indexes[lookup.index];
    let keys: Vec<Vec<Value>> = keys.collect();
    if index.primary {
        let rows = keys
            .iter()
            .map(|values| table_codec::row_key_of_primary(table, values))
            .collect::<Result<Option<BTreeSet<Bytes>>>>()?;
        if let Some(rows) = rows {
            return Ok(Access::Rows(rows.into_iter().collect()));
        }
    }
    let mut points = Vec::with_capacity(keys.len());
    for values in &keys {
        points.extend(access::index_points(table, &lookup.ids, index, values)?);
    }
    Ok(match index.primary {
        true => Access::PrimaryRange(points.into_iter().map(PlacedRange::from).collect()),
        false => Access::Index { index: lookup.index, points },
    })
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("batch of a lookup: {error}"))
}
