//! What a coordinator holds at the time of a scrape: its leases and its upstreams.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use deputy_core::InstanceName;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::labels::{InstanceLabels, InstanceServiceLabels, UpstreamLabels};
use crate::logins::LoginMetrics;
use crate::table::{gauge_value, metrics_table};

/// One instance. Times are in seconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct LeaseMetrics {
    pub instance: String,
    pub service: String,
    /// `None` without a lease, and for one that does not expire.
    pub expiry: Option<u64>,
    pub obtained: Option<u64>,
    /// Seconds since the lease was obtained.
    pub age: Option<u64>,
    pub revision: Option<u64>,
    pub last_success: Option<u64>,
    /// Failed calls since the last success.
    pub failures: u32,
    /// 1 or 0.
    pub ready: u8,
    /// Whether it needs a valid lease: 1 or 0.
    pub needed: u8,
    /// Leases that wait for revocation.
    pub retired: usize,
    /// Whether the published lease is unsaved: 1 or 0.
    pub unsaved: u8,
}

/// What a coordinator holds.
#[derive(Debug, Clone, Default)]
pub struct CoordinatorSnapshot {
    /// Whether it obtains leases itself.
    pub is_leading: bool,
    /// Whether the state in etcd cannot be read.
    pub is_state_failing: bool,
    /// Whether the coordinator that leads has another configuration.
    pub has_other_configuration: bool,
    pub leases: Vec<LeaseMetrics>,
    pub upstreams: Vec<UpstreamMetrics>,
    pub logins: Vec<LoginMetrics>,
    /// Each instance that workers get, with how many of those that are connected have not applied its newest lease.
    pub behind: BTreeMap<InstanceName, u64>,
}

#[derive(Debug, Clone, Default)]
pub struct UpstreamMetrics {
    pub name: String,
    /// Instances that wait for a call.
    pub waiting: usize,
    /// Calls that had to wait for the rate limit, since the start.
    pub waits: u64,
}

metrics_table! {
    HeldLeases {
        leading: Gauge, "leading", "Whether this coordinator obtains the leases, and not another one on the same state";
        state_failing: Gauge, "state_failing", "Whether the state in etcd cannot be read";
        configuration_differs: Gauge, "configuration_differs", "Whether the coordinator that leads has another configuration";
        expiry: Family<InstanceServiceLabels, Gauge>, "lease_expiry_timestamp_seconds", "Expiry of the published lease; absent if it does not expire";
        obtained: Family<InstanceServiceLabels, Gauge>, "lease_obtained_timestamp_seconds",
            "Time at which the published lease was obtained";
        age: Family<InstanceServiceLabels, Gauge>, "lease_age_seconds", "Age of the published lease";
        revision: Family<InstanceServiceLabels, Gauge>, "lease_revision", "Revision of the published lease";
        last_success: Family<InstanceServiceLabels, Gauge>, "last_success_timestamp_seconds",
            "Time of the last successful provider call";
        failures: Family<InstanceServiceLabels, Gauge>, "failures_in_a_row", "Consecutive failed provider calls";
        ready: Family<InstanceServiceLabels, Gauge>, "ready", "Whether the instance has a valid published lease";
        needed: Family<InstanceServiceLabels, Gauge>, "lease_needed",
            "Whether the instance should have a valid lease: 0 if it is on demand without consumers, or being removed";
        retired: Family<InstanceServiceLabels, Gauge>, "leases_to_revoke", "Retired leases waiting for revocation";
        unsaved: Family<InstanceServiceLabels, Gauge>, "lease_unsaved", "Whether the lease that is given out is not saved";
        behind: Family<InstanceLabels, Gauge>, "workers_behind", "Connected workers that have not applied the newest lease";
        waiting: Family<UpstreamLabels, Gauge>, "upstream_waiting", "Instances waiting for a provider call";
        waits: Family<UpstreamLabels, Counter>, "budget_waits", "Provider calls delayed by their upstream's rate limit";
    }
}

impl HeldLeases {
    /// Replaces the whole snapshot.
    pub(crate) fn set(&self, snapshot: &CoordinatorSnapshot) {
        self.clear();
        self.leading.set(snapshot.is_leading.into());
        self.state_failing.set(snapshot.is_state_failing.into());
        self.configuration_differs.set(snapshot.has_other_configuration.into());
        for lease in &snapshot.leases {
            self.set_lease(lease);
        }
        for (instance, count) in &snapshot.behind {
            let labels = InstanceLabels { instance: instance.to_string() };
            self.behind.get_or_create(&labels).set(gauge_value(*count));
        }
        for upstream in &snapshot.upstreams {
            let labels = UpstreamLabels { upstream: upstream.name.clone() };
            self.waiting.get_or_create(&labels).set(gauge_value(upstream.waiting as u64));
            self.waits.get_or_create(&labels).inner().store(upstream.waits, Ordering::Relaxed);
        }
    }

    fn clear(&self) {
        for family in [
            &self.expiry,
            &self.obtained,
            &self.age,
            &self.revision,
            &self.last_success,
            &self.failures,
            &self.ready,
            &self.needed,
            &self.retired,
            &self.unsaved,
        ] {
            family.clear();
        }
        self.behind.clear();
        self.waiting.clear();
    }

    fn set_lease(&self, lease: &LeaseMetrics) {
        let labels = InstanceServiceLabels { instance: lease.instance.clone(), service: lease.service.clone() };
        for (family, value) in [
            (&self.expiry, lease.expiry),
            (&self.obtained, lease.obtained),
            (&self.age, lease.age),
            (&self.revision, lease.revision),
            (&self.last_success, lease.last_success),
            (&self.failures, Some(lease.failures.into())),
            (&self.ready, Some(lease.ready.into())),
            (&self.needed, Some(lease.needed.into())),
            (&self.retired, Some(lease.retired as u64)),
            (&self.unsaved, Some(lease.unsaved.into())),
        ] {
            if let Some(value) = value {
                family.get_or_create(&labels).set(gauge_value(value));
            }
        }
    }
}
