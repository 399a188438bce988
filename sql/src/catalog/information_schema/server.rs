//! ENGINES, PLUGINS, FILES, PROCESSLIST and the variables: tables about the server, not about what is defined.
//!
//! Not here: what runs, as MySQL's performance_schema and INNODB_TRX tell it (`performance_schema`, `innodb_trx`).

use super::{SystemTables, VirtualTable, empty, long_text, name_type, number, table, text};
use crate::collation::CollationId;
use crate::session::variables::SessionVariables;
use crate::types::SqlType;
use crate::{show, sysvar};

pub(super) fn engines() -> VirtualTable {
    table(
        &[
            ("ENGINE", name_type()),
            ("SUPPORT", name_type()),
            ("COMMENT", SqlType::varchar(80, CollationId::DEFAULT)),
            ("TRANSACTIONS", name_type()),
            ("XA", name_type()),
            ("SAVEPOINTS", name_type()),
        ],
        vec![show::engine_row()],
    )
}

/// Plugins: there are none.
pub(super) fn plugins() -> VirtualTable {
    empty(
        "PLUGIN_NAME,PLUGIN_VERSION,PLUGIN_STATUS,PLUGIN_TYPE,PLUGIN_LIBRARY,PLUGIN_LICENSE,\
             LOAD_OPTION",
    )
}

/// Files of tablespaces: there are none.
pub(super) fn files() -> VirtualTable {
    empty(
        "FILE_ID,FILE_NAME,FILE_TYPE,TABLESPACE_NAME,LOGFILE_GROUP_NAME,ENGINE,INITIAL_SIZE,\
             EXTENT_SIZE,TOTAL_EXTENTS,EXTRA",
    )
}

/// The sessions of all nodes.
pub(in crate::catalog) fn processlist(tables: &SystemTables) -> VirtualTable {
    let rows = tables.running(|activity, _| {
        let sessions = activity.sessions().into_iter();
        sessions.map(|session| show::process_row(&session.process, true)).collect()
    });
    table(
        &[
            ("ID", number()),
            ("USER", name_type()),
            ("HOST", SqlType::varchar(261, CollationId::DEFAULT)),
            ("DB", name_type()),
            ("COMMAND", name_type()),
            ("TIME", SqlType::int()),
            ("STATE", name_type()),
            ("INFO", long_text()),
        ],
        rows,
    )
}

pub(super) fn variables(values: &SessionVariables, global: bool) -> VirtualTable {
    let rows = sysvar::all()
        .iter()
        .filter(|variable| !global || variable.scope != sysvar::VariableScope::Session)
        .map(|variable| vec![text(variable.name), text(values.shown(variable, global))])
        .collect();
    table(&[("VARIABLE_NAME", name_type()), ("VARIABLE_VALUE", long_text())], rows)
}
