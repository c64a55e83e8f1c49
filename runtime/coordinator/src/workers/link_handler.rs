//! What the link asks of the coordinator: the book for who somebody is, the deliveries for what a group gets.
//!
//! What the book does for somebody is recorded as it is done, whether the connection is still there or not: who is locked
//! is cut off at the same moment.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::time::Clock;
use deputy_core::{Digest, GroupName, InstanceName, Span};
use deputy_link::message::Certified;
use deputy_link::server::{LinkHandler, Origin, ReportObserver};
use deputy_link::{ErrorCode, PeerCertificate, ProtocolError, TokenId, TokenSecret, WorkerId};
use deputy_metrics::CoordinatorMetrics;
use deputy_observe::{Audit, AuditOutcome};
use deputy_support::KeyedRateLimiter;
use tokio::sync::{mpsc, oneshot, watch};

use super::Deliveries;
use super::enrolment_actor::{CertificateReply, EnrolmentCommand, Rejection};
use super::recorder::{About, Recorded, Recorder};

/// Answers the link.
pub(super) struct ServerHandler {
    asks: mpsc::Sender<EnrolmentCommand>,
    deliveries: watch::Receiver<Arc<Deliveries>>,
    clock: Arc<dyn Clock>,
    recorder: Arc<Recorder>,
    metrics: Arc<CoordinatorMetrics>,
    connects: KeyedRateLimiter<WorkerId>,
    renewals: KeyedRateLimiter<WorkerId>,
    /// What is logged of connections that broke the rules, for each origin.
    faults: KeyedRateLimiter<Origin>,
}

/// How often a worker may connect, and ask for a certificate, in a minute. One with a clock of its own and a backoff does
/// neither a tenth as often.
const CONNECTS: u32 = 60;
const RENEWALS: u32 = 60;
const MINUTE: Span = Span::secs(60);

/// Lines that are logged of one origin in an hour, and of what one worker can't apply.
const FAULTS: u32 = 60;
const FAILURES: u32 = 60;
const HOUR: Span = Span::secs(3600);

/// Workers and origins that are told apart at a time.
const WORKERS: usize = 65_536;
const ORIGINS: usize = 64;

/// Of the instances that a worker may not have, and wants all the same, so many are in the audit log by name.
const NAMED: usize = 16;

/// Counts what workers report, and logs what they can't apply.
pub(super) fn observer(metrics: Arc<CoordinatorMetrics>, clock: Arc<dyn Clock>) -> ReportObserver {
    let failures = KeyedRateLimiter::new(FAILURES, HOUR, WORKERS);
    Box::new(move |present, report| {
        let outcome = if report.result.is_ok() { AuditOutcome::Done } else { AuditOutcome::Failed };
        metrics.record_report(report.instance.as_str(), outcome);
        let Err(reason) = &report.result else { return };
        match failures.acquire(present.worker, clock.now().wall) {
            None => metrics.record_suppressed("apply"),
            Some(suppressed) => tracing::warn!(
                worker = %present.worker, instance = %report.instance, revision = %report.stamp.revision, reason, suppressed,
                "worker failed to apply the lease"
            ),
        }
    })
}

impl ServerHandler {
    pub(super) fn new(
        asks: mpsc::Sender<EnrolmentCommand>,
        deliveries: watch::Receiver<Arc<Deliveries>>,
        clock: Arc<dyn Clock>,
        audit: Arc<Audit>,
        metrics: Arc<CoordinatorMetrics>,
    ) -> Self {
        let recorder = Arc::new(Recorder::new(Arc::clone(&clock), audit, Arc::clone(&metrics)));
        let connects = KeyedRateLimiter::new(CONNECTS, MINUTE, WORKERS);
        let renewals = KeyedRateLimiter::new(RENEWALS, MINUTE, WORKERS);
        let faults = KeyedRateLimiter::new(FAULTS, HOUR, ORIGINS);
        Self { asks, deliveries, clock, recorder, metrics, connects, renewals, faults }
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> EnrolmentCommand) -> Result<T, ProtocolError> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(question(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }

    /// Asks for a certificate. `record` is called by the book, which does not wait for the audit log.
    async fn certificate(
        &self,
        question: impl FnOnce(CertificateReply) -> EnrolmentCommand,
        record: impl FnOnce(&Recorder, Result<Certified, Rejection>) -> Recorded<Certified> + Send + 'static,
    ) -> Result<Certified, ProtocolError> {
        let recorder = Arc::clone(&self.recorder);
        let recorded = self.ask(|reply| {
            // Nobody may wait for it any more.
            question(Box::new(move |answer| drop(reply.send(record(&recorder, answer)))))
        });
        recorded.await?.settled().await
    }

    /// Whether a worker may do what it does once more. What it did too often is counted, and not recorded: the first of it
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
        let message = "this worker asks too often, or somebody has a copy of its identity: come back in a minute";
        Err(ProtocolError::new(ErrorCode::Throttled, message))
    }
}

fn stopping() -> ProtocolError {
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
        let record = move |recorder: &Recorder, joined: Result<Certified, Rejection>| {
            let (worker, group) = match &joined {
                Ok(certified) => (certified.worker.parse().ok(), certified.group.clone()),
                Err(_) => (None, String::new()),
            };
            if let Ok(certified) = &joined {
                tracing::info!(worker = certified.worker, group, %from, %token, "worker enrolled");
            }
            recorder.record("join", About { from, worker, group: &group, instance: None }, joined)
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
        let record = move |recorder: &Recorder, renewed: Result<Certified, Rejection>| {
            let about = About { from, worker: Some(peer.worker), group: "", instance: None };
            recorder.record("renew", about, renewed)
        };
        self.certificate(|reply| EnrolmentCommand::Renew { peer, sequence, request, reply }, record).await
    }

    async fn admit(&self, from: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError> {
        self.throttle(&self.connects, "connect", peer)?;
        // A ticket may bring a certificate that ended since it was made.
        let admitted = if self.clock.now().wall < peer.ends {
            self.ask(|reply| EnrolmentCommand::Admit { peer, reply }).await?
        } else {
            Err(ProtocolError::expired())
        };
        let group = admitted.as_ref().map(ToString::to_string).unwrap_or_default();
        let told = admitted.map_err(|refusal| Rejection { why: refusal.to_string(), refusal });
        let about = About { from, worker: Some(peer.worker), group: &group, instance: None };
        self.recorder.record("connect", about, told).settled().await
    }

    async fn subscribed(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        wanted: Option<Vec<InstanceName>>,
    ) -> Vec<ProtocolError> {
        let deliveries = Arc::clone(&self.deliveries.borrow());
        let given = deliveries.groups.get(group).map(|group| &group.instances);
        let mut refused = Vec::new();
        for instance in wanted.unwrap_or_default() {
            if given.is_some_and(|given| given.contains(&instance)) {
                continue;
            }
            // The same whether there is such an instance or not.
            let message = format!(
                "{instance} is not delivered to the group {group}: if it should be, the coordinator's operator adds it \
                 with deliver-to = [\"{group}\"] in [instances.{instance}]"
            );
            let refusal = ProtocolError::about(ErrorCode::NotDelivered, &instance, message);
            if refused.len() < NAMED {
                let about = About { from, worker: Some(worker), group: group.as_str(), instance: Some(&instance) };
                self.recorder.refused(
                    "subscribe",
                    about,
                    &Rejection { why: refusal.to_string(), refusal: refusal.clone() },
                );
            }
            refused.push(refusal);
        }
        if let Some(more) = refused.len().checked_sub(NAMED).filter(|more| *more > 0) {
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
        let about = About { from, worker: Some(worker), group: group.as_str(), instance: None };
        let told = Rejection { why: format!("{refusal}: {digest}"), refusal };
        self.recorder.refused("fetch", about, &told);
        Err(told.refusal)
    }

    fn suspicious(&self, from: SocketAddr, what: &str) {
        self.metrics.record_link_fault();
        if let Some(suppressed) = self.faults.acquire(Origin::of(from.ip()), self.clock.now().wall) {
            tracing::warn!(%from, suppressed, "worker connection closed: {what}");
        }
    }
}
