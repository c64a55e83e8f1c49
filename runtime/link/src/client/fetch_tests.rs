//! Components that do not come, from a coordinator that is there.

use deputy_core::Digest;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::*;
use crate::message::{ComponentChunk, Ping};
use deputy_support::timer_now;

/// What is fetched: one half of it comes at once.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

fn digest() -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &COMPONENT).as_ref());
    Digest::new(hash)
}

async fn say(stream: &mut Served<TcpStream>, reply: ServerMessageKind) {
    stream.write_all(&encode(&ServerMessage::from(reply))).await.unwrap();
    stream.flush().await.unwrap();
}

async fn send(stream: &mut Served<TcpStream>, bytes: &[u8]) {
    let (digest, size) = (digest().as_bytes().to_vec(), COMPONENT.len() as u64);
    say(stream, ServerMessageKind::ComponentChunk(ComponentChunk { digest, size, bytes: bytes.to_vec() })).await;
}

/// Each time that it is asked for the component it sends the first half and, after the next of these times, the second.
async fn serve(mut stream: Served<TcpStream>, rests: [Duration; 2]) {
    let (first, second) = COMPONENT.split_at(4);
    let (mut frames, mut rests) = (Frames::default(), rests.into_iter());
    let mut due: Option<Instant> = None;
    loop {
        tokio::select! {
            up = frames.next::<ClientMessage>(&mut stream, FROM_WORKER) => match up.unwrap().unwrap().kind.unwrap() {
                ClientMessageKind::Ping(_) => say(&mut stream, ServerMessageKind::Pong(Ping {})).await,
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
async fn a_component_of_which_nothing_more_comes_is_given_up_and_one_that_is_slow_is_not() {
    let authority = Authority::found(now(), LIVES).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let tls = ServerTls::new(now(), &authority, clock()).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (mut client, mut link) = client(identity(&authority, now(), address), Arc::new(Nowhere));
    client.fetches = Fetches::new(Duration::from_millis(600));
    let mut beside = JoinSet::new();
    beside.spawn(async move { drop(client.run().await) });
    let stream = accept(&listener, &tls).await;
    link.state.wait_for(|state| state.phase == LinkPhase::Connected).await.unwrap();
    beside.spawn(serve(stream, [Duration::from_millis(200), Duration::from_secs(3600)]));

    let ask = || timeout(Duration::from_secs(20), link.fetch(digest()));
    assert_eq!(ask().await.unwrap().unwrap(), COMPONENT[..]);
    let error = ask().await.unwrap().unwrap_err();
    assert!(matches!(error, FetchError::Stalled(stalled) if stalled == digest()), "{error}");
    assert_eq!(link.state.borrow().phase, LinkPhase::Connected, "leases go on");
}
