//! Delegation tokens of HDFS over HTTP: from WebHDFS of a NameNode or an HA set, from HttpFS, or from a gateway before them.
//!
//! This component sends no credentials: the host adds `Authorization: Negotiate`, or what else the rule of the request has. A
//! token is renewed at once, since only that tells its expiry. The capability `kerberos` is used for one thing, the
//! principal's own name, where a proxied user's token needs a renewer.
//!
//! `config` reads the settings; what WebHDFS shares with KMS is in `deputy-kit-hadoop`. No state is kept, and no token enters a
//! failure or a fact.

mod config;

use bindings::exports::delegation::tokens::{renewal, revocation};
use config::WebHdfsConfig;
use deputy_kit::settings::wrong_setting;
use deputy_kit::tcp::{self, TcpError};
use deputy_kit::tokens::HADOOP_TOKEN;
use deputy_kit::types::{Failure, Setting, Settings, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::held::{LearnedExpiry, token_of};
use deputy_kit_hadoop::lifecycle;
use deputy_kit_hadoop::provider::TokenProvider;
use deputy_kit_hadoop::rest::{self, RestDial, RestServers};
use deputy_kit_hadoop::rpc_settings::TokenServiceName;
use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile};
use std::net::SocketAddr;

deputy_kit_hadoop::export_provider!(WebHdfs);

/// The parameter for a proxied user.
const DOAS: &str = "doas";

struct WebHdfs;

impl TokenProvider for WebHdfs {
    type Config<'a> = WebHdfsConfig<'a>;

    const SERVICE: &'static str = "webhdfs";
    const KIND: &'static str = HADOOP_TOKEN;

    fn configure(settings: &[Setting]) -> Result<WebHdfsConfig<'_>, Failure> {
        WebHdfsConfig::read(settings)
    }

    fn obtain(config: &WebHdfsConfig<'_>) -> Result<Tokens, Failure> {
        // Before there is a token to lose.
        let service = service(config)?;
        let renewer = config.users.requested_renewer()?;
        let mut servers = servers(config, config.users.doas);
        let mut token = servers.call(|client| client.obtain_token(renewer.as_deref()))?;
        // The server's own words are those of RPC, and of the connection to a gateway.
        config.kind().clone_into(&mut token.kind);
        token.service = service;
        let payload = HadoopTokenFile::single(&token.service, token.clone()).to_bytes(FileVersion::Writable);
        if let Some(other) = config.users.other_renewer()? {
            return rest::held(&servers, &token, payload, LearnedExpiry::OfRenewer(other.to_owned()));
        }
        // Not on behalf of a proxied user: the principal itself is the renewer.
        if config.users.doas.is_some() {
            servers = self::servers(config, None);
        }
        let expiry = lifecycle::learn_expiry(&mut servers, &token);
        rest::held(&servers, &token, payload, expiry)
    }
}

impl renewal::Guest for WebHdfs {
    fn renew(settings: Settings, tokens: Tokens) -> Result<Tokens, Failure> {
        let config = WebHdfsConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        let mut servers = servers(&config, None);
        let expiry = lifecycle::renew(&mut servers, &token)?;
        rest::held(&servers, &token, tokens.payload, LearnedExpiry::At(expiry))
    }
}

impl revocation::Guest for WebHdfs {
    fn revoke(settings: Settings, tokens: Tokens) -> Result<(), Failure> {
        let config = WebHdfsConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        let user = config.users.cancels_for()?;
        lifecycle::cancel(&mut servers(&config, user), &token)
    }
}

fn servers<'a>(config: &'a WebHdfsConfig<'a>, user: Option<&'a str>) -> RestServers<'a> {
    ActiveServer::new(RestDial::new(DOAS, user), &config.servers)
}

/// The name under which clients look for the token.
fn service(config: &WebHdfsConfig<'_>) -> Result<String, Failure> {
    let TokenServiceName::ServerAddress = config.service else {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        return Ok(config.service.of(&config.address, nowhere));
    };
    let found = tcp::look_up(&config.address.host).map_err(|error| match error {
        TcpError::NotGranted(_) => wrong_setting(
            "service",
            &format!(
                "missing: clients look for the token by IP address, and no tcp rule names {} so that its address can be \
                 looked up; set it, add that rule, or set `use-ip` to false if clients do",
                config.address
            ),
        ),
        other => other.into(),
    })?;
    Ok(config.service.of(&config.address, SocketAddr::new(found, config.address.port)))
}
