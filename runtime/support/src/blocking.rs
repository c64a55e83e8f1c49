//! Work that blocks a thread.

use std::io;

/// Runs work that blocks, on tokio's threads for that. A panic resumes in the caller.
///
/// The work cannot be cancelled: it runs to its end also if the caller goes away, so it must be bounded.
#[expect(clippy::disallowed_methods, reason = "the one place that starts blocking work; callers bound it")]
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and drops the caller as well.
            Err(_) => std::future::pending().await,
        },
    }
}

/// As [`blocking`], but a panic is an error for the caller.
#[expect(clippy::disallowed_methods, reason = "as above")]
pub async fn try_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blocking_returns_the_value_and_resumes_a_panic() {
        assert_eq!(blocking(|| 1).await, 1);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(blocking(|| panic!("on purpose")));
        assert!(try_blocking(|| panic!("on purpose")).await.is_err_and(|error| error.to_string().contains("panic")));
        assert!(tasks.join_next().await.is_some_and(|ended| ended.is_err_and(|error| error.is_panic())));
    }
}
