//! What waits for the audit's writer: bounded, in order, and never a reason to block for who puts something in.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{AuditError, AuditStatus};

/// Events that may wait.
pub(super) const ENTRIES: usize = 4096;

/// Bytes of all events that wait.
const BYTES: usize = 4 << 20;

/// Bytes that are written at once. What waits meanwhile is the next batch.
const BATCH: usize = 128 << 10;

/// How soon a log that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

pub(super) type Reply = oneshot::Sender<Result<(), AuditError>>;

/// An event that waits.
pub(super) struct Entry {
    pub(super) time: String,
    pub(super) line: Vec<u8>,
    pub(super) reply: Reply,
}

/// What the writer does next.
pub(super) enum Work {
    /// Writes these, and what is [lost](Batch::lost) before them.
    Write(Batch),
    /// Opens its file again.
    Reopen(Reply),
    /// Ends.
    End,
}

#[derive(Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// Events that nobody will find in the log, if a line has not said so yet.
    pub(super) lost: Option<Lost>,
}

/// Events that could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) events: u64,
    /// When the last of them happened.
    pub(super) time: String,
}

pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) patience: Duration,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    reopens: VecDeque<Reply>,
    unreported: Option<Lost>,
    lost: u64,
    trouble: Option<String>,
    /// Since when the writer has been busy with what it took.
    busy: Option<Instant>,
    closed: bool,
}

impl Queue {
    pub(super) fn new(patience: Duration) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), patience }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event in, or counts it as lost if there is no room.
    pub(super) fn push(&self, entry: Entry) -> Result<(), AuditError> {
        let mut state = self.state();
        if state.closed {
            return Err(AuditError::Stopped);
        }
        let has_room = state.entries.is_empty() || state.bytes.saturating_add(entry.line.len()) <= BYTES;
        if state.entries.len() >= ENTRIES || !has_room {
            let waiting = state.entries.len();
            // The time of a marker is empty, and losing one loses no event.
            if !entry.line.is_empty() {
                state.lose(1, entry.time);
            }
            return Err(AuditError::Full { waiting });
        }
        state.bytes += entry.line.len();
        state.entries.push_back(entry);
        self.changed.notify_one();
        Ok(())
    }

    /// Has the file opened again, before what waits is written.
    pub(super) fn reopen(&self, reply: Reply) -> Result<(), AuditError> {
        let mut state = self.state();
        if state.closed {
            return Err(AuditError::Stopped);
        }
        // A writer that is stuck answers none of them: the first few are enough.
        if state.reopens.len() >= 16 {
            return Err(AuditError::Slow);
        }
        state.reopens.push_back(reply);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for work. While the log can't be written it comes back from time to time to try.
    pub(super) fn next(&self) -> Work {
        let mut state = self.state();
        state.busy = None;
        loop {
            if let Some(reply) = state.reopens.pop_front() {
                state.busy = Some(now());
                return Work::Reopen(reply);
            }
            if !state.entries.is_empty() {
                return Work::Write(state.take());
            }
            if state.closed {
                return Work::End;
            }
            if state.trouble.is_none() && state.unreported.is_none() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.changed.wait_timeout(state, RETRY).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if waited.1.timed_out() && state.entries.is_empty() {
                return Work::Write(state.take());
            }
        }
    }

    /// Notes that events could not be written.
    pub(super) fn lose(&self, events: u64, time: String) {
        self.state().lose(events, time);
    }

    /// Gives a report of lost events back that could not be written either.
    pub(super) fn unreported(&self, lost: Lost) {
        let mut state = self.state();
        let later = state.unreported.take();
        state.unreported = Some(match later {
            Some(later) => Lost { events: lost.events.saturating_add(later.events), time: later.time },
            None => lost,
        });
    }

    /// Notes whether the log can be written, and gives what was noted before.
    pub(super) fn trouble(&self, trouble: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.state().trouble, trouble)
    }

    /// Has the writer look at its log again.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    pub(super) fn status(&self) -> AuditStatus {
        let state = self.state();
        let stuck = state.busy.is_some_and(|since| now().saturating_duration_since(since) > self.patience);
        let stuck = stuck.then(|| AuditError::Slow.to_string());
        AuditStatus { lost: state.lost, waiting: state.entries.len(), trouble: stuck.or_else(|| state.trouble.clone()) }
    }

    /// Nothing more comes in. What waits is still written.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }
}

impl State {
    fn take(&mut self) -> Batch {
        self.busy = Some(now());
        let mut batch = Batch { entries: Vec::new(), lost: self.unreported.take() };
        let mut bytes = 0;
        while bytes < BATCH
            && let Some(entry) = self.entries.pop_front()
        {
            bytes += entry.line.len();
            self.bytes = self.bytes.saturating_sub(entry.line.len());
            batch.entries.push(entry);
        }
        batch
    }

    fn lose(&mut self, events: u64, time: String) {
        self.lost = self.lost.saturating_add(events);
        let before = self.unreported.take().map_or(0, |lost| lost.events);
        self.unreported = Some(Lost { events: before.saturating_add(events), time });
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a write has taken is asked while it is stuck")]
fn now() -> Instant {
    Instant::now()
}
