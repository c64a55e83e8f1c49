//! TLS below a component's socket: the component reads and writes one end of a local pair, and a task of the host carries
//! the bytes between its other end and the server.
//!
//! The pair holds as much as a socket's buffers do, so that a side that does not read stops the other one. The task ends with
//! the connection, some time after the component has dropped its socket, and with the call at the latest.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use deputy_core::Span;
use deputy_support::{LockUnpoisoned as _, pause};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use crate::network::TlsFault;

/// Bytes that are carried at once, in each direction.
const CHUNK: usize = 16 * 1024;

/// The tasks of one call.
#[derive(Clone, Default)]
pub(super) struct Tunnels(Arc<Mutex<JoinSet<()>>>);

/// Adds tasks to a call that goes on.
#[derive(Clone)]
pub(super) struct TunnelSpawner(Weak<Mutex<JoinSet<()>>>);

/// The component's side of a tunnel. Dropping it ends the task, once it has carried what is on its way.
pub(super) struct Tunnel {
    end: Arc<TunnelEnd>,
    sent: watch::Receiver<bool>,
    _open: oneshot::Sender<()>,
}

/// How a tunnel ended, if it did not end well.
#[derive(Default)]
struct TunnelEnd(OnceLock<TunnelFailure>);

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum TunnelFailure {
    Tls(TlsFault),
    Network(io::ErrorKind),
}

/// What the task needs.
struct Carrier {
    server: Box<TlsStream<TcpStream>>,
    component: UnixStream,
    end: Arc<TunnelEnd>,
    sent: watch::Sender<bool>,
    report: Box<dyn FnOnce(TlsFault) + Send>,
}

impl Tunnels {
    pub(super) fn spawner(&self) -> TunnelSpawner {
        TunnelSpawner(Arc::downgrade(&self.0))
    }
}

impl TunnelSpawner {
    /// Begins a tunnel, and returns the component's end of it. There are at most `most`, with those whose sockets the
    /// component has dropped. `linger` is how long such a one goes on; `report` gets what is wrong with the server's TLS.
    ///
    /// # Errors
    /// If there are too many, the call is over, or the system has no more descriptors.
    pub(super) fn begin(
        &self,
        server: Box<TlsStream<TcpStream>>,
        most: u32,
        linger: Span,
        report: impl FnOnce(TlsFault) + Send + 'static,
    ) -> io::Result<(UnixStream, Tunnel)> {
        let tasks = self.0.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let (inner, component) = UnixStream::pair()?;
        let end = Arc::<TunnelEnd>::default();
        let (carried, sent) = watch::channel(false);
        let (open, gone) = oneshot::channel::<()>();
        let carrier = Carrier { server, component, end: Arc::clone(&end), sent: carried, report: Box::new(report) };
        let mut tasks = tasks.lock_unpoisoned();
        while tasks.try_join_next().is_some() {}
        if tasks.len() >= most as usize {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        tasks.spawn(async move {
            let over = async {
                gone.await.ok();
                pause(linger.duration()).await;
            };
            tokio::select! {
                () = carrier.run() => {}
                () = over => {}
            }
        });
        Ok((inner, Tunnel { end, sent, _open: open }))
    }
}

impl Tunnel {
    /// Why it ended, if it did not end well.
    pub(super) fn failure(&self) -> Option<TunnelFailure> {
        self.end.0.get().copied()
    }

    /// Waits until all that the component wrote, up to the end of its side, is on its way to the server.
    pub(super) async fn wait_until_sent(&self) {
        // An error means that the task has ended.
        self.sent.clone().wait_for(|sent| *sent).await.ok();
    }
}

impl TunnelFailure {
    fn of(error: &io::Error) -> Self {
        TlsFault::of(error).map_or(Self::Network(error.kind()), Self::Tls)
    }

    /// What the component's stream fails with.
    pub(super) fn kind(self) -> io::ErrorKind {
        match self {
            Self::Tls(_) => io::ErrorKind::ConnectionReset,
            Self::Network(kind) => kind,
        }
    }
}

impl Carrier {
    async fn run(self) {
        let Self { server, component, end, sent, report } = self;
        let (mut from_server, mut to_server) = tokio::io::split(server);
        let (mut from_component, mut to_component) = component.into_split();
        // The component's own side fails because it dropped it: then the other direction goes on.
        let upward = async {
            match carry(&mut from_component, &mut to_server).await {
                Err(CarryError::Write(error)) => return Err(TunnelFailure::of(&error)),
                Err(CarryError::Read(_)) | Ok(()) => {}
            }
            to_server.shutdown().await.map_err(|error| TunnelFailure::of(&error))?;
            sent.send_replace(true);
            Ok(())
        };
        let downward = async {
            match carry(&mut from_server, &mut to_component).await {
                Err(CarryError::Read(error)) => return Err(TunnelFailure::of(&error)),
                Err(CarryError::Write(_)) | Ok(()) => {}
            }
            to_component.shutdown().await.ok();
            Ok(())
        };
        if let Err(failure) = tokio::try_join!(upward, downward) {
            if let TunnelFailure::Tls(fault) = failure {
                report(fault);
            }
            // Before both ends are dropped, so that the component's next read finds it.
            end.0.get_or_init(|| failure);
        }
    }
}

/// Which side of [`carry`] failed.
enum CarryError {
    Read(io::Error),
    Write(io::Error),
}

/// Carries bytes until the reader ends.
async fn carry(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> Result<(), CarryError> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await.map_err(CarryError::Read)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        to.write_all(bytes).await.map_err(CarryError::Write)?;
        to.flush().await.map_err(CarryError::Write)?;
    }
}
