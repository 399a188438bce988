//! Login: from an accepted socket to a session.
//!
//! Greeting, TLS when the client wants it, authentication, then the session with the client's character
//! set and default database. The same authentication serves COM_CHANGE_USER.
//!
//! Not here: how an answer is judged (`auth`).

use crate::auth::{self, Exchange, Login, Step, Verification};
use crate::channel::{Channel, ChannelError};
use crate::codec::handshake::{ClientHello, HandshakeResponse, Salt, put_greeting};
use crate::listener::Shared;
use mysql_common::constants::CapabilityFlags;
use sql::Error;
use sql::session::{Session, SessionInfo};
use std::io;

/// Where a client comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The host that accounts are matched with: `localhost` for this machine, else the address.
    pub host: String,
}

/// Why a login ended without a session.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The client is told this, then the connection ends.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The connection ended or broke.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

impl From<io::Error> for LoginError {
    fn from(error: io::Error) -> LoginError {
        LoginError::Channel(error.into())
    }
}

impl LoginError {
    /// What the client is told.
    pub fn reply(&self) -> Option<Error> {
        match self {
            LoginError::Refused(error) => Some(error.clone()),
            LoginError::Channel(error) => error.reply(),
        }
    }
}

/// A client that has logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Its session.
    pub session: Session,
    /// What both sides can do.
    pub capabilities: CapabilityFlags,
    /// Collation that the client announced.
    pub collation: u16,
    /// The salt that the client saw last.
    pub salt: Salt,
}

/// A wish to be somebody.
#[derive(Debug)]
pub struct Claim {
    /// User name, bytes as they came.
    pub user: Vec<u8>,
    /// Authentication method of the answer.
    pub plugin: Option<Vec<u8>>,
    /// Answer to the salt.
    pub answer: Vec<u8>,
    /// The salt it answers.
    pub salt: Salt,
    /// Whether the client understands a switch of method.
    pub can_switch: bool,
    /// Whether to ask again with a new salt, whatever was answered.
    pub ask_again: bool,
}

/// Leads a fresh connection to a session. The OK packet is left to the caller.
pub async fn login(
    channel: &mut Channel,
    shared: &Shared,
    connection_id: u32,
    peer: &Peer,
) -> Result<LoggedIn, LoginError> {
    let salt = auth::new_salt();
    let offered = shared.capabilities(channel.transport());
    let version = shared.instance.version();
    channel.message(|out| put_greeting(out, version, connection_id, &salt, offered, auth::SHA2));
    channel.flush().await?;
    let response = hello(channel, shared, offered).await?;
    let capabilities = response.capabilities;
    let claim = Claim {
        user: response.user.clone(),
        plugin: response.plugin,
        answer: response.answer,
        salt,
        can_switch: capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH),
        ask_again: false,
    };
    let salt = authenticate(channel, shared, claim, peer).await?;
    let mut session = shared.instance.session(SessionInfo {
        connection_id,
        user: text(response.user)?,
        host: peer.host.clone(),
        found_rows: capabilities.contains(CapabilityFlags::CLIENT_FOUND_ROWS),
        interactive: capabilities.contains(CapabilityFlags::CLIENT_INTERACTIVE),
    });
    session.set_client_collation(response.collation)?;
    if let Some(database) = response.database {
        session.use_database(&text(database)?).await?;
    }
    channel.logged_in();
    Ok(LoggedIn { session, capabilities, collation: response.collation, salt })
}

/// Finds out whether a client is who it claims to be. Answers the salt it saw last.
pub async fn authenticate(
    channel: &mut Channel,
    shared: &Shared,
    claim: Claim,
    peer: &Peer,
) -> Result<Salt, LoginError> {
    let user = String::from_utf8_lossy(&claim.user).into_owned();
    let account = shared.instance.account(&user, &peer.host).await?;
    // A name that is no text was changed on the way to the lookup: it is nobody's.
    let account = account.filter(|_| user.as_bytes() == claim.user);
    let login = Login {
        account,
        plugin: claim.plugin.map(|plugin| String::from_utf8_lossy(&plugin).into_owned()),
        answer: claim.answer,
        salt: claim.salt,
        can_switch: claim.can_switch,
        ask_again: claim.ask_again,
        next_salt: auth::new_salt(),
        transport: channel.transport(),
    };
    let mut exchange = Exchange::new(login, shared.logins.clone(), shared.key.clone());
    let mut step = exchange.start();
    loop {
        step = match step {
            Step::Send(payload) => {
                channel.message(|out| out.extend_from_slice(&payload));
                channel.flush().await?;
                exchange.packet(&channel.read_reply().await?)
            }
            Step::Verify(verification) => exchange.verified(run(verification).await),
            Step::Accept(payload) => {
                if let Some(payload) = payload {
                    channel.message(|out| out.extend_from_slice(&payload));
                }
                return Ok(exchange.salt());
            }
            Step::Reject => {
                let used = if exchange.used_password() { "YES" } else { "NO" };
                tracing::info!(user, host = peer.host, "login refused");
                return Err(Error::access_denied(user, &peer.host, used).into());
            }
            Step::Unsupported => return Err(Error::auth_mode_not_supported().into()),
        };
    }
}

/// The client's response to the greeting, inside TLS when it asked for that.
async fn hello(
    channel: &mut Channel,
    shared: &Shared,
    offered: CapabilityFlags,
) -> Result<HandshakeResponse, LoginError> {
    let bad = |_| LoginError::Refused(Error::bad_handshake());
    let packet = channel.read_reply().await?;
    match ClientHello::decode(&packet, offered).map_err(bad)? {
        ClientHello::Response(response) => return Ok(response),
        ClientHello::Tls => {}
    }
    let Some(tls) = shared.tls.clone() else { return Err(Error::bad_handshake().into()) };
    channel.upgrade(tls).await?;
    // What counts is said inside; the wish for TLS said nothing else.
    let packet = channel.read_more().await?;
    match ClientHello::decode(&packet, offered).map_err(bad)? {
        ClientHello::Response(response) => Ok(response),
        ClientHello::Tls => Err(Error::bad_handshake().into()),
    }
}

/// Runs the slow part of a login beside the worker, whose other connections go on meanwhile.
async fn run(verification: Verification) -> Option<auth::sha2::Digest> {
    match tokio::task::spawn_blocking(|| verification.run()).await {
        Ok(digest) => digest,
        Err(error) => {
            tracing::error!(%error, "a login could not be verified");
            None
        }
    }
}

/// Text of a client, which must be UTF-8.
pub fn text(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| invalid_text(error.as_bytes()))
}

/// Error 1300 for bytes that are no UTF-8; shows the first of them.
pub fn invalid_text(bytes: &[u8]) -> Error {
    /// Bytes shown.
    const SHOWN: usize = 6;
    let valid = std::str::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
    let bad = bytes[valid..].iter().take(SHOWN);
    Error::invalid_text("utf8mb4", bad.map(|byte| format!("\\x{byte:02X}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_text_shows_the_first_bad_bytes() {
        let error = invalid_text(b"SELECT '\xff\xfe'");
        assert_eq!(error.code, 1300);
        assert_eq!(error.message, r"Invalid utf8mb4 character string: '\xFF\xFE\x27'");
    }
}
