//! A client's stream as messages: one read buffer, one write buffer.
//!
//! Responses collect in the write buffer and leave it in one system call: when it is full, or when the
//! response is complete and `flush` is called. Sequence numbers run on between the two directions.
//!
//! Not here: what messages mean (`codec`, `login`, `connection`).

use crate::auth::Transport;
use crate::packet::{Decoder, Encoder, PacketError};
use crate::stream::{Prefixed, Stream};
use base::limits::{
    IDLE_BUFFER_BYTES, LOGIN_PACKET_BYTES_MAX, PACKET_BYTES_MAX, READ_BUFFER_BYTES,
    RESPONSE_FLUSH_BYTES,
};
use bytes::BytesMut;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// Most room made ahead for a long message: a header alone must not take much memory.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;
/// How long the bytes of a client are thrown away after an error that ends its connection.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// Why a channel has no next message.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The client closed its side.
    #[error("the client closed the connection")]
    Closed,
    /// The caller's reason to stop waiting came first.
    #[error("interrupted")]
    Interrupted,
    /// The stream broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The bytes are no packets.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

impl ChannelError {
    /// What the client is told before the connection ends; `None` when nobody would read it.
    pub fn reply(&self) -> Option<sql::Error> {
        match self {
            ChannelError::Packet(PacketError::OutOfOrder { .. }) => {
                Some(sql::Error::packets_out_of_order())
            }
            ChannelError::Packet(PacketError::TooLarge { .. }) => {
                Some(sql::Error::packet_too_large())
            }
            ChannelError::Closed | ChannelError::Interrupted | ChannelError::Io(_) => None,
        }
    }
}

/// Messages to and from one client.
#[derive(Debug)]
pub struct Channel {
    /// The bytes' way.
    stream: Stream,
    /// Bytes received and not yet part of a message.
    received: BytesMut,
    /// Cuts them.
    decoder: Decoder,
    /// Bytes to send.
    encoder: Encoder,
}

impl Channel {
    /// A channel over a fresh connection. Only short messages are taken until [`Self::logged_in`].
    pub fn new(stream: Stream) -> Channel {
        Channel {
            stream,
            received: BytesMut::new(),
            decoder: Decoder::new(LOGIN_PACKET_BYTES_MAX),
            encoder: Encoder::default(),
        }
    }

    /// The client has proved who it is: messages may be as long as `max_allowed_packet`.
    pub fn logged_in(&mut self) {
        self.decoder.set_limit(PACKET_BYTES_MAX);
    }

    /// How bytes travel.
    pub fn transport(&self) -> Transport {
        self.stream.transport()
    }

    /// Turns plain TCP into TLS. Bytes already received belong to TLS.
    pub async fn upgrade(&mut self, tls: Arc<rustls::ServerConfig>) -> io::Result<()> {
        let Stream::Tcp(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::Error::other("only plain TCP can be turned into TLS"));
        };
        let prefixed = Prefixed::new(std::mem::take(&mut self.received), stream);
        let stream = TlsAcceptor::from(tls).accept(prefixed).await?;
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// The next message inside an exchange: its sequence number follows the last message sent.
    pub async fn read_reply(&mut self) -> Result<BytesMut, ChannelError> {
        self.decoder.expect(self.encoder.sequence());
        self.read(|_| false).await
    }

    /// The next message of a client that goes on sending without waiting for an answer.
    pub async fn read_more(&mut self) -> Result<BytesMut, ChannelError> {
        self.read(|_| false).await
    }

    /// The next command: sequence numbers start again. `interrupted` is asked each time the task is
    /// woken, and may keep the waker.
    pub async fn read_command(
        &mut self,
        interrupted: impl FnMut(&mut Context<'_>) -> bool,
    ) -> Result<BytesMut, ChannelError> {
        self.decoder.expect(0);
        if self.received.is_empty() && self.received.capacity() > IDLE_BUFFER_BYTES {
            self.received = BytesMut::new();
        }
        self.read(interrupted).await
    }

    /// Adds a message to the response.
    pub fn message(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.encoder.message(write);
    }

    /// Adds a message to the response unless `write` fails.
    pub fn try_message<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.encoder.try_message(write)
    }

    /// Sends the response so far when there is much of it.
    pub async fn flush_when_full(&mut self) -> io::Result<()> {
        if self.encoder.bytes().len() >= RESPONSE_FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends the response so far.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.encoder.bytes().is_empty() {
            return Ok(());
        }
        self.stream.write_all(self.encoder.bytes()).await?;
        self.stream.flush().await?;
        self.encoder.clear(IDLE_BUFFER_BYTES);
        Ok(())
    }

    /// Sends what waits and closes the stream; the client may be gone already.
    pub async fn close(&mut self) {
        if self.flush().await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }

    /// Closes after an error. A client may still be sending what was refused, and would lose the error
    /// if its bytes met a closed socket: they are thrown away for a while.
    pub async fn close_after_error(&mut self) {
        self.close().await;
        let discard = async {
            loop {
                self.received.clear();
                self.received.reserve(READ_BUFFER_BYTES);
                if !matches!(self.stream.read_buf(&mut self.received).await, Ok(1..)) {
                    return;
                }
            }
        };
        // Whoever sends longer than that has not been waiting for an answer.
        let _ = tokio::time::timeout(LINGER_MAX, discard).await;
    }

    /// Reads until a message is complete.
    async fn read(
        &mut self,
        mut interrupted: impl FnMut(&mut Context<'_>) -> bool,
    ) -> Result<BytesMut, ChannelError> {
        loop {
            if let Some(message) = self.decode()? {
                return Ok(message);
            }
            let missing = self.decoder.missing(self.received.len());
            self.received.reserve(missing.clamp(READ_BUFFER_BYTES, READ_AHEAD_BYTES_MAX));
            let mut read = pin!(self.stream.read_buf(&mut self.received));
            let count = poll_fn(|cx| {
                if interrupted(cx) {
                    return Poll::Ready(Err(ChannelError::Interrupted));
                }
                read.as_mut().poll(cx).map_err(ChannelError::Io)
            })
            .await?;
            if count == 0 {
                return Err(ChannelError::Closed);
            }
        }
    }

    /// Takes a message from the buffer. The answer's sequence follows, also after an error.
    fn decode(&mut self) -> Result<Option<BytesMut>, PacketError> {
        let decoded = self.decoder.decode(&mut self.received);
        if !matches!(decoded, Ok(None)) {
            self.encoder.expect(self.decoder.sequence());
        }
        decoded
    }
}
