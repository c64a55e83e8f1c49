use std::collections::VecDeque;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::{Limit, LimitOverrides, Span};
use deputy_support::{pause, timer_now};
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream as Served;

use super::connection_lost::ConnectionLost;
use super::fetch::Fetches;
use super::reconnect::{MAX_DELAY, MAX_DELAY_AFTER_BREAK, MIN_DELAY, STABLE};
use super::*;
use crate::Authority;
use crate::frame::{Frames, MAX_WORKER_FRAME, encode};
use crate::message::{
    ClientMessage, ClientMessageKind, ReceiverBound, ReceiverLimits, ServerMessage, ServerMessageKind, SnapshotEnd,
};
use crate::server::ServerTls;
use crate::testing::{LIVES, NoIdentityStore, addresses, certified, client, clock, identity, now};
use crate::{DeliveredState, WorkerIdentity};

mod addresses;
mod fetch;
mod join;
mod newest;
mod relocation;

/// Accepts a worker and completes its snapshot.
async fn accept(listener: &TcpListener, tls: &ServerTls) -> Served<TcpStream> {
    accept_into(listener, tls, &mut Frames::default()).await
}

/// As [`accept`]. `frames` may hold the worker's next message already.
async fn accept_into(listener: &TcpListener, tls: &ServerTls, frames: &mut Frames) -> Served<TcpStream> {
    let (socket, _) = listener.accept().await.unwrap();
    let mut stream = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
    let up: ClientMessage = frames.next(&mut stream, MAX_WORKER_FRAME).await.unwrap().unwrap();
    assert!(matches!(up.kind, Some(ClientMessageKind::Subscribe(_))));
    let complete = encode(&ServerMessage::from(ServerMessageKind::SnapshotEnd(SnapshotEnd::default())));
    stream.write_all(&complete).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

#[tokio::test]
async fn reconnect_resumes_the_tls_session_of_the_same_identity() {
    let authority = Authority::generate(now(), LIVES).unwrap();
    let kept = authority.encode().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut client, mut link) = client(identity(&authority, now(), addresses(&[address])), Arc::new(NoIdentityStore));
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        // A coordinator that was restarted, or another process of it.
        let restored = Authority::restored(kept.expose(), LIVES).unwrap();
        let tls = ServerTls::new(now(), &restored, clock()).unwrap();
        let coming = client.connection();
        let serving = async {
            let stream = accept(&listener, &tls).await;
            link.state.wait_for(|state| state.phase == LinkPhase::Connected).await.unwrap();
            stream.get_ref().1.handshake_kind()
        };
        let (_, kind) = tokio::join!(coming, serving);
        assert_eq!(kind, Some(expected));
        client.enter(LinkPhase::Connecting, None);
    }
    client.identity = identity(&authority, now(), client.identity.addresses.clone());
    client.tls = None;
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let serving = async { accept(&listener, &tls).await.get_ref().1.handshake_kind() };
    let (_, kind) = tokio::join!(client.connection(), serving);
    assert_eq!(kind, Some(HandshakeKind::Full));
}

/// Fails as `fails` says, and saves in memory otherwise.
struct FailingStore {
    fails: Mutex<VecDeque<bool>>,
    saved: Mutex<WorkerIdentity>,
}

#[async_trait]
impl IdentityStore for FailingStore {
    async fn save(&self, identity: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.fails.lock().unwrap().pop_front().unwrap_or_default() {
            return Err("the disk is full".into());
        }
        *self.saved.lock().unwrap() = identity.clone();
        Ok(())
    }
}

async fn answer(stream: &mut Served<TcpStream>, reply: ServerMessageKind) {
    stream.write_all(&encode(&ServerMessage::from(reply))).await.unwrap();
    stream.flush().await.unwrap();
}

/// The next renewal that the worker requests.
async fn renewal(stream: &mut Served<TcpStream>, frames: &mut Frames) -> crate::message::RenewCertificate {
    loop {
        let up: ClientMessage = frames.next(stream, MAX_WORKER_FRAME).await.unwrap().unwrap();
        match up.kind {
            Some(ClientMessageKind::RenewCertificate(renew)) => return renew,
            Some(ClientMessageKind::Ping(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A coordinator, and a worker that it certified `age` seconds ago.
struct TestLink {
    authority: Authority,
    tls: ServerTls,
    listener: TcpListener,
    store: Arc<FailingStore>,
    client: LinkClient,
    link: Link,
}

async fn test_link(lives: crate::CertificateLifetimes, age: u64, fails: &[bool]) -> TestLink {
    let authority = Authority::generate(now().minus(Span::secs(200_000)), lives).unwrap();
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let identity = identity(&authority, now().minus(Span::secs(age)), addresses(&[address]));
    let fails = Mutex::new(fails.iter().copied().collect());
    let store = Arc::new(FailingStore { fails, saved: Mutex::new(identity.clone()) });
    let (client, link) = client(identity, Arc::clone(&store) as _);
    TestLink { authority, tls, listener, store, client, link }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("it should have happened by now")
}

#[tokio::test]
async fn renewal_waits_for_a_failing_disk_on_its_connection() {
    // Saving the key fails twice, with the present identity in between, and saving the certificate once.
    let fails = [true, true, false, false, true];
    let TestLink { authority, tls, listener, store, mut client, link } = test_link(LIVES, 60_000, &fails).await;
    let serving = async {
        let mut frames = Frames::default();
        let mut stream = accept_into(&listener, &tls, &mut frames).await;
        let unsaved = |state: &LinkState| state.error.as_ref().is_some_and(|error| error.contains("the disk is full"));
        in_time(link.state.clone().wait_for(unsaved)).await.unwrap();
        assert_eq!(link.state.borrow().phase, LinkPhase::Connected, "deliveries continue");
        let mut asked = Vec::new();
        for _ in 0..2 {
            let renew = in_time(renewal(&mut stream, &mut frames)).await;
            asked.push((renew.sequence, renew.request.clone()));
            answer(&mut stream, ServerMessageKind::Certified(certified(&authority, now(), 1, &renew.request))).await;
        }
        // A certificate that could not be saved is requested again with the same key, as after a restart.
        assert_eq!(asked[0], asked[1]);
        in_time(link.state.clone().wait_for(|state| state.certificate_ends > now().plus(Span::secs(80_000))))
            .await
            .unwrap();
        let connected = timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(connected.is_err(), "no second connection");
    };
    let (lost, ()) = tokio::join!(client.connection(), serving);
    assert!(matches!(lost, ConnectionLost::Cut | ConnectionLost::Io(_)), "{lost}");
    assert_eq!((client.identity.sequence, &client.save_error), (1, &None));
    let kept = store.saved.lock().unwrap();
    assert_eq!(kept.encode().unwrap().expose(), client.identity.encode().unwrap().expose());
}

#[tokio::test]
async fn renewal_continues_unsaved_when_the_certificate_ends_soon() {
    let TestLink { authority, tls, listener, store, mut client, link } = test_link(LIVES, 84_000, &[true; 4]).await;
    let serving = async {
        let mut frames = Frames::default();
        let mut stream = accept_into(&listener, &tls, &mut frames).await;
        let renew = in_time(renewal(&mut stream, &mut frames)).await;
        answer(&mut stream, ServerMessageKind::Certified(certified(&authority, now(), 1, &renew.request))).await;
        let mut state = link.state.clone();
        let renewed = |state: &LinkState| state.certificate_ends > now().plus(Span::secs(80_000));
        assert!(in_time(state.wait_for(renewed)).await.unwrap().error.as_ref().unwrap().contains("the disk is full"));
        // It is saved as soon as that is possible.
        in_time(state.wait_for(|state| state.error.is_none())).await.unwrap();
    };
    let (_, ()) = tokio::join!(client.connection(), serving);
    assert_eq!(client.identity.sequence, 1);
    assert_eq!(store.saved.lock().unwrap().encode().unwrap().expose(), client.identity.encode().unwrap().expose());
}

#[tokio::test]
async fn renewal_repeats_for_a_certificate_that_is_not_valid_yet() {
    let lives = crate::CertificateLifetimes { worker: Span::secs(60), ..LIVES };
    let TestLink { authority, tls, listener, mut client, link, .. } = test_link(lives, 35, &[]).await;
    let serving = async {
        let mut frames = Frames::default();
        let mut stream = accept_into(&listener, &tls, &mut frames).await;
        for ahead in [13 * 3600, 0] {
            let renew = in_time(renewal(&mut stream, &mut frames)).await;
            assert_eq!(renew.sequence, 1);
            let certified = certified(&authority, now().plus(Span::secs(ahead)), 1, &renew.request);
            answer(&mut stream, ServerMessageKind::Certified(certified)).await;
        }
        in_time(link.state.clone().wait_for(|state| state.certificate_ends > now().plus(Span::secs(50))))
            .await
            .unwrap();
    };
    let (_, ()) = tokio::join!(client.connection(), serving);
    assert!(client.identity.begins() <= now() && client.identity.ends() < now().plus(Span::secs(61)));
}

#[tokio::test]
async fn authorities_are_validated_before_they_are_trusted() {
    let other = Authority::generate(now(), LIVES).unwrap().trusted()[0].to_vec();
    let TestLink { authority, tls, listener, store, mut client, link: _link } = test_link(LIVES, 0, &[]).await;
    let own = authority.trusted()[0].to_vec();
    let before = client.identity.encode().unwrap();
    let wrong =
        [vec![], vec![b"garbage".to_vec()], vec![own.clone(), vec![]], vec![other.clone()], vec![own.clone(); 17]];
    for (number, certificates) in wrong.into_iter().enumerate() {
        let serving = async {
            let mut stream = accept(&listener, &tls).await;
            answer(&mut stream, ServerMessageKind::Authorities(crate::message::Authorities { certificates })).await;
            stream
        };
        let (lost, _stream) = tokio::join!(client.connection(), serving);
        assert!(matches!(lost, ConnectionLost::Malformed(_)), "{number}: {lost:?}");
        assert_eq!(store.saved.lock().unwrap().encode().unwrap().expose(), before.expose(), "{number}");
        assert_eq!(client.identity.encode().unwrap().expose(), before.expose(), "{number}");
    }
    let serving = async {
        let mut stream = accept(&listener, &tls).await;
        let certificates = vec![own, other];
        answer(&mut stream, ServerMessageKind::Authorities(crate::message::Authorities { certificates })).await;
        in_time(async {
            while store.saved.lock().unwrap().encode().unwrap().expose() == before.expose() {
                pause(Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    let (_, ()) = tokio::join!(client.connection(), serving);
    assert_ne!(client.identity.encode().unwrap().expose(), before.expose());
}

#[tokio::test]
async fn reconnect_backs_off_when_connections_do_not_last() {
    let TestLink { tls, listener, client, link: _link, .. } = test_link(LIVES, 0, &[]).await;
    let running = client.run();
    let mut connections = 0;
    let serving = async {
        loop {
            // The connection ends after the snapshot, as with a copy of this worker or a failing coordinator.
            drop(accept(&listener, &tls).await);
            connections += 1;
        }
    };
    let both = async { tokio::join!(running, serving) };
    assert!(timeout(Duration::from_secs(4), both).await.is_err());
    // After up to 100 ms, 200 ms, 400 ms and so on.
    assert!((3..=9).contains(&connections), "{connections}");
}

fn delay(client: &mut LinkClient, lost: &ConnectionLost) -> Duration {
    client.reconnect.delay(lost, &mut client.rng)
}

#[tokio::test]
async fn reconnect_backoff_resets_after_a_stable_connection() {
    let mut client = test_link(LIVES, 0, &[]).await.client;
    let waits: Vec<_> = (0..20).map(|_| delay(&mut client, &ConnectionLost::Timeout("a:1".parse().unwrap()))).collect();
    let longest = MAX_DELAY.duration();
    assert!(
        waits.iter().all(|wait| *wait <= longest) && waits[10..].iter().all(|wait| *wait >= longest / 2),
        "{waits:?}"
    );
    // Ended on purpose, as by a copy of this worker, or broken.
    for (lost, longest) in
        [(ConnectionLost::Malformed(""), longest), (ConnectionLost::Closed, MAX_DELAY_AFTER_BREAK.duration())]
    {
        for _ in 0..20 {
            client.reconnect.connected_at = Some(timer_now());
            delay(&mut client, &lost);
        }
        client.reconnect.connected_at = Some(timer_now());
        let wait = delay(&mut client, &lost);
        assert!((longest / 2..=longest).contains(&wait), "{wait:?}");
        client.reconnect.connected_at = timer_now().checked_sub(STABLE);
        assert!(delay(&mut client, &lost) <= MIN_DELAY.duration());
    }
    assert!(delay(&mut client, &ConnectionLost::Timeout("a:1".parse().unwrap())) <= MIN_DELAY.duration());
}

#[tokio::test]
async fn clock_difference_is_named_and_is_transient() {
    let TestLink { authority, listener, mut client, link: _link, .. } = test_link(LIVES, 0, &[]).await;
    // Its certificate has expired by the clock of the worker.
    let tls = ServerTls::new(now().minus(Span::secs(100_000)), &authority, clock()).unwrap();
    let string = crate::JoinString {
        token: crate::TokenId::from_bytes([1; 8]),
        secret: crate::TokenSecret::new(&mut [1; 32]),
        authority: authority.fingerprint(),
        addresses: client.identity.addresses.clone(),
    };
    let serving = async {
        for _ in 0..2 {
            let (socket, _) = listener.accept().await.unwrap();
            assert!(TlsAcceptor::from(tls.config()).accept(socket).await.is_err());
        }
    };
    let asking = async {
        let failed = join(&string, crate::WorkerKey::new().unwrap()).await.unwrap_err();
        assert!(matches!(failed, JoinFailure::Clock(..)) && failed.is_transient(), "{failed}");
        assert!(failed.to_string().contains("compare the clocks"), "{failed}");
        let lost = client.connection().await;
        assert!(matches!(lost, ConnectionLost::Clock(_)), "{lost}");
    };
    in_time(async { tokio::join!(serving, asking) }).await;
}

/// A limit out of bounds ends the connection, and what was held before stays.
#[tokio::test]
async fn receiver_limits_are_held_or_end_the_connection() {
    let authority = Authority::generate(now(), LIVES).unwrap();
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut client, mut link) = client(identity(&authority, now(), addresses(&[address])), Arc::new(NoIdentityStore));
    let name: deputy_core::ReceiverName = "aws".parse().unwrap();
    let bound = |limits: Option<ReceiverLimits>| ReceiverBound {
        receiver: name.to_string(),
        component: vec![7; 32],
        instances: vec!["s3".to_owned()],
        limits: limits.map(Box::new),
        ..ReceiverBound::default()
    };
    let wall = |wall_ms| Some(ReceiverLimits { wall_ms: Some(wall_ms), ..ReceiverLimits::default() });
    let five_seconds = LimitOverrides::new([(Limit::Wall, 5000)]).unwrap();
    let sound = [(None, LimitOverrides::default()), (wall(5000), five_seconds.clone())];
    let wrong = [wall(0), wall(3_600_001), wall(u64::MAX)];
    for nonsense in wrong {
        let serving = async {
            let mut stream = accept(&listener, &tls).await;
            for (limits, expected) in sound.clone() {
                stream
                    .write_all(&encode(&ServerMessage::from(ServerMessageKind::ReceiverBound(bound(limits)))))
                    .await
                    .unwrap();
                stream.flush().await.unwrap();
                let held =
                    |held: &Arc<DeliveredState>| held.receivers.get(&name).is_some_and(|it| it.limits == expected);
                drop(link.held.wait_for(held).await.unwrap());
            }
            stream
                .write_all(&encode(&ServerMessage::from(ServerMessageKind::ReceiverBound(bound(nonsense)))))
                .await
                .unwrap();
            stream.flush().await.unwrap();
            stream
        };
        let (lost, _) = tokio::join!(client.connection(), serving);
        assert!(matches!(lost, ConnectionLost::Malformed("limit")), "{lost:?}");
        assert_eq!(link.held.borrow().receivers[&name].limits, five_seconds);
    }
}
