//! The queue before the writer: bounded and in order. Submitting an event never blocks.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deputy_support::LockUnpoisoned;
use tokio::sync::oneshot;

use super::{AuditError, AuditStatus};

pub(super) const MAX_ENTRIES: usize = 4096;

/// Bytes of all queued lines.
const MAX_BYTES: usize = 4 << 20;

/// Bytes of one write.
const BATCH_BYTES: usize = 128 << 10;

/// How soon a failed write is retried.
const RETRY: Duration = Duration::from_secs(1);

/// How long the writer waits, after a write, for events whose recorder does not wait: many of them cost one write.
const LINGER: Duration = Duration::from_millis(10);

/// Requests to reopen the file. Only a stuck writer leaves this number unanswered.
const MAX_REOPENS: usize = 16;

pub(super) type ReceiptSender = oneshot::Sender<Result<(), AuditError>>;

pub(super) struct QueuedEvent {
    pub(super) time: String,
    pub(super) line: Vec<u8>,
    pub(super) reply: ReceiptSender,
}

/// Whether an event's caller waits for the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    Awaited,
    Unawaited,
}

/// The next task of the writer.
pub(super) enum WriterTask {
    Write(Batch),
    Reopen(ReceiptSender),
    Stop,
}

#[derive(Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<QueuedEvent>,
    /// Events that are missing from the log and that no line has reported yet.
    pub(super) lost: Option<LostEvents>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LostEvents {
    pub(super) events: u64,
    /// When the last of them happened.
    pub(super) time: String,
}

pub(super) struct EventQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
    pub(super) patience: Duration,
}

#[derive(Default)]
struct QueueState {
    entries: VecDeque<QueuedEvent>,
    bytes: usize,
    reopens: VecDeque<ReceiptSender>,
    unreported: Option<LostEvents>,
    lost: u64,
    trouble: Option<String>,
    /// Since when the writer has been busy with a task.
    busy: Option<Instant>,
    /// Whether a caller waits for one of the entries.
    awaited: bool,
    /// Whether the writer waits until it is woken.
    asleep: bool,
    closed: bool,
}

impl EventQueue {
    pub(super) fn new(patience: Duration) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), patience }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock_unpoisoned()
    }

    /// Queues an event, or counts it as lost if there is no room. Returns whether events can be written now, as far as is
    /// known. Until they can, an unawaited event counts as awaited.
    pub(super) fn push(&self, entry: QueuedEvent, urgency: Urgency) -> Result<bool, AuditError> {
        let mut state = self.state();
        if state.closed {
            return Err(AuditError::Stopped);
        }
        let has_room = state.entries.is_empty() || state.bytes.saturating_add(entry.line.len()) <= MAX_BYTES;
        if state.entries.len() >= MAX_ENTRIES || !has_room {
            let waiting = state.entries.len();
            // A marker has an empty line: without it no event is lost.
            if !entry.line.is_empty() {
                state.lose(1, entry.time);
            }
            return Err(AuditError::Full { waiting });
        }
        let is_writable = state.trouble.is_none() && !state.is_stuck(self.patience);
        let is_awaited = urgency == Urgency::Awaited || !is_writable;
        // The writer is woken once, and without the lock, which it takes first.
        let wakes = state.busy.is_none() && (state.asleep || (is_awaited && !state.awaited));
        state.asleep = false;
        state.awaited |= is_awaited;
        state.bytes += entry.line.len();
        state.entries.push_back(entry);
        drop(state);
        if wakes {
            self.changed.notify_one();
        }
        Ok(is_writable)
    }

    /// Reopens the file before queued events are written.
    pub(super) fn reopen(&self, reply: ReceiptSender) -> Result<(), AuditError> {
        let mut state = self.state();
        if state.closed {
            return Err(AuditError::Stopped);
        }
        if state.reopens.len() >= MAX_REOPENS {
            return Err(AuditError::Slow);
        }
        state.reopens.push_back(reply);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for a task. While writes fail, an empty batch comes after each [`RETRY`].
    pub(super) fn next(&self) -> WriterTask {
        let mut state = self.state();
        state.busy = None;
        let mut lingers = true;
        loop {
            if let Some(reply) = state.reopens.pop_front() {
                state.busy = Some(now());
                return WriterTask::Reopen(reply);
            }
            if !state.entries.is_empty() && (state.awaited || state.closed || !lingers) {
                return WriterTask::Write(state.take());
            }
            if state.closed {
                return WriterTask::Stop;
            }
            let retries = state.trouble.is_some() || state.unreported.is_some();
            let timed_out;
            (state, timed_out) = self.wait(state, if retries { Some(RETRY) } else { lingers.then_some(LINGER) });
            lingers &= !timed_out;
            if timed_out && retries && state.entries.is_empty() {
                return WriterTask::Write(state.take());
            }
        }
    }

    /// Waits until something changes, or until the time is over. Returns whether it is.
    fn wait<'q>(
        &'q self,
        mut state: MutexGuard<'q, QueueState>,
        timeout: Option<Duration>,
    ) -> (MutexGuard<'q, QueueState>, bool) {
        match timeout {
            Some(timeout) => {
                let waited = self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
                (waited.0, waited.1.timed_out())
            }
            None => {
                state.asleep = true;
                (self.changed.wait(state).unwrap_or_else(PoisonError::into_inner), false)
            }
        }
    }

    /// Counts events that could not be written.
    pub(super) fn lose(&self, events: u64, time: String) {
        self.state().lose(events, time);
    }

    /// Takes back a report of lost events that could not be written either.
    pub(super) fn restore_report(&self, lost: LostEvents) {
        let mut state = self.state();
        let later = state.unreported.take();
        state.unreported = Some(match later {
            Some(later) => LostEvents { events: lost.events.saturating_add(later.events), time: later.time },
            None => lost,
        });
    }

    /// Sets why the log cannot be written. Returns the previous value.
    pub(super) fn replace_trouble(&self, trouble: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.state().trouble, trouble)
    }

    /// Makes the writer retry now.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    pub(super) fn status(&self) -> AuditStatus {
        let state = self.state();
        let stuck = state.is_stuck(self.patience).then(|| AuditError::Slow.to_string());
        AuditStatus { lost: state.lost, waiting: state.entries.len(), trouble: stuck.or_else(|| state.trouble.clone()) }
    }

    /// Refuses further events. Queued ones are still written.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }
}

impl QueueState {
    /// Whether the writer has been busy with one task for longer than callers wait.
    fn is_stuck(&self, patience: Duration) -> bool {
        self.busy.is_some_and(|since| now().saturating_duration_since(since) > patience)
    }

    fn take(&mut self) -> Batch {
        self.busy = Some(now());
        let mut batch = Batch { entries: Vec::new(), lost: self.unreported.take() };
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Some(entry) = self.entries.pop_front()
        {
            bytes += entry.line.len();
            self.bytes = self.bytes.saturating_sub(entry.line.len());
            batch.entries.push(entry);
        }
        self.awaited &= !self.entries.is_empty();
        batch
    }

    fn lose(&mut self, events: u64, time: String) {
        self.lost = self.lost.saturating_add(events);
        let before = self.unreported.take().map_or(0, |lost| lost.events);
        self.unreported = Some(LostEvents { events: before.saturating_add(events), time });
    }
}

#[expect(clippy::disallowed_methods, reason = "the age of a write in progress")]
fn now() -> Instant {
    Instant::now()
}
