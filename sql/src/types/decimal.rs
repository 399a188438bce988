//! DECIMAL: exact numbers, `unscaled × 10^-scale` with a 256-bit `unscaled`.
//!
//! Columns hold up to 65 digits, 30 of them after the point. Intermediate results may carry more
//! fraction digits: like MySQL, a division computes whole groups of nine fraction digits, and a value
//! is rounded to its type's scale only when it leaves the expression (shown, stored, made a key or a
//! column of a batch). So `1/3*3` is 1.0000 although `1/3` shows 0.3333.
//!
//! Arithmetic takes the 128-bit path when both sides and the result fit, which is nearly always.
//!
//! Equal numbers are equal values whatever their scales: `1.0 == 1.00`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

use arrow::datatypes::i256;
use num_bigint::BigInt;

/// Most digits of a DECIMAL.
pub const PRECISION_MAX: u8 = 65;
/// Most digits after the point of a DECIMAL column.
pub const SCALE_MAX: u8 = 30;
/// Most digits after the point inside an expression.
const SCALE_INSIDE_MAX: u8 = 36;
/// MySQL stores nine digits per word; divisions compute whole words.
const WORD_DIGITS: u32 = 9;

/// Powers of ten that fit 256 bits.
static POWERS: LazyLock<[i256; 77]> = LazyLock::new(|| {
    let mut powers = [i256::ONE; 77];
    for n in 1..77 {
        powers[n] = powers[n - 1].wrapping_mul(i256::from_i128(10));
    }
    powers
});

/// 10^n for n below 77.
fn power(n: u32) -> Option<i256> {
    POWERS.get(n as usize).copied()
}

/// An exact decimal number.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    unscaled: i256,
    scale: u8,
}

/// A number read from the start of a text.
#[derive(Clone, Copy, Debug)]
pub struct ParsedDecimal {
    /// The number, clamped to 65 digits when it has more.
    pub value: Decimal,
    /// Bytes that belong to the number, leading blanks included; 0 when there is none.
    pub consumed: usize,
    /// Whether the number had more than 65 digits before the point.
    pub overflow: bool,
}

impl Decimal {
    /// 0.
    pub const ZERO: Decimal = Decimal { unscaled: i256::ZERO, scale: 0 };

    /// `unscaled × 10^-scale`.
    pub fn new(unscaled: i256, scale: u8) -> Decimal {
        Decimal { unscaled, scale }
    }

    /// `unscaled × 10^-scale` from 128 bits.
    pub fn from_i128(unscaled: i128, scale: u8) -> Decimal {
        Decimal { unscaled: i256::from_i128(unscaled), scale }
    }

    /// The digits as one integer.
    pub fn unscaled(&self) -> i256 {
        self.unscaled
    }

    /// Digits after the point.
    pub fn scale(&self) -> u8 {
        self.scale
    }

    /// Whether this is 0.
    pub fn is_zero(&self) -> bool {
        self.unscaled == i256::ZERO
    }

    /// Whether this is below 0.
    pub fn is_negative(&self) -> bool {
        self.unscaled.is_negative()
    }

    /// Digits in all: at least the scale.
    pub fn precision(&self) -> u32 {
        digit_count(self.unscaled).max(u32::from(self.scale))
    }

    /// The largest number with this many digits.
    pub fn largest(precision: u32, scale: u8, negative: bool) -> Decimal {
        let all_nines = power(precision.min(76)).map_or(i256::MAX, |p| p.wrapping_sub(i256::ONE));
        let unscaled = if negative { all_nines.wrapping_neg() } else { all_nines };
        Decimal { unscaled, scale }
    }

    /// Whether the number fits DECIMAL(precision, scale) after rounding to `scale`.
    pub fn fits(&self, precision: u32, scale: u8) -> bool {
        let rounded = self.round(i32::from(scale));
        digit_count(rounded.unscaled) <= precision
    }

    /// Reads a number from the start of a text: blanks, sign, digits, point, exponent.
    pub fn parse(text: &str) -> ParsedDecimal {
        let bytes = text.as_bytes();
        let mut at = bytes.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let negative = bytes.get(at) == Some(&b'-');
        if matches!(bytes.get(at), Some(b'-' | b'+')) {
            at += 1;
        }
        let mut digits: Vec<u8> = Vec::new();
        let whole_start = at;
        while let Some(digit) = bytes.get(at).filter(|b| b.is_ascii_digit()) {
            digits.push(digit - b'0');
            at += 1;
        }
        let mut seen = at - whole_start;
        let mut scale = 0_i64;
        if bytes.get(at) == Some(&b'.') {
            let mut end = at + 1;
            while let Some(digit) = bytes.get(end).filter(|b| b.is_ascii_digit()) {
                digits.push(digit - b'0');
                scale += 1;
                end += 1;
            }
            seen += end - at - 1;
            if seen > 0 {
                at = end;
            }
        }
        if seen == 0 {
            return ParsedDecimal { value: Decimal::ZERO, consumed: 0, overflow: false };
        }
        if let Some((exponent, end)) = parse_exponent(bytes, at) {
            scale -= exponent;
            at = end;
        }
        let (value, overflow) = Decimal::from_digits(&digits, scale, negative);
        ParsedDecimal { value, consumed: at, overflow }
    }

    /// Digits (0–9 each) and a scale of any size, cut to what a DECIMAL can hold.
    fn from_digits(digits: &[u8], scale: i64, negative: bool) -> (Decimal, bool) {
        let first = digits.iter().position(|d| *d != 0).unwrap_or(digits.len());
        let digits = &digits[first..];
        if digits.is_empty() {
            return (Decimal { unscaled: i256::ZERO, scale: scale.clamp(0, 30) as u8 }, false);
        }
        let whole = digits.len() as i64 - scale;
        if whole > i64::from(PRECISION_MAX) {
            return (Decimal::largest(u32::from(PRECISION_MAX), 0, negative), true);
        }
        // Keep at most 30 fraction digits and 65 digits in all; one more decides the rounding.
        let scale_kept =
            scale.min(i64::from(SCALE_MAX)).min(i64::from(PRECISION_MAX) - whole.max(0)).max(0);
        let keep = whole + scale_kept;
        let mut unscaled = i256::ZERO;
        let ten = i256::from_i128(10);
        if keep > 0 {
            for index in 0..keep as usize {
                let digit = digits.get(index).copied().unwrap_or(0);
                unscaled =
                    unscaled.wrapping_mul(ten).wrapping_add(i256::from_i128(i128::from(digit)));
            }
        }
        let next = if keep >= 0 { digits.get(keep as usize).copied().unwrap_or(0) } else { 0 };
        if next >= 5 {
            unscaled = unscaled.wrapping_add(i256::ONE);
        }
        let unscaled = if negative { unscaled.wrapping_neg() } else { unscaled };
        let value = Decimal { unscaled, scale: scale_kept as u8 };
        if digit_count(unscaled) > u32::from(PRECISION_MAX) {
            return match value.limited(PRECISION_MAX) {
                Some(value) => (value, false),
                None => (Decimal::largest(u32::from(PRECISION_MAX), 0, negative), true),
            };
        }
        (value, false)
    }

    /// The whole text as a number; `None` when it is none or has something behind it.
    pub fn from_text(text: &str) -> Option<Decimal> {
        let parsed = Decimal::parse(text);
        (parsed.consumed == text.len() && !text.is_empty() && !parsed.overflow)
            .then_some(parsed.value)
    }

    /// The shortest decimal that reads as this `f64`; `None` beyond 65 digits.
    pub fn from_f64(value: f64) -> Option<Decimal> {
        let parsed = Decimal::parse(&format!("{value:e}"));
        (!parsed.overflow).then_some(parsed.value)
    }

    /// The nearest `f64`.
    pub fn to_f64(&self) -> f64 {
        if let Some(small) = self.unscaled.to_i128()
            && small.unsigned_abs() < 1 << 53
            && self.scale <= 22
        {
            // Both are exact in binary, so one division rounds once.
            return small as f64 / 10_f64.powi(i32::from(self.scale));
        }
        self.to_string().parse().unwrap_or(0.0)
    }

    /// The nearest integer, halves away from zero.
    pub fn to_integer(&self) -> Option<i128> {
        self.round(0).unscaled.to_i128()
    }

    /// The same number with exactly this scale, rounded half away from zero; `None` on overflow.
    pub fn rescale(&self, scale: u8) -> Option<Decimal> {
        match scale.cmp(&self.scale) {
            Ordering::Equal => Some(*self),
            Ordering::Less => Some(self.round(i32::from(scale))),
            Ordering::Greater => {
                let factor = power(u32::from(scale - self.scale))?;
                Some(Decimal { unscaled: self.unscaled.checked_mul(factor)?, scale })
            }
        }
    }

    /// ROUND(x, digits): half away from zero. Negative digits round before the point (scale 0).
    /// More digits than the number has leave its value and widen its scale when that fits.
    pub fn round(&self, digits: i32) -> Decimal {
        self.cut(digits, |quotient, remainder, divisor| {
            // Twice the remainder cannot overflow: it is below a divisor of at most 10^76.
            let twice = remainder.wrapping_abs().checked_mul(i256::from_i128(2));
            if twice.is_none_or(|twice| twice >= divisor) {
                let step = if remainder.is_negative() { i256::MINUS_ONE } else { i256::ONE };
                quotient.wrapping_add(step)
            } else {
                quotient
            }
        })
    }

    /// TRUNCATE(x, digits).
    pub fn truncate(&self, digits: i32) -> Decimal {
        self.cut(digits, |quotient, _, _| quotient)
    }

    /// The largest integer not above.
    pub fn floor(&self) -> Decimal {
        self.cut(0, |quotient, remainder, _| {
            if remainder.is_negative() { quotient.wrapping_sub(i256::ONE) } else { quotient }
        })
    }

    /// The smallest integer not below.
    pub fn ceil(&self) -> Decimal {
        self.cut(0, |quotient, remainder, _| {
            let above = !remainder.is_negative() && remainder != i256::ZERO;
            if above { quotient.wrapping_add(i256::ONE) } else { quotient }
        })
    }

    /// Cuts to `digits` after the point; `adjust` sees quotient, remainder and divisor.
    fn cut(&self, digits: i32, adjust: impl Fn(i256, i256, i256) -> i256) -> Decimal {
        let drop = i32::from(self.scale) - digits;
        if drop <= 0 {
            let wider = u8::try_from(digits).unwrap_or(SCALE_INSIDE_MAX).min(SCALE_INSIDE_MAX);
            return self.widen(wider.max(self.scale));
        }
        let scale = digits.max(0) as u8;
        let Some(divisor) = power(drop as u32) else {
            return Decimal { unscaled: i256::ZERO, scale };
        };
        let quotient = self.unscaled.wrapping_div(divisor);
        let remainder = self.unscaled.wrapping_rem(divisor);
        let rounded = adjust(quotient, remainder, divisor);
        if digits >= 0 {
            return Decimal { unscaled: rounded, scale };
        }
        // Digits before the point became zeros again.
        let back = power(digits.unsigned_abs()).and_then(|p| rounded.checked_mul(p));
        Decimal { unscaled: back.unwrap_or(i256::ZERO), scale: 0 }
    }

    /// The same value with a larger scale, as far as it fits.
    fn widen(&self, scale: u8) -> Decimal {
        self.rescale(scale).unwrap_or(*self)
    }

    /// Drops fraction digits until the number has at most `precision` digits.
    fn limited(&self, precision: u8) -> Option<Decimal> {
        let digits = digit_count(self.unscaled);
        let excess = digits.saturating_sub(u32::from(precision));
        if excess == 0 {
            return Some(*self);
        }
        if excess > u32::from(self.scale) {
            return None;
        }
        let rounded = self.round(i32::from(self.scale) - excess as i32);
        if digit_count(rounded.unscaled) <= u32::from(precision) {
            Some(rounded)
        } else if rounded.scale > 0 {
            Some(rounded.round(i32::from(rounded.scale) - 1))
        } else {
            None
        }
    }

    /// −x.
    pub fn negate(&self) -> Decimal {
        Decimal { unscaled: self.unscaled.wrapping_neg(), scale: self.scale }
    }

    /// |x|.
    pub fn abs(&self) -> Decimal {
        if self.is_negative() { self.negate() } else { *self }
    }

    /// a + b; `None` beyond 65 digits.
    pub fn add(&self, other: &Decimal) -> Option<Decimal> {
        self.add_signed(other, false)
    }

    /// a − b; `None` beyond 65 digits.
    pub fn subtract(&self, other: &Decimal) -> Option<Decimal> {
        self.add_signed(other, true)
    }

    fn add_signed(&self, other: &Decimal, subtract: bool) -> Option<Decimal> {
        if self.scale == other.scale
            && let (Some(a), Some(b)) = (self.unscaled.to_i128(), other.unscaled.to_i128())
            && let Some(sum) = if subtract { a.checked_sub(b) } else { a.checked_add(b) }
        {
            return Some(Decimal::from_i128(sum, self.scale));
        }
        let mut scale = self.scale.max(other.scale);
        loop {
            if let (Some(a), Some(b)) = (self.rescale(scale), other.rescale(scale)) {
                let sum = if subtract {
                    a.unscaled.checked_sub(b.unscaled)
                } else {
                    a.unscaled.checked_add(b.unscaled)
                };
                if let Some(unscaled) = sum {
                    return Decimal { unscaled, scale }.limited(PRECISION_MAX);
                }
            }
            // So many digits that the fraction does not fit beside them: shorten it.
            scale = scale.checked_sub(1)?;
        }
    }

    /// a × b, the scales added (at most 30 digits after the point); `None` beyond 65 digits.
    pub fn multiply(&self, other: &Decimal) -> Option<Decimal> {
        let scale = self.scale + other.scale;
        if let (Some(a), Some(b)) = (self.unscaled.to_i128(), other.unscaled.to_i128())
            && let Some(product) = a.checked_mul(b)
        {
            return Decimal::from_i128(product, scale).at_most_scale_max();
        }
        if let Some(unscaled) = self.unscaled.checked_mul(other.unscaled) {
            return Decimal { unscaled, scale }.at_most_scale_max();
        }
        let product = big(self.unscaled) * big(other.unscaled);
        from_big(product, u32::from(scale))
    }

    fn at_most_scale_max(self) -> Option<Decimal> {
        let kept = if self.scale > SCALE_MAX { self.round(i32::from(SCALE_MAX)) } else { self };
        kept.limited(PRECISION_MAX)
    }

    /// a / b with at least `increment` more fraction digits than a, computed in whole groups of nine
    /// like MySQL and cut, not rounded. `None` when b is 0 or beyond 65 digits before the point.
    pub fn divide(&self, other: &Decimal, increment: u8) -> Option<Decimal> {
        if other.is_zero() {
            return None;
        }
        let words = |scale: u32| scale.div_ceil(WORD_DIGITS) * WORD_DIGITS;
        let (a, b) = (u32::from(self.scale), u32::from(other.scale));
        let already = (words(a) - a) + (words(b) - b);
        let wanted = words(words(a) + words(b) + u32::from(increment).saturating_sub(already));
        let least = (a + u32::from(increment)).min(u32::from(SCALE_MAX));
        let mut scale = wanted.min(u32::from(SCALE_INSIDE_MAX)).max(least);
        // The type promises a's scale plus the increment; digits beyond it give way to digits before
        // the point.
        loop {
            let exponent = scale + b - a.min(scale + b);
            let shrink = a.saturating_sub(scale + b);
            let quotient = power(exponent)
                .and_then(|factor| self.unscaled.checked_mul(factor))
                .map(|dividend| dividend.wrapping_div(other.unscaled))
                .or_else(|| {
                    let dividend = big(self.unscaled) * BigInt::from(10).pow(exponent);
                    to_i256(&(dividend / big(other.unscaled)))
                });
            if let Some(unscaled) = quotient {
                let unscaled = power(shrink).map_or(i256::ZERO, |p| unscaled.wrapping_div(p));
                let value = Decimal { unscaled, scale: scale as u8 };
                if digit_count(unscaled) <= 72 {
                    return Some(value);
                }
                if scale <= least {
                    return value.limited(PRECISION_MAX);
                }
            }
            if scale == 0 {
                return None;
            }
            scale = if scale > least { least } else { scale - 1 };
        }
    }

    /// a DIV b: the quotient without fraction; `None` when b is 0 or the quotient needs > 128 bits.
    pub fn divide_integer(&self, other: &Decimal) -> Option<i128> {
        if other.is_zero() {
            return None;
        }
        let (a, b) = aligned(self, other);
        let quotient = a / b;
        i128::try_from(quotient).ok()
    }

    /// a MOD b, with the sign of a; `None` when b is 0.
    pub fn remainder(&self, other: &Decimal) -> Option<Decimal> {
        if other.is_zero() {
            return None;
        }
        let scale = self.scale.max(other.scale);
        let (a, b) = aligned(self, other);
        from_big(a % b, u32::from(scale))
    }

    /// Sign and big-endian magnitude of the number at DECIMAL(precision, scale), for keys
    /// (`engine::key::KeyBuilder::put_decimal`). A number outside the type takes the nearest end;
    /// assigned values never are.
    pub fn sign_and_magnitude(&self, precision: u32, scale: u8) -> (bool, [u8; 32]) {
        let clamped = if self.fits(precision, scale) {
            self.rescale(scale).unwrap_or(*self)
        } else {
            Decimal::largest(precision, scale, self.is_negative())
        };
        (clamped.is_negative(), clamped.unscaled.wrapping_abs().to_be_bytes())
    }

    /// The number without trailing zeros after the point.
    pub fn normalized(&self) -> Decimal {
        let mut value = *self;
        let ten = i256::from_i128(10);
        while value.scale > 0 && value.unscaled.wrapping_rem(ten) == i256::ZERO {
            value = Decimal { unscaled: value.unscaled.wrapping_div(ten), scale: value.scale - 1 };
        }
        value
    }
}

/// Exponent `e±digits` at `at`: its value and where it ends.
fn parse_exponent(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    if !matches!(bytes.get(at), Some(b'e' | b'E')) {
        return None;
    }
    let mut end = at + 1;
    let negative = bytes.get(end) == Some(&b'-');
    if matches!(bytes.get(end), Some(b'-' | b'+')) {
        end += 1;
    }
    let start = end;
    let mut exponent = 0_i64;
    while let Some(digit) = bytes.get(end).filter(|b| b.is_ascii_digit()) {
        // Beyond this nothing changes any more: all digits are gone or the number overflows.
        exponent = (exponent * 10 + i64::from(digit - b'0')).min(1_000_000);
        end += 1;
    }
    (end > start).then_some((if negative { -exponent } else { exponent }, end))
}

/// Digits of |x|; 0 has none.
fn digit_count(unscaled: i256) -> u32 {
    if let Some(small) = unscaled.to_i128() {
        return small.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1);
    }
    let magnitude = unscaled.wrapping_abs();
    POWERS.iter().position(|p| *p > magnitude).unwrap_or(77) as u32
}

fn big(value: i256) -> BigInt {
    BigInt::from_signed_bytes_le(&value.to_le_bytes())
}

fn to_i256(value: &BigInt) -> Option<i256> {
    let bytes = value.to_signed_bytes_le();
    if bytes.len() > 32 {
        return None;
    }
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut full = [if negative { 0xff } else { 0 }; 32];
    full[..bytes.len()].copy_from_slice(&bytes);
    Some(i256::from_le_bytes(full))
}

/// A big number with a scale, rounded half away from zero to at most 30 fraction and 65 digits.
fn from_big(mut value: BigInt, mut scale: u32) -> Option<Decimal> {
    loop {
        if scale <= u32::from(SCALE_MAX)
            && let Some(unscaled) = to_i256(&value)
        {
            return Decimal { unscaled, scale: scale as u8 }.limited(PRECISION_MAX);
        }
        let digits = value.magnitude().to_string().len() as u32;
        let drop = (scale.saturating_sub(u32::from(SCALE_MAX)))
            .max(digits.saturating_sub(u32::from(PRECISION_MAX)));
        if drop == 0 || drop > scale {
            return None;
        }
        let divisor = BigInt::from(10).pow(drop);
        let half = &divisor / 2;
        let sign = if value.sign() == num_bigint::Sign::Minus { -1 } else { 1 };
        value = (value + half * sign) / divisor;
        scale -= drop;
    }
}

/// Both numbers as integers of one scale.
fn aligned(a: &Decimal, b: &Decimal) -> (BigInt, BigInt) {
    let scale = a.scale.max(b.scale);
    let raise = |d: &Decimal| big(d.unscaled) * BigInt::from(10).pow(u32::from(scale - d.scale));
    (raise(a), raise(b))
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        Decimal::from_i128(i128::from(value), 0)
    }
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Decimal {
        Decimal::from_i128(i128::from(value), 0)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        if self.scale == other.scale {
            return self.unscaled.cmp(&other.unscaled);
        }
        let scale = self.scale.max(other.scale);
        if let (Some(a), Some(b)) = (self.rescale(scale), other.rescale(scale)) {
            return a.unscaled.cmp(&b.unscaled);
        }
        let (a, b) = aligned(self, other);
        a.cmp(&b)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.unscaled.to_i128() {
            Some(small) => small.unsigned_abs().to_string(),
            None => big(self.unscaled).magnitude().to_string(),
        };
        if self.is_negative() {
            f.write_str("-")?;
        }
        let scale = usize::from(self.scale);
        if scale == 0 {
            return f.write_str(&digits);
        }
        if digits.len() > scale {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            write!(f, "{whole}.{fraction}")
        } else {
            write!(f, "0.{digits:0>scale$}")
        }
    }
}

#[cfg(test)]
#[path = "decimal_tests.rs"]
mod tests;
