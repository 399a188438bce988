//! A connection's life after login: commands in, responses out.
//!
//! One command at a time, each answered completely before the next is read. A connection ends when the
//! client says so or is gone, when its bytes cannot be read, or when `control` has a reason.
//!
//! Reading order: this file (the loop and small commands), `result` (what a statement answers),
//! `statement` (prepared statements and cursors), `change_user`.
//!
//! Not here: the login itself (`login`), what statements mean (`sql`).

mod change_user;
mod result;
mod statement;

use crate::channel::{Channel, ChannelError};
use crate::codec::Malformed;
use crate::codec::column::put_column_with_default;
use crate::codec::command::Command;
use crate::codec::handshake::Salt;
use crate::codec::response::{Status, put_end, put_error, put_ok};
use crate::control::Control;
use crate::listener::Shared;
use crate::login::{self, LoggedIn, Peer, invalid_text};
use base::limits::LOGIN_WAIT_MAX;
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use sql::Error;
use sql::session::{OkResult, Session};
use statement::Statement;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum Disconnect {
    /// The client said goodbye.
    #[error("the client quit")]
    Quit,
    /// The channel ended or broke.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// A command could not be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client is told this at the end.
    #[error(transparent)]
    Refused(Error),
    /// KILL, idle time or shutdown.
    #[error("the server ended the connection")]
    Ended,
}

impl From<io::Error> for Disconnect {
    fn from(error: io::Error) -> Disconnect {
        Disconnect::Channel(error.into())
    }
}

impl Disconnect {
    /// What the client is told.
    fn reply(&self) -> Option<Error> {
        match self {
            Disconnect::Channel(error) => error.reply(),
            Disconnect::Malformed(_) => Some(Error::malformed_packet()),
            Disconnect::Refused(error) => Some(error.clone()),
            Disconnect::Quit | Disconnect::Ended => None,
        }
    }
}

/// A client that has logged in.
struct Connection {
    channel: Channel,
    session: Session,
    /// What both sides can do.
    capabilities: CapabilityFlags,
    /// Whether a text may hold several statements.
    multi_statements: bool,
    /// Collation of the last login.
    collation: u16,
    /// Salt that the client saw last.
    salt: Salt,
    /// What the protocol remembers of prepared statements.
    statements: BTreeMap<u32, Statement>,
    shared: Arc<Shared>,
    peer: Peer,
}

/// Serves a client from its first byte to its last.
pub async fn serve(
    mut channel: Channel,
    shared: Arc<Shared>,
    control: &Rc<Control>,
    id: u32,
    peer: Peer,
) {
    let logging_in = login::login(&mut channel, &shared, id, &peer);
    let logged_in = match tokio::time::timeout(LOGIN_WAIT_MAX, logging_in).await {
        Ok(Ok(logged_in)) => logged_in,
        Ok(Err(error)) => {
            // Port scans and probes of load balancers end here: nothing to tell anyone.
            tracing::debug!(host = peer.host, %error, "login ended");
            return close(channel, error.reply()).await;
        }
        Err(_) => return tracing::debug!(host = peer.host, "login took too long"),
    };
    let mut connection = Connection::new(channel, logged_in, shared, peer);
    let end = connection.run(control).await;
    tracing::debug!(id, %end, "connection ended");
    let Connection { channel, session, .. } = connection;
    // First what others may wait for.
    session.close().await;
    close(channel, end.reply()).await;
}

/// Closes a channel, after telling the client why when there is something to tell.
async fn close(mut channel: Channel, error: Option<Error>) {
    match error {
        Some(error) => {
            channel.message(|out| put_error(out, &error));
            channel.close_after_error().await;
        }
        None => channel.close().await,
    }
}

impl Connection {
    fn new(channel: Channel, logged_in: LoggedIn, shared: Arc<Shared>, peer: Peer) -> Connection {
        let LoggedIn { session, capabilities, collation, salt } = logged_in;
        Connection {
            channel,
            session,
            capabilities,
            multi_statements: capabilities.contains(CapabilityFlags::CLIENT_MULTI_STATEMENTS),
            collation,
            salt,
            statements: BTreeMap::new(),
            shared,
            peer,
        }
    }

    /// Confirms the login, then does what the client asks until there is a reason to end.
    async fn run(&mut self, control: &Control) -> Disconnect {
        control.watch(self.session.cancel_handle());
        self.ok();
        loop {
            let result = match self.channel.flush().await {
                Ok(()) => self.command(control).await,
                Err(error) => Err(error.into()),
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Waits for a command and does it.
    async fn command(&mut self, control: &Control) -> Result<(), Disconnect> {
        if control.is_stopping() || self.session.is_killed() {
            return Err(Disconnect::Ended);
        }
        control.begin_waiting(match self.session.idle_seconds_max() {
            0 => Duration::MAX,
            seconds => Duration::from_secs(seconds),
        });
        let session = &self.session;
        let received = self.channel.read_command(|cx| {
            control.park(cx);
            control.is_stopping() || control.is_idle_too_long() || session.is_killed()
        });
        let packet = match received.await {
            Err(ChannelError::Interrupted) => return Err(Disconnect::Ended),
            received => received?,
        };
        control.end_waiting();
        self.dispatch(Command::decode(&packet, self.capabilities)?).await
    }

    /// Does a command.
    async fn dispatch(&mut self, command: Command<'_>) -> Result<(), Disconnect> {
        match command {
            Command::Quit => return Err(Disconnect::Quit),
            Command::Query(text) => self.query(text).await?,
            Command::Execute(execute) => self.execute(execute).await?,
            Command::Prepare(text) => self.prepare(text).await,
            Command::SendLongData { statement, parameter, data } => {
                self.send_long_data(statement, parameter, data);
            }
            Command::CloseStatement(id) => self.close_statement(id),
            Command::ResetStatement(id) => self.reset_statement(id),
            Command::Fetch { statement, rows } => self.fetch(statement, rows).await?,
            Command::InitDb(name) => match str::from_utf8(name) {
                Ok(name) => {
                    let used = self.session.use_database(name).await;
                    self.done(used);
                }
                Err(_) => self.error(&invalid_text(name)),
            },
            Command::FieldList { table, wildcard } => self.field_list(table, wildcard).await,
            Command::Refresh(what) => match flush_of(what) {
                Ok(text) => self.query(text.as_bytes()).await?,
                Err(error) => self.error(&error),
            },
            Command::Statistics => {
                let line = self.session.statistics();
                self.channel.message(|out| out.extend_from_slice(line.as_bytes()));
            }
            Command::ProcessInfo => self.query(b"SHOW PROCESSLIST").await?,
            Command::ProcessKill(id) => {
                let killed = self.shared.instance.kill_anywhere(id, true).await;
                self.done(match killed {
                    Ok(()) if self.session.is_killed() => Err(Error::interrupted()),
                    killed => killed,
                });
            }
            Command::Ping => self.ok(),
            Command::ChangeUser(change) => self.change_user(change).await?,
            Command::SetMultiStatements(on) => {
                self.multi_statements = on;
                let (status, capabilities) = (self.quiet_status(), self.capabilities);
                self.channel.message(|out| put_end(out, status, capabilities));
            }
            Command::ResetConnection => self.reset_connection().await,
            Command::Unknown(_) => self.error(&Error::unknown_command()),
        }
        Ok(())
    }

    /// COM_FIELD_LIST.
    async fn field_list(&mut self, table: &[u8], wildcard: &[u8]) {
        let (Ok(name), Ok(pattern)) = (str::from_utf8(table), str::from_utf8(wildcard)) else {
            return self.error(&invalid_text(&[table, wildcard].concat()));
        };
        match self.session.field_list(name, pattern).await {
            Ok(columns) => {
                for column in &columns {
                    self.channel.message(|out| put_column_with_default(out, column));
                }
                let (status, capabilities) = (self.quiet_status(), self.capabilities);
                self.channel.message(|out| put_end(out, status, capabilities));
            }
            Err(error) => self.error(&error),
        }
    }

    /// COM_RESET_CONNECTION.
    async fn reset_connection(&mut self) {
        self.statements.clear();
        self.session.reset().await;
        let kept = self.session.set_client_collation(self.collation);
        self.done(kept);
    }

    /// Adds OK or the error.
    fn done(&mut self, result: sql::Result<()>) {
        match result {
            Ok(()) => self.ok(),
            Err(error) => self.error(&error),
        }
    }

    /// Adds an OK that says nothing more.
    fn ok(&mut self) {
        let status = self.quiet_status();
        self.channel.message(|out| put_ok(out, &OkResult::default(), status));
    }

    /// Adds an error.
    fn error(&mut self, error: &Error) {
        self.channel.message(|out| put_error(out, error));
    }

    /// Status after a command that is no statement: warnings belong to statements.
    fn quiet_status(&self) -> Status {
        Status { warnings: 0, ..Status::of(self.session.status()) }
    }

    /// Status after a statement; `more` says that another result follows.
    fn status(&self, more: bool) -> Status {
        let status = Status::of(self.session.status());
        if more { status.with(StatusFlags::SERVER_MORE_RESULTS_EXISTS) } else { status }
    }
}

/// REFRESH_SLAVE and REFRESH_MASTER: RESET of replication.
const REFRESH_REPLICATION: u8 = 0x40 | 0x80;

/// What COM_REFRESH asks for, as a statement. Tables (0x04) and threads (0x20) need no flushing.
fn flush_of(what: u8) -> sql::Result<String> {
    if what & REFRESH_REPLICATION != 0 {
        return Err(Error::not_supported(
            "RESET by COM_REFRESH: the cluster replicates by itself; leave the bits 0x40 and 0x80 out",
        ));
    }
    let options = [(0x01, "PRIVILEGES"), (0x02, "LOGS"), (0x08, "HOSTS"), (0x10, "STATUS")];
    let options: Vec<&str> = options
        .into_iter()
        .filter_map(|(bit, option)| (what & bit != 0).then_some(option))
        .collect();
    Ok(match options.is_empty() {
        true => "FLUSH TABLES".to_string(),
        false => format!("FLUSH {}", options.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_a_flush() {
        assert_eq!(flush_of(0x02).unwrap(), "FLUSH LOGS");
        assert_eq!(flush_of(0x3f).unwrap(), "FLUSH PRIVILEGES, LOGS, HOSTS, STATUS");
        assert_eq!(flush_of(0x04).unwrap(), "FLUSH TABLES");
        assert_eq!(flush_of(0x82).unwrap_err().code, 1235);
    }
}
