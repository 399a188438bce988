//! COMPRESS and its family.
//!
//! ```text
//! ┌────────────────────────┬──────────────┬───┐
//! │ bytes of the text      │ zlib stream  │ . │  the point only behind a stream that ends in a blank,
//! │ 4 bytes, little-endian │              │   │  which a CHAR column would lose
//! └────────────────────────┴──────────────┴───┘   the empty string is itself
//! ```

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::{Bound, Call, Eval, Function, bound, fits_packet, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// Bytes before the stream.
const HEAD: usize = 4;
/// The two highest bits of the length mean something else.
const LENGTH_BITS: u32 = 0x3fff_ffff;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("compress", 1, 1, |args, ctx| of_bytes(bytes(), args, ctx, compress)),
    pure("uncompress", 1, 1, |args, ctx| of_bytes(bytes(), args, ctx, uncompress)),
    pure("uncompressed_length", 1, 1, |args, ctx| {
        of_bytes(SqlType::bigint_width(10), args, ctx, |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            if call.bytes(0).is_empty() {
                return Ok(Value::Int(0));
            }
            Ok(match length(call) {
                Some((length, _)) => Value::Int(i64::from(length)),
                None => Value::Null,
            })
        })
    }),
];

fn bytes() -> SqlType {
    SqlType::longtext(CollationId::BINARY)
}

fn of_bytes(ty: SqlType, args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let args = args.into_iter().map(|arg| build::as_string(arg, ctx)).collect();
    Ok(bound(ty, args, eval))
}

fn compress(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let text = call.bytes(0);
    let Ok(length) = u32::try_from(text.len()) else { return Ok(Value::Null) };
    if text.is_empty() {
        return Ok(Value::Bytes(Vec::new()));
    }
    let mut encoder = ZlibEncoder::new(length.to_le_bytes().to_vec(), Compression::default());
    // A vector takes every byte.
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    let Ok(mut out) = written else { return Ok(Value::Null) };
    if out.last() == Some(&b' ') {
        out.push(b'.');
    }
    Ok(Value::Bytes(out))
}

/// The length that stands before the stream, and the stream; `None` (after a warning) when there is none.
fn length<'a>(call: &'a Call<'_>) -> Option<(u32, &'a [u8])> {
    match call.bytes(0).split_first_chunk::<HEAD>() {
        Some((head, stream)) if !stream.is_empty() => {
            Some((u32::from_le_bytes(*head) & LENGTH_BITS, stream))
        }
        _ => {
            call.ctx.warn(Error::corrupt_compressed());
            None
        }
    }
}

fn uncompress(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    if call.bytes(0).is_empty() {
        return Ok(Value::Bytes(Vec::new()));
    }
    let Some((length, stream)) = length(call) else { return Ok(Value::Null) };
    if u64::from(length) > call.ctx.max_allowed_packet {
        call.ctx.warn(Error::too_big_uncompressed(call.ctx.max_allowed_packet));
        return Ok(Value::Null);
    }
    // Not more than was announced is made, whatever the stream says; nor is room made before there is something to put in.
    let mut out = Vec::new();
    let read = ZlibDecoder::new(stream).take(u64::from(length) + 1).read_to_end(&mut out);
    if read.is_err() || out.len() != length as usize || !fits_packet(call, out.len() as u64) {
        call.ctx.warn(Error::corrupt_compressed());
        return Ok(Value::Null);
    }
    Ok(Value::Bytes(out))
}
