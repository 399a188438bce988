//! EVENTS.

use super::{VirtualTable, empty};
use crate::catalog::Catalog;

/// Events: none can be defined.
pub(super) fn events(_: &Catalog) -> VirtualTable {
    empty(
        "EVENT_CATALOG,EVENT_SCHEMA,EVENT_NAME,DEFINER,TIME_ZONE,EVENT_BODY,EVENT_DEFINITION,\
             EVENT_TYPE,EXECUTE_AT,INTERVAL_VALUE,INTERVAL_FIELD,SQL_MODE,STARTS,ENDS,STATUS",
    )
}
