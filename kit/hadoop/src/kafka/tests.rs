//! Exchanges as a broker of Kafka 4.4 has them, and brokers that answer anything.

use super::*;
use crate::sasl::SecurityContext as _;
use crate::testing::{FakeContext, hex, unhex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deputy_kit::failure;
use deputy_kit::types::{Failure, Next};
use deputy_scram::{Mechanism, ScramError};
use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// A broker that answers each request with the next of these bodies, and remembers what it was sent.
#[derive(Default)]
struct Broker {
    answers: VecDeque<Vec<u8>>,
    requests: Vec<Vec<u8>>,
    pending: VecDeque<u8>,
    wrong_correlation: bool,
}

impl Broker {
    fn answering(answers: impl IntoIterator<Item = Vec<u8>>) -> KafkaClient<Self> {
        KafkaClient::new(Self { answers: answers.into_iter().collect(), ..Self::default() })
    }
}

impl Write for Broker {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        let request = frame[4..].to_vec();
        if let Some(body) = self.answers.pop_front() {
            let mut answer = request[4..8].to_vec();
            if self.wrong_correlation {
                answer[3] ^= 1;
            }
            answer.extend(body);
            self.pending.extend(u32::try_from(answer.len()).unwrap().to_be_bytes());
            self.pending.extend(answer);
        }
        self.requests.push(request);
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Broker {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pending.read(buffer)
    }
}

fn sasl_answer(token: &[u8]) -> Vec<u8> {
    let length = u32::try_from(token.len()).unwrap();
    [&[0; 2][..], &[0; 2], &length.to_be_bytes(), token, &[0; 8]].concat()
}

/// `User:alice`, issued at 1, expires at 2, ends at 3, with an HMAC of 64 bytes.
fn created(id: &str, hmac: &[u8]) -> Vec<u8> {
    let mut body = unhex("0000000455736572");
    body.extend(unhex("0005616c696365"));
    [1_i64, 2, 3].iter().for_each(|time| body.extend(time.to_be_bytes()));
    body.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
    body.extend(id.as_bytes());
    body.extend(u32::try_from(hmac.len()).unwrap().to_be_bytes());
    body.extend(hmac);
    body.extend([0; 4]);
    body
}

const SHAKEN: &[u8] = &[0; 6];

#[test]
fn kafka_token_is_created_renewed_and_expired() {
    let renewed = [&[0; 2][..], &77_i64.to_be_bytes(), &[0; 4]].concat();
    let mut client = Broker::answering([created("gkgG4rUBS3yG2uFeLE4Wng", &[7; 64]), renewed.clone(), renewed]);
    let token = client.create_token(None, &[KafkaPrincipal::parse("User:bob").unwrap()], Some(60_000)).unwrap();
    assert_eq!((token.owner.as_str(), token.expires_at, token.max_date), ("User:alice", 2, 3));
    assert_eq!((token.id.as_str(), token.hmac.as_str()), ("gkgG4rUBS3yG2uFeLE4Wng", STANDARD.encode([7; 64]).as_str()));
    assert!(!format!("{token:?}").contains(&token.hmac));
    assert_eq!(client.renew_token(&token.hmac).unwrap(), 77);
    client.expire_token(&token.hmac).unwrap();
    let requests: Vec<_> = client.stream().requests.iter().map(|request| hex(request)).collect();
    let client_id = "0006646570757479";
    assert_eq!(requests[0], format!("0026000100000001{client_id}00000001000455736572{}000000000000ea60", "0003626f62"));
    let by_hmac = format!("{client_id}00000040{}ffffffffffffffff", "07".repeat(64));
    assert_eq!(requests[1], format!("0027000100000002{by_hmac}"));
    assert_eq!(requests[2], format!("0028000100000003{by_hmac}"));
}

/// Version 3, which is flexible, as Kafka's generated classes write and read it.
#[test]
fn kafka_token_for_another_owner_has_the_flexible_version() {
    let mut body = unhex("00000005557365720462 6f62 0555736572 06616c696365".replace(' ', "").as_str());
    // The tags of the header are before the error.
    [1_i64, 2, 3].iter().for_each(|time| body.extend(time.to_be_bytes()));
    body.extend(unhex("0369640407070700000000 00".replace(' ', "").as_str()));
    let mut client = Broker::answering([body]);
    let token = client.create_token(Some(KafkaPrincipal::parse("bob").unwrap()), &[], None).unwrap();
    assert_eq!((token.owner.as_str(), token.max_date, token.id.as_str()), ("User:bob", 3, "id"));
    assert_eq!(token.hmac, STANDARD.encode([7; 3]));
    let request = hex(&client.stream().requests[0]);
    assert_eq!(request, "0026000300000001000664657075747900055573657204626f6201ffffffffffffffff00");
}

#[test]
fn kafka_answer_that_is_odd_is_refused() {
    let good = created("id", &[7; 64]);
    let mut bodies = vec![Vec::new(), vec![0], created("", &[7; 64]), created("id", &[]), created("id", &[7; 257])];
    bodies.extend([created("a\";b", &[1]), created("id\n", &[1]), created(&"i".repeat(65), &[1])]);
    for end in 1..good.len() - 4 {
        bodies.push(good[..end].to_vec());
    }
    // A time before 1970, and lengths beyond the end.
    let mut negative = good.clone();
    negative[15] = 0xff;
    let mut long = good.clone();
    long[41..43].copy_from_slice(&[0xff, 0x7f]);
    bodies.extend([negative, long]);
    for body in bodies {
        let error = Broker::answering([body.clone()]).create_token(None, &[], None).unwrap_err();
        assert!(matches!(error, KafkaError::Protocol(_)), "{body:?} {error}");
        assert_eq!(Failure::from(error).next, Next::Unavailable);
    }
    // Flexible: lengths that wrap around, and tags without end.
    for body in ["", "00", "ffffffffff", "05", "000000ffffffff7f", "ff01", "000000ffffff7f"] {
        let owner = KafkaPrincipal::parse("bob").unwrap();
        let error = Broker::answering([unhex(body)]).create_token(Some(owner), &[], None).unwrap_err();
        assert!(matches!(error, KafkaError::Protocol(_)), "{body}");
    }
    let broker = Broker { answers: [good].into(), wrong_correlation: true, ..Broker::default() };
    let error = KafkaClient::new(broker).create_token(None, &[], None).unwrap_err();
    assert_eq!(error.to_string(), "the server does not speak Kafka's protocol: its answer is to another request");
    let silent = Broker::answering([]).renew_token("AAAA").unwrap_err();
    assert_eq!(Failure::from(silent).next, Next::Unavailable);
}

#[test]
fn kafka_refusal_has_its_name_and_what_helps() {
    for (code, next, words) in [
        (58_i16, Next::Denied, "SASL_AUTHENTICATION_FAILED (58)"),
        (61, Next::Misconfigured, "no delegation.token.secret.key"),
        (62, Next::Denied, "DELEGATION_TOKEN_NOT_FOUND"),
        (64, Next::Denied, "not to a login by a token"),
        (65, Next::Denied, "CreateTokens"),
        (41, Next::Unavailable, "NOT_CONTROLLER"),
        (89, Next::Throttled, "THROTTLING_QUOTA_EXCEEDED"),
        (-1, Next::Unavailable, "UNKNOWN_SERVER_ERROR (-1)"),
    ] {
        let body = [&code.to_be_bytes()[..], &[0; 60]].concat();
        let error = Broker::answering([body]).renew_token("AAAA").unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.code().unwrap().is_of_ended_token(), matches!(code, 62 | 66));
        assert_eq!(Failure::from(error).next, next);
    }
    let text = "no\nsuch user";
    let refusal = [&58_i16.to_be_bytes()[..], &11_i16.to_be_bytes(), text.as_bytes(), &[0; 12]].concat();
    let error = Broker::answering([SHAKEN.to_vec(), refusal]).login(&mut token_login()).unwrap_err();
    assert!(error.to_string().starts_with("SaslAuthenticate: SASL_AUTHENTICATION_FAILED (58): no"), "{error}");
    assert!(!error.to_string().contains('\n'));
}

#[test]
fn kafka_mechanism_that_is_missing_is_named() {
    let body =
        [&33_i16.to_be_bytes()[..], &unhex("00000002000547535341 500005504c41494e".replace(' ', "").as_str())].concat();
    // The first length is wrong on purpose: names are cut at what there is.
    let error = Broker::answering([body]).login(&mut token_login()).unwrap_err();
    assert!(matches!(error, KafkaError::Protocol(_) | KafkaError::Mechanism { .. }), "{error}");
    let body = [&33_i16.to_be_bytes()[..], &1_i32.to_be_bytes(), &unhex("0005504c41494e")].concat();
    let error = Broker::answering([body]).login(&mut token_login()).unwrap_err();
    assert_eq!(error.to_string(), "the listener does not have SCRAM-SHA-256; it has PLAIN");
    assert_eq!(Failure::from(error).next, Next::Misconfigured);
}

fn token_login() -> TokenLogin<'static> {
    TokenLogin::new(Mechanism::Sha256, "id", "aG1hYw==", &[0; 24]).unwrap()
}

#[test]
fn kafka_token_login_refuses_a_hostile_broker() {
    let nonce = "A".repeat(32);
    for (answer, words) in [
        (format!("r={nonce}x,s=c2FsdA==,i=1"), "asks for 1 SCRAM iterations"),
        (format!("r={nonce}x,s=c2FsdA==,i=16385"), "asks for 16385"),
        (format!("r={nonce},s=c2FsdA==,i=4096"), "does not extend"),
        ("e=other-error".to_owned(), "malformed"),
        ("\u{0}".to_owned(), "malformed"),
    ] {
        let error = Broker::answering([SHAKEN.to_vec(), sasl_answer(answer.as_bytes())]).login(&mut token_login());
        let error = error.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(Failure::from(error).next, Next::Denied);
    }
    let first = format!("r={nonce}x,s=c2FsdA==,i=4096");
    let answers = || [SHAKEN.to_vec(), sasl_answer(first.as_bytes()), sasl_answer(b"v=AAAA")];
    let mut client = Broker::answering(answers());
    let error = client.login(&mut token_login()).unwrap_err();
    assert!(matches!(error, KafkaError::Scram(ScramError::Signature)), "{error}");
    // The name is the token's, and marked so.
    let sent = String::from_utf8_lossy(&client.stream().requests[1]).into_owned();
    assert!(sent.ends_with(&format!("n,,n=id,r={nonce},tokenauth=true")), "{sent}");
    let error = Broker::answering([SHAKEN.to_vec(), sasl_answer(&[0xff])]).login(&mut token_login()).unwrap_err();
    assert!(error.to_string().contains("not UTF-8"));
}

#[test]
fn kafka_login_by_kerberos_sends_every_message() {
    let mut server = FakeContext::server();
    let answer = server.step(b"ap-req").unwrap().token;
    let offer = server.wrap(&[1, 1, 0, 0], false).unwrap();
    let answers = [SHAKEN.to_vec(), sasl_answer(&answer), sasl_answer(&offer), sasl_answer(b"")];
    let mut client = Broker::answering(answers);
    client.login(&mut GssapiLogin::new(FakeContext::client())).unwrap();
    let requests = &client.stream().requests;
    assert_eq!(requests.len(), 4);
    assert!(requests[2].ends_with(&[0; 4]), "an empty message was not sent");
    // A broker that says too early that it is done, or never.
    let mut client = Broker::answering([SHAKEN.to_vec(), sasl_answer(b"")]);
    assert!(client.login(&mut GssapiLogin::new(FakeContext::client())).is_err());
}

struct Endless;

impl SaslLogin for Endless {
    fn mechanism(&self) -> &'static str {
        "GSSAPI"
    }

    fn begin(&mut self) -> Result<Vec<u8>, KafkaError> {
        Ok(Vec::new())
    }

    fn answer(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, KafkaError> {
        Ok(Some(Vec::new()))
    }
}

#[test]
fn kafka_login_without_an_end_is_ended() {
    let answers = (0..20).map(|_| sasl_answer(b""));
    let mut client = Broker::answering([SHAKEN.to_vec()].into_iter().chain(answers));
    assert_eq!(
        client.login(&mut Endless).unwrap_err().to_string(),
        "the server does not speak Kafka's protocol: its login does not end"
    );
    assert_eq!(client.stream().requests.len(), 9);
}

#[test]
fn kafka_renewer_is_a_principal() {
    assert_eq!(KafkaPrincipal::parse("User:alice"), Ok(KafkaPrincipal { kind: "User", name: "alice" }));
    assert_eq!(KafkaPrincipal::parse("alice"), Ok(KafkaPrincipal { kind: "User", name: "alice" }));
    assert_eq!(KafkaPrincipal::parse("Group:a:b"), Ok(KafkaPrincipal { kind: "Group", name: "a:b" }));
    for text in ["", ":", "User:", ":x", "a\nb", &"x".repeat(256)] {
        assert!(KafkaPrincipal::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn kafka_failure_of_the_host_is_passed_on() {
    let error = KafkaError::Host(failure::misconfigured("the secret is not granted").setting("secret"));
    assert_eq!(error.to_string(), "the secret is not granted");
    assert_eq!(Failure::from(error).setting.as_deref(), Some("secret"));
}
