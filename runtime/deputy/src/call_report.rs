//! How a call ended, judged: the code to exit with, and what the operator is told.

use deputy_core::{Instance, PolicyDenial, Principal, ProviderFailure};
use deputy_sandbox::{Call, CallError, CallUsage, SecretFault};
use serde::Serialize;

use crate::exit::Exit;
use crate::print::{ERROR, HINT, Printer, WARNING, indented};

/// A refusal, for a program to read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RefusalJson {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The lines of configuration that would allow it, or that none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

/// A failed call, for a program to read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CallErrorJson {
    kind: &'static str,
    exit_code: u8,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// What a call used, for a program to read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UsageJson {
    requests: u32,
    secret_operations: u32,
    bytes_sent: u64,
    bytes_received: u64,
}

impl From<CallUsage> for UsageJson {
    fn from(usage: CallUsage) -> Self {
        Self {
            requests: usage.requests,
            secret_operations: usage.secret_operations,
            bytes_sent: usage.sent,
            bytes_received: usage.received,
        }
    }
}

/// The code for a call. What was refused says more than what the component made of it: a component that may not reach
/// its service reports the service as unavailable. So does a component that broke off because its service did not answer.
pub(crate) fn exit<T>(call: &Call<T>) -> Exit {
    let error = match &call.result {
        Ok(_) => return Exit::Done,
        Err(CallError::Internal(_)) => return Exit::Internal,
        Err(CallError::Interrupted(_)) => return Exit::Unavailable,
        Err(CallError::Limit(_)) => return Exit::OverLimit,
        Err(error) => error,
    };
    if call.denials.iter().any(|refusal| !matches!(refusal, PolicyDenial::Limit(_))) {
        return Exit::Refused;
    }
    if !call.denials.is_empty() {
        return Exit::OverLimit;
    }
    if let Some(exit) = exit_of_secrets(&call.secret_faults) {
        return exit;
    }
    match error {
        CallError::Failure(ProviderFailure::Denied(_)) => Exit::Denied,
        CallError::Failure(ProviderFailure::Misconfigured(_)) => Exit::Misconfigured,
        CallError::Failure(ProviderFailure::Throttled { .. } | ProviderFailure::Unavailable(_)) => Exit::Unavailable,
        CallError::Internal(_) => Exit::Internal,
        CallError::Interrupted(_) => Exit::Unavailable,
        CallError::Invalid(_) | CallError::Trap { .. } if !call.timeouts.is_empty() => Exit::Unavailable,
        CallError::Invalid(_) | CallError::Trap { .. } => Exit::Broken,
        CallError::Limit(_) => Exit::OverLimit,
    }
}

/// The code for a call whose secrets could not be used: another value mends one that is not what it is used for, and a
/// source that gave none may give one later.
fn exit_of_secrets(faults: &[SecretFault]) -> Option<Exit> {
    let is_value = |fault: &SecretFault| matches!(fault, SecretFault::Value(_));
    match faults {
        [] => None,
        faults if faults.iter().any(is_value) => Some(Exit::Misconfigured),
        _ => Some(Exit::Unavailable),
    }
}

/// What went wrong with a call's secrets, to be put before what the component made of it.
pub(crate) fn secrets(faults: &[SecretFault]) -> Option<String> {
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// What was refused, with what would allow it.
pub(crate) fn refusals(refusals: &[PolicyDenial], asker: Principal<'_>) -> Vec<RefusalJson> {
    let json = |refusal: &PolicyDenial| RefusalJson {
        code: refusal.code(),
        message: refusal.to_string(),
        fix: refusal.fix(asker),
    };
    refusals.iter().map(json).collect()
}

/// The error of a failed call.
pub(crate) fn error<T>(call: &Call<T>) -> Option<CallErrorJson> {
    let error = call.result.as_ref().err()?;
    let exit = exit(call);
    let retry_after_ms = match error {
        CallError::Failure(ProviderFailure::Throttled { retry_after, .. }) => Some(retry_after.as_millis()),
        _ => None,
    };
    Some(CallErrorJson { kind: exit.word(), exit_code: exit.code(), message: message(call, error), retry_after_ms })
}

/// The error of a failed call in words, with the host's own before the component's.
fn message<T>(call: &Call<T>, error: &CallError) -> String {
    match secrets(&call.secret_faults) {
        Some(faults) => format!("{}: {faults}; the component said: {error}", exit(call).word()),
        None => error.to_string(),
    }
}

/// Tells a person how a call ended: the error, what was refused and what would allow it, and what the component wrote.
pub(crate) fn print<T>(printer: Printer, call: &Call<T>, instance: &Instance, file: &str) {
    if let Err(error) = &call.result {
        printer.labelled(ERROR, "error", &format!("{}: {}", instance.name, message(call, error)));
        if let CallError::Failure(ProviderFailure::Throttled { retry_after, .. }) = error {
            printer.labelled(HINT, "hint", &format!("try again in {retry_after}"));
        }
        if !call.log_tail.trim().is_empty() {
            printer.stderr("call failed; last lines of the component's stderr:\n");
            printer.stderr(&indented(&call.log_tail, "  | "));
        }
    }
    let refusals = refusals(&call.denials, Principal::Instance(instance));
    for refusal in &refusals {
        let style = if call.result.is_err() { ERROR } else { WARNING };
        printer.labelled(style, "refused", &format!("{} [{}]", refusal.message, refusal.code));
    }
    let mut fixes: Vec<&str> = refusals.iter().filter_map(|refusal| refusal.fix.as_deref()).collect();
    fixes.dedup();
    if !fixes.is_empty() {
        printer.labelled(HINT, "hint", &format!("if it should be allowed, write into {file}:"));
        for fix in fixes {
            printer.stderr("\n");
            printer.stderr(&indented(fix, "    "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deputy_core::{Limit, Limits, Span};
    use deputy_observe::CallId;
    use deputy_sandbox::Interruption;

    fn call(result: Result<(), CallError>, denials: Vec<PolicyDenial>) -> Call<()> {
        Call {
            id: CallId(1),
            result,
            denials,
            timeouts: Vec::new(),
            secret_faults: Vec::new(),
            usage: CallUsage::default(),
            log_tail: String::new(),
        }
    }

    fn denied() -> CallError {
        CallError::Failure(ProviderFailure::Denied("no".into()))
    }

    #[test]
    fn each_end_has_its_code() {
        let throttled = ProviderFailure::Throttled { message: "slow".into(), retry_after: Span::secs(30) };
        for (result, expected) in [
            (Ok(()), Exit::Done),
            (Err(denied()), Exit::Denied),
            (Err(CallError::Failure(ProviderFailure::Misconfigured("a".into()))), Exit::Misconfigured),
            (Err(CallError::Failure(throttled)), Exit::Unavailable),
            (Err(CallError::Failure(ProviderFailure::Unavailable("a".into()))), Exit::Unavailable),
            (Err(CallError::Internal("a".into())), Exit::Internal),
            (Err(CallError::Invalid("a".into())), Exit::Broken),
            (Err(CallError::Limit(Limit::Cpu)), Exit::OverLimit),
            (Err(CallError::Trap { reason: "a".into() }), Exit::Broken),
        ] {
            assert_eq!(exit(&call(result, Vec::new())), expected);
        }
    }

    #[test]
    fn a_failed_call_in_which_something_was_refused_was_refused() {
        let limit = PolicyDenial::Limit(Limit::Requests);
        for (result, refusals, expected) in [
            (Err(denied()), vec![PolicyDenial::Udp], Exit::Refused),
            (Err(CallError::Trap { reason: "a".into() }), vec![PolicyDenial::Udp], Exit::Refused),
            (Err(denied()), vec![limit.clone()], Exit::OverLimit),
            (Err(denied()), vec![limit.clone(), PolicyDenial::Udp], Exit::Refused),
            (Err(CallError::Limit(Limit::Wall)), vec![PolicyDenial::Udp], Exit::OverLimit),
            (Err(CallError::Internal("a".into())), vec![PolicyDenial::Udp], Exit::Internal),
            (Ok(()), vec![PolicyDenial::Udp, limit], Exit::Done),
        ] {
            assert_eq!(exit(&call(result, refusals)), expected);
        }
    }

    #[test]
    fn timeout_of_a_server_makes_a_failed_call_unavailable() {
        let trap = || CallError::Trap { reason: "a".into() };
        let ended = |result, refusals| Call { timeouts: vec![Limit::FirstByte], ..call(result, refusals) };
        for (result, refusals, expected) in [
            (Err(trap()), Vec::new(), Exit::Unavailable),
            (Err(CallError::Invalid("a".into())), Vec::new(), Exit::Unavailable),
            (Err(CallError::Interrupted(Interruption::Network(Limit::Wall))), Vec::new(), Exit::Unavailable),
            (Err(CallError::Interrupted(Interruption::Stopped(Span::secs(9)))), Vec::new(), Exit::Unavailable),
            (Err(CallError::Interrupted(Interruption::Audit)), Vec::new(), Exit::Unavailable),
            (Err(denied()), Vec::new(), Exit::Denied),
            (Err(trap()), vec![PolicyDenial::Udp], Exit::Refused),
            (Err(CallError::Limit(Limit::Cpu)), Vec::new(), Exit::OverLimit),
        ] {
            assert_eq!(exit(&ended(result, refusals)), expected);
        }
    }

    #[test]
    fn secret_that_could_not_be_used_decides_the_code_and_is_told_first() {
        let source = || SecretFault::Source("secret a: /x can't be read".into());
        let value = || SecretFault::Value("secret b: its value is no key".into());
        for (secret_faults, expected) in [
            (vec![source()], Exit::Unavailable),
            (vec![value()], Exit::Misconfigured),
            (vec![source(), value()], Exit::Misconfigured),
        ] {
            let call = Call { secret_faults, ..call(Err(denied()), Vec::new()) };
            assert_eq!(exit(&call), expected);
            let text = error(&call).unwrap().message;
            assert!(text.contains("secret ") && text.ends_with("; the component said: denied: no"), "{text}");
            let refused = Call { denials: vec![PolicyDenial::Udp], ..call };
            assert_eq!(exit(&refused), Exit::Refused);
        }
        let call = Call { secret_faults: vec![value()], ..call(Ok(()), Vec::new()) };
        assert_eq!(exit(&call), Exit::Done);
    }

    #[test]
    fn a_throttled_call_says_when_to_try_again() {
        let throttled = ProviderFailure::Throttled { message: "slow".into(), retry_after: Span::secs(30) };
        let json = error(&call(Err(CallError::Failure(throttled)), Vec::new())).unwrap();
        assert_eq!((json.kind, json.exit_code, json.retry_after_ms), ("unavailable", 4, Some(30_000)));
        assert_eq!(error(&call(Ok(()), Vec::new())), None);
    }

    #[test]
    fn a_refusal_comes_with_the_lines_that_would_allow_it() {
        let (name, limits) = ("aws".parse().unwrap(), Limits::default());
        let refused = refusals(&[PolicyDenial::Limit(Limit::Memory)], Principal::Receiver(&name, &limits));
        let [refusal] = refused.as_slice() else { panic!("one refusal") };
        assert_eq!(refusal.code, "over-limit");
        let fix = refusal.fix.as_deref().unwrap();
        assert!(fix.ends_with("\n[receivers.aws.limits]\nmemory = \"128MiB\" # \"64MiB\" now"), "{fix}");
    }
}
