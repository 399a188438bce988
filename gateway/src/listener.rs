//! Sockets and threads of the gateway.
//!
//! ```text
//! accept thread ── TCP, Unix socket ──> the worker with the fewest connections
//! worker 1..N ──── one current-thread runtime each; a connection stays where it was put
//! ```
//!
//! One accept thread instead of one listening socket per worker: a second process cannot slip in on the
//! same port, and connections are dealt out evenly, also when there are only a few.
//!
//! Stopping: no new connections, idle ones end at once, busy ones after what they do or when the time
//! given is over.
//!
//! Not here: what a connection does (`connection`).

use crate::auth::{LoginCache, Transport};
use crate::channel::Channel;
use crate::codec::handshake::server_capabilities;
use crate::codec::response::put_error_before_greeting;
use crate::connection::serve;
use crate::control::Connections;
use crate::login::Peer;
use crate::packet::Encoder;
use crate::secret::LoginKey;
use crate::stream::Stream;
use crate::tls::{self, TlsSource};
use base::limits::{
    ACCEPT_QUEUE_MAX, ACCEPT_RETRY_PAUSE, CONNECTION_COUNTER_BITS, CONNECTION_SWEEP,
    CONNECTIONS_MAX,
};
use base::{NodeId, SharedClock};
use mysql_common::constants::CapabilityFlags;
use parking_lot::Mutex;
use rustls::ServerConfig;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use sql::instance::Instance;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// Idle time before the kernel asks whether a silent client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How often a stopping worker looks whether its connections have ended.
const STOP_POLL: Duration = Duration::from_millis(20);
/// Threads of a worker that verify passwords.
const VERIFIERS: usize = 2;

/// What a gateway is started with.
pub struct GatewayConfig {
    /// Where MySQL clients connect; port 0 takes a free one.
    pub tcp: SocketAddr,
    /// A Unix socket for clients of this machine.
    pub unix: Option<PathBuf>,
    /// The certificate.
    pub tls: TlsSource,
    /// Folder of the login key and of a self-made certificate; without one they live as long as the
    /// process.
    pub secrets: Option<PathBuf>,
    /// The SQL side.
    pub instance: Arc<Instance>,
    /// This node. Connection ids are unique in the cluster while node ids are below 1024.
    pub node: NodeId,
    /// Time.
    pub clock: SharedClock,
    /// Worker threads; 0 for one per core.
    pub workers: usize,
    /// Connections at most; the limit of `base::limits` holds too.
    pub connections_max: usize,
}

impl std::fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayConfig").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

/// What the connections of a gateway share.
pub struct Shared {
    /// The SQL side.
    pub instance: Arc<Instance>,
    /// TLS's settings, when it is on.
    pub tls: Option<Arc<ServerConfig>>,
    /// RSA key of logins.
    pub key: Arc<LoginKey>,
    /// Proved passwords.
    pub logins: Arc<LoginCache>,
    /// Ids of live connections.
    live: Mutex<BTreeSet<u32>>,
}

impl Shared {
    /// What the greeting offers to a client on this transport.
    pub fn capabilities(&self, transport: Transport) -> CapabilityFlags {
        server_capabilities(self.tls.is_some() && transport == Transport::Plain)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({} connections)", self.live.lock().len())
    }
}

/// An accepted client's place: its id, and its weight on a worker. Dropping frees both.
#[derive(Debug)]
struct Place {
    id: u32,
    shared: Arc<Shared>,
    load: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.live.lock().remove(&self.id);
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An accepted socket, not yet bound to a runtime.
enum Accepted {
    Tcp(std::net::TcpStream, SocketAddr),
    Unix(std::os::unix::net::UnixStream),
}

/// A worker as the accept thread sees it.
struct WorkerHandle {
    clients: mpsc::Sender<(Accepted, Place)>,
    load: Arc<AtomicUsize>,
}

/// The gateway of a node.
#[derive(Debug)]
pub struct Gateway;

impl Gateway {
    /// Listens and serves until the handle stops it. Errors name the address or file.
    pub fn start(config: GatewayConfig) -> io::Result<GatewayHandle> {
        let shared = Arc::new(Shared {
            tls: tls::server_config(&config.tls, config.secrets.as_deref())?,
            key: Arc::new(LoginKey::open_or_create(config.secrets.as_deref())?),
            logins: Arc::default(),
            live: Mutex::default(),
            instance: config.instance,
        });
        let tcp = listen_tcp(config.tcp)?;
        let address = tcp.local_addr()?;
        let unix = config.unix.as_deref().map(listen_unix).transpose()?;
        let (stop, stopped) = watch::channel(None);
        // Nothing is ever sent: the channel closes when the last thread has ended.
        let (running, ended) = mpsc::channel::<()>(1);
        let count = if config.workers > 0 { config.workers } else { cores() };
        let mut workers = Vec::with_capacity(count);
        for number in 0..count {
            let (clients, accepted) = mpsc::channel(ACCEPT_QUEUE_MAX);
            workers.push(WorkerHandle { clients, load: Arc::default() });
            let (clock, stopped, running) =
                (config.clock.clone(), stopped.clone(), running.clone());
            let runtime = runtime()?;
            base::thread::spawn(&format!("gateway-{number}"), move || {
                LocalSet::new().block_on(&runtime, work(accepted, clock, stopped));
                // Passwords may still be under verification; nobody waits for them.
                runtime.shutdown_background();
                drop(running);
            });
        }
        let accept = Accept {
            shared: shared.clone(),
            workers,
            ids: ConnectionIds::new(config.node),
            connections_max: config.connections_max.min(CONNECTIONS_MAX),
        };
        let accept_runtime = runtime()?;
        base::thread::spawn("gateway-accept", move || {
            if let Err(error) = accept_runtime.block_on(accept.run(tcp, unix, stopped)) {
                tracing::error!(%error, "the gateway cannot accept connections");
            }
            drop(running);
        });
        Ok(GatewayHandle { address, unix: config.unix, shared, stop, ended })
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct GatewayHandle {
    /// Where it listens.
    address: SocketAddr,
    /// Its Unix socket.
    unix: Option<PathBuf>,
    /// What its connections share.
    shared: Arc<Shared>,
    /// Tells the threads to stop, and how long busy connections may take.
    stop: watch::Sender<Option<Duration>>,
    /// Closes when all threads have ended.
    ended: mpsc::Receiver<()>,
}

impl GatewayHandle {
    /// The TCP address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.shared.live.lock().len()
    }

    /// Stops: no new connections, idle ones end, running statements may take `grace`.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.send_replace(Some(grace));
        while self.ended.recv().await.is_some() {}
        if let Some(path) = &self.unix {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The accept thread's work.
struct Accept {
    shared: Arc<Shared>,
    workers: Vec<WorkerHandle>,
    ids: ConnectionIds,
    connections_max: usize,
}

impl Accept {
    async fn run(
        mut self,
        tcp: std::net::TcpListener,
        unix: Option<std::os::unix::net::UnixListener>,
        mut stopped: watch::Receiver<Option<Duration>>,
    ) -> io::Result<()> {
        let tcp = tokio::net::TcpListener::from_std(tcp)?;
        let unix = unix.map(tokio::net::UnixListener::from_std).transpose()?;
        loop {
            let accepted = tokio::select! {
                accepted = tcp.accept() => {
                    accepted.and_then(|(stream, peer)| Ok(Accepted::Tcp(stream.into_std()?, peer)))
                }
                accepted = accept_unix(unix.as_ref()) => accepted,
                // An error says that the handle is gone, which stops the gateway too.
                _ = stopped.wait_for(Option::is_some) => return Ok(()),
            };
            match accepted {
                Ok(accepted) => self.place(accepted),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Hands a client to the worker with the fewest, or tells it that there is no room.
    fn place(&mut self, accepted: Accepted) {
        let id = {
            let mut live = self.shared.live.lock();
            if live.len() >= self.connections_max {
                drop(live);
                return refuse(accepted);
            }
            self.ids.next(&mut live)
        };
        let Some(worker) =
            self.workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed))
        else {
            return;
        };
        worker.load.fetch_add(1, Ordering::Relaxed);
        let place = Place { id, shared: self.shared.clone(), load: worker.load.clone() };
        if let Err(error) = worker.clients.try_send((accepted, place)) {
            tracing::warn!(%error, "a worker takes no more connections");
        }
    }
}

/// Connection ids: 10 bits of the node, then a counter; never 0, never one in use.
#[derive(Debug)]
struct ConnectionIds {
    node: u32,
    counter: u32,
}

impl ConnectionIds {
    fn new(node: NodeId) -> ConnectionIds {
        let node = (node.0 % (1 << (32 - CONNECTION_COUNTER_BITS))) as u32;
        ConnectionIds { node: node << CONNECTION_COUNTER_BITS, counter: 0 }
    }

    /// The next id, entered into `live`. There are far more ids than connections.
    fn next(&mut self, live: &mut BTreeSet<u32>) -> u32 {
        loop {
            self.counter = (self.counter + 1) % (1 << CONNECTION_COUNTER_BITS);
            let id = self.node | self.counter;
            if self.counter != 0 && live.insert(id) {
                return id;
            }
        }
    }
}

/// A worker's work: serve the clients it is given until told to stop.
async fn work(
    mut accepted: mpsc::Receiver<(Accepted, Place)>,
    clock: SharedClock,
    mut stopped: watch::Receiver<Option<Duration>>,
) {
    let connections = Rc::new(Connections::default());
    connections.sweep(clock.monotonic());
    let mut sweep = tokio::time::interval(CONNECTION_SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let grace = loop {
        tokio::select! {
            Some((accepted, place)) = accepted.recv() => admit(accepted, place, &connections),
            _ = sweep.tick() => connections.sweep(clock.monotonic()),
            stopping = stopped.wait_for(Option::is_some) => {
                break stopping.ok().and_then(|grace| *grace).unwrap_or_default();
            }
        }
    };
    connections.stop();
    let end = clock.monotonic() + grace;
    while !connections.is_empty() && clock.monotonic() < end {
        tokio::time::sleep(STOP_POLL).await;
    }
}

/// Starts serving a client on this worker.
fn admit(accepted: Accepted, place: Place, connections: &Rc<Connections>) {
    let (stream, peer, socket) = match bind(accepted) {
        Ok(bound) => bound,
        Err(error) => {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
    };
    let presence = connections.enter(place.id, Some(socket));
    let shared = place.shared.clone();
    tokio::task::spawn_local(async move {
        serve(Channel::new(stream), shared, &presence.control, place.id, peer).await;
        drop((presence, place));
    });
}

/// Binds a socket to this worker's runtime. The last is the socket once more, to look whether the client is gone.
fn bind(accepted: Accepted) -> io::Result<(Stream, Peer, Socket)> {
    match accepted {
        Accepted::Tcp(stream, address) => {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
            SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
            let ip = address.ip().to_canonical();
            let host = if ip.is_loopback() { "localhost".to_string() } else { ip.to_string() };
            let socket = SockRef::from(&stream).try_clone()?;
            Ok((Stream::Tcp(tokio::net::TcpStream::from_std(stream)?), Peer { host }, socket))
        }
        Accepted::Unix(stream) => {
            stream.set_nonblocking(true)?;
            let socket = SockRef::from(&stream).try_clone()?;
            let stream = Stream::Unix(tokio::net::UnixStream::from_std(stream)?);
            Ok((stream, Peer { host: "localhost".to_string() }, socket))
        }
    }
}

/// Tells a client that there is no room. It may be gone already, and nobody waits for it.
fn refuse(accepted: Accepted) {
    let mut encoder = Encoder::default();
    let error = sql::Error::too_many_connections();
    encoder.message(|out| put_error_before_greeting(out, &error));
    let _ = match accepted {
        Accepted::Tcp(mut stream, _) => stream.write(encoder.bytes()),
        Accepted::Unix(mut stream) => stream.write(encoder.bytes()),
    };
}

/// The next client of the Unix socket; waits for ever when there is none.
async fn accept_unix(listener: Option<&tokio::net::UnixListener>) -> io::Result<Accepted> {
    match listener {
        Some(listener) => {
            let (stream, _) = listener.accept().await?;
            Ok(Accepted::Unix(stream.into_std()?))
        }
        None => std::future::pending().await,
    }
}

/// A listening TCP socket.
fn listen_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listen = || -> io::Result<std::net::TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    listen().map_err(|error| {
        let what = format!("cannot listen for MySQL clients at {address}: {error}");
        io::Error::new(error.kind(), what)
    })
}

/// A listening Unix socket. The file of a process that has ended is replaced, that of a live one is not.
fn listen_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::net::{UnixListener, UnixStream};
    let listen = || -> io::Result<UnixListener> {
        if path.exists() {
            if UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        // Whoever may log in may connect: accounts decide, as for TCP.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|error| {
        let what = format!("cannot listen for MySQL clients at {}: {error}", path.display());
        io::Error::new(error.kind(), what)
    })
}

/// A runtime for one thread.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(VERIFIERS)
        .thread_name("gateway-login")
        .build()
}

/// Cores of this machine.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_ids_carry_the_node_and_skip_those_in_use() {
        let mut ids = ConnectionIds::new(NodeId(3));
        let mut live = BTreeSet::from([(3 << CONNECTION_COUNTER_BITS) | 2]);
        assert_eq!(ids.next(&mut live), (3 << CONNECTION_COUNTER_BITS) | 1);
        assert_eq!(ids.next(&mut live), (3 << CONNECTION_COUNTER_BITS) | 3);
    }

    #[test]
    fn connection_ids_start_again_without_zero() {
        let mut ids = ConnectionIds::new(NodeId(1024));
        ids.counter = (1 << CONNECTION_COUNTER_BITS) - 1;
        assert_eq!(ids.next(&mut BTreeSet::new()), 1);
    }

    #[test]
    fn port_in_use_is_named() {
        let first = listen_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = first.local_addr().unwrap();
        let error = listen_tcp(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn unix_socket_of_a_dead_process_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let first = listen_unix(&path).unwrap();
        assert_eq!(listen_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists());
        listen_unix(&path).unwrap();
    }
}
