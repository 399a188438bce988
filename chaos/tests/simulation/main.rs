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
const SEEDS: [u64; 3] = [1, 2, 3];
/// Seeds of a soak.
const SOAK_SEEDS: std::ops::Range<u64> = 100..200;

#[test]
fn the_same_seed_gives_the_same_run_and_no_invariant_breaks() {
    let soak = std::env::var_os("PRECINCT_SOAK").is_some();
    let seeds: Vec<u64> = match std::env::var("PRECINCT_SEED").map(|seed| seed.parse()) {
        Ok(Ok(seed)) => vec![seed],
        _ if soak => SOAK_SEEDS.collect(),
        _ => SEEDS.to_vec(),
    };
    let mut hashes = Vec::new();
    for seed in seeds {
        let (first, second) = (simulate_alone(seed), simulate_alone(seed));
        println!("seed {seed}: {first}");
        assert_eq!(first, second, "seed {seed} gave two different runs");
        hashes.push(first.hash);
    }
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count, "different seeds gave equal runs: the seed decides nothing");
}

/// One run on a thread of its own: hash maps draw their keys once per thread, and each run must draw anew.
fn simulate_alone(seed: u64) -> world::Report {
    let run = || {
        let _clocks = mad_turmoil::time::SimClocksGuard::init();
        simulate(seed)
    };
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(report) => report,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// One run.
fn simulate(seed: u64) -> world::Report {
    // Everything that asks the kernel for entropy asks this generator.
    let entropy = rand::rngs::StdRng::seed_from_u64(seed);
    match mad_turmoil::rand::try_rng() {
        Some(mut present) => *present = entropy,
        None => mad_turmoil::rand::set_rng(entropy),
    }
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
