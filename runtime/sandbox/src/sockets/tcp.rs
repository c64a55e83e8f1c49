//! `wasi:sockets/tcp`: connecting, over a [`TcpSocketState`]. Binding, listening and accepting are denied.
//!
//! WASI's bindings name WASI's socket type, which is only a tag for the component's handle: the table's entry behind it is
//! a [`TcpSocketState`], and [`entry`] converts the one into the other.

use std::net::SocketAddr;
use std::sync::Arc;

use deputy_audit::AuditAction;
use deputy_core::grant::{Host, Pinned};
use deputy_core::{Limit, PolicyDenial};
use wasmtime::component::{Resource, ResourceTableError};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::{self, ShutdownType, TcpSocket};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketResult};

use super::SocketsView;
use super::options::set;
use super::socket::{Connector, TcpSocketState};
use super::stream::{Halves, TcpInput, TcpOutput};
use crate::audit_record::AuditRecord;
use crate::network::Deadline;

/// The table's entry behind a component's handle.
fn own(socket: &Resource<TcpSocket>) -> Resource<TcpSocketState> {
    Resource::new_borrow(socket.rep())
}

/// A component's handle for a new entry of the table.
pub(super) fn handle(socket: Resource<TcpSocketState>) -> Resource<TcpSocket> {
    Resource::new_own(socket.rep())
}

impl SocketsView<'_> {
    fn socket(&mut self, socket: &Resource<TcpSocket>) -> Result<&mut TcpSocketState, ResourceTableError> {
        self.table.get_mut(&own(socket))
    }
}

impl tcp::Host for SocketsView<'_> {}

impl tcp::HostTcpSocket for SocketsView<'_> {
    fn start_connect(
        &mut self,
        this: Resource<TcpSocket>,
        network: Resource<Network>,
        remote: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        let remote = SocketAddr::from(remote);
        let budget = Arc::clone(&self.sockets.budget);
        let mut record = AuditRecord::begin(&budget, tcp_action(remote));
        let judged = budget.usage.take_request().and_then(|()| self.sockets.pin(remote));
        let pinned = match judged {
            Ok(pinned) => pinned,
            Err(denial) => {
                record.denied(denial);
                return Err(ErrorCode::AccessDenied.into());
            }
        };
        note_host(&mut record, &pinned);
        let tunnels = self.sockets.tunnels.spawner();
        let world = self.sockets.world.clone();
        let connector = Connector { policy: self.sockets.policy.clone(), budget: Arc::clone(&budget), tunnels, world };
        let socket = self.table.get_mut(&own(&this))?;
        let wrong = if socket.is_connecting() {
            Some(ErrorCode::ConcurrencyConflict)
        } else if !socket.is_new() {
            Some(ErrorCode::InvalidState)
        } else if !fits(socket.family, remote) {
            Some(ErrorCode::InvalidArgument)
        } else {
            None
        };
        if let Some(wrong) = wrong {
            record.failed("socket-state");
            return Err(wrong.into());
        }
        self.sockets.connected.note(pinned.target().host());
        socket.start(connector, pinned, Deadline::after(budget.limits().connect, Limit::Connect), record);
        Ok(())
    }

    fn finish_connect(
        &mut self,
        this: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let socket = self.table.get_mut(&own(&this))?;
        let halves = Arc::new(Halves::new(*socket.finish()?, Arc::clone(&self.sockets.budget)));
        socket.connected(Arc::clone(&halves));
        let input: DynInputStream = Box::new(TcpInput(Arc::clone(&halves)));
        let output: DynOutputStream = Box::new(TcpOutput::new(halves));
        Ok((self.table.push_child(input, &own(&this))?, self.table.push_child(output, &own(&this))?))
    }

    fn shutdown(&mut self, this: Resource<TcpSocket>, which: ShutdownType) -> SocketResult<()> {
        let halves = self.socket(&this)?.halves()?;
        if matches!(which, ShutdownType::Receive | ShutdownType::Both) {
            halves.close_read();
        }
        if matches!(which, ShutdownType::Send | ShutdownType::Both) {
            halves.close_write();
        }
        Ok(())
    }

    fn subscribe(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, own(&this))
    }

    fn drop(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<TcpSocketState>::new_own(this.rep()))?;
        Ok(())
    }

    fn local_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&this)?.local()?.into())
    }

    fn remote_address(&mut self, this: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.socket(&this)?.remote()?.into())
    }

    fn address_family(&mut self, this: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        Ok(self.socket(&this)?.family)
    }

    // Always denied.

    async fn start_bind(
        &mut self,
        _: Resource<TcpSocket>,
        _: Resource<Network>,
        _: IpSocketAddress,
    ) -> SocketResult<()> {
        Err(self.sockets.never("tcp.bind", PolicyDenial::Listen))
    }

    fn finish_bind(&mut self, _: Resource<TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    async fn start_listen(&mut self, _: Resource<TcpSocket>) -> SocketResult<()> {
        Err(self.sockets.never("tcp.listen", PolicyDenial::Listen))
    }

    fn finish_listen(&mut self, _: Resource<TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn accept(
        &mut self,
        _: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        Err(self.sockets.never("tcp.accept", PolicyDenial::Listen))
    }

    fn is_listening(&mut self, _: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn set_listen_backlog_size(&mut self, _: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        Err(ErrorCode::NotSupported.into())
    }

    // Remembered.

    fn keep_alive_enabled(&mut self, this: Resource<TcpSocket>) -> SocketResult<bool> {
        Ok(self.socket(&this)?.options.keep_alive)
    }

    fn set_keep_alive_enabled(&mut self, this: Resource<TcpSocket>, value: bool) -> SocketResult<()> {
        self.socket(&this)?.options.keep_alive = value;
        Ok(())
    }

    fn keep_alive_idle_time(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.socket(&this)?.options.keep_alive_idle)
    }

    fn set_keep_alive_idle_time(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        Ok(set(&mut self.socket(&this)?.options.keep_alive_idle, value)?)
    }

    fn keep_alive_interval(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.socket(&this)?.options.keep_alive_interval)
    }

    fn set_keep_alive_interval(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        Ok(set(&mut self.socket(&this)?.options.keep_alive_interval, value)?)
    }

    fn keep_alive_count(&mut self, this: Resource<TcpSocket>) -> SocketResult<u32> {
        Ok(self.socket(&this)?.options.keep_alive_count)
    }

    fn set_keep_alive_count(&mut self, this: Resource<TcpSocket>, value: u32) -> SocketResult<()> {
        Ok(set(&mut self.socket(&this)?.options.keep_alive_count, value)?)
    }

    fn hop_limit(&mut self, this: Resource<TcpSocket>) -> SocketResult<u8> {
        Ok(self.socket(&this)?.options.hop_limit)
    }

    fn set_hop_limit(&mut self, this: Resource<TcpSocket>, value: u8) -> SocketResult<()> {
        Ok(set(&mut self.socket(&this)?.options.hop_limit, value)?)
    }

    fn receive_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.socket(&this)?.options.receive_buffer)
    }

    fn set_receive_buffer_size(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        Ok(set(&mut self.socket(&this)?.options.receive_buffer, value)?)
    }

    fn send_buffer_size(&mut self, this: Resource<TcpSocket>) -> SocketResult<u64> {
        Ok(self.socket(&this)?.options.send_buffer)
    }

    fn set_send_buffer_size(&mut self, this: Resource<TcpSocket>, value: u64) -> SocketResult<()> {
        Ok(set(&mut self.socket(&this)?.options.send_buffer, value)?)
    }
}

/// The audit action of a connection that is not judged yet.
pub(super) fn tcp_action(remote: SocketAddr) -> AuditAction {
    AuditAction::Tcp { address: remote.to_string(), host: None, sent: 0, received: 0, injected: Vec::new() }
}

/// Notes the granted name by which the address may be connected to.
fn note_host(record: &mut AuditRecord, pinned: &Pinned) {
    if let (Some(AuditAction::Tcp { host, .. }), Host::Name(name)) = (record.action(), pinned.target().host()) {
        *host = Some(name.clone());
    }
}

/// An IPv4 address belongs in an IPv4 socket, not mapped into an IPv6 one.
fn fits(family: IpAddressFamily, remote: SocketAddr) -> bool {
    match family {
        IpAddressFamily::Ipv4 => remote.is_ipv4(),
        IpAddressFamily::Ipv6 => remote.is_ipv6() && remote.ip().to_canonical().is_ipv6(),
    }
}
