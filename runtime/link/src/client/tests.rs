use std::net::Ipv4Addr;

use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream as Served;

use super::*;
use crate::frame::{FROM_WORKER, Frames, encode};
use crate::message::{Certified, Complete, Down, Reply, Request, Up};
use crate::name::WorkerId;
use crate::server::Tls;
use crate::{Authority, Key, Lives, Requested};

#[path = "fetch_tests.rs"]
mod fetch;

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

/// A worker that holds nothing yet.
fn client(identity: Identity) -> (Client, Link) {
    Client::new(Options {
        identity,
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
    let lives = Lives { authority: Span::secs(864_000), worker: Span::secs(86_400) };
    let authority = Authority::found(now(), lives).unwrap();
    let kept = authority.encode().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (mut client, mut link) = client(identity(&authority, listener.local_addr().unwrap().to_string()));
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        // A coordinator that was restarted meanwhile, or another one.
        let restored = Authority::restored(kept.expose(), lives).unwrap();
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
    client.identity = identity(&authority, client.identity.address.clone());
    client.tls = None;
    let tls = Tls::new(now(), &authority, now).unwrap();
    let serving = async { accept(&listener, &tls).await.get_ref().1.handshake_kind() };
    let (_, kind) = tokio::join!(client.connection(), serving);
    assert_eq!(kind, Some(HandshakeKind::Full));
}
