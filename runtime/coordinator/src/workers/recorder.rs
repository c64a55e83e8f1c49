//! What is logged and audited of workers.
//!
//! What was done is recorded always, and what can't be recorded is not done. Refusals cost a worker next to nothing, so
//! they are recorded up to a rate for each worker, kind of request and reason, and for each origin of those who are nobody
//! yet; the rest is counted. So whoever repeats one refusal for ever hides neither another one nor anybody else's.

use std::net::SocketAddr;
use std::sync::Arc;

use deputy_core::time::Clock;
use deputy_core::{InstanceName, Span};
use deputy_link::server::Origin;
use deputy_link::{ErrorCode, ProtocolError, WorkerId};
use deputy_metrics::CoordinatorMetrics;
use deputy_observe::{Audit, AuditAction, AuditEvent, AuditOutcome, AuditSubject, CallId, Receipt};
use deputy_support::KeyedRateLimiter;

use super::enrolment_actor::Rejection;

/// In this time so many refusals of one kind are recorded for one worker, and for one origin.
const PERIOD: Span = Span::secs(3600);
const PER_WORKER: u32 = 120;
const PER_ORIGIN: u32 = 300;

/// Kinds of refusals of workers, and origins, that are told apart at a time.
const WORKERS: usize = 4096;
const ORIGINS: usize = 64;

/// Records what workers ask for, and how that ends.
pub(super) struct Recorder {
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,
    metrics: Arc<CoordinatorMetrics>,
    workers: KeyedRateLimiter<(WorkerId, &'static str, ErrorCode)>,
    origins: KeyedRateLimiter<(Origin, &'static str)>,
}

/// What an event is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) from: SocketAddr,
    /// The worker, if it is one.
    pub(super) worker: Option<WorkerId>,
    pub(super) group: &'a str,
    pub(super) instance: Option<&'a InstanceName>,
}

/// An answer, and the receipt of the event that records it.
pub(super) struct Recorded<T> {
    answer: Result<T, ProtocolError>,
    receipt: Receipt,
}

impl<T> Recorded<T> {
    /// The answer, once its event is written. What can't be recorded does not happen; a refusal need not wait.
    pub(super) async fn settled(self) -> Result<T, ProtocolError> {
        let value = self.answer?;
        let recorded = self.receipt.written().await;
        recorded.map_err(|_| ProtocolError::new(ErrorCode::Internal, "the coordinator cannot write its audit log"))?;
        Ok(value)
    }
}

impl Recorder {
    pub(super) fn new(clock: Arc<dyn Clock>, audit: Arc<Audit>, metrics: Arc<CoordinatorMetrics>) -> Self {
        let workers = KeyedRateLimiter::new(PER_WORKER, PERIOD, WORKERS);
        let origins = KeyedRateLimiter::new(PER_ORIGIN, PERIOD, ORIGINS);
        Self { clock, audit, metrics, workers, origins }
    }

    /// Hands the result of an operation to the audit log, whose writer may be slow.
    pub(super) fn record<T>(
        &self,
        operation: &'static str,
        about: About<'_>,
        result: Result<T, Rejection>,
    ) -> Recorded<T> {
        match result {
            Ok(value) => {
                let receipt = self.audit.submit(self.event(operation, about, AuditOutcome::Done, None));
                Recorded { answer: Ok(value), receipt }
            }
            Err(told) => {
                self.refused(operation, about, &told);
                Recorded { answer: Err(told.refusal), receipt: Receipt::none() }
            }
        }
    }

    /// Records a refusal, or counts it if there were too many like it.
    pub(super) fn refused(&self, operation: &'static str, about: About<'_>, told: &Rejection) {
        let (now, code) = (self.clock.now().wall, told.refusal.code);
        let permit = match about.worker {
            Some(worker) => self.workers.acquire((worker, operation, code), now),
            None => self.origins.acquire((Origin::of(about.from.ip()), operation), now),
        };
        let Some(suppressed) = permit else { return self.metrics.record_suppressed(operation) };
        let worker = about.worker.as_ref().map(tracing::field::display);
        tracing::warn!(from = %about.from, worker, operation, suppressed, "a worker is refused: {}", told.why);
        // It is refused whether that is recorded or not.
        self.audit.submit(self.event(operation, about, AuditOutcome::Refused, Some(code.to_string()))).detach();
    }

    fn event(
        &self,
        operation: &'static str,
        about: About<'_>,
        outcome: AuditOutcome,
        code: Option<String>,
    ) -> AuditEvent {
        let worker = about.worker.map_or_else(|| "-".to_owned(), |worker| worker.to_string());
        AuditEvent {
            time: self.clock.now().wall.to_string(),
            actor: AuditSubject::Worker(worker),
            call: CallId::NONE,
            what: AuditAction::Worker {
                operation,
                group: about.group.to_owned(),
                instance: about.instance.map(ToString::to_string),
                address: Some(about.from.ip()),
            },
            outcome,
            code,
        }
    }
}
