//! Authentication: who a client is. No I/O.
//!
//! Two methods: `caching_sha2_password` (the default) and `mysql_native_password`. The account decides;
//! a client that began with the other one is asked to switch.
//!
//! Reading order: `exchange` (the conversation), `native` and `sha2` (the arithmetic of each method),
//! `cache` (what makes later logins fast).
//!
//! Invariants:
//! 1. An unknown user and a wrong password get the same packets, the same error and the same work.
//! 2. A password in clear is only taken inside TLS or from a Unix socket; on plain TCP it is encrypted
//!    with the node's RSA key and bound to the connection's salt.
//! 3. Comparisons of secrets take constant time.
//!
//! Not here: accounts and the slow hash that is stored (`sql::instance`), the RSA key (`secret`).

pub mod cache;
pub mod exchange;
pub mod native;
pub mod sha2;

pub use cache::LoginCache;
pub use exchange::{Exchange, Login, Step, Transport, Verification};

use crate::codec::handshake::Salt;
use base::rng::fill_secret;

/// Name of the default method.
pub const SHA2: &str = "caching_sha2_password";
/// Name of the old method.
pub const NATIVE: &str = "mysql_native_password";

/// A new salt: random, without NUL and `$`, which end or split texts in clients.
pub fn new_salt() -> Salt {
    let mut salt = Salt::default();
    fill_secret(&mut salt);
    for byte in &mut salt {
        *byte &= 0x7f;
        if *byte == 0 || *byte == b'$' {
            *byte += 1;
        }
    }
    salt
}

/// `a` XOR `b`, byte by byte.
fn xor<const N: usize>(a: [u8; N], b: &[u8; N]) -> [u8; N] {
    let mut mixed = a;
    for (byte, other) in mixed.iter_mut().zip(b) {
        *byte ^= other;
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salt_has_no_forbidden_byte_and_differs() {
        let salts: Vec<Salt> = (0..200).map(|_| new_salt()).collect();
        assert!(salts.iter().flatten().all(|byte| *byte != 0 && *byte != b'$' && *byte < 0x80));
        assert_ne!(salts[0], salts[1]);
    }
}
