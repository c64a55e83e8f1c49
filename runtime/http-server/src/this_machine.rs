//! Whether a request is meant for this machine.

use std::net::IpAddr;

use http::Request;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::Authority;

/// Whether the client meant this machine when it connected to it. A browser sends the name that it was given, whatever that
/// resolved to.
pub fn is_for_this_machine(request: &Request<()>) -> bool {
    let Some(host) = only_value(request, header::HOST) else { return false };
    let Ok(host) = Authority::try_from(host.as_bytes()) else { return false };
    is_loopback(&host) && request.uri().authority().is_none_or(is_loopback)
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
