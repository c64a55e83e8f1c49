//! Frames: the length of a message as four bytes, the greatest first, and then the message.
//!
//! Why no HTTP/2 under it: the link is one stream of messages each way between two programs of ours, and a connection
//! cost a coordinator 14 KB this way against 44 KB with gRPC's buffers, a push 14 µs against 23 (docs/performance.md has
//! the figures). The messages are protocol buffers all the same, so that any language can speak them.
//!
//! A frame is written from one allocation that is wiped when the last stream has sent it. What is read goes into a buffer
//! that is wiped, too, and that is given back when it is empty: an idle connection holds next to none. A reader is at most
//! one frame ahead, so that many small frames cost no more than their bytes.

use std::io;

use bytes::{BufMut, Bytes};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::coop::consume_budget;
use zeroize::Zeroizing;

/// The longest frame that somebody may send who has no certificate.
pub(crate) const FROM_STRANGER: usize = 8 << 10;

/// The longest frame that a worker may send: what it has of some thousand instances.
pub(crate) const FROM_WORKER: usize = 256 << 10;

/// The longest frame that a coordinator may send: the largest payload that a configuration allows, and what is around it.
pub(crate) const FROM_COORDINATOR: usize = (16 << 20) + (64 << 10);

/// A frame breaks the rules: the connection ends.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is longer than it may be.
    #[error("a frame of {length} bytes, where {limit} are allowed")]
    Size {
        /// Its length.
        length: usize,
        /// The longest that is allowed here.
        limit: usize,
    },
    /// It holds no message.
    #[error("a frame that is no message")]
    Message,
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A message as it goes over the wire, to be shared by all who get it.
pub fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    // Of the right size from the start: what grows leaves copies behind.
    let mut frame = Zeroizing::new(Vec::with_capacity(4 + length));
    frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    message.encode_raw(&mut *frame);
    Bytes::from_owner(Wiped(frame))
}

/// Frames as one piece, to be written at once.
pub(crate) fn joined(frames: &[Bytes]) -> Bytes {
    let mut all = Zeroizing::new(Vec::with_capacity(frames.iter().map(Bytes::len).sum()));
    frames.iter().for_each(|frame| all.extend_from_slice(frame));
    Bytes::from_owner(Wiped(all))
}

struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Takes frames out of a stream.
///
/// What was taken stays in the buffer until there is nothing after it, or more is to be read: a frame costs what it is
/// long, however many of them come at once. No more than [`AHEAD`] bytes are read beyond the frame that is wanted.
#[derive(Default)]
pub struct Frames {
    buffer: Zeroizing<Vec<u8>>,
    /// Where the next frame begins.
    start: usize,
}

/// Bytes that may be read beyond the frame that is wanted, and what is asked for at first: most of what a worker says is
/// shorter.
const AHEAD: usize = 128;

/// Bytes of one read.
const READ: usize = 64 << 10;

impl Frames {
    /// The next message; nothing at the end of the stream. May be dropped and called again. It yields now and then,
    /// however much is there to be read.
    ///
    /// # Errors
    /// If the frame is too long or no message, or the stream breaks or ends within a frame.
    pub async fn next<M: Message + Default>(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        limit: usize,
    ) -> Result<Option<M>, FrameError> {
        consume_budget().await;
        loop {
            let buffered = self.unread().len();
            let wanted = match self.length(limit)? {
                Some(length) if buffered >= 4 + length => return self.take(length).map(Some),
                Some(length) => 4 + length - buffered,
                None => AHEAD,
            };
            let wanted = wanted.clamp(AHEAD, READ);
            self.reserve(wanted);
            if stream.read_buf(&mut (&mut *self.buffer).limit(wanted)).await? == 0 {
                return if buffered == 0 { Ok(None) } else { Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into())) };
            }
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn length(&self, limit: usize) -> Result<Option<usize>, FrameError> {
        let Some(length) = self.unread().first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > limit { Err(FrameError::Size { length, limit }) } else { Ok(Some(length)) }
    }

    /// Makes room for `more` bytes. A buffer that moves is wiped where it was.
    fn reserve(&mut self, more: usize) {
        if self.buffer.capacity() - self.buffer.len() < more {
            let unread = self.unread();
            let mut larger = Zeroizing::new(Vec::with_capacity((unread.len() + more).next_power_of_two()));
            larger.extend_from_slice(unread);
            self.replace(larger);
        }
    }

    fn take<M: Message + Default>(&mut self, length: usize) -> Result<M, FrameError> {
        let bytes = self.unread().get(4..4 + length).unwrap_or_default();
        let message = M::decode(bytes).map_err(|_| FrameError::Message);
        self.start += 4 + length;
        self.release();
        message
    }

    /// Gives a large buffer back, or one of which nothing is unread. At most [`AHEAD`] bytes are moved.
    fn release(&mut self) {
        if self.unread().is_empty() {
            self.replace(Zeroizing::default());
        } else if self.buffer.capacity() > 2 * AHEAD {
            self.replace(Zeroizing::new(self.unread().to_vec()));
        }
    }

    fn replace(&mut self, buffer: Zeroizing<Vec<u8>>) {
        self.buffer = buffer;
        self.start = 0;
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
