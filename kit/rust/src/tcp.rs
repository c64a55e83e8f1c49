//! One TCP connection over `wasi:sockets`, blocking, as `std::io` has it.
//!
//! The host resolves the name, judges each address, and bounds the connecting. It cannot know for how long a connection may
//! rest, so a read waits for its own time alone: else one silent server takes the whole time of a call, and the others of its
//! set are never asked. Where the operator's rule asks for TLS, the host speaks it below this stream.

use crate::failure;
use crate::types::Failure;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

/// The largest write that `wasi:io` allows.
pub(crate) const MAX_WRITE: usize = 4096;

/// The most that is read at once, in bytes.
const MAX_READ: u64 = 64 * 1024;

/// How long a server may be silent while an answer is due, in nanoseconds: the host's default for HTTP.
const MAX_SILENCE: u64 = 10_000_000_000;

/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 4;

/// An open connection.
pub struct TcpStream {
    input: InputStream,
    output: OutputStream,
    peer: SocketAddr,
    // Behind the streams, so that it is dropped after them.
    _socket: TcpSocket,
}

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub enum TcpError {
    /// No rule of the instance allows it.
    NotGranted(String),
    /// The host's name is not one, or not found.
    Unknown(String),
    /// The server does not answer.
    Unreachable(String),
}

impl fmt::Display for TcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted(what) => {
                write!(f, "no tcp rule of this instance allows {what}; the host's log says what would")
            }
            Self::Unknown(text) | Self::Unreachable(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for TcpError {}

impl From<TcpError> for Failure {
    fn from(error: TcpError) -> Self {
        let text = error.to_string();
        match error {
            TcpError::NotGranted(_) => failure::misconfigured(text),
            TcpError::Unknown(_) | TcpError::Unreachable(_) => failure::unavailable(text),
        }
    }
}

impl TcpStream {
    /// Connects to the first address of `host`, a name or an IP address, that answers.
    ///
    /// # Errors
    /// If no rule allows it, the name is not found, or no address answers.
    pub fn connect(host: &str, port: u16) -> Result<Self, TcpError> {
        let server = format!("{}:{port}", crate::text::one_line(host, 255));
        let mut error = TcpError::Unknown(format!("{server}: the host's name was not found"));
        for address in addresses(host, &server)?.into_iter().take(MAX_ADDRESSES) {
            match open(SocketAddr::new(address, port), &server) {
                Ok(stream) => return Ok(stream),
                Err(TcpError::NotGranted(what)) => return Err(TcpError::NotGranted(what)),
                Err(other) => error = other,
            }
        }
        Err(error)
    }

    /// The server's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

/// The first address of `host`, a name or an IP address. A name is looked up only if a `tcp` rule of the instance names it.
///
/// # Errors
/// If no rule allows it, or the name is not found.
pub fn look_up(host: &str) -> Result<IpAddr, TcpError> {
    let server = crate::text::one_line(host, 255);
    let found = addresses(host, &server)?.into_iter().next();
    found.ok_or_else(|| TcpError::Unknown(format!("{server}: the host's name was not found")))
}

/// The addresses of a name, or the address that it is.
fn addresses(host: &str, server: &str) -> Result<Vec<IpAddr>, TcpError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let stream = resolve_addresses(&instance_network(), host).map_err(|code| failed(server, code))?;
    let pollable = stream.subscribe();
    let mut found = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => found.push(Ipv4Addr::new(a, b, c, d).into()),
            Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                found.push(Ipv6Addr::new(a, b, c, d, e, f, g, h).into());
            }
            Ok(None) => return Ok(found),
            Err(ErrorCode::WouldBlock) => pollable.block(),
            Err(code) => return Err(failed(server, code)),
        }
    }
}

fn open(address: SocketAddr, server: &str) -> Result<TcpStream, TcpError> {
    let (family, remote) = encoded(address);
    let socket = create_tcp_socket(family).map_err(|code| failed(server, code))?;
    socket.start_connect(&instance_network(), remote).map_err(|code| failed(server, code))?;
    let pollable = socket.subscribe();
    loop {
        match socket.finish_connect() {
            Ok((input, output)) => return Ok(TcpStream { input, output, peer: address, _socket: socket }),
            Err(ErrorCode::WouldBlock) => pollable.block(),
            Err(code) => return Err(failed(server, code)),
        }
    }
}

fn encoded(address: SocketAddr) -> (IpAddressFamily, IpSocketAddress) {
    match address {
        SocketAddr::V4(address) => {
            let [a, b, c, d] = address.ip().octets();
            let encoded = Ipv4SocketAddress { port: address.port(), address: (a, b, c, d) };
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(encoded))
        }
        SocketAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.ip().segments();
            let encoded = Ipv6SocketAddress {
                port: address.port(),
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(encoded))
        }
    }
}

fn failed(server: &str, code: ErrorCode) -> TcpError {
    let what = match code {
        ErrorCode::AccessDenied => return TcpError::NotGranted(server.to_owned()),
        ErrorCode::InvalidArgument => return TcpError::Unknown(format!("{server}: not a host's name")),
        ErrorCode::NameUnresolvable => {
            return TcpError::Unknown(format!("{server}: the host's name was not found"));
        }
        ErrorCode::TemporaryResolverFailure => "the host's name was not found in time",
        ErrorCode::ConnectionRefused => "connection refused",
        ErrorCode::ConnectionReset | ErrorCode::ConnectionAborted => "the connection broke off",
        ErrorCode::RemoteUnreachable => "the host is unreachable",
        ErrorCode::Timeout => "no connection in time",
        ErrorCode::NewSocketLimit => "too many connections",
        _ => "no connection",
    };
    TcpError::Unreachable(format!("{server}: {what}"))
}

/// The kit does not read the host's text of an error, which is not the component's to see.
fn broken(error: &StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::Error::new(io::ErrorKind::UnexpectedEof, "the server closes the connection"),
        StreamError::LastOperationFailed(_) => io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the connection broke off, or a limit of the call ended it",
        ),
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = u64::try_from(buffer.len()).unwrap_or(MAX_READ).min(MAX_READ);
        let readable = self.input.subscribe();
        let bytes = loop {
            match self.input.read(wanted) {
                Ok(bytes) if bytes.is_empty() && wanted > 0 => wait(&readable)?,
                Ok(bytes) => break bytes,
                Err(StreamError::Closed) => return Ok(0),
                Err(error) => return Err(broken(&error)),
            }
        };
        let place = buffer.get_mut(..bytes.len()).ok_or(io::ErrorKind::InvalidData)?;
        place.copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

/// Waits for bytes, or for the end of the stream.
fn wait(readable: &Pollable) -> io::Result<()> {
    let late = subscribe_duration(MAX_SILENCE);
    poll(&[readable, &late]);
    if readable.ready() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the server is silent for 10 s"))
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = bytes.get(..MAX_WRITE).unwrap_or(bytes);
        self.output.blocking_write_and_flush(chunk).map_err(|error| broken(&error))?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Each write is flushed.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Next;

    #[test]
    fn tcp_denial_is_misconfigured() {
        let failure = Failure::from(failed("nn1:8020", ErrorCode::AccessDenied));
        assert_eq!(failure.next, Next::Misconfigured);
        assert_eq!(failure.message, "no tcp rule of this instance allows nn1:8020; the host's log says what would");
    }

    #[test]
    fn tcp_failure_names_the_server() {
        for (code, expected) in [
            (ErrorCode::ConnectionRefused, "nn1:8020: connection refused"),
            (ErrorCode::NameUnresolvable, "nn1:8020: the host's name was not found"),
            (ErrorCode::Timeout, "nn1:8020: no connection in time"),
            (ErrorCode::Unknown, "nn1:8020: no connection"),
        ] {
            let failure = Failure::from(failed("nn1:8020", code));
            assert_eq!((failure.next, failure.message.as_str()), (Next::Unavailable, expected));
        }
    }

    #[test]
    fn tcp_address_is_encoded_in_its_family() {
        let (family, encoded) = encoded("10.1.2.3:8020".parse().unwrap());
        assert_eq!(family, IpAddressFamily::Ipv4);
        let IpSocketAddress::Ipv4(address) = encoded else { panic!("{encoded:?}") };
        assert_eq!((address.address, address.port), ((10, 1, 2, 3), 8020));
        let (family, encoded) = super::encoded("[::1]:8020".parse().unwrap());
        assert_eq!(family, IpAddressFamily::Ipv6);
        let IpSocketAddress::Ipv6(address) = encoded else { panic!("{encoded:?}") };
        assert_eq!((address.address.7, address.port), (1, 8020));
    }
}
