//! A request that has a target has one only, and no more is permitted than the rule says.
#![no_main]

use deputy_core::grant::{Grant, HttpPattern, HttpRule, HttpTarget, Paths, Scheme, Send, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&str, &str, &str, &str)| {
    let (scheme, authority, method, path) = parts;
    let Ok(request) = HttpTarget::parse(scheme, authority, method, path) else {
        return;
    };
    let target = request.target();
    assert_ne!(target.port(), 0);
    assert!(matches!(target.scheme(), Scheme::Http | Scheme::Https));
    assert!(!authority.contains('@'), "user information");
    assert!(request.path().starts_with('/') && !request.path().contains(['?', '#', '\r', '\n', ' ']));
    assert!(!["CONNECT", "TRACE"].contains(&request.method().to_string().as_str()));

    // The target printed is the same target.
    let printed = target.to_string();
    let (_, rest) = printed.split_once("://").expect("a scheme is printed");
    assert_eq!(Target::parse(target.scheme(), rest).as_ref(), Ok(target));

    // Nothing is permitted by nothing, and by the narrowest rule this request is, and none that differs in a part.
    assert!(Grant::default().permit_http(&request).is_err());
    let rule = |paths| HttpRule {
        pattern: HttpPattern::exactly(target),
        methods: vec![request.method().clone()],
        paths,
        networks: Vec::new(),
        send: Send::default(),
    };
    let grant = Grant { http: vec![rule(Paths::Any)], ..Grant::default() };
    let permit = grant.permit_http(&request).expect("the narrowest rule permits it");
    assert_eq!(permit.target(), target);
    let other = HttpTarget::parse(scheme, "other.invalid:1", method, path).expect("another host");
    assert!(target.host().to_string() == "other.invalid" || grant.permit_http(&other).is_err());

    if let Ok(prefix) = request.path().parse() {
        let grant = Grant { http: vec![rule(Paths::Under(vec![prefix]))], ..Grant::default() };
        assert!(grant.permit_http(&request).is_ok());
    }
});
