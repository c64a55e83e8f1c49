//! Writing frames to a peer.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use deputy_core::Span;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::connection_end::ConnectionEnd;
use crate::frame::encode;
use crate::message::{ServerMessage, ServerMessageKind};
use crate::protocol_error::ProtocolError;

/// Writes one frame within a deadline.
pub(super) async fn send(
    stream: &mut TlsStream<TcpStream>,
    frame: &Bytes,
    deadline: Span,
) -> Result<(), ConnectionEnd> {
    let mut writing = pin!(async {
        stream.write_all(frame).await?;
        stream.flush().await
    });
    // The socket usually takes the whole frame at once, and needs no timer.
    match poll_fn(|context| Poll::Ready(writing.as_mut().poll(context))).await {
        Poll::Ready(written) => Ok(written?),
        Poll::Pending => Ok(timeout(deadline.duration(), writing).await.map_err(|_| ConnectionEnd::Stalled)??),
    }
}

/// Sends a refusal and closes the connection.
pub(super) async fn refuse(
    stream: &mut TlsStream<TcpStream>,
    refusal: ProtocolError,
    deadline: Span,
) -> Result<(), ConnectionEnd> {
    let message = ServerMessage::from(ServerMessageKind::Refusal(refusal.clone().into()));
    send(stream, &encode(&message), deadline).await?;
    stream.shutdown().await?;
    Err(ConnectionEnd::Refused(refusal))
}
