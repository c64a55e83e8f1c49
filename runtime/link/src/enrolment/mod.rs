//! Which workers are enrolled, and with which join tokens they may enrol.
//!
//! A worker enrols with a join token, renews its certificate, and is admitted with it. It is identified by the key in its
//! certificate. A join or a renewal may be repeated with the same key, because its answer may have been lost: the
//! repetition changes nothing. A renewal carries a number that only grows. Two renewals with the same number and different
//! keys come from a worker and a copy of it. Since the coordinator cannot tell which is which, it locks the worker until an
//! operator has looked into it.
//!
//! Time, ids and hashes are arguments. Methods return what they changed, so that it is saved before it is announced.

mod admission;
mod denied;
mod prune;
mod recognition;
mod reload;
mod token;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use deputy_core::Timestamp;
use deputy_core::time::MonotonicTime;

use crate::join::TokenId;
use crate::name::{KeyDigest, WorkerId};

pub use self::admission::{AdmissionChange, RenewalRequest};
pub use self::denied::{AdmissionDenied, JoinDenied, RenewalDenied};
pub use self::token::{JoinRequest, JoinToken, PendingJoin};
pub use self::worker::{EnrolledWorker, EnrolmentStatus, RenewalCount};

/// All join tokens and workers.
#[derive(Debug, Clone, Default)]
pub struct Enrolment {
    tokens: BTreeMap<TokenId, JoinToken>,
    workers: BTreeMap<WorkerId, EnrolledWorker>,
    /// The active workers by their newest key.
    by_key: BTreeMap<KeyDigest, WorkerId>,
    banned: BTreeSet<KeyDigest>,
    /// Since when workers may be pruned, by the monotonic clock.
    prunable_workers: BTreeMap<WorkerId, MonotonicTime>,
    /// Since when tokens are expired, by the monotonic clock.
    expired_tokens: BTreeMap<TokenId, MonotonicTime>,
}

impl Enrolment {
    /// The enrolment from its saved records.
    pub fn restored(
        tokens: impl IntoIterator<Item = JoinToken>,
        workers: impl IntoIterator<Item = EnrolledWorker>,
    ) -> Self {
        let mut enrolment = Self::default();
        for worker in workers {
            enrolment.reload_worker(worker.id, Some(worker));
        }
        for token in tokens {
            enrolment.reload_token(token.id, Some(token), |_| true);
        }
        enrolment
    }

    /// All tokens that can still be used.
    pub fn tokens(&self, now: Timestamp) -> impl Iterator<Item = &JoinToken> {
        self.tokens.values().filter(move |token| token.uses > 0 && now < token.expires(now))
    }

    /// All workers, whatever their status.
    pub fn workers(&self) -> impl Iterator<Item = &EnrolledWorker> {
        self.workers.values()
    }

    /// All workers with a greater id, in the order of their ids.
    pub fn workers_after(&self, worker: Option<WorkerId>) -> impl Iterator<Item = &EnrolledWorker> {
        let after = worker.map_or(Bound::Unbounded, Bound::Excluded);
        self.workers.range((after, Bound::Unbounded)).map(|(_, worker)| worker)
    }

    pub fn token(&self, token: TokenId) -> Option<&JoinToken> {
        self.tokens.get(&token)
    }

    pub fn worker(&self, worker: WorkerId) -> Option<&EnrolledWorker> {
        self.workers.get(&worker)
    }

    /// The active worker whose newest key this is.
    pub fn active_with(&self, key: KeyDigest) -> Option<WorkerId> {
        self.by_key.get(&key).copied()
    }

    /// Gives a worker this status, unless its own is more severe: two operators may decide about one worker at two
    /// coordinators, and the later one must not lift a ban.
    pub fn exclude_at_least(
        &mut self,
        worker: WorkerId,
        status: EnrolmentStatus,
    ) -> Result<AdmissionChange, AdmissionDenied> {
        let found = self.workers.get_mut(&worker).ok_or(AdmissionDenied::Unknown(worker))?;
        if found.status.severity() >= status.severity() {
            return Ok(AdmissionChange::Unchanged);
        }
        found.status = status;
        // Another worker may have enrolled with its key.
        if self.by_key.get(&found.key) == Some(&worker) {
            self.by_key.remove(&found.key);
        }
        if status == EnrolmentStatus::Banned {
            self.banned.insert(found.key);
            self.banned.extend(found.previous);
        }
        Ok(AdmissionChange::Changed)
    }
}

#[cfg(test)]
mod tests;
