//! The thread that writes audit events. Only it waits for a slow disk or reader.

use std::sync::Arc;
use std::thread;

use serde::Serialize;

use super::AuditError;
use super::queue::{Batch, EventQueue, LostEvents, QueuedEvent, WriterTask};
use super::target::{LogTarget, Opened};

pub(super) struct Writer {
    queue: Arc<EventQueue>,
    target: LogTarget,
    /// Whether the last line lacks its end, which has to be written before the next one.
    torn: bool,
}

/// Reports missing lines.
#[derive(Serialize)]
struct LostLine<'a> {
    time: &'a str,
    event: &'static str,
    events: u64,
    outcome: &'static str,
}

impl Writer {
    /// The thread ends when the queue is closed and empty.
    pub(super) fn start(queue: &Arc<EventQueue>, target: LogTarget, torn: bool) -> Result<(), AuditError> {
        let writer = Self { queue: Arc::clone(queue), target, torn };
        let started = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run());
        started.map(drop).map_err(|_| AuditError::Stopped)
    }

    fn run(mut self) {
        loop {
            match self.queue.next() {
                WriterTask::Write(batch) => self.write(batch),
                WriterTask::Reopen(reply) => {
                    let reopened = self.reopen();
                    reply.send(reopened).ok();
                }
                WriterTask::Stop => return,
            }
        }
    }

    fn reopen(&mut self) -> Result<(), AuditError> {
        let opened = self.target.reopen()?;
        self.opened(opened);
        Ok(())
    }

    fn opened(&mut self, opened: Option<Opened>) {
        if let Some(opened) = opened {
            self.torn = opened.torn;
        }
    }

    /// Writes all lines at once, and replies for each line.
    fn write(&mut self, batch: Batch) {
        match self.target.ready() {
            Ok(opened) => self.opened(opened),
            Err(error) => return self.failed(batch.lost, batch.entries, error),
        }
        let mut bytes = Vec::new();
        if self.torn && (batch.lost.is_some() || !batch.entries.is_empty()) {
            bytes.push(b'\n');
        }
        bytes.extend(batch.lost.as_ref().map(lost_line).unwrap_or_default());
        let head = bytes.len();
        for entry in &batch.entries {
            bytes.extend_from_slice(&entry.line);
        }
        let (written, result) = self.target.write(&bytes);
        if let Some(last) = written.checked_sub(1).and_then(|last| bytes.get(last)) {
            self.torn = *last != b'\n';
        }
        let lost = batch.lost.filter(|_| written < head);
        let mut end = head;
        let is_written = |entry: &QueuedEvent| {
            end += entry.line.len();
            end <= written
        };
        let (complete, missing): (Vec<_>, Vec<_>) = batch.entries.into_iter().partition(is_written);
        for entry in complete {
            entry.reply.send(Ok(())).ok();
        }
        match result {
            Ok(()) => self.recovered(),
            Err(error) => self.failed(lost, missing, AuditError::Write(Arc::new(error))),
        }
    }

    fn failed(&self, lost: Option<LostEvents>, missing: Vec<QueuedEvent>, error: AuditError) {
        if let Some(lost) = lost {
            self.queue.restore_report(lost);
        }
        let events = missing.iter().filter(|entry| !entry.line.is_empty());
        if let Some(last) = events.clone().next_back() {
            self.queue.lose(events.count() as u64, last.time.clone());
        }
        let why = deputy_core::in_one_line(&error);
        if self.queue.replace_trouble(Some(why.clone())).is_none() {
            tracing::error!(error = %why, "writing the audit log failed; operations that must be audited are refused");
        }
        for entry in missing {
            entry.reply.send(Err(error.clone())).ok();
        }
    }

    fn recovered(&self) {
        if self.queue.replace_trouble(None).is_some() {
            tracing::info!("audit log writable again");
        }
    }
}

fn lost_line(lost: &LostEvents) -> Vec<u8> {
    let line = LostLine { time: &lost.time, event: "lost", events: lost.events, outcome: "failed" };
    let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
