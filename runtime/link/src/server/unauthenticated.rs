//! A connection without a client certificate: it may send one `Join`, and nothing else.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroize;

use super::ServerContext;
use super::connection_end::ConnectionEnd;
use super::departed::while_connected;
use super::send::{refuse, send};
use crate::frame::{Frames, MAX_UNAUTHENTICATED_FRAME, encode};
use crate::join::{TokenId, TokenSecret};
use crate::message::{ClientMessage, ClientMessageKind, Join, ServerMessage, ServerMessageKind};
use crate::protocol_error::{ErrorCode, ProtocolError};

pub(super) async fn serve(
    context: &ServerContext,
    mut stream: TlsStream<TcpStream>,
    from: SocketAddr,
) -> Result<(), ConnectionEnd> {
    let mut frames = Frames::default();
    let reading = frames.next::<ClientMessage>(&mut stream, MAX_UNAUTHENTICATED_FRAME);
    let first = timeout(context.limits.handshake_timeout.duration(), reading).await;
    let Some(message) = first.map_err(|_| ConnectionEnd::Unauthenticated)?? else { return Ok(()) };
    let result = match message.kind {
        Some(ClientMessageKind::Join(request)) => while_connected(&stream, join(context, from, request)).await?,
        _ => Err(ProtocolError::new(ErrorCode::Malformed, "unauthenticated peers may only send Join")),
    };
    match result {
        Ok(certified) => {
            let frame = encode(&ServerMessage::from(certified));
            send(&mut stream, &frame, context.limits.write_timeout).await?;
            Ok(stream.shutdown().await?)
        }
        Err(refusal) => refuse(&mut stream, refusal, context.limits.write_timeout).await,
    }
}

async fn join(context: &ServerContext, from: SocketAddr, mut join: Join) -> Result<ServerMessageKind, ProtocolError> {
    let token = <[u8; 8]>::try_from(join.token.as_slice());
    let secret = <[u8; 32]>::try_from(join.secret.as_slice()).map(|mut bytes| TokenSecret::new(&mut bytes));
    join.secret.zeroize();
    let (Ok(token), Ok(secret)) = (token, secret) else {
        let message = "invalid Join: the token has 8 bytes and its secret 32";
        return Err(ProtocolError::new(ErrorCode::Malformed, message));
    };
    context.handler.join(from, TokenId::from_bytes(token), secret, join.request).await.map(ServerMessageKind::Certified)
}
