//! What a component says: stdout, stderr and the contract's `logging`, in one bounded log for each call.
//!
//! Every line becomes one tracing event of the target `deputy::guest`, with known secrets blanked and control characters
//! escaped, so that it can't pass for a line of the host or of another instance. What is over a limit is counted, and
//! one line at the end of the call says how much that was. Writing never waits, fails or traps: a component can't tell
//! whether it is heard.

#[cfg(test)]
pub(crate) mod capture;
mod line;
mod stream;

use std::sync::{Arc, Mutex};

use deputy_audit::CallId;
use deputy_core::{InstanceName, Limit, PolicyDenial, ReceiverName};
use deputy_support::LockUnpoisoned as _;
use tracing::field::{DisplayValue, display};

use crate::call_budget::CallBudget;
use crate::redact::{Redactor, bounded, escape};
use line::{MAX_LINE, PendingLine, Tail};

pub(crate) use stream::GuestStream;

/// Bytes of one block that are looked at when they can't all be shown: as many as a stream takes at once.
const LOOKED_AT: usize = 64 << 10;

/// The log of one call. Clones are the same log.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<GuestLogInner>);

struct GuestLogInner {
    budget: Arc<CallBudget>,
    call: CallId,
    redactor: Arc<Redactor>,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    lines: u32,
    bytes: u64,
    /// The first limit that was passed. From then on all is dropped, so that what is there has no holes.
    over: Option<Limit>,
    dropped: u64,
    /// Whether more lines may have been dropped than were counted.
    dropped_more: bool,
    stdout: PendingLine,
    stderr: PendingLine,
    tail: Tail,
    finished: bool,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogSource {
    /// `logging.log`
    Log(Level),
    Stderr,
    Stdout,
}

/// A level of the contract's `logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// For the author.
    Debug,
    /// For the operator.
    Info,
    /// For the operator to act upon.
    Warn,
    /// For the operator to act upon now.
    Error,
}

impl GuestLog {
    pub(crate) fn new(budget: Arc<CallBudget>, call: CallId, redactor: Arc<Redactor>) -> Self {
        Self(Arc::new(GuestLogInner { budget, call, redactor, state: Mutex::default() }))
    }

    /// The component's standard output.
    pub(crate) fn stdout(&self) -> GuestStream {
        GuestStream::new(self.clone(), LogSource::Stdout)
    }

    /// The component's standard error.
    pub(crate) fn stderr(&self) -> GuestStream {
        GuestStream::new(self.clone(), LogSource::Stderr)
    }

    /// One message of `logging`, which may have several lines.
    pub(crate) fn log(&self, level: Level, message: &str) {
        self.0.lock(|inner, state| inner.emit(state, LogSource::Log(level), message.as_bytes(), message.len()));
    }

    /// Bytes of a stream. What is after the last newline waits for the next write.
    pub(crate) fn write(&self, source: LogSource, bytes: &[u8]) {
        self.0.lock(|inner, state| inner.write(state, source, bytes));
    }

    /// Ends the log: writes unfinished lines, and the number of dropped ones, once.
    pub(crate) fn finish(&self) {
        self.0.finish();
    }

    /// The last of what the component wrote to standard error, for the report of its failure: at most 4 KiB, blanked and
    /// escaped, whatever the limits of the log dropped.
    pub(crate) fn tail(&self) -> String {
        let mut tail = String::new();
        self.0.lock_always(|inner, state| tail = state.tail.text(state.stderr.raw(), &inner.redactor));
        tail
    }
}

impl GuestLogInner {
    fn lock(&self, act: impl FnOnce(&Self, &mut LogState)) {
        self.lock_always(|inner, state| {
            if !state.finished {
                act(inner, state);
            }
        });
    }

    fn lock_always(&self, act: impl FnOnce(&Self, &mut LogState)) {
        act(self, &mut self.state.lock_unpoisoned());
    }

    fn write(&self, state: &mut LogState, source: LogSource, bytes: &[u8]) {
        let stderr = source == LogSource::Stderr;
        let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            state.pending(stderr).push(bytes, &self.redactor);
            return;
        };
        let (whole, rest) = bytes.split_at(newline + 1);
        let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
        let mut block = state.pending(stderr).take();
        let mut whole = whole;
        if block.cut {
            // The end of the line that was too long is of no use.
            let end = whole.iter().position(|byte| *byte == b'\n');
            self.block(state, source, &block.raw, MAX_LINE);
            whole = match end {
                Some(end) => whole.get(end + 1..).unwrap_or_default(),
                None => {
                    state.pending(stderr).push(rest, &self.redactor);
                    return;
                }
            };
            block.raw.clear();
        }
        if block.raw.is_empty() {
            self.block(state, source, whole, whole.len());
        } else {
            block.raw.extend_from_slice(whole);
            self.block(state, source, &block.raw, block.raw.len());
        }
        state.pending(stderr).push(rest, &self.redactor);
    }

    fn block(&self, state: &mut LogState, source: LogSource, raw: &[u8], upto: usize) {
        if source == LogSource::Stderr {
            state.tail.push(raw, upto, &self.redactor);
        }
        self.emit(state, source, raw, upto);
    }

    /// Emits the lines of a block, blanked as a whole: a secret may have several lines. It looks at no more of the block
    /// than the log could still take.
    fn emit(&self, state: &mut LogState, source: LogSource, raw: &[u8], upto: usize) {
        if state.over.is_some() {
            state.drop_lines(raw);
            return;
        }
        let limits = self.budget.limits();
        let most = limits.log_bytes.as_usize().max(LOOKED_AT);
        let beyond = raw.get(most..upto).unwrap_or_default();
        let upto = upto.min(most);
        let raw = raw.get(..most.saturating_add(self.redactor.longest())).unwrap_or(raw);
        let blanked = self.redactor.blank(raw, upto);
        let mut rest = blanked.as_slice();
        loop {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let line = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = bounded(escape(&String::from_utf8_lossy(line)), MAX_LINE, false);
            let bytes = state.bytes.saturating_add(text.len() as u64);
            if state.lines >= limits.log_lines {
                state.over = Some(Limit::LogLines);
            } else if bytes > limits.log_bytes.as_u64() {
                state.over = Some(Limit::LogBytes);
            }
            if state.over.is_some() {
                state.drop_lines(rest);
                break;
            }
            state.lines += 1;
            state.bytes = bytes;
            self.event(source, &text);
            match end.and_then(|end| rest.get(end + 1..)) {
                Some(after) => rest = after,
                None => break,
            }
        }
        // The rest belongs to a line that is shown far enough, or is more than the log can take.
        let lines = newlines(beyond);
        if lines > 0 {
            state.over.get_or_insert(Limit::LogBytes);
            state.dropped = state.dropped.saturating_add(lines);
        }
    }

    /// An instance or a receiver, and its call; what is none is not printed.
    fn whose(&self) -> (Option<DisplayValue<&InstanceName>>, Option<DisplayValue<&ReceiverName>>, CallId) {
        let subject = self.budget.audit.subject();
        (subject.instance().map(display), subject.receiver().map(display), self.call)
    }

    fn event(&self, source: LogSource, text: &str) {
        let (instance, receiver, call) = self.whose();
        macro_rules! event {
            ($level:ident, $stream:literal) => {
                tracing::$level!(target: "deputy::guest", instance, receiver, %call, stream = $stream, "{text}")
            };
        }
        match source {
            LogSource::Log(Level::Debug) => event!(debug, "log"),
            LogSource::Log(Level::Info) => event!(info, "log"),
            LogSource::Log(Level::Warn) => event!(warn, "log"),
            LogSource::Log(Level::Error) => event!(error, "log"),
            LogSource::Stderr => event!(info, "stderr"),
            LogSource::Stdout => event!(info, "stdout"),
        }
    }

    fn finish(&self) {
        self.lock(|inner, state| {
            for (stderr, source) in [(false, LogSource::Stdout), (true, LogSource::Stderr)] {
                let rest = state.pending(stderr).take();
                if !rest.raw.is_empty() {
                    inner.block(state, source, &rest.raw, if rest.cut { MAX_LINE } else { rest.raw.len() });
                }
            }
            state.finished = true;
            if let Some(limit) = state.over {
                inner.budget.deny(PolicyDenial::Limit(limit));
                let ((instance, receiver, call), dropped) = (inner.whose(), state.dropped);
                let now = inner.budget.limits().toml_value(limit);
                let least = if state.dropped_more { "at least " } else { "" };
                tracing::warn!(
                    target: "deputy::guest", instance, receiver, %call, stream = "host", dropped,
                    "dropped {least}{dropped} lines over the limit `{limit}` ({now})"
                );
            }
        });
    }
}

fn newlines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Drop for GuestLogInner {
    fn drop(&mut self) {
        self.finish();
    }
}

impl LogState {
    /// Counts the lines of a block that is dropped, as far as it is looked at.
    fn drop_lines(&mut self, raw: &[u8]) {
        let seen = raw.get(..LOOKED_AT).unwrap_or(raw);
        self.dropped_more |= seen.len() < raw.len();
        self.dropped = self.dropped.saturating_add(newlines(seen) + 1);
    }

    fn pending(&mut self, stderr: bool) -> &mut PendingLine {
        if stderr { &mut self.stderr } else { &mut self.stdout }
    }
}

#[cfg(test)]
mod tests;
