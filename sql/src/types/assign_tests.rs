//! Tests of assignment to a column.

use super::*;
use crate::types::datetime::TimeZone;

fn strict() -> EvalContext {
    EvalContext { strict_dml: true, ..EvalContext::detached(1_600_000_000_000_000) }
}

fn lax() -> EvalContext {
    EvalContext::detached(1_600_000_000_000_000)
}

/// Stores a value in strict mode: its text, or the error's code.
fn store(value: Value, ty: SqlType) -> String {
    match assign(value, &ty, "c", 1, &strict()) {
        Ok(stored) => stored.to_text(&ty).unwrap_or("NULL".to_owned()),
        Err(error) => error.code.to_string(),
    }
}

/// Stores a value in lax mode: its text and the codes of the warnings.
fn store_lax(value: Value, ty: SqlType) -> String {
    let ctx = lax();
    let stored = assign(value, &ty, "c", 1, &ctx).unwrap();
    let codes: Vec<u16> = ctx.warnings.to_vec().iter().map(|warning| warning.code).collect();
    format!("{} {codes:?}", stored.to_text(&ty).unwrap_or("NULL".to_owned()))
}

fn decimal(text: &str) -> Value {
    Value::Decimal(Decimal::from_text(text).unwrap())
}

#[test]
fn integers_out_of_range() {
    assert_eq!(store(Value::Int(127), SqlType::tinyint()), "127");
    assert_eq!(store(Value::Int(128), SqlType::tinyint()), "1264");
    assert_eq!(store(Value::Int(-1), SqlType::int().unsigned()), "1264");
    assert_eq!(store(Value::UInt(u64::MAX), SqlType::bigint()), "1264");
    assert_eq!(store_lax(Value::Int(300), SqlType::tinyint()), "127 [1264]");
    assert_eq!(store_lax(Value::Double(1e30), SqlType::bigint()), "9223372036854775807 [1264]");
    assert_eq!(store(Value::Double(2.5), SqlType::int()), "3");
    assert_eq!(store(decimal("2.5"), SqlType::int()), "3");
}

#[test]
fn texts_in_numbers() {
    assert_eq!(store(Value::text("12"), SqlType::int()), "12");
    assert_eq!(store(Value::text(" 1.5 "), SqlType::int()), "2");
    assert_eq!(store(Value::text("abc"), SqlType::int()), "1366");
    assert_eq!(store(Value::text("12abc"), SqlType::int()), "1265");
    assert_eq!(store(Value::text(""), SqlType::int()), "1366");
    assert_eq!(store(Value::text("x"), SqlType::double()), "1265");
    assert_eq!(store_lax(Value::text("12abc"), SqlType::int()), "12 [1265]");
}

#[test]
fn decimals_are_rounded_with_a_note() {
    assert_eq!(store(decimal("1.005"), SqlType::decimal(5, 2)), "1.01");
    assert_eq!(store_lax(decimal("1.005"), SqlType::decimal(5, 2)), "1.01 [1265]");
    assert_eq!(store(decimal("1000"), SqlType::decimal(5, 2)), "1264");
    assert_eq!(store_lax(decimal("-1000"), SqlType::decimal(5, 2)), "-999.99 [1264]");
    assert_eq!(store(Value::Int(7), SqlType::decimal(5, 2)), "7.00");
}

#[test]
fn strings_that_are_too_long() {
    let ty = SqlType::varchar(3, CollationId::DEFAULT);
    assert_eq!(store(Value::text("äöü"), ty), "äöü");
    assert_eq!(store(Value::text("äöüx"), ty), "1406");
    assert_eq!(store(Value::text("abc  "), ty), "abc");
    assert_eq!(store_lax(Value::text("abcd"), ty), "abc [1265]");
    assert_eq!(store(Value::text("a  "), SqlType::char(3, CollationId::DEFAULT)), "a");
    assert_eq!(store(Value::Bytes(vec![0xff]), ty), "1366");
    assert_eq!(store_lax(Value::Bytes(b"ab\xffc".to_vec()), ty), "ab [1366]");
    let padded = assign(Value::text("a"), &SqlType::char(3, CollationId::BINARY), "c", 1, &lax());
    assert_eq!(padded.unwrap(), Value::Bytes(vec![b'a', 0, 0]));
    assert_eq!(
        store(Value::text("ä".repeat(128)), SqlType::tinytext(CollationId::DEFAULT)),
        "1406"
    );
}

#[test]
fn moments() {
    assert_eq!(store(Value::text("2020-02-30"), SqlType::date()), "1292");
    assert_eq!(store(Value::text("0000-00-00"), SqlType::date()), "1292");
    assert_eq!(store_lax(Value::text("2020-02-30"), SqlType::date()), "0000-00-00 [1264]");
    assert_eq!(store_lax(Value::text("nonsense"), SqlType::date()), "0000-00-00 [1265]");
    assert_eq!(store_lax(Value::text("2020-01-31 10:00:00"), SqlType::date()), "2020-01-31 [1265]");
    assert_eq!(
        store(Value::text("2020-01-31 10:00:00.5"), SqlType::datetime(0)),
        "2020-01-31 10:00:01"
    );
    assert_eq!(
        store(Value::text("2020-01-31 10:00:00.5"), SqlType::datetime(3)),
        "2020-01-31 10:00:00.500"
    );
    assert_eq!(store(Value::Int(20_200_131), SqlType::date()), "2020-01-31");
    assert_eq!(store(Value::text("25:00"), SqlType::time(0)), "25:00:00");
    assert_eq!(store(Value::text("900:00:00"), SqlType::time(0)), "1292");
    assert_eq!(store(Value::text("2100-01-01"), SqlType::timestamp(0)), "1292");
    assert_eq!(store(Value::text("70"), SqlType::year()), "1970");
}

#[test]
fn timestamps_are_stored_in_utc() {
    let ctx = EvalContext { time_zone: TimeZone::parse("+02:00").unwrap(), ..strict() };
    let stored = assign(Value::text("2020-01-31 01:00:00"), &SqlType::timestamp(0), "c", 1, &ctx);
    assert_eq!(stored.unwrap().to_text(&SqlType::timestamp(0)).unwrap(), "2020-01-30 23:00:00");
}

#[test]
fn null_in_a_not_null_column() {
    assert_eq!(store(Value::Null, SqlType::int()), "NULL");
    assert_eq!(store(Value::Null, SqlType::int().not_null()), "1048");
    assert_eq!(store_lax(Value::Null, SqlType::int().not_null()), "0 [1048]");
}
