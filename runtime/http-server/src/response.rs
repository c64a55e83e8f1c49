//! Responses with a whole body.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// A response in plain text.
pub fn text_response(status: StatusCode, text: String) -> Response<Bytes> {
    response(status, "text/plain; charset=utf-8", text)
}

/// A response with a body of the given media type.
pub fn response(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
