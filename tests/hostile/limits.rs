//! What a component may use: nothing more, whatever it tries.

use std::time::Duration;

use deputy_audit::{AuditAction, AuditOutcome};
use deputy_core::grant::{SecretGrant, SecretPurpose};
use deputy_core::{ByteSize, Limit, Span};
use deputy_sandbox::CallError;

use crate::bombs;
use crate::harness::{Attack, ObtainReport, host};
use crate::servers::{Full, Server, response};
use crate::surroundings::private_file;

fn with_hmac(guest: &str) -> Attack {
    let grant = SecretGrant::new(Some(SecretPurpose::HmacSha256), false);
    Attack::new(guest).setting("secret", "key").secret("key", "a key", grant)
}

// Arguments.

#[test]
fn argument_huge_log() {
    Attack::new("argument-huge-log").obtain().assert_ended_by(Limit::Argument);
}

#[test]
fn argument_huge_list() {
    Attack::new("argument-huge-list").obtain().assert_ended_by(Limit::Argument);
}

#[test]
fn argument_huge_data() {
    with_hmac("argument-huge-data").obtain().assert_ended_by(Limit::Argument);
}

#[test]
fn argument_poll_list() {
    Attack::new("argument-poll-list").limits(|l| l.wall = Span::secs(5)).obtain().assert_ended_by(Limit::Argument);
}

// Handles.

#[test]
fn handles_thousands() {
    Attack::new("handles-thousands").obtain().assert_ended_by(Limit::Handles);
}

#[test]
fn handles_secrets() {
    with_hmac("handles-secrets").limits(|l| l.secret_operations = 200_000).obtain().assert_ended_by(Limit::Handles);
}

#[test]
fn handles_pollables() {
    Attack::new("handles-pollables").obtain().assert_ended_by(Limit::Handles);
}

#[test]
fn handles_sockets() {
    Attack::new("handles-sockets").obtain().assert_ended_by(Limit::Handles);
}

#[test]
fn handles_unsent_bodies() {
    Attack::new("handles-unsent-bodies").obtain().assert_ended_by(Limit::Handles);
}

// Headers and URLs.

#[test]
fn headers_large() {
    let server = Server::good();
    let case = Attack::with_url("headers-large", "http", server.port()).setting("bytes", 20_000);
    let seen = case.limits(|l| l.headers = ByteSize::kib(16)).obtain();
    seen.assert_over_limit(Limit::Headers);
    assert_eq!(seen.report(), "err HttpRequestHeaderSectionSize(None)");
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn headers_many() {
    let server = Server::good();
    let case = Attack::with_url("headers-many", "http", server.port()).setting("count", 2_000);
    let seen = case.limits(|l| l.headers = ByteSize::kib(16)).obtain();
    seen.assert_ended_by(Limit::Headers);
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn headers_of_answer_large() {
    let large = "x".repeat(40_000);
    let server = Server::answering(format!("HTTP/1.1 200 OK\r\nx-large: {large}\r\ncontent-length: 0\r\n\r\n"));
    let seen = Attack::with_url("headers-of-answer-large", "http", server.port()).obtain();
    seen.assert_over_limit(Limit::Headers);
    assert_eq!(seen.report(), "err HttpResponseHeaderSectionSize(None)");
}

#[test]
fn url_long() {
    let server = Server::good();
    let case = Attack::with_url("url-long", "http", server.port()).setting("bytes", "1000\n8000\n60000\n1000000");
    let seen = case.limits(|l| l.url = ByteSize::kib(4)).obtain();
    seen.assert_over_limit(Limit::Url);
    let expected =
        ["ok 200 hello", "err HttpRequestUriTooLong", "err HttpRequestUriTooLong", "err set-path-with-query"];
    assert_eq!(seen.lines(), expected);
    assert_eq!(server.heard().len(), 1);
}

// What instances are made of.

#[test]
fn instances_bomb() {
    let bomb = private_file(&bombs::with_instances("instances-bomb", &bombs::nothing(), 900));
    Attack::of_component("instances-bomb", &bomb).obtain().assert_ended_by(Limit::Instances);
    let few = private_file(&bombs::with_instances("instances-bomb", &bombs::nothing(), 8));
    assert_eq!(Attack::of_component("instances-bomb", &few).obtain().report(), "instantiated");
}

#[test]
fn memory_bomb() {
    let seen = Attack::new("memory-bomb").obtain();
    seen.assert_ended_by(Limit::Memory);
}

#[test]
fn memory_bomb_at_start() {
    Attack::new("memory-bomb-at-start").obtain().assert_ended_by(Limit::Memory);
}

#[test]
fn memory_of_many_instances() {
    let bomb = private_file(&bombs::with_instances("memory-of-many-instances", &bombs::memory(256), 5));
    Attack::of_component("memory-of-many-instances", &bomb).obtain().assert_ended_by(Limit::Memory);
    let small = private_file(&bombs::with_instances("memory-of-many-instances", &bombs::memory(256), 3));
    assert_eq!(Attack::of_component("memory-of-many-instances", &small).obtain().report(), "instantiated");
}

#[test]
fn memory_random_bytes() {
    let seen = Attack::new("memory-random-bytes").obtain();
    seen.assert_trapped("exceeds").assert_not_denied();
}

#[test]
fn memory_write_zeroes() {
    for bytes in [u64::MAX, 1 << 40, 1 << 20] {
        let seen = Attack::new("memory-write-zeroes").setting("bytes", bytes).obtain();
        seen.assert_trapped("check_write").assert_not_denied();
    }
}

#[test]
fn table_elements_bomb() {
    let bomb = private_file(&bombs::with_instances("table-elements-bomb", &bombs::growing_table(), 1));
    Attack::of_component("table-elements-bomb", &bomb)
        .limits(|l| l.table_elements = 50_000)
        .obtain()
        .assert_ended_by(Limit::TableElements);
}

/// The pool has slots for a number of memories; components that take many of them must not leave other calls without.
#[test]
fn memories_of_many_calls_leave_enough_for_others() {
    let bomb = private_file(&bombs::with_instances("wall-sleep", &bombs::memory(1), 60));
    let short = |limits: &mut deputy_core::Limits| limits.wall = Span::secs(2);
    let (many, one) =
        (Attack::of_component("wall-sleep", &bomb).limits(short), Attack::new("wall-sleep").limits(short));
    host().during_attack(|| {
        let host = host();
        host.runtime.block_on(async {
            let many = host.sandbox.load(&many.instance).await.unwrap();
            let one = host.sandbox.load(&one.instance).await.unwrap();
            let benign = host.sandbox.load(&Attack::new("benign").setting("name", "you").instance).await.unwrap();
            // Those that take one each fill what those that take many have left, and all try again.
            let end = std::time::Instant::now() + Duration::from_millis(1500);
            let again = async |provider: &deputy_sandbox::LoadedProvider| {
                while std::time::Instant::now() < end {
                    drop(provider.obtain().await);
                    tokio::task::yield_now().await;
                }
            };
            let attacks = async {
                tokio::join!(futures_of(40, || again(&many)), futures_of(80, || again(&one)));
            };
            let others = async {
                for _ in 0..30 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let call = benign.obtain().await;
                    assert!(call.result.is_ok(), "a call beside it got no room: {:?}", call.result);
                }
            };
            tokio::join!(attacks, others);
        });
    });
}

/// This number of futures at once.
async fn futures_of<F: Future<Output = ()>>(count: usize, make: impl Fn() -> F) {
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

// What goes out and what comes back.

#[test]
fn payload_huge() {
    let limit = |l: &mut deputy_core::Limits| l.payload = ByteSize::kib(64);
    let seen = Attack::new("payload-huge").setting("bytes", (64 << 10) + 1).limits(limit).obtain();
    seen.assert_ended_by(Limit::Payload);
    let seen = Attack::new("payload-huge").setting("bytes", 32 << 20).limits(limit).obtain();
    seen.assert_ended_by(Limit::Payload);
    let seen = Attack::new("payload-huge").setting("bytes", 64 << 10).limits(limit).obtain();
    assert_eq!(seen.report().len(), 64 << 10);
}

#[test]
fn payload_empty() {
    let seen = Attack::new("payload-empty").obtain();
    let Err(CallError::Invalid(text)) = &seen.call.result else { panic!("{seen:?}") };
    assert!(text.contains("the payload is empty"), "{text}");
    seen.assert_not_denied();
}

#[test]
fn payload_out_of_bounds() {
    let seen = Attack::new("payload-out-of-bounds").obtain();
    seen.assert_trapped("out of bounds").assert_not_denied();
}

#[test]
fn received_many_answers() {
    let server = Server::answering(response(&"x".repeat(50_000)));
    let case = Attack::with_url("received-many-answers", "http", server.port()).setting("count", 4);
    let seen = case.limits(|l| l.received = ByteSize::bytes(120_000)).obtain();
    seen.assert_over_limit(Limit::Received);
    let lines = seen.lines();
    assert_eq!(lines[..2], ["200 50000 ok", "200 50000 ok"]);
    assert!(lines[2].ends_with(" err other HTTP response body size exceeds limit"), "{lines:?}");
    assert_eq!(lines[3], "err HttpResponseBodySize(None)");
}

#[test]
fn received_tcp() {
    let server = Server::babbling();
    let seen = Attack::with_port("received-tcp", server.port()).limits(|l| l.received = ByteSize::kib(200)).obtain();
    seen.assert_over_limit(Limit::Received);
    let bytes: usize = seen.report().split(' ').next().unwrap().parse().unwrap();
    assert!(bytes <= 200 << 10, "{bytes}");
}

#[test]
fn requests_many() {
    let server = Server::good();
    let case = Attack::with_url("requests-many", "http", server.port()).setting("count", 6);
    let seen = case.limits(|l| l.requests = 4).obtain();
    seen.assert_over_limit(Limit::Requests);
    assert_eq!(seen.lines(), [["ok 200 hello"; 4].as_slice(), &["err ConnectionLimitReached"; 2]].concat());
    assert_eq!(server.heard().len(), 4);
}

#[test]
fn requests_many_connections() {
    let server = Server::silent();
    let case = Attack::with_port("requests-many-connections", server.port()).setting("count", 6);
    // The look-up of the name is one as well.
    let seen = case.limits(|l| l.requests = 5).obtain();
    seen.assert_over_limit(Limit::Requests);
    let lines = seen.lines();
    assert_eq!(lines[..4], ["ok ()"; 4]);
    assert!(lines[4..].iter().all(|line| line.starts_with("err ")), "{lines:?}");
}

#[test]
fn requests_look_ups() {
    let name = host().name(&["127.0.0.1"]);
    let case = Attack::new("requests-look-ups").setting("name", &name).setting("count", 6).tcp(&format!("{name}:443"));
    let seen = case.limits(|l| l.requests = 4).obtain();
    seen.assert_over_limit(Limit::Requests);
    assert_eq!(
        seen.lines(),
        [["ok [127.0.0.1]"; 4].as_slice(), &["err \"resolve-addresses access-denied\""; 2]].concat()
    );
    assert_eq!(host().queries_for(&name), 4);
}

/// Refusals are bounded, in number and in length; uses of secrets are recorded after them nevertheless.
#[test]
fn requests_refused() {
    let seen = with_hmac("requests-refused").setting("count", 1_000).obtain();
    seen.assert_over_limit(Limit::Requests);
    assert!(!seen.report().is_empty());
    let done = |wanted: &str| {
        seen.events.iter().any(|event| {
            let used = matches!(&event.action, AuditAction::Secret { operation, .. } if operation == wanted);
            used && event.outcome == AuditOutcome::Done
        })
    };
    assert!(done("open") && done("hmac-sha256"), "{seen:?}");
    let refused = seen
        .events
        .iter()
        .filter(|event| matches!(event.action, AuditAction::Http { .. } | AuditAction::Name { .. }))
        .count();
    assert!(refused <= 100, "{refused} refusals are recorded");
    let suppressed = seen.events.iter().find_map(|event| match event.action {
        AuditAction::Dropped { events } => Some(events),
        _ => None,
    });
    assert_eq!(suppressed, Some(2_000 - refused as u64));
    let longest = seen.events.iter().map(|event| serde_json::to_string(event).unwrap().len()).max();
    assert!(longest < Some(700), "{longest:?}");
}

#[test]
fn requests_left_behind() {
    let (server, full) = (Server::waiting(), Full::start());
    let name = host().name(&["127.0.0.1"]);
    let case = Attack::with_url("requests-left-behind", "http", server.port());
    let case = case.setting("name", &name).setting("port", full.port()).tcp(&format!("{name}:{}", full.port()));
    let seen = case.obtain();
    assert_eq!(seen.report(), "done");
    assert!(seen.took < Duration::from_secs(3), "{:?}", seen.took);
    // What was under way is recorded, and before the end of the call.
    let cancelled = seen.events.iter().filter(|event| event.outcome == AuditOutcome::Cancelled);
    assert_eq!(cancelled.count(), 4, "{seen:?}");
    assert!(matches!(seen.events.last().unwrap().action, AuditAction::Call { .. }), "{seen:?}");
    // And over: the server sees it hang up.
    let hung_up = || server.open() == 0;
    for _ in 0..200 {
        if hung_up() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(hung_up(), "{} connections outlive the call", server.open());
}

#[test]
fn response_never_ends() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let server = Server::endless(head, &[b'x'; 16 * 1024], Duration::ZERO);
    let case = Attack::with_url("response-never-ends", "http", server.port());
    let seen = case.limits(|l| l.response = ByteSize::kib(200)).obtain();
    seen.assert_over_limit(Limit::Response);
    let report = seen.report();
    let [status, bytes, end] = report.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{report}") };
    assert_eq!((status, end), ("200", "err other HTTP response body size exceeds limit"));
    assert!(bytes.parse::<usize>().unwrap() <= 200 << 10, "{report}");
}

#[test]
fn response_announced_huge() {
    let server = Server::stalling("HTTP/1.1 200 OK\r\ncontent-length: 9999999999999\r\n\r\nxxxx");
    let seen = Attack::with_url("response-announced-huge", "http", server.port()).obtain();
    seen.assert_over_limit(Limit::Response);
    assert_eq!(seen.report(), "err HttpResponseBodySize(None)");
    assert!(seen.took < Duration::from_secs(5), "it was not refused by what it announced");
}

#[test]
fn secret_operations_many() {
    let case = with_hmac("secret-operations-many").setting("count", 20_000);
    let seen = case.limits(|l| l.secret_operations = 10).obtain();
    seen.assert_over_limit(Limit::SecretOperations);
    let lines = seen.lines();
    // To open it was one.
    assert!(lines[..9].iter().all(|line| line.starts_with("ok ")), "{:?}", &lines[..12]);
    assert!(lines[9..].iter().all(|line| line == "denied over the limit `secret-operations`"), "{:?}", &lines[..12]);
    assert_eq!(lines.len(), 20_000);
    assert!(seen.events.len() < 20, "{} audit events", seen.events.len());
}

#[test]
fn secret_operations_slow() {
    let grant = SecretGrant::new(Some(SecretPurpose::Pbkdf2), false);
    let case = Attack::new("secret-operations-slow").setting("secret", "key").secret("key", "a key", grant);
    let case = case.setting("count", 1_000).setting("iterations", 1_000_000);
    let seen = case.limits(|l| (l.wall, l.secret_operations) = (Span::secs(1), 1_000)).obtain();
    seen.assert_ended_by(Limit::Wall).assert_soon_after(Span::secs(1));
}

#[test]
fn sent_endless_body() {
    let server = Server::swallowing();
    let seen =
        Attack::with_url("sent-endless-body", "http", server.port()).limits(|l| l.sent = ByteSize::kib(200)).obtain();
    seen.assert_over_limit(Limit::Sent);
    assert_eq!(seen.lines()[1], "err \"HttpRequestBodySize(None)\"");
}

#[test]
fn sent_many_bodies() {
    // Reads a request's body too, so that hanging up loses nothing.
    let server = Server::start(|mut stream, heard| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        heard.request(&mut stream).await?;
        let mut buffer = vec![0; 1 << 20];
        while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut buffer)).await {}
        stream.write_all(response("hello").as_bytes()).await?;
        stream.shutdown().await
    });
    let case = Attack::with_url("sent-many-bodies", "http", server.port()).setting("bytes", 50_000).setting("count", 4);
    let seen = case.limits(|l| l.sent = ByteSize::bytes(120_000)).obtain();
    seen.assert_over_limit(Limit::Sent);
    let lines = seen.lines();
    assert_eq!(lines[..2], ["ok 200 hello", "ok 200 hello"]);
    assert_eq!(lines[2..], ["err HttpRequestBodySize(None)"; 2]);
}

#[test]
fn sent_tcp() {
    let server = Server::swallowing();
    let seen = Attack::with_port("sent-tcp", server.port()).limits(|l| l.sent = ByteSize::kib(200)).obtain();
    seen.assert_over_limit(Limit::Sent);
    assert!(seen.report().parse::<usize>().unwrap() <= 200 << 10, "{seen:?}");
}

/// Limits are a call's own: what one used up, the next has again.
#[test]
fn limits_are_per_call() {
    let server = Server::good();
    let case = Attack::with_url("requests-many", "http", server.port()).setting("count", 4).limits(|l| l.requests = 4);
    host().during_attack(|| {
        let provider = host().runtime.block_on(host().sandbox.load(&case.instance)).unwrap();
        for _ in 0..3 {
            assert_eq!(provider.obtained().lines(), ["ok 200 hello"; 4]);
        }
    });
}
