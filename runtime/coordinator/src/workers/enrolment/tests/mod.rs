//! Two coordinators on one state, command by command: what a thief, or an operator in a hurry, makes of the moments in
//! between.

mod conflicts;
mod faults;
mod joins;

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::SystemRandom;
use deputy_core::Span;
use deputy_core::time::Now;
use deputy_link::message::Certified;
use deputy_link::{EnrolmentStatus, ErrorCode, PeerCertificate, TokenId, TokenSecret, WorkerKey};
use deputy_store::{DirectoryStore, MasterKey};
use deputy_support::SystemClock;
use deputy_test_stores::LayeredStore;
use tokio::sync::{oneshot, watch};

use super::command::CreatedToken;
use super::persist::token_key;
use super::*;
use crate::testing::{FaultyStore, RecordFault, test_lock};
use crate::workers::WorkerRequestError;
use deputy_test_support::CapturedLog;

/// A clock that the test moves on.
#[derive(Default)]
struct ShiftedClock {
    clock: SystemClock,
    ahead_ms: AtomicU64,
}

impl Clock for ShiftedClock {
    fn now(&self) -> Now {
        let Now { mono, wall } = self.clock.now();
        let ahead = Span::millis(self.ahead_ms.load(Ordering::Relaxed));
        Now { mono: mono.plus(ahead), wall: wall.plus(ahead) }
    }
}

/// One coordinator on a state that several use.
struct Site {
    actor: EnrolmentActor,
    store: Arc<LayeredStore<FaultyStore>>,
    clock: Arc<ShiftedClock>,
    commands: mpsc::Sender<EnrolmentCommand>,
}

/// Two coordinators on one state. The first one leads.
struct Pair {
    one: Site,
    other: Site,
    _folder: tempfile::TempDir,
}

/// A worker as its own machine knows it.
struct JoinedWorker {
    id: WorkerId,
    peer: PeerCertificate,
}

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "a test's own chance")]
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::parse(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        let random: Random = Arc::new(SystemRandom::new());
        let store = DirectoryStore::open(&folder.path().join("state"), key, Arc::clone(&random)).await.unwrap();
        let store = Arc::new(store);
        let lock = test_lock(&*store).await;
        let one = Site::open(Arc::clone(&store), Some(lock), Arc::clone(&random)).await;
        let other = Site::open(store, None, random).await;
        Self { one, other, _folder: folder }
    }
}

impl Site {
    async fn open(store: Arc<DirectoryStore>, lock: Option<Arc<StoreLock>>, random: Random) -> Self {
        let store = Arc::new(FaultyStore::new(store));
        let clock = Arc::new(ShiftedClock::default());
        let (commands, receiver) = mpsc::channel(64);
        let options = EnrolmentOptions {
            store: Arc::clone(&store) as Arc<dyn Store>,
            leading: watch::channel(lock.clone()).1,
            lock,
            is_shared: true,
            lifetimes: CertificateLifetimes { authority: Span::secs(864_000), worker: Span::secs(4) },
            random,
            clock: Arc::new(TrustedClock::new(Arc::clone(&clock) as _)),
            commands: receiver,
        };
        Self { actor: EnrolmentActor::open(options).await.unwrap(), store, clock, commands }
    }

    /// Carries out commands as one batch, as the loop does.
    async fn run(&mut self, mut batch: Vec<EnrolmentCommand>) {
        let mut retried = 0;
        while !batch.is_empty() {
            batch = self.actor.run_batch(batch, retried).await;
            retried += 1;
        }
    }

    async fn ask<T>(&mut self, command: impl FnOnce(oneshot::Sender<T>) -> EnrolmentCommand) -> T {
        let (reply, mut answer) = oneshot::channel();
        self.run(vec![command(reply)]).await;
        answer.try_recv().unwrap()
    }

    async fn token(&mut self, uses: u32) -> CreatedToken {
        let group = "analytics".parse().unwrap();
        let ttl = Span::secs(600);
        self.ask(|reply| EnrolmentCommand::CreateToken { group, uses, ttl, reply }).await.ok().unwrap()
    }

    /// Joins. An error is the code of the refusal.
    async fn join(&mut self, token: &CreatedToken, key: &WorkerKey) -> Result<JoinedWorker, ErrorCode> {
        self.ask(|reply| join_command(token, key, reply)).await
    }

    async fn renew(
        &mut self,
        peer: PeerCertificate,
        sequence: u64,
        key: &WorkerKey,
    ) -> Result<JoinedWorker, ErrorCode> {
        let request = key.request().unwrap();
        let reply = |reply| EnrolmentCommand::Renew { peer, sequence, request, reply: certificate_reply(reply) };
        self.ask(reply).await
    }

    async fn admit(&mut self, peer: PeerCertificate) -> Result<(), ErrorCode> {
        let admitted = self.ask(|reply| EnrolmentCommand::Admit { peer, reply }).await;
        admitted.map(|_| ()).map_err(|refusal| refusal.code)
    }

    async fn exclude(&mut self, worker: WorkerId, status: EnrolmentStatus) -> Result<(), WorkerRequestError> {
        self.ask(|reply| EnrolmentCommand::Exclude(worker, status, reply)).await
    }

    /// What it decides before it writes.
    fn decide(&mut self, command: EnrolmentCommand) {
        self.actor.run_command(command, &BTreeSet::new());
    }

    /// Time passes, so that a state that did not answer is asked again.
    fn wait(&self) {
        self.clock.ahead_ms.fetch_add(5000, Ordering::Relaxed);
    }

    fn status(&self, worker: WorkerId) -> Option<EnrolmentStatus> {
        self.actor.enrolment.worker(worker).map(|worker| worker.status)
    }

    /// The record of a worker in the state.
    async fn stored(&self, worker: WorkerId) -> Option<EnrolledWorker> {
        let found = self.store.store.get(&worker_key(worker).unwrap()).await.unwrap()?;
        Some(serde_json::from_slice(found.value.expose()).unwrap())
    }

    /// The uses that a token has left in the state.
    async fn stored_uses(&self, token: TokenId) -> u32 {
        let found = self.store.store.get(&token_key(token).unwrap()).await.unwrap().unwrap();
        serde_json::from_slice::<JoinToken>(found.value.expose()).unwrap().uses
    }
}

fn join_command(
    token: &CreatedToken,
    key: &WorkerKey,
    reply: oneshot::Sender<Result<JoinedWorker, ErrorCode>>,
) -> EnrolmentCommand {
    EnrolmentCommand::Join {
        token: token.id,
        secret: TokenSecret::new(&mut token.secret.expose().clone()),
        request: key.request().unwrap(),
        reply: certificate_reply(reply),
    }
}

fn certificate_reply(reply: oneshot::Sender<Result<JoinedWorker, ErrorCode>>) -> CertificateReply {
    CertificateReply::new(reply, |result| {
        result.map(|certified| JoinedWorker::new(&certified)).map_err(|rejection| rejection.refusal.code)
    })
}

impl JoinedWorker {
    fn new(certified: &Certified) -> Self {
        let peer = PeerCertificate::parse(&certified.certificate.as_slice().into()).unwrap();
        Self { id: peer.worker, peer }
    }
}

fn new_key() -> WorkerKey {
    WorkerKey::new().unwrap()
}

/// A command whose answer is of no interest.
fn exclude_command(worker: WorkerId, status: EnrolmentStatus) -> EnrolmentCommand {
    EnrolmentCommand::Exclude(worker, status, oneshot::channel().0)
}
