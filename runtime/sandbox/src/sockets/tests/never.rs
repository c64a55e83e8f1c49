use super::*;
use crate::testing::{Silent, tcp};
use deputy_observe::AuditAction;
use wasmtime::Engine;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

fn all_granted() -> Lab {
    lab(vec![tcp("127.0.0.1:1"), tcp("a.example:1")], Limits::default(), Arc::new(Silent))
}

#[tokio::test]
async fn nobody_binds_listens_accepts_or_speaks_udp() {
    let mut lab = all_granted();
    let (socket, network) = (lab.socket_of(IpAddressFamily::Ipv4), lab.network());
    let local = IpSocketAddress::from(SocketAddr::from(([0, 0, 0, 0], 0)));
    let bound = lab.view().start_bind(borrow(&socket), network, local).await;
    assert_eq!(code(bound), ErrorCode::AccessDenied);
    assert_eq!(code(lab.view().start_listen(borrow(&socket)).await), ErrorCode::AccessDenied);
    assert_eq!(code(lab.view().accept(borrow(&socket)).map(drop)), ErrorCode::AccessDenied);
    assert_eq!(code(lab.view().create_udp_socket(IpAddressFamily::Ipv6).await.map(drop)), ErrorCode::AccessDenied);
    let events = lab.book.events();
    let seen: Vec<_> =
        events.iter().map(|event| (&event.what, event.outcome, event.code.as_deref().unwrap())).collect();
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
    assert_eq!(lab.denials(), [PolicyDenial::Listen, PolicyDenial::Udp]);
    assert_eq!(code(lab.view().finish_bind(borrow(&socket))), ErrorCode::NotInProgress);
    assert_eq!(code(lab.view().finish_listen(borrow(&socket))), ErrorCode::NotInProgress);
    assert_eq!(code(lab.view().set_listen_backlog_size(borrow(&socket), 1)), ErrorCode::NotSupported);
    assert!(!lab.view().is_listening(borrow(&socket)).unwrap());
}

#[tokio::test]
async fn a_socket_without_a_connection_has_no_addresses_and_nothing_to_shut_down() {
    let mut lab = all_granted();
    let socket = lab.socket_of(IpAddressFamily::Ipv6);
    assert!(matches!(lab.view().address_family(borrow(&socket)), Ok(IpAddressFamily::Ipv6)));
    assert_eq!(code(lab.view().local_address(borrow(&socket))), ErrorCode::InvalidState);
    assert_eq!(code(lab.view().remote_address(borrow(&socket))), ErrorCode::InvalidState);
    let both = wasi_tcp::ShutdownType::Both;
    assert_eq!(code(lab.view().shutdown(borrow(&socket), both)), ErrorCode::InvalidState);
}

#[tokio::test]
async fn options_are_remembered_and_zero_is_none() {
    let mut lab = all_granted();
    let socket = lab.socket_of(IpAddressFamily::Ipv4);
    let mut view = lab.view();
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
async fn a_streams_error_has_a_code_where_the_network_gave_one() {
    let mut lab = all_granted();
    let (reset, other) = (wasmtime::Error::from(ErrorCode::ConnectionReset), wasmtime::Error::msg("of a file"));
    for (error, code) in [(reset, Some(ErrorCode::ConnectionReset)), (other, None)] {
        let error = lab.table.push(error).unwrap();
        assert_eq!(network::Host::network_error_code(&mut lab.view(), error).unwrap(), code);
    }
}

#[tokio::test]
async fn a_network_that_is_dropped_leaves_nothing_in_the_table() {
    let mut lab = all_granted();
    let network = lab.network();
    let same = Resource::<Network>::new_borrow(network.rep());
    assert!(lab.table.get(&same).is_ok());
    network::HostNetwork::drop(&mut lab.view(), network).unwrap();
    assert!(lab.table.get(&same).is_err());
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
fn wasis_own_sockets_are_replaced_and_nothing_else_can_be_afterwards() {
    let mut linker = Linker::<State>::new(&Engine::default());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    link(&mut linker, |state: &mut State| SocketsView { sockets: &mut state.sockets, table: &mut state.table })
        .unwrap();
    assert!(wasmtime_wasi::p2::add_to_linker_async(&mut linker).is_err(), "shadowing is off again");
    let mut alone = Linker::<State>::new(&Engine::default());
    link(&mut alone, |state: &mut State| SocketsView { sockets: &mut state.sockets, table: &mut state.table }).unwrap();
    assert!(wasmtime_wasi::p2::add_to_linker_async(&mut alone).is_err(), "nothing was linked");
}
