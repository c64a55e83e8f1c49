//! A thread that reports calls which run on past their limits.
//!
//! It depends on nothing that a component can hold up. A call is ended by its budget, at its next host call, tick or
//! wait; a host function that never returns can't be ended at all. Whoever waits for such a call has its result on time
//! all the same, and the report is what tells the operator.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use deputy_observe::{AuditSubject, CallId};
use tokio::time::Instant;

use crate::call_budget::CallBudget;
use deputy_support::timer_now;

/// How often the running calls are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// So many looks after its limit `wall` a call is overdue: that is more than settling what it has begun takes. Looks are
/// counted and not time, which goes by while the process is stopped.
const OVERDUE: u32 = 15;

/// Watches the calls of a process.
pub(crate) struct Watchdog {
    running: Arc<Running>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Running(Mutex<BTreeMap<CallId, Watched>>);

/// A call as the watchdog sees it.
struct Watched {
    actor: AuditSubject,
    function: &'static str,
    begun: Instant,
    ends: Instant,
    looks: u32,
}

/// A call that is watched until this is dropped.
pub(crate) struct Watch {
    id: CallId,
    running: Arc<Running>,
}

impl Watchdog {
    pub(crate) fn new() -> io::Result<Self> {
        let running = Arc::new(Running::default());
        let watched = Arc::downgrade(&running);
        let thread = thread::Builder::new().name("deputy-watchdog".into()).spawn(move || watch(&watched))?;
        Ok(Self { running, thread })
    }

    /// Watches a call, which should be over soon after its limit `wall`.
    pub(crate) fn watch(&self, budget: &CallBudget, function: &'static str) -> Watch {
        let (id, actor, begun) = (budget.audit.call(), budget.audit.subject().clone(), budget.time().begun());
        let watched = Watched { actor, function, begun, ends: budget.time().ends(), looks: 0 };
        let first = {
            let mut running = self.running.lock();
            running.insert(id, watched);
            running.len() == 1
        };
        if first {
            self.thread.thread().unpark();
        }
        Watch { id, running: Arc::clone(&self.running) }
    }

    /// How many calls are overdue now.
    #[cfg(test)]
    pub(crate) fn overdue(&self) -> usize {
        self.running.lock().values().filter(|watched| watched.looks >= OVERDUE).count()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.thread.thread().unpark();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let ended = self.running.lock().remove(&self.id);
        if let Some(Watched { actor, function, begun, .. }) = ended.filter(|watched| watched.looks >= OVERDUE) {
            let ran = timer_now().saturating_duration_since(begun).as_millis();
            tracing::warn!(instance = %actor, call = %self.id, function, ran_ms = ran, "the overdue call has ended");
        }
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CallId, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends once the watchdog and all calls are gone.
fn watch(running: &Weak<Running>) {
    while let Some(calls) = running.upgrade() {
        let idle = calls.lock().is_empty();
        report_overdue(&calls);
        drop(calls);
        if idle {
            thread::park();
        } else {
            // Not parked: then no call that begins has to wake this thread.
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, which does nothing else")]
            thread::sleep(LOOK);
        }
    }
}

fn report_overdue(calls: &Running) {
    let now = timer_now();
    let mut overdue = Vec::new();
    for (id, watched) in calls.lock().iter_mut().filter(|(_, watched)| watched.ends <= now) {
        watched.looks = watched.looks.saturating_add(1);
        if watched.looks == OVERDUE {
            overdue.push((*id, watched.actor.clone(), watched.function, watched.begun));
        }
    }
    for (call, actor, function, begun) in overdue {
        let ran = now.saturating_duration_since(begun).as_millis();
        tracing::error!(
            instance = %actor, %call, function, ran_ms = ran,
            "a component's call runs on past its limits: it is ended at the next chance, and its result is given up"
        );
    }
}
