//! COM_CHANGE_USER: a login on a connection that lives.
//!
//! The whole authentication runs again, with a new salt wherever the client can be asked for a new
//! answer. Whoever fails is disconnected: the old session is not given back.

use super::{Connection, Disconnect};
use crate::codec::handshake::ChangeUser;
use crate::login::{Claim, LoginError, authenticate, text};
use mysql_common::constants::CapabilityFlags;

impl Connection {
    pub(super) async fn change_user(&mut self, change: ChangeUser) -> Result<(), Disconnect> {
        let can_switch = self.capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH);
        let claim = Claim {
            user: change.user.clone(),
            plugin: change.plugin.clone(),
            answer: change.answer.clone(),
            salt: self.salt,
            can_switch,
            ask_again: can_switch,
        };
        let authenticated = authenticate(&mut self.channel, &self.shared, claim, &self.peer);
        self.salt = authenticated.await.map_err(|error| match error {
            LoginError::Refused(error) => Disconnect::Refused(error),
            LoginError::Channel(error) => Disconnect::Channel(error),
        })?;
        self.statements.clear();
        self.become_user(change).await.map_err(Disconnect::Refused)?;
        self.ok();
        Ok(())
    }

    /// Gives the session to the new user.
    async fn become_user(&mut self, change: ChangeUser) -> sql::Result<()> {
        let user = text(change.user)?;
        let database = change.database.map(text).transpose()?;
        self.session.change_user(&user, &self.peer.host, database.as_deref()).await?;
        self.collation = change.collation.unwrap_or(self.collation);
        self.session.set_client_collation(self.collation)
    }
}
