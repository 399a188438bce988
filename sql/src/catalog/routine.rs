//! Procedures and functions: their text, and under what it is read.
//!
//! ```text
//! CREATE FUNCTION f(a INT) RETURNS INT RETURN a + 1     parameters `a INT` · returns `INT` · body `RETURN a + 1`
//! ```
//!
//! The parts stand here as written; [`RoutineDef::tree`] reads them again under the `sql_mode` that the routine was made with.
//!
//! Invariant: [`RoutineDef::key`] is made of kind and name in lower case: procedures and functions have names of their own, found in
//! any case.
//!
//! Not here: statements about routines (`ddl::routine`), what they do (`crate::program`).

use super::object::Object;
use super::store;
use crate::ast::{CreateRoutine, DataUse, ProgramStatement, RoutineKind, SqlSecurity, Statement};
use crate::context::SqlMode;
use crate::session::statement::parse_mode;
use crate::{Error, Result, parser};
use base::TableId;
use prost::Message;

/// A procedure or a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutineDef {
    /// Identity, never reused, not by tables either.
    pub id: TableId,
    /// Exact name of its database.
    pub database: String,
    /// Its name as written.
    pub name: String,
    /// What it is looked up by.
    pub(crate) key: String,
    /// Which kind.
    pub kind: RoutineKind,
    /// Its parameters as written, without the parentheses.
    pub parameters: String,
    /// RETURNS as SHOW prints it; empty for a procedure.
    pub returns: String,
    /// What it does, as written.
    pub body: String,
    /// User and host of DEFINER.
    pub definer: (String, String),
    /// SQL SECURITY.
    pub security: SqlSecurity,
    /// COMMENT.
    pub comment: String,
    /// DETERMINISTIC.
    pub deterministic: bool,
    /// What it does with data.
    pub data: DataUse,
    /// `sql_mode` of the session that made it: its body is read and run under it.
    pub sql_mode: SqlMode,
    /// `character_set_client` of that session.
    pub client_charset: String,
    /// `collation_connection` of that session.
    pub connection_collation: String,
    /// Collation of its database then.
    pub database_collation: String,
    /// Unix seconds when it was created.
    pub created_unix: u64,
    /// Unix seconds when it was changed last.
    pub altered_unix: u64,
}

/// What a routine is looked up by.
pub(super) fn key_of(kind: RoutineKind, name: &str) -> String {
    format!("{} {}", kind.name(), name.to_lowercase())
}

impl RoutineDef {
    /// A routine of this kind and name; the rest is to be filled in.
    pub(crate) fn named(id: TableId, database: &str, kind: RoutineKind, name: &str) -> RoutineDef {
        RoutineDef {
            id,
            database: database.to_string(),
            name: name.to_string(),
            key: key_of(kind, name),
            kind,
            parameters: String::new(),
            returns: String::new(),
            body: String::new(),
            definer: (String::new(), String::new()),
            security: SqlSecurity::Definer,
            comment: String::new(),
            deterministic: false,
            data: DataUse::Contains,
            sql_mode: SqlMode::EMPTY,
            client_charset: String::new(),
            connection_collation: String::new(),
            database_collation: String::new(),
            created_unix: 0,
            altered_unix: 0,
        }
    }

    /// `database.routine`, as errors print it.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Its tree.
    ///
    /// # Errors
    /// The text is not understood any more.
    pub fn tree(&self) -> Result<CreateRoutine> {
        let returns = match self.kind {
            RoutineKind::Procedure => String::new(),
            RoutineKind::Function => format!(" RETURNS {}", self.returns),
        };
        let text =
            format!("CREATE {} r ({}\n){returns} {}", self.kind.name(), self.parameters, self.body);
        match parser::parse_statement(&text, &parse_mode(self.sql_mode))? {
            Statement::Program(program) => match *program {
                ProgramStatement::CreateRoutine(create) => Ok(create),
                _ => Err(Error::storage(format!("corrupt routine {}", self.qualified_name()))),
            },
            _ => Err(Error::storage(format!("corrupt routine {}", self.qualified_name()))),
        }
    }
}

/// A routine on disk (`docs/formats.md`, "Catalog", table 143).
#[derive(Clone, PartialEq, Message)]
struct RoutineRecord {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    database: String,
    #[prost(string, tag = "3")]
    name: String,
    /// FUNCTION; else PROCEDURE.
    #[prost(bool, tag = "4")]
    function: bool,
    #[prost(string, tag = "5")]
    parameters: String,
    #[prost(string, tag = "6")]
    returns: String,
    #[prost(string, tag = "7")]
    body: String,
    #[prost(string, tag = "8")]
    definer_user: String,
    #[prost(string, tag = "9")]
    definer_host: String,
    /// SQL SECURITY INVOKER.
    #[prost(bool, tag = "10")]
    invoker: bool,
    #[prost(string, tag = "11")]
    comment: String,
    #[prost(bool, tag = "12")]
    deterministic: bool,
    /// 0 CONTAINS SQL, 1 NO SQL, 2 READS SQL DATA, 3 MODIFIES SQL DATA.
    #[prost(uint32, tag = "13")]
    data: u32,
    #[prost(string, tag = "14")]
    sql_mode: String,
    #[prost(string, tag = "15")]
    client_charset: String,
    #[prost(string, tag = "16")]
    connection_collation: String,
    #[prost(string, tag = "17")]
    database_collation: String,
    #[prost(uint64, tag = "18")]
    created_unix: u64,
    #[prost(uint64, tag = "19")]
    altered_unix: u64,
}

impl Object for RoutineDef {
    const TABLE: TableId = store::ROUTINES;

    fn id(&self) -> TableId {
        self.id
    }

    fn database(&self) -> &str {
        &self.database
    }

    #[allow(
        clippy::misnamed_getters,
        reason = "procedures and functions of one name are two objects"
    )]
    fn name(&self) -> &str {
        &self.key
    }

    fn encode(&self) -> Vec<u8> {
        RoutineRecord {
            id: self.id.0,
            database: self.database.clone(),
            name: self.name.clone(),
            function: self.kind == RoutineKind::Function,
            parameters: self.parameters.clone(),
            returns: self.returns.clone(),
            body: self.body.clone(),
            definer_user: self.definer.0.clone(),
            definer_host: self.definer.1.clone(),
            invoker: self.security == SqlSecurity::Invoker,
            comment: self.comment.clone(),
            deterministic: self.deterministic,
            data: match self.data {
                DataUse::Contains => 0,
                DataUse::None => 1,
                DataUse::Reads => 2,
                DataUse::Modifies => 3,
            },
            sql_mode: self.sql_mode.to_string(),
            client_charset: self.client_charset.clone(),
            connection_collation: self.connection_collation.clone(),
            database_collation: self.database_collation.clone(),
            created_unix: self.created_unix,
            altered_unix: self.altered_unix,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<RoutineDef> {
        let corrupt = |what: String| Error::storage(format!("corrupt routine record: {what}"));
        let record = RoutineRecord::decode(bytes).map_err(|error| corrupt(error.to_string()))?;
        let kind = match record.function {
            true => RoutineKind::Function,
            false => RoutineKind::Procedure,
        };
        Ok(RoutineDef {
            parameters: record.parameters,
            returns: record.returns,
            body: record.body,
            definer: (record.definer_user, record.definer_host),
            security: match record.invoker {
                true => SqlSecurity::Invoker,
                false => SqlSecurity::Definer,
            },
            comment: record.comment,
            deterministic: record.deterministic,
            data: match record.data {
                0 => DataUse::Contains,
                1 => DataUse::None,
                2 => DataUse::Reads,
                3 => DataUse::Modifies,
                other => return Err(corrupt(format!("use of data {other}"))),
            },
            sql_mode: SqlMode::parse(&record.sql_mode)?,
            client_charset: record.client_charset,
            connection_collation: record.connection_collation,
            database_collation: record.database_collation,
            created_unix: record.created_unix,
            altered_unix: record.altered_unix,
            ..RoutineDef::named(TableId(record.id), &record.database, kind, &record.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let routine = RoutineDef {
            parameters: "a INT".into(),
            returns: "int".into(),
            body: "RETURN a + 1".into(),
            definer: ("root".into(), "localhost".into()),
            security: SqlSecurity::Invoker,
            comment: "adds".into(),
            deterministic: true,
            data: DataUse::Reads,
            sql_mode: SqlMode::ANSI_QUOTES,
            client_charset: "utf8mb4".into(),
            connection_collation: "utf8mb4_0900_ai_ci".into(),
            database_collation: "utf8mb4_0900_ai_ci".into(),
            created_unix: 7,
            altered_unix: 8,
            ..RoutineDef::named(TableId(1000), "d", RoutineKind::Function, "Plus")
        };
        assert_eq!(RoutineDef::decode(&routine.encode()).unwrap(), routine);
        assert_eq!(routine.key, key_of(RoutineKind::Function, "PLUS"));
        assert_eq!(routine.tree().unwrap().parameters.len(), 1);
    }
}
