//! Signs of life over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use bytes::Bytes;
use deputy_local::reply::answer;
use deputy_observe::{Handler, METRICS_TYPE, Metrics};
use http::{Method, Request, Response, StatusCode};

use crate::handle::Handle;

/// Answers probes and scrapers. It says nothing that is secret, and changes nothing.
pub struct Health {
    handle: Handle,
    metrics: Arc<Metrics>,
}

impl Health {
    /// For a coordinator.
    pub fn new(handle: Handle, metrics: Arc<Metrics>) -> Self {
        Self { handle, metrics }
    }

    /// The loop answers, so it goes round.
    async fn alive(&self) -> Response<Bytes> {
        match self.handle.alive().await {
            Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
            Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        }
    }

    /// One line per instance: the name, whether it is ready, and why not.
    async fn ready(&self) -> Response<Bytes> {
        let status = match self.handle.status().await {
            Ok(status) => status,
            Err(error) => return plain(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        };
        if status.starting {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "starting: components are being loaded\n".to_owned());
        }
        let line = |instance: &crate::status::InstanceStatus| {
            let word = if instance.ready { "ready" } else { "not ready" };
            format!("{} {word}: {}\n", instance.name, one_line(&instance.reason))
        };
        let text: String = status.instances.iter().map(line).collect();
        if status.ready { plain(StatusCode::OK, text) } else { plain(StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    async fn metrics(&self) -> Response<Bytes> {
        let Ok((leases, upstreams)) = self.handle.leases().await else {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
        };
        match self.metrics.text(&leases, &upstreams) {
            Ok(text) => answer(StatusCode::OK, METRICS_TYPE, text),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written\n".to_owned()),
        }
    }
}

impl Handler for Health {
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET alone\n".to_owned());
        }
        match request.uri().path() {
            "/livez" => self.alive().await,
            "/readyz" => self.ready().await,
            "/metrics" => self.metrics().await,
            _ => plain(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    answer(status, "text/plain; charset=utf-8", text)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
