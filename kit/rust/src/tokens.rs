//! Making the contract's tokens.
//!
//! ```
//! use deputy_kit::tokens::{BEARER_TOKEN, tokens};
//! use deputy_kit::types::Expiry;
//!
//! let obtained = tokens(BEARER_TOKEN, "t0k3n").expires(Expiry::AfterMs(3_600_000)).fact("scope", "read");
//! ```

use crate::types::{Expiry, Fact, Timestamp, Tokens};

/// The kind of the JSON that AWS's `credential_process` prints.
pub const AWS_CREDENTIAL_PROCESS: &str = "aws-credential-process/1";

/// The kind of an access token, without a line break.
pub const BEARER_TOKEN: &str = "bearer-token/1";

/// The kind of a Hadoop token file, version 0, with one token.
pub const HADOOP_TOKEN: &str = "hadoop-token/1";

/// The kind of a delegation token of Kafka, as JSON.
pub const KAFKA_TOKEN: &str = "kafka-token/1";

/// Tokens with a kind and a payload. The service said nothing of their expiry.
pub fn tokens(kind: &str, payload: impl Into<Vec<u8>>) -> Tokens {
    Tokens {
        kind: kind.to_owned(),
        payload: payload.into(),
        expiry: Expiry::Unknown,
        next_at: None,
        renewable_until: None,
        handle: Vec::new(),
        facts: Vec::new(),
    }
}

impl Tokens {
    /// The same with an expiry.
    #[must_use]
    pub fn expires(self, expiry: Expiry) -> Self {
        Self { expiry, ..self }
    }

    /// The same with the time at which newer ones are to be had, and not before.
    #[must_use]
    pub fn next_at(self, at: Timestamp) -> Self {
        Self { next_at: Some(at), ..self }
    }

    /// The same with the time until which `renew` can prolong them.
    #[must_use]
    pub fn renewable_until(self, until: Timestamp) -> Self {
        Self { renewable_until: Some(until), ..self }
    }

    /// The same with what `renew` and `revoke` need and no worker may have.
    #[must_use]
    pub fn handle(self, handle: impl Into<Vec<u8>>) -> Self {
        Self { handle: handle.into(), ..self }
    }

    /// The same with one more fact: what to show beside them, never a secret.
    #[must_use]
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push(Fact { name: name.into(), value: value.into() });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_nothing_that_was_not_given() {
        let plain = tokens(BEARER_TOKEN, "t0k3n");
        assert_eq!((plain.kind.as_str(), plain.payload.as_slice()), ("bearer-token/1", b"t0k3n".as_slice()));
        assert!(matches!(plain.expiry, Expiry::Unknown) && plain.handle.is_empty() && plain.facts.is_empty());
        assert_eq!((plain.next_at, plain.renewable_until), (None, None));
    }

    #[test]
    fn tokens_keep_all_that_was_given() {
        let full =
            tokens(BEARER_TOKEN, "t").expires(Expiry::At(3)).next_at(1).renewable_until(9).handle("h").fact("a", "b");
        assert!(matches!(full.expiry, Expiry::At(3)));
        assert_eq!((full.next_at, full.renewable_until, full.handle.as_slice()), (Some(1), Some(9), b"h".as_slice()));
        assert_eq!(full.facts.len(), 1);
    }
}
