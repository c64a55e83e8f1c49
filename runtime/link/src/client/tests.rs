use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Mutex;

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

const LIVES: Lives = Lives { authority: Span::secs(864_000), worker: Span::secs(86_400) };

fn certified(authority: &Authority, now: Timestamp, sequence: u64, request: &[u8]) -> Certified {
    let worker = WorkerId::from_bytes([7; 8]);
    Certified {
        certificate: authority.certify(now, worker, &Requested::new(request).unwrap()).unwrap().to_vec(),
        worker: worker.to_string(),
        group: "analytics".to_owned(),
        sequence,
        authorities: authority.trusted().iter().map(|der| der.to_vec()).collect(),
    }
}

fn identity(authority: &Authority, now: Timestamp, address: String) -> Identity {
    let key = Key::new().unwrap();
    Identity::new(certified(authority, now, 0, &key.request().unwrap()), key, address).unwrap()
}

fn client(identity: Identity, keep: Arc<dyn Keep>) -> (Client, Link) {
    Client::new(Options {
        identity,
        keep,
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
