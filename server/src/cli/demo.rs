//! `precinct demo` and what can be done to a running one.

use super::{EXIT_UNREACHABLE, Failure};
use crate::demo::control::{self, Request};
use crate::demo::ports::Ports;
use crate::demo::supervisor::{self, Plan};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

const MYSQL_PORT: u16 = 4000;
const HTTP_PORT: u16 = 8800;
const NODE_PORT: u16 = 7800;

/// Arguments of `precinct demo`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
    nodes: u64,
    /// Data folder, kept at the end
    #[arg(long, value_name = "DIR", default_value = "precinct-data", conflicts_with = "temp")]
    data: PathBuf,
    /// Use a data folder that is removed at the end
    #[arg(long)]
    temp: bool,
    /// MySQL port of node 1; node i listens on this plus i - 1 [default: 4000]
    #[arg(long, value_name = "PORT")]
    mysql_port: Option<u16>,
    /// Metrics port of node 1 [default: 8800]
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// Port of node 1 for other nodes [default: 7800]
    #[arg(long, value_name = "PORT")]
    node_port: Option<u16>,
    /// Seconds that the cluster waits for a silent node before it replaces its replicas
    #[arg(long, value_name = "SECONDS")]
    dead_after: Option<u64>,
    /// Seconds that versions of rows are kept which newer ones have replaced
    #[arg(long, value_name = "SECONDS")]
    retention: Option<u64>,
    /// Sample data to load
    #[arg(long, value_enum, default_value_t = Sample::Police)]
    sample: Sample,
    /// File to write once SQL answers: DSNs and process ids as JSON
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sample {
    /// Street crimes of West Yorkshire and invented people
    Police,
    /// Nothing
    None,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Kill a node with SIGKILL
    Kill {
        /// Its number
        node: u64,
        #[command(flatten)]
        which: Which,
    },
    /// Start a killed node again
    Restart {
        /// Its number
        node: u64,
        #[command(flatten)]
        which: Which,
    },
    /// Start one more node, which joins the cluster
    Add(Which),
    /// Show the running demo as JSON
    Status(Which),
    /// Stop the running demo
    Stop(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// MySQL port of the demo's node 1
    #[arg(long, value_name = "PORT", default_value_t = MYSQL_PORT)]
    mysql_port: u16,
}

/// Runs a demo, or asks a running one.
pub fn run(args: DemoArgs) -> Result<(), Failure> {
    match args.action {
        None => start(args),
        Some(Action::Kill { node, which }) => ask(&which, &Request::Kill { node }),
        Some(Action::Restart { node, which }) => ask(&which, &Request::Restart { node }),
        Some(Action::Add(which)) => ask(&which, &Request::Add),
        Some(Action::Status(which)) => ask(&which, &Request::Status),
        Some(Action::Stop(which)) => ask(&which, &Request::Stop),
    }
}

fn start(args: DemoArgs) -> Result<(), Failure> {
    let ports = Ports {
        mysql: args.mysql_port.unwrap_or(MYSQL_PORT),
        http: args.http_port.unwrap_or(HTTP_PORT),
        node: args.node_port.unwrap_or(NODE_PORT),
    };
    let ports_given = args.mysql_port.or(args.http_port).or(args.node_port).is_some();
    let data = if args.temp {
        std::env::temp_dir().join(format!("precinct-demo-{}", std::process::id()))
    } else {
        args.data
    };
    let plan = Plan {
        nodes: args.nodes,
        founders: args.nodes,
        dead_after_s: args.dead_after,
        retention_s: args.retention,
        data,
        temp: args.temp,
        ports,
        sample: args.sample == Sample::Police,
        ready_file: args.ready_file,
        ports_given,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(supervisor::run(plan)).map_err(Failure::from)
}

fn ask(which: &Which, request: &Request) -> Result<(), Failure> {
    let port = which.mysql_port;
    if let Request::Restart { node } = request {
        // On the other stream: what came of it stands alone on this one.
        eprintln!(
            "waiting for an answer of node {node} for up to a minute: it needs a majority of the nodes; start others that do \
             not run from another window"
        );
    }
    let answer = control::ask(port, request).map_err(|error| Failure {
        code: EXIT_UNREACHABLE,
        message: format!(
            "no demo with MySQL port {port} runs on this machine ({error}); start one with 'precinct demo', \
             or name its port with --mysql-port"
        ),
    })?;
    if !answer.ok {
        return Err(Failure::from(answer.message));
    }
    if *request == Request::Status {
        let text =
            serde_json::to_string_pretty(&answer.state).map_err(|error| error.to_string())?;
        println!("{text}");
    } else {
        println!("{}", answer.message);
    }
    Ok(())
}
