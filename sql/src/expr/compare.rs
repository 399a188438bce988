//! Comparison: the rules for values of one domain, and MySQL's six operators and `<=>`.
//!
//! Not here: how two types meet in one domain (`build::comparison`).

use std::cmp::Ordering;

use crate::collation::CollationId;
use crate::types::{Domain, SqlType};
use crate::value::Value;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `<=>`: like `=`, but NULL equals NULL and nothing else.
    NullSafeEqual,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl CompareOp {
    /// Whether the operator holds for operands in this order.
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            CompareOp::Equal | CompareOp::NullSafeEqual => ordering.is_eq(),
            CompareOp::NotEqual => ordering.is_ne(),
            CompareOp::Less => ordering.is_lt(),
            CompareOp::LessEqual => ordering.is_le(),
            CompareOp::Greater => ordering.is_gt(),
            CompareOp::GreaterEqual => ordering.is_ge(),
        }
    }

    /// The operator that holds for the swapped operands.
    pub fn swapped(self) -> CompareOp {
        match self {
            CompareOp::Less => CompareOp::Greater,
            CompareOp::LessEqual => CompareOp::GreaterEqual,
            CompareOp::Greater => CompareOp::Less,
            CompareOp::GreaterEqual => CompareOp::LessEqual,
            other => other,
        }
    }

    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            CompareOp::Equal => "=",
            CompareOp::NullSafeEqual => "<=>",
            CompareOp::NotEqual => "<>",
            CompareOp::Less => "<",
            CompareOp::LessEqual => "<=",
            CompareOp::Greater => ">",
            CompareOp::GreaterEqual => ">=",
        }
    }

    /// The truth of `a op b`; `None` is NULL.
    pub fn apply(self, a: &Value, b: &Value, collation: CollationId) -> Option<bool> {
        match (a.is_null(), b.is_null()) {
            (false, false) => Some(self.holds(compare_values(a, b, collation))),
            (both_a, both_b) if self == CompareOp::NullSafeEqual => Some(both_a && both_b),
            _ => None,
        }
    }
}

/// Compares two values of one domain. NULL comes first; texts compare under `collation`. Values of
/// different domains, which the binder never lets meet, compare by their domain alone.
pub fn compare_values(a: &Value, b: &Value, collation: CollationId) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::UInt(a), Value::UInt(b)) => a.cmp(b),
        (Value::Int(a), Value::UInt(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (Value::UInt(a), Value::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b)),
        (Value::Text(a), Value::Text(b)) => collation.compare(a, b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Int(_) | Value::UInt(_) => 1,
        Value::Decimal(_) => 2,
        Value::Double(_) => 3,
        Value::Date(_) => 4,
        Value::Time(_) => 5,
        Value::DateTime(_) => 6,
        Value::Bytes(_) => 7,
        Value::Text(_) => 8,
    }
}

/// Compares two values of one type, NULL first: the order of ORDER BY.
pub fn compare(a: &Value, b: &Value, ty: &SqlType) -> Ordering {
    compare_values(a, b, ty.collation)
}

/// The domain in which values of two types are compared: MySQL's rules, "Type Conversion in
/// Expression Evaluation".
///
/// | one side | other side | compared as |
/// |---|---|---|
/// | NULL | any | the other's domain |
/// | equal domains | | that domain |
/// | DATE, DATETIME | DATE, DATETIME, text | DATETIME |
/// | TIME | text | TIME |
/// | TIME | DATE, DATETIME | DATETIME (on today's date) |
/// | date or time | number | numbers |
/// | integer | DECIMAL | DECIMAL |
/// | text | byte string | byte strings |
/// | anything else | | DOUBLE |
pub fn common_domain(a: &SqlType, b: &SqlType) -> Domain {
    use Domain::*;
    let (x, y) = (a.domain(), b.domain());
    match (x, y) {
        (Null, other) | (other, Null) => other,
        _ if x == y => x,
        (Date | DateTime, Date | DateTime | Text | Bytes | Time)
        | (Text | Bytes | Time, Date | DateTime) => DateTime,
        (Time, Text | Bytes) | (Text | Bytes, Time) => Time,
        (Date | DateTime | Time, Integer | Decimal)
        | (Integer | Decimal, Date | DateTime | Time) => {
            if a.scale().max(b.scale()) == 0 && x != Decimal && y != Decimal {
                Integer
            } else {
                Decimal
            }
        }
        (Integer, Decimal) | (Decimal, Integer) => Decimal,
        (Text, Bytes) | (Bytes, Text) => Bytes,
        _ => Double,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_and_unsigned_compare_by_value() {
        let collation = CollationId::BINARY;
        assert!(compare_values(&Value::Int(-1), &Value::UInt(u64::MAX), collation).is_lt());
        assert!(compare_values(&Value::UInt(5), &Value::Int(5), collation).is_eq());
    }

    #[test]
    fn null_equals_null_only_for_the_null_safe_operator() {
        let collation = CollationId::BINARY;
        let apply = |op: CompareOp, a: &Value, b: &Value| op.apply(a, b, collation);
        assert_eq!(apply(CompareOp::Equal, &Value::Null, &Value::Null), None);
        assert_eq!(apply(CompareOp::NullSafeEqual, &Value::Null, &Value::Null), Some(true));
        assert_eq!(apply(CompareOp::NullSafeEqual, &Value::Null, &Value::Int(0)), Some(false));
    }
}
