//! VIEWS.

use super::{VirtualTable, all_views, long_text, name_type, table, text};
use crate::ast::{CheckOption, SqlSecurity};
use crate::catalog::{Catalog, ViewDef};
use crate::collation::CollationId;
use crate::types::SqlType;
use crate::value::Row;

pub(super) fn views(catalog: &Catalog) -> VirtualTable {
    let definer = SqlType::varchar(288, CollationId::DEFAULT);
    table(
        &[
            ("TABLE_CATALOG", name_type()),
            ("TABLE_SCHEMA", name_type()),
            ("TABLE_NAME", name_type()),
            ("VIEW_DEFINITION", long_text()),
            ("CHECK_OPTION", name_type()),
            ("IS_UPDATABLE", name_type()),
            ("DEFINER", definer),
            ("SECURITY_TYPE", name_type()),
            ("CHARACTER_SET_CLIENT", name_type()),
            ("COLLATION_CONNECTION", name_type()),
        ],
        all_views(catalog).map(|view| row(view)).collect(),
    )
}

fn row(view: &ViewDef) -> Row {
    let check = match view.check {
        None => "NONE",
        Some(CheckOption::Local) => "LOCAL",
        Some(CheckOption::Cascaded) => "CASCADED",
    };
    let security = match view.security {
        SqlSecurity::Definer => "DEFINER",
        SqlSecurity::Invoker => "INVOKER",
    };
    vec![
        text("def"),
        text(&view.database),
        text(&view.name),
        text(&view.text),
        text(check),
        text(if view.updatable { "YES" } else { "NO" }),
        text(format!("{}@{}", view.definer.0, view.definer.1)),
        text(security),
        text(&view.client_charset),
        text(&view.connection_collation),
    ]
}
