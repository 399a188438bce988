//! `precinct sql`: a small client for scripts; people will prefer `mysql` or `mariadb`.

use super::{EXIT_UNREACHABLE, Failure};
use clap::Args;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row, Value};

/// Where the cluster is.
#[derive(Clone, Debug, Args)]
pub struct Server {
    /// Where to connect: mysql://user:password@host:port/database
    #[arg(
        long,
        env = "PRECINCT_URL",
        value_name = "URL",
        default_value = "mysql://root@127.0.0.1:4000"
    )]
    pub url: String,
}

impl Server {
    /// Connects.
    pub async fn connect(&self) -> Result<Conn, Failure> {
        let opts = Opts::from_url(&self.url).map_err(|error| {
            Failure::from(format!("--url {}: {error}", without_password(&self.url)))
        })?;
        Conn::new(opts).await.map_err(|error| Failure {
            code: EXIT_UNREACHABLE,
            message: format!("cannot connect to {}: {error}", without_password(&self.url)),
        })
    }
}

/// Arguments of `precinct sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    #[command(flatten)]
    server: Server,
    /// Statements, separated by semicolons; without it they are read from standard input
    #[arg(short = 'e', long, value_name = "SQL")]
    execute: Option<String>,
}

/// Runs the statements and prints results as tab-separated lines with a header.
pub fn run(args: &SqlArgs) -> Result<(), Failure> {
    let text = match &args.execute {
        Some(text) => text.clone(),
        None => std::io::read_to_string(std::io::stdin())
            .map_err(|error| format!("standard input: {error}"))?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        let mut conn = args.server.connect().await?;
        let mut result = conn.query_iter(text).await.map_err(failed)?;
        loop {
            if let Some(columns) = result.columns().filter(|columns| !columns.is_empty()) {
                let names: Vec<_> =
                    columns.iter().map(|column| column.name_str().into_owned()).collect();
                println!("{}", names.join("\t"));
            }
            while let Some(row) = result.next().await.map_err(failed)? {
                println!("{}", line(&row));
            }
            if result.is_empty() {
                break;
            }
        }
        drop(result);
        // Everything is printed; a failure to say goodbye changes nothing.
        let _ = conn.disconnect().await;
        Ok(())
    })
}

fn failed(error: mysql_async::Error) -> Failure {
    Failure::from(error.to_string())
}

/// A row as the `mysql` client prints it in batch mode: tabs between, NULL as NULL, specials escaped.
fn line(row: &Row) -> String {
    let cells: Vec<String> = (0..row.len())
        .map(|index| match row.as_ref(index) {
            None | Some(Value::NULL) => "NULL".to_string(),
            Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes)
                .replace('\\', "\\\\")
                .replace('\t', "\\t")
                .replace('\n', "\\n")
                .replace('\0', "\\0"),
            Some(other) => other.as_sql(true),
        })
        .collect();
    cells.join("\t")
}

/// A URL that may be shown.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => {
            let user = url[scheme + 3..at].split(':').next().unwrap_or_default();
            format!("{}://{user}{}", &url[..scheme], &url[at..])
        }
        _ => url.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(without_password("mysql://a:s3cret@h:1/d"), "mysql://a@h:1/d");
        assert_eq!(without_password("mysql://a@h:1"), "mysql://a@h:1");
        assert_eq!(without_password("nonsense"), "nonsense");
    }
}
