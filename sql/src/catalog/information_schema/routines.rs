//! ROUTINES and PARAMETERS.

use super::{VirtualTable, empty};
use crate::catalog::Catalog;

/// Procedures and functions: none can be defined.
pub(super) fn routines(_: &Catalog) -> VirtualTable {
    empty(
        "SPECIFIC_NAME,ROUTINE_CATALOG,ROUTINE_SCHEMA,ROUTINE_NAME,ROUTINE_TYPE,DATA_TYPE,\
             ROUTINE_BODY,ROUTINE_DEFINITION,IS_DETERMINISTIC,SECURITY_TYPE,CREATED,LAST_ALTERED,\
             SQL_MODE,ROUTINE_COMMENT,DEFINER",
    )
}

/// Their parameters.
pub(super) fn parameters(_: &Catalog) -> VirtualTable {
    empty(
        "SPECIFIC_CATALOG,SPECIFIC_SCHEMA,SPECIFIC_NAME,ORDINAL_POSITION,PARAMETER_MODE,\
             PARAMETER_NAME,DATA_TYPE,DTD_IDENTIFIER,ROUTINE_TYPE",
    )
}
