//! XA statements.

use super::Parser;
use crate::ast::{Statement, XID_PART_BYTES_MAX, XaJoin, XaStatement, XaSuspend, Xid};
use crate::error::Result;
use crate::lexer::{self, TokenKind};

/// Largest format id of an xid.
const FORMAT_ID_MAX: u32 = i32::MAX as u32;

impl Parser<'_> {
    /// XA …
    #[inline(never)]
    pub(super) fn xa(&mut self) -> Result<Statement> {
        self.advance();
        let words = [
            "START", "BEGIN", "END", "PREPARE", "COMMIT", "ROLLBACK", "SHOW", "LOCKWAIT", "BOOST",
            "RECOVER",
        ];
        let word = self.accept_any(&words).ok_or_else(|| self.error())?;
        Ok(Statement::Xa(match word {
            "START" | "BEGIN" => {
                let xid = self.xid()?;
                let join = match self.accept_any(&["JOIN", "RESUME"]) {
                    Some("JOIN") => Some(XaJoin::Join),
                    Some(_) => Some(XaJoin::Resume),
                    None => None,
                };
                XaStatement::Start { xid, join }
            }
            "END" => XaStatement::End { xid: self.xid()?, suspend: self.suspend()? },
            "PREPARE" => XaStatement::Prepare(self.xid()?),
            "COMMIT" => {
                let xid = self.xid()?;
                let one_phase = self.accept_word("ONE");
                if one_phase {
                    self.expect_word("PHASE")?;
                }
                XaStatement::Commit { xid, one_phase }
            }
            "ROLLBACK" => XaStatement::Rollback(self.xid()?),
            "SHOW" => XaStatement::Show,
            "LOCKWAIT" => XaStatement::LockWait,
            "BOOST" => XaStatement::Boost(self.string()?),
            _ => {
                let convert_xid = self.accept_word("CONVERT");
                if convert_xid {
                    self.expect_word("XID")?;
                }
                XaStatement::Recover { convert_xid }
            }
        }))
    }

    /// `[SUSPEND [FOR MIGRATE]]`.
    fn suspend(&mut self) -> Result<Option<XaSuspend>> {
        if !self.accept_word("SUSPEND") {
            return Ok(None);
        }
        if !self.accept_word("FOR") {
            return Ok(Some(XaSuspend::Suspend));
        }
        self.expect_word("MIGRATE")?;
        Ok(Some(XaSuspend::ForMigrate))
    }

    /// `gtrid[, bqual[, format id]]`.
    fn xid(&mut self) -> Result<Xid> {
        let mut xid = Xid { gtrid: self.xid_part()?, bqual: Vec::new(), format_id: 1 };
        if self.accept_kind(TokenKind::Comma) {
            xid.bqual = self.xid_part()?;
            if self.accept_kind(TokenKind::Comma) {
                let error = self.error();
                xid.format_id = match u32::try_from(self.number()?) {
                    Ok(number) if number <= FORMAT_ID_MAX => number,
                    _ => return Err(error),
                };
            }
        }
        if xid.gtrid.len().max(xid.bqual.len()) > XID_PART_BYTES_MAX {
            return Err(self.error());
        }
        Ok(xid)
    }

    /// A string, or bytes as hexadecimal or bits.
    fn xid_part(&mut self) -> Result<Vec<u8>> {
        let token = self.token();
        match token.kind {
            TokenKind::Hex | TokenKind::Bits => {
                self.advance();
                Ok(lexer::bytes_value(self.source(token), token.kind == TokenKind::Bits))
            }
            _ => Ok(self.string()?.into_bytes()),
        }
    }
}
