//! Payloads: the words of the protocol as pure functions over bytes.
//!
//! Reading order: this file (integers and strings), `handshake`, `command`, `parameter`, `response`,
//! `column`, `row`.
//!
//! Names and layouts are those of the MySQL 8.0 source documentation, "Client/Server Protocol".
//!
//! Not here: framing (`packet`), sockets (`channel`).

pub mod column;
pub mod command;
pub mod handshake;
pub mod parameter;
pub mod response;
pub mod row;

/// A payload that does not hold what its kind demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed packet: {0}")]
pub struct Malformed(
    /// What could not be read.
    pub &'static str,
);

/// Takes values from the front of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// What has not been taken.
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `payload`.
    pub fn new(payload: &'a [u8]) -> Reader<'a> {
        Reader { rest: payload }
    }

    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that has not been taken.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed(what))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    /// Two bytes.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// Four bytes.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// Eight bytes.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A length-encoded integer.
    pub fn length(&mut self, what: &'static str) -> Result<u64, Malformed> {
        match self.u8(what)? {
            0xfc => Ok(self.u16(what)?.into()),
            0xfd => {
                let [a, b, c] = self.array(what)?;
                Ok(u32::from_le_bytes([a, b, c, 0]).into())
            }
            0xfe => self.u64(what),
            0xfb | 0xff => Err(Malformed(what)),
            small => Ok(small.into()),
        }
    }

    /// Bytes behind their length-encoded length.
    pub fn length_bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.length(what)?).map_err(|_| Malformed(what))?;
        self.bytes(length, what)
    }

    /// Bytes up to a NUL, which is taken too.
    pub fn nul_bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(Malformed(what))?;
        let taken = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(taken)
    }

    /// Bytes up to a NUL, which is taken too, or up to the end.
    pub fn nul_bytes_or_rest(&mut self) -> &'a [u8] {
        match self.nul_bytes("string") {
            Ok(bytes) => bytes,
            Err(_) => std::mem::take(&mut self.rest),
        }
    }
}

/// Appends a length-encoded integer.
pub fn put_length(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=0xfa => out.push(value as u8),
        0xfb..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xff_ffff => {
            out.push(0xfd);
            out.extend_from_slice(&(value as u32).to_le_bytes()[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Appends bytes behind their length-encoded length.
pub fn put_length_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_change_form_at_their_bounds() {
        let encoded = |value| {
            let mut out = Vec::new();
            put_length(&mut out, value);
            out
        };
        assert_eq!(encoded(250), [250]);
        assert_eq!(encoded(251), [0xfc, 251, 0]);
        assert_eq!(encoded(0xffff), [0xfc, 0xff, 0xff]);
        assert_eq!(encoded(0x1_0000), [0xfd, 0, 0, 1]);
        assert_eq!(encoded(0x100_0000), [0xfe, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn length_beyond_the_payload_is_malformed() {
        assert!(Reader::new(&[5, b'a']).length_bytes("text").is_err());
        assert!(
            Reader::new(&[0xfe, 255, 255, 255, 255, 255, 255, 255, 255]).length_bytes("x").is_err()
        );
        assert!(Reader::new(b"no end").nul_bytes("text").is_err());
    }

    proptest! {
        #[test]
        fn lengths_come_back(value: u64) {
            let mut out = Vec::new();
            put_length(&mut out, value);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.length("n"), Ok(value));
            prop_assert!(reader.is_empty());
        }
    }
}
