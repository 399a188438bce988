//! One simulated run: a cluster of `raft` hosts in one process, decided by a seed.
//!
//! ```text
//! plan      what the seed decides before the run: nodes, clocks, sizes, which faults
//! schedule  faults while the nodes work ──> everything healed ──> a new write must pass
//! node      what runs on a node: host, replica; clients: writers, readers, watchers beside it
//! net, mail the simulated network: connections that break, messages that come late or twice
//! disk      looks at, rots and tears what lies on a node's disk
//! world     what the observer saw; invariant/: one file per invariant, checked while it goes on
//! ```
//!
//! A broken invariant ends the process with a message that names it and says how to replay the run.

mod clients;
mod clock;
mod disk;
mod invariant;
mod mail;
mod net;
mod node;
mod plan;
mod schedule;
mod world;

use base::Rng;
use rand::SeedableRng;
use std::time::Duration;

/// Longest run, simulated.
const RUN_MAX: Duration = Duration::from_secs(1800);

/// Runs a seed and returns its report, one line of JSON. Once per process: libraries keep counters for as long
/// as it lives.
pub fn run(seed: u64) -> String {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // In a task of a simulated node a panic would go by unseen.
        usual(panic);
        println!("\n{}panic: {panic}", chaos::seeds::BROKEN);
        std::process::exit(chaos::seeds::BROKEN_STATUS);
    }));
    let _clocks = mad_turmoil::time::SimClocksGuard::init();
    // Everything that asks the kernel for entropy asks this generator.
    mad_turmoil::rand::set_rng(rand::rngs::StdRng::seed_from_u64(seed));
    raft::runtime::seed_thread(seed);
    let mut rng = Rng::seeded(seed);
    let plan = plan::Plan::draw(&mut rng);
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(Duration::from_millis(5))
        .simulation_duration(RUN_MAX)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(plan.latency_ms_max))
        .tcp_capacity(4096);
    let mut sim = builder.build();
    let world = world::World::new(seed, plan);
    for id in world.nodes() {
        let world = world.clone();
        sim.host(net::name(id), move || node::run(id, world.clone()));
    }
    let mut course = schedule::Course::new(&mut sim, &world, &mut rng);
    course.unsafe_times();
    course.heal_and_settle();
    let simulated = sim.elapsed();
    invariant::at_the_end(&world);
    world.report(simulated)
}
