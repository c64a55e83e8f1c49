//! Who acts: a component on behalf of a configured instance or of a configured receiver; or a worker.

use std::fmt;

use deputy_core::{InstanceName, ReceiverName};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Who acts. The two kinds have names of their own, so one name may stand for one of each: every record says which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AuditSubject {
    /// A configured instance, by its provider.
    Instance(InstanceName),
    /// A configured receiver.
    Receiver(ReceiverName),
    /// A worker, by its id; `-` of one that has none yet.
    Worker(String),
}

impl AuditSubject {
    /// The instance, if it is one.
    pub fn instance(&self) -> Option<&InstanceName> {
        match self {
            Self::Instance(name) => Some(name),
            Self::Receiver(_) | Self::Worker(_) => None,
        }
    }

    /// The receiver, if it is one.
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
