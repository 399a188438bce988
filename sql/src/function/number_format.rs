//! FORMAT: numbers with separators.

use super::{Bound, Call, Function, bound, pure};
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::types::decimal::SCALE_MAX;
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[pure("format", 2, 3, format_number)];

/// FORMAT(number, digits): rounded, with commas between thousands (locale en_US).
fn format_number(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    if let Some(locale) = args.get(2) {
        let english = locale
            .as_literal()
            .and_then(Value::as_text)
            .is_some_and(|name| name.to_ascii_lowercase().starts_with("en_"));
        if !english {
            return Err(Error::not_supported("FORMAT in a locale other than en_US"));
        }
        args.truncate(2);
    }
    let digits = build::as_integer(args.remove(1), ctx);
    let number = args.remove(0);
    let number = if build::numeric_domain(&number.ty) == crate::types::Domain::Double {
        build::as_double(number, ctx)
    } else {
        build::as_decimal(number, ctx)
    };
    let ty = SqlType::varchar(65 + 65 / 3 + 32, build::text_collation(ctx));
    Ok(bound(ty, vec![number, digits], render))
}

fn render(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let digits = call.int(1).clamp(0, i64::from(SCALE_MAX)) as usize;
    let text = match &call.args[0] {
        Value::Decimal(number) => number.round(digits as i32).to_string(),
        _ => format!("{:.digits$}", super::numeric::round_double(call.double(0), digits as i64)),
    };
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest.to_owned()),
        None => ("", text),
    };
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole.to_owned(), Some(fraction.to_owned())),
        None => (text.clone(), None),
    };
    let mut out = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(&fraction);
    }
    Ok(call.string(out.into_bytes()))
}
