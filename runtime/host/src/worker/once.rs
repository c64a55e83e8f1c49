//! `deputy worker --once`: apply what there is, and end.

use std::sync::Arc;
use std::time::Duration;

use deputy_core::Span;
use deputy_link::DeliveredState;
use deputy_support::pause;
use deputy_worker::status::WorkerReport;
use deputy_worker::{ConnectionPhase, WorkerHandle, unready_reasons};
use tokio::sync::watch;

use super::WorkerProcess;

/// How often the worker is asked.
const INTERVAL: Duration = Duration::from_millis(50);

/// What came of it.
pub enum OnceOutcome {
    /// All that the coordinator delivers is applied.
    Applied,
    /// The worker was stopped before.
    Stopped,
    /// The coordinator does not admit the worker: these are the reasons.
    NotAdmitted(String),
    /// The time was over: a line for each thing that was missing.
    Missing(String),
}

impl WorkerProcess {
    /// Runs until the coordinator was reached and all that it delivers is applied, but no longer than this. What is
    /// published stays.
    pub async fn run_once(self, limit: Span) -> OnceOutcome {
        let (handle, controls) = (self.handle.clone(), self.controls());
        let (held, in_use) = (self.link.link.held.clone(), self.link.in_use.clone());
        let applied = async {
            let outcome = match tokio::time::timeout(limit.duration(), applied(&handle, &held, &in_use)).await {
                Ok(outcome) => outcome,
                Err(_) => missing(&handle).await,
            };
            controls.stop().await;
            outcome
        };
        let ((), outcome) = tokio::join!(self.run(), applied);
        outcome
    }
}

type HeldState = watch::Receiver<Arc<DeliveredState>>;

/// Waits until the worker is ready with what the coordinator has now, not only with what it kept from before.
async fn applied(handle: &WorkerHandle, held: &HeldState, in_use: &HeldState) -> OnceOutcome {
    // Twice in a row: the worker may answer before it sees what was just passed on to it.
    let mut times = 0;
    loop {
        // What the link brought is what the worker is given, once it is kept.
        let is_kept = Arc::ptr_eq(&held.borrow(), &in_use.borrow());
        let Ok(status) = handle.status().await else { return OnceOutcome::Stopped };
        if is_in(&status, ConnectionPhase::Out) {
            return OnceOutcome::NotAdmitted(unready_reasons(&status));
        }
        let is_applied = is_in(&status, ConnectionPhase::Connected) && status.ready && has_all(&status, &held.borrow());
        times = if is_kept && is_applied { times + 1 } else { 0 };
        if times == 2 {
            return OnceOutcome::Applied;
        }
        pause(INTERVAL).await;
    }
}

fn has_all(status: &WorkerReport, held: &DeliveredState) -> bool {
    held.deliveries.values().all(|delivery| {
        status.instances.iter().any(|instance| {
            instance.name == delivery.instance.as_str() && instance.revision == delivery.stamp.revision.0
        })
    })
}

async fn missing(handle: &WorkerHandle) -> OnceOutcome {
    let Ok(status) = handle.status().await else { return OnceOutcome::Stopped };
    if is_in(&status, ConnectionPhase::Connected) {
        return OnceOutcome::Missing(unready_reasons(&status));
    }
    let error = status.connection.error.as_deref().unwrap_or("no connection yet");
    OnceOutcome::Missing(format!("{}: {error}\n{}", status.connection.coordinator, unready_reasons(&status)))
}

fn is_in(status: &WorkerReport, phase: ConnectionPhase) -> bool {
    status.connection.state == phase.word()
}
