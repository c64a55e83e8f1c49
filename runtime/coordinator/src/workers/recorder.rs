//! Log and audit log of workers' requests.
//!
//! A granted request is always recorded, and is not granted if that fails. Refusals cost a worker next to nothing, so they
//! are recorded up to a rate for each worker, operation and code, or for each origin of a peer without an identity; the
//! rest is counted. So a peer that repeats one refusal hides neither another one nor those of others.

use std::net::SocketAddr;
use std::sync::Arc;

use deputy_audit::{Audit, AuditAction, AuditEvent, AuditOutcome, AuditSubject, CallId, Receipt};
use deputy_core::time::Clock;
use deputy_core::{InstanceName, Span};
use deputy_link::server::Origin;
use deputy_link::{ErrorCode, ProtocolError, WorkerId};
use deputy_metrics::CoordinatorMetrics;
use deputy_support::KeyedRateLimiter;

use super::enrolment::EnrolmentRejection;

/// Refusals that are recorded per period, for one worker and for one origin.
const PERIOD: Span = Span::secs(3600);
const PER_WORKER: u32 = 120;
const PER_ORIGIN: u32 = 300;

/// Keys that are tracked at a time.
const WORKERS: usize = 4096;
const ORIGINS: usize = 64;

pub(super) struct Recorder {
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,
    metrics: Arc<CoordinatorMetrics>,
    workers: KeyedRateLimiter<(WorkerId, &'static str, ErrorCode)>,
    origins: KeyedRateLimiter<(Origin, &'static str)>,
}

/// The subject of an event.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'a> {
    pub(super) from: SocketAddr,
    /// `None` for a peer without an identity.
    pub(super) worker: Option<WorkerId>,
    pub(super) group: &'a str,
    pub(super) instance: Option<&'a InstanceName>,
}

/// A result, and the receipt of the audit event that records it.
pub(super) struct Recorded<T> {
    result: Result<T, ProtocolError>,
    receipt: Receipt,
}

impl<T> Recorded<T> {
    /// The result, once its event is written. A grant that cannot be recorded becomes a refusal; a refusal does not wait.
    pub(super) async fn settled(self) -> Result<T, ProtocolError> {
        let value = self.result?;
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

    /// Hands the result of an operation to the audit log and does not wait for it.
    pub(super) fn record<T>(
        &self,
        operation: &'static str,
        context: RequestContext<'_>,
        result: Result<T, EnrolmentRejection>,
    ) -> Recorded<T> {
        match result {
            Ok(value) => {
                let receipt = self.audit.submit(self.event(operation, context, AuditOutcome::Done, None));
                Recorded { result: Ok(value), receipt }
            }
            Err(rejection) => {
                self.refuse(operation, context, &rejection);
                Recorded { result: Err(rejection.refusal), receipt: Receipt::none() }
            }
        }
    }

    /// Records a refusal, or counts it if there were too many like it.
    pub(super) fn refuse(&self, operation: &'static str, context: RequestContext<'_>, rejection: &EnrolmentRejection) {
        let now = self.clock.now().wall;
        let code = rejection.refusal.code;
        let permit = match context.worker {
            Some(worker) => self.workers.acquire((worker, operation, code), now),
            None => self.origins.acquire((Origin::of(context.from.ip()), operation), now),
        };
        let Some(suppressed) = permit else { return self.metrics.record_suppressed(operation) };
        let worker = context.worker.as_ref().map(tracing::field::display);
        tracing::warn!(from = %context.from, worker, operation, suppressed, "worker request refused: {}", rejection.reason);
        // The refusal stands whether it is recorded or not.
        self.audit.submit(self.event(operation, context, AuditOutcome::Refused, Some(code.to_string()))).detach();
    }

    fn event(
        &self,
        operation: &'static str,
        context: RequestContext<'_>,
        outcome: AuditOutcome,
        code: Option<String>,
    ) -> AuditEvent {
        let worker = context.worker.map_or_else(|| "-".to_owned(), |worker| worker.to_string());
        AuditEvent {
            time: self.clock.now().wall.to_string(),
            subject: AuditSubject::Worker(worker),
            call: CallId::NONE,
            action: AuditAction::Worker {
                operation,
                group: context.group.to_owned(),
                instance: context.instance.map(ToString::to_string),
                address: Some(context.from.ip()),
            },
            outcome,
            code,
        }
    }
}
