//! PREPARE and EXECUTE by text, KILL, FLUSH, table locks, ANALYZE and its relatives.

use super::Parser;
use crate::ast::{
    AdminCheck, AdministrationAction, Flush, FlushTarget, JobAction, PrepareSource, Statement,
    TableAdministration, TableLock,
};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// A statement about the server, by its first word.
    #[inline(never)]
    pub(super) fn server_statement(&mut self) -> Result<Statement> {
        let word = self.upper();
        if matches!(word.as_str(), "LOCK" | "UNLOCK") && self.is_at(1, "INSTANCE") {
            return Ok(self.unsupported(2));
        }
        self.advance();
        match word.as_str() {
            "PREPARE" => {
                let name = self.identifier()?;
                self.expect_word("FROM")?;
                let from = match self.kind() {
                    TokenKind::UserVariable => PrepareSource::Variable(self.variable_name()?),
                    _ => PrepareSource::Text(self.string()?),
                };
                Ok(Statement::Prepare { name, from })
            }
            "EXECUTE" => {
                let name = self.identifier()?;
                let using = match self.accept_word("USING") {
                    true => self.list(Self::variable_name)?,
                    false => Vec::new(),
                };
                Ok(Statement::Execute { name, using })
            }
            "DEALLOCATE" => {
                self.expect_word("PREPARE")?;
                Ok(Statement::Deallocate(self.identifier()?))
            }
            "KILL" => {
                let query_only = self.accept_any(&["QUERY", "CONNECTION"]) == Some("QUERY");
                Ok(Statement::Kill { query_only, id: self.expr()? })
            }
            "FLUSH" => self.flush(),
            "ADMIN" => self.admin(),
            "LOCK" => self.lock_tables(),
            "UNLOCK" => match self.accept_any(&["TABLES", "TABLE"]) {
                Some(_) => Ok(Statement::UnlockTables),
                None => Err(self.error()),
            },
            _ => Ok(Statement::Help(self.identifier_or_string()?)),
        }
    }

    /// What follows ADMIN.
    fn admin(&mut self) -> Result<Statement> {
        if self.accept(&["CHECKSUM", "CLUSTER"]) {
            return Ok(Statement::ChecksumCluster);
        }
        if self.accept(&["CHECK", "TABLE"]) {
            let tables = self.list(Self::table_name)?;
            return Ok(Statement::AdminCheck(AdminCheck::Tables(tables)));
        }
        if self.accept(&["CHECK", "INDEX"]) {
            let table = self.table_name()?;
            let index = match self.accept_word("PRIMARY") {
                true => "PRIMARY".to_string(),
                false => self.identifier()?,
            };
            return Ok(Statement::AdminCheck(AdminCheck::Index { table, index }));
        }
        self.ddl_jobs()
    }

    /// What follows ADMIN: of jobs.
    fn ddl_jobs(&mut self) -> Result<Statement> {
        let action = match self.accept_any(&["SHOW", "PAUSE", "RESUME", "CANCEL"]) {
            Some("SHOW") => {
                self.expect_word("DDL")?;
                self.expect_word("JOBS")?;
                return Ok(Statement::Show(self.show_ddl_jobs()?));
            }
            Some("PAUSE") => JobAction::Pause,
            Some("RESUME") => JobAction::Resume,
            Some(_) => JobAction::Cancel,
            None => return Err(self.error()),
        };
        self.expect_word("DDL")?;
        self.expect_word("JOBS")?;
        Ok(Statement::DdlJobs { action, jobs: self.list(Self::number)? })
    }

    fn binlog_choice(&mut self) -> bool {
        self.accept_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]).is_some()
    }

    fn flush(&mut self) -> Result<Statement> {
        let local = self.binlog_choice();
        if self.accept_any(&["TABLES", "TABLE"]).is_some() {
            let mut tables = Vec::new();
            if self.is_identifier() {
                tables = self.list(Self::table_name)?;
            }
            let read_lock = self.accept(&["WITH", "READ", "LOCK"]);
            let for_export = !read_lock && self.accept(&["FOR", "EXPORT"]);
            let what = FlushTarget::Tables { tables, read_lock, for_export };
            return Ok(Statement::Flush(Flush { local, what }));
        }
        let options = self.list(|parser| {
            let known = [
                "BINARY",
                "ENGINE",
                "ERROR",
                "GENERAL",
                "SLOW",
                "RELAY",
                "HOSTS",
                "LOGS",
                "OPTIMIZER_COSTS",
                "PRIVILEGES",
                "STATUS",
                "USER_RESOURCES",
                "DES_KEY_FILE",
                "QUERY",
            ];
            if !parser.is_any(&known) {
                return Err(parser.error());
            }
            let mut words = Vec::new();
            while !parser.upper().is_empty() {
                words.push(parser.upper());
                parser.advance();
            }
            Ok(words.join(" "))
        })?;
        Ok(Statement::Flush(Flush { local, what: FlushTarget::Options(options) }))
    }

    fn lock_tables(&mut self) -> Result<Statement> {
        if self.accept_any(&["TABLES", "TABLE"]).is_none() {
            return Err(self.error());
        }
        let locks = self.list(|parser| {
            let table = parser.table_name()?;
            let alias = match parser.accept_word("AS") {
                true => Some(parser.identifier()?),
                false if parser.is_identifier() => Some(parser.identifier()?),
                false => None,
            };
            if parser.accept_word("READ") {
                let local = parser.accept_word("LOCAL");
                return Ok(TableLock { table, alias, write: false, local });
            }
            parser.accept_word("LOW_PRIORITY");
            parser.expect_word("WRITE")?;
            Ok(TableLock { table, alias, write: true, local: false })
        })?;
        Ok(Statement::LockTables(locks))
    }

    /// ANALYZE, OPTIMIZE, CHECK, REPAIR, CHECKSUM TABLE.
    #[inline(never)]
    pub(super) fn table_administration(&mut self) -> Result<Statement> {
        let action = match self.upper().as_str() {
            "ANALYZE" => AdministrationAction::Analyze,
            "OPTIMIZE" => AdministrationAction::Optimize,
            "CHECK" => AdministrationAction::Check,
            "REPAIR" => AdministrationAction::Repair,
            _ => AdministrationAction::Checksum,
        };
        self.advance();
        let local = self.binlog_choice();
        if self.accept_any(&["TABLE", "TABLES"]).is_none() {
            return Err(self.error());
        }
        let tables = self.list(Self::table_name)?;
        let known =
            ["QUICK", "FAST", "MEDIUM", "EXTENDED", "CHANGED", "FOR", "UPDATE", "DROP", "USE_FRM"];
        let options = match self.is_any(&known) {
            true => self.rest_of_statement()?,
            false => String::new(),
        };
        Ok(Statement::TableAdministration(TableAdministration { action, local, tables, options }))
    }
}
