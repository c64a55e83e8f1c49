//! Signs of life over HTTP: `/livez`, `/readyz`, `/metrics`. They say nothing that is secret, and change nothing.

use std::future::Future;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};

use crate::METRICS_TYPE;

/// What probes and scrapers ask a process. What it says where all is well is `Ok`, else `Err`: text for people, but for
/// the metrics.
pub trait HealthCheck: Send + Sync {
    /// Comes back when its loop has gone round.
    fn alive(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// Whether those who need something of it can have it, with a line for each.
    fn ready(&self) -> impl Future<Output = Result<String, String>> + Send;

    /// What [`METRICS_TYPE`] says.
    fn metrics(&self) -> impl Future<Output = Result<String, String>> + Send;
}

/// The answer to a probe.
pub async fn probe(vitals: &impl HealthCheck, request: &Request<()>) -> Response<Bytes> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET alone\n".to_owned());
    }
    let either = |said: Result<String, String>| match said {
        Ok(text) => plain(StatusCode::OK, text),
        Err(text) => plain(StatusCode::SERVICE_UNAVAILABLE, text),
    };
    match request.uri().path() {
        "/livez" => either(vitals.alive().await.map(|()| "ok\n".to_owned())),
        "/readyz" => either(vitals.ready().await),
        "/metrics" => match vitals.metrics().await {
            Ok(text) => answer(StatusCode::OK, METRICS_TYPE, text),
            Err(text) => plain(StatusCode::SERVICE_UNAVAILABLE, text),
        },
        _ => plain(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
    }
}

/// An answer in plain text.
pub fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    answer(status, "text/plain; charset=utf-8", text)
}

/// An answer.
pub fn answer(status: StatusCode, media: &'static str, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media));
    response
}
