//! Ports without a listener.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

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

/// The lasting ports that this process has given out: other threads look for some at the same time.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// That many different free ports that stay free without a listener: none is of those that the system gives
/// to clients. They are for a server that is stopped and started again.
///
/// # Errors
/// When there are none.
pub fn lasting_ports<const N: usize>() -> Result<[u16; N], Error> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").map_err(no_port)?;
    let lowest = range.split_ascii_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(u16::MAX);
    // Another process that looks for such ports begins elsewhere.
    let begin = 10_000 + u16::try_from(std::process::id() % 10_000).unwrap_or(0);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let free: Vec<u16> = (begin..lowest).filter(|port| !given.contains(port)).collect();
    let mut held = free.into_iter().filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = held.next().ok_or_else(|| Error::new("no free port below those of connections"))?;
        *port = listener.local_addr().map_err(no_port)?.port();
        given.insert(*port);
        listeners.push(listener);
    }
    Ok(ports)
}

fn no_port(error: std::io::Error) -> Error {
    Error::new(format!("no free port: {error}"))
}
