//! Delegation tokens of HDFS, by Hadoop RPC with Kerberos.
//!
//! One instance is one nameservice: a NameNode, an HA set, or the routers of a federation. A token is obtained from the active
//! one, and renewed at once, since only that tells its expiry; later it is renewed until its maximum date. The principal's
//! key stays with the host: this component exchanges messages, and the capability `kerberos` makes and opens them.
//!
//! `config` reads the settings; what HDFS shares with YARN is in `deputy-kit-hadoop`. No state is kept, and no token enters a
//! failure or a fact.

mod config;

use bindings::exports::delegation::tokens::{renewal, revocation};
use config::HdfsConfig;
use deputy_kit::tokens::HADOOP_TOKEN;
use deputy_kit::types::{Failure, Setting, Settings, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::held::{self, LearnedExpiry, is_own, token_of};
use deputy_kit_hadoop::identifier::TokenIdentifier;
use deputy_kit_hadoop::kerberos;
use deputy_kit_hadoop::lifecycle;
use deputy_kit_hadoop::provider::TokenProvider;
use deputy_kit_hadoop::rpc_dial::RpcDial;
use deputy_kit_hadoop::token::HadoopToken;
use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile};

deputy_kit_hadoop::export_provider!(Hdfs);

/// `ClientNamenodeProtocolPB`.
const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";

struct Hdfs;

impl TokenProvider for Hdfs {
    type Config<'a> = HdfsConfig<'a>;

    const SERVICE: &'static str = "hdfs";
    const KIND: &'static str = HADOOP_TOKEN;

    fn configure(settings: &[Setting]) -> Result<HdfsConfig<'_>, Failure> {
        HdfsConfig::read(settings)
    }

    fn obtain(config: &HdfsConfig<'_>) -> Result<Tokens, Failure> {
        let principal = kerberos::principal()?;
        let renewer = config.rpc.renewer.unwrap_or(&principal);
        let mut servers = servers(config, config.rpc.doas);
        let mut token = servers.call(|client| client.obtain_token(renewer))?;
        if let (Some(server), Some(client)) = (servers.current(), servers.client()) {
            token.service = config.rpc.service.of(server, client.stream().peer());
        }
        let payload = HadoopTokenFile::single(&token.service, token.clone()).to_bytes(FileVersion::Writable);
        if !is_own(renewer, &principal) {
            return held(&servers, &token, payload, LearnedExpiry::OfRenewer(renewer.to_owned()));
        }
        // Not on behalf of a proxied user: the principal itself is the renewer.
        if config.rpc.doas.is_some() {
            servers = self::servers(config, None);
        }
        let expiry = lifecycle::learn_expiry(&mut servers, &token);
        held(&servers, &token, payload, expiry)
    }
}

impl renewal::Guest for Hdfs {
    fn renew(settings: Settings, tokens: Tokens) -> Result<Tokens, Failure> {
        let config = HdfsConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        let mut servers = servers(&config, None);
        let expiry = lifecycle::renew(&mut servers, &token)?;
        held(&servers, &token, tokens.payload, LearnedExpiry::At(expiry))
    }
}

impl revocation::Guest for Hdfs {
    fn revoke(settings: Settings, tokens: Tokens) -> Result<(), Failure> {
        let config = HdfsConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        // Owner and renewer may cancel, and the principal is neither if another program renews for a proxied user.
        let is_renewer = match config.rpc.renewer {
            Some(renewer) => is_own(renewer, &kerberos::principal()?),
            None => true,
        };
        let user = config.rpc.doas.filter(|_| !is_renewer);
        lifecycle::cancel(&mut servers(&config, user), &token)
    }
}

type Servers<'a> = ActiveServer<'a, RpcDial<'a>>;

fn servers<'a>(config: &'a HdfsConfig<'a>, user: Option<&'a str>) -> Servers<'a> {
    ActiveServer::new(RpcDial::new(&config.rpc, PROTOCOL, user), &config.rpc.servers)
}

/// The tokens of the contract, with what an operator wants to see of them and of the connection.
fn held(
    servers: &Servers<'_>,
    token: &HadoopToken,
    payload: Vec<u8>,
    expiry: LearnedExpiry,
) -> Result<Tokens, Failure> {
    let identifier = TokenIdentifier::read_writable(&token.identifier)?;
    let tokens = held::held(token, identifier, payload, expiry);
    Ok(match (servers.current(), servers.client()) {
        (Some(server), Some(client)) => {
            tokens.fact("server", server.to_string()).fact("protection", client.quality().name())
        }
        _ => tokens,
    })
}
