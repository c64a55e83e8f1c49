//! A receiver as it is called: which component, with which settings and limits, and what it accepts.

#![deny(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::{Digest, Limits, ReceiverName, ServiceName};

/// A receiver's component and what it is called with. There is no grant in it: a receiver reaches no network and no
/// secret, it gets deliveries and leaves files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverPlan {
    /// Its name.
    pub name: ReceiverName,
    /// The component's file.
    pub component: PathBuf,
    /// What the component's file must have as its SHA-256.
    pub sha256: Option<Digest>,
    /// The component's arguments. No secrets.
    pub settings: BTreeMap<String, String>,
    /// What a call may use.
    pub limits: Limits,
}

/// Whose payloads a receiver understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Services {
    /// Those of all services: it doesn't look into them, or the operator says how to.
    Any,
    /// Those of these services.
    Named(BTreeSet<ServiceName>),
}

/// What a receiver says instead of services' names if it takes all of them.
const ANY: &str = "*";

/// A receiver's answer to which services it accepts is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServicesError {
    /// A name is none.
    #[error("the services of a receiver: {0}")]
    Name(#[from] crate::NameError),
    /// There are none.
    #[error("the receiver names no services: it must name at least one, or `*` for all")]
    None,
}

impl Services {
    /// Whether these payloads are among them.
    pub fn accept(&self, service: &ServiceName) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => names.contains(service),
        }
    }

    /// From a receiver's own words: names, or `*` alone.
    ///
    /// # Errors
    /// If one of them is no name, or if there are none.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, ServicesError> {
        let words: BTreeSet<&str> = words.into_iter().collect();
        if words.is_empty() {
            return Err(ServicesError::None);
        }
        if words.len() == 1 && words.contains(ANY) {
            return Ok(Self::Any);
        }
        Ok(Self::Named(words.into_iter().map(str::parse).collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any service"),
            Self::Named(names) => {
                let names: Vec<&str> = names.iter().map(ServiceName::as_str).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_services_are_a_list_or_all() {
        let s3 = "s3".parse().unwrap();
        let hdfs = "hdfs".parse().unwrap();
        let named = Services::parse(["s3", "kafka", "s3"]).unwrap();
        assert!(named.accept(&s3) && !named.accept(&hdfs));
        let any = Services::parse(["*"]).unwrap();
        assert!(any.accept(&s3) && any.accept(&hdfs));
    }

    #[test]
    fn receiver_services_reject_other_text() {
        assert_eq!(Services::parse([]), Err(ServicesError::None));
        for words in [["s3", "*"].as_slice(), &[""], &["S3"], &["s*"], &["a\n"]] {
            assert!(matches!(Services::parse(words.iter().copied()), Err(ServicesError::Name(_))), "{words:?}");
        }
    }
}
