//! A write batch as bytes: the command that Raft replicates.
//!
//! Decoding shares one buffer between all keys and values, because applying copies them into the
//! engine anyway.

use crate::{Error, Mutation, Result, WriteBatch};
use bytes::Bytes;

/// Format version of an encoded batch.
const BATCH_VERSION: u8 = 1;
/// Tag of a put.
const PUT: u8 = 1;
/// Tag of a delete.
const DELETE: u8 = 2;

/// The bytes of a batch.
pub fn encode_batch(batch: &WriteBatch) -> Bytes {
    let mut bytes = Vec::with_capacity(8 + batch.bytes() + batch.len() * 5);
    bytes.push(BATCH_VERSION);
    put_varint(&mut bytes, batch.len());
    for mutation in batch.mutations() {
        match mutation {
            Mutation::Put { key, value } => {
                bytes.push(PUT);
                put_chunk(&mut bytes, key);
                put_chunk(&mut bytes, value);
            }
            Mutation::Delete { key } => {
                bytes.push(DELETE);
                put_chunk(&mut bytes, key);
            }
        }
    }
    bytes.into()
}

/// The batch in bytes that `encode_batch` made.
///
/// # Errors
/// `Corrupt` when they are anything else.
pub fn decode_batch(bytes: &[u8]) -> Result<WriteBatch> {
    let bytes = Bytes::copy_from_slice(bytes);
    parse(&bytes).ok_or_else(|| {
        Error::corrupt(
            "write batch",
            format!("its {} bytes are not a batch of version {BATCH_VERSION}", bytes.len()),
        )
    })
}

/// The batch, or `None` when the bytes are no batch.
fn parse(bytes: &Bytes) -> Option<WriteBatch> {
    let (&[BATCH_VERSION], mut rest) = bytes.split_first_chunk()? else { return None };
    let count = take_varint(&mut rest)?;
    let mut batch = WriteBatch::new();
    for _ in 0..count {
        let (&[tag], after) = rest.split_first_chunk()?;
        rest = after;
        let key = bytes.slice_ref(take_chunk(&mut rest)?);
        match tag {
            PUT => batch.put(key, bytes.slice_ref(take_chunk(&mut rest)?)),
            DELETE => batch.delete(key),
            _ => return None,
        }
    }
    rest.is_empty().then_some(batch)
}

/// Appends a length and the bytes it counts.
fn put_chunk(bytes: &mut Vec<u8>, chunk: &[u8]) {
    put_varint(bytes, chunk.len());
    bytes.extend_from_slice(chunk);
}

/// Appends a number, seven bits a byte, lowest first, the top bit set on all but the last.
fn put_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a length and the bytes it counts from the front.
fn take_chunk<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_varint(rest)?;
    let (chunk, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(chunk)
}

/// Takes a number below 2^35 from the front; in its shortest form only, so that equal batches are
/// equal bytes.
fn take_varint(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        let (&[byte], after) = rest.split_first_chunk()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if byte == 0 && shift > 0 { None } else { usize::try_from(number).ok() };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mutations() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..200);
        prop::collection::vec((bytes(), prop::option::of(bytes())), 0..20)
    }

    fn batch_of(mutations: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for (key, value) in mutations {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch
    }

    proptest! {
        #[test]
        fn batches_round_trip(mutations in mutations()) {
            let batch = batch_of(mutations);
            prop_assert_eq!(decode_batch(&encode_batch(&batch)).unwrap(), batch);
        }

        #[test]
        fn every_cut_batch_is_an_error(mutations in mutations(), cut in any::<prop::sample::Index>()) {
            let bytes = encode_batch(&batch_of(mutations));
            prop_assert!(decode_batch(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(batch) = decode_batch(&bytes) {
                prop_assert_eq!(&encode_batch(&batch)[..], &bytes[..]);
            }
        }
    }
}
