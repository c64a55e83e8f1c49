//! `[call.expect]`: what has to come of a call.

use std::collections::BTreeMap;
use std::fmt;

use deputy_core::{ByteSize, Span};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Parsed, TextMatch};

/// What is expected. Without `failure`, success; without `refused`, that nothing was refused; what else is absent is not
/// compared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Expect {
    pub(crate) failure: Option<FailureMatch>,
    /// What `service-name`, `kinds` or `tokens-required` returns.
    pub(crate) value: Option<serde_json::Value>,
    pub(crate) kind: Option<String>,
    pub(crate) payload: Option<TextMatch>,
    pub(crate) handle: Option<TextMatch>,
    /// `never`, `unknown`, or a time.
    pub(crate) expiry: Option<String>,
    pub(crate) expires_in: Option<Parsed<Span>>,
    pub(crate) next_in: Option<Parsed<Span>>,
    pub(crate) renewable_for: Option<Parsed<Span>>,
    pub(crate) facts: BTreeMap<String, TextMatch>,
    /// When the coordinator would replace what was obtained, from the call on and without jitter.
    pub(crate) replaced_in: Option<Parsed<Span>>,
    /// Every permitted use of a capability, in any order.
    pub(crate) uses: Option<Vec<String>>,
    /// The codes of what was refused.
    pub(crate) refused: Vec<String>,
    pub(crate) within: UsageBounds,
    /// The files of `accept`: these and no others.
    pub(crate) files: Option<BTreeMap<String, TextMatch>>,
    pub(crate) rejected: BTreeMap<String, FailureMatch>,
    /// The instance's state after the call.
    pub(crate) state: Option<TextMatch>,
    /// What the component wrote to its standard error.
    pub(crate) stderr: Option<TextMatch>,
}

/// The most that the call may use.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct UsageBounds {
    pub(crate) requests: Option<u32>,
    pub(crate) secret_operations: Option<u32>,
    pub(crate) sent: Option<Parsed<ByteSize>>,
    pub(crate) received: Option<Parsed<ByteSize>>,
    pub(crate) memory: Option<Parsed<ByteSize>>,
    pub(crate) cpu: Option<Parsed<Span>>,
}

/// A failure: its kind alone, or more of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailureMatch {
    pub(crate) kind: String,
    pub(crate) message: Option<TextMatch>,
    pub(crate) code: Option<TextMatch>,
    pub(crate) setting: Option<TextMatch>,
    pub(crate) retry_after: Option<Parsed<Span>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    kind: String,
    message: Option<TextMatch>,
    code: Option<TextMatch>,
    setting: Option<TextMatch>,
    retry_after: Option<Parsed<Span>>,
}

impl<'de> Deserialize<'de> for FailureMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FailureVisitor)
    }
}

struct FailureVisitor;

impl<'de> Visitor<'de> for FailureVisitor {
    type Value = FailureMatch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a kind of failure such as \"denied\", or a table with `kind` and more")
    }

    fn visit_str<E: Error>(self, kind: &str) -> Result<FailureMatch, E> {
        known(kind)?;
        Ok(FailureMatch { kind: kind.to_owned(), ..FailureMatch::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FailureMatch, A::Error> {
        let Table { kind, message, code, setting, retry_after } = Table::deserialize(MapAccessDeserializer::new(map))?;
        known(&kind)?;
        Ok(FailureMatch { kind, message, code, setting, retry_after })
    }
}

/// Refuses a kind of failure that there is not.
fn known<E: Error>(kind: &str) -> Result<(), E> {
    let words = deputy_core::failure::FailureKind::ALL.map(|kind| kind.word());
    if words.contains(&kind) {
        return Ok(());
    }
    Err(E::custom(format!("`{kind}` is no kind of failure: one of {}", words.join(", "))))
}
