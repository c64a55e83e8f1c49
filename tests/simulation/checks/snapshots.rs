//! What the snapshots of the instances say, and that no instance is forgotten.

use std::collections::BTreeMap;

use deputy_core::schedule::{
    InstanceActivity, InstanceSnapshot, LONGEST_LIFE, Lease, LeaseOrigin, PreferredSource, Readiness,
};
use deputy_core::time::Now;
use deputy_core::{InstanceName, Span, Timestamp};

use crate::counts::Counts;
use crate::history::Process;
use crate::jumps::Jumps;
use crate::service::{number, payload};

use super::Checks;

impl Checks {
    /// Snapshots match the state, and no instance is forgotten.
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
            self.leases.late_ended(view.name, now.wall);
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
            let calls = view.plan.component.is_some() && view.failures == 0;
            if calls && matches!(view.activity, InstanceActivity::Holding | InstanceActivity::Retrying) {
                assert!(!self.rates.is_asked(view.name), "{} was asked for a lease, and rests", view.name);
            }
            if self.rates.wait(view.name, now.mono) > Span::millis(0) {
                counts.rationed += 1;
                continue;
            }
            let later = view.next.is_some_and(|next| next > now.wall);
            let idle = view.activity == InstanceActivity::Retrying && view.failures == 0 && !later;
            assert!(!idle, "{} has no lease, and nothing is scheduled", view.name);
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

    /// What is held and saved is given out.
    pub(crate) fn is_given_out(
        &self,
        view: &InstanceSnapshot<'_>,
        held: Option<&Lease>,
        given: Option<&Lease>,
        is_written: impl Fn(&InstanceName) -> bool,
        now: Now,
    ) {
        let calling = matches!(view.activity, InstanceActivity::Calling(..));
        let busy = matches!(view.activity, InstanceActivity::Saving(_) | InstanceActivity::Unused);
        if busy || view.unsaved.is_some() {
            return;
        }
        let revoked = self.revoked.get(view.name).copied().unwrap_or_default();
        let held = held.filter(|lease| lease.is_valid(now.wall) && payload(lease) > revoked);
        let Some(held) = held.filter(|lease| !calling || lease.fingerprint == view.plan.fingerprint) else { return };
        let is_given = given.is_some_and(|lease| lease.revision == held.revision);
        assert!(is_given || is_written(view.name), "{}'s lease is saved, and not given out", view.name);
    }

    /// Of a file whose payload is given out, it is the last one.
    pub(crate) fn file_is_held(&self, view: &InstanceSnapshot<'_>, given: Option<&Lease>, now: Now) {
        if !matches!(view.activity, InstanceActivity::Holding | InstanceActivity::NoFile | InstanceActivity::Retrying) {
            return;
        }
        let given = given.filter(|lease| lease.origin == LeaseOrigin::File && lease.is_valid(now.wall));
        let file = self.files.get(view.name).and_then(Option::as_ref);
        let (Some(given), Some(file)) = (given, file.filter(|file| file.valid_until > now.wall)) else { return };
        let revoked = self.revoked.get(view.name).copied().unwrap_or_default();
        let is_last = number(&file.payload) == payload(given) || number(&file.payload) <= revoked;
        assert!(is_last, "{}'s file changed, and what it held before is given out", view.name);
    }

    /// An idle instance holds no lease that is due by either clock.
    fn not_late(&mut self, view: &InstanceSnapshot<'_>, given: Option<&Lease>, now: Now, jumps: &mut Jumps) {
        let seen = self.seen(view.name);
        let Some(lease) = given.filter(|_| !seen.needless && view.failures == 0) else { return };
        if lease.origin == LeaseOrigin::File && view.plan.policy.prefer == PreferredSource::Component {
            panic!("{} rests, and its component could bring something better", view.name);
        }
        let current = lease.fingerprint == view.plan.fingerprint;
        assert!(current, "{} rests with a lease of another configuration", view.name);
        jumps.rests(view.name, lease, now);
        let is_of_component = lease.origin == LeaseOrigin::Component;
        let most = view.plan.policy.lifetime.filter(|_| is_of_component);
        if lease.valid_until == Timestamp::FOREVER && most.is_none() {
            let next = view.next.filter(|_| lease.next_at.is_none() && !seen.excused);
            assert!(next.is_none(), "{}'s lease does not end, and is replaced at {next:?}", view.name);
            return;
        }
        let life = lease.valid_until.since(lease.obtained_at).min(LONGEST_LIFE);
        let life = most.map_or(life, |most| most.min(life));
        let cap = view.plan.policy.lifetime.map_or(Timestamp::FOREVER, |life| lease.obtained_at.plus(life));
        let own = lease.next_at.filter(|_| lease.origin == LeaseOrigin::Component);
        let rest = match own {
            // Until there is something newer, or the lease ends.
            Some(at) => {
                at.min(lease.valid_until).min(cap).since(lease.obtained_at).max(view.plan.policy.calls.interval)
            }
            None => view.plan.policy.ratio.apply(life),
        };
        assert!(now.wall <= lease.obtained_at.plus(rest), "{} is due by the clock on the wall, and rests", view.name);
        if let Some(obtained) = seen.obtained {
            assert!(now.mono <= obtained.plus(rest), "{} is due by the clock for delays, and rests", view.name);
        }
    }
}
