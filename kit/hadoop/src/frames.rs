//! Messages with their length in front, over any stream: four bytes on the wire (Hadoop RPC, HBase, Hive, Kafka), a
//! varint in front of a Protocol Buffers message inside of them.

use std::io::{self, Read, Write};

/// The largest frame that is read, in bytes. A token's answer takes a hundredth of a percent of it; what is larger is an
/// error's stack trace or an attack.
pub const MAX_FRAME: usize = 1 << 20;

/// How much is reserved before the bytes come: a length alone costs no more than this.
const FIRST_RESERVE: usize = 4096;

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FramingError {
    /// The length is above the limit.
    #[error("the server announces {length} bytes, and at most {limit} are read{}", hint(*length))]
    TooLong {
        /// What the server announces, in bytes.
        length: u32,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The length is negative.
    #[error("the server announces a negative length, {0}")]
    Negative(i32),
    /// The server closes the connection in the middle of a frame, or before it.
    #[error("the server closes the connection")]
    Closed,
    /// A message to be sent is larger than a length can say.
    #[error("a message of {0} bytes is too long to be sent")]
    Unsendable(usize),
    /// A protected message holds nothing.
    #[error("a protected message of the server is empty")]
    Empty,
    /// A message inside of a frame ends early, or its length is no varint.
    #[error("the server's message ends early")]
    Truncated,
    /// The stream fails.
    #[error(transparent)]
    Stream(#[from] io::Error),
}

impl FramingError {
    /// Whether the server speaks another protocol: the port is another service's.
    #[must_use]
    pub fn is_other_protocol(&self) -> bool {
        matches!(self, Self::TooLong { length, .. } if !hint(*length).is_empty())
    }
}

/// What a length means that is the beginning of another protocol.
fn hint(length: u32) -> &'static str {
    match length.to_be_bytes() {
        [b'H', b'T', b'T', b'P'] => ": it speaks HTTP, so this is another service's port",
        [0x15, 3, ..] => ": it speaks TLS, so this is another service's port, or its rule needs `tls`",
        _ => "",
    }
}

/// A stream that is cut into frames.
#[derive(Debug)]
pub struct FramedStream<S> {
    stream: S,
}

impl<S: Read + Write> FramedStream<S> {
    /// Cuts the stream into frames.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// The stream itself.
    #[must_use]
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream, to make a server of a test do something.
    #[cfg(test)]
    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends bytes without a length.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn send_bare(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        self.stream.write_all(bytes)?;
        self.stream.flush()?;
        Ok(())
    }

    /// Sends a message with its length in front, in one write.
    ///
    /// # Errors
    /// If the stream fails, or the message is larger than a length can say.
    pub fn send(&mut self, message: &[u8]) -> Result<(), FramingError> {
        self.send_bare(&with_length(message)?)
    }

    /// The next byte.
    ///
    /// # Errors
    /// If the stream fails or ends.
    pub fn read_byte(&mut self) -> Result<u8, FramingError> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).map_err(broken)?;
        Ok(u8::from_be_bytes(byte))
    }

    /// The next four bytes, as a number.
    ///
    /// # Errors
    /// If the stream fails or ends.
    pub fn read_int(&mut self) -> Result<i32, FramingError> {
        let mut bytes = [0; 4];
        self.stream.read_exact(&mut bytes).map_err(broken)?;
        Ok(i32::from_be_bytes(bytes))
    }

    /// The next message of at most `limit` bytes.
    ///
    /// # Errors
    /// If its length is negative or above the limit, and if the stream fails or ends.
    pub fn receive(&mut self, limit: usize) -> Result<Vec<u8>, FramingError> {
        let length = self.read_int()?;
        self.read_exactly(length, limit)
    }

    /// The next `length` bytes, at most `limit`, where the length came some other way.
    ///
    /// # Errors
    /// As for [`Self::receive`].
    pub fn read_exactly(&mut self, length: i32, limit: usize) -> Result<Vec<u8>, FramingError> {
        let size = check_length(length, limit)?;
        let mut message = Vec::with_capacity(size.min(FIRST_RESERVE));
        let mut piece = Read::by_ref(&mut self.stream).take(u64::try_from(size).unwrap_or(u64::MAX));
        piece.read_to_end(&mut message).map_err(broken)?;
        if message.len() < size { Err(FramingError::Closed) } else { Ok(message) }
    }
}

/// Pieces of a stream of frames, as they come out of a security layer.
#[derive(Debug, Default)]
pub struct FrameBuffer(Vec<u8>);

impl FrameBuffer {
    /// Adds a piece.
    ///
    /// # Errors
    /// If it is empty: pieces that bring nothing forward could go on for ever.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), FramingError> {
        if piece.is_empty() {
            return Err(FramingError::Empty);
        }
        self.0.extend(piece);
        Ok(())
    }

    /// Takes the first frame, of at most `limit` bytes, if it is there whole.
    ///
    /// # Errors
    /// If its length is negative or above the limit.
    pub fn take(&mut self, limit: usize) -> Result<Option<Vec<u8>>, FramingError> {
        let Some((length, rest)) = self.0.split_first_chunk::<4>() else { return Ok(None) };
        let size = check_length(i32::from_be_bytes(*length), limit)?;
        let Some((frame, rest)) = rest.split_at_checked(size) else { return Ok(None) };
        let (frame, rest) = (frame.to_owned(), rest.to_owned());
        self.0 = rest;
        Ok(Some(frame))
    }
}

fn broken(error: io::Error) -> FramingError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FramingError::Closed,
        _ => FramingError::Stream(error),
    }
}

/// A length that a server sent, if it is at most `limit`.
///
/// # Errors
/// If it is negative or above the limit.
pub fn check_length(length: i32, limit: usize) -> Result<usize, FramingError> {
    let length = u32::try_from(length).map_err(|_| FramingError::Negative(length))?;
    match usize::try_from(length) {
        Ok(size) if size <= limit => Ok(size),
        _ => Err(FramingError::TooLong { length, limit }),
    }
}

/// A message with its length in front, in four bytes.
///
/// # Errors
/// If it is longer than a length can say.
pub fn with_length(message: &[u8]) -> Result<Vec<u8>, FramingError> {
    let length = i32::try_from(message.len()).map_err(|_| FramingError::Unsendable(message.len()))?;
    Ok([length.to_be_bytes().as_slice(), message].concat())
}

/// Takes a message with a varint in front from the front of `bytes`.
///
/// # Errors
/// If it ends early.
pub fn split_delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], FramingError> {
    let length = prost::decode_length_delimiter(&mut *bytes).map_err(|_| FramingError::Truncated)?;
    let (message, rest) = bytes.split_at_checked(length).ok_or(FramingError::Truncated)?;
    *bytes = rest;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A stream that gives one byte at a read, and counts them.
    struct Drip {
        bytes: Vec<u8>,
        read: usize,
    }

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match (self.bytes.get(self.read), buffer.first_mut()) {
                (Some(byte), Some(place)) => {
                    *place = *byte;
                    self.read += 1;
                    Ok(1)
                }
                _ => Ok(0),
            }
        }
    }

    impl Write for Drip {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn frames_come_back_as_they_were_sent() {
        let mut frames = FramedStream::new(Cursor::new(Vec::new()));
        for message in [b"".as_slice(), b"abc", &[7; 70_000]] {
            frames.send(message).unwrap();
        }
        let sent = frames.stream.into_inner();
        assert_eq!(sent[..11], [0, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c']);
        let mut frames = FramedStream::new(Drip { bytes: sent, read: 0 });
        assert_eq!(frames.receive(MAX_FRAME).unwrap(), b"");
        assert_eq!(frames.receive(3).unwrap(), b"abc");
        assert_eq!(frames.receive(70_000).unwrap(), [7; 70_000]);
        assert!(matches!(frames.receive(MAX_FRAME), Err(FramingError::Closed)));
    }

    fn error(bytes: &[u8]) -> FramingError {
        let mut frames = FramedStream::new(Drip { bytes: [bytes, &[0; 64]].concat(), read: 0 });
        let error = frames.receive(16).unwrap_err();
        assert_eq!(frames.stream.read, 4, "bytes behind a length over the limit were read");
        error
    }

    #[test]
    fn frames_length_over_the_limit_is_refused_unread() {
        let text = error(&17_u32.to_be_bytes()).to_string();
        assert_eq!(text, "the server announces 17 bytes, and at most 16 are read");
        assert!(matches!(error(&i32::MAX.to_be_bytes()), FramingError::TooLong { length: 0x7fff_ffff, .. }));
        assert!(matches!(error(&0x8000_0000_u32.to_be_bytes()), FramingError::Negative(i32::MIN)));
        assert!(matches!(error(&(-1_i32).to_be_bytes()), FramingError::Negative(-1)));
    }

    #[test]
    fn frames_length_that_is_another_protocol_is_named() {
        assert!(
            error(b"HTTP/1.1 400 Bad Request").to_string().ends_with("speaks HTTP, so this is another service's port")
        );
        assert!(error(b"\x15\x03\x03\0\x02").to_string().contains("speaks TLS"));
    }

    #[test]
    fn frames_that_end_early_are_a_closed_connection() {
        for bytes in [b"".as_slice(), b"\0\0", b"\0\0\0\x04abc"] {
            let mut frames = FramedStream::new(Drip { bytes: bytes.to_owned(), read: 0 });
            assert!(matches!(frames.receive(MAX_FRAME), Err(FramingError::Closed)), "{bytes:?}");
        }
        let mut frames = FramedStream::new(Drip { bytes: Vec::new(), read: 0 });
        assert!(matches!(frames.send(b"x"), Err(FramingError::Stream(_))));
    }

    #[test]
    fn frames_message_with_a_varint_is_split_off() {
        let mut bytes: &[u8] = b"\x03abc\0rest";
        assert_eq!(split_delimited(&mut bytes).unwrap(), b"abc");
        assert_eq!(split_delimited(&mut bytes).unwrap(), b"");
        assert_eq!(bytes, b"rest");
        for bytes in [b"".as_slice(), b"\x04abc", b"\xff\xff\xff\xff\x0f", &[0xff; 11]] {
            assert!(matches!(split_delimited(&mut { bytes }), Err(FramingError::Truncated)), "{bytes:?}");
        }
    }
}
