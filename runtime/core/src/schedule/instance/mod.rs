//! One instance, as the schedule sees it.
//!
//! The state is private to this module: the schedule asks what is due and reports what happened, and each transition is
//! one method. It holds no other instance, no queue and no index of times.

mod call;
mod due;
mod failures;
mod lease;
mod membership;
mod operator;
mod pause;
mod revocation;
mod save;
mod snapshot;

use std::collections::BTreeMap;

use crate::failure::FailureRecord;
use crate::time::{MonotonicTime, Now};
use crate::{Revision, Span, Timestamp};

use super::budget::{Budget, BudgetLevel, InitialBudget};
use super::event::{ProviderCall, SaveId, ScheduledCallId};
use super::lease::{FilePayload, Lease, LeaseRecord, ServicePause};
use super::policy::{ConfigFingerprint, InstancePlan, ObtainMode, OptionalExports};
use super::queue::{CallPurpose, QueueEntry};
use super::revocation::{NotRevoked, UnrevokedLeases};

pub(super) use self::call::{EndedCall, GiveUpReason, GivenUpCall};
pub(super) use self::lease::expired_on_arrival;
pub(super) use self::save::SaveEnd;

/// How often a change of its configuration has an instance called at once. One that changes more often is called later,
/// with whatever holds then.
const CHANGES: Budget = Budget { per_minute: 10, burst: 5 };

#[derive(Debug)]
pub(super) struct InstanceState {
    plan: InstancePlan,
    membership: Membership,
    /// Until when what it holds is kept, once it leaves.
    leaves_at: Option<MonotonicTime>,
    phase: InstancePhase,

    /// What is saved, or being saved.
    record: LeaseRecord,
    /// The greatest revision that is known to be saved, and the one that is being saved.
    saved_revision: Revision,
    saving_revision: Revision,
    /// When the call began that brought what is held, if this process made it.
    obtained: Option<MonotonicTime>,
    /// Whether the clock was set back while it was held: then it may have ended already.
    distrusted: bool,
    /// The lease that was published last.
    published: Option<Lease>,
    /// The lease whose expiry was reported.
    expiry_reported: Option<Revision>,
    /// How long the last lease lived, or will live.
    usual_life: Option<Span>,
    last_success: Option<Timestamp>,
    renewable: Renewable,
    required: Required,

    file: Option<FilePayload>,

    /// When to obtain or renew next.
    next: DueTime,
    /// Changes of its configuration that have it called at once.
    changes: BudgetLevel,
    /// Calls for tokens, by the hour.
    hourly: BudgetLevel,
    /// When the next of these may be made.
    rests_until: MonotonicTime,
    /// Calls given up in a row.
    given_up: u32,
    /// The call that it gave up and that still runs.
    detached: Option<DetachedCall>,
    /// What calls brought that had been given up, until it is saved as what is to be revoked.
    late: Vec<Lease>,

    /// Calls that failed since the last that did not.
    failures: u32,
    /// Of these, the ones that the backoff counts: hurried attempts before a lease ended don't slow down those after it.
    attempts: u32,
    /// Whether the last failure came while there was a valid lease.
    hurried: bool,
    /// Renewals of the lease that is held which ended without an answer.
    unanswered: u32,
    /// Whether the last call to obtain failed as ended.
    has_ended: bool,
    last_failure: Option<FailureRecord>,

    /// The pause that is saved, or being saved; `None` if it is not known what is, since a write of it failed.
    saved_pause: Option<Option<ServicePause>>,

    /// When to revoke next, after a failure.
    revoke_after: MonotonicTime,
    revoke_failures: u32,
    /// The components of earlier configurations that obtained what is held or waits to be revoked.
    former: BTreeMap<ConfigFingerprint, OptionalExports>,
    abandoned: Option<UnrevokedLeases>,

    /// Why what is held could not be saved when that was last tried.
    save_error: Option<String>,
    /// Whether the record changed while something else was under way, and is to be saved after that.
    is_dirty: bool,
    /// What is still to be saved while other things go on.
    pending_save: Option<PendingSave>,
    /// The lease that was published unsaved last, until a record is saved.
    published_unsaved: Option<Revision>,

    users: u32,
    /// Until when it is kept after its last use.
    used_until: Option<MonotonicTime>,
    /// What the operator asked for, until it is carried out.
    request: Option<OperatorRequest>,
}

/// Whether the configuration still has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    Configured,
    Leaving,
}

/// What is going on. One thing at a time.
#[derive(Debug)]
pub(super) enum InstancePhase {
    Resting,
    Waiting { entry: QueueEntry, since: MonotonicTime },
    Calling { call: ScheduledCallId, work: ProviderCall, began: Now, fingerprint: ConfigFingerprint, revoked: bool },
    Saving { id: SaveId, failures: u32, again: Option<MonotonicTime> },
    Forgetting { id: SaveId, failures: u32, again: Option<MonotonicTime> },
}

/// A call for tokens that its instance no longer waits for.
#[derive(Debug)]
struct DetachedCall {
    call: ScheduledCallId,
    origin: CallOrigin,
}

/// How a call for tokens was made.
#[derive(Debug, Clone)]
struct CallOrigin {
    began: Now,
    fingerprint: ConfigFingerprint,
    /// When the tokens were issued that it renews.
    issued_at: Option<Timestamp>,
    /// Whether an operator revoked what it brings.
    revoked: bool,
}

/// A record that could not be saved, and is to be saved while other things go on.
#[derive(Debug, Clone, Copy)]
struct PendingSave {
    failures: u32,
    again: MonotonicTime,
}

/// When something is due: by one clock or the other, whichever comes first. So a clock that is set back delays nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DueTime {
    mono: MonotonicTime,
    wall: Option<Timestamp>,
}

/// Whether the lease that is held may be renewed, as far as the component can at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewable {
    Perhaps,
    Exhausted,
}

/// Whether the component needs tokens, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Required {
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
    /// When something else makes it due.
    const NEVER: Self = Self { mono: MonotonicTime::NEVER, wall: None };

    fn at(mono: MonotonicTime) -> Self {
        Self { mono, wall: None }
    }

    fn is_due(self, now: Now) -> bool {
        self.mono <= now.mono || self.wall.is_some_and(|wall| wall <= now.wall)
    }

    /// When that is, if no clock jumps.
    fn due_at(self, now: Now) -> MonotonicTime {
        self.wall.map_or(self.mono, |wall| self.mono.min(now.mono_at(wall)))
    }
}

impl InstanceState {
    /// An instance that enters with what is on disk and what its file holds.
    pub(super) fn new(
        plan: InstancePlan,
        mut record: LeaseRecord,
        file: Option<FilePayload>,
        now: MonotonicTime,
    ) -> Self {
        record.keeps_state |= plan.keeps_state;
        Self {
            membership: Membership::Configured,
            leaves_at: None,
            phase: InstancePhase::Resting,
            saved_pause: Some(record.pause),
            saved_revision: record.revision,
            saving_revision: record.revision,
            record,
            obtained: None,
            distrusted: false,
            published: None,
            expiry_reported: None,
            usual_life: None,
            last_success: None,
            renewable: Renewable::Perhaps,
            required: Required::Yes,
            file,
            next: DueTime::at(now),
            changes: BudgetLevel::new(CHANGES, InitialBudget::Full, now),
            hourly: BudgetLevel::hourly(plan.policy.calls, now),
            rests_until: now,
            given_up: 0,
            detached: None,
            late: Vec::new(),
            failures: 0,
            attempts: 0,
            hurried: false,
            unanswered: 0,
            has_ended: false,
            last_failure: None,
            revoke_after: now,
            revoke_failures: 0,
            former: BTreeMap::new(),
            abandoned: None,
            save_error: None,
            is_dirty: false,
            pending_save: None,
            published_unsaved: None,
            users: 0,
            used_until: None,
            request: None,
            plan,
        }
    }

    pub(super) fn plan(&self) -> &InstancePlan {
        &self.plan
    }

    pub(super) fn phase(&self) -> &InstancePhase {
        &self.phase
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, InstancePhase::Resting) && self.detached.is_none()
    }

    /// The lease, if it has not expired.
    fn valid(&self, now: Timestamp) -> Option<&Lease> {
        self.record.lease.as_ref().filter(|lease| lease.is_valid(now))
    }

    /// The lease that was published last, or else the one that will be.
    fn current(&self) -> Option<&Lease> {
        self.published.as_ref().or(self.record.lease.as_ref())
    }

    /// What is left of the lease.
    fn left(&self, now: Timestamp) -> Option<Span> {
        self.valid(now).map(|lease| lease.valid_until.since(now))
    }

    /// Whether there is a user, or was one a moment ago, or none is needed.
    fn in_use(&self, now: MonotonicTime) -> bool {
        match self.plan.policy.mode {
            ObtainMode::Always => true,
            ObtainMode::OnDemand(_) => self.users > 0 || self.used_until.is_some_and(|until| now < until),
        }
    }

    /// Until when it is kept if it is used now.
    fn grace(&self, now: MonotonicTime) -> Option<MonotonicTime> {
        match self.plan.policy.mode {
            ObtainMode::Always => None,
            ObtainMode::OnDemand(grace) => Some(now.plus(grace)),
        }
    }

    /// Counts a lease that is not revoked although it should be.
    pub(super) fn count_abandoned(&mut self, revision: Revision, why: NotRevoked, at: Timestamp) {
        let count = self.abandoned.as_ref().map_or(0, |abandoned| abandoned.count).saturating_add(1);
        self.abandoned = Some(UnrevokedLeases { count, revision, why, at });
    }

    fn is_queued_for(&self, purpose: CallPurpose) -> bool {
        matches!(&self.phase, InstancePhase::Waiting { entry, .. } if entry.purpose == purpose)
    }
}
