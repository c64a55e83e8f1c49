//! How every call is made, of providers and receivers alike.
//!
//! Each call gets a store, an instance and a budget of its own, which are dropped when it ends: what a call starts
//! (requests, timers, tasks) belongs to its store. Calls run on threads of their own; the caller waits elsewhere and has a
//! result soon after the limit `wall`, even if the call does not end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deputy_audit::AuditSubject;
use deputy_core::{Limit, Limits, PolicyDenial};
use tracing::Instrument;

use crate::answer::GuestAnswer;
use crate::bindings::delegation::tokens::types as wit;
use crate::call::CallError;
use crate::call_budget::CallBudget;
use crate::call_context::{CallState, InstanceContext};
use crate::guest_log::GuestLog;
use crate::open_call::{CalledFunction, OpenCall};
use crate::raw_outcome::RawOutcome;
use crate::redact::Redactor;
use crate::running_call::{self, GuestCall, RunningCall};
use crate::shared::SandboxShared;

/// How long after `wall` the caller still waits: the call settles what it has begun.
const SETTLE_GRACE: Duration = Duration::from_secs(2);

/// Makes the calls of one configured component.
pub(crate) struct Invoker {
    shared: Arc<SandboxShared>,
    subject: AuditSubject,
    settings: Arc<wit::Settings>,
    limits: Limits,
}

impl Invoker {
    pub(crate) fn new(
        shared: Arc<SandboxShared>,
        subject: AuditSubject,
        settings: &BTreeMap<String, String>,
        limits: Limits,
    ) -> Self {
        let settings =
            settings.iter().map(|(name, value)| wit::Setting { name: name.clone(), value: value.clone() }).collect();
        Self { shared, subject, settings: Arc::new(settings), limits }
    }

    pub(crate) fn settings(&self) -> Arc<wit::Settings> {
        Arc::clone(&self.settings)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes one call, with a fresh store and within its limits, when a slot is free.
    pub(crate) async fn call<T: GuestAnswer + Send + 'static>(
        &self,
        function: CalledFunction,
        context: &InstanceContext,
        redactor: Redactor,
        run: GuestCall<T>,
    ) -> RawOutcome<T> {
        // The semaphore is never closed; a call without a slot would at worst be one too many for the pool.
        let slot = Arc::clone(&self.shared.slots).acquire_owned().await.ok();
        let id = self.shared.next_call();
        let budget = Arc::new(CallBudget::sharing(
            Arc::clone(&self.shared.denials),
            self.subject.clone(),
            id,
            self.limits.clone(),
            Arc::clone(&self.shared.audit),
        ));
        let redactor = Arc::new(redactor);
        budget.audit.redact_with(Arc::clone(&redactor));
        let log = GuestLog::new(Arc::clone(&budget), id, Arc::clone(&redactor));
        let state = CallState::new(context, &budget, &log, &redactor);
        let record = Arc::new(OpenCall::new(Arc::clone(&budget), function));
        let running = RunningCall {
            shared: Arc::clone(&self.shared),
            budget: Arc::clone(&budget),
            redactor: Arc::clone(&redactor),
            log: log.clone(),
            _slot: slot,
            record: Arc::clone(&record),
        };
        let result = self.result(running, state, run, &budget).await;
        if let Err(CallError::Limit(limit)) = &result {
            budget.deny(PolicyDenial::Limit(*limit));
        }
        log.finish(); // an overdue call has not
        RawOutcome { id, budget, record, log, redactor, world: context.world.clone(), result }
    }

    /// Runs the call, and abandons it when it is overdue.
    async fn result<T: GuestAnswer + Send + 'static>(
        &self,
        running: RunningCall,
        state: CallState,
        run: GuestCall<T>,
        budget: &CallBudget,
    ) -> Result<T, CallError> {
        let spawned =
            self.shared.threads.spawn(|abandoned| running_call::run(running, state, run, abandoned).in_current_span());
        let Some(mut task) = spawned else {
            return Err(CallError::Internal("the threads for calls have ended".to_owned()));
        };
        let ended = match tokio::time::timeout_at(budget.time().ends(), task.join()).await {
            Ok(ended) => Ok(ended),
            // Measured from now on: after a stop of the process, caller and call resume at the same time.
            Err(_) => tokio::time::timeout(SETTLE_GRACE, task.join()).await,
        };
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(error)) if error.is_panic() => Err(CallError::Internal("the call panicked".to_owned())),
            Ok(Err(_)) => Err(CallError::Internal("the threads for calls have ended".to_owned())),
            Err(_) => Err(CallError::Limit(Limit::Wall)),
        }
    }
}

#[cfg(test)]
mod tests;
