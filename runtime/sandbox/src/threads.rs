//! The threads that run components, and nothing else.
//!
//! Timers, links, health and commands run on other threads: a component that keeps a thread busy for as long as its limits
//! allow delays other components' calls by a slice of time, and nothing else.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

/// With fewer, one host call could block the calls of all other components.
const MIN_THREADS: usize = 2;

/// Threads for blocking work: reading secrets, resolving names, slow cryptography.
const MAX_BLOCKING_THREADS: usize = 256;

/// A runtime for calls alone.
pub(crate) struct CallThreads(Option<Runtime>);

/// A task on these threads.
pub(crate) struct CallTask<T> {
    task: JoinHandle<T>,
    _wanted: oneshot::Sender<()>,
}

/// Tells a task that its [`CallTask`] was dropped, so that it ends in its own way.
pub(crate) struct AbandonSignal(oneshot::Receiver<()>);

impl CallThreads {
    pub(crate) fn new() -> io::Result<Self> {
        let processors = available_parallelism().map_or(MIN_THREADS, NonZero::get);
        let runtime = Builder::new_multi_thread()
            .worker_threads(processors.max(MIN_THREADS))
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .thread_name("deputy-call")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Starts a task; `None` once the threads are gone, which is while they are dropped.
    pub(crate) fn spawn<T, F>(&self, task: impl FnOnce(AbandonSignal) -> F) -> Option<CallTask<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let runtime = self.0.as_ref()?;
        let (wanted, abandoned) = oneshot::channel();
        Some(CallTask { task: runtime.spawn(task(AbandonSignal(abandoned))), _wanted: wanted })
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
    pub(crate) async fn join(&mut self) -> Result<T, JoinError> {
        (&mut self.task).await
    }
}

impl AbandonSignal {
    /// Waits until the task's [`CallTask`] is dropped.
    pub(crate) async fn wait(&mut self) {
        // Nothing is ever sent: the sender is dropped.
        (&mut self.0).await.ok();
    }
}
