//! A response that does not end: events, as a browser's `EventSource` reads them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

/// The body of every response.
pub(crate) type HttpBody = UnsyncBoxBody<Bytes, Infallible>;

/// Events, each of them whole. The next one is made when the client has taken the one before it, so a slow client has no
/// queue. Dropped when the client is gone.
pub struct EventStream(Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl EventStream {
    pub fn new(events: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Box::pin(events))
    }

    pub(crate) fn into_response(self) -> Response<HttpBody> {
        let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(self)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

impl Stream for EventStream {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

pub(crate) fn whole(body: Bytes) -> HttpBody {
    Full::new(body).boxed_unsync()
}
