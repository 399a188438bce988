//! The text of SHOW CREATE VIEW, byte for byte MySQL 8.0's.
//!
//! ```text
//! CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS select `t`.`a` AS `a` from `t`
//! ```
//!
//! Names of databases stand in it unless everything is in the default one.
//!
//! Not here: how the query is written (`crate::view`).

use super::create_table::quoted;
use super::{Listing, text, text_column};
use crate::ast::{CheckOption, SqlSecurity, TableName};
use crate::binder;
use crate::catalog::{Catalog, ViewDef};
use crate::session::Session;
use crate::{Error, Result, view};
use std::sync::Arc;

/// SHOW CREATE VIEW by name.
///
/// # Errors
/// 1146 when there is nothing of this name, 1347 when it is no view.
pub(super) async fn named(session: &mut Session, name: &TableName) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = name.database.as_deref().or(session.database.as_deref());
    let database = database.ok_or_else(Error::no_database)?;
    let Some(view) = catalog.view(database, &name.name).cloned() else {
        if !catalog.has_database(database) {
            return Err(Error::unknown_database(database));
        }
        let full = format!("{database}.{}", name.name);
        return Err(match catalog.is_name_taken(database, &name.name) {
            true => Error::wrong_object(full, "VIEW"),
            false => Error::no_such_table(full),
        });
    };
    listing(session, &view, &catalog)
}

/// The listing of a view. One whose query fails by now is shown with warning 1356.
pub(super) fn listing(
    session: &mut Session,
    view: &ViewDef,
    catalog: &Arc<Catalog>,
) -> Result<Listing> {
    let ctx = session.context(Vec::new());
    let computed = session.virtual_tables(catalog);
    if let Err(error) = binder::view::columns_of(view, catalog, &ctx, &computed) {
        ctx.warn(error);
    }
    let columns = vec![
        text_column("View", 64),
        text_column("Create View", 1024),
        text_column("character_set_client", 32),
        text_column("collation_connection", 32),
    ];
    let statement = statement(view, session.database.as_deref())?;
    let row = [&view.name, &statement, &view.client_charset, &view.connection_collation];
    Ok(Listing { columns, rows: vec![row.into_iter().map(|value| text(value.as_str())).collect()] })
}

/// The statement as who uses this database sees it.
fn statement(view: &ViewDef, database: Option<&str>) -> Result<String> {
    let is_here = database == Some(view.database.as_str());
    let (user, host) = (quoted(&view.definer.0), quoted(&view.definer.1));
    let security = match view.security {
        SqlSecurity::Definer => "DEFINER",
        SqlSecurity::Invoker => "INVOKER",
    };
    let algorithm = view.algorithm.name();
    let mut out =
        format!("CREATE ALGORITHM={algorithm} DEFINER={user}@{host} SQL SECURITY {security} VIEW ");
    if !is_here {
        out.push_str(&quoted(&view.database));
        out.push('.');
    }
    out.push_str(&quoted(&view.name));
    if view.columns_declared {
        let names: Vec<String> = view.columns.iter().map(|name| quoted(name)).collect();
        out.push_str(&format!(" ({})", names.join(",")));
    }
    out.push_str(" AS ");
    match is_here {
        true => out.push_str(&view::shown(&view::query_of(view)?, &view.database)),
        false => out.push_str(&view.text),
    }
    out.push_str(match view.check {
        None => "",
        Some(CheckOption::Local) => " WITH LOCAL CHECK OPTION",
        Some(CheckOption::Cascaded) => " WITH CASCADED CHECK OPTION",
    });
    Ok(out)
}
