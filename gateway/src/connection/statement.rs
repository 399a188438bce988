//! Prepared statements of the binary protocol: what the session does not know of them.
//!
//! The session has the statement; here are the parameter types of its last execution, long data sent
//! ahead, and the rows of an open cursor. A cursor's rows are taken from the session when it opens, so
//! that other statements of the connection may run between two fetches.

use super::result::Form;
use super::{Connection, Disconnect};
use crate::codec::column::put_column;
use crate::codec::command::Execute;
use crate::codec::parameter::{ParameterError, ParameterType, take_parameters};
use crate::codec::response::{put_end, put_prepared};
use crate::login::invalid_text;
use base::limits::{CURSOR_BYTES_MAX, PACKET_BYTES_MAX};
use futures::StreamExt;
use mysql_common::constants::StatusFlags;
use sql::Error;
use sql::lexer::raw::StatementText;
use sql::session::{ColumnMeta, Outcome, RowSource};
use sql::value::{Row, Value};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What the protocol remembers of a prepared statement.
#[derive(Debug, Default)]
pub(super) struct Statement {
    /// How many parameters it takes.
    parameters: u16,
    /// Types that the client announced last.
    types: Vec<ParameterType>,
    /// Parameters sent ahead, by position.
    long_data: BTreeMap<u16, Vec<u8>>,
    /// What went wrong with them; shown by the next execution.
    failed: Option<Error>,
    /// Rows to be fetched.
    cursor: Option<Cursor>,
}

/// An open cursor.
#[derive(Debug)]
struct Cursor {
    columns: Arc<[ColumnMeta]>,
    rows: VecDeque<Row>,
    /// Memory of the rows when it was opened, bytes.
    bytes: usize,
}

impl Connection {
    /// COM_STMT_PREPARE.
    pub(super) async fn prepare(&mut self, text: &[u8]) {
        let StatementText { text, invalid } = match self.session.statement_text(text) {
            Ok(text) => text,
            Err(bytes) => return self.error(&invalid_text(bytes)),
        };
        self.session.set_invalid_literals(invalid);
        let prepared = match self.session.prepare(&text).await {
            Ok(prepared) => prepared,
            Err(error) => return self.error(&error),
        };
        let counts = (u16::try_from(prepared.params.len()), u16::try_from(prepared.columns.len()));
        let (Ok(parameters), Ok(columns)) = counts else {
            self.session.close_prepared(prepared.id);
            let what = "A prepared statement has at most 65,535 parameters and columns";
            return self.error(&Error::too_large(what));
        };
        self.statements.insert(prepared.id, Statement { parameters, ..Statement::default() });
        let warnings = self.session.status().warnings;
        self.channel.message(|out| put_prepared(out, prepared.id, columns, parameters, warnings));
        for definitions in [&prepared.params, &prepared.columns] {
            for column in definitions {
                self.channel.message(|out| put_column(out, column));
            }
            if !definitions.is_empty() {
                self.end_of_columns(false);
            }
        }
    }

    /// COM_STMT_EXECUTE.
    pub(super) async fn execute(&mut self, execute: Execute<'_>) -> Result<(), Disconnect> {
        let id = execute.statement;
        let parameters = match self.take_parameters(execute) {
            Ok(parameters) => parameters,
            Err(ParameterError::Malformed(malformed)) => return Err(malformed.into()),
            Err(ParameterError::Value(error)) => {
                self.error(&error);
                return Ok(());
            }
        };
        let result = self.session.execute_prepared(id, parameters).await;
        match result {
            Ok(Outcome::Rows { columns, rows }) if execute.cursor => {
                self.open_cursor(id, columns, rows).await;
            }
            result => {
                self.answer(result, false, Form::Binary).await?;
            }
        }
        Ok(())
    }

    /// COM_STMT_SEND_LONG_DATA. Never answered: an error shows at the next execution.
    pub(super) fn send_long_data(&mut self, id: u32, parameter: u16, data: &[u8]) {
        let Some(statement) = self.statements.get_mut(&id) else { return };
        if parameter >= statement.parameters {
            statement.failed = Some(Error::wrong_arguments("mysqld_stmt_send_long_data"));
            return;
        }
        let held: usize = statement.long_data.values().map(Vec::len).sum();
        if held + data.len() > PACKET_BYTES_MAX {
            statement.failed = Some(Error::packet_too_large());
            return;
        }
        statement.long_data.entry(parameter).or_default().extend_from_slice(data);
    }

    /// COM_STMT_CLOSE. Never answered.
    pub(super) fn close_statement(&mut self, id: u32) {
        self.statements.remove(&id);
        self.session.close_prepared(id);
    }

    /// COM_STMT_RESET.
    pub(super) fn reset_statement(&mut self, id: u32) {
        let Some(statement) = self.statements.get_mut(&id) else {
            return self.error(&Error::unknown_statement(id, "mysqld_stmt_reset"));
        };
        statement.long_data.clear();
        statement.failed = None;
        statement.cursor = None;
        self.ok();
    }

    /// COM_STMT_FETCH.
    pub(super) async fn fetch(&mut self, id: u32, count: u32) -> Result<(), Disconnect> {
        let Some(statement) = self.statements.get_mut(&id) else {
            self.error(&Error::unknown_statement(id, "mysqld_stmt_fetch"));
            return Ok(());
        };
        let Some(cursor) = &mut statement.cursor else {
            self.error(&Error::no_open_cursor(id));
            return Ok(());
        };
        let columns = cursor.columns.clone();
        let count = cursor.rows.len().min(count as usize);
        let rows: Vec<Row> = cursor.rows.drain(..count).collect();
        let last = cursor.rows.is_empty();
        if last {
            statement.cursor = None;
        }
        if !self.page(&columns, &rows, Form::Binary).await? {
            return Ok(());
        }
        let flag = if last {
            StatusFlags::SERVER_STATUS_LAST_ROW_SENT
        } else {
            StatusFlags::SERVER_STATUS_CURSOR_EXISTS
        };
        let (status, capabilities) = (self.status(false).with(flag), self.capabilities);
        self.channel.message(|out| put_end(out, status, capabilities));
        Ok(())
    }

    /// Parameters of an execution. What was sent ahead is used up, whatever comes of it.
    fn take_parameters(&mut self, execute: Execute<'_>) -> Result<Vec<Value>, ParameterError> {
        let id = execute.statement;
        let Some(statement) = self.statements.get_mut(&id) else {
            return Err(Error::unknown_statement(id, "mysqld_stmt_execute").into());
        };
        statement.cursor = None;
        let long_data = std::mem::take(&mut statement.long_data);
        if let Some(error) = statement.failed.take() {
            return Err(error.into());
        }
        let (count, types) = (statement.parameters, &mut statement.types);
        take_parameters(&execute, self.capabilities, count, types, &long_data)
    }

    /// Keeps a result's rows for COM_STMT_FETCH and answers with its columns.
    async fn open_cursor(&mut self, id: u32, columns: Arc<[ColumnMeta]>, rows: RowSource) {
        let open = |statement: &Statement| statement.cursor.as_ref().map_or(0, |open| open.bytes);
        let held: usize = self.statements.values().map(open).sum();
        let (rows, bytes) = match collect(rows, CURSOR_BYTES_MAX.saturating_sub(held)).await {
            Ok(collected) => collected,
            Err(error) => return self.error(&error),
        };
        self.columns(&columns);
        let flag = StatusFlags::SERVER_STATUS_CURSOR_EXISTS;
        let (status, capabilities) = (self.status(false).with(flag), self.capabilities);
        // One end only: the rows come by COM_STMT_FETCH.
        self.channel.message(|out| put_end(out, status, capabilities));
        if let Some(statement) = self.statements.get_mut(&id) {
            statement.cursor = Some(Cursor { columns, rows, bytes });
        }
    }
}

/// All rows, and the memory they take, within a limit.
async fn collect(rows: RowSource, limit: usize) -> sql::Result<(VecDeque<Row>, usize)> {
    let mut pages = match rows {
        RowSource::Ready(rows) => futures::stream::iter([Ok(rows)]).boxed(),
        RowSource::Stream(pages) => pages,
    };
    let (mut collected, mut bytes) = (VecDeque::new(), 0);
    while let Some(page) = pages.next().await {
        let page = page?;
        bytes += page.iter().flatten().map(Value::heap_bytes).sum::<usize>();
        if bytes > limit {
            return Err(Error::out_of_memory(
                "the rows of a cursor; read the result without a cursor, or in smaller parts",
            ));
        }
        collected.extend(page);
    }
    Ok((collected, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cursor_beyond_its_memory_is_refused() {
        let rows = || RowSource::Ready(vec![vec![Value::text("x".repeat(100))]; 10]);
        let (collected, bytes) = collect(rows(), 10_000).await.unwrap();
        assert_eq!(collected.len(), 10);
        assert!(bytes >= 1000);
        let error = collect(rows(), 500).await.unwrap_err();
        assert_eq!(error.code, 1038);
    }
}
