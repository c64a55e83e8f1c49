//! Several addresses, some of them dead, and lists that the coordinator sends.

use std::net::SocketAddr;

use deputy_core::{AdvertisedAddresses, HostPort, MAX_ADVERTISED};
use fastrand::Rng;
use tokio::net::TcpSocket;

use super::*;
use crate::client::dial::{CONNECT_TIMEOUT, STEP_TIMEOUT};
use crate::message::{Addresses, Refusal};
use crate::{ErrorCode, JoinString, TokenId, TokenSecret, WorkerKey};

/// Addresses at which there is no coordinator, each in another way.
struct DeadAddresses {
    refused: SocketAddr,
    /// Connecting hangs, as to a machine that is gone.
    lost: SocketAddr,
    /// The handshake hangs, as with a process that is paused.
    paused: SocketAddr,
    _open: (TcpListener, TcpListener, Vec<TcpStream>),
}

impl DeadAddresses {
    #[expect(clippy::disallowed_methods, reason = "fills a local queue in a test")]
    async fn new() -> Self {
        let refused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        let paused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let lost = socket.listen(1).unwrap();
        let (address, mut queue) = (lost.local_addr().unwrap(), Vec::new());
        while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
        }
        Self { refused, lost: address, paused: paused.local_addr().unwrap(), _open: (lost, paused, queue) }
    }
}

/// Random numbers by which a worker tries this address first or last.
fn rng_for(addresses: &AdvertisedAddresses, wanted: SocketAddr, is_first: bool) -> Rng {
    let wanted = HostPort::of(wanted).unwrap();
    let seed = (0..).find(|seed| {
        let mut round = addresses.as_slice().to_vec();
        Rng::with_seed(*seed).shuffle(&mut round);
        let found = if is_first { round.last() } else { round.first() };
        found == Some(&wanted)
    });
    Rng::with_seed(seed.unwrap())
}

async fn send_addresses(stream: &mut Served<TcpStream>, texts: &[String]) {
    answer(stream, ServerMessageKind::Addresses(Addresses { addresses: texts.to_vec() })).await;
}

#[tokio::test]
async fn addresses_that_are_dead_cost_seconds() {
    let dead = DeadAddresses::new().await;
    for is_first in [true, false] {
        let TestLink { tls, listener, mut client, mut link, .. } = test_link(LIVES, 0, &[]).await;
        let live = listener.local_addr().unwrap();
        client.identity.addresses = addresses(&[dead.lost, dead.paused, dead.refused, live]);
        client.rng = rng_for(&client.identity.addresses, live, is_first);
        let begun = timer_now();
        let serving = async {
            let _stream = accept(&listener, &tls).await;
            let state = link.state.wait_for(|state| state.phase == LinkPhase::Connected).await.unwrap().clone();
            (timer_now() - begun, state.address)
        };
        let (_, (took, at)) = in_time(async { tokio::join!(client.connection(), serving) }).await;
        assert_eq!(at, HostPort::of(live));
        // One that is lost and one that is paused: with a deadline for a single address they would take 20 s.
        let dead_ones = if is_first { 0 } else { 2 };
        assert!(took >= dead_ones * STEP_TIMEOUT && took < dead_ones * STEP_TIMEOUT + CONNECT_TIMEOUT, "{took:?}");
    }
}

#[tokio::test]
async fn addresses_that_end_sessions_are_passed_over() {
    let TestLink { tls, listener, mut client, link, .. } = test_link(LIVES, 0, &[]).await;
    let full = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (live, other) = (listener.local_addr().unwrap(), full.local_addr().unwrap());
    client.identity.addresses = addresses(&[other, live]);
    for code in ["internal", "throttled"] {
        client.rng = rng_for(&client.identity.addresses, other, true);
        let serving = async {
            let (socket, _) = full.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
            answer(&mut stream, ServerMessageKind::Refusal(Refusal { code: code.to_owned(), ..Refusal::default() }))
                .await;
            let _stream = accept(&listener, &tls).await;
            in_time(link.state.clone().wait_for(|state| state.phase == LinkPhase::Connected)).await.unwrap();
        };
        in_time(async { tokio::join!(client.connection(), serving) }).await;
        client.enter(LinkPhase::Connecting, None);
    }
    // A refusal of the worker itself is the same everywhere.
    client.rng = rng_for(&client.identity.addresses, other, true);
    let serving = async {
        let (socket, _) = full.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
        answer(&mut stream, ServerMessageKind::Refusal(Refusal { code: "banned".to_owned(), ..Refusal::default() }))
            .await;
        stream
    };
    let (lost, _) = in_time(async { tokio::join!(client.connection(), serving) }).await;
    assert!(matches!(&lost, ConnectionLost::Refused(refusal) if refusal.code == ErrorCode::Banned), "{lost}");
}

#[tokio::test]
async fn addresses_of_a_join_string_are_tried_at_random() {
    let TestLink { authority, tls, listener, .. } = test_link(LIVES, 0, &[]).await;
    let other = Authority::generate(now(), LIVES).unwrap();
    let other_tls = ServerTls::new(now(), &other, clock()).unwrap();
    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let refused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let (live, other) = (listener.local_addr().unwrap(), stranger.local_addr().unwrap());
    let string = JoinString {
        token: TokenId::from_bytes([1; 8]),
        secret: TokenSecret::new(&mut [1; 32]),
        authority: authority.fingerprint(),
        addresses: addresses(&[refused, other, live]),
    };
    let mut firsts = 0;
    let serving = async {
        for _ in 0..12 {
            let (socket, _) = listener.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
            answer(
                &mut stream,
                ServerMessageKind::Refusal(Refusal { code: "bad-join".to_owned(), ..Refusal::default() }),
            )
            .await;
        }
    };
    let strange = async {
        loop {
            let (socket, _) = stranger.accept().await.unwrap();
            assert!(TlsAcceptor::from(other_tls.config()).accept(socket).await.is_err());
            firsts += 1;
        }
    };
    let joining = async {
        for _ in 0..12 {
            let failed = join(&string, WorkerKey::new().unwrap()).await.unwrap_err();
            assert!(matches!(&failed, JoinFailure::Refused(refusal) if refusal.code == ErrorCode::BadJoin), "{failed}");
        }
    };
    in_time(async {
        tokio::select! {
            _ = async { tokio::join!(serving, joining) } => {}
            () = strange => {}
        }
    })
    .await;
    assert!((1..12).contains(&firsts), "{firsts} of 12 tried the stranger before");
}

#[tokio::test]
async fn addresses_are_learnt_saved_and_used() {
    let TestLink { tls, listener, store, mut client, link, .. } = test_link(LIVES, 0, &[]).await;
    let next = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (old, new) = (listener.local_addr().unwrap(), next.local_addr().unwrap());
    let before = client.identity.addresses.clone();
    let learnt = addresses(&[old, new]);
    let serving = async {
        let mut stream = accept(&listener, &tls).await;
        // What cannot be used is ignored, and the session goes on.
        let many: Vec<String> = (1..=MAX_ADVERTISED + 1).map(|port| format!("a:{port}")).collect();
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let wrong =
            [many, vec![], texts(&["a"]), texts(&["a:1", "a:1"]), texts(&["a:1", "0.0.0.0:1"]), texts(&["a:1,b:1"])];
        for texts in &wrong {
            send_addresses(&mut stream, texts).await;
        }
        send_addresses(&mut stream, &[new.to_string()]).await;
        let known =
            in_time(link.state.clone().wait_for(|state| state.addresses != before)).await.unwrap().addresses.clone();
        assert_eq!(known, learnt, "the one in use stays");
        assert_eq!(store.saved.lock().unwrap().addresses, learnt);
        // The same again is nothing new: it is not saved.
        store.fails.lock().unwrap().push_back(true);
        send_addresses(&mut stream, &[new.to_string(), old.to_string()]).await;
        answer(&mut stream, ServerMessageKind::Refusal(Refusal { code: "replaced".to_owned(), ..Refusal::default() }))
            .await;
        stream
    };
    let (lost, _) = in_time(async { tokio::join!(client.connection(), serving) }).await;
    assert!(matches!(&lost, ConnectionLost::Refused(refusal) if refusal.code == ErrorCode::Replaced), "{lost}");
    assert_eq!(store.fails.lock().unwrap().len(), 1);

    // After a restart, with the first coordinator gone.
    drop(listener);
    let saved = store.saved.lock().unwrap().encode().unwrap();
    let restored = WorkerIdentity::restored(saved.expose()).unwrap();
    assert_eq!(restored.addresses, learnt);
    let (mut client, link) = super::client(restored, Arc::new(NoIdentityStore));
    let serving = async {
        let mut stream = accept(&next, &tls).await;
        in_time(link.state.clone().wait_for(|state| state.phase == LinkPhase::Connected)).await.unwrap();
        // Now that it is connected there, it forgets the other one.
        send_addresses(&mut stream, &[new.to_string()]).await;
        in_time(link.state.clone().wait_for(|state| state.addresses == addresses(&[new]))).await.unwrap();
    };
    in_time(async { tokio::join!(client.connection(), serving) }).await;
}

#[test]
fn addresses_of_an_older_record_are_read() {
    let authority = Authority::generate(now(), LIVES).unwrap();
    for text in ["coordinator.example:8271", "a.example:1,b.example:2"] {
        let identity = identity(&authority, now(), text.parse().unwrap());
        let record: serde_json::Value = serde_json::from_slice(identity.encode().unwrap().expose()).unwrap();
        assert_eq!((&record["format"], &record["address"]), (&1.into(), &text.into()));
        let restored = WorkerIdentity::restored(&serde_json::to_vec(&record).unwrap()).unwrap();
        assert_eq!(restored.addresses.to_string(), text);
    }
}
