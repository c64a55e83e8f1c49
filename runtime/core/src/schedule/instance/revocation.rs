//! What an instance holds, retired and lets go of, and which component may revoke it.

use crate::Revision;
use crate::time::Now;

use super::lease::NotRevokedLeases;
use super::{InstancePhase, InstanceState, Membership};
use crate::schedule::event::{ProviderCall, ScheduledCallId};
use crate::schedule::lease::{Lease, LeaseOrigin, RetiredLease};
use crate::schedule::policy::{ConfigFingerprint, InstancePlan};
use crate::schedule::revocation::{MOST_RETIRED, NotRevoked};

/// What can be done about the revocation of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revocation {
    /// The component that obtained it can revoke.
    Possible,
    /// Its component could not be loaded yet.
    Later,
    /// It stays as it is until it ends.
    Impossible(NotRevoked),
}

impl Revocation {
    pub(super) fn refusal(self) -> Option<NotRevoked> {
        match self {
            Self::Possible | Self::Later => None,
            Self::Impossible(why) => Some(why),
        }
    }
}

impl InstanceState {
    /// Whether a lease that was obtained under this fingerprint can be revoked.
    pub(super) fn revocation(&self, fingerprint: ConfigFingerprint) -> Revocation {
        let current = self.plan.component.filter(|_| fingerprint == self.plan.fingerprint);
        match current.or_else(|| self.former.get(&fingerprint).copied()) {
            Some(component) if component.revokes => Revocation::Possible,
            Some(_) => Revocation::Impossible(NotRevoked::Unable),
            None if !self.plan.fingerprint.is_known() => Revocation::Later,
            None => Revocation::Impossible(NotRevoked::Reconfigured),
        }
    }

    /// Moves the lease that is held to those that are to be revoked, if that is wanted and possible. Returns the lease
    /// that should be revoked and can't be.
    pub(super) fn retire(&mut self, now: Now) -> Option<(Revision, NotRevoked)> {
        let lease = self.record.lease.take()?;
        let grace = self.plan.policy.revoke.replaced?;
        if lease.origin != LeaseOrigin::Component || !lease.is_valid(now.wall.plus(grace)) {
            return None;
        }
        match self.revocation(lease.fingerprint) {
            // That a component cannot revoke is known, and not reported.
            Revocation::Impossible(NotRevoked::Unable) => None,
            Revocation::Impossible(why) => Some((lease.revision, why)),
            Revocation::Possible | Revocation::Later => {
                self.add_retired(RetiredLease { lease, revoke_at: now.wall.plus(grace) })
            }
        }
    }

    /// Has a lease revoked later. Returns the one that there is no room for: the one that expires first.
    pub(super) fn add_retired(&mut self, retired: RetiredLease) -> Option<(Revision, NotRevoked)> {
        let waiting = &mut self.record.retired;
        waiting.push(retired);
        if waiting.len() <= MOST_RETIRED {
            return None;
        }
        let first = waiting.iter().enumerate().min_by_key(|(_, retired)| retired.lease.valid_until)?.0;
        Some((waiting.remove(first).lease.revision, NotRevoked::TooMany))
    }

    /// Drops what need not or cannot be revoked any longer; whether that changed something.
    pub(super) fn drop_retired(&mut self, now: Now, not_revoked: &mut NotRevokedLeases) -> bool {
        let mut kept = Vec::new();
        let before = self.record.retired.len();
        for retired in std::mem::take(&mut self.record.retired) {
            let RetiredLease { lease, revoke_at } = &retired;
            match self.revocation(lease.fingerprint).refusal() {
                Some(why) => not_revoked.push((lease.revision, why)),
                None if lease.is_valid(now.wall) => kept.push(retired),
                None if *revoke_at <= now.wall => not_revoked.push((lease.revision, NotRevoked::Ended)),
                // One that ended before its time to be revoked did what it should.
                None => {}
            }
        }
        self.record.retired = kept;
        self.record.retired.len() != before
    }

    /// Whether unused leases are revoked.
    pub(in crate::schedule) fn revokes_unused(&self) -> bool {
        let revoke = &self.plan.policy.revoke;
        match self.membership {
            Membership::Leaving => revoke.removed.is_some(),
            Membership::Configured => revoke.replaced.is_some(),
        }
    }

    /// Those of the unsaved leases that a component can revoke.
    pub(in crate::schedule) fn revocable_unsaved(&self) -> impl Iterator<Item = &Lease> {
        self.unsaved().filter(|lease| self.revocation(lease.fingerprint).refusal().is_none())
    }

    /// A coordinator that lost the lock obtained this lease, and does not know whether it was saved. If it was, it is here, or
    /// what it was renewed to. Else it is unused.
    pub(in crate::schedule) fn find_unsaved(&mut self, lease: Lease) {
        let record = &self.record;
        let mut kept = record.lease.iter().chain(record.retired.iter().map(|retired| &retired.lease)).chain(&self.late);
        // What was renewed is the same token at the service.
        let is_here =
            kept.any(|kept| kept.issued_at == lease.issued_at || kept.payload.expose() == lease.payload.expose());
        if !is_here && self.revokes_unused() {
            self.late.push(lease);
        }
    }

    /// The retired lease that is to be revoked now.
    pub(super) fn lease_to_revoke(&self, now: Now) -> Option<&Lease> {
        if self.revoke_after > now.mono {
            return None;
        }
        self.record.retired.iter().find(|retired| retired.revoke_at <= now.wall).map(|retired| &retired.lease)
    }

    /// The service revoked a lease.
    pub(in crate::schedule) fn revoked(&mut self, revision: Revision) {
        self.record.retired.retain(|retired| retired.lease.revision != revision);
        self.revoke_failures = 0;
    }

    /// Tokens are more urgent than the revocation that is under way.
    pub(in crate::schedule) fn postpone_revocation(&mut self, now: Now) {
        self.revoke_after = now.mono.plus(self.plan.policy.retry.least());
    }

    /// Whether this call revokes what a former configuration obtained, perhaps at another service.
    pub(in crate::schedule) fn calls_former(&self, id: ScheduledCallId) -> bool {
        match &self.phase {
            InstancePhase::Calling { call, work: ProviderCall::Revoke(lease), .. } => {
                *call == id && lease.fingerprint != self.plan.fingerprint
            }
            _ => false,
        }
    }

    /// The configurations that obtained what is held, waits to be revoked, or may still be brought by a call.
    pub(in crate::schedule) fn used_fingerprints(&self) -> impl Iterator<Item = ConfigFingerprint> {
        let record = &self.record;
        let leases = record.lease.iter().chain(record.retired.iter().map(|retired| &retired.lease)).chain(&self.late);
        let calling = match &self.phase {
            InstancePhase::Calling { fingerprint, .. } => Some(*fingerprint),
            _ => None,
        };
        let detached = self.detached.as_ref().map(|detached| detached.origin.fingerprint);
        leases.map(|lease| lease.fingerprint).chain(calling).chain(detached)
    }

    /// Remembers what the configuration that is about to be replaced can do for the leases that it obtained.
    pub(super) fn keep_former(&mut self) {
        let InstancePlan { fingerprint, component, .. } = &self.plan;
        if let Some(component) = component.filter(|_| fingerprint.is_known()) {
            self.former.insert(*fingerprint, component);
        }
        let needed: Vec<ConfigFingerprint> = self.used_fingerprints().collect();
        self.former.retain(|fingerprint, _| needed.contains(fingerprint));
    }
}
