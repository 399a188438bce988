//! CREATE, ALTER and DROP SEQUENCE, and the functions of sequences, in the forms of MariaDB and TiDB.

use super::Parser;
use crate::ast::{
    ExprKind, SequenceFunction, SequenceOptions, SequenceStatement, SequenceType, Statement,
};
use crate::error::Result;
use crate::lexer::TokenKind;

/// Types that `AS` may name.
const TYPES: [&str; 6] = ["TINYINT", "SMALLINT", "MEDIUMINT", "INT", "INTEGER", "BIGINT"];

impl Parser<'_> {
    /// CREATE [OR REPLACE] SEQUENCE; CREATE comes next.
    pub(super) fn create_sequence(&mut self) -> Result<Statement> {
        self.advance();
        let or_replace = self.accept(&["OR", "REPLACE"]);
        self.expect_word("SEQUENCE")?;
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        let options = self.sequence_options(false)?;
        let create = SequenceStatement::Create { or_replace, if_not_exists, name, options };
        Ok(Statement::Sequence(Box::new(create)))
    }

    /// ALTER SEQUENCE; ALTER comes next.
    pub(super) fn alter_sequence(&mut self) -> Result<Statement> {
        self.at += 2;
        let if_exists = self.if_exists();
        let name = self.table_name()?;
        let options = self.sequence_options(true)?;
        if options == SequenceOptions::default() {
            return Err(self.error());
        }
        let alter = SequenceStatement::Alter { if_exists, name, options };
        Ok(Statement::Sequence(Box::new(alter)))
    }

    /// DROP SEQUENCE; DROP comes next.
    pub(super) fn drop_sequence(&mut self) -> Result<Statement> {
        self.at += 2;
        let if_exists = self.if_exists();
        let names = self.list(Self::table_name)?;
        Ok(Statement::Sequence(Box::new(SequenceStatement::Drop { if_exists, names })))
    }

    /// Options up to the end of the statement, in any order.
    fn sequence_options(&mut self, of_alter: bool) -> Result<SequenceOptions> {
        let mut options = SequenceOptions::default();
        while !matches!(self.kind(), TokenKind::End | TokenKind::Semicolon) {
            self.sequence_option(of_alter, &mut options)?;
        }
        Ok(options)
    }

    fn sequence_option(&mut self, of_alter: bool, options: &mut SequenceOptions) -> Result<()> {
        let word = self.upper();
        let start = self.at;
        self.advance();
        match word.as_str() {
            "AS" => {
                let name = self.accept_any(&TYPES).ok_or_else(|| self.error())?;
                let unsigned = self.accept_word("UNSIGNED");
                options.of = Some(SequenceType { name, unsigned });
            }
            "START" => options.start = Some(self.sequence_number(&["WITH"])?),
            "INCREMENT" => options.increment = Some(self.sequence_number(&["BY"])?),
            "MINVALUE" => options.min = Some(Some(self.sequence_number(&[])?)),
            "MAXVALUE" => options.max = Some(Some(self.sequence_number(&[])?)),
            "NOMINVALUE" => options.min = Some(None),
            "NOMAXVALUE" => options.max = Some(None),
            "CACHE" => {
                self.accept_kind(TokenKind::Equal);
                options.cache = Some(self.number()?);
            }
            "NOCACHE" => options.cache = Some(0),
            "CYCLE" => options.cycle = Some(true),
            "NOCYCLE" => options.cycle = Some(false),
            "NO" => match self.accept_any(&["MINVALUE", "MAXVALUE", "CACHE", "CYCLE"]) {
                Some("MINVALUE") => options.min = Some(None),
                Some("MAXVALUE") => options.max = Some(None),
                Some("CACHE") => options.cache = Some(0),
                Some(_) => options.cycle = Some(false),
                None => return Err(self.error()),
            },
            "RESTART" if of_alter => {
                let is_given = self.is("WITH")
                    || matches!(
                        self.kind(),
                        TokenKind::Equal | TokenKind::Minus | TokenKind::Integer
                    );
                options.restart = Some(match is_given {
                    true => Some(self.sequence_number(&["WITH"])?),
                    false => None,
                });
            }
            // SHOW CREATE SEQUENCE of others has it; all sequences are alike here.
            "ENGINE" if !of_alter => {
                self.accept_kind(TokenKind::Equal);
                self.identifier_or_string()?;
            }
            _ => {
                self.at = start;
                return Err(self.error());
            }
        }
        Ok(())
    }

    /// A signed number, perhaps behind one of these words or an equals sign.
    fn sequence_number(&mut self, words: &[&'static str]) -> Result<i128> {
        if self.accept_any(words).is_none() {
            self.accept_kind(TokenKind::Equal);
        }
        let negative = self.accept_kind(TokenKind::Minus);
        let number = i128::from(self.number()?);
        Ok(if negative { -number } else { number })
    }

    /// `NEXTVAL(s)`, `LASTVAL(s)` or `SETVAL(s, …)`; the name of the function comes next.
    #[inline(never)]
    pub(super) fn sequence_call(&mut self, function: SequenceFunction) -> Result<ExprKind> {
        self.advance();
        self.expect_kind(TokenKind::LeftParen)?;
        let name = self.table_name()?;
        let mut args = Vec::new();
        if function == SequenceFunction::Set {
            self.expect_kind(TokenKind::Comma)?;
            args = self.list(Self::expr)?;
        }
        self.expect_kind(TokenKind::RightParen)?;
        Ok(ExprKind::Sequence { function, name, args })
    }

    /// `NEXT VALUE FOR s` and `PREVIOUS VALUE FOR s`; a column `next` with an alias before FOR UPDATE is none of them.
    #[inline(never)]
    pub(super) fn sequence_value(&mut self) -> Result<Option<ExprKind>> {
        let function = match self.upper().as_str() {
            "NEXT" => SequenceFunction::Next,
            "PREVIOUS" => SequenceFunction::Last,
            _ => return Ok(None),
        };
        let is_call = self.is_at(1, "VALUE") && self.is_at(2, "FOR");
        if !is_call || self.is_any_at(3, &["UPDATE", "SHARE"]) {
            return Ok(None);
        }
        self.at += 3;
        let name = self.table_name()?;
        Ok(Some(ExprKind::Sequence { function, name, args: Vec::new() }))
    }
}
