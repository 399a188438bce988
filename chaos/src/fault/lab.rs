//! A lab: a throw-away cluster of real `precinct start` processes that may be broken in every way.
//!
//! A node is *up*, *held* (SIGSTOP) or *down*. Its log and its administration socket lie in the lab's
//! folder, not on the node's disk, so that both can be reached while the disk is full, frozen or gone.
//!
//! Invariants:
//! 1. What the lab changes on the machine is in its journal first; dropping the lab undoes it, and when
//!    the process dies the next lab (or `precinct drill abort`) does.
//! 2. Only processes that the lab started are signalled.
//! 3. Client traffic stays in the lab's namespaces, or on loopback where there are none.

use super::disk::Disk;
use super::error::Error;
use super::journal::{Journal, PREFIX, Undo, recover, wake};
use super::kernel::Signal;
use super::network::Network;
use super::process::ProcessId;
use super::{disk, network};
use base::{Clock, Rng, SystemClock};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use parking_lot::Mutex;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Longest wait for a node to answer SQL after its start.
pub const READY_WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for one question to a node.
const ASK_WAIT_MAX: Duration = Duration::from_secs(3);
/// Lines of a node's log in an error message.
const LOG_LINES_SHOWN: usize = 12;
/// Ports of labs on loopback.
const LOOPBACK_FIRST: u16 = 14_000;
/// The last of them.
const LOOPBACK_LAST: u16 = 15_000;
/// The account of clients in a lab.
const ACCOUNT: &str = "drill";

/// Where nodes keep their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disks {
    /// Plain folders.
    Folders,
    /// An ext4 image of this size each.
    Images {
        /// Bytes of each.
        bytes: u64,
    },
}

/// How nodes are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// A namespace each; fails without root.
    Namespaces,
    /// Ports of loopback from this one on.
    Loopback {
        /// SQL port of node 1.
        port: u16,
    },
}

/// What a lab shall be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `precinct` binary.
    pub binary: PathBuf,
    /// Number of nodes.
    pub nodes: u64,
    /// Shards of user data.
    pub shards: u32,
    /// Where nodes keep their data.
    pub disks: Disks,
    /// How they are joined.
    pub links: Links,
    /// Where the lab's folder is made.
    pub folder: PathBuf,
    /// Where journals lie.
    pub journals: PathBuf,
    /// Environment variables of the nodes.
    pub environment: Vec<(String, String)>,
}

/// State of a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It runs.
    Up,
    /// It was stopped with SIGSTOP.
    Held,
    /// It does not run: killed by us.
    Down,
    /// It ended by itself, with this status.
    Ended(ExitStatus),
}

#[derive(Debug)]
struct Node {
    disk: Disk,
    running: Option<Running>,
    held: bool,
    /// How it ended, if nobody killed it.
    ended: Option<ExitStatus>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    process: ProcessId,
    /// Number in the journal.
    made: u64,
}

/// A running lab.
pub struct Lab {
    plan: Plan,
    /// Its name: six hexadecimal digits.
    name: String,
    folder: PathBuf,
    password: String,
    network: Network,
    nodes: Vec<Node>,
    journal: Option<Arc<Mutex<Journal>>>,
    /// Clients run here; its threads live in the clients' namespace.
    runtime: Option<Runtime>,
    clock: SystemClock,
}

impl Plan {
    /// Namespaces and folders if this process is root, else loopback.
    pub fn best(binary: PathBuf, nodes: u64) -> Plan {
        let links = match network::probe() {
            Ok(()) => Links::Namespaces,
            Err(_) => Links::Loopback { port: free_port() },
        };
        Plan {
            binary,
            nodes,
            shards: 8,
            disks: Disks::Folders,
            links,
            folder: std::env::temp_dir(),
            journals: super::journal::default_folder(),
            environment: Vec::new(),
        }
    }

    /// With an image per node, where that works.
    #[must_use]
    pub fn with_images(mut self, bytes: u64) -> Plan {
        if disk::probe().is_ok() {
            self.disks = Disks::Images { bytes };
        }
        self
    }
}

impl Lab {
    /// Undoes what dead runners left, then starts a cluster and waits until it answers SQL.
    ///
    /// # Errors
    /// When the system refuses something, or a node does not answer in time.
    pub fn start(plan: Plan) -> Result<Lab, Error> {
        for left in recover(&plan.journals)? {
            if let Some(failure) = left.failures.into_iter().next() {
                return Err(failure);
            }
        }
        let mut rng = Rng::from_entropy();
        let name = format!("{:06x}", rng.below(1 << 24));
        let journal = Arc::new(Mutex::new(Journal::create(&plan.journals, &name)?));
        let folder = plan.folder.join(format!("{PREFIX}{name}"));
        journal.lock().made(Undo::Folder { path: folder.clone() })?;
        std::fs::create_dir_all(&folder)
            .map_err(|error| Error::system(format!("folder {}", folder.display()), error))?;
        let network = match plan.links {
            Links::Namespaces => Network::namespaces(&name, plan.nodes, &journal)?,
            Links::Loopback { port } => Network::Loopback { port },
        };
        let mut lab = Lab {
            password: format!("{:016x}", rng.next_u64()),
            runtime: Some(runtime_in(&network)?),
            plan,
            name,
            folder,
            network,
            nodes: Vec::new(),
            journal: Some(journal.clone()),
            clock: SystemClock::new(),
        };
        for node in 1..=lab.plan.nodes {
            let label = format!("node-{node}");
            let disk = match lab.plan.disks {
                Disks::Folders => Disk::folder(lab.folder.join(label))?,
                Disks::Images { bytes } => Disk::image(&lab.folder, &label, bytes, &journal)?,
            };
            lab.nodes.push(Node { disk, running: None, held: false, ended: None });
        }
        for node in 1..=lab.plan.nodes {
            lab.spawn(node)?;
        }
        for node in 1..=lab.plan.nodes {
            lab.await_sql(node, READY_WAIT_MAX)?;
        }
        lab.make_account()?;
        Ok(lab)
    }

    /// Its name, as in namespaces and folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of nodes.
    pub fn nodes(&self) -> u64 {
        self.plan.nodes
    }

    /// Its folder: logs, sockets, disks.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The plan it was made after.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How a client reaches a node, from 1.
    pub fn opts(&self, node: u64) -> Opts {
        let address = self.network.sql(node);
        OptsBuilder::default()
            .ip_or_hostname(address.ip().to_string())
            .tcp_port(address.port())
            .user(Some(ACCOUNT))
            .pass(Some(&self.password))
            .into()
    }

    /// How the runner itself reaches a node, whatever is cut: its socket, as root.
    pub fn admin_opts(&self, node: u64) -> Opts {
        OptsBuilder::default()
            .socket(Some(self.socket(node).to_string_lossy()))
            .user(Some("root"))
            .into()
    }

    /// The runtime whose threads live where the clients are.
    ///
    /// # Panics
    /// Never: it is there until the lab is dropped.
    pub fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime lives as long as the lab")
    }

    /// Runs a future where the clients are, and waits for it.
    ///
    /// # Panics
    /// When the future panics.
    pub fn call<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let task = self.runtime().spawn(work);
        self.runtime().block_on(task).expect("client work does not panic")
    }

    /// The links between nodes.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// A node's disk.
    pub fn disk(&mut self, node: u64) -> &mut Disk {
        &mut self.node_mut(node).disk
    }

    /// A node's data folder.
    pub fn data(&self, node: u64) -> PathBuf {
        self.nodes[index(node)].disk.data()
    }

    /// A node's log file.
    pub fn log_path(&self, node: u64) -> PathBuf {
        self.folder.join(format!("node-{node}.log"))
    }

    /// The last lines of a node's log.
    pub fn log_end(&self, node: u64) -> String {
        let log = std::fs::read_to_string(self.log_path(node)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n  ")
    }

    /// A node's process, when it runs.
    pub fn process(&self, node: u64) -> Option<ProcessId> {
        self.nodes[index(node)].running.as_ref().map(|running| running.process)
    }

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
        let nodes: Vec<String> = (1..=self.plan.nodes)
            .map(|peer| format!("{peer}={}", self.network.node(peer)))
            .collect();
        // A socket file of a killed process would be in the way of nobody but a reader of the folder.
        let _ = std::fs::remove_file(self.socket(node));
        let mut command = self.network.command(node, &self.plan.binary);
        command
            .arg("start")
            .args(["--exit-with-parent", "--insecure-links"])
            .args(["--cluster", &format!("lab-{}", self.name)])
            .args(["--node-id", &node.to_string(), "--nodes", &nodes.join(",")])
            .args(["--shards", &self.plan.shards.to_string()])
            .arg("--data")
            .arg(&data)
            .arg("--socket")
            .arg(self.socket(node))
            .args(["--listen-sql", &self.network.sql(node).to_string()])
            .args(["--listen-http", &self.network.http(node).to_string()])
            .args(["--listen-node", &self.network.node(node).to_string()])
            .envs(self.plan.environment.iter().cloned())
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

    /// Whether a node answers `SELECT 1` on its socket now.
    pub fn answers(&self, node: u64) -> bool {
        self.ask(node, "SELECT 1").is_ok()
    }

    /// Runs a statement as root on a node's socket.
    ///
    /// # Errors
    /// When it cannot connect, fails, or takes longer than 3 s.
    pub fn ask(&self, node: u64, statement: &str) -> Result<Vec<mysql_async::Row>, Error> {
        let (opts, text) = (self.admin_opts(node), statement.to_string());
        let work = async move {
            let mut conn = Conn::new(opts).await?;
            let rows = conn.query(text).await?;
            conn.disconnect().await?;
            Ok::<_, mysql_async::Error>(rows)
        };
        let answer = self.call(async move { tokio::time::timeout(ASK_WAIT_MAX, work).await });
        let why = match answer {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer after {ASK_WAIT_MAX:?}"),
        };
        Err(Error::Node { node, why: format!("{statement}: {why}") })
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

    /// Makes everything work again: thaws, frees, mends, wakes, starts. Returns when every node answers.
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

    /// Ends the lab: everything that it made is undone.
    ///
    /// # Errors
    /// What could not be undone; it stays in the journal.
    pub fn close(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let Some(journal) = self.journal.take() else { return Ok(()) };
        for node in &mut self.nodes {
            if let Disk::Image(image) = &mut node.disk
                && let Err(error) = image.thaw()
            {
                eprintln!("{error}");
            }
            if let Some(mut running) = node.running.take() {
                // The journal kills what this does not.
                let _ = running.child.kill();
                let _ = running.child.wait();
            }
        }
        journal.lock().close().into_iter().next().map_or(Ok(()), Err)
    }

    fn journal(&self) -> Result<Arc<Mutex<Journal>>, Error> {
        let journal = self.journal.as_ref();
        journal.cloned().ok_or_else(|| Error::Refused("the lab is closed".into()))
    }

    fn node_mut(&mut self, node: u64) -> &mut Node {
        &mut self.nodes[index(node)]
    }

    fn socket(&self, node: u64) -> PathBuf {
        self.folder.join(format!("{node}.sock"))
    }

    /// Notices a node that ended by itself.
    fn reap(&mut self, number: u64) -> Result<(), Error> {
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

    fn make_account(&mut self) -> Result<(), Error> {
        let password = &self.password;
        self.ask(1, &format!("CREATE USER '{ACCOUNT}'@'%' IDENTIFIED BY '{password}'"))?;
        match self.ask(1, &format!("GRANT ALL ON *.* TO '{ACCOUNT}'@'%'")) {
            // A version in which every account has every privilege.
            Err(Error::Node { why, .. }) if why.contains("ERROR 1235") => {}
            other => drop(other?),
        }
        // Each node keeps its own copy of the accounts for a moment.
        let deadline = self.clock.monotonic() + READY_WAIT_MAX;
        for node in 1..=self.nodes() {
            loop {
                let opts = self.opts(node);
                let tried = self.call(async move {
                    let conn = tokio::time::timeout(ASK_WAIT_MAX, Conn::new(opts)).await;
                    match conn {
                        Ok(Ok(conn)) => conn.disconnect().await.map_err(|error| error.to_string()),
                        Ok(Err(error)) => Err(error.to_string()),
                        Err(_) => Err(format!("no answer after {ASK_WAIT_MAX:?}")),
                    }
                });
                match tried {
                    Ok(()) => break,
                    Err(why) if self.clock.monotonic() > deadline => {
                        return Err(Error::Node { node, why: format!("a client's login: {why}") });
                    }
                    Err(_) => std::thread::sleep(READY_PAUSE),
                }
            }
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in 1..=self.nodes.len() as u64 {
                eprintln!("--- node {node}\n  {}", self.log_end(node));
            }
        }
        if let Err(error) = self.end() {
            eprintln!("{error}");
        }
    }
}

/// First port of a hundred that no other lab seems to use.
fn free_port() -> u16 {
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (LOOPBACK_FIRST..LOOPBACK_LAST).step_by(100).find(free).unwrap_or(LOOPBACK_FIRST)
}

fn index(node: u64) -> usize {
    usize::try_from(node - 1).expect("nodes are numbered from 1 to 9")
}

/// A runtime whose threads, being started there, live in the clients' namespace.
fn runtime_in(network: &Network) -> Result<Runtime, Error> {
    std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            network.join()?;
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .thread_name("lab-clients")
                .enable_all()
                .build()
                .map_err(|error| Error::system("starting the clients' runtime", error))
        });
        made.join().unwrap_or_else(|_| Err(Error::system("the clients' runtime", "a panic")))
    })
}
