//! AES_ENCRYPT and AES_DECRYPT in all of MySQL's block modes, and RANDOM_BYTES.
//!
//! ```text
//! key text ──xor around──────────────┐
//!          └─hkdf / pbkdf2_hmac──────┴─> 16, 24 or 32 bytes ──┐
//! initialization vector: its first 16 bytes (not for ECB) ────┴─> blocks (ECB, CBC: padded) or a stream
//! ```
//!
//! The mode is the session's `block_encryption_mode` when the row is read, so that no value is folded before.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey,
    EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hkdf, pbkdf2};

use super::{Bound, Call, Eval, Function, bound, fits_packet, per_row, per_statement};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};

/// Bytes of a block and of an initialization vector.
const BLOCK: usize = 16;
/// Most bytes of RANDOM_BYTES, as in MySQL.
const RANDOM_BYTES_MAX: i64 = 1024;
/// Rounds of `pbkdf2_hmac` without a number, and the bounds of one.
const ROUNDS: u32 = 1_000;
const ROUNDS_MAX: u32 = 65_535;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    per_statement("aes_encrypt", 2, 6, |args, ctx| {
        let length = args[0].ty.length.saturating_mul(args[0].ty.collation.bytes_per_char());
        let length = (length / BLOCK as u32 + 1).saturating_mul(BLOCK as u32);
        texts(length, args, ctx, |call| Ok(crypt(call, true)?.map_or(Value::Null, Value::Bytes)))
    }),
    per_statement("aes_decrypt", 2, 6, |args, ctx| {
        let length = args[0].ty.length.saturating_mul(args[0].ty.collation.bytes_per_char());
        texts(length, args, ctx, |call| Ok(crypt(call, false)?.map_or(Value::Null, Value::Bytes)))
    }),
    per_row("random_bytes", 1, 1, |mut args, ctx| {
        let arg = build::as_integer(args.swap_remove(0), ctx);
        Ok(bound(SqlType::varchar(RANDOM_BYTES_MAX as u32, CollationId::BINARY), vec![arg], random))
    }),
];

fn texts(length: u32, args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let args = args.into_iter().map(|arg| build::as_string(arg, ctx)).collect();
    Ok(bound(SqlType::sized_string(length, CollationId::BINARY, false), args, eval))
}

/// RANDOM_BYTES(n): of the kernel, as keys and salts are made of them.
fn random(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let length = call.int(0);
    if !(1..=RANDOM_BYTES_MAX).contains(&length) {
        return Err(Error::value_out_of_range("length", call.name));
    }
    let mut bytes = vec![0; length as usize];
    base::rng::fill_secret(&mut bytes);
    Ok(Value::Bytes(bytes))
}

/// How blocks hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    Ecb,
    Cbc,
    Cfb1,
    Cfb8,
    Cfb128,
    Ofb,
}

/// A value of `block_encryption_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockMode {
    key_bytes: usize,
    chain: Chain,
}

impl BlockMode {
    /// `aes-128-ecb`.
    pub const DEFAULT: BlockMode = BlockMode { key_bytes: 16, chain: Chain::Ecb };

    /// What SET block_encryption_mode takes, in MySQL's order.
    pub const NAMES: [&'static str; 18] = [
        "aes-128-ecb",
        "aes-192-ecb",
        "aes-256-ecb",
        "aes-128-cbc",
        "aes-192-cbc",
        "aes-256-cbc",
        "aes-128-cfb1",
        "aes-192-cfb1",
        "aes-256-cfb1",
        "aes-128-cfb8",
        "aes-192-cfb8",
        "aes-256-cfb8",
        "aes-128-cfb128",
        "aes-192-cfb128",
        "aes-256-cfb128",
        "aes-128-ofb",
        "aes-192-ofb",
        "aes-256-ofb",
    ];

    /// The mode of this name, which is one of [`BlockMode::NAMES`].
    pub fn of_name(name: &str) -> Option<BlockMode> {
        let mut parts = name.strip_prefix("aes-")?.split('-');
        let key_bytes = match parts.next()? {
            "128" => 16,
            "192" => 24,
            "256" => 32,
            _ => return None,
        };
        let chain = match parts.next()? {
            "ecb" => Chain::Ecb,
            "cbc" => Chain::Cbc,
            "cfb1" => Chain::Cfb1,
            "cfb8" => Chain::Cfb8,
            "cfb128" => Chain::Cfb128,
            "ofb" => Chain::Ofb,
            _ => return None,
        };
        Some(BlockMode { key_bytes, chain })
    }

    fn algorithm(self) -> &'static Algorithm {
        match self.key_bytes {
            16 => &AES_128,
            24 => &AES_192,
            _ => &AES_256,
        }
    }
}

/// The text of the first argument encrypted or decrypted; `None` for NULL and for what is no text of this key.
fn crypt(call: &Call<'_>, encrypts: bool) -> Result<Option<Vec<u8>>> {
    let mode = call.ctx.block_encryption_mode;
    let vector = match mode.chain {
        Chain::Ecb => {
            if call.args.len() == 3 {
                call.ctx.warn(Error::option_ignored("IV"));
            }
            None
        }
        _ if call.args.len() < 3 => return Err(Error::wrong_parameter_count(call.name)),
        _ => match call.bytes(2).first_chunk::<BLOCK>() {
            Some(vector) => Some(*vector),
            None => return Err(Error::invalid_vector(call.name, BLOCK)),
        },
    };
    if call.args[0].is_null() || call.args[1].is_null() {
        return Ok(None);
    }
    let key = key(call, mode)?;
    let unbound = UnboundCipherKey::new(mode.algorithm(), &key).map_err(|_| broken(call))?;
    let text = call.bytes(0).to_vec();
    if encrypts {
        if !fits_packet(call, (text.len() + BLOCK) as u64) {
            return Ok(None);
        }
        return encrypt(unbound, mode.chain, vector, text).map(Some).map_err(|_| broken(call));
    }
    Ok(decrypt(unbound, mode.chain, vector, text))
}

fn broken(call: &Call<'_>) -> Error {
    Error::wrong_native_parameters(call.name)
}

fn encrypt(
    key: UnboundCipherKey,
    chain: Chain,
    vector: Option<[u8; BLOCK]>,
    mut text: Vec<u8>,
) -> std::result::Result<Vec<u8>, Unspecified> {
    let context = match vector {
        Some(vector) => EncryptionContext::Iv128(FixedLength::from(vector)),
        None => EncryptionContext::None,
    };
    let stream = match chain {
        Chain::Ecb => {
            PaddedBlockEncryptingKey::ecb_pkcs7(key)?.less_safe_encrypt(&mut text, context)?;
            return Ok(text);
        }
        Chain::Cbc => {
            PaddedBlockEncryptingKey::cbc_pkcs7(key)?.less_safe_encrypt(&mut text, context)?;
            return Ok(text);
        }
        Chain::Cfb1 => EncryptingKey::cfb1(key)?,
        Chain::Cfb8 => EncryptingKey::cfb8(key)?,
        Chain::Cfb128 => EncryptingKey::cfb128(key)?,
        Chain::Ofb => EncryptingKey::ofb(key)?,
    };
    stream.less_safe_encrypt(&mut text, context)?;
    Ok(text)
}

/// `None` when the padding at the end is none: another key, or bytes that nobody encrypted.
fn decrypt(
    key: UnboundCipherKey,
    chain: Chain,
    vector: Option<[u8; BLOCK]>,
    mut text: Vec<u8>,
) -> Option<Vec<u8>> {
    let context = match vector {
        Some(vector) => DecryptionContext::Iv128(FixedLength::from(vector)),
        None => DecryptionContext::None,
    };
    let is_padded = matches!(chain, Chain::Ecb | Chain::Cbc);
    if is_padded && (text.is_empty() || !text.len().is_multiple_of(BLOCK)) {
        return None;
    }
    let stream = match chain {
        Chain::Ecb => {
            let key = PaddedBlockDecryptingKey::ecb_pkcs7(key).ok()?;
            return Some(key.decrypt(&mut text, context).ok()?.to_vec());
        }
        Chain::Cbc => {
            let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
            return Some(key.decrypt(&mut text, context).ok()?.to_vec());
        }
        Chain::Cfb1 => DecryptingKey::cfb1(key).ok()?,
        Chain::Cfb8 => DecryptingKey::cfb8(key).ok()?,
        Chain::Cfb128 => DecryptingKey::cfb128(key).ok()?,
        Chain::Ofb => DecryptingKey::ofb(key).ok()?,
    };
    Some(stream.decrypt(&mut text, context).ok()?.to_vec())
}

/// The key's bytes: those of the text xored around, or what a key derivation function makes of them.
fn key(call: &Call<'_>, mode: BlockMode) -> Result<Vec<u8>> {
    let text = call.bytes(1);
    let mut key = vec![0; mode.key_bytes];
    if call.args.len() < 4 {
        for (place, byte) in text.iter().enumerate() {
            key[place % mode.key_bytes] ^= byte;
        }
        return Ok(key);
    }
    let wrong = || Error::wrong_arguments(call.name);
    match call.bytes(3) {
        b"hkdf" => {
            let salt = hkdf::Salt::new(hkdf::HKDF_SHA512, call.bytes(4));
            let made = salt.extract(text);
            let info = [call.bytes(5)];
            let out = made.expand(&info, KeyBytes(mode.key_bytes)).map_err(|_| wrong())?;
            out.fill(&mut key).map_err(|_| wrong())?;
        }
        b"pbkdf2_hmac" => {
            let rounds = match call.args.get(5) {
                None => ROUNDS,
                Some(_) => std::str::from_utf8(call.bytes(5))
                    .ok()
                    .and_then(|text| text.parse::<u32>().ok())
                    .filter(|rounds| (ROUNDS..=ROUNDS_MAX).contains(rounds))
                    .ok_or_else(wrong)?,
            };
            let rounds = NonZeroU32::new(rounds).ok_or_else(wrong)?;
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, call.bytes(4), text, &mut key);
        }
        _ => return Err(wrong()),
    }
    Ok(key)
}

/// How many bytes HKDF makes.
struct KeyBytes(usize);

impl hkdf::KeyType for KeyBytes {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_gives_its_text_back() {
        for name in BlockMode::NAMES {
            let mode = BlockMode::of_name(name).unwrap();
            let key =
                || UnboundCipherKey::new(mode.algorithm(), &[7; 32][..mode.key_bytes]).unwrap();
            let vector = (mode.chain != Chain::Ecb).then_some([9; BLOCK]);
            for text in [&b""[..], b"text", b"exactly 16 bytes", b"some more than 16 bytes"] {
                let secret = encrypt(key(), mode.chain, vector, text.to_vec()).unwrap();
                assert_eq!(decrypt(key(), mode.chain, vector, secret).unwrap(), text, "{name}");
            }
        }
        assert_eq!(BlockMode::of_name("aes-128-ecb"), Some(BlockMode::DEFAULT));
        assert_eq!(BlockMode::of_name("aes-512-ecb"), None);
    }
}
