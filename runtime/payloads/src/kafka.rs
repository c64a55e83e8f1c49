//! Payloads of the service `kafka`: a delegation token, with what its clients need besides it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use zeroize::Zeroize;

/// The most characters of the list of brokers.
const MAX_SERVER_LIST: usize = 2500;
/// The most characters of another value.
const MAX_VALUE: usize = 512;

/// A delegation token. Each value is of a few kinds of characters, so that it ends no line of a file and no quoted word of a
/// JAAS configuration. It can't be printed; what it had to copy is wiped.
pub struct KafkaToken<'p> {
    servers: Text<'p>,
    mechanism: Text<'p>,
    token_id: Text<'p>,
    hmac: Text<'p>,
}

/// A payload holds no delegation token of Kafka. No part of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KafkaTokenError {
    #[error("it is not the JSON of a Kafka token: an object with servers, mechanism, token-id and hmac")]
    Form,
    /// A value that could end what it is put into.
    #[error("its {0} is too long or has a character that is not allowed")]
    Value(&'static str),
    /// Another version of the JSON.
    #[error("it is not version 1 of the JSON of a Kafka token")]
    Version,
}

/// Whether a text has letters, digits and these other characters alone, and neither none nor too many.
fn is_plain(text: &str, most: usize, others: &[u8]) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// A value. With an escape in the JSON it is a copy, which is wiped.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'p>(#[serde(borrow)] Cow<'p, str>);

/// The JSON as it came.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Json<'p> {
    version: u32,
    #[serde(borrow)]
    servers: Text<'p>,
    #[serde(borrow)]
    mechanism: Text<'p>,
    #[serde(borrow)]
    token_id: Text<'p>,
    #[serde(borrow)]
    hmac: Text<'p>,
}

impl<'p> KafkaToken<'p> {
    /// A token out of its parts: the brokers with commas between, the SCRAM mechanism, the id, and the HMAC in base64.
    ///
    /// # Errors
    /// If a value has characters that such a value does not have.
    pub fn new(
        servers: &'p str,
        mechanism: &'p str,
        token_id: &'p str,
        hmac: &'p str,
    ) -> Result<Self, KafkaTokenError> {
        let text = |text: &'p str| Text(Cow::Borrowed(text));
        Self { servers: text(servers), mechanism: text(mechanism), token_id: text(token_id), hmac: text(hmac) }.judged()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// If it is not the JSON of a Kafka token.
    pub fn parse(payload: &'p [u8]) -> Result<Self, KafkaTokenError> {
        // The parser's own words hold pieces of what it parsed.
        let json: Json<'p> = serde_json::from_slice(payload).map_err(|_| KafkaTokenError::Form)?;
        if json.version != 1 {
            return Err(KafkaTokenError::Version);
        }
        let Json { servers, mechanism, token_id, hmac, .. } = json;
        Self { servers, mechanism, token_id, hmac }.judged()
    }

    fn judged(self) -> Result<Self, KafkaTokenError> {
        for (name, is_good) in [
            ("servers", is_plain(self.servers(), MAX_SERVER_LIST, b".-_:,[]")),
            ("mechanism", matches!(self.mechanism(), "SCRAM-SHA-256" | "SCRAM-SHA-512")),
            ("token-id", is_plain(self.token_id(), MAX_VALUE, b"-_")),
            ("hmac", is_plain(self.hmac(), MAX_VALUE, b"+/=")),
        ] {
            if !is_good {
                return Err(KafkaTokenError::Value(name));
            }
        }
        Ok(self)
    }

    pub fn to_json(&self) -> String {
        // None of these characters is escaped in JSON.
        let Self { servers, mechanism, token_id, hmac } = self;
        format!(
            "{{\"version\":1,\"servers\":\"{}\",\"mechanism\":\"{}\",\"token-id\":\"{}\",\"hmac\":\"{}\"}}",
            servers.0, mechanism.0, token_id.0, hmac.0
        )
    }

    /// The brokers with commas between: `bootstrap.servers`.
    pub fn servers(&self) -> &str {
        &self.servers.0
    }

    /// The SCRAM mechanism with which it was confirmed.
    pub fn mechanism(&self) -> &str {
        &self.mechanism.0
    }

    /// The name of its logins.
    pub fn token_id(&self) -> &str {
        &self.token_id.0
    }

    /// The password of its logins.
    pub fn hmac(&self) -> &str {
        &self.hmac.0
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(copy) = &mut self.0 {
            copy.zeroize();
        }
    }
}

impl fmt::Debug for KafkaToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

#[cfg(test)]
mod tests;
