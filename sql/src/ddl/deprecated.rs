//! Warnings of definitions that name utf8mb3: its alias (3719), itself (1287), its collations (3778).
//!
//! A definition is read again when a schema change has to start anew, so these are said apart from it, once.
//!
//! Not here: what the names mean (`column_type`), and names of character sets in expressions, of which nothing is said.

use crate::ast;
use crate::collation::{self, CollationId};
use crate::context::EvalContext;
use crate::{Error, Result};

/// Warns of what a new table's definition names; columns first, as they stand.
pub(super) fn warn_of_table(create: &ast::CreateTable, ctx: &EvalContext) -> Result<()> {
    for column in &create.columns {
        warn_of(column.ty.charset.as_deref(), column.ty.collation.as_deref(), ctx)?;
    }
    warn_of(create.options.charset.as_deref(), create.options.collation.as_deref(), ctx)
}

/// Warns of a character set and a collation that a definition names.
pub(super) fn warn_of(
    charset: Option<&str>,
    collation: Option<&str>,
    ctx: &EvalContext,
) -> Result<()> {
    const DEPRECATED: CollationId = CollationId::UTF8MB3_GENERAL_CI;
    if let Some(name) = charset
        && collation::charset_by_name(name)?.default == DEPRECATED
    {
        ctx.warn(match collation::is_utf8_alias(name) {
            true => Error::utf8_alias(),
            false => Error::deprecated(name, "utf8mb4"),
        });
    }
    if let Some(name) = collation {
        let info = collation::by_name(name)?;
        if info.charset == DEPRECATED.charset() {
            ctx.warn(Error::utf8mb3_collation(info.name));
        }
    }
    Ok(())
}
