//! Values as memory-comparable keys: of indexes, groups, sorts, joins, DISTINCT and IN sets.
//!
//! Equal bytes mean equal values of a type and the other way round: texts are their collation's
//! weights, decimals have their type's scale. The encoding is `engine::key`'s.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder};
use engine::key::{KeyBuilder, decimal_width};

use crate::types::{Domain, SqlType};
use crate::value::Value;

/// Appends one key column of type `ty`.
pub fn put_key(key: &mut KeyBuilder, value: &Value, ty: &SqlType) {
    match value {
        Value::Null => key.put_null(),
        Value::Int(number) => key.put_i64(*number),
        Value::UInt(number) => key.put_u64(*number),
        Value::Decimal(number) => {
            let (precision, scale) = match ty.domain() {
                Domain::Decimal => (ty.length, ty.decimals),
                _ => (65, number.scale()),
            };
            let (negative, magnitude) = number.sign_and_magnitude(precision, scale);
            key.put_decimal(negative, &magnitude, decimal_width(precision));
        }
        Value::Double(number) => key.put_f64(*number),
        Value::Text(text) => key.put_bytes(&ty.collation.weights(text)),
        Value::Bytes(bytes) => key.put_bytes(bytes),
        Value::Date(date) => key.put_u64(date.packed()),
        Value::Time(time) => key.put_i64(time.micros()),
        Value::DateTime(moment) => key.put_u64(moment.packed()),
    }
}

/// One value as a key column of type `ty`.
pub fn key_bytes(value: &Value, ty: &SqlType) -> Vec<u8> {
    let mut key = KeyBuilder::columns();
    put_key(&mut key, value, ty);
    key.as_slice().to_vec()
}

/// A text column as its column of weight keys (Binary); any other column as it is.
///
/// # Panics
/// When the array is not of the type's Arrow type.
pub fn weight_array(array: &ArrayRef, ty: &SqlType) -> ArrayRef {
    if !ty.is_text() {
        return array.clone();
    }
    let texts = array.as_string::<i32>();
    let mut weights = BinaryBuilder::with_capacity(texts.len(), texts.value_data().len() * 2);
    let mut buffer = Vec::new();
    for row in 0..texts.len() {
        if texts.is_null(row) {
            weights.append_null();
            continue;
        }
        buffer.clear();
        ty.collation.put_weights(texts.value(row), &mut buffer);
        weights.append_value(&buffer);
    }
    Arc::new(weights.finish())
}

/// Constant members of an IN list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ValueSet {
    /// Type of the members.
    ty: Option<SqlType>,
    /// Keys of the members.
    keys: BTreeSet<Vec<u8>>,
    /// Whether NULL is a member: then nothing is certainly absent.
    has_null: bool,
    /// Whether integers of either sign may be members or asked for: keys are then of 128 bits.
    integers: bool,
}

impl ValueSet {
    /// A set of values of one type.
    pub fn new(ty: SqlType, values: impl IntoIterator<Item = Value>) -> ValueSet {
        let mut set = ValueSet {
            ty: Some(ty),
            integers: ty.domain() == Domain::Integer,
            ..ValueSet::default()
        };
        for value in values {
            match set.key(&value) {
                Some(key) => {
                    set.keys.insert(key);
                }
                None => set.has_null = true,
            }
        }
        set
    }

    fn key(&self, value: &Value) -> Option<Vec<u8>> {
        if value.is_null() {
            return None;
        }
        if self.integers
            && let Some(number) = value.as_integer()
        {
            return Some(number.to_be_bytes().to_vec());
        }
        if let Value::Decimal(number) = value {
            // Members and asked values may have any scale.
            return Some(number.normalized().to_string().into_bytes());
        }
        let ty = self.ty.unwrap_or_else(|| value.natural_type());
        Some(key_bytes(value, &ty))
    }

    /// Whether `value` is a member: `None` when that is unknown (NULL is involved).
    pub fn contains(&self, value: &Value) -> Option<bool> {
        if self.is_empty() {
            return Some(false);
        }
        let key = self.key(value)?;
        if self.keys.contains(&key) {
            Some(true)
        } else if self.has_null {
            None
        } else {
            Some(false)
        }
    }

    /// Whether nothing, not even NULL, is a member.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.has_null
    }

    /// Whether NULL is a member.
    pub fn has_null(&self) -> bool {
        self.has_null
    }

    /// Different members, NULL aside.
    pub fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collation::CollationId;
    use crate::types::decimal::Decimal;

    #[test]
    fn equal_texts_have_equal_keys() {
        let ty = SqlType::varchar(9, CollationId::DEFAULT);
        assert_eq!(key_bytes(&Value::text("Résumé"), &ty), key_bytes(&Value::text("resume"), &ty));
        assert!(key_bytes(&Value::Null, &ty) < key_bytes(&Value::text(""), &ty));
    }

    #[test]
    fn sets_know_numbers_of_either_sign_and_any_scale() {
        let set = ValueSet::new(SqlType::bigint(), [Value::UInt(5), Value::Int(-1)]);
        assert_eq!(set.contains(&Value::Int(5)), Some(true));
        assert_eq!(set.contains(&Value::UInt(u64::MAX)), Some(false));
        let decimals =
            ValueSet::new(SqlType::decimal(3, 1), [Value::Decimal(Decimal::from_i128(10, 1))]);
        assert_eq!(decimals.contains(&Value::Decimal(Decimal::from(1_i64))), Some(true));
    }

    #[test]
    fn a_null_member_makes_absence_unknown() {
        let set = ValueSet::new(SqlType::bigint(), [Value::Int(1), Value::Null]);
        assert_eq!(set.contains(&Value::Int(1)), Some(true));
        assert_eq!(set.contains(&Value::Int(2)), None);
        assert_eq!(ValueSet::new(SqlType::bigint(), []).contains(&Value::Null), Some(false));
    }
}
