//! From a host to addresses. What is resolved here is neither allowed nor connected to yet.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;
use deputy_core::grant::Host;

/// Turns names into addresses.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name.
    ///
    /// # Errors
    /// If the name has none, or no name server answers.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    #[expect(clippy::disallowed_methods, reason = "the one place that resolves; its answers go into a `Permit` only")]
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The addresses of a host, each once and IPv4 as IPv4; an address is its own. An empty answer is an error, so that it
/// can't be taken for an answer without forbidden addresses.
pub(crate) async fn resolve(resolver: &dyn Resolver, host: &Host) -> io::Result<Vec<IpAddr>> {
    let found = match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => resolver.resolve(name).await?,
    };
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(found.len());
    for address in found {
        let address = address.to_canonical();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}
