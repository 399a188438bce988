//! How `precinct demo kill | restart | add | status | stop` reach the running demo: one JSON line there, one
//! back, over a Unix socket in the abstract namespace named after the demo's first MySQL port.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// Longest line either side reads.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// SIGKILL a node.
    Kill {
        /// Its number.
        node: u64,
    },
    /// Start a killed node again, on its old data.
    Restart {
        /// Its number.
        node: u64,
    },
    /// Start one more node; the cluster lets it in.
    Add,
    /// Say how things are.
    Status,
    /// Stop all nodes and the demo; answered when none runs any more.
    Stop,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// What was done, or why not.
    pub message: String,
    /// The demo as it is now.
    pub state: State,
}

/// The demo as scripts see it; also the content of the ready file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of this shape.
    pub schema_version: u32,
    /// DSN of the first node: `mysql://root@127.0.0.1:4000/police`.
    pub dsn: String,
    /// DSN per node, in order.
    pub dsns: Vec<String>,
    /// Process ids of the nodes that run, by node number.
    pub pids: BTreeMap<u64, u32>,
    /// HTTP address per node, in order.
    pub http: Vec<String>,
    /// Data folder.
    pub data: String,
    /// Whether the data folder is removed at the end.
    pub temp: bool,
}

fn address(mysql_port: u16) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("precinct-demo-{mysql_port}"))
}

/// Takes the control socket of the demo with this first MySQL port.
///
/// # Errors
/// `AddrInUse` when a demo with this port runs already.
pub fn listen(mysql_port: u16) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&address(mysql_port)?)
}

/// Asks the running demo.
///
/// # Errors
/// `ConnectionRefused` when none runs with this first MySQL port.
pub fn ask(mysql_port: u16, request: &Request) -> io::Result<Answer> {
    use std::io::{BufRead, BufReader, Read, Write};
    let mut stream = UnixStream::connect_addr(&address(mysql_port)?)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX as u64)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
