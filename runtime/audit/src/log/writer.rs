//! The one thread that writes audit events: it alone waits for a slow disk or reader.

use std::sync::Arc;
use std::thread;

use serde::Serialize;

use super::AuditError;
use super::queue::{Batch, Entry, Lost, Queue, Work};
use super::target::{Opened, Target};

pub(super) struct Writer {
    queue: Arc<Queue>,
    target: Target,
    /// The last line has no end yet: the next one must not become a part of it.
    torn: bool,
}

/// A line that says how many others are missing.
#[derive(Serialize)]
struct LostLine<'a> {
    time: &'a str,
    event: &'static str,
    events: u64,
    outcome: &'static str,
}

impl Writer {
    /// Starts the thread. It ends when the queue is closed and empty.
    pub(super) fn start(queue: &Arc<Queue>, target: Target, torn: bool) -> Result<(), AuditError> {
        let writer = Self { queue: Arc::clone(queue), target, torn };
        let started = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run());
        started.map(drop).map_err(|_| AuditError::Stopped)
    }

    fn run(mut self) {
        loop {
            match self.queue.next() {
                Work::Write(batch) => self.write(batch),
                Work::Reopen(reply) => {
                    let reopened = self.reopen();
                    drop(reply.send(reopened));
                }
                Work::End => return,
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

    /// Writes all lines at once, and tells each who waits whether its own is there.
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
        let is_there = |entry: &Entry| {
            end += entry.line.len();
            end <= written
        };
        let (there, missing): (Vec<_>, Vec<_>) = batch.entries.into_iter().partition(is_there);
        for entry in there {
            drop(entry.reply.send(Ok(())));
        }
        match result {
            Ok(()) => self.recovered(),
            Err(error) => self.failed(lost, missing, AuditError::Write(Arc::new(error))),
        }
    }

    fn failed(&self, lost: Option<Lost>, missing: Vec<Entry>, error: AuditError) {
        if let Some(lost) = lost {
            self.queue.unreported(lost);
        }
        let events = missing.iter().filter(|entry| !entry.line.is_empty());
        if let Some(last) = events.clone().next_back() {
            self.queue.lose(events.count() as u64, last.time.clone());
        }
        let why = deputy_core::in_one_line(&error);
        if self.queue.trouble(Some(why.clone())).is_none() {
            tracing::error!(error = %why, "audit events are lost, and what they would record is refused");
        }
        for entry in missing {
            drop(entry.reply.send(Err(error.clone())));
        }
    }

    fn recovered(&self) {
        if self.queue.trouble(None).is_some() {
            tracing::info!("the audit log can be written again");
        }
    }
}

fn lost_line(lost: &Lost) -> Vec<u8> {
    let line = LostLine { time: &lost.time, event: "lost", events: lost.events, outcome: "failed" };
    let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
