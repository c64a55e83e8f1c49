//! Delegation tokens of Hadoop KMS over HTTP: from the first of its servers that answers.
//!
//! This component sends no credentials: the host adds `Authorization: Negotiate`, or what else the rule of the request has. A
//! token is renewed at once, since only that tells its expiry. The capability `kerberos` is used for one thing, the
//! principal's own name, where a proxied user's token needs a renewer.
//!
//! `config` reads the settings; what KMS shares with WebHDFS is in `deputy-kit-hadoop`. No state is kept, and no token enters a
//! failure or a fact.

mod config;

use bindings::exports::delegation::tokens::{provider, renewal, revocation};
use config::KmsConfig;
use deputy_kit::tokens::HADOOP_TOKEN;
use deputy_kit::types::{Failure, Settings, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::held::{LearnedExpiry, token_of};
use deputy_kit_hadoop::lifecycle;
use deputy_kit_hadoop::rest::{self, RestDial, RestServers};
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
            package deputy:kms;
            world kms {
                include delegation:tokens/token-provider@0.2.0;
                include delegation:tokens/renews-tokens@0.2.0;
                include delegation:tokens/revokes-tokens@0.2.0;
                include delegation:tokens/uses-kerberos@0.2.0;
            }
        ",
        world: "deputy:kms/kms",
        with: {
            "delegation:tokens/types@0.2.0": deputy_kit::types,
            "delegation:tokens/kerberos@0.2.0": deputy_kit_hadoop::kerberos::interface,
        },
        generate_all,
    });

    export!(Kms with_types_in self);
    use super::Kms;
}

/// The parameter for a proxied user.
const DOAS: &str = "doAs";

struct Kms;

impl provider::Guest for Kms {
    fn service_name(settings: Settings) -> Result<String, Failure> {
        KmsConfig::read(&settings).map(|_| "kms".to_owned())
    }

    fn kinds(settings: Settings) -> Result<Vec<String>, Failure> {
        KmsConfig::read(&settings).map(|_| vec![HADOOP_TOKEN.to_owned()])
    }

    fn tokens_required(settings: Settings) -> Result<bool, Failure> {
        KmsConfig::read(&settings).map(|_| true)
    }

    fn obtain(settings: Settings) -> Result<Tokens, Failure> {
        let config = KmsConfig::read(&settings)?;
        let renewer = config.users.requested_renewer()?;
        let mut servers = servers(&config, config.users.doas);
        let mut token = servers.call(|client| client.obtain_token(renewer.as_deref()))?;
        // KMS leaves it empty.
        config.provider.clone_into(&mut token.service);
        let payload = HadoopTokenFile::single(config.alias, token.clone()).to_bytes(FileVersion::Writable);
        if let Some(other) = config.users.other_renewer()? {
            return rest::held(&servers, &token, payload, LearnedExpiry::OfRenewer(other.to_owned()));
        }
        // Not on behalf of a proxied user: the principal itself is the renewer.
        if config.users.doas.is_some() {
            servers = self::servers(&config, None);
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
