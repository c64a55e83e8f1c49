//! Work that blocks, beside the runtime's threads.

/// Runs it to its end on a thread for blocking work. A panic goes on in the caller.
#[expect(
    clippy::disallowed_methods,
    reason = "callers read files and load code: neither can be cancelled, and both are bounded in size"
)]
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and drops the caller as well.
            Err(_) => std::future::pending().await,
        },
    }
}
