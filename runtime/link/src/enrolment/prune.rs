//! Removes what has been over for long.
//!
//! A pruned worker has to enrol again, so a wall clock that is wrong for a while must not prune all of them: what is
//! pruned has been over by the wall clock for some time of the monotonic clock.

use deputy_core::time::Now;
use deputy_core::{Span, Timestamp};

use super::{EnrolledWorker, Enrolment, EnrolmentStatus};
use crate::join::TokenId;

/// How long after a token's expiry its workers may repeat their joins.
const TOKEN_RETENTION: Span = Span::secs(3600);

/// How long a worker is listed after the end of its last certificate. It cannot reconnect, but operators want to see it.
const WORKER_RETENTION: Span = Span::secs(7 * 86_400);

/// How long the wall clock must agree that a worker's retention is over.
const CLOCK_CONFIRMATION: Span = Span::secs(86_400);

impl Enrolment {
    /// Removes tokens that expired long ago, and returns them. A token without uses stays until then, since its last worker
    /// may have to repeat its join.
    pub fn prune_tokens(&mut self, now: Now) -> Vec<TokenId> {
        let expired = self.tokens.values().filter(|token| now.wall >= token.expires(now.wall));
        self.expired_tokens =
            expired.map(|token| (token.id, self.expired_tokens.get(&token.id).copied().unwrap_or(now.mono))).collect();
        let over = self.expired_tokens.extract_if(.., |_, since| now.mono.since(*since) >= TOKEN_RETENTION);
        let pruned: Vec<TokenId> = over.map(|(id, _)| id).collect();
        for token in &pruned {
            self.tokens.remove(token);
        }
        pruned
    }

    /// Removes workers whose retention is over, and returns them. A banned worker stays, since it bans its keys.
    pub fn prune_workers(&mut self, now: Now) -> Vec<EnrolledWorker> {
        let over = self.workers.values().filter(|worker| {
            let retained_until = Timestamp::from_millis(worker.ends_ms).plus(WORKER_RETENTION);
            worker.status != EnrolmentStatus::Banned && now.wall >= retained_until
        });
        self.prunable_workers = over
            .map(|worker| (worker.id, self.prunable_workers.get(&worker.id).copied().unwrap_or(now.mono)))
            .collect();
        let over = self.prunable_workers.extract_if(.., |_, since| now.mono.since(*since) >= CLOCK_CONFIRMATION);
        let pruned: Vec<EnrolledWorker> = over.filter_map(|(id, _)| self.workers.remove(&id)).collect();
        for worker in &pruned {
            // Another worker may have enrolled with its key.
            if self.by_key.get(&worker.key) == Some(&worker.id) {
                self.by_key.remove(&worker.key);
            }
            // Its join must not bring it back.
            if let Some(token) = self.tokens.get_mut(&worker.token) {
                token.pending.retain(|join| join.worker != worker.id);
            }
        }
        pruned
    }
}
