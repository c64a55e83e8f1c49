//! One connection that was made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::{
    Delivery, Digest, InstanceName, LeaseVersion, ReceiverName, Revision, SecretBytes, Span, Timestamp, in_one_line,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

use super::{ConnectionLost, LinkClient, LinkPhase, refused_by_tls};
use crate::frame::{FROM_COORDINATOR, FrameError, Frames, encode};
use crate::identity::{WorkerIdentity, WorkerKey};
use crate::message::{
    ApplyReport, Authorities, Certified, ClientMessage, ClientMessageKind, FetchComponent, GroupInstances, KnownLease,
    LeaseUpdate, Ping, ReceiverBound, ReceiverLimits, RenewCertificate, ServerMessage, ServerMessageKind, SnapshotEnd,
    Subscribe, Welcome,
};
use crate::protocol_error::{ErrorCode, ProtocolError};
use crate::worker_state::{DeliveryReport, ReceiverBinding, WorkerState};
use deputy_support::timer_now;

/// Before the coordinator has said how often it wants to hear of the worker.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long one write may take.
const WRITING: Duration = Duration::from_secs(30);

/// What is said of one connection is bounded.
const REFUSALS: usize = 100;

struct Session<'c> {
    client: &'c mut LinkClient,
    stream: TlsStream<TcpStream>,
    heartbeat: Duration,
    renewal: Renewal,
    /// All instances of the group, if the coordinator has said so on this connection.
    delivered: Option<BTreeSet<InstanceName>>,
    /// Certificates that were not valid yet.
    early: u32,
}

/// Whether a key was sent to be certified on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewal {
    /// It was.
    Asked,
    /// Not before then.
    NotBefore(Instant),
}

/// How often a certificate that is not valid yet is asked for again.
const EARLY: u32 = 10;

/// Between two attempts to write the identity, however little time is left.
const LEAST_WAIT: Duration = Duration::from_millis(500);

/// When the coordinator can't renew a certificate, it is asked again so much later.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

/// Until the connection ends; says why it did.
pub(super) async fn run(client: &mut LinkClient, stream: TlsStream<TcpStream>) -> ConnectionLost {
    client.complete_at = None;
    let renewal = Renewal::NotBefore(timer_now());
    let mut session = Session { client, stream, heartbeat: HEARTBEAT, renewal, delivered: None, early: 0 };
    match session.run().await {
        // Never: a session ends with a reason.
        Ok(never) => match never {},
        Err(ConnectionLost::Io(error) | ConnectionLost::Frame(FrameError::Io(error))) => match refused_by_tls(&error) {
            Some(refusal) => ConnectionLost::Refused(refusal),
            None => ConnectionLost::Io(error),
        },
        Err(lost) => lost,
    }
}

enum Infallible {}

impl Session<'_> {
    async fn run(&mut self) -> Result<Infallible, ConnectionLost> {
        self.client.state.send_modify(|state| state.refused.clear());
        self.subscribe().await?;
        let mut frames = Frames::default();
        let mut heard = timer_now();
        let mut ping = interval_at(timer_now() + self.heartbeat, self.heartbeat);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let chance = self.client.rng.f64();
        loop {
            let period = self.heartbeat;
            if ping.period() != period {
                ping = interval_at(timer_now() + period, period);
                ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            let mut renew = match self.client.unsaved {
                None => self.until(self.client.identity.renew_at(chance)),
                Some(_) => timer_now(),
            };
            if let Renewal::NotBefore(time) = self.renewal {
                renew = renew.max(time);
            }
            // Before all is there, what was not answered by the connection before is not asked for yet.
            let fetched =
                self.client.fetches.due().filter(|_| self.client.state.borrow().phase == LinkPhase::Connected);
            tokio::select! {
                down = frames.next::<ServerMessage>(&mut self.stream, FROM_COORDINATOR) => {
                    let down = down?.ok_or(ConnectionLost::Closed)?;
                    heard = timer_now();
                    let now = self.client.clock.now().wall;
                    self.client.state.send_if_modified(|state| {
                        state.heard = Some(now);
                        false
                    });
                    self.said(down).await?;
                }
                Some(report) = self.client.reports.recv() => {
                    self.report(&report).await?;
                    self.client.said.insert(report.instance.clone(), report);
                }
                Some((digest, answer)) = self.client.asked.recv() => {
                    if self.client.fetches.add(digest, answer, timer_now()) {
                        self.ask(digest).await?;
                    }
                }
                _ = ping.tick() => self.say(ClientMessageKind::Ping(Ping {})).await?,
                () = sleep_until(heard + 3 * period) => return Err(ConnectionLost::Silent),
                () = sleep_until(renew), if self.renewal != Renewal::Asked => self.renew(chance).await?,
                () = sleep_until(fetched.unwrap_or(heard)), if fetched.is_some() => self.client.fetches.expire(timer_now()),
                () = self.client.held.closed() => return Err(super::ClientStopped::Unused.into()),
            }
        }
    }

    /// When that is by the clock of timers, which a step of the other clock does not reach.
    fn until(&self, time: Timestamp) -> Instant {
        let left = time.since(self.client.clock.now().wall);
        // Looked at again at least so often, since machines sleep.
        timer_now() + left.min(Span::secs(60)).duration()
    }

    async fn subscribe(&mut self) -> Result<(), ConnectionLost> {
        let known = self
            .client
            .held
            .borrow()
            .deliveries
            .values()
            .map(|delivery| known(&delivery.instance, delivery.stamp))
            .collect();
        let subscribe = Subscribe {
            instances: self.client.wanted.iter().map(ToString::to_string).collect(),
            known,
            version: self.client.version.clone(),
            host: self.client.host.clone(),
        };
        self.say(ClientMessageKind::Subscribe(subscribe)).await
    }

    async fn said(&mut self, down: ServerMessage) -> Result<(), ConnectionLost> {
        // Of a later version.
        let Some(reply) = down.kind else { return Ok(()) };
        match reply {
            ServerMessageKind::LeaseUpdate(update) => self.update(update)?,
            ServerMessageKind::LeaseWithdrawn(withdrawn) => {
                let instance: InstanceName =
                    withdrawn.instance.parse().map_err(|_| ConnectionLost::Nonsense("an instance"))?;
                self.change(|held| {
                    held.deliveries.remove(&instance);
                });
            }
            ServerMessageKind::ReceiverBound(bound) => self.bound(&bound)?,
            ServerMessageKind::SnapshotEnd(complete) => self.complete(&complete).await?,
            ServerMessageKind::GroupInstances(delivered) => self.delivered(&delivered)?,
            ServerMessageKind::Welcome(welcome) => self.welcome(&welcome),
            ServerMessageKind::Pong(_) => {}
            ServerMessageKind::ComponentChunk(piece) => self.client.fetches.piece(&piece, timer_now()),
            ServerMessageKind::Authorities(authorities) => self.authorities(authorities).await?,
            ServerMessageKind::Certified(certified) => self.certified(certified).await?,
            ServerMessageKind::Refusal(refused) => self.refused(refused.into())?,
            ServerMessageKind::Shutdown(goodbye) => {
                self.client.spread = Span::millis(goodbye.spread_ms).min(super::LONGEST_WAIT);
                return Err(ConnectionLost::Goodbye);
            }
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut WorkerState)) {
        self.client.held.send_modify(|held| change(Arc::make_mut(held)));
    }

    fn update(&self, update: LeaseUpdate) -> Result<(), ConnectionLost> {
        let payload = Arc::new(SecretBytes::new(update.payload));
        let delivery = Delivery {
            instance: update.instance.parse().map_err(|_| ConnectionLost::Nonsense("an instance"))?,
            service: update.service.parse().map_err(|_| ConnectionLost::Nonsense("a service"))?,
            stamp: LeaseVersion {
                revision: Revision(update.revision),
                obtained_at: Timestamp::from_millis(update.obtained_ms),
            },
            valid_until: Timestamp::from_millis(update.valid_until_ms),
            payload,
        };
        tracing::info!(instance = %delivery.instance, revision = %delivery.stamp.revision, valid_until = %delivery.valid_until, "received");
        self.change(|held| {
            held.deliveries.insert(delivery.instance.clone(), delivery);
        });
        Ok(())
    }

    fn bound(&self, bound: &ReceiverBound) -> Result<(), ConnectionLost> {
        let receiver = bound.receiver.parse().map_err(|_| ConnectionLost::Nonsense("a receiver"))?;
        if bound.component.is_empty() {
            self.change(|held| {
                held.receivers.remove(&receiver);
                held.missing.remove(&receiver);
            });
            return Ok(());
        }
        let component =
            <[u8; 32]>::try_from(bound.component.as_slice()).map_err(|_| ConnectionLost::Nonsense("a digest"))?;
        let instances: Result<_, _> = bound.instances.iter().map(|name| name.parse()).collect();
        let limits = bound.limits.as_deref().map(ReceiverLimits::parsed).transpose();
        let binding = ReceiverBinding {
            component: Digest::new(component),
            settings: bound.settings.clone(),
            instances: instances.map_err(|_| ConnectionLost::Nonsense("an instance"))?,
            limits: limits.map_err(|_| ConnectionLost::Nonsense("a limit"))?.unwrap_or_default(),
        };
        self.change(|held| {
            held.missing.remove(&receiver);
            held.receivers.insert(receiver, binding);
        });
        Ok(())
    }

    /// The instances of the group. Before all that there is was sent, the list from before goes with what is held.
    fn delivered(&mut self, delivered: &GroupInstances) -> Result<(), ConnectionLost> {
        let instances: Result<BTreeSet<_>, _> = delivered.instances.iter().map(|name| name.parse()).collect();
        self.delivered = Some(instances.map_err(|_| ConnectionLost::Nonsense("an instance"))?);
        if self.client.state.borrow().phase == LinkPhase::Connected {
            self.change(|held| held.delivered.clone_from(&self.delivered));
        }
        Ok(())
    }

    /// All that there is was sent: what is not in the list is no longer the worker's.
    async fn complete(&mut self, complete: &SnapshotEnd) -> Result<(), ConnectionLost> {
        let instances: BTreeSet<&str> = complete.instances.iter().map(String::as_str).collect();
        let receivers: Result<BTreeSet<ReceiverName>, _> = complete.receivers.iter().map(|name| name.parse()).collect();
        let receivers = receivers.map_err(|_| ConnectionLost::Nonsense("a receiver"))?;
        self.change(|held| {
            held.deliveries.retain(|instance, _| instances.contains(instance.as_str()));
            held.receivers.retain(|receiver, _| receivers.contains(receiver));
            held.missing = receivers.into_iter().filter(|receiver| !held.receivers.contains_key(receiver)).collect();
            held.delivered.clone_from(&self.delivered);
            held.complete = true;
        });
        self.client.state.send_modify(|state| state.failures = 0);
        self.client.complete_at = Some(timer_now());
        self.client.enter(LinkPhase::Connected, self.client.unsaved.clone());
        tracing::info!(instances = instances.len(), "connected to the coordinator");
        let said: Vec<DeliveryReport> = self.client.said.values().cloned().collect();
        for report in said.iter().filter(|report| instances.contains(report.instance.as_str())) {
            self.report(report).await?;
        }
        self.client.said.retain(|instance, _| instances.contains(instance.as_str()));
        for digest in self.client.fetches.restart(timer_now()) {
            self.ask(digest).await?;
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: &Welcome) {
        self.heartbeat = Duration::from_millis(welcome.heartbeat_ms.clamp(100, 600_000));
        self.client.spread = Span::millis(welcome.spread_ms).min(super::LONGEST_WAIT);
    }

    fn refused(&mut self, refusal: ProtocolError) -> Result<(), ConnectionLost> {
        if self.client.fetches.refused(&refusal) {
            return Ok(());
        }
        tracing::warn!(code = %refusal.code, subject = refusal.subject, "coordinator refused a request: {refusal}");
        // The rest of the connection goes on.
        if refusal.code == ErrorCode::NotDelivered {
            self.client.state.send_modify(|state| {
                if state.refused.len() < REFUSALS {
                    state.refused.push(refusal);
                }
            });
            return Ok(());
        }
        if self.renewal == Renewal::Asked && refusal.code.is_passing() {
            self.renewal = Renewal::NotBefore(timer_now() + RENEW_AGAIN);
            return Ok(());
        }
        Err(ConnectionLost::Refused(refusal))
    }

    async fn authorities(&mut self, authorities: Authorities) -> Result<(), ConnectionLost> {
        let mut next = self.client.identity.clone();
        let changed = next.trust(authorities.certificates).map_err(|_| ConnectionLost::Nonsense("an authority"))?;
        if !changed {
            return Ok(());
        }
        self.check_authorities(&next)?;
        // Whom to trust can be learnt again after a restart: it is used whether it is written or not.
        let saved = self.save(&next).await;
        self.adopt(next);
        self.note(saved);
        Ok(())
    }

    /// Whoever would trust others than the coordinator that it speaks to could not come back.
    fn check_authorities(&self, identity: &WorkerIdentity) -> Result<(), ConnectionLost> {
        let shown = self.stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let known = shown.is_some_and(|certificate| identity.trusts(certificate));
        if known { Ok(()) } else { Err(ConnectionLost::Nonsense("authorities of which none is its own")) }
    }

    /// Asks to certify a key that is written down first.
    async fn renew(&mut self, chance: f64) -> Result<(), ConnectionLost> {
        if self.client.unsaved.is_some() && !self.save_again().await {
            return Ok(());
        }
        if self.client.clock.now().wall < self.client.identity.renew_at(chance) {
            return Ok(());
        }
        let pending = match self.client.identity.pending.clone() {
            Some(pending) => pending,
            None => {
                let key = WorkerKey::new().map_err(super::ClientStopped::from)?;
                let mut next = self.client.identity.clone();
                next.pending = Some(key.clone());
                let saved = self.save(&next).await;
                if saved.is_ok() || self.is_last_chance() {
                    self.adopt(next);
                }
                if !self.note(saved) {
                    return Ok(());
                }
                key
            }
        };
        let request = pending.request().map_err(super::ClientStopped::from)?;
        self.renewal = Renewal::Asked;
        self.say(ClientMessageKind::RenewCertificate(RenewCertificate {
            sequence: self.client.identity.sequence + 1,
            request,
        }))
        .await
    }

    async fn certified(&mut self, certified: Certified) -> Result<(), ConnectionLost> {
        let pending =
            self.client.identity.pending.clone().ok_or(ConnectionLost::Nonsense("a certificate nobody asked for"))?;
        let worker = self.client.identity.worker;
        let next = WorkerIdentity::new(certified, pending, self.client.identity.address.clone());
        let next = next.map_err(|_| ConnectionLost::Nonsense("a certificate for another key"))?;
        if next.worker != worker || next.sequence != self.client.identity.sequence + 1 {
            return Err(ConnectionLost::Nonsense("another worker's certificate"));
        }
        self.check_authorities(&next)?;
        if self.is_early(&next) {
            return Ok(());
        }
        let saved = self.save(&next).await;
        self.renewal = Renewal::NotBefore(timer_now());
        // The coordinator knows a repetition by its key, which is written. One that is not can only go on.
        if saved.is_ok() || self.is_last_chance() {
            self.adopt(next);
            let ends = self.client.identity.ends();
            self.client.state.send_modify(|state| state.certificate_ends = ends);
            tracing::info!(until = %ends, "worker certificate renewed");
        }
        self.note(saved);
        Ok(())
    }

    /// Whether a certificate begins in the future. The coordinator's clock may be wrong, and is right the next time; if it
    /// stays so, it is ours.
    fn is_early(&mut self, next: &WorkerIdentity) -> bool {
        if next.begins() <= self.client.clock.now().wall || self.early >= EARLY || self.is_last_chance() {
            return false;
        }
        self.early += 1;
        tracing::warn!(begins = %next.begins(), "the new certificate is not valid yet: compare the clocks; asking again");
        self.renewal = Renewal::NotBefore(timer_now() + RENEW_AGAIN.min(self.left() / 20));
        true
    }

    /// How long the certificate is still good.
    fn left(&self) -> Duration {
        self.client.identity.ends().since(self.client.clock.now().wall).duration()
    }

    /// Whether the certificate is about to end. An identity that only this process knows is then better than none: it is
    /// lost with the process, and is lost in any case if nothing is done.
    fn is_last_chance(&self) -> bool {
        self.left() < self.client.identity.life().duration() / 10
    }

    async fn save(&self, next: &WorkerIdentity) -> Result<(), String> {
        self.client.keep.keep(next).await.map_err(|error| {
            let error = in_one_line(&*error);
            format!("the worker's identity cannot be written ({error})")
        })
    }

    /// Writes the identity that could not be written, and says whether that is done or does not matter now.
    async fn save_again(&mut self) -> bool {
        let saved = self.save(&self.client.identity.clone()).await;
        self.note(saved)
    }

    /// Notes whether the identity is written as it is now. If not, it is tried again later; whether to go on all the same.
    fn note(&mut self, saved: Result<(), String>) -> bool {
        let was_unsaved = self.client.unsaved.is_some();
        let error = saved.err();
        let is_saved = error.is_none();
        if let Some(error) = &error {
            let wait = self.client.saving.fail(self.client.rng.u16(..)).duration().min(self.left() / 4);
            // What was asked for is answered, whether this is written or not.
            if self.renewal != Renewal::Asked {
                self.renewal = Renewal::NotBefore(timer_now() + wait.max(LEAST_WAIT));
            }
            if !was_unsaved {
                let ends = self.client.identity.ends();
                tracing::error!(%error, certificate_ends = %ends, "the worker's identity is not saved, and is tried again");
            }
        } else {
            self.client.saving.reset();
            if was_unsaved {
                tracing::info!("the worker's identity is written again");
            }
        }
        self.client.unsaved = error;
        if self.client.state.borrow().phase == LinkPhase::Connected {
            self.client.enter(LinkPhase::Connected, self.client.unsaved.clone());
        }
        is_saved || self.is_last_chance()
    }

    fn adopt(&mut self, next: WorkerIdentity) {
        (self.client.identity, self.client.tls) = (next, None);
    }

    async fn report(&mut self, report: &DeliveryReport) -> Result<(), ConnectionLost> {
        let failure = report.result.as_ref().err().cloned().unwrap_or_default();
        self.say(ClientMessageKind::ApplyReport(ApplyReport {
            lease: Some(known(&report.instance, report.stamp)),
            failure,
        }))
        .await
    }

    async fn ask(&mut self, digest: Digest) -> Result<(), ConnectionLost> {
        self.say(ClientMessageKind::FetchComponent(FetchComponent { digest: digest.as_bytes().to_vec() })).await
    }

    async fn say(&mut self, request: ClientMessageKind) -> Result<(), ConnectionLost> {
        let frame = encode(&ClientMessage::from(request));
        let writing = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        Ok(timeout(WRITING, writing).await.map_err(|_| ConnectionLost::Silent)??)
    }
}

fn known(instance: &InstanceName, stamp: LeaseVersion) -> KnownLease {
    KnownLease {
        instance: instance.to_string(),
        revision: stamp.revision.0,
        obtained_ms: stamp.obtained_at.as_millis(),
    }
}
