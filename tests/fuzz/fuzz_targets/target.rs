//! A request's parts, one a line: a target that can be read means one place, which the rule for exactly it allows, and no
//! other rule does.
#![no_main]

use deputy_core::grant::{Grant, HttpPattern, HttpRule, HttpTarget, PathRules, RequestOptions, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut part = || lines.next().unwrap_or_default();
    let (scheme, authority, method, path) = (part(), part(), part(), part());
    let Ok(request) = HttpTarget::parse(scheme, authority, method, path, []) else { return };

    let target = request.target();
    let shown = target.to_string();
    assert!(!authority.contains('@'), "userinfo was accepted");
    assert!(request.path().starts_with('/') && !request.path().contains(['?', '#', ' ', '\r']));
    let place = shown.strip_prefix(target.scheme().name()).and_then(|rest| rest.strip_prefix("://"));
    let again = Target::parse(target.scheme(), place.expect("it shows its scheme")).expect("what it shows can be read");
    assert_eq!(*target, again);
    let exactly = HttpPattern::exactly(target);
    assert_eq!(exactly, exactly.to_string().parse().expect("a rule for it can be written"));

    // Nothing is permitted by nothing, and by the narrowest rule this request alone.
    assert!(Grant::default().permit_http(&request).is_err());
    let rule = |paths| HttpRule {
        pattern: exactly.clone(),
        methods: vec![request.method().clone()],
        paths,
        overrides: Vec::new(),
        networks: Vec::new(),
        send: RequestOptions::default(),
    };
    let grant = Grant { http: vec![rule(PathRules::Any)], ..Grant::default() };
    assert_eq!(grant.permit_http(&request).expect("the narrowest rule permits it").target(), target);
    let other = HttpTarget::parse(scheme, "other.invalid:1", method, path, []).expect("another host");
    assert!(target == other.target() || grant.permit_http(&other).is_err());
    let other = if method == "GET" { "PUT" } else { "GET" };
    let other = HttpTarget::parse(scheme, authority, other, path, []).expect("another method");
    assert_eq!(grant.permit_http(&other).expect_err("another method").code(), "method-not-granted");
    if let Ok(prefix) = request.path().parse() {
        let grant = Grant { http: vec![rule(PathRules::Prefixes(vec![prefix]))], ..Grant::default() };
        assert!(grant.permit_http(&request).is_ok(), "a path is under itself");
    }
});
