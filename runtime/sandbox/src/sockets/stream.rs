//! The two directions of a TCP connection, as a component reads and writes them. Every byte is counted before it
//! leaves or is handed over; over a limit the direction is closed. No error carries a text.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};
use deputy_audit::AuditAction;
use deputy_core::{Limit, PolicyDenial};
use deputy_support::LockUnpoisoned as _;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::half::{ReadHalf, WriteHalf};
use super::socket::EstablishedSocket;
use super::tcp::tcp_action;
use super::tunnel::{Tunnel, TunnelFailure};
use crate::audit_record::AuditRecord;
use crate::call_budget::CallBudget;
use crate::network::Deadline;

/// Bytes of one read or write.
const CHUNK: usize = 64 * 1024;

/// The two halves of a connection, each until it is closed.
pub(super) struct Halves {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    budget: Arc<CallBudget>,
    /// Written with the bytes when both directions and the socket are gone.
    record: AuditRecord,
    sent: AtomicU64,
    received: AtomicU64,
    read: Mutex<Option<Arc<ReadHalf>>>,
    write: Mutex<Option<Arc<WriteHalf>>>,
    /// What carries the bytes, if there is TLS below the component's protocol.
    tunnel: Option<Tunnel>,
}

impl Halves {
    pub(super) fn new(established: EstablishedSocket, budget: Arc<CallBudget>) -> Self {
        let EstablishedSocket { local, remote, read, write, tunnel, record } = established;
        Self {
            local,
            remote,
            budget,
            record,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            read: Mutex::new(Some(Arc::new(read))),
            write: Mutex::new(Some(Arc::new(write))),
            tunnel,
        }
    }

    /// Why the tunnel ended, if it did not end well.
    fn failure(&self) -> Option<TunnelFailure> {
        self.tunnel.as_ref()?.failure()
    }

    fn reader(&self) -> Option<Arc<ReadHalf>> {
        self.read.lock_unpoisoned().clone()
    }

    fn writer(&self) -> Option<Arc<WriteHalf>> {
        self.write.lock_unpoisoned().clone()
    }

    pub(super) fn close_read(&self) {
        *self.read.lock_unpoisoned() = None;
    }

    /// Shuts the sending side down: the peer sees the end of the stream.
    pub(super) fn close_write(&self) {
        *self.write.lock_unpoisoned() = None;
    }

    fn deny(&self, denial: PolicyDenial) -> StreamError {
        self.close_read();
        self.close_write();
        AuditRecord::begin(&self.budget, tcp_action(self.remote)).denied(denial);
        StreamError::LastOperationFailed(ErrorCode::AccessDenied.into())
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        let all_sent = self.sent.load(Relaxed);
        let all_received = self.received.load(Relaxed);
        if let Some(AuditAction::Tcp { sent, received, .. }) = self.record.action() {
            *sent = all_sent;
            *received = all_received;
        }
        if let Some(TunnelFailure::Tls(fault)) = self.failure() {
            self.record.failed(fault.code());
        }
    }
}

/// The receiving side.
pub(super) struct TcpInput(pub(super) Arc<Halves>);

/// The sending side, and the bytes that the network has not taken yet.
pub(super) struct TcpOutput {
    halves: Arc<Halves>,
    waiting: VecDeque<u8>,
}

impl TcpInput {
    fn closed(&self, error: Option<&io::Error>) -> StreamError {
        self.0.close_read();
        broken(error)
    }
}

#[async_trait::async_trait]
impl InputStream for TcpInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let Some(half) = self.0.reader() else { return Err(StreamError::Closed) };
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = BytesMut::zeroed(size.min(CHUNK));
        match half.try_read(&mut buffer) {
            Ok(0) => {
                let failure = self.0.failure().map(|failure| io::Error::from(failure.kind()));
                Err(self.closed(failure.as_ref()))
            }
            Ok(bytes) => {
                self.0.budget.usage.take_received(bytes).map_err(|denial| self.0.deny(denial))?;
                self.0.received.fetch_add(bytes as u64, Relaxed);
                buffer.truncate(bytes);
                Ok(buffer.freeze())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(error) => Err(self.closed(Some(&error))),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for TcpInput {
    async fn ready(&mut self) {
        let _waiting = self.0.budget.wait_for_network();
        if let Some(half) = self.0.reader() {
            // An error shows in the next read.
            half.readable().await.ok();
        }
    }
}

impl TcpOutput {
    pub(super) fn new(halves: Arc<Halves>) -> Self {
        Self { halves, waiting: VecDeque::new() }
    }

    /// Sends as much as the network takes without waiting.
    fn push(&mut self) -> StreamResult<()> {
        let Some(half) = self.halves.writer() else { return Err(StreamError::Closed) };
        while !self.waiting.is_empty() {
            match half.try_write(self.waiting.chunk()) {
                Ok(bytes) => self.waiting.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    self.halves.close_write();
                    return Err(broken(Some(&error)));
                }
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl OutputStream for TcpOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !self.waiting.is_empty() || bytes.len() > CHUNK {
            return Err(StreamError::trap("wrote more than check-write allowed"));
        }
        if self.halves.writer().is_none() {
            return Err(StreamError::Closed);
        }
        self.halves.budget.usage.take_sent(bytes.len()).map_err(|denial| self.halves.deny(denial))?;
        self.halves.sent.fetch_add(bytes.len() as u64, Relaxed);
        self.waiting.extend(bytes);
        self.push()
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.push()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.push()?;
        Ok(if self.waiting.is_empty() { CHUNK } else { 0 })
    }

    /// A component may drop the stream right after its last write.
    async fn cancel(&mut self) {
        let limit = self.halves.budget.limits().between_bytes;
        // Bytes that the peer does not take in this time are lost, as with any closed socket.
        let sent = async {
            self.ready().await;
            self.halves.close_write();
            if let Some(tunnel) = &self.halves.tunnel {
                let _waiting = self.halves.budget.wait_for_network();
                tunnel.wait_until_sent().await;
            }
        };
        Deadline::after(limit, Limit::BetweenBytes).run(sent).await.ok();
    }
}

#[async_trait::async_trait]
impl Pollable for TcpOutput {
    async fn ready(&mut self) {
        let _waiting = self.halves.budget.wait_for_network();
        while let Some(half) = self.halves.writer() {
            if half.writable().await.is_err() || self.push().is_err() || self.waiting.is_empty() {
                return;
            }
        }
    }
}

impl Drop for TcpOutput {
    fn drop(&mut self) {
        self.halves.close_write();
    }
}

impl Drop for TcpInput {
    fn drop(&mut self) {
        self.0.close_read();
    }
}

fn broken(error: Option<&io::Error>) -> StreamError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error.map(io::Error::kind) {
        None | Some(BrokenPipe) => StreamError::Closed,
        Some(ConnectionReset) => StreamError::LastOperationFailed(ErrorCode::ConnectionReset.into()),
        Some(ConnectionAborted) => StreamError::LastOperationFailed(ErrorCode::ConnectionAborted.into()),
        Some(_) => StreamError::LastOperationFailed(ErrorCode::Unknown.into()),
    }
}
