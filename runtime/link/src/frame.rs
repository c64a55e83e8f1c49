//! Frames: the length of a message as four big-endian bytes, and the message.
//!
//! The link does not use HTTP/2: it is one stream of messages each way between two programs of ours. A connection costs a
//! coordinator a third of the memory that gRPC's buffers take, and a push half of the time (docs/performance.md). The
//! messages are still protocol buffers, for clients in other languages.
//!
//! All streams write a frame from one allocation, which is wiped when the last one has sent it. Reads go into a buffer that
//! is wiped as well, and freed when it is empty, so that an idle connection holds next to none. A reader is at most one
//! frame ahead, so that many small frames cost no more than their bytes.

use std::io;

use bytes::{BufMut, Bytes};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::coop::consume_budget;
use zeroize::Zeroizing;

/// The longest frame of an unauthenticated peer.
pub(crate) const MAX_UNAUTHENTICATED_FRAME: usize = 8 << 10;

/// The longest frame of a worker: the known leases of some thousand instances.
pub(crate) const MAX_WORKER_FRAME: usize = 256 << 10;

/// The longest frame of a coordinator: the largest payload that a configuration allows, and its message.
pub(crate) const MAX_COORDINATOR_FRAME: usize = (16 << 20) + (64 << 10);

/// A frame is invalid: the connection ends.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {length} bytes exceeds the limit of {limit}")]
    Size { length: usize, limit: usize },
    #[error("a frame holds no valid message")]
    Message,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Encodes a message as a frame, which many streams can share.
pub fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    // With its final capacity, since reallocation leaves copies behind.
    let mut frame = Zeroizing::new(Vec::with_capacity(4 + length));
    frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    message.encode_raw(&mut *frame);
    Bytes::from_owner(WipedFrame(frame))
}

/// Joins frames, to write them at once.
pub(crate) fn joined(frames: &[Bytes]) -> Bytes {
    let mut bytes = Zeroizing::new(Vec::with_capacity(frames.iter().map(Bytes::len).sum()));
    frames.iter().for_each(|frame| bytes.extend_from_slice(frame));
    Bytes::from_owner(WipedFrame(bytes))
}

struct WipedFrame(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for WipedFrame {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads frames from a stream.
///
/// A frame that was taken stays in the buffer until nothing follows it or more must be read, so that the cost of a frame is
/// its length, however many arrive at once. At most [`AHEAD`] bytes are read beyond the wanted frame.
#[derive(Default)]
pub struct Frames {
    buffer: Zeroizing<Vec<u8>>,
    /// The offset of the next frame.
    start: usize,
}

/// Bytes that may be read beyond the wanted frame, and of the first read: most messages of a worker are shorter.
const AHEAD: usize = 128;

/// The longest read.
const READ: usize = 64 << 10;

impl Frames {
    /// The next message, or `None` at the end of the stream. Cancel-safe. It yields to other tasks now and then, however much
    /// there is to read.
    ///
    /// # Errors
    /// If the frame is too long or holds no message, or if the stream breaks or ends within a frame.
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

    /// Makes room for `more` bytes. Wipes a buffer that it replaces.
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

    /// Frees a large buffer, and one without unread bytes. Moves at most [`AHEAD`] bytes.
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
mod tests;
