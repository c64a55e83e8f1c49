//! Deadlines, with the limit or the request of the component that each comes from.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use deputy_core::{Limit, Span};
use tokio::time::{Instant, Sleep};

use deputy_support::timer_now;

/// A point in time by which a step must end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    cause: DeadlineCause,
}

/// Where a deadline comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeadlineCause {
    /// The component asked for less time than it may have.
    Component,
    /// The operator's limit.
    Limit(Limit),
}

/// A step missed its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out")]
pub(crate) struct DeadlineExceeded(pub(crate) DeadlineCause);

impl Deadline {
    pub(crate) fn after(span: Span, limit: Limit) -> Self {
        Self { at: from_now(span.duration()), cause: DeadlineCause::Limit(limit) }
    }

    /// The deadline of one step inside this one: no later than this one, nor than the step's own limit, nor than what
    /// the component asked for.
    pub(crate) fn step(self, span: Span, limit: Limit, requested: Option<Duration>) -> Self {
        let step = match requested {
            Some(requested) if requested < span.duration() => {
                Self { at: from_now(requested), cause: DeadlineCause::Component }
            }
            _ => Self::after(span, limit),
        };
        if step.at < self.at { step } else { self }
    }

    /// Runs a future until the deadline.
    pub(crate) async fn run<F: Future>(self, future: F) -> Result<F::Output, DeadlineExceeded> {
        tokio::time::timeout_at(self.at, future).await.map_err(|_| DeadlineExceeded(self.cause))
    }

    /// An equal share of what is left, for one of several attempts.
    pub(crate) fn share(self, attempts: usize) -> Self {
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX).max(1);
        let left = self.at.saturating_duration_since(timer_now());
        Self { at: from_now(left / attempts), cause: self.cause }
    }

    /// A timer for it, where there is no future to run.
    pub(crate) fn timer(self) -> Timer {
        Timer { sleep: Box::pin(tokio::time::sleep_until(self.at)), cause: self.cause }
    }
}

/// Waits for a deadline.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    cause: DeadlineCause,
}

impl Future for Timer {
    type Output = DeadlineExceeded;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<DeadlineExceeded> {
        self.sleep.as_mut().poll(context).map(|()| DeadlineExceeded(self.cause))
    }
}

/// A point in time this far from now, capped: a component may request centuries.
fn from_now(span: Duration) -> Instant {
    const FAR: Duration = Duration::from_hours(10_000);
    let now = timer_now();
    now.checked_add(span.min(FAR)).unwrap_or(now)
}
