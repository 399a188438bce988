//! Columns: their attributes and defaults.
//!
//! Defaults come after the keys: a primary key makes its columns NOT NULL, which decides whether DEFAULT NULL is valid.
//!
//! Not here: types (`column_type`).

use crate::catalog::{ColumnDef, DefaultValue, TableDef};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::ddl::column_type::{self, ColumnType};
use crate::types::{self, TypeKind};
use crate::{Error, Result, ast};

pub(in crate::ddl) fn define_column(
    definition: &ast::ColumnDefinition,
    inherited: CollationId,
) -> Result<ColumnDef> {
    let ColumnType { mut ty, text, collation_declared } =
        column_type::resolve(&definition.name, &definition.ty, inherited)?;
    ty.nullable = definition.nullable.unwrap_or(true) && !definition.primary_key;
    if definition.primary_key && definition.nullable == Some(true) {
        return Err(Error::primary_key_null());
    }
    if definition.auto_increment {
        if !(ty.is_integer() || ty.is_floating()) || ty.kind == TypeKind::Year {
            return Err(Error::wrong_column_specifier(&definition.name));
        }
        if ty.is_floating() {
            return Err(Error::not_supported(
                "AUTO_INCREMENT on FLOAT and DOUBLE: declare the column BIGINT",
            ));
        }
        // An AUTO_INCREMENT column is NOT NULL whatever is written.
        ty.nullable = false;
    }
    if let Some(digits) = definition.on_update_now
        && (!ty.is_datetime() || digits != ty.decimals)
    {
        return Err(Error::invalid_on_update(&definition.name));
    }
    Ok(ColumnDef {
        name: definition.name.clone(),
        ty,
        default: None,
        auto_increment: definition.auto_increment,
        on_update_now: definition.on_update_now.is_some(),
        zerofill: definition.ty.zerofill,
        comment: definition.comment.clone().unwrap_or_default(),
        hidden: false,
        type_text: text,
        collation_declared,
        // Who makes a table of it knows better.
        ordinal: 0,
        absent: None,
        former: None,
        // `rule` adds it when all columns are known.
        generated: None,
        invisible: definition.invisible,
    })
}

pub(in crate::ddl) fn define_default(
    definition: &ast::ColumnDefinition,
    column: &ColumnDef,
    ctx: &EvalContext,
) -> Result<Option<DefaultValue>> {
    match &definition.default {
        Some(default) => default_of(default, column, ctx),
        None => Ok(None),
    }
}

/// What DEFAULT means for a column; `None` for NULL.
pub(in crate::ddl) fn default_of(
    default: &ast::DefaultValue,
    column: &ColumnDef,
    ctx: &EvalContext,
) -> Result<Option<DefaultValue>> {
    let invalid = || Error::invalid_default(&column.name);
    let ty = &column.ty;
    if column.auto_increment {
        return Err(invalid());
    }
    Ok(Some(match default {
        ast::DefaultValue::Now(digits) => {
            if !ty.is_datetime() || *digits != ty.decimals {
                return Err(invalid());
            }
            DefaultValue::Now
        }
        ast::DefaultValue::Literal(expr) => {
            let value = crate::ddl::constant(expr, ctx).map_err(|_| invalid())?;
            if value.is_null() {
                return if ty.nullable { Ok(None) } else { Err(invalid()) };
            }
            if ty.is_blob() {
                return Err(Error::blob_default(&column.name));
            }
            let value = types::assign(value, ty, &column.name, 1, ctx).map_err(|_| invalid())?;
            DefaultValue::Literal(value)
        }
        ast::DefaultValue::Expression(expr) => {
            // Binding now finds unknown functions and columns before the first INSERT does.
            crate::ddl::constant_expr(expr, ctx)?;
            // MySQL shows operators in parentheses of their own.
            let text = crate::printer::expr(expr);
            let is_operator = matches!(
                expr.kind,
                ast::ExprKind::Binary { .. } | ast::ExprKind::DateArithmetic { .. }
            );
            DefaultValue::Expression(if is_operator { format!("({text})") } else { text })
        }
    }))
}

pub(in crate::ddl) fn check_auto_increment(table: &TableDef) -> Result<()> {
    let mut columns = table.columns.iter().enumerate().filter(|(_, column)| column.auto_increment);
    let Some((position, _)) = columns.next() else { return Ok(()) };
    let is_key = table.indexes.iter().any(|index| {
        !index.implicit && index.columns.first().is_some_and(|first| first.column == position)
    });
    if columns.next().is_some() || !is_key { Err(Error::wrong_auto_key()) } else { Ok(()) }
}
