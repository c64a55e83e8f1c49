//! A book that was set back: an older copy of the state was put in place of a newer one.
//!
//! Every certificate is written down before it is handed out, with its end. So a certificate of our authority that ends
//! later than the book knows was handed out by a book that is lost, and whoever shows it is no copy of an older worker: a
//! copy has an older certificate. It is recognised by the newest certificate that is shown. How often it renewed is not
//! known then, and taken from its next renewal.

use crate::PeerCertificate;

use super::{AdmissionChange, EnrolledWorker, Enrolment, EnrolmentStatus, RenewalCount};

impl RenewalCount {
    /// Of a worker that renewed while a book was kept that is lost.
    pub(super) const UNKNOWN: Self = Self(u64::MAX);
}

impl EnrolledWorker {
    /// How often it renewed, as far as that is known.
    pub fn renewals(&self) -> Option<u64> {
        (self.sequence != RenewalCount::UNKNOWN).then_some(self.sequence.0)
    }
}

impl Enrolment {
    /// Recognises a worker by a certificate that is newer than this book; whether it did, and that is to be saved.
    pub fn recognise(&mut self, peer: &PeerCertificate) -> AdmissionChange {
        let Some(worker) = self.workers.get_mut(&peer.worker) else { return AdmissionChange::Nothing };
        let is_known = worker.key == peer.key || worker.previous == Some(peer.key);
        let is_newer = peer.ends.as_millis() > worker.ends_ms;
        if worker.standing != EnrolmentStatus::Active || is_known || !is_newer {
            return AdmissionChange::Nothing;
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
    use crate::enrolment::{AdmissionDenied, JoinRequest, JoinToken, RenewalDenied, RenewalRequest};
    use crate::join::{TokenId, TokenSecret};
    use crate::name::{KeyDigest, WorkerId};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const DAY: Span = Span::secs(86_400);
    const ID: WorkerId = WorkerId::from_bytes([7; 8]);

    fn key(byte: u8) -> KeyDigest {
        KeyDigest([byte; 32])
    }

    /// One worker with a certificate for its first key, of one day.
    fn book() -> Enrolment {
        let token = TokenId::from_bytes([1; 8]);
        let secret = || TokenSecret::new(&mut [9; 32]);
        let mut book = Enrolment::default();
        let (hash, group) = (secret().hash(), "g".parse().unwrap());
        let token_of_one: JoinToken = serde_json::from_value(serde_json::json!({
            "id": token, "hash": hash, "group": "g", "uses": 1, "expires_ms": NOW.plus(DAY).as_millis(), "pending": [],
        }))
        .unwrap();
        assert_eq!(token_of_one.group, group);
        book.add(token_of_one);
        let shown = JoinRequest { token, secret: &secret(), key: key(1) };
        book.join(NOW, &shown, ID).unwrap();
        book.certified(ID, NOW.plus(DAY));
        book
    }

    /// It renews half a day later, so many times after it joined.
    fn renew(book: &mut Enrolment, number: u8) -> PeerCertificate {
        let peer = peer(number);
        let (current, sequence) = (key(number - 1), RenewalCount(u64::from(number) - 1));
        book.renew(&RenewalRequest { worker: ID, current, sequence, key: peer.key }).unwrap();
        book.certified(ID, peer.ends);
        book.admit(ID, peer.key).unwrap();
        peer
    }

    /// What it shows after so many certificates.
    fn peer(number: u8) -> PeerCertificate {
        let begins = NOW.plus(Span::secs(43_200 * (u64::from(number) - 1)));
        PeerCertificate { worker: ID, key: key(number), begins, ends: begins.plus(DAY) }
    }

    fn kept(book: &Enrolment) -> EnrolledWorker {
        book.worker(ID).unwrap().clone()
    }

    #[test]
    fn restored_book_recognises_a_worker_that_renewed_since() {
        for renewals in [2, 3, 5] {
            let backup = book();
            let mut lost = backup.clone();
            let newest = (2..=renewals).map(|number| renew(&mut lost, number)).last().unwrap();
            let mut restored = backup;
            assert_eq!(restored.recognise(&newest), AdmissionChange::Changed);
            assert_eq!(restored.admit(ID, newest.key).unwrap().0.as_str(), "g");
            assert_eq!(restored.recognise(&newest), AdmissionChange::Nothing, "once");
            // It goes on counting as it did.
            let next = renew(&mut restored, renewals + 1);
            assert_eq!((kept(&restored).sequence, kept(&restored).key), (RenewalCount(renewals.into()), next.key));
            renew(&mut restored, renewals + 2);
        }
    }

    #[test]
    fn restored_book_still_tells_a_copy() {
        let backup = book();
        let mut lost = backup.clone();
        let (second, third) = (renew(&mut lost, 2), renew(&mut lost, 3));
        // The copy comes first, the right one after it, and then the copy again.
        let mut restored = backup.clone();
        assert_eq!(restored.recognise(&second), AdmissionChange::Changed);
        restored.admit(ID, second.key).unwrap();
        assert_eq!(restored.recognise(&third), AdmissionChange::Changed, "the newest counts");
        restored.admit(ID, third.key).unwrap();
        assert_eq!(restored.recognise(&second), AdmissionChange::Nothing);
        assert_eq!(restored.admit(ID, second.key), Err(AdmissionDenied::OldKey(ID)));
        // One from before the backup.
        let mut restored = lost.clone();
        assert_eq!(restored.recognise(&second), AdmissionChange::Nothing);
        assert!(restored.admit(ID, second.key).is_err());
        // And a renewal from a copy.
        let mut restored = backup;
        restored.recognise(&third);
        renew(&mut restored, 4);
        let again =
            restored.renew(&RenewalRequest { worker: ID, current: third.key, sequence: RenewalCount(3), key: key(9) });
        assert!(matches!(again, Err(RenewalDenied::Copied { .. })), "{again:?}");
    }

    #[test]
    fn restored_book_lets_nobody_in_that_it_shut_out() {
        for standing in [EnrolmentStatus::Banned, EnrolmentStatus::Locked, EnrolmentStatus::Removed] {
            let mut book = book();
            book.shut_out(ID, standing).unwrap();
            assert_eq!(book.recognise(&peer(2)), AdmissionChange::Nothing);
            assert!(book.admit(ID, key(2)).is_err());
        }
    }
}
