//! The TLS of the coordinator, which changes as its certificates do. Tickets stay good across such a change.

use std::sync::{Arc, PoisonError, RwLock};

use deputy_core::Timestamp;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::tickets::SessionTickets;
use crate::authority::{Authority, AuthorityError};
use crate::certificate;
use deputy_core::time::Clock;

/// The TLS of now.
pub struct ServerTls {
    current: RwLock<Arc<ServerConfig>>,
    clock: Arc<dyn Clock>,
}

/// There is none.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// The authority fails.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The library fails.
    #[error("cannot set up TLS; this is a bug, please report it")]
    Tls(#[from] rustls::Error),
}

impl ServerTls {
    /// Of this authority. `clock` says which certificates and tickets are good.
    ///
    /// # Errors
    /// If the library fails.
    pub fn new(now: Timestamp, authority: &Authority, clock: Arc<dyn Clock>) -> Result<Self, ServerTlsError> {
        Ok(Self { current: RwLock::new(config(now, authority, &clock)?), clock })
    }

    /// Makes another certificate, and trusts whom the authority trusts now.
    ///
    /// # Errors
    /// If the library fails; then all is as it was.
    pub fn renew(&self, now: Timestamp, authority: &Authority) -> Result<(), ServerTlsError> {
        let next = config(now, authority, &self.clock)?;
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

fn config(now: Timestamp, authority: &Authority, clock: &Arc<dyn Clock>) -> Result<Arc<ServerConfig>, ServerTlsError> {
    let tickets = Arc::new(SessionTickets::new(authority.secret(), Arc::clone(clock)));
    Ok(certificate::server(&authority.trusted(), authority.serve(now)?, tickets, Arc::clone(clock))?)
}
