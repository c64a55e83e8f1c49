use deputy_audit::CallId;
use deputy_core::{ComponentFailure, Limit, Span};
use deputy_sandbox::{CallUsage, Interruption};

use super::*;

fn call(result: Result<(), CallError>, denials: Vec<PolicyDenial>) -> Call<()> {
    Call {
        id: CallId(1),
        result,
        denials,
        timeouts: Vec::new(),
        secret_faults: Vec::new(),
        usage: CallUsage::default(),
        requests: Vec::new(),
        log_tail: String::new(),
    }
}

fn failure(next: FailureNext) -> ComponentFailure {
    ComponentFailure {
        next,
        message: "no".into(),
        code: Some("invalid_client".into()),
        setting: None,
        retry_after: Some(Span::secs(30)),
        facts: Vec::new(),
    }
}

fn denied() -> CallError {
    CallError::Failure(failure(FailureNext::Denied))
}

fn trap() -> CallError {
    CallError::Trap { reason: "a".into() }
}

fn throttled() -> CallError {
    CallError::Failure(failure(FailureNext::Throttled))
}

#[test]
fn failure_kind_of_each_call_error() {
    assert_eq!(failure_kind(&call(Ok(()), Vec::new())), None);
    for (error, expected) in [
        (denied(), FailureKind::Denied),
        (CallError::Failure(failure(FailureNext::Misconfigured)), FailureKind::Misconfigured),
        (throttled(), FailureKind::Throttled),
        (CallError::Failure(failure(FailureNext::Unavailable)), FailureKind::Unavailable),
        (CallError::Internal("a".into()), FailureKind::Internal),
        (CallError::Invalid("a".into()), FailureKind::Broken),
        (CallError::Limit(Limit::Cpu), FailureKind::OverLimit),
        (trap(), FailureKind::Broken),
    ] {
        assert_eq!(failure_kind(&call(Err(error), Vec::new())), Some(expected));
    }
}

#[test]
fn failure_kind_of_a_call_with_denials() {
    let limit = PolicyDenial::Limit(Limit::Requests);
    for (error, denials, expected) in [
        (denied(), vec![PolicyDenial::Udp], FailureKind::Refused),
        (trap(), vec![PolicyDenial::Udp], FailureKind::Refused),
        (denied(), vec![limit.clone()], FailureKind::OverLimit),
        (denied(), vec![limit.clone(), PolicyDenial::Udp], FailureKind::Refused),
        (CallError::Limit(Limit::Wall), vec![PolicyDenial::Udp], FailureKind::OverLimit),
        (CallError::Internal("a".into()), vec![PolicyDenial::Udp], FailureKind::Internal),
        (throttled(), vec![PolicyDenial::Udp], FailureKind::Throttled),
    ] {
        assert_eq!(failure_kind(&call(Err(error), denials)), Some(expected));
    }
    assert_eq!(failure_kind(&call(Ok(()), vec![PolicyDenial::Udp, limit])), None);
}

#[test]
fn failure_kind_of_a_call_whose_server_timed_out() {
    for (error, denials, expected) in [
        (trap(), Vec::new(), FailureKind::Unavailable),
        (CallError::Invalid("a".into()), Vec::new(), FailureKind::Unavailable),
        (CallError::Interrupted(Interruption::Network(Limit::Wall)), Vec::new(), FailureKind::Unavailable),
        (CallError::Interrupted(Interruption::Stopped(Span::secs(9))), Vec::new(), FailureKind::Unavailable),
        (CallError::Interrupted(Interruption::Audit), Vec::new(), FailureKind::Unavailable),
        (denied(), Vec::new(), FailureKind::Denied),
        (trap(), vec![PolicyDenial::Udp], FailureKind::Refused),
        (CallError::Limit(Limit::Cpu), Vec::new(), FailureKind::OverLimit),
    ] {
        let call = Call { timeouts: vec![Limit::FirstByte], ..call(Err(error), denials) };
        assert_eq!(failure_kind(&call), Some(expected));
    }
}

#[test]
fn failure_kind_of_a_call_whose_secrets_failed() {
    let source = || SecretFault::Source("secret a: /x can't be read".into());
    let value = || SecretFault::Value("secret b: its value is no key".into());
    for (secret_faults, expected) in [
        (vec![source()], FailureKind::Unavailable),
        (vec![value()], FailureKind::Misconfigured),
        (vec![source(), value()], FailureKind::Misconfigured),
    ] {
        let call = Call { secret_faults, ..call(Err(denied()), Vec::new()) };
        assert_eq!(failure_kind(&call), Some(expected));
        let refused = Call { denials: vec![PolicyDenial::Udp], ..call };
        assert_eq!(failure_kind(&refused), Some(FailureKind::Refused));
    }
    assert_eq!(failure_kind(&Call { secret_faults: vec![value()], ..call(Ok(()), Vec::new()) }), None);
}

#[test]
fn call_failure_has_the_delay_of_the_component_s_own_account() {
    let own = call_failure(&call(Err(throttled()), Vec::new())).unwrap();
    assert_eq!((own.kind, own.retry_after), (FailureKind::Throttled, Some(Span::secs(30))));
    assert_eq!((own.message.as_str(), own.code.as_deref()), ("no", Some("invalid_client")));
    let refused = call_failure(&call(Err(denied()), vec![PolicyDenial::Udp])).unwrap();
    assert_eq!((refused.kind, refused.retry_after), (FailureKind::Refused, None));
    assert_eq!(call_failure(&call(Ok(()), Vec::new())), None);
}
