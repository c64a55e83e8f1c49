//! Kinds of payload, by which deliveries are matched with receivers.

#![deny(missing_docs)]

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::{excerpt, name};

/// The format of a payload: a name, and the number of an incompatible version: `aws-credential-process/1`. Compared whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadKind(String);

/// The kinds that a provider can obtain, or that a receiver takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kinds {
    /// All kinds: a receiver that does not look into payloads, or whose operator says how to.
    Any,
    /// These kinds, at least one.
    Named(BTreeSet<PayloadKind>),
}

/// What a receiver names instead of kinds if it takes all of them.
const ANY: &str = "*";
/// The most kinds that a component can name.
const MOST_KINDS: usize = 64;

/// Why a text is no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a kind of payload: write a name (1 to 63 lower-case letters, digits and inner hyphens, beginning with a \
     letter), a slash and a number from 1 to 65535, such as \"bearer-token/1\""
)]
pub struct PayloadKindError(String);

/// Why a component's answer is no list of kinds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindsError {
    /// One of them is no kind.
    #[error(transparent)]
    Kind(#[from] PayloadKindError),
    /// There are none.
    #[error("the component names no kind of payload")]
    None,
    /// There are too many.
    #[error("the component names {0} kinds of payload, more than {MOST_KINDS}")]
    TooMany(usize),
}

impl PayloadKind {
    /// The kind as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PayloadKind {
    type Err = PayloadKindError;

    fn from_str(text: &str) -> Result<Self, PayloadKindError> {
        let error = || PayloadKindError(excerpt(text, 80));
        let (name, version) = text.split_once('/').ok_or_else(error)?;
        name::checked(name).map_err(|_| error())?;
        let number: u16 = version.parse().map_err(|_| error())?;
        if number == 0 || number.to_string() != version {
            return Err(error());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for PayloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Kinds {
    /// Exactly this kind.
    pub fn only(kind: PayloadKind) -> Self {
        Self::Named(BTreeSet::from([kind]))
    }

    /// Whether payloads of this kind are among them.
    pub fn accept(&self, kind: &PayloadKind) -> bool {
        match self {
            Self::Any => true,
            Self::Named(kinds) => kinds.contains(kind),
        }
    }

    /// Those of `others` that are not among these.
    pub fn missing<'a>(&self, others: &'a BTreeSet<PayloadKind>) -> Vec<&'a PayloadKind> {
        others.iter().filter(|kind| !self.accept(kind)).collect()
    }

    /// The kind, if there is exactly one.
    pub fn single(&self) -> Option<&PayloadKind> {
        match self {
            Self::Named(kinds) if kinds.len() == 1 => kinds.first(),
            Self::Any | Self::Named(_) => None,
        }
    }

    /// From a provider's words: kinds, at least one.
    ///
    /// # Errors
    /// If one of them is no kind, if there are none, or too many.
    pub fn parse_provider<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<PayloadKind>, KindsError> {
        let words: BTreeSet<&str> = words.into_iter().collect();
        match words.len() {
            0 => Err(KindsError::None),
            count if count > MOST_KINDS => Err(KindsError::TooMany(count)),
            _ => Ok(words.into_iter().map(str::parse).collect::<Result<_, _>>()?),
        }
    }

    /// From a receiver's words: kinds, or `*` alone.
    ///
    /// # Errors
    /// If one of them is no kind, if there are none, or too many.
    pub fn parse_receiver<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, KindsError> {
        let words: BTreeSet<&str> = words.into_iter().collect();
        if words.len() == 1 && words.contains(ANY) {
            return Ok(Self::Any);
        }
        Ok(Self::Named(Self::parse_provider(words)?))
    }

    /// The texts that a component names them by.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Any => vec![ANY.to_owned()],
            Self::Named(kinds) => kinds.iter().map(ToString::to_string).collect(),
        }
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any kind"),
            Self::Named(_) => f.write_str(&self.texts().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_survives_the_round_trip() {
        for text in ["aws-credential-process/1", "pem/12", "a/65535"] {
            assert_eq!(text.parse::<PayloadKind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn kind_rejects_other_text() {
        for text in
            ["", "pem", "pem/", "pem/0", "pem/01", "pem/1/1", "pem/+1", "pem/65536", "PEM/1", "/1", "a b/1", "*"]
        {
            assert!(text.parse::<PayloadKind>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn kinds_of_a_receiver_are_a_list_or_all() {
        let [pem, hadoop] = ["pem/1", "hadoop-token/1"].map(|kind| kind.parse().unwrap());
        let named = Kinds::parse_receiver(["pem/1", "bearer-token/1", "pem/1"]).unwrap();
        assert!(named.accept(&pem) && !named.accept(&hadoop));
        assert!(Kinds::parse_receiver(["*"]).unwrap().accept(&hadoop));
        assert_eq!(named.missing(&BTreeSet::from([pem, hadoop.clone()])), [&hadoop]);
    }

    #[test]
    fn kinds_reject_other_text() {
        assert_eq!(Kinds::parse_receiver([]), Err(KindsError::None));
        for words in [["pem/1", "*"].as_slice(), &[""], &["pem"]] {
            assert!(matches!(Kinds::parse_receiver(words.iter().copied()), Err(KindsError::Kind(_))), "{words:?}");
        }
        assert!(matches!(Kinds::parse_provider(["*"]), Err(KindsError::Kind(_))));
        let many: Vec<String> = (1..=65).map(|n| format!("pem/{n}")).collect();
        assert_eq!(Kinds::parse_provider(many.iter().map(String::as_str)), Err(KindsError::TooMany(65)));
    }
}
