//! Instances that are configured and whose component is still being loaded.
//!
//! Until then the saved lease of such an instance stays published, and its saved record is kept back: the schedule would
//! delete a record that comes without its instance.

use deputy_core::time::Now;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use deputy_core::InstanceName;
use deputy_core::schedule::{Lease, LeaseRecord};
use deputy_metrics::LeaseMetrics;

use crate::status::{InstanceStatus, ListedInstance, loading_metrics};

#[derive(Default)]
pub(crate) struct PendingInstances {
    names: BTreeSet<InstanceName>,
    /// Saved records of instances that the schedule does not know yet.
    records: BTreeMap<InstanceName, LeaseRecord>,
    /// Instances whose saved lease was published at the start.
    published: BTreeSet<InstanceName>,
    /// Instances whose lease was requested meanwhile.
    requested: BTreeSet<InstanceName>,
}

/// What the schedule gets to know of an instance that is loaded.
pub(crate) struct AdmittedInstance {
    pub(crate) record: Option<LeaseRecord>,
    pub(crate) is_requested: bool,
}

impl PendingInstances {
    /// Keeps a record that was saved by an earlier process.
    pub(crate) fn restore(&mut self, name: InstanceName, record: LeaseRecord, is_published: bool) {
        if is_published {
            self.published.insert(name.clone());
        }
        self.records.insert(name, record);
    }

    /// Replaces the instances that are being loaded. Returns the records of all others, and whether the lease of each is
    /// published.
    pub(crate) fn replace(&mut self, names: BTreeSet<InstanceName>) -> Vec<(InstanceName, LeaseRecord, bool)> {
        self.names = names;
        let (kept, released) =
            mem::take(&mut self.records).into_iter().partition(|(name, _)| self.names.contains(name));
        self.records = kept;
        let released: BTreeMap<InstanceName, LeaseRecord> = released;
        released
            .into_iter()
            .map(|(name, record)| {
                let is_published = self.published.remove(&name);
                (name, record, is_published)
            })
            .collect()
    }

    /// Hands an instance over to the schedule.
    pub(crate) fn admit(&mut self, name: &InstanceName) -> AdmittedInstance {
        self.names.remove(name);
        self.published.remove(name);
        AdmittedInstance { record: self.records.remove(name), is_requested: self.requested.remove(name) }
    }

    pub(crate) fn contains(&self, name: &InstanceName) -> bool {
        self.names.contains(name)
    }

    pub(crate) fn request_lease(&mut self, name: InstanceName) {
        self.requested.insert(name);
    }

    pub(crate) fn status(&self, name: &InstanceName, now: Now) -> Option<InstanceStatus> {
        self.contains(name).then(|| InstanceStatus::loading(name, self.published_lease(name), now))
    }

    pub(crate) fn listed(&self) -> impl Iterator<Item = ListedInstance<'_>> {
        self.names.iter().map(|name| ListedInstance::Loading(name, self.published_lease(name)))
    }

    pub(crate) fn metrics(&self, now: Now) -> impl Iterator<Item = LeaseMetrics> {
        self.names.iter().map(move |name| loading_metrics(name, self.published_lease(name), now))
    }

    fn published_lease(&self, name: &InstanceName) -> Option<&Lease> {
        self.records.get(name)?.lease.as_ref().filter(|_| self.published.contains(name))
    }
}
