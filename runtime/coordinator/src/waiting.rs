//! What a coordinator answers before it serves anything: another one holds the lock, and has not created the state yet.

use bytes::Bytes;
use deputy_http_server::{HealthCheck, HttpHandler, probe, text_response};
use deputy_local::{ControlError, reply};
use http::{Request, Response, StatusCode};

use crate::leader::{LeaderView, LeaderWatch};

/// Answers every request on the control socket.
#[derive(Debug, Clone)]
pub struct WaitingControl(pub LeaderWatch);

/// Alive, and not ready.
#[derive(Debug, Clone)]
pub struct WaitingHealth(pub LeaderWatch);

/// Says what is waited for.
pub fn waiting_for(view: &LeaderView) -> String {
    match &view.trouble {
        None => format!("starting: {}, and has not created the state yet", view.words()),
        Some(_) => format!("starting: {}", view.words()),
    }
}

impl HttpHandler for WaitingControl {
    async fn answer(&self, _request: Request<()>) -> Response<Bytes> {
        reply::error(&ControlError::new("starting", &waiting_for(&self.0.borrow())))
    }
}

impl WaitingHealth {
    fn text(&self) -> String {
        format!("{}\n", waiting_for(&self.0.borrow()))
    }
}

impl HealthCheck for WaitingHealth {
    async fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    async fn ready(&self) -> Result<String, String> {
        Err(self.text())
    }

    /// None, and the scrape succeeds: a coordinator that waits is not down.
    async fn metrics(&self) -> Result<String, String> {
        Ok("# EOF\n".to_owned())
    }
}

impl HttpHandler for WaitingHealth {
    /// There is no live page yet: `/` says why.
    async fn answer(&self, request: Request<()>) -> Response<Bytes> {
        match request.uri().path() {
            "/" => text_response(StatusCode::SERVICE_UNAVAILABLE, self.text()),
            _ => probe(self, &request).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_coordinator_is_alive_and_scraped_and_not_ready() {
        let (_leader, known) = tokio::sync::watch::channel(LeaderView::default());
        let health = WaitingHealth(known);
        assert_eq!(health.alive().await, Ok(()));
        assert_eq!(health.metrics().await.as_deref(), Ok("# EOF\n"), "a scrape that fails is an alert");
        assert!(health.ready().await.unwrap_err().starts_with("starting: another coordinator leads"));
        for (path, status) in [("/", 503), ("/readyz", 503), ("/livez", 200), ("/events", 404)] {
            let answer = health.answer(Request::get(path).body(()).unwrap()).await;
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(status == 503, answer.body().starts_with(b"starting: "), "{path}");
        }
    }
}
