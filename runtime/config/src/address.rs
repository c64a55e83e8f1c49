//! Addresses to listen on and to advertise.

use std::net::SocketAddr;

use deputy_core::{AdvertisedAddresses, HostPort};

use crate::diagnostic::DiagnosticSink;
use crate::value::Located;

/// An example for errors.
pub(crate) const ADVERTISED: &str = "\"coordinator.example:8271\"";

/// Reads an address to listen on.
pub(crate) fn read(sink: &mut DiagnosticSink, value: Located<'_>, like: &str) -> Option<SocketAddr> {
    let text = value.text(sink, like)?;
    let address = text.parse().ok();
    if address.is_none() {
        sink.error(value.at(), "not an IP address with a port").expected(format!("write {like}"));
    }
    address
}

/// Reads one address to advertise, or a list.
pub(crate) fn advertised(sink: &mut DiagnosticSink, value: Located<'_>) -> Option<AdvertisedAddresses> {
    if !value.is_list() {
        return value.parsed::<HostPort>(sink, ADVERTISED).map(AdvertisedAddresses::from);
    }
    let listed = value.unique_list::<HostPort>(sink, &format!("[{ADVERTISED}]"))?;
    match AdvertisedAddresses::new(listed.into_iter().map(|(address, _)| address).collect()) {
        Ok(addresses) => Some(addresses),
        Err(error) => value.invalid(sink, &error),
    }
}
