//! A receiver that asks for all that a provider can be granted, and for what no component is.

use hostile_guests::receiver::report;
use hostile_guests::secrets::open;
use hostile_guests::sockets::{connect, named, resolve};
use hostile_guests::wasip2::cli::environment::get_environment;
use hostile_guests::wasip2::filesystem::preopens::get_directories;
use hostile_guests::wasip2::sockets::network::IpAddressFamily;
use hostile_guests::wasip2::sockets::udp_create_socket::create_udp_socket;
use hostile_guests::{http, outcome, receiver};

receiver!(|settings, _| {
    let address = settings.text("address");
    report([
        http::get(&settings.text("url")),
        outcome(resolve(&settings.text("name"))),
        outcome(connect(address.parse().expect("an address")).map(drop)),
        outcome(create_udp_socket(IpAddressFamily::Ipv4).map(drop).map_err(|code| named("create-udp-socket", code))),
        outcome(open("aws-key").map(drop)),
        format!("{} folders", get_directories().len()),
        format!("{} variables", get_environment().len()),
    ])
});
