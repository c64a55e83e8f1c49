//! Connections to brokers, logged in.

use crate::config::{KafkaConfig, KafkaLogin};
use crate::scram_login::ScramLogin;
use deputy_kit::tcp::TcpStream;
use deputy_kit_hadoop::active::Dial;
use deputy_kit_hadoop::address::ServerAddress;
use deputy_kit_hadoop::kafka::{GssapiLogin, KafkaClient, KafkaError, host};
use deputy_kit_hadoop::kerberos;
use deputy_kit_hadoop::sasl::SaslError;

/// How long a broker that starts again is waited for, in milliseconds.
const PAUSE: u64 = 2000;

/// Connects and logs in as the settings say.
pub(crate) struct KafkaDial<'a>(pub(crate) &'a KafkaConfig<'a>);

impl Dial for KafkaDial<'_> {
    type Server = ServerAddress;
    type Client = KafkaClient<TcpStream>;
    type Error = KafkaError;

    fn dial(&mut self, server: &ServerAddress) -> Result<Self::Client, KafkaError> {
        let mut client = KafkaClient::new(TcpStream::connect(&server.host, server.port)?);
        match self.0.login {
            KafkaLogin::Scram { mechanism, secret } => client.login(&mut ScramLogin::begin(mechanism, secret)?)?,
            KafkaLogin::Gssapi { principal } => {
                let target = principal.replace("_HOST", &server.host.to_ascii_lowercase());
                let context = kerberos::open(&target).map_err(SaslError::Context)?;
                client.login(&mut GssapiLogin::new(context))?;
            }
            KafkaLogin::Certificate => {}
        }
        Ok(client)
    }

    fn pause(&mut self) {
        host::pause(PAUSE);
    }
}
