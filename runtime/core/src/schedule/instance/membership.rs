//! An instance enters, changes its plan, leaves, and comes back.

use crate::time::Now;

use super::lease::NotRevokedLeases;
use super::{DueTime, InstancePhase, InstanceState, Membership, OperatorRequest, Renewable, Required, RunState};
use crate::Span;
use crate::schedule::budget::BudgetLevel;
use crate::schedule::lease::{Lease, LeaseRecord};
use crate::schedule::orphans::{ORPHAN_GRACE, REMOVAL_GRACE};
use crate::schedule::policy::{InstancePlan, Switch};

/// A change gives up the call that is under way if this many more such changes are left: under changes that go on and on,
/// calls run to their end.
const CHANGES_LEFT: u64 = 2;

/// How another plan differs from the one that an instance has.
#[derive(Debug, Clone, Copy)]
pub(in crate::schedule) struct PlanChange {
    pub(in crate::schedule) returned: bool,
    /// Its component, or what it is called with, is another one; or it returned.
    is_other: bool,
    /// It may be called at once for this change.
    is_prompt: bool,
    /// The call that is under way is to be given up for this change.
    pub(in crate::schedule) gives_up_call: bool,
}

impl InstanceState {
    /// Starts with what was on disk. Returns the lease to publish.
    pub(in crate::schedule) fn resume(&mut self, now: Now, random: u16) -> Option<Lease> {
        self.usual_life = self.record.lease.as_ref().map(|lease| lease.valid_until.since(lease.obtained_at));
        let lease = self.valid(now.wall).cloned()?;
        self.last_success = Some(lease.obtained_at);
        self.used_until = self.grace(now.mono);
        self.published = Some(lease.clone());
        self.next = self.replacement(now, now.wall, random);
        Some(lease)
    }

    /// How a plan differs from the one that it has; `None` if it does not. Counts the change.
    pub(in crate::schedule) fn compare_plan(&mut self, plan: &InstancePlan, now: Now) -> Option<PlanChange> {
        let returned = self.membership == Membership::Leaving;
        if self.plan == *plan && !returned {
            return None;
        }
        let is_other = self.plan.fingerprint != plan.fingerprint || returned;
        // Whatever changes too often lets calls end.
        let is_prompt = is_other && self.changes.take(now.mono).is_ok();
        let gives_up_call = is_prompt && self.changes.level(now.mono) >= CHANGES_LEFT;
        Some(PlanChange { returned, is_other, is_prompt, gives_up_call })
    }

    /// Takes another plan. The instance has left the queue, and its call was given up if the change says so.
    pub(in crate::schedule) fn replan(&mut self, plan: InstancePlan, change: PlanChange, now: Now, random: u16) {
        let mode_changed = self.plan.policy.mode != plan.policy.mode;
        let policy_changed = self.plan.policy != plan.policy;
        if self.plan.policy.calls != plan.policy.calls {
            self.hourly = BudgetLevel::hourly(plan.policy.calls, now.mono);
            self.rests_until = now.mono;
        }
        self.keep_former();
        self.record.keeps_state |= plan.keeps_state;
        self.plan = plan;
        self.membership = Membership::Configured;
        if mode_changed {
            self.used_until = self.grace(now.mono);
        }
        if change.is_other {
            self.forget_failures();
            self.renewable = Renewable::Perhaps;
            self.required = Required::Yes;
            // What is obtained now is what was requested. What was to be revoked still is.
            self.request.take_if(|request| *request == OperatorRequest::Renew);
            // What was obtained as it would be now is replaced in its time.
            let is_own = self.valid(now.wall).is_some_and(|lease| lease.fingerprint == self.plan.fingerprint);
            let next = if is_own { self.replacement(now, now.wall, random) } else { DueTime::at(now.mono) };
            let waits = next.is_due(now) && !change.is_prompt;
            self.next = if waits { DueTime::at(self.changes.free_at(now.mono)) } else { next };
        } else if policy_changed && self.failures == 0 && self.request.is_none() && self.valid(now.wall).is_some() {
            self.next = self.replacement(now, now.wall, random);
        }
    }

    pub(in crate::schedule) fn is_leaving(&self) -> bool {
        self.membership == Membership::Leaving
    }

    /// It is no longer configured.
    pub(in crate::schedule) fn leave(&mut self, now: Now) {
        self.membership = Membership::Leaving;
        self.leaves_at = Some(now.mono.plus(self.removal_grace()));
    }

    /// It was leaving and is configured again: what it holds is its own if nothing changed. Returns what should be
    /// revoked and can't be.
    pub(in crate::schedule) fn return_as(&mut self, plan: &InstancePlan, now: Now) -> NotRevokedLeases {
        self.leaves_at = None;
        let mut not_revoked = Vec::new();
        let lease = self.record.lease.as_ref();
        let is_foreign = lease.is_some_and(|lease| lease.fingerprint != plan.fingerprint);
        if plan.fingerprint.is_known() && is_foreign {
            self.is_dirty |= self.end_lease(self.end_on_removal(), now, &mut not_revoked);
        }
        not_revoked
    }

    /// Whether state may be kept for it. What an earlier configuration saved stays.
    pub(in crate::schedule) fn keeps_state(&self) -> bool {
        self.record.keeps_state
    }

    /// What is kept of it when it is gone.
    pub(in crate::schedule) fn into_record(self) -> LeaseRecord {
        self.record
    }

    /// The lease of an instance that returned during a call. It is on disk, and the end of the call need not bring
    /// another one, so it is published without a save.
    pub(in crate::schedule) fn republish(&mut self, run_state: RunState, now: Now) -> Option<Lease> {
        let is_saved = matches!(self.phase, InstancePhase::Calling { .. }) && self.pending_save.is_none();
        if is_saved { self.publish_held(run_state, now) } else { None }
    }

    /// What becomes of the lease of an instance that was removed.
    pub(super) fn end_on_removal(&self) -> Switch {
        if self.plan.policy.revoke.removed.is_some() { Switch::Revoke } else { Switch::Expire }
    }

    /// Whether what it holds is still kept after its removal.
    pub(super) fn is_kept(&self, now: Now) -> bool {
        let in_grace = self.leaves_at.is_some_and(|at| now.mono < at);
        in_grace && self.valid(now.wall).is_some()
    }

    /// Notes in the record that it was removed, or that it is back; whether that changed something.
    pub(super) fn note_removal(&mut self, now: Now) -> bool {
        match (self.membership, self.record.removed) {
            (Membership::Configured, Some(_)) => self.record.removed = None,
            (Membership::Leaving, None) if self.is_kept(now) => {
                self.record.removed = Some(now.wall.plus(self.record_grace()));
            }
            _ => return false,
        }
        true
    }

    /// How long the record is kept where a restart comes between: state stays as long as after a restart.
    fn record_grace(&self) -> Span {
        let least = if self.keeps_state() { ORPHAN_GRACE } else { Span::millis(0) };
        self.removal_grace().max(least)
    }

    fn removal_grace(&self) -> Span {
        self.plan.policy.revoke.removed.unwrap_or(REMOVAL_GRACE)
    }
}
