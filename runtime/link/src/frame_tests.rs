use tokio::io::AsyncWriteExt;

use super::*;
use crate::message::{
    ApplyReport, Authorities, Certified, ClientMessage, ClientMessageKind, ComponentChunk, FetchComponent,
    GroupInstances, Join, KnownLease, LeaseUpdate, LeaseWithdrawn, Ping, ReceiverBound, Refusal, RenewCertificate,
    ServerMessage, ServerMessageKind, Shutdown, SnapshotEnd, Subscribe, Welcome,
};

fn applied(failure: &str) -> ClientMessage {
    let what = KnownLease { instance: "s3-prod".to_owned(), revision: 7, obtained_ms: 8 };
    ClientMessageKind::ApplyReport(ApplyReport { lease: Some(what), failure: failure.to_owned() }).into()
}

async fn read(bytes: &[u8], limit: usize) -> Result<Option<ClientMessage>, FrameError> {
    Frames::default().next(&mut &*bytes, limit).await
}

#[tokio::test]
async fn messages_come_out_as_they_went_in_however_they_are_cut() {
    let messages = [applied(""), applied(&"why ".repeat(5000)), ClientMessageKind::Ping(Ping {}).into(), applied("x")];
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
                assert_eq!(frames.next::<ClientMessage>(&mut near, FROM_WORKER).await.unwrap().as_ref(), Some(message));
            }
            assert_eq!(frames.next::<ClientMessage>(&mut near, FROM_WORKER).await.unwrap(), None);
        };
        tokio::join!(writing, reading);
        assert!(frames.buffer.capacity() <= AHEAD, "an idle connection holds next to no buffer");
    }
}

#[tokio::test]
async fn frames_that_are_sent_together_come_apart_again() {
    let messages = [applied(""), ClientMessageKind::Ping(Ping {}).into(), applied("why")];
    let all = joined(&messages.each_ref().map(encode));
    let (mut frames, mut stream) = (Frames::default(), &*all);
    for message in &messages {
        assert_eq!(frames.next::<ClientMessage>(&mut stream, FROM_WORKER).await.unwrap().as_ref(), Some(message));
    }
    assert_eq!(frames.next::<ClientMessage>(&mut stream, FROM_WORKER).await.unwrap(), None);
}

#[tokio::test]
async fn a_frame_is_refused_by_its_length_before_it_is_read() {
    let frame = encode(&applied(&"x".repeat(100)));
    let length = frame.len() - 4;
    assert!(read(&frame, length).await.is_ok());
    assert!(matches!(read(&frame[..4], length - 1).await, Err(FrameError::Size { length: l, .. }) if l == length));
    assert!(matches!(read(&[0xff; 4], FROM_WORKER).await, Err(FrameError::Size { .. })));
}

#[tokio::test]
async fn garbage_is_no_message_and_half_a_frame_no_end() {
    assert!(matches!(read(&[0, 0, 0, 2, 0xff, 0xff], FROM_WORKER).await, Err(FrameError::Message)));
    let frame = encode(&applied("x"));
    for end in 1..frame.len() {
        let error = read(&frame[..end], FROM_WORKER).await.unwrap_err();
        assert!(matches!(error, FrameError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof), "{end}");
    }
    assert_eq!(read(&[], FROM_WORKER).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_later_version_says_is_skipped() {
    // Field 99 with a length of 3, which nobody knows.
    let frame = [0, 0, 0, 6, 0x9a, 0x06, 3, 1, 2, 3];
    assert_eq!(read(&frame, FROM_WORKER).await.unwrap(), Some(ClientMessage { kind: None }));
}

/// A large frame, and after it as many empty ones as fit into twice that size.
fn flood(size: usize) -> (Vec<u8>, usize) {
    let large = encode(&applied(&"x".repeat(size - 100)));
    let count = size / 4;
    ([&large[..], &vec![0; 4 * count]].concat(), 1 + count)
}

/// A stream that counts how often it was read.
struct Counted<'b> {
    bytes: &'b [u8],
    reads: usize,
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        self.reads += 1;
        std::pin::Pin::new(&mut self.bytes).poll_read(context, buffer)
    }
}

/// Each frame that is taken moves at most the bytes that were read ahead of it, so the flood costs what it is long.
#[tokio::test]
async fn frame_flood_is_read_no_further_than_one_frame_ahead() {
    for size in [FROM_WORKER, FROM_COORDINATOR] {
        let (bytes, count) = flood(size);
        let (mut stream, mut frames) = (Counted { bytes: &bytes, reads: 0 }, Frames::default());
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
#[expect(clippy::disallowed_methods, reason = "a test runs beside what it tests")]
async fn frame_flood_lets_other_tasks_of_its_thread_run() {
    let turns = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    // Of its own, since the budget belongs to a task.
    let flood = tokio::spawn(async {
        let (bytes, _) = flood(FROM_WORKER);
        let (mut stream, mut frames) = (&*bytes, Frames::default());
        while frames.next::<ClientMessage>(&mut stream, FROM_WORKER).await.unwrap().is_some() {}
    });
    flood.await.unwrap();
    other.abort();
    let turns = turns.load(std::sync::atomic::Ordering::Relaxed);
    assert!(turns > 100, "{turns}");
}

const CANARY: &[u8] = b"canary-of-the-link";

/// Each message that a worker sends, with a canary wherever it holds bytes.
fn requests() -> Vec<ClientMessageKind> {
    let (bytes, known) = (CANARY.to_vec(), KnownLease::default());
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
    // Whoever adds a message adds it to both.
    assert!(all.iter().map(number).eq(0..6));
    all
}

/// The same of a coordinator.
fn replies() -> Vec<ServerMessageKind> {
    let (bytes, list) = (CANARY.to_vec(), vec![CANARY.to_vec()]);
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
    };
    assert!(all.iter().map(number).eq(0..12));
    all
}

#[test]
fn no_message_shows_a_payload_a_secret_or_any_other_bytes() {
    let listed = format!("{CANARY:?}");
    let (listed, line) = (listed.trim_matches(['[', ']']).to_owned(), format!("{},", CANARY[0]));
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
