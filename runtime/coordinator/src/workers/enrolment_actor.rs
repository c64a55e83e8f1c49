//! The one owner of tokens, workers and the authority.
//!
//! Questions come in batches. Each changes the book in memory, then all that changed is written, and only then does
//! anybody hear of it. What can't be written stays to be written: who asked is told to ask again, and then finds that it
//! was done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deputy_core::time::{Clock, MonotonicTime, Now};
use deputy_core::{GroupName, SecretBytes, Span, Timestamp, in_one_line};
use deputy_link::message::Certified;
use deputy_link::server::{ServerTls, Sessions};
use deputy_link::{
    AdmissionChange, Authority, AuthorityError, AuthorityFingerprint, CertificateLifetimes, CertificateRequest,
    EnrolledWorker, Enrolment, EnrolmentStatus, ErrorCode, GroupFeeds, JoinDenied, JoinRequest, JoinToken,
    PeerCertificate, ProtocolError, RenewalCount, RenewalDenied, RenewalRequest, RotationOutcome, TokenId, TokenSecret,
    WorkerId,
};
use deputy_store::{Random, Store, StoreError, StoreKey, StoreKeyError};
use futures::stream::{self, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::WorkerRequestError;
use super::enrolment_records::{AUTHORITY, EnrolmentRecords, TOKEN, WORKER, encoded};
use super::status::TokenStatus;
use super::trusted_clock::TrustedClock;

/// What comes in.
pub(super) enum EnrolmentCommand {
    Join {
        token: TokenId,
        secret: TokenSecret,
        request: Vec<u8>,
        reply: CertificateReply,
    },
    Renew {
        peer: PeerCertificate,
        sequence: u64,
        request: Vec<u8>,
        reply: CertificateReply,
    },
    Admit {
        peer: PeerCertificate,
        reply: oneshot::Sender<Result<GroupName, ProtocolError>>,
    },
    CreateToken {
        group: GroupName,
        uses: u32,
        life: Span,
        reply: oneshot::Sender<Result<CreatedToken, WorkerRequestError>>,
    },
    Tokens(oneshot::Sender<Vec<TokenStatus>>),
    RevokeToken(TokenId, oneshot::Sender<Result<(), WorkerRequestError>>),
    Workers(oneshot::Sender<Vec<EnrolledWorker>>),
    ShutOut(WorkerId, EnrolmentStatus, oneshot::Sender<Result<(), WorkerRequestError>>),
}

/// Called with the answer to who wants a certificate, when that is written.
pub(super) type CertificateReply = Box<dyn FnOnce(Result<Certified, Rejection>) + Send>;

/// A token that was made.
pub(super) type CreatedToken = (TokenId, TokenSecret, AuthorityFingerprint, Timestamp);

/// A no: what the worker is told, and what the audit log.
pub(super) struct Rejection {
    pub(super) refusal: ProtocolError,
    pub(super) why: String,
}

/// The book can't be read.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A key's name.
    #[error(transparent)]
    Key(#[from] StoreKeyError),
}

/// Its task.
pub(super) struct EnrolmentActor {
    enrolment: Enrolment,
    authority: Authority,
    records: EnrolmentRecords,
    dirty: BTreeSet<StoreKey>,
    random: Random,
    clock: Arc<TrustedClock>,
    lives: CertificateLifetimes,
    served_at: Timestamp,
    /// Since when the authority has something to do.
    due_since: Option<MonotonicTime>,
    tidied_at: MonotonicTime,
    asked: mpsc::Receiver<EnrolmentCommand>,
    serving: Option<Serving>,
}

/// Who hears of what changes here.
struct Serving {
    tls: Arc<ServerTls>,
    hub: Arc<GroupFeeds>,
    roster: Arc<Sessions>,
}

/// Said when all is written, or with the reason why not.
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Questions in a batch, and writes at once.
const BATCH: usize = 64;
const WRITES: usize = 16;

/// The clock is looked at so often: timers do not count the time that a machine sleeps.
const LOOK: Duration = Duration::from_secs(5);

/// How long the clock has to say so before an authority is made or dropped; less for one of a short life.
const SURE: Span = Span::secs(3600);

/// And at what is kept, as often as this.
const TIDY: Span = Span::secs(60);

impl EnrolmentActor {
    /// Reads what is kept. An authority is founded and written if there is none.
    pub(super) async fn open(
        store: Arc<dyn Store>,
        lives: CertificateLifetimes,
        random: Random,
        clock: Arc<TrustedClock>,
        asked: mpsc::Receiver<EnrolmentCommand>,
    ) -> Result<Self, EnrolmentError> {
        let records = EnrolmentRecords::new(store);
        let mut enrolment =
            Enrolment::restored(records.all::<JoinToken>(TOKEN).await?, records.all::<EnrolledWorker>(WORKER).await?);
        let (key, Now { mono: tidied_at, wall: now }) = (authority_key()?, clock.now());
        let authority = match records.read(&key).await? {
            Some(bytes) => Authority::restored(bytes.expose(), lives)?,
            None => {
                let authority = Authority::generate(now, lives)?;
                records.write(&key, Some(&authority.encode()?)).await?;
                tracing::info!("worker certificate authority created");
                authority
            }
        };
        let dirty = enrolment.recover().into_iter().filter_map(worker_key).collect();
        Ok(Self {
            enrolment,
            authority,
            records,
            dirty,
            random,
            clock,
            lives,
            served_at: now,
            due_since: None,
            tidied_at,
            asked,
            serving: None,
        })
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) fn serving(mut self, tls: Arc<ServerTls>, hub: Arc<GroupFeeds>, roster: Arc<Sessions>) -> Self {
        hub.set_authorities(trusted(&self.authority));
        self.serving = Some(Serving { tls, hub, roster });
        self
    }

    /// Until nobody can ask any more.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let look = LOOK.min(self.lives.worker.duration() / 8);
        loop {
            tokio::select! {
                count = self.asked.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = pause(look) => {}
            }
            self.clock.check();
            let answers: Vec<Answer> = batch.drain(..).filter_map(|ask| self.take(ask)).collect();
            self.turn().await;
            let written = self.write().await;
            answers.into_iter().for_each(|answer| answer(written.clone()));
        }
    }

    /// Lets go of tokens and workers whose time is long over.
    fn tidy(&mut self, now: Now) {
        for token in self.enrolment.prune_tokens(now) {
            self.dirty.extend(token_key(token));
        }
        for worker in self.enrolment.prune_workers(now) {
            tracing::info!(worker = %worker.id, "worker forgotten: its last certificate expired long ago");
            self.dirty.extend(worker_key(worker.id));
            // What is written of its token may still say that it joined.
            if self.enrolment.token(worker.token).is_some() {
                self.dirty.extend(token_key(worker.token));
            }
            if let Some(serving) = &self.serving {
                serving.roster.forget(worker.id);
            }
        }
    }

    /// Certificates that are due.
    async fn turn(&mut self) {
        let now = self.clock.now();
        // All of the book is looked through: not with each of ten thousand workers that come at once.
        if now.mono.since(self.tidied_at) >= TIDY {
            self.tidied_at = now.mono;
            self.tidy(now);
        }
        let mut turned = RotationOutcome::Unchanged;
        if self.authority_is_due(now) {
            match self.turn_authority(now.wall).await {
                Ok(next) => turned = next,
                Err(error) => {
                    tracing::error!(error = %in_one_line(&error), "rotating the certificate authority failed")
                }
            }
        }
        let half = Span::millis(self.lives.worker.as_millis() / 2);
        if turned == RotationOutcome::Changed || now.wall >= self.served_at.plus(half) {
            self.serve(now.wall, turned);
        }
    }

    /// The next step of the authority. Nobody trusts, and nothing is signed by, what is not written.
    async fn turn_authority(&mut self, now: Timestamp) -> Result<RotationOutcome, EnrolmentError> {
        let mut next = Authority::restored(self.authority.encode()?.expose(), self.lives)?;
        let turned = next.rotate(now)?;
        if turned == RotationOutcome::Changed {
            self.records.write(&authority_key()?, Some(&next.encode()?)).await?;
            self.authority = next;
            tracing::info!("worker certificate authority rotated");
        }
        Ok(turned)
    }

    /// Gives the server another certificate, and tells workers whom to trust.
    fn serve(&mut self, now: Timestamp, turned: RotationOutcome) {
        let Some(serving) = &self.serving else { return };
        match serving.tls.renew(now, &self.authority) {
            Ok(()) => self.served_at = now,
            Err(error) => {
                tracing::error!(error = %in_one_line(&error), "renewing the coordinator's certificate failed");
            }
        }
        if turned == RotationOutcome::Changed {
            serving.hub.set_authorities(trusted(&self.authority));
        }
    }

    /// Whether the authority has had something to do for long enough. What it does can't be undone: who trusts it would
    /// have to join again.
    fn authority_is_due(&mut self, now: Now) -> bool {
        if !self.authority.is_rotation_due(now.wall) {
            self.due_since = None;
            return false;
        }
        let since = *self.due_since.get_or_insert(now.mono);
        let sure = SURE.min(Span::millis(self.lives.authority.as_millis() / 1000));
        now.mono.since(since) >= sure
    }

    /// Writes what changed; what fails stays to be written. Tokens come first, since they hold the joins that they paid
    /// for: a worker is written when its token is.
    async fn write(&mut self) -> Result<(), String> {
        let tokens = self.dirty.iter().filter(|key| *key.namespace() == TOKEN).cloned().collect();
        let tokens = self.write_these(tokens).await;
        let rest = self.dirty.iter().filter(|key| *key.namespace() != TOKEN && !self.waits_for_token(key));
        let rest = rest.cloned().collect();
        self.write_these(rest).await.and(tokens)
    }

    fn waits_for_token(&self, key: &StoreKey) -> bool {
        let token = worker_of(key).and_then(|worker| self.enrolment.worker(worker)).map(|worker| worker.token);
        token.and_then(token_key).is_some_and(|token| self.dirty.contains(&token))
    }

    async fn write_these(&mut self, keys: Vec<StoreKey>) -> Result<(), String> {
        let values: Vec<(StoreKey, Result<Option<SecretBytes>, String>)> =
            keys.into_iter().map(|key| (key.clone(), self.value(&key))).collect();
        let records = &self.records;
        let writing = stream::iter(values).map(|(key, value)| async move {
            let value = match value {
                Ok(value) => value,
                Err(error) => return (key, Err(error)),
            };
            let written = records.write(&key, value.as_ref()).await;
            (key, written.map_err(|error| in_one_line(&error)))
        });
        let written: Vec<_> = writing.buffer_unordered(WRITES).collect().await;
        let mut failed = Vec::new();
        for (key, written) in written {
            match written {
                Ok(()) => {
                    if let Some(worker) = worker_of(&key) {
                        self.enrolment.record_saved(worker);
                    }
                    self.dirty.remove(&key);
                }
                Err(error) => failed.push((key, error)),
            }
        }
        let records = failed.len();
        let Some((key, error)) = failed.into_iter().next() else { return Ok(()) };
        tracing::error!(records, first = %key, %error, "records of workers and tokens cannot be written");
        Err(error)
    }

    /// What is to be kept under a key now; nothing if it is to go.
    fn value(&self, key: &StoreKey) -> Result<Option<SecretBytes>, String> {
        let value = if *key.namespace() == TOKEN {
            key.name().parse().ok().and_then(|id| self.enrolment.token(id)).map(encoded).transpose()
        } else if *key.namespace() == WORKER {
            key.name().parse().ok().and_then(|id| self.enrolment.worker(id)).map(encoded).transpose()
        } else {
            return Err(format!("{key} is not a record of a worker or a token"));
        };
        value.map_err(|error| error.to_string())
    }

    /// Takes a question in; what is to be answered when all is written.
    fn take(&mut self, ask: EnrolmentCommand) -> Option<Answer> {
        match ask {
            EnrolmentCommand::Join { token, secret, request, reply } => {
                let answer = self.join(token, &secret, &request);
                Some(Box::new(move |written| reply(told(answer, written))))
            }
            EnrolmentCommand::Renew { peer, sequence, request, reply } => {
                let answer = self.renew(peer, sequence, &request);
                Some(Box::new(move |written| reply(told(answer, written))))
            }
            EnrolmentCommand::Admit { peer, reply } => {
                self.recognise(&peer);
                let admitted = self.enrolment.admit(peer.worker, peer.key);
                let admitted = admitted.map(|(group, noted)| {
                    // Not worth waiting for: if it is forgotten, the older key is good a little longer.
                    if noted == AdmissionChange::Changed {
                        self.dirty.extend(worker_key(peer.worker));
                    }
                    group
                });
                let admitted = admitted.map_err(|error| ProtocolError::new(code(&error), error));
                if let Err(refusal) = &admitted
                    && refusal.code == ErrorCode::OldKey
                {
                    // It is one of two now: whoever else is here by this identity goes, too.
                    tracing::error!(worker = %peer.worker, "{refusal}");
                    self.dirty.extend(worker_key(peer.worker));
                    self.cut(peer.worker, refusal.clone());
                }
                drop(reply.send(admitted));
                None
            }
            EnrolmentCommand::CreateToken { group, uses, life, reply } => {
                let created = self.create(group, uses, life);
                Some(Box::new(move |written| drop(reply.send(written.map_err(WorkerRequestError::Save).and(created)))))
            }
            EnrolmentCommand::Tokens(reply) => {
                let now = self.clock.now().wall;
                drop(reply.send(self.enrolment.tokens(now).map(|token| TokenStatus::new(token, now)).collect()));
                None
            }
            EnrolmentCommand::RevokeToken(token, reply) => {
                let there = self.enrolment.revoke_token(token);
                self.dirty.extend(token_key(token));
                let answer = if there { Ok(()) } else { Err(WorkerRequestError::UnknownToken(token)) };
                Some(Box::new(move |written| drop(reply.send(answer.and(written.map_err(WorkerRequestError::Save))))))
            }
            EnrolmentCommand::Workers(reply) => {
                drop(reply.send(self.enrolment.workers().cloned().collect()));
                None
            }
            EnrolmentCommand::ShutOut(worker, standing, reply) => {
                let answer = match self.enrolment.set_status(worker, standing) {
                    Ok(_) => {
                        self.dirty.extend(worker_key(worker));
                        // At once: it has to go before it is written that it has.
                        if let Err(refused) = self.enrolment.check_active(worker) {
                            self.cut(worker, ProtocolError::new(code(&refused), refused));
                        }
                        Ok(())
                    }
                    Err(_) => Err(WorkerRequestError::UnknownWorker(worker)),
                };
                Some(Box::new(move |written| drop(reply.send(answer.and(written.map_err(WorkerRequestError::Save))))))
            }
        }
    }

    fn cut(&self, worker: WorkerId, refusal: ProtocolError) {
        if let Some(serving) = &self.serving {
            serving.roster.disconnect(worker, refusal);
        }
    }

    fn join(&mut self, token: TokenId, secret: &TokenSecret, request: &[u8]) -> Result<Certified, Rejection> {
        let now = self.clock.now().wall;
        self.check_clock()?;
        let request = CertificateRequest::new(request).map_err(malformed)?;
        let fresh = WorkerId::from_bytes(self.random_bytes().map_err(internal)?);
        let shown = JoinRequest { token, secret, key: request.key() };
        let before = self.enrolment.active_with(request.key());
        let worker = self.enrolment.join(now, &shown, fresh).map_err(cannot_join)?;
        self.dirty.extend(token_key(token));
        self.dirty.extend(before.into_iter().chain([worker.id]).flat_map(worker_key));
        self.certify(now, &worker, &request)
    }

    /// The book may be an older copy of the one in which this worker was last written.
    fn recognise(&mut self, peer: &PeerCertificate) {
        if self.enrolment.recognise(peer) == AdmissionChange::Changed {
            tracing::warn!(
                worker = %peer.worker,
                "a worker has a newer certificate than its record: the state was put back from an older copy, and the \
                 worker is recognised by the certificate"
            );
            self.dirty.extend(worker_key(peer.worker));
        }
    }

    fn renew(&mut self, peer: PeerCertificate, sequence: u64, request: &[u8]) -> Result<Certified, Rejection> {
        self.check_clock()?;
        self.recognise(&peer);
        let request = CertificateRequest::new(request).map_err(malformed)?;
        let renewal = RenewalRequest {
            worker: peer.worker,
            current: peer.key,
            sequence: RenewalCount(sequence),
            key: request.key(),
        };
        match self.enrolment.renew(&renewal) {
            Ok(worker) => {
                self.dirty.extend(worker_key(peer.worker));
                self.certify(self.clock.wall(), &worker, &request)
            }
            Err(refused) => {
                let code = match &refused {
                    RenewalDenied::Refused(refused) => code(refused),
                    RenewalDenied::Copied { .. } => ErrorCode::Locked,
                };
                let refusal = ProtocolError::new(code, refused);
                if matches!(refused, RenewalDenied::Copied { .. }) {
                    // Whoever else is here by this identity goes, too.
                    tracing::error!(worker = %peer.worker, "{refused}");
                    self.dirty.extend(worker_key(peer.worker));
                    self.cut(peer.worker, refusal.clone());
                }
                Err(Rejection { refusal, why: refused.to_string() })
            }
        }
    }

    /// A certificate of a time that nobody can be sure of would be good for another time than it should be.
    fn check_clock(&self) -> Result<(), Rejection> {
        if self.clock.is_steady() {
            return Ok(());
        }
        let refusal = ProtocolError::new(
            ErrorCode::Clock,
            "the coordinator's clock jumped: it issues no certificate before it is steady",
        );
        Err(Rejection { why: refusal.to_string(), refusal })
    }

    fn certify(
        &mut self,
        now: Timestamp,
        worker: &EnrolledWorker,
        request: &CertificateRequest,
    ) -> Result<Certified, Rejection> {
        let certificate = self.authority.certify(now, worker.id, request);
        let certificate = certificate.map_err(|error| internal(in_one_line(&error)))?;
        let peer = PeerCertificate::parse(&certificate).ok_or_else(|| internal("the certificate can't be read"))?;
        self.enrolment.record_certificate(worker.id, peer.ends);
        Ok(Certified {
            certificate: certificate.to_vec(),
            worker: worker.id.to_string(),
            group: worker.group.to_string(),
            sequence: worker.sequence.0,
            authorities: trusted(&self.authority),
        })
    }

    fn create(&mut self, group: GroupName, uses: u32, life: Span) -> Result<CreatedToken, WorkerRequestError> {
        let id = TokenId::from_bytes(self.random_bytes().map_err(WorkerRequestError::Save)?);
        let mut bytes = self.random_bytes::<32>().map_err(WorkerRequestError::Save)?;
        let secret = TokenSecret::new(&mut bytes);
        let expires = self.clock.now().wall.plus(life);
        self.enrolment.add_token(JoinToken {
            id,
            hash: secret.hash(),
            group,
            uses,
            expires_ms: expires.as_millis(),
            pending: Vec::new(),
        });
        self.dirty.extend(token_key(id));
        Ok((id, secret, self.authority.fingerprint(), expires))
    }

    fn random_bytes<const N: usize>(&self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(|_| "the system has no random numbers".to_owned())?;
        Ok(bytes)
    }
}

fn told(answer: Result<Certified, Rejection>, written: Result<(), String>) -> Result<Certified, Rejection> {
    match written {
        Ok(()) => answer,
        Err(error) => answer.and_then(|_| Err(internal(error))),
    }
}

fn internal(why: impl std::fmt::Display) -> Rejection {
    let refusal = ProtocolError::new(ErrorCode::Internal, "the coordinator can't write it down now: try again");
    Rejection { refusal, why: why.to_string() }
}

fn cannot_join(why: JoinDenied) -> Rejection {
    match why {
        JoinDenied::Pending(_) => internal(why),
        why => Rejection {
            refusal: ProtocolError::new(ErrorCode::BadJoin, JoinDenied::PUBLIC_MESSAGE),
            why: why.to_string(),
        },
    }
}

fn malformed(error: AuthorityError) -> Rejection {
    Rejection { refusal: ProtocolError::new(ErrorCode::Malformed, &error), why: in_one_line(&error) }
}

fn code(refused: &deputy_link::AdmissionDenied) -> ErrorCode {
    use deputy_link::AdmissionDenied as Refused;
    match refused {
        Refused::Banned(_) => ErrorCode::Banned,
        Refused::Locked(_) => ErrorCode::Locked,
        Refused::OldKey(_) => ErrorCode::OldKey,
        Refused::Removed(_) => ErrorCode::Removed,
        Refused::Unknown(_) => ErrorCode::Unknown,
    }
}

fn authority_key() -> Result<StoreKey, StoreKeyError> {
    StoreKey::new(&AUTHORITY, "workers")
}

fn worker_key(worker: WorkerId) -> Option<StoreKey> {
    StoreKey::new(&WORKER, &worker.to_string()).ok()
}

fn token_key(token: TokenId) -> Option<StoreKey> {
    StoreKey::new(&TOKEN, &token.to_string()).ok()
}

fn worker_of(key: &StoreKey) -> Option<WorkerId> {
    if *key.namespace() == WORKER { key.name().parse().ok() } else { None }
}

fn trusted(authority: &Authority) -> Vec<Vec<u8>> {
    authority.trusted().iter().map(|certificate| certificate.to_vec()).collect()
}

#[expect(clippy::disallowed_methods, reason = "nothing tells that a certificate's time has come")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
