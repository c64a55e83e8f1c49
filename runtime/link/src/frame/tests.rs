use tokio::io::AsyncWriteExt;

use super::*;
use crate::message::{
    Addresses, ApplyReport, Authorities, Certified, ClientMessage, ClientMessageKind, ComponentChunk, FetchComponent,
    GroupInstances, Join, KnownLease, LeaseUpdate, LeaseWithdrawn, Ping, ReceiverBound, Refusal, RenewCertificate,
    ServerMessage, ServerMessageKind, Shutdown, SnapshotEnd, Subscribe, Welcome,
};

fn report(failure: &str) -> ClientMessage {
    let what = KnownLease { instance: "s3-prod".to_owned(), revision: 7, obtained_ms: 8 };
    ClientMessageKind::ApplyReport(ApplyReport { lease: Some(what), failure: failure.to_owned() }).into()
}

async fn read(bytes: &[u8], limit: usize) -> Result<Option<ClientMessage>, FrameError> {
    Frames::default().next(&mut &*bytes, limit).await
}

#[tokio::test]
async fn frames_survive_any_split_of_the_stream() {
    let messages = [report(""), report(&"why ".repeat(5000)), ClientMessageKind::Ping(Ping {}).into(), report("x")];
    let whole: Vec<u8> = messages.iter().flat_map(|message| encode(message).to_vec()).collect();
    for size in [1, 2, 3, 5, 100, 4096, whole.len()] {
        let (mut near, mut far) = tokio::io::duplex(64 << 10);
        let pieces = whole.clone();
        let writing = async move {
            for piece in pieces.chunks(size) {
                far.write_all(piece).await.unwrap();
            }
        };
        let mut frames = Frames::default();
        let reading = async {
            for message in &messages {
                assert_eq!(
                    frames.next::<ClientMessage>(&mut near, MAX_WORKER_FRAME).await.unwrap().as_ref(),
                    Some(message)
                );
            }
            assert_eq!(frames.next::<ClientMessage>(&mut near, MAX_WORKER_FRAME).await.unwrap(), None);
        };
        tokio::join!(writing, reading);
        assert!(frames.buffer.capacity() <= AHEAD, "an idle connection holds next to no memory");
    }
}

#[tokio::test]
async fn frames_that_are_joined_are_read_apart() {
    let messages = [report(""), ClientMessageKind::Ping(Ping {}).into(), report("why")];
    let all = joined(&messages.each_ref().map(encode));
    let mut frames = Frames::default();
    let mut stream = &*all;
    for message in &messages {
        assert_eq!(frames.next::<ClientMessage>(&mut stream, MAX_WORKER_FRAME).await.unwrap().as_ref(), Some(message));
    }
    assert_eq!(frames.next::<ClientMessage>(&mut stream, MAX_WORKER_FRAME).await.unwrap(), None);
}

#[tokio::test]
async fn frame_length_is_checked_before_it_is_read() {
    let frame = encode(&report(&"x".repeat(100)));
    let length = frame.len() - 4;
    assert!(read(&frame, length).await.is_ok());
    assert!(matches!(read(&frame[..4], length - 1).await, Err(FrameError::Size { length: l, .. }) if l == length));
    assert!(matches!(read(&[0xff; 4], MAX_WORKER_FRAME).await, Err(FrameError::Size { .. })));
}

#[tokio::test]
async fn frame_of_garbage_and_truncated_frame_are_errors() {
    assert!(matches!(read(&[0, 0, 0, 2, 0xff, 0xff], MAX_WORKER_FRAME).await, Err(FrameError::Message)));
    let frame = encode(&report("x"));
    for end in 1..frame.len() {
        let error = read(&frame[..end], MAX_WORKER_FRAME).await.unwrap_err();
        assert!(matches!(error, FrameError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof), "{end}");
    }
    assert_eq!(read(&[], MAX_WORKER_FRAME).await.unwrap(), None);
}

#[tokio::test]
async fn frame_with_an_unknown_field_is_read() {
    // Field 99 with 3 bytes, which no version defines.
    let frame = [0, 0, 0, 6, 0x9a, 0x06, 3, 1, 2, 3];
    assert_eq!(read(&frame, MAX_WORKER_FRAME).await.unwrap(), Some(ClientMessage { kind: None }));
}

/// A large frame, and empty frames of the same size in all.
fn flood(size: usize) -> (Vec<u8>, usize) {
    let large = encode(&report(&"x".repeat(size - 100)));
    let count = size / 4;
    ([&large[..], &vec![0; 4 * count]].concat(), 1 + count)
}

struct CountingStream<'b> {
    bytes: &'b [u8],
    reads: usize,
}

impl AsyncRead for CountingStream<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        self.reads += 1;
        std::pin::Pin::new(&mut self.bytes).poll_read(context, buffer)
    }
}

/// Taking a frame moves at most the bytes that were read ahead, so the cost of a flood is its length.
#[tokio::test]
async fn frame_flood_is_read_no_further_than_one_frame_ahead() {
    for size in [MAX_WORKER_FRAME, MAX_COORDINATOR_FRAME] {
        let (bytes, count) = flood(size);
        let mut stream = CountingStream { bytes: &bytes, reads: 0 };
        let mut frames = Frames::default();
        for number in 0..count {
            assert!(frames.next::<ClientMessage>(&mut stream, size).await.unwrap().is_some());
            let ahead = frames.unread().len();
            assert!(ahead <= AHEAD && frames.buffer.capacity() <= 2 * AHEAD, "{number}: {ahead}");
        }
        assert!(frames.next::<ClientMessage>(&mut stream, size).await.unwrap().is_none());
        assert!(stream.reads <= size / READ + 4 * count / AHEAD + 16, "{}", stream.reads);
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test with two tasks")]
async fn frame_flood_lets_other_tasks_of_its_thread_run() {
    let turns = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    // A task of its own, since the budget belongs to a task.
    let flood = tokio::spawn(async {
        let (bytes, _) = flood(MAX_WORKER_FRAME);
        let mut stream = &*bytes;
        let mut frames = Frames::default();
        while frames.next::<ClientMessage>(&mut stream, MAX_WORKER_FRAME).await.unwrap().is_some() {}
    });
    flood.await.unwrap();
    other.abort();
    let turns = turns.load(std::sync::atomic::Ordering::Relaxed);
    assert!(turns > 100, "{turns}");
}

const CANARY: &[u8] = b"canary-of-the-link";

/// Each message of a worker, with a canary in each bytes field.
fn requests() -> Vec<ClientMessageKind> {
    let bytes = CANARY.to_vec();
    let known = KnownLease::default();
    let all = vec![
        ClientMessageKind::Join(Join { token: bytes.clone(), secret: bytes.clone(), request: bytes.clone() }),
        ClientMessageKind::RenewCertificate(RenewCertificate { sequence: 1, request: bytes.clone() }),
        ClientMessageKind::Subscribe(Subscribe { known: vec![known.clone()], ..Subscribe::default() }),
        ClientMessageKind::ApplyReport(ApplyReport { lease: Some(known), failure: String::new() }),
        ClientMessageKind::FetchComponent(FetchComponent { digest: bytes }),
        ClientMessageKind::Ping(Ping {}),
    ];
    let number = |request: &ClientMessageKind| match request {
        ClientMessageKind::Join(_) => 0,
        ClientMessageKind::RenewCertificate(_) => 1,
        ClientMessageKind::Subscribe(_) => 2,
        ClientMessageKind::ApplyReport(_) => 3,
        ClientMessageKind::FetchComponent(_) => 4,
        ClientMessageKind::Ping(_) => 5,
    };
    // A new message belongs into both lists.
    assert!(all.iter().map(number).eq(0..6));
    all
}

/// Each message of a coordinator, likewise.
fn replies() -> Vec<ServerMessageKind> {
    let bytes = CANARY.to_vec();
    let list = vec![CANARY.to_vec()];
    let certified = Certified { certificate: bytes.clone(), authorities: list.clone(), ..Certified::default() };
    let all = vec![
        ServerMessageKind::Certified(certified),
        ServerMessageKind::Refusal(Refusal::default()),
        ServerMessageKind::Welcome(Welcome::default()),
        ServerMessageKind::LeaseUpdate(LeaseUpdate { payload: bytes.clone(), ..LeaseUpdate::default() }),
        ServerMessageKind::LeaseWithdrawn(LeaseWithdrawn::default()),
        ServerMessageKind::ReceiverBound(ReceiverBound { component: bytes.clone(), ..ReceiverBound::default() }),
        ServerMessageKind::SnapshotEnd(SnapshotEnd::default()),
        ServerMessageKind::Authorities(Authorities { certificates: list }),
        ServerMessageKind::ComponentChunk(ComponentChunk { digest: bytes.clone(), size: 1, bytes }),
        ServerMessageKind::Pong(Ping {}),
        ServerMessageKind::Shutdown(Shutdown::default()),
        ServerMessageKind::GroupInstances(GroupInstances::default()),
        ServerMessageKind::Addresses(Addresses::default()),
    ];
    let number = |reply: &ServerMessageKind| match reply {
        ServerMessageKind::Certified(_) => 0,
        ServerMessageKind::Refusal(_) => 1,
        ServerMessageKind::Welcome(_) => 2,
        ServerMessageKind::LeaseUpdate(_) => 3,
        ServerMessageKind::LeaseWithdrawn(_) => 4,
        ServerMessageKind::ReceiverBound(_) => 5,
        ServerMessageKind::SnapshotEnd(_) => 6,
        ServerMessageKind::Authorities(_) => 7,
        ServerMessageKind::ComponentChunk(_) => 8,
        ServerMessageKind::Pong(_) => 9,
        ServerMessageKind::Shutdown(_) => 10,
        ServerMessageKind::GroupInstances(_) => 11,
        ServerMessageKind::Addresses(_) => 12,
    };
    assert!(all.iter().map(number).eq(0..13));
    all
}

#[test]
fn message_debug_shows_no_bytes() {
    let listed = format!("{CANARY:?}");
    let listed = listed.trim_matches(['[', ']']).to_owned();
    let line = format!("{},", CANARY[0]);
    let requests = requests().into_iter().flat_map(|request| {
        [format!("{request:?}"), format!("{request:#?}"), format!("{:?}", ClientMessage::from(request))]
    });
    let replies = replies()
        .into_iter()
        .flat_map(|reply| [format!("{reply:?}"), format!("{reply:#?}"), format!("{:?}", ServerMessage::from(reply))]);
    for text in requests.chain(replies) {
        assert!(!text.contains("canary") && !text.contains(&listed) && !text.contains(&line), "{text}");
    }
}
