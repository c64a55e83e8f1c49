//! The coordinator's side of the link with real connections, and workers of the link on the other side.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use deputy_core::schedule::{Fingerprint, Lease, Now, Origin, Revision};
use deputy_core::{Limit, SecretBytes, SomeLimits, Stamp};
use deputy_link::client::{Client, JoinFailed, Keep, Link, Options, Out, Phase, join};
use deputy_link::{Code, Held, Identity, Key, Report};
use deputy_observe::{Event, What};
use deputy_sources::Surroundings;
use deputy_store::{Directory, MasterKey};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use deputy_observe::SystemClock;

#[path = "engine_tests.rs"]
mod engine;
#[path = "hostile_tests.rs"]
mod hostile;
#[path = "return_tests.rs"]
mod returns;

const DAY: Span = Span::secs(86_400);

/// A coordinator's side that runs.
struct Site {
    _folder: tempfile::TempDir,
    clock: Arc<Ahead>,
    workers: Workers,
    board: Arc<Board>,
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct How {
    lives: Lives,
    heartbeat: Span,
}

impl Default for How {
    fn default() -> Self {
        Self { lives: Lives { authority: Span::secs(180 * 86_400), worker: DAY }, heartbeat: Span::secs(10) }
    }
}

/// The machine's clock, as far ahead as the test wants it.
#[derive(Default)]
struct Ahead {
    clock: SystemClock,
    millis: AtomicU64,
}

impl Clock for Ahead {
    fn now(&self) -> Now {
        let Now { mono, wall } = self.clock.now();
        let ahead = Span::millis(self.millis.load(Ordering::Relaxed));
        Now { mono: mono.plus(ahead), wall: wall.plus(ahead) }
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
    let key = MasterKey::parse(&(0..32).map(|byte| byte * 7).collect::<Vec<u8>>()).unwrap();
    let store = Directory::open(&folder.path().join("state"), key, random()).await.unwrap();
    let (inputs, mut nobody) = mpsc::channel(64);
    beside(async move { while nobody.recv().await.is_some() {} });
    let here = Arc::new(Surroundings::of_process());
    let handle = Handle::new(inputs, here, watch::Sender::new(true).subscribe());
    let clock = Arc::new(Ahead::default());
    let (board, audit, metrics) = (Arc::new(Board::default()), Arc::new(Audit::memory()), Arc::new(Metrics::default()));
    let options = WorkerOptions {
        listen,
        advertise: String::new(),
        lives: how.lives,
        limits: Limits { heartbeat: how.heartbeat, greeting: Span::secs(1), write: Span::secs(2), ..Limits::default() },
        store: Arc::new(store),
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
        Worker::start(join(&string, Key::new().unwrap()).await.unwrap(), &[])
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
        let now = wall();
        let lease = Lease {
            revision: Revision(revision),
            service: Some("s3".parse().unwrap()),
            payload: Arc::new(SecretBytes::new(text.into_bytes())),
            obtained_at: now,
            issued_at: now,
            valid_until: now.plus(Span::secs(3600)),
            origin: Origin::Component,
            fingerprint: Fingerprint::default(),
        };
        self.board.publish(name.parse().unwrap(), lease);
    }

    async fn status(&self, worker: &Worker) -> WorkerStatus {
        let id = worker.id().to_string();
        self.workers.workers().await.unwrap().into_iter().find(|status| status.id == id).unwrap()
    }

    fn events(&self, operation: &str) -> Vec<Event> {
        let events = self.audit.take().into_iter();
        events
            .filter(|event| matches!(&event.what, What::Worker { operation: found, .. } if *found == operation))
            .collect()
    }

    async fn end(self) -> tempfile::TempDir {
        self.stop.send_replace(true);
        self.running.await.unwrap();
        self._folder
    }
}

/// What was written down of an identity.
#[derive(Default)]
struct Kept(Mutex<Option<Identity>>);

#[async_trait::async_trait]
impl Keep for Kept {
    async fn keep(&self, identity: &Identity) -> Result<(), Box<dyn Error + Send + Sync>> {
        *self.0.lock().unwrap() = Some(identity.clone());
        Ok(())
    }
}

/// A worker that runs.
struct Worker {
    link: Link,
    kept: Arc<Kept>,
    running: JoinHandle<()>,
    out: Arc<Mutex<Option<Out>>>,
}

impl Worker {
    fn start(identity: Identity, wanted: &[&str]) -> Self {
        Self::start_by(wall, identity, wanted)
    }

    fn start_by(clock: fn() -> Timestamp, identity: Identity, wanted: &[&str]) -> Self {
        let kept = Arc::new(Kept(Mutex::new(Some(identity.clone()))));
        let (client, link) = Client::new(Options {
            identity,
            keep: Arc::clone(&kept) as _,
            wanted: wanted.iter().map(|name| name.parse().unwrap()).collect(),
            held: Held::default(),
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

    fn identity(&self) -> Identity {
        self.kept.0.lock().unwrap().clone().unwrap()
    }

    /// Waits until what it holds is so.
    async fn holds(&self, so: impl FnMut(&Arc<Held>) -> bool) {
        let mut held = self.link.held.clone();
        let came = soon(held.wait_for(so)).await.is_ok();
        assert!(came, "the worker went: {:?}", self.out.lock().unwrap());
    }

    async fn has(&self, name: &str, revision: u64) {
        let (name, payload) = (name.parse().unwrap(), format!("{name} {revision}"));
        let so = |held: &Arc<Held>| {
            held.deliveries.get(&name).is_some_and(|delivery| delivery.payload.expose() == payload.as_bytes())
        };
        self.holds(so).await;
    }

    async fn is(&self, phase: Phase) {
        let mut state = self.link.state.clone();
        let came = soon(state.wait_for(|state| state.phase == phase)).await.is_ok();
        assert!(came, "{phase:?} wanted, and it went: {:?}", self.out.lock().unwrap());
    }

    async fn out(&self) -> String {
        self.is(Phase::Out).await;
        until(async || self.out.lock().unwrap().is_some()).await;
        self.out.lock().unwrap().as_ref().unwrap().to_string()
    }

    async fn applied(&self, name: &str, result: Result<(), String>) {
        let name: InstanceName = name.parse().unwrap();
        let stamp: Stamp = self.link.held.borrow().deliveries[&name].stamp;
        self.link.reports.send(Report { instance: name, stamp, result }).await.unwrap();
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
    worker.is(Phase::Connected).await;
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
    let text = site.metrics.text(&[], &[]).unwrap();
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
    let identity = join(&string, Key::new().unwrap()).await.unwrap();
    let worker = Worker::start(identity, &["s3-prod", "secret", "never-there"]);
    worker.has("s3-prod", 1).await;
    worker.is(Phase::Connected).await;
    let refused = worker.link.state.borrow().refused.clone();
    let about: Vec<&str> = refused.iter().map(|refusal| refusal.subject.as_str()).collect();
    assert_eq!(about, ["never-there", "secret"]);
    assert!(refused.iter().all(|refusal| refusal.code == Code::NotDelivered));
    assert!(refused[1].message.contains("deliver-to = [\"analytics\"] in [instances.secret]"), "{}", refused[1]);
    let events = site.events("subscribe");
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].code.as_deref(), Some("not-delivered"));
    assert!(matches!(&events[1].what, What::Worker { instance: Some(name), .. } if name == "secret"));
    site.publish("secret", 2);
    site.publish("s3-prod", 2);
    worker.has("s3-prod", 2).await;
    assert_eq!(worker.link.held.borrow().deliveries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_join_string_is_of_no_use_and_who_repeats_itself_is_who_it_was() {
    let site = site(How::default()).await;
    let string = site.token("analytics", 1).await;
    let key = Key::new().unwrap();
    let first = join(&string, key.clone()).await.unwrap();
    assert_eq!(join(&string, key).await.unwrap().worker, first.worker);
    let thief = join(&string, Key::new().unwrap()).await.unwrap_err();
    assert!(matches!(&thief, JoinFailed::Refused(refusal) if refusal.code == Code::BadJoin), "{thief}");
    assert!(!thief.is_transient());
    let events = site.events("join");
    assert_eq!(events.iter().map(|event| event.code.as_deref()).collect::<Vec<_>>(), [None, None, Some("bad-join")]);

    let string = site.token("analytics", 1).await;
    site.workers.revoke_token(string.token).await.unwrap();
    assert!(join(&string, Key::new().unwrap()).await.is_err());
    assert!(matches!(site.workers.revoke_token(string.token).await, Err(WorkerAskError::UnknownToken(_))));
    assert_eq!(site.workers.workers().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_of_another_authority_is_not_spoken_to() {
    let (site, other) = (site(How::default()).await, site(How::default()).await);
    let mut string = site.token("analytics", 1).await;
    string.address = other.workers.address().to_string();
    let error = join(&string, Key::new().unwrap()).await.unwrap_err();
    assert!(matches!(error, JoinFailed::Stranger(_)), "{error}");
    assert!(other.events("join").is_empty(), "the secret was not shown");

    // A worker of one is a stranger to the other.
    let string = site.token("analytics", 1).await;
    let mut identity = join(&string, Key::new().unwrap()).await.unwrap();
    identity.address = other.workers.address().to_string();
    let worker = Worker::start(identity, &[]);
    until(async || worker.link.state.borrow().failures > 0).await;
    assert!(other.events("connect").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_worker_is_cut_off_at_once_and_may_join_again() {
    let site = site(How::default()).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    site.publish("s3-prod", 1);
    let worker = site.worker("analytics").await;
    worker.has("s3-prod", 1).await;
    site.workers.shut_out(worker.id(), Standing::Removed).await.unwrap();
    site.publish("s3-prod", 2);
    assert!(worker.out().await.contains("was removed: it has to join again"));
    worker.has("s3-prod", 1).await;
    let again = Worker::start(worker.identity(), &[]);
    assert!(again.out().await.contains("was removed"));
    let string = site.token("analytics", 1).await;
    let back = Worker::start(join(&string, Key::new().unwrap()).await.unwrap(), &[]);
    back.has("s3-prod", 2).await;
    assert!(matches!(
        site.workers.shut_out(WorkerId::from_bytes([9; 8]), Standing::Removed).await,
        Err(WorkerAskError::UnknownWorker(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_key_never_comes_back() {
    let site = site(How::default()).await;
    let string = site.token("analytics", 2).await;
    let key = Key::new().unwrap();
    let worker = Worker::start(join(&string, key.clone()).await.unwrap(), &[]);
    worker.is(Phase::Connected).await;
    site.workers.shut_out(worker.id(), Standing::Banned).await.unwrap();
    assert!(worker.out().await.contains("is banned"));
    assert!(join(&string, key).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_on_the_link_and_a_copy_of_an_older_one_locks_the_worker() {
    let lives = Lives { authority: Span::secs(3600), worker: Span::secs(4) };
    let site = site(How { lives, ..How::default() }).await;
    let string = site.token("analytics", 1).await;
    let stolen = join(&string, Key::new().unwrap()).await.unwrap();
    let worker = Worker::start(stolen.clone(), &[]);
    until(async || site.status(&worker).await.renewals > 0).await;
    until(async || worker.identity().ends() > stolen.ends()).await;

    // The copy has the first key, which the coordinator knows until the second was used, and renews with it, too.
    let copy = Worker::start(stolen, &[]);
    let said = copy.out().await;
    assert!(said.contains("used twice"), "{said}");
    until(async || site.status(&worker).await.standing == Standing::Locked).await;
    let said = worker.out().await;
    assert!(
        said.contains("used twice") || said.contains("has to join again") || said.contains("another connection"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_certificate_ended_says_how_to_come_back() {
    let lives = Lives { authority: Span::secs(3600), worker: Span::secs(1) };
    let site = site(How { lives, ..How::default() }).await;
    let string = site.token("analytics", 1).await;
    let identity = join(&string, Key::new().unwrap()).await.unwrap();
    pause(1500).await;
    let worker = Worker::start(identity, &[]);
    worker.is(Phase::Out).await;
    let said = worker.link.state.borrow().error.clone().unwrap();
    assert!(said.contains("deputy token create") && said.contains("join again"), "{said}");
    // A clock that was wrong may be set right.
    assert!(worker.out.lock().unwrap().is_none());
}

/// The clock of a worker that does not know how late it is.
fn behind() -> Timestamp {
    wall().minus(Span::secs(3600))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_coordinator_s_clock_a_certificate_ends_on_a_connection_with_a_ticket_and_in_a_handshake() {
    let lives = Lives { authority: Span::secs(3600), worker: Span::secs(3) };
    let site = site(How { lives, heartbeat: Span::millis(200) }).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    let string = site.token("analytics", 1).await;
    let identity = join(&string, Key::new().unwrap()).await.unwrap();
    let worker = Worker::start_by(behind, identity.clone(), &[]);
    worker.is(Phase::Connected).await;

    // The connection ends with its certificate, and no lease comes after that.
    let ended = |state: &deputy_link::client::State| {
        state.phase == Phase::Connecting
            && state.error.as_ref().is_some_and(|error| error.contains("compare the clocks"))
    };
    soon(worker.link.state.clone().wait_for(ended)).await.unwrap();
    site.publish("s3-prod", 1);
    let left = wall();
    // Who has a ticket comes as far as to be asked who it is; who has none does not get through the handshake.
    let again = Worker::start_by(behind, identity, &[]);
    soon(again.link.state.clone().wait_for(ended)).await.unwrap();
    assert!(again.link.held.borrow().deliveries.is_empty() && worker.link.held.borrow().deliveries.is_empty());
    assert!(site.metrics.text(&[], &[]).unwrap().contains("deputy_link_faults_total 2"), "{left}");
    // Neither is out for good: it comes back when the clocks agree.
    assert!(again.out.lock().unwrap().is_none() && worker.out.lock().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_replaced_while_workers_stay() {
    // Half life is at 10 s; the next one signs at 18 s, when certificates have been renewed several times.
    let lives = Lives { authority: Span::secs(20), worker: Span::secs(4) };
    let site = site(How { lives, ..How::default() }).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    let first = site.token("analytics", 1).await;
    let worker = Worker::start(join(&first, Key::new().unwrap()).await.unwrap(), &[]);
    worker.is(Phase::Connected).await;
    let mut now = first.authority;
    for revision in 1.. {
        site.publish("s3-prod", revision);
        worker.has("s3-prod", revision).await;
        now = site.token("analytics", 1).await.authority;
        if now != first.authority || revision > 60 {
            break;
        }
        pause(500).await;
    }
    assert_ne!(now, first.authority, "another one signs");
    assert!(worker.out.lock().unwrap().is_none(), "{:?}", worker.out.lock().unwrap());
    // Who comes back meets a coordinator whose certificate is of the new one, and knows it.
    let again = Worker::start(worker.identity(), &[]);
    again.is(Phase::Connected).await;
    let new = site.worker("analytics").await;
    new.is(Phase::Connected).await;
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
    worker.is(Phase::Connecting).await;
    worker.has("s3-prod", 1).await;
    let payload = Arc::as_ptr(&worker.link.held.borrow().deliveries.values().next().unwrap().payload);

    let site = site_in(folder, address, How::default()).await;
    site.board.publish("s3-prod".parse().unwrap(), lease);
    site.deliver(&[("analytics", &["s3-prod"])]);
    worker.is(Phase::Connected).await;
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
    let binding = |settings: &[(&str, &str)], limits: &SomeLimits| Binding {
        component: digest,
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        instances: BTreeSet::from(["s3-prod".parse().unwrap()]),
        limits: limits.clone(),
    };
    let plan = |binding: Binding| {
        let mut deliveries = Deliveries::default();
        let receivers = BTreeMap::from([("aws".parse().unwrap(), Some(binding))]);
        let components = BTreeMap::from([(digest, component.clone())]);
        let instances = BTreeSet::from(["s3-prod".parse().unwrap()]);
        deliveries.groups.insert(group("analytics"), GroupDeliveries { instances, receivers, components });
        deliveries
    };
    let (none, memory) = (SomeLimits::default(), SomeLimits::new([(Limit::Memory, 32 << 20)]).unwrap());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_tls_and_no_tls_at_all_get_nowhere() {
    let site = site(How::default()).await;
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    let error = tls(&[&rustls::version::TLS12]).connect(name, connect(&site).await).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");

    let mut plain = connect(&site).await;
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "the other side closes")]
    soon(plain.read_to_end(&mut rest)).await.unwrap();
    // An alert, and the end.
    assert!(rest.len() < 16, "{rest:?}");

    // Who says nothing is let go.
    let mut silent = connect(&site).await;
    assert_eq!(soon(silent.read(&mut [0; 16])).await.unwrap_or(0), 0);
    assert!(site.metrics.text(&[], &[]).unwrap().contains("deputy_link_faults_total 3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_certificate_may_say_one_small_thing() {
    let site = site(How::default()).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    site.publish("s3-prod", 1);
    let subscribe = deputy_link::encode(&deputy_link::message::Up::from(deputy_link::message::Request::Subscribe(
        deputy_link::message::Subscribe::default(),
    )));
    let garbage = [&[0, 0, 0, 4][..], &[0xff; 4]].concat();
    let oversized = [&[0, 0, 0x20, 1][..], &[1; 8193]].concat();
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    for (sent, what) in
        [(subscribe.to_vec(), "subscribe"), (garbage, "garbage"), (oversized, "oversized"), (vec![], "silence")]
    {
        let mut stream = tls(&[&rustls::version::TLS13]).connect(name.clone(), connect(&site).await).await.unwrap();
        // It may be let go before all is sent.
        drop(stream.write_all(&sent).await);
        drop(stream.flush().await);
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = soon(stream.read(&mut buffer)).await {
            heard.extend_from_slice(&buffer[..count]);
        }
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(!heard.contains("s3-prod"), "{what}: {heard}");
        assert_eq!(heard.contains("malformed"), what == "subscribe", "{what}: {heard}");
    }
}

/// A worker that is connected, has subscribed, and does what the test has it do.
async fn bare(site: &Site) -> tokio_rustls::client::TlsStream<TcpStream> {
    let identity = join(&site.token("analytics", 1).await, Key::new().unwrap()).await.unwrap();
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    let connector = tokio_rustls::TlsConnector::from(identity.tls().unwrap());
    let mut stream = connector.connect(name, connect(site).await).await.unwrap();
    say(&mut stream, deputy_link::message::Request::Subscribe(deputy_link::message::Subscribe::default()))
        .await
        .unwrap();
    stream
}

async fn say(
    stream: &mut tokio_rustls::client::TlsStream<TcpStream>,
    request: deputy_link::message::Request,
) -> std::io::Result<()> {
    stream.write_all(&deputy_link::encode(&deputy_link::message::Up::from(request))).await?;
    stream.flush().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_never_heard_of_again_delays_nobody_and_is_let_go() {
    let site = site(How { heartbeat: Span::millis(300), ..How::default() }).await;
    site.deliver(&[("analytics", &["s3-prod"])]);
    let _stuck = bare(&site).await;
    let worker = site.worker("analytics").await;
    worker.is(Phase::Connected).await;
    until(async || site.workers.roster.connected() == 2).await;
    for revision in 1..100 {
        site.publish("s3-prod", revision);
        worker.has("s3-prod", revision).await;
    }
    until(async || site.workers.roster.connected() == 1).await;
    assert!(site.status(&worker).await.connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_reads_nothing_delays_nobody_and_is_let_go_though_it_speaks() {
    let site = site(How { heartbeat: Span::millis(300), ..How::default() }).await;
    site.deliver(&[("analytics", &["s3-prod", "large"])]);
    let mut stuck = bare(&site).await;
    let worker = site.worker("analytics").await;
    worker.is(Phase::Connected).await;
    until(async || site.workers.roster.connected() == 2).await;
    // More than two sockets' buffers hold.
    site.publish_text("large", 1, "x".repeat(12 << 20));
    let ping = || deputy_link::message::Request::Ping(deputy_link::message::Ping {});
    for revision in 1..100 {
        site.publish("s3-prod", revision);
        worker.has("s3-prod", revision).await;
        drop(say(&mut stuck, ping()).await);
    }
    assert_eq!(site.workers.roster.connected(), 2, "a write has two seconds here");
    let begun = wall();
    until(async || {
        drop(say(&mut stuck, ping()).await);
        site.workers.roster.connected() == 1
    })
    .await;
    assert!(wall().since(begun) < Span::secs(10) && site.status(&worker).await.connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_whose_connection_drops_midway_is_finished_by_who_asks_again() {
    let site = site(How::default()).await;
    let string = site.token("analytics", 1).await;
    let key = Key::new().unwrap();
    let name = ServerName::try_from("coordinator.deputy.internal").unwrap();
    for sent in [10, usize::MAX] {
        let join = deputy_link::message::Join {
            token: string.token.as_bytes().to_vec(),
            secret: string.secret.expose().to_vec(),
            request: key.request().unwrap(),
        };
        let frame = deputy_link::encode(&deputy_link::message::Up::from(deputy_link::message::Request::Join(join)));
        let mut stream = tls(&[&rustls::version::TLS13]).connect(name.clone(), connect(&site).await).await.unwrap();
        stream.write_all(&frame[..sent.min(frame.len())]).await.unwrap();
        stream.flush().await.unwrap();
        // Gone before the answer is there.
        drop(stream);
    }
    until(async || site.workers.workers().await.unwrap().len() == 1).await;
    assert!(site.workers.tokens().await.unwrap().is_empty(), "its one use is spent");
    let identity = join(&string, key).await.unwrap();
    assert_eq!(identity.worker.to_string(), site.workers.workers().await.unwrap()[0].id);
    let worker = Worker::start(identity, &[]);
    worker.is(Phase::Connected).await;
}
