//! `precinct shard`: who leads a shard.
//!
//! Asked by SQL of any node (ALTER SHARD). Results go to stdout.

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

/// Runs `precinct shard`.
pub fn run(args: &ShardArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let Action::TransferLeader(transfer) = &args.action;
    runtime.block_on(async {
        let mut conn = transfer.server.connect().await?;
        let statement =
            format!("ALTER SHARD {} TRANSFER LEADER TO {}", transfer.shard, transfer.to);
        let moved = ask(&mut conn, &statement).await?;
        print_rows("shards", &moved, transfer.output);
        Ok(())
    })
}
