//! The join string, which an operator copies to a new worker.
//!
//! It is `dj1.` and then, in URL-safe base64, the token's id (8 bytes), its secret (32), the SHA-256 of the authority's
//! public key (32) and the coordinator's address in UTF-8. With several addresses, joined by commas, it begins with `dj2.`, so
//! that earlier versions refuse it. The fingerprint authenticates the coordinator on the first connection, and the secret
//! shows the coordinator that an operator sent the worker. The string is enough to enrol a worker, so `deputy token create`
//! prints it once, and `Debug` never does.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deputy_core::{AdvertisedAddresses, ByteSize, excerpt};
use deputy_support::sha256;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// With one address, and with several.
const ONE_ADDRESS: &str = "dj1.";
const ADDRESSES: &str = "dj2.";

/// The longest text that may be a join string, with white space around it. As many addresses as there may be have some 5.5 KB.
pub const MAX_JOIN_STRING: ByteSize = ByteSize::kib(8);

/// Everything that a worker needs to enrol.
#[derive(Debug)]
pub struct JoinString {
    pub token: TokenId,
    pub secret: TokenSecret,
    /// The fingerprint of the coordinator's authority.
    pub authority: AuthorityFingerprint,
    /// Where to reach the coordinator, or each of those that share its state.
    pub addresses: AdvertisedAddresses,
}

/// The public half of a token: to list and revoke it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(u64);

/// The secret half of a token: 32 random bytes, wiped when dropped.
pub struct TokenSecret(Zeroizing<[u8; 32]>);

/// The hash of the secret half, which the coordinator stores. The secret is long and random, so a plain hash cannot be
/// reversed.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

/// The SHA-256 of the authority's public key (SubjectPublicKeyInfo).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityFingerprint(pub [u8; 32]);

/// A text is not a join string. The error does not repeat it, since it may be one with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinStringError {
    #[error("not a join string: it must begin with \"dj1.\" or \"dj2.\", as `deputy token create` prints it")]
    Prefix,
    #[error("this join string has an unsupported version: use the same version of deputy as the coordinator")]
    Version,
    #[error("this join string is damaged: copy all of it, as `deputy token create` printed it")]
    Damaged,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a token: write its 16 hexadecimal digits, as `deputy token list` prints them")]
pub struct TokenIdError(String);

impl JoinString {
    /// The string itself, for the operator.
    pub fn reveal(&self) -> Zeroizing<String> {
        let addresses = self.addresses.to_string();
        let prefix = if self.addresses.has_several() { ADDRESSES } else { ONE_ADDRESS };
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 + 32 + 32 + addresses.len()));
        bytes.extend_from_slice(&self.token.0.to_be_bytes());
        bytes.extend_from_slice(self.secret.0.as_ref());
        bytes.extend_from_slice(&self.authority.0);
        bytes.extend_from_slice(addresses.as_bytes());
        // With its final capacity, since reallocation leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4));
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        text
    }
}

impl FromStr for JoinString {
    type Err = JoinStringError;

    fn from_str(text: &str) -> Result<Self, JoinStringError> {
        let text = text.trim();
        let Some(encoded) = [ONE_ADDRESS, ADDRESSES].iter().find_map(|prefix| text.strip_prefix(prefix)) else {
            let later = text.strip_prefix("dj").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            return Err(if later { JoinStringError::Version } else { JoinStringError::Prefix });
        };
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JoinStringError::Damaged)?);
        let (token, rest) = bytes.split_first_chunk::<8>().ok_or(JoinStringError::Damaged)?;
        let (secret, rest) = rest.split_first_chunk::<32>().ok_or(JoinStringError::Damaged)?;
        let (authority, addresses) = rest.split_first_chunk::<32>().ok_or(JoinStringError::Damaged)?;
        let addresses = std::str::from_utf8(addresses).map_err(|_| JoinStringError::Damaged)?;
        Ok(Self {
            token: TokenId(u64::from_be_bytes(*token)),
            secret: TokenSecret(Zeroizing::new(*secret)),
            authority: AuthorityFingerprint(*authority),
            addresses: addresses.parse().map_err(|_| JoinStringError::Damaged)?,
        })
    }
}

impl TokenSecret {
    /// Wipes `bytes`.
    pub fn new(bytes: &mut [u8; 32]) -> Self {
        let secret = Self(Zeroizing::new(*bytes));
        bytes.zeroize();
        secret
    }

    pub fn hash(&self) -> TokenHash {
        TokenHash(*sha256(self.0.as_ref()).as_bytes())
    }

    /// The bytes, for the `Join` message.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TokenHash {
    /// Whether this is the hash of the secret. Comparing hashes takes a time that is independent of the secret.
    pub fn is_of(&self, secret: &TokenSecret) -> bool {
        self.0 == secret.hash().0
    }
}

impl TokenId {
    pub fn as_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<Self, TokenIdError> {
        let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| plain);
        number.map(Self).ok_or_else(|| TokenIdError(excerpt(text, 40)))
    }
}

impl TryFrom<String> for TokenId {
    type Error = TokenIdError;

    fn try_from(text: String) -> Result<Self, TokenIdError> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(token: TokenId) -> Self {
        token.to_string()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join() -> JoinString {
        join_at("coordinator.example:8271")
    }

    fn join_at(addresses: &str) -> JoinString {
        JoinString {
            token: TokenId::from_bytes(*b"token-id"),
            secret: TokenSecret::new(&mut [7; 32]),
            authority: AuthorityFingerprint([9; 32]),
            addresses: addresses.parse().unwrap(),
        }
    }

    #[test]
    fn join_string_survives_the_round_trip() {
        let text = join().reveal();
        let read: JoinString = format!(" {}\n", text.as_str()).parse().unwrap();
        assert_eq!(read.reveal(), text);
        assert_eq!(
            (read.token, read.authority, read.addresses.to_string().as_str()),
            (join().token, join().authority, "coordinator.example:8271")
        );
        assert_eq!(read.secret.expose(), &[7; 32]);
    }

    #[test]
    fn join_string_error_does_not_repeat_a_damaged_string() {
        let text = join().reveal();
        let without_address = text.len() - 30;
        for end in (0..without_address).chain([text.len() - 7]) {
            let error = text[..end].parse::<JoinString>().unwrap_err();
            assert!(end < 4 || !error.to_string().contains(&text[4..]), "{end}");
        }
        assert_eq!("dj3.AAAA".parse::<JoinString>().unwrap_err(), JoinStringError::Version);
        assert_eq!("hvs.AAAA".parse::<JoinString>().unwrap_err(), JoinStringError::Prefix);
        assert_eq!(format!("{}!", text.as_str()).parse::<JoinString>().unwrap_err(), JoinStringError::Damaged);
    }

    /// A join string with any text in the place of its addresses.
    fn text_with(prefix: &str, addresses: &str) -> String {
        let mut bytes = vec![7; 8 + 32 + 32];
        bytes.extend_from_slice(addresses.as_bytes());
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    #[test]
    fn join_string_needs_hosts_and_ports() {
        let many = ["a:1"; 17].join(",");
        for addresses in [
            "",
            "host",
            "host:",
            ":8271",
            "host:0",
            "host:65536",
            "a b:1",
            "host\n:1",
            "a:1,",
            "a:1,a:1",
            "a:1;b:1",
            &many,
        ] {
            for prefix in ["dj1.", "dj2."] {
                let error = text_with(prefix, addresses).parse::<JoinString>().unwrap_err();
                assert_eq!(error, JoinStringError::Damaged, "{addresses:?}");
            }
        }
    }

    #[test]
    fn join_string_of_one_address_is_as_it_was() {
        for address in ["[::1]:8271", "192.0.2.1:1", "coordinator.example:8271"] {
            let string: JoinString = text_with("dj1.", address).parse().unwrap();
            assert_eq!(string.addresses.to_string(), address);
            assert_eq!(string.reveal().as_str(), text_with("dj1.", address));
        }
    }

    #[test]
    fn join_string_of_several_addresses_is_one_shell_word() {
        let longest = (0..16).map(|n| format!("{}.x{n:03}:65535", ["a".repeat(61).as_str(); 4].join(".")));
        let longest = longest.collect::<Vec<_>>().join(",");
        for addresses in ["[::1]:8271,a.example:8271", &longest] {
            let text = join_at(addresses).reveal();
            assert!(text.starts_with("dj2.") && text.len() < 6000, "{}", text.len());
            assert!(
                text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
                "{}",
                text.as_str()
            );
            let read: JoinString = text.parse().unwrap();
            assert_eq!(read.addresses.to_string(), addresses);
        }
    }

    #[test]
    fn join_string_debug_shows_no_secret_and_no_hash() {
        let shown = format!("{:?} {:?}", join(), join().secret.hash());
        assert!(!shown.contains("7, 7") && !shown.contains("[7"), "{shown}");
    }

    #[test]
    fn token_hash_matches_its_secret_only() {
        let hash = join().secret.hash();
        assert!(hash.is_of(&join().secret));
        assert!(!hash.is_of(&TokenSecret::new(&mut [8; 32])));
    }
}
