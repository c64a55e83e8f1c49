//! Sends a datagram, which is all that it takes to tell a name server something.

use hostile_guests::sockets::{encoded, family, named};
use hostile_guests::wasip2::sockets::instance_network::instance_network;
use hostile_guests::wasip2::sockets::udp::OutgoingDatagram;
use hostile_guests::wasip2::sockets::udp_create_socket::create_udp_socket;
use hostile_guests::{guest, outcome, report};

guest!(|settings| {
    let address = settings.text("address").parse().expect("an address");
    let send = || -> Result<u64, String> {
        let socket = create_udp_socket(family(address)).map_err(|code| named("create-udp-socket", code))?;
        let any = "0.0.0.0:0".parse().expect("an address");
        socket.start_bind(&instance_network(), encoded(any)).map_err(|code| named("start-bind", code))?;
        socket.finish_bind().map_err(|code| named("finish-bind", code))?;
        let (_, output) = socket.stream(Some(encoded(address))).map_err(|code| named("stream", code))?;
        output.check_send().map_err(|code| named("check-send", code))?;
        let datagram = OutgoingDatagram { data: b"told".to_vec(), remote_address: None };
        output.send(&[datagram]).map_err(|code| named("send", code))
    };
    report([outcome(send())])
});
