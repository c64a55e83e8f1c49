//! How what is held changes: tokens come, a file takes its place, it is retired or ends.

use std::sync::Arc;

use crate::failure::{CallFailure, FailureKind};
use crate::time::{Now, Timestamp};
use crate::{Revision, SecretBytes, TokenExpiry, Tokens};

use super::{CallOrigin, DueTime, InstanceState, Membership, OperatorRequest, Renewable, Required, RunState};
use crate::schedule::event::ProviderCall;
use crate::schedule::lease::{FilePayload, Lease, LeaseOrigin, RetiredLease};
use crate::schedule::policy::{ASSUMED_LIFETIME, ConfigFingerprint, Switch};
use crate::schedule::revocation::NotRevoked;

/// Leases that should be revoked and are not.
pub(super) type NotRevokedLeases = Vec<(Revision, NotRevoked)>;

/// What changed without a call, or is to change.
#[derive(Debug)]
pub(in crate::schedule) struct LeaseChanges {
    pub(in crate::schedule) not_revoked: NotRevokedLeases,
    /// There is no lease: what was published is to be withdrawn.
    pub(in crate::schedule) holds_nothing: bool,
    /// It left, and nothing is left to do for it.
    pub(in crate::schedule) is_over: bool,
    /// The file's payload, if it is to be held.
    pub(in crate::schedule) adopts: Option<FilePayload>,
    /// The record is to be saved.
    pub(in crate::schedule) is_dirty: bool,
}

/// Tokens that were obtained or renewed, and accepted.
#[derive(Debug)]
pub(in crate::schedule) struct Obtained {
    /// The service gave no expiry, or one in the past: this one is assumed.
    pub(in crate::schedule) assumed: Option<Timestamp>,
    pub(in crate::schedule) not_revoked: Option<(Revision, NotRevoked)>,
}

/// Until when tokens are valid.
enum Expiry {
    /// What the service said, capped by the configured lifetime.
    Stated(Timestamp),
    /// It said nothing of use, and the configuration or the default decides.
    Assumed(Timestamp),
    /// It said that they have expired, and nothing in the configuration says otherwise.
    Past(Timestamp),
}

impl InstanceState {
    /// Carries out what is due without a call, and says what follows.
    pub(in crate::schedule) fn apply_due_changes(&mut self, run_state: RunState, now: Now) -> LeaseChanges {
        let mut not_revoked = Vec::new();
        let mut is_dirty = self.retire_late(now, &mut not_revoked);
        is_dirty |= self.drop_retired(now, &mut not_revoked);
        is_dirty |= self.note_removal(now);
        is_dirty |= self.is_dirty;
        if let Some(end) = self.due_end(run_state, now) {
            is_dirty |= self.end_lease(end, now, &mut not_revoked);
        }
        if self.request == Some(OperatorRequest::Revoke) {
            self.request = Some(OperatorRequest::Renew);
        }
        let holds_nothing = self.record.lease.is_none();
        let is_over = self.membership == Membership::Leaving
            && holds_nothing
            && self.record.retired.is_empty()
            && self.detached.is_none();
        // The request is carried out: what the file holds now may be what comes next.
        let goes_on = self.due_end(run_state, now).is_none() && run_state == RunState::Running;
        let adopts = self.adoptable(now).filter(|_| goes_on).cloned();
        LeaseChanges { not_revoked, holds_nothing, is_over, adopts, is_dirty }
    }

    /// Holds what the file has. Returns the lease that should be revoked and can't be.
    pub(in crate::schedule) fn adopt_file(
        &mut self,
        file: FilePayload,
        now: Now,
        random: u16,
    ) -> Option<(Revision, NotRevoked)> {
        let not_revoked = self.retire(now);
        let since = file.since.min(now.wall);
        self.obtained = None;
        self.distrusted = false;
        let revision = self.next_revision();
        self.record.file = Some(file.digest);
        self.record.lease = Some(Lease {
            revision,
            service: self.plan.service.clone(),
            kind: self.plan.file_kind.clone(),
            payload: file.payload,
            handle: Arc::new(SecretBytes::new(Vec::new())),
            obtained_at: since,
            issued_at: since,
            stated: TokenExpiry::Unknown,
            valid_until: file.valid_until,
            next_at: None,
            renewable_until: None,
            facts: Vec::new(),
            origin: LeaseOrigin::File,
            fingerprint: self.plan.fingerprint,
        });
        self.last_success = Some(now.wall);
        // A file that only fills a gap changes nothing about when the component is called; nor does a clock that is set
        // back while this is saved.
        if self.prefers_file() {
            self.forget_failures();
            self.request = None;
            let soonest = now.wall.plus(self.plan.policy.retry.least());
            self.next = self.replacement(now, soonest, random);
        } else if self.next.is_due(now) {
            self.next = DueTime::at(now.mono);
        }
        not_revoked
    }

    /// Holds tokens that a call brought, or returns the expiry for which they are rejected.
    pub(in crate::schedule) fn obtained(
        &mut self,
        work: &ProviderCall,
        tokens: Tokens,
        (began, fingerprint): (Now, ConfigFingerprint),
        now: Now,
        random: u16,
    ) -> Result<Obtained, Timestamp> {
        // The clock may have jumped during the call; how long it took is known.
        let obtained_at = now.wall.minus(now.mono.since(began.mono));
        let (valid_until, assumed) = match self.expiry(tokens.expiry, obtained_at, now.wall) {
            Expiry::Stated(stated) => (stated, None),
            Expiry::Assumed(assumed) => (assumed, Some(assumed)),
            Expiry::Past(stated) => return Err(stated),
        };
        if self.record.lease.is_none() {
            // The user that requested it gets a full grace, however long the call took.
            self.used_until = self.grace(now.mono);
        }
        let mut not_revoked = None;
        let mut issued_at = obtained_at;
        let mut gained = true;
        if let ProviderCall::Renew(old) = work {
            issued_at = old.issued_at;
            // A password that rotates has an end of its own, whatever the renewal says about it.
            gained = valid_until > old.valid_until || tokens.next_at > old.next_at;
            // What was renewed is the same token at the service: revoking the old one would end the new one.
            self.record.lease = None;
        } else {
            self.request = None;
            not_revoked = self.retire(now);
        }
        let revision = self.next_revision();
        self.record.lease =
            Some(Lease { revision, issued_at, ..self.new_lease(tokens, obtained_at, valid_until, fingerprint) });
        self.obtained = Some(began.mono);
        self.distrusted = false;
        self.usual_life = Some(valid_until.since(obtained_at));
        self.forget_failures();
        self.end_pause(now.wall);
        self.required = Required::Yes;
        self.last_success = Some(now.wall);
        // A renewal that gained nothing has come to the end of what can be renewed.
        self.renewable = if gained { Renewable::Perhaps } else { Renewable::Exhausted };
        // What was obtained a moment ago is not replaced at once, however short it lives.
        let interval = began.mono.plus(self.plan.policy.calls.interval).since(now.mono);
        let floor = self.plan.policy.retry.least().max(interval);
        self.next = if self.request.is_some() {
            DueTime::at(now.mono) // the operator asked for another one, not for this one for longer
        } else if !gained || fingerprint != self.plan.fingerprint {
            DueTime::at(now.mono.plus(floor))
        } else {
            self.replacement(now, now.wall.plus(floor), random)
        };
        Ok(Obtained { assumed, not_revoked })
    }

    /// Tokens came that are no longer wanted: they are to be revoked, if that is wanted.
    pub(super) fn obtained_late(&mut self, origin: &CallOrigin, tokens: Tokens, now: Now) {
        let revoke = &self.plan.policy.revoke;
        let is_wanted = match self.membership {
            Membership::Leaving => revoke.removed.is_some(),
            Membership::Configured => origin.revoked || revoke.replaced.is_some(),
        };
        if !is_wanted {
            return;
        }
        let obtained_at = now.wall.minus(now.mono.since(origin.began.mono));
        let (Expiry::Stated(valid_until) | Expiry::Assumed(valid_until)) =
            self.expiry(tokens.expiry, obtained_at, now.wall)
        else {
            return;
        };
        let lease = self.new_lease(tokens, obtained_at, valid_until, origin.fingerprint);
        self.late.push(Lease { issued_at: origin.issued_at.unwrap_or(obtained_at), ..lease });
    }

    /// A lease of what a call brought, without a revision.
    fn new_lease(
        &self,
        tokens: Tokens,
        obtained_at: Timestamp,
        valid_until: Timestamp,
        fingerprint: ConfigFingerprint,
    ) -> Lease {
        Lease {
            revision: Revision::default(),
            service: self.plan.service.clone(),
            kind: Some(tokens.kind),
            payload: Arc::new(tokens.payload),
            handle: Arc::new(tokens.handle),
            obtained_at,
            issued_at: obtained_at,
            stated: tokens.expiry,
            valid_until,
            next_at: tokens.next_at,
            renewable_until: tokens.renewable_until,
            facts: tokens.facts,
            origin: LeaseOrigin::Component,
            fingerprint,
        }
    }

    /// Ends what is held; whether that changed something.
    pub(super) fn end_lease(&mut self, end: Switch, now: Now, not_revoked: &mut NotRevokedLeases) -> bool {
        let mut changed = false;
        let is_requested = self.request == Some(OperatorRequest::Revoke);
        if let Some(lease) = self.record.lease.take() {
            changed = true;
            if self.failures == 0 {
                self.next = DueTime::at(now.mono); // a new request does not wait for the expiry of this one
            }
            if lease.origin == LeaseOrigin::Component && lease.is_valid(now.wall) && end == Switch::Revoke {
                match self.revocation(lease.fingerprint).refusal() {
                    None => not_revoked.extend(self.add_retired(RetiredLease { lease, revoke_at: now.wall })),
                    Some(NotRevoked::Unable) if !is_requested => {}
                    Some(why) => not_revoked.push((lease.revision, why)),
                }
            }
        }
        if end == Switch::Revoke {
            for retired in self.record.retired.iter_mut().filter(|retired| retired.revoke_at > now.wall) {
                retired.revoke_at = now.wall;
                changed = true;
            }
        } else if self.membership == Membership::Leaving && !self.record.retired.is_empty() {
            self.record.retired.clear();
            changed = true;
        }
        changed
    }

    /// The component says that it needs no tokens.
    pub(in crate::schedule) fn not_required(&mut self, now: Now) {
        self.forget_failures();
        self.end_pause(now.wall);
        self.request = None;
        self.required = Required::No;
        self.last_success = Some(now.wall);
        self.next = DueTime::at(now.mono.plus(super::due::ASK_AGAIN));
    }

    /// Moves what came late to what is to be revoked; whether that changed something.
    fn retire_late(&mut self, now: Now, not_revoked: &mut NotRevokedLeases) -> bool {
        let before = self.record.revision;
        for mut lease in std::mem::take(&mut self.late).into_iter().filter(|lease| lease.is_valid(now.wall)) {
            lease.revision = self.next_revision();
            not_revoked.extend(self.add_retired(RetiredLease { lease, revoke_at: now.wall }));
        }
        self.record.revision != before
    }

    fn next_revision(&mut self) -> Revision {
        self.record.revision = Revision(self.record.revision.0.saturating_add(1));
        self.record.revision
    }

    /// The one rule for the expiry of tokens, whether they come in time or late.
    fn expiry(&self, stated: TokenExpiry, obtained_at: Timestamp, now: Timestamp) -> Expiry {
        let cap = self.plan.policy.lifetime.map(|life| obtained_at.plus(life));
        match (stated, cap) {
            (TokenExpiry::At(stated), cap) if stated > now => Expiry::Stated(cap.map_or(stated, |cap| stated.min(cap))),
            (TokenExpiry::Never, cap) => Expiry::Stated(cap.unwrap_or(Timestamp::FOREVER)),
            (_, Some(cap)) => Expiry::Assumed(cap),
            (TokenExpiry::At(stated), None) => Expiry::Past(stated),
            (TokenExpiry::Unknown, None) => Expiry::Assumed(obtained_at.plus(ASSUMED_LIFETIME)),
        }
    }
}

/// Why tokens are rejected that expired before they came.
pub(in crate::schedule) fn expired_on_arrival(stated: Timestamp) -> CallFailure {
    let message = format!(
        "the tokens' expiry, {stated}, is not in the future: compare this machine's clock with the service's, or set \
         `lifetime` if the service does not say how long its tokens live"
    );
    CallFailure::new(FailureKind::Broken, message)
}
