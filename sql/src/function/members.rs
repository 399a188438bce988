//! ENUM, SET and BIT columns in expressions: a column's number becomes its text, or its bytes.
//!
//! The binder wraps each reference to such a column (`expr::build::member_text`), as it does with TIMESTAMP. Where MySQL
//! takes the number, in sums, comparisons with numbers and ORDER BY, the wrapping is taken off again
//! (`expr::build::stored_member`).

use super::{Function, bound, pure};
use crate::Result;
use crate::types::{SqlType, TypeKind};
use crate::value::Value;

/// The name, which no statement can write.
pub(crate) const MEMBER_TEXT: &str = "member text";

/// This family.
pub static FUNCTIONS: &[Function] = &[pure(MEMBER_TEXT, 1, 1, |args, _| {
    let ty = args[0].ty.shown();
    Ok(bound(ty, args, member_text))
})];

/// The text of a stored ENUM or SET, the bytes of a BIT.
pub(crate) fn member_text(call: &super::Call<'_>) -> Result<Value> {
    Ok(shown(&call.args[0], &call.exprs[0].ty))
}

/// What expressions see of a stored value of a column of type `ty`.
pub(crate) fn shown(value: &Value, ty: &SqlType) -> Value {
    match (value, ty.members) {
        (Value::UInt(number), Some(members)) if ty.kind == TypeKind::Enum => {
            Value::text(members.of_enum(*number))
        }
        (Value::UInt(bits), Some(members)) => Value::Text(members.of_set(*bits)),
        (Value::UInt(_), None) if ty.kind == TypeKind::Bit => {
            let mut bytes = Vec::with_capacity(8);
            value.write_text(ty, &mut bytes);
            Value::Bytes(bytes)
        }
        (other, _) => other.clone(),
    }
}
