//! The audit log: JSON lines to a file, to a stream, or into memory.
//!
//! One thread writes, so that a slow disk or reader delays only callers that record. A caller that depends on an event
//! [records](Audit::record) it, or [submits](Audit::submit) it and awaits the [`Receipt`]; an event about something that has
//! happened is submitted and [detached](Receipt::detach). An event that nothing depends on is
//! [submitted unawaited](Audit::submit_unawaited). The queue before the thread is bounded. When it is full, or a line
//! cannot be written, the event is lost: the caller gets an error, the loss is counted, and a line reports the number of
//! missing events as soon as one can be written again.

mod error;
mod queue;
mod receipt;
mod target;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deputy_support::LockUnpoisoned;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::AuditEvent;
use queue::{EventQueue, QueuedEvent, Urgency};
use target::{LogFile, LogTarget};
use writer::Writer;

pub use error::AuditError;
pub use receipt::Receipt;

/// The longest that a caller waits for an event to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Audit {
    sink: Sink,
    watch: Option<Watch>,
    origin: AuditOrigin,
}

/// Which of several coordinators on one state an event is from.
#[derive(Default)]
struct AuditOrigin {
    /// `None` if there is one coordinator.
    coordinator: Option<String>,
    /// The fencing number of its lock; 0 while it does not lead.
    term: AtomicU64,
}

/// An event as it is written.
#[derive(Serialize)]
struct EventLine<'a> {
    #[serde(flatten)]
    event: &'a AuditEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    coordinator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
}

type Watch = Box<dyn Fn(&AuditEvent) + Send + Sync>;

enum Sink {
    Memory(Mutex<Vec<AuditEvent>>),
    Nowhere,
    Thread(WriterHandle),
}

/// The writer's queue, which is closed when this is dropped.
struct WriterHandle(Arc<EventQueue>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditStatus {
    /// Events that could not be written, since the start.
    pub lost: u64,
    pub waiting: usize,
    /// Why events cannot be written now.
    pub trouble: Option<String>,
}

impl Audit {
    /// Appends to a file, which is created with mode 0600. The file may be a named pipe: until something reads it, nothing
    /// can be recorded.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn file(path: &Path) -> Result<Self, AuditError> {
        let (log, opened) = LogFile::open(path)?;
        let unread = log.unread();
        let queue = Arc::new(EventQueue::new(WRITE_TIMEOUT));
        Writer::start(&queue, LogTarget::File(log), opened.torn)?;
        if let Some(unread) = unread {
            queue.replace_trouble(Some(unread.to_string()));
            queue.wake();
        }
        Ok(Self::through(queue))
    }

    /// Writes to this process's stdout.
    ///
    /// # Errors
    /// If stdout is closed.
    pub fn stdout() -> Result<Self, AuditError> {
        let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(|source| AuditError::Write(Arc::new(source)))?;
        Self::stream(File::from(stdout))
    }

    /// Writes to a stream, which should not buffer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn stream(stream: impl Write + Send + 'static) -> Result<Self, AuditError> {
        Self::stream_with(stream, WRITE_TIMEOUT)
    }

    fn stream_with(stream: impl Write + Send + 'static, patience: Duration) -> Result<Self, AuditError> {
        let queue = Arc::new(EventQueue::new(patience));
        Writer::start(&queue, LogTarget::Stream(Box::new(stream)), false)?;
        Ok(Self::through(queue))
    }

    fn through(queue: Arc<EventQueue>) -> Self {
        Self { sink: Sink::Thread(WriterHandle(queue)), watch: None, origin: AuditOrigin::default() }
    }

    /// Keeps events until they are [taken](Self::take).
    pub fn memory() -> Self {
        Self { sink: Sink::Memory(Mutex::default()), watch: None, origin: AuditOrigin::default() }
    }

    /// Discards all events.
    pub fn nowhere() -> Self {
        Self { sink: Sink::Nowhere, watch: None, origin: AuditOrigin::default() }
    }

    /// Also passes each event to `watch`, before it is recorded.
    #[must_use]
    pub fn watched(self, watch: impl Fn(&AuditEvent) + Send + Sync + 'static) -> Self {
        Self { watch: Some(Box::new(watch)), ..self }
    }

    /// Names the coordinator in each line, where several share one state.
    #[must_use]
    pub fn of_coordinator(self, name: String) -> Self {
        Self { origin: AuditOrigin { coordinator: Some(name), ..self.origin }, ..self }
    }

    /// Also has the fencing number of the lock in each line, while this coordinator leads.
    pub fn set_term(&self, fencing: Option<u64>) {
        self.origin.term.store(fencing.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Records one event, and waits until its line is in the kernel. Blocks this thread, though not the other tasks of a
    /// multi-threaded runtime; in a task, await [`submit`](Self::submit) instead.
    ///
    /// # Errors
    /// If the event is not recorded. Then what it would have recorded must not happen.
    pub fn record(&self, event: AuditEvent) -> Result<(), AuditError> {
        self.submit(event).wait()
    }

    /// Hands one event to the writer, and never waits. The receipt says whether it was written.
    pub fn submit(&self, event: AuditEvent) -> Receipt {
        self.hand_over(event, Urgency::Awaited)
    }

    /// The same for an event that nothing depends on. The receipt says whether it was queued, or, as long as events cannot
    /// be written, whether it was written.
    pub fn submit_unawaited(&self, event: AuditEvent) -> Receipt {
        self.hand_over(event, Urgency::Unawaited)
    }

    fn hand_over(&self, event: AuditEvent, urgency: Urgency) -> Receipt {
        if let Some(watch) = &self.watch {
            watch(&event);
        }
        match &self.sink {
            Sink::Memory(events) => {
                events.lock_unpoisoned().push(event);
                Receipt::known(Ok(()))
            }
            Sink::Nowhere => Receipt::known(Ok(())),
            Sink::Thread(WriterHandle(queue)) => match self.line(&event) {
                Ok(line) => enqueue(queue, event.time, line, urgency),
                Err(error) => Receipt::known(Err(error)),
            },
        }
    }

    /// An event as one line, which is written in one piece, so that lines of several processes do not mix.
    fn line(&self, event: &AuditEvent) -> Result<Vec<u8>, AuditError> {
        let AuditOrigin { coordinator, term } = &self.origin;
        let coordinator = coordinator.as_deref();
        let term = Some(term.load(Ordering::Relaxed)).filter(|term| *term > 0 && coordinator.is_some());
        let line = serde_json::to_vec(&EventLine { event, coordinator, term });
        let mut line = line.map_err(|error| AuditError::Write(Arc::new(error.into())))?;
        line.push(b'\n');
        Ok(line)
    }

    /// Waits until all submitted events are written or lost, up to a timeout.
    pub async fn flush(&self) {
        if let Sink::Thread(WriterHandle(queue)) = &self.sink {
            enqueue(queue, String::new(), Vec::new(), Urgency::Awaited).written().await.ok();
        }
    }

    /// Reopens the file, as after a log rotation. If that fails, the previous file stays in use.
    ///
    /// # Errors
    /// If the file cannot be opened, or the writer is stuck.
    pub async fn reopen(&self) -> Result<(), AuditError> {
        let Sink::Thread(WriterHandle(queue)) = &self.sink else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        queue.reopen(reply)?;
        Receipt::pending(answer, queue.patience).written().await
    }

    pub fn status(&self) -> AuditStatus {
        match &self.sink {
            Sink::Memory(_) | Sink::Nowhere => AuditStatus::default(),
            Sink::Thread(WriterHandle(queue)) => queue.status(),
        }
    }

    /// Removes and returns the events in memory, oldest first. Empty for a file or stream.
    pub fn take(&self) -> Vec<AuditEvent> {
        match &self.sink {
            Sink::Memory(events) => std::mem::take(&mut *events.lock_unpoisoned()),
            Sink::Nowhere | Sink::Thread(_) => Vec::new(),
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn enqueue(queue: &EventQueue, time: String, line: Vec<u8>, urgency: Urgency) -> Receipt {
    let (reply, answer) = oneshot::channel();
    match queue.push(QueuedEvent { time, line, reply }, urgency) {
        Ok(true) if urgency == Urgency::Unawaited => Receipt::known(Ok(())),
        Ok(_) => Receipt::pending(answer, queue.patience),
        Err(error) => Receipt::known(Err(error)),
    }
}
