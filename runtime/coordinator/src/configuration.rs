//! A configuration as the coordinator takes it, and what changes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deputy_core::schedule::{InstancePlan, ScheduleConfig};
use deputy_core::{FileSource, InstanceName};

use crate::deliveries::Deliveries;
use crate::provider::ConfiguredProvider;

/// The payload files of all instances that have one.
pub type FilePlan = BTreeMap<InstanceName, FileSource>;

/// One configuration. It takes effect as a whole: in the schedule and in what workers get.
#[derive(Clone)]
pub struct CoordinatorConfig {
    pub configuration: ScheduleConfig,
    /// The providers of the instances that have a component.
    pub providers: BTreeMap<InstanceName, Arc<dyn ConfiguredProvider>>,
    pub files: FilePlan,
    /// Instances whose component is not loaded yet. They follow with
    /// [`CoordinatorHandle::loaded`](crate::CoordinatorHandle::loaded).
    pub loading: BTreeSet<InstanceName>,
    pub deliveries: Deliveries,
}

/// What was loaded after its configuration was applied. An instance that cannot be loaded is in here, too: its provider
/// fails every call with the reason.
#[derive(Default)]
pub struct LoadedInstances {
    pub plans: BTreeMap<InstanceName, InstancePlan>,
    pub providers: BTreeMap<InstanceName, Arc<dyn ConfiguredProvider>>,
    /// All deliveries of the configuration, if they changed.
    pub deliveries: Option<Deliveries>,
}

/// What a configuration changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadSummary {
    pub added: Vec<InstanceName>,
    pub changed: Vec<InstanceName>,
    pub removed: Vec<InstanceName>,
    pub unchanged: usize,
    /// The number of the configuration, for [`CoordinatorHandle::loaded`](crate::CoordinatorHandle::loaded).
    pub generation: u64,
}
