//! What a component may use: nothing more, whatever it tries.

use std::sync::Arc;
use std::time::Duration;

use deputy_core::grant::{Purpose, SecretGrant};
use deputy_core::{ByteSize, Limit, Span};

use crate::bombs;
use crate::harness::{Case, Obtained, Seen, host, private_file};
use crate::servers::{Full, Server, response};

/// A case with a name that leads to a port of this machine, granted for HTTP: the setting `url`.
fn with_url(guest: &str, scheme: &str, port: u16) -> Case {
    let url = format!("{scheme}://{}:{port}", host().name(&["127.0.0.1"]));
    Case::new(guest).setting("url", &url).http(&url)
}

/// A case with a name that leads to a port of this machine, granted for TCP: the settings `name` and `port`.
fn with_port(guest: &str, port: u16) -> Case {
    let name = host().name(&["127.0.0.1"]);
    Case::new(guest).setting("name", &name).setting("port", port).tcp(&format!("{name}:{port}"))
}

fn with_hmac(guest: &str) -> Case {
    let grant = SecretGrant::new(Some(Purpose::HmacSha256), false);
    Case::new(guest).setting("secret", "key").secret("key", "a key", grant)
}

/// It ended soon after the limit, and not because of another one.
#[track_caller]
fn soon(seen: &Seen, limit: Span) {
    let most = limit.duration() + Duration::from_secs(2);
    assert!(seen.took >= limit.duration() && seen.took < most, "{:?} is not about {limit}", seen.took);
}

// Arguments.

#[test]
fn argument_huge_log() {
    Case::new("argument_huge_log").obtain().ended_by(Limit::Argument);
}

#[test]
fn argument_huge_list() {
    Case::new("argument_huge_list").obtain().ended_by(Limit::Argument);
}

#[test]
fn argument_huge_data() {
    with_hmac("argument_huge_data").obtain().ended_by(Limit::Argument);
}

#[test]
fn argument_poll_list() {
    Case::new("argument_poll_list").limits(|l| l.wall = Span::secs(5)).obtain().ended_by(Limit::Argument);
}

// Deadlines of the network.

#[test]
fn between_bytes_stall() {
    let server = Server::stalling("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    let limit = Span::millis(300);
    let seen = with_url("between_bytes_stall", "http", server.port()).limits(|l| l.between_bytes = limit).obtain();
    seen.over(Limit::BetweenBytes);
    assert_eq!(seen.report(), "200 4 err other connection read timeout");
    soon(&seen, limit);
}

#[test]
fn connect_backlog_full() {
    let (server, limit) = (Full::start(), Span::millis(300));
    let seen = with_url("connect_backlog_full", "http", server.port()).limits(|l| l.connect = limit).obtain();
    seen.over(Limit::Connect);
    assert_eq!(seen.report(), "err ConnectionTimeout");
    soon(&seen, limit);
}

#[test]
fn connect_name_never_resolves() {
    let (name, limit) = (host().silent_name(), Span::millis(300));
    let url = format!("http://{name}");
    let case = Case::new("connect_name_never_resolves").setting("url", &url).http(&url);
    let seen = case.limits(|l| l.connect = limit).obtain();
    seen.over(Limit::Connect);
    assert_eq!(seen.report(), "err ConnectionTimeout");
    soon(&seen, limit);
}

#[test]
fn connect_tcp_backlog_full() {
    let (server, limit) = (Full::start(), Span::millis(300));
    let seen = with_port("connect_tcp_backlog_full", server.port()).limits(|l| l.connect = limit).obtain();
    seen.over(Limit::Connect);
    assert_eq!(seen.report(), "err \"finish-connect timeout\"");
    soon(&seen, limit);
}

#[test]
fn tls_never_shakes_hands() {
    let (server, limit) = (Server::silent(), Span::millis(300));
    let seen = with_url("tls_never_shakes_hands", "https", server.port()).limits(|l| l.tls = limit).obtain();
    seen.over(Limit::Tls);
    assert_eq!(seen.report(), "err ConnectionTimeout");
    soon(&seen, limit);
}

#[test]
fn first_byte_never() {
    let (server, limit) = (Server::stalling(""), Span::millis(300));
    let seen = with_url("first_byte_never", "http", server.port()).limits(|l| l.first_byte = limit).obtain();
    seen.over(Limit::FirstByte);
    assert_eq!(seen.report(), "err ConnectionReadTimeout");
    soon(&seen, limit);
}

#[test]
fn first_byte_own_deadlines() {
    let (server, limit) = (Server::stalling(""), Span::millis(300));
    let seen = with_url("first_byte_own_deadlines", "http", server.port()).limits(|l| l.first_byte = limit).obtain();
    // No time and a nanosecond are the component's own wish; of the centuries it gets what the operator gives.
    seen.over(Limit::FirstByte);
    let lines = seen.lines();
    assert!(lines[..2].iter().all(|line| line.contains("Timeout")), "{lines:?}");
    assert_eq!(lines[2], "err ConnectionReadTimeout");
    soon(&seen, limit);
}

#[test]
fn first_byte_informational_endless() {
    let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let (server, limit) = (Server::endless("", hint, Duration::from_millis(20)), Span::millis(300));
    let case = with_url("first_byte_informational_endless", "http", server.port());
    let seen = case.limits(|l| l.first_byte = limit).obtain();
    seen.over(Limit::FirstByte);
    assert_eq!(seen.report(), "err ConnectionReadTimeout");
    soon(&seen, limit);
}

#[test]
fn exchange_drip() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let (server, limit) = (Server::endless(head, b"x", Duration::from_millis(20)), Span::millis(500));
    let seen = with_url("exchange_drip", "http", server.port()).limits(|l| l.exchange = limit).obtain();
    seen.over(Limit::Exchange);
    assert!(
        seen.report().starts_with("200 ") && seen.report().ends_with(" err other HTTP response timeout"),
        "{seen:?}"
    );
    soon(&seen, limit);
}

#[test]
fn exchange_body_never_read() {
    let (server, limit) = (Server::stalling(""), Span::millis(500));
    let case = with_url("exchange_body_never_read", "http", server.port());
    let seen = case.limits(|l| (l.exchange, l.sent) = (limit, ByteSize::mib(1024))).obtain();
    seen.over(Limit::Exchange);
    assert_eq!(seen.lines()[1], "err \"HttpResponseTimeout\"");
    soon(&seen, limit);
}

// Time.

#[test]
fn cpu_endless_loop() {
    let limit = Span::millis(300);
    let seen = Case::new("cpu_endless_loop").limits(|l| l.cpu = limit).obtain();
    soon(seen.ended_by(Limit::Cpu), limit);
}

#[test]
fn cpu_endless_host_calls() {
    let seen = Case::new("cpu_endless_host_calls").limits(|l| l.cpu = Span::millis(300)).obtain();
    seen.ended_by(Limit::Cpu);
}

#[test]
fn cpu_loop_at_start() {
    let seen = Case::new("cpu_loop_at_start").limits(|l| l.cpu = Span::millis(300)).obtain();
    soon(seen.ended_by(Limit::Cpu), Span::millis(300));
}

#[test]
fn cpu_loop_in_realloc() {
    let case = Case::new("cpu_loop_in_realloc").setting("a", "setting");
    let seen = case.limits(|l| l.cpu = Span::millis(300)).obtain();
    soon(seen.ended_by(Limit::Cpu), Span::millis(300));
}

#[test]
fn cpu_loop_in_post_return() {
    let seen = Case::new("cpu_loop_in_post_return").limits(|l| l.cpu = Span::millis(300)).obtain();
    soon(seen.ended_by(Limit::Cpu), Span::millis(300));
}

#[test]
fn cpu_endless_renewal() {
    let case = Case::new("cpu_endless_renewal").limits(|l| l.cpu = Span::millis(300));
    host().attack(|| {
        let host = host();
        host.runtime.block_on(async {
            let provider = host.sandbox.load(&case.instance).await.unwrap();
            let tokens = provider.obtain().await.result.unwrap();
            let renewed = provider.renew(&tokens).await.expect("it renews");
            assert_eq!(renewed.result.unwrap_err(), deputy_sandbox::CallError::Limit(Limit::Cpu));
            let revoked = provider.revoke(&tokens).await.expect("it revokes");
            assert_eq!(revoked.result.unwrap_err(), deputy_sandbox::CallError::Limit(Limit::Cpu));
            for (call, function) in [(renewed.id, "renew"), (revoked.id, "revoke")] {
                let end = host.events(call).pop().expect("an event");
                assert!(matches!(end.what, deputy_observe::What::Call { function: f, .. } if f == function), "{end:?}");
                assert_eq!(end.code.as_deref(), Some("over-limit:cpu"));
            }
        });
    });
}

#[test]
fn wall_sleep() {
    let limit = Span::millis(300);
    let seen = Case::new("wall_sleep").limits(|l| l.wall = limit).obtain();
    soon(seen.ended_by(Limit::Wall), limit);
}

#[test]
fn wall_naps() {
    let limit = Span::millis(500);
    let seen = Case::new("wall_naps").limits(|l| l.wall = limit).obtain();
    soon(seen.ended_by(Limit::Wall), limit);
}

#[test]
fn wall_silent_connection() {
    let (server, limit) = (Server::silent(), Span::millis(300));
    let seen = with_port("wall_silent_connection", server.port()).limits(|l| l.wall = limit).obtain();
    soon(seen.ended_by(Limit::Wall), limit);
}

/// A slow or hostile component delays nobody else.
#[test]
fn calls_beside_endless_loops_are_served() {
    let (server, name) = (Server::good(), host().name(&["127.0.0.1"]));
    let url = format!("http://{name}:{}", server.port());
    let looping = Case::new("cpu_endless_loop").limits(|l| l.cpu = Span::secs(1));
    let talking = Case::new("cpu_endless_host_calls").limits(|l| l.cpu = Span::secs(1));
    let other = Case::new("benign_http").setting("url", &url).setting("count", 2).http(&url);
    host().attack(|| {
        let host = host();
        host.runtime.block_on(async {
            let looping = host.sandbox.load(&looping.instance).await.unwrap();
            let talking = host.sandbox.load(&talking.instance).await.unwrap();
            let other = host.sandbox.load(&other.instance).await.unwrap();
            let mut attacks = tokio::task::JoinSet::new();
            for provider in [Arc::new(looping), Arc::new(talking)] {
                for _ in 0..4 {
                    let provider = Arc::clone(&provider);
                    attacks.spawn(async move { provider.obtain().await.result.err() });
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            for _ in 0..3 {
                let call =
                    tokio::time::timeout(Duration::from_secs(2), other.obtain()).await.expect("a call beside it");
                assert!(call.result.is_ok(), "{:?}", call.result);
            }
            while let Some(ended) = attacks.join_next().await {
                assert_eq!(ended.unwrap(), Some(deputy_sandbox::CallError::Limit(Limit::Cpu)));
            }
        });
    });
}

// Handles.

#[test]
fn handles_thousands() {
    Case::new("handles_thousands").obtain().ended_by(Limit::Handles);
}

#[test]
fn handles_secrets() {
    with_hmac("handles_secrets").limits(|l| l.secret_operations = 200_000).obtain().ended_by(Limit::Handles);
}

#[test]
fn handles_pollables() {
    Case::new("handles_pollables").obtain().ended_by(Limit::Handles);
}

#[test]
fn handles_sockets() {
    Case::new("handles_sockets").obtain().ended_by(Limit::Handles);
}

#[test]
fn handles_unsent_bodies() {
    Case::new("handles_unsent_bodies").obtain().ended_by(Limit::Handles);
}

// Headers and URLs.

#[test]
fn headers_large() {
    let server = Server::good();
    let case = with_url("headers_large", "http", server.port()).setting("bytes", 20_000);
    let seen = case.limits(|l| l.headers = ByteSize::kib(16)).obtain();
    seen.over(Limit::Headers);
    assert_eq!(seen.report(), "err HttpRequestHeaderSectionSize(None)");
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn headers_many() {
    let server = Server::good();
    let case = with_url("headers_many", "http", server.port()).setting("count", 2_000);
    let seen = case.limits(|l| l.headers = ByteSize::kib(16)).obtain();
    seen.ended_by(Limit::Headers);
    assert_eq!(server.heard(), [""; 0]);
}

#[test]
fn headers_of_answer_large() {
    let large = "x".repeat(40_000);
    let server = Server::answering(format!("HTTP/1.1 200 OK\r\nx-large: {large}\r\ncontent-length: 0\r\n\r\n"));
    let seen = with_url("headers_of_answer_large", "http", server.port()).obtain();
    seen.over(Limit::Headers);
    assert_eq!(seen.report(), "err HttpResponseHeaderSectionSize(None)");
}

#[test]
fn url_long() {
    let server = Server::good();
    let case = with_url("url_long", "http", server.port()).setting("bytes", "1000\n8000\n60000\n1000000");
    let seen = case.limits(|l| l.url = ByteSize::kib(4)).obtain();
    seen.over(Limit::Url);
    let expected =
        ["ok 200 hello", "err HttpRequestUriTooLong", "err HttpRequestUriTooLong", "err set-path-with-query"];
    assert_eq!(seen.lines(), expected);
    assert_eq!(server.heard().len(), 1);
}

// What instances are made of.

#[test]
fn instances_bomb() {
    let bomb = private_file(&bombs::with_instances("instances_bomb", &bombs::nothing(), 900));
    Case::of("instances_bomb", &bomb).obtain().ended_by(Limit::Instances);
    let few = private_file(&bombs::with_instances("instances_bomb", &bombs::nothing(), 8));
    assert_eq!(Case::of("instances_bomb", &few).obtain().report(), "instantiated");
}

#[test]
fn memory_bomb() {
    let seen = Case::new("memory_bomb").obtain();
    seen.ended_by(Limit::Memory);
}

#[test]
fn memory_bomb_at_start() {
    Case::new("memory_bomb_at_start").obtain().ended_by(Limit::Memory);
}

#[test]
fn memory_of_many_instances() {
    let bomb = private_file(&bombs::with_instances("memory_of_many_instances", &bombs::memory(256), 5));
    Case::of("memory_of_many_instances", &bomb).obtain().ended_by(Limit::Memory);
    let small = private_file(&bombs::with_instances("memory_of_many_instances", &bombs::memory(256), 3));
    assert_eq!(Case::of("memory_of_many_instances", &small).obtain().report(), "instantiated");
}

#[test]
fn memory_random_bytes() {
    let seen = Case::new("memory_random_bytes").obtain();
    seen.trapped("exceeds").unrefused();
}

#[test]
fn memory_write_zeroes() {
    for bytes in [u64::MAX, 1 << 40, 1 << 20] {
        let seen = Case::new("memory_write_zeroes").setting("bytes", bytes).obtain();
        seen.trapped("check_write").unrefused();
    }
}

#[test]
fn table_elements_bomb() {
    let bomb = private_file(&bombs::with_instances("table_elements_bomb", &bombs::growing_table(), 1));
    Case::of("table_elements_bomb", &bomb)
        .limits(|l| l.table_elements = 50_000)
        .obtain()
        .ended_by(Limit::TableElements);
}

/// The pool has slots for so many memories; components that take many of them must not leave other calls without.
#[test]
fn memories_of_many_calls_leave_enough_for_others() {
    let bomb = private_file(&bombs::with_instances("wall_sleep", &bombs::memory(1), 60));
    let short = |limits: &mut deputy_core::Limits| limits.wall = Span::secs(2);
    let (many, one) = (Case::of("wall_sleep", &bomb).limits(short), Case::new("wall_sleep").limits(short));
    host().attack(|| {
        let host = host();
        host.runtime.block_on(async {
            let many = host.sandbox.load(&many.instance).await.unwrap();
            let one = host.sandbox.load(&one.instance).await.unwrap();
            let benign = host.sandbox.load(&Case::new("benign").setting("name", "you").instance).await.unwrap();
            // Those that take one each fill what those that take many have left.
            let attacks = async {
                let many = futures_of(40, || async { drop(many.obtain().await) });
                let one = futures_of(80, || async { drop(one.obtain().await) });
                tokio::join!(many, one);
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

/// So many futures at once.
async fn futures_of<F: Future<Output = ()>>(count: usize, make: impl Fn() -> F) {
    let mut all: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

// Log.

/// The limit was passed, the component does not know, and the log ends with one line that says how much is missing.
#[track_caller]
fn log_ended_by(seen: &Seen, limit: Limit, dropped: u64) {
    assert_eq!(seen.call.refusals, [deputy_core::Refusal::Limit(limit)], "{seen:?}");
    assert_eq!(seen.report(), "wrote");
    assert!(seen.call.log_tail.len() <= 8 << 10, "{}", seen.call.log_tail.len());
    let log = host().log_of_call(seen.call.id);
    let last = log.lines().last().expect("a line");
    assert!(last.contains(&format!("{dropped} lines were dropped: over the limit `{limit}`")), "{last}");
    assert!(log.len() < 200 << 10, "{}", log.len());
}

#[test]
fn log_lines_million() {
    let seen = Case::new("log_lines_million").obtain();
    log_ended_by(&seen, Limit::LogLines, 999_800);
    let log = host().log_of_call(seen.call.id);
    assert!(log.contains("line 0 ") && log.contains("line 199 ") && !log.contains("line 200 "), "{log}");
}

#[test]
fn log_lines_stdout() {
    let seen = Case::new("log_lines_stdout").obtain();
    log_ended_by(&seen, Limit::LogLines, 200_000 - 200);
}

#[test]
fn log_bytes_long_lines() {
    let seen = Case::new("log_bytes_long_lines").obtain();
    // Of each line 4 KiB are shown, and sixteen of these are the limit.
    log_ended_by(&seen, Limit::LogBytes, 50 - 16);
}

#[test]
fn log_bytes_no_newline() {
    let seen = Case::new("log_bytes_no_newline").obtain();
    assert_eq!(seen.unrefused().report(), "wrote");
    assert!(seen.call.log_tail.len() <= 8 << 10, "{}", seen.call.log_tail.len());
    let log = host().log_of_call(seen.call.id);
    assert!(log.lines().count() == 1 && log.len() < 5_000, "{} bytes", log.len());
}

// What goes out and what comes back.

#[test]
fn payload_huge() {
    let limit = |l: &mut deputy_core::Limits| l.payload = ByteSize::kib(64);
    let seen = Case::new("payload_huge").setting("bytes", (64 << 10) + 1).limits(limit).obtain();
    seen.ended_by(Limit::Payload);
    let seen = Case::new("payload_huge").setting("bytes", 32 << 20).limits(limit).obtain();
    seen.ended_by(Limit::Payload);
    let seen = Case::new("payload_huge").setting("bytes", 64 << 10).limits(limit).obtain();
    assert_eq!(seen.report().len(), 64 << 10);
}

#[test]
fn payload_out_of_bounds() {
    let seen = Case::new("payload_out_of_bounds").obtain();
    seen.trapped("out of bounds").unrefused();
}

#[test]
fn received_many_answers() {
    let server = Server::answering(response(&"x".repeat(50_000)));
    let case = with_url("received_many_answers", "http", server.port()).setting("count", 4);
    let seen = case.limits(|l| l.received = ByteSize::bytes(120_000)).obtain();
    seen.over(Limit::Received);
    let lines = seen.lines();
    assert_eq!(lines[..2], ["200 50000 ok", "200 50000 ok"]);
    assert!(lines[2].ends_with(" err other HTTP response body size exceeds limit"), "{lines:?}");
    assert_eq!(lines[3], "err HttpResponseBodySize(None)");
}

#[test]
fn received_tcp() {
    let server = Server::babbling();
    let seen = with_port("received_tcp", server.port()).limits(|l| l.received = ByteSize::kib(200)).obtain();
    seen.over(Limit::Received);
    let bytes: usize = seen.report().split(' ').next().unwrap().parse().unwrap();
    assert!(bytes <= 200 << 10, "{bytes}");
}

#[test]
fn requests_many() {
    let server = Server::good();
    let case = with_url("requests_many", "http", server.port()).setting("count", 6);
    let seen = case.limits(|l| l.requests = 4).obtain();
    seen.over(Limit::Requests);
    assert_eq!(seen.lines(), [["ok 200 hello"; 4].as_slice(), &["err ConnectionLimitReached"; 2]].concat());
    assert_eq!(server.heard().len(), 4);
}

#[test]
fn requests_many_connections() {
    let server = Server::silent();
    let case = with_port("requests_many_connections", server.port()).setting("count", 6);
    let seen = case.limits(|l| l.requests = 4).obtain();
    seen.over(Limit::Requests);
    let lines = seen.lines();
    assert_eq!(lines[..4], ["ok ()"; 4]);
    assert!(lines[4..].iter().all(|line| line.starts_with("err ")), "{lines:?}");
}

#[test]
fn requests_left_behind() {
    let (server, full) = (Server::waiting(), Full::start());
    let name = host().name(&["127.0.0.1"]);
    let case = with_url("requests_left_behind", "http", server.port());
    let case = case.setting("name", &name).setting("port", full.port()).tcp(&format!("{name}:{}", full.port()));
    let seen = case.obtain();
    assert_eq!(seen.report(), "done");
    assert!(seen.took < Duration::from_secs(3), "{:?}", seen.took);
    // What was under way is recorded, and before the end of the call.
    let cancelled = seen.events.iter().filter(|event| event.outcome == deputy_observe::Outcome::Cancelled);
    assert_eq!(cancelled.count(), 4, "{seen:?}");
    assert!(matches!(seen.events.last().unwrap().what, deputy_observe::What::Call { .. }), "{seen:?}");
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
    let case = with_url("response_never_ends", "http", server.port());
    let seen = case.limits(|l| l.response = ByteSize::kib(200)).obtain();
    seen.over(Limit::Response);
    let report = seen.report();
    let [status, bytes, end] = report.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{report}") };
    assert_eq!((status, end), ("200", "err other HTTP response body size exceeds limit"));
    assert!(bytes.parse::<usize>().unwrap() <= 200 << 10, "{report}");
}

#[test]
fn response_announced_huge() {
    let server = Server::stalling("HTTP/1.1 200 OK\r\ncontent-length: 9999999999999\r\n\r\nxxxx");
    let seen = with_url("response_announced_huge", "http", server.port()).obtain();
    seen.over(Limit::Response);
    assert_eq!(seen.report(), "err HttpResponseBodySize(None)");
    assert!(seen.took < Duration::from_secs(5), "it was not refused by what it announced");
}

#[test]
fn secret_operations_many() {
    let case = with_hmac("secret_operations_many").setting("count", 20_000);
    let seen = case.limits(|l| l.secret_operations = 10).obtain();
    seen.over(Limit::SecretOperations);
    let lines = seen.lines();
    // To open it was one.
    assert!(lines[..9].iter().all(|line| line.starts_with("ok ")), "{:?}", &lines[..12]);
    assert!(lines[9..].iter().all(|line| line == "denied over the limit `secret-operations`"), "{:?}", &lines[..12]);
    assert_eq!(lines.len(), 20_000);
    assert!(seen.events.len() < 20, "{} audit events", seen.events.len());
}

#[test]
fn secret_operations_slow() {
    let grant = SecretGrant::new(Some(Purpose::Pbkdf2), false);
    let case = Case::new("secret_operations_slow").setting("secret", "key").secret("key", "a key", grant);
    let case = case.setting("count", 1_000).setting("iterations", 1_000_000);
    let seen = case.limits(|l| (l.wall, l.secret_operations) = (Span::secs(1), 1_000)).obtain();
    soon(seen.ended_by(Limit::Wall), Span::secs(1));
}

#[test]
fn sent_endless_body() {
    let server = Server::swallowing();
    let seen = with_url("sent_endless_body", "http", server.port()).limits(|l| l.sent = ByteSize::kib(200)).obtain();
    seen.over(Limit::Sent);
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
    let case = with_url("sent_many_bodies", "http", server.port()).setting("bytes", 50_000).setting("count", 4);
    let seen = case.limits(|l| l.sent = ByteSize::bytes(120_000)).obtain();
    seen.over(Limit::Sent);
    let lines = seen.lines();
    assert_eq!(lines[..2], ["ok 200 hello", "ok 200 hello"]);
    assert_eq!(lines[2..], ["err HttpRequestBodySize(None)"; 2]);
}

#[test]
fn sent_tcp() {
    let server = Server::swallowing();
    let seen = with_port("sent_tcp", server.port()).limits(|l| l.sent = ByteSize::kib(200)).obtain();
    seen.over(Limit::Sent);
    assert!(seen.report().parse::<usize>().unwrap() <= 200 << 10, "{seen:?}");
}

/// Limits are a call's own: what one used up, the next has again.
#[test]
fn what_a_call_used_up_the_next_has_again() {
    let server = Server::good();
    let case = with_url("requests_many", "http", server.port()).setting("count", 4).limits(|l| l.requests = 4);
    host().attack(|| {
        let provider = host().runtime.block_on(host().sandbox.load(&case.instance)).unwrap();
        for _ in 0..3 {
            assert_eq!(provider.obtained().lines(), ["ok 200 hello"; 4]);
        }
    });
}
