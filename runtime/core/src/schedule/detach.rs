//! Calls that are given up: an operator revokes, a reload changes or removes what is called.
//!
//! A call for tokens may have brought them at the service already, so what it still brings is revoked, if the component
//! can: it is detached, which is to say that its instance goes on without it and gets its answer all the same. While one
//! is detached, the next one is not: it runs to its end, and what it brings is revoked or, if it was made as the
//! configuration is now, held. So an instance has two calls at most, each of which ends by its limits, however often
//! somebody changes their mind.

use std::sync::Arc;

use crate::{InstanceName, Revision, Timestamp, Tokens};

use super::budget::Budget;
use super::event::{CallOutcome, ProviderCall, ScheduleAction, ScheduledCallId};
use super::instance_state::{InstancePhase, InstanceState, Membership};
use super::lease::{Lease, LeaseOrigin, RetiredLease};
use super::machine::Schedule;
use super::policy::ConfigFingerprint;
use super::revocation::{NotRevoked, Revocation};
use crate::time::Now;

/// How often a change of its configuration has an instance called at once. One that changes more often is called later,
/// with whatever holds then.
pub(super) const CHANGES: Budget = Budget { per_minute: 10, burst: 5 };

/// A change gives up the call that is under way if this many more such changes are left: under changes that go on and on,
/// calls run to their end.
pub(super) const SELDOM: u64 = 2;

/// So many calls in a row may be given up because the configuration changed; then one runs to its end.
const IN_A_ROW: u32 = 2;

/// Why a call is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The configuration changed.
    Changed,
    /// The instance is no longer configured.
    Removed,
    /// An operator revoked what it brings.
    Revoked,
}

/// A call that its instance no longer waits for.
#[derive(Debug)]
pub(super) struct Detached {
    pub(super) call: ScheduledCallId,
    pub(super) made: Made,
}

/// How a call for tokens was made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) began: Now,
    pub(super) fingerprint: ConfigFingerprint,
    /// When the tokens were issued that it renews.
    pub(super) issued_at: Option<Timestamp>,
    /// Whether an operator revoked what it brings.
    pub(super) revoked: bool,
}

impl Schedule {
    /// Ends the call of an instance, if one is under way, or at least does not wait for it.
    pub(super) fn give_up(&mut self, name: &InstanceName, why: GivenUp) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if let Some(detached) = &mut slot.detached {
            detached.made.revoked |= why == GivenUp::Revoked;
        }
        let InstancePhase::Calling { call, work, began, fingerprint, revoked: was_revoked } = &mut slot.phase else {
            return;
        };
        *was_revoked |= why == GivenUp::Revoked;
        let call = *call;
        let issued_at = match work {
            ProviderCall::Revoke(_) => return self.cut(name),
            ProviderCall::Renew(lease) => Some(lease.issued_at),
            ProviderCall::Obtain => None,
        };
        let made = Made { began: *began, fingerprint: *fingerprint, issued_at, revoked: *was_revoked };
        if why == GivenUp::Changed && slot.given_up >= IN_A_ROW {
            return;
        }
        if slot.revocation(made.fingerprint) != Revocation::Possible {
            slot.given_up += 1;
            return self.cut(name);
        }
        if slot.detached.is_some() {
            return;
        }
        slot.given_up += 1;
        slot.detached = Some(Detached { call, made });
        slot.phase = InstancePhase::Resting;
        self.actions.push_back(ScheduleAction::Detach(call));
    }

    /// The end of a call that was detached; whether it was one.
    pub(super) fn detached_ended(
        &mut self,
        name: &InstanceName,
        call: ScheduledCallId,
        outcome: CallOutcome,
        now: Now,
    ) -> Option<CallOutcome> {
        let slot = self.slots.get_mut(name)?;
        let Some(detached) = slot.detached.take_if(|detached| detached.call == call) else { return Some(outcome) };
        if let CallOutcome::Obtained(tokens) = outcome {
            slot.came_late(&detached.made, tokens, now);
        }
        self.settle(name, now);
        None
    }
}

impl InstanceState {
    /// Tokens came that nobody wants any longer.
    pub(super) fn came_late(&mut self, made: &Made, tokens: Tokens, now: Now) {
        let revoke = &self.plan.policy.revoke;
        let wanted = match self.stay {
            Membership::Leaving => revoke.removed.is_some(),
            Membership::Configured => made.revoked || revoke.replaced.is_some(),
        };
        if !wanted {
            return;
        }
        let obtained_at = now.wall.minus(now.mono.since(made.began.mono));
        self.late.push(Lease {
            revision: Revision::default(),
            service: self.plan.service.clone(),
            payload: Arc::new(tokens.payload),
            obtained_at,
            issued_at: made.issued_at.unwrap_or(obtained_at),
            valid_until: self.life_of(tokens.valid_until, obtained_at),
            origin: LeaseOrigin::Component,
            fingerprint: made.fingerprint,
        });
    }

    /// Moves what came late to what is to be revoked; whether that changed something.
    pub(super) fn retire_late(&mut self, now: Now, given_up: &mut Vec<(Revision, NotRevoked)>) -> bool {
        let late = std::mem::take(&mut self.late);
        let before = self.record.revision;
        for mut lease in late.into_iter().filter(|lease| lease.is_valid(now.wall)) {
            self.record.revision = Revision(self.record.revision.0.saturating_add(1));
            lease.revision = self.record.revision;
            given_up.extend(self.add_retired(RetiredLease { lease, revoke_at: now.wall }));
        }
        self.record.revision != before
    }
}
