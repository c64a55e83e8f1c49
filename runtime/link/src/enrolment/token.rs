//! Join tokens, and enrolling with them.

use deputy_core::{GroupName, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::{EnrolledWorker, Enrolment, EnrolmentStatus, JoinDenied, RenewalCount};
use crate::join::{TokenHash, TokenId, TokenSecret};
use crate::name::{KeyDigest, WorkerId};

/// A join token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    pub id: TokenId,
    /// The hash of its secret.
    pub hash: TokenHash,
    /// The group of the workers that enrol with it.
    #[serde(with = "crate::text")]
    pub group: GroupName,
    /// How many workers may still enrol with it.
    pub uses: u32,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: u64,
    /// When its life begins, in milliseconds since 1970, while the clock shows a time before its creation: then it was
    /// created by a clock that was ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redated_ms: Option<u64>,
    /// Joins whose worker may not be saved yet. They are saved together with the use that they spent, before the worker
    /// is, so that a crash leaves a join either complete or undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<PendingJoin>,
}

/// A worker in the record of its token, until its own record is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingJoin {
    pub worker: WorkerId,
    pub key: KeyDigest,
    /// When it enrolled, in milliseconds since 1970.
    pub joined_ms: u64,
}

/// What a worker presents to enrol.
#[derive(Debug)]
pub struct JoinRequest<'p> {
    pub token: TokenId,
    pub secret: &'p TokenSecret,
    /// The key to certify.
    pub key: KeyDigest,
}

/// How far the clock may go back without being wrong: clocks are slewed.
const CLOCK_TOLERANCE: Span = Span::secs(30);

/// Pending joins of one token. There are more only while nothing can be saved.
pub(super) const MAX_PENDING_JOINS: usize = 1024;

impl JoinToken {
    /// When it expires, as seen from `now`.
    pub fn expires(&self, now: Timestamp) -> Timestamp {
        let life = Span::millis(self.expires_ms.saturating_sub(self.created_ms));
        match self.redated_ms.filter(|_| is_future(self.created_ms, now)) {
            Some(begin) => Timestamp::from_millis(begin).plus(life),
            None => Timestamp::from_millis(self.expires_ms),
        }
    }

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
            status: EnrolmentStatus::Active,
        }
    }
}

impl Enrolment {
    pub fn add_token(&mut self, token: JoinToken) {
        self.tokens.insert(token.id, token);
    }

    /// Has the life of tokens that were created in the future begin now, so that a clock that was ahead does not make them
    /// live for longer. Returns the tokens whose records changed. `now` is of a clock that has been steady for a while.
    ///
    /// If instead the clock is behind now, the tokens expire as they should once it is right again.
    pub fn redate_tokens(&mut self, now: Timestamp) -> Vec<TokenId> {
        let misdated = self.tokens.values_mut().filter(|token| {
            is_future(token.created_ms, now) && token.redated_ms.is_none_or(|begin| is_future(begin, now))
        });
        misdated
            .map(|token| {
                token.redated_ms = Some(now.as_millis());
                token.id
            })
            .collect()
    }

    /// Removes a token, and returns whether it existed. Workers that enrolled with it stay.
    pub fn revoke_token(&mut self, token: TokenId) -> bool {
        self.tokens.remove(&token).is_some()
    }

    /// Enrols a worker. `fresh` becomes its id if it is new. A join that another coordinator began, and did not complete, is
    /// completed: its use is spent.
    pub fn join(
        &mut self,
        now: Timestamp,
        request: &JoinRequest<'_>,
        fresh: WorkerId,
    ) -> Result<EnrolledWorker, JoinDenied> {
        let token = self
            .tokens
            .get_mut(&request.token)
            .filter(|token| token.hash.is_of(request.secret))
            .ok_or(JoinDenied::Unknown(request.token))?;
        if self.banned.contains(&request.key) {
            return Err(JoinDenied::Banned);
        }
        let known = self.by_key.get(&request.key).and_then(|id| self.workers.get(id));
        if let Some(again) = known.filter(|worker| worker.token == token.id && worker.sequence == RenewalCount(0)) {
            return Ok(again.clone());
        }
        let begun =
            token.pending.iter().find(|join| join.key == request.key && !self.workers.contains_key(&join.worker));
        if let Some(worker) = begun.map(|join| join.worker(token)) {
            self.insert_worker(worker.clone());
            return Ok(worker);
        }
        if now >= token.expires(now) {
            return Err(JoinDenied::Expired(token.id));
        }
        if token.pending.len() >= MAX_PENDING_JOINS {
            return Err(JoinDenied::Pending(token.id));
        }
        token.uses = token.uses.checked_sub(1).ok_or(JoinDenied::UsedUp(token.id))?;
        let pending = PendingJoin { worker: fresh, key: request.key, joined_ms: now.as_millis() };
        token.pending.push(pending);
        let worker = pending.worker(token);
        self.insert_worker(worker.clone());
        Ok(worker)
    }

    /// Adds the workers that a crash left in the records of their tokens alone. Returns the workers whose records changed.
    pub fn recover(&mut self) -> Vec<WorkerId> {
        let pending: Vec<EnrolledWorker> = self.tokens.values().flat_map(JoinToken::pending_workers).collect();
        let mut changed = Vec::new();
        for worker in pending {
            let is_over = self.workers.contains_key(&worker.id) || self.has_rejoined(&worker);
            if !is_over && !self.banned.contains(&worker.key) {
                changed.push(worker.id);
                changed.extend(self.insert_worker(worker));
            }
        }
        changed
    }

    /// Whether the machine of a worker whose join is not complete has joined again since, as another worker.
    fn has_rejoined(&self, pending: &EnrolledWorker) -> bool {
        let active = self.active_with(pending.key).and_then(|id| self.workers.get(&id));
        active.is_some_and(|active| active.token == pending.token || active.joined_ms > pending.joined_ms)
    }

    /// Notes that a worker's own record is saved.
    pub fn record_saved(&mut self, worker: WorkerId) {
        if let Some(token) = self.workers.get(&worker).and_then(|worker| self.tokens.get_mut(&worker.token)) {
            token.pending.retain(|pending| pending.worker != worker);
        }
    }

    /// Adds a worker. A key belongs to one worker: the previous worker with this key is removed, and returned.
    fn insert_worker(&mut self, worker: EnrolledWorker) -> Option<WorkerId> {
        let previous = self.by_key.insert(worker.key, worker.id);
        if let Some(previous) = previous.and_then(|id| self.workers.get_mut(&id)) {
            previous.status = EnrolmentStatus::Removed;
        }
        self.workers.insert(worker.id, worker);
        previous
    }
}

fn is_future(time_ms: u64, now: Timestamp) -> bool {
    Timestamp::from_millis(time_ms) > now.plus(CLOCK_TOLERANCE)
}
