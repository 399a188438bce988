//! Tests of the key codec: order and round trips.

use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;

/// One column's value with the encoding that its type has.
#[derive(Clone, Debug)]
enum Value {
    Null,
    I64(i64),
    U64(u64),
    F64(f64),
    Decimal(i128),
    Bytes(Vec<u8>),
}

const WIDTH: usize = 16;

fn put(builder: &mut KeyBuilder, value: &Value) {
    match value {
        Value::Null => builder.put_null(),
        Value::I64(value) => builder.put_i64(*value),
        Value::U64(value) => builder.put_u64(*value),
        Value::F64(value) => builder.put_f64(*value),
        Value::Decimal(value) => {
            builder.put_decimal(*value < 0, &value.unsigned_abs().to_be_bytes(), WIDTH)
        }
        Value::Bytes(value) => builder.put_bytes(value),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::I64(a), Value::I64(b)) => a.cmp(b),
        (Value::U64(a), Value::U64(b)) => a.cmp(b),
        (Value::F64(a), Value::F64(b)) => a.partial_cmp(b).unwrap(),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        _ => unreachable!("columns of one type"),
    }
}

/// The values of one column: several of one type, NULL among them.
fn column(kind: u8) -> BoxedStrategy<Value> {
    let small_bytes =
        prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..6);
    let value = match kind {
        0 => prop_oneof![any::<i64>(), -3..3_i64].prop_map(Value::I64).boxed(),
        1 => prop_oneof![any::<u64>(), 0..3_u64].prop_map(Value::U64).boxed(),
        2 => {
            let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324];
            let special = prop::sample::select(special.to_vec());
            prop_oneof![prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, special]
                .prop_map(Value::F64)
                .boxed()
        }
        3 => prop_oneof![any::<i128>(), -300..300_i128].prop_map(Value::Decimal).boxed(),
        _ => small_bytes.prop_map(Value::Bytes).boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 9 => value].boxed()
}

/// Two rows of the same one to three columns.
fn rows() -> impl Strategy<Value = (Vec<Value>, Vec<Value>)> {
    prop::collection::vec(0..5_u8, 1..4).prop_flat_map(|kinds| {
        let row = || kinds.iter().map(|kind| column(*kind)).collect::<Vec<_>>();
        (row(), row())
    })
}

fn encode(row: &[Value]) -> Vec<u8> {
    let mut builder = KeyBuilder::columns();
    row.iter().for_each(|value| put(&mut builder, value));
    builder.as_slice().to_vec()
}

proptest! {
    #[test]
    fn order_of_keys_is_order_of_values((a, b) in rows()) {
        let values = a.iter().zip(&b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
        let (a, b) = (encode(&a), encode(&b));
        prop_assert_eq!(a.cmp(&b), values.unwrap_or(Ordering::Equal));
        if a != b {
            prop_assert!(!a.starts_with(&b) && !b.starts_with(&a), "prefix-free");
        }
    }

    #[test]
    fn columns_round_trip((row, _) in rows(), slot: u16) {
        let mut builder = KeyBuilder::new(TableId(7), IndexId(2));
        row.iter().for_each(|value| put(&mut builder, value));
        let key = builder.finish(Slot(slot));
        prop_assert_eq!(table_of_key(&key).unwrap(), TableId(7));
        prop_assert_eq!(index_of_key(&key).unwrap(), IndexId(2));
        prop_assert_eq!(slot_of_key(&key).unwrap(), Slot(slot));
        let mut reader = KeyReader::new(&key).unwrap();
        for value in &row {
            match value {
                Value::Null => prop_assert_eq!(reader.take_bytes().unwrap(), None),
                Value::I64(value) => prop_assert_eq!(reader.take_i64().unwrap(), Some(*value)),
                Value::U64(value) => prop_assert_eq!(reader.take_u64().unwrap(), Some(*value)),
                Value::F64(value) => prop_assert_eq!(reader.take_f64().unwrap(), Some(*value)),
                Value::Decimal(value) => {
                    let (negative, magnitude) = reader.take_decimal(WIDTH).unwrap().unwrap();
                    let magnitude = u128::from_be_bytes(magnitude.try_into().unwrap());
                    prop_assert_eq!((negative, magnitude), (*value < 0, value.unsigned_abs()));
                }
                Value::Bytes(value) => {
                    let taken = reader.take_bytes().unwrap().unwrap();
                    prop_assert_eq!(&taken[..], &value[..]);
                }
            }
        }
        prop_assert_eq!(reader.finish().unwrap(), Slot(slot));
    }

    #[test]
    fn random_keys_never_panic(key in prop::collection::vec(prop_oneof![0..3_u8, any::<u8>()], 0..40)) {
        let _ = (slot_of_key(&key), table_of_key(&key), index_of_key(&key));
        let mut reader = KeyReader::columns(&key);
        let _ = reader.take_bytes().and_then(|_| reader.take_decimal(9));
        let _ = reader.take_f64().and_then(|_| reader.clone().finish());
    }
}

#[test]
fn widths_hold_every_decimal_of_their_precision() {
    for precision in 1..=38 {
        let largest = 10_u128.pow(precision) - 1;
        let bytes = (128 - largest.leading_zeros()).div_ceil(8) as usize;
        assert_eq!(decimal_width(precision), bytes, "precision {precision}");
    }
    assert_eq!(decimal_width(65), 27);
}

#[test]
fn byte_strings_without_zeros_are_borrowed() {
    let mut builder = KeyBuilder::columns();
    builder.put_bytes(b"Leeds");
    let mut reader = KeyReader::columns(builder.as_slice());
    assert!(matches!(reader.take_bytes(), Ok(Some(Cow::Borrowed(b"Leeds")))));
}

#[test]
fn a_key_with_bytes_to_spare_is_corrupt() {
    let mut builder = KeyBuilder::new(TableId(1), IndexId(0));
    builder.put_u64(1);
    builder.put_u64(2);
    let key = builder.finish(Slot(3));
    let mut reader = KeyReader::new(&key).unwrap();
    assert_eq!(reader.take_u64().unwrap(), Some(1));
    assert!(matches!(reader.finish(), Err(Error::Corrupt { .. })));
}

#[test]
fn key_bytes_never_change() {
    // Part of the disk format, as drawn in docs/formats.md.
    let mut builder = KeyBuilder::new(TableId(1000), IndexId(1));
    builder.put_null();
    builder.put_i64(-1);
    builder.put_f64(1.5);
    builder.put_decimal(true, &[1, 2], 3);
    builder.put_bytes(b"a\0b");
    let expected: &[u8] = &[
        0, 0, 3, 0xe8, 0, 0, 0, 1, // head
        0, // NULL
        1, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // -1
        1, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0, // 1.5
        1, 0, 0xff, 0xfe, 0xfd, // -258
        1, b'a', 0, 0xff, b'b', 0, 1, // a\0b
        0xab, 0xcd, // slot
    ];
    assert_eq!(&builder.finish(Slot(0xabcd))[..], expected);
}
