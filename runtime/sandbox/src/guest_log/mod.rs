//! What a component says: stdout, stderr and the contract's `logging`, in one bounded log for each call.
//!
//! Every line becomes one tracing event of the target `deputy::guest`, with known secrets blanked and control characters
//! escaped, so that it can't pass for a line of the host or of another instance. The lines are held until the call ends,
//! whatever ends it: only then the host knows the payload, the handle and the state that a component may have written
//! before it returned them. What is over a limit is counted, and one line at the end says how much that was. Writing never
//! waits, fails or traps: a component can't tell whether it is heard.

mod line;
mod stream;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use deputy_audit::CallId;
use deputy_core::{InstanceName, Limit, Limits, PolicyDenial, ReceiverName};
use deputy_support::LockUnpoisoned as _;
use tracing::field::{DisplayValue, display};

use crate::call_budget::CallBudget;
use crate::redact::Redactor;
use line::{LineBlock, PendingLine, Tail, each_line, newlines};

pub(crate) use stream::GuestStream;

/// Bytes of dropped text that are looked at, to count its lines: as many as a stream takes at once.
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
    held: Vec<HeldLines>,
    counts: LogCounts,
    stdout: PendingLine,
    stderr: PendingLine,
    tail: Tail,
    finished: bool,
}

/// Lines that wait for the end of the call.
struct HeldLines {
    source: LogSource,
    /// Milliseconds since the call began.
    after_ms: u64,
    block: LineBlock,
}

/// What was taken and dropped.
#[derive(Default)]
struct LogCounts {
    lines: u32,
    /// As the component wrote them.
    bytes: u64,
    /// The first limit that was passed. From then on all is dropped, so that what is there has no holes.
    over: Option<Limit>,
    dropped: u64,
    /// Whether more lines may have been dropped than were counted.
    dropped_more: bool,
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
        self.0.lock(|inner, state| inner.hold(state, LogSource::Log(level), message.as_bytes(), false));
    }

    /// Bytes of a stream. What is after the last newline waits for the next write.
    pub(crate) fn write(&self, source: LogSource, bytes: &[u8]) {
        self.0.lock(|inner, state| inner.write(state, source, bytes));
    }

    /// Ends the log, once: shows what it holds, with what is known to be secret by now, and the number of dropped lines.
    pub(crate) fn finish(&self) {
        self.0.finish();
    }

    /// The last of what the component wrote to standard error, for the report of its failure: at most 4 KiB, blanked and
    /// escaped, whatever the limits of the log dropped.
    pub(crate) fn tail(&self) -> String {
        let mut tail = String::new();
        self.0.lock_always(|inner, state| tail = state.tail.text(&state.stderr, &inner.redactor));
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
            state.pending(stderr).push(bytes);
            return;
        };
        let (whole, rest) = bytes.split_at(newline + 1);
        let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
        let mut block = state.pending(stderr).take();
        let mut whole = whole;
        if block.cut {
            // The end of the line that was too long is of no use.
            let end = whole.iter().position(|byte| *byte == b'\n');
            self.block(state, source, &block.raw, true);
            whole = match end {
                Some(end) => whole.get(end + 1..).unwrap_or_default(),
                None => {
                    state.pending(stderr).push(rest);
                    return;
                }
            };
            block.raw.clear();
        }
        if block.raw.is_empty() {
            self.block(state, source, whole, false);
        } else {
            block.raw.extend_from_slice(whole);
            self.block(state, source, &block.raw, false);
        }
        state.pending(stderr).push(rest);
    }

    fn block(&self, state: &mut LogState, source: LogSource, text: &[u8], cut: bool) {
        if source == LogSource::Stderr {
            state.tail.push(text, cut);
        }
        self.hold(state, source, text, cut);
    }

    /// Holds the lines of a text, as many as the log can still take. The last one may be cut.
    fn hold(&self, state: &mut LogState, source: LogSource, text: &[u8], cut: bool) {
        let LogState { held, counts, .. } = state;
        if counts.over.is_some() {
            counts.drop_lines(text);
            return;
        }
        let after_ms = u64::try_from(self.budget.time().begun().elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut from = 0;
        each_line(text, cut, |line| {
            let is_taken = counts.take(self.budget.limits(), line.kept.len());
            let end = if is_taken { line.at + line.kept.len() } else { line.at.saturating_sub(1) };
            if line.cut || line.is_last || !is_taken {
                if is_taken || line.at > from {
                    let raw = text.get(from..end).unwrap_or_default();
                    held.push(HeldLines { source, after_ms, block: LineBlock::new(raw, is_taken && line.cut) });
                }
                let line_end = text.get(end..).unwrap_or_default().iter().position(|byte| *byte == b'\n');
                from = line_end.map_or(text.len(), |length| end + length + 1);
            }
            if !is_taken {
                counts.drop_lines(text.get(line.at..).unwrap_or_default());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
    }

    /// Shows what was held, as far as it fits as it is shown: escapes are longer than what they stand for.
    fn show(&self, held: Vec<HeldLines>, counts: &mut LogCounts) {
        let limit = self.budget.limits().log_bytes.as_u64();
        let mut bytes = 0_u64;
        for HeldLines { source, after_ms, block } in held {
            for line in block.lines(&self.redactor) {
                bytes = bytes.saturating_add(line.len() as u64);
                if bytes > limit {
                    counts.over.get_or_insert(Limit::LogBytes);
                    counts.dropped = counts.dropped.saturating_add(1);
                } else {
                    self.event(source, after_ms, &line);
                }
            }
        }
    }

    /// An instance or a receiver, and its call; what is none is not printed.
    fn whose(&self) -> (Option<DisplayValue<&InstanceName>>, Option<DisplayValue<&ReceiverName>>, CallId) {
        let subject = self.budget.audit.subject();
        (subject.instance().map(display), subject.receiver().map(display), self.call)
    }

    fn event(&self, source: LogSource, after_ms: u64, text: &str) {
        let (instance, receiver, call) = self.whose();
        macro_rules! event {
            ($level:ident, $stream:literal) => {
                tracing::$level!(target: "deputy::guest", instance, receiver, %call, stream = $stream, after_ms, "{text}")
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
        let mut ended = None;
        self.lock(|inner, state| {
            for (stderr, source) in [(false, LogSource::Stdout), (true, LogSource::Stderr)] {
                let rest = state.pending(stderr).take();
                if !rest.raw.is_empty() {
                    inner.block(state, source, &rest.raw, rest.cut);
                }
            }
            state.finished = true;
            ended = Some((std::mem::take(&mut state.held), std::mem::take(&mut state.counts)));
        });
        let Some((held, mut counts)) = ended else { return };
        self.show(held, &mut counts);
        if let Some(limit) = counts.over {
            self.budget.deny(PolicyDenial::Limit(limit));
            let ((instance, receiver, call), dropped) = (self.whose(), counts.dropped);
            let now = self.budget.limits().toml_value(limit);
            let least = if counts.dropped_more { "at least " } else { "" };
            tracing::warn!(
                target: "deputy::guest", instance, receiver, %call, stream = "host", dropped,
                "dropped {least}{dropped} lines over the limit `{limit}` ({now})"
            );
        }
    }
}

impl Drop for GuestLogInner {
    fn drop(&mut self) {
        self.finish();
    }
}

impl LogState {
    fn pending(&mut self, stderr: bool) -> &mut PendingLine {
        if stderr { &mut self.stderr } else { &mut self.stdout }
    }
}

impl LogCounts {
    /// Takes a line of `bytes` bytes, if it fits.
    fn take(&mut self, limits: &Limits, bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(bytes as u64);
        if self.lines >= limits.log_lines {
            self.over = Some(Limit::LogLines);
        } else if bytes > limits.log_bytes.as_u64() {
            self.over = Some(Limit::LogBytes);
        } else {
            self.lines += 1;
            self.bytes = bytes;
        }
        self.over.is_none()
    }

    /// Counts the lines of a text that is dropped, as far as it is looked at.
    fn drop_lines(&mut self, text: &[u8]) {
        let seen = text.get(..LOOKED_AT).unwrap_or(text);
        self.dropped_more |= seen.len() < text.len();
        self.dropped = self.dropped.saturating_add(newlines(seen) as u64 + 1);
    }
}

#[cfg(test)]
mod tests;
