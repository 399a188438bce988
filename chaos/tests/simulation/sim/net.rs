//! gRPC over turmoil's network.
//!
//! turmoil's TCP does not repeat what a partition swallowed, so a connection that lost something would hang
//! until its keepalive gives up. A real one would have gone on or been reset: here every connection of a link
//! is reset when the link heals ([`World::reset_links`]), and lanes dial again.

use super::world::World;
use base::NodeId;
use futures::Stream;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use raft::transport::dialer::{Dialer, tune};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
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
pub struct SimDialer {
    /// Who dials.
    pub node: u64,
    /// Knows when links are reset.
    pub world: Arc<World>,
}

impl Dialer for SimDialer {
    fn dial(&self, node: NodeId) -> BoxFuture<'static, Result<Channel, String>> {
        let reset = self.world.link_reset(self.node, node.0);
        Box::pin(async move {
            let endpoint = Endpoint::from_shared(format!("http://{}:{PORT}", name(node.0)))
                .map_err(|error| error.to_string())?;
            let connector = tower::service_fn(move |_: Uri| {
                let reset = reset.clone();
                async move {
                    let stream = TcpStream::connect((name(node.0), PORT)).await?;
                    Ok::<_, io::Error>(TokioIo::new(Dialled::new(stream, reset)))
                }
            });
            tune(endpoint)
                .connect_with_connector(connector)
                .await
                .map_err(|error| error.to_string())
        })
    }
}

/// Counts the resets of a link.
pub type LinkReset = tokio::sync::watch::Receiver<u64>;

/// A dialled connection: it breaks when its link is reset.
struct Dialled {
    /// The connection.
    stream: TcpStream,
    /// Resolves at the reset.
    reset: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Dialled {
    fn new(stream: TcpStream, mut reset: LinkReset) -> Dialled {
        reset.mark_unchanged();
        let reset = Box::pin(async move {
            // The world outlives all connections.
            let _ = reset.changed().await;
        });
        Dialled { stream, reset }
    }
}

impl AsyncRead for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reset.as_mut().poll(cx).is_ready() {
            self.reset = Box::pin(std::future::ready(()));
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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
