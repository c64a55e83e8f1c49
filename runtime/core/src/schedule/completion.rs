//! What follows from the end of a call.

use std::sync::Arc;

use crate::{InstanceName, Revision, Span, Timestamp, Tokens};

use super::detach::Made;
use super::event::{CallOutcome, OperatorEvent, ProviderCall, ScheduleAction, ScheduledCallId};
use super::instance_state::{DueTime, InstancePhase, InstanceState, Membership, Renewable, Required};
use super::lease::{Lease, LeaseOrigin};
use super::machine::Schedule;
use super::policy::{ASSUMED_LIFETIME, ConfigFingerprint};
use crate::failure::{FailureKind, FailureRecord};
use crate::time::Now;

/// How often a component that needs no tokens is asked again.
const ASK_AGAIN: Span = Span::secs(600);

impl Schedule {
    pub(super) fn finished(&mut self, call: ScheduledCallId, outcome: CallOutcome, now: Now) {
        let Some(running) = self.release(call) else { return };
        let longest = self.slots.get(&running.name).map_or(Span::millis(0), |slot| slot.plan.policy.retry.most);
        // What a former configuration's service says is not about the one that is called now.
        if !self.slots.get(&running.name).is_some_and(|slot| slot.calls_former(call)) {
            self.pace(&running, &outcome, longest, now.mono);
        }
        let name = running.name;
        let Some(outcome) = self.detached_ended(&name, call, outcome, now) else { return };
        let Some(slot) = self.slots.get_mut(&name) else { return };
        let InstancePhase::Calling { work, began, fingerprint, revoked, .. } =
            std::mem::replace(&mut slot.phase, InstancePhase::Resting)
        else {
            return;
        };
        slot.given_up = 0;
        // What is held may be of a former configuration, too, until it is replaced.
        let held = slot.valid(now.wall).map(|lease| lease.fingerprint);
        let replaces = held == Some(fingerprint) && matches!(outcome, CallOutcome::Obtained(_));
        let leaves = slot.stay == Membership::Leaving;
        let stale = revoked || leaves || (fingerprint != slot.plan.fingerprint && !replaces);
        if stale && !matches!(work, ProviderCall::Revoke(_)) {
            // It was made under another configuration, or before an operator revoked what it brings, or removed it.
            if let CallOutcome::Obtained(tokens) = outcome {
                let issued_at = if let ProviderCall::Renew(lease) = work { Some(lease.issued_at) } else { None };
                slot.came_late(&Made { began, fingerprint, issued_at, revoked }, tokens, now);
            }
            if slot.wish.is_none() && held != Some(slot.plan.fingerprint) {
                slot.next = DueTime::at(began.mono.plus(slot.plan.policy.calls.interval).max(now.mono));
            }
            return self.settle(&name, now);
        }
        match (work, outcome) {
            (ProviderCall::Revoke(lease), CallOutcome::Failed(kind, message)) => {
                self.revoke_failed(&name, lease.revision, FailureRecord { kind, message, at: now.wall }, now);
            }
            (ProviderCall::Revoke(lease), _) => {
                slot.record.retired.retain(|retired| retired.lease.revision != lease.revision);
                slot.revoke_failures = 0;
                self.save(&name);
            }
            (work, CallOutcome::Failed(kind, message)) => {
                self.failed(&name, &work, FailureRecord { kind, message, at: now.wall }, now);
            }
            (work, CallOutcome::Obtained(tokens)) => self.obtained(&name, &work, tokens, (began, fingerprint), now),
            (_, CallOutcome::NotRequired | CallOutcome::Revoked) => {
                slot.forget_failures();
                slot.wish = None;
                slot.required = Required::No;
                slot.last_success = Some(now.wall);
                slot.next = DueTime::at(now.mono.plus(ASK_AGAIN));
            }
        }
        self.settle(&name, now);
    }

    fn obtained(
        &mut self,
        name: &InstanceName,
        work: &ProviderCall,
        tokens: Tokens,
        (began, fingerprint): (Now, ConfigFingerprint),
        now: Now,
    ) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        // The clock may have jumped during the call; how long it took is known.
        let obtained_at = now.wall.minus(now.mono.since(began.mono));
        let valid_until = match expiry(slot, tokens.valid_until, obtained_at, now.wall) {
            Expiry::Told(told) => told,
            Expiry::Assumed(assumed) => {
                let notice = OperatorEvent::ExpiryAssumed(name.clone(), tokens.valid_until, assumed);
                self.actions.push_back(ScheduleAction::Notify(notice));
                assumed
            }
            Expiry::Past(told) => return self.failed(name, work, ended_already(told, now.wall), now),
        };
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        let mut lease = Lease {
            revision: Revision(slot.record.revision.0.saturating_add(1)),
            service: slot.plan.service.clone(),
            payload: Arc::new(tokens.payload),
            obtained_at,
            issued_at: obtained_at,
            valid_until,
            origin: LeaseOrigin::Component,
            fingerprint,
        };
        if slot.record.lease.is_none() {
            // Who asked for it has it for a while, however long the call took.
            slot.used_until = slot.grace(now.mono);
        }
        let (mut gained, mut not_revoked) = (true, None);
        if let ProviderCall::Renew(old) = work {
            lease.issued_at = old.issued_at;
            gained = valid_until > old.valid_until;
            // What was renewed is the same token at the service: revoking the old one would end the new one.
            slot.record.lease = None;
        } else {
            slot.wish = None;
            not_revoked = slot.retire(now);
        }
        slot.obtained = Some(began.mono);
        slot.distrusted = false;
        slot.record.revision = lease.revision;
        slot.record.lease = Some(lease);
        slot.usual_life = Some(valid_until.since(obtained_at));
        slot.forget_failures();
        slot.required = Required::Yes;
        slot.last_success = Some(now.wall);
        // What was obtained a moment ago is not replaced at once, however short it lives.
        let interval = began.mono.plus(slot.plan.policy.calls.interval).since(now.mono);
        let floor = slot.plan.policy.retry.least().max(interval);
        slot.next = slot.replacement(now, now.wall.plus(floor), chance);
        if fingerprint != slot.plan.fingerprint {
            slot.next = DueTime::at(now.mono.plus(floor));
        }
        slot.renewable = Renewable::Perhaps;
        if !gained {
            // It came to the end of what can be renewed.
            slot.renewable = Renewable::Exhausted;
            slot.next = DueTime::at(now.mono.plus(floor));
        }
        if slot.wish.is_some() {
            slot.next = DueTime::at(now.mono); // it was another one that was wished for, not this one for longer
        }
        if let Some((revision, why)) = not_revoked {
            self.abandon(name, revision, why, now.wall);
        }
        self.shares.keep();
        self.save(name);
    }

    fn failed(&mut self, name: &InstanceName, work: &ProviderCall, trouble: FailureRecord, now: Now) {
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.count_failure(now.wall);
        let retry = slot.retry(now.wall);
        let mut wait = retry.delay(trouble.kind, slot.attempts, slot.left(now.wall), chance);
        if matches!(work, ProviderCall::Renew(_)) && !slot.renews_again(trouble.kind) {
            // What can't be renewed can perhaps be obtained.
            slot.renewable = Renewable::Exhausted;
            wait = retry.least();
        }
        slot.next = DueTime::at(now.mono.plus(wait));
        slot.trouble = Some(trouble.clone());
        self.tell(OperatorEvent::Failed(name.clone(), trouble, wait));
    }

    fn revoke_failed(&mut self, name: &InstanceName, revision: Revision, trouble: FailureRecord, now: Now) {
        let chance = self.chance.u16(..);
        let Some(slot) = self.slots.get_mut(name) else { return };
        slot.revoke_failures = slot.revoke_failures.saturating_add(1);
        let wait = slot.plan.policy.retry.delay(trouble.kind, slot.revoke_failures, None, chance);
        slot.revoke_after = now.mono.plus(wait);
        // One that can't be revoked keeps no other waiting until it expires.
        let retired = &mut slot.record.retired;
        if let Some(at) = retired.iter().position(|retired| retired.lease.revision == revision) {
            let failed = retired.remove(at);
            retired.push(failed);
        }
        self.tell(OperatorEvent::RevokeFailed(name.clone(), revision, trouble, wait));
    }
}

/// Until when tokens are valid.
enum Expiry {
    /// What the service said, capped by the configured lifetime.
    Told(Timestamp),
    /// It said nothing of use, and the configuration or the default decides.
    Assumed(Timestamp),
    /// It said that they have ended, and nothing in the configuration says otherwise.
    Past(Timestamp),
}

fn expiry(slot: &InstanceState, told: Option<Timestamp>, obtained_at: Timestamp, now: Timestamp) -> Expiry {
    let cap = slot.plan.policy.lifetime.map(|life| obtained_at.plus(life));
    match (told, cap) {
        (Some(told), cap) if told > now => Expiry::Told(cap.map_or(told, |cap| told.min(cap))),
        (_, Some(cap)) => Expiry::Assumed(cap),
        (Some(told), None) => Expiry::Past(told),
        (None, None) => Expiry::Assumed(obtained_at.plus(ASSUMED_LIFETIME)),
    }
}

fn ended_already(told: Timestamp, now: Timestamp) -> FailureRecord {
    let message = format!(
        "the tokens' expiry, {told}, is not in the future: compare this machine's clock with the service's, or set \
         `lifetime` if the service does not say how long its tokens live"
    );
    FailureRecord { kind: FailureKind::Broken, message, at: now }
}
