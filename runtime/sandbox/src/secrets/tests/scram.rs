//! Logins, with a server that knows the password and computes on its own.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deputy_core::grant::{ScramGrant, SecretGrant, SecretPurpose};
use std::num::NonZeroU32;
use wasmtime::component::Resource;

use super::{SecretsView, TestCall};
use crate::bindings::delegation::tokens::scram::HostLogin;
use crate::bindings::delegation::tokens::secrets::SecretError;

const PASSWORD: &str = "correct horse battery staple";

fn scram() -> SecretGrant {
    SecretGrant::new(Some(SecretPurpose::Scram(ScramGrant::new("carol".to_owned()).unwrap())), false)
}

fn call() -> TestCall {
    let call = TestCall::new(&[("kafka", scram()), ("read", SecretGrant::new(None, true))]);
    call.values.set("kafka", PASSWORD);
    call
}

async fn begin(call: &mut TestCall, secret: &str, mechanism: &str) -> Result<u32, SecretError> {
    let secret = call.open(secret).await.unwrap();
    // The view has a method of this name, too.
    let result =
        <SecretsView<'_> as HostLogin>::begin(&mut call.view(), Resource::new_borrow(secret), mechanism.to_owned())
            .await;
    call.convert(result).map(|login| login.rep())
}

async fn answer(call: &mut TestCall, login: u32, server_first: &str) -> Result<String, SecretError> {
    let result = call.view().client_final(Resource::new_borrow(login), server_first.to_owned()).await;
    call.convert(result)
}

fn verify(call: &mut TestCall, login: u32, server_final: &str) -> Result<(), SecretError> {
    let result = call.view().verify(Resource::new_borrow(login), server_final.to_owned());
    call.convert(result)
}

fn client_first(call: &mut TestCall, login: u32) -> String {
    call.view().client_first(Resource::new_borrow(login)).unwrap()
}

/// The server's side by RFC 5802: it stores two keys, and never has the password.
fn server(first: &str, server_first: &str, client_final: &str, sha512: bool) -> Option<String> {
    let (mac, hash, derive, size) = if sha512 {
        (hmac::HMAC_SHA512, &digest::SHA512, pbkdf2::PBKDF2_HMAC_SHA512, 64)
    } else {
        (hmac::HMAC_SHA256, &digest::SHA256, pbkdf2::PBKDF2_HMAC_SHA256, 32)
    };
    let sign = |key: &[u8], data: &[u8]| hmac::sign(&hmac::Key::new(mac, key), data).as_ref().to_vec();
    let mut salted = vec![0; size];
    pbkdf2::derive(derive, NonZeroU32::new(4096).unwrap(), b"salt", PASSWORD.as_bytes(), &mut salted);
    let stored_key = digest::digest(hash, &sign(&salted, b"Client Key"));
    let server_key = sign(&salted, b"Server Key");
    let (without_proof, proof) = client_final.rsplit_once(",p=")?;
    let signed = format!("{},{server_first},{without_proof}", first.strip_prefix("n,,")?);
    let mask = sign(stored_key.as_ref(), signed.as_bytes());
    let client_key: Vec<u8> = STANDARD.decode(proof).ok()?.iter().zip(mask).map(|(one, other)| one ^ other).collect();
    let is_right = digest::digest(hash, &client_key).as_ref() == stored_key.as_ref();
    is_right.then(|| format!("v={}", STANDARD.encode(sign(&server_key, signed.as_bytes()))))
}

fn server_first(first: &str) -> String {
    let nonce = first.split(",r=").nth(1).unwrap();
    format!("r={nonce}3rfcNHYJY1ZVvWVs7j,s={},i=4096", STANDARD.encode("salt"))
}

#[tokio::test]
async fn scram_login_convinces_a_server_and_the_host() {
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut call = call();
        let login = begin(&mut call, "kafka", mechanism).await.unwrap();
        assert_eq!(call.view().username(Resource::new_borrow(login)).unwrap(), "carol");
        let first = client_first(&mut call, login);
        assert!(first.starts_with("n,,n=carol,r="), "{first}");
        let challenge = server_first(&first);
        let proof = answer(&mut call, login, &challenge).await.unwrap();
        let signature = server(&first, &challenge, &proof, mechanism.ends_with("512")).expect("the proof is right");
        assert!(
            matches!(verify(&mut call, login, "v=AAAA"), Err(SecretError::Invalid(text)) if text.contains("signature is wrong"))
        );
        assert!(verify(&mut call, login, &signature).is_ok());
        // Recorded with what it was for, the proof before the component had it.
        let scope = format!("{mechanism} as carol");
        let expected = [
            "open|kafka||done|".to_owned(),
            format!("scram|kafka|{scope}|done|"),
            format!("scram-proof|kafka|{scope}|done|"),
        ];
        assert_eq!(call.events(), expected);
    }
}

#[tokio::test]
async fn scram_login_has_a_nonce_of_its_own_and_one_answer() {
    let mut call = call();
    let one = begin(&mut call, "kafka", "SCRAM-SHA-256").await.unwrap();
    let other = begin(&mut call, "kafka", "SCRAM-SHA-256").await.unwrap();
    let (first, second) = (client_first(&mut call, one), client_first(&mut call, other));
    assert_ne!(first, second);
    assert!(matches!(verify(&mut call, one, "v=AAAA"), Err(SecretError::Invalid(_))));
    let challenge = server_first(&first);
    assert!(matches!(answer(&mut call, other, &challenge).await, Err(SecretError::Invalid(_))));
    // A refused answer ends the login, too.
    assert!(matches!(answer(&mut call, other, &server_first(&second)).await, Err(SecretError::Invalid(_))));
    assert!(answer(&mut call, one, &challenge).await.is_ok());
    assert!(matches!(answer(&mut call, one, &challenge).await, Err(SecretError::Invalid(_))));
}

#[tokio::test]
async fn scram_server_that_is_hostile_gets_no_proof() {
    let long = format!("r=x,s={},i=4096", "A".repeat(5000));
    let changes: [fn(&str) -> String; 7] = [
        |good| good.replace("i=4096", "i=1"),
        |good| good.replace("i=4096", "i=10000000"),
        |good| good.replace("r=", "r=x"),
        |good| good.replace("3rfcNHYJY1ZVvWVs7j", ""),
        |_| String::new(),
        |good| good.replace("s=", "x="),
        |good| format!("{good}\n"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut call = call();
        let login = begin(&mut call, "kafka", "SCRAM-SHA-256").await.unwrap();
        let challenge = change(&server_first(&client_first(&mut call, login)));
        let result = answer(&mut call, login, &challenge).await;
        assert!(matches!(result, Err(SecretError::Invalid(_))), "{number} {result:?}");
        assert_eq!(call.events().pop().unwrap(), "scram-proof|kafka|SCRAM-SHA-256 as carol|failed|invalid");
    }
    let mut call = call();
    let login = begin(&mut call, "kafka", "SCRAM-SHA-256").await.unwrap();
    assert!(matches!(answer(&mut call, login, &long).await, Err(SecretError::Invalid(_))));
}

#[tokio::test]
async fn scram_login_needs_its_grant_mechanism_and_password() {
    let mut call = call();
    assert!(matches!(begin(&mut call, "read", "SCRAM-SHA-256").await, Err(SecretError::Denied(_))));
    assert_eq!(call.denials(), ["operation-not-granted"]);
    for mechanism in ["PLAIN", "SCRAM-SHA-1", "scram-sha-256", ""] {
        assert!(matches!(begin(&mut call, "kafka", mechanism).await, Err(SecretError::Invalid(_))), "{mechanism}");
    }
    call.values.set("kafka", "pässword");
    let login = begin(&mut call, "kafka", "SCRAM-SHA-512").await.unwrap();
    let challenge = server_first(&client_first(&mut call, login));
    assert!(matches!(answer(&mut call, login, &challenge).await, Err(SecretError::Unavailable(_))));
}

#[tokio::test]
async fn scram_work_is_charged_to_the_call() {
    let mut call = call();
    let login = begin(&mut call, "kafka", "SCRAM-SHA-512").await.unwrap();
    let challenge = server_first(&client_first(&mut call, login)).replace("i=4096", "i=200000");
    let before = call.budget.time().used();
    answer(&mut call, login, &challenge).await.unwrap();
    assert!(call.budget.time().used() > before, "200,000 iterations cost nothing");
}
