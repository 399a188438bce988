//! Tests of DECIMAL.

use super::*;
use proptest::prelude::*;

fn d(text: &str) -> Decimal {
    Decimal::from_text(text).expect(text)
}

#[test]
fn text_round_trips() {
    let all_digits = "9".repeat(65);
    for text in
        ["0", "1", "-1", "0.5", "-0.05", "123.450", &all_digits, "0.000000000000000000000000000001"]
    {
        assert_eq!(d(text).to_string(), text);
    }
    assert_eq!(d("1e3").to_string(), "1000");
    assert_eq!(d("1.5e-3").to_string(), "0.0015");
    assert_eq!(d("+.5").to_string(), "0.5");
}

#[test]
fn garbage_behind_a_number_is_not_consumed() {
    let parsed = Decimal::parse("  12.5abc");
    assert_eq!((parsed.value.to_string().as_str(), parsed.consumed), ("12.5", 6));
    assert_eq!(Decimal::parse("abc").consumed, 0);
    assert_eq!(Decimal::parse(".").consumed, 0);
    assert_eq!(Decimal::parse("1e").consumed, 1);
}

#[test]
fn more_than_65_digits_overflow() {
    let parsed = Decimal::parse(&"9".repeat(66));
    assert!(parsed.overflow);
    assert_eq!(parsed.value.to_string(), "9".repeat(65));
    assert!(d(&"9".repeat(65)).add(&d("1")).is_none());
    assert!(d(&"9".repeat(65)).multiply(&d("10")).is_none());
}

#[test]
fn halves_round_away_from_zero() {
    for (text, digits, wanted) in [
        ("2.5", 0, "3"),
        ("-2.5", 0, "-3"),
        ("2.45", 1, "2.5"),
        ("2.449", 1, "2.4"),
        ("15", -1, "20"),
        ("14.9", -1, "10"),
        ("99.99", 1, "100.0"),
        ("5", -2, "0"),
        ("1.5", 3, "1.500"),
    ] {
        assert_eq!(d(text).round(digits).to_string(), wanted, "{text} to {digits}");
    }
    assert_eq!(d("-1.999").truncate(2).to_string(), "-1.99");
    assert_eq!(d("-1.5").floor().to_string(), "-2");
    assert_eq!(d("-1.5").ceil().to_string(), "-1");
    assert_eq!(d("1.01").ceil().to_string(), "2");
}

#[test]
fn division_keeps_whole_words_inside() {
    let third = d("1").divide(&d("3"), 4).unwrap();
    assert_eq!(third.to_string(), "0.333333333");
    assert_eq!(third.multiply(&d("3")).unwrap().round(4).to_string(), "1.0000");
    assert_eq!(d("7").divide(&d("2"), 4).unwrap().round(4).to_string(), "3.5000");
    assert_eq!(d("-2").divide(&d("3"), 4).unwrap().round(4).to_string(), "-0.6667");
    assert!(d("1").divide(&d("0"), 4).is_none());
    let wide = d(&"9".repeat(60)).divide(&d("0.3"), 4).unwrap();
    assert!(wide.to_string().starts_with("3333"));
}

#[test]
fn integer_division_and_remainder_truncate_toward_zero() {
    assert_eq!(d("-7.5").divide_integer(&d("2")), Some(-3));
    assert_eq!(d("-7.5").remainder(&d("2")).unwrap().to_string(), "-1.5");
    assert_eq!(d("7").remainder(&d("-2.5")).unwrap().to_string(), "2.0");
}

#[test]
fn equal_numbers_of_different_scale_are_equal() {
    assert_eq!(d("1.0"), d("1.00"));
    assert!(d("1.01") > d("1.001"));
    assert_eq!(d("-0.0"), d("0"));
}

#[test]
fn wide_products_keep_their_leading_digits() {
    let a = d(&format!("{}.{}", "1".repeat(30), "1".repeat(30)));
    let product = a.multiply(&d("1.000000000000000000000000000001")).unwrap();
    assert!(product.to_string().starts_with("111111111111111111111111111111.22222"));
}

proptest! {
    #[test]
    fn addition_undoes_subtraction(a in any::<i64>(), b in any::<i64>(), sa in 0_u8..10, sb in 0_u8..10) {
        let (x, y) = (Decimal::from_i128(i128::from(a), sa), Decimal::from_i128(i128::from(b), sb));
        prop_assert_eq!(x.subtract(&y).unwrap().add(&y).unwrap(), x);
    }

    #[test]
    fn parse_never_panics(text in "\\PC*") {
        let parsed = Decimal::parse(&text);
        prop_assert!(parsed.consumed <= text.len());
    }
}
