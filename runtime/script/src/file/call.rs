//! `[[call]]`: one call of the component.

use std::collections::BTreeMap;

use deputy_core::{InstanceName, PayloadKind, ServiceName, Span, Timestamp};
use serde::Deserialize;

use super::exchange::ScriptUrlError;
use super::{Expect, HttpExchange, Parsed, Reply, ScriptTime, TcpExchange, TcpStep};

/// One call, what happens meanwhile, and what is expected of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CallEntry {
    /// For people; by default the function.
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) function: ScriptedFunction,
    /// The wall clock, from this call on.
    pub(crate) at: Option<Parsed<ScriptTime>>,
    /// By how much the wall clock goes on before this call.
    pub(crate) after: Option<Parsed<Span>>,
    /// Settings of this call beside, or instead of, those of the component.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) http: Vec<HttpExchange>,
    #[serde(default)]
    pub(crate) tcp: Vec<TcpExchange>,
    /// What `renew` and `revoke` get; by default what the last call returned.
    pub(crate) tokens: Option<TokensEntry>,
    /// What `accept` gets.
    #[serde(default)]
    pub(crate) deliveries: Vec<DeliveryEntry>,
    #[serde(default)]
    pub(crate) expect: Expect,
    /// Whether the component gets none of its own settings, in a trial.
    #[serde(skip)]
    pub(crate) without_settings: bool,
    /// How long a silent server is waited for, in a trial.
    #[serde(skip)]
    pub(crate) patience: Option<Span>,
}

/// The function that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScriptedFunction {
    #[default]
    Obtain,
    Renew,
    Revoke,
    ServiceName,
    Kinds,
    TokensRequired,
    Accept,
    Check,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TokensEntry {
    pub(crate) kind: Parsed<PayloadKind>,
    pub(crate) payload: String,
    #[serde(default)]
    pub(crate) handle: String,
    pub(crate) expires_in: Option<Parsed<Span>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DeliveryEntry {
    pub(crate) instance: Parsed<InstanceName>,
    pub(crate) service: Parsed<ServiceName>,
    pub(crate) kind: Parsed<PayloadKind>,
    pub(crate) payload: Option<String>,
    pub(crate) json: Option<serde_json::Value>,
    pub(crate) base64: Option<String>,
    /// By default they never expire.
    pub(crate) expires_in: Option<Parsed<Span>>,
    pub(crate) revision: Option<u64>,
}

/// What is wrong with a call of the script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallEntryError {
    #[error("`at` and `after` exclude each other")]
    TwoTimes,
    #[error("`tcp`: {0}")]
    Address(#[from] ScriptUrlError),
    #[error("step {0} of `tcp` needs exactly one key, such as `receive-line` or `send`")]
    Step(usize),
    #[error("a reply has one of `body`, `json`, `base64`, `raw`, `hang` and `endless`")]
    Reply,
    #[error("a delivery has one of `payload`, `json` and `base64`")]
    Delivery,
    #[error("{0} is no status of HTTP")]
    Status(u16),
    #[error("a `delay` or `drip` of {0}: at most {MAX_DELAY}")]
    Delay(Span),
    #[error("`base64`: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("a header that is no header: {0:?}")]
    Header(String),
}

/// The longest wait of a scripted server.
const MAX_DELAY: Span = Span::secs(600);

impl CallEntry {
    /// What the types leave open.
    pub(crate) fn check(&self) -> Result<(), CallEntryError> {
        if self.at.is_some() && self.after.is_some() {
            return Err(CallEntryError::TwoTimes);
        }
        self.http.iter().try_for_each(|exchange| check_reply(&exchange.reply))?;
        for tcp in &self.tcp {
            tcp.endpoint()?;
            for (at, step) in tcp.steps.iter().enumerate() {
                check_step(at.saturating_add(1), step)?;
            }
        }
        for delivery in &self.deliveries {
            let payloads = [delivery.payload.is_some(), delivery.json.is_some(), delivery.base64.is_some()];
            if payloads.into_iter().filter(|is| *is).count() != 1 {
                return Err(CallEntryError::Delivery);
            }
            decoded(delivery.base64.as_deref())?;
        }
        Ok(())
    }

    /// The wall clock of this call; `now` is that of the call before it.
    pub(crate) fn time(&self, now: Timestamp) -> Timestamp {
        let at = self.at.as_ref().map_or(now, |at| at.0.0);
        self.after.as_ref().map_or(at, |after| at.plus(after.0))
    }

    /// What the report calls it.
    pub(crate) fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(self.function.word())
    }
}

impl ScriptedFunction {
    /// The function of the contract.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Obtain => "obtain",
            Self::Renew => "renew",
            Self::Revoke => "revoke",
            Self::ServiceName => "service-name",
            Self::Kinds => "kinds",
            Self::TokensRequired => "tokens-required",
            Self::Accept => "accept",
            Self::Check => "check",
        }
    }
}

/// The bytes of a `base64`; empty if there is none.
pub(crate) fn decoded(base64: Option<&str>) -> Result<Vec<u8>, base64::DecodeError> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(base64.unwrap_or_default())
}

fn check_reply(reply: &Reply) -> Result<(), CallEntryError> {
    let bodies = [reply.body.is_some(), reply.json.is_some(), reply.base64.is_some(), reply.raw.is_some(), reply.hang];
    let count = bodies.into_iter().filter(|is| *is).count();
    if count > 1 || (reply.endless && (reply.raw.is_some() || reply.hang)) {
        return Err(CallEntryError::Reply);
    }
    decoded(reply.base64.as_deref())?;
    if let Some(status) = reply.status.filter(|status| !(100..=599).contains(status)) {
        return Err(CallEntryError::Status(status));
    }
    for delay in [&reply.delay, &reply.drip].into_iter().flatten() {
        check_delay(delay.0)?;
    }
    match reply
        .headers
        .iter()
        .find(|(name, value)| name.is_empty() || name.contains(':') || has_line_break(name) || has_line_break(value))
    {
        Some((name, _)) => Err(CallEntryError::Header(name.clone())),
        None => Ok(()),
    }
}

fn has_line_break(text: &str) -> bool {
    text.contains(['\r', '\n'])
}

fn check_step(at: usize, step: &TcpStep) -> Result<(), CallEntryError> {
    let keys = [
        step.receive.is_some(),
        step.receive_line.is_some(),
        step.receive_base64.is_some(),
        step.receive_bytes.is_some(),
        step.send.is_some(),
        step.send_base64.is_some(),
        step.delay.is_some(),
        step.hang,
    ];
    if keys.into_iter().filter(|is| *is).count() != 1 {
        return Err(CallEntryError::Step(at));
    }
    decoded(step.receive_base64.as_deref())?;
    decoded(step.send_base64.as_deref())?;
    step.delay.as_ref().map_or(Ok(()), |delay| check_delay(delay.0))
}

fn check_delay(delay: Span) -> Result<(), CallEntryError> {
    if delay > MAX_DELAY { Err(CallEntryError::Delay(delay)) } else { Ok(()) }
}
