//! Connections of a component to a service with Hadoop RPC: TCP and Kerberos of the host.

use crate::active::{self, Dial};
use crate::address::ServerAddress;
use crate::kerberos::{self, interface::Context};
use crate::rpc::{ExpectedServer, RpcClient, RpcError, RpcOptions};
use crate::rpc_settings::RpcSettings;
use deputy_kit::tcp::TcpStream;
use wasip2::random::random::get_random_bytes;

/// Connects to the servers of these settings.
pub struct RpcDial<'a> {
    settings: &'a RpcSettings<'a>,
    protocol: &'static str,
    user: Option<&'a str>,
}

impl<'a> RpcDial<'a> {
    /// Connections to a Java interface, such as `org.apache.hadoop.hdfs.protocol.ClientProtocol`, on behalf of a user or, if
    /// that is none, of the instance's own principal.
    #[must_use]
    pub fn new(settings: &'a RpcSettings<'a>, protocol: &'static str, user: Option<&'a str>) -> Self {
        Self { settings, protocol, user }
    }
}

impl Dial for RpcDial<'_> {
    type Server = ServerAddress;
    type Client = RpcClient<TcpStream, Context>;
    type Error = RpcError;

    fn dial(&mut self, server: &ServerAddress) -> Result<Self::Client, RpcError> {
        let stream = TcpStream::connect(&server.host, server.port)?;
        let mut client_id = [0; 16];
        for (place, byte) in client_id.iter_mut().zip(get_random_bytes(16)) {
            *place = byte;
        }
        let options = RpcOptions {
            protocol: self.protocol,
            server: ExpectedServer::new(&server.host, self.settings.principal),
            qualities: self.settings.qualities,
            effective_user: self.user,
            client_id,
        };
        RpcClient::connect(stream, &options, kerberos::open)
    }

    fn pause(&mut self) {
        active::wait_for_failover();
    }
}
