//! Digests of passwords that have been proved on this node: what the fast path of
//! caching_sha2_password needs.
//!
//! An entry holds the stored hash it belongs to, so a changed password makes it useless at once.
//! Digests live in memory only and are never shown.

use super::sha2::Digest;
use base::limits::LOGIN_CACHE_MAX;
use parking_lot::Mutex;
use sql::instance::Account;
use std::collections::BTreeMap;
use std::fmt;

/// Digests by account. One per node, shared by its connections.
#[derive(Default)]
pub struct LoginCache {
    /// By user and host of the account.
    entries: Mutex<BTreeMap<(String, String), Entry>>,
}

/// A proved password.
struct Entry {
    /// The stored hash it was proved against.
    authentication_string: Vec<u8>,
    /// `SHA256(SHA256(password))`.
    digest: Digest,
}

impl LoginCache {
    /// The digest of an account's password, when it was proved and has not changed since.
    pub fn digest(&self, account: &Account) -> Option<Digest> {
        let entries = self.entries.lock();
        let entry = entries.get(&key(account))?;
        (entry.authentication_string == account.authentication_string).then_some(entry.digest)
    }

    /// Remembers a proved password. A full cache starts again: its owners prove theirs once more.
    pub fn remember(&self, account: &Account, digest: Digest) {
        let mut entries = self.entries.lock();
        if entries.len() >= LOGIN_CACHE_MAX && !entries.contains_key(&key(account)) {
            entries.clear();
        }
        let authentication_string = account.authentication_string.clone();
        entries.insert(key(account), Entry { authentication_string, digest });
    }
}

impl fmt::Debug for LoginCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginCache({} accounts)", self.entries.lock().len())
    }
}

/// What names an account.
fn key(account: &Account) -> (String, String) {
    (account.user.clone(), account.host.clone())
}
