//! One established connection.

mod addresses;
mod deliveries;
mod renewal;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::{Digest, HostPort, InstanceName, LeaseVersion, S3Places, Span, Timestamp, in_one_line};
use deputy_support::timer_now;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

use super::connection_lost::{ClientStopped, ConnectionLost};
use super::dial::refusal_in_alert;
use super::link::LinkPhase;
use super::link_client::LinkClient;
use super::relocation::{Moved, Relocation};
use crate::delivered_state::{DeliveredState, DeliveryReport};
use crate::frame::{Frames, MAX_COORDINATOR_FRAME, encode};
use crate::message::{
    ApplyReport, ClientMessage, ClientMessageKind, FetchComponent, KnownLease, Ping, ServerMessage, ServerMessageKind,
    Subscribe, Welcome,
};
use crate::protocol_error::{ErrorCode, ProtocolError};

use self::renewal::Renewal;

/// The heartbeat until `Welcome` names one.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10);

/// The bounds of the heartbeat that a coordinator may name, in milliseconds.
const MIN_HEARTBEAT_MS: u64 = 100;
const MAX_HEARTBEAT_MS: u64 = 600_000;

/// Deadline for one write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Refusals of one connection that the link's state lists.
const MAX_REFUSALS: usize = 100;

struct ClientSession<'c> {
    client: &'c mut LinkClient,
    stream: TlsStream<TcpStream>,
    /// Where it is connected to.
    address: HostPort,
    heartbeat: Duration,
    renewal: Renewal,
    /// All instances of the group, once the coordinator named them on this connection.
    group_instances: Option<BTreeSet<InstanceName>>,
    /// Where the S3 of some of them is, as it came with their names.
    places: S3Places,
    /// Certificates that were not valid yet.
    early_certificates: u32,
}

/// Runs until the connection ends, and returns why it did, or until there is a connection to another address.
pub(super) async fn run(
    client: &mut LinkClient,
    stream: TlsStream<TcpStream>,
    address: HostPort,
) -> Result<Moved, ConnectionLost> {
    client.reconnect.connected_at = None;
    let mut session = ClientSession {
        client,
        stream,
        address,
        heartbeat: DEFAULT_HEARTBEAT,
        renewal: Renewal::NotBefore(timer_now()),
        group_instances: None,
        places: S3Places::new(),
        early_certificates: 0,
    };
    match session.run().await {
        Err(ConnectionLost::Io(error)) => {
            Err(refusal_in_alert(&error).map_or(ConnectionLost::Io(error), ConnectionLost::Refused))
        }
        result => result,
    }
}

fn ping_interval(period: Duration) -> Interval {
    let mut interval = interval_at(timer_now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl ClientSession<'_> {
    async fn run(&mut self) -> Result<Moved, ConnectionLost> {
        self.client.state.send_modify(|state| state.refusals.clear());
        self.subscribe().await?;
        let mut frames = Frames::default();
        let mut last_message = timer_now();
        let mut ping = ping_interval(self.heartbeat);
        let jitter = self.client.rng.f64();
        let mut relocation = Relocation::default();
        let mut stay = self.client.stay.random(&mut self.client.rng);
        let mut picked_at = None;
        loop {
            let period = self.heartbeat;
            if ping.period() != period {
                ping = ping_interval(period);
            }
            let renew_at = self.renew_at(jitter);
            // Until the snapshot is complete, fetches of the connection before are not requested again.
            let is_connected = self.client.state.borrow().phase == LinkPhase::Connected;
            let fetch_timeout = self.client.fetches.deadline().filter(|_| is_connected);
            let move_at = picked_at.or(self.client.reconnect.connected_at).map(|since| since + stay);
            let may_move = !relocation.is_running() && self.renewal != Renewal::Requested;
            tokio::select! {
                message = frames.next::<ServerMessage>(&mut self.stream, MAX_COORDINATOR_FRAME) => {
                    let message = message?.ok_or(ConnectionLost::Closed)?;
                    last_message = timer_now();
                    self.record_message();
                    self.handle(message).await?;
                }
                Some(report) = self.client.reports.recv() => {
                    self.send_report(&report).await?;
                    self.client.reported.insert(report.instance.clone(), report);
                }
                Some((digest, reply)) = self.client.fetch_requests.recv() => {
                    if self.client.fetches.add(digest, reply, timer_now()) {
                        self.request_component(digest).await?;
                    }
                }
                _ = ping.tick() => self.send(ClientMessageKind::Ping(Ping {})).await?,
                () = sleep_until(last_message + 3 * period) => return Err(ConnectionLost::Idle),
                () = sleep_until(renew_at), if self.renewal != Renewal::Requested => self.renew(jitter).await?,
                () = sleep_until(fetch_timeout.unwrap_or(last_message)), if fetch_timeout.is_some() => {
                    self.client.fetches.expire(timer_now());
                }
                () = sleep_until(move_at.unwrap_or(last_message)), if move_at.is_some() && may_move => {
                    picked_at = Some(timer_now());
                    stay = self.client.stay.random(&mut self.client.rng);
                    if let Some(address) = self.other_address() {
                        relocation.start(address, self.client.tls()?, self.client.identity.sequence);
                    }
                }
                opened = relocation.opened() => match opened {
                    // The next renewal would come from a certificate that was replaced, as that of a copy does.
                    Ok(moved) if moved.renewals != self.client.identity.sequence => {
                        tracing::debug!("not moving to another address: the certificate was renewed meanwhile");
                    }
                    Ok(moved) => return Ok(moved),
                    Err(lost) => tracing::debug!(error = in_one_line(&lost), "not moving to another address"),
                },
                () = self.client.held.closed() => return Err(ClientStopped::Unused.into()),
            }
        }
    }

    /// The monotonic time of a wall-clock time. A minute ahead at most, since the wall clock may be set and machines sleep.
    fn timer_at(&self, time: Timestamp) -> Instant {
        let left = time.since(self.client.clock.now().wall);
        timer_now() + left.min(Span::secs(60)).duration()
    }

    /// Does not wake the watchers of the state.
    fn record_message(&self) {
        let now = self.client.clock.now().wall;
        self.client.state.send_if_modified(|state| {
            state.last_message = Some(now);
            false
        });
    }

    async fn subscribe(&mut self) -> Result<(), ConnectionLost> {
        let held = Arc::clone(&self.client.held.borrow());
        let known = held.deliveries.values().map(|delivery| known_lease(&delivery.instance, delivery.stamp));
        let subscribe = Subscribe {
            instances: self.client.instances.iter().map(ToString::to_string).collect(),
            known: known.collect(),
            version: self.client.version.clone(),
            host: self.client.host.clone(),
        };
        self.send(ClientMessageKind::Subscribe(subscribe)).await
    }

    async fn handle(&mut self, message: ServerMessage) -> Result<(), ConnectionLost> {
        match message.kind {
            // A later version defined it.
            None => {}
            Some(ServerMessageKind::LeaseUpdate(update)) => self.update(update)?,
            Some(ServerMessageKind::LeaseWithdrawn(withdrawn)) => self.withdraw(&withdrawn)?,
            Some(ServerMessageKind::ReceiverBound(bound)) => self.bind(&bound)?,
            Some(ServerMessageKind::SnapshotEnd(end)) => self.end_snapshot(&end).await?,
            Some(ServerMessageKind::GroupInstances(instances)) => self.set_group_instances(&instances)?,
            Some(ServerMessageKind::Welcome(welcome)) => self.welcome(&welcome),
            Some(ServerMessageKind::Pong(_)) => {}
            Some(ServerMessageKind::ComponentChunk(chunk)) => self.client.fetches.add_chunk(&chunk, timer_now()),
            Some(ServerMessageKind::Authorities(authorities)) => self.set_authorities(authorities).await?,
            Some(ServerMessageKind::Addresses(addresses)) => self.learn_addresses(&addresses).await,
            Some(ServerMessageKind::Certified(certified)) => self.certified(certified).await?,
            Some(ServerMessageKind::Refusal(refusal)) => self.refused(refusal.into())?,
            Some(ServerMessageKind::Shutdown(shutdown)) => {
                self.client.reconnect.set_spread(shutdown.spread_ms);
                return Err(ConnectionLost::Shutdown);
            }
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut DeliveredState)) {
        self.client.held.send_modify(|held| change(Arc::make_mut(held)));
    }

    fn welcome(&mut self, welcome: &Welcome) {
        self.heartbeat = Duration::from_millis(welcome.heartbeat_ms.clamp(MIN_HEARTBEAT_MS, MAX_HEARTBEAT_MS));
        self.client.reconnect.set_spread(welcome.spread_ms);
    }

    fn refused(&mut self, refusal: ProtocolError) -> Result<(), ConnectionLost> {
        if self.client.fetches.refuse(&refusal) {
            return Ok(());
        }
        tracing::warn!(code = %refusal.code, subject = refusal.subject, "coordinator refused a request: {refusal}");
        if refusal.code == ErrorCode::NotDelivered {
            self.client.state.send_modify(|state| {
                if state.refusals.len() < MAX_REFUSALS {
                    state.refusals.push(refusal);
                }
            });
            return Ok(());
        }
        if self.renewal == Renewal::Requested && refusal.code.is_transient() {
            self.retry_renewal();
            return Ok(());
        }
        Err(ConnectionLost::Refused(refusal))
    }

    async fn send_report(&mut self, report: &DeliveryReport) -> Result<(), ConnectionLost> {
        let lease = Some(known_lease(&report.instance, report.stamp));
        let failure = report.result.as_ref().err().cloned().unwrap_or_default();
        self.send(ClientMessageKind::ApplyReport(ApplyReport { lease, failure })).await
    }

    async fn request_component(&mut self, digest: Digest) -> Result<(), ConnectionLost> {
        self.send(ClientMessageKind::FetchComponent(FetchComponent { digest: digest.as_bytes().to_vec() })).await
    }

    async fn send(&mut self, message: ClientMessageKind) -> Result<(), ConnectionLost> {
        let frame = encode(&ClientMessage::from(message));
        let writing = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        Ok(timeout(WRITE_TIMEOUT, writing).await.map_err(|_| ConnectionLost::Idle)??)
    }
}

fn known_lease(instance: &InstanceName, version: LeaseVersion) -> KnownLease {
    KnownLease {
        instance: instance.to_string(),
        revision: version.revision.0,
        obtained_ms: version.obtained_at.as_millis(),
    }
}
