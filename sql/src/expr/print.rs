//! Expressions as error texts show them: `` (`db`.`t`.`a` + 1) ``.

use std::fmt;

use super::{Expr, ExprKind};
use crate::function::members::MEMBER_TEXT;
use crate::value::Value;

fn list(f: &mut fmt::Formatter<'_>, args: &[Expr], separator: &str) -> fmt::Result {
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{arg}")?;
    }
    Ok(())
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Column(index) => match &self.name {
                Some(name) => f.write_str(name),
                None => write!(f, "column {}", index + 1),
            },
            ExprKind::Literal(value) => match value {
                Value::Null => f.write_str("NULL"),
                Value::Text(_)
                | Value::Bytes(_)
                | Value::Date(_)
                | Value::Time(_)
                | Value::DateTime(_) => {
                    write!(f, "'{}'", value.to_text(&self.ty).unwrap_or_default())
                }
                _ => f.write_str(&value.to_text(&self.ty).unwrap_or_default()),
            },
            ExprKind::Param(_) => f.write_str("?"),
            ExprKind::Call { function, args, .. } if function.name == MEMBER_TEXT => {
                write!(f, "{}", args[0])
            }
            ExprKind::Call { function, args, .. } => {
                write!(f, "{}(", function.name)?;
                list(f, args, ",")?;
                f.write_str(")")
            }
            ExprKind::Arithmetic { op, args, .. } => {
                write!(f, "({} {} {})", args[0], op.symbol(), args[1])
            }
            ExprKind::Compare { op, args, .. } => {
                write!(f, "({} {} {})", args[0], op.symbol(), args[1])
            }
            ExprKind::And(args) => {
                f.write_str("(")?;
                list(f, args, " and ")?;
                f.write_str(")")
            }
            ExprKind::Or(args) => {
                f.write_str("(")?;
                list(f, args, " or ")?;
                f.write_str(")")
            }
            ExprKind::Xor(args) => write!(f, "({} xor {})", args[0], args[1]),
            ExprKind::Not(arg) => write!(f, "(not {arg})"),
            ExprKind::IsNull { arg, negated } => {
                write!(f, "({arg} is{} null)", if *negated { " not" } else { "" })
            }
            ExprKind::IsTruth { arg, expected, negated } => {
                write!(f, "({arg} is{} {expected})", if *negated { " not" } else { "" })
            }
            ExprKind::If(args) => write!(f, "if({},{},{})", args[0], args[1], args[2]),
            ExprKind::Case { whens, otherwise } => {
                f.write_str("(case")?;
                for (when, then) in whens.iter() {
                    write!(f, " when {when} then {then}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " else {otherwise}")?;
                }
                f.write_str(" end)")
            }
            ExprKind::Coalesce(args) => {
                f.write_str("coalesce(")?;
                list(f, args, ",")?;
                f.write_str(")")
            }
            ExprKind::InList { arg, list: members, set, negated } => {
                write!(f, "({arg}{} in (", if *negated { " not" } else { "" })?;
                list(f, members, ",")?;
                if let Some(set) = set {
                    write!(f, "<{} values>", set.len())?;
                }
                f.write_str("))")
            }
            ExprKind::Like { arg, pattern, .. } => write!(f, "({arg} like {pattern})"),
            ExprKind::Cast { arg, .. } => write!(f, "{arg}"),
            ExprKind::SystemVariable { name, .. } => write!(f, "@@{name}"),
            ExprKind::UserVariable { name } => write!(f, "@{name}"),
            ExprKind::AssignUserVariable { name, value } => write!(f, "(@{name}:={value})"),
        }
    }
}
