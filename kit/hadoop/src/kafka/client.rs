//! One connection to a broker.

use std::io::{Read, Write};

use super::error::KafkaError;
use super::login::SaslLogin;
use super::messages::{self, AUTHENTICATE, Api, CreatedKafkaToken, EXPIRE, HANDSHAKE, KafkaPrincipal, RENEW};
use super::wire::{AnswerReader, RequestWriter};
use crate::frames::FramedStream;
use crate::sasl::MAX_STEPS;

/// The largest answer that is read, in bytes. A token's has some 300, a Kerberos token up to 64 KiB.
const MAX_ANSWER: usize = 128 * 1024;

/// How brokers know this client in their logs and quotas.
const CLIENT_ID: &str = "deputy";

/// A connection to a broker.
pub struct KafkaClient<S> {
    frames: FramedStream<S>,
    correlation: i32,
}

impl<S: Read + Write> KafkaClient<S> {
    /// A connection that is not logged in, which on a listener with mutual TLS it need not be.
    pub fn new(stream: S) -> Self {
        Self { frames: FramedStream::new(stream), correlation: 0 }
    }

    /// The connection itself.
    pub fn stream(&self) -> &S {
        self.frames.stream()
    }

    /// Logs in.
    ///
    /// # Errors
    /// If the listener lacks the mechanism, or either side refuses.
    pub fn login(&mut self, login: &mut impl SaslLogin) -> Result<(), KafkaError> {
        let mechanism = login.mechanism();
        let mut body = RequestWriter::default();
        body.string(mechanism);
        let answer = self.call(HANDSHAKE, &body.into_bytes())?;
        messages::read_handshake(mechanism, &answer)?;
        let mut message = login.begin()?;
        for _ in 0..MAX_STEPS {
            let mut body = RequestWriter::default();
            body.bytes(&message);
            let answer = self.call(AUTHENTICATE, &body.into_bytes())?;
            match login.answer(messages::authenticated(&answer)?)? {
                Some(next) => message = next,
                None => return Ok(()),
            }
        }
        Err(KafkaError::Protocol("its login does not end"))
    }

    /// A new token of this connection's user, or of `owner`, for at most `max_lifetime` milliseconds.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn create_token(
        &mut self,
        owner: Option<KafkaPrincipal<'_>>,
        renewers: &[KafkaPrincipal<'_>],
        max_lifetime: Option<u64>,
    ) -> Result<CreatedKafkaToken, KafkaError> {
        let (api, body) = messages::create(owner, renewers, max_lifetime);
        messages::created(api, &self.call(api, &body)?)
    }

    /// Renews the token with this HMAC for the broker's own period, and returns when it ends.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn renew_token(&mut self, hmac: &str) -> Result<u64, KafkaError> {
        let answer = self.call(RENEW, &messages::by_hmac(hmac)?)?;
        messages::renewed(RENEW, &answer)
    }

    /// Ends the token with this HMAC.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn expire_token(&mut self, hmac: &str) -> Result<(), KafkaError> {
        let answer = self.call(EXPIRE, &messages::by_hmac(hmac)?)?;
        messages::expired(EXPIRE, &answer)
    }

    fn call(&mut self, api: Api, body: &[u8]) -> Result<Vec<u8>, KafkaError> {
        self.correlation = self.correlation.wrapping_add(1);
        let mut request = RequestWriter::default();
        request.i16(api.key).i16(api.version).i32(self.correlation).string(CLIENT_ID);
        if api.is_flexible {
            request.no_tags();
        }
        request.bare(body);
        self.frames.send(&request.into_bytes())?;
        let answer = self.frames.receive(MAX_ANSWER)?;
        let mut reader = AnswerReader::new(&answer);
        if reader.i32()? != self.correlation {
            return Err(KafkaError::Protocol("its answer is to another request"));
        }
        if api.is_flexible {
            reader.tags()?;
        }
        Ok(reader.rest().to_vec())
    }
}
