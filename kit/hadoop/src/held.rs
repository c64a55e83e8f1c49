//! A delegation token as the contract has it: payload, expiry, and what an operator wants to see of it.

use crate::identifier::TokenIdentifier;
use crate::token::HadoopToken;
use crate::token_file::HadoopTokenFile;
use deputy_kit::failure;
use deputy_kit::tokens::{HADOOP_TOKEN, tokens};
use deputy_kit::types::{Expiry, Failure, Tokens};

/// What renewing a token said about its expiry.
#[derive(Debug)]
pub enum LearnedExpiry {
    /// It works until then, in milliseconds since 1970, and can be renewed.
    At(u64),
    /// Another program renews it, by the name given. The operator's lifetime applies.
    OfRenewer(String),
    /// The server does not renew it for this principal, for the reason given. The operator's lifetime applies.
    NotRenewable(String),
    /// The server was lost, for the reason given. The token is good, and its expiry is learned another time.
    Lost(String),
}

/// The tokens of the contract for a token that this provider obtained or renewed. `payload` is the file with it.
#[must_use]
pub fn held(token: &HadoopToken, identifier: TokenIdentifier, payload: Vec<u8>, expiry: LearnedExpiry) -> Tokens {
    let max_date = identifier.max_date;
    let tokens = tokens(HADOOP_TOKEN, payload)
        .fact("owner", identifier.owner)
        .fact("service", &token.service)
        .fact("number", identifier.sequence_number.to_string());
    let tokens = if identifier.real_user.is_empty() { tokens } else { tokens.fact("real-user", identifier.real_user) };
    match expiry {
        LearnedExpiry::At(time) => tokens.expires(Expiry::At(time)).renewable_until(max_date),
        LearnedExpiry::Lost(reason) => tokens.renewable_until(max_date).fact("expiry-unknown", reason),
        LearnedExpiry::OfRenewer(renewer) => tokens.fact("renewer", renewer),
        LearnedExpiry::NotRenewable(reason) => tokens.fact("not-renewable", reason),
    }
}

/// The token of a payload that this provider made.
///
/// # Errors
/// `ended` if it holds no token: a new one is obtained then.
pub fn token_of(held: &Tokens) -> Result<HadoopToken, Failure> {
    let file = HadoopTokenFile::parse(&held.payload).map_err(|error| failure::ended(error.to_string()))?;
    file.into_single().ok_or_else(|| failure::ended("the payload does not have exactly one token"))
}

/// Whether a renewer's name means this principal, by its full name or its first component, as the default rules of
/// `auth_to_local` shorten it.
#[must_use]
pub fn is_own(renewer: &str, principal: &str) -> bool {
    renewer == principal || principal.split(['/', '@']).next() == Some(renewer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_token;
    use crate::token_file::FileVersion;
    use deputy_kit::types::Next;

    fn shown(expiry: LearnedExpiry) -> Tokens {
        let token = HadoopToken { service: "ha-hdfs:prod".to_owned(), ..sample_token() };
        let identifier = TokenIdentifier::read_writable(&token.identifier).unwrap();
        held(&token, identifier, b"payload".to_vec(), expiry)
    }

    fn facts(tokens: &Tokens) -> Vec<(&str, &str)> {
        tokens.facts.iter().map(|fact| (fact.name.as_str(), fact.value.as_str())).collect()
    }

    #[test]
    fn held_token_shows_whose_it_is() {
        let tokens = shown(LearnedExpiry::At(1_700_086_400_000));
        assert_eq!(facts(&tokens), [("owner", "alice@EXAMPLE.COM"), ("service", "ha-hdfs:prod"), ("number", "7")]);
        assert_eq!((tokens.kind.as_str(), tokens.payload.as_slice()), ("hadoop-token/1", b"payload".as_slice()));
        assert!(matches!(tokens.expiry, Expiry::At(1_700_086_400_000)));
        assert_eq!(tokens.renewable_until, Some(1_700_604_800_000));
    }

    #[test]
    fn held_token_that_another_renews_has_no_expiry() {
        for (expiry, fact, renewable) in [
            (LearnedExpiry::OfRenewer("yarn".to_owned()), ("renewer", "yarn"), None),
            (LearnedExpiry::NotRenewable("no".to_owned()), ("not-renewable", "no"), None),
            (LearnedExpiry::Lost("gone".to_owned()), ("expiry-unknown", "gone"), Some(1_700_604_800_000)),
        ] {
            let tokens = shown(expiry);
            assert!(matches!(tokens.expiry, Expiry::Unknown));
            assert_eq!((facts(&tokens).last(), tokens.renewable_until), (Some(&fact), renewable));
        }
    }

    #[test]
    fn held_payload_has_one_token() {
        let payload = HadoopTokenFile::single("alias", sample_token()).to_bytes(FileVersion::Writable);
        assert!(token_of(&tokens(HADOOP_TOKEN, payload)).unwrap() == sample_token());
        for payload in [b"".to_vec(), b"HDTS\0\0\0".to_vec()] {
            assert_eq!(token_of(&tokens(HADOOP_TOKEN, payload)).unwrap_err().next, Next::Ended);
        }
    }

    #[test]
    fn held_token_is_renewed_by_its_own_principal() {
        for renewer in ["alice", "alice/host@EXAMPLE.COM"] {
            assert!(is_own(renewer, "alice/host@EXAMPLE.COM"), "{renewer}");
        }
        for renewer in ["yarn", "alic", "", "alice/host", "alice@EXAMPLE.COM"] {
            assert!(!is_own(renewer, "alice/host@EXAMPLE.COM"), "{renewer}");
        }
    }
}
