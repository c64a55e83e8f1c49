//! What an instance wants, and when: pure questions.

use std::sync::Arc;

use crate::time::{MonotonicTime, Now};
use crate::{InstanceName, Revision, SecretBytes, Span, Timestamp};

use super::{DueTime, InstancePhase, InstanceState, Membership, OperatorRequest, Renewable, Required, RunState};
use crate::schedule::CLOCK_TOLERANCE;
use crate::schedule::event::ProviderCall;
use crate::schedule::lease::{FilePayload, Lease, LeaseOrigin};
use crate::schedule::policy::{PreferredSource, Switch};
use crate::schedule::queue::{CallPurpose, QueueEntry};
use crate::schedule::wake_index::WakeTime;

/// How often a component that needs no tokens is asked again.
pub(super) const ASK_AGAIN: Span = Span::secs(600);

impl InstanceState {
    /// The lease whose expiry the operator should learn of now, once.
    pub(in crate::schedule) fn report_expiry(&mut self, now: Timestamp) -> Option<Revision> {
        let revision = self.current().filter(|lease| !lease.is_valid(now))?.revision;
        if self.expiry_reported.replace(revision) == Some(revision) {
            return None;
        }
        (self.required == Required::Yes && self.membership == Membership::Configured).then_some(revision)
    }

    /// Whether tokens are wanted from the component, sooner or later.
    pub(super) fn wants_tokens(&self, now: Now) -> bool {
        // An instance that was requested stays queued, however long the queue.
        let queued = self.is_queued_for(CallPurpose::Tokens);
        self.membership == Membership::Configured && self.plan.component.is_some() && (queued || self.in_use(now.mono))
    }

    /// Whether the file comes first.
    pub(super) fn prefers_file(&self) -> bool {
        self.plan.component.is_none() || self.plan.policy.prefer == PreferredSource::File
    }

    /// What is to become of what is held, if it is to end now.
    pub(super) fn due_end(&self, run_state: RunState, now: Now) -> Option<Switch> {
        let revoke = &self.plan.policy.revoke;
        if self.request == Some(OperatorRequest::Revoke) {
            Some(Switch::Revoke)
        } else if self.membership == Membership::Leaving && !self.is_kept(now) {
            Some(self.end_on_removal())
        } else if run_state == RunState::Stopping && revoke.shutdown == Switch::Revoke && self.can_revoke_held() {
            Some(Switch::Revoke)
        } else if self.membership == Membership::Leaving {
            None
        } else if !self.in_use(now.mono) {
            Some(if revoke.replaced.is_some() { Switch::Revoke } else { Switch::Expire })
        } else {
            None
        }
    }

    fn can_revoke_held(&self) -> bool {
        let lease = self.record.lease.as_ref();
        lease.is_none_or(|lease| {
            lease.origin == LeaseOrigin::Component && self.revocation(lease.fingerprint).refusal().is_none()
        })
    }

    /// The file's payload, if it should be held instead of what is.
    pub(super) fn adoptable(&self, now: Now) -> Option<&FilePayload> {
        let file = self.file.as_ref().filter(|file| file.valid_until > now.wall)?;
        let is_in_file = |payload: &Arc<SecretBytes>| payload.expose() == file.payload.expose();
        let passed = self.record.passed == Some(file.digest);
        let revoked = self.record.revoked == Some(file.digest);
        if revoked || self.membership != Membership::Configured || !self.in_use(now.mono) {
            return None;
        }
        let Some(held) = self.valid(now.wall) else { return Some(file) };
        let is_better = match held.origin {
            LeaseOrigin::File => {
                !is_in_file(&held.payload)
                    || held.valid_until != file.valid_until
                    || held.fingerprint != self.plan.fingerprint
            }
            LeaseOrigin::Component => {
                self.plan.component.is_none() || (self.prefers_file() && !passed && self.is_young(file, now))
            }
        };
        is_better.then_some(file)
    }

    /// Whether the component would not be called already if this were held.
    fn is_young(&self, file: &FilePayload, now: Now) -> bool {
        let life = file.valid_until.since(file.since);
        file.since.plus(self.plan.policy.renewal_delay(life, u16::MAX)) > now.wall
    }

    /// What to call for, now that its turn has come.
    pub(super) fn due_call(&self, now: Now) -> Option<ProviderCall> {
        match self.queued_purpose()? {
            CallPurpose::Revocation => self.lease_to_revoke(now).cloned().map(ProviderCall::Revoke),
            CallPurpose::Tokens => {
                Some(self.renewal(now.wall).cloned().map_or(ProviderCall::Obtain, ProviderCall::Renew))
            }
        }
    }

    /// The lease, if it can be renewed rather than obtained again.
    fn renewal(&self, now: Timestamp) -> Option<&Lease> {
        let lease = self.valid(now).filter(|lease| lease.origin == LeaseOrigin::Component)?;
        let able = self.plan.component.is_some_and(|component| component.renews);
        let most = self.plan.policy.max_lifetime.map(|most| lease.issued_at.plus(most));
        let ends = most.into_iter().chain(lease.renewable_until).min();
        let lasts = ends.is_none_or(|ends| gains(lease, ends, now));
        let same = lease.fingerprint == self.plan.fingerprint;
        (able && lasts && same && self.renewable == Renewable::Perhaps && self.request.is_none()).then_some(lease)
    }

    /// When to replace the lease that is held: a share of its life after it was obtained.
    pub(super) fn replacement(&self, now: Now, soonest: Timestamp, random: u16) -> DueTime {
        let Some(lease) = self.record.lease.as_ref().filter(|lease| {
            lease.fingerprint == self.plan.fingerprint
                && (lease.origin == LeaseOrigin::Component || self.prefers_file())
        }) else {
            return DueTime::at(now.mono);
        };
        if lease.origin == LeaseOrigin::Component && lease.obtained_at > now.wall.plus(CLOCK_TOLERANCE) {
            return DueTime::at(now.mono); // by a clock that was ahead
        }
        if lease.origin == LeaseOrigin::Component && self.distrusted {
            return DueTime::at(now.mono);
        }
        if let Some(at) = self.rotation(lease) {
            let at = at.max(soonest);
            return DueTime { mono: now.mono_at(at), wall: Some(at) };
        }
        let life = lease.valid_until.since(lease.obtained_at);
        // It may have been obtained when it was allowed to live longer.
        let cap = self.plan.policy.lifetime.filter(|_| lease.origin == LeaseOrigin::Component);
        if cap.is_none() && !lease.expires() {
            return DueTime::NEVER;
        }
        let rest = self.plan.policy.renewal_delay(cap.map_or(life, |cap| cap.min(life)), random);
        // By whichever clock it is older: the one on the wall may have been set back since.
        let age = self.obtained.map_or(Span::millis(0), |at| now.mono.since(at)).max(now.wall.since(lease.obtained_at));
        let left = Span::millis(rest.as_millis().saturating_sub(age.as_millis()));
        let at = now.wall.plus(left).max(soonest);
        DueTime { mono: now.mono_at(at), wall: Some(at) }
    }

    /// When the service has something newer, if it said so and the lease lives that long.
    fn rotation(&self, lease: &Lease) -> Option<Timestamp> {
        // It may have been obtained when it was allowed to live longer.
        let cap = self.plan.policy.lifetime.map_or(lease.valid_until, |life| lease.obtained_at.plus(life));
        let end = lease.valid_until.min(cap);
        lease.next_at.map(|at| at.min(end)).filter(|_| lease.origin == LeaseOrigin::Component)
    }

    /// When to look at it next.
    pub(in crate::schedule) fn wake_at(&self, run_state: RunState, now: Now) -> WakeTime {
        let mut wake = WakeTime::default();
        if let InstancePhase::Saving { again, .. } | InstancePhase::Forgetting { again, .. } = &self.phase {
            wake.extend_mono(*again);
        }
        wake.extend_wall(self.unsaved_publish_at(run_state, now).filter(|at| *at > now.wall));
        if !matches!(self.phase, InstancePhase::Calling { .. }) {
            wake.extend_mono(self.pending_save.map(|pending| pending.again));
        }
        if run_state == RunState::Stopping {
            return WakeTime { wall: None, ..wake }; // only a save goes on by the clock
        }
        if let Some(lease) = self.current().filter(|lease| self.expiry_reported != Some(lease.revision)) {
            wake.extend_wall(Some(lease.valid_until));
        }
        if let Some(until) = self.used_until.filter(|until| self.users == 0 && *until > now.mono) {
            wake.extend_mono(Some(until));
        }
        let revokes = matches!(self.phase, InstancePhase::Calling { work: ProviderCall::Revoke(_), .. });
        let queued = self.is_queued_for(CallPurpose::Revocation);
        let resting = matches!(self.phase, InstancePhase::Resting);
        // A save that failed does not keep a lease that is published unsaved from being replaced.
        let goes_on =
            matches!(self.phase, InstancePhase::Saving { again: Some(_), .. }) && self.is_held_published_unsaved();
        if (resting || revokes || queued || goes_on) && self.wants_tokens(now) {
            if !self.has_rested(now.mono) {
                wake.extend_mono(Some(self.next.due_at(now).max(self.rests_until)));
            } else {
                wake.extend_mono(Some(self.next.mono));
                wake.extend_wall(self.next.wall);
            }
        }
        if resting || queued {
            wake.extend_wall(self.record.retired.iter().map(|retired| retired.lease.valid_until).min());
        }
        if (resting || queued) && self.membership == Membership::Leaving {
            wake.extend_wall(self.valid(now.wall).map(|lease| lease.valid_until));
            wake.extend_mono(self.leaves_at.filter(|at| *at > now.mono));
        }
        if resting {
            for retired in &self.record.retired {
                if retired.revoke_at > now.wall {
                    wake.extend_wall(Some(retired.revoke_at));
                } else if self.pending_save.is_none() {
                    wake.extend_mono(Some(self.revoke_after));
                }
            }
        }
        wake
    }

    /// Whether it is time for tokens.
    pub(in crate::schedule) fn is_due(&self, now: Now) -> bool {
        self.wants_tokens(now) && self.has_rested(now.mono) && self.next.is_due(now)
    }

    /// Whether the rate of its calls permits another one. What an operator asked for is not counted, but its retries are.
    fn has_rested(&self, now: MonotonicTime) -> bool {
        self.rests_until <= now || (self.request.is_some() && self.failures == 0)
    }

    /// Its entry in a queue that it joins now.
    pub(super) fn queue_entry(&self, purpose: CallPurpose, name: &InstanceName, now: Now) -> QueueEntry {
        let (due, left) = match purpose {
            CallPurpose::Tokens => (self.next.mono.min(now.mono), self.left(now.wall)),
            CallPurpose::Revocation => (now.mono, None),
        };
        // A lease is at risk when its instance has waited for a third of what was left of it.
        let at_risk = left.map(|left| now.mono.plus(Span::millis(left.as_millis() / 3)));
        QueueEntry { purpose, due, name: name.clone(), account: self.plan.account, at_risk }
    }
}

/// Whether a renewal up to this end gains enough. A lease that lives for a moment more would end before its replacement is
/// there, so a new one is obtained while time is left. What rotates is renewed for its next payload, not for its life.
fn gains(lease: &Lease, ends: Timestamp, now: Timestamp) -> bool {
    let gain = ends.since(lease.valid_until);
    gain > Span::millis(0) && (lease.next_at.is_some() || gain >= lease.valid_until.since(now))
}
