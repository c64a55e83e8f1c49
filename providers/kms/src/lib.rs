//! Delegation tokens of Hadoop KMS over HTTP: from the first of its servers that answers.
//!
//! This component sends no credentials: the host adds `Authorization: Negotiate`, or what else the rule of the request has. A
//! token is renewed at once, since only that tells its expiry. The capability `kerberos` is used for one thing, the
//! principal's own name, where a proxied user's token needs a renewer.
//!
//! `config` reads the settings; what KMS shares with WebHDFS is in `deputy-kit-hadoop`. No state is kept, and no token enters a
//! failure or a fact.

mod config;

use bindings::exports::delegation::tokens::{renewal, revocation};
use config::KmsConfig;
use deputy_kit::tokens::HADOOP_TOKEN;
use deputy_kit::types::{Failure, Setting, Settings, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::held::{LearnedExpiry, token_of};
use deputy_kit_hadoop::lifecycle;
use deputy_kit_hadoop::provider::TokenProvider;
use deputy_kit_hadoop::rest::{self, RestDial, RestServers};
use deputy_kit_hadoop::token_file::{FileVersion, HadoopTokenFile};

deputy_kit_hadoop::export_provider!(Kms);

/// The parameter for a proxied user.
const DOAS: &str = "doAs";

struct Kms;

impl TokenProvider for Kms {
    type Config<'a> = KmsConfig<'a>;

    const SERVICE: &'static str = "kms";
    const KIND: &'static str = HADOOP_TOKEN;

    fn configure(settings: &[Setting]) -> Result<KmsConfig<'_>, Failure> {
        KmsConfig::read(settings)
    }

    fn obtain(config: &KmsConfig<'_>) -> Result<Tokens, Failure> {
        let renewer = config.users.requested_renewer()?;
        let mut servers = servers(config, config.users.doas);
        let mut token = servers.call(|client| client.obtain_token(renewer.as_deref()))?;
        // KMS leaves it empty.
        config.provider.clone_into(&mut token.service);
        let payload = HadoopTokenFile::single(config.alias, token.clone()).to_bytes(FileVersion::Writable);
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

impl renewal::Guest for Kms {
    fn renew(settings: Settings, tokens: Tokens) -> Result<Tokens, Failure> {
        let config = KmsConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        let mut servers = servers(&config, None);
        let expiry = lifecycle::renew(&mut servers, &token)?;
        rest::held(&servers, &token, tokens.payload, LearnedExpiry::At(expiry))
    }
}

impl revocation::Guest for Kms {
    fn revoke(settings: Settings, tokens: Tokens) -> Result<(), Failure> {
        let config = KmsConfig::read(&settings)?;
        let token = token_of(&tokens)?;
        let user = config.users.cancels_for()?;
        lifecycle::cancel(&mut servers(&config, user), &token)
    }
}

fn servers<'a>(config: &'a KmsConfig<'a>, user: Option<&'a str>) -> RestServers<'a> {
    ActiveServer::new(RestDial::new(DOAS, user), &config.servers)
}
