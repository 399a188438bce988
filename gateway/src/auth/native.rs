//! mysql_native_password: `SHA1(pw) XOR SHA1(salt, SHA1(SHA1(pw)))`.
//!
//! The account holds `SHA1(SHA1(pw))`, which is enough to check an answer and not to make one.

use super::xor;
use crate::codec::handshake::Salt;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

/// Bytes of an answer and of what the account holds.
pub const HASH_BYTES: usize = 20;

/// Whether an answer proves the password whose double hash is `stored`.
pub fn verify(answer: &[u8], salt: &Salt, stored: &[u8; HASH_BYTES]) -> bool {
    let Ok(answer) = <[u8; HASH_BYTES]>::try_from(answer) else { return false };
    let once = xor(answer, &sha1(&[salt, stored]));
    verify_slices_are_equal(&sha1(&[&once]), stored).is_ok()
}

/// Reads what an account holds: `*` and 40 hexadecimal digits, or the 20 bytes themselves.
pub fn parse_stored(stored: &[u8]) -> Option<[u8; HASH_BYTES]> {
    let Some(digits) = stored.strip_prefix(b"*") else { return stored.try_into().ok() };
    if digits.len() != 2 * HASH_BYTES {
        return stored.try_into().ok();
    }
    let mut hash = [0; HASH_BYTES];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| (digit as char).to_digit(16));
        *byte = (high? * 16 + low?) as u8;
    }
    Some(hash)
}

/// SHA-1 of the concatenation.
fn sha1(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::auth::plugins::mysql_native_password::scramble_native;

    const SALT: Salt = *b"abcdefghijklmnopqrst";
    /// PASSWORD('secret') of MySQL 5.7.
    const STORED: &[u8] = b"*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

    #[test]
    fn answer_of_a_client_is_checked() {
        let stored = parse_stored(STORED).unwrap();
        let answer = scramble_native(&SALT, b"secret").unwrap();
        assert!(verify(&answer, &SALT, &stored));
        assert!(!verify(&answer, b"ABCDEFGHIJKLMNOPQRST", &stored));
        let wrong = scramble_native(&SALT, b"Secret").unwrap();
        assert!(!verify(&wrong, &SALT, &stored));
        assert!(!verify(b"short", &SALT, &stored));
    }

    #[test]
    fn broken_hash_of_an_account_is_no_hash() {
        assert_eq!(parse_stored(b"*14E6"), None);
        assert_eq!(parse_stored(b"*XXE65567ABDB5135D0CFD9A70B3032C179A49EE7"), None);
        assert_eq!(parse_stored(&[b'*'; 20]), Some([b'*'; 20]));
    }
}
