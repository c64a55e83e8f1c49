//! Makes thousands of sockets. Each would be a descriptor of the host's process.

use hostile_guests::wasip2::sockets::network::IpAddressFamily;
use hostile_guests::wasip2::sockets::tcp_create_socket::create_tcp_socket;
use hostile_guests::{guest, report};

guest!(|_| {
    let held: Vec<_> = (0..100_000).map(|_| create_tcp_socket(IpAddressFamily::Ipv4)).collect();
    report([held.iter().filter(|socket| socket.is_ok()).count().to_string()])
});
