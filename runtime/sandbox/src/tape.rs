//! What a component sent over HTTP and what it received, for `deputy test --record`.
//!
//! A request is kept before the host adds secrets to it, and a response as the component reads it. The limits of the
//! instance bound both. A process without a [`StandIn`](crate::StandIn) that has a tape keeps nothing.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use ::http::request::Parts;
use ::http::{HeaderMap, Response};
use bytes::Bytes;
use deputy_core::grant::{Injection, InjectionPoint};
use deputy_support::LockUnpoisoned as _;
use http_body::{Body, Frame, SizeHint};
use zeroize::Zeroizing;

/// The exchanges of one or several calls, in the order of their requests.
#[derive(Default)]
pub struct HttpTape(Mutex<Vec<Arc<Mutex<TapedExchange>>>>);

/// A permitted request and its response. It has payloads, so it has no `Debug`.
#[derive(Clone, Default)]
pub struct TapedExchange {
    pub method: String,
    /// Scheme, host and port.
    pub origin: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Zeroizing<Vec<u8>>,
    /// Headers and form fields that the host set, by their names.
    pub injected: Vec<String>,
    /// `None` if there was no response.
    pub response: Option<TapedResponse>,
}

/// A response as far as the component read it.
#[derive(Clone)]
pub struct TapedResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Zeroizing<Vec<u8>>,
}

/// The place of one exchange on a tape.
#[derive(Clone)]
pub(crate) struct TapedPlace(Arc<Mutex<TapedExchange>>);

/// Which body of an exchange is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TapedSide {
    Request,
    Response,
}

/// A body that is kept while it is read.
pub(crate) struct TapedBody<B> {
    body: B,
    place: TapedPlace,
    side: TapedSide,
}

impl HttpTape {
    /// Everything since the last time, which the tape then forgets.
    pub fn take(&self) -> Vec<TapedExchange> {
        let places = std::mem::take(&mut *self.0.lock_unpoisoned());
        places.iter().map(|place| place.lock_unpoisoned().clone()).collect()
    }

    pub(crate) fn begin(&self, origin: String, head: &Parts, injections: &[Injection]) -> TapedPlace {
        let injected = injections.iter().map(|injection| match &injection.place {
            InjectionPoint::Field(name) | InjectionPoint::Header(name) => name.clone(),
        });
        let exchange = TapedExchange {
            method: head.method.to_string(),
            origin,
            target: head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            headers: texts(&head.headers),
            injected: injected.collect(),
            ..TapedExchange::default()
        };
        let place = Arc::new(Mutex::new(exchange));
        self.0.lock_unpoisoned().push(Arc::clone(&place));
        TapedPlace(place)
    }
}

impl TapedPlace {
    pub(crate) fn note_response<B>(&self, response: &Response<B>) {
        self.0.lock_unpoisoned().response = Some(TapedResponse {
            status: response.status().as_u16(),
            headers: texts(response.headers()),
            body: Zeroizing::default(),
        });
    }

    fn keep(&self, side: TapedSide, bytes: &[u8]) {
        let mut exchange = self.0.lock_unpoisoned();
        match (side, &mut exchange.response) {
            (TapedSide::Response, Some(response)) => response.body.extend_from_slice(bytes),
            (TapedSide::Response, None) => {}
            (TapedSide::Request, _) => exchange.body.extend_from_slice(bytes),
        }
    }
}

impl<B> TapedBody<B> {
    pub(crate) fn new(body: B, place: TapedPlace, side: TapedSide) -> Self {
        Self { body, place, side }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TapedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.place.keep(self.side, data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Request;
    use http_body_util::{BodyExt as _, Full};

    #[tokio::test]
    async fn tape_keeps_both_bodies_in_the_order_of_the_requests() {
        let tape = HttpTape::default();
        let begin = |path: &str| {
            let (head, ()) = Request::post(path).header("a", "b").body(()).unwrap().into_parts();
            tape.begin("https://a.example".to_owned(), &head, &[])
        };
        let (first, second) = (begin("/1?q"), begin("/2"));
        for (place, text) in [(&second, "two"), (&first, "one")] {
            place.note_response(&Response::builder().status(201).header("c", "d").body(()).unwrap());
            for side in [TapedSide::Request, TapedSide::Response] {
                let body = Full::new(Bytes::from_static(text.as_bytes()));
                let mut body = TapedBody::new(body, place.clone(), side);
                while let Some(frame) = body.frame().await {
                    frame.unwrap();
                }
            }
        }
        let taped = tape.take();
        let seen: Vec<_> = taped.iter().map(|it| (it.target.as_str(), it.body.as_slice())).collect();
        assert_eq!(seen, [("/1?q", b"one".as_slice()), ("/2", b"two")]);
        let response = taped.first().unwrap().response.as_ref().unwrap();
        assert_eq!((response.status, response.body.as_slice()), (201, b"one".as_slice()));
        assert_eq!(response.headers, [("c".to_owned(), "d".to_owned())]);
        assert!(tape.take().is_empty());
    }
}
