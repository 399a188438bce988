//! The course of a run: faults at random, then healing, then proof of life.

use crate::net::name;
use crate::world::{NODES, World};
use base::Rng;
use std::time::Duration;
use turmoil::Sim;

/// Faults in the unsafe phase.
const FAULTS: u64 = 25;
/// Longest pause between two faults, milliseconds of simulated time.
const FAULT_PAUSE_MS_MAX: u64 = 2500;
/// Longest time from healing to the next acknowledged write: a lease, an election, and room.
const HEALING_MAX: Duration = Duration::from_secs(30);
/// Time for the slowest replica to catch up.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Random faults while the nodes write.
pub fn unsafe_times(sim: &mut Sim<'_>, world: &World, rng: &mut Rng) {
    run_for(sim, world, Duration::from_secs(4));
    for _ in 0..FAULTS {
        let node = NODES[rng.below(NODES.len() as u64) as usize];
        let other = NODES[rng.below(NODES.len() as u64) as usize];
        match rng.below(10) {
            0..=2 => crash(sim, world, rng, &[node]),
            3 => crash(sim, world, rng, &NODES),
            4 | 5 if node != other => {
                world.event(&format!("partition {node} | {other}"));
                sim.partition(name(node), name(other));
            }
            6 => {
                world.event(&format!("isolate {node}"));
                for peer in NODES.into_iter().filter(|peer| *peer != node) {
                    sim.partition(name(node), name(peer));
                }
            }
            7 if node != other => {
                world.event(&format!("one way {node} -> {other}"));
                sim.partition_oneway(name(node), name(other));
            }
            _ => repair_all(sim, world),
        }
        let pause = Duration::from_millis(200 + rng.below(FAULT_PAUSE_MS_MAX));
        run_for(sim, world, pause);
        restart_all(sim, world);
    }
}

/// Ends all faults; a write must then be acknowledged, and all replicas must catch up.
pub fn heal_and_settle(sim: &mut Sim<'_>, world: &World) {
    repair_all(sim, world);
    restart_all(sim, world);
    let before = world.observed.lock().acknowledged.len();
    let healed_at = sim.elapsed();
    while world.observed.lock().acknowledged.len() <= before + 10 {
        if sim.elapsed() - healed_at > HEALING_MAX {
            world.fail("liveness", format!("no write passed within {HEALING_MAX:?} of healing"));
        }
        step(sim, world);
    }
    run_for(sim, world, CATCH_UP);
}

fn crash(sim: &mut Sim<'_>, world: &World, rng: &mut Rng, nodes: &[u64]) {
    for node in nodes {
        world.event(&format!("power cut at {node}"));
        world.observed.lock().groups.remove(node);
        world.observed.lock().crashes += 1;
        sim.crash(name(*node));
        let disks = &world.disks[node];
        disks.log.crash(rng);
        disks.engine.crash(rng);
    }
}

fn restart_all(sim: &mut Sim<'_>, world: &World) {
    for node in NODES {
        if !sim.is_host_running(name(node)) {
            world.event(&format!("power on at {node}"));
            sim.bounce(name(node));
        }
    }
}

fn repair_all(sim: &Sim<'_>, world: &World) {
    world.event("repair");
    for node in NODES {
        for other in NODES.into_iter().filter(|other| *other != node) {
            sim.repair_oneway(name(node), name(other));
        }
    }
}

fn run_for(sim: &mut Sim<'_>, world: &World, time: Duration) {
    let end = sim.elapsed() + time;
    while sim.elapsed() < end {
        step(sim, world);
    }
}

fn step(sim: &mut Sim<'_>, world: &World) {
    if let Err(error) = sim.step() {
        world.fail("running", format!("a node ended: {error}"));
    }
}
