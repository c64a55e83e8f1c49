//! How every call is made, whatever the component is for.
//!
//! Each call gets a store, an instance and an budget of its own, and all three are gone when it ends: what a call
//! starts (requests, timers, tasks) belongs to its store. The call runs on threads for calls alone; whoever asked for it
//! waits on its own, and has a result soon after the limit `wall` even if the call does not end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::{Limit, Limits, PolicyDenial};
use deputy_observe::AuditSubject;
use tokio::task::JoinError;
use tracing::Instrument;

use crate::bindings::delegation::tokens::types as wit;
use crate::call::CallError;
use crate::call_budget::CallBudget;
use crate::call_context::{CallState, InstanceContext};
use crate::ended::Ended;
use crate::guest_log::GuestLog;
use crate::open_call::{Function, OpenCall};
use crate::redact::Redactor;
use crate::running::{self, Run, Running};
use crate::shared::SandboxShared;

/// How long after `wall` a call's own end is waited for: it settles what it has begun.
const OVERDUE: Duration = Duration::from_secs(2);

/// Makes the calls of one configured component.
pub(crate) struct Invoker {
    shared: Arc<SandboxShared>,
    actor: AuditSubject,
    settings: Arc<wit::Settings>,
    limits: Limits,
}

impl Invoker {
    pub(crate) fn new(
        shared: Arc<SandboxShared>,
        actor: AuditSubject,
        settings: &BTreeMap<String, String>,
        limits: Limits,
    ) -> Self {
        let setting = |(name, value): (&String, &String)| wit::Setting { name: name.clone(), value: value.clone() };
        Self { shared, actor, settings: Arc::new(settings.iter().map(setting).collect()), limits }
    }

    /// What the component is told.
    pub(crate) fn settings(&self) -> Arc<wit::Settings> {
        Arc::clone(&self.settings)
    }

    /// What one call may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One call: a free slot, a fresh store, the limits around it, and its end told apart.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        function: Function,
        bindings: &InstanceContext,
        redactor: Redactor,
        run: Run<T>,
    ) -> Ended<T> {
        // The semaphore is never closed, and a call without a slot would only be one too many for the pool.
        let slot = Arc::clone(&self.shared.slots).acquire_owned().await.ok();
        let id = self.shared.next_call();
        let budget = Arc::new(CallBudget::sharing(
            Arc::clone(&self.shared.denials),
            self.actor.clone(),
            id,
            self.limits.clone(),
            Arc::clone(&self.shared.audit),
        ));
        let redactor = Arc::new(redactor);
        budget.audit.redact_with(Arc::clone(&redactor));
        let log = GuestLog::new(Arc::clone(&budget), id, Arc::clone(&redactor));
        let state = CallState::new(bindings, &budget, &log, &redactor);
        let record = Arc::new(OpenCall::new(Arc::clone(&budget), function));
        let running = Running {
            shared: Arc::clone(&self.shared),
            budget: Arc::clone(&budget),
            redactor: Arc::clone(&redactor),
            _slot: slot,
            record: Arc::clone(&record),
        };
        let result = self.result(running, state, run, &budget).await;
        if let Err(CallError::Limit(limit)) = &result {
            budget.deny(PolicyDenial::Limit(*limit));
        }
        log.finish();
        Ended { id, budget, record, log, redactor, result }
    }

    /// Has the call run, and gives it up when it is overdue.
    async fn result<T: Send + 'static>(
        &self,
        running: Running,
        state: CallState,
        run: Run<T>,
        budget: &CallBudget,
    ) -> Result<T, CallError> {
        let task = |unwanted| running::run(running, state, run, unwanted).in_current_span();
        let Some(mut task) = self.shared.threads.spawn(task) else {
            return Err(CallError::Internal("its threads are gone".to_owned()));
        };
        let ends = budget.time().ends();
        let ended = match tokio::time::timeout_at(ends, task.join()).await {
            Ok(ended) => Ok(ended),
            // Measured from now on: a process that was stopped goes on here as soon as there.
            Err(_) => tokio::time::timeout(OVERDUE, task.join()).await,
        };
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(CallError::Internal(lost(&error).to_owned())),
            Err(_) => Err(CallError::Limit(Limit::Wall)),
        }
    }
}

/// Why a task brought nothing.
fn lost(error: &JoinError) -> &'static str {
    if error.is_panic() { "the call panicked" } else { "its threads are gone" }
}

#[cfg(test)]
mod tests;
