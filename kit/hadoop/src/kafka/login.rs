//! Logins by SASL: messages of the broker go in, answers come out.

use super::error::KafkaError;
use super::primitives::RustCrypto;
use crate::sasl::{Qualities, Quality, SaslClient, SecurityContext};
use deputy_scram::{ClientFinal, ClientFirst, Mechanism};
use std::ops::RangeInclusive;

/// The iterations of a token's logins that are accepted. Brokers take the least that SCRAM allows, and never more than this.
const ITERATIONS: RangeInclusive<u32> = 4096..=16_384;

/// One login.
pub trait SaslLogin {
    /// The name of its mechanism.
    fn mechanism(&self) -> &'static str;

    /// The first message.
    ///
    /// # Errors
    /// If the host refuses.
    fn begin(&mut self) -> Result<Vec<u8>, KafkaError>;

    /// The answer to a message of the broker, or none when the login is complete.
    ///
    /// # Errors
    /// If the message is not acceptable.
    fn answer(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, KafkaError>;
}

/// A login by Kerberos. Kafka protects nothing behind it: that is TLS's part.
pub struct GssapiLogin<C>(Option<SaslClient<C>>);

impl<C: SecurityContext> GssapiLogin<C> {
    /// A login over a context with the broker's principal.
    #[must_use]
    pub fn new(context: C) -> Self {
        Self(Some(SaslClient::new(context, Qualities::only(Quality::Authentication))))
    }

    fn step(&mut self, message: &[u8]) -> Result<Vec<u8>, KafkaError> {
        let client = self.0.as_mut().ok_or(KafkaError::Protocol("its login goes on after its end"))?;
        Ok(client.step(message)?)
    }
}

impl<C: SecurityContext> SaslLogin for GssapiLogin<C> {
    fn mechanism(&self) -> &'static str {
        "GSSAPI"
    }

    fn begin(&mut self) -> Result<Vec<u8>, KafkaError> {
        self.step(b"")
    }

    fn answer(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, KafkaError> {
        if let Some(complete) = self.0.take_if(|client| client.is_complete()) {
            complete.finish()?;
            return Ok(None);
        }
        self.step(message).map(Some)
    }
}

/// A login with a delegation token, as its clients log in. It has no `Debug`: the HMAC is a password.
pub struct TokenLogin<'a> {
    mechanism: Mechanism,
    hmac: &'a str,
    first: ClientFirst,
    last: Option<ClientFinal>,
}

impl<'a> TokenLogin<'a> {
    /// A login with the token of this id and HMAC; `random` is the nonce before it is encoded, 24 bytes.
    ///
    /// # Errors
    /// If the id cannot be a name.
    pub fn new(mechanism: Mechanism, id: &str, hmac: &'a str, random: &[u8]) -> Result<Self, KafkaError> {
        let first = ClientFirst::with_kafka_token(mechanism, id, random)?;
        Ok(Self { mechanism, hmac, first, last: None })
    }
}

impl SaslLogin for TokenLogin<'_> {
    fn mechanism(&self) -> &'static str {
        self.mechanism.name()
    }

    fn begin(&mut self) -> Result<Vec<u8>, KafkaError> {
        Ok(self.first.message().into_bytes())
    }

    fn answer(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, KafkaError> {
        let message = utf8(message)?;
        if let Some(last) = &self.last {
            last.verify(message)?;
            return Ok(None);
        }
        let last = self.first.read_answer(message, ITERATIONS)?.answer(&RustCrypto, self.hmac.as_bytes());
        let answer = last.message().as_bytes().to_vec();
        self.last = Some(last);
        Ok(Some(answer))
    }
}

/// A message of SCRAM.
///
/// # Errors
/// If it is no text.
pub fn utf8(message: &[u8]) -> Result<&str, KafkaError> {
    std::str::from_utf8(message).map_err(|_| KafkaError::Protocol("a message of its login is not UTF-8"))
}
