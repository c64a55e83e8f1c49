//! Probes and metrics over HTTP: `/livez`, `/readyz`, `/metrics`. They reveal no secret and change nothing.

use std::future::Future;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use crate::{response, text_response};

/// The media type of [`HealthCheck::metrics`].
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What probes and scrapers ask of a process. `Err` becomes status 503. Both sides are text for a person, except the
/// metrics.
pub trait HealthCheck: Send + Sync {
    /// Completes once the process' main loop has gone round.
    fn alive(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// Whether everything that depends on the process can be served, with one line for each thing that depends on it.
    fn ready(&self) -> impl Future<Output = Result<String, String>> + Send;

    /// All metrics in the OpenMetrics text format.
    fn metrics(&self) -> impl Future<Output = Result<String, String>> + Send;
}

/// Responds to a probe or scraper.
pub async fn probe(health: &impl HealthCheck, request: &Request<()>) -> Response<Bytes> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text_response(StatusCode::METHOD_NOT_ALLOWED, "only GET is supported\n".to_owned());
    }
    match request.uri().path() {
        "/livez" => probe_response(health.alive().await.map(|()| "ok\n".to_owned())),
        "/readyz" => probe_response(health.ready().await),
        "/metrics" => match health.metrics().await {
            Ok(text) => response(StatusCode::OK, OPENMETRICS, text),
            Err(text) => text_response(StatusCode::SERVICE_UNAVAILABLE, text),
        },
        _ => text_response(StatusCode::NOT_FOUND, "no such path: try /livez, /readyz or /metrics\n".to_owned()),
    }
}

fn probe_response(result: Result<String, String>) -> Response<Bytes> {
    match result {
        Ok(text) => text_response(StatusCode::OK, text),
        Err(text) => text_response(StatusCode::SERVICE_UNAVAILABLE, text),
    }
}
