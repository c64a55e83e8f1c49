//! The session of an admitted worker.

mod requests;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deputy_core::{GroupName, Span, Timestamp};
use deputy_support::{RateLimiter, pause, timer_now};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::ServerContext;
use super::connection_end::ConnectionEnd;
use super::departed::while_connected;
use super::pending_connections::PendingConnection;
use super::send::{refuse, send};
use super::sessions::{Disconnect, Sessions, WorkerSession};
use crate::certificate::PeerCertificate;
use crate::frame::{Frames, MAX_WORKER_FRAME, encode, joined};
use crate::group_feed::{FeedCursor, GroupFeed};
use crate::message::{ClientMessage, ServerMessage, ServerMessageKind, Shutdown};
use crate::protocol_error::{ErrorCode, ProtocolError};

/// Bytes of frames that are written together: one TLS record.
const BATCH: usize = 16 << 10;

/// Deadline for telling a worker why it is disconnected.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Messages per minute: a worker applies some thousand leases, or reconnects with as many.
const MESSAGES: u32 = 20_000;

/// How long a worker that connects too often waits for its refusal.
const THROTTLE_DELAY: Duration = Duration::from_secs(1);

struct ServerSession<'s> {
    context: &'s ServerContext,
    peer: PeerCertificate,
    group: Arc<GroupFeed>,
    session: Arc<WorkerSession>,
    last_message: Instant,
    stream: TlsStream<TcpStream>,
    /// The certificate that was issued on this connection, and its number. The worker has received it when its next
    /// renewal has a higher number.
    renewed: Option<(u64, PeerCertificate)>,
    message_rate: RateLimiter,
    /// Requests for components that the group does not have.
    refused_components: u32,
    /// Set by `Subscribe`.
    cursor: Option<FeedCursor>,
    position: FramePosition,
}

/// Where the last write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FramePosition {
    BetweenFrames,
    WithinFrame,
}

pub(super) async fn serve(
    context: &ServerContext,
    mut stream: TlsStream<TcpStream>,
    pending: PendingConnection,
    peer: PeerCertificate,
) -> Result<(), ConnectionEnd> {
    let from = pending.from();
    let write_timeout = context.limits.write_timeout;
    let disconnects_before = context.sessions.disconnects();
    let group = match while_connected(&stream, admit(context, from, peer)).await? {
        Ok(group) => group,
        Err(refusal) => {
            if refusal.code == ErrorCode::Throttled {
                pause(THROTTLE_DELAY).await;
            }
            return refuse(&mut stream, refusal, write_timeout).await;
        }
    };
    let (session, disconnected) = context.sessions.enter(peer.worker, group.clone(), from);
    let _leaving = LeaveOnDrop(&context.sessions, Arc::clone(&session));
    // A worker that was disconnected after this one was admitted and before it was registered may be this one.
    if context.sessions.disconnects() != disconnects_before
        && let Err(refusal) = while_connected(&stream, context.handler.admit(from, peer)).await?
    {
        return refuse(&mut stream, refusal, write_timeout).await;
    }
    drop(pending);
    let mut session = ServerSession {
        context,
        peer,
        group: context.feeds.group(&group),
        session,
        last_message: timer_now(),
        stream,
        renewed: None,
        message_rate: RateLimiter::new(MESSAGES, Span::secs(60)),
        refused_components: 0,
        cursor: None,
        position: FramePosition::BetweenFrames,
    };
    // A disconnect takes effect at once, even in the middle of a frame.
    tokio::select! {
        biased;
        disconnect = disconnected => session.disconnect(disconnect.unwrap_or(Disconnect::Shutdown)).await,
        end = session.run() => end,
    }
}

async fn admit(context: &ServerContext, from: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError> {
    if context.sessions.connected() >= context.limits.workers {
        return Err(ProtocolError::new(ErrorCode::Internal, "the coordinator has reached its limit of workers"));
    }
    context.handler.admit(from, peer).await
}

/// Records that a worker has left, however its task ends.
struct LeaveOnDrop<'s>(&'s Sessions, Arc<WorkerSession>);

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        self.0.leave(&self.1);
    }
}

fn malformed(message: &str) -> ConnectionEnd {
    ConnectionEnd::Refused(ProtocolError::new(ErrorCode::Malformed, message))
}

fn check_rate(messages: &RateLimiter, now: Timestamp) -> Result<(), ConnectionEnd> {
    messages.acquire(now).map(|_| ()).ok_or_else(|| malformed("message rate exceeded"))
}

impl ServerSession<'_> {
    async fn run(&mut self) -> Result<(), ConnectionEnd> {
        let mut frames = Frames::default();
        let mut feed = self.group.subscribe();
        // One timer for the whole connection, checked when it fires: resetting ten thousand timers with each message costs
        // more than the messages.
        let mut deadline = pin!(sleep_until(timer_now() + self.time_left()));
        loop {
            // For the same reason, one registration with the feed from one push to the next.
            let mut waking = pin!(feed.recv());
            let woken = loop {
                tokio::select! {
                    woken = &mut waking, if self.cursor.is_some() => break woken,
                    message = frames.next::<ClientMessage>(&mut self.stream, MAX_WORKER_FRAME) => match message? {
                        Some(message) => self.handle(message).await?,
                        None => return Ok(()),
                    },
                    () = &mut deadline => {
                        self.check_certificate().await?;
                        match self.time_left() {
                            Duration::ZERO => return Err(ConnectionEnd::Idle),
                            left => deadline.as_mut().reset(timer_now() + left),
                        }
                    }
                }
            };
            match woken {
                Ok(()) | Err(RecvError::Lagged(_)) => self.push().await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// How long the connection may last without another message.
    fn time_left(&self) -> Duration {
        let max_idle = Duration::from_millis(self.context.limits.heartbeat.as_millis().saturating_mul(3));
        let idle_left = max_idle.saturating_sub(timer_now().saturating_duration_since(self.last_message));
        idle_left.min(self.certificate_ends().since(self.context.sessions.now()).duration())
    }

    /// When the newest certificate of this connection ends: it may be renewed on it.
    fn certificate_ends(&self) -> Timestamp {
        self.renewed.as_ref().map_or(self.peer.ends, |(_, peer)| peer.ends)
    }

    /// A connection does not outlive its certificate.
    async fn check_certificate(&mut self) -> Result<(), ConnectionEnd> {
        if self.context.sessions.now() < self.certificate_ends() {
            return Ok(());
        }
        self.disconnect(Disconnect::Refused(ProtocolError::expired())).await
    }

    /// Sends what changed since the last time.
    async fn push(&mut self) -> Result<(), ConnectionEnd> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let frames = self.group.after(cursor);
        self.send_all(&frames).await
    }

    /// Sends small frames together: each write costs both sides a system call and a TLS record.
    async fn send_all(&mut self, mut frames: &[Bytes]) -> Result<(), ConnectionEnd> {
        while !frames.is_empty() {
            let mut size = 0;
            let fitting = frames.iter().take_while(|frame| {
                size += frame.len();
                size <= BATCH
            });
            let (batch, rest) = frames.split_at(fitting.count().max(1));
            match batch {
                [one] => self.send(one).await?,
                several => self.send(&joined(several)).await?,
            }
            frames = rest;
        }
        Ok(())
    }

    /// Ends the connection, and tells the worker why if that is possible.
    async fn disconnect(&mut self, disconnect: Disconnect) -> Result<(), ConnectionEnd> {
        let (message, end) = match disconnect {
            Disconnect::Shutdown => (ServerMessageKind::Shutdown(Shutdown { spread_ms: self.spread_ms() }), Ok(())),
            Disconnect::Refused(refusal) => {
                (ServerMessageKind::Refusal(refusal.clone().into()), Err(ConnectionEnd::Refused(refusal)))
            }
        };
        if self.position == FramePosition::BetweenFrames {
            let ending = async {
                self.reply(message).await?;
                Ok::<_, ConnectionEnd>(self.stream.shutdown().await?)
            };
            // A worker that does not read is disconnected, too.
            timeout(DISCONNECT_TIMEOUT, ending).await.ok();
        }
        end
    }

    async fn reply(&mut self, message: ServerMessageKind) -> Result<(), ConnectionEnd> {
        self.send(&encode(&ServerMessage::from(message))).await
    }

    async fn send(&mut self, frame: &Bytes) -> Result<(), ConnectionEnd> {
        self.position = FramePosition::WithinFrame;
        send(&mut self.stream, frame, self.context.limits.write_timeout).await?;
        self.position = FramePosition::BetweenFrames;
        Ok(())
    }

    fn spread_ms(&self) -> u64 {
        let workers = self.context.sessions.connected() as u64;
        workers.saturating_mul(1000) / self.context.limits.reconnects_per_second.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_limits_the_message_rate() {
        let messages = RateLimiter::new(MESSAGES, Span::secs(60));
        let now = Timestamp::from_millis(60_000);
        assert!((0..MESSAGES).all(|_| check_rate(&messages, now).is_ok()));
        let end = check_rate(&messages, now);
        assert!(matches!(end, Err(ConnectionEnd::Refused(refusal)) if refusal.code == ErrorCode::Malformed));
        assert!(check_rate(&messages, Timestamp::from_millis(120_000)).is_ok());
    }
}
