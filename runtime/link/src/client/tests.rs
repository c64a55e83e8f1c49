use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use deputy_core::{Limit, LimitOverrides};
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream as Served;

use super::*;
use crate::Authority;
use crate::frame::{FROM_WORKER, Frames, encode};
use crate::message::{
    ClientMessage, ClientMessageKind, ReceiverBound, ReceiverLimits, ServerMessage, ServerMessageKind, SnapshotEnd,
};
use crate::server::ServerTls;
use crate::testing::{LIVES, Nowhere, certified, client, clock, identity, now};

#[path = "fetch_tests.rs"]
mod fetch;

/// Lets a worker in, and hears what it wants.
async fn accept(listener: &TcpListener, tls: &ServerTls) -> Served<TcpStream> {
    accept_into(listener, tls, &mut Frames::default()).await
}

/// Likewise; what the worker says next may be in `frames` already.
async fn accept_into(listener: &TcpListener, tls: &ServerTls, frames: &mut Frames) -> Served<TcpStream> {
    let (socket, _) = listener.accept().await.unwrap();
    let mut stream = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
    let up: ClientMessage = frames.next(&mut stream, FROM_WORKER).await.unwrap().unwrap();
    assert!(matches!(up.kind, Some(ClientMessageKind::Subscribe(_))));
    let complete = encode(&ServerMessage::from(ServerMessageKind::SnapshotEnd(SnapshotEnd::default())));
    stream.write_all(&complete).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

#[tokio::test]
async fn who_comes_back_shows_its_ticket_and_shakes_hands_in_full_only_when_it_is_somebody_new() {
    let authority = Authority::found(now(), LIVES).unwrap();
    let kept = authority.encode().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (mut client, mut link) = client(identity(&authority, now(), address), Arc::new(Nowhere));
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        // A coordinator that was restarted meanwhile, or another one.
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
    client.identity = identity(&authority, now(), client.identity.address.clone());
    client.tls = None;
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let serving = async { accept(&listener, &tls).await.get_ref().1.handshake_kind() };
    let (_, kind) = tokio::join!(client.connection(), serving);
    assert_eq!(kind, Some(HandshakeKind::Full));
}

/// Fails when it is told to, and else keeps.
struct Fragile {
    fails: Mutex<VecDeque<bool>>,
    kept: Mutex<WorkerIdentity>,
}

#[async_trait]
impl IdentityStore for Fragile {
    async fn keep(&self, identity: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.fails.lock().unwrap().pop_front().unwrap_or_default() {
            return Err("the disk is full".into());
        }
        *self.kept.lock().unwrap() = identity.clone();
        Ok(())
    }
}

/// Sends an answer.
async fn answer(stream: &mut Served<TcpStream>, reply: ServerMessageKind) {
    stream.write_all(&encode(&ServerMessage::from(reply))).await.unwrap();
    stream.flush().await.unwrap();
}

/// The next request for a certificate.
async fn renewal(stream: &mut Served<TcpStream>, frames: &mut Frames) -> crate::message::RenewCertificate {
    loop {
        let up: ClientMessage = frames.next(stream, FROM_WORKER).await.unwrap().unwrap();
        match up.kind {
            Some(ClientMessageKind::RenewCertificate(renew)) => return renew,
            Some(ClientMessageKind::Ping(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// An authority of some days ago, and a worker that it certified so many seconds ago, which keeps its identity when it is
/// not told to fail.
struct Renewing {
    authority: Authority,
    tls: ServerTls,
    listener: TcpListener,
    keep: Arc<Fragile>,
    client: LinkClient,
    link: Link,
}

async fn renewing(lives: crate::CertificateLifetimes, age: u64, fails: &[bool]) -> Renewing {
    let authority = Authority::found(now().minus(Span::secs(200_000)), lives).unwrap();
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let identity = identity(&authority, now().minus(Span::secs(age)), address);
    let fails = Mutex::new(fails.iter().copied().collect());
    let keep = Arc::new(Fragile { fails, kept: Mutex::new(identity.clone()) });
    let (client, link) = client(identity, Arc::clone(&keep) as _);
    Renewing { authority, tls, listener, keep, client, link }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("it should have happened by now")
}

#[tokio::test]
async fn renewal_waits_on_its_connection_for_a_disk_that_fails() {
    // The key twice, between them the identity as it is; then the certificate.
    let fails = [true, true, false, false, true];
    let Renewing { authority, tls, listener, keep, mut client, link } = renewing(LIVES, 60_000, &fails).await;
    let serving = async {
        let mut frames = Frames::default();
        let mut stream = accept_into(&listener, &tls, &mut frames).await;
        let unsaved = |state: &LinkState| state.error.as_ref().is_some_and(|error| error.contains("the disk is full"));
        soon(link.state.clone().wait_for(unsaved)).await.unwrap();
        assert_eq!(link.state.borrow().phase, LinkPhase::Connected, "what is delivered goes on");
        let mut asked = Vec::new();
        for _ in 0..2 {
            let renew = soon(renewal(&mut stream, &mut frames)).await;
            asked.push((renew.sequence, renew.request.clone()));
            answer(&mut stream, ServerMessageKind::Certified(certified(&authority, now(), 1, &renew.request))).await;
        }
        // The one that was not written was asked for again with the same key, as after a restart.
        assert_eq!(asked[0], asked[1]);
        soon(link.state.clone().wait_for(|state| state.certificate_ends > now().plus(Span::secs(80_000))))
            .await
            .unwrap();
        let connected = timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(connected.is_err(), "one connection was enough");
    };
    let (lost, ()) = tokio::join!(client.connection(), serving);
    assert!(matches!(lost, ConnectionLost::Io(_) | ConnectionLost::Closed), "{lost}");
    assert_eq!((client.identity.sequence, &client.unsaved), (1, &None));
    let kept = keep.kept.lock().unwrap();
    assert_eq!(kept.encode().unwrap().expose(), client.identity.encode().unwrap().expose());
}

#[tokio::test]
async fn renewal_goes_on_unsaved_when_the_certificate_is_about_to_end() {
    let Renewing { authority, tls, listener, keep, mut client, link } = renewing(LIVES, 84_000, &[true; 4]).await;
    let serving = async {
        let mut frames = Frames::default();
        let mut stream = accept_into(&listener, &tls, &mut frames).await;
        let renew = soon(renewal(&mut stream, &mut frames)).await;
        answer(&mut stream, ServerMessageKind::Certified(certified(&authority, now(), 1, &renew.request))).await;
        let mut state = link.state.clone();
        let renewed = |state: &LinkState| state.certificate_ends > now().plus(Span::secs(80_000));
        assert!(soon(state.wait_for(renewed)).await.unwrap().error.as_ref().unwrap().contains("the disk is full"));
        // It is written as soon as that is possible.
        soon(state.wait_for(|state| state.error.is_none())).await.unwrap();
    };
    let (_, ()) = tokio::join!(client.connection(), serving);
    assert_eq!(client.identity.sequence, 1);
    assert_eq!(keep.kept.lock().unwrap().encode().unwrap().expose(), client.identity.encode().unwrap().expose());
}

#[tokio::test]
async fn renewal_asks_again_for_a_certificate_that_is_not_valid_yet() {
    let lives = crate::CertificateLifetimes { worker: Span::secs(60), ..LIVES };
    let Renewing { authority, tls, listener, mut client, link, .. } = renewing(lives, 35, &[]).await;
    let serving = async {
        let mut frames = Frames::default();
        let mut stream = accept_into(&listener, &tls, &mut frames).await;
        for ahead in [13 * 3600, 0] {
            let renew = soon(renewal(&mut stream, &mut frames)).await;
            assert_eq!(renew.sequence, 1);
            let certified = certified(&authority, now().plus(Span::secs(ahead)), 1, &renew.request);
            answer(&mut stream, ServerMessageKind::Certified(certified)).await;
        }
        soon(link.state.clone().wait_for(|state| state.certificate_ends > now().plus(Span::secs(50)))).await.unwrap();
    };
    let (_, ()) = tokio::join!(client.connection(), serving);
    assert!(client.identity.begins() <= now() && client.identity.ends() < now().plus(Span::secs(61)));
}

#[tokio::test]
async fn authorities_are_checked_before_they_are_trusted() {
    let other = Authority::found(now(), LIVES).unwrap().trusted()[0].to_vec();
    let Renewing { authority, tls, listener, keep, mut client, link: _link } = renewing(LIVES, 0, &[]).await;
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
        assert!(matches!(lost, ConnectionLost::Nonsense(_)), "{number}: {lost:?}");
        assert_eq!(keep.kept.lock().unwrap().encode().unwrap().expose(), before.expose(), "{number}");
        assert_eq!(client.identity.encode().unwrap().expose(), before.expose(), "{number}");
    }
    let serving = async {
        let mut stream = accept(&listener, &tls).await;
        let certificates = vec![own, other];
        answer(&mut stream, ServerMessageKind::Authorities(crate::message::Authorities { certificates })).await;
        soon(async {
            while keep.kept.lock().unwrap().encode().unwrap().expose() == before.expose() {
                pause(Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    let (_, ()) = tokio::join!(client.connection(), serving);
    assert_ne!(client.identity.encode().unwrap().expose(), before.expose());
}

#[tokio::test]
async fn reconnect_slows_down_when_connections_do_not_last() {
    let Renewing { tls, listener, client, link: _link, .. } = renewing(LIVES, 0, &[]).await;
    let running = client.run();
    let mut connections = 0;
    let serving = async {
        loop {
            // Complete, and gone: as a copy of this worker has it, or a coordinator that fails.
            drop(accept(&listener, &tls).await);
            connections += 1;
        }
    };
    let both = async { tokio::join!(running, serving) };
    assert!(timeout(Duration::from_secs(4), both).await.is_err());
    // 100 ms, 200 ms, 400 ms and so on, or half of that.
    assert!((3..=9).contains(&connections), "{connections}");
}

#[tokio::test]
async fn reconnect_begins_anew_after_a_connection_that_lasted() {
    let mut client = renewing(LIVES, 0, &[]).await.client;
    let waits: Vec<_> = (0..20).map(|_| client.wait(&ConnectionLost::Timeout(String::new()))).collect();
    let longest = LONGEST_WAIT.duration();
    assert!(
        waits.iter().all(|wait| *wait <= longest) && waits[10..].iter().all(|wait| *wait >= longest / 2),
        "{waits:?}"
    );
    // Ended on purpose, as a copy of this worker ends it, or broken.
    for (lost, longest) in [(ConnectionLost::Nonsense(""), longest), (ConnectionLost::Closed, BROKEN_WAIT.duration())] {
        for _ in 0..20 {
            client.complete_at = Some(timer_now());
            client.wait(&lost);
        }
        client.complete_at = Some(timer_now());
        let wait = client.wait(&lost);
        assert!((longest / 2..=longest).contains(&wait), "{wait:?}");
        client.complete_at = timer_now().checked_sub(GOOD);
        assert!(client.wait(&lost) <= FIRST_WAIT.duration());
    }
    assert!(client.wait(&ConnectionLost::Timeout(String::new())) <= FIRST_WAIT.duration());
}

#[tokio::test]
async fn clock_that_differs_from_the_coordinator_s_is_named_and_is_not_final() {
    let Renewing { authority, listener, mut client, link: _link, .. } = renewing(LIVES, 0, &[]).await;
    // By our clock its certificate has ended.
    let tls = ServerTls::new(now().minus(Span::secs(100_000)), &authority, clock()).unwrap();
    let string = crate::JoinString {
        token: crate::TokenId::from_bytes([1; 8]),
        secret: crate::TokenSecret::new(&mut [1; 32]),
        authority: authority.fingerprint(),
        address: client.identity.address.clone(),
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
    soon(async { tokio::join!(serving, asking) }).await;
}

/// The numbers are a coordinator's, and perhaps nobody's: what is not within its bounds ends the connection, and what was
/// held before stays.
#[tokio::test]
async fn limits_of_a_receiver_are_held_as_they_were_said_or_not_at_all() {
    let authority = Authority::found(now(), LIVES).unwrap();
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (mut client, mut link) = client(identity(&authority, now(), address), Arc::new(Nowhere));
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
                let held = |held: &Arc<WorkerState>| held.receivers.get(&name).is_some_and(|it| it.limits == expected);
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
        assert!(matches!(lost, ConnectionLost::Nonsense("a limit")), "{lost:?}");
        assert_eq!(link.held.borrow().receivers[&name].limits, five_seconds);
    }
}
