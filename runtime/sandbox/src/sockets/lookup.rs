//! `wasi:sockets/ip-name-lookup`: names that a TCP rule names, and no others. A single address that is not granted denies
//! the whole answer.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::vec;

use deputy_audit::AuditAction;
use deputy_core::grant::{Grant, Host, HostError, TargetError};
use deputy_core::{Limit, PolicyDenial};
use tokio::sync::Semaphore;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{self, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketError, SocketResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, poll_noop, spawn};

use super::{ResolvedNames, SocketsView};
use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;
use crate::network::{Deadline, DeadlineCause, DeadlineExceeded, Resolver, resolve};

/// A lookup, and then its answer. Replaces WASI's own type in the table.
pub(super) enum NameLookup {
    Waiting(AbortOnDropJoinHandle<Result<Vec<IpAddr>, ErrorCode>>, Arc<CallBudget>),
    Done(Result<vec::IntoIter<IpAddr>, ErrorCode>),
}

/// Bytes of a name that are read: more than any valid name has, so that a truncated one is denied as too long.
const MAX_NAME: usize = 1024;

struct LookupTask {
    host: Host,
    grant: Arc<Grant>,
    budget: Arc<CallBudget>,
    resolver: Arc<dyn Resolver>,
    resolved: ResolvedNames,
    slots: Arc<Semaphore>,
    record: AuditRecord,
}

impl LookupTask {
    async fn run(mut self) -> Result<Vec<IpAddr>, ErrorCode> {
        let answer = self.steps().await;
        match answer {
            Ok(addresses) => {
                self.record.done();
                self.resolved.remember(self.host, addresses.clone());
                Ok(addresses)
            }
            Err(code) => Err(code),
        }
    }

    async fn steps(&mut self) -> Result<Vec<IpAddr>, ErrorCode> {
        let permits = self.grant.permit_name(&self.host).map_err(|denial| self.refuse(denial))?;
        self.record.announce().await.map_err(|_| ErrorCode::TemporaryResolverFailure)?;
        let deadline = Deadline::after(self.budget.limits().connect, Limit::Connect);
        let addresses = match deadline.run(resolve(&*self.resolver, &self.slots, &self.host)).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(_)) => {
                self.record.failed("dns");
                return Err(ErrorCode::NameUnresolvable);
            }
            Err(DeadlineExceeded(cause)) => {
                if let DeadlineCause::Limit(limit) = cause {
                    self.record.timed_out("dns-timeout", limit);
                }
                return Err(ErrorCode::TemporaryResolverFailure);
            }
        };
        for permit in permits {
            permit.pin(&addresses).map(drop).map_err(|denial| self.refuse(denial))?;
        }
        Ok(addresses)
    }

    fn refuse(&mut self, denial: PolicyDenial) -> ErrorCode {
        self.record.denied(denial);
        ErrorCode::AccessDenied
    }
}

impl ip_name_lookup::Host for SocketsView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolveAddressStream>> {
        self.table.get(&network)?;
        let name = self.sockets.budget.audit.excerpt(&name, MAX_NAME);
        let mut record = AuditRecord::begin(&self.sockets.budget, AuditAction::Name { host: name.to_owned() });
        if let Err(denial) = self.sockets.budget.usage.take_request() {
            record.denied(denial);
            return Err(ErrorCode::AccessDenied.into());
        }
        let host = match parse(name) {
            Ok(host) => host,
            Err(error) => {
                record.denied(PolicyDenial::Target(TargetError::Host(error)));
                return Err(ErrorCode::InvalidArgument.into());
            }
        };
        let query = LookupTask {
            host,
            grant: Arc::clone(&self.sockets.grant),
            budget: Arc::clone(&self.sockets.budget),
            resolver: Arc::clone(&self.sockets.resolver),
            resolved: self.sockets.resolved.clone(),
            slots: Arc::clone(&self.sockets.lookups),
            record,
        };
        let budget = Arc::clone(&self.sockets.budget);
        let stream = self.table.push(NameLookup::Waiting(spawn(query.run()), budget))?;
        Ok(Resource::new_own(stream.rep()))
    }
}

/// A host as sockets write it: an IPv6 address without brackets too.
fn parse(name: &str) -> Result<Host, HostError> {
    match name.parse::<Ipv6Addr>() {
        Ok(address) => Ok(Host::Address(address.into())),
        Err(_) => name.parse(),
    }
}

impl ip_name_lookup::HostResolveAddressStream for SocketsView<'_> {
    fn resolve_next_address(&mut self, stream: Resource<ResolveAddressStream>) -> SocketResult<Option<IpAddress>> {
        let lookup = self.table.get_mut(&own(&stream))?;
        if let NameLookup::Waiting(answer, _) = lookup {
            match poll_noop(std::pin::pin!(answer)) {
                Some(answer) => *lookup = NameLookup::Done(answer.map(Vec::into_iter)),
                None => return Err(ErrorCode::WouldBlock.into()),
            }
        }
        match lookup {
            NameLookup::Done(Ok(addresses)) => Ok(addresses.next().map(IpAddress::from)),
            NameLookup::Done(Err(code)) => Err(SocketError::from(*code)),
            NameLookup::Waiting(..) => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, own(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<NameLookup>::new_own(stream.rep()))?;
        Ok(())
    }
}

/// The table's entry behind a component's handle.
fn own(stream: &Resource<ResolveAddressStream>) -> Resource<NameLookup> {
    Resource::new_borrow(stream.rep())
}

#[async_trait::async_trait]
impl Pollable for NameLookup {
    async fn ready(&mut self) {
        if let Self::Waiting(answer, budget) = self {
            let _waiting = budget.wait_for_network();
            *self = Self::Done(answer.await.map(Vec::into_iter));
        }
    }
}
