//! Records and publications: that leases are saved before they are published, and that revisions only grow.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{Lease, LeaseOrigin, LeaseRecord, PreferredSource, ProviderCall, ScheduleConfig, Switch};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Revision};

use crate::history::Process;
use crate::service::payload;

use super::{Checks, floor};

impl Checks {
    pub(crate) fn save(
        &mut self,
        name: &InstanceName,
        record: &LeaseRecord,
        saved: Option<&LeaseRecord>,
        now: MonotonicTime,
    ) {
        let all = record.retired.iter().map(|retired| &retired.lease).chain(&record.lease);
        let revisions: Vec<Revision> = all.map(|lease| lease.revision).collect();
        assert!(revisions.iter().all(|revision| *revision <= record.revision), "{name} forgot a number");
        let distinct: BTreeSet<_> = revisions.iter().collect();
        assert_eq!(distinct.len(), revisions.len(), "{name} has two leases of one number");
        let last = self.published.get(name).map(|(revision, _)| *revision).unwrap_or_default();
        assert!(record.revision >= last, "{name} goes back to {} from {last}", record.revision);
        let file = record.lease.as_ref().filter(|lease| lease.origin == LeaseOrigin::File).map(|lease| lease.revision);
        let known = saved.and_then(|saved| saved.lease.as_ref()).map(|lease| lease.revision);
        let floor = floor(&self.plans[name]);
        let prefer = self.plans[name].policy.prefer;
        let seen = self.seen(name);
        if file.is_some() && file != known && std::mem::replace(&mut seen.file, file) != file {
            seen.obtained = None;
            // One that only fills a gap delays no call.
            if prefer == PreferredSource::File {
                seen.rests = Some((now, floor));
            }
        }
    }

    /// What is kept of an instance changes.
    pub(crate) fn keeps(
        &mut self,
        name: &InstanceName,
        record: &LeaseRecord,
        process: Process,
        now: Now,
        configuration: &ScheduleConfig,
    ) {
        let why = self.reasons(name, process, configuration);
        let held = self.leases.held(name).map(|lease| lease.revision);
        self.leases.save(name, record, &self.plans[name], &why, now.wall);
        let Some(lease) = record.lease.as_ref().filter(|lease| Some(lease.revision) != held) else { return };
        self.demand.touched(name, now.mono);
        let plan = &self.plans[name];
        match (&self.seen.entry(name.clone()).or_default().work, lease.origin) {
            (Some(work), LeaseOrigin::Component) => {
                self.backoff.succeeded(name, work, lease);
                if matches!(work, ProviderCall::Obtain) {
                    self.rates.done(name);
                }
            }
            (_, LeaseOrigin::File) if plan.component.is_none() || plan.policy.prefer == PreferredSource::File => {
                self.backoff.reset(name);
            }
            _ => {}
        }
    }

    pub(crate) fn forget(&mut self, name: &InstanceName, process: Process, now: Now, configuration: &ScheduleConfig) {
        let why = self.reasons(name, process, configuration);
        if let Some(plan) = self.plans.get(name) {
            self.leases.forget(name, plan, &why, now.wall);
        }
    }

    /// Nothing is left on the disk that would know its numbers.
    pub(crate) fn lost(&mut self, name: &InstanceName) {
        self.published.remove(name);
    }

    pub(crate) fn publish(&mut self, name: &InstanceName, lease: &Lease, saved: Option<&LeaseRecord>, now: Now) {
        let this = (lease.revision, payload(lease));
        let saved = saved.and_then(|record| record.lease.as_ref()).map(|lease| (lease.revision, payload(lease)));
        let unsaved = self.unsaved.remove(name);
        assert!(unsaved || saved == Some(this), "{name}'s {this:?} is published, and {saved:?} saved");
        assert!(lease.is_valid(now.wall), "{name}'s lease is published, and has ended");
        if let Some(last) = self.published.insert(name.clone(), this) {
            let forth = last.0 < this.0 || last == this;
            assert!(forth, "{name} goes back from {last:?} to {this:?}");
        }
        let revoked = self.revoked.get(name).copied().unwrap_or_default();
        assert!(this.1 > revoked, "{name}'s lease is published, and was revoked");
    }

    /// What was given out is taken back.
    pub(crate) fn withdrawn(
        &mut self,
        name: &InstanceName,
        lease: &Lease,
        process: Process,
        now: MonotonicTime,
        configuration: &ScheduleConfig,
    ) {
        let why = self.reasons(name, process, configuration);
        if why.revoked < payload(lease) && !why.removed && !why.stopping {
            self.demand.withdrawn(name, &self.plans[name], now);
        }
    }

    pub(crate) fn expired(&mut self, name: &InstanceName) {
        assert!(!self.settled.contains(name), "{name}'s lease ended although nothing went wrong");
    }

    /// It stopped, and this is given out to the end.
    pub(crate) fn stopped(&self, name: &InstanceName, lease: &Lease) {
        let plan = &self.plans[name];
        let revokes = plan.component.is_some_and(|component| component.revokes);
        let left = revokes
            && lease.fingerprint == plan.fingerprint
            && lease.origin == LeaseOrigin::Component
            && plan.policy.revoke.shutdown == Switch::Revoke;
        assert!(!left, "{name}'s lease is left when it stops, and was to be revoked");
    }

    /// Everything good that is on the disk is given out at once.
    pub(crate) fn restored(
        &self,
        published: &BTreeMap<InstanceName, Lease>,
        store: &BTreeMap<InstanceName, LeaseRecord>,
        configuration: &ScheduleConfig,
        now: Now,
        restored: &BTreeSet<InstanceName>,
    ) {
        for name in restored.iter().filter(|name| configuration.plans.contains_key(name)) {
            let current = configuration.plans[name].fingerprint;
            // A removed instance that comes back unchanged takes up its lease.
            let is_own =
                |record: &&LeaseRecord, lease: &Lease| record.removed.is_none() || lease.fingerprint == current;
            let saved = store.get(name).and_then(|record| record.lease.as_ref().filter(|lease| is_own(&record, lease)));
            if saved.is_some_and(|lease| lease.is_valid(now.wall)) {
                assert!(published.contains_key(name), "{name} is on the disk, and not given out");
            }
        }
    }
}
