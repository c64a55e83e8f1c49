use super::*;
use crate::testing::{Deaf, Server, Silent, tcp};
use deputy_core::{Limit, Span};
use deputy_observe::AuditAction;

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
async fn where_a_granted_name_led_may_be_connected_to() {
    let server = server().await;
    let rule = tcp(&format!("a.example:{}", server.port()));
    let mut lab = lab(vec![rule], Limits::default(), leading_to(&["127.0.0.1"]));
    lab.look_up("a.example").await.map_err(|_| ()).unwrap();
    let connected = lab.connect(server.address).await.map_err(|_| ()).unwrap();
    let remote = lab.view().remote_address(borrow(&connected.socket)).map_err(|_| ()).unwrap();
    assert_eq!(SocketAddr::from(remote), server.address);
    assert_eq!(lab.book.budget.usage.snapshot().requests, 2, "the look-up and the connection");
    let events = lab.book.events();
    assert_eq!(events[1].what, AuditAction::Tcp { address: server.address.to_string() });
    assert_eq!((events.len(), events[1].outcome), (2, AuditOutcome::Done));
}

#[tokio::test]
async fn an_address_that_nobody_looked_up_may_not_be_connected_to() {
    let server = server().await;
    let rule = tcp(&format!("a.example:{}", server.port()));
    let mut lab = lab(vec![rule], Limits::default(), leading_to(&["127.0.0.1"]));
    assert_eq!(code(lab.connect(server.address).await.map(drop)), ErrorCode::AccessDenied);
    assert_eq!(lab.denials(), [PolicyDenial::Socket { address: server.address }]);
    assert_eq!(lab.endings(), [refused("socket-not-granted")]);
    assert_eq!(lab.book.budget.usage.snapshot().requests, 1);
}

#[tokio::test]
async fn a_looked_up_address_is_good_for_the_granted_port_and_for_itself_alone() {
    let server = server().await;
    let mut lab = lab(vec![tcp("a.example:1")], Limits::default(), leading_to(&["127.0.0.1"]));
    lab.look_up("a.example").await.map_err(|_| ()).unwrap();
    assert_eq!(lab.endings(), [done()]);
    for to in [server.address, "127.0.0.2:1".parse().unwrap(), "[::1]:1".parse().unwrap()] {
        assert_eq!(code(lab.connect(to).await.map(drop)), ErrorCode::AccessDenied, "{to}");
        assert_eq!(lab.endings(), [refused("socket-not-granted")], "{to}");
    }
}

#[tokio::test]
async fn what_one_call_looked_up_is_nothing_to_the_next() {
    let server = server().await;
    let rules = || vec![tcp(&format!("a.example:{}", server.port()))];
    let mut first = lab(rules(), Limits::default(), leading_to(&["127.0.0.1"]));
    first.look_up("a.example").await.map_err(|_| ()).unwrap();
    let mut second = lab(rules(), Limits::default(), leading_to(&["127.0.0.1"]));
    assert_eq!(code(second.connect(server.address).await.map(drop)), ErrorCode::AccessDenied);
}

#[tokio::test]
async fn a_literal_address_needs_a_rule_and_its_network() {
    let server = server().await;
    let rule = tcp(&server.address.to_string());
    let mut granted = lab(vec![rule.clone()], Limits::default(), Arc::new(Silent));
    assert!(granted.connect(server.address).await.is_ok());
    let mut other_port = lab(vec![tcp("127.0.0.1:1")], Limits::default(), Arc::new(Silent));
    let mut no_network = lab(vec![TcpRule { networks: vec![], ..rule }], Limits::default(), Arc::new(Silent));
    for lab in [&mut other_port, &mut no_network] {
        assert_eq!(code(lab.connect(server.address).await.map(drop)), ErrorCode::AccessDenied);
        assert_eq!(lab.endings(), [refused("socket-not-granted")]);
    }
}

#[tokio::test]
async fn an_ipv4_address_in_ipv6_clothes_is_judged_as_itself_and_not_connected_to() {
    let server = server().await;
    let mapped = at(&server, "::ffff:127.0.0.1");
    let mut strange = lab(vec![], Limits::default(), Arc::new(Silent));
    assert_eq!(code(strange.connect(mapped).await.map(drop)), ErrorCode::AccessDenied);
    assert_eq!(strange.denials(), [PolicyDenial::Socket { address: server.address }]);
    let mut granted = lab(vec![tcp(&server.address.to_string())], Limits::default(), Arc::new(Silent));
    assert_eq!(code(granted.connect(mapped).await.map(drop)), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn an_address_of_the_other_family_is_an_invalid_argument() {
    let server = server().await;
    let mut lab = lab(vec![tcp(&server.address.to_string())], Limits::default(), Arc::new(Silent));
    let socket = lab.socket_of(IpAddressFamily::Ipv6);
    assert_eq!(code(lab.start(&socket, server.address)), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn connections_are_counted_and_the_one_too_many_is_refused() {
    let server = server().await;
    let limits = Limits { requests: 2, ..Limits::default() };
    let mut lab = lab(vec![tcp(&server.address.to_string())], limits, Arc::new(Silent));
    for _ in 0..2 {
        assert!(lab.connect(server.address).await.is_ok());
    }
    assert_eq!(code(lab.connect(server.address).await.map(drop)), ErrorCode::AccessDenied);
    assert_eq!(lab.denials(), [PolicyDenial::Limit(Limit::Requests)]);
    assert_eq!(lab.endings(), [done(), done(), refused("over-limit:requests")]);
}

#[tokio::test]
async fn nobody_listening_is_a_refused_connection_and_no_refusal_of_ours() {
    let address = drop_address(server().await);
    let mut lab = lab(vec![tcp(&address.to_string())], Limits::default(), Arc::new(Silent));
    assert_eq!(code(lab.connect(address).await.map(drop)), ErrorCode::ConnectionRefused);
    assert_eq!(lab.endings(), [(AuditOutcome::Failed, Some("connection-refused".into()))]);
}

fn drop_address(server: Server) -> SocketAddr {
    // A high port may belong to another process; one that was just released is free.
    let address = server.address;
    drop(server);
    SocketAddr::new("127.0.0.9".parse().unwrap(), address.port())
}

#[tokio::test]
async fn connecting_has_a_limit() {
    let deaf = Deaf::new().await;
    let limits = Limits { connect: Span::millis(100), ..Limits::default() };
    let mut lab = lab(vec![tcp(&deaf.address.to_string())], limits, Arc::new(Silent));
    assert_eq!(code(lab.connect(deaf.address).await.map(drop)), ErrorCode::Timeout);
    assert_eq!((lab.denials(), lab.timeouts()), (vec![], vec![Limit::Connect]));
    assert_eq!(lab.endings(), [(AuditOutcome::Failed, Some("connect-timeout".into()))]);
}

#[tokio::test]
async fn a_socket_connects_once() {
    let server = server().await;
    let mut lab = lab(vec![tcp(&server.address.to_string())], Limits::default(), Arc::new(Silent));
    let socket = lab.socket_of(IpAddressFamily::Ipv4);
    assert_eq!(code(lab.view().finish_connect(borrow(&socket)).map(drop)), ErrorCode::NotInProgress);
    lab.start(&socket, server.address).map_err(|_| ()).unwrap();
    assert_eq!(code(lab.start(&socket, server.address)), ErrorCode::ConcurrencyConflict);
    lab.ready(&Resource::<socket::TcpSocketState>::new_borrow(socket.rep())).await;
    assert_eq!(code(lab.start(&socket, server.address)), ErrorCode::ConcurrencyConflict);
    assert!(lab.view().finish_connect(borrow(&socket)).is_ok());
    assert_eq!(code(lab.start(&socket, server.address)), ErrorCode::InvalidState);
    assert_eq!(code(lab.view().finish_connect(borrow(&socket)).map(drop)), ErrorCode::NotInProgress);
}

#[tokio::test]
async fn a_socket_that_is_dropped_gives_up_connecting() {
    let server = server().await;
    let mut lab = lab(vec![tcp(&server.address.to_string())], Limits::default(), Arc::new(Silent));
    let socket = lab.socket_of(IpAddressFamily::Ipv4);
    lab.start(&socket, server.address).map_err(|_| ()).unwrap();
    wasi_tcp::HostTcpSocket::drop(&mut lab.view(), socket).unwrap();
    crate::testing::pause(20).await;
    assert_eq!(lab.endings(), [(AuditOutcome::Cancelled, None)]);
}
