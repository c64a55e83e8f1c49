//! The two halves of a connection as the host holds them: of TCP, or of the inner end of a [`Tunnel`](super::tunnel::Tunnel).

use std::io;

use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// The receiving half.
pub(super) enum ReadHalf {
    Plain(tcp::OwnedReadHalf),
    Tunnel(unix::OwnedReadHalf),
}

/// The sending half. Dropping it tells the peer that no more comes.
pub(super) enum WriteHalf {
    Plain(tcp::OwnedWriteHalf),
    Tunnel(unix::OwnedWriteHalf),
}

pub(super) fn plain(stream: TcpStream) -> (ReadHalf, WriteHalf) {
    let (read, write) = stream.into_split();
    (ReadHalf::Plain(read), WriteHalf::Plain(write))
}

pub(super) fn tunnel(stream: UnixStream) -> (ReadHalf, WriteHalf) {
    let (read, write) = stream.into_split();
    (ReadHalf::Tunnel(read), WriteHalf::Tunnel(write))
}

impl ReadHalf {
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(half) => half.try_read(buffer),
            Self::Tunnel(half) => half.try_read(buffer),
        }
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.readable().await,
            Self::Tunnel(half) => half.readable().await,
        }
    }
}

impl WriteHalf {
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(half) => half.try_write(bytes),
            Self::Tunnel(half) => half.try_write(bytes),
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.writable().await,
            Self::Tunnel(half) => half.writable().await,
        }
    }
}
