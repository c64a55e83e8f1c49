//! What one instance wants, and when: pure questions.

use std::sync::Arc;

use crate::{InstanceName, SecretBytes, Span, Timestamp};

use super::event::ProviderCall;
use super::instance_state::{
    ConsumedPayload, DueTime, InstancePhase, InstanceState, Membership, OperatorRequest, Renewable, RunState,
};
use super::lease::{FilePayload, Lease, LeaseOrigin};
use super::machine::CLOCK_TOLERANCE;
use super::policy::{PreferredSource, Switch};
use super::queue::{Place, Task};
use crate::time::{MonotonicTime, Now};

impl InstanceState {
    /// Whether tokens are wanted from the component, sooner or later.
    pub(super) fn wants_tokens(&self, now: Now) -> bool {
        // Who was asked for keeps its place, however long the queue.
        let queued = matches!(&self.phase, InstancePhase::Waiting { place } if place.task == Task::Tokens);
        self.stay == Membership::Configured && self.plan.component.is_some() && (queued || self.in_use(now.mono))
    }

    /// Whether the file comes first.
    pub(super) fn prefers_file(&self) -> bool {
        self.plan.component.is_none() || self.plan.policy.prefer == PreferredSource::File
    }

    /// What is to become of what is held, if it is to end.
    pub(super) fn ends(&self, life: RunState, now: Now) -> Option<Switch> {
        let revoke = &self.plan.policy.revoke;
        if self.wish == Some(OperatorRequest::Revoke) {
            Some(Switch::Revoke)
        } else if self.stay == Membership::Leaving && !self.is_kept(now) {
            Some(self.removed())
        } else if life == RunState::Stopping && revoke.shutdown == Switch::Revoke && self.can_revoke_held() {
            Some(Switch::Revoke)
        } else if self.stay == Membership::Leaving {
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

    /// The file's payload, if it should be given out instead of what is.
    pub(super) fn adoptable(&self, now: Now) -> Option<&FilePayload> {
        let found = self.found.as_ref().filter(|found| found.valid_until > now.wall)?;
        let is = |payload: &Arc<SecretBytes>| payload.expose() == found.payload.expose();
        let (passed, revoked) = match &self.spent {
            Some(ConsumedPayload::Passed(payload)) => (is(payload), false),
            Some(ConsumedPayload::Revoked(payload)) => (false, is(payload)),
            None => (false, false),
        };
        if revoked || self.stay != Membership::Configured || !self.in_use(now.mono) {
            return None;
        }
        let Some(held) = self.valid(now.wall) else { return Some(found) };
        let better = match held.origin {
            LeaseOrigin::File => {
                !is(&held.payload) || held.valid_until != found.valid_until || held.fingerprint != self.plan.fingerprint
            }
            LeaseOrigin::Component => {
                self.plan.component.is_none() || (self.prefers_file() && !passed && self.is_young(found, now))
            }
        };
        better.then_some(found)
    }

    /// Whether the component would not be called already if this were given out.
    fn is_young(&self, found: &FilePayload, now: Now) -> bool {
        let life = found.valid_until.since(found.since);
        found.since.plus(self.plan.policy.renewal_delay(life, u16::MAX)) > now.wall
    }

    /// The retired lease that is to be revoked now, if one is.
    pub(super) fn to_revoke(&self, now: Now) -> Option<&Lease> {
        if self.revoke_after > now.mono {
            return None;
        }
        self.record.retired.iter().find(|retired| retired.revoke_at <= now.wall).map(|retired| &retired.lease)
    }

    /// What to call for, now that its turn has come.
    pub(super) fn turn(&self, now: Now) -> Option<ProviderCall> {
        let InstancePhase::Waiting { place } = &self.phase else { return None };
        match place.task {
            Task::Revocation => self.to_revoke(now).cloned().map(ProviderCall::Revoke),
            Task::Tokens => Some(self.renewal(now.wall).cloned().map_or(ProviderCall::Obtain, ProviderCall::Renew)),
        }
    }

    /// The lease, if it can be renewed rather than obtained anew.
    fn renewal(&self, now: Timestamp) -> Option<&Lease> {
        let lease = self.valid(now).filter(|lease| lease.origin == LeaseOrigin::Component)?;
        let able = self.plan.component.is_some_and(|component| component.renews);
        // A renewed lease must live for a while before the end: else the next call would be due at once.
        let ends = self.plan.policy.max_lifetime.map(|most| lease.issued_at.plus(most));
        let lasts = ends.is_none_or(|ends| ends > lease.valid_until);
        let same = lease.fingerprint == self.plan.fingerprint;
        (able && lasts && same && self.renewable == Renewable::Perhaps && self.wish.is_none()).then_some(lease)
    }

    /// When to replace the lease that is held: a share of its life after it was obtained.
    pub(super) fn replacement(&self, now: Now, soonest: Timestamp, chance: u16) -> DueTime {
        let current = |lease: &&Lease| lease.fingerprint == self.plan.fingerprint;
        let chosen = |lease: &&Lease| lease.origin == LeaseOrigin::Component || self.prefers_file();
        let Some(lease) = self.record.lease.as_ref().filter(current).filter(chosen) else {
            return DueTime::at(now.mono);
        };
        if lease.origin == LeaseOrigin::Component && lease.obtained_at > now.wall.plus(CLOCK_TOLERANCE) {
            return DueTime::at(now.mono); // by a clock that was ahead
        }
        if lease.origin == LeaseOrigin::Component && self.distrusted {
            return DueTime::at(now.mono);
        }
        let life = lease.valid_until.since(lease.obtained_at);
        // It may have been obtained when it was allowed to live longer.
        let cap = self.plan.policy.lifetime.filter(|_| lease.origin == LeaseOrigin::Component);
        let rest = self.plan.policy.renewal_delay(cap.map_or(life, |cap| cap.min(life)), chance);
        // By whichever clock it is older: the one on the wall may have been set back since.
        let age = self.obtained.map_or(Span::millis(0), |at| now.mono.since(at)).max(now.wall.since(lease.obtained_at));
        let left = Span::millis(rest.as_millis().saturating_sub(age.as_millis()));
        let at = now.wall.plus(left).max(soonest);
        DueTime { mono: now.mono_at(at), wall: Some(at) }
    }

    /// When to look at it next.
    pub(super) fn wake_at(&self, life: RunState, now: Now) -> (Option<MonotonicTime>, Option<Timestamp>) {
        let (mut mono, mut wall) = (None, None);
        let mut by_mono = |at: MonotonicTime| mono = Some(mono.map_or(at, |least: MonotonicTime| least.min(at)));
        let mut by_wall = |at: Timestamp| wall = Some(wall.map_or(at, |least: Timestamp| least.min(at)));
        if let InstancePhase::Saving { again, .. } | InstancePhase::Forgetting { again, .. } = &self.phase {
            again.iter().copied().for_each(&mut by_mono);
        }
        self.unsaved_due_at(life, now).filter(|at| *at > now.wall).into_iter().for_each(&mut by_wall);
        if !matches!(self.phase, InstancePhase::Calling { .. }) {
            self.unsaved_record.iter().for_each(|unsaved| by_mono(unsaved.again));
        }
        if life == RunState::Stopping {
            return (mono, None); // only a save goes on by the clock
        }
        if let Some(lease) = self.given().filter(|lease| self.told_expired != Some(lease.revision)) {
            by_wall(lease.valid_until);
        }
        if let Some(until) = self.used_until.filter(|until| self.users == 0 && *until > now.mono) {
            by_mono(until);
        }
        let revokes = matches!(self.phase, InstancePhase::Calling { work: ProviderCall::Revoke(_), .. });
        let queued = matches!(&self.phase, InstancePhase::Waiting { place } if place.task == Task::Revocation);
        let resting = matches!(self.phase, InstancePhase::Resting);
        // A save that failed does not keep a lease that is given out unsaved from being replaced.
        let goes_on = matches!(self.phase, InstancePhase::Saving { again: Some(_), .. }) && self.is_given_unsaved();
        if (resting || revokes || queued || goes_on) && self.wants_tokens(now) {
            if self.rests_until > now.mono {
                by_mono(self.next.due_at(now).max(self.rests_until));
            } else {
                by_mono(self.next.mono);
                self.next.wall.into_iter().for_each(&mut by_wall);
            }
        }
        if resting || queued {
            self.record.retired.iter().for_each(|retired| by_wall(retired.lease.valid_until));
        }
        if resting && self.stay == Membership::Leaving {
            self.valid(now.wall).map(|lease| lease.valid_until).into_iter().for_each(&mut by_wall);
            self.leaves_at.filter(|at| *at > now.mono).into_iter().for_each(&mut by_mono);
        }
        if resting {
            for retired in &self.record.retired {
                if retired.revoke_at > now.wall {
                    by_wall(retired.revoke_at);
                } else if self.unsaved_record.is_none() {
                    by_mono(self.revoke_after);
                }
            }
        }
        (mono, wall)
    }

    /// Whether it is time for tokens.
    pub(super) fn is_due(&self, now: Now) -> bool {
        let rested = self.rests_until <= now.mono || self.wish.is_some();
        self.wants_tokens(now) && rested && self.next.is_due(now)
    }

    /// Its place in a queue that it joins now.
    pub(super) fn place(&self, task: Task, name: &InstanceName, now: Now) -> Place {
        let (due, left) = match task {
            Task::Tokens => (self.next.mono.min(now.mono), self.left(now.wall)),
            Task::Revocation => (now.mono, None),
        };
        // A lease is at risk when its instance has waited for a third of what was left of it.
        let at_risk = left.map(|left| now.mono.plus(Span::millis(left.as_millis() / 3)));
        Place { task, due, name: name.clone(), account: self.plan.account, at_risk }
    }
}
