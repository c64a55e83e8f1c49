//! Brokers that lie, flood or know no password: the call ends in time, with what an operator needs to know.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use deputy_test_harness::{KafkaSite, exit};
use deputy_test_servers::{Kafka, Kdc};

/// What a broker answers to a login's message: to a request with this key, and what the client said in it.
type Answer = fn(i16, &[u8]) -> Vec<u8>;

/// A broker, and the requests that it received.
struct HostileBroker {
    address: String,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl HostileBroker {
    /// One that answers like this, on a port of its own.
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let received = Arc::clone(&received);
                // The client may go away at any time.
                thread::spawn(move || drop(serve(stream.unwrap(), answer, &received)));
            }
        });
        Self { address: format!("localhost:{port}"), requests }
    }

    /// How many proofs of the password it received. Besides logins it received nothing, and the password never.
    #[track_caller]
    fn proofs(&self) -> usize {
        let requests = self.requests.lock().unwrap();
        assert!(!requests.is_empty(), "it was never asked");
        let texts: Vec<String> = requests.iter().map(|request| String::from_utf8_lossy(request).into_owned()).collect();
        for (request, text) in requests.iter().zip(&texts) {
            assert!([HANDSHAKE, AUTHENTICATE].contains(&key(request)), "{text:?}");
            assert!(!text.contains(Kafka::PASSWORD), "{text:?}");
        }
        texts.iter().filter(|text| text.contains(",p=")).count()
    }
}

/// The keys of the requests of a login: `SaslHandshake` and `SaslAuthenticate`.
const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;

fn key(request: &[u8]) -> i16 {
    i16::from_be_bytes([request[0], request[1]])
}

fn serve(mut stream: TcpStream, answer: Answer, received: &Mutex<Vec<Vec<u8>>>) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut request)?;
        received.lock().unwrap().push(request.clone());
        let body = [&request[4..8], &answer(key(&request), &request)].concat();
        stream.write_all(&u32::try_from(body.len()).unwrap().to_be_bytes())?;
        stream.write_all(&body)?;
    }
}

/// A message of SASL, as `SaslAuthenticate` has it.
fn message(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [&[0; 4][..], &length.to_be_bytes(), text.as_bytes(), &[0; 8]].concat()
}

/// The nonce in the client's first message.
fn nonce(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request).into_owned();
    text.split(",r=").nth(1).unwrap_or_default().to_owned()
}

/// The handshake is accepted, and the first message of SCRAM answered so.
fn first(key: i16, request: &[u8], answer: fn(&str) -> String) -> Vec<u8> {
    if key == HANDSHAKE { vec![0; 6] } else { message(&answer(&nonce(request))) }
}

#[test]
fn hostile_broker_gets_no_proof_and_no_patience() {
    let kdc = Kdc::start().unwrap();
    let few: Answer = |key, request| first(key, request, |nonce| format!("r={nonce}x,s=c2FsdA==,i=1"));
    let many: Answer = |key, request| first(key, request, |nonce| format!("r={nonce}x,s=c2FsdA==,i=10000000"));
    let own: Answer = |key, request| first(key, request, |nonce| format!("r={nonce},s=c2FsdA==,i=4096"));
    let other: Answer = |key, request| first(key, request, |_| "r=another,s=c2FsdA==,i=4096".to_owned());
    let endless: Answer = |key, request| first(key, request, |nonce| format!("r={nonce}x,s=c2FsdA==,i=4096"));
    let forged: Answer = |key, request| match String::from_utf8_lossy(request).contains(",p=") {
        true => message(&format!("v={}=", "A".repeat(43))),
        false => first(key, request, |nonce| format!("r={nonce}x,s=c2FsdA==,i=4096")),
    };
    let long: Answer = |_, _| vec![0; 1 << 20];
    let short: Answer = |_, _| vec![0];
    let plain: Answer = |_, _| b"\0\x21\0\0\0\x01\0\x05PLAIN".to_vec();
    let text: Answer = |key, _| {
        let refusal = [&58_i16.to_be_bytes()[..], &20_i16.to_be_bytes(), b"no\x1b[31m\nuser carol!!!!!"].concat();
        if key == HANDSHAKE { vec![0; 6] } else { [refusal, vec![0; 12]].concat() }
    };
    for (answer, code, proofs, says) in [
        (few, exit::DENIED, 0, "asks for 1 SCRAM iterations, and 4096 to 1000000 are accepted"),
        (many, exit::DENIED, 0, "asks for 10000000 SCRAM iterations"),
        (own, exit::DENIED, 0, "nonce does not extend the client's"),
        (other, exit::DENIED, 0, "nonce does not extend the client's"),
        // The proof goes out, and the answer to it is no signature.
        (endless, exit::DENIED, 1, "last SCRAM message is malformed: it has no signature"),
        (forged, exit::DENIED, 1, "signature is wrong: it does not know the password"),
        (long, exit::UNAVAILABLE, 0, "at most 131072 are read"),
        (short, exit::UNAVAILABLE, 0, "its answer ends early"),
        (plain, exit::MISCONFIGURED, 0, "the listener does not have SCRAM-SHA-256; it has PLAIN"),
        (text, exit::DENIED, 0, "SASL_AUTHENTICATION_FAILED (58): no [31m user carol"),
    ] {
        let broker = HostileBroker::start(answer);
        let site = KafkaSite::new(&kdc).scram("kafka", &broker.address, "authentication = \"SCRAM-SHA-256\"", "");
        let begun = Instant::now();
        let said = site.home.deputy(&["obtain", "kafka"]).ends_with(code).stderr;
        assert!(said.contains(says) && !said.contains('\u{1b}'), "{says}: {said}");
        assert_eq!(broker.proofs(), proofs, "{says}");
        assert!(begun.elapsed() < Duration::from_secs(30) && said.len() < 4096, "{said}");
    }
}
