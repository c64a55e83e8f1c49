//! Instances as the metrics show them.

use deputy_core::schedule::{InstanceSnapshot, Lease, Readiness};
use deputy_core::time::Now;
use deputy_core::{InstanceName, ServiceName, Timestamp};
use deputy_metrics::LeaseMetrics;

pub(crate) fn lease_metrics(snapshot: &InstanceSnapshot<'_>, now: Now) -> LeaseMetrics {
    LeaseMetrics {
        service: snapshot.plan.service.as_ref().map(ServiceName::to_string).unwrap_or_default(),
        last_success: snapshot.last_success.map(Timestamp::as_secs),
        failures: snapshot.failures,
        ready: matches!(snapshot.readiness, Readiness::Ready | Readiness::NotNeeded).into(),
        needed: u8::from(snapshot.readiness != Readiness::NotNeeded),
        retired: snapshot.retired,
        unsaved: snapshot.published_unsaved.into(),
        ..of_lease(snapshot.name, snapshot.lease, now)
    }
}

/// An instance whose component is being loaded.
pub(crate) fn loading_metrics(name: &InstanceName, lease: Option<&Lease>, now: Now) -> LeaseMetrics {
    LeaseMetrics {
        service: lease.and_then(|lease| lease.service.as_ref()).map(ServiceName::to_string).unwrap_or_default(),
        ready: lease.is_some_and(|lease| lease.is_valid(now.wall)).into(),
        needed: 1,
        ..of_lease(name, lease, now)
    }
}

fn of_lease(name: &InstanceName, lease: Option<&Lease>, now: Now) -> LeaseMetrics {
    LeaseMetrics {
        instance: name.to_string(),
        expiry: lease
            .map(|lease| lease.valid_until)
            .filter(|expiry| *expiry != Timestamp::FOREVER)
            .map(Timestamp::as_secs),
        obtained: lease.map(|lease| lease.obtained_at.as_secs()),
        age: lease.map(|lease| now.wall.since(lease.obtained_at).as_millis() / 1000),
        revision: lease.map(|lease| lease.revision.0),
        ..LeaseMetrics::default()
    }
}
