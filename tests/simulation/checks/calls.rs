//! Calls: that each is permitted, in time, and followed by the delay that was reported.

use deputy_core::failure::FailureKind;
use deputy_core::schedule::{
    CallOutcome, ConfigFingerprint, Lease, LeaseRecord, ProviderCall, ScheduleConfig, UpstreamName,
};
use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{CallFailure, InstanceName, Span, TokenExpiry};

use crate::counts::Counts;
use crate::history::Process;
use crate::service::number;

use super::{ASK_AGAIN, CHANGES, Checks, floor, nearly};

/// For how long an instance rests that waits for a person.
const FOREVER: Span = Span::millis(u64::MAX);

impl Checks {
    /// For how long an instance rests as it said, without a call.
    pub(crate) fn promised(&mut self, name: &InstanceName, now: MonotonicTime) -> Span {
        let paused = self.paused.get(name).map_or(Span::millis(0), |until| until.since(now));
        let rationed = self.rates.wait(name, now).max(paused);
        let Some(seen) = self.seen.get(name) else { return rationed };
        // What waits for a person is attended to before this is asked.
        let rests = seen.rests.filter(|(_, least)| *least != FOREVER);
        let rests = rests.map_or(Span::millis(0), |(since, least)| since.plus(least).since(now));
        // A component that requires no tokens is called again after a while.
        rationed.max(if seen.needless { rests.max(ASK_AGAIN) } else { rests })
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
            self.leases.revoking(name, lease, now);
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
        let is_called_anyway = self.backoff.is_called_anyway(name);
        self.backoff.called(name, work, &plan, self.leases.held(name), now);
        self.rates.taken(name);
        let seen = self.seen(name);
        seen.work = Some(work.clone());
        let excused = std::mem::take(&mut seen.excused);
        if !excused && !is_called_anyway {
            self.leases.is_no_rotation_before_its_time(name, &plan, now);
        }
        let seen = self.seen(name);
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
            self.rates.done(name);
        }
        let plan = configuration.plans.get(name);
        // Soon after a call that brought tokens there is no other, however short they live.
        let interval =
            plan.filter(|_| matches!(outcome, CallOutcome::Obtained(_))).map(|plan| plan.policy.calls.interval);
        let interval = interval.map_or(Span::millis(0), |interval| began.plus(interval).since(now));
        let least = plan.map_or(Span::millis(0), floor).max(interval);
        let seen = self.seen(name);
        // A change of the configuration during the call may delay the next one for longer.
        let rests =
            seen.rests.filter(|(since, span)| seen.excused && *span == CHANGES && since.plus(*span) > now.plus(least));
        seen.rests = rests.or(Some((now, least)));
        seen.needless = matches!(outcome, CallOutcome::NotRequired);
        if matches!(outcome, CallOutcome::Obtained(_)) {
            seen.obtained = Some(now);
        }
    }

    /// A call failed: the delay is within its bounds, and will be kept.
    pub(crate) fn failed(
        &mut self,
        name: &InstanceName,
        (failure, wait): (&CallFailure, Option<Span>),
        now: Now,
        counts: &mut Counts,
    ) {
        self.rates.done(name);
        let plan = &self.plans[name];
        let is_for_person = failure.kind == FailureKind::Attention && failure.retry_after.is_none();
        match wait {
            Some(wait) => self.backoff.failed(name, (failure, wait), plan, self.leases.held(name), now, counts),
            None => {
                assert!(is_for_person, "{name} is not called again after {failure:?}");
                self.backoff.waits_for_person(name);
                counts.for_person += 1;
            }
        }
        self.seen(name).rests = Some((now.mono, wait.unwrap_or(FOREVER)));
    }

    /// A call returned tokens. If they are not needed, they are revoked.
    pub(crate) fn came(
        &mut self,
        name: &InstanceName,
        outcome: &CallOutcome,
        (made, unwanted, detached): (ConfigFingerprint, bool, bool),
        now: Now,
        configuration: &ScheduleConfig,
    ) {
        let plan = &self.plans[name];
        let revoke = &plan.policy.revoke;
        let wanted = match configuration.plans.contains_key(name) {
            true => unwanted || revoke.replaced.is_some(),
            false => revoke.removed.is_some(),
        };
        let able = self.able(name).contains(&made);
        // An answer under a former configuration replaces what it obtained, as long as that is held.
        let held = self.leases.held(name).filter(|lease| lease.is_valid(now.wall));
        let replaces = made != plan.fingerprint && held.is_some_and(|lease| lease.fingerprint == made);
        if let (CallOutcome::Obtained(tokens), true, false, false) = (outcome, replaces, unwanted, detached)
            && (plan.policy.lifetime.is_some() || !matches!(tokens.expiry, TokenExpiry::At(end) if end <= now.wall))
        {
            self.replaces = configuration.plans.contains_key(name).then(|| (name.clone(), number(&tokens.payload)));
        }
        self.leases.came(name, outcome, plan, (wanted && able, detached && !wanted), now);
    }
}
