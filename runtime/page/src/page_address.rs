//! Where browsers find the page.

use std::net::SocketAddr;

use deputy_core::grant::Host;
use deputy_http_server::{is_for_host, is_for_this_machine};
use http::Request;

/// The address of the page, as it is configured.
#[derive(Debug, Clone)]
pub struct PageAddress {
    /// The health port.
    pub listen: SocketAddr,
    /// The host and port in URLs, if the port has TLS.
    pub tls: Option<(Host, u16)>,
}

impl PageAddress {
    /// Whether there is a page: what travels between machines needs TLS.
    pub(crate) fn is_open(&self) -> bool {
        self.tls.is_some() || self.is_loopback()
    }

    fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Why there is no page.
    pub(crate) fn closed_reason(&self) -> String {
        let (address, port) = (self.listen, self.listen.port());
        format!(
            "there is no live page, because other machines can reach {address} and it has no TLS: set `health = \
             \"127.0.0.1:{port}\"` in [coordinator], and use `ssh -L` to open the page from another machine; or give the port \
             a certificate with `health-tls = {{ chain = \"health.pem\", key = {{ file = \"health.key\" }} }}`"
        )
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) fn url(&self, token: &str) -> String {
        match &self.tls {
            Some((host, port)) => format!("https://{host}:{port}/?token={token}"),
            None => format!("http://{}/?token={token}", self.listen),
        }
    }

    /// The cookie's name. Cookies are shared by all ports of a host, so that each coordinator needs one of its own. With its
    /// prefix, no other host and no page without TLS can set it.
    pub(crate) fn cookie_name(&self) -> String {
        match &self.tls {
            Some((_, port)) => format!("__Host-deputy-page-{port}"),
            None => format!("deputy-page-{}", self.listen.port()),
        }
    }

    /// Whether a request is for the host that the operator named, or for this machine where nothing else can connect.
    pub(crate) fn is_meant_by(&self, request: &Request<()>) -> bool {
        self.tls.as_ref().is_some_and(|(host, _)| is_for_host(request, host))
            || (self.is_loopback() && is_for_this_machine(request))
    }

    /// The hosts of [`Self::is_meant_by`], for a person.
    pub(crate) fn hosts(&self) -> String {
        match &self.tls {
            Some((host, _)) => host.to_string(),
            None => "127.0.0.1 or localhost".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str) -> Request<()> {
        Request::get("/").header("host", host).body(()).unwrap()
    }

    fn tls(listen: &str, host: &str) -> PageAddress {
        PageAddress { listen: listen.parse().unwrap(), tls: Some((host.parse().unwrap(), 8443)) }
    }

    #[test]
    fn page_with_tls_is_for_the_named_host_alone() {
        let page = tls("0.0.0.0:8270", "deputy.example");
        for host in ["deputy.example", "DEPUTY.example:8443", "deputy.example:1"] {
            assert!(page.is_meant_by(&request(host)), "{host}");
        }
        for host in ["example", "deputy.example.evil.example", "localhost", "127.0.0.1", "192.0.2.1", "deputy.example."]
        {
            assert!(!page.is_meant_by(&request(host)), "{host}");
        }
        let twice = Request::get("/").header("host", "deputy.example").header("host", "evil.example").body(()).unwrap();
        let other = Request::get("https://evil.example/").header("host", "deputy.example").body(()).unwrap();
        assert!(!page.is_meant_by(&twice) && !page.is_meant_by(&other));
        assert!(tls("[::]:8270", "[2001:db8::1]").is_meant_by(&request("[2001:db8:0::1]:8443")));
        assert!(tls("127.0.0.1:8270", "deputy.example").is_meant_by(&request("localhost:8270")));
        assert!(page.is_open() && page.url("t") == "https://deputy.example:8443/?token=t");
    }
}
