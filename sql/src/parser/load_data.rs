//! LOAD DATA and LOAD XML, and the FIELDS and LINES clauses that INTO OUTFILE shares.

use super::Parser;
use crate::ast::{FileFormat, LoadData, LoadDuplicates, LoadField, Priority, Statement};
use crate::error::Result;
use crate::lexer::TokenKind;

impl Parser<'_> {
    /// LOAD DATA, LOAD XML; LOAD INDEX is only recognised.
    #[inline(never)]
    pub(super) fn load(&mut self) -> Result<Statement> {
        if self.is_at(1, "INDEX") {
            return Ok(self.unsupported_as("LOAD INDEX INTO CACHE"));
        }
        self.advance();
        let xml = match self.accept_any(&["DATA", "XML"]) {
            Some(word) => word == "XML",
            None => return Err(self.error()),
        };
        let priority = match self.accept_any(&["LOW_PRIORITY", "CONCURRENT"]) {
            Some("CONCURRENT") => Some(Priority::Concurrent),
            Some(_) => Some(Priority::Low),
            None => None,
        };
        let local = self.accept_word("LOCAL");
        self.expect_word("INFILE")?;
        let file = self.string()?;
        let duplicates = self.duplicates();
        self.expect(&["INTO", "TABLE"])?;
        let table = self.table_name()?;
        let partitions = self.partition_names()?;
        let charset = self.optional_charset()?;
        let mut load = LoadData {
            xml,
            priority,
            local,
            file,
            duplicates,
            table,
            partitions,
            charset,
            format: FileFormat::default(),
            rows_identified_by: None,
            ignore_lines: 0,
            fields: Vec::new(),
            assignments: Vec::new(),
        };
        if xml {
            if self.accept_word("ROWS") {
                self.expect(&["IDENTIFIED", "BY"])?;
                load.rows_identified_by = Some(self.string()?);
            }
        } else {
            load.format = self.file_format()?;
        }
        if self.accept_word("IGNORE") {
            load.ignore_lines = self.number()?;
            if self.accept_any(&["LINES", "ROWS"]).is_none() {
                return Err(self.error());
            }
        }
        if self.accept_kind(TokenKind::LeftParen) && !self.accept_kind(TokenKind::RightParen) {
            load.fields = self.list(Self::load_field)?;
            self.expect_kind(TokenKind::RightParen)?;
        }
        if self.accept_word("SET") {
            load.assignments = self.list(Self::assignment)?;
        }
        Ok(Statement::LoadData(Box::new(load)))
    }

    /// REPLACE or IGNORE.
    pub(super) fn duplicates(&mut self) -> LoadDuplicates {
        match self.accept_any(&["REPLACE", "IGNORE"]) {
            Some("REPLACE") => LoadDuplicates::Replace,
            Some(_) => LoadDuplicates::Ignore,
            None => LoadDuplicates::Default,
        }
    }

    fn load_field(&mut self) -> Result<LoadField> {
        Ok(match self.kind() {
            TokenKind::UserVariable => LoadField::Variable(self.variable_name()?),
            _ => LoadField::Column(self.column_name()?),
        })
    }

    /// `CHARACTER SET name`, when it stands here.
    pub(super) fn optional_charset(&mut self) -> Result<Option<String>> {
        if self.accept(&["CHARACTER", "SET"])
            || self.accept(&["CHAR", "SET"])
            || self.accept_word("CHARSET")
        {
            return self.charset_name().map(Some);
        }
        Ok(None)
    }

    /// FIELDS and LINES.
    pub(super) fn file_format(&mut self) -> Result<FileFormat> {
        let mut format = FileFormat::default();
        if self.accept_any(&["FIELDS", "COLUMNS"]).is_some() {
            let start = self.at;
            loop {
                if self.accept(&["TERMINATED", "BY"]) {
                    format.fields_terminated_by = self.format_text()?;
                } else if self.are(&["OPTIONALLY", "ENCLOSED"]) || self.is("ENCLOSED") {
                    format.optionally_enclosed = self.accept_word("OPTIONALLY");
                    self.expect(&["ENCLOSED", "BY"])?;
                    format.fields_enclosed_by = self.format_character()?;
                } else if self.accept(&["ESCAPED", "BY"]) {
                    format.fields_escaped_by = self.format_character()?;
                } else {
                    break;
                }
            }
            if self.at == start {
                return Err(self.error());
            }
        }
        if self.accept_word("LINES") {
            let start = self.at;
            loop {
                if self.accept(&["TERMINATED", "BY"]) {
                    format.lines_terminated_by = self.format_text()?;
                } else if self.accept(&["STARTING", "BY"]) {
                    format.lines_starting_by = self.format_text()?;
                } else {
                    break;
                }
            }
            if self.at == start {
                return Err(self.error());
            }
        }
        Ok(format)
    }

    /// A string, or characters as hexadecimal or bits.
    fn format_text(&mut self) -> Result<String> {
        let token = self.token();
        let bits = token.kind == TokenKind::Bits;
        if bits || token.kind == TokenKind::Hex {
            let bytes = crate::lexer::bytes_value(self.source(token), bits);
            let text = String::from_utf8(bytes).map_err(|_| self.error())?;
            self.advance();
            return Ok(text);
        }
        self.string()
    }

    /// The same with at most one character.
    fn format_character(&mut self) -> Result<String> {
        let text = self.format_text()?;
        if text.chars().count() > 1 {
            return Err(crate::error::Error::wrong_field_terminators());
        }
        Ok(text)
    }
}
