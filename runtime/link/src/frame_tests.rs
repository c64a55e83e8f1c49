use tokio::io::AsyncWriteExt;

use super::*;
use crate::message::{Applied, Down, Join, Known, Ping, Reply, Request, Up, Update};

fn applied(failure: &str) -> Up {
    let what = Known { instance: "s3-prod".to_owned(), revision: 7, obtained_ms: 8 };
    Request::Applied(Applied { what: Some(what), failure: failure.to_owned() }).into()
}

async fn read(bytes: &[u8], limit: usize) -> Result<Option<Up>, FrameError> {
    Frames::default().next(&mut &*bytes, limit).await
}

#[tokio::test]
async fn messages_come_out_as_they_went_in_however_they_are_cut() {
    let messages = [applied(""), applied(&"why ".repeat(5000)), Request::Ping(Ping {}).into(), applied("x")];
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
                assert_eq!(frames.next::<Up>(&mut near, FROM_WORKER).await.unwrap().as_ref(), Some(message));
            }
            assert_eq!(frames.next::<Up>(&mut near, FROM_WORKER).await.unwrap(), None);
        };
        tokio::join!(writing, reading);
        assert!(frames.buffer.capacity() <= LITTLE, "an idle connection holds next to no buffer");
    }
}

#[tokio::test]
async fn frames_that_are_sent_together_come_apart_again() {
    let messages = [applied(""), Request::Ping(Ping {}).into(), applied("why")];
    let all = joined(&messages.each_ref().map(encode));
    let (mut frames, mut stream) = (Frames::default(), &*all);
    for message in &messages {
        assert_eq!(frames.next::<Up>(&mut stream, FROM_WORKER).await.unwrap().as_ref(), Some(message));
    }
    assert_eq!(frames.next::<Up>(&mut stream, FROM_WORKER).await.unwrap(), None);
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
    assert_eq!(read(&frame, FROM_WORKER).await.unwrap(), Some(Up { request: None }));
}

#[test]
fn no_message_shows_a_payload_or_a_secret() {
    const CANARY: &[u8] = b"canary-of-the-link";
    let join = Join { token: vec![1; 8], secret: CANARY.to_vec(), request: vec![2; 9] };
    let update = Update { instance: "s3-prod".to_owned(), payload: CANARY.to_vec(), ..Update::default() };
    let shown = [
        format!("{:?}", Up::from(Request::Join(join.clone()))),
        format!("{:#?}", Request::Join(join)),
        format!("{:?}", Down::from(Reply::Update(update.clone()))),
        format!("{:#?}", Reply::Update(update)),
    ];
    let listed = format!("{CANARY:?}");
    let listed = listed.trim_matches(['[', ']']);
    for text in shown {
        assert!(!text.contains("canary") && !text.contains(listed) && !text.contains("99"), "{text}");
    }
}
