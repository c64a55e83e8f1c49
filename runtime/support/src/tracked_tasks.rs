//! Tasks whose end is reported with the key that they were started under, also if they panic.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// Tasks that are aborted when this is dropped.
#[derive(Debug)]
pub struct TrackedTasks<K, T> {
    tasks: JoinSet<T>,
    keys: HashMap<Id, K>,
}

impl<K, T: Send + 'static> TrackedTasks<K, T> {
    /// Starts a task. The key need not be unique.
    pub fn spawn(&mut self, key: K, task: impl Future<Output = T> + Send + 'static) -> AbortHandle {
        let handle = self.tasks.spawn(task);
        self.keys.insert(handle.id(), key);
        handle
    }

    /// The next task that ends, with its output, or the reason why there is none. `None` if no task is left.
    /// Cancel safe.
    pub async fn join_next(&mut self) -> Option<(K, Result<T, JoinError>)> {
        loop {
            let ended = self.tasks.join_next_with_id().await?;
            if let Some(ended) = self.take_key(ended) {
                return Some(ended);
            }
        }
    }

    /// The same of a task that has ended by now; `None` if none has. However many there are: `join_next` asks its caller to
    /// yield after some.
    pub fn try_join_next(&mut self) -> Option<(K, Result<T, JoinError>)> {
        loop {
            let ended = self.tasks.try_join_next_with_id()?;
            if let Some(ended) = self.take_key(ended) {
                return Some(ended);
            }
        }
    }

    fn take_key(&mut self, ended: Result<(Id, T), JoinError>) -> Option<(K, Result<T, JoinError>)> {
        let (id, result) = match ended {
            Ok((id, output)) => (id, Ok(output)),
            Err(error) => (error.id(), Err(error)),
        };
        Some((self.keys.remove(&id)?, result))
    }

    /// The keys of the tasks whose end has not been reported.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.keys.values()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn abort_all(&mut self) {
        self.tasks.abort_all();
    }
}

impl<K, T> Default for TrackedTasks<K, T> {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), keys: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn tracked_tasks_report_outputs_panics_and_aborts_by_key() {
        let mut tasks = TrackedTasks::default();
        tasks.spawn("returns", async { 1 });
        tasks.spawn("panics", async { panic!("on purpose") });
        tasks.spawn("aborted", std::future::pending()).abort();
        let mut ended = Vec::new();
        while let Some((key, result)) = tasks.join_next().await {
            ended.push((key, result.map_err(|error| error.is_panic())));
        }
        ended.sort();
        assert_eq!(ended, [("aborted", Err(false)), ("panics", Err(true)), ("returns", Ok(1))]);
        assert!(tasks.is_empty());
    }
    #[tokio::test]
    async fn tracked_tasks_report_all_that_have_ended_at_once() {
        let mut tasks = TrackedTasks::default();
        let barrier = Arc::new(Barrier::new(1001));
        for number in 0..1000 {
            let barrier = Arc::clone(&barrier);
            tasks.spawn(number, async move {
                barrier.wait().await;
                number
            });
        }
        tasks.spawn(1000, std::future::pending());
        barrier.wait().await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        let mut ended: Vec<i32> =
            std::iter::from_fn(|| tasks.try_join_next()).map(|(_, result)| result.unwrap()).collect();
        ended.sort_unstable();
        assert!(ended.into_iter().eq(0..1000));
    }
}
