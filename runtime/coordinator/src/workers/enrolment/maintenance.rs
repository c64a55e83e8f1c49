//! What is due by time: rotation of the authority, renewal of the coordinator's certificate, and pruning.

use deputy_core::time::{Clock, Now};
use deputy_core::{Span, Timestamp, in_one_line};
use deputy_link::{Authority, RotationOutcome};

use super::persist::{token_key, worker_key};
use super::{EnrolmentActor, EnrolmentError, trusted_certificates};

/// How long a rotation has to be due before it is made; less for an authority with a short life.
const ROTATION_DELAY: Span = Span::secs(3600);

/// All records are searched, so not with each of ten thousand workers that connect at once.
const PRUNE_INTERVAL: Span = Span::secs(60);

impl EnrolmentActor {
    pub(super) async fn maintain(&mut self) {
        let now = self.clock.now();
        let rotated = match self.is_leading() {
            true => self.keep_records(now).await,
            false => RotationOutcome::Unchanged,
        };
        let half_life = Span::millis(self.lifetimes.worker.as_millis() / 2);
        if rotated == RotationOutcome::Changed || now.wall >= self.certificate_issued_at.plus(half_life) {
            self.renew_certificate(now.wall, rotated);
        }
    }

    /// What the coordinator that leads does for all. Returns whether the authority was rotated.
    async fn keep_records(&mut self, now: Now) -> RotationOutcome {
        self.redate_tokens(now);
        if now.mono.since(self.pruned_at) >= PRUNE_INTERVAL {
            self.pruned_at = now.mono;
            self.prune(now);
        }
        let mut rotated = RotationOutcome::Unchanged;
        if self.authority.is_provisional()
            && self.clock.has_settled(self.fraction_of_life())
            && !self.authority.is_misdated(now.wall)
        {
            self.confirm_authority().await;
        }
        if self.is_rotation_due(now) {
            match self.rotate_authority(now.wall).await {
                Ok(outcome) => rotated = outcome,
                Err(error) => {
                    tracing::error!(error = %in_one_line(&error), "rotating the certificate authority failed")
                }
            }
        }
        rotated
    }

    /// A token that was created while the clock was ahead must not live until the time that the clock showed.
    fn redate_tokens(&mut self, now: Now) {
        if !self.clock.has_settled(self.fraction_of_life()) {
            return;
        }
        for token in self.enrolment.redate_tokens(now.wall) {
            tracing::warn!(%token, now = %now.wall, "join token was created while the clock was ahead; its lifetime starts now");
            self.dirty.extend(token_key(token));
        }
    }

    /// Forgets tokens and workers that expired long ago.
    fn prune(&mut self, now: Now) {
        for token in self.enrolment.prune_tokens(now) {
            self.dirty.extend(token_key(token));
        }
        for worker in self.enrolment.prune_workers(now) {
            tracing::info!(worker = %worker.id, "worker record removed: its last certificate expired long ago");
            self.dirty.extend(worker_key(worker.id));
            // The record of its token may still list its join.
            if self.enrolment.token(worker.token).is_some() {
                self.dirty.extend(token_key(worker.token));
            }
            if let Some(link) = &self.link {
                link.sessions.forget(worker.id);
            }
        }
    }

    /// A rotation cannot be undone: workers that trust the new authority would have to enrol again. So a clock that jumps
    /// must not cause one.
    fn is_rotation_due(&mut self, now: Now) -> bool {
        if !self.authority.is_rotation_due(now.wall) {
            self.rotation_due_since = None;
            return false;
        }
        let since = *self.rotation_due_since.get_or_insert(now.mono);
        let delay = ROTATION_DELAY.min(self.fraction_of_life());
        // Other dates for an authority whose clock has proved nothing yet cost no worker anything.
        now.mono.since(since) >= delay || (self.authority.is_provisional() && self.authority.is_misdated(now.wall))
    }

    /// What an authority with a short life waits at most.
    fn fraction_of_life(&self) -> Span {
        Span::millis(self.lifetimes.authority.as_millis() / 1000)
    }

    /// The clock has been steady since the authority got its dates: they are kept from now on.
    async fn confirm_authority(&mut self) {
        self.authority.confirm();
        let written = self.save_authority(&self.authority).await;
        // Unwritten, it is provisional again after a restart, and confirmed once more.
        if let Err(error) = written {
            tracing::warn!(error = %in_one_line(&error), "saving the certificate authority failed");
        }
    }

    pub(super) async fn save_authority(&self, authority: &Authority) -> Result<(), EnrolmentError> {
        // Without the lock, the coordinator that has it saves.
        let lock = self.leading.borrow().clone();
        match lock {
            Some(lock) => self.records.write_authority(&authority.encode()?, &lock).await,
            None => Ok(()),
        }
    }

    /// Takes the next step of a rotation. It is written before anything trusts or signs by it.
    async fn rotate_authority(&mut self, now: Timestamp) -> Result<RotationOutcome, EnrolmentError> {
        let mut next = Authority::restored(self.authority.encode()?.expose(), self.lifetimes)?;
        let is_misdated = next.is_misdated(now);
        let outcome = next.rotate(now)?;
        if outcome == RotationOutcome::Changed {
            self.save_authority(&next).await?;
            self.authority = next;
            if is_misdated {
                tracing::warn!(
                    %now,
                    "worker certificate authority was dated by a wrong clock and is issued again with the same key; \
                     workers whose certificates are not valid now must join again"
                );
            } else {
                tracing::info!("worker certificate authority rotated");
            }
        }
        Ok(outcome)
    }

    /// Issues a new certificate for the coordinator, and tells workers which authorities to trust.
    pub(super) fn renew_certificate(&mut self, now: Timestamp, rotated: RotationOutcome) {
        let Some(link) = &self.link else { return };
        match link.tls.renew(now, &self.authority) {
            Ok(()) => self.certificate_issued_at = now,
            Err(error) => {
                tracing::error!(error = %in_one_line(&error), "renewing the coordinator's certificate failed");
            }
        }
        if rotated == RotationOutcome::Changed {
            link.feeds.set_authorities(trusted_certificates(&self.authority));
        }
    }
}
