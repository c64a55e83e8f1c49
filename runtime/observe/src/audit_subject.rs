//! Who acts: a component on behalf of a configured instance or of a configured receiver; or a worker.

use std::fmt;

use deputy_core::{InstanceName, ReceiverName};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
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

    /// As a key and its value: in audit events and as a metric's label.
    fn pair(&self) -> (&'static str, &str) {
        match self {
            Self::Instance(name) => ("instance", name.as_str()),
            Self::Receiver(name) => ("receiver", name.as_str()),
            Self::Worker(id) => ("worker", id),
        }
    }
}

impl fmt::Display for AuditSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pair().1)
    }
}

impl Serialize for AuditSubject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, name) = self.pair();
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(kind, name)?;
        map.end()
    }
}

impl EncodeLabelSet for AuditSubject {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [self.pair()].encode(encoder)
    }
}
