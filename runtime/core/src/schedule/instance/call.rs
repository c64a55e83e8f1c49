//! The calls of an instance: how they start, end, and are given up.
//!
//! A call for tokens that is given up may have brought them at the service already, so what it still brings is revoked,
//! if the component can: it is detached, that is, its instance continues without it and still gets its result. While
//! one is detached, the next one is not: it runs to its end, and what it brings is revoked or, if it was made as the
//! configuration is now, held. So an instance has two calls at most, however often the
//! configuration changes, and the limits end each of them.

use crate::time::Now;
use crate::{InstanceName, Span, Tokens};

use super::revocation::Revocation;
use super::{CallOrigin, DetachedCall, DueTime, InstancePhase, InstanceState, Membership, RunState};
use crate::schedule::event::{CallOutcome, ProviderCall, ScheduledCallId};
use crate::schedule::policy::{ConfigFingerprint, Switch};
use crate::schedule::queue::{CallPurpose, QueueEntry};

/// Calls in a row that may be given up because the configuration changed; then one runs to its end.
const IN_A_ROW: u32 = 2;

/// Why a call is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schedule) enum GiveUpReason {
    Changed,
    /// The instance is no longer configured.
    Removed,
    /// An operator revoked what it brings.
    Revoked,
}

/// What becomes of a call that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schedule) enum GivenUpCall {
    Cancel,
    Detach(ScheduledCallId),
}

/// A call that ended, and that the instance waited for.
#[derive(Debug)]
pub(in crate::schedule) struct EndedCall {
    pub(in crate::schedule) work: ProviderCall,
    pub(in crate::schedule) began: Now,
    pub(in crate::schedule) fingerprint: ConfigFingerprint,
    revoked: bool,
}

impl InstanceState {
    /// What it is to be queued for now.
    pub(in crate::schedule) fn due_purpose(&self, run_state: RunState, now: Now) -> Option<CallPurpose> {
        let is_running = run_state == RunState::Running;
        // A schedule that stops obtains nothing more, and revokes, once, what there is no later chance for.
        let is_last_chance =
            self.membership == Membership::Leaving || self.plan.policy.revoke.shutdown == Switch::Revoke;
        let may_revoke = is_running || (is_last_chance && self.revoke_failures == 0);
        if is_running && self.is_due(now) {
            Some(CallPurpose::Tokens)
        } else if may_revoke && self.pending_save.is_none() && self.lease_to_revoke(now).is_some() {
            Some(CallPurpose::Revocation)
        } else {
            None
        }
    }

    /// What it is queued for.
    pub(in crate::schedule) fn queued_purpose(&self) -> Option<CallPurpose> {
        match &self.phase {
            InstancePhase::Waiting { entry, .. } => Some(entry.purpose),
            _ => None,
        }
    }

    /// How long it has waited for its turn.
    pub(in crate::schedule) fn has_waited(&self, now: Now) -> Span {
        match &self.phase {
            InstancePhase::Waiting { since, .. } => now.mono.since(*since),
            _ => Span::secs(0),
        }
    }

    /// Starts to wait for a call. Returns its entry in the queue.
    pub(in crate::schedule) fn join_queue(
        &mut self,
        purpose: CallPurpose,
        name: &InstanceName,
        now: Now,
    ) -> QueueEntry {
        let entry = self.queue_entry(purpose, name, now);
        self.phase = InstancePhase::Waiting { entry: entry.clone(), since: now.mono };
        entry
    }

    /// Stops waiting. Returns the entry that it had in the queue.
    pub(in crate::schedule) fn leave_queue(&mut self) -> Option<QueueEntry> {
        match std::mem::replace(&mut self.phase, InstancePhase::Resting) {
            InstancePhase::Waiting { entry, .. } => Some(entry),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// Starts the call that it waited for; `None` if nothing is to be called for any more.
    pub(in crate::schedule) fn start_call(&mut self, call: ScheduledCallId, now: Now) -> Option<ProviderCall> {
        let Some(work) = self.due_call(now) else {
            self.phase = InstancePhase::Resting;
            return None;
        };
        if !matches!(work, ProviderCall::Revoke(_)) {
            // What the file holds had its turn. What it holds after this moment has not.
            self.pass_file();
            // A call that an operator asked for is made in any case.
            self.hourly.take(now.mono).ok();
            self.rests_until = self.hourly.free_at(now.mono);
        }
        let fingerprint = self.plan.fingerprint;
        self.phase = InstancePhase::Calling { call, work: work.clone(), began: now, fingerprint, revoked: false };
        Some(work)
    }

    /// Stops waiting for the call that is under way.
    pub(in crate::schedule) fn cancel_call(&mut self) -> Option<ScheduledCallId> {
        let InstancePhase::Calling { call, .. } = self.phase else { return None };
        self.phase = InstancePhase::Resting;
        Some(call)
    }

    /// Gives the call up that is under way, if that can be.
    pub(in crate::schedule) fn give_up_call(&mut self, reason: GiveUpReason) -> Option<GivenUpCall> {
        if let Some(detached) = &mut self.detached {
            detached.origin.revoked |= reason == GiveUpReason::Revoked;
        }
        let InstancePhase::Calling { call, work, began, fingerprint, revoked } = &mut self.phase else { return None };
        *revoked |= reason == GiveUpReason::Revoked;
        let issued_at = match work {
            ProviderCall::Revoke(_) => return Some(GivenUpCall::Cancel),
            ProviderCall::Renew(lease) => Some(lease.issued_at),
            ProviderCall::Obtain => None,
        };
        let origin = CallOrigin { began: *began, fingerprint: *fingerprint, issued_at, revoked: *revoked };
        let call = *call;
        if reason == GiveUpReason::Changed && self.given_up >= IN_A_ROW {
            return None;
        }
        if self.revocation(origin.fingerprint) != Revocation::Possible {
            self.given_up += 1;
            return Some(GivenUpCall::Cancel);
        }
        if self.detached.is_some() {
            return None;
        }
        self.given_up += 1;
        self.detached = Some(DetachedCall { call, origin });
        self.phase = InstancePhase::Resting;
        Some(GivenUpCall::Detach(call))
    }

    /// Takes in the end of a detached call. Returns the outcome if it is another call's.
    pub(in crate::schedule) fn end_detached_call(
        &mut self,
        call: ScheduledCallId,
        outcome: CallOutcome,
        now: Now,
    ) -> Option<CallOutcome> {
        let Some(detached) = self.detached.take_if(|detached| detached.call == call) else { return Some(outcome) };
        if let CallOutcome::Obtained(tokens) = outcome {
            self.obtained_late(&detached.origin, tokens, now);
        }
        None
    }

    /// Ends the call that is under way.
    pub(in crate::schedule) fn end_call(&mut self) -> Option<EndedCall> {
        match std::mem::replace(&mut self.phase, InstancePhase::Resting) {
            InstancePhase::Calling { work, began, fingerprint, revoked, .. } => {
                self.given_up = 0;
                Some(EndedCall { work, began, fingerprint, revoked })
            }
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// Whether what a call for tokens brought is not used: it was made under another configuration, or before an operator
    /// revoked what it brings, or removed its instance.
    pub(in crate::schedule) fn is_stale(&self, call: &EndedCall, outcome: &CallOutcome, now: Now) -> bool {
        if matches!(call.work, ProviderCall::Revoke(_)) {
            return false;
        }
        // What is held may be of a former configuration, too, until it is replaced.
        let replaces = matches!(outcome, CallOutcome::Obtained(_))
            && self.valid(now.wall).is_some_and(|lease| lease.fingerprint == call.fingerprint);
        let is_former = call.fingerprint != self.plan.fingerprint;
        call.revoked || self.membership == Membership::Leaving || (is_former && !replaces)
    }

    /// Takes in the end of a stale call.
    pub(in crate::schedule) fn end_stale_call(&mut self, call: EndedCall, tokens: Option<Tokens>, now: Now) {
        let held = self.valid(now.wall).map(|lease| lease.fingerprint);
        let EndedCall { work, began, fingerprint, revoked } = call;
        if let Some(tokens) = tokens {
            let issued_at = if let ProviderCall::Renew(lease) = work { Some(lease.issued_at) } else { None };
            self.obtained_late(&CallOrigin { began, fingerprint, issued_at, revoked }, tokens, now);
        }
        if self.request.is_none() && held != Some(self.plan.fingerprint) {
            self.next = DueTime::at(began.mono.plus(self.plan.policy.calls.interval).max(now.mono));
        }
    }
}
