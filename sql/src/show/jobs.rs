//! Jobs that change indexes or sharding keys: SHOW DDL JOBS, ADMIN PAUSE | RESUME | CANCEL DDL JOBS, as TiDB has them.

use super::{Listing, number_column, text, text_column};
use crate::Result;
use crate::ast::JobAction;
use crate::catalog::index_jobs::{self, IndexJob, JobOutcome, Wish};
use crate::context::EvalContext;
use crate::ddl::index_job;
use crate::session::{ColumnMeta, Outcome, Session};
use crate::types::SqlType;
use crate::value::Value;

/// SHOW DDL JOBS: the newest first.
pub(super) async fn list(session: &mut Session) -> Result<Listing> {
    let ctx = session.context(Vec::new());
    let instance = &session.instance;
    let catalog = instance.catalog.current().await?;
    let jobs = index_jobs::all(&instance.config.client).await?;
    let rows = jobs.iter().rev().map(|job| {
        let error = job.error.as_ref().map(|(code, message)| format!("{code}: {message}"));
        // The table may have another name by now.
        let table = catalog.table_by_id(job.table).filter(|_| job.outcome == JobOutcome::Open);
        vec![
            Value::UInt(job.id),
            text(table.map_or_else(|| job.name.clone(), |table| table.qualified_name())),
            text(&job.statement),
            text(state(job)),
            text(index_jobs::stage(job, &catalog)),
            Value::UInt(job.rows),
            match job.added.is_empty() && job.rekey.is_none() {
                true => Value::Null,
                false => {
                    Value::UInt(job.percent(catalog.table_by_id(job.table).map(|table| &**table)))
                }
            },
            Value::UInt(job.owner.node().0),
            moment(job.begun_unix, &ctx),
            moment(job.ended_unix, &ctx),
            error.map_or(Value::Null, Value::Text),
        ]
    });
    let columns = vec![
        number_column("Job_id"),
        text_column("Table", 129),
        text_column("Statement", 1024),
        text_column("State", 16),
        text_column("Stage", 24),
        number_column("Rows_done"),
        number_column("Percent"),
        number_column("Node"),
        ColumnMeta::computed("Began", SqlType::datetime(0)),
        ColumnMeta::computed("Ended", SqlType::datetime(0)),
        text_column("Error", 1024),
    ];
    Ok(Listing { columns, rows: rows.collect() })
}

fn state(job: &IndexJob) -> &'static str {
    match (job.outcome, job.wish) {
        (JobOutcome::Done, _) => "done",
        (JobOutcome::Failed, Wish::Cancel) if job.error.is_none() => "cancelled",
        (JobOutcome::Failed, _) => "failed",
        (JobOutcome::Open, Wish::Cancel) => "cancelling",
        (JobOutcome::Open, _) if job.error.is_some() => "failing",
        (JobOutcome::Open, Wish::Pause) => "paused",
        (JobOutcome::Open, Wish::Run) => "running",
    }
}

/// Unix seconds as DATETIME in the session's time zone; 0 is none.
fn moment(unix: u64, ctx: &EvalContext) -> Value {
    match unix {
        0 => Value::Null,
        unix => Value::DateTime(ctx.time_zone.from_unix_micros(unix as i64 * 1_000_000)),
    }
}

/// ADMIN PAUSE, RESUME, CANCEL DDL JOBS: a row for each.
pub(crate) async fn ask(session: &mut Session, action: JobAction, jobs: &[u64]) -> Result<Outcome> {
    session.context(Vec::new());
    let wish = match action {
        JobAction::Pause => Wish::Pause,
        JobAction::Resume => Wish::Run,
        JobAction::Cancel => Wish::Cancel,
    };
    let mut rows = Vec::with_capacity(jobs.len());
    for id in jobs {
        let result = match index_job::ask(&session.instance, *id, wish).await? {
            Ok(()) => "successful".to_string(),
            Err(why) => format!("error: {why}"),
        };
        rows.push(vec![Value::UInt(*id), text(result)]);
    }
    session.variables.set_row_count(-1);
    Ok(Outcome::rows(answer_columns(), rows))
}

/// The columns of that.
pub(super) fn answer_columns() -> Vec<ColumnMeta> {
    vec![number_column("Job_id"), text_column("Result", 128)]
}
