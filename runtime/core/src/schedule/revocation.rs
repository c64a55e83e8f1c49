//! Who may revoke a lease: the component, settings and grant that obtained it, and no other.
//!
//! A payload is a secret of the service that issued it. After a change of the configuration the instance's component may
//! be another one, or speak to another host, so the old lease goes to the old component as long as that is at hand, and
//! else to none: then it is not revoked, and that is reported.

use std::fmt;

use crate::{InstanceName, Revision, Timestamp};

use super::event::{OperatorEvent, ProviderCall, ScheduledCallId};
use super::instance_state::{InstancePhase, InstanceState};
use super::lease::RetiredLease;
use super::machine::Schedule;
use super::policy::{ConfigFingerprint, InstancePlan, OptionalExports};

/// Why a lease was not revoked although it should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotRevoked {
    /// It ended before a revocation succeeded.
    Ended,
    /// The configuration that obtained it is gone: no other component, and no other host, is given its payload.
    Reconfigured,
    /// Too many others of its instance wait to be revoked.
    TooMany,
    /// Its component exports no revocation.
    Unable,
}

/// Leases of one instance that wait to be revoked, at most.
pub const MOST_RETIRED: usize = 64;

/// Leases of one instance that were not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// How many, since the coordinator began.
    pub count: u32,
    /// The last one.
    pub revision: Revision,
    /// Why it was not revoked.
    pub why: NotRevoked,
    /// When that was decided.
    pub at: Timestamp,
}

/// What is remembered of a configuration that was replaced.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) component: OptionalExports,
}

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
    pub(super) fn revocation(&self, of: ConfigFingerprint) -> Revocation {
        let current = self.plan.component.filter(|_| of == self.plan.fingerprint);
        match current.or_else(|| self.former.get(&of).map(|former| former.component)) {
            Some(component) if component.revokes => Revocation::Possible,
            Some(_) => Revocation::Impossible(NotRevoked::Unable),
            None if !self.plan.fingerprint.is_known() => Revocation::Later,
            None => Revocation::Impossible(NotRevoked::Reconfigured),
        }
    }

    /// Has a lease revoked later. Gives the one back that there is no room for: the one that ends first.
    pub(super) fn add_retired(&mut self, retired: RetiredLease) -> Option<(Revision, NotRevoked)> {
        let waiting = &mut self.record.retired;
        waiting.push(retired);
        if waiting.len() <= MOST_RETIRED {
            return None;
        }
        let first = waiting.iter().enumerate().min_by_key(|(_, retired)| retired.lease.valid_until)?.0;
        Some((waiting.remove(first).lease.revision, NotRevoked::TooMany))
    }

    /// Whether this call revokes what a former configuration obtained, perhaps at another service.
    pub(super) fn calls_former(&self, call: ScheduledCallId) -> bool {
        match &self.phase {
            InstancePhase::Calling { call: own, work: ProviderCall::Revoke(lease), .. } => {
                *own == call && lease.fingerprint != self.plan.fingerprint
            }
            _ => false,
        }
    }

    /// The configurations that obtained what is held, waits to be revoked, or may still be brought by a call.
    fn fingerprints(&self) -> impl Iterator<Item = ConfigFingerprint> {
        let record = &self.record;
        let leases = record.lease.iter().chain(record.retired.iter().map(|retired| &retired.lease)).chain(&self.late);
        let calling = match &self.phase {
            InstancePhase::Calling { fingerprint, .. } => Some(*fingerprint),
            _ => None,
        };
        let detached = self.detached.as_ref().map(|detached| detached.made.fingerprint);
        leases.map(|lease| lease.fingerprint).chain(calling).chain(detached)
    }

    /// Remembers what the configuration that is about to be replaced can do for the leases that it obtained.
    pub(super) fn keep_former(&mut self) {
        let InstancePlan { fingerprint, component, .. } = &self.plan;
        if let Some(component) = component.filter(|_| fingerprint.is_known()) {
            self.former.insert(*fingerprint, Former { component });
        }
        let needed: Vec<ConfigFingerprint> = self.fingerprints().collect();
        self.former.retain(|fingerprint, _| needed.contains(fingerprint));
    }
}

impl Schedule {
    /// Records that a lease is not revoked, and reports it.
    pub(super) fn abandon(&mut self, name: &InstanceName, revision: Revision, why: NotRevoked, at: Timestamp) {
        if let Some(slot) = self.slots.get_mut(name) {
            let count = slot.abandoned.as_ref().map_or(0, |abandoned| abandoned.count).saturating_add(1);
            slot.abandoned = Some(Abandoned { count, revision, why, at });
        }
        self.tell(OperatorEvent::RevokeGivenUp(name.clone(), revision, why));
    }

    /// The configurations of an instance whose components may still be called: the current one, and those that obtained
    /// what is held or waits to be revoked.
    pub fn fingerprints(&self, name: &InstanceName) -> impl Iterator<Item = ConfigFingerprint> {
        self.slots.get(name).into_iter().flat_map(|slot| slot.fingerprints().chain([slot.plan.fingerprint]))
    }
}

impl NotRevoked {
    /// One of each.
    pub const ALL: [Self; 4] = [Self::Ended, Self::Reconfigured, Self::TooMany, Self::Unable];

    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Reconfigured => "reconfigured",
            Self::TooMany => "too-many",
            Self::Unable => "unable",
        }
    }
}

impl fmt::Display for NotRevoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "it ended before a revocation succeeded",
            Self::Reconfigured => "the component, settings and grant that obtained it are no longer loaded",
            Self::TooMany => "too many other leases of its instance wait to be revoked",
            Self::Unable => "its component exports no revocation",
        })
    }
}
