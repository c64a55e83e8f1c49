//! Fetching from a connected coordinator.

use deputy_core::Digest;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::*;
use crate::message::{ComponentChunk, Ping};
use deputy_support::{sha256, timer_now};

/// Its first half is sent at once.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

fn digest() -> Digest {
    sha256(&COMPONENT)
}

async fn reply(stream: &mut Served<TcpStream>, reply: ServerMessageKind) {
    stream.write_all(&encode(&ServerMessage::from(reply))).await.unwrap();
    stream.flush().await.unwrap();
}

async fn send(stream: &mut Served<TcpStream>, bytes: &[u8]) {
    let digest = digest().as_bytes().to_vec();
    let size = COMPONENT.len() as u64;
    reply(stream, ServerMessageKind::ComponentChunk(ComponentChunk { digest, size, bytes: bytes.to_vec() })).await;
}

/// Sends the first half of the component for each request and, after the next of `rests`, the second half.
async fn serve(mut stream: Served<TcpStream>, rests: [Duration; 2]) {
    let (first, second) = COMPONENT.split_at(4);
    let mut frames = Frames::default();
    let mut rests = rests.into_iter();
    let mut due: Option<Instant> = None;
    loop {
        tokio::select! {
            up = frames.next::<ClientMessage>(&mut stream, MAX_WORKER_FRAME) => match up.unwrap().unwrap().kind.unwrap() {
                ClientMessageKind::Ping(_) => reply(&mut stream, ServerMessageKind::Pong(Ping {})).await,
                ClientMessageKind::FetchComponent(_) => {
                    send(&mut stream, first).await;
                    due = rests.next().map(|rest| timer_now() + rest);
                }
                other => panic!("{other:?}"),
            },
            () = sleep_until(due.unwrap_or_else(timer_now)), if due.is_some() => {
                send(&mut stream, second).await;
                due = None;
            }
        }
    }
}

#[tokio::test]
async fn fetch_of_a_slow_component_succeeds_and_a_stalled_one_fails() {
    let authority = Authority::generate(now(), LIVES).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let address = listener.local_addr().unwrap();
    let (mut client, mut link) = client(identity(&authority, now(), addresses(&[address])), Arc::new(NoIdentityStore));
    client.fetches = Fetches::new(Duration::from_millis(600));
    let mut beside = JoinSet::new();
    beside.spawn(async move {
        client.run().await;
    });
    let stream = accept(&listener, &tls).await;
    link.state.wait_for(|state| state.phase == LinkPhase::Connected).await.unwrap();
    beside.spawn(serve(stream, [Duration::from_millis(200), Duration::from_secs(3600)]));

    let ask = || timeout(Duration::from_secs(20), link.fetch(digest()));
    assert_eq!(ask().await.unwrap().unwrap(), COMPONENT[..]);
    let error = ask().await.unwrap().unwrap_err();
    assert!(matches!(error, FetchError::Stalled(stalled) if stalled == digest()), "{error}");
    assert_eq!(link.state.borrow().phase, LinkPhase::Connected, "deliveries continue");
}
