//! Views: a query with a name, and how it may be used.
//!
//! ```text
//! CREATE VIEW v AS SELECT * FROM t     what is kept: select `d`.`t`.`a` AS `a` from `d`.`t`
//! ```
//!
//! The text is what MySQL keeps, too: every name resolved, `*` written out (`crate::view`). So a column that the table gets later
//! is no column of the view, and nothing in the text depends on the session that reads it.
//!
//! Not here: statements about views (`ddl::view`), what a query makes of one (`binder::view`).

use super::object::Object;
use super::store;
use crate::ast::{CheckOption, SqlSecurity, ViewAlgorithm};
use crate::{Error, Result};
use base::TableId;
use prost::Message;

/// A view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewDef {
    /// Identity, never reused, not by tables either.
    pub id: TableId,
    /// Exact name of its database.
    pub database: String,
    /// Exact name; no table and no sequence of the database has it.
    pub name: String,
    /// Its query in MySQL's own layout, all names resolved.
    pub text: String,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// Whether the names were listed before AS: then SHOW CREATE VIEW lists them.
    pub columns_declared: bool,
    /// ALGORITHM.
    pub algorithm: ViewAlgorithm,
    /// User and host of DEFINER.
    pub definer: (String, String),
    /// SQL SECURITY.
    pub security: SqlSecurity,
    /// WITH CHECK OPTION.
    pub check: Option<CheckOption>,
    /// Whether rows can be changed through it, as far as its query tells.
    pub updatable: bool,
    /// `character_set_client` of the session that made it.
    pub client_charset: String,
    /// `collation_connection` of that session.
    pub connection_collation: String,
    /// Unix seconds when it was created.
    pub created_unix: u64,
}

impl ViewDef {
    /// `database.view`, as errors print it.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }
}

/// A view on disk (`docs/formats.md`, "Catalog", table 142).
#[derive(Clone, PartialEq, Message)]
struct ViewRecord {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    database: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    text: String,
    #[prost(string, repeated, tag = "5")]
    columns: Vec<String>,
    /// 0 UNDEFINED, 1 MERGE, 2 TEMPTABLE.
    #[prost(uint32, tag = "6")]
    algorithm: u32,
    #[prost(string, tag = "7")]
    definer_user: String,
    #[prost(string, tag = "8")]
    definer_host: String,
    /// SQL SECURITY INVOKER.
    #[prost(bool, tag = "9")]
    invoker: bool,
    /// 0 none, 1 LOCAL, 2 CASCADED.
    #[prost(uint32, tag = "10")]
    check: u32,
    #[prost(bool, tag = "11")]
    updatable: bool,
    #[prost(string, tag = "12")]
    client_charset: String,
    #[prost(string, tag = "13")]
    connection_collation: String,
    #[prost(uint64, tag = "14")]
    created_unix: u64,
    #[prost(bool, tag = "15")]
    columns_declared: bool,
}

impl Object for ViewDef {
    const TABLE: TableId = store::VIEWS;

    fn id(&self) -> TableId {
        self.id
    }

    fn database(&self) -> &str {
        &self.database
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn encode(&self) -> Vec<u8> {
        ViewRecord {
            id: self.id.0,
            database: self.database.clone(),
            name: self.name.clone(),
            text: self.text.clone(),
            columns: self.columns.clone(),
            algorithm: match self.algorithm {
                ViewAlgorithm::Undefined => 0,
                ViewAlgorithm::Merge => 1,
                ViewAlgorithm::TempTable => 2,
            },
            definer_user: self.definer.0.clone(),
            definer_host: self.definer.1.clone(),
            invoker: self.security == SqlSecurity::Invoker,
            check: match self.check {
                None => 0,
                Some(CheckOption::Local) => 1,
                Some(CheckOption::Cascaded) => 2,
            },
            updatable: self.updatable,
            client_charset: self.client_charset.clone(),
            connection_collation: self.connection_collation.clone(),
            created_unix: self.created_unix,
            columns_declared: self.columns_declared,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<ViewDef> {
        let corrupt = |what: String| Error::storage(format!("corrupt view record: {what}"));
        let record = ViewRecord::decode(bytes).map_err(|error| corrupt(error.to_string()))?;
        Ok(ViewDef {
            id: TableId(record.id),
            database: record.database,
            name: record.name,
            text: record.text,
            columns: record.columns,
            algorithm: match record.algorithm {
                0 => ViewAlgorithm::Undefined,
                1 => ViewAlgorithm::Merge,
                2 => ViewAlgorithm::TempTable,
                other => return Err(corrupt(format!("algorithm {other}"))),
            },
            definer: (record.definer_user, record.definer_host),
            security: match record.invoker {
                true => SqlSecurity::Invoker,
                false => SqlSecurity::Definer,
            },
            check: match record.check {
                0 => None,
                1 => Some(CheckOption::Local),
                2 => Some(CheckOption::Cascaded),
                other => return Err(corrupt(format!("check option {other}"))),
            },
            updatable: record.updatable,
            client_charset: record.client_charset,
            connection_collation: record.connection_collation,
            created_unix: record.created_unix,
            columns_declared: record.columns_declared,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let view = ViewDef {
            id: TableId(1000),
            database: "d".into(),
            name: "v".into(),
            text: "select 1 AS `1`".into(),
            columns: vec!["1".into()],
            algorithm: ViewAlgorithm::TempTable,
            definer: ("root".into(), "localhost".into()),
            security: SqlSecurity::Invoker,
            check: Some(CheckOption::Cascaded),
            updatable: true,
            client_charset: "utf8mb4".into(),
            connection_collation: "utf8mb4_0900_ai_ci".into(),
            created_unix: 7,
            columns_declared: true,
        };
        assert_eq!(ViewDef::decode(&view.encode()).unwrap(), view);
        let plain = ViewDef { check: None, security: SqlSecurity::Definer, ..view };
        assert_eq!(ViewDef::decode(&plain.encode()).unwrap(), plain);
    }
}
