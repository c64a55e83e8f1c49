//! Where `hbase:meta` is: which region server has the region of all regions.

use super::messages::{MetaRequest, MetaResponse, ServerName};
use super::{HBaseClient, malformed};
use crate::address::ServerAddress;
use crate::rpc::RpcError;
use crate::sasl::SecurityContext;
use std::io::{Read, Write};

impl<S: Read + Write, C: SecurityContext> HBaseClient<S, C> {
    /// The region server that has `hbase:meta`, from a connection to [`super::Service::Registry`].
    ///
    /// # Errors
    /// If the call fails, or no server has it now.
    pub fn meta_server(&mut self) -> Result<ServerAddress, RpcError> {
        let answer: MetaResponse = self.call("GetMetaRegionLocations", &MetaRequest {})?;
        // Copies of the region serve no calls of a coprocessor.
        let primary = answer.locations.into_iter().find(|location| {
            let replica = location.region.as_ref().map_or(0, |region| region.replica);
            replica == 0 && location.server.is_some()
        });
        address(primary.and_then(|location| location.server).ok_or(RpcError::NoMeta)?)
    }
}

/// The address in a server's name.
pub(super) fn address(server: ServerName) -> Result<ServerAddress, RpcError> {
    let port = u16::try_from(server.port).ok().filter(|port| *port != 0);
    let port = port.ok_or(malformed("the server of hbase:meta has no port"))?;
    ServerAddress::new(server.host, port).ok_or(malformed("the server of hbase:meta has no name"))
}
