//! VIEWS.

use super::{VirtualTable, empty};
use crate::catalog::Catalog;

/// Views: none can be defined.
pub(super) fn views(_: &Catalog) -> VirtualTable {
    empty(
        "TABLE_CATALOG,TABLE_SCHEMA,TABLE_NAME,VIEW_DEFINITION,CHECK_OPTION,IS_UPDATABLE,DEFINER,\
             SECURITY_TYPE,CHARACTER_SET_CLIENT,COLLATION_CONNECTION",
    )
}
