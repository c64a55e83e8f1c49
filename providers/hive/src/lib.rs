//! Delegation tokens of Hive's metastore, over Thrift with Kerberos: from the first of its servers that answers.
//!
//! A token is renewed at once, since only that tells its expiry; later it is renewed until its maximum date. A metastore that
//! does not renew is one from which tokens are obtained again. The principal's key stays with the host: this component exchanges
//! messages, and the capability `kerberos` makes and opens them. HiveServer2 has tokens of its own, which are not obtained here.
//!
//! `config` reads the settings; the protocol is in `deputy-kit-hadoop`. No state is kept, and no token enters a failure or a
//! fact.

mod config;

use bindings::exports::delegation::tokens::{renewal, revocation};
use config::HiveConfig;
use deputy_kit::tcp::TcpStream;
use deputy_kit::tokens::HADOOP_TOKEN;
use deputy_kit::types::{Failure, Setting, Settings, Tokens};
use deputy_kit_hadoop::active::{self, ActiveServer, Dial};
use deputy_kit_hadoop::address::{ServerAddress, principal_at};
use deputy_kit_hadoop::held::{self, LearnedExpiry, is_own, token_of};
use deputy_kit_hadoop::identifier::TokenIdentifier;
use deputy_kit_hadoop::kerberos::{self, interface::Context};
use deputy_kit_hadoop::lifecycle;
use deputy_kit_hadoop::metastore::MetastoreClient;
use deputy_kit_hadoop::provider::TokenProvider;
use deputy_kit_hadoop::rpc::RpcError;
use deputy_kit_hadoop::token::HadoopToken;
use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile};

deputy_kit_hadoop::export_provider!(Hive);

struct Hive;

impl TokenProvider for Hive {
    type Config<'a> = HiveConfig<'a>;

    const SERVICE: &'static str = "hive";
    const KIND: &'static str = HADOOP_TOKEN;

    fn configure(settings: &[Setting]) -> Result<HiveConfig<'_>, Failure> {
        HiveConfig::read(settings)
    }

    fn obtain(config: &HiveConfig<'_>) -> Result<Tokens, Failure> {
        let principal = kerberos::principal()?;
        let owner = config.doas.unwrap_or(&principal);
        let renewer = config.renewer.unwrap_or(&principal);
        let mut metastores = metastores(config);
        let mut token = metastores.call(|client| client.obtain_token(owner, renewer))?;
        config.signature.clone_into(&mut token.service);
        let payload = HadoopTokenFile::single(config.alias(), token.clone()).to_bytes(FileVersion::Writable);
        let expiry = if is_own(renewer, &principal) {
            lifecycle::learn_expiry(&mut metastores, &token)
        } else {
            LearnedExpiry::OfRenewer(renewer.to_owned())
        };
        held(&metastores, &token, payload, expiry)
    }
}

impl renewal::Guest for Hive {
    fn renew(settings: Settings, tokens: Tokens) -> Result<Tokens, Failure> {
        let config = HiveConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        let mut metastores = metastores(&config);
        let expiry = lifecycle::renew(&mut metastores, &token)?;
        held(&metastores, &token, tokens.payload, LearnedExpiry::At(expiry))
    }
}

impl revocation::Guest for Hive {
    fn revoke(settings: Settings, tokens: Tokens) -> Result<(), Failure> {
        let config = HiveConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        lifecycle::cancel(&mut metastores(&config), &token)
    }
}

/// Connects by these settings.
struct MetastoreDial<'a> {
    config: &'a HiveConfig<'a>,
}

impl Dial for MetastoreDial<'_> {
    type Server = ServerAddress;
    type Client = MetastoreClient<TcpStream, Context>;
    type Error = RpcError;

    fn dial(&mut self, server: &ServerAddress) -> Result<Self::Client, RpcError> {
        let principal = principal_at(self.config.principal, &server.host);
        let stream = TcpStream::connect(&server.host, server.port)?;
        MetastoreClient::connect(stream, kerberos::open(&principal), self.config.qualities)
    }

    fn pause(&mut self) {
        active::wait_for_failover();
    }
}

type Metastores<'a> = ActiveServer<'a, MetastoreDial<'a>>;

fn metastores<'a>(config: &'a HiveConfig<'a>) -> Metastores<'a> {
    ActiveServer::new(MetastoreDial { config }, &config.metastores)
}

/// The tokens of the contract, with what an operator wants to see of them and of the connection.
fn held(
    metastores: &Metastores<'_>,
    token: &HadoopToken,
    payload: Vec<u8>,
    expiry: LearnedExpiry,
) -> Result<Tokens, Failure> {
    let identifier = TokenIdentifier::read_writable(&token.identifier)?;
    let tokens = held::held(token, identifier, payload, expiry);
    Ok(match (metastores.current(), metastores.client()) {
        (Some(server), Some(client)) => {
            tokens.fact("server", server.to_string()).fact("protection", client.quality().name())
        }
        _ => tokens,
    })
}
