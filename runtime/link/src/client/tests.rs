use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use deputy_core::{Limit, SomeLimits};
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream as Served;

use super::*;
use crate::Authority;
use crate::frame::{FROM_WORKER, Frames, encode};
use crate::message::{Bound, Complete, Down, ReceiverLimits, Reply, Request, Up};
use crate::server::Tls;
use crate::testing::{LIVES, Nowhere, certified, client, identity, now};

#[path = "fetch_tests.rs"]
mod fetch;

/// Lets a worker in, and hears what it wants.
async fn accept(listener: &TcpListener, tls: &Tls) -> Served<TcpStream> {
    let (socket, _) = listener.accept().await.unwrap();
    let mut stream = TlsAcceptor::from(tls.config()).accept(socket).await.unwrap();
    let up: Up = Frames::default().next(&mut stream, FROM_WORKER).await.unwrap().unwrap();
    assert!(matches!(up.request, Some(Request::Subscribe(_))));
    let complete = encode(&Down::from(Reply::Complete(Complete::default())));
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
        let tls = Tls::new(now(), &restored, now).unwrap();
        let coming = client.connection();
        let serving = async {
            let stream = accept(&listener, &tls).await;
            link.state.wait_for(|state| state.phase == Phase::Connected).await.unwrap();
            stream.get_ref().1.handshake_kind()
        };
        let (_, kind) = tokio::join!(coming, serving);
        assert_eq!(kind, Some(expected));
        client.enter(Phase::Connecting, None);
    }
    client.identity = identity(&authority, now(), client.identity.address.clone());
    client.tls = None;
    let tls = Tls::new(now(), &authority, now).unwrap();
    let serving = async { accept(&listener, &tls).await.get_ref().1.handshake_kind() };
    let (_, kind) = tokio::join!(client.connection(), serving);
    assert_eq!(kind, Some(HandshakeKind::Full));
}

/// Fails when it is told to, and else keeps.
struct Fragile {
    fails: Mutex<VecDeque<bool>>,
    kept: Mutex<Identity>,
}

#[async_trait]
impl Keep for Fragile {
    async fn keep(&self, identity: &Identity) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.fails.lock().unwrap().pop_front().unwrap_or_default() {
            return Err("the disk is full".into());
        }
        *self.kept.lock().unwrap() = identity.clone();
        Ok(())
    }
}

#[tokio::test]
async fn who_can_t_write_down_who_it_becomes_stays_who_it_was_and_repeats_itself() {
    let authority = Authority::found(now().minus(Span::secs(80_000)), LIVES).unwrap();
    let tls = Tls::new(now(), &authority, now).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    // Its certificate is to be renewed now.
    let before = now().minus(Span::secs(60_000));
    let identity = identity(&authority, before, listener.local_addr().unwrap().to_string());
    let fails = Mutex::new(VecDeque::from([true, false, true]));
    let keep = Arc::new(Fragile { fails, kept: Mutex::new(identity.clone()) });
    let (mut client, _link) = client(identity, Arc::clone(&keep) as _);
    let state = |client: &Client| (client.identity.sequence, client.identity.pending.clone());

    // The next key can't be written down: nobody hears of it.
    let serving = async {
        let mut stream = accept(&listener, &tls).await;
        Frames::default().next::<Up>(&mut stream, FROM_WORKER).await.ok().flatten()
    };
    let (lost, heard) = tokio::join!(client.connection(), serving);
    assert!(matches!(lost, Lost::Keep(_)) && heard.is_none(), "{lost}");
    assert!(matches!(state(&client), (0, None)));

    // Now it can, and the certificate can't. It asks again with the same key, which is what a restart would do, too.
    let mut asked = Vec::new();
    for (is_kept, sequence) in [(false, 0), (true, 1)] {
        let serving = async {
            let mut stream = accept(&listener, &tls).await;
            let up: Up = Frames::default().next(&mut stream, FROM_WORKER).await.unwrap().unwrap();
            let Some(Request::Renew(renew)) = up.request else { panic!("{up:?}") };
            let answer = certified(&authority, now(), renew.sequence, &renew.request);
            stream.write_all(&encode(&Down::from(Reply::Certified(answer)))).await.unwrap();
            if is_kept {
                while keep.kept.lock().unwrap().sequence == 0 {
                    pause(Duration::from_millis(5)).await;
                }
            } else {
                Frames::default().next::<Up>(&mut stream, FROM_WORKER).await.ok();
            }
            (renew.sequence, renew.request)
        };
        let (lost, renew) = tokio::join!(client.connection(), serving);
        assert_eq!(matches!(lost, Lost::Keep(_)), !is_kept, "{lost}");
        assert_eq!(state(&client).0, sequence);
        asked.push(renew);
    }
    assert_eq!(asked[0], asked[1]);
    let kept = keep.kept.lock().unwrap();
    assert_eq!(kept.encode().unwrap().expose(), client.identity.encode().unwrap().expose());
}

/// The numbers are a coordinator's, and perhaps nobody's: what is not within its bounds ends the connection, and what was
/// held before stays.
#[tokio::test]
async fn limits_of_a_receiver_are_held_as_they_were_said_or_not_at_all() {
    let authority = Authority::found(now(), LIVES).unwrap();
    let tls = Tls::new(now(), &authority, now).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (mut client, mut link) = client(identity(&authority, now(), address), Arc::new(Nowhere));
    let name: deputy_core::ReceiverName = "aws".parse().unwrap();
    let bound = |limits: Option<ReceiverLimits>| Bound {
        receiver: name.to_string(),
        component: vec![7; 32],
        instances: vec!["s3".to_owned()],
        limits: limits.map(Box::new),
        ..Bound::default()
    };
    let wall = |wall_ms| Some(ReceiverLimits { wall_ms: Some(wall_ms), ..ReceiverLimits::default() });
    let five_seconds = SomeLimits::new([(Limit::Wall, 5000)]).unwrap();
    let sound = [(None, SomeLimits::default()), (wall(5000), five_seconds.clone())];
    let wrong = [wall(0), wall(3_600_001), wall(u64::MAX)];
    for nonsense in wrong {
        let serving = async {
            let mut stream = accept(&listener, &tls).await;
            for (limits, expected) in sound.clone() {
                stream.write_all(&encode(&Down::from(Reply::Bound(bound(limits))))).await.unwrap();
                stream.flush().await.unwrap();
                let held = |held: &Arc<Held>| held.receivers.get(&name).is_some_and(|it| it.limits == expected);
                drop(link.held.wait_for(held).await.unwrap());
            }
            stream.write_all(&encode(&Down::from(Reply::Bound(bound(nonsense))))).await.unwrap();
            stream.flush().await.unwrap();
            stream
        };
        let (lost, _) = tokio::join!(client.connection(), serving);
        assert!(matches!(lost, Lost::Nonsense("a limit")), "{lost:?}");
        assert_eq!(link.held.borrow().receivers[&name].limits, five_seconds);
    }
}
