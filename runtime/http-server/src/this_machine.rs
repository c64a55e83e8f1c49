//! Whether a request is meant for this machine, or for a name of it.

use std::net::IpAddr;

use deputy_core::grant::Host;
use http::Request;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::Authority;

/// Whether the client meant this machine when it connected to it. A browser sends the name that it was given, whatever that
/// resolved to.
pub fn is_for_this_machine(request: &Request<()>) -> bool {
    authorities(request).is_some_and(|mut named| named.all(|authority| is_loopback(&authority)))
}

/// Whether the client meant this host, at any port.
pub fn is_for_host(request: &Request<()>, host: &Host) -> bool {
    let is_it = |authority: Authority| authority.host().parse::<Host>().is_ok_and(|named| named == *host);
    authorities(request).is_some_and(|mut named| named.all(is_it))
}

/// What the request says where it goes: its `Host`, and the authority of its target if it has one.
fn authorities(request: &Request<()>) -> Option<impl Iterator<Item = Authority>> {
    let host = Authority::try_from(only_value(request, header::HOST)?.as_bytes()).ok()?;
    Some(std::iter::once(host).chain(request.uri().authority().cloned()))
}

/// The value of a header that occurs once.
pub fn only_value(request: &Request<()>, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = request.headers().get_all(name).iter();
    let first = values.next();
    first.filter(|_| values.next().is_none())
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_loopback = bare.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost")
}
