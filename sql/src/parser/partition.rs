//! PARTITION BY of CREATE TABLE, and what ALTER TABLE adds and drops.
//!
//! Subpartitions and the options of partitions that say where files lie are read over: the first are refused later,
//! with a sentence; the second mean nothing here.

use super::Parser;
use crate::ast::{
    ExprKind, PartitionBy, PartitionDefinition, PartitionKey, PartitionMethod, PartitionValue,
    PartitionValues, TableChange,
};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// PARTITION BY … or TDSQL_PARTITION BY ….
    pub(super) fn partition_by(&mut self) -> Result<PartitionBy> {
        let tdsql = self.is("TDSQL_PARTITION");
        self.advance();
        self.expect_word("BY")?;
        let method = self.partition_method()?;
        let count = self.partition_count()?;
        let start = self.at;
        let subpartition_by = match self.accept(&["SUBPARTITION", "BY"]) {
            true => Some(self.subpartition_text(start)?),
            false => None,
        };
        let partitions = match self.kind() {
            TokenKind::LeftParen => self.parenthesised(Self::partition_definition)?,
            _ => Vec::new(),
        };
        Ok(PartitionBy { tdsql, method, count, subpartition_by, partitions })
    }

    /// What follows ADD PARTITION.
    pub(super) fn add_partitions(&mut self) -> Result<TableChange> {
        let count = self.partition_count()?;
        let partitions = match count {
            Some(_) => Vec::new(),
            None => self.parenthesised(Self::partition_definition)?,
        };
        Ok(TableChange::AddPartitions { count, partitions })
    }

    /// The names that follow DROP PARTITION.
    pub(super) fn changed_partitions(&mut self) -> Result<Vec<String>> {
        let mut names = vec![self.identifier()?];
        while self.kind() == TokenKind::Comma && self.is_column_after_comma() {
            self.advance();
            names.push(self.identifier()?);
        }
        Ok(names)
    }

    fn partition_method(&mut self) -> Result<PartitionMethod> {
        let linear = self.accept_word("LINEAR");
        if self.accept_word("HASH") {
            return Ok(PartitionMethod::Hash { linear, expr: self.expr_in_parentheses()? });
        }
        if self.accept_word("KEY") {
            if self.accept_word("ALGORITHM") {
                self.expect_kind(TokenKind::Equal)?;
                self.number()?;
            }
            let empty =
                self.kind() == TokenKind::LeftParen && self.kind_at(1) == TokenKind::RightParen;
            if empty {
                self.at += 2;
            }
            let columns = if empty { Vec::new() } else { self.names()? };
            return Ok(PartitionMethod::Key { linear, columns });
        }
        if linear {
            return Err(self.error());
        }
        match self.accept_any(&["RANGE", "LIST"]) {
            Some("RANGE") => Ok(PartitionMethod::Range(self.partition_key()?)),
            Some(_) => Ok(PartitionMethod::List(self.partition_key()?)),
            None => Err(self.error()),
        }
    }

    fn partition_key(&mut self) -> Result<PartitionKey> {
        if self.accept_word("COLUMNS") {
            return Ok(PartitionKey::Columns(self.names()?));
        }
        Ok(PartitionKey::Expr(self.expr_in_parentheses()?))
    }

    fn expr_in_parentheses(&mut self) -> Result<crate::ast::Expr> {
        self.expect_kind(TokenKind::LeftParen)?;
        let expr = self.expr()?;
        self.expect_kind(TokenKind::RightParen)?;
        Ok(expr)
    }

    fn partition_count(&mut self) -> Result<Option<u64>> {
        match self.accept_word("PARTITIONS") {
            true => self.number().map(Some),
            false => Ok(None),
        }
    }

    /// The text of SUBPARTITION BY, whose first word is the token `start`.
    fn subpartition_text(&mut self, start: usize) -> Result<String> {
        self.accept_word("LINEAR");
        if self.accept_any(&["HASH", "KEY"]).is_none() {
            return Err(self.error());
        }
        self.skip_parentheses()?;
        if self.accept_word("SUBPARTITIONS") {
            self.number()?;
        }
        Ok(self.text_from(start).to_string())
    }

    fn partition_definition(&mut self) -> Result<PartitionDefinition> {
        self.expect_word("PARTITION")?;
        let name = self.identifier()?;
        let values = match self.accept_word("VALUES") {
            true => Some(self.partition_values()?),
            false => None,
        };
        let mut definition =
            PartitionDefinition { name, values, engine: None, comment: None, subpartitions: None };
        while self.partition_option(&mut definition)? {}
        if self.kind() == TokenKind::LeftParen {
            let start = self.at;
            self.skip_parentheses()?;
            definition.subpartitions = Some(self.text_from(start).to_string());
        }
        Ok(definition)
    }

    fn partition_values(&mut self) -> Result<PartitionValues> {
        if self.accept_word("IN") {
            let items = self.parenthesised(|parser| {
                Ok(match parser.partition_value()? {
                    PartitionValue::Expr(expr) => match expr.kind {
                        ExprKind::Row(members) => {
                            members.into_iter().map(PartitionValue::Expr).collect()
                        }
                        _ => vec![PartitionValue::Expr(expr)],
                    },
                    PartitionValue::Max => vec![PartitionValue::Max],
                })
            })?;
            return Ok(PartitionValues::In(items));
        }
        self.expect(&["LESS", "THAN"])?;
        if self.accept_word("MAXVALUE") {
            return Ok(PartitionValues::LessThan(vec![PartitionValue::Max]));
        }
        Ok(PartitionValues::LessThan(self.parenthesised(Self::partition_value)?))
    }

    fn partition_value(&mut self) -> Result<PartitionValue> {
        if self.accept_word("MAXVALUE") {
            return Ok(PartitionValue::Max);
        }
        Ok(PartitionValue::Expr(self.expr()?))
    }

    /// One option of a partition; false when none stands here.
    fn partition_option(&mut self, definition: &mut PartitionDefinition) -> Result<bool> {
        if self.accept_any(&["MAX_ROWS", "MIN_ROWS", "NODEGROUP"]).is_some() {
            self.accept_kind(TokenKind::Equal);
            self.number()?;
            return Ok(true);
        }
        if self.accept(&["DATA", "DIRECTORY"]) || self.accept(&["INDEX", "DIRECTORY"]) {
            self.accept_kind(TokenKind::Equal);
            self.string()?;
            return Ok(true);
        }
        if self.accept_word("TABLESPACE") {
            self.accept_kind(TokenKind::Equal);
            self.identifier()?;
            return Ok(true);
        }
        if self.accept_word("COMMENT") {
            self.accept_kind(TokenKind::Equal);
            definition.comment = Some(self.string()?);
            return Ok(true);
        }
        if self.accept(&["STORAGE", "ENGINE"]) || self.accept_word("ENGINE") {
            self.accept_kind(TokenKind::Equal);
            definition.engine = Some(self.identifier_or_string()?);
            return Ok(true);
        }
        Ok(false)
    }
}
