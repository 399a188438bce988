//! The certificate that clients see, and TLS's settings: versions 1.2 and 1.3.
//!
//! Without certificate files of their own, nodes make one at the first start and keep it in the folder
//! of secrets. It signs itself, so it hides traffic and proves an identity only to clients that were
//! given its file as trusted.

use crate::secret::write_secret;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// File of the self-made certificate inside the folder of secrets.
pub const CERTIFICATE_FILE: &str = "gateway-certificate.pem";
/// File of its key.
pub const KEY_FILE: &str = "gateway-key.pem";

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSource {
    /// From these PEM files.
    Files {
        /// The certificate, followed by those that sign it.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made at the first start and kept in the folder of secrets (made for this process without one).
    SelfMade {
        /// Names and addresses it is valid for, beside those of the local machine.
        names: Vec<String>,
    },
    /// No TLS: the greeting does not offer it.
    Off,
}

/// TLS's settings, or `None` when it is off.
pub fn server_config(
    source: &TlsSource,
    secrets: Option<&Path>,
) -> io::Result<Option<Arc<ServerConfig>>> {
    let (certificate, key) = match source {
        TlsSource::Off => return Ok(None),
        TlsSource::Files { certificate, key } => (read(certificate)?, read(key)?),
        TlsSource::SelfMade { names } => self_made(names, secrets)?,
    };
    let certificates = rustls_pemfile::certs(&mut certificate.as_slice())
        .collect::<Result<Vec<CertificateDer<'static>>, _>>()?;
    let key = private_key(&key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some(Arc::new(config)))
}

/// PEM of the kept certificate and its key; made when there is none.
fn self_made(names: &[String], secrets: Option<&Path>) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let Some(folder) = secrets else { return make(names) };
    let (certificate, key) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
    if certificate.exists() && key.exists() {
        return Ok((read(&certificate)?, read(&key)?));
    }
    let made = make(names)?;
    // The key first: a start that stops between the two makes both again.
    write_secret(&key, &made.1)?;
    write_secret(&certificate, &made.0)?;
    Ok(made)
}

/// PEM of a new certificate that signs itself, and of its key.
fn make(names: &[String]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut all = vec!["localhost".to_string(), "127.0.0.1".to_string(), "::1".to_string()];
    all.extend(names.iter().filter(|name| !name.is_empty()).cloned());
    all.sort();
    all.dedup();
    let made = rcgen::generate_simple_self_signed(all).map_err(io::Error::other)?;
    Ok((made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes()))
}

/// The private key in some PEM.
fn private_key(pem: &[u8]) -> io::Result<PrivateKeyDer<'static>> {
    rustls_pemfile::private_key(&mut &*pem)?.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the TLS key file holds no private key")
    })
}

/// A file's bytes; errors name it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn self_made_certificate_stays_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let source = TlsSource::SelfMade { names: vec!["db.example".into()] };
        assert!(server_config(&source, Some(folder.path())).unwrap().is_some());
        let first = read(&folder.path().join(CERTIFICATE_FILE)).unwrap();
        assert!(server_config(&source, Some(folder.path())).unwrap().is_some());
        assert_eq!(read(&folder.path().join(CERTIFICATE_FILE)).unwrap(), first);
    }

    #[test]
    fn missing_file_is_named() {
        let source =
            TlsSource::Files { certificate: "/nowhere/c.pem".into(), key: "/nowhere/k.pem".into() };
        let error = server_config(&source, None).unwrap_err();
        assert!(error.to_string().contains("/nowhere/c.pem"), "{error}");
    }

    #[test]
    fn tls_can_be_off() {
        assert!(server_config(&TlsSource::Off, None).unwrap().is_none());
    }
}
