//! CHECK constraints and generated columns.

use crate::catalog::{IndexColumn, TableDef};
use crate::ddl::rule;
use crate::{Error, Result, ast};

/// Generated columns and CHECK constraints, when all columns are there.
pub(super) fn define_rules(create: &ast::CreateTable, table: &mut TableDef) -> Result<()> {
    for (position, definition) in create.columns.iter().enumerate() {
        let generated = rule::generated(definition, table)?;
        table.columns[position].generated = generated;
    }
    let of_virtual = |part: &IndexColumn| {
        let generated = table.columns[part.column].generated.as_ref();
        generated.is_some_and(|generated| !generated.stored)
    };
    if table.primary().columns.iter().any(of_virtual) {
        return Err(Error::not_for_generated("Defining a virtual generated column as primary key"));
    }
    for definition in &create.columns {
        for check in &definition.checks {
            add_check(table, check, Some(&definition.name))?;
        }
    }
    for check in &create.checks {
        add_check(table, check, None)?;
    }
    Ok(())
}

/// Adds a constraint, that of a column or of the table.
pub(in crate::ddl) fn add_check(
    table: &mut TableDef,
    check: &ast::Check,
    column: Option<&str>,
) -> Result<()> {
    let name = check.name.clone().unwrap_or_else(|| rule::next_name(table));
    let check = rule::check(check, name, column, table)?;
    table.checks.push(check);
    rule::sort(&mut table.checks);
    Ok(())
}
