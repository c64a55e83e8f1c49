//! Begins requests and connections and is done: what it began must end with it.

use hostile_guests::http::Request;
use hostile_guests::sockets::{encoded, family, resolve};
use hostile_guests::wasip2::clocks::monotonic_clock;
use hostile_guests::wasip2::sockets::instance_network::instance_network;
use hostile_guests::wasip2::sockets::tcp_create_socket::create_tcp_socket;
use hostile_guests::{guest, report};

guest!(|settings| {
    let uploads: Vec<_> = (0..3).map(|_| Request::get(&settings.text("url")).begin()).collect();
    let address = (resolve(&settings.text("name")).expect("a granted name")[0], settings.number("port") as u16).into();
    let socket = create_tcp_socket(family(address)).expect("a socket");
    socket.start_connect(&instance_network(), encoded(address)).expect("a granted connection");
    // Time to arrive.
    monotonic_clock::subscribe_duration(200_000_000).block();
    std::mem::forget((uploads, socket));
    report(["done".to_owned()])
});
