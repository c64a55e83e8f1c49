//! The capability `wasi:sockets`: TCP connections to hosts that the grant names, and nothing else.
//!
//! The socket behind a component's handle is the sandbox's own, so that its connections go through the same
//! [`connect`](crate::network::connect) as HTTP's and WASI's own sockets stay switched off altogether. Names are
//! resolved only if a rule names them; an address may be connected to only if such a name led to it, or if a rule
//! names the address. Nobody binds, listens, or speaks UDP.

mod lookup;
mod options;
mod socket;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use deputy_core::PolicyDenial;
use deputy_core::grant::{Grant, Host, Pinned, Scheme, Target};
use deputy_observe::AuditAction;
use tokio::sync::Semaphore;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::bindings::sockets::{
    ip_name_lookup, network, tcp as wasi_tcp, tcp_create_socket, udp_create_socket,
};
use wasmtime_wasi::p2::{SocketError, SocketResult};

use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;
use crate::network::Resolver;

/// What one call may reach over TCP, and what it has looked up.
pub(crate) struct Sockets {
    grant: Arc<Grant>,
    budget: Arc<CallBudget>,
    resolver: Arc<dyn Resolver>,
    known: Known,
    /// Lookups at once: each may hold a thread of the process.
    lookups: Arc<Semaphore>,
}

/// Where the names of this call led.
#[derive(Clone, Default)]
struct Known(Arc<Mutex<Vec<Answer>>>);

type Answer = (Host, Vec<IpAddr>);

const LOOKUPS: usize = 4;

/// How many addresses of one name are remembered, the newest first.
const ADDRESSES: usize = 64;

/// What the functions of `wasi:sockets` work on.
pub(crate) struct SocketsView<'a> {
    pub(crate) sockets: &'a mut Sockets,
    pub(crate) table: &'a mut ResourceTable,
}

struct HasSockets;

impl HasData for HasSockets {
    type Data<'a> = SocketsView<'a>;
}

/// Replaces WASI's sockets in a linker that has them. `wasi:sockets/instance-network` stays: its handle is good for
/// nothing by itself.
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
    pub(crate) fn new(grant: Arc<Grant>, budget: Arc<CallBudget>, resolver: Arc<dyn Resolver>) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS));
        Self { grant, budget, resolver, known: Known::default(), lookups }
    }

    /// Leave to connect to this address: under the name that led to it, or by itself.
    fn pin(&self, address: SocketAddr) -> Result<Pinned, PolicyDenial> {
        let ip = address.ip().to_canonical();
        let hosts = self.known.hosts_at(ip).into_iter().chain([Host::Address(ip)]);
        hosts
            .filter_map(|host| {
                let target = Target::new(Scheme::Tcp, host, address.port());
                self.grant.permit_tcp(&target).ok()?.pin(&[ip]).ok()
            })
            .next()
            .ok_or(PolicyDenial::Socket { address: SocketAddr::new(ip, address.port()) })
    }

    /// Records what is never allowed, and gives what the component is told.
    fn never(&self, operation: &'static str, denial: PolicyDenial) -> SocketError {
        AuditRecord::begin(&self.budget, AuditAction::Wasi { operation }).denied(denial);
        ErrorCode::AccessDenied.into()
    }
}

impl Known {
    fn learn(&self, host: Host, addresses: Vec<IpAddr>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.iter_mut().find(|(other, _)| *other == host) {
            // A name may lead elsewhere each time; a connection to where it led before may still be on its way.
            Some((_, before)) => {
                before.retain(|address| !addresses.contains(address));
                before.splice(..0, addresses);
                before.truncate(ADDRESSES);
            }
            None => known.push((host, addresses)),
        }
    }

    fn hosts_at(&self, ip: IpAddr) -> Vec<Host> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(_, addresses)| addresses.contains(&ip)).map(|(host, _)| host.clone()).collect()
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
