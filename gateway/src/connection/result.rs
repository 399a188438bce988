//! What a statement answers: OK, an error, rows, or a request for a file.
//!
//! Rows are sent while they are produced: pages go into the write buffer, the buffer goes out when it is
//! full, and a slow client makes the producer wait.

use super::{Connection, Disconnect};
use crate::codec::column::put_column;
use crate::codec::put_length;
use crate::codec::response::{put_end, put_eof, put_local_infile, put_ok};
use crate::codec::row::{put_binary_row, put_text_row};
use crate::login::invalid_text;
use futures::StreamExt;
use mysql_common::constants::CapabilityFlags;
use sql::Error;
use sql::lexer::raw::StatementText;
use sql::session::{ColumnMeta, OkResult, Outcome, RowSource};
use sql::value::Row;

/// Characters of a text that a syntax error shows.
const NEAR_CHARACTERS: usize = 80;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For COM_QUERY.
    Text,
    /// For prepared statements.
    Binary,
}

impl Connection {
    /// COM_QUERY: every statement of the text, until one fails.
    pub(super) async fn query(&mut self, text: &[u8]) -> Result<(), Disconnect> {
        let StatementText { text, invalid } = match self.session.statement_text(text) {
            Ok(text) => text,
            Err(bytes) => {
                self.error(&invalid_text(bytes));
                return Ok(());
            }
        };
        let text = text.as_ref();
        let second = if self.multi_statements { None } else { self.second_statement(text) };
        if let Some(second) = second {
            self.error(&syntax_error(text, second));
            return Ok(());
        }
        let mut rest = text;
        let mut invalid = invalid.into_iter().peekable();
        loop {
            let from = text.len() - rest.len();
            let end = match invalid.peek() {
                Some(_) if self.multi_statements => from + self.session.statement_length(rest),
                _ => text.len(),
            };
            let of_statement = std::iter::from_fn(|| invalid.next_if(|literal| literal.at < end));
            self.session.set_invalid_literals(of_statement.collect());
            let (result, next) = self.session.execute(rest).await;
            let next = next.filter(|_| self.multi_statements).and_then(|next| rest.get(next..));
            let succeeded = self.answer(result, next.is_some(), Form::Text).await?;
            match next {
                Some(next) if succeeded && !self.session.is_killed() => rest = next,
                _ => return Ok(()),
            }
        }
    }

    /// Adds a statement's answer; `more` says that another statement follows. False after an error.
    pub(super) async fn answer(
        &mut self,
        result: sql::Result<Outcome>,
        more: bool,
        form: Form,
    ) -> Result<bool, Disconnect> {
        match result {
            Ok(Outcome::Ok(ok)) => {
                self.statement_ok(&ok, more);
                Ok(true)
            }
            Ok(Outcome::Rows { columns, rows }) => self.rows(&columns, rows, more, form).await,
            Ok(Outcome::Many { results, end }) => {
                if !self.capabilities.contains(CapabilityFlags::CLIENT_MULTI_RESULTS) {
                    self.error(&Error::no_results_here(
                        "called by a client without CLIENT_MULTI_RESULTS",
                    ));
                    return Ok(false);
                }
                for (columns, rows) in results {
                    if !self.rows(&columns, RowSource::Ready(rows), true, form).await? {
                        return Ok(false);
                    }
                }
                match end {
                    Ok(ok) => {
                        self.statement_ok(&ok, more);
                        Ok(true)
                    }
                    Err(error) => {
                        self.error(&error);
                        Ok(false)
                    }
                }
            }
            Ok(Outcome::LocalInfile { file_name }) => self.infile(&file_name, more).await,
            Err(error) => {
                self.error(&error);
                Ok(false)
            }
        }
    }

    /// Adds a result's head: how many columns, and each.
    pub(super) fn columns(&mut self, columns: &[ColumnMeta]) {
        self.channel.message(|out| put_length(out, columns.len() as u64));
        for column in columns {
            self.channel.message(|out| put_column(out, column));
        }
    }

    /// Adds the EOF between columns and rows, which newer clients do without.
    pub(super) fn end_of_columns(&mut self, more: bool) {
        if !self.capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) {
            let status = self.status(more);
            self.channel.message(|out| put_eof(out, status));
        }
    }

    /// Adds rows. False when one of them could not be sent: the error stands in its place.
    pub(super) async fn page(
        &mut self,
        columns: &[ColumnMeta],
        rows: &[Row],
        form: Form,
    ) -> Result<bool, Disconnect> {
        for row in rows {
            let written = self.channel.try_message(|out| match form {
                Form::Text => put_text_row(out, columns, row),
                Form::Binary => put_binary_row(out, columns, row),
            });
            if let Err(error) = written {
                self.error(&error);
                return Ok(false);
            }
            self.channel.flush_when_full().await?;
        }
        Ok(true)
    }

    /// Adds a result set.
    async fn rows(
        &mut self,
        columns: &[ColumnMeta],
        rows: RowSource,
        more: bool,
        form: Form,
    ) -> Result<bool, Disconnect> {
        self.columns(columns);
        self.end_of_columns(more);
        match rows {
            RowSource::Ready(rows) => {
                if !self.page(columns, &rows, form).await? {
                    return Ok(false);
                }
            }
            RowSource::Stream(mut pages) => {
                while let Some(page) = pages.next().await {
                    match page {
                        Ok(rows) => {
                            if !self.page(columns, &rows, form).await? {
                                return Ok(false);
                            }
                        }
                        Err(error) => {
                            self.error(&error);
                            return Ok(false);
                        }
                    }
                }
            }
        }
        let (status, capabilities) = (self.status(more), self.capabilities);
        self.channel.message(|out| put_end(out, status, capabilities));
        Ok(true)
    }

    /// Asks the client for a file and feeds it to the session. After an error the rest is still read,
    /// else the connection would be out of step.
    async fn infile(&mut self, file_name: &str, more: bool) -> Result<bool, Disconnect> {
        if !self.capabilities.contains(CapabilityFlags::CLIENT_LOCAL_FILES) {
            self.session.infile_abort().await;
            self.error(&Error::local_infile_off());
            return Ok(false);
        }
        self.channel.message(|out| put_local_infile(out, file_name));
        let failed = match self.receive_file().await {
            Ok(failed) => failed,
            Err(end) => {
                self.session.infile_abort().await;
                return Err(end);
            }
        };
        let result = match failed {
            Some(error) => {
                self.session.infile_abort().await;
                Err(error)
            }
            None => self.session.infile_end().await,
        };
        match result {
            Ok(ok) => {
                self.statement_ok(&ok, more);
                Ok(true)
            }
            Err(error) => {
                self.error(&error);
                Ok(false)
            }
        }
    }

    /// Reads the file up to its end; answers the session's first error.
    async fn receive_file(&mut self) -> Result<Option<Error>, Disconnect> {
        self.channel.flush().await?;
        let mut failed = None;
        let mut chunk = self.channel.read_reply().await?;
        while !chunk.is_empty() {
            if failed.is_none() {
                failed = self.session.infile_data(&chunk).await.err();
            }
            chunk = self.channel.read_more().await?;
        }
        Ok(failed)
    }

    /// Adds a statement's OK.
    fn statement_ok(&mut self, ok: &OkResult, more: bool) {
        let status = self.status(more);
        self.channel.message(|out| put_ok(out, ok, status));
    }

    /// Where a second statement starts, when there is one.
    fn second_statement(&self, text: &str) -> Option<usize> {
        // Most texts are settled by a look at their end.
        let text_end = text.trim_end_matches([';', ' ', '\n', '\r', '\t']).len();
        text[..text_end].contains(';').then_some(())?;
        self.session.second_statement(text)
    }
}

/// Error 1064 at an offset of a text.
fn syntax_error(text: &str, offset: usize) -> Error {
    let (before, near) = text.split_at_checked(offset).unwrap_or((text, ""));
    let line = 1 + before.matches('\n').count();
    let near: String = near.trim_start().chars().take(NEAR_CHARACTERS).collect();
    Error::syntax(near, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_error_shows_the_rest_and_its_line() {
        let error = syntax_error("SELECT 1;\n SELECT 2", 9);
        assert!(error.message.ends_with("near 'SELECT 2' at line 1"), "{error}");
        let error = syntax_error("SELECT\n1;SELECT 2", 9);
        assert!(error.message.ends_with("near 'SELECT 2' at line 2"), "{error}");
    }
}
