use super::*;
use crate::certificate::PeerCertificate;
use crate::identity::WorkerKey;

const DAY: u64 = 86_400_000;
const LIVES: CertificateLifetimes =
    CertificateLifetimes { authority: Span::millis(180 * DAY), worker: Span::millis(DAY) };

fn day(day: u64) -> Timestamp {
    // Certificates have no dates before 1970, and skew goes back a little.
    Timestamp::from_millis((20_000 + day) * DAY)
}

/// An authority of a clock that was steady.
fn authority() -> Authority {
    let mut authority = Authority::generate(day(0), LIVES).unwrap();
    authority.confirm();
    authority
}

fn request() -> CertificateRequest {
    CertificateRequest::new(&WorkerKey::new().unwrap().request().unwrap()).unwrap()
}

#[test]
fn authority_certificate_names_worker_key_and_validity() {
    let request = request();
    let worker = WorkerId::from_bytes(*b"worker-1");
    let peer = PeerCertificate::parse(&authority().certify(day(1), worker, &request).unwrap()).unwrap();
    assert_eq!((peer.worker, peer.key), (worker, request.key()));
    assert_eq!((peer.begins, peer.ends), (day(1).minus(Span::secs(300)), day(2)));
}

#[test]
fn authority_outlives_the_certificates_that_it_signs() {
    let certificate = authority().certify(
        Timestamp::from_millis(day(180).as_millis() - DAY / 2),
        WorkerId::from_bytes([1; 8]),
        &request(),
    );
    assert_eq!(PeerCertificate::parse(&certificate.unwrap()).unwrap().ends, day(180));
}

#[test]
fn authority_rotates_at_half_life_and_at_five_sixths() {
    let mut authority = authority();
    let first = authority.fingerprint();
    assert_eq!(authority.next_rotation(), day(90));
    assert_eq!(authority.rotate(day(89)).unwrap(), RotationOutcome::Unchanged);
    assert_eq!(authority.rotate(day(90)).unwrap(), RotationOutcome::Changed);
    assert_eq!((authority.trusted().len(), authority.fingerprint() == first), (2, true), "published, but not signing");
    assert_eq!(authority.next_rotation(), day(150));
    assert_eq!(authority.rotate(day(149)).unwrap(), RotationOutcome::Unchanged);
    assert_eq!(authority.rotate(day(150)).unwrap(), RotationOutcome::Changed);
    assert_ne!(authority.fingerprint(), first);
    assert_eq!(authority.trusted().len(), 2, "the first one is still trusted");
    let first = authority.trusted()[0].clone();
    let second = authority.trusted()[1].clone();
    assert_eq!(authority.next_rotation(), day(180));
    assert_eq!(authority.rotate(day(180)).unwrap(), RotationOutcome::Changed);
    let trusted = authority.trusted();
    assert!(!trusted.contains(&first) && trusted[0] == second, "the first one has expired");
    assert_eq!(trusted.len(), 2, "the second one is at half life");
}

#[test]
fn authority_rotates_late_after_a_pause_past_half_life() {
    let mut authority = authority();
    let first = authority.fingerprint();
    authority.rotate(day(160)).unwrap();
    assert_eq!(authority.fingerprint(), first);
    assert_eq!(authority.next_rotation(), day(162), "two lifetimes of a certificate later");
    authority.rotate(day(162)).unwrap();
    assert_ne!(authority.fingerprint(), first);
}

#[test]
fn authority_is_replaced_after_a_pause_past_its_end() {
    let mut authority = authority();
    let first = authority.fingerprint();
    authority.rotate(day(500)).unwrap();
    assert_ne!(authority.fingerprint(), first);
    assert_eq!(authority.trusted().len(), 1);
    assert!(authority.next_rotation() > day(500));
}

/// The authority as it is after a restart.
fn restarted(authority: &Authority) -> Authority {
    Authority::restored(authority.encode().unwrap().expose(), LIVES).unwrap()
}

#[test]
fn authority_of_a_wrong_clock_is_redated_and_keeps_its_key() {
    for right in [1000, 9000] {
        let authority = Authority::generate(day(5000), LIVES).unwrap();
        let first = authority.fingerprint();
        let name = crate::certificate::common_name(&authority.trusted()[0]);
        let mut authority = restarted(&authority);
        assert!(authority.is_provisional() && authority.is_rotation_due(day(right)));
        assert_eq!(authority.rotate(day(right)).unwrap(), RotationOutcome::Changed);
        assert_eq!(authority.fingerprint(), first, "join strings stay valid");
        assert_eq!(crate::certificate::common_name(&authority.trusted()[0]), name);
        assert_eq!(authority.next_rotation(), day(right + 90));
        let certificate = authority.certify(day(right), WorkerId::from_bytes([1; 8]), &request()).unwrap();
        assert_eq!(PeerCertificate::parse(&certificate).unwrap().ends, day(right + 1));
        assert!(!authority.is_rotation_due(day(right)));
        authority.confirm();
        assert!(!restarted(&authority).is_provisional());
    }
}

#[test]
fn authority_returns_to_its_first_dates_when_they_were_right() {
    let mut authority = authority();
    let first = authority.trusted();
    let wrong = Timestamp::from_millis(day(0).as_millis() - 700 * DAY);
    assert_eq!(authority.rotate(wrong).unwrap(), RotationOutcome::Changed);
    assert_ne!(authority.trusted(), first);
    let mut authority = restarted(&authority);
    assert_eq!(authority.rotate(day(1)).unwrap(), RotationOutcome::Changed);
    assert_eq!(authority.trusted(), first);
    assert!(!authority.is_rotation_due(day(1)));
}

#[test]
fn authority_survives_encoding() {
    let mut authority = authority();
    authority.rotate(day(90)).unwrap();
    let again = Authority::restored(authority.encode().unwrap().expose(), LIVES).unwrap();
    assert_eq!((again.fingerprint(), again.trusted()), (authority.fingerprint(), authority.trusted()));
    again.certify(day(91), WorkerId::from_bytes([1; 8]), &request()).unwrap();
    assert_eq!(fingerprint(&again.trusted()[0]), Some(again.fingerprint()));
}

#[test]
fn authority_refuses_garbage_and_later_formats() {
    let error = |bytes: &[u8]| Authority::restored(bytes, LIVES).err().unwrap();
    assert!(matches!(error(b"{}"), AuthorityError::Record(_)));
    let text = String::from_utf8(authority().encode().unwrap().expose().to_vec()).unwrap();
    let later = text.replacen("\"format\":1", "\"format\":2", 1);
    assert!(deputy_core::in_one_line(&error(later.as_bytes())).contains("format 2"));
}

#[test]
fn certificate_request_needs_the_signature_of_its_key() {
    let mut request = WorkerKey::new().unwrap().request().unwrap();
    CertificateRequest::new(&request).unwrap();
    let last = request.len() - 1;
    request[last] ^= 1;
    assert!(matches!(CertificateRequest::new(&request), Err(AuthorityError::Request(_))));
    assert!(matches!(CertificateRequest::new(b"garbage"), Err(AuthorityError::Request(_))));
}
