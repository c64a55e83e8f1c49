use proptest::prelude::*;

use super::*;

/// What follows the length of a frame.
fn body(frame: &[u8]) -> &[u8] {
    let (length, body) = frame.split_first_chunk().unwrap();
    assert_eq!(usize::try_from(u32::from_be_bytes(*length)).unwrap(), body.len());
    body
}

#[test]
fn wire_setup_survives_the_round_trip() {
    for (source, configuration) in [
        (TicketSource::Keytab("/etc/alice.keytab".into()), Configuration::Text("[libdefaults]".to_owned())),
        (TicketSource::Cache("KCM:1000".to_owned()), Configuration::File("/etc/krb5.conf".into())),
    ] {
        let setup = LoginSetup { principal: "alice@R".to_owned(), source, configuration, is_local: true };
        assert_eq!(LoginSetup::decode(body(&setup.encode())), Some(setup));
    }
}

#[test]
fn wire_requests_survive_the_round_trip() {
    for request in [
        LoginRequest::LogIn,
        LoginRequest::Begin { context: 7, target: "hdfs/localhost@R".to_owned() },
        LoginRequest::Step { context: u64::MAX, token: vec![1, 2, 3] },
        LoginRequest::Wrap { context: 7, confidential: true, message: Vec::new() },
        LoginRequest::Unwrap { context: 7, token: vec![0; 300] },
        LoginRequest::Close { context: 7 },
    ] {
        assert_eq!(LoginRequest::decode(body(&request.encode(300))), Some((300, request)));
    }
}

#[test]
fn wire_responses_survive_the_round_trip() {
    for response in [
        LoginResponse::LoggedIn(Ticket { life: Span::secs(36_000), clock_offset_seconds: -600 }),
        LoginResponse::Stepped(Stepped { token: vec![1], established: true }),
        LoginResponse::Wrapped(vec![2]),
        LoginResponse::Unwrapped(Unwrapped { message: vec![3], sealed: false }),
        LoginResponse::Failed(Fault::new(FaultCause::Locked, "revoked")),
    ] {
        assert_eq!(LoginResponse::decode(body(&response.encode(300))), Some((300, response)));
    }
}

#[test]
fn wire_frame_cut_off_or_prolonged_is_rejected() {
    let frame = LoginRequest::Unwrap { context: 7, token: vec![0; 3] }.encode(1);
    let whole = body(&frame);
    for length in 0..whole.len() {
        assert_eq!(LoginRequest::decode(&whole[..length]), None, "{length}");
    }
    assert_eq!(LoginRequest::decode(&[whole, &[0]].concat()), None);
}

proptest! {
    #[test]
    fn wire_accepts_any_bytes(bytes: Vec<u8>) {
        drop((LoginSetup::decode(&bytes), LoginRequest::decode(&bytes), LoginResponse::decode(&bytes)));
    }
}
