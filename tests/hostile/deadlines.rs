//! Time: of the network, of the component itself, and of the whole call.

use std::sync::Arc;
use std::time::Duration;

use deputy_audit::AuditOutcome;
use deputy_core::{ByteSize, Limit, Span};
use deputy_sandbox::{CallError, Interruption};
use deputy_test_servers::with_straight_line_calls;

use crate::bombs;
use crate::harness::{Attack, host};
use crate::servers::{Full, Server};
use crate::surroundings::{guest_file, private_file};

// Deadlines of the network.

#[test]
fn between_bytes_stall() {
    let server = Server::stalling("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    let limit = Span::millis(300);
    let seen =
        Attack::with_url("between-bytes-stall", "http", server.port()).limits(|l| l.between_bytes = limit).obtain();
    seen.assert_unanswered(Limit::BetweenBytes, "body-timeout");
    assert_eq!(seen.report(), "200 4 err other connection read timeout");
    seen.assert_soon_after(limit);
}

#[test]
fn connect_backlog_full() {
    let (server, limit) = (Full::start(), Span::millis(300));
    let seen = Attack::with_url("connect-backlog-full", "http", server.port()).limits(|l| l.connect = limit).obtain();
    seen.assert_unanswered(Limit::Connect, "connect-timeout");
    assert_eq!(seen.report(), "err ConnectionTimeout");
    seen.assert_soon_after(limit);
}

#[test]
fn connect_name_never_resolves() {
    let (name, limit) = (host().silent_name(), Span::millis(300));
    let url = format!("http://{name}");
    let case = Attack::new("connect-name-never-resolves").setting("url", &url).http(&url);
    let seen = case.limits(|l| l.connect = limit).obtain();
    seen.assert_unanswered(Limit::Connect, "connect-timeout");
    assert_eq!(seen.report(), "err ConnectionTimeout");
    seen.assert_soon_after(limit);
}

#[test]
fn connect_tcp_backlog_full() {
    let (server, limit) = (Full::start(), Span::millis(300));
    let seen = Attack::with_port("connect-tcp-backlog-full", server.port()).limits(|l| l.connect = limit).obtain();
    seen.assert_unanswered(Limit::Connect, "connect-timeout");
    assert_eq!(seen.report(), "err \"finish-connect timeout\"");
    seen.assert_soon_after(limit);
}

#[test]
fn tls_never_shakes_hands() {
    let (server, limit) = (Server::silent(), Span::millis(300));
    let seen = Attack::with_url("tls-never-shakes-hands", "https", server.port()).limits(|l| l.tls = limit).obtain();
    seen.assert_unanswered(Limit::Tls, "tls-timeout");
    assert_eq!(seen.report(), "err ConnectionTimeout");
    seen.assert_soon_after(limit);
}

#[test]
fn first_byte_never() {
    let (server, limit) = (Server::stalling(""), Span::millis(300));
    let seen = Attack::with_url("first-byte-never", "http", server.port()).limits(|l| l.first_byte = limit).obtain();
    seen.assert_unanswered(Limit::FirstByte, "first-byte-timeout");
    assert_eq!(seen.report(), "err ConnectionReadTimeout");
    seen.assert_soon_after(limit);
}

#[test]
fn first_byte_own_deadlines() {
    let (server, limit) = (Server::stalling(""), Span::millis(300));
    let seen =
        Attack::with_url("first-byte-own-deadlines", "http", server.port()).limits(|l| l.first_byte = limit).obtain();
    // No time and a nanosecond are the component's own wish; of the centuries it gets what the operator gives.
    seen.assert_unanswered(Limit::FirstByte, "first-byte-timeout");
    let lines = seen.lines();
    assert!(lines[..2].iter().all(|line| line.contains("Timeout")), "{lines:?}");
    assert_eq!(lines[2], "err ConnectionReadTimeout");
    seen.assert_soon_after(limit);
}

#[test]
fn first_byte_informational_endless() {
    let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let (server, limit) = (Server::endless("", hint, Duration::from_millis(20)), Span::millis(300));
    let case = Attack::with_url("first-byte-informational-endless", "http", server.port());
    let seen = case.limits(|l| l.first_byte = limit).obtain();
    seen.assert_unanswered(Limit::FirstByte, "first-byte-timeout");
    assert_eq!(seen.report(), "err ConnectionReadTimeout");
    seen.assert_soon_after(limit);
}

#[test]
fn exchange_drip() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let (server, limit) = (Server::endless(head, b"x", Duration::from_millis(20)), Span::millis(500));
    let seen = Attack::with_url("exchange-drip", "http", server.port()).limits(|l| l.exchange = limit).obtain();
    seen.assert_unanswered(Limit::Exchange, "timeout");
    assert!(
        seen.report().starts_with("200 ") && seen.report().ends_with(" err other HTTP response timeout"),
        "{seen:?}"
    );
    seen.assert_soon_after(limit);
}

#[test]
fn exchange_body_never_read() {
    let (server, limit) = (Server::stalling(""), Span::millis(500));
    let case = Attack::with_url("exchange-body-never-read", "http", server.port());
    let seen = case.limits(|l| (l.exchange, l.sent) = (limit, ByteSize::mib(1024))).obtain();
    seen.assert_unanswered(Limit::Exchange, "timeout");
    assert_eq!(seen.lines()[1], "err \"HttpResponseTimeout\"");
    seen.assert_soon_after(limit);
}

// Time.

#[test]
fn cpu_endless_loop() {
    let limit = Span::millis(300);
    let seen = Attack::new("cpu-endless-loop").limits(|l| l.cpu = limit).obtain();
    seen.assert_ended_by(Limit::Cpu).assert_soon_after(limit);
}

#[test]
fn cpu_endless_host_calls() {
    let seen = Attack::new("cpu-endless-host-calls").limits(|l| l.cpu = Span::millis(300)).obtain();
    seen.assert_ended_by(Limit::Cpu);
}

#[test]
fn cpu_loop_at_start() {
    let seen = Attack::new("cpu-loop-at-start").limits(|l| l.cpu = Span::millis(300)).obtain();
    seen.assert_ended_by(Limit::Cpu).assert_soon_after(Span::millis(300));
}

#[test]
fn cpu_loop_in_realloc() {
    let case = Attack::new("cpu-loop-in-realloc").setting("a", "setting");
    let seen = case.limits(|l| l.cpu = Span::millis(300)).obtain();
    seen.assert_ended_by(Limit::Cpu).assert_soon_after(Span::millis(300));
}

#[test]
fn cpu_loop_in_post_return() {
    let seen = Attack::new("cpu-loop-in-post-return").limits(|l| l.cpu = Span::millis(300)).obtain();
    seen.assert_ended_by(Limit::Cpu).assert_soon_after(Span::millis(300));
}

#[test]
fn cpu_endless_renewal() {
    let case = Attack::new("cpu-endless-renewal").limits(|l| l.cpu = Span::millis(300));
    host().during_attack(|| {
        let host = host();
        host.runtime.block_on(async {
            let provider = host.sandbox.load(&case.instance).await.unwrap();
            let tokens = provider.obtain().await.result.unwrap();
            let renewed = provider.renew(&tokens).await.expect("it renews");
            assert_eq!(renewed.result.unwrap_err(), CallError::Limit(Limit::Cpu));
            let revoked = provider.revoke(&tokens).await.expect("it revokes");
            assert_eq!(revoked.result.unwrap_err(), CallError::Limit(Limit::Cpu));
            for (call, function) in [(renewed.id, "renew"), (revoked.id, "revoke")] {
                let end = host.events(call).pop().expect("an event");
                assert!(
                    matches!(end.action, deputy_audit::AuditAction::Call { function: f, .. } if f == function),
                    "{end:?}"
                );
                assert_eq!(end.code.as_deref(), Some("over-limit:cpu"));
            }
        });
    });
}

#[test]
fn wall_sleep() {
    let limit = Span::millis(300);
    let seen = Attack::new("wall-sleep").limits(|l| l.wall = limit).obtain();
    seen.assert_ended_by(Limit::Wall).assert_soon_after(limit);
}

#[test]
fn wall_naps() {
    let limit = Span::millis(500);
    let seen = Attack::new("wall-naps").limits(|l| l.wall = limit).obtain();
    seen.assert_ended_by(Limit::Wall).assert_soon_after(limit);
}

#[test]
fn wall_silent_connection() {
    let (server, limit) = (Server::silent(), Span::millis(300));
    let seen = Attack::with_port("wall-silent-connection", server.port()).limits(|l| l.wall = limit).obtain();
    let interrupted = CallError::Interrupted(Interruption::Network(Limit::Wall));
    assert_eq!(seen.call.result.as_ref().err(), Some(&interrupted), "{seen:?}");
    let end = seen.events.last().expect("an event");
    assert_eq!((end.outcome, end.code.as_deref()), (AuditOutcome::Failed, Some("no-answer")), "{seen:?}");
    seen.assert_not_denied().assert_soon_after(limit);
}

// Straight lines: host calls between which the component itself never looks at the clock.

/// A component that does nothing else whenever it is instantiated, for whatever call.
fn straight_line(calls: u32) -> Attack {
    let guest = std::fs::read(guest_file("log-lines-million")).unwrap();
    let bomb = private_file(&with_straight_line_calls(&guest, calls, 4_000_000));
    // Each message is all that an argument may be.
    Attack::of_component("straight-line", &bomb)
}

#[test]
fn cpu_straight_line_host_calls() {
    let limit = Span::millis(300);
    let seen = straight_line(20_000).limits(|l| l.cpu = limit).obtain();
    seen.assert_ended_by(Limit::Cpu);
    assert!(seen.took < Duration::from_secs(5), "{:?}", seen.took);
}

#[test]
fn wall_straight_line_host_calls() {
    let limit = Span::millis(300);
    let seen = straight_line(20_000).limits(|l| (l.wall, l.cpu) = (limit, Span::secs(60))).obtain();
    seen.assert_ended_by(Limit::Wall).assert_soon_after(limit);
}

#[test]
fn cpu_straight_line_service_name() {
    let case = straight_line(20_000).limits(|l| l.cpu = Span::millis(300));
    host().during_attack(|| {
        let host = host();
        host.runtime.block_on(async {
            let provider = host.sandbox.load(&case.instance).await.unwrap();
            let call = provider.service_name().await;
            assert_eq!(call.result.unwrap_err(), CallError::Limit(Limit::Cpu));
        });
    });
}

#[test]
fn cpu_straight_line_fills() {
    let guest = bombs::with_instances("cpu-endless-loop", &bombs::straight_line_fills(1024, 5_000), 1);
    let case = Attack::of_component("straight-line-fills", &private_file(&guest));
    let seen = case.limits(|l| (l.cpu, l.memory) = (Span::millis(300), ByteSize::mib(128))).obtain();
    seen.assert_ended_by(Limit::Cpu);
    assert!(seen.took < Duration::from_secs(5), "{:?}", seen.took);
}

/// As many as there are threads for components: timers, and the calls of others, go on.
#[test]
fn calls_beside_straight_lines_are_served() {
    let threads = std::thread::available_parallelism().unwrap().get().max(2);
    let attack = straight_line(20_000).limits(|l| l.cpu = Span::secs(2));
    let other = Attack::new("benign").setting("name", "you");
    host().during_attack(|| {
        let host = host();
        let attack = Arc::new(host.runtime.block_on(host.sandbox.load(&attack.instance)).unwrap());
        let other = host.runtime.block_on(host.sandbox.load(&other.instance)).unwrap();
        // One thread serves everything but components: a block of it would be seen.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut attacks = tokio::task::JoinSet::new();
            for _ in 0..2 * threads {
                let attack = Arc::clone(&attack);
                attacks.spawn(async move { attack.obtain().await.result.err() });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            for _ in 0..5 {
                let begun = std::time::Instant::now();
                tokio::time::sleep(Duration::from_millis(20)).await;
                assert!(begun.elapsed() < Duration::from_secs(1), "a timer was held up for {:?}", begun.elapsed());
                let call = tokio::time::timeout(Duration::from_secs(2), other.obtain()).await.expect("a call beside");
                assert!(call.result.is_ok(), "{:?}", call.result);
            }
            while let Some(ended) = attacks.join_next().await {
                assert_eq!(ended.unwrap(), Some(CallError::Limit(Limit::Cpu)));
            }
        });
    });
}

/// A slow or hostile component delays no other.
#[test]
fn calls_beside_endless_loops_are_served() {
    let (server, name) = (Server::good(), host().name(&["127.0.0.1"]));
    let url = format!("http://{name}:{}", server.port());
    let looping = Attack::new("cpu-endless-loop").limits(|l| l.cpu = Span::secs(1));
    let talking = Attack::new("cpu-endless-host-calls").limits(|l| l.cpu = Span::secs(1));
    let other = Attack::new("benign-http").setting("url", &url).setting("count", 2).http(&url);
    host().during_attack(|| {
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
                assert_eq!(ended.unwrap(), Some(CallError::Limit(Limit::Cpu)));
            }
        });
    });
}
