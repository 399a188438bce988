//! MySQL clients: from a socket to `sql::session::Session` and back.
//!
//! ```text
//! listener ── one accept thread, one worker runtime per core; a connection never changes its worker
//!    │
//! login ───── greeting, TLS, authentication (`auth`), default database
//!    │
//! connection ─ command loop ──> sql::session::Session
//!    │
//! channel ─── one read and one write buffer over the socket (`stream`)
//!    │
//! packet, codec ── bytes only, no I/O: framing, commands, results
//! ```
//!
//! Reading order: `packet`, `codec`, `auth`, `channel`, `login`, `connection`, `listener`.
//!
//! Invariants:
//! 1. Bytes of a client never panic anything: whatever cannot be read is an error that closes that
//!    connection only.
//! 2. Nothing of SQL is understood here; no text is matched.
//! 3. Every OK and EOF carries the session's real status flags and warning count.
//!
//! Not here: what statements mean (`sql`), where accounts are kept (`sql::instance`).

pub mod auth;
pub mod channel;
pub mod codec;
pub mod connection;
pub mod control;
pub mod listener;
pub mod login;
pub mod packet;
pub mod secret;
pub mod stream;
pub mod tls;

pub use listener::{Gateway, GatewayConfig, GatewayHandle};
pub use tls::TlsSource;
