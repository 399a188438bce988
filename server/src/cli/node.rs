//! `precinct node`: which nodes there are, and letting one go.
//!
//! Everything is asked by SQL of any node (SHOW NODES, SHOW SHARDS, ALTER NODE). The work lives in the
//! cluster: closing the terminal stops only the waiting. Results go to stdout, progress to stderr.

use super::sql::Server;
use super::status::{Output, json, table, text};
use super::{EXIT_REFUSED, EXIT_TIMED_OUT, Failure};
use base::SystemClock;
use clap::{Args, Subcommand};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use std::time::Duration;

/// Pause between two looks at the cluster.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks in a row that may fail while a node is waited for: leaders move meanwhile.
const FAILED_LOOKS_MAX: usize = 20;
/// MySQL's error code for "the cluster refuses".
const REFUSED: u16 = 9005;

/// Arguments of `precinct node`.
#[derive(Debug, Args)]
pub struct NodeArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the nodes
    Ls(Look),
    /// Show one node and its shards
    Show(LookAt),
    /// Move leaders away, so that the node can be stopped for a while
    Drain(Change),
    /// Let a drained node lead again
    Undrain(Change),
    /// Move everything away; then the node has left for good
    Decommission(Change),
    /// Keep a node that was being decommissioned
    Recommission(Change),
}

#[derive(Debug, Args)]
struct Look {
    #[command(flatten)]
    server: Server,
    /// Shape of the output
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
struct LookAt {
    /// The node's number
    node: u64,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Args)]
struct Change {
    /// The node's number
    node: u64,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
    #[command(flatten)]
    look: Look,
}

/// Runs `precinct node`.
pub fn run(args: &NodeArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        match &args.action {
            Action::Ls(look) => {
                let mut conn = look.server.connect().await?;
                let nodes = ask(&mut conn, "SHOW NODES").await?;
                print_rows("nodes", &nodes, look.output);
                Ok(())
            }
            Action::Show(at) => show(at).await,
            Action::Drain(change) => alter(change, "DRAIN").await,
            Action::Undrain(change) => alter(change, "UNDRAIN").await,
            Action::Decommission(change) => alter(change, "DECOMMISSION").await,
            Action::Recommission(change) => alter(change, "RECOMMISSION").await,
        }
    })
}

/// Asks a node; what the cluster refuses has an exit code of its own.
pub(super) async fn ask(conn: &mut Conn, statement: &str) -> Result<Vec<Row>, Failure> {
    conn.query(statement).await.map_err(|error| match &error {
        mysql_async::Error::Server(server) if server.code == REFUSED => {
            Failure { code: EXIT_REFUSED, message: server.message.clone() }
        }
        _ => Failure::from(error.to_string()),
    })
}

/// Prints rows as a table, or as JSON under a name.
pub(super) fn print_rows(name: &str, rows: &[Row], output: Output) {
    match output {
        Output::Table => print!("{}", table(rows)),
        Output::Json => println!("{}", serde_json::json!({"schema_version": 1, name: json(rows)})),
    }
}

/// The value of a named column.
pub(super) fn column(row: &Row, name: &str) -> String {
    let index = row.columns_ref().iter().position(|column| column.name_str() == name);
    index.map_or(String::new(), |index| text(row, index))
}

fn is_node(row: &Row, node: u64) -> bool {
    column(row, "Node") == node.to_string()
}

fn holds(row: &Row, node: u64) -> bool {
    column(row, "Replicas").split(',').any(|holder| holder == node.to_string())
}

async fn show(at: &LookAt) -> Result<(), Failure> {
    let mut conn = at.look.server.connect().await?;
    let mut nodes = ask(&mut conn, "SHOW NODES").await?;
    let mut shards = ask(&mut conn, "SHOW SHARDS").await?;
    nodes.retain(|row| is_node(row, at.node));
    shards.retain(|row| holds(row, at.node));
    if nodes.is_empty() {
        return Err(Failure::from(format!("there is no node {}; see precinct node ls", at.node)));
    }
    // A rehearsal says where each shard would go now, and why one cannot.
    let mut blocked = match nodes.iter().any(|row| column(row, "State") == "decommissioning") {
        true => ask(&mut conn, &format!("ALTER NODE {} DECOMMISSION DRY RUN", at.node)).await?,
        false => Vec::new(),
    };
    blocked.retain(|row| !column(row, "Blocked").is_empty());
    match at.look.output {
        Output::Table => {
            print!("{}", table(&nodes));
            if !shards.is_empty() {
                println!();
                print!("{}", table(&shards));
            }
            if !blocked.is_empty() {
                println!("\nShards that cannot leave now; the cluster tries again by itself:");
                print!("{}", table(&blocked));
            }
        }
        Output::Json => {
            let all = serde_json::json!({
                "schema_version": 1, "nodes": json(&nodes), "shards": json(&shards), "blocked": json(&blocked),
            });
            println!("{all}");
        }
    }
    Ok(())
}

async fn alter(change: &Change, action: &str) -> Result<(), Failure> {
    let mut conn = change.look.server.connect().await?;
    let dry = if change.dry_run { " DRY RUN" } else { "" };
    let statement = format!("ALTER NODE {} {action}{dry}", change.node);
    let plan = ask(&mut conn, &statement).await?;
    if change.dry_run {
        print_rows("shards", &plan, change.look.output);
        let blocked = plan.iter().filter(|row| !column(row, "Blocked").is_empty()).count();
        return match blocked {
            0 => Ok(()),
            _ => Err(Failure {
                code: EXIT_REFUSED,
                message: format!("{blocked} of {} shards have nowhere to go", plan.len()),
            }),
        };
    }
    if change.wait && matches!(action, "DRAIN" | "DECOMMISSION") {
        wait(conn, change, action).await?;
    } else if action == "DECOMMISSION" && change.look.output == Output::Table {
        eprintln!(
            "{} replicas leave node {}; watch: precinct node show {}",
            plan.len(),
            change.node,
            change.node
        );
    }
    let mut conn = change.look.server.connect().await?;
    let mut nodes = ask(&mut conn, "SHOW NODES").await?;
    nodes.retain(|row| is_node(row, change.node));
    print_rows("nodes", &nodes, change.look.output);
    Ok(())
}

/// Waits until a node leads nothing, or has left; says on stderr what is still to be done.
async fn wait(conn: Conn, change: &Change, action: &str) -> Result<(), Failure> {
    let clock = SystemClock::shared();
    let deadline = clock.monotonic() + Duration::from_secs(change.timeout);
    let mut conn = Some(conn);
    let (mut told, mut failed) = (String::new(), 0);
    loop {
        let looked = match conn.take() {
            Some(conn) => look(conn, change.node, action).await,
            None => match change.look.server.connect().await {
                Ok(conn) => look(conn, change.node, action).await,
                Err(failure) => Err(failure),
            },
        };
        match looked {
            Ok((_, None)) => return Ok(()),
            Ok((open, Some(left))) => {
                failed = 0;
                conn = Some(open);
                if left != told {
                    eprintln!("{left}");
                    told = left;
                }
            }
            // Asked of the node itself: with its last replica it leaves, and ends.
            Err(_) if action == "DECOMMISSION" && told == holds_none(change.node) => {
                eprintln!("node {} answers no more: it holds nothing, and leaves", change.node);
                return Ok(());
            }
            Err(failure) if failed >= FAILED_LOOKS_MAX => return Err(failure),
            Err(_) => failed += 1,
        }
        if clock.monotonic() >= deadline {
            return Err(Failure {
                code: EXIT_TIMED_OUT,
                message: format!(
                    "not done after {} s; the cluster goes on with it: precinct node show {}",
                    change.timeout, change.node
                ),
            });
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

fn holds_none(node: u64) -> String {
    format!("node {node}: 0 replicas left")
}

/// What is still to be done; `None` when it is done.
async fn look(mut conn: Conn, node: u64, action: &str) -> Result<(Conn, Option<String>), Failure> {
    let nodes = ask(&mut conn, "SHOW NODES").await?;
    let shards = ask(&mut conn, "SHOW SHARDS").await?;
    let row = nodes.iter().find(|row| is_node(row, node));
    let state = row.map_or("left".to_string(), |row| column(row, "State"));
    let leads: Vec<&Row> =
        shards.iter().filter(|row| column(row, "Leader") == node.to_string()).collect();
    if action == "DRAIN" {
        let left =
            (!leads.is_empty()).then(|| format!("node {node} still leads {} shards", leads.len()));
        return Ok((conn, left));
    }
    if state == "left" {
        return Ok((conn, None));
    }
    let held: Vec<&Row> = shards.iter().filter(|row| holds(row, node)).collect();
    let mut text = match held.len() {
        0 => holds_none(node),
        held => format!("node {node}: {held} replicas left"),
    };
    for row in held.iter().filter(|row| column(row, "State") != "ok") {
        text.push_str(&format!("\n  shard {}: {}", column(row, "Shard"), column(row, "State")));
    }
    Ok((conn, Some(text)))
}
