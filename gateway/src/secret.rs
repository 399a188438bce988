//! The node's RSA key for logins, and how secrets are kept in the data folder.
//!
//! A client on plain TCP that must send its password asks for the public key, mixes password and NUL
//! with the connection's salt and encrypts with RSA-OAEP (SHA-1, as the protocol demands). The key says
//! nothing about data; a new one only means that clients with a copy of the old one fetch it again.
//!
//! Files of secrets are readable by their owner alone and appear under their name only when complete.

use crate::codec::handshake::Salt;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// File of the RSA key inside the folder of secrets.
const KEY_FILE: &str = "login-rsa.pkcs8";
/// Characters in a line of PEM.
const PEM_LINE: usize = 64;

/// The RSA key that passwords on plain TCP travel under.
pub struct LoginKey {
    /// Opens what clients seal.
    private: OaepPrivateDecryptingKey,
    /// What clients seal with.
    public_pem: String,
}

impl LoginKey {
    /// The key kept in `folder`, made at the first start; without a folder, a key for this process.
    pub fn open_or_create(folder: Option<&Path>) -> io::Result<LoginKey> {
        let Some(folder) = folder else { return LoginKey::from_private(generate()?) };
        let path = folder.join(KEY_FILE);
        match fs::read(&path) {
            Ok(der) => {
                let private = PrivateDecryptingKey::from_pkcs8(&der).map_err(|error| {
                    let what = format!("{} holds no RSA key: {error}", path.display());
                    io::Error::new(io::ErrorKind::InvalidData, what)
                })?;
                LoginKey::from_private(private)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let private = generate()?;
                let der: Pkcs8V1Der<'_> = private.as_der().map_err(io::Error::other)?;
                write_secret(&path, der.as_ref())?;
                LoginKey::from_private(private)
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }

    /// The public key as clients take it.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The password that a client sealed for this salt, without its NUL.
    pub fn open(&self, sealed: &[u8], salt: &Salt) -> Option<Vec<u8>> {
        if sealed.len() != self.private.key_size_bytes() {
            return None;
        }
        let mut buffer = vec![0; self.private.min_output_size()];
        let opened = self.private.decrypt(&OAEP_SHA1_MGF1SHA1, sealed, &mut buffer, None).ok()?;
        let mixed = opened.iter().zip(salt.iter().cycle());
        let password: Vec<u8> = mixed.map(|(byte, salt)| byte ^ salt).collect();
        Some(password.strip_suffix(&[0])?.to_vec())
    }

    fn from_private(private: PrivateDecryptingKey) -> io::Result<LoginKey> {
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().map_err(io::Error::other)?;
        let public_pem = pem("PUBLIC KEY", der.as_ref());
        let private = OaepPrivateDecryptingKey::new(private).map_err(io::Error::other)?;
        Ok(LoginKey { private, public_pem })
    }
}

impl std::fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginKey")
    }
}

/// Writes a file that only its owner reads; it has its name only once it is complete and synced.
pub fn write_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    let whole = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let unfinished = path.with_extension("new");
        let _ = fs::remove_file(&unfinished);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    whole().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// A new RSA key of 2048 bits.
fn generate() -> io::Result<PrivateDecryptingKey> {
    PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(io::Error::other)
}

/// PEM text of some DER.
fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (position, character) in base64(der).chars().enumerate() {
        if position > 0 && position % PEM_LINE == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

/// Base 64 of RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= group.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = *b"abcdefghijklmnopqrst";

    fn sealed_by_a_client(key: &LoginKey, password: &[u8], salt: &Salt) -> Vec<u8> {
        let mut mixed = password.to_vec();
        mixed.push(0);
        mixed.iter_mut().zip(salt.iter().cycle()).for_each(|(byte, salt)| *byte ^= salt);
        mysql_common::crypto::encrypt(&mixed, key.public_pem().as_bytes()).unwrap()
    }

    #[test]
    fn base64_of_rfc_4648() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let encoded = texts.map(|text| base64(text.as_bytes()));
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn password_sealed_by_a_client_is_opened() {
        let key = LoginKey::open_or_create(None).unwrap();
        let sealed = sealed_by_a_client(&key, b"a password that is longer than the salt", &SALT);
        let opened = key.open(&sealed, &SALT);
        assert_eq!(opened.as_deref(), Some(&b"a password that is longer than the salt"[..]));
        assert_eq!(key.open(&sealed[1..], &SALT), None);
        assert_eq!(key.open(&[0; 256], &SALT), None);
    }

    #[test]
    fn key_stays_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = LoginKey::open_or_create(Some(folder.path())).unwrap();
        let second = LoginKey::open_or_create(Some(folder.path())).unwrap();
        assert_eq!(first.public_pem(), second.public_pem());
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn damaged_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join(KEY_FILE), b"nonsense").unwrap();
        let error = LoginKey::open_or_create(Some(folder.path())).unwrap_err();
        assert!(error.to_string().contains(KEY_FILE), "{error}");
    }
}
