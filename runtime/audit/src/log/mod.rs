//! Where audit events go: JSON lines to a file, to a stream, or into memory.
//!
//! One thread writes, so that a slow disk or reader delays only those who record. Who must know that an event is written
//! [records](Audit::record) it, or [submits](Audit::submit) it and awaits the [`Receipt`]; what has happened already is
//! submitted and left to itself. The queue before the thread is bounded. When it is full, or when a line cannot be
//! written, the event is lost: who waits for it is refused, the loss is counted, and a line says how many events are
//! missing as soon as one can be written again.

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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::AuditEvent;
use queue::{Entry, Queue};
use target::{LogFile, Target};
use writer::Writer;

pub use error::AuditError;
pub use receipt::Receipt;

/// The longest that an event's recorder waits for it to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes audit events.
pub struct Audit {
    sink: Sink,
    watch: Option<Watch>,
}

type Watch = Box<dyn Fn(&AuditEvent) + Send + Sync>;

enum Sink {
    Memory(Mutex<Vec<AuditEvent>>),
    Nowhere,
    Thread(Running),
}

/// The writer's queue, which is closed when its audit is dropped.
struct Running(Arc<Queue>);

/// How the audit log is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditStatus {
    /// Events that could not be written since the start.
    pub lost: u64,
    /// Events that wait to be written.
    pub waiting: usize,
    /// Why events cannot be written now.
    pub trouble: Option<String>,
}

impl Audit {
    /// Appends to a file, which is made with mode 0600. It may be a pipe with a name: until something reads that, nothing
    /// can be recorded.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn file(path: &Path) -> Result<Self, AuditError> {
        let (log, opened) = LogFile::open(path)?;
        let unread = log.unread();
        let queue = Arc::new(Queue::new(PATIENCE));
        Writer::start(&queue, Target::File(log), opened.torn)?;
        if let Some(unread) = unread {
            queue.trouble(Some(unread.to_string()));
            queue.wake();
        }
        Ok(Self::through(queue))
    }

    /// Writes to this process's stdout.
    ///
    /// # Errors
    /// If there is none.
    pub fn stdout() -> Result<Self, AuditError> {
        let stdout = io::stdout().as_fd().try_clone_to_owned();
        let stdout = stdout.map_err(|source| AuditError::Write(Arc::new(source)))?;
        Self::stream(File::from(stdout))
    }

    /// Writes to a stream, which should not buffer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn stream(stream: impl Write + Send + 'static) -> Result<Self, AuditError> {
        Self::stream_with(stream, PATIENCE)
    }

    fn stream_with(stream: impl Write + Send + 'static, patience: Duration) -> Result<Self, AuditError> {
        let queue = Arc::new(Queue::new(patience));
        Writer::start(&queue, Target::Stream(Box::new(stream)), false)?;
        Ok(Self::through(queue))
    }

    fn through(queue: Arc<Queue>) -> Self {
        Self { sink: Sink::Thread(Running(queue)), watch: None }
    }

    /// Keeps events until they are [taken](Self::take).
    pub fn memory() -> Self {
        Self { sink: Sink::Memory(Mutex::default()), watch: None }
    }

    /// Keeps no event.
    pub fn nowhere() -> Self {
        Self { sink: Sink::Nowhere, watch: None }
    }

    /// Shows each event to somebody, too, before it is recorded.
    #[must_use]
    pub fn watched(self, watch: impl Fn(&AuditEvent) + Send + Sync + 'static) -> Self {
        Self { watch: Some(Box::new(watch)), ..self }
    }

    /// Records one event, and waits until its line is in the kernel. It blocks this thread, though not the other tasks of
    /// a runtime with several threads; a task had better await [`submit`](Self::submit).
    ///
    /// # Errors
    /// If it is not written: what it would have recorded must not happen.
    pub fn record(&self, event: AuditEvent) -> Result<(), AuditError> {
        self.submit(event).wait()
    }

    /// Hands one event to the writer, and never waits. The receipt tells whether it was written.
    pub fn submit(&self, event: AuditEvent) -> Receipt {
        if let Some(watch) = &self.watch {
            watch(&event);
        }
        match &self.sink {
            Sink::Memory(events) => {
                events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                Receipt::known(Ok(()))
            }
            Sink::Nowhere => Receipt::known(Ok(())),
            Sink::Thread(Running(queue)) => match line(&event) {
                Ok(line) => enqueue(queue, event.time, line),
                Err(error) => Receipt::known(Err(error)),
            },
        }
    }

    /// Waits until everything that was submitted is written or lost, or until that takes too long.
    pub async fn flush(&self) {
        if let Sink::Thread(Running(queue)) = &self.sink {
            drop(enqueue(queue, String::new(), Vec::new()).written().await);
        }
    }

    /// Opens the file's path again, as after a rotation. What cannot be opened leaves the file of before in use.
    ///
    /// # Errors
    /// If it can't be opened, or the writer is stuck.
    pub async fn reopen(&self) -> Result<(), AuditError> {
        let Sink::Thread(Running(queue)) = &self.sink else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        queue.reopen(reply)?;
        Receipt::pending(answer, queue.patience).written().await
    }

    /// How it is.
    pub fn status(&self) -> AuditStatus {
        match &self.sink {
            Sink::Memory(_) | Sink::Nowhere => AuditStatus::default(),
            Sink::Thread(Running(queue)) => queue.status(),
        }
    }

    /// The events that memory holds, oldest first, which it then forgets. None for a file or stream.
    pub fn take(&self) -> Vec<AuditEvent> {
        match &self.sink {
            Sink::Memory(events) => std::mem::take(&mut *events.lock().unwrap_or_else(PoisonError::into_inner)),
            Sink::Nowhere | Sink::Thread(_) => Vec::new(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// An event in one line, which is written in one piece, so that lines of several processes do not mix.
fn line(event: &AuditEvent) -> Result<Vec<u8>, AuditError> {
    let mut line = serde_json::to_vec(event).map_err(|error| AuditError::Write(Arc::new(error.into())))?;
    line.push(b'\n');
    Ok(line)
}

fn enqueue(queue: &Queue, time: String, line: Vec<u8>) -> Receipt {
    let (reply, answer) = oneshot::channel();
    match queue.push(Entry { time, line, reply }) {
        Ok(()) => Receipt::pending(answer, queue.patience),
        Err(error) => Receipt::known(Err(error)),
    }
}
