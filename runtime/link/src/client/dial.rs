//! Connecting to the coordinator.

use std::io;
use std::time::Duration;

use deputy_core::HostPort;
use rustls::AlertDescription;
use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection_lost::ConnectionLost;
use crate::certificate::COORDINATOR_NAME;
use crate::protocol_error::ProtocolError;

/// Deadline for connecting, handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Deadline for each step of connecting to an address while there is another one to try: a machine that is gone does not
/// answer, and one that hangs does no handshake.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(3);

/// When the system looks for a silent peer, and how often before it gives it up: after 19 seconds. Heartbeats alone would show
/// only after three of them that its machine is gone.
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_INTERVAL: Duration = Duration::from_secs(3);
const PROBES: u32 = 3;

/// How long what was sent may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Whether to go on to another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Left,
    None,
}

/// Connects and does the handshake. A coordinator that rejects the worker's certificate says so only on the first read.
pub(super) async fn dial(
    address: &HostPort,
    tls: TlsConnector,
    others: Others,
) -> Result<TlsStream<TcpStream>, ConnectionLost> {
    let step = match others {
        Others::Left => STEP_TIMEOUT,
        Others::None => CONNECT_TIMEOUT,
    };
    let name = COORDINATOR_NAME.try_into().map_err(|_| ConnectionLost::Malformed("server name"))?;
    let connecting = async {
        let stream = connect(address, step).await?;
        stream.set_nodelay(true)?;
        notice_loss(&stream)?;
        within(step, tls.connect(name, stream)).await
    };
    match timeout(CONNECT_TIMEOUT, Box::pin(connecting)).await {
        Ok(Err(error)) if is_about_clocks(&error) => Err(ConnectionLost::Clock(address.clone())),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(ConnectionLost::Timeout(address.clone())),
        Ok(stream) => stream.map_err(|error| ConnectionLost::Connect(address.clone(), error)),
        Err(_) => Err(ConnectionLost::Timeout(address.clone())),
    }
}

/// Connects to the first address of a name that accepts. A machine that is gone does not answer, so each address has its part
/// of the time alone.
#[expect(clippy::disallowed_methods, reason = "the address is the operator's, from the join string or the coordinator")]
async fn connect(address: &HostPort, step: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<_> = within(step, lookup_host(address.to_string())).await?.take(MAX_ADDRESSES).collect();
    let share = CONNECT_TIMEOUT / u32::try_from(addresses.len() + 1).unwrap_or(1);
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in &addresses {
        let limit = if addresses.len() == 1 { step } else { step.min(share) };
        match within(limit, TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Has the system end the connection soon after the peer's machine or the network is gone.
fn notice_loss(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_INTERVAL).with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
