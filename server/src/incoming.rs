//! Connections from other nodes as they are accepted, and the server that serves them.
//!
//! Nagle's algorithm is off: it holds a small answer back until the peer acknowledges the one before, and the
//! peer delays that acknowledgement by up to 40 ms (RFC 1122, 4.2.3.2). tonic's own setting reaches only
//! sockets that tonic accepts itself.

use futures::Stream;
use std::io;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

/// HTTP/2 window of one stream, bytes.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// HTTP/2 window of one connection, bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Largest HTTP/2 frame that a peer may send, bytes: a piece of a Raft snapshot travels in one, not in 64.
const FRAME_BYTES_MAX: u32 = 1 << 20;

/// A server for other nodes, without services.
pub fn node_server() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
}

/// The listener's connections, each without Nagle's algorithm.
pub fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> {
    TcpListenerStream::new(listener)
        .map(|accepted| accepted.and_then(|stream| stream.set_nodelay(true).map(|()| stream)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_connection_sends_small_answers_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let mut incoming = Box::pin(incoming(listener));
        let accepted = incoming.next().await.unwrap().unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
