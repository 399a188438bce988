//! CREATE, DROP, RENAME, TRUNCATE of databases, tables and indexes.

use super::Parser;
use super::placement::set_once;
use crate::ast::{
    CreateDatabase, CreateIndex, CreateTable, CreateTableLike, CreateTableQuery, DatabaseOptions,
    DistributionItem, DistributionMethod, DistributionValues, DropIndex, DropTable, KeyDefinition,
    KeyKind, LoadDuplicates, ShardingClause, Statement, TableName, TableOption, TableOptions,
};
use crate::error::{Error, Result};
use crate::lexer::{self, TokenKind};

impl Parser<'_> {
    /// CREATE …
    #[inline(never)]
    pub(super) fn create(&mut self) -> Result<Statement> {
        match self.upper_at(1).as_str() {
            "DATABASE" | "SCHEMA" => self.create_database(),
            "TABLE" => self.create_table(),
            "TEMPORARY" if self.is_at(2, "TABLE") => self.create_table(),
            "INDEX" | "UNIQUE" | "FULLTEXT" | "SPATIAL" | "GLOBAL" => self.create_index(),
            "USER" | "ROLE" => self.create_account(),
            "SEQUENCE" => self.create_sequence(),
            "PLACEMENT" => self.create_placement_policy(),
            "OR" if self.is_at(2, "REPLACE") && self.is_at(3, "PLACEMENT") => {
                self.create_placement_policy()
            }
            "OR" if self.is_at(2, "REPLACE") && self.is_at(3, "SEQUENCE") => self.create_sequence(),
            "AGGREGATE" if self.is_at(2, "FUNCTION") => Ok(self.unsupported_as("CREATE FUNCTION")),
            "DEFINER" | "OR" | "ALGORITHM" | "SQL" | "VIEW" | "PROCEDURE" | "FUNCTION"
            | "TRIGGER" | "EVENT" => self.create_stored(),
            "SERVER" | "TABLESPACE" | "LOGFILE" | "UNDO" | "RESOURCE" => {
                let what = format!("CREATE {}", self.upper_at(1));
                Ok(self.unsupported_as(&what))
            }
            _ => Err(self.error_after(1)),
        }
    }

    /// DROP …
    #[inline(never)]
    pub(super) fn drop(&mut self) -> Result<Statement> {
        match self.upper_at(1).as_str() {
            "DATABASE" | "SCHEMA" => {
                self.at += 2;
                let if_exists = self.if_exists();
                Ok(Statement::DropDatabase { if_exists, name: self.identifier()? })
            }
            "TABLE" | "TABLES" | "TEMPORARY" => {
                self.advance();
                let temporary = self.accept_word("TEMPORARY");
                if self.accept_any(&["TABLE", "TABLES"]).is_none() {
                    return Err(self.error());
                }
                let if_exists = self.if_exists();
                let names = self.list(Self::table_name)?;
                self.accept_any(&["RESTRICT", "CASCADE"]);
                Ok(Statement::DropTable(DropTable { temporary, if_exists, names }))
            }
            "INDEX" => {
                self.at += 2;
                let name = self.index_name()?;
                self.expect_word("ON")?;
                let table = self.table_name()?;
                let modifiers = self.index_modifiers()?;
                Ok(Statement::DropIndex(DropIndex { name, table, modifiers }))
            }
            "USER" | "ROLE" => self.drop_account(),
            "SEQUENCE" => self.drop_sequence(),
            "PLACEMENT" => self.drop_placement_policy(),
            "PREPARE" => {
                self.at += 2;
                Ok(Statement::Deallocate(self.identifier()?))
            }
            "VIEW" => self.drop_view(),
            "PROCEDURE" | "FUNCTION" | "TRIGGER" | "EVENT" => self.drop_program(),
            "SERVER" | "TABLESPACE" | "LOGFILE" | "UNDO" | "SPATIAL" | "RESOURCE" => {
                let what = format!("DROP {}", self.upper_at(1));
                Ok(self.unsupported_as(&what))
            }
            _ => Err(self.error_after(1)),
        }
    }

    /// An error at the token `ahead`.
    pub(super) fn error_after(&self, ahead: usize) -> Error {
        self.error_at(self.token_at(ahead).span.start as usize)
    }

    /// TRUNCATE [TABLE].
    pub(super) fn truncate(&mut self) -> Result<Statement> {
        self.advance();
        self.accept_word("TABLE");
        Ok(Statement::TruncateTable { name: self.table_name()? })
    }

    /// RENAME TABLE, RENAME USER.
    pub(super) fn rename(&mut self) -> Result<Statement> {
        if self.is_at(1, "USER") {
            return self.rename_account();
        }
        self.advance();
        if self.accept_any(&["TABLE", "TABLES"]).is_none() {
            return Err(self.error());
        }
        let pairs = self.list(|parser| {
            let old = parser.table_name()?;
            parser.expect_word("TO")?;
            Ok((old, parser.table_name()?))
        })?;
        Ok(Statement::RenameTable(pairs))
    }

    fn create_database(&mut self) -> Result<Statement> {
        self.at += 2;
        let if_not_exists = self.if_not_exists();
        let name = self.identifier()?;
        let options = self.database_options()?;
        Ok(Statement::CreateDatabase(CreateDatabase { if_not_exists, name, options }))
    }

    /// Character set and collation of a database.
    pub(super) fn database_options(&mut self) -> Result<DatabaseOptions> {
        let mut options = DatabaseOptions::default();
        loop {
            let start = self.at;
            self.accept_word("DEFAULT");
            if self.accept_charset_words() {
                self.accept_kind(TokenKind::Equal);
                options.charset = Some(self.charset_name()?);
            } else if self.accept_word("COLLATE") {
                self.accept_kind(TokenKind::Equal);
                options.collation = Some(self.charset_name()?);
            } else if self.accept_word("ENCRYPTION") {
                self.accept_kind(TokenKind::Equal);
                options.encryption = Some(self.string()?);
            } else if self.accept(&["READ", "ONLY"]) {
                self.accept_kind(TokenKind::Equal);
                options.read_only = Some(!self.accept_word("DEFAULT") && self.number()? != 0);
            } else if let Some(policy) = self.placement_policy()? {
                set_once(&mut options.placement, policy)?;
            } else if self.at > start {
                return Err(self.error());
            } else {
                return Ok(options);
            }
        }
    }

    /// CHARACTER SET, CHAR SET or CHARSET.
    pub(super) fn accept_charset_words(&mut self) -> bool {
        self.accept(&["CHARACTER", "SET"])
            || self.accept(&["CHAR", "SET"])
            || self.accept_word("CHARSET")
    }

    fn create_table(&mut self) -> Result<Statement> {
        self.advance();
        let temporary = self.accept_word("TEMPORARY");
        self.expect_word("TABLE")?;
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        if let Some(like) = self.like_table()? {
            let like = CreateTableLike { temporary, if_not_exists, name, like };
            return Ok(Statement::CreateTableLike(like));
        }
        let mut table = CreateTable {
            temporary,
            if_not_exists,
            name,
            columns: Vec::new(),
            keys: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            options: TableOptions::default(),
            sharding: None,
            partition_by: None,
            query: None,
        };
        if self.kind() == TokenKind::LeftParen && !self.is_at(1, "SELECT") {
            self.advance();
            self.list(|parser| parser.table_element(&mut table))?;
            self.expect_kind(TokenKind::RightParen)?;
        }
        self.after_columns(&mut table)?;
        table.query = self.create_table_query()?;
        if table.columns.is_empty() && table.query.is_none() {
            return Err(match self.kind() {
                TokenKind::End | TokenKind::Semicolon => Error::table_without_columns(),
                _ => self.error(),
            });
        }
        Ok(Statement::CreateTable(Box::new(table)))
    }

    /// `LIKE u` or `(LIKE u)`.
    fn like_table(&mut self) -> Result<Option<TableName>> {
        if self.accept_word("LIKE") {
            return self.table_name().map(Some);
        }
        if self.kind() == TokenKind::LeftParen && self.is_at(1, "LIKE") {
            self.at += 2;
            let like = self.table_name()?;
            self.expect_kind(TokenKind::RightParen)?;
            return Ok(Some(like));
        }
        Ok(None)
    }

    /// Table options, sharding clauses and partitions, in any order. A table is spread in one way and partitioned once.
    fn after_columns(&mut self, table: &mut CreateTable) -> Result<()> {
        let mut spread_by = None;
        loop {
            let start = self.at;
            if self.is("PARTITION") || self.is("TDSQL_PARTITION") {
                if table.partition_by.is_some() {
                    return Err(self.error());
                }
                table.partition_by = Some(Box::new(self.partition_by()?));
            } else if let Some(sharding) = self.sharding_clause()? {
                let text = self.text_from(start);
                if let Some(first) = spread_by.replace(text) {
                    return Err(Error::conflicting_declarations(first, text));
                }
                table.sharding = Some(sharding);
            } else if !self.table_option(&mut table.options)? {
                return Ok(());
            }
            self.accept_kind(TokenKind::Comma);
        }
    }

    /// `shardkey=(a, b)`, which is TDSQL_DISTRIBUTED BY HASH(a, b).
    fn sharding_columns(&mut self) -> Result<ShardingClause> {
        let mut columns = self.names()?;
        Ok(match columns.len() {
            1 => ShardingClause::ShardKey(columns.swap_remove(0)),
            _ => ShardingClause::DistributedBy {
                method: DistributionMethod::Hash,
                columns,
                items: Vec::new(),
            },
        })
    }

    /// `shardkey=…`, BROADCAST, `SHARD BY RANGE …`, `TDSQL_DISTRIBUTED BY …`.
    pub(super) fn sharding_clause(&mut self) -> Result<Option<ShardingClause>> {
        if self.is("SHARDKEY") && self.kind_at(1) == TokenKind::Equal {
            self.at += 2;
            if self.kind() == TokenKind::LeftParen {
                return self.sharding_columns().map(Some);
            }
            let column = self.identifier()?;
            return Ok(Some(match column.to_ascii_lowercase().as_str() {
                "noshardkey_allset" => ShardingClause::Broadcast { word: false },
                "noshardkey" => ShardingClause::Single,
                _ => ShardingClause::ShardKey(column),
            }));
        }
        if self.accept_word("BROADCAST") {
            return Ok(Some(ShardingClause::Broadcast { word: true }));
        }
        if self.accept(&["SHARD", "BY"]) {
            self.expect_word("RANGE")?;
            let columns = self.names()?;
            let bounds = match self.accept(&["SPLIT", "AT"]) {
                true => self.parenthesised(Self::expr)?,
                false => Vec::new(),
            };
            return Ok(Some(ShardingClause::ByRange { columns, bounds }));
        }
        if !self.accept(&["TDSQL_DISTRIBUTED", "BY"]) {
            return Ok(None);
        }
        let method = match self.accept_any(&["HASH", "RANGE", "LIST"]) {
            Some("HASH") => DistributionMethod::Hash,
            Some("RANGE") => DistributionMethod::Range,
            Some(_) => DistributionMethod::List,
            None => return Err(self.error()),
        };
        let function = self.upper_at(1);
        if self.kind_at(2) == TokenKind::LeftParen
            && matches!(function.as_str(), "YEAR" | "MONTH" | "DAY" | "TO_DAYS")
        {
            return Err(Error::not_supported(format!(
                "TDSQL_DISTRIBUTED BY of {function}(column): name the column itself, and bounds of its own type such as \
                 ('2026-01-01')"
            )));
        }
        let columns = self.names()?;
        let items = match method {
            DistributionMethod::Hash => Vec::new(),
            DistributionMethod::Range => self.parenthesised(Self::range_item)?,
            DistributionMethod::List => self.parenthesised(Self::list_item)?,
        };
        Ok(Some(ShardingClause::DistributedBy { method, columns, items }))
    }

    /// `s1 VALUES LESS THAN (100)`.
    fn range_item(&mut self) -> Result<DistributionItem> {
        let set = self.identifier()?;
        self.expect(&["VALUES", "LESS", "THAN"])?;
        if self.accept_word("MAXVALUE") {
            return Ok(DistributionItem { set, values: DistributionValues::Maxvalue });
        }
        self.expect_kind(TokenKind::LeftParen)?;
        let values = match self.accept_word("MAXVALUE") {
            true => DistributionValues::Maxvalue,
            false => DistributionValues::LessThan(self.expr()?),
        };
        self.expect_kind(TokenKind::RightParen)?;
        Ok(DistributionItem { set, values })
    }

    /// `s1 VALUES IN (1, 3)`.
    fn list_item(&mut self) -> Result<DistributionItem> {
        let set = self.identifier()?;
        self.expect(&["VALUES", "IN"])?;
        let values = DistributionValues::In(self.parenthesised(Self::expr)?);
        Ok(DistributionItem { set, values })
    }

    /// Skips `( … )`.
    pub(super) fn skip_parentheses(&mut self) -> Result<()> {
        let mut depth = 0usize;
        loop {
            match self.kind() {
                TokenKind::LeftParen => depth += 1,
                TokenKind::RightParen => {
                    depth = depth.checked_sub(1).ok_or_else(|| self.error())?;
                }
                TokenKind::End | TokenKind::Semicolon | TokenKind::Invalid => {
                    return Err(self.error());
                }
                _ => {}
            }
            self.advance();
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn create_table_query(&mut self) -> Result<Option<CreateTableQuery>> {
        let duplicates = self.duplicates();
        let as_word = self.accept_word("AS");
        if self.starts_query() || self.kind() == TokenKind::LeftParen {
            let query = Box::new(self.query()?);
            return Ok(Some(CreateTableQuery { duplicates, query }));
        }
        if as_word || duplicates != LoadDuplicates::Default {
            return Err(self.error());
        }
        Ok(None)
    }

    /// One table option; false when none stands here.
    pub(super) fn table_option(&mut self, options: &mut TableOptions) -> Result<bool> {
        let start = self.at;
        self.accept_word("DEFAULT");
        if self.accept_charset_words() {
            self.accept_kind(TokenKind::Equal);
            options.charset = Some(self.charset_name()?);
            return Ok(true);
        }
        if self.accept_word("COLLATE") {
            self.accept_kind(TokenKind::Equal);
            options.collation = Some(self.charset_name()?);
            return Ok(true);
        }
        if let Some(policy) = self.placement_policy()? {
            set_once(&mut options.placement, policy)?;
            return Ok(true);
        }
        self.at = start;
        let mut name = self.upper();
        match name.as_str() {
            "ENGINE" => {
                self.option_start(1);
                options.engine = Some(self.identifier_or_string()?);
            }
            "COMMENT" => {
                self.option_start(1);
                options.comment = Some(self.string()?);
            }
            "AUTO_INCREMENT" => {
                self.option_start(1);
                options.auto_increment = Some(self.number()?);
            }
            "RETENTION_SECONDS" => {
                self.option_start(1);
                let usual = self.accept_word("DEFAULT");
                options.retention_s = Some(if usual { 0 } else { self.number()? });
            }
            "AUTO_PARTITION" => {
                self.option_start(1);
                options.auto_partition = Some(self.number()?);
            }
            "UNION" => {
                self.option_start(1);
                let tables = self.at;
                self.skip_parentheses()?;
                let value = self.text_from(tables).to_string();
                options.other.push(TableOption { name, value, quoted: false });
            }
            "START" if self.is_at(1, "TRANSACTION") => {
                self.at += 2;
                name = "START TRANSACTION".to_string();
                options.other.push(TableOption { name, value: String::new(), quoted: false });
            }
            "DATA" | "INDEX" if self.is_at(1, "DIRECTORY") => {
                self.option_start(2);
                let value = self.string()?;
                let name = format!("{name} DIRECTORY");
                options.other.push(TableOption { name, value, quoted: true });
            }
            "ROW_FORMAT"
            | "KEY_BLOCK_SIZE"
            | "MAX_ROWS"
            | "MIN_ROWS"
            | "AVG_ROW_LENGTH"
            | "CHECKSUM"
            | "TABLE_CHECKSUM"
            | "DELAY_KEY_WRITE"
            | "PACK_KEYS"
            | "STATS_PERSISTENT"
            | "STATS_AUTO_RECALC"
            | "STATS_SAMPLE_PAGES"
            | "INSERT_METHOD"
            | "COMPRESSION"
            | "CONNECTION"
            | "ENCRYPTION"
            | "PASSWORD"
            | "SECONDARY_ENGINE"
            | "ENGINE_ATTRIBUTE"
            | "SECONDARY_ENGINE_ATTRIBUTE"
            | "AUTOEXTEND_SIZE"
            | "TABLESPACE"
            | "STORAGE" => {
                self.option_start(1);
                let quoted = self.kind() == TokenKind::String;
                let value = match self.kind() {
                    TokenKind::String => self.string()?,
                    TokenKind::Integer | TokenKind::Word | TokenKind::Reserved => {
                        let value = self.source(self.token()).to_ascii_uppercase();
                        self.advance();
                        value
                    }
                    TokenKind::Quoted => self.identifier()?,
                    _ => return Err(self.error()),
                };
                options.other.push(TableOption { name, value, quoted });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes an option's name of `words` words and the `=` that may follow it.
    fn option_start(&mut self, words: usize) {
        self.at += words;
        self.accept_kind(TokenKind::Equal);
    }

    fn create_index(&mut self) -> Result<Statement> {
        self.advance();
        let global = self.accept_word("GLOBAL");
        let kind = match self.accept_any(&["UNIQUE", "FULLTEXT", "SPATIAL"]) {
            Some("UNIQUE") => KeyKind::Unique,
            Some("FULLTEXT") => KeyKind::Fulltext,
            Some(_) => KeyKind::Spatial,
            None => KeyKind::Plain,
        };
        let global = self.accept_word("GLOBAL") || global;
        self.expect_word("INDEX")?;
        let name = Some(self.new_index_name()?);
        let using = self.index_type()?;
        self.expect_word("ON")?;
        let table = self.table_name()?;
        let columns = self.parenthesised(Self::key_column)?;
        let (local, included, options) = (false, Vec::new(), Default::default());
        let mut key = KeyDefinition { kind, name, global, local, columns, included, options };
        key.options.using = using;
        self.index_options(&mut key)?;
        let modifiers = self.index_modifiers()?;
        Ok(Statement::CreateIndex(Box::new(CreateIndex { table, key, modifiers })))
    }

    /// A name of an index; PRIMARY is one.
    pub(super) fn index_name(&mut self) -> Result<String> {
        if self.accept_word("PRIMARY") { Ok("PRIMARY".to_string()) } else { self.identifier() }
    }

    /// The name of an index that is to be; 1280 for an empty one.
    pub(super) fn new_index_name(&mut self) -> Result<String> {
        let token = self.token();
        let is_empty = token.kind == TokenKind::Quoted
            && lexer::identifier_value(self.source(token)).is_empty();
        if is_empty { Err(Error::wrong_index_name("")) } else { self.identifier() }
    }

    /// `ALGORITHM = x` and `LOCK = x`.
    fn index_modifiers(&mut self) -> Result<Vec<(String, String)>> {
        let mut modifiers = Vec::new();
        while let Some(name) = self.accept_any(&["ALGORITHM", "LOCK"]) {
            modifiers.push((name.to_string(), self.modifier_value(name)?));
        }
        Ok(modifiers)
    }

    /// `= x` after ALGORITHM or LOCK; 1800 or 1801 for what is none.
    pub(super) fn modifier_value(&mut self, name: &str) -> Result<String> {
        self.accept_kind(TokenKind::Equal);
        let (start, value) = (self.at, self.upper());
        if value.is_empty() {
            return Err(self.error());
        }
        self.advance();
        let known = match name {
            "ALGORITHM" => ["DEFAULT", "INSTANT", "INPLACE", "COPY"],
            _ => ["DEFAULT", "NONE", "SHARED", "EXCLUSIVE"],
        };
        match (known.contains(&value.as_str()), name) {
            (true, _) => Ok(value),
            (false, "ALGORITHM") => Err(Error::unknown_alter_algorithm(self.text_from(start))),
            (false, _) => Err(Error::unknown_alter_lock(self.text_from(start))),
        }
    }
}
