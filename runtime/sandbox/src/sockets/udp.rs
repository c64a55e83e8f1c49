//! `wasi:sockets/udp-create-socket`: creating a socket is denied, so WASI's functions for it are never reached.

use deputy_core::PolicyDenial;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::bindings::sockets::network::IpAddressFamily;
use wasmtime_wasi::p2::bindings::sockets::{udp::UdpSocket, udp_create_socket};

use super::SocketsView;

impl udp_create_socket::Host for SocketsView<'_> {
    async fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        Err(self.sockets.never("udp.create", PolicyDenial::Udp))
    }
}
