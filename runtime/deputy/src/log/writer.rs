//! The bounded queue of log lines, and the thread that writes them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use deputy_support::LockUnpoisoned as _;
use tracing_subscriber::fmt::MakeWriter;

/// Lines in the queue, at most.
const MAX_LINES: usize = 4096;

/// Bytes of all lines in the queue, at most.
const MAX_BYTES: usize = 1 << 20;

/// How long [`LogWriter::flush`] waits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Adds lines to the queue, and never waits. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<LogQueue>);

struct LogQueue {
    lines: Mutex<QueuedLines>,
    filled: Condvar,
    emptied: Condvar,
    json: bool,
}

#[derive(Default)]
struct QueuedLines {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    writing: bool,
}

impl QueuedLines {
    fn is_pending(&self) -> bool {
        self.writing || self.dropped > 0 || !self.lines.is_empty()
    }

    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }
}

impl LogWriter {
    /// Starts the thread, which ends with the process.
    pub(super) fn start(stream: impl Write + Send + 'static, json: bool) -> io::Result<Self> {
        let queue = Arc::new(LogQueue::new(json));
        let writer = Self(Arc::clone(&queue));
        thread::Builder::new().name("log".to_owned()).spawn(move || queue.write(stream))?;
        Ok(writer)
    }

    /// Waits a moment for the queue to be empty, and returns whether it is.
    pub(super) fn flush(&self) -> bool {
        let waited = self.0.emptied.wait_timeout_while(self.0.lock(), FLUSH_TIMEOUT, |queued| queued.is_pending());
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl LogQueue {
    fn new(json: bool) -> Self {
        Self { lines: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new(), json }
    }

    fn lock(&self) -> MutexGuard<'_, QueuedLines> {
        self.lines.lock_unpoisoned()
    }

    fn push(&self, line: &[u8]) {
        let mut queued = self.lock();
        // The report comes where the lines are missing.
        let report = (queued.dropped > 0).then(|| self.report(queued.dropped));
        let added = line.len().saturating_add(report.as_ref().map_or(0, Vec::len));
        if queued.lines.len() >= MAX_LINES || queued.bytes.saturating_add(added) > MAX_BYTES {
            queued.dropped = queued.dropped.saturating_add(1);
            return;
        }
        if let Some(report) = report {
            queued.dropped = 0;
            queued.push(report);
        }
        queued.push(line.to_owned());
        self.filled.notify_one();
    }

    /// Writes lines forever. Lines for a closed stream are lost.
    fn write(&self, mut stream: impl Write) {
        loop {
            let next = self.next();
            stream.write_all(&next).and_then(|()| stream.flush()).ok();
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut queued = self.lock();
        queued.writing = false;
        loop {
            if let Some(line) = queued.lines.pop_front() {
                queued.bytes = queued.bytes.saturating_sub(line.len());
                queued.writing = true;
                return line;
            }
            if queued.dropped > 0 {
                queued.writing = true;
                return self.report(std::mem::take(&mut queued.dropped));
            }
            self.emptied.notify_all();
            queued = self.filled.wait(queued).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn report(&self, dropped: u64) -> Vec<u8> {
        let text = "log lines dropped because stderr was not read";
        let line = if self.json {
            serde_json::json!({
                "level": "WARN",
                "fields": { "message": text, "dropped": dropped },
                "target": module_path!(),
            })
            .to_string()
        } else {
            format!("WARN {}: {text} dropped={dropped}", module_path!())
        };
        (line + "\n").into_bytes()
    }
}

impl Write for LogWriter {
    /// The subscriber writes whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A reader that reads when it is allowed to.
    struct Pipe {
        allowed: mpsc::Receiver<()>,
        lines: mpsc::Sender<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.allowed.recv().is_ok() {
                drop(self.lines.send(String::from_utf8(line.to_vec()).unwrap()));
            }
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_drops_and_counts_what_is_not_read() {
        let ((allow, allowed), (lines, read)) = (mpsc::channel(), mpsc::channel());
        let mut writer = LogWriter::start(Pipe { allowed, lines }, true).unwrap();
        // One line may be with the thread.
        let most = MAX_LINES + 1;
        for number in 0..most + 7 {
            writer.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        assert!(!writer.flush(), "it is not read");
        for _ in 0..most + 7 {
            allow.send(()).unwrap();
        }
        let patience = Duration::from_secs(30);
        let (mut kept, mut dropped) = (0, 0);
        // There is a second report if the thread began while lines were dropped.
        while kept + dropped < most + 7 {
            let line = read.recv_timeout(patience).unwrap();
            if line.contains("dropped") {
                let report: serde_json::Value = serde_json::from_str(&line).unwrap();
                dropped += usize::try_from(report["fields"]["dropped"].as_u64().unwrap()).unwrap();
            } else {
                kept += 1;
            }
        }
        assert_eq!(kept + dropped, most + 7);
        assert!((MAX_LINES - 1..=most).contains(&kept), "{kept}");
        assert!(writer.flush());
    }

    #[test]
    fn log_queue_is_bounded_in_bytes() {
        let queue = LogQueue::new(false);
        let quarter = vec![b'a'; MAX_BYTES / 4];
        for _ in 0..8 {
            queue.push(&quarter);
        }
        assert_eq!(queue.lock().dropped, 4);
        queue.next();
        queue.push(&quarter);
        assert_eq!(queue.lock().dropped, 5, "the line and the report together are over the bound");
        queue.push(b"short");
        let queued = queue.lock();
        assert!(queued.bytes <= MAX_BYTES && queued.dropped == 0, "{} bytes, {} dropped", queued.bytes, queued.dropped);
    }
}
