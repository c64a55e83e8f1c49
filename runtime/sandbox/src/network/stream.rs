//! A connection with or without TLS. It counts and limits nothing.

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// A connection, plain or over TLS.
pub(crate) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

#[cfg(test)]
mod tests;
