//! Lines on their way to stderr: a bounded queue, and the one thread that waits for the reader.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const LINES: usize = 4096;

/// Bytes of all lines that wait.
const BYTES: usize = 1 << 20;

/// How long the end of the process waits for the last lines.
const FAREWELL: Duration = Duration::from_secs(1);

/// Puts lines into the queue, and never waits. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<Queue>);

struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    json: bool,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    writing: bool,
}

impl State {
    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }
}

impl LogWriter {
    /// Starts the thread, which ends with the process.
    pub(super) fn start(stream: impl Write + Send + 'static, json: bool) -> io::Result<Self> {
        let (filled, emptied) = (Condvar::new(), Condvar::new());
        let queue = Arc::new(Queue { state: Mutex::default(), filled, emptied, json });
        let own = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || own.write(stream))?;
        Ok(Self(queue))
    }

    /// Waits a moment until nothing is queued. Says whether that is so.
    pub(super) fn flush(&self) -> bool {
        let waits = |state: &mut State| state.writing || state.dropped > 0 || !state.lines.is_empty();
        let waited = self.0.emptied.wait_timeout_while(self.0.state(), FAREWELL, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        // The report stands where the lines are missing.
        let report = (state.dropped > 0).then(|| self.report(state.dropped));
        let added = line.len().saturating_add(report.as_ref().map_or(0, Vec::len));
        if state.lines.len() >= LINES || state.bytes.saturating_add(added) > BYTES {
            state.dropped = state.dropped.saturating_add(1);
            return;
        }
        if let Some(report) = report {
            state.dropped = 0;
            state.push(report);
        }
        state.push(line.to_owned());
        self.filled.notify_one();
    }

    /// Writes what comes. A stream that is gone takes its lines along.
    fn write(&self, mut stream: impl Write) {
        loop {
            let next = self.next();
            drop(stream.write_all(&next).and_then(|()| stream.flush()));
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut state = self.state();
        state.writing = false;
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes = state.bytes.saturating_sub(line.len());
                state.writing = true;
                return line;
            }
            if state.dropped > 0 {
                state.writing = true;
                return self.report(std::mem::take(&mut state.dropped));
            }
            self.emptied.notify_all();
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn report(&self, dropped: u64) -> Vec<u8> {
        let text = "lines of the log were dropped, because stderr was not read";
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
    /// The subscriber writes each line at once.
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
        let most = LINES + 1;
        for number in 0..most + 7 {
            writer.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        assert!(!writer.flush(), "it is not read");
        for _ in 0..most + 2 {
            allow.send(()).unwrap();
        }
        let patience = Duration::from_secs(30);
        let mut kept = Vec::new();
        let report = loop {
            let line = read.recv_timeout(patience).unwrap();
            if line.contains("dropped") {
                break serde_json::from_str::<serde_json::Value>(&line).unwrap();
            }
            kept.push(line);
        };
        assert!((LINES..=most).contains(&kept.len()), "{}", kept.len());
        assert_eq!(report["fields"]["dropped"], most + 7 - kept.len());
        assert!(writer.flush());
    }

    #[test]
    fn log_queue_is_bounded_in_bytes() {
        let (filled, emptied) = (Condvar::new(), Condvar::new());
        let queue = Queue { state: Mutex::default(), filled, emptied, json: false };
        let quarter = vec![b'a'; BYTES / 4];
        for _ in 0..8 {
            queue.push(&quarter);
        }
        assert_eq!(queue.state().dropped, 4);
        queue.next();
        queue.push(&quarter);
        assert_eq!(queue.state().dropped, 5, "the line and the report together are over the bound");
        queue.push(b"short");
        let state = queue.state();
        assert!(state.bytes <= BYTES && state.dropped == 0, "{} bytes, {} dropped", state.bytes, state.dropped);
    }
}
