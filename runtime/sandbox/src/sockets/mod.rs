//! The capability `wasi:sockets`: TCP connections to hosts that the grant names, and nothing else.
//!
//! The socket behind a component's handle is the sandbox's own, so that its connections go through the same
//! [`connect`](crate::network::connect) as HTTP's, and WASI's own sockets stay disabled. A name is resolved only if a rule
//! names it; an address may be connected to only if such a name resolved to it, or if a rule names the address. Binding,
//! listening and UDP are always denied.

mod half;
mod lookup;
mod options;
mod policy;
mod socket;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
mod tunnel;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use deputy_audit::AuditAction;
use deputy_core::PolicyDenial;
use deputy_core::grant::{Grant, Host, Pinned, Scheme, Target};
use deputy_support::LockUnpoisoned as _;
use tokio::sync::Semaphore;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::bindings::sockets::{
    ip_name_lookup, network, tcp as wasi_tcp, tcp_create_socket, udp_create_socket,
};
use wasmtime_wasi::p2::{SocketError, SocketResult};

use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;
use crate::kerberos::ConnectedHosts;
use crate::network::Resolver;
use crate::stand_in::World;
pub(crate) use policy::TcpPolicy;
pub use policy::TcpPolicyError;
use tunnel::Tunnels;

/// The TCP side of one call: its grant, and the names that it resolved.
pub(crate) struct Sockets {
    grant: Arc<Grant>,
    budget: Arc<CallBudget>,
    resolver: Arc<dyn Resolver>,
    resolved: ResolvedNames,
    connected: ConnectedHosts,
    policy: TcpPolicy,
    tunnels: Tunnels,
    /// The instance's concurrent look-ups, with those of HTTP.
    lookups: Arc<Semaphore>,
    world: World,
}

/// The addresses that the names of this call resolved to.
#[derive(Clone, Default)]
struct ResolvedNames(Arc<Mutex<Vec<Resolution>>>);

type Resolution = (Host, Vec<IpAddr>);

/// Addresses of one name that are remembered, the newest first.
const MAX_ADDRESSES: usize = 64;

/// The host side of `wasi:sockets` for the time of one host call.
pub(crate) struct SocketsView<'a> {
    pub(crate) sockets: &'a mut Sockets,
    pub(crate) table: &'a mut ResourceTable,
}

struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = SocketsView<'a>;
}

/// Replaces WASI's sockets in a linker that has them. `wasi:sockets/instance-network` stays: its handle alone gives no
/// access.
pub(crate) fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> SocketsView<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    network::add_to_linker::<T, HasSockets>(linker, &network::LinkOptions::default(), view)?;
    ip_name_lookup::add_to_linker::<T, HasSockets>(linker, view)?;
    wasi_tcp::add_to_linker::<T, HasSockets>(linker, view)?;
    tcp_create_socket::add_to_linker::<T, HasSockets>(linker, view)?;
    udp_create_socket::add_to_linker::<T, HasSockets>(linker, view)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl Sockets {
    pub(crate) fn new(
        grant: Arc<Grant>,
        budget: Arc<CallBudget>,
        resolver: Arc<dyn Resolver>,
        policy: TcpPolicy,
        lookups: Arc<Semaphore>,
        world: World,
    ) -> Self {
        let resolved = ResolvedNames::default();
        let connected = ConnectedHosts::default();
        Self { grant, budget, resolver, resolved, connected, policy, tunnels: Tunnels::default(), lookups, world }
    }

    /// Notes permitted connections there, too.
    pub(crate) fn noting(mut self, connected: ConnectedHosts) -> Self {
        self.connected = connected;
        self
    }

    /// The permission to connect to this address: by a name that resolved to it, the latest one if there are several, or by
    /// the address itself. With TLS, the server's certificate must have this name.
    fn pin(&self, address: SocketAddr) -> Result<Pinned, PolicyDenial> {
        let ip = address.ip().to_canonical();
        let hosts = self.resolved.hosts_at(ip).into_iter().chain([Host::Address(ip)]);
        hosts
            .filter_map(|host| {
                let target = Target::new(Scheme::Tcp, host, address.port());
                self.grant.permit_tcp(&target).ok()?.pin(&[ip]).ok()
            })
            .next()
            .ok_or(PolicyDenial::Socket { address: SocketAddr::new(ip, address.port()) })
    }

    /// Records an operation that no grant allows, and returns the error for the component.
    fn never(&self, operation: &'static str, denial: PolicyDenial) -> SocketError {
        AuditRecord::begin(&self.budget, AuditAction::Wasi { operation }).denied(denial);
        ErrorCode::AccessDenied.into()
    }
}

impl ResolvedNames {
    fn remember(&self, host: Host, addresses: Vec<IpAddr>) {
        let mut resolved = self.0.lock_unpoisoned();
        // A name may resolve differently each time, and the component may still connect to an earlier address.
        let known = resolved.iter().position(|(other, _)| *other == host).map(|at| resolved.remove(at).1);
        let earlier = known.unwrap_or_default().into_iter().filter(|address| !addresses.contains(address));
        let mut all: Vec<_> = addresses.iter().copied().chain(earlier).collect();
        all.truncate(MAX_ADDRESSES);
        resolved.push((host, all));
    }

    /// The latest first.
    fn hosts_at(&self, ip: IpAddr) -> Vec<Host> {
        let resolved = self.0.lock_unpoisoned();
        resolved.iter().rev().filter(|(_, addresses)| addresses.contains(&ip)).map(|(host, _)| host.clone()).collect()
    }
}

impl network::Host for SocketsView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: wasmtime::component::Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<ErrorCode>().copied())
    }
}

impl network::HostNetwork for SocketsView<'_> {
    fn drop(&mut self, network: wasmtime::component::Resource<network::Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl tcp_create_socket::Host for SocketsView<'_> {
    fn create_tcp_socket(
        &mut self,
        family: network::IpAddressFamily,
    ) -> SocketResult<wasmtime::component::Resource<wasi_tcp::TcpSocket>> {
        let socket = socket::TcpSocketState::new(family, Arc::clone(&self.sockets.budget));
        Ok(tcp::handle(self.table.push(socket)?))
    }
}
