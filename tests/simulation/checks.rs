//! What must hold after every event, instance by instance.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::failure::FailureKind;
use deputy_core::schedule::LONGEST_LIFE;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, InstanceActivity, InstancePlan, InstanceSnapshot, Lease, LeaseOrigin, LeaseRecord,
    PreferredSource, ProviderCall, Readiness, ScheduleConfig, ScheduleEvent, Switch, UpstreamName,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{InstanceName, Revision, Span};

use crate::backoff::Backoff;
use crate::counts::Counts;
use crate::demand::Demand;
use crate::history::Process;
use crate::jumps::Jumps;
use crate::leases::{Leases, Reasons};
use crate::loops::Loops;
use crate::service::payload;

#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) loops: Loops,
    pub(crate) leases: Leases,
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
    /// Payloads up to this number were revoked by the operator.
    revoked: BTreeMap<InstanceName, u64>,
    /// There is another configuration just now.
    pub(crate) reconfigured: bool,
    /// Whose next lease is given out although it could not be saved.
    pub(crate) unsaved: BTreeSet<InstanceName>,
    /// Whose lease may not end any longer.
    pub(crate) settled: BTreeSet<InstanceName>,
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
    /// The lease of which it was counted when it is replaced.
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

/// The clock on the wall may be faster than the other one by so many thousandths.
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

    /// The configuration that obtained something.
    pub(crate) fn owner(&self, name: &InstanceName, fingerprint: ConfigFingerprint) -> &InstancePlan {
        &self.former[&(name.clone(), fingerprint)]
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
            let changed = self.plans.get(name).is_none_or(|old| old != plan);
            let old = self.plans.insert(name.clone(), plan.clone());
            if plan.component.is_some() {
                self.former.insert((name.clone(), plan.fingerprint), plan.clone());
            }
            self.demand.touched(name, now);
            if !is_known(name) {
                self.backoff.removed(name);
                self.demand.removed(name);
                self.demand.touched(name, now);
                if let Some(lease) = self.leases.held(name) {
                    self.backoff.lives(name, lease.valid_until.since(lease.obtained_at));
                }
            } else if let Some(old) = &old {
                if old.fingerprint != plan.fingerprint || self.left.contains(name) {
                    self.backoff.changed(name);
                    self.seen(name).needless = false;
                }
                if old.policy.mode != plan.policy.mode {
                    self.demand.changed(name, now);
                }
            }
            self.left.remove(name);
            if changed {
                self.excuse(name);
                // Whoever changes often is not called at once, and a change of the policy alone ends no delay.
                let same = old.is_some_and(|old| old.fingerprint == plan.fingerprint);
                let rests =
                    self.seen(name).rests.filter(|(since, least)| same && since.plus(*least) > now.plus(CHANGES));
                self.seen(name).rests = rests.or(Some((now, CHANGES)));
            }
        }
        let left = self.plans.keys().filter(|name| !configuration.plans.contains_key(*name));
        self.left.extend(left.cloned());
        // Who leaves is forgotten with all that the operator said of it.
        self.revoked.retain(|name, _| configuration.plans.contains_key(name));
        for (name, seen) in &mut self.seen {
            if !configuration.plans.contains_key(name) {
                // It may come back while it leaves, or begin anew, with the same numbers.
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
        self.backoff.wished(name);
        self.revoked.insert(name.clone(), serial);
    }

    pub(crate) fn crashed(&mut self, store: &BTreeMap<InstanceName, LeaseRecord>) {
        // What was given out unsaved is forgotten, its number as well.
        let is_saved =
            |name: &InstanceName, revision: Revision| store.get(name).is_some_and(|it| it.revision >= revision);
        self.published.retain(|name, (revision, _)| is_saved(name, *revision));
        self.unsaved.clear();
        self.seen.clear();
        self.revoked.clear();
        (self.leases, self.backoff, self.demand) = Default::default();
    }

    /// Somebody asked for an instance that is known, or says how many use it.
    pub(crate) fn asked(&mut self, event: &ScheduleEvent, now: MonotonicTime) {
        match event {
            ScheduleEvent::LeaseRequested(name) => self.demand.used(name, None, now),
            ScheduleEvent::Used(name, users) => self.demand.used(name, Some(*users), now),
            ScheduleEvent::Renew(name) => {
                self.backoff.wished(name);
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
            able: self.able(name),
        }
    }

    /// A call brought tokens: whoever wants them no longer revokes them.
    pub(crate) fn came(
        &mut self,
        name: &InstanceName,
        outcome: &CallOutcome,
        (made, unwanted): (ConfigFingerprint, bool),
        now: Now,
        configuration: &ScheduleConfig,
    ) {
        let plan = &self.plans[name];
        let revoke = &plan.policy.revoke;
        let wanted = match configuration.plans.contains_key(name) {
            true => unwanted || revoke.replaced.is_some(),
            false => revoke.removed.is_some(),
        };
        let wanted = wanted && self.able(name).contains(&made);
        self.leases.came(name, outcome, plan, wanted, now);
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
            (Some(work), LeaseOrigin::Component) => self.backoff.succeeded(name, work, lease),
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

    /// For how long an instance rests as it said, without a call.
    pub(crate) fn promised(&self, name: &InstanceName, now: MonotonicTime) -> Span {
        let Some(seen) = self.seen.get(name) else { return Span::millis(0) };
        let rests = seen.rests.map_or(Span::millis(0), |(since, least)| since.plus(least).since(now));
        // Whoever needs nothing is asked again now and then.
        if seen.needless { rests.max(ASK_AGAIN) } else { rests }
    }

    /// Nothing is left on the disk that would know its numbers.
    pub(crate) fn lost(&mut self, name: &InstanceName) {
        self.published.remove(name);
    }

    /// A call begins; the upstream that counts it.
    pub(crate) fn called(
        &mut self,
        name: &InstanceName,
        work: &ProviderCall,
        saved: Option<&LeaseRecord>,
        published: Option<&Lease>,
        process: Process,
        now: Now,
    ) -> UpstreamName {
        let plan = self.plans[name].clone();
        if let ProviderCall::Revoke(lease) = work {
            let owner = self.owner(name, lease.fingerprint).component.expect("it obtained this");
            assert!(owner.revokes, "{name} can't revoke");
            let mut retired = saved.iter().flat_map(|record| &record.retired);
            let is_saved = retired.any(|retired| retired.lease.revision == lease.revision);
            assert!(is_saved, "it is not saved that {name}'s lease is revoked");
            self.leases.revoking(name, lease, now.wall);
            return plan.upstream;
        }
        assert!(process == Process::Up, "{name} is called for tokens, and it stops");
        let component = plan.component.expect("it has a component");
        if let ProviderCall::Renew(lease) = work {
            assert!(component.renews, "{name} can't renew");
            assert!(lease.is_valid(now.wall) && lease.fingerprint == plan.fingerprint, "{name}'s lease is beyond it");
            let mut held = saved.and_then(|record| record.lease.as_ref()).into_iter().chain(published);
            assert!(held.any(|held| held.revision == lease.revision), "{name} does not hold what it renews");
        }
        self.backoff.called(name, work, &plan, self.leases.held(name), now);
        let seen = self.seen(name);
        seen.work = Some(work.clone());
        let excused = std::mem::take(&mut seen.excused);
        if let Some((since, least)) = seen.rests.filter(|_| !excused) {
            let rested = now.mono.since(since);
            assert!(rested >= nearly(least), "{name} rests for {rested} instead of {least}");
        }
        plan.upstream
    }

    pub(crate) fn finished(
        &mut self,
        name: &InstanceName,
        work: &ProviderCall,
        outcome: &CallOutcome,
        (began, all_now): (MonotonicTime, Now),
        configuration: &ScheduleConfig,
    ) {
        let now = all_now.mono;
        self.loops.ended(now);
        self.leases.finished(name, work, outcome, &self.plans[name], began, all_now);
        if matches!(work, ProviderCall::Revoke(_)) {
            return;
        }
        self.backoff.ended(name, work);
        if matches!(outcome, CallOutcome::NotRequired) {
            self.backoff.reset(name);
        }
        let plan = configuration.plans.get(name);
        // Soon after a call that brought tokens there is no other, however short they live.
        let interval =
            plan.filter(|_| matches!(outcome, CallOutcome::Obtained(_))).map(|plan| plan.policy.calls.interval);
        let interval = interval.map_or(Span::millis(0), |interval| began.plus(interval).since(now));
        let least = plan.map_or(Span::millis(0), floor).max(interval);
        let seen = self.seen(name);
        (seen.rests, seen.needless) = (Some((now, least)), matches!(outcome, CallOutcome::NotRequired));
        if matches!(outcome, CallOutcome::Obtained(_)) {
            seen.obtained = Some(now);
        }
    }

    /// A call failed: the delay is within its bounds, and will be kept.
    pub(crate) fn failed(
        &mut self,
        name: &InstanceName,
        (kind, wait): (FailureKind, Span),
        now: Now,
        counts: &mut Counts,
    ) {
        let plan = &self.plans[name];
        self.backoff.failed(name, (kind, wait), plan, self.leases.held(name), now, counts);
        self.seen(name).rests = Some((now.mono, wait));
    }

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
        let (floor, prefer) = (floor(&self.plans[name]), self.plans[name].policy.prefer);
        let seen = self.seen(name);
        if file.is_some() && file != known && std::mem::replace(&mut seen.file, file) != file {
            seen.obtained = None;
            // One that only fills a gap delays no call.
            if prefer == PreferredSource::File {
                seen.rests = Some((now, floor));
            }
        }
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

    pub(crate) fn expired(&mut self, name: &InstanceName) {
        assert!(!self.settled.contains(name), "{name}'s lease ended although nothing went wrong");
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
            // What an instance held that was removed is its own if it comes back as it was.
            let is_own =
                |record: &&LeaseRecord, lease: &Lease| record.removed.is_none() || lease.fingerprint == current;
            let saved = store.get(name).and_then(|record| record.lease.as_ref().filter(|lease| is_own(&record, lease)));
            if saved.is_some_and(|lease| lease.is_valid(now.wall)) {
                assert!(published.contains_key(name), "{name} is on the disk, and not given out");
            }
        }
    }

    /// What is shown is so, and nobody is forgotten.
    pub(crate) fn views<'a>(
        &mut self,
        views: impl Iterator<Item = InstanceSnapshot<'a>>,
        published: &BTreeMap<InstanceName, Lease>,
        (process, now): (Process, Now),
        jumps: &mut Jumps,
        counts: &mut Counts,
    ) {
        for view in views {
            let given = published.get(view.name);
            let revoked = self.revoked.get(view.name).copied().unwrap_or_default();
            assert!(given.is_none_or(|lease| payload(lease) > revoked), "{} is given out, and revoked", view.name);
            assert!(given.is_none() || !self.left.contains(view.name), "{} is given out, and removed", view.name);
            self.at_rest(&view, given, process, now);
            let ready = given.is_some_and(|lease| lease.is_valid(now.wall));
            assert!(ready || view.readiness != Readiness::Ready, "{} is said to be ready, and is not", view.name);
            if process != Process::Up {
                continue;
            }
            let rests = self.seen(view.name).rests;
            if rests.is_some_and(|(since, least)| now.mono <= since.plus(least)) {
                continue;
            }
            let later = view.next.is_some_and(|next| next > now.wall);
            let idle = view.activity == InstanceActivity::Retrying && view.failures == 0 && !later;
            assert!(!idle, "{} has nothing, and nobody does anything about it", view.name);
            let failed = view.activity == InstanceActivity::Retrying && view.plan.component.is_some();
            assert!(!failed || later, "{} is not called again when it should be", view.name);
            if view.activity == InstanceActivity::Holding && view.plan.component.is_some() {
                self.not_late(&view, given, now, jumps);
            }
            if view.activity == InstanceActivity::Holding {
                self.spread(&view, given, counts);
            }
        }
    }

    /// Leases that were obtained together are replaced at different times.
    fn spread(&mut self, view: &InstanceSnapshot<'_>, given: Option<&Lease>, counts: &mut Counts) {
        let (Some(lease), Some(next)) = (given, view.next) else { return };
        if self.seen(view.name).counted.replace(lease.revision) == Some(lease.revision) {
            return;
        }
        let rest = view.plan.policy.ratio.apply(lease.valid_until.since(lease.obtained_at));
        let earliest = view.plan.policy.jitter.complement().apply(rest);
        let after = next.since(lease.obtained_at);
        if after >= earliest && after <= rest && rest.as_millis() > earliest.as_millis() + 1000 {
            let early = 2 * after.as_millis() < earliest.as_millis() + rest.as_millis();
            counts.replaced_early += u64::from(early);
            counts.replaced_late += u64::from(!early);
        }
    }

    /// Nothing is under way for an instance.
    fn at_rest(&mut self, view: &InstanceSnapshot<'_>, given: Option<&Lease>, process: Process, now: Now) {
        let busy = matches!(
            view.activity,
            InstanceActivity::Calling(..) | InstanceActivity::Saving(_) | InstanceActivity::Leaving
        );
        if process != Process::Up || busy {
            return;
        }
        self.leases.at_rest(view.name, now.wall);
        if given.is_some() {
            self.demand.is_given(view.name, view.plan, now.mono);
        }
    }

    /// Whoever holds a lease that is due by either clock, and rests, was forgotten.
    fn not_late(&mut self, view: &InstanceSnapshot<'_>, given: Option<&Lease>, now: Now, jumps: &mut Jumps) {
        let seen = self.seen(view.name);
        let Some(lease) = given.filter(|_| !seen.needless && view.failures == 0) else { return };
        if lease.origin == LeaseOrigin::File && view.plan.policy.prefer == PreferredSource::Component {
            panic!("{} rests, and its component could bring something better", view.name);
        }
        let current = lease.fingerprint == view.plan.fingerprint;
        assert!(current, "{} rests with a lease of another configuration", view.name);
        jumps.rests(view.name, lease, now);
        let life = lease.valid_until.since(lease.obtained_at).min(LONGEST_LIFE);
        let rest = view.plan.policy.ratio.apply(life);
        assert!(now.wall <= lease.obtained_at.plus(rest), "{} is due by the clock on the wall, and rests", view.name);
        if let Some(obtained) = seen.obtained {
            assert!(now.mono <= obtained.plus(rest), "{} is due by the clock for delays, and rests", view.name);
        }
    }
}
