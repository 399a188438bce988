//! Starts the demo's nodes as child processes, watches them, and does what the control socket asks.

use super::control::{self, Answer, Request, State};
use super::ports::Ports;
use super::{load, screen};
use crate::cli::EXIT_CONFLICT;
use base::{SharedClock, SystemClock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};

/// Longest wait for the first query to be answered.
const READY_WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause between two tries of a node that starts.
const READY_RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for a node to stop before it is killed.
const STOP_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a request on an open control connection.
const CONTROL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Nodes of a demo, at most.
const NODES_MAX: u64 = 9;
/// Lines of a node's log shown when it fails.
const LOG_LINES_SHOWN: usize = 10;

/// What the demo's flags say.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Number of nodes, those included that were added later.
    pub nodes: u64,
    /// Number of nodes that the cluster began with.
    pub founders: u64,
    /// Seconds that the cluster waits for a silent node; `None` for its default.
    pub dead_after_s: Option<u64>,
    /// Seconds that replaced versions of rows are kept; `None` for the default.
    pub retention_s: Option<u64>,
    /// Data folder.
    pub data: PathBuf,
    /// Whether the data folder is removed at the end.
    pub temp: bool,
    /// Ports of node 1.
    pub ports: Ports,
    /// Whether to load the police sample.
    pub sample: bool,
    /// File to write once SQL answers.
    pub ready_file: Option<PathBuf>,
    /// Whether the ports were given by flags, not by defaults.
    pub ports_given: bool,
}

/// What a data folder remembers of its demo.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Nodes that the cluster began with.
    nodes: u64,
    /// Nodes that were added later.
    #[serde(default)]
    added: u64,
    ports: Ports,
}

/// Runs the demo until Ctrl-C, `demo stop` or SIGTERM.
///
/// # Errors
/// One message for people: the failed step, why, how to mend it, the end of the node's log.
pub async fn run(mut plan: Plan) -> Result<(), String> {
    let clock = SystemClock::shared();
    recall(&mut plan)?;
    let listener = match control::listen(plan.ports.mysql) {
        Ok(listener) => listener,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return attach(&plan),
        Err(error) => return Err(format!("control socket: {error}")),
    };
    plan.ports.check(plan.nodes)?;
    std::fs::create_dir_all(&plan.data)
        .map_err(|error| format!("data folder {}: {error}", plan.data.display()))?;
    plan.data = plan.data.canonicalize().map_err(|error| error.to_string())?;
    remember(&plan)?;
    let mut demo = Demo { plan, clock, children: BTreeMap::new() };
    let outcome = demo.serve(listener).await;
    demo.stop_all().await;
    let removed = match demo.plan.temp {
        true => std::fs::remove_dir_all(&demo.plan.data)
            .map_err(|error| format!("removing {}: {error}", demo.plan.data.display())),
        false => Ok(()),
    };
    // Answered only now: after `demo stop`, no node runs, and the folder and the ports are free.
    if let Ok(Some(mut asker)) = outcome {
        let (ok, message) = match &removed {
            Ok(()) => (true, "stopped".to_string()),
            Err(why) => (false, why.clone()),
        };
        send(&mut asker, &Answer { ok, message, state: demo.state() }).await;
        return removed;
    }
    outcome.and(removed)
}

/// A second `precinct demo` shows the box of the first.
fn attach(plan: &Plan) -> Result<(), String> {
    let answer = control::ask(plan.ports.mysql, &Request::Status).map_err(|error| {
        format!("a demo with port {} does not answer: {error}", plan.ports.mysql)
    })?;
    println!("a demo is running already:");
    println!("{}", screen::running(&answer.state, plan.sample, plan.ports.mysql));
    write_ready_file(plan, &answer.state)
}

fn memory_file(data: &Path) -> PathBuf {
    data.join("demo.json")
}

/// Takes ports and number of nodes from the data folder, if a demo was there before.
fn recall(plan: &mut Plan) -> Result<(), String> {
    let path = memory_file(&plan.data);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let remembered: Remembered = serde_json::from_str(&text)
        .map_err(|error| format!("{} is damaged: {error}", path.display()))?;
    if remembered.nodes != plan.nodes {
        return Err(format!(
            "{} holds a demo of {} nodes; say --nodes {} or choose another --data folder",
            plan.data.display(),
            remembered.nodes,
            remembered.nodes
        ));
    }
    plan.nodes += remembered.added;
    if !plan.ports_given {
        plan.ports = remembered.ports;
    } else if plan.ports != remembered.ports {
        return Err(format!(
            "{} holds a demo whose ports start at {} (SQL), {} (HTTP), {} (nodes), which its nodes know each other by; \
             leave the port flags away or choose another --data folder",
            plan.data.display(),
            remembered.ports.mysql,
            remembered.ports.http,
            remembered.ports.node
        ));
    }
    Ok(())
}

fn remember(plan: &Plan) -> Result<(), String> {
    let path = memory_file(&plan.data);
    let added = plan.nodes - plan.founders;
    let remembered = Remembered { nodes: plan.founders, added, ports: plan.ports };
    let text = serde_json::to_string(&remembered).map_err(|error| error.to_string())?;
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn write_ready_file(plan: &Plan, state: &State) -> Result<(), String> {
    let Some(path) = &plan.ready_file else { return Ok(()) };
    let text = serde_json::to_string_pretty(state).map_err(|error| error.to_string())?;
    // Written aside and renamed, so that a waiting script never reads half of it.
    let aside = path.with_extension("part");
    std::fs::write(&aside, text)
        .and_then(|()| std::fs::rename(&aside, path))
        .map_err(|error| format!("ready file {}: {error}", path.display()))
}

/// A running demo.
struct Demo {
    plan: Plan,
    clock: SharedClock,
    children: BTreeMap<u64, Child>,
}

impl Demo {
    /// Serves until the demo shall stop; returns who asked for it over the control socket and waits for the answer.
    async fn serve(
        &mut self,
        listener: std::os::unix::net::UnixListener,
    ) -> Result<Option<OwnedWriteHalf>, String> {
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let listener = UnixListener::from_std(listener).map_err(|error| error.to_string())?;
        let mut terminated =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .map_err(|error| error.to_string())?;
        tokio::select! {
            started = self.start() => started?,
            _ = tokio::signal::ctrl_c() => return Err("interrupted while starting".into()),
            _ = terminated.recv() => return Err("terminated while starting".into()),
        }
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(None),
                _ = terminated.recv() => return Ok(None),
                accepted = listener.accept() => {
                    let (stream, _) = accepted.map_err(|error| format!("control socket: {error}"))?;
                    tokio::select! {
                        _ = tokio::signal::ctrl_c() => return Ok(None),
                        _ = terminated.recv() => return Ok(None),
                        asker = self.obey(stream) => if asker.is_some() {
                            return Ok(asker);
                        }
                    }
                }
            }
        }
    }

    async fn start(&mut self) -> Result<(), String> {
        let start = self.clock.monotonic();
        for node in 1..=self.plan.nodes {
            self.spawn(node)?;
        }
        for node in 1..=self.plan.nodes {
            let text = match self.await_sql(node).await? {
                Started::Answers => "answers SQL",
                Started::Left => "has left the cluster",
            };
            self.step(&format!("node {node}"), text, start);
        }
        if self.plan.sample {
            let first = self.running().first().copied().unwrap_or(1);
            let dsn = format!("mysql://root@127.0.0.1:{}", self.plan.ports.mysql_of(first));
            match load::load(&dsn, &self.clock).await? {
                None => self.step("sample", "is there already", start),
                Some(loaded) => {
                    let rate = loaded.crimes as f64 / loaded.crimes_took.as_secs_f64().max(0.001);
                    let text = format!(
                        "{} street crimes in {:.1} s ({rate:.0} rows/s), {} invented records",
                        loaded.crimes,
                        loaded.crimes_took.as_secs_f64(),
                        loaded.invented
                    );
                    self.step("sample", &text, start);
                }
            }
        }
        let state = self.state();
        println!("{}", screen::running(&state, self.plan.sample, self.plan.ports.mysql));
        write_ready_file(&self.plan, &state)
    }

    fn step(&self, what: &str, text: &str, start: Duration) {
        let took = (self.clock.monotonic() - start).as_secs_f64();
        println!("✔ {what:<8} {text}  {took:.1} s");
    }

    fn folder(&self, node: u64) -> PathBuf {
        self.plan.data.join(format!("node-{node}"))
    }

    fn log_path(&self, node: u64) -> PathBuf {
        self.folder(node).join("node.log")
    }

    fn spawn(&mut self, node: u64) -> Result<(), String> {
        let folder = self.folder(node);
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path(node))
            .map_err(|error| format!("log of node {node}: {error}"))?;
        let ports = self.plan.ports;
        let addresses = |named: bool| -> String {
            let founders = 1..=self.plan.founders;
            let address = |peer| match named {
                true => format!("{peer}=127.0.0.1:{}", ports.node_of(peer)),
                false => format!("127.0.0.1:{}", ports.node_of(peer)),
            };
            founders.map(address).collect::<Vec<_>>().join(",")
        };
        // The first nodes know each other; a later one asks them for its number.
        let place = match node <= self.plan.founders {
            true => vec!["--node-id".into(), node.to_string(), "--nodes".into(), addresses(true)],
            false => vec!["--join".into(), addresses(false)],
        };
        let patience = self.plan.dead_after_s.map(|seconds| format!("--dead-after={seconds}"));
        let retention = self.plan.retention_s.map(|seconds| format!("--retention={seconds}"));
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let child = Command::new(program)
            .arg("start")
            .arg("--exit-with-parent")
            .args(["--cluster", "demo"])
            .args(place)
            .args(patience)
            .args(retention)
            .arg("--data")
            .arg(&folder)
            .arg("--socket")
            .arg(folder.join("mysql.sock"))
            .args(["--listen-sql", &format!("127.0.0.1:{}", ports.mysql_of(node))])
            .args(["--listen-http", &format!("127.0.0.1:{}", ports.http_of(node))])
            .args(["--listen-node", &format!("127.0.0.1:{}", ports.node_of(node))])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            // Ctrl-C is for the demo: it stops its nodes itself, in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("starting node {node}: {error}"))?;
        self.children.insert(node, child);
        Ok(())
    }

    /// Waits until the node answers a query, or is found to have left.
    async fn await_sql(&mut self, node: u64) -> Result<Started, String> {
        let deadline = self.clock.monotonic() + READY_WAIT_MAX;
        loop {
            let address = format!("http://127.0.0.1:{}", self.plan.ports.mysql_of(node));
            if answers(self.plan.ports.mysql_of(node)).await {
                return Ok(Started::Answers);
            }
            if let Some(child) = self.children.get_mut(&node)
                && let Ok(Some(status)) = child.try_wait()
            {
                if status.code() == Some(i32::from(EXIT_CONFLICT))
                    && node_left(&self.log_path(node))
                {
                    return Ok(Started::Left);
                }
                return Err(self.failure(node, &format!("ended with {status}")));
            }
            if self.clock.monotonic() >= deadline {
                let why = format!("does not answer at {address} after {READY_WAIT_MAX:?}");
                return Err(self.failure(node, &why));
            }
            tokio::time::sleep(READY_RETRY_PAUSE).await;
        }
    }

    fn failure(&self, node: u64, why: &str) -> String {
        log_end(&self.log_path(node), &format!("node {node} {why}"))
    }

    fn state(&mut self) -> State {
        let ports = self.plan.ports;
        let database = if self.plan.sample { "/police" } else { "" };
        let first = self.running().first().copied().unwrap_or(1);
        let dsn = |node| format!("mysql://root@127.0.0.1:{}{database}", ports.mysql_of(node));
        let pids = self
            .children
            .iter_mut()
            .filter_map(|(node, child)| match child.try_wait() {
                Ok(None) => child.id().map(|pid| (*node, pid)),
                _ => None,
            })
            .collect();
        State {
            schema_version: 1,
            dsn: dsn(first),
            dsns: (1..=self.plan.nodes).map(dsn).collect(),
            pids,
            http: (1..=self.plan.nodes)
                .map(|node| format!("127.0.0.1:{}", ports.http_of(node)))
                .collect(),
            data: self.plan.data.display().to_string(),
            temp: self.plan.temp,
        }
    }

    /// The nodes whose processes run.
    fn running(&mut self) -> Vec<u64> {
        let children = self.children.iter_mut();
        children
            .filter_map(|(node, child)| matches!(child.try_wait(), Ok(None)).then_some(*node))
            .collect()
    }

    /// Starts one more node.
    fn add(&mut self) -> Result<u64, String> {
        let node = self.plan.nodes + 1;
        if node > NODES_MAX {
            return Err(format!("a demo has at most {NODES_MAX} nodes"));
        }
        self.plan.nodes = node;
        remember(&self.plan)?;
        self.spawn(node)?;
        Ok(node)
    }

    /// Serves one line of the control socket; returns who asked when the demo shall stop.
    async fn obey(&mut self, stream: UnixStream) -> Option<OwnedWriteHalf> {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        let mut reader = BufReader::new(reader.take(control::LINE_BYTES_MAX as u64));
        let read = tokio::time::timeout(CONTROL_WAIT_MAX, reader.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(_))) {
            return None;
        }
        let request: Result<Request, _> = serde_json::from_str(&line);
        let outcome = match &request {
            Ok(Request::Status) => Ok("running".to_string()),
            Ok(Request::Stop) => return Some(writer),
            Ok(Request::Kill { node }) => self.kill(*node).await,
            Ok(Request::Restart { node }) => match self.restart(*node) {
                // Others may be asked for meanwhile: a node that starts may need them.
                Ok(()) => {
                    let restarted = self.restarted(*node, true);
                    tokio::spawn(async move { restarted.report(&mut writer).await });
                    return None;
                }
                Err(why) => Err(why),
            },
            Ok(Request::Add) => match self.add() {
                Ok(node) => {
                    let added = self.restarted(node, false);
                    tokio::spawn(async move { added.report(&mut writer).await });
                    return None;
                }
                Err(why) => Err(why),
            },
            Err(error) => Err(format!("not a request: {error}")),
        };
        let ok = outcome.is_ok();
        let message = outcome.unwrap_or_else(|why| why);
        let state = self.state();
        if ok && let Err(why) = write_ready_file(&self.plan, &state) {
            eprintln!("{why}");
        }
        send(&mut writer, &Answer { ok, message, state }).await;
        None
    }

    async fn kill(&mut self, node: u64) -> Result<String, String> {
        let nodes = self.plan.nodes;
        let child = self
            .children
            .get_mut(&node)
            .ok_or_else(|| format!("there is no node {node}; the demo has nodes 1 to {nodes}"))?;
        if let Ok(Some(_)) = child.try_wait() {
            return Err(format!("node {node} does not run"));
        }
        let pid = child.id().unwrap_or_default();
        child.kill().await.map_err(|error| format!("killing node {node}: {error}"))?;
        println!("✘ node {node} killed (pid {pid})");
        Ok(format!("killed node {node} (pid {pid}, SIGKILL)"))
    }

    /// Starts a killed node; it may take a while until it answers.
    fn restart(&mut self, node: u64) -> Result<(), String> {
        if node == 0 || node > self.plan.nodes {
            let nodes = self.plan.nodes;
            return Err(format!("there is no node {node}; the demo has nodes 1 to {nodes}"));
        }
        if let Some(child) = self.children.get_mut(&node)
            && let Ok(None) = child.try_wait()
        {
            return Err(format!("node {node} runs already; kill it first"));
        }
        self.spawn(node)
    }

    fn restarted(&mut self, node: u64, again: bool) -> Restarted {
        Restarted {
            node,
            again,
            port: self.plan.ports.mysql_of(node),
            log: self.log_path(node),
            plan: self.plan.clone(),
            clock: self.clock.clone(),
            state: self.state(),
        }
    }

    async fn stop_all(&mut self) {
        for child in self.children.values_mut() {
            // A closed standard input is the sign to stop (`--exit-with-parent`).
            drop(child.stdin.take());
        }
        for (node, child) in &mut self.children {
            if tokio::time::timeout(STOP_WAIT_MAX, child.wait()).await.is_err() {
                eprintln!("node {node} did not stop within {STOP_WAIT_MAX:?}; killing it");
                let _ = child.kill().await;
            }
        }
    }
}

/// What came of a node's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Started {
    /// It answers queries.
    Answers,
    /// It was decommissioned before.
    Left,
}

/// A node that was started again and whose first answer somebody waits for.
struct Restarted {
    node: u64,
    /// Whether it ran before.
    again: bool,
    port: u16,
    log: PathBuf,
    plan: Plan,
    clock: SharedClock,
    /// The demo right after the start.
    state: State,
}

impl Restarted {
    /// Waits until the node answers a query, and says so.
    async fn report(self, writer: &mut OwnedWriteHalf) {
        let node = self.node;
        let deadline = self.clock.monotonic() + READY_WAIT_MAX;
        let mut ok = false;
        while !ok && self.clock.monotonic() < deadline && self.is_alive() {
            ok = answers(self.port).await;
            tokio::time::sleep(READY_RETRY_PAUSE).await;
        }
        let message = if ok {
            let again = if self.again { " again" } else { "" };
            println!("✔ node {node} started{again}");
            format!("node {node} runs{again} and answers SQL")
        } else {
            log_end(&self.log, &format!("node {node} does not answer at port {}", self.port))
        };
        if let Err(why) = write_ready_file(&self.plan, &self.state) {
            eprintln!("{why}");
        }
        send(writer, &Answer { ok, message, state: self.state }).await;
    }

    /// Whether the process runs: a dead child is a zombie (state Z in proc(5)) until the demo reaps it.
    fn is_alive(&self) -> bool {
        let pid = self.state.pids.get(&self.node).copied().unwrap_or_default();
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
    }
}

async fn send(writer: &mut OwnedWriteHalf, answer: &Answer) {
    if let Ok(mut text) = serde_json::to_vec(answer) {
        text.push(b'\n');
        // The asker may be gone; what it asked for is done all the same.
        let _ = writer.write_all(&text).await;
    }
}

/// Whether a node's last words are that it has left the cluster.
fn node_left(path: &Path) -> bool {
    let log = std::fs::read_to_string(path).unwrap_or_default();
    log.lines().last().is_some_and(|line| line.contains("has left the cluster"))
}

/// What went wrong, and the end of a node's log.
fn log_end(path: &Path, why: &str) -> String {
    let log = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    format!("{why}; the end of {}:\n  {}", path.display(), tail.join("\n  "))
}

/// Whether a query on this port is answered.
async fn answers(port: u16) -> bool {
    use mysql_async::prelude::Queryable;
    let builder = mysql_async::OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some("root"));
    let attempt = async {
        let mut conn = mysql_async::Conn::new(builder).await?;
        let one: Option<u8> = conn.query_first("SELECT 1").await?;
        conn.disconnect().await?;
        Ok::<_, mysql_async::Error>(one == Some(1))
    };
    tokio::time::timeout(Duration::from_secs(2), attempt)
        .await
        .is_ok_and(|done| done.unwrap_or(false))
}
