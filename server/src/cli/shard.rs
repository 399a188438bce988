//! `precinct shard`: who leads a shard, and where its replicas are.
//!
//! Asked by SQL of any node (ALTER SHARD). Results go to stdout, hints to stderr.

use super::Failure;
use super::node::{ask, print_rows};
use super::sql::Server;
use super::status::Output;
use clap::{Args, Subcommand};

/// Arguments of `precinct shard`.
#[derive(Debug, Args)]
pub struct ShardArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Let another node lead a shard, for the moment
    TransferLeader(TransferLeader),
    /// Move a replica to another node; the work goes on in the cluster
    Move(MoveReplica),
}

#[derive(Debug, Args)]
struct TransferLeader {
    /// The shard's number; 0 is the meta shard
    shard: u64,
    /// The node that shall lead it; it must hold a replica
    #[arg(long, value_name = "NODE")]
    to: u64,
    #[command(flatten)]
    server: Server,
    /// Shape of the output
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
struct MoveReplica {
    /// The shard's number; 0 is the meta shard
    shard: u64,
    /// The node that holds a replica
    #[arg(long, value_name = "NODE")]
    from: u64,
    /// The node that shall hold one instead
    #[arg(long, value_name = "NODE")]
    to: u64,
    #[command(flatten)]
    server: Server,
    /// Shape of the output
    #[arg(short = 'o', long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Runs `precinct shard`.
pub fn run(args: &ShardArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let (server, output, statement) = match &args.action {
        Action::TransferLeader(TransferLeader { shard, to, server, output }) => {
            (server, *output, format!("ALTER SHARD {shard} TRANSFER LEADER TO {to}"))
        }
        Action::Move(MoveReplica { shard, from, to, server, output }) => {
            (server, *output, format!("ALTER SHARD {shard} MOVE REPLICA FROM {from} TO {to}"))
        }
    };
    runtime.block_on(async {
        let mut conn = server.connect().await?;
        let rows = ask(&mut conn, &statement).await?;
        print_rows("shards", &rows, output);
        if matches!(args.action, Action::Move(_)) && output == Output::Table {
            eprintln!("it has begun; watch: precinct rebalance explain");
        }
        Ok(())
    })
}
