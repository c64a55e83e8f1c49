//! One connection that was made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::schedule::Revision;
use deputy_core::{Delivery, Digest, InstanceName, ReceiverName, SecretBytes, Span, Stamp, Timestamp};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

use super::{Client, Lost, Phase, refused_by_tls};
use crate::frame::{FROM_COORDINATOR, FrameError, Frames, encode};
use crate::held::{Binding, Held, Report};
use crate::identity::{Identity, Key};
use crate::message::{
    Applied, Bound, Certified, Complete, Delivered, Down, Fetch, Known, Ping, ReceiverLimits, Renew, Reply, Request,
    Subscribe, Up, Update, Welcome,
};
use crate::refusal::{Code, Refusal};
use crate::timer;

/// Before the coordinator has said how often it wants to hear of the worker.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long one write may take.
const WRITING: Duration = Duration::from_secs(30);

/// What is said of one connection is bounded.
const REFUSALS: usize = 100;

struct Session<'c> {
    client: &'c mut Client,
    stream: TlsStream<TcpStream>,
    heartbeat: Duration,
    renewal: Renewal,
    /// All instances of the group, if the coordinator has said so on this connection.
    delivered: Option<BTreeSet<InstanceName>>,
}

/// Whether a key was sent to be certified on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewal {
    /// It was.
    Asked,
    /// Not before then.
    NotBefore(Instant),
}

/// When the coordinator can't renew a certificate, it is asked again so much later.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

/// Until the connection ends; says why it did.
pub(super) async fn run(client: &mut Client, stream: TlsStream<TcpStream>) -> Lost {
    let renewal = Renewal::NotBefore(timer::now());
    let mut session = Session { client, stream, heartbeat: HEARTBEAT, renewal, delivered: None };
    match session.run().await {
        // Never: a session ends with a reason.
        Ok(never) => match never {},
        Err(Lost::Io(error) | Lost::Frame(FrameError::Io(error))) => match refused_by_tls(&error) {
            Some(refusal) => Lost::Refused(refusal),
            None => Lost::Io(error),
        },
        Err(lost) => lost,
    }
}

enum Never {}

impl Session<'_> {
    async fn run(&mut self) -> Result<Never, Lost> {
        self.client.state.send_modify(|state| state.refused.clear());
        self.subscribe().await?;
        let mut frames = Frames::default();
        let mut heard = timer::now();
        let mut ping = interval_at(timer::now() + self.heartbeat, self.heartbeat);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let chance = self.client.rng.f64();
        loop {
            let period = self.heartbeat;
            if ping.period() != period {
                ping = interval_at(timer::now() + period, period);
                ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            let mut renew = self.until(self.client.identity.renew_at(chance));
            if let Renewal::NotBefore(time) = self.renewal {
                renew = renew.max(time);
            }
            // Before all is there, what was not answered by the connection before is not asked for yet.
            let fetched = self.client.fetches.due().filter(|_| self.client.state.borrow().phase == Phase::Connected);
            tokio::select! {
                down = frames.next::<Down>(&mut self.stream, FROM_COORDINATOR) => {
                    let down = down?.ok_or(Lost::Closed)?;
                    heard = timer::now();
                    let now = (self.client.clock)();
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
                    if self.client.fetches.add(digest, answer, timer::now()) {
                        self.ask(digest).await?;
                    }
                }
                _ = ping.tick() => self.say(Request::Ping(Ping {})).await?,
                () = sleep_until(heard + 3 * period) => return Err(Lost::Silent),
                () = sleep_until(renew), if self.renewal != Renewal::Asked => self.renew(chance).await?,
                () = sleep_until(fetched.unwrap_or(heard)), if fetched.is_some() => self.client.fetches.expire(timer::now()),
                () = self.client.held.closed() => return Err(super::Out::Unused.into()),
            }
        }
    }

    /// When that is by the clock of timers, which a step of the other clock does not reach.
    fn until(&self, time: Timestamp) -> Instant {
        let left = time.since((self.client.clock)());
        // Looked at again at least so often, since machines sleep.
        timer::now() + left.min(Span::secs(60)).duration()
    }

    async fn subscribe(&mut self) -> Result<(), Lost> {
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
        self.say(Request::Subscribe(subscribe)).await
    }

    async fn said(&mut self, down: Down) -> Result<(), Lost> {
        // Of a later version.
        let Some(reply) = down.reply else { return Ok(()) };
        match reply {
            Reply::Update(update) => self.update(update)?,
            Reply::Withdrawn(withdrawn) => {
                let instance: InstanceName = withdrawn.instance.parse().map_err(|_| Lost::Nonsense("an instance"))?;
                self.change(|held| {
                    held.deliveries.remove(&instance);
                });
            }
            Reply::Bound(bound) => self.bound(&bound)?,
            Reply::Complete(complete) => self.complete(&complete).await?,
            Reply::Delivered(delivered) => self.delivered(&delivered)?,
            Reply::Welcome(welcome) => self.welcome(&welcome),
            Reply::Pong(_) => {}
            Reply::Piece(piece) => self.client.fetches.piece(&piece, timer::now()),
            Reply::Authorities(authorities) => {
                let mut next = self.client.identity.clone();
                if next.trust(authorities.certificates) {
                    self.turn_into(next).await?;
                }
            }
            Reply::Certified(certified) => self.certified(certified).await?,
            Reply::Refused(refused) => self.refused(refused.into())?,
            Reply::Goodbye(goodbye) => {
                self.client.spread = Span::millis(goodbye.spread_ms).min(super::LONGEST_WAIT);
                return Err(Lost::Goodbye);
            }
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        self.client.held.send_modify(|held| change(Arc::make_mut(held)));
    }

    fn update(&self, update: Update) -> Result<(), Lost> {
        let payload = Arc::new(SecretBytes::new(update.payload));
        let delivery = Delivery {
            instance: update.instance.parse().map_err(|_| Lost::Nonsense("an instance"))?,
            service: update.service.parse().map_err(|_| Lost::Nonsense("a service"))?,
            stamp: Stamp {
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

    fn bound(&self, bound: &Bound) -> Result<(), Lost> {
        let receiver = bound.receiver.parse().map_err(|_| Lost::Nonsense("a receiver"))?;
        if bound.component.is_empty() {
            self.change(|held| {
                held.receivers.remove(&receiver);
                held.missing.remove(&receiver);
            });
            return Ok(());
        }
        let component = <[u8; 32]>::try_from(bound.component.as_slice()).map_err(|_| Lost::Nonsense("a digest"))?;
        let instances: Result<_, _> = bound.instances.iter().map(|name| name.parse()).collect();
        let limits = bound.limits.as_deref().map(ReceiverLimits::parsed).transpose();
        let binding = Binding {
            component: Digest::new(component),
            settings: bound.settings.clone(),
            instances: instances.map_err(|_| Lost::Nonsense("an instance"))?,
            limits: limits.map_err(|_| Lost::Nonsense("a limit"))?.unwrap_or_default(),
        };
        self.change(|held| {
            held.missing.remove(&receiver);
            held.receivers.insert(receiver, binding);
        });
        Ok(())
    }

    /// The instances of the group. Before all that there is was sent, the list from before goes with what is held.
    fn delivered(&mut self, delivered: &Delivered) -> Result<(), Lost> {
        let instances: Result<BTreeSet<_>, _> = delivered.instances.iter().map(|name| name.parse()).collect();
        self.delivered = Some(instances.map_err(|_| Lost::Nonsense("an instance"))?);
        if self.client.state.borrow().phase == Phase::Connected {
            self.change(|held| held.delivered.clone_from(&self.delivered));
        }
        Ok(())
    }

    /// All that there is was sent: what is not in the list is no longer the worker's.
    async fn complete(&mut self, complete: &Complete) -> Result<(), Lost> {
        let instances: BTreeSet<&str> = complete.instances.iter().map(String::as_str).collect();
        let receivers: Result<BTreeSet<ReceiverName>, _> = complete.receivers.iter().map(|name| name.parse()).collect();
        let receivers = receivers.map_err(|_| Lost::Nonsense("a receiver"))?;
        self.change(|held| {
            held.deliveries.retain(|instance, _| instances.contains(instance.as_str()));
            held.receivers.retain(|receiver, _| receivers.contains(receiver));
            held.missing = receivers.into_iter().filter(|receiver| !held.receivers.contains_key(receiver)).collect();
            held.delivered.clone_from(&self.delivered);
            held.complete = true;
        });
        self.client.state.send_modify(|state| state.failures = 0);
        self.client.enter(Phase::Connected, None);
        tracing::info!(instances = instances.len(), "connected to the coordinator");
        let said: Vec<Report> = self.client.said.values().cloned().collect();
        for report in said.iter().filter(|report| instances.contains(report.instance.as_str())) {
            self.report(report).await?;
        }
        self.client.said.retain(|instance, _| instances.contains(instance.as_str()));
        for digest in self.client.fetches.restart(timer::now()) {
            self.ask(digest).await?;
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: &Welcome) {
        self.heartbeat = Duration::from_millis(welcome.heartbeat_ms.clamp(100, 600_000));
        self.client.spread = Span::millis(welcome.spread_ms).min(super::LONGEST_WAIT);
    }

    fn refused(&mut self, refusal: Refusal) -> Result<(), Lost> {
        if self.client.fetches.refused(&refusal) {
            return Ok(());
        }
        tracing::warn!(code = %refusal.code, subject = refusal.subject, "the coordinator refuses: {refusal}");
        // The rest of the connection goes on.
        if refusal.code == Code::NotDelivered {
            self.client.state.send_modify(|state| {
                if state.refused.len() < REFUSALS {
                    state.refused.push(refusal);
                }
            });
            return Ok(());
        }
        if self.renewal == Renewal::Asked && refusal.code == Code::Internal {
            self.renewal = Renewal::NotBefore(timer::now() + RENEW_AGAIN);
            return Ok(());
        }
        Err(Lost::Refused(refusal))
    }

    /// Asks to certify a key that is written down first.
    async fn renew(&mut self, chance: f64) -> Result<(), Lost> {
        if (self.client.clock)() < self.client.identity.renew_at(chance) {
            return Ok(());
        }
        let pending = match self.client.identity.pending.clone() {
            Some(pending) => pending,
            None => {
                let key = Key::new().map_err(super::Out::from)?;
                let mut next = self.client.identity.clone();
                next.pending = Some(key.clone());
                self.turn_into(next).await?;
                key
            }
        };
        let request = pending.request().map_err(super::Out::from)?;
        self.renewal = Renewal::Asked;
        self.say(Request::Renew(Renew { sequence: self.client.identity.sequence + 1, request })).await
    }

    async fn certified(&mut self, certified: Certified) -> Result<(), Lost> {
        let pending = self.client.identity.pending.clone().ok_or(Lost::Nonsense("a certificate nobody asked for"))?;
        let worker = self.client.identity.worker;
        let next = Identity::new(certified, pending, self.client.identity.address.clone());
        let next = next.map_err(|_| Lost::Nonsense("a certificate for another key"))?;
        if next.worker != worker || next.sequence != self.client.identity.sequence + 1 {
            return Err(Lost::Nonsense("another worker's certificate"));
        }
        self.turn_into(next).await?;
        self.renewal = Renewal::NotBefore(timer::now());
        let ends = self.client.identity.ends();
        self.client.state.send_modify(|state| state.certificate_ends = ends);
        tracing::info!(until = %ends, "the certificate of this worker was renewed");
        Ok(())
    }

    /// Is somebody else from now on, if that is written down. Who went on as what nobody wrote down would come back from a
    /// restart as who it was, and be taken for a copy of itself.
    async fn turn_into(&mut self, next: Identity) -> Result<(), Lost> {
        self.client.keep.keep(&next).await.map_err(Lost::Keep)?;
        (self.client.identity, self.client.tls) = (next, None);
        Ok(())
    }

    async fn report(&mut self, report: &Report) -> Result<(), Lost> {
        let failure = report.result.as_ref().err().cloned().unwrap_or_default();
        self.say(Request::Applied(Applied { what: Some(known(&report.instance, report.stamp)), failure })).await
    }

    async fn ask(&mut self, digest: Digest) -> Result<(), Lost> {
        self.say(Request::Fetch(Fetch { digest: digest.as_bytes().to_vec() })).await
    }

    async fn say(&mut self, request: Request) -> Result<(), Lost> {
        let frame = encode(&Up::from(request));
        let writing = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        Ok(timeout(WRITING, writing).await.map_err(|_| Lost::Silent)??)
    }
}

fn known(instance: &InstanceName, stamp: Stamp) -> Known {
    Known { instance: instance.to_string(), revision: stamp.revision.0, obtained_ms: stamp.obtained_at.as_millis() }
}
