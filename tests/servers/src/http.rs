//! The smallest HTTP client: to see whether a server is ready, and what it holds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// No answer that a test waits for is longer.
const LONGEST: u64 = 1 << 20;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The body, which a test's server sends as text.
    pub body: String,
}

/// Asks a server on the loopback interface. None when it does not answer, or not in HTTP.
#[must_use]
pub fn get(port: u16, path: &str) -> Option<Answer> {
    get_at(here(port), path)
}

/// The same of a server with another address.
pub(crate) fn get_at(server: SocketAddr, path: &str) -> Option<Answer> {
    exchange(server, &format!("GET {path} HTTP/1.0\r\n"))
}

/// The same with a request that changes something at the server, and has no body.
pub(crate) fn post(port: u16, path: &str) -> Option<Answer> {
    exchange(here(port), &format!("POST {path} HTTP/1.0\r\nContent-Length: 0\r\n"))
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Sends a request, and reads what is answered to its end.
fn exchange(server: SocketAddr, begin: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("{begin}Host: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}
