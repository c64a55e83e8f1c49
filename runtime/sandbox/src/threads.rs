//! The threads that run components, and nothing else.
//!
//! Timers, links, health and commands have threads of their own, so that a component that keeps a thread busy for as
//! long as its limits allow delays other components' calls by a slice of time and everything else not at all.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

/// Fewer than these would let one component's host call hold up all others.
const LEAST: usize = 2;

/// Threads for what blocks: reading secrets, resolving names, slow cryptography.
const BLOCKING: usize = 256;

/// A runtime for calls alone.
pub(crate) struct CallThreads(Option<Runtime>);

/// A task on these threads.
pub(crate) struct CallTask<T> {
    task: JoinHandle<T>,
    _wanted: oneshot::Sender<()>,
}

/// Tells a task that its [`CallTask`] was dropped, so that it ends in its own way.
pub(crate) struct Unwanted(oneshot::Receiver<()>);

impl CallThreads {
    pub(crate) fn new() -> io::Result<Self> {
        let processors = available_parallelism().map_or(LEAST, NonZero::get);
        let runtime = Builder::new_multi_thread()
            .worker_threads(processors.max(LEAST))
            .max_blocking_threads(BLOCKING)
            .thread_name("deputy-call")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Starts a task; `None` once the threads are gone, which is while they are dropped.
    pub(crate) fn spawn<T, F>(&self, task: impl FnOnce(Unwanted) -> F) -> Option<CallTask<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let runtime = self.0.as_ref()?;
        let (wanted, unwanted) = oneshot::channel();
        Some(CallTask { task: runtime.spawn(task(Unwanted(unwanted))), _wanted: wanted })
    }
}

impl Drop for CallThreads {
    fn drop(&mut self) {
        // The last owner may be a task of another runtime, which must not wait for these threads.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl<T> CallTask<T> {
    /// What the task brings.
    pub(crate) async fn join(&mut self) -> Result<T, JoinError> {
        (&mut self.task).await
    }
}

impl Unwanted {
    /// NetworkWaits until nobody waits for the task any more.
    pub(crate) async fn wait(&mut self) {
        // Nothing is ever sent: the sender is dropped.
        (&mut self.0).await.ok();
    }
}
