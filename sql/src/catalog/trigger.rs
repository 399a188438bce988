//! Triggers: what is done for each row that is inserted, changed or removed.
//!
//! ```text
//! INSERT INTO t …    row ─ BEFORE INSERT, in their order (NEW may be set) ─ written ─ AFTER INSERT, in theirs
//! ```
//!
//! A body stands here as written; [`TriggerDef::tree`] reads it again under the `sql_mode` that the trigger was made with.
//!
//! Invariant: the triggers of one table, time and event are numbered from 1 in the order in which they run.
//!
//! Not here: statements about triggers (`ddl::trigger`), running them (`dml::trigger`).

use super::object::Object;
use super::store;
use crate::ast::{ProgramBody, ProgramStatement, Statement, TriggerEvent};
use crate::context::SqlMode;
use crate::session::statement::parse_mode;
use crate::{Error, Result, parser};
use base::TableId;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerDef {
    /// Identity, never reused, not by tables either.
    pub id: TableId,
    /// Exact name of its database, which is its table's.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Exact name of its table.
    pub table: String,
    /// AFTER; else BEFORE.
    pub after: bool,
    /// On what.
    pub event: TriggerEvent,
    /// Its place among those of the same table, time and event, from 1.
    pub order: u32,
    /// What it does, as written.
    pub body: String,
    /// User and host of DEFINER.
    pub definer: (String, String),
    /// `sql_mode` of the session that made it: its body is read and run under it.
    pub sql_mode: SqlMode,
    /// `character_set_client` of that session.
    pub client_charset: String,
    /// `collation_connection` of that session.
    pub connection_collation: String,
    /// Collation of its database then.
    pub database_collation: String,
    /// Unix microseconds when it was created.
    pub created_unix_micros: u64,
}

impl TriggerDef {
    /// BEFORE or AFTER.
    pub fn timing(&self) -> &'static str {
        if self.after { "AFTER" } else { "BEFORE" }
    }

    /// Its tree.
    ///
    /// # Errors
    /// The text is not understood any more.
    pub fn tree(&self) -> Result<ProgramBody> {
        let text = format!(
            "CREATE TRIGGER r {} {} ON t FOR EACH ROW {}",
            self.timing(),
            self.event.name(),
            self.body
        );
        let corrupt = || Error::storage(format!("corrupt trigger {}.{}", self.database, self.name));
        match parser::parse_statement(&text, &parse_mode(self.sql_mode))? {
            Statement::Program(program) => match *program {
                ProgramStatement::CreateTrigger(create) => Ok(create.body),
                _ => Err(corrupt()),
            },
            _ => Err(corrupt()),
        }
    }

    /// Whether it belongs to the same table, time and event.
    pub(crate) fn is_beside(&self, other: &TriggerDef) -> bool {
        self.database == other.database
            && self.table == other.table
            && self.after == other.after
            && self.event == other.event
    }
}

/// The triggers of tables, in the order in which they run: by the exact names of database and table.
#[derive(Clone, Debug, Default)]
pub(super) struct ByTable(BTreeMap<String, BTreeMap<String, Vec<Arc<TriggerDef>>>>);

impl ByTable {
    /// Sorts triggers by their tables.
    pub(super) fn of<'a>(triggers: impl Iterator<Item = &'a Arc<TriggerDef>>) -> ByTable {
        let mut all = ByTable::default();
        for trigger in triggers {
            let of_database = all.0.entry(trigger.database.clone()).or_default();
            of_database.entry(trigger.table.clone()).or_default().push(trigger.clone());
        }
        for list in all.0.values_mut().flat_map(BTreeMap::values_mut) {
            list.sort_by_key(|trigger| (trigger.event as u8, trigger.after, trigger.order));
        }
        all
    }

    /// Those of a table.
    pub(super) fn get(&self, database: &str, table: &str) -> &[Arc<TriggerDef>] {
        let found = self.0.get(database).and_then(|tables| tables.get(table));
        found.map_or(&[], Vec::as_slice)
    }
}

/// A trigger on disk (`docs/formats.md`, "Catalog", table 144).
#[derive(Clone, PartialEq, Message)]
struct TriggerRecord {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(string, tag = "2")]
    database: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    table: String,
    #[prost(bool, tag = "5")]
    after: bool,
    /// 0 INSERT, 1 UPDATE, 2 DELETE.
    #[prost(uint32, tag = "6")]
    event: u32,
    #[prost(uint32, tag = "7")]
    order: u32,
    #[prost(string, tag = "8")]
    body: String,
    #[prost(string, tag = "9")]
    definer_user: String,
    #[prost(string, tag = "10")]
    definer_host: String,
    #[prost(string, tag = "11")]
    sql_mode: String,
    #[prost(string, tag = "12")]
    client_charset: String,
    #[prost(string, tag = "13")]
    connection_collation: String,
    #[prost(string, tag = "14")]
    database_collation: String,
    #[prost(uint64, tag = "15")]
    created_unix_micros: u64,
}

impl Object for TriggerDef {
    const TABLE: TableId = store::TRIGGERS;

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
        TriggerRecord {
            id: self.id.0,
            database: self.database.clone(),
            name: self.name.clone(),
            table: self.table.clone(),
            after: self.after,
            event: match self.event {
                TriggerEvent::Insert => 0,
                TriggerEvent::Update => 1,
                TriggerEvent::Delete => 2,
            },
            order: self.order,
            body: self.body.clone(),
            definer_user: self.definer.0.clone(),
            definer_host: self.definer.1.clone(),
            sql_mode: self.sql_mode.to_string(),
            client_charset: self.client_charset.clone(),
            connection_collation: self.connection_collation.clone(),
            database_collation: self.database_collation.clone(),
            created_unix_micros: self.created_unix_micros,
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<TriggerDef> {
        let corrupt = |what: String| Error::storage(format!("corrupt trigger record: {what}"));
        let record = TriggerRecord::decode(bytes).map_err(|error| corrupt(error.to_string()))?;
        Ok(TriggerDef {
            id: TableId(record.id),
            database: record.database,
            name: record.name,
            table: record.table,
            after: record.after,
            event: match record.event {
                0 => TriggerEvent::Insert,
                1 => TriggerEvent::Update,
                2 => TriggerEvent::Delete,
                other => return Err(corrupt(format!("event {other}"))),
            },
            order: record.order,
            body: record.body,
            definer: (record.definer_user, record.definer_host),
            sql_mode: SqlMode::parse(&record.sql_mode)?,
            client_charset: record.client_charset,
            connection_collation: record.connection_collation,
            database_collation: record.database_collation,
            created_unix_micros: record.created_unix_micros,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(name: &str, after: bool, event: TriggerEvent, order: u32) -> Arc<TriggerDef> {
        Arc::new(TriggerDef {
            id: TableId(1000),
            database: "d".into(),
            name: name.into(),
            table: "t".into(),
            after,
            event,
            order,
            body: "SET @a = NEW.a".into(),
            definer: ("root".into(), "localhost".into()),
            sql_mode: SqlMode::ANSI_QUOTES,
            client_charset: "utf8mb4".into(),
            connection_collation: "utf8mb4_0900_ai_ci".into(),
            database_collation: "utf8mb4_0900_ai_ci".into(),
            created_unix_micros: 7,
        })
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let trigger = trigger("a", true, TriggerEvent::Update, 2);
        assert_eq!(TriggerDef::decode(&trigger.encode()).unwrap(), *trigger);
        assert!(trigger.tree().is_ok());
    }

    #[test]
    fn the_triggers_of_a_table_stand_in_the_order_in_which_they_run() {
        let all = [
            trigger("c", false, TriggerEvent::Update, 2),
            trigger("b", true, TriggerEvent::Insert, 1),
            trigger("a", false, TriggerEvent::Update, 1),
        ];
        let names: Vec<String> =
            ByTable::of(all.iter()).get("d", "t").iter().map(|t| t.name.clone()).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert!(ByTable::of(all.iter()).get("d", "u").is_empty());
    }
}
