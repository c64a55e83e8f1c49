//! The result of a call, and the classification of engine errors.

use deputy_audit::CallId;
use deputy_core::{ComponentFailure, Limit, PolicyDenial, Span, excerpt};
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};

use crate::made_request::MadeRequest;
use crate::over_limit::OverLimit;
use crate::secret_fault::SecretFault;
use crate::usage::CallUsage;

/// The result of a call.
#[derive(Debug)]
pub struct Call<T> {
    /// The id in the audit log.
    pub id: CallId,
    pub result: Result<T, CallError>,
    /// The denials, once each, whether the component reports them or not.
    pub denials: Vec<PolicyDenial>,
    /// The limits within which a server or name server did not answer, once each. Neither the component nor the
    /// configuration is at fault.
    pub timeouts: Vec<Limit>,
    /// Secrets that could not be used, whether the component reports it or not.
    pub secret_faults: Vec<SecretFault>,
    pub usage: CallUsage,
    /// Its HTTP requests, in the order of their ends; a bounded number of them.
    pub requests: Vec<MadeRequest>,
    /// The end of the component's standard error, with control characters escaped and known secrets blanked.
    pub log_tail: String,
}

impl<T> Call<T> {
    /// The same call if it failed, for a caller that wanted another result.
    pub(crate) fn failed<U>(self) -> Option<Call<U>> {
        let Self { id, result, denials, timeouts, secret_faults, usage, requests, log_tail } = self;
        let result = Err(result.err()?);
        Some(Call { id, result, denials, timeouts, secret_faults, usage, requests, log_tail })
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The component reported a failure.
    #[error(transparent)]
    Failure(#[from] ComponentFailure),
    /// The host is at fault.
    #[error("the sandbox failed: {0}; this is a bug, please report it")]
    Internal(String),
    /// A cause outside of the component ended the call: a retry may succeed.
    #[error(transparent)]
    Interrupted(#[from] Interruption),
    /// The component returned a value that the contract does not allow.
    #[error("the component returned an invalid result: {0}")]
    Invalid(String),
    /// A limit ended the call.
    #[error("over the limit `{0}`")]
    Limit(Limit),
    #[error("the component trapped: {reason}")]
    Trap {
        /// Wasmtime's text.
        reason: String,
    },
}

/// A cause outside of the component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Interruption {
    /// The audit log can't be written: unrecorded uses are not allowed.
    #[error("the audit log cannot be written, and unaudited operations are refused")]
    Audit,
    /// The call waited for the network until this limit ended it.
    #[error("the network did not answer within the limit `{0}`")]
    Network(Limit),
    /// The process was stopped for this long, and the call's time passed.
    #[error("the process was stopped for {0} during the call")]
    Stopped(Span),
}

/// Classifies an error of the engine. Wasmtime has no types for some of its limits, so their texts are compared here and
/// nowhere else; a hostile component for each of them proves that the texts still match.
pub(crate) fn classify(error: &wasmtime::Error) -> CallError {
    if let Some(OverLimit(limit)) = error.downcast_ref() {
        return CallError::Limit(*limit);
    }
    if error.downcast_ref::<ResourceTableError>().is_some_and(|error| matches!(error, ResourceTableError::Full)) {
        return CallError::Limit(Limit::Handles);
    }
    let text = format!("{error:#}");
    // Bytes that were passed from the component are counted in calls to the host, where there is a stack, and in the
    // answer, where there is none.
    let calling = error.downcast_ref::<WasmBacktrace>().is_some();
    for (part, limit) in [
        ("store handle limit exceeded", Limit::Handles),
        ("resource table has no free keys", Limit::Handles),
        ("fuel allocated for hostcalls has been exhausted", if calling { Limit::Argument } else { Limit::Payload }),
        ("resource limit exceeded", Limit::Instances),
        ("total size of fields exceeds limit", Limit::Headers),
    ] {
        if text.contains(part) {
            return CallError::Limit(limit);
        }
    }
    match error.downcast_ref::<Trap>() {
        Some(trap) => CallError::Trap { reason: trap.to_string() },
        // Errors of the component's bindings (a wrong handle, a string that is not UTF-8) have texts of the engine's own.
        None => CallError::Trap { reason: excerpt(&error.root_cause().to_string(), 200) },
    }
}
