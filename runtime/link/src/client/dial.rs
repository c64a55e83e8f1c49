//! Connecting to the coordinator.

use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection_lost::ConnectionLost;
use crate::certificate::COORDINATOR_NAME;
use crate::protocol_error::ProtocolError;

/// Deadline for connecting, handshake included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and does the handshake. A coordinator that rejects the worker's certificate says so only on the first read.
#[expect(clippy::disallowed_methods, reason = "the address is the operator's, from the join string")]
pub(super) async fn dial(address: &str, tls: TlsConnector) -> Result<TlsStream<TcpStream>, ConnectionLost> {
    let name = COORDINATOR_NAME.try_into().map_err(|_| ConnectionLost::Malformed("server name"))?;
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        tls.connect(name, stream).await
    };
    match timeout(CONNECT_TIMEOUT, Box::pin(connecting)).await {
        Ok(Err(error)) if is_about_clocks(&error) => Err(ConnectionLost::Clock(address.to_owned())),
        Ok(stream) => stream.map_err(|error| ConnectionLost::Connect(address.to_owned(), error)),
        Err(_) => Err(ConnectionLost::Timeout(address.to_owned())),
    }
}

/// Whether the coordinator's certificate has expired or is not valid yet. The coordinator renews it long before its end,
/// so one of the two clocks is wrong.
fn is_about_clocks(error: &io::Error) -> bool {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(error)) => {
            matches!(error, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
        }
        _ => false,
    }
}

/// The refusal in a TLS alert, with which the coordinator rejects an expired certificate.
pub(super) fn refusal_in_alert(error: &io::Error) -> Option<ProtocolError> {
    match tls_error(error)? {
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => Some(ProtocolError::expired()),
        _ => None,
    }
}

pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
