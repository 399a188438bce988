//! SHOW CREATE PROCEDURE and FUNCTION, SHOW PROCEDURE and FUNCTION STATUS.
//!
//! ```text
//! CREATE DEFINER=`root`@`localhost` FUNCTION `f`(a INT) RETURNS int
//!     DETERMINISTIC
//! RETURN a + 1
//! ```

use super::create_table::{quoted, string};
use super::{Listing, text, text_column, text_columns};
use crate::ast::{DataUse, RoutineKind, SqlSecurity, TableName};
use crate::catalog::RoutineDef;
use crate::catalog::information_schema::moment;
use crate::session::{ColumnMeta, Session};
use crate::types::SqlType;
use crate::{Error, Result};

/// SHOW CREATE by name.
///
/// # Errors
/// 1305 when there is none.
pub(super) async fn create(
    session: &mut Session,
    kind: RoutineKind,
    name: &TableName,
) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let database = name.database.as_deref().or(session.database.as_deref());
    let database = database.ok_or_else(Error::no_database)?;
    let routine = catalog.routine(database, kind, &name.name);
    let routine = routine.ok_or_else(|| Error::no_such_object(kind.name(), &name.name))?;
    let (title, statement) = match kind {
        RoutineKind::Procedure => ("Procedure", "Create Procedure"),
        RoutineKind::Function => ("Function", "Create Function"),
    };
    let columns = vec![
        text_column(title, 64),
        text_column("sql_mode", 256),
        text_column(statement, 1024),
        text_column("character_set_client", 32),
        text_column("collation_connection", 32),
        text_column("Database Collation", 32),
    ];
    let row = vec![
        text(&routine.name),
        text(routine.sql_mode.to_string()),
        text(statement_of(routine)),
        text(&routine.client_charset),
        text(&routine.connection_collation),
        text(&routine.database_collation),
    ];
    Ok(Listing { columns, rows: vec![row] })
}

fn statement_of(routine: &RoutineDef) -> String {
    let (user, host) = (quoted(&routine.definer.0), quoted(&routine.definer.1));
    let (kind, name) = (routine.kind.name(), quoted(&routine.name));
    let mut out = format!("CREATE DEFINER={user}@{host} {kind} {name}({})", routine.parameters);
    if routine.kind == RoutineKind::Function {
        out.push_str(&format!(" RETURNS {}", routine.returns));
    }
    out.push('\n');
    if routine.data != DataUse::Contains {
        out.push_str(&format!("    {}\n", routine.data.name()));
    }
    if routine.deterministic {
        out.push_str("    DETERMINISTIC\n");
    }
    if routine.security == SqlSecurity::Invoker {
        out.push_str("    SQL SECURITY INVOKER\n");
    }
    if !routine.comment.is_empty() {
        out.push_str(&format!("    COMMENT {}\n", string(&routine.comment)));
    }
    out.push_str(&routine.body);
    out
}

/// SHOW … STATUS: the routines of this kind in all databases.
pub(super) async fn status(session: &mut Session, kind: RoutineKind) -> Result<Listing> {
    let catalog = session.instance.catalog.current().await?;
    let mut columns = text_columns("Db,Name,Type,Definer");
    columns.push(ColumnMeta::computed("Modified", SqlType::datetime(0)));
    columns.push(ColumnMeta::computed("Created", SqlType::datetime(0)));
    columns.extend(text_columns(
        "Security_type,Comment,character_set_client,collation_connection,Database Collation",
    ));
    let mut rows = Vec::new();
    for database in catalog.databases() {
        let of_kind = catalog.routines(&database.name).filter(|routine| routine.kind == kind);
        rows.extend(of_kind.map(|routine| {
            let security = match routine.security {
                SqlSecurity::Definer => "DEFINER",
                SqlSecurity::Invoker => "INVOKER",
            };
            vec![
                text(&routine.database),
                text(&routine.name),
                text(kind.name()),
                text(format!("{}@{}", routine.definer.0, routine.definer.1)),
                moment(routine.altered_unix),
                moment(routine.created_unix),
                text(security),
                text(&routine.comment),
                text(&routine.client_charset),
                text(&routine.connection_collation),
                text(&routine.database_collation),
            ]
        }));
    }
    Ok(Listing { columns, rows })
}
