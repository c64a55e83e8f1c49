//! One instance, as the schedule sees it: pure questions about what it holds and what it wants.

use crate::{InstanceName, Span, Timestamp};

use super::clock::{Mono, Now};
use super::event::{CallNumber, Ticket, Work};
use super::lease::{Found, Lease, Origin, Record, Revision};
use super::policy::{Mode, Plan, Prefer};
use super::queue::Place;
use super::trouble::Trouble;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) plan: Plan,
    pub(super) stay: Stay,
    /// What is saved, or being saved.
    pub(super) record: Record,
    /// What was given out last.
    pub(super) published: Option<Lease>,
    pub(super) found: Option<Found>,
    pub(super) phase: Phase,
    /// When to obtain or renew next.
    pub(super) next: Next,
    /// When to revoke next, after a failure.
    pub(super) revoke_after: Mono,
    pub(super) revoke_failures: u32,
    pub(super) failures: u32,
    pub(super) trouble: Option<Trouble>,
    pub(super) last_success: Option<Timestamp>,
    pub(super) renewable: Renewable,
    pub(super) required: Required,
    /// How many use it now, and until when it is kept for those who used it.
    pub(super) users: u32,
    pub(super) used_until: Option<Mono>,
    /// The operator's wish, until it is carried out.
    pub(super) wish: Option<Wish>,
    /// The lease of which the end was told.
    pub(super) told_expired: Option<Revision>,
    /// Where it stands in the schedule's indexes of times.
    pub(super) wakes: (Option<Mono>, Option<Timestamp>),
}

/// Whether the configuration still has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    Configured,
    Leaving,
}

/// What is going on. One thing at a time.
#[derive(Debug)]
pub(super) enum Phase {
    Resting,
    Waiting { place: Place, task: Task },
    Calling { call: CallNumber, work: Work, began: Now },
    Saving { ticket: Ticket, failures: u32, again: Option<Mono> },
    Forgetting { ticket: Ticket, failures: u32, again: Option<Mono> },
}

/// What to wait and call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Tokens,
    Revocation,
}

/// When something is due: by one clock or the other, whichever comes first. So a clock that is set back delays nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) mono: Mono,
    pub(super) wall: Option<Timestamp>,
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

/// What the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Renew,
    Revoke,
}

impl Next {
    pub(super) fn at(mono: Mono) -> Self {
        Self { mono, wall: None }
    }

    pub(super) fn is_due(self, now: Now) -> bool {
        self.mono <= now.mono || self.wall.is_some_and(|wall| wall <= now.wall)
    }
}

impl Slot {
    pub(super) fn new(plan: Plan, record: Record, now: Mono) -> Self {
        Self {
            plan,
            stay: Stay::Configured,
            record,
            published: None,
            found: None,
            phase: Phase::Resting,
            next: Next::at(now),
            revoke_after: now,
            revoke_failures: 0,
            failures: 0,
            trouble: None,
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

    pub(super) fn revokes(&self) -> bool {
        self.plan.component.is_some_and(|component| component.revokes)
    }

    /// Whether somebody uses it, or did a moment ago, or nobody has to.
    pub(super) fn in_use(&self, now: Mono) -> bool {
        match self.plan.policy.mode {
            Mode::Always => true,
            Mode::OnDemand(_) => self.users > 0 || self.used_until.is_some_and(|until| now < until),
        }
    }

    /// Whether tokens are wanted from the component, sooner or later.
    pub(super) fn wants_tokens(&self, now: Now) -> bool {
        self.stay == Stay::Configured
            && self.plan.component.is_some()
            && self.in_use(now.mono)
            && !self.file_suffices(now)
    }

    /// Whether the file's payload is what is given out, and will do for now.
    fn file_suffices(&self, now: Now) -> bool {
        let from_file = self.valid(now.wall).is_some_and(|lease| lease.origin == Origin::File);
        from_file && self.plan.policy.prefer == Prefer::File && !self.next.is_due(now)
    }

    /// The file's payload, if it should be given out instead of what is.
    pub(super) fn adoptable(&self, now: Now) -> Option<&Found> {
        let found = self.found.as_ref().filter(|found| found.valid_until > now.wall)?;
        if self.stay != Stay::Configured || !self.in_use(now.mono) {
            return None;
        }
        let Some(held) = self.valid(now.wall) else { return Some(found) };
        // A file that was there before what the component brought has had its turn.
        let newer = match held.origin {
            Origin::File => true,
            Origin::Component => {
                let preferred = self.plan.component.is_none() || self.plan.policy.prefer == Prefer::File;
                preferred && (found.since > held.obtained_at || self.plan.component.is_none())
            }
        };
        let same = held.origin == Origin::File
            && held.payload.expose() == found.payload.expose()
            && held.valid_until == found.valid_until;
        (newer && !same).then_some(found)
    }

    /// The retired lease that is to be revoked now, if one is.
    pub(super) fn to_revoke(&self, now: Now) -> Option<&Lease> {
        if self.revoke_after > now.mono {
            return None;
        }
        self.record.retired.iter().filter(|retired| retired.revoke_at <= now.wall).map(|retired| &retired.lease).next()
    }

    /// What to call for, when its turn has come.
    pub(super) fn work(&self, task: Task, now: Now) -> Option<Work> {
        match task {
            Task::Revocation => self.to_revoke(now).cloned().map(Work::Revoke),
            Task::Tokens => Some(self.renewal(now.wall).cloned().map_or(Work::Obtain, Work::Renew)),
        }
    }

    /// The lease, if it can be renewed rather than obtained anew.
    fn renewal(&self, now: Timestamp) -> Option<&Lease> {
        let lease = self.valid(now).filter(|lease| lease.origin == Origin::Component)?;
        let able = self.plan.component.is_some_and(|component| component.renews);
        // A renewed lease must live for a while before the end: else the next call would be due at once.
        let ends = self.plan.policy.max_lifetime.map(|most| lease.issued_at.plus(most));
        let lasts = ends.is_none_or(|ends| ends > lease.valid_until);
        let same = lease.fingerprint == self.plan.fingerprint;
        (able && lasts && same && self.renewable == Renewable::Perhaps && self.wish.is_none()).then_some(lease)
    }

    /// When to look at it next.
    pub(super) fn wake_at(&self, now: Now) -> (Option<Mono>, Option<Timestamp>) {
        let (mut mono, mut wall) = (None, None);
        let mut by_mono = |at: Mono| mono = Some(mono.map_or(at, |least: Mono| least.min(at)));
        let mut by_wall = |at: Timestamp| wall = Some(wall.map_or(at, |least: Timestamp| least.min(at)));
        let held = self.given();
        if let Some(lease) = held.filter(|lease| self.told_expired != Some(lease.revision)) {
            by_wall(lease.valid_until);
        }
        if let Some(until) = self.used_until.filter(|_| self.users == 0 && held.is_some()) {
            by_mono(until);
        }
        match &self.phase {
            Phase::Resting | Phase::Calling { work: Work::Revoke(_), .. } => {
                let configured = self.stay == Stay::Configured && self.plan.component.is_some();
                if configured && self.in_use(now.mono) {
                    by_mono(self.next.mono);
                    self.next.wall.into_iter().for_each(&mut by_wall);
                }
                if let Some(first) = self.record.retired.iter().map(|retired| retired.revoke_at).min() {
                    match first <= now.wall {
                        true => by_mono(self.revoke_after),
                        false => by_wall(first),
                    }
                }
            }
            Phase::Saving { again, .. } | Phase::Forgetting { again, .. } => again.iter().copied().for_each(by_mono),
            Phase::Waiting { .. } | Phase::Calling { .. } => {}
        }
        (mono, wall)
    }

    /// Its place in a queue that it joins now.
    pub(super) fn place(&self, task: Task, name: &InstanceName, now: Now) -> Place {
        let due = match task {
            Task::Tokens => self.next.mono.min(now.mono),
            Task::Revocation => now.mono,
        };
        (due, name.clone())
    }
}
