//! Moving to another address now and then.
//!
//! Workers whose coordinator restarts go to the others, and nothing would bring them back. So a worker that knows several
//! addresses picks one of them at random each time it has been connected for a while, and moves there unless it is there
//! already. Each address gets its share within about two such times, and at no moment do many workers move.

use std::pin::Pin;
use std::time::Duration;

use deputy_core::HostPort;
use fastrand::Rng;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection_lost::ConnectionLost;
use super::dial::{Others, dial};

/// The bounds of the time for which a worker stays connected before it picks an address again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay {
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
}

/// A connection to another address, without a session yet.
pub(super) struct Moved {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) address: HostPort,
    /// The number of the certificate that it was opened with.
    pub(super) renewals: u64,
}

/// A connection that is being opened beside the session.
#[derive(Default)]
pub(super) struct Relocation(Option<Moving>);

type Moving = Pin<Box<dyn Future<Output = Result<Moved, ConnectionLost>> + Send>>;

impl Default for Stay {
    fn default() -> Self {
        Self { shortest: Duration::from_secs(30 * 60), longest: Duration::from_secs(60 * 60) }
    }
}

impl Stay {
    pub(super) fn random(self, rng: &mut Rng) -> Duration {
        self.shortest + self.longest.saturating_sub(self.shortest).mul_f64(rng.f64())
    }
}

impl Relocation {
    /// `renewals` is the number of the certificate in `tls`.
    pub(super) fn start(&mut self, address: HostPort, tls: TlsConnector, renewals: u64) {
        // The session goes on, so there is something else to use.
        let opening = async move { Ok(Moved { stream: dial(&address, tls, Others::Left).await?, address, renewals }) };
        self.0 = Some(Box::pin(opening));
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// Completes when the connection is open or failed; never if none is being opened. It can be dropped and called again.
    pub(super) async fn opened(&mut self) -> Result<Moved, ConnectionLost> {
        let Some(opening) = &mut self.0 else { return std::future::pending().await };
        let opened = opening.await;
        self.0 = None;
        opened
    }
}
