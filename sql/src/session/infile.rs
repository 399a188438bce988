//! LOAD DATA LOCAL between its statement and the end of its file.

pub(crate) use crate::dml::load_data::Infile;

use super::connection::Session;
use super::{OkResult, Outcome};
use crate::ast;
use crate::dml::load_data;
use crate::{Error, Result};

impl Session {
    /// LOAD DATA: prepares everything and asks the client for the file.
    pub(crate) async fn load_data(&mut self, load: &ast::LoadData) -> Result<Outcome> {
        self.check_writable()?;
        let infile = loop {
            match load_data::begin(self, load).await {
                Err(error) if error.is_table_blocked() => self.wait_for_tables().await?,
                infile => break infile?,
            }
        };
        self.infile = Some(Box::new(infile));
        Ok(Outcome::LocalInfile { file_name: load.file.clone() })
    }

    /// A piece of the file. After an error nothing of the file is kept.
    pub(super) async fn load_chunk(&mut self, infile: &mut Infile, chunk: &[u8]) -> Result<()> {
        let result = infile.chunk(self, chunk).await.map_err(Error::stale_as_deadlock);
        match result {
            Ok(()) => Ok(()),
            Err(error) => Err(self.undo_load(infile, error).await),
        }
    }

    /// The end of the file.
    pub(super) async fn load_end(&mut self, mut infile: Box<Infile>) -> Result<OkResult> {
        let result = infile.finish(self).await.map_err(Error::stale_as_deadlock);
        let changes = match result {
            Ok(changes) => changes,
            Err(error) => return Err(self.undo_load(&mut infile, error).await),
        };
        let changes = match infile.savepoint() {
            Some(savepoint) => {
                let txn = infile.transaction();
                self.end_statement(&txn, savepoint, Ok(changes)).await?
            }
            None => self.commit_alone(&infile.transaction(), changes, infile.env()).await?,
        };
        match self.finish_change(changes) {
            Outcome::Ok(result) => Ok(result),
            Outcome::Rows { .. } | Outcome::LocalInfile { .. } | Outcome::Many { .. } => {
                Ok(OkResult::default())
            }
        }
    }

    /// The client went away.
    pub(super) async fn load_abort(&mut self, mut infile: Infile) {
        // Nobody is left to be told.
        let _ = self.undo_load(&mut infile, Error::interrupted()).await;
    }

    /// Undoes what was loaded, and what the client is told of it.
    async fn undo_load(&mut self, infile: &mut Infile, error: Error) -> Error {
        let txn = infile.transaction();
        let mut txn = txn.lock().await;
        let Some(savepoint) = infile.savepoint() else {
            txn.rollback();
            return error;
        };
        let undone = txn.fail_statement(savepoint).await.is_ok();
        txn.release(savepoint);
        drop(txn);
        if undone {
            return error;
        }
        let error = match error.code == Error::deadlock().code {
            true => error,
            false => error.of_whole_transaction(),
        };
        self.transaction.lose(&error);
        error
    }
}
