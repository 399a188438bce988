//! Addresses of networks as numbers and bytes.
//!
//! IPv4 has two readers: INET_ATON takes short forms (`127.1`), the others four parts and no less, as MySQL does.

use std::net::Ipv6Addr;

use super::{Bound, Call, Eval, Function, bound, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

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
                    call.string(four_parts(number.to_be_bytes()).into_bytes())
                }
                _ => Value::Null,
            })
        }))
    }),
    pure("inet6_aton", 1, 1, |args, ctx| {
        of_string(SqlType::varchar(16, CollationId::BINARY), args, ctx, |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            let text = call.bytes(0);
            let found = four_bytes(text).map(|bytes| bytes.to_vec());
            match found.or_else(|| sixteen_bytes(text).map(|bytes| bytes.to_vec())) {
                Some(bytes) => Ok(Value::Bytes(bytes)),
                None => Ok(no_address(call)),
            }
        })
    }),
    pure("inet6_ntoa", 1, 1, |args, ctx| {
        of_string(SqlType::varchar(39, build::text_collation(ctx)), args, ctx, |call| {
            if call.any_null() {
                return Ok(Value::Null);
            }
            let text = match (<[u8; 4]>::try_from(call.bytes(0)), words(call.bytes(0))) {
                (Ok(bytes), _) => four_parts(bytes),
                (_, Some(words)) => eight_words(words),
                _ => return Ok(no_address(call)),
            };
            Ok(call.string(text.into_bytes()))
        })
    }),
    pure("is_ipv4", 1, 1, |args, ctx| is(args, ctx, |c| test(c, |b| four_bytes(b).is_some()))),
    pure("is_ipv6", 1, 1, |args, ctx| is(args, ctx, |c| test(c, |b| sixteen_bytes(b).is_some()))),
    pure("is_ipv4_compat", 1, 1, |args, ctx| {
        // `::` and `::1` are addresses of their own.
        is(args, ctx, |c| {
            test(
                c,
                |b| matches!(words(b), Some([0, 0, 0, 0, 0, 0, high, low]) if high > 0 || low > 1),
            )
        })
    }),
    pure("is_ipv4_mapped", 1, 1, |args, ctx| {
        is(args, ctx, |c| test(c, |b| matches!(words(b), Some([0, 0, 0, 0, 0, 0xffff, _, _]))))
    }),
];

fn of_string(ty: SqlType, args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let args = args.into_iter().map(|arg| build::as_string(arg, ctx)).collect();
    Ok(bound(ty, args, eval))
}

fn is(args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    of_string(SqlType::boolean(), args, ctx, eval)
}

fn test(call: &Call<'_>, holds: impl Fn(&[u8]) -> bool) -> Result<Value> {
    Ok(if call.any_null() { Value::Null } else { Value::boolean(holds(call.bytes(0))) })
}

/// NULL, and a warning that shows the argument as it is written.
fn no_address(call: &Call<'_>) -> Value {
    call.ctx.warn(Error::incorrect_function_value("string", &call.exprs[0], call.name));
    Value::Null
}

/// `a.b.c.d`, also with fewer parts: then the last one fills the rest, as MySQL reads `127.1`.
fn address(text: &[u8]) -> Option<u64> {
    let mut numbers = parts(text)?;
    if numbers.len() > 4 {
        return None;
    }
    let last = numbers.pop()?;
    let high = numbers.iter().fold(0, |sum, number| sum << 8 | u64::from(*number));
    let missing = 4 - numbers.len() as u32;
    Some(high << (8 * missing) | u64::from(last))
}

/// Decimal numbers below 256 with points between.
fn parts(text: &[u8]) -> Option<Vec<u8>> {
    let part = |part: &[u8]| -> Option<u8> {
        let good = (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(part).ok().filter(|_| good)?.parse().ok()
    };
    text.split(|byte| *byte == b'.').map(part).collect()
}

/// The bytes of `a.b.c.d`.
fn four_bytes(text: &[u8]) -> Option<[u8; 4]> {
    parts(text)?.try_into().ok()
}

/// The bytes of an IPv6 address.
fn sixteen_bytes(text: &[u8]) -> Option<[u8; 16]> {
    let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.octets())
}

/// The words of an IPv6 address in bytes.
fn words(bytes: &[u8]) -> Option<[u16; 8]> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    Some(Ipv6Addr::from(bytes).segments())
}

fn four_parts([a, b, c, d]: [u8; 4]) -> String {
    format!("{a}.{b}.{c}.{d}")
}

/// The text of an IPv6 address: the first of the longest runs of zero words is `::`, even one of one word, and what holds an
/// IPv4 address ends like one.
fn eight_words(words: [u16; 8]) -> String {
    let run = |start: usize| words[start..].iter().take_while(|word| **word == 0).count();
    let longest = (0..8).map(run).max().unwrap_or(0);
    let gap = (0..8).find(|start| longest > 0 && run(*start) == longest);
    let holds_four = gap == Some(0) && (longest == 6 || (longest == 5 && words[5] == 0xffff));
    let mut out = String::new();
    let mut place = 0;
    while place < 8 {
        if gap == Some(place) {
            out.push_str(if place == 0 { "::" } else { ":" });
            place += longest;
            continue;
        }
        if place == 6 && holds_four {
            let [a, b] = words[6].to_be_bytes();
            let [c, d] = words[7].to_be_bytes();
            out.push_str(&four_parts([a, b, c, d]));
            break;
        }
        out.push_str(&format!("{:x}", words[place]));
        if place < 7 {
            out.push(':');
        }
        place += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_mysql_shows_them() {
        for (text, shown) in [
            ("::", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("fdfe::5a55:caff:fefa:9089", "fdfe::5a55:caff:fefa:9089"),
            ("1:0:2:3:4:5:6:7", "1::2:3:4:5:6:7"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("::ffff:10.0.5.9", "::ffff:10.0.5.9"),
            ("::10.0.5.9", "::10.0.5.9"),
        ] {
            let bytes = sixteen_bytes(text.as_bytes()).unwrap();
            assert_eq!(eight_words(words(&bytes).unwrap()), shown);
        }
    }

    #[test]
    fn parts_are_numbers_below_256() {
        assert_eq!(four_bytes(b"10.0.5.9"), Some([10, 0, 5, 9]));
        for bad in ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "1..2.3", "a.b.c.d", "+1.2.3.4"] {
            assert_eq!(four_bytes(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(address(b"127.1"), Some(0x7f00_0001));
    }
}
