//! What must hold after every event, instance by instance.

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::schedule::delay::{LONGEST_LIFE, LONGEST_THROTTLE};
use deputy_core::schedule::{
    Configuration, Doing, Fingerprint, Kind, Lease, Mono, Now, Origin, Outcome, Plan, Prefer, Readiness, Record,
    Revision, UpstreamName, View, Work,
};
use deputy_core::{InstanceName, Span};

use crate::history::Process;
use crate::loops::Loops;
use crate::service::payload;

#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) loops: Loops,
    /// Of those that are configured, and of those that were and may still be leaving.
    plans: BTreeMap<InstanceName, Plan>,
    /// The last plan of each configuration of an instance: it revokes what that obtained.
    former: BTreeMap<(InstanceName, Fingerprint), Plan>,
    /// What was published last, over all processes.
    published: BTreeMap<InstanceName, (Revision, u64)>,
    /// What of this process is known.
    seen: BTreeMap<InstanceName, Seen>,
    /// Payloads up to this number were revoked by the operator.
    revoked: BTreeMap<InstanceName, u64>,
    /// Whose next lease is given out although it could not be saved.
    pub(crate) unsaved: BTreeSet<InstanceName>,
    /// Whose lease may not end any longer.
    pub(crate) settled: BTreeSet<InstanceName>,
}

#[derive(Default)]
struct Seen {
    /// When its last call for tokens ended, or a file was taken, and how long it rests at least.
    rests: Option<(Mono, Span)>,
    /// Something happened that may end its rest.
    excused: bool,
    /// The component says that it needs nothing.
    needless: bool,
    /// The lease that was taken from the file last.
    file: Option<Revision>,
    /// When what is given out was obtained, by the clock that only goes forward.
    obtained: Option<Mono>,
}

/// How long an instance whose configuration changes often waits at most before it is called.
const CHANGES: Span = Span::secs(10);

/// The clock on the wall may be faster than the other one by so many thousandths.
fn nearly(span: Span) -> Span {
    Span::millis(span.as_millis() * 999 / 1000)
}

fn floor(plan: &Plan) -> Span {
    plan.policy.retry.floor.max(Span::millis(10))
}

impl Checks {
    pub(crate) fn plan(&self, name: &InstanceName) -> &Plan {
        &self.plans[name]
    }

    /// The configuration that obtained something.
    pub(crate) fn owner(&self, name: &InstanceName, fingerprint: Fingerprint) -> &Plan {
        &self.former[&(name.clone(), fingerprint)]
    }

    fn seen(&mut self, name: &InstanceName) -> &mut Seen {
        self.seen.entry(name.clone()).or_default()
    }

    pub(crate) fn configured(&mut self, configuration: &Configuration, now: Mono) {
        for (name, plan) in &configuration.plans {
            let changed = self.plans.get(name).is_none_or(|old| old != plan);
            self.plans.insert(name.clone(), plan.clone());
            if plan.component.is_some() {
                self.former.insert((name.clone(), plan.fingerprint), plan.clone());
            }
            if changed {
                self.excuse(name);
                // Whoever changes often is not called at once.
                self.seen(name).rests = Some((now, CHANGES));
            }
        }
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

    pub(crate) fn excuse_all(&mut self, configuration: &Configuration) {
        configuration.plans.keys().for_each(|name| self.excuse(name));
    }

    pub(crate) fn revoked(&mut self, name: &InstanceName, serial: u64) {
        self.excuse(name);
        self.revoked.insert(name.clone(), serial);
    }

    pub(crate) fn crashed(&mut self, store: &BTreeMap<InstanceName, Record>) {
        // What was given out unsaved is forgotten, its number as well.
        let is_saved =
            |name: &InstanceName, revision: Revision| store.get(name).is_some_and(|it| it.revision >= revision);
        self.published.retain(|name, (revision, _)| is_saved(name, *revision));
        self.unsaved.clear();
        self.seen.clear();
        self.revoked.clear();
    }

    /// Nothing is left on the disk that would know its numbers.
    pub(crate) fn lost(&mut self, name: &InstanceName) {
        self.published.remove(name);
    }

    /// A call begins; the upstream that counts it.
    pub(crate) fn called(
        &mut self,
        name: &InstanceName,
        work: &Work,
        saved: Option<&Record>,
        published: Option<&Lease>,
        process: Process,
        now: Now,
    ) -> UpstreamName {
        let plan = self.plans[name].clone();
        if let Work::Revoke(lease) = work {
            let owner = self.owner(name, lease.fingerprint).component.expect("it obtained this");
            assert!(owner.revokes, "{name} can't revoke");
            let mut retired = saved.iter().flat_map(|record| &record.retired);
            let is_saved = retired.any(|retired| retired.lease.revision == lease.revision);
            assert!(is_saved, "it is not saved that {name}'s lease is revoked");
            return plan.upstream;
        }
        assert!(process == Process::Up, "{name} is called for tokens, and it stops");
        let component = plan.component.expect("it has a component");
        if let Work::Renew(lease) = work {
            assert!(component.renews, "{name} can't renew");
            assert!(lease.is_valid(now.wall) && lease.fingerprint == plan.fingerprint, "{name}'s lease is beyond it");
            let mut held = saved.and_then(|record| record.lease.as_ref()).into_iter().chain(published);
            assert!(held.any(|held| held.revision == lease.revision), "{name} does not hold what it renews");
        }
        let seen = self.seen(name);
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
        work: &Work,
        outcome: &Outcome,
        now: Mono,
        configuration: &Configuration,
    ) {
        self.loops.ended(now);
        if matches!(work, Work::Revoke(_)) {
            return;
        }
        let least = configuration.plans.get(name).map_or(Span::millis(0), floor);
        let seen = self.seen(name);
        (seen.rests, seen.needless) = (Some((now, least)), matches!(outcome, Outcome::NotRequired));
        if matches!(outcome, Outcome::Obtained(_)) {
            seen.obtained = Some(now);
        }
    }

    /// A call failed: the delay is within its bounds, and will be kept.
    pub(crate) fn failed(
        &mut self,
        name: &InstanceName,
        kind: Kind,
        wait: Span,
        saved: Option<&Lease>,
        now: Now,
        configuration: &Configuration,
    ) {
        let plan = &configuration.plans[name];
        let (retry, floor) = (&plan.policy.retry, floor(plan));
        let left = saved.filter(|lease| lease.is_valid(now.wall)).map(|lease| lease.valid_until.since(now.wall));
        let third = left.map_or(retry.most, |left| Span::millis(left.as_millis() / 3)).min(retry.most);
        let most = match kind {
            Kind::Throttled(after) => {
                let asked = after.min(LONGEST_THROTTLE);
                // There is a try before the lease ends, whatever the service asked for.
                let latest = left.map_or(LONGEST_THROTTLE, |left| Span::millis(left.as_millis() / 3 * 2));
                let least = asked.min(latest).max(floor);
                assert!(wait >= least, "{name} has to wait for {least} at least, and waits for {wait}");
                Span::millis(asked.as_millis() * 11 / 10).max(third).max(floor)
            }
            kind if kind.is_slow() => third.max(retry.slow).max(floor),
            _ => third.max(floor),
        };
        assert!(wait >= floor, "{name} is tried again after {wait}, which is less than {floor}");
        assert!(wait <= most, "{name} is tried again after {wait}, which is more than {most}");
        self.seen(name).rests = Some((now.mono, wait));
    }

    pub(crate) fn save(&mut self, name: &InstanceName, record: &Record, saved: Option<&Record>, now: Mono) {
        let all = record.retired.iter().map(|retired| &retired.lease).chain(&record.lease);
        let revisions: Vec<Revision> = all.map(|lease| lease.revision).collect();
        assert!(revisions.iter().all(|revision| *revision <= record.revision), "{name} forgot a number");
        let distinct: BTreeSet<_> = revisions.iter().collect();
        assert_eq!(distinct.len(), revisions.len(), "{name} has two leases of one number");
        let last = self.published.get(name).map(|(revision, _)| *revision).unwrap_or_default();
        assert!(record.revision >= last, "{name} goes back to {} from {last}", record.revision);
        let file = record.lease.as_ref().filter(|lease| lease.origin == Origin::File).map(|lease| lease.revision);
        let known = saved.and_then(|saved| saved.lease.as_ref()).map(|lease| lease.revision);
        let (floor, prefer) = (floor(&self.plans[name]), self.plans[name].policy.prefer);
        let seen = self.seen(name);
        if file.is_some() && file != known && std::mem::replace(&mut seen.file, file) != file {
            seen.obtained = None;
            // One that only fills a gap delays no call.
            if prefer == Prefer::File {
                seen.rests = Some((now, floor));
            }
        }
    }

    pub(crate) fn publish(&mut self, name: &InstanceName, lease: &Lease, saved: Option<&Record>, now: Now) {
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
        store: &BTreeMap<InstanceName, Record>,
        configuration: &Configuration,
        now: Now,
        restored: &BTreeSet<InstanceName>,
    ) {
        for name in restored.iter().filter(|name| configuration.plans.contains_key(name)) {
            let current = configuration.plans[name].fingerprint;
            // What an instance held that was removed is its own if it comes back as it was.
            let is_own = |record: &&Record, lease: &Lease| record.removed.is_none() || lease.fingerprint == current;
            let saved = store.get(name).and_then(|record| record.lease.as_ref().filter(|lease| is_own(&record, lease)));
            if saved.is_some_and(|lease| lease.is_valid(now.wall)) {
                assert!(published.contains_key(name), "{name} is on the disk, and not given out");
            }
        }
    }

    /// What is shown is so, and nobody is forgotten.
    pub(crate) fn views<'a>(
        &mut self,
        views: impl Iterator<Item = View<'a>>,
        published: &BTreeMap<InstanceName, Lease>,
        process: Process,
        now: Now,
    ) {
        for view in views {
            let given = published.get(view.name);
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
            let idle = view.doing == Doing::Retrying && view.failures == 0 && !later;
            assert!(!idle, "{} has nothing, and nobody does anything about it", view.name);
            if view.doing == Doing::Holding && view.plan.component.is_some() {
                self.not_late(&view, given, now);
            }
        }
    }

    /// Whoever holds a lease that is due by either clock, and rests, was forgotten.
    fn not_late(&mut self, view: &View<'_>, given: Option<&Lease>, now: Now) {
        let seen = self.seen(view.name);
        let Some(lease) = given.filter(|_| !seen.needless && view.failures == 0) else { return };
        if lease.origin == Origin::File && view.plan.policy.prefer == Prefer::Component {
            panic!("{} rests, and its component could bring something better", view.name);
        }
        let life = lease.valid_until.since(lease.obtained_at).min(LONGEST_LIFE);
        let rest = view.plan.policy.ratio.of(life);
        assert!(now.wall <= lease.obtained_at.plus(rest), "{} is due by the clock on the wall, and rests", view.name);
        if let Some(obtained) = seen.obtained {
            assert!(now.mono <= obtained.plus(rest), "{} is due by the clock for delays, and rests", view.name);
        }
    }
}
