//! Under which name a value is kept: `lease/s3-prod`.
//!
//! Both halves are of letters, digits and hyphens alone, so that a key is safe in a file name, in the subject of a
//! message and in a log line, and survives the way there and back.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use deputy_core::InstanceName;

/// What sort of thing is kept: `lease`, `worker`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Cow<'static, str>);

/// The name of one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey {
    kind: Namespace,
    name: String,
}

/// Which keys are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPrefix {
    /// All there are.
    All,
    /// Those of one kind.
    Kind(Namespace),
}

/// A text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreKeyError {
    /// No slash in it.
    #[error("{0:?} is not a key: write a kind and a name, such as \"lease/s3-prod\"")]
    Form(String),
    /// The first half.
    #[error("{0:?} is not a kind: use 1 to 32 lower-case letters and inner hyphens")]
    Kind(String),
    /// The second half.
    #[error("{0:?} is not a key's name: use 1 to 128 lower-case letters, digits and inner hyphens")]
    Name(String),
}

const LONGEST_KIND: usize = 32;
const LONGEST_NAME: usize = 128;

impl Namespace {
    /// A kind that the program's text names. For constants: `const LEASE: Kind = Kind::new("lease");` does not compile
    /// if the text is no kind.
    pub const fn new(text: &'static str) -> Self {
        assert!(is_kind(text), "not a kind: use 1 to 32 lower-case letters and inner hyphens");
        Self(Cow::Borrowed(text))
    }

    /// The kind as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StoreKey {
    /// The key of a kind and a name.
    pub fn new(kind: &Namespace, name: &str) -> Result<Self, StoreKeyError> {
        if !is_name(name) {
            return Err(StoreKeyError::Name(shown(name)));
        }
        Ok(Self { kind: kind.clone(), name: name.to_owned() })
    }

    /// What is kept of an instance.
    pub fn of_instance(kind: &Namespace, name: &InstanceName) -> Self {
        // The names of instances obey a stricter rule.
        Self { kind: kind.clone(), name: name.as_str().to_owned() }
    }

    /// The first half.
    pub fn kind(&self) -> &Namespace {
        &self.kind
    }

    /// The second half.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl KeyPrefix {
    /// Whether the key is one of them.
    pub fn contains(&self, key: &StoreKey) -> bool {
        match self {
            Self::All => true,
            Self::Kind(kind) => key.kind == *kind,
        }
    }
}

impl FromStr for Namespace {
    type Err = StoreKeyError;

    fn from_str(text: &str) -> Result<Self, StoreKeyError> {
        if is_kind(text) { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(StoreKeyError::Kind(shown(text))) }
    }
}

impl FromStr for StoreKey {
    type Err = StoreKeyError;

    fn from_str(text: &str) -> Result<Self, StoreKeyError> {
        let (kind, name) = text.split_once('/').ok_or_else(|| StoreKeyError::Form(shown(text)))?;
        Self::new(&kind.parse()?, name)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

const fn is_kind(text: &str) -> bool {
    text.len() <= LONGEST_KIND && has_form(text.as_bytes(), false)
}

const fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME && has_form(text.as_bytes(), true)
}

/// Letters and, where they are wanted, digits, with hyphens between them.
const fn has_form(mut rest: &[u8], digits: bool) -> bool {
    let mut before = None;
    while let [byte, others @ ..] = rest {
        let plain = byte.is_ascii_lowercase() || (digits && byte.is_ascii_digit());
        if !plain && (*byte != b'-' || before.is_none() || others.is_empty()) {
            return false;
        }
        before = Some(*byte);
        rest = others;
    }
    before.is_some()
}

/// Of what somebody else wrote, as much as a line takes.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
