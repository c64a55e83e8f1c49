//! Access tokens by the refresh token grant (RFC 6749, 6) of a service whose refresh tokens are good once.
//!
//! The first refresh token is a secret of the operator's; each later one is in `state`. The new one is saved before the
//! access token is returned, so that a call which is cut off afterwards loses nothing. Between the service's answer and
//! `save` there is a window in which a kill loses it; then the next call gets `invalid_grant`, and a person has to act.
//!
//! `config` reads the settings and `answer` the response. They do no I/O and are tested natively; only this file calls the
//! host. A client's secret does not pass through here: the host adds it, by the http rule.

mod answer;
mod config;

use answer::{Granted, Held};
use bindings::delegation::tokens::secret_values;
use bindings::delegation::tokens::secrets::{self, SecretError};
use bindings::delegation::tokens::state::{self, StateError};
use bindings::exports::delegation::tokens::provider::Guest;
use config::RefreshConfig;
use deputy_kit::http::{self, Method};
use deputy_kit::tokens::{BEARER_TOKEN, tokens};
use deputy_kit::types::{Failure, Next, Settings, Tokens};
use deputy_kit::{clock, encode, failure};

mod bindings {
    #![allow(unsafe_code, unused_qualifications, reason = "generated from the contract, documented there")]
    #![allow(clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package deputy:refresh-token;
            world refresh-token {
                include delegation:tokens/token-provider@0.2.0;
                include delegation:tokens/uses-secrets@0.2.0;
                include delegation:tokens/reveals-secrets@0.2.0;
                include delegation:tokens/keeps-state@0.2.0;
            }
        ",
        world: "deputy:refresh-token/refresh-token",
        with: { "delegation:tokens/types@0.2.0": deputy_kit::types },
        generate_all,
    });

    export!(RefreshToken with_types_in self);
    use super::RefreshToken;
}

struct RefreshToken;

impl Guest for RefreshToken {
    fn service_name(settings: Settings) -> Result<String, Failure> {
        RefreshConfig::read(&settings).map(|_| "oauth2".to_owned())
    }

    fn kinds(settings: Settings) -> Result<Vec<String>, Failure> {
        RefreshConfig::read(&settings).map(|_| vec![BEARER_TOKEN.to_owned()])
    }

    fn tokens_required(settings: Settings) -> Result<bool, Failure> {
        RefreshConfig::read(&settings).map(|_| true)
    }

    fn obtain(settings: Settings) -> Result<Tokens, Failure> {
        let config = RefreshConfig::read(&settings)?;
        // Without state the refresh token would be used up and its successor lost, so this comes first.
        let saved = state::load().map_err(not_kept)?;
        let (held, refresh_token) = match saved {
            Some(token) => (Held::InState, text(token)?),
            None => (Held::AsSecret, text(initial(&config)?)?),
        };
        let form = encode::form(config.form(&refresh_token));
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept-encoding", "identity")];
        let response = http::send(&Method::Post, &config.url, &headers, form.as_bytes())?;
        let granted = answer::read(&response, held, clock::now()).inspect_err(|failure| forget(held, failure))?;
        keep(&granted, &refresh_token)?;
        let account = account(&config, &granted.access_token);
        let tokens = tokens(BEARER_TOKEN, granted.access_token).expires(granted.expiry);
        Ok(match account {
            Some(account) => tokens.fact("account", account),
            None => tokens,
        })
    }
}

/// Saves the new refresh token, if the service gave one. Until then nothing else may be done with the answer.
fn keep(granted: &Granted, used: &str) -> Result<(), Failure> {
    match &granted.refresh_token {
        Some(new) if new != used => state::save(new.as_bytes()).map_err(not_kept),
        _ => Ok(()),
    }
}

/// Whose the access token is, for people to see. The tokens are as good without it.
fn account(config: &RefreshConfig, access_token: &str) -> Option<String> {
    let authorization = format!("Bearer {access_token}");
    let headers = [("authorization", authorization.as_str()), ("accept-encoding", "identity")];
    let response = http::send(&Method::Get, config.userinfo.as_ref()?, &headers, b"").ok()?;
    answer::account(&response)
}

/// Removes a saved refresh token that the service does not know any more, so that the next call takes the secret's: the
/// operator may have put a new one there.
fn forget(held: Held, failure: &Failure) {
    if held == Held::InState && failure.next == Next::Ended {
        // If it stays, the next call gets the same answer.
        state::save(&[]).ok();
    }
}

/// The operator's refresh token.
fn initial(config: &RefreshConfig) -> Result<Vec<u8>, Failure> {
    let secret = secrets::open(config.secret).map_err(|error| not_opened(config.secret, error))?;
    secret_values::reveal(&secret).map_err(|error| not_opened(config.secret, error))
}

fn text(token: Vec<u8>) -> Result<String, Failure> {
    let text = String::from_utf8(token).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    text.ok_or_else(|| failure::attention("the refresh token is empty or no text: put a new one into the secret"))
}

fn not_kept(error: StateError) -> Failure {
    match error {
        StateError::Denied(text) => failure::misconfigured(format!("state is not granted: {text}")),
        StateError::TooLarge(text) => {
            failure::misconfigured(format!("the refresh token is too large for state: {text}"))
        }
        StateError::Unavailable(text) => failure::unavailable(format!("state cannot be used now: {text}")),
    }
}

fn not_opened(secret: &str, error: SecretError) -> Failure {
    match error {
        SecretError::Denied(text) => failure::misconfigured(format!("secret `{secret}` is not granted: {text}")),
        SecretError::Invalid(text) => failure::misconfigured(format!("secret `{secret}` cannot be read: {text}")),
        SecretError::Unavailable(text) => failure::unavailable(format!("secret `{secret}` cannot be used now: {text}")),
    }
}
