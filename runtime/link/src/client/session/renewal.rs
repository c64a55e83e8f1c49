//! Renewing and saving the identity.

use std::time::Duration;

use deputy_core::in_one_line;
use deputy_support::timer_now;
use tokio::time::Instant;

use super::ClientSession;
use crate::client::connection_lost::{ClientStopped, ConnectionLost};
use crate::client::link::LinkPhase;
use crate::identity::{WorkerIdentity, WorkerKey};
use crate::message::{Authorities, Certified, ClientMessageKind, RenewCertificate};

/// Whether a renewal is requested on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    Requested,
    NotBefore(Instant),
}

/// How often a certificate that is not valid yet is requested again.
const MAX_EARLY_CERTIFICATES: u32 = 10;

/// The shortest delay between two attempts to save the identity, even when the certificate is about to end.
const MIN_SAVE_DELAY: Duration = Duration::from_millis(500);

/// The delay after the coordinator could not renew a certificate.
const RENEWAL_RETRY: Duration = Duration::from_secs(30);

impl ClientSession<'_> {
    /// When to renew the certificate, or to save the identity.
    pub(super) fn renew_at(&self, jitter: f64) -> Instant {
        let due = match self.client.save_error {
            None => self.timer_at(self.client.identity.renew_at(jitter)),
            Some(_) => timer_now(),
        };
        match self.renewal {
            Renewal::Requested => due,
            Renewal::NotBefore(time) => due.max(time),
        }
    }

    pub(super) fn retry_renewal(&mut self) {
        self.renewal = Renewal::NotBefore(timer_now() + RENEWAL_RETRY);
    }

    /// Requests a certificate for a key that is saved first.
    pub(super) async fn renew(&mut self, jitter: f64) -> Result<(), ConnectionLost> {
        if self.client.save_error.is_some() && !self.save_again().await {
            return Ok(());
        }
        if self.client.clock.now().wall < self.client.identity.renew_at(jitter) {
            return Ok(());
        }
        let Some(key) = self.pending_key().await? else { return Ok(()) };
        let request = key.request().map_err(ClientStopped::from)?;
        self.renewal = Renewal::Requested;
        let sequence = self.client.identity.sequence + 1;
        self.send(ClientMessageKind::RenewCertificate(RenewCertificate { sequence, request })).await
    }

    /// The next key; `None` if it cannot be saved yet.
    async fn pending_key(&mut self) -> Result<Option<WorkerKey>, ConnectionLost> {
        if let Some(pending) = &self.client.identity.pending {
            return Ok(Some(pending.clone()));
        }
        let key = WorkerKey::new().map_err(ClientStopped::from)?;
        let mut next = self.client.identity.clone();
        next.pending = Some(key.clone());
        let saved = self.save(&next).await;
        if saved.is_ok() || self.is_last_chance() {
            self.adopt_identity(next);
        }
        Ok(self.record_save(saved).then_some(key))
    }

    pub(super) async fn certified(&mut self, certified: Certified) -> Result<(), ConnectionLost> {
        let pending = self.client.identity.pending.clone();
        let pending = pending.ok_or(ConnectionLost::Malformed("certificate: none was requested"))?;
        let present = &self.client.identity;
        let next = WorkerIdentity::new(certified, pending, present.addresses.clone())
            .map_err(|_| ConnectionLost::Malformed("certificate: it is for another key"))?;
        if next.worker != present.worker || next.sequence != present.sequence + 1 {
            return Err(ConnectionLost::Malformed("certificate: it is another worker's"));
        }
        self.check_authorities(&next)?;
        if self.is_early(&next) {
            return Ok(());
        }
        let saved = self.save(&next).await;
        self.renewal = Renewal::NotBefore(timer_now());
        // Using `next` before it is saved would let a restart bring back the old identity, which the coordinator treats as
        // a copy of the worker.
        if saved.is_ok() || self.is_last_chance() {
            self.adopt_identity(next);
            let ends = self.client.identity.ends();
            self.client.state.send_modify(|state| state.certificate_ends = ends);
            tracing::info!(until = %ends, "worker certificate renewed");
        }
        self.record_save(saved);
        Ok(())
    }

    /// Whether a certificate is not valid yet. One of the clocks is wrong. If the certificates stay early, it is this
    /// machine's clock, and they are used anyway.
    fn is_early(&mut self, next: &WorkerIdentity) -> bool {
        let is_valid = next.begins() <= self.client.clock.now().wall;
        if is_valid || self.early_certificates >= MAX_EARLY_CERTIFICATES || self.is_last_chance() {
            return false;
        }
        self.early_certificates += 1;
        tracing::warn!(begins = %next.begins(), "the new certificate is not valid yet: compare the clocks; retrying");
        self.renewal = Renewal::NotBefore(timer_now() + RENEWAL_RETRY.min(self.certificate_left() / 20));
        true
    }

    pub(super) async fn set_authorities(&mut self, authorities: Authorities) -> Result<(), ConnectionLost> {
        let mut next = self.client.identity.clone();
        let is_changed = next
            .set_authorities(authorities.certificates)
            .map_err(|_| ConnectionLost::Malformed("authority certificates"))?;
        if !is_changed {
            return Ok(());
        }
        self.check_authorities(&next)?;
        // Adopted even if it cannot be saved: a restarted worker learns the authorities again.
        let saved = self.save(&next).await;
        self.adopt_identity(next);
        self.record_save(saved);
        Ok(())
    }

    /// A worker that no longer trusted the present coordinator could not reconnect.
    fn check_authorities(&self, identity: &WorkerIdentity) -> Result<(), ConnectionLost> {
        let certificate = self.stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        if certificate.is_some_and(|certificate| identity.trusts_coordinator(certificate)) {
            return Ok(());
        }
        Err(ConnectionLost::Malformed("authorities: none of them signed the coordinator's certificate"))
    }

    fn certificate_left(&self) -> Duration {
        self.client.identity.ends().since(self.client.clock.now().wall).duration()
    }

    /// Whether the certificate is about to end. An identity that only this process has is then better than none: without it
    /// the worker would be lost in any case.
    fn is_last_chance(&self) -> bool {
        self.certificate_left() < self.client.identity.life().duration() / 10
    }

    pub(super) async fn save(&self, next: &WorkerIdentity) -> Result<(), String> {
        let saved = self.client.identity_store.save(next).await;
        saved.map_err(|error| format!("cannot save the worker's identity: {}", in_one_line(&*error)))
    }

    /// Saves the present identity, and returns whether to go on.
    async fn save_again(&mut self) -> bool {
        let saved = self.save(&self.client.identity.clone()).await;
        self.record_save(saved)
    }

    /// Records whether the identity is saved; if not, schedules another attempt. Returns whether to continue in any case.
    pub(super) fn record_save(&mut self, saved: Result<(), String>) -> bool {
        let was_saved = self.client.save_error.is_none();
        let error = saved.err();
        let is_saved = error.is_none();
        if let Some(error) = &error {
            let delay = self.client.save_backoff.fail(self.client.rng.u16(..)).duration();
            let delay = delay.min(self.certificate_left() / 4).max(MIN_SAVE_DELAY);
            // The answer to a request arrives whether or not the identity is saved.
            if self.renewal != Renewal::Requested {
                self.renewal = Renewal::NotBefore(timer_now() + delay);
            }
            if was_saved {
                let ends = self.client.identity.ends();
                tracing::error!(%error, certificate_ends = %ends, "saving the worker identity failed; retrying");
            }
        } else {
            self.client.save_backoff.reset();
            if !was_saved {
                tracing::info!("worker identity saved");
            }
        }
        self.client.save_error = error;
        if self.client.state.borrow().phase == LinkPhase::Connected {
            self.client.enter(LinkPhase::Connected, self.client.save_error.clone());
        }
        is_saved || self.is_last_chance()
    }

    fn adopt_identity(&mut self, next: WorkerIdentity) {
        self.client.identity = next;
        self.client.tls = None;
    }
}
