//! How long a failure is waited for: delays double, respect what is left of a lease, start again after its end, and differ
//! by chance.

use std::collections::BTreeMap;

use deputy_core::failure::FailureKind;
use deputy_core::retry::LONGEST_THROTTLE;
use deputy_core::schedule::{InstancePlan, Lease, ProviderCall};
use deputy_core::time::Now;
use deputy_core::{CallFailure, InstanceName, Span};

use crate::counts::Counts;

#[derive(Default)]
pub(crate) struct Backoff {
    instances: BTreeMap<InstanceName, Failures>,
}

#[derive(Default)]
struct Failures {
    attempts: u32,
    /// Whether there was a valid lease at the last failure.
    hurried: bool,
    /// How long the last lease lived.
    life: Option<Span>,
    /// The call that ended last was a renewal.
    renewal: bool,
    /// Renewals that ran out of time.
    unanswered: u32,
    /// What is held cannot be renewed, as far as is known.
    exhausted: bool,
    /// An operator wants another lease.
    wished: bool,
    /// The last obtain failed as ended.
    has_ended: bool,
}

/// The least and the greatest delay.
struct Bounds {
    least: Span,
    most: Span,
}

fn part(span: Span, parts: u64, of: u64) -> Span {
    Span::millis(span.as_millis() / of * parts)
}

impl Backoff {
    fn of(&mut self, name: &InstanceName) -> &mut Failures {
        self.instances.entry(name.clone()).or_default()
    }

    /// Whatever failed before no longer counts.
    pub(crate) fn reset(&mut self, name: &InstanceName) {
        let failures = self.of(name);
        failures.attempts = 0;
        failures.unanswered = 0;
        failures.hurried = false;
        failures.has_ended = false;
    }

    /// Whether the next call is made for another reason than the age of what is held.
    pub(crate) fn is_called_anyway(&mut self, name: &InstanceName) -> bool {
        let failures = self.of(name);
        failures.wished || failures.attempts > 0
    }

    /// A failure that is not repeated before a person has acted.
    pub(crate) fn waits_for_person(&mut self, name: &InstanceName) {
        let failures = self.of(name);
        assert!(!failures.renewal, "{name} could be obtained");
        failures.attempts += 1;
        failures.has_ended = false;
    }

    pub(crate) fn wished(&mut self, name: &InstanceName) {
        self.reset(name);
        self.of(name).wished = true;
    }

    /// Another configuration, under which anything may be renewable, and another lease is obtained anyway.
    pub(crate) fn changed(&mut self, name: &InstanceName) {
        self.reset(name);
        let failures = self.of(name);
        failures.exhausted = false;
        failures.wished = true;
    }

    pub(crate) fn removed(&mut self, name: &InstanceName) {
        self.instances.remove(name);
    }

    /// A lease of this life is held.
    pub(crate) fn lives(&mut self, name: &InstanceName, life: Span) {
        self.of(name).life = Some(life);
    }

    /// A call brought a lease.
    pub(crate) fn succeeded(&mut self, name: &InstanceName, work: &ProviderCall, lease: &Lease) {
        self.reset(name);
        self.lives(name, lease.valid_until.since(lease.obtained_at));
        let failures = self.of(name);
        failures.exhausted = matches!(work, ProviderCall::Renew(old)
            if lease.valid_until <= old.valid_until && lease.next_at <= old.next_at);
        failures.wished &= matches!(work, ProviderCall::Renew(_));
    }

    pub(crate) fn ended(&mut self, name: &InstanceName, work: &ProviderCall) {
        self.of(name).renewal = matches!(work, ProviderCall::Renew(_));
    }

    /// A lease is renewed where it can be, unless that failed.
    pub(crate) fn called(
        &mut self,
        name: &InstanceName,
        work: &ProviderCall,
        plan: &InstancePlan,
        held: Option<&Lease>,
        now: Now,
    ) {
        let failures = self.of(name);
        let renews = plan.component.is_some_and(|component| component.renews);
        let lasts = |lease: &Lease| {
            let most = plan.policy.max_lifetime.map(|most| lease.issued_at.plus(most));
            let left = if lease.next_at.is_some() { Span::millis(1) } else { lease.valid_until.since(now.wall) };
            most.into_iter()
                .chain(lease.renewable_until)
                .all(|end| end > lease.valid_until && end.since(lease.valid_until) >= left)
        };
        if let ProviderCall::Renew(lease) = work {
            assert!(!failures.exhausted, "{name} is renewed although that failed for good");
            assert!(lasts(lease), "{name}'s lease is renewed at the end of its greatest life");
            return;
        }
        let renewable = held.filter(|lease| lease.is_valid(now.wall) && lease.fingerprint == plan.fingerprint);
        let renewable = renewable
            .filter(|lease| lease.origin == deputy_core::schedule::LeaseOrigin::Component)
            .filter(|lease| lasts(lease));
        let may = renews && !failures.exhausted && !failures.wished;
        assert!(!may || renewable.is_none(), "{name} is not renewed although it could be");
    }

    /// A call failed, and is repeated after `wait`.
    pub(crate) fn failed(
        &mut self,
        name: &InstanceName,
        (failure, wait): (&CallFailure, Span),
        plan: &InstancePlan,
        held: Option<&Lease>,
        now: Now,
        counts: &mut Counts,
    ) {
        let left = held.filter(|lease| lease.is_valid(now.wall)).map(|lease| lease.valid_until.since(now.wall));
        let kind = failure.kind;
        let failures = self.of(name);
        if failures.hurried && left.is_none() {
            failures.attempts = 0;
        }
        failures.hurried = left.is_some();
        failures.attempts += 1;
        if failures.renewal {
            failures.unanswered += u32::from(kind == FailureKind::OverLimit);
            let again = match kind {
                FailureKind::Throttled | FailureKind::Unavailable => true,
                FailureKind::OverLimit => failures.unanswered == 1,
                _ => false,
            };
            if !again {
                failures.exhausted = true;
                let floor = plan.policy.retry.floor.max(Span::millis(10));
                assert_eq!(wait, floor, "{name} is obtained soon where it cannot be renewed");
                return;
            }
        }
        let had_ended = std::mem::replace(&mut failures.has_ended, kind == FailureKind::Ended && !failures.renewal);
        if kind == FailureKind::Ended {
            assert!(!had_ended, "{name} ended twice, and is no longer called without a person");
            assert_eq!(wait, plan.policy.retry.floor.max(Span::millis(10)), "{name} is obtained again at once");
            return;
        }
        let bounds = failures.bounds(kind, plan, left);
        let after = failure.retry_after.map_or(Span::millis(0), |after| after.min(LONGEST_THROTTLE));
        // There is a try before the lease ends, whatever the service asks for.
        let retry = &plan.policy.retry;
        let floor = retry.floor.max(if kind.is_slow() { retry.slow } else { Span::millis(10) });
        let latest = left.filter(|_| failure.retry_after.is_some()).map(|left| part(left, 2, 3).max(floor));
        let capped = |wait: Span| latest.map_or(wait, |latest| wait.min(latest).max(floor));
        let least = capped(bounds.least.max(after));
        let longer = Span::millis(after.as_millis() + after.as_millis() / 10);
        let most = capped(bounds.most.max(longer));
        let attempt = failures.attempts;
        assert!(wait >= least, "{name} waits for {wait} after failure {attempt}, and for {least} at least");
        assert!(wait <= most, "{name} waits for {wait} after failure {attempt}, and for {most} at most");
        if after > bounds.most && after > Span::secs(1) && latest.is_none_or(|latest| latest > longer) {
            let early = wait.as_millis() < after.as_millis() + after.as_millis() / 20;
            counts.throttled_early += u64::from(early);
            counts.throttled_late += u64::from(!early);
        } else if after == Span::millis(0) && bounds.most.as_millis() > bounds.least.as_millis() + 10 {
            let early = 2 * wait.as_millis() < bounds.least.as_millis() + bounds.most.as_millis();
            counts.backoff_early += u64::from(early);
            counts.backoff_late += u64::from(!early);
        }
    }
}

impl Failures {
    fn bounds(&self, kind: FailureKind, plan: &InstancePlan, left: Option<Span>) -> Bounds {
        let retry = &plan.policy.retry;
        let floor = retry.floor.max(Span::millis(10));
        let least = if kind.is_slow() { retry.slow.max(floor) } else { floor };
        let doubled = Span::millis(least.as_millis().saturating_mul(1 << self.attempts.min(40)));
        let longest = match (left, self.life) {
            (Some(left), _) => retry.most.min(part(left, 1, 3)),
            (None, Some(life)) => retry.most.min(life),
            (None, None) => retry.most,
        };
        let most = doubled.min(longest).max(least);
        Bounds { least: Span::millis(most.as_millis() - most.as_millis() / 2).max(least), most }
    }
}
