//! What is held changes without a call: it ends, or a file takes its place.

use crate::{InstanceName, Revision};

use super::event::ScheduleAction;
use super::instance_state::{DueTime, InstanceState, Membership, OperatorRequest, RunState};
use super::lease::{FilePayload, Lease, LeaseOrigin, RetiredLease};
use super::machine::Schedule;
use super::policy::Switch;
use super::revocation::{NotRevoked, Revocation};
use crate::time::Now;

impl Schedule {
    /// Whether what is held has to change before anything is called: then that is being saved now.
    pub(super) fn change(&mut self, name: &InstanceName, now: Now) -> bool {
        let life = self.life;
        let Some(slot) = self.slots.get_mut(name) else { return true };
        let mut given_up = Vec::new();
        let mut dirty = slot.retire_late(now, &mut given_up);
        dirty |= slot.drop_retired(now, &mut given_up);
        dirty |= slot.note_removal(now);
        if let Some(when) = slot.ends(life, now) {
            dirty |= slot.end(when, now, &mut given_up);
        }
        if slot.wish == Some(OperatorRequest::Revoke) {
            slot.wish = Some(OperatorRequest::Renew);
        }
        let ended = slot.record.lease.is_none();
        let leaves = slot.stay == Membership::Leaving
            && slot.record.lease.is_none()
            && slot.record.retired.is_empty()
            && slot.detached.is_none();
        // The wish is carried out: what the file holds now may be what comes next.
        let keeps = slot.ends(life, now).is_none() && life == RunState::Running;
        let adopted = slot.adoptable(now).filter(|_| keeps).cloned();
        for (revision, why) in given_up {
            self.abandon(name, revision, why, now.wall);
        }
        if ended {
            self.withdraw(name);
        }
        if !leaves && adopted.is_none() && !dirty {
            return false;
        }
        self.unqueue(name, now);
        if leaves {
            self.forget(name);
        } else {
            if let Some(found) = adopted {
                self.adopt(name, found, now);
            }
            self.save(name);
        }
        true
    }

    /// Takes back what others have.
    pub(super) fn withdraw(&mut self, name: &InstanceName) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        if slot.published.take().is_some() {
            self.actions.push_back(ScheduleAction::Withdraw(name.clone()));
        }
    }

    fn adopt(&mut self, name: &InstanceName, found: FilePayload, now: Now) {
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        let not_revoked = slot.retire(now);
        let revision = Revision(slot.record.revision.0.saturating_add(1));
        let since = found.since.min(now.wall);
        slot.obtained = None;
        slot.distrusted = false;
        slot.record.revision = revision;
        slot.record.lease = Some(Lease {
            revision,
            service: slot.plan.service.clone(),
            payload: found.payload,
            obtained_at: since,
            issued_at: since,
            valid_until: found.valid_until,
            origin: LeaseOrigin::File,
            fingerprint: slot.plan.fingerprint,
        });
        slot.last_success = Some(now.wall);
        // A file that only fills a gap changes nothing about when the component is called; nor does a clock that is set
        // back while this is saved.
        if slot.prefers_file() {
            slot.forget_failures();
            slot.wish = None;
            let soonest = now.wall.plus(slot.plan.policy.retry.least());
            slot.next = slot.replacement(now, soonest, chance);
        } else if slot.next.is_due(now) {
            slot.next = DueTime::at(now.mono);
        }
        if let Some((revision, why)) = not_revoked {
            self.abandon(name, revision, why, now.wall);
        }
    }
}

impl InstanceState {
    /// Moves the lease that is held to those that are to be revoked, if that is wanted and can be. Gives the one back that
    /// should be revoked and can't be.
    pub(super) fn retire(&mut self, now: Now) -> Option<(Revision, NotRevoked)> {
        let lease = self.record.lease.take()?;
        let grace = self.plan.policy.revoke.replaced?;
        if lease.origin != LeaseOrigin::Component || !lease.is_valid(now.wall.plus(grace)) {
            return None;
        }
        match self.revocation(lease.fingerprint) {
            // That a component can't revoke is no news.
            Revocation::Impossible(NotRevoked::Unable) => None,
            Revocation::Impossible(why) => Some((lease.revision, why)),
            Revocation::Possible | Revocation::Later => {
                self.add_retired(RetiredLease { lease, revoke_at: now.wall.plus(grace) })
            }
        }
    }

    /// Lets go of what need not or cannot be revoked any longer; whether that changed something.
    fn drop_retired(&mut self, now: Now, given_up: &mut Vec<(Revision, NotRevoked)>) -> bool {
        let mut kept = Vec::new();
        let before = self.record.retired.len();
        for retired in std::mem::take(&mut self.record.retired) {
            let RetiredLease { lease, revoke_at } = &retired;
            match self.revocation(lease.fingerprint).refusal() {
                Some(why) => given_up.push((lease.revision, why)),
                None if lease.is_valid(now.wall) => kept.push(retired),
                None if *revoke_at <= now.wall => given_up.push((lease.revision, NotRevoked::Ended)),
                // One that ended before its time to be revoked did what it should.
                None => {}
            }
        }
        self.record.retired = kept;
        self.record.retired.len() != before
    }

    /// Ends what is held; whether that changed something.
    pub(super) fn end(&mut self, when: Switch, now: Now, given_up: &mut Vec<(Revision, NotRevoked)>) -> bool {
        let mut changed = false;
        let wished = self.wish == Some(OperatorRequest::Revoke);
        if let Some(lease) = self.record.lease.take() {
            changed = true;
            if self.failures == 0 {
                self.next = DueTime::at(now.mono); // whoever wants it again does not wait until this one had ended
            }
            if lease.origin == LeaseOrigin::Component && lease.is_valid(now.wall) && when == Switch::Revoke {
                match self.revocation(lease.fingerprint).refusal() {
                    None => given_up.extend(self.add_retired(RetiredLease { lease, revoke_at: now.wall })),
                    Some(NotRevoked::Unable) if !wished => {}
                    Some(why) => given_up.push((lease.revision, why)),
                }
            }
        }
        if when == Switch::Revoke {
            for retired in self.record.retired.iter_mut().filter(|retired| retired.revoke_at > now.wall) {
                retired.revoke_at = now.wall;
                changed = true;
            }
        } else if self.stay == Membership::Leaving && !self.record.retired.is_empty() {
            self.record.retired.clear();
            changed = true;
        }
        changed
    }
}
