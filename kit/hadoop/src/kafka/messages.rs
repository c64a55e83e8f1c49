//! The requests, and what brokers answer to them.

use std::fmt;

use super::error::{KafkaError, KafkaErrorCode};
use super::wire::{AnswerReader, RequestWriter};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deputy_kit::text::one_line;

/// The largest HMAC of a token, in bytes. Kafka's has 64.
const MAX_HMAC: usize = 256;
/// The longest id of a token. Kafka's has 22 characters.
const MAX_ID: usize = 64;

/// A request: its key and version in Kafka's protocol, and whether that version is flexible.
#[derive(Clone, Copy)]
pub(super) struct Api {
    pub(super) name: &'static str,
    pub(super) key: i16,
    pub(super) version: i16,
    pub(super) is_flexible: bool,
}

pub(super) const HANDSHAKE: Api = Api { name: "SaslHandshake", key: 17, version: 1, is_flexible: false };
pub(super) const AUTHENTICATE: Api = Api { name: "SaslAuthenticate", key: 36, version: 1, is_flexible: false };
pub(super) const CREATE: Api = Api { name: "CreateDelegationToken", key: 38, version: 1, is_flexible: false };
pub(super) const CREATE_FOR: Api = Api { name: "CreateDelegationToken", key: 38, version: 3, is_flexible: true };
pub(super) const RENEW: Api = Api { name: "RenewDelegationToken", key: 39, version: 1, is_flexible: false };
pub(super) const EXPIRE: Api = Api { name: "ExpireDelegationToken", key: 40, version: 1, is_flexible: false };

/// A principal as Kafka writes it: `User:alice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaPrincipal<'a> {
    /// `User`, unless the cluster has principals of its own.
    pub kind: &'a str,
    /// The name.
    pub name: &'a str,
}

impl<'a> KafkaPrincipal<'a> {
    /// Reads `User:alice`, or a name alone, which is a user's.
    ///
    /// # Errors
    /// For an empty name. The error completes the sentence "setting x: …".
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or(("User", text));
        if kind.is_empty() || name.is_empty() || text.len() > 255 || text.contains(char::is_control) {
            return Err("must be a principal such as User:alice, of at most 255 characters".to_owned());
        }
        Ok(Self { kind, name })
    }
}

/// A token that a broker made. It has no `Debug`: the HMAC is its password.
#[derive(PartialEq, Eq)]
pub struct CreatedKafkaToken {
    /// Its owner: `User:alice`.
    pub owner: String,
    /// When it ends unless it is renewed, in milliseconds since 1970.
    pub expires_at: u64,
    /// When it ends in any case.
    pub max_date: u64,
    /// Its id, the name of its logins.
    pub id: String,
    /// Its HMAC in base64, the password of its logins.
    pub hmac: String,
}

impl fmt::Debug for CreatedKafkaToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedKafkaToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A new token of the connection's own user, or of `owner`; `max_lifetime` is in milliseconds.
pub(super) fn create(
    owner: Option<KafkaPrincipal<'_>>,
    renewers: &[KafkaPrincipal<'_>],
    max_lifetime: Option<u64>,
) -> (Api, Vec<u8>) {
    let max_lifetime = max_lifetime.map_or(-1, |most| i64::try_from(most).unwrap_or(i64::MAX));
    let mut body = RequestWriter::default();
    let Some(owner) = owner else {
        body.i32(i32::try_from(renewers.len()).unwrap_or(0));
        for renewer in renewers {
            body.string(renewer.kind).string(renewer.name);
        }
        body.i64(max_lifetime);
        return (CREATE, body.into_bytes());
    };
    body.compact_string(owner.kind).compact_string(owner.name);
    body.unsigned(renewers.len().saturating_add(1));
    for renewer in renewers {
        body.compact_string(renewer.kind).compact_string(renewer.name).no_tags();
    }
    body.i64(max_lifetime).no_tags();
    (CREATE_FOR, body.into_bytes())
}

/// Reads the answer to [`create`].
pub(super) fn created(api: Api, body: &[u8]) -> Result<CreatedKafkaToken, KafkaError> {
    let mut reader = AnswerReader::new(body);
    succeeded(api, reader.i16()?)?;
    let (owner, expires_at, max_date, id, hmac);
    if api.is_flexible {
        owner = format!("{}:{}", reader.compact_string()?, reader.compact_string()?);
        // The user is that of the request.
        reader.compact_string()?;
        reader.compact_string()?;
        reader.time()?;
        (expires_at, max_date) = (reader.time()?, reader.time()?);
        (id, hmac) = (reader.compact_string()?, reader.compact_bytes()?);
    } else {
        owner = format!("{}:{}", reader.string()?, reader.string()?);
        reader.time()?;
        (expires_at, max_date) = (reader.time()?, reader.time()?);
        (id, hmac) = (reader.string()?, reader.bytes()?);
    }
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !(1..=MAX_ID).contains(&id.len()) || !id.bytes().all(is_id) {
        return Err(KafkaError::Protocol("the token's id is not one"));
    }
    if !(1..=MAX_HMAC).contains(&hmac.len()) {
        return Err(KafkaError::Protocol("the token's HMAC is empty or too long"));
    }
    Ok(CreatedKafkaToken {
        owner: one_line(&owner, 255),
        expires_at,
        max_date,
        id: id.to_owned(),
        hmac: STANDARD.encode(hmac),
    })
}

/// The body of [`RENEW`] and [`EXPIRE`]: -1 is the broker's own period, and now.
pub(super) fn by_hmac(hmac: &str) -> Result<Vec<u8>, KafkaError> {
    let hmac = STANDARD.decode(hmac).map_err(|_| KafkaError::Protocol("the token's HMAC is not base64"))?;
    let mut body = RequestWriter::default();
    body.bytes(&hmac).i64(-1);
    Ok(body.into_bytes())
}

/// Reads the answer to [`RENEW`].
pub(super) fn renewed(api: Api, body: &[u8]) -> Result<u64, KafkaError> {
    let mut reader = AnswerReader::new(body);
    succeeded(api, reader.i16()?)?;
    reader.time()
}

/// Reads the answer to [`EXPIRE`].
pub(super) fn expired(api: Api, body: &[u8]) -> Result<(), KafkaError> {
    succeeded(api, AnswerReader::new(body).i16()?)
}

/// Reads the answer to [`HANDSHAKE`].
pub(super) fn read_handshake(mechanism: &'static str, body: &[u8]) -> Result<(), KafkaError> {
    let mut reader = AnswerReader::new(body);
    let code = KafkaErrorCode(reader.i16()?);
    if code != KafkaErrorCode::UNSUPPORTED_MECHANISM {
        return succeeded(HANDSHAKE, code.0);
    }
    let mut offered = Vec::new();
    for _ in 0..reader.i32()?.clamp(0, 16) {
        offered.push(one_line(reader.string()?, 40));
    }
    Err(KafkaError::Mechanism { mechanism, offered: offered.join(", ") })
}

/// Reads the answer to [`AUTHENTICATE`].
pub(super) fn authenticated(body: &[u8]) -> Result<&[u8], KafkaError> {
    let mut reader = AnswerReader::new(body);
    let (code, text) = (KafkaErrorCode(reader.i16()?), reader.string()?);
    if code != KafkaErrorCode::NONE {
        return Err(KafkaError::Refused { call: AUTHENTICATE.name, code, text: one_line(text, 200) });
    }
    reader.bytes()
}

fn succeeded(api: Api, code: i16) -> Result<(), KafkaError> {
    match KafkaErrorCode(code) {
        KafkaErrorCode::NONE => Ok(()),
        code => Err(KafkaError::Refused { call: api.name, code, text: String::new() }),
    }
}
