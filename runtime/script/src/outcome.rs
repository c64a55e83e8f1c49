//! What came of a call, whatever was called.

use std::collections::BTreeSet;

use deputy_audit::AuditEvent;
use deputy_core::failure::FailureKind;
use deputy_core::{Accepted, PayloadKind, PolicyDenial, Tokens};
use deputy_host::failure_kind;
use deputy_sandbox::{Call, CallError, CallUsage};

/// What a component returned.
#[derive(Debug)]
pub(crate) enum ComponentAnswer {
    ServiceName(String),
    Kinds(Vec<String>),
    TokensRequired(bool),
    Tokens(Tokens),
    Accepted(Accepted),
    /// `revoke` and `check` return nothing.
    Nothing,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answer: Result<ComponentAnswer, CallError>,
    /// The kind of its failure, as the coordinator judges it.
    pub(crate) failure: Option<FailureKind>,
    pub(crate) denials: Vec<PolicyDenial>,
    pub(crate) usage: CallUsage,
    pub(crate) stderr: String,
    pub(crate) events: Vec<AuditEvent>,
}

impl Outcome {
    pub(crate) fn new<T>(call: Call<T>, events: Vec<AuditEvent>, answer: impl FnOnce(T) -> ComponentAnswer) -> Self {
        let failure = failure_kind(&call);
        let Call { result, denials, usage, log_tail, .. } = call;
        Self { answer: result.map(answer), failure, denials, usage, stderr: log_tail, events }
    }
}

/// Kinds of payload as texts.
pub(crate) fn kinds(kinds: &BTreeSet<PayloadKind>) -> ComponentAnswer {
    ComponentAnswer::Kinds(kinds.iter().map(ToString::to_string).collect())
}
