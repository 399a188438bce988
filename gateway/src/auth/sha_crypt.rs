//! The slow hash of caching_sha2_password: Drepper's SHA-256 crypt with MySQL's salt of 20 bytes.
//!
//! Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512" (2007),
//! <https://www.akkadia.org/drepper/SHA-crypt.txt>; the steps below carry that paper's numbers.

use aws_lc_rs::digest::{Context, SHA256};

/// Characters of a hash.
pub const HASH_CHARACTERS: usize = 43;
/// Bytes of a SHA-256 hash.
const HASH_BYTES: usize = 32;
/// The paper's base 64.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The order in which hash bytes are written, three to four characters.
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

/// The hash of a password, in the paper's base 64.
pub fn sha256_crypt(password: &[u8], salt: &[u8], rounds: u32) -> [u8; HASH_CHARACTERS] {
    // Steps 4 to 8.
    let alternate = sha256(|context| {
        context.update(password);
        context.update(salt);
        context.update(password);
    });
    // Steps 1 to 3 and 9 to 12.
    let mut mixed = sha256(|context| {
        context.update(password);
        context.update(salt);
        context.update(&repeated(&alternate, password.len()));
        let mut bits = password.len();
        while bits > 0 {
            context.update(if bits & 1 == 1 { &alternate[..] } else { password });
            bits >>= 1;
        }
    });
    // Steps 13 to 16.
    let long_password = sha256(|context| {
        for _ in 0..password.len() {
            context.update(password);
        }
    });
    let password_bytes = repeated(&long_password, password.len());
    // Steps 17 to 20.
    let long_salt = sha256(|context| {
        for _ in 0..16 + usize::from(mixed[0]) {
            context.update(salt);
        }
    });
    let salt_bytes = repeated(&long_salt, salt.len());
    // Step 21.
    for round in 0..rounds {
        mixed = sha256(|context| {
            let odd = round % 2 == 1;
            context.update(if odd { &password_bytes } else { &mixed });
            if round % 3 != 0 {
                context.update(&salt_bytes);
            }
            if round % 7 != 0 {
                context.update(&password_bytes);
            }
            context.update(if odd { &mixed } else { &password_bytes });
        });
    }
    to_characters(&mixed)
}

/// Step 22: base 64 in the paper's order.
fn to_characters(hash: &[u8; HASH_BYTES]) -> [u8; HASH_CHARACTERS] {
    let mut out = [0; HASH_CHARACTERS];
    let mut at = 0;
    let mut put = |bits: u32, characters: usize| {
        for i in 0..characters {
            out[at] = DIGITS[(bits >> (6 * i) & 63) as usize];
            at += 1;
        }
    };
    for [a, b, c] in ORDER {
        put(u32::from(hash[a]) << 16 | u32::from(hash[b]) << 8 | u32::from(hash[c]), 4);
    }
    put(u32::from(hash[31]) << 8 | u32::from(hash[30]), 3);
    out
}

/// `hash` again and again, `length` bytes of it.
fn repeated(hash: &[u8; HASH_BYTES], length: usize) -> Vec<u8> {
    hash.iter().copied().cycle().take(length).collect()
}

/// SHA-256 of what `write` gives.
fn sha256(write: impl FnOnce(&mut Context)) -> [u8; HASH_BYTES] {
    let mut context = Context::new(&SHA256);
    write(&mut context);
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Salt of a hash that MySQL made for the password `hashcat` (published example).
    pub(crate) const MYSQL_SALT: &[u8] =
        b"\xF9\xCC\x98\xCE\x08\x89\x29\x24\xF5\x0A\x21\x3B\x6B\xC5\x71\xA2\xC1\x17\x78\xC5";
    /// Its hash.
    pub(crate) const MYSQL_HASH: &[u8] = b"bTy95Y99eAME1dwEkHOA1ndHGBWz.1bxSSRkuTXFGV/";

    #[test]
    fn vectors_of_the_paper() {
        let hash = sha256_crypt(b"Hello world!", b"saltstring", 5000);
        assert_eq!(hash.as_slice(), b"5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
        let text = b"a very much longer text to encrypt.  This one even stretches over morethan \
                     one line.";
        let hash = sha256_crypt(text, b"anotherlongsalts", 1400);
        assert_eq!(hash.as_slice(), b"Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1");
    }

    #[test]
    fn vector_of_mysql() {
        assert_eq!(&sha256_crypt(b"hashcat", MYSQL_SALT, 5000)[..], MYSQL_HASH);
    }
}
