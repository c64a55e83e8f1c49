//! Listens on a socket that it has not bound, where the system would choose the port.

use hostile_guests::sockets::named;
use hostile_guests::wasip2::sockets::network::IpAddressFamily;
use hostile_guests::wasip2::sockets::tcp_create_socket::create_tcp_socket;
use hostile_guests::{guest, outcome, report};

guest!(|_| {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).expect("a socket");
    let listen = socket.start_listen().map_err(|code| named("start-listen", code));
    let accept = socket.accept().map(drop).map_err(|code| named("accept", code));
    report([outcome(listen), outcome(accept)])
});
