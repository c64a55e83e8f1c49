//! What a component returns: kinds, expiries, handles, facts, parts of failures, rejections, and what it keeps as state.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deputy_core::failure::FailureNext;
use deputy_core::grant::SecretGrant;
use deputy_core::{
    BoundInstance, ByteSize, ComponentFailure, Digest, Fact, LONGEST_FACT_NAME, LONGEST_FACT_VALUE, Limit, Limits,
    MOST_FACTS, SecretBytes, Span, StateIdentity, Timestamp, TokenExpiry, Tokens,
};
use deputy_sandbox::CallError;

use crate::harness::{Attack, AttackReport, GuestReport, host};
use crate::receiving::{Bound, PAYLOAD, delivery};
use crate::servers::Server;

const VALUE: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const HANDLE: &str = "canary-of-a-handle-of-a-lease";
const TOKEN: &str = "canary-of-a-payload-of-a-lease";
const STATE: &str = "canary-of-a-state-of-an-instance";

/// Whether a text could forge a line or turn the reading direction.
fn forges(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || ['\u{202e}', '\u{2066}', '\u{2028}'].contains(&c))
}

#[track_caller]
fn assert_bounded(facts: &[Fact]) {
    assert!(facts.len() <= MOST_FACTS, "{} facts", facts.len());
    for fact in facts {
        assert!(fact.name.len() <= LONGEST_FACT_NAME && fact.value.len() <= LONGEST_FACT_VALUE, "{fact:?}");
        assert!(!forges(&fact.name) && !forges(&fact.value), "{fact:?}");
    }
}

#[track_caller]
fn tokens(seen: &AttackReport) -> &Tokens {
    seen.call.result.as_ref().unwrap_or_else(|_| panic!("{seen:?}"))
}

/// The call was well, and its answer is not.
#[track_caller]
fn assert_invalid<T: GuestReport>(seen: &AttackReport<T>, how: &str) {
    let Err(CallError::Invalid(text)) = &seen.call.result else { panic!("{seen:?}") };
    assert!(text.contains(how), "{text}");
    assert!(text.len() < 1_000 && !forges(text), "{text:?}");
}

#[track_caller]
fn failure<T: GuestReport>(seen: &AttackReport<T>) -> &ComponentFailure {
    match &seen.call.result {
        Err(CallError::Failure(failure)) => failure,
        _ => panic!("{seen:?}"),
    }
}

#[test]
fn facts_many_and_large() {
    let seen = Attack::new("facts-many-and-large").setting("count", 100).setting("bytes", 100_000).obtain();
    match &seen.call.result {
        Ok(tokens) => {
            assert_bounded(&tokens.facts);
            let first: Vec<_> = tokens.facts.iter().map(|fact| fact.name[..3].to_owned()).collect();
            assert_eq!(first, (0..MOST_FACTS).map(|n| format!("{n:03}")).collect::<Vec<_>>());
        }
        // 20 MB of answer may be more than the component's memory, or than the host lifts.
        Err(error) => assert!(matches!(error, CallError::Limit(_)), "{seen:?}"),
    }
    let seen = Attack::new("facts-many-and-large").setting("count", 100).setting("bytes", 1_000).obtain();
    assert_bounded(&tokens(&seen).facts);
    assert_eq!(tokens(&seen).facts.len(), MOST_FACTS);
}

#[test]
fn facts_forged() {
    let seen = Attack::new("facts-forged").obtain();
    let facts = &tokens(&seen).facts;
    assert_bounded(facts);
    assert!(facts.iter().all(|fact| !fact.name.starts_with("deputy.")), "the host's own: {facts:?}");
    assert!(facts.iter().any(|fact| (fact.name.as_str(), fact.value.as_str()) == ("plain", "fine")), "{facts:?}");
    let text = format!("{facts:?}");
    assert!(text.contains("[secret payload]") && text.contains("[secret handle]"), "{text}");
    let hex: String = b"canary-of-a-payload-in-facts".iter().map(|byte| format!("{byte:02x}")).collect();
    for canary in ["canary-of-a-payload", "canary-of-a-handle", &hex] {
        assert!(!text.contains(canary), "{text}");
    }
}

#[test]
fn kind_odd() {
    for kind in ["", "pem", "pem/0", "PEM/1", "pem/1/1", "../../etc/passwd/1", "a b/1", "*", "pem/1\n", "HUGE/1", "é/1"]
    {
        assert_invalid(&Attack::new("kind-odd").setting("kind", kind).obtain(), "is not a kind");
    }
    assert_eq!(tokens(&Attack::new("kind-odd").setting("kind", "hostile/1").obtain()).kind.as_str(), "hostile/1");
}

#[test]
fn kind_odd_announced() {
    for (count, kind) in [(0, ""), (0, "*"), (0, "pem"), (3, "HUGE/1"), (0, "a\u{1b}[2J/1"), (5_000, "pem/1")] {
        let case = Attack::new("kind-odd-announced").setting("kind", kind).setting("count", count);
        host().during_attack(|| {
            let provider = host().runtime.block_on(host().sandbox.load(&case.instance)).unwrap();
            let call = host().runtime.block_on(provider.kinds());
            let Err(CallError::Invalid(text)) = call.result else { panic!("{kind:.20}: {:?}", call.result) };
            assert!(text.len() < 1_000 && !forges(&text), "{text:?}");
        });
    }
}

#[test]
fn kind_not_announced() {
    // Announced is `hostile/1`: a receiver of AWS credentials was never bound to it.
    assert_invalid(&Attack::new("kind-not-announced").obtain(), "aws-credential-process/1");
    let announced = Attack::new("kind-not-announced").setting("kinds", "hostile/1 aws-credential-process/1").obtain();
    assert_eq!(tokens(&announced).kind.as_str(), "aws-credential-process/1");
}

#[test]
fn kind_odd_of_receiver() {
    let bound = Bound::new("kind-odd-of-receiver");
    host().during_attack(|| {
        let call = host().runtime.block_on(bound.load().kinds());
        let Err(CallError::Invalid(text)) = call.result else { panic!("{:?}", call.result) };
        assert!(text.len() < 1_000 && !forges(&text), "{text:?}");
    });
}

#[test]
fn expiry_after_nothing() {
    assert_invalid(&Attack::new("expiry-after-nothing").obtain(), "0 ms after the call began");
}

#[test]
fn expiry_after_for_ever() {
    let seen = Attack::new("expiry-after-for-ever").obtain();
    assert_eq!(tokens(&seen).expiry, TokenExpiry::At(Timestamp::FOREVER), "it saturates");
}

#[test]
fn next_at_out_of_time() {
    for (next, renewable) in [(0, 0), (u64::MAX, u64::MAX), (1, u64::MAX), (u64::MAX, 1)] {
        let case = Attack::new("next-at-out-of-time").setting("next-at", next).setting("renewable-until", renewable);
        let seen = case.obtain();
        let found = tokens(&seen);
        // What the schedule makes of them is tested where the schedule is.
        assert_eq!(found.next_at, Some(Timestamp::from_millis(next)));
        assert_eq!(found.renewable_until, Some(Timestamp::from_millis(renewable)));
    }
}

#[test]
fn handle_huge() {
    let seen = Attack::new("handle-huge").setting("bytes", 10 << 20).obtain();
    seen.assert_ended_by(Limit::Payload);
    let small = |l: &mut Limits| l.payload = ByteSize::bytes(1_000);
    // Payload and handle share the limit.
    Attack::new("handle-huge").setting("bytes", 995).limits(small).obtain().assert_ended_by(Limit::Payload);
    let seen = Attack::new("handle-huge").setting("bytes", 994).limits(small).obtain();
    assert_eq!(tokens(&seen).handle.len(), 994);
}

#[test]
fn error_parts_full_of_secrets() {
    let case = Attack::new("error-parts-full-of-secrets").setting("secret", "key");
    let seen = case.secret("key", VALUE, SecretGrant::new(None, true)).obtain();
    let failure = failure(&seen);
    assert_eq!((failure.next, failure.message.as_str()), (FailureNext::Attention, "all is in the parts"));
    assert_bounded(&failure.facts);
    for part in [failure.code.as_deref().unwrap(), failure.setting.as_deref().unwrap()] {
        assert!(part.len() <= 1_000 && !forges(part), "{part:?}");
    }
    assert!(!format!("{failure:?} {seen:?}").contains(VALUE), "{failure:?}");
    assert!(!host().log_of_call(seen.call.id).contains(VALUE));
}

#[test]
fn error_setting_unknown() {
    for blamed in ["no-such-setting", "../../etc/passwd", "[instances.other]", "x\ny"] {
        let seen = Attack::new("error-setting-unknown").setting("blamed", blamed).obtain();
        let failure = failure(&seen);
        assert_eq!(failure.next, FailureNext::Misconfigured);
        assert!(!forges(failure.setting.as_deref().unwrap()), "{failure:?}");
    }
}

/// A provider's answers and its log, when it knows a handle and state and tells both.
#[test]
fn log_handle_of_renewal() {
    let case = Attack::new("log-handle-of-renewal").setting("handle", HANDLE).setting("state", STATE);
    let (renewal, revocation) = host().during_attack(|| {
        let provider = host().runtime.block_on(host().sandbox.load(&case.instance)).unwrap();
        let mut held = Tokens::new("hostile/1".parse().unwrap(), SecretBytes::new(b"payload-of-it".to_vec()));
        held.handle = SecretBytes::new(HANDLE.into());
        let renewal = host().runtime.block_on(provider.renew(&held)).expect("it renews");
        (renewal, host().runtime.block_on(provider.revoke(&held)).expect("it revokes"))
    });
    let renewed = renewal.result.as_ref().unwrap();
    assert_bounded(&renewed.facts);
    let Err(CallError::Failure(failure)) = &revocation.result else { panic!("{:?}", revocation.result) };
    let logs = [renewal.id, revocation.id].map(|call| host().log_of_call(call));
    let told = format!("{:?} {failure:?} {:?} {:?} {logs:?}", renewed.facts, renewal.log_tail, revocation.log_tail);
    assert!(told.contains("[secret handle]"), "{told}");
    for canary in [HANDLE, STATE] {
        let (left, right) = canary.split_at(canary.len() / 2);
        assert!(!told.contains(left) && !told.contains(right), "{told}");
    }
}

/// What a component logs in the call that makes it is shown only when the call has ended, and then the host knows it. Every
/// line is there, whatever ended the call, and none has what the host keeps.
#[test]
fn log_before_return() {
    for end in ["ok", "failure", "trap", "loop", "odd-kind"] {
        let case = Attack::new("log-before-return").setting("payload", TOKEN).setting("handle", HANDLE);
        let case = case.setting("state", STATE).setting("end", end).stateful(None);
        let seen = case.limits(|limits| limits.cpu = Span::millis(300)).obtain();
        let log = host().log_of_call(seen.call.id);
        let lines = log.lines().filter(|line| line.contains("deputy::guest") && line.contains("it is ")).count();
        // Three values in five forms, at four levels and on two streams.
        assert_eq!(lines, 3 * 5 * 6, "{end} {log}");
        let told = format!("{:?} {log} {:?}", seen.call, host().all_events(seen.call.id));
        let is_kept = |canary: &&str| *canary == STATE || ["ok", "odd-kind"].contains(&end);
        for canary in [TOKEN, HANDLE, STATE].iter().filter(|canary| is_kept(canary)) {
            let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
            let told = told.to_lowercase();
            assert!(!told.contains(*canary) && !told.contains(&hex), "{end} {canary} {told}");
            for before in ["", "user:"] {
                let encoded = STANDARD.encode(format!("{before}{canary}"));
                // The first letters may have bits of what is before.
                let part = encoded.get(8..encoded.len() - 8).unwrap().to_lowercase();
                assert!(!told.contains(&part), "{end} {part} {told}");
            }
        }
        assert!(told.contains("it is [secret state]!"), "{end} {told}");
    }
}

#[test]
fn state_not_granted() {
    let seen = Attack::new("state-not-granted").obtain();
    seen.assert_denied(&["state-not-granted"]);
    let lines = seen.lines();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.starts_with("err StateError::Denied")), "{lines:?}");
}

#[test]
fn state_not_granted_in_bare_question() {
    let case = Attack::new("state-not-granted-in-bare-question");
    host().during_attack(|| {
        host().runtime.block_on(async {
            let provider = host().sandbox.load(&case.instance).await.unwrap();
            let told = [
                provider.service_name().await.result.map(|_| ()),
                provider.kinds().await.result.map(|_| ()),
                provider.tokens_required().await.result.map(|_| ()),
            ];
            for result in told {
                let Err(CallError::Failure(failure)) = &result else { panic!("{result:?}") };
                assert_eq!(failure.message.matches("err StateError::Denied").count(), 2, "{failure:?}");
            }
        });
    });
}

#[test]
fn state_not_granted_to_receiver() {
    let seen = Bound::new("state-not-granted-to-receiver").accept();
    seen.assert_denied(&["state-not-granted"]);
    let lines = seen.lines();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("err StateError::Denied")), "{lines:?}");
}

/// What was saved by another component stays its own, and is neither read nor replaced.
#[test]
fn state_of_another_is_denied() {
    let kept_for = StateIdentity::new(Digest::new([7; 32]));
    let seen = Attack::new("state-not-granted").stateful(Some(kept_for)).obtain();
    seen.assert_denied(&["state-of-another"]);
    let lines = seen.lines();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.starts_with("err StateError::Denied")), "{lines:?}");
    assert!(!lines.concat().contains(&kept_for.to_string()), "{lines:?}");
}

#[test]
fn state_huge() {
    let seen = Attack::new("state-huge").setting("bytes", 1 << 20).stateful(None).obtain();
    let lines = seen.lines();
    assert_eq!(lines[0], "ok ()");
    assert!(lines[1].starts_with("err StateError::TooLarge"), "{lines:?}");
    assert_eq!(lines[2], format!("ok Some({:?})", b"small"), "what was saved before is kept");
    // More than one host call may lift at all.
    let seen = Attack::new("state-huge").setting("bytes", 10 << 20).stateful(None).obtain();
    seen.assert_ended_by(Limit::Argument);
}

#[test]
fn state_operations_million() {
    let seen = Attack::new("state-operations-million").stateful(None).obtain();
    let allowed = Limits::default().state_operations;
    match &seen.call.result {
        Err(error) => assert!(matches!(error, CallError::Limit(_)), "{seen:?}"),
        Ok(_) => assert_eq!(seen.report(), format!("{} denied", 1_000_000 - allowed)),
    }
    // Each save, and the first that was denied, and the call.
    assert_eq!(seen.events.len(), allowed as usize + 2, "{:?}", seen.events);
}

#[test]
fn rejection_of_other_instance() {
    for instance in ["s3-lab", "", "s3-prod\n", "../s3-prod", &"x".repeat(100_000)] {
        let seen = Bound::new("rejection-of-other-instance").setting("instance", instance).accept();
        assert_invalid(&seen, "which was not delivered");
        assert!(!format!("{:?}", seen.call.result.as_ref().err()).contains(PAYLOAD));
    }
    // A receiver may reject what was delivered to it; failure, facts and log have nothing of the payload.
    let seen = Bound::new("rejection-of-other-instance").setting("instance", "s3-prod").accept();
    let accepted = seen.call.result.as_ref().unwrap();
    let failure = &accepted.rejected[&"s3-prod".parse().unwrap()];
    let shown = format!("{failure:?} {:?} {}", accepted.facts, host().log_of_call(seen.call.id));
    assert!(shown.contains("[secret s3-prod]"), "{shown}");
    assert!(!shown.contains("wJalrXUtnFEMIK7MDENG") && !shown.contains("IQoJb3JpZ2luX2VjEXAMPLE"), "{shown}");
    assert_bounded(&accepted.facts);
    assert_bounded(&failure.facts);
}

#[test]
fn rejection_twice() {
    assert_invalid(&Bound::new("rejection-twice").accept(), "rejects s3-prod twice");
}

#[test]
fn rejection_always() {
    let given = vec![delivery("s3-prod", 7, PAYLOAD.as_bytes()), delivery("api", 1, b"token")];
    let seen = Bound::new("rejection-always").given(given).accept();
    let accepted = seen.call.result.as_ref().unwrap();
    assert_eq!(accepted.rejected.keys().map(ToString::to_string).collect::<Vec<_>>(), ["api", "s3-prod"]);
    // How often the worker calls again is tested where the worker is.
    for failure in accepted.rejected.values() {
        assert_eq!((failure.next, failure.retry_after), (FailureNext::Unavailable, Some(Span::millis(0))));
    }
    assert!(Bound::new("rejection-always").given(Vec::new()).accept().call.result.unwrap().rejected.is_empty());
}

/// The bound instances that `check` receives.
fn bound_instances() -> Vec<BoundInstance> {
    let kinds = BTreeSet::from(["hostile/1".parse().unwrap()]);
    vec![BoundInstance { instance: "s3-prod".parse().unwrap(), service: Some("hostile".parse().unwrap()), kinds }]
}

#[test]
fn operation_in_check() {
    let (server, name) = (Server::good(), host().name(&["127.0.0.1"]));
    let bound = Bound::new("operation-in-check").setting("url", format!("http://{name}:{}", server.port()));
    host().during_attack(|| {
        let call = host().runtime.block_on(bound.load().check(&bound_instances()));
        let Err(CallError::Failure(failure)) = call.result else { panic!("{:?}", call.result) };
        let tried: Vec<_> = failure.message.split(" | ").collect();
        assert!(tried[0].starts_with("denied ") && tried[1] == "err HttpRequestDenied", "{tried:?}");
        assert!(tried[2..].iter().all(|line| line.starts_with("err ")), "{tried:?}");
        let mut codes: Vec<_> = call.denials.iter().map(deputy_core::PolicyDenial::code).collect();
        codes.sort_unstable();
        assert_eq!(codes, ["host-not-granted", "outputs-not-allowed", "secret-not-granted", "state-not-granted"]);
    });
    assert_eq!((server.heard(), host().queries_for(&name)), (Vec::<String>::new(), 0));
}

#[test]
fn cpu_endless_check() {
    for (limits, limit) in
        [((Span::millis(200), Span::secs(10)), Limit::Cpu), ((Span::secs(10), Span::millis(200)), Limit::Wall)]
    {
        let bound = Bound::new("cpu-endless-check").limits(|l| (l.cpu, l.wall) = limits);
        host().during_attack(|| {
            let call = host().runtime.block_on(bound.load().check(&bound_instances()));
            assert_eq!(call.result, Err(CallError::Limit(limit)));
        });
    }
}
