//! What the name of a value says about it.

use deputy_core::name_words;

/// Parts of the names of what is secret, in lower case.
const SECRET_PARTS: [&str; 19] = [
    "assertion",
    "auth",
    "code",
    "cookie",
    "credential",
    "csrf",
    "hmac",
    "jwt",
    "key",
    "nonce",
    "passphrase",
    "passw",
    "saml",
    "secret",
    "session",
    "signature",
    "ticket",
    "token",
    "xsrf",
];
/// The same as whole words, since they are parts of innocent ones.
const SECRET_WORDS: [&str; 7] = ["otp", "pass", "pin", "pw", "pwd", "sid", "totp"];
/// Last words of names of what is a choice of a few.
const KIND_SUFFIXES: [&str; 3] = ["alg", "algorithm", "type"];
const URL_SUFFIXES: [&str; 3] = ["endpoint", "uri", "url"];
/// Last words of names of a time or a count.
const TIME_SUFFIXES: [&str; 7] = ["at", "count", "expiration", "expiry", "in", "lifetime", "ttl"];
/// The same, of a number alone.
const NUMBER_SUFFIXES: [&str; 18] = [
    "age", "bits", "duration", "exp", "expires", "iat", "index", "length", "limit", "millis", "ms", "nbf", "on",
    "seconds", "size", "time", "timeout", "version",
];

/// Whether a value of this name is secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    let is_secret = SECRET_PARTS.iter().any(|part| lower.contains(part))
        || name_words(name).iter().any(|word| SECRET_WORDS.contains(&word.as_str()));
    is_secret && !is_metadata_name(name)
}

/// Whether it says something about a secret: `token_type`, `expires_in`.
pub(super) fn is_metadata_name(name: &str) -> bool {
    is_kind_name(name) || is_url_name(name) || ends_with(name, &TIME_SUFFIXES)
}

/// Whether its value is one of a few: `token_type`.
pub(super) fn is_kind_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    let last = lower.rsplit(['_', '-', '.']).next().unwrap_or_default();
    ends_with(name, &KIND_SUFFIXES) || (last.ends_with("type") && last != lower) || lower.ends_with("tokentype")
}

pub(super) fn is_url_name(name: &str) -> bool {
    ends_with(name, &URL_SUFFIXES)
}

/// Whether a number of this name is a time or a count: `session_timeout`.
pub(super) fn is_quantity_name(name: &str) -> bool {
    ends_with(name, &TIME_SUFFIXES) || ends_with(name, &NUMBER_SUFFIXES)
}

fn ends_with(name: &str, suffixes: &[&str]) -> bool {
    name_words(name).last().is_some_and(|last| suffixes.contains(&last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_knows_the_names_of_secrets() {
        for name in
            ["access_token", "passphrase", "pwd", "userPin", "otp", "CASTicket", "x-sid", "SAMLResponse", "pass"]
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in
            ["shipping", "token_type", "tokenExpiresIn", "expires_in", "compass", "side", "auth_url", "tokentype"]
        {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(is_quantity_name("session_timeout") && is_quantity_name("exp") && !is_quantity_name("pin"));
    }
}
