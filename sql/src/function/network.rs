//! Addresses as numbers.

use super::{Function, bound, pure};
use crate::expr::build;
use crate::types::SqlType;
use crate::value::Value;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("inet_aton", 1, 1, |mut args, ctx| {
        let arg = build::as_string(args.swap_remove(0), ctx);
        Ok(bound(SqlType::bigint_width(21).unsigned(), vec![arg], |call| {
            Ok(address(call.bytes(0)).map_or(Value::Null, Value::UInt))
        }))
    }),
    pure("inet_ntoa", 1, 1, |mut args, ctx| {
        let arg = build::as_integer(args.swap_remove(0), ctx);
        let ty = SqlType::varchar(31, build::text_collation(ctx));
        Ok(bound(ty, vec![arg], |call| {
            let number = u32::try_from(call.bits(0));
            Ok(match number {
                Ok(number) if !call.any_null() => {
                    let [a, b, c, d] = number.to_be_bytes();
                    call.string(format!("{a}.{b}.{c}.{d}").into_bytes())
                }
                _ => Value::Null,
            })
        }))
    }),
];

/// `a.b.c.d`, also with fewer parts: then the last one fills the rest, as MySQL reads `127.1`.
fn address(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let parts: Vec<&str> = text.split('.').collect();
    if text.is_empty() || parts.len() > 4 {
        return None;
    }
    let mut numbers = Vec::with_capacity(4);
    for part in &parts {
        let good = !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
        let number: u64 = if good { part.parse().ok()? } else { return None };
        if number > 255 {
            return None;
        }
        numbers.push(number);
    }
    let last = numbers.pop()?;
    let high = numbers.iter().fold(0, |sum, number| sum << 8 | number);
    let missing = 4 - numbers.len() as u32;
    Some(high << (8 * missing) | last)
}
