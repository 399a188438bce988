//! A lab: a throw-away cluster of real `precinct start` processes that may be broken in every way.
//!
//! A node is *up*, *held* (SIGSTOP) or *down*. The lab counts machines: one that lost its disk and joined anew keeps
//! its number here, whatever number the cluster gave it. Its log and its administration socket lie in the lab's
//! folder, not on the node's disk, so that both can be reached while the disk is full, frozen or gone.
//!
//! Invariants:
//! 1. What the lab changes on the machine is in its journal first; dropping the lab undoes it, and when
//!    the process dies the next lab (or `precinct drill abort`) does.
//! 2. Only processes that the lab started are signalled.
//! 3. Client traffic stays in the lab's namespaces, or on loopback where there are none.

mod nodes;
mod plan;

pub use nodes::READY_WAIT_MAX;
pub use plan::{Disks, Links, Plan};

use super::disk::Disk;
use super::error::Error;
use super::journal::{Journal, PREFIX, Undo, recover};
use super::network::Network;
use super::process::ProcessId;
use base::{Clock, Rng, SystemClock};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use nodes::READY_PAUSE;
use parking_lot::Mutex;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Longest wait for one question to a node.
const ASK_WAIT_MAX: Duration = Duration::from_secs(3);
/// Lines of a node's log in an error message.
const LOG_LINES_SHOWN: usize = 12;
/// The account of clients in a lab.
const ACCOUNT: &str = "drill";

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
    /// Whether its disk was lost and it came back as a new member, with a number that the cluster gave it.
    joined: bool,
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
            lab.nodes.push(Node { disk, running: None, held: false, joined: false, ended: None });
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

    /// The file that moves a node's wall clock.
    pub fn clock_file(&self, node: u64) -> PathBuf {
        self.folder.join(format!("node-{node}.clock"))
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

    /// The lab's journal, for whoever changes something else on the machine.
    ///
    /// # Errors
    /// When the lab is closed.
    pub fn journal(&self) -> Result<Arc<Mutex<Journal>>, Error> {
        let journal = self.journal.as_ref();
        journal.cloned().ok_or_else(|| Error::Refused("the lab is closed".into()))
    }

    fn node_mut(&mut self, node: u64) -> &mut Node {
        &mut self.nodes[index(node)]
    }

    fn socket(&self, node: u64) -> PathBuf {
        self.folder.join(format!("{node}.sock"))
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
