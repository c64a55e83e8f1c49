//! Enrolment and authority of the benchmark's coordinator, in memory. Several coordinators share both, as replicas do.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use deputy_core::{Digest, GroupName, InstanceName, Span, Timestamp};
use deputy_link::message::Certified;
use deputy_link::server::LinkHandler;
use deputy_link::{
    Authority, CertificateLifetimes, CertificateRequest, EnrolledWorker, Enrolment, ErrorCode, JoinRequest, JoinString,
    JoinToken, PeerCertificate, ProtocolError, TokenId, TokenSecret, WorkerId,
};
use deputy_support::SystemClock;

use crate::Result;

/// All workers are of this group.
pub(crate) const GROUP: &str = "bench";

/// How long certificates are valid.
pub(crate) const LIVES: CertificateLifetimes =
    CertificateLifetimes { authority: Span::secs(180 * 86_400), worker: Span::secs(86_400) };

/// Answers the link's server.
pub(crate) struct MemoryEnrolment {
    enrolment: Mutex<Enrolment>,
    authority: Authority,
    next: AtomicU64,
    faults: AtomicU64,
}

impl MemoryEnrolment {
    /// Of the server with this number, with the authority of an earlier one.
    pub(crate) fn new(number: u16, authority: Option<&[u8]>) -> Result<Self> {
        let authority = match authority {
            Some(bytes) => Authority::restored(bytes, LIVES)?,
            None => Authority::generate(now(), LIVES)?,
        };
        let enrolment = Mutex::new(Enrolment::restored([], []));
        // No two servers give the same id.
        let first = (u64::from(number) << 32) + 1;
        Ok(Self { enrolment, authority, next: AtomicU64::new(first), faults: AtomicU64::new(0) })
    }

    /// The records of the workers that joined.
    pub(crate) fn enrolled(&self) -> Vec<EnrolledWorker> {
        self.enrolment().workers().cloned().collect()
    }

    /// Takes over records of workers that joined elsewhere.
    pub(crate) fn enrol(&self, workers: Vec<EnrolledWorker>) {
        let mut enrolment = self.enrolment();
        for worker in workers {
            enrolment.reload_worker(worker.id, Some(worker));
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A token for any number of workers.
    pub(crate) fn token(&self, address: String) -> Result<JoinString> {
        let (id, secret) = (TokenId::from_bytes(*b"the-only"), TokenSecret::new(&mut [7; 32]));
        let now = now();
        self.enrolment().add_token(JoinToken {
            id,
            hash: secret.hash(),
            group: GROUP.parse()?,
            uses: u32::MAX,
            created_ms: now.as_millis(),
            expires_ms: now.plus(Span::secs(86_400)).as_millis(),
            redated_ms: None,
            pending: Vec::new(),
        });
        Ok(JoinString { token: id, secret, authority: self.authority.fingerprint(), addresses: address.parse()? })
    }

    fn enrolment(&self) -> MutexGuard<'_, Enrolment> {
        self.enrolment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LinkHandler for MemoryEnrolment {
    async fn join(
        &self,
        _: SocketAddr,
        token: TokenId,
        secret: TokenSecret,
        request: Vec<u8>,
    ) -> Result<Certified, ProtocolError> {
        let request =
            CertificateRequest::new(&request).map_err(|error| ProtocolError::new(ErrorCode::Malformed, error))?;
        let fresh = WorkerId::from_bytes(self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let shown = JoinRequest { token, secret: &secret, key: request.key() };
        let joined = {
            let mut enrolment = self.enrolment();
            let joined = enrolment.join(now(), &shown, fresh);
            // Memory has what a coordinator would have to save.
            enrolment.record_saved(fresh);
            joined
        };
        let worker = joined.map_err(|error| ProtocolError::new(ErrorCode::BadJoin, error))?;
        let certificate = self.authority.certify(now(), worker.id, &request);
        let certificate = certificate.map_err(|error| ProtocolError::new(ErrorCode::Internal, error))?;
        Ok(Certified {
            certificate: certificate.to_vec(),
            worker: worker.id.to_string(),
            group: worker.group.to_string(),
            sequence: 0,
            authorities: self.authority.trusted().iter().map(|der| der.to_vec()).collect(),
        })
    }

    async fn renew(&self, _: SocketAddr, _: PeerCertificate, _: u64, _: Vec<u8>) -> Result<Certified, ProtocolError> {
        Err(ProtocolError::new(ErrorCode::Internal, "no run lasts half a day"))
    }

    async fn admit(&self, _: SocketAddr, peer: PeerCertificate) -> Result<GroupName, ProtocolError> {
        let admitted = self.enrolment().admit(peer.worker, peer.key);
        admitted.map(|(group, _)| group).map_err(|error| ProtocolError::new(ErrorCode::Removed, error))
    }

    async fn subscribed(
        &self,
        _: SocketAddr,
        _: WorkerId,
        _: &GroupName,
        _: Option<Vec<InstanceName>>,
    ) -> Vec<ProtocolError> {
        Vec::new()
    }

    fn component(&self, _: SocketAddr, _: WorkerId, _: &GroupName, digest: Digest) -> Result<Bytes, ProtocolError> {
        Err(ProtocolError::about(ErrorCode::Component, digest, "there are none"))
    }

    fn suspicious(&self, from: SocketAddr, what: &str) {
        // One of ten thousand says as much as all of them.
        if self.faults.fetch_add(1, Ordering::Relaxed) < 5 {
            eprintln!("the server on {from}: {what}");
        }
    }
}

/// The time of day.
pub(crate) fn now() -> Timestamp {
    SystemClock::wall()
}
