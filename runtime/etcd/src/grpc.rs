//! gRPC over an HTTP/2 connection: a POST whose body and answer are messages behind five bytes, and a status in the
//! trailers.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use deputy_core::in_one_line;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use prost::Message;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::{EtcdError, Status};

/// Compressed or not, and the length.
const PREFIX: usize = 5;

/// The largest answer: the events of one large transaction, and for a call the largest value that etcd takes.
const MAX_EVENTS: usize = 16 << 20;
const MAX_ANSWER: usize = 2 << 20;

/// Characters of etcd's text in an error.
const MAX_STATUS: usize = 300;

/// The body of a request: one message, or a first one and those that follow.
pub(crate) struct Requests {
    first: Option<Bytes>,
    more: Option<mpsc::Receiver<Bytes>>,
}

/// The answers to a request.
pub(crate) struct CallAnswers<M> {
    /// The largest of them.
    limit: usize,
    body: Incoming,
    buffer: BytesMut,
    message: PhantomData<fn() -> M>,
}

/// A message as it is sent.
pub(crate) fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // The buffer has room for it.
    message.encode(&mut bytes).ok();
    bytes.freeze()
}

/// The same of a message with a secret: wiped when it is sent.
pub(crate) fn encode_secret(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(PREFIX + length));
    bytes.push(0);
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    message.encode(&mut *bytes).ok();
    Bytes::from_owner(bytes)
}

impl Requests {
    /// Whether answers are to come as long as there are requests.
    pub(crate) fn is_stream(&self) -> bool {
        self.more.is_some()
    }

    pub(crate) fn one(message: Bytes) -> Self {
        Self { first: Some(message), more: None }
    }

    pub(crate) fn several(first: Bytes, more: mpsc::Receiver<Bytes>) -> Self {
        Self { first: Some(first), more: Some(more) }
    }
}

impl Body for Requests {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(more) = &mut self.more else { return Poll::Ready(None) };
        more.poll_recv(context).map(|message| message.map(|message| Ok(Frame::data(message))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.more.is_none()
    }
}

impl<M: Message + Default> CallAnswers<M> {
    /// Reads the head of a response to one request, or to several.
    pub(crate) fn new(response: http::Response<Incoming>, is_stream: bool) -> Result<Self, EtcdError> {
        if response.status() != http::StatusCode::OK {
            return Err(EtcdError::Malformed("an HTTP error"));
        }
        if let Some(status) = status(response.headers())? {
            return Err(EtcdError::Refused(status));
        }
        let limit = if is_stream { MAX_EVENTS } else { MAX_ANSWER };
        Ok(Self { limit, body: response.into_body(), buffer: BytesMut::new(), message: PhantomData })
    }

    /// The next answer; `None` after the last one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<M>, AnswerError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else { return Err(AnswerError::Broken("no status".to_owned())) };
            match frame.map_err(|error| AnswerError::Broken(in_one_line(&error)))?.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return match status(&trailers)? {
                        Some(status) => Err(EtcdError::Refused(status).into()),
                        None => Ok(None),
                    };
                }
            }
        }
    }

    fn take(&mut self) -> Result<Option<M>, EtcdError> {
        let Some((&[is_compressed, ref length @ ..], _)) = self.buffer.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if is_compressed != 0 || length > self.limit {
            return Err(EtcdError::Malformed("a compressed or oversized message"));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let message =
            M::decode(self.buffer.split_to(length)).map_err(|_| EtcdError::Malformed("an unreadable message"))?;
        Ok(Some(message))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum AnswerError {
    /// The connection ended.
    Broken(String),
    Etcd(EtcdError),
}

impl From<EtcdError> for AnswerError {
    fn from(error: EtcdError) -> Self {
        Self::Etcd(error)
    }
}

/// The status in these headers, unless it is missing or OK.
fn status(headers: &HeaderMap) -> Result<Option<Status>, EtcdError> {
    let Some(code) = headers.get("grpc-status") else { return Ok(None) };
    let code = code.to_str().ok().and_then(|code| code.parse::<u32>().ok());
    let code = code.ok_or(EtcdError::Malformed("an unreadable status"))?;
    let message = headers.get("grpc-message").map(|message| message.as_bytes()).unwrap_or_default();
    let message = String::from_utf8_lossy(message);
    let message = percent_decode_str(&message).decode_utf8_lossy();
    let message: String = message.chars().filter(|letter| !letter.is_control()).take(MAX_STATUS).collect();
    Ok((code != 0).then(|| Status::new(code, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_message_has_its_length_in_front() {
        let message = crate::message::LeaseRevokeRequest { id: 5 };
        assert_eq!(encode(&message).as_ref(), [0, 0, 0, 0, 2, 8, 5]);
        assert_eq!(encode_secret(&message), encode(&message));
    }

    #[test]
    fn grpc_status_is_read_from_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(status(&headers).unwrap(), None);
        headers.insert("grpc-status", "0".parse().unwrap());
        assert_eq!(status(&headers).unwrap(), None);
        headers.insert("grpc-status", "8".parse().unwrap());
        headers.insert("grpc-message", "etcdserver: mvcc%3A database%0A space exceeded".parse().unwrap());
        let read = status(&headers).unwrap().unwrap();
        assert_eq!(read, Status::new(8, "etcdserver: mvcc: database space exceeded".to_owned()));
        assert!(read.is_out_of_space());
        headers.insert("grpc-status", "x".parse().unwrap());
        assert!(status(&headers).is_err());
    }
}
