mod departed;

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::{Digest, GroupName, InstanceName};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::*;
use crate::client::{ClientStopped, LinkPhase};
use crate::message::Certified;
use crate::testing::{LIVES, NoIdentityStore, addresses, client, clock, identity, now};
use crate::{Authority, ErrorCode, PeerCertificate, ProtocolError, TokenId, TokenSecret, WorkerId};
use deputy_support::timer_now;

/// Admits every worker, and removes the first one right after.
struct RemovingHandler {
    sessions: Arc<Sessions>,
    admissions: AtomicUsize,
    faults: Mutex<Vec<String>>,
}

fn removed() -> ProtocolError {
    ProtocolError::new(ErrorCode::Removed, "it was removed")
}

#[async_trait]
impl LinkHandler for RemovingHandler {
    async fn join(&self, _: SocketAddr, _: TokenId, _: TokenSecret, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        Err(removed())
    }

    async fn renew(&self, _: SocketAddr, _: PeerCertificate, _: u64, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        Err(removed())
    }

    async fn admit(&self, _: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError> {
        if self.admissions.fetch_add(1, Ordering::Relaxed) > 0 {
            return Err(removed());
        }
        // The worker is admitted, and not registered yet.
        self.sessions.disconnect(peer.worker, removed());
        Ok("analytics".parse().unwrap())
    }

    async fn subscribed(
        &self,
        _: SocketAddr,
        _: WorkerId,
        _: &GroupName,
        _: Option<Vec<InstanceName>>,
    ) -> Vec<ProtocolError> {
        Vec::new()
    }

    fn component(&self, _: SocketAddr, _: WorkerId, _: &GroupName, _: Digest) -> Result<Bytes, ProtocolError> {
        Err(removed())
    }

    fn suspicious(&self, _: SocketAddr, what: &str) {
        self.faults.lock().unwrap().push(what.to_owned());
    }
}

struct TestServer<H> {
    authority: Authority,
    handler: Arc<H>,
    address: SocketAddr,
    _stop: watch::Sender<bool>,
}

fn start(limits: ServerLimits) -> TestServer<RemovingHandler> {
    start_with(limits, |sessions| RemovingHandler {
        sessions,
        admissions: AtomicUsize::new(0),
        faults: Mutex::default(),
    })
}

#[expect(clippy::disallowed_methods, reason = "a test runs beside what it tests")]
fn start_with<H: LinkHandler + 'static>(
    limits: ServerLimits,
    handler: impl FnOnce(Arc<Sessions>) -> H,
) -> TestServer<H> {
    let authority = Authority::generate(now(), LIVES).unwrap();
    let tls = Arc::new(ServerTls::new(now(), &authority, clock()).unwrap());
    let sessions = Arc::new(Sessions::new(clock(), None));
    let handler = Arc::new(handler(Arc::clone(&sessions)));
    let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
    let server = LinkServer::bind(anywhere, Arc::clone(&handler) as _, Arc::default(), sessions, tls, limits).unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(server.run(stopped));
    TestServer { authority, handler, address, _stop: stop }
}

impl TestServer<RemovingHandler> {
    #[expect(clippy::disallowed_methods, reason = "an unauthenticated peer")]
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

#[tokio::test]
async fn session_ends_when_the_worker_is_removed_while_it_connects() {
    let server = start(ServerLimits::default());
    let (client, link) =
        client(identity(&server.authority, now(), addresses(&[server.address])), Arc::new(NoIdentityStore));
    let out = client.run().await;
    assert!(matches!(out, ClientStopped::Refused(refusal) if refusal.code == ErrorCode::Removed));
    assert!(link.held.borrow().deliveries.is_empty() && link.state.borrow().phase == LinkPhase::Rejected);
    assert_eq!(server.handler.admissions.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn server_bounds_pending_connections_of_one_origin() {
    let limits = ServerLimits { pending_connections: 8, handshake_timeout: Span::secs(600), ..ServerLimits::default() };
    let server = start(limits);
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(server.connect().await);
    }
    // One more connection from the same origin is closed at once.
    assert_eq!(server.connect().await.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert!(server.handler.faults.lock().unwrap()[0].contains("too many connections"));
    drop(connections);
}

#[tokio::test]
async fn handshake_queues_for_half_of_its_timeout() {
    let server = start(ServerLimits { handshakes: 2, handshake_timeout: Span::secs(2), ..ServerLimits::default() });
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    let started = timer_now();
    // The first one has the only handshake slot of its origin, so the second never gets one.
    assert_eq!(second.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(*server.handler.faults.lock().unwrap(), ["too many connections wait for a handshake"]);
    assert_eq!(first.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(server.handler.faults.lock().unwrap()[1], "the TLS handshake took too long");
    assert!(timer_now() - started < Duration::from_millis(3400), "both timeouts began at once");
}
