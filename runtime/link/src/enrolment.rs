//! The coordinator's book of tokens and workers.
//!
//! Every way in is here: joining with a token, renewing a certificate, and being let in with one. A worker is known by the
//! key in its certificate. Joining and renewing may be repeated with the same key, because the answer to the first try may
//! have been lost: the repetition spends nothing and counts nothing. A renewal carries a number that only grows; two who
//! claim the same step with different keys are one worker and its copy, and nobody can tell which, so both are shut out
//! until an operator looks.
//!
//! Time, ids and hashes are arguments. What changed is returned, so that it is saved before anybody is told.

mod set_back;

use std::collections::{BTreeMap, BTreeSet};

use deputy_core::time::{MonotonicTime, Now};
use deputy_core::{GroupName, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::join::{TokenHash, TokenId, TokenSecret};
use crate::name::{KeyDigest, WorkerId};

/// All tokens and workers.
#[derive(Debug, Clone, Default)]
pub struct Enrolment {
    tokens: BTreeMap<TokenId, JoinToken>,
    workers: BTreeMap<WorkerId, EnrolledWorker>,
    /// Who is let in by which key, the newest of each.
    by_key: BTreeMap<KeyDigest, WorkerId>,
    banned: BTreeSet<KeyDigest>,
    /// Since when it is so that a worker need not be listed any more, by the clock that nobody sets.
    over: BTreeMap<WorkerId, MonotonicTime>,
    /// Likewise, since when a token is expired.
    spent: BTreeMap<TokenId, MonotonicTime>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Which.
    pub id: TokenId,
    /// Of its secret.
    pub hash: TokenHash,
    /// Whose workers it makes.
    #[serde(with = "crate::text")]
    pub group: GroupName,
    /// How many it may still make.
    pub uses: u32,
    /// Until when, in milliseconds since 1970.
    pub expires_ms: u64,
    /// Joins whose worker may not be written yet. They are written with the use that they spent, before the worker is: a
    /// join that a crash cuts off is either there in full or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<PendingJoin>,
}

/// A worker as the token that made it remembers it, until the worker's own record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingJoin {
    /// Which.
    pub worker: WorkerId,
    /// Its key.
    pub key: KeyDigest,
    /// When it joined, in milliseconds since 1970.
    pub joined_ms: u64,
}

/// Pending joins of one token. More are refused, since nothing can be written.
const PENDING: usize = 1024;

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledWorker {
    /// Which.
    pub id: WorkerId,
    /// Its group: what it may have.
    #[serde(with = "crate::text")]
    pub group: GroupName,
    /// By which token it came.
    pub token: TokenId,
    /// When, in milliseconds since 1970.
    pub joined_ms: u64,
    /// The key of its newest certificate.
    pub key: KeyDigest,
    /// The key of the one before, which is good until the newest was used.
    pub previous: Option<KeyDigest>,
    /// How often it renewed.
    pub sequence: RenewalCount,
    /// When the last of its certificates ends, in milliseconds since 1970.
    pub ends_ms: u64,
    /// Whether it is let in.
    pub standing: EnrolmentStatus,
}

/// How often a worker renewed its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct RenewalCount(pub u64);

/// Whether a worker is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentStatus {
    /// It is.
    Active,
    /// An operator keeps it out for good.
    Banned,
    /// Two used its identity.
    Locked,
    /// An operator removed it; it may join again.
    Removed,
}

/// How long after a token's end its workers may still repeat themselves.
const REPEATING: Span = Span::secs(3600);

/// How long after the end of its last certificate a worker is still listed. It can't come back as who it was, and an
/// operator wants to see who went.
const LISTED: Span = Span::secs(7 * 86_400);

/// How long that must be so before it is believed: who is forgotten has to join again, and a clock that was set wrong for a
/// moment is no reason for all workers to do so.
const BELIEVED: Span = Span::secs(86_400);

/// What somebody shows who wants to join.
#[derive(Debug)]
pub struct JoinRequest<'p> {
    /// The token.
    pub token: TokenId,
    /// Its secret.
    pub secret: &'p TokenSecret,
    /// The key to certify.
    pub key: KeyDigest,
}

/// What a worker shows that wants another certificate.
#[derive(Debug, Clone, Copy)]
pub struct RenewalRequest {
    /// Who it is, by its certificate.
    pub worker: WorkerId,
    /// The key of that certificate.
    pub current: KeyDigest,
    /// One more than that of the last renewal that was answered.
    pub sequence: RenewalCount,
    /// The key to certify.
    pub key: KeyDigest,
}

/// Why somebody may not join. For the audit: who asked is told the same in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinDenied {
    /// The key is an operator's enemy.
    #[error("the key is banned")]
    Banned,
    /// Too late.
    #[error("the token {0} has expired")]
    Expired(TokenId),
    /// Too many joins with it are not written yet.
    #[error("the token {0} has {PENDING} joins that are not written yet")]
    Pending(TokenId),
    /// No such token, or another secret.
    #[error("there is no token {0} with this secret")]
    Unknown(TokenId),
    /// All uses are spent.
    #[error("the token {0} is used up")]
    UsedUp(TokenId),
}

/// Why a worker gets no other certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenewalDenied {
    /// It is not let in at all.
    #[error(transparent)]
    Refused(#[from] AdmissionDenied),
    /// Two used its identity: it is locked from now on.
    #[error(
        "the identity of {worker} is used twice (renewal {asked:?} after {known:?}): it is locked; find out which machine \
         is the copy, `deputy workers remove {worker}`, and let the right one join again"
    )]
    Copied {
        /// Who.
        worker: WorkerId,
        /// The renewal that was asked for.
        asked: RenewalCount,
        /// The last that was answered.
        known: RenewalCount,
    },
}

/// Why a worker is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionDenied {
    /// An operator keeps it out.
    #[error("the worker {0} is banned")]
    Banned(WorkerId),
    /// Two used its identity.
    #[error("the worker {0} is locked because its identity was used twice: it must join again")]
    Locked(WorkerId),
    /// It shows a certificate that a newer one replaced.
    #[error(
        "the worker {0} shows an old certificate, though a newer one was used: somebody has a copy of its identity, and both \
         are locked; find out which machine is the copy, and let the right one join again"
    )]
    OldKey(WorkerId),
    /// An operator removed it.
    #[error("the worker {0} was removed: it must join again")]
    Removed(WorkerId),
    /// Nobody knows it.
    #[error("there is no worker {0}: it must join again")]
    Unknown(WorkerId),
}

impl JoinToken {
    fn pending_workers(&self) -> impl Iterator<Item = EnrolledWorker> {
        self.pending.iter().map(|pending| pending.worker(self))
    }
}

impl PendingJoin {
    fn worker(&self, token: &JoinToken) -> EnrolledWorker {
        EnrolledWorker {
            id: self.worker,
            group: token.group.clone(),
            token: token.id,
            joined_ms: self.joined_ms,
            key: self.key,
            previous: None,
            sequence: RenewalCount(0),
            ends_ms: self.joined_ms,
            standing: EnrolmentStatus::Active,
        }
    }
}

impl JoinDenied {
    /// What who asked is told: not which of all reasons it was.
    pub const TOLD: &'static str =
        "the join string is not good: it expired, was used or revoked; ask for a new one (`deputy token create`)";
}

impl Enrolment {
    /// What was saved.
    pub fn restored(
        tokens: impl IntoIterator<Item = JoinToken>,
        workers: impl IntoIterator<Item = EnrolledWorker>,
    ) -> Self {
        let tokens = tokens.into_iter().map(|token| (token.id, token)).collect();
        let workers: BTreeMap<_, _> = workers.into_iter().map(|worker| (worker.id, worker)).collect();
        let banned = workers.values().filter(|worker| worker.standing == EnrolmentStatus::Banned);
        let banned = banned.flat_map(|worker| [Some(worker.key), worker.previous]).flatten();
        let active = workers.values().filter(|worker| worker.standing == EnrolmentStatus::Active);
        let by_key = active.map(|worker| (worker.key, worker.id)).collect();
        Self { tokens, banned: banned.collect(), by_key, workers, over: BTreeMap::new(), spent: BTreeMap::new() }
    }

    /// Makes the workers again that a crash left in their tokens alone. Returns whose records have to be written.
    pub fn recover(&mut self) -> Vec<WorkerId> {
        let pending: Vec<EnrolledWorker> = self.tokens.values().flat_map(JoinToken::pending_workers).collect();
        let mut changed = Vec::new();
        for worker in pending {
            if !self.workers.contains_key(&worker.id) {
                changed.push(worker.id);
                changed.extend(self.enter(worker));
            }
        }
        changed
    }

    /// Notes that a worker's own record is written.
    pub fn written(&mut self, worker: WorkerId) {
        if let Some(token) = self.workers.get(&worker).and_then(|worker| self.tokens.get_mut(&worker.token)) {
            token.pending.retain(|pending| pending.worker != worker);
        }
    }

    /// All tokens that can still be used.
    pub fn tokens(&self, now: Timestamp) -> impl Iterator<Item = &JoinToken> {
        self.tokens.values().filter(move |token| token.uses > 0 && now.as_millis() < token.expires_ms)
    }

    /// All workers, also those that are not let in.
    pub fn workers(&self) -> impl Iterator<Item = &EnrolledWorker> {
        self.workers.values()
    }

    /// One token.
    pub fn token(&self, token: TokenId) -> Option<&JoinToken> {
        self.tokens.get(&token)
    }

    /// One worker.
    pub fn worker(&self, worker: WorkerId) -> Option<&EnrolledWorker> {
        self.workers.get(&worker)
    }

    /// Who is let in by this key.
    pub fn active_with(&self, key: KeyDigest) -> Option<WorkerId> {
        self.by_key.get(&key).copied()
    }

    /// Whether a worker is let in.
    ///
    /// # Errors
    /// If it is not.
    pub fn standing(&self, worker: WorkerId) -> Result<(), AdmissionDenied> {
        refuse(self.workers.get(&worker).ok_or(AdmissionDenied::Unknown(worker))?)
    }

    /// Adds a token.
    pub fn add(&mut self, token: JoinToken) {
        self.tokens.insert(token.id, token);
    }

    /// Takes a token back; whether there was one. Workers that it made stay.
    pub fn revoke(&mut self, token: TokenId) -> bool {
        self.tokens.remove(&token).is_some()
    }

    /// Removes tokens that expired long ago, once that has been so for a while by both clocks. One that is of no use stays
    /// until then: its last worker may have to repeat itself.
    pub fn prune(&mut self, now: Now) -> Vec<TokenId> {
        let expired = self.tokens.values().filter(|token| now.wall.as_millis() >= token.expires_ms);
        let spent = expired.map(|token| (token.id, self.spent.get(&token.id).copied().unwrap_or(now.mono)));
        self.spent = spent.collect();
        let gone: Vec<TokenId> =
            self.spent.extract_if(.., |_, since| now.mono.since(*since) >= REPEATING).map(|(id, _)| id).collect();
        gone.iter().for_each(|token| drop(self.tokens.remove(token)));
        gone
    }

    /// Lets go of workers that can't come back as who they were, and gives them. Who is banned stays, because its keys are
    /// banned by that.
    pub fn forget(&mut self, now: Now) -> Vec<EnrolledWorker> {
        let is_over = |worker: &&EnrolledWorker| {
            let end = Timestamp::from_millis(worker.ends_ms).plus(LISTED);
            worker.standing != EnrolmentStatus::Banned && now.wall >= end
        };
        let over = self.workers.values().filter(is_over).map(|worker| worker.id);
        self.over = over.map(|id| (id, self.over.get(&id).copied().unwrap_or(now.mono))).collect();
        let gone = self.over.extract_if(.., |_, since| now.mono.since(*since) >= BELIEVED);
        let gone: Vec<EnrolledWorker> = gone.filter_map(|(id, _)| self.workers.remove(&id)).collect();
        for worker in &gone {
            // Its key may be another worker's by now.
            if self.by_key.get(&worker.key) == Some(&worker.id) {
                self.by_key.remove(&worker.key);
            }
        }
        gone
    }

    /// Notes until when the certificate is good that a worker gets.
    pub fn certified(&mut self, worker: WorkerId, ends: Timestamp) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.ends_ms = worker.ends_ms.max(ends.as_millis());
        }
    }

    /// Makes a worker of who shows a good token. `fresh` becomes its id if it is new.
    ///
    /// # Errors
    /// If the token is not good, or the key is banned.
    pub fn join(
        &mut self,
        now: Timestamp,
        shown: &JoinRequest<'_>,
        fresh: WorkerId,
    ) -> Result<EnrolledWorker, JoinDenied> {
        let token = self.tokens.get_mut(&shown.token).filter(|token| token.hash.is_of(shown.secret));
        let token = token.ok_or(JoinDenied::Unknown(shown.token))?;
        if self.banned.contains(&shown.key) {
            return Err(JoinDenied::Banned);
        }
        let known = self.by_key.get(&shown.key).and_then(|id| self.workers.get(id));
        if let Some(again) = known.filter(|worker| worker.token == token.id && worker.sequence == RenewalCount(0)) {
            return Ok(again.clone());
        }
        if now.as_millis() >= token.expires_ms {
            return Err(JoinDenied::Expired(token.id));
        }
        if token.pending.len() >= PENDING {
            return Err(JoinDenied::Pending(token.id));
        }
        token.uses = token.uses.checked_sub(1).ok_or(JoinDenied::UsedUp(token.id))?;
        let pending = PendingJoin { worker: fresh, key: shown.key, joined_ms: now.as_millis() };
        token.pending.push(pending);
        let worker = pending.worker(token);
        self.enter(worker.clone());
        Ok(worker)
    }

    /// Adds a worker. One key is one worker: one that joins anew gives up its old place, which is returned.
    fn enter(&mut self, worker: EnrolledWorker) -> Option<WorkerId> {
        let old = self.by_key.insert(worker.key, worker.id);
        if let Some(old) = old.and_then(|old| self.workers.get_mut(&old)) {
            old.standing = EnrolmentStatus::Removed;
        }
        self.workers.insert(worker.id, worker);
        old
    }

    /// Notes that a worker gets a certificate for another key.
    ///
    /// # Errors
    /// If it is not let in, or if its identity turns out to be used twice, by which it is locked.
    pub fn renew(&mut self, shown: &RenewalRequest) -> Result<EnrolledWorker, RenewalDenied> {
        let worker = self.workers.get_mut(&shown.worker).ok_or(AdmissionDenied::Unknown(shown.worker))?;
        refuse(worker)?;
        let from_newest = shown.current == worker.key;
        let from_previous = worker.previous == Some(shown.current);
        let counted = worker.sequence != RenewalCount::UNKNOWN;
        let next = if counted { RenewalCount(worker.sequence.0.saturating_add(1)) } else { shown.sequence };
        if from_newest && shown.sequence == next {
            worker.previous = Some(worker.key);
            self.by_key.remove(&worker.key);
            self.by_key.insert(shown.key, worker.id);
            (worker.key, worker.sequence) = (shown.key, next);
            return Ok(worker.clone());
        }
        // The answer was lost: the same worker asks the same again.
        if from_previous && shown.sequence == worker.sequence && shown.key == worker.key {
            return Ok(worker.clone());
        }
        worker.standing = EnrolmentStatus::Locked;
        self.by_key.remove(&worker.key);
        Err(RenewalDenied::Copied { worker: worker.id, asked: shown.sequence, known: worker.sequence })
    }

    /// The group of a worker that comes with a certificate of this key. Its older certificate is no longer good once the
    /// newer one was used; whether that was noted now, and is to be saved. Who shows it all the same is one of two, and both
    /// are shut out.
    ///
    /// # Errors
    /// If it is not let in.
    pub fn admit(&mut self, worker: WorkerId, key: KeyDigest) -> Result<(GroupName, AdmissionChange), AdmissionDenied> {
        let worker = self.workers.get_mut(&worker).ok_or(AdmissionDenied::Unknown(worker))?;
        refuse(worker)?;
        if worker.key == key {
            let noted =
                if worker.previous.take().is_some() { AdmissionChange::Changed } else { AdmissionChange::Nothing };
            return Ok((worker.group.clone(), noted));
        }
        if worker.previous == Some(key) {
            return Ok((worker.group.clone(), AdmissionChange::Nothing));
        }
        // Somebody has a newer one, and used it: one of the two is a copy, and nobody can tell which.
        worker.standing = EnrolmentStatus::Locked;
        self.by_key.remove(&worker.key);
        Err(AdmissionDenied::OldKey(worker.id))
    }

    /// Shuts a worker out: it may join again, or it may not. Gives it as it is then.
    ///
    /// # Errors
    /// If there is none.
    pub fn shut_out(&mut self, worker: WorkerId, standing: EnrolmentStatus) -> Result<EnrolledWorker, AdmissionDenied> {
        let found = self.workers.get_mut(&worker).ok_or(AdmissionDenied::Unknown(worker))?;
        found.standing = standing;
        if standing != EnrolmentStatus::Active {
            self.by_key.remove(&found.key);
        }
        if standing == EnrolmentStatus::Banned {
            self.banned.insert(found.key);
            self.banned.extend(found.previous);
        }
        Ok(found.clone())
    }
}

/// Whether admitting a worker changed what is to be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionChange {
    /// It did.
    Changed,
    /// It did not.
    Nothing,
}

fn refuse(worker: &EnrolledWorker) -> Result<(), AdmissionDenied> {
    match worker.standing {
        EnrolmentStatus::Active => Ok(()),
        EnrolmentStatus::Banned => Err(AdmissionDenied::Banned(worker.id)),
        EnrolmentStatus::Locked => Err(AdmissionDenied::Locked(worker.id)),
        EnrolmentStatus::Removed => Err(AdmissionDenied::Removed(worker.id)),
    }
}

#[cfg(test)]
#[path = "enrolment_tests.rs"]
mod tests;
