//! The answer of the audit's writer to one event.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::AuditError;

/// A wait as long as this one is not worth a hand-over of the runtime's thread.
const BRIEF: Duration = Duration::from_millis(1);

/// What became of an event that was [submitted](super::Audit::submit).
///
/// `Ok` means that its line is in the kernel. Dropping a receipt does not take the event back.
#[derive(Debug)]
#[must_use = "wait for it if something depends on the event, or `detach` it"]
pub struct Receipt {
    state: State,
    patience: Duration,
}

#[derive(Debug)]
enum State {
    Known(Result<(), AuditError>),
    Pending(oneshot::Receiver<Result<(), AuditError>>),
}

impl Receipt {
    /// Of no event: nothing was to be recorded.
    pub fn none() -> Self {
        Self::known(Ok(()))
    }

    pub(super) fn known(result: Result<(), AuditError>) -> Self {
        Self { state: State::Known(result), patience: Duration::ZERO }
    }

    pub(super) fn pending(answer: oneshot::Receiver<Result<(), AuditError>>, patience: Duration) -> Self {
        Self { state: State::Pending(answer), patience }
    }

    /// For an event on which nothing depends, because what it tells has happened already. If it is lost, that is counted.
    pub fn detach(self) {
        drop(self);
    }

    /// Waits until the event is written, in a task.
    ///
    /// # Errors
    /// If it is not: what it would have recorded must not happen.
    pub async fn written(self) -> Result<(), AuditError> {
        match self.state {
            State::Known(result) => result,
            State::Pending(answer) => match tokio::time::timeout(self.patience, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(AuditError::Stopped),
                Err(_) => Err(AuditError::Slow),
            },
        }
    }

    /// Waits until the event is written, and blocks this thread meanwhile. Other tasks of a runtime with several threads
    /// go on.
    ///
    /// # Errors
    /// If it is not: what it would have recorded must not happen.
    pub fn wait(self) -> Result<(), AuditError> {
        let mut answer = match self.state {
            State::Known(result) => return result,
            State::Pending(answer) => answer,
        };
        let brief = BRIEF.min(self.patience);
        let answered = block_on(&mut answer, brief)
            .or_else(|| without_blocking_others(|| block_on(&mut answer, self.patience.saturating_sub(brief))));
        answered.unwrap_or(Ok(Err(AuditError::Slow))).unwrap_or(Err(AuditError::Stopped))
    }
}

/// Runs something that blocks. A runtime with several threads gives this thread's tasks to another one.
fn without_blocking_others<T>(run: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(run),
        _ => run(),
    }
}

/// Waits for a future on this thread, but no longer than so.
#[expect(clippy::disallowed_methods, reason = "parking may end early, so the deadline is looked at again")]
fn block_on<F: Future + Unpin>(future: &mut F, patience: Duration) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let began = Instant::now();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = Pin::as_mut(&mut future).poll(&mut context) {
            return Some(output);
        }
        let left = patience.checked_sub(began.elapsed())?;
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
