//! ALTER of tables, databases and accounts.

use super::Parser;
use super::column::TableConstraint;
use crate::ast::{
    AlterDatabase, AlterTable, ColumnPlace, NodeAction, RebalanceAction, Statement, TableChange,
    TableOptions,
};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// ALTER …
    #[inline(never)]
    pub(super) fn alter(&mut self) -> Result<Statement> {
        match self.upper_at(1).as_str() {
            "TABLE" => self.alter_table(),
            "DATABASE" | "SCHEMA" => {
                self.at += 2;
                let unnamed = [
                    "DEFAULT",
                    "CHARACTER",
                    "COLLATE",
                    "CHARSET",
                    "READ",
                    "ENCRYPTION",
                    "PLACEMENT",
                ];
                let name = if self.is_any(&unnamed) { None } else { Some(self.identifier()?) };
                let start = self.at;
                let options = self.database_options()?;
                if self.at == start {
                    return Err(self.error());
                }
                Ok(Statement::AlterDatabase(AlterDatabase { name, options }))
            }
            "USER" => self.alter_account(),
            "SEQUENCE" => self.alter_sequence(),
            "PLACEMENT" => self.alter_placement_policy(),
            "SET" => self.alter_set(),
            "NODE" => {
                self.at += 2;
                let node = self.number()?;
                let word = self.upper();
                let action = NodeAction::ALL.into_iter().find(|action| action.name() == word);
                let action = action.ok_or_else(|| self.error())?;
                self.advance();
                let dry_run = self.accept(&["DRY", "RUN"]);
                Ok(Statement::AlterNode { node, action, dry_run })
            }
            "SHARD" => {
                self.at += 2;
                let shard = self.number()?;
                if self.accept(&["MOVE", "REPLICA"]) {
                    self.expect_word("FROM")?;
                    let from = self.number()?;
                    self.expect_word("TO")?;
                    return Ok(Statement::MoveReplica { shard, from, to: self.number()? });
                }
                if self.accept(&["SPLIT"]) {
                    let at = match self.accept(&["AT", "SLOT"]) {
                        true => Some(self.number()?),
                        false => None,
                    };
                    return Ok(Statement::SplitShard { shard, at });
                }
                if self.accept(&["MERGE"]) {
                    return Ok(Statement::MergeShard { shard });
                }
                self.expect(&["TRANSFER", "LEADER", "TO"])?;
                Ok(Statement::TransferLeader { shard, to: self.number()? })
            }
            "REBALANCE" => {
                self.at += 2;
                let words = ["PAUSE", "RESUME", "MOVES", "AUTO_MERGE"];
                let action = match self.accept_any(&words) {
                    Some("PAUSE") => RebalanceAction::Pause,
                    Some("RESUME") => RebalanceAction::Resume,
                    Some("MOVES") => RebalanceAction::Moves(self.number()?),
                    Some(_) => match self.accept_any(&["ON", "OFF"]) {
                        Some(word) => RebalanceAction::AutoMerge(word == "ON"),
                        None => return Err(self.error()),
                    },
                    None => return Err(self.error()),
                };
                Ok(Statement::AlterRebalance(action))
            }
            "DEFINER" | "ALGORITHM" | "SQL" | "VIEW" | "EVENT" => self.alter_stored(),
            "PROCEDURE" | "FUNCTION" => self.alter_routine(),
            "SERVER" | "TABLESPACE" | "LOGFILE" | "UNDO" | "INSTANCE" | "RESOURCE" => {
                let what = format!("ALTER {}", self.upper_at(1));
                Ok(self.unsupported_as(&what))
            }
            _ => Err(self.error_after(1)),
        }
    }

    fn alter_table(&mut self) -> Result<Statement> {
        self.at += 2;
        let table = self.table_name()?;
        let mut changes = Vec::new();
        while !matches!(self.kind(), TokenKind::End | TokenKind::Semicolon) {
            self.table_change(&mut changes)?;
            // Table options and partition operations may follow without a comma.
            if self.accept_kind(TokenKind::Comma)
                && matches!(self.kind(), TokenKind::End | TokenKind::Semicolon)
            {
                return Err(self.error());
            }
        }
        Ok(Statement::AlterTable(Box::new(AlterTable { table, changes })))
    }

    fn table_change(&mut self, changes: &mut Vec<TableChange>) -> Result<()> {
        let start = self.at;
        if let Some(sharding) = self.sharding_clause()? {
            changes.push(TableChange::Sharding(sharding));
            return Ok(());
        }
        let mut options = TableOptions::default();
        if self.table_option(&mut options)? {
            changes.push(TableChange::Options(options));
            return Ok(());
        }
        self.at = start;
        let word = self.upper();
        self.advance();
        let change = match word.as_str() {
            "ADD" if self.accept_word("PARTITION") => self.add_partitions()?,
            "DROP" if self.accept_word("PARTITION") => {
                TableChange::DropPartitions(self.changed_partitions()?)
            }
            "TRUNCATE" if self.accept_word("PARTITION") => {
                let all = self.accept_word("ALL");
                let names = if all { Vec::new() } else { self.changed_partitions()? };
                TableChange::TruncatePartitions(names)
            }
            "SPLIT" if self.accept(&["RANGE", "AT"]) => {
                TableChange::SplitRange(self.parenthesised(Self::expr)?)
            }
            "MERGE" if self.accept(&["RANGES", "AT"]) => {
                TableChange::MergeRanges(self.parenthesised(Self::expr)?)
            }
            "ADD" => return self.add(changes),
            "DROP" => self.drop_part()?,
            "MODIFY" => {
                self.accept_word("COLUMN");
                let column = self.column_definition()?;
                TableChange::ModifyColumn { column, place: self.column_place()? }
            }
            "CHANGE" => {
                self.accept_word("COLUMN");
                let old = self.identifier()?;
                let column = self.column_definition()?;
                TableChange::ChangeColumn { old, column, place: self.column_place()? }
            }
            "RENAME" => self.rename_part()?,
            "ALTER" if self.accept_any(&["CHECK", "CONSTRAINT"]).is_some() => {
                let name = self.identifier()?;
                let enforced = !self.accept_word("NOT");
                self.expect_word("ENFORCED")?;
                TableChange::AlterCheck { name, enforced }
            }
            "ALTER" if !self.is_any(&["INDEX"]) => {
                self.accept_word("COLUMN");
                let column = self.identifier()?;
                if self.accept(&["SET", "DEFAULT"]) {
                    TableChange::AlterDefault { column, default: Some(self.default_value()?) }
                } else if self.accept(&["DROP", "DEFAULT"]) {
                    TableChange::AlterDefault { column, default: None }
                } else {
                    self.at = start;
                    self.other_change()?
                }
            }
            "ENABLE" if self.accept_word("KEYS") => TableChange::EnableKeys(true),
            "DISABLE" if self.accept_word("KEYS") => TableChange::EnableKeys(false),
            "CONVERT" if self.accept_word("TO") => {
                if !self.accept_charset_words() {
                    return Err(self.error());
                }
                let is_default = self.accept_word("DEFAULT");
                let charset = if is_default { None } else { Some(self.charset_name()?) };
                let collation = match self.accept_word("COLLATE") {
                    true => Some(self.charset_name()?),
                    false => None,
                };
                TableChange::ConvertTo { charset, collation }
            }
            "ALGORITHM" | "LOCK" => {
                self.modifier_value(&word)?;
                TableChange::Other(self.text_from(start).to_string())
            }
            "ALTER" | "ORDER" | "CONVERT" | "FORCE" | "DISCARD" | "IMPORT" | "TRUNCATE"
            | "COALESCE" | "REORGANIZE" | "EXCHANGE" | "ANALYZE" | "CHECK" | "OPTIMIZE"
            | "REBUILD" | "REPAIR" | "REMOVE" | "PARTITION" | "WITH" | "WITHOUT"
            | "SECONDARY_LOAD" | "SECONDARY_UNLOAD" => {
                self.at = start;
                self.other_change()?
            }
            _ => {
                self.at = start;
                return Err(self.error());
            }
        };
        changes.push(change);
        Ok(())
    }

    /// The text up to the next comma that is in no parentheses.
    fn other_change(&mut self) -> Result<TableChange> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.kind() {
                TokenKind::LeftParen => depth += 1,
                TokenKind::RightParen => {
                    depth = depth.checked_sub(1).ok_or_else(|| self.error())?;
                }
                // Names of ORDER BY and of partitions have commas of their own.
                TokenKind::Comma if depth == 0 && !self.is_column_after_comma() => break,
                TokenKind::End | TokenKind::Semicolon if depth == 0 => break,
                TokenKind::End | TokenKind::Semicolon | TokenKind::Invalid => {
                    return Err(self.error());
                }
                _ => {}
            }
            self.advance();
        }
        Ok(TableChange::Other(self.text_from(start).to_string()))
    }

    /// Whether the comma here continues a list of names: after it comes a name and then a comma or the
    /// end, while every change starts with a word and something after it.
    pub(super) fn is_column_after_comma(&self) -> bool {
        let ends = |kind| matches!(kind, TokenKind::Comma | TokenKind::End | TokenKind::Semicolon);
        matches!(self.kind_at(1), TokenKind::Word | TokenKind::Quoted)
            && (ends(self.kind_at(2))
                || ((self.is_at(2, "ASC") || self.is_at(2, "DESC")) && ends(self.kind_at(3))))
    }

    fn add(&mut self, changes: &mut Vec<TableChange>) -> Result<()> {
        match self.table_constraint()? {
            Some(TableConstraint::Key(key)) => changes.push(TableChange::AddKey(key)),
            Some(TableConstraint::ForeignKey(key)) => {
                changes.push(TableChange::AddForeignKey(key));
            }
            Some(TableConstraint::Check(check)) => changes.push(TableChange::AddCheck(check)),
            None => {
                self.accept_word("COLUMN");
                if self.kind() == TokenKind::LeftParen {
                    for column in self.parenthesised(Self::column_definition)? {
                        let place = ColumnPlace::Unchanged;
                        changes.push(TableChange::AddColumn { column, place });
                    }
                } else {
                    let column = self.column_definition()?;
                    changes.push(TableChange::AddColumn { column, place: self.column_place()? });
                }
            }
        }
        Ok(())
    }

    fn drop_part(&mut self) -> Result<TableChange> {
        if self.accept(&["PRIMARY", "KEY"]) {
            return Ok(TableChange::DropPrimaryKey);
        }
        if self.accept_any(&["KEY", "INDEX"]).is_some() {
            return Ok(TableChange::DropKey(self.index_name()?));
        }
        if self.accept_word("CONSTRAINT") {
            return Ok(TableChange::DropConstraint(self.index_name()?));
        }
        if self.accept_word("CHECK") {
            return Ok(TableChange::DropCheck(self.identifier()?));
        }
        if self.accept_word("FOREIGN") {
            self.expect_word("KEY")?;
            return Ok(TableChange::DropForeignKey(self.identifier()?));
        }
        self.accept_word("COLUMN");
        let column = self.identifier()?;
        self.accept_any(&["RESTRICT", "CASCADE"]);
        Ok(TableChange::DropColumn(column))
    }

    fn rename_part(&mut self) -> Result<TableChange> {
        if self.accept_word("COLUMN") {
            let old = self.identifier()?;
            self.expect_word("TO")?;
            return Ok(TableChange::RenameColumn { old, new: self.identifier()? });
        }
        if self.accept_any(&["KEY", "INDEX"]).is_some() {
            let old = self.index_name()?;
            self.expect_word("TO")?;
            return Ok(TableChange::RenameKey { old, new: self.new_index_name()? });
        }
        if self.accept_any(&["TO", "AS"]).is_none() {
            self.accept_kind(TokenKind::Equal);
        }
        Ok(TableChange::RenameTable(self.table_name()?))
    }

    fn column_place(&mut self) -> Result<ColumnPlace> {
        if self.accept_word("FIRST") {
            return Ok(ColumnPlace::First);
        }
        if self.accept_word("AFTER") {
            return Ok(ColumnPlace::After(self.identifier()?));
        }
        Ok(ColumnPlace::Unchanged)
    }
}
