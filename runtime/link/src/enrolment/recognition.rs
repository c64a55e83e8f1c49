//! Recognises workers after the state was restored from a backup.
//!
//! A certificate and its end are saved before the worker gets it. A certificate that ends later than the record says was
//! therefore issued under a state that is lost. The worker that shows it is no copy of an older identity, since a copy has
//! an older certificate. The newest certificate that a worker shows identifies it. How often it renewed is then unknown,
//! and is taken from its next renewal.

use super::{AdmissionChange, Enrolment, EnrolmentStatus, RenewalCount};
use crate::PeerCertificate;

impl Enrolment {
    /// Takes over a certificate that is newer than the worker's record.
    pub fn recognise(&mut self, peer: &PeerCertificate) -> AdmissionChange {
        let Some(worker) = self.workers.get_mut(&peer.worker) else { return AdmissionChange::Unchanged };
        let is_known = worker.key == peer.key || worker.previous == Some(peer.key);
        let is_newer = peer.ends.as_millis() > worker.ends_ms;
        if worker.status != EnrolmentStatus::Active || is_known || !is_newer {
            return AdmissionChange::Unchanged;
        }
        self.by_key.remove(&worker.key);
        self.by_key.insert(peer.key, peer.worker);
        worker.key = peer.key;
        worker.previous = None;
        worker.sequence = RenewalCount::UNKNOWN;
        worker.ends_ms = peer.ends.as_millis();
        AdmissionChange::Changed
    }
}

#[cfg(test)]
mod tests {
    use deputy_core::{Span, Timestamp};

    use super::*;
    use crate::enrolment::{AdmissionDenied, EnrolledWorker, JoinRequest, JoinToken, RenewalDenied, RenewalRequest};
    use crate::join::{TokenId, TokenSecret};
    use crate::name::{KeyDigest, WorkerId};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const DAY: Span = Span::secs(86_400);
    const ID: WorkerId = WorkerId::from_bytes([7; 8]);

    fn key(byte: u8) -> KeyDigest {
        KeyDigest([byte; 32])
    }

    /// One worker with a certificate of one day for its first key.
    fn enrolment() -> Enrolment {
        let token = TokenId::from_bytes([1; 8]);
        let secret = || TokenSecret::new(&mut [9; 32]);
        let mut enrolment = Enrolment::default();
        let hash = secret().hash();
        let group = "g".parse().unwrap();
        let token_of_one: JoinToken = serde_json::from_value(serde_json::json!({
            "id": token, "hash": hash, "group": "g", "uses": 1, "created_ms": 0, "expires_ms": NOW.plus(DAY).as_millis(), "pending": [],
        }))
        .unwrap();
        assert_eq!(token_of_one.group, group);
        enrolment.add_token(token_of_one);
        let shown = JoinRequest { token, secret: &secret(), key: key(1) };
        enrolment.join(NOW, &shown, ID).unwrap();
        enrolment.record_certificate(ID, NOW.plus(DAY));
        enrolment
    }

    /// Renews a worker's certificate for its key `number`, half a day after the one before.
    fn renew(enrolment: &mut Enrolment, number: u8) -> PeerCertificate {
        let peer = peer(number);
        let current = key(number - 1);
        let sequence = RenewalCount(u64::from(number) - 1);
        enrolment.renew(&RenewalRequest { worker: ID, current, sequence, key: peer.key }).unwrap();
        enrolment.record_certificate(ID, peer.ends);
        enrolment.admit(ID, peer.key).unwrap();
        peer
    }

    /// The worker's certificate for its key `number`.
    fn peer(number: u8) -> PeerCertificate {
        let begins = NOW.plus(Span::secs(43_200 * (u64::from(number) - 1)));
        PeerCertificate { worker: ID, key: key(number), begins, ends: begins.plus(DAY) }
    }

    fn worker(enrolment: &Enrolment) -> EnrolledWorker {
        enrolment.worker(ID).unwrap().clone()
    }

    #[test]
    fn enrolment_recognises_renewed_workers_after_a_restore() {
        for renewals in [2, 3, 5] {
            let backup = enrolment();
            let mut lost = backup.clone();
            let newest = (2..=renewals).map(|number| renew(&mut lost, number)).last().unwrap();
            let mut restored = backup;
            assert_eq!(restored.recognise(&newest), AdmissionChange::Changed);
            assert_eq!(restored.admit(ID, newest.key).unwrap().0.as_str(), "g");
            assert_eq!(restored.recognise(&newest), AdmissionChange::Unchanged, "only once");
            // It continues to count.
            let next = renew(&mut restored, renewals + 1);
            assert_eq!((worker(&restored).sequence, worker(&restored).key), (RenewalCount(renewals.into()), next.key));
            renew(&mut restored, renewals + 2);
        }
    }

    #[test]
    fn enrolment_detects_copies_after_a_restore() {
        let backup = enrolment();
        let mut lost = backup.clone();
        let second = renew(&mut lost, 2);
        let third = renew(&mut lost, 3);
        // The copy connects first, then the worker, then the copy again.
        let mut restored = backup.clone();
        assert_eq!(restored.recognise(&second), AdmissionChange::Changed);
        restored.admit(ID, second.key).unwrap();
        assert_eq!(restored.recognise(&third), AdmissionChange::Changed, "the newest counts");
        restored.admit(ID, third.key).unwrap();
        assert_eq!(restored.recognise(&second), AdmissionChange::Unchanged);
        assert_eq!(restored.admit(ID, second.key), Err(AdmissionDenied::OldKey(ID)));
        // A certificate from before the backup.
        let mut restored = lost.clone();
        assert_eq!(restored.recognise(&second), AdmissionChange::Unchanged);
        assert!(restored.admit(ID, second.key).is_err());
        // A renewal by a copy.
        let mut restored = backup;
        restored.recognise(&third);
        renew(&mut restored, 4);
        let again =
            restored.renew(&RenewalRequest { worker: ID, current: third.key, sequence: RenewalCount(3), key: key(9) });
        assert!(matches!(again, Err(RenewalDenied::Copied { .. })), "{again:?}");
    }

    #[test]
    fn enrolment_recognises_only_active_workers() {
        for status in [EnrolmentStatus::Banned, EnrolmentStatus::Locked, EnrolmentStatus::Removed] {
            let mut enrolment = enrolment();
            enrolment.exclude_at_least(ID, status).unwrap();
            assert_eq!(enrolment.recognise(&peer(2)), AdmissionChange::Unchanged);
            assert!(enrolment.admit(ID, key(2)).is_err());
        }
    }
}
