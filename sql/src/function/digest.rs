//! MD5, SHA, CRC32.

use aws_lc_rs::digest::{self, Algorithm};
use md5::Digest;

use super::{Bound, Call, Function, bound, pure};
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("md5", 1, 1, |args, ctx| hash(args, ctx, 32, |c| hex(c, &md5::Md5::digest(c.bytes(0))))),
    pure("sha", 1, 1, |args, ctx| hash(args, ctx, 40, sha1)),
    pure("sha1", 1, 1, |args, ctx| hash(args, ctx, 40, sha1)),
    pure("sha2", 2, 2, |mut args, ctx| {
        let bits = build::as_integer(args.remove(1), ctx);
        let mut bound = hash(args, ctx, 128, sha2)?;
        bound.args.push(bits);
        Ok(bound)
    }),
    pure("crc32", 1, 1, |mut args, ctx| {
        let arg = build::as_string(args.swap_remove(0), ctx);
        let ty = SqlType::bigint_width(10).unsigned().with_nullable(arg.ty.nullable);
        Ok(bound(ty, vec![arg], |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            Ok(Value::UInt(u64::from(crc32fast::hash(call.bytes(0)))))
        }))
    }),
];

fn hash(mut args: Vec<Expr>, ctx: &EvalContext, length: u32, eval: super::Eval) -> Result<Bound> {
    let arg = build::as_string(args.swap_remove(0), ctx);
    Ok(bound(SqlType::varchar(length, build::text_collation(ctx)), vec![arg], eval))
}

/// Small hexadecimal digits; NULL when an argument is.
fn hex(call: &Call<'_>, bytes: &[u8]) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let mut text = super::encoding::hex_text(bytes);
    text.make_ascii_lowercase();
    Ok(call.string(text))
}

fn sha1(call: &Call<'_>) -> Result<Value> {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, call.bytes(0));
    hex(call, digest.as_ref())
}

fn sha2(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let algorithm: &'static Algorithm = match call.int(1) {
        0 | 256 => &digest::SHA256,
        224 => &digest::SHA224,
        384 => &digest::SHA384,
        512 => &digest::SHA512,
        _ => {
            call.ctx.warn(Error::wrong_native_parameters("sha2"));
            return Ok(Value::Null);
        }
    };
    hex(call, digest::digest(algorithm, call.bytes(0)).as_ref())
}
