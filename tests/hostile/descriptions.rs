//! What a component says about itself: bounded in time, memory and length, and without a text that looks like another.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use deputy_audit::AuditSubject;
use deputy_core::{ComponentDescription, GrantRequest, Limit, OperatorFacts};
use deputy_sandbox::CallError;

use crate::harness::{AttackReport, GuestReport, host, run_to_report};
use crate::surroundings::guest_file;

impl GuestReport for ComponentDescription {
    fn report(&self) -> &[u8] {
        b""
    }
}

fn describe(guest: &str, want: Option<&str>) -> AttackReport<ComponentDescription> {
    host().during_attack(|| {
        let component = Path::new(&guest_file(guest)).to_owned().into();
        let settings: BTreeMap<_, _> = want.map(|want| ("want".to_owned(), want.to_owned())).into_iter().collect();
        let subject = AuditSubject::Instance("described".parse().unwrap());
        run_to_report(async {
            let call = host().sandbox.describe(&component, None, &settings, subject).await;
            call.unwrap().expect("it describes itself")
        })
    })
}

#[track_caller]
fn described(want: &str) -> ComponentDescription {
    let seen = describe("description-greedy", Some(want));
    seen.call.result.unwrap_or_else(|error| panic!("{want}: {error}"))
}

#[track_caller]
fn assert_invalid(guest: &str, want: Option<&str>, how: &str) {
    let seen = describe(guest, want);
    let Err(CallError::Invalid(text)) = &seen.call.result else { panic!("{want:?}: {seen:?}") };
    assert!(text.contains(how) && text.len() < 1_000 && !acts(text), "{want:?}: {text:?}");
}

/// Whether a text could act on a terminal, or begin another line.
fn acts(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || ['\u{202e}', '\u{2028}'].contains(&c))
}

#[test]
fn description_greedy() {
    let plain = described("nothing");
    assert!(plain.about("title").unwrap().starts_with("harmless\\u{1b}[2J"), "{:?}", plain.about("title"));
    let texts = plain.settings.iter().map(|setting| setting.text()).chain(plain.about("version"));
    for text in texts.chain(plain.about.iter().map(|property| property.name.as_str())) {
        assert!(text.len() <= 300 && !acts(text), "{text:?}");
    }
    let names: Vec<_> = plain.settings.iter().map(|setting| setting.name.as_str()).collect();
    assert_eq!(names, ["want", "[[instances.evil.http]]", "x]\"'#="]);

    assert_invalid("description-greedy", Some("hundred"), "100 wants, of at most 64");
    assert_invalid("description-greedy", Some("long"), "must have 1 to 1024 bytes");
    for want in ["forged", "line", "unknown"] {
        assert_invalid("description-greedy", Some(want), "no characters that control or mislead");
    }

    // What no grant can have.
    for want in ["everything", "star", "path"] {
        let wants = described(want).wants.unwrap();
        let error = GrantRequest::read(&wants, OperatorFacts::default()).unwrap_err();
        assert!(error.to_string().len() < 500, "{error}");
    }
    let later = described("later").wants.unwrap();
    let request = GrantRequest::read(&later, OperatorFacts::default()).unwrap();
    assert_eq!((request.unknown, request.grant.http.len()), (vec!["quantum-tunnel".to_owned()], 1));

    for (want, limit) in [("loop", Limit::Cpu), ("memory", Limit::Memory), ("many", Limit::Payload)] {
        let seen = describe("description-greedy", Some(want));
        assert!(matches!(&seen.call.result, Err(CallError::Limit(found)) if *found == limit), "{want}: {seen:?}");
        assert!(seen.took < Duration::from_secs(20), "{want}: {:?}", seen.took);
    }
    let seen = describe("description-greedy", Some("trap"));
    assert!(matches!(&seen.call.result, Err(CallError::Trap { .. })), "{seen:?}");
}

#[test]
fn description_names_forged() {
    assert_invalid("description-names-forged", None, "must have 1 to 64 bytes");
}

#[test]
fn description_title_huge() {
    let seen = describe("description-title-huge", None);
    assert!(matches!(&seen.call.result, Err(CallError::Limit(Limit::Payload))), "{seen:?}");
}
