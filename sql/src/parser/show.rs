//! SHOW, DESCRIBE, EXPLAIN.

use super::Parser;
use crate::ast::{
    Explain, ExplainTarget, ShardingClass, Show, ShowFilter, Statement, TableName, VariableScope,
};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// SHOW …
    #[inline(never)]
    pub(super) fn show(&mut self) -> Result<Statement> {
        self.advance();
        let extended = self.accept_word("EXTENDED");
        let full = self.accept_word("FULL");
        let word = self.upper();
        let fits = match word.as_str() {
            "TABLES" | "COLUMNS" | "FIELDS" => true,
            "INDEX" | "INDEXES" | "KEYS" => !full,
            "PROCESSLIST" => !extended,
            _ => !extended && !full,
        };
        if !fits {
            return Err(self.error());
        }
        if let Some(statement) = self.show_unsupported(&word) {
            return Ok(statement);
        }
        let start = self.at;
        self.advance();
        Ok(Statement::Show(match word.as_str() {
            "DATABASES" | "SCHEMAS" => Show::Databases(self.show_filter()?),
            "TABLES" => {
                let database = self.show_database()?;
                Show::Tables { extended, full, database, filter: self.show_filter()? }
            }
            "TABLE" if self.accept_word("STATUS") => {
                let database = self.show_database()?;
                Show::TableStatus { database, filter: self.show_filter()? }
            }
            "TABLE" => Show::TablesBySharding(self.sharding_class()?),
            "OPEN" => {
                self.expect_word("TABLES")?;
                let database = self.show_database()?;
                Show::OpenTables { database, filter: self.show_filter()? }
            }
            "COLUMNS" | "FIELDS" => {
                let table = self.show_table()?;
                Show::Columns { extended, full, table, filter: self.show_filter()? }
            }
            "INDEX" | "INDEXES" | "KEYS" => {
                let table = self.show_table()?;
                Show::Index { extended, table, filter: self.where_clause()? }
            }
            "CREATE" => self.show_create()?,
            "WARNINGS" => Show::Warnings(self.limit()?),
            "ERRORS" => Show::Errors(self.limit()?),
            "COUNT" => {
                self.expect_kind(TokenKind::LeftParen)?;
                self.expect_kind(TokenKind::Star)?;
                self.expect_kind(TokenKind::RightParen)?;
                match self.accept_any(&["WARNINGS", "ERRORS"]) {
                    Some("WARNINGS") => Show::CountWarnings,
                    Some(_) => Show::CountErrors,
                    None => return Err(self.error()),
                }
            }
            "GLOBAL" | "SESSION" | "LOCAL" => {
                let scope = match word.as_str() {
                    "GLOBAL" => VariableScope::Global,
                    _ => VariableScope::Session,
                };
                self.show_variables(Some(scope))?
            }
            "VARIABLES" | "STATUS" => {
                self.at = start;
                self.show_variables(None)?
            }
            "PROCESSLIST" => Show::ProcessList { full },
            "ENGINES" => Show::Engines,
            "STORAGE" => {
                self.expect_word("ENGINES")?;
                Show::Engines
            }
            "ENGINE" => {
                let name = self.identifier_or_string()?;
                match self.accept_any(&["STATUS", "MUTEX", "LOGS"]) {
                    Some(what) => Show::Engine { name, what: what.to_string() },
                    None => return Err(self.error()),
                }
            }
            "COLLATION" => Show::Collation(self.show_filter()?),
            "CHARSET" => Show::CharacterSet(self.show_filter()?),
            "CHARACTER" | "CHAR" => {
                self.expect_word("SET")?;
                Show::CharacterSet(self.show_filter()?)
            }
            "PLUGINS" => Show::Plugins,
            "PRIVILEGES" => Show::Privileges,
            "GRANTS" => self.show_grants()?,
            "TRIGGERS" => {
                let database = self.show_database()?;
                Show::Triggers { database, filter: self.show_filter()? }
            }
            "EVENTS" => {
                let database = self.show_database()?;
                Show::Events { database, filter: self.show_filter()? }
            }
            "PROCEDURE" | "FUNCTION" => {
                self.expect_word("STATUS")?;
                let function = word == "FUNCTION";
                Show::RoutineStatus { function, filter: self.show_filter()? }
            }
            "MASTER" | "BINARY" => self.show_binary_log(&word)?,
            "BINLOG" => {
                self.expect_word("EVENTS")?;
                self.rest_of_statement()?;
                Show::BinlogEvents
            }
            "REPLICA" | "SLAVE" => self.show_replica(&word)?,
            "REPLICAS" => Show::Replicas,
            "PROXY" => self.show_proxy()?,
            "PROFILES" => Show::Profiles,
            "PROFILE" => {
                self.rest_of_statement()?;
                Show::Profile
            }
            "SHARDS" => {
                let table = match self.accept_any(&["FROM", "IN"]) {
                    Some(_) => Some(self.table_name()?),
                    None => None,
                };
                let key = match table.is_some() && self.accept(&["FOR"]) {
                    true => self.arguments()?,
                    false => Vec::new(),
                };
                Show::Shards { table, key, filter: self.show_filter()? }
            }
            "HOT" => {
                self.expect_word("SHARDS")?;
                Show::HotShards(self.show_filter()?)
            }
            "SHARD" => {
                let shard = self.number()?;
                self.expect_word("WHY")?;
                Show::ShardWhy(shard)
            }
            "PLACEMENT" => self.show_placement()?,
            "NODES" => Show::Nodes(self.show_filter()?),
            "REBALANCE" => Show::Rebalance { plan: self.accept_word("PLAN") },
            "DDL" => {
                self.expect_word("JOBS")?;
                self.show_ddl_jobs()?
            }
            "TRANSACTION" => {
                self.expect_word("STATUS")?;
                Show::TransactionStatus(self.string()?)
            }
            _ => {
                self.at = start;
                return Err(self.error());
            }
        }))
    }

    /// Forms that MySQL has and that are only recognised.
    fn show_unsupported(&mut self, word: &str) -> Option<Statement> {
        let routine = matches!(word, "PROCEDURE" | "FUNCTION") && self.is_at(1, "CODE");
        let log = word == "RELAYLOG" && self.is_at(1, "EVENTS");
        (routine || log).then(|| {
            let what = format!("SHOW {word} {}", self.upper_at(1));
            self.unsupported_as(&what)
        })
    }

    /// FROM or IN a database.
    fn show_database(&mut self) -> Result<Option<String>> {
        match self.accept_any(&["FROM", "IN"]) {
            Some(_) => self.identifier().map(Some),
            None => Ok(None),
        }
    }

    /// FROM or IN a table, and perhaps FROM or IN its database.
    fn show_table(&mut self) -> Result<TableName> {
        if self.accept_any(&["FROM", "IN"]).is_none() {
            return Err(self.error());
        }
        let mut table = self.table_name()?;
        if let Some(database) = self.show_database()? {
            table.database = Some(database);
        }
        Ok(table)
    }

    /// LIKE or WHERE.
    pub(super) fn show_filter(&mut self) -> Result<Option<ShowFilter>> {
        if self.accept_word("LIKE") {
            return Ok(Some(ShowFilter::Like(self.string()?)));
        }
        Ok(self.where_clause()?.map(ShowFilter::Where))
    }

    /// What follows SHOW DDL JOBS.
    pub(super) fn show_ddl_jobs(&mut self) -> Result<Show> {
        let filter = self.show_filter()?;
        Ok(Show::DdlJobs { filter, limit: self.limit()?.map(Box::new) })
    }

    fn show_variables(&mut self, scope: Option<VariableScope>) -> Result<Show> {
        match self.accept_any(&["VARIABLES", "STATUS"]) {
            Some("VARIABLES") => Ok(Show::Variables { scope, filter: self.show_filter()? }),
            Some(_) => Ok(Show::Status { scope, filter: self.show_filter()? }),
            None => Err(self.error()),
        }
    }

    fn sharding_class(&mut self) -> Result<ShardingClass> {
        if self.accept(&["WITHOUT", "SHARDKEY"]) {
            return Ok(ShardingClass::Single);
        }
        self.expect_word("WITH")?;
        match self.accept_any(&["SHARDKEY", "NOSHARDKEY_ALLSET"]) {
            Some("SHARDKEY") => Ok(ShardingClass::Sharded),
            Some(_) => Ok(ShardingClass::Broadcast),
            None => Err(self.error()),
        }
    }

    fn show_create(&mut self) -> Result<Show> {
        let kind = self.upper();
        self.advance();
        Ok(match kind.as_str() {
            "TABLE" => Show::CreateTable(self.table_name()?),
            "SEQUENCE" => Show::CreateSequence(self.table_name()?),
            "PLACEMENT" => {
                self.expect_word("POLICY")?;
                Show::CreatePlacementPolicy(self.identifier()?)
            }
            "DATABASE" | "SCHEMA" => {
                let if_not_exists = self.if_not_exists();
                Show::CreateDatabase { if_not_exists, name: self.identifier()? }
            }
            "USER" => Show::CreateUser(self.account_name()?),
            "VIEW" | "PROCEDURE" | "FUNCTION" | "TRIGGER" | "EVENT" => {
                Show::CreateObject { kind, name: self.table_name()? }
            }
            _ => {
                self.at -= 1;
                return Err(self.error());
            }
        })
    }

    fn show_grants(&mut self) -> Result<Show> {
        let mut account = None;
        let mut using = Vec::new();
        if self.accept_word("FOR") {
            account = Some(self.account_name()?);
            if self.accept_word("USING") {
                using = self.list(Self::account_name)?;
            }
        }
        Ok(Show::Grants { account, using })
    }

    fn show_binary_log(&mut self, word: &str) -> Result<Show> {
        if self.accept_word("LOGS") {
            return Ok(Show::BinaryLogs);
        }
        if word == "BINARY" {
            self.expect_word("LOG")?;
        }
        self.expect_word("STATUS")?;
        Ok(Show::BinaryLogStatus)
    }

    fn show_replica(&mut self, word: &str) -> Result<Show> {
        if word == "SLAVE" && self.accept_word("HOSTS") {
            return Ok(Show::Replicas);
        }
        self.expect_word("STATUS")?;
        let channel = match self.accept(&["FOR", "CHANNEL"]) {
            true => Some(self.string()?),
            false => None,
        };
        Ok(Show::ReplicaStatus { channel })
    }

    /// DESCRIBE, DESC, EXPLAIN: of a table or of a statement.
    #[inline(never)]
    pub(super) fn explain(&mut self) -> Result<Statement> {
        self.advance();
        if self.is("DDL") && !matches!(self.kind_at(1), TokenKind::End | TokenKind::Dot) {
            self.advance();
            let target = ExplainTarget::Ddl(Box::new(self.statement()?));
            return Ok(Statement::Explain(Explain { analyze: false, format: None, target }));
        }
        if self.is_identifier() && !self.is_explain_word() {
            let table = self.table_name()?;
            let column = match self.kind() {
                TokenKind::String | TokenKind::Word | TokenKind::Quoted => {
                    Some(self.identifier_or_string()?)
                }
                _ => None,
            };
            return Ok(Statement::Describe { table, column });
        }
        let analyze = self.accept_word("ANALYZE");
        let mut format = None;
        if self.accept_word("FORMAT") {
            self.expect_kind(TokenKind::Equal)?;
            format = Some(match self.kind() {
                TokenKind::String => self.string()?.to_ascii_uppercase(),
                _ => self.identifier()?.to_ascii_uppercase(),
            });
        } else {
            self.accept_any(&["EXTENDED", "PARTITIONS"]);
        }
        let target = if self.accept(&["FOR", "CONNECTION"]) {
            ExplainTarget::Connection(self.number()?)
        } else {
            let explainable =
                ["SELECT", "WITH", "TABLE", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"];
            if self.kind() != TokenKind::LeftParen && !self.is_any(&explainable) {
                return Err(self.error());
            }
            ExplainTarget::Statement(Box::new(self.statement()?))
        };
        Ok(Statement::Explain(Explain { analyze, format, target }))
    }

    /// FORMAT, EXTENDED and PARTITIONS may also be tables.
    fn is_explain_word(&self) -> bool {
        (self.is("FORMAT") && self.kind_at(1) == TokenKind::Equal)
            || (self.is_any(&["EXTENDED", "PARTITIONS"])
                && matches!(self.kind_at(1), TokenKind::Reserved | TokenKind::LeftParen))
    }
}
