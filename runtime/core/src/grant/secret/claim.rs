//! The claims of a JSON Web Token beside those that have a key of their own in a grant.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The name of a claim that only the key `claims` of a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimName(String);

/// The permitted values of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimGrant {
    /// Any, of any type; the claim may be missing.
    Any,
    /// One of these texts, or a list of them; the claim must be present.
    OneOf(BTreeSet<String>),
}

/// The value of a claim, to compare with a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimValue {
    /// A text, or a list of one or more.
    Texts(Vec<String>),
    Other,
}

/// Why a text is not the name of such a claim. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimNameError {
    /// A character at which verifiers end or trim names, or a letter that only looks like another.
    #[error("not the name of a claim: use 1 to {MAX_NAME} visible ASCII characters, without spaces")]
    Form,
    /// A key that only looks like a registered one.
    #[error("the name of a claim differs from `{0}` in case only: verifiers disagree about such names")]
    Lookalike(&'static str),
    /// A claim with a key of its own.
    #[error("`{name}` is not granted here: {instead}")]
    Registered {
        name: &'static str,
        /// What grants it.
        instead: &'static str,
    },
}

/// Bytes of a claim's name.
const MAX_NAME: usize = 128;

/// The claims of RFC 7519, which a verifier acts upon, and what grants each of them.
const REGISTERED: [(&str, &str); 7] = [
    ("aud", "use `audiences`"),
    ("exp", "use `max-lifetime`"),
    ("iat", "every token has it"),
    ("iss", "use `issuers`"),
    ("jti", "every token may have it"),
    ("nbf", "every token may have it"),
    ("sub", "use `subjects`"),
];

impl ClaimName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClaimName {
    type Err = ClaimNameError;

    fn from_str(text: &str) -> Result<Self, ClaimNameError> {
        if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClaimNameError::Form);
        }
        match REGISTERED.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
            Some((name, instead)) if name == text => Err(ClaimNameError::Registered { name, instead }),
            Some((name, _)) => Err(ClaimNameError::Lookalike(name)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl Borrow<str> for ClaimName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_name_is_visible_ascii_of_bounded_length() {
        let long = "a".repeat(MAX_NAME);
        for good in ["scope", "https://example.com/claims/x", "~", "\"", &long] {
            assert_eq!(good.parse::<ClaimName>().unwrap().to_string(), good);
        }
        for bad in
            ["", " ", "a b", "scope ", "scope\0", "\0", "a\n", "a\t", "a\u{7f}", "ſub", "é", "a\u{200b}", &(long + "a")]
        {
            assert_eq!(bad.parse::<ClaimName>(), Err(ClaimNameError::Form), "{bad:?}");
        }
    }

    #[test]
    fn claim_name_is_neither_registered_nor_like_it() {
        for (name, instead) in REGISTERED {
            assert_eq!(name.parse::<ClaimName>(), Err(ClaimNameError::Registered { name, instead }));
            assert_eq!(name.to_uppercase().parse::<ClaimName>(), Err(ClaimNameError::Lookalike(name)));
        }
        assert_eq!("aUd".parse::<ClaimName>(), Err(ClaimNameError::Lookalike("aud")));
    }
}
