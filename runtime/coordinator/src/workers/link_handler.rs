//! Answers the link's questions: enrolment says which worker a peer is, the deliveries say what a group gets.
//!
//! What enrolment does is recorded as it is done, whether the connection still exists or not: a worker that is locked is
//! disconnected at the same moment.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_audit::{Audit, AuditOutcome};
use deputy_core::time::Clock;
use deputy_core::{Digest, GroupName, InstanceName, Span};
use deputy_link::message::Certified;
use deputy_link::server::{LinkHandler, Origin, ReportObserver};
use deputy_link::{ErrorCode, PeerCertificate, ProtocolError, TokenId, TokenSecret, WorkerId};
use deputy_metrics::CoordinatorMetrics;
use deputy_support::{ActorStopped, KeyedRateLimiter, Mailbox};
use tokio::sync::watch;

use super::enrolment::{CertificateReply, EnrolmentCommand, EnrolmentRejection};
use super::recorder::{Recorded, Recorder, RequestContext};
use crate::deliveries::Deliveries;
use crate::delivery_traces::DeliveryTraces;

pub(super) struct ServerHandler {
    commands: Mailbox<EnrolmentCommand>,
    deliveries: watch::Receiver<Arc<Deliveries>>,
    clock: Arc<dyn Clock>,
    recorder: Arc<Recorder>,
    metrics: Arc<CoordinatorMetrics>,
    connects: KeyedRateLimiter<WorkerId>,
    renewals: KeyedRateLimiter<WorkerId>,
    faults: KeyedRateLimiter<Origin>,
}

/// Connections and renewals of one worker per minute. A well-behaved worker makes less than a tenth of that.
const CONNECTS: u32 = 60;
const RENEWALS: u32 = 60;
const MINUTE: Span = Span::secs(60);

/// Lines that are logged per hour: faults of one origin, and leases that one worker failed to apply.
const FAULTS: u32 = 60;
const FAILURES: u32 = 60;
const HOUR: Span = Span::secs(3600);

/// Keys that are tracked at a time.
const WORKERS: usize = 65_536;
const ORIGINS: usize = 64;

/// Refused instances of one subscription beyond this are not recorded by name.
const MAX_NAMED: usize = 16;

/// Counts the reports of workers, traces them, and logs failures.
pub(super) fn observer(
    metrics: Arc<CoordinatorMetrics>,
    clock: Arc<dyn Clock>,
    traces: Arc<DeliveryTraces>,
) -> ReportObserver {
    let failures = KeyedRateLimiter::new(FAILURES, HOUR, WORKERS);
    Box::new(move |session, report| {
        let outcome = if report.result.is_ok() { AuditOutcome::Done } else { AuditOutcome::Failed };
        metrics.record_report(report.instance.as_str(), outcome);
        traces.acknowledge(session.worker, &session.group, report);
        let Err(reason) = &report.result else { return };
        match failures.acquire(session.worker, clock.now().wall) {
            None => metrics.record_suppressed("apply"),
            Some(suppressed) => tracing::warn!(
                worker = %session.worker, instance = %report.instance, revision = %report.stamp.revision, reason, suppressed,
                "worker failed to apply the lease"
            ),
        }
    })
}

impl ServerHandler {
    pub(super) fn new(
        commands: Mailbox<EnrolmentCommand>,
        deliveries: watch::Receiver<Arc<Deliveries>>,
        clock: Arc<dyn Clock>,
        audit: Arc<Audit>,
        metrics: Arc<CoordinatorMetrics>,
    ) -> Self {
        let recorder = Arc::new(Recorder::new(Arc::clone(&clock), audit, Arc::clone(&metrics)));
        let connects = KeyedRateLimiter::new(CONNECTS, MINUTE, WORKERS);
        let renewals = KeyedRateLimiter::new(RENEWALS, MINUTE, WORKERS);
        let faults = KeyedRateLimiter::new(FAULTS, HOUR, ORIGINS);
        Self { commands, deliveries, clock, recorder, metrics, connects, renewals, faults }
    }

    /// Requests a certificate. Enrolment calls `record`, and does not wait for the audit log.
    async fn certificate(
        &self,
        command: impl FnOnce(CertificateReply) -> EnrolmentCommand,
        record: impl FnOnce(&Recorder, Result<Certified, EnrolmentRejection>) -> Recorded<Certified> + Send + 'static,
    ) -> Result<Certified, ProtocolError> {
        let recorder = Arc::clone(&self.recorder);
        let recorded =
            self.commands.ask(|reply| command(CertificateReply::new(reply, move |result| record(&recorder, result))));
        recorded.await.map_err(stopping)?.settled().await
    }

    /// Refuses a worker that makes too many requests. Such a refusal is counted and not recorded, as the first requests
    /// were.
    fn throttle(
        &self,
        limiter: &KeyedRateLimiter<WorkerId>,
        operation: &'static str,
        peer: PeerCertificate,
    ) -> Result<(), ProtocolError> {
        if limiter.acquire(peer.worker, self.clock.now().wall).is_some() {
            return Ok(());
        }
        self.metrics.record_suppressed(operation);
        let message = "this identity makes too many requests (is it used twice?): try again in a minute";
        Err(ProtocolError::new(ErrorCode::Throttled, message))
    }
}

fn stopping(_: ActorStopped) -> ProtocolError {
    ProtocolError::new(ErrorCode::Internal, "the coordinator is stopping")
}

#[async_trait]
impl LinkHandler for ServerHandler {
    async fn join(
        &self,
        from: SocketAddr,
        token: TokenId,
        secret: TokenSecret,
        request: Vec<u8>,
    ) -> Result<Certified, ProtocolError> {
        let record = move |recorder: &Recorder, joined: Result<Certified, EnrolmentRejection>| {
            let (worker, group) = match &joined {
                Ok(certified) => (certified.worker.parse().ok(), certified.group.clone()),
                Err(_) => (None, String::new()),
            };
            if let Ok(certified) = &joined {
                tracing::info!(worker = certified.worker, group, %from, %token, "worker enrolled");
            }
            recorder.record("join", RequestContext { from, worker, group: &group, instance: None }, joined)
        };
        self.certificate(|reply| EnrolmentCommand::Join { token, secret, request, reply }, record).await
    }

    async fn renew(
        &self,
        from: SocketAddr,
        peer: PeerCertificate,
        sequence: u64,
        request: Vec<u8>,
    ) -> Result<Certified, ProtocolError> {
        self.throttle(&self.renewals, "renew", peer)?;
        let record = move |recorder: &Recorder, renewed: Result<Certified, EnrolmentRejection>| {
            let context = RequestContext { from, worker: Some(peer.worker), group: "", instance: None };
            recorder.record("renew", context, renewed)
        };
        self.certificate(|reply| EnrolmentCommand::Renew { peer, sequence, request, reply }, record).await
    }

    async fn admit(&self, from: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError> {
        self.throttle(&self.connects, "connect", peer)?;
        // A session ticket may carry a certificate that has expired since.
        let admitted = if self.clock.now().wall < peer.ends {
            self.commands.ask(|reply| EnrolmentCommand::Admit { peer, reply }).await.map_err(stopping)?
        } else {
            Err(ProtocolError::expired())
        };
        let group = admitted.as_ref().map(ToString::to_string).unwrap_or_default();
        let admitted = admitted.map_err(EnrolmentRejection::of);
        let context = RequestContext { from, worker: Some(peer.worker), group: &group, instance: None };
        self.recorder.record("connect", context, admitted).settled().await
    }

    async fn subscribed(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        wanted: Option<Vec<InstanceName>>,
    ) -> Vec<ProtocolError> {
        let deliveries = Arc::clone(&self.deliveries.borrow());
        let delivered = deliveries.groups.get(group).map(|group| &group.instances);
        let mut refused = Vec::new();
        for instance in wanted.unwrap_or_default() {
            if delivered.is_some_and(|delivered| delivered.contains(&instance)) {
                continue;
            }
            // The message does not reveal whether such an instance exists.
            let message = format!(
                "{instance} is not delivered to the group {group}: if it should be, the coordinator's operator adds it \
                 with deliver-to = [\"{group}\"] in [instances.{instance}]"
            );
            let refusal = ProtocolError::about(ErrorCode::NotDelivered, &instance, message);
            if refused.len() < MAX_NAMED {
                let context =
                    RequestContext { from, worker: Some(worker), group: group.as_str(), instance: Some(&instance) };
                self.recorder.refuse("subscribe", context, &EnrolmentRejection::of(refusal.clone()));
            }
            refused.push(refusal);
        }
        if let Some(more) = refused.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
            tracing::debug!(%from, %worker, more, "worker keeps asking for instances outside its group");
        }
        refused
    }

    fn component(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        digest: Digest,
    ) -> Result<Bytes, ProtocolError> {
        let deliveries = Arc::clone(&self.deliveries.borrow());
        if let Some(component) = deliveries.groups.get(group).and_then(|group| group.components.get(&digest)) {
            return Ok(component.clone());
        }
        let refusal = ProtocolError::about(ErrorCode::Component, digest, "there is no such component for this group");
        let context = RequestContext { from, worker: Some(worker), group: group.as_str(), instance: None };
        let rejection = EnrolmentRejection { reason: format!("{refusal}: {digest}"), refusal };
        self.recorder.refuse("fetch", context, &rejection);
        Err(rejection.refusal)
    }

    fn suspicious(&self, from: SocketAddr, what: &str) {
        self.metrics.record_link_fault();
        if let Some(suppressed) = self.faults.acquire(Origin::of(from.ip()), self.clock.now().wall) {
            tracing::warn!(%from, suppressed, "worker connection closed: {what}");
        }
    }
}
