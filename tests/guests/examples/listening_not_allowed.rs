//! Binds a socket and listens.

use hostile_guests::sockets::{encoded, family, finished, named};
use hostile_guests::wasip2::sockets::instance_network::instance_network;
use hostile_guests::wasip2::sockets::tcp_create_socket::create_tcp_socket;
use hostile_guests::{guest, outcome, report};

guest!(|_| {
    let listen = |address: &str| -> Result<(), String> {
        let address = address.parse().expect("an address");
        let socket = create_tcp_socket(family(address)).map_err(|code| named("create-tcp-socket", code))?;
        socket.start_bind(&instance_network(), encoded(address)).map_err(|code| named("start-bind", code))?;
        finished(&socket, || socket.finish_bind()).map_err(|code| named("finish-bind", code))?;
        socket.start_listen().map_err(|code| named("start-listen", code))?;
        finished(&socket, || socket.finish_listen()).map_err(|code| named("finish-listen", code))
    };
    report(["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "0.0.0.0:80"].map(|address| outcome(listen(address))))
});
