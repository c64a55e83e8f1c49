//! What the providers of Hadoop's services want to be granted: connections or requests to their servers, and a login.

use crate::address::ServerAddress;
use crate::rest::RestServer;
use deputy_kit::description::Want;

/// Connections to servers that have a principal such as `hdfs/_HOST`, where `_HOST` stands for each of them.
#[must_use]
pub fn by_rpc(servers: &[ServerAddress], principal: &str, reason: &str) -> Vec<Want> {
    let mut wants = tcp(servers, reason);
    wants.push(Want::kerberos([principal]).reason("logs in to these servers"));
    wants
}

/// Connections to servers, without a login.
#[must_use]
pub fn tcp(servers: &[ServerAddress], reason: &str) -> Vec<Want> {
    servers.iter().map(|server| Want::tcp(server.to_string()).reason(reason)).collect()
}

/// Requests to servers for which the host adds `Authorization: Negotiate`.
#[must_use]
pub fn by_http(servers: &[RestServer], methods: &[&str], reason: &str) -> Vec<Want> {
    let request = |server: &RestServer| {
        let want = Want::http(&server.url).with("negotiate", "HTTP/_HOST").reason(reason);
        methods.iter().fold(want, |want, method| want.with("method", *method))
    };
    servers.iter().map(request).collect()
}
