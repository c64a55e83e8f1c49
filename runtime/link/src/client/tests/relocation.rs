//! Workers of two coordinators that share an authority.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use deputy_core::time::{Clock as _, Now};
use deputy_core::{AdvertisedAddresses, Digest, GroupName, HostPort, InstanceName};
use deputy_support::SystemClock;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::client::relocation::Stay;
use crate::message::{Certified, LeaseUpdate, Ping};
use crate::server::{LinkHandler, LinkServer, ServerLimits, Sessions};
use crate::testing::numbered_identity;
use crate::{PeerCertificate, ProtocolError, TokenId, TokenSecret, WorkerId};

/// Picks an address again after this.
const SHORT: Stay = Stay { shortest: Duration::from_millis(100), longest: Duration::from_millis(200) };

/// Admits every worker of the authority.
struct AdmittingHandler;

#[async_trait]
impl LinkHandler for AdmittingHandler {
    async fn join(&self, _: SocketAddr, _: TokenId, _: TokenSecret, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        panic!("all have joined")
    }

    async fn renew(&self, _: SocketAddr, _: PeerCertificate, _: u64, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        panic!("no certificate is old")
    }

    async fn admit(&self, _: SocketAddr, _: PeerCertificate) -> Result<GroupName, ProtocolError> {
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
        panic!("there are no receivers")
    }

    fn suspicious(&self, _: SocketAddr, _: &str) {}
}

struct Replica {
    address: SocketAddr,
    sessions: Arc<Sessions>,
    stop: watch::Sender<bool>,
}

impl Replica {
    fn start(address: SocketAddr, authority: &Authority, tasks: &mut JoinSet<()>) -> Self {
        let tls = Arc::new(ServerTls::new(now(), authority, clock()).unwrap());
        let sessions = Arc::new(Sessions::new(clock(), None));
        let (handler, limits) = (Arc::new(AdmittingHandler), ServerLimits::default());
        let server = LinkServer::bind(address, handler, Arc::default(), Arc::clone(&sessions), tls, limits).unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = watch::channel(false);
        tasks.spawn(server.run(stopped));
        Self { address, sessions, stop }
    }

    async fn wait_until(&self, is_so: impl Fn(usize) -> bool) {
        in_time(async {
            while !is_so(self.sessions.connected()) {
                pause(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn relocation_gives_a_restarted_replica_its_share() {
    let authority = Authority::generate(now(), LIVES).unwrap();
    let (mut tasks, anywhere) = (JoinSet::new(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let one = Replica::start(anywhere, &authority, &mut tasks);
    let other = Replica::start(anywhere, &authority, &mut tasks);
    let known = addresses(&[one.address, other.address]);
    let mut links = Vec::new();
    for number in 1..=20 {
        let identity = numbered_identity(&authority, number, known.clone());
        let (mut client, link) = client(identity, Arc::new(NoIdentityStore));
        client.rng = fastrand::Rng::with_seed(number.into());
        client.stay = SHORT;
        links.push(link);
        tasks.spawn(async move { drop(client.run().await) });
    }
    // All came to a random one.
    one.wait_until(|connected| (1..20).contains(&connected)).await;
    other.wait_until(|connected| (1..20).contains(&connected)).await;
    other.stop.send(true).unwrap();
    one.wait_until(|connected| connected == 20).await;
    let other = Replica::start(other.address, &authority, &mut tasks);
    other.wait_until(|connected| connected >= 5).await;
    one.wait_until(|connected| connected <= 15).await;
}

#[tokio::test]
async fn relocation_keeps_the_session_until_the_next_is_open() {
    let TestLink { tls, listener, mut client, mut link, .. } = test_link(LIVES, 0, &[]).await;
    let next = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (old, new) = (listener.local_addr().unwrap(), next.local_addr().unwrap());
    client.identity.addresses = addresses(&[old, new]);
    client.stay = SHORT;
    client.rng = (0..)
        .map(fastrand::Rng::with_seed)
        .find(|rng| {
            let mut round = client.identity.addresses.as_slice().to_vec();
            rng.clone().shuffle(&mut round);
            round.last() == HostPort::of(old).as_ref()
        })
        .unwrap();
    let update = LeaseUpdate {
        instance: "s3".to_owned(),
        service: "s3".to_owned(),
        kind: "secret/1".to_owned(),
        revision: 3,
        obtained_ms: 5,
        valid_until_ms: u64::MAX,
        ..LeaseUpdate::default()
    };
    let serving = async {
        let mut stream = accept(&listener, &tls).await;
        let (socket, _) = next.accept().await.unwrap();
        // While the handshake waits, the first session delivers.
        answer(&mut stream, ServerMessageKind::LeaseUpdate(update)).await;
        link.held.wait_for(|held| !held.deliveries.is_empty()).await.unwrap();
        let mut moved = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
        let mut frames = Frames::default();
        let up: ClientMessage = frames.next(&mut moved, MAX_WORKER_FRAME).await.unwrap().unwrap();
        let Some(ClientMessageKind::Subscribe(subscribe)) = up.kind else { panic!("{up:?}") };
        let known: Vec<_> = subscribe.known.iter().map(|known| (known.instance.as_str(), known.revision)).collect();
        assert_eq!(known, [("s3", 3)]);
        let end = SnapshotEnd { instances: vec!["s3".to_owned()], receivers: Vec::new() };
        answer(&mut moved, ServerMessageKind::SnapshotEnd(end)).await;
        let at_next = |state: &LinkState| state.phase == LinkPhase::Connected && state.address == HostPort::of(new);
        in_time(link.state.wait_for(at_next)).await.unwrap();
        // The first session is over.
        while let Ok(Some(_)) = Frames::default().next::<ClientMessage>(&mut stream, MAX_WORKER_FRAME).await {}
        assert_eq!(link.held.borrow().deliveries.len(), 1);
    };
    in_time(async {
        tokio::select! { lost = client.connection() => panic!("{lost}"), () = serving => {} }
    })
    .await;
}

#[tokio::test]
async fn relocation_to_a_dead_address_changes_nothing() {
    let TestLink { tls, listener, mut client, link, .. } = test_link(LIVES, 0, &[]).await;
    let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let live = listener.local_addr().unwrap();
    client.identity.addresses = addresses(&[live, dead.local_addr().unwrap()]);
    client.stay = SHORT;
    let serving = async {
        let _stream = loop {
            tokio::select! {
                stream = accept(&listener, &tls) => break stream,
                refused = dead.accept() => drop(refused),
            }
        };
        // It tries again and again.
        for _ in 0..3 {
            drop(dead.accept().await.unwrap());
        }
        let state = link.state.borrow().clone();
        assert_eq!((state.phase, state.address), (LinkPhase::Connected, HostPort::of(live)));
    };
    in_time(async {
        tokio::select! { lost = client.connection() => panic!("{lost}"), () = serving => {} }
    })
    .await;
}

/// Random numbers by which a worker that knows these addresses begins at the first, and then picks the other one.
fn rng_that_moves(known: &AdvertisedAddresses, first: SocketAddr) -> fastrand::Rng {
    let first = HostPort::of(first).unwrap();
    let moves = |rng: &fastrand::Rng| {
        let (mut rng, mut round) = (rng.clone(), known.as_slice().to_vec());
        rng.shuffle(&mut round);
        // When it renews, and how long it stays before and after it picks.
        for _ in 0..3 {
            rng.f64();
        }
        round.last() == Some(&first) && rng.choice(known.as_slice()) != Some(&first)
    };
    (0..).map(fastrand::Rng::with_seed).find(moves).unwrap()
}

#[tokio::test]
async fn relocation_with_a_replaced_certificate_is_discarded() {
    let TestLink { authority, tls, listener, mut client, link, .. } = test_link(LIVES, 3600, &[]).await;
    let next = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (old, new) = (listener.local_addr().unwrap(), next.local_addr().unwrap());
    client.identity.addresses = addresses(&[old, new]);
    client.stay = SHORT;
    client.rng = rng_that_moves(&client.identity.addresses, old);
    let (hours_ahead, clock) = (Arc::new(AtomicU64::new(0)), SystemClock::default());
    let ahead = Arc::clone(&hours_ahead);
    client.clock = Arc::new(move || {
        let Now { mono, wall } = clock.now();
        Now { mono, wall: wall.plus(Span::secs(3600 * ahead.load(Ordering::Relaxed))) }
    });
    let before = client.identity.ends();
    let serving = async {
        let mut frames = Frames::default();
        let mut stream = accept_into(&listener, &tls, &mut frames).await;
        let (socket, _) = next.accept().await.unwrap();
        // While the handshake waits, the certificate is half over, and the first session renews it.
        hours_ahead.store(13, Ordering::Relaxed);
        answer(&mut stream, ServerMessageKind::Pong(Ping {})).await;
        let renew = renewal(&mut stream, &mut frames).await;
        hours_ahead.store(0, Ordering::Relaxed);
        answer(&mut stream, ServerMessageKind::Certified(certified(&authority, now(), 1, &renew.request))).await;
        link.state.clone().wait_for(|state| state.certificate_ends > before).await.unwrap();
        let mut moved = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
        let subscribed = Frames::default().next::<ClientMessage>(&mut moved, MAX_WORKER_FRAME).await;
        assert!(!matches!(subscribed, Ok(Some(_))), "a session that would renew like a copy: {subscribed:?}");
        let state = link.state.borrow().clone();
        assert_eq!((state.phase, state.address), (LinkPhase::Connected, HostPort::of(old)));
        // It moves later, with its new certificate.
        let (socket, _) = next.accept().await.unwrap();
        let mut moved = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
        let shown = moved.get_ref().1.peer_certificates().unwrap().first().and_then(PeerCertificate::parse).unwrap();
        assert!(shown.ends > before);
        let up: ClientMessage = Frames::default().next(&mut moved, MAX_WORKER_FRAME).await.unwrap().unwrap();
        assert!(matches!(up.kind, Some(ClientMessageKind::Subscribe(_))), "{up:?}");
    };
    in_time(async {
        tokio::select! { lost = client.connection() => panic!("{lost}"), () = serving => {} }
    })
    .await;
}
