//! Keeps a connection to the coordinator.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deputy_core::time::Clock;
use deputy_core::{Digest, HostPort, InstanceName, NewestLeases, Span, in_one_line};
use deputy_support::{Backoff, pause};
use fastrand::Rng;
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

use super::connection_lost::{ClientStopped, ConnectionLost};
use super::dial::{Others, dial};
use super::fetch::{FetchReply, Fetches};
use super::link::{Link, LinkPhase, LinkState};
use super::reconnect::{MAX_DELAY, Reconnect};
use super::relocation::Stay;
use super::session;
use crate::delivered_state::{DeliveredState, DeliveryReport};
use crate::identity::WorkerIdentity;

/// The bounds of the delay between two attempts to save the identity.
const MIN_SAVE_DELAY: Span = Span::secs(1);
const MAX_SAVE_DELAY: Span = Span::secs(60);

/// Saves a worker's identity.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// Saves the identity, so that it survives a power failure.
    async fn save(&self, identity: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// What a client needs.
pub struct ClientOptions {
    /// The worker's identity.
    pub identity: WorkerIdentity,
    /// Saves each new version of the identity.
    pub identity_store: Arc<dyn IdentityStore>,
    /// The instances to request. Empty: all that the group may have.
    pub instances: BTreeSet<InstanceName>,
    /// What the worker holds from before.
    pub held: DeliveredState,
    /// The worker's version, for `deputy workers`.
    pub version: String,
    /// The name of the machine, for `deputy workers`.
    pub host: String,
    /// Judges certificates, and stamps the [state](LinkState).
    pub clock: Arc<dyn Clock>,
    /// Randomises delays.
    pub seed: u64,
}

/// Keeps a connection to the coordinator. [`Link`] is its handle.
pub struct LinkClient {
    pub(super) identity: WorkerIdentity,
    /// The configuration for the present identity. It holds the session tickets, which make reconnecting cheaper.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) identity_store: Arc<dyn IdentityStore>,
    pub(super) instances: BTreeSet<InstanceName>,
    pub(super) version: String,
    pub(super) host: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Rng,
    pub(super) held: watch::Sender<Arc<DeliveredState>>,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) reports: mpsc::Receiver<DeliveryReport>,
    /// The newest report for each instance. Sent again on each connection, since the coordinator may have restarted.
    pub(super) reported: BTreeMap<InstanceName, DeliveryReport>,
    pub(super) newest: NewestLeases,
    pub(super) fetch_requests: mpsc::Receiver<(Digest, FetchReply)>,
    pub(super) fetches: Fetches,
    pub(super) reconnect: Reconnect,
    pub(super) stay: Stay,
    /// Why the present identity is not saved.
    pub(super) save_error: Option<String>,
    pub(super) save_backoff: Backoff,
}

impl LinkClient {
    /// A client that does nothing yet, and its handle.
    pub fn new(options: ClientOptions) -> (Self, Link) {
        let mut newest = NewestLeases::default();
        for delivery in options.held.deliveries.values() {
            newest.take(&delivery.instance, delivery.stamp);
        }
        let (held, held_receiver) = watch::channel(Arc::new(options.held));
        let (state, state_receiver) = watch::channel(LinkState {
            phase: LinkPhase::Connecting,
            address: None,
            addresses: options.identity.addresses.clone(),
            since: options.clock.now().wall,
            last_message: None,
            error: None,
            failures: 0,
            certificate_ends: options.identity.ends(),
            refusals: Vec::new(),
        });
        let (report_sender, reports) = mpsc::channel(64);
        let (fetch_sender, fetch_requests) = mpsc::channel(16);
        let link = Link {
            held: held_receiver,
            state: state_receiver,
            reports: report_sender,
            clock: Arc::clone(&options.clock),
            fetch_requests: fetch_sender,
        };
        let client = Self {
            identity: options.identity,
            tls: None,
            identity_store: options.identity_store,
            instances: options.instances,
            version: options.version,
            host: options.host,
            clock: options.clock,
            rng: Rng::with_seed(options.seed),
            held,
            state,
            reports,
            reported: BTreeMap::new(),
            newest,
            fetch_requests,
            fetches: Fetches::default(),
            reconnect: Reconnect::new(),
            stay: Stay::default(),
            save_error: None,
            save_backoff: Backoff::new(MIN_SAVE_DELAY, MAX_SAVE_DELAY),
        };
        (client, link)
    }

    /// Stays connected until reconnecting cannot help or all links are dropped, and returns why. What is held stays held.
    pub async fn run(mut self) -> ClientStopped {
        loop {
            let delay = match self.connection().await {
                ConnectionLost::Stopped(stopped) => return self.stopped(stopped),
                ConnectionLost::Refused(refusal) if refusal.code.is_final() => {
                    return self.stopped(ClientStopped::Refused(refusal));
                }
                lost @ ConnectionLost::Expired(..) => self.expired(&lost),
                lost => self.lost(&lost),
            };
            tokio::select! {
                () = pause(delay) => {}
                () = self.held.closed() => return self.stopped(ClientStopped::Unused),
            }
        }
    }

    /// Tries the addresses in a random order until one gives a session, and returns why that ended, or why the last address
    /// gave none.
    pub(super) async fn connection(&mut self) -> ConnectionLost {
        if self.clock.now().wall >= self.identity.ends() {
            let why = self.save_error.clone().unwrap_or_else(|| "no coordinator was reachable".to_owned());
            return ConnectionLost::Expired(self.identity.ends(), why);
        }
        let mut round = self.identity.addresses.as_slice().to_vec();
        self.rng.shuffle(&mut round);
        let mut lost = ConnectionLost::Closed;
        while let Some(address) = round.pop() {
            let others = if round.is_empty() { Others::None } else { Others::Left };
            lost = self.sessions(address, others).await;
            if self.reconnect.connected_at.is_some() || !lost.is_of_one_address() {
                break;
            }
            if others == Others::Left {
                tracing::debug!(error = in_one_line(&lost), "trying the coordinator's next address");
            }
        }
        lost
    }

    /// The session at one address, and those at others to which it moves.
    async fn sessions(&mut self, mut address: HostPort, others: Others) -> ConnectionLost {
        self.reconnect.connected_at = None;
        self.record_address(&address);
        let tls = match self.tls() {
            Ok(tls) => tls,
            Err(stopped) => return stopped.into(),
        };
        let stream = tokio::select! {
            stream = dial(&address, tls, others) => stream,
            () = self.held.closed() => return ClientStopped::Unused.into(),
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(lost) => return lost,
        };
        loop {
            match session::run(self, stream, address).await {
                Ok(moved) => {
                    tracing::info!(address = %moved.address, "moving to another address of the coordinator");
                    (stream, address) = (moved.stream, moved.address);
                    self.record_address(&address);
                    self.enter(LinkPhase::Connecting, self.save_error.clone());
                }
                Err(lost) => return lost,
            }
        }
    }

    /// The configuration for the present identity.
    pub(super) fn tls(&mut self) -> Result<TlsConnector, ClientStopped> {
        let tls = self.tls.take().map_or_else(|| self.identity.tls(), Ok)?;
        Ok(TlsConnector::from(Arc::clone(self.tls.insert(tls))))
    }

    /// Does not wake the watchers of the state.
    fn record_address(&self, address: &HostPort) {
        self.state.send_if_modified(|state| {
            state.address = Some(address.clone());
            false
        });
    }

    fn stopped(&self, stopped: ClientStopped) -> ClientStopped {
        self.enter(LinkPhase::Rejected, Some(stopped.to_string()));
        stopped
    }

    /// Returns the delay until the certificate is checked again: the clock by which it has expired may be corrected.
    fn expired(&self, lost: &ConnectionLost) -> Duration {
        let error = lost.to_string();
        if self.state.borrow().phase != LinkPhase::Rejected {
            tracing::error!("{error}");
        }
        self.enter(LinkPhase::Rejected, Some(error));
        MAX_DELAY.duration()
    }

    /// Returns the delay before the next attempt.
    fn lost(&mut self, lost: &ConnectionLost) -> Duration {
        let was_connected = self.state.borrow().phase == LinkPhase::Connected;
        let failures = if was_connected { 0 } else { self.state.borrow().failures };
        let error = in_one_line(lost);
        if was_connected || failures == 0 {
            tracing::warn!(%error, "connection to the coordinator lost; held leases stay in use");
        }
        let delay = self.reconnect.delay(lost, &mut self.rng);
        self.state.send_modify(|state| state.failures = failures.saturating_add(1));
        self.enter(LinkPhase::Connecting, Some(error));
        delay
    }

    pub(super) fn enter(&self, phase: LinkPhase, error: Option<String>) {
        let now = self.clock.now().wall;
        self.state.send_modify(|state| {
            if state.phase != phase {
                state.since = now;
            }
            state.phase = phase;
            state.error = error;
        });
    }
}
