//! One TCP socket of a component: new, connecting, connected. There is no other state, so it can't listen.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use deputy_audit::AuditAction;
use deputy_core::Limit;
use deputy_core::grant::{Pinned, Target};
use rustls::ClientConfig;
use tokio::net::{TcpStream, UnixStream};
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, poll_noop, spawn};

use super::half::{self, ReadHalf, WriteHalf};
use super::options::SocketOptions;
use super::policy::TcpPolicy;
use super::stream::Halves;
use super::tunnel::{Tunnel, TunnelSpawner};
use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;
use crate::network::{
    self, ConnectError, Connection, Deadline, DeadlineCause, DeadlineExceeded, HandshakeError, TlsFault,
};
use crate::secret_fault::SecretFault;
use crate::stand_in::World;

/// A component's TCP socket.
pub(super) struct TcpSocketState {
    pub(super) family: IpAddressFamily,
    pub(super) options: SocketOptions,
    budget: Arc<CallBudget>,
    state: TcpState,
}

enum TcpState {
    New,
    Connecting(AbortOnDropJoinHandle<Result<Established, ErrorCode>>),
    /// The attempt has ended, and the component has not asked for its outcome yet.
    Ready(Result<Established, ErrorCode>),
    Connected(Arc<Halves>),
    Closed,
}

/// A connection, and its audit record, which is written when the connection ends.
pub(super) struct EstablishedSocket {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) read: ReadHalf,
    pub(super) write: WriteHalf,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) record: AuditRecord,
}

type Established = Box<EstablishedSocket>;

/// What an attempt to connect needs.
pub(super) struct Connector {
    pub(super) policy: TcpPolicy,
    pub(super) budget: Arc<CallBudget>,
    pub(super) tunnels: TunnelSpawner,
    pub(super) world: World,
}

impl TcpSocketState {
    pub(super) fn new(family: IpAddressFamily, budget: Arc<CallBudget>) -> Self {
        Self { family, options: SocketOptions::default(), budget, state: TcpState::New }
    }

    pub(super) fn is_new(&self) -> bool {
        matches!(self.state, TcpState::New)
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.state, TcpState::Connecting(_) | TcpState::Ready(_))
    }

    /// Starts to connect. Dropping the socket aborts the attempt.
    pub(super) fn start(&mut self, connector: Connector, pinned: Pinned, deadline: Deadline, record: AuditRecord) {
        self.state = TcpState::Connecting(spawn(connector.attempt(pinned, deadline, record)));
    }

    /// The connection, if the attempt has ended.
    pub(super) fn finish(&mut self) -> Result<Established, ErrorCode> {
        let state = std::mem::replace(&mut self.state, TcpState::Closed);
        match state {
            TcpState::Ready(ended) => ended,
            TcpState::Connecting(mut attempt) => match poll_noop(std::pin::Pin::new(&mut attempt)) {
                Some(ended) => ended,
                None => {
                    self.state = TcpState::Connecting(attempt);
                    Err(ErrorCode::WouldBlock)
                }
            },
            other => {
                self.state = other;
                Err(ErrorCode::NotInProgress)
            }
        }
    }

    pub(super) fn connected(&mut self, halves: Arc<Halves>) {
        self.state = TcpState::Connected(halves);
    }

    pub(super) fn halves(&self) -> Result<&Halves, ErrorCode> {
        match &self.state {
            TcpState::Connected(halves) => Ok(halves),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn local(&self) -> Result<SocketAddr, ErrorCode> {
        Ok(self.halves()?.local)
    }

    pub(super) fn remote(&self) -> Result<SocketAddr, ErrorCode> {
        Ok(self.halves()?.remote)
    }
}

impl Connector {
    async fn attempt(
        self,
        pinned: Pinned,
        deadline: Deadline,
        mut record: AuditRecord,
    ) -> Result<Established, ErrorCode> {
        let target = pinned.target().clone();
        // Before the event, since it names the key; the files and the key have as much time as the connection.
        let tls = match deadline.run(self.policy.config(&pinned)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(fault)) => {
                record.failed("secret-unavailable");
                self.budget.note_fault(fault);
                return Err(ErrorCode::ConnectionAborted);
            }
            Err(exceeded) => return Err(timed_out(&mut record, "connect-timeout", exceeded)),
        };
        if let (Some(key), Some(AuditAction::Tcp { injected, .. })) = (self.policy.key(&pinned), record.action()) {
            injected.push(key.to_string());
        }
        if record.announce().await.is_err() {
            record.failed("audit-unavailable");
            return Err(ErrorCode::AccessDenied);
        }
        let stream = match network::connect(pinned, deadline, &self.world).await {
            Ok(stream) => stream,
            Err(error) => return Err(not_connected(&mut record, error)),
        };
        let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else {
            record.failed("connect");
            return Err(ErrorCode::ConnectionReset);
        };
        let (read, write, tunnel) = match tls {
            None => {
                let (read, write) = half::plain(stream);
                (read, write, None)
            }
            Some(config) => {
                let (inner, tunnel) = self.secure(stream, &target, config, &mut record).await?;
                let (read, write) = half::tunnel(inner);
                (read, write, Some(tunnel))
            }
        };
        record.done();
        Ok(Box::new(EstablishedSocket { local, remote, read, write, tunnel, record }))
    }

    /// Speaks TLS with the host that was granted, whatever its address.
    async fn secure(
        &self,
        stream: TcpStream,
        target: &Target,
        config: Arc<ClientConfig>,
        record: &mut AuditRecord,
    ) -> Result<(UnixStream, Tunnel), ErrorCode> {
        let limits = self.budget.limits();
        let deadline = Deadline::after(limits.tls, Limit::Tls);
        let stream = match network::handshake(stream, target.host(), config, deadline).await {
            Ok(Connection::Right(stream)) => stream,
            Ok(Connection::Left(_)) => return Err(ErrorCode::ConnectionAborted),
            Err(HandshakeError::TimedOut(exceeded)) => return Err(timed_out(record, "tls-timeout", exceeded)),
            Err(error) => {
                match error.fault() {
                    Some(fault) => {
                        record.failed(fault.code());
                        report(&self.budget, target, fault);
                    }
                    None => record.failed("connection-closed"),
                }
                return Err(ErrorCode::ConnectionAborted);
            }
        };
        let budget = Arc::clone(&self.budget);
        let target = target.clone();
        let begun = self
            .tunnels
            .begin(stream, limits.handles, limits.between_bytes, move |fault| report(&budget, &target, fault));
        begun.map_err(|_| {
            record.failed("connect");
            ErrorCode::ConnectionAborted
        })
    }
}

/// Tells the operator what is wrong with the TLS of a server. The component learns that the connection failed.
fn report(budget: &CallBudget, target: &Target, fault: TlsFault) {
    let reason = budget.note_fault(SecretFault::Source(format!("TLS with {target}: {fault}")));
    tracing::warn!(instance = %budget.audit.subject(), code = fault.code(), %reason, "TCP connection failed");
}

fn timed_out(record: &mut AuditRecord, code: &'static str, DeadlineExceeded(cause): DeadlineExceeded) -> ErrorCode {
    if let DeadlineCause::Limit(limit) = cause {
        record.timed_out(code, limit);
    }
    ErrorCode::Timeout
}

fn not_connected(record: &mut AuditRecord, error: ConnectError) -> ErrorCode {
    match error {
        ConnectError::TimedOut(exceeded) => timed_out(record, "connect-timeout", exceeded),
        ConnectError::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            record.failed("connection-refused");
            ErrorCode::ConnectionRefused
        }
        ConnectError::Io(_) => {
            record.failed("connect");
            ErrorCode::RemoteUnreachable
        }
    }
}

#[async_trait::async_trait]
impl Pollable for TcpSocketState {
    async fn ready(&mut self) {
        if let TcpState::Connecting(attempt) = &mut self.state {
            let _waiting = self.budget.wait_for_network();
            self.state = TcpState::Ready(attempt.await);
        }
    }
}
