//! A connection to the region server that has `hbase:meta`, by way of a server that knows which one that is.

use crate::config::{HBaseConfig, Registry};
use deputy_kit::tcp::TcpStream;
use deputy_kit_hadoop::active::{self, Dial};
use deputy_kit_hadoop::address::{ServerAddress, principal_at};
use deputy_kit_hadoop::hbase::{HBaseClient, HBaseOptions, Service, zookeeper};
use deputy_kit_hadoop::kerberos::{self, interface::Context};
use deputy_kit_hadoop::rpc::RpcError;

/// Connects by these settings.
pub(crate) struct MetaDial<'a> {
    config: &'a HBaseConfig<'a>,
}

/// A region server that has `hbase:meta`.
pub(crate) struct MetaServer {
    pub(crate) address: ServerAddress,
    pub(crate) client: HBaseClient<TcpStream, Context>,
}

impl<'a> MetaDial<'a> {
    pub(crate) fn new(config: &'a HBaseConfig<'a>) -> Self {
        Self { config }
    }

    fn connect(
        &self,
        server: &ServerAddress,
        service: Service,
        principal: &str,
        effective_user: Option<&str>,
    ) -> Result<HBaseClient<TcpStream, Context>, RpcError> {
        let principal = principal_at(principal, &server.host);
        let options = HBaseOptions { service, principal: &principal, qualities: self.config.qualities, effective_user };
        HBaseClient::connect(TcpStream::connect(&server.host, server.port)?, &options, kerberos::open)
    }
}

impl Dial for MetaDial<'_> {
    type Server = ServerAddress;
    type Client = MetaServer;
    type Error = RpcError;

    /// To the registry, and to the region server that it names.
    const CONNECTIONS: usize = 2;

    fn dial(&mut self, server: &ServerAddress) -> Result<MetaServer, RpcError> {
        let address = match self.config.registry {
            Registry::HBase { principal } => self.connect(server, Service::Registry, principal, None)?.meta_server()?,
            Registry::ZooKeeper { parent } => {
                zookeeper::meta_server(TcpStream::connect(&server.host, server.port)?, parent)?
            }
        };
        let client = self.connect(&address, Service::Regions, self.config.principal, self.config.doas)?;
        Ok(MetaServer { address, client })
    }

    fn pause(&mut self) {
        active::wait_for_failover();
    }
}
