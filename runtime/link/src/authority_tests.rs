use super::*;
use crate::certificate::{PeerCertificate, fingerprint};
use crate::identity::WorkerKey;

const DAY: u64 = 86_400_000;
const LIVES: CertificateLifetimes =
    CertificateLifetimes { authority: Span::millis(180 * DAY), worker: Span::millis(DAY) };

fn day(day: u64) -> Timestamp {
    // Certificates have no dates before 1970, and skew goes back a little.
    Timestamp::from_millis((20_000 + day) * DAY)
}

fn founded() -> Authority {
    Authority::found(day(0), LIVES).unwrap()
}

fn requested() -> CertificateRequest {
    CertificateRequest::new(&WorkerKey::new().unwrap().request().unwrap()).unwrap()
}

#[test]
fn a_certificate_names_the_worker_its_key_and_its_life() {
    let request = requested();
    let worker = WorkerId::from_bytes(*b"worker-1");
    let peer = PeerCertificate::of(&founded().certify(day(1), worker, &request).unwrap()).unwrap();
    assert_eq!((peer.worker, peer.key), (worker, request.key()));
    assert_eq!((peer.begins, peer.ends), (day(1).minus(Span::secs(300)), day(2)));
}

#[test]
fn no_certificate_outlives_its_authority() {
    let certificate = founded().certify(
        Timestamp::from_millis(day(180).as_millis() - DAY / 2),
        WorkerId::from_bytes([1; 8]),
        &requested(),
    );
    assert_eq!(PeerCertificate::of(&certificate.unwrap()).unwrap().ends, day(180));
}

#[test]
fn the_next_authority_is_published_at_half_life_and_signs_when_a_sixth_is_left() {
    let mut authority = founded();
    let first = authority.fingerprint();
    assert_eq!(authority.turns_at(), day(90));
    assert_eq!(authority.rotate(day(89)).unwrap(), RotationOutcome::Nothing);
    assert_eq!(authority.rotate(day(90)).unwrap(), RotationOutcome::Changed);
    assert_eq!(
        (authority.trusted().len(), authority.fingerprint() == first),
        (2, true),
        "published, and does not sign"
    );
    assert_eq!(authority.turns_at(), day(150));
    assert_eq!(authority.rotate(day(149)).unwrap(), RotationOutcome::Nothing);
    assert_eq!(authority.rotate(day(150)).unwrap(), RotationOutcome::Changed);
    assert_ne!(authority.fingerprint(), first);
    assert_eq!(authority.trusted().len(), 2, "whom the first certified is still known");
    let (first, second) = (authority.trusted()[0].clone(), authority.trusted()[1].clone());
    assert_eq!(authority.turns_at(), day(180));
    assert_eq!(authority.rotate(day(180)).unwrap(), RotationOutcome::Changed);
    let trusted = authority.trusted();
    assert!(!trusted.contains(&first) && trusted[0] == second, "the first has ended");
    assert_eq!(trusted.len(), 2, "and it is half life of the second");
}

#[test]
fn who_slept_through_half_life_gives_workers_time_to_learn_before_the_next_signs() {
    let mut authority = founded();
    let first = authority.fingerprint();
    authority.rotate(day(160)).unwrap();
    assert_eq!(authority.fingerprint(), first);
    assert_eq!(authority.turns_at(), day(162), "two lives of a certificate later");
    authority.rotate(day(162)).unwrap();
    assert_ne!(authority.fingerprint(), first);
}

#[test]
fn who_slept_through_the_whole_life_begins_anew() {
    let mut authority = founded();
    let first = authority.fingerprint();
    authority.rotate(day(500)).unwrap();
    assert_ne!(authority.fingerprint(), first);
    assert_eq!(authority.trusted().len(), 1);
    assert!(authority.turns_at() > day(500));
}

#[test]
fn an_authority_survives_being_kept() {
    let mut authority = founded();
    authority.rotate(day(90)).unwrap();
    let again = Authority::restored(authority.encode().unwrap().expose(), LIVES).unwrap();
    assert_eq!((again.fingerprint(), again.trusted()), (authority.fingerprint(), authority.trusted()));
    again.certify(day(91), WorkerId::from_bytes([1; 8]), &requested()).unwrap();
    assert_eq!(fingerprint(&again.trusted()[0]), Some(again.fingerprint()));
}

#[test]
fn what_is_no_authority_or_of_a_later_version_is_not_used() {
    let error = |bytes: &[u8]| Authority::restored(bytes, LIVES).err().unwrap();
    assert!(matches!(error(b"{}"), AuthorityError::Kept(_)));
    let text = String::from_utf8(founded().encode().unwrap().expose().to_vec()).unwrap();
    let later = text.replacen("\"format\":1", "\"format\":2", 1);
    assert!(deputy_core::in_one_line(&error(later.as_bytes())).contains("format 2"));
}

#[test]
fn a_request_that_its_key_did_not_sign_is_refused() {
    let mut request = WorkerKey::new().unwrap().request().unwrap();
    CertificateRequest::new(&request).unwrap();
    let last = request.len() - 1;
    request[last] ^= 1;
    assert!(matches!(CertificateRequest::new(&request), Err(AuthorityError::Request(_))));
    assert!(matches!(CertificateRequest::new(b"garbage"), Err(AuthorityError::Request(_))));
}
