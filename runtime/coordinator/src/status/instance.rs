//! The status of one instance.

use deputy_core::schedule::{InstancePlan, InstanceSnapshot, Lease};
use deputy_core::time::Now;
use deputy_core::{InstanceName, ServiceName, Timestamp};
use deputy_local::{FailureStatus, signed_millis};

use super::page::is_ready;
use super::{FOLLOWING, InstanceStatus, LeaseStatus, NotRevokedStatus, reason};
use crate::file_watcher::FileObservation;
use crate::leader::LeaderView;

/// The state of an instance whose component is being loaded.
const LOADING: &str = "loading";

/// The state of an instance whose lease a follower has not read yet.
const READING: &str = "reading";

/// What a follower knows of the lease of an instance.
pub(crate) enum FollowedLease {
    Valid(Lease),
    /// The last one ended then, and the leader has not replaced it.
    Expired(Timestamp),
    Missing,
    /// The leases are still to be read.
    Unread,
}

impl FollowedLease {
    pub(crate) fn valid(&self) -> Option<&Lease> {
        if let Self::Valid(lease) = self { Some(lease) } else { None }
    }
}

impl InstanceStatus {
    pub(crate) fn of(snapshot: &InstanceSnapshot<'_>, file: Option<&FileObservation>, now: Now) -> Self {
        let file_trouble = file.and_then(|file| reason::file_trouble(file, now));
        let exports = snapshot.plan.component.unwrap_or_default();
        Self {
            name: snapshot.name.to_string(),
            service: snapshot.plan.service.as_ref().map(ServiceName::to_string),
            ready: is_ready(snapshot.readiness),
            reason: reason::reason(snapshot, file_trouble.as_deref()),
            state: reason::state(&snapshot.activity).to_owned(),
            lease: snapshot.lease.map(|lease| LeaseStatus::of(lease, now)),
            next: snapshot.next.map(|time| time.to_string()),
            next_in_ms: snapshot.next.map(|time| signed_millis(now.wall, time)),
            last_success: snapshot.last_success.map(|time| time.to_string()),
            failures: snapshot.failures,
            trouble: snapshot.failure.map(FailureStatus::from),
            file_trouble,
            unsaved: snapshot.unsaved.filter(|_| snapshot.published_unsaved).map(str::to_owned),
            to_revoke: snapshot.retired,
            not_revoked: snapshot.abandoned.map(|abandoned| NotRevokedStatus {
                count: abandoned.count,
                revision: abandoned.revision.0,
                reason: abandoned.why.word().to_owned(),
                message: abandoned.why.to_string(),
                at: abandoned.at.to_string(),
            }),
            users: snapshot.users,
            upstream: snapshot.plan.upstream.to_string(),
            component: snapshot.plan.component.is_some(),
            renews: exports.renews,
            revokes: exports.revokes,
            login: None,
            kept_state: None,
        }
    }

    /// An instance whose component is being loaded, with the lease of an earlier process that is published meanwhile.
    pub(crate) fn loading(name: &InstanceName, lease: Option<&Lease>, now: Now) -> Self {
        let is_valid = lease.is_some_and(|lease| lease.is_valid(now.wall));
        let lease_state = match lease {
            None => reason::NO_LEASE,
            Some(_) if is_valid => "",
            Some(_) => reason::EXPIRED,
        };
        Self {
            name: name.to_string(),
            service: lease.and_then(|lease| lease.service.as_ref()).map(ServiceName::to_string),
            ready: is_valid,
            reason: format!("{lease_state}its component is being loaded"),
            state: LOADING.to_owned(),
            lease: lease.map(|lease| LeaseStatus::of(lease, now)),
            next: None,
            next_in_ms: None,
            last_success: None,
            failures: 0,
            trouble: None,
            file_trouble: None,
            unsaved: None,
            to_revoke: 0,
            not_revoked: None,
            users: 0,
            upstream: String::new(),
            component: true,
            renews: false,
            revokes: false,
            login: None,
            kept_state: None,
        }
    }

    /// An instance whose lease another coordinator obtains.
    pub(crate) fn followed(
        name: &InstanceName,
        plan: &InstancePlan,
        lease: &FollowedLease,
        leader: &LeaderView,
        now: Now,
    ) -> Self {
        let exports = plan.component.unwrap_or_default();
        let is_on_demand = plan.policy.mode.is_on_demand();
        let lease_state = match lease {
            FollowedLease::Valid(_) => "held; ".to_owned(),
            FollowedLease::Unread => "its lease is being read from etcd; ".to_owned(),
            FollowedLease::Expired(_) | FollowedLease::Missing if is_on_demand => "on demand; ".to_owned(),
            FollowedLease::Expired(at) => format!("its lease expired at {at}; "),
            FollowedLease::Missing => reason::NO_LEASE.to_owned(),
        };
        let state = if matches!(lease, FollowedLease::Unread) { READING } else { FOLLOWING };
        let lease = lease.valid();
        Self {
            ready: lease.is_some() || is_on_demand,
            service: plan.service.as_ref().map(ServiceName::to_string),
            reason: format!("{lease_state}{}", leader.brief()),
            state: state.to_owned(),
            upstream: plan.upstream.to_string(),
            component: plan.component.is_some(),
            renews: exports.renews,
            revokes: exports.revokes,
            ..Self::loading(name, lease, now)
        }
    }

    pub fn is_loading(&self) -> bool {
        self.state == LOADING
    }

    /// Whether another coordinator obtains its lease, which is not read yet.
    pub fn is_being_read(&self) -> bool {
        self.state == READING
    }
}
