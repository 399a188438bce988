//! Responses: OK, ERR, EOF, and the fixed packets around results.
//!
//! The end of a result set is an EOF packet, or, for clients with DEPRECATE_EOF, an OK packet with the
//! header of EOF. Both say the same: status flags and warning count.
//!
//! Not here: columns (`column`), rows (`row`).

use super::{put_length, put_length_bytes};
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use sql::session::{OkResult, SessionStatus};

/// Status flags and warning count of an OK or EOF packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Flags.
    pub flags: StatusFlags,
    /// Warnings of the statement.
    pub warnings: u16,
}

impl Status {
    /// What a session says of itself.
    pub fn of(session: SessionStatus) -> Status {
        let mut flags = StatusFlags::empty();
        flags.set(StatusFlags::SERVER_STATUS_IN_TRANS, session.in_transaction);
        flags.set(StatusFlags::SERVER_STATUS_AUTOCOMMIT, session.autocommit);
        flags.set(StatusFlags::SERVER_STATUS_NO_BACKSLASH_ESCAPES, session.no_backslash_escapes);
        Status { flags, warnings: session.warnings }
    }

    /// The same with more flags.
    #[must_use]
    pub fn with(self, flags: StatusFlags) -> Status {
        Status { flags: self.flags | flags, ..self }
    }
}

/// Appends an OK packet.
pub fn put_ok(out: &mut Vec<u8>, ok: &OkResult, status: Status) {
    put_ok_with_header(out, 0, ok, status);
}

/// Appends the packet that ends columns or rows.
pub fn put_end(out: &mut Vec<u8>, status: Status, capabilities: CapabilityFlags) {
    if capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) {
        put_ok_with_header(out, 0xfe, &OkResult::default(), status);
    } else {
        put_eof(out, status);
    }
}

/// Appends an EOF packet.
pub fn put_eof(out: &mut Vec<u8>, status: Status) {
    out.push(0xfe);
    out.extend_from_slice(&status.warnings.to_le_bytes());
    out.extend_from_slice(&status.flags.bits().to_le_bytes());
}

/// Appends an ERR packet.
pub fn put_error(out: &mut Vec<u8>, error: &sql::Error) {
    out.push(0xff);
    out.extend_from_slice(&error.code.to_le_bytes());
    out.push(b'#');
    out.extend_from_slice(error.sqlstate.as_bytes());
    out.extend_from_slice(error.message.as_bytes());
}

/// Appends the ERR packet of a connection that gets no greeting: nothing is known of the client, so
/// the form without SQLSTATE is used, which all understand.
pub fn put_error_before_greeting(out: &mut Vec<u8>, error: &sql::Error) {
    out.push(0xff);
    out.extend_from_slice(&error.code.to_le_bytes());
    out.extend_from_slice(error.message.as_bytes());
}

/// Appends the request for a file (LOAD DATA LOCAL).
pub fn put_local_infile(out: &mut Vec<u8>, file_name: &str) {
    out.push(0xfb);
    out.extend_from_slice(file_name.as_bytes());
}

/// Appends the first packet of the answer to COM_STMT_PREPARE.
pub fn put_prepared(out: &mut Vec<u8>, id: u32, columns: u16, parameters: u16, warnings: u16) {
    out.push(0);
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&columns.to_le_bytes());
    out.extend_from_slice(&parameters.to_le_bytes());
    out.push(0);
    out.extend_from_slice(&warnings.to_le_bytes());
}

/// OK's layout behind either header.
fn put_ok_with_header(out: &mut Vec<u8>, header: u8, ok: &OkResult, status: Status) {
    out.push(header);
    put_length(out, ok.affected_rows);
    put_length(out, ok.last_insert_id);
    out.extend_from_slice(&status.flags.bits().to_le_bytes());
    out.extend_from_slice(&status.warnings.to_le_bytes());
    // MySQL's manual draws the text as running to the end of the packet, but its server has always sent
    // a length before it, and clients read one.
    if !ok.info.is_empty() {
        put_length_bytes(out, ok.info.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTOCOMMIT: Status = Status { flags: StatusFlags::SERVER_STATUS_AUTOCOMMIT, warnings: 1 };

    fn bytes(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn ok_bytes() {
        let ok = OkResult { affected_rows: 300, last_insert_id: 7, info: "Records: 3".into() };
        assert_eq!(
            bytes(|out| put_ok(out, &ok, AUTOCOMMIT)),
            b"\x00\xfc\x2c\x01\x07\x02\x00\x01\x00\x0aRecords: 3"
        );
    }

    #[test]
    fn result_ends_as_the_client_can_read_it() {
        let new = CapabilityFlags::CLIENT_DEPRECATE_EOF;
        assert_eq!(bytes(|out| put_end(out, AUTOCOMMIT, new)), b"\xfe\x00\x00\x02\x00\x01\x00");
        let old = CapabilityFlags::empty();
        assert_eq!(bytes(|out| put_end(out, AUTOCOMMIT, old)), b"\xfe\x01\x00\x02\x00");
    }

    #[test]
    fn error_bytes() {
        let error = sql::Error::no_database();
        assert_eq!(bytes(|out| put_error(out, &error)), b"\xff\x16\x04#3D000No database selected");
        assert_eq!(
            bytes(|out| put_error_before_greeting(out, &error)),
            b"\xff\x16\x04No database selected"
        );
    }

    #[test]
    fn prepared_bytes() {
        assert_eq!(bytes(|out| put_prepared(out, 1, 2, 3, 0)), b"\x00\x01\0\0\0\x02\0\x03\0\0\0\0");
    }

    #[test]
    fn status_follows_the_session() {
        let session = SessionStatus {
            in_transaction: true,
            autocommit: false,
            warnings: 4,
            no_backslash_escapes: true,
        };
        let status = Status::of(session).with(StatusFlags::SERVER_MORE_RESULTS_EXISTS);
        assert_eq!((status.flags.bits(), status.warnings), (0x0209, 4));
    }
}
