//! Constraints and kinds of tables and columns that cannot be defined yet: refused with 1235 and what to do instead.

use crate::{Error, Result, ast};

pub(super) fn refuse_unsupported(create: &ast::CreateTable) -> Result<()> {
    let refuse = |what: &str| Err(Error::not_supported(what));
    if !create.foreign_keys.is_empty() {
        return refuse(
            "FOREIGN KEY: leave the constraint out and check references in the application",
        );
    }
    let has_check = |column: &ast::ColumnDefinition| !column.checks.is_empty();
    if !create.checks.is_empty() || create.columns.iter().any(has_check) {
        return refuse(
            "CHECK constraints: leave the constraint out and check values in the application",
        );
    }
    for column in &create.columns {
        if column.generated.is_some() {
            return refuse("generated columns: compute the value in the query");
        }
        if column.invisible {
            return refuse("INVISIBLE columns: name the columns you want in SELECT");
        }
    }
    Ok(())
}
