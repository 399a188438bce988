//! Row form and vector form give equal values, warnings and errors on random expressions and rows.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use base::Rng;
use proptest::prelude::*;

use super::{Expr, build};
use crate::ast::{BinaryOp, IsTest};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::types::datetime::{Date, DateTime, Time};
use crate::types::decimal::Decimal;
use crate::types::{SqlType, array_value, values_to_array};
use crate::value::Value;

fn columns() -> Vec<SqlType> {
    vec![
        SqlType::bigint(),
        SqlType::bigint().unsigned(),
        SqlType::int(),
        SqlType::double(),
        SqlType::decimal(10, 2),
        SqlType::decimal(30, 5),
        SqlType::varchar(10, CollationId::DEFAULT),
        SqlType::varchar(10, CollationId::UTF8MB4_BIN),
        SqlType::date(),
        SqlType::datetime(3),
        SqlType::time(0),
    ]
}

fn value(ty: &SqlType, rng: &mut Rng) -> Value {
    use crate::types::Domain::*;
    if rng.chance(0.15) {
        return Value::Null;
    }
    let small = rng.below(7) as i64 - 3;
    let huge = rng.chance(0.1);
    match ty.domain() {
        Integer if ty.unsigned => {
            Value::UInt(if huge { rng.next_u64() } else { small.unsigned_abs() })
        }
        Integer => {
            let wide = ty.integer_range().1 == i128::from(i64::MAX);
            Value::Int(if huge && wide { rng.next_u64() as i64 } else { small })
        }
        Double => Value::Double(if huge { 1e308 } else { small as f64 / 2.0 }),
        Decimal => Value::Decimal(super::super::types::decimal::Decimal::from_i128(
            if huge { 99_999_999 } else { i128::from(small) * 50 },
            ty.decimals,
        )),
        Text => {
            let texts = ["", "a", "A", "ab ", "é", "1", "-2.5", "2x", "2020-01-02", "10:00"];
            Value::text(*rng.pick(&texts).unwrap_or(&""))
        }
        Date => Value::Date(crate::types::datetime::Date::new(2020, 1, 1 + rng.below(5) as u32)),
        DateTime => {
            let day = crate::types::datetime::Date::new(2020, 1, 1 + rng.below(5) as u32);
            Value::DateTime(crate::types::datetime::DateTime::at(day, rng.below(3) as i64 * 1_000))
        }
        Time => Value::Time(crate::types::datetime::Time::from_micros(small * 1_000_000)),
        _ => Value::Null,
    }
}

fn literal(rng: &mut Rng) -> Expr {
    let day = Date::new(2020, 1, 1 + rng.below(5) as u32);
    build::literal(match rng.below(8) {
        0 => Value::Null,
        1 => Value::Int(rng.below(7) as i64 - 3),
        2 => Value::UInt(rng.below(3)),
        3 => Value::Double(rng.below(5) as f64 / 2.0),
        4 => Value::Decimal(Decimal::from_i128(rng.below(500) as i128, 2)),
        5 => Value::text(*rng.pick(&["a", "A%", "1", "2x", "2020-01-02"]).unwrap_or(&"")),
        6 => Value::Date(day),
        _ => Value::Time(Time::from_micros(1_000_000)),
    })
}

/// A random expression; operations that the binder refuses become their first operand.
fn random(depth: u32, rng: &mut Rng, ctx: &EvalContext) -> Expr {
    if depth == 0 || rng.chance(0.1) {
        if rng.chance(0.3) {
            return literal(rng);
        }
        let types = columns();
        let index = rng.below(types.len() as u64) as usize;
        return build::column(index, types[index]);
    }
    let a = random(depth - 1, rng, ctx);
    let b = random(depth - 1, rng, ctx);
    let first = a.clone();
    use BinaryOp::*;
    let operators = [
        Or,
        Xor,
        And,
        Equal,
        NullSafeEqual,
        NotEqual,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
        BitAnd,
        Add,
        Subtract,
        Multiply,
        Divide,
        IntegerDivide,
        Modulo,
    ];
    let made = match rng.below(12) {
        0..=5 => {
            let op = *rng.pick(&operators).unwrap_or(&Add);
            build::binary(op, a, b, ctx)
        }
        6 => Ok(build::not(a, ctx)),
        7 => {
            let tests = [IsTest::Null, IsTest::True, IsTest::False];
            Ok(build::is(rng.chance(0.5), a, *rng.pick(&tests).unwrap_or(&IsTest::Null), ctx))
        }
        8 => {
            let list = (0..1 + rng.below(7)).map(|_| literal(rng)).collect();
            build::in_list(rng.chance(0.5), a, list, ctx)
        }
        9 => build::like(rng.chance(0.5), a, b, None, ctx),
        10 => build::if_(a, b, random(depth - 1, rng, ctx), ctx),
        _ => build::coalesce(vec![a, b], ctx),
    };
    made.unwrap_or(first)
}

/// What an evaluation gives: values, or the first error's code; and its warnings.
type Outcome = (Result<Vec<Value>, u16>, Vec<(u16, String)>);

fn outcome(values: crate::Result<Vec<Value>>, ctx: &EvalContext) -> Outcome {
    let warnings = ctx.warnings.to_vec().into_iter().map(|w| (w.code, w.message)).collect();
    match values {
        Ok(values) => (Ok(values), warnings),
        // After an error the statement is undone: what warned before it does not matter.
        Err(error) => (Err(error.code), Vec::new()),
    }
}

fn check(seed: u64) -> Result<(), TestCaseError> {
    let mut rng = Rng::seeded(seed);
    let folding = EvalContext::detached(1_600_000_000_000_000);
    let expr = random(3, &mut rng, &folding);
    let types = columns();
    let rows: Vec<Vec<Value>> =
        (0..20).map(|_| types.iter().map(|ty| value(ty, &mut rng)).collect()).collect();

    let ctx = EvalContext::detached(1_600_000_000_000_000);
    let by_row = rows.iter().map(|row| expr.eval(row, &ctx)).collect();
    let by_row = outcome(by_row, &ctx);

    let fields: Vec<Field> = types
        .iter()
        .enumerate()
        .map(|(index, ty)| Field::new(format!("c{index}"), ty.arrow(), true))
        .collect();
    let arrays = types
        .iter()
        .enumerate()
        .map(|(index, ty)| values_to_array(ty, rows.iter().map(|row| &row[index])))
        .collect::<crate::Result<Vec<_>>>()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let ctx = EvalContext::detached(1_600_000_000_000_000);
    let by_batch = expr.eval_batch(&batch, &ctx).map(|array| {
        assert_eq!(array.data_type(), &expr.ty.arrow(), "{expr}");
        (0..rows.len()).map(|row| array_value(&array, row, &expr.ty)).collect()
    });
    let by_batch = outcome(by_batch, &ctx);
    prop_assert_eq!(&by_row, &by_batch, "{} of type {:?}", expr, expr.ty);

    let ctx = EvalContext::detached(1_600_000_000_000_000);
    let row_truth: crate::Result<Vec<Option<bool>>> =
        rows.iter().map(|row| expr.truth(row, &ctx)).collect();
    let row_warnings = ctx.warnings.count();
    let ctx = EvalContext::detached(1_600_000_000_000_000);
    let batch_truth: crate::Result<Vec<Option<bool>>> =
        expr.truth_batch(&batch, &ctx).map(|truth| truth.iter().collect());
    match (row_truth, batch_truth) {
        (Ok(a), Ok(b)) => {
            prop_assert_eq!(a, b, "truth of {}", expr);
            prop_assert_eq!(row_warnings, ctx.warnings.count(), "warnings of {}", expr);
        }
        (a, b) => prop_assert_eq!(a.map_err(|e| e.code), b.map_err(|e| e.code), "{}", expr),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_forms_agree(seed in any::<u64>()) {
        check(seed)?;
    }
}

#[test]
fn a_moment_is_a_column_of_packed_integers() {
    let moment = DateTime::at(Date::new(2020, 1, 31), 1);
    let array = values_to_array(&SqlType::datetime(6), [&Value::DateTime(moment)]).unwrap();
    assert_eq!(array_value(&array, 0, &SqlType::datetime(6)), Value::DateTime(moment));
}
