//! What failed calls mean for the next one.

use crate::failure::{FailureKind, FailureRecord};
use crate::retry::RetryPolicy;
use crate::time::{Now, Timestamp};
use crate::{Revision, Span};

use super::{DueTime, InstanceState, Renewable};
use crate::schedule::event::ProviderCall;

impl InstanceState {
    /// A call for tokens failed. Returns the delay before the next one.
    pub(in crate::schedule) fn call_failed(
        &mut self,
        work: &ProviderCall,
        failure: FailureRecord,
        now: Now,
        random: u16,
    ) -> Span {
        self.count_failure(now.wall);
        let retry = self.retry_policy(now.wall);
        let mut wait = retry.delay(failure.kind, self.attempts, self.left(now.wall), random);
        if matches!(work, ProviderCall::Renew(_)) && !self.renews_again(failure.kind) {
            // What can't be renewed can perhaps be obtained.
            self.renewable = Renewable::Exhausted;
            wait = retry.least();
        }
        self.next = DueTime::at(now.mono.plus(wait));
        self.last_failure = Some(failure);
        wait
    }

    /// A revocation failed. Returns the delay before the next one.
    pub(in crate::schedule) fn revocation_failed(
        &mut self,
        revision: Revision,
        kind: FailureKind,
        now: Now,
        random: u16,
    ) -> Span {
        self.revoke_failures = self.revoke_failures.saturating_add(1);
        let wait = self.plan.policy.retry.delay(kind, self.revoke_failures, None, random);
        self.revoke_after = now.mono.plus(wait);
        // One that can't be revoked keeps no other waiting until it expires.
        let retired = &mut self.record.retired;
        if let Some(at) = retired.iter().position(|retired| retired.lease.revision == revision) {
            let failed = retired.remove(at);
            retired.push(failed);
        }
        wait
    }

    /// A call brought something, or what is called changed.
    pub(super) fn forget_failures(&mut self) {
        self.failures = 0;
        self.attempts = 0;
        self.hurried = false;
        self.unanswered = 0;
        self.last_failure = None;
    }

    /// Backoff begins anew when the lease has ended since the last failure.
    fn count_failure(&mut self, now: Timestamp) {
        let is_valid = self.valid(now).is_some();
        if !is_valid && self.hurried {
            self.attempts = 0;
        }
        self.hurried = is_valid;
        self.failures = self.failures.saturating_add(1);
        self.attempts = self.attempts.saturating_add(1);
    }

    /// After the end of a lease, no delay is longer than leases usually live.
    fn retry_policy(&self, now: Timestamp) -> RetryPolicy {
        let retry = self.plan.policy.retry;
        match self.usual_life.filter(|_| self.valid(now).is_none()) {
            Some(life) => RetryPolicy { most: retry.most.min(life), ..retry },
            None => retry,
        }
    }

    /// Whether a renewal that failed this way is tried as a renewal again: one that ran out of time once, and any that
    /// the service put off.
    fn renews_again(&mut self, kind: FailureKind) -> bool {
        match kind {
            FailureKind::Throttled(_) | FailureKind::Unavailable => true,
            FailureKind::OverLimit => {
                self.unanswered = self.unanswered.saturating_add(1);
                self.unanswered == 1
            }
            FailureKind::Broken
            | FailureKind::Denied
            | FailureKind::Internal
            | FailureKind::Misconfigured
            | FailureKind::Refused => false,
        }
    }
}
