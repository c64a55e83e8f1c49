//! One instance, as the schedule sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Revision, SecretBytes, Span, Timestamp};

use super::budget::{Bucket, InitialBudget};
use super::detach::{CHANGES, Detached};
use super::event::{ProviderCall, SaveId, ScheduledCallId};
use super::lease::{FilePayload, Lease, LeaseOrigin, LeaseRecord};
use super::policy::{ASSUMED_LIFETIME, ConfigFingerprint, InstancePlan, ObtainMode};
use super::queue::Place;
use super::revocation::{Abandoned, Former};
use super::unsaved::Unsaved;
use crate::failure::{FailureKind, FailureRecord};
use crate::retry::RetryPolicy;
use crate::time::{MonotonicTime, Now};

#[derive(Debug)]
pub(super) struct InstanceState {
    pub(super) plan: InstancePlan,
    /// The components of earlier configurations that obtained what is held or waits to be revoked.
    pub(super) former: BTreeMap<ConfigFingerprint, Former>,
    /// What was not revoked although it should have been.
    pub(super) abandoned: Option<Abandoned>,
    pub(super) stay: Membership,
    /// Until when what it holds is kept, once it leaves.
    pub(super) leaves_at: Option<MonotonicTime>,
    /// What is saved, or being saved.
    pub(super) record: LeaseRecord,
    /// When the call began that brought what is held, if this process made it.
    pub(super) obtained: Option<MonotonicTime>,
    /// Whether the clock was set back while it was held: then it may have ended already.
    pub(super) distrusted: bool,
    /// What was given out last.
    pub(super) published: Option<Lease>,
    pub(super) found: Option<FilePayload>,
    /// What the file held that had its turn.
    pub(super) spent: Option<ConsumedPayload>,
    pub(super) phase: InstancePhase,
    /// When to obtain or renew next.
    pub(super) next: DueTime,
    /// Calls that were given up since the last that ended.
    pub(super) given_up: u32,
    /// The call that it gave up, until that ends.
    pub(super) detached: Option<Detached>,
    /// What calls brought that had been given up, until it is saved as what is to be revoked.
    pub(super) late: Vec<Lease>,
    /// Changes of its configuration that have it called at once.
    pub(super) changes: Bucket,
    /// Calls for tokens, by the hour.
    pub(super) hourly: Bucket,
    /// When the next of these may be made.
    pub(super) rests_until: MonotonicTime,
    /// When to revoke next, after a failure.
    pub(super) revoke_after: MonotonicTime,
    pub(super) revoke_failures: u32,
    /// Calls that failed since the last that did not.
    pub(super) failures: u32,
    /// Of these, the ones that the backoff counts: hurried tries before a lease ended don't slow down those after it.
    pub(super) attempts: u32,
    /// Whether the last failure came while there was a valid lease.
    pub(super) hurried: bool,
    /// Renewals of the lease that is held which ended without an answer.
    pub(super) unanswered: u32,
    /// How long the last lease lived, or will live.
    pub(super) usual_life: Option<Span>,
    pub(super) trouble: Option<FailureRecord>,
    /// Why what is held could not be saved when that was last tried.
    pub(super) unsaved: Option<String>,
    /// What is still to be saved while other things go on.
    pub(super) unsaved_record: Option<Unsaved>,
    /// The lease that was published unsaved last, until a record is saved.
    pub(super) published_unsaved: Option<Revision>,
    pub(super) last_success: Option<Timestamp>,
    pub(super) renewable: Renewable,
    pub(super) required: Required,
    /// How many use it now, and until when it is kept for those who used it.
    pub(super) users: u32,
    pub(super) used_until: Option<MonotonicTime>,
    /// The operator's wish, until it is carried out.
    pub(super) wish: Option<OperatorRequest>,
    /// The lease of which the end was told.
    pub(super) told_expired: Option<Revision>,
    /// Where it stands in the schedule's indexes of times.
    pub(super) wakes: (Option<MonotonicTime>, Option<Timestamp>),
}

/// Whether the configuration still has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    Configured,
    Leaving,
}

/// What is going on. One thing at a time.
#[derive(Debug)]
pub(super) enum InstancePhase {
    Resting,
    Waiting { place: Place },
    Calling { call: ScheduledCallId, work: ProviderCall, began: Now, fingerprint: ConfigFingerprint, revoked: bool },
    Saving { ticket: SaveId, failures: u32, again: Option<MonotonicTime> },
    Forgetting { ticket: SaveId, failures: u32, again: Option<MonotonicTime> },
}

/// When something is due: by one clock or the other, whichever comes first. So a clock that is set back delays nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DueTime {
    pub(super) mono: MonotonicTime,
    pub(super) wall: Option<Timestamp>,
}

/// A payload of the file that is not given out again while the file does not change.
#[derive(Debug)]
pub(super) enum ConsumedPayload {
    /// It grew old, and the component was called: it is given out only where there is nothing else.
    Passed(Arc<SecretBytes>),
    /// The operator revoked it.
    Revoked(Arc<SecretBytes>),
}

/// Whether the lease that is held may be renewed, as far as the component can at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewable {
    Perhaps,
    Exhausted,
}

/// Whether the component needs tokens, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Required {
    Yes,
    No,
}

/// Whether the schedule goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunState {
    Running,
    Stopping,
}

/// What the operator asked for, the more urgent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OperatorRequest {
    Renew,
    Revoke,
}

impl DueTime {
    pub(super) fn at(mono: MonotonicTime) -> Self {
        Self { mono, wall: None }
    }

    pub(super) fn is_due(self, now: Now) -> bool {
        self.mono <= now.mono || self.wall.is_some_and(|wall| wall <= now.wall)
    }

    /// When that is, if no clock jumps.
    pub(super) fn due_at(self, now: Now) -> MonotonicTime {
        self.wall.map_or(self.mono, |wall| self.mono.min(now.mono_at(wall)))
    }
}

impl InstanceState {
    pub(super) fn new(plan: InstancePlan, record: LeaseRecord, now: MonotonicTime) -> Self {
        Self {
            given_up: 0,
            detached: None,
            late: Vec::new(),
            changes: Bucket::new(CHANGES, InitialBudget::Full, now),
            hourly: Bucket::hourly(plan.policy.calls, now),
            rests_until: now,
            plan,
            former: BTreeMap::new(),
            abandoned: None,
            stay: Membership::Configured,
            leaves_at: None,
            record,
            obtained: None,
            distrusted: false,
            published: None,
            found: None,
            spent: None,
            phase: InstancePhase::Resting,
            next: DueTime::at(now),
            revoke_after: now,
            revoke_failures: 0,
            failures: 0,
            attempts: 0,
            hurried: false,
            unanswered: 0,
            usual_life: None,
            trouble: None,
            unsaved: None,
            unsaved_record: None,
            published_unsaved: None,
            last_success: None,
            renewable: Renewable::Perhaps,
            required: Required::Yes,
            users: 0,
            used_until: None,
            wish: None,
            told_expired: None,
            wakes: (None, None),
        }
    }

    /// The lease, if it is still good.
    pub(super) fn valid(&self, now: Timestamp) -> Option<&Lease> {
        self.record.lease.as_ref().filter(|lease| lease.is_valid(now))
    }

    /// What others have: the lease that was given out last, or else the one that will be.
    pub(super) fn given(&self) -> Option<&Lease> {
        self.published.as_ref().or(self.record.lease.as_ref())
    }

    /// What is left of the lease.
    pub(super) fn left(&self, now: Timestamp) -> Option<Span> {
        self.valid(now).map(|lease| lease.valid_until.since(now))
    }

    /// Counts a failed call. Backoff begins anew when the lease has ended since the last failure.
    pub(super) fn count_failure(&mut self, now: Timestamp) {
        let valid = self.valid(now).is_some();
        if !valid && self.hurried {
            self.attempts = 0;
        }
        self.hurried = valid;
        self.failures = self.failures.saturating_add(1);
        self.attempts = self.attempts.saturating_add(1);
    }

    /// How failures are tried again now: after the end of a lease with no longer delays than leases usually live.
    pub(super) fn retry(&self, now: Timestamp) -> RetryPolicy {
        let retry = self.plan.policy.retry;
        match self.usual_life.filter(|_| self.valid(now).is_none()) {
            Some(life) => RetryPolicy { most: retry.most.min(life), ..retry },
            None => retry,
        }
    }

    /// A call brought something, or what is called changed.
    pub(super) fn forget_failures(&mut self) {
        self.failures = 0;
        self.attempts = 0;
        self.hurried = false;
        self.unanswered = 0;
        self.trouble = None;
    }

    /// Whether a renewal that failed this way is tried as a renewal again: one that ran out of time once, and any that
    /// the service put off.
    pub(super) fn renews_again(&mut self, kind: FailureKind) -> bool {
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

    /// Until when tokens are valid of which the service says this, as far as the configuration lets them be.
    pub(super) fn life_of(&self, told: Option<Timestamp>, obtained_at: Timestamp) -> Timestamp {
        let cap = self.plan.policy.lifetime.map(|life| obtained_at.plus(life));
        match (told, cap) {
            (Some(told), Some(cap)) => told.min(cap),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => obtained_at.plus(ASSUMED_LIFETIME),
        }
    }

    /// Counts a call for tokens.
    pub(super) fn count_call(&mut self, now: MonotonicTime) {
        // One that an operator asked for is made in any case.
        self.hourly.take(now).ok();
        self.rests_until = self.hourly.free_at(now);
    }

    /// The clock was set back: what was obtained while it was ahead may have ended already.
    pub(super) fn distrust(&mut self, now: Now) {
        let obtained = self.record.lease.as_ref().is_some_and(|lease| lease.origin == LeaseOrigin::Component);
        self.distrusted = obtained;
        if obtained && self.failures == 0 {
            self.next = DueTime::at(now.mono);
        }
    }

    /// Whether somebody uses it, or did a moment ago, or nobody has to.
    pub(super) fn in_use(&self, now: MonotonicTime) -> bool {
        match self.plan.policy.mode {
            ObtainMode::Always => true,
            ObtainMode::OnDemand(_) => self.users > 0 || self.used_until.is_some_and(|until| now < until),
        }
    }

    /// Until when it is kept if it is used now.
    pub(super) fn grace(&self, now: MonotonicTime) -> Option<MonotonicTime> {
        match self.plan.policy.mode {
            ObtainMode::Always => None,
            ObtainMode::OnDemand(grace) => Some(now.plus(grace)),
        }
    }

    /// How often saving what is being saved failed.
    pub(super) fn save_failures(&self) -> u32 {
        match self.phase {
            InstancePhase::Saving { failures, .. } | InstancePhase::Forgetting { failures, .. } => failures,
            InstancePhase::Resting | InstancePhase::Waiting { .. } | InstancePhase::Calling { .. } => {
                self.unsaved_record.map_or(0, |unsaved| unsaved.failures)
            }
        }
    }

    /// The file's payload is not to be given out: it was, or would be next.
    pub(super) fn disown(&mut self) {
        let held = self.record.lease.as_ref().filter(|lease| lease.origin == LeaseOrigin::File);
        let payload = self.found.as_ref().map(|found| &found.payload).or(held.map(|lease| &lease.payload));
        self.spent = payload.map(|payload| ConsumedPayload::Revoked(Arc::clone(payload))).or(self.spent.take());
    }

    /// The file's payload had its turn.
    pub(super) fn pass(&mut self) {
        let Some(found) = &self.found else { return };
        if !matches!(&self.spent, Some(ConsumedPayload::Revoked(payload)) if payload.expose() == found.payload.expose())
        {
            self.spent = Some(ConsumedPayload::Passed(Arc::clone(&found.payload)));
        }
    }
}
