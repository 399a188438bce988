//! What is stored of a password.
//!
//! `caching_sha2_password` stores `$A$005$`, 20 bytes of salt and 43 characters: the SHA-256 crypt of
//! Ulrich Drepper (<https://www.akkadia.org/drepper/SHA-crypt.txt>) with 5,000 rounds, as MySQL does, so
//! accounts can be carried over. `mysql_native_password` stores `*` and SHA1(SHA1(password)) in
//! hexadecimal. An empty password is stored as nothing.
//!
//! Not here: the exchange with a client (`gateway`).

use aws_lc_rs::digest::{self, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use base::rng::fill_secret;

/// Bytes of salt.
const SALT_BYTES: usize = 20;
/// Rounds; `005` in the stored text is thousands.
const ROUNDS: usize = 5000;
/// Before salt and hash.
const PREFIX: &[u8] = b"$A$005$";
/// Characters of the hash.
const HASH_CHARS: usize = 43;
/// Digits of the crypt's own base 64.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The order in which the crypt writes its hash.
const ORDER: [[usize; 3]; 10] = [
    [0, 10, 20],
    [21, 1, 11],
    [12, 22, 2],
    [3, 13, 23],
    [24, 4, 14],
    [15, 25, 5],
    [6, 16, 26],
    [27, 7, 17],
    [18, 28, 8],
    [9, 19, 29],
];

/// A salt without NUL and `$`, which would end it early.
fn new_salt() -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    fill_secret(&mut salt);
    for byte in &mut salt {
        *byte &= 0x7f;
        if *byte == 0 || *byte == b'$' {
            *byte += 1;
        }
    }
    salt
}

/// What `caching_sha2_password` stores.
pub(crate) fn sha2(password: &str) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    sha2_with_salt(password.as_bytes(), &new_salt())
}

fn sha2_with_salt(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut stored = PREFIX.to_vec();
    stored.extend_from_slice(salt);
    stored.extend_from_slice(&crypt(password, salt, ROUNDS));
    stored
}

/// What `mysql_native_password` stores.
pub(crate) fn native(password: &str) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let twice = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, once.as_ref());
    let mut stored = String::from("*");
    for byte in twice.as_ref() {
        stored.push_str(&format!("{byte:02X}"));
    }
    stored.into_bytes()
}

/// Whether a password is the one that a plugin has stored. Takes as long for a wrong one.
pub(crate) fn is_password(plugin: &str, stored: &[u8], password: &str) -> bool {
    if stored.is_empty() || password.is_empty() {
        return stored.is_empty() && password.is_empty();
    }
    let computed = match plugin {
        "caching_sha2_password" => {
            let Some(salt) = stored.get(PREFIX.len()..PREFIX.len() + SALT_BYTES) else {
                return false;
            };
            sha2_with_salt(password.as_bytes(), salt)
        }
        _ => native(password),
    };
    aws_lc_rs::constant_time::verify_slices_are_equal(&computed, stored).is_ok()
}

/// Whether a plugin can have stored this (IDENTIFIED … AS).
pub(crate) fn is_stored_form(plugin: &str, stored: &[u8]) -> bool {
    if stored.is_empty() {
        return true;
    }
    match plugin {
        "caching_sha2_password" => {
            stored.starts_with(PREFIX) && stored.len() == PREFIX.len() + SALT_BYTES + HASH_CHARS
        }
        _ => {
            stored.len() == 41 && stored[0] == b'*' && stored[1..].iter().all(u8::is_ascii_hexdigit)
        }
    }
}

/// SHA-256 crypt. The numbers in comments are the steps of Drepper's description.
fn crypt(password: &[u8], salt: &[u8], rounds: usize) -> Vec<u8> {
    // 4–8: digest B.
    let mut b = Context::new(&SHA256);
    b.update(password);
    b.update(salt);
    b.update(password);
    let b = b.finish();
    let b = b.as_ref();
    // 1–3, 9–12: digest A.
    let mut a = Context::new(&SHA256);
    a.update(password);
    a.update(salt);
    a.update(&repeated(b, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        a.update(if bits & 1 == 1 { b } else { password });
        bits >>= 1;
    }
    let mut result = a.finish().as_ref().to_vec();
    // 13–16: sequence P.
    let mut dp = Context::new(&SHA256);
    for _ in 0..password.len() {
        dp.update(password);
    }
    let p = repeated(dp.finish().as_ref(), password.len());
    // 17–20: sequence S.
    let mut ds = Context::new(&SHA256);
    for _ in 0..16 + usize::from(result[0]) {
        ds.update(salt);
    }
    let s = repeated(ds.finish().as_ref(), salt.len());
    // 21: the rounds.
    for round in 0..rounds {
        let mut c = Context::new(&SHA256);
        c.update(if round % 2 == 1 { &p } else { &result });
        if round % 3 != 0 {
            c.update(&s);
        }
        if round % 7 != 0 {
            c.update(&p);
        }
        c.update(if round % 2 == 1 { &result } else { &p });
        result = c.finish().as_ref().to_vec();
    }
    // 22: base 64 in the crypt's own order.
    let mut out = Vec::with_capacity(HASH_CHARS);
    let mut push = |high: u8, middle: u8, low: u8, count: usize| {
        let mut bits = u32::from(high) << 16 | u32::from(middle) << 8 | u32::from(low);
        for _ in 0..count {
            out.push(DIGITS[(bits & 63) as usize]);
            bits >>= 6;
        }
    };
    for [high, middle, low] in ORDER {
        push(result[high], result[middle], result[low], 4);
    }
    push(0, result[31], result[30], 3);
    out
}

fn repeated(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypt_gives_the_published_answer() {
        // What `openssl passwd -5 -salt saltstring` prints.
        let hash = crypt(b"Hello world!", b"saltstring", 5000);
        assert_eq!(hash, b"5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
    }

    #[test]
    fn stored_forms_check_their_password() {
        for (plugin, stored) in
            [("caching_sha2_password", sha2("s3cret")), ("mysql_native_password", native("s3cret"))]
        {
            assert!(is_stored_form(plugin, &stored));
            assert!(is_password(plugin, &stored, "s3cret"));
            assert!(!is_password(plugin, &stored, "S3cret"));
        }
        assert!(is_password("caching_sha2_password", b"", ""));
    }

    #[test]
    fn native_hash_is_mysqls() {
        assert_eq!(native("password"), b"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
    }
}
