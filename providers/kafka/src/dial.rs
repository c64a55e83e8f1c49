//! Connections to brokers, logged in.

use crate::config::{KafkaAuthentication, KafkaConfig};
use crate::scram_login::ScramLogin;
use deputy_kit::tcp::TcpStream;
use deputy_kit_hadoop::active::{self, Dial};
use deputy_kit_hadoop::address::{ServerAddress, principal_at};
use deputy_kit_hadoop::kafka::{GssapiLogin, KafkaClient, KafkaError};
use deputy_kit_hadoop::kerberos;
use deputy_kit_hadoop::sasl::SaslError;

/// Connects and logs in as the settings say.
pub(crate) struct KafkaDial<'a>(pub(crate) &'a KafkaConfig<'a>);

impl Dial for KafkaDial<'_> {
    type Server = ServerAddress;
    type Client = KafkaClient<TcpStream>;
    type Error = KafkaError;

    fn dial(&mut self, server: &ServerAddress) -> Result<Self::Client, KafkaError> {
        let mut client = KafkaClient::new(TcpStream::connect(&server.host, server.port)?);
        match self.0.authentication {
            KafkaAuthentication::Scram { mechanism, secret } => {
                client.login(&mut ScramLogin::begin(mechanism, secret)?)?
            }
            KafkaAuthentication::Gssapi { principal } => {
                let target = principal_at(principal, &server.host);
                let context = kerberos::open(&target).map_err(SaslError::Context)?;
                client.login(&mut GssapiLogin::new(context))?;
            }
            KafkaAuthentication::Certificate => {}
        }
        Ok(client)
    }

    fn pause(&mut self) {
        active::wait_for_failover();
    }
}
