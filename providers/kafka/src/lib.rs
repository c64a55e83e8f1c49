//! Delegation tokens of Kafka.
//!
//! One instance is one cluster. A token is created at the first broker that answers, and published when every bootstrap broker
//! that answers has let it log in; it is renewed until its maximum date, and ended when it is replaced. This provider logs in by
//! SCRAM or Kerberos, whose keys stay with the host, or by the certificate of the host's TLS.
//!
//! `config` reads the settings, `dial` connects, `confirm` tries a new token; the protocol is in `deputy-kit-hadoop`. No state is
//! kept, and no token enters a failure or a fact.

mod config;
mod confirm;
mod dial;
mod scram_login;
mod wants;

use bindings::exports::delegation::tokens::{renewal, revocation};
use config::KafkaConfig;
use confirm::confirm;
use deputy_kit::failure;
use deputy_kit::tokens::{KAFKA_TOKEN, tokens};
use deputy_kit::types::{Expiry, Failure, Setting, Settings, Tokens};
use deputy_kit_hadoop::active::ActiveServer;
use deputy_kit_hadoop::kafka::{CreatedKafkaToken, KafkaError, KafkaErrorCode, host};
use deputy_kit_hadoop::provider::TokenProvider;
use deputy_payloads::KafkaToken;
use dial::KafkaDial;

deputy_kit_hadoop::export_provider!(
    Kafka,
    "
        package deputy:connector;
        world component {
            include delegation:tokens/token-provider@0.2.0;
            include delegation:tokens/renews-tokens@0.2.0;
            include delegation:tokens/revokes-tokens@0.2.0;
            include delegation:tokens/uses-kerberos@0.2.0;
            include delegation:tokens/uses-secrets@0.2.0;
            include delegation:tokens/uses-scram@0.2.0;
            include delegation:tokens/describes-itself@0.2.0;
        }
    "
);

/// How often a new token is renewed until its broker knows it.
const ATTEMPTS: u32 = 20;

/// How long it is waited for in between, in milliseconds.
const PAUSE: u64 = 100;

struct Kafka;

type Brokers<'a> = ActiveServer<'a, KafkaDial<'a>>;

impl TokenProvider for Kafka {
    type Config<'a> = KafkaConfig<'a>;

    const SERVICE: &'static str = "kafka";
    const KIND: &'static str = KAFKA_TOKEN;

    fn configure(settings: &[Setting]) -> Result<KafkaConfig<'_>, Failure> {
        KafkaConfig::read(settings)
    }

    fn obtain(config: &KafkaConfig<'_>) -> Result<Tokens, Failure> {
        let mut brokers = brokers(config);
        let token = brokers.call(|client| client.create_token(config.owner, &config.renewers, config.max_lifetime))?;
        match settle(&mut brokers, &token).and_then(|expiry| held(config, &token, expiry)) {
            Ok(tokens) => Ok(tokens),
            Err(failure) => {
                // No one has it, and the failure says more than what ending it would.
                drop(brokers.call(|client| client.expire_token(&token.hmac)));
                Err(failure)
            }
        }
    }
}

impl renewal::Guest for Kafka {
    fn renew(settings: Settings, tokens: Tokens) -> Result<Tokens, Failure> {
        let config = KafkaConfig::read(&settings)?;
        let hmac = hmac_of(&tokens)?;
        match brokers(&config).call(|client| client.renew_token(&hmac)) {
            Ok(expiry) => Ok(Tokens { expiry: Expiry::At(expiry), ..tokens }),
            Err(error) if is_of_ended_token(&error) => Err(failure::ended(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

impl revocation::Guest for Kafka {
    fn revoke(settings: Settings, tokens: Tokens) -> Result<(), Failure> {
        let config = KafkaConfig::read(&settings)?;
        let hmac = hmac_of(&tokens)?;
        match brokers(&config).call(|client| client.expire_token(&hmac)) {
            Err(error) if !is_of_ended_token(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn brokers<'a>(config: &'a KafkaConfig<'a>) -> Brokers<'a> {
    ActiveServer::new(KafkaDial(config), &config.servers)
}

/// The HMAC of a payload that this provider made.
fn hmac_of(tokens: &Tokens) -> Result<String, Failure> {
    let token = KafkaToken::parse(&tokens.payload).map_err(|error| failure::ended(error.to_string()))?;
    Ok(token.hmac().to_owned())
}

fn is_of_ended_token(error: &KafkaError) -> bool {
    error.code().is_some_and(KafkaErrorCode::is_of_ended_token)
}

/// Renews a new token until its broker knows it, which takes some 50 ms, and returns its expiry. Where this user may not renew
/// it, it has the expiry that it was created with.
fn settle(brokers: &mut Brokers<'_>, token: &CreatedKafkaToken) -> Result<u64, Failure> {
    for _ in 0..ATTEMPTS {
        match brokers.call(|client| client.renew_token(&token.hmac)) {
            Ok(expiry) => return Ok(expiry),
            Err(error) if is_of_ended_token(&error) => host::pause(PAUSE),
            Err(error) if error.code().is_some() => return Ok(token.expires_at),
            Err(error) => return Err(error.into()),
        }
    }
    Err(failure::unavailable("the broker does not know the token that it made two seconds ago"))
}

/// The tokens of the contract, when brokers have confirmed the token.
fn held(config: &KafkaConfig<'_>, token: &CreatedKafkaToken, expires_at: u64) -> Result<Tokens, Failure> {
    let seen = confirm(&config.token_servers, config.token_mechanism, token)?;
    let bootstrap = config.bootstrap();
    let payload = KafkaToken::new(&bootstrap, config.token_mechanism.name(), &token.id, &token.hmac)
        .map_err(|error| failure::denied(format!("the broker's token is not one: {error}")))?;
    let tokens = tokens(KAFKA_TOKEN, payload.to_json())
        .expires(Expiry::At(expires_at))
        .renewable_until(token.max_date)
        .fact("owner", &token.owner)
        .fact("confirmed-by", format!("{} of {} brokers", seen.confirmed, config.token_servers.len()));
    Ok(match seen.unreachable.as_slice() {
        [] => tokens,
        silent => tokens.fact("not-confirmed-by", silent.join("; ")),
    })
}
