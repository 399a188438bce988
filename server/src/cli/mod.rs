//! The command line. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not reachable, 4 refused beforehand, 5 timed
//! out while the work goes on, 7 a node that its cluster does not take.

pub mod demo;
pub mod drill;
pub mod node;
pub mod rebalance;
pub mod recover_quorum;
pub mod shard;
pub mod sql;
pub mod start;
pub mod status;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Failed.
pub const EXIT_FAILED: u8 = 1;
/// The server cannot be reached.
pub const EXIT_UNREACHABLE: u8 = 3;
/// What was asked is refused before anything happened.
pub const EXIT_REFUSED: u8 = 4;
/// Waiting ended; the work goes on in the cluster.
pub const EXIT_TIMED_OUT: u8 = 5;

/// PrecinctDB: a distributed database for police records that speaks MySQL
#[derive(Debug, Parser)]
#[command(name = "precinct", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Start(Box<crate::config::StartFlags>),
    /// Run a cluster on this machine with sample data, and break it
    Demo(demo::DemoArgs),
    /// Rehearse disasters on a throw-away cluster, with a measured report
    Drill(drill::DrillArgs),
    /// Show a cluster's nodes and shards
    Status(status::StatusArgs),
    /// List nodes, and let them go: drain, decommission
    Node(node::NodeArgs),
    /// List shards, split one, move its leader or one of its replicas by hand
    Shard(shard::ShardArgs),
    /// See how even nodes are, and how the cluster evens them out
    Rebalance(rebalance::RebalanceArgs),
    /// Go on from one stopped node after the majority was lost
    RecoverQuorum(recover_quorum::RecoverArgs),
    /// Run SQL statements
    Sql(sql::SqlArgs),
    /// Show the version
    Version {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// The node and its cluster do not belong together: it left, or has another disk.
pub const EXIT_CONFLICT: u8 = 7;

/// A failure for people, with the process's exit code.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// One message, possibly of several lines.
    pub message: String,
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure { code: EXIT_FAILED, message }
    }
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Start(flags) => start::run(&flags),
        Command::Demo(args) => demo::run(args),
        Command::Drill(args) => drill::run(args),
        Command::Status(args) => status::run(&args),
        Command::Node(args) => node::run(&args),
        Command::Shard(args) => shard::run(&args),
        Command::Rebalance(args) => rebalance::run(&args),
        Command::RecoverQuorum(args) => recover_quorum::run(&args),
        Command::Sql(args) => sql::run(&args),
        Command::Version { json } => {
            print_version(json);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("precinct: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn print_version(json: bool) {
    if json {
        let version = serde_json::json!({
            "schema_version": 1, "version": crate::VERSION, "mysql_version": crate::MYSQL_VERSION,
        });
        println!("{version}");
    } else {
        println!("precinct {} (MySQL {})", crate::VERSION, crate::MYSQL_VERSION);
    }
}
