//! One open page: looks at the coordinator from time to time, and says what changed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deputy_http_server::EventStream;
use deputy_support::{pause, timer_now};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::live_page::PageState;
use crate::query::PageQuery;

/// The time between two looks at the coordinator.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A look may take this part of the time until the next one: many workers are looked at less often.
const SHARE: u32 = 20;

/// The longest time between two looks, and the longest that nothing is sent: later the page shows that the coordinator is
/// gone.
const SILENCE: Duration = Duration::from_secs(5);

/// After this time the stream ends, and the browser opens another one.
const LIFE: Duration = Duration::from_secs(300);

/// Audit events of a message.
const MAX_EVENTS: usize = 100;

pub(crate) struct PageClient {
    state: Arc<PageState>,
    query: PageQuery,
    session: String,
    /// The last view that was sent.
    sent: String,
    sent_at: Instant,
    /// The number of the last audit event that was looked at.
    event: u64,
    next_look: Instant,
    end: Instant,
    _place: OwnedSemaphorePermit,
}

impl PageClient {
    pub(crate) fn new(state: Arc<PageState>, query: PageQuery, session: String, place: OwnedSemaphorePermit) -> Self {
        let now = timer_now();
        Self {
            state,
            query,
            session,
            sent: String::new(),
            sent_at: now,
            event: 0,
            next_look: now,
            end: now + LIFE,
            _place: place,
        }
    }

    /// What this page is sent, until it has lived long enough or its session has ended.
    pub(crate) fn events(self) -> EventStream {
        EventStream::new(futures::stream::unfold(self, Self::next))
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            pause(self.next_look.saturating_duration_since(timer_now())).await;
            let began = timer_now();
            if began >= self.end || !self.state.access.admits(&self.session) {
                return None;
            }
            let message = self.look().await?;
            let took = timer_now().saturating_duration_since(began);
            self.next_look = began + pause_after(took);
            if !message.is_empty() {
                self.sent_at = began;
                return Some((message.into(), self));
            }
        }
    }

    /// What changed since the last look; `None` if the coordinator stops.
    async fn look(&mut self) -> Option<String> {
        let sample = self.state.sample().await?;
        let view = self.state.view(&sample, &self.query).await?;
        let view = serde_json::to_string(&view).ok()?;
        let mut message = String::new();
        if view != self.sent {
            push(&mut message, "view", &stamped(&sample.now, &view)?);
            self.sent = view;
        }
        let (events, last) = self.state.events.since(self.event, &self.query.events, MAX_EVENTS);
        self.event = last;
        if !events.is_empty() {
            push(&mut message, "audit", &serde_json::to_string(&events).ok()?);
        }
        if message.is_empty() && timer_now().saturating_duration_since(self.sent_at) >= SILENCE {
            push(&mut message, "alive", "{}");
        }
        Some(message)
    }
}

/// From the begin of a look until the next one.
fn pause_after(took: Duration) -> Duration {
    LOOK_EVERY.max(took.saturating_mul(SHARE).min(SILENCE))
}

fn stamped(now: &str, view: &str) -> Option<String> {
    Some(format!("{{\"now\":{},\"view\":{view}}}", serde_json::to_string(now).ok()?))
}

/// Adds an event. JSON has no line break, which would end it.
fn push(message: &mut String, event: &str, data: &str) {
    message.push_str(&format!("event: {event}\ndata: {data}\n\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_that_is_slow_to_make_is_looked_at_often_enough() {
        for (took_ms, pause_ms) in [(0, 1000), (50, 1000), (100, 2000), (250, 5000), (60_000, 5000)] {
            assert_eq!(pause_after(Duration::from_millis(took_ms)), Duration::from_millis(pause_ms));
        }
    }
}
