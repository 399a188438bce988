//! Packets: how MySQL cuts a byte stream into messages. No I/O.
//!
//! ```text
//! ┌ length (3, little-endian) ┬ sequence (1) ┬ payload (length) ┐
//! ```
//!
//! A payload of 16 MiB − 1 bytes says that another packet continues the message; a message whose length
//! is a multiple of that ends with an empty packet. Sequence numbers count up through request and
//! response and start again at 0 with each command.
//!
//! Invariants:
//! 1. The decoder looks at a byte once: it keeps what it knows of a header and of earlier parts.
//! 2. A message above the limit is refused as soon as a header says so, before its bytes are taken.
//!
//! Not here: what payloads mean (`codec`).

use bytes::{Buf, BytesMut};

/// Bytes of a packet's header.
pub const HEADER_BYTES: usize = 4;
/// Longest payload of one packet; exactly this many bytes mean that more follow.
pub const PAYLOAD_BYTES_MAX: usize = 0xff_ffff;

/// Why a stream cannot be cut into packets. The connection ends after the error is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// A packet is missing, doubled, or the two sides disagree about whose turn it is.
    #[error("packet {got} where {expected} was expected")]
    OutOfOrder {
        /// Sequence number that was due.
        expected: u8,
        /// Sequence number that came.
        got: u8,
    },
    /// A message is longer than the server accepts.
    #[error("message of more than {limit} bytes")]
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
}

/// Cuts received bytes into messages.
#[derive(Debug)]
pub struct Decoder {
    /// Longest message accepted, bytes.
    limit: usize,
    /// Sequence number of the next packet.
    sequence: u8,
    /// Length of the packet whose header has been taken; `None` between packets.
    length: Option<usize>,
    /// Earlier parts of a message that needs several packets.
    parts: BytesMut,
}

impl Decoder {
    /// A decoder that accepts messages of up to `limit` bytes and starts at sequence 0.
    pub fn new(limit: usize) -> Decoder {
        Decoder { limit, sequence: 0, length: None, parts: BytesMut::new() }
    }

    /// Changes the longest message accepted, bytes.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Sequence number that the next packet of either side carries.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Says which sequence number the next received packet must carry.
    pub fn expect(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// Takes one message from the front of `received`; `None` when more bytes are needed.
    pub fn decode(&mut self, received: &mut BytesMut) -> Result<Option<BytesMut>, PacketError> {
        loop {
            let length = match self.length {
                Some(length) => length,
                None => match self.take_header(received)? {
                    Some(length) => length,
                    None => return Ok(None),
                },
            };
            if received.len() < length {
                return Ok(None);
            }
            self.length = None;
            let part = received.split_to(length);
            if length == PAYLOAD_BYTES_MAX {
                self.parts.extend_from_slice(&part);
                continue;
            }
            if self.parts.is_empty() {
                return Ok(Some(part));
            }
            self.parts.extend_from_slice(&part);
            return Ok(Some(std::mem::take(&mut self.parts)));
        }
    }

    /// Bytes that the packet now being received still lacks beyond `received`, at least 1: how much
    /// room a read should have.
    pub fn missing(&self, received: usize) -> usize {
        self.length.unwrap_or(HEADER_BYTES).saturating_sub(received).max(1)
    }

    /// Takes a header and checks what it says.
    fn take_header(&mut self, received: &mut BytesMut) -> Result<Option<usize>, PacketError> {
        if received.len() < HEADER_BYTES {
            return Ok(None);
        }
        let length = usize::from(received[0])
            | usize::from(received[1]) << 8
            | usize::from(received[2]) << 16;
        let got = received[3];
        if got != self.sequence {
            return Err(PacketError::OutOfOrder { expected: self.sequence, got });
        }
        // The packet counts even when it is refused: the client waits for the number after it.
        self.sequence = self.sequence.wrapping_add(1);
        if self.parts.len() + length > self.limit {
            return Err(PacketError::TooLarge { limit: self.limit });
        }
        received.advance(HEADER_BYTES);
        self.length = Some(length);
        Ok(Some(length))
    }
}

/// Collects messages to send, framed into packets.
#[derive(Debug, Default)]
pub struct Encoder {
    /// Framed bytes, and the message being written.
    bytes: Vec<u8>,
    /// Where the message being written has its first header.
    start: usize,
    /// Sequence number of the next packet.
    sequence: u8,
}

impl Encoder {
    /// Says which sequence number the next packet carries.
    pub fn expect(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// Sequence number that the next packet of either side carries.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Adds one message whose payload `write` appends.
    pub fn message(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.begin();
        write(&mut self.bytes);
        self.end();
    }

    /// Adds one message whose payload `write` appends; nothing is added when it fails.
    pub fn try_message<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.begin();
        let written = write(&mut self.bytes);
        match written {
            Ok(()) => self.end(),
            Err(_) => self.bytes.truncate(self.start),
        }
        written
    }

    /// Framed bytes that wait to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the framed bytes after they were sent, and memory above `keep` bytes.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
    }

    /// Leaves room for the header of a message.
    fn begin(&mut self) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
    }

    /// Fills in the header, or cuts a long message into packets.
    fn end(&mut self) {
        let length = self.bytes.len() - self.start - HEADER_BYTES;
        if length < PAYLOAD_BYTES_MAX {
            let header = self.header(length);
            self.bytes[self.start..self.start + HEADER_BYTES].copy_from_slice(&header);
            return;
        }
        let payload = self.bytes.split_off(self.start + HEADER_BYTES);
        self.bytes.truncate(self.start);
        for part in payload.chunks(PAYLOAD_BYTES_MAX) {
            let header = self.header(part.len());
            self.bytes.extend_from_slice(&header);
            self.bytes.extend_from_slice(part);
        }
        if payload.len().is_multiple_of(PAYLOAD_BYTES_MAX) {
            let header = self.header(0);
            self.bytes.extend_from_slice(&header);
        }
    }

    /// The next packet's header.
    fn header(&mut self, length: usize) -> [u8; HEADER_BYTES] {
        let [a, b, c, ..] = (length as u32).to_le_bytes();
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        [a, b, c, sequence]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(payloads: &[&[u8]]) -> BytesMut {
        let mut encoder = Encoder::default();
        for payload in payloads {
            encoder.message(|out| out.extend_from_slice(payload));
        }
        BytesMut::from(encoder.bytes())
    }

    #[test]
    fn header_is_length_then_sequence() {
        assert_eq!(&framed(&[b"ab", b""])[..], b"\x02\x00\x00\x00ab\x00\x00\x00\x01");
    }

    #[test]
    fn message_comes_when_its_last_byte_does() {
        let bytes = framed(&[b"hello"]);
        let mut decoder = Decoder::new(100);
        let mut received = BytesMut::new();
        for byte in &bytes[..bytes.len() - 1] {
            received.extend_from_slice(&[*byte]);
            assert_eq!(decoder.decode(&mut received), Ok(None));
        }
        received.extend_from_slice(b"o");
        assert_eq!(decoder.decode(&mut received).unwrap().unwrap(), b"hello"[..]);
    }

    #[test]
    fn sixteen_mebibytes_end_with_an_empty_packet() {
        let payload = vec![7; PAYLOAD_BYTES_MAX];
        let mut bytes = framed(&[&payload]);
        assert_eq!(bytes.len(), PAYLOAD_BYTES_MAX + 2 * HEADER_BYTES);
        assert_eq!(&bytes[bytes.len() - 4..], [0, 0, 0, 1]);
        let mut decoder = Decoder::new(64 << 20);
        let message = decoder.decode(&mut bytes).unwrap().unwrap();
        assert_eq!(message.len(), PAYLOAD_BYTES_MAX);
        assert_eq!(decoder.sequence(), 2);
    }

    #[test]
    fn longer_message_is_two_packets() {
        let payload: Vec<u8> = (0..PAYLOAD_BYTES_MAX + 3).map(|i| i as u8).collect();
        let mut bytes = framed(&[&payload]);
        assert_eq!(&bytes[PAYLOAD_BYTES_MAX + HEADER_BYTES..][..HEADER_BYTES], [3, 0, 0, 1]);
        let mut decoder = Decoder::new(64 << 20);
        assert_eq!(decoder.decode(&mut bytes).unwrap().unwrap(), payload);
    }

    #[test]
    fn wrong_sequence_is_refused() {
        let mut bytes = framed(&[b"a"]);
        let mut decoder = Decoder::new(100);
        decoder.expect(3);
        let refused = decoder.decode(&mut bytes);
        assert_eq!(refused, Err(PacketError::OutOfOrder { expected: 3, got: 0 }));
    }

    #[test]
    fn too_large_is_refused_by_the_header() {
        let mut received = BytesMut::from(&[101, 0, 0, 0][..]);
        let mut decoder = Decoder::new(100);
        let refused = decoder.decode(&mut received);
        assert_eq!(refused, Err(PacketError::TooLarge { limit: 100 }));
        assert_eq!(decoder.sequence(), 1, "what the client expects of the reply");
    }

    #[test]
    fn failed_message_leaves_no_trace() {
        let mut encoder = Encoder::default();
        encoder.message(|out| out.push(1));
        let failed = encoder.try_message(|out| {
            out.push(2);
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        encoder.message(|out| out.push(3));
        assert_eq!(encoder.bytes(), [1, 0, 0, 0, 1, 1, 0, 0, 1, 3]);
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_messages(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cut in 1usize..50,
        ) {
            let parts: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
            let bytes = framed(&parts);
            let mut decoder = Decoder::new(1000);
            let mut received = BytesMut::new();
            let mut messages = Vec::new();
            for chunk in bytes.chunks(cut) {
                received.extend_from_slice(chunk);
                while let Some(message) = decoder.decode(&mut received).unwrap() {
                    messages.push(message.to_vec());
                }
            }
            prop_assert_eq!(messages, payloads);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut received = BytesMut::from(&bytes[..]);
            let mut decoder = Decoder::new(500);
            while let Ok(Some(message)) = decoder.decode(&mut received) {
                prop_assert!(message.len() <= 500);
            }
        }
    }
}
