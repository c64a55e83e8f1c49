//! What token endpoints answer, by the letter: each answer goes over the wire as it stands here, to the OAuth 2.0 providers
//! in both languages, and must be taken, or refused as the failure that it is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use deputy_core::Timestamp;
use deputy_test_harness::TestEnvironment;

/// One answer, and what must become of it.
struct Case {
    name: String,
    answer: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// The token `tok-1`, with this life in milliseconds; none: the service does not say.
    Token(Option<u64>),
    /// A failure of this kind, with these words in its text.
    Failure(&'static str, &'static str),
    /// A token that lives for a century or longer.
    Never,
    /// A failure that says how long to wait.
    Throttled(std::ops::RangeInclusive<u64>),
}

use Expected::{Failure, Never, Throttled, Token};

const TOKEN: &str = r#"{"access_token":"tok-1","token_type":"Bearer","expires_in":3600}"#;
/// [`TOKEN`] as gzip has it.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0xab, 0x56, 0x4a, 0x4c, 0x4e, 0x4e, 0x2d, 0x2e, 0x8e,
    0x2f, 0xc9, 0xcf, 0x4e, 0xcd, 0x53, 0xb2, 0x52, 0x02, 0xd2, 0xba, 0x86, 0x4a, 0x3a, 0x4a, 0x60, 0x7e, 0x7c, 0x49,
    0x65, 0x41, 0x2a, 0x50, 0xd0, 0x29, 0x35, 0xb1, 0x28, 0xb5, 0x08, 0x28, 0x9a, 0x5a, 0x51, 0x90, 0x59, 0x94, 0x5a,
    0x1c, 0x9f, 0x09, 0x54, 0x6a, 0x6c, 0x66, 0x60, 0x50, 0x0b, 0x00, 0x85, 0x3d, 0x7c, 0x60, 0x40, 0x00, 0x00, 0x00,
];

fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "content-type: application/json\r\n", body)
}

fn expiring(value: &str) -> Vec<u8> {
    json(format!(r#"{{"access_token":"tok-1","token_type":"Bearer","expires_in":{value}}}"#))
}

fn lives() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let of = |name, value: &str, life| (name, expiring(value), Token(life));
    vec![
        of("string", "\"3600\"", Some(3_600_000)),
        of("fraction", "3599.9873", Some(3_599_987)),
        of("exponent", "3.6e3", Some(3_600_000)),
        of("fraction-in-string", "\" 3600.0 \"", Some(3_600_000)),
        ("zero", expiring("0"), Failure("broken", "0 ms after the call")),
        ("negative", expiring("-1"), Failure("broken", "0 ms after the call")),
        of("null", "null", None),
        of("empty", "\"\"", None),
        ("eleven-digits", expiring("99999999999"), Never),
        ("greatest", expiring("9223372036854775807"), Never),
        ("flag", expiring("true"), Failure("denied", "expires_in is not a number")),
        ("word", expiring("\"soon\""), Failure("denied", "expires_in is not a number")),
    ]
}

fn bodies() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let form = "access_token=tok-1&expires_in=3600&token_type=bearer";
    let typed = |kind: &str| format!("content-type: {kind}\r\n");
    vec![
        ("created", answer("201 Created", "", TOKEN), Token(Some(3_600_000))),
        ("bom", json(format!("\u{feff}{TOKEN}")), Token(Some(3_600_000))),
        ("gzip", answer("200 OK", "content-encoding: gzip\r\n", GZIP), Token(Some(3_600_000))),
        ("form", answer("200 OK", &typed("application/x-www-form-urlencoded"), form), Token(Some(3_600_000))),
        ("close", format!("HTTP/1.0 200 OK\r\n\r\n{TOKEN}").into(), Token(Some(3_600_000))),
        (
            "gzip-cut",
            answer("200 OK", "content-encoding: gzip\r\n", &GZIP[..30]),
            Failure("denied", "200, and the answer is "),
        ),
        ("brotli", answer("200 OK", "content-encoding: br\r\n", "x"), Failure("denied", "encoded as br")),
        ("html", answer("200 OK", &typed("text/html"), "<html><p>Login"), Failure("denied", "HTML, not JSON")),
        ("utf-16", json([0xff, 0xfe, b'{', 0, b'}', 0]), Failure("denied", "not UTF-8")),
        ("no-content", answer("204 No Content", "", ""), Failure("denied", "empty")),
        ("accepted", answer("202 Accepted", "", ""), Failure("unavailable", "no answer yet")),
        ("number", json(r#"{"access_token":12345}"#), Failure("denied", "not a string")),
        ("line-end", json(r#"{"access_token":"tok-1\n"}"#), Failure("denied", "characters that no token may")),
        ("absent", json("{}"), Failure("denied", "no access_token")),
        ("deep", json("[".repeat(5000)), Failure("denied", "nested deeper")),
    ]
}

fn errors() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let retry = |value: &str| answer("429 Too Many Requests", &format!("retry-after: {value}\r\n"), "");
    let dates = "Sun, 06 Nov 1994 08:49:37 GMT\r\ndate: Sun, 06 Nov 1994 08:47:37 GMT";
    vec![
        ("under-200", json(r#"{"error":"incorrect_client_credentials"}"#), Failure("denied", "incorrect_client")),
        ("under-200-scope", json(r#"{"error":"invalid_scope"}"#), Failure("misconfigured", "invalid_scope")),
        ("slack", json(r#"{"ok":false,"error":"invalid_client_id"}"#), Failure("denied", "invalid_client_id")),
        ("nested", answer("403 -", "", r#"{"error":{"code":"403","message":"told"}}"#), Failure("denied", "403: told")),
        (
            "bom",
            answer("400 -", "", "\u{feff}{\"error\":\"invalid_scope\"}"),
            Failure("misconfigured", "invalid_scope"),
        ),
        ("html", answer("502 Bad Gateway", "", "<p>hunter2"), Failure("unavailable", "HTML")),
        ("redirect", answer("302 Found", "location: /ok\r\n", ""), Failure("denied", "not followed")),
        ("retry-seconds", retry("120"), Throttled(120_000..=120_000)),
        ("retry-fraction", retry("1.5"), Throttled(1500..=1500)),
        ("retry-date", retry(dates), Throttled(119_000..=120_000)),
    ]
}

fn cases() -> Vec<Case> {
    let all = [("life", lives()), ("body", bodies()), ("error", errors())];
    let named = all.into_iter().flat_map(|(kind, cases)| {
        cases.into_iter().map(move |(name, answer, expected)| Case { name: format!("{kind}-{name}"), answer, expected })
    });
    named.collect()
}

/// Answers `/token/NAME` with the bytes of this case. Ends with this process.
fn serve() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || reply(stream));
        }
    });
    port
}

fn reply(mut stream: TcpStream) {
    let Some(request) = crate::local::read(&stream) else { return };
    let name = request.target.trim_start_matches("/token/");
    let case = cases().into_iter().find(|case| case.name == name).unwrap();
    stream.write_all(&case.answer).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // Until the other side has gone: what it has not read yet would be lost with the connection.
    drop(stream.read(&mut [0]));
}

fn millis() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn judge(home: &TestEnvironment, case: &Case) {
    let before = millis();
    let run = home.deputy(&["obtain", &case.name, "--json", "--out", &case.name]);
    let (seen, after) = (run.json(), millis());
    match &case.expected {
        Token(life) => {
            assert_eq!(run.code, Some(0), "{}: {}", case.name, run.stderr);
            assert_eq!(std::fs::read_to_string(home.path(&case.name)).unwrap(), "tok-1", "{}", case.name);
            let told = seen["valid_until"].as_str();
            assert_eq!(told.is_some(), life.is_some(), "{}: {told:?}", case.name);
            if let (Some(told), Some(life)) = (told, life) {
                let at = |now: u64| Timestamp::from_millis(now + life).to_string();
                assert!((at(before)..=at(after)).contains(&told.to_owned()), "{}: {told}", case.name);
            }
        }
        Never => {
            assert_eq!(run.code, Some(0), "{}: {}", case.name, run.stderr);
            assert_eq!(seen["valid_until"], "never", "{}", case.name);
        }
        Failure(kind, words) => {
            let (told, text) = (seen["error"]["kind"].as_str(), seen["error"]["message"].as_str().unwrap());
            assert_eq!(told, Some(*kind), "{}: {text}", case.name);
            assert!(text.contains(words), "{}: {text}", case.name);
            assert!(!text.contains("tok-1") && !text.contains("hunter2"), "{}: {text}", case.name);
        }
        Throttled(wait) => {
            let told = seen["error"]["retry_after_ms"].as_u64();
            assert!(told.is_some_and(|told| wait.contains(&told)), "{}: {told:?} {}", case.name, run.stderr);
        }
    }
}

fn reads_answers_as_services_write_them(component: &str) {
    let (port, cases) = (serve(), cases());
    let mut home = TestEnvironment::with_compiled(component);
    for case in &cases {
        let name = &case.name;
        let lines = format!(
            "[instances.{name}.settings]\ntoken-url = \"http://127.0.0.1:{port}/token/{name}\"\n\
             [[instances.{name}.http]]\nallow = \"http://127.0.0.1:{port}\"\nnetworks = [\"loopback\"]\n"
        );
        home = home.instance(name, component, &lines);
    }
    for case in &cases {
        judge(&home, case);
    }
}

#[test]
fn oauth_answers_are_read_as_services_write_them_in_python() {
    reads_answers_as_services_write_them("oauth2-python");
}

#[test]
fn oauth_answers_are_read_as_services_write_them_in_javascript() {
    reads_answers_as_services_write_them("oauth2-javascript");
}
