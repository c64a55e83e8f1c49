//! One connection.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use deputy_core::{Digest, GroupName, InstanceName, LeaseVersion, Revision, Span, Timestamp};
use deputy_support::RateLimiter;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::server::TlsStream;
use zeroize::Zeroize;

use super::Shared;
use super::pending_connections::PendingConnection;
use super::sessions::{Disconnect, Sessions, WorkerSession};
use crate::certificate::PeerCertificate;
use crate::frame::{FROM_STRANGER, FROM_WORKER, FrameError, Frames, encode, joined};
use crate::group_feed::{FeedCursor, GroupFeed};
use crate::join::{TokenId, TokenSecret};
use crate::message::{
    ApplyReport, ClientMessage, ClientMessageKind, ComponentChunk, FetchComponent, Join, KnownLease, Ping,
    RenewCertificate, ServerMessage, ServerMessageKind, Shutdown, Subscribe, Welcome,
};
use crate::protocol_error::{ErrorCode, ProtocolError};
use crate::worker_state::DeliveryReport;
use deputy_support::{pause, timer_now};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("it has no certificate, and did not ask for one in time")]
    Mute,
    #[error("peer idle for too long")]
    Silent,
    #[error("peer does not read what is sent")]
    Stalled,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Refused(ProtocolError),
}

impl End {
    /// Anybody can connect and wait: that is counted, and logged up to a rate.
    fn of_stranger(self) -> Self {
        match self {
            Self::Silent | Self::Stalled => Self::Mute,
            end => end,
        }
    }
}

/// A component goes out in pieces of this many bytes, so that leases need not wait for the whole of it.
const PIECE: usize = 64 << 10;

/// As much as one record of TLS takes.
const TOGETHER: usize = 16 << 10;

/// How long a worker that is cut off is told why.
const LAST_WORD: Duration = Duration::from_secs(1);

pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, visitor: PendingConnection) {
    let from = visitor.from();
    let Some((stream, peer)) = greet(&shared, stream, &visitor).await else { return };
    let result = match peer {
        None => stranger(&shared, stream, from).await.map_err(End::of_stranger),
        Some(peer) => worker(&shared, stream, visitor, peer).await,
    };
    match result {
        Ok(()) => {}
        Err(End::Io(error) | End::Frame(FrameError::Io(error))) => tracing::debug!(%from, %error, "connection lost"),
        Err(end @ (End::Frame(_) | End::Refused(_) | End::Mute)) => shared.desk.suspicious(from, &end.to_string()),
        Err(end) => tracing::info!(%from, %end, "worker connection closed"),
    }
}

/// The handshake, and who it is with. Its memory is given back before the connection goes on.
async fn greet(
    shared: &Shared,
    stream: TcpStream,
    visitor: &PendingConnection,
) -> Option<(TlsStream<TcpStream>, Option<PeerCertificate>)> {
    let suspicious = |what: &str| shared.desk.suspicious(visitor.from(), what);
    let shaking = async {
        let _place = visitor.place().await;
        // Small messages are not to wait for others.
        stream.set_nodelay(true)?;
        shared.tls.acceptor().accept(stream).await
    };
    match Box::pin(timeout(shared.limits.greeting.duration(), shaking)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let peer = match shown {
                None => None,
                Some(certificate) => {
                    let peer = PeerCertificate::of(certificate);
                    if peer.is_none() {
                        suspicious("its certificate is no worker's");
                        return None;
                    }
                    peer
                }
            };
            Some((stream, peer))
        }
        Ok(Err(error)) => {
            suspicious(&format!("the TLS handshake failed: {error}"));
            None
        }
        Err(_) => {
            suspicious("the TLS handshake took too long");
            None
        }
    }
}

/// Somebody without a certificate may ask for one, and that is all.
async fn stranger(shared: &Shared, mut stream: TlsStream<TcpStream>, from: SocketAddr) -> Result<(), End> {
    let mut frames = Frames::default();
    let first =
        timeout(shared.limits.greeting.duration(), frames.next::<ClientMessage>(&mut stream, FROM_STRANGER)).await;
    let Some(up) = first.map_err(|_| End::Silent)?? else { return Ok(()) };
    let reply = match up.kind {
        Some(ClientMessageKind::Join(join)) => join_in(shared, from, join).await,
        _ => Err(ProtocolError::new(ErrorCode::Malformed, "unauthenticated peers may only send Join")),
    };
    let refused = reply.as_ref().err().cloned();
    let reply = reply.unwrap_or_else(|refusal| ServerMessageKind::Refusal(refusal.into()));
    send(shared, &mut stream, &encode(&ServerMessage::from(reply))).await?;
    stream.shutdown().await?;
    refused.map_or(Ok(()), |refusal| Err(End::Refused(refusal)))
}

async fn join_in(shared: &Shared, from: SocketAddr, mut join: Join) -> Result<ServerMessageKind, ProtocolError> {
    let malformed = || ProtocolError::new(ErrorCode::Malformed, "the token is not of the right size");
    let token = <[u8; 8]>::try_from(join.token.as_slice()).map_err(|_| malformed());
    let secret = <[u8; 32]>::try_from(join.secret.as_slice()).map_err(|_| malformed());
    join.secret.zeroize();
    let (token, mut secret) = (TokenId::from_bytes(token?), secret?);
    let secret = TokenSecret::new(&mut secret);
    shared.desk.join(from, token, secret, join.request).await.map(ServerMessageKind::Certified)
}

/// A worker's connection, while it lasts.
struct Session<'s> {
    shared: &'s Shared,
    peer: PeerCertificate,
    group: Arc<GroupFeed>,
    present: Arc<WorkerSession>,
    /// When it gave its last sign of life, by a clock that nobody sets.
    heard: Instant,
    stream: TlsStream<TcpStream>,
    /// What it was certified on this connection, and by which renewal. That it has heard of it is known when it goes on
    /// from there.
    renewed: Option<(u64, PeerCertificate)>,
    messages: RateLimiter,
    /// How often it wanted a component that is not for it.
    refusals: u32,
    /// Once it subscribed.
    cursor: Option<FeedCursor>,
    in_frame: Frame,
}

/// Messages that a worker may send in a minute: it applies some thousand leases, or comes back with as many.
const MESSAGES: u32 = 20_000;

/// How long a worker that connects too often waits for its refusal.
const THROTTLED: Duration = Duration::from_secs(1);

/// The most instances that a worker may name when it wants some and not all.
const NAMES: usize = 4096;

/// How often it may want a component that is not for it, on one connection: each is an event in the audit log.
const REFUSALS: u32 = 100;

fn message_rate() -> RateLimiter {
    RateLimiter::new(MESSAGES, Span::secs(60))
}

fn count(messages: &RateLimiter, now: Timestamp) -> Result<(), End> {
    let too_many = || End::Refused(ProtocolError::new(ErrorCode::Malformed, "message rate exceeded"));
    messages.acquire(now).map(drop).ok_or_else(too_many)
}

/// Where the last write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Between,
    Within,
}

async fn worker(
    shared: &Shared,
    mut stream: TlsStream<TcpStream>,
    visitor: PendingConnection,
    peer: PeerCertificate,
) -> Result<(), End> {
    let from = visitor.from();
    let cuts_before = shared.roster.cuts();
    let group = match admit(shared, from, peer).await {
        Ok(group) => group,
        Err(refusal) => {
            if refusal.code == ErrorCode::Throttled {
                pause(THROTTLED).await;
            }
            return refuse(shared, &mut stream, refusal).await;
        }
    };
    let (present, cuts) = shared.roster.enter(peer.worker, group.clone(), from);
    let present = Departing(&shared.roster, present);
    // Somebody was shut out after this one was let in, and before it could be cut off: it may be this one.
    if shared.roster.cuts() != cuts_before
        && let Err(refusal) = shared.desk.admit(from, peer).await
    {
        return refuse(shared, &mut stream, refusal).await;
    }
    drop(visitor);
    let mut session = Session {
        shared,
        peer,
        group: shared.hub.group(&group),
        present: Arc::clone(&present.1),
        heard: timer_now(),
        stream,
        renewed: None,
        messages: message_rate(),
        refusals: 0,
        cursor: None,
        in_frame: Frame::Between,
    };
    // Whoever is shut out is cut off wherever it is, also in the middle of a frame.
    tokio::select! {
        biased;
        cut = cuts => session.cut(cut.unwrap_or(Disconnect::Goodbye)).await,
        end = session.run() => end,
    }
}

async fn admit(shared: &Shared, from: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError> {
    if shared.roster.connected() >= shared.limits.workers {
        return Err(ProtocolError::new(ErrorCode::Internal, "the coordinator has as many workers as it can have"));
    }
    shared.desk.admit(from, peer).await
}

async fn refuse(shared: &Shared, stream: &mut TlsStream<TcpStream>, refusal: ProtocolError) -> Result<(), End> {
    send(shared, stream, &encode(&ServerMessage::from(ServerMessageKind::Refusal(refusal.clone().into())))).await?;
    stream.shutdown().await?;
    Err(End::Refused(refusal))
}

/// Notes that a worker has left, however its task ends.
struct Departing<'r>(&'r Sessions, Arc<WorkerSession>);

impl Drop for Departing<'_> {
    fn drop(&mut self) {
        self.0.left(&self.1);
    }
}

impl Session<'_> {
    async fn run(&mut self) -> Result<(), End> {
        let mut frames = Frames::default();
        let mut wake = self.group.subscribe();
        // One timer for the whole connection, looked at when it is over: ten thousand that are set anew with each message
        // cost more than the messages.
        let mut overdue = pin!(sleep_until(timer_now() + self.left()));
        loop {
            // For the same reason, one place among those to be woken, from one push to the next.
            let mut waking = pin!(wake.recv());
            let woken = loop {
                tokio::select! {
                    woken = &mut waking, if self.cursor.is_some() => break woken,
                    up = frames.next::<ClientMessage>(&mut self.stream, FROM_WORKER) => match up? {
                        Some(up) => self.said(up).await?,
                        None => return Ok(()),
                    },
                    () = &mut overdue => {
                        self.check_certificate().await?;
                        match self.left() {
                            Duration::ZERO => return Err(End::Silent),
                            left => overdue.as_mut().reset(timer_now() + left),
                        }
                    }
                }
            };
            match woken {
                // Whoever lags behind looks for the newest, too.
                Ok(()) | Err(RecvError::Lagged(_)) => self.push().await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// How long the connection may still last if the worker stays silent.
    fn left(&self) -> Duration {
        let silence = Duration::from_millis(self.shared.limits.heartbeat.as_millis().saturating_mul(3));
        let silence = silence.saturating_sub(timer_now().saturating_duration_since(self.heard));
        silence.min(self.certificate_ends().since(self.shared.roster.now()).duration())
    }

    /// When the newest certificate of this connection ends: it may be renewed on it.
    fn certificate_ends(&self) -> Timestamp {
        self.renewed.as_ref().map_or(self.peer.ends, |(_, peer)| peer.ends)
    }

    /// A connection does not outlive its certificate.
    async fn check_certificate(&mut self) -> Result<(), End> {
        if self.shared.roster.now() < self.certificate_ends() {
            return Ok(());
        }
        self.cut(Disconnect::Refused(ProtocolError::expired())).await
    }

    async fn said(&mut self, up: ClientMessage) -> Result<(), End> {
        self.heard = timer_now();
        self.shared.roster.heard(&self.present);
        self.check_certificate().await?;
        count(&self.messages, self.shared.roster.now())?;
        match up.kind {
            Some(ClientMessageKind::ApplyReport(applied)) => self.applied(applied),
            Some(ClientMessageKind::Ping(Ping {})) => self.reply(ServerMessageKind::Pong(Ping {})).await,
            Some(ClientMessageKind::Subscribe(subscribe)) => self.subscribe(subscribe).await,
            Some(ClientMessageKind::RenewCertificate(renew)) => self.renew(renew).await,
            Some(ClientMessageKind::FetchComponent(fetch)) => self.fetch(fetch).await,
            Some(ClientMessageKind::Join(_)) => {
                Err(End::Refused(ProtocolError::new(ErrorCode::Malformed, "a worker joins once")))
            }
            // Of a later version.
            None => Ok(()),
        }
    }

    fn applied(&self, applied: ApplyReport) -> Result<(), End> {
        let malformed = || End::Refused(ProtocolError::new(ErrorCode::Malformed, "it reports on nothing"));
        let (instance, stamp) = applied.lease.as_ref().and_then(known).ok_or_else(malformed)?;
        // What it was never sent it can't have applied.
        if self.group.newest(&instance).is_some_and(|newest| was_sent(stamp, newest)) {
            let result = if applied.failure.is_empty() { Ok(()) } else { Err(applied.failure) };
            self.shared.roster.report(&self.present, DeliveryReport { instance, stamp, result });
        }
        Ok(())
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), End> {
        if self.cursor.is_some() {
            return Err(End::Refused(ProtocolError::new(ErrorCode::Malformed, "a worker subscribes once")));
        }
        if subscribe.instances.len() > NAMES {
            return Err(End::Refused(ProtocolError::new(
                ErrorCode::Malformed,
                "it wants more instances than one may name",
            )));
        }
        self.present.introduce(&subscribe.version, &subscribe.host);
        let mut wanted = None;
        if !subscribe.instances.is_empty() {
            let parsed: Result<BTreeSet<InstanceName>, _> =
                subscribe.instances.iter().map(|name| name.parse()).collect();
            wanted =
                Some(parsed.map_err(|_| {
                    End::Refused(ProtocolError::new(ErrorCode::Malformed, "it wants what is no instance"))
                })?);
        }
        let listed = wanted.as_ref().map(|wanted| wanted.iter().cloned().collect());
        let known: BTreeMap<_, _> = subscribe.known.iter().filter_map(known).collect();
        let welcome = Welcome {
            heartbeat_ms: self.shared.limits.heartbeat.as_millis(),
            spread_ms: self.spread_ms(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let refusals =
            self.shared.desk.subscribed(self.present.address, self.peer.worker, &self.present.group, listed).await;
        let refusals = refusals.into_iter().map(|refusal| ServerMessageKind::Refusal(refusal.into()));
        let replies = [ServerMessageKind::Welcome(welcome)].into_iter().chain(refusals);
        let mut frames: Vec<Bytes> = replies.map(|reply| encode(&ServerMessage::from(reply))).collect();
        let (items, cursor) = self.group.snapshot(wanted, &known);
        self.cursor = Some(cursor);
        frames.extend(items);
        self.send_all(&frames).await
    }

    /// What changed since the last time.
    async fn push(&mut self) -> Result<(), End> {
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let items = self.group.after(cursor);
        self.send_all(&items).await
    }

    /// Small frames go out together: each write costs both sides a call of the kernel and a record of TLS.
    async fn send_all(&mut self, mut frames: &[Bytes]) -> Result<(), End> {
        while !frames.is_empty() {
            let mut size = 0;
            let fitting = frames.iter().take_while(|frame| {
                size += frame.len();
                size <= TOGETHER
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

    async fn renew(&mut self, renew: RenewCertificate) -> Result<(), End> {
        if let Some((_, peer)) = self.renewed.take_if(|(sequence, _)| *sequence < renew.sequence) {
            self.peer = peer;
        }
        let reply = match self.shared.desk.renew(self.present.address, self.peer, renew.sequence, renew.request).await {
            Ok(certified) => {
                self.renewed =
                    PeerCertificate::of(&certified.certificate.as_slice().into()).map(|peer| (renew.sequence, peer));
                ServerMessageKind::Certified(certified)
            }
            Err(refusal) if refusal.code.is_final() || refusal.code == ErrorCode::Throttled => {
                return self.cut(Disconnect::Refused(refusal)).await;
            }
            Err(refusal) => ServerMessageKind::Refusal(refusal.into()),
        };
        self.reply(reply).await
    }

    async fn fetch(&mut self, fetch: FetchComponent) -> Result<(), End> {
        let digest = <[u8; 32]>::try_from(fetch.digest.as_slice()).map(Digest::new);
        let digest = digest
            .map_err(|_| End::Refused(ProtocolError::new(ErrorCode::Malformed, "it fetches what is no digest")))?;
        let (from, worker, group) = (self.present.address, self.peer.worker, &self.present.group);
        let component = match self.shared.desk.component(from, worker, group, digest) {
            Ok(component) => component,
            Err(refusal) => {
                self.refusals += 1;
                self.reply(ServerMessageKind::Refusal(refusal.into())).await?;
                let again =
                    ProtocolError::new(ErrorCode::Malformed, "too many requests for components outside the group");
                return if self.refusals > REFUSALS { Err(End::Refused(again)) } else { Ok(()) };
            }
        };
        let size = component.len() as u64;
        for piece in component.chunks(PIECE) {
            let piece = ComponentChunk { digest: fetch.digest.clone(), size, bytes: piece.to_vec() };
            self.reply(ServerMessageKind::ComponentChunk(piece)).await?;
            self.push().await?;
        }
        Ok(())
    }

    /// The worker is told why, if that is possible.
    async fn cut(&mut self, cut: Disconnect) -> Result<(), End> {
        let (reply, end) = match cut {
            Disconnect::Goodbye => (ServerMessageKind::Shutdown(Shutdown { spread_ms: self.spread_ms() }), Ok(())),
            Disconnect::Refused(refusal) => {
                (ServerMessageKind::Refusal(refusal.clone().into()), Err(End::Refused(refusal)))
            }
        };
        if self.in_frame == Frame::Between {
            let telling = async {
                self.reply(reply).await?;
                Ok::<_, End>(self.stream.shutdown().await?)
            };
            // It may not read: that is no reason to keep it.
            drop(timeout(LAST_WORD, telling).await);
        }
        end
    }

    async fn reply(&mut self, reply: ServerMessageKind) -> Result<(), End> {
        self.send(&encode(&ServerMessage::from(reply))).await
    }

    async fn send(&mut self, frame: &Bytes) -> Result<(), End> {
        self.in_frame = Frame::Within;
        send(self.shared, &mut self.stream, frame).await?;
        self.in_frame = Frame::Between;
        Ok(())
    }

    fn spread_ms(&self) -> u64 {
        let workers = self.shared.roster.connected() as u64;
        workers.saturating_mul(1000) / self.shared.limits.returns.max(1)
    }
}

async fn send(shared: &Shared, stream: &mut TlsStream<TcpStream>, frame: &Bytes) -> Result<(), End> {
    let mut writing = pin!(async {
        stream.write_all(frame).await?;
        stream.flush().await
    });
    // As a rule the socket takes all of it at once, and no timer is needed.
    match poll_fn(|context| Poll::Ready(writing.as_mut().poll(context))).await {
        Poll::Ready(written) => Ok(written?),
        Poll::Pending => Ok(timeout(shared.limits.write.duration(), writing).await.map_err(|_| End::Stalled)??),
    }
}

/// Whether a lease may have been sent, if this is the newest.
fn was_sent(stamp: LeaseVersion, newest: LeaseVersion) -> bool {
    stamp == newest || stamp.revision < newest.revision
}

fn known(known: &KnownLease) -> Option<(InstanceName, LeaseVersion)> {
    let stamp =
        LeaseVersion { revision: Revision(known.revision), obtained_at: Timestamp::from_millis(known.obtained_ms) };
    Some((known.instance.parse().ok()?, stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_may_say_so_much_in_a_minute_and_no_more() {
        let messages = message_rate();
        let (now, later) = (Timestamp::from_millis(60_000), Timestamp::from_millis(120_000));
        assert!((0..MESSAGES).all(|_| count(&messages, now).is_ok()));
        assert!(matches!(count(&messages, now), Err(End::Refused(refusal)) if refusal.code == ErrorCode::Malformed));
        assert!(count(&messages, later).is_ok());
    }
}
