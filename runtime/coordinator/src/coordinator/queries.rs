//! Answers about what the coordinator holds.

use std::collections::BTreeMap;

use deputy_core::schedule::InstanceSnapshot;
use deputy_core::time::Now;
use deputy_core::{InstanceName, LoginName};
use deputy_metrics::{CoordinatorSnapshot, UpstreamMetrics};

use super::Coordinator;
use crate::login_snapshot::LoginSnapshot;
use crate::request_error::ControlRequestError;
use crate::status::{
    CoordinatorStatus, InstanceStatus, KeptStateStatus, KerberosLoginStatus, LEADING, ListedInstance, MAX_LISTED,
    OrphanStatus, StatusPage, StatusQuery, UpstreamStatus, lease_metrics, login_metrics,
};

impl Coordinator {
    pub(super) fn status(&self, query: &StatusQuery) -> CoordinatorStatus {
        let now = self.replica.options.clock.now();
        let scheduled = self.schedule.instances(now).map(ListedInstance::Scheduled);
        let page = StatusPage::of(scheduled.chain(self.pending.listed()), query, now);
        let instances = page.instances.iter().map(|listed| match listed {
            ListedInstance::Scheduled(snapshot) => self.scheduled_status(snapshot, now),
            other => InstanceStatus::loading(other.name(), other.lease(), now),
        });
        CoordinatorStatus {
            role: LEADING.to_owned(),
            leader: self.replica.options.is_shared.then(|| self.replica.options.name.clone()),
            configuration: self.replica.digest().borrow().clone(),
            starting: self.replica.generation == 0,
            ready: self.replica.generation > 0 && page.ready == page.total,
            instance_count: page.total,
            ready_count: page.ready,
            instances: instances.map(|status| self.with_kept_state(status)).collect(),
            next: page.next.map(|name| name.to_string()),
            upstreams: self.upstream_statuses(now),
            logins: self
                .logins(now)
                .values()
                .take(MAX_LISTED)
                .map(|login| KerberosLoginStatus::of(login, now.wall))
                .collect(),
            orphans: self
                .schedule
                .orphans(now)
                .take(MAX_LISTED)
                .map(|(name, kept_for)| OrphanStatus::of(name, kept_for))
                .collect(),
            ..CoordinatorStatus::of_process(self.replica.started_at, now)
        }
    }

    fn upstream_statuses(&self, now: Now) -> Vec<UpstreamStatus> {
        let mut upstreams: Vec<_> = self.schedule.upstreams(now).collect();
        if upstreams.len() > MAX_LISTED {
            // Stable, so that those alike stay in the order of their names.
            upstreams.sort_by_key(|upstream| std::cmp::Reverse(upstream.waiting));
            upstreams.truncate(MAX_LISTED);
        }
        upstreams.iter().map(UpstreamStatus::of).collect()
    }

    pub(super) fn instance_status(&self, name: &InstanceName) -> Result<InstanceStatus, ControlRequestError> {
        let now = self.replica.options.clock.now();
        if let Some(snapshot) = self.schedule.instance(name, now) {
            return Ok(self.with_kept_state(self.scheduled_status(&snapshot, now)));
        }
        let pending = self.pending.status(name, now).map(|status| self.with_kept_state(status));
        pending.ok_or_else(|| match self.replica.generation {
            0 => ControlRequestError::Starting,
            _ => ControlRequestError::Unknown(name.to_string()),
        })
    }

    fn scheduled_status(&self, snapshot: &InstanceSnapshot<'_>, now: Now) -> InstanceStatus {
        let status = InstanceStatus::of(snapshot, self.file_observations.get(snapshot.name), now);
        let login = self.login(snapshot);
        InstanceStatus { login: login.map(|login| KerberosLoginStatus::of(&login, now.wall)), ..status }
    }

    fn login(&self, snapshot: &InstanceSnapshot<'_>) -> Option<LoginSnapshot> {
        self.providers.get(snapshot.name, snapshot.plan.fingerprint)?.login()
    }

    /// The logins that instances have. Instances share a login by its name.
    fn logins(&self, now: Now) -> BTreeMap<LoginName, LoginSnapshot> {
        let logins = self.schedule.instances(now).filter_map(|snapshot| self.login(&snapshot));
        logins.map(|login| (login.name.clone(), login)).collect()
    }

    fn with_kept_state(&self, status: InstanceStatus) -> InstanceStatus {
        let owner = status.name.parse().ok().and_then(|name| self.replica.state_keeper.owner(&name));
        InstanceStatus { kept_state: owner.map(KeptStateStatus::of), ..status }
    }

    pub(super) fn held_metrics(&self) -> CoordinatorSnapshot {
        let now = self.replica.options.clock.now();
        let scheduled = self.schedule.instances(now).map(|snapshot| lease_metrics(&snapshot, now));
        let upstreams = self.schedule.upstreams(now).map(|upstream| UpstreamMetrics {
            name: upstream.name.to_string(),
            waiting: upstream.waiting,
            waits: upstream.waits,
        });
        CoordinatorSnapshot {
            is_leading: true,
            leases: scheduled.chain(self.pending.metrics(now)).collect(),
            upstreams: upstreams.collect(),
            logins: self.logins(now).values().map(|login| login_metrics(login, now.wall)).collect(),
            ..CoordinatorSnapshot::default()
        }
    }
}
