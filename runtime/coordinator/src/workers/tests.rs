//! The coordinator's side of the link with real connections, and workers of the link on the other side.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use deputy_core::schedule::{ConfigFingerprint, Lease, LeaseOrigin};
use deputy_core::time::Now;
use deputy_core::{LeaseVersion, Limit, LimitOverrides, Revision, SecretBytes};
use deputy_link::client::{
    ClientOptions, ClientStopped, IdentityStore, JoinFailure, Link, LinkClient, LinkPhase, join,
};
use deputy_link::{DeliveredState, DeliveryReport, ErrorCode, WorkerIdentity, WorkerKey};
use deputy_observe::{AuditAction, AuditEvent};
use deputy_sources::SourceContext;
use deputy_store::{DirectoryStore, MasterKey};
use deputy_support::SystemClock;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;

#[path = "audience_tests.rs"]
mod audience;
#[path = "clock_tests.rs"]
mod clocks;
#[path = "engine_tests.rs"]
mod engine;
#[path = "hostile_tests.rs"]
mod hostile;
#[path = "identity_tests.rs"]
mod identity;
#[path = "join_tests.rs"]
mod joins;
#[path = "limit_tests.rs"]
mod limits;
#[path = "return_tests.rs"]
mod returns;
#[path = "slow_tests.rs"]
mod slow;
#[path = "stranger_tests.rs"]
mod strangers;

const DAY: Span = Span::secs(86_400);

/// A coordinator's side that runs.
struct Site {
    _folder: tempfile::TempDir,
    clock: Arc<Ahead>,
    workers: Workers,
    board: Arc<LeaseBoard>,
    audit: Arc<Audit>,
    metrics: Arc<CoordinatorMetrics>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct How {
    lives: CertificateLifetimes,
    heartbeat: Span,
}

impl Default for How {
    fn default() -> Self {
        Self {
            lives: CertificateLifetimes { authority: Span::secs(180 * 86_400), worker: DAY },
            heartbeat: Span::secs(10),
        }
    }
}

/// The machine's clock, as far ahead as the test wants it.
#[derive(Default)]
struct Ahead {
    clock: SystemClock,
    millis: AtomicU64,
    /// How far its wall clock was set beside that, in milliseconds.
    set: AtomicI64,
}

impl Clock for Ahead {
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
fn beside(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(future)
}

/// One that knows what each group gets, which is nothing yet: before that it lets nobody in.
async fn site(how: How) -> Site {
    let site = site_in(tempfile::tempdir().unwrap(), "127.0.0.1:0".parse().unwrap(), how).await;
    site.deliver(&[]);
    site
}

async fn site_in(folder: tempfile::TempDir, listen: SocketAddr, how: How) -> Site {
    site_with(folder, listen, how, |store| Arc::new(store)).await
}

async fn site_with(
    folder: tempfile::TempDir,
    listen: SocketAddr,
    how: How,
    kept_in: impl FnOnce(DirectoryStore) -> Arc<dyn Store>,
) -> Site {
    let key = MasterKey::parse(&(0..32).map(|byte| byte * 7).collect::<Vec<u8>>()).unwrap();
    let store = DirectoryStore::open(&folder.path().join("state"), key, random()).await.unwrap();
    let (inputs, mut nobody) = mpsc::channel(64);
    beside(async move { while nobody.recv().await.is_some() {} });
    let here = Arc::new(SourceContext::of_process());
    let handle = CoordinatorHandle::new(inputs, here, watch::Sender::new(true).subscribe());
    let clock = Arc::new(Ahead::default());
    let (board, audit, metrics) =
        (Arc::new(LeaseBoard::default()), Arc::new(Audit::memory()), Arc::new(CoordinatorMetrics::default()));
    let options = WorkerServiceOptions {
        listen,
        advertise: String::new(),
        lives: how.lives,
        limits: ServerLimits {
            heartbeat: how.heartbeat,
            handshake_timeout: Span::secs(1),
            write_timeout: Span::secs(2),
            ..ServerLimits::default()
        },
        store: kept_in(store),
        board: Arc::clone(&board),
        clock: Arc::clone(&clock) as _,
        random: random(),
        audit: Arc::clone(&audit),
        metrics: Arc::clone(&metrics),
        handle,
    };
    let (mut workers, tasks) = Workers::open(options).await.unwrap();
    workers.advertise = workers.address().to_string().into();
    let (stop, stopped) = watch::channel(false);
    let running = beside(tasks.run(stopped));
    Site { _folder: folder, clock, workers, board, audit, metrics, stop, running }
}

/// What the machine's wall clock shows.
fn wall() -> Timestamp {
    SystemClock::default().now().wall
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

impl Site {
    async fn token(&self, name: &str, uses: u32) -> JoinString {
        self.workers.create_token(group(name), uses, Span::secs(600)).await.unwrap().0
    }

    /// A worker of a group, with an identity of its own.
    async fn worker(&self, name: &str) -> Worker {
        let string = self.token(name, 1).await;
        Worker::start(join(&string, WorkerKey::new().unwrap()).await.unwrap(), &[])
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
        self.publish_text(name, revision, format!("{name} {revision}"));
    }

    fn publish_text(&self, name: &str, revision: u64, text: String) {
        self.publish_of(ConfigFingerprint::default(), name, revision, text);
    }

    fn publish_of(&self, fingerprint: ConfigFingerprint, name: &str, revision: u64, text: String) {
        let now = wall();
        let lease = Lease {
            revision: Revision(revision),
            service: Some("s3".parse().unwrap()),
            payload: Arc::new(SecretBytes::new(text.into_bytes())),
            obtained_at: now,
            issued_at: now,
            valid_until: now.plus(Span::secs(3600)),
            origin: LeaseOrigin::Component,
            fingerprint,
        };
        self.board.publish(name.parse().unwrap(), lease);
    }

    async fn status(&self, worker: &Worker) -> WorkerStatus {
        let id = worker.id().to_string();
        self.workers.workers().await.unwrap().into_iter().find(|status| status.id == id).unwrap()
    }

    fn events(&self, operation: &str) -> Vec<AuditEvent> {
        let events = self.audit.take().into_iter();
        events
            .filter(|event| matches!(&event.what, AuditAction::Worker { operation: found, .. } if *found == operation))
            .collect()
    }

    /// Ends without a word, as a process that is killed.
    async fn die(self) -> tempfile::TempDir {
        self.running.abort();
        drop(self.running.await);
        self._folder
    }

    async fn end(self) -> tempfile::TempDir {
        self.stop.send_replace(true);
        self.running.await.unwrap();
        self._folder
    }
}

/// What was written down of an identity.
#[derive(Default)]
struct Kept(Mutex<Option<WorkerIdentity>>);

#[async_trait::async_trait]
impl IdentityStore for Kept {
    async fn save(&self, identity: &WorkerIdentity) -> Result<(), Box<dyn Error + Send + Sync>> {
        *self.0.lock().unwrap() = Some(identity.clone());
        Ok(())
    }
}

/// A worker that runs.
struct Worker {
    link: Link,
    kept: Arc<Kept>,
    running: JoinHandle<()>,
    out: Arc<Mutex<Option<ClientStopped>>>,
}

impl Worker {
    fn start(identity: WorkerIdentity, wanted: &[&str]) -> Self {
        Self::start_by(Arc::new(SystemClock::default()), identity, wanted)
    }

    fn start_by(clock: Arc<dyn Clock>, identity: WorkerIdentity, wanted: &[&str]) -> Self {
        let kept = Arc::new(Kept(Mutex::new(Some(identity.clone()))));
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
        let running = beside(async move {
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
    async fn holds(&self, so: impl FnMut(&Arc<DeliveredState>) -> bool) {
        let mut held = self.link.held.clone();
        let came = soon(held.wait_for(so)).await.is_ok();
        assert!(came, "the worker went: {:?}", self.out.lock().unwrap());
    }

    async fn has(&self, name: &str, revision: u64) {
        let (name, payload) = (name.parse().unwrap(), format!("{name} {revision}"));
        let so = |held: &Arc<DeliveredState>| {
            held.deliveries.get(&name).is_some_and(|delivery| delivery.payload.expose() == payload.as_bytes())
        };
        self.holds(so).await;
    }

    async fn is(&self, phase: LinkPhase) {
        let mut state = self.link.state.clone();
        let came = soon(state.wait_for(|state| state.phase == phase)).await.is_ok();
        assert!(came, "{phase:?} wanted, and it went: {:?}", self.out.lock().unwrap());
    }

    async fn out(&self) -> String {
        self.is(LinkPhase::Rejected).await;
        until(async || self.out.lock().unwrap().is_some()).await;
        self.out.lock().unwrap().as_ref().unwrap().to_string()
    }

    async fn applied(&self, name: &str, result: Result<(), String>) {
        let name: InstanceName = name.parse().unwrap();
        let stamp: LeaseVersion = self.link.held.borrow().deliveries[&name].stamp;
        self.link.reports.send(DeliveryReport { instance: name, stamp, result }).await.unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it should have happened by now")
}

#[expect(clippy::disallowed_methods, reason = "a test looks again")]
async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

async fn until(mut so: impl AsyncFnMut() -> bool) {
    soon(async {
        while !so().await {
            pause(10).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_gets_what_its_group_may_have_and_every_change_of_it() {
    let site = site(How::default()).await;
    site.publish("s3-prod", 1);
    site.deliver(&[("analytics", &["s3-prod", "s3-lab"]), ("other", &["secret"])]);
    site.publish("secret", 1);
    let worker = site.worker("analytics").await;
    worker.has("s3-prod", 1).await;
    worker.is(LinkPhase::Connected).await;
    for revision in 2..50 {
        site.publish("s3-prod", revision);
    }
    worker.has("s3-prod", 49).await;
    site.publish("s3-lab", 7);
    worker.has("s3-lab", 7).await;
    site.board.withdraw(&"s3-lab".parse().unwrap());
    worker.holds(|held| held.deliveries.len() == 1).await;
    assert!(!worker.link.held.borrow().deliveries.contains_key(&"secret".parse().unwrap()));

    site.deliver(&[("analytics", &["secret"])]);
    worker.has("secret", 1).await;
    worker.holds(|held| held.deliveries.len() == 1).await;
    site.deliver(&[]);
    worker.holds(|held| held.deliveries.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinator_knows_what_each_worker_has_applied_or_why_not() {
    let site = site(How::default()).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    site.publish("s3-prod", 1);
    let worker = site.worker("analytics").await;
    worker.has("s3-prod", 1).await;
    let before = site.status(&worker).await;
    assert_eq!((before.group.as_str(), before.connected, before.applied[0].current), ("analytics", true, false));
    worker.applied("s3-prod", Ok(())).await;
    until(async || site.status(&worker).await.applied[0].current).await;
    let status = site.status(&worker).await;
    assert_eq!((status.version.as_deref(), status.host.as_deref()), (Some("1.2.3"), Some("machine")));
    assert_eq!((status.applied[0].revision, status.applied[0].newest), (Some(1), Some(1)));

    site.publish("s3-prod", 2);
    worker.has("s3-prod", 2).await;
    assert!(!site.status(&worker).await.applied[0].current);
    worker.applied("s3-prod", Err("no room\u{1b}[31m on the disk".to_owned())).await;
    until(async || site.status(&worker).await.applied[0].failure.is_some()).await;
    let status = site.status(&worker).await;
    assert_eq!(status.applied[0].failure.as_deref(), Some("no room[31m on the disk"));
    let text = site.metrics.encode(&[], &[]).unwrap();
    let page = include_str!("../../../../docs/operations.md");
    for name in ["deputy_link_events_total", "deputy_link_reports_total", "deputy_link_faults_total"] {
        assert!(page.contains(&format!("| `{name}` | counter |")), "{name}");
        assert!(text.contains(name) || name == "deputy_link_events_total", "{text}");
    }
    assert!(text.contains("deputy_link_reports_total{instance=\"s3-prod\",outcome=\"failed\"} 1"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_more_than_its_group_has_is_told_which_line_would_allow_it_and_keeps_the_rest() {
    let site = site(How::default()).await;
    site.deliver(&[("analytics", &["s3-prod"]), ("other", &["secret"])]);
    site.publish("s3-prod", 1);
    site.publish("secret", 1);
    let string = site.token("analytics", 1).await;
    let identity = join(&string, WorkerKey::new().unwrap()).await.unwrap();
    let worker = Worker::start(identity, &["s3-prod", "secret", "never-there"]);
    worker.has("s3-prod", 1).await;
    worker.is(LinkPhase::Connected).await;
    let refused = worker.link.state.borrow().refusals.clone();
    let about: Vec<&str> = refused.iter().map(|refusal| refusal.subject.as_str()).collect();
    assert_eq!(about, ["never-there", "secret"]);
    assert!(refused.iter().all(|refusal| refusal.code == ErrorCode::NotDelivered));
    assert!(refused[1].message.contains("deliver-to = [\"analytics\"] in [instances.secret]"), "{}", refused[1]);
    let events = site.events("subscribe");
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].code.as_deref(), Some("not-delivered"));
    assert!(matches!(&events[1].what, AuditAction::Worker { instance: Some(name), .. } if name == "secret"));
    site.publish("secret", 2);
    site.publish("s3-prod", 2);
    worker.has("s3-prod", 2).await;
    assert_eq!(worker.link.held.borrow().deliveries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_is_survived_and_nothing_is_sent_twice() {
    let site = site(How::default()).await;
    let address = site.workers.address();
    site.deliver(&[("analytics", &["s3-prod"])]);
    site.publish("s3-prod", 1);
    let worker = site.worker("analytics").await;
    worker.has("s3-prod", 1).await;
    worker.applied("s3-prod", Ok(())).await;
    until(async || site.status(&worker).await.applied[0].current).await;
    let lease = site.board.lease(&"s3-prod".parse().unwrap()).unwrap();
    let folder = site.end().await;
    worker.is(LinkPhase::Connecting).await;
    worker.has("s3-prod", 1).await;
    let payload = Arc::as_ptr(&worker.link.held.borrow().deliveries.values().next().unwrap().payload);

    let site = site_in(folder, address, How::default()).await;
    site.board.publish("s3-prod".parse().unwrap(), lease);
    site.deliver(&[("analytics", &["s3-prod"])]);
    worker.is(LinkPhase::Connected).await;
    // What it has applied is said again, since the coordinator has forgotten.
    until(async || site.status(&worker).await.applied.first().is_some_and(|applied| applied.current)).await;
    let now = Arc::as_ptr(&worker.link.held.borrow().deliveries.values().next().unwrap().payload);
    assert_eq!(payload, now, "it was not sent again");
    site.publish("s3-prod", 2);
    worker.has("s3-prod", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_and_its_component_come_with_the_group() {
    let site = site(How::default()).await;
    let component = Bytes::from(vec![7; 300_000]);
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &component).as_ref());
    let digest = Digest::new(hash);
    let binding = |settings: &[(&str, &str)], limits: &LimitOverrides| ReceiverBinding {
        component: digest,
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        instances: BTreeSet::from(["s3-prod".parse().unwrap()]),
        limits: limits.clone(),
    };
    let plan = |binding: ReceiverBinding| {
        let mut deliveries = Deliveries::default();
        let receivers = BTreeMap::from([("aws".parse().unwrap(), Some(binding))]);
        let components = BTreeMap::from([(digest, component.clone())]);
        let instances = BTreeSet::from(["s3-prod".parse().unwrap()]);
        deliveries.groups.insert(group("analytics"), GroupDeliveries { instances, receivers, components });
        deliveries
    };
    let (none, memory) = (LimitOverrides::default(), LimitOverrides::new([(Limit::Memory, 32 << 20)]).unwrap());
    site.workers.deliver(plan(binding(&[], &none)));
    let (worker, other) = (site.worker("analytics").await, site.worker("other").await);
    worker.holds(|held| held.receivers.get(&"aws".parse().unwrap()) == Some(&binding(&[], &none))).await;
    assert_eq!(soon(worker.link.fetch(digest)).await.unwrap(), component);
    let refused = soon(other.link.fetch(digest)).await.unwrap_err();
    assert!(refused.to_string().contains("no such component for this group"), "{refused}");
    for limits in [&none, &memory] {
        let changed = binding(&[("default", "s3-prod")], limits);
        site.workers.deliver(plan(changed.clone()));
        worker.holds(|held| held.receivers.get(&"aws".parse().unwrap()) == Some(&changed)).await;
    }
    site.deliver(&[]);
    worker.holds(|held| held.receivers.is_empty()).await;
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
async fn connect(site: &Site) -> TcpStream {
    TcpStream::connect(site.workers.address()).await.unwrap()
}
