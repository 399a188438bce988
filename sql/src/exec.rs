//! Running queries: logical plans become DataFusion operators over Arrow batches.
//!
//! ```text
//! BoundQuery ─ subqueries that run once ─ planner::optimise ─ build ─> ExecutionPlan ─> pages of rows
//!                                                               │
//!   ours: TableScan, Lookup, Local, Apply, Lateral, Chain, Window, Rows
//!                                                               └ DataFusion's: Filter, Projection, joins,
//!                                                                 Aggregate, Sort, Limit, Union
//! ```
//!
//! Only this module knows DataFusion. Keys of joins, groups, sorts and DISTINCT are comparison keys
//! (collation weights for text), never text: DataFusion compares bytes, MySQL does not.
//!
//! Invariants:
//! 1. Every operator has one partition, but below a `LocalExec`, where each partition is a range of slots; rows of a plan
//!    without ORDER BY keep the order of its first input where MySQL's would.
//! 2. A query's operators share one memory pool of `base::limits::QUERY_BYTES_MAX`; sorts, aggregates
//!    and joins with a key spill, whatever cannot spill fails with 1038.
//! 3. `ctx.cancel` is looked at before every batch.
//!
//! Not here: meaning of expressions (`expr`), access paths (`access`).

pub mod aggregate;
pub mod apply;
pub mod build;
pub mod chain;
pub mod decode;
pub mod error;
pub mod expression;
pub mod hash_join;
pub mod lateral;
pub mod local;
pub mod lookup;
pub mod measure;
pub mod operator;
pub mod scan;
mod shared;
mod spill;
pub mod stop;
pub mod subquery;
pub mod window;

use crate::binder::BoundQuery;
use crate::context::EvalContext;
use crate::expr::{Expr, ExprKind};
use crate::planner;
use crate::planner::plan::{Plan, Subqueries};
use crate::session::{RowSource, RowStream};
use crate::types::{SqlType, array_value};
use crate::value::Row;
use crate::{Error, Result};
use arrow::record_batch::RecordBatch;
use base::limits::QUERY_BYTES_MAX;
use base::{SLOT_COUNT, SlotRange};
use datafusion_execution::config::SessionConfig;
use datafusion_execution::disk_manager::DiskManager;
use datafusion_execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion_execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::ExecutionPlan;
use futures::StreamExt;
use futures::future::BoxFuture;
use measure::Meter;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use txn::{ShardClient, Transaction};

/// A transaction that operators, statements and result streams share.
pub type SharedTransaction = Arc<tokio::sync::Mutex<Transaction>>;

/// Rows in a batch between operators.
pub const BATCH_ROWS: usize = 8192;

/// What operators of one statement share.
#[derive(Clone)]
pub struct Environment {
    /// Where tables are read.
    pub transaction: SharedTransaction,
    /// Where shards are.
    client: Arc<dyn ShardClient>,
    /// Meaning of expressions, warnings, the cancel flag.
    pub ctx: Arc<EvalContext>,
    /// Memory, spill files and batch size, as DataFusion wants them.
    task: Arc<TaskContext>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

impl Environment {
    /// An environment that spills below `temp_dir`.
    pub async fn new(
        transaction: SharedTransaction,
        ctx: Arc<EvalContext>,
        temp_dir: &Path,
    ) -> Result<Environment> {
        Environment::with_memory(transaction, ctx, temp_dir, QUERY_BYTES_MAX).await
    }

    /// The same with another limit of memory.
    async fn with_memory(
        transaction: SharedTransaction,
        ctx: Arc<EvalContext>,
        temp_dir: &Path,
        bytes: usize,
    ) -> Result<Environment> {
        let client = transaction.lock().await.client().clone();
        let pool: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(bytes));
        let runtime = RuntimeEnv { memory_pool: pool, ..base_runtime(temp_dir)? };
        let config = CONFIG.clone();
        let task = TaskContext::new(
            None,
            String::new(),
            config,
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            Arc::new(runtime),
        );
        Ok(Environment { transaction, client, ctx, task: Arc::new(task) })
    }

    /// All slots, cut where the shards' are, as far as this node knows: each slot is in one range, whatever the map says.
    pub(crate) fn slots_by_shard(&self) -> Result<Arc<[SlotRange]>> {
        let routes = self.client.data_shards()?;
        let mut starts: BTreeSet<u32> = routes.iter().map(|route| route.slots.start).collect();
        starts.insert(0);
        let ends = starts.iter().skip(1).copied().chain([SLOT_COUNT]);
        Ok(starts.iter().zip(ends).map(|(&start, end)| SlotRange { start, end }).collect())
    }

    /// Starts a plan.
    pub(crate) fn start(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<SendableRecordBatchStream> {
        plan.execute(0, self.task.clone()).map_err(error::unwrap)
    }
}

/// DataFusion's settings, the same for every query.
static CONFIG: LazyLock<SessionConfig> =
    LazyLock::new(|| SessionConfig::new().with_batch_size(BATCH_ROWS).with_target_partitions(1));

/// One spill folder per temporary directory.
static RUNTIMES: LazyLock<Mutex<BTreeMap<PathBuf, RuntimeEnv>>> = LazyLock::new(Mutex::default);

fn base_runtime(temp_dir: &Path) -> Result<RuntimeEnv> {
    let mut runtimes = RUNTIMES.lock();
    if let Some(runtime) = runtimes.get(temp_dir) {
        return Ok(runtime.clone());
    }
    let folder = Arc::new(spill::SpillFolder::new(temp_dir.to_path_buf()));
    let disk = DiskManager::builder().with_temp_file_factory(folder);
    let runtime =
        RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build().map_err(error::unwrap)?;
    runtimes.insert(temp_dir.to_path_buf(), runtime.clone());
    Ok(runtime)
}

/// Runs a query. Rows come in pages while the client takes them; a small result is complete at once,
/// so that its errors and warnings are known before the client hears anything.
///
/// The transaction must stay open until the rows have been taken.
pub async fn run_query(
    bound: &BoundQuery,
    transaction: &SharedTransaction,
    ctx: &Arc<EvalContext>,
    temp_dir: &Path,
) -> Result<RowSource> {
    let environment = Environment::new(transaction.clone(), ctx.clone(), temp_dir).await?;
    let mut subqueries = bound.subqueries.clone();
    let plan = subquery::resolve(bound.plan.clone(), &mut subqueries, &environment).await?;
    let mut pages = stream_plan(plan, subqueries, &environment)?;
    let mut rows = Vec::new();
    while rows.len() < BATCH_ROWS {
        match pages.next().await {
            None => return Ok(RowSource::Ready(rows)),
            Some(page) => rows.append(&mut page?),
        }
    }
    let first = futures::stream::iter([Ok(rows)]);
    Ok(RowSource::Stream(Box::pin(first.chain(pages))))
}

/// Starts a plan whose subqueries that run once have run; its rows come in pages.
pub(crate) fn stream_plan(
    plan: Plan,
    mut subqueries: Subqueries,
    environment: &Environment,
) -> Result<RowStream> {
    let types = plan.types();
    let batches = start_plan(plan, &mut subqueries, environment)?;
    let ctx = environment.ctx.clone();
    Ok(Box::pin(batches.map(move |batch| {
        ctx.check_cancel()?;
        Ok(rows_of(&batch.map_err(error::unwrap)?, &types))
    })))
}

/// The same query with the results of its subqueries that run once in their places.
pub(crate) async fn settle_subqueries<'a>(
    bound: &'a BoundQuery,
    transaction: &SharedTransaction,
    ctx: &Arc<EvalContext>,
    temp_dir: &Path,
) -> Result<Cow<'a, BoundQuery>> {
    if bound.subqueries.is_empty() {
        return Ok(Cow::Borrowed(bound));
    }
    let mut settled = bound.clone();
    let environment = Environment::new(transaction.clone(), ctx.clone(), temp_dir).await?;
    settled.plan =
        subquery::resolve(bound.plan.clone(), &mut settled.subqueries, &environment).await?;
    Ok(Cow::Owned(settled))
}

/// Optimises, builds and starts a plan whose subqueries that run once have run.
fn start_plan(
    plan: Plan,
    subqueries: &mut Subqueries,
    environment: &Environment,
) -> Result<SendableRecordBatchStream> {
    let plan = planner::optimise(plan, subqueries, &environment.ctx)?;
    let operators = build::build(&plan, subqueries, environment)?;
    environment.start(&operators)
}

/// Runs an optimised plan whose subqueries that run once have run, and forgets its rows: how its operators did.
pub(crate) async fn measure_plan(
    plan: &Plan,
    subqueries: &Subqueries,
    environment: &Environment,
) -> Result<Meter> {
    let meter = Meter::default();
    let operators = build::build_measured(plan, subqueries, environment, &meter)?;
    let mut batches = environment.start(&operators)?;
    while let Some(batch) = batches.next().await {
        environment.ctx.check_cancel()?;
        batch.map_err(error::unwrap)?;
    }
    Ok(meter)
}

/// All rows of a plan whose subqueries that run once have run; at most `limit` of them.
pub(crate) fn collect_plan<'a>(
    plan: Plan,
    mut subqueries: Subqueries,
    environment: &'a Environment,
    limit: usize,
) -> BoxFuture<'a, Result<Vec<Row>>> {
    // Boxed: a plan may hold an Apply that runs plans.
    Box::pin(async move {
        let types = plan.types();
        let mut batches = start_plan(plan, &mut subqueries, environment)?;
        let mut rows = Vec::new();
        let mut bytes = 0_usize;
        while let Some(batch) = batches.next().await {
            environment.ctx.check_cancel()?;
            let batch = batch.map_err(error::unwrap)?;
            bytes = bytes.saturating_add(batch.get_array_memory_size());
            if bytes > QUERY_BYTES_MAX {
                return Err(Error::out_of_memory(
                    "a subquery returns too many rows; write it as a join",
                ));
            }
            rows.extend(rows_of(&batch, &types));
            if rows.len() >= limit {
                rows.truncate(limit);
                break;
            }
        }
        Ok(rows)
    })
}

/// The rows of a batch.
pub(crate) fn rows_of(batch: &RecordBatch, types: &[SqlType]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        rows.push(
            batch
                .columns()
                .iter()
                .zip(types)
                .map(|(column, ty)| array_value(column, row, ty))
                .collect(),
        );
    }
    rows
}

/// The position when an expression is nothing but a column.
pub(crate) fn plain_column(expr: &Expr) -> Option<usize> {
    match expr.kind {
        ExprKind::Column(column) => Some(column),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binder::subquery::column_expr;
    use crate::collation::CollationId;
    use crate::planner::plan::{Aggregate, AggregateFunction, Join, JoinKind, SortKey};
    use crate::value::Value;
    use base::SystemClock;
    use txn::Mode;
    use txn::testing::MemoryCluster;

    /// What DataFusion's sort keeps for merging, and some room to work in.
    const LITTLE_MEMORY: usize = 24 << 20;
    const ROWS: i64 = 120_000;

    fn types() -> Vec<SqlType> {
        vec![SqlType::bigint(), SqlType::varchar(200, CollationId::DEFAULT)]
    }

    /// Numbers in an order that is none, each with a long text of its own.
    fn shuffled() -> Plan {
        let rows = (0..ROWS).map(|i| {
            let number = i * 7_919 % ROWS;
            vec![Value::Int(number), Value::text(format!("{number:0100}"))]
        });
        Plan::Rows { name: "rows".into(), types: types(), rows: Arc::new(rows.collect()) }
    }

    fn column(position: usize) -> Expr {
        column_expr(position, types()[position], "")
    }

    fn run(plan: Plan, bytes: usize) -> Result<Vec<Row>> {
        run_in(tempfile::tempdir().unwrap().path(), plan, bytes)
    }

    fn run_in(temp_dir: &Path, plan: Plan, bytes: usize) -> Result<Vec<Row>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = MemoryCluster::new(1, SystemClock::shared()).unwrap();
        let transaction =
            Arc::new(tokio::sync::Mutex::new(Transaction::begin(client, Mode::Snapshot)));
        let ctx = Arc::new(EvalContext::detached(0));
        runtime.block_on(async {
            let environment = Environment::with_memory(transaction, ctx, temp_dir, bytes).await?;
            collect_plan(plan, Vec::new(), &environment, usize::MAX).await
        })
    }

    #[test]
    fn a_query_within_its_memory_needs_no_room_on_the_disk() {
        let scratch = tempfile::tempdir().unwrap();
        // No folder can be made below a file, as on a full disk none can be made at all.
        let temp = scratch.path().join("tmp");
        std::fs::write(&temp, b"").unwrap();
        let below = temp.join("spill");
        let keys = || vec![SortKey { expr: column(1), descending: false }];
        let sort = || Plan::Sort { input: Box::new(shuffled()), keys: keys() };
        assert_eq!(run_in(&below, sort(), QUERY_BYTES_MAX).unwrap().len() as i64, ROWS);
        assert_eq!(run_in(&below, sort(), LITTLE_MEMORY).unwrap_err().code, 1030);
    }

    #[test]
    fn a_sort_beyond_its_memory_spills() {
        let keys = vec![SortKey { expr: column(1), descending: false }];
        let sort = Plan::Sort { input: Box::new(shuffled()), keys };
        let numbers = Plan::Project { input: Box::new(sort), exprs: vec![column(0)] };
        let rows = run(numbers, LITTLE_MEMORY).unwrap();
        assert!(rows.into_iter().eq((0..ROWS).map(|number| vec![Value::Int(number)])));
    }

    #[test]
    fn groups_beyond_their_memory_spill() {
        let aggregate =
            |function, args: Vec<Expr>, ty| Aggregate { function, distinct: false, args, ty };
        let groups = Plan::Aggregate {
            input: Box::new(Plan::Union { inputs: vec![shuffled(), shuffled()], types: types() }),
            keys: vec![column(1)],
            aggregates: vec![
                aggregate(AggregateFunction::Count, Vec::new(), SqlType::bigint()),
                aggregate(AggregateFunction::Sum, vec![column(0)], SqlType::decimal(41, 0)),
            ],
        };
        let rows = run(groups, LITTLE_MEMORY).unwrap();
        assert_eq!(rows.len() as i64, ROWS);
        for row in rows {
            let number: i64 = row[0].as_text().unwrap().parse().unwrap();
            assert_eq!(row[1], Value::Int(2));
            assert_eq!(row[2].to_text(&SqlType::decimal(41, 0)), Some((number * 2).to_string()));
        }
    }

    /// A join of two inputs on their first columns, and its texts.
    fn joined(kind: JoinKind, left: Plan, right: Plan) -> Plan {
        let on = crate::expr::build::binary(
            crate::ast::BinaryOp::Equal,
            column(0),
            column_expr(2, types()[0], ""),
            &EvalContext::detached(0),
        );
        let on = vec![on.unwrap()];
        let mut exprs = vec![column(1)];
        if kind.shows_right() {
            exprs.push(column_expr(3, types()[1], ""));
        }
        let join = Plan::Join(Box::new(Join { left, right, kind, on, straight: false }));
        Plan::Project { input: Box::new(join), exprs }
    }

    #[test]
    fn a_join_beyond_its_memory_spills() {
        let rows = run(joined(JoinKind::Inner, shuffled(), shuffled()), 4 << 20).unwrap();
        assert_eq!(rows.len() as i64, ROWS);
        assert!(rows.iter().all(|row| row[0] == row[1]));
        let texts: BTreeSet<String> =
            rows.iter().map(|row| row[0].as_text().unwrap().to_string()).collect();
        assert_eq!(texts.len() as i64, ROWS);
    }

    #[test]
    fn outer_semi_and_anti_joins_beyond_their_memory_spill() {
        // The numbers from 1,000 on.
        let some = || match shuffled() {
            Plan::Rows { name, types, rows } => {
                let few = rows.iter().filter(|row| row[0].as_integer() >= Some(1_000));
                let rows = Arc::new(few.cloned().collect());
                Plan::Rows { name, types, rows }
            }
            other => other,
        };
        let count = |kind| {
            let rows = run(joined(kind, shuffled(), some()), 4 << 20).unwrap();
            (rows.len() as i64, rows.iter().filter(|row| row.iter().any(Value::is_null)).count())
        };
        assert_eq!(count(JoinKind::Left), (ROWS, 1_000));
        assert_eq!(count(JoinKind::Semi), (ROWS - 1_000, 0));
        assert_eq!(count(JoinKind::Anti), (1_000, 0));
    }

    #[test]
    fn a_join_with_too_many_rows_of_one_key_is_1038() {
        let same = || match shuffled() {
            Plan::Rows { name, types, rows } => {
                let one = rows.iter().map(|row| vec![Value::Int(1), row[1].clone()]);
                let rows = Arc::new(one.collect());
                Plan::Rows { name, types, rows }
            }
            other => other,
        };
        let join = joined(JoinKind::Inner, same(), same());
        assert_eq!(run(join, 4 << 20).unwrap_err().code, 1038);
    }
}
