//! What must hold after every event, instance by instance.

mod calls;
mod records;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::retry::LONGEST_THROTTLE;
use deputy_core::schedule::{
    ConfigFingerprint, FilePayload, InstancePlan, LeaseRecord, ProviderCall, ScheduleConfig, ScheduleEvent,
    ServicePause,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Revision, Span};

use crate::backoff::Backoff;
use crate::demand::Demand;
use crate::history::Process;
use crate::leases::{Leases, Reasons};
use crate::loops::Loops;
use crate::rates::Rates;
use crate::removal::Removal;
use crate::service::number;

#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) loops: Loops,
    pub(crate) leases: Leases,
    pub(crate) rates: Rates,
    pub(crate) removal: Removal,
    backoff: Backoff,
    demand: Demand,
    /// Of those that are configured, and of those that were and may still be leaving.
    plans: BTreeMap<InstanceName, InstancePlan>,
    /// The last plan of each configuration of an instance: it revokes what that obtained.
    former: BTreeMap<(InstanceName, ConfigFingerprint), InstancePlan>,
    /// Of these, those that are not configured any longer.
    left: BTreeSet<InstanceName>,
    /// What was published last, over all processes.
    published: BTreeMap<InstanceName, (Revision, u64)>,
    /// What of this process is known.
    seen: BTreeMap<InstanceName, Seen>,
    /// Until when services want no calls, by what an earlier process saved.
    paused: BTreeMap<InstanceName, MonotonicTime>,
    /// Payloads up to this number were revoked by the operator.
    revoked: BTreeMap<InstanceName, u64>,
    /// There is another configuration just now.
    pub(crate) reconfigured: bool,
    /// Whose next lease is given out although it could not be saved.
    pub(crate) unsaved: BTreeSet<InstanceName>,
    /// Whose lease may not end any longer.
    pub(crate) settled: BTreeSet<InstanceName>,
    /// An answer under a former configuration that is to be held: the number of its payload.
    replaces: Option<(InstanceName, u64)>,
    /// What the file held when its instance was called last: the number of its payload.
    passed: BTreeMap<InstanceName, u64>,
    /// What the files of instances hold, as this process knows it.
    files: BTreeMap<InstanceName, Option<FilePayload>>,
}

#[derive(Default)]
struct Seen {
    /// When its last call for tokens ended, or a file was taken, and how long it rests at least.
    rests: Option<(MonotonicTime, Span)>,
    /// Something happened that may end its rest.
    excused: bool,
    /// The component says that it needs nothing.
    needless: bool,
    /// The last call for tokens.
    work: Option<ProviderCall>,
    /// The lease whose replacement time was counted.
    counted: Option<Revision>,
    /// The lease that was taken from the file last.
    file: Option<Revision>,
    /// When what is given out was obtained, by the clock that only goes forward.
    obtained: Option<MonotonicTime>,
}

/// How often a component that needs no tokens is asked again.
const ASK_AGAIN: Span = Span::secs(600);

/// How long an instance whose configuration changes often waits at most before it is called.
const CHANGES: Span = Span::secs(10);

/// The wall clock may be faster than the monotonic clock by a thousandth.
fn nearly(span: Span) -> Span {
    Span::millis(span.as_millis() * 999 / 1000)
}

fn floor(plan: &InstancePlan) -> Span {
    plan.policy.retry.floor.max(Span::millis(10))
}

impl Checks {
    pub(crate) fn plan(&self, name: &InstanceName) -> &InstancePlan {
        &self.plans[name]
    }

    /// The plans before another configuration, and what of them is no longer configured.
    pub(crate) fn before(&self) -> (&BTreeMap<InstanceName, InstancePlan>, &BTreeSet<InstanceName>) {
        (&self.plans, &self.left)
    }

    pub(crate) fn file_observed(&mut self, name: &InstanceName, file: Option<FilePayload>) {
        self.excuse(name);
        self.files.insert(name.clone(), file);
    }

    /// All that followed from an event was done.
    pub(crate) fn handled(&self) {
        let lost = &self.replaces;
        assert!(lost.is_none(), "{lost:?} got a lease of the configuration that it holds one of, and drops it");
    }

    /// A component is called: what the file holds now had its turn.
    pub(crate) fn pass_file(&mut self, name: &InstanceName, file: Option<&FilePayload>) {
        self.passed.extend(file.map(|file| (name.clone(), number(&file.payload))));
    }

    /// Whether an instance need not be called now, whatever changed.
    pub(crate) fn may_rest(&mut self, name: &InstanceName, process: Process, now: MonotonicTime) -> bool {
        process != Process::Up || self.plans[name].component.is_none() || self.rates.wait(name, now) > Span::millis(0)
    }

    /// The configuration that obtained something.
    pub(crate) fn owner(&self, name: &InstanceName, fingerprint: ConfigFingerprint) -> &InstancePlan {
        &self.former[&(name.clone(), fingerprint)]
    }

    /// A process begins with what services asked for before.
    pub(crate) fn pauses(
        &mut self,
        pauses: &BTreeMap<InstanceName, ServicePause>,
        configuration: &ScheduleConfig,
        now: Now,
    ) {
        let caller = |plan: &InstancePlan| (plan.upstream.clone(), plan.account);
        for (name, pause) in pauses {
            let Some(plan) = configuration.plans.get(name) else { continue };
            let last = pause.account_until.map_or(pause.until, |until| until.max(pause.until));
            let rest = last.since(now.wall.max(pause.asked_at)).min(LONGEST_THROTTLE);
            let until = now.mono.plus(Span::millis(rest.as_millis() / 10 * 11));
            for (other, its) in &configuration.plans {
                if other == name || (pause.account_until.is_some() && caller(its) == caller(plan)) {
                    let paused = self.paused.entry(other.clone()).or_default();
                    *paused = (*paused).max(until);
                }
            }
        }
    }

    fn seen(&mut self, name: &InstanceName) -> &mut Seen {
        self.seen.entry(name.clone()).or_default()
    }

    /// `is_known` of an instance that runs already, or still.
    pub(crate) fn configured(
        &mut self,
        configuration: &ScheduleConfig,
        now: MonotonicTime,
        is_known: impl Fn(&InstanceName) -> bool,
    ) {
        for (name, plan) in &configuration.plans {
            let returned = self.left.contains(name);
            let changed = returned || self.plans.get(name).is_none_or(|old| old != plan);
            let old = self.plans.insert(name.clone(), plan.clone());
            if plan.component.is_some() {
                self.former.insert((name.clone(), plan.fingerprint), plan.clone());
            }
            self.demand.touched(name, now);
            self.rates.configured(name, plan.policy.calls, is_known(name), now);
            if !is_known(name) {
                self.passed.remove(name);
                self.backoff.removed(name);
                self.demand.removed(name);
                self.demand.touched(name, now);
                if let Some(lease) = self.leases.held(name) {
                    self.backoff.lives(name, lease.valid_until.since(lease.obtained_at));
                }
            } else if let Some(old) = &old {
                if old.fingerprint != plan.fingerprint || returned {
                    self.backoff.changed(name);
                    self.rates.taken(name);
                    self.seen(name).needless = false;
                }
                if old.policy.mode != plan.policy.mode {
                    self.demand.changed(name, now);
                }
            }
            self.left.remove(name);
            if changed {
                self.excuse(name);
                // An instance that changes often is not called at once, and a change of the policy alone ends no delay.
                let same = !returned && old.is_some_and(|old| old.fingerprint == plan.fingerprint);
                let rests =
                    self.seen(name).rests.filter(|(since, least)| same && since.plus(*least) > now.plus(CHANGES));
                self.seen(name).rests = rests.or(Some((now, CHANGES)));
            }
        }
        let left = self.plans.iter().filter(|(name, _)| !configuration.plans.contains_key(*name));
        for (name, plan) in left {
            if plan.policy.revoke.removed.is_none() {
                self.leases.left(name);
            }
            self.left.insert(name.clone());
        }
        self.files.retain(|name, _| configuration.plans.contains_key(name));
        // The requests of the operator end with the instance, which may be leaving for a while.
        self.revoked.retain(|name, _| is_known(name));
        for (name, seen) in &mut self.seen {
            if !configuration.plans.contains_key(name) {
                // It may come back while it leaves, or start again, with the same numbers.
                *seen = Seen { excused: true, ..Seen::default() };
            }
        }
    }

    pub(crate) fn excuse(&mut self, name: &InstanceName) {
        self.seen(name).excused = true;
    }

    pub(crate) fn excuse_all(&mut self, configuration: &ScheduleConfig) {
        configuration.plans.keys().for_each(|name| self.excuse(name));
    }

    pub(crate) fn revoked(&mut self, name: &InstanceName, serial: u64) {
        self.excuse(name);
        self.passed.remove(name);
        self.backoff.wished(name);
        self.rates.requested(name);
        self.revoked.insert(name.clone(), serial);
    }

    pub(crate) fn crashed(&mut self, store: &BTreeMap<InstanceName, LeaseRecord>) {
        // What was given out unsaved is forgotten, its number as well.
        let is_saved =
            |name: &InstanceName, revision: Revision| store.get(name).is_some_and(|it| it.revision >= revision);
        self.published.retain(|name, (revision, _)| is_saved(name, *revision));
        self.unsaved.clear();
        self.seen.clear();
        self.paused.clear();
        self.revoked.clear();
        self.replaces = None;
        self.passed.clear();
        self.files.clear();
        (self.leases, self.backoff, self.demand, self.rates, self.removal) = Default::default();
    }

    /// A lease of a known instance is requested, or its number of users reported.
    pub(crate) fn asked(&mut self, event: &ScheduleEvent, now: MonotonicTime) {
        match event {
            ScheduleEvent::LeaseRequested(name) => self.demand.used(name, None, now),
            ScheduleEvent::Used(name, users) => self.demand.used(name, Some(*users), now),
            ScheduleEvent::Renew(name) => {
                self.backoff.wished(name);
                self.rates.requested(name);
                self.demand.touched(name, now);
            }
            _ => {}
        }
    }

    /// The configurations of an instance whose components revoke.
    fn able(&self, name: &InstanceName) -> BTreeSet<ConfigFingerprint> {
        let own = self.former.iter().filter(|((other, _), _)| other == name);
        let able = own.filter(|(_, plan)| plan.component.is_some_and(|component| component.revokes));
        able.map(|((_, fingerprint), _)| *fingerprint).collect()
    }

    fn reasons(&self, name: &InstanceName, process: Process, configuration: &ScheduleConfig) -> Reasons {
        Reasons {
            revoked: self.revoked.get(name).copied().unwrap_or_default(),
            removed: !configuration.plans.contains_key(name),
            stopping: matches!(process, Process::Stopping(_)),
            reconfigured: self.reconfigured,
            foreign: self.removal.foreign(name),
            able: self.able(name),
        }
    }
}
