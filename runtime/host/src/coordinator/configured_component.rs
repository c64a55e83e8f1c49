//! The components that a configuration names, and what each becomes when it is loaded.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use deputy_config::CoordinatorFile;
use deputy_coordinator::ConfiguredProvider;
use deputy_core::schedule::InstancePlan;
use deputy_core::{GroupName, InstanceName, ReceiverName};
use deputy_link::ReceiverBinding;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ConfiguredComponent {
    Instance(InstanceName),
    Receiver(GroupName, ReceiverName),
}

pub(crate) enum ReadyComponent {
    Instance(LoadedInstance),
    Receiver(ReceiverBinding, Bytes),
}

/// An instance that can be called, or each of whose calls fails with the reason why it could not be loaded.
pub(crate) struct LoadedInstance {
    pub(crate) plan: InstancePlan,
    pub(crate) provider: Arc<dyn ConfiguredProvider>,
}

impl ConfiguredComponent {
    /// All components that a configuration uses: those of enabled instances, and the receivers of groups.
    pub(crate) fn all(config: &CoordinatorFile) -> Vec<Self> {
        let instances = config.instances.values().filter(|entry| entry.enabled && entry.component.is_some());
        let receivers = config.groups.iter().flat_map(|(group, section)| {
            section.receivers.keys().map(|receiver| Self::Receiver(group.clone(), receiver.clone()))
        });
        instances.map(|entry| Self::Instance(entry.name.clone())).chain(receivers).collect()
    }
}

impl fmt::Display for ConfiguredComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(name) => name.fmt(f),
            Self::Receiver(group, name) => write!(f, "receiver {name} of the group {group}"),
        }
    }
}
