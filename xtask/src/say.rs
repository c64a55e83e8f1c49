//! What a chore tells: one line per step, on stderr, with the time it took.

use std::time::{Duration, Instant};

/// A step that is going on.
pub(crate) struct Step {
    name: String,
    started: Instant,
}

impl Step {
    /// Begins a step, and says what it is about to do.
    pub(crate) fn begin(name: impl Into<String>, doing: impl AsRef<str>) -> Self {
        let name = name.into();
        eprintln!("{name:>12}  {} …", doing.as_ref());
        Self { name, started: now() }
    }

    /// Begins a step that says something only when it ends.
    pub(crate) fn silent(name: impl Into<String>) -> Self {
        Self { name: name.into(), started: now() }
    }

    /// Ends the step, and says what came of it. Gives the time it took.
    pub(crate) fn end(self, outcome: impl AsRef<str>) -> Duration {
        let took = now().saturating_duration_since(self.started);
        eprintln!("{:>12}  {} ({})", self.name, outcome.as_ref(), seconds(took));
        took
    }
}

/// Says something that took no time.
pub(crate) fn note(name: &str, text: impl AsRef<str>) {
    eprintln!("{name:>12}  {}", text.as_ref());
}

/// A time as a person reads it.
pub(crate) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(100) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

/// The clock by which steps are timed.
#[expect(clippy::disallowed_methods, reason = "a chore times its own steps; nothing depends on the answer")]
fn now() -> Instant {
    Instant::now()
}
