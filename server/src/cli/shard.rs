//! `precinct shard`: which shards there are, where rows are, which are hot and why, splitting and merging them, moving a leader
//! or a replica of one.
//!
//! Asked by SQL of any node (SHOW SHARDS, ALTER SHARD). Results go to stdout, hints to stderr.

use super::Failure;
use super::node::{ask, column, print_rows};
use super::sql::Server;
use super::status::Output;
use clap::{Args, Subcommand};
use std::collections::BTreeMap;

/// Arguments of `precinct shard`.
#[derive(Debug, Args)]
pub struct ShardArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the shards
    Ls(Look),
    /// Show one shard
    Show(LookAt),
    /// List the shards that have anything to do, the busiest first, and what to do about it
    Hot(Look),
    /// Say what is planned for a shard, and what is in the way of it
    Why(LookAt),
    /// Show which shard has the rows of a table with a sharding key
    Locate(Locate),
    /// Let another node lead a shard, for the moment
    TransferLeader(TransferLeader),
    /// Move a replica to another node; the work goes on in the cluster
    Move(MoveReplica),
    /// Spread the leaders of all shards, or of a table's, evenly over the nodes that hold them, at once
    Scatter(Scatter),
    /// Make two shards of one, while clients go on
    Split(Split),
    /// Make one shard of this one and its right neighbour, while clients go on
    Merge(LookAt),
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
    /// The shard's number; 0 is the meta shard
    shard: u64,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Args)]
struct Locate {
    /// The table, as database.table
    table: String,
    /// Values of the columns by which its rows are spread, in their order
    #[arg(required = true)]
    key: Vec<String>,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Args)]
struct TransferLeader {
    /// The shard's number; 0 is the meta shard
    shard: u64,
    /// The node that shall lead it; it must hold a replica
    #[arg(long, value_name = "NODE")]
    to: u64,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Args)]
struct Scatter {
    /// Only shards that have rows of this table, as database.table
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Args)]
struct Split {
    /// The shard's number
    shard: u64,
    /// First slot of the new shard; the middle one when it is left away
    #[arg(long, value_name = "SLOT")]
    at: Option<u64>,
    #[command(flatten)]
    look: Look,
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
    look: Look,
}

/// Runs `precinct shard`.
pub fn run(args: &ShardArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        match &args.action {
            Action::Ls(look) => list(look, None).await,
            Action::Show(at) => list(&at.look, Some(at.shard)).await,
            Action::Hot(look) => {
                let mut conn = look.server.connect().await?;
                let hot = ask(&mut conn, "SHOW HOT SHARDS").await?;
                if hot.is_empty() && look.output == Output::Table {
                    eprintln!("no shard has anything to do; a new leader tells its load after 5 s");
                }
                print_rows("shards", &hot, look.output);
                Ok(())
            }
            Action::Why(LookAt { shard, look }) => {
                let mut conn = look.server.connect().await?;
                let lines = ask(&mut conn, &format!("SHOW SHARD {shard} WHY")).await?;
                print_rows("lines", &lines, look.output);
                Ok(())
            }
            Action::Locate(locate) => {
                let mut conn = locate.look.server.connect().await?;
                let statement = locating(&locate.table, &locate.key);
                print_rows("shards", &ask(&mut conn, &statement).await?, locate.look.output);
                Ok(())
            }
            Action::TransferLeader(transfer) => {
                let (shard, to) = (transfer.shard, transfer.to);
                alter(&transfer.look, &format!("{shard} TRANSFER LEADER TO {to}")).await
            }
            Action::Move(MoveReplica { shard, from, to, look }) => {
                alter(look, &format!("{shard} MOVE REPLICA FROM {from} TO {to}")).await?;
                if look.output == Output::Table {
                    eprintln!("it has begun; watch: precinct rebalance explain");
                }
                Ok(())
            }
            Action::Split(split) => {
                let at = split.at.map_or(String::new(), |slot| format!(" AT SLOT {slot}"));
                alter(&split.look, &format!("{} SPLIT{at}", split.shard)).await
            }
            Action::Scatter(args) => scatter(args).await,
            Action::Merge(at) => alter(&at.look, &format!("{} MERGE", at.shard)).await,
        }
    })
}

/// Prints all shards, or one.
async fn list(look: &Look, only: Option<u64>) -> Result<(), Failure> {
    let mut conn = look.server.connect().await?;
    let mut shards = ask(&mut conn, "SHOW SHARDS").await?;
    if let Some(only) = only {
        shards.retain(|row| column(row, "Shard") == only.to_string());
        if shards.is_empty() {
            return Err(Failure::from(format!("there is no shard {only}; see precinct shard ls")));
        }
    }
    print_rows("shards", &shards, look.output);
    Ok(())
}

/// Prints what an ALTER SHARD answers.
async fn alter(look: &Look, what: &str) -> Result<(), Failure> {
    let mut conn = look.server.connect().await?;
    let done = ask(&mut conn, &format!("ALTER SHARD {what}")).await?;
    print_rows("shards", &done, look.output);
    Ok(())
}

/// Hands leaders on until nodes lead as evenly as their replicas allow. What is refused is told, and the others go on.
async fn scatter(args: &Scatter) -> Result<(), Failure> {
    let mut conn = args.look.server.connect().await?;
    let of = args.table.as_ref().map_or(String::new(), |table| format!(" FROM {}", quoted(table)));
    let statement = format!("SHOW SHARDS{of}");
    let shards = ask(&mut conn, &statement).await?;
    let known: Vec<Led> = shards.iter().filter_map(Led::of).collect();
    let mut refused = 0;
    for (shard, to) in handed_on(&known) {
        let statement = format!("ALTER SHARD {shard} TRANSFER LEADER TO {to}");
        if let Err(why) = ask(&mut conn, &statement).await {
            eprintln!("shard {shard} to node {to}: {}", why.message);
            refused += 1;
        }
    }
    print_rows("shards", &ask(&mut conn, &statement).await?, args.look.output);
    match refused {
        0 => Ok(()),
        refused => Err(Failure::from(format!("{refused} leaders stayed where they were"))),
    }
}

/// A shard, who leads it, and who may.
struct Led {
    shard: u64,
    leader: u64,
    nodes: Vec<u64>,
}

impl Led {
    /// What a row of SHOW SHARDS says; `None` for a shard without a leader, which hands nothing on.
    fn of(row: &mysql_async::Row) -> Option<Led> {
        let nodes = column(row, "Replicas");
        Some(Led {
            shard: column(row, "Shard").parse().ok()?,
            leader: column(row, "Leader").parse().ok()?,
            nodes: nodes.split(',').filter_map(|node| node.trim().parse().ok()).collect(),
        })
    }
}

/// The leaders to be handed on, each to a node: from those that lead most to those that lead least, as long as that evens
/// them out.
fn handed_on(shards: &[Led]) -> Vec<(u64, u64)> {
    let mut leads: BTreeMap<u64, usize> = BTreeMap::new();
    for shard in shards {
        shard.nodes.iter().for_each(|node| *leads.entry(*node).or_default() += 0);
        *leads.entry(shard.leader).or_default() += 1;
    }
    let mut leaders: Vec<u64> = shards.iter().map(|shard| shard.leader).collect();
    loop {
        let gain = |at: usize| {
            let from = leads.get(&leaders[at]).copied().unwrap_or_default();
            let least = shards[at].nodes.iter().min_by_key(|node| (leads.get(*node), **node))?;
            let gain = from.checked_sub(leads.get(least).copied().unwrap_or_default())?;
            Some((gain, *least)).filter(|(gain, _)| *gain > 1)
        };
        let best = (0..shards.len()).filter_map(|at| gain(at).map(|(gain, to)| (gain, at, to)));
        let Some((_, at, to)) = best.max_by_key(|(gain, at, _)| (*gain, usize::MAX - at)) else {
            break;
        };
        leads.entry(leaders[at]).and_modify(|count| *count -= 1);
        *leads.entry(to).or_default() += 1;
        leaders[at] = to;
    }
    let moved = shards.iter().zip(&leaders).filter(|(shard, leader)| shard.leader != **leader);
    moved.map(|(shard, leader)| (shard.shard, *leader)).collect()
}

/// A name of a table, in backticks.
fn quoted(table: &str) -> String {
    let parts: Vec<String> =
        table.split('.').map(|part| format!("`{}`", part.replace('`', "``"))).collect();
    parts.join(".")
}

/// The statement that locates a sharding key. A value in quotes becomes what its column holds.
fn locating(table: &str, key: &[String]) -> String {
    let text = |value: &String| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"));
    let values: Vec<String> = key.iter().map(text).collect();
    format!("SHOW SHARDS FROM {} FOR ({})", quoted(table), values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(shard: u64, leader: u64, nodes: &[u64]) -> Led {
        Led { shard, leader, nodes: nodes.to_vec() }
    }

    #[test]
    fn leaders_go_from_where_most_are_to_where_fewest_are() {
        let all = [1, 2, 3];
        let shards: Vec<Led> = (1..=6).map(|shard| led(shard, 1, &all)).collect();
        assert_eq!(handed_on(&shards), [(1, 2), (2, 3), (3, 2), (4, 3)]);
        // Even enough: nothing moves. A shard that is on one node alone stays.
        assert_eq!(handed_on(&[led(1, 1, &all), led(2, 1, &all), led(3, 2, &all)]), [(1, 3)]);
        assert_eq!(handed_on(&[led(1, 1, &all), led(2, 2, &all)]), []);
        assert_eq!(handed_on(&[led(1, 1, &[1]), led(2, 1, &[1]), led(3, 1, &[1])]), []);
        assert_eq!(handed_on(&[]), []);
    }

    #[test]
    fn names_and_values_are_quoted() {
        let key = ["7".to_string(), "it's a \\".to_string()];
        assert_eq!(
            locating("db.odd`name", &key),
            "SHOW SHARDS FROM `db`.`odd``name` FOR ('7', 'it''s a \\\\')"
        );
    }
}
