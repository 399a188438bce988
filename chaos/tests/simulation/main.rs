//! Three nodes in one process, replayed from a seed: `raft` over a simulated network (turmoil), simulated
//! engines and a simulated Raft log, with partitions and power cuts.
//!
//! ```text
//! safety phase: faults and writes ──> heal everything ──> liveness phase: a new write must pass
//!        └── invariants checked at every step ─────────────────┘   then: what was acknowledged is there
//! ```
//!
//! The clock and entropy of the whole process are the simulation's (mad-turmoil), so this must be a test
//! binary of its own. To replay a failure: `PRECINCT_SEED=<seed> cargo test --release --workspace --test simulation`.

mod invariant;
mod net;
mod node;
mod schedule;
mod world;

use base::Rng;
use rand::SeedableRng;
use std::time::Duration;

/// Seeds of an ordinary run; each is run twice.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;
/// Seeds of a soak.
const SOAK_SEEDS: std::ops::RangeInclusive<u64> = 100..=199;
/// Set in the child process that makes one run.
const SEED_VARIABLE: &str = "PRECINCT_SEED";
const REPORT: &str = "report: ";

#[test]
fn the_same_seed_gives_the_same_run_and_no_invariant_breaks() {
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        let seed = seed.parse().expect("PRECINCT_SEED is a number");
        println!("{REPORT}{}", simulate(seed));
        return;
    }
    let soak = std::env::var_os("PRECINCT_SOAK").is_some();
    let mut reports = Vec::new();
    for seed in if soak { SOAK_SEEDS } else { SEEDS } {
        let (first, second) = (run_alone(seed), run_alone(seed));
        println!("seed {seed}: {first}");
        assert_eq!(first, second, "seed {seed} gave two different runs");
        reports.push(first);
    }
    let count = reports.len();
    reports.sort_unstable();
    reports.dedup();
    assert_eq!(reports.len(), count, "different seeds gave equal runs: the seed decides nothing");
}

/// One run in a process of its own: libraries keep counters for as long as a process lives.
fn run_alone(seed: u64) -> String {
    let this = std::env::current_exe().expect("a test knows its own path");
    let output = std::process::Command::new(this)
        .args(["--nocapture", "--test-threads=1"])
        .env(SEED_VARIABLE, seed.to_string())
        .output()
        .expect("the test runs itself");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "seed {seed} failed:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = text.lines().find_map(|line| line.split_once(REPORT));
    report.expect("a run prints its report").1.to_string()
}

/// One run.
fn simulate(seed: u64) -> world::Report {
    let _clocks = mad_turmoil::time::SimClocksGuard::init();
    // Everything that asks the kernel for entropy asks this generator.
    mad_turmoil::rand::set_rng(rand::rngs::StdRng::seed_from_u64(seed));
    raft::runtime::seed_thread(seed);
    let mut rng = Rng::seeded(seed);
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(Duration::from_millis(5))
        .simulation_duration(Duration::from_secs(600))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .tcp_capacity(1024);
    let mut sim = builder.build();
    let world = world::World::new(seed);
    for id in world::NODES {
        let world = world.clone();
        sim.host(net::name(id), move || node::run(id, world.clone()));
    }
    schedule::unsafe_times(&mut sim, &world, &mut rng);
    schedule::heal_and_settle(&mut sim, &world);
    invariant::acknowledged_is_durable::check(&world);
    invariant::state_machine_safety::check_replicas_agree(&world);
    world.report()
}
