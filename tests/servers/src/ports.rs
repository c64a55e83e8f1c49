//! Ports that nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

use crate::Error;

/// That many different free ports of the loopback interface.
///
/// # Errors
/// When the system has none left.
pub fn free_ports<const N: usize>() -> Result<[u16; N], Error> {
    // All are held until the last one is found: else the system might give the same one twice.
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(no_port)?;
        *port = listener.local_addr().map_err(no_port)?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn no_port(error: std::io::Error) -> Error {
    Error::new(format!("no free port: {error}"))
}
