//! `precinct sql`: a small client for scripts; people will prefer `mysql` or `mariadb`.
//!
//! Statements on standard input run one by one, each as soon as a line ends with its semicolon, so that two sessions
//! can be driven side by side.

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
    /// Statements, separated by semicolons; without it they are read from standard input, line by line
    #[arg(short = 'e', long, value_name = "SQL")]
    execute: Option<String>,
    /// Go on after an error
    #[arg(short, long)]
    force: bool,
}

/// Runs the statements and prints results as tab-separated lines with a header.
pub fn run(args: &SqlArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        let mut conn = args.server.connect().await?;
        match &args.execute {
            Some(text) => execute(&mut conn, text, args.force).await?,
            None => execute_lines(&mut conn, args.force).await?,
        }
        // Everything is printed; a failure to say goodbye changes nothing.
        let _ = conn.disconnect().await;
        Ok(())
    })
}

/// Runs what comes on standard input, statement by statement.
async fn execute_lines(conn: &mut Conn, force: bool) -> Result<(), Failure> {
    let mut text = String::new();
    for line in std::io::stdin().lines() {
        text += &line.map_err(|error| format!("standard input: {error}"))?;
        text.push('\n');
        if text.trim_end().ends_with(';') {
            execute(conn, &std::mem::take(&mut text), force).await?;
        }
    }
    match text.trim().is_empty() {
        true => Ok(()),
        false => execute(conn, &text, force).await,
    }
}

/// Runs statements and prints their results; an error of the server ends it, or is printed if `force`.
async fn execute(conn: &mut Conn, text: &str, force: bool) -> Result<(), Failure> {
    match print(conn, text).await {
        Err(mysql_async::Error::Server(error)) if force => {
            eprintln!("ERROR {} ({}): {}", error.code, error.state, error.message);
            Ok(())
        }
        outcome => outcome.map_err(|error| Failure::from(error.to_string())),
    }
}

async fn print(conn: &mut Conn, text: &str) -> mysql_async::Result<()> {
    let mut result = conn.query_iter(text).await?;
    loop {
        if let Some(columns) = result.columns().filter(|columns| !columns.is_empty()) {
            let names: Vec<_> =
                columns.iter().map(|column| column.name_str().into_owned()).collect();
            println!("{}", names.join("\t"));
        }
        while let Some(row) = result.next().await? {
            println!("{}", line(&row));
        }
        if result.is_empty() {
            return Ok(());
        }
    }
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
