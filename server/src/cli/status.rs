//! `precinct status`: a cluster's nodes and shards, as any of its nodes sees them.

use super::Failure;
use super::sql::Server;
use clap::{Args, ValueEnum};
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};

/// Arguments of `precinct status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    server: Server,
    /// Shape of the output
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// For scripts
    Json,
}

/// Prints SHOW NODES and SHOW SHARDS.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let (nodes, shards) = runtime.block_on(async {
        let mut conn = args.server.connect().await?;
        let failed = |error: mysql_async::Error| Failure::from(error.to_string());
        let nodes: Vec<Row> = conn.query("SHOW NODES").await.map_err(failed)?;
        let shards: Vec<Row> = conn.query("SHOW SHARDS").await.map_err(failed)?;
        // Everything is read; a failure to say goodbye changes nothing.
        let _ = conn.disconnect().await;
        Ok::<_, Failure>((nodes, shards))
    })?;
    match args.output {
        Output::Table => {
            print!("{}", table(&nodes));
            println!();
            print!("{}", table(&shards));
        }
        Output::Json => {
            let all = serde_json::json!({
                "schema_version": 1, "nodes": json(&nodes), "shards": json(&shards),
            });
            println!("{all}");
        }
    }
    Ok(())
}

fn names(rows: &[Row]) -> Vec<String> {
    rows.first().map_or(Vec::new(), |row| {
        row.columns_ref().iter().map(|column| column.name_str().into_owned()).collect()
    })
}

pub(super) fn text(row: &Row, index: usize) -> String {
    match row.as_ref(index) {
        None | Some(Value::NULL) => "-".into(),
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(other) => other.as_sql(true),
    }
}

pub(super) fn table(rows: &[Row]) -> String {
    let mut lines = vec![names(rows)];
    lines.extend(rows.iter().map(|row| (0..row.len()).map(|index| text(row, index)).collect()));
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    lines.iter().fold(String::new(), |mut out, line| {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
        out
    })
}

pub(super) fn json(rows: &[Row]) -> Vec<serde_json::Value> {
    let names = names(rows);
    rows.iter()
        .map(|row| {
            let fields = names.iter().enumerate().map(|(index, name)| {
                (name.to_lowercase(), serde_json::Value::String(text(row, index)))
            });
            serde_json::Value::Object(fields.collect())
        })
        .collect()
}
