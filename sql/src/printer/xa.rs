//! XA statements, as text.

use super::Printer;
use crate::ast::{XaJoin, XaStatement, XaSuspend, Xid};

impl Printer {
    pub(super) fn xa(&mut self, statement: &XaStatement) {
        match statement {
            XaStatement::Start { xid, join } => {
                self.text("XA START ");
                self.xid(xid);
                match join {
                    Some(XaJoin::Join) => self.text(" JOIN"),
                    Some(XaJoin::Resume) => self.text(" RESUME"),
                    None => {}
                }
            }
            XaStatement::End { xid, suspend } => {
                self.text("XA END ");
                self.xid(xid);
                match suspend {
                    Some(XaSuspend::Suspend) => self.text(" SUSPEND"),
                    Some(XaSuspend::ForMigrate) => self.text(" SUSPEND FOR MIGRATE"),
                    None => {}
                }
            }
            XaStatement::Prepare(xid) => {
                self.text("XA PREPARE ");
                self.xid(xid);
            }
            XaStatement::Commit { xid, one_phase } => {
                self.text("XA COMMIT ");
                self.xid(xid);
                self.when(*one_phase, " ONE PHASE");
            }
            XaStatement::Rollback(xid) => {
                self.text("XA ROLLBACK ");
                self.xid(xid);
            }
            XaStatement::Recover { convert_xid } => {
                self.text("XA RECOVER");
                self.when(*convert_xid, " CONVERT XID");
            }
            XaStatement::Show => self.text("XA SHOW"),
            XaStatement::LockWait => self.text("XA LOCKWAIT"),
            XaStatement::Boost(token) => {
                self.text("XA BOOST ");
                self.string(token);
            }
        }
    }

    fn xid(&mut self, xid: &Xid) {
        self.xid_part(&xid.gtrid);
        if !xid.bqual.is_empty() || xid.format_id != 1 {
            self.text(", ");
            self.xid_part(&xid.bqual);
        }
        if xid.format_id != 1 {
            self.text(", ");
            self.value(xid.format_id);
        }
    }

    /// Text where it is text, else hexadecimal.
    fn xid_part(&mut self, part: &[u8]) {
        match std::str::from_utf8(part) {
            Ok(text) => self.string(text),
            Err(_) => {
                self.text("x'");
                for byte in part {
                    self.value(format_args!("{byte:02x}"));
                }
                self.text("'");
            }
        }
    }
}
