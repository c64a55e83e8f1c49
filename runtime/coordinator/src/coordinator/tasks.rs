//! Calls and writes: each is a task, so that one that hangs or panics costs nothing else.

use deputy_core::failure::FailureKind;
use deputy_core::time::MonotonicTime;
use std::sync::Arc;

use deputy_audit::AuditOutcome;
use deputy_core::schedule::{CallOutcome, ProviderCall, SaveId, ScheduleEvent, ScheduledCallId};
use deputy_core::{CallFailure, InstanceName, in_one_line};
use tokio::task::{AbortHandle, JoinError};
use tracing::Instrument;

use super::Coordinator;
use crate::lease_store::{LeaseStore, LeaseStoreError};
use crate::state_keeper::{StateKeeper, StateKeeperError};
use crate::write_queue::{PendingWrite, WriteContent};

pub(super) struct ActiveCall {
    pub(super) abort: AbortHandle,
    pub(super) instance: InstanceName,
    pub(super) function: &'static str,
    began: MonotonicTime,
}

/// What a task is about. A task that panics returns nothing else.
#[derive(Debug, Clone)]
pub(super) enum TaskSubject {
    Call(ScheduledCallId),
    Write(SaveId, InstanceName),
}

pub(super) enum TaskOutcome {
    Called(ScheduledCallId, CallOutcome),
    Written(SaveId, Result<(), WriteError>),
}

/// A record could not be written or deleted.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Lease(#[from] LeaseStoreError),
    #[error(transparent)]
    State(#[from] StateKeeperError),
}

impl Coordinator {
    pub(super) fn begin_call(&mut self, id: ScheduledCallId, instance: InstanceName, call: ProviderCall) {
        let now = self.replica.options.clock.now();
        let function = call.word();
        let snapshot = self.schedule.instance(&instance, now);
        let failures = snapshot.as_ref().map_or(0, |snapshot| snapshot.failures);
        if failures > 0 {
            self.replica.options.metrics.record_retry(instance.as_str());
        }
        let times = self.schedule.call_times(id);
        let mut traced = self.traces.begin_call(id, &instance, &call, times, failures);
        let current = snapshot.map(|snapshot| snapshot.plan.fingerprint);
        let fingerprint = call.payload_of().or(current);
        let provider = fingerprint.and_then(|fingerprint| self.providers.get(&instance, fingerprint));
        let span = tracing::info_span!("call", %instance, function, number = %id);
        let task = async move {
            let outcome = match provider {
                Some(provider) => provider.call(&call, &traced).await,
                None => CallOutcome::Failed(CallFailure::new(
                    FailureKind::Misconfigured,
                    "the component that obtained it is not loaded",
                )),
            };
            if let CallOutcome::Failed(failure) = &outcome {
                traced.fail(failure.kind.word());
            }
            TaskOutcome::Called(id, outcome)
        };
        let abort = self.tasks.spawn(TaskSubject::Call(id), task.instrument(span));
        self.calls.insert(id, ActiveCall { abort, instance, function, began: now.mono });
    }

    /// Saves or deletes what is saved, once earlier writes of the instance have ended.
    pub(super) fn write(&mut self, save: SaveId, name: InstanceName, content: WriteContent) {
        if let Some(write) = self.write_queue.enter(PendingWrite { save, name, content }) {
            self.begin_write(write);
        }
    }

    fn begin_write(&mut self, write: PendingWrite) {
        let PendingWrite { save, name, content } = write;
        if let WriteContent::Record(record) = &content {
            self.traces.begin_save(save, &name, record.lease.as_ref().map(|lease| lease.obtained_at));
        }
        let lease_store = Arc::clone(&self.lease_store);
        let state_keeper = Arc::clone(&self.replica.state_keeper);
        let subject = TaskSubject::Write(save, name.clone());
        self.tasks.spawn(subject, async move {
            let written = match content {
                WriteContent::Record(record) => lease_store.save(&name, &record).await.map_err(WriteError::from),
                WriteContent::Pause(pause) => {
                    lease_store.save_pause(&name, pause.as_ref()).await.map_err(WriteError::from)
                }
                WriteContent::Nothing => forget(&lease_store, &state_keeper, &name).await,
            };
            TaskOutcome::Written(save, written)
        });
    }

    fn begin_next_write(&mut self, name: &InstanceName) {
        if let Some(write) = self.write_queue.leave(name) {
            self.begin_write(write);
        }
    }

    pub(super) fn finish_task(&mut self, subject: TaskSubject, result: Result<TaskOutcome, JoinError>) {
        match result {
            Ok(TaskOutcome::Called(call, outcome)) => self.finish_call(call, outcome),
            Ok(TaskOutcome::Written(save, written)) => self.finish_write(save, written, &subject),
            Err(error) if error.is_cancelled() => {}
            Err(_) => self.finish_panicked(subject),
        }
    }

    fn finish_panicked(&mut self, subject: TaskSubject) {
        match subject {
            TaskSubject::Call(call) => {
                tracing::error!("call panicked; this is a bug, please report it");
                let failure = CallFailure::new(FailureKind::Internal, "the call panicked: this is a bug");
                self.finish_call(call, CallOutcome::Failed(failure));
            }
            TaskSubject::Write(save, name) => {
                self.begin_next_write(&name);
                self.report_write(save, Err("the write panicked: this is a bug".to_owned()));
            }
        }
    }

    fn finish_call(&mut self, id: ScheduledCallId, outcome: CallOutcome) {
        let now = self.replica.options.clock.now();
        let outcome = reject_oversized(outcome, &self.lease_store);
        // A call that was cancelled may have ended at the same time.
        let Some(call) = self.calls.remove(&id) else { return };
        let outcome_word = match &outcome {
            CallOutcome::Failed(failure) => failure.kind.word(),
            CallOutcome::NotRequired => "not-required",
            CallOutcome::Obtained(_) | CallOutcome::Revoked => "done",
        };
        let seconds = now.mono.since(call.began).duration().as_secs_f64();
        self.traces.finish_call(id, &outcome);
        self.replica.options.metrics.record_call(call.instance.as_str(), call.function, outcome_word, seconds);
        self.handle(ScheduleEvent::Finished(id, outcome));
    }

    fn finish_write(&mut self, save: SaveId, written: Result<(), WriteError>, subject: &TaskSubject) {
        if let TaskSubject::Write(_, name) = subject {
            self.begin_next_write(name);
        }
        self.is_lock_lost |= written.as_ref().is_err_and(WriteError::is_lock_lost);
        self.report_write(save, written.map_err(|error| in_one_line(&error)));
        if let TaskSubject::Write(_, name) = subject {
            self.providers.prune(name, &self.schedule);
        }
    }

    fn report_write(&mut self, save: SaveId, written: Result<(), String>) {
        self.traces.finish_save(save, written.is_ok());
        let (outcome, event) = match written {
            Ok(()) => (AuditOutcome::Done, ScheduleEvent::Saved(save)),
            Err(error) => (AuditOutcome::Failed, ScheduleEvent::SaveFailed(save, error)),
        };
        self.replica.options.metrics.record_save(outcome);
        self.handle(event);
    }
}

impl WriteError {
    fn is_lock_lost(&self) -> bool {
        match self {
            Self::Lease(LeaseStoreError::Store(error)) | Self::State(StateKeeperError::Store(error)) => {
                error.is_lock_lost()
            }
            Self::Lease(_) | Self::State(_) => false,
        }
    }
}

/// Deletes lease record and state of an instance. The lease record goes last: what is left after a crash in between names it.
async fn forget(lease_store: &LeaseStore, state_keeper: &StateKeeper, name: &InstanceName) -> Result<(), WriteError> {
    state_keeper.forget(name).await?;
    Ok(lease_store.forget(name).await?)
}

/// Turns tokens that can never be saved into a failure of their call: they must not be published.
pub(super) fn reject_oversized(outcome: CallOutcome, lease_store: &LeaseStore) -> CallOutcome {
    match outcome {
        CallOutcome::Obtained(tokens) if !lease_store.fits(tokens.payload.len() + tokens.handle.len()) => {
            let size = tokens.payload.len() + tokens.handle.len();
            let message = format!("payload and handle have {size} bytes, too many to be saved");
            CallOutcome::Failed(CallFailure::new(FailureKind::OverLimit, message))
        }
        outcome => outcome,
    }
}
