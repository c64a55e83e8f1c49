//! A thread that reports calls which exceed their limits.
//!
//! It depends on nothing that a component can block. A call is ended by its budget, at its next host call, tick or wait; a
//! host function that never returns can't be ended at all. The caller still gets its result on time, and the operator sees
//! the report.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use deputy_audit::{AuditSubject, CallId};
use tokio::time::Instant;

use crate::call_budget::CallBudget;
use deputy_support::{LockUnpoisoned as _, timer_now};

/// How often the running calls are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The number of polls after its limit `wall` after which a call is overdue: more than it takes to settle. Polls are
/// counted, not time, which passes while the process is stopped.
const OVERDUE: u32 = 15;

/// Watches the calls of a process.
pub(crate) struct Watchdog {
    running: Arc<WatchedCalls>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct WatchedCalls(Mutex<BTreeMap<CallId, WatchedCall>>);

/// A call as the watchdog sees it.
struct WatchedCall {
    subject: AuditSubject,
    function: &'static str,
    begun: Instant,
    ends: Instant,
    polls: u32,
}

/// Watches a call until it is dropped.
pub(crate) struct WatchGuard {
    id: CallId,
    running: Arc<WatchedCalls>,
}

impl Watchdog {
    pub(crate) fn new() -> io::Result<Self> {
        let running = Arc::new(WatchedCalls::default());
        let watched = Arc::downgrade(&running);
        let thread = thread::Builder::new().name("deputy-watchdog".into()).spawn(move || watch(&watched))?;
        Ok(Self { running, thread })
    }

    /// Watches a call, which should be over soon after its limit `wall`.
    pub(crate) fn watch(&self, budget: &CallBudget, function: &'static str) -> WatchGuard {
        let id = budget.audit.call();
        let watched = WatchedCall {
            subject: budget.audit.subject().clone(),
            function,
            begun: budget.time().begun(),
            ends: budget.time().ends(),
            polls: 0,
        };
        let first = {
            let mut running = self.running.lock();
            running.insert(id, watched);
            running.len() == 1
        };
        if first {
            self.thread.thread().unpark();
        }
        WatchGuard { id, running: Arc::clone(&self.running) }
    }

    /// How many calls are overdue now.
    #[cfg(test)]
    pub(crate) fn overdue(&self) -> usize {
        self.running.lock().values().filter(|watched| watched.polls >= OVERDUE).count()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.thread.thread().unpark();
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let ended = self.running.lock().remove(&self.id);
        if let Some(WatchedCall { subject, function, begun, .. }) = ended.filter(|watched| watched.polls >= OVERDUE) {
            let ran = timer_now().saturating_duration_since(begun).as_millis();
            tracing::warn!(instance = %subject, call = %self.id, function, ran_ms = ran, "overdue call ended");
        }
    }
}

impl WatchedCalls {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CallId, WatchedCall>> {
        self.0.lock_unpoisoned()
    }
}

/// Returns when the watchdog and all calls are dropped.
fn watch(running: &Weak<WatchedCalls>) {
    while let Some(calls) = running.upgrade() {
        let idle = calls.lock().is_empty();
        report_overdue(&calls);
        drop(calls);
        if idle {
            thread::park();
        } else {
            // Not parked: then no call that begins has to wake this thread.
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, which does nothing else")]
            thread::sleep(POLL_INTERVAL);
        }
    }
}

fn report_overdue(calls: &WatchedCalls) {
    let now = timer_now();
    let mut overdue = Vec::new();
    for (id, watched) in calls.lock().iter_mut().filter(|(_, watched)| watched.ends <= now) {
        watched.polls = watched.polls.saturating_add(1);
        if watched.polls == OVERDUE {
            overdue.push((*id, watched.subject.clone(), watched.function, watched.begun));
        }
    }
    for (call, subject, function, begun) in overdue {
        let ran = now.saturating_duration_since(begun).as_millis();
        tracing::error!(
            instance = %subject, %call, function, ran_ms = ran,
            "call exceeds its limits and cannot be ended yet; its result is discarded"
        );
    }
}
