//! `precinct rebalance`: how even nodes are, and how the cluster evens them out.
//!
//! Asked by SQL of any node (SHOW REBALANCE, ALTER REBALANCE). The work lives in the cluster. Results go to stdout.

use super::Failure;
use super::node::{ask, print_rows};
use super::sql::Server;
use super::status::Output;
use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `precinct rebalance`.
#[derive(Debug, Args)]
pub struct RebalanceArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether nodes are even, what moves, and what is waited for
    Status(Look),
    /// Begin nothing more; what is under way is finished
    Pause(Look),
    /// Go on
    Resume(Look),
    /// Say how many replicas may move at once
    SetRate(SetRate),
    /// Say whether neighbours that are small and idle become one shard by themselves
    AutoMerge(AutoMerge),
    /// Say what moves next, what stays where it is, and why
    Explain(Look),
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
struct SetRate {
    /// Replicas that move at once, at most; each node takes part in one move at a time
    moves: u64,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Args)]
struct AutoMerge {
    /// Whether they do
    #[arg(value_enum)]
    switch: Switch,
    #[command(flatten)]
    look: Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// They do, after a while
    On,
    /// Only by command
    Off,
}

impl Switch {
    /// As SQL has it.
    fn word(self) -> &'static str {
        match self {
            Switch::On => "ON",
            Switch::Off => "OFF",
        }
    }
}

/// Runs `precinct rebalance`.
pub fn run(args: &RebalanceArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let (look, statement) = match &args.action {
        Action::Status(look) => (look, "SHOW REBALANCE".to_string()),
        Action::Pause(look) => (look, "ALTER REBALANCE PAUSE".to_string()),
        Action::Resume(look) => (look, "ALTER REBALANCE RESUME".to_string()),
        Action::SetRate(rate) => (&rate.look, format!("ALTER REBALANCE MOVES {}", rate.moves)),
        Action::AutoMerge(wish) => {
            (&wish.look, format!("ALTER REBALANCE AUTO_MERGE {}", wish.switch.word()))
        }
        Action::Explain(look) => (look, "SHOW REBALANCE PLAN".to_string()),
    };
    runtime.block_on(async {
        let mut conn = look.server.connect().await?;
        let rows = ask(&mut conn, &statement).await?;
        let name = if matches!(args.action, Action::Explain(_)) { "plan" } else { "rebalance" };
        if rows.is_empty() && look.output == Output::Table {
            eprintln!("nothing moves, and nothing is held back");
        } else {
            print_rows(name, &rows, look.output);
        }
        Ok(())
    })
}
