//! TCP connections and name look-ups, step by step.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

/// An open connection.
pub struct Connection {
    /// What comes in.
    pub input: InputStream,
    /// What goes out.
    pub output: OutputStream,
    // Behind the streams, so that it is dropped after them.
    _socket: TcpSocket,
}

/// The addresses of a name.
///
/// # Errors
/// With the name of the host's error code.
pub fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    let network = instance_network();
    let stream = resolve_addresses(&network, name).map_err(|code| named("resolve-addresses", code))?;
    let pollable = stream.subscribe();
    let mut addresses = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => addresses.push(Ipv4Addr::new(a, b, c, d).into()),
            Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                addresses.push(Ipv6Addr::new(a, b, c, d, e, f, g, h).into());
            }
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => pollable.block(),
            Err(code) => return Err(named("resolve-next-address", code)),
        }
    }
}

/// A connection to an address.
///
/// # Errors
/// With the step that failed and the name of the host's error code.
pub fn connect(address: SocketAddr) -> Result<Connection, String> {
    let socket = create_tcp_socket(family(address)).map_err(|code| named("create-tcp-socket", code))?;
    socket.start_connect(&instance_network(), encoded(address)).map_err(|code| named("start-connect", code))?;
    let (input, output) =
        finished(&socket, || socket.finish_connect()).map_err(|code| named("finish-connect", code))?;
    Ok(Connection { input, output, _socket: socket })
}

/// What an operation returns once it does not say that it would block.
///
/// # Errors
/// Its own.
pub fn finished<T>(socket: &TcpSocket, finish: impl Fn() -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
    let pollable = socket.subscribe();
    loop {
        match finish() {
            Err(ErrorCode::WouldBlock) => pollable.block(),
            other => return other,
        }
    }
}

/// The family of an address.
pub fn family(address: SocketAddr) -> IpAddressFamily {
    match address {
        SocketAddr::V4(_) => IpAddressFamily::Ipv4,
        SocketAddr::V6(_) => IpAddressFamily::Ipv6,
    }
}

/// The address as `wasi:sockets` writes it.
pub fn encoded(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(address) => {
            let [a, b, c, d] = address.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: address.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: address.port(),
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            })
        }
    }
}

/// `STEP CODE`
pub fn named(step: &str, code: ErrorCode) -> String {
    format!("{step} {}", code.name())
}
