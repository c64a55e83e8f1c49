//! One connection, from the handshake to its end.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::connection_end::ConnectionEnd;
use super::pending_connections::{PendingConnection, TOO_MANY_PENDING};
use super::{ServerContext, session, unauthenticated};
use crate::certificate::PeerCertificate;
use crate::frame::FrameError;

pub(super) async fn serve(context: Arc<ServerContext>, stream: TcpStream, pending: PendingConnection) {
    let from = pending.from();
    let Some((stream, peer)) = handshake(&context, stream, &pending).await else { return };
    let result = match peer {
        None => match unauthenticated::serve(&context, stream, from).await {
            Err(ConnectionEnd::Stalled) => Err(ConnectionEnd::Unauthenticated),
            result => result,
        },
        Some(peer) => session::serve(&context, stream, pending, peer).await,
    };
    match result {
        Ok(()) => {}
        Err(ConnectionEnd::Io(error) | ConnectionEnd::Frame(FrameError::Io(error))) => {
            tracing::debug!(%from, %error, "connection lost");
        }
        Err(end @ (ConnectionEnd::Frame(_) | ConnectionEnd::Refused(_) | ConnectionEnd::Unauthenticated)) => {
            context.handler.suspicious(from, &end.to_string());
        }
        Err(end @ (ConnectionEnd::Idle | ConnectionEnd::Stalled)) => {
            tracing::info!(%from, %end, "worker connection closed");
        }
    }
}

/// The TLS stream, and the peer's certificate if it has one.
async fn handshake(
    context: &ServerContext,
    stream: TcpStream,
    pending: &PendingConnection,
) -> Option<(TlsStream<TcpStream>, Option<PeerCertificate>)> {
    let limit = context.limits.handshake_timeout.duration();
    let accepting = async {
        // Peers give up, too. One whose turn comes late would not complete, and take the turn of one that would: if more
        // come than are served, all of them.
        let Ok(_slot) = timeout(limit / 2, pending.handshake_slot()).await else { return Ok(None) };
        // Small messages do not wait for others.
        stream.set_nodelay(true)?;
        context.tls.acceptor().accept(stream).await.map(Some)
    };
    // Boxed, so that the handshake's memory is freed before the connection goes on.
    let fault = match Box::pin(timeout(limit, accepting)).await {
        Ok(Ok(Some(stream))) => {
            let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) else {
                return Some((stream, None));
            };
            if let Some(peer) = PeerCertificate::parse(certificate) {
                return Some((stream, Some(peer)));
            }
            "the client certificate is not a worker's".to_owned()
        }
        Ok(Ok(None)) => TOO_MANY_PENDING.to_owned(),
        Ok(Err(error)) => format!("the TLS handshake failed: {error}"),
        Err(_) => "the TLS handshake took too long".to_owned(),
    };
    context.handler.suspicious(pending.from(), &fault);
    None
}
