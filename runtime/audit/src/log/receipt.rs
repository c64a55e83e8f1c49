//! Whether one event was written.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::AuditError;

/// For a shorter wait, handing the runtime's tasks to another thread does not pay.
const SHORT_WAIT: Duration = Duration::from_millis(1);

/// The result of an event that was [submitted](super::Audit::submit).
///
/// `Ok` means that its line is in the kernel. Dropping a receipt does not withdraw the event.
#[derive(Debug)]
#[must_use = "wait for it if something depends on the event, or `detach` it"]
pub struct Receipt {
    state: ReceiptState,
    patience: Duration,
}

#[derive(Debug)]
enum ReceiptState {
    Known(Result<(), AuditError>),
    Pending(oneshot::Receiver<Result<(), AuditError>>),
}

impl Receipt {
    /// The receipt where nothing had to be recorded.
    pub fn none() -> Self {
        Self::known(Ok(()))
    }

    pub(super) fn known(result: Result<(), AuditError>) -> Self {
        Self { state: ReceiptState::Known(result), patience: Duration::ZERO }
    }

    pub(super) fn pending(answer: oneshot::Receiver<Result<(), AuditError>>, patience: Duration) -> Self {
        Self { state: ReceiptState::Pending(answer), patience }
    }

    /// Ignores the result: what the event records has already happened. A lost event is still counted.
    pub fn detach(self) {}

    /// Waits until the event is written, in a task.
    ///
    /// # Errors
    /// If the event is not recorded. Then what it would have recorded must not happen.
    pub async fn written(self) -> Result<(), AuditError> {
        match self.state {
            ReceiptState::Known(result) => result,
            ReceiptState::Pending(answer) => match tokio::time::timeout(self.patience, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(AuditError::Stopped),
                Err(_) => Err(AuditError::Slow),
            },
        }
    }

    /// Waits until the event is written and blocks this thread. Other tasks of a multi-threaded runtime go on.
    ///
    /// # Errors
    /// If the event is not recorded. Then what it would have recorded must not happen.
    pub fn wait(self) -> Result<(), AuditError> {
        let mut answer = match self.state {
            ReceiptState::Known(result) => return result,
            ReceiptState::Pending(answer) => answer,
        };
        let short_wait = SHORT_WAIT.min(self.patience);
        let answered = block_on(&mut answer, short_wait)
            .or_else(|| without_blocking_others(|| block_on(&mut answer, self.patience.saturating_sub(short_wait))));
        answered.unwrap_or(Ok(Err(AuditError::Slow))).unwrap_or(Err(AuditError::Stopped))
    }
}

/// Runs blocking code. A multi-threaded runtime moves this thread's other tasks to another thread.
fn without_blocking_others<T>(run: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(run),
        _ => run(),
    }
}

#[expect(clippy::disallowed_methods, reason = "parking may end early, so the deadline is checked again")]
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
