//! The processes of a lab: started, stopped, killed, held, without power.

use super::{Lab, NodeState, Running, index};
use crate::fault::clock;
use crate::fault::disk::Disk;
use crate::fault::error::Error;
use crate::fault::journal::{Undo, wake};
use crate::fault::kernel::Signal;
use crate::fault::process::ProcessId;
use base::Clock;
use mysql_async::Row;
use mysql_async::prelude::FromValue;
use std::process::Stdio;
use std::time::Duration;

/// Longest wait for a node to answer SQL after its start.
pub const READY_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a node to stop in order.
const STOP_WAIT_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks.
pub(super) const READY_PAUSE: Duration = Duration::from_millis(50);

impl Lab {
    /// What a node's process does.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn state(&mut self, node: u64) -> Result<NodeState, Error> {
        self.reap(node)?;
        let node = self.node_mut(node);
        Ok(match (&node.running, node.held, node.ended) {
            (Some(_), true, _) => NodeState::Held,
            (Some(_), false, _) => NodeState::Up,
            (None, _, Some(status)) => NodeState::Ended(status),
            (None, _, None) => NodeState::Down,
        })
    }

    /// Kills a node with SIGKILL; nothing when it is down.
    ///
    /// # Errors
    /// When it is still there after 10 s, as on a frozen disk.
    pub fn kill(&mut self, node: u64) -> Result<(), Error> {
        self.reap(node)?;
        let journal = self.journal()?;
        let node_number = node;
        let node = self.node_mut(node);
        node.held = false;
        node.ended = None;
        let Some(mut running) = node.running.take() else { return Ok(()) };
        let what = |error| Error::system(format!("killing node {node_number}"), error);
        running.child.kill().map_err(what)?;
        running.process.await_end(READY_WAIT_MAX).map_err(what)?;
        running.child.wait().map_err(what)?;
        journal.lock().gone(running.made)
    }

    /// Stops a node in order, so that everything it has applied is flushed to SST files; kills it when that
    /// takes longer than 10 s.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop(&mut self, node: u64) -> Result<(), Error> {
        self.release(node)?;
        if let Some(running) = &mut self.node_mut(node).running {
            // A closed standard input is the sign to stop (`--exit-with-parent`).
            drop(running.child.stdin.take());
            let process = running.process;
            // Late is no failure: it is killed below.
            let _ = process.await_end(STOP_WAIT_MAX);
        }
        self.kill(node)
    }

    /// Starts a node on its data. Does not wait for it.
    ///
    /// # Errors
    /// When it runs already or the system refuses.
    pub fn spawn(&mut self, node: u64) -> Result<(), Error> {
        self.reap(node)?;
        if self.process(node).is_some() {
            return Err(Error::Refused(format!("node {node} runs already")));
        }
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path(node))
            .map_err(|error| Error::system(format!("log of node {node}"), error))?;
        let errors = log.try_clone().map_err(|error| Error::system("log", error))?;
        let data = self.data(node);
        let place = self.place(node);
        let clock_file = self.clock_file(node);
        if !clock_file.exists() {
            clock::set(&clock_file, 0)?;
        }
        // A socket file of a killed process would be in the way of nobody but a reader of the folder.
        let _ = std::fs::remove_file(self.socket(node));
        let mut command = self.network.command(node, &self.plan.binary);
        command
            .arg("start")
            .args(["--exit-with-parent", "--insecure-links"])
            .args(["--cluster", &format!("lab-{}", self.name)])
            .args(place)
            .arg("--data")
            .arg(&data)
            .arg("--socket")
            .arg(self.socket(node))
            .args(["--listen-sql", &self.network.sql(node).to_string()])
            .args(["--listen-http", &self.network.http(node).to_string()])
            .args(["--listen-node", &self.network.node(node).to_string()])
            .env(clock::VARIABLE, clock_file)
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors);
        let mut child = command
            .spawn()
            .map_err(|error| Error::system(format!("starting node {node}"), error))?;
        let process = ProcessId::of(child.id());
        let Some(process) = process else {
            let _ = child.kill();
            return Err(Error::system(format!("starting node {node}"), "it was gone at once"));
        };
        let made = self.journal()?.lock().made(Undo::Process(process))?;
        let node = self.node_mut(node);
        node.running = Some(Running { child, process, made });
        node.ended = None;
        Ok(())
    }

    /// The flags that tell a node which cluster is its own.
    fn place(&self, node: u64) -> Vec<String> {
        let address = |peer: u64| self.network.node(peer);
        if self.nodes[index(node)].joined {
            let others = (1..=self.plan.nodes).filter(|peer| *peer != node);
            let others: Vec<String> = others.map(|peer| address(peer).to_string()).collect();
            return vec!["--join".into(), others.join(",")];
        }
        let first: Vec<String> =
            (1..=self.plan.nodes).map(|peer| format!("{peer}={}", address(peer))).collect();
        let (shards, first) = (self.plan.shards.to_string(), first.join(","));
        let flags = ["--node-id", &node.to_string(), "--nodes", &first, "--shards", &shards];
        flags.map(String::from).to_vec()
    }

    /// Does what an operator does with a machine whose disk is lost: empties its folder, starts it as a new member
    /// and, when the cluster has let it in, decommissions the old number. Returns the new number; replicas come
    /// to it afterwards.
    ///
    /// # Errors
    /// When it runs, is not let in, or the old number cannot be decommissioned.
    pub fn join_anew(&mut self, node: u64) -> Result<u64, Error> {
        if self.data(node).exists() {
            self.wipe(node)?;
        }
        self.node_mut(node).joined = true;
        self.spawn(node)?;
        self.await_sql(node, READY_WAIT_MAX)?;
        let address = self.network.node(node).to_string();
        let members = self.ask(node, "SHOW NODES")?;
        let new = members.iter().filter_map(|row| {
            let (number, at): (u64, String) = (field(row, "Node")?, field(row, "Peer_address")?);
            (at == address && number != node).then_some(number)
        });
        let new = new.max().ok_or_else(|| {
            let why = format!("it answers, but SHOW NODES has no new number at {address}");
            Error::Node { node, why }
        })?;
        // Others may take a moment to hear of the newcomer; until then there is no room for what is to be moved.
        let deadline = self.clock.monotonic() + READY_WAIT_MAX;
        while let Err(error) = self.ask(node, &format!("ALTER NODE {node} DECOMMISSION")) {
            if self.clock.monotonic() > deadline {
                return Err(error);
            }
            std::thread::sleep(READY_PAUSE);
        }
        Ok(new)
    }

    /// Waits until a node answers a query on its socket.
    ///
    /// # Errors
    /// When it ends or does not answer in time; the message holds the end of its log.
    pub fn await_sql(&mut self, node: u64, wait: Duration) -> Result<(), Error> {
        let deadline = self.clock.monotonic() + wait;
        loop {
            if self.answers(node) {
                return Ok(());
            }
            let state = self.state(node)?;
            let late = self.clock.monotonic() > deadline;
            if state != NodeState::Up || late {
                let why = match state {
                    NodeState::Up => format!("no answer on its socket after {wait:?}"),
                    NodeState::Held => "is held by SIGSTOP".to_string(),
                    NodeState::Down => "does not run".to_string(),
                    NodeState::Ended(status) => format!("ended by itself with {status}"),
                };
                let log = self.log_end(node);
                return Err(Error::Node { node, why: format!("{why}; its log ends:\n  {log}") });
            }
            std::thread::sleep(READY_PAUSE);
        }
    }

    /// Stops a node with SIGSTOP.
    ///
    /// # Errors
    /// When it does not run.
    pub fn hold(&mut self, node: u64) -> Result<(), Error> {
        let Some(process) = self.process(node) else {
            return Err(Error::Refused(format!("node {node} does not run, so it cannot be held")));
        };
        process
            .signal(Signal::Stop)
            .map_err(|error| Error::system(format!("stopping node {node}"), error))?;
        self.node_mut(node).held = true;
        Ok(())
    }

    /// Lets a held node go on; nothing when it is not held.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn release(&mut self, node: u64) -> Result<(), Error> {
        if let Some(process) = self.process(node) {
            wake(process)?;
        }
        self.node_mut(node).held = false;
        Ok(())
    }

    /// Cuts the power of nodes one after the other, disks first: what was not on them is lost.
    ///
    /// # Errors
    /// `Unavailable` without images; otherwise when the system refuses.
    pub fn cut_power(&mut self, nodes: &[u64]) -> Result<(), Error> {
        for node in nodes {
            self.disk(*node).as_image()?.cut_power()?;
        }
        nodes.iter().try_for_each(|node| self.kill(*node))
    }

    /// Gives a node without power its disk back, without starting it.
    ///
    /// # Errors
    /// When the disk cannot be mounted.
    pub fn power_on(&mut self, node: u64) -> Result<(), Error> {
        self.disk(node).as_image()?.power_on()
    }

    /// Removes everything a node has stored; it must be down.
    ///
    /// # Errors
    /// When it runs or the system refuses.
    pub fn wipe(&mut self, node: u64) -> Result<(), Error> {
        if self.process(node).is_some() {
            return Err(Error::Refused(format!(
                "node {node} runs; a wiped disk belongs to a dead node"
            )));
        }
        let data = self.data(node);
        std::fs::remove_dir_all(&data)
            .map_err(|error| Error::system(format!("wiping {}", data.display()), error))
    }

    /// Makes everything work again: thaws, frees, mends, wakes, sets clocks right, starts. Returns when every node answers.
    ///
    /// # Errors
    /// When something cannot be mended; everything else has been tried.
    pub fn heal(&mut self) -> Result<(), Error> {
        let mut first: Result<(), Error> = Ok(());
        let mut keep = |outcome: Result<(), Error>| {
            if first.is_ok() {
                first = outcome;
            }
        };
        for node in 1..=self.nodes() {
            if let Disk::Image(image) = self.disk(node) {
                keep(image.thaw());
                keep(image.free());
            }
            keep(self.release(node));
            keep(clock::set(&self.clock_file(node), 0));
        }
        keep(self.network.mend_all());
        for node in 1..=self.nodes() {
            if matches!(self.state(node), Ok(NodeState::Down | NodeState::Ended(_))) {
                keep(self.spawn(node));
            }
        }
        for node in 1..=self.nodes() {
            keep(self.await_sql(node, READY_WAIT_MAX));
        }
        first
    }

    /// Notices a node that ended by itself.
    pub(super) fn reap(&mut self, number: u64) -> Result<(), Error> {
        let journal = self.journal()?;
        let node = self.node_mut(number);
        let Some(running) = &mut node.running else { return Ok(()) };
        let ended = running
            .child
            .try_wait()
            .map_err(|error| Error::system(format!("looking at node {number}"), error))?;
        if let Some(status) = ended {
            let made = running.made;
            node.running = None;
            node.held = false;
            node.ended = Some(status);
            journal.lock().gone(made)?;
        }
        Ok(())
    }
}

fn field<T: FromValue>(row: &Row, name: &str) -> Option<T> {
    row.get_opt(name)?.ok()
}
