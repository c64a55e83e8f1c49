//! The TLS of the coordinator, which changes as its certificates do. Tickets stay good across such a change.

use std::sync::{Arc, PoisonError, RwLock};

use deputy_core::Timestamp;
use rustls::ServerConfig;
use rustls::server::ProducesTickets;
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, AuthorityError};
use crate::certificate;

/// The TLS of now.
pub struct Tls {
    current: RwLock<Arc<ServerConfig>>,
    tickets: Arc<dyn ProducesTickets>,
}

/// There is none.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authority fails.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The library fails.
    #[error("TLS can't be set up: this is a bug, please report it")]
    Tls(#[from] rustls::Error),
}

impl Tls {
    /// Of this authority.
    ///
    /// # Errors
    /// If the library fails.
    pub fn new(now: Timestamp, authority: &Authority) -> Result<Self, TlsError> {
        let tickets = rustls::crypto::ring::Ticketer::new()?;
        let current = certificate::server(&authority.trusted(), authority.serve(now)?, Arc::clone(&tickets))?;
        Ok(Self { current: RwLock::new(current), tickets })
    }

    /// Makes another certificate, and trusts whom the authority trusts now.
    ///
    /// # Errors
    /// If the library fails; then all is as it was.
    pub fn renew(&self, now: Timestamp, authority: &Authority) -> Result<(), TlsError> {
        let next = certificate::server(&authority.trusted(), authority.serve(now)?, Arc::clone(&self.tickets))?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// What connections are accepted with now.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config())
    }
}
