//! `precinct drill placement`: the product's plans for replicas, carried out on a large cluster in virtual time.

use super::Failure;
use chaos::placement::report::header;
use chaos::placement::{RealPlanner, Scenario, Size, run};
use clap::Args;

/// Arguments of `precinct drill placement`.
#[derive(Debug, Args)]
pub struct PlacementArgs {
    /// What happens: a scenario's name, 'all', or 'ls' for a list
    #[arg(long, value_name = "NAME", default_value = "all")]
    scenario: String,
    /// Nodes at the beginning
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(15..=10_000))]
    nodes: u64,
    /// Data shards at the beginning
    #[arg(long, default_value_t = 64_000, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    shards: u32,
    /// Replicas of each shard at the beginning
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=7))]
    replication: u32,
    /// Decides whatever is random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
pub fn simulate(args: &PlacementArgs) -> Result<(), Failure> {
    if args.scenario == "ls" {
        for scenario in Scenario::ALL {
            println!("{:<14} {}", scenario.name(), scenario.what());
        }
        return Ok(());
    }
    let scenarios = match args.scenario.as_str() {
        "all" => Scenario::ALL.to_vec(),
        name => {
            let unknown =
                || format!("no scenario '{name}'; see 'precinct drill placement --scenario ls'");
            vec![Scenario::named(name).ok_or_else(unknown)?]
        }
    };
    let size = Size {
        nodes: args.nodes,
        shards: args.shards,
        replication: args.replication,
        seed: args.seed,
    };
    println!(
        "{} nodes in 5 zones of 3 cities, {} shards with {} replicas, seed {}\n{}",
        size.nodes,
        size.shards,
        size.replication,
        size.seed,
        header()
    );
    let mut bad = 0;
    for scenario in &scenarios {
        let report = run(*scenario, size, &RealPlanner)?;
        println!("{report}");
        if report.shards != size.shards {
            println!(
                "      with {} shards: more than twice as many cannot come of splits",
                report.shards
            );
        }
        let missed = report.missed();
        missed.iter().for_each(|missed| println!("      ✘ {missed}"));
        report.sentences.iter().for_each(|sentence| println!("        {sentence}"));
        bad += usize::from(!missed.is_empty());
    }
    match bad {
        0 => Ok(()),
        bad => Err(format!("{bad} of {} scenarios missed a bar", scenarios.len()).into()),
    }
}
