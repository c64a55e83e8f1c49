//! What the link asks of the coordinator: the book for who somebody is, the deliveries for what a group gets.
//!
//! What the book does for somebody is recorded as it is done, whether the connection is still there or not: who is locked
//! is cut off at the same moment.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::{Digest, GroupName, InstanceName};
use deputy_link::message::Certified;
use deputy_link::server::{Desk, Observer};
use deputy_link::{Code, Peer, Refusal, TokenId, TokenSecret, WorkerId};
use deputy_observe::{Actor, Audit, CallId, Event, Metrics, Outcome, Receipt, What};
use tokio::sync::{mpsc, oneshot, watch};

use super::Deliveries;
use super::book::{Ask, Reply, Told};
use super::sieve::Sieve;
use deputy_observe::Clock;

/// Answers the link.
pub(super) struct Front {
    asks: mpsc::Sender<Ask>,
    deliveries: watch::Receiver<Arc<Deliveries>>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    /// What is logged of who broke the rules.
    faults: Sieve,
}

/// Of strangers, so many lines of the log, and so many refusals to join in the audit log, in a minute.
const FAULTS: u32 = 60;
const BAD_JOINS: u32 = 300;

/// Of the instances that a worker may not have, and wants all the same, so many are in the audit log by name.
const NAMED: usize = 16;

/// Writes who came, and how that ended. Cheap to clone.
#[derive(Clone)]
struct Recorder {
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,
    /// What is recorded of who may not join.
    bad_joins: Arc<Sieve>,
}

/// An answer, and the receipt of the event that records it.
struct Recorded<T> {
    answer: Result<T, Refusal>,
    receipt: Receipt,
}

/// Counts what workers report.
pub(super) fn observer(metrics: Arc<Metrics>) -> Observer {
    Box::new(move |present, report| {
        let outcome = if report.result.is_ok() { Outcome::Done } else { Outcome::Failed };
        metrics.reported(report.instance.as_str(), outcome);
        if let Err(reason) = &report.result {
            tracing::warn!(
                worker = %present.worker, instance = %report.instance, revision = %report.stamp.revision, reason,
                "a worker can't apply a lease"
            );
        }
    })
}

impl Front {
    pub(super) fn new(
        asks: mpsc::Sender<Ask>,
        deliveries: watch::Receiver<Arc<Deliveries>>,
        clock: Arc<dyn Clock>,
        audit: Arc<Audit>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let recorder = Recorder { clock, audit, bad_joins: Arc::new(Sieve::new(BAD_JOINS)) };
        Self { asks, deliveries, recorder, metrics, faults: Sieve::new(FAULTS) }
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Refusal> {
        let stopping = |()| Refusal::new(Code::Internal, "the coordinator is stopping");
        let (reply, answer) = oneshot::channel();
        self.asks.send(question(reply)).await.map_err(|_| stopping(()))?;
        answer.await.map_err(|_| stopping(()))
    }

    /// Asks for a certificate. `record` is called by the book, which does not wait for the audit log.
    async fn certificate(
        &self,
        question: impl FnOnce(Reply) -> Ask,
        record: impl FnOnce(&Recorder, Result<Certified, Told>) -> Recorded<Certified> + Send + 'static,
    ) -> Result<Certified, Refusal> {
        let recorder = self.recorder.clone();
        let recorded = self.ask(|reply| {
            // Nobody may wait for it any more.
            question(Box::new(move |answer| drop(reply.send(record(&recorder, answer)))))
        });
        recorded.await?.settled().await
    }
}

impl<T> Recorded<T> {
    /// A refusal of which the audit log does not hear.
    fn unrecorded(refusal: Refusal) -> Self {
        Self { answer: Err(refusal), receipt: Receipt::none() }
    }

    /// The answer, once its event is written. What can't be recorded does not happen; a refusal need not wait.
    async fn settled(self) -> Result<T, Refusal> {
        let value = self.answer?;
        let recorded = self.receipt.written().await;
        recorded.map_err(|_| Refusal::new(Code::Internal, "the coordinator can't write its audit log"))?;
        Ok(value)
    }

    /// The refusal that it is.
    fn refused(self) -> Result<T, Refusal> {
        self.receipt.detach();
        self.answer
    }
}

impl Recorder {
    /// Hands the event to the audit log, whose writer may be slow.
    fn record<T>(&self, operation: &'static str, about: About<'_>, result: Result<T, Told>) -> Recorded<T> {
        let (outcome, code, why) = match &result {
            Ok(_) => (Outcome::Done, None, None),
            Err(told) => (Outcome::Refused, Some(told.refusal.code.to_string()), Some(told.why.clone())),
        };
        if let Some(why) = &why {
            tracing::warn!(from = %about.from, worker = about.worker, operation, "a worker is refused: {why}");
        }
        let event = Event {
            time: self.clock.now().wall.to_string(),
            actor: Actor::Worker(if about.worker.is_empty() { "-" } else { about.worker }.to_owned()),
            call: CallId::NONE,
            what: What::Worker {
                operation,
                group: about.group.to_owned(),
                instance: about.instance.map(ToString::to_string),
                address: Some(about.from.ip()),
            },
            outcome,
            code,
        };
        Recorded { answer: result.map_err(|told| told.refusal), receipt: self.audit.submit(event) }
    }
}

/// What an event is about.
#[derive(Clone, Copy)]
struct About<'a> {
    from: SocketAddr,
    worker: &'a str,
    group: &'a str,
    instance: Option<&'a InstanceName>,
}

#[async_trait]
impl Desk for Front {
    async fn join(
        &self,
        from: SocketAddr,
        token: TokenId,
        secret: TokenSecret,
        request: Vec<u8>,
    ) -> Result<Certified, Refusal> {
        let record = move |recorder: &Recorder, joined: Result<Certified, Told>| {
            let (worker, group) = match &joined {
                Ok(certified) => (certified.worker.clone(), certified.group.clone()),
                Err(_) => (String::new(), String::new()),
            };
            // Whoever reaches the port may fail to join, as often as they like.
            if let Err(told) = &joined
                && recorder.bad_joins.pass(recorder.clock.now().wall).is_none()
            {
                return Recorded::unrecorded(told.refusal.clone());
            }
            let joined =
                recorder.record("join", About { from, worker: &worker, group: &group, instance: None }, joined);
            if joined.answer.is_ok() {
                tracing::info!(worker, group, %from, %token, "a worker joined");
            }
            joined
        };
        self.certificate(|reply| Ask::Join { token, secret, request, reply }, record).await
    }

    async fn renew(&self, from: SocketAddr, peer: Peer, sequence: u64, request: Vec<u8>) -> Result<Certified, Refusal> {
        let record = move |recorder: &Recorder, renewed: Result<Certified, Told>| {
            let worker = peer.worker.to_string();
            recorder.record("renew", About { from, worker: &worker, group: "", instance: None }, renewed)
        };
        self.certificate(|reply| Ask::Renew { peer, sequence, request, reply }, record).await
    }

    async fn admit(&self, from: SocketAddr, peer: Peer) -> Result<GroupName, Refusal> {
        // A ticket may bring a certificate that ended since it was made.
        let now = self.recorder.clock.now().wall;
        let admitted =
            if now < peer.ends { self.ask(|reply| Ask::Admit { peer, reply }).await? } else { Err(Refusal::expired()) };
        let worker = peer.worker.to_string();
        let group = admitted.as_ref().map(ToString::to_string).unwrap_or_default();
        let told = admitted.map_err(|refusal| Told { why: refusal.to_string(), refusal });
        self.recorder
            .record("connect", About { from, worker: &worker, group: &group, instance: None }, told)
            .settled()
            .await
    }

    async fn subscribed(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        wanted: Option<Vec<InstanceName>>,
    ) -> Vec<Refusal> {
        let deliveries = Arc::clone(&self.deliveries.borrow());
        let given = deliveries.groups.get(group).map(|group| &group.instances);
        let (worker, mut refused) = (worker.to_string(), Vec::new());
        for instance in wanted.unwrap_or_default() {
            if given.is_some_and(|given| given.contains(&instance)) {
                continue;
            }
            // The same whether there is such an instance or not.
            let message = format!(
                "{instance} is not delivered to the group {group}: if it should be, the coordinator's operator adds it \
                 with deliver-to = [\"{group}\"] in [instances.{instance}]"
            );
            let refusal = Refusal::about(Code::NotDelivered, &instance, message);
            if refused.len() < NAMED {
                let told = Err::<(), _>(Told { why: refusal.to_string(), refusal: refusal.clone() });
                let about = About { from, worker: &worker, group: group.as_str(), instance: Some(&instance) };
                self.recorder.record("subscribe", about, told).receipt.detach();
            }
            refused.push(refusal);
        }
        if let Some(more) = refused.len().checked_sub(NAMED).filter(|more| *more > 0) {
            tracing::warn!(%from, worker, more, "a worker wants still more instances that it may not have");
        }
        refused
    }

    fn component(
        &self,
        from: SocketAddr,
        worker: WorkerId,
        group: &GroupName,
        digest: Digest,
    ) -> Result<Bytes, Refusal> {
        let deliveries = Arc::clone(&self.deliveries.borrow());
        if let Some(component) = deliveries.groups.get(group).and_then(|group| group.components.get(&digest)) {
            return Ok(component.clone());
        }
        let refusal = Refusal::about(Code::Component, digest, "there is no such component for this group");
        let told = Err(Told { why: format!("{refusal}: {digest}"), refusal });
        let about = About { from, worker: &worker.to_string(), group: group.as_str(), instance: None };
        self.recorder.record("fetch", about, told).refused()
    }

    fn suspicious(&self, from: SocketAddr, what: &str) {
        self.metrics.worker_fault();
        if let Some(unsaid) = self.faults.pass(self.recorder.clock.now().wall) {
            tracing::warn!(%from, unsaid, "a connection for workers was ended: {what}");
        }
    }
}
