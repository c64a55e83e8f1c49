//! One TLS session on one socket, without a task: the floor's on one side, a worker's on the other.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, HandshakeKind, ServerConfig, ServerConnection};
use socket2::{Domain, Socket, Type};

use crate::Result;

pub(crate) struct Session {
    socket: TcpStream,
    tls: Connection,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It goes on.
    Open,
    /// The other side has gone.
    Closed,
}

impl Session {
    /// A worker's side, with a source address of its own: it has ports enough, and the server sees another machine.
    pub(crate) fn connect(from: Ipv4Addr, to: SocketAddr, config: &Arc<ClientConfig>) -> Result<Self> {
        let name = ServerName::try_from(deputy_link::COORDINATOR_NAME)?;
        let tls = ClientConnection::new(Arc::clone(config), name)?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error.into()),
            _ => Ok(Self::new(TcpStream::from_std(socket.into()), tls.into())),
        }
    }

    /// The floor's side.
    pub(crate) fn accept(socket: TcpStream, config: &Arc<ServerConfig>) -> Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self::new(socket, ServerConnection::new(Arc::clone(config))?.into()))
    }

    fn new(socket: TcpStream, tls: Connection) -> Self {
        Self { socket, tls, buffer: Vec::new() }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Small messages are not to wait for others. Only once it is connected.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        self.socket.set_nodelay(true)
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Takes in what has come, and hands out each frame that is whole, without its length.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&[u8])) -> Result<Stands> {
        let mut stands = Stands::Open;
        let mut source = Source { socket: &mut self.socket, is_empty: false };
        while stands == Stands::Open && !source.is_empty {
            match self.tls.read_tls(&mut source) {
                Ok(0) => stands = Stands::Closed,
                Ok(_) => {
                    let state = self.tls.process_new_packets()?;
                    let (old, more) = (self.buffer.len(), state.plaintext_bytes_to_read());
                    self.buffer.resize(old + more, 0);
                    self.tls.reader().read_exact(&mut self.buffer[old..])?;
                    if state.peer_has_closed() {
                        stands = Stands::Closed;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => stands = Stands::Closed,
                Err(error) => return Err(error.into()),
            }
        }
        let mut at = 0;
        while let Some(length) = self.buffer[at..].first_chunk::<4>() {
            let end = at + 4 + u32::from_be_bytes(*length) as usize;
            let Some(frame) = self.buffer.get(at + 4..end) else { break };
            each(frame);
            at = end;
        }
        if at == self.buffer.len() {
            // As the link's: an idle connection holds no buffer.
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..at);
        }
        Ok(stands)
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(frame)?;
        self.flush()
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Notes when a socket had less than was asked for: asking again would be a call for nothing.
struct Source<'s> {
    socket: &'s mut TcpStream,
    is_empty: bool,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(buffer)?;
        self.is_empty = count < buffer.len();
        Ok(count)
    }
}
