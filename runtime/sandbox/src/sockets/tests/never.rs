use super::*;
use crate::testing::{HangingResolver, tcp};
use deputy_audit::AuditAction;
use wasmtime::Engine;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

fn all_granted() -> TestSockets {
    guest(vec![tcp("127.0.0.1:1"), tcp("a.example:1")], Limits::default(), Arc::new(HangingResolver))
}

#[tokio::test]
async fn sockets_deny_binding_listening_accepting_and_udp() {
    let mut guest = all_granted();
    let (socket, network) = (guest.socket_of(IpAddressFamily::Ipv4), guest.network());
    let local = IpSocketAddress::from(SocketAddr::from(([0, 0, 0, 0], 0)));
    let bound = guest.view().start_bind(borrow(&socket), network, local).await;
    assert_eq!(code(bound), ErrorCode::AccessDenied);
    assert_eq!(code(guest.view().start_listen(borrow(&socket)).await), ErrorCode::AccessDenied);
    assert_eq!(code(guest.view().accept(borrow(&socket)).map(drop)), ErrorCode::AccessDenied);
    assert_eq!(code(guest.view().create_udp_socket(IpAddressFamily::Ipv6).await.map(drop)), ErrorCode::AccessDenied);
    let events = guest.audited.events();
    let seen: Vec<_> =
        events.iter().map(|event| (&event.action, event.outcome, event.code.as_deref().unwrap())).collect();
    let wasi = |operation| AuditAction::Wasi { operation };
    assert_eq!(
        seen,
        [
            (&wasi("tcp.bind"), AuditOutcome::Refused, "listening-not-allowed"),
            (&wasi("tcp.listen"), AuditOutcome::Refused, "listening-not-allowed"),
            (&wasi("tcp.accept"), AuditOutcome::Refused, "listening-not-allowed"),
            (&wasi("udp.create"), AuditOutcome::Refused, "udp-not-allowed"),
        ]
    );
    assert_eq!(guest.denials(), [PolicyDenial::Listen, PolicyDenial::Udp]);
    assert_eq!(code(guest.view().finish_bind(borrow(&socket))), ErrorCode::NotInProgress);
    assert_eq!(code(guest.view().finish_listen(borrow(&socket))), ErrorCode::NotInProgress);
    assert_eq!(code(guest.view().set_listen_backlog_size(borrow(&socket), 1)), ErrorCode::NotSupported);
    assert!(!guest.view().is_listening(borrow(&socket)).unwrap());
}

#[tokio::test]
async fn tcp_unconnected_socket_has_no_addresses() {
    let mut guest = all_granted();
    let socket = guest.socket_of(IpAddressFamily::Ipv6);
    assert!(matches!(guest.view().address_family(borrow(&socket)), Ok(IpAddressFamily::Ipv6)));
    assert_eq!(code(guest.view().local_address(borrow(&socket))), ErrorCode::InvalidState);
    assert_eq!(code(guest.view().remote_address(borrow(&socket))), ErrorCode::InvalidState);
    let both = wasi_tcp::ShutdownType::Both;
    assert_eq!(code(guest.view().shutdown(borrow(&socket), both)), ErrorCode::InvalidState);
}

#[tokio::test]
async fn tcp_options_are_remembered_and_never_zero() {
    let mut guest = all_granted();
    let socket = guest.socket_of(IpAddressFamily::Ipv4);
    let mut view = guest.view();
    let this = || borrow(&socket);
    assert!(view.set_keep_alive_enabled(this(), true).is_ok() && view.keep_alive_enabled(this()).is_ok_and(|on| on));
    macro_rules! remembers {
        ($set:ident, $get:ident) => {
            assert_eq!(code(view.$set(this(), 0)), ErrorCode::InvalidArgument);
            assert!(view.$set(this(), 7).is_ok() && view.$get(this()).is_ok_and(|value| value == 7));
        };
    }
    remembers!(set_keep_alive_idle_time, keep_alive_idle_time);
    remembers!(set_keep_alive_interval, keep_alive_interval);
    remembers!(set_keep_alive_count, keep_alive_count);
    remembers!(set_hop_limit, hop_limit);
    remembers!(set_receive_buffer_size, receive_buffer_size);
    remembers!(set_send_buffer_size, send_buffer_size);
}

#[tokio::test]
async fn tcp_stream_error_keeps_the_code_of_the_network() {
    let mut guest = all_granted();
    let (reset, other) = (wasmtime::Error::from(ErrorCode::ConnectionReset), wasmtime::Error::msg("of a file"));
    for (error, code) in [(reset, Some(ErrorCode::ConnectionReset)), (other, None)] {
        let error = guest.table.push(error).unwrap();
        assert_eq!(network::Host::network_error_code(&mut guest.view(), error).unwrap(), code);
    }
}

#[tokio::test]
async fn sockets_dropped_network_leaves_the_table() {
    let mut guest = all_granted();
    let network = guest.network();
    let same = Resource::<Network>::new_borrow(network.rep());
    assert!(guest.table.get(&same).is_ok());
    network::HostNetwork::drop(&mut guest.view(), network).unwrap();
    assert!(guest.table.get(&same).is_err());
}

struct State {
    wasi: WasiCtx,
    sockets: Sockets,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

#[test]
fn sockets_of_wasi_are_shadowed_once() {
    let mut linker = Linker::<State>::new(&Engine::default());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    link(&mut linker, |state: &mut State| SocketsView { sockets: &mut state.sockets, table: &mut state.table })
        .unwrap();
    assert!(wasmtime_wasi::p2::add_to_linker_async(&mut linker).is_err(), "shadowing is off again");
    let mut alone = Linker::<State>::new(&Engine::default());
    link(&mut alone, |state: &mut State| SocketsView { sockets: &mut state.sockets, table: &mut state.table }).unwrap();
    assert!(wasmtime_wasi::p2::add_to_linker_async(&mut alone).is_err(), "nothing was linked");
}
