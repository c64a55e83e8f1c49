//! The vectors of RFC 7677, exchanges that a program of its own computed, and hostile servers.

use super::*;
use aws_lc_rs::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

const ACCEPTED: std::ops::RangeInclusive<u32> = 4096..=1_000_000;

struct AwsLc;

impl Primitives for AwsLc {
    fn derive(&self, mechanism: Mechanism, password: &[u8], salt: &[u8], iterations: u32) -> ScramKey {
        let algorithm = match mechanism {
            Mechanism::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Mechanism::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut key = ScramKey::new(vec![0; mechanism.size()]);
        pbkdf2::derive(algorithm, NonZeroU32::new(iterations).unwrap(), salt, password, &mut key);
        key
    }

    fn hmac(&self, mechanism: Mechanism, key: &[u8], data: &[u8]) -> ScramKey {
        let algorithm = match mechanism {
            Mechanism::Sha256 => hmac::HMAC_SHA256,
            Mechanism::Sha512 => hmac::HMAC_SHA512,
        };
        ScramKey::new(hmac::sign(&hmac::Key::new(algorithm, key), data).as_ref().to_vec())
    }

    fn hash(&self, mechanism: Mechanism, data: &[u8]) -> ScramKey {
        let algorithm = match mechanism {
            Mechanism::Sha256 => &digest::SHA256,
            Mechanism::Sha512 => &digest::SHA512,
        };
        ScramKey::new(digest::digest(algorithm, data).as_ref().to_vec())
    }
}

/// RFC 7677, section 3.
fn rfc_7677() -> ClientFirst {
    ClientFirst::with_nonce(Mechanism::Sha256, "user", "rOprNGfwEbeRWgbNEkqO".to_owned(), "").unwrap()
}

const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

#[test]
fn scram_sha_256_matches_rfc_7677() {
    let first = rfc_7677();
    assert_eq!(first.message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let answer = first.read_answer(SERVER_FIRST, ACCEPTED).unwrap().answer(&AwsLc, b"pencil");
    assert_eq!(
        answer.message(),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    assert_eq!(answer.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
}

/// RFC 5802's exchange with SHA-1 has the same messages; there is no published vector for SHA-512. Python's `hashlib` and
/// `hmac` made this one of the same exchange.
#[test]
fn scram_sha_512_matches_another_implementation() {
    let first = ClientFirst::with_nonce(Mechanism::Sha512, "user", "rOprNGfwEbeRWgbNEkqO".to_owned(), "").unwrap();
    let answer = first.read_answer(SERVER_FIRST, ACCEPTED).unwrap().answer(&AwsLc, b"pencil");
    assert_eq!(answer.message().rsplit_once(",p=").unwrap().1, include_str!("../vectors/sha-512-proof").trim_end());
    assert_eq!(answer.verify(include_str!("../vectors/sha-512-server-final").trim_end()), Ok(()));
}

#[test]
fn scram_token_of_kafka_is_an_extension_that_is_signed() {
    let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
    let token = ClientFirst::with_nonce(Mechanism::Sha256, "user", nonce, ",tokenauth=true").unwrap();
    assert_eq!(token.message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO,tokenauth=true");
    let proof = |first: ClientFirst| first.read_answer(SERVER_FIRST, ACCEPTED).unwrap().answer(&AwsLc, b"pencil");
    assert_ne!(proof(token).message(), proof(rfc_7677()).message());
    let first = ClientFirst::with_kafka_token(Mechanism::Sha512, "id", &[0; 24]).unwrap();
    assert_eq!(first.message(), format!("n,,n=id,r={},tokenauth=true", "A".repeat(32)));
}

#[test]
fn scram_name_is_escaped_or_refused() {
    let first = ClientFirst::new(Mechanism::Sha256, "a=b,c", &[0; 18]).unwrap();
    assert!(first.message().starts_with("n,,n=a=3Db=2Cc,r="), "{first:?}");
    for name in ["", "a\0b", "a\nb", &"u".repeat(256)] {
        assert_eq!(ClientFirst::new(Mechanism::Sha256, name, &[0; 18]), Err(ScramError::Username), "{name:?}");
    }
}

#[test]
fn scram_nonce_of_the_server_must_extend_the_clients() {
    let read = |nonce: &str| rfc_7677().read_answer(&format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), ACCEPTED);
    for nonce in
        ["rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkq", "", "xOprNGfwEbeRWgbNEkqOmore", "ROprNGfwEbeRWgbNEkqOx"]
    {
        assert_eq!(read(nonce), Err(ScramError::Nonce), "{nonce}");
    }
    assert!(read("rOprNGfwEbeRWgbNEkqOx").is_ok());
    assert!(matches!(read("rOprNGfwEbeRWgbNEkqO\u{7}"), Err(ScramError::Challenge(_))));
    assert!(matches!(read("rOprNGfwEbeRWgbNEkqOé"), Err(ScramError::Challenge(_))));
}

#[test]
fn scram_iterations_are_bounded() {
    let read = |count: &str| rfc_7677().read_answer(&SERVER_FIRST.replace("4096", count), ACCEPTED);
    for (count, seen) in [("1", 1), ("4095", 4095), ("1000001", 1_000_001), ("10000000", 10_000_000)] {
        assert_eq!(read(count), Err(ScramError::Iterations(seen, 4096, 1_000_000)));
    }
    assert_eq!(read(&"9".repeat(50)), Err(ScramError::Iterations(u32::MAX, 4096, 1_000_000)));
    for count in ["", "0", "04096", "+4096", "-1", "4096 ", "4096.0", "0x1000"] {
        assert!(matches!(read(count), Err(ScramError::Challenge(_))), "{count:?}");
    }
    assert_eq!(read("1000000").unwrap().iterations(), 1_000_000);
}

#[test]
fn scram_answer_that_is_malformed_is_refused() {
    let long = format!("{SERVER_FIRST},x={}", "y".repeat(MAX_MESSAGE));
    let salt = SERVER_FIRST.replace("W22ZaJ0SNY7soEsUEjb6gQ==", &"A".repeat(1024));
    for answer in [
        "",
        ",,,",
        "r=",
        "e=other-error",
        "s=W22ZaJ0SNY7soEsUEjb6gQ==,r=x,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==",
        "r=rOprNGfwEbeRWgbNEkqOx,i=4096,s=W22ZaJ0SNY7soEsUEjb6gQ==",
        "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=*,i=4096",
        "m=must,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        &salt,
        &long,
    ] {
        let error = rfc_7677().read_answer(answer, ACCEPTED).unwrap_err();
        assert!(matches!(error, ScramError::Challenge(_)), "{answer} {error:?}");
    }
    // RFC 5802: unknown extensions at the end are ignored.
    assert!(rfc_7677().read_answer(&format!("{SERVER_FIRST},x=y"), ACCEPTED).is_ok());
}

#[test]
fn scram_server_must_know_the_password() {
    let answer = rfc_7677().read_answer(SERVER_FIRST, ACCEPTED).unwrap().answer(&AwsLc, b"pencil");
    for (text, error) in [
        ("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", ScramError::Signature),
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==", ScramError::Signature),
        ("v=", ScramError::Signature),
        ("e=invalid-proof", ScramError::Refused),
        ("v=*", ScramError::Outcome("its signature is not base64")),
        ("", ScramError::Outcome("it has no signature")),
        ("ok", ScramError::Outcome("it has no signature")),
        (&format!("v={}", "A".repeat(MAX_MESSAGE)), ScramError::Outcome("it is too long")),
    ] {
        assert_eq!(answer.verify(text), Err(error), "{text}");
    }
    assert!(!format!("{answer:?}").contains("biws"));
}

#[test]
fn scram_mechanism_is_named_exactly() {
    for mechanism in Mechanism::ALL {
        assert_eq!(mechanism.to_string().parse(), Ok(mechanism));
    }
    for name in ["", "SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS", "PLAIN"] {
        assert_eq!(name.parse::<Mechanism>(), Err(ScramError::Mechanism));
    }
}

#[test]
fn scram_password_that_needs_preparation_is_not_plain() {
    assert!(is_plain_password(b"correct horse"));
    for password in [b"".as_slice(), "pässword".as_bytes(), b"a\tb", b"a\n", b"\0"] {
        assert!(!is_plain_password(password), "{password:?}");
    }
}
