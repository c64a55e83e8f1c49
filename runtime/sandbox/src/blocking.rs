//! Work that may take long: it runs beside the runtime's threads, and shows it.

/// Shows that this thread serves no timers, links or health. What may take long there needs one as an argument, and only
/// [`blocking`] makes one.
pub(crate) struct BlockingThread(());

/// Runs it to its end on a thread for blocking work. Callers read files and load code, both bounded in size.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce(&BlockingThread) -> T + Send + 'static) -> T {
    deputy_support::blocking(|| work(&BlockingThread(()))).await
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// The runtime of the test has one thread, which is the test's own. Nothing loads or links a component without a
    /// [`BlockingThread`], so nothing does so there.
    #[tokio::test(flavor = "current_thread")]
    async fn blocking_work_keeps_no_thread_of_the_runtime() {
        let runtime = thread::current().id();
        assert_ne!(blocking(|_| thread::current().id()).await, runtime);
    }
}
