//! What failed calls mean for the next one.

use crate::failure::{CallFailure, FailureKind, FailureRecord};
use crate::retry::RetryPolicy;
use crate::time::{Now, Timestamp};
use crate::{Revision, Span};

use super::{DueTime, EndedCall, InstanceState, Renewable};
use crate::schedule::event::ProviderCall;

impl InstanceState {
    /// A call for tokens failed. Returns the failure as it is recorded, and the delay before the next call; none if that
    /// waits for a person.
    pub(in crate::schedule) fn call_failed(
        &mut self,
        ended: &EndedCall,
        mut failure: CallFailure,
        now: Now,
        random: u16,
    ) -> (FailureRecord, Option<Span>) {
        self.count_failure(now.wall);
        let is_renewal = matches!(ended.work, ProviderCall::Renew(_));
        let retry = self.retry_policy(now.wall);
        let has_ended = failure.kind == FailureKind::Ended && !is_renewal;
        if has_ended && self.has_ended {
            // It was obtained again already, and that ended the same way.
            failure.kind = FailureKind::Attention;
        }
        self.has_ended = has_ended;
        let mut wait = retry.delay(&failure, self.attempts, self.left(now.wall), random);
        if is_renewal && !self.renews_again(failure.kind) {
            // What can't be renewed can perhaps be obtained.
            self.renewable = Renewable::Exhausted;
            wait = retry.least();
        } else if failure.kind == FailureKind::Ended {
            wait = retry.least();
        } else {
            self.note_pause(failure.retry_after, ended.fingerprint, now.wall);
        }
        let waits_for_person = failure.kind == FailureKind::Attention && failure.retry_after.is_none();
        let wait = Some(wait).filter(|_| !waits_for_person || is_renewal);
        self.next = wait.map_or(DueTime::NEVER, |wait| DueTime::at(now.mono.plus(wait)));
        let record = FailureRecord { failure, at: now.wall };
        self.last_failure = Some(record.clone());
        (record, wait)
    }

    /// Whether a person has to act before it is called with success.
    pub(in crate::schedule) fn needs_attention(&self) -> bool {
        self.last_failure.as_ref().is_some_and(|record| record.failure.kind == FailureKind::Attention)
    }

    /// A revocation failed. Returns the delay before the next one.
    pub(in crate::schedule) fn revocation_failed(
        &mut self,
        revision: Revision,
        failure: &CallFailure,
        now: Now,
        random: u16,
    ) -> Span {
        self.revoke_failures = self.revoke_failures.saturating_add(1);
        let wait = self.plan.policy.retry.delay(failure, self.revoke_failures, None, random);
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
        self.has_ended = false;
        self.last_failure = None;
    }

    /// Backoff starts again when the lease has ended since the last failure.
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
            FailureKind::Throttled | FailureKind::Unavailable => true,
            FailureKind::OverLimit => {
                self.unanswered = self.unanswered.saturating_add(1);
                self.unanswered == 1
            }
            FailureKind::Attention
            | FailureKind::Broken
            | FailureKind::Denied
            | FailureKind::Ended
            | FailureKind::Internal
            | FailureKind::Misconfigured
            | FailureKind::Refused => false,
        }
    }
}
