//! The coordinator's side of the link with real connections, and workers of the link on the other side.

mod audience;
mod clock;
mod delivery;
mod engine;
mod hostile;
mod identity;
mod join;
mod limits;
mod listing;
mod reconnect;
mod replicas;
mod slow;
mod unauthenticated;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use bytes::Bytes;
use deputy_audit::{Audit, AuditAction, AuditEvent};
use deputy_core::schedule::{ConfigFingerprint, Lease};
use deputy_core::time::{Clock, Now};
use deputy_core::{
    Digest, Fact, GroupName, InstanceName, LeaseVersion, Limit, LimitOverrides, Revision, SecretBytes, Span, Timestamp,
};
use deputy_link::client::{
    ClientOptions, ClientStopped, IdentityStore, JoinFailure, Link, LinkClient, LinkPhase, join,
};
use deputy_link::server::ServerLimits;
use deputy_link::{
    CertificateLifetimes, DeliveredState, DeliveryReport, EnrolmentStatus, ErrorCode, JoinString, ReceiverBinding,
    TokenId, WorkerId, WorkerIdentity, WorkerKey,
};
use deputy_metrics::{CoordinatorMetrics, CoordinatorSnapshot};
use deputy_sources::SourceContext;
use deputy_store::{DirectoryStore, MasterKey, Random, Store, StoreError};
use deputy_support::{SystemClock, sha256};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::service::{WorkerRequestError, WorkerServiceOptions, Workers};
use super::status::WorkerStatus;
use crate::deliveries::{Deliveries, EarlierDeliveries, EarlierReceiver, GroupDeliveries};
use crate::handle::CoordinatorHandle;
use crate::lease_board::LeaseBoard;
use crate::testing::{test_lease, test_lock};

const DAY: Span = Span::secs(86_400);

/// A coordinator's side that runs.
struct TestCoordinator {
    _folder: tempfile::TempDir,
    clock: Arc<ShiftedClock>,
    workers: Workers,
    board: Arc<LeaseBoard>,
    audit: Arc<Audit>,
    metrics: Arc<CoordinatorMetrics>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct TestOptions {
    lives: CertificateLifetimes,
    heartbeat: Span,
    /// How far the wall clock is ahead at the start, in milliseconds.
    clock_ahead: i64,
    /// Whether the leases of other coordinators are still to be read.
    unread: bool,
    /// Whether other coordinators use the same state.
    is_shared: bool,
}

impl Default for TestOptions {
    fn default() -> Self {
        Self {
            lives: CertificateLifetimes { authority: Span::secs(180 * 86_400), worker: DAY },
            heartbeat: Span::secs(10),
            clock_ahead: 0,
            unread: false,
            is_shared: false,
        }
    }
}

/// The machine's clock, as far ahead as the test wants it.
#[derive(Default)]
struct ShiftedClock {
    clock: SystemClock,
    millis: AtomicU64,
    /// TestOptions far its wall clock was set beside that, in milliseconds.
    set: AtomicI64,
}

impl Clock for ShiftedClock {
    fn now(&self) -> Now {
        let Now { mono, wall } = self.clock.now();
        let ahead = Span::millis(self.millis.load(Ordering::Relaxed));
        let wall = wall.plus(ahead).as_millis().saturating_add_signed(self.set.load(Ordering::Relaxed));
        Now { mono: mono.plus(ahead), wall: Timestamp::from_millis(wall) }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test brings its own randomness")]
fn random() -> Random {
    Arc::new(SystemRandom::new())
}

#[expect(clippy::disallowed_methods, reason = "a test runs beside what it tests")]
fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(future)
}

/// A coordinator that knows the deliveries of each group, none so far: before that it admits no worker.
async fn start_coordinator(options: TestOptions) -> TestCoordinator {
    let coordinator = start_coordinator_in(tempfile::tempdir().unwrap(), "127.0.0.1:0".parse().unwrap(), options).await;
    coordinator.deliver(&[]);
    coordinator
}

async fn start_coordinator_in(folder: tempfile::TempDir, listen: SocketAddr, options: TestOptions) -> TestCoordinator {
    start_coordinator_with(folder, listen, options, |store| Arc::new(store)).await
}

async fn start_coordinator_with(
    folder: tempfile::TempDir,
    listen: SocketAddr,
    options: TestOptions,
    make_store: impl FnOnce(DirectoryStore) -> Arc<dyn Store>,
) -> TestCoordinator {
    let key = MasterKey::parse(&(0..32).map(|byte| byte * 7).collect::<Vec<u8>>()).unwrap();
    let store = DirectoryStore::open(&folder.path().join("state"), key, random()).await.unwrap();
    let store = make_store(store);
    let (inputs, mut ignored) = mpsc::channel(64);
    spawn(async move { while ignored.recv().await.is_some() {} });
    let here = Arc::new(SourceContext::of_process());
    let handle = CoordinatorHandle::new(inputs, here, watch::Sender::new(true).subscribe());
    let clock = Arc::new(ShiftedClock::default());
    clock.set.store(options.clock_ahead, Ordering::Relaxed);
    let board = if options.unread { LeaseBoard::unread() } else { LeaseBoard::default() };
    let (board, audit, metrics) = (Arc::new(board), Arc::new(Audit::memory()), Arc::new(CoordinatorMetrics::default()));
    let lock = test_lock(&*store).await;
    let options = WorkerServiceOptions {
        listen,
        advertise: "127.0.0.1:1".parse().unwrap(),
        lives: options.lives,
        limits: ServerLimits {
            heartbeat: options.heartbeat,
            handshake_timeout: Span::secs(1),
            write_timeout: Span::secs(2),
            ..ServerLimits::default()
        },
        leading: watch::Sender::new(Some(Arc::clone(&lock))).subscribe(),
        lock: Some(lock),
        is_shared: options.is_shared,
        store,
        board: Arc::clone(&board),
        clock: Arc::clone(&clock) as _,
        random: random(),
        audit: Arc::clone(&audit),
        metrics: Arc::clone(&metrics),
        traces: Arc::default(),
        handle,
    };
    let (mut workers, tasks) = Workers::open(options).await.unwrap();
    let advertise = workers.address().to_string().parse().unwrap();
    workers.feeds.set_addresses(&advertise);
    workers.advertise = Arc::new(advertise);
    let (stop, stopped) = watch::channel(false);
    let running = spawn(tasks.run(stopped));
    TestCoordinator { _folder: folder, clock, workers, board, audit, metrics, stop, running }
}

/// What the machine's wall clock shows.
fn wall() -> Timestamp {
    SystemClock::default().now().wall
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

impl TestCoordinator {
    async fn token(&self, name: &str, uses: u32) -> JoinString {
        self.workers.create_token(group(name), uses, Span::secs(600)).await.unwrap().0
    }

    /// The value of a metric, with its labels.
    fn counted(&self, line: &str) -> u64 {
        let text = self.metrics.encode(&CoordinatorSnapshot::default()).unwrap();
        let found = text.lines().find_map(|found| found.strip_prefix(line)).unwrap_or("0");
        found.trim().parse().unwrap()
    }

    /// Connections that broke the protocol. One is counted after it has ended.
    fn link_faults(&self) -> u64 {
        self.counted("deputy_link_faults_total")
    }

    /// A worker of a group, with an identity of its own.
    async fn start_worker(&self, name: &str) -> TestWorker {
        let string = self.token(name, 1).await;
        TestWorker::start(join(&string, WorkerKey::new().unwrap()).await.unwrap(), &[])
    }

    /// These groups get these instances.
    fn deliver(&self, groups: &[(&str, &[&str])]) {
        let mut plan = Deliveries::default();
        for (name, instances) in groups {
            let instances: BTreeSet<InstanceName> = instances.iter().map(|name| name.parse().unwrap()).collect();
            plan.groups.insert(group(name), GroupDeliveries { instances, ..GroupDeliveries::default() });
        }
        self.workers.deliver(plan);
    }

    fn publish(&self, name: &str, revision: u64) {
        self.publish_payload(name, revision, format!("{name} {revision}"));
    }

    fn publish_payload(&self, name: &str, revision: u64, text: String) {
        self.publish_with_fingerprint(ConfigFingerprint::default(), name, revision, text);
    }

    fn publish_with_fingerprint(&self, fingerprint: ConfigFingerprint, name: &str, revision: u64, text: String) {
        let lease = Lease {
            handle: Arc::new(SecretBytes::new(b"handle".to_vec())),
            next_at: Some(Timestamp::from_millis(5)),
            facts: vec![Fact { name: "a".to_owned(), value: "b".to_owned() }],
            payload: Arc::new(SecretBytes::new(text.into_bytes())),
            fingerprint,
            ..test_lease(revision)
        };
        self.board.publish(name.parse().unwrap(), lease);
    }

    async fn status(&self, worker: &TestWorker) -> WorkerStatus {
        let id = worker.id().to_string();
        self.workers.workers().await.unwrap().into_iter().find(|status| status.id == id).unwrap()
    }

    fn events(&self, operation: &str) -> Vec<AuditEvent> {
        let events = self.audit.take().into_iter();
        events
            .filter(
                |event| matches!(&event.action, AuditAction::Worker { operation: found, .. } if *found == operation),
            )
            .collect()
    }

    /// Ends without a word, as a process that is killed.
    async fn kill(self) -> tempfile::TempDir {
        self.running.abort();
        drop(self.running.await);
        self._folder
    }

    async fn stop(self) -> tempfile::TempDir {
        self.stop.send_replace(true);
        self.running.await.unwrap();
        self._folder
    }
}

/// What was written down of an identity.
#[derive(Default)]
struct SavedIdentity(Mutex<Option<WorkerIdentity>>);

#[async_trait::async_trait]
impl IdentityStore for SavedIdentity {
    async fn save(&self, identity: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        *self.0.lock().unwrap() = Some(identity.clone());
        Ok(())
    }
}

/// A worker that runs.
struct TestWorker {
    link: Link,
    kept: Arc<SavedIdentity>,
    running: JoinHandle<()>,
    out: Arc<Mutex<Option<ClientStopped>>>,
}

impl TestWorker {
    fn start(identity: WorkerIdentity, wanted: &[&str]) -> Self {
        Self::start_by(Arc::new(SystemClock::default()), identity, wanted)
    }

    fn start_by(clock: Arc<dyn Clock>, identity: WorkerIdentity, wanted: &[&str]) -> Self {
        let kept = Arc::new(SavedIdentity(Mutex::new(Some(identity.clone()))));
        let (client, link) = LinkClient::new(ClientOptions {
            identity,
            identity_store: Arc::clone(&kept) as _,
            instances: wanted.iter().map(|name| name.parse().unwrap()).collect(),
            held: DeliveredState::default(),
            version: "1.2.3".to_owned(),
            host: "machine".to_owned(),
            clock,
            seed: 1,
        });
        let out = Arc::new(Mutex::new(None));
        let end = Arc::clone(&out);
        let running = spawn(async move {
            let out = client.run().await;
            *end.lock().unwrap() = Some(out);
        });
        Self { link, kept, running, out }
    }

    fn id(&self) -> WorkerId {
        self.kept.0.lock().unwrap().as_ref().unwrap().worker
    }

    fn identity(&self) -> WorkerIdentity {
        self.kept.0.lock().unwrap().clone().unwrap()
    }

    /// Waits until what it holds is so.
    async fn wait_for_state(&self, so: impl FnMut(&Arc<DeliveredState>) -> bool) {
        let mut held = self.link.held.clone();
        let came = in_time(held.wait_for(so)).await.is_ok();
        assert!(came, "the worker went: {:?}", self.out.lock().unwrap());
    }

    async fn wait_for_lease(&self, name: &str, revision: u64) {
        let (name, payload) = (name.parse().unwrap(), format!("{name} {revision}"));
        let so = |held: &Arc<DeliveredState>| {
            held.deliveries.get(&name).is_some_and(|delivery| delivery.payload.expose() == payload.as_bytes())
        };
        self.wait_for_state(so).await;
    }

    async fn wait_for_phase(&self, phase: LinkPhase) {
        let mut state = self.link.state.clone();
        let came = in_time(state.wait_for(|state| state.phase == phase)).await.is_ok();
        assert!(came, "{phase:?} wanted, and it went: {:?}", self.out.lock().unwrap());
    }

    async fn wait_until_stopped(&self) -> String {
        self.wait_for_phase(LinkPhase::Rejected).await;
        wait_until(async || self.out.lock().unwrap().is_some()).await;
        self.out.lock().unwrap().as_ref().unwrap().to_string()
    }

    async fn report(&self, name: &str, result: Result<(), String>) {
        let name: InstanceName = name.parse().unwrap();
        let stamp: LeaseVersion = self.link.held.borrow().deliveries[&name].stamp;
        self.link.reports.send(DeliveryReport { instance: name, stamp, result }).await.unwrap();
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it should have happened by now")
}

#[expect(clippy::disallowed_methods, reason = "a test looks again")]
async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

async fn wait_until(mut so: impl AsyncFnMut() -> bool) {
    in_time(async {
        while !so().await {
            pause(10).await;
        }
    })
    .await;
}

/// TLS as a worker would speak it, with another version, or without a certificate.
fn tls(versions: &[&'static rustls::SupportedProtocolVersion]) -> tokio_rustls::TlsConnector {
    #[derive(Debug)]
    struct Anyone;
    impl rustls::client::danger::ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &[rustls::pki_types::CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            vec![rustls::SignatureScheme::ED25519]
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = config.dangerous().with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth();
    config.alpn_protocols = vec![b"deputy/1".to_vec()];
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

#[expect(clippy::disallowed_methods, reason = "a stranger connects as it likes")]
async fn connect(coordinator: &TestCoordinator) -> TcpStream {
    TcpStream::connect(coordinator.workers.address()).await.unwrap()
}
