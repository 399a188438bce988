//! WEIGHT_STRING: the bytes by which a collation orders a text.

use super::{Bound, Function, bound, fits_packet, pure};
use crate::Result;
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;

/// This family. The grammar gives the length of AS CHAR(n) and AS BINARY(n) as a second argument.
pub static FUNCTIONS: &[Function] = &[pure("weight_string", 1, 2, weight_string)];

/// Most bytes of a character's weights.
const WEIGHT_BYTES: u32 = 16;

fn weight_string(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    if args.len() == 2 {
        args[0] = build::as_string(args[0].clone(), ctx);
    }
    let length = args[0].ty.length.saturating_mul(WEIGHT_BYTES);
    let ty = SqlType::sized_string(length, CollationId::BINARY, false);
    Ok(bound(ty, args, |call| {
        let collation = call.exprs[0].ty.collation;
        let wanted = call.args.get(1).map(|_| call.bits(1) as usize);
        if !fits_packet(call, wanted.unwrap_or(0) as u64) {
            return Ok(Value::Null);
        }
        Ok(match &call.args[0] {
            Value::Text(text) => Value::Bytes(match wanted {
                None => collation.weight_string(text),
                Some(length) => {
                    let mut text: String = text.chars().take(length).collect();
                    let missing = length - text.chars().count();
                    text.extend(std::iter::repeat_n(' ', missing));
                    collation.weight_string(&text)
                }
            }),
            Value::Bytes(bytes) => {
                let mut bytes = bytes.clone();
                bytes.resize(wanted.unwrap_or(bytes.len()), 0);
                Value::Bytes(bytes)
            }
            // Numbers and dates have no weights.
            _ => Value::Null,
        })
    }))
}
