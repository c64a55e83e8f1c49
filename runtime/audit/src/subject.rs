//! The subject of an audit event: a component on behalf of an instance or a receiver; or a worker.

use std::fmt;

use deputy_core::{InstanceName, ReceiverName};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Instances and receivers may have the same name, so every record says which of them it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AuditSubject {
    Instance(InstanceName),
    Receiver(ReceiverName),
    /// The id of a worker; `-` for a peer without an identity.
    Worker(String),
}

impl AuditSubject {
    pub fn instance(&self) -> Option<&InstanceName> {
        match self {
            Self::Instance(name) => Some(name),
            Self::Receiver(_) | Self::Worker(_) => None,
        }
    }

    pub fn receiver(&self) -> Option<&ReceiverName> {
        match self {
            Self::Instance(_) | Self::Worker(_) => None,
            Self::Receiver(name) => Some(name),
        }
    }

    /// The key and value that stand for the subject in audit events and as a metric label.
    pub fn kind_and_name(&self) -> (&'static str, &str) {
        match self {
            Self::Instance(name) => ("instance", name.as_str()),
            Self::Receiver(name) => ("receiver", name.as_str()),
            Self::Worker(id) => ("worker", id),
        }
    }
}

impl fmt::Display for AuditSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind_and_name().1)
    }
}

impl Serialize for AuditSubject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, name) = self.kind_and_name();
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(kind, name)?;
        map.end()
    }
}
