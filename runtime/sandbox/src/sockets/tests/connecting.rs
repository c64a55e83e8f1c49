use super::*;
use crate::testing::{FullBacklog, HangingResolver, Server, tcp};
use deputy_audit::AuditAction;
use deputy_core::{Limit, Span};

async fn server() -> Server {
    Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await
}

fn at(server: &Server, address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), server.port())
}

#[tokio::test]
async fn tcp_connects_to_the_addresses_of_a_granted_name() {
    let server = server().await;
    let rule = tcp(&format!("a.example:{}", server.port()));
    let mut guest = guest(vec![rule], Limits::default(), resolving_to(&["127.0.0.1"]));
    guest.lookup("a.example").await.map_err(|_| ()).unwrap();
    let connected = guest.connect(server.address).await.map_err(|_| ()).unwrap();
    let remote = guest.view().remote_address(borrow(&connected.socket)).map_err(|_| ()).unwrap();
    assert_eq!(SocketAddr::from(remote), server.address);
    assert_eq!(guest.audited.budget.usage.snapshot().requests, 2, "the look-up and the connection");
    assert_eq!(guest.outcomes(), [done()], "the look-up; the connection is recorded as begun, and when it ends");
    guest.end();
    let [event] = guest.audited.events().try_into().unwrap();
    let (address, host) = (server.address.to_string(), Some("a.example".to_owned()));
    assert_eq!(event.action, AuditAction::Tcp { address, host, sent: 0, received: 0, injected: Vec::new() });
    assert_eq!(event.outcome, AuditOutcome::Done);
}

#[tokio::test]
async fn tcp_denies_an_address_that_was_not_looked_up() {
    let server = server().await;
    let rule = tcp(&format!("a.example:{}", server.port()));
    let mut guest = guest(vec![rule], Limits::default(), resolving_to(&["127.0.0.1"]));
    assert_eq!(code(guest.connect(server.address).await.map(drop)), ErrorCode::AccessDenied);
    assert_eq!(guest.denials(), [PolicyDenial::Socket { address: server.address }]);
    assert_eq!(guest.outcomes(), [refused("socket-not-granted")]);
    assert_eq!(guest.audited.budget.usage.snapshot().requests, 1);
}

#[tokio::test]
async fn tcp_allows_a_looked_up_address_on_the_granted_port_only() {
    let server = server().await;
    let mut guest = guest(vec![tcp("a.example:1")], Limits::default(), resolving_to(&["127.0.0.1"]));
    guest.lookup("a.example").await.map_err(|_| ()).unwrap();
    assert_eq!(guest.outcomes(), [done()]);
    for to in [server.address, "127.0.0.2:1".parse().unwrap(), "[::1]:1".parse().unwrap()] {
        assert_eq!(code(guest.connect(to).await.map(drop)), ErrorCode::AccessDenied, "{to}");
        assert_eq!(guest.outcomes(), [refused("socket-not-granted")], "{to}");
    }
}

#[tokio::test]
async fn tcp_forgets_looked_up_names_after_the_call() {
    let server = server().await;
    let rules = || vec![tcp(&format!("a.example:{}", server.port()))];
    let mut first = guest(rules(), Limits::default(), resolving_to(&["127.0.0.1"]));
    first.lookup("a.example").await.map_err(|_| ()).unwrap();
    let mut second = guest(rules(), Limits::default(), resolving_to(&["127.0.0.1"]));
    assert_eq!(code(second.connect(server.address).await.map(drop)), ErrorCode::AccessDenied);
}

#[tokio::test]
async fn tcp_literal_address_needs_a_rule_and_a_network() {
    let server = server().await;
    let rule = tcp(&server.address.to_string());
    let mut granted = guest(vec![rule.clone()], Limits::default(), Arc::new(HangingResolver));
    assert!(granted.connect(server.address).await.is_ok());
    let mut other_port = guest(vec![tcp("127.0.0.1:1")], Limits::default(), Arc::new(HangingResolver));
    let mut no_network =
        guest(vec![TcpRule { networks: vec![], ..rule }], Limits::default(), Arc::new(HangingResolver));
    for guest in [&mut other_port, &mut no_network] {
        assert_eq!(code(guest.connect(server.address).await.map(drop)), ErrorCode::AccessDenied);
        assert_eq!(guest.outcomes(), [refused("socket-not-granted")]);
    }
}

#[tokio::test]
async fn tcp_denies_an_ipv4_mapped_address() {
    let server = server().await;
    let mapped = at(&server, "::ffff:127.0.0.1");
    let mut strange = guest(vec![], Limits::default(), Arc::new(HangingResolver));
    assert_eq!(code(strange.connect(mapped).await.map(drop)), ErrorCode::AccessDenied);
    assert_eq!(strange.denials(), [PolicyDenial::Socket { address: server.address }]);
    let mut granted = guest(vec![tcp(&server.address.to_string())], Limits::default(), Arc::new(HangingResolver));
    assert_eq!(code(granted.connect(mapped).await.map(drop)), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn tcp_address_of_the_other_family_is_invalid() {
    let server = server().await;
    let mut guest = guest(vec![tcp(&server.address.to_string())], Limits::default(), Arc::new(HangingResolver));
    let socket = guest.socket_of(IpAddressFamily::Ipv6);
    assert_eq!(code(guest.start(&socket, server.address)), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn tcp_connections_are_counted_and_limited() {
    let server = server().await;
    let limits = Limits { requests: 2, ..Limits::default() };
    let mut guest = guest(vec![tcp(&server.address.to_string())], limits, Arc::new(HangingResolver));
    for _ in 0..2 {
        assert!(guest.connect(server.address).await.is_ok());
    }
    assert_eq!(code(guest.connect(server.address).await.map(drop)), ErrorCode::AccessDenied);
    assert_eq!(guest.denials(), [PolicyDenial::Limit(Limit::Requests)]);
    assert_eq!(guest.outcomes(), [refused("over-limit:requests")]);
    guest.end();
    assert_eq!(guest.outcomes(), [done(), done()]);
}

#[tokio::test]
async fn tcp_refused_connection_is_no_denial() {
    let address = drop_address(server().await);
    let mut guest = guest(vec![tcp(&address.to_string())], Limits::default(), Arc::new(HangingResolver));
    assert_eq!(code(guest.connect(address).await.map(drop)), ErrorCode::ConnectionRefused);
    assert_eq!(guest.outcomes(), [(AuditOutcome::Failed, Some("connection-refused".into()))]);
}

fn drop_address(server: Server) -> SocketAddr {
    // A high port may belong to another process; one that was just released is free.
    let address = server.address;
    drop(server);
    SocketAddr::new("127.0.0.9".parse().unwrap(), address.port())
}

#[tokio::test]
async fn tcp_connecting_has_a_limit() {
    let full_backlog = FullBacklog::new().await;
    let limits = Limits { connect: Span::millis(100), ..Limits::default() };
    let mut guest = guest(vec![tcp(&full_backlog.address.to_string())], limits, Arc::new(HangingResolver));
    assert_eq!(code(guest.connect(full_backlog.address).await.map(drop)), ErrorCode::Timeout);
    assert_eq!((guest.denials(), guest.timeouts()), (vec![], vec![Limit::Connect]));
    assert_eq!(guest.outcomes(), [(AuditOutcome::Failed, Some("connect-timeout".into()))]);
}

#[tokio::test]
async fn tcp_socket_connects_once() {
    let server = server().await;
    let mut guest = guest(vec![tcp(&server.address.to_string())], Limits::default(), Arc::new(HangingResolver));
    let socket = guest.socket_of(IpAddressFamily::Ipv4);
    assert_eq!(code(guest.view().finish_connect(borrow(&socket)).map(drop)), ErrorCode::NotInProgress);
    guest.start(&socket, server.address).map_err(|_| ()).unwrap();
    assert_eq!(code(guest.start(&socket, server.address)), ErrorCode::ConcurrencyConflict);
    guest.ready(&Resource::<socket::TcpSocketState>::new_borrow(socket.rep())).await;
    assert_eq!(code(guest.start(&socket, server.address)), ErrorCode::ConcurrencyConflict);
    assert!(guest.view().finish_connect(borrow(&socket)).is_ok());
    assert_eq!(code(guest.start(&socket, server.address)), ErrorCode::InvalidState);
    assert_eq!(code(guest.view().finish_connect(borrow(&socket)).map(drop)), ErrorCode::NotInProgress);
}

#[tokio::test]
async fn tcp_socket_that_is_dropped_stops_connecting() {
    let server = server().await;
    let mut guest = guest(vec![tcp(&server.address.to_string())], Limits::default(), Arc::new(HangingResolver));
    let socket = guest.socket_of(IpAddressFamily::Ipv4);
    guest.start(&socket, server.address).map_err(|_| ()).unwrap();
    wasi_tcp::HostTcpSocket::drop(&mut guest.view(), socket).unwrap();
    crate::testing::pause(20).await;
    assert_eq!(guest.outcomes(), [(AuditOutcome::Cancelled, None)]);
}
