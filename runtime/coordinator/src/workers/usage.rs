//! Reports to the schedule how many workers use each instance: an instance on demand that nothing uses is not kept alive.

use std::collections::BTreeMap;
use std::sync::Arc;

use deputy_core::{GroupName, InstanceName};
use deputy_link::server::Sessions;
use deputy_metrics::CoordinatorMetrics;

use crate::deliveries::Deliveries;
use crate::handle::CoordinatorHandle;

/// After this number of reports, all numbers are reported again, since the schedule forgets them when an instance changes.
const FULL_REPORT: u64 = 10;

pub(super) struct UsageReporter {
    sessions: Arc<Sessions>,
    handle: CoordinatorHandle,
    metrics: Arc<CoordinatorMetrics>,
    reports: u64,
    /// The numbers that were reported last.
    reported: BTreeMap<InstanceName, u32>,
}

impl UsageReporter {
    pub(super) fn new(sessions: Arc<Sessions>, handle: CoordinatorHandle, metrics: Arc<CoordinatorMetrics>) -> Self {
        Self { sessions, handle, metrics, reports: 0, reported: BTreeMap::new() }
    }

    /// Reports what changed since the last report.
    pub(super) async fn report(&mut self, deliveries: &Deliveries) {
        self.reports += 1;
        if self.reports.is_multiple_of(FULL_REPORT) {
            self.reported.clear();
        }
        self.metrics.set_connected_workers(self.sessions.connected());
        let users = self.users(deliveries);
        let unused = self.reported.keys().filter(|instance| !users.contains_key(*instance));
        let mut changed: Vec<(InstanceName, u32)> = unused.map(|instance| (instance.clone(), 0)).collect();
        for (instance, count) in &users {
            if self.reported.get(instance) != Some(count) {
                changed.push((instance.clone(), *count));
            }
        }
        for (instance, count) in changed {
            if self.handle.set_users(instance, count).await.is_err() {
                return;
            }
        }
        self.reported = users;
    }

    fn users(&self, deliveries: &Deliveries) -> BTreeMap<InstanceName, u32> {
        let mut workers: BTreeMap<GroupName, u32> = BTreeMap::new();
        for session in self.sessions.all().into_iter().filter(|session| session.left().is_none()) {
            let count = workers.entry(session.group.clone()).or_default();
            *count = count.saturating_add(1);
        }
        let mut users: BTreeMap<InstanceName, u32> = BTreeMap::new();
        for (name, count) in workers {
            for instance in deliveries.groups.get(&name).iter().flat_map(|group| &group.instances) {
                let users = users.entry(instance.clone()).or_default();
                *users = users.saturating_add(count);
            }
        }
        users
    }
}
