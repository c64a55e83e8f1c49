//! One TCP socket of a component: new, connecting, connected. There is no other state, so it can't listen.

use std::net::SocketAddr;
use std::sync::Arc;

use deputy_core::grant::Pinned;
use tokio::net::TcpStream;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, poll_noop, spawn};

use super::options::SocketOptions;
use super::stream::Halves;
use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;
use crate::network::{self, ConnectError, Deadline, DeadlineCause, DeadlineExceeded};

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
type Established = Box<(TcpStream, AuditRecord)>;

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
    pub(super) fn start(&mut self, pinned: Pinned, deadline: Deadline, record: AuditRecord) {
        self.state = TcpState::Connecting(spawn(attempt(pinned, deadline, record)));
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

async fn attempt(pinned: Pinned, deadline: Deadline, mut record: AuditRecord) -> Result<Established, ErrorCode> {
    use std::io::ErrorKind::ConnectionRefused;
    if record.announce().await.is_err() {
        record.failed("audit-unavailable");
        return Err(ErrorCode::AccessDenied);
    }
    match network::connect(pinned, deadline).await {
        Ok(stream) => {
            record.done();
            Ok(Box::new((stream, record)))
        }
        Err(ConnectError::TimedOut(DeadlineExceeded(cause))) => {
            if let DeadlineCause::Limit(limit) = cause {
                record.timed_out("connect-timeout", limit);
            }
            Err(ErrorCode::Timeout)
        }
        Err(ConnectError::Io(error)) if error.kind() == ConnectionRefused => {
            record.failed("connection-refused");
            Err(ErrorCode::ConnectionRefused)
        }
        Err(ConnectError::Io(_)) => {
            record.failed("connect");
            Err(ErrorCode::RemoteUnreachable)
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
