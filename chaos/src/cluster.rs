//! A three-process cluster for a test: `precinct demo` as users run it, driven by its own commands.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest wait for the cluster to answer SQL.
const READY_WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks at the ready file.
const READY_PAUSE: Duration = Duration::from_millis(50);

/// A running cluster; stopped and removed when dropped.
pub struct Cluster {
    binary: PathBuf,
    demo: Child,
    mysql_port: u16,
    nodes: u16,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts a cluster without sample data. Tests that may run at once use ports 100 apart.
    ///
    /// # Panics
    /// When it does not answer SQL in time; the message holds the demo's output.
    pub fn start(nodes: u16, mysql_port: u16) -> Cluster {
        Cluster::start_with(nodes, mysql_port, &[])
    }

    /// The same with more flags for `precinct demo`.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_with(nodes: u16, mysql_port: u16, flags: &[&str]) -> Cluster {
        let binary = binary();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let output = std::fs::File::create(folder.path().join("demo.log")).expect("a log file");
        let ready = folder.path().join("ready.json");
        let demo = Command::new(&binary)
            .args(["demo", "--sample", "none", "--nodes", &nodes.to_string()])
            .args(["--mysql-port", &mysql_port.to_string()])
            .args(["--http-port", &(mysql_port + 20).to_string()])
            .args(["--node-port", &(mysql_port + 40).to_string()])
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle of the log"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", binary.display()));
        let mut cluster = Cluster { binary, demo, mysql_port, nodes, folder };
        let tries = READY_WAIT_MAX.as_millis() / READY_PAUSE.as_millis();
        for _ in 0..tries {
            if ready.exists() {
                return cluster;
            }
            if let Ok(Some(status)) = cluster.demo.try_wait() {
                panic!("the demo ended with {status}:\n{}", cluster.logs());
            }
            std::thread::sleep(READY_PAUSE);
        }
        panic!("the cluster was not ready after {READY_WAIT_MAX:?}:\n{}", cluster.logs());
    }

    /// Number of nodes.
    pub fn nodes(&self) -> u16 {
        self.nodes
    }

    /// Connection settings for a node, from 1.
    pub fn opts(&self, node: u16) -> mysql_async::Opts {
        mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.mysql_port + node - 1)
            .user(Some("root"))
            .into()
    }

    /// Makes `t.rows_` with rows `(id, n)` of `n` 0, numbered from 1, through a node.
    ///
    /// # Panics
    /// When the node refuses it.
    pub async fn fill(&self, node: u16, rows: u64) {
        let mut conn = Conn::new(self.opts(node)).await.expect("the node answers");
        let values: Vec<String> = (1..=rows).map(|id| format!("({id}, 0)")).collect();
        for statement in [
            "CREATE DATABASE t".to_string(),
            "CREATE TABLE t.rows_ (id INT PRIMARY KEY, n INT NOT NULL)".to_string(),
            format!("INSERT INTO t.rows_ VALUES {}", values.join(",")),
        ] {
            conn.query_drop(statement).await.expect("the rows are made");
        }
        conn.disconnect().await.expect("a clean goodbye");
    }

    /// Where a node serves metrics and health.
    pub fn http_port(&self, node: u16) -> u16 {
        self.mysql_port + 20 + node - 1
    }

    /// The data folder of a node.
    pub fn node_folder(&self, node: u16) -> PathBuf {
        self.folder.path().join(format!("data/node-{node}"))
    }

    /// The process of a node, if it runs.
    pub fn try_pid(&self, node: u16) -> Option<u32> {
        let output = Command::new(&self.binary)
            .args(["demo", "status", "--mysql-port", &self.mysql_port.to_string()])
            .output()
            .expect("the binary runs");
        let state: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        u32::try_from(state["pids"][node.to_string()].as_u64()?).ok()
    }

    /// The process of a node.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self, node: u16) -> u32 {
        self.try_pid(node).unwrap_or_else(|| panic!("node {node} does not run:\n{}", self.logs()))
    }

    /// Kills a node with SIGKILL.
    pub fn kill(&self, node: u16) {
        self.control("kill", node);
    }

    /// Starts a killed node on its old data; returns when it answers SQL.
    pub fn restart(&self, node: u16) {
        self.control("restart", node);
    }

    /// Starts one more node, which joins the cluster; returns when it answers SQL.
    pub fn add(&mut self) {
        let output = Command::new(&self.binary)
            .args(["demo", "add", "--mysql-port", &self.mysql_port.to_string()])
            .output()
            .expect("the binary runs");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "precinct demo add: {why}\n{}", self.logs());
        self.nodes += 1;
    }

    /// Tries to start a killed node that may refuse; what the demo says.
    pub fn try_restart(&self, node: u16) -> Result<(), String> {
        let output = Command::new(&self.binary)
            .args(["demo", "restart", &node.to_string()])
            .args(["--mysql-port", &self.mysql_port.to_string()])
            .output()
            .expect("the binary runs");
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(why) }
    }

    /// Runs `precinct` with these arguments against a node's SQL port; exit code, stdout, stderr.
    pub fn precinct(&self, node: u16, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(&self.binary)
            .args(args)
            .args(["--url", &format!("mysql://root@127.0.0.1:{}", self.mysql_port + node - 1)])
            .output()
            .expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Runs `precinct` with exactly these arguments; exit code, stdout, stderr.
    pub fn offline(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(&self.binary).args(args).output().expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// The demo's output and the end of each node's log.
    pub fn logs(&self) -> String {
        let mut text =
            std::fs::read_to_string(self.folder.path().join("demo.log")).unwrap_or_default();
        for node in 1..=self.nodes {
            let path = self.folder.path().join(format!("data/node-{node}/node.log"));
            let log = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(30)..].join("\n");
            text.push_str(&format!("\n--- node {node}\n{tail}\n"));
        }
        text
    }

    fn control(&self, action: &str, node: u16) {
        let output = Command::new(&self.binary)
            .args(["demo", action, &node.to_string()])
            .args(["--mysql-port", &self.mysql_port.to_string()])
            .output()
            .expect("the binary runs");
        assert!(
            output.status.success(),
            "precinct demo {action} {node}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.logs()
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        let stopped = Command::new(&self.binary)
            .args(["demo", "stop", "--mysql-port", &self.mysql_port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            // It has ended already, or never listened; either way it must not outlive the test.
            let _ = self.demo.kill();
        }
        let _ = self.demo.wait();
    }
}

/// `PRECINCT_BIN`, or the `precinct` beside the test's own folder.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("PRECINCT_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let beside = test.parent().and_then(|deps| deps.parent()).map(|dir| dir.join("precinct"));
    beside.expect("a test lies in target/<profile>/deps")
}
