//! COLUMN_PRIVILEGES, TABLE_PRIVILEGES and SCHEMA_PRIVILEGES.

use super::{VirtualTable, empty};

/// Privileges on columns: there are none.
pub(super) fn column_privileges() -> VirtualTable {
    empty("GRANTEE,TABLE_CATALOG,TABLE_SCHEMA,TABLE_NAME,COLUMN_NAME,PRIVILEGE_TYPE,IS_GRANTABLE")
}

/// Privileges on tables: there are none.
pub(super) fn table_privileges() -> VirtualTable {
    empty("GRANTEE,TABLE_CATALOG,TABLE_SCHEMA,TABLE_NAME,PRIVILEGE_TYPE,IS_GRANTABLE")
}

/// Privileges on databases: there are none.
pub(super) fn schema_privileges() -> VirtualTable {
    empty("GRANTEE,TABLE_CATALOG,TABLE_SCHEMA,PRIVILEGE_TYPE,IS_GRANTABLE")
}
