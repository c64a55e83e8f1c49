//! Records and publications: that leases are saved before they are published, and that revisions only grow.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::{Lease, LeaseOrigin, LeaseRecord, PreferredSource, ProviderCall, ScheduleConfig, Switch};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Revision};

use crate::history::Process;
use crate::leases::Reasons;
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
        self.ends(name, Some(record), process, &why, now);
        let held = self.leases.held(name);
        let was_good = held.is_some_and(|lease| {
            lease.origin == LeaseOrigin::Component
                && lease.is_valid(now.wall)
                && lease.fingerprint == self.plans[name].fingerprint
                && payload(lease) > why.revoked
                && why.foreign != Some(lease.revision)
        });
        let held = held.map(|lease| lease.revision);
        self.leases.save(name, record, &self.plans[name], &why, now.wall);
        self.replaces.take_if(|(_, number)| record.lease.as_ref().is_some_and(|lease| payload(lease) == *number));
        let of_files = record.retired.iter().find(|retired| retired.lease.origin == LeaseOrigin::File);
        assert!(of_files.is_none(), "{name} is to revoke what its file held: {of_files:?}");
        let Some(lease) = record.lease.as_ref().filter(|lease| Some(lease.revision) != held) else { return };
        if lease.origin == LeaseOrigin::File && was_good && self.plans[name].component.is_some() {
            self.is_better(name, lease, now);
        }
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
                self.rates.taken(name);
            }
            _ => {}
        }
    }

    /// What an instance holds is kept while it may come back, unless an operator revokes it.
    fn ends(&self, name: &InstanceName, record: Option<&LeaseRecord>, process: Process, why: &Reasons, now: Now) {
        let held = self.leases.held(name).filter(|lease| lease.is_valid(now.wall) && payload(lease) > why.revoked);
        // What another one held that came back and was removed again is not kept.
        let held = held.filter(|lease| why.foreign != Some(lease.revision));
        let (Some(held), Some(plan), Process::Up) = (held, self.plans.get(name), process) else { return };
        let kept = record.and_then(|record| record.lease.as_ref());
        if kept.is_none_or(|lease| lease.revision != held.revision) {
            self.removal.ends(name, plan, now);
        }
    }

    /// A file takes the place of a lease that is good: it is preferred, young, and did not have its turn.
    fn is_better(&self, name: &InstanceName, lease: &Lease, now: Now) {
        let policy = &self.plans[name].policy;
        assert!(policy.prefer == PreferredSource::File, "{name} holds its file, and its component's lease is good");
        let life = lease.valid_until.since(lease.obtained_at);
        let most = policy.jitter.complement().apply(policy.ratio.apply(life));
        assert!(lease.obtained_at.plus(most) > now.wall, "{name} holds its file, which is old");
        let passed = self.passed.get(name);
        assert!(passed != Some(&payload(lease)), "{name} holds what its file held when it was called");
    }

    pub(crate) fn forget(&mut self, name: &InstanceName, process: Process, now: Now, configuration: &ScheduleConfig) {
        let why = self.reasons(name, process, configuration);
        self.ends(name, None, process, &why, now);
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
        let plan = &self.plans[name];
        let revokes = why.stopping && plan.policy.revoke.shutdown == Switch::Revoke;
        if why.revoked < payload(lease) && !why.removed && !revokes {
            self.demand.withdrawn(name, plan, now);
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
