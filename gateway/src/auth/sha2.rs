//! caching_sha2_password: `SHA256(pw) XOR SHA256(SHA256(SHA256(pw)), salt)`.
//!
//! To check that answer one needs `SHA256(SHA256(pw))`, the *digest*, which is kept in memory only
//! (`cache`). The account holds a slow hash; whoever logs in first after a start must send the
//! password itself, by a protected way.

use super::{sha_crypt, xor};
use crate::codec::handshake::Salt;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};

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
/// Rounds are stored in thousands.
const ROUNDS_UNIT: u32 = 1000;
/// Most rounds that an account may demand; MySQL's own limit.
const ROUNDS_MAX: u32 = 0xfff * ROUNDS_UNIT;
/// Bytes of the salt in a stored hash.
const STORED_SALT_BYTES: usize = 20;
/// A stored hash that no password gives; checking against it costs what a real check costs.
const NOBODY: &[u8] = b"$A$005$nobody has this saltnobody has this hash, it only takes timeeee";

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

/// Whether this is the password behind `stored` (`$A$005$`, 20 bytes of salt, 43 characters). Takes
/// milliseconds; `None` stands for an account that does not exist and takes as long.
pub fn verify_password(password: &[u8], stored: Option<&[u8]>) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    match stored.and_then(parse_stored) {
        Some(stored) => stored.matches(password),
        None => {
            let matched = parse_stored(NOBODY).is_some_and(|nobody| nobody.matches(password));
            std::hint::black_box(matched);
            false
        }
    }
}

/// A stored hash, taken apart.
#[derive(Debug)]
struct Stored<'a> {
    rounds: u32,
    salt: &'a [u8],
    hash: &'a [u8],
}

impl Stored<'_> {
    fn matches(&self, password: &[u8]) -> bool {
        let hash = sha_crypt::sha256_crypt(password, self.salt, self.rounds);
        verify_slices_are_equal(&hash, self.hash).is_ok()
    }
}

/// Takes `$A$` rounds `$` salt hash apart. Rounds are three hexadecimal digits.
fn parse_stored(stored: &[u8]) -> Option<Stored<'_>> {
    let rest = stored.strip_prefix(b"$A$")?;
    let (rounds, rest) = rest.split_at_checked(3)?;
    let rounds = u32::from_str_radix(std::str::from_utf8(rounds).ok()?, 16).ok()?;
    let (salt, hash) = rest.strip_prefix(b"$")?.split_at_checked(STORED_SALT_BYTES)?;
    let rounds = rounds.checked_mul(ROUNDS_UNIT)?;
    let usable = (1..=ROUNDS_MAX).contains(&rounds) && hash.len() == sha_crypt::HASH_CHARACTERS;
    usable.then_some(Stored { rounds, salt, hash })
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
        let mut stored = b"$A$005$".to_vec();
        stored.extend_from_slice(sha_crypt::tests::MYSQL_SALT);
        stored.extend_from_slice(sha_crypt::tests::MYSQL_HASH);
        assert!(verify_password(b"hashcat", Some(&stored)));
        assert!(!verify_password(b"Hashcat", Some(&stored)));
    }

    #[test]
    fn nobody_has_a_hash_that_is_really_computed() {
        assert!(parse_stored(NOBODY).is_some());
        assert!(!verify_password(b"", None));
        assert!(!verify_password(b"x", Some(b"$A$005$broken")));
        assert!(!verify_password(&[b'x'; PASSWORD_BYTES_MAX + 1], None));
    }
}
