//! When each worker's word came that it has a lease.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Result;

/// Longer than this nothing takes, unless it is broken: a time for all, and one for each worker.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_OF_WORKER: Duration = Duration::from_millis(10);

/// Counts the acknowledgements of one revision.
pub(crate) struct Tracker {
    state: Mutex<State>,
    done: Condvar,
}

struct State {
    revision: u64,
    begun: Instant,
    wanted: usize,
    times: Vec<Duration>,
}

impl Default for Tracker {
    fn default() -> Self {
        let state = State { revision: 0, begun: Instant::now(), wanted: 0, times: Vec::new() };
        Self { state: Mutex::new(state), done: Condvar::new() }
    }
}

impl Tracker {
    /// Begins to count: what comes for another revision does not.
    pub(crate) fn begin(&self, revision: u64, wanted: usize) {
        let mut state = self.state();
        let times = Vec::with_capacity(wanted);
        *state = State { revision, begun: Instant::now(), wanted, times };
    }

    /// A worker's word.
    pub(crate) fn note(&self, revision: u64) {
        let mut state = self.state();
        if revision != state.revision {
            return;
        }
        let time = state.begun.elapsed();
        state.times.push(time);
        if state.times.len() == state.wanted {
            self.done.notify_all();
        }
    }

    /// When each came, in order.
    pub(crate) fn wait(&self) -> Result<Vec<Duration>> {
        let missing = |state: &mut State| state.times.len() < state.wanted;
        let state = self.state();
        let patience = PATIENCE + PATIENCE_OF_WORKER * u32::try_from(state.wanted)?;
        let waited = self.done.wait_timeout_while(state, patience, missing);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(format!("only {} of {} workers acknowledged", state.times.len(), state.wanted).into());
        }
        Ok(std::mem::take(&mut state.times))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
