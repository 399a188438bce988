//! The course of a run: faults at random, then healing, then proof of life.

use super::net::name;
use super::plan::Fault;
use super::world::World;
use super::{disk, invariant};
use base::Rng;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use turmoil::Sim;

/// Time for the first election.
const WARM_UP: Duration = Duration::from_secs(4);
/// Longest pause between two faults, milliseconds of simulated time.
const PAUSE_MS_MAX: u64 = 2500;
/// Longest time from healing to the next acknowledged write: a lease, elections, and room.
const HEALING_MAX: Duration = Duration::from_secs(40);
/// Writes that must pass after healing.
const PROOF_OF_LIFE: usize = 10;
/// Time for the slowest replica to catch up.
const CATCH_UP: Duration = Duration::from_secs(10);

/// A run under way.
pub struct Course<'a, 'b> {
    /// turmoil.
    sim: &'a mut Sim<'b>,
    /// What is seen.
    world: &'a Arc<World>,
    /// Chance.
    rng: &'a mut Rng,
    /// Links that are broken, one direction each.
    cut: BTreeSet<(u64, u64)>,
    /// Nodes whose messages are held.
    frozen: Option<u64>,
}

impl<'a, 'b> Course<'a, 'b> {
    /// The beginning.
    pub fn new(sim: &'a mut Sim<'b>, world: &'a Arc<World>, rng: &'a mut Rng) -> Self {
        Course { sim, world, rng, cut: BTreeSet::new(), frozen: None }
    }

    /// Random faults while the nodes work.
    pub fn unsafe_times(&mut self) {
        self.run_for(WARM_UP);
        for _ in 0..self.world.plan.rounds {
            for node in self.world.nodes() {
                self.set_sync_ms(node, self.world.plan.sync_ms_max);
            }
            let fault = self.world.plan.fault(self.rng);
            self.fault(fault);
            self.pause(200, PAUSE_MS_MAX);
            self.restart_all();
            if self.rng.chance(0.4) {
                self.repair();
            }
        }
    }

    /// Ends all faults; writes must then be acknowledged, and all replicas must catch up.
    pub fn heal_and_settle(&mut self) {
        self.repair();
        for node in self.world.nodes() {
            self.set_sync_ms(node, 0);
        }
        self.restart_all();
        let acknowledged = |world: &World| world.observed.lock().acknowledged.len();
        let wanted = acknowledged(self.world) + PROOF_OF_LIFE;
        let healed_at = self.sim.elapsed();
        while acknowledged(self.world) < wanted {
            if self.sim.elapsed() - healed_at > HEALING_MAX {
                let what = format!("no writes passed within {HEALING_MAX:?} of healing");
                self.world.fail("liveness", what);
            }
            self.step();
        }
        self.world.count("check: liveness", 1);
        self.run_for(CATCH_UP);
    }

    fn fault(&mut self, fault: Fault) {
        let node = self.any();
        match fault {
            Fault::PowerCut => {
                self.world.count("fault: power cut", 1);
                self.power_cut(&[node]);
                self.maybe_at_once();
            }
            Fault::PowerCutOfAll => {
                self.world.count("fault: power cut of all", 1);
                self.power_cut(&self.world.nodes());
                self.maybe_at_once();
            }
            Fault::PowerCutInSync => self.power_cut_in_sync(),
            Fault::LongOutage => {
                self.world.count("fault: long outage", 1);
                self.power_cut(&[node]);
                self.pause(5000, 9000);
            }
            Fault::Partition => {
                self.world.count("fault: partition", 1);
                let other = self.other(node);
                self.cut_off(&[node], &[other]);
            }
            Fault::Isolation => {
                self.world.count("fault: isolation", 1);
                let node = if self.rng.chance(0.5) { self.leader() } else { node };
                self.cut_off(&[node], &self.others(node));
            }
            Fault::OneWay => {
                self.world.count("fault: one way", 1);
                let other = self.other(node);
                self.cut_one_way(node, other);
            }
            Fault::Freeze => self.freeze(),
            Fault::SlowDisk => {
                self.world.count("fault: slow disk", 1);
                self.world.disks(node).log.set_sync_time(self.millis(50, 900));
            }
            Fault::Transfer => self.transfer(),
            Fault::Betrayal => self.betrayal(),
            Fault::OldLeader => self.old_leader(),
            Fault::Rot => self.rot(),
            Fault::Wipe => self.wipe(),
            Fault::Repair => self.repair(),
        }
    }

    /// Slow syncs at some nodes, and a power cut while they run.
    fn power_cut_in_sync(&mut self) {
        self.world.count("fault: power cut in a sync", 1);
        let mut nodes = self.world.nodes();
        if self.rng.chance(0.5) {
            nodes = vec![self.any()];
        }
        for node in &nodes {
            self.world.disks(*node).log.set_sync_time(Duration::from_millis(600));
        }
        self.pause(20, 580);
        self.power_cut(&nodes);
        for node in &nodes {
            self.set_sync_ms(*node, self.world.plan.sync_ms_max);
        }
        self.maybe_at_once();
    }

    /// Holds all messages of a node for a while; then they come, late and together.
    fn freeze(&mut self) {
        // turmoil cannot hold a link that is cut.
        self.repair();
        self.world.count("fault: freeze", 1);
        let node = if self.rng.chance(0.5) { self.leader() } else { self.any() };
        self.world.event(&format!("freeze {node}"));
        for other in self.others(node) {
            self.sim.hold(name(node), name(other));
        }
        self.frozen = Some(node);
        self.pause(100, 3000);
        self.thaw();
    }

    /// Lets held messages go.
    fn thaw(&mut self) {
        let Some(node) = self.frozen.take() else { return };
        self.world.event(&format!("thaw {node}"));
        for other in self.others(node) {
            self.sim.release(name(node), name(other));
        }
    }

    /// Gives leadership away; while that goes on, the old leader may lose some of its links.
    fn transfer(&mut self) {
        self.world.count("fault: transfer asked for", 1);
        let leader = self.leader();
        let to = self.other(leader);
        self.world.observed.lock().transfers.push((leader, to));
        if self.rng.chance(0.3) {
            return;
        }
        self.pause(10, 60);
        match self.rng.below(3) {
            0 => self.cut_off(&[leader], &self.others(leader)),
            1 => self.cut_one_way(to, leader),
            _ => {
                for other in self.others(leader) {
                    self.cut_one_way(other, leader);
                }
            }
        }
    }

    /// The leader lives on the promise of a bare quorum. Then that is cut off from it too, and one of it
    /// loses power for a moment: it must not vote as if it had promised nothing.
    fn betrayal(&mut self) {
        self.repair();
        self.restart_all();
        self.run_for(Duration::from_secs(4));
        self.world.count("fault: betrayal", 1);
        let leader = self.leader();
        let others = self.others(leader);
        let minority = others.len() / 2;
        let (lonely, faithful) = others.split_at(minority);
        let (lonely, faithful) = (lonely.to_vec(), faithful.to_vec());
        self.cut_off(&[leader], &lonely);
        self.pause(1500, 3000);
        self.cut_off(&[leader], &faithful);
        if self.rng.chance(0.8) {
            self.power_cut(&faithful[..1]);
            self.restart_all();
        }
        self.pause(1000, 2500);
    }

    /// The leader collects writes that nobody else has, loses power, and comes back among its memories.
    fn old_leader(&mut self) {
        self.world.count("fault: old leader", 1);
        let leader = self.leader();
        self.cut_off(&[leader], &self.others(leader));
        self.pause(100, 1500);
        if self.rng.chance(0.8) {
            self.power_cut(&[leader]);
            self.restart_all();
        }
        self.pause(500, 3500);
    }

    /// Once in a run a synced record changes.
    fn rot(&mut self) {
        let node = self.any();
        if !self.world.observed.lock().lost.is_empty() {
            return;
        }
        self.power_cut(&[node]);
        if let Some(lost) = disk::rot(self.world, node, self.rng) {
            self.world.count("fault: rot", 1);
            self.world.event(&format!("node {node} lost {lost}"));
            self.world.observed.lock().lost.insert(node, lost);
        }
    }

    /// Once in a run a node gets new disks, and with them a new replica.
    fn wipe(&mut self) {
        let node = self.any();
        if !self.world.observed.lock().lost.is_empty() {
            return;
        }
        self.power_cut(&[node]);
        self.world.count("fault: wipe", 1);
        self.world.event(&format!("node {node} lost its disks"));
        self.world.wipe(node);
    }

    fn power_cut(&mut self, nodes: &[u64]) {
        for node in nodes.iter().copied() {
            if !self.sim.is_host_running(name(node)) {
                continue;
            }
            self.world.event(&format!("power cut at {node}"));
            let disks = self.world.disks(node);
            if self.rng.chance(0.5) && disk::half_write(&disks.log) {
                self.world.count("fault: torn write", 1);
            }
            // First the disks, then the process: what it does while it is taken apart reaches no disk.
            disks.log.crash(self.rng);
            disks.engine.crash(self.rng);
            self.world.observed.lock().groups.remove(&node);
            self.sim.crash(name(node));
            invariant::after_power_cut(self.world, node);
        }
    }

    /// Sometimes power is back before anybody notices.
    fn maybe_at_once(&mut self) {
        if self.rng.chance(0.4) {
            self.restart_all();
        }
    }

    fn restart_all(&mut self) {
        for node in self.world.nodes() {
            if !self.sim.is_host_running(name(node)) {
                self.world.event(&format!("power on at {node}"));
                self.sim.bounce(name(node));
            }
        }
    }

    fn cut_off(&mut self, some: &[u64], others: &[u64]) {
        for one in some {
            for two in others {
                self.cut_one_way(*one, *two);
                self.cut_one_way(*two, *one);
            }
        }
    }

    fn cut_one_way(&mut self, from: u64, to: u64) {
        self.thaw();
        self.world.event(&format!("cut {from} -> {to}"));
        self.sim.partition_oneway(name(from), name(to));
        self.cut.insert((from, to));
    }

    fn repair(&mut self) {
        self.thaw();
        self.world.event("repair");
        for (from, to) in std::mem::take(&mut self.cut) {
            self.sim.repair_oneway(name(from), name(to));
            self.world.reset_link(from, to);
        }
    }

    fn set_sync_ms(&mut self, node: u64, ms_max: u64) {
        let sync_time = Duration::from_millis(self.rng.below(ms_max + 1));
        self.world.disks(node).log.set_sync_time(sync_time);
    }

    /// The node seen serving in the newest term, or any.
    fn leader(&mut self) -> u64 {
        let newest = self.world.observed.lock().leaders.last_key_value().map(|(_, node)| *node);
        newest.unwrap_or_else(|| self.any())
    }

    fn any(&mut self) -> u64 {
        1 + self.rng.below(self.world.plan.nodes)
    }

    fn others(&self, node: u64) -> Vec<u64> {
        self.world.nodes().into_iter().filter(|other| *other != node).collect()
    }

    fn other(&mut self, node: u64) -> u64 {
        let others = self.others(node);
        others[self.rng.below(others.len() as u64) as usize]
    }

    fn millis(&mut self, min: u64, span: u64) -> Duration {
        Duration::from_millis(min + self.rng.below(span))
    }

    fn pause(&mut self, min_ms: u64, span_ms: u64) {
        let time = self.millis(min_ms, span_ms);
        self.run_for(time);
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            self.step();
        }
    }

    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            self.world.fail("running", format!("a node ended: {error}"));
        }
    }
}
