//! What a coordinator answers before it serves anything: another one leads, and has not begun the state yet.

use bytes::Bytes;
use deputy_http_server::{HealthCheck, HttpHandler, probe, text_response};
use deputy_local::{ControlError, reply};
use http::{Request, Response, StatusCode};

use crate::leader::{LeaderView, LeaderWatch};

/// Answers every request on the control socket.
#[derive(Debug, Clone)]
pub struct StandbyControl(pub LeaderWatch);

/// Alive, and not ready.
#[derive(Debug, Clone)]
pub struct StandbyHealth(pub LeaderWatch);

/// Says that another coordinator leads, and which one.
pub fn standing_by(view: &LeaderView) -> String {
    format!("standing by: {}", view.words())
}

impl HttpHandler for StandbyControl {
    async fn answer(&self, _request: Request<()>) -> Response<Bytes> {
        reply::error(&ControlError::new("standby", &standing_by(&self.0.borrow())))
    }
}

impl StandbyHealth {
    fn text(&self) -> String {
        format!("{}\n", standing_by(&self.0.borrow()))
    }
}

impl HealthCheck for StandbyHealth {
    async fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    async fn ready(&self) -> Result<String, String> {
        Err(self.text())
    }

    /// None, and the scrape succeeds: a coordinator that stands by is not down.
    async fn metrics(&self) -> Result<String, String> {
        Ok("# EOF\n".to_owned())
    }
}

impl HttpHandler for StandbyHealth {
    /// In place of the live page, which the leader has, the same as for a probe.
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
    async fn standby_is_alive_and_scraped_and_not_ready() {
        let (_leader, known) = tokio::sync::watch::channel(LeaderView::default());
        let health = StandbyHealth(known);
        assert_eq!(health.alive().await, Ok(()));
        assert_eq!(health.metrics().await.as_deref(), Ok("# EOF\n"), "a scrape that fails is an alert");
        assert!(health.ready().await.unwrap_err().starts_with("standing by: another coordinator leads"));
        for (path, status) in [("/", 503), ("/readyz", 503), ("/livez", 200), ("/events", 404)] {
            let answer = health.answer(Request::get(path).body(()).unwrap()).await;
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(status == 503, answer.body().starts_with(b"standing by: "), "{path}");
        }
    }
}
