use super::*;
use crate::stand_in::World;
use crate::testing::{FullBacklog, Server, StaticResolver, http, pause, tcp};
use deputy_core::grant::{Grant, HttpTarget, Pinned, Scheme, Target};
use deputy_core::{Limit, Span};
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;

fn soon() -> Deadline {
    Deadline::after(Span::secs(5), Limit::Connect)
}

fn pinned(port: u16, addresses: &[&str]) -> Pinned {
    let grant = Grant { tcp: vec![tcp(&format!("a.example:{port}"))], ..Grant::default() };
    let target = Target::new(Scheme::Tcp, "a.example".parse().unwrap(), port);
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    grant.permit_tcp(&target).unwrap().pin(&addresses).unwrap()
}

#[tokio::test]
async fn resolve_gives_each_address_once_and_ipv4_as_ipv4() {
    let names = StaticResolver(vec![("a.example", vec!["::ffff:10.0.0.1", "10.0.0.1", "::1", "10.0.0.2", "::1"])]);
    let found = resolve(&names, &lookup_slots(), &"a.example".parse().unwrap()).await.unwrap();
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1", "::1", "10.0.0.2"]);
}

#[tokio::test]
async fn resolve_of_an_address_asks_no_resolver() {
    let names = StaticResolver(vec![("127.0.0.1", vec!["8.8.8.8"])]);
    let found = resolve(&names, &lookup_slots(), &"127.0.0.1".parse().unwrap()).await.unwrap();
    assert_eq!(found, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn resolve_without_addresses_is_an_error() {
    let names = StaticResolver(vec![("a.example", vec![])]);
    let error = resolve(&names, &lookup_slots(), &"a.example".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn resolve_with_the_system_knows_localhost() {
    let found = resolve(&SystemResolver::default(), &lookup_slots(), &"localhost".parse().unwrap()).await.unwrap();
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test]
async fn connect_tries_the_next_address() {
    let server = Server::start(|_| async {}).await;
    let stream = connect(pinned(server.port(), &["127.0.0.2", "127.0.0.1"]), soon(), &World::default()).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), server.address);
    assert!(stream.nodelay().unwrap());
}

#[tokio::test]
async fn connect_tries_only_the_pinned_addresses() {
    let server = Server::start(|_| async {}).await;
    let error =
        connect(pinned(server.port(), &["127.0.0.2", "127.0.0.3"]), soon(), &World::default()).await.unwrap_err();
    let ConnectError::Io(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn connect_to_a_silent_address_times_out() {
    let full_backlog = FullBacklog::new().await;
    let soon = Deadline::after(Span::millis(100), Limit::Connect);
    let error =
        connect(pinned(full_backlog.address.port(), &["127.0.0.1"]), soon, &World::default()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::TimedOut(DeadlineExceeded(DeadlineCause::Limit(Limit::Connect)))),
        "{error:?}"
    );
}

#[tokio::test]
async fn connect_leaves_time_for_the_next_address() {
    let full_backlog = FullBacklog::new().await;
    let (port, dead) = (full_backlog.address.port(), "127.0.0.1");
    let other = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let deadline = Deadline::after(Span::millis(1_500), Limit::Connect);
    let stream = connect(pinned(port, &[dead, "127.0.0.2"]), deadline, &World::default()).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), other.local_addr().unwrap());
    let refused = connect(pinned(port, &[dead, "127.0.0.3"]), deadline, &World::default()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Io(_)), "{refused:?}");
}

#[tokio::test]
async fn deadline_of_a_step_is_the_earliest() {
    let whole = |millis| Deadline::after(Span::millis(millis), Limit::Exchange);
    let exceeded = async |deadline: Deadline| deadline.run(std::future::pending::<()>()).await.unwrap_err().0;
    let (long, short) = (Span::secs(60), Span::millis(10));
    let requested = |millis| Some(Duration::from_millis(millis));
    assert_eq!(exceeded(whole(10).step(long, Limit::Tls, None)).await, DeadlineCause::Limit(Limit::Exchange));
    assert_eq!(
        exceeded(whole(10).step(long, Limit::Tls, requested(5_000))).await,
        DeadlineCause::Limit(Limit::Exchange)
    );
    assert_eq!(exceeded(whole(60_000).step(short, Limit::Tls, None)).await, DeadlineCause::Limit(Limit::Tls));
    assert_eq!(
        exceeded(whole(60_000).step(short, Limit::Tls, requested(5_000))).await,
        DeadlineCause::Limit(Limit::Tls)
    );
    assert_eq!(exceeded(whole(60_000).step(short, Limit::Tls, requested(10))).await, DeadlineCause::Limit(Limit::Tls));
    assert_eq!(exceeded(whole(60_000).step(long, Limit::Tls, requested(10))).await, DeadlineCause::Component);
    assert_eq!(exceeded(whole(60_000).step(long, Limit::Tls, requested(0))).await, DeadlineCause::Component);
    assert_eq!(whole(10).step(long, Limit::Tls, None).timer().await.0, DeadlineCause::Limit(Limit::Exchange));
}

#[tokio::test]
async fn deadline_share_leaves_time_for_the_rest() {
    let deadline = Deadline::after(Span::millis(400), Limit::Connect);
    let first = deadline.share(2);
    first.run(std::future::pending::<()>()).await.unwrap_err();
    assert!(deadline.run(pause(50)).await.is_ok(), "half of it is left");
    assert!(deadline.share(0).run(std::future::pending::<()>()).await.is_err());
}

#[tokio::test]
async fn deadline_is_capped_at_the_range_of_time() {
    let far = Deadline::after(Span::millis(u64::MAX), Limit::Wall);
    assert!(far.step(Span::millis(u64::MAX), Limit::Tls, Some(Duration::MAX)).run(async {}).await.is_ok());
}

/// A connection that was dropped is closed: nothing keeps it for another request.
#[tokio::test]
async fn connection_closes_when_dropped() {
    let (closed, told) = tokio::sync::oneshot::channel();
    let closed = std::sync::Mutex::new(Some(closed));
    let server = Server::start(move |mut stream| {
        let closed = closed.lock().unwrap().take().unwrap();
        async move {
            closed.send(stream.read(&mut [0; 1]).await.unwrap()).unwrap();
        }
    });
    let server = server.await;
    drop(connect(pinned(server.port(), &["127.0.0.1"]), soon(), &World::default()).await.unwrap());
    assert_eq!(told.await.unwrap(), 0);
}

#[test]
fn connect_pins_an_http_permit() {
    let grant = Grant { http: vec![http("http://a.example:8080")], ..Grant::default() };
    let target = HttpTarget::parse("http", "a.example:8080", "GET", "/", []).unwrap();
    let pinned = grant.permit_http(&target).unwrap().pin(&["127.0.0.1".parse().unwrap()]).unwrap();
    assert_eq!(pinned.addresses(), ["127.0.0.1:8080".parse().unwrap()]);
}
