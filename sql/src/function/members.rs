//! ENUM and SET columns in expressions: a column's number becomes its text.
//!
//! The binder wraps each reference to such a column (`expr::build::member_text`), as it does with TIMESTAMP. Where MySQL
//! takes the number, in sums, comparisons with numbers and ORDER BY, the wrapping is taken off again
//! (`expr::build::stored_member`).

use super::{Function, bound, pure};
use crate::Result;
use crate::types::TypeKind;
use crate::value::Value;

/// The name, which no statement can write.
pub(crate) const MEMBER_TEXT: &str = "member text";

/// This family.
pub static FUNCTIONS: &[Function] = &[pure(MEMBER_TEXT, 1, 1, |args, _| {
    let ty = args[0].ty.shown();
    Ok(bound(ty, args, member_text))
})];

/// The text of a stored ENUM or SET.
pub(crate) fn member_text(call: &super::Call<'_>) -> Result<Value> {
    let ty = &call.exprs[0].ty;
    Ok(match (&call.args[0], ty.members) {
        (Value::UInt(number), Some(members)) if ty.kind == TypeKind::Enum => {
            Value::text(members.of_enum(*number))
        }
        (Value::UInt(bits), Some(members)) => Value::Text(members.of_set(*bits)),
        (other, _) => other.clone(),
    })
}
