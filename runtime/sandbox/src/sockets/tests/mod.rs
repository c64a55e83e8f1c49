//! Sockets through the functions that a component calls, to real local servers.

mod connecting;
mod names;
mod never;
mod streams;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use deputy_audit::AuditOutcome;
use deputy_core::grant::TcpRule;
use deputy_core::{Limit, Limits, PolicyDenial};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{Host as _, HostResolveAddressStream as _};
use wasmtime_wasi::p2::bindings::sockets::network::{IpAddress, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket as _, TcpSocket};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, Pollable};
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView};

use super::*;
use crate::network::{LOOKUPS, LookupSlot, lookup_slots};
use crate::testing::{AuditedBudget, StaticResolver, StaticSecrets, instance};

/// One call of an instance, as a component sees it.
pub(super) struct TestSockets {
    pub(super) sockets: Sockets,
    pub(super) table: ResourceTable,
    pub(super) audited: AuditedBudget,
}

pub(super) fn guest(rules: Vec<TcpRule>, limits: Limits, resolver: Arc<dyn Resolver>) -> TestSockets {
    guest_with(rules, limits, resolver, StaticSecrets::of(&[]))
}

pub(super) fn guest_with(
    rules: Vec<TcpRule>,
    limits: Limits,
    resolver: Arc<dyn Resolver>,
    secrets: Arc<StaticSecrets>,
) -> TestSockets {
    let mut instance = instance(Vec::new(), limits.clone());
    instance.grant.tcp = rules;
    let audited = AuditedBudget::new(limits);
    let policy = TcpPolicy::new(&instance, secrets).unwrap();
    let grant = Arc::new(instance.grant);
    let sockets = Sockets::new(grant, Arc::clone(&audited.budget), resolver, policy, lookup_slots(), World::default());
    TestSockets { sockets, table: ResourceTable::new(), audited }
}

pub(super) fn resolving_to(addresses: &[&'static str]) -> Arc<dyn Resolver> {
    Arc::new(StaticResolver(vec![("a.example", addresses.to_vec())]))
}

/// The error code that a component gets.
pub(super) fn code<T>(result: SocketResult<T>) -> ErrorCode {
    result.err().expect("an error").downcast().expect("no trap")
}

impl TestSockets {
    pub(super) fn view(&mut self) -> SocketsView<'_> {
        SocketsView { sockets: &mut self.sockets, table: &mut self.table }
    }

    pub(super) fn network(&mut self) -> Resource<Network> {
        let mut stock = WasiSocketsCtx::default();
        WasiSocketsCtxView { ctx: &mut stock, table: &mut self.table }.instance_network().unwrap()
    }

    /// Waits as `pollable.block` does.
    pub(super) async fn ready<T: Pollable>(&mut self, resource: &Resource<T>) {
        let entry = self.table.get_mut(&Resource::<T>::new_borrow(resource.rep())).unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(10), entry.ready()).await.expect("ready");
    }

    pub(super) async fn lookup(&mut self, name: &str) -> SocketResult<Vec<IpAddr>> {
        let network = self.network();
        let stream = self.view().resolve_addresses(network, name.to_owned())?;
        let pollable: Resource<DynPollable> =
            ip_name_lookup::HostResolveAddressStream::subscribe(&mut self.view(), Resource::new_borrow(stream.rep()))
                .expect("a pollable");
        self.table.delete(pollable).unwrap();
        self.ready(&Resource::<lookup::NameLookup>::new_borrow(stream.rep())).await;
        let mut found = Vec::new();
        while let Some(address) = self.view().resolve_next_address(Resource::new_borrow(stream.rep()))? {
            found.push(match address {
                IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]),
                IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::from([a, b, c, d, e, f, g, h]),
            });
        }
        ip_name_lookup::HostResolveAddressStream::drop(&mut self.view(), stream).unwrap();
        Ok(found)
    }

    pub(super) fn socket_of(&mut self, family: IpAddressFamily) -> Resource<TcpSocket> {
        self.view().create_tcp_socket(family).map_err(|_| ()).expect("a socket")
    }

    pub(super) fn start(&mut self, socket: &Resource<TcpSocket>, to: SocketAddr) -> SocketResult<()> {
        let network = self.network();
        self.view().start_connect(borrow(socket), network, IpSocketAddress::from(to))
    }

    /// Connects from beginning to end.
    pub(super) async fn connect(&mut self, to: SocketAddr) -> SocketResult<Connected> {
        let socket = self.socket_of(if to.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 });
        self.start(&socket, to)?;
        self.ready(&Resource::<socket::TcpSocketState>::new_borrow(socket.rep())).await;
        let (input, output) = self.view().finish_connect(borrow(&socket))?;
        Ok(Connected { socket, input, output })
    }

    pub(super) fn input(&mut self, connected: &Connected) -> &mut DynInputStream {
        self.table.get_mut(&connected.input).unwrap()
    }

    pub(super) fn output(&mut self, connected: &Connected) -> &mut DynOutputStream {
        self.table.get_mut(&connected.output).unwrap()
    }

    /// Ends the call: everything that it holds is dropped.
    pub(super) fn end(&mut self) {
        self.table = ResourceTable::new();
    }

    /// What was refused, in order.
    pub(super) fn denials(&self) -> Vec<PolicyDenial> {
        self.audited.budget.findings.denials()
    }

    /// The limits that timed out.
    pub(super) fn timeouts(&self) -> Vec<Limit> {
        self.audited.budget.findings.timeouts()
    }

    /// Outcome and code of each event, oldest first.
    pub(super) fn outcomes(&self) -> Vec<(AuditOutcome, Option<String>)> {
        self.audited.events().into_iter().map(|event| (event.outcome, event.code)).collect()
    }
}

pub(super) struct Connected {
    pub(super) socket: Resource<TcpSocket>,
    pub(super) input: Resource<DynInputStream>,
    pub(super) output: Resource<DynOutputStream>,
}

pub(super) fn borrow(socket: &Resource<TcpSocket>) -> Resource<TcpSocket> {
    Resource::new_borrow(socket.rep())
}

pub(super) fn refused(code: &str) -> (AuditOutcome, Option<String>) {
    (AuditOutcome::Refused, Some(code.into()))
}

pub(super) fn done() -> (AuditOutcome, Option<String>) {
    (AuditOutcome::Done, None)
}
