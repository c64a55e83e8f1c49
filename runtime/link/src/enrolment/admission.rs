//! Renewing certificates, and admitting workers with them.

use deputy_core::{GroupName, Timestamp};

use super::{AdmissionDenied, EnrolledWorker, Enrolment, EnrolmentStatus, RenewalCount, RenewalDenied};
use crate::name::{KeyDigest, WorkerId};

/// What a worker presents to renew its certificate.
#[derive(Debug, Clone, Copy)]
pub struct RenewalRequest {
    pub worker: WorkerId,
    /// The key of its present certificate.
    pub current: KeyDigest,
    /// One more than the number of the last renewal that was answered.
    pub sequence: RenewalCount,
    /// The key to certify.
    pub key: KeyDigest,
}

/// Whether an admission changed the worker's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionChange {
    Changed,
    Unchanged,
}

impl Enrolment {
    /// Records the renewal of a worker's certificate. A second use of the worker's identity locks the worker.
    pub fn renew(&mut self, request: &RenewalRequest) -> Result<EnrolledWorker, RenewalDenied> {
        let worker = self.workers.get_mut(&request.worker).ok_or(AdmissionDenied::Unknown(request.worker))?;
        worker.check_active()?;
        let is_counted = worker.sequence != RenewalCount::UNKNOWN;
        let next = if is_counted { RenewalCount(worker.sequence.0.saturating_add(1)) } else { request.sequence };
        if request.current == worker.key && request.sequence == next {
            worker.previous = Some(worker.key);
            self.by_key.remove(&worker.key);
            self.by_key.insert(request.key, worker.id);
            worker.key = request.key;
            worker.sequence = next;
            return Ok(worker.clone());
        }
        // The answer was lost, and the worker repeats its request, maybe at another coordinator, which may have seen it use the
        // new key already. The request is signed with that key: a copy that has it as well is found out at its next renewal.
        let is_renewed = is_counted && worker.sequence > RenewalCount(0);
        if is_renewed && request.sequence == worker.sequence && request.key == worker.key {
            return Ok(worker.clone());
        }
        worker.status = EnrolmentStatus::Locked;
        self.by_key.remove(&worker.key);
        Err(RenewalDenied::Copied { worker: worker.id, asked: request.sequence, known: worker.sequence })
    }

    /// Records the end of a certificate that the worker gets.
    pub fn record_certificate(&mut self, worker: WorkerId, ends: Timestamp) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.ends_ms = worker.ends_ms.max(ends.as_millis());
        }
    }

    /// Admits a worker that connects with a certificate of this key, and returns its group. Its previous certificate is no
    /// longer valid once the newest was used: a later use of it locks the worker.
    pub fn admit(&mut self, worker: WorkerId, key: KeyDigest) -> Result<(GroupName, AdmissionChange), AdmissionDenied> {
        let worker = self.workers.get_mut(&worker).ok_or(AdmissionDenied::Unknown(worker))?;
        worker.check_active()?;
        if worker.key == key {
            let is_first_use = worker.previous.take().is_some();
            let change = if is_first_use { AdmissionChange::Changed } else { AdmissionChange::Unchanged };
            return Ok((worker.group.clone(), change));
        }
        if worker.previous == Some(key) {
            return Ok((worker.group.clone(), AdmissionChange::Unchanged));
        }
        // Another process has used a newer certificate: one of the two is a copy, and either may be.
        worker.status = EnrolmentStatus::Locked;
        self.by_key.remove(&worker.key);
        Err(AdmissionDenied::OldKey(worker.id))
    }

    /// Whether a worker would be admitted.
    pub fn check_active(&self, worker: WorkerId) -> Result<(), AdmissionDenied> {
        self.workers.get(&worker).ok_or(AdmissionDenied::Unknown(worker))?.check_active()
    }
}
