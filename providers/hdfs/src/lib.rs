//! Delegation tokens of HDFS, by Hadoop RPC with Kerberos.
//!
//! One instance is one nameservice: a NameNode, an HA set, or the routers of a federation. A token is obtained from the active
//! one, and renewed at once, since only that tells its expiry; later it is renewed until its maximum date. The principal's
//! key stays with the host: this component exchanges messages, and the capability `kerberos` makes and opens them.
//!
//! `config` reads the settings; what HDFS shares with YARN is in `deputy-kit-hadoop`. No state is kept, and no token enters a
//! failure or a fact.

mod config;

use bindings::exports::delegation::tokens::{provider, renewal, revocation};
use config::HdfsConfig;
use deputy_kit::tokens::{HADOOP_TOKEN, tokens};
use deputy_kit::types::{Failure, Settings, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::identifier::TokenIdentifier;
use deputy_kit_hadoop::kerberos;
use deputy_kit_hadoop::lifecycle::{self, LearnedExpiry};
use deputy_kit_hadoop::rpc_dial::RpcDial;
use deputy_kit_hadoop::token::HadoopToken;
use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile};

mod bindings {
    #![allow(
        missing_docs,
        unsafe_code,
        unused_qualifications,
        reason = "generated from the contract, documented there"
    )]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package deputy:hdfs;
            world hdfs {
                include delegation:tokens/token-provider@0.2.0;
                include delegation:tokens/renews-tokens@0.2.0;
                include delegation:tokens/revokes-tokens@0.2.0;
                include delegation:tokens/uses-kerberos@0.2.0;
            }
        ",
        world: "deputy:hdfs/hdfs",
        with: {
            "delegation:tokens/types@0.2.0": deputy_kit::types,
            "delegation:tokens/kerberos@0.2.0": deputy_kit_hadoop::kerberos::interface,
        },
        generate_all,
    });

    export!(Hdfs with_types_in self);
    use super::Hdfs;
}

/// `ClientNamenodeProtocolPB`.
const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";

struct Hdfs;

impl provider::Guest for Hdfs {
    fn service_name(settings: Settings) -> Result<String, Failure> {
        HdfsConfig::read(&settings).map(|_| "hdfs".to_owned())
    }

    fn kinds(settings: Settings) -> Result<Vec<String>, Failure> {
        HdfsConfig::read(&settings).map(|_| vec![HADOOP_TOKEN.to_owned()])
    }

    fn tokens_required(settings: Settings) -> Result<bool, Failure> {
        HdfsConfig::read(&settings).map(|_| true)
    }

    fn obtain(settings: Settings) -> Result<Tokens, Failure> {
        let config = HdfsConfig::read(&settings)?;
        let principal = kerberos::principal()?;
        let renewer = config.rpc.renewer.unwrap_or(&principal);
        let mut servers = servers(&config, config.rpc.doas);
        let mut token = servers.call(|client| client.obtain_token(renewer))?;
        if let (Some(server), Some(client)) = (servers.current(), servers.client()) {
            token.service = config.rpc.service.of(server, client.stream().peer());
        }
        if config.rpc.renewer.is_some() {
            return described(token, None, &servers);
        }
        // Not on behalf of a proxied user: the principal itself is the renewer.
        if config.rpc.doas.is_some() {
            servers = self::servers(&config, None);
        }
        let expiry = lifecycle::learn_expiry(&mut servers, &token);
        described(token, Some(expiry), &servers)
    }
}

impl renewal::Guest for Hdfs {
    fn renew(settings: Settings, held: Tokens) -> Result<Tokens, Failure> {
        let config = HdfsConfig::read(&settings)?;
        let token = lifecycle::token_of(&held)?;
        let mut servers = servers(&config, None);
        let expiry = lifecycle::renew(&mut servers, &token)?;
        described(token, Some(LearnedExpiry::At(expiry)), &servers)
    }
}

impl revocation::Guest for Hdfs {
    fn revoke(settings: Settings, held: Tokens) -> Result<(), Failure> {
        let config = HdfsConfig::read(&settings)?;
        let token = lifecycle::token_of(&held)?;
        // Owner and renewer may cancel, and the principal is not both if another program renews for a proxied user.
        let user = config.rpc.doas.filter(|_| config.rpc.renewer.is_some());
        lifecycle::cancel(&mut servers(&config, user), &token)
    }
}

type Servers<'a> = ActiveServer<'a, RpcDial<'a>>;

fn servers<'a>(config: &'a HdfsConfig<'a>, user: Option<&'a str>) -> Servers<'a> {
    ActiveServer::new(RpcDial::new(&config.rpc, PROTOCOL, user), &config.rpc.servers)
}

/// The tokens of the contract, with what an operator wants to see of them. An expiry of `None`: another program renews.
fn described(token: HadoopToken, expiry: Option<LearnedExpiry>, servers: &Servers<'_>) -> Result<Tokens, Failure> {
    let identifier = TokenIdentifier::read_writable(&token.identifier)?;
    let service = token.service.clone();
    let payload = HadoopTokenFile::single(token).to_bytes(FileVersion::Writable);
    let mut tokens = tokens(HADOOP_TOKEN, payload).fact("owner", identifier.owner).fact("service", service);
    tokens = tokens.fact("number", identifier.sequence_number.to_string());
    if !identifier.real_user.is_empty() {
        tokens = tokens.fact("real-user", identifier.real_user);
    }
    if let Some(server) = servers.current() {
        tokens = tokens.fact("server", server.to_string());
    }
    if let Some(client) = servers.client() {
        tokens = tokens.fact("protection", client.quality().name());
    }
    Ok(match expiry {
        None => tokens.fact("renewer", identifier.renewer),
        Some(LearnedExpiry::NotRenewable(reason)) => tokens.fact("not-renewable", reason),
        Some(expiry @ LearnedExpiry::At(_)) => tokens.expires(expiry.expiry()).renewable_until(identifier.max_date),
        Some(LearnedExpiry::Lost(reason)) => tokens.renewable_until(identifier.max_date).fact("expiry-unknown", reason),
    })
}
