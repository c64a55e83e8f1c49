//! One call: what comes back, and how its end is told apart.

use deputy_core::{Limit, PolicyDenial, ProviderFailure, Span};
use deputy_observe::CallId;
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};

use crate::limiter::OverLimit;
use crate::secret_fault::SecretFault;
use crate::usage::CallUsage;

/// What came of a call.
#[derive(Debug)]
pub struct Call<T> {
    /// Its number, as in the audit log.
    pub id: CallId,
    /// What the component answered.
    pub result: Result<T, CallError>,
    /// What the component was refused, once each, whether it told or not.
    pub denials: Vec<PolicyDenial>,
    /// The limits within which a server or a name server did not answer, once each. They are no denials: neither the
    /// component nor the configuration is at fault.
    pub timeouts: Vec<Limit>,
    /// Which secrets the operator's part of it could not use, whether the component told or not.
    pub secret_faults: Vec<SecretFault>,
    /// What it used.
    pub usage: CallUsage,
    /// The end of what it wrote to standard error, with control characters escaped and known secrets blanked out.
    pub log_tail: String,
}

/// Why a call brought nothing back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The component said why.
    #[error(transparent)]
    Failure(#[from] ProviderFailure),
    /// The host is at fault.
    #[error("the sandbox failed: {0}; this is a bug, please report it")]
    Internal(String),
    /// Something outside of the component ended the call: another try may succeed.
    #[error(transparent)]
    Interrupted(#[from] Interruption),
    /// The component answered something that the contract does not allow.
    #[error("the component returned an invalid result: {0}")]
    Invalid(String),
    /// A limit ended the call.
    #[error("over the limit `{0}`")]
    Limit(Limit),
    /// The component broke off.
    #[error("the component trapped: {reason}")]
    Trap {
        /// Wasmtime's word for it.
        reason: String,
    },
}

/// What ended a call from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Interruption {
    /// The audit log can't be written, and what can't be recorded is not done.
    #[error("the audit log cannot be written: nothing is done that is not recorded")]
    Audit,
    /// The call waited for the network until this limit ended it.
    #[error("the network did not answer within the limit `{0}`")]
    Network(Limit),
    /// The process did not run for so long, and the call's time went by.
    #[error("the process was stopped for {0} during the call")]
    Stopped(Span),
}

/// Tells an engine's error apart. Wasmtime has no types for some of its limits, so their texts are compared here and
/// nowhere else; a hostile component for each of them shows that the texts still hold.
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
        None => CallError::Trap { reason: error.root_cause().to_string().chars().take(200).collect() },
    }
}
