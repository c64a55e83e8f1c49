//! The log, caught for a test.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use deputy_support::LockUnpoisoned as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// What this thread logs while its guard lives: one line for each event.
#[derive(Clone, Default)]
pub(crate) struct CapturedLog(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl CapturedLog {
    pub(crate) fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        // Another test may have reached the call sites without a subscriber.
        tracing::callsite::rebuild_interest_cache();
        (log, guard)
    }

    /// How many lines contain this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.0.lock_unpoisoned().iter().filter(|line| line.contains(text)).count()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for CapturedLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        self.0.lock_unpoisoned().push(fields.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
