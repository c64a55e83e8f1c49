//! Peers that leave while what they asked for is being decided.

use std::io::ErrorKind;
use std::time::Duration;

use deputy_support::pause;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::connection_end::ConnectionEnd;

/// How often a socket is looked at that has bytes to be read, behind which its end may be.
const LOOK: Duration = Duration::from_millis(500);

/// Carries out what a peer asked for, and gives it up when the peer has left: it asks again, maybe another coordinator.
pub(super) async fn while_connected<T>(
    stream: &TlsStream<TcpStream>,
    request: impl Future<Output = T>,
) -> Result<T, ConnectionEnd> {
    let (socket, _) = stream.get_ref();
    tokio::select! {
        biased;
        result = request => Ok(result),
        () = closed(socket) => Err(std::io::Error::from(ErrorKind::ConnectionReset).into()),
    }
}

/// Waits until the peer has closed the connection. Takes no bytes from it.
async fn closed(socket: &TcpStream) {
    while let Ok(ready) = socket.ready(Interest::READABLE).await
        && !ready.is_read_closed()
    {
        pause(LOOK).await;
    }
}
