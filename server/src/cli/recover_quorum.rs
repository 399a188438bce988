//! `precinct recover-quorum`: a cluster that lost the majority of its replicas goes on from one stopped node.
//!
//! The plan goes to stdout; nothing is changed unless `--accept-data-loss` says so.

use super::{EXIT_REFUSED, Failure};
use crate::recover::{Plan, ShardPlan, Stopped};
use base::SystemClock;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `precinct recover-quorum`.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Data folder of the stopped node from which the cluster goes on
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Only say what would happen
    #[arg(long, conflicts_with = "accept_data_loss")]
    dry_run: bool,
    /// Do it, although acknowledged writes may be lost
    #[arg(long)]
    accept_data_loss: bool,
}

/// Runs `precinct recover-quorum`.
pub fn run(args: &RecoverArgs) -> Result<(), Failure> {
    let refused = |message: String| Failure { code: EXIT_REFUSED, message };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        let stopped = Stopped::open(&args.data, SystemClock::shared()).map_err(refused)?;
        let outcome = recover(args, &stopped).await;
        stopped.close();
        outcome
    })
}

async fn recover(args: &RecoverArgs, stopped: &Stopped) -> Result<(), Failure> {
    let refused = |message: String| Failure { code: EXIT_REFUSED, message };
    let plan = stopped.plan().map_err(|problems| {
        refused(format!("nothing was changed:\n  {}", problems.join("\n  ")))
    })?;
    print!("{}", announced(&plan));
    if args.dry_run {
        return Ok(());
    }
    if !args.accept_data_loss {
        return Err(refused(
            "nothing was changed; to do this, repeat with --accept-data-loss".to_string(),
        ));
    }
    let done = stopped.carry_out(&plan).await?;
    println!(
        "Done: the cluster's state is version {}. What was replaced is kept in {}.\n\
         Start node {} as before, then add nodes with empty data folders and precinct start --join.",
        done.version,
        done.evidence.display(),
        plan.node.0
    );
    Ok(())
}

/// What a recovery gives up, for people.
fn announced(plan: &Plan) -> String {
    let mut text = match plan.goes_on {
        true => "A recovery that was begun goes on.\n".to_string(),
        false => String::new(),
    };
    let leaving: Vec<String> = plan.leaving.iter().map(|node| node.0.to_string()).collect();
    text.push_str(&format!("The cluster goes on from node {} alone.\n", plan.node.0));
    for shard in &plan.shards {
        text.push_str(&line(shard));
    }
    text.push_str(
        "Lost: whatever the removed replicas had after these entries, acknowledged writes included.\n\
         Kept: entries that nobody may have acknowledged.\n",
    );
    if !leaving.is_empty() {
        text.push_str(&format!(
            "Nodes that leave for good: {}. Never start them again with their data; keep their disks as evidence.\n",
            leaving.join(", ")
        ));
    }
    text
}

fn line(shard: &ShardPlan) -> String {
    let Some(last) = shard.last else {
        let (shard, replica) = (shard.shard.0, shard.replica.0);
        return format!("  shard {shard}: replica {replica} has been rebuilt already\n");
    };
    let removed = match shard.removed.is_empty() {
        true => "no other voter".to_string(),
        false => {
            let one = |(replica, node): &(base::ReplicaId, base::NodeId)| {
                format!("{} (node {})", replica.0, node.0)
            };
            let all: Vec<String> = shard.removed.iter().map(one).collect();
            format!("removed replicas {}", all.join(", "))
        }
    };
    format!(
        "  shard {}: replica {} becomes {}; last entry {} of term {}, {} of them only in its log; {removed}\n",
        shard.shard.0, shard.survivor.0, shard.replica.0, last.index, last.term, shard.unapplied
    )
}
