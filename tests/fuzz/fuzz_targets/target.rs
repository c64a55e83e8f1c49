//! A request's parts, one a line: a target that can be read means one place, which the rule for exactly it allows.
#![no_main]

use deputy_core::grant::{HttpPattern, HttpTarget, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut part = || lines.next().unwrap_or_default();
    let (scheme, authority, method, path) = (part(), part(), part(), part());
    let Ok(request) = HttpTarget::parse(scheme, authority, method, path) else { return };

    let target = request.target();
    let shown = target.to_string();
    assert!(!authority.contains('@'), "userinfo was accepted");
    assert!(request.path().starts_with('/') && !request.path().contains(['?', '#', ' ', '\r']));
    let place = shown.strip_prefix(target.scheme().name()).and_then(|rest| rest.strip_prefix("://"));
    let again = Target::parse(target.scheme(), place.expect("it shows its scheme")).expect("what it shows can be read");
    assert_eq!(*target, again);
    let exactly = HttpPattern::exactly(target);
    assert_eq!(exactly, exactly.to_string().parse().expect("a rule for it can be written"));
});
