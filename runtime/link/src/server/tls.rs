//! The TLS of the coordinator, which changes as its certificates do. Session tickets stay valid across such a change.

use std::sync::{Arc, RwLock};

use deputy_core::Timestamp;
use deputy_core::time::Clock;
use deputy_support::RwLockUnpoisoned as _;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use super::tickets::SessionTickets;
use crate::authority::{Authority, AuthorityError};
use crate::tls;

/// The present TLS configuration.
pub struct ServerTls {
    current: RwLock<Arc<ServerConfig>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("cannot set up TLS; this is a bug, please report it")]
    Tls(#[from] rustls::Error),
}

impl ServerTls {
    /// `clock` judges certificates and tickets.
    pub fn new(now: Timestamp, authority: &Authority, clock: Arc<dyn Clock>) -> Result<Self, ServerTlsError> {
        Ok(Self { current: RwLock::new(config(now, authority, &clock)?), clock })
    }

    /// Issues another certificate and trusts the authorities of now. An error leaves the configuration unchanged.
    pub fn renew(&self, now: Timestamp, authority: &Authority) -> Result<(), ServerTlsError> {
        let next = config(now, authority, &self.clock)?;
        *self.current.write_unpoisoned() = next;
        Ok(())
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read_unpoisoned())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config())
    }
}

fn config(now: Timestamp, authority: &Authority, clock: &Arc<dyn Clock>) -> Result<Arc<ServerConfig>, ServerTlsError> {
    let tickets = Arc::new(SessionTickets::new(authority.secret(), Arc::clone(clock)));
    Ok(tls::server(&authority.trusted(), authority.server_certificate(now)?, tickets, Arc::clone(clock))?)
}
