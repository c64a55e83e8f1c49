//! Delegation tokens of YARN's ResourceManager, by Hadoop RPC with Kerberos or over HTTP.
//!
//! One instance is one cluster: a ResourceManager, or all of an HA set, whose active one answers. By RPC a token is
//! renewed at once, since only that tells its expiry; over HTTP the answer tells it. Later it is renewed until its maximum date.
//! The principal's key stays with the host: by RPC this component exchanges messages, and the capability `kerberos` makes and
//! opens them; over HTTP the host adds `Authorization: Negotiate` by the rule of the request.
//!
//! `config` reads the settings; what YARN shares with HDFS is in `deputy-kit-hadoop`. No state is kept, and no token enters a
//! failure or a fact.

mod config;

use bindings::exports::delegation::tokens::{renewal, revocation};
use config::YarnConfig;
use deputy_kit::tokens::HADOOP_TOKEN;
use deputy_kit::types::{Failure, Setting, Settings, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::held::{self, LearnedExpiry, is_own, token_of};
use deputy_kit_hadoop::identifier::TokenIdentifier;
use deputy_kit_hadoop::kerberos;
use deputy_kit_hadoop::lifecycle;
use deputy_kit_hadoop::provider::TokenProvider;
use deputy_kit_hadoop::rest::cluster::ClusterDial;
use deputy_kit_hadoop::rpc_dial::RpcDial;
use deputy_kit_hadoop::token::HadoopToken;
use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile};

deputy_kit_hadoop::export_provider!(Yarn);

/// `ApplicationClientProtocolPB`.
const PROTOCOL: &str = "org.apache.hadoop.yarn.api.ApplicationClientProtocolPB";

struct Yarn;

impl TokenProvider for Yarn {
    type Config<'a> = YarnConfig<'a>;

    const SERVICE: &'static str = "yarn";
    const KIND: &'static str = HADOOP_TOKEN;

    fn configure(settings: &[Setting]) -> Result<YarnConfig<'_>, Failure> {
        YarnConfig::read(settings)
    }

    fn obtain(config: &YarnConfig<'_>) -> Result<Tokens, Failure> {
        let principal = kerberos::principal()?;
        let renewer = config.rpc.renewer.unwrap_or(&principal);
        // Looked up before there is a token that could be lost.
        let service = config.service()?;
        if config.urls.is_empty() {
            obtain_by_rpc(config, renewer, service)
        } else {
            obtain_by_http(config, renewer, service)
        }
    }
}

fn obtain_by_rpc(config: &YarnConfig<'_>, renewer: &str, service: String) -> Result<Tokens, Failure> {
    let mut servers = by_rpc(config, config.rpc.doas);
    let mut token = servers.call(|client| client.obtain_token(renewer))?;
    token.service = service;
    let expiry = if is_own(renewer, &kerberos::principal()?) {
        // Not on behalf of a proxied user: the principal itself is the renewer.
        if config.rpc.doas.is_some() {
            servers = by_rpc(config, None);
        }
        lifecycle::learn_expiry(&mut servers, &token)
    } else {
        LearnedExpiry::OfRenewer(renewer.to_owned())
    };
    held_by_rpc(&servers, &token, payload(&token), expiry)
}

fn obtain_by_http(config: &YarnConfig<'_>, renewer: &str, service: String) -> Result<Tokens, Failure> {
    let mut servers = by_http(config, config.rpc.doas);
    let (mut token, expiry) = servers.call(|client| client.obtain_token(renewer))?;
    token.service = service;
    let expiry = if is_own(renewer, &kerberos::principal()?) {
        LearnedExpiry::At(expiry)
    } else {
        LearnedExpiry::OfRenewer(renewer.to_owned())
    };
    held(servers.current(), &token, payload(&token), expiry)
}

impl renewal::Guest for Yarn {
    fn renew(settings: Settings, tokens: Tokens) -> Result<Tokens, Failure> {
        let config = YarnConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        if config.urls.is_empty() {
            let mut servers = by_rpc(&config, None);
            let expiry = lifecycle::renew(&mut servers, &token)?;
            held_by_rpc(&servers, &token, tokens.payload, LearnedExpiry::At(expiry))
        } else {
            let mut servers = by_http(&config, None);
            let expiry = lifecycle::renew(&mut servers, &token)?;
            held(servers.current(), &token, tokens.payload, LearnedExpiry::At(expiry))
        }
    }
}

impl revocation::Guest for Yarn {
    fn revoke(settings: Settings, tokens: Tokens) -> Result<(), Failure> {
        let config = YarnConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        // Owner and renewer may cancel, and the principal is neither if another program renews for a proxied user.
        let is_renewer = match config.rpc.renewer {
            Some(renewer) => is_own(renewer, &kerberos::principal()?),
            None => true,
        };
        let user = config.rpc.doas.filter(|_| !is_renewer);
        if config.urls.is_empty() {
            lifecycle::cancel(&mut by_rpc(&config, user), &token)
        } else {
            lifecycle::cancel(&mut by_http(&config, user), &token)
        }
    }
}

type RpcServers<'a> = ActiveServer<'a, RpcDial<'a>>;

fn by_rpc<'a>(config: &'a YarnConfig<'a>, user: Option<&'a str>) -> RpcServers<'a> {
    ActiveServer::new(RpcDial::new(&config.rpc, PROTOCOL, user), &config.rpc.servers)
}

fn by_http<'a>(config: &'a YarnConfig<'a>, user: Option<&'a str>) -> ActiveServer<'a, ClusterDial<'a>> {
    ActiveServer::new(ClusterDial::new(user), &config.urls)
}

/// The token file with this token.
fn payload(token: &HadoopToken) -> Vec<u8> {
    HadoopTokenFile::single(&token.service, token.clone()).to_bytes(FileVersion::Writable)
}

fn held_by_rpc(
    servers: &RpcServers<'_>,
    token: &HadoopToken,
    payload: Vec<u8>,
    expiry: LearnedExpiry,
) -> Result<Tokens, Failure> {
    let tokens = held(servers.current(), token, payload, expiry)?;
    Ok(match servers.client() {
        Some(client) => tokens.fact("protection", client.quality().name()),
        None => tokens,
    })
}

/// The tokens of the contract, with what an operator wants to see of them and of the server.
fn held(
    server: Option<&impl ToString>,
    token: &HadoopToken,
    payload: Vec<u8>,
    expiry: LearnedExpiry,
) -> Result<Tokens, Failure> {
    let identifier = TokenIdentifier::read_yarn(&token.identifier)?;
    let tokens = held::held(token, identifier, payload, expiry);
    Ok(match server {
        Some(server) => tokens.fact("server", server.to_string()),
        None => tokens,
    })
}
