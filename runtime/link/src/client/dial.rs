//! Connecting to the coordinator.

use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection_lost::ConnectionLost;
use crate::certificate::COORDINATOR_NAME;
use crate::protocol_error::ProtocolError;

/// Deadline for connecting, handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Connects and does the handshake. A coordinator that rejects the worker's certificate says so only on the first read.
pub(super) async fn dial(address: &str, tls: TlsConnector) -> Result<TlsStream<TcpStream>, ConnectionLost> {
    let name = COORDINATOR_NAME.try_into().map_err(|_| ConnectionLost::Malformed("server name"))?;
    let connecting = async {
        let stream = connect(address).await?;
        stream.set_nodelay(true)?;
        tls.connect(name, stream).await
    };
    match timeout(CONNECT_TIMEOUT, Box::pin(connecting)).await {
        Ok(Err(error)) if is_about_clocks(&error) => Err(ConnectionLost::Clock(address.to_owned())),
        Ok(stream) => stream.map_err(|error| ConnectionLost::Connect(address.to_owned(), error)),
        Err(_) => Err(ConnectionLost::Timeout(address.to_owned())),
    }
}

/// Connects to the first address that accepts: of several coordinators on one state, the one that leads. A machine that is gone
/// does not answer, so each address has its part of the time alone.
#[expect(clippy::disallowed_methods, reason = "the address is the operator's, from the join string")]
async fn connect(address: &str) -> io::Result<TcpStream> {
    let addresses: Vec<_> = lookup_host(address).await?.take(MAX_ADDRESSES).collect();
    let share = CONNECT_TIMEOUT / u32::try_from(addresses.len() + 1).unwrap_or(1);
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in &addresses {
        let limit = if addresses.len() == 1 { CONNECT_TIMEOUT } else { share };
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
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
