//! gRPC over turmoil's network.

use base::NodeId;
use futures::Stream;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use raft::transport::dialer::{Dialer, tune};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Uri};
use turmoil::net::{TcpListener, TcpStream};

/// Where every node listens for nodes.
pub const PORT: u16 = 7800;

/// A node's host name.
pub fn name(node: u64) -> String {
    format!("node-{node}")
}

/// Dials over the simulated network.
pub struct SimDialer;

impl Dialer for SimDialer {
    fn dial(&self, node: NodeId) -> BoxFuture<'static, Result<Channel, String>> {
        Box::pin(async move {
            let endpoint = Endpoint::from_shared(format!("http://{}:{PORT}", name(node.0)))
                .map_err(|error| error.to_string())?;
            let connector = tower::service_fn(move |_: Uri| async move {
                TcpStream::connect((name(node.0), PORT)).await.map(TokioIo::new)
            });
            tune(endpoint)
                .connect_with_connector(connector)
                .await
                .map_err(|error| error.to_string())
        })
    }
}

/// An accepted connection, as tonic wants it.
pub struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Connections as they come in.
pub fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Accepted>> {
    futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
        Some((accepted, listener))
    })
}
