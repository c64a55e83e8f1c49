//! The worker's half: joins, stays connected, and holds what it may have.
//!
//! [`join`] turns a join string into an [`Identity`]. [`Client::run`] then keeps a connection for as long as the identity
//! is good: it comes back after every loss, at a random moment within the time that the coordinator named, so that ten
//! thousand workers do not come back at once; it renews the certificate at half of its life; and it writes down what it
//! must not lose before it uses it. What it holds is in a `watch`: who looks sees the newest, and who is slow skips.
//!
//! An engine written in Rust needs this module and nothing else of Deputy: see [`Engine`], which gives it a [`Link`].

#![deny(missing_docs)]

mod engine;
mod fetch;
mod join;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::time::Clock;
use deputy_core::{Digest, InstanceName, Span, Timestamp, in_one_line};
use deputy_support::Backoff;
use fastrand::Rng;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificate::COORDINATOR;
use crate::frame::FrameError;
use crate::identity::{IdentityError, WorkerIdentity};
use crate::protocol_error::ProtocolError;
use crate::worker_state::{DeliveryReport, WorkerState};
use deputy_support::{pause, timer_now};

pub use engine::{Engine, EngineError};
pub use fetch::FetchError;
use fetch::Fetches;
pub use join::{JoinFailure, join, join_until};

/// Where an identity is kept.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// Writes it down, so that it survives a power cut.
    async fn keep(&self, identity: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// What a client is made with.
pub struct ClientOptions {
    /// Who it is.
    pub identity: WorkerIdentity,
    /// Where that is kept.
    pub keep: Arc<dyn IdentityStore>,
    /// The instances that it wants; all that it may have if there are none.
    pub wanted: BTreeSet<InstanceName>,
    /// What it holds from before.
    pub held: WorkerState,
    /// Its version, for `deputy workers`.
    pub version: String,
    /// The name of its machine, likewise.
    pub host: String,
    /// What it reads the time from.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub seed: u64,
}

/// Stays connected.
pub struct LinkClient {
    identity: WorkerIdentity,
    /// Of that identity, until it changes: the tickets are in it, with which a worker comes back at less cost to both.
    tls: Option<Arc<ClientConfig>>,
    keep: Arc<dyn IdentityStore>,
    wanted: BTreeSet<InstanceName>,
    version: String,
    host: String,
    clock: Arc<dyn Clock>,
    rng: Rng,
    held: watch::Sender<Arc<WorkerState>>,
    state: watch::Sender<LinkState>,
    reports: mpsc::Receiver<DeliveryReport>,
    /// The newest report of each instance: said again after each return, since the coordinator may have forgotten.
    said: BTreeMap<InstanceName, DeliveryReport>,
    asked: mpsc::Receiver<(Digest, Answer)>,
    fetches: Fetches,
    /// Within which time to come back.
    spread: Span,
    /// After a connection that was not complete.
    attempts: Backoff,
    /// After one that was, and did not last.
    losses: Backoff,
    /// When the present connection was complete.
    complete_at: Option<Instant>,
    /// Why the identity is not written as it is now.
    unsaved: Option<String>,
    /// Between attempts to write it.
    saving: Backoff,
}

type Answer = oneshot::Sender<Result<Bytes, FetchError>>;

/// What the rest of a worker, or an engine, has of the client. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    /// What is held now.
    pub held: watch::Receiver<Arc<WorkerState>>,
    /// How the connection is.
    pub state: watch::Receiver<LinkState>,
    /// For reports of what was applied.
    pub reports: mpsc::Sender<DeliveryReport>,
    /// What it reads the time from, by which leases end.
    pub clock: Arc<dyn Clock>,
    asks: mpsc::Sender<(Digest, Answer)>,
}

/// How the connection is.
#[derive(Debug, Clone)]
pub struct LinkState {
    /// What it does.
    pub phase: LinkPhase,
    /// Since when.
    pub since: Timestamp,
    /// When the coordinator was last heard of.
    pub heard: Option<Timestamp>,
    /// Why the last connection ended or did not begin.
    pub error: Option<String>,
    /// Connections that were lost or did not begin, since the last that did.
    pub failures: u32,
    /// When the certificate ends.
    pub certificate_ends: Timestamp,
    /// What the coordinator refused on the present connection.
    pub refused: Vec<ProtocolError>,
}

/// What the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPhase {
    /// It tries to connect, or waits before it tries again.
    Connecting,
    /// It is connected, and was given all that it may have.
    Connected,
    /// The coordinator does not let it in, or its certificate has ended: it has to join again.
    Out,
}

/// Why the client stopped.
#[derive(Debug, thiserror::Error)]
pub enum ClientStopped {
    /// The coordinator's word.
    #[error("{0}")]
    Refused(ProtocolError),
    /// Its identity can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Nobody has the link any more.
    #[error("the link is no longer in use")]
    Unused,
}

/// Why one connection ended.
#[derive(Debug, thiserror::Error)]
enum ConnectionLost {
    #[error("the coordinator is shutting down")]
    Goodbye,
    #[error("cannot reach {0}")]
    Connect(String, #[source] io::Error),
    #[error(
        "the certificate of the coordinator at {0} is not valid by the clock of this machine: compare the clocks of both"
    )]
    Clock(String),
    #[error("{0} does not answer")]
    Timeout(String),
    #[error("the coordinator closed the connection")]
    Closed,
    #[error(
        "the certificate of this worker ended at {0} and was not renewed in time, because {1}: compare the clocks, or join \
         again (`deputy token create` on the coordinator, `deputy worker --join …` here)"
    )]
    Expired(Timestamp, String),
    #[error("the coordinator was idle for too long")]
    Silent,
    #[error("the connection broke")]
    Frame(#[from] FrameError),
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("protocol error: invalid {0}")]
    Nonsense(&'static str),
    #[error("the coordinator refused: {0}")]
    Refused(ProtocolError),
    #[error(transparent)]
    Out(#[from] ClientStopped),
}

impl ConnectionLost {
    /// Whether nobody ended the connection on purpose.
    fn is_broken(&self) -> bool {
        matches!(self, Self::Closed | Self::Frame(FrameError::Io(_)) | Self::Goodbye | Self::Io(_) | Self::Silent)
    }
}

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// Between two tries, at the beginning and in the end.
const FIRST_WAIT: Span = Span::millis(100);
const LONGEST_WAIT: Span = Span::secs(30);

/// A connection that lasted for so long was a good one: the wait begins anew. One that ends sooner, for whatever reason,
/// is as bad as none.
const GOOD: Duration = Duration::from_secs(10);

/// The longest wait after a complete connection that broke: a coordinator that is restarted now and then is not to be
/// missed for long.
const BROKEN_WAIT: Span = Span::secs(5);

/// Between two attempts to write the identity.
const FIRST_SAVE: Span = Span::secs(1);
const LAST_SAVE: Span = Span::secs(60);

impl Link {
    /// A component, of this digest and no other. Waits for the coordinator if it is away, and not for long for one that is
    /// there and sends nothing of it.
    ///
    /// # Errors
    /// If the coordinator does not give it out, or the client has stopped.
    pub async fn fetch(&self, digest: Digest) -> Result<Bytes, FetchError> {
        let (reply, answer) = oneshot::channel();
        self.asks.send((digest, reply)).await.map_err(|_| FetchError::Stopped)?;
        answer.await.map_err(|_| FetchError::Stopped)?
    }
}

impl LinkClient {
    /// A client that does nothing yet, and what others have of it.
    pub fn new(options: ClientOptions) -> (Self, Link) {
        let (held, when_held) = watch::channel(Arc::new(options.held));
        let state = LinkState {
            phase: LinkPhase::Connecting,
            since: options.clock.now().wall,
            heard: None,
            error: None,
            failures: 0,
            certificate_ends: options.identity.ends(),
            refused: Vec::new(),
        };
        let (state, states) = watch::channel(state);
        let (reporter, reports) = mpsc::channel(64);
        let (asks, asked) = mpsc::channel(16);
        let client = Self {
            identity: options.identity,
            tls: None,
            keep: options.keep,
            wanted: options.wanted,
            version: options.version,
            host: options.host,
            clock: Arc::clone(&options.clock),
            rng: Rng::with_seed(options.seed),
            held,
            state,
            reports,
            said: BTreeMap::new(),
            asked,
            fetches: Fetches::default(),
            spread: Span::secs(0),
            attempts: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            losses: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            complete_at: None,
            unsaved: None,
            saving: Backoff::new(FIRST_SAVE, LAST_SAVE),
        };
        (client, Link { held: when_held, state: states, reports: reporter, clock: options.clock, asks })
    }

    /// Stays connected until that is of no use any more, and says why. What is held stays held.
    pub async fn run(mut self) -> ClientStopped {
        loop {
            let out = match self.connection().await {
                ConnectionLost::Out(out) => out,
                ConnectionLost::Refused(refusal) if refusal.code.is_final() => ClientStopped::Refused(refusal),
                lost @ ConnectionLost::Expired(..) => {
                    self.expired(&lost);
                    tokio::select! {
                        () = pause(LONGEST_WAIT.duration()) => continue,
                        () = self.held.closed() => ClientStopped::Unused,
                    }
                }
                lost => {
                    let wait = self.lost(&lost);
                    tokio::select! {
                        () = pause(wait) => continue,
                        () = self.held.closed() => ClientStopped::Unused,
                    }
                }
            };
            self.enter(LinkPhase::Out, Some(out.to_string()));
            return out;
        }
    }

    /// One connection, from its beginning to its end.
    async fn connection(&mut self) -> ConnectionLost {
        if self.clock.now().wall >= self.identity.ends() {
            let why = self.unsaved.clone().unwrap_or_else(|| "there was no coordinator to renew it".to_owned());
            return ConnectionLost::Expired(self.identity.ends(), why);
        }
        let tls = match self.tls.take().map_or_else(|| self.identity.tls(), Ok) {
            Ok(tls) => Arc::clone(self.tls.insert(tls)),
            Err(error) => return ClientStopped::from(error).into(),
        };
        let stream = tokio::select! {
            stream = dial(&self.identity.address, TlsConnector::from(tls)) => stream,
            () = self.held.closed() => return ClientStopped::Unused.into(),
        };
        match stream {
            Ok(stream) => session::run(self, stream).await,
            Err(lost) => lost,
        }
    }

    /// Nobody lets it in, unless the clock that says so is wrong and is set right: so it looks again.
    fn expired(&self, lost: &ConnectionLost) {
        let error = lost.to_string();
        if self.state.borrow().phase != LinkPhase::Out {
            tracing::error!("{error}");
        }
        self.enter(LinkPhase::Out, Some(error));
    }

    /// Notes a loss; how long to wait.
    fn lost(&mut self, lost: &ConnectionLost) -> Duration {
        let was_connected = self.state.borrow().phase == LinkPhase::Connected;
        let failures = if was_connected { 0 } else { self.state.borrow().failures };
        let error = in_one_line(lost);
        if was_connected || failures == 0 {
            tracing::warn!(%error, "connection to the coordinator lost; held leases stay in use");
        }
        let wait = self.wait(lost);
        self.state.send_modify(|state| state.failures = failures.saturating_add(1));
        self.enter(LinkPhase::Connecting, Some(error));
        wait
    }

    fn wait(&mut self, lost: &ConnectionLost) -> Duration {
        let backoff = match self.complete_at.take() {
            None => &mut self.attempts,
            Some(at) => {
                self.attempts.reset();
                if timer_now().saturating_duration_since(at) >= GOOD {
                    self.losses.reset();
                }
                &mut self.losses
            }
        };
        let is_first = backoff.failures() == 0;
        let wait = backoff.fail(self.rng.u16(..));
        let wait = if self.attempts.failures() == 0 && lost.is_broken() { wait.min(BROKEN_WAIT) } else { wait };
        if matches!(lost, ConnectionLost::Clock(_))
            || matches!(lost, ConnectionLost::Refused(refusal) if refusal.code.is_about_clocks())
        {
            // Either of the two clocks may be set right.
            return self.within(LONGEST_WAIT);
        }
        // Many lost it at the same moment.
        if is_first || wait < self.spread { self.within(self.spread.max(FIRST_WAIT)) } else { wait.duration() }
    }

    fn within(&mut self, time: Span) -> Duration {
        Duration::from_millis(self.rng.u64(0..=time.as_millis()))
    }

    fn enter(&self, phase: LinkPhase, error: Option<String>) {
        let now = self.clock.now().wall;
        self.state.send_modify(|state| {
            if state.phase != phase {
                state.since = now;
            }
            (state.phase, state.error) = (phase, error);
        });
    }
}

/// A connection on which the handshake is done. That the coordinator does not like the worker's certificate is seen
/// later, when something is read.
#[expect(clippy::disallowed_methods, reason = "the address is the operator's, from the join string")]
async fn dial(address: &str, tls: TlsConnector) -> Result<TlsStream<TcpStream>, ConnectionLost> {
    let name = COORDINATOR.try_into().map_err(|_| ConnectionLost::Nonsense("its name"))?;
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        tls.connect(name, stream).await
    };
    match timeout(CONNECTING, Box::pin(connecting)).await {
        Ok(Err(error)) if is_about_clocks(&error) => Err(ConnectionLost::Clock(address.to_owned())),
        Ok(stream) => stream.map_err(|error| ConnectionLost::Connect(address.to_owned(), error)),
        Err(_) => Err(ConnectionLost::Timeout(address.to_owned())),
    }
}

/// Whether the coordinator's certificate has ended, or has not begun: it is renewed long before its end, so one of the two
/// clocks is wrong.
fn is_about_clocks(error: &io::Error) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(error)) = error else { return false };
    matches!(error, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

/// What TLS says when the coordinator does not accept the certificate.
fn refused_by_tls(error: &io::Error) -> Option<ProtocolError> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    match error {
        rustls::Error::AlertReceived(rustls::AlertDescription::CertificateExpired) => Some(ProtocolError::expired()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
