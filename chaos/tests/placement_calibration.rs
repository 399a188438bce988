//! The placement simulator beside a real cluster: three nodes become six, one of the six is decommissioned, one is killed
//! for good. Moves of replicas and replicas per node are what the simulation says, within 15 %.
//!
//! Shards are empty, so both even out by number, with the limits that every cluster has; what is compared are counts and no
//! times. It takes minutes, so it runs only when `PRECINCT_CALIBRATE` asks for it (`make calibrate`), which also says with
//! `PRECINCT_SHARDS` how many shards the nodes are to make.

use chaos::cluster::Cluster;
use chaos::placement::{Event, Founders, RealPlanner, World};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Shards of user data unless the environment says otherwise, as in `precinct start`.
const SHARDS_DEFAULT: u32 = 8;
/// How long a silent node is waited for: longer than six busy processes on two cores may keep one of them from answering, for
/// each replacement that nobody asked for would count as a move.
const DEAD_AFTER: Duration = Duration::from_secs(20);
/// Longest wait for the cluster to come to rest, and for a node to be empty.
const REST_WAIT_MAX: Duration = Duration::from_secs(180);
/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Looks in a row at which it must rest: the coordinator looks in between.
const LOOKS: u32 = 4;
/// How far the two may be apart, percent; one more or less is always allowed.
const APART_MAX: u64 = 15;

/// What a stage came to.
struct Stage {
    name: &'static str,
    /// Replicas that moved.
    moves: u64,
    /// Replicas of the nodes that take part, fewest first.
    held: Vec<u64>,
}

#[test]
fn a_real_cluster_moves_what_the_simulation_says() {
    if std::env::var_os("PRECINCT_CALIBRATE").is_none() {
        println!("not asked for: run 'make calibrate'");
        return;
    }
    let shards = std::env::var("PRECINCT_SHARDS")
        .map_or(SHARDS_DEFAULT, |text| text.parse().expect("PRECINCT_SHARDS is a number"));
    let simulated = simulated(shards);
    let real = real();
    println!("Stage         Moves, real  simulated  Replicas per node, real            simulated");
    let mut apart = Vec::new();
    for (real, simulated) in real.iter().zip(&simulated) {
        let (held, expected) = (format!("{:?}", real.held), format!("{:?}", simulated.held));
        println!(
            "{:<13} {:>11} {:>10}  {held:<34} {expected}",
            real.name, real.moves, simulated.moves
        );
        if !is_near(real.moves, simulated.moves) {
            apart.push(format!("{}: moves {} and {}", real.name, real.moves, simulated.moves));
        }
        let mut pairs = real.held.iter().zip(&simulated.held);
        let near = pairs.all(|(real, simulated)| is_near(*real, *simulated));
        if real.held.len() != simulated.held.len() || !near {
            apart.push(format!("{}: replicas {held} and {expected}", real.name));
        }
    }
    assert_eq!(apart, Vec::<String>::new());
}

/// Whether a figure is what was expected.
fn is_near(real: u64, expected: u64) -> bool {
    real.abs_diff(expected) <= (expected * APART_MAX / 100).max(1)
}

/// The stages in virtual time.
fn simulated(shards: u32) -> Vec<Stage> {
    let founders =
        Founders { nodes: 3, shards, replication: 3, zones: false, shard_bytes: 1 << 20, seed: 1 };
    let mut world = World::found(&RealPlanner, founders).expect("three nodes");
    world.dead_after = DEAD_AFTER;
    let mut stages = Vec::new();
    for (name, events) in [
        ("three join", vec![Event::Join, Event::Join, Event::Join]),
        ("one leaves", vec![Event::Decommission(base::NodeId(4))]),
        ("one is lost", vec![Event::Down(base::NodeId(5))]),
    ] {
        world.mark();
        for event in events {
            world.after(Duration::ZERO, event);
        }
        assert!(world.settle(), "{name}: {:?}", world.tally.broken);
        assert_eq!(world.wrong(), Vec::<String>::new(), "{name}");
        let mut held: Vec<u64> = world.replicas().into_values().collect();
        held.sort();
        stages.push(Stage { name, moves: world.tally.moves, held });
    }
    stages
}

/// The stages on real processes.
fn real() -> Vec<Stage> {
    let patience = DEAD_AFTER.as_secs().to_string();
    let mut cluster = Cluster::start_with(3, 17_900, &["--dead-after", &patience]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut stages = Vec::new();
    let mut before = 0;
    let mut stage = |cluster: &Cluster, name, without: Option<u64>| {
        let held = rest(&runtime, cluster, without);
        let replaced = replaced(cluster);
        stages.push(Stage { name, moves: replaced - before, held });
        before = replaced;
    };
    // All three are there before the first one gets anything, as in the simulation.
    done(&cluster, &["rebalance", "pause"]);
    for _ in 0..3 {
        cluster.add();
    }
    done(&cluster, &["rebalance", "resume"]);
    stage(&cluster, "three join", None);
    let timeout = REST_WAIT_MAX.as_secs().to_string();
    done(&cluster, &["node", "decommission", "4", "--wait", "--timeout", &timeout]);
    stage(&cluster, "one leaves", Some(4));
    cluster.kill(5);
    stage(&cluster, "one is lost", Some(5));
    stages
}

/// Runs a command that must not be refused.
fn done(cluster: &Cluster, args: &[&str]) {
    let (code, out, why) = cluster.precinct(1, args);
    assert_eq!(code, 0, "{args:?}: {out}{why}\n{}", cluster.logs());
}

/// Changes of members that went through since the cluster began, as whoever coordinated wrote them down.
fn replaced(cluster: &Cluster) -> u64 {
    let logs = (1..=cluster.nodes()).map(|node| {
        std::fs::read_to_string(cluster.node_folder(node).join("node.log")).unwrap_or_default()
    });
    let lines = logs.map(|log| {
        log.lines().filter(|line| line.contains("a replica was replaced")).count() as u64
    });
    lines.sum()
}

/// Waits until every shard is well, nodes are even and one node holds nothing; what each of the others holds, fewest first.
fn rest(runtime: &Runtime, cluster: &Cluster, without: Option<u64>) -> Vec<u64> {
    let mut calm = 0;
    let mut seen = Vec::new();
    for _ in 0..REST_WAIT_MAX.as_millis() / LOOK_PAUSE.as_millis() {
        std::thread::sleep(LOOK_PAUSE);
        match runtime.block_on(held_at_rest(cluster.opts(1), without)) {
            Some(held) if held == seen => calm += 1,
            Some(held) => (calm, seen) = (1, held),
            None => calm = 0,
        }
        if calm >= LOOKS {
            return seen;
        }
    }
    let (_, status, _) = cluster.precinct(1, &["rebalance", "status"]);
    panic!("no rest: {seen:?}\n{status}\n{}", cluster.logs());
}

/// The rows of a statement; none when the node does not answer just now.
async fn rows(node: Opts, statement: &str) -> Vec<Row> {
    let Ok(mut conn) = Conn::new(node).await else { return Vec::new() };
    let rows = conn.query(statement).await.unwrap_or_default();
    // Everything is read; a failure to say goodbye changes nothing.
    let _ = conn.disconnect().await;
    rows
}

/// Replicas of each node that holds any, by the shard map, if nothing is under way.
async fn held_at_rest(node: Opts, without: Option<u64>) -> Option<Vec<u64>> {
    let text = |row: &Row, name: &str| row.get::<String, _>(name).unwrap_or_default();
    let shards = rows(node.clone(), "SHOW SHARDS").await;
    let standing = rows(node, "SHOW REBALANCE").await;
    let well = !shards.is_empty() && shards.iter().all(|row| text(row, "State") == "ok");
    if !well || standing.len() != 1 || text(&standing[0], "State") != "even" {
        return None;
    }
    let mut held = std::collections::BTreeMap::new();
    for row in &shards {
        for node in text(row, "Replicas").split(',') {
            *held.entry(node.trim().parse::<u64>().ok()?).or_insert(0) += 1;
        }
    }
    if without.is_some_and(|node| held.contains_key(&node)) {
        return None;
    }
    let mut held: Vec<u64> = held.into_values().collect();
    held.sort();
    Some(held)
}
