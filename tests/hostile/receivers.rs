//! Receivers: what they are given stays with them, what they leave is judged, and half of it is nothing.

use deputy_audit::{AcceptedDelivery, AuditAction, AuditOutcome, AuditSubject};
use deputy_core::failure::FailureNext;
use deputy_core::{ByteSize, Kinds, Limit, PolicyDenial, SecretBytes, Span};
use deputy_sandbox::{CallError, LoadError};

use crate::harness::{Attack, AttackReport, host};
use crate::receiving::{Bound, PAYLOAD, delivery};
use crate::servers::Server;
use crate::surroundings::chain;

/// Parts of the payload that must not be shown, beside all of it.
const KEY: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE";

/// Whatever the operator sees of a call holds no payload.
#[track_caller]
fn shows_no_payload<T: crate::harness::GuestReport>(seen: &AttackReport<T>) {
    let told = seen.call.result.as_ref().map(|_| ()).map_err(ToString::to_string);
    let log = host().log_of_call(seen.call.id);
    let known = format!("{told:?} {:?} {:?} {:?} {log}", seen.events, seen.call.denials, seen.call.log_tail);
    assert!(!known.contains(PAYLOAD), "{known}");
    for secret in [KEY, TOKEN] {
        let (left, right) = secret.split_at(secret.len() / 2);
        assert!(!known.contains(left) && !known.contains(right), "{known}");
    }
}

/// The end of the call as the audit log has it.
#[track_caller]
fn end<T: crate::harness::GuestReport>(seen: &AttackReport<T>) -> (u32, u64, AuditOutcome, Option<&str>) {
    let end = seen.events.last().expect("an event");
    let AuditAction::Accept { deliveries, files, bytes, .. } = &end.action else { panic!("{seen:?}") };
    assert_eq!(*deliveries, [AcceptedDelivery { instance: "s3-prod".to_owned(), revision: 7 }]);
    assert!(matches!(end.subject, AuditSubject::Receiver(_)), "{seen:?}");
    (*files, *bytes, end.outcome, end.code.as_deref())
}

#[test]
fn receiver_gets_all_deliveries_and_puts_files() {
    let given = vec![delivery("s3-prod", 7, b"tokens"), delivery("s3-lab", 3, &[0, 0xff]), delivery("empty", 1, b"")];
    let seen = Bound::new("benign-receiver").given(given).accept();
    let expected = [
        "s3-prod hostile 7 Expiry::At(1700003600000) ok",
        "s3-lab hostile 3 Expiry::At(1700003600000) ok",
        "empty hostile 1 Expiry::At(1700003600000) ok",
    ];
    assert_eq!(seen.assert_not_denied().lines(), expected);
    assert_eq!(seen.files(), ["empty", "report", "s3-lab", "s3-prod"]);
    let outputs = seen.call.result.as_ref().unwrap();
    assert_eq!(outputs.outputs.files[&"s3-lab".parse().unwrap()].expose(), [0, 0xff]);
    let AuditAction::Accept { deliveries, files, bytes, .. } = &seen.events.last().unwrap().action else {
        panic!("{seen:?}")
    };
    let given: Vec<_> = deliveries.iter().map(|it| (it.instance.as_str(), it.revision)).collect();
    assert_eq!(given, [("s3-prod", 7), ("s3-lab", 3), ("empty", 1)]);
    assert_eq!((*files, *bytes), (4, 8 + seen.report().len() as u64));
    // Without any delivery it has nothing to say, and that is what it leaves.
    assert_eq!(Bound::new("benign-receiver").given(Vec::new()).accept().files(), ["report"]);
}

#[test]
fn output_files_many() {
    let seen = Bound::new("output-files-many").setting("count", 2_000).limits(|l| l.output_files = 10).accept();
    seen.assert_over_limit(Limit::OutputFiles);
    assert_eq!(seen.call.log_tail, "ok\ntoo-large over the limit `output-files`");
    assert_eq!(seen.files().len(), 10);
    assert_eq!(end(&seen), (10, 10, AuditOutcome::Done, None));
    assert!(seen.events.len() <= 1_002, "{} audit events", seen.events.len());
}

#[test]
fn output_bytes_many_files() {
    let seen = Bound::new("output-bytes-many-files").limits(|l| l.output_bytes = ByteSize::bytes(100_000)).accept();
    seen.assert_over_limit(Limit::OutputBytes);
    let over = "too-large over the limit `output-bytes`";
    assert_eq!(seen.lines(), ["ok", "ok", over, over, "ok", over]);
    assert_eq!(seen.files(), ["large-0", "large-1", "report", "small"]);
    // A file that is too large for any argument does not even reach the host whole.
    let limits = |l: &mut deputy_core::Limits| (l.argument, l.payload) = (ByteSize::kib(100), ByteSize::kib(1));
    let seen = Bound::new("output-bytes-many-files").limits(limits).accept();
    seen.assert_ended_by(Limit::Argument);
}

#[test]
fn output_bytes_endless() {
    let limits = |l: &mut deputy_core::Limits| (l.cpu, l.wall) = (Span::secs(5), Span::secs(2));
    let seen = Bound::new("output-bytes-endless").limits(limits).accept();
    seen.assert_ended_by(Limit::Wall).assert_over_limit(Limit::OutputBytes);
    assert_eq!(seen.files(), [""; 0]);
    assert!(seen.events.len() <= 1_002, "{} audit events", seen.events.len());
}

#[test]
fn output_path_leaves() {
    let seen = Bound::new("output-path-leaves").accept();
    seen.assert_denied(&["odd-output-path"]);
    let lines = seen.lines();
    assert!(lines.len() > 25 && lines.iter().all(|line| line == "invalid-path"), "{lines:?}");
    assert_eq!(seen.files(), ["report"]);
    let puts = seen.events.iter().filter(|event| matches!(event.action, AuditAction::Output { .. })).count();
    assert_eq!(puts, lines.len() + 1, "each attempt is recorded");
    assert!(format!("{:?}", seen.events).len() < 40_000, "and none of them is long");
}

#[test]
fn output_path_put_twice() {
    let seen = Bound::new("output-path-put-twice").accept();
    seen.assert_denied(&["output-path-taken"]);
    let lines = seen.lines();
    assert_eq!((lines[0].as_str(), lines[2].as_str()), ("ok", "ok"));
    assert_eq!(lines[1], "invalid-path \"conf/a\" was put already, or has to be a file and a directory at once");
    let outputs = seen.call.result.as_ref().unwrap();
    assert_eq!(outputs.outputs.files[&"conf/a".parse().unwrap()].expose(), b"first");
}

#[test]
fn output_path_file_and_directory() {
    let seen = Bound::new("output-path-file-and-directory").accept();
    seen.assert_denied(&["output-path-taken"]);
    let words: Vec<_> = seen.lines().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(words, ["ok", "invalid-path", "invalid-path", "ok", "invalid-path", "ok"]);
    assert_eq!(seen.files(), ["a", "ab", "d/e", "report"]);
}

#[test]
fn output_path_holds_payload() {
    let given = vec![delivery("s3-prod", 7, KEY.as_bytes())];
    let seen = Bound::new("output-path-holds-payload").given(given).accept();
    // The file itself is the receiver's to name: it can write there what it was given anyway.
    seen.assert_denied(&["odd-output-path", "output-path-taken"]);
    assert_eq!(seen.files().len(), 2);
    shows_no_payload(&seen);
    assert!(seen.events.iter().any(|event| format!("{event:?}").contains("[secret s3-prod]")), "{seen:?}");
}

#[test]
fn trap_after_put() {
    let seen = Bound::new("trap-after-put").accept();
    seen.assert_trapped("unreachable").assert_not_denied();
    assert_eq!(end(&seen), (1, PAYLOAD.len() as u64, AuditOutcome::Failed, Some("trap")));
    shows_no_payload(&seen);
}

#[test]
fn error_text_payload() {
    let seen = Bound::new("error-text-payload").accept();
    let Err(CallError::Failure(failure)) = &seen.call.result else { panic!("{seen:?}") };
    assert_eq!(failure.next, FailureNext::Unavailable);
    let text = &failure.message;
    assert!(text.starts_with("can't do it with [secret s3-prod] \\u{1b}[2J\\nforged: "), "{text}");
    assert!(text.len() <= 2_000 && !text.chars().any(char::is_control), "{text:?}");
    assert_eq!(end(&seen), (1, PAYLOAD.len() as u64, AuditOutcome::Failed, Some("unavailable")));
    shows_no_payload(&seen);
}

#[test]
fn cpu_loop_after_put() {
    let seen = Bound::new("cpu-loop-after-put").limits(|l| l.cpu = Span::millis(200)).accept();
    seen.assert_ended_by(Limit::Cpu);
    assert_eq!(end(&seen).2, AuditOutcome::Refused);
    let limits = |l: &mut deputy_core::Limits| (l.cpu, l.wall) = (Span::secs(10), Span::millis(200));
    Bound::new("cpu-loop-after-put").limits(limits).accept().assert_ended_by(Limit::Wall);
}

#[test]
fn log_payload() {
    let given = vec![delivery("s3-prod", 7, PAYLOAD.as_bytes()), delivery("api", 1, b"a-bearer-token-of-it")];
    let parts = [KEY, TOKEN, "a-bearer-token-of-it", "YS1iZWFyZXItdG9rZW4tb2YtaXQ="];
    let seen = Bound::new("log-payload").given(given).setting("parts", parts.join("\n")).accept();
    assert_eq!(seen.assert_not_denied().report(), "wrote");
    let log = host().log_of_call(seen.call.id);
    assert!(log.matches("[secret s3-prod]").count() >= 15, "{log}");
    assert!(log.matches("[secret api]").count() >= 6, "{log}");
    assert!(log.lines().all(|line| line.contains("receiver=log-payload") && !line.contains("instance=")), "{log}");
    for part in parts {
        assert!(!log.contains(part) && !seen.call.log_tail.contains(part), "{log}");
    }
    shows_no_payload(&seen);
}

#[test]
fn outputs_not_allowed_to_provider() {
    let seen = Attack::new("outputs-not-allowed-to-provider").obtain();
    seen.assert_denied(&["outputs-not-allowed"]);
    let told = "denied leaving files is for receivers, and for those while they accept";
    assert_eq!(seen.lines(), [told, told]);
}

#[test]
fn outputs_not_allowed_in_bare_question() {
    let bound = Bound::new("outputs-not-allowed-in-bare-question");
    host().during_attack(|| {
        let call = host().runtime.block_on(bound.load().kinds());
        assert_eq!(call.denials, [PolicyDenial::Outputs]);
        let Ok(Kinds::Named(kinds)) = call.result else { panic!("{:?}", call.result) };
        assert_eq!(kinds.iter().map(ToString::to_string).collect::<Vec<_>>(), ["denied/1"]);
    });
}

#[test]
fn secret_not_granted_to_receiver() {
    let (server, name) = (Server::good(), host().name(&["127.0.0.1"]));
    let bound = Bound::new("secret-not-granted-to-receiver").setting("name", &name);
    let bound = bound.setting("url", format!("http://{name}:{}", server.port()));
    let seen = bound.setting("address", format!("127.0.0.1:{}", server.port())).accept();
    seen.assert_denied(&[
        "host-not-granted",
        "name-not-granted",
        "secret-not-granted",
        "socket-not-granted",
        "udp-not-allowed",
    ]);
    let lines = seen.lines();
    assert_eq!(lines[0], "err HttpRequestDenied");
    assert!(lines[1..5].iter().all(|line| line.starts_with("err ")), "{lines:?}");
    assert_eq!(lines[5..], ["0 folders", "0 variables"]);
    assert_eq!((server.heard(), host().queries_for(&name)), (Vec::<String>::new(), 0));
}

#[test]
fn state_of_earlier_accept() {
    let bound = Bound::new("state-of-earlier-accept");
    host().during_attack(|| {
        let receiver = bound.load();
        let first = bound.accepted(&receiver).report();
        assert!(first.starts_with("0 0 "), "{first}");
        for _ in 0..20 {
            assert_eq!(bound.accepted(&receiver).report(), first);
        }
        // Files neither: what a call staged is not there for the next.
        assert_eq!(bound.accepted(&receiver).files(), ["report"]);
    });
}

/// What a receiver is given lies in its memory, and that is limited.
#[test]
fn deliveries_that_are_larger_than_the_memory_end_the_call() {
    let given = vec![delivery("s3-prod", 7, &vec![b'x'; 8 << 20])];
    let seen = Bound::new("benign-receiver").given(given).limits(|l| l.memory = ByteSize::mib(4)).accept();
    seen.assert_ended_by(Limit::Memory);
    assert_eq!(seen.files(), [""; 0]);
}

#[test]
fn receiver_and_provider_are_not_interchangeable() {
    let (provider, receiver) = (Bound::new("benign"), Attack::new("benign-receiver"));
    let (one, other) = host().during_attack(|| {
        host().runtime.block_on(async {
            let one = host().sandbox.load_receiver(&provider.plan).await.map(drop);
            (one, host().sandbox.load(&receiver.instance).await.map(drop))
        })
    });
    for (loaded, wanted) in [(one, "is not a receiver"), (other, "is not a provider")] {
        let Err(error @ LoadError::Kind { .. }) = loaded else { panic!("{loaded:?}") };
        assert!(chain(&error).contains(wanted), "{}", chain(&error));
    }
}

#[test]
fn receiver_with_another_digest_is_refused() {
    let mut bound = Bound::new("benign-receiver");
    bound.plan.sha256 = Some("0".repeat(64).parse().unwrap());
    let loaded = host().during_attack(|| host().runtime.block_on(host().sandbox.load_receiver(&bound.plan)));
    assert!(matches!(loaded, Err(LoadError::Digest { .. })));
}

/// Outputs hold what was delivered.
#[test]
fn files_are_not_printed() {
    let seen = Bound::new("benign-receiver").accept();
    let outputs = seen.call.result.as_ref().unwrap();
    assert_eq!(outputs.outputs.files.values().map(SecretBytes::len).max(), Some(PAYLOAD.len()));
    assert!(!format!("{:?}", seen.call).contains(KEY));
}
