//! Takes over records that another process changed.

use super::{EnrolledWorker, Enrolment, EnrolmentStatus, JoinToken};
use crate::join::TokenId;
use crate::name::WorkerId;

impl Enrolment {
    /// Replaces what is known of a token by its record. `is_saved` says whether a worker has a record of its own: a join of such
    /// a worker is complete, whatever the token's record says, which is not written again for that.
    pub fn reload_token(&mut self, id: TokenId, record: Option<JoinToken>, is_saved: impl Fn(WorkerId) -> bool) {
        self.expired_tokens.remove(&id);
        match record {
            Some(mut token) => {
                token.pending.retain(|join| !self.workers.contains_key(&join.worker) || !is_saved(join.worker));
                self.tokens.insert(id, token);
            }
            None => drop(self.tokens.remove(&id)),
        }
    }

    /// Replaces what is known of a worker by its record. A key that was banned stays banned.
    pub fn reload_worker(&mut self, id: WorkerId, record: Option<EnrolledWorker>) {
        self.prunable_workers.remove(&id);
        if let Some(before) = self.workers.remove(&id)
            && self.by_key.get(&before.key) == Some(&id)
        {
            self.by_key.remove(&before.key);
        }
        let Some(worker) = record else { return };
        match worker.status {
            // Of two with one key, the later one is the machine's.
            EnrolmentStatus::Active if self.has_successor(&worker) => {}
            EnrolmentStatus::Active => {
                self.by_key.insert(worker.key, id);
            }
            EnrolmentStatus::Banned => {
                self.banned.insert(worker.key);
                self.banned.extend(worker.previous);
            }
            EnrolmentStatus::Locked | EnrolmentStatus::Removed => {}
        }
        self.workers.insert(id, worker);
    }

    /// Whether another worker joined with the key of this one, and not before it.
    fn has_successor(&self, worker: &EnrolledWorker) -> bool {
        let active = self.active_with(worker.key).and_then(|id| self.workers.get(&id));
        active.is_some_and(|active| active.joined_ms >= worker.joined_ms)
    }
}
