//! FORMAT: numbers with separators.

use super::locale::{self, Locale};
use super::{Bound, Call, Function, bound, pure};
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::types::decimal::SCALE_MAX;
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[pure("format", 2, 3, format_number)];

/// FORMAT(number, digits[, locale]): rounded, with the separators of the locale, `en_US` without one.
fn format_number(mut args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let locale = (args.len() > 2).then(|| build::as_string(args.remove(2), ctx));
    let digits = build::as_integer(args.remove(1), ctx);
    let number = args.remove(0);
    let number = if build::numeric_domain(&number.ty) == crate::types::Domain::Double {
        build::as_double(number, ctx)
    } else {
        build::as_decimal(number, ctx)
    };
    let ty = SqlType::varchar(65 + 65 / 3 + 32, build::text_collation(ctx));
    let mut args = vec![number, digits];
    args.extend(locale);
    Ok(bound(ty, args, render))
}

/// The locale that a call names; English, with a warning, when there is none of that name.
fn locale_of(call: &Call<'_>) -> &'static Locale {
    let Some(name) = call.args.get(2) else { return locale::english() };
    let name = String::from_utf8_lossy(name.as_bytes().unwrap_or(b"NULL"));
    locale::find(&name).unwrap_or_else(|| {
        call.ctx.warn(Error::unknown_locale(&name));
        locale::english()
    })
}

fn render(call: &Call<'_>) -> Result<Value> {
    if call.args[..2].iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let locale = locale_of(call);
    let digits = call.int(1).clamp(0, i64::from(SCALE_MAX)) as usize;
    let text = match &call.args[0] {
        Value::Decimal(number) => number.round(digits as i32).to_string(),
        _ => format!("{:.digits$}", super::numeric::round_double(call.double(0), digits as i64)),
    };
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let mut out = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.extend(locale.separator);
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push(locale.point);
        out.push_str(fraction);
    }
    Ok(call.string(out.into_bytes()))
}
