//! TRIGGERS.

use super::{VirtualTable, empty};
use crate::catalog::Catalog;

/// Triggers: none can be defined.
pub(super) fn triggers(_: &Catalog) -> VirtualTable {
    empty(
        "TRIGGER_CATALOG,TRIGGER_SCHEMA,TRIGGER_NAME,EVENT_MANIPULATION,EVENT_OBJECT_CATALOG,\
             EVENT_OBJECT_SCHEMA,EVENT_OBJECT_TABLE,ACTION_ORDER,ACTION_CONDITION,ACTION_STATEMENT,\
             ACTION_ORIENTATION,ACTION_TIMING,CREATED,SQL_MODE,DEFINER",
    )
}
