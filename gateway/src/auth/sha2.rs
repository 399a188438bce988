//! caching_sha2_password: `SHA256(pw) XOR SHA256(SHA256(SHA256(pw)), salt)`.
//!
//! To check that answer one needs `SHA256(SHA256(pw))`, the *digest*, which is kept in memory only
//! (`cache`). The account holds a slow hash (`sql::instance::Account::accepts`); whoever logs in first after a start must send the
//! password itself, by a protected way.

use super::xor;
use crate::codec::handshake::Salt;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};
use sql::instance::Account;

/// Bytes of an answer and of a digest.
pub const DIGEST_BYTES: usize = 32;
/// The double hash of a password.
pub type Digest = [u8; DIGEST_BYTES];

/// Client asks for the public key.
pub const REQUEST_PUBLIC_KEY: u8 = 2;
/// Server says that the answer was right.
pub const FAST_ACCEPTED: u8 = 3;
/// Server asks for the password itself.
pub const FULL_PASSWORD: u8 = 4;

/// Longest password, bytes. The slow hash takes time and memory by its length.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Whether an answer proves the password of this digest.
pub fn verify_answer(answer: &[u8], salt: &Salt, digest: &Digest) -> bool {
    let Ok(answer) = Digest::try_from(answer) else { return false };
    let once = xor(answer, &sha256(&[digest, salt]));
    verify_slices_are_equal(&sha256(&[&once]), digest).is_ok()
}

/// The digest of a password.
pub fn digest_of(password: &[u8]) -> Digest {
    sha256(&[&sha256(&[password])])
}

/// Whether this is the account's password. Takes milliseconds; an account that does not exist, or has
/// no password, takes as long.
pub fn verify_password(password: &[u8], account: Option<&Account>) -> bool {
    let Ok(password) = str::from_utf8(password) else { return false };
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    match account.filter(|account| !account.authentication_string.is_empty()) {
        Some(account) => account.accepts(password),
        None => {
            std::hint::black_box(nobody().accepts(password));
            false
        }
    }
}

/// An account whose password nobody can know; checking against it costs what a real check costs.
fn nobody() -> Account {
    const STORED: &[u8] = b"$A$005$nobody has this saltnobody has this hash, it only takes timeeee";
    Account {
        user: String::new(),
        host: String::new(),
        plugin: super::SHA2.to_string(),
        authentication_string: STORED.to_vec(),
    }
}

/// SHA-256 of the concatenation.
fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = Digest::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;

    const SALT: Salt = *b"abcdefghijklmnopqrst";

    #[test]
    fn answer_of_a_client_is_checked() {
        let digest = digest_of(b"secret");
        let answer = scramble_sha256(&SALT, b"secret").unwrap();
        assert!(verify_answer(&answer, &SALT, &digest));
        assert!(!verify_answer(&answer, b"ABCDEFGHIJKLMNOPQRST", &digest));
        let wrong = scramble_sha256(&SALT, b"Secret").unwrap();
        assert!(!verify_answer(&wrong, &SALT, &digest));
        assert!(!verify_answer(b"short", &SALT, &digest));
    }

    #[test]
    fn stored_hash_of_mysql_is_checked() {
        // Made by MySQL for the password `hashcat`; a published example.
        let mut stored = b"$A$005$".to_vec();
        stored.extend_from_slice(
            b"\xF9\xCC\x98\xCE\x08\x89\x29\x24\xF5\x0A\x21\x3B\x6B\xC5\x71\xA2\xC1\x17\x78\xC5",
        );
        stored.extend_from_slice(b"bTy95Y99eAME1dwEkHOA1ndHGBWz.1bxSSRkuTXFGV/");
        let account = Account { authentication_string: stored, ..nobody() };
        assert!(verify_password(b"hashcat", Some(&account)));
        assert!(!verify_password(b"Hashcat", Some(&account)));
    }

    #[test]
    fn nobody_and_an_empty_account_have_no_password() {
        let empty = Account { authentication_string: Vec::new(), ..nobody() };
        for password in [&b""[..], b"x", b"\xff", &[b'x'; PASSWORD_BYTES_MAX + 1]] {
            assert!(!verify_password(password, None));
            assert!(!verify_password(password, Some(&empty)));
        }
        const PREFIX_SALT_AND_HASH: usize = 7 + 20 + 43;
        assert_eq!(nobody().authentication_string.len(), PREFIX_SALT_AND_HASH);
    }
}
