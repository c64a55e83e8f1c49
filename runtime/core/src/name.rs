//! Names that operators and authors give: instances, components, secrets, services, groups of workers, receivers.
//!
//! All obey one rule, so that a name is safe in a file name, a log line, a TOML key and a metric's label.

#![deny(missing_docs)]

use std::fmt;
use std::str::FromStr;

use crate::excerpt;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: use 1 to 63 lower-case letters, digits and inner hyphens, beginning with a letter")]
pub struct NameError(String);

/// The name of an installed component: `s3-sts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentName(String);

/// The name of a group of workers, which may all have the same: `analytics`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

/// The name of a configured instance: `s3-prod`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceName(String);

/// The name of a configured login to Kerberos: `etl`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginName(String);

/// The name of a configured receiver: `aws`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiverName(String);

/// The name that an operator gave a secret: `aws-key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

/// The kind of an external system: `s3`, `hdfs`, `kafka`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

macro_rules! name {
    ($type:ident) => {
        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                checked(text).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(ComponentName);
name!(GroupName);
name!(InstanceName);
name!(LoginName);
name!(ReceiverName);
name!(SecretName);
name!(ServiceName);

impl SecretName {
    /// What denials call the token that the host adds by `negotiate`, which is no secret of the operator's.
    pub fn negotiate() -> Self {
        Self("negotiate".to_owned())
    }
}

pub(crate) fn checked(text: &str) -> Result<String, NameError> {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if plain && begins && !text.ends_with('-') && text.len() <= 63 {
        Ok(text.to_owned())
    } else {
        Err(NameError(excerpt(text, 80)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_survives_the_round_trip() {
        for text in ["s", "s3-prod", "a-1-b", &"a".repeat(63)] {
            assert_eq!(text.parse::<InstanceName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn name_rejects_ambiguous_text() {
        for text in ["", "-a", "a-", "3s", "S3", "a_b", "a b", "../a", "a\n", "ä", &"a".repeat(64)] {
            assert!(text.parse::<SecretName>().is_err(), "{text:?}");
        }
    }
}
