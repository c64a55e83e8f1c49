//! Carries out commands in memory. The reply to one that changes something waits for the write.

use std::collections::BTreeSet;

use deputy_core::time::Clock;
use deputy_core::{GroupName, Span, Timestamp, in_one_line};
use deputy_link::message::Certified;
use deputy_link::{
    AdmissionChange, CertificateRequest, EnrolledWorker, EnrolmentStatus, ErrorCode, JoinRequest, JoinToken,
    PeerCertificate, ProtocolError, RenewalCount, RenewalDenied, RenewalRequest, TokenId, TokenSecret, WorkerId,
};
use deputy_store::StoreKey;

use super::command::CreatedToken;
use super::persist::{token_key, worker_key};
use super::rejection::admission_code;
use super::{EnrolmentActor, EnrolmentCommand, EnrolmentRejection, PendingReply, WriteOutcome, trusted_certificates};
use crate::workers::WorkerRequestError;
use crate::workers::status::TokenStatus;

/// Workers of one answer, so that a list of many workers delays no join for long.
const WORKERS_AT_ONCE: usize = 256;

impl EnrolmentActor {
    /// `unread` are the records that must be fresh and could not be read.
    pub(super) fn run_command(
        &mut self,
        command: EnrolmentCommand,
        unread: &BTreeSet<StoreKey>,
    ) -> Option<PendingReply> {
        match command {
            EnrolmentCommand::Join { token, secret, request, reply } => {
                let mut keys = Vec::from_iter(token_key(token));
                let joined = match keys.iter().any(|key| unread.contains(key)) {
                    false => self.join(token, &secret, &request, &mut keys),
                    true => Err(EnrolmentRejection::internal(UNREAD)),
                };
                pending(keys, move |written| match written {
                    WriteOutcome::Conflict => Some(EnrolmentCommand::Join { token, secret, request, reply }),
                    written => {
                        reply.send(once_written(joined, written));
                        None
                    }
                })
            }
            EnrolmentCommand::Renew { peer, sequence, request, reply } => {
                let key = worker_key(peer.worker);
                let renewed = match is_unread(key.as_ref(), unread) {
                    false => self.renew(peer, sequence, &request),
                    true => Err(EnrolmentRejection::internal(UNREAD)),
                };
                pending(key, move |written| match written {
                    WriteOutcome::Conflict => Some(EnrolmentCommand::Renew { peer, sequence, request, reply }),
                    written => {
                        reply.send(once_written(renewed, written));
                        None
                    }
                })
            }
            EnrolmentCommand::Admit { peer, reply } => {
                let admitted = match is_unread(worker_key(peer.worker).as_ref(), unread) {
                    false => self.admit(&peer),
                    true => Err(EnrolmentRejection::internal(UNREAD).refusal),
                };
                reply.send(admitted).ok();
                None
            }
            EnrolmentCommand::CreateToken { group, uses, ttl, reply } => {
                let created = self.create_token(group, uses, ttl);
                let undone = created.as_ref().ok().map(|created| created.id);
                let answer = move |written| {
                    reply.send(saved(written).map_err(WorkerRequestError::Unchanged).and(created)).ok();
                    None
                };
                let keys = undone.and_then(token_key).into_iter().collect();
                Some(PendingReply { keys, undone, reply: Box::new(answer) })
            }
            EnrolmentCommand::Tokens(reply) => {
                let now = self.clock.now().wall;
                reply.send(self.enrolment.tokens(now).map(|token| TokenStatus::new(token, now)).collect()).ok();
                None
            }
            EnrolmentCommand::RevokeToken(token, reply) => {
                let key = token_key(token);
                let revoked = match is_unread(key.as_ref(), unread) {
                    false => self.revoke_token(token),
                    true => Err(WorkerRequestError::Unchanged(UNREAD.to_owned())),
                };
                pending(key, move |written| match written {
                    WriteOutcome::Conflict => Some(EnrolmentCommand::RevokeToken(token, reply)),
                    written => {
                        reply.send(revoked.and(saved(written).map_err(WorkerRequestError::Unsaved))).ok();
                        None
                    }
                })
            }
            EnrolmentCommand::WorkersAfter(after, reply) => {
                reply.send(self.enrolment.workers_after(after).take(WORKERS_AT_ONCE).cloned().collect()).ok();
                None
            }
            EnrolmentCommand::Exclude(worker, status, reply) => {
                let key = worker_key(worker);
                // Even on an old record: it is compared with the store when it is written.
                let excluded = match self.exclude(worker, status) {
                    Err(WorkerRequestError::UnknownWorker(_)) if is_unread(key.as_ref(), unread) => {
                        Err(WorkerRequestError::Unchanged(UNREAD.to_owned()))
                    }
                    excluded => excluded,
                };
                pending(key, move |written| match written {
                    WriteOutcome::Conflict => Some(EnrolmentCommand::Exclude(worker, status, reply)),
                    written => {
                        reply.send(excluded.and(saved(written).map_err(WorkerRequestError::Unsaved))).ok();
                        None
                    }
                })
            }
        }
    }

    /// Adds to `keys` the records that the join changes beside that of its token.
    fn join(
        &mut self,
        token: TokenId,
        secret: &TokenSecret,
        request: &[u8],
        keys: &mut Vec<StoreKey>,
    ) -> Result<Certified, EnrolmentRejection> {
        let now = self.clock.now().wall;
        self.require_steady_clock()?;
        let request = CertificateRequest::new(request).map_err(EnrolmentRejection::malformed_request)?;
        let new_id = WorkerId::from_bytes(self.random_bytes().map_err(EnrolmentRejection::internal)?);
        let join = JoinRequest { token, secret, key: request.key() };
        let replaced = self.enrolment.active_with(request.key());
        let worker = self.enrolment.join(now, &join, new_id).map_err(EnrolmentRejection::join_denied)?;
        keys.extend(replaced.into_iter().chain([worker.id]).filter_map(worker_key));
        self.dirty.extend(keys.iter().cloned());
        self.certify(now, &worker, &request)
    }

    fn renew(&mut self, peer: PeerCertificate, sequence: u64, request: &[u8]) -> Result<Certified, EnrolmentRejection> {
        self.require_steady_clock()?;
        self.recognise(&peer);
        let request = CertificateRequest::new(request).map_err(EnrolmentRejection::malformed_request)?;
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
            Err(denied) => Err(self.deny_renewal(peer.worker, denied)),
        }
    }

    fn deny_renewal(&mut self, worker: WorkerId, denied: RenewalDenied) -> EnrolmentRejection {
        let code = match &denied {
            RenewalDenied::Refused(denied) => admission_code(denied),
            RenewalDenied::Copied { .. } => ErrorCode::Locked,
        };
        let rejection = EnrolmentRejection { reason: denied.to_string(), refusal: ProtocolError::new(code, denied) };
        if matches!(denied, RenewalDenied::Copied { .. }) {
            self.lock_worker(worker, rejection.refusal.clone());
        }
        rejection
    }

    fn admit(&mut self, peer: &PeerCertificate) -> Result<GroupName, ProtocolError> {
        self.recognise(peer);
        match self.enrolment.admit(peer.worker, peer.key) {
            Ok((group, change)) => {
                // The reply does not wait for the write: without it the older key is valid a little longer.
                if change == AdmissionChange::Changed {
                    self.dirty.extend(worker_key(peer.worker));
                }
                Ok(group)
            }
            Err(denied) => {
                let refusal = ProtocolError::new(admission_code(&denied), denied);
                if refusal.code == ErrorCode::OldKey {
                    self.lock_worker(peer.worker, refusal.clone());
                }
                Err(refusal)
            }
        }
    }

    /// An identity that was used twice is locked: the other user of it is disconnected, too.
    fn lock_worker(&mut self, worker: WorkerId, reason: ProtocolError) {
        tracing::error!(%worker, "worker locked: {reason}");
        self.dirty.extend(worker_key(worker));
        self.disconnect(worker, reason);
    }

    /// Accepts a certificate that is newer than the worker's record, as after a restore of older state.
    fn recognise(&mut self, peer: &PeerCertificate) {
        if self.enrolment.recognise(peer) == AdmissionChange::Changed {
            tracing::warn!(
                worker = %peer.worker,
                "worker record is older than the worker's certificate (state restored from a backup?); the certificate \
                 is accepted"
            );
            self.dirty.extend(worker_key(peer.worker));
        }
    }

    fn exclude(&mut self, worker: WorkerId, status: EnrolmentStatus) -> Result<(), WorkerRequestError> {
        self.enrolment.exclude_at_least(worker, status).map_err(|_| WorkerRequestError::UnknownWorker(worker))?;
        self.dirty.extend(worker_key(worker));
        // Before the write: the worker must not stay connected because a disk is full.
        self.disconnect_excluded(worker);
        Ok(())
    }

    fn create_token(&mut self, group: GroupName, uses: u32, ttl: Span) -> Result<CreatedToken, WorkerRequestError> {
        let id = TokenId::from_bytes(self.random_bytes().map_err(WorkerRequestError::Unchanged)?);
        let mut bytes = self.random_bytes::<32>().map_err(WorkerRequestError::Unchanged)?;
        let secret = TokenSecret::new(&mut bytes);
        let now = self.clock.now().wall;
        let expires = now.plus(ttl);
        self.enrolment.add_token(JoinToken {
            id,
            hash: secret.hash(),
            group,
            uses,
            created_ms: now.as_millis(),
            expires_ms: expires.as_millis(),
            redated_ms: None,
            pending: Vec::new(),
        });
        self.dirty.extend(token_key(id));
        Ok(CreatedToken { id, secret, authority: self.authority.fingerprint(), expires })
    }

    pub(super) fn revoke_token(&mut self, token: TokenId) -> Result<(), WorkerRequestError> {
        let existed = self.enrolment.revoke_token(token);
        self.dirty.extend(token_key(token));
        if existed { Ok(()) } else { Err(WorkerRequestError::UnknownToken(token)) }
    }

    /// A certificate that is issued at a wrong time would be valid at the wrong time.
    fn require_steady_clock(&self) -> Result<(), EnrolmentRejection> {
        if self.clock.is_steady() {
            return Ok(());
        }
        Err(EnrolmentRejection::of(ProtocolError::new(
            ErrorCode::Clock,
            "the coordinator's clock jumped: it issues no certificate before it is steady",
        )))
    }

    fn certify(
        &mut self,
        now: Timestamp,
        worker: &EnrolledWorker,
        request: &CertificateRequest,
    ) -> Result<Certified, EnrolmentRejection> {
        let certificate = self
            .authority
            .certify(now, worker.id, request)
            .map_err(|error| EnrolmentRejection::internal(in_one_line(&error)))?;
        let peer = PeerCertificate::parse(&certificate);
        let peer = peer.ok_or_else(|| EnrolmentRejection::internal("the issued certificate cannot be read"))?;
        self.enrolment.record_certificate(worker.id, peer.ends);
        Ok(Certified {
            certificate: certificate.to_vec(),
            worker: worker.id.to_string(),
            group: worker.group.to_string(),
            sequence: worker.sequence.0,
            authorities: trusted_certificates(&self.authority),
        })
    }

    fn random_bytes<const N: usize>(&self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(|_| "the system has no random numbers".to_owned())?;
        Ok(bytes)
    }
}

const UNREAD: &str = "the state cannot be read now";

fn is_unread(key: Option<&StoreKey>, unread: &BTreeSet<StoreKey>) -> bool {
    key.is_some_and(|key| unread.contains(key))
}

fn pending(
    keys: impl IntoIterator<Item = StoreKey>,
    reply: impl FnOnce(WriteOutcome) -> Option<EnrolmentCommand> + Send + 'static,
) -> Option<PendingReply> {
    Some(PendingReply { keys: keys.into_iter().collect(), undone: None, reply: Box::new(reply) })
}

fn saved(written: WriteOutcome) -> Result<(), String> {
    match written {
        WriteOutcome::Written => Ok(()),
        WriteOutcome::Conflict => Err("another coordinator changed it".to_owned()),
        WriteOutcome::Failed(error) => Err(error),
    }
}

fn once_written(
    certified: Result<Certified, EnrolmentRejection>,
    written: WriteOutcome,
) -> Result<Certified, EnrolmentRejection> {
    let error = match written {
        WriteOutcome::Written => return certified,
        WriteOutcome::Conflict => "another coordinator changed the record".to_owned(),
        WriteOutcome::Failed(error) => error,
    };
    certified.and_then(|_| Err(EnrolmentRejection::internal(error)))
}
