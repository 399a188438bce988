//! Puts a fault into a lab and takes it out again.
//!
//! `inject` returns when the fault acts; `restore` when its cause is gone and the nodes' processes run.
//! Neither waits for the cluster to be well: that time is what drills measure.

use super::clock;
use super::damage;
use super::error::Error;
use super::health;
use super::kind::Kind;
use super::lab::{Lab, NodeState};
use super::leaders::Mover;
use super::network::{Link, between};
use super::shape::{self, Shape};
use super::shards::Changer;
use super::strace::{Injection, Tracer};
use base::Rng;
use std::time::Duration;

/// How much longer a sync takes on a slow disk.
const SLOW_SYNC: Duration = Duration::from_millis(200);
/// Packets lost on a bad link, percent.
const LOSS_PERCENT: u8 = 5;
/// Delay of a bad link.
const DELAY: Duration = Duration::from_millis(80);
/// How far a clock jumps, seconds.
const JUMP_SECONDS: i64 = 10;

/// A fault to be injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Nodes, from 1.
    pub nodes: Vec<u64>,
}

/// A fault that acts.
#[derive(Debug)]
pub struct Injected {
    /// Which.
    pub fault: Fault,
    /// What exactly was done, for the report.
    pub told: Vec<String>,
    tracers: Vec<Tracer>,
    /// How to undo damage that the cluster need not be able to repair.
    patches: Vec<damage::Patch>,
    /// Who moves leaders.
    mover: Option<Mover>,
    /// Who changes shards.
    changer: Option<Changer>,
}

impl Fault {
    /// Lets it act.
    ///
    /// # Errors
    /// `Unavailable` when this machine or lab cannot do it; `Refused` for targets that make no sense; otherwise
    /// when the system refuses.
    pub fn inject(self, lab: &mut Lab, rng: &mut Rng) -> Result<Injected, Error> {
        if let Some(node) = self.nodes.iter().find(|node| **node == 0 || **node > lab.nodes()) {
            return Err(Error::Refused(format!("there is no node {node}")));
        }
        if self.nodes.is_empty() {
            return Err(Error::Refused(format!("{} without a target", self.kind.name())));
        }
        let mut told = Vec::new();
        let (mut tracers, mut patches) = (Vec::new(), Vec::new());
        let (mut mover, mut changer) = (None, None);
        let all: Vec<u64> = (1..=lab.nodes()).collect();
        let others: Vec<u64> =
            all.iter().copied().filter(|node| !self.nodes.contains(node)).collect();
        match self.kind {
            Kind::Kill => self.each(|node| lab.kill(node))?,
            Kind::Hold => self.each(|node| lab.hold(node))?,
            Kind::Partition => {
                let links = between(&self.nodes, lab.nodes());
                lab.network().cut(links)?;
            }
            Kind::DropIn => lab.network().cut(pairs(&others, &self.nodes))?,
            Kind::DropOut => lab.network().cut(pairs(&self.nodes, &others))?,
            Kind::Bridge => {
                let [one, two] = self.nodes[..] else {
                    return Err(Error::Refused("a bridge has exactly two targets".into()));
                };
                lab.network().cut([Link { from: one, to: two }, Link { from: two, to: one }])?;
            }
            Kind::Loss => {
                self.each(|node| {
                    shape::bend(lab.network(), node, Shape::Loss { percent: LOSS_PERCENT })
                })?;
                told.push(format!("{LOSS_PERCENT} % of received packets are lost"));
            }
            Kind::Delay => {
                self.each(|node| shape::bend(lab.network(), node, Shape::Delay { mean: DELAY }))?;
                told.push(format!("sent packets come {} ms late", DELAY.as_millis()));
            }
            Kind::PowerCut => lab.cut_power(&self.nodes)?,
            Kind::DiskFull => {
                for node in &self.nodes {
                    let bytes = lab.disk(*node).as_image()?.fill()?;
                    told.push(format!("node {node}: the last {} MiB taken", bytes >> 20));
                }
            }
            Kind::DiskStall => self.each(|node| lab.disk(node).as_image()?.freeze())?,
            Kind::DiskSlow | Kind::SyncError => {
                for node in &self.nodes {
                    let log = lab.data(*node).join("log");
                    let (injection, only) = match self.kind {
                        Kind::DiskSlow => (Injection::Delay(SLOW_SYNC), None),
                        _ => (Injection::FailOnce, Some(log.as_path())),
                    };
                    let process = lab.process(*node).ok_or_else(|| {
                        Error::Refused(format!("node {node} does not run, so it cannot be traced"))
                    })?;
                    tracers.push(Tracer::attach(process, injection, only, &lab.journal()?)?);
                }
            }
            Kind::FlipSst | Kind::FlipLog => {
                for node in &self.nodes {
                    let data = lab.data(*node);
                    let lines = if self.kind == Kind::FlipSst {
                        // In order, so that what is in memory is in SST files.
                        lab.stop(*node)?;
                        damage::flip_in_sst(&data, rng)?
                    } else {
                        // Killed, so that what is in memory is only in the log.
                        lab.kill(*node)?;
                        damage::flip_in_log(&data, rng)?
                    };
                    told.extend(lines.into_iter().map(|line| format!("node {node}: {line}")));
                    lab.spawn(*node)?;
                }
            }
            Kind::Helix => {
                all.iter().try_for_each(|node| lab.stop(*node))?;
                let folders: Vec<_> = all.iter().map(|node| lab.data(*node)).collect();
                (told, patches) = damage::helix(&folders, rng)?;
                all.iter().try_for_each(|node| lab.spawn(*node))?;
            }
            Kind::Wipe => {
                for node in &self.nodes {
                    lab.kill(*node)?;
                    lab.wipe(*node)?;
                    lab.spawn(*node)?;
                }
            }
            Kind::ClockJump => {
                let seconds = if rng.chance(0.5) { JUMP_SECONDS } else { -JUMP_SECONDS };
                for node in &self.nodes {
                    clock::set(&lab.clock_file(*node), seconds)?;
                }
                clock::await_look();
                told.push(format!("by {seconds:+} s"));
            }
            Kind::LeaderMove => mover = Some(Mover::start(lab, &self.nodes, rng.next_u64())),
            Kind::ShardChange => changer = Some(Changer::start(lab, rng.next_u64())),
        }
        Ok(Injected { fault: self, told, tracers, patches, mover, changer })
    }

    fn each(&self, work: impl FnMut(u64) -> Result<(), Error>) -> Result<(), Error> {
        self.nodes.iter().copied().try_for_each(work)
    }
}

impl Injected {
    /// Takes the fault out; says what was done beyond that. Targets that died of it are started again; damage stays
    /// for the cluster to repair. A target whose disk was lost joins as a new member, as an operator would have it.
    ///
    /// # Errors
    /// When the system refuses; [`Lab::heal`] then mends what it can.
    pub fn restore(self, lab: &mut Lab) -> Result<Vec<String>, Error> {
        let nodes = &self.fault.nodes;
        let mut told = Vec::new();
        match self.fault.kind {
            Kind::Kill | Kind::FlipSst | Kind::FlipLog => {}
            Kind::Helix => told.extend(undamage(&self.patches, lab)?),
            Kind::Wipe => {
                for node in nodes {
                    // One that runs was not refused under its old number: whoever judges will say so.
                    if lab.state(*node)? != NodeState::Up {
                        let new = lab.join_anew(*node)?;
                        told.push(format!(
                            "machine {node} started as a new node with --join: it is node {new} now; \
                             node {node} decommissioned"
                        ));
                    }
                }
            }
            Kind::Hold => nodes.iter().try_for_each(|node| lab.release(*node))?,
            Kind::Partition | Kind::DropIn | Kind::DropOut | Kind::Bridge => {
                lab.network().mend_all()?;
            }
            Kind::Loss | Kind::Delay => {
                nodes.iter().try_for_each(|node| shape::straighten(lab.network(), *node))?;
            }
            Kind::PowerCut => nodes.iter().try_for_each(|node| lab.power_on(*node))?,
            Kind::DiskFull => {
                nodes.iter().try_for_each(|node| lab.disk(*node).as_image()?.free())?;
            }
            Kind::DiskStall => {
                nodes.iter().try_for_each(|node| lab.disk(*node).as_image()?.thaw())?;
            }
            Kind::DiskSlow | Kind::SyncError => {
                self.tracers.into_iter().try_for_each(Tracer::detach)?;
            }
            Kind::ClockJump => {
                nodes.iter().try_for_each(|node| clock::set(&lab.clock_file(*node), 0))?;
                clock::await_look();
            }
            Kind::LeaderMove => told.extend(self.mover.map(Mover::stop)),
            Kind::ShardChange => told.extend(self.changer.map(Changer::stop)),
        }
        // Only its own nodes: others may be down by a fault that still acts.
        for node in nodes {
            if matches!(lab.state(*node)?, NodeState::Down | NodeState::Ended(_)) {
                lab.spawn(*node)?;
            }
        }
        Ok(told)
    }
}

/// Puts the good bytes back where a node has not replaced the bad ones, when some node says that it is not well.
fn undamage(patches: &[damage::Patch], lab: &mut Lab) -> Result<Option<String>, Error> {
    let nodes = lab.nodes();
    if (1..=nodes).all(|node| health::of(lab, node).is_ok()) {
        return Ok(None);
    }
    (1..=nodes).try_for_each(|node| lab.stop(node))?;
    let mut undone = 0;
    for patch in patches {
        undone += usize::from(patch.undo()?);
    }
    (1..=nodes).try_for_each(|node| lab.spawn(node))?;
    let all = patches.len();
    Ok(Some(format!(
        "{undone} of {all} damaged parts put right from a copy, as from a backup, and all nodes started again; the \
         nodes had replaced the others"
    )))
}

/// Every link from one group to another.
fn pairs(from: &[u64], to: &[u64]) -> Vec<Link> {
    from.iter().flat_map(|from| to.iter().map(move |to| Link { from: *from, to: *to })).collect()
}
