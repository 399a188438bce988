//! The first words of a connection: greeting, login, switch of the authentication method.
//!
//! ```text
//! server                                   client
//!   greeting v10 (salt, capabilities) ───────>
//!   <─────────── SSLRequest, then TLS (optional)
//!   <─────────── HandshakeResponse41 (user, answer to the salt, database, method)
//!   AuthSwitchRequest (other method, new salt) ─> (optional)
//!   <─────────── answer
//!   AuthMoreData … ──────────────────────────> (caching_sha2_password)
//!   OK or ERR ───────────────────────────────>
//! ```
//!
//! Not here: who may log in (`auth`), reading and writing (`login`).

use super::{Malformed, Reader};
use mysql_common::constants::CapabilityFlags;

/// Bytes of a salt: what the client mixes into its answer so that it cannot be replayed.
pub const SALT_BYTES: usize = 20;
/// A connection's salt: no NUL and no `$`, because clients read it as text.
pub type Salt = [u8; SALT_BYTES];

/// Collation that the greeting names: utf8mb4_0900_ai_ci.
const COLLATION: u8 = 255;
/// Status in the greeting: autocommit.
const STATUS: u16 = 2;

/// What this server can do. `tls` says whether it has a certificate.
pub fn server_capabilities(tls: bool) -> CapabilityFlags {
    let capabilities = CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_FOUND_ROWS
        | CapabilityFlags::CLIENT_LONG_FLAG
        | CapabilityFlags::CLIENT_CONNECT_WITH_DB
        | CapabilityFlags::CLIENT_LOCAL_FILES
        | CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_INTERACTIVE
        | CapabilityFlags::CLIENT_TRANSACTIONS
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_MULTI_STATEMENTS
        | CapabilityFlags::CLIENT_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PS_MULTI_RESULTS
        | CapabilityFlags::CLIENT_PLUGIN_AUTH
        | CapabilityFlags::CLIENT_CONNECT_ATTRS
        | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | CapabilityFlags::CLIENT_DEPRECATE_EOF
        | CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;
    if tls { capabilities | CapabilityFlags::CLIENT_SSL } else { capabilities }
}

/// Appends the greeting (handshake v10).
pub fn put_greeting(
    out: &mut Vec<u8>,
    version: &str,
    connection_id: u32,
    salt: &Salt,
    capabilities: CapabilityFlags,
    plugin: &str,
) {
    let [low_a, low_b, high_a, high_b] = capabilities.bits().to_le_bytes();
    out.push(10);
    out.extend_from_slice(version.as_bytes());
    out.push(0);
    out.extend_from_slice(&connection_id.to_le_bytes());
    out.extend_from_slice(&salt[..8]);
    out.push(0);
    out.extend_from_slice(&[low_a, low_b, COLLATION]);
    out.extend_from_slice(&STATUS.to_le_bytes());
    out.extend_from_slice(&[high_a, high_b, SALT_BYTES as u8 + 1]);
    out.extend_from_slice(&[0; 10]);
    out.extend_from_slice(&salt[8..]);
    out.push(0);
    out.extend_from_slice(plugin.as_bytes());
    out.push(0);
}

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeResponse {
    /// What both sides can do.
    pub capabilities: CapabilityFlags,
    /// Collation of the connection; its character set is the client's.
    pub collation: u16,
    /// User name, bytes as they came.
    pub user: Vec<u8>,
    /// Answer to the salt.
    pub answer: Vec<u8>,
    /// Default database; `None` when the client names none.
    pub database: Option<Vec<u8>>,
    /// Authentication method of `answer`; `None` from clients that know only native passwords.
    pub plugin: Option<Vec<u8>>,
    /// What the client tells about itself (`program_name`, …).
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The client's first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientHello {
    /// The client wants TLS first; its real response follows inside.
    Tls,
    /// The client logs in.
    Response(HandshakeResponse),
}

impl ClientHello {
    /// Reads the client's first packet. `offered` is what the greeting announced.
    pub fn decode(payload: &[u8], offered: CapabilityFlags) -> Result<ClientHello, Malformed> {
        let mut reader = Reader::new(payload);
        let capabilities = reader.u32("capabilities")?;
        let capabilities = CapabilityFlags::from_bits_truncate(capabilities) & offered;
        if !capabilities.contains(CapabilityFlags::CLIENT_PROTOCOL_41) {
            return Err(Malformed("client older than MySQL 4.1"));
        }
        let _largest_packet = reader.u32("largest packet")?;
        let collation = reader.u8("collation")?.into();
        reader.bytes(23, "filler")?;
        if reader.is_empty() && capabilities.contains(CapabilityFlags::CLIENT_SSL) {
            return Ok(ClientHello::Tls);
        }
        let user = reader.nul_bytes("user")?.to_vec();
        let answer = take_answer(&mut reader, capabilities)?;
        let database = if capabilities.contains(CapabilityFlags::CLIENT_CONNECT_WITH_DB) {
            Some(reader.nul_bytes_or_rest().to_vec()).filter(|name| !name.is_empty())
        } else {
            None
        };
        let (plugin, attributes) = take_plugin_and_attributes(&mut reader, capabilities)?;
        Ok(ClientHello::Response(HandshakeResponse {
            capabilities,
            collation,
            user,
            answer,
            database,
            plugin,
            attributes,
        }))
    }
}

/// A decoded COM_CHANGE_USER: a login on a connection that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeUser {
    /// User name, bytes as they came.
    pub user: Vec<u8>,
    /// Answer to the salt of the last authentication.
    pub answer: Vec<u8>,
    /// New default database; `None` for none.
    pub database: Option<Vec<u8>>,
    /// New collation of the connection; `None` keeps it.
    pub collation: Option<u16>,
    /// Authentication method of `answer`.
    pub plugin: Option<Vec<u8>>,
    /// What the client tells about itself.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl ChangeUser {
    /// Reads the payload after the command byte.
    pub fn decode(body: &[u8], capabilities: CapabilityFlags) -> Result<ChangeUser, Malformed> {
        let mut reader = Reader::new(body);
        let user = reader.nul_bytes("user")?.to_vec();
        let length = reader.u8("answer length")?.into();
        let answer = reader.bytes(length, "answer")?.to_vec();
        let database = reader.nul_bytes_or_rest().to_vec();
        let collation = if reader.is_empty() { None } else { Some(reader.u16("collation")?) };
        let (plugin, attributes) = take_plugin_and_attributes(&mut reader, capabilities)?;
        let database = Some(database).filter(|name| !name.is_empty());
        Ok(ChangeUser { user, answer, database, collation, plugin, attributes })
    }
}

/// Appends an AuthSwitchRequest: answer again, by another method.
pub fn put_auth_switch(out: &mut Vec<u8>, plugin: &str, salt: &Salt) {
    out.push(0xfe);
    out.extend_from_slice(plugin.as_bytes());
    out.push(0);
    out.extend_from_slice(salt);
    out.push(0);
}

/// Appends an AuthMoreData packet.
pub fn put_auth_more(out: &mut Vec<u8>, data: &[u8]) {
    out.push(1);
    out.extend_from_slice(data);
}

/// The answer to the salt; three encodings, by capability.
fn take_answer(
    reader: &mut Reader<'_>,
    capabilities: CapabilityFlags,
) -> Result<Vec<u8>, Malformed> {
    let answer = if capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        reader.length_bytes("answer")?
    } else if capabilities.contains(CapabilityFlags::CLIENT_SECURE_CONNECTION) {
        let length = reader.u8("answer length")?.into();
        reader.bytes(length, "answer")?
    } else {
        reader.nul_bytes_or_rest()
    };
    Ok(answer.to_vec())
}

/// Method name and attributes, which end both login packets.
#[allow(clippy::type_complexity)] // Names and values; a type would say no more.
fn take_plugin_and_attributes(
    reader: &mut Reader<'_>,
    capabilities: CapabilityFlags,
) -> Result<(Option<Vec<u8>>, Vec<(Vec<u8>, Vec<u8>)>), Malformed> {
    let mut plugin = None;
    if capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH) && !reader.is_empty() {
        plugin = Some(reader.nul_bytes_or_rest().to_vec()).filter(|name| !name.is_empty());
    }
    let mut attributes = Vec::new();
    if capabilities.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS) && !reader.is_empty() {
        let mut pairs = Reader::new(reader.length_bytes("attributes")?);
        while !pairs.is_empty() {
            let name = pairs.length_bytes("attribute name")?.to_vec();
            attributes.push((name, pairs.length_bytes("attribute value")?.to_vec()));
        }
    }
    Ok((plugin, attributes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::io::ParseBuf;
    use mysql_common::packets::HandshakePacket;
    use mysql_common::proto::MyDeserialize;
    use proptest::prelude::*;

    fn response_bytes(tail: &[u8], capabilities: CapabilityFlags) -> Vec<u8> {
        let mut bytes = capabilities.bits().to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 1, 45]);
        bytes.extend_from_slice(&[0; 23]);
        bytes.extend_from_slice(tail);
        bytes
    }

    #[test]
    fn greeting_is_read_by_a_client() {
        let salt: Salt = *b"abcdefghijklmnopqrst";
        let mut out = Vec::new();
        let capabilities = server_capabilities(true);
        put_greeting(
            &mut out,
            "8.0.46-PrecinctDB",
            7,
            &salt,
            capabilities,
            "caching_sha2_password",
        );
        let greeting = HandshakePacket::deserialize((), &mut ParseBuf(&out)).unwrap();
        assert_eq!(greeting.connection_id(), 7);
        assert_eq!(greeting.server_version_parsed(), Some((8, 0, 46)));
        assert_eq!(greeting.capabilities(), capabilities);
        assert_eq!(greeting.nonce(), salt);
        assert_eq!(greeting.auth_plugin_name_ref(), Some(&b"caching_sha2_password"[..]));
    }

    #[test]
    fn greeting_bytes() {
        let mut out = Vec::new();
        let capabilities =
            CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_PLUGIN_AUTH;
        put_greeting(&mut out, "8", 0x0102, b"12345678abcdefghijkl", capabilities, "p");
        assert_eq!(
            out,
            b"\x0a8\0\x02\x01\0\0\x31\x32\x33\x34\x35\x36\x37\x38\0\x00\x02\xff\x02\0\x08\0\x15\
              \0\0\0\0\0\0\0\0\0\0abcdefghijkl\0p\0"
        );
    }

    #[test]
    fn tls_request_is_the_head_alone() {
        let offered = server_capabilities(true);
        let wanted = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_SSL;
        let bytes = response_bytes(b"", wanted);
        assert_eq!(bytes.len(), 32);
        assert_eq!(ClientHello::decode(&bytes, offered), Ok(ClientHello::Tls));
    }

    #[test]
    fn response_with_everything() {
        let offered = server_capabilities(false);
        let tail = b"root\0\x03xyzshop\0mysql_native_password\0\x06\x01a\x03bcd";
        let bytes = response_bytes(tail, offered);
        let ClientHello::Response(response) = ClientHello::decode(&bytes, offered).unwrap() else {
            panic!("no TLS was asked for")
        };
        assert_eq!(response.user, b"root");
        assert_eq!(response.answer, b"xyz");
        assert_eq!(response.database.as_deref(), Some(&b"shop"[..]));
        assert_eq!(response.plugin.as_deref(), Some(&b"mysql_native_password"[..]));
        assert_eq!(response.attributes, [(b"a".to_vec(), b"bcd".to_vec())]);
        assert_eq!(response.collation, 45);
    }

    #[test]
    fn client_before_4_1_is_refused() {
        let bytes = response_bytes(b"root\0", CapabilityFlags::CLIENT_LONG_PASSWORD);
        assert!(ClientHello::decode(&bytes, server_capabilities(false)).is_err());
    }

    #[test]
    fn change_user_with_everything() {
        let body = b"u\0\x02abdb\0\xff\0caching_sha2_password\0\0";
        let change = ChangeUser::decode(body, server_capabilities(false)).unwrap();
        assert_eq!((change.user, change.answer), (b"u".to_vec(), b"ab".to_vec()));
        assert_eq!(change.database.as_deref(), Some(&b"db"[..]));
        assert_eq!(change.collation, Some(255));
        assert_eq!(change.plugin.as_deref(), Some(&b"caching_sha2_password"[..]));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let offered = server_capabilities(true);
            let _ = ClientHello::decode(&bytes, offered);
            let _ = ChangeUser::decode(&bytes, offered);
            let mut all = offered.bits().to_le_bytes().to_vec();
            all.extend_from_slice(&bytes);
            let _ = ClientHello::decode(&all, offered);
        }
    }
}
