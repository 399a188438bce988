//! Commands: what a client asks after its login.
//!
//! Not here: parameters of prepared statements (`parameter`), doing it (`connection`).

use super::handshake::ChangeUser;
use super::parameter::skip_attributes;
use super::{Malformed, Reader};
use mysql_common::constants::CapabilityFlags;

/// A command of a client. Texts are the client's bytes; nothing has been decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// COM_QUIT: close without an answer.
    Quit,
    /// COM_INIT_DB: change the default database.
    InitDb(&'a [u8]),
    /// COM_QUERY: execute text.
    Query(&'a [u8]),
    /// COM_FIELD_LIST: describe a table's columns.
    FieldList {
        /// The table.
        table: &'a [u8],
        /// LIKE pattern of column names; empty for all.
        wildcard: &'a [u8],
    },
    /// COM_REFRESH: FLUSH of what these bits say.
    Refresh(u8),
    /// COM_STATISTICS: one readable line.
    Statistics,
    /// COM_PROCESS_INFO: SHOW PROCESSLIST.
    ProcessInfo,
    /// COM_PROCESS_KILL: end another connection.
    ProcessKill(u32),
    /// COM_PING.
    Ping,
    /// COM_CHANGE_USER: log in again.
    ChangeUser(ChangeUser),
    /// COM_STMT_PREPARE.
    Prepare(&'a [u8]),
    /// COM_STMT_EXECUTE.
    Execute(Execute<'a>),
    /// COM_STMT_SEND_LONG_DATA: append to a parameter; never answered.
    SendLongData {
        /// Statement.
        statement: u32,
        /// Index of the parameter.
        parameter: u16,
        /// What to append.
        data: &'a [u8],
    },
    /// COM_STMT_CLOSE: forget a statement; never answered.
    CloseStatement(u32),
    /// COM_STMT_RESET: forget a statement's long data and cursor.
    ResetStatement(u32),
    /// COM_SET_OPTION: allow (`true`) or refuse several statements in one text.
    SetMultiStatements(bool),
    /// COM_STMT_FETCH: rows of an open cursor.
    Fetch {
        /// Statement.
        statement: u32,
        /// Rows wanted at most.
        rows: u32,
    },
    /// COM_RESET_CONNECTION: a session as after login, without one.
    ResetConnection,
    /// A command that this server does not know.
    Unknown(u8),
}

/// COM_STMT_EXECUTE. Its parameters can only be read by who knows the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// Statement.
    pub statement: u32,
    /// Whether the client wants a cursor to fetch from.
    pub cursor: bool,
    /// Whether a parameter count precedes the parameters although the statement may have none.
    pub counted: bool,
    /// Null bitmap, types and values; see `parameter`.
    pub parameters: &'a [u8],
}

/// CURSOR_TYPE_READ_ONLY, _FOR_UPDATE and _SCROLLABLE: MySQL gives a read-only cursor for each.
const CURSOR_TYPES: u8 = 1 | 2 | 4;
/// PARAMETER_COUNT_AVAILABLE.
const COUNTED: u8 = 8;

impl<'a> Command<'a> {
    /// Reads a command packet.
    pub fn decode(
        payload: &'a [u8],
        capabilities: CapabilityFlags,
    ) -> Result<Command<'a>, Malformed> {
        let (&code, body) = payload.split_first().ok_or(Malformed("empty command"))?;
        let mut reader = Reader::new(body);
        Ok(match code {
            0x01 => Command::Quit,
            0x02 => Command::InitDb(body),
            0x03 => {
                if capabilities.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES) {
                    skip_attributes(&mut reader)?;
                }
                Command::Query(reader.rest())
            }
            0x04 => {
                let table = reader.nul_bytes_or_rest();
                Command::FieldList { table, wildcard: reader.rest() }
            }
            0x07 => Command::Refresh(reader.u8("what to flush")?),
            0x09 => Command::Statistics,
            0x0a => Command::ProcessInfo,
            0x0c => Command::ProcessKill(reader.u32("connection id")?),
            0x0e => Command::Ping,
            0x11 => Command::ChangeUser(ChangeUser::decode(body, capabilities)?),
            0x16 => Command::Prepare(body),
            0x17 => Command::Execute(take_execute(&mut reader)?),
            0x18 => Command::SendLongData {
                statement: reader.u32("statement id")?,
                parameter: reader.u16("parameter index")?,
                data: reader.rest(),
            },
            0x19 => Command::CloseStatement(reader.u32("statement id")?),
            0x1a => Command::ResetStatement(reader.u32("statement id")?),
            0x1b => match reader.u16("option")? {
                0 => Command::SetMultiStatements(true),
                1 => Command::SetMultiStatements(false),
                _ => Command::Unknown(code),
            },
            0x1c => Command::Fetch {
                statement: reader.u32("statement id")?,
                rows: reader.u32("row count")?,
            },
            0x1f => Command::ResetConnection,
            other => Command::Unknown(other),
        })
    }
}

/// The fixed head of COM_STMT_EXECUTE.
fn take_execute<'a>(reader: &mut Reader<'a>) -> Result<Execute<'a>, Malformed> {
    let statement = reader.u32("statement id")?;
    let flags = reader.u8("cursor flags")?;
    let _iterations = reader.u32("iteration count")?;
    Ok(Execute {
        statement,
        cursor: flags & CURSOR_TYPES != 0,
        counted: flags & COUNTED != 0,
        parameters: reader.rest(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41;
    const ATTRIBUTES: CapabilityFlags = CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;

    #[test]
    fn query_without_attributes() {
        assert_eq!(Command::decode(b"\x03SELECT 1", PLAIN), Ok(Command::Query(b"SELECT 1")));
    }

    #[test]
    fn query_with_capability_but_no_attribute() {
        let decoded = Command::decode(b"\x03\x00\x01SELECT 1", ATTRIBUTES);
        assert_eq!(decoded, Ok(Command::Query(b"SELECT 1")));
    }

    #[test]
    fn query_attributes_are_skipped() {
        // One attribute: a string named `n` with value `abc`.
        let payload = b"\x03\x01\x01\x00\x01\xfd\x00\x01n\x03abcSELECT 1";
        assert_eq!(Command::decode(payload, ATTRIBUTES), Ok(Command::Query(b"SELECT 1")));
    }

    #[test]
    fn field_list_has_table_and_wildcard() {
        let decoded = Command::decode(b"\x04crimes\0id%", PLAIN);
        assert_eq!(decoded, Ok(Command::FieldList { table: b"crimes", wildcard: b"id%" }));
    }

    #[test]
    fn execute_head() {
        let decoded = Command::decode(b"\x17\x02\0\0\0\x01\x01\0\0\0rest", PLAIN);
        let execute = Execute { statement: 2, cursor: true, counted: false, parameters: b"rest" };
        assert_eq!(decoded, Ok(Command::Execute(execute)));
    }

    #[test]
    fn unknown_commands_are_named_not_refused() {
        assert_eq!(Command::decode(&[0x06], PLAIN), Ok(Command::Unknown(6)));
        assert_eq!(Command::decode(&[0xee, 1, 2], PLAIN), Ok(Command::Unknown(0xee)));
        assert!(Command::decode(b"", PLAIN).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Command::decode(&bytes, PLAIN);
            let _ = Command::decode(&bytes, CapabilityFlags::all());
        }
    }
}
