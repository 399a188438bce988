//! Connections to other nodes. A simulation brings its own dialer.

use base::{NodeId, limits};
use futures::future::BoxFuture;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

/// HTTP/2 window of one stream, bytes.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// HTTP/2 window of one connection, bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// How often an idle connection is probed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a probe may take before the connection counts as broken.
const KEEPALIVE_WAIT: Duration = Duration::from_secs(5);

/// Opens connections to nodes.
pub trait Dialer: Send + Sync + 'static {
    /// A new connection to a node, or why there is none.
    fn dial(&self, node: NodeId) -> BoxFuture<'static, Result<Channel, String>>;
}

/// Dials over TCP by an address book that may change at run time.
#[derive(Default)]
pub struct TcpDialer {
    /// Node to "host:port".
    addresses: RwLock<BTreeMap<NodeId, String>>,
    /// How to protect connections; none: plain TCP.
    tls: Option<ClientTlsConfig>,
}

impl TcpDialer {
    /// A dialer over plain TCP.
    pub fn new(addresses: impl IntoIterator<Item = (NodeId, String)>) -> TcpDialer {
        TcpDialer { addresses: RwLock::new(addresses.into_iter().collect()), tls: None }
    }

    /// The same over TLS.
    pub fn with_tls(mut self, tls: ClientTlsConfig) -> TcpDialer {
        self.tls = Some(tls);
        self
    }

    /// Says where a node listens ("host:port").
    pub fn set_address(&self, node: NodeId, address: impl Into<String>) {
        self.addresses.write().insert(node, address.into());
    }

    /// Where a node listens.
    pub fn address(&self, node: NodeId) -> Option<String> {
        self.addresses.read().get(&node).cloned()
    }
}

/// The settings of a connection between nodes, for dialers that connect in their own way.
pub fn tune(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(limits::DIAL_WAIT_MAX)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_WAIT)
        .keep_alive_while_idle(true)
}

impl Dialer for TcpDialer {
    fn dial(&self, node: NodeId) -> BoxFuture<'static, Result<Channel, String>> {
        let address = self.address(node);
        let tls = self.tls.clone();
        Box::pin(async move {
            let address = address.ok_or_else(|| format!("no address of node {node}"))?;
            let scheme = if tls.is_some() { "https" } else { "http" };
            let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
                .map_err(|error| format!("address {address} of node {node}: {error}"))?;
            let mut endpoint = tune(endpoint);
            if let Some(tls) = tls {
                endpoint = endpoint.tls_config(tls).map_err(|error| error.to_string())?;
            }
            endpoint.connect().await.map_err(|error| format!("node {node} at {address}: {error}"))
        })
    }
}
