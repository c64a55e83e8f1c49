//! The name of a value: `lease/s3-prod`.
//!
//! Both halves consist of letters, digits and hyphens alone, so that a key is safe in a file name, in the subject of a
//! message and in a log line, and can be parsed from there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use deputy_core::{InstanceName, excerpt};

/// The first half of a key, for all values of one sort: `lease`, `worker`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Cow<'static, str>);

/// The name of one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey {
    namespace: Namespace,
    name: String,
}

/// A set of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPrefix {
    All,
    Namespace(Namespace),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreKeyError {
    #[error("{0:?} is not a key: write a namespace and a name, such as \"lease/s3-prod\"")]
    Form(String),
    #[error("{0:?} is not a namespace: use 1 to 32 lower-case letters and inner hyphens")]
    Namespace(String),
    #[error("{0:?} is not a key's name: use 1 to 128 lower-case letters, digits and inner hyphens")]
    Name(String),
}

const MAX_NAMESPACE_LENGTH: usize = 32;
/// Characters of a foreign text in an error.
const EXCERPT: usize = 80;

const MAX_NAME_LENGTH: usize = 128;

impl Namespace {
    /// For constants: `const LEASE: Namespace = Namespace::new("lease");` does not compile if the text is no namespace.
    pub const fn new(text: &'static str) -> Self {
        assert!(is_namespace(text), "not a namespace: use 1 to 32 lower-case letters and inner hyphens");
        Self(Cow::Borrowed(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StoreKey {
    pub fn new(namespace: &Namespace, name: &str) -> Result<Self, StoreKeyError> {
        if !is_name(name) {
            return Err(StoreKeyError::Name(excerpt(name, EXCERPT)));
        }
        Ok(Self { namespace: namespace.clone(), name: name.to_owned() })
    }

    pub fn of_instance(namespace: &Namespace, name: &InstanceName) -> Self {
        // The rule for the names of instances is stricter.
        Self { namespace: namespace.clone(), name: name.as_str().to_owned() }
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl KeyPrefix {
    pub fn contains(&self, key: &StoreKey) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => key.namespace == *namespace,
        }
    }
}

impl FromStr for Namespace {
    type Err = StoreKeyError;

    fn from_str(text: &str) -> Result<Self, StoreKeyError> {
        if is_namespace(text) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(StoreKeyError::Namespace(excerpt(text, EXCERPT)))
        }
    }
}

impl FromStr for StoreKey {
    type Err = StoreKeyError;

    fn from_str(text: &str) -> Result<Self, StoreKeyError> {
        let (namespace, name) = text.split_once('/').ok_or_else(|| StoreKeyError::Form(excerpt(text, EXCERPT)))?;
        Self::new(&namespace.parse()?, name)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

const fn is_namespace(text: &str) -> bool {
    text.len() <= MAX_NAMESPACE_LENGTH && has_syntax(text.as_bytes(), false)
}

const fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_LENGTH && has_syntax(text.as_bytes(), true)
}

/// Whether a text consists of lower-case letters and, if allowed, digits, with hyphens between them.
const fn has_syntax(mut rest: &[u8], allows_digits: bool) -> bool {
    let mut before = None;
    while let [byte, others @ ..] = rest {
        let is_plain = byte.is_ascii_lowercase() || (allows_digits && byte.is_ascii_digit());
        if !is_plain && (*byte != b'-' || before.is_none() || others.is_empty()) {
            return false;
        }
        before = Some(*byte);
        rest = others;
    }
    before.is_some()
}

#[cfg(test)]
mod tests;
