//! The conversation of a login, as a state machine without I/O.
//!
//! ```text
//!              ┌─ other method: Send(AuthSwitchRequest) ─> switched ─┐
//! start ───────┤                                                     ├─> answer
//!              └─ same method ───────────────────────────────────────┘
//! answer ──[native]──────────────> Accept | Reject
//! answer ──[sha2, digest cached]─> Accept (fast path)
//! answer ──[sha2]── Send(full password) ─> password
//! password ──[TLS, socket]──────────────────> Verify ─> Accept | Reject
//! password ──[plain: key wanted]── Send(key) ─> sealed ─> Verify ─> Accept | Reject
//! ```
//!
//! The caller sends what `Step::Send` holds and brings the client's next packet to
//! [`Exchange::packet`]; it runs `Step::Verify` where milliseconds of work hurt nobody and brings the
//! result to [`Exchange::verified`].
//!
//! A user that does not exist goes the way of an account whose digest is not cached, to the end.

use super::cache::LoginCache;
use super::sha2::{self, Digest, FAST_ACCEPTED, FULL_PASSWORD, REQUEST_PUBLIC_KEY};
use super::{NATIVE, SHA2, native};
use crate::codec::handshake::{Salt, put_auth_more, put_auth_switch};
use crate::secret::LoginKey;
use sql::instance::Account;
use std::sync::Arc;

/// How bytes travel between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP inside TLS.
    Tls,
    /// A Unix socket: the kernel is between them.
    Socket,
    /// TCP that anyone on the way can read.
    Plain,
}

/// A client that wants to log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account its name and host lead to; `None` when there is none.
    pub account: Option<Account>,
    /// Method of `answer`; `None` from clients that know no other than the native one.
    pub plugin: Option<String>,
    /// Its answer to `salt`.
    pub answer: Vec<u8>,
    /// The salt it was given.
    pub salt: Salt,
    /// Whether the client understands a switch of method (PLUGIN_AUTH).
    pub can_switch: bool,
    /// Whether `answer` may belong to another salt, so that it must be asked again (CHANGE_USER).
    pub ask_again: bool,
    /// The salt of a switch.
    pub next_salt: Salt,
    /// How bytes travel.
    pub transport: Transport,
}

/// What the caller does next.
#[derive(Debug)]
pub enum Step {
    /// Send this payload, wait for a packet, give it to [`Exchange::packet`].
    Send(Vec<u8>),
    /// Run this where it may take milliseconds, give the result to [`Exchange::verified`].
    Verify(Verification),
    /// The client is who it says. Send this payload, if any, then OK.
    Accept(Option<Vec<u8>>),
    /// Error 1045, then close.
    Reject,
    /// Error 1251, then close: the client cannot do what the account demands.
    Unsupported,
}

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The answer to a salt is due.
    Answer,
    /// The password, or the wish for the public key, is due.
    Password,
    /// The password under the public key is due.
    Sealed,
    /// The caller is verifying.
    Verifying,
    /// Decided.
    Done,
}

/// One login.
#[derive(Debug)]
pub struct Exchange {
    /// Who wants in.
    login: Login,
    /// Where it stands.
    state: State,
    /// Whether the client sent anything that a password could have made.
    used_password: bool,
    /// Proved passwords of this node.
    cache: Arc<LoginCache>,
    /// The node's key.
    key: Arc<LoginKey>,
}

impl Exchange {
    /// A login that has not begun.
    pub fn new(login: Login, cache: Arc<LoginCache>, key: Arc<LoginKey>) -> Exchange {
        Exchange { login, state: State::Answer, used_password: false, cache, key }
    }

    /// Judges the answer that came with the login.
    pub fn start(&mut self) -> Step {
        self.used_password = !is_empty(&self.login.answer);
        let method = self.method();
        let plugin = self.login.plugin.as_deref().unwrap_or(NATIVE);
        if self.login.can_switch && (plugin != method || self.login.ask_again) {
            self.login.salt = self.login.next_salt;
            let mut payload = Vec::new();
            put_auth_switch(&mut payload, method, &self.login.salt);
            return Step::Send(payload);
        }
        // No password is the same in every method: probes of load balancers log in like that.
        if plugin != method && self.used_password {
            self.state = State::Done;
            return Step::Unsupported;
        }
        let answer = std::mem::take(&mut self.login.answer);
        self.answer(&answer)
    }

    /// Judges the client's next packet.
    pub fn packet(&mut self, packet: &[u8]) -> Step {
        match self.state {
            State::Answer => {
                self.used_password = !is_empty(packet);
                self.answer(packet)
            }
            State::Password => self.password(packet),
            State::Sealed => self.verify(Proof::Sealed(packet.to_vec())),
            State::Verifying | State::Done => self.reject(),
        }
    }

    /// Ends the login with the result of a verification.
    pub fn verified(&mut self, digest: Option<Digest>) -> Step {
        match (digest, &self.login.account, self.state) {
            (Some(digest), Some(account), State::Verifying) => {
                self.cache.remember(account, digest);
                self.state = State::Done;
                Step::Accept(None)
            }
            _ => self.reject(),
        }
    }

    /// Whether the client used a password, for the text of error 1045.
    pub fn used_password(&self) -> bool {
        self.used_password
    }

    /// The salt that the client saw last: what a later login on this connection is checked with.
    pub fn salt(&self) -> Salt {
        self.login.salt
    }

    /// The method that the account demands.
    fn method(&self) -> &'static str {
        match &self.login.account {
            Some(account) if account.plugin == NATIVE => NATIVE,
            _ => SHA2,
        }
    }

    /// Judges an answer to the salt, made by the account's method.
    fn answer(&mut self, answer: &[u8]) -> Step {
        let account = self.login.account.as_ref();
        let stored = account.map(|account| account.authentication_string.as_slice());
        if is_empty(answer) {
            return if stored.is_some_and(<[u8]>::is_empty) {
                self.accept(None)
            } else {
                self.reject()
            };
        }
        if self.method() == NATIVE {
            let stored = stored.and_then(native::parse_stored);
            let proved =
                stored.is_some_and(|stored| native::verify(answer, &self.login.salt, &stored));
            return if proved { self.accept(None) } else { self.reject() };
        }
        let digest = account.and_then(|account| self.cache.digest(account));
        if digest.is_some_and(|digest| sha2::verify_answer(answer, &self.login.salt, &digest)) {
            return self.accept(Some(more(&[FAST_ACCEPTED])));
        }
        self.state = State::Password;
        Step::Send(more(&[FULL_PASSWORD]))
    }

    /// Takes the password, or the wish for the public key.
    fn password(&mut self, packet: &[u8]) -> Step {
        if packet == [REQUEST_PUBLIC_KEY] {
            self.state = State::Sealed;
            return Step::Send(more(self.key.public_pem().as_bytes()));
        }
        match self.login.transport {
            // A client that was given the key beforehand seals at once.
            Transport::Plain => self.verify(Proof::Sealed(packet.to_vec())),
            Transport::Tls | Transport::Socket => match packet.strip_suffix(&[0]) {
                Some(password) => self.verify(Proof::Clear(password.to_vec())),
                None => self.reject(),
            },
        }
    }

    /// Hands the slow part to the caller.
    fn verify(&mut self, proof: Proof) -> Step {
        self.state = State::Verifying;
        Step::Verify(Verification {
            proof,
            account: self.login.account.clone(),
            salt: self.login.salt,
            key: self.key.clone(),
        })
    }

    fn accept(&mut self, payload: Option<Vec<u8>>) -> Step {
        self.state = State::Done;
        Step::Accept(payload)
    }

    fn reject(&mut self) -> Step {
        self.state = State::Done;
        Step::Reject
    }
}

/// A password on its way to being checked.
enum Proof {
    /// As typed.
    Clear(Vec<u8>),
    /// Mixed with the salt, under the node's RSA key.
    Sealed(Vec<u8>),
}

/// The slow part of a login: milliseconds of hashing.
pub struct Verification {
    /// What the client sent.
    proof: Proof,
    /// Whose it should be; `None` when there is no such account.
    account: Option<Account>,
    /// The connection's salt.
    salt: Salt,
    /// The node's key.
    key: Arc<LoginKey>,
}

impl Verification {
    /// The password's digest when it is the right one.
    pub fn run(self) -> Option<Digest> {
        let password = match self.proof {
            Proof::Clear(password) => password,
            Proof::Sealed(sealed) => self.key.open(&sealed, &self.salt)?,
        };
        let right = sha2::verify_password(&password, self.account.as_ref());
        right.then(|| sha2::digest_of(&password))
    }
}

impl std::fmt::Debug for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verification") // A password is inside.
    }
}

/// Whether an answer says "no password": nothing, or a single NUL.
fn is_empty(answer: &[u8]) -> bool {
    matches!(answer, [] | [0])
}

/// An AuthMoreData payload.
fn more(data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    put_auth_more(&mut payload, data);
    payload
}

#[cfg(test)]
mod tests;
