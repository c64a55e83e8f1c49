use std::net::Ipv4Addr;

use deputy_core::{Limit, SomeLimits};
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream as Served;

use super::*;
use crate::frame::{FROM_WORKER, Frames, encode};
use crate::message::{Bound, Certified, Complete, Down, ReceiverLimits, Reply, Request, Up};
use crate::name::WorkerId;
use crate::server::Tls;
use crate::{Authority, Key, Lives, Requested};

struct Nowhere;

#[async_trait]
impl Keep for Nowhere {
    async fn keep(&self, _: &Identity) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "certificates of now")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
}

fn identity(authority: &Authority, address: String) -> Identity {
    let (key, worker) = (Key::new().unwrap(), WorkerId::from_bytes([7; 8]));
    let request = Requested::new(&key.request().unwrap()).unwrap();
    let certified = Certified {
        certificate: authority.certify(now(), worker, &request).unwrap().to_vec(),
        worker: worker.to_string(),
        group: "analytics".to_owned(),
        sequence: 0,
        authorities: authority.trusted().iter().map(|der| der.to_vec()).collect(),
    };
    Identity::new(certified, key, address).unwrap()
}

/// An authority, and where its coordinator would be.
async fn place() -> (Authority, TcpListener) {
    let lives = Lives { authority: Span::secs(864_000), worker: Span::secs(86_400) };
    (Authority::found(now(), lives).unwrap(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap())
}

fn client(authority: &Authority, listener: &TcpListener) -> (Client, Link) {
    Client::new(Options {
        identity: identity(authority, listener.local_addr().unwrap().to_string()),
        keep: Arc::new(Nowhere),
        wanted: BTreeSet::new(),
        held: Held::default(),
        version: String::new(),
        host: String::new(),
        clock: now,
        seed: 1,
    })
}

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
    let (authority, listener) = place().await;
    let tls = Tls::new(now(), &authority).unwrap();
    let (mut client, mut link) = client(&authority, &listener);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
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
    client.identity = identity(&authority, client.identity.address.clone());
    client.tls = None;
    let serving = async { accept(&listener, &tls).await.get_ref().1.handshake_kind() };
    let (_, kind) = tokio::join!(client.connection(), serving);
    assert_eq!(kind, Some(HandshakeKind::Full));
}

/// The numbers are a coordinator's, and perhaps nobody's: what is not within its bounds ends the connection, and what was
/// held before stays.
#[tokio::test]
async fn limits_of_a_receiver_are_held_as_they_were_said_or_not_at_all() {
    let (authority, listener) = place().await;
    let tls = Tls::new(now(), &authority).unwrap();
    let (mut client, mut link) = client(&authority, &listener);
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
